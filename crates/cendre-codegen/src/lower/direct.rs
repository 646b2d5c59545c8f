//! `call.py`: one Python function calls another without the interpreter in between.
//!
//! What the interpreter does at CALL + RESUME, in line: check that the callable still has the expected code, that its body may
//! run, that data stack, recursion limit and C stack allow it; push the frame; run the body; pop the frame. Whatever is
//! unusual goes the ordinary way (`call_vector`), which does all of it in CPython's own words.
//! References: arguments that the caller borrows are lent to the callee's frame (tag 1), as is the callable; those that it owns go over to
//! the callee. A frame that escapes makes what it borrows its own.

use super::{Lower, Ret, bad};
use crate::{Callee, CodegenError, tag};
use cendre_ir::{Imm, InstData, Kinds, Op, origin};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, condcodes::IntCC, types};

/// C stack that must be left above CPython's own soft limit for a direct call, in bytes: what ordinary C code below us may need.
const C_STACK_MARGIN: i64 = 128 * 1024;

impl Lower<'_> {
    pub(super) fn call_direct(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::Obj(code) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        let has_self = match self.kinds(i.args[1]) {
            Kinds::NULL => Some(0),
            Kinds::OBJECT => Some(1),
            _ => None,
        };
        let given = has_self.map(|s| i.args.len() as u32 - 2 + s);
        let bound = i.op == Op::CallBound;
        let callee = self.env.callee(code).filter(|c| bound || given == Some(c.argcount));
        let Some(callee) = callee else {
            if bound {
                let r = self.call_slots(i)?;
                return self.finish_object(i, r);
            }
            let r = self.call_generic(i)?;
            if i.op == Op::CallPyRaw {
                let t = self.iconst(tag::RETURNED);
                return self.finish_raw(i, t, r);
            }
            return self.finish_object(i, r);
        };
        self.push_and_run(i, &callee, has_self == Some(1))
    }

    /// Null object: raise; else both results.
    fn finish_raw(&mut self, i: &InstData, t: ir::Value, v: ir::Value) -> Result<(), CodegenError> {
        let exit = self.raise_exit(i)?;
        let either = self.b.ins().bor(t, v);
        self.branch_unless(either, exit);
        self.set(i, 0, t);
        self.set(i, 1, v);
        Ok(())
    }

    /// `return` of a number: unboxed if the caller takes it, else its box. Ends in the block where the box is known.
    pub(super) fn boxed_return(&mut self, i: &InstData, v: ir::Value) -> Result<ir::Value, CodegenError> {
        if !self.raw_return(i, v) {
            return Ok(v);
        }
        let kinds = self.kinds(i.args[0]);
        let o = if kinds == Kinds::FLOAT64 { self.call_helper("box_float", &[v], Ret::Word)?[0] } else { self.box_int(v)? };
        let exit = self.exit(super::ExitKey::raise(i, true)?);
        self.branch_unless(o, exit);
        Ok(o)
    }

    /// `return.local`: the object in the local's slot, a reference of its own. Of the small ints there is one each: those go back as they are where they can.
    pub(super) fn returned_local(&mut self, i: &InstData, v: ir::Value) -> Result<ir::Value, CodegenError> {
        let Imm::Slot(slot) = i.imm else { return bad(i) };
        if self.kinds(i.args[0]) == Kinds::INT64 {
            let (small, large) = (self.new_block(), self.new_block());
            let from = self.b.ins().iadd_imm_s(v, 5);
            let is_small = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, from, 262);
            self.b.ins().brif(is_small, small, &[], large, &[]);
            self.b.switch_to_block(small);
            if self.raw_return(i, v) {
                self.jump(large, &[]);
            }
            self.b.switch_to_block(large);
        }
        let state = self.state(i)?.clone();
        self.sync_one(&state, slot)?;
        let o = self.slot_object(self.slot(slot));
        self.incref(o);
        Ok(o)
    }

    /// Returns a number as it is to a caller that takes numbers, and goes on for the others; false: it is none.
    fn raw_return(&mut self, i: &InstData, v: ir::Value) -> bool {
        let kinds = self.kinds(i.args[0]);
        let unboxed = match kinds {
            Kinds::INT64 => tag::RETURNED_INT,
            Kinds::FLOAT64 => tag::RETURNED_FLOAT,
            _ => return false,
        };
        let (raw, boxed) = (self.new_block(), self.new_block());
        let takes = self.takes_numbers;
        self.b.ins().brif(takes, raw, &[], boxed, &[]);
        self.b.switch_to_block(raw);
        let bits = if kinds == Kinds::FLOAT64 { self.b.ins().bitcast(types::I64, MemFlagsData::new(), v) } else { v };
        let t = self.iconst(unboxed);
        self.b.ins().return_(&[t, bits]);
        self.b.switch_to_block(boxed);
        true
    }

    /// `ret.int`, `ret.float`: the number, or out of an object, which is told as well.
    pub(super) fn returned_number(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let exit = self.leave_exit(i)?;
        let (t, v) = (self.arg(i, 0), self.arg(i, 1));
        let t = self.awaited.get(&i.args[0]).map_or(t, |awaited| awaited.kind);
        let int = i.op == Op::RetInt;
        let (object, done) = (self.new_block(), self.new_block());
        let result = self.b.append_block_param(done, if int { types::I64 } else { types::F64 });
        let origin = self.b.append_block_param(done, types::I64);
        let same = self.is_const(t, if int { tag::RETURNED_INT } else { tag::RETURNED_FLOAT });
        let raw = self.new_block();
        self.b.ins().brif(same, raw, &[], object, &[]);
        self.b.switch_to_block(raw);
        let x = if int { v } else { self.b.ins().bitcast(types::F64, MemFlagsData::new(), v) };
        let none = self.iconst(origin::NONE);
        self.jump(done, &[x, none]);
        self.b.switch_to_block(object);
        // A number of the other kind: box it, so that leaving finds an object.
        let other = self.cold_block();
        let is_object = self.b.ins().icmp_imm_s(IntCC::Equal, t, 0);
        self.branch_unless(is_object, other);
        let x = if int { self.unbox_int(v, true, exit)? } else { self.unbox_float(v, exit) };
        self.jump(done, &[x, v]);
        self.b.switch_to_block(other);
        let mut state = self.state(i)?.clone();
        let boxed = if int {
            let x = self.b.ins().bitcast(types::F64, MemFlagsData::new(), v);
            self.call_helper("box_float", &[x], Ret::Word)?[0]
        } else {
            self.call_helper("box_int", &[v], Ret::Word)?[0]
        };
        // The state's top entry is the raw word: spill the box in its place.
        self.sync_stale(&state)?;
        state.stale.clear();
        self.leave_with_top(&state, boxed, i.op.row().text)?;
        self.b.switch_to_block(done);
        self.set(i, 0, result);
        self.set(i, 1, origin);
        Ok(())
    }

    /// The runtime's way of a call whose arguments lie as the parameters do; consumes what the instruction owns but for the callable.
    fn call_slots(&mut self, i: &InstData) -> Result<ir::Value, CodegenError> {
        let n = i.args.len() - 2;
        let data = ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, 8 * n.max(1) as u32, 3);
        let words = self.b.create_sized_stack_slot(data);
        for k in 0..n {
            let x = self.arg(i, k + 2);
            self.b.ins().stack_store(types::I64, x, words, 8 * k as i32);
        }
        let callable = self.arg(i, 0);
        let first = self.b.ins().stack_addr(types::I64, words, 0);
        let mask = self.iconst((i.own >> 2) as i64);
        Ok(self.call_helper("call_slots", &[callable, first, mask], Ret::Word)?[0])
    }

    /// `guard.code` and the defaults of a function.
    pub(super) fn parameters(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let o = *self.env.offsets();
        let callable = self.arg(i, 0);
        match (i.op, &i.imm) {
            (Op::GuardCode, Imm::Obj(code)) => {
                let exit = self.leave_exit(i)?;
                let Some(callee) = self.env.callee(*code) else {
                    let never = self.b.ins().iconst(types::I8, 1);
                    self.branch_if(never, exit);
                    return Ok(());
                };
                let class = self.load(callable, o.ob_type);
                let function = self.is_const(class, self.env.addresses().function_type as i64);
                self.branch_unless(function, exit);
                let code = self.load(callable, o.func_code);
                let cell = self.iconst(callee.cell as i64);
                let expected = self.load(cell, 0);
                let same = self.b.ins().icmp(IntCC::Equal, code, expected);
                self.branch_unless(same, exit);
            }
            (Op::FuncDefault, Imm::IntInt(index, count)) => {
                let exit = self.leave_exit(i)?;
                let defaults = self.load(callable, o.func_defaults);
                self.branch_unless(defaults, exit);
                let size = self.load(defaults, o.ob_size);
                let same = self.is_const(size, *count);
                self.branch_unless(same, exit);
                let v = self.load(defaults, o.tuple_items + 8 * *index as i32);
                self.set(i, 0, v);
            }
            (Op::FuncKwDefault, Imm::Obj(name)) => {
                let name = self.iconst(self.env.object(*name) as i64);
                let r = self.call_helper("keyword_default_of", &[callable, name], Ret::Word)?[0];
                self.set(i, 0, r);
            }
            _ => return bad(i),
        }
        Ok(())
    }

    /// To `slow` unless the callable is a Python function with the code object that the cell names, called as such. Answers the code object.
    pub(super) fn expected_function(&mut self, callable: ir::Value, cell: u64, slow: ir::Block) -> ir::Value {
        let o = *self.env.offsets();
        let a = *self.env.addresses();
        let class = self.load(callable, o.ob_type);
        let function = self.is_const(class, a.function_type as i64);
        self.branch_unless(function, slow);
        let code = self.load(callable, o.func_code);
        let cell = self.iconst(cell as i64);
        let expected = self.load(cell, 0);
        let same = self.b.ins().icmp(IntCC::Equal, code, expected);
        self.branch_unless(same, slow);
        let vectorcall = self.load(callable, o.func_vectorcall);
        let ours = self.is_const(vectorcall, a.python_vectorcall as i64);
        self.branch_unless(ours, slow);
        code
    }

    /// A frame's slots up to `end`: the call's arguments, and nothing behind them. What the caller keeps is lent; what it only had for this call is the
    /// callee's now: it may be its last use.
    pub(super) fn fill_slots(&mut self, i: &InstData, first_arg: usize, base: ir::Value, locals: i32, end: u32) {
        let args = &i.args[first_arg..];
        for (n, &v) in args.iter().enumerate() {
            let x = self.v(v);
            let word = if i.own >> (first_arg + n) & 1 != 0 { self.owned_word(x) } else { self.borrowed_word(x) };
            self.store(word, base, locals + 8 * n as i32);
        }
        let behind_args = args.len() as u32..end;
        if !behind_args.is_empty() {
            let unbound = self.iconst(1);
            for n in behind_args {
                self.store(unbound, base, locals + 8 * n as i32);
            }
        }
    }

    /// Drops what the slots of a frame that is over own.
    pub(super) fn drop_slots(&mut self, base: ir::Value, locals: i32, count: u32) -> Result<(), CodegenError> {
        if count == 0 {
            return Ok(());
        }
        // All tagged: lent, immortal or unbound, nothing to drop.
        let mut all = self.load(base, locals);
        for n in 1..count {
            let word = self.load(base, locals + 8 * n as i32);
            all = self.b.ins().band(all, word);
        }
        let tagged = self.tag(all);
        let (owned, next) = (self.new_block(), self.new_block());
        self.b.ins().brif(tagged, next, &[], owned, &[]);
        self.b.switch_to_block(owned);
        let n = self.iconst(i64::from(count));
        let first = self.b.ins().iadd_imm_s(base, i64::from(locals));
        self.call_helper("clear_slots", &[first, n], Ret::None)?;
        self.jump(next, &[]);
        self.b.switch_to_block(next);
        Ok(())
    }

    fn push_and_run(&mut self, i: &InstData, callee: &Callee, has_self: bool) -> Result<(), CodegenError> {
        let o = *self.env.offsets();
        let (ts, fr) = (self.ts, self.fr);
        let slow = self.cold_block();
        let done = self.new_block();
        let raw = i.op == Op::CallPyRaw;
        let levels = if i.op == Op::CallInit { 2 } else { 1 };
        let result = self.b.append_block_param(done, types::I64);
        let result_tag = raw.then(|| self.b.append_block_param(done, types::I64));
        let callable = self.arg(i, 0);

        let code = self.expected_function(callable, callee.cell, slow);

        // May its body run now?
        let record = self.iconst(callee.record as i64);
        let body = self.load(record, o.record_body);
        self.branch_unless(body, slow);
        let breaker = self.load(ts, o.ts_eval_breaker);
        let version = self.load(record, o.record_version);
        let quiet = self.b.ins().icmp(IntCC::Equal, breaker, version);
        self.branch_unless(quiet, slow);
        let remaining = self.load32(ts, o.ts_py_recursion_remaining);
        let enough = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, remaining, levels);
        self.branch_unless(enough, slow);
        let sp = self.b.ins().get_stack_pointer(types::I64);
        let limit = self.load(ts, o.ts_c_stack_soft_limit);
        let limit = self.b.ins().iadd_imm_s(limit, C_STACK_MARGIN);
        let room = self.b.ins().icmp(IntCC::UnsignedGreaterThan, sp, limit);
        self.branch_unless(room, slow);
        let top = self.load(ts, o.ts_datastack_top);
        let new_top = self.b.ins().iadd_imm_s(top, 8 * i64::from(callee.framesize));
        let end = self.load(ts, o.ts_datastack_limit);
        let fits = self.b.ins().icmp(IntCC::UnsignedLessThan, new_top, end);
        self.branch_unless(fits, slow);

        // Push.
        self.store(new_top, ts, o.ts_datastack_top);
        // Strong: `__code__` of the function may be replaced while the frame runs.
        self.incref(code);
        let executable = self.owned_word(code);
        self.store(executable, top, o.fr_executable);
        self.store(fr, top, o.fr_previous);
        let funcobj = self.borrowed_word(callable);
        self.store(funcobj, top, o.fr_funcobj);
        let globals = self.load(callable, o.func_globals);
        self.store(globals, top, o.fr_globals);
        let builtins = self.load(callable, o.func_builtins);
        self.store(builtins, top, o.fr_builtins);
        let zero = self.iconst(0);
        self.store(zero, top, o.fr_locals);
        self.store(zero, top, o.fr_frame_obj);
        let start = self.iconst(callee.code_start as i64);
        self.store(start, top, o.fr_instr_ptr);
        let locals = o.fr_localsplus;
        let base = self.b.ins().iadd_imm_s(top, i64::from(locals) + 8 * i64::from(callee.nlocalsplus));
        self.store(base, top, o.fr_stackpointer);
        let flags = self.b.ins().iconst(types::I32, 0);
        self.store(flags, top, o.fr_return_offset);
        let first_arg = if has_self { 1 } else { 2 };
        self.fill_slots(i, first_arg, top, locals, callee.nlocalsplus);
        let less = self.b.ins().iadd_imm_s(remaining, -levels);
        self.store(less, ts, o.ts_py_recursion_remaining);
        self.store(top, ts, o.ts_current_frame);

        // Run.
        let at = self.iconst(if raw { tag::TAKES_NUMBERS } else { 0 });
        let r = self.call_address(body, &[ts, top, at], Ret::Pair);
        let (t, value) = (r[0], r[1]);
        let finish = self.cold_block();
        let returned = if raw { self.returned_any(t) } else { self.is_const(t, tag::RETURNED) };
        self.branch_unless(returned, finish);
        let frame_obj = self.load(top, o.fr_frame_obj);
        self.branch_if(frame_obj, finish);

        // Pop: what the callee's slots own is dropped; the frame stays below datastack_top until then, since finalisers push frames.
        let remaining = self.load32(ts, o.ts_py_recursion_remaining);
        let more = self.b.ins().iadd_imm_s(remaining, levels);
        self.store(more, ts, o.ts_py_recursion_remaining);
        self.store(fr, ts, o.ts_current_frame);
        self.drop_slots(top, locals, callee.nlocalsplus)?;
        self.decref(code, false, None)?;
        self.store(top, ts, o.ts_datastack_top);
        if raw {
            self.jump(done, &[value, t])
        } else {
            self.jump(done, &[value])
        }

        // Unusual ends: exception, leaving, a frame that somebody kept.
        self.b.switch_to_block(finish);
        let record = self.iconst(callee.record as i64);
        let finished = self.call_helper("finish_call", &[top, record, t, value], Ret::Word)?[0];
        if levels > 1 {
            // The runtime gave one level back.
            let remaining = self.load32(ts, o.ts_py_recursion_remaining);
            let more = self.b.ins().iadd_imm_s(remaining, levels - 1);
            self.store(more, ts, o.ts_py_recursion_remaining);
        }
        let object = self.iconst(tag::RETURNED);
        if raw {
            self.jump(done, &[finished, object])
        } else {
            self.jump(done, &[finished])
        }

        self.b.switch_to_block(slow);
        let r = if i.op == Op::CallBound { self.call_slots(i)? } else { self.call_passing(i)? };
        if raw {
            let object = self.iconst(tag::RETURNED);
            self.jump(done, &[r, object]);
        } else {
            self.jump(done, &[r]);
        }

        self.b.switch_to_block(done);
        if i.own & 1 != 0 {
            self.drop_value(i.args[0], None)?;
        }
        match result_tag {
            Some(t) => self.finish_raw(i, t, result),
            None => self.finish_object(i, result),
        }
    }
}
