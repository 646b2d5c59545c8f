//! `PyFrameObject`: what `sys._getframe()` gives.
//!
//! Invariant: `f_frame` follows the activation wherever it moves; `_f_frame_data` holds it once the activation is over.
//! Read: `Include/internal/pycore_frame.h`.

use crate::ffi::{PyFrameObject, PyObject};
use crate::interpframe::Frame;
use crate::table::layout;
use core::ffi::{c_char, c_int};

layout! {
    /// `struct _frame`.
    pub struct FrameObject = "struct _frame" {
        /// Object header.
        pub ob_base: PyObject,
        /// Set only once the activation is over.
        pub f_back: *mut PyFrameObject,
        /// The activation.
        pub f_frame: *mut Frame,
        /// Trace function.
        pub f_trace: *mut PyObject,
        /// Line, if not 0.
        pub f_lineno: c_int,
        /// Line events wanted.
        pub f_trace_lines: c_char,
        /// Opcode events wanted.
        pub f_trace_opcodes: c_char,
        /// Extra locals, or NULL.
        pub f_extra_locals: *mut PyObject,
        /// Cache of `PyEval_GetLocals`.
        pub f_locals_cache: *mut PyObject,
        /// Locals that `f_locals` overwrote, kept alive for borrowed references.
        pub f_overwritten_fast_locals: *mut PyObject,
        /// The activation once it is over.
        pub _f_frame_data: [*mut PyObject; 1],
    }
}
