//! The queue while it is being run: entries without a `Handle` where nobody can have seen one.
//!
//! While [`LoopState::fronted`] is true, `front` is the whole queue and the deque `_ready` is empty; else the deque is the whole queue.
//! Each entry has a number; the one at the head is `head`, and numbers go on without end, so that an entry is found by its number until it was
//! taken or the queue went back into the deque. Whoever takes an entry from the middle leaves `Gone` there.
//! Invariant: [`LoopState::todo`] counts what is left of the iteration: live entries whose number is below `iteration_end`.
//! Read docs/internals/tasks.md, "The queue".

use crate::future;
use crate::layout::TaskObj;
use crate::look;
use crate::parts;
use crate::queue::{self, Kind, slot};
use crate::state::{self, Bound, Entry, LoopState};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, incref, new_ref, refcnt, type_of, xdecref};
use core::ffi::c_int;
use core::ptr;

impl LoopState {
    /// The number that the next entry will have.
    #[inline(always)]
    pub fn next_number(&self) -> u64 {
        self.head + self.front.len() as u64
    }

    /// The entry with this number, if it is still in the queue.
    #[inline(always)]
    pub fn entry(&self, number: u64) -> Option<&Entry> {
        let entry = self.front.get(number.checked_sub(self.head)? as usize)?;
        if matches!(entry, Entry::Gone) { None } else { Some(entry) }
    }

    #[inline(always)]
    fn trim(&mut self) {
        while self.gone != 0 && matches!(self.front.front(), Some(Entry::Gone)) {
            self.front.pop_front();
            self.head += 1;
            self.gone -= 1;
        }
    }
}

/// Takes the deque's handles over, if nobody else can see that they are not there.
///
/// # Safety
/// `run_ready` runs, and `ready` is its queue.
pub unsafe fn take_over(b: &Bound, ls: *mut LoopState) {
    // SAFETY: the caller's contract; the loop's reference to the deque and ours: nobody can look but through the loop.
    unsafe {
        let ready = (*ls).ready;
        if (*ls).fronted || !(*ls).plain_ready || !(*ls).plain_call_soon || type_of(ready) != b.fanout.deque || refcnt(ready) != 2 {
            return;
        }
        (*ls).fronted = true;
        (*ls).iteration_end = (*ls).next_number() + (*ls).todo as u64;
        while ffi::Py_SIZE(ready) > 0 {
            let handle = ffi::PyObject_CallMethodNoArgs(ready, b.names.popleft);
            if handle.is_null() {
                ffi::PyErr_Clear();
                return;
            }
            (*ls).front.push_back(Entry::Handle(handle));
        }
    }
}

/// Everything gets a handle in the deque, where it stays until `take_over`.
///
/// # Safety
/// A live loop; the GIL is held.
pub unsafe fn flush(b: &Bound, ls: *mut LoopState) {
    // SAFETY: the caller's contract; entries own what they hold.
    unsafe {
        if !(*ls).fronted {
            return;
        }
        (*ls).fronted = false;
        // Between two runs nobody holds the deque but the loop.
        let ready = if (*ls).ready.is_null() { look::queue_of((*ls).looop) } else { new_ref((*ls).ready) };
        if ready.is_null() {
            state::fault((*ls).looop);
        }
        (*ls).head = (*ls).next_number();
        (*ls).gone = 0;
        while let Some(entry) = (*ls).front.pop_front() {
            let handle = match entry {
                Entry::Gone => continue,
                Entry::Handle(handle) => handle,
                Entry::Step(task) => {
                    let handle = step_handle(b, ls, task);
                    decref(task.cast());
                    handle
                }
                Entry::Call { callback, future, context } => {
                    let handle = queue::make_handle(b, (*ls).looop, callback, ffi::PyTuple_Pack(1, future), context);
                    decref(callback);
                    decref(future);
                    decref(context);
                    handle
                }
            };
            if append(b, ready, handle) != 0 {
                state::fault((*ls).looop);
            }
        }
        xdecref(ready);
    }
}

