//! Names: globals, class and module namespaces, cells, imports, attributes.
//!
//! Invariant: a look-up asks the same mappings in the same order as CPython and words the same NameError; a value that
//! is overwritten is given up only after the new one stands. Read `mod.rs` for inputs and outputs.

use super::stack::{OK, RAISED, drop_to, fail, finish, finish_peek, finish_status, interned, name, none_ref, object, pop, push, slot_name};
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::cell::CellObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interp;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount::{decref, new_ref, xdecref};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::tupleobject::TupleObject;
use core::ffi::{CStr, c_int};

/// `NAME_ERROR_MSG`.
const NAME_ERROR: &CStr = c"name '%.200s' is not defined";
/// `UNBOUNDLOCAL_ERROR_MSG`.
const UNBOUND_LOCAL_ERROR: &CStr = c"cannot access local variable '%s' where it is not associated with a value";

/// NameError for a name of the code.
#[cold]
unsafe fn name_error(ts: *mut ThreadState, name: *mut PyObject) {
    // SAFETY: name is alive.
    unsafe { api::_PyEval_FormatExcCheckArg(ts, ffi::PyExc_NameError, NAME_ERROR.as_ptr(), name) }
}

/// UnboundLocalError for a slot (LOAD_FAST_CHECK, DELETE_FAST).
///
/// # Safety
/// `slot` indexes the frame's slots; the GIL is held.
#[cold]
pub(super) unsafe fn unbound_slot(ts: *mut ThreadState, fr: *mut Frame, slot: u32) {
    // SAFETY: the caller's contract.
    unsafe {
        api::_PyEval_FormatExcCheckArg(ts, ffi::PyExc_UnboundLocalError, UNBOUND_LOCAL_ERROR.as_ptr(), slot_name(fr, slot));
    }
}

/// Pushes a new reference; null means that an exception is set.
unsafe fn push_new(fr: *mut Frame, res: *mut PyObject) -> i32 {
    // SAFETY: no inputs are on the stack; res is owned or null.
    unsafe {
        if res.is_null() {
            return fail(fr);
        }
        push(fr, StackRef::from_steal(res));
    }
    OK
}

/// LOAD_GLOBAL: name `oparg >> 1`, then NULL if oparg has bit 1.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_global(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs; CPython words the error itself.
    unsafe {
        let mut res = StackRef::NULL;
        api::_PyEval_LoadGlobalStackRef((*fr).f_globals, (*fr).f_builtins, name(fr, oparg >> 1), &mut res);
        if res.is_null() {
            return fail(fr);
        }
        push(fr, res);
        if oparg & 1 != 0 {
            push(fr, StackRef::NULL);
        }
    }
    OK
}

/// STORE_GLOBAL.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_store_global(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let err = ffi::PyDict_SetItem((*fr).f_globals, name(fr, oparg), object(fr, 0));
        finish_status(fr, err != 0)
    }
}

/// DELETE_GLOBAL.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_delete_global(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs.
    unsafe {
        let key = name(fr, oparg);
        match ffi::PyDict_Pop((*fr).f_globals, key, core::ptr::null_mut()) {
            1 => return OK,
            0 => name_error(ts, key),
            _ => (),
        }
        fail(fr)
    }
}

/// LOAD_NAME: locals, globals, builtins.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_name(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs; CPython words the error itself.
    unsafe { push_new(fr, api::_PyEval_LoadName(ts, fr, name(fr, oparg))) }
}

/// STORE_NAME: into the frame's locals mapping.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_store_name(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let (ns, key, value) = ((*fr).f_locals, name(fr, oparg), object(fr, 0));
        if ns.is_null() {
            ffi::PyErr_Format(ffi::PyExc_SystemError, c"no locals found when storing %R".as_ptr(), key);
            return fail(fr);
        }
        let err = if ffi::PyDict_CheckExact(ns) != 0 { ffi::PyDict_SetItem(ns, key, value) } else { ffi::PyObject_SetItem(ns, key, value) };
        finish_status(fr, err != 0)
    }
}

/// DELETE_NAME.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_delete_name(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs. Any failure becomes a NameError, as in CPython.
    unsafe {
        let (ns, key) = ((*fr).f_locals, name(fr, oparg));
        if ns.is_null() {
            ffi::PyErr_Format(ffi::PyExc_SystemError, c"no locals when deleting %R".as_ptr(), key);
            return fail(fr);
        }
        if ffi::PyObject_DelItem(ns, key) != 0 {
            name_error(ts, key);
            return fail(fr);
        }
    }
    OK
}

/// LOAD_LOCALS: the frame's locals mapping.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_locals(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: no inputs.
    unsafe {
        let ns = (*fr).f_locals;
        if ns.is_null() {
            api::_PyErr_SetString(ts, ffi::PyExc_SystemError, c"no locals found".as_ptr());
            return fail(fr);
        }
        push(fr, StackRef::from_new(ns));
    }
    OK
}

