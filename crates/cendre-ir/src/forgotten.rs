//! References that a way out forgets: made in a block, not given away yet, and not in the state of an instruction that may leave or raise.
//!
//! Such a reference is lost where the guard fails. Part of the verifier (rules: docs/internals/ir.md).
//!
//! Invariant: only what is certain is reported. References of values from other blocks and of parameters are not counted, and of what an instruction answers
//! only where it is always a new one.

use crate::function::{Block, Def, FrameState, Function, Imm, Inst, InstData, State, Value};
use crate::inst::{Op, effect};
use crate::types::Kinds;
use crate::verify::{consumes, state_is_before};
use std::collections::HashMap;

/// Is the object that the instruction answers a new reference (or null)?
fn makes(op: Op) -> bool {
    matches!(
        op,
        Op::TakeLocal
            | Op::LoadStack
            | Op::BoxInt
            | Op::BoxFloat
            | Op::SetInline
            | Op::SetSlot
            | Op::ListSet
            | Op::CellSet
            | Op::ExcPush
            | Op::ExcPop
            | Op::CallObj
            | Op::CallQuiet
            | Op::StackOp
            | Op::QuietOp
            | Op::Call
            | Op::CallPy
            | Op::CallInit
            | Op::CallBound
            | Op::PassCall
            | Op::RetInt
            | Op::RetFloat
    )
}

/// The forgotten references: where, by which state, whose.
pub fn forgotten(f: &Function) -> Vec<(Inst, State, Value)> {
    // A box that no instruction takes is not made: the passes see to it.
    let mut taken = vec![false; f.values.len()];
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        f.insts[inst.index()].args.iter().for_each(|v| taken[v.index()] = true);
        f.insts[inst.index()].targets.iter().flat_map(|t| &t.args).for_each(|v| taken[v.index()] = true);
    }
    (0..f.blocks.len()).flat_map(|b| in_block(f, Block(b as u32), &taken)).collect()
}

fn in_block(f: &Function, block: Block, taken: &[bool]) -> Vec<(Inst, State, Value)> {
    // Guards give their argument back under another name.
    let mut names: HashMap<Value, Value> = HashMap::new();
    let mut left: HashMap<Value, i64> = HashMap::new();
    let mut out = Vec::new();
    for inst in &f.blocks[block.index()].insts {
        let d = &f.insts[inst.index()];
        let name = |v: Value| names.get(&v).copied().unwrap_or(v);
        if state_is_before(d.op) {
            look(f, *inst, &name, &left, &mut out);
        }
        for (n, v) in d.args.iter().enumerate() {
            // What is not counted here goes below zero and stays there: it hides what is made of it, and accuses nobody.
            if consumes(d, n) || n == 1 && matches!(d.imm, Imm::Helper("list_append")) {
                *left.entry(name(*v)).or_insert(0) -= 1;
            }
        }
        if !state_is_before(d.op) {
            look(f, *inst, &name, &left, &mut out);
        }
        match (d.op, d.args.first(), d.results.first()) {
            (Op::Own | Op::OwnNullable, Some(v), _) => *left.entry(name(*v)).or_insert(0) += 1,
            (Op::GuardType | Op::GuardNotNull | Op::CheckBound, Some(v), Some(result)) => {
                let v = name(*v);
                names.insert(*result, v);
            }
            (op, ..) if makes(op) => {
                let object = |v: &&Value| f.ty(**v).kinds.intersect(Kinds::OBJECT) != Kinds::NONE;
                let made = |v: &&Value| taken[v.index()] || !matches!(op, Op::BoxInt | Op::BoxFloat);
                left.extend(d.results.iter().filter(object).filter(made).map(|v| (*v, 1)));
            }
            _ => {}
        }
    }
    out
}

/// Compares what is left with what the state of the instruction owns.
fn look(f: &Function, inst: Inst, name: &dyn Fn(Value) -> Value, left: &HashMap<Value, i64>, out: &mut Vec<(Inst, State, Value)>) {
    let d = &f.insts[inst.index()];
    let Some(state) = d.state.filter(|s| d.op.is(effect::LEAVES | effect::RAISES) && !never_takes(d, &f.states[s.index()])) else { return };
    let mut owned: HashMap<Value, i64> = HashMap::new();
    for e in &f.states[state.index()].stack {
        let v = match e.of {
            Some(of) => (f.ty(of).kinds != Kinds::PTR).then_some(of),
            None => e.own.then_some(e.value),
        };
        if let Some(v) = v {
            *owned.entry(name(v)).or_insert(0) += 1;
        }
    }
    for (v, n) in left {
        if *n > owned.get(v).copied().unwrap_or(0) && !immortal(f, *v) {
            out.push((inst, state, *v));
        }
    }
}

/// Is its state there for form only?
fn never_takes(d: &InstData, state: &FrameState) -> bool {
    match (d.op, &d.imm) {
        // Where there is no memory the process ends.
        (Op::BoxInt | Op::BoxFloat, _) => true,
        (Op::Drop, _) => state.resume == FrameState::PLAIN,
        (_, Imm::Helper(helper)) => *helper == "str_eq",
        _ => false,
    }
}

/// Counts of these mean nothing.
fn immortal(f: &Function, v: Value) -> bool {
    match f.values[v.index()].def {
        Def::Result(i, _) => match (f.insts[i.index()].op, &f.insts[i.index()].imm) {
            (Op::ConstObj | Op::Null | Op::BoxBool, _) => true,
            (Op::QuietOp, Imm::HelperInt(helper, 0)) => *helper == "op_build_tuple",
            _ => false,
        },
        Def::Param(..) => false,
    }
}
