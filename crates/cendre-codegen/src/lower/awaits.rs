//! Awaited calls and resumptions in line: `await.call`, `send`, `gen.next`.
//!
//! What the runtime's `coro/{call,run,shell}.rs` do, for the case that nothing is unusual. Who is called is known when this is compiled, so a
//! call is a few compares, a shell from the shelf, its frame filled, linked, run, unlinked. Where a generator is resumed, the site's cell
//! says where it stood last. Whatever differs goes to the runtime, which does all of it.
//! Invariants: a record's `version` is `!0` while it has no body, and its `code` null once the code object is gone; what the runtime
//! keeps true of shells on the shelf is listed in `coro/shell.rs`; a frame is linked last.
//! Read docs/internals/awaits.md, "In line".

use super::{Lower, Ret, bad};
use crate::{AwaitSite, Awaited, CodegenError, answer, frame_state as state, tag};
use cendre_ir::{Imm, InstData, Kinds, Op};
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, MemFlagsData, condcodes::IntCC, types};

impl Lower<'_> {
    /// `await.call`, `await.raw`, `await.tail`.
    pub(super) fn await_call(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::Int(number) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        let (slow, done) = (self.cold_block(), self.new_block());
        // What the IR sees, what a suspended callee yielded, and what kind of value it is.
        let [t, value, yielded, kind]: [ir::Value; 4] = core::array::from_fn(|_| self.b.append_block_param(done, types::I64));
        let has_self = match self.kinds(i.args[1]) {
            Kinds::NULL => Some(false),
            Kinds::OBJECT => Some(true),
            _ => None,
        };
        let site = self.env.await_site(number, unit);
        let given = has_self.map(|me| i.args.len() as u32 - if me { 1 } else { 2 });
        match site.and_then(|site| Some((site, site.callee.filter(|c| Some(c.argcount) == given)?))) {
            Some((site, callee)) => self.await_in_line(i, site, callee, slow, done)?,
            None => self.jump(slow, &[]),
        }

        self.b.switch_to_block(slow);
        self.set_instr_ptr(unit);
        let (callable, first, n) = self.place_args(i);
        let site = self.iconst(site.map_or(0, |site| site.address as i64));
        let own = self.owned_mask(i);
        let r = self.call_helper("await_call", &[site, callable, first, n, own], Ret::Pair)?;
        let yielded_there = self.load(first, -8);
        let object = self.iconst(tag::RETURNED);
        self.jump(done, &[r[0], r[1], yielded_there, object]);

        self.b.switch_to_block(done);
        if i.own & 1 != 0 {
            self.drop_value(i.args[0], None)?;
        }
        let [t, value, kind] = if i.op == Op::AwaitTail { self.await_watched([t, value, kind])? } else { [t, value, kind] };
        self.finish_pair(i, t, value)?;
        self.awaited.insert(i.results[0], super::Awaited { kind, yielded });
        if i.op == Op::AwaitTail {
            // Not zero only if our caller takes numbers.
            let (number_there, object_there) = (self.new_block(), self.new_block());
            self.b.ins().brif(kind, number_there, &[], object_there, &[]);
            self.b.switch_to_block(number_there);
            let Some(behind) = self.f.await_sites.get(number as usize).map(|s| s.behind) else { return bad(i) };
            self.set_instr_ptr(behind);
            self.b.ins().return_(&[kind, value]);
            self.b.switch_to_block(object_there);
        }
        Ok(())
    }

    /// `await.words`: always by the runtime.
    pub(super) fn await_words(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::IntInt(number, form) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        self.place_words(i);
        let site = self.env.await_site(number, unit).map_or(0, |site| site.address as i64);
        let given = [site, form, i.args.len() as i64, i.own as i64].map(|n| self.iconst(n));
        let r = self.call_helper("await_words", &given, Ret::Pair)?;
        let (fr, offset) = (self.fr, self.stack_slot(0));
        let yielded = self.load(fr, offset);
        let object = self.iconst(tag::RETURNED);
        self.finish_pair(i, r[0], r[1])?;
        self.awaited.insert(i.results[0], super::Awaited { kind: object, yielded });
        Ok(())
    }

    /// `pass.call`: out of the function with a coroutine that has not begun, or the call's result.
    pub(super) fn pass_call(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::IntInt(returned_at, form) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        self.place_words(i);
        let given = [form, i.args.len() as i64, i.own as i64].map(|n| self.iconst(n));
        let r = self.call_helper("pass_call", &given, Ret::Pair)?;
        let (t, value) = (r[0], r[1]);
        let raised = self.is_const(t, tag::RAISED);
        let exit = self.raise_exit(i)?;
        self.branch_if(raised, exit);
        let (prepared, object) = (self.new_block(), self.new_block());
        self.b.ins().brif(t, prepared, &[], object, &[]);
        self.b.switch_to_block(prepared);
        self.set_instr_ptr(returned_at as u32);
        self.b.ins().return_(&[t, value]);
        self.b.switch_to_block(object);
        self.set(i, 0, value);
        Ok(())
    }

    /// If tools changed during an awaited call they want to see the return: no number goes straight to our caller. Tag, value, and the kind of value.
    fn await_watched(&mut self, answer: [ir::Value; 3]) -> Result<[ir::Value; 3], CodegenError> {
        let [t, value, kind] = answer;
        let (watched, told) = (self.cold_block(), self.new_block());
        let after: [ir::Value; 3] = core::array::from_fn(|_| self.b.append_block_param(told, types::I64));
        let changed = self.version_changed();
        let args = [t, value, kind].map(BlockArg::Value);
        self.b.ins().brif(changed, watched, &[], told, &args);
        self.b.switch_to_block(watched);
        let r = self.call_helper("await_watched", &[t, kind, value], Ret::Pair)?;
        let object = self.iconst(tag::RETURNED);
        self.jump(told, &[r[0], r[1], object]);
        self.b.switch_to_block(told);
        Ok(after)
    }

    fn await_in_line(
        &mut self,
        i: &InstData,
        site: AwaitSite,
        callee: Awaited,
        slow: ir::Block,
        done: ir::Block,
    ) -> Result<(), CodegenError> {
        let o = *self.env.offsets();
        let (ts, fr) = (self.ts, self.fr);
        let callable = self.arg(i, 0);
        let first_arg = i.args.len() - callee.argcount as usize;
        let code = self.expected_function(callable, callee.cell, slow);

        // May its body run (without one its version is `!0`), and is a shell ready?
        let record = self.iconst(callee.record as i64);
        let remaining = self.may_run(record, slow);
        let tracked = self.load32(ts, o.ts_coroutine_origin_tracking_depth);
        self.branch_if(tracked, slow);
        let g = self.load(record, o.record_shelf);
        self.branch_unless(g, slow);
        for (of_function, of_generator) in [(o.func_name, o.gen_name), (o.func_qualname, o.gen_qualname)] {
            let name = self.load(callable, of_function);
            self.same_as(name, g, of_generator, slow);
        }

        // Take the shell. It still borrows its code object, but that is counted, so that it lives.
        let next = self.load(g, o.gen_iframe + o.fr_previous);
        self.store(next, record, o.record_shelf);
        self.add_to_count(code, 1);

        // Fill its frame. Function and free variables are lent.
        let funcobj = self.borrowed_word(callable);
        self.store(funcobj, g, o.gen_iframe + o.fr_funcobj);
        let globals = self.load(callable, o.func_globals);
        self.store(globals, g, o.gen_iframe + o.fr_globals);
        let builtins = self.load(callable, o.func_builtins);
        self.store(builtins, g, o.gen_iframe + o.fr_builtins);
        let locals = o.gen_iframe + o.fr_localsplus;
        self.fill_slots(i, first_arg, g, locals, callee.nlocalsplus - callee.free);
        if callee.free > 0 {
            let closure = self.load(callable, o.func_closure);
            for n in 0..callee.free as i32 {
                let cell = self.load(closure, o.tuple_items + 8 * n);
                let word = self.borrowed_word(cell);
                self.store(word, g, locals + 8 * ((callee.nlocalsplus - callee.free) as i32 + n));
            }
        }

        // Run. Meanwhile the caller stands at the SEND.
        self.set_instr_ptr(site.send_unit);
        let at = match i.op {
            Op::AwaitCall => self.iconst(0),
            Op::AwaitRaw => self.iconst(tag::TAKES_NUMBERS),
            _ => {
                let takes = self.takes_numbers;
                self.b.ins().ishl_imm_s(takes, 32)
            }
        };
        let body = self.load(record, o.record_body);
        let r = self.link_and_run(g, body, at, remaining, callee.handles);
        let (t, value) = (r[0], r[1]);
        let (unusual, address, nothing) = (self.cold_block(), self.iconst(site.address as i64), self.iconst(0));
        let returned = if i.op == Op::AwaitCall { self.is_const(t, tag::RETURNED) } else { self.returned_any(t) };
        self.branch_unless(returned, unusual);

        // Nobody has seen the frame, hence the shell; the code object lives on?
        let seen = self.load(g, o.gen_iframe + o.fr_frame_obj);
        self.branch_if(seen, unusual);

        // Unlink; drop what the slots own; back to the shelf.
        self.unlink(g, callee.handles);
        let cleared = self.iconst(state::CLEARED);
        self.b.ins().istore8(MemFlagsData::trusted(), cleared, g, o.gen_frame_state);
        self.drop_slots(g, locals, callee.nlocalsplus)?;
        let next = self.load(record, o.record_shelf);
        self.store(next, g, o.gen_iframe + o.fr_previous);
        self.store(g, record, o.record_shelf);
        // Last: this may be the code object's end, and that of the shells on the shelf.
        self.decref(code, true, None)?;
        self.add_to_word(address, o.site_in_line, 1);
        let finished = self.iconst(answer::VALUE);
        let kind = if i.op == Op::AwaitCall { finished } else { t };
        self.jump(done, &[finished, value, nothing, kind]);

        self.b.switch_to_block(unusual);
        let r = self.call_helper("await_finish", &[address, g, t, value], Ret::Pair)?;
        let offset = self.stack_slot(0);
        let yielded = self.load(fr, offset);
        self.jump(done, &[r[0], r[1], yielded, nothing]);
        Ok(())
    }

    /// Is it the tag of a value, object or number?
    pub(super) fn returned_any(&mut self, t: ir::Value) -> ir::Value {
        let set = self.iconst(1 << tag::RETURNED | 1 << tag::RETURNED_INT | 1 << tag::RETURNED_FLOAT);
        let bit = self.b.ins().ushr(set, t);
        self.b.ins().band_imm_s(bit, 1)
    }

    /// `send`: (0, value), (1, yielded), (4, _) to leave.
    pub(super) fn send(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let Imm::Int(site) = i.imm else { return bad(i) };
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        let (receiver, value) = (self.arg(i, 0), self.arg(i, 1));
        let (slow, done) = (self.cold_block(), self.new_block());
        let params: [ir::Value; 2] = core::array::from_fn(|_| self.b.append_block_param(done, types::I64));
        let a = *self.env.addresses();
        let cell = self.env.resume_cell();
        if let Some(cell) = cell {
            let offset = self.env.offsets().ob_type;
            let class = self.load(receiver, offset);
            let coroutine = self.is_const(class, a.coroutine_type as i64);
            let generator = self.is_const(class, a.generator_type as i64);
            let either = self.b.ins().bor(coroutine, generator);
            self.branch_unless(either, slow);
            let none = self.is_const(value, a.none as i64);
            self.branch_unless(none, slow);
            let unusual = self.cold_block();
            let r = self.resume_in_line(receiver, cell, slow, unusual);
            let other = self.iconst(answer::OTHER);
            self.jump(done, &[other, r[1]]);
            self.b.switch_to_block(unusual);
            let r = self.call_helper("send_finish", &[receiver, r[0], r[1]], Ret::Pair)?;
            self.jump(done, &[r[0], r[1]]);
        } else {
            self.jump(slow, &[]);
        }

        self.b.switch_to_block(slow);
        let (site, cell) = (self.iconst(site), self.iconst(cell.unwrap_or(0) as i64));
        let r = self.call_helper("send", &[receiver, value, site, cell], Ret::Pair)?;
        self.jump(done, &[r[0], r[1]]);

        self.b.switch_to_block(done);
        self.drop_owned_args(i, None)?;
        self.finish_pair(i, params[0], params[1])
    }

    /// `gen.next` of an exact generator: (0, item), (1, _) exhausted.
    pub(super) fn gen_next(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let unit = self.state(i)?.unit;
        self.set_instr_ptr(unit);
        let generator = self.arg(i, 0);
        let (slow, done) = (self.cold_block(), self.new_block());
        let params: [ir::Value; 2] = core::array::from_fn(|_| self.b.append_block_param(done, types::I64));
        let cell = self.env.resume_cell();
        if let Some(cell) = cell {
            let unusual = self.cold_block();
            let r = self.resume_in_line(generator, cell, slow, unusual);
            let item = self.iconst(answer::VALUE);
            self.jump(done, &[item, r[1]]);
            self.b.switch_to_block(unusual);
            let r = self.call_helper("next_finish", &[generator, r[0], r[1]], Ret::Pair)?;
            self.jump(done, &[r[0], r[1]]);
        } else {
            self.jump(slow, &[]);
        }

        self.b.switch_to_block(slow);
        let cell = self.iconst(cell.unwrap_or(0) as i64);
        let r = self.call_helper("gen_next", &[generator, cell], Ret::Pair)?;
        self.jump(done, &[r[0], r[1]]);

        self.b.switch_to_block(done);
        self.drop_owned_args(i, None)?;
        self.finish_pair(i, params[0], params[1])
    }

    /// Sends None to a suspended generator or coroutine that stands where the cell says, and goes on here when it has yielded.
    /// To `slow` before any effect; to `unusual` with the body's answer, the generator still linked.
    fn resume_in_line(&mut self, g: ir::Value, cell: u64, slow: ir::Block, unusual: ir::Block) -> Vec<ir::Value> {
        let o = *self.env.offsets();
        let cell = self.iconst(cell as i64);
        let suspended = self.load8(g, o.gen_frame_state);
        let from = self.b.ins().iadd_imm_s(suspended, -state::SUSPENDED);
        let suspended = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, from, 2);
        self.branch_unless(suspended, slow);
        let at = self.load(g, o.gen_iframe + o.fr_instr_ptr);
        self.same_as(at, cell, o.cell_instr_ptr, slow);
        let record = self.load(cell, o.cell_record);
        let code = self.load(g, o.gen_iframe + o.fr_executable);
        let code = self.b.ins().band_imm_s(code, !1);
        self.same_as(code, record, o.record_code, slow);
        let body = self.load(record, o.record_body);
        self.same_as(body, cell, o.cell_body, slow);
        let remaining = self.may_run(record, slow);

        let top = self.load(g, o.gen_iframe + o.fr_stackpointer);
        let none = self.iconst((self.env.addresses().none | 1) as i64);
        self.store(none, top, 0);
        let above = self.b.ins().iadd_imm_s(top, 8);
        self.store(above, g, o.gen_iframe + o.fr_stackpointer);
        self.add_to_word(record, o.record_resumed, 1);
        let at = self.load(cell, o.cell_at);
        let r = self.link_and_run(g, body, at, remaining, true);
        let yielded = self.is_const(r[0], tag::YIELDED);
        self.branch_unless(yielded, unusual);

        // The frame owns what it holds and the collector knows it, since it has been suspended before. The state comes last;
        // YIELD_VALUE's argument tells it.
        self.unlink(g, true);
        let null = self.iconst(0);
        self.store(null, g, o.gen_iframe + o.fr_previous);
        let behind = self.load(g, o.gen_iframe + o.fr_instr_ptr);
        let inside = self.load8(behind, -1);
        let suspended = self.b.ins().iadd_imm_s(inside, state::SUSPENDED);
        self.b.ins().istore8(MemFlagsData::trusted(), suspended, g, o.gen_frame_state);
        r
    }

    /// Goes to `slow` unless the word at `base` is this one.
    fn same_as(&mut self, word: ir::Value, base: ir::Value, offset: i32, slow: ir::Block) {
        let expected = self.load(base, offset);
        let same = self.b.ins().icmp(IntCC::Equal, word, expected);
        self.branch_unless(same, slow);
    }

    /// No event waits, nobody watches, recursion and C stack are left. Answers `py_recursion_remaining`.
    fn may_run(&mut self, record: ir::Value, slow: ir::Block) -> ir::Value {
        let o = *self.env.offsets();
        let ts = self.ts;
        let breaker = self.load(ts, o.ts_eval_breaker);
        self.same_as(breaker, record, o.record_version, slow);
        let remaining = self.load32(ts, o.ts_py_recursion_remaining);
        let enough = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, remaining, 1);
        self.branch_unless(enough, slow);
        // Half of the C stack is for what lies below, as in the runtime's `low_stack`.
        let sp = self.b.ins().get_stack_pointer(types::I64);
        let limit = self.load(ts, o.ts_c_stack_soft_limit);
        let top = self.load(ts, o.ts_c_stack_top);
        let both = self.b.ins().iadd(limit, top);
        let middle = self.b.ins().ushr_imm_s(both, 1);
        let room = self.b.ins().icmp(IntCC::UnsignedGreaterThan, sp, middle);
        self.branch_unless(room, slow);
        remaining
    }

    /// Links exception state (if `handles`) and frame, the frame last, and calls the body.
    fn link_and_run(&mut self, g: ir::Value, body: ir::Value, at: ir::Value, remaining: ir::Value, handles: bool) -> Vec<ir::Value> {
        let o = *self.env.offsets();
        let (ts, fr) = (self.ts, self.fr);
        if handles {
            let handled = self.load(ts, o.ts_exc_info);
            self.store(handled, g, o.gen_exc_state + o.exc_previous_item);
            let own = self.b.ins().iadd_imm_s(g, i64::from(o.gen_exc_state));
            self.store(own, ts, o.ts_exc_info);
        }
        let executing = self.iconst(state::EXECUTING);
        self.b.ins().istore8(MemFlagsData::trusted(), executing, g, o.gen_frame_state);
        self.store(fr, g, o.gen_iframe + o.fr_previous);
        let less = self.b.ins().iadd_imm_s(remaining, -1);
        self.store(less, ts, o.ts_py_recursion_remaining);
        let frame = self.b.ins().iadd_imm_s(g, i64::from(o.gen_iframe));
        self.store(frame, ts, o.ts_current_frame);
        self.call_address(body, &[ts, frame, at], Ret::Pair)
    }

    /// Undoes the links; `previous` of the frame is left to the caller.
    fn unlink(&mut self, g: ir::Value, handles: bool) {
        let o = *self.env.offsets();
        let (ts, fr) = (self.ts, self.fr);
        if handles {
            let handled = self.load(g, o.gen_exc_state + o.exc_previous_item);
            self.store(handled, ts, o.ts_exc_info);
            let null = self.iconst(0);
            self.store(null, g, o.gen_exc_state + o.exc_previous_item);
        }
        self.store(fr, ts, o.ts_current_frame);
        let remaining = self.load32(ts, o.ts_py_recursion_remaining);
        let more = self.b.ins().iadd_imm_s(remaining, 1);
        self.store(more, ts, o.ts_py_recursion_remaining);
    }

    fn add_to_word(&mut self, base: ir::Value, offset: i32, n: i64) {
        let word = self.load(base, offset);
        let sum = self.b.ins().iadd_imm_s(word, n);
        self.store(sum, base, offset);
    }
}
