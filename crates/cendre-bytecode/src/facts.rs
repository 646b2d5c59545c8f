//! What the front end is told about the program: plain data, filled by the runtime from live objects and by tests from text.
//!
//! Invariant: nothing in here is a pointer that the front end follows; an [`ObjId`] is opaque. Facts are a snapshot: what can
//! change later is guarded in the IR by the versions that the adaptive bytecode's caches carry.

use cendre_ir::ObjId;

/// A constant of the code object.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Const {
    None,
    True,
    False,
    /// An exact `int` that fits 64 bits.
    Int(i64),
    /// An exact `float`.
    Float(f64),
    /// Anything else.
    Other,
}

/// One entry of `co_consts`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConstFact {
    pub id: ObjId,
    pub value: Const,
}

/// A code object as plain data.
#[derive(Clone, Debug)]
pub struct CodeFacts {
    pub id: ObjId,
    pub qualname: String,
    /// `co_flags`
    pub flags: u32,
    pub argcount: u32,
    pub kwonlyargcount: u32,
    pub nlocals: u32,
    pub nlocalsplus: u32,
    pub stack_size: u32,
    /// `co_code_adaptive` bytes with the executors' original instructions put back.
    pub code: Vec<u8>,
    pub exception_table: Vec<u8>,
    pub consts: Vec<ConstFact>,
    /// `co_names`, as objects.
    pub names: Vec<ObjId>,
    /// `co_localspluskinds`
    pub kinds: Vec<u8>,
}

/// Objects that the front end knows by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub none: u64,
    /// A finished coroutine.
    pub finished: u64,
    pub true_: u64,
    pub false_: u64,
    // classes
    pub int: u64,
    pub float: u64,
    pub bool_: u64,
    pub str_: u64,
    pub list: u64,
    pub tuple: u64,
    pub dict: u64,
    pub set: u64,
    pub function: u64,
    pub range_iterator: u64,
    pub list_iterator: u64,
    pub tuple_iterator: u64,
    pub generator: u64,
    pub coroutine: u64,
    pub module: u64,
    /// `type`
    pub type_: u64,
    // builtin functions
    pub len: u64,
    pub isinstance: u64,
    /// The method descriptor `list.append`.
    pub list_append: u64,
}

/// What a Python function object is, for a direct call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionFact {
    pub code: ObjId,
    /// `co_argcount` where a call with exactly that many positional arguments needs nothing else (no `*args`, keyword-only, ...).
    pub exact_args: Option<u32>,
    /// `co_flags`
    pub flags: u32,
    /// Number of positional defaults, where the function is known and not its code alone.
    pub defaults: Option<u32>,
}

/// The parameters of a code object, as its first slots have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub argcount: u32,
    pub posonly: u32,
    pub kwonly: u32,
    /// `*args`, `**kwargs`
    pub varargs: bool,
    pub varkeywords: bool,
    /// Of the positional and keyword-only ones: interned strs.
    pub names: Vec<ObjId>,
}

/// A class whose call is `object.__new__` and a plain Python `__init__`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassFact {
    /// The class's version tag; guards `init`.
    pub version: u32,
    pub init: ObjId,
    pub function: FunctionFact,
}

/// A class method or static method that is found through a class itself, whose metaclass is `type` (and stays that: CPython allows no other).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThroughClass {
    /// The class's version tag; guards `wrapper`.
    pub version: u32,
    /// The `classmethod` or `staticmethod` object. What it wraps can be changed.
    pub wrapper: ObjId,
    /// The Python function that it wraps now.
    pub function: ObjId,
    /// The class is the function's first argument.
    pub takes_class: bool,
}

/// What is known of an object that a cache refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjFact {
    Function(FunctionFact),
    /// A class (its version tag is guarded where it is used).
    Class,
    Other,
}

/// Which operand of a BINARY_OP_EXTEND is a float; the other one is a small int.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatSide {
    Left,
    Right,
}

/// Where a global name is read: addresses of two words (see the runtime's `globals.rs`), and what is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalCells {
    pub module: u64,
    pub builtin: u64,
    /// The module has the name (else the builtins do).
    pub in_module: bool,
    pub value: ObjId,
}

/// The runtime's answers about live objects, at compile time.
pub trait Facts {
    fn known(&self) -> Known;
    /// About an object named by an inline cache (a method's descriptor, say).
    fn object(&self, id: ObjId) -> ObjFact;
    /// The present value of the global at an index of the module's (`builtin`: the builtins') keys, if the version still holds.
    fn global(&self, builtin: bool, version: u32, index: u32) -> Option<ObjId>;
    /// The dict that the code's globals are in, if its names can be read through cells.
    fn globals(&self) -> Option<ObjId>;
    /// The cells of a global name.
    fn global_cells(&self, name: ObjId) -> Option<GlobalCells>;
    /// The function whose `func_version` a CALL cache holds.
    fn function_version(&self, version: u32) -> Option<FunctionFact>;
    /// The parameters of the code object of a function that is probably called.
    fn parameters(&self, code: ObjId) -> Option<Parameters>;
    /// The items of a constant tuple.
    fn tuple_items(&self, tuple: ObjId) -> Option<Vec<ObjId>>;
    /// How instances of a class are made, if that is as plain as can be.
    fn class(&self, class: ObjId) -> Option<ClassFact>;
    /// The function that `class.name(...)` calls, where CPython has no specialised instruction for it.
    fn through_class(&self, class: ObjId, name: ObjId) -> Option<ThroughClass>;
    /// What an object is, if it is immortal, as a constant of the code would be.
    fn constant(&self, id: ObjId) -> Const;
    /// The type that has this version tag, if it is still there.
    fn type_version(&self, version: u32) -> Option<ObjId>;
    /// `tp_basicsize` of the type that has this version tag.
    fn basic_size(&self, version: u32) -> Option<u32>;
    /// What the description in the cache of a BINARY_OP_EXTEND is for, if that is a float and an int.
    fn float_side(&self, descr: u64) -> Option<FloatSide>;
    /// The inline cache of the attribute site at a unit: its address.
    fn attr_cache(&self, unit: u32) -> Option<u64>;
    /// Somebody awaits what the function returns.
    fn is_awaited(&self) -> bool;
    /// Sites that failed so often that their specialisation must not be used again (units).
    fn is_generic(&self, unit: u32) -> bool;
}
