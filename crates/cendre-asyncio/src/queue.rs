//! The ready queue: putting handles in, and running one iteration's worth of them.
//!
//! Where the queue is while it is being run: `front.rs`.
//!
//! Invariant: [`LoopState::todo`] is what stock's `for i in range(ntodo)` has left to do, wherever handles are taken from the
//! queue; the handle taken last is kept until the next one is taken, as stock's local variable does (that is when a finished
//! task may die). Read docs/internals/tasks.md, "Iterations".

use crate::attrs::{self, Attr};
use crate::clock::{self, Poll};
use crate::family;
use crate::fanout;
use crate::front::{self, Taken};
use crate::group;
use crate::layout::{CFunction, FutureObj, StepWrapper, TaskObj};
use crate::look;
use crate::parts;
use crate::state::{self, Bound, Counter, LoopState, check};
use crate::step;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, incref, new_ref, type_of, xdecref};
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_int;
use core::ptr;

/// A slot of an exact `Handle`.
#[inline(always)]
pub unsafe fn slot(handle: *mut PyObject, offset: usize) -> *mut *mut PyObject {
    // SAFETY: an offset that a member descriptor of the class gave.
    unsafe { handle.byte_add(offset).cast() }
}

/// `loop.call_soon(callback, arg, context=context)`; no argument if `arg` is null. -1 with an exception set.
#[expect(clippy::indexing_slicing, reason = "`n` is two or three of four")]
pub unsafe fn call_soon(
    b: &Bound,
    ls: *mut LoopState,
    looop: *mut PyObject,
    callback: *mut PyObject,
    arg: *mut PyObject,
    context: *mut PyObject,
) -> c_int {
    // SAFETY: live objects, `context` may be null; the state is null or that of some loop.
    unsafe {
        let ours = !ls.is_null() && (*ls).looop == looop && (*ls).plain_call_soon && is_open(b, ls, ThreadState::current());
        if ours && !context.is_null() {
            if !arg.is_null() && front::put_call(b, ls, callback, arg, context) {
                return 0;
            }
            let args = if arg.is_null() { ffi::PyTuple_New(0) } else { ffi::PyTuple_Pack(1, arg) };
            let handle = make_handle(b, looop, callback, args, context);
            return front::put(b, ls, handle);
        }
        let mut stack = [looop, callback, arg, ptr::null_mut()];
        let n = if arg.is_null() { 2 } else { 3 };
        let mut names = ptr::null_mut();
        if !context.is_null() {
            stack[n] = context;
            names = b.context_kwname;
        }
        let handle = ffi::PyObject_VectorcallMethod(b.names.call_soon, stack.as_ptr(), n, names);
        if handle.is_null() {
            return -1;
        }
        decref(handle);
        0
    }
}

/// Whether what is put into the queue may be put there natively now: the loop's queue is being run, or without a policy the loop is.
#[inline(always)]
pub unsafe fn is_open(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState) -> bool {
    // SAFETY: the running thread's state.
    unsafe { if (*ls).parts { !parts::deque_of(b, ls, ts).is_null() } else { !(*ls).ready.is_null() } }
}

/// `Handle(callback, args, loop, context)`; takes the tuple of arguments (null: an exception is set).
pub unsafe fn make_handle(
    b: &Bound,
    looop: *mut PyObject,
    callback: *mut PyObject,
    args: *mut PyObject,
    context: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: a class with slots whose offsets were read from its descriptors; a new object's slots are null.
    unsafe {
        if args.is_null() {
            return ptr::null_mut();
        }
        let Some(alloc) = (*b.handle).tp_alloc else {
            decref(args);
            return ptr::null_mut();
        };
        let handle = alloc(b.handle, 0);
        if handle.is_null() {
            decref(args);
            return ptr::null_mut();
        }
        *slot(handle, b.h_callback) = new_ref(callback);
        *slot(handle, b.h_args) = args;
        *slot(handle, b.h_cancelled) = ffi::Py_False();
        *slot(handle, b.h_loop) = new_ref(looop);
        *slot(handle, b.h_context) = new_ref(context);
        *slot(handle, b.h_source_tb) = ffi::Py_None();
        *slot(handle, b.h_repr) = ffi::Py_None();
        handle
    }
}

