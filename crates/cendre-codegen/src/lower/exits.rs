//! Exits: the cold ends where machine code leaves or raises. Both first write the frame state to memory.
//!
//! Invariant: one block per (state, kind, reason), made when first asked for and filled after all ordinary blocks, so that
//! every value it spills is known. A value of a state dominates all users of the state, hence also their common exit.

use super::{Lower, Ret};
use crate::{CodegenError, Exit, tag};
use cendre_ir::{FrameState, InstData, Kinds, State};
use cranelift_codegen::ir::{self, InstBuilder, types};
use std::collections::HashMap;

/// What an exit does after the spill.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    /// On in the interpreter; `reason` is the printed name of the instruction that gave up.
    Leave(&'static str),
    /// An exception is set. `true`: `instr_ptr` must still be stored.
    Raise(bool),
}

/// Identifies an exit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ExitKey {
    state: State,
    kind: Kind,
}

impl ExitKey {
    pub fn leave(i: &InstData) -> Result<ExitKey, CodegenError> {
        Ok(ExitKey { state: state_of(i)?, kind: Kind::Leave(i.op.row().text) })
    }
    /// `store`: the instruction did not store `instr_ptr` itself.
    pub fn raise(i: &InstData, store: bool) -> Result<ExitKey, CodegenError> {
        Ok(ExitKey { state: state_of(i)?, kind: Kind::Raise(store) })
    }
}

fn state_of(i: &InstData) -> Result<State, CodegenError> {
    i.state.ok_or_else(|| CodegenError::Backend(format!("{} without state", i.op.row().text)))
}

