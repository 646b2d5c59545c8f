//! What code generation asks for: offsets, fixed addresses, helpers by name, facts about callees.
//!
//! Invariants: every address that goes into machine code passes through here, so that [`PlainEnv::named`] is a complete list of
//! the objects to hold or watch. An environment is plain data: what it answers was asked of live objects when it was made, with
//! the GIL held, so that the compiler's thread can use it without.

use crate::coro::data::{AwaitSite, ResumeCell};
use crate::driver;
use crate::entries::{self, Kind, vectorcall};
use crate::facts;
use crate::gil::Gil;
use crate::kept::Kept;
use crate::record::{self, CodeRecord};
use crate::{coro, frames, numbers, ops, trial};
use cendre_bytecode::Opcode;
use cendre_codegen::{Addresses, Callee, Env, Offsets};
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::dict::UnicodeEntry;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::longobject::{self, LongObject, NSMALLNEGINTS};
use cendre_cpython::tstate::ThreadStateImpl;
use cendre_cpython::{offsets as o, refcount};
use cendre_ir::{Function, Imm, ObjId, Op};
use core::mem::offset_of;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

/// Code generation cannot see CPython's structs, and writes these as they are.
const _: () = {
    use cendre_codegen::frame_state as ours;
    use cendre_cpython::genobject::frame_state as theirs;
    assert!(ours::SUSPENDED == theirs::FRAME_SUSPENDED as u8 as i64);
    assert!(ours::EXECUTING == theirs::FRAME_EXECUTING as u8 as i64 && ours::CLEARED == theirs::FRAME_CLEARED as u8 as i64);
};

/// The offsets, from the one truth in `cendre-cpython`.
pub static OFFSETS: Offsets = Offsets {
    ts_eval_breaker: o::TS_EVAL_BREAKER,
    ts_py_recursion_remaining: o::TS_PY_RECURSION_REMAINING,
    ts_current_frame: o::TS_CURRENT_FRAME,
    ts_exc_info: o::TS_EXC_INFO,
    ts_datastack_top: o::TS_DATASTACK_TOP,
    ts_datastack_limit: o::TS_DATASTACK_LIMIT,
    ts_c_stack_soft_limit: o::TS_C_STACK_SOFT_LIMIT,
    ts_c_stack_top: offset_of!(ThreadStateImpl, c_stack_top) as i32,
    ts_coroutine_origin_tracking_depth: o::TS_COROUTINE_ORIGIN_TRACKING_DEPTH,
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
    exc_value: o::EXC_VALUE,
    func_code: o::FUNC_CODE,
    func_globals: o::FUNC_GLOBALS,
    func_builtins: o::FUNC_BUILTINS,
    func_vectorcall: o::FUNC_VECTORCALL,
    func_defaults: offset_of!(FunctionObject, func_defaults) as i32,
    func_closure: offset_of!(FunctionObject, func_closure) as i32,
    func_name: offset_of!(FunctionObject, func_name) as i32,
    func_qualname: offset_of!(FunctionObject, func_qualname) as i32,
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
    exc_previous_item: o::EXC_PREVIOUS_ITEM,
    gen_name: offset_of!(GenObject, gi_name) as i32,
    gen_qualname: offset_of!(GenObject, gi_qualname) as i32,
    record_body: offset_of!(CodeRecord, body) as i32,
    record_code: offset_of!(CodeRecord, code) as i32,
    record_version: offset_of!(CodeRecord, version) as i32,
    record_shelf: offset_of!(CodeRecord, coro.shelf) as i32,
    record_resumed: offset_of!(CodeRecord, coro.stats.resumed) as i32,
    site_in_line: offset_of!(AwaitSite, in_line) as i32,
    cell_instr_ptr: offset_of!(ResumeCell, instr_ptr) as i32,
    cell_record: offset_of!(ResumeCell, record) as i32,
    cell_body: offset_of!(ResumeCell, body) as i32,
    cell_at: offset_of!(ResumeCell, at) as i32,
};

/// The vectorcall of ordinary functions, which CPython does not export.
static PYTHON_VECTORCALL: Gil<usize> = Gil::new(0);

