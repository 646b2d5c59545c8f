//! The awaited call: of machine code (`await_call`), and of anybody who knows the protocol (`enter`).
//!
//! Invariants: a callee declines before any effect; while an awaited callee runs its caller's frame stands at the SEND, which
//! is the instruction that CPython's traceback shows for it; errors that belong to the CALL are left to an ordinary call.
//! Read docs/internals/awaits.md, then `../protocol.rs` for callees that are no Python functions.

use super::data;
use super::run::{may_run, run};
use super::send::answer;
use super::{bind, shell};
use crate::body::{self, BodyResult};
use crate::{ext, protocol};
use crate::record::{self, CodeRecord};
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, CodeUnit};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::methodobject::MethodObject;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;
use core::ptr;

/// How an awaited call ended.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The value, owned.
    Value(*mut PyObject),
    /// Suspended: the receiver and what it yielded, both owned.
    Suspended { receiver: *mut PyObject, yielded: *mut PyObject },
    /// An exception is set.
    Raised,
    /// Nothing happened.
    Declined,
}

/// The awaited call of a Python function with positional arguments.
///
/// # Safety
/// `f` and the `n` objects at `args` are alive and stay so during the call; the GIL is held. Runs Python code.
#[inline]
pub unsafe fn call_function(ts: *mut ThreadState, f: *mut FunctionObject, args: *const *mut PyObject, n: usize) -> Answer {
    // SAFETY: the caller's contract.
    unsafe {
        let record = record::find((*f).func_code.cast());
        if record.is_null() || (*record).body.is_null() || !super::is_plain(f) {
            return Answer::Declined;
        }
        let answer = call_record(ts, record, f, args, n);
        if matches!(answer, Answer::Declined) {
            // Nothing ran: the function still has the code that the record belongs to.
            (*record).coro.stats.declined += 1;
        }
        answer
    }
}

#[inline]
unsafe fn call_record(
    ts: *mut ThreadState,
    record: *mut CodeRecord,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
) -> Answer {
    // SAFETY: as in `call_function`; the shell owns the code object, hence the record lives until it is given back.
    unsafe {
        if !super::enabled() || (*ts).coroutine_origin_tracking_depth != 0 || !may_run(ts, record) {
            return Answer::Declined;
        }
        data::refresh(record);
        let start: *const data::Start = match &(*record).coro.start {
            Some(start) if start.awaitable => start,
            _ => return Answer::Declined,
        };
        let g = shell::take(record, f);
        if g.is_null() {
            return Answer::Declined;
        }
        if !bind::bind(g, f, &*start, args, n) {
            shell::came_back(record);
            shell::give_back(record, g);
            return Answer::Declined;
        }
        let result = run(ts, g, record, (*start).at);
        shell::came_back(record);
        let stats = &mut (*record).coro.stats;
        match result.tag {
            body::RETURNED => {
                stats.values += 1;
                shell::give_back(record, g);
                Answer::Value(result.value as *mut PyObject)
            }
            body::YIELDED => {
                stats.suspended += 1;
                Answer::Suspended { receiver: g.cast(), yielded: result.value as *mut PyObject }
            }
            _ => {
                stats.raised += 1;
                shell::give_back(record, g);
                Answer::Raised
            }
        }
    }
}

/// The vectorcall that `entry_for` answers for Python functions. Without the flag it is an ordinary call.
///
/// # Safety
/// A vectorcall as cendre.h describes it.
pub unsafe extern "C" fn enter(
    callable: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        if nargsf & protocol::AWAITED == 0 {
            return ffi::PyObject_Vectorcall(callable, args, nargsf, kwnames);
        }
        let n = protocol::nargs(nargsf);
        if !kwnames.is_null() || refcount::type_of(callable) != &raw mut ffi::PyFunction_Type {
            return protocol::DECLINED;
        }
        match call_function(ThreadState::current(), callable.cast(), args, n) {
            Answer::Value(value) => value,
            Answer::Raised => ptr::null_mut(),
            Answer::Declined => protocol::DECLINED,
            Answer::Suspended { receiver, yielded } => {
                *args.cast_mut().sub(1) = yielded;
                protocol::suspended(receiver)
            }
        }
    }
}

/// The awaited call of any callable; `args[-1]` is a scratch word, and so is `args[-2]` where `room` says so.
///
/// # Safety
/// As for [`call_function`].
#[inline]
unsafe fn call_any(ts: *mut ThreadState, callable: *mut PyObject, args: *mut *mut PyObject, n: usize, room: bool) -> Answer {
    // SAFETY: the caller's contract.
    unsafe {
        let ty = refcount::type_of(callable);
        if ty == &raw mut ffi::PyFunction_Type {
            return call_function(ts, callable.cast(), args, n);
        }
        if ty == &raw mut ext::PyMethod_Type {
            let method: *mut MethodObject = callable.cast();
            if !room {
                return Answer::Declined;
            }
            *args.sub(1) = (*method).im_self;
            return call_any(ts, (*method).im_func, args.sub(1), n + 1, false);
        }
        match protocol::registered(callable) {
            Some(entry) => protocol::call(ts, callable, entry, args, n),
            None => Answer::Declined,
        }
    }
}

