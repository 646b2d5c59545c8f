//! Operators: arithmetic, truth, comparison, containment, subscripts and slices.
//!
//! Invariant: operands are given up in the order in which CPython gives them up (see each op); results are bools only
//! where CPython makes bools. Read `mod.rs` for inputs and outputs, `stack.rs` for how operands are given up.

use super::dunder;
use super::stack::{bool_ref, fail, finish, finish_over, finish_status, object, pop};
use cendre_cpython::StackRef;
use cendre_cpython::api::_PyEval_BinaryOps;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount::decref;
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_int;

type BinaryFunc = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

/// The function of a BINARY_OP.
#[inline(always)]
fn binary_func(oparg: u32) -> BinaryFunc {
    // SAFETY: the compiler emits only the operators that the table has (NB_ADD to NB_SUBSCR).
    unsafe { *(&raw const _PyEval_BinaryOps).cast::<BinaryFunc>().add(oparg as usize) }
}

/// The operation of a BINARY_OP: a new reference, or null with an exception set.
///
/// # Safety
/// Both operands are alive; `oparg` is one of NB_*; the GIL is held.
#[inline(always)]
pub(super) unsafe fn binary(ts: *mut ThreadState, lhs: *mut PyObject, rhs: *mut PyObject, oparg: u32) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { dunder::binary(ts, lhs, rhs, oparg).unwrap_or_else(|| binary_func(oparg)(lhs, rhs)) }
}

/// The comparison of a COMPARE_OP, without its truth: a new reference, or null with an exception set.
#[inline(always)]
unsafe fn rich_compare(ts: *mut ThreadState, left: *mut PyObject, right: *mut PyObject, op: c_int) -> *mut PyObject {
    // SAFETY: both operands are alive.
    unsafe { dunder::compare(ts, left, right, op).unwrap_or_else(|| ffi::PyObject_RichCompare(left, right, op)) }
}

/// `bool(o)`: 0, 1, or -1.
///
/// # Safety
/// `o` is alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn truth(o: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { dunder::is_true(o).unwrap_or_else(|| ffi::PyObject_IsTrue(o)) }
}

/// `value in container`: 0, 1, or -1.
///
/// # Safety
/// Both are alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn contains(container: *mut PyObject, value: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if ffi::Py_TYPE(container) == &raw mut ffi::PyDict_Type {
            return ffi::PyDict_Contains(container, value);
        }
        dunder::contains(container, value).unwrap_or_else(|| ffi::PySequence_Contains(container, value))
    }
}

/// `container[key] = value`: 0, or -1.
///
/// # Safety
/// All are alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn set_item(container: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if ffi::Py_TYPE(container) == &raw mut ffi::PyDict_Type {
            return ffi::PyDict_SetItem(container, key, value);
        }
        dunder::set_item(container, key, value).unwrap_or_else(|| ffi::PyObject_SetItem(container, key, value))
    }
}

/// BINARY_OP: `lhs <op> rhs`, also in place, also `lhs[rhs]`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_binary_op(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe {
        let res = binary(ts, object(fr, 0), object(fr, 1), oparg);
        if res.is_null() {
            return fail(fr);
        }
        finish_over(fr, StackRef::from_steal(res))
    }
}

/// UNARY_NEGATIVE: `-value`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_unary_negative(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish(fr, ffi::PyNumber_Negative(object(fr, 0))) }
}

/// UNARY_INVERT: `~value`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_unary_invert(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish(fr, ffi::PyNumber_Invert(object(fr, 0))) }
}

/// UNARY_NOT: of a bool (the compiler puts a TO_BOOL before it).
///
/// # Safety
/// The contract of stack ops; the input is a bool.
pub unsafe extern "C" fn op_unary_not(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input, immortal.
    unsafe {
        let value = pop(fr).as_ptr();
        super::stack::push(fr, bool_ref(value == ffi::Py_False()));
    }
    super::stack::OK
}

/// TO_BOOL: `bool(value)`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_to_bool(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let answer = truth(object(fr, 0));
        finish_bool(fr, answer, false)
    }
}