/// The vectorcall of ordinary functions; 0 if there is no memory to find it.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn python_vectorcall() -> usize {
    // SAFETY: the caller's contract.
    unsafe {
        let known = *PYTHON_VECTORCALL.get();
        if known == 0 { find_python_vectorcall() } else { known }
    }
}

#[cold]
unsafe fn find_python_vectorcall() -> usize {
    // SAFETY: the GIL is held; the references made here are given back.
    unsafe {
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
        *PYTHON_VECTORCALL.get()
    }
}

fn helpers() -> &'static HashMap<&'static str, u64> {
    static HELPERS: OnceLock<HashMap<&'static str, u64>> = OnceLock::new();
    HELPERS.get_or_init(|| {
        let tables = [
            ops::helper_table(),
            coro::helper_table(),
            frames::helper_table(),
            numbers::helper_table(),
            crate::attrs::helper_table(),
            crate::exits::helper_table(),
        ];
        tables.iter().flat_map(|t| t.iter()).map(|(name, address)| (*name, *address as u64)).collect()
    })
}

/// The environment of one compilation.
pub struct PlainEnv {
    addresses: Addresses,
    callees: HashMap<ObjId, Callee>,
    /// By the await's number and its CALL.
    sites: HashMap<(i64, u32), cendre_codegen::AwaitSite>,
    /// One for each place that resumes generators.
    cells: RefCell<Vec<u64>>,
    named: RefCell<BTreeSet<u64>>,
}

impl PlainEnv {
    /// For a record with a living code object and the function that was made of it. `kept` gets the records of callees that machine code
    /// will know.
    ///
    /// # Safety
    /// The GIL is held; the objects that the function names are alive.
    #[expect(clippy::indexing_slicing, reason = "the verifier has seen the states of the function")]
    pub unsafe fn new(record: *mut CodeRecord, function: &Function, kept: &mut Kept) -> PlainEnv {
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
            let (mut callees, mut sites, mut cells) = (HashMap::new(), HashMap::new(), Vec::new());
            for inst in &function.insts {
                match (inst.op, &inst.imm, inst.state) {
                    (op, Imm::Obj(code), _) if is_direct_call(op) => {
                        if let Some(found) = callee(code.0 as *mut CodeObject, kept) {
                            callees.insert(*code, found);
                        }
                    }
                    (Op::AwaitCall | Op::AwaitRaw | Op::AwaitTail, Imm::Int(number), Some(state)) => {
                        let unit = function.states[state.index()].unit;
                        let likely = function.await_sites.get(*number as usize).and_then(|s| s.callee);
                        if let Some(site) = await_site(record, *number, unit, likely, kept) {
                            sites.insert((*number, unit), site);
                        }
                    }
                    (Op::AwaitWords, Imm::IntInt(number, _), Some(state)) => {
                        let unit = function.states[state.index()].unit;
                        if let Some(site) = await_site(record, *number, unit, None, kept) {
                            sites.insert((*number, unit), site);
                        }
                    }
                    (Op::Send | Op::GenNext, ..) => cells.push((*record).coro.new_cell() as u64),
                    _ => {}
                }
            }
            PlainEnv {
                addresses: Addresses {
                    none: ffi::Py_None() as u64,
                    true_: ffi::Py_True() as u64,
                    false_: ffi::Py_False() as u64,
                    long_type: &raw mut ffi::PyLong_Type as u64,
                    float_type: &raw mut ffi::PyFloat_Type as u64,
                    bool_type: &raw mut ffi::PyBool_Type as u64,
                    function_type: &raw mut ffi::PyFunction_Type as u64,
                    generator_type: &raw mut ffi::PyGen_Type as u64,
                    coroutine_type: &raw mut ffi::PyCoro_Type as u64,
                    small_ints: zero - NSMALLNEGINTS as u64 * size,
                    small_int_size: size,
                    code_start: CodeObject::units(code) as u64,
                    code_object: code as u64,
                    record: record as u64,
                    python_vectorcall: vectorcall as u64,
                    forced: trial::countdown_address(),
                    calls: if driver::config().is_some_and(|c| c.explain) { (&raw mut (*record).calls) as u64 } else { 0 },
                },
                callees,
                sites,
                cells: RefCell::new(cells),
                named: RefCell::default(),
            }
        }
    }

    /// The objects whose addresses were asked for.
    pub fn named(self) -> BTreeSet<u64> {
        self.named.into_inner()
    }
}

