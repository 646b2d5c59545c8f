//! Executors (`_PyExecutorObject`): the objects behind an ENTER_EXECUTOR instruction.
//!
//! Invariant: [`VmData::flags`] packs `valid` (bit 0), `linked` (bit 1) and `chain_depth` (bits 2 to 7), as the C bit
//! fields are laid out on little-endian targets; the probe checks it. Read: `Include/internal/pycore_optimizer.h`.

use crate::code::{CodeObject, CodeUnit};
use crate::ffi::{self, PyObject};
use crate::interpframe::Frame;
use crate::stackref::StackRef;
use crate::table::layout;
use crate::tstate::ThreadState;
use core::ffi::{c_int, c_void};

/// What `jit_code` points to: enters native code from ENTER_EXECUTOR. Returns the next instruction to interpret, or NULL
/// with an exception set and `instr_ptr` at the raising instruction.
pub type JitFunc = unsafe extern "C" fn(*mut Frame, *mut StackRef, *mut ThreadState) -> *mut CodeUnit;

layout! {
    /// `_PyExecutorLinkListNode`.
    #[derive(Debug)]
    pub struct ExecutorLinkListNode = "_PyExecutorLinkListNode" {
        /// Next.
        pub next: *mut ExecutorObject,
        /// Previous.
        pub previous: *mut ExecutorObject,
    }

    /// `_PyVMData`.
    #[derive(Debug)]
    pub struct VmData = "_PyVMData" {
        /// The instruction that ENTER_EXECUTOR replaced.
        pub opcode: u8,
        /// Its oparg.
        pub oparg: u8,
        /// Bit fields: see `vm_flags`.
        pub flags = "": u8,
        /// Run lately.
        pub warm: u8,
        /// Code unit of the ENTER_EXECUTOR.
        pub index: c_int,
        /// What it depends on.
        pub bloom: [u32; 8],
        /// The interpreter's list of executors.
        pub links: ExecutorLinkListNode,
        /// The code object, borrowed, or NULL once detached.
        pub code: *mut CodeObject,
    }

    /// `_PyExitData`.
    #[derive(Debug)]
    pub struct ExitData = "_PyExitData" {
        /// Where the exit goes.
        pub target: u32,
        /// Backoff counter.
        pub temperature: u16,
        /// The executor behind the exit.
        pub executor: *mut ExecutorObject,
    }

    /// `_PyExecutorObject`.
    #[derive(Debug)]
    pub struct ExecutorObject = "struct _PyExecutorObject" {
        /// Header.
        pub ob_base: ffi::PyVarObject,
        /// Micro-ops.
        pub trace: *const c_void,
        /// What the interpreter reads.
        pub vm_data: VmData,
        /// Exits.
        pub exit_count: u32,
        /// Micro-ops in `trace`.
        pub code_size: u32,
        /// Bytes of machine code.
        pub jit_size: usize,
        /// A [`JitFunc`], or NULL.
        pub jit_code: *mut c_void,
        /// Entry for CPython's own machine code (another calling convention).
        pub jit_side_entry: *mut c_void,
        /// The exits.
        pub exits: [ExitData; 1],
    }

    /// `_PyExecutorArray`: `co_executors`.
    #[derive(Debug)]
    pub struct ExecutorArray = "_PyExecutorArray" {
        /// In use.
        pub size: c_int,
        /// Allocated.
        pub capacity: c_int,
        /// The executors; ENTER_EXECUTOR's oparg is an index here.
        pub executors: [*mut ExecutorObject; 1],
    }
}

/// Bits of [`VmData::flags`].
pub mod vm_flags {
    /// Not invalidated.
    pub const VALID: u8 = 1;
    /// In the interpreter's list.
    pub const LINKED: u8 = 2;
    /// Shift of the chain depth.
    pub const CHAIN_DEPTH_SHIFT: u32 = 2;
}

/// `MAX_EXECUTORS_SIZE`: the oparg of ENTER_EXECUTOR is one byte.
pub const MAX_EXECUTORS: c_int = 256;

const _: () = assert!(core::mem::align_of::<ExecutorObject>() == core::mem::align_of::<PyObject>());
