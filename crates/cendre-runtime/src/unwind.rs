//! Exceptions that a tool hears of, raised by the machine code of a frame.
//!
//! As long as no tool listens, machine code unwinds by itself (`ops/exceptions.rs`). Where one does, this does what the interpreter does from
//! its label `error` on (`Python/bytecodes.c`, `Python/ceval.c`): the traceback entry, RAISE or RERAISE, then the handler and EXCEPTION_HANDLED,
//! or PY_UNWIND. The interpreter cannot be asked to: entered with an exception it tells PY_THROW first, makes the entry for the unit
//! where it stands and looks for the handler one unit before.
//! Invariant: every event has the frame as the running one, complete. The offset of a RAISE is the instruction's own; CPython's depends on
//! where the exception comes from. Read `docs/internals/contracts.md`.

use crate::behind;
use crate::frames;
use crate::ops;
use cendre_cpython::api::{self, MonitoringState};
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi;
use cendre_cpython::interp;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::monitoring::event;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_int;

/// Whether a tool hears of exceptions.
///
/// # Safety
/// The GIL is held.
pub unsafe fn watched(ts: *mut ThreadState) -> bool {
    // SAFETY: the caller's contract.
    unsafe { [event::RAISE, event::RERAISE, event::EXCEPTION_HANDLED, event::PY_UNWIND].iter().any(|e| tools(ts, *e) != 0) }
}

/// The tools that hear of an event, as bits.
#[expect(clippy::indexing_slicing, reason = "events are below the number of tools' rows")]
unsafe fn tools(ts: *mut ThreadState, event: c_int) -> u8 {
    // SAFETY: the interpreter outlives its threads.
    unsafe { (*interp::monitors((*ts).interp)).tools[event as usize] }
}

/// The exception that is set was raised by the instruction at `instr_ptr`. True: a handler of this frame takes it, `instr_ptr` and the stack stand
/// there, and no exception is set any more. False: the frame ends with it; its stack is empty.
///
/// # Safety
/// `fr` is the running frame, complete, with its stack in memory; an exception is set; the GIL is held. Runs Python code.
pub unsafe fn raised(ts: *mut ThreadState, fr: *mut Frame) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        match to_handler(ts, fr) {
            None => true,
            Some(unit) => {
                tell(ts, fr, event::PY_UNWIND, unit);
                false
            }
        }
    }
}

/// [`raised`] without the event of a frame that ends: none where a handler takes the exception, else the unit of that event.
///
/// # Safety
/// As for [`raised`].
pub unsafe fn to_handler(ts: *mut ThreadState, fr: *mut Frame) -> Option<u32> {
    // SAFETY: the caller's contract.
    unsafe {
        let mut unit = Frame::instr_index(fr) as u32;
        if ops::raised_again(ts, fr) {
            tell(ts, fr, event::RERAISE, unit);
        } else {
            ops::traceback_here(ts, fr);
            tell(ts, fr, event::RAISE, unit);
        }
        let code = (*fr).code();
        let table = frames::exception_table(code);
        loop {
            let Some(handler) = table.as_ref().and_then(|t| t.lookup(unit)) else {
                ops::drop_to(fr, 0);
                return Some(unit);
            };
            ops::drop_to(fr, handler.depth as usize);
            if handler.lasti {
                ops::push(fr, StackRef::tag_int(Frame::instr_index(fr)));
            }
            let exception = ffi::PyErr_GetRaisedException();
            ops::push(fr, StackRef::from_new(exception));
            ffi::PyErr_SetRaisedException(exception);
            if tell(ts, fr, event::EXCEPTION_HANDLED, handler.target) {
                refcount::xdecref(ffi::PyErr_GetRaisedException());
                let by = core::mem::replace(&mut (*fr).instr_ptr, CodeObject::units(code).add(handler.target as usize));
                behind::raised(fr, by);
                return None;
            }
            // A tool raised: the interpreter, which stands before the handler now, looks one unit before.
            unit = handler.target.saturating_sub(1);
        }
    }
}

/// Tells the tools of an event of the exception that is set; false if one of them raised: its exception is the one that is set now.
unsafe fn tell(ts: *mut ThreadState, fr: *mut Frame, what: c_int, unit: u32) -> bool {
    // SAFETY: the frame is the running one, so its code object lives.
    unsafe {
        let active = tools(ts, what);
        if active == 0 || (*ts).tracing != 0 {
            return true;
        }
        let (mut state, code, offset) = (MonitoringState { active, opaque: 0 }, (*fr).code().cast(), unit as i32 * 2);
        let state = &raw mut state;
        let status = match what {
            event::RAISE => api::_PyMonitoring_FireRaiseEvent(state, code, offset),
            event::RERAISE => api::_PyMonitoring_FireReraiseEvent(state, code, offset),
            event::EXCEPTION_HANDLED => api::_PyMonitoring_FireExceptionHandledEvent(state, code, offset),
            _ => api::_PyMonitoring_FirePyUnwindEvent(state, code, offset),
        };
        status == 0
    }
}
