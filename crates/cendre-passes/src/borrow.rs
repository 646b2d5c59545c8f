//! References that are made and dropped with nothing in between that could end the object: both go, and the value is borrowed meanwhile.
//!
//! LOAD_ATTR makes a reference to what it found; where that is looked into at once (`self.a.b`, `self.n + 1`, `x.kind is None`) the owner's
//! reference does as well. Invariant: between the two nothing writes to the heap or to slots, runs unknown code, or takes the value over;
//! so the object is where it was found, and a state that is left to in between makes a reference of its own.

use crate::classes::Classes;
use crate::memory::runs_unknown;
use crate::rewrite::{definition, remove, root};
use cendre_ir::verify::consumes;
use cendre_ir::{Function, Inst, InstData, Op, Value, effect};

pub fn run(f: &mut Function, classes: &Classes) -> bool {
    // How often a reference to a value is made, and given away: more than once is not told apart here.
    let mut counts = vec![(0u32, 0u32); f.values.len()];
    for inst in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = &f.insts[inst.index()];
        for (n, v) in d.args.iter().enumerate() {
            let (made, given) = &mut counts[root(f, *v).index()];
            *made += u32::from(matches!(d.op, Op::Own | Op::OwnNullable));
            *given += u32::from(consumes(d, n));
        }
        for v in d.targets.iter().flat_map(|t| &t.args) {
            counts[root(f, *v).index()].1 += 1;
        }
    }
    let mut gone = vec![false; f.insts.len()];
    let mut any = false;
    for b in 0..f.blocks.len() {
        let insts = f.blocks[b].insts.clone();
        for (n, own) in insts.iter().enumerate() {
            let d = &f.insts[own.index()];
            let [v] = d.args[..] else { continue };
            if d.op != Op::Own || counts[root(f, v).index()] != (1, 1) || !is_borrowed(f, root(f, v)) {
                continue;
            }
            let Some((drop, arg)) = dropped(f, classes, &insts[n + 1..], &gone, v) else { continue };
            for inst in insts[n + 1..].iter().take_while(|i| **i != drop) {
                if let Some(s) = f.insts[inst.index()].state {
                    f.states[s.index()].stack.iter_mut().filter(|e| e.value == v).for_each(|e| e.own = false);
                }
            }
            gone[own.index()] = true;
            let d = &mut f.insts[drop.index()];
            let owned: Vec<bool> = (0..d.args.len()).map(|k| d.owns(k)).collect();
            d.args.remove(arg);
            d.own = 0;
            for (k, _) in owned.iter().enumerate().filter(|(k, o)| **o && *k != arg) {
                d.own |= InstData::own_bit(if k > arg { k - 1 } else { k });
            }
            gone[drop.index()] = d.args.is_empty();
            any = true;
        }
    }
    remove(f, &gone);
    any
}

/// Was the value found somewhere that holds a reference of its own?
fn is_borrowed(f: &Function, v: Value) -> bool {
    use Op::*;
    definition(f, v).is_some_and(|i| {
        matches!(
            f.insts[i.index()].op,
            LoadLocal
                | AttrInline
                | AttrSlot
                | AttrModule
                | GlobalCell
                | GlobalModule
                | GlobalBuiltin
                | ListGet
                | TupleGet
                | TupleItem
                | CellGet
                | ConstObj
        )
    })
}

/// The instruction that drops the reference, with nothing before it that forbids to do without, and which of its arguments.
fn dropped(f: &Function, classes: &Classes, insts: &[Inst], gone: &[bool], v: Value) -> Option<(Inst, usize)> {
    let is = |x: Value| root(f, x) == root(f, v);
    for inst in insts.iter().filter(|i| !gone[i.index()]) {
        let d = &f.insts[inst.index()];
        let state = d.state.map(|s| &f.states[s.index()]);
        // What goes with a state as the object of a number has to be owned.
        if state.iter().flat_map(|s| &s.stack).any(|e| e.of.is_some_and(is)) {
            return None;
        }
        let mut named = state.iter().flat_map(|s| &s.stack).filter(|e| is(e.value));
        if d.op == Op::Drop
            && let Some(arg) = d.args.iter().position(|x| is(*x))
        {
            // What goes before it in the same instruction may run code that ends the object.
            let first = d.args[..arg].iter().all(|x| classes.drops_quietly(f.ty(*x)));
            return (first && d.args[arg] == v && named.next().is_none()).then_some((*inst, arg));
        }
        // A handler takes its stack as it was made; two names of the object on the stack are not told apart.
        let (one, more) = (named.next(), named.next());
        if more.is_some() || one.is_some_and(|e| e.value != v) || one.is_some() && state.is_some_and(|s| s.handler.is_some()) {
            return None;
        }
        let harmless = match d.op {
            Op::Own | Op::OwnNullable => true,
            Op::Drop => !runs_unknown(f, classes, *inst),
            op => !op.is(effect::WRITES | effect::ENDS) && !runs_unknown(f, classes, *inst),
        };
        if !harmless {
            return None;
        }
    }
    None
}
