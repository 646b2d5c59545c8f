//! What code generation asks for: offsets, fixed addresses, helpers by name, facts about callees.
//!
//! Invariant: every address that goes into machine code passes through here, so that [`LiveEnv::named`] is a complete list of
//! the objects to hold or watch.

use crate::entries::{self, Kind, vectorcall};
use crate::facts;
use crate::gil::Gil;
use crate::record::{self, CodeRecord};
use crate::{coro, frames, numbers, ops};
use cendre_codegen::{Addresses, Callee, Env, Offsets};
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::dict::UnicodeEntry;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::longobject::{self, LongObject, NSMALLNEGINTS};
use cendre_cpython::{offsets as o, refcount};
use cendre_ir::ObjId;
use core::mem::offset_of;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

/// The offsets, from the one truth in `cendre-cpython`.
pub static OFFSETS: Offsets = Offsets {
    ts_eval_breaker: o::TS_EVAL_BREAKER,
    ts_py_recursion_remaining: o::TS_PY_RECURSION_REMAINING,
    ts_current_frame: o::TS_CURRENT_FRAME,
    ts_exc_info: o::TS_EXC_INFO,
    ts_datastack_top: o::TS_DATASTACK_TOP,
    ts_datastack_limit: o::TS_DATASTACK_LIMIT,
    ts_c_stack_soft_limit: o::TS_C_STACK_SOFT_LIMIT,
    fr_executable: o::FRAME_EXECUTABLE,
    fr_previous: o::FRAME_PREVIOUS,
    fr_funcobj: o::FRAME_FUNCOBJ,
    fr_globals: o::FRAME_GLOBALS,
    fr_builtins: o::FRAME_BUILTINS,
    fr_locals: o::FRAME_LOCALS_DICT,
    fr_frame_obj: o::FRAME_OBJ,
    fr_instr_ptr: o::FRAME_INSTR_PTR,
    fr_stackpointer: o::FRAME_STACKPOINTER,
    fr_return_offset: o::FRAME_RETURN_OFFSET,
    fr_localsplus: o::FRAME_LOCALSPLUS,
    ob_refcnt: o::OB_REFCNT,
    ob_type: o::OB_TYPE,
    ob_size: o::OB_SIZE,
    tp_version_tag: o::TYPE_VERSION_TAG,
    tp_dictoffset: o::TYPE_DICTOFFSET,
    tp_basicsize: o::TYPE_BASICSIZE,
    ht_cached_keys: o::HEAP_TYPE_CACHED_KEYS,
    long_tag: o::LONG_TAG,
    long_digits: o::LONG_DIGIT,
    float_value: o::FLOAT_VALUE,
    list_items: o::LIST_ITEMS,
    tuple_items: o::TUPLE_ITEMS,
    dict_used: o::DICT_USED,
    dict_keys: o::DICT_KEYS,
    dict_values: o::DICT_VALUES,
    keys_version: o::KEYS_VERSION,
    keys_log2_index_bytes: o::KEYS_LOG2_INDEX_BYTES,
    keys_indices: o::KEYS_INDICES,
    unicode_entry_size: size_of::<UnicodeEntry>() as i32,
    unicode_entry_value: o::UNICODE_ENTRY_VALUE,
    values_valid: o::VALUES_VALID,
    str_length: o::UNICODE_LENGTH,
    // `md_dict` is the first field of a module behind the header.
    module_dict: size_of::<PyObject>() as i32,
    cell_contents: o::CELL_REF,
    func_code: o::FUNC_CODE,
    func_globals: o::FUNC_GLOBALS,
    func_builtins: o::FUNC_BUILTINS,
    func_vectorcall: o::FUNC_VECTORCALL,
    range_start: o::RANGE_ITER_START,
    range_step: o::RANGE_ITER_STEP,
    range_len: o::RANGE_ITER_LEN,
    listiter_index: o::LIST_ITER_INDEX,
    listiter_seq: o::LIST_ITER_SEQ,
    tupleiter_index: o::TUPLE_ITER_INDEX,
    tupleiter_seq: o::TUPLE_ITER_SEQ,
    gen_frame_state: o::GEN_FRAME_STATE,
    gen_iframe: o::GEN_IFRAME,
    gen_exc_state: o::GEN_EXC_STATE,
    record_body: offset_of!(CodeRecord, body) as i32,
    record_version: offset_of!(CodeRecord, version) as i32,
};

/// The vectorcall of ordinary functions, which CPython does not export.
static PYTHON_VECTORCALL: Gil<usize> = Gil::new(0);

