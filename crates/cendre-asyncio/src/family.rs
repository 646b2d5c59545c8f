//! The policy `family`: when a task waits for a future, the tasks that it has made in this step and that have not started run on top of it.
//!
//! In order: first steps of the children, as they were made; then what their ends have put into the queue, which is their done callbacks
//! but no wake-up of a task, and callbacks of asyncio's own that these put in; then, if the future holds a value by now, the task goes
//! on. Nothing else is taken from the queue, and nothing once the budget of the outer step is used up or the loop is being stopped.
//! Invariant: what is not in the family keeps its order. The booking and the isolation are those of the exact rule (`early.rs`).
//! Read docs/internals/tasks.md, "The family".

use crate::attrs::{self, Attr};
use crate::front;
use crate::layout::{FutureObj, TaskObj, bit, state as fut_state};
use crate::queue::{self, Kind};
use crate::state::{self, Bound, Calls, Counter, LoopState, Nest, check};
use crate::step::{self, current_task};
use crate::{clock, early};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::tstate::{ThreadState, eval_breaker};

/// The first step of a new task was put into the queue: it is a child of the task that runs.
#[inline(always)]
pub unsafe fn born(ls: *mut LoopState, ts: *mut ThreadState) {
    // SAFETY: the loop's queue is being run in this thread; the innermost step is on the C stack.
    unsafe {
        let nest = (*ls).nest;
        if (*ls).has_families() && (*ls).fronted && !nest.is_null() && !(*nest).booked && *current_task(ts) == (*nest).task.cast() {
            let number = (*ls).next_number() - 1;
            (*ls).family.push(number);
        }
    }
}

/// Whether a task that runs has children that have not started, as far as is known.
#[inline(always)]
pub unsafe fn has_children(ls: *mut LoopState, nest: *mut Nest) -> bool {
    // SAFETY: the innermost step.
    unsafe { (*ls).family.len() > (*nest).family_at }
}

/// The part of the budget that may be left when it counts as used, so that the clock need not be asked for each child.
const SLACK: f64 = 1.0 / 32.0;

/// Whether more may run early in this outer step; says why not.
pub unsafe fn may_go_on(b: &Bound, ls: *mut LoopState) -> Result<(), Counter> {
    // SAFETY: a live loop.
    unsafe {
        if (*ls).checks(check::STOP) && attrs::truth(b, ls, Attr::Stopping) != Some(false) {
            return Err(Counter::IterationOver);
        }
        let Some(since) = (*ls).outer_since else {
            (*ls).outer_since = clock::now(b, ls);
            return if (*ls).outer_since.is_none() {
                Err(Counter::Faults)
            } else if (*ls).budget.is_zero() && (*ls).checks(check::BUDGET) {
                Err(Counter::BudgetUsed)
            } else {
                Ok(())
            };
        };
        let budget = (*ls).budget.as_secs_f64();
        let Some(now) = clock::not_before(b, ls, budget * SLACK) else { return Err(Counter::Faults) };
        if (*ls).checks(check::BUDGET) && now - since >= budget { Err(Counter::BudgetUsed) } else { Ok(()) }
    }
}

/// Runs the family of a task whose suspension is booked: whether the task goes on.
pub unsafe fn run(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    nest: *mut Nest,
    f: *mut FutureObj,
    breaker: usize,
    error: &mut *mut PyObject,
) -> bool {
    // SAFETY: the task is held by its step, the future by the task.
    unsafe {
        let calls_at = (*ls).calls.len();
        let how = run_inner(b, ls, ts, nest, f, breaker);
        (*ls).family.truncate((*nest).family_at);
        (*ls).calls.truncate(calls_at);
        match how {
            Ok(()) => true,
            Err(Stop::Because(why)) => {
                state::refuse(why);
                false
            }
            Err(Stop::Raised) => {
                *error = ffi::PyErr_GetRaisedException();
                false
            }
        }
    }
}

enum Stop {
    Because(Counter),
    /// An exception that leaves the loop is set.
    Raised,
}

impl From<Counter> for Stop {
    fn from(why: Counter) -> Stop {
        Stop::Because(why)
    }
}

