//! `_PyInterpreterFrame`: the one format in which an activation is seen.
//!
//! Invariant: field order and types are those of `Include/internal/pycore_interpframe_structs.h` of 3.14 (GIL, release).
//! What must hold of a frame while compiled code runs is in `docs/internals/contracts.md`.

use crate::code::{CodeObject, CodeUnit};
use crate::ffi::{PyFrameObject, PyObject};
use crate::funcobject::FunctionObject;
use crate::stackref::StackRef;
use crate::table::layout;

layout! {
    /// `_PyInterpreterFrame`.
    #[derive(Debug)]
    pub struct Frame = "struct _PyInterpreterFrame" {
        /// The code object (or None), strong.
        pub f_executable: StackRef,
        /// The caller's frame.
        pub previous: *mut Frame,
        /// The function, strong or borrowed.
        pub f_funcobj: StackRef,
        /// Borrowed.
        pub f_globals: *mut PyObject,
        /// Borrowed.
        pub f_builtins: *mut PyObject,
        /// Strong, may be NULL.
        pub f_locals: *mut PyObject,
        /// Strong, NULL while nobody has looked at the frame.
        pub frame_obj: *mut PyFrameObject,
        /// The instruction being executed, or about to begin.
        pub instr_ptr: *mut CodeUnit,
        /// One past the top of the evaluation stack.
        pub stackpointer: *mut StackRef,
        /// Code units from a call to where the callee's return continues; set only during an inlined call.
        pub return_offset: u16,
        /// One of `frame_owner`.
        pub owner: u8,
        /// Scratch of the collector.
        pub visited: u8,
        /// Locals, cells and free variables, then the evaluation stack.
        pub localsplus: [StackRef; 1],
    }
}

/// Values of [`Frame::owner`].
pub mod frame_owner {
    /// On a thread's data stack.
    pub const THREAD: u8 = 0;
    /// Inside a generator or coroutine object.
    pub const GENERATOR: u8 = 1;
    /// Inside a frame object (the activation is over).
    pub const FRAME_OBJECT: u8 = 2;
    /// The interpreter's own entry frame; it and all above are no Python frames.
    pub const INTERPRETER: u8 = 3;
    /// On the C stack.
    pub const CSTACK: u8 = 4;
}

/// `FRAME_SPECIALS_SIZE`: words of a frame before its locals.
pub const FRAME_SPECIALS_SIZE: usize = (core::mem::size_of::<Frame>() - 1) / core::mem::size_of::<*mut PyObject>();

impl Frame {
    /// The code object. Not for frames of the interpreter itself (see `frame_owner`).
    #[inline(always)]
    pub fn code(&self) -> *mut CodeObject {
        self.f_executable.as_ptr().cast()
    }

    /// The function object.
    #[inline(always)]
    pub fn func(&self) -> *mut FunctionObject {
        self.f_funcobj.as_ptr().cast()
    }

    /// First slot of locals, cells and free variables.
    ///
    /// # Safety
    /// `this` points to a frame.
    #[inline(always)]
    pub unsafe fn locals(this: *mut Frame) -> *mut StackRef {
        // SAFETY: the array member has one element declared and as many as the code's framesize says behind it.
        unsafe { (&raw mut (*this).localsplus).cast() }
    }

    /// Bottom of the evaluation stack.
    ///
    /// # Safety
    /// `this` points to a frame of a code object.
    #[inline(always)]
    pub unsafe fn stack_base(this: *mut Frame) -> *mut StackRef {
        // SAFETY: the caller's contract; the stack follows the locals.
        unsafe { Frame::locals(this).add((*(*this).code()).co_nlocalsplus as usize) }
    }

    /// Index of `instr_ptr` in the code, in code units.
    ///
    /// # Safety
    /// `this` points to a frame of a code object.
    #[inline(always)]
    pub unsafe fn instr_index(this: *mut Frame) -> isize {
        // SAFETY: instr_ptr points into the code's own units.
        unsafe { (*this).instr_ptr.offset_from(CodeObject::units((*this).code())) }
    }

    /// `_PyFrame_IsIncomplete`: a frame that no observer may see (before its first RESUME, or not a Python frame).
    ///
    /// # Safety
    /// `this` points to a frame.
    #[inline]
    pub unsafe fn is_incomplete(this: *mut Frame) -> bool {
        // SAFETY: the caller's contract; owner is looked at before the code object is.
        unsafe {
            if (*this).owner >= frame_owner::INTERPRETER {
                return true;
            }
            let code = (*this).code();
            (*this).owner != frame_owner::GENERATOR && (*this).instr_ptr < CodeObject::units(code).add((*code)._co_firsttraceable as usize)
        }
    }
}