/// The instructions whose object is a code object that code generation asks [`Env::callee`] about.
pub fn is_direct_call(op: Op) -> bool {
    matches!(op, Op::CallPy | Op::CallPyRaw | Op::CallInit | Op::CallBound | Op::GuardCode)
}

/// What machine code needs of an await. `likely`: the code object of the function that is probably called.
unsafe fn await_site(
    record: *mut CodeRecord,
    number: i64,
    call_unit: u32,
    likely: Option<ObjId>,
    kept: &mut Kept,
) -> Option<cendre_codegen::AwaitSite> {
    // SAFETY: the record of the code that is compiled, which is alive, as is what the front end has from facts of this
    // compilation; the front end says where its CALLs are. The site keeps the record of a callee that was seen before.
    unsafe {
        let units = CodeObject::units((*record).code);
        let site = (*record).coro.site(number, (*record).code, units.add(call_unit as usize));
        if site.is_null() {
            return None;
        }
        let send_unit = (*site).send.offset_from(units) as u32;
        let seen = if (*site).callee.is_null() { core::ptr::null_mut() } else { (*(*site).callee).code };
        let code = likely.map_or(seen, |code| code.0 as *mut CodeObject);
        let callee = if code.is_null() || !coro::enabled() { None } else { awaited(code, kept) };
        Some(cendre_codegen::AwaitSite { address: site as u64, send_unit, callee })
    }
}

/// What an awaited call in line needs of a code object; None: leave it to the runtime.
#[expect(clippy::indexing_slicing, reason = "chunks of the units of code, two bytes each")]
unsafe fn awaited(code: *mut CodeObject, kept: &mut Kept) -> Option<cendre_codegen::Awaited> {
    // SAFETY: a live code object; the GIL is held.
    unsafe {
        let start = coro::data::read_start(code).filter(|s| s.awaitable && s.positional && s.cells.is_empty())?;
        let record = record::find_or_make(code);
        if record.is_null() {
            return None;
        }
        kept.record(record);
        Some(cendre_codegen::Awaited {
            cell: &raw mut (*record).code as u64,
            record: record as u64,
            argcount: start.argcount,
            nlocalsplus: (*code).co_nlocalsplus as u32,
            free: start.free,
            // A cache may look like one: then it is linked for nothing.
            handles: driver::code_bytes(code).chunks(2).any(|unit| unit[0] == Opcode::PushExcInfo as u8),
        })
    }
}

/// What a direct call needs of a code object.
unsafe fn callee(code: *mut CodeObject, kept: &mut Kept) -> Option<Callee> {
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
        kept.record(record);
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

impl Env for PlainEnv {
    fn await_site(&self, number: i64, call_unit: u32) -> Option<cendre_codegen::AwaitSite> {
        self.sites.get(&(number, call_unit)).copied()
    }

    fn resume_cell(&self) -> Option<u64> {
        self.cells.borrow_mut().pop()
    }

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

    fn is_immortal(&self, id: ObjId) -> bool {
        let a = &self.addresses;
        let small = a.small_ints..a.small_ints + a.small_int_size * (NSMALLNEGINTS + longobject::NSMALLPOSINTS) as u64;
        [a.none, a.true_, a.false_].contains(&id.0) || small.contains(&id.0)
    }

    fn callee(&self, code: ObjId) -> Option<Callee> {
        self.callees.get(&code).copied()
    }
}

/// Facts for a record's compilation.
pub fn facts_for(record: *mut CodeRecord, globals: *mut PyObject, builtins: *mut PyObject) -> facts::LiveFacts {
    facts::LiveFacts { record, globals, builtins, kept: RefCell::default() }
}