/// `BaseEventLoop.call_soon`: natively for a loop whose queue is being run, else as the function that was there does it.
///
/// # Safety
/// Called by CPython as a METH_FASTCALL | METH_KEYWORDS method; the hook is set after `bind`.
pub unsafe extern "C" fn call_soon_method(
    this: *mut PyObject,
    args: *const *mut PyObject,
    n: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's contract: `n` positional arguments, then one for each name.
    unsafe {
        let b = &*state::bound();
        let ls = state::find(this);
        if !ls.is_null()
            && !(*ls).parts
            && (*ls).thread == (*ThreadState::current()).id
            && attrs::truth(b, ls, Attr::Debug) == Some(false)
            && let Some(handle) = called_soon(b, ls, this, args, n, names)
        {
            return handle;
        }
        let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
        // The stock function, with `self` in front.
        let all = ffi::PyTuple_New(n + 1);
        if all.is_null() {
            return all;
        }
        ffi::PyTuple_SetItem(all, 0, new_ref(this));
        for i in 0..n {
            ffi::PyTuple_SetItem(all, i + 1, new_ref(*args.offset(i)));
        }
        let mut keyword = ptr::null_mut();
        if keywords > 0 {
            keyword = ffi::PyDict_New();
            for i in 0..keywords {
                if keyword.is_null() || ffi::PyDict_SetItem(keyword, ffi::PyTuple_GET_ITEM(names, i), *args.offset(n + i)) != 0 {
                    xdecref(keyword);
                    decref(all);
                    return ptr::null_mut();
                }
            }
        }
        let answer = ffi::PyObject_Call(b.call_soon, all, keyword);
        decref(all);
        xdecref(keyword);
        answer
    }
}

