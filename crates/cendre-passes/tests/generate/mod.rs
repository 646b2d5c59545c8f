//! Random functions of the IR, shared by the tests that compare two ways of running them.
//!
//! The functions mix unboxed arithmetic, boxes, guards, branches, loops, calls that change types, handlers and states. A fixed seed
//! gives the same functions.

use cendre_ir::interp::{End, Literal, TestWorld, Val, World, run};
use cendre_ir::{Block, Cond, Entry, FrameState, Function, Handler, Imm, InstData, ObjId, Op, StackEntry, Stale, Target, Type, Value};

/// What the helper answers, in turn.
pub const SCRIPT: &str = "True, False bump, raise \"oops\", True, True, True, False, True, True bump, True, raise \"last\"";

pub struct Rng(pub u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
    fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() { None } else { Some(items[self.below(items.len())]) }
    }
}

/// What is available at a point of the function that is being made.
#[derive(Clone, Default)]
struct Scope {
    ints: Vec<Value>,
    floats: Vec<Value>,
    bools: Vec<Value>,
    objects: Vec<Value>,
    /// Owned once, not yet given away (in this block).
    owned: Vec<Value>,
}

struct Maker<'a> {
    rng: &'a mut Rng,
    wanted: Wanted,
    f: Function,
    unit: u32,
    handler: Option<Block>,
}