/// The vectorcall of ordinary functions; 0 if there is no memory to find it.
///
/// # Safety
/// The GIL is held.
pub unsafe fn python_vectorcall() -> usize {
    // SAFETY: the caller's contract; the references made here are given back.
    unsafe {
        if *PYTHON_VECTORCALL.get() == 0 {
            let globals = ffi::PyDict_New();
            let code = ffi::PyCode_NewEmpty(c"cendre".as_ptr(), c"probe".as_ptr(), 1);
            if !globals.is_null() && !code.is_null() {
                let func: *mut FunctionObject = ffi::PyFunction_New(code.cast(), globals).cast();
                if !func.is_null() {
                    *PYTHON_VECTORCALL.get() = (*func).vectorcall.map_or(0, |f| f as usize);
                    refcount::decref(func.cast());
                }
            }
            refcount::xdecref(code.cast());
            refcount::xdecref(globals);
            ffi::PyErr_Clear();
        }
        *PYTHON_VECTORCALL.get()
    }
}

fn helpers() -> &'static HashMap<&'static str, u64> {
    static HELPERS: OnceLock<HashMap<&'static str, u64>> = OnceLock::new();
    HELPERS.get_or_init(|| {
        let tables = [ops::helper_table(), coro::helper_table(), frames::helper_table(), numbers::helper_table()];
        tables.iter().flat_map(|t| t.iter()).map(|(name, address)| (*name, *address as u64)).collect()
    })
}

/// The environment of one compilation.
pub struct LiveEnv {
    addresses: Addresses,
    named: RefCell<BTreeSet<u64>>,
}

impl LiveEnv {
    /// For a record with a living code object.
    ///
    /// # Safety
    /// The GIL is held, here and while the environment is used.
    pub unsafe fn new(record: *mut CodeRecord) -> LiveEnv {
        // SAFETY: the caller's contract.
        unsafe {
            let zero = longobject::small_int_zero() as u64;
            let size = size_of::<LongObject>() as u64;
            let code = (*record).code;
            // Where functions are wrapped, a wrapped one is what a direct call may take over.
            let vectorcall = match entries::kind() {
                Kind::Vectorcall => vectorcall::wrapper_address(),
                _ => python_vectorcall(),
            };
            LiveEnv {
                addresses: Addresses {
                    none: ffi::Py_None() as u64,
                    true_: ffi::Py_True() as u64,
                    false_: ffi::Py_False() as u64,
                    long_type: &raw mut ffi::PyLong_Type as u64,
                    float_type: &raw mut ffi::PyFloat_Type as u64,
                    bool_type: &raw mut ffi::PyBool_Type as u64,
                    function_type: &raw mut ffi::PyFunction_Type as u64,
                    small_ints: zero - NSMALLNEGINTS as u64 * size,
                    small_int_size: size,
                    code_start: CodeObject::units(code) as u64,
                    code_object: code as u64,
                    record: record as u64,
                    python_vectorcall: vectorcall as u64,
                },
                named: RefCell::default(),
            }
        }
    }

    /// The objects whose addresses were asked for.
    pub fn named(self) -> BTreeSet<u64> {
        self.named.into_inner()
    }
}

impl Env for LiveEnv {
    fn offsets(&self) -> &Offsets {
        &OFFSETS
    }

    fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    fn helper(&self, name: &str) -> Option<u64> {
        helpers().get(name).copied()
    }

    fn object(&self, id: ObjId) -> u64 {
        self.named.borrow_mut().insert(id.0);
        id.0
    }

    fn callee(&self, code: ObjId) -> Option<Callee> {
        let code = code.0 as *mut CodeObject;
        // SAFETY: the front end has it from a fact of this compilation, so it is alive; the GIL is held.
        unsafe {
            let generators = co_flags::GENERATOR | co_flags::COROUTINE | co_flags::ASYNC_GENERATOR;
            if (*code).co_flags & generators != 0 {
                return None;
            }
            let record = record::find_or_make(code);
            if record.is_null() {
                return None;
            }
            (*record).pinned = true;
            Some(Callee {
                cell: &raw mut (*record).code as u64,
                record: record as u64,
                code_object: code as u64,
                code_start: CodeObject::units(code) as u64,
                framesize: (*code).co_framesize as u32,
                nlocalsplus: (*code).co_nlocalsplus as u32,
                argcount: (*code).co_argcount as u32,
                flags: (*code).co_flags as u32,
            })
        }
    }
}

/// Facts for a record's compilation.
pub fn facts_for(record: *mut CodeRecord, globals: *mut PyObject, builtins: *mut PyObject) -> facts::LiveFacts {
    facts::LiveFacts { record, globals, builtins }
}
