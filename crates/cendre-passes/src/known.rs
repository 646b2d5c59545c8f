//! Guards whose answer the types tell, and unboxing that needs no check.
//!
//! Invariant: a class in a type is only believed if it is immutable (see classes.rs): a type says what held where the value was
//! made. Nullness, identity and kinds of values never change.

use crate::classes::Classes;
use crate::rewrite::{Replace, definition, remove, root};
use cendre_ir::{Function, Imm, Op, Type};

pub fn run(f: &mut Function, classes: &Classes) -> bool {
    // Boxes are of known class.
    for inst in &f.insts {
        let class = match inst.op {
            Op::BoxInt => classes.int,
            Op::BoxFloat => classes.float,
            Op::BoxBool => classes.bool_,
            _ => None,
        };
        if let (Some(class), Some(v)) = (class, inst.results.first())
            && f.values[v.index()].ty == Type::OBJECT
        {
            f.values[v.index()].ty = Type::exactly(class);
        }
    }
    let mut replace = Replace::new(f);
    let mut gone = vec![false; f.insts.len()];
    let mut any = false;
    for b in 0..f.blocks.len() {
        for i in 0..f.blocks[b].insts.len() {
            let inst = f.blocks[b].insts[i];
            let d = &f.insts[inst.index()];
            let Some(arg) = d.args.first().copied() else { continue };
            if d.own != 0 {
                continue;
            }
            let arg = replace.resolve(arg);
            let ty = f.ty(arg);
            let alias = |replace: &mut Replace| d.results.first().is_some_and(|r| replace.set(f, *r, arg));
            let drop = match (d.op, &d.imm) {
                (Op::GuardType, Imm::Obj(c)) => ty.class == Some(*c) && classes.is_fixed(*c) && alias(&mut replace),
                (Op::GuardNotNull | Op::CheckBound, _) => ty.is_object() && alias(&mut replace),
                (Op::GuardIs, Imm::Obj(o)) => ty.literal == Some(*o),
                (Op::GuardTrue, _) => definition(f, arg).is_some_and(|i| f.insts[i.index()].imm == Imm::Bool(true)),
                _ => false,
            };
            gone[inst.index()] = drop;
            any |= drop;
            if d.op == Op::UnboxFloat && classes.float.is_some() {
                // The guards around the value say more than the value itself.
                let known = ty.class == classes.float || f.ty(root(f, arg)).class == classes.float;
                if known {
                    let d = &mut f.insts[inst.index()];
                    (d.op, d.state) = (Op::TrustFloat, None);
                    any = true;
                }
            }
        }
    }
    replace.apply(f);
    remove(f, &gone);
    any
}
