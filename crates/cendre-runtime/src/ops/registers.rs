//! Register helpers: generic operations on values that live in machine registers.
//!
//! Invariant: every operand is *borrowed*: the machine code gives up what it owns behind the call (but `list_append` takes
//! the value over); a result is a new reference, null (or -1, or tag 2) with an exception set. `instr_ptr` and locals are current, the eval stack is empty.
//! Read docs/internals/contracts.md; `mod.rs` for the stack ops, which share the code.

use super::dunder;
use super::names::unbound_slot;
use super::operators::{self, binary, compare};
use super::stack::{drop_to, type_name};
use crate::body::BodyResult;
use cendre_cpython::api;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::freelist;
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::listobject::ListObject;
use cendre_cpython::refcount::{decref, new_ref, type_of};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::typeobject::{HeapTypeObject, tp_flags};
use core::ptr;

/// Tag of [`for_iter`]: an item.
pub const ITEM: u64 = 0;
/// Tag of [`for_iter`]: no more items.
pub const EXHAUSTED: u64 = 1;
/// Tag of pairs: an exception is set.
pub const ERROR: u64 = 2;

/// LIST_APPEND: 0, or -1. The one helper that takes its operand over: `value` is an owned reference.
///
/// # Safety
/// `list` is a list, `value` owned; the GIL is held.
pub unsafe extern "C" fn list_append(list: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract. A list being sorted has `allocated` -1, so that it is never written to here.
    unsafe {
        let l: *mut ListObject = list.cast();
        let n = (*l).ob_base.ob_size;
        if n < (*l).allocated {
            *(*l).ob_item.add(n as usize) = value;
            (*l).ob_base.ob_size = n + 1;
            return 0;
        }
        api::_PyList_AppendTakeRefListResize(l, value)
    }
}

/// SET_ADD: 0, or -1.
///
/// A comprehension's set is one; the `__conditional_annotations__` of a module or class can be bound to anything by the program.
///
/// # Safety
/// `set` and `value` are alive; the GIL is held.
pub unsafe extern "C" fn set_add(set: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        if type_of(set) != &raw mut ffi::PySet_Type {
            ffi::PyErr_Format(ffi::PyExc_TypeError, c"'%T' object is not a set".as_ptr(), set);
            return -1;
        }
        ffi::PySet_Add(set, value)
    }
}

/// MAP_ADD: 0, or -1.
///
/// # Safety
/// `dict` is a dict, key and value are alive; the GIL is held.
pub unsafe extern "C" fn map_add(dict: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract; the function takes over the references made here.
    unsafe { api::_PyDict_SetItem_Take2(dict.cast(), new_ref(key), new_ref(value)) }
}

/// LIST_EXTEND (`[*iterable]`, `f(*iterable)`): 0, or -1.
///
/// # Safety
/// `list` is a list, `iterable` alive; the GIL is held.
pub unsafe extern "C" fn list_extend(ts: *mut ThreadState, list: *mut PyObject, iterable: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract. The answer is None, which is immortal.
    unsafe {
        if !api::_PyList_Extend(list.cast(), iterable).is_null() {
            return 0;
        }
        if api::_PyErr_ExceptionMatches(ts, ffi::PyExc_TypeError) != 0
            && (*ffi::Py_TYPE(iterable)).tp_iter.is_none()
            && ffi::PySequence_Check(iterable) == 0
        {
            api::_PyErr_Clear(ts);
            let text = c"Value after * must be an iterable, not %.200s";
            ffi::PyErr_Format(ffi::PyExc_TypeError, text.as_ptr(), type_name(iterable));
        }
    }
    -1
}

/// SET_UPDATE (`{*iterable}`): 0, or -1.
///
/// # Safety
/// `set` is a set, `iterable` alive; the GIL is held.
pub unsafe extern "C" fn set_update(_ts: *mut ThreadState, set: *mut PyObject, iterable: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { api::_PySet_Update(set, iterable) }
}

/// DICT_UPDATE (`{**other}`): 0, or -1.
///
/// # Safety
/// `dict` is a dict, `other` alive; the GIL is held.
pub unsafe extern "C" fn dict_update(ts: *mut ThreadState, dict: *mut PyObject, other: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        if ffi::PyDict_Update(dict, other) >= 0 {
            return 0;
        }
        if api::_PyErr_ExceptionMatches(ts, ffi::PyExc_AttributeError) != 0 {
            ffi::PyErr_Format(ffi::PyExc_TypeError, c"'%.200s' object is not a mapping".as_ptr(), type_name(other));
        }
    }
    -1
}

