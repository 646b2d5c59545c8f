//! Versions of memory: two points with the same version see the same memory.
//!
//! A version is made by an instruction that may change memory, or where paths with different versions meet. If point A dominates
//! B and both have the same version, nothing changed memory between the last run of A and B (as for any SSA variable).
//! Invariant: merges are only left out where all incoming versions are known to be equal, also around loops.

use crate::classes::Classes;
use cendre_ir::dom::{Dominators, Point};
use cendre_ir::verify::takes;
use cendre_ir::{FrameState, Function, Inst, Op, effect};

/// May the instruction run unknown code, which can change types, dicts, classes of objects: anything?
pub fn runs_unknown(f: &Function, classes: &Classes, inst: Inst) -> bool {
    let d = &f.insts[inst.index()];
    match d.op {
        // The front end knows that what goes is plain.
        Op::Drop | Op::StoreLocal if d.state.is_some_and(|s| f.states[s.index()].resume == FrameState::PLAIN) => false,
        Op::Drop => !d.args.iter().all(|v| classes.drops_quietly(f.ty(*v))),
        op if op.is(effect::OBSERVABLE) => true,
        // References move into what these build, or the row says that nothing runs.
        Op::QuietOp | Op::CallQuiet => false,
        // Arguments that are dropped behind the instruction can be the last references.
        _ => d.args.iter().enumerate().any(|(i, v)| d.owns(i) && !takes(d.op, i) && !classes.drops_quietly(f.ty(*v))),
    }
}

/// May it change anything on the heap (not: slots of the frame, counts of references)?
pub fn writes_heap(f: &Function, classes: &Classes, inst: Inst) -> bool {
    let d = &f.insts[inst.index()];
    match d.op {
        Op::Own | Op::OwnNullable | Op::SyncInt | Op::SyncFloat | Op::SyncBool => false,
        Op::PutLocal | Op::TakeLocal | Op::LoadStack | Op::ResetStack => false,
        Op::Drop | Op::StoreLocal => runs_unknown(f, classes, inst),
        op => op.is(effect::WRITES) || runs_unknown(f, classes, inst),
    }
}

/// May it change what the frame's slots hold, or what the numbers in them are?
pub fn writes_slots(f: &Function, classes: &Classes, inst: Inst) -> bool {
    match f.insts[inst.index()].op {
        Op::Own | Op::OwnNullable | Op::Drop => runs_unknown(f, classes, inst),
        op => op.is(effect::WRITES) || runs_unknown(f, classes, inst),
    }
}

/// The version at the start of each segment; behind a changing instruction it is [`version_after`].
pub struct Memory {
    at_start: Vec<u32>,
}

/// The version that an instruction makes. Odd, as merges are even.
pub fn version_after(inst: Inst) -> u32 {
    inst.0 * 2 + 1
}

const UNKNOWN: u32 = u32::MAX;
/// Rounds after which all merges count as different; a function needs as many as its loops are nested, at most.
const ROUNDS: usize = 12;

impl Memory {
    pub fn new(f: &Function, dom: &Dominators, changes: impl Fn(Inst) -> bool) -> Memory {
        let n = dom.segments.len();
        let mut preds: Vec<Vec<u32>> = vec![Vec::new(); n];
        for s in dom.order() {
            for t in &dom.segments[*s as usize].succs {
                preds[*t as usize].push(*s);
            }
        }
        // Entries come from outside; a handler's edge stands before the instruction that raised, which may have changed all.
        let mut own = vec![false; n];
        let first = |b| dom.segment_of(Point { block: b, at: 0 }) as usize;
        for e in &f.entries {
            own[first(e.block)] = true;
        }
        for inst in f.blocks.iter().flat_map(|b| &b.insts) {
            if let Some(h) = f.insts[inst.index()].state.and_then(|s| f.states[s.index()].handler) {
                own[first(h.block)] = true;
            }
        }
        // The last change within each segment.
        let last: Vec<Option<u32>> = dom
            .segments
            .iter()
            .map(|s| {
                let insts = &f.blocks[s.block.index()].insts[s.start as usize..s.end as usize];
                insts.iter().rev().find(|i| changes(**i)).map(|i| version_after(*i))
            })
            .collect();
        let order = reverse_post_order(f, dom);
        let mut at_start = vec![UNKNOWN; n];
        for round in 0.. {
            let mut changed = false;
            for s in &order {
                let s = *s as usize;
                let merge = s as u32 * 2;
                if at_start[s] == merge {
                    continue;
                }
                let mut version = UNKNOWN;
                for p in &preds[s] {
                    let out = last[*p as usize].unwrap_or(at_start[*p as usize]);
                    if version == UNKNOWN {
                        version = out;
                    } else if out != UNKNOWN && out != version {
                        version = merge;
                    }
                }
                if own[s] || (round >= ROUNDS && preds[s].len() > 1) {
                    version = merge;
                }
                changed |= std::mem::replace(&mut at_start[s], version) != version;
            }
            // One more round than the fallback needs: versions then flow along chains only, in order.
            if !changed || round > ROUNDS + 1 {
                break;
            }
        }
        Memory { at_start }
    }

    pub fn at_start(&self, segment: u32) -> u32 {
        self.at_start[segment as usize]
    }
}

fn reverse_post_order(f: &Function, dom: &Dominators) -> Vec<u32> {
    let mut seen = vec![false; dom.segments.len()];
    let mut out = Vec::new();
    for e in &f.entries {
        let start = dom.segment_of(Point { block: e.block, at: 0 });
        let mut work = vec![(start, 0usize)];
        while let Some((s, i)) = work.pop() {
            if i == 0 && std::mem::replace(&mut seen[s as usize], true) {
                continue;
            }
            match dom.segments[s as usize].succs.get(i) {
                Some(t) => {
                    work.push((s, i + 1));
                    if !seen[*t as usize] {
                        work.push((*t, 0));
                    }
                }
                None => out.push(s),
            }
        }
    }
    out.reverse();
    out
}