/// Gives up the inputs, then pushes a truth value (-1: an exception is set), inverted on demand.
#[inline(always)]
unsafe fn finish_bool(fr: *mut Frame, truth: c_int, invert: bool) -> i32 {
    // SAFETY: the callers' inputs are on the stack.
    unsafe {
        super::stack::drop_to(fr, 0);
        if truth < 0 {
            return super::stack::RAISED;
        }
        super::stack::push(fr, bool_ref((truth != 0) != invert));
    }
    super::stack::OK
}

/// `bool(res)` of a comparison's result, which is given up; null stays null (an exception is set).
unsafe fn as_bool(res: *mut PyObject) -> *mut PyObject {
    // SAFETY: res is owned or null.
    unsafe {
        if res.is_null() {
            return res;
        }
        let truth = ffi::PyObject_IsTrue(res);
        decref(res);
        match truth {
            0 => ffi::Py_False(),
            1 => ffi::Py_True(),
            _ => core::ptr::null_mut(),
        }
    }
}

/// The comparison of COMPARE_OP: bit 16 of the oparg asks for a bool. Owned (or immortal), or null.
///
/// # Safety
/// Both operands are alive; the GIL is held.
#[inline]
pub(super) unsafe fn compare(ts: *mut ThreadState, left: *mut PyObject, right: *mut PyObject, oparg: u32) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let res = rich_compare(ts, left, right, (oparg >> 5) as c_int);
        if oparg & 16 == 0 { res } else { as_bool(res) }
    }
}

/// COMPARE_OP: `left <op> right`, as a bool if the oparg has bit 16.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_compare_op(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs, given up before the result is asked for its truth.
    unsafe {
        let res = rich_compare(ts, object(fr, 0), object(fr, 1), (oparg >> 5) as c_int);
        super::stack::drop_to(fr, 0);
        finish(fr, if oparg & 16 == 0 { res } else { as_bool(res) })
    }
}

/// IS_OP: `left is right`, inverted by oparg 1.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_is_op(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe {
        let same = object(fr, 0) == object(fr, 1);
        finish_bool(fr, c_int::from(same), oparg != 0)
    }
}

/// CONTAINS_OP: `left in right`, inverted by oparg 1.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_contains_op(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe {
        let found = contains(object(fr, 1), object(fr, 0));
        finish_bool(fr, found, oparg != 0)
    }
}

/// Makes a slice of the two topmost entries, which only the slice keeps alive afterwards. Owned, or null.
unsafe fn slice_of_top(fr: *mut Frame) -> *mut PyObject {
    // SAFETY: the callers have start and stop on top.
    unsafe {
        let stop = pop(fr);
        let start = pop(fr);
        let slice = ffi::PySlice_New(start.as_ptr(), stop.as_ptr(), core::ptr::null_mut());
        start.close();
        stop.close();
        slice
    }
}

/// BINARY_SLICE: `container[start:stop]`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_binary_slice(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: inputs container, start, stop.
    unsafe {
        let slice = slice_of_top(fr);
        if slice.is_null() {
            return fail(fr);
        }
        let res = ffi::PyObject_GetItem(object(fr, 0), slice);
        decref(slice);
        finish(fr, res)
    }
}

/// STORE_SLICE: `container[start:stop] = value`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_store_slice(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: inputs value, container, start, stop.
    unsafe {
        let slice = slice_of_top(fr);
        let failed = slice.is_null() || {
            let err = ffi::PyObject_SetItem(object(fr, 1), slice, object(fr, 0));
            decref(slice);
            err != 0
        };
        finish_status(fr, failed)
    }
}

/// STORE_SUBSCR: `container[key] = value`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_store_subscr(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: inputs value, container, key.
    unsafe {
        let err = set_item(object(fr, 1), object(fr, 2), object(fr, 0));
        finish_status(fr, err != 0)
    }
}

/// DELETE_SUBSCR: `del container[key]`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_delete_subscr(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: inputs container, key.
    unsafe {
        let err = ffi::PyObject_DelItem(object(fr, 0), object(fr, 1));
        finish_status(fr, err != 0)
    }
}
