//! What is known of `asyncio` in this process, and of each loop that was taken over.
//!
//! Invariant: [`bound`] is set once, after every struct was checked, and never changes; a [`LoopState`] lives as long as its
//! loop (a capsule in the loop's `__dict__` owns it) and is only reached with the GIL held, by the thread that runs the loop.

use crate::attrs::{Attr, Place};
use crate::clock::{Poll, Reading};
use crate::layout::TaskObj;
use crate::shelf;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ErrStackItem;
use cendre_runtime::Gil;
use core::ffi::c_int;
use core::ptr;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// `am_send`.
pub type SendFunc = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> ffi::PySendResult;
/// `tp_iternext`.
pub type NextFunc = unsafe extern "C" fn(*mut PyObject) -> *mut PyObject;
/// `tp_call`.
pub type CallFunc = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut PyObject) -> *mut PyObject;
/// METH_O.
pub type OneFunc = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

/// asyncio's types and functions, all held for ever.
pub struct Bound {
    pub future: *mut PyTypeObject,
    pub task: *mut PyTypeObject,
    pub gathering: *mut PyTypeObject,
    pub future_iter: *mut PyTypeObject,
    pub step_wrapper: *mut PyTypeObject,
    pub handle: *mut PyTypeObject,
    pub wakeup_def: *mut ffi::PyMethodDef,
    pub cancelled_error: *mut PyObject,
    pub invalid_state: *mut PyObject,
    /// Python: `failed(handle, exception)`, what `Handle._run` does with an exception.
    pub failed: *mut PyObject,
    /// `BaseEventLoop.call_soon` as it was found.
    pub call_soon: *mut PyObject,
    /// Its code object.
    pub call_soon_code: *mut PyObject,
    /// The word that holds what `asyncio.events.Handle` is now.
    pub handle_cell: *const usize,
    /// The version of `Handle` as it was found.
    pub handle_version: core::ffi::c_uint,
    /// `deque.append`.
    pub deque_append: OneFunc,
    /// Code objects of asyncio's own callbacks.
    pub internal: Vec<*mut PyObject>,
    pub opcode_send: u8,
    pub opcode_send_gen: u8,
    /// Types whose iterators hand on what a coroutine yields, untouched.
    pub transparent: Vec<*mut PyTypeObject>,
    /// Slots of `Handle`, as offsets.
    pub h_callback: usize,
    pub h_args: usize,
    pub h_cancelled: usize,
    pub h_loop: usize,
    pub h_context: usize,
    pub h_source_tb: usize,
    pub h_repr: usize,
    pub names: Names,
    /// ("context",)
    pub context_kwname: *mut PyObject,
    /// ("loop",)
    pub loop_kwname: *mut PyObject,
    /// What a frame yields whose suspension is booked already.
    pub marker: *mut PyObject,
    pub send: SendFunc,
    pub next: NextFunc,
    pub step_call: CallFunc,
    pub wakeup: OneFunc,
    /// `Future.set_result`, and its definition, in writable memory.
    pub set_result: ffi::PyCMethod,
    pub set_result_def: *mut ffi::PyMethodDef,
    pub fanout: Fanout,
}

