//! `PyCodeObject` and the code unit.
//!
//! Invariant: `co_code_adaptive` is the last field, `Py_SIZE(code)` units follow from there; they are written by the
//! interpreter's specialiser, so read them with the GIL held. Read: `Include/cpython/code.h`, `pycore_structs.h`.

use crate::ffi::{self, PyObject};
use crate::monitoring::CoMonitoringData;
use crate::optimizer::ExecutorArray;
use crate::table::layout;
use core::ffi::{c_int, c_void};

/// `_Py_CODEUNIT`: opcode and oparg, or two bytes of an inline cache.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeUnit(pub u16);

impl CodeUnit {
    /// A unit from its two bytes.
    #[inline(always)]
    pub const fn new(opcode: u8, oparg: u8) -> CodeUnit {
        CodeUnit(u16::from_ne_bytes([opcode, oparg]))
    }

    /// The opcode byte.
    #[inline(always)]
    pub const fn opcode(self) -> u8 {
        self.0.to_ne_bytes()[0]
    }

    /// The oparg byte.
    #[inline(always)]
    pub const fn oparg(self) -> u8 {
        self.0.to_ne_bytes()[1]
    }
}

layout! {
    /// `PyCodeObject`.
    pub struct CodeObject = "PyCodeObject" {
        /// Header; `ob_size` is the number of code units.
        pub ob_base: ffi::PyVarObject,
        /// Tuple of constants.
        pub co_consts: *mut PyObject,
        /// Tuple of names.
        pub co_names: *mut PyObject,
        /// Bytes: handlers.
        pub co_exceptiontable: *mut PyObject,
        /// `co_flags`.
        pub co_flags: c_int,
        /// Arguments except `*args` and keyword-only ones.
        pub co_argcount: c_int,
        /// Positional-only arguments.
        pub co_posonlyargcount: c_int,
        /// Keyword-only arguments.
        pub co_kwonlyargcount: c_int,
        /// Slots of the evaluation stack.
        pub co_stacksize: c_int,
        /// First source line.
        pub co_firstlineno: c_int,
        /// Slots of locals, cells and free variables.
        pub co_nlocalsplus: c_int,
        /// Size of a frame in words.
        pub co_framesize: c_int,
        /// Locals.
        pub co_nlocals: c_int,
        /// Cells.
        pub co_ncellvars: c_int,
        /// Free variables.
        pub co_nfreevars: c_int,
        /// Version, copied into functions made from it.
        pub co_version: u32,
        /// Tuple: names of the slots.
        pub co_localsplusnames: *mut PyObject,
        /// Bytes: kinds of the slots.
        pub co_localspluskinds: *mut PyObject,
        /// `co_filename`.
        pub co_filename: *mut PyObject,
        /// `co_name`.
        pub co_name: *mut PyObject,
        /// `co_qualname`.
        pub co_qualname: *mut PyObject,
        /// Bytes: locations.
        pub co_linetable: *mut PyObject,
        /// Weak references.
        pub co_weakreflist: *mut PyObject,
        /// Executors that stand in the code, or NULL.
        pub co_executors: *mut ExecutorArray,
        /// Cached attributes.
        pub _co_cached: *mut c_void,
        /// Version of instrumentation that the code carries.
        pub _co_instrumentation_version: usize,
        /// Monitoring data, or NULL.
        pub _co_monitoring: *mut CoMonitoringData,
        /// Free-threaded builds only.
        pub _co_unique_id: ffi::Py_ssize_t,
        /// Index of the first RESUME.
        pub _co_firsttraceable: c_int,
        /// Private to `PyUnstable_Code_GetExtra`.
        pub co_extra: *mut c_void,
        /// The code units, adaptive.
        pub co_code_adaptive: [u8; 1],
    }
}

/// A function of two operands in a [`BinaryOpDescr`].
type OfOperands<T> = Option<unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> T>;

layout! {
    /// `_PyBinaryOpSpecializationDescr`: what a BINARY_OP_EXTEND does.
    pub struct BinaryOpDescr = "_PyBinaryOpSpecializationDescr" {
        /// `NB_*`.
        pub oparg: c_int,
        /// Whether the operands are of the kinds that it is for; runs no Python code.
        pub guard: OfOperands<c_int>,
        /// The operation.
        pub action: OfOperands<*mut PyObject>,
    }
}

/// Bits of [`CodeObject::co_flags`].
pub mod co_flags {
    use core::ffi::c_int;
    /// Uses fast locals.
    pub const OPTIMIZED: c_int = 0x1;
    /// New locals per call.
    pub const NEWLOCALS: c_int = 0x2;
    /// `*args`.
    pub const VARARGS: c_int = 0x4;
    /// `**kwargs`.
    pub const VARKEYWORDS: c_int = 0x8;
    /// Nested function.
    pub const NESTED: c_int = 0x10;
    /// Generator.
    pub const GENERATOR: c_int = 0x20;
    /// Coroutine.
    pub const COROUTINE: c_int = 0x80;
    /// `types.coroutine`.
    pub const ITERABLE_COROUTINE: c_int = 0x100;
    /// Asynchronous generator.
    pub const ASYNC_GENERATOR: c_int = 0x200;
    /// Never monitored.
    pub const NO_MONITORING_EVENTS: c_int = 0x200_0000;
    /// Has a docstring.
    pub const HAS_DOCSTRING: c_int = 0x400_0000;
    /// Defined in a class body.
    pub const METHOD: c_int = 0x800_0000;
}

/// Bits of a byte of [`CodeObject::co_localspluskinds`].
pub mod local_kind {
    /// Hidden: a comprehension's variable, inlined into the function.
    pub const HIDDEN: u8 = 0x10;
    /// A local.
    pub const LOCAL: u8 = 0x20;
    /// A cell.
    pub const CELL: u8 = 0x40;
    /// A free variable.
    pub const FREE: u8 = 0x80;
}

impl CodeObject {
    /// The first code unit (`_PyCode_CODE`).
    ///
    /// # Safety
    /// `this` points to a code object.
    #[inline(always)]
    pub unsafe fn units(this: *mut CodeObject) -> *mut CodeUnit {
        // SAFETY: the units start at the last field; its offset is a multiple of two.
        unsafe { (&raw mut (*this).co_code_adaptive).cast() }
    }

    /// How many code units there are.
    ///
    /// # Safety
    /// `this` points to a code object.
    #[inline(always)]
    pub unsafe fn len(this: *mut CodeObject) -> usize {
        // SAFETY: the caller's contract.
        unsafe { (*this).ob_base.ob_size as usize }
    }
}
