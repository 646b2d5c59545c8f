//! Raising, handling and unwinding.
//!
//! Invariant: a frame enters a traceback once per exception that is raised in it, never for one that is raised *again*
//! (bare `raise`, the end of `finally` and `with`, an exception that passes through `await` or `async for`). Which of the two
//! it was, [`raised_again`] tells from the instruction; only a RERAISE that has put `instr_ptr` back leaves a mark
//! beside the frame. Whoever ends a frame whose body answered RAISED calls [`add_traceback`], as [`unwind`] does.
//! Read docs/internals/contracts.md; `mod.rs` for inputs and outputs.

use super::stack::{OK, RAISED, drop_to, fail, finish_peek, input, none_ref, object, pop, push};
use crate::gil::Gil;
use crate::unwind;
use cendre_bytecode::Opcode;
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, CodeUnit};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount::{decref, incref, new_ref, refcnt, xdecref};
use cendre_cpython::tstate::ThreadState;
use core::cell::Cell;
use core::ffi::CStr;

thread_local! {
    /// The frame in which a RERAISE has put `instr_ptr` back, and the exception that it raised again; looked at right behind it.
    static RAISED_AGAIN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Was the exception that is set raised *again* by this frame, so that it is in its traceback already? Takes the mark of a RERAISE away.
///
/// # Safety
/// An exception is set and `instr_ptr` is the raising instruction; the GIL is held.
pub unsafe fn raised_again(ts: *mut ThreadState, fr: *mut Frame) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let again = RAISED_AGAIN.replace((0, 0));
        if again == (fr as usize, (*ts).current_exception as usize) {
            return true;
        }
        let unit = *(*fr).instr_ptr;
        match Opcode::from_u8(unit.opcode()).map(|op| op.info().base) {
            Some(Opcode::Reraise | Opcode::EndAsyncFor | Opcode::CleanupThrow) => true,
            // A bare `raise` without anything to raise again raises a RuntimeError of its own.
            Some(Opcode::RaiseVarargs) => unit.oparg() == 0 && handled(ts) == (*ts).current_exception,
            _ => false,
        }
    }
}

/// Adds the frame to the traceback of the exception that is set, unless that was raised again.
///
/// # Safety
/// `fr` is `ts->current_frame`, complete; an exception is set; `instr_ptr` is the raising instruction.
pub unsafe fn add_traceback(ts: *mut ThreadState, fr: *mut Frame) {
    // SAFETY: the caller's contract.
    unsafe {
        if !raised_again(ts, fr) {
            traceback_here(ts, fr);
        }
    }
}

/// Adds the frame to the traceback of the exception that is set.
///
/// # Safety
/// As for [`add_traceback`].
pub unsafe fn traceback_here(ts: *mut ThreadState, fr: *mut Frame) {
    // SAFETY: the caller's contract.
    unsafe {
        // A frame that escapes must own its code object: the frame object gives that reference up.
        (*fr).f_executable = (*fr).f_executable.make_heap_safe();
        let frame = ffi::PyThreadState_GetFrame(ts.cast());
        if frame.is_null() {
            // No memory for the frame object: CPython has put nothing in the exception's place.
            if ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_NoMemory();
            }
            return;
        }
        api::PyTraceBack_Here(frame);
        decref(frame.cast());
    }
}

/// Goes to a handler of this frame: the traceback, the stack cut to `depth`, the handler's `lasti` (if it wants one) and the
/// exception pushed. 0: done, no exception is set any more. 1: nothing done, since a tool watches; the interpreter must take over.
///
/// # Safety
/// An exception is set; `instr_ptr` is the raising instruction; the stack is in memory, at least `depth` high.
pub unsafe extern "C" fn unwind(ts: *mut ThreadState, fr: *mut Frame, depth: i32, lasti: i32) -> i32 {
    // SAFETY: the contract.
    unsafe {
        if unwind::watched(ts) {
            return 1;
        }
        let again = raised_again(ts, fr);
        drop_to(fr, depth as usize);
        let exc = (*ts).current_exception;
        if !again {
            if refcnt(exc) == 1 {
                *UNTRACED.get() = (exc as usize, (*fr).instr_ptr);
            } else {
                traceback_here(ts, fr);
            }
        }
        if lasti > 0 {
            // Of the instruction that raised first: RERAISE has put that into instr_ptr.
            push(fr, StackRef::tag_int(Frame::instr_index(fr)));
        }
        push(fr, StackRef::from_steal(api::_PyErr_GetRaisedException(ts)));
    }
    0
}

