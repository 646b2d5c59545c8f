//! Blocks that cannot run are removed, blocks with one way in from a jump are joined with it, and the rest is numbered anew.
//!
//! Invariant: afterwards every block is reachable, and no state is left that names what is gone.

use cendre_ir::{Block, Def, Function, Handler, Op};

pub fn run(f: &mut Function) -> bool {
    let joined = join(f);
    let removed = remove_unreachable(f);
    joined || removed
}

/// `jump bb5` where nothing else goes to bb5: its instructions follow at once.
fn join(f: &mut Function) -> bool {
    let reachable = f.reachable();
    // Ways into each block: jumps, entries, exceptions.
    let mut ways = vec![0u32; f.blocks.len()];
    f.entries.iter().for_each(|e| ways[e.block.index()] += 2);
    for block in f.blocks.iter().zip(&reachable).filter(|(_, r)| **r).map(|(b, _)| b) {
        for inst in &block.insts {
            let d = &f.insts[inst.index()];
            d.targets.iter().for_each(|t| ways[t.block.index()] += 1);
            if let Some(h) = d.state.and_then(|s| f.states[s.index()].handler) {
                ways[h.block.index()] += 2;
            }
        }
    }
    let mut any = false;
    for (b, reachable) in reachable.iter().enumerate() {
        while *reachable
            && let Some(last) = f.blocks[b].insts.last()
            && let data = &f.insts[last.index()]
            && data.op == Op::Jump
            && let Some(to) = data.targets.first().map(|t| t.block.index())
            && ways[to] == 1
            && to != b
            // Parameters of such a block are the simplify pass's to remove.
            && f.blocks[to].params.is_empty()
        {
            f.blocks[b].insts.pop();
            let rest = std::mem::take(&mut f.blocks[to].insts);
            f.blocks[b].insts.extend(rest);
            ways[to] = 0;
            any = true;
        }
    }
    any
}

fn remove_unreachable(f: &mut Function) -> bool {
    let reachable = f.reachable();
    if reachable.iter().all(|r| *r) {
        clear_states(f);
        return false;
    }
    let mut new = Vec::with_capacity(reachable.len());
    let mut next = 0;
    for r in &reachable {
        new.push(Block(next));
        next += u32::from(*r);
    }
    let mut n = 0;
    f.blocks.retain(|_| {
        n += 1;
        reachable[n - 1]
    });
    clear_states(f);
    f.entries.iter_mut().for_each(|e| e.block = new[e.block.index()]);
    // Only what stands in a block: removed instructions may name blocks of an older numbering.
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        f.insts[inst.index()].targets.iter_mut().for_each(|t| t.block = new[t.block.index()]);
    }
    for s in &mut f.states {
        // A handler that nothing raises to any more is gone; states that only leave need none.
        s.handler = s.handler.filter(|h| reachable[h.block.index()]).map(|h| Handler { block: new[h.block.index()], ..h });
    }
    for (b, block) in f.blocks.iter().enumerate() {
        for (i, p) in block.params.iter().enumerate() {
            f.values[p.index()].def = Def::Param(Block(b as u32), i as u32);
        }
    }
    true
}

/// States that no instruction uses hold nothing.
fn clear_states(f: &mut Function) {
    let mut used = vec![false; f.states.len()];
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        if let Some(s) = f.insts[inst.index()].state {
            used[s.index()] = true;
        }
    }
    for (state, _) in f.states.iter_mut().zip(used).filter(|(_, used)| !used) {
        state.stack.clear();
        state.stale.clear();
        state.handler = None;
    }
}
