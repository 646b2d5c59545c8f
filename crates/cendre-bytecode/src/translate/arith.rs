//! Arithmetic, comparison, truth: unboxed where the adaptive bytecode or the operands themselves say so, else by helper.
//!
//! Invariant: guards come first and leave to the state before the bytecode, then the operation, then drops of boxed operands.

use super::state::{Kind, Val};
use super::{Refusal, Translator};
use crate::facts::FloatSide;
use crate::{Instr, Opcode};
use cendre_ir::{Cond, Def, Imm, ObjId, Op, Value};

/// `NB_*` of BINARY_OP's oparg, in-place ones folded onto the others.
mod nb {
    pub const ADD: u32 = 0;
    pub const AND: u32 = 1;
    pub const FLOOR_DIVIDE: u32 = 2;
    pub const LSHIFT: u32 = 3;
    pub const MULTIPLY: u32 = 5;
    pub const REMAINDER: u32 = 6;
    pub const OR: u32 = 7;
    pub const POWER: u32 = 8;
    pub const RSHIFT: u32 = 9;
    pub const SUBTRACT: u32 = 10;
    pub const TRUE_DIVIDE: u32 = 11;
    pub const XOR: u32 = 12;
    pub const INPLACE: u32 = 13;
    pub const SUBSCR: u32 = 26;
}

fn int_op(nb: u32) -> Option<Op> {
    Some(match nb {
        nb::ADD => Op::IAddLeave,
        nb::SUBTRACT => Op::ISubLeave,
        nb::MULTIPLY => Op::IMulLeave,
        nb::FLOOR_DIVIDE => Op::IFloorDiv,
        nb::REMAINDER => Op::IMod,
        nb::AND => Op::IAnd,
        nb::OR => Op::IOr,
        nb::XOR => Op::IXor,
        nb::LSHIFT => Op::IShl,
        nb::RSHIFT => Op::IShr,
        _ => return None,
    })
}

fn float_op(nb: u32) -> Option<Op> {
    Some(match nb {
        nb::ADD => Op::FAdd,
        nb::SUBTRACT => Op::FSub,
        nb::MULTIPLY => Op::FMul,
        nb::TRUE_DIVIDE => Op::FDiv,
        nb::POWER => Op::FPow,
        _ => return None,
    })
}

const CONDS: [Cond; 6] = [Cond::Lt, Cond::Le, Cond::Eq, Cond::Ne, Cond::Gt, Cond::Ge];

/// In COMPARE_OP's oparg: the result is asked for its truth.
const TO_BOOL: u32 = 16;

