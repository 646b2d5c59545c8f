//! `asyncio.eager_task_factory` natively: a new task's first step inside the call that makes it.
//!
//! Invariant: as in `fanout.rs`; what the children do in their first steps counts: everything that decides is looked at again after each. A
//! child runs on top of its parent, which stays the innermost [`Nest`]: so nothing else ever runs early here.
//! Read docs/internals/tasks.md, "Fan-out".

use crate::fanout;
use crate::future;
use crate::layout::{FutureObj, state as fut_state};
use crate::state::{self, Bound, Counter, LoopState};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, new_ref, xdecref};
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_int;
use core::ptr;

/// The future of an argument of `gather`, new reference, null with an exception set.
unsafe fn future_of(b: &Bound, ts: *mut ThreadState, looop: *mut PyObject, arg: *mut PyObject, site: Option<usize>) -> *mut PyObject {
    // SAFETY: a live coroutine or future.
    unsafe {
        let ensures = fanout::ensures(b);
        if ensures && future::is_known(b, arg) {
            return new_ref(arg);
        }
        if let Some((ls, true)) = fanout::natural(b, ts, looop)
            && ensures
        {
            let task: *mut FutureObj = fanout::new_task(b, ls, ts, arg, site, true).cast();
            if !task.is_null() {
                (*task).clear(crate::layout::bit::LOG_DESTROY);
            }
            return task.cast();
        }
        // An earlier child has changed something.
        let function = ffi::PyDict_GetItemWithError(b.fanout.tasks_dict, b.names.ensure_future);
        if function.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_NameError, b.names.ensure_future);
            return ptr::null_mut();
        }
        let (function, stack) = (new_ref(function), [arg, looop]);
        let found = ffi::PyObject_Vectorcall(function, stack.as_ptr(), 1, b.loop_kwname);
        decref(function);
        if !found.is_null() && found != arg && ffi::PyObject_SetAttr(found, b.names.log_destroy, ffi::Py_False()) != 0 {
            decref(found);
            return ptr::null_mut();
        }
        found
    }
}

/// Whether a child of `gather` is done, or else now calls back: 1, 0, or -1 with an exception set.
unsafe fn watch(b: &Bound, ls: *mut LoopState, parent: *mut PyObject, child: *mut PyObject, callback: *mut PyObject) -> c_int {
    // SAFETY: live objects.
    unsafe {
        if future::is_known(b, child) {
            let f: *mut FutureObj = child.cast();
            if (*f).state != fut_state::PENDING {
                return 1;
            }
            let context = ffi::PyContext_CopyCurrent();
            let failed =
                context.is_null() || future::awaited_by_add(f, parent) != 0 || future::add_done_callback(b, ls, f, callback, context) != 0;
            xdecref(context);
            return if failed { -1 } else { 0 };
        }
        let done = ffi::PyObject_CallMethodNoArgs(child, b.names.done);
        let is = if done.is_null() { -1 } else { ffi::PyObject_IsTrue(done) };
        xdecref(done);
        if is != 0 {
            return is;
        }
        if future::is_future(b, child) && future::awaited_by_add(child.cast(), parent) != 0 {
            return -1;
        }
        let added = ffi::PyObject_CallMethodOneArg(child, b.names.add_done_callback, callback);
        xdecref(added);
        if added.is_null() { -1 } else { 0 }
    }
}

/// Fills the list with what `gather` waits for: its futures, of which those that are done are called for at the end, when there is something to be
/// set. 0, or -1 with an exception set.
pub unsafe fn children(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    parent: *mut PyObject,
    args: &[*mut PyObject],
    (list, callback, site): (*mut PyObject, *mut PyObject, Option<usize>),
    done: &mut Vec<*mut PyObject>,
) -> c_int {
    // SAFETY: live objects; the arguments are held by the caller of `gather`, the children by the list.
    unsafe {
        for &arg in args {
            let child = future_of(b, ts, (*ls).looop, arg, site);
            if child.is_null() {
                return -1;
            }
            let is = watch(b, ls, parent, child, callback);
            if is > 0 {
                done.push(child);
            }
            let failed = is < 0 || ffi::PyList_Append(list, child) != 0;
            decref(child);
            if failed {
                return -1;
            }
        }
        0
    }
}

/// `_done_callback(future)` for each child that was done at once. 0, or -1 with an exception set.
pub unsafe fn call_done(b: &Bound, ls: *mut LoopState, callback: *mut PyObject, done: &[*mut PyObject]) -> c_int {
    // SAFETY: live objects, held by the list of children.
    unsafe {
        for &child in done {
            let failed = match fanout::done(b, ls, callback, child) {
                Some(failed) => failed,
                None => {
                    let answer = ffi::PyObject_CallOneArg(callback, child);
                    xdecref(answer);
                    if answer.is_null() { -1 } else { 0 }
                }
            };
            if failed != 0 {
                return -1;
            }
        }
        state::count(Counter::GathersMade);
        0
    }
}
