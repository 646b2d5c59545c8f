//! `PyFunctionObject`.
//!
//! Invariant: `func_version` is 0 (never asked for), 1 (cleared for good) or a version that stands for code, defaults and
//! vectorcall. Read: `Include/cpython/funcobject.h`; why a changed `vectorcall` costs is in the facts on hooks.

use crate::ffi::{self, PyObject};
use crate::table::layout;

layout! {
    /// `PyFunctionObject`.
    pub struct FunctionObject = "PyFunctionObject" {
        /// Object header.
        pub ob_base: PyObject,
        /// `__globals__`.
        pub func_globals: *mut PyObject,
        /// `__builtins__`.
        pub func_builtins: *mut PyObject,
        /// `__name__`.
        pub func_name: *mut PyObject,
        /// `__qualname__`.
        pub func_qualname: *mut PyObject,
        /// `__code__`.
        pub func_code: *mut PyObject,
        /// NULL or a tuple.
        pub func_defaults: *mut PyObject,
        /// NULL or a dict.
        pub func_kwdefaults: *mut PyObject,
        /// NULL or a tuple of cells.
        pub func_closure: *mut PyObject,
        /// `__doc__`.
        pub func_doc: *mut PyObject,
        /// NULL or a dict.
        pub func_dict: *mut PyObject,
        /// Weak references.
        pub func_weakreflist: *mut PyObject,
        /// `__module__`.
        pub func_module: *mut PyObject,
        /// `__annotations__`.
        pub func_annotations: *mut PyObject,
        /// `__annotate__`.
        pub func_annotate: *mut PyObject,
        /// `__type_params__`.
        pub func_typeparams: *mut PyObject,
        /// How it is called.
        pub vectorcall: Option<ffi::vectorcallfunc>,
        /// The version that the specialiser checks.
        pub func_version: u32,
    }
}

/// A version that will never be valid again (`FUNC_VERSION_CLEARED`).
pub const FUNC_VERSION_CLEARED: u32 = 1;
/// Versions below this are special (`FUNC_VERSION_FIRST_VALID`).
pub const FUNC_VERSION_FIRST_VALID: u32 = 2;
