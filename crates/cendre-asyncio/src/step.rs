//! One step of a task: `_asyncio`'s `task_step` and `task_wakeup` on the same objects.
//!
//! Invariant: what a step does, and in which order, is what `_asyncio` does; anything unusual at the door (another loop is
//! running, a task is entered, the task is done) goes to `_asyncio` before any effect. One thing is new: a coroutine may
//! yield the *marker*, whose suspension `early` has booked already. Read docs/internals/tasks.md, "The step".

use crate::front;
use crate::future::{self, Outcome};
use crate::group;
use crate::layout::{FutureObj, StepWrapper, TaskObj, bit, state as fut_state};
use crate::queue;
use crate::sites;
use crate::state::{self, Bound, Counter, LoopState, Nest};
use cendre_cpython::api;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, incref, new_ref, type_of, xdecref};
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl};
use core::ffi::c_int;
use core::ptr;

/// The slot of the thread's current task.
#[inline(always)]
pub unsafe fn current_task(ts: *mut ThreadState) -> *mut *mut PyObject {
    // SAFETY: every thread state is a ThreadStateImpl.
    unsafe { &raw mut (*ts.cast::<ThreadStateImpl>()).asyncio_running_task }
}

/// Whether nothing is unusual at the door.
unsafe fn usual(ts: *mut ThreadState, task: *mut TaskObj) -> bool {
    // SAFETY: a live task.
    unsafe {
        (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop == (*task).fut.fut_loop
            && (*current_task(ts)).is_null()
            && (*task).fut.state == fut_state::PENDING
            && !(*task).coro.is_null()
    }
}

unsafe fn status(result: *mut PyObject) -> c_int {
    // SAFETY: null or an owned reference.
    unsafe {
        if result.is_null() {
            return -1;
        }
        decref(result);
        0
    }
}

/// Calls a step wrapper.
pub unsafe fn step_by(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, w: *mut StepWrapper) -> c_int {
    // SAFETY: a live wrapper, held by the caller.
    unsafe {
        if !usual(ts, (*w).task) {
            let none = ffi::PyTuple_New(0);
            if none.is_null() {
                return -1;
            }
            let result = (b.step_call)(w.cast(), none, ptr::null_mut());
            decref(none);
            return status(result);
        }
        step(b, ls, ts, (*w).task, (*w).arg)
    }
}

/// A step of a task that stands in the queue without a handle.
pub unsafe fn plain(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, task: *mut TaskObj) -> c_int {
    // SAFETY: a live task, held by the caller.
    unsafe {
        if usual(ts, task) {
            return step(b, ls, ts, task, ptr::null_mut());
        }
        let w = future::step_wrapper(b, task, ptr::null_mut());
        if w.is_null() {
            return -1;
        }
        let failed = step_by(b, ls, ts, w.cast());
        decref(w);
        failed
    }
}

/// Wakes a task up whose future is done.
pub unsafe fn wake(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, task: *mut TaskObj, future: *mut PyObject) -> c_int {
    // SAFETY: live objects, held by the caller.
    unsafe {
        if !usual(ts, task) || !future::is_known(b, future) {
            return status((b.wakeup)(task.cast(), future));
        }
        let f: *mut FutureObj = future.cast();
        if future::awaited_by_discard(f, task.cast()) != 0 {
            return -1;
        }
        match future::outcome(b, f) {
            Outcome::Value(value) => {
                decref(value);
                step(b, ls, ts, task, ptr::null_mut())
            }
            Outcome::Failure(exc) => {
                let failed = step(b, ls, ts, task, exc);
                decref(exc);
                failed
            }
            Outcome::Raised => {
                let exc = ffi::PyErr_GetRaisedException();
                let failed = step(b, ls, ts, task, exc);
                decref(exc);
                failed
            }
        }
    }
}

/// `task_step`: enters the task, resumes its coroutine, deals with what it yields. -1 with an exception set.
unsafe fn step(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, task: *mut TaskObj, exc: *mut PyObject) -> c_int {
    // SAFETY: the task is held by the handle that runs, and here; `nest` is unlinked before it dies.
    unsafe {
        state::count(Counter::Steps);
        incref(task.cast());
        *current_task(ts) = new_ref(task.cast());
        let mut nest = Nest { outer: (*ls).nest, task, booked: false, leaving: ptr::null_mut(), family_at: (*ls).family.len() };
        (*ls).nest = &raw mut nest;
        let site = sites::starts(task);
        let failed = step_inner(b, ls, ts, task, exc, &raw mut nest);
        if let Some(site) = site
            && (*task).fut.state != fut_state::PENDING
        {
            sites::ended_at_once(site);
        }
        (*ls).nest = nest.outer;
        (*ls).family.truncate(nest.family_at);
        let error = if failed != 0 { ffi::PyErr_GetRaisedException() } else { ptr::null_mut() };
        let mut failed = failed;
        if !nest.booked && leave(ts, task) != 0 {
            failed = -1;
        }
        if !error.is_null() {
            api::_PyErr_ChainExceptions1(error);
        }
        decref(task.cast());
        failed
    }
}

/// The first step of a new task, inside the step of another one, as `_asyncio` does it for `eager_start`. -1 with an exception set.
///
/// # Safety
/// `run_ready` runs the task's loop in this thread; a new task, whose context is nobody else's, held by the caller.
pub unsafe fn first(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, task: *mut TaskObj) -> c_int {
    // SAFETY: the caller's contract. The nest is not linked: while it runs, `early` finds that another task is the current one.
    unsafe {
        state::count(Counter::Steps);
        let before = core::mem::replace(&mut *current_task(ts), new_ref(task.cast()));
        let mut nest = Nest { outer: ptr::null_mut(), task, booked: false, leaving: ptr::null_mut(), family_at: 0 };
        let site = sites::starts(task);
        let mut failed = ffi::PyContext_Enter((*task).context);
        if failed == 0 {
            failed = step_inner(b, ls, ts, task, ptr::null_mut(), &raw mut nest);
            let error = if failed != 0 { ffi::PyErr_GetRaisedException() } else { ptr::null_mut() };
            if ffi::PyContext_Exit((*task).context) != 0 {
                failed = -1;
            }
            if !error.is_null() {
                api::_PyErr_ChainExceptions1(error);
            }
        }
        let mine = core::mem::replace(&mut *current_task(ts), before);
        xdecref(mine);
        if (*task).fut.state != fut_state::PENDING {
            if let Some(site) = site {
                sites::ended_at_once(site);
            }
            future::clear(&raw mut (*task).coro);
        }
        failed
    }
}

/// `leave_task`.
#[inline]
unsafe fn leave(ts: *mut ThreadState, task: *mut TaskObj) -> c_int {
    // SAFETY: the running thread's state.
    unsafe {
        let current = current_task(ts);
        if (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop != (*task).fut.fut_loop {
            ffi::PyErr_Format(ffi::PyExc_RuntimeError, c"loop %R is not the running loop".as_ptr(), (*task).fut.fut_loop);
            return -1;
        }
        if *current != task.cast() {
            let other = if (*current).is_null() { ffi::Py_None() } else { *current };
            ffi::PyErr_Format(ffi::PyExc_RuntimeError, c"Invalid attempt to leave task %R while task %R is entered.".as_ptr(), task, other);
            return -1;
        }
        future::clear(current);
        0
    }
}

unsafe fn step_inner(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    task: *mut TaskObj,
    exc: *mut PyObject,
    nest: *mut Nest,
) -> c_int {
    // SAFETY: as for `step`; references made here are given back.
    unsafe {
        let mut thrown = exc;
        let mut made = ptr::null_mut();
        if (*task).fut.has(bit::MUST_CANCEL) {
            if exc.is_null() || ffi::PyErr_GivenExceptionMatches(exc, b.cancelled_error) == 0 {
                made = future::cancelled_error(b, task.cast());
                if made.is_null() {
                    return -1;
                }
                thrown = made;
            }
            (*task).fut.clear(bit::MUST_CANCEL);
        }
        future::clear(&raw mut (*task).fut_waiter);
        let coro = (*task).coro;
        if coro.is_null() {
            xdecref(made);
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"uninitialized Task object".as_ptr());
            return -1;
        }
        let mut result = ptr::null_mut();
        let yielded;
        if thrown.is_null() {
            yielded = ffi::PyIter_Send(coro, ffi::Py_None(), &mut result) == ffi::PySendResult::PYGEN_NEXT;
            if (*ls).nest == nest {
                group::forget(ls);
            }
        } else {
            result = ffi::PyObject_CallMethodOneArg(coro, b.names.throw, thrown);
            yielded = !result.is_null();
            if !yielded && api::_PyGen_FetchStopIterationValue(&mut result) != 0 {
                result = ptr::null_mut();
            }
            xdecref(made);
            group::forget(ls);
        }
        if yielded {
            return suspended(b, ls, task, result, nest);
        }
        if !result.is_null() {
            let failed = if (*task).fut.has(bit::MUST_CANCEL) {
                // Cancelled right before its end.
                (*task).fut.clear(bit::MUST_CANCEL);
                let message = (*task).fut.cancel_msg;
                future::cancel(b, ls, task.cast(), message)
            } else {
                future::set_result(b, ls, task.cast(), result)
            };
            decref(result);
            return failed;
        }
        ended_by_exception(b, ls, ts, task)
    }
}

unsafe fn ended_by_exception(b: &Bound, ls: *mut LoopState, _ts: *mut ThreadState, task: *mut TaskObj) -> c_int {
    // SAFETY: an exception is set; the task is alive.
    unsafe {
        let cancelled = ffi::PyErr_ExceptionMatches(b.cancelled_error) != 0;
        let exc = ffi::PyErr_GetRaisedException();
        if cancelled {
            // A place that may hold an older one.
            let old = (*task).fut.cancelled_exc;
            (*task).fut.cancelled_exc = exc;
            xdecref(old);
            return future::cancel(b, ls, task.cast(), ptr::null_mut());
        }
        if future::set_exception(b, ls, task.cast(), exc) != 0 {
            decref(exc);
            return -1;
        }
        if ffi::PyErr_GivenExceptionMatches(exc, ffi::PyExc_KeyboardInterrupt) != 0
            || ffi::PyErr_GivenExceptionMatches(exc, ffi::PyExc_SystemExit) != 0
        {
            ffi::PyErr_SetRaisedException(exc);
            return -1;
        }
        decref(exc);
        0
    }
}

/// The coroutine yielded `result` (owned).
unsafe fn suspended(b: &Bound, ls: *mut LoopState, task: *mut TaskObj, result: *mut PyObject, nest: *mut Nest) -> c_int {
    // SAFETY: live objects; the reference is passed on or given back.
    unsafe {
        if result == b.marker {
            decref(result);
            let error = (*nest).leaving;
            if error.is_null() {
                return 0;
            }
            (*nest).leaving = ptr::null_mut();
            ffi::PyErr_SetRaisedException(error);
            return -1;
        }
        (*nest).booked = false;
        if result == task.cast() {
            return later_error(b, ls, task, result, c"Task cannot await on itself: %R", false);
        }
        if future::is_known(b, result) {
            let f: *mut FutureObj = result.cast();
            if (*f).fut_loop != (*task).fut.fut_loop {
                return later_error(b, ls, task, result, DIFFERENT_LOOP, true);
            }
            if !(*f).has(bit::BLOCKING) {
                return later_error(b, ls, task, result, NOT_YIELD_FROM, true);
            }
            return wait_for(b, ls, task, result);
        }
        if result == ffi::Py_None() {
            return step_soon(b, ls, task, ptr::null_mut());
        }
        foreign(b, ls, task, result)
    }
}

const DIFFERENT_LOOP: &core::ffi::CStr = c"Task %R got Future %R attached to a different loop";
const NOT_YIELD_FROM: &core::ffi::CStr = c"yield was used instead of yield from in task %R with %R";

/// Books the suspension on a known future: takes the reference.
///
/// Used by both kinds of suspension: from a step's end, and early, before the coroutine has yielded.
pub unsafe fn wait_for(b: &Bound, ls: *mut LoopState, task: *mut TaskObj, result: *mut PyObject) -> c_int {
    // SAFETY: live objects.
    unsafe {
        let f: *mut FutureObj = result.cast();
        if future::awaited_by_add(f, task.cast()) != 0 {
            decref(result);
            return -1;
        }
        (*f).clear(bit::BLOCKING);
        let wakeup = future::wakeup(b, task);
        if wakeup.is_null() {
            decref(result);
            return -1;
        }
        let failed = future::add_done_callback(b, ls, f, wakeup, (*task).context);
        decref(wakeup);
        if failed != 0 {
            decref(result);
            return -1;
        }
        (*task).fut_waiter = result;
        deliver_cancel(b, task, result)
    }
}

/// A cancellation that came while the task was running goes to what it waits for.
unsafe fn deliver_cancel(b: &Bound, task: *mut TaskObj, waiter: *mut PyObject) -> c_int {
    // SAFETY: live objects.
    unsafe {
        if !(*task).fut.has(bit::MUST_CANCEL) {
            return 0;
        }
        let message = if (*task).fut.cancel_msg.is_null() { ffi::Py_None() } else { (*task).fut.cancel_msg };
        incref(message);
        let answer = ffi::PyObject_CallMethodOneArg(waiter, b.names.cancel, message);
        decref(message);
        if answer.is_null() {
            return -1;
        }
        let is = ffi::PyObject_IsTrue(answer);
        decref(answer);
        if is > 0 {
            (*task).fut.clear(bit::MUST_CANCEL);
        }
        if is < 0 { -1 } else { 0 }
    }
}

/// What is neither a known future nor None: compatible futures, and mistakes. Takes the reference.
unsafe fn foreign(b: &Bound, ls: *mut LoopState, task: *mut TaskObj, result: *mut PyObject) -> c_int {
    // SAFETY: live objects; references made here are given back.
    unsafe {
        let mut blocking = ptr::null_mut();
        if ffi::PyObject_GetOptionalAttr(result, b.names.blocking, &mut blocking) < 0 {
            decref(result);
            return -1;
        }
        if blocking.is_null() || blocking == ffi::Py_None() {
            xdecref(blocking);
            let is_generator = ffi::PyObject_IsInstance(result, (&raw mut ffi::PyGen_Type).cast());
            if is_generator < 0 {
                decref(result);
                return -1;
            }
            if is_generator > 0 {
                let text = c"yield was used instead of yield from for generator in task %R with %R";
                return later_error(b, ls, task, result, text, true);
            }
            let error = formatted(c"Task got bad yield: %R", result, ptr::null_mut());
            decref(result);
            return step_later(b, ls, task, error);
        }
        let is_blocking = ffi::PyObject_IsTrue(blocking);
        decref(blocking);
        if is_blocking < 0 {
            decref(result);
            return -1;
        }
        let mut looop = ptr::null_mut();
        let mut get_loop = ptr::null_mut();
        if ffi::PyObject_GetOptionalAttr(result, b.names.get_loop, &mut get_loop) >= 0 {
            if get_loop.is_null() {
                looop = ffi::PyObject_GetAttr(result, b.names.loop_);
            } else {
                looop = ffi::PyObject_CallNoArgs(get_loop);
                decref(get_loop);
            }
        }
        if looop.is_null() {
            decref(result);
            return -1;
        }
        let same = looop == (*task).fut.fut_loop;
        decref(looop);
        if !same {
            return later_error(b, ls, task, result, DIFFERENT_LOOP, true);
        }
        if is_blocking == 0 {
            return later_error(b, ls, task, result, NOT_YIELD_FROM, true);
        }
        let failed = (future::is_future(b, result) && future::awaited_by_add(result.cast(), task.cast()) != 0)
            || ffi::PyObject_SetAttr(result, b.names.blocking, ffi::Py_False()) != 0
            || !calls_back(b, task, result);
        if failed {
            decref(result);
            return -1;
        }
        (*task).fut_waiter = result;
        deliver_cancel(b, task, result)
    }
}

/// `result.add_done_callback(wakeup, context=context)`.
unsafe fn calls_back(b: &Bound, task: *mut TaskObj, result: *mut PyObject) -> bool {
    // SAFETY: live objects; references made here are given back.
    unsafe {
        let wakeup = future::wakeup(b, task);
        if wakeup.is_null() {
            return false;
        }
        let stack = [result, wakeup, (*task).context];
        let done = ffi::PyObject_VectorcallMethod(b.names.add_done_callback, stack.as_ptr(), 2, b.context_kwname);
        decref(wakeup);
        xdecref(done);
        !done.is_null()
    }
}

/// A RuntimeError with this text, new reference, or null with an exception set.
unsafe fn formatted(text: &core::ffi::CStr, first: *mut PyObject, second: *mut PyObject) -> *mut PyObject {
    // SAFETY: the texts here take one or two objects.
    unsafe {
        let message = ffi::PyUnicode_FromFormat(text.as_ptr(), first, second);
        if message.is_null() {
            return message;
        }
        let error = ffi::PyObject_CallOneArg(ffi::PyExc_RuntimeError, message);
        decref(message);
        error
    }
}

/// The task will get a RuntimeError at its next step; takes the reference to `result`.
unsafe fn later_error(
    b: &Bound,
    ls: *mut LoopState,
    task: *mut TaskObj,
    result: *mut PyObject,
    text: &core::ffi::CStr,
    two: bool,
) -> c_int {
    // SAFETY: live objects.
    unsafe {
        let error = formatted(text, task.cast(), if two { result } else { ptr::null_mut() });
        decref(result);
        step_later(b, ls, task, error)
    }
}

/// The task gets this exception (taken, may be null) at its next step.
unsafe fn step_later(b: &Bound, ls: *mut LoopState, task: *mut TaskObj, error: *mut PyObject) -> c_int {
    // SAFETY: live objects.
    unsafe {
        if error.is_null() {
            return -1;
        }
        let failed = step_soon(b, ls, task, error);
        decref(error);
        failed
    }
}

/// Another step of the task, with this exception (may be null), goes to the end of its loop's queue.
unsafe fn step_soon(b: &Bound, ls: *mut LoopState, task: *mut TaskObj, error: *mut PyObject) -> c_int {
    // SAFETY: live objects.
    unsafe {
        if error.is_null() && (*ls).looop == (*task).fut.fut_loop && (*ls).plain_call_soon && queue::is_open(b, ls, ThreadState::current())
        {
            return front::put_step(b, ls, task);
        }
        let w = future::step_wrapper(b, task, error);
        if w.is_null() {
            return -1;
        }
        let context = new_ref((*task).context);
        let failed = queue::call_soon(b, ls, (*task).fut.fut_loop, w, ptr::null_mut(), context);
        decref(context);
        decref(w);
        failed
    }
}

/// `tp_call` of step wrappers.
pub unsafe extern "C" fn step_call(op: *mut PyObject, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of that type; the hook is set after `bind`.
    unsafe {
        let b = &*state::bound();
        let w: *mut StepWrapper = op.cast();
        let no_arguments = (args.is_null() || ffi::PyTuple_GET_SIZE(args) == 0) && (kwargs.is_null() || ffi::PyDict_Size(kwargs) == 0);
        let ls = state::find((*(*w).task).fut.fut_loop);
        if ls.is_null() || !no_arguments {
            return (b.step_call)(op, args, kwargs);
        }
        if step_by(b, ls, ThreadState::current(), w) != 0 { ptr::null_mut() } else { ffi::Py_None() }
    }
}

/// What asyncio's wake-up callback calls.
pub unsafe extern "C" fn wakeup(op: *mut PyObject, future: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the task that the callback belongs to; the hook is set after `bind`.
    unsafe {
        let b = &*state::bound();
        let task: *mut TaskObj = op.cast();
        let ls = state::find((*task).fut.fut_loop);
        if ls.is_null() {
            return (b.wakeup)(op, future);
        }
        if wake(b, ls, ThreadState::current(), task, future) != 0 { ptr::null_mut() } else { ffi::Py_None() }
    }
}

/// Whether a task has not started and would start by this wrapper.
pub unsafe fn is_first(w: *mut StepWrapper) -> bool {
    // SAFETY: a live wrapper; a coroutine's state is read of exact coroutines only.
    unsafe {
        let task = (*w).task;
        !task.is_null() && (*w).arg.is_null() && has_not_started(task)
    }
}

/// Whether the coroutine of a task has not started.
pub unsafe fn has_not_started(task: *mut TaskObj) -> bool {
    // SAFETY: a live task.
    unsafe {
        let coro = (*task).coro;
        !coro.is_null()
            && type_of(coro) == &raw mut ffi::PyCoro_Type
            && (*coro.cast::<cendre_cpython::GenObject>()).gi_frame_state == cendre_cpython::genobject::frame_state::FRAME_CREATED
    }
}
