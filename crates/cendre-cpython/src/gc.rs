//! The collector's header before an object.
//!
//! Invariant: `_gc_next` is 0 exactly while the object is not tracked. Read: `Include/internal/pycore_gc.h`.

use crate::ffi::PyObject;
use crate::table::layout;

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
