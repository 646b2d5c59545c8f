//! What compiling a code object left behind: machine code, its entry and exit tables, the objects it names.
//!
//! Invariant: while an artifact is a record's current one, every object whose address is in the machine code is alive: it
//! belongs to the code object, is immortal, is held here, or is watched by a weak reference whose end retires the code.
//! The memory is freed when the code object dies; a body runs only while a frame holds its code object, and whoever calls
//! a body pops the frame after the body has returned, so no body is ever freed under somebody's feet.

use crate::body::Body;
use crate::codemem::{CodeMemory, Piece};
use crate::gil::Gil;
use crate::kept::Kept;
use cendre_codegen::{Exit, ExitTable};
use cendre_cpython::ffi::PyObject;
use cendre_cpython::refcount;

/// All machine code.
pub static MEMORY: Gil<CodeMemory> = Gil::new(CodeMemory::new());

/// One compilation.
pub struct Artifact {
    pub piece: Piece,
    /// The unit of each entry; entry 0 is the first instruction.
    pub entries: Vec<u32>,
    pub exits: Vec<Exit>,
    /// Frame states of the exits: the machine code has its address.
    pub table: Box<ExitTable>,
    /// How often each exit was taken.
    pub leaves: Vec<u32>,
    /// Where it was translated for objects of one class: instruction and version tag.
    pub versions: Vec<(u32, i64)>,
    /// Strong references: objects that cannot be referred to weakly, and the weak references to those that can.
    pub holds: Vec<*mut PyObject>,
    pub kept: Kept,
}

impl Artifact {
    /// The body.
    pub fn body(&self) -> Body {
        // SAFETY: the piece holds a function that code generation made with the signature of a body.
        unsafe { std::mem::transmute::<usize, Body>(self.piece.address) }
    }

    /// The entry for an instruction.
    pub fn entry_at(&self, unit: u32) -> Option<u64> {
        self.entries.iter().position(|u| *u == unit).map(|i| i as u64)
    }

    /// Gives memory and references back.
    ///
    /// # Safety
    /// The GIL is held; no body of this artifact is on any stack.
    pub unsafe fn free(self) {
        // SAFETY: the caller's contract.
        unsafe {
            MEMORY.get().free(self.piece);
            for o in self.holds {
                refcount::decref(o);
            }
            self.kept.give_up();
        }
    }
}
