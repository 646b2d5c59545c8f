//! What cendre knows of CPython 3.14's bytecode: opcodes, decoder, exception and line tables.
//!
//! Holds: `opcode` (one table, a row an opcode), `decode` (adaptive code bytes to instructions with their inline
//! caches), `exception_table` and `line_table` (the two compressed side tables of a code object).
//! Invariant: everything here reads plain bytes and no Python object; arbitrary bytes give an error, never a panic,
//! and what decodes without an error is well formed (every jump lands on an instruction, control never runs off the end).
//! Read `opcode` first, then `decode`.
#![forbid(unsafe_code)]

pub mod decode;
pub mod exception_table;
pub mod facts;
pub mod line_table;
pub mod opcode;
pub mod prospect;
pub mod translate;

pub use decode::{DecodeError, Instr, decode};
pub use exception_table::{ExceptionTable, Handler};
pub use line_table::{LineTable, Location};
pub use opcode::{Edge, JumpKind, Opcode, StackEffect};