/// What `gather`, `TaskGroup` and `create_task` are made of.
pub struct Fanout {
    /// The words that hold what `asyncio.tasks.Task`, `asyncio.tasks.ensure_future` and `asyncio.futures.Future` are now.
    pub task_cell: *const usize,
    pub ensure_cell: *const usize,
    pub future_cell: *const usize,
    /// `asyncio.tasks.__dict__`.
    pub tasks_dict: *mut PyObject,
    pub ensure_future: *mut PyObject,
    /// Code objects of the functions that are done natively.
    pub gather: *mut PyObject,
    pub gather_done: *mut PyObject,
    pub gather_done_qualname: *mut PyObject,
    pub loop_create_task: *mut PyObject,
    pub create_task: *mut PyObject,
    /// `asyncio.eager_task_factory`, and its code.
    pub eager_factory: *mut PyObject,
    pub eager_factory_code: *mut PyObject,
    pub group_create_task: *mut PyObject,
    pub group_done: *mut PyObject,
    /// `TaskGroup`, its dict, and the function `_on_task_done`.
    pub group: *mut PyTypeObject,
    /// How many attributes it had, and of these the functions that are done natively.
    pub group_attributes: ffi::Py_ssize_t,
    pub group_functions: Vec<(&'static core::ffi::CStr, *mut PyObject)>,
    pub group_done_function: *mut PyObject,
    /// Where a group's values lie inside it.
    pub group_slots: GroupSlots,
    /// How a group ends; None: not as it is known.
    pub exit: Option<crate::exit::Code>,
    /// The globals of `gather`.
    pub globals: *mut PyObject,
    /// `_asyncio`'s counter of task names.
    pub counter: *mut u64,
    pub deque: *mut PyTypeObject,
    /// The interpreter's own entry of functions.
    pub python: ffi::vectorcallfunc,
}

/// Places among the inline values of a `TaskGroup`; `NO_SLOT`: it was not found.
#[derive(Clone, Copy)]
pub struct GroupSlots {
    /// All of them were found.
    pub known: bool,
    pub entered: usize,
    pub exiting: usize,
    pub aborting: usize,
    pub looop: usize,
    pub parent_task: usize,
    pub tasks: usize,
    pub on_completed: usize,
    pub errors: usize,
    pub base_error: usize,
    pub parent_cancel: usize,
}

pub const NO_SLOT: usize = usize::MAX;

macro_rules! names {
    ($($field:ident = $text:literal),* $(,)?) => {
        /// Interned strings.
        pub struct Names { $(pub $field: *mut PyObject),* }
        impl Names {
            /// All of them; null pointers where memory ran out.
            ///
            /// # Safety
            /// The GIL is held.
            pub unsafe fn new() -> Names {
                // SAFETY: the caller's contract.
                unsafe { Names { $($field: ffi::PyUnicode_InternFromString($text.as_ptr())),* } }
            }
        }
    };
}

names! {
    call_soon = c"call_soon",
    thread_id = c"_thread_id",
    cancel = c"cancel",
    done = c"done",
    log_destroy = c"_log_destroy_pending",
    throw = c"throw",
    ready = c"_ready",
    popleft = c"popleft",
    append = c"append",
    run = c"_run",
    stopping = c"_stopping",
    scheduled = c"_scheduled",
    when = c"_when",
    time = c"time",
    clock_resolution = c"_clock_resolution",
    debug = c"_debug",
    context = c"context",
    get_loop = c"get_loop",
    loop_ = c"_loop",
    add_done_callback = c"add_done_callback",
    blocking = c"_asyncio_future_blocking",
    on_completed = c"_on_completed_fut",
    task_factory = c"_task_factory",
    ensure_future = c"ensure_future",
    return_exceptions = c"return_exceptions",
    children = c"_children",
    cancel_requested = c"_cancel_requested",
    add = c"add",
    discard = c"discard",
    create_task = c"create_task",
}

/// What may be done for a loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Stock order by native steps; nothing runs early.
    Off,
    /// Children run early where asyncio would have run them next anyway.
    Exact,
    /// A task that waits runs the children that it has made, whatever else is ready.
    Family,
}

/// Why something was not run early, or that it was: the index of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Counter {
    Steps,
    Awaits,
    ResumedInPlace,
    ChildrenEarly,
    CallbacksEarly,
    VirtualIterations,
    TasksMade,
    GathersMade,
    DoneNatively,
    FuturesSet,
    GroupsEnded,
    GroupsSuspended,
    NotStep,
    NotQueue,
    NotChain,
    NotContext,
    NotTools,
    NotDepth,
    NotDebug,
    NotKind,
    QueueEmpty,
    QueueOther,
    FailedFuture,
    IterationOver,
    NoChildren,
    ChildrenWait,
    BudgetUsed,
    Faults,
    Count,
}

