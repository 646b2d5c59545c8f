//! Block parameters that always get the same value are that value.
//!
//! Invariant: the value dominates every jump to the block, hence the block.

use crate::rewrite::Replace;
use cendre_ir::{Block, Def, Function, Value};

pub fn run(f: &mut Function) -> bool {
    let reachable = f.reachable();
    let mut incoming: Vec<Vec<(usize, usize)>> = vec![Vec::new(); f.blocks.len()];
    for (b, block) in f.blocks.iter().enumerate().filter(|(b, _)| reachable[*b]) {
        let Some(last) = block.insts.last() else { continue };
        for (t, target) in f.insts[last.index()].targets.iter().enumerate() {
            incoming[target.block.index()].push((b, t));
        }
    }
    let mut replace = Replace::new(f);
    let mut gone: Vec<Vec<usize>> = vec![Vec::new(); f.blocks.len()];
    for b in 0..f.blocks.len() {
        for p in 0..f.blocks[b].params.len() {
            let param = f.blocks[b].params[p];
            if let Some(v) = only_value(f, &mut replace, &incoming[b], param, p)
                && replace.set(f, param, v)
            {
                gone[b].push(p);
            }
        }
    }
    if !replace.apply(f) {
        return false;
    }
    let keep = |b: usize, n: usize| !gone[b].contains(&n);
    // Only what stands in a block: removed instructions may name blocks of an older numbering.
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        for t in &mut f.insts[inst.index()].targets {
            let mut n = 0;
            t.args.retain(|_| {
                n += 1;
                keep(t.block.index(), n - 1)
            });
        }
    }
    for (b, block) in f.blocks.iter_mut().enumerate() {
        let mut n = 0;
        block.params.retain(|_| {
            n += 1;
            keep(b, n - 1)
        });
        for (i, p) in block.params.iter().enumerate() {
            f.values[p.index()].def = Def::Param(Block(b as u32), i as u32);
        }
    }
    true
}

/// The one value that a parameter gets from outside itself.
fn only_value(f: &Function, replace: &mut Replace, from: &[(usize, usize)], param: Value, n: usize) -> Option<Value> {
    let mut only = None;
    for (b, t) in from {
        let last = f.blocks[*b].insts.last()?;
        let v = replace.resolve(*f.insts[last.index()].targets[*t].args.get(n)?);
        if v == param || Some(v) == only {
            continue;
        }
        if only.is_some() {
            return None;
        }
        only = Some(v);
    }
    only
}
