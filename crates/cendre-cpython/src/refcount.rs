//! Reference counts as CPython 3.14 (64 bits, GIL) counts them, inlined.
//!
//! Invariant: an object whose low 32 bits of the count have the sign bit set is immortal and is never written by
//! [`decref`]; [`incref`] stops at the higher threshold that CPython uses, so that a count between the two drifts up,
//! never down. Read: `Include/refcount.h` of 3.14.

use crate::ffi::{self, PyObject};

/// Counts from here on are immortal for `decref` (the sign bit of the 32-bit count).
pub const IMMORTAL_MINIMUM_REFCNT: u32 = 1 << 31;
/// Counts from here on are immortal for `incref`.
pub const IMMORTAL_INITIAL_REFCNT: u32 = 3 << 30;

/// The 32-bit reference count.
///
/// # Safety
/// `op` points to a live object; the GIL is held.
#[inline(always)]
pub unsafe fn refcnt(op: *mut PyObject) -> u32 {
    // SAFETY: on 64-bit little- and big-endian builds pyo3-ffi places the count as CPython does; checked by the probe.
    unsafe { (*op).ob_refcnt.refcnt_and_flags.ob_refcnt }
}

#[inline(always)]
unsafe fn set_refcnt(op: *mut PyObject, n: u32) {
    // SAFETY: as for `refcnt`; only the 32-bit half is written, the flags beside it stay.
    unsafe { (*op).ob_refcnt.refcnt_and_flags.ob_refcnt = n }
}

/// Whether the object is immortal.
///
/// # Safety
/// `op` points to a live object; the GIL is held.
#[inline(always)]
pub unsafe fn is_immortal(op: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe { refcnt(op) >= IMMORTAL_MINIMUM_REFCNT }
}

/// Makes an object live for ever.
///
/// # Safety
/// `op` points to a live object that the collector does not know; the GIL is held.
pub unsafe fn make_immortal(op: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe { set_refcnt(op, IMMORTAL_INITIAL_REFCNT) }
}

/// `Py_INCREF`.
///
/// # Safety
/// `op` points to a live object; the GIL is held.
#[inline(always)]
pub unsafe fn incref(op: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let n = refcnt(op);
        if n < IMMORTAL_INITIAL_REFCNT {
            set_refcnt(op, n + 1);
        }
    }
}

/// `Py_DECREF`: may run arbitrary code when the count falls to zero.
///
/// # Safety
/// The caller gives up a reference that it owns; the GIL is held.
#[inline(always)]
pub unsafe fn decref(op: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let n = refcnt(op);
        if n >= IMMORTAL_MINIMUM_REFCNT {
            return;
        }
        set_refcnt(op, n - 1);
        if n == 1 {
            crate::api::_Py_Dealloc(op);
        }
    }
}

/// `Py_XINCREF`.
///
/// # Safety
/// `op` is NULL or points to a live object; the GIL is held.
#[inline(always)]
pub unsafe fn xincref(op: *mut PyObject) {
    if !op.is_null() {
        // SAFETY: the caller's contract.
        unsafe { incref(op) }
    }
}

/// `Py_XDECREF`.
///
/// # Safety
/// `op` is NULL or a reference that the caller owns; the GIL is held.
#[inline(always)]
pub unsafe fn xdecref(op: *mut PyObject) {
    if !op.is_null() {
        // SAFETY: the caller's contract.
        unsafe { decref(op) }
    }
}

/// `Py_NewRef`.
///
/// # Safety
/// `op` points to a live object; the GIL is held.
#[inline(always)]
pub unsafe fn new_ref(op: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { incref(op) };
    op
}

/// The exact type of an object.
///
/// # Safety
/// `op` points to a live object.
#[inline(always)]
pub unsafe fn type_of(op: *mut PyObject) -> *mut ffi::PyTypeObject {
    // SAFETY: the caller's contract.
    unsafe { (*op).ob_type }
}
