//! Calls of helpers, stack ops, Python calls, awaits; and the checks behind them.
//!
//! Invariant: `instr_ptr` is stored before each call. Argument arrays lie in the frame's scratch words above `stackpointer`
//! (= stack base): word 0 is free for the callee (`args[-1]`), arguments follow; the callable stays in a register, so that the words
//! never outgrow the eval stack of the bytecode's own call.

use super::{Lower, Ret, bad};
use crate::CodegenError;
use cendre_ir::{Imm, InstData, Kinds, Op};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, condcodes::IntCC, types};

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`
const OFFSET_FLAG: i64 = i64::MIN;

impl Lower<'_> {
    pub(super) fn calls(&mut self, i: &InstData) -> Result<(), CodegenError> {
        match i.op {
            Op::CallObj | Op::CallStatus | Op::CallBool | Op::CallInt | Op::CallPair | Op::CallQuiet => self.call_named(i),
            Op::StackOp | Op::QuietOp => self.stack_op(i),
            Op::Call => {
                let unit = self.state(i)?.unit;
                self.set_instr_ptr(unit);
                let r = self.call_generic(i)?;
                self.finish_object(i, r)
            }
            Op::CallPy | Op::CallPyRaw | Op::CallInit | Op::CallBound => self.call_direct(i),
            Op::GuardCode | Op::FuncDefault | Op::FuncKwDefault => self.parameters(i),
            Op::RetInt | Op::RetFloat => self.returned_number(i),
            Op::AwaitCall | Op::AwaitRaw | Op::AwaitTail => self.await_call(i),
            Op::AwaitWords => self.await_words(i),
            Op::PassCall => self.pass_call(i),
            Op::IsAwaited => {
                let v = self.is_awaited;
                self.set(i, 0, v);
                Ok(())
            }
            Op::Send => self.send(i),
            Op::GenNext => self.gen_next(i),
            Op::Yielded => {
                let Some(awaited) = self.awaited.get(&i.args[0]) else { return bad(i) };
                let v = awaited.yielded;
                self.set(i, 0, v);
                Ok(())
            }
            Op::Checkpoint => {
                let exit = self.leave_exit(i)?;
                let changed = self.version_changed();
                self.branch_if(changed, exit);
                Ok(())
            }
            Op::Poll => self.poll(i),
            _ => bad(i),
        }
    }

    /// Did instrumentation change since the body was entered? The version counts up from bit 8, above the events; its lower half cannot come round
    /// within one activation.
    pub(super) fn version_changed(&mut self) -> ir::Value {
        let (ts, offset) = (self.ts, self.env.offsets().ts_eval_breaker);
        let now = self.load32(ts, offset + 1);
        let version = self.version;
        self.b.ins().icmp(IntCC::NotEqual, now, version)
    }

    fn call_named(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::Helper(name) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        let args: Vec<ir::Value> = i.args.iter().map(|v| self.helper_arg(*v)).collect();
        match i.op {
            Op::CallObj | Op::CallQuiet => {
                let r = match name {
                    "get_attr_cached" => self.get_attr_cached(&args)?,
                    _ => self.call_helper(name, &args, Ret::Word)?[0],
                };
                self.drop_owned_args(i, None)?;
                self.finish_object(i, r)
            }
            Op::CallStatus | Op::CallBool => {
                let r = match name {
                    "set_attr_cached" => self.set_attr_cached(&args)?,
                    "is_instance" => self.is_instance(&args)?,
                    _ => self.call_helper(name, &args, Ret::I32)?[0],
                };
                self.drop_owned_args(i, None)?;
                let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, r, 0);
                let exit = self.raise_exit(i)?;
                self.branch_if(failed, exit);
                if i.op == Op::CallBool {
                    let r = self.b.ins().ireduce(types::I8, r);
                    self.set(i, 0, r);
                }
                Ok(())
            }
            Op::CallInt => {
                let r = self.call_helper(name, &args, Ret::Word)?[0];
                self.drop_owned_args(i, None)?;
                let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, r, 0);
                let exit = self.raise_exit(i)?;
                self.branch_if(failed, exit);
                self.set(i, 0, r);
                Ok(())
            }
            _ => {
                let r = self.call_helper(name, &args, Ret::Pair)?;
                self.drop_owned_args(i, None)?;
                self.finish_pair(i, r[0], r[1])
            }
        }
    }

    /// Null: raise; else the result.
    pub(super) fn finish_object(&mut self, i: &InstData, r: ir::Value) -> Result<(), CodegenError> {
        let exit = self.raise_exit(i)?;
        self.branch_unless(r, exit);
        self.set(i, 0, r);
        Ok(())
    }

    /// Tag 2: raise; else both results.
    pub(super) fn finish_pair(&mut self, i: &InstData, t: ir::Value, v: ir::Value) -> Result<(), CodegenError> {
        let raised = self.is_const(t, 2);
        let exit = self.raise_exit(i)?;
        self.branch_if(raised, exit);
        self.set(i, 0, t);
        self.set(i, 1, v);
        Ok(())
    }

    /// Inputs to the bottom of the eval stack, the op, outputs from there. Tags and reference counts are the
    /// helper's work: in line they were the larger part of code that makes many generic operations.
    fn stack_op(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::HelperInt(name, oparg) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        let fr = self.fr;
        self.place_words(i);
        let op = self.env.helper(name).ok_or_else(|| CodegenError::Helper(name.to_owned()))?;
        let ts = self.ts;
        let counts = self.iconst(oparg & 0xffff_ffff | (i.args.len() as i64) << 32 | (i.results.len() as i64) << 48);
        let own = self.iconst(i.own as i64);
        let r = self.call_fixed(op, &[ts, fr, counts, own], Ret::I32)[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, r, 0);
        let exit = self.raise_exit(i)?;
        self.branch_if(failed, exit);
        for n in 0..i.results.len() {
            let offset = self.stack_slot(n as u32);
            let v = self.load(fr, offset);
            self.set(i, n, v);
        }
        Ok(())
    }

    /// All arguments to the bottom of the eval stack, as plain words.
    pub(super) fn place_words(&mut self, i: &InstData) {
        let fr = self.fr;
        for (n, &v) in i.args.iter().enumerate() {
            let x = self.v(v);
            let offset = self.stack_slot(n as u32);
            self.store(x, fr, offset);
        }
    }

    /// Arguments to the scratch words; answers (callable, address of the first argument, their number), self included if there is one.
    pub(super) fn place_args(&mut self, i: &InstData) -> (ir::Value, ir::Value, ir::Value) {
        let fr = self.fr;
        let callable = self.arg(i, 0);
        let kinds = self.kinds(i.args[1]);
        let me = self.arg(i, 1);
        for n in 2..i.args.len() {
            let x = self.arg(i, n);
            let offset = self.stack_slot(n as u32);
            self.store(x, fr, offset);
        }
        let plain = i.args.len() as i64 - 2;
        let offset = self.stack_slot(1);
        if kinds == Kinds::NULL {
            // args[-1] is the unused word of self.
            let first = self.b.ins().iadd_imm_s(fr, i64::from(offset) + 8);
            let n = self.iconst(plain);
            return (callable, first, n);
        }
        self.store(me, fr, offset);
        if kinds == Kinds::OBJECT {
            let first = self.b.ins().iadd_imm_s(fr, i64::from(offset));
            let n = self.iconst(plain + 1);
            return (callable, first, n);
        }
        let none = self.b.ins().icmp_imm_s(IntCC::Equal, me, 0);
        let none = self.b.ins().uextend(types::I64, none);
        let skip = self.b.ins().ishl_imm_s(none, 3);
        let base = self.b.ins().iadd_imm_s(fr, i64::from(offset));
        let first = self.b.ins().iadd(base, skip);
        let most = self.iconst(plain + 1);
        let n = self.b.ins().isub(most, none);
        (callable, first, n)
    }

    /// An ordinary vectorcall; consumes what the instruction owns.
    pub(super) fn call_generic(&mut self, i: &InstData) -> Result<ir::Value, CodegenError> {
        let r = self.call_passing(i)?;
        if i.own & 1 != 0 {
            self.drop_value(i.args[0], None)?;
        }
        Ok(r)
    }

    /// The same, but the callable stays the caller's.
    pub(super) fn call_passing(&mut self, i: &InstData) -> Result<ir::Value, CodegenError> {
        let (callable, first, n) = self.place_args(i);
        let flag = self.iconst(OFFSET_FLAG);
        let nargsf = self.b.ins().bor(n, flag);
        let mask = self.owned_mask(i);
        let r = self.call_helper("call_owned", &[callable, first, nargsf, mask], Ret::Word)?[0];
        Ok(r)
    }

    /// Which of the arguments at `first` pass to the callee, which may be done with them before it returns.
    pub(super) fn owned_mask(&mut self, i: &InstData) -> ir::Value {
        let me = i.own >> 1 & 1;
        let rest = (i.own >> 2) as i64;
        match self.kinds(i.args[1]) {
            Kinds::NULL => self.iconst(rest),
            Kinds::OBJECT => self.iconst(rest << 1 | me as i64),
            _ => {
                let with = self.iconst(rest << 1 | me as i64);
                let without = self.iconst(rest);
                let x = self.arg(i, 1);
                self.b.ins().select(x, with, without)
            }
        }
    }

    /// Pending events, then as `checkpoint`. Stale locals are boxed first: handlers may look, and write.
    fn poll(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let state = self.state(i)?.clone();
        let leave = self.leave_exit(i)?;
        let raise = self.raise_exit(i)?;
        let (events, done) = (self.cold_block(), self.new_block());
        let (ts, offset) = (self.ts, self.env.offsets().ts_eval_breaker);
        let pending = self.b.ins().uload8(types::I32, MemFlagsData::trusted(), ts, offset);
        let now = self.load32(ts, offset + 1);
        let version = self.version;
        let changed = self.b.ins().bxor(now, version);
        let something = self.b.ins().bor(changed, pending);
        self.b.ins().brif(something, events, &[], done, &[]);
        self.b.switch_to_block(events);
        self.set_instr_ptr(state.unit);
        self.sync_stale(&state)?;
        let r = self.call_helper("handle_pending", &[], Ret::I32)?[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, r, 0);
        self.branch_if(failed, raise);
        let changed = self.version_changed();
        self.branch_if(changed, leave);
        if !state.stale.is_empty() {
            // Somebody may have written the locals that we hold unboxed: let the interpreter go on with what is in the frame.
            let (fr, offset) = (self.fr, self.env.offsets().fr_frame_obj);
            let taken = self.load(fr, offset);
            let reread = self.cold_block();
            self.b.ins().brif(taken, reread, &[], done, &[]);
            self.b.switch_to_block(reread);
            let mut fresh = state.clone();
            fresh.stale.clear();
            self.leave_now(&fresh, i.op.row().text)?;
        } else {
            self.jump(done, &[]);
        }
        self.b.switch_to_block(done);
        Ok(())
    }
}
