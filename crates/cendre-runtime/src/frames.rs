//! Frames that cendre pushes itself: pushing, popping, leaving, and what becomes of a frame after its body.
//!
//! Invariants: a frame is complete before it is linked, its `previous` right from the start; `py_recursion_remaining` is
//! counted down for each frame of ours and up again before the frame is popped or handed to the interpreter (which counts
//! for itself); a frame handed over owns its code object.
//! Read docs/internals/runtime.md, "Frames".

use crate::behind;
use crate::body::{self, BodyResult};
use crate::driver;
use crate::ext;
use crate::numbers;
use crate::ops;
use crate::record::{self, CodeRecord};
use crate::stats::{self, Counter};
use crate::unwind;
use cendre_bytecode::decode::no_executors;
use cendre_bytecode::{ExceptionTable, Opcode};
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, CodeUnit, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::frameobject::FrameObject;
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl};
use cendre_cpython::tupleobject::TupleObject;
use core::ptr;

/// Whether native code should not go deeper: half of the C stack is used up.
///
/// The interpreter recurses on its data stack, we on the C stack; what lies below may still want to call `repr`, `json` or a
/// sort key with as much room as a program can count on.
///
/// # Safety
/// `ts` is the thread state of the running thread.
#[inline(always)]
pub unsafe fn low_stack(ts: *mut ThreadState) -> bool {
    let here = 0u8;
    // SAFETY: every thread state is a ThreadStateImpl.
    unsafe {
        let t: *mut ThreadStateImpl = ts.cast();
        let (top, limit) = ((*t).c_stack_top, (*t).c_stack_soft_limit);
        (&raw const here as usize) < limit + (top.wrapping_sub(limit)) / 2
    }
}

/// Whether nobody has put a vectorcall of his own into the function: it is CPython's, or our wrapper around that.
///
/// # Safety
/// A live function; the GIL is held.
#[inline]
pub unsafe fn is_ordinary(f: *mut FunctionObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let vectorcall = (*f).vectorcall.map_or(0, |v| v as usize);
        vectorcall == crate::env::python_vectorcall() || vectorcall == crate::entries::vectorcall::wrapper_address()
    }
}

/// Calls a function whose compiled body may run at once with these arguments and the defaults of the parameters behind them; `None`: call it
/// the ordinary way.
///
/// Arguments whose bit is set in `mask` pass to the callee (consumed if the call was made).
///
/// # Safety
/// `f` is a live function, `record` that of its code, with a body; `args` as in a vectorcall without keywords, no more than 64 where `mask` is
/// not 0; the caller keeps both; the GIL is held.
#[inline]
pub unsafe fn call_compiled(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    record: *mut CodeRecord,
    args: *const *mut PyObject,
    n: usize,
    mask: u64,
) -> Option<*mut PyObject> {
    const NOT_PLAIN: i32 =
        co_flags::VARARGS | co_flags::VARKEYWORDS | co_flags::GENERATOR | co_flags::COROUTINE | co_flags::ASYNC_GENERATOR;
    // SAFETY: the caller's contract; a record lives as long as its code, which the function holds.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        let runs = (*record).version == (*ts).eval_breaker
            && (*ts).py_recursion_remaining > 1
            && (*code).co_kwonlyargcount == 0
            && (*code).co_flags & NOT_PLAIN == 0
            && is_ordinary(f)
            && !low_stack(ts);
        if !runs {
            return None;
        }
        let missing = ((*code).co_argcount as usize).checked_sub(n)?;
        let mut default: *const *mut PyObject = ptr::null();
        if missing > 0 {
            let defaults: *mut TupleObject = (*f).func_defaults.cast();
            if defaults.is_null() {
                return None;
            }
            default = TupleObject::items(defaults).add(((*defaults).ob_base.ob_size as usize).checked_sub(missing)?);
        }
        let body = (*record).artifact.as_ref()?.body();
        let fr = if ThreadState::has_stack_space(ts, (*code).co_framesize as usize) {
            push_filled(ts, f, code, args, n, mask, default, missing)
        } else {
            stats::count(Counter::Pushes);
            let fr = push_by_api(ts, f, args, n);
            give_away(fr, args, n, mask);
            if fr.is_null() {
                return Some(ptr::null_mut());
            }
            fr
        };
        (*ts).py_recursion_remaining -= 1;
        let result = body(ts, fr, 0);
        Some(finish(ts, fr, record, result))
    }
}

