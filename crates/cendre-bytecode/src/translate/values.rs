//! Values: loads and stores of locals, constants, boxing and unboxing, references, stack ops.
//!
//! Invariant: an entry of the eval stack owns its reference or borrows it from something that outlives it (a slot whose
//! old value CPython keeps, a constant). A computed number gets one box: all that need it as an object take that one from the
//! local's slot, its home, so that identity stays what the program sees under CPython (docs/internals/frontend.md).

use super::state::{Kind, Local, Val};
use super::{Refusal, Translator, underflow};
use crate::facts::{Const, ConstFact};
use crate::{Edge, Instr, Opcode};
use cendre_ir::{Def, Imm, InstData, ObjId, Op, Type, Value};

/// Locals that are kept unboxed at a time, about.
const MOST_UNBOXED: usize = 24;

/// Opcodes (bases) whose stack op runs no unknown code.
fn is_quiet(op: Opcode) -> bool {
    use Opcode::*;
    matches!(
        op,
        BuildList
            | BuildTuple
            | BuildString
            | BuildSlice
            | BuildTemplate
            | BuildInterpolation
            | LoadCommonConstant
            | LoadBuildClass
            | LoadLocals
            | MakeCell
            | CopyFreeVars
            | GetLen
            | MatchMapping
            | MatchSequence
    )
}

/// Opcodes that the generic path may translate.
fn is_stack_op(op: Opcode) -> bool {
    use Opcode::*;
    is_quiet(op)
        || matches!(
            op,
            BinarySlice
                | StoreSlice
                | DeleteSubscr
                | BuildSet
                | BuildMap
                | CallKw
                | CallFunctionEx
                | CallIntrinsic1
                | CallIntrinsic2
                | ConvertValue
                | FormatSimple
                | FormatWithSpec
                | DeleteAttr
                | DeleteDeref
                | DeleteGlobal
                | DeleteName
                | StoreGlobal
                | LoadName
                | StoreName
                | LoadFromDictOrDeref
                | LoadFromDictOrGlobals
                | LoadSuperAttr
                | LoadSpecial
                | SetupAnnotations
                | ImportName
                | ImportFrom
                | MakeFunction
                | SetFunctionAttribute
                | GetIter
                | GetYieldFromIter
                | GetAiter
                | GetAnext
                | GetAwaitable
                | EndAsyncFor
                | CleanupThrow
                | MatchKeys
                | MatchClass
                | CheckEgMatch
                | WithExceptStart
                | RaiseVarargs
                | Reraise
                | UnpackEx
        )
}