impl Maker<'_> {
    fn push(&mut self, b: Block, op: Op, imm: Imm, args: &[Value], state: Option<FrameState>) -> Option<Value> {
        let state = state.map(|s| self.f.state(s));
        let data = InstData { op, imm, args: args.to_vec(), own: 0, results: vec![], state, targets: vec![] };
        let i = self.f.push(b, data, 0);
        self.f.insts[i.index()].results.first().copied()
    }

    /// A state that shows some of what is there: owned values all, so that nothing leaks, others at random.
    fn state(&mut self, s: &Scope) -> FrameState {
        self.unit += 1;
        let mut stack: Vec<StackEntry> = s.owned.iter().map(|v| StackEntry::new(*v, true)).collect();
        for list in [&s.ints, &s.floats, &s.bools, &s.objects] {
            if self.rng.below(2) == 0
                && let Some(value) = self.rng.pick(list)
            {
                stack.push(StackEntry::new(value, false));
            }
        }
        let stale = match self.rng.pick(&s.ints) {
            Some(value) if self.rng.below(3) == 0 => {
                let unless = self.rng.pick(&s.bools).filter(|_| self.rng.below(3) == 0);
                vec![Stale { slot: 2, value, unless }]
            }
            _ => vec![],
        };
        let handler = self.handler.filter(|_| self.rng.below(2) == 0).map(|block| Handler { block, depth: 0, lasti: false });
        FrameState { unit: self.unit, resume: self.unit, stack, stale, handler }
    }

    fn inst(&mut self, b: Block, s: &mut Scope) {
        let pick2 = |rng: &mut Rng, l: &[Value]| Some([rng.pick(l)?, rng.pick(l)?]);
        let cond = Cond::ALL[self.rng.below(6)].0;
        match self.rng.below(20) {
            0 => {
                let n = [0, 1, -1, 2, 7, 63, i64::MAX, i64::MIN, 1 << 53][self.rng.below(9)];
                s.ints.extend(self.push(b, Op::ConstInt, Imm::Int(n), &[], None));
            }
            1 => {
                let x = [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, 1e300][self.rng.below(6)];
                s.floats.extend(self.push(b, Op::ConstFloat, Imm::Float(f64::to_bits(x)), &[], None));
            }
            2..5 => {
                let ops =
                    [Op::IAddLeave, Op::ISubLeave, Op::IMulLeave, Op::IFloorDiv, Op::IMod, Op::IAnd, Op::IOr, Op::IXor, Op::IShl, Op::IShr];
                let op = ops[self.rng.below(ops.len())];
                if let Some(a) = pick2(self.rng, &s.ints) {
                    let st = self.state(s);
                    s.ints.extend(self.push(b, op, Imm::None, &a, Some(st)));
                }
            }
            5 => {
                let op = [Op::FAdd, Op::FSub, Op::FMul, Op::FDiv, Op::FPow][self.rng.below(5)];
                if let Some(a) = pick2(self.rng, &s.floats) {
                    let st = self.state(s);
                    s.floats.extend(self.push(b, op, Imm::None, &a, Some(st)));
                }
            }
            6 => {
                if let Some(a) = pick2(self.rng, &s.ints) {
                    s.bools.extend(self.push(b, Op::ICmp, Imm::Cond(cond), &a, None));
                }
            }
            7 => {
                if let Some(a) = pick2(self.rng, &s.floats) {
                    s.bools.extend(self.push(b, Op::FCmp, Imm::Cond(cond), &a, None));
                }
            }
            8 | 9 => {
                if let Some(a) = self.rng.pick(&s.ints) {
                    let st = self.state(s);
                    let v = self.push(b, Op::BoxInt, Imm::None, &[a], Some(st));
                    s.owned.extend(v);
                    s.objects.extend(v);
                }
            }
            10 => {
                if let Some(a) = self.rng.pick(&s.floats) {
                    let st = self.state(s);
                    let v = self.push(b, Op::BoxFloat, Imm::None, &[a], Some(st));
                    s.owned.extend(v);
                    s.objects.extend(v);
                }
            }
            11 | 12 => {
                if let Some(a) = self.rng.pick(&s.objects) {
                    let st = self.state(s);
                    match self.rng.below(4) {
                        0 => s.floats.extend(self.push(b, Op::UnboxFloat, Imm::None, &[a], Some(st))),
                        1 => s.floats.extend(self.push(b, Op::UnboxNumber, Imm::None, &[a], Some(st))),
                        _ => s.ints.extend(self.push(b, Op::UnboxInt, Imm::None, &[a], Some(st))),
                    }
                }
            }
            13 => {
                if let Some(a) = self.rng.pick(&s.objects) {
                    let st = self.state(s);
                    let class = ObjId([1, 1, 2, 11][self.rng.below(4)]);
                    s.objects.extend(self.push(b, Op::GuardType, Imm::Obj(class), &[a], Some(st)));
                }
            }
            14 => {
                if let Some(a) = self.rng.pick(&s.objects) {
                    let st = self.state(s);
                    self.push(b, Op::GuardVersion, Imm::Int(1), &[a], Some(st));
                }
            }
            15 => {
                if let Some(a) = pick2(self.rng, &s.objects) {
                    if self.wanted.identity {
                        s.bools.extend(self.push(b, Op::Is, Imm::None, &a, None));
                    }
                    s.bools.extend(self.push(b, Op::IsNull, Imm::None, &a[..1], None));
                }
            }
            16 => {
                let slot = self.rng.below(2) as u32;
                let v = self.push(b, Op::LoadLocal, Imm::Slot(slot), &[], None);
                let st = self.state(s);
                s.objects.extend(v.and_then(|v| self.push(b, Op::GuardNotNull, Imm::None, &[v], Some(st))));
            }
            17 => {
                if let Some(v) = s.owned.pop() {
                    s.objects.retain(|o| *o != v);
                    // Guards may be other names of it.
                    s.objects.clear();
                    let st = self.state(s);
                    self.push(b, Op::Drop, Imm::None, &[v], Some(st));
                }
            }
            18 => {
                let st = self.state(s);
                s.bools.extend(self.push(b, Op::CallBool, Imm::Helper(self.wanted.helper), &[], Some(st)));
            }
            _ => {
                if let Some(a) = self.rng.pick(&s.bools) {
                    s.bools.extend(self.push(b, Op::BNot, Imm::None, &[a], None));
                }
            }
        }
    }

    /// Drops what the block owns, and leaves with the rest.
    fn finish(&mut self, b: Block, s: &mut Scope) {
        let st = self.state(s);
        self.push(b, Op::Leave, Imm::None, &[], Some(st));
    }

    fn drop_owned(&mut self, b: Block, s: &mut Scope) {
        if !s.owned.is_empty() {
            let owned = std::mem::take(&mut s.owned);
            s.objects.clear();
            let st = self.state(s);
            self.push(b, Op::Drop, Imm::None, &owned, Some(st));
        }
    }
}