/// The arguments of the mask pass to a frame that has references of its own, or was not made.
#[cold]
unsafe fn give_away(fr: *mut Frame, args: *const *mut PyObject, n: usize, mask: u64) {
    // SAFETY: the caller owns the arguments of the mask; the frame's first slots hold them.
    unsafe {
        for i in (0..n.min(64)).filter(|i| mask >> i & 1 != 0) {
            let o = *args.add(i);
            if fr.is_null() {
                refcount::decref(o);
            } else {
                let slot = Frame::locals(fr).add(i);
                let old = core::mem::replace(&mut *slot, StackRef::from_steal(o));
                old.close();
            }
        }
    }
}

/// A frame on the data stack: all but its slots, `stackpointer` and `previous`. It borrows the function.
///
/// # Safety
/// The data stack has room for a frame of this code, which is the function's; the GIL is held.
#[inline]
pub unsafe fn blank(ts: *mut ThreadState, f: *mut FunctionObject, code: *mut CodeObject) -> *mut Frame {
    // SAFETY: the caller's contract.
    unsafe {
        stats::count(Counter::Pushes);
        let fr: *mut Frame = (*ts).datastack_top.cast();
        (*ts).datastack_top = (*ts).datastack_top.add((*code).co_framesize as usize);
        // Strong: `__code__` of the function may be replaced while the frame runs.
        (*fr).f_executable = StackRef::from_new(code.cast());
        (*fr).f_funcobj = StackRef::from_borrow(f.cast());
        (*fr).f_globals = (*f).func_globals;
        (*fr).f_builtins = (*f).func_builtins;
        (*fr).f_locals = ptr::null_mut();
        (*fr).frame_obj = ptr::null_mut();
        (*fr).instr_ptr = CodeObject::units(code);
        (*fr).return_offset = 0;
        (*fr).owner = frame_owner::THREAD;
        (*fr).visited = 0;
        fr
    }
}

/// Pushes and links a frame for a plain function with exactly its positional arguments; null with an exception set.
///
/// References to the arguments and the function are borrowed: the caller keeps them until the frame is popped.
///
/// # Safety
/// `n == co_argcount`, no `*args`, keyword-only arguments or generator; the GIL is held.
pub unsafe fn push(ts: *mut ThreadState, f: *mut FunctionObject, args: *const *mut PyObject, n: usize) -> *mut Frame {
    // SAFETY: the caller's contract; the data stack has room for the frame where `has_stack_space` says so.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        if !ThreadState::has_stack_space(ts, (*code).co_framesize as usize) {
            stats::count(Counter::Pushes);
            return push_by_api(ts, f, args, n);
        }
        push_filled(ts, f, code, args, n, 0, ptr::null(), 0)
    }
}

/// Pushes and links a frame with `n` arguments, of which those of the mask become its own, and `missing` defaults behind them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "what a call consists of")]
unsafe fn push_filled(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    code: *mut CodeObject,
    args: *const *mut PyObject,
    n: usize,
    mask: u64,
    default: *const *mut PyObject,
    missing: usize,
) -> *mut Frame {
    // SAFETY: the caller has found room on the data stack; code has as many slots as parameters at least.
    unsafe {
        let fr = blank(ts, f, code);
        (*fr).previous = (*ts).current_frame;
        let locals = Frame::locals(fr);
        for i in 0..n {
            let o = *args.add(i);
            *locals.add(i) = if i < 64 && mask >> i & 1 != 0 { StackRef::from_steal(o) } else { StackRef::from_borrow(o) };
        }
        // `__defaults__` may be replaced while the frame runs.
        for i in 0..missing {
            *locals.add(n + i) = StackRef::from_new(*default.add(i));
        }
        let slots = (*code).co_nlocalsplus as usize;
        for i in n + missing..slots {
            *locals.add(i) = StackRef::NULL;
        }
        (*fr).stackpointer = locals.add(slots);
        (*ts).current_frame = fr;
        fr
    }
}

/// Arguments of a call that lie on the eval stack of an interpreted caller and may be moved from there.
#[derive(Clone, Copy)]
pub struct MovableArgs {
    /// The slot of the first argument behind a bound `self`.
    pub first: *mut StackRef,
    /// 1: the first argument is `self`, which stays.
    pub bound: usize,
}

