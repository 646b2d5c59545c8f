/* An extension that uses awaited calls in both roles, with nothing but cendre.h and the public C API.
 *
 * Holds: `Ready`, a callable whose result may be awaited without any object in between (callee); `call_awaited` and `start`
 * (callers); `BadAnswer`, a callee that breaks the rules, for the test that cendre notices.
 * Invariant: every way to await a `Ready` gives the same result, with and without cendre: the flag only saves work.
 * Read include/cendre.h first; tests/python/test_protocol.py uses this.
 */
#include "cendre.h"
#include <stddef.h>

static const CendreAwaitApi *api;       /* NULL: no cendre in this process */

/* ==== The ordinary way: an awaitable that is done, with a value or an error ======================================= */

typedef struct {
    PyObject_HEAD
    PyObject *value;
    PyObject *error;            /* an exception class, or NULL */
} Done;

static PyObject *done_next(PyObject *o)
{
    Done *d = (Done *)o;
    PyObject *e = PyObject_CallOneArg(d->error ? d->error : PyExc_StopIteration, d->value);
    if (e) PyErr_SetRaisedException(e);
    return NULL;
}

static void done_dealloc(PyObject *o)
{
    Py_XDECREF(((Done *)o)->value);
    Py_XDECREF(((Done *)o)->error);
    Py_TYPE(o)->tp_free(o);
}

static PyAsyncMethods done_async = {.am_await = PyObject_SelfIter};
static PyTypeObject Done_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cendre_example.Done", .tp_basicsize = sizeof(Done), .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_as_async = &done_async, .tp_iter = PyObject_SelfIter, .tp_iternext = done_next, .tp_dealloc = done_dealloc};

static PyObject *done_new(PyObject *value, PyObject *error)
{
    Done *d = PyObject_New(Done, &Done_Type);
    if (d == NULL) return NULL;
    d->value = Py_NewRef(value);
    d->error = Py_XNewRef(error);
    return (PyObject *)d;
}

/* ==== Callee =======================================================================================================
 * Ready()(x)        awaiting it gives x
 * Ready(awaitable)  awaiting it awaits `awaitable()` first, and gives what that gives
 * Ready(error=E)    awaiting it raises E
 */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *make;             /* a callable that gives an awaitable, or NULL */
    PyObject *error;            /* an exception class, or NULL */
    Py_ssize_t awaited, called, declined;
} Ready;

static PyObject *ready_awaited(Ready *self, PyObject *const *args, size_t n, PyObject *kwnames)
{
    if (n != 1 || kwnames) {            /* a wrong call: the ordinary one raises the TypeError */
        self->declined++;
        return CENDRE_DECLINED;
    }
    self->awaited++;
    if (self->error) {
        PyErr_SetObject(self->error, args[0]);
        return NULL;
    }
    if (self->make == NULL) return Py_NewRef(args[0]);
    PyObject *cells[1] = {NULL};        /* start() wants a scratch word before the arguments, of which there are none */
    PyObject *answer = api->start(self->make, cells + 1, 0);
    if (answer && cendre_is_suspended(answer)) ((PyObject **)args)[-1] = cells[0];      /* pass both on to our caller */
    return answer;
}

static PyObject *ready_call(PyObject *o, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Ready *self = (Ready *)o;
    size_t n = cendre_nargs(nargsf);
    if (nargsf & CENDRE_AWAITED) return ready_awaited(self, args, n, kwnames);
    if (n != 1 || kwnames) {
        PyErr_SetString(PyExc_TypeError, "Ready takes one argument");
        return NULL;
    }
    self->called++;
    return self->make ? PyObject_CallNoArgs(self->make) : done_new(args[0], self->error);
}

static int ready_init(PyObject *o, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"make", "error", NULL};
    Ready *self = (Ready *)o;
    PyObject *make = NULL, *error = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO", names, &make, &error)) return -1;
    self->vectorcall = ready_call;
    Py_XSETREF(self->make, make == Py_None ? NULL : Py_XNewRef(make));
    Py_XSETREF(self->error, Py_XNewRef(error));
    return 0;
}

static void ready_dealloc(PyObject *o)
{
    Py_XDECREF(((Ready *)o)->make);
    Py_XDECREF(((Ready *)o)->error);
    Py_TYPE(o)->tp_free(o);
}

static PyMemberDef ready_members[] = {
    {"awaited", Py_T_PYSSIZET, offsetof(Ready, awaited), Py_READONLY, "awaited calls"},
    {"called", Py_T_PYSSIZET, offsetof(Ready, called), Py_READONLY, "ordinary calls"},
    {"declined", Py_T_PYSSIZET, offsetof(Ready, declined), Py_READONLY, "awaited calls that were declined"},
    {NULL, 0, 0, 0, NULL}};

static PyTypeObject Ready_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cendre_example.Ready", .tp_basicsize = sizeof(Ready),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, .tp_vectorcall_offset = offsetof(Ready, vectorcall),
    .tp_call = PyVectorcall_Call, .tp_new = PyType_GenericNew, .tp_init = ready_init, .tp_dealloc = ready_dealloc,
    .tp_members = ready_members};

