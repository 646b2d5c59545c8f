//! A cell whose content the GIL protects.
//!
//! Invariant: who calls [`Gil::get`] holds the GIL and keeps no reference across a call that may run Python code.

use core::cell::UnsafeCell;

/// State protected by the GIL.
pub struct Gil<T>(UnsafeCell<T>);

// SAFETY: the content is only reached through `get`, whose callers hold the GIL, one at a time.
unsafe impl<T> Sync for Gil<T> {}

impl<T> Gil<T> {
    /// A cell with this content.
    pub const fn new(value: T) -> Gil<T> {
        Gil(UnsafeCell::new(value))
    }

    /// The content.
    ///
    /// # Safety
    /// The GIL is held, and the reference is gone before anything that may run Python code or come back here.
    #[allow(clippy::mut_from_ref, reason = "the caller's contract makes it exclusive")]
    #[inline(always)]
    pub unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's contract.
        unsafe { &mut *self.0.get() }
    }
}
