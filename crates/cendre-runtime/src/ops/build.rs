//! Building and taking apart: containers, strings, slices, templates, formatting, unpacking.
//!
//! Invariant: a container under construction is not on the stack, so nobody sees it unfinished; the pieces are, so the
//! collector counts them. Read `mod.rs` for inputs and outputs.

use super::stack::{OK, RAISED};
use super::stack::{Objects, around, empty_str, fail, finish, give_up, object, pop, push};
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::ffi::{self, Py_ssize_t, PyObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::listobject::ListObject;
use cendre_cpython::refcount::{decref, incref};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::tupleobject::TupleObject;
use core::ffi::c_int;

/// Puts words of machine code into new memory, each with a reference of its own.
#[inline(always)]
unsafe fn move_words(to: *mut *mut PyObject, from: *const StackRef, n: usize, own: u64) {
    // SAFETY: the callers' arrays have `n` entries. Bit 63 stands for all words from there on: an arithmetic shift keeps it.
    unsafe {
        let mut own = own as i64;
        for i in 0..n {
            let o = (*from.add(i)).0 as *mut PyObject;
            if own & 1 == 0 {
                incref(o);
            }
            own >>= 1;
            *to.add(i) = o;
        }
    }
}

/// BUILD_TUPLE: of `oparg` values; called by machine code as it is (no stack op: the words are not tagged first, since nobody looks).
///
/// # Safety
/// As for `stack::around`.
pub unsafe extern "C" fn op_build_tuple(_ts: *mut ThreadState, fr: *mut Frame, counts: u64, own: u64) -> i32 {
    // SAFETY: oparg words at the base; the collector cannot run before the tuple is full.
    unsafe {
        let n = counts as u32 as usize;
        let base = Frame::stack_base(fr);
        let tuple = ffi::PyTuple_New(n as Py_ssize_t);
        if tuple.is_null() {
            return give_up(base, n, own);
        }
        move_words(TupleObject::items(tuple.cast()), base, n, own);
        *base = StackRef(tuple as usize);
    }
    OK
}

/// BUILD_LIST: of `oparg` values; as [`op_build_tuple`].
///
/// # Safety
/// As for `stack::around`.
pub unsafe extern "C" fn op_build_list(_ts: *mut ThreadState, fr: *mut Frame, counts: u64, own: u64) -> i32 {
    // SAFETY: oparg words at the base; the collector cannot run before the list is full.
    unsafe {
        let n = counts as u32 as usize;
        let base = Frame::stack_base(fr);
        let list = ffi::PyList_New(n as Py_ssize_t);
        if list.is_null() {
            return give_up(base, n, own);
        }
        if n > 0 {
            move_words((*list.cast::<ListObject>()).ob_item, base, n, own);
        }
        *base = StackRef(list as usize);
    }
    OK
}

/// BUILD_MAP: of `oparg` pairs of key and value; called by machine code, which mostly wants an empty one.
///
/// # Safety
/// As for `stack::around`.
pub unsafe extern "C" fn op_build_map(ts: *mut ThreadState, fr: *mut Frame, counts: u64, own: u64) -> i32 {
    // SAFETY: as in `around`.
    unsafe {
        if counts as u32 != 0 {
            return around(ts, fr, build_map, counts, own);
        }
        let dict = ffi::PyDict_New();
        if dict.is_null() {
            return RAISED;
        }
        *Frame::stack_base(fr) = StackRef(dict as usize);
    }
    OK
}

/// A dict of `oparg` pairs.
unsafe extern "C" fn build_map(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: 2 * oparg inputs, alive until `finish`.
    unsafe {
        let mut objects = Objects::new();
        let first = objects.fill(Frame::stack_base(fr), 2 * oparg as usize);
        if first.is_null() {
            return fail(fr);
        }
        finish(fr, api::_PyDict_FromItems(first, 2, first.add(1), 2, oparg as Py_ssize_t))
    }
}

/// BUILD_SET: of `oparg` values, added from left to right; what is left after a failure is given up in that order, too.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_build_set(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg inputs; each slot is emptied before its reference goes elsewhere.
    unsafe {
        let set = ffi::PySet_New(core::ptr::null_mut());
        if set.is_null() {
            return fail(fr);
        }
        let base = Frame::stack_base(fr);
        let mut err = 0;
        for i in 0..oparg as usize {
            let value = *base.add(i);
            *base.add(i) = StackRef::NULL;
            if err == 0 {
                err = api::_PySet_AddTakeRef(set, value.into_owned_ptr());
            } else {
                value.close();
            }
        }
        (*fr).stackpointer = base;
        if err != 0 {
            decref(set);
            return RAISED;
        }
        push(fr, StackRef::from_steal(set));
    }
    OK
}

