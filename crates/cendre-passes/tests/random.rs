//! Random functions through the pipeline: the interpreter sees the same outcome before and after, references included.
//!
//! The functions mix unboxed arithmetic, boxes, guards, branches, loops, calls that change types, handlers and states. A fixed seed: a
//! failure prints the function and repeats.

mod generate;

use cendre_ir::interp::Literal;
use cendre_ir::{Entry, FrameState, Function, Handler, Imm, InstData, ObjId, Op, Target, Value};
use cendre_passes::{Classes, PASSES, run_one, run_with};
use generate::{Rng, Wanted, function, outcome};

#[test]
fn the_pipeline_changes_no_outcome() {
    let known = Classes { int: Some(ObjId(1)), float: Some(ObjId(2)), bool_: Some(ObjId(3)), ..Classes::default() };
    let args: [[Literal; 2]; 4] = [
        [Literal::Int(3), Literal::Int(-4)],
        [Literal::Float(2.5), Literal::Int(9)],
        [Literal::Str("s".into()), Literal::Null],
        [Literal::Int(i64::MAX), Literal::Float(-0.0)],
    ];
    let mut rng = Rng(0x2545_f491_4f6c_dd1d);
    let (mut before, mut after, mut ran) = (0, 0, 0);
    for round in 0..4000 {
        let f = function(&mut rng, Wanted { helper: "unknown", identity: true });
        if let Err(e) = f.verify() {
            panic!("round {round}: {}\n{f}", e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        assert_eq!(Function::parse(&f.to_string()).map(|g| g.to_string()), Ok(f.to_string()));
        let mut variants = Vec::new();
        for classes in [&known, &Classes::default()] {
            let mut g = f.clone();
            run_with(&mut g, classes);
            variants.push(("pipeline", g));
        }
        let (name, _) = PASSES[round % PASSES.len()];
        let mut g = f.clone();
        run_one(&mut g, name, &known);
        variants.push((name, g));
        let count = |f: &Function| f.blocks.iter().map(|b| b.insts.len()).sum::<usize>();
        (before, after) = (before + count(&f), after + count(&variants[0].1));
        for (name, g) in &variants {
            if let Err(e) = g.verify() {
                panic!("round {round} after {name}: {}\n{f}\n{g}", e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
            }
            for a in &args {
                let (x, y) = (outcome(&f, a, "unknown"), outcome(g, a, "unknown"));
                assert_eq!(x, y, "round {round}, {name}, {a:?}\n{f}\n{g}");
                ran += usize::from(x.is_ok());
            }
        }
    }
    // The sample is worth something: most runs end well, and the passes found work.
    assert!(ran > 40_000, "{ran}");
    assert!(after * 10 < before * 9, "{before} instructions before, {after} after");
}

#[test]
fn twenty_thousand_instructions_take_no_time_to_speak_of() {
    // One long chain of guards, boxes and blocks with a handler: quadratic passes would need minutes here.
    let mut f = Function::new("long", 1, 4);
    let handler = f.block();
    let mut b = f.block();
    f.entries.push(Entry { unit: 0, block: b });
    let inst = |op, imm, args: &[Value], state| InstData { op, imm, args: args.to_vec(), own: 0, results: vec![], state, targets: vec![] };
    let state = |f: &mut Function, unit| {
        let h = Some(Handler { block: handler, depth: 0, lasti: false });
        Some(f.state(FrameState { unit, resume: unit, stack: vec![], stale: vec![], handler: h }))
    };
    for unit in 0..2500 {
        let i = f.push(b, inst(Op::LoadLocal, Imm::Slot(0), &[], None), 0);
        let v = f.insts[i.index()].results[0];
        let s = state(&mut f, unit);
        let i = f.push(b, inst(Op::CheckBound, Imm::Slot(0), &[v], s), 0);
        let v = f.insts[i.index()].results[0];
        let i = f.push(b, inst(Op::UnboxInt, Imm::None, &[v], s), 0);
        let n = f.insts[i.index()].results[0];
        let i = f.push(b, inst(Op::IAddLeave, Imm::None, &[n, n], s), 0);
        let n = f.insts[i.index()].results[0];
        let i = f.push(b, inst(Op::BoxInt, Imm::None, &[n], s), 0);
        let o = f.insts[i.index()].results[0];
        f.push(b, inst(Op::CallBool, Imm::Helper("h"), &[], s), 0);
        f.push(b, inst(Op::Drop, Imm::None, &[o], s), 0);
        let next = f.block();
        f.push(b, InstData { targets: vec![Target { block: next, args: vec![] }], ..inst(Op::Jump, Imm::None, &[], None) }, 0);
        b = next;
    }
    for b in [b, handler] {
        let s = Some(f.state(FrameState { unit: 0, resume: 0, stack: vec![], stale: vec![], handler: None }));
        f.push(b, inst(Op::Leave, Imm::None, &[], s), 0);
    }
    assert_eq!(f.insts.len(), 20_002);
    run_with(&mut f, &Classes::default());
    assert!(f.verify().is_ok());
    assert!(f.blocks.iter().flat_map(|b| &b.insts).all(|i| f.insts[i.index()].op != Op::BoxInt));
}
