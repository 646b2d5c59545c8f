//! Truth values that only say whether a stale local's slot is current (`unless`): they live in memory, not in registers.
//!
//! At the head of each loop there is one, which the way round makes false: as a Cranelift value it would take a register from what the loop computes, though none but
//! cold exits ask for it. Invariant: such a parameter is used by states, as the second argument of `sync.*` and as an argument of its like, and comes by jumps
//! only; a jump reads all that it passes on before it writes.

use super::Lower;
use cendre_ir::{self as cir, InstData, Kinds, Op};
use cranelift_codegen::ir::{self, InstBuilder, types};

/// Which values are such parameters.
pub(super) fn find(f: &cir::Function) -> Vec<bool> {
    let mut is = vec![false; f.values.len()];
    for p in f.blocks.iter().flat_map(|b| &b.params) {
        is[p.index()] = f.ty(*p).kinds == Kinds::BOOL;
    }
    let insts = || f.blocks.iter().flat_map(|b| &b.insts).map(|i| &f.insts[i.index()]);
    for d in insts() {
        let sync = matches!(d.op, Op::SyncInt | Op::SyncFloat | Op::SyncBool);
        d.args.iter().take(if sync { 1 } else { usize::MAX }).for_each(|v| is[v.index()] = false);
        if d.op != Op::Jump {
            d.targets.iter().flat_map(|t| &f.blocks[t.block.index()].params).for_each(|p| is[p.index()] = false);
        }
        if let Some(s) = d.state {
            let s = &f.states[s.index()];
            s.stack.iter().for_each(|e| is[e.value.index()] = false);
            s.stale.iter().for_each(|e| is[e.value.index()] = false);
        }
    }
    // One that is passed on to another kind of parameter is needed as a value.
    loop {
        let mut changed = false;
        for t in insts().flat_map(|d| &d.targets) {
            for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                if is[a.index()] && !is[p.index()] {
                    is[a.index()] = false;
                    changed = true;
                }
            }
        }
        if !changed {
            return is;
        }
    }
}

impl Lower<'_> {
    /// Gives a parameter its place in memory.
    pub(super) fn flag_slot(&mut self, v: cir::Value) {
        let data = ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, 1, 0);
        let slot = self.b.create_sized_stack_slot(data);
        self.flags.insert(v, slot);
    }

    /// The truth value, wherever it lives.
    pub(super) fn flag(&mut self, v: cir::Value) -> ir::Value {
        match self.flags.get(&v) {
            Some(slot) => self.b.ins().stack_load(types::I64, types::I8, *slot, 0),
            None => self.v(v),
        }
    }

    /// `jump`: what goes to parameters in memory is written there; answers the rest.
    pub(super) fn jump_args(&mut self, i: &InstData) -> Vec<ir::Value> {
        let t = &i.targets[0];
        let params = &self.f.blocks[t.block.index()].params;
        let (mut args, mut stores) = (Vec::with_capacity(t.args.len()), Vec::new());
        for (p, a) in params.iter().zip(&t.args) {
            match self.flags.get(p) {
                Some(_) if p == a => {}
                Some(slot) => {
                    let slot = *slot;
                    let x = self.flag(*a);
                    stores.push((x, slot));
                }
                None => args.push(self.v(*a)),
            }
        }
        for (x, slot) in stores {
            self.b.ins().stack_store(types::I64, x, slot, 0);
        }
        args
    }
}
