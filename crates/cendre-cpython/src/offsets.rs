//! The offsets that machine code needs, and the list of all layout tables.
//!
//! Invariant: every number here is computed from the declarations (`offset_of!`), so there is one truth; offsets are `i32`
//! because that is what an instruction's displacement is. Nothing here names a symbol of libpython.
//! Read: `docs/internals/layout.md`.

use crate::table::StructLayout;
use crate::{
    cell::CellObject,
    code::CodeObject,
    dict::{DictKeys, DictObject, DictValues, KeyEntry, UnicodeEntry},
    ffi::{PyObject, PyTypeObject, PyVarObject},
    floatobject::FloatObject,
    frameobject::FrameObject,
    funcobject::FunctionObject,
    gc::GcHead,
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
    runtime::DebugOffsets,
    tstate::{
        ErrStackItem, LlistNode, RemoteDebuggerSupport, StackChunk, ThreadState, ThreadStateImpl,
    },
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
    DebugOffsets::LAYOUT,
    interp::LAYOUT,
];
