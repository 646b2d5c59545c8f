//! Dominators, precise at exception edges.
//!
//! An exception leaves a block in the middle, and results of the raising instruction do not exist in its handler. So blocks are cut
//! into *segments* here: a cut lies right before the first instruction of a block that can raise to a given handler, and the edge
//! to the handler starts there. (Later raises of the block to that handler add nothing: their segments are dominated by this one.)
//! Invariant: `dominates(a, b)` holds just if every path from an entry to `b` passes `a`; points that cannot be reached are
//! dominated by everything. Algorithm: Semi-NCA (semidominators with path compression), near linear. Read docs/internals/ir.md.

use crate::function::{Block, Function};
use crate::inst::effect;

/// Where something stands: a block, and 0 for its parameters or i + 1 for its instruction number i.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Point {
    pub block: Block,
    pub at: u32,
}

/// A run of instructions of one block that is entered at its start only and left at its end only.
#[derive(Clone, Debug)]
pub struct Segment {
    pub block: Block,
    /// Index into the block's instructions of the first one, and behind the last one.
    pub start: u32,
    pub end: u32,
    /// Segments that may run next.
    pub succs: Vec<u32>,
}

/// The dominator tree of a function's segments.
pub struct Dominators {
    pub segments: Vec<Segment>,
    /// First segment of each block.
    first: Vec<u32>,
    /// Immediate dominator of each segment; the segment itself for roots, `NONE` if it cannot be reached.
    idom: Vec<u32>,
    /// Reached segments, in an order in which dominators come before what they dominate.
    order: Vec<u32>,
    /// Interval of each segment in a walk of the tree: `a` dominates `b` if it encloses it.
    enter: Vec<u32>,
    leave: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Dominators {
    pub fn new(f: &Function) -> Dominators {
        let (segments, first) = cut(f);
        let n = segments.len();
        // Node n is a root above all entries.
        let roots: Vec<u32> = f.entries.iter().filter_map(|e| first.get(e.block.index()).copied()).collect();
        let succs = |s: usize| if s == n { &roots } else { &segments[s].succs };
        let (order, parent) = depth_first(n + 1, n, succs);
        let mut number = vec![NONE; n + 1];
        for (i, s) in order.iter().enumerate() {
            number[*s as usize] = i as u32;
        }
        let mut preds: Vec<Vec<u32>> = vec![Vec::new(); order.len()];
        for (i, s) in order.iter().enumerate() {
            for t in succs(*s as usize) {
                preds[number[*t as usize] as usize].push(i as u32);
            }
        }
        let tree = semi_nca(&preds, &parent);
        // Back from numbers to segments; children lists for the walk.
        let mut idom = vec![NONE; n];
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); n + 1];
        for (i, s) in order.iter().enumerate().skip(1) {
            let d = order[tree[i] as usize];
            idom[*s as usize] = if d as usize == n { *s } else { d };
            children[d as usize].push(*s);
        }
        let (mut enter, mut leave) = (vec![0; n + 1], vec![0; n + 1]);
        let mut clock = 0;
        let mut work = vec![(n as u32, false)];
        while let Some((s, done)) = work.pop() {
            clock += 1;
            if done {
                leave[s as usize] = clock;
            } else {
                enter[s as usize] = clock;
                work.push((s, true));
                work.extend(children[s as usize].iter().rev().map(|c| (*c, false)));
            }
        }
        let order = order.into_iter().filter(|s| *s as usize != n).collect();
        Dominators { segments, first, idom, order, enter, leave }
    }

    /// Can the block run at all?
    pub fn is_reachable(&self, block: Block) -> bool {
        self.first.get(block.index()).is_some_and(|s| self.idom[*s as usize] != NONE)
    }

    /// The segment in which a point lies.
    pub fn segment_of(&self, p: Point) -> u32 {
        let mut s = self.first[p.block.index()];
        // Few blocks have more than one segment, and those few have as many as they have handlers.
        while p.at > self.segments[s as usize].end && self.segments.get(s as usize + 1).is_some_and(|next| next.block == p.block) {
            s += 1;
        }
        s
    }

    /// Is `b` reached through `a` only? (A point dominates itself.)
    pub fn dominates(&self, a: Point, b: Point) -> bool {
        let (x, y) = (self.segment_of(a), self.segment_of(b));
        if x == y { a.at <= b.at } else { self.segment_dominates(x, y) }
    }

    /// The same for whole segments.
    pub fn segment_dominates(&self, a: u32, b: u32) -> bool {
        if self.idom[b as usize] == NONE {
            return true;
        }
        self.idom[a as usize] != NONE
            && self.enter[a as usize] <= self.enter[b as usize]
            && self.leave[b as usize] <= self.leave[a as usize]
    }

    /// The immediate dominator, if there is one.
    pub fn idom(&self, segment: u32) -> Option<u32> {
        let d = self.idom[segment as usize];
        (d != NONE && d != segment).then_some(d)
    }

    /// Reached segments in depth-first order: dominators come before what they dominate.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Reached segments in the order of a walk of the dominator tree.
    pub fn tree_order(&self) -> Vec<u32> {
        let mut all = self.order.clone();
        all.sort_by_key(|s| self.enter[*s as usize]);
        all
    }
}

