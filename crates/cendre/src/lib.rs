//! `cendre._cendre`: module initialisation and wiring, nothing else.
//!
//! Invariant: an interpreter whose layout is not the declared one is refused here, by an ImportError in a sentence, before
//! anything else of ours looks at it. Read docs/internals/runtime.md.

use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::{freelist, gc, layout};
use cendre_runtime::{api, gil, protocol};
use core::ffi::{c_int, c_void};
use core::ptr;
use std::ffi::CString;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

struct Definition(core::cell::UnsafeCell<ffi::PyModuleDef>);
// SAFETY: CPython writes the header with the GIL held, nobody else touches it.
unsafe impl Sync for Definition {}

struct Slots([ffi::PyModuleDef_Slot; 3]);
// SAFETY: constant data.
unsafe impl Sync for Slots {}

static SLOTS: Slots = Slots([
    ffi::PyModuleDef_Slot { slot: ffi::Py_mod_exec, value: exec as *mut c_void },
    // One set of records and hooks serves the process.
    ffi::PyModuleDef_Slot { slot: ffi::Py_mod_multiple_interpreters, value: ffi::Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED },
    ffi::PyModuleDef_Slot { slot: 0, value: ptr::null_mut() },
]);

static DEFINITION: Definition = Definition(core::cell::UnsafeCell::new(ffi::PyModuleDef {
    m_base: ffi::PyModuleDef_HEAD_INIT,
    m_name: c"_cendre".as_ptr(),
    m_doc: c"The native part of cendre. Private: use the package `cendre`.".as_ptr(),
    m_size: 0,
    m_methods: ptr::null_mut(),
    m_slots: (&raw const SLOTS.0).cast_mut().cast(),
    m_traverse: None,
    m_clear: None,
    m_free: None,
}));

fn import_error(text: &str) {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the GIL is held during an import.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_ImportError, text.as_ptr()) };
}

/// The initialisation function of the module.
///
/// # Safety
/// Called by CPython's import with the GIL held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__cendre() -> *mut PyObject {
    // An import in another interpreter comes here again, in the main one: what the check makes there is ours to compile by then.
    static CHECKED: AtomicBool = AtomicBool::new(false);
    let checked = CHECKED.load(Ordering::Relaxed);
    // SAFETY: called by import with the GIL held, before anything else of ours looks at the interpreter.
    match catch_unwind(|| if checked { Ok(()) } else { unsafe { layout::check() } }) {
        Ok(Ok(())) => {
            CHECKED.store(true, Ordering::Relaxed);
            // SAFETY: the GIL is held; the definition lives as long as the library.
            unsafe {
                let definition = DEFINITION.0.get();
                (*definition).m_methods = api::METHODS.table();
                ffi::PyModuleDef_Init(definition)
            }
        }
        Ok(Err(why)) => {
            import_error(&why);
            ptr::null_mut()
        }
        Err(_) => {
            import_error("cendre: internal error in the check of the interpreter's layout");
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn exec(module: *mut PyObject) -> c_int {
    // SAFETY: called by CPython's import with the new module, the GIL is held.
    let done = catch_unwind(|| unsafe {
        // CPython itself only refuses where an interpreter has been made to check extensions.
        if !gil::settle_in() {
            import_error("cendre works in the main interpreter only");
            return -1;
        }
        // Elsewhere than expected: numbers are made by CPython's functions.
        freelist::find();
        gc::find();
        let capsule = protocol::capsule();
        if capsule.is_null() {
            return -1;
        }
        let failed = ffi::PyModule_AddObjectRef(module, c"await_api".as_ptr(), capsule);
        ffi::Py_DECREF(capsule);
        if failed != 0 { failed } else { cendre_asyncio::api::add_to_module(module) }
    });
    match done {
        Ok(status) => status,
        Err(_) => {
            import_error("cendre: internal error at import");
            -1
        }
    }
}
