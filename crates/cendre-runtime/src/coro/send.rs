//! Sending to receivers and taking items from generators, for machine code: `send`, `gen_next`, `drop_receiver`.
//!
//! Invariant: same values, exceptions and tracebacks as SEND and FOR_ITER; objects of compiled code run natively, everything
//! else as CPython does it. Read docs/internals/awaits.md, "Resuming".

use super::asyncgen;
use super::call::body_is_wanted;
use super::data::ResumeCell;
use super::run::{ran, resumable, resume};
use super::shell;
use super::slots;
use crate::body::{self, BodyResult};
use crate::frames;
use crate::gil::Gil;
use crate::record::{self, CodeRecord};
use crate::unwind;
use cendre_cpython::api;
use cendre_cpython::code::co_flags;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;
use core::cell::Cell;

/// Answers of helpers for machine code.
pub mod answer {
    /// Finished with a value; of `gen_next`: an item.
    pub const VALUE: u64 = cendre_codegen::answer::VALUE as u64;
    /// Suspended or yielded; of `gen_next`: exhausted.
    pub const OTHER: u64 = cendre_codegen::answer::OTHER as u64;
    /// An exception is set.
    pub const RAISED: u64 = 2;
    /// `await_call`: an ordinary call was made, its result is still to be awaited.
    pub const DECLINED: u64 = 3;
    /// `send`: nothing done, leave at the SEND, since the C stack is low.
    pub const LEAVE: u64 = 4;
}

const RAISED: BodyResult = BodyResult::new(answer::RAISED, 0);

/// Whether this is exactly a generator or a coroutine.
#[inline(always)]
pub(super) unsafe fn is_generator(o: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe {
        let ty = refcount::type_of(o);
        ty == &raw mut ffi::PyCoro_Type || ty == &raw mut ffi::PyGen_Type
    }
}

/// Next time machine code resumes it in line.
#[inline(always)]
unsafe fn remember(cell: *mut ResumeCell, g: *mut GenObject, record: *mut CodeRecord, at: u64) {
    // SAFETY: `g` was found resumable; a cell of machine code.
    unsafe {
        if (*g).gi_frame_state != frame_state::FRAME_CREATED {
            ResumeCell::fill(cell, g, record, at);
        }
    }
}

/// The answer to SEND.
unsafe fn sent(result: BodyResult) -> BodyResult {
    match result.tag {
        body::RETURNED => BodyResult::new(answer::VALUE, result.value),
        body::YIELDED => BodyResult::new(answer::OTHER, result.value),
        _ => RAISED,
    }
}

/// The answer to FOR_ITER.
unsafe fn stepped(result: BodyResult) -> BodyResult {
    // SAFETY: a value that was returned is owned.
    unsafe {
        match result.tag {
            body::YIELDED => BodyResult::new(answer::VALUE, result.value),
            body::RETURNED => {
                refcount::decref(result.value as *mut PyObject);
                BodyResult::new(answer::OTHER, 0)
            }
            _ => RAISED,
        }
    }
}

/// SEND in line, when the body did not just yield.
///
/// # Safety
/// Called by machine code that linked `g` and ran its body, which gave this answer.
pub unsafe extern "C" fn send_finish(ts: *mut ThreadState, g: *mut GenObject, tag: u64, value: u64) -> BodyResult {
    // SAFETY: the caller's contract; the running frame owns its code object.
    unsafe {
        let record = record::find((*g).gi_iframe.code());
        sent(ran(ts, g, record, BodyResult::new(tag, value)))
    }
}

/// FOR_ITER in line, when the body did not just yield.
///
/// # Safety
/// As for [`send_finish`].
pub unsafe extern "C" fn next_finish(ts: *mut ThreadState, g: *mut GenObject, tag: u64, value: u64) -> BodyResult {
    // SAFETY: the caller's contract; the running frame owns its code object.
    unsafe {
        let record = record::find((*g).gi_iframe.code());
        stepped(ran(ts, g, record, BodyResult::new(tag, value)))
    }
}

