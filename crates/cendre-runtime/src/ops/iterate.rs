//! Iterators and awaitables.
//!
//! Invariant: the receiver of an iteration is asked for by the slots that CPython asks, so a class without the method
//! gets CPython's TypeError. Read `mod.rs` for inputs and outputs; `registers.rs` for FOR_ITER.

use super::stack::{OK, RAISED, drop_to, fail, finish, finish_peek, object, push, type_name};
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::code::co_flags;
use cendre_cpython::ffi;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount::decref;
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_int;

/// GET_ITER: `iter(value)`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_iter(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish(fr, ffi::PyObject_GetIter(object(fr, 0))) }
}

/// GET_YIELD_FROM_ITER: the same, but a generator is its own iterator, and a coroutine one for coroutines only.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_yield_from_iter(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input, which stays if it is its own iterator.
    unsafe {
        let value = object(fr, 0);
        if ffi::PyCoro_CheckExact(value) != 0 {
            if (*(*fr).code()).co_flags & (co_flags::COROUTINE | co_flags::ITERABLE_COROUTINE) == 0 {
                let text = c"cannot 'yield from' a coroutine object in a non-coroutine generator";
                api::_PyErr_SetString(ts, ffi::PyExc_TypeError, text.as_ptr());
                return fail(fr);
            }
            return OK;
        }
        if ffi::PyGen_CheckExact(value) != 0 {
            return OK;
        }
        finish(fr, ffi::PyObject_GetIter(value))
    }
}

/// GET_AITER: `aiter(value)`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_aiter(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input; the slots are read from live classes.
    unsafe {
        let value = object(fr, 0);
        let methods = (*ffi::Py_TYPE(value)).tp_as_async;
        let Some(getter) = (if methods.is_null() { None } else { (*methods).am_aiter }) else {
            let text = c"'async for' requires an object with __aiter__ method, got %.100s";
            ffi::PyErr_Format(ffi::PyExc_TypeError, text.as_ptr(), type_name(value));
            return fail(fr);
        };
        let iter = getter(value);
        drop_to(fr, 0);
        if iter.is_null() {
            return RAISED;
        }
        let methods = (*ffi::Py_TYPE(iter)).tp_as_async;
        if methods.is_null() || (*methods).am_anext.is_none() {
            let text = c"'async for' received an object from __aiter__ that does not implement __anext__: %.100s";
            ffi::PyErr_Format(ffi::PyExc_TypeError, text.as_ptr(), type_name(iter));
            decref(iter);
            return RAISED;
        }
        push(fr, StackRef::from_steal(iter));
    }
    OK
}

/// GET_ANEXT: the iterator stays, the awaitable of `anext(iterator)` is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_anext(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish_peek(fr, api::_PyEval_GetANext(object(fr, 0))) }
}

/// GET_AWAITABLE: the iterator of `await value`; the oparg says what for (1 and 2: `__aenter__`, `__aexit__`).
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_awaitable(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish(fr, api::_PyEval_GetAwaitable(object(fr, 0), oparg as c_int)) }
}