impl Translator<'_> {
    pub fn pop(&mut self) -> Result<Val, Refusal> {
        self.stack.pop().ok_or_else(underflow)
    }
    pub fn peek(&self, from_top: usize) -> Result<Val, Refusal> {
        self.stack.len().checked_sub(from_top).and_then(|n| self.stack.get(n)).copied().ok_or_else(underflow)
    }

    /// Is the class one whose deallocation runs no code?
    pub fn is_leaf_class(&self, class: Option<u64>) -> bool {
        let k = &self.known;
        class.is_some_and(|c| c == k.int || c == k.float || c == k.bool_ || c == k.str_)
    }

    /// Drops what the values own, first one first.
    pub fn drop_values(&mut self, values: &[Val]) {
        let object =
            |v: &Val| v.of.filter(|of| self.is_object(*of)).map(|of| Val { class: self.class_of_kind(v.kind), ..Val::nullable(of, true) });
        let owned: Vec<Val> = values.iter().filter_map(|v| if v.own { Some(*v) } else { object(v) }).collect();
        if owned.is_empty() {
            return;
        }
        let plain = owned.iter().all(|v| self.is_leaf_class(v.class));
        if !plain {
            self.trace();
        }
        let state = self.dropping(plain);
        let args: Vec<Value> = owned.iter().map(|v| v.v).collect();
        self.emit(Op::Drop, Imm::None, &args, 0, Some(state));
        if !plain {
            self.may_look();
            // A finaliser may have run; what slots hold may be other objects now.
            for l in &mut self.locals {
                l.cached = None;
            }
        }
    }

    /// A second reference to a value.
    pub fn duplicate(&mut self, v: Val) -> Val {
        match v.kind {
            Kind::Object => {
                self.emit(Op::Own, Imm::None, &[v.v], 0, None);
                Val { own: true, ..v }
            }
            Kind::Nullable => {
                self.emit(Op::OwnNullable, Imm::None, &[v.v], 0, None);
                Val { own: true, ..v }
            }
            _ => v,
        }
    }

    /// The value as an object, borrowed or owned.
    pub fn to_object(&mut self, v: Val) -> Val {
        match v.kind {
            Kind::Object | Kind::Nullable | Kind::Null | Kind::Word => v,
            Kind::Bool => {
                let o = self.value(Op::BoxBool, Imm::None, &[v.v], None);
                Val::object(o, false).with_class(self.known.bool_)
            }
            Kind::Int | Kind::Float => {
                if let Some(home) = v.home {
                    return self.home_object(home, v);
                }
                if let Some(of) = v.of {
                    return self.object_of(of, v);
                }
                let state = self.raising();
                let op = if v.kind == Kind::Int { Op::BoxInt } else { Op::BoxFloat };
                let o = self.value(op, Imm::None, &[v.v], Some(state));
                let class = self.class_of_kind(v.kind);
                Val { own: true, class, ..Val::object(o, true) }
            }
        }
    }

    /// The object of a number that has a home: the one in the local's slot.
    fn home_object(&mut self, home: u32, v: Val) -> Val {
        self.sync(home);
        let class = self.class_of_kind(v.kind);
        let l = self.locals[home as usize];
        if l.number.map(|n| n.1) == Some(v.v) {
            return self.slot_object(home, class);
        }
        // Unknown code has run since it was loaded, or paths have met: the slot has its object still, unless somebody wrote to the frame.
        let slot = self.const_int(i64::from(home));
        let helper = if v.kind == Kind::Int { "home_int" } else { "home_float" };
        let state = self.raising();
        let o = self.emit(Op::CallQuiet, Imm::Helper(helper), &[slot, v.v], 0, Some(state)).unwrap_or(v.v);
        Val { class, ..Val::object(o, true) }
    }

    /// Numbers that wait on the stack while unknown code runs are held by the object in their local's slot: that code may put another there, and the frame
    /// keeps this one then.
    pub fn keep_objects(&mut self) {
        for k in 0..self.stack.len() {
            let v = self.stack[k];
            let Some(home) = v.home.filter(|_| matches!(v.kind, Kind::Int | Kind::Float)) else { continue };
            if self.locals[home as usize].number.map(|n| n.1) == Some(v.v) {
                let o = self.home_object(home, v);
                self.stack[k] = Val { number: Some((v.kind, v.v)), ..o };
            }
        }
    }

    /// The object of a number whose origin is known when the code runs.
    fn object_of(&mut self, of: Value, v: Val) -> Val {
        if !self.is_object(of) {
            (0..self.locals.len() as u32).for_each(|n| self.sync(n));
        }
        let helper = if v.kind == Kind::Int { "object_of_int" } else { "object_of_float" };
        let state = self.raising();
        let o = self.emit(Op::CallQuiet, Imm::Helper(helper), &[of, v.v], 0, Some(state)).unwrap_or(v.v);
        Val { class: self.class_of_kind(v.kind), ..Val::object(o, true) }
    }

    /// Is an origin an object or null, not a raw word?
    pub fn is_object(&self, of: Value) -> bool {
        self.f.ty(of).kinds != Type::PTR.kinds
    }

    /// Is it one of the ints of which CPython has one object each?
    pub fn is_small(&self, v: Value) -> bool {
        match self.f.values[v.index()].def {
            Def::Result(i, _) => matches!(self.f.insts[i.index()].imm, Imm::Int(-5..=256)) && self.f.insts[i.index()].op == Op::ConstInt,
            Def::Param(..) => false,
        }
    }

    /// COPY of a number that is no object yet: it becomes one, so that both are the same, unless nobody can tell: one of them gets
    /// a home at once, or is only looked at as a number. (Where both are used as numbers only, a pass takes the box away again.)
    pub fn box_for_copy(&mut self, i: &Instr) -> Result<(), Refusal> {
        let v = self.peek(i.arg as usize)?;
        let known = v.of.is_none() && (v.home.is_some() || self.is_small(v.v));
        if !matches!(v.kind, Kind::Int | Kind::Float) || known {
            return Ok(());
        }
        use Opcode::*;
        let one = match self.instrs.get(self.flow.index_of(i.start) + 1) {
            Some(next) if self.flow.is_leader(next.start) => false,
            Some(next) => match next.base {
                StoreFast | StoreFastLoadFast | StoreFastStoreFast | ToBool | PopJumpIfNone | PopJumpIfNotNone => {
                    i.arg == 1 && v.of.is_none()
                }
                _ => false,
            },
            None => false,
        };
        if !one {
            let o = self.make_own(v);
            let at = self.stack.len() - i.arg as usize;
            self.stack[at] = o;
        }
        Ok(())
    }

    pub fn class_of_kind(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Int => Some(self.known.int),
            Kind::Float => Some(self.known.float),
            Kind::Bool => Some(self.known.bool_),
            _ => None,
        }
    }

    /// The object in a slot that is current, borrowed.
    pub fn slot_object(&mut self, local: u32, class: Option<u64>) -> Val {
        if let Some(v) = self.locals[local as usize].cached {
            return v;
        }
        let o = self.value(Op::LoadLocal, Imm::Slot(local), &[], None);
        let ty = class.map_or(Type::OBJECT, |c| Type::exactly(ObjId(c)));
        self.f.set_type(o, ty);
        let v = Val { class, home: Some(local), ..Val::object(o, false) };
        self.locals[local as usize].cached = Some(v);
        v
    }

    /// The value as an owned object.
    pub fn make_own(&mut self, v: Val) -> Val {
        let o = self.to_object(v);
        match o.kind {
            Kind::Object if !o.own => self.duplicate(o),
            Kind::Nullable if !o.own => self.duplicate(o),
            _ => o,
        }
    }

    /// The value as an unboxed int, guarded where it is not known; `None` if it cannot be one.
    pub fn to_int(&mut self, v: Val) -> Option<Value> {
        self.to_number(v, Kind::Int)
    }

    /// The value unboxed, guarded; `None` if it is a number of another kind or an object of another class.
    pub fn to_number(&mut self, v: Val, kind: Kind) -> Option<Value> {
        if v.kind == kind {
            return Some(v.v);
        }
        if v.kind != Kind::Object {
            return None;
        }
        if let Some((k, x)) = v.number {
            return (k == kind).then_some(x);
        }
        match (kind, v.int, v.float) {
            (Kind::Int, Some(n), _) => return Some(self.const_int(n)),
            (Kind::Float, _, Some(x)) => return Some(self.constant(Op::ConstFloat, Imm::Float(x.to_bits()))),
            _ => {}
        }
        if v.literal.is_some() || v.class.is_some_and(|c| Some(c) != self.class_of_kind(kind)) {
            return None;
        }
        let state = self.before();
        let op = match kind {
            Kind::Float => Op::UnboxFloat,
            Kind::Bool => Op::UnboxBool,
            _ => Op::UnboxInt,
        };
        let x = self.value(op, Imm::None, &[v.v], Some(state));
        // From here on the local is known to be that number.
        if let Some(home) = v.home {
            let many = self.locals.iter().filter(|l| l.number.is_some()).count() > MOST_UNBOXED;
            let l = &mut self.locals[home as usize];
            if l.cached.map(|c| c.v) == Some(v.v) && l.number.is_none() && !many {
                l.number = Some((kind, x));
            }
        }
        Some(x)
    }

    /// What the value is, if it is certainly a number.
    pub fn number_kind(&self, v: Val) -> Option<Kind> {
        if v.kind.is_number() {
            return Some(v.kind);
        }
        if v.int.is_some() {
            return Some(Kind::Int);
        }
        if v.float.is_some() {
            return Some(Kind::Float);
        }
        let k = &self.known;
        match v.class {
            Some(c) if c == k.int => Some(Kind::Int),
            Some(c) if c == k.float => Some(Kind::Float),
            _ => None,
        }
    }

    // ---- locals and constants ------------------------------------------------------------------------------------

    pub fn load_const(&mut self, n: u32) -> Result<(), Refusal> {
        let c = *self.code.consts.get(n as usize).ok_or_else(|| Refusal::new("constant out of range"))?;
        let val = self.constant_object(c);
        self.stack.push(val);
        Ok(())
    }

    /// An object whose value is known and that need not be held.
    pub fn constant_object(&mut self, c: ConstFact) -> Val {
        let v = self.const_obj(c.id.0);
        let mut val = Val { literal: Some(c.id.0), ..Val::object(v, false) };
        match c.value {
            Const::Int(n) => (val.int, val.class) = (Some(n), Some(self.known.int)),
            Const::Float(x) => (val.float, val.class) = (Some(x), Some(self.known.float)),
            Const::True | Const::False => val.class = Some(self.known.bool_),
            Const::None | Const::Other => {}
        }
        val
    }

    fn check_local(&self, n: u32) -> Result<(), Refusal> {
        if n < self.code.nlocalsplus { Ok(()) } else { Err(Refusal::new("local out of range")) }
    }

    pub fn load_fast(&mut self, n: u32, borrow: bool) -> Result<(), Refusal> {
        self.check_local(n)?;
        let l = self.locals[n as usize];
        if let Some((kind, v)) = l.number {
            self.stack.push(Val { home: Some(n), ..Val::number(kind, v) });
            return Ok(());
        }
        let v = self.slot_object(n, None);
        let v = if borrow { v } else { self.duplicate(v) };
        self.stack.push(v);
        Ok(())
    }

    pub fn load_fast_check(&mut self, n: u32) -> Result<(), Refusal> {
        self.check_local(n)?;
        if self.locals[n as usize].number.is_some() {
            return self.load_fast(n, false);
        }
        let o = self.value(Op::LoadLocal, Imm::Slot(n), &[], None);
        self.observe_for_raise();
        let state = self.raising();
        let o = self.value(Op::CheckBound, Imm::Slot(n), &[o], Some(state));
        let v = self.duplicate(Val { home: Some(n), ..Val::object(o, false) });
        self.stack.push(v);
        Ok(())
    }

    /// Only an exception can come of what follows: stale locals are boxed on that path alone.
    fn observe_for_raise(&mut self) {}

    pub fn store_fast(&mut self, n: u32) -> Result<(), Refusal> {
        self.check_local(n)?;
        let mut v = self.pop()?;
        if v.of.is_some() {
            v = self.make_own(v);
        }
        let at = n as usize;
        if matches!(v.kind, Kind::Int | Kind::Float) {
            // A copy of a local: both must show the same object.
            let copied = v.home.is_some();
            let same = v.home == Some(n) && self.locals[at].number.map(|x| x.1) == Some(v.v);
            if same {
                return Ok(()); // x = x
            }
            self.unhome(n);
            // Every way out and every call has to look after each unboxed local: with very many of them that is what code would consist of.
            let many = self.locals.iter().filter(|l| l.number.is_some()).count() > MOST_UNBOXED;
            if !copied && !many && self.locals[at].plain {
                // The old box in the slot may still be borrowed by the stack: then it must not be overwritten in place.
                if !self.stack.iter().any(|e| e.home == Some(n) && e.kind == Kind::Object && !e.own) {
                    self.locals[at] = Local { cached: None, number: Some((v.kind, v.v)), stale: true, unless: None, plain: true };
                    self.give_home(v, n);
                    return Ok(());
                }
            }
            let number = (v.kind, v.v);
            let o = self.make_own(v);
            self.put(n, o);
            if !many {
                self.locals[at].number = Some(number);
            }
            if !copied {
                self.give_home(v, n);
            }
            return Ok(());
        }
        self.unhome(n);
        match v.kind {
            Kind::Nullable | Kind::Null => {
                // The end of an inlined comprehension restores a local that may have been unbound.
                let old = self.value(Op::TakeLocal, Imm::Slot(n), &[], None);
                if v.kind == Kind::Nullable && !v.own {
                    v = self.duplicate(v);
                }
                self.emit(Op::PutLocal, Imm::Slot(n), &[v.v], 0, None);
                self.locals[at] = Local::default();
                self.drop_values(&[Val::nullable(old, true)]);
            }
            Kind::Word => return Err(Refusal::new("raw word stored to a local")),
            _ => {
                let o = self.make_own(v);
                self.put(n, o);
            }
        }
        Ok(())
    }

    /// Copies of a number that was just stored to a local have their object there.
    fn give_home(&mut self, v: Val, n: u32) {
        if !self.is_small(v.v) {
            self.stack.iter_mut().filter(|e| e.v == v.v && e.kind == v.kind && e.home.is_none()).for_each(|e| e.home = Some(n));
        }
    }

    /// Entries of the stack that count on a local's slot for their box lose it.
    fn unhome(&mut self, n: u32) {
        // Box them first, while the slot still can tell: identity must be that of the local's object.
        for k in 0..self.stack.len() {
            let v = self.stack[k];
            let here = v.home == Some(n) && (v.kind.is_number() || v.number.is_some());
            if here || v.of.is_some_and(|of| !self.is_object(of)) {
                let o = self.make_own(v);
                self.stack[k] = Val { home: None, ..o };
                self.before = None;
            }
        }
    }

    /// Stores an owned object into a slot and drops the old one.
    fn put(&mut self, n: u32, o: Val) {
        let plain = self.locals[n as usize].plain;
        if !plain {
            self.trace();
        }
        let state = self.dropping(plain);
        self.emit(Op::StoreLocal, Imm::Slot(n), &[o.v], 0, Some(state));
        if !plain {
            self.may_look();
            for l in &mut self.locals {
                l.cached = None;
            }
        }
        let cached = Val { own: false, home: Some(n), ..o };
        let is_plain = self.is_leaf_class(o.class);
        self.locals[n as usize] = Local { cached: Some(cached), number: None, stale: false, unless: None, plain: is_plain };
    }

    pub fn load_fast_and_clear(&mut self, n: u32) -> Result<(), Refusal> {
        self.check_local(n)?;
        self.sync(n);
        self.unhome(n);
        let v = self.value(Op::TakeLocal, Imm::Slot(n), &[], None);
        self.locals[n as usize] = Local { plain: true, ..Local::default() };
        self.stack.push(Val::nullable(v, true));
        Ok(())
    }

    pub fn delete_fast(&mut self, n: u32) -> Result<(), Refusal> {
        self.check_local(n)?;
        self.sync(n);
        self.unhome(n);
        let probe = self.value(Op::LoadLocal, Imm::Slot(n), &[], None);
        let state = self.raising();
        self.emit(Op::CheckBound, Imm::Slot(n), &[probe], 0, Some(state));
        let v = self.value(Op::TakeLocal, Imm::Slot(n), &[], None);
        self.f.set_type(v, Type::OBJECT);
        self.locals[n as usize] = Local { plain: true, ..Local::default() };
        self.drop_values(&[Val::object(v, true)]);
        Ok(())
    }

    pub fn return_value(&mut self) -> Result<(), Refusal> {
        let v = self.pop()?;
        // Numbers go back unboxed to callers that take them; the others get the object that there is, if somebody may have seen it.
        let number = matches!(v.kind, Kind::Int | Kind::Float);
        let own = |l: &Local| l.number.map(|x| x.1) == Some(v.v);
        let seen = v.home.filter(|h| number && !(self.locals[*h as usize].stale && self.locals[*h as usize].unless.is_none()));
        let (op, imm, o) = match seen {
            Some(h) if own(&self.locals[h as usize]) => (Op::ReturnLocal, Imm::Slot(h), v),
            None if number && v.of.is_none() => (Op::Return, Imm::None, v),
            _ => (Op::Return, Imm::None, self.make_own(v)),
        };
        let rest = std::mem::take(&mut self.stack);
        self.drop_values(&rest);
        self.trace();
        let state = self.dropping(false);
        self.emit(op, imm, &[o.v], 0, Some(state));
        self.at = None;
        Ok(())
    }

    // ---- stack ops -----------------------------------------------------------------------------------------------

    /// Any bytecode that has a stack op in the runtime.
    pub fn stack_op(&mut self, i: &Instr) -> Result<(), Refusal> {
        if !is_stack_op(i.base) {
            return Err(Refusal::new(format!("opcode {}", i.base.name())));
        }
        let effect = i.stack_effect(Edge::Next);
        let (inputs, outputs) = shape(i, effect.popped as usize, effect.pushed as usize);
        self.stack_op_named(i, helper_name(i.base), inputs, outputs)
    }

    pub fn stack_op_named(&mut self, i: &Instr, name: &'static str, inputs: usize, outputs: usize) -> Result<(), Refusal> {
        if outputs + inputs > self.stack.len() + outputs {
            return Err(underflow());
        }
        let quiet = is_quiet(i.base);
        // Ops on slots need them current.
        if !quiet || matches!(i.base, Opcode::MakeCell | Opcode::CopyFreeVars | Opcode::LoadLocals) {
            self.observe();
        }
        let first = self.stack.len() - inputs;
        let mut args = Vec::new();
        for n in first..self.stack.len() {
            let o = self.to_object(self.stack[n]);
            self.stack[n] = o;
            args.push(o);
        }
        if args.len() > MOST_INPUTS {
            return Err(Refusal::new("more than 65535 stack inputs"));
        }
        // One bit says of all of these whether the op consumes them.
        for n in 63..args.len() {
            args[n] = self.make_own(args[n]);
            self.stack[first + n] = args[n];
        }
        // Entries that the op only looks at stay ours: they are lent, and must still be there for the handler if it raises.
        let peeked = peeked(i);
        self.stack.truncate(first + peeked);
        let mut own = 0;
        for (n, a) in args.iter().enumerate().skip(peeked) {
            own |= if a.own { InstData::own_bit(n) } else { 0 };
        }
        let values: Vec<Value> = args.iter().map(|a| a.v).collect();
        let state = self.raising();
        let op = if quiet { Op::QuietOp } else { Op::StackOp };
        let results = self.emit_many(op, Imm::HelperInt(name, i64::from(i.arg)), &values, own, Some(state), outputs);
        let mut copies = Vec::new();
        for (n, v) in results.iter().enumerate() {
            let word = matches!(i.base, Opcode::WithExceptStart) && args.get(n).is_some_and(|a| a.kind == Kind::Word);
            let nullable = matches!(i.base, Opcode::LoadSpecial | Opcode::LoadSuperAttr | Opcode::LoadAttr | Opcode::LoadGlobal) && n == 1;
            let val = if word {
                self.f.set_type(*v, Type::PTR);
                Val { kind: Kind::Word, ..Val::object(*v, false) }
            } else if nullable || n < peeked && args.get(n).is_some_and(|a| matches!(a.kind, Kind::Null | Kind::Nullable)) {
                Val::nullable(*v, true)
            } else {
                self.f.set_type(*v, Type::OBJECT);
                Val::object(*v, true)
            };
            if n < peeked {
                copies.push(val);
            } else {
                self.stack.push(val);
            }
        }
        self.drop_values(&copies);
        if let (Opcode::BuildList | Opcode::BuildTuple, Some(v)) = (i.base, self.stack.last_mut()) {
            v.class = Some(if i.base == Opcode::BuildList { self.known.list } else { self.known.tuple });
        }
        if quiet {
            if matches!(i.base, Opcode::MakeCell | Opcode::CopyFreeVars) {
                for l in &mut self.locals {
                    l.cached = None;
                }
            }
        } else {
            self.observed();
        }
        Ok(())
    }
}

