//! FOR_ITER over iterators of known type, and over anything.

use super::state::{Kind, Val};
use super::{Refusal, Translator};
use crate::{Instr, Opcode};
use cendre_ir::{Imm, Op};

impl Translator<'_> {
    pub fn for_iter(&mut self, i: &Instr) -> Result<(), Refusal> {
        let target = i.jump_target.ok_or_else(super::underflow)?;
        let it = self.peek(1)?;
        if it.kind != Kind::Object {
            return Err(Refusal::new("iterator is no object"));
        }
        let op = self.opcode(i);
        let k = self.known;
        let class = match op {
            Opcode::ForIterRange => Some(k.range_iterator),
            Opcode::ForIterList => Some(k.list_iterator),
            Opcode::ForIterTuple => Some(k.tuple_iterator),
            Opcode::ForIterGen => Some(k.generator),
            _ => None,
        };
        if let Some(class) = class
            && let Some(o) = self.guarded(it, class)
        {
            let top = self.stack.len();
            self.stack[top - 1] = Val { v: o, class: Some(class), ..it };
            match op {
                Opcode::ForIterRange => {
                    let more = self.value(Op::RangeMore, Imm::None, &[o], None);
                    let (body, over) = self.branch(more);
                    self.go_from(over, target)?;
                    self.at = Some(body);
                    let v = self.value(Op::RangeNext, Imm::None, &[o], None);
                    self.stack.push(Val::number(Kind::Int, v));
                    return self.go(i.next);
                }
                Opcode::ForIterList | Opcode::ForIterTuple => {
                    let next = if op == Opcode::ForIterList { Op::ListNext } else { Op::TupleNext };
                    let v = self.value(next, Imm::None, &[o], None);
                    let null = self.value(Op::IsNull, Imm::None, &[v], None);
                    let (over, body) = self.branch(null);
                    self.at = Some(over);
                    let locals = self.locals.clone();
                    let untraced = self.untraced;
                    self.trace();
                    let state = self.dropping(false);
                    let list = i64::from(op == Opcode::ForIterList);
                    self.emit(Op::IterDone, Imm::Int(list), &[o], 0, Some(state));
                    for l in &mut self.locals {
                        l.cached = None;
                    }
                    self.may_look();
                    self.check_looked(target);
                    self.go(target)?;
                    self.locals = locals;
                    self.untraced = untraced;
                    self.at = Some(body);
                    let state = self.before();
                    let v = self.value(Op::GuardNotNull, Imm::None, &[v], Some(state));
                    let v = self.duplicate(Val::object(v, false));
                    self.stack.push(v);
                    return self.go(i.next);
                }
                _ => {
                    self.observe();
                    let state = self.raising();
                    let pair = self.emit_many(Op::GenNext, Imm::None, &[o], 0, Some(state), 0);
                    return self.iterated(i, target, &pair);
                }
            }
        }
        self.observe();
        let state = self.raising();
        let pair = self.emit_many(Op::CallPair, Imm::Helper("for_iter"), &[it.v], 0, Some(state), 0);
        self.iterated(i, target, &pair)
    }

    /// (tag, value) of a step: 0 = the item, else exhausted.
    fn iterated(&mut self, i: &Instr, target: u32, pair: &[cendre_ir::Value]) -> Result<(), Refusal> {
        let [tag, value] = pair[..] else { return Ok(()) };
        let some = self.value(Op::PtrIs, Imm::Int(0), &[tag], None);
        let (body, over) = self.branch(some);
        let locals = self.locals.clone();
        self.at = Some(over);
        self.observed_at(target);
        self.go(target)?;
        self.locals = locals;
        self.at = Some(body);
        self.f.set_type(value, cendre_ir::Type::OBJECT);
        self.stack.push(Val::object(value, true));
        self.observed_at(i.next);
        self.go(i.next)
    }
}
