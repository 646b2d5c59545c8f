//! The verifier: what every function must satisfy between front end, passes and code generation.
//!
//! Invariant: a function without errors here can be printed, interpreted, transformed and compiled without a panic. Each error
//! names the instruction. Each rule has a filetest under tests/filetests/verify that breaks it. Read docs/internals/ir.md, "Rules".

use crate::dom::{Dominators, Point};
use crate::function::{Block, Def, FrameState, Function, Imm, Inst, InstData, Stale, State, Value};
use crate::inst::{Arg, Op, Res, effect};
use crate::print::inst_text;
use crate::types::{Kinds, Type};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// One broken rule.
#[derive(Clone, Debug)]
pub struct VerifyError {
    pub block: Option<Block>,
    /// The instruction as text.
    pub inst: Option<String>,
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(b) = self.block {
            write!(f, "bb{}: ", b.0)?;
        }
        if let Some(i) = &self.inst {
            write!(f, "`{i}`: ")?;
        }
        f.write_str(&self.message)
    }
}

/// All rules that the function breaks, in the order of the text.
pub fn verify(f: &Function) -> Result<(), Vec<VerifyError>> {
    let mut v = Verifier { f, targets: Vec::new(), block_of: vec![None; f.insts.len()], errors: Vec::new() };
    // Later checks index with the numbers that the first one looks at.
    if v.entities() {
        v.targets = targets(f);
        v.function();
        for b in 0..f.blocks.len() {
            v.block(Block(b as u32));
        }
        v.dominance();
    }
    if v.errors.is_empty() { Ok(()) } else { Err(v.errors) }
}

/// Does the state of this instruction describe the moment before its bytecode (else: after it, or with the inputs popped)?
pub fn state_is_before(op: Op) -> bool {
    op.is(effect::LEAVES) && !op.is(effect::OBSERVABLE)
}

/// Arguments that the instruction takes over by its meaning, whatever its `own` bits say: stored, returned or dropped.
pub fn takes(op: Op, arg: usize) -> bool {
    match op {
        Op::StoreLocal | Op::PutLocal | Op::Return | Op::Yield | Op::ExcPush | Op::ExcPop => arg == 0,
        Op::SetInline | Op::SetSlot | Op::CellSet => arg == 1,
        Op::ListSet => arg == 2,
        Op::Drop => true,
        _ => false,
    }
}

/// Is this argument's reference gone after the instruction?
pub fn consumes(data: &InstData, arg: usize) -> bool {
    takes(data.op, arg) || data.owns(arg)
}

/// The blocks that an entry, a jump or an exception goes to.
fn targets(f: &Function) -> Vec<bool> {
    let mut out = vec![false; f.blocks.len()];
    f.entries.iter().for_each(|e| out[e.block.index()] = true);
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = &f.insts[inst.index()];
        d.targets.iter().for_each(|t| out[t.block.index()] = true);
        if let Some(h) = d.state.and_then(|s| f.states[s.index()].handler) {
            out[h.block.index()] = true;
        }
    }
    out
}

struct Verifier<'a> {
    f: &'a Function,
    /// Blocks that something goes to.
    targets: Vec<bool>,
    /// Where each instruction stands.
    block_of: Vec<Option<Block>>,
    errors: Vec<VerifyError>,
}