/// `call_soon(callback, *args, context=...)` with `n` positional arguments: the handle (new reference, null with an exception set), or
/// None: nothing was done.
pub unsafe fn called_soon(
    b: &Bound,
    ls: *mut LoopState,
    this: *mut PyObject,
    args: *const *mut PyObject,
    n: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<*mut PyObject> {
    // SAFETY: `n` positional arguments, then one for each name; this thread runs the loop.
    unsafe {
        let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
        let only_context = keywords == 0 || keywords == 1 && ffi::PyUnicode_Compare(ffi::PyTuple_GET_ITEM(names, 0), b.names.context) == 0;
        let ts = ThreadState::current();
        if n < 1 || !only_context || !(*ls).plain_call_soon || !is_open(b, ls, ts) {
            return None;
        }
        let given = if keywords == 1 { *args.offset(n) } else { ffi::Py_None() };
        let context = if given == ffi::Py_None() { ffi::PyContext_CopyCurrent() } else { new_ref(given) };
        if context.is_null() {
            return Some(context);
        }
        let rest = ffi::PyTuple_New(n - 1);
        if rest.is_null() {
            decref(context);
            return Some(rest);
        }
        for i in 1..n {
            ffi::PyTuple_SetItem(rest, i - 1, new_ref(*args.offset(i)));
        }
        let handle = make_handle(b, this, *args, rest, context);
        decref(context);
        if handle.is_null() {
            return Some(handle);
        }
        if front::put(b, ls, new_ref(handle)) != 0 {
            decref(handle);
            return Some(ptr::null_mut());
        }
        if type_of(*args) == b.step_wrapper && step::is_first((*args).cast()) {
            family::born(ls, ts);
        }
        Some(handle)
    }
}

/// What a handle in the queue is.
pub enum Kind {
    /// `handle.cancel()` was called.
    Cancelled,
    /// A step of a task (an exception to throw, or null).
    Step(*mut StepWrapper),
    /// A step of a task, without a handle.
    TaskStep(*mut TaskObj),
    /// A wake-up of this task by this future.
    Wakeup(*mut TaskObj, *mut PyObject),
    /// A callback of asyncio's own.
    Internal,
    /// Anything else.
    Other,
}

/// Looks at a handle without running anything.
pub unsafe fn kind(b: &Bound, handle: *mut PyObject) -> Kind {
    // SAFETY: a live object; slots are read of exact handles only; a tuple's items are alive.
    unsafe {
        if type_of(handle) != b.handle {
            return Kind::Other;
        }
        if *slot(handle, b.h_cancelled) == ffi::Py_True() {
            return Kind::Cancelled;
        }
        let (callback, args) = (*slot(handle, b.h_callback), *slot(handle, b.h_args));
        if callback.is_null() || args.is_null() || type_of(args) != &raw mut ffi::PyTuple_Type {
            return Kind::Other;
        }
        let n = ffi::PyTuple_GET_SIZE(args);
        if type_of(callback) == b.step_wrapper {
            return if n == 0 { Kind::Step(callback.cast()) } else { Kind::Other };
        }
        if n != 1 {
            let code = code_of(callback);
            return if !code.is_null() && b.internal.contains(&code) { Kind::Internal } else { Kind::Other };
        }
        kind_of_call(b, callback, ffi::PyTuple_GET_ITEM(args, 0))
    }
}

/// What `callback(future)` is.
#[inline]
pub unsafe fn kind_of_call(b: &Bound, callback: *mut PyObject, future: *mut PyObject) -> Kind {
    // SAFETY: live objects.
    unsafe {
        if type_of(callback) == &raw mut ffi::PyCFunction_Type {
            let f: *mut CFunction = callback.cast();
            return if (*f).m_ml == b.wakeup_def { Kind::Wakeup((*f).m_self.cast(), future) } else { Kind::Other };
        }
        let code = code_of(callback);
        // What comes most often is looked for first.
        let internal = code == b.fanout.group_done || code == b.fanout.gather_done || !code.is_null() && b.internal.contains(&code);
        if internal { Kind::Internal } else { Kind::Other }
    }
}

/// The code object of a function or bound method, borrowed, or null.
#[inline]
pub unsafe fn code_of(callable: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live object; the types are checked before fields are read.
    unsafe {
        let mut f = callable;
        if std::ptr::eq(type_of(f), &raw const cendre_cpython::api::PyMethod_Type) {
            f = (*f.cast::<cendre_cpython::methodobject::MethodObject>()).im_func;
        }
        if type_of(f) == &raw mut ffi::PyFunction_Type {
            return (*f.cast::<cendre_cpython::FunctionObject>()).func_code.cast();
        }
        ptr::null_mut()
    }
}

/// Runs what was taken, as `Handle._run` does. -1: an exception leaves the loop (KeyboardInterrupt and its kind) and is set.
pub unsafe fn run(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, taken: Taken) -> c_int {
    // SAFETY: what was taken is kept by the state, until the next is taken: so it is held here.
    unsafe {
        match taken {
            Taken::Handle(handle) => run_handle(b, ls, ts, handle),
            Taken::Step(task) => {
                incref(task.cast());
                let context = new_ref((*task).context);
                let mut failed = ffi::PyContext_Enter(context);
                if failed == 0 {
                    failed = leave_context(step::plain(b, ls, ts, task), context);
                }
                if failed != 0 && !is_interrupt(ts) {
                    failed = report(b, || front::step_handle(b, ls, task));
                }
                decref(context);
                decref(task.cast());
                failed
            }
            Taken::Call { callback, future, context } => {
                if let Some(done) = fanout::done(b, ls, callback, future) {
                    return done;
                }
                let context = group::context_of_its_own(b, callback, context);
                if context.is_null() {
                    return -1;
                }
                incref(callback);
                incref(future);
                let mut failed = ffi::PyContext_Enter(context);
                if failed == 0 {
                    failed = match kind_of_call(b, callback, future) {
                        Kind::Wakeup(task, future) => step::wake(b, ls, ts, task, future),
                        _ => {
                            let done = ffi::PyObject_CallOneArg(callback, future);
                            xdecref(done);
                            if done.is_null() { -1 } else { 0 }
                        }
                    };
                    failed = leave_context(failed, context);
                }
                if failed != 0 && !is_interrupt(ts) {
                    failed = report(b, || make_handle(b, (*ls).looop, callback, ffi::PyTuple_Pack(1, future), context));
                }
                decref(callback);
                decref(future);
                decref(context);
                failed
            }
        }
    }
}

/// Leaves a context; an exception that is set stays.
unsafe fn leave_context(failed: c_int, context: *mut PyObject) -> c_int {
    // SAFETY: a context that was entered.
    unsafe {
        if failed == 0 {
            return ffi::PyContext_Exit(context);
        }
        let error = ffi::PyErr_GetRaisedException();
        if ffi::PyContext_Exit(context) != 0 {
            ffi::PyErr_Clear();
        }
        ffi::PyErr_SetRaisedException(error);
        failed
    }
}

/// Gives the exception that is set to the loop's handler, with the handle that it came from.
unsafe fn report(b: &Bound, handle: impl FnOnce() -> *mut PyObject) -> c_int {
    // SAFETY: an exception is set; references made here are given back.
    unsafe {
        let error = ffi::PyErr_GetRaisedException();
        let handle = handle();
        if handle.is_null() {
            decref(error);
            return -1;
        }
        let done = ffi::PyObject_CallFunctionObjArgs(b.failed, handle, error, ptr::null_mut::<PyObject>());
        decref(error);
        decref(handle);
        xdecref(done);
        if done.is_null() { -1 } else { 0 }
    }
}

/// Runs a handle.
unsafe fn run_handle(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, handle: *mut PyObject) -> c_int {
    // SAFETY: a live handle; what is used during the call is held.
    unsafe {
        let kind = kind(b, handle);
        if matches!(kind, Kind::Cancelled | Kind::Other) {
            incref(handle);
            let done = ffi::PyObject_CallMethodNoArgs(handle, b.names.run);
            decref(handle);
            if done.is_null() {
                return -1;
            }
            decref(done);
            return 0;
        }
        let (callback, args) = (*slot(handle, b.h_callback), *slot(handle, b.h_args));
        if matches!(kind, Kind::Internal)
            && ffi::PyTuple_GET_SIZE(args) == 1
            && let Some(done) = fanout::done(b, ls, callback, ffi::PyTuple_GET_ITEM(args, 0))
        {
            return done;
        }
        incref(handle);
        let callback = new_ref(callback);
        let args = new_ref(args);
        let context = group::context_of_its_own(b, callback, *slot(handle, b.h_context));
        if context.is_null() {
            decref(callback);
            decref(args);
            decref(handle);
            return -1;
        }
        let mut failed = ffi::PyContext_Enter(context);
        if failed == 0 {
            failed = match kind {
                Kind::Step(w) => step::step_by(b, ls, ts, w),
                Kind::Wakeup(task, future) => step::wake(b, ls, ts, task, future),
                _ => {
                    let done = ffi::PyObject_CallObject(callback, args);
                    xdecref(done);
                    if done.is_null() { -1 } else { 0 }
                }
            };
            failed = leave_context(failed, context);
        }
        decref(callback);
        decref(args);
        decref(context);
        if failed != 0 && !is_interrupt(ts) {
            failed = report(b, || new_ref(handle));
        }
        decref(handle);
        failed
    }
}

/// Whether the exception that is set is one that `Handle._run` lets through.
pub unsafe fn is_interrupt(ts: *mut ThreadState) -> bool {
    // SAFETY: the running thread's state.
    unsafe {
        !(*ts).current_exception.is_null()
            && (ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyboardInterrupt) != 0 || ffi::PyErr_ExceptionMatches(ffi::PyExc_SystemExit) != 0)
    }
}

