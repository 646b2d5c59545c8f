//! Fills the frame of a shell: arguments, defaults, cells and free variables, as a call and the code before RESUME would.
//!
//! Invariant: on failure the slots own nothing. Arguments and the function are borrowed from the caller, who keeps them during the call, but
//! for the arguments that it gives away; whatever the function itself could let go (its defaults) is owned. `../binding.rs` says how
//! arguments fit.

use super::data::Start;
use crate::binding::{self, Args};
use cendre_cpython::code::{CodeObject, CodeUnit};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tupleobject::TupleObject;
use core::ptr;

/// How binding went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bind {
    /// The frame is complete; arguments in the masks are its own.
    Done,
    /// These arguments do not fit: make the ordinary call, nothing has happened.
    Refused,
    /// There is no memory, an exception is set; arguments in the masks are gone.
    Raised,
}

/// Makes the frame complete, standing at the first RESUME.
///
/// # Safety
/// `g` is a shell for `f`, whose code `start` describes; arguments that are in no mask outlive the call; the GIL is held.
pub unsafe fn bind(g: *mut GenObject, f: *mut FunctionObject, start: &Start, args: &Args) -> Bind {
    // SAFETY: the caller's contract.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        let first = CodeObject::units(code).add(start.unit as usize);
        let fr = &raw mut (*g).gi_iframe;
        let locals = Frame::locals(fr);
        if start.simple && args.n == start.argcount as usize && args.keywords == 0 {
            fill(g, f, first, args.positional, args.n);
            if args.owned == 0 {
                return Bind::Done;
            }
            for i in (0..args.n).filter(|i| args.owned >> i & 1 != 0) {
                *locals.add(i) = StackRef::from_steal(*args.positional.add(i));
            }
            return Bind::Done;
        }
        let Some(plan) = binding::plan(f, code, args) else { return Bind::Refused };
        let closure: *mut TupleObject = (*f).func_closure.cast();
        if start.free > 0 && (closure.is_null() || ((*closure).ob_base.ob_size as usize) < start.free as usize) {
            return Bind::Refused;
        }
        fill(g, f, first, args.positional, 0);
        if binding::fill(f, code, locals, args, &plan) && make_cells(f, code, start, locals) {
            return Bind::Done;
        }
        for i in 0..(*code).co_nlocalsplus as usize {
            (*locals.add(i)).close();
        }
        (*fr).stackpointer = locals;
        Bind::Raised
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

/// What MAKE_CELL and COPY_FREE_VARS do. False: no memory, an exception is set.
unsafe fn make_cells(f: *mut FunctionObject, code: *mut CodeObject, start: &Start, locals: *mut StackRef) -> bool {
    // SAFETY: as in `bind`; a function has as many cells in its closure as its code has free variables.
    unsafe {
        for &slot in &start.cells {
            let slot = locals.add(slot as usize);
            let initial = if (*slot).is_null() { ptr::null_mut() } else { (*slot).as_ptr() };
            let cell = ffi::PyCell_New(initial);
            if cell.is_null() {
                return false;
            }
            let old = *slot;
            *slot = StackRef::from_steal(cell);
            old.close();
        }
        let free = start.free as usize;
        let closure: *mut TupleObject = (*f).func_closure.cast();
        let first = (*code).co_nlocalsplus as usize - free;
        for i in 0..free {
            let cell = *TupleObject::items(closure).add(i);
            *locals.add(first + i) = StackRef::from_steal(refcount::new_ref(cell));
        }
        true
    }
}
