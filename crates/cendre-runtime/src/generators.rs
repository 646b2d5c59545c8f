//! Calls of compiled generator and coroutine functions whose result is an object: it is made at once, without a frame that only runs up to
//! RETURN_GENERATOR.
//!
//! Invariant: what is made is what the interpreter would have made, suspended behind RETURN_GENERATOR, everything in its frame owned.
//! Read docs/internals/awaits.md; `coro/bind.rs` fills the frame, and coroutines come from the shelf (`coro/call.rs`).

use crate::binding::Args;
use crate::coro::bind::{self, Bind};
use crate::coro::{self, data};
use crate::record;
use cendre_bytecode::Opcode;
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;

/// Code of functions whose call makes an object.
pub const ANY_GENERATOR: i32 = co_flags::GENERATOR | co_flags::COROUTINE | co_flags::ASYNC_GENERATOR;

/// Makes the generator or coroutine of a call; `None`: call it the ordinary way, nothing has happened. Consumes the arguments in the masks.
///
/// # Safety
/// `f` is a live function whose code is one of [`ANY_GENERATOR`], the arguments are alive; the GIL is held.
pub unsafe fn make(ts: *mut ThreadState, f: *mut FunctionObject, args: &Args) -> Option<*mut PyObject> {
    // SAFETY: the caller's contract; a record lives as long as its code, which the function holds.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        if (*code).co_flags & co_flags::COROUTINE != 0 {
            return coro::call::created(ts, f, args);
        }
        let record = record::find(code);
        let runs =
            !record.is_null() && !(*record).body.is_null() && (*record).version == (*ts).eval_breaker && crate::frames::is_ordinary(f);
        if !runs {
            return None;
        }
        data::refresh(record);
        let start = (*record).coro.start.as_ref()?;
        // The POP_TOP of what the first send brings stands right before the RESUME.
        let first = CodeObject::units(code).add(start.unit as usize).sub(1);
        if start.unit == 0 || (*first).opcode() != Opcode::PopTop as u8 {
            return None;
        }
        let made: *mut GenObject = api::_Py_MakeCoro(f).cast();
        if made.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        match bind::bind(made, f, start, args) {
            Bind::Done => {}
            Bind::Refused => {
                refcount::decref(made.cast());
                return None;
            }
            Bind::Raised => {
                refcount::decref(made.cast());
                return Some(core::ptr::null_mut());
            }
        }
        let fr = &raw mut (*made).gi_iframe;
        (*fr).instr_ptr = first;
        (*fr).f_executable = StackRef::from_new(code.cast());
        (*fr).f_funcobj = StackRef::from_new(f.cast());
        // Parameters are lent; all else is unbound, or cells of the frame's own.
        let extra = i32::from((*code).co_flags & co_flags::VARARGS != 0) + i32::from((*code).co_flags & co_flags::VARKEYWORDS != 0);
        let mut slot = Frame::locals(fr);
        let end = slot.add(((*code).co_argcount + (*code).co_kwonlyargcount + extra) as usize);
        while slot < end {
            *slot = (*slot).make_heap_safe();
            slot = slot.add(1);
        }
        (*made).gi_frame_state = frame_state::FRAME_CREATED;
        Some(made.cast())
    }
}