/// The last part of an iteration of the loop: runs what is ready now, in order. -1 with an exception set.
///
/// # Safety
/// The GIL is held; the loop runs in this thread and has just polled.
pub unsafe fn run_ready(b: &Bound, ls: *mut LoopState) -> c_int {
    // SAFETY: the queue is held here; the state lives as long as its loop, which the caller holds.
    unsafe {
        let ts = ThreadState::current();
        // What stands in front is looked at by nobody: no reason to give it a handle.
        let fronted = (*ls).fronted;
        let ready = if fronted { look::queue_of((*ls).looop) } else { ffi::PyObject_GetAttr((*ls).looop, b.names.ready) };
        if ready.is_null() {
            return -1;
        }
        let n = if fronted { front::size(ls) as isize } else { ffi::PyObject_Size(ready) };
        if n < 0 {
            decref(ready);
            return -1;
        }
        (*ls).ready = ready;
        (*ls).thread = (*ts).id;
        (*ls).todo = n as usize;
        (*ls).iteration_end = (*ls).next_number();
        (*ls).running = is_running(b, ls);
        (*ls).last_poll = Some(Poll::now());
        (*ls).base_frame = (*ts).current_frame;
        (*ls).base_exc_info = (*ts).exc_info;
        (*ls).base_recursion = (*ts).py_recursion_remaining;
        let mut failed = 0;
        loop {
            if !(*ls).fronted {
                front::take_over(b, ls);
            }
            // Beyond this iteration only while the queue is here.
            if (*ls).todo == 0 && !((*ls).fronted && front::size(ls) > 0 && may_take(b, ls, false)) {
                break;
            }
            let Some(taken) = front::take(b, ls) else {
                failed = -1;
                break;
            };
            if let Taken::Handle(handle) = taken
                && cancelled(b, handle)
            {
                continue;
            }
            (*ls).outer_since = None;
            failed = run(b, ls, ts, taken);
            if failed != 0 {
                break;
            }
            if let Some(since) = (*ls).outer_since
                && let Some(now) = clock::now(b, ls)
            {
                state::out_of_turn(now - since);
            }
        }
        let error = if failed != 0 { ffi::PyErr_GetRaisedException() } else { ptr::null_mut() };
        if failed != 0 || front::size(ls) == 0 || !goes_on(b, ls) {
            front::flush(b, ls);
        }
        (*ls).ready = ptr::null_mut();
        (*ls).todo = 0;
        if failed == 0 {
            drop_handle(ls);
        }
        decref(ready);
        if failed != 0 {
            ffi::PyErr_SetRaisedException(error);
        }
        failed
    }
}

