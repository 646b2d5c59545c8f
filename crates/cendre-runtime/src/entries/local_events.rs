//! `sys.monitoring.set_local_events` made visible to code that runs.
//!
//! CPython instruments a code object in place when a tool asks for its local events, and leaves the version of
//! instrumentation as it was: machine code, which looks at that version alone, would run on past the events. So the
//! function behind `set_local_events` is ours, calls CPython's, and then moves the version on if the code object is compiled: all bodies that
//! run leave at their next check, and all entries look again at who watches.
//! Invariant: the version of the interpreter and of the current thread agree; other threads take it when they get the GIL.

use super::{executor, monitor};
use crate::gil::Gil;
use crate::record;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interp;
use cendre_cpython::methodobject::CFunctionObject;
use cendre_cpython::refcount;
use cendre_cpython::tstate::{ThreadState, eval_breaker};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

type Fast = unsafe extern "C" fn(*mut PyObject, *mut *mut PyObject, ffi::Py_ssize_t) -> *mut PyObject;

/// CPython's own function, once ours is in its place.
static ORIGINAL: Gil<Option<Fast>> = Gil::new(None);

/// Versions are counted by this in CPython, in 32 bits; it gives up at the end of them, we stop long before.
const VERSION_STEP: usize = 1 << 8;
const LAST_VERSION: usize = 0xf000_0000;

/// The definition of `sys.monitoring.set_local_events`, or null where it is not the function that we know.
unsafe fn definition() -> *mut ffi::PyMethodDef {
    // SAFETY: the GIL is held; the definition of a builtin function is static.
    unsafe {
        let module = ffi::PySys_GetObject(c"monitoring".as_ptr());
        if module.is_null() {
            return ptr::null_mut();
        }
        let function = ffi::PyObject_GetAttrString(module, c"set_local_events".as_ptr());
        if function.is_null() {
            ffi::PyErr_Clear();
            return ptr::null_mut();
        }
        let mut def = ptr::null_mut();
        if refcount::type_of(function) == &raw mut ffi::PyCFunction_Type {
            def = (*function.cast::<CFunctionObject>()).m_ml;
        }
        refcount::decref(function);
        if def.is_null() || (*def).ml_flags != ffi::METH_FASTCALL { ptr::null_mut() } else { def }
    }
}

/// Puts our function in the place of CPython's.
///
/// # Safety
/// The GIL is held.
pub unsafe fn enable() {
    // SAFETY: the flags of the definition say what its function takes; `.data` of CPython is writable.
    unsafe {
        let original = ORIGINAL.get();
        let def = definition();
        if original.is_none() && !def.is_null() {
            *original = Some((*def).ml_meth.PyCFunctionFast);
            (*def).ml_meth.PyCFunctionFast = set_local_events;
        }
    }
}

/// Puts CPython's function back, unless somebody has put another there since (which goes on calling ours: it forwards).
///
/// # Safety
/// The GIL is held.
pub unsafe fn disable() {
    // SAFETY: as in `enable`.
    unsafe {
        let (original, def) = (ORIGINAL.get(), definition());
        if let Some(function) = *original
            && !def.is_null()
            && ptr::fn_addr_eq((*def).ml_meth.PyCFunctionFast, set_local_events as Fast)
        {
            (*def).ml_meth.PyCFunctionFast = function;
            *original = None;
        }
    }
}

unsafe extern "C" fn set_local_events(module: *mut PyObject, args: *mut *mut PyObject, n: ffi::Py_ssize_t) -> *mut PyObject {
    // SAFETY: called by CPython as the function of `set_local_events`, with `n` borrowed arguments.
    unsafe {
        let Some(original) = *ORIGINAL.get() else {
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"set_local_events is gone".as_ptr());
            return ptr::null_mut();
        };
        let result = original(module, args, n);
        // It has checked its arguments: a tool's number, a code object, events.
        if !result.is_null() && n == 3 && !monitor::is_ours(*args) {
            let code: *mut CodeObject = (*args.add(1)).cast();
            let record = record::find(code);
            // Code that was given up may still be on a stack.
            if !record.is_null() && (!(*record).body.is_null() || !(*record).old.is_empty()) {
                move_version_on();
            }
            executor::restore_trigger(record);
        }
        result
    }
}

/// All code is looked at again before it runs on.
unsafe fn move_version_on() {
    // SAFETY: the GIL is held; only event bits of the word are set by others, without it.
    unsafe {
        let ts = ThreadState::current();
        let version: *mut usize = interp::field(ffi::PyInterpreterState_Get(), interp::INSTRUMENTATION_VERSION);
        let word = AtomicUsize::from_ptr(&raw mut (*ts).eval_breaker);
        if *version >= LAST_VERSION || word.load(Ordering::Relaxed) & !eval_breaker::EVENTS_MASK != *version {
            return;
        }
        *version += VERSION_STEP;
        word.fetch_add(VERSION_STEP, Ordering::Relaxed);
    }
}
