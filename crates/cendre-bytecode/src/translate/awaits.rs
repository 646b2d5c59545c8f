//! SEND, END_SEND, YIELD_VALUE: suspending and being resumed.
//!
//! Invariant: at a suspension everything is in memory and owned; the instruction behind it (a RESUME) is an entry of the body.

use super::state::{Kind, Val};
use super::{Refusal, Translator};
use crate::Instr;
use cendre_ir::{FrameState, Imm, Op};

impl Translator<'_> {
    pub fn get_awaitable(&mut self, i: &Instr) -> Result<(), Refusal> {
        self.observe();
        let o = self.pop()?;
        let o = self.to_object(o);
        let what = self.const_int(i64::from(i.arg));
        let state = self.raising();
        let own = u64::from(o.own);
        if let Some(v) = self.emit(Op::CallObj, Imm::Helper("get_awaitable"), &[o.v, what], own, Some(state)) {
            self.stack.push(Val::object(v, true));
        }
        self.observed();
        Ok(())
    }

    pub fn send(&mut self, i: &Instr) -> Result<(), Refusal> {
        let target = i.jump_target.ok_or_else(super::underflow)?;
        self.observe();
        let (receiver, value) = (self.peek(2)?, self.peek(1)?);
        let (receiver, value) = (self.to_object(receiver), self.to_object(value));
        let top = self.stack.len();
        self.stack[top - 2] = receiver;
        self.stack[top - 1] = value;
        // When it raises, the value is gone and the receiver still there. The value is not consumed by the
        // instruction, because it may answer "please leave" with nothing done: then the interpreter sends it.
        let again = self.state_here();
        self.stack.pop();
        let site = self.flow.awaits.values().find(|a| a.send == i.start).map_or(-1, |a| i64::from(a.site));
        let mut state = self.raising();
        if value.own {
            // The exception path has to drop it: let the spilled stack hold it above the handler's depth.
            self.stack.push(value);
            state = self.raising();
            self.stack.pop();
        }
        let pair = self.emit_many(Op::Send, Imm::Int(site), &[receiver.v, value.v], 0, Some(state), 0);
        let [tag, result] = pair[..] else { return Ok(()) };
        // Null only where it answers "please leave".
        self.f.set_type(result, cendre_ir::Type::OBJECT);
        let locals = self.locals.clone();
        let more = self.value(Op::PtrIs, Imm::Int(1), &[tag], None);
        let (yielded, rest) = self.branch(more);
        self.at = Some(yielded);
        self.stack.push(Val::object(result, true));
        self.drop_values(&[value]);
        self.observed_at(i.next);
        self.go(i.next)?;
        self.locals = locals.clone();
        self.at = Some(rest);
        let over = self.value(Op::PtrIs, Imm::Int(0), &[tag], None);
        let (finished, leave) = self.branch(over);
        self.at = Some(finished);
        self.drop_values(&[value]);
        self.observed_at(target);
        self.go(target)?;
        self.locals = locals;
        self.at = Some(leave);
        self.emit(Op::Leave, Imm::None, &[], 0, Some(again));
        self.at = None;
        Ok(())
    }

    pub fn end_send(&mut self) -> Result<(), Refusal> {
        let value = self.pop()?;
        let receiver = self.pop()?;
        self.stack.push(value);
        if receiver.own && receiver.kind == Kind::Object {
            // Not a plain drop: a coroutine of ours may be taken back as a shell.
            self.observe();
            let state = self.raising();
            self.emit(Op::CallStatus, Imm::Helper("drop_receiver"), &[receiver.v], 0, Some(state));
            self.observed();
        }
        Ok(())
    }

    pub fn yield_value(&mut self, i: &Instr) -> Result<(), Refusal> {
        let value = self.pop()?;
        self.observe();
        let value = self.make_own(value);
        for k in 0..self.stack.len() {
            let v = self.stack[k];
            self.stack[k] = self.make_own(v);
        }
        let state =
            FrameState { unit: i.next, resume: i.next, stack: Self::stack_entries(&self.stack), stale: self.stale(), handler: None };
        let state = self.f.state(state);
        self.emit(Op::Yield, Imm::None, &[value.v], 0, Some(state));
        self.at = None;
        // The way back in: whatever is sent lies on top.
        self.stack.push(Val::object(value.v, true));
        self.resume_edge(i.next);
        self.stack.pop();
        Ok(())
    }
}
