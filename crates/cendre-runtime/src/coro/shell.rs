//! Shells: coroutine objects kept ready per code object, so that an awaited call needs no allocation.
//!
//! Invariants: on the shelf a shell is CLEARED, untracked, unreferenced by others, without weak references and `cr_origin`,
//! and borrows its code object. Handed out it owns the code object and stays untracked until it suspends, leaves, or turns
//! out to be kept by somebody (deallocation untracks unconditionally, so no reference of ours is dropped before tracking).
//! Of its frame machine code (`lower/awaits.rs`) relies on: no `f_locals`, `frame_obj` or handled exception, owner GENERATOR,
//! nothing to return over, `stackpointer` unimportant, slots own nothing, `previous` = the next shell.
//! Read docs/internals/awaits.md, "Shells".

use super::data::CoroData;
use crate::record::CodeRecord;
use cendre_cpython::api;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::gc;
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::frame_owner;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;

/// Shells that a code object keeps: as many as recursion is deep by default, and half a megabyte at most.
const MOST: usize = 1024;

/// A shell for a call of this function; null without memory (no exception is set).
///
/// # Safety
/// `f` is a live function whose code is that of the record and makes generators or coroutines; the GIL is held.
#[inline(always)]
pub unsafe fn take(record: *mut CodeRecord, f: *mut FunctionObject) -> *mut GenObject {
    // SAFETY: the caller's contract.
    unsafe {
        let shell = match pop(&mut (*record).coro) {
            Some(shell) => {
                // Both are the function's, which another closure over the same code may have changed.
                set(&raw mut (*shell).gi_name, (*f).func_name);
                set(&raw mut (*shell).gi_qualname, (*f).func_qualname);
                shell
            }
            None => {
                let shell = make(record, f);
                if shell.is_null() {
                    return shell;
                }
                shell
            }
        };
        (*shell).gi_iframe.f_executable = StackRef::from_new((*record).code.cast());
        shell
    }
}

#[cold]
unsafe fn make(record: *mut CodeRecord, f: *mut FunctionObject) -> *mut GenObject {
    // SAFETY: as in `take`.
    unsafe {
        let made: *mut GenObject = api::_Py_MakeCoro(f).cast();
        if made.is_null() {
            ffi::PyErr_Clear();
            return made;
        }
        ffi::PyObject_GC_UnTrack(made.cast());
        gc::gone();
        if refcount::type_of(made.cast()) == &raw mut ffi::PyGen_Type {
            // Only coroutines have an origin, but machine code looks at the word of any shell.
            (*made).gi_origin_or_finalizer = core::ptr::null_mut();
        }
        (*record).coro.stats.shells_made += 1;
        (*record).coro.made = (*record).coro.made.saturating_add(1);
        made
    }
}

#[inline(always)]
unsafe fn set(slot: *mut *mut PyObject, value: *mut PyObject) {
    // SAFETY: a name is an exact or derived str; dropping the old one last leaves the slot right whatever that runs.
    unsafe {
        let old = *slot;
        if old != value {
            *slot = refcount::new_ref(value);
            refcount::xdecref(old);
        }
    }
}

/// Whether nobody but us can ever find this object again.
#[inline(always)]
unsafe fn reusable(g: *mut GenObject) -> bool {
    // SAFETY: a live generator or coroutine.
    unsafe {
        refcount::refcnt(g.cast()) == 1
            && (*g).gi_weakreflist.is_null()
            // Only coroutines have an origin: in a generator nobody ever writes the field.
            && (refcount::type_of(g.cast()) == &raw mut ffi::PyGen_Type || (*g).gi_origin_or_finalizer.is_null())
            && (*g).gi_frame_state == frame_state::FRAME_CLEARED
    }
}

/// Consumes a reference to an object that has finished: on the shelf, or dropped.
///
/// # Safety
/// `g` is a generator or coroutine of the record's code, which is alive; the GIL is held. May run Python code, and the record
/// may be gone afterwards.
#[inline(always)]
pub unsafe fn give_back(record: *mut CodeRecord, g: *mut GenObject) {
    // SAFETY: the caller's contract.
    unsafe {
        // Never more than calls have asked for at a time: an object that CPython made for calls that never ask would only lie here.
        if reusable(g) && (*record).coro.shelved < (*record).coro.made.min(MOST) {
            if gc::is_tracked(g.cast()) {
                ffi::PyObject_GC_UnTrack(g.cast());
                gc::gone();
            }
            let code = (*g).gi_iframe.f_executable;
            let fr = &raw mut (*g).gi_iframe;
            (*fr).f_executable = code.borrow();
            // A frame that moved into its frame object leaves copies behind.
            (*fr).f_locals = core::ptr::null_mut();
            (*fr).frame_obj = core::ptr::null_mut();
            (*fr).return_offset = 0;
            (*fr).owner = frame_owner::GENERATOR;
            (*fr).visited = 0;
            (*fr).previous = (*record).coro.shelf.cast();
            (*record).coro.shelf = g;
            (*record).coro.shelved += 1;
            // Last: this may be the code object's end, and the record's.
            code.close();
            return;
        }
        lose(record, g);
    }
}

#[cold]
unsafe fn lose(record: *mut CodeRecord, g: *mut GenObject) {
    // SAFETY: as in `give_back`.
    unsafe {
        (*record).coro.stats.shells_lost += 1;
        drop_object(g);
    }
}

/// Gives up our reference to an object that may be untracked.
///
/// # Safety
/// An owned reference; the GIL is held. May run Python code.
pub unsafe fn drop_object(g: *mut GenObject) {
    // SAFETY: the caller's contract; a complete object may be tracked.
    unsafe {
        if !gc::is_tracked(g.cast()) {
            gc::made();
            ffi::PyObject_GC_Track(g.cast());
        }
        refcount::decref(g.cast());
    }
}

/// Takes the first shell.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn pop(coro: &mut CoroData) -> Option<*mut GenObject> {
    let g = coro.shelf;
    if g.is_null() {
        return None;
    }
    // SAFETY: a shell on the shelf: its frame's `previous` is the next one, for us alone.
    unsafe {
        coro.shelf = (*g).gi_iframe.previous.cast();
        (*g).gi_iframe.previous = core::ptr::null_mut();
    }
    coro.shelved -= 1;
    Some(g)
}

/// Frees a shell from the shelf.
///
/// # Safety
/// It is on no shelf any more; its code object still stands; the GIL is held.
pub(super) unsafe fn free(g: *mut GenObject) {
    // SAFETY: a cleared generator that borrows its code: only its names go, which are strings.
    unsafe { drop_object(g) }
}

/// Frees all shells of a record.
///
/// # Safety
/// The record is alive; the GIL is held.
pub unsafe fn drop_all(record: *mut CodeRecord) {
    // SAFETY: the caller's contract. The code object is kept until the last of them is gone.
    unsafe {
        let code: *mut CodeObject = (*record).code;
        if code.is_null() {
            return;
        }
        refcount::incref(code.cast());
        while let Some(g) = pop(&mut (*record).coro) {
            free(g);
        }
        refcount::decref(code.cast());
    }
}