/// Whether the loop is in `run_forever`; else somebody calls `_run_once` by hand, and means one iteration.
unsafe fn is_running(b: &Bound, ls: *mut LoopState) -> bool {
    // SAFETY: a live loop; the reference is given back.
    unsafe {
        let thread = attrs::get(b, ls, Attr::ThreadId);
        if thread.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        decref(thread);
        thread != ffi::Py_None()
    }
}

/// Whether the loop comes back for what is left: nobody else can be waiting for it meanwhile, and whoever looks is seen.
unsafe fn goes_on(b: &Bound, ls: *mut LoopState) -> bool {
    // SAFETY: a live loop.
    unsafe { (*ls).running && (*ls).plain_attributes && attrs::truth(b, ls, Attr::Stopping) == Some(false) }
}

/// Gives up the handle that was taken last. After a failure the loop's frame takes it, as in stock, where the exception's
/// traceback keeps it.
///
/// # Safety
/// The GIL is held.
pub unsafe fn drop_handle(ls: *mut LoopState) {
    // SAFETY: the caller's contract; the state owns the reference.
    unsafe {
        for last in core::mem::take(&mut (*ls).kept) {
            xdecref(last);
        }
    }
}

/// `handle._cancelled`, of any kind of handle.
unsafe fn cancelled(b: &Bound, handle: *mut PyObject) -> bool {
    // SAFETY: subclasses of Handle have its slots at the same offsets.
    unsafe {
        if type_of(handle) == b.handle || ffi::PyType_IsSubtype(type_of(handle), b.handle) != 0 {
            return *slot(handle, b.h_cancelled) == ffi::Py_True();
        }
        false
    }
}

