//! The exact rule: at the `await` of a pending future, the head of the ready queue runs here, on top of the waiting task.
//!
//! Invariant: handles are taken from the queue's head only, in order, and each sees what it would see at the loop's level; when
//! the wake-up of the waiting task itself is the head, the task goes on in place, else it suspends for real. So the
//! order of every step and callback is stock's. Read docs/internals/tasks.md, "The exact rule", whose numbers are used here.

use crate::attrs::{self, Attr};
use crate::family;
use crate::front;
use crate::future::{self, Outcome};
use crate::layout::{FutureObj, TaskObj, bit, state as fut_state};
use crate::queue::{self, Kind};
use crate::sites;
use crate::state::{self, Bound, Counter, LoopState, Nest, Policy, check};
use crate::step::{self, current_task};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::gc;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::interp;
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::refcount::{decref, new_ref, type_of};
use cendre_cpython::tstate::{ErrStackItem, ThreadState, ThreadStateImpl, eval_breaker};
use cendre_runtime::{coro, frames};
use core::ffi::c_int;
use core::ptr;

/// What became of an `await`.
pub enum Await {
    /// Not ours to decide: as stock.
    Stock,
    /// The future's value, owned: the task goes on.
    Value(*mut PyObject),
    /// Booked: the task must suspend now.
    Suspended,
    /// An exception is set; only where a test left one of the rule's checks out.
    Raised,
}

/// `am_send` of future iterators.
pub unsafe extern "C" fn am_send(it: *mut PyObject, value: *mut PyObject, out: *mut *mut PyObject) -> ffi::PySendResult {
    // SAFETY: called by CPython with an object of that type; the hook is set after `bind`.
    unsafe {
        let b = &*state::bound();
        match awaited(b, it) {
            Await::Stock => (b.send)(it, value, out),
            Await::Value(v) => {
                *out = v;
                ffi::PySendResult::PYGEN_RETURN
            }
            Await::Suspended => {
                *out = new_ref(b.marker);
                ffi::PySendResult::PYGEN_NEXT
            }
            Await::Raised => ffi::PySendResult::PYGEN_ERROR,
        }
    }
}

/// `tp_iternext` of future iterators.
pub unsafe extern "C" fn iternext(it: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        let b = &*state::bound();
        match awaited(b, it) {
            Await::Stock => (b.next)(it),
            Await::Value(v) => {
                cendre_cpython::api::_PyGen_SetStopIterationValue(v);
                decref(v);
                ptr::null_mut()
            }
            Await::Suspended => new_ref(b.marker),
            Await::Raised => ptr::null_mut(),
        }
    }
}

#[inline]
unsafe fn awaited(b: &Bound, it: *mut PyObject) -> Await {
    // SAFETY: a future iterator; its future is alive as long as it is open.
    unsafe {
        let f = queue::future_of(it);
        if f.is_null() || (*f).state != fut_state::PENDING {
            return Await::Stock;
        }
        let ls = state::find((*f).fut_loop);
        if ls.is_null() {
            return Await::Stock;
        }
        let nest = (*ls).nest;
        let policy = if nest.is_null() { (*ls).policy } else { (*ls).policy_of((*nest).task) };
        if policy == Policy::Off {
            return Await::Stock;
        }
        state::count(Counter::Awaits);
        match may(b, ls, policy, f, it) {
            Ok((ts, nest)) => {
                let task = (*nest).task;
                let how = early(b, ls, policy, ts, nest, f);
                sites::waited(task, if matches!(how, Await::Value(_)) { None } else { Some(state::last_reason()) });
                how
            }
            Err(why) => {
                state::count(why);
                if !(*ls).nest.is_null() {
                    sites::waited((*(*ls).nest).task, Some(why));
                }
                Await::Stock
            }
        }
    }
}

/// Waits for a future that is pending, in an `await` that is done natively: `it` is what the innermost frame sends to. `Stock`: nothing was done or counted.
///
/// # Safety
/// A live loop and its policy for the innermost step; a live future.
pub unsafe fn wait(b: &Bound, ls: *mut LoopState, policy: Policy, f: *mut FutureObj, it: *mut PyObject) -> Await {
    // SAFETY: the caller's contract.
    unsafe {
        let Ok((ts, nest)) = may(b, ls, policy, f, it) else { return Await::Stock };
        state::count(Counter::Awaits);
        let task = (*nest).task;
        let how = early(b, ls, policy, ts, nest, f);
        sites::waited(task, if matches!(how, Await::Value(_)) { None } else { Some(state::last_reason()) });
        how
    }
}