/// Their names in `stats()`.
pub const COUNTERS: [&str; Counter::Count as usize] = [
    "steps",
    "awaits",
    "resumed_in_place",
    "children_early",
    "callbacks_early",
    "virtual_iterations",
    "tasks_made",
    "gathers_made",
    "done_callbacks",
    "futures_set",
    "groups_ended",
    "groups_suspended",
    "not_in_step",
    "not_in_queue_run",
    "frames_between",
    "context_entered",
    "tools_watch",
    "nested_too_deep",
    "debug_mode",
    "other_future",
    "queue_empty",
    "queue_other",
    "future_failed",
    "iteration_over",
    "no_children",
    "children_wait",
    "budget_used",
    "faults",
];

/// What stands in the queue while it is being run (`front.rs`).
pub enum Entry {
    /// Was taken from the middle.
    Gone,
    /// As it came.
    Handle(*mut PyObject),
    /// A step of a task, without an exception and without a handle; owned.
    Step(*mut TaskObj),
    /// `callback(future)`; all owned.
    Call { callback: *mut PyObject, future: *mut PyObject, context: *mut PyObject },
}

/// What ran puts callbacks into the queue: the entries from `from` up to `to`, by the end of this task (null: by a callback).
#[derive(Clone, Copy)]
pub struct Calls {
    pub task: *mut TaskObj,
    pub from: u64,
    pub to: u64,
}

/// The done callback of a group's children and the context it is called in: equal for all that are made in one step.
#[derive(Clone, Copy)]
pub struct GroupCall {
    /// Held by the callback.
    pub group: *mut PyObject,
    /// Owned, or null.
    pub callback: *mut PyObject,
    /// Owned, or null.
    pub context: *mut PyObject,
}

/// One task step that is running, innermost first.
pub struct Nest {
    pub outer: *mut Nest,
    pub task: *mut TaskObj,
    /// Its suspension is booked and the task was left: the marker is on its way.
    pub booked: bool,
    /// An exception that leaves the step instead of going into the coroutine; owned, or null.
    pub leaving: *mut PyObject,
    /// Where the task's own children begin in [`LoopState::family`].
    pub family_at: usize,
}

/// A loop that was taken over.
pub struct LoopState {
    pub looop: *mut PyObject,
    /// No policy is in force: the loop and its queue are asyncio's own (`parts.rs`).
    pub parts: bool,
    /// Then: the version of its class when it was looked at; 0: it has none.
    pub class_version: core::ffi::c_uint,
    /// And where it keeps what is asked for.
    pub slots: crate::parts::Slots,
    pub policy: Policy,
    /// Tasks that have set another one for what they wait for, by address; such a task takes itself out.
    pub overrides: Vec<(usize, Policy)>,
    /// `call_soon` is the one of `BaseEventLoop`.
    pub plain_call_soon: bool,
    /// And so is `create_task`.
    pub plain_create_task: bool,
    /// And `create_future`.
    pub plain_create_future: bool,
    /// And each look at `_ready` passes `look`.
    pub plain_ready: bool,
    /// The attributes of `attrs` are the loop's own, in a managed dict.
    pub plain_attributes: bool,
    /// Where they were found last.
    pub places: [Place; Attr::Count as usize],
    /// The queue, while `fronted`; else empty. What was not run when the loop must be asked stays.
    pub front: VecDeque<Entry>,
    /// The queue is `front`, and `_ready` is empty; while `run_ready` runs, and from its end to its next call if something is left.
    pub fronted: bool,
    /// The number of the first entry of `front`.
    pub head: u64,
    /// How many entries of `front` were taken from the middle.
    pub gone: usize,
    /// Entries from here on belong to the next iteration.
    pub iteration_end: u64,
    /// And its clock is `BaseEventLoop`'s.
    pub plain_time: bool,
    pub budget: Duration,
    /// Under `family`: the numbers of first steps that the tasks on the stack have put in, each behind those of its outer one.
    pub family: Vec<u64>,
    /// And the callbacks that were put in meanwhile, likewise.
    pub calls: Vec<Calls>,
    /// What the group got that made the last child in this step.
    pub group: GroupCall,
    /// What the end of the last task has put in.
    pub ended: Calls,
    /// When something ran early first in this outer step, by the loop's clock.
    pub outer_since: Option<f64>,
    /// What `clock::not_before` knows.
    pub reading: Reading,
    /// The queue, borrowed, while `run_ready` is running; null otherwise.
    pub ready: *mut PyObject,
    /// The id of the thread state that runs it.
    pub thread: u64,
    /// The loop is in `run_forever`, as far as `run_ready` has seen when it began.
    pub running: bool,
    /// Handles that are left in this iteration.
    pub todo: usize,
    pub last_poll: Option<Poll>,
    /// What was taken last: the handle, or what it would have held, in the order in which it would have let go; owned, or null.
    pub kept: [*mut PyObject; 3],
    pub nest: *mut Nest,
    pub depth: usize,
    pub max_depth: usize,
    /// What `run_ready` found: child steps see these again.
    pub base_frame: *mut Frame,
    pub base_exc_info: *mut ErrStackItem,
    pub base_recursion: c_int,
    /// Checks that tests switch off, to see that the comparison notices: bits of [`check`].
    pub skipped: u32,
}

