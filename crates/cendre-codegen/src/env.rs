//! What code generation asks of the runtime: addresses of helpers by name, offsets of CPython's structs, facts about callees.
//!
//! Invariant: all addresses that end up in machine code come through here.

use crate::{Code, ExitTable};
use cendre_ir::ObjId;

/// Byte offsets of the fields that machine code touches (filled from `cendre-cpython`'s declarations).
#[derive(Clone, Copy, Debug, Default)]
pub struct Offsets {
    // ThreadState
    pub ts_eval_breaker: i32,
    pub ts_py_recursion_remaining: i32,
    pub ts_current_frame: i32,
    pub ts_exc_info: i32,
    pub ts_datastack_top: i32,
    pub ts_datastack_limit: i32,
    pub ts_c_stack_soft_limit: i32,
    pub ts_c_stack_top: i32,
    pub ts_coroutine_origin_tracking_depth: i32,
    // Frame
    pub fr_executable: i32,
    pub fr_previous: i32,
    pub fr_funcobj: i32,
    pub fr_globals: i32,
    pub fr_builtins: i32,
    pub fr_locals: i32,
    pub fr_frame_obj: i32,
    pub fr_instr_ptr: i32,
    pub fr_stackpointer: i32,
    /// return_offset (u16), owner (u8), visited (u8): one 32-bit word
    pub fr_return_offset: i32,
    pub fr_localsplus: i32,
    // objects
    pub ob_refcnt: i32,
    pub ob_type: i32,
    pub ob_size: i32,
    pub tp_version_tag: i32,
    pub tp_dictoffset: i32,
    pub tp_basicsize: i32,
    pub ht_cached_keys: i32,
    // PyLongObject
    pub long_tag: i32,
    pub long_digits: i32,
    pub float_value: i32,
    // containers
    pub list_items: i32,
    pub tuple_items: i32,
    pub dict_used: i32,
    pub dict_keys: i32,
    pub dict_values: i32,
    pub keys_version: i32,
    pub keys_log2_index_bytes: i32,
    pub keys_indices: i32,
    pub unicode_entry_size: i32,
    pub unicode_entry_value: i32,
    pub values_valid: i32,
    pub str_length: i32,
    pub module_dict: i32,
    pub cell_contents: i32,
    /// of the items of `ts_exc_info`
    pub exc_value: i32,
    // functions
    pub func_code: i32,
    pub func_globals: i32,
    pub func_builtins: i32,
    pub func_vectorcall: i32,
    pub func_closure: i32,
    pub func_defaults: i32,
    pub func_name: i32,
    pub func_qualname: i32,
    // iterators
    pub range_start: i32,
    pub range_step: i32,
    pub range_len: i32,
    pub listiter_index: i32,
    pub listiter_seq: i32,
    pub tupleiter_index: i32,
    pub tupleiter_seq: i32,
    // generators
    pub gen_frame_state: i32,
    pub gen_iframe: i32,
    pub gen_exc_state: i32,
    pub exc_previous_item: i32,
    pub gen_name: i32,
    pub gen_qualname: i32,
    // CodeRecord
    pub record_body: i32,
    pub record_code: i32,
    pub record_version: i32,
    /// First shell that is ready (the next one is its frame's `previous`).
    pub record_shelf: i32,
    /// A counter.
    pub record_resumed: i32,
    /// Of an await: how often it had its value in line.
    pub site_in_line: i32,
    // a resumption's cell: where the generator stood that it met last
    pub cell_instr_ptr: i32,
    pub cell_record: i32,
    pub cell_body: i32,
    pub cell_at: i32,
}

/// Fixed addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    pub none: u64,
    pub true_: u64,
    pub false_: u64,
    pub long_type: u64,
    pub float_type: u64,
    pub bool_type: u64,
    pub function_type: u64,
    pub generator_type: u64,
    pub coroutine_type: u64,
    /// `_PyLong_SMALL_INTS[0]`, the int -5
    pub small_ints: u64,
    pub small_int_size: u64,
    /// First code unit of the code object that is compiled.
    pub code_start: u64,
    /// The code object itself.
    pub code_object: u64,
    /// Its record.
    pub record: u64,
    /// The vectorcall of ordinary functions (`_PyFunction_Vectorcall`).
    pub python_vectorcall: u64,
    /// A word that each guard counts down; at 0 it fails. 0: no leaves are forced (only tests do).
    pub forced: u64,
    /// A word of 64 bits that counts entries at the function's beginning: its calls. 0: nobody asks (`cendre explain` does).
    pub calls: u64,
}

/// What a direct call needs of its callee.
#[derive(Clone, Copy, Debug)]
pub struct Callee {
    /// Address of the callee's code object as a guard may compare it: the word at `cell` (null once the code is gone).
    pub cell: u64,
    /// Address of its CodeRecord.
    pub record: u64,
    pub code_object: u64,
    pub code_start: u64,
    pub framesize: u32,
    pub nlocalsplus: u32,
    pub argcount: u32,
    /// `co_flags`
    pub flags: u32,
}

/// An `await f(...)` as machine code sees it.
#[derive(Clone, Copy, Debug)]
pub struct AwaitSite {
    /// The runtime's record of it, which lives as long as the code object.
    pub address: u64,
    /// Its SEND, in code units.
    pub send_unit: u32,
    /// What it calls in line.
    pub callee: Option<Awaited>,
}

/// A coroutine function that is called in line where it is awaited: positional arguments fill its first slots, and free variables its last
/// ones; nothing else is to be done before its first RESUME, which is entry 0 of its body.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    /// The word that holds the address of its code object (null once that is gone).
    pub cell: u64,
    /// Its CodeRecord.
    pub record: u64,
    pub argcount: u32,
    pub nlocalsplus: u32,
    /// Free variables.
    pub free: u32,
    /// Its code can handle exceptions: then its own exception state must be the thread's while it runs.
    pub handles: bool,
}

/// The runtime's side of code generation.
pub trait Env {
    fn offsets(&self) -> &Offsets;
    fn addresses(&self) -> &Addresses;
    /// Address of a runtime helper.
    fn helper(&self, name: &str) -> Option<u64>;
    /// Address of an object.
    fn object(&self, id: ObjId) -> u64;
    /// Whether the object is known to be immortal for good: its references are not counted.
    fn is_immortal(&self, _: ObjId) -> bool {
        false
    }
    /// Facts for `call.py`, by code object; None: make it an ordinary call.
    fn callee(&self, code: ObjId) -> Option<Callee>;
    /// The await with this number, whose CALL stands at this unit; None: leave it to the runtime.
    fn await_site(&self, number: i64, call_unit: u32) -> Option<AwaitSite>;
    /// Address of a new, empty cell for one place that resumes generators, which lives as long as the code object; None: leave it
    /// to the runtime.
    fn resume_cell(&self) -> Option<u64>;
}

/// Why the machine code gave up: an index into the artifact's exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The instruction (code units).
    pub unit: u32,
    /// The printed name of the IR instruction whose guard failed.
    pub reason: &'static str,
}

/// Machine code, and what the runtime must know of it.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub code: Code,
    /// Entry table: `at` = index; the unit of each.
    pub entries: Vec<u32>,
    /// `BodyResult.value` of LEAVE is an index into this.
    pub exits: Vec<Exit>,
    /// The frame states of the exits. The machine code names its address.
    pub table: Box<ExitTable>,
    /// Number of IR instructions, for statistics.
    pub ir_instructions: u32,
}
