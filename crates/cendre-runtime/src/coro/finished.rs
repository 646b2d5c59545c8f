//! A coroutine that is finished: the receiver at an END_SEND behind an awaited call.
//!
//! When tools are switched on during an awaited call, its caller leaves where CPython's stands then, at the END_SEND, which tells the tools
//! of a StopIteration if its receiver is a generator or coroutine. There was no coroutine; this one stands for it.
//! Invariant: it is immortal, nobody else refers to it and the collector does not know it.

use crate::gil::Gil;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::owned::Owned;
use cendre_cpython::refcount;
use core::ptr;

static OBJECT: Gil<*mut PyObject> = Gil::new(ptr::null_mut());

/// The object; `None` without memory (no exception is set).
///
/// # Safety
/// The GIL is held.
pub unsafe fn finished() -> Option<*mut PyObject> {
    // SAFETY: the caller's contract.
    unsafe {
        if OBJECT.get().is_null() {
            *OBJECT.get() = make().map_or_else(ptr::null_mut, |made| made.into_ptr());
            ffi::PyErr_Clear();
        }
        let object = *OBJECT.get();
        (!object.is_null()).then_some(object)
    }
}

/// Without running any code: a tool or an audit hook would see it.
unsafe fn make() -> Option<Owned> {
    // SAFETY: the code object is ours, and nobody calls the function. What `_Py_MakeCoro` makes has a frame that is cleared already.
    unsafe {
        let code = Owned::from_new(ffi::PyCode_NewEmpty(c"cendre".as_ptr(), c"finished".as_ptr(), 1).cast())?;
        (*code.as_ptr().cast::<CodeObject>()).co_flags |= co_flags::COROUTINE;
        let globals = Owned::from_new(ffi::PyDict_New())?;
        let function = Owned::from_new(ffi::PyFunction_New(code.as_ptr(), globals.as_ptr()))?;
        let made = Owned::from_new(api::_Py_MakeCoro(function.as_ptr().cast()))?;
        ffi::PyObject_GC_UnTrack(made.as_ptr().cast());
        refcount::make_immortal(made.as_ptr());
        Some(made)
    }
}