/// LOAD_FROM_DICT_OR_GLOBALS: a class's mapping, then globals, then builtins.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_from_dict_or_globals(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input, given up after the first look-up.
    unsafe {
        let key = name(fr, oparg);
        let mut res = core::ptr::null_mut();
        let err = ffi::PyMapping_GetOptionalItem(object(fr, 0), key, &mut res);
        drop_to(fr, 0);
        if err < 0 {
            return RAISED;
        }
        if res.is_null() {
            let (globals, builtins) = ((*fr).f_globals, (*fr).f_builtins);
            if ffi::PyDict_CheckExact(globals) != 0 && ffi::PyDict_CheckExact(builtins) != 0 {
                res = api::_PyDict_LoadGlobal(globals.cast(), builtins.cast(), key);
                if res.is_null() && !ffi::PyErr_Occurred().is_null() {
                    return RAISED;
                }
            } else if ffi::PyMapping_GetOptionalItem(globals, key, &mut res) < 0
                || (res.is_null() && ffi::PyMapping_GetOptionalItem(builtins, key, &mut res) < 0)
            {
                return RAISED;
            }
            if res.is_null() {
                name_error(ts, key);
                return RAISED;
            }
        }
        push(fr, StackRef::from_steal(res));
    }
    OK
}

/// The cell in a slot.
unsafe fn cell(fr: *mut Frame, slot: u32) -> *mut CellObject {
    // SAFETY: behind MAKE_CELL and COPY_FREE_VARS the slot holds a cell.
    unsafe { (*Frame::locals(fr).add(slot as usize)).as_ptr().cast() }
}

/// The value in a cell, owned; null with NameError or UnboundLocalError set.
unsafe fn load_cell(ts: *mut ThreadState, fr: *mut Frame, slot: u32) -> *mut PyObject {
    // SAFETY: the slot holds a cell.
    unsafe {
        let value = (*cell(fr, slot)).ob_ref;
        if value.is_null() {
            api::_PyEval_FormatExcUnbound(ts, (*fr).code(), slot as c_int);
            return value;
        }
        new_ref(value)
    }
}

/// LOAD_FROM_DICT_OR_DEREF: a class's mapping, then the cell in slot `oparg`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_from_dict_or_deref(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let mut res = core::ptr::null_mut();
        if ffi::PyMapping_GetOptionalItem(object(fr, 0), slot_name(fr, oparg), &mut res) < 0 {
            return fail(fr);
        }
        if res.is_null() {
            res = load_cell(ts, fr, oparg);
        }
        finish(fr, res)
    }
}

/// LOAD_DEREF: the value of the cell in slot `oparg`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_deref(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs.
    unsafe { push_new(fr, load_cell(ts, fr, oparg)) }
}

/// STORE_DEREF: into the cell in slot `oparg`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_store_deref(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let value = pop(fr).into_owned_ptr();
        let old = core::mem::replace(&mut (*cell(fr, oparg)).ob_ref, value);
        xdecref(old);
    }
    OK
}

/// DELETE_DEREF: empties the cell in slot `oparg`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_delete_deref(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs.
    unsafe {
        let old = core::mem::replace(&mut (*cell(fr, oparg)).ob_ref, core::ptr::null_mut());
        if old.is_null() {
            api::_PyEval_FormatExcUnbound(ts, (*fr).code(), oparg as c_int);
            return fail(fr);
        }
        decref(old);
    }
    OK
}

/// MAKE_CELL: slot `oparg` becomes a cell of what it held (an argument, or nothing).
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_make_cell(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs; the cell makes a reference of its own, then the slot's is given up.
    unsafe {
        let slot = Frame::locals(fr).add(oparg as usize);
        let made = ffi::PyCell_New((*slot).as_ptr());
        if made.is_null() {
            return fail(fr);
        }
        let old = *slot;
        *slot = StackRef::from_steal(made);
        old.close();
    }
    OK
}

/// COPY_FREE_VARS: the function's `oparg` closure cells into the last slots.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_copy_free_vars(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs; the closure has as many cells as the code has free variables, whose slots are unset at entry.
    unsafe {
        let n = oparg as usize;
        let cells = TupleObject::items((*(*fr).func()).func_closure.cast());
        let first = Frame::locals(fr).add((*(*fr).code()).co_nlocalsplus as usize - n);
        for i in 0..n {
            *first.add(i) = StackRef::from_new(*cells.add(i));
        }
    }
    OK
}

/// SETUP_ANNOTATIONS: makes `__annotations__` in the frame's locals mapping unless it is there.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_setup_annotations(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: no inputs, no outputs.
    unsafe {
        let ns = (*fr).f_locals;
        if ns.is_null() {
            api::_PyErr_SetString(ts, ffi::PyExc_SystemError, c"no locals found when setting up annotations".as_ptr());
            return fail(fr);
        }
        let key = interned(c"__annotations__");
        if key.is_null() {
            return fail(fr);
        }
        let mut dict = core::ptr::null_mut();
        let mut err = ffi::PyMapping_GetOptionalItem(ns, key, &mut dict);
        if err == 0 {
            dict = ffi::PyDict_New();
            err = if dict.is_null() { -1 } else { ffi::PyObject_SetItem(ns, key, dict) };
        }
        xdecref(dict);
        decref(key);
        if err < 0 { fail(fr) } else { OK }
    }
}

