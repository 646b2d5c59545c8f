//! Runs bodies of generators and coroutines: what CPython's `gen_send_ex2` does around the interpreter, around a body.
//!
//! Invariants: while a body runs, its object is EXECUTING, its exception state is the top of the thread's stack of them, and
//! its frame is the current one, linked last. Before a frame outlives the call or goes to the interpreter, all its slots own
//! what they hold (the interpreter's YIELD_VALUE makes nothing heap-safe). The state that says "suspended" is stored after
//! everything else: from then on anybody may look. Read docs/internals/awaits.md, "Runs".

use super::data;
use crate::behind;
use crate::body::{self, Body, BodyResult};
use crate::driver;
use crate::evaluator;
use crate::frames;
use crate::ops::exceptions;
use crate::record::{self, CodeRecord};
use crate::stats::{self, Counter};
use crate::unwind;
use cendre_cpython::api;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::gc;
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::{ThreadState, eval_breaker};
use core::ptr;

/// Whether a body of this record may be entered now: compiled, no event waits, nobody watches, recursion and C stack left.
///
/// # Safety
/// The record's code object is alive; the GIL is held.
#[inline(always)]
pub unsafe fn may_run(ts: *mut ThreadState, record: *mut CodeRecord) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        evaluator::look(ts);
        !(*record).body.is_null()
            && ((*ts).eval_breaker == (*record).version || looked_again(ts, record))
            && (*ts).py_recursion_remaining > 1
            && !frames::low_stack(ts)
    }
}

/// The version moves whenever tools change, also when they are switched off: then the body may run again.
#[cold]
unsafe fn looked_again(ts: *mut ThreadState, record: *mut CodeRecord) -> bool {
    // SAFETY: as in `may_run`.
    unsafe {
        let word = (*ts).eval_breaker;
        if word & eval_breaker::EVENTS_MASK != 0 || !(*record).may_run(word) {
            return false;
        }
        (*record).version = word;
        true
    }
}

/// The record and the entry of a generator or coroutine that can be resumed natively now; `sent` as for `send()`.
///
/// # Safety
/// `g` is an exact generator, coroutine or asynchronous generator; the GIL is held.
#[inline(always)]
pub unsafe fn resumable(ts: *mut ThreadState, g: *mut GenObject, sent: *mut PyObject) -> Option<(*mut CodeRecord, u64)> {
    // SAFETY: the caller's contract; a generator that is not finished has a complete frame.
    unsafe {
        let state = (*g).gi_frame_state;
        if state >= frame_state::FRAME_EXECUTING {
            return None;
        }
        let fr = &raw mut (*g).gi_iframe;
        let record = record::find((*fr).code());
        if record.is_null() || !may_run(ts, record) {
            return None;
        }
        data::refresh(record);
        if state == frame_state::FRAME_CREATED {
            // The interpreter would pop what is sent first, and refuses anything but None.
            let start = (*record).coro.start.as_ref()?;
            return super::is_none(sent).then_some((record, start.at));
        }
        let at = (*record).coro.entry_of(Frame::instr_index(fr) as usize)?;
        Some((record, at))
    }
}

/// Resumes natively what [`resumable`] found; `sent` is borrowed. `RETURNED`, `YIELDED` or `RAISED`.
///
/// The caller keeps its reference to the object. It stays as it is when finished; see `shell::give_back`.
///
/// # Safety
/// As answered by [`resumable`] just now; the GIL is held. Runs Python code.
#[inline]
pub unsafe fn resume(ts: *mut ThreadState, g: *mut GenObject, record: *mut CodeRecord, at: u64, sent: *mut PyObject) -> BodyResult {
    // SAFETY: the caller's contract; a suspended frame has room for the value that is sent.
    unsafe {
        (*record).coro.stats.resumed += 1;
        let fr = &raw mut (*g).gi_iframe;
        if (*g).gi_frame_state == frame_state::FRAME_CREATED {
            // Whoever made the object made its slots own what they hold. It stands behind RETURN_GENERATOR; what lies before the RESUME
            // only pops the None that is sent.
            (*fr).instr_ptr = CodeObject::units((*record).code).add((*(*record).code)._co_firsttraceable as usize);
        } else {
            *(*fr).stackpointer = StackRef::from_new(sent);
            (*fr).stackpointer = (*fr).stackpointer.add(1);
        }
        link(ts, g);
        // SAFETY: a record's body is a function of that type (see `Artifact::body`).
        let body: Body = core::mem::transmute::<*const core::ffi::c_void, Body>((*record).body);
        let result = body(ts, &raw mut (*g).gi_iframe, at);
        if result.tag == body::YIELDED {
            // Nothing is lent to a frame that nobody awaits in place, and the collector knows the object.
            debug_assert!(gc::is_tracked(g.cast()));
            suspend(ts, g);
            return result;
        }
        ran(ts, g, record, result)
    }
}

