//! `layout::check` as an extension module, so that the tests can run it inside a real interpreter.
//!
//! Holds: `check()` (None, or the refusal as a str), `time_ns(n)` (nanoseconds of the fastest of n checks),
//! `offsets_with(word, delta)` (the comparison with one published word changed), `stackrefs(obj)` (references counted by
//! hand: the count of the object before and after each step). Read: `tests/in_python.rs`.

use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::runtime::{self, DebugOffsets};
use cendre_cpython::{Owned, StackRef, layout, refcount};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

fn answer(result: Result<(), String>) -> *mut PyObject {
    // SAFETY: called from functions of the module, with the GIL held.
    unsafe {
        match result {
            Ok(()) => ffi::Py_NewRef(ffi::Py_None()),
            Err(text) => ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as isize),
        }
    }
}

unsafe extern "C" fn check(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter, with the GIL held and no exception set.
    answer(unsafe { layout::check() })
}

unsafe extern "C" fn time_ns(_: *mut PyObject, arg: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `check`.
    unsafe {
        let n = ffi::PyLong_AsLong(arg);
        let best = (0..n.max(1))
            .map(|_| {
                let start = std::time::Instant::now();
                let result = layout::check();
                let time = start.elapsed();
                result.map(|()| time.as_nanos())
            })
            .min();
        match best {
            Some(Ok(ns)) => ffi::PyLong_FromLong(ns as i64),
            Some(Err(text)) => answer(Err(text)),
            None => answer(Ok(())),
        }
    }
}

unsafe extern "C" fn offsets_with(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    const WORDS: usize = size_of::<DebugOffsets>() / 8;
    // SAFETY: as for `check`; the table is an array of words.
    unsafe {
        let word = ffi::PyLong_AsLong(ffi::PyTuple_GetItem(args, 0));
        let delta = ffi::PyLong_AsLong(ffi::PyTuple_GetItem(args, 1));
        let Some(word) = usize::try_from(word).ok().filter(|w| *w < WORDS) else {
            ffi::PyErr_SetNone(ffi::PyExc_IndexError);
            return null_mut();
        };
        let mut words: [u64; WORDS] = runtime::debug_offsets().cast::<[u64; WORDS]>().read();
        let hex = (*runtime::debug_offsets()).version;
        words[word] = words[word].wrapping_add_signed(delta);
        answer(layout::check_offsets(&*words.as_ptr().cast(), hex))
    }
}

unsafe extern "C" fn stackrefs(_: *mut PyObject, arg: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `check`; every reference made is given up again.
    unsafe {
        let mut counts = vec![refcount::refcnt(arg)];
        let new = StackRef::from_new(arg);
        counts.push(refcount::refcnt(arg));
        let dup = new.dup();
        counts.push(refcount::refcnt(arg));
        let borrowed = StackRef::from_borrow(arg);
        let safe = borrowed.make_heap_safe();
        counts.push(refcount::refcnt(arg));
        borrowed.close();
        counts.push(refcount::refcnt(arg));
        safe.close();
        dup.close();
        let owned = Owned::from_new(new.into_owned_ptr());
        counts.push(refcount::refcnt(arg));
        drop(owned);
        counts.push(refcount::refcnt(arg));
        let list = ffi::PyList_New(0);
        for n in counts {
            let n = Owned::from_new(ffi::PyLong_FromLong(i64::from(n)));
            if list.is_null() || n.is_none_or(|n| ffi::PyList_Append(list, n.as_ptr()) < 0) {
                return null_mut();
            }
        }
        list
    }
}

const fn method(name: &'static core::ffi::CStr, meth: ffi::PyCFunction, flags: c_int) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: meth },
        ml_flags: flags,
        ml_doc: core::ptr::null(),
    }
}

/// Written by the interpreter only, under its import lock.
static mut METHODS: [ffi::PyMethodDef; 5] = [
    method(c"check", check, ffi::METH_NOARGS),
    method(c"time_ns", time_ns, ffi::METH_O),
    method(c"offsets_with", offsets_with, ffi::METH_VARARGS),
    method(c"stackrefs", stackrefs, ffi::METH_O),
    ffi::PyMethodDef::zeroed(),
];

/// Written by the interpreter only, under its import lock.
static mut MODULE: ffi::PyModuleDef = ffi::PyModuleDef {
    m_base: ffi::PyModuleDef_HEAD_INIT,
    m_name: c"selfcheck".as_ptr(),
    m_doc: core::ptr::null(),
    m_size: 0,
    m_methods: (&raw mut METHODS).cast(),
    m_slots: null_mut::<c_void>().cast(),
    m_traverse: None,
    m_clear: None,
    m_free: None,
};

/// Entry point of the module.
///
/// # Safety
/// Called by the import system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit_selfcheck() -> *mut PyObject {
    // SAFETY: called by the import system, with the GIL held.
    unsafe { ffi::PyModuleDef_Init(&raw mut MODULE) }
}