/// Cuts blocks into segments; second: the first segment of each block.
fn cut(f: &Function) -> (Vec<Segment>, Vec<u32>) {
    let mut segments: Vec<Segment> = Vec::with_capacity(f.blocks.len());
    let mut first = Vec::with_capacity(f.blocks.len());
    // Handlers and targets as blocks, until all first segments are known.
    let mut edges: Vec<(u32, Block)> = Vec::new();
    for (b, data) in f.blocks.iter().enumerate() {
        let block = Block(b as u32);
        first.push(segments.len() as u32);
        segments.push(Segment { block, start: 0, end: 0, succs: Vec::new() });
        let mut seen: Vec<Block> = Vec::new();
        for (i, inst) in data.insts.iter().enumerate() {
            let inst = &f.insts[inst.index()];
            if inst.op.is(effect::RAISES)
                && let Some(h) = inst.state.and_then(|s| f.states[s.index()].handler)
                && !seen.contains(&h.block)
            {
                seen.push(h.block);
                let current = segments.len() as u32 - 1;
                if let Some(s) = segments.last_mut() {
                    s.end = i as u32;
                    s.succs.push(current + 1);
                }
                edges.push((current, h.block));
                segments.push(Segment { block, start: i as u32, end: 0, succs: Vec::new() });
            }
            let current = segments.len() as u32 - 1;
            edges.extend(inst.targets.iter().map(|t| (current, t.block)));
        }
        if let Some(s) = segments.last_mut() {
            s.end = data.insts.len() as u32;
        }
    }
    for (from, to) in edges {
        if let Some(to) = first.get(to.index()) {
            segments[from as usize].succs.push(*to);
        }
    }
    (segments, first)
}

/// Nodes reached from `root` in preorder, and the parent of each in the spanning tree (as preorder numbers).
fn depth_first<'a>(n: usize, root: usize, succs: impl Fn(usize) -> &'a Vec<u32>) -> (Vec<u32>, Vec<u32>) {
    let (mut order, mut parent) = (Vec::new(), Vec::new());
    let mut seen = vec![false; n];
    let mut work = vec![(root as u32, 0u32)];
    while let Some((s, p)) = work.pop() {
        if std::mem::replace(&mut seen[s as usize], true) {
            continue;
        }
        let me = order.len() as u32;
        order.push(s);
        parent.push(p);
        work.extend(succs(s as usize).iter().rev().filter(|t| !seen[**t as usize]).map(|t| (*t, me)));
    }
    (order, parent)
}