/// CHECK_EXC_MATCH: does the exception match a class or tuple of classes? 0, 1, or -1 (TypeError: it is none).
///
/// # Safety
/// Both are alive; the GIL is held. Runs nothing unknown.
pub unsafe extern "C" fn exception_matches(ts: *mut ThreadState, exc: *mut PyObject, class: *mut PyObject) -> i32 {
    // SAFETY: the contract.
    unsafe {
        if api::_PyEval_CheckExceptTypeValid(ts, class) < 0 {
            return RAISED;
        }
        i32::from(ffi::PyErr_GivenExceptionMatches(exc, class) != 0)
    }
}

/// The same for a tuple of classes that was not made.
///
/// # Safety
/// As for [`exception_matches`]; `classes` are `n`.
pub unsafe extern "C" fn exception_matches_any(ts: *mut ThreadState, exc: *mut PyObject, classes: *const *mut PyObject, n: usize) -> i32 {
    // SAFETY: the contract. In a tuple only classes are allowed, no tuples.
    unsafe {
        let classes = core::slice::from_raw_parts(classes, n);
        for &class in classes {
            if !is_exception_class(class) {
                let text = c"catching classes that do not inherit from BaseException is not allowed";
                type_error(ts, text);
                return RAISED;
            }
        }
        i32::from(classes.iter().any(|class| ffi::PyErr_GivenExceptionMatches(exc, *class) != 0))
    }
}

/// The exception that went to a handler without the entry of its frame in its traceback, and the instruction that raised it.
static UNTRACED: Gil<(usize, *mut CodeUnit)> = Gil::new((0, core::ptr::null_mut()));

/// Makes the traceback entry that was put off, if there is one. What is set as exception stays so.
///
/// # Safety
/// `fr` is the running frame, complete, and the one that put it off; the GIL is held.
#[inline(always)]
pub unsafe fn trace_untraced(ts: *mut ThreadState, fr: *mut Frame) {
    // SAFETY: the caller's contract.
    unsafe {
        if UNTRACED.get().0 != 0 {
            trace_exception(ts, fr);
        }
    }
}

/// The same, out of line: `exc.trace`.
///
/// # Safety
/// As for [`trace_untraced`].
pub unsafe extern "C" fn trace_exception(ts: *mut ThreadState, fr: *mut Frame) {
    // SAFETY: the caller's contract; the exception lives, since the code between its handler's start and here gives up none of it.
    unsafe {
        let (exc, at) = core::mem::replace(UNTRACED.get(), (0, core::ptr::null_mut()));
        if exc == 0 {
            return;
        }
        let set = core::mem::replace(&mut (*ts).current_exception, new_ref(exc as *mut PyObject));
        let now = core::mem::replace(&mut (*fr).instr_ptr, at);
        traceback_here(ts, fr);
        (*fr).instr_ptr = now;
        let traced = core::mem::replace(&mut (*ts).current_exception, set);
        xdecref(traced);
    }
}

/// `exc.forget`: the exception will be dropped next. If that is its end no entry is needed any more.
///
/// # Safety
/// As for [`trace_untraced`]; `exc` is alive or null.
pub unsafe extern "C" fn forget_exception(ts: *mut ThreadState, fr: *mut Frame, exc: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe {
        if UNTRACED.get().0 == exc as usize && refcnt(exc) == 1 {
            *UNTRACED.get() = (0, core::ptr::null_mut());
        } else {
            trace_untraced(ts, fr);
        }
    }
}

