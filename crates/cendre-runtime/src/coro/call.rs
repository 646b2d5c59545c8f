//! The awaited call: of machine code (`await_call`), and of anybody who knows the protocol (`enter`).
//!
//! Invariants: a callee declines before any effect; while an awaited callee runs its caller's frame stands at the SEND, which
//! is the instruction that CPython's traceback shows for it; errors that belong to the CALL are left to an ordinary call.
//! Read docs/internals/awaits.md, then `../protocol.rs` for callees that are no Python functions.

use super::bind::{self, Bind};
use super::data::{self, AwaitSite, ResumeCell};
use super::run::{link_exceptions, may_run, ran, run};
use super::send::answer;
use super::{pass, shell};
use crate::binding::Args;
use crate::body::{self, BodyResult};
use crate::driver::{self, Subject};
use crate::ops::vector::call_owned;
use crate::record::{self, CodeRecord, State};
use crate::{compiler, ext, frames, numbers, protocol};
use cendre_cpython::api;
use cendre_cpython::code::CodeUnit;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::methodobject::MethodObject;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
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

/// The awaited call of a Python function with positional arguments. Unless it declines it consumes those whose bit is set in `own`: they
/// end when the callee gives them up.
///
/// # Safety
/// `f` and the `n` objects at `args` are alive, and those that the caller keeps stay so during the call; the GIL is held. Runs Python code.
#[inline(always)]
pub unsafe fn call_function(ts: *mut ThreadState, f: *mut FunctionObject, args: *const *mut PyObject, n: usize, own: u64) -> Answer {
    // SAFETY: the caller's contract. Where the versions agree the record has a body: without one its version is `!0`.
    unsafe {
        let record = record::find((*f).func_code.cast());
        if record.is_null() {
            return Answer::Declined;
        }
        let fits = (*ts).eval_breaker == (*record).version
            && (*record).coro.body == (*record).body
            && (*record).coro.simple_args == n
            && (*ts).py_recursion_remaining > 1
            && (*ts).coroutine_origin_tracking_depth == 0
            && super::is_plain(f)
            && !frames::low_stack(ts);
        if !fits {
            return call_slowly(ts, record, f, args, n, own);
        }
        let g = shell::take(record, f);
        if g.is_null() {
            return Answer::Declined;
        }
        bind::fill(g, f, (*record).coro.first, args, n);
        pass_on(g, args, n, own);
        let result = run(ts, g, record, (*record).coro.at);
        answer(record, g, result)
    }
}

/// Gives the arguments in `own` to a frame that has borrowed them, or holds them in cells or a tuple of its own.
#[inline(always)]
unsafe fn pass_on(g: *mut GenObject, args: *const *mut PyObject, n: usize, own: u64) {
    if own == 0 {
        return;
    }
    // SAFETY: the frame is complete; where a slot does not borrow the argument, it keeps a reference of its own to it.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        let slots = (*(*fr).code()).co_nlocalsplus as usize;
        for i in (0..n).filter(|i| own >> i & 1 != 0) {
            let object = *args.add(i);
            let slot = Frame::locals(fr).add(i);
            if i < slots && *slot == StackRef::from_borrow(object) {
                *slot = StackRef::from_steal(object);
            } else {
                refcount::decref(object);
            }
        }
    }
}

/// Gives up the arguments in `own`, the last one first.
unsafe fn drop_owned(args: *const *mut PyObject, n: usize, own: u64) {
    for i in (0..n).rev().filter(|i| own >> i & 1 != 0) {
        // SAFETY: the caller owns them.
        unsafe { refcount::decref(*args.add(i)) }
    }
}

