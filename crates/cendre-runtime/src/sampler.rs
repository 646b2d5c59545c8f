//! Sampling: a thread that asks, every few milliseconds, for a look at the frames that run. What is hot is said in `hotness.rs`.
//!
//! The thread never touches a Python object: `_PyEval_AddPendingCall` makes whatever thread runs Python code next call
//! [`take`]. One request is outstanding at most; while nobody answers, the thread sleeps.
//! Invariants: the thread is joined before fork and before the interpreter ends; our lock is never held while CPython's are
//! taken; the callback sets no exception but one that came while it ran Python code (KeyboardInterrupt).

use crate::compiler;
use crate::config::Config;
use crate::driver::{self, Subject};
use crate::entries::{self, Kind, executor, vectorcall};
use crate::gil::Gil;
use crate::hotness::{self, Place};
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use crate::trial;
use cendre_bytecode::Opcode;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl, eval_breaker};
use core::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Milliseconds from one look to the next, where something becomes hot. A look costs the program some 25 microseconds, most of them for another thread's
/// turn on the processor: one a millisecond is too many.
const PERIOD: u32 = 2;
/// Calmness from which looks become rarer: (so much, period in milliseconds).
const CALM: [(u32, u32); 2] = [(2000, 10), (600, 5)];
/// What a sample adds to it that met no code which might still become hot, and one that met some, but none that was hot. A program whose time
/// is spread over very much code always meets some, and would pay for hundreds of looks a second for good.
const NOTHING_COLD: u32 = 4;
const NOTHING_HOT: u32 = 1;
/// Frames looked at: callers further out gain less from being compiled than the look costs.
const DEPTH: usize = 8;
/// Time that one look may spend compiling under threshold 0; what is left over is hot again at the next.
const BUDGET: Duration = Duration::from_millis(8);
/// Sightings after which a code object's loops are looked for.
const LOOKS: u8 = 3;
/// The thread does next to nothing.
const STACK: usize = 64 << 10;

struct Shared {
    stop: bool,
    /// A request is out.
    waiting: bool,
    /// The thread sleeps until the request is answered.
    asleep: bool,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { stop: false, waiting: false, asleep: false });
static CHANGED: Condvar = Condvar::new();
static WAKES: AtomicU64 = AtomicU64::new(0);
/// Time of the present sample: milliseconds in which samples were taken.
static NOW: Gil<u32> = Gil::new(0);
/// How long there has been nothing to compile; see [`CALM`].
static CALMNESS: AtomicU32 = AtomicU32::new(0);
static THREAD: Gil<Option<JoinHandle<()>>> = Gil::new(None);

/// Is told of a thread that runs an event loop of asyncio; -1: it has set an exception.
pub type SeesLoop = unsafe fn(*mut ThreadState) -> c_int;
static SEES_LOOP: Gil<Option<SeesLoop>> = Gil::new(None);

/// Whom each sample tells of the loop that its thread runs.
///
/// # Safety
/// The GIL is held.
pub unsafe fn tell_of_loops(f: SeesLoop) {
    // SAFETY: the caller's contract.
    unsafe { *SEES_LOOP.get() = Some(f) }
}

/// Whether more than one sample is wanted before anything is done.
///
/// # Safety
/// The GIL is held.
pub unsafe fn is_patient() -> bool {
    // SAFETY: the caller's contract.
    unsafe { driver::config().is_some_and(|c| c.threshold > 1) }
}

fn shared() -> MutexGuard<'static, Shared> {
    // The lock protects two flags: a panic elsewhere cannot have left them half done.
    SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How often the thread woke.
pub fn wakes() -> u64 {
    WAKES.load(Ordering::Relaxed)
}

/// Milliseconds that a sample stands for now.
fn period() -> u32 {
    let calm = CALMNESS.load(Ordering::Relaxed);
    CALM.iter().find(|(least, _)| calm >= *least).map_or(PERIOD, |(_, period)| *period)
}

/// Notes what a sample met: whether code that may still become hot, and whether the compiler took some on.
fn met(cold: bool, taken: bool) {
    let calm = CALMNESS.load(Ordering::Relaxed);
    let more = if cold { NOTHING_HOT } else { NOTHING_COLD };
    let next = if taken { 0 } else { calm.saturating_add(more).min(CALM[0].0) };
    CALMNESS.store(next, Ordering::Relaxed);
}