/// CHECK_EG_MATCH: exception, class or tuple of classes; what is left of the group, and what matches (or None).
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_check_eg_match(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: two inputs, two outputs.
    unsafe {
        let (exc, class) = (object(fr, 0), object(fr, 1));
        if api::_PyEval_CheckExceptStarTypeValid(ts, class) < 0 {
            return fail(fr);
        }
        let (mut matched, mut rest) = (core::ptr::null_mut(), core::ptr::null_mut());
        let err = api::_PyEval_ExceptionGroupMatch(fr, exc, class, &mut matched, &mut rest);
        drop_to(fr, 0);
        if err < 0 || matched.is_null() {
            return RAISED;
        }
        if matched != ffi::Py_None() {
            ffi::PyErr_SetHandledException(matched);
        }
        push(fr, StackRef::from_steal(rest));
        push(fr, StackRef::from_steal(matched));
    }
    OK
}

/// WITH_EXCEPT_START: `__exit__`, its self or NULL, lasti, previous exception, exception: all stay, the result of the call of
/// `__exit__(type, exception, traceback)` is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_with_except_start(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: five inputs, of which the third is a tagged int.
    unsafe {
        let (exit, this, exc) = (object(fr, 0), object(fr, 1), object(fr, 4));
        let tb = ffi::PyException_GetTraceback(exc);
        let shown = if tb.is_null() { ffi::Py_None() } else { tb };
        let class: *mut PyObject = ffi::Py_TYPE(exc).cast();
        // A free word, self (or a free word), the three arguments.
        let mut words = [core::ptr::null_mut(), this, class, exc, shown];
        let has_self = usize::from(!this.is_null());
        let nargsf = (3 + has_self) | 1 << (usize::BITS - 1);
        let res = ffi::PyObject_Vectorcall(exit, words.as_mut_ptr().add(2 - has_self), nargsf, core::ptr::null_mut());
        xdecref(tb);
        finish_peek(fr, res)
    }
}

/// RERAISE: `oparg` values, of which the lowest says where the exception was raised first, then the exception.
///
/// # Safety
/// The contract of stack ops; with an oparg the lowest input is a tagged int.
pub unsafe extern "C" fn op_reraise(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg + 1 inputs.
    unsafe {
        let exc = pop(fr).into_owned_ptr();
        if oparg != 0 {
            (*fr).instr_ptr = CodeObject::units((*fr).code()).offset(input(fr, 0).untag_int());
        }
        api::_PyErr_SetRaisedException(ts, exc);
        let raised = fail(fr);
        if oparg != 0 {
            // Last: what the stack held may have run code that raises as well.
            RAISED_AGAIN.set((fr as usize, exc as usize));
        }
        raised
    }
}

/// END_ASYNC_FOR: the awaitable, the exception; ends the loop if it is StopAsyncIteration, else raises it again.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_end_async_for(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe {
        let exc = object(fr, 1);
        if ffi::PyErr_GivenExceptionMatches(exc, ffi::PyExc_StopAsyncIteration) == 0 {
            api::_PyErr_SetRaisedException(ts, new_ref(exc));
            return fail(fr);
        }
        drop_to(fr, 0);
    }
    OK
}

/// CLEANUP_THROW: receiver, last value sent, exception; None and the value of a StopIteration, else raises it again.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_cleanup_throw(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: three inputs.
    unsafe {
        let exc = object(fr, 2);
        if ffi::PyErr_GivenExceptionMatches(exc, ffi::PyExc_StopIteration) == 0 {
            api::_PyErr_SetRaisedException(ts, new_ref(exc));
            return fail(fr);
        }
        let value = StackRef::from_new((*exc.cast::<ffi::PyStopIterationObject>()).value);
        drop_to(fr, 0);
        push(fr, none_ref());
        push(fr, value);
    }
    OK
}

/// The exception being handled in the innermost context that handles one, borrowed; null for none.
unsafe fn handled(ts: *mut ThreadState) -> *mut PyObject {
    // SAFETY: the chain of contexts is never empty and ends in null.
    unsafe {
        let mut info = (*ts).exc_info;
        loop {
            let value = (*info).exc_value;
            if !value.is_null() && value != ffi::Py_None() {
                return value;
            }
            if (*info).previous_item.is_null() {
                return core::ptr::null_mut();
            }
            info = (*info).previous_item;
        }
    }
}

