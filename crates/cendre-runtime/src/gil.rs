//! A cell whose content the GIL protects, and which GIL: that of the main interpreter.
//!
//! Invariant: who calls [`Gil::get`] holds the main interpreter's GIL and keeps no reference across a call that may run Python code. Others
//! may have a GIL of their own, and come to what the process has once: slots of static types, audit hooks. There [`is_main`] is asked first.

use cendre_cpython::ffi;
use cendre_cpython::tstate::ThreadState;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, Ordering};

static MAIN: AtomicPtr<ffi::PyInterpreterState> = AtomicPtr::new(core::ptr::null_mut());

/// Whether a thread runs in the interpreter that cendre works in.
///
/// # Safety
/// A thread state that is attached.
#[inline(always)]
pub unsafe fn is_main(ts: *mut ThreadState) -> bool {
    // SAFETY: the caller's contract.
    unsafe { (*ts).interp == MAIN.load(Ordering::Relaxed) }
}

/// Remembers the main interpreter; answers whether this is it.
///
/// # Safety
/// The calling thread is attached to an interpreter.
pub unsafe fn settle_in() -> bool {
    // SAFETY: the caller's contract; the main interpreter exists as long as the process.
    unsafe {
        let main = ffi::PyInterpreterState_Main();
        MAIN.store(main, Ordering::Relaxed);
        ffi::PyInterpreterState_Get() == main
    }
}

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
