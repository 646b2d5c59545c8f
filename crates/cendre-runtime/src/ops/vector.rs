//! Calls with positional arguments in an array: what CALL does, by the kind of callable, without the generic protocol where that is known.
//!
//! Invariant: as a vectorcall of CPython; events that wait are handled behind calls of non-Python callables, Python functions do so at their
//! start. C functions are called by their flags as CPython's specialised CALLs do. Read `calls.rs` for the stack ops.

use super::calls::{after_call, method_type};
use crate::entries::vectorcall;
use crate::{binding, coro, evaluator, frames, generators, record};
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interp;
use cendre_cpython::methodobject::{CFunctionObject, MethodDescrObject, MethodObject};
use cendre_cpython::refcount::{decref, type_of};
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl};
use core::ffi::c_int;
use core::ptr;

const OFFSET: usize = ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
/// The flags of a C function that say how it is called.
const CONVENTION: c_int =
    ffi::METH_VARARGS | ffi::METH_FASTCALL | ffi::METH_NOARGS | ffi::METH_O | ffi::METH_KEYWORDS | ffi::METH_METHOD | ffi::METH_STATIC;
const FAST_KEYWORDS: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

/// Runs a Python function whose body is compiled; `None`: call it the ordinary way. Arguments of `mask` pass to it.
///
/// # Safety
/// As for [`frames::call_compiled`].
#[inline]
pub unsafe fn call_python(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
    mask: u64,
) -> Option<*mut PyObject> {
    // SAFETY: the caller's contract; a record lives as long as its code, which the function holds.
    unsafe {
        if (*(*f).func_code.cast::<CodeObject>()).co_flags & generators::ANY_GENERATOR != 0 {
            return generators::make(ts, f, &coro::call::positional(args, n, mask));
        }
        let record = record::find((*f).func_code.cast());
        if record.is_null() || (*record).body.is_null() {
            return None;
        }
        if let Some(res) = frames::call_compiled(ts, f, record, args, n, mask) {
            return Some(res);
        }
        binding::call(ts, f, &coro::call::positional(args, n, mask))
    }
}

/// A C function by its flags; `None`: it is called in an unusual way.
#[inline(always)]
unsafe fn call_c(method: *mut ffi::PyMethodDef, this: *mut PyObject, args: *const *mut PyObject, n: usize) -> Option<*mut PyObject> {
    type Fast = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, ffi::Py_ssize_t) -> *mut PyObject;
    type FastKeywords = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, ffi::Py_ssize_t, *mut PyObject) -> *mut PyObject;
    // SAFETY: the flags say what signature the function has.
    unsafe {
        let f: ffi::PyCFunction = (*method).ml_meth.PyCFunction;
        let flags = (*method).ml_flags & CONVENTION;
        if flags == ffi::METH_O && n == 1 {
            Some(f(this, *args))
        } else if flags == ffi::METH_FASTCALL {
            Some(core::mem::transmute::<ffi::PyCFunction, Fast>(f)(this, args, n as ffi::Py_ssize_t))
        } else if flags == FAST_KEYWORDS {
            Some(core::mem::transmute::<ffi::PyCFunction, FastKeywords>(f)(this, args, n as ffi::Py_ssize_t, ptr::null_mut()))
        } else if flags == ffi::METH_NOARGS && n == 0 {
            Some(f(this, ptr::null_mut()))
        } else {
            None
        }
    }
}

/// Is there C stack left for what CPython would count as a recursive call?
#[inline(always)]
unsafe fn has_stack(ts: *mut ThreadState) -> bool {
    let here = 0u8;
    // SAFETY: every thread state is a ThreadStateImpl.
    unsafe { &raw const here as usize > (*ts.cast::<ThreadStateImpl>()).c_stack_soft_limit }
}

/// A call with positional arguments at `args`, `args[-1]` free for the callee where `nargsf` says so: a new reference, or null.
///
/// # Safety
/// The pointers are alive; `nargsf` as in the vectorcall protocol; the GIL is held.
pub unsafe extern "C" fn call_vector(
    ts: *mut ThreadState,
    callable: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
) -> *mut PyObject {
    // SAFETY: the caller's contract; the callable outlives the call.
    unsafe {
        let class = type_of(callable);
        if class == &raw mut ffi::PyFunction_Type {
            return call_function(ts, callable.cast(), args, nargsf);
        }
        if class == method_type() && nargsf & OFFSET != 0 {
            return call_method(ts, callable.cast(), args, nargsf);
        }
        call_native(ts, callable, args, nargsf)
    }
}

/// A Python function, compiled or not.
#[inline(always)]
unsafe fn call_function(ts: *mut ThreadState, f: *mut FunctionObject, args: *const *mut PyObject, nargsf: usize) -> *mut PyObject {
    // SAFETY: as in `call_vector`.
    unsafe {
        if let Some(res) = call_python(ts, f, args, nargsf & !OFFSET, 0) {
            return res;
        }
        let res = ffi::PyObject_Vectorcall(f.cast(), args, nargsf, ptr::null_mut());
        evaluator::look(ts);
        res
    }
}

