//! `PyInterpreterState`: only the fields that cendre uses, by offset.
//!
//! The struct is huge (225 KB) and mostly other people's, so it is not declared; its offsets are constants that the probe
//! compares with the headers, and that `layout::check` compares with the interpreter at import (size and several fields by
//! `_Py_DebugOffsets`, the rest by looking at what is there).
//! Invariant: an offset is used only through the functions and constants here. Read: `pycore_interp_structs.h`.

use crate::ffi::{self, PyObject};
use crate::monitoring::GlobalMonitors;
use crate::table::{FieldLayout, StructLayout};
use core::ffi::c_void;

/// An interpreter's state.
pub type InterpreterState = ffi::PyInterpreterState;

/// `sizeof(PyInterpreterState)`.
pub const SIZE: usize = 225_864;

macro_rules! fields {
    ($($(#[$m:meta])* $name:ident = $c:literal : $size:literal @ $offset:literal;)*) => {
        $($(#[$m])* pub const $name: usize = $offset;)*
        /// The offsets below, as a layout table.
        pub const LAYOUT: StructLayout = StructLayout {
            c: "struct _is",
            size: SIZE,
            fields: &[$(FieldLayout { c: $c, offset: $offset, size: $size }),*],
        };
    };
}

fields! {
    /// Version of instrumentation of the interpreter.
    INSTRUMENTATION_VERSION = "ceval.instrumentation_version": 8 @ 0;
    /// The next interpreter.
    NEXT = "next": 8 @ 7272;
    /// Its id.
    ID = "id": 8 @ 7280;
    /// The newest thread state.
    THREADS_HEAD = "threads.head": 8 @ 7344;
    /// The main thread's state.
    THREADS_MAIN = "threads.main": 8 @ 7360;
    /// The collector's state.
    GC = "gc": 264 @ 7408;
    /// Whether automatic collection is on.
    GC_ENABLED = "gc.enabled": 4 @ 7420;
    /// The three generations.
    GC_GENERATIONS = "gc.generations": 72 @ 7432;
    /// Objects alive.
    GC_HEAP_SIZE = "gc.heap_size": 8 @ 7624;
    /// The youngest generation's list.
    GC_GENERATION0 = "gc.generation0": 8 @ 7664;
    /// Dict of `sys`.
    SYSDICT = "sysdict": 8 @ 7672;
    /// Dict of `builtins`.
    BUILTINS = "builtins": 8 @ 7680;
    /// Frame evaluator, NULL for the default.
    EVAL_FRAME = "eval_frame": 8 @ 8520;
    /// Free lists of floats: head, then count.
    FREELIST_FLOATS = "object_state.freelists.floats": 16 @ 11120;
    /// Free list of ints: head, then count.
    FREELIST_INTS = "object_state.freelists.ints": 16 @ 11136;
    /// `isinstance`, as the specialiser compares it.
    CALLABLE_ISINSTANCE = "callable_cache.isinstance": 8 @ 223112;
    /// `len`, as the specialiser compares it.
    CALLABLE_LEN = "callable_cache.len": 8 @ 223120;
    /// `list.append`, as the specialiser compares it.
    CALLABLE_LIST_APPEND = "callable_cache.list_append": 8 @ 223128;
    /// `object.__getattribute__`.
    CALLABLE_OBJECT_GETATTRIBUTE = "callable_cache.object__getattribute__": 8 @ 223136;
    /// Operands of LOAD_COMMON_CONSTANT.
    COMMON_CONSTS = "common_consts": 40 @ 223144;
    /// Whether CPython's own JIT is on.
    JIT = "jit": 1 @ 223184;
    /// The executors that can be invalidated.
    EXECUTOR_LIST_HEAD = "executor_list_head": 8 @ 223192;
    /// Tools per event for all code.
    MONITORS = "monitors": 16 @ 223240;
    /// Names of the tools in use.
    MONITORING_TOOL_NAMES = "monitoring_tool_names": 64 @ 224496;
    /// The main thread state, inside the struct.
    INITIAL_THREAD = "_initial_thread": 936 @ 224928;
}

/// Pointer to a field by its offset.
///
/// # Safety
/// `offset` is one of the constants of this module and `T` the field's type; `interp` is alive.
#[inline(always)]
pub unsafe fn field<T>(interp: *mut InterpreterState, offset: usize) -> *mut T {
    // SAFETY: the caller's contract.
    unsafe { interp.byte_add(offset).cast() }
}

/// Whether CPython's own JIT is on: a byte that may also be written.
///
/// # Safety
/// `interp` is alive.
#[inline(always)]
pub unsafe fn jit(interp: *mut InterpreterState) -> *mut u8 {
    // SAFETY: the caller's contract.
    unsafe { field(interp, JIT) }
}

/// Global monitoring: tools per event.
///
/// # Safety
/// `interp` is alive.
#[inline(always)]
pub unsafe fn monitors(interp: *mut InterpreterState) -> *mut GlobalMonitors {
    // SAFETY: the caller's contract.
    unsafe { field(interp, MONITORS) }
}

/// The five objects that LOAD_COMMON_CONSTANT loads, borrowed.
///
/// # Safety
/// `interp` is alive.
#[inline(always)]
pub unsafe fn common_consts(interp: *mut InterpreterState) -> *mut [*mut PyObject; 5] {
    // SAFETY: the caller's contract.
    unsafe { field(interp, COMMON_CONSTS) }
}

/// The frame evaluator that somebody installed, or NULL.
///
/// # Safety
/// `interp` is alive.
#[inline(always)]
pub unsafe fn eval_frame(interp: *mut InterpreterState) -> *mut c_void {
    // SAFETY: the caller's contract.
    unsafe { *field(interp, EVAL_FRAME) }
}
