//! Constants: arithmetic and comparisons of known numbers, nullness and identity that types decide, branches on constants.
//!
//! Invariant: a folded instruction gives exactly what it would at run time (cendre-ir's arith.rs is the one definition of that); what
//! would leave is not folded. Results that are nan are left to the machine, so that their bits are its own.

use crate::rewrite::{definition, make_constant, root};
use cendre_ir::dom::Dominators;
use cendre_ir::{Function, Imm, Inst, Op, Type, Value, arith};

pub fn run(f: &mut Function) -> bool {
    let mut any = false;
    // Definitions come before uses in this order, but for those around loops, which are no constants.
    let dom = Dominators::new(f);
    for s in dom.tree_order() {
        let segment = &dom.segments[s as usize];
        for i in segment.start..segment.end {
            let inst = f.blocks[segment.block.index()].insts[i as usize];
            any |= f.insts[inst.index()].own == 0 && fold(f, inst);
        }
    }
    any
}

fn fold(f: &mut Function, inst: Inst) -> bool {
    let d = &f.insts[inst.index()];
    let arg = |n: usize| d.args.get(n).copied();
    let imm = |v: Option<Value>| v.and_then(|v| definition(f, v)).map(|i| (f.insts[i.index()].op, &f.insts[i.index()].imm));
    let int = |n: usize| match imm(arg(n)) {
        Some((Op::ConstInt, Imm::Int(i))) => Some(*i),
        _ => None,
    };
    let float = |n: usize| match imm(arg(n)) {
        Some((Op::ConstFloat, Imm::Float(bits))) => Some(f64::from_bits(*bits)),
        _ => None,
    };
    let boolean = |n: usize| match imm(arg(n)) {
        Some((Op::ConstBool, Imm::Bool(b))) => Some(*b),
        _ => None,
    };
    let constant = match (d.op, &d.imm) {
        (Op::Branch, _) => return fold_branch(f, inst),
        (Op::ICmp, Imm::Cond(c)) => match (int(0), int(1)) {
            (Some(a), Some(b)) => Some(Imm::Bool(arith::compare(*c, a, b))),
            _ => None,
        },
        (Op::FCmp, Imm::Cond(c)) => match (float(0), float(1)) {
            (Some(a), Some(b)) => Some(Imm::Bool(arith::compare(*c, a, b))),
            _ => None,
        },
        (Op::INeg | Op::INot, _) => int(0).and_then(|a| arith::int_unary(d.op, a)).map(Imm::Int),
        (Op::IToF, _) => int(0).and_then(arith::int_to_float).map(|x| Imm::Float(x.to_bits())),
        (Op::FNeg, _) => float(0).filter(|x| !x.is_nan()).map(|x| Imm::Float((-x).to_bits())),
        (Op::FAdd | Op::FSub | Op::FMul | Op::FDiv | Op::FPow, _) => match (float(0), float(1)) {
            (Some(a), Some(b)) => arith::float_binary(d.op, a, b).filter(|x| !x.is_nan()).map(|x| Imm::Float(x.to_bits())),
            _ => None,
        },
        (Op::BNot, _) => boolean(0).map(|b| Imm::Bool(!b)),
        (Op::IsNull, _) => arg(0).and_then(|v| is_null(f, v)).map(Imm::Bool),
        (Op::Is, _) => arg(0).zip(arg(1)).and_then(|(a, b)| same_object(f, a, b)).map(Imm::Bool),
        (Op::PtrIs, Imm::Int(want)) => match imm(arg(0)) {
            Some((Op::ConstPtr, Imm::Int(i))) => Some(Imm::Bool(i == want)),
            _ => None,
        },
        (op, _) => match (int(0), int(1)) {
            (Some(a), Some(b)) => arith::int_binary(op, a, b).map(Imm::Int),
            _ => None,
        },
    };
    let Some(constant) = constant else { return false };
    let op = match constant {
        Imm::Int(_) => Op::ConstInt,
        Imm::Float(_) => Op::ConstFloat,
        _ => Op::ConstBool,
    };
    make_constant(f, inst, op, constant);
    true
}

fn is_null(f: &Function, v: Value) -> Option<bool> {
    let ty = f.ty(v);
    if ty.is_subtype(Type::NULL) && ty != Type::NEVER { Some(true) } else { ty.is_object().then_some(false) }
}

/// Are they the same object? Classes say nothing here (a class can be assigned to).
fn same_object(f: &Function, a: Value, b: Value) -> Option<bool> {
    if root(f, a) == root(f, b) {
        return Some(true);
    }
    let (x, y) = (f.ty(a), f.ty(b));
    match (x.literal, y.literal) {
        (Some(p), Some(q)) => Some(p == q),
        _ => match (is_null(f, a), is_null(f, b)) {
            (Some(true), Some(true)) => Some(true),
            (Some(p), Some(q)) if p != q => Some(false),
            _ => None,
        },
    }
}

/// A branch on a constant, or with two equal targets, is a jump.
fn fold_branch(f: &mut Function, inst: Inst) -> bool {
    let d = &f.insts[inst.index()];
    let [yes, no] = &d.targets[..] else { return false };
    let known = d.args.first().and_then(|v| definition(f, *v)).and_then(|i| match (f.insts[i.index()].op, &f.insts[i.index()].imm) {
        (Op::ConstBool, Imm::Bool(b)) => Some(*b),
        _ => None,
    });
    let target = match known {
        Some(true) => yes.clone(),
        Some(false) => no.clone(),
        None if yes == no => yes.clone(),
        None => return false,
    };
    let d = &mut f.insts[inst.index()];
    (d.op, d.args, d.targets, d.state) = (Op::Jump, Vec::new(), vec![target], None);
    true
}