/* A callable that never heard of the flag: as a count, the flag would read 2**62 arguments. */
static PyObject *plain_call(PyObject *o, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames) {
        PyErr_SetString(PyExc_SystemError, "Plain was sent something that it did not ask for");
        return NULL;
    }
    return done_new(args[0], NULL);
}

static int plain_init(PyObject *o, PyObject *args, PyObject *kwargs)
{
    ((Ready *)o)->vectorcall = plain_call;
    return 0;
}

static PyTypeObject Plain_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cendre_example.Plain", .tp_basicsize = sizeof(Ready),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, .tp_vectorcall_offset = offsetof(Ready, vectorcall),
    .tp_call = PyVectorcall_Call, .tp_new = PyType_GenericNew, .tp_init = plain_init, .tp_dealloc = ready_dealloc};

/* Says "suspended" and yields nothing. */
static PyObject *bad_call(PyObject *o, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return nargsf & CENDRE_AWAITED ? CENDRE_SUSPENDED(Py_None) : done_new(Py_None, NULL);
}

static int bad_init(PyObject *o, PyObject *args, PyObject *kwargs)
{
    ((Ready *)o)->vectorcall = bad_call;
    return 0;
}

static PyTypeObject Bad_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cendre_example.BadAnswer", .tp_basicsize = sizeof(Ready),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, .tp_vectorcall_offset = offsetof(Ready, vectorcall),
    .tp_call = PyVectorcall_Call, .tp_new = PyType_GenericNew, .tp_init = bad_init, .tp_dealloc = ready_dealloc};

/* ==== Caller ======================================================================================================= */

enum { MOST = 7 };

/* What an answer says, as a tuple; takes its references over. */
static PyObject *tell(PyObject *answer, PyObject *scratch)
{
    if (answer == NULL) return NULL;
    if (answer == CENDRE_DECLINED) return Py_BuildValue("(s)", "declined");
    if (cendre_is_suspended(answer)) return Py_BuildValue("(sNN)", "suspended", scratch, cendre_receiver(answer));
    return Py_BuildValue("(sN)", "value", answer);
}

static int place(PyObject *const *args, Py_ssize_t n, PyObject **cells)
{
    if (api == NULL || n < 1 || n > MOST) {
        PyErr_SetString(PyExc_RuntimeError, "no cendre here, or too many arguments");
        return -1;
    }
    cells[0] = NULL;                                            /* the callee's scratch word */
    for (Py_ssize_t i = 1; i < n; i++) cells[i] = args[i];
    return 0;
}

/* call_awaited(f, *args) -> ("value", v) | ("suspended", yielded, receiver) | ("declined",) | ("unknown",) */
static PyObject *call_awaited(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    PyObject *cells[MOST];
    if (place(args, n, cells) < 0) return NULL;
    vectorcallfunc entry = api->entry_for(args[0]);
    if (entry == NULL) return Py_BuildValue("(s)", "unknown");
    PyObject *answer = entry(args[0], cells + 1, (size_t)(n - 1) | CENDRE_AWAITED, NULL);
    return tell(answer, cells[0]);
}

/* start(f, *args) -> ("value", v) | ("suspended", yielded, receiver) */
static PyObject *start(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    PyObject *cells[MOST];
    if (place(args, n, cells) < 0) return NULL;
    PyObject *answer = api->start(args[0], cells + 1, (size_t)(n - 1));
    return tell(answer, cells[0]);
}

/* ordinary(f, *args) -> f(*args), by the entry without the flag */
static PyObject *ordinary(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    PyObject *cells[MOST];
    if (place(args, n, cells) < 0) return NULL;
    vectorcallfunc entry = api->entry_for(args[0]);
    if (entry == NULL) return PyErr_Format(PyExc_TypeError, "%R has no entry", args[0]);
    return entry(args[0], cells + 1, (size_t)(n - 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static PyMethodDef methods[] = {
    {"call_awaited", (PyCFunction)(void (*)(void))call_awaited, METH_FASTCALL, NULL},
    {"start", (PyCFunction)(void (*)(void))start, METH_FASTCALL, NULL},
    {"ordinary", (PyCFunction)(void (*)(void))ordinary, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "cendre_example", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_cendre_example(void)
{
    PyTypeObject *types[] = {&Done_Type, &Ready_Type, &Plain_Type, &Bad_Type};
    PyObject *m = PyModule_Create(&definition);
    if (m == NULL) return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyModule_AddType(m, types[i]) < 0) goto failed;
    api = cendre_await_api();
    if (PyModule_Add(m, "has_cendre", PyBool_FromLong(api != NULL)) < 0) goto failed;
    if (PyModule_Add(m, "table", Py_BuildValue("(nn)", api ? (Py_ssize_t)api->version : 0, api ? (Py_ssize_t)api->size : 0)) < 0) goto failed;
    if (api && (api->declare(ready_call) < 0 || api->declare(bad_call) < 0)) goto failed;
    return m;
failed:
    Py_DECREF(m);
    return NULL;
}
