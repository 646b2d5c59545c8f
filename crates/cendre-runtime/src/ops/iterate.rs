//! Iterators and awaitables.
//!
//! Invariant: the receiver of an iteration is asked for by the slots that CPython asks, so a class without the method
//! gets CPython's TypeError. Read `mod.rs` for inputs and outputs; `registers.rs` for FOR_ITER.

use super::stack::{OK, RAISED, drop_to, fail, finish, finish_peek, interned, object, push, type_name};
use crate::coro;
use crate::gil::Gil;
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount::{self, decref};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::typeobject::tp_flags;
use core::ffi::c_int;

/// GET_ITER: `iter(value)`; called by machine code as it is.
///
/// # Safety
/// As for `stack::around`.
pub unsafe extern "C" fn op_get_iter(_ts: *mut ThreadState, fr: *mut Frame, _counts: u64, own: u64) -> i32 {
    // SAFETY: one word at the base, which stays alive until it is given up.
    unsafe {
        let base = Frame::stack_base(fr);
        let value = (*base).0 as *mut PyObject;
        let iter = ffi::PyObject_GetIter(value);
        if own & 1 != 0 {
            decref(value);
        }
        if iter.is_null() {
            return RAISED;
        }
        *base = StackRef(iter as usize);
    }
    OK
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
pub unsafe extern "C" fn op_get_anext(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let res = anext(ts, object(fr, 0));
        finish_peek(fr, res)
    }
}

/// What GET_ANEXT pushes; null for an exception.
///
/// # Safety
/// A live object; the GIL is held. Runs Python code.
pub(crate) unsafe fn anext(ts: *mut ThreadState, iterator: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        match anext_of_class(ts, iterator) {
            Some(made) => made,
            None => api::_PyEval_GetANext(iterator),
        }
    }
}

/// The coroutine of `__anext__`, where a class has that as a compiled coroutine function: it is its own awaitable, and the slot would only make it. Null for an
/// exception; `None`: ask the slot, nothing has happened.
unsafe fn anext_of_class(ts: *mut ThreadState, iterator: *mut PyObject) -> Option<*mut PyObject> {
    // SAFETY: a live object.
    unsafe {
        let f = anext_function(iterator)?;
        // Names of the object that is used again may go, and whatever that runs may change the class.
        refcount::incref(f.cast());
        let made = coro::call::created(ts, f, &coro::call::positional(&raw const iterator, 1, 0));
        decref(f.cast());
        made
    }
}

/// The coroutine function that GET_ANEXT calls, where a class has that as its `__anext__`: borrowed from the class.
///
/// # Safety
/// A live object; the GIL is held.
pub(crate) unsafe fn anext_function(iterator: *mut PyObject) -> Option<*mut FunctionObject> {
    static NAME: Gil<*mut PyObject> = Gil::new(core::ptr::null_mut());
    // SAFETY: a live object; CPython has the name interned for good. A class made by `class` whose attribute is a function has the slot that calls it.
    unsafe {
        let class = refcount::type_of(iterator);
        if (*class).tp_flags & tp_flags::HEAPTYPE == 0 {
            return None;
        }
        let name = NAME.get();
        if name.is_null() {
            *name = interned(c"__anext__");
            if name.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
        }
        let f = api::_PyType_Lookup(class, *name);
        if f.is_null() || refcount::type_of(f) != &raw mut ffi::PyFunction_Type {
            return None;
        }
        let f: *mut FunctionObject = f.cast();
        ((*(*f).func_code.cast::<CodeObject>()).co_flags & co_flags::COROUTINE != 0).then_some(f)
    }
}

/// GET_AWAITABLE: the iterator of `await value`; the oparg says what for (1 and 2: `__aenter__`, `__aexit__`).
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_awaitable(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish(fr, api::_PyEval_GetAwaitable(object(fr, 0), oparg as c_int)) }
}
