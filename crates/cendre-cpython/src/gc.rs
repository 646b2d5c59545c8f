//! The collector's header before an object, and its count of objects that were made.
//!
//! Invariants: `_gc_next` is 0 exactly while the object is not tracked. The count of the youngest generation is what CPython's own would be: memory
//! that we keep ready is no object, and is counted when it becomes one ([`made`]) and when it is one no more ([`gone`]). What that is good for is
//! in docs/internals/awaits.md, "Shells". Read: `Include/internal/pycore_gc.h`, `_PyObject_GC_Link` and `PyObject_GC_Del` in `Python/gc.c`.

use crate::ffi::{self, PyObject};
use crate::interp;
use crate::table::layout;
use crate::tstate::ThreadState;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

layout! {
    /// `PyGC_Head`.
    pub struct GcHead = "PyGC_Head" {
        /// Next object of the generation, 0 if untracked.
        pub _gc_next: usize,
        /// Previous object and two flag bits.
        pub _gc_prev: usize,
    }
}

/// The flag bits of [`GcHead::_gc_prev`]: seen by a finaliser, being looked at.
pub const PREV_FLAGS: usize = 3;

/// The object's collector header.
///
/// # Safety
/// `op`'s type has `tp_flags::HAVE_GC` and the object was allocated with a header.
#[inline(always)]
pub unsafe fn head(op: *mut PyObject) -> *mut GcHead {
    // SAFETY: the header stands right before the object (a managed dict's pointer stands before the header).
    unsafe { op.cast::<GcHead>().sub(1) }
}

/// Whether the collector knows the object.
///
/// # Safety
/// As for [`head`]; the GIL is held.
#[inline(always)]
pub unsafe fn is_tracked(op: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe { (*head(op))._gc_next != 0 }
}

layout! {
    /// `struct gc_generation`.
    pub struct Generation = "struct gc_generation" {
        /// Its objects.
        pub head: GcHead,
        /// A collection is due when the count is above this; 0: never.
        pub threshold: i32,
        /// In the youngest: objects made, less those that died, since the last collection; never below zero.
        pub count: i32,
    }
}

/// The youngest generation of the main interpreter; null until it is found.
static YOUNGEST: AtomicPtr<Generation> = AtomicPtr::new(ptr::null_mut());

/// Finds the running interpreter's count and keeps it right from now on. Whether it is where it is expected; if not, nothing is counted.
///
/// # Safety
/// `layout::check` has passed; the GIL is held; this is the main interpreter.
pub unsafe fn find() -> bool {
    // SAFETY: the caller's contract. A set's memory is on no free list, and making one runs no collection: that is only put down for later.
    unsafe {
        let interp = (*ThreadState::current()).interp;
        let young: *mut Generation = interp::field(interp, interp::GC_GENERATIONS);
        let before = (*young).count;
        let set = ffi::PySet_New(ptr::null_mut());
        if set.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        let made = (*young).count;
        ffi::Py_DECREF(set);
        let found = before >= 0 && made == before + 1 && (*young).count == before;
        if found {
            YOUNGEST.store(young, Ordering::Relaxed);
        }
        found
    }
}

/// Memory of ours has become an object. If a collection is due now, the next object that CPython makes asks for it.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub unsafe fn made() {
    let young = YOUNGEST.load(Ordering::Relaxed);
    if !young.is_null() {
        // SAFETY: found; it lives as long as the interpreter, and the GIL guards it.
        unsafe { (*young).count += 1 }
    }
}

/// An object has become memory of ours.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub unsafe fn gone() {
    let young = YOUNGEST.load(Ordering::Relaxed);
    // SAFETY: as in `made`.
    unsafe {
        if !young.is_null() && (*young).count > 0 {
            (*young).count -= 1;
        }
    }
}
