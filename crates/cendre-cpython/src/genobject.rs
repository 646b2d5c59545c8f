//! Generators, coroutines and asynchronous generators: one layout, with the frame inside.
//!
//! Invariant: `gi_iframe` is the last field; the object is allocated with the code's framesize behind it.
//! Read: `Include/internal/pycore_interpframe_structs.h`, `PyFrameState` in `pycore_frame.h`.

use crate::ffi::PyObject;
use crate::interpframe::Frame;
use crate::table::layout;
use crate::tstate::ErrStackItem;
use core::ffi::{c_char, c_int};

layout! {
    /// `PyGenObject`, `PyCoroObject` and `PyAsyncGenObject`.
    pub struct GenObject = "struct _PyGenObject" {
        /// Object header.
        pub ob_base: PyObject,
        /// Weak references.
        pub gi_weakreflist: *mut PyObject,
        /// `__name__`.
        pub gi_name: *mut PyObject,
        /// `__qualname__`.
        pub gi_qualname: *mut PyObject,
        /// The generator's own context of handled exceptions.
        pub gi_exc_state: ErrStackItem,
        /// `cr_origin`, or an asynchronous generator's finaliser.
        pub gi_origin_or_finalizer: *mut PyObject,
        /// Asynchronous generators: hooks were called.
        pub gi_hooks_inited: c_char,
        /// Asynchronous generators: closed.
        pub gi_closed: c_char,
        /// Asynchronous generators: running.
        pub gi_running_async: c_char,
        /// One of `frame_state`.
        pub gi_frame_state: i8,
        /// The frame.
        pub gi_iframe: Frame,
    }
}

/// Values of [`GenObject::gi_frame_state`] (`PyFrameState`).
pub mod frame_state {
    /// Not started.
    pub const FRAME_CREATED: i8 = -3;
    /// Suspended at a `yield`.
    pub const FRAME_SUSPENDED: i8 = -2;
    /// Suspended inside `await` or `yield from`; the receiver is on top of the stack.
    pub const FRAME_SUSPENDED_YIELD_FROM: i8 = -1;
    /// Running.
    pub const FRAME_EXECUTING: i8 = 0;
    /// Finished.
    pub const FRAME_COMPLETED: i8 = 1;
    /// Finished, frame cleared.
    pub const FRAME_CLEARED: i8 = 4;
}

/// `PyAsyncGenASend`: what `asend()` and `__anext__()` of an asynchronous generator give. In no header: the runtime looks at one first.
#[repr(C)]
pub struct AsyncGenAsend {
    /// Object header.
    pub ob_base: PyObject,
    /// The generator.
    pub ags_gen: *mut GenObject,
    /// What it sends first; null: None.
    pub ags_sendval: *mut PyObject,
    /// One of `asend_state`.
    pub ags_state: c_int,
}

/// Values of [`AsyncGenAsend::ags_state`] (`AwaitableState`).
pub mod asend_state {
    /// Not awaited yet.
    pub const INIT: i32 = 0;
    /// Being awaited.
    pub const ITER: i32 = 1;
    /// Done.
    pub const CLOSED: i32 = 2;
}

/// `_PyAsyncGenWrappedValue`: an item on its way out of an asynchronous generator. In no header, as above.
#[repr(C)]
pub struct AsyncGenWrapped {
    /// Object header.
    pub ob_base: PyObject,
    /// The item.
    pub agw_val: *mut PyObject,
}

impl GenObject {
    /// The generator whose frame this is (`_PyGen_GetGeneratorFromFrame`).
    ///
    /// # Safety
    /// `frame->owner` is `frame_owner::GENERATOR`.
    #[inline(always)]
    pub unsafe fn from_frame(frame: *mut Frame) -> *mut GenObject {
        // SAFETY: such a frame is the gi_iframe field of its object.
        unsafe { frame.byte_sub(core::mem::offset_of!(GenObject, gi_iframe)).cast() }
    }
}
