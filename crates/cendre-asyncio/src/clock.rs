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

/// What the clock said, and what the processor's counter said then.
#[derive(Clone, Copy, Default)]
pub struct Reading {
    /// Of the first reading; its counter is 0 if there was none yet.
    first: (f64, u64),
    last: (f64, u64),
    /// Counts in a second, as seen from the first reading to the last; 0: not long enough to tell.
    rate: f64,
}

/// How long two readings must be apart for a rate, in seconds.
const APART: f64 = 0.01;

/// A time that is not before `loop.time()`, and at most `slack` seconds after it. The clock is not asked again before the processor's
/// counter says that so much has passed; where that counter runs backwards, it is.
#[inline]
pub unsafe fn not_before(b: &Bound, ls: *mut LoopState, slack: f64) -> Option<f64> {
    // SAFETY: a live loop; every processor that cendre runs on has the counter.
    unsafe {
        if !(*ls).plain_time {
            return now(b, ls);
        }
        let ticks = core::arch::x86_64::_rdtsc();
        let r = (&raw mut (*ls).reading).as_mut()?;
        if r.rate > 0.0 && (ticks.wrapping_sub(r.last.1) as f64) < slack * r.rate {
            return Some(r.last.0 + slack);
        }
        let seconds = now(b, ls)?;
        r.last = (seconds, ticks);
        if r.first.1 == 0 {
            r.first = r.last;
        } else if seconds - r.first.0 > APART {
            r.rate = (ticks.wrapping_sub(r.first.1) as f64 / (seconds - r.first.0)).max(0.0);
        }
        Some(seconds)
    }
}