/// What may occur in a function.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The helper that answers from a script: true, false, a changed type, an exception.
    pub helper: &'static str,
    /// Comparing the identity of boxes, which depends on what is cached.
    pub identity: bool,
}

/// A random function that ends, takes two arguments, and accounts for each reference.
pub fn function(rng: &mut Rng, wanted: Wanted) -> Function {
    let mut m = Maker { rng, wanted, f: Function::new("r", 3, 64), unit: 0, handler: None };
    let blocks: Vec<Block> = (0..3 + m.rng.below(4)).map(|_| m.f.block()).collect();
    let handler = m.f.block();
    m.handler = Some(handler);
    m.f.entries.push(Entry { unit: 0, block: blocks[0] });
    // A loop counter of the function, so that every loop ends; blocks but the first get (counter, int).
    for b in &blocks[1..] {
        m.f.param(*b, Type::INT64);
        m.f.param(*b, Type::INT64);
    }
    for b in &blocks {
        let mut s = Scope::default();
        let params = m.f.blocks[b.index()].params.clone();
        let counter = match params.first() {
            Some(c) => *c,
            None => m.push(*b, Op::ConstInt, Imm::Int(4), &[], None).unwrap_or(Value(0)),
        };
        s.ints.extend(params.get(1));
        s.ints.push(counter);
        for _ in 0..2 + m.rng.below(14) {
            m.inst(*b, &mut s);
        }
        if m.rng.below(4) == 0 {
            m.finish(*b, &mut s);
            continue;
        }
        m.drop_owned(*b, &mut s);
        let one = m.push(*b, Op::ConstInt, Imm::Int(1), &[], None).unwrap_or(counter);
        let zero = m.push(*b, Op::ConstInt, Imm::Int(0), &[], None).unwrap_or(counter);
        let st = m.state(&s);
        let next = m.push(*b, Op::ISubLeave, Imm::None, &[counter, one], Some(st)).unwrap_or(counter);
        let more = m.push(*b, Op::ICmp, Imm::Cond(Cond::Gt), &[next, zero], None).unwrap_or(counter);
        let st = m.state(&s);
        m.push(*b, Op::GuardTrue, Imm::None, &[more], Some(st));
        let target = |m: &mut Maker<'_>| {
            let block = blocks[1 + m.rng.below(blocks.len() - 1)];
            Target { block, args: vec![next, m.rng.pick(&s.ints).unwrap_or(next)] }
        };
        let targets = vec![target(&mut m), target(&mut m)];
        let (op, args, targets) = match m.rng.pick(&s.bools) {
            Some(c) if m.rng.below(4) > 0 => (Op::Branch, vec![c], targets),
            _ => (Op::Jump, vec![], targets[..1].to_vec()),
        };
        m.f.push(*b, InstData { op, imm: Imm::None, args, own: 0, results: vec![], state: None, targets }, 0);
    }
    let v = m.push(handler, Op::LoadStack, Imm::Int(0), &[], None);
    m.push(handler, Op::ResetStack, Imm::None, &[], None);
    let st = FrameState {
        unit: 1,
        resume: 1,
        stack: v.map(|value| StackEntry::new(value, true)).into_iter().collect(),
        stale: vec![],
        handler: None,
    };
    m.push(handler, Op::Leave, Imm::None, &[], Some(st));
    m.f
}

/// The outcome as text, and what lives on when it is released.
pub fn outcome(f: &Function, args: &[Literal], helper: &str) -> Result<(String, usize), String> {
    let mut w = TestWorld::new();
    w.script(&format!("@{helper}"), SCRIPT)?;
    let locals = args.iter().map(|a| w.make(a)).collect();
    let o = run(f, &mut w, f.entries[0].block, locals, vec![], 10_000)?;
    let (mut text, mut held) = match o.end {
        End::Left { unit, stack, .. } => (format!("left {unit}"), stack),
        End::Raised(r) => ("raised".to_owned(), vec![Val::Obj(r)]),
        other => return Err(format!("{other:?}")),
    };
    held.extend(o.locals);
    for v in held {
        text.push_str(&format!(" {}", w.show(v)));
        if let Val::Obj(r) = v {
            w.release(r)?;
        }
    }
    Ok((format!("{text} {:?}", w.log), w.live().len()))
}