/// Immediate dominators of nodes named by preorder numbers (0 = root).
fn semi_nca(preds: &[Vec<u32>], parent: &[u32]) -> Vec<u32> {
    let n = parent.len();
    let mut semi: Vec<u32> = (0..n as u32).collect();
    let mut label: Vec<u32> = (0..n as u32).collect();
    let mut ancestor = parent.to_vec();
    let mut path = Vec::new();
    for w in (1..n).rev() {
        let mut best = parent[w];
        for &v in &preds[w] {
            let u = if (v as usize) <= w {
                v
            } else {
                // Nodes above `w` are linked: find the least semidominator on the way up to `w`, shorten the way.
                let mut x = v;
                path.clear();
                while ancestor[x as usize] as usize > w {
                    path.push(x);
                    x = ancestor[x as usize];
                }
                for &y in path.iter().rev() {
                    let a = ancestor[y as usize];
                    if semi[label[a as usize] as usize] < semi[label[y as usize] as usize] {
                        label[y as usize] = label[a as usize];
                    }
                    ancestor[y as usize] = ancestor[a as usize];
                }
                semi[label[v as usize] as usize]
            };
            best = best.min(u);
        }
        semi[w] = best;
    }
    let mut idom = parent.to_vec();
    for w in 1..n {
        while idom[w] > semi[w] {
            idom[w] = idom[idom[w] as usize];
        }
    }
    idom
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{FrameState, Handler, Imm, InstData, Target};
    use crate::inst::Op;

    fn random_function(seed: &mut u64, blocks: usize) -> Function {
        let mut next = |n: usize| {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            (*seed % n as u64) as usize
        };
        let mut f = Function::new("r", 0, 0);
        for _ in 0..blocks {
            f.block();
        }
        f.entries.push(crate::function::Entry { unit: 0, block: Block(0) });
        if next(3) == 0 {
            f.entries.push(crate::function::Entry { unit: 1, block: Block(next(blocks) as u32) });
        }
        for b in 0..blocks {
            let block = Block(b as u32);
            let plain = |op| InstData { op, imm: Imm::None, args: vec![], own: 0, results: vec![], state: None, targets: vec![] };
            for _ in 0..next(4) {
                let handler = (next(2) == 0).then(|| Handler { block: Block(next(blocks) as u32), depth: 0, lasti: false });
                let state = f.state(FrameState { unit: 0, resume: 0, stack: vec![], stale: vec![], handler });
                f.push(block, InstData { imm: Imm::Helper("h"), state: Some(state), ..plain(Op::CallStatus) }, 0);
            }
            let targets = (0..next(3)).map(|_| Target { block: Block(next(blocks) as u32), args: vec![] }).collect();
            f.push(block, InstData { targets, ..plain(Op::Jump) }, 0);
        }
        f
    }

    /// By definition: `b` cannot be reached once `a` is taken away. Steps through single instructions, not segments.
    fn reaches_without(f: &Function, a: Point, b: Point) -> bool {
        let mut seen = std::collections::HashSet::new();
        let mut work: Vec<Point> = f.entries.iter().map(|e| Point { block: e.block, at: 0 }).collect();
        while let Some(p) = work.pop() {
            if p == a || (p.block == a.block && p.at == a.at) || !seen.insert((p.block, p.at)) {
                continue;
            }
            if p == b {
                return true;
            }
            let insts = &f.blocks[p.block.index()].insts;
            // `p` = behind instruction at - 1; next comes instruction `at`, or behind the last one its targets
            let Some(inst) = insts.get(p.at as usize) else {
                let jump = &f.insts[insts[insts.len() - 1].index()];
                work.extend(jump.targets.iter().map(|t| Point { block: t.block, at: 0 }));
                continue;
            };
            let data = &f.insts[inst.index()];
            if data.op.is(effect::RAISES)
                && let Some(h) = data.state.and_then(|s| f.states[s.index()].handler)
            {
                work.push(Point { block: h.block, at: 0 });
            }
            work.push(Point { block: p.block, at: p.at + 1 });
        }
        false
    }

    #[test]
    fn agrees_with_the_definition() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let mut found = [0, 0];
        for round in 0..300 {
            let f = random_function(&mut seed, 1 + round % 7);
            let dom = Dominators::new(&f);
            let points: Vec<Point> = (0..f.blocks.len())
                .flat_map(|b| (0..=f.blocks[b].insts.len()).map(move |i| Point { block: Block(b as u32), at: i as u32 }))
                .collect();
            for a in &points {
                for b in &points {
                    if !dom.is_reachable(b.block) {
                        continue;
                    }
                    let want = a == b || !reaches_without(&f, *a, *b);
                    found[usize::from(want)] += 1;
                    assert_eq!(dom.dominates(*a, *b), want, "{a:?} {b:?} in\n{f}");
                }
            }
        }
        assert!(found[0] > 1000 && found[1] > 1000, "{found:?}: the sample is too thin");
    }
}
