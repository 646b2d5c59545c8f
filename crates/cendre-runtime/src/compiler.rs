//! The compiler's thread: the pure stages of compiling, beside the program.
//!
//! A job is prepared with the GIL, worked on by the thread without it, and installed by a pending call. One queue, hottest
//! first. The thread is made for the first job and ends when it had none for a while, which gives Cranelift's memory back.
//! Invariants: the thread touches no Python object and never takes the GIL; our lock is never held while CPython's are taken;
//! the thread is joined before fork, started again after it, and touches the interpreter no more once that begins to end; what a result was made from
//! is looked at again before it is installed. Read docs/internals/hotness.md.

use crate::driver::{self, Subject};
use crate::gil::Gil;
use crate::hotness::Costs;
use crate::job::Job;
use crate::record::{CodeRecord, State};
use crate::stats::{self, Counter};
use cendre_cpython::api;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi;
use core::ffi::{c_int, c_void};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Jobs that wait, at most: each holds its IR, and what is hot will be seen again.
const LONGEST_QUEUE: usize = 4;
/// The thread ends after so long without a job.
const IDLE: Duration = Duration::from_secs(1);
/// What the end of a program waits for a job.
const PATIENCE: Duration = Duration::from_millis(5);
/// Only touched where it is used; deep trees of blocks are walked recursively by some passes.
const STACK: usize = 16 << 20;
/// Added to the niceness of the thread: on a busy machine the program goes first.
const NICER: c_int = 2;

struct Queued {
    job: Box<Job>,
    number: u64,
    heat: u32,
}

struct Done {
    job: Box<Job>,
    number: u64,
    result: Result<(), String>,
    /// Processor time of the thread.
    ns: u64,
}

struct Shared {
    stop: bool,
    /// The thread takes jobs.
    running: bool,
    /// One is being worked on.
    busy: bool,
    queue: Vec<Queued>,
    done: Vec<Done>,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { stop: false, running: false, busy: false, queue: Vec::new(), done: Vec::new() });
static CHANGED: Condvar = Condvar::new();
static THREAD: Gil<Option<JoinHandle<()>>> = Gil::new(None);
static COSTS: Gil<Costs> = Gil::new(Costs::new());
static LAST_NUMBER: Gil<u64> = Gil::new(0);

fn shared() -> MutexGuard<'static, Shared> {
    // Nothing that can panic runs with the lock held.
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Jobs that wait or are being worked on.
pub fn queue_length() -> usize {
    let guard = shared();
    guard.queue.len() + usize::from(guard.busy)
}

/// What compiling costs, as learned so far.
///
/// # Safety
/// The GIL is held.
pub unsafe fn costs() -> Costs {
    // SAFETY: the caller's contract.
    unsafe { *COSTS.get() }
}

/// Counts what compiling on demand took.
///
/// # Safety
/// The GIL is held.
pub unsafe fn learn(units: usize, ns: u64) {
    // SAFETY: the caller's contract.
    unsafe { COSTS.get().learn(units, ns) }
}

fn cpu_ns(clock: libc::clockid_t) -> u64 {
    // SAFETY: fills in the structure that it is given.
    let t = unsafe {
        let mut t: libc::timespec = core::mem::zeroed();
        libc::clock_gettime(clock, &mut t);
        t
    };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Processor time of this thread: what compiling took does not depend on what else the machine does.
pub fn thread_ns() -> u64 {
    cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that compiling may use now.
///
/// # Safety
/// The GIL is held.
pub unsafe fn budget_ns() -> u64 {
    // SAFETY: the caller's contract.
    unsafe { COSTS.get().left_ns(cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID)) }
}

/// Takes hot code on, unless the queue is full or the budget spent: then it has to be seen again. Whether it was taken on.
///
/// # Safety
/// A living record whose code is cold, live objects; the GIL is held. May run Python code, keeps a set exception.
pub unsafe fn offer(record: *mut CodeRecord, subject: Subject, urgent: bool) -> bool {
    // SAFETY: the caller's contract; a code object's record lives as long as it does.
    unsafe {
        let Some(config) = driver::config() else { return false };
        if (*record).state != State::Cold || (*record).job != 0 || (*record).stays_cold {
            return false;
        }
        let units = CodeObject::len(subject.code);
        if config.threshold > 1 {
            let (waiting, waiting_ns) = {
                let guard = shared();
                let units: usize = guard.queue.iter().map(|q| q.job.units).sum();
                (guard.queue.len(), COSTS.get().estimate_ns(units))
            };
            let needed = waiting_ns + COSTS.get().estimate_ns(units);
            if waiting >= LONGEST_QUEUE || !urgent && needed > budget_ns() {
                stats::count(Counter::Postponed);
                return false;
            }
        }
        driver::keeping_exception(subject.code, || match Job::prepare(record, subject) {
            Ok(job) => {
                *LAST_NUMBER.get() += 1;
                let number = *LAST_NUMBER.get();
                (*record).job = number;
                shared().queue.push(Queued { job: Box::new(job), number, heat: (*record).samples });
                start();
                CHANGED.notify_one();
                true
            }
            Err(reason) => {
                driver::refuse(record, &reason);
                false
            }
        })
    }
}

/// Starts the thread if there is work for it; after fork as well.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start() {
    // SAFETY: the caller's contract. Signals are for Python's threads: the new one inherits a full mask.
    unsafe {
        let slot = THREAD.get();
        {
            let mut guard = shared();
            if guard.running || guard.queue.is_empty() {
                return;
            }
            guard.stop = false;
            guard.running = true;
        }
        if let Some(ended) = slot.take() {
            let _ = ended.join();
        }
        let interpreter = ffi::PyInterpreterState_Get() as usize;
        let (mut all, mut old) = (core::mem::zeroed(), core::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        let thread = std::thread::Builder::new().name("cendre-compiler".to_owned()).stack_size(STACK);
        let made = thread.spawn(move || run(interpreter));
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, core::ptr::null_mut());
        // Without a thread the jobs wait; the program is no worse off than under CPython.
        shared().running = made.is_ok();
        *slot = made.ok();
    }
}