impl Lower<'_> {
    /// The block of an exit.
    pub fn exit(&mut self, key: ExitKey) -> ir::Block {
        if let Some(b) = self.exit_blocks.get(&key) {
            return *b;
        }
        let block = self.cold_block();
        self.exit_blocks.insert(key, block);
        self.exit_work.push((key, block));
        block
    }

    /// The exit that leaves for this instruction.
    pub fn leave_exit(&mut self, i: &InstData) -> Result<ir::Block, CodegenError> {
        let key = ExitKey::leave(i)?;
        Ok(self.exit(key))
    }

    /// The exit that raises for this instruction (which stored `instr_ptr` itself).
    pub fn raise_exit(&mut self, i: &InstData) -> Result<ir::Block, CodegenError> {
        let key = ExitKey::raise(i, false)?;
        Ok(self.exit(key))
    }

    pub(super) fn emit_exits(&mut self) -> Result<(), CodegenError> {
        // Leaves of one state share the spill: what differs, the exit's number, is a parameter of it.
        let mut spills: HashMap<State, ir::Block> = HashMap::new();
        while let Some((key, block)) = self.exit_work.pop() {
            self.b.switch_to_block(block);
            let state = self.f.states[key.state.index()].clone();
            match key.kind {
                Kind::Leave(reason) => {
                    let number = self.exit_number(&state, reason);
                    let number = self.iconst(number);
                    if let Some(spill) = spills.get(&key.state) {
                        self.jump(*spill, &[number]);
                        continue;
                    }
                    let spill = self.cold_block();
                    let number_there = self.b.append_block_param(spill, types::I64);
                    spills.insert(key.state, spill);
                    self.jump(spill, &[number]);
                    self.b.switch_to_block(spill);
                    // Boxing may fail for want of memory; the helper then keeps the exception pending aside: see `sync_int`.
                    self.sync_stale(&state)?;
                    self.leave_with(&state, number_there)?;
                }
                Kind::Raise(store) => self.emit_raise(&state, store)?,
            }
        }
        Ok(())
    }

    /// The end of leaving, with all locals current.
    pub fn leave_now(&mut self, state: &FrameState, reason: &'static str) -> Result<(), CodegenError> {
        let number = self.exit_number(state, reason);
        let number = self.iconst(number);
        self.leave_with(state, number)
    }

    /// The same, where the top entry of the eval stack is this owned object.
    pub fn leave_with_top(&mut self, state: &FrameState, top: ir::Value, reason: &'static str) -> Result<(), CodegenError> {
        let mut below = state.clone();
        below.stack.pop();
        self.spill(&below)?;
        let word = self.owned_word(top);
        let (fr, offset) = (self.fr, self.stack_slot(below.stack.len() as u32));
        self.store(word, fr, offset);
        self.set_stack_pointer(state.stack.len() as u32);
        self.set_instr_ptr(state.resume);
        let number = self.exit_number(state, reason);
        let number = self.iconst(number);
        let t = self.iconst(tag::LEAVE);
        self.b.ins().return_(&[t, number]);
        Ok(())
    }

    fn leave_with(&mut self, state: &FrameState, number: ir::Value) -> Result<(), CodegenError> {
        self.spill(state)?;
        self.set_instr_ptr(state.resume);
        let t = self.iconst(tag::LEAVE);
        self.b.ins().return_(&[t, number]);
        Ok(())
    }

    /// The number of an exit in the artifact's table.
    fn exit_number(&mut self, state: &FrameState, reason: &'static str) -> i64 {
        let exit = Exit { unit: state.unit, reason };
        if let Some(n) = self.exit_index.get(&exit) {
            return *n;
        }
        let n = self.exits.len() as i64;
        self.exits.push(exit);
        self.exit_index.insert(exit, n);
        n
    }

    fn emit_raise(&mut self, state: &FrameState, store: bool) -> Result<(), CodegenError> {
        if store {
            self.set_instr_ptr(state.unit);
        }
        self.sync_stale(state)?;
        self.spill(state)?;
        let t = self.iconst(tag::RAISED);
        let zero = self.iconst(0);
        if let Some(h) = state.handler {
            let depth = self.iconst(i64::from(h.depth));
            let lasti = self.iconst(i64::from(h.lasti));
            // Answers 0 when the handler is ours to run; else (a tool watches exceptions) the interpreter takes over.
            let r = self.call_helper("unwind", &[depth, lasti], Ret::I32)?[0];
            let out = self.cold_block();
            let handler = self.blocks[h.block.index()];
            self.b.ins().brif(r, out, &[], handler, &[]);
            self.b.switch_to_block(out);
        }
        self.b.ins().return_(&[t, zero]);
        Ok(())
    }

    /// Boxes the stale locals into their slots.
    pub fn sync_stale(&mut self, state: &FrameState) -> Result<(), CodegenError> {
        for &(slot, v) in &state.stale {
            self.sync_slot(slot, v)?;
        }
        Ok(())
    }

    /// Boxes an unboxed value into a slot, out of line. Answers the helper's status (-1: no memory, exception set).
    pub fn sync_slot(&mut self, slot: u32, v: cendre_ir::Value) -> Result<ir::Value, CodegenError> {
        let name = match self.f.ty(v).kinds {
            Kinds::INT64 => "sync_int",
            Kinds::FLOAT64 => "sync_float",
            Kinds::BOOL => "sync_bool",
            other => return Err(CodegenError::Backend(format!("stale local of kinds {other:?}"))),
        };
        let x = self.helper_arg(v);
        let n = self.iconst(i64::from(slot));
        Ok(self.call_helper(name, &[n, x], Ret::I32)?[0])
    }

    /// Writes the state's eval stack to memory and `stackpointer` behind it.
    pub fn spill(&mut self, state: &FrameState) -> Result<(), CodegenError> {
        for (n, e) in state.stack.iter().enumerate() {
            let word = match self.f.ty(e.value).kinds {
                Kinds::INT64 => {
                    let x = self.v(e.value);
                    let o = self.call_helper("box_int", &[x], Ret::Word)?[0];
                    self.owned_word(o)
                }
                Kinds::FLOAT64 => {
                    let x = self.v(e.value);
                    self.call_helper("box_float", &[x], Ret::Word)?[0]
                }
                Kinds::BOOL => {
                    let x = self.v(e.value);
                    let o = self.bool_object(x);
                    self.b.ins().bor_imm_s(o, 1)
                }
                Kinds::PTR => self.v(e.value),
                Kinds::NULL => self.iconst(1),
                kinds => {
                    let x = self.v(e.value);
                    let nullable = kinds != Kinds::OBJECT;
                    if e.own { self.owned_word_nullable(x, nullable) } else { self.borrowed_word(x) }
                }
            };
            let offset = self.stack_slot(n as u32);
            let fr = self.fr;
            self.store(word, fr, offset);
        }
        self.set_stack_pointer(state.stack.len() as u32);
        Ok(())
    }

    /// `True` or `False` for a truth value.
    pub fn bool_object(&mut self, x: ir::Value) -> ir::Value {
        let a = self.env.addresses();
        let (t, f) = (a.true_ as i64, a.false_ as i64);
        let t = self.iconst(t);
        let f = self.iconst(f);
        debug_assert_eq!(self.b.func.dfg.value_type(x), types::I8);
        self.b.ins().select(x, t, f)
    }
}
