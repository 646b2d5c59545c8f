//! What `_asyncio` does to its futures and tasks, done to the same objects: results, exceptions, cancellation, callbacks.
//!
//! Invariant: after each function the object's fields are those that `_asyncio`'s own function would have left, and callbacks
//! were given to `call_soon` in the same order. Read docs/internals/tasks.md, "The objects".

use crate::attrs::{self, Attr};
use crate::layout::{FutureObj, StepWrapper, TaskObj, bit, state};
use crate::queue;
use crate::state::{Bound, Calls, Counter, LoopState, bound, count, find};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, incref, new_ref, type_of, xdecref, xincref};
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_int;
use core::ptr;

/// `Py_CLEAR`.
#[inline(always)]
pub unsafe fn clear(place: *mut *mut PyObject) {
    // SAFETY: a field that owns its reference, or null.
    unsafe {
        let old = *place;
        if !old.is_null() {
            *place = ptr::null_mut();
            decref(old);
        }
    }
}

/// `Py_XSETREF` with a new reference.
#[inline(always)]
unsafe fn set(place: *mut *mut PyObject, value: *mut PyObject) {
    // SAFETY: a field that owns its reference, or null.
    unsafe {
        xincref(value);
        let old = *place;
        *place = value;
        xdecref(old);
    }
}

/// Whether this is exactly a Future, Task or what `gather` returns: objects whose methods nobody replaced.
#[inline(always)]
pub unsafe fn is_known(b: &Bound, o: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe {
        let ty = type_of(o);
        ty == b.task || ty == b.future || ty == b.gathering
    }
}

/// Whether its fields are those of a future.
pub unsafe fn is_future(b: &Bound, o: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe {
        let ty = type_of(o);
        is_known(b, o) || ffi::PyType_IsSubtype(ty, b.future) != 0 || ffi::PyType_IsSubtype(ty, b.task) != 0
    }
}

/// The task leaves the list of all tasks.
unsafe fn unregister(task: *mut TaskObj) {
    // SAFETY: a task's node is linked, or null.
    unsafe {
        let node = &raw mut (*task).node;
        if (*node).next.is_null() {
            return;
        }
        (*(*node).prev).next = (*node).next;
        (*(*node).next).prev = (*node).prev;
        (*node).prev = ptr::null_mut();
        (*node).next = ptr::null_mut();
    }
}

/// Gives the callbacks to the loop, in order. -1 with an exception set.
unsafe fn schedule_callbacks(b: &Bound, ls: *mut LoopState, f: *mut FutureObj) -> c_int {
    // SAFETY: a live future that is done; the state is null or a loop's.
    unsafe {
        let class = type_of(f.cast());
        if class != b.task && (class == b.future || ffi::PyType_IsSubtype(class, b.task) == 0) {
            return schedule(b, ls, f);
        }
        unregister(f.cast());
        if ls.is_null() || !(*ls).has_families() {
            return schedule(b, ls, f);
        }
        let from = (*ls).next_number();
        let failed = schedule(b, ls, f);
        (*ls).ended = Calls { task: f.cast(), from, to: (*ls).next_number() };
        failed
    }
}

unsafe fn schedule(b: &Bound, ls: *mut LoopState, f: *mut FutureObj) -> c_int {
    // SAFETY: as above; what is taken from its fields is owned here.
    unsafe {
        let cb = (*f).callback0;
        if !cb.is_null() {
            let context = (*f).context0;
            (*f).callback0 = ptr::null_mut();
            (*f).context0 = ptr::null_mut();
            let failed = queue::call_soon(b, ls, (*f).fut_loop, cb, f.cast(), context);
            decref(cb);
            xdecref(context);
            if failed != 0 {
                clear(&raw mut (*f).callbacks);
                return failed;
            }
        }
        let list = (*f).callbacks;
        if list.is_null() {
            return 0;
        }
        (*f).callbacks = ptr::null_mut();
        for i in 0..ffi::PyList_GET_SIZE(list) {
            let pair = ffi::PyList_GET_ITEM(list, i);
            let (cb, context) = (ffi::PyTuple_GET_ITEM(pair, 0), ffi::PyTuple_GET_ITEM(pair, 1));
            if queue::call_soon(b, ls, (*f).fut_loop, cb, f.cast(), context) != 0 {
                decref(list);
                return -1;
            }
        }
        decref(list);
        0
    }
}

unsafe fn invalid_state(b: &Bound) -> c_int {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_SetString(b.invalid_state, c"invalid state".as_ptr()) };
    -1
}

