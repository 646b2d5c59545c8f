//! Functions of the IR: blocks, instructions, values, frame states, and the few operations that build and walk them.
//!
//! Invariant (held by the verifier): every value is defined once, before its uses in every path; a block ends in just one
//! instruction with effect ENDS; block arguments match parameters. Entities are small numbers into vectors of the function.

use crate::inst::{Cond, ImmKind, Op, Res};
use crate::types::{ObjId, Type};

macro_rules! entity {
    ($(#[$m:meta])* $name:ident) => {
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl $name {
            /// The index into the function's vector.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
entity!(
    /// An SSA value; prints as `v3`.
    Value
);
entity!(
    /// A basic block; prints as `bb3`.
    Block
);
entity!(
    /// An instruction.
    Inst
);
entity!(
    /// A frame state; prints as `fs3`.
    State
);

/// The immediate of an instruction; its variant is the row's [`ImmKind`].
#[derive(Clone, PartialEq, Debug)]
pub enum Imm {
    None,
    Int(i64),
    Float(u64),
    Bool(bool),
    Obj(ObjId),
    Slot(u32),
    Cond(Cond),
    Helper(&'static str),
    HelperInt(&'static str, i64),
    ObjInt(ObjId, i64),
    IntInt(i64, i64),
    SlotInt(u32, i64),
}

impl Imm {
    pub fn kind(&self) -> ImmKind {
        match self {
            Imm::None => ImmKind::None,
            Imm::Int(_) => ImmKind::Int,
            Imm::Float(_) => ImmKind::Float,
            Imm::Bool(_) => ImmKind::Bool,
            Imm::Obj(_) => ImmKind::Obj,
            Imm::Slot(_) => ImmKind::Slot,
            Imm::Cond(_) => ImmKind::Cond,
            Imm::Helper(_) => ImmKind::Helper,
            Imm::HelperInt(..) => ImmKind::HelperInt,
            Imm::ObjInt(..) => ImmKind::ObjInt,
            Imm::IntInt(..) => ImmKind::IntInt,
            Imm::SlotInt(..) => ImmKind::SlotInt,
        }
    }
}

/// A jump to a block with its arguments.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    pub block: Block,
    pub args: Vec<Value>,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct InstData {
    pub op: Op,
    pub imm: Imm,
    pub args: Vec<Value>,
    /// Bit i: argument i is consumed (dropped by the instruction). The last bit stands for all arguments from 63 on.
    pub own: u64,
    pub results: Vec<Value>,
    pub state: Option<State>,
    pub targets: Vec<Target>,
}

impl InstData {
    /// The bit of `own` for an argument.
    pub const fn own_bit(arg: usize) -> u64 {
        1 << if arg < 63 { arg } else { 63 }
    }

    /// Whether the instruction consumes an argument by its `own` bits.
    pub const fn owns(&self, arg: usize) -> bool {
        self.own & InstData::own_bit(arg) != 0
    }
}

/// A value on the eval stack of a frame state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackEntry {
    pub value: Value,
    /// An owned reference (else borrowed; unboxed values and raw words are never owned).
    pub own: bool,
    /// Of a number: the local whose slot holds its object once the stale ones are current. (If that is another number, somebody has written to
    /// the frame, and this one gets a box of its own.)
    pub home: Option<u32>,
    /// Of a number without a home: the entry further down whose object it is as well.
    pub twin: Option<u32>,
    /// Of a number without either: what says, when the code runs, which object it is (see [`origin`]). An object goes with the state.
    pub of: Option<Value>,
}

/// Which object a number is, as a word: a reference to it, or one of these. By its type the value is an object (owned) or null, or a raw word.
pub mod origin {
    /// It has none yet.
    pub const NONE: i64 = 0;
    /// It is the one in a slot, once that is current.
    pub const fn slot(slot: u32) -> i64 {
        (slot as i64) << 1 | 1
    }
}

impl StackEntry {
    /// An entry whose value is all there is to know.
    pub const fn new(value: Value, own: bool) -> StackEntry {
        StackEntry { value, own, home: None, twin: None, of: None }
    }
}

/// A local whose slot in memory may not be current.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stale {
    pub slot: u32,
    /// The local's value, unboxed.
    pub value: Value,
    /// A truth value: where it is true, the slot holds the number's object already, which must stay the one that it is.
    pub unless: Option<Value>,
}

/// Where an exception goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handler {
    pub block: Block,
    /// Entries of the eval stack that stay.
    pub depth: u32,
    /// Push the raising instruction's offset below the exception.
    pub lasti: bool,
}

/// How the interpreter would go on: the one format in which an activation is left, raised out of or suspended.
#[derive(Clone, PartialEq, Debug)]
pub struct FrameState {
    /// The instruction, in code units.
    pub unit: u32,
    /// Where to resume it: the first EXTENDED_ARG before it, else `unit`.
    pub resume: u32,
    pub stack: Vec<StackEntry>,
    /// Locals whose slot in memory is not current.
    pub stale: Vec<Stale>,
    pub handler: Option<Handler>,
}

impl FrameState {
    /// `resume` in the state of a drop that runs no code: what is dropped is a number, a str or the like. Nothing needs to be current then,
    /// and nobody can have looked at the frame.
    pub const PLAIN: u32 = u32::MAX;
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Def {
    /// Result number of an instruction.
    Result(Inst, u32),
    /// Parameter number of a block.
    Param(Block, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueData {
    pub ty: Type,
    pub def: Def,
}

/// A basic block.
#[derive(Clone, Debug, Default)]
pub struct BlockData {
    pub params: Vec<Value>,
    pub insts: Vec<Inst>,
    /// Not expected to run often: laid out at the end.
    pub cold: bool,
}

/// A way into the function: the instruction (code units) at which the caller stands, and the block that loads the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub unit: u32,
    pub block: Block,
}

/// One function: what a code object becomes.
#[derive(Clone, Debug, Default)]
pub struct Function {
    pub name: String,
    /// `co_nlocalsplus`: slots before the eval stack.
    pub nlocals: u32,
    /// `co_stacksize`.
    pub stack_size: u32,
    pub blocks: Vec<BlockData>,
    pub insts: Vec<InstData>,
    pub values: Vec<ValueData>,
    pub states: Vec<FrameState>,
    pub entries: Vec<Entry>,
    /// The `await f(...)` sites, by site number.
    pub await_sites: Vec<AwaitSite>,
}

/// Where the parts of an `await f(...)` stand, in code units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AwaitSite {
    pub call: u32,
    pub get_awaitable: u32,
    pub send: u32,
    /// Where it goes on with the value.
    pub behind: u32,
    /// The code object of the function that is probably called.
    pub callee: Option<ObjId>,
}

impl Function {
    pub fn new(name: &str, nlocals: u32, stack_size: u32) -> Function {
        Function { name: name.to_owned(), nlocals, stack_size, ..Function::default() }
    }

    /// A new, empty block.
    pub fn block(&mut self) -> Block {
        self.blocks.push(BlockData::default());
        Block(self.blocks.len() as u32 - 1)
    }

    /// A new parameter of a block.
    pub fn param(&mut self, block: Block, ty: Type) -> Value {
        let n = self.blocks[block.index()].params.len() as u32;
        let v = self.value(ty, Def::Param(block, n));
        self.blocks[block.index()].params.push(v);
        v
    }

    fn value(&mut self, ty: Type, def: Def) -> Value {
        self.values.push(ValueData { ty, def });
        Value(self.values.len() as u32 - 1)
    }

    /// A new frame state.
    pub fn state(&mut self, state: FrameState) -> State {
        self.states.push(state);
        State(self.states.len() as u32 - 1)
    }

    /// Appends an instruction to a block; its results get the types of the row (`Many`: `results` of them).
    pub fn push(&mut self, block: Block, mut data: InstData, many: usize) -> Inst {
        let inst = Inst(self.insts.len() as u32);
        let types: &[Type] = match data.op.row().res {
            Res::None => &[],
            Res::Object => &[Type::OBJECT],
            Res::Nullable => &[Type::OBJECT_OR_NULL],
            Res::Int => &[Type::INT64],
            Res::Float => &[Type::FLOAT64],
            Res::Bool => &[Type::BOOL],
            Res::Ptr => &[Type::PTR],
            Res::Pair => &[Type::PTR, Type::OBJECT_OR_NULL],
            Res::IntOf => &[Type::INT64, Type::OBJECT_OR_NULL],
            Res::FloatOf => &[Type::FLOAT64, Type::OBJECT_OR_NULL],
            Res::Many => &[],
        };
        if data.op.row().res == Res::Many {
            data.results = (0..many).map(|i| self.value(Type::OBJECT_OR_NULL, Def::Result(inst, i as u32))).collect();
        } else {
            data.results = types.iter().enumerate().map(|(i, t)| self.value(*t, Def::Result(inst, i as u32))).collect();
        }
        // Rows whose result is better known than their kind.
        let refined = match (data.op, &data.imm) {
            (Op::GuardType, Imm::Obj(class)) => Some(Type::exactly(*class)),
            (Op::ConstObj, Imm::Obj(o)) => Some(Type::literal(*o, None)),
            (Op::Null, _) => Some(Type::NULL),
            _ => None,
        };
        if let (Some(ty), Some(v)) = (refined, data.results.first()) {
            self.values[v.index()].ty = ty;
        }
        self.insts.push(data);
        self.blocks[block.index()].insts.push(inst);
        inst
    }

    pub fn ty(&self, v: Value) -> Type {
        self.values[v.index()].ty
    }

    /// Narrows what is known of a value (facts that the front end has from elsewhere).
    pub fn set_type(&mut self, v: Value, ty: Type) {
        self.values[v.index()].ty = ty;
    }

    /// The last instruction of a block, if it ends the block.
    pub fn terminator(&self, block: Block) -> Option<&InstData> {
        let data = &self.insts[self.blocks[block.index()].insts.last()?.index()];
        data.op.is(crate::inst::effect::ENDS).then_some(data)
    }

    /// The blocks that a block can go to: jump targets, and handlers of its raising instructions.
    pub fn successors(&self, block: Block) -> Vec<Block> {
        let mut out = Vec::new();
        for inst in &self.blocks[block.index()].insts {
            let data = &self.insts[inst.index()];
            if data.op.is(crate::inst::effect::RAISES)
                && let Some(h) = data.state.and_then(|s| self.states[s.index()].handler)
            {
                out.push(h.block);
            }
            out.extend(data.targets.iter().map(|t| t.block));
        }
        out
    }

    /// Visits every value that an instruction uses: arguments, block arguments, and those of its state.
    pub fn for_each_use(&self, inst: Inst, mut f: impl FnMut(Value)) {
        let data = &self.insts[inst.index()];
        data.args.iter().copied().for_each(&mut f);
        data.targets.iter().flat_map(|t| t.args.iter().copied()).for_each(&mut f);
        if let Some(s) = data.state {
            let s = &self.states[s.index()];
            s.stack.iter().for_each(|e| {
                f(e.value);
                e.of.into_iter().for_each(&mut f);
            });
            s.stale.iter().for_each(|e| {
                f(e.value);
                e.unless.into_iter().for_each(&mut f);
            });
        }
    }

    /// Blocks that can be reached from the entries.
    pub fn reachable(&self) -> Vec<bool> {
        let mut seen = vec![false; self.blocks.len()];
        let mut work: Vec<Block> = self.entries.iter().map(|e| e.block).collect();
        while let Some(b) = work.pop() {
            if !std::mem::replace(&mut seen[b.index()], true) {
                work.extend(self.successors(b));
            }
        }
        seen
    }
}