/// Puts a handle (taken; null: an exception is set) into the deque. -1 with an exception set.
unsafe fn append(b: &Bound, ready: *mut PyObject, handle: *mut PyObject) -> c_int {
    // SAFETY: a handle; a deque, or null where something failed already.
    unsafe {
        if handle.is_null() {
            return -1;
        }
        if ready.is_null() {
            decref(handle);
            return -1;
        }
        let done = ffi::PyObject_CallMethodOneArg(ready, b.names.append, handle);
        decref(handle);
        xdecref(done);
        if done.is_null() { -1 } else { 0 }
    }
}

/// Puts a handle (taken; null: an exception is set) at the queue's end. -1 with an exception set.
///
/// # Safety
/// `run_ready` runs.
pub unsafe fn put(b: &Bound, ls: *mut LoopState, handle: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if !handle.is_null() && (*ls).fronted {
            (*ls).front.push_back(Entry::Handle(handle));
            return 0;
        }
        if (*ls).parts {
            return if handle.is_null() { -1 } else { parts::append(b, ls, handle) };
        }
        append(b, (*ls).ready, handle)
    }
}

/// Puts a step of a task, without an exception, at the queue's end. -1 with an exception set.
///
/// # Safety
/// `run_ready` runs, a live task of its loop.
#[inline]
pub unsafe fn put_step(b: &Bound, ls: *mut LoopState, task: *mut TaskObj) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if (*ls).fronted {
            incref(task.cast());
            (*ls).front.push_back(Entry::Step(task));
            return 0;
        }
        let handle = step_handle(b, ls, task);
        put(b, ls, handle)
    }
}

/// The handle of a step; new reference, null with an exception set.
///
/// # Safety
/// A live task of this loop.
pub unsafe fn step_handle(b: &Bound, ls: *mut LoopState, task: *mut TaskObj) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let w = future::step_wrapper(b, task, ptr::null_mut());
        if w.is_null() {
            return w;
        }
        let handle = queue::make_handle(b, (*ls).looop, w, ffi::PyTuple_New(0), (*task).context);
        decref(w);
        handle
    }
}

/// How many stand in the queue.
///
/// # Safety
/// `run_ready` runs.
pub unsafe fn size(ls: *mut LoopState) -> usize {
    // SAFETY: the caller's contract.
    unsafe {
        if (*ls).fronted {
            return (*ls).front.len() - (*ls).gone;
        }
        let n = ffi::PyObject_Size((*ls).ready);
        if n < 0 {
            ffi::PyErr_Clear();
        }
        n.max(0) as usize
    }
}

/// Everything that stands in the queue now is an iteration's worth.
///
/// # Safety
/// `run_ready` runs.
pub unsafe fn open_iteration(ls: *mut LoopState) {
    // SAFETY: the caller's contract.
    unsafe {
        (*ls).todo = size(ls);
        (*ls).iteration_end = (*ls).next_number();
    }
}

/// What an entry is, and its context (both borrowed).
///
/// # Safety
/// An entry of the queue.
#[inline(always)]
pub unsafe fn kind_of(b: &Bound, entry: &Entry) -> (Kind, *mut PyObject) {
    // SAFETY: entries own what they hold.
    unsafe {
        match *entry {
            Entry::Gone => (Kind::Cancelled, ptr::null_mut()),
            Entry::Step(task) => (Kind::TaskStep(task), (*task).context),
            Entry::Call { callback, future, context } => (queue::kind_of_call(b, callback, future), context),
            Entry::Handle(handle) => {
                let context = if type_of(handle) == b.handle { *slot(handle, b.h_context) } else { ptr::null_mut() };
                (queue::kind(b, handle), context)
            }
        }
    }
}

