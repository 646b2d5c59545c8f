//! Reference interpreter of the IR: what a function means, for tests of passes and of code generation.
//!
//! The unboxed part is exact (arith.rs). Everything that touches Python objects goes through a [`World`]; tests use
//! [`TestWorld`], a small one with counted references.
//! Invariant: an outcome owns what it holds, exactly as the frame would; so when it is released and nothing lives on in the
//! world, the function counted its references right. Read docs/internals/ir.md, "What instructions mean".

mod literal;
mod test_world;
mod world;

pub use literal::Literal;
pub(crate) use literal::join;
pub use test_world::TestWorld;
pub use world::{Answer, ObjRef, Val, World};

use crate::arith;
use crate::function::{Block, Def, Function, Imm, InstData, Stale, State, Value};
use crate::inst::{Op, Res, effect};
use crate::verify::{consumes, takes};

/// How a run ended. Everything in it is owned.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    Returned(Val),
    Raised(ObjRef),
    /// The interpreter goes on at `resume` with this stack.
    Left {
        unit: u32,
        resume: u32,
        stack: Vec<Val>,
    },
    /// Suspended: what was yielded, where to go on, the stack without it.
    Yielded {
        value: Val,
        resume: u32,
        stack: Vec<Val>,
    },
}

/// The end of a run, and the frame's slots at that moment (owned, boxed).
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    pub end: End,
    pub locals: Vec<Val>,
}

/// Runs a verified function. `locals` and `stack` are the frame's, owned. `Err` says what the world or the interpreter cannot do
/// (never a result of the function).
pub fn run(f: &Function, world: &mut dyn World, entry: Block, locals: Vec<Val>, stack: Vec<Val>, fuel: u64) -> Result<Outcome, String> {
    let mut m = Machine { f, world, locals, stack, values: vec![None; f.values.len()], fuel };
    m.locals.resize(f.nlocals as usize, Val::Null);
    m.stack.resize((f.stack_size as usize).max(m.stack.len()), Val::Null);
    let end = m.run(entry)?;
    Ok(Outcome { end, locals: m.locals })
}

struct Machine<'a> {
    f: &'a Function,
    world: &'a mut dyn World,
    locals: Vec<Val>,
    stack: Vec<Val>,
    values: Vec<Option<Val>>,
    fuel: u64,
}

/// What an instruction did.
enum Step {
    Done,
    /// A guard failed.
    Leave,
    /// An exception is set.
    Raise,
}

/// Where the machine goes on.
enum Next {
    Block(Block),
    End(End),
}