/// `PyExceptionClass_Check`.
unsafe fn is_exception_class(o: *mut PyObject) -> bool {
    // SAFETY: o is alive.
    unsafe { ffi::PyType_Check(o) != 0 && ffi::PyType_HasFeature(o.cast(), ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS) != 0 }
}

/// `PyExceptionInstance_Check`.
unsafe fn is_exception(o: *mut PyObject) -> bool {
    // SAFETY: o is alive.
    unsafe { ffi::PyType_HasFeature(ffi::Py_TYPE(o), ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS) != 0 }
}

/// An instance of an exception class, owned; null with an exception set.
unsafe fn instantiate(class: *mut PyObject) -> *mut PyObject {
    // SAFETY: class is alive.
    unsafe {
        let value = ffi::PyObject_CallNoArgs(class);
        if !value.is_null() && !is_exception(value) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"calling %R should have returned an instance of BaseException, not %R".as_ptr(),
                class,
                ffi::Py_TYPE(value),
            );
            decref(value);
            return core::ptr::null_mut();
        }
        value
    }
}

/// TypeError with a fixed text.
#[cold]
unsafe fn type_error(ts: *mut ThreadState, text: &CStr) {
    // SAFETY: the GIL is held.
    unsafe { api::_PyErr_SetString(ts, ffi::PyExc_TypeError, text.as_ptr()) }
}

/// What `raise ... from cause` stores: an instance, owned; `Ok(null)` for None; `Err` with an exception set.
unsafe fn fixed_cause(ts: *mut ThreadState, cause: *mut PyObject) -> Result<*mut PyObject, ()> {
    // SAFETY: cause is alive, borrowed.
    unsafe {
        if is_exception_class(cause) {
            let value = instantiate(cause);
            return if value.is_null() { Err(()) } else { Ok(value) };
        }
        if is_exception(cause) {
            return Ok(new_ref(cause));
        }
        if cause == ffi::Py_None() {
            return Ok(core::ptr::null_mut());
        }
        type_error(ts, c"exception causes must derive from BaseException");
        Err(())
    }
}

/// Sets the exception of `raise exc` or `raise exc from cause` (null: none); whatever fails on the way is set instead.
unsafe fn raise(ts: *mut ThreadState, exc: *mut PyObject, cause: *mut PyObject) {
    // SAFETY: both are borrowed from the stack.
    unsafe {
        let (value, class) = if is_exception_class(exc) {
            (instantiate(exc), exc)
        } else if is_exception(exc) {
            incref(exc);
            (exc, ffi::Py_TYPE(exc).cast())
        } else {
            type_error(ts, c"exceptions must derive from BaseException");
            return;
        };
        if value.is_null() {
            return;
        }
        // The class could change meanwhile (`__class__` of an instance is writable).
        incref(class);
        let go_on = if cause.is_null() {
            true
        } else if let Ok(fixed) = fixed_cause(ts, cause) {
            ffi::PyException_SetCause(value, fixed);
            true
        } else {
            false
        };
        if go_on {
            ffi::PyErr_SetObject(class, value);
        }
        decref(value);
        decref(class);
    }
}

/// `raise exc`, the argument borrowed. Always answers -1.
///
/// # Safety
/// `exc` is alive; the GIL is held.
pub unsafe extern "C" fn raise_one(ts: *mut ThreadState, exc: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { raise(ts, exc, core::ptr::null_mut()) };
    RAISED
}

/// RAISE_VARARGS: `raise` (0 inputs), `raise exc` (1), `raise exc from cause` (2). Always answers -1.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_raise_varargs(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg inputs.
    unsafe {
        if oparg == 0 {
            let exc = handled(ts);
            if exc.is_null() {
                api::_PyErr_SetString(ts, ffi::PyExc_RuntimeError, c"No active exception to reraise".as_ptr());
                return fail(fr);
            }
            api::_PyErr_SetRaisedException(ts, new_ref(exc));
            return fail(fr);
        }
        raise(ts, object(fr, 0), if oparg == 2 { object(fr, 1) } else { core::ptr::null_mut() });
        if oparg == 2 {
            // The exception is given up before its cause.
            let base = Frame::stack_base(fr);
            core::ptr::swap(base, base.add(1));
        }
        fail(fr)
    }
}