/// What stands at the head of the queue, and its context (both borrowed); None: nothing, or it cannot be told.
///
/// # Safety
/// `run_ready` runs.
#[inline]
pub unsafe fn head(b: &Bound, ls: *mut LoopState) -> Option<(Kind, *mut PyObject)> {
    // SAFETY: the queue holds what is looked at; nothing here runs Python code.
    unsafe {
        if (*ls).fronted {
            (*ls).trim();
            return (*ls).front.front().map(|entry| kind_of(b, entry));
        }
        if ffi::PyObject_Size((*ls).ready) <= 0 {
            ffi::PyErr_Clear();
            return None;
        }
        let handle = ffi::PySequence_GetItem((*ls).ready, 0);
        if handle.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let found = kind_of(b, &Entry::Handle(handle));
        decref(handle);
        Some(found)
    }
}

/// What was taken off the queue; borrowed from the loop's state, which keeps it until the next is taken.
pub enum Taken {
    Handle(*mut PyObject),
    Step(*mut TaskObj),
    Call { callback: *mut PyObject, future: *mut PyObject, context: *mut PyObject },
}

/// Takes the head off the queue and keeps it until the next one is taken. None: the queue was empty, or an exception is set.
///
/// # Safety
/// `run_ready` runs, and `todo` is not zero.
#[inline]
pub unsafe fn take(b: &Bound, ls: *mut LoopState) -> Option<Taken> {
    // SAFETY: the caller's contract.
    unsafe {
        if !(*ls).fronted {
            let handle = ffi::PyObject_CallMethodNoArgs((*ls).ready, b.names.popleft);
            if handle.is_null() {
                return None;
            }
            (*ls).todo -= 1;
            return Some(keep(ls, Entry::Handle(handle)));
        }
        (*ls).trim();
        let entry = (*ls).front.pop_front()?;
        (*ls).head += 1;
        (*ls).todo -= 1;
        Some(keep(ls, entry))
    }
}

/// Takes the entry with this number, wherever it stands; it must be there.
///
/// # Safety
/// `run_ready` runs.
pub unsafe fn take_number(ls: *mut LoopState, number: u64) -> Option<Taken> {
    // SAFETY: the caller's contract.
    unsafe {
        let place = (*ls).front.get_mut(number.checked_sub((*ls).head)? as usize)?;
        let entry = core::mem::replace(place, Entry::Gone);
        if matches!(entry, Entry::Gone) {
            return None;
        }
        (*ls).gone += 1;
        if number < (*ls).iteration_end {
            (*ls).todo -= 1;
        }
        Some(keep(ls, entry))
    }
}

/// The state keeps what was taken, and lets go of what it kept before.
#[inline(always)]
unsafe fn keep(ls: *mut LoopState, entry: Entry) -> Taken {
    // SAFETY: the entry's references go to the state; the order is that in which a handle lets go.
    unsafe {
        let (taken, kept) = match entry {
            Entry::Step(task) => (Taken::Step(task), [task.cast(), ptr::null_mut(), ptr::null_mut()]),
            Entry::Call { callback, future, context } => (Taken::Call { callback, future, context }, [future, callback, context]),
            Entry::Handle(handle) => (Taken::Handle(handle), [handle, ptr::null_mut(), ptr::null_mut()]),
            Entry::Gone => (Taken::Handle(ptr::null_mut()), [ptr::null_mut(); 3]),
        };
        for old in core::mem::replace(&mut (*ls).kept, kept) {
            xdecref(old);
        }
        taken
    }
}

/// Puts `callback(future)` at the queue's end, if the queue is `front` and such a callback needs no handle.
///
/// # Safety
/// `run_ready` runs; live objects.
#[inline]
pub unsafe fn put_call(b: &Bound, ls: *mut LoopState, callback: *mut PyObject, future: *mut PyObject, context: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        if !(*ls).fronted || matches!(queue::kind_of_call(b, callback, future), Kind::Other) {
            return false;
        }
        let (callback, future, context) = (new_ref(callback), new_ref(future), new_ref(context));
        (*ls).front.push_back(Entry::Call { callback, future, context });
        true
    }
}
