/* cendre.h - awaited calls for C and C++ extensions.
 *
 * `await f(x)` calls f, which builds an object to be awaited, runs that object, and usually throws it away. An *awaited
 * call* tells the callee that its result is awaited at once, so that it can answer with the value itself. This header lets
 * your callable understand awaited calls, and lets your C code make them. It needs CPython 3.14 and a 64-bit platform, it
 * adds no link-time dependency, and an extension that uses it works without cendre too: cendre_await_api() answers NULL then.
 *
 * THE CALL
 *   A vectorcall whose `nargsf` has the bit CENDRE_AWAITED:
 *       PyObject *entry(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames);
 *   - Count the arguments with cendre_nargs(nargsf), never with PyVectorcall_NARGS(): that clears bit 63 only.
 *   - args[-1] is a scratch word of the callee's. It need not be restored (unlike with PY_VECTORCALL_ARGUMENTS_OFFSET).
 *   - The caller owns the arguments and keeps them, and the callable, alive during the call.
 *   - Without the bit it is an ordinary vectorcall, and the function must serve it as such.
 *
 * THE ANSWER is a tagged pointer, one of
 *   value       an owned reference: what `await callable(*args)` evaluates to
 *   suspended   CENDRE_SUSPENDED(receiver), with what was yielded in args[-1]; both are owned references
 *   error       NULL with an exception set: what `await callable(*args)` raises
 *   declined    CENDRE_DECLINED: nothing happened, make the ordinary call and await its result
 *
 * RULES FOR A CALLEE
 *   1. Decline before any effect. Declining is always right: cendre's own callees decline on wrong arguments, while a signal
 *      or another event waits, under a debugger or profiler, near the recursion limit, and while they are not compiled.
 *   2. Errors that belong to the *call* (wrong number of arguments) are declined, so that the ordinary call raises them: during
 *      an awaited call the caller's frame stands at its await, not at its call.
 *   3. The receiver is what the caller sends to when it is resumed: a coroutine that is suspended, or any other iterator. It
 *      has yielded once already; that is the object in args[-1]. A coroutine that is suspended inside an await must
 *      not be handed to anybody but through this answer: interpreted code refuses to await it.
 *   4. While answering "suspended" you may rely on your caller: it yields what is in args[-1] to its own awaiter, without running any
 *      other Python code in between, and it stays suspended on your receiver: whatever is sent or thrown into it goes to the
 *      receiver, and when it is closed, the receiver is closed. So a callee that is told CENDRE_AWAITED knows that its caller
 *      suspends on what it answers, and may, say, register that caller as the one to wake.
 *   5. An awaited call runs inside the caller, as awaiting a coroutine always has: same thread, context and current task.
 *   6. Do not wrap and forward `nargsf`: a callable that passes its arguments on to another one must clear the bit (or ask
 *      entry_for() for that other one). functools.partial and bound methods mask the count, so they never see the bit.
 *
 * RULES FOR A CALLER
 *   1. Send the bit to nobody but a function that entry_for() answered for this very callable. To others bit 62 is a count of
 *      2**62 arguments.
 *   2. An answer of entry_for() holds as long as you hold the callable and nobody assigns to it (__code__, vectorcall); ask each
 *      time, it is a few loads. NULL means: make the ordinary call.
 *   3. After "suspended" keep rule 4 above: yield args[-1] at once, and on resumption send to the receiver (PyIter_Send).
 *   4. Keyword arguments: pass kwnames as in an ordinary vectorcall; a callee may decline them.
 *   5. Where you do not want to tell callables apart, use start(): it takes any callable and never answers "declined".
 *   6. Hold the GIL, have a thread state, and have no exception set.
 */
#ifndef CENDRE_H
#define CENDRE_H

#include <Python.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bit 62 of nargsf: no count of arguments gets that far, and CPython uses bit 63 only. */
#define CENDRE_AWAITED ((size_t)1 << (8 * sizeof(size_t) - 2))

/* Declined. An address that no object has. */
#define CENDRE_DECLINED ((PyObject *)(uintptr_t)2)

/* Suspended on this receiver (a new reference, given to the caller). */
#define CENDRE_SUSPENDED(receiver) ((PyObject *)((uintptr_t)(receiver) | 1))

#define CENDRE_AWAIT_API_VERSION 1u
#define CENDRE_AWAIT_CAPSULE "cendre._cendre.await_api"

/* The number of positional arguments in nargsf, with or without flags. */
static inline size_t
cendre_nargs(size_t nargsf)
{
    return nargsf & (CENDRE_AWAITED - 1);
}

/* Is this answer "suspended"? */
static inline int
cendre_is_suspended(PyObject *answer)
{
    return ((uintptr_t)answer & 3) == 1;
}

/* The receiver of an answer that is "suspended". */
static inline PyObject *
cendre_receiver(PyObject *answer)
{
    return (PyObject *)((uintptr_t)answer & ~(uintptr_t)3);
}

/* The table in the capsule. Later versions only append fields: look at `size` before you use one that is newer than 1. */
typedef struct {
    uint32_t version;
    uint32_t size;

    /* "This vectorcall function understands CENDRE_AWAITED", for every callable whose vectorcall it is. It must stay loaded
     * for the life of the process. Declaring twice does nothing. 0, or -1 with an exception set. */
    int (*declare)(vectorcallfunc function);

    /* The function to call with CENDRE_AWAITED for this callable, or NULL. Never fails. A Python function whose
     * vectorcall somebody replaced has none. */
    vectorcallfunc (*entry_for)(PyObject *callable);

    /* `await callable(*args)` up to its end or first suspension: an awaited call where the callable understands it, else an
     * ordinary call, the awaitable's __await__, and its first step. args[-1] must be a scratch word. Answers "value",
     * "suspended" or "error". */
    PyObject *(*start)(PyObject *callable, PyObject **args, size_t nargs);
} CendreAwaitApi;

/* The table, or NULL where there is no cendre or it is older than this header: no exception is set then. Imports
 * cendre._cendre, which on a Python that cendre does not support fails (and NULL is the answer). */
static inline const CendreAwaitApi *
cendre_await_api(void)
{
    const CendreAwaitApi *api = (const CendreAwaitApi *)PyCapsule_Import(CENDRE_AWAIT_CAPSULE, 0);
    if (api == NULL) {
        PyErr_Clear();
        return NULL;
    }
    return api->version >= CENDRE_AWAIT_API_VERSION ? api : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
