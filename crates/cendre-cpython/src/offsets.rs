//! The offsets that machine code needs, and the list of all layout tables.
//!
//! Invariant: every number here is computed from the declarations (`offset_of!`), so there is one truth; offsets are `i32`
//! because that is what an instruction's displacement is. Nothing here names a symbol of libpython.
//! Read: `docs/internals/layout.md`.

use crate::table::StructLayout;
use crate::{
    cell::CellObject,
    code::{BinaryOpDescr, CodeObject},
    dict::{DictKeys, DictObject, DictValues, KeyEntry, UnicodeEntry},
    ffi::{PyObject, PyTypeObject, PyVarObject},
    floatobject::FloatObject,
    frameobject::FrameObject,
    freelist::FreeList,
    funcobject::FunctionObject,
    gc::{GcHead, Generation},
    genobject::GenObject,
    interp,
    interpframe::Frame,
    listobject::{ListIterObject, ListObject},
    longobject::LongObject,
    methodobject::{CFunctionObject, MethodDescrObject, MethodObject},
    monitoring::{CoMonitoringData, GlobalMonitors, LocalMonitors},
    optimizer::{ExecutorArray, ExecutorLinkListNode, ExecutorObject, ExitData, VmData},
    pyerrors::BaseExceptionObject,
    rangeobject::RangeIterObject,
    runtime::{self, DebugOffsets},
    tstate::{ErrStackItem, LlistNode, RemoteDebuggerSupport, StackChunk, ThreadState, ThreadStateImpl},
    tupleobject::{TupleIterObject, TupleObject},
    typeobject::{self, HeapTypeObject, SpecializationCache},
    unicodeobject::AsciiObject,
};

