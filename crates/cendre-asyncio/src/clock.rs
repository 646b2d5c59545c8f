//! The loop's clock: what `loop.time()` says, without calling it where it is `BaseEventLoop`'s own.
//!
//! Invariant: a loop with a clock of its own is asked by its method. Read docs/internals/tasks.md, "Iterations".

use crate::state::{self, Bound, LoopState};
use cendre_cpython::ffi;
use cendre_cpython::refcount::decref;
use cendre_runtime::Gil;
use core::ffi::c_int;
use std::time::{Duration, Instant};

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

/// When the loop has asked for events, by the system's clock and by the processor's counter.
#[derive(Clone, Copy)]
pub struct Poll {
    at: Instant,
    ticks: u64,
}

/// The first poll of the process, and counts in a second since then; 0: not long enough to tell.
static RATE: Gil<(Option<Poll>, f64)> = Gil::new((None, 0.0));

impl Poll {
    /// Now.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn now() -> Poll {
        // SAFETY: every processor that cendre runs on has the counter.
        unsafe {
            let poll = Poll { at: Instant::now(), ticks: core::arch::x86_64::_rdtsc() };
            let (first, rate) = RATE.get();
            let first = first.get_or_insert(poll);
            let seconds = poll.at.duration_since(first.at).as_secs_f64();
            if seconds > APART {
                *rate = (poll.ticks.wrapping_sub(first.ticks) as f64 / seconds).max(0.0);
            }
            poll
        }
    }

    /// Whether so much time has passed since. The clock is asked only where the processor's counter does not say that at most half of it has.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub unsafe fn is_over(self, budget: Duration) -> bool {
        // SAFETY: as above.
        unsafe {
            let ticks = core::arch::x86_64::_rdtsc().wrapping_sub(self.ticks);
            ticks as f64 * 2.0 >= budget.as_secs_f64() * RATE.get().1 && self.at.elapsed() >= budget
        }
    }
}