/// SEND: `(0, the receiver's value)`, `(1, what it yielded)`, `(2, _)` raised, `(4, _)` nothing done: please leave at the SEND.
///
/// # Safety
/// Called by machine code in `fr` at a SEND; `receiver` and `value` are borrowed.
pub unsafe extern "C" fn send(
    ts: *mut ThreadState,
    fr: *mut Frame,
    receiver: *mut PyObject,
    value: *mut PyObject,
    _site: i64,
    cell: *mut ResumeCell,
) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        if is_generator(receiver) {
            if frames::low_stack(ts) {
                // The interpreter sends without C stack.
                return BodyResult::new(answer::LEAVE, 0);
            }
            let g: *mut GenObject = receiver.cast();
            if !ResumeCell::skips(cell, g) {
                if let Some((record, at)) = resumable(ts, g, value) {
                    remember(cell, g, record, at);
                    return sent(resume(ts, g, record, at, value));
                }
                if (*g).gi_frame_state < frame_state::FRAME_EXECUTING {
                    body_is_wanted(g, cell);
                }
            }
        }
        if asyncgen::is_asend(receiver)
            && let Some(answer) = asyncgen::send(ts, receiver.cast(), value)
        {
            return told(ts, fr, answer);
        }
        let mut out = core::ptr::null_mut();
        let known = is_generator(receiver) || TRANSPARENT.get().contains(&refcount::type_of(receiver));
        let status = if known {
            ffi::PyIter_Send(receiver, value, &mut out)
        } else {
            let others = swap_foreign_receivers(foreign_receivers() + 1);
            let status = ffi::PyIter_Send(receiver, value, &mut out);
            swap_foreign_receivers(others);
            status
        };
        match status {
            ffi::PySendResult::PYGEN_RETURN if is_generator(receiver) => BodyResult::new(answer::VALUE, out as u64),
            ffi::PySendResult::PYGEN_RETURN => told(ts, fr, BodyResult::new(answer::VALUE, out as u64)),
            ffi::PySendResult::PYGEN_NEXT => BodyResult::new(answer::OTHER, out as u64),
            _ => RAISED,
        }
    }
}

/// The answer of a receiver that is neither generator nor coroutine: where it is a value, tools that came meanwhile hear of the StopIteration in
/// which CPython gets it.
///
/// # Safety
/// The frame stands at its SEND; the GIL is held.
#[inline(always)]
pub(super) unsafe fn told(ts: *mut ThreadState, fr: *mut Frame, answer: BodyResult) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe { if answer.tag == answer::VALUE && unwind::watched(ts) { raised_as(ts, fr, answer.value as *mut PyObject) } else { answer } }
}

#[cold]
unsafe fn raised_as(ts: *mut ThreadState, fr: *mut Frame, value: *mut PyObject) -> BodyResult {
    // SAFETY: an owned value; the running frame stands at its SEND.
    unsafe {
        let set = api::_PyGen_SetStopIterationValue(value);
        refcount::decref(value);
        if set < 0 {
            return RAISED;
        }
        api::_PyEval_MonitorRaise(ts, fr, (*fr).instr_ptr);
        let mut value = core::ptr::null_mut();
        if api::_PyGen_FetchStopIterationValue(&raw mut value) < 0 {
            return RAISED;
        }
        BodyResult::new(answer::VALUE, value as u64)
    }
}

/// Types whose iterators hand on what is yielded below them, untouched; see [`hands_on`].
static TRANSPARENT: Gil<Vec<*mut ffi::PyTypeObject>> = Gil::new(Vec::new());
thread_local! {
    /// How many receivers of other types compiled code of this thread is sending to right now, down to where somebody began anew.
    static FOREIGN: Cell<usize> = const { Cell::new(0) };
}

/// Says of a type, which must live for ever, that its iterators hand on what a coroutine below them yields.
///
/// # Safety
/// The GIL is held.
pub unsafe fn hands_on(ty: *mut ffi::PyTypeObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let known = TRANSPARENT.get();
        if !known.contains(&ty) {
            known.push(ty);
        }
    }
}

