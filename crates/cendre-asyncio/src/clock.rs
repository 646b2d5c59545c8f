//! The loop's clock: what `loop.time()` says, without calling it where it is `BaseEventLoop`'s own.
//!
//! Invariant: a loop with a clock of its own is asked by its method. Read docs/internals/tasks.md, "Iterations".

use crate::state::{self, Bound, LoopState};
use cendre_cpython::ffi;
use cendre_cpython::refcount::decref;
use core::ffi::c_int;

unsafe extern "C" {
    /// The clock behind `time.monotonic()`, in nanoseconds.
    fn PyTime_Monotonic(result: *mut i64) -> c_int;
    fn PyTime_AsSecondsDouble(t: i64) -> f64;
}

/// `loop.time()`; None, and a fault, if it cannot be told.
#[inline]
pub unsafe fn now(b: &Bound, ls: *mut LoopState) -> Option<f64> {
    // SAFETY: a live loop; the reference is given back.
    unsafe {
        if (*ls).plain_time {
            let mut t = 0;
            if PyTime_Monotonic(&mut t) == 0 {
                return Some(PyTime_AsSecondsDouble(t));
            }
        } else {
            let now = ffi::PyObject_CallMethodNoArgs((*ls).looop, b.names.time);
            if !now.is_null() {
                let seconds = ffi::PyFloat_AsDouble(now);
                decref(now);
                if ffi::PyErr_Occurred().is_null() {
                    return Some(seconds);
                }
            }
        }
        state::fault((*ls).looop);
        None
    }
}