unsafe fn run_inner(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    nest: *mut Nest,
    f: *mut FutureObj,
    breaker: usize,
) -> Result<(), Stop> {
    // SAFETY: as for `run`; an entry is only looked at while nothing runs.
    unsafe {
        let task = (*nest).task;
        let begin = (*ls).next_number();
        let calls_at = (*ls).calls.len();
        // The task does not run, so it makes no more of them; what its children push above is gone when they return.
        let (first, end) = ((*nest).family_at, (*ls).family.len());
        for at in first..end {
            let Some(&number) = (&raw const (*ls).family).as_ref().and_then(|all| all.get(at)) else { break };
            let Some(child) = unstarted(b, ls, number) else { continue };
            may_go_on(b, ls)?;
            let Some(taken) = front::take_number(ls, number) else { continue };
            (*ls).ended.task = core::ptr::null_mut();
            state::count(Counter::ChildrenEarly);
            if queue::run(b, ls, ts, taken) != 0 {
                return Err(Stop::Raised);
            }
            let ended = (*ls).ended;
            if ended.task == child {
                add_calls(ls, calls_at, ended);
            }
        }
        let mut at = calls_at;
        while let Some(&calls) = (&raw const (*ls).calls).as_ref().and_then(|all| all.get(at)) {
            at += 1;
            for number in calls.from..calls.to {
                let Some(entry) = (*ls).entry(number) else { continue };
                let runs = match front::kind_of(b, entry).0 {
                    Kind::Internal => true,
                    Kind::Other => !calls.task.is_null(),
                    Kind::Cancelled | Kind::Step(_) | Kind::TaskStep(_) | Kind::Wakeup(..) => false,
                };
                if !runs {
                    continue;
                }
                may_go_on(b, ls)?;
                let from = (*ls).next_number();
                let Some(taken) = front::take_number(ls, number) else { continue };
                state::count(Counter::CallbacksEarly);
                if queue::run(b, ls, ts, taken) != 0 {
                    return Err(Stop::Raised);
                }
                let to = (*ls).next_number();
                if to > from {
                    (*ls).calls.push(Calls { task: core::ptr::null_mut(), from, to });
                }
            }
        }
        if (*f).state == fut_state::PENDING {
            return Err(Counter::ChildrenWait.into());
        }
        let failed = (*f).state != fut_state::FINISHED || !(*f).exception.is_null();
        if failed && (*ls).checks(check::FAILED) || (*task).fut.has(bit::MUST_CANCEL) {
            return Err(Counter::FailedFuture.into());
        }
        let found = (begin..(*ls).next_number()).rev().find(|&number| {
            (*ls).entry(number).is_some_and(|entry| {
                let (kind, context) = front::kind_of(b, entry);
                context == (*task).context && matches!(kind, Kind::Wakeup(t, by) if t == task && by == f.cast())
            })
        });
        let Some(number) = found else { return Err(Counter::QueueOther.into()) };
        may_go_on(b, ls)?;
        if (*ts).eval_breaker & !eval_breaker::EVENTS_MASK != breaker || early::watched(ts) {
            return Err(Counter::NotTools.into());
        }
        if front::take_number(ls, number).is_none() {
            return Err(Counter::QueueOther.into());
        }
        Ok(())
    }
}

/// What the end of a child has put in; what follows on the range before makes that longer.
unsafe fn add_calls(ls: *mut LoopState, calls_at: usize, ended: Calls) {
    // SAFETY: the state of a loop whose queue is being run.
    unsafe {
        let calls = &mut (*ls).calls;
        if calls.len() > calls_at
            && let Some(last) = calls.last_mut()
            && last.to == ended.from
        {
            last.to = ended.to;
        } else if ended.to > ended.from {
            calls.push(ended);
        }
    }
}

/// The task whose first step has this number in the queue, if it is still there.
unsafe fn unstarted(b: &Bound, ls: *mut LoopState, number: u64) -> Option<*mut TaskObj> {
    // SAFETY: the queue holds what is looked at.
    unsafe {
        match front::kind_of(b, (*ls).entry(number)?).0 {
            Kind::TaskStep(task) if step::has_not_started(task) => Some(task),
            Kind::Step(w) if step::is_first(w) => Some((*w).task),
            _ => None,
        }
    }
}
