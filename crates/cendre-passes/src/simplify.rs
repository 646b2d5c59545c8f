//! Block parameters that always get the same value are that value; of those that get the same as each other on every way one is enough.
//!
//! Invariant: the value dominates every jump to the block, hence the block.

use crate::rewrite::Replace;
use cendre_ir::{Block, Def, Function, Type, Value};

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
        // What the truth values among those that stay get: ways by which numbers arrive have many of them alike.
        let mut seen: Vec<(Vec<Value>, Value)> = Vec::new();
        for p in 0..f.blocks[b].params.len() {
            let param = f.blocks[b].params[p];
            if let Some(v) = only_value(f, &mut replace, &incoming[b], param, p)
                && replace.set(f, param, v)
            {
                gone[b].push(p);
            } else if f.ty(param) == Type::BOOL
                && let Some(given) = given(f, &mut replace, &incoming[b], p)
            {
                match seen.iter().find(|s| s.0 == given) {
                    Some((_, first)) if replace.set(f, param, *first) => gone[b].push(p),
                    Some(_) => {}
                    None => seen.push((given, param)),
                }
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

/// What a parameter gets on each way.
fn given(f: &Function, replace: &mut Replace, from: &[(usize, usize)], n: usize) -> Option<Vec<Value>> {
    let mut out = Vec::with_capacity(from.len());
    for (b, t) in from {
        let last = f.blocks[*b].insts.last()?;
        out.push(replace.resolve(*f.insts[last.index()].targets[*t].args.get(n)?));
    }
    Some(out)
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