/// LOAD_COMMON_CONSTANT: AssertionError, NotImplementedError, tuple, all, any.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_common_constant(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: no inputs; the compiler emits only constants that the table has.
    unsafe {
        let consts = interp::common_consts((*ts).interp).cast::<*mut PyObject>();
        push(fr, StackRef::from_new(*consts.add(oparg as usize)));
    }
    OK
}

/// IMPORT_NAME: level, from-list.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_import_name(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe { finish(fr, api::_PyEval_ImportName(ts, fr, name(fr, oparg), object(fr, 1), object(fr, 0))) }
}

/// IMPORT_FROM: the module stays, its attribute is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_import_from(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { finish_peek(fr, api::_PyEval_ImportFrom(ts, object(fr, 0), name(fr, oparg))) }
}

/// LOAD_ATTR: name `oparg >> 1`; with bit 1 for CALL: the attribute and NULL, or an unbound method and the owner.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_attr(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let attr_name = name(fr, oparg >> 1);
        if oparg & 1 == 0 {
            return finish(fr, ffi::PyObject_GetAttr(object(fr, 0), attr_name));
        }
        let mut attr = core::ptr::null_mut();
        let unbound = api::_PyObject_GetMethod(object(fr, 0), attr_name, &mut attr) != 0;
        let mut owner = pop(fr);
        if !unbound {
            owner.close();
            owner = StackRef::NULL;
            if attr.is_null() {
                return RAISED;
            }
        }
        push(fr, StackRef::from_steal(attr));
        push(fr, owner);
    }
    OK
}

/// STORE_ATTR: value, owner.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_store_attr(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe {
        let err = ffi::PyObject_SetAttr(object(fr, 1), name(fr, oparg), object(fr, 0));
        finish_status(fr, err != 0)
    }
}

/// DELETE_ATTR: owner.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_delete_attr(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input. Setting to null is CPython's spelling of deletion.
    unsafe {
        let err = ffi::PyObject_SetAttr(object(fr, 0), name(fr, oparg), core::ptr::null_mut());
        finish_status(fr, err != 0)
    }
}

/// LOAD_SPECIAL: `__enter__` and the like (by oparg), looked up on the class: method and self, or bound method and NULL.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_special(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input, two outputs.
    unsafe {
        let this = pop(fr);
        push(fr, StackRef::NULL);
        push(fr, this);
        let row = (&raw const api::_Py_SpecialMethods).cast::<api::SpecialMethod>().add(oparg as usize);
        let found = api::_PyObject_LookupSpecialMethod((*row).name, Frame::stack_base(fr));
        if found > 0 {
            return OK;
        }
        if found == 0 {
            let owner = object(fr, 1);
            let format =
                if api::_PyEval_SpecialMethodCanSuggest(owner, oparg as c_int) != 0 { (*row).error_suggestion } else { (*row).error };
            ffi::PyErr_Format(ffi::PyExc_TypeError, format, owner);
        }
        fail(fr)
    }
}

/// GET_LEN: the object stays, its length is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_get_len(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe {
        let n = ffi::PyObject_Size(object(fr, 0));
        if n < 0 {
            return fail(fr);
        }
        finish_peek(fr, ffi::PyLong_FromSsize_t(n))
    }
}

/// MATCH_MAPPING: the subject stays, a bool is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_match_mapping(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { match_flag(fr, 1 << 6) }
}

/// MATCH_SEQUENCE: the subject stays, a bool is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_match_sequence(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input.
    unsafe { match_flag(fr, 1 << 5) }
}

/// Does the subject's class carry `Py_TPFLAGS_MAPPING` (1 << 6), `Py_TPFLAGS_SEQUENCE` (1 << 5)?
unsafe fn match_flag(fr: *mut Frame, flag: core::ffi::c_ulong) -> i32 {
    // SAFETY: one input.
    unsafe {
        let has = ffi::PyType_HasFeature(ffi::Py_TYPE(object(fr, 0)), flag) != 0;
        push(fr, super::stack::bool_ref(has));
    }
    OK
}

/// MATCH_KEYS: subject and keys stay, a tuple of values or None is pushed.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_match_keys(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: two inputs.
    unsafe { finish_peek(fr, api::_PyEval_MatchKeys(ts, object(fr, 0), object(fr, 1))) }
}

/// MATCH_CLASS: subject, class, keyword names; a tuple of attributes (`oparg` positional ones), or None.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_match_class(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: three inputs.
    unsafe {
        let attrs = api::_PyEval_MatchClass(ts, object(fr, 0), object(fr, 1), oparg as ffi::Py_ssize_t, object(fr, 2));
        let no_match = attrs.is_null() && ffi::PyErr_Occurred().is_null();
        drop_to(fr, 0);
        if no_match {
            push(fr, none_ref());
            return OK;
        }
        if attrs.is_null() {
            return RAISED;
        }
        push(fr, StackRef::from_steal(attrs));
    }
    OK
}
