//! Fills the frame of a shell: arguments, defaults, cells and free variables, as a call and the code before RESUME would.
//!
//! Invariant: on failure nothing has happened that anybody could see, and the slots own nothing. Arguments and the function
//! are borrowed from the caller, who keeps them during the call; whatever the function itself could let go (its defaults)
//! is owned.

use super::data::Start;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, CodeUnit, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tupleobject::TupleObject;
use core::ptr;

/// Makes the frame complete, standing at the first RESUME. False: these arguments do not fit, or there is no memory (no
/// exception is set): make the ordinary call.
///
/// # Safety
/// `g` is a shell for `f`, whose code `start` describes; `args` are `n` live objects that outlive the call; the GIL is held.
pub unsafe fn bind(g: *mut GenObject, f: *mut FunctionObject, start: &Start, args: *const *mut PyObject, n: usize) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        let first = CodeObject::units(code).add(start.unit as usize);
        let argcount = start.argcount as usize;
        fill(g, f, first, args, n.min(argcount));
        if start.simple && n == argcount {
            return true;
        }
        let fr = &raw mut (*g).gi_iframe;
        let locals = Frame::locals(fr);
        if bind_rest(f, code, start, locals, args, n) {
            return true;
        }
        for i in 0..(*code).co_nlocalsplus as usize {
            (*locals.add(i)).close();
        }
        (*fr).stackpointer = locals;
        false
    }
}

/// Makes the frame complete, standing at `first`, with its first `n` slots filled and the others unbound.
///
/// # Safety
/// As for [`bind`]; `n` is at most the number of slots.
#[inline(always)]
pub unsafe fn fill(g: *mut GenObject, f: *mut FunctionObject, first: *mut CodeUnit, args: *const *mut PyObject, n: usize) {
    // SAFETY: the caller's contract; a generator is allocated with room for all slots of its code.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        let code: *mut CodeObject = (*f).func_code.cast();
        (*fr).f_funcobj = StackRef::from_borrow(f.cast());
        (*fr).f_globals = (*f).func_globals;
        (*fr).f_builtins = (*f).func_builtins;
        (*fr).f_locals = ptr::null_mut();
        (*fr).frame_obj = ptr::null_mut();
        (*fr).instr_ptr = first;
        (*fr).return_offset = 0;
        (*fr).owner = frame_owner::GENERATOR;
        (*fr).visited = 0;
        let mut slot = Frame::locals(fr);
        let end = slot.add((*code).co_nlocalsplus as usize);
        (*fr).stackpointer = end;
        let mut arg = args;
        let given = slot.add(n);
        while slot < given {
            *slot = StackRef::from_borrow(*arg);
            (slot, arg) = (slot.add(1), arg.add(1));
        }
        while slot < end {
            *slot = StackRef::NULL;
            slot = slot.add(1);
        }
    }
}

/// Defaults, `*args`, `**kwargs`, cells, free variables.
unsafe fn bind_rest(
    f: *mut FunctionObject,
    code: *mut CodeObject,
    start: &Start,
    locals: *mut StackRef,
    args: *const *mut PyObject,
    n: usize,
) -> bool {
    // SAFETY: as in `bind`.
    unsafe {
        let (argcount, flags) = (start.argcount as usize, (*code).co_flags);
        let kwonly = (*code).co_kwonlyargcount as usize;
        let mut next = argcount + kwonly;
        if n > argcount && flags & co_flags::VARARGS == 0 {
            return false;
        }
        if n < argcount && !fill_defaults(f, locals, n, argcount) {
            return false;
        }
        if kwonly > 0 && !fill_keyword_defaults(f, code, locals, argcount, kwonly) {
            return false;
        }
        if flags & co_flags::VARARGS != 0 {
            let surplus = n.saturating_sub(argcount);
            let rest = api::_PyTuple_FromArray(args.add(n - surplus), surplus as ffi::Py_ssize_t);
            if !put(locals.add(next), rest) {
                return false;
            }
            next += 1;
        }
        if flags & co_flags::VARKEYWORDS != 0 && !put(locals.add(next), ffi::PyDict_New()) {
            return false;
        }
        make_cells(f, code, start, locals)
    }
}

/// Stores a new reference; false for null.
unsafe fn put(slot: *mut StackRef, made: *mut PyObject) -> bool {
    // SAFETY: an empty slot of the frame; `made` is null (exception set) or owned.
    unsafe {
        if made.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        *slot = StackRef::from_steal(made);
        true
    }
}

unsafe fn fill_defaults(f: *mut FunctionObject, locals: *mut StackRef, n: usize, argcount: usize) -> bool {
    // SAFETY: `func_defaults` is null or a tuple; the references made are owned since `__defaults__` may be replaced.
    unsafe {
        let defaults: *mut TupleObject = (*f).func_defaults.cast();
        if defaults.is_null() {
            return false;
        }
        let count = (*defaults).ob_base.ob_size as usize;
        if count < argcount - n {
            return false;
        }
        // More defaults than arguments can be: `__defaults__` is not checked when it is set.
        for i in n..argcount {
            let Some(k) = (i + count).checked_sub(argcount) else { return false };
            *locals.add(i) = StackRef::from_new(*TupleObject::items(defaults).add(k));
        }
        true
    }
}

unsafe fn fill_keyword_defaults(
    f: *mut FunctionObject,
    code: *mut CodeObject,
    locals: *mut StackRef,
    argcount: usize,
    kwonly: usize,
) -> bool {
    // SAFETY: `func_kwdefaults` is null or a dict; the names of the slots are a tuple of strings.
    unsafe {
        if (*f).func_kwdefaults.is_null() {
            return false;
        }
        for i in argcount..argcount + kwonly {
            let name = *TupleObject::items((*code).co_localsplusnames.cast()).add(i);
            let mut value = ptr::null_mut();
            let found = ffi::PyDict_GetItemRef((*f).func_kwdefaults, name, &mut value);
            if found <= 0 {
                ffi::PyErr_Clear();
                return false;
            }
            *locals.add(i) = StackRef::from_steal(value);
        }
        true
    }
}

/// What MAKE_CELL and COPY_FREE_VARS do.
unsafe fn make_cells(f: *mut FunctionObject, code: *mut CodeObject, start: &Start, locals: *mut StackRef) -> bool {
    // SAFETY: as in `bind`; a function has as many cells in its closure as its code has free variables.
    unsafe {
        for &slot in &start.cells {
            let slot = locals.add(slot as usize);
            let initial = if (*slot).is_null() { ptr::null_mut() } else { (*slot).as_ptr() };
            let cell = ffi::PyCell_New(initial);
            if cell.is_null() {
                ffi::PyErr_Clear();
                return false;
            }
            let old = *slot;
            *slot = StackRef::from_steal(cell);
            old.close();
        }
        let free = start.free as usize;
        if free == 0 {
            return true;
        }
        let closure: *mut TupleObject = (*f).func_closure.cast();
        if closure.is_null() || ((*closure).ob_base.ob_size as usize) < free {
            return false;
        }
        let first = (*code).co_nlocalsplus as usize - free;
        for i in 0..free {
            let cell = *TupleObject::items(closure).add(i);
            *locals.add(first + i) = StackRef::from_steal(refcount::new_ref(cell));
        }
        true
    }
}