/// DICT_MERGE (`f(**other)`; the callable is for the message): 0, or -1.
///
/// # Safety
/// `dict` is a dict, the others are alive; the GIL is held.
pub unsafe extern "C" fn dict_merge(ts: *mut ThreadState, dict: *mut PyObject, other: *mut PyObject, callable: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        // 2: a key that is there already is an error.
        if api::_PyDict_MergeEx(dict, other, 2) >= 0 {
            return 0;
        }
        api::_PyEval_FormatKwargsError(ts, callable, other);
    }
    -1
}

/// The keywords of `f(*a, **other)`: (0, a new dict) or, where it would be empty, (0, null); (2, _) for an exception.
///
/// # Safety
/// Live objects; the GIL is held; `instr_ptr` is the DICT_MERGE.
pub unsafe extern "C" fn spread_map(ts: *mut ThreadState, callable: *mut PyObject, other: *mut PyObject) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        let exact = ffi::PyDict_CheckExact(other) != 0;
        if exact && ffi::PyDict_Size(other) == 0 {
            return BodyResult::new(0, 0);
        }
        let dict = if exact { ffi::PyDict_Copy(other) } else { ffi::PyDict_New() };
        if dict.is_null() || !exact && dict_merge(ts, dict, other, callable) < 0 {
            ffi::Py_XDECREF(dict);
            return BodyResult::new(2, 0);
        }
        BodyResult::new(0, dict as u64)
    }
}

/// FOR_ITER: ([`ITEM`], item), ([`EXHAUSTED`], 0) or ([`ERROR`], 0).
///
/// # Safety
/// `iter` is an iterator; the GIL is held; `instr_ptr` is the FOR_ITER.
pub unsafe extern "C" fn for_iter(ts: *mut ThreadState, fr: *mut Frame, iter: *mut PyObject) -> BodyResult {
    // SAFETY: the caller's contract. A class that lost its __next__ meanwhile has CPython's own slot that says so.
    unsafe {
        let Some(next) = (*ffi::Py_TYPE(iter)).tp_iternext else {
            ffi::PyErr_Format(ffi::PyExc_TypeError, c"'%.100s' object is not an iterator".as_ptr(), type_name(iter));
            return BodyResult::new(ERROR, 0);
        };
        let item = dunder::next(ts, iter).unwrap_or_else(|| next(iter));
        if !item.is_null() {
            return BodyResult::new(ITEM, item as u64);
        }
        if !(*ts).current_exception.is_null() {
            if api::_PyErr_ExceptionMatches(ts, ffi::PyExc_StopIteration) == 0 {
                return BodyResult::new(ERROR, 0);
            }
            // Tools hear of the exception that ends the loop (a no-op without tools).
            api::_PyEval_MonitorRaise(ts, fr, (*fr).instr_ptr);
            api::_PyErr_Clear(ts);
        }
        BodyResult::new(EXHAUSTED, 0)
    }
}

/// BINARY_OP: a new reference, or null.
///
/// # Safety
/// The operands are alive; `oparg` is one of NB_*; the GIL is held.
pub unsafe extern "C" fn binary_op(ts: *mut ThreadState, lhs: *mut PyObject, rhs: *mut PyObject, oparg: u32) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { binary(ts, lhs, rhs, oparg) }
}

/// COMPARE_OP with its oparg (bit 16: as a bool): a new reference, or null.
///
/// # Safety
/// The operands are alive; the GIL is held.
pub unsafe extern "C" fn compare_op(ts: *mut ThreadState, left: *mut PyObject, right: *mut PyObject, oparg: u32) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { compare(ts, left, right, oparg) }
}

/// TO_BOOL: 0, 1, or -1.
///
/// # Safety
/// `o` is alive; the GIL is held.
pub unsafe extern "C" fn is_true(o: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { operators::truth(o) }
}

/// CONTAINS_OP, `value in container`: 0, 1, or -1.
///
/// # Safety
/// Both are alive; the GIL is held.
pub unsafe extern "C" fn contains(container: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { operators::contains(container, value) }
}

/// LOAD_ATTR: a new reference, or null.
///
/// # Safety
/// Both are alive, `name` is a str; the GIL is held.
pub unsafe extern "C" fn get_attr(o: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { ffi::PyObject_GetAttr(o, name) }
}

/// STORE_ATTR, `o.name = value`: 0, or -1.
///
/// # Safety
/// All are alive, `name` is a str; the GIL is held.
pub unsafe extern "C" fn store_attr(o: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { ffi::PyObject_SetAttr(o, name, value) }
}