impl Machine<'_> {
    fn run(&mut self, entry: Block) -> Result<End, String> {
        let f = self.f;
        let mut block = entry;
        'blocks: loop {
            for inst in &f.blocks[block.index()].insts {
                self.fuel = self.fuel.checked_sub(1).ok_or("too many steps")?;
                let d = &f.insts[inst.index()];
                let next = if d.op.is(effect::ENDS) { self.end(d)? } else { self.straight(d)? };
                match next {
                    None => {}
                    Some(Next::Block(b)) => {
                        block = b;
                        continue 'blocks;
                    }
                    Some(Next::End(end)) => return Ok(end),
                }
            }
            return Err(format!("bb{} has no end", block.0));
        }
    }

    fn get(&self, v: Value) -> Result<Val, String> {
        self.values[v.index()].ok_or_else(|| format!("v{} has no value", v.0))
    }

    fn object(&self, v: Value) -> Result<ObjRef, String> {
        match self.get(v)? {
            Val::Obj(r) => Ok(r),
            other => Err(format!("v{} is no object but {other:?}", v.0)),
        }
    }

    fn int(&self, v: Value) -> Result<i64, String> {
        match self.get(v)? {
            Val::Int(i) => Ok(i),
            other => Err(format!("v{} is no integer but {other:?}", v.0)),
        }
    }

    fn float(&self, v: Value) -> Result<f64, String> {
        match self.get(v)? {
            Val::Float(x) => Ok(x),
            other => Err(format!("v{} is no double but {other:?}", v.0)),
        }
    }

    fn bool(&self, v: Value) -> Result<bool, String> {
        match self.get(v)? {
            Val::Bool(b) => Ok(b),
            other => Err(format!("v{} is no truth value but {other:?}", v.0)),
        }
    }

    fn release(&mut self, v: Val) -> Result<(), String> {
        match v {
            Val::Obj(r) => self.world.release(r),
            _ => Ok(()),
        }
    }

    /// The value as the frame would hold it: a reference of its own, unboxed ones boxed.
    fn boxed(&mut self, v: Val, owned: bool) -> Val {
        match v {
            Val::Obj(r) => {
                if !owned {
                    self.world.own(r);
                }
                v
            }
            Val::Int(_) | Val::Float(_) | Val::Bool(_) => Val::Obj(self.world.box_value(v)),
            Val::Null | Val::Ptr(_) => v,
        }
    }

    /// The state's stack, owned; its stale locals become current.
    fn spill(&mut self, s: State) -> Result<Vec<Val>, String> {
        let st = &self.f.states[s.index()];
        for e in &st.stale {
            self.make_current(*e)?;
        }
        let mut out: Vec<Val> = Vec::with_capacity(st.stack.len());
        for e in &st.stack {
            let v = self.get(e.value)?;
            let origin = e.of.map(|of| self.get(of)).transpose()?;
            let v = match (e.home, e.twin) {
                _ if matches!(origin, Some(Val::Obj(_))) => origin.unwrap_or(v),
                _ if let Some(Val::Ptr(word)) = origin.filter(|o| *o != Val::Ptr(0)) => {
                    self.boxed(self.locals[(word >> 1) as usize], false)
                }
                (Some(slot), _) => self.boxed(self.locals[slot as usize], false),
                (_, Some(n)) => self.boxed(out[n as usize], false),
                _ => self.boxed(v, e.own),
            };
            out.push(v);
        }
        Ok(out)
    }

    /// A stale local's slot gets its object, unless it has it.
    fn make_current(&mut self, e: Stale) -> Result<(), String> {
        if let Some(current) = e.unless
            && self.bool(current)?
        {
            return Ok(());
        }
        let v = self.get(e.value)?;
        let v = self.boxed(v, false);
        let old = std::mem::replace(&mut self.locals[e.slot as usize], v);
        self.release(old)
    }

    fn state(d: &InstData) -> Result<State, String> {
        d.state.ok_or_else(|| format!("{} has no state", d.op.row().text))
    }

    fn leave(&mut self, d: &InstData) -> Result<End, String> {
        let s = Self::state(d)?;
        let stack = self.spill(s)?;
        let st = &self.f.states[s.index()];
        Ok(End::Left { unit: st.unit, resume: st.resume, stack })
    }

    fn raise(&mut self, d: &InstData) -> Result<Next, String> {
        let s = Self::state(d)?;
        let mut stack = self.spill(s)?;
        let exception = self.world.exception().ok_or("raised, but no exception is set")?;
        let st = &self.f.states[s.index()];
        let keep = st.handler.map_or(0, |h| h.depth as usize);
        for v in stack.drain(keep.min(stack.len())..).rev().collect::<Vec<_>>() {
            self.release(v)?;
        }
        let Some(h) = st.handler else { return Ok(Next::End(End::Raised(exception))) };
        if h.lasti {
            stack.push(Val::Ptr(u64::from(st.unit)));
        }
        stack.push(Val::Obj(exception));
        if stack.len() > self.stack.len() {
            return Err("the handler's stack is higher than the frame's".into());
        }
        self.stack[..stack.len()].copy_from_slice(&stack);
        Ok(Next::Block(h.block))
    }

    fn straight(&mut self, d: &InstData) -> Result<Option<Next>, String> {
        match self.step(d)? {
            Step::Leave => return Ok(Some(Next::End(self.leave(d)?))),
            step => {
                // Consumed arguments go on success and failure alike, the last one first.
                for (n, v) in d.args.iter().enumerate().rev() {
                    if consumes(d, n) && !takes(d.op, n) {
                        let v = self.get(*v)?;
                        self.release(v)?;
                    }
                }
                if matches!(step, Step::Raise) {
                    return self.raise(d).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn end(&mut self, d: &InstData) -> Result<Option<Next>, String> {
        let target = |n: usize| d.targets.get(n).ok_or_else(|| format!("{} has no target {n}", d.op.row().text));
        let arg = |n: usize| d.args.get(n).copied().ok_or_else(|| format!("{} has no argument {n}", d.op.row().text));
        Ok(Some(match d.op {
            Op::Jump | Op::Branch => {
                let n = if d.op == Op::Branch && !self.bool(arg(0)?)? { 1 } else { 0 };
                let t = target(n)?;
                // All arguments are read before a parameter is set: they can be each other's.
                let args = t.args.iter().map(|v| self.get(*v)).collect::<Result<Vec<_>, _>>()?;
                for (p, v) in self.f.blocks[t.block.index()].params.iter().zip(args) {
                    self.values[p.index()] = Some(v);
                }
                Next::Block(t.block)
            }
            Op::Return => Next::End(End::Returned(self.get(arg(0)?)?)),
            Op::ReturnLocal => {
                self.spill(Self::state(d)?)?;
                let Imm::Slot(slot) = d.imm else { return Err("return.local without a slot".into()) };
                let v = self.boxed(self.locals[slot as usize], false);
                Next::End(End::Returned(v))
            }
            Op::Yield => {
                let value = self.get(arg(0)?)?;
                let s = Self::state(d)?;
                let stack = self.spill(s)?;
                Next::End(End::Yielded { value, resume: self.f.states[s.index()].resume, stack })
            }
            Op::Leave => Next::End(self.leave(d)?),
            Op::Raise => self.raise(d)?,
            _ => return Err(format!("{} ends no block", d.op.row().text)),
        }))
    }

    fn set(&mut self, d: &InstData, v: Val) -> Step {
        if let Some(r) = d.results.first() {
            self.values[r.index()] = Some(v);
        }
        Step::Done
    }

    /// Sets the result, or leaves where there is none.
    fn set_or_leave(&mut self, d: &InstData, v: Option<Val>) -> Step {
        match v {
            Some(v) => self.set(d, v),
            None => Step::Leave,
        }
    }

    fn step(&mut self, d: &InstData) -> Result<Step, String> {
        let a = |n: usize| d.args.get(n).copied().unwrap_or(Value(u32::MAX - 1));
        if d.args.len() < d.op.row().args.iter().filter(|a| **a != crate::inst::Arg::Rest).count() {
            return Err(format!("{}: arguments are missing", d.op.row().text));
        }
        let guard = |ok: bool| if ok { Step::Done } else { Step::Leave };
        let slot = match d.imm {
            Imm::Slot(n) | Imm::SlotInt(n, _) => n as usize,
            _ => 0,
        };
        Ok(match (d.op, &d.imm) {
            (Op::ConstInt, Imm::Int(i)) => self.set(d, Val::Int(*i)),
            (Op::ConstFloat, Imm::Float(bits)) => self.set(d, Val::Float(f64::from_bits(*bits))),
            (Op::ConstBool, Imm::Bool(b)) => self.set(d, Val::Bool(*b)),
            (Op::ConstPtr, Imm::Int(i)) => self.set(d, Val::Ptr(*i as u64)),
            (Op::ConstObj, Imm::Obj(o)) => {
                let v = Val::Obj(self.world.constant(*o));
                self.set(d, v)
            }
            (Op::Null, _) => self.set(d, Val::Null),

            (Op::LoadLocal, _) => self.set(d, self.locals[slot]),
            (Op::StoreLocal | Op::PutLocal, _) => {
                let v = self.get(a(0))?;
                let old = std::mem::replace(&mut self.locals[slot], v);
                if d.op == Op::PutLocal && old != Val::Null {
                    return Err(format!("put_local: slot {slot} is bound"));
                }
                self.release(old)?;
                Step::Done
            }
            (Op::TakeLocal, _) => {
                let v = std::mem::replace(&mut self.locals[slot], Val::Null);
                self.set(d, v)
            }
            (Op::SyncInt | Op::SyncFloat | Op::SyncBool, _) => {
                self.make_current(Stale { slot: slot as u32, value: a(0), unless: d.args.get(1).copied() })?;
                Step::Done
            }
            // Nobody takes the frame in here, so the slot holds what was synced.
            (Op::ReloadInt | Op::ReloadFloat | Op::ReloadBool, _) => {
                let v = self.get(a(0))?;
                self.set(d, v)
            }
            (Op::LoadStack | Op::LoadWord, Imm::Int(i)) => {
                let cell = self.stack.get_mut(*i as usize).ok_or("no such stack entry")?;
                let v = std::mem::replace(cell, Val::Null);
                match (d.op, v) {
                    (Op::LoadWord, Val::Ptr(_)) | (Op::LoadStack, Val::Obj(_) | Val::Null) => {}
                    _ => return Err(format!("{}: entry {i} is {v:?}", d.op.row().text)),
                }
                self.set(d, v)
            }
            (Op::ResetStack, _) => Step::Done,
            // Whoever runs it here takes what it returns.
            (Op::IsAwaited, _) => self.set(d, Val::Bool(false)),

            (Op::Own | Op::OwnNullable, _) => {
                if let Val::Obj(r) = self.get(a(0))? {
                    self.world.own(r);
                }
                Step::Done
            }
            (Op::Drop, _) => {
                for v in &d.args {
                    let v = self.get(*v)?;
                    self.release(v)?;
                }
                Step::Done
            }

            (Op::GuardType, Imm::Obj(class)) => {
                let r = self.object(a(0))?;
                let ok = self.world.class_is(r, *class);
                self.set_or_leave(d, ok.then_some(Val::Obj(r)))
            }
            (Op::GuardVersion, Imm::Int(version)) => {
                let r = self.object(a(0))?;
                guard(self.world.version_is(r, *version))
            }
            (Op::GuardIs, Imm::Obj(o)) => {
                let v = self.get(a(0))?;
                guard(v == Val::Obj(self.world.constant(*o)))
            }
            (Op::GuardNotNull, _) => {
                let v = self.get(a(0))?;
                self.set_or_leave(d, (v != Val::Null).then_some(v))
            }
            (Op::GuardTrue, _) => guard(self.bool(a(0))?),
            (Op::UnboxInt | Op::TrustInt | Op::UnboxFloat | Op::TrustFloat | Op::UnboxBool, _) => {
                let v = self.world.unbox(self.object(a(0))?);
                let fits = match d.op {
                    Op::UnboxInt | Op::TrustInt => matches!(v, Some(Val::Int(_))),
                    Op::UnboxFloat | Op::TrustFloat => matches!(v, Some(Val::Float(_))),
                    _ => matches!(v, Some(Val::Bool(_))),
                };
                if !fits && matches!(d.op, Op::TrustInt | Op::TrustFloat) {
                    return Err(format!("{} of {v:?}: trust was misplaced", d.op.row().text));
                }
                self.set_or_leave(d, v.filter(|_| fits))
            }
            (Op::UnboxNumber, _) => {
                let number = match self.world.unbox(self.object(a(0))?) {
                    Some(Val::Int(n)) if n.unsigned_abs() < 1 << 30 => Some(n as f64),
                    Some(Val::Float(x)) => Some(x),
                    _ => None,
                };
                self.set_or_leave(d, number.map(Val::Float))
            }
            (Op::BoxInt | Op::BoxFloat | Op::BoxBool, _) => {
                let v = self.get(a(0))?;
                let r = self.world.box_value(v);
                self.set(d, Val::Obj(r))
            }

            (
                Op::IAddLeave
                | Op::ISubLeave
                | Op::IMulLeave
                | Op::IFloorDiv
                | Op::IMod
                | Op::IAnd
                | Op::IOr
                | Op::IXor
                | Op::IShl
                | Op::IShr,
                _,
            ) => {
                let r = arith::int_binary(d.op, self.int(a(0))?, self.int(a(1))?);
                self.set_or_leave(d, r.map(Val::Int))
            }
            (Op::INeg | Op::INot, _) => {
                let r = arith::int_unary(d.op, self.int(a(0))?);
                self.set_or_leave(d, r.map(Val::Int))
            }
            (Op::ICmp, Imm::Cond(c)) => {
                let r = arith::compare(*c, self.int(a(0))?, self.int(a(1))?);
                self.set(d, Val::Bool(r))
            }
            (Op::IToF, _) => {
                let r = arith::int_to_float(self.int(a(0))?);
                self.set_or_leave(d, r.map(Val::Float))
            }
            (Op::FAdd | Op::FSub | Op::FMul | Op::FDiv | Op::FPow, _) => {
                let r = arith::float_binary(d.op, self.float(a(0))?, self.float(a(1))?);
                self.set_or_leave(d, r.map(Val::Float))
            }
            (Op::FNeg, _) => {
                let x = self.float(a(0))?;
                self.set(d, Val::Float(-x))
            }
            (Op::FCmp, Imm::Cond(c)) => {
                let r = arith::compare(*c, self.float(a(0))?, self.float(a(1))?);
                self.set(d, Val::Bool(r))
            }
            (Op::BNot, _) => {
                let b = self.bool(a(0))?;
                self.set(d, Val::Bool(!b))
            }
            (Op::Is, _) => {
                let r = self.get(a(0))? == self.get(a(1))?;
                self.set(d, Val::Bool(r))
            }
            (Op::IsNull, _) => {
                let r = self.get(a(0))? == Val::Null;
                self.set(d, Val::Bool(r))
            }
            (Op::PtrIs, Imm::Int(i)) => {
                let r = self.get(a(0))? == Val::Ptr(*i as u64);
                self.set(d, Val::Bool(r))
            }
            (Op::CheckBound, _) if self.get(a(0))? != Val::Null => {
                let v = self.get(a(0))?;
                self.set(d, v)
            }
            _ => return self.ask_world(d),
        })
    }

    /// The heap, iterators, calls and checks are the world's.
    fn ask_world(&mut self, d: &InstData) -> Result<Step, String> {
        let args = d.args.iter().map(|v| self.get(*v)).collect::<Result<Vec<_>, _>>()?;
        match self.world.perform(d.op, &d.imm, &args, d.results.len())? {
            Answer::Leave if d.op.is(effect::LEAVES) => Ok(Step::Leave),
            Answer::Raise if d.op.is(effect::RAISES) => Ok(Step::Raise),
            Answer::Values(values) if values.len() == d.results.len() => {
                for (r, v) in d.results.iter().zip(values) {
                    let fits = match (d.op.row().res, v) {
                        (Res::Int, Val::Int(_)) | (Res::Bool, Val::Bool(_)) | (Res::Float, Val::Float(_)) => true,
                        (Res::Object, Val::Obj(_)) | (Res::Nullable, Val::Obj(_) | Val::Null) => true,
                        (Res::IntOf, Val::Int(_)) | (Res::FloatOf, Val::Float(_)) => {
                            matches!(self.f.values[r.index()].def, Def::Result(_, 0))
                        }
                        (Res::IntOf | Res::FloatOf, Val::Obj(_) | Val::Null) => matches!(self.f.values[r.index()].def, Def::Result(_, 1)),
                        (Res::Pair, _) => matches!(v, Val::Ptr(_)) == matches!(self.f.values[r.index()].def, Def::Result(_, 0)),
                        (Res::Many, Val::Obj(_) | Val::Null | Val::Ptr(_)) | (Res::Ptr, Val::Ptr(_)) => true,
                        _ => false,
                    };
                    if !fits {
                        return Err(format!("the world answers {v:?} to {}", d.op.row().text));
                    }
                    self.values[r.index()] = Some(v);
                }
                Ok(Step::Done)
            }
            other => Err(format!("the world answers {other:?} to {}", d.op.row().text)),
        }
    }
}
