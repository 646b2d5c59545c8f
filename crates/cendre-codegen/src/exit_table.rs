//! Frame states as data: what an exit of machine code hands to the runtime, which writes it to the frame.
//!
//! An exit stores the raw words of its frame state one after the other (stale locals, then the eval stack) and names a row;
//! boxes, tags and pointers are the runtime's work (`cendre-runtime/src/exits.rs`). As machine code that work was nearly half of
//! all that was compiled, and almost none of it ever ran.
//! Invariant: a row and the words that its exits store are in the same order. Read docs/internals/codegen.md, "Exits".

/// How the word of one value is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// An unboxed integer.
    Int,
    /// The bits of a double.
    Float,
    /// An unboxed integer whose object is the one in this slot, if that is the same number.
    IntIn(u32),
    /// The same of a double.
    FloatIn(u32),
    /// An unboxed integer; another word follows, its origin (`cendre_ir::origin`).
    IntOf,
    /// The same of a double.
    FloatOf,
    /// No word: the object of this entry of the stack, further down.
    Same(u32),
    /// 0 or 1.
    Bool,
    /// A raw word: the `lasti` marker.
    Raw,
    /// An object, or null, whose reference goes to the frame.
    Owned,
    /// An object, or null, that somebody else keeps alive.
    Borrowed,
}

/// A local whose slot may not hold its number yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StaleWord {
    pub slot: u32,
    pub kind: Word,
    /// Another word follows: if it is not zero, the slot is current.
    pub unless: bool,
}

/// A frame state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The instruction, in code units.
    pub unit: u32,
    /// Where the interpreter would go on.
    pub resume: u32,
    /// Locals whose slot may not hold their number yet.
    pub stale: Box<[StaleWord]>,
    /// The eval stack, from the bottom.
    pub stack: Box<[Word]>,
    /// The handler's depth, and whether it wants the raising unit.
    pub handler: Option<(u32, bool)>,
}

/// The rows of one piece of machine code, which names the table by its address: it stays in its box.
#[derive(Clone, Default, Debug)]
pub struct ExitTable {
    pub rows: Vec<Row>,
}
