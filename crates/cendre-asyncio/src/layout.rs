//! `_asyncio`'s own objects as the step machinery sees them: futures, tasks, step wrappers, future iterators, handles.
//!
//! Invariant: no header publishes these structs, so nothing here is believed before `bind` has compared the sizes, and the
//! Python half (`cendre.aio._probe`) every field of living objects with what their getters say. Read docs/internals/tasks.md.

use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::tstate::LlistNode;
use core::ffi::{c_char, c_int};

/// Values of [`FutureObj::state`].
pub mod state {
    use core::ffi::c_int;
    /// No result yet.
    pub const PENDING: c_int = 0;
    /// Cancelled.
    pub const CANCELLED: c_int = 1;
    /// A result or an exception.
    pub const FINISHED: c_int = 2;
}

/// Bits of [`FutureObj::bits`].
pub mod bit {
    /// The exception was not retrieved yet.
    pub const LOG_TB: u8 = 1;
    /// `_asyncio_future_blocking`.
    pub const BLOCKING: u8 = 2;
    /// Tasks: a cancellation waits for the next step.
    pub const MUST_CANCEL: u8 = 4;
    /// Tasks: says so if it dies while pending.
    pub const LOG_DESTROY: u8 = 8;
}

/// `FutureObj`.
#[repr(C)]
pub struct FutureObj {
    pub ob_base: PyObject,
    pub fut_loop: *mut PyObject,
    pub callback0: *mut PyObject,
    pub context0: *mut PyObject,
    pub callbacks: *mut PyObject,
    pub exception: *mut PyObject,
    pub exception_tb: *mut PyObject,
    pub result: *mut PyObject,
    pub source_tb: *mut PyObject,
    pub cancel_msg: *mut PyObject,
    pub cancelled_exc: *mut PyObject,
    pub awaited_by: *mut PyObject,
    pub state: c_int,
    pub is_task: c_char,
    pub awaited_by_is_set: c_char,
    /// Bit fields of the future, then of the task.
    pub bits: u8,
}

/// `TaskObj`.
#[repr(C)]
pub struct TaskObj {
    pub fut: FutureObj,
    pub num_cancels_requested: c_int,
    /// Owned: the reference of what was yielded.
    pub fut_waiter: *mut PyObject,
    pub coro: *mut PyObject,
    pub name: *mut PyObject,
    pub context: *mut PyObject,
    pub node: LlistNode,
}

/// `TaskStepMethWrapper`: what `call_soon` is given for a step.
#[repr(C)]
pub struct StepWrapper {
    pub ob_base: PyObject,
    pub task: *mut TaskObj,
    /// The exception to throw, or null.
    pub arg: *mut PyObject,
}

/// `futureiterobject`.
#[repr(C)]
pub struct FutureIter {
    pub ob_base: PyObject,
    /// Null once closed.
    pub future: *mut FutureObj,
}

/// `struct _pycontextobject`.
#[repr(C)]
pub struct ContextObj {
    pub ob_base: PyObject,
    pub ctx_prev: *mut PyObject,
    /// Never changed itself: setting a variable puts another one here.
    pub ctx_vars: *mut PyObject,
    pub ctx_weakreflist: *mut PyObject,
    pub ctx_entered: c_int,
}

/// `PyCFunctionObject`, as far as needed.
#[repr(C)]
pub struct CFunction {
    pub ob_base: PyObject,
    pub m_ml: *mut ffi::PyMethodDef,
    pub m_self: *mut PyObject,
}

const _: () = assert!(size_of::<FutureObj>() == 112 && size_of::<TaskObj>() == 168);
const _: () = assert!(size_of::<StepWrapper>() == 32 && size_of::<FutureIter>() == 24);

impl FutureObj {
    /// Whether this bit is set.
    #[inline(always)]
    pub fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }
    /// Clears a bit.
    #[inline(always)]
    pub fn clear(&mut self, bit: u8) {
        self.bits &= !bit;
    }
    /// Sets a bit.
    #[inline(always)]
    pub fn set(&mut self, bit: u8) {
        self.bits |= bit;
    }
}
