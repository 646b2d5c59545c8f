//! What the interpreter asks of the world of Python objects.
//!
//! Invariant: the interpreter decides control flow and ownership; the world holds objects and their counts, and answers what an
//! instruction finds on the heap or gets from a call. Read mod.rs beside this file.

use crate::function::Imm;
use crate::inst::Op;
use crate::types::ObjId;

/// An object of a world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjRef(pub u32);

/// A value while the function runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Val {
    Null,
    Obj(ObjRef),
    Int(i64),
    Float(f64),
    Bool(bool),
    Ptr(u64),
}

/// What the world answers to an instruction.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// Its results; owned where the row says so.
    Values(Vec<Val>),
    /// Its guard fails.
    Leave,
    /// An exception was set.
    Raise,
}

/// Objects, their references, the heap and calls.
pub trait World {
    /// The object that a constant names: borrowed, it lives for ever.
    fn constant(&mut self, id: ObjId) -> ObjRef;
    /// One more reference.
    fn own(&mut self, r: ObjRef);
    /// One reference less. `Err`: there was none left.
    fn release(&mut self, r: ObjRef) -> Result<(), String>;
    /// A new reference to the object for an unboxed value.
    fn box_value(&mut self, v: Val) -> ObjRef;
    /// The number in an exact `int` (of 64 bits), `float` or `bool`.
    fn unbox(&self, r: ObjRef) -> Option<Val>;
    /// Is this its exact class?
    fn class_is(&self, r: ObjRef, class: ObjId) -> bool;
    /// Is this its type's version tag?
    fn version_is(&self, r: ObjRef, version: i64) -> bool;
    /// Takes the exception that is set: owned.
    fn exception(&mut self) -> Option<ObjRef>;
    /// Everything else: heap, iterators, calls, checks. Does not drop arguments, except those that the row stores.
    fn perform(&mut self, op: Op, imm: &Imm, args: &[Val], results: usize) -> Result<Answer, String>;
}
