//! Boxes that nobody needs: unboxing a box is the number itself; a box that only states and drops use is made by nobody.
//!
//! Where a state's stack names such a box it names the number instead: leaving boxes it then, once for all entries that named it (`twin`). Invariant: the references that a box
//! stood for go with it: its drops, its `own`s, and the `own` in states (unboxed values are never owned).

use crate::rewrite::{Replace, definition, remove, root};
use cendre_ir::{Function, InstData, Op};

pub fn run(f: &mut Function) -> bool {
    let pairs = pairs(f);
    let unused = unused(f);
    pairs || unused
}

fn is_box(op: Op) -> bool {
    matches!(op, Op::BoxInt | Op::BoxFloat | Op::BoxBool)
}

/// `unbox.int(box.int v)` is `v`.
fn pairs(f: &mut Function) -> bool {
    let mut replace = Replace::new(f);
    let mut gone = vec![false; f.insts.len()];
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = &f.insts[inst.index()];
        let want = match d.op {
            Op::UnboxInt | Op::TrustInt => Op::BoxInt,
            Op::UnboxFloat | Op::UnboxNumber | Op::TrustFloat => Op::BoxFloat,
            Op::UnboxBool => Op::BoxBool,
            _ => continue,
        };
        let (Some(arg), Some(result), 0) = (d.args.first(), d.results.first(), d.own) else { continue };
        let boxed = definition(f, root(f, *arg)).map(|i| &f.insts[i.index()]);
        if let Some(number) = boxed.filter(|b| b.op == want).and_then(|b| b.args.first()) {
            gone[inst.index()] = replace.set(f, *result, *number);
        }
    }
    remove(f, &gone);
    replace.apply(f)
}

/// Boxes whose object nobody looks at.
fn unused(f: &mut Function) -> bool {
    // The number for each box's value, as long as no use was found that needs the object.
    let mut number = vec![None; f.values.len()];
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = &f.insts[inst.index()];
        if let (true, Some(r), Some(a), 0) = (is_box(d.op), d.results.first(), d.args.first(), d.own) {
            number[r.index()] = Some(*a);
        }
    }
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = &f.insts[inst.index()];
        if !matches!(d.op, Op::Drop | Op::Own | Op::OwnNullable) {
            d.args.iter().for_each(|v| number[v.index()] = None);
        }
        d.targets.iter().flat_map(|t| &t.args).for_each(|v| number[v.index()] = None);
    }
    f.states.iter().flat_map(|s| &s.stack).filter_map(|e| e.of).for_each(|v| number[v.index()] = None);
    if number.iter().all(Option::is_none) {
        return false;
    }
    for b in 0..f.blocks.len() {
        let insts = std::mem::take(&mut f.blocks[b].insts);
        f.blocks[b].insts = insts
            .into_iter()
            .filter(|inst| {
                let d = &mut f.insts[inst.index()];
                match d.op {
                    Op::Drop => {
                        let before = std::mem::take(&mut d.args);
                        let own = std::mem::take(&mut d.own);
                        for (i, v) in before.iter().enumerate().filter(|(_, v)| number[v.index()].is_none()) {
                            if own & InstData::own_bit(i) != 0 {
                                d.own |= InstData::own_bit(d.args.len());
                            }
                            d.args.push(*v);
                        }
                        before.is_empty() || !d.args.is_empty()
                    }
                    Op::Own | Op::OwnNullable => d.args.iter().all(|v| number[v.index()].is_none()),
                    op if is_box(op) => d.results.iter().all(|v| number[v.index()].is_none()),
                    _ => true,
                }
            })
            .collect();
    }
    for state in &mut f.states {
        for i in 0..state.stack.len() {
            let e = state.stack[i];
            if number[e.value.index()].is_some() {
                // Twice in one state: one object, as `is` could tell.
                let twin = state.stack[..i].iter().position(|x| x.value == e.value);
                state.stack[i].twin = twin.map(|t| t as u32);
            }
        }
        for e in &mut state.stack {
            if let Some(n) = number[e.value.index()] {
                (e.value, e.own) = (n, false);
            }
        }
    }
    true
}
