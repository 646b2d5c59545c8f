//! Reference counts and the frame's slots.
//!
//! 3.14's rule (GIL, 64 bits): the low 32 bits of `ob_refcnt` are the count; negative as i32 = immortal, never counted. A word that owns a
//! reference to an immortal object must not exist in the frame: its tag is 1.

use super::{Lower, Ret, bad};
use crate::CodegenError;
use cendre_ir::{FrameState, Imm, InstData, Kinds, Op};
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, condcodes::IntCC, types};

impl Lower<'_> {
    /// The word for an owned reference: tag 1 if the object is immortal.
    pub fn owned_word(&mut self, o: ir::Value) -> ir::Value {
        let count = self.load32(o, self.env.offsets().ob_refcnt);
        let count = self.b.ins().uextend(types::I64, count);
        let immortal = self.b.ins().ushr_imm_s(count, 31);
        self.b.ins().bor(o, immortal)
    }

    /// The same where the reference may be null.
    pub fn owned_word_nullable(&mut self, o: ir::Value, nullable: bool) -> ir::Value {
        if !nullable {
            return self.owned_word(o);
        }
        let (some, done) = (self.new_block(), self.new_block());
        let word = self.b.append_block_param(done, types::I64);
        let null = self.iconst(1);
        self.b.ins().brif(o, some, &[], done, &[BlockArg::Value(null)]);
        self.b.switch_to_block(some);
        let w = self.owned_word(o);
        self.jump(done, &[w]);
        self.b.switch_to_block(done);
        word
    }

    /// The word for a borrowed reference (null becomes 1 as well).
    pub fn borrowed_word(&mut self, o: ir::Value) -> ir::Value {
        self.b.ins().bor_imm_s(o, 1)
    }

    /// The count of an object, to compare.
    fn count_of(&mut self, o: ir::Value) -> ir::Value {
        self.load32(o, self.env.offsets().ob_refcnt)
    }

    /// Adds to a count in memory, of an object that is not immortal. Loaded for this alone it is one instruction of three bytes; with the count that was compared it
    /// would be a sum in a register, with a wide constant, and a store.
    pub fn add_to_count(&mut self, o: ir::Value, n: i64) {
        let offset = self.env.offsets().ob_refcnt;
        let count = self.load32(o, offset);
        let sum = self.b.ins().iadd_imm_s(count, n);
        self.store(sum, o, offset);
    }

    /// None, a truth value or a small int, by its type: nothing is counted.
    fn is_immortal(&self, v: cendre_ir::Value) -> bool {
        self.f.ty(v).literal.is_some_and(|o| self.env.is_immortal(o))
    }

    /// New reference to an object that is not null.
    pub fn incref(&mut self, o: ir::Value) {
        let (mortal, done) = (self.new_block(), self.new_block());
        self.incref_in(o, mortal, done);
    }

    fn incref_in(&mut self, o: ir::Value, mortal: ir::Block, done: ir::Block) {
        let count = self.count_of(o);
        let immortal = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, count, 0);
        self.b.ins().brif(immortal, done, &[], mortal, &[]);
        self.b.switch_to_block(mortal);
        self.add_to_count(o, 1);
        self.jump(done, &[]);
        self.b.switch_to_block(done);
    }

    /// `looked` speaks of the drops of its own bytecode, whose `sync_stale` it relies on: at the first instruction of a bytecode nobody has
    /// looked. That must not wait for a drop, since what an instruction drops may turn out to be nothing.
    pub fn begin_bytecode(&mut self, i: &InstData) {
        let (Some(looked), Some(state)) = (self.looked, i.state) else { return };
        let state = &self.f.states[state.index()];
        let here = (state.unit, self.here);
        if i.op == Op::Looked || state.resume == FrameState::PLAIN || self.looked_at == Some(here) {
            return;
        }
        self.looked_at = Some(here);
        let no = self.b.ins().iconst(types::I8, 0);
        self.b.def_var(looked, no);
    }

    /// Drops a reference; `dealloc` runs out of line. `mortal`: the object is known not to be immortal.
    /// `state`: what must be current while a finaliser runs; `None` where none can run or all is current already.
    pub fn decref(&mut self, o: ir::Value, mortal: bool, state: Option<&FrameState>) -> Result<(), CodegenError> {
        let done = self.new_block();
        let count = self.count_of(o);
        if !mortal {
            let counted = self.new_block();
            let immortal = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, count, 0);
            self.b.ins().brif(immortal, done, &[], counted, &[]);
            self.b.switch_to_block(counted);
        }
        let dead = self.cold_block();
        let last = self.b.ins().icmp_imm_s(IntCC::Equal, count, 1);
        self.branch_if(last, dead);
        self.add_to_count(o, -1);
        self.jump(done, &[]);
        self.b.switch_to_block(dead);
        let none = self.b.ins().iconst(types::I32, 0);
        self.store(none, o, self.env.offsets().ob_refcnt);
        let looks = self.looked.filter(|_| state.is_some_and(|s| s.resume != FrameState::PLAIN));
        if let Some(state) = state {
            if !state.stale.is_empty() || looks.is_some() {
                // The end of a number runs no code: what it would see need not be made, and nobody has written locals, even if the
                // frame has an object (as it has for good once an exception was caught in it).
                let (number, other) = (self.cold_block(), self.cold_block());
                let class = self.load(o, self.env.offsets().ob_type);
                let float = self.is_const(class, self.env.addresses().float_type as i64);
                let int = self.is_const(class, self.env.addresses().long_type as i64);
                let plain = self.b.ins().bor(float, int);
                self.b.ins().brif(plain, number, &[], other, &[]);
                self.b.switch_to_block(number);
                self.call_helper("dealloc", &[o], Ret::None)?;
                self.jump(done, &[]);
                self.b.switch_to_block(other);
            }
            self.set_instr_ptr(state.unit);
            self.sync_stale(state)?;
        }
        if let Some(looked) = looks {
            let written = self.call_helper("dealloc_watching", &[o], Ret::I32)?;
            let [written] = written[..] else { return Ok(()) };
            let written = self.b.ins().icmp_imm_s(IntCC::NotEqual, written, 0);
            let before = self.b.use_var(looked);
            let now = self.b.ins().bor(before, written);
            self.b.def_var(looked, now);
        } else {
            self.call_helper("dealloc", &[o], Ret::None)?;
        }
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// The same for a value that may be null or unboxed, by its type.
    pub fn drop_value(&mut self, v: cendre_ir::Value, state: Option<&FrameState>) -> Result<(), CodegenError> {
        let kinds = self.f.ty(v).kinds;
        if kinds == Kinds::NULL || kinds.intersect(Kinds(3)) == Kinds::NONE || self.is_immortal(v) {
            return Ok(());
        }
        let x = self.v(v);
        if kinds == Kinds::OBJECT {
            return self.decref(x, false, state);
        }
        let (some, done) = (self.new_block(), self.new_block());
        self.b.ins().brif(x, some, &[], done, &[]);
        self.b.switch_to_block(some);
        self.decref(x, false, state)?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Consumes the arguments that the instruction owns, last one first, but where CPython has another order.
    pub fn drop_owned_args(&mut self, i: &InstData, state: Option<&FrameState>) -> Result<(), CodegenError> {
        let order: Vec<usize> = match i.imm {
            // CONTAINS_OP gives up its container first, STORE_ATTR its owner.
            Imm::Helper("binary_op" | "subscr" | "contains" | "store_attr") => (0..i.args.len()).collect(),
            // Container, key, value: the key goes first, the value last.
            Imm::Helper("store_subscr") => vec![1, 0, 2],
            _ => (0..i.args.len()).rev().collect(),
        };
        for n in order {
            if i.owns(n) {
                self.drop_value(i.args[n], state)?;
            }
        }
        Ok(())
    }

    /// A word's tag as a truth value: of a byte the machine's test is short.
    pub fn tag(&mut self, word: ir::Value) -> ir::Value {
        let low = self.b.ins().ireduce(types::I8, word);
        self.b.ins().band_imm_s(low, 1)
    }

    /// The object in a slot; null if unbound.
    pub fn slot_object(&mut self, offset: i32) -> ir::Value {
        let fr = self.fr;
        let word = self.load(fr, offset);
        self.b.ins().band_imm_s(word, !1)
    }

    /// Puts a word into a slot and drops what was there.
    fn replace_slot(&mut self, slot: u32, word: ir::Value, state: &FrameState) -> Result<(), CodegenError> {
        let (fr, offset) = (self.fr, self.slot(slot));
        let old = self.load(fr, offset);
        self.store(word, fr, offset);
        // Tag 1: unbound, borrowed or immortal; nothing to drop.
        let (owned, done) = (self.new_block(), self.new_block());
        let tagged = self.tag(old);
        self.b.ins().brif(tagged, done, &[], owned, &[]);
        self.b.switch_to_block(owned);
        self.decref(old, true, Some(state))?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    pub(super) fn refs(&mut self, i: &InstData) -> Result<(), CodegenError> {
        match i.op {
            Op::LoadLocal => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                let v = self.slot_object(self.slot(slot));
                self.set(i, 0, v);
            }
            Op::StoreLocal => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                let state = self.state(i)?.clone();
                let x = self.arg(i, 0);
                let word = self.owned_word(x);
                self.replace_slot(slot, word, &state)?;
            }
            Op::TakeLocal => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                let (fr, offset) = (self.fr, self.slot(slot));
                let word = self.load(fr, offset);
                let v = self.take_word(word);
                let null = self.iconst(1);
                self.store(null, fr, offset);
                self.set(i, 0, v);
            }
            Op::PutLocal => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                let x = self.arg(i, 0);
                let nullable = self.f.ty(i.args[0]).kinds != Kinds::OBJECT;
                let word = self.owned_word_nullable(x, nullable);
                let (fr, offset) = (self.fr, self.slot(slot));
                self.store(word, fr, offset);
            }
            Op::SyncInt | Op::SyncFloat | Op::SyncBool => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                self.sync(i, slot)?;
            }
            Op::ReloadInt | Op::ReloadFloat | Op::ReloadBool => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                self.reload(i, slot)?;
            }
            Op::LoadStack => {
                let Imm::Int(n) = i.imm else { return bad(i) };
                let (fr, offset) = (self.fr, self.stack_slot(n as u32));
                let word = self.load(fr, offset);
                let v = self.take_word(word);
                self.set(i, 0, v);
            }
            Op::LoadWord => {
                let Imm::Int(n) = i.imm else { return bad(i) };
                let (fr, offset) = (self.fr, self.stack_slot(n as u32));
                let word = self.load(fr, offset);
                self.set(i, 0, word);
            }
            Op::ResetStack => self.set_stack_pointer(0),
            Op::Own => {
                if !self.is_immortal(i.args[0]) {
                    let x = self.arg(i, 0);
                    self.incref(x);
                }
            }
            Op::OwnNullable => {
                let x = self.arg(i, 0);
                let (some, done) = (self.new_block(), self.new_block());
                self.b.ins().brif(x, some, &[], done, &[]);
                self.b.switch_to_block(some);
                self.incref(x);
                self.jump(done, &[]);
                self.b.switch_to_block(done);
            }
            Op::Drop => {
                let state = self.state(i)?.clone();
                for &v in &i.args {
                    self.drop_value(v, Some(&state))?;
                }
            }
            Op::Looked => {
                let exit = self.leave_exit(i)?;
                if let Some(looked) = self.looked {
                    let taken = self.b.use_var(looked);
                    self.branch_if(taken, exit);
                    let zero = self.b.ins().iconst(types::I8, 0);
                    self.b.def_var(looked, zero);
                }
            }
            Op::CheckBound => {
                let Imm::Slot(slot) = i.imm else { return bad(i) };
                let state = self.state(i)?.clone();
                let x = self.arg(i, 0);
                let unbound = self.cold_block();
                self.branch_unless(x, unbound);
                let next = self.b.current_block();
                self.b.switch_to_block(unbound);
                self.set_instr_ptr(state.unit);
                let n = self.iconst(i64::from(slot));
                self.call_helper("unbound_local_error", &[n], Ret::None)?;
                let exit = self.raise_exit(i)?;
                self.jump(exit, &[]);
                if let Some(next) = next {
                    self.b.switch_to_block(next);
                }
                self.set(i, 0, x);
            }
            _ => return bad(i),
        }
        Ok(())
    }

    /// The owned reference in a word that is taken out of memory: a tag-1 word owns none, so make one.
    pub fn take_word(&mut self, word: ir::Value) -> ir::Value {
        let o = self.b.ins().band_imm_s(word, !1);
        let (borrowed, some, mortal, done) = (self.cold_block(), self.cold_block(), self.cold_block(), self.new_block());
        let tagged = self.tag(word);
        self.b.ins().brif(tagged, borrowed, &[], done, &[]);
        self.b.switch_to_block(borrowed);
        self.b.ins().brif(o, some, &[], done, &[]);
        self.b.switch_to_block(some);
        self.incref_in(o, mortal, done);
        o
    }

    /// `sync.*`: reuse of the box in line for the most frequent cases, else out of line.
    fn sync(&mut self, i: &InstData, slot: u32) -> Result<(), CodegenError> {
        let (fr, offset) = (self.fr, self.slot(slot));
        let x = self.arg(i, 0);
        let done = self.new_block();
        if let Some(current) = i.args.get(1) {
            let (current, stale) = (self.flag(*current), self.new_block());
            self.b.ins().brif(current, done, &[], stale, &[]);
            self.b.switch_to_block(stale);
        }
        if i.op == Op::SyncBool {
            let o = self.bool_object(x);
            let word = self.b.ins().bor_imm_s(o, 1);
            let state = self.state(i)?.clone();
            self.replace_slot(slot, word, &state)?;
            self.jump(done, &[]);
            self.b.switch_to_block(done);
            return Ok(());
        }
        let o = *self.env.offsets();
        let slow = self.cold_block();
        let word = self.load(fr, offset);
        let tagged = self.tag(word);
        self.branch_if(tagged, slow);
        let count = self.load32(word, o.ob_refcnt);
        let only = self.b.ins().icmp_imm_s(IntCC::Equal, count, 1);
        self.branch_unless(only, slow);
        let class = self.load(word, o.ob_type);
        if i.op == Op::SyncFloat {
            let float = self.is_const(class, self.env.addresses().float_type as i64);
            self.branch_unless(float, slow);
            self.store(x, word, o.float_value);
        } else {
            let int = self.is_const(class, self.env.addresses().long_type as i64);
            self.branch_unless(int, slow);
            self.write_int(word, x, slow);
        }
        self.jump(done, &[]);
        self.b.switch_to_block(slow);
        let status = self.sync_slot(slot, i.args[0])?;
        let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, status, 0);
        let exit = self.exit(super::ExitKey::raise(i, true)?);
        self.b.ins().brif(failed, exit, &[], done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Writes a number into an int that nobody else sees; goes to `other` unless that has one digit, and the number as well and is not one
    /// of the cached small ones: 257 .. 2**30-1 or the same below zero.
    pub fn write_int(&mut self, o: ir::Value, x: ir::Value, other: ir::Block) {
        let off = *self.env.offsets();
        let tag = self.load(o, off.long_tag);
        let compact = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, tag, 16);
        self.branch_unless(compact, other);
        let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, x, 0);
        let minus = self.b.ins().ineg(x);
        let magnitude = self.b.ins().select(negative, minus, x);
        let above = self.b.ins().iadd_imm_s(magnitude, -257);
        let fits = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, above, (1 << 30) - 257);
        self.branch_unless(fits, other);
        let digit = self.b.ins().ireduce(types::I32, magnitude);
        self.store(digit, o, off.long_digits);
        let two = self.b.ins().uextend(types::I64, negative);
        let two = self.b.ins().ishl_imm_s(two, 1);
        let new_tag = self.b.ins().bor_imm_s(two, 8);
        self.store(new_tag, o, off.long_tag);
    }

    /// `reload.*`: if somebody took the frame, the slot is read again.
    fn reload(&mut self, i: &InstData, slot: u32) -> Result<(), CodegenError> {
        let exit = self.leave_exit(i)?;
        let x = self.arg(i, 0);
        let (fr, o) = (self.fr, *self.env.offsets());
        let (taken, done) = (self.cold_block(), self.new_block());
        let ty = self.b.func.dfg.value_type(x);
        let result = self.b.append_block_param(done, ty);
        let frame_obj = self.load(fr, o.fr_frame_obj);
        self.b.ins().brif(frame_obj, taken, &[], done, &[BlockArg::Value(x)]);
        self.b.switch_to_block(taken);
        let object = self.slot_object(self.slot(slot));
        self.branch_unless(object, exit);
        let again = match i.op {
            Op::ReloadInt => self.unbox_int(object, true, exit)?,
            Op::ReloadFloat => self.unbox_float(object, exit),
            _ => self.unbox_bool(object, exit),
        };
        self.jump(done, &[again]);
        self.b.switch_to_block(done);
        self.set(i, 0, result);
        Ok(())
    }
}
