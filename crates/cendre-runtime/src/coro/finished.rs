//! An awaitable that is finished: how a value that came at once is handed to an interpreter that must not miss it.
//!
//! When tools are switched on during an awaited call, its caller leaves. A tool wants to hear of the StopIteration with which
//! an awaited object ends; so the caller gets this object to await instead of the bare value, and awaits it in the interpreter.
//! Invariant: it ends at its first step, with the value, and never yields.

use crate::gil::Gil;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::refcount;
use core::ptr;

#[repr(C)]
struct Finished {
    ob_base: PyObject,
    value: *mut PyObject,
}

static TYPE: Gil<*mut PyTypeObject> = Gil::new(ptr::null_mut());

/// Wraps a value, whose reference is taken; null without memory: then the reference stays the caller's, and no exception is set.
///
/// # Safety
/// An owned reference; the GIL is held.
#[cold]
pub unsafe fn finished(value: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract; the object is complete before anybody sees it.
    unsafe {
        let ty = the_type();
        let made: *mut Finished = if ty.is_null() { ptr::null_mut() } else { ffi::PyType_GenericAlloc(ty, 0).cast() };
        if made.is_null() {
            ffi::PyErr_Clear();
            return ptr::null_mut();
        }
        (*made).value = value;
        made.cast()
    }
}

unsafe fn the_type() -> *mut PyTypeObject {
    // SAFETY: the GIL is held; the type is made once and lives for ever.
    unsafe {
        if !TYPE.get().is_null() {
            return *TYPE.get();
        }
        let slots = Box::leak(Box::new(ffi::PyAsyncMethods { am_await: Some(ffi::PyObject_SelfIter), ..Default::default() }));
        let mut ty: Box<PyTypeObject> = Box::new(core::mem::zeroed());
        ty.ob_base.ob_base.ob_refcnt.refcnt_and_flags.ob_refcnt = 1;
        ty.tp_name = c"cendre._cendre.finished".as_ptr();
        ty.tp_basicsize = size_of::<Finished>() as ffi::Py_ssize_t;
        ty.tp_as_async = slots;
        ty.tp_iter = Some(ffi::PyObject_SelfIter);
        ty.tp_iternext = Some(next);
        ty.tp_dealloc = Some(dealloc);
        ty.tp_flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        let ty = Box::into_raw(ty);
        if ffi::PyType_Ready(ty) < 0 {
            drop(Box::from_raw(ty));
            return ptr::null_mut();
        }
        *TYPE.get() = ty;
        ty
    }
}

unsafe extern "C" fn next(me: *mut PyObject) -> *mut PyObject {
    // SAFETY: only called as a slot of our type.
    unsafe {
        let value = (*me.cast::<Finished>()).value;
        // A tuple or an exception as value must not become arguments: hence no PyErr_SetObject.
        cendre_cpython::api::_PyGen_SetStopIterationValue(value);
        ptr::null_mut()
    }
}

unsafe extern "C" fn dealloc(me: *mut PyObject) {
    // SAFETY: the last reference to an object of our type.
    unsafe {
        refcount::decref((*me.cast::<Finished>()).value);
        ffi::PyObject_Free(me.cast());
    }
}