macro_rules! offsets {
    ($($(#[$m:meta])* $name:ident = $t:ty, $($f:ident).+;)*) => {
        $($(#[$m])* pub const $name: i32 = core::mem::offset_of!($t, $($f).+) as i32;)*
    };
}

offsets! {
    /// Reference count (32 bits).
    OB_REFCNT = PyObject, ob_refcnt;
    /// Type.
    OB_TYPE = PyObject, ob_type;
    /// Size of a variable-size object.
    OB_SIZE = PyVarObject, ob_size;

    /// Code object.
    FRAME_EXECUTABLE = Frame, f_executable;
    /// Caller's frame.
    FRAME_PREVIOUS = Frame, previous;
    /// Function.
    FRAME_FUNCOBJ = Frame, f_funcobj;
    /// Globals.
    FRAME_GLOBALS = Frame, f_globals;
    /// Builtins.
    FRAME_BUILTINS = Frame, f_builtins;
    /// Locals dict.
    FRAME_LOCALS_DICT = Frame, f_locals;
    /// Frame object.
    FRAME_OBJ = Frame, frame_obj;
    /// Current instruction.
    FRAME_INSTR_PTR = Frame, instr_ptr;
    /// Stack pointer.
    FRAME_STACKPOINTER = Frame, stackpointer;
    /// Return offset (u16).
    FRAME_RETURN_OFFSET = Frame, return_offset;
    /// Owner (u8).
    FRAME_OWNER = Frame, owner;
    /// Collector's scratch (u8).
    FRAME_VISITED = Frame, visited;
    /// First slot.
    FRAME_LOCALSPLUS = Frame, localsplus;

    /// Interpreter.
    TS_INTERP = ThreadState, interp;
    /// Eval breaker.
    TS_EVAL_BREAKER = ThreadState, eval_breaker;
    /// Python recursion left (i32).
    TS_PY_RECURSION_REMAINING = ThreadState, py_recursion_remaining;
    /// Tracing depth (i32).
    TS_TRACING = ThreadState, tracing;
    /// Event being delivered (i32).
    TS_WHAT_EVENT = ThreadState, what_event;
    /// Running frame.
    TS_CURRENT_FRAME = ThreadState, current_frame;
    /// Exception being raised.
    TS_CURRENT_EXCEPTION = ThreadState, current_exception;
    /// Handled exceptions.
    TS_EXC_INFO = ThreadState, exc_info;
    /// Origin tracking (i32).
    TS_COROUTINE_ORIGIN_TRACKING_DEPTH = ThreadState, coroutine_origin_tracking_depth;
    /// Data stack: top.
    TS_DATASTACK_TOP = ThreadState, datastack_top;
    /// Data stack: end of the chunk.
    TS_DATASTACK_LIMIT = ThreadState, datastack_limit;
    /// Data stack: chunk.
    TS_DATASTACK_CHUNK = ThreadState, datastack_chunk;
    /// Running executor.
    TS_CURRENT_EXECUTOR = ThreadState, current_executor;
    /// C stack: limit.
    TS_C_STACK_SOFT_LIMIT = ThreadStateImpl, c_stack_soft_limit;
    /// First word of a chunk.
    CHUNK_DATA = StackChunk, data;
    /// Exception of a context.
    EXC_VALUE = ErrStackItem, exc_value;
    /// Enclosing context.
    EXC_PREVIOUS_ITEM = ErrStackItem, previous_item;

    /// Exception context of a generator.
    GEN_EXC_STATE = GenObject, gi_exc_state;
    /// Weak references of a generator.
    GEN_WEAKREFLIST = GenObject, gi_weakreflist;
    /// State (i8).
    GEN_FRAME_STATE = GenObject, gi_frame_state;
    /// Frame.
    GEN_IFRAME = GenObject, gi_iframe;

    /// Version of a code object's instrumentation.
    CODE_INSTRUMENTATION_VERSION = CodeObject, _co_instrumentation_version;
    /// Monitoring data.
    CODE_MONITORING = CodeObject, _co_monitoring;
    /// Executors.
    CODE_EXECUTORS = CodeObject, co_executors;
    /// Size of a frame in words (i32).
    CODE_FRAMESIZE = CodeObject, co_framesize;
    /// Slots (i32).
    CODE_NLOCALSPLUS = CodeObject, co_nlocalsplus;
    /// Flags (i32).
    CODE_FLAGS = CodeObject, co_flags;
    /// Extra data.
    CODE_EXTRA = CodeObject, co_extra;
    /// First code unit.
    CODE_ADAPTIVE = CodeObject, co_code_adaptive;

    /// Globals of a function.
    FUNC_GLOBALS = FunctionObject, func_globals;
    /// Builtins of a function.
    FUNC_BUILTINS = FunctionObject, func_builtins;
    /// Code of a function.
    FUNC_CODE = FunctionObject, func_code;
    /// Defaults.
    FUNC_DEFAULTS = FunctionObject, func_defaults;
    /// Keyword defaults.
    FUNC_KWDEFAULTS = FunctionObject, func_kwdefaults;
    /// Closure.
    FUNC_CLOSURE = FunctionObject, func_closure;
    /// Vectorcall.
    FUNC_VECTORCALL = FunctionObject, vectorcall;
    /// Version (u32).
    FUNC_VERSION = FunctionObject, func_version;

    /// Items of a dict.
    DICT_USED = DictObject, ma_used;
    /// Watchers of a dict.
    DICT_WATCHER_TAG = DictObject, _ma_watcher_tag;
    /// Keys.
    DICT_KEYS = DictObject, ma_keys;
    /// Values.
    DICT_VALUES = DictObject, ma_values;
    /// log2 of the index table's bytes (u8).
    KEYS_LOG2_INDEX_BYTES = DictKeys, dk_log2_index_bytes;
    /// Kind (u8).
    KEYS_KIND = DictKeys, dk_kind;
    /// Version (u32).
    KEYS_VERSION = DictKeys, dk_version;
    /// Entries in use.
    KEYS_NENTRIES = DictKeys, dk_nentries;
    /// Index table.
    KEYS_INDICES = DictKeys, dk_indices;
    /// Value of an entry with a `str` key.
    UNICODE_ENTRY_VALUE = UnicodeEntry, me_value;
    /// Value of any entry.
    KEY_ENTRY_VALUE = KeyEntry, me_value;
    /// Whether inline values are valid (u8).
    VALUES_VALID = DictValues, valid;
    /// Slots of inline values in use (u8).
    VALUES_SIZE = DictValues, size;
    /// Slots of inline values (u8).
    VALUES_CAPACITY = DictValues, capacity;
    /// First value.
    VALUES_ITEMS = DictValues, values;

    /// Tag of an int.
    LONG_TAG = LongObject, lv_tag;
    /// First digit (u32).
    LONG_DIGIT = LongObject, ob_digit;
    /// Value of a float.
    FLOAT_VALUE = FloatObject, ob_fval;
    /// Items of a list.
    LIST_ITEMS = ListObject, ob_item;
    /// Slots allocated of a list.
    LIST_ALLOCATED = ListObject, allocated;
    /// Index of a list iterator.
    LIST_ITER_INDEX = ListIterObject, it_index;
    /// List of a list iterator.
    LIST_ITER_SEQ = ListIterObject, it_seq;
    /// Items of a tuple.
    TUPLE_ITEMS = TupleObject, ob_item;
    /// Index of a tuple iterator.
    TUPLE_ITER_INDEX = TupleIterObject, it_index;
    /// Tuple of a tuple iterator.
    TUPLE_ITER_SEQ = TupleIterObject, it_seq;
    /// Next value of a range iterator.
    RANGE_ITER_START = RangeIterObject, start;
    /// Step of a range iterator.
    RANGE_ITER_STEP = RangeIterObject, step;
    /// Values left of a range iterator.
    RANGE_ITER_LEN = RangeIterObject, len;
    /// Value of a cell.
    CELL_REF = CellObject, ob_ref;
    /// Callable of a bound method.
    METHOD_FUNC = MethodObject, im_func;
    /// Instance of a bound method.
    METHOD_SELF = MethodObject, im_self;
    /// Length of a `str`.
    UNICODE_LENGTH = AsciiObject, length;
    /// Hash of a `str`.
    UNICODE_HASH = AsciiObject, hash;

    /// Version tag of a type (u32).
    TYPE_VERSION_TAG = PyTypeObject, tp_version_tag;
    /// Flags of a type.
    TYPE_FLAGS = PyTypeObject, tp_flags;
    /// Size of an instance.
    TYPE_BASICSIZE = PyTypeObject, tp_basicsize;
    /// Dict offset of an instance.
    TYPE_DICTOFFSET = PyTypeObject, tp_dictoffset;
    /// Shared keys of a class.
    HEAP_TYPE_CACHED_KEYS = HeapTypeObject, ht_cached_keys;
    /// Cached `__getitem__`.
    HEAP_TYPE_CACHED_GETITEM = HeapTypeObject, _spec_cache.getitem;
    /// Cached `__init__`.
    HEAP_TYPE_CACHED_INIT = HeapTypeObject, _spec_cache.init;
}

/// Every layout table of this crate: what the probe and `layout::check` go through.
pub const TABLES: &[StructLayout] = &[
    typeobject::OBJECT_LAYOUT,
    typeobject::VAR_OBJECT_LAYOUT,
    typeobject::TYPE_LAYOUT,
    SpecializationCache::LAYOUT,
    HeapTypeObject::LAYOUT,
    Frame::LAYOUT,
    ErrStackItem::LAYOUT,
    StackChunk::LAYOUT,
    RemoteDebuggerSupport::LAYOUT,
    ThreadState::LAYOUT,
    LlistNode::LAYOUT,
    ThreadStateImpl::LAYOUT,
    GenObject::LAYOUT,
    CodeObject::LAYOUT,
    BinaryOpDescr::LAYOUT,
    FunctionObject::LAYOUT,
    ExecutorLinkListNode::LAYOUT,
    VmData::LAYOUT,
    ExitData::LAYOUT,
    ExecutorObject::LAYOUT,
    ExecutorArray::LAYOUT,
    DictObject::LAYOUT,
    DictKeys::LAYOUT,
    UnicodeEntry::LAYOUT,
    KeyEntry::LAYOUT,
    DictValues::LAYOUT,
    LongObject::LAYOUT,
    FloatObject::LAYOUT,
    ListObject::LAYOUT,
    ListIterObject::LAYOUT,
    TupleObject::LAYOUT,
    TupleIterObject::LAYOUT,
    RangeIterObject::LAYOUT,
    CellObject::LAYOUT,
    MethodObject::LAYOUT,
    CFunctionObject::LAYOUT,
    MethodDescrObject::LAYOUT,
    BaseExceptionObject::LAYOUT,
    AsciiObject::LAYOUT,
    FrameObject::LAYOUT,
    LocalMonitors::LAYOUT,
    GlobalMonitors::LAYOUT,
    CoMonitoringData::LAYOUT,
    GcHead::LAYOUT,
    Generation::LAYOUT,
    DebugOffsets::LAYOUT,
    interp::LAYOUT,
    runtime::LAYOUT,
    FreeList::LAYOUT,
];

/// A bit field: setting `field` of a zeroed `c` to `number` makes the byte at `offset` equal to `byte`.
#[derive(Debug, Clone, Copy)]
pub struct BitField {
    /// The type as C spells it.
    pub c: &'static str,
    /// The bit field.
    pub field: &'static str,
    /// The number stored in it.
    pub number: u32,
    /// The byte that it lands in.
    pub offset: usize,
    /// What that byte then is.
    pub byte: u8,
}

/// The bit fields that this crate reads or writes, for the probe.
pub const BIT_FIELDS: &[BitField] = &[
    BitField {
        c: "_PyVMData",
        field: "valid",
        number: 1,
        offset: core::mem::offset_of!(VmData, flags),
        byte: crate::optimizer::vm_flags::VALID,
    },
    BitField {
        c: "_PyVMData",
        field: "linked",
        number: 1,
        offset: core::mem::offset_of!(VmData, flags),
        byte: crate::optimizer::vm_flags::LINKED,
    },
    BitField {
        c: "_PyVMData",
        field: "chain_depth",
        number: 5,
        offset: core::mem::offset_of!(VmData, flags),
        byte: 5 << crate::optimizer::vm_flags::CHAIN_DEPTH_SHIFT,
    },
    BitField { c: "PyObject", field: "ob_refcnt", number: 1, offset: OB_REFCNT as usize, byte: 1 },
];

macro_rules! constants {
    ($($c:literal = $v:expr;)*) => { &[$(($c, $v as i64)),*] };
}

/// Constants of C that this crate repeats, for the probe.
pub const CONSTANTS: &[(&str, i64)] = {
    use crate::code::{co_flags, local_kind};
    use crate::dict::keys_kind;
    use crate::genobject::frame_state;
    use crate::interpframe::frame_owner;
    use crate::monitoring::{self, event};
    use crate::tstate::eval_breaker;
    use crate::typeobject::tp_flags;
    use crate::{api, dict, funcobject, interpframe, longobject, refcount, stackref, tstate};
    constants! {
        "FRAME_OWNED_BY_THREAD" = frame_owner::THREAD;
        "FRAME_OWNED_BY_GENERATOR" = frame_owner::GENERATOR;
        "FRAME_OWNED_BY_FRAME_OBJECT" = frame_owner::FRAME_OBJECT;
        "FRAME_OWNED_BY_INTERPRETER" = frame_owner::INTERPRETER;
        "FRAME_OWNED_BY_CSTACK" = frame_owner::CSTACK;
        "FRAME_SPECIALS_SIZE" = interpframe::FRAME_SPECIALS_SIZE;
        "FRAME_CREATED" = frame_state::FRAME_CREATED;
        "FRAME_SUSPENDED" = frame_state::FRAME_SUSPENDED;
        "FRAME_SUSPENDED_YIELD_FROM" = frame_state::FRAME_SUSPENDED_YIELD_FROM;
        "FRAME_EXECUTING" = frame_state::FRAME_EXECUTING;
        "FRAME_COMPLETED" = frame_state::FRAME_COMPLETED;
        "FRAME_CLEARED" = frame_state::FRAME_CLEARED;
        "CO_OPTIMIZED" = co_flags::OPTIMIZED;
        "CO_NEWLOCALS" = co_flags::NEWLOCALS;
        "CO_VARARGS" = co_flags::VARARGS;
        "CO_VARKEYWORDS" = co_flags::VARKEYWORDS;
        "CO_NESTED" = co_flags::NESTED;
        "CO_GENERATOR" = co_flags::GENERATOR;
        "CO_COROUTINE" = co_flags::COROUTINE;
        "CO_ITERABLE_COROUTINE" = co_flags::ITERABLE_COROUTINE;
        "CO_ASYNC_GENERATOR" = co_flags::ASYNC_GENERATOR;
        "CO_NO_MONITORING_EVENTS" = co_flags::NO_MONITORING_EVENTS;
        "CO_HAS_DOCSTRING" = co_flags::HAS_DOCSTRING;
        "CO_METHOD" = co_flags::METHOD;
        "CO_FAST_HIDDEN" = local_kind::HIDDEN;
        "CO_FAST_LOCAL" = local_kind::LOCAL;
        "CO_FAST_CELL" = local_kind::CELL;
        "CO_FAST_FREE" = local_kind::FREE;
        "DICT_KEYS_GENERAL" = keys_kind::GENERAL;
        "DICT_KEYS_UNICODE" = keys_kind::UNICODE;
        "DICT_KEYS_SPLIT" = keys_kind::SPLIT;
        "DICT_WATCHER_MASK" = dict::DICT_WATCHER_MASK;
        "SHARED_KEYS_MAX_SIZE" = dict::SHARED_KEYS_MAX_SIZE;
        "FUNC_VERSION_CLEARED" = funcobject::FUNC_VERSION_CLEARED;
        "FUNC_VERSION_FIRST_VALID" = funcobject::FUNC_VERSION_FIRST_VALID;
        "PyLong_SHIFT" = longobject::SHIFT;
        "PyLong_BASE" = longobject::BASE;
        "_PyLong_SIGN_MASK" = longobject::SIGN_MASK;
        "_PyLong_NON_SIZE_BITS" = longobject::NON_SIZE_BITS;
        "SIGN_ZERO" = longobject::SIGN_ZERO;
        "SIGN_NEGATIVE" = longobject::SIGN_NEGATIVE;
        "IMMORTALITY_BIT_MASK" = longobject::SMALL_INT_BIT;
        "_PY_NSMALLNEGINTS" = longobject::NSMALLNEGINTS;
        "_PY_NSMALLPOSINTS" = longobject::NSMALLPOSINTS;
        "_Py_IMMORTAL_MINIMUM_REFCNT" = refcount::IMMORTAL_MINIMUM_REFCNT;
        "_Py_IMMORTAL_INITIAL_REFCNT" = refcount::IMMORTAL_INITIAL_REFCNT;
        "PyStackRef_NULL_BITS" = crate::StackRef::NULL.0;
        "Py_TAG_REFCNT" = stackref::TAG_REFCNT;
        "Py_INT_TAG" = stackref::INT_TAG;
        "_PY_DATA_STACK_CHUNK_SIZE" = tstate::DATA_STACK_CHUNK_SIZE;
        "_PY_GIL_DROP_REQUEST_BIT" = eval_breaker::GIL_DROP_REQUEST;
        "_PY_SIGNALS_PENDING_BIT" = eval_breaker::SIGNALS_PENDING;
        "_PY_CALLS_TO_DO_BIT" = eval_breaker::CALLS_TO_DO;
        "_PY_ASYNC_EXCEPTION_BIT" = eval_breaker::ASYNC_EXCEPTION;
        "_PY_GC_SCHEDULED_BIT" = eval_breaker::GC_SCHEDULED;
        "_PY_EVAL_PLEASE_STOP_BIT" = eval_breaker::PLEASE_STOP;
        "_PY_EVAL_EXPLICIT_MERGE_BIT" = eval_breaker::EXPLICIT_MERGE;
        "_PY_EVAL_JIT_INVALIDATE_COLD_BIT" = eval_breaker::JIT_INVALIDATE_COLD;
        "_PY_EVAL_EVENTS_MASK" = eval_breaker::EVENTS_MASK;
        "Py_TPFLAGS_INLINE_VALUES" = tp_flags::INLINE_VALUES;
        "Py_TPFLAGS_MANAGED_WEAKREF" = tp_flags::MANAGED_WEAKREF;
        "Py_TPFLAGS_MANAGED_DICT" = tp_flags::MANAGED_DICT;
        "Py_TPFLAGS_HEAPTYPE" = tp_flags::HEAPTYPE;
        "Py_TPFLAGS_IMMUTABLETYPE" = tp_flags::IMMUTABLETYPE;
        "Py_TPFLAGS_HAVE_VECTORCALL" = tp_flags::HAVE_VECTORCALL;
        "Py_TPFLAGS_HAVE_GC" = tp_flags::HAVE_GC;
        "Py_TPFLAGS_METHOD_DESCRIPTOR" = tp_flags::METHOD_DESCRIPTOR;
        "Py_TPFLAGS_LONG_SUBCLASS" = tp_flags::LONG_SUBCLASS;
        "Py_TPFLAGS_LIST_SUBCLASS" = tp_flags::LIST_SUBCLASS;
        "Py_TPFLAGS_TUPLE_SUBCLASS" = tp_flags::TUPLE_SUBCLASS;
        "Py_TPFLAGS_UNICODE_SUBCLASS" = tp_flags::UNICODE_SUBCLASS;
        "Py_TPFLAGS_DICT_SUBCLASS" = tp_flags::DICT_SUBCLASS;
        "Py_TPFLAGS_BASE_EXC_SUBCLASS" = tp_flags::BASE_EXC_SUBCLASS;
        "Py_TPFLAGS_TYPE_SUBCLASS" = tp_flags::TYPE_SUBCLASS;
        "MANAGED_DICT_OFFSET" = typeobject::MANAGED_DICT_OFFSET;
        "MANAGED_WEAKREF_OFFSET" = typeobject::MANAGED_WEAKREF_OFFSET;
        "PY_MONITORING_TOOL_IDS" = monitoring::TOOL_IDS;
        "_PY_MONITORING_LOCAL_EVENTS" = monitoring::LOCAL_EVENTS;
        "_PY_MONITORING_UNGROUPED_EVENTS" = monitoring::UNGROUPED_EVENTS;
        "PY_MONITORING_EVENT_PY_START" = event::PY_START;
        "PY_MONITORING_EVENT_PY_RESUME" = event::PY_RESUME;
        "PY_MONITORING_EVENT_PY_RETURN" = event::PY_RETURN;
        "PY_MONITORING_EVENT_PY_YIELD" = event::PY_YIELD;
        "PY_MONITORING_EVENT_CALL" = event::CALL;
        "PY_MONITORING_EVENT_LINE" = event::LINE;
        "PY_MONITORING_EVENT_INSTRUCTION" = event::INSTRUCTION;
        "PY_MONITORING_EVENT_JUMP" = event::JUMP;
        "PY_MONITORING_EVENT_BRANCH_LEFT" = event::BRANCH_LEFT;
        "PY_MONITORING_EVENT_BRANCH_RIGHT" = event::BRANCH_RIGHT;
        "PY_MONITORING_EVENT_STOP_ITERATION" = event::STOP_ITERATION;
        "PY_MONITORING_EVENT_RAISE" = event::RAISE;
        "PY_MONITORING_EVENT_EXCEPTION_HANDLED" = event::EXCEPTION_HANDLED;
        "PY_MONITORING_EVENT_PY_UNWIND" = event::PY_UNWIND;
        "PY_MONITORING_EVENT_PY_THROW" = event::PY_THROW;
        "PY_MONITORING_EVENT_RERAISE" = event::RERAISE;
        "PyFunction_EVENT_CREATE" = api::watch_event::FUNCTION_CREATE;
        "PyFunction_EVENT_DESTROY" = api::watch_event::FUNCTION_DESTROY;
        "PyFunction_EVENT_MODIFY_CODE" = api::watch_event::FUNCTION_MODIFY_CODE;
        "PyFunction_EVENT_MODIFY_DEFAULTS" = api::watch_event::FUNCTION_MODIFY_DEFAULTS;
        "PyFunction_EVENT_MODIFY_KWDEFAULTS" = api::watch_event::FUNCTION_MODIFY_KWDEFAULTS;
        "PyDict_EVENT_ADDED" = api::watch_event::DICT_ADDED;
        "PyDict_EVENT_MODIFIED" = api::watch_event::DICT_MODIFIED;
        "PyDict_EVENT_DELETED" = api::watch_event::DICT_DELETED;
        "PyDict_EVENT_CLONED" = api::watch_event::DICT_CLONED;
        "PyDict_EVENT_CLEARED" = api::watch_event::DICT_CLEARED;
        "PyDict_EVENT_DEALLOCATED" = api::watch_event::DICT_DEALLOCATED;
        "PY_CODE_EVENT_CREATE" = api::watch_event::CODE_CREATE;
        "PY_CODE_EVENT_DESTROY" = api::watch_event::CODE_DESTROY;
        "_Py_ADD_PENDING_FULL" = api::ADD_PENDING_FULL;
        "_Py_PENDING_MAINTHREADONLY" = api::PENDING_MAINTHREADONLY;
        "MAX_INTRINSIC_1 + 1" = api::N_INTRINSIC_1;
        "MAX_INTRINSIC_2 + 1" = api::N_INTRINSIC_2;
        "NB_OPARG_LAST + 1" = api::N_BINARY_OPS;
        "SPECIAL_MAX + 1" = api::N_SPECIAL_METHODS;
        "sizeof(_Py_CODEUNIT)" = core::mem::size_of::<crate::CodeUnit>();
    }
};
