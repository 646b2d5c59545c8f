//! Redundant guards and loads: an instruction that repeats a dominating one with the same arguments goes.
//!
//! What "repeats" means depends on what the instruction looks at: nothing but its arguments (arithmetic, unboxing, which object it
//! is), the heap (items, attributes), or types (versions, classes), which unknown code changes. Guards of immutable
//! classes persist. Invariant: an instruction goes only if the earlier one ran on every path and must have found the same.

use crate::classes::Classes;
use crate::memory::{Memory, runs_unknown, version_after, writes_heap, writes_slots};
use crate::rewrite::{Replace, remove, root};
use cendre_ir::dom::Dominators;
use cendre_ir::hash::HashMap;
use cendre_ir::{Function, Imm, Inst, Op, Value, effect};

/// What an instruction's outcome depends on, besides its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    AtNothing,
    /// At types, dict versions, classes: only unknown code changes those.
    AtTypes,
    AtHeap,
    /// At the frame's slots.
    AtSlots,
    /// Not to be merged.
    Elsewhere,
}

fn looks(f: &Function, classes: &Classes, inst: Inst) -> Looks {
    let d = &f.insts[inst.index()];
    match (d.op, &d.imm) {
        _ if d.own != 0 => Looks::Elsewhere,
        (Op::GuardType, Imm::Obj(c)) if classes.is_fixed(*c) => Looks::AtNothing,
        // No instruction that is none of unknown code adds keys to a class, makes a dict of an object, or parts it from its inline values.
        (Op::GuardType | Op::GuardVersion | Op::GuardInline | Op::GuardKeys | Op::GuardNoDict, _) => Looks::AtTypes,
        // Numbers do not change; nor do the sizes and items of immutable objects.
        (Op::UnboxInt | Op::UnboxFloat | Op::UnboxNumber | Op::TrustInt | Op::TrustFloat, _) => Looks::AtNothing,
        (Op::StrLen | Op::TupleGet | Op::TupleItem, _) => Looks::AtNothing,
        // A frame's globals are the same dict all its life; what their cells hold is not.
        (Op::GuardGlobalsAre, _) => Looks::AtNothing,
        (Op::LoadLocal, _) => Looks::AtSlots,
        (Op::GlobalCell | Op::GuardCellEmpty, _) => Looks::AtHeap,
        (Op::GuardGlobals | Op::GlobalModule | Op::GlobalBuiltin | Op::AttrModule, _) => Looks::AtHeap,
        (Op::AttrInline | Op::AttrSlot | Op::AttrPeek, _) => Looks::AtHeap,
        (Op::Size | Op::DictLen | Op::ListGet | Op::CellGet | Op::RangeMore, _) => Looks::AtHeap,
        (op, _) if op.is(effect::READS | effect::WRITES | effect::OBSERVABLE | effect::RAISES | effect::ENDS) => Looks::Elsewhere,
        _ => Looks::AtNothing,
    }
}

/// The immediate as something to compare: `Imm` holds doubles by their bits, so equality is identity.
type Key = (Op, String, Vec<Value>, u32);

pub fn run(f: &mut Function, classes: &Classes) -> bool {
    let dom = Dominators::new(f);
    let types = Memory::new(f, &dom, |i| runs_unknown(f, classes, i));
    let heap = Memory::new(f, &dom, |i| writes_heap(f, classes, i));
    let slots = Memory::new(f, &dom, |i| writes_slots(f, classes, i));
    let mut replace = Replace::new(f);
    let mut gone = vec![false; f.insts.len()];
    let mut any = false;
    // Where something was found: the segment, and the results.
    let mut found: HashMap<Key, (u32, Inst)> = HashMap::default();
    for s in dom.tree_order() {
        let segment = &dom.segments[s as usize];
        let (mut type_version, mut heap_version, mut slot_version) = (types.at_start(s), heap.at_start(s), slots.at_start(s));
        for i in segment.start..segment.end {
            let inst = f.blocks[segment.block.index()].insts[i as usize];
            let d = &f.insts[inst.index()];
            let version = match looks(f, classes, inst) {
                Looks::AtNothing => u32::MAX,
                Looks::AtTypes => type_version,
                Looks::AtHeap => heap_version,
                Looks::AtSlots => slot_version,
                Looks::Elsewhere => {
                    if runs_unknown(f, classes, inst) {
                        type_version = version_after(inst);
                    }
                    if writes_heap(f, classes, inst) {
                        heap_version = version_after(inst);
                    }
                    if writes_slots(f, classes, inst) {
                        slot_version = version_after(inst);
                    }
                    continue;
                }
            };
            let args = d.args.iter().map(|v| root(f, replace.resolve(*v))).collect();
            let key = (kind(d.op), imm_text(&d.imm), args, version);
            match found.get(&key) {
                Some((at, earlier)) if dom.segment_dominates(*at, s) => {
                    let earlier = &f.insts[earlier.index()];
                    let same = match (d.results.first(), earlier.results.first()) {
                        (Some(old), Some(new)) => replace.set(f, *old, *new),
                        (None, None) => true,
                        _ => false,
                    };
                    gone[inst.index()] = same;
                    any |= same;
                }
                _ => {
                    found.insert(key, (s, inst));
                }
            }
        }
    }
    replace.apply(f);
    remove(f, &gone);
    any
}

/// Unboxing with and without a check finds the same number.
fn kind(op: Op) -> Op {
    match op {
        Op::TrustInt => Op::UnboxInt,
        Op::TrustFloat => Op::UnboxFloat,
        op => op,
    }
}

fn imm_text(imm: &Imm) -> String {
    match imm {
        Imm::None => String::new(),
        other => format!("{other:?}"),
    }
}
