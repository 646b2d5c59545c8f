//! Declarations of public CPython functions that pyo3-ffi lacks.
//!
//! Invariant: each is exported by every supported 3.14 (checked at load time: the dynamic linker refuses otherwise).

use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject, vectorcallfunc};
use cendre_cpython::funcobject::FunctionObject;
use core::ffi::{c_char, c_int, c_void};

/// `PyFunction_WatchCallback`.
pub type FunctionWatch = unsafe extern "C" fn(event: c_int, func: *mut FunctionObject, value: *mut PyObject) -> c_int;
/// `PyFunction_EVENT_CREATE`.
pub const FUNCTION_CREATE: c_int = 0;
/// `PyFunction_EVENT_DESTROY`.
pub const FUNCTION_DESTROY: c_int = 1;
/// `PyFunction_EVENT_MODIFY_CODE`.
pub const FUNCTION_MODIFY_CODE: c_int = 2;
/// `PyFunction_EVENT_MODIFY_DEFAULTS`.
pub const FUNCTION_MODIFY_DEFAULTS: c_int = 3;
/// `PyFunction_EVENT_MODIFY_KWDEFAULTS`.
pub const FUNCTION_MODIFY_KWDEFAULTS: c_int = 4;
/// `Py_AuditHookFunction`.
pub type AuditHook = unsafe extern "C" fn(event: *const c_char, args: *mut PyObject, data: *mut c_void) -> c_int;
/// `PyCode_WatchCallback`.
pub type CodeWatch = unsafe extern "C" fn(event: c_int, code: *mut CodeObject) -> c_int;
/// `PY_CODE_EVENT_CREATE`.
pub const CODE_CREATE: c_int = 0;
/// `PY_CODE_EVENT_DESTROY`.
pub const CODE_DESTROY: c_int = 1;

unsafe extern "C" {
    pub fn PyFunction_AddWatcher(callback: FunctionWatch) -> c_int;
    pub fn PyFunction_ClearWatcher(id: c_int) -> c_int;
    pub fn PySys_AddAuditHook(hook: AuditHook, data: *mut c_void) -> c_int;
    pub fn PyCode_AddWatcher(callback: CodeWatch) -> c_int;
    pub fn PyFunction_SetVectorcall(func: *mut FunctionObject, vectorcall: vectorcallfunc);
}

unsafe extern "C" {
    pub static mut PyMethod_Type: PyTypeObject;
}

/// A copy of the content of a `bytes` object.
///
/// # Safety
/// `o` is a bytes object.
pub unsafe fn bytes_of(o: *mut PyObject) -> Vec<u8> {
    // SAFETY: the buffer has as many bytes as PyBytes_Size says.
    unsafe {
        let data = ffi::PyBytes_AsString(o).cast::<u8>();
        core::slice::from_raw_parts(data, ffi::PyBytes_Size(o) as usize).to_vec()
    }
}