/// Rules 1 and 2: whether this await may run others first. Cheap and likely refusals come first.
unsafe fn may(
    b: &Bound,
    ls: *mut LoopState,
    policy: Policy,
    f: *mut FutureObj,
    it: *mut PyObject,
) -> Result<(*mut ThreadState, *mut Nest), Counter> {
    // SAFETY: live objects; nothing here but `_debug` runs Python code.
    unsafe {
        let (ready, nest) = ((*ls).ready, (*ls).nest);
        if ready.is_null() {
            return Err(Counter::NotQueue);
        }
        if nest.is_null() {
            return Err(Counter::NotStep);
        }
        let ts = ThreadState::current();
        let task = (*nest).task;
        if *current_task(ts) != task.cast()
            || (*nest).booked
            || (*task).fut.fut_loop != (*ls).looop
            || (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop != (*ls).looop
        {
            return Err(Counter::NotStep);
        }
        if !future::is_known(b, f.cast()) || f.cast() == task || (*f).has(bit::BLOCKING) {
            return Err(Counter::NotKind);
        }
        if policy == Policy::Family {
            if !family::has_children(ls, nest) {
                return Err(Counter::NoChildren);
            }
        } else {
            // What is at the head decides most of the time. It cannot change before the first handle is taken: booking only
            // appends.
            let Some((kind, _)) = front::head(b, ls) else {
                return Err(Counter::QueueEmpty);
            };
            if !runs_here(ls, kind) {
                return Err(Counter::QueueOther);
            }
        }
        if (*ls).depth >= (*ls).max_depth || frames::low_stack(ts) {
            return Err(Counter::NotDepth);
        }
        if watched(ts) {
            return Err(Counter::NotTools);
        }
        if (*ts).context != (*task).context {
            return Err(Counter::NotContext);
        }
        if (*ls).checks(check::CHAIN) && !chain(b, ts, task, it) {
            return Err(Counter::NotChain);
        }
        if attrs::truth(b, ls, Attr::Debug) != Some(false) {
            return Err(Counter::NotDebug);
        }
        if policy == Policy::Family {
            family::may_go_on(b, ls)?;
            return Ok((ts, nest));
        }
        // Only asked: the next iteration begins after the booking, which may put handles in.
        if (*ls).todo == 0 && !queue::may_open(b, ls) {
            return Err(Counter::IterationOver);
        }
        Ok((ts, nest))
    }
}

/// Whether a handle of this kind at the head is run here (rule 5).
pub unsafe fn runs_here(ls: *mut LoopState, kind: Kind) -> bool {
    // SAFETY: a kind of a live handle.
    unsafe {
        match kind {
            Kind::Cancelled | Kind::Internal => true,
            Kind::Step(w) => {
                let t = (*w).task;
                !t.is_null() && (*t).fut.fut_loop == (*ls).looop && step::is_first(w)
            }
            Kind::TaskStep(t) => step::has_not_started(t),
            Kind::Wakeup(..) | Kind::Other => false,
        }
    }
}

/// Whether somebody watches how code runs.
#[inline]
pub unsafe fn watched(ts: *mut ThreadState) -> bool {
    // SAFETY: the running thread's state and its interpreter.
    unsafe {
        (*ts).tracing != 0
            || !(*ts).c_tracefunc.is_null()
            || !(*ts).c_profilefunc.is_null()
            || (*ts).coroutine_origin_tracking_depth != 0
            || u128::from_ne_bytes((*interp::monitors((*ts).interp)).tools) != 0
    }
}

/// Whether every frame from here down to the task's coroutine is stopped at a SEND and hands on what it is given.
unsafe fn chain(b: &Bound, ts: *mut ThreadState, task: *mut TaskObj, it: *mut PyObject) -> bool {
    // SAFETY: the frames of the running thread are alive; a generator's frame lies in its object.
    unsafe {
        let coro = (*task).coro;
        if type_of(coro) != &raw mut ffi::PyCoro_Type {
            return false;
        }
        let last = &raw mut (*coro.cast::<GenObject>()).gi_iframe;
        let mut frame: *mut Frame = (*ts).current_frame;
        let mut below = it;
        loop {
            if frame.is_null() {
                return false;
            }
            if (*frame).owner == frame_owner::INTERPRETER {
                frame = (*frame).previous;
                continue;
            }
            if (*frame).owner != frame_owner::GENERATOR {
                return false;
            }
            let code = (*frame).code();
            let opcode = (*frame).instr_ptr.cast::<u8>().read();
            // While an exception is thrown into a task, the frames it went through stand elsewhere: what they handle is not linked.
            if opcode != b.opcode_send && opcode != b.opcode_send_gen {
                return false;
            }
            if !(*code)._co_monitoring.is_null() && cendre_runtime::record::is_watched(code) {
                return false;
            }
            if !hands_on(b, frame, below) {
                return false;
            }
            if frame == last {
                return true;
            }
            below = GenObject::from_frame(frame).cast();
            frame = (*frame).previous;
        }
    }
}

/// Whether what this frame awaits is `below`, or hands on what is yielded below it.
///
/// An interpreted frame shows on its stack what it awaits. The stack of a compiled frame is empty: there the runtime knows. An object that
/// the collector does not know yet is the shell of an awaited call, which runs compiled, and whose stack pointer may be that of an earlier
/// call, above slots that may hold anything.
unsafe fn hands_on(b: &Bound, frame: *mut Frame, below: *mut PyObject) -> bool {
    // SAFETY: a live frame. Of an object that the collector knows, what lies below the stack pointer is valid: it would follow it, too.
    unsafe {
        let code = (*frame).code();
        let base = Frame::locals(frame).add((*code).co_nlocalsplus as usize);
        let used = ((*frame).stackpointer as isize - base as isize) / size_of::<usize>() as isize;
        if used <= 0 || used > (*code).co_stacksize as isize || !gc::is_tracked(GenObject::from_frame(frame).cast()) {
            return coro::foreign_receivers() == 0;
        }
        let top = base.add(used as usize);
        (1..=used.min(2) as usize).any(|n| {
            let r = *top.sub(n);
            !r.is_null() && !r.is_tagged_int() && (r.as_ptr() == below || b.transparent.contains(&type_of(r.as_ptr())))
        })
    }
}

/// What a task leaves behind while others run on top of it.
struct Parent {
    current_frame: *mut Frame,
    exc_info: *mut ErrStackItem,
    recursion: c_int,
    /// What compiled frames of this task send to; see `hands_on`.
    receivers: usize,
}

impl Parent {
    /// Rule 4: the thread looks as it does at the loop's level.
    unsafe fn leave(ls: *mut LoopState, ts: *mut ThreadState) -> Parent {
        // SAFETY: the running thread's state; what `run_ready` saw is alive as long as it runs.
        unsafe {
            let parent = Parent {
                current_frame: (*ts).current_frame,
                exc_info: (*ts).exc_info,
                recursion: (*ts).py_recursion_remaining,
                receivers: coro::swap_foreign_receivers(0),
            };
            (*ts).current_frame = (*ls).base_frame;
            if (*ls).checks(check::EXC_INFO) {
                (*ts).exc_info = (*ls).base_exc_info;
            }
            (*ts).py_recursion_remaining = (*ls).base_recursion;
            parent
        }
    }

    unsafe fn enter(self, ts: *mut ThreadState) {
        // SAFETY: as above; everything that ran has returned.
        unsafe {
            (*ts).current_frame = self.current_frame;
            (*ts).exc_info = self.exc_info;
            // The limit may have been changed meanwhile, which moved what is left.
            (*ts).py_recursion_remaining = self.recursion;
            coro::swap_foreign_receivers(self.receivers);
        }
    }
}

/// Rules 3 to 8.
unsafe fn early(b: &Bound, ls: *mut LoopState, policy: Policy, ts: *mut ThreadState, nest: *mut Nest, f: *mut FutureObj) -> Await {
    // SAFETY: `may` said so; the task is held by its step, the future by the task from the booking on.
    unsafe {
        let task = (*nest).task;
        // Only the delivery of a cancellation runs code between what `may` has asked and the first handle.
        let asked = !(*task).fut.has(bit::MUST_CANCEL);
        // 3: book as stock does. A failure is an exception of the step, after everything is left.
        let booked = step::wait_for(b, ls, task, new_ref(f.cast()));
        future::clear(current_task(ts));
        let mut error = if booked != 0 { ffi::PyErr_GetRaisedException() } else { ptr::null_mut() };
        let context = (*task).context;
        if error.is_null() && (*ls).checks(check::CONTEXT) && ffi::PyContext_Exit(context) != 0 {
            error = ffi::PyErr_GetRaisedException();
        }
        if !error.is_null() {
            (*nest).booked = true;
            (*nest).leaving = error;
            return Await::Suspended;
        }
        let breaker = (*ts).eval_breaker & !eval_breaker::EVENTS_MASK;
        (*ls).depth += 1;
        let limit = (*ts).py_recursion_limit;
        let parent = Parent::leave(ls, ts);
        let resumed = if policy == Policy::Family {
            family::run(b, ls, ts, nest, f, breaker, &mut error)
        } else {
            run_others(b, ls, ts, task, f, (breaker, asked), &mut error)
        };
        let limit = (*ts).py_recursion_limit - limit;
        parent.enter(ts);
        (*ts).py_recursion_remaining += limit;
        (*ls).depth -= 1;
        if (*ls).checks(check::CONTEXT) && ffi::PyContext_Enter(context) != 0 {
            let why = ffi::PyErr_GetRaisedException();
            if error.is_null() {
                error = why;
            } else {
                decref(why);
            }
        }
        if !error.is_null() && !(*ls).checks(check::INTERRUPT) {
            *current_task(ts) = new_ref(task.cast());
            ffi::PyErr_SetRaisedException(error);
            return Await::Raised;
        }
        if !resumed || !error.is_null() {
            (*nest).booked = true;
            (*nest).leaving = error;
            return Await::Suspended;
        }
        // What the wake-up and the step after it do.
        *current_task(ts) = new_ref(task.cast());
        let discarded = future::awaited_by_discard(f, task.cast());
        if discarded != 0 {
            ffi::PyErr_Clear();
        }
        let outcome = future::outcome(b, f);
        future::clear(&raw mut (*task).fut_waiter);
        state::count(Counter::ResumedInPlace);
        match outcome {
            Outcome::Value(value) => Await::Value(value),
            Outcome::Failure(exc) => {
                ffi::PyErr_SetObject(type_of(exc).cast(), exc);
                decref(exc);
                Await::Raised
            }
            Outcome::Raised => Await::Raised,
        }
    }
}

/// Rule 5: takes handles from the head until the task can go on (true) or must suspend (false).
unsafe fn run_others(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    task: *mut TaskObj,
    f: *mut FutureObj,
    (breaker, mut asked): (usize, bool),
    error: &mut *mut PyObject,
) -> bool {
    // SAFETY: the queue is alive while `run_ready` runs; the head is looked at while it is held.
    unsafe {
        loop {
            if !queue::may_take(b, ls, core::mem::take(&mut asked)) {
                let empty = front::size(ls) == 0;
                state::refuse(if empty { Counter::QueueEmpty } else { Counter::IterationOver });
                return false;
            }
            let Some((kind, context)) = front::head(b, ls) else {
                state::refuse(Counter::QueueEmpty);
                return false;
            };
            if let Kind::Wakeup(t, by) = kind
                && t == task
                && by == f.cast()
                && context == (*task).context
            {
                let failed = (*f).state != fut_state::FINISHED || !(*f).exception.is_null();
                if failed && (*ls).checks(check::FAILED) || (*task).fut.has(bit::MUST_CANCEL) {
                    state::refuse(Counter::FailedFuture);
                    return false;
                }
                if (*ts).eval_breaker & !eval_breaker::EVENTS_MASK != breaker || watched(ts) {
                    state::refuse(Counter::NotTools);
                    return false;
                }
                if front::take(b, ls).is_none() {
                    *error = ffi::PyErr_GetRaisedException();
                    return false;
                }
                return true;
            }
            if !(*ls).checks(check::HEAD) && (*f).state == fut_state::FINISHED && overtakes(b, ls, task) {
                return true;
            }
            let is_child = matches!(kind, Kind::Step(_) | Kind::TaskStep(_));
            let cancelled = matches!(kind, Kind::Cancelled);
            if !runs_here(ls, kind) || frames::low_stack(ts) {
                state::refuse(Counter::QueueOther);
                return false;
            }
            let Some(taken) = front::take(b, ls) else {
                *error = ffi::PyErr_GetRaisedException();
                return false;
            };
            if cancelled {
                continue;
            }
            state::count(if is_child { Counter::ChildrenEarly } else { Counter::CallbacksEarly });
            if queue::run(b, ls, ts, taken) != 0 {
                // 7: it leaves by the steps, not through the parents.
                *error = ffi::PyErr_GetRaisedException();
                return false;
            }
        }
    }
}

/// For the test of the test: takes the task's wake-up from anywhere in the queue, past everybody.
unsafe fn overtakes(b: &Bound, ls: *mut LoopState, task: *mut TaskObj) -> bool {
    // SAFETY: the queue is alive while `run_ready` runs; it holds its handles.
    unsafe {
        front::flush(b, ls);
        for i in 0..ffi::PyObject_Size((*ls).ready) {
            let handle = ffi::PySequence_GetItem((*ls).ready, i);
            if handle.is_null() {
                ffi::PyErr_Clear();
                return false;
            }
            let found = matches!(queue::kind(b, handle), Kind::Wakeup(t, _) if t == task);
            decref(handle);
            if found {
                (*ls).todo = (*ls).todo.saturating_sub(1);
                return ffi::PySequence_DelItem((*ls).ready, i) == 0;
            }
        }
        false
    }
}