impl Translator<'_> {
    pub fn binary_op(&mut self, i: &Instr) -> Result<(), Refusal> {
        let (left, right) = (self.peek(2)?, self.peek(1)?);
        let op = self.opcode(i);
        if i.arg == nb::SUBSCR {
            return self.subscript(i, op, left, right);
        }
        let nb = if i.arg >= nb::INPLACE { i.arg - nb::INPLACE } else { i.arg };
        let generic = self.facts.is_generic(i.offset);
        let kinds = match op {
            Opcode::BinaryOpAddInt | Opcode::BinaryOpSubtractInt | Opcode::BinaryOpMultiplyInt => Some((Kind::Int, Kind::Int)),
            Opcode::BinaryOpAddFloat | Opcode::BinaryOpSubtractFloat | Opcode::BinaryOpMultiplyFloat => Some((Kind::Float, Kind::Float)),
            _ if generic => None,
            Opcode::BinaryOpExtend if matches!(nb, nb::AND | nb::OR | nb::XOR) => Some((Kind::Int, Kind::Int)),
            Opcode::BinaryOpExtend
                if (self.number_kind(left).is_none() || self.number_kind(right).is_none())
                    && let Some(side) = i.binary_op_cache().and_then(|c| self.facts.float_side(c.descr)) =>
            {
                match side {
                    FloatSide::Left => Some((Kind::Float, Kind::Int)),
                    FloatSide::Right => Some((Kind::Int, Kind::Float)),
                }
            }
            Opcode::BinaryOp | Opcode::BinaryOpExtend => match (self.number_kind(left), self.number_kind(right)) {
                (Some(a), Some(b)) if a != Kind::Bool && b != Kind::Bool => Some((a, b)),
                // One side is an int for certain: the other very probably is, for the operators that only ints have in loops.
                (Some(Kind::Int), None) | (None, Some(Kind::Int))
                    if op == Opcode::BinaryOp && right_is_probably_int(nb) && i.counter().is_some() =>
                {
                    Some((Kind::Int, Kind::Int))
                }
                // Where the other is a float, too, CPython has specialised the operators that it can: an int is as likely.
                (Some(Kind::Float), None) if float_op(nb).is_some() => Some((Kind::Float, Kind::Object)),
                (None, Some(Kind::Float)) if float_op(nb).is_some() => Some((Kind::Object, Kind::Float)),
                _ => None,
            },
            _ => None,
        };
        if let Some((a, b)) = kinds
            && let Some(result) = self.unboxed_binary(nb, left, right, a, b)
        {
            self.stack.truncate(self.stack.len() - 2);
            self.drop_numbers(&[left, right]);
            self.stack.push(result);
            return Ok(());
        }
        if op == Opcode::BinaryOpInplaceAddUnicode && !generic && self.append_in_place(i, left, right)? {
            return Ok(());
        }
        if op == Opcode::BinaryOpAddUnicode && !generic {
            let state = self.before();
            let str_ = Imm::Obj(ObjId(self.known.str_));
            if left.kind == Kind::Object && right.kind == Kind::Object {
                let l = self.value(Op::GuardType, str_.clone(), &[left.v], Some(state));
                let r = self.value(Op::GuardType, str_, &[right.v], Some(state));
                self.stack.truncate(self.stack.len() - 2);
                let own = u64::from(left.own) | u64::from(right.own) << 1;
                let state = self.raising();
                let v = self.emit(Op::CallQuiet, Imm::Helper("str_concat"), &[l, r], own, Some(state)).unwrap_or(l);
                self.stack.push(Val::object(v, true).with_class(self.known.str_));
                return Ok(());
            }
        }
        let n = self.const_int(i64::from(i.arg));
        self.generic_binary("binary_op", &[n])
    }

    /// `s += t` of strs in a local that is stored right behind: CPython writes in place when only the local refers to the str, which
    /// is what keeps loops of it linear.
    fn append_in_place(&mut self, i: &Instr, left: Val, right: Val) -> Result<bool, Refusal> {
        let next = self.instrs.get(self.flow.index_of(i.next)).filter(|n| n.start == i.next);
        let local = match next {
            Some(n) if n.base == Opcode::StoreFast => n.arg,
            _ => return Ok(false),
        };
        let usable = left.kind == Kind::Object && right.kind == Kind::Object && left.home == Some(local) && right.home != Some(local);
        if !usable || self.flow.is_leader(i.next) || self.stack.iter().filter(|v| v.home == Some(local)).count() != 1 {
            return Ok(false);
        }
        let state = self.before();
        let str_ = Imm::Obj(ObjId(self.known.str_));
        self.emit(Op::GuardType, str_.clone(), &[left.v], 0, Some(state));
        let r = self.value(Op::GuardType, str_, &[right.v], Some(state));
        self.stack.truncate(self.stack.len() - 2);
        self.drop_values(&[Val { class: Some(self.known.str_), ..left }]);
        let slot = self.const_int(i64::from(local));
        let state = self.raising();
        let own = u64::from(right.own) << 1;
        self.emit(Op::CallStatus, Imm::Helper("append_to_slot"), &[slot, r], own, Some(state));
        self.locals[local as usize] = super::state::Local::default();
        let v = self.slot_object(local, Some(self.known.str_));
        self.stack.push(v);
        Ok(true)
    }

    /// A helper on the two top entries that answers an object. BINARY_OP gives its operands up left one first, but when it raises, the
    /// stack is unwound from its top: then both are left there.
    pub fn generic_binary(&mut self, name: &'static str, extra: &[Value]) -> Result<(), Refusal> {
        let (left, right) = (self.peek(2)?, self.peek(1)?);
        self.observe();
        let (left, right) = (self.to_object(left), self.to_object(right));
        if !(left.own && right.own) {
            return self.generic_call(Op::CallObj, name, 2, extra);
        }
        let top = self.stack.len();
        self.stack[top - 2] = left;
        self.stack[top - 1] = right;
        let mut args = vec![left.v, right.v];
        args.extend_from_slice(extra);
        let state = self.raising();
        let result = self.emit(Op::CallObj, Imm::Helper(name), &args, 0, Some(state));
        self.stack.truncate(top - 2);
        if let Some(v) = result {
            self.stack.push(Val::object(v, true));
        }
        self.drop_values(&[left, right]);
        self.observed();
        Ok(())
    }

    /// Will the instruction, a BINARY_OP with this left operand, take an int on its right side?
    pub(super) fn takes_int(&self, i: &Instr, left: Option<&Val>) -> bool {
        let nb = if i.arg >= nb::INPLACE { i.arg.wrapping_sub(nb::INPLACE) } else { i.arg };
        let int = left.is_some_and(|v| self.number_kind(*v) == Some(Kind::Int));
        int && i.arg != nb::SUBSCR && right_is_probably_int(nb) && i.counter().is_some() && !self.facts.is_generic(i.offset)
    }

    /// Drops what has just been unboxed: exact ints and floats.
    fn drop_numbers(&mut self, values: &[Val]) {
        let number = Some(self.known.int);
        let values: Vec<Val> = values.iter().map(|v| Val { class: v.class.or(number), ..*v }).collect();
        self.drop_values(&values);
    }

    /// Both operands unboxed, with guards; `None` if that cannot be.
    fn unboxed_binary(&mut self, nb: u32, left: Val, right: Val, a: Kind, b: Kind) -> Option<Val> {
        if a == Kind::Int && b == Kind::Int && nb != nb::TRUE_DIVIDE {
            let op = int_op(nb)?;
            let x = self.to_int(left)?;
            let y = self.to_int(right)?;
            let state = op.is(cendre_ir::effect::LEAVES).then(|| self.before());
            let v = self.value(op, Imm::None, &[x, y], state);
            if left.kind == Kind::Object || left.home.is_some() || left.of.is_some() {
                self.leave_if_same(op, x, y, v);
            }
            return Some(Val::number(Kind::Int, v));
        }
        let op = float_op(nb)?;
        let x = self.as_float(left, a)?;
        let y = self.as_float(right, b)?;
        let state = op.is(cendre_ir::effect::LEAVES).then(|| self.before());
        let v = self.value(op, Imm::None, &[x, y], state);
        Some(Val::number(Kind::Float, v))
    }

    /// Where CPython's answer is the very object on the left: `x % y` of which y has several digits and x is less, `x >> 0` of a negative
    /// x of several digits.
    fn leave_if_same(&mut self, op: Op, x: Value, y: Value, result: Value) {
        const DIGIT: i64 = 1 << 30;
        let constant = match self.f.values[y.index()].def {
            Def::Result(i, _) if self.f.insts[i.index()].op == Op::ConstInt => self.f.insts[i.index()].imm.clone(),
            _ => Imm::None,
        };
        match (op, constant) {
            (Op::IMod, Imm::Int(n)) if n.unsigned_abs() < DIGIT.unsigned_abs() => {}
            (Op::IShr, Imm::Int(n)) if n != 0 => {}
            (Op::IMod, _) => {
                let (most, least) = (self.const_int(256), self.const_int(-5));
                let (many, minus) = (self.const_int(DIGIT), self.const_int(-DIGIT));
                self.leave_if(&[(Cond::Eq, result, x), (Cond::Gt, x, most), (Cond::Ge, y, many)]);
                self.leave_if(&[(Cond::Eq, result, x), (Cond::Lt, x, least), (Cond::Le, y, minus)]);
            }
            (Op::IShr, _) => {
                let (zero, minus) = (self.const_int(0), self.const_int(-DIGIT));
                self.leave_if(&[(Cond::Le, x, minus), (Cond::Eq, y, zero)]);
            }
            _ => {}
        }
    }

    /// Leaves to before the bytecode if all of these hold.
    fn leave_if(&mut self, conditions: &[(Cond, Value, Value)]) {
        let state = self.before();
        let behind = self.f.block();
        for (cond, a, b) in conditions {
            let holds = self.value(Op::ICmp, Imm::Cond(*cond), &[*a, *b], None);
            let (yes, no) = self.branch(holds);
            self.jump_to(no, behind, vec![]);
            self.f.blocks[yes.index()].cold = true;
            self.at = Some(yes);
        }
        let never = self.constant(Op::ConstBool, Imm::Bool(false));
        self.emit(Op::GuardTrue, Imm::None, &[never], 0, Some(state));
        if let Some(at) = self.at {
            self.jump_to(at, behind, vec![]);
        }
        self.at = Some(behind);
    }

    /// As a double: a float, an int, or (`Kind::Object`) what turns out to be one of them.
    fn as_float(&mut self, v: Val, kind: Kind) -> Option<Value> {
        match kind {
            Kind::Object if v.kind == Kind::Object && v.class.is_none() && v.literal.is_none() => {
                let state = self.before();
                Some(self.value(Op::UnboxNumber, Imm::None, &[v.v], Some(state)))
            }
            Kind::Float => self.to_number(v, Kind::Float),
            Kind::Int => {
                if let Some(n) = v.int.filter(|n| n.unsigned_abs() < 1 << 53) {
                    return Some(self.constant(Op::ConstFloat, Imm::Float((n as f64).to_bits())));
                }
                let x = self.to_int(v)?;
                let state = self.before();
                Some(self.value(Op::IToF, Imm::None, &[x], Some(state)))
            }
            _ => None,
        }
    }

    /// A helper on the top `n` entries (consumed) and some constants; pushes its result.
    pub fn generic_call(&mut self, op: Op, name: &'static str, n: usize, extra: &[Value]) -> Result<(), Refusal> {
        let result = self.generic_value(op, name, n, extra)?;
        if let Some(v) = result {
            let val = if op == Op::CallBool { Val::number(Kind::Bool, v) } else { Val::object(v, true) };
            self.stack.push(val);
        }
        self.observed();
        Ok(())
    }

    /// The same, without the push and the checks behind.
    pub fn generic_value(&mut self, op: Op, name: &'static str, n: usize, extra: &[Value]) -> Result<Option<Value>, Refusal> {
        self.observe();
        let first = self.stack.len().checked_sub(n).ok_or_else(super::underflow)?;
        let mut args = Vec::new();
        let mut own = 0;
        for k in 0..n {
            let o = self.to_object(self.stack[first + k]);
            self.stack[first + k] = o;
            own |= u64::from(o.own) << k;
            args.push(o.v);
        }
        self.stack.truncate(first);
        args.extend_from_slice(extra);
        let state = self.raising();
        Ok(self.emit(op, Imm::Helper(name), &args, own, Some(state)))
    }

    pub fn unary(&mut self, i: &Instr) -> Result<(), Refusal> {
        let v = self.peek(1)?;
        let negative = i.base == Opcode::UnaryNegative;
        if !self.facts.is_generic(i.offset) {
            let result = match self.number_kind(v) {
                Some(Kind::Int) => self.to_int(v).map(|x| {
                    let state = negative.then(|| self.before());
                    let r = self.value(if negative { Op::INeg } else { Op::INot }, Imm::None, &[x], state);
                    Val::number(Kind::Int, r)
                }),
                Some(Kind::Float) if negative => self.to_number(v, Kind::Float).map(|x| {
                    let r = self.value(Op::FNeg, Imm::None, &[x], None);
                    Val::number(Kind::Float, r)
                }),
                _ => None,
            };
            if let Some(result) = result {
                self.pop()?;
                self.drop_numbers(&[v]);
                self.stack.push(result);
                return Ok(());
            }
        }
        self.stack_op_named(i, if negative { "op_unary_negative" } else { "op_unary_invert" }, 1, 1)
    }

    pub fn compare_op(&mut self, i: &Instr) -> Result<(), Refusal> {
        let (left, right) = (self.peek(2)?, self.peek(1)?);
        let cond = *CONDS.get((i.arg >> 5) as usize).ok_or_else(|| Refusal::new("comparison out of range"))?;
        let op = self.opcode(i);
        let generic = self.facts.is_generic(i.offset);
        let kinds = match op {
            Opcode::CompareOpInt => Some((Kind::Int, Kind::Int)),
            Opcode::CompareOpFloat => Some((Kind::Float, Kind::Float)),
            Opcode::CompareOp if !generic => match (self.number_kind(left), self.number_kind(right)) {
                (Some(Kind::Int), Some(Kind::Int)) => Some((Kind::Int, Kind::Int)),
                (Some(Kind::Float), Some(Kind::Float)) => Some((Kind::Float, Kind::Float)),
                (Some(Kind::Int), Some(Kind::Float)) => Some((Kind::Int, Kind::Float)),
                (Some(Kind::Float), Some(Kind::Int)) => Some((Kind::Float, Kind::Int)),
                (Some(Kind::Float), None) => Some((Kind::Float, Kind::Object)),
                (None, Some(Kind::Float)) => Some((Kind::Object, Kind::Float)),
                _ => None,
            },
            _ => None,
        };
        let compared = match kinds {
            Some((Kind::Int, Kind::Int)) => match (self.to_int(left), self.to_int(right)) {
                (Some(x), Some(y)) => Some(self.value(Op::ICmp, Imm::Cond(cond), &[x, y], None)),
                _ => None,
            },
            Some((a, b)) => match (self.as_float(left, a), self.as_float(right, b)) {
                (Some(x), Some(y)) => Some(self.value(Op::FCmp, Imm::Cond(cond), &[x, y], None)),
                _ => None,
            },
            None => None,
        };
        if let Some(v) = compared {
            self.stack.truncate(self.stack.len() - 2);
            self.drop_numbers(&[left, right]);
            self.stack.push(Val::number(Kind::Bool, v));
            return Ok(());
        }
        if op == Opcode::CompareOpStr && !generic && left.kind == Kind::Object && right.kind == Kind::Object {
            let state = self.before();
            let str_ = Imm::Obj(ObjId(self.known.str_));
            let l = self.value(Op::GuardType, str_.clone(), &[left.v], Some(state));
            let r = self.value(Op::GuardType, str_, &[right.v], Some(state));
            if matches!(cond, Cond::Eq | Cond::Ne) {
                self.stack.truncate(self.stack.len() - 2);
                let state = self.raising();
                // Comparing str with str runs nothing and cannot fail: no observable point.
                let equal = self.value(Op::CallBool, Imm::Helper("str_eq"), &[l, r], Some(state));
                let v = if cond == Cond::Ne { self.value(Op::BNot, Imm::None, &[equal], None) } else { equal };
                self.drop_values(&[Val { class: Some(self.known.str_), ..left }, Val { class: Some(self.known.str_), ..right }]);
                self.stack.push(Val::number(Kind::Bool, v));
                return Ok(());
            }
        }
        // The operands are given up before the result's truth is asked for, which may run code as well.
        let n = self.const_int(i64::from(i.arg & !TO_BOOL));
        let Some(v) = self.generic_value(Op::CallObj, "compare_op", 2, &[n])? else { return Ok(()) };
        if i.arg & TO_BOOL == 0 {
            self.stack.push(Val::object(v, true));
        } else {
            let state = self.raising();
            if let Some(truth) = self.emit(Op::CallBool, Imm::Helper("is_true"), &[v], 1, Some(state)) {
                self.stack.push(Val::number(Kind::Bool, truth));
            }
        }
        self.observed();
        Ok(())
    }

    pub fn is_op(&mut self, i: &Instr) -> Result<(), Refusal> {
        let (left, right) = (self.peek(2)?, self.peek(1)?);
        let (l, r) = (self.to_object(left), self.to_object(right));
        let top = self.stack.len();
        self.stack[top - 2] = l;
        self.stack[top - 1] = r;
        let mut v = self.value(Op::Is, Imm::None, &[l.v, r.v], None);
        if i.arg & 1 != 0 {
            v = self.value(Op::BNot, Imm::None, &[v], None);
        }
        self.stack.truncate(top - 2);
        self.drop_values(&[r, l]);
        self.stack.push(Val::number(Kind::Bool, v));
        Ok(())
    }

    pub fn contains_op(&mut self, i: &Instr) -> Result<(), Refusal> {
        // Stack: item, container. The helper takes (container, item).
        let (item, container) = (self.peek(2)?, self.peek(1)?);
        self.observe();
        let (item, container) = (self.to_object(item), self.to_object(container));
        self.stack.truncate(self.stack.len() - 2);
        let own = u64::from(container.own) | u64::from(item.own) << 1;
        let state = self.raising();
        let v = self.emit(Op::CallBool, Imm::Helper("contains"), &[container.v, item.v], own, Some(state));
        let Some(mut v) = v else { return Ok(()) };
        if i.arg & 1 != 0 {
            v = self.value(Op::BNot, Imm::None, &[v], None);
        }
        self.stack.push(Val::number(Kind::Bool, v));
        self.observed();
        Ok(())
    }

    pub fn to_bool(&mut self, i: &Instr) -> Result<(), Refusal> {
        let v = self.peek(1)?;
        let state = self.before();
        let op = self.opcode(i);
        let truth = match v.kind {
            Kind::Bool => return Ok(()),
            Kind::Int => {
                let zero = self.const_int(0);
                Some(self.value(Op::ICmp, Imm::Cond(Cond::Ne), &[v.v, zero], None))
            }
            Kind::Float => {
                let zero = self.constant(Op::ConstFloat, Imm::Float(0));
                Some(self.value(Op::FCmp, Imm::Cond(Cond::Ne), &[v.v, zero], None))
            }
            Kind::Object => match op {
                Opcode::ToBoolBool => self.to_number(v, Kind::Bool),
                Opcode::ToBoolInt => self.to_int(v).map(|x| {
                    let zero = self.const_int(0);
                    self.value(Op::ICmp, Imm::Cond(Cond::Ne), &[x, zero], None)
                }),
                Opcode::ToBoolList | Opcode::ToBoolStr => {
                    let list = op == Opcode::ToBoolList;
                    let class = if list { self.known.list } else { self.known.str_ };
                    let o = self.value(Op::GuardType, Imm::Obj(ObjId(class)), &[v.v], Some(state));
                    let n = self.value(if list { Op::Size } else { Op::StrLen }, Imm::None, &[o], None);
                    let zero = self.const_int(0);
                    Some(self.value(Op::ICmp, Imm::Cond(Cond::Ne), &[n, zero], None))
                }
                Opcode::ToBoolAlwaysTrue => i.to_bool_cache().filter(|c| c.version != 0).map(|c| {
                    self.emit(Op::GuardVersion, Imm::Int(i64::from(c.version)), &[v.v], 0, Some(state));
                    self.constant(Op::ConstBool, Imm::Bool(true))
                }),
                _ => None,
            },
            _ => return Err(Refusal::new("truth of a raw word")),
        };
        if let Some(x) = truth {
            self.pop()?;
            let plain = matches!(op, Opcode::ToBoolBool | Opcode::ToBoolInt | Opcode::ToBoolStr) && v.kind == Kind::Object;
            self.drop_values(&[if plain { Val { class: v.class.or(Some(self.known.int)), ..v } } else { v }]);
            self.stack.push(Val::number(Kind::Bool, x));
            return Ok(());
        }
        self.generic_call(Op::CallBool, "is_true", 1, &[])
    }

    pub fn unary_not(&mut self) -> Result<(), Refusal> {
        let v = self.pop()?;
        let x = self.truth(v);
        let x = self.value(Op::BNot, Imm::None, &[x], None);
        self.stack.push(Val::number(Kind::Bool, x));
        Ok(())
    }

    /// A value that is `True` or `False` for certain, unboxed.
    pub fn truth(&mut self, v: Val) -> Value {
        if v.kind == Kind::Bool {
            return v.v;
        }
        let t = self.const_obj(self.known.true_);
        self.value(Op::Is, Imm::None, &[v.v, t], None)
    }

    pub fn pop_jump(&mut self, i: &Instr) -> Result<(), Refusal> {
        let target = i.jump_target.ok_or_else(super::underflow)?;
        let v = self.pop()?;
        let cond = match i.base {
            Opcode::PopJumpIfTrue | Opcode::PopJumpIfFalse => self.truth(v),
            _ if v.kind.is_number() => self.constant(Op::ConstBool, Imm::Bool(false)),
            _ => {
                let none = self.const_obj(self.known.none);
                let x = self.value(Op::Is, Imm::None, &[v.v, none], None);
                self.drop_values(&[v]);
                x
            }
        };
        let jump_if = matches!(i.base, Opcode::PopJumpIfTrue | Opcode::PopJumpIfNone);
        let (yes, no) = self.branch(cond);
        let (taken, not) = if jump_if { (yes, no) } else { (no, yes) };
        self.go_from(taken, target)?;
        self.go_from(not, i.next)
    }
}

/// Operators whose right side is an int whenever the left one is, in any program that makes sense.
fn right_is_probably_int(nb: u32) -> bool {
    matches!(nb, nb::FLOOR_DIVIDE | nb::REMAINDER | nb::LSHIFT | nb::RSHIFT | nb::AND | nb::OR | nb::XOR)
}