/// The checks and the isolation of the exact rule, one bit each; set in [`LoopState::skipped`] they are left out.
pub mod check {
    /// Timers that are due end the iteration.
    pub const TIMERS: u32 = 1;
    /// The parent's context is left.
    pub const CONTEXT: u32 = 2;
    /// Every frame in between is stopped at SEND.
    pub const CHAIN: u32 = 4;
    /// `loop.stop()` ends the iteration.
    pub const STOP: u32 = 8;
    /// KeyboardInterrupt goes around the parents.
    pub const INTERRUPT: u32 = 16;
    /// The parent's handled exception is not the child's.
    pub const EXC_INFO: u32 = 32;
    /// A failed future is a real suspension.
    pub const FAILED: u32 = 64;
    /// Only the head of the queue is taken.
    pub const HEAD: u32 = 128;
    /// The budget of an outer step.
    pub const BUDGET: u32 = 256;
}

impl Policy {
    /// By the number that `cendre.aio` gives it.
    pub fn numbered(n: core::ffi::c_int) -> Policy {
        match n {
            0 => Policy::Off,
            1 => Policy::Exact,
            _ => Policy::Family,
        }
    }
}

impl LoopState {
    /// Whether a check is made (always, but for tests).
    #[inline(always)]
    pub fn checks(&self, bit: u32) -> bool {
        self.skipped & bit == 0
    }

    /// Whether children are noted by whom they were made.
    #[inline(always)]
    pub fn has_families(&self) -> bool {
        self.policy == Policy::Family || self.overrides.iter().any(|(_, policy)| *policy == Policy::Family)
    }

    /// The policy for what a task waits for.
    #[inline(always)]
    pub fn policy_of(&self, task: *mut TaskObj) -> Policy {
        let set = self.overrides.iter().find(|(at, _)| *at == task as usize);
        set.map_or(self.policy, |(_, policy)| *policy)
    }
}

static LAST: Gil<Counter> = Gil::new(Counter::Count);

/// Counts why a task suspends, and keeps it for `last_reason`.
///
/// # Safety
/// The GIL is held.
pub unsafe fn refuse(why: Counter) {
    // SAFETY: the caller's contract.
    unsafe {
        count(why);
        *LAST.get() = why;
    }
}

/// What was refused last.
///
/// # Safety
/// The GIL is held.
pub unsafe fn last_reason() -> Counter {
    // SAFETY: the caller's contract.
    unsafe { *LAST.get() }
}

static LONGEST: Gil<f64> = Gil::new(0.0);

/// Things ran out of turn for so many seconds in one outer step.
///
/// # Safety
/// The GIL is held.
pub unsafe fn out_of_turn(seconds: f64) {
    // SAFETY: the caller's contract.
    unsafe { *LONGEST.get() = LONGEST.get().max(seconds) }
}

/// The longest of them, in seconds.
///
/// # Safety
/// The GIL is held.
pub unsafe fn longest_out_of_turn() -> f64 {
    // SAFETY: the caller's contract.
    unsafe { *LONGEST.get() }
}

