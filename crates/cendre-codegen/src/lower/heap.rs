//! Guards, and reads and writes of objects where nothing unknown can run.
//!
//! The shapes guarded here are those of CPython's own inline caches: type version tag, keys version, validity of inline
//! values. Versions are never reused, so comparing them is enough; pointers baked into code are only compared where the runtime pins the object.

use super::{Lower, bad};
use crate::CodegenError;
use cendre_ir::{Imm, InstData, Kinds, Op};
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, MemFlagsData, condcodes::IntCC, types};

impl Lower<'_> {
    fn class_of(&mut self, o: ir::Value) -> ir::Value {
        let offset = self.env.offsets().ob_type;
        self.load(o, offset)
    }

    /// Address of the inline values of an object (`_PyObject_InlineValues`).
    fn inline_values(&mut self, o: ir::Value) -> ir::Value {
        let offset = self.env.offsets().tp_basicsize;
        let class = self.class_of(o);
        let size = self.load(class, offset);
        self.b.ins().iadd(o, size)
    }

    /// Keys object of a dict; leaves unless its version is the expected one.
    fn keys_with_version(&mut self, dict: ir::Value, version: i64, exit: ir::Block) -> ir::Value {
        let off = *self.env.offsets();
        let keys = self.load(dict, off.dict_keys);
        let found = self.load32(keys, off.keys_version);
        let same = self.b.ins().icmp_imm_s(IntCC::Equal, found, i64::from(version as i32));
        self.branch_unless(same, exit);
        keys
    }

    /// Value of the entry at an index of a keys object with str keys: borrowed, leaves if unset.
    fn entry_value(&mut self, keys: ir::Value, index: i64, exit: ir::Block) -> ir::Value {
        let off = *self.env.offsets();
        let log2 = self.load8(keys, off.keys_log2_index_bytes);
        let one = self.iconst(1);
        let indices = self.b.ins().ishl(one, log2);
        let entries = self.b.ins().iadd(keys, indices);
        let offset = i64::from(off.keys_indices) + index * i64::from(off.unicode_entry_size) + i64::from(off.unicode_entry_value);
        let v = self.load(entries, offset as i32);
        self.branch_unless(v, exit);
        v
    }

    pub(super) fn heap(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let off = *self.env.offsets();
        match i.op {
            Op::GuardType => {
                let Imm::Obj(class) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let found = self.class_of(o);
                let same = self.is_const(found, self.env.object(class) as i64);
                self.branch_unless(same, exit);
                self.set(i, 0, o);
            }
            Op::GuardVersion => {
                let Imm::Int(version) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let class = self.class_of(o);
                let found = self.load32(class, off.tp_version_tag);
                let same = self.b.ins().icmp_imm_s(IntCC::Equal, found, i64::from(version as i32));
                self.branch_unless(same, exit);
            }
            Op::GuardClassVersion => {
                let Imm::Int(version) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let class = self.arg(i, 0);
                let found = self.load32(class, off.tp_version_tag);
                let same = self.b.ins().icmp_imm_s(IntCC::Equal, found, i64::from(version as i32));
                self.branch_unless(same, exit);
            }
            Op::GuardIs => {
                let Imm::Obj(object) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let same = self.is_const(o, self.env.object(object) as i64);
                self.branch_unless(same, exit);
            }
            Op::GuardNotNull => {
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                self.branch_unless(o, exit);
                self.set(i, 0, o);
            }
            Op::GuardTrue => {
                let exit = self.leave_exit(i)?;
                let x = self.arg(i, 0);
                self.branch_unless(x, exit);
            }
            Op::GuardInline => {
                let Imm::Int(size) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let valid = if size == 0 {
                    let values = self.inline_values(o);
                    self.load8(values, off.values_valid)
                } else {
                    self.load8(o, size as i32 + off.values_valid)
                };
                self.branch_unless(valid, exit);
            }
            Op::AttrPeek => {
                let Imm::Int(offset) = i.imm else { return bad(i) };
                let o = self.arg(i, 0);
                let v = self.load(o, offset as i32);
                self.set(i, 0, v);
            }
            Op::AttrInline | Op::AttrSlot => {
                let Imm::Int(offset) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let v = self.load(o, offset as i32);
                self.branch_unless(v, exit);
                self.set(i, 0, v);
            }
            Op::GuardKeys => {
                let Imm::Int(version) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let class = self.class_of(o);
                let keys = self.load(class, off.ht_cached_keys);
                let found = self.load32(keys, off.keys_version);
                let same = self.b.ins().icmp_imm_s(IntCC::Equal, found, i64::from(version as i32));
                self.branch_unless(same, exit);
            }
            Op::GuardNoDict => {
                let Imm::Int(offset) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let dict = self.load(o, offset as i32);
                self.branch_if(dict, exit);
            }
            Op::SetInline => self.set_inline(i)?,
            Op::SetSlot => {
                let Imm::Int(offset) = i.imm else { return bad(i) };
                let (o, v) = (self.arg(i, 0), self.arg(i, 1));
                let old = self.load(o, offset as i32);
                self.store(v, o, offset as i32);
                self.set(i, 0, old);
            }
            Op::GlobalModule | Op::GlobalBuiltin => {
                let Imm::IntInt(version, index) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let fr = self.fr;
                let dict = self.load(fr, if i.op == Op::GlobalModule { off.fr_globals } else { off.fr_builtins });
                let keys = self.keys_with_version(dict, version, exit);
                let v = self.entry_value(keys, index, exit);
                self.set(i, 0, v);
            }
            Op::GuardGlobals => {
                let Imm::Int(version) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let fr = self.fr;
                let dict = self.load(fr, off.fr_globals);
                self.keys_with_version(dict, version, exit);
            }
            Op::GuardGlobalsAre => {
                let Imm::Int(dict) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let fr = self.fr;
                let found = self.load(fr, off.fr_globals);
                let same = self.is_const(found, dict);
                self.branch_unless(same, exit);
            }
            Op::GlobalCell => {
                let Imm::Int(cell) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let cell = self.iconst(cell);
                let v = self.load(cell, 0);
                // 0: absent, 1: unknown.
                let some = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, v, 1);
                self.branch_unless(some, exit);
                self.set(i, 0, v);
            }
            Op::GuardCellEmpty => {
                let Imm::Int(cell) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let cell = self.iconst(cell);
                let v = self.load(cell, 0);
                self.branch_if(v, exit);
            }
            Op::AttrModule => {
                let Imm::IntInt(version, index) = i.imm else { return bad(i) };
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let dict = self.load(o, off.module_dict);
                let keys = self.keys_with_version(dict, version, exit);
                let v = self.entry_value(keys, index, exit);
                self.set(i, 0, v);
            }
            Op::Size => {
                let o = self.arg(i, 0);
                let n = self.load(o, off.ob_size);
                self.set(i, 0, n);
            }
            Op::DictLen => {
                let o = self.arg(i, 0);
                let n = self.load(o, off.dict_used);
                self.set(i, 0, n);
            }
            Op::StrLen => {
                let o = self.arg(i, 0);
                let n = self.load(o, off.str_length);
                self.set(i, 0, n);
            }
            Op::ListGet | Op::TupleGet => {
                let exit = self.leave_exit(i)?;
                let (o, at) = (self.arg(i, 0), self.arg(i, 1));
                let at = self.index(o, at, exit);
                let items =
                    if i.op == Op::ListGet { self.load(o, off.list_items) } else { self.b.ins().iadd_imm_s(o, i64::from(off.tuple_items)) };
                let place = self.element(items, at);
                let v = self.load(place, 0);
                self.set(i, 0, v);
            }
            Op::ListSet => {
                let exit = self.leave_exit(i)?;
                let (o, at, v) = (self.arg(i, 0), self.arg(i, 1), self.arg(i, 2));
                let at = self.index(o, at, exit);
                let items = self.load(o, off.list_items);
                let place = self.element(items, at);
                let old = self.load(place, 0);
                self.store(v, place, 0);
                self.set(i, 0, old);
            }
            Op::TupleItem => {
                let Imm::Int(n) = i.imm else { return bad(i) };
                let o = self.arg(i, 0);
                let v = self.load(o, off.tuple_items + 8 * n as i32);
                self.set(i, 0, v);
            }
            Op::FloatOverwrite | Op::IntOverwrite => self.overwrite(i)?,
            Op::GuardPlain => {
                let exit = self.leave_exit(i)?;
                let o = self.arg(i, 0);
                let (some, mortal, done) = (self.new_block(), self.new_block(), self.new_block());
                self.b.ins().brif(o, some, &[], done, &[]);
                self.b.switch_to_block(some);
                let count = self.load32(o, off.ob_refcnt);
                let immortal = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, count, 0);
                self.b.ins().brif(immortal, done, &[], mortal, &[]);
                self.b.switch_to_block(mortal);
                let class = self.class_of(o);
                let float = self.is_const(class, self.env.addresses().float_type as i64);
                let int = self.is_const(class, self.env.addresses().long_type as i64);
                let plain = self.b.ins().bor(float, int);
                self.branch_unless(plain, exit);
                self.jump(done, &[]);
                self.b.switch_to_block(done);
            }
            Op::CellGet => {
                let o = self.arg(i, 0);
                let v = self.load(o, off.cell_contents);
                self.set(i, 0, v);
            }
            Op::CellSet => {
                let (o, v) = (self.arg(i, 0), self.arg(i, 1));
                let old = self.load(o, off.cell_contents);
                self.store(v, o, off.cell_contents);
                self.set(i, 0, old);
            }
            Op::RangeMore => {
                let o = self.arg(i, 0);
                let n = self.load(o, off.range_len);
                let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, n, 0);
                self.set(i, 0, more);
            }
            Op::RangeNext => {
                let o = self.arg(i, 0);
                let v = self.load(o, off.range_start);
                let step = self.load(o, off.range_step);
                let next = self.b.ins().iadd(v, step);
                self.store(next, o, off.range_start);
                let n = self.load(o, off.range_len);
                let n = self.b.ins().iadd_imm_s(n, -1);
                self.store(n, o, off.range_len);
                self.set(i, 0, v);
            }
            Op::ListNext | Op::TupleNext => self.sequence_next(i)?,
            Op::IterDone => self.sequence_done(i)?,
            _ => return bad(i),
        }
        Ok(())
    }

    /// Bounds check of an index that may be negative.
    fn index(&mut self, o: ir::Value, at: ir::Value, exit: ir::Block) -> ir::Value {
        let offset = self.env.offsets().ob_size;
        let size = self.load(o, offset);
        let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, at, 0);
        let wrapped = self.b.ins().iadd(at, size);
        let at = self.b.ins().select(negative, wrapped, at);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, at, size);
        self.branch_unless(inside, exit);
        at
    }

    fn element(&mut self, items: ir::Value, at: ir::Value) -> ir::Value {
        let bytes = self.b.ins().ishl_imm_s(at, 3);
        self.b.ins().iadd(items, bytes)
    }

    /// `float.overwrite`, `int.overwrite`: nobody else can see an object of which the container has the only reference.
    fn overwrite(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let off = *self.env.offsets();
        let (o, x) = (self.arg(i, 0), self.arg(i, 1));
        let (no, done) = (self.cold_block(), self.new_block());
        let answer = self.b.append_block_param(done, types::I8);
        if self.kinds(i.args[0]) != Kinds::OBJECT {
            self.branch_unless(o, no);
        }
        let count = self.load32(o, off.ob_refcnt);
        let only = self.b.ins().icmp_imm_s(IntCC::Equal, count, 1);
        self.branch_unless(only, no);
        let class = self.class_of(o);
        if i.op == Op::FloatOverwrite {
            let float = self.is_const(class, self.env.addresses().float_type as i64);
            self.branch_unless(float, no);
            self.store(x, o, off.float_value);
        } else {
            let int = self.is_const(class, self.env.addresses().long_type as i64);
            self.branch_unless(int, no);
            self.write_int(o, x, no);
        }
        let yes = self.b.ins().iconst(types::I8, 1);
        self.jump(done, &[yes]);
        self.b.switch_to_block(no);
        let not = self.b.ins().iconst(types::I8, 0);
        self.jump(done, &[not]);
        self.b.switch_to_block(done);
        self.set(i, 0, answer);
        Ok(())
    }

    /// STORE_ATTR_INSTANCE_VALUE: the first store of a name is recorded in the insertion order.
    fn set_inline(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::Int(offset) = i.imm else { return bad(i) };
        let (o, v) = (self.arg(i, 0), self.arg(i, 1));
        let old = self.load(o, offset as i32);
        self.store(v, o, offset as i32);
        let (first, done) = (self.cold_block(), self.new_block());
        self.b.ins().brif(old, done, &[], first, &[]);
        self.b.switch_to_block(first);
        let values = self.inline_values(o);
        // _PyDictValues_AddToInsertionOrder: capacity u8, size u8, embedded u8, valid u8, values[capacity], order[] bytes.
        let capacity = self.load8(values, 0);
        let size = self.load8(values, 1);
        let slots = self.b.ins().ishl_imm_s(capacity, 3);
        let order = self.b.ins().iadd(values, slots);
        let place = self.b.ins().iadd(order, size);
        // The values begin where the class says: the index in them follows from the address.
        let at = self.b.ins().iadd_imm_s(o, offset - 8);
        let n = self.b.ins().isub(at, values);
        let n = self.b.ins().ushr_imm_s(n, 3);
        self.b.ins().istore8(MemFlagsData::trusted(), n, place, 8);
        let more = self.b.ins().iadd_imm_s(size, 1);
        self.b.ins().istore8(MemFlagsData::trusted(), more, values, 1);
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        self.set(i, 0, old);
        Ok(())
    }

    /// The next item of a list or tuple iterator; exhaustion is finished out of line (it drops the sequence).
    fn sequence_next(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let off = *self.env.offsets();
        let list = i.op == Op::ListNext;
        let (index_at, seq_at) = if list { (off.listiter_index, off.listiter_seq) } else { (off.tupleiter_index, off.tupleiter_seq) };
        let it = self.arg(i, 0);
        let done = self.new_block();
        let result = self.b.append_block_param(done, types::I64);
        let seq = self.load(it, seq_at);
        let zero = self.iconst(0);
        let some = self.new_block();
        self.b.ins().brif(seq, some, &[], done, &[BlockArg::Value(zero)]);
        self.b.switch_to_block(some);
        let at = self.load(it, index_at);
        let size = self.load(seq, off.ob_size);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, at, size);
        let item = self.new_block();
        self.b.ins().brif(inside, item, &[], done, &[BlockArg::Value(zero)]);
        self.b.switch_to_block(item);
        let items = if list { self.load(seq, off.list_items) } else { self.b.ins().iadd_imm_s(seq, i64::from(off.tuple_items)) };
        let place = self.element(items, at);
        let v = self.load(place, 0);
        let next = self.b.ins().iadd_imm_s(at, 1);
        self.store(next, it, index_at);
        self.jump(done, &[v]);
        self.b.switch_to_block(done);
        self.set(i, 0, result);
        Ok(())
    }

    /// `iter.done`: what the sequence holds may die with it, and look.
    fn sequence_done(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let off = *self.env.offsets();
        let list = i.imm == Imm::Int(1);
        let state = self.state(i)?.clone();
        let it = self.arg(i, 0);
        if list {
            let minus = self.iconst(-1);
            self.store(minus, it, off.listiter_index);
        }
        let seq_at = if list { off.listiter_seq } else { off.tupleiter_seq };
        let seq = self.load(it, seq_at);
        let (some, done) = (self.new_block(), self.new_block());
        self.b.ins().brif(seq, some, &[], done, &[]);
        self.b.switch_to_block(some);
        let zero = self.iconst(0);
        self.store(zero, it, seq_at);
        self.decref(seq, false, Some(&state))?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }
}