/// `set_result`.
pub unsafe fn set_result(b: &Bound, ls: *mut LoopState, f: *mut FutureObj, value: *mut PyObject) -> c_int {
    // SAFETY: a live future, a borrowed value.
    unsafe {
        if (*f).state != state::PENDING {
            return invalid_state(b);
        }
        (*f).result = new_ref(value);
        (*f).state = state::FINISHED;
        schedule_callbacks(b, ls, f)
    }
}

/// `Future.set_result`: natively while the loop's queue is being run, so that a wake-up may do without a handle; else as `_asyncio`
/// does it.
///
/// # Safety
/// Called by CPython as a METH_METHOD | METH_FASTCALL | METH_KEYWORDS method; the hook is set after `bind`.
pub unsafe extern "C" fn set_result_method(
    this: *mut PyObject,
    class: *mut ffi::PyTypeObject,
    args: *const *mut PyObject,
    n: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's contract: `n` positional arguments. A future that was not initialised has no loop.
    unsafe {
        let b = &*bound();
        let f: *mut FutureObj = this.cast();
        if n == 1 && names.is_null() && (type_of(this) == b.future || type_of(this) == b.gathering) && (*f).state == state::PENDING {
            let ls = find((*f).fut_loop);
            let ts = ThreadState::current();
            if !ls.is_null()
                && (*ls).plain_call_soon
                // Without a policy `call_soon` asks whether it may be native.
                && ((*ls).parts || !(*ls).ready.is_null() && (*ls).thread == (*ts).id && attrs::truth(b, ls, Attr::Debug) == Some(false))
            {
                count(Counter::FuturesSet);
                return if set_result(b, ls, f, *args) == 0 { ffi::Py_None() } else { ptr::null_mut() };
            }
        }
        (b.set_result)(this, class, args, n, names)
    }
}

/// `set_exception` with an instance (borrowed).
pub unsafe fn set_exception(b: &Bound, ls: *mut LoopState, f: *mut FutureObj, exc: *mut PyObject) -> c_int {
    // SAFETY: a live future and exception.
    unsafe {
        if (*f).state != state::PENDING {
            return invalid_state(b);
        }
        let value = if ffi::PyErr_GivenExceptionMatches(exc, ffi::PyExc_StopIteration) != 0 {
            let text = c"StopIteration interacts badly with generators and cannot be raised into a Future";
            let error = ffi::PyObject_CallFunction(ffi::PyExc_RuntimeError, c"s".as_ptr(), text.as_ptr());
            if error.is_null() {
                return -1;
            }
            ffi::PyException_SetCause(error, new_ref(exc));
            ffi::PyException_SetContext(error, new_ref(exc));
            error
        } else {
            new_ref(exc)
        };
        (*f).exception = value;
        (*f).exception_tb = ffi::PyException_GetTraceback(value);
        (*f).state = state::FINISHED;
        if schedule_callbacks(b, ls, f) != 0 {
            return -1;
        }
        (*f).set(bit::LOG_TB);
        0
    }
}

/// `Future.cancel` on the future part, as a task's step does it.
pub unsafe fn cancel(b: &Bound, ls: *mut LoopState, f: *mut FutureObj, message: *mut PyObject) -> c_int {
    // SAFETY: a live future; the message is null or alive.
    unsafe {
        (*f).clear(bit::LOG_TB);
        if (*f).state != state::PENDING {
            return 0;
        }
        (*f).state = state::CANCELLED;
        set(&raw mut (*f).cancel_msg, message);
        schedule_callbacks(b, ls, f)
    }
}

/// The CancelledError of a cancelled future, once with what was caught; new reference, null with an exception set.
pub unsafe fn cancelled_error(b: &Bound, f: *mut FutureObj) -> *mut PyObject {
    // SAFETY: a live future.
    unsafe {
        let kept = (*f).cancelled_exc;
        if !kept.is_null() {
            (*f).cancelled_exc = ptr::null_mut();
            return kept;
        }
        let message = (*f).cancel_msg;
        if message.is_null() || message == ffi::Py_None() {
            ffi::PyObject_CallNoArgs(b.cancelled_error)
        } else {
            ffi::PyObject_CallOneArg(b.cancelled_error, message)
        }
    }
}

/// What a future that is done holds.
pub enum Outcome {
    /// New reference.
    Value(*mut PyObject),
    /// New reference: an exception to be thrown.
    Failure(*mut PyObject),
    /// Another exception is set.
    Raised,
}