impl MovableArgs {
    /// Takes argument `k` out of its slot; `self` is lent or, with `own`, gets a reference.
    unsafe fn take(self, k: usize, args: *const *mut PyObject, own: bool) -> StackRef {
        // SAFETY: the slots are those of the arguments.
        unsafe {
            match k.checked_sub(self.bound) {
                Some(at) => core::mem::replace(&mut *self.first.add(at), StackRef::NULL),
                None if own => StackRef::from_new(*args.add(k)),
                None => StackRef::from_borrow(*args.add(k)),
            }
        }
    }
}

/// `push`, with arguments that pass to the callee as the interpreter's own calls pass them.
///
/// # Safety
/// As for `push`; `slots` are those of an interpreted caller that waits in a call with these arguments.
pub unsafe fn push_moved(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
    slots: MovableArgs,
) -> *mut Frame {
    // SAFETY: the caller's contract; a slot of the new frame that owns (it was made the long way) is closed: the caller's
    // slot still has a reference.
    unsafe {
        let fr = push(ts, f, args, n);
        if !fr.is_null() {
            let locals = Frame::locals(fr);
            for k in 0..n {
                let (old, new) = (*locals.add(k), slots.take(k, args, false));
                *locals.add(k) = if old.owns() && !new.owns() { old } else { new };
                if old.owns() && new.owns() {
                    old.close();
                }
            }
        }
        fr
    }
}

/// The chunk of the data stack is full: the interpreter's own function makes the frame in a new chunk.
#[cold]
unsafe fn push_by_api(ts: *mut ThreadState, f: *mut FunctionObject, args: *const *mut PyObject, n: usize) -> *mut Frame {
    // SAFETY: as in `push`; the references made here are taken over by the callee in every case.
    unsafe {
        stats::count(Counter::ApiPushes);
        let refs: Vec<StackRef> = (0..n).map(|i| StackRef::from_new(*args.add(i))).collect();
        let func = StackRef::from_new(f.cast());
        let fr = api::_PyEvalFramePushAndInit(ts, func, ptr::null_mut(), refs.as_ptr(), n, ptr::null_mut(), (*ts).current_frame);
        if !fr.is_null() {
            (*ts).current_frame = fr;
        }
        fr
    }
}

/// Pushes and links a frame for any call: defaults, keywords, `*args`; null with CPython's own TypeError set.
///
/// # Safety
/// `args` as in a vectorcall: `n` positional ones, then those of `kwnames` (a tuple or null); no generator; `slots` as for
/// `push_moved`, or none: then the caller keeps its references; the GIL is held.
pub unsafe fn push_general(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
    kwnames: *mut PyObject,
    slots: Option<MovableArgs>,
) -> *mut Frame {
    // SAFETY: the caller's contract; the references made here are taken over by the callee in every case.
    unsafe {
        stats::count(Counter::Pushes);
        let all = n + if kwnames.is_null() { 0 } else { ffi::PyTuple_Size(kwnames) as usize };
        let take = |i: usize| match slots {
            Some(slots) => slots.take(i, args, true),
            None => StackRef::from_new(*args.add(i)),
        };
        let refs: Vec<StackRef> = (0..all).map(take).collect();
        let func = StackRef::from_new(f.cast());
        let previous = (*ts).current_frame;
        let fr = api::_PyEvalFramePushAndInit(ts, func, ptr::null_mut(), refs.as_ptr(), n, kwnames, previous);
        if !fr.is_null() {
            (*ts).current_frame = fr;
        }
        fr
    }
}

/// Runs a function in the interpreter with arguments that pass to it.
///
/// # Safety
/// As for `push_general`; the function's code has locals of its own (`CO_OPTIMIZED`); it may be a generator.
pub unsafe fn interpret_moved(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
    kwnames: *mut PyObject,
    slots: MovableArgs,
) -> *mut PyObject {
    // SAFETY: the caller's contract; the references are taken over by the callee in every case, EvalFrameDefault links the frame.
    unsafe {
        let all = n + if kwnames.is_null() { 0 } else { ffi::PyTuple_Size(kwnames) as usize };
        let refs: Vec<StackRef> = (0..all).map(|i| slots.take(i, args, true)).collect();
        let (func, null) = (StackRef::from_new(f.cast()), ptr::null_mut());
        let fr = api::_PyEvalFramePushAndInit(ts, func, null, refs.as_ptr(), n, kwnames, ptr::null_mut());
        if fr.is_null() { ptr::null_mut() } else { api::_PyEval_EvalFrameDefault(ts, fr, 0) }
    }
}