/// Has the thread end behind the job that it is at, whatever waits. Needs no GIL.
pub fn end_soon() {
    shared().stop = true;
    CHANGED.notify_all();
}

/// Ends the thread after the job that it works on; what waits goes on waiting.
///
/// # Safety
/// The GIL is held.
pub unsafe fn pause() {
    // SAFETY: the caller's contract. The thread never takes the GIL, so joining with the GIL held cannot deadlock.
    unsafe {
        if let Some(thread) = THREAD.get().take() {
            shared().stop = true;
            CHANGED.notify_all();
            let _ = thread.join();
            let mut guard = shared();
            guard.stop = false;
            guard.running = false;
        }
    }
}

/// Ends the thread before the interpreter does. A job that takes long is not waited for: it touches nothing of Python, and
/// the thread sees that it has to stop before it would.
///
/// # Safety
/// The GIL is held.
pub unsafe fn abandon() {
    // SAFETY: the caller's contract.
    unsafe {
        let Some(thread) = THREAD.get().take() else { return };
        let mut guard = shared();
        guard.stop = true;
        CHANGED.notify_all();
        let end = Instant::now() + PATIENCE;
        while guard.running {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() && guard.busy {
                return;
            }
            let (again, _) = CHANGED.wait_timeout(guard, left.max(Duration::from_millis(1))).unwrap_or_else(PoisonError::into_inner);
            guard = again;
        }
        drop(guard);
        let _ = thread.join();
    }
}

/// Ends the thread and drops all jobs.
///
/// # Safety
/// The GIL is held. May run Python code (finalisers).
pub unsafe fn stop() {
    // SAFETY: the caller's contract.
    unsafe {
        pause();
        let (queue, done) = {
            let mut guard = shared();
            (core::mem::take(&mut guard.queue), core::mem::take(&mut guard.done))
        };
        for (job, number) in queue.into_iter().map(|q| (q.job, q.number)).chain(done.into_iter().map(|d| (d.job, d.number))) {
            if (*job.record).job == number {
                (*job.record).job = 0;
            }
            job.drop_with_gil();
        }
    }
}

fn run(interpreter: usize) {
    be_nice();
    let mut guard = shared();
    while !guard.stop {
        let hottest = guard.queue.iter().enumerate().max_by_key(|(n, q)| (q.heat, core::cmp::Reverse(*n))).map(|(n, _)| n);
        let Some(hottest) = hottest else {
            let (again, waited) = CHANGED.wait_timeout(guard, IDLE).unwrap_or_else(PoisonError::into_inner);
            guard = again;
            if waited.timed_out() && guard.queue.is_empty() {
                break;
            }
            continue;
        };
        let Queued { mut job, number, .. } = guard.queue.remove(hottest);
        guard.busy = true;
        drop(guard);
        let start = thread_ns();
        let result = job.work();
        let ns = thread_ns() - start;
        guard = shared();
        guard.busy = false;
        guard.done.push(Done { job, number, result, ns });
        if guard.stop {
            break;
        }
        drop(guard);
        // SAFETY: needs neither the GIL nor a thread state; the interpreter lives: `pause` joins us before it ends, and
        // `abandon` leaves only a thread that is about to see `stop`. If its queue is full the next sample finds the result.
        unsafe { api::_PyEval_AddPendingCall(interpreter as *mut _, take, core::ptr::null_mut(), 0) };
        guard = shared();
    }
    guard.running = false;
    CHANGED.notify_all();
}

/// On Linux niceness is a property of threads.
fn be_nice() {
    #[cfg(target_os = "linux")]
    // SAFETY: about this thread only; if it is refused the thread is as nice as the program.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        let now = libc::getpriority(libc::PRIO_PROCESS, thread);
        libc::setpriority(libc::PRIO_PROCESS, thread, now + NICER);
    }
}

/// The pending call.
unsafe extern "C" fn take(_: *mut c_void) -> c_int {
    // SAFETY: called by CPython with the GIL held, with no exception set, at an instruction boundary.
    let _ = std::panic::catch_unwind(|| unsafe { install_finished() });
    0
}

/// Installs what the thread has finished.
///
/// # Safety
/// The GIL is held. May run Python code, keeps a set exception.
pub unsafe fn install_finished() {
    // SAFETY: the caller's contract; each job keeps its record, and a job that is wanted has a living code object.
    unsafe {
        let done = core::mem::take(&mut shared().done);
        for Done { mut job, number, result, ns } in done {
            // Of the wall, a busy machine has its part.
            job.background_ns = ns;
            COSTS.get().learn(job.units, ns + job.foreground_ns);
            stats::add(Counter::BackgroundNs, ns);
            stats::add(Counter::ForegroundNs, job.foreground_ns);
            let record = job.record;
            let wanted = (*record).job == number && (*record).state == State::Cold && driver::config().is_some();
            if (*record).job == number {
                (*record).job = 0;
            }
            if !wanted {
                stats::count(Counter::Discarded);
                job.drop_with_gil();
                continue;
            }
            driver::keeping_exception((*record).code, || {
                let finished = match result {
                    Ok(()) => job.finish(),
                    Err(reason) => {
                        job.drop_with_gil();
                        Err(reason)
                    }
                };
                if let Err(reason) = finished {
                    driver::refuse(record, &reason);
                }
            });
        }
    }
}