fn run(interpreter: usize) {
    let mut guard = shared();
    while !guard.stop {
        WAKES.fetch_add(1, Ordering::Relaxed);
        let (again, _) =
            CHANGED.wait_timeout(guard, Duration::from_millis(period().into())).unwrap_or_else(std::sync::PoisonError::into_inner);
        guard = again;
        // Mostly the last request has been answered by now. Where it has not, perhaps no Python code runs: only then is the answer to wake us.
        while guard.waiting && !guard.stop {
            guard.asleep = true;
            guard = CHANGED.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        guard.asleep = false;
        if guard.stop {
            break;
        }
        guard.waiting = true;
        drop(guard);
        // SAFETY: needs neither the GIL nor a thread state; the interpreter lives, since `stop` joins us before it ends.
        let answer = unsafe { api::_PyEval_AddPendingCall(interpreter as *mut _, take, core::ptr::null_mut(), 0) };
        guard = shared();
        if answer != 0 {
            // The queue is full: try again later.
            guard.waiting = false;
        }
    }
}

/// Starts the thread, if it does not run.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start() {
    // SAFETY: the caller's contract. Signals are for Python's threads: the new one inherits a full mask.
    unsafe {
        let slot = THREAD.get();
        if slot.is_some() {
            return;
        }
        *shared() = Shared { stop: false, waiting: false, asleep: false };
        let interpreter = ffi::PyInterpreterState_Get() as usize;
        let (mut all, mut old) = (core::mem::zeroed(), core::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        let made = std::thread::Builder::new().name("cendre".to_owned()).stack_size(STACK).spawn(move || run(interpreter));
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, core::ptr::null_mut());
        // Without a thread nothing gets hot; the program is no worse off than under CPython.
        *slot = made.ok();
    }
}

/// Ends and joins the thread.
///
/// # Safety
/// The GIL is held.
pub unsafe fn stop() {
    // SAFETY: the caller's contract. The thread does not take the GIL, but CPython's lock of pending calls, which nobody
    // holds for long: joining with the GIL held cannot deadlock.
    unsafe {
        if let Some(thread) = THREAD.get().take() {
            shared().stop = true;
            CHANGED.notify_all();
            let _ = thread.join();
        }
    }
}

/// Ends our threads when the thread does that holds it.
struct EndsWithThread;

impl Drop for EndsWithThread {
    fn drop(&mut self) {
        shared().stop = true;
        CHANGED.notify_all();
        compiler::end_soon();
    }
}

/// In a child of fork: the thread that has forked is the first one of the process now. Python does not end the process with that thread, but
/// the kernel does when no other is left, which ours must not prevent.
pub fn end_with_this_thread() {
    thread_local! {
        static END: EndsWithThread = const { EndsWithThread };
    }
    // A thread that is ending already has no need of it.
    let _ = END.try_with(|_| {});
}

/// The pending call: looks at the running frames.
unsafe extern "C" fn take(_: *mut c_void) -> c_int {
    // SAFETY: called by CPython with the GIL held, with no exception set, at an instruction boundary.
    let _ = std::panic::catch_unwind(|| unsafe {
        crate::evaluator::look(ThreadState::current());
        look();
    });
    // SAFETY: as above.
    let failed = std::panic::catch_unwind(|| unsafe { look_for_loop() }).unwrap_or(0);
    let mut guard = shared();
    guard.waiting = false;
    let asleep = guard.asleep;
    drop(guard);
    // Waking it costs the program a system call and another thread a turn.
    if asleep {
        CHANGED.notify_one();
    }
    failed
}

unsafe fn look_for_loop() -> c_int {
    // SAFETY: as in `take`.
    unsafe {
        let ts = ThreadState::current();
        match *SEES_LOOP.get() {
            Some(tell) if !(*ts.cast::<ThreadStateImpl>()).asyncio_running_loop.is_null() && driver::compiles() => tell(ts),
            _ => 0,
        }
    }
}