/// Unlinks and pops a frame on the data stack whose eval stack is empty.
///
/// # Safety
/// `fr` is the top frame of the data stack; the GIL is held. May run Python code.
pub unsafe fn pop(ts: *mut ThreadState, fr: *mut Frame) {
    // SAFETY: the caller's contract. First current_frame goes back: closing a local can run Python code, which must not see
    // a half-dead frame. Last datastack_top: such code pushes frames of its own, above ours.
    unsafe {
        (*ts).current_frame = (*fr).previous;
        if !(*fr).frame_obj.is_null() {
            own_code(fr);
            api::_PyEval_FrameClearAndPop(ts, fr);
            return;
        }
        let code = (*fr).code();
        let locals = Frame::locals(fr);
        // The last one first, as CPython does: finalisers see the order.
        let mut slot = locals.add((*code).co_nlocalsplus as usize);
        while slot > locals {
            slot = slot.sub(1);
            (*slot).close();
        }
        if !(*fr).f_locals.is_null() {
            refcount::decref((*fr).f_locals);
        }
        (*fr).f_funcobj.close();
        (*fr).f_executable.close();
        // Only CPython gives a chunk back, when its first frame goes.
        if fr.cast() == (&raw mut (*(*ts).datastack_chunk).data).cast::<*mut PyObject>() {
            api::_PyThreadState_PopFrame(ts, fr);
        } else {
            (*ts).datastack_top = fr.cast();
        }
    }
}

/// Makes the frame own its code object, as every frame that escapes to CPython must.
///
/// # Safety
/// A frame of a living code object; the GIL is held.
#[inline]
pub unsafe fn own_code(fr: *mut Frame) {
    // SAFETY: the caller's contract.
    unsafe {
        if !(*fr).f_executable.owns() {
            (*fr).f_executable = StackRef::from_new((*fr).f_executable.as_ptr());
        }
    }
}

/// Hands a frame to the interpreter, which runs it to its end and pops it.
///
/// # Safety
/// `fr` is the running frame, complete, on the data stack, `instr_ptr` an instruction; recursion is not counted for it.
pub unsafe fn leave(ts: *mut ThreadState, fr: *mut Frame) -> *mut PyObject {
    // SAFETY: the caller's contract; EvalFrameDefault links the frame itself.
    unsafe {
        own_code(fr);
        (*ts).current_frame = (*fr).previous;
        behind::interpret(ts, fr)
    }
}

/// What becomes of a frame of ours after its body: the result of the call, or null with an exception set.
///
/// # Safety
/// `fr` is the running frame, on the data stack, with one level of recursion counted for it; `result` is what its body
/// answered (not `YIELDED`: generators have frames of their own); `record` is its code's record or null; the GIL is held.
pub unsafe fn finish(ts: *mut ThreadState, fr: *mut Frame, record: *mut CodeRecord, result: BodyResult) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        (*ts).py_recursion_remaining += 1;
        match result.tag {
            body::RETURNED => {
                pop(ts, fr);
                result.value as *mut PyObject
            }
            body::LEAVE => {
                driver::left(record, result.value);
                leave(ts, fr)
            }
            _ => {
                stats::count(Counter::Raises);
                if !record.is_null() {
                    (*record).raises += 1;
                }
                if unwind::watched(ts) {
                    if unwind::raised(ts, fr) {
                        return leave(ts, fr);
                    }
                } else if !ops::raised_again(ts, fr) {
                    ops::traceback_here(ts, fr);
                }
                ops::drop_to(fr, 0);
                pop(ts, fr);
                ptr::null_mut()
            }
        }
    }
}

/// The exception table of a code object, if it is one.
///
/// # Safety
/// A live code object.
pub unsafe fn exception_table(code: *mut CodeObject) -> Option<ExceptionTable> {
    // SAFETY: the exception table is a bytes object.
    let bytes = unsafe { ext::bytes_of((*code).co_exceptiontable) };
    ExceptionTable::parse(&bytes).ok()
}

/// Where the interpreter can be sent to raise the exception that is set *again*, without a new traceback entry: a
/// RERAISE without handler. The eval stack is made as it expects it; the exception is no longer set then.
///
/// # Safety
/// `fr` is the running frame of the interpreter and an exception is set that was raised again (`ops::raised_again`); the GIL is held.
pub unsafe fn send_to_reraise(fr: *mut Frame) -> Option<*mut CodeUnit> {
    // SAFETY: the frame has room for what the RERAISE takes, since its code does that as well.
    unsafe {
        let code = (*fr).code();
        let here = Frame::instr_index(fr);
        let (unit, arg) = reraise_without_handler(code, here as u32)?;
        ops::drop_to(fr, 0);
        let exception = ffi::PyErr_GetRaisedException();
        for n in 0..arg {
            ops::push(fr, if n == 0 { StackRef::tag_int(here) } else { StackRef::NULL });
        }
        ops::push(fr, StackRef::from_steal(exception));
        Some(CodeObject::units(code).add(unit as usize))
    }
}

