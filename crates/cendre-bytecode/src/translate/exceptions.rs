//! Handlers of exceptions, `raise`, and the traceback entry that a quiet handler never needs.
//!
//! The way to a handler puts off the entry of this frame in the exception's traceback where the exception has one reference:
//! nobody can look at it before something unknown runs. The code behind is *untraced*. In it the entry is made (`exc.trace`) before the first
//! instruction that may run unknown code; if there is none up to POP_EXCEPT, where the exception dies, there never is an entry.
//! Invariant: an edge out of untraced code leads to untraced code or makes the entry; leaving and raising make it, too (the runtime's
//! `exits.rs`). Read docs/internals/frontend.md, "Exceptions".

use super::state::{Kind, Val};
use super::{Refusal, Translator};
use crate::{Instr, Opcode};
use cendre_ir::{Imm, Op, Value};

impl Translator<'_> {
    /// Makes the traceback entry that was put off: to be called before anything unknown may run.
    pub fn trace(&mut self) {
        if std::mem::take(&mut self.untraced) {
            self.emit(Op::ExcTrace, Imm::None, &[], 0, None);
        }
    }

    pub fn push_exc_info(&mut self) -> Result<(), Refusal> {
        let exc = self.pop()?;
        let exc = self.make_own(exc);
        let exc = self.duplicate(exc);
        let before = self.value(Op::ExcPush, Imm::None, &[exc.v], None);
        self.stack.push(Val::object(before, true));
        self.stack.push(Val { handled: true, ..Val::object(exc.v, true) });
        Ok(())
    }

    pub fn pop_except(&mut self) -> Result<(), Refusal> {
        let before = self.pop()?;
        let before = self.make_own(before);
        let old = self.value(Op::ExcPop, Imm::None, &[before.v], None);
        if std::mem::take(&mut self.untraced) {
            self.emit(Op::ExcForget, Imm::None, &[old], 0, None);
        }
        self.drop_values(&[Val::nullable(old, true)]);
        Ok(())
    }

    /// `except (A, B):` needs no tuple: are these the classes of a CHECK_EXC_MATCH?
    pub fn is_exception_tuple(&self, i: &Instr) -> bool {
        let n = self.flow.index_of(i.start);
        i.arg > 0
            && n >= i.arg as usize
            && self.instrs.get(n + 1).is_some_and(|next| next.base == Opcode::CheckExcMatch && !self.flow.is_leader(next.start))
            && self.instrs[n - i.arg as usize..n].iter().all(|i| i.base == Opcode::LoadGlobal)
    }

    pub fn check_exc_match(&mut self, i: &Instr) -> Result<(), Refusal> {
        let at = self.flow.index_of(i.start);
        let of_tuple = at.checked_sub(1).map(|n| self.instrs[n]).filter(|b| b.base == Opcode::BuildTuple && self.is_exception_tuple(b));
        let many = of_tuple.map_or(1, |b| b.arg as usize);
        let from_globals = of_tuple.is_some() || at > 0 && self.instrs[at - 1].base == Opcode::LoadGlobal;
        // What the globals hold does not die here.
        if !from_globals {
            self.observe();
        }
        let exc = self.peek(many + 1)?;
        if exc.kind != Kind::Object {
            return Err(Refusal::new("handled exception is no object"));
        }
        let operands = self.take_operands(many)?;
        let mut args: Vec<Value> = vec![exc.v];
        args.extend_from_slice(&operands.args);
        let state = self.raising();
        if let Some(v) = self.emit(Op::ExcMatches, Imm::None, &args, operands.own << 1, Some(state)) {
            self.stack.push(Val::number(Kind::Bool, v));
        }
        if !from_globals {
            self.observed();
        }
        Ok(())
    }

    /// `raise`, `raise x` and `raise x from y`; RERAISE.
    pub fn raise(&mut self, i: &Instr) -> Result<(), Refusal> {
        if i.base == Opcode::RaiseVarargs && i.arg == 1 {
            self.observe();
            let operands = self.take_operands(1)?;
            let state = self.raising();
            self.emit(Op::CallStatus, Imm::Helper("raise_one"), &operands.args, operands.own, Some(state));
        } else {
            self.stack_op(i)?;
        }
        let state = self.raising();
        self.emit(Op::Raise, Imm::None, &[], 0, Some(state));
        self.at = None;
        Ok(())
    }
}
