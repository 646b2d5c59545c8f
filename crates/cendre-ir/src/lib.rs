//! cendre's intermediate representation: SSA over Python objects and unboxed numbers, with frame states as operands.
//!
//! Holds the lattice of types, one table of instructions, functions; printer, parser, verifier and a reference interpreter
//! derive from them. Knows neither Python nor Cranelift: objects are ids ([`ObjId`]). Read docs/internals/ir.md.
#![forbid(unsafe_code)]

pub mod arith;
pub mod dom;
pub mod filetest;
pub mod forgotten;
pub mod function;
pub mod hash;
pub mod inst;
pub mod interp;
pub mod parse;
pub mod print;
pub mod types;
pub mod verify;

pub use function::{
    AwaitSite, Block, BlockData, Def, Entry, FrameState, Function, Handler, Imm, Inst, InstData, StackEntry, Stale, State, Target, Value,
    origin,
};
pub use inst::{Arg, Cond, ImmKind, Op, Res, effect, form};
pub use types::{Kinds, ObjId, Type};
