//! Unboxed numbers and truth values: arithmetic with Python's semantics, boxing and unboxing.
//!
//! Invariant: an instruction that cannot give Python's exact result in 64 bits leaves; the interpreter then repeats the
//! bytecode on the boxed operands. Layout of ints: `lv_tag` = digits << 3 | sign (0 positive, 1 zero, 2 negative), 30-bit digits.

use super::{Lower, Ret, bad};
use crate::{CodegenError, fault};
use cendre_ir::{Cond, Imm, InstData, Kinds, Op};
use cranelift_codegen::ir::{
    self, BlockArg, InstBuilder, MemFlagsData,
    condcodes::{FloatCC, IntCC},
    types,
};

fn int_cc(c: Cond) -> IntCC {
    match c {
        Cond::Lt if fault::is(fault::COMPARISON) => IntCC::SignedLessThanOrEqual,
        Cond::Lt => IntCC::SignedLessThan,
        Cond::Le => IntCC::SignedLessThanOrEqual,
        Cond::Eq => IntCC::Equal,
        Cond::Ne => IntCC::NotEqual,
        Cond::Gt => IntCC::SignedGreaterThan,
        Cond::Ge => IntCC::SignedGreaterThanOrEqual,
    }
}

fn float_cc(c: Cond) -> FloatCC {
    match c {
        Cond::Lt => FloatCC::LessThan,
        Cond::Le => FloatCC::LessThanOrEqual,
        Cond::Eq => FloatCC::Equal,
        Cond::Ne => FloatCC::NotEqual,
        Cond::Gt => FloatCC::GreaterThan,
        Cond::Ge => FloatCC::GreaterThanOrEqual,
    }
}