/// What the machine code of a stack op has room to count.
const MOST_INPUTS: usize = 0xffff;

/// Number of inputs and outputs that a stack op gets, where it differs from the bytecode's stack effect: entries that are only looked at.
fn shape(i: &Instr, popped: usize, pushed: usize) -> (usize, usize) {
    use Opcode::*;
    match i.base {
        WithExceptStart => (5, 6),
        GetLen | MatchMapping | MatchSequence | ImportFrom | GetAnext => (1, 2),
        MatchKeys => (2, 3),
        Reraise => (i.arg as usize + 1, 0),
        _ => (popped, pushed),
    }
}

/// How many of a stack op's first inputs it only looks at.
fn peeked(i: &Instr) -> usize {
    use Opcode::*;
    match i.base {
        // The place where it was raised first, and with `with` the exception before: they stay for the handler.
        Reraise => i.arg as usize,
        WithExceptStart => 5,
        MatchKeys => 2,
        GetLen | MatchMapping | MatchSequence | ImportFrom | GetAnext => 1,
        _ => 0,
    }
}

macro_rules! names {
    ($($op:ident $name:literal)*) => {
        /// The runtime's name of a bytecode's stack op.
        fn helper_name(op: Opcode) -> &'static str {
            match op { $( Opcode::$op => $name, )* _ => "op_unknown" }
        }
    };
}
names! {
    BuildList "op_build_list" BuildTuple "op_build_tuple" BuildString "op_build_string" BuildSlice "op_build_slice"
    BuildTemplate "op_build_template" BuildInterpolation "op_build_interpolation" LoadCommonConstant "op_load_common_constant"
    LoadBuildClass "op_load_build_class" LoadLocals "op_load_locals" MakeCell "op_make_cell" CopyFreeVars "op_copy_free_vars"
    GetLen "op_get_len" MatchMapping "op_match_mapping" MatchSequence "op_match_sequence"
    BinarySlice "op_binary_slice" StoreSlice "op_store_slice" DeleteSubscr "op_delete_subscr" BuildSet "op_build_set"
    BuildMap "op_build_map" CallKw "op_call_kw" CallFunctionEx "op_call_function_ex" CallIntrinsic1 "op_call_intrinsic_1"
    CallIntrinsic2 "op_call_intrinsic_2" ConvertValue "op_convert_value" FormatSimple "op_format_simple"
    FormatWithSpec "op_format_with_spec" DeleteAttr "op_delete_attr" DeleteDeref "op_delete_deref"
    DeleteGlobal "op_delete_global" DeleteName "op_delete_name" StoreGlobal "op_store_global" LoadName "op_load_name"
    StoreName "op_store_name" LoadFromDictOrDeref "op_load_from_dict_or_deref" LoadFromDictOrGlobals "op_load_from_dict_or_globals"
    LoadSuperAttr "op_load_super_attr" LoadSpecial "op_load_special" SetupAnnotations "op_setup_annotations"
    ImportName "op_import_name" ImportFrom "op_import_from" MakeFunction "op_make_function"
    SetFunctionAttribute "op_set_function_attribute" GetIter "op_get_iter" GetYieldFromIter "op_get_yield_from_iter"
    GetAiter "op_get_aiter" GetAnext "op_get_anext" GetAwaitable "op_get_awaitable" EndAsyncFor "op_end_async_for"
    CleanupThrow "op_cleanup_throw" MatchKeys "op_match_keys" MatchClass "op_match_class"
    CheckEgMatch "op_check_eg_match" WithExceptStart "op_with_except_start"
    RaiseVarargs "op_raise_varargs" Reraise "op_reraise" UnpackEx "op_unpack_ex"
}