unsafe fn look() {
    // SAFETY: as in `take`; frames are read before anything can run that might pop them.
    unsafe {
        let Some(config) = driver::config() else { return };
        stats::count(Counter::Samples);
        if !config.jit {
            return;
        }
        let weight = period();
        *NOW.get() = NOW.get().wrapping_add(weight);
        let now = *NOW.get();
        let ts = ThreadState::current();
        let breaker = (*ts).eval_breaker & !eval_breaker::EVENTS_MASK;
        let costs = compiler::costs();
        let mut fr = (*ts).current_frame;
        let (mut seen, mut loop_seen, mut cold_seen) = (0, false, false);
        let mut hot: Vec<*mut Frame> = Vec::new();
        let mut absent: Vec<*mut CodeRecord> = Vec::new();
        while !fr.is_null() && seen < DEPTH {
            // Entry frames and the shim under a specialised __init__ (whose code is in read-only memory) are incomplete.
            if !Frame::is_incomplete(fr) {
                let top = seen == 0;
                seen += 1;
                let code = (*fr).code();
                // Further out than the innermost loop nothing counts: what is not known need not be.
                let counts = config.threshold <= 1 || !loop_seen;
                let record = if counts { record::find_or_make(code) } else { record::find(code) };
                if !record.is_null() {
                    let found = if loop_seen { Some(false) } else { in_loop(record, Frame::instr_index(fr) as u32) };
                    // Not known: perhaps it is this one, so those further out get nothing.
                    loop_seen |= found != Some(false);
                    let looped = found == Some(true);
                    let place = if looped {
                        Place::Loop
                    } else if top {
                        Place::Top
                    } else {
                        Place::Caller
                    };
                    let runs_once = (*code).co_flags & co_flags::OPTIMIZED == 0;
                    if hotness::counts(place, runs_once, looped, config.threshold) {
                        (*record).samples = (*record).samples.saturating_add(1);
                        let heat = (*record).heat.add(now, hotness::weight(top, looped) * weight);
                        let cold = (*record).state == State::Cold && (*record).job == 0 && !(*record).stays_cold && !waits(record, &config);
                        cold_seen |= cold;
                        // While looks are rare one stands for several: never is one alone enough.
                        let seen_again = (*record).samples >= config.threshold.min(2);
                        let needed = |poor| costs.needed(config.threshold, CodeObject::len(code), poor);
                        if cold && seen_again && heat >= needed(false) && (config.threshold <= 1 || heat >= needed(is_poor(record))) {
                            hot.push(fr);
                        }
                    }
                    if (*record).state == State::Compiled && is_out(record, breaker) {
                        absent.push(record);
                    }
                }
            }
            fr = (*fr).previous;
        }
        vectorcall::resume_paused();
        for record in absent {
            entries::install(record);
        }
        let start = Instant::now();
        // Under the lowest thresholds whatever is seen is hot.
        let mut taken = config.threshold <= 1;
        for fr in hot {
            // The frames are those of the running thread below a pending call: none is popped meanwhile.
            if config.threshold > 0 {
                taken |= compiler::offer(record::find_or_make((*fr).code()), Subject::frame(fr), false);
                continue;
            }
            driver::compile_frame(fr);
            if start.elapsed() > BUDGET {
                break;
            }
        }
        met(cold_seen, taken);
        compiler::install_finished();
    }
}

/// Under threshold 0: the code is to be interpreted more often first. Where no executors count that, a sample counts as a call.
unsafe fn waits(record: *mut CodeRecord, config: &Config) -> bool {
    // SAFETY: the record's code runs.
    unsafe {
        config.threshold == 0
            && (executor::waits(record) || (*record).samples <= trial::warmup_of(config, (*record).code))
            && config.warmup.1 > 0
    }
}

/// Whether an instruction of the record's code is in a loop; None: not known yet.
unsafe fn in_loop(record: *mut CodeRecord, unit: u32) -> Option<bool> {
    // SAFETY: the record's code runs.
    unsafe {
        if (*record).heat.loops.is_none() {
            // Most code that is seen, is seen once: imports.
            (*record).heat.looks += 1;
            if (*record).heat.looks < LOOKS {
                return None;
            }
            let code = driver::code_bytes((*record).code);
            let decoded = cendre_bytecode::decode(&code, &cendre_bytecode::decode::no_executors).unwrap_or_default();
            let loops = decoded.iter().filter(|i| i.base == Opcode::JumpBackward);
            (*record).heat.loops = Some(loops.filter_map(|i| Some((i.jump_target?, i.next))).collect());
        }
        Some((*record).heat.in_loop(unit))
    }
}

/// Whether machine code of the record's code promises little. Asked when it has run for a while; what awaits gains by that.
unsafe fn is_poor(record: *mut CodeRecord) -> bool {
    // SAFETY: the record's code runs.
    unsafe {
        let code = (*record).code;
        *(*record).heat.poor.get_or_insert_with(|| {
            let bytes = driver::code_bytes(code);
            let decoded = cendre_bytecode::decode(&bytes, &cendre_bytecode::decode::no_executors).unwrap_or_default();
            (*code).co_flags & (co_flags::COROUTINE | co_flags::ASYNC_GENERATOR) == 0 && !cendre_bytecode::prospect::promises(&decoded)
        })
    }
}

/// Compiled, but its executors were taken out when tools changed, and they may come back now.
unsafe fn is_out(record: *mut CodeRecord, breaker: usize) -> bool {
    // SAFETY: the record's code runs.
    unsafe { entries::kind() == Kind::Executor && !(*record).for_machine_code && !executor::is_in(record) && (*record).may_run(breaker) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rarer_until_the_compiler_takes_something_on() {
        met(true, true);
        assert_eq!(period(), 2);
        (0..600).for_each(|_| met(true, false));
        assert_eq!(period(), 5);
        (0..350).for_each(|_| met(false, false));
        assert_eq!(period(), 10);
        met(true, true);
        assert_eq!(period(), 2);
    }
}
