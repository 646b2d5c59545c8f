//! `loop._ready`, looked at from outside: whoever asks for a loop's queue finds everything in it.
//!
//! While the queue is run, native code holds it (`front.rs`). A data descriptor on `BaseEventLoop` sees each look by
//! attribute, and puts handles for everything into the deque then. Who holds the deque from an earlier look is known by its reference count: `run_ready` then
//! leaves the queue there. Invariant: outside of this crate nobody sees a queue that lacks something, but by
//! the loop's `__dict__`. Read docs/internals/tasks.md, "The queue".

use crate::front;
use crate::state;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, new_ref, type_of};
use core::ffi::{c_int, c_void};
use core::ptr;

struct Definition(ffi::PyGetSetDef);
// SAFETY: constant data.
unsafe impl Sync for Definition {}

static READY: Definition = Definition(ffi::PyGetSetDef {
    name: c"_ready".as_ptr(),
    get: Some(get),
    set: Some(set),
    doc: c"The handles that are ready to run.".as_ptr(),
    closure: ptr::null_mut(),
});

/// The descriptor for a class; new reference, null with an exception set.
///
/// # Safety
/// A class; the GIL is held.
pub unsafe fn descriptor(class: *mut ffi::PyTypeObject) -> *mut PyObject {
    // SAFETY: the caller's contract; the definition lives for ever, and is only read.
    unsafe { ffi::PyDescr_NewGetSet(class, (&raw const READY.0).cast_mut()) }
}

/// Whatever stands in front of the deque goes into it.
unsafe fn make_whole(looop: *mut PyObject) {
    // SAFETY: a live loop; the hook is set after `bind`.
    unsafe {
        let ls = state::find(looop);
        if !ls.is_null() && (*ls).fronted {
            front::flush(&*state::bound(), ls);
        }
    }
}

unsafe fn missing(looop: *mut PyObject) {
    // SAFETY: a live object; an exception is set.
    unsafe {
        let text = c"'%.100s' object has no attribute '_ready'";
        ffi::PyErr_Format(ffi::PyExc_AttributeError, text.as_ptr(), (*type_of(looop)).tp_name);
    }
}

unsafe extern "C" fn get(looop: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with an instance of the class.
    unsafe {
        make_whole(looop);
        queue_of(looop)
    }
}

/// The deque in the loop's `__dict__`, as it is; new reference, null with an exception set.
///
/// # Safety
/// A live loop; the hook is set after `bind`.
pub unsafe fn queue_of(looop: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let dict = ffi::PyObject_GenericGetDict(looop, ptr::null_mut());
        if dict.is_null() {
            return dict;
        }
        let name = (*state::bound()).names.ready;
        let found = ffi::PyDict_GetItemWithError(dict, name);
        if !found.is_null() {
            new_ref(found);
        } else if ffi::PyErr_Occurred().is_null() {
            missing(looop);
        }
        decref(dict);
        found
    }
}

unsafe extern "C" fn set(looop: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: as above; null deletes.
    unsafe {
        make_whole(looop);
        let dict = ffi::PyObject_GenericGetDict(looop, ptr::null_mut());
        if dict.is_null() {
            return -1;
        }
        let name = (*state::bound()).names.ready;
        let mut failed = if value.is_null() { ffi::PyDict_DelItem(dict, name) } else { ffi::PyDict_SetItem(dict, name, value) };
        if failed != 0 && value.is_null() && ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyError) != 0 {
            ffi::PyErr_Clear();
            missing(looop);
            failed = -1;
        }
        decref(dict);
        failed
    }
}