static TOLD: Gil<bool> = Gil::new(false);

/// What the policy itself needed has failed, with the exception that is set: counted, told once a process, and then asyncio's way is taken.
///
/// # Safety
/// The GIL is held; an exception is set; a live object.
pub unsafe fn fault(about: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe {
        count(Counter::Faults);
        if core::mem::replace(TOLD.get(), true) {
            ffi::PyErr_Clear();
        } else {
            ffi::PyErr_WriteUnraisable(about);
        }
    }
}

static COUNTS: Gil<[u64; Counter::Count as usize]> = Gil::new([0; Counter::Count as usize]);

/// Counts, for all loops together.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "each counter has a place")]
pub unsafe fn count(counter: Counter) {
    // SAFETY: the caller's contract.
    unsafe { COUNTS.get()[counter as usize] += 1 }
}

/// The counters, in the order of [`COUNTERS`].
///
/// # Safety
/// The GIL is held.
pub unsafe fn counts() -> [u64; Counter::Count as usize] {
    // SAFETY: the caller's contract.
    unsafe { *COUNTS.get() }
}

/// Sets the counters to zero.
///
/// # Safety
/// The GIL is held.
pub unsafe fn reset_counts() {
    // SAFETY: the caller's contract.
    unsafe {
        COUNTS.get().fill(0);
        *TOLD.get() = false;
        *LONGEST.get() = 0.0;
    }
}

struct Tables {
    bound: *const Bound,
    loops: Option<HashMap<usize, *mut LoopState>>,
    last: *mut LoopState,
}

static TABLES: Gil<Tables> = Gil::new(Tables { bound: ptr::null(), loops: None, last: ptr::null_mut() });

/// What `bind` found, or null.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub unsafe fn bound() -> *const Bound {
    // SAFETY: the caller's contract.
    unsafe { TABLES.get().bound }
}

/// Says once and for all what asyncio is made of.
///
/// # Safety
/// The GIL is held; every pointer is checked and held.
pub unsafe fn set_bound(b: Bound) {
    // SAFETY: the caller's contract.
    unsafe { TABLES.get().bound = Box::into_raw(Box::new(b)) }
}

/// The state of a loop that was taken over, or null.
///
/// # Safety
/// The GIL is held; the pointer is only compared.
#[inline(always)]
pub unsafe fn find(looop: *mut PyObject) -> *mut LoopState {
    // SAFETY: the caller's contract; `last` is emptied when its loop dies.
    unsafe {
        let t = TABLES.get();
        if !t.last.is_null() && (*t.last).looop == looop {
            return t.last;
        }
        let found = t.loops.as_ref().and_then(|l| l.get(&(looop as usize)).copied()).unwrap_or(ptr::null_mut());
        if !found.is_null() {
            t.last = found;
        }
        found
    }
}

/// Whether there is a loop that was taken over.
///
/// # Safety
/// The GIL is held.
pub unsafe fn has_loops() -> bool {
    // SAFETY: the caller's contract.
    unsafe { TABLES.get().loops.as_ref().is_some_and(|l| !l.is_empty()) }
}

/// Registers a new loop.
///
/// # Safety
/// The GIL is held; the state dies by [`forget`], before the loop does.
pub unsafe fn add(state: *mut LoopState) {
    // SAFETY: the caller's contract.
    unsafe {
        let t = TABLES.get();
        t.loops.get_or_insert_with(HashMap::new).insert((*state).looop as usize, state);
    }
}

/// Frees the state of a loop that dies.
///
/// # Safety
/// The GIL is held; the loop is not running.
pub unsafe fn forget(state: *mut LoopState) {
    // SAFETY: the caller's contract.
    unsafe {
        let t = TABLES.get();
        if t.last == state {
            t.last = ptr::null_mut();
        }
        if let Some(l) = &mut t.loops {
            l.remove(&((*state).looop as usize));
            if l.is_empty() {
                shelf::clear();
            }
        }
        let b = Box::from_raw(state);
        for kept in b.kept {
            refcount::xdecref(kept);
        }
    }
}