impl Lower<'_> {
    /// The value of an `int`; goes to `exit` if it is none (`check`) or does not fit 64 bits.
    pub fn unbox_int(&mut self, o: ir::Value, check: bool, exit: ir::Block) -> Result<ir::Value, CodegenError> {
        let off = *self.env.offsets();
        if check {
            let class = self.load(o, off.ob_type);
            let int = self.is_const(class, self.env.addresses().long_type as i64);
            self.branch_unless(int, exit);
        }
        let (large, done) = (self.cold_block(), self.new_block());
        let result = self.b.append_block_param(done, types::I64);
        let value = self.compact_int(o, large);
        self.jump(done, &[value]);
        self.b.switch_to_block(large);
        let r = self.call_helper("unbox_int_slow", &[o], Ret::Pair)?;
        self.b.ins().brif(r[0], exit, &[], done, &[BlockArg::Value(r[1])]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// The value of a `float`; goes to `exit` if it is none.
    pub fn unbox_float(&mut self, o: ir::Value, exit: ir::Block) -> ir::Value {
        let off = *self.env.offsets();
        let class = self.load(o, off.ob_type);
        let float = self.is_const(class, self.env.addresses().float_type as i64);
        self.branch_unless(float, exit);
        self.b.ins().load(types::F64, MemFlagsData::trusted(), o, off.float_value)
    }

    /// The value of a `float` or of an `int` of one digit as a double; goes to `exit` if it is neither.
    fn unbox_number(&mut self, o: ir::Value, exit: ir::Block) -> ir::Value {
        let off = *self.env.offsets();
        let (float, other, done) = (self.new_block(), self.new_block(), self.new_block());
        let result = self.b.append_block_param(done, types::F64);
        let class = self.load(o, off.ob_type);
        let is_float = self.is_const(class, self.env.addresses().float_type as i64);
        self.b.ins().brif(is_float, float, &[], other, &[]);
        self.b.switch_to_block(float);
        let x = self.b.ins().load(types::F64, MemFlagsData::trusted(), o, off.float_value);
        self.jump(done, &[x]);
        self.b.switch_to_block(other);
        let int = self.is_const(class, self.env.addresses().long_type as i64);
        self.branch_unless(int, exit);
        let n = self.compact_int(o, exit);
        let x = self.b.ins().fcvt_from_sint(types::F64, n);
        self.jump(done, &[x]);
        self.b.switch_to_block(done);
        result
    }

    /// The value of an `int` of one digit; goes to `large` if it has more.
    fn compact_int(&mut self, o: ir::Value, large: ir::Block) -> ir::Value {
        let off = *self.env.offsets();
        let tag = self.load(o, off.long_tag);
        let compact = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, tag, 16);
        self.branch_unless(compact, large);
        let digit = self.b.ins().uload32(MemFlagsData::trusted(), o, off.long_digits);
        let sign = self.b.ins().band_imm_s(tag, 3);
        let one = self.iconst(1);
        let sign = self.b.ins().isub(one, sign);
        self.b.ins().imul(digit, sign)
    }

    /// Whether it is `True`; goes to `exit` if neither `True` nor `False`.
    pub fn unbox_bool(&mut self, o: ir::Value, exit: ir::Block) -> ir::Value {
        let a = *self.env.addresses();
        let yes = self.is_const(o, a.true_ as i64);
        let no = self.is_const(o, a.false_ as i64);
        let either = self.b.ins().bor(yes, no);
        self.branch_unless(either, exit);
        yes
    }

    pub(super) fn numbers(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let value = match i.op {
            Op::UnboxInt | Op::TrustInt => {
                let o = self.arg(i, 0);
                if i.op == Op::UnboxInt {
                    let exit = self.leave_exit(i)?;
                    let known = self.f.ty(i.args[0]).class.is_some_and(|c| self.env.object(c) == self.env.addresses().long_type);
                    self.unbox_int(o, !known, exit)?
                } else {
                    self.trusted_int(o)?
                }
            }
            Op::UnboxFloat => {
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                self.unbox_float(o, exit)
            }
            Op::UnboxNumber => {
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                self.unbox_number(o, exit)
            }
            Op::TrustFloat => {
                let o = self.arg(i, 0);
                let offset = self.env.offsets().float_value;
                self.b.ins().load(types::F64, MemFlagsData::trusted(), o, offset)
            }
            Op::UnboxBool => {
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                self.unbox_bool(o, exit)
            }
            Op::BoxInt => {
                let x = self.arg(i, 0);
                let o = self.box_int(x)?;
                let exit = self.exit(super::ExitKey::raise(i, true)?);
                self.branch_unless(o, exit);
                o
            }
            Op::BoxFloat => {
                let x = self.arg(i, 0);
                let o = self.call_helper("box_float", &[x], Ret::Word)?[0];
                let exit = self.exit(super::ExitKey::raise(i, true)?);
                self.branch_unless(o, exit);
                o
            }
            Op::BoxBool => {
                let x = self.arg(i, 0);
                self.bool_object(x)
            }
            Op::IAddLeave | Op::ISubLeave | Op::IMulLeave => {
                let exit = self.leave_exit(i)?;
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                let (r, overflow) = match i.op {
                    Op::IAddLeave => self.b.ins().sadd_overflow(x, y),
                    Op::ISubLeave => self.b.ins().ssub_overflow(x, y),
                    _ => self.b.ins().smul_overflow(x, y),
                };
                if i.op == Op::IAddLeave || !fault::is(fault::OVERFLOW) {
                    self.branch_if(overflow, exit);
                }
                r
            }
            Op::INeg => {
                let exit = self.leave_exit(i)?;
                let x = self.arg(i, 0);
                let zero = self.iconst(0);
                let (r, overflow) = self.b.ins().ssub_overflow(zero, x);
                self.branch_if(overflow, exit);
                r
            }
            Op::IFloorDiv | Op::IMod => self.divide(i)?,
            Op::IAnd => {
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                self.b.ins().band(x, y)
            }
            Op::IOr => {
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                self.b.ins().bor(x, y)
            }
            Op::IXor => {
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                self.b.ins().bxor(x, y)
            }
            Op::INot => {
                let x = self.arg(i, 0);
                self.b.ins().bnot(x)
            }
            Op::IShl => {
                let exit = self.leave_exit(i)?;
                let (x, n) = (self.arg(i, 0), self.arg(i, 1));
                let small = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, n, 63);
                self.branch_unless(small, exit);
                let r = self.b.ins().ishl(x, n);
                let back = self.b.ins().sshr(r, n);
                let same = self.b.ins().icmp(IntCC::Equal, back, x);
                self.branch_unless(same, exit);
                r
            }
            Op::IShr => {
                let exit = self.leave_exit(i)?;
                let (x, n) = (self.arg(i, 0), self.arg(i, 1));
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, n, 0);
                self.branch_if(negative, exit);
                let most = self.iconst(63);
                let n = self.b.ins().umin(n, most);
                self.b.ins().sshr(x, n)
            }
            Op::ICmp => {
                let Imm::Cond(c) = i.imm else { return bad(i) };
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                self.b.ins().icmp(int_cc(c), x, y)
            }
            Op::IToF => {
                let exit = self.leave_exit(i)?;
                let x = self.arg(i, 0);
                let shifted = self.b.ins().iadd_imm_s(x, 1 << 53);
                let exact = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThanOrEqual, shifted, 1 << 54);
                self.branch_unless(exact, exit);
                self.b.ins().fcvt_from_sint(types::F64, x)
            }
            Op::FAdd | Op::FSub | Op::FMul => {
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                match i.op {
                    Op::FAdd => self.b.ins().fadd(x, y),
                    Op::FSub => self.b.ins().fsub(x, y),
                    _ => self.b.ins().fmul(x, y),
                }
            }
            Op::FDiv => {
                let exit = self.leave_exit(i)?;
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                let zero = self.b.ins().f64const(0.0);
                let by_zero = self.b.ins().fcmp(FloatCC::Equal, y, zero);
                self.branch_if(by_zero, exit);
                self.b.ins().fdiv(x, y)
            }
            Op::FPow => {
                let exit = self.leave_exit(i)?;
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                let bits = self.call_helper("float_pow", &[x, y], Ret::Word)?[0];
                let power = self.b.ins().bitcast(types::F64, MemFlagsData::new(), bits);
                let none = self.b.ins().fcmp(FloatCC::Unordered, power, power);
                self.branch_if(none, exit);
                power
            }
            Op::FNeg => {
                let x = self.arg(i, 0);
                self.b.ins().fneg(x)
            }
            Op::FCmp => {
                let Imm::Cond(c) = i.imm else { return bad(i) };
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                self.b.ins().fcmp(float_cc(c), x, y)
            }
            Op::BNot => {
                let x = self.arg(i, 0);
                self.b.ins().bxor_imm_s(x, 1)
            }
            Op::Is => {
                let (x, y) = (self.arg(i, 0), self.arg(i, 1));
                self.b.ins().icmp(IntCC::Equal, x, y)
            }
            Op::IsNull => {
                let x = self.arg(i, 0);
                self.b.ins().icmp_imm_s(IntCC::Equal, x, 0)
            }
            Op::PtrIs => {
                let Imm::Int(n) = i.imm else { return bad(i) };
                let x = self.arg(i, 0);
                self.is_const(x, n)
            }
            _ => return bad(i),
        };
        self.set(i, 0, value);
        Ok(())
    }

    /// Boxes an integer: cached small ints in line, the rest by the runtime. Null: no memory.
    pub fn box_int(&mut self, x: ir::Value) -> Result<ir::Value, CodegenError> {
        let a = *self.env.addresses();
        let (large, done) = (self.new_block(), self.new_block());
        let result = self.b.append_block_param(done, types::I64);
        let index = self.b.ins().iadd_imm_s(x, 5);
        let cached = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, index, 262);
        let small = self.new_block();
        self.b.ins().brif(cached, small, &[], large, &[]);
        self.b.switch_to_block(small);
        let offset = self.b.ins().imul_imm_s(index, a.small_int_size as i64);
        let object = self.b.ins().iadd_imm_s(offset, a.small_ints as i64);
        self.jump(done, &[object]);
        self.b.switch_to_block(large);
        let o = self.call_helper("box_int", &[x], Ret::Word)?[0];
        self.jump(done, &[o]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// The value of an object that is an int of 64 bits for certain.
    fn trusted_int(&mut self, o: ir::Value) -> Result<ir::Value, CodegenError> {
        let never = self.cold_block();
        let v = self.unbox_int(o, false, never)?;
        let after = self.b.current_block();
        self.b.switch_to_block(never);
        self.b.ins().trap(ir::TrapCode::unwrap_user(1));
        if let Some(after) = after {
            self.b.switch_to_block(after);
        }
        Ok(v)
    }

    /// `//` and `%`: rounding toward minus infinity; zero as divisor goes to the interpreter, and a quotient that overflows.
    fn divide(&mut self, i: &InstData) -> Result<ir::Value, CodegenError> {
        let exit = self.leave_exit(i)?;
        let (x, y) = (self.arg(i, 0), self.arg(i, 1));
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, y, 0);
        self.branch_if(zero, exit);
        // Dividing by -1 traps for the least integer: divide by 1 instead, the remainder is 0 and the quotient only changes its sign.
        let minus = self.b.ins().icmp_imm_s(IntCC::Equal, y, -1);
        let one = self.b.ins().iconst(ir::types::I64, 1);
        let divisor = self.b.ins().select(minus, one, y);
        if i.op == Op::IFloorDiv {
            let least = self.b.ins().icmp_imm_s(IntCC::Equal, x, i64::MIN);
            let overflows = self.b.ins().band(minus, least);
            self.branch_if(overflows, exit);
        }
        let q = self.b.ins().sdiv(x, divisor);
        let product = self.b.ins().imul(q, divisor);
        let r = self.b.ins().isub(x, product);
        let signs = self.b.ins().bxor(r, y);
        let differ = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let rest = self.b.ins().icmp_imm_s(IntCC::NotEqual, r, 0);
        let adjust = self.b.ins().band(differ, rest);
        if i.op == Op::IMod {
            let up = self.b.ins().iadd(r, y);
            return Ok(self.b.ins().select(adjust, up, r));
        }
        let opposite = self.b.ins().ineg(q);
        let q = self.b.ins().select(minus, opposite, q);
        let down = self.b.ins().iadd_imm_s(q, -1);
        Ok(self.b.ins().select(adjust, down, q))
    }

    /// Kinds of an IR value.
    pub fn kinds(&self, v: cendre_ir::Value) -> Kinds {
        self.f.ty(v).kinds
    }
}
