/* Prints what the C compiler makes of CPython's structs, for layout_probe.rs to compare with what Rust makes of them.
 *
 * "fields.inc" is written by the test from the layout tables: one line for each struct, field and constant, numbered as
 * there. A name that the headers do not know is an error of the compiler, and so of the test. */
#define Py_BUILD_CORE_MODULE 1
#include "Python.h"

#include "pycore_code.h"
#include "pycore_ceval.h"
#include "pycore_dict.h"
#include "pycore_frame.h"
#include "pycore_function.h"
#include "pycore_gc.h"
#include "pycore_genobject.h"
#include "pycore_instruments.h"
#include "pycore_interp.h"
#include "pycore_interpframe.h"
#include "pycore_intrinsics.h"
#include "pycore_list.h"
#include "pycore_long.h"
#include "pycore_object.h"
#include "pycore_optimizer.h"
#include "pycore_range.h"
#include "pycore_runtime.h"
#include "pycore_stackref.h"
#include "pycore_tuple.h"
#include "opcode.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define VALUE(KEY, EXPR) printf("%s %lld\n", KEY, (long long)(EXPR));
#define SIZE(KEY, TYPE) VALUE(KEY, sizeof(TYPE))
#define OFFSET(KEY, TYPE, FIELD) VALUE(KEY, offsetof(TYPE, FIELD))
#define FIELD_SIZE(KEY, TYPE, FIELD) VALUE(KEY, sizeof(((TYPE *)0)->FIELD))

/* Bit fields have no offset: set one and see which byte of the struct changes, and to what. */
#define BITS(KEY, TYPE, FIELD, NUMBER)                                 \
    {                                                                  \
        union { TYPE it; unsigned char bytes[sizeof(TYPE)]; } u;       \
        memset(&u, 0, sizeof(u));                                      \
        u.it.FIELD = (NUMBER);                                         \
        for (size_t k = 0; k < sizeof(TYPE); k++)                      \
            if (u.bytes[k]) { VALUE(KEY, k * 256 + u.bytes[k]); break; } \
    }

int main(void)
{
    VALUE("version", PY_VERSION_HEX)
#ifdef Py_GIL_DISABLED
    VALUE("gil", 0)
#else
    VALUE("gil", 1)
#endif
#include "fields.inc"
    return 0;
}