/// As [`send_to_reraise`] for an exception whose traceback entry was made, if need be at a RERAISE elsewhere that takes no offset: code
/// whose only handlers put locals of comprehensions back has no other.
///
/// # Safety
/// `fr` is the running frame of the interpreter and an exception is set; the GIL is held.
pub unsafe fn send_to_any_reraise(fr: *mut Frame) -> Option<*mut CodeUnit> {
    // SAFETY: the caller's contract.
    unsafe {
        let code = (*fr).code();
        if reraise_without_handler(code, Frame::instr_index(fr) as u32).is_some() {
            return send_to_reraise(fr);
        }
        let unit = uncaught_reraise(code, |_, _| true)?.0;
        // The frame ends at that RERAISE. Its object, which the traceback has, goes on to say the line.
        if let Some(object) = (*fr).frame_obj.cast::<FrameObject>().as_mut() {
            object.f_lineno = ffi::PyCode_Addr2Line(code.cast(), Frame::instr_index(fr) as i32 * 2);
        }
        ops::drop_to(fr, 0);
        ops::push(fr, StackRef::from_steal(ffi::PyErr_GetRaisedException()));
        Some(CodeObject::units(code).add(unit as usize))
    }
}

/// Whether [`send_to_any_reraise`] would find one.
///
/// # Safety
/// `fr` is the running frame of the interpreter; the GIL is held.
pub unsafe fn has_reraise(fr: *mut Frame) -> bool {
    // SAFETY: the caller's contract.
    unsafe { uncaught_reraise((*fr).code(), |_, _| true).is_some() }
}

/// A RERAISE that nothing handles: the one at `here`, or one that takes the instruction's offset from the stack.
unsafe fn reraise_without_handler(code: *mut CodeObject, here: u32) -> Option<(u32, u32)> {
    // SAFETY: a live code object.
    unsafe { uncaught_reraise(code, |offset, arg| offset == here && arg == 0 || arg > 0) }
}

/// The first RERAISE that nothing handles and that is of use by its unit and argument: where it starts, and its argument.
unsafe fn uncaught_reraise(code: *mut CodeObject, of_use: impl Fn(u32, u32) -> bool) -> Option<(u32, u32)> {
    // SAFETY: a live code object.
    let (bytes, table) = unsafe { (driver::code_bytes(code), exception_table(code)?) };
    let instructions = cendre_bytecode::decode(&bytes, &no_executors).ok()?;
    let found = instructions.iter().find(|i| i.base == Opcode::Reraise && table.lookup(i.offset).is_none() && of_use(i.offset, i.arg))?;
    Some((found.start, found.arg))
}

/// `finish_call`: a direct call of compiled code whose callee did not just return.
///
/// # Safety
/// Called by machine code: `fr` is the callee's frame, running; see `finish`.
pub unsafe extern "C" fn finish_call(ts: *mut ThreadState, fr: *mut Frame, record: *mut CodeRecord, tag: u64, value: u64) -> *mut PyObject {
    // SAFETY: the caller's contract. Nothing in `finish` panics but for bugs; unwinding out of here aborts the process.
    unsafe {
        // A number for the caller, of a frame that somebody kept.
        finish(ts, fr, record, numbers::boxed_result(BodyResult::new(tag, value)))
    }
}

/// `handle_pending`: an event waits. 0, or -1 with an exception set.
///
/// # Safety
/// Called by machine code at an observable point of `fr`.
pub unsafe extern "C" fn handle_pending(ts: *mut ThreadState, _fr: *mut Frame) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { api::_Py_HandlePending(ts) }
}

/// The record of a frame's code, or null.
///
/// # Safety
/// A frame of a living code object; the GIL is held.
pub unsafe fn record_of(fr: *mut Frame) -> *mut CodeRecord {
    // SAFETY: the caller's contract.
    unsafe { record::find((*fr).code()) }
}

/// What this file lends to machine code.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: std::sync::OnceLock<[(&str, usize); 2]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| [("finish_call", finish_call as *const () as usize), ("handle_pending", handle_pending as *const () as usize)])
}
