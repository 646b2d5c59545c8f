//! `_PyRuntime` and the table of offsets at its start.
//!
//! Invariant: [`DebugOffsets`] may be read only after its cookie and version were looked at (`layout::check` does);
//! nothing here is read before. Read: `Include/internal/pycore_debug_offsets.h`.

use crate::table::{FieldLayout, StructLayout, layout};
use core::ffi::c_void;

unsafe extern "C" {
    /// The runtime's state; opaque but for its first bytes.
    static _PyRuntime: [u8; 0];
}

/// What a `DebugOffsets` starts with.
pub const COOKIE: [u8; 8] = *b"xdebugpy";

layout! {
    /// `_Py_DebugOffsets`: offsets that CPython publishes for debuggers. One word each; names as in C, nested by `_`.
    #[derive(Debug, Clone, Copy)]
    #[allow(missing_docs, reason = "each field is the offset of the C field that its name says")]
    pub struct DebugOffsets = "_Py_DebugOffsets" {
        pub cookie: [u8; 8],
        pub version: u64,
        pub free_threaded: u64,
        pub runtime_state_size = "runtime_state.size": u64,
        pub runtime_state_finalizing = "runtime_state.finalizing": u64,
        pub runtime_state_interpreters_head = "runtime_state.interpreters_head": u64,
        pub interpreter_state_size = "interpreter_state.size": u64,
        pub interpreter_state_id = "interpreter_state.id": u64,
        pub interpreter_state_next = "interpreter_state.next": u64,
        pub interpreter_state_threads_head = "interpreter_state.threads_head": u64,
        pub interpreter_state_threads_main = "interpreter_state.threads_main": u64,
        pub interpreter_state_gc = "interpreter_state.gc": u64,
        pub interpreter_state_imports_modules = "interpreter_state.imports_modules": u64,
        pub interpreter_state_sysdict = "interpreter_state.sysdict": u64,
        pub interpreter_state_builtins = "interpreter_state.builtins": u64,
        pub interpreter_state_ceval_gil = "interpreter_state.ceval_gil": u64,
        pub interpreter_state_gil_runtime_state = "interpreter_state.gil_runtime_state": u64,
        pub interpreter_state_gil_runtime_state_enabled = "interpreter_state.gil_runtime_state_enabled": u64,
        pub interpreter_state_gil_runtime_state_locked = "interpreter_state.gil_runtime_state_locked": u64,
        pub interpreter_state_gil_runtime_state_holder = "interpreter_state.gil_runtime_state_holder": u64,
        pub interpreter_state_code_object_generation = "interpreter_state.code_object_generation": u64,
        pub interpreter_state_tlbc_generation = "interpreter_state.tlbc_generation": u64,
        pub thread_state_size = "thread_state.size": u64,
        pub thread_state_prev = "thread_state.prev": u64,
        pub thread_state_next = "thread_state.next": u64,
        pub thread_state_interp = "thread_state.interp": u64,
        pub thread_state_current_frame = "thread_state.current_frame": u64,
        pub thread_state_thread_id = "thread_state.thread_id": u64,
        pub thread_state_native_thread_id = "thread_state.native_thread_id": u64,
        pub thread_state_datastack_chunk = "thread_state.datastack_chunk": u64,
        pub thread_state_status = "thread_state.status": u64,
        pub interpreter_frame_size = "interpreter_frame.size": u64,
        pub interpreter_frame_previous = "interpreter_frame.previous": u64,
        pub interpreter_frame_executable = "interpreter_frame.executable": u64,
        pub interpreter_frame_instr_ptr = "interpreter_frame.instr_ptr": u64,
        pub interpreter_frame_localsplus = "interpreter_frame.localsplus": u64,
        pub interpreter_frame_owner = "interpreter_frame.owner": u64,
        pub interpreter_frame_stackpointer = "interpreter_frame.stackpointer": u64,
        pub interpreter_frame_tlbc_index = "interpreter_frame.tlbc_index": u64,
        pub code_object_size = "code_object.size": u64,
        pub code_object_filename = "code_object.filename": u64,
        pub code_object_name = "code_object.name": u64,
        pub code_object_qualname = "code_object.qualname": u64,
        pub code_object_linetable = "code_object.linetable": u64,
        pub code_object_firstlineno = "code_object.firstlineno": u64,
        pub code_object_argcount = "code_object.argcount": u64,
        pub code_object_localsplusnames = "code_object.localsplusnames": u64,
        pub code_object_localspluskinds = "code_object.localspluskinds": u64,
        pub code_object_co_code_adaptive = "code_object.co_code_adaptive": u64,
        pub code_object_co_tlbc = "code_object.co_tlbc": u64,
        pub pyobject_size = "pyobject.size": u64,
        pub pyobject_ob_type = "pyobject.ob_type": u64,
        pub type_object_size = "type_object.size": u64,
        pub type_object_tp_name = "type_object.tp_name": u64,
        pub type_object_tp_repr = "type_object.tp_repr": u64,
        pub type_object_tp_flags = "type_object.tp_flags": u64,
        pub tuple_object_size = "tuple_object.size": u64,
        pub tuple_object_ob_item = "tuple_object.ob_item": u64,
        pub tuple_object_ob_size = "tuple_object.ob_size": u64,
        pub list_object_size = "list_object.size": u64,
        pub list_object_ob_item = "list_object.ob_item": u64,
        pub list_object_ob_size = "list_object.ob_size": u64,
        pub set_object_size = "set_object.size": u64,
        pub set_object_used = "set_object.used": u64,
        pub set_object_table = "set_object.table": u64,
        pub set_object_mask = "set_object.mask": u64,
        pub dict_object_size = "dict_object.size": u64,
        pub dict_object_ma_keys = "dict_object.ma_keys": u64,
        pub dict_object_ma_values = "dict_object.ma_values": u64,
        pub float_object_size = "float_object.size": u64,
        pub float_object_ob_fval = "float_object.ob_fval": u64,
        pub long_object_size = "long_object.size": u64,
        pub long_object_lv_tag = "long_object.lv_tag": u64,
        pub long_object_ob_digit = "long_object.ob_digit": u64,
        pub bytes_object_size = "bytes_object.size": u64,
        pub bytes_object_ob_size = "bytes_object.ob_size": u64,
        pub bytes_object_ob_sval = "bytes_object.ob_sval": u64,
        pub unicode_object_size = "unicode_object.size": u64,
        pub unicode_object_state = "unicode_object.state": u64,
        pub unicode_object_length = "unicode_object.length": u64,
        pub unicode_object_asciiobject_size = "unicode_object.asciiobject_size": u64,
        pub gc_size = "gc.size": u64,
        pub gc_collecting = "gc.collecting": u64,
        pub gen_object_size = "gen_object.size": u64,
        pub gen_object_gi_name = "gen_object.gi_name": u64,
        pub gen_object_gi_iframe = "gen_object.gi_iframe": u64,
        pub gen_object_gi_frame_state = "gen_object.gi_frame_state": u64,
        pub llist_node_next = "llist_node.next": u64,
        pub llist_node_prev = "llist_node.prev": u64,
        pub debugger_support_eval_breaker = "debugger_support.eval_breaker": u64,
        pub debugger_support_remote_debugger_support = "debugger_support.remote_debugger_support": u64,
        pub debugger_support_remote_debugging_enabled = "debugger_support.remote_debugging_enabled": u64,
        pub debugger_support_debugger_pending_call = "debugger_support.debugger_pending_call": u64,
        pub debugger_support_debugger_script_path = "debugger_support.debugger_script_path": u64,
        pub debugger_support_debugger_script_path_size = "debugger_support.debugger_script_path_size": u64,
    }
}

/// `ref_tracer.tracer_func`: who is told of objects that are made and that die. Not published; `freelist::find` looks whether it is there.
pub const REF_TRACER: usize = 10_528;

/// The part of `_PyRuntimeState` that is used beyond its beginning.
pub const LAYOUT: StructLayout = StructLayout {
    c: "_PyRuntimeState",
    size: 316_616,
    fields: &[FieldLayout { c: "ref_tracer.tracer_func", offset: REF_TRACER, size: 8 }],
};

/// Address of `_PyRuntime`.
#[inline]
pub fn address() -> *const c_void {
    // Only the address is taken; the symbol exists in every 3.14.
    (&raw const _PyRuntime).cast()
}

/// The published offsets, at the start of `_PyRuntime`.
#[inline]
pub fn debug_offsets() -> *const DebugOffsets {
    address().cast()
}