/// Receivers that compiled code of this thread sends to right now and that may do anything with what is yielded below them: the stack of a
/// compiled frame does not show what it awaits.
pub fn foreign_receivers() -> usize {
    FOREIGN.get()
}

/// Sets that number, for who runs a task on top of another one, whose receivers are none of its own; the old one.
pub fn swap_foreign_receivers(number: usize) -> usize {
    FOREIGN.replace(number)
}

/// FOR_ITER over a generator: `(0, item)`, `(1, _)` exhausted, `(2, _)` raised. Any iterator will do.
///
/// # Safety
/// Called by machine code in `fr` at a FOR_ITER; `iterator` is borrowed.
pub unsafe extern "C" fn gen_next(ts: *mut ThreadState, fr: *mut Frame, iterator: *mut PyObject, cell: *mut ResumeCell) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        let item = if refcount::type_of(iterator) == &raw mut ffi::PyGen_Type {
            let g: *mut GenObject = iterator.cast();
            if !ResumeCell::skips(cell, g) {
                if let Some((record, at)) = resumable(ts, g, ffi::Py_None()) {
                    remember(cell, g, record, at);
                    return stepped(resume(ts, g, record, at, ffi::Py_None()));
                }
                if (*g).gi_frame_state < frame_state::FRAME_EXECUTING {
                    body_is_wanted(g, cell);
                }
            }
            slots::interpreted_next(iterator)
        } else {
            let Some(next) = (*refcount::type_of(iterator)).tp_iternext else {
                ffi::PyErr_SetString(ffi::PyExc_TypeError, c"object is not an iterator".as_ptr());
                return RAISED;
            };
            next(iterator)
        };
        if !item.is_null() {
            return BodyResult::new(answer::VALUE, item as u64);
        }
        if (*ts).current_exception.is_null() {
            return BodyResult::new(answer::OTHER, 0);
        }
        if api::_PyErr_ExceptionMatches(ts, ffi::PyExc_StopIteration) == 0 {
            return RAISED;
        }
        api::_PyEval_MonitorRaise(ts, fr, (*fr).instr_ptr);
        api::_PyErr_Clear(ts);
        BodyResult::new(answer::OTHER, 0)
    }
}

/// GET_AWAITABLE: a new reference to what `await o` sends to; `what` is its argument.
///
/// # Safety
/// Called by machine code at a GET_AWAITABLE; a live object.
pub unsafe extern "C" fn get_awaitable(o: *mut PyObject, what: i64) -> *mut PyObject {
    // SAFETY: the caller's contract; an exact coroutine is a GenObject.
    unsafe {
        // A coroutine that nobody awaits yet is its own receiver.
        if refcount::type_of(o) == &raw mut ffi::PyCoro_Type
            && (*o.cast::<GenObject>()).gi_frame_state != frame_state::FRAME_SUSPENDED_YIELD_FROM
        {
            return refcount::new_ref(o);
        }
        api::_PyEval_GetAwaitable(o, what as i32)
    }
}

/// END_SEND's half that lets the receiver go: a finished coroutine becomes a shell. Always answers 0.
///
/// # Safety
/// Called by machine code; `receiver` is an owned reference. May run Python code.
pub unsafe extern "C" fn drop_receiver(_ts: *mut ThreadState, _fr: *mut Frame, receiver: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract; a coroutine keeps its code object also when it is finished.
    unsafe {
        if is_generator(receiver) {
            let g: *mut GenObject = receiver.cast();
            let code = (*g).gi_iframe.code();
            let record = record::find(code);
            let awaitable = (*code).co_flags & (co_flags::COROUTINE | co_flags::ITERABLE_COROUTINE) != 0;
            if awaitable && !record.is_null() && !(*record).body.is_null() && super::recycles() {
                shell::give_back(record, g);
                return 0;
            }
        }
        refcount::decref(receiver);
        0
    }
}