/// Unlinked and suspended, as YIELD_VALUE's argument says: whether what is below is an awaited receiver.
#[inline(always)]
unsafe fn suspend(ts: *mut ThreadState, g: *mut GenObject) {
    // SAFETY: the running generator, standing behind a YIELD_VALUE; all that its slots hold is its own. The state comes last.
    unsafe {
        unlink(ts, g);
        let inside = (*(*g).gi_iframe.instr_ptr.sub(1)).oparg() as i8;
        (*g).gi_frame_state = frame_state::FRAME_SUSPENDED + inside;
    }
}

/// Runs the body of a complete frame from an entry until it finishes, raises or suspends.
///
/// # Safety
/// The record has a body, `at` is an entry of it; `g` stands there and does not run; the GIL is held.
#[inline(always)]
pub unsafe fn run(ts: *mut ThreadState, g: *mut GenObject, record: *mut CodeRecord, at: u64) -> BodyResult {
    // SAFETY: the caller's contract; the frame owns its code object, so the record lives until `settle` is over.
    unsafe {
        link(ts, g);
        // SAFETY: a record's body is a function of that type (see `Artifact::body`).
        let body: Body = core::mem::transmute::<*const core::ffi::c_void, Body>((*record).body);
        let result = body(ts, &raw mut (*g).gi_iframe, at);
        debug_assert!((*ts).current_frame == &raw mut (*g).gi_iframe);
        ran(ts, g, record, result)
    }
}

/// What follows on a body's answer: `g`, still linked, finishes, suspends, or goes on in the interpreter.
///
/// # Safety
/// The body of the running `g`, whose record this is, just answered `result`; the GIL is held. May run Python code.
#[inline(always)]
pub unsafe fn ran(ts: *mut ThreadState, g: *mut GenObject, record: *mut CodeRecord, result: BodyResult) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        if result.tag == body::RETURNED {
            finish(ts, g);
            return result;
        }
        settle(ts, g, record, result)
    }
}

/// The exception state is linked always: CPython's own clearing of a generator's frame unlinks it unconditionally.
#[inline(always)]
unsafe fn link(ts: *mut ThreadState, g: *mut GenObject) {
    // SAFETY: a complete frame that does not run; the thread's state outlives the run.
    unsafe {
        link_exceptions(ts, g);
        (*g).gi_frame_state = frame_state::FRAME_EXECUTING;
        (*g).gi_iframe.previous = (*ts).current_frame;
        (*ts).py_recursion_remaining -= 1;
        (*ts).current_frame = &raw mut (*g).gi_iframe;
    }
}

/// Makes the generator's exception state the thread's, if it is not. Machine code does without while code runs that cannot handle exceptions.
///
/// # Safety
/// `g` runs or is about to, with nothing linked above it; the GIL is held.
#[inline(always)]
pub unsafe fn link_exceptions(ts: *mut ThreadState, g: *mut GenObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let own = &raw mut (*g).gi_exc_state;
        if (*ts).exc_info != own {
            (*own).previous_item = (*ts).exc_info;
            (*ts).exc_info = own;
        }
    }
}

#[inline(always)]
unsafe fn unlink(ts: *mut ThreadState, g: *mut GenObject) {
    // SAFETY: the running generator.
    unsafe {
        (*ts).exc_info = (*g).gi_exc_state.previous_item;
        (*g).gi_exc_state.previous_item = ptr::null_mut();
        (*ts).current_frame = (*g).gi_iframe.previous;
        (*g).gi_iframe.previous = ptr::null_mut();
        (*ts).py_recursion_remaining += 1;
    }
}