/// `container[key]`: a new reference, or null.
///
/// # Safety
/// Both are alive; the GIL is held.
pub unsafe extern "C" fn subscr(container: *mut PyObject, key: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract. A class's cached `__getitem__` is a plain function, forgotten when the class changes.
    unsafe {
        let class = ffi::Py_TYPE(container);
        if class == &raw mut ffi::PyDict_Type {
            let mut value = ptr::null_mut();
            if ffi::PyDict_GetItemRef(container, key, &raw mut value) == 0 {
                api::_PyErr_SetKeyError(key);
            }
            return value;
        }
        if (*class).tp_flags & tp_flags::HEAPTYPE != 0 {
            let cached = &(*class.cast::<HeapTypeObject>())._spec_cache;
            let f: *mut FunctionObject = cached.getitem.cast();
            if !f.is_null() && (*f).func_version == cached.getitem_version {
                let args = [container, key];
                let held = new_ref(f.cast());
                let ts: *mut ThreadState = ffi::PyThreadState_GetUnchecked().cast();
                let value = super::vector::call_vector(ts, held, args.as_ptr(), 2);
                ffi::Py_DECREF(held);
                return value;
            }
        }
        ffi::PyObject_GetItem(container, key)
    }
}

/// STORE_SUBSCR, `container[key] = value`: 0, or -1.
///
/// # Safety
/// All are alive; the GIL is held.
pub unsafe extern "C" fn store_subscr(container: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { operators::set_item(container, key, value) }
}

/// LOAD_FAST_CHECK and DELETE_FAST of an unbound slot: sets UnboundLocalError.
///
/// # Safety
/// `slot` is one of the frame's; the GIL is held.
pub unsafe extern "C" fn unbound_local_error(ts: *mut ThreadState, fr: *mut Frame, slot: u32) {
    // SAFETY: the caller's contract.
    unsafe { unbound_slot(ts, fr, slot) }
}

/// Gives up all that lies on the frame's eval stack, the topmost first.
///
/// # Safety
/// The stack is in memory; the GIL is held.
pub unsafe extern "C" fn drop_stack(fr: *mut Frame) {
    // SAFETY: the caller's contract.
    unsafe { drop_to(fr, 0) }
}

/// `_Py_Dealloc`: the count has fallen to 0.
///
/// # Safety
/// Nobody refers to `o` any more; the GIL is held.
pub unsafe extern "C" fn dealloc(o: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe {
        if !freelist::free_number(o) {
            api::_Py_Dealloc(o);
        }
    }
}

/// The same in the middle of a frame some of whose numbers machine code holds unboxed: 1 if one of the numbers in its slots is another object
/// now, or may be.
///
/// Only through the frame's object can they be written, but that says little: who has caught an exception in a frame has given it one for good.
///
/// # Safety
/// As for [`dealloc`]; `fr` is the running frame, all its locals in memory.
pub unsafe extern "C" fn dealloc_watching(_ts: *mut ThreadState, fr: *mut Frame, o: *mut PyObject) -> i32 {
    const MOST: usize = 32;
    // SAFETY: the caller's contract; a frame that runs keeps its code object. The numbers are held, so that no other object can take their places.
    unsafe {
        let n = (*(*fr).code()).co_nlocalsplus as usize;
        if (*fr).frame_obj.is_null() || n > MOST {
            api::_Py_Dealloc(o);
            return i32::from(!(*fr).frame_obj.is_null());
        }
        let locals = Frame::locals(fr);
        let mut held = [ptr::null_mut(); MOST];
        for (i, held) in held.iter_mut().enumerate().take(n) {
            let slot = *locals.add(i);
            if !slot.is_null() && is_number(slot.as_ptr()) {
                *held = new_ref(slot.as_ptr());
            }
        }
        api::_Py_Dealloc(o);
        let mut written = 0;
        for (i, held) in held.into_iter().enumerate().take(n).filter(|(_, o)| !o.is_null()) {
            written |= i32::from((*locals.add(i)).as_ptr() != held);
            decref(held);
        }
        written
    }
}

/// An exact int, float or bool.
unsafe fn is_number(o: *mut PyObject) -> bool {
    // SAFETY: a live object.
    let class = unsafe { type_of(o) };
    class == &raw mut ffi::PyLong_Type || class == &raw mut ffi::PyFloat_Type || class == &raw mut ffi::PyBool_Type
}