/// Whether another handle may be taken: one is left in this iteration, or a virtual iteration may be opened, which does what
/// a real one does when no event is there and no timer is due. It is opened here, with what is in the queue now. `asked`: `may_open` has said
/// so, and nothing has run since.
#[inline]
pub unsafe fn may_take(b: &Bound, ls: *mut LoopState, asked: bool) -> bool {
    // SAFETY: `ready` is alive while `run_ready` runs.
    unsafe {
        if (*ls).todo > 0 {
            return true;
        }
        if !asked && !may_open(b, ls) {
            return false;
        }
        // What was asked may have run Python code.
        if front::size(ls) == 0 {
            return false;
        }
        front::open_iteration(ls);
        state::count(Counter::VirtualIterations);
        true
    }
}

/// Whether an iteration that begins now would find nothing but the queue.
pub unsafe fn may_open(b: &Bound, ls: *mut LoopState) -> bool {
    // SAFETY: as above.
    unsafe {
        if !(*ls).running || (*ls).last_poll.is_none_or(|at| at.is_over((*ls).budget)) {
            return false;
        }
        if (*ls).checks(check::STOP) && attrs::truth(b, ls, Attr::Stopping) != Some(false) {
            return false;
        }
        !(*ls).checks(check::TIMERS) || timer_due(b, ls) == Some(false)
    }
}

/// Whether the first timer would be moved to the queue by an iteration that begins now (cancelled ones count); None if it
/// cannot be told.
unsafe fn timer_due(b: &Bound, ls: *mut LoopState) -> Option<bool> {
    // SAFETY: a live loop; every reference is given back.
    unsafe {
        let looop = (*ls).looop;
        let list = attrs::get(b, ls, Attr::Scheduled);
        if list.is_null() || type_of(list) != &raw mut ffi::PyList_Type {
            ffi::PyErr_Clear();
            xdecref(list);
            return None;
        }
        if ffi::PyList_GET_SIZE(list) == 0 {
            decref(list);
            return Some(false);
        }
        let first = new_ref(ffi::PyList_GET_ITEM(list, 0));
        decref(list);
        let when = ffi::PyObject_GetAttr(first, b.names.when);
        let resolution = attrs::get(b, ls, Attr::ClockResolution);
        let mut due = None;
        if !when.is_null() && !resolution.is_null() {
            let end = if (*ls).plain_time {
                clock::now(b, ls).map_or(ptr::null_mut(), |now| ffi::PyFloat_FromDouble(now + ffi::PyFloat_AsDouble(resolution)))
            } else {
                let now = ffi::PyObject_CallMethodNoArgs(looop, b.names.time);
                let end = if now.is_null() { now } else { ffi::PyNumber_Add(now, resolution) };
                xdecref(now);
                end
            };
            if !end.is_null() {
                let later = ffi::PyObject_RichCompareBool(when, end, ffi::Py_GE);
                if later >= 0 {
                    due = Some(later == 0);
                }
                decref(end);
            }
        }
        if due.is_none() && !ffi::PyErr_Occurred().is_null() {
            state::fault(looop);
        }
        xdecref(when);
        xdecref(resolution);
        decref(first);
        due
    }
}

/// The future of an iterator that is still open, or null.
pub unsafe fn future_of(it: *mut PyObject) -> *mut FutureObj {
    // SAFETY: called with an object of the future iterator's type.
    unsafe { (*it.cast::<crate::layout::FutureIter>()).future }
}