/// Finished, by value or exception: unlinked, then cleared. References go last, since their end may run anything.
#[inline(always)]
unsafe fn finish(ts: *mut ThreadState, g: *mut GenObject) {
    // SAFETY: the running generator, whose slots below `stackpointer` are valid.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        if !(*fr).frame_obj.is_null() {
            return finish_escaped(ts, fr);
        }
        unlink(ts, g);
        clear(g);
    }
}

/// Gives up all that the frame of a generator holds that does not run and never will again.
///
/// # Safety
/// Its frame was never taken, slots below `stackpointer` are valid; the GIL is held. May run Python code.
#[inline(always)]
pub unsafe fn clear(g: *mut GenObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        (*g).gi_frame_state = frame_state::FRAME_CLEARED;
        let first = Frame::locals(fr);
        let mut p = (*fr).stackpointer;
        (*fr).stackpointer = first;
        // The last one first, as CPython does.
        while p > first {
            p = p.sub(1);
            (*p).close();
        }
        let locals = (*fr).f_locals;
        if !locals.is_null() {
            (*fr).f_locals = ptr::null_mut();
            refcount::decref(locals);
        }
        let func = (*fr).f_funcobj;
        (*fr).f_funcobj = StackRef::NULL;
        func.close();
        let handled = (*g).gi_exc_state.exc_value;
        if !handled.is_null() {
            (*g).gi_exc_state.exc_value = ptr::null_mut();
            refcount::decref(handled);
        }
    }
}

/// Somebody took the frame: it may have to move into its frame object. CPython's own way does all of it.
#[cold]
unsafe fn finish_escaped(ts: *mut ThreadState, fr: *mut Frame) {
    // SAFETY: the running frame of a generator, whose exception state is linked.
    unsafe {
        (*ts).current_frame = (*fr).previous;
        (*ts).py_recursion_remaining += 1;
        api::_PyEval_FrameClearAndPop(ts, fr);
    }
}

/// What is not a plain return.
unsafe fn settle(ts: *mut ThreadState, g: *mut GenObject, record: *mut CodeRecord, result: BodyResult) -> BodyResult {
    // SAFETY: the body of the running generator `g` just answered `result`.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        match result.tag {
            body::YIELDED => {
                own_slots(fr);
                track(g);
                suspend(ts, g);
                result
            }
            body::LEAVE => {
                driver::left(record, result.value);
                hand_over(ts, g, record)
            }
            _ => {
                stats::count(Counter::Raises);
                (*record).raises += 1;
                if unwind::watched(ts) {
                    if unwind::raised(ts, fr) {
                        return hand_over(ts, g, record);
                    }
                } else {
                    exceptions::add_traceback(ts, fr);
                }
                finish(ts, g);
                BodyResult::new(body::RAISED, 0)
            }
        }
    }
}

/// The running generator goes on in the interpreter, which finishes or suspends it.
unsafe fn hand_over(ts: *mut ThreadState, g: *mut GenObject, record: *mut CodeRecord) -> BodyResult {
    // SAFETY: a complete, linked frame; the interpreter links and counts it itself and unlinks the exception state.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        (*record).coro.stats.left += 1;
        own_slots(fr);
        track(g);
        (*fr).return_offset = 0;
        (*ts).current_frame = (*fr).previous;
        (*ts).py_recursion_remaining += 1;
        let value = behind::interpret(ts, fr);
        if value.is_null() {
            return BodyResult::new(body::RAISED, 0);
        }
        let suspended = (*g).gi_frame_state < frame_state::FRAME_EXECUTING;
        BodyResult::new(if suspended { body::YIELDED } else { body::RETURNED }, value as u64)
    }
}

/// Makes all slots own what they hold.
///
/// # Safety
/// A complete frame; what it borrows is alive; the GIL is held.
#[inline]
pub(super) unsafe fn own_slots(fr: *mut Frame) {
    // SAFETY: slots below `stackpointer` are valid, and what they borrow is alive.
    unsafe {
        let mut p = Frame::locals(fr);
        while p < (*fr).stackpointer {
            *p = (*p).make_heap_safe();
            p = p.add(1);
        }
        (*fr).f_funcobj = (*fr).f_funcobj.make_heap_safe();
    }
}

/// Tells the collector of a complete object.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn track(g: *mut GenObject) {
    // SAFETY: a complete object with a collector's header.
    unsafe {
        if !gc::is_tracked(g.cast()) {
            gc::made();
            ffi::PyObject_GC_Track(g.cast());
        }
    }
}
