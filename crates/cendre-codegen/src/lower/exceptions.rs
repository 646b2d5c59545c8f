//! The exception being handled: `exc.push`, `exc.pop`, matching, and the traceback entry that is put off.
//!
//! Invariant: `exc_value` is the first field of an item of `ts->exc_info`; null stands for none there, None on the eval stack.
//! Read docs/internals/frontend.md, "Exceptions".

use super::{Lower, Ret, bad};
use crate::CodegenError;
use cendre_ir::{InstData, Op};
use cranelift_codegen::ir::{InstBuilder, condcodes::IntCC, types};

impl Lower<'_> {
    pub(super) fn exceptions(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let o = *self.env.offsets();
        let ts = self.ts;
        match i.op {
            Op::ExcPush => {
                let exc = self.arg(i, 0);
                let info = self.load(ts, o.ts_exc_info);
                let before = self.load(info, o.exc_value);
                self.store(exc, info, o.exc_value);
                let none = self.iconst(self.env.addresses().none as i64);
                let some = self.b.ins().select(before, before, none);
                self.set(i, 0, some);
            }
            Op::ExcPop => {
                let exc = self.arg(i, 0);
                let none = self.is_const(exc, self.env.addresses().none as i64);
                let null = self.iconst(0);
                let value = self.b.ins().select(none, null, exc);
                let info = self.load(ts, o.ts_exc_info);
                let old = self.load(info, o.exc_value);
                self.store(value, info, o.exc_value);
                self.set(i, 0, old);
            }
            Op::ExcMatches => {
                let exc = self.arg(i, 0);
                let (other, done) = (self.new_block(), self.new_block());
                let answer = self.b.append_block_param(done, types::I32);
                if let [_, class] = i.args[..] {
                    let class = self.v(class);
                    let own = self.load(exc, o.ob_type);
                    let same = self.b.ins().icmp(IntCC::Equal, own, class);
                    let yes = self.b.ins().iconst(types::I32, 1);
                    self.b.ins().brif(same, done, &[yes.into()], other, &[]);
                    self.b.switch_to_block(other);
                    let r = self.call_helper("exception_matches", &[exc, class], Ret::I32)?[0];
                    self.jump(done, &[r]);
                } else {
                    self.jump(other, &[]);
                    self.b.switch_to_block(other);
                    let fr = self.fr;
                    for n in 1..i.args.len() {
                        let class = self.arg(i, n);
                        let offset = self.stack_slot(n as u32);
                        self.store(class, fr, offset);
                    }
                    let offset = self.stack_slot(1);
                    let first = self.b.ins().iadd_imm_s(fr, i64::from(offset));
                    let many = self.iconst(i.args.len() as i64 - 1);
                    let r = self.call_helper("exception_matches_any", &[exc, first, many], Ret::I32)?[0];
                    self.jump(done, &[r]);
                }
                self.b.switch_to_block(done);
                self.drop_owned_args(i, None)?;
                let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, answer, 0);
                let exit = self.exit(super::ExitKey::raise(i, true)?);
                self.branch_if(failed, exit);
                let r = self.b.ins().ireduce(types::I8, answer);
                self.set(i, 0, r);
            }
            Op::ExcTrace => {
                self.call_helper("trace_exception", &[], Ret::None)?;
            }
            Op::ExcForget => {
                let exc = self.arg(i, 0);
                self.call_helper("forget_exception", &[exc], Ret::None)?;
            }
            _ => return bad(i),
        }
        Ok(())
    }
}