/// `await callable(*args)` up to its end or first suspension.
///
/// `(0, value)`; `(1, receiver)` with what it yielded in `argv[-1]`; `(2, _)` raised; `(3, o)`: an ordinary call was made,
/// `o` is its result, GET_AWAITABLE is still to be done. All references in answers are owned.
///
/// # Safety
/// Called by machine code in `fr`, whose `instr_ptr` is the CALL: `callable` and the `nargs` objects at `argv` are borrowed
/// from the caller during the call; `argv` lies in the frame's scratch words, and word 0 of those stands before it.
pub unsafe extern "C" fn await_call(
    ts: *mut ThreadState,
    fr: *mut Frame,
    site: i64,
    callable: *mut PyObject,
    argv: *mut *mut PyObject,
    nargs: i64,
) -> BodyResult {
    // SAFETY: the caller's contract; the frame owns its code object, so record and site outlive the call (but the list of
    // sites may grow during it, hence the second look).
    unsafe {
        let code: *mut CodeObject = (*fr).code();
        let call: *mut CodeUnit = (*fr).instr_ptr;
        let unit = Frame::instr_index(fr) as u32;
        let mine = record::find(code);
        if mine.is_null() {
            return ordinary_call(callable, argv, nargs);
        }
        let Some(send) = (*mine).coro.site(site, code, unit).map(|s| s.send) else {
            return ordinary_call(callable, argv, nargs);
        };
        (*fr).instr_ptr = CodeObject::units(code).add(send as usize);
        // Two words before the arguments are free when there is no `self`: word 0 and that of self.
        let room = argv.cast() >= Frame::stack_base(fr).add(2);
        let answered = call_any(ts, callable, argv, nargs as usize, room);
        let counts = (*mine).coro.site(site, code, unit);
        match answered {
            Answer::Value(value) => {
                if let Some(s) = counts {
                    s.finished += 1;
                }
                BodyResult::new(answer::VALUE, value as u64)
            }
            Answer::Suspended { receiver, yielded } => {
                if let Some(s) = counts {
                    s.suspended += 1;
                }
                *argv.sub(1) = yielded;
                BodyResult::new(answer::OTHER, receiver as u64)
            }
            Answer::Raised => {
                if let Some(s) = counts {
                    s.raised += 1;
                }
                BodyResult::new(answer::RAISED, 0)
            }
            Answer::Declined => {
                if let Some(s) = counts {
                    s.declined += 1;
                }
                (*fr).instr_ptr = call;
                ordinary_call(callable, argv, nargs)
            }
        }
    }
}

/// The CALL as CPython makes it.
unsafe fn ordinary_call(callable: *mut PyObject, argv: *mut *mut PyObject, nargs: i64) -> BodyResult {
    // SAFETY: as in `await_call`; argv[-1] is ours to lend.
    unsafe {
        let nargsf = nargs as usize | 1 << (usize::BITS - 1);
        let result = ffi::PyObject_Vectorcall(callable, argv, nargsf, ptr::null_mut());
        if result.is_null() {
            return BodyResult::new(answer::RAISED, 0);
        }
        BodyResult::new(answer::DECLINED, result as u64)
    }
}

/// `await callable(*args)` up to its end or first suspension, for callers that are no machine code.
///
/// # Safety
/// As for [`call_function`], and `args[-1]` is a scratch word.
pub unsafe fn start(ts: *mut ThreadState, callable: *mut PyObject, args: *mut *mut PyObject, n: usize) -> Answer {
    // SAFETY: the caller's contract.
    unsafe {
        let answer = call_any(ts, callable, args, n, false);
        if !matches!(answer, Answer::Declined) {
            return answer;
        }
        let result = ffi::PyObject_Vectorcall(callable, args, n | 1 << (usize::BITS - 1), ptr::null_mut());
        if result.is_null() {
            return Answer::Raised;
        }
        let receiver = api::_PyCoro_GetAwaitableIter(result);
        refcount::decref(result);
        if receiver.is_null() || awaited_already(receiver) {
            refcount::xdecref(receiver);
            return Answer::Raised;
        }
        let mut out = ptr::null_mut();
        match ffi::PyIter_Send(receiver, ffi::Py_None(), &mut out) {
            ffi::PySendResult::PYGEN_NEXT => Answer::Suspended { receiver, yielded: out },
            ffi::PySendResult::PYGEN_RETURN => {
                refcount::decref(receiver);
                Answer::Value(out)
            }
            _ => {
                refcount::decref(receiver);
                Answer::Raised
            }
        }
    }
}

/// What GET_AWAITABLE refuses: a coroutine that is suspended inside an await of somebody else. Sets the exception.
unsafe fn awaited_already(receiver: *mut PyObject) -> bool {
    // SAFETY: a live object; an exact coroutine is a GenObject.
    unsafe {
        if refcount::type_of(receiver) != &raw mut ffi::PyCoro_Type {
            return false;
        }
        let inner = api::_PyGen_yf(receiver.cast::<GenObject>());
        if inner.is_null() {
            return false;
        }
        refcount::decref(inner);
        ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"coroutine is being awaited already".as_ptr());
        true
    }
}