/// What a run of a shell means to its caller. Consumes the shell unless it is suspended.
///
/// # Safety
/// The answer of `run` for this shell.
#[inline(always)]
pub(super) unsafe fn answer(record: *mut CodeRecord, g: *mut GenObject, result: BodyResult) -> Answer {
    // SAFETY: the shell owns the code object, hence the record lives until it is given back.
    unsafe {
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

/// The same for every other way in which arguments can fit, and where something has to be looked at again.
#[inline(never)]
unsafe fn call_slowly(
    ts: *mut ThreadState,
    record: *mut CodeRecord,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
    own: u64,
) -> Answer {
    // SAFETY: as in `call_function`.
    unsafe {
        match shell_for(ts, record, f, &positional(args, n, own)) {
            Shell::Bound(g) => {
                // `shell_for` has read where the body begins.
                let result = run(ts, g, record, (*record).coro.at);
                answer(record, g, result)
            }
            Shell::Refused => Answer::Declined,
            Shell::Raised => Answer::Raised,
        }
    }
}

/// Positional arguments alone.
pub(crate) fn positional(args: *const *mut PyObject, n: usize, own: u64) -> Args {
    let null = ptr::null();
    Args { positional: args, n, owned: own, names: null, values: null, keywords: 0, values_owned: 0 }
}

/// A shell with its arguments in it.
pub(super) enum Shell {
    /// It stands at its first RESUME and may run; it borrows the function and what is in no mask.
    Bound(*mut GenObject),
    /// Nothing happened.
    Refused,
    /// No memory, an exception is set; what is in the masks is gone.
    Raised,
}

/// Takes a shell for a call of a coroutine function, if its body may run.
///
/// # Safety
/// A live function and its record; live arguments; the GIL is held.
pub(super) unsafe fn shell_for(ts: *mut ThreadState, record: *mut CodeRecord, f: *mut FunctionObject, args: &Args) -> Shell {
    // SAFETY: the caller's contract.
    unsafe {
        if (*record).body.is_null() || !super::is_plain(f) {
            return Shell::Refused;
        }
        if (*ts).coroutine_origin_tracking_depth != 0 || !may_run(ts, record) {
            (*record).coro.stats.declined += 1;
            return Shell::Refused;
        }
        data::refresh(record);
        let start: *const data::Start = match &(*record).coro.start {
            Some(start) if start.awaitable => start,
            _ => return Shell::Refused,
        };
        let g = shell::take(record, f);
        if g.is_null() {
            return Shell::Refused;
        }
        match bind::bind(g, f, &*start, args) {
            Bind::Done => Shell::Bound(g),
            Bind::Refused => {
                (*record).coro.stats.declined += 1;
                shell::give_back(record, g);
                Shell::Refused
            }
            Bind::Raised => {
                shell::give_back(record, g);
                Shell::Raised
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
        match call_function(ThreadState::current(), callable.cast(), args, n, 0) {
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

/// The awaited call of what is no function; `args[-1]` is a scratch word, and so is `args[-2]` where `room` says so. `own`: as for [`call_function`].
#[inline(never)]
unsafe fn call_other(ts: *mut ThreadState, callable: *mut PyObject, args: *mut *mut PyObject, n: usize, room: bool, own: u64) -> Answer {
    // SAFETY: as for `call_function`.
    unsafe {
        if refcount::type_of(callable) != &raw mut ext::PyMethod_Type {
            return call_declared(ts, callable, args, n, own);
        }
        // A bound method: its object becomes the first argument.
        let method: *mut MethodObject = callable.cast();
        if !room {
            return Answer::Declined;
        }
        let (function, args) = ((*method).im_func, args.sub(1));
        *args = (*method).im_self;
        if refcount::type_of(function) == &raw mut ffi::PyFunction_Type {
            return call_function(ts, function.cast(), args, n + 1, own << 1);
        }
        call_other(ts, function, args, n + 1, false, own << 1)
    }
}

/// The awaited call of a callable that has declared itself; `args[-1]` is a scratch word.
unsafe fn call_declared(ts: *mut ThreadState, callable: *mut PyObject, args: *mut *mut PyObject, n: usize, own: u64) -> Answer {
    // SAFETY: as for `call_other`.
    unsafe {
        let Some(entry) = protocol::registered(callable) else { return Answer::Declined };
        let answer = protocol::call(ts, callable, entry, args, n);
        if !matches!(answer, Answer::Declined) && own != 0 {
            // As a C function's arguments: its caller's until it has returned. What it raised stays as it is.
            let raised = ffi::PyErr_GetRaisedException();
            drop_owned(args, n, own);
            if !raised.is_null() {
                ffi::PyErr_SetRaisedException(raised);
            }
        }
        answer
    }
}

/// The next compilation lets machine code call it in line.
#[inline(always)]
unsafe fn remember(site: *mut AwaitSite, f: *mut FunctionObject) {
    // SAFETY: a live function; the site of the running code.
    unsafe {
        let record = record::find((*f).func_code.cast());
        if !record.is_null() {
            data::replace(&raw mut (*site).callee, record);
        }
    }
}

/// Awaited calls and resumptions of cold code, for each sample that would make it hot, after which it is offered to the compiler: its callers are hot, and a sampler rarely meets
/// what is short.
const WANTED: u32 = 500;
/// Awaited calls of one site that the runtime made and that finished, after which the code is compiled again.
const FINISHED_UNTIL_IN_LINE: u64 = 4000;

/// An awaited call was declined because the function is not compiled: offers it to the compiler if that happens often.
///
/// # Safety
/// A live function; the GIL is held. May run Python code.
pub(super) unsafe fn is_wanted(f: *mut FunctionObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let record = record::find_or_make((*f).func_code.cast());
        if often_wanted(record, 1) {
            compiler::offer(record, Subject::function(f), false);
        }
    }
}

/// Compiled code or C resumed a generator or coroutine whose code is not compiled. A sampler hardly ever meets one that only hands on what comes from below: that
/// is what runs then. The cell remembers it, so that the next steps do not ask.
///
/// # Safety
/// `g` is suspended or not started; the cell is null or one of ours; the GIL is held. May run Python code.
#[inline(never)]
pub(super) unsafe fn body_is_wanted(g: *mut GenObject, cell: *mut ResumeCell) {
    // SAFETY: the caller's contract; what is not finished has a complete frame.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        let record = record::find_or_make((*fr).code());
        if record.is_null() || !(*record).body.is_null() {
            return;
        }
        let patient = driver::config().is_none_or(|c| c.threshold > 1);
        let steps = if patient { ResumeCell::met_cold(cell, g) } else { 1 };
        if often_wanted(record, steps) {
            compiler::offer(record, Subject::frame(fr), false);
        }
    }
}

/// Counts some more; whether cold code is to be offered to the compiler now.
unsafe fn often_wanted(record: *mut CodeRecord, times: u32) -> bool {
    // SAFETY: the callers pass a record or null.
    unsafe {
        if record.is_null() || !(*record).body.is_null() || (*record).state != State::Cold || (*record).job != 0 {
            return false;
        }
        let Some(config) = driver::config() else { return false };
        let wanted = &mut (*record).coro.wanted;
        *wanted = wanted.saturating_add(times);
        let enough = if config.threshold <= 1 { 1 } else { WANTED.saturating_mul(config.threshold) };
        let often = config.jit && *wanted >= enough;
        if often {
            *wanted = 0;
        }
        often
    }
}

/// The runtime has made many calls of one site: compiled again, the code makes them in line, if it can.
#[cold]
unsafe fn bring_in_line(fr: *mut Frame, site: *mut AwaitSite, nargs: usize) {
    // SAFETY: the running frame and a site of its code; a callee that was seen is kept.
    unsafe {
        let mine = record::find((*fr).code());
        let callee = (*site).callee;
        if mine.is_null() || (*mine).body.is_null() || (*mine).coro.compiled_for_awaits || callee.is_null() || (*callee).body.is_null() {
            return;
        }
        let fits = (*callee).coro.start.as_ref().is_some_and(|s| s.positional && s.cells.is_empty() && s.argcount as usize == nargs);
        if fits && (*site).in_line == 0 {
            (*mine).coro.compiled_for_awaits = true;
            driver::compile_anew(mine, Subject::frame(fr));
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
/// from the caller during the call, but those whose bit is set in `own` are consumed; `argv` lies in the frame's scratch words, and word 0 of those stands before it.
pub unsafe extern "C" fn await_call(
    ts: *mut ThreadState,
    fr: *mut Frame,
    site: *mut AwaitSite,
    callable: *mut PyObject,
    argv: *mut *mut PyObject,
    nargs: i64,
    own: u64,
) -> BodyResult {
    // SAFETY: the caller's contract; the frame owns its code object, so the site outlives the call.
    unsafe {
        let call: *mut CodeUnit = (*fr).instr_ptr;
        if site.is_null() {
            return ordinary_call(ts, callable, argv, nargs, own);
        }
        if !super::enabled() {
            return AwaitSite::called_instead(site, ordinary_call(ts, callable, argv, nargs, own));
        }
        if let Some((f, args)) = pass::plain_function(fr, callable, argv, nargs as usize, own) {
            return match pass::start(ts, fr, site, f, &args, &mut || {}) {
                Some(answer) => pass::conclude(fr, site, argv.sub(1), answer),
                None => AwaitSite::called_instead(site, ordinary_call(ts, callable, argv, nargs, own)),
            };
        }
        (*fr).instr_ptr = (*site).send;
        let answer = if refcount::type_of(callable) == &raw mut ffi::PyFunction_Type {
            if super::is_plain(callable.cast()) {
                remember(site, callable.cast());
                call_function(ts, callable.cast(), argv, nargs as usize, own)
            } else {
                // Somebody has replaced its vectorcall: asyncio's functions have native ones.
                call_declared(ts, callable, argv, nargs as usize, own)
            }
        } else {
            // Two words before the arguments are free when there is no `self`: word 0 and that of self.
            let room = argv.cast() >= Frame::stack_base(fr).add(2);
            call_other(ts, callable, argv, nargs as usize, room, own)
        };
        if (*site).finished == FINISHED_UNTIL_IN_LINE && matches!(answer, Answer::Value(_)) {
            bring_in_line(fr, site, nargs as usize);
        }
        if let Answer::Declined = answer {
            (*fr).instr_ptr = call;
            want(callable);
            return AwaitSite::called_instead(site, ordinary_call(ts, callable, argv, nargs, own));
        }
        conclude(site, argv.sub(1), answer)
    }
}

/// [`is_wanted`] of the function that is called, if it is one.
unsafe fn want(callable: *mut PyObject) {
    // SAFETY: a live object.
    unsafe {
        let mut f = callable;
        if refcount::type_of(f) == &raw mut ext::PyMethod_Type {
            f = (*f.cast::<MethodObject>()).im_func;
        }
        if refcount::type_of(f) == &raw mut ffi::PyFunction_Type {
            is_wanted(f.cast());
        }
    }
}

/// Counts an answer that is not *declined*, and puts it as machine code wants it; what was yielded goes to `yielded_to`.
#[inline(always)]
pub(super) unsafe fn conclude(site: *mut AwaitSite, yielded_to: *mut *mut PyObject, answer: Answer) -> BodyResult {
    // SAFETY: the caller's frame runs and owns its code object, hence the site lives; a scratch word of that frame.
    unsafe {
        match answer {
            Answer::Value(value) => {
                (*site).finished += 1;
                BodyResult::new(answer::VALUE, value as u64)
            }
            Answer::Suspended { receiver, yielded } => {
                (*site).suspended += 1;
                *yielded_to = yielded;
                BodyResult::new(answer::OTHER, receiver as u64)
            }
            Answer::Raised | Answer::Declined => {
                (*site).raised += 1;
                BodyResult::new(answer::RAISED, 0)
            }
        }
    }
}

/// Tools changed during the call, which gave this answer: an object in place of a number.
///
/// # Safety
/// The value is owned, or a number as the body's tag `kind` says; the GIL is held.
pub unsafe extern "C" fn await_watched(tag: u64, kind: u64, value: u64) -> BodyResult {
    if tag != answer::VALUE {
        return BodyResult::new(tag, value);
    }
    // SAFETY: the caller's contract.
    let value = unsafe { numbers::boxed_result(BodyResult::new(kind, value)) };
    BodyResult::new(if value.tag == body::RETURNED { answer::VALUE } else { answer::RAISED }, value.value)
}

/// An awaited call that machine code made in line, when something about its end was unusual. As [`await_call`], with what was
/// yielded in the frame's first scratch word.
///
/// # Safety
/// Called by machine code in `fr`, which took the shell `g`, counted its code object, linked it and ran its body, which gave this answer.
pub unsafe extern "C" fn await_finish(
    ts: *mut ThreadState,
    fr: *mut Frame,
    site: *mut AwaitSite,
    g: *mut GenObject,
    tag: u64,
    value: u64,
) -> BodyResult {
    // SAFETY: the caller's contract; running frames own their code objects, so both records live.
    unsafe {
        let code = (*g).gi_iframe.code();
        // Machine code counted a reference that the frame did not know of; meanwhile it may have got one of its own.
        let known = (*g).gi_iframe.f_executable;
        (*g).gi_iframe.f_executable = StackRef::from_steal(code.cast());
        known.close();
        if matches!(tag, body::RETURNED | body::RETURNED_INT | body::RETURNED_FLOAT) {
            // Taken in line, a shell has the stack pointer of its last run: what is cleared now are the slots below it.
            let fr = &raw mut (*g).gi_iframe;
            (*fr).stackpointer = Frame::stack_base(fr);
        }
        let record = record::find(code);
        (*record).coro.shelved -= 1;
        link_exceptions(ts, g);
        let result = ran(ts, g, record, numbers::boxed_result(BodyResult::new(tag, value)));
        let answer = answer(record, g, result);
        conclude(site, Frame::stack_base(fr).cast(), answer)
    }
}

/// The CALL as CPython makes it.
unsafe fn ordinary_call(ts: *mut ThreadState, callable: *mut PyObject, argv: *mut *mut PyObject, nargs: i64, own: u64) -> BodyResult {
    // SAFETY: as in `await_call`; argv[-1] is ours to lend.
    unsafe {
        if refcount::type_of(callable) == &raw mut ffi::PyFunction_Type {
            match created(ts, callable.cast(), &positional(argv, nargs as usize, own)) {
                Some(made) if made.is_null() => return BodyResult::new(answer::RAISED, 0),
                Some(made) => return BodyResult::new(answer::DECLINED, made as u64),
                None => {}
            }
        }
        let nargsf = nargs as usize | 1 << (usize::BITS - 1);
        let result = call_owned(ts, callable, argv, nargsf, own);
        if result.is_null() {
            return BodyResult::new(answer::RAISED, 0);
        }
        BodyResult::new(answer::DECLINED, result as u64)
    }
}

/// The object that a call of a compiled coroutine function gives, without the interpreter, which would only make it; null for an exception.
/// `None`: call it, nothing has happened; else the owned arguments are consumed.
///
/// # Safety
/// As for [`call_function`].
pub(crate) unsafe fn created(ts: *mut ThreadState, f: *mut FunctionObject, args: &Args) -> Option<*mut PyObject> {
    // SAFETY: as in `call_function`. The object is CLEARED and nobody knows it, so nobody looks at its frame, until that is complete.
    unsafe {
        let record = record::find((*f).func_code.cast());
        if record.is_null()
            || (*record).body.is_null()
            || (*ts).coroutine_origin_tracking_depth != 0
            || (*ts).py_recursion_remaining <= 1
            || !super::is_ordinary(f)
        {
            return None;
        }
        data::refresh(record);
        let start: *const data::Start = match &(*record).coro.start {
            Some(start) if start.awaitable => start,
            _ => return None,
        };
        let g = shell::take(record, f);
        if g.is_null() {
            return None;
        }
        match bind::bind(g, f, &*start, args) {
            Bind::Done => Some(pass::publish(g, (*start).created)),
            Bind::Refused => {
                shell::give_back(record, g);
                None
            }
            Bind::Raised => {
                shell::give_back(record, g);
                Some(ptr::null_mut())
            }
        }
    }
}

/// `await callable(*args)` up to its end or first suspension, for callers that are no machine code.
///
/// # Safety
/// As for [`call_function`], and `args[-1]` is a scratch word.
pub unsafe fn start(ts: *mut ThreadState, callable: *mut PyObject, args: *mut *mut PyObject, n: usize) -> Answer {
    // SAFETY: the caller's contract.
    unsafe {
        let answer = if refcount::type_of(callable) == &raw mut ffi::PyFunction_Type {
            call_function(ts, callable.cast(), args, n, 0)
        } else {
            call_other(ts, callable, args, n, false, 0)
        };
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