/// A bound method.
#[inline(never)]
unsafe fn call_method(ts: *mut ThreadState, m: *mut MethodObject, args: *const *mut PyObject, nargsf: usize) -> *mut PyObject {
    // SAFETY: as in `call_vector`; the free word takes the instance, for the time of the call.
    unsafe {
        let first = args.sub(1).cast_mut();
        let kept = core::mem::replace(&mut *first, (*m).im_self);
        let res = call_vector(ts, (*m).im_func, first, (nargsf & !OFFSET) + 1);
        *first = kept;
        res
    }
}

/// What is no Python function and no bound method.
#[inline(always)]
unsafe fn call_native(ts: *mut ThreadState, callable: *mut PyObject, args: *const *mut PyObject, nargsf: usize) -> *mut PyObject {
    // SAFETY: as in `call_vector`.
    unsafe {
        let n = nargsf & !OFFSET;
        let class = type_of(callable);
        let done = if class == &raw mut ffi::PyMethodDescr_Type && n > 0 && has_stack(ts) {
            let d: *mut MethodDescrObject = callable.cast();
            let this = *args;
            let class = type_of(this);
            if class == (*d).d_type || ffi::PyType_IsSubtype(class, (*d).d_type) != 0 {
                call_c((*d).d_method, this, args.add(1), n - 1)
            } else {
                None
            }
        } else if class == &raw mut ffi::PyCFunction_Type && has_stack(ts) {
            let f: *mut CFunctionObject = callable.cast();
            call_c((*f).m_ml, (*f).m_self, args, n)
        } else {
            None
        };
        let res = match done {
            Some(res) => res,
            None => ffi::PyObject_Vectorcall(callable, args, nargsf, ptr::null_mut()),
        };
        after_call(ts, res)
    }
}

/// As [`call_vector`], and consumes the arguments whose bit is set in `mask`: a Python function gets them as its own, so that what it gives
/// up early ends early.
///
/// # Safety
/// As for [`call_vector`]; the caller owns the arguments in `mask`.
pub unsafe extern "C" fn call_owned(
    ts: *mut ThreadState,
    callable: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    mask: u64,
) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let class = type_of(callable);
        let res = if class == &raw mut ffi::PyFunction_Type {
            if mask == 0 {
                return call_function(ts, callable.cast(), args, nargsf);
            }
            if nargsf & !OFFSET <= 8
                && let Some(res) = call_with_owned(ts, callable.cast(), args, nargsf & !OFFSET, mask)
            {
                return res;
            }
            call_vector(ts, callable, args, nargsf)
        } else if class == method_type() && nargsf & OFFSET != 0 {
            call_method(ts, callable.cast(), args, nargsf)
        } else {
            call_native(ts, callable, args, nargsf)
        };
        // The last one first.
        let mut mask = mask & (1_u64.checked_shl((nargsf & !OFFSET) as u32).unwrap_or(0)).wrapping_sub(1);
        while mask != 0 {
            let i = mask.ilog2();
            mask &= !(1 << i);
            decref(*args.add(i as usize));
        }
        res
    }
}

/// A Python function that gets the arguments of the mask as its own; `None`: nothing has happened.
#[expect(clippy::indexing_slicing, reason = "`n` is at most the length, the caller has looked")]
unsafe fn call_with_owned(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    n: usize,
    mask: u64,
) -> Option<*mut PyObject> {
    // SAFETY: as in `call_owned`; at most eight arguments.
    unsafe {
        if !frames::is_ordinary(f) {
            return None;
        }
        if let Some(res) = call_python(ts, f, args, n, mask) {
            return Some(res);
        }
        if vectorcall::settle(ts, f)
            && let Some(res) = call_python(ts, f, args, n, mask)
        {
            return Some(res);
        }
        // As the interpreter's own vectorcall would, but for the references.
        let optimized = (*(*f).func_code.cast::<CodeObject>()).co_flags & co_flags::OPTIMIZED != 0;
        if !frames::is_ordinary(f) || !optimized || !interp::eval_frame((*ts).interp).is_null() {
            return None;
        }
        let mut refs = [StackRef::NULL; 8];
        for i in 0..n {
            let o = *args.add(i);
            refs[i] = if mask >> i & 1 != 0 { StackRef::from_steal(o) } else { StackRef::from_new(o) };
        }
        // Takes the references and the function in every case.
        let func = StackRef::from_new(f.cast());
        let null = ptr::null_mut();
        let fr = api::_PyEvalFramePushAndInit(ts, func, null, refs.as_ptr(), n, null, ptr::null_mut());
        let res = if fr.is_null() { null } else { api::_PyEval_EvalFrameDefault(ts, fr, 0) };
        evaluator::look(ts);
        Some(res)
    }
}