/// BUILD_STRING: joins `oparg` strings.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_build_string(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg inputs, alive until `finish`.
    unsafe {
        let mut objects = Objects::new();
        let first = objects.fill(Frame::stack_base(fr), oparg as usize);
        if first.is_null() {
            return fail(fr);
        }
        finish(fr, api::_PyUnicode_JoinArray(empty_str(), first, oparg as Py_ssize_t))
    }
}

/// BUILD_SLICE: of two or three (oparg) values.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_build_slice(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg inputs.
    unsafe {
        let step = if oparg == 3 { object(fr, 2) } else { core::ptr::null_mut() };
        finish(fr, ffi::PySlice_New(object(fr, 0), object(fr, 1), step))
    }
}

/// BUILD_INTERPOLATION: value, text, format spec if oparg has bit 1; the conversion is `oparg >> 2`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_build_interpolation(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two or three inputs.
    unsafe {
        let spec = if oparg & 1 != 0 { object(fr, 2) } else { empty_str() };
        finish(fr, api::_PyInterpolation_Build(object(fr, 0), object(fr, 1), (oparg >> 2) as c_int, spec))
    }
}

/// BUILD_TEMPLATE: of a tuple of strings and one of interpolations.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_build_template(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe { finish(fr, api::_PyTemplate_Build(object(fr, 0), object(fr, 1))) }
}

/// CONVERT_VALUE: `str`, `repr` or `ascii` (oparg 1, 2, 3) of the value.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_convert_value(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input; opargs 1 to 3 have a function in CPython's table.
    unsafe {
        let value = object(fr, 0);
        let res = match oparg {
            1 => ffi::PyObject_Str(value),
            2 => ffi::PyObject_Repr(value),
            _ => ffi::PyObject_ASCII(value),
        };
        finish(fr, res)
    }
}

/// FORMAT_SIMPLE: `format(value)`; an exact str is its own format.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_format_simple(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input, which may stay where it is.
    unsafe {
        let value = object(fr, 0);
        if ffi::PyUnicode_CheckExact(value) != 0 {
            return OK;
        }
        finish(fr, ffi::PyObject_Format(value, core::ptr::null_mut()))
    }
}

/// FORMAT_WITH_SPEC: `format(value, spec)`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_format_with_spec(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe { finish(fr, ffi::PyObject_Format(object(fr, 0), object(fr, 1))) }
}

/// Takes the iterable on top apart into `total` entries at the base.
unsafe fn unpack(ts: *mut ThreadState, fr: *mut Frame, before: c_int, after: c_int, total: usize) -> i32 {
    // SAFETY: one input; the code's stack size covers the outputs. The iterable is owned here, since its slot is written to.
    unsafe {
        let seq = pop(fr).into_owned_ptr();
        let top = Frame::stack_base(fr).add(total);
        let ok = api::_PyEval_UnpackIterableStackRef(ts, seq, before, after, top);
        if ok != 0 {
            // Before the iterable is given up: a finaliser must not overwrite the outputs.
            (*fr).stackpointer = top;
        }
        decref(seq);
        if ok == 0 { RAISED } else { OK }
    }
}

/// UNPACK_SEQUENCE: into `oparg` values, the first of them topmost.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_unpack_sequence(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: the contract.
    unsafe { unpack(ts, fr, oparg as c_int, -1, oparg as usize) }
}

/// UNPACK_EX: `oparg & 0xFF` values before the starred one, `oparg >> 8` behind it.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_unpack_ex(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    let (before, after) = (oparg & 0xff, oparg >> 8);
    // SAFETY: the contract.
    unsafe { unpack(ts, fr, before as c_int, after as c_int, (before + 1 + after) as usize) }
}