/// The result as a wake-up takes it: the exception is marked as retrieved, its traceback is as it was when it was set.
pub unsafe fn outcome(b: &Bound, f: *mut FutureObj) -> Outcome {
    // SAFETY: a live future.
    unsafe {
        if (*f).state == state::CANCELLED {
            let error = cancelled_error(b, f);
            if error.is_null() {
                return Outcome::Raised;
            }
            // Raising and catching it is what sets its context.
            ffi::PyErr_SetObject(b.cancelled_error, error);
            decref(error);
            return Outcome::Raised;
        }
        if (*f).state != state::FINISHED {
            ffi::PyErr_SetString(b.invalid_state, c"Result is not set.".as_ptr());
            return Outcome::Raised;
        }
        (*f).clear(bit::LOG_TB);
        if (*f).exception.is_null() {
            return Outcome::Value(new_ref((*f).result));
        }
        let tb = (*f).exception_tb;
        if ffi::PyException_SetTraceback((*f).exception, if tb.is_null() { ffi::Py_None() } else { tb }) < 0 {
            return Outcome::Raised;
        }
        let exc = new_ref((*f).exception);
        clear(&raw mut (*f).exception_tb);
        Outcome::Failure(exc)
    }
}

/// `add_done_callback` of a pending future (else it is called soon).
pub unsafe fn add_done_callback(
    b: &Bound,
    ls: *mut LoopState,
    f: *mut FutureObj,
    callback: *mut PyObject,
    context: *mut PyObject,
) -> c_int {
    // SAFETY: live objects.
    unsafe {
        if (*f).state != state::PENDING {
            return queue::call_soon(b, ls, (*f).fut_loop, callback, f.cast(), context);
        }
        if (*f).callbacks.is_null() && (*f).callback0.is_null() {
            (*f).callback0 = new_ref(callback);
            (*f).context0 = new_ref(context);
            return 0;
        }
        let pair = ffi::PyTuple_Pack(2, callback, context);
        if pair.is_null() {
            return -1;
        }
        if (*f).callbacks.is_null() {
            (*f).callbacks = ffi::PyList_New(0);
            if (*f).callbacks.is_null() {
                decref(pair);
                return -1;
            }
        }
        let failed = ffi::PyList_Append((*f).callbacks, pair);
        decref(pair);
        failed
    }
}

/// `future_add_to_awaited_by`.
pub unsafe fn awaited_by_add(f: *mut FutureObj, by: *mut PyObject) -> c_int {
    // SAFETY: a live future and task.
    unsafe {
        if (*f).awaited_by.is_null() {
            (*f).awaited_by = new_ref(by);
            return 0;
        }
        if (*f).awaited_by_is_set != 0 {
            return ffi::PySet_Add((*f).awaited_by, by);
        }
        let set = ffi::PySet_New(ptr::null_mut());
        if set.is_null() {
            return -1;
        }
        if ffi::PySet_Add(set, by) != 0 || ffi::PySet_Add(set, (*f).awaited_by) != 0 {
            decref(set);
            return -1;
        }
        let old = (*f).awaited_by;
        (*f).awaited_by = set;
        (*f).awaited_by_is_set = 1;
        decref(old);
        0
    }
}

/// `future_discard_from_awaited_by`.
pub unsafe fn awaited_by_discard(f: *mut FutureObj, by: *mut PyObject) -> c_int {
    // SAFETY: a live future and task.
    unsafe {
        if (*f).awaited_by == by {
            clear(&raw mut (*f).awaited_by);
        } else if (*f).awaited_by_is_set != 0 && !(*f).awaited_by.is_null() && ffi::PySet_Discard((*f).awaited_by, by) < 0 {
            return -1;
        }
        0
    }
}

/// The wrapper that steps a task; new reference, null with an exception set.
pub unsafe fn step_wrapper(b: &Bound, task: *mut TaskObj, exc: *mut PyObject) -> *mut PyObject {
    // SAFETY: the type was checked by `bind`; both fields are filled before the collector sees the object.
    unsafe {
        let w: *mut StepWrapper = ffi::PyObject_GC_New::<StepWrapper>(b.step_wrapper);
        if w.is_null() {
            return ptr::null_mut();
        }
        incref(task.cast());
        (*w).task = task;
        xincref(exc);
        (*w).arg = exc;
        ffi::PyObject_GC_Track(w.cast());
        w.cast()
    }
}

/// The done callback that wakes a task up; new reference, null with an exception set.
pub unsafe fn wakeup(b: &Bound, task: *mut TaskObj) -> *mut PyObject {
    // SAFETY: `_asyncio`'s own method definition.
    unsafe { ffi::PyCFunction_NewEx(b.wakeup_def, task.cast(), ptr::null_mut()) }
}