impl Verifier<'_> {
    fn fail(&mut self, block: Option<Block>, inst: Option<Inst>, message: impl Into<String>) {
        let inst = inst.map(|i| inst_text(self.f, i));
        self.errors.push(VerifyError { block, inst, message: message.into() });
    }

    /// Numbers are in range, values are defined where they say, instructions stand in one place.
    fn entities(&mut self) -> bool {
        let f = self.f;
        let values = f.values.len() as u32;
        let blocks = f.blocks.len() as u32;
        let mut bad: Vec<(Block, Option<Inst>, String)> = Vec::new();
        for (b, data) in f.blocks.iter().enumerate() {
            let block = Block(b as u32);
            for (i, p) in data.params.iter().enumerate() {
                if f.values.get(p.index()).is_none_or(|v| v.def != Def::Param(block, i as u32)) {
                    bad.push((block, None, format!("parameter {i} is not defined by this block")));
                }
            }
            for inst in &data.insts {
                let Some(d) = f.insts.get(inst.index()) else {
                    bad.push((block, None, format!("instruction {} does not exist", inst.0)));
                    continue;
                };
                if self.block_of[inst.index()].replace(block).is_some() {
                    bad.push((block, None, format!("instruction {} stands in two places", inst.0)));
                }
                if d.state.is_some_and(|s| s.index() >= f.states.len()) {
                    bad.push((block, None, format!("instruction {}: its state does not exist", inst.0)));
                    continue;
                }
                let mut in_range = d.results.iter().all(|v| v.0 < values) && d.targets.iter().all(|t| t.block.0 < blocks);
                f.for_each_use(*inst, |v| in_range &= v.0 < values);
                let handler = d.state.and_then(|s| f.states[s.index()].handler);
                in_range &= handler.is_none_or(|h| h.block.0 < blocks);
                if !in_range {
                    bad.push((block, None, format!("instruction {}: a value or block does not exist", inst.0)));
                    continue;
                }
                for (i, v) in d.results.iter().enumerate() {
                    if f.ty_def(*v) != Def::Result(*inst, i as u32) {
                        bad.push((block, Some(*inst), format!("result v{} is not defined here", v.0)));
                    }
                }
            }
        }
        let ok = bad.is_empty();
        for (block, inst, message) in bad {
            self.fail(Some(block), inst, message);
        }
        for e in &f.entries {
            if e.block.0 >= blocks {
                self.fail(None, None, format!("entry {}: bb{} does not exist", e.unit, e.block.0));
                return false;
            }
        }
        ok
    }

    fn function(&mut self) {
        if self.f.entries.is_empty() {
            self.fail(None, None, "the function has no entry");
        }
        for e in &self.f.entries {
            if !self.f.blocks[e.block.index()].params.is_empty() {
                self.fail(Some(e.block), None, format!("entry {}: an entry's block has no parameters", e.unit));
            }
        }
    }

    fn block(&mut self, block: Block) {
        let f = self.f;
        let data = &f.blocks[block.index()];
        if data.insts.is_empty() && data.params.is_empty() && !self.targets[block.index()] {
            return; // a number that the text skips
        }
        if f.terminator(block).is_none() {
            self.fail(Some(block), None, "the block does not end in an instruction that ends blocks");
        }
        for (i, inst) in data.insts.iter().enumerate() {
            if f.insts[inst.index()].op.is(effect::ENDS) && i + 1 < data.insts.len() {
                self.fail(Some(block), Some(*inst), "an instruction that ends blocks stands in the middle of one");
            }
            self.inst(block, *inst);
        }
        self.ownership(block);
    }

    fn inst(&mut self, block: Block, inst: Inst) {
        let f = self.f;
        let d = &f.insts[inst.index()];
        let row = d.op.row();
        let (b, i) = (Some(block), Some(inst));
        if d.imm.kind() != row.imm {
            self.fail(b, i, format!("the immediate is {:?}, the row wants {:?}", d.imm.kind(), row.imm));
        }
        if let Imm::Slot(n) | Imm::SlotInt(n, _) = d.imm
            && n >= f.nlocals
        {
            self.fail(b, i, format!("slot {n} does not exist, there are {}", f.nlocals));
        }
        if let (Op::LoadStack | Op::LoadWord, Imm::Int(n)) = (d.op, &d.imm)
            && !(0..i64::from(f.stack_size)).contains(n)
        {
            self.fail(b, i, format!("stack entry {n} does not exist, there are {}", f.stack_size));
        }
        self.arguments(block, inst);
        self.results(block, inst);
        let wants = match d.op {
            Op::Jump => 1,
            Op::Branch => 2,
            _ => 0,
        };
        if d.targets.len() != wants {
            self.fail(b, i, format!("{} targets, not {wants}", d.targets.len()));
        }
        for t in &d.targets {
            let params = &f.blocks[t.block.index()].params;
            if params.len() != t.args.len() {
                self.fail(b, i, format!("bb{} has {} parameters, {} are given", t.block.0, params.len(), t.args.len()));
            }
            for (p, a) in params.iter().zip(&t.args) {
                if !f.ty(*a).is_subtype(f.ty(*p)) {
                    self.fail(b, i, format!("v{}: {} is no {} (parameter v{})", a.0, f.ty(*a), f.ty(*p), p.0));
                }
            }
        }
        let needs = row.effects & (effect::LEAVES | effect::RAISES) != 0 || matches!(d.op, Op::Return | Op::ReturnLocal | Op::Yield);
        match d.state {
            None if needs => self.fail(b, i, "the instruction needs a state"),
            Some(s) => self.state(block, inst, s),
            None => {}
        }
    }

    fn arguments(&mut self, block: Block, inst: Inst) {
        let f = self.f;
        let d = &f.insts[inst.index()];
        let row = d.op.row();
        let (b, i) = (Some(block), Some(inst));
        let fixed = row.args.iter().filter(|a| **a != Arg::Rest).count();
        let rest = fixed < row.args.len();
        if d.args.len() < fixed || (d.args.len() > fixed && !rest) {
            self.fail(b, i, format!("{} arguments, not {fixed}{}", d.args.len(), if rest { " or more" } else { "" }));
            return;
        }
        for (n, v) in d.args.iter().enumerate() {
            let want = match row.args.get(n).unwrap_or(&Arg::Rest) {
                Arg::Object => Type::OBJECT,
                Arg::Nullable => Type::OBJECT_OR_NULL,
                Arg::Int => Type::INT64,
                Arg::Float => Type::FLOAT64,
                Arg::Bool => Type::BOOL,
                Arg::Ptr => Type::PTR,
                Arg::Any | Arg::Rest => continue,
            };
            if !f.ty(*v).is_subtype(want) {
                self.fail(b, i, format!("argument {n}: v{} is {}, the row wants {want}", v.0, f.ty(*v)));
            }
        }
        for (n, v) in d.args.iter().enumerate() {
            // `return` takes numbers as they are.
            if consumes(d, n) && d.op != Op::Return && !f.ty(*v).kinds.is_subset(Type::OBJECT_OR_NULL.kinds) {
                self.fail(b, i, format!("argument {n}: v{} is {} and cannot be owned", v.0, f.ty(*v)));
            }
        }
        if d.args.len() < 64 && d.own >> d.args.len() != 0 {
            self.fail(b, i, "own bits for arguments that are not there");
        }
    }

    fn results(&mut self, block: Block, inst: Inst) {
        let f = self.f;
        let d = &f.insts[inst.index()];
        let want: &[Type] = match d.op.row().res {
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
        let many = d.op.row().res == Res::Many;
        if !many && d.results.len() != want.len() {
            self.fail(Some(block), Some(inst), format!("{} results, not {}", d.results.len(), want.len()));
            return;
        }
        for (n, v) in d.results.iter().enumerate() {
            // A stack op can also push a raw word (the `lasti` marker).
            let word = many && f.ty(*v).kinds == Kinds::PTR;
            let want = want.get(n).copied().unwrap_or(Type::OBJECT_OR_NULL);
            if !word && !f.ty(*v).is_subtype(want) {
                self.fail(Some(block), Some(inst), format!("result v{}: {} is no {want}", v.0, f.ty(*v)));
            }
        }
    }

    fn state(&mut self, block: Block, inst: Inst, s: State) {
        let f = self.f;
        let st: &FrameState = &f.states[s.index()];
        let (b, i) = (Some(block), Some(inst));
        let name = s.0;
        // A plain drop's state says so in `resume`: nothing leaves there.
        let plain = st.resume == FrameState::PLAIN && matches!(f.insts[inst.index()].op, Op::Drop | Op::StoreLocal);
        if st.resume > st.unit && !plain {
            self.fail(b, i, format!("fs{name}: resumes at {}, behind the instruction at {}", st.resume, st.unit));
        }
        if st.stack.len() > f.stack_size as usize {
            self.fail(b, i, format!("fs{name}: {} stack entries, the stack has {}", st.stack.len(), f.stack_size));
        }
        for (n, e) in st.stack.iter().enumerate() {
            if e.twin.is_some_and(|t| t as usize >= n || st.stack[t as usize].value != e.value || st.stack[t as usize].own) {
                self.fail(b, i, format!("fs{name}: entry {n} is no twin of the one that it names"));
            }
            if e.own && !f.ty(e.value).kinds.is_subset(Type::OBJECT_OR_NULL.kinds) {
                self.fail(b, i, format!("fs{name}: v{} is {} and cannot be owned", e.value.0, f.ty(e.value)));
            }
            if let Some(slot) = e.home
                && (slot >= f.nlocals || ![Kinds::INT64, Kinds::FLOAT64].contains(&f.ty(e.value).kinds))
            {
                self.fail(b, i, format!("fs{name}: v{} is {} and has no object in slot {slot}", e.value.0, f.ty(e.value)));
            }
        }
        for e in &st.stack {
            let Some(of) = e.of else { continue };
            let origin = f.ty(of).kinds == Kinds::PTR || f.ty(of).kinds.is_subset(Type::OBJECT_OR_NULL.kinds);
            let number = [Kinds::INT64, Kinds::FLOAT64].contains(&f.ty(e.value).kinds);
            if !origin || !number || e.home.is_some() || e.twin.is_some() {
                self.fail(b, i, format!("fs{name}: v{} cannot be the object of v{}", of.0, e.value.0));
            }
        }
        let mut slots = HashSet::new();
        for Stale { slot, value: v, unless } in &st.stale {
            if let Some(unless) = unless
                && f.ty(*unless).kinds != Kinds::BOOL
            {
                self.fail(b, i, format!("fs{name}: stale slot {slot}: v{} is {}, no truth value", unless.0, f.ty(*unless)));
            }
            if *slot >= f.nlocals {
                self.fail(b, i, format!("fs{name}: slot {slot} does not exist, there are {}", f.nlocals));
            }
            if !slots.insert(*slot) {
                self.fail(b, i, format!("fs{name}: slot {slot} is stale twice"));
            }
            let k = f.ty(*v).kinds;
            if ![Kinds::INT64, Kinds::FLOAT64, Kinds::BOOL, Kinds::NONE].contains(&k) {
                self.fail(b, i, format!("fs{name}: stale slot {slot}: v{} is {}, not unboxed", v.0, f.ty(*v)));
            }
        }
        if let Some(h) = st.handler
            && f.insts[inst.index()].op.is(effect::RAISES)
        {
            if h.depth as usize > st.stack.len() {
                self.fail(b, i, format!("fs{name}: the handler keeps {} entries of {}", h.depth, st.stack.len()));
            }
            if h.depth + u32::from(h.lasti) + 1 > f.stack_size {
                self.fail(b, i, format!("fs{name}: the handler's stack is higher than {}", f.stack_size));
            }
            if !f.blocks[h.block.index()].params.is_empty() {
                self.fail(b, i, format!("fs{name}: bb{} is a handler and has parameters", h.block.0));
            }
        }
        if matches!(f.insts[inst.index()].op, Op::Return | Op::ReturnLocal) && !st.stack.is_empty() {
            self.fail(b, i, format!("fs{name}: the stack of a return is empty"));
        }
    }

    /// On the straight line of one block no reference is given away twice, and no state owns what is gone.
    fn ownership(&mut self, block: Block) {
        let f = self.f;
        // References that are left, relative to one at the start: `own` adds, consuming takes. How many a value from another
        // block has (COPY makes several) is not known here.
        let block_of = std::mem::take(&mut self.block_of);
        let at_start = |v: Value| match f.ty_def(v) {
            Def::Result(i, _) if block_of.get(i.index()) == Some(&Some(block)) => 1,
            Def::Param(b, _) if b == block => 1,
            _ => i64::from(i32::MAX),
        };
        let mut left: HashMap<Value, i64> = HashMap::new();
        let exempt = |v: Value| match f.ty_def(v) {
            Def::Result(i, _) => {
                // Immortal, pinned or null: counts mean nothing.
                f.insts.get(i.index()).is_some_and(|d| matches!(d.op, Op::ConstObj | Op::Null | Op::BoxBool))
            }
            Def::Param(..) => false,
        };
        for inst in &f.blocks[block.index()].insts {
            let d = &f.insts[inst.index()];
            if matches!(d.op, Op::Own | Op::OwnNullable)
                && let Some(v) = d.args.first()
            {
                *left.entry(*v).or_insert_with(|| at_start(*v)) += 1;
            }
            if state_is_before(d.op) {
                self.state_owns(block, *inst, &|v| left.get(&v).copied().unwrap_or_else(|| at_start(v)), &exempt);
            }
            for (n, v) in d.args.iter().enumerate() {
                if consumes(d, n) && !exempt(*v) {
                    let count = left.entry(*v).or_insert_with(|| at_start(*v));
                    *count -= 1;
                    if *count < 0 {
                        *count = 0;
                        self.fail(Some(block), Some(*inst), format!("v{} is consumed twice", v.0));
                    }
                }
            }
            if !state_is_before(d.op) {
                self.state_owns(block, *inst, &|v| left.get(&v).copied().unwrap_or_else(|| at_start(v)), &exempt);
            }
        }
        self.block_of = block_of;
    }

    fn state_owns(&mut self, block: Block, inst: Inst, left: &dyn Fn(Value) -> i64, exempt: &dyn Fn(Value) -> bool) {
        let Some(s) = self.f.insts[inst.index()].state else { return };
        let stack = &self.f.states[s.index()].stack;
        let owned = stack.iter().filter_map(|e| match e.of {
            Some(of) => (self.f.ty(of).kinds != Kinds::PTR).then_some(of),
            None => e.own.then_some(e.value),
        });
        let mut before: Vec<Value> = Vec::new();
        for v in owned.filter(|v| !exempt(*v)) {
            if left(v) <= before.iter().filter(|x| **x == v).count() as i64 {
                self.fail(Some(block), Some(inst), format!("fs{} owns v{}, which was consumed", s.0, v.0));
            }
            before.push(v);
        }
    }

    fn dominance(&mut self) {
        let f = self.f;
        let dom = Dominators::new(f);
        let mut places: Vec<Option<Point>> = vec![None; f.values.len()];
        for (b, data) in f.blocks.iter().enumerate() {
            let block = Block(b as u32);
            for p in &data.params {
                places[p.index()] = Some(Point { block, at: 0 });
            }
            for (i, inst) in data.insts.iter().enumerate() {
                for r in &f.insts[inst.index()].results {
                    places[r.index()] = Some(Point { block, at: i as u32 + 1 });
                }
            }
        }
        for (b, data) in f.blocks.iter().enumerate() {
            let block = Block(b as u32);
            if !dom.is_reachable(block) {
                continue;
            }
            for (i, inst) in data.insts.iter().enumerate() {
                // A use stands behind everything before its own instruction.
                let here = Point { block, at: i as u32 };
                let mut bad = Vec::new();
                f.for_each_use(*inst, |v| {
                    let same = places[v.index()].is_some_and(|p| p.block == block);
                    let ok = match places[v.index()] {
                        Some(p) if same && p.at <= here.at => true,
                        Some(p) => p.block != block && dom.dominates(p, here),
                        None => false,
                    };
                    if !ok && !bad.contains(&v) {
                        bad.push(v);
                    }
                });
                for v in bad {
                    self.fail(Some(block), Some(*inst), format!("v{} is used where its definition need not have run", v.0));
                }
            }
        }
    }
}

impl Function {
    /// Checks all rules; see [`verify`].
    pub fn verify(&self) -> Result<(), Vec<VerifyError>> {
        verify(self)
    }

    fn ty_def(&self, v: Value) -> Def {
        self.values[v.index()].def
    }
}
