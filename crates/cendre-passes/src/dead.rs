//! Instructions whose results nobody uses go, if they have no other effect.
//!
//! Invariant: what may leave stays: later code may rely on its check, and division by zero leaves so that Python raises.

use crate::rewrite::{definition, remove};
use cendre_ir::{Function, Op, effect};

pub fn run(f: &mut Function) -> bool {
    let removable = |op: Op| match op {
        // An owned reference that somebody must take.
        Op::Yielded => false,
        _ => op.is(effect::PURE | effect::READS) && op.row().effects & !(effect::PURE | effect::READS) == 0,
    };
    let mut live = vec![false; f.insts.len()];
    let mut work = Vec::new();
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = &f.insts[inst.index()];
        if !removable(d.op) || d.own != 0 {
            live[inst.index()] = true;
            work.push(*inst);
        }
    }
    while let Some(inst) = work.pop() {
        f.for_each_use(inst, |v| {
            if let Some(i) = definition(f, v)
                && !std::mem::replace(&mut live[i.index()], true)
            {
                work.push(i);
            }
        });
    }
    let gone: Vec<bool> = live.iter().map(|l| !l).collect();
    let any = f.blocks.iter().flat_map(|b| &b.insts).any(|i| gone[i.index()]);
    remove(f, &gone);
    any
}
