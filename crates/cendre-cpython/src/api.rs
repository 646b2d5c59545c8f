//! Functions and tables that CPython 3.14 exports but does not document.
//!
//! Invariant: every name here is in the dynamic symbol table of a stock 3.14 (`nm -D`; the test `exports.rs` looks), and the
//! signature is that of the header named above the group. What is not exported is not declared.
//! Read: the headers under `Include/internal`.

use crate::code::{CodeObject, CodeUnit};
use crate::dict::DictObject;
use crate::ffi::{self, PyFrameObject, PyInterpreterState, PyObject, PyTypeObject};
use crate::funcobject::FunctionObject;
use crate::genobject::GenObject;
use crate::interpframe::Frame;
use crate::listobject::ListObject;
use crate::longobject::LongObject;
use crate::optimizer::ExecutorObject;
use crate::stackref::StackRef;
use crate::tstate::ThreadState;
use core::ffi::{c_char, c_int, c_uint, c_void};

/// Entry of [`_PyIntrinsics_UnaryFunctions`].
#[repr(C)]
pub struct IntrinsicFunc1Info {
    /// The function.
    pub func: unsafe extern "C" fn(*mut ThreadState, *mut PyObject) -> *mut PyObject,
    /// Its name.
    pub name: *const c_char,
}

/// `PyMonitoringState`: the tools that hear of an event, as bits.
#[repr(C)]
pub struct MonitoringState {
    /// Tools.
    pub active: u8,
    /// CPython's.
    pub opaque: u8,
}

/// Entry of [`_PyIntrinsics_BinaryFunctions`].
#[repr(C)]
pub struct IntrinsicFunc2Info {
    /// The function.
    pub func: unsafe extern "C" fn(*mut ThreadState, *mut PyObject, *mut PyObject) -> *mut PyObject,
    /// Its name.
    pub name: *const c_char,
}

/// Entry of [`_Py_SpecialMethods`].
#[repr(C)]
pub struct SpecialMethod {
    /// `__enter__` and the like, interned.
    pub name: *mut PyObject,
    /// Format of the error.
    pub error: *const c_char,
    /// Format of the error that suggests the other protocol.
    pub error_suggestion: *const c_char,
}

/// `PyFunction_WatchCallback`: event, function, new value.
pub type FunctionWatchCallback = unsafe extern "C" fn(c_int, *mut FunctionObject, *mut PyObject) -> c_int;
/// `PyType_WatchCallback`: the type that was modified.
pub type TypeWatchCallback = unsafe extern "C" fn(*mut PyTypeObject) -> c_int;
/// `PyDict_WatchCallback`: event, dict, key, new value.
pub type DictWatchCallback = unsafe extern "C" fn(c_int, *mut PyObject, *mut PyObject, *mut PyObject) -> c_int;
/// `PyCode_WatchCallback`: event, code.
pub type CodeWatchCallback = unsafe extern "C" fn(c_int, *mut CodeObject) -> c_int;

/// Events of watchers.
pub mod watch_event {
    use core::ffi::c_int;
    /// A function was made.
    pub const FUNCTION_CREATE: c_int = 0;
    /// A function goes.
    pub const FUNCTION_DESTROY: c_int = 1;
    /// `__code__` is about to change.
    pub const FUNCTION_MODIFY_CODE: c_int = 2;
    /// `__defaults__` is about to change.
    pub const FUNCTION_MODIFY_DEFAULTS: c_int = 3;
    /// `__kwdefaults__` is about to change.
    pub const FUNCTION_MODIFY_KWDEFAULTS: c_int = 4;
    /// A key was added.
    pub const DICT_ADDED: c_int = 0;
    /// A value is about to change.
    pub const DICT_MODIFIED: c_int = 1;
    /// A key is about to go.
    pub const DICT_DELETED: c_int = 2;
    /// All comes from another dict.
    pub const DICT_CLONED: c_int = 3;
    /// All is about to go.
    pub const DICT_CLEARED: c_int = 4;
    /// The dict goes.
    pub const DICT_DEALLOCATED: c_int = 5;
    /// A code object was made.
    pub const CODE_CREATE: c_int = 0;
    /// A code object goes.
    pub const CODE_DESTROY: c_int = 1;
}

