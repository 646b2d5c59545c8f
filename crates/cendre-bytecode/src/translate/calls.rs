//! CALL: direct calls where the callee's code is known, the ordinary way else; `await f(...)` as an awaited call.

use super::flow::AwaitShape;
use super::state::{Kind, Val};
use super::{MOST_ARGUMENTS, Refusal, Translator, flag};
use crate::facts::FunctionFact;
use crate::{Edge, Instr, Opcode};
use cendre_ir::{self as ir, Imm, ObjId, Op, Value, form};

/// What a call consumes: callable, self or null, arguments; and which of them are owned.
pub(super) struct Operands {
    pub args: Vec<Value>,
    pub own: u64,
}

/// How many entries of the stack a call instruction takes.
fn operands(i: &Instr) -> usize {
    match i.base {
        Opcode::CallFunctionEx => 4,
        Opcode::CallKw => i.arg as usize + 3,
        _ => i.arg as usize + 2,
    }
}

/// What a call instruction is to `await.words` and `pass.call`.
fn form_of(i: &Instr) -> i64 {
    match i.base {
        Opcode::CallFunctionEx => form::UNPACKED,
        Opcode::CallKw => form::KEYWORDS,
        _ => form::POSITIONAL,
    }
}

impl Translator<'_> {
    pub fn call(&mut self, i: &Instr) -> Result<(), Refusal> {
        let n = i.arg as usize;
        let callable = self.peek(n + 2)?;
        let me = self.peek(n + 1)?;
        if n > MOST_ARGUMENTS {
            return self.stack_op_named(i, "op_call", n + 2, 1);
        }
        if let Some(shape) = self.flow.awaits.get(&i.start).copied() {
            return self.awaited_call(i, shape);
        }
        if matches!(
            self.opcode(i),
            Opcode::Call
                | Opcode::CallPyExactArgs
                | Opcode::CallPyGeneral
                | Opcode::CallBoundMethodExactArgs
                | Opcode::CallBoundMethodGeneral
        ) {
            self.pass_on(i, n + 2)?;
        }
        let generic = self.facts.is_generic(i.offset);
        if !generic && self.opcode(i) == Opcode::CallListAppend && self.known.list_append != 0 && n == 1 && me.kind == Kind::Object {
            return self.list_append(callable, me);
        }
        if !generic && self.opcode(i) == Opcode::CallAllocAndEnterInit && me.kind == Kind::Null && self.instance(i, callable)? {
            return Ok(());
        }
        if !generic && me.kind == Kind::Null && self.builtin(i, callable)? {
            return Ok(());
        }
        let given = match me.kind {
            Kind::Null => Some(n as u32),
            Kind::Object => Some(n as u32 + 1),
            _ => None,
        };
        let direct = self
            .function_called(i, callable)
            .filter(|f| f.exact_args.is_some() && f.exact_args == given && f.flags & flag::ANY_GENERATOR == 0)
            .map(|f| f.code);
        if direct.is_none() && self.bound_call(i, n, None)? {
            return Ok(());
        }
        self.observe();
        let operands = self.take_operands(n + 2)?;
        let state = self.raising();
        if let (Some(code), Some(kind)) = (direct, self.number_wanted(i.next)) {
            let pair = self.emit_many(Op::CallPyRaw, Imm::Obj(code), &operands.args, operands.own, Some(state), 0);
            let [tag, raw] = pair[..] else { return Ok(()) };
            self.stack.push(Val::object(raw, true));
            let behind = self.state_at(i.next);
            self.stack.pop();
            let number = self.returned(kind, tag, raw, behind);
            self.stack.push(number);
            self.observed();
            return Ok(());
        }
        let (op, imm) = match direct {
            Some(code) => (Op::CallPy, Imm::Obj(code)),
            None => (Op::Call, Imm::Int(0)),
        };
        if let Some(v) = self.emit(op, imm, &operands.args, operands.own, Some(state)) {
            self.stack.push(Val::object(v, true));
        }
        self.observed();
        Ok(())
    }

    /// CALL_KW and CALL_FUNCTION_EX.
    pub fn call_wide(&mut self, i: &Instr) -> Result<(), Refusal> {
        if let Some(shape) = self.flow.awaits.get(&i.start).copied() {
            return self.awaited_call(i, shape);
        }
        if i.arg as usize <= MOST_ARGUMENTS {
            self.pass_on(i, operands(i))?;
        }
        if i.base == Opcode::CallKw && self.bound_call_kw(i)? {
            return Ok(());
        }
        self.stack_op(i)
    }

    /// `return f(...)` in a function whose result somebody awaits: where that is so in this activation, it may end with a coroutine of `f` that has not begun.
    /// What follows is translated for all others.
    fn pass_on(&mut self, i: &Instr, operands: usize) -> Result<(), Refusal> {
        let back = &self.instrs[self.flow.index_of(i.next)];
        let tail = back.base == Opcode::ReturnValue
            && self.code.flags & flag::ANY_GENERATOR == 0
            && self.table.lookup(i.offset).is_none()
            && self.stack.len() == operands
            && self.facts.is_awaited();
        if !tail {
            return Ok(());
        }
        let returned_at = back.offset;
        self.trace();
        let awaited = self.value(Op::IsAwaited, Imm::None, &[], None);
        let (yes, no) = self.branch(awaited);
        let (stack, locals) = (self.stack.clone(), self.locals.clone());
        self.at = Some(yes);
        self.f.blocks[yes.index()].cold = true;
        self.observe();
        let given = self.take_operands(operands)?;
        let state = self.raising();
        let imm = Imm::IntInt(i64::from(returned_at), form_of(i));
        if let Some(v) = self.emit(Op::PassCall, imm, &given.args, given.own, Some(state)) {
            let state = self.state_at(returned_at);
            self.emit(Op::Return, Imm::None, &[v], 0, Some(state));
        }
        self.at = Some(no);
        (self.stack, self.locals) = (stack, locals);
        self.before = None;
        Ok(())
    }

    /// The function that is probably called.
    pub(super) fn function_called(&self, i: &Instr, callable: Val) -> Option<FunctionFact> {
        self.likely_function(callable).or_else(|| {
            let cache = i.call_cache().filter(|c| c.func_version != 0 && !self.facts.is_generic(i.offset))?;
            self.facts.function_version(cache.func_version)
        })
    }

    /// What number the consumer of a call's result, which is on top at `unit`, has seen so far, if it is one of the arithmetic right behind.
    pub(super) fn number_wanted(&self, unit: u32) -> Option<Kind> {
        if self.facts.is_generic(unit) {
            return None;
        }
        let mut above = 0;
        for next in &self.instrs[self.flow.index_of(unit)..] {
            if next.start != unit && self.flow.is_leader(next.start) || next.jump_target.is_some() {
                return None;
            }
            let effect = next.stack_effect(Edge::Next);
            if effect.popped as usize > above {
                use Opcode::*;
                return match self.opcode(next) {
                    // The result is on the right of what is on top now.
                    BinaryOp | BinaryOpExtend if above == 0 && self.takes_int(next, self.stack.last()) => Some(Kind::Int),
                    BinaryOpAddInt | BinaryOpSubtractInt | BinaryOpMultiplyInt | CompareOpInt => Some(Kind::Int),
                    BinaryOpAddFloat | BinaryOpSubtractFloat | BinaryOpMultiplyFloat | CompareOpFloat => Some(Kind::Float),
                    _ => None,
                };
            }
            above = above - effect.popped as usize + effect.pushed as usize;
        }
        None
    }

    /// The number that a call has answered; where it was an object, that goes with it until it is used.
    fn returned(&mut self, kind: Kind, tag: Value, raw: Value, behind: ir::State) -> Val {
        let op = if kind == Kind::Int { Op::RetInt } else { Op::RetFloat };
        match self.emit_many(op, Imm::None, &[tag, raw], 0, Some(behind), 0)[..] {
            [x, of] => Val { of: Some(of), ..Val::number(kind, x) },
            _ => Val::number(kind, raw), // Nothing is emitted behind a terminator.
        }
    }

    /// Pops a call's operands, as objects.
    pub(super) fn take_operands(&mut self, n: usize) -> Result<Operands, Refusal> {
        let first = self.stack.len().checked_sub(n).ok_or_else(super::underflow)?;
        let mut args = Vec::with_capacity(n);
        let mut own = 0;
        for k in 0..n {
            let o = self.to_object(self.stack[first + k]);
            self.stack[first + k] = o;
            own |= u64::from(o.own) << k;
            args.push(o.v);
        }
        self.stack.truncate(first);
        Ok(Operands { args, own })
    }

    /// CALL_LIST_APPEND: `list.append(item)` of an exact list runs nothing unknown.
    fn list_append(&mut self, callable: Val, me: Val) -> Result<(), Refusal> {
        let state = self.before();
        let list = self.known.list;
        self.emit(Op::GuardIs, Imm::Obj(ObjId(self.known.list_append)), &[callable.v], 0, Some(state));
        let Some(o) = self.guarded(me, list) else { return Err(Refusal::new("append of no list")) };
        let item = self.peek(1)?;
        let item = self.make_own(item);
        // Without memory the list and the method are what is left on the stack.
        self.pop()?;
        let state = self.raising();
        self.emit(Op::CallStatus, Imm::Helper("list_append"), &[o, item.v], 0, Some(state));
        self.stack.truncate(self.stack.len() - 2);
        let none = self.const_obj(self.known.none);
        self.stack.push(Val { literal: Some(self.known.none), ..Val::object(none, false) });
        self.drop_values(&[me, callable]);
        Ok(())
    }

    /// Calls of the few builtins that CPython specialises by name: their C functions without the calling convention around.
    fn builtin(&mut self, i: &Instr, callable: Val) -> Result<bool, Refusal> {
        let k = self.known;
        let (object, arguments, op, helper) = match self.opcode(i) {
            Opcode::CallLen => (k.len, 1, Op::CallInt, "length"),
            Opcode::CallIsinstance => (k.isinstance, 2, Op::CallBool, "is_instance"),
            Opcode::CallStr1 => (k.str_, 1, Op::CallObj, "str_of"),
            Opcode::CallType1 => (k.type_, 1, Op::CallQuiet, "type_of"),
            _ => return Ok(false),
        };
        if object == 0 || i.arg as usize != arguments || callable.kind != Kind::Object {
            return Ok(false);
        }
        let state = self.before();
        self.emit(Op::GuardIs, Imm::Obj(ObjId(object)), &[callable.v], 0, Some(state));
        // len() of what is certainly a list or tuple, str, dict needs no call at all.
        let argument = self.peek(1)?;
        if op == Op::CallInt && argument.kind == Kind::Object {
            let size = match argument.class {
                Some(c) if c == k.list || c == k.tuple => Some(Op::Size),
                Some(c) if c == k.str_ => Some(Op::StrLen),
                Some(c) if c == k.dict => Some(Op::DictLen),
                _ => None,
            };
            if let Some(size) = size {
                let n = self.value(size, Imm::None, &[argument.v], None);
                let top = self.stack.len();
                self.stack.truncate(top - 3);
                self.stack.push(Val::number(Kind::Int, n));
                self.drop_values(&[argument, callable]);
                return Ok(true);
            }
        }
        let quiet = op == Op::CallQuiet;
        if !quiet {
            self.observe();
        }
        let top = self.stack.len();
        let mut own = 0;
        let mut args = Vec::new();
        for n in 0..arguments {
            let o = self.to_object(self.stack[top - arguments + n]);
            self.stack[top - arguments + n] = o;
            own |= u64::from(o.own) << n;
            args.push(o.v);
        }
        // The callable stays owned by the stack until the call is done.
        self.stack.truncate(top - arguments);
        self.stack.pop();
        let state = self.raising();
        let v = self.emit(op, Imm::Helper(helper), &args, own, Some(state));
        self.stack.pop();
        if let Some(v) = v {
            self.stack.push(match op {
                Op::CallInt => Val::number(Kind::Int, v),
                Op::CallBool => Val::number(Kind::Bool, v),
                Op::CallObj => Val::object(v, true),
                _ => Val::object(v, true),
            });
        }
        self.drop_values(&[callable]);
        if !quiet {
            self.observed();
        }
        Ok(true)
    }

    /// `C(...)` of a class with a plain `__init__`: the instance is made here and `__init__` called directly.
    fn instance(&mut self, i: &Instr, callable: Val) -> Result<bool, Refusal> {
        let n = i.arg as usize;
        let class = callable.id().or_else(|| i.call_cache().and_then(|c| self.facts.type_version(c.func_version)));
        let Some(class) = class else { return Ok(false) };
        let Some(fact) = self.facts.class(class) else { return Ok(false) };
        if fact.function.exact_args != Some(n as u32 + 1) || fact.function.flags & flag::ANY_GENERATOR != 0 {
            return Ok(false);
        }
        let state = self.before();
        self.emit(Op::GuardIs, Imm::Obj(class), &[callable.v], 0, Some(state));
        self.emit(Op::GuardClassVersion, Imm::Int(i64::from(fact.version)), &[callable.v], 0, Some(state));
        self.observe();
        let raising = self.raising();
        let me = self.emit(Op::CallQuiet, Imm::Helper("new_object"), &[callable.v], 0, Some(raising));
        let Some(me) = me else { return Ok(true) };
        // Stack: class, null, arguments. Class and instance stay there: an exception in __init__ has to drop them.
        let operands = self.take_operands(n + 2)?;
        self.stack.push(callable);
        let instance = self.duplicate(Val::object(me, true));
        self.stack.push(instance);
        let init = self.const_obj(fact.init.0);
        let init = self.duplicate(Val::object(init, false));
        let mut args = vec![init.v, me];
        args.extend_from_slice(&operands.args[2..]);
        let own = 0b11 | operands.own & !0b11;
        let state = self.raising();
        let result = self.emit(Op::CallInit, Imm::Obj(fact.function.code), &args, own, Some(state));
        let Some(result) = result else { return Ok(true) };
        let none = self.const_obj(self.known.none);
        let is_none = self.value(Op::Is, Imm::None, &[result, none], None);
        let (ok, bad) = self.branch(is_none);
        self.at = Some(bad);
        self.f.blocks[bad.index()].cold = true;
        let state = self.raising();
        self.emit(Op::CallStatus, Imm::Helper("init_not_none"), &[result], 1, Some(state));
        self.emit(Op::Raise, Imm::None, &[], 0, Some(state));
        self.at = Some(ok);
        let top = self.stack.len();
        self.stack.remove(top - 2);
        self.drop_values(&[callable]);
        self.observed();
        Ok(true)
    }

    /// `await f(...)`: three ways on, each an edge of its own.
    fn awaited_call(&mut self, i: &Instr, shape: AwaitShape) -> Result<(), Refusal> {
        let n = operands(i);
        let callable = self.peek(n)?;
        let function = self.function_called(i, callable).filter(|_| i.base == Opcode::Call);
        if let Some(f) = function.filter(|f| f.flags & flag::COROUTINE != 0) {
            self.awaited.insert(shape.site, f.code);
        }
        self.observe();
        let operands = self.take_operands(n)?;
        let state = self.raising();
        let wide = i.base != Opcode::Call;
        let wanted = if wide { None } else { self.number_wanted(shape.behind) };
        let returned = !wide && self.stack.is_empty() && self.instrs[self.flow.index_of(shape.behind)].base == Opcode::ReturnValue;
        let op = match wanted {
            Some(_) => Op::AwaitRaw,
            None if returned => Op::AwaitTail,
            None => Op::AwaitCall,
        };
        let site = i64::from(shape.site);
        let (op, imm) = if wide { (Op::AwaitWords, Imm::IntInt(site, form_of(i))) } else { (op, Imm::Int(site)) };
        let pair = self.emit_many(op, imm, &operands.args, operands.own, Some(state), 0);
        self.ways_on(shape, &pair, wanted, Some(self.known.finished))
    }

    /// GET_ANEXT and the SEND behind it: an asynchronous generator that does not suspend is stepped without an object.
    pub fn get_anext(&mut self, i: &Instr) -> Result<(), Refusal> {
        let Some(shape) = self.flow.awaits.get(&i.start).copied() else { return self.stack_op(i) };
        self.observe();
        let iterator = self.peek(1)?;
        let iterator = self.to_object(iterator);
        let top = self.stack.len();
        self.stack[top - 1] = iterator;
        let state = self.raising();
        let imm = Imm::IntInt(i64::from(shape.site), form::ANEXT);
        let pair = self.emit_many(Op::AwaitWords, imm, &[iterator.v], 0, Some(state), 0);
        // Whether CPython would have sent to a coroutine, of which an END_SEND tells tools, is known when it was stepped.
        self.ways_on(shape, &pair, None, None)
    }

    /// Behind an awaited call. `receiver`: what lies below its value for tools that came meanwhile; the runtime says so where it is not known here.
    fn ways_on(&mut self, shape: AwaitShape, pair: &[Value], wanted: Option<Kind>, receiver: Option<u64>) -> Result<(), Refusal> {
        let [tag, value] = *pair else { return Ok(()) };
        self.f.set_type(value, cendre_ir::Type::OBJECT);
        let done = self.value(Op::PtrIs, Imm::Int(0), &[tag], None);
        let (finished, rest) = self.branch(done);

        // Finished: no coroutine was ever built.
        self.at = Some(finished);
        let locals = self.locals.clone();
        let depth = self.stack.len();
        self.stack.push(Val::object(value, true));
        let mut state = self.state_at(shape.behind);
        if let Some(kind) = wanted {
            self.stack[depth] = self.returned(kind, tag, value, state);
            state = self.state_at(shape.behind);
        }
        // Tools that were switched on meanwhile hear of what comes next, which is the END_SEND.
        let result = self.pop()?;
        let receiver = match receiver {
            Some(known) => self.const_obj(known),
            None => self.value(Op::Yielded, Imm::None, &[tag], None),
        };
        self.stack.push(Val::object(receiver, false));
        self.stack.push(result);
        let at_end_send = self.state_at(shape.behind - 1);
        self.emit(Op::Checkpoint, Imm::None, &[], 0, Some(at_end_send));
        self.stack.truncate(depth);
        self.stack.push(result);
        self.looked = None;
        self.reload(shape.behind, state);
        self.go(shape.behind)?;
        self.stack.truncate(depth);
        self.locals = locals;

        // Suspended: the receiver stays on the stack, what it yielded goes on to whoever resumes us.
        self.at = Some(rest);
        let suspended = self.value(Op::PtrIs, Imm::Int(1), &[tag], None);
        let (suspended, declined) = self.branch(suspended);
        self.at = Some(suspended);
        let locals = self.locals.clone();
        let yielded = self.value(Op::Yielded, Imm::None, &[tag], None);
        self.stack.push(Val::object(value, true));
        self.stack.push(Val::object(yielded, true));
        self.observed_at(shape.yield_value);
        self.go(shape.yield_value)?;
        self.stack.truncate(depth);
        self.locals = locals;

        // Declined, and called the ordinary way: go on with what it returned.
        self.at = Some(declined);
        self.stack.push(Val::object(value, true));
        self.observed_at(shape.get_awaitable);
        self.go(shape.get_awaitable)?;
        self.at = None;
        Ok(())
    }
}
