//! Replacing values and instructions: what the passes share.
//!
//! Invariant: a value is replaced by one that is available wherever the old one was, denotes the same thing, and is of the same type
//! or a narrower one; so block parameters, states and rows stay satisfied.

use cendre_ir::{Def, Function, Imm, Inst, Op, Value};

/// Replacements that are not yet written into the function.
pub struct Replace {
    map: Vec<Value>,
    any: bool,
}

impl Replace {
    pub fn new(f: &Function) -> Replace {
        Replace { map: (0..f.values.len() as u32).map(Value).collect(), any: false }
    }

    /// What stands for a value now.
    pub fn resolve(&mut self, v: Value) -> Value {
        let mut end = v;
        while self.map[end.index()] != end {
            end = self.map[end.index()];
        }
        let mut at = v;
        while self.map[at.index()] != end {
            at = std::mem::replace(&mut self.map[at.index()], end);
        }
        end
    }

    /// Replaces `old` by `new` if the types allow it; says whether it did.
    pub fn set(&mut self, f: &Function, old: Value, new: Value) -> bool {
        let new = self.resolve(new);
        if old == new || self.map[old.index()] != old || !f.ty(new).is_subtype(f.ty(old)) {
            return false;
        }
        self.map[old.index()] = new;
        self.any = true;
        true
    }

    /// Writes the replacements into all instructions and states.
    pub fn apply(mut self, f: &mut Function) -> bool {
        if !self.any {
            return false;
        }
        for inst in &mut f.insts {
            inst.args.iter_mut().for_each(|v| *v = self.resolve(*v));
            inst.targets.iter_mut().flat_map(|t| &mut t.args).for_each(|v| *v = self.resolve(*v));
        }
        for state in &mut f.states {
            state.stack.iter_mut().for_each(|e| {
                e.value = self.resolve(e.value);
                e.of = e.of.map(|v| self.resolve(v));
            });
            state.stale.iter_mut().for_each(|e| {
                e.value = self.resolve(e.value);
                e.unless = e.unless.map(|v| self.resolve(v));
            });
        }
        true
    }
}

/// Takes the marked instructions out of their blocks.
pub fn remove(f: &mut Function, gone: &[bool]) {
    for block in &mut f.blocks {
        block.insts.retain(|i| !gone[i.index()]);
    }
}

/// The instruction that defines a value.
pub fn definition(f: &Function, v: Value) -> Option<Inst> {
    match f.values[v.index()].def {
        Def::Result(i, _) if i.index() < f.insts.len() => Some(i),
        _ => None,
    }
}

/// The value without the guards around it: guards give their argument back, so both are the same object.
pub fn root(f: &Function, mut v: Value) -> Value {
    while let Some(i) = definition(f, v) {
        let d = &f.insts[i.index()];
        match (d.op, d.args.first()) {
            (Op::GuardType | Op::GuardNotNull | Op::CheckBound, Some(a)) if d.own == 0 => v = *a,
            _ => break,
        }
    }
    v
}

/// Turns an instruction into a constant; its result stays the same value.
pub fn make_constant(f: &mut Function, inst: Inst, op: Op, imm: Imm) {
    let d = &mut f.insts[inst.index()];
    d.op = op;
    d.imm = imm;
    d.args.clear();
    d.own = 0;
    d.state = None;
}