/// `_PyEval_AddPendingCall`: the queue was full.
pub const ADD_PENDING_FULL: c_int = -1;
/// `_PyEval_AddPendingCall`: for the main thread only.
pub const PENDING_MAINTHREADONLY: c_int = 1;
/// Entries of [`_PyIntrinsics_UnaryFunctions`].
pub const N_INTRINSIC_1: usize = 12;
/// Entries of [`_PyIntrinsics_BinaryFunctions`].
pub const N_INTRINSIC_2: usize = 6;
/// Entries of [`_PyEval_BinaryOps`] (`NB_OPARG_LAST + 1`).
pub const N_BINARY_OPS: usize = 27;
/// Entries of [`_Py_SpecialMethods`].
pub const N_SPECIAL_METHODS: usize = 4;

macro_rules! exported {
    (
        functions { $($(#[$fm:meta])* pub fn $f:ident($($a:ident: $t:ty),*) $(-> $r:ty)?;)* }
        data { $($(#[$dm:meta])* pub static $d:ident: $dt:ty;)* }
    ) => {
        #[allow(missing_docs, reason = "CPython's own names; what they do is in the header named above each group")]
        unsafe extern "C" {
            $($(#[$fm])* pub fn $f($($a: $t),*) $(-> $r)?;)*
            $($(#[$dm])* pub static $d: $dt;)*
        }
        /// Every name declared here, for the test that looks them up in the interpreter.
        pub const EXPORTED: &[&str] = &["_PyRuntime", $(stringify!($f),)* $(stringify!($d),)*];
    };
}

exported! {
    functions {
        // pycore_ceval.h, cpython/ceval.h
        pub fn _PyEval_EvalFrameDefault(ts: *mut ThreadState, frame: *mut Frame, throwflag: c_int) -> *mut PyObject;
        pub fn _PyEval_AddPendingCall(interp: *mut PyInterpreterState, func: unsafe extern "C" fn(*mut c_void) -> c_int, arg: *mut c_void, flags: c_int) -> c_int;
        pub fn _PyEval_FrameClearAndPop(ts: *mut ThreadState, frame: *mut Frame);
        pub fn _PyEval_CheckExceptStarTypeValid(ts: *mut ThreadState, right: *mut PyObject) -> c_int;
        pub fn _PyEval_CheckExceptTypeValid(ts: *mut ThreadState, right: *mut PyObject) -> c_int;
        pub fn _PyEval_ExceptionGroupMatch(frame: *mut Frame, exc: *mut PyObject, match_type: *mut PyObject, matched: *mut *mut PyObject, rest: *mut *mut PyObject) -> c_int;
        pub fn _PyEval_FormatAwaitableError(ts: *mut ThreadState, ty: *mut PyTypeObject, oparg: c_int);
        pub fn _PyEval_FormatExcCheckArg(ts: *mut ThreadState, exc: *mut PyObject, format: *const c_char, obj: *mut PyObject);
        pub fn _PyEval_FormatExcUnbound(ts: *mut ThreadState, co: *mut CodeObject, oparg: c_int);
        pub fn _PyEval_FormatKwargsError(ts: *mut ThreadState, func: *mut PyObject, kwargs: *mut PyObject);
        pub fn _PyEval_ImportFrom(ts: *mut ThreadState, module: *mut PyObject, name: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_ImportName(ts: *mut ThreadState, frame: *mut Frame, name: *mut PyObject, fromlist: *mut PyObject, level: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_MatchClass(ts: *mut ThreadState, subject: *mut PyObject, ty: *mut PyObject, nargs: ffi::Py_ssize_t, kwargs: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_MatchKeys(ts: *mut ThreadState, map: *mut PyObject, keys: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_NoToolsForUnwind(ts: *mut ThreadState) -> bool;
        pub fn _PyMonitoring_FireExceptionHandledEvent(state: *mut MonitoringState, code: *mut PyObject, offset: i32) -> c_int;
        pub fn _PyMonitoring_FirePyUnwindEvent(state: *mut MonitoringState, code: *mut PyObject, offset: i32) -> c_int;
        pub fn _PyMonitoring_FireRaiseEvent(state: *mut MonitoringState, code: *mut PyObject, offset: i32) -> c_int;
        pub fn _PyMonitoring_FireReraiseEvent(state: *mut MonitoringState, code: *mut PyObject, offset: i32) -> c_int;
        pub fn _PyEval_MonitorRaise(ts: *mut ThreadState, frame: *mut Frame, instr: *mut CodeUnit);
        pub fn _PyEval_UnpackIterableStackRef(ts: *mut ThreadState, v: *mut PyObject, argcnt: c_int, argcntafter: c_int, sp: *mut StackRef) -> c_int;
        pub fn _PyEval_GetANext(aiter: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_GetAwaitable(iterable: *mut PyObject, oparg: c_int) -> *mut PyObject;
        pub fn _PyEval_LoadGlobalStackRef(globals: *mut PyObject, builtins: *mut PyObject, name: *mut PyObject, writeto: *mut StackRef);
        pub fn _PyEval_LoadName(ts: *mut ThreadState, frame: *mut Frame, name: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_SpecialMethodCanSuggest(this: *mut PyObject, oparg: c_int) -> c_int;
        pub fn _PyEval_SliceIndex(v: *mut PyObject, out: *mut ffi::Py_ssize_t) -> c_int;
        pub fn _PyEval_GetBuiltin(name: *mut PyObject) -> *mut PyObject;
        pub fn _PyEval_MakePendingCalls(ts: *mut ThreadState) -> c_int;
        pub fn _Py_Check_ArgsIterable(ts: *mut ThreadState, func: *mut PyObject, args: *mut PyObject) -> c_int;
        pub fn _Py_CheckRecursiveCall(ts: *mut ThreadState, place: *const c_char) -> c_int;
        pub fn _Py_ReachedRecursionLimitWithMargin(ts: *mut ThreadState, margin: c_int) -> c_int;
        pub fn _Py_HandlePending(ts: *mut ThreadState) -> c_int;
        pub fn _Py_LoadAttr_StackRefSteal(ts: *mut ThreadState, owner: StackRef, name: *mut PyObject, self_or_null: *mut StackRef) -> StackRef;
        pub fn _Py_MakeCoro(func: *mut FunctionObject) -> *mut PyObject;
        pub fn _PyObjectArray_FromStackRefArray(input: *mut StackRef, nargs: ffi::Py_ssize_t, scratch: *mut *mut PyObject) -> *mut *mut PyObject;
        pub fn _PyObjectArray_Free(array: *mut *mut PyObject, scratch: *mut *mut PyObject);
        pub fn _PyInterpreterState_GetEvalFrameFunc(interp: *mut PyInterpreterState) -> *mut c_void;
        // pycore_interpframe.h, pycore_frame.h, traceback.h
        pub fn _PyEvalFramePushAndInit(ts: *mut ThreadState, func: StackRef, locals: *mut PyObject, args: *const StackRef, argcount: usize, kwnames: *mut PyObject, previous: *mut Frame) -> *mut Frame;
        pub fn _PyThreadState_PopFrame(ts: *mut ThreadState, frame: *mut Frame);
        pub fn PyTraceBack_Here(frame: *mut PyFrameObject) -> c_int;
        // pycore_function.h, pycore_genobject.h
        pub fn PyFunction_SetVectorcall(func: *mut FunctionObject, call: ffi::vectorcallfunc);
        pub fn _PyFunction_SetVersion(func: *mut FunctionObject, version: u32);
        pub fn _PyCoro_GetAwaitableIter(o: *mut PyObject) -> *mut PyObject;
        pub fn _PyGen_yf(gener: *mut GenObject) -> *mut PyObject;
        pub fn _PyGen_FetchStopIterationValue(value: *mut *mut PyObject) -> c_int;
        pub fn _PyGen_SetStopIterationValue(value: *mut PyObject) -> c_int;
        // watchers: cpython/funcobject.h, object.h, dictobject.h, code.h (missing in pyo3-ffi)
        pub fn PyFunction_AddWatcher(callback: FunctionWatchCallback) -> c_int;
        pub fn PyFunction_ClearWatcher(watcher: c_int) -> c_int;
        pub fn PyType_AddWatcher(callback: TypeWatchCallback) -> c_int;
        pub fn PyType_ClearWatcher(watcher: c_int) -> c_int;
        pub fn PyType_Watch(watcher: c_int, ty: *mut PyObject) -> c_int;
        pub fn PyType_Unwatch(watcher: c_int, ty: *mut PyObject) -> c_int;
        pub fn PyDict_AddWatcher(callback: DictWatchCallback) -> c_int;
        pub fn PyCode_AddWatcher(callback: CodeWatchCallback) -> c_int;
        pub fn PyCode_ClearWatcher(watcher: c_int) -> c_int;
        // public functions that pyo3-ffi does not declare
        pub fn PyMethod_New(func: *mut PyObject, this: *mut PyObject) -> *mut PyObject;
        pub fn PyCode_Addr2Location(code: *mut CodeObject, byte_offset: c_int, line: *mut c_int, column: *mut c_int, end_line: *mut c_int, end_column: *mut c_int) -> c_int;
        pub fn PyUnstable_Exc_PrepReraiseStar(orig: *mut PyObject, excs: *mut PyObject) -> *mut PyObject;
        pub fn PyUnstable_ThreadState_SetStackProtection(ts: *mut ThreadState, start: *mut c_void, size: usize) -> c_int;
        pub fn PyUnstable_WritePerfMapEntry(code: *const c_void, size: c_uint, name: *const c_char) -> c_int;
        // pycore_optimizer.h (in builds with the JIT only; looked up by name: see `optional`)
        // pycore_pyerrors.h
        pub fn _PyErr_Clear(ts: *mut ThreadState);
        pub fn _PyErr_ExceptionMatches(ts: *mut ThreadState, exc: *mut PyObject) -> c_int;
        pub fn _PyErr_GetRaisedException(ts: *mut ThreadState) -> *mut PyObject;
        pub fn _PyErr_SetRaisedException(ts: *mut ThreadState, exc: *mut PyObject);
        pub fn _PyErr_SetString(ts: *mut ThreadState, exc: *mut PyObject, message: *const c_char);
        pub fn _PyErr_SetKeyError(key: *mut PyObject);
        pub fn _PyErr_ChainExceptions1(exc: *mut PyObject);
        // object.h, pycore_object.h, pycore_typeobject.h, pycore_call.h, pycore_abstract.h
        pub fn _Py_Dealloc(op: *mut PyObject);
        // cpython/object.h; the tracer is a function, here a word
        pub fn PyRefTracer_GetTracer(data: *mut *mut c_void) -> *mut c_void;
        pub fn PyRefTracer_SetTracer(tracer: *mut c_void, data: *mut c_void) -> c_int;
        pub fn _PyObject_GetMethod(obj: *mut PyObject, name: *mut PyObject, method: *mut *mut PyObject) -> c_int;
        pub fn _PyObject_LookupSpecial(obj: *mut PyObject, name: *mut PyObject) -> *mut PyObject;
        pub fn _PyObject_LookupSpecialMethod(attr: *mut PyObject, method_and_self: *mut StackRef) -> c_int;
        pub fn _PyObject_MakeTpCall(ts: *mut ThreadState, callable: *mut PyObject, args: *const *mut PyObject, nargs: ffi::Py_ssize_t, keywords: *mut PyObject) -> *mut PyObject;
        pub fn _PyObject_FunctionStr(func: *mut PyObject) -> *mut PyObject;
        pub fn _PyObject_GetDictPtr(obj: *mut PyObject) -> *mut *mut PyObject;
        pub fn _PySuper_Lookup(su_type: *mut PyTypeObject, su_obj: *mut PyObject, name: *mut PyObject, meth_found: *mut c_int) -> *mut PyObject;
        pub fn _PyType_Lookup(ty: *mut PyTypeObject, name: *mut PyObject) -> *mut PyObject;
        pub fn _PyType_LookupRef(ty: *mut PyTypeObject, name: *mut PyObject) -> *mut PyObject;
        pub fn PyUnstable_Type_AssignVersionTag(ty: *mut PyTypeObject) -> c_int;
        pub fn _PyType_SetVersion(ty: *mut PyTypeObject, version: c_uint);
        pub fn _PyType_AllocNoTrack(ty: *mut PyTypeObject, nitems: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PyType_NewManagedObject(ty: *mut PyTypeObject) -> *mut PyObject;
        pub fn _PyNumber_Index(o: *mut PyObject) -> *mut PyObject;
        pub fn _Py_CheckFunctionResult(ts: *mut ThreadState, callable: *mut PyObject, result: *mut PyObject, place: *const c_char) -> *mut PyObject;
        // pycore_dict.h, pycore_list.h, pycore_tuple.h, pycore_setobject.h, pycore_sliceobject.h
        pub fn _PyDict_SetItem_Take2(d: *mut DictObject, key: *mut PyObject, value: *mut PyObject) -> c_int;
        pub fn _PyDict_MergeEx(d: *mut PyObject, other: *mut PyObject, overriding: c_int) -> c_int;
        pub fn _PyDict_FromItems(keys: *const *mut PyObject, keys_offset: ffi::Py_ssize_t, values: *const *mut PyObject, values_offset: ffi::Py_ssize_t, length: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PyDict_SendEvent(watchers: c_int, event: c_int, d: *mut DictObject, key: *mut PyObject, value: *mut PyObject);
        pub fn _PyDict_LoadGlobal(globals: *mut DictObject, builtins: *mut DictObject, name: *mut PyObject) -> *mut PyObject;
        pub fn _PyDict_GetItem_KnownHash(d: *mut PyObject, key: *mut PyObject, hash: ffi::Py_hash_t) -> *mut PyObject;
        pub fn _PyDict_SetItem_KnownHash(d: *mut PyObject, key: *mut PyObject, value: *mut PyObject, hash: ffi::Py_hash_t) -> c_int;
        pub fn _PyList_AppendTakeRefListResize(list: *mut ListObject, item: *mut PyObject) -> c_int;
        pub fn _PyList_Extend(list: *mut ListObject, iterable: *mut PyObject) -> *mut PyObject;
        pub fn _PyList_AsTupleAndClear(list: *mut ListObject) -> *mut PyObject;
        pub fn _PyList_FromStackRefStealOnSuccess(src: *const StackRef, n: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PyList_SliceSubscript(list: *mut PyObject, slice: *mut PyObject) -> *mut PyObject;
        pub fn _PyTuple_FromArray(src: *const *mut PyObject, n: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PyTuple_FromArraySteal(src: *const *mut PyObject, n: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PyTuple_FromStackRefStealOnSuccess(src: *const StackRef, n: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PySet_AddTakeRef(set: *mut PyObject, key: *mut PyObject) -> c_int;
        pub fn _PySet_Update(set: *mut PyObject, iterable: *mut PyObject) -> c_int;
        pub fn _PySlice_FromIndices(start: ffi::Py_ssize_t, stop: ffi::Py_ssize_t) -> *mut PyObject;
        // pycore_long.h, pycore_floatobject.h, pycore_unicodeobject.h, pycore_template.h
        pub fn _PyLong_Add(a: *mut LongObject, b: *mut LongObject) -> *mut PyObject;
        pub fn _PyLong_Subtract(a: *mut LongObject, b: *mut LongObject) -> *mut PyObject;
        pub fn _PyLong_Multiply(a: *mut LongObject, b: *mut LongObject) -> *mut PyObject;
        pub fn _PyLong_ExactDealloc(o: *mut PyObject);
        pub fn _PyFloat_ExactDealloc(o: *mut PyObject);
        pub fn _PyUnicode_ExactDealloc(o: *mut PyObject);
        pub fn _PyUnicode_JoinArray(separator: *mut PyObject, items: *const *mut PyObject, n: ffi::Py_ssize_t) -> *mut PyObject;
        pub fn _PyUnicode_Equal(a: *mut PyObject, b: *mut PyObject) -> c_int;
        pub fn _PyTemplate_Build(strings: *mut PyObject, interpolations: *mut PyObject) -> *mut PyObject;
        pub fn _PyInterpolation_Build(value: *mut PyObject, text: *mut PyObject, conversion: c_int, format_spec: *mut PyObject) -> *mut PyObject;
    }
    data {
        /// The type of bound methods (for its address; the interpreter writes to it).
        pub static PyMethod_Type: PyTypeObject;
        /// Objects of `asend()` and `__anext__()` of asynchronous generators.
        pub static _PyAsyncGenASend_Type: PyTypeObject;
        /// Functions of BINARY_OP by oparg.
        pub static _PyEval_BinaryOps: [unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject; N_BINARY_OPS];
        /// Functions of CONVERT_VALUE by oparg (1 str, 2 repr, 3 ascii; 0 is empty).
        pub static _PyEval_ConversionFuncs: [Option<unsafe extern "C" fn(*mut PyObject) -> *mut PyObject>; 4];
        /// Functions of CALL_INTRINSIC_1 by oparg.
        pub static _PyIntrinsics_UnaryFunctions: [IntrinsicFunc1Info; N_INTRINSIC_1];
        /// Functions of CALL_INTRINSIC_2 by oparg.
        pub static _PyIntrinsics_BinaryFunctions: [IntrinsicFunc2Info; N_INTRINSIC_2];
        /// Methods of LOAD_SPECIAL by oparg.
        pub static _Py_SpecialMethods: [SpecialMethod; N_SPECIAL_METHODS];
        /// Offsets of a function's fields that SET_FUNCTION_ATTRIBUTE stores, by oparg.
        pub static _Py_FunctionAttributeOffsets: [usize; 17];
        /// The code object of the shim under a specialised `__init__`, in read-only memory.
        pub static _Py_InitCleanup: [u8; 0];
    }
}

/// Functions that only builds with CPython's JIT export, found by name at run time.
pub mod optional {
    use super::{CodeObject, ExecutorObject, c_int, c_void};
    use core::ffi::CStr;

    fn lookup(name: &CStr) -> *mut c_void {
        // SAFETY: dlsym with a valid string; RTLD_DEFAULT searches what is loaded already.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    }

    /// `_Py_GetExecutor(code, offset)`.
    pub fn get_executor() -> Option<unsafe extern "C" fn(*mut CodeObject, c_int) -> *mut ExecutorObject> {
        let f = lookup(c"_Py_GetExecutor");
        // SAFETY: either NULL (None) or the function with the header's signature.
        unsafe { core::mem::transmute(f) }
    }

    /// `_Py_Executors_InvalidateAll(interp, is_invalidation)`.
    pub fn executors_invalidate_all() -> Option<unsafe extern "C" fn(*mut super::PyInterpreterState, c_int)> {
        let f = lookup(c"_Py_Executors_InvalidateAll");
        // SAFETY: either NULL (None) or the function with the header's signature.
        unsafe { core::mem::transmute(f) }
    }
}
