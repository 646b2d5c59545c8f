//! Exits: the cold ends where machine code leaves or raises. Both store the raw words of their frame state and name a row of the
//! exit table; the runtime writes the frame (`exit_table.rs`).
//!
//! Invariant: one block per (state, kind, reason), made when first asked for and filled after all ordinary blocks, so that
//! every value it spills is known. A value of a state dominates all users of the state, hence also their common exit.

use super::{Lower, Ret};
use crate::{CodegenError, Exit, Row, StaleWord, Word, fault, tag};
use cendre_ir::hash::HashMap;
use cendre_ir::{FrameState, InstData, Kinds, Op, Stale, State};
use cranelift_codegen::ir::{self, InstBuilder, condcodes::IntCC, types};

/// Bits of an exit's number where it is told together with its row.
const NUMBER_BITS: u32 = 16;

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

/// Blocks where the exits of a function meet: all that leave, and those that raise by handler. Their parameters say which row (and number).
#[derive(Default)]
pub(crate) struct Shared {
    leave: Option<ir::Block>,
    raise: Vec<(Option<cendre_ir::Block>, ir::Block)>,
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
        let exit = self.exit(key);
        self.force(i, exit);
        Ok(exit)
    }

    /// Where leaves are forced: counts this guard, and fails it when its turn has come. Stands before all else that the instruction does,
    /// where its state holds. What ends a look at the frame is no guard, a number that was just returned is in no state yet, the item that a
    /// sequence has just given is only guarded for its type: its state is that before the step. And what a helper's tag says is not done again:
    /// the state behind the call is that of the other tag (a method that was found keeps its object, what is none has let go of it).
    fn force(&mut self, i: &InstData, exit: ir::Block) {
        let address = self.env.addresses().forced;
        let made = |v, op| self.f.insts.iter().find(|d| d.op == op && d.results.contains(&v));
        let item = |v| self.f.insts.iter().any(|d| matches!(d.op, Op::ListNext | Op::TupleNext) && d.results.contains(&v));
        let no_guard = match i.op {
            Op::Looked | Op::ReloadInt | Op::ReloadFloat | Op::ReloadBool | Op::RetInt | Op::RetFloat => true,
            Op::GuardNotNull => address != 0 && item(i.args[0]),
            Op::GuardTrue => address != 0 && made(i.args[0], Op::PtrIs).is_some_and(|is| made(is.args[0], Op::CallPair).is_some()),
            _ => false,
        };
        if address == 0 || no_guard {
            return;
        }
        let address = self.iconst(address as i64);
        let n = self.load(address, 0);
        let n = self.b.ins().iadd_imm_s(n, -1);
        self.store(n, address, 0);
        let due = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, n, 0);
        self.branch_if(due, exit);
    }

    /// The exit that raises for this instruction (which stored `instr_ptr` itself).
    pub fn raise_exit(&mut self, i: &InstData) -> Result<ir::Block, CodegenError> {
        let key = ExitKey::raise(i, false)?;
        Ok(self.exit(key))
    }

    pub(super) fn emit_exits(&mut self) -> Result<(), CodegenError> {
        // Leaves of one state share its row; what differs is the exit's number.
        let mut rows: HashMap<State, (i64, Option<ir::Block>)> = HashMap::default();
        while let Some((key, block)) = self.exit_work.pop() {
            self.b.switch_to_block(block);
            let state = self.f.states[key.state.index()].clone();
            let Kind::Leave(reason) = key.kind else {
                let Kind::Raise(store) = key.kind else { continue };
                self.emit_raise(&state, store)?;
                continue;
            };
            let number = self.exit_number(&state, reason);
            let (row, stores) = match rows.get(&key.state) {
                Some(known) => *known,
                None => {
                    // The stores, if there are any, are made in a block of their own, which later exits of the state join.
                    let stores = (!state.stale.is_empty() || !state.stack.is_empty()).then(|| self.cold_block());
                    self.b.switch_to_block(stores.unwrap_or(block));
                    let row = self.row(&state)?;
                    if let Some(stores) = stores {
                        let which = self.b.append_block_param(stores, types::I64);
                        let leave = self.leave_block();
                        self.jump(leave, &[which]);
                        self.b.switch_to_block(block);
                    }
                    rows.insert(key.state, (row, stores));
                    (row, stores)
                }
            };
            let to = match stores {
                Some(stores) => stores,
                None => self.leave_block(),
            };
            let which = self.which(row, number)?;
            self.jump(to, &[which]);
        }
        self.emit_shared()
    }

    /// Row and number of an exit in one word: a constant and a jump are all that most exits are.
    fn which(&mut self, row: i64, number: i64) -> Result<ir::Value, CodegenError> {
        if number >> NUMBER_BITS != 0 {
            return Err(CodegenError::TooLarge(self.exits.len()));
        }
        Ok(self.iconst(row << NUMBER_BITS | number))
    }

    /// The block where all that leave meet.
    fn leave_block(&mut self) -> ir::Block {
        match self.shared.leave {
            Some(b) => b,
            None => {
                let b = self.cold_block();
                self.b.append_block_param(b, types::I64);
                *self.shared.leave.insert(b)
            }
        }
    }

    /// Leaves here and now, with all locals current.
    pub fn leave_now(&mut self, state: &FrameState, reason: &'static str) -> Result<(), CodegenError> {
        let number = self.exit_number(state, reason);
        let row = self.row(state)?;
        let leave = self.leave_block();
        let which = self.which(row, number)?;
        self.jump(leave, &[which]);
        Ok(())
    }

    fn emit_raise(&mut self, state: &FrameState, store: bool) -> Result<(), CodegenError> {
        let row = self.row(state)?;
        let key = state.handler.map(|h| h.block);
        let raise = match self.shared.raise.iter().find(|(k, _)| *k == key) {
            Some((_, b)) => *b,
            None => {
                let b = self.cold_block();
                self.b.append_block_param(b, types::I64);
                self.shared.raise.push((key, b));
                b
            }
        };
        let row = self.iconst(row << 1 | i64::from(store));
        self.jump(raise, &[row]);
        Ok(())
    }

    /// The ends that exits share.
    fn emit_shared(&mut self) -> Result<(), CodegenError> {
        let shared = std::mem::take(&mut self.shared);
        if let Some(leave) = shared.leave {
            self.b.switch_to_block(leave);
            let which = self.b.block_params(leave)[0];
            let row = self.b.ins().ushr_imm_u(which, i64::from(NUMBER_BITS));
            let number = self.b.ins().band_imm_s(which, (1 << NUMBER_BITS) - 1);
            self.call_exit("leave_frame", row, Ret::None)?;
            let t = self.iconst(tag::LEAVE);
            self.b.ins().return_(&[t, number]);
        }
        let mut raised = None;
        for (handler, block) in shared.raise {
            self.b.switch_to_block(block);
            let row = self.b.block_params(block)[0];
            let r = self.call_exit("raise_frame", row, Ret::I32)?;
            let out = match raised {
                Some(b) => b,
                None => *raised.insert(self.cold_block()),
            };
            match handler {
                // Answers 0 when the handler is ours to run; else (a tool watches exceptions) the interpreter takes over.
                Some(h) => {
                    let handler = self.blocks[h.index()];
                    self.b.ins().brif(r[0], out, &[], handler, &[]);
                }
                None => self.jump(out, &[]),
            }
        }
        if let Some(out) = raised {
            self.b.switch_to_block(out);
            let (t, zero) = (self.iconst(tag::RAISED), self.iconst(0));
            self.b.ins().return_(&[t, zero]);
        }
        Ok(())
    }

    fn call_exit(&mut self, helper: &str, row: ir::Value, ret: Ret) -> Result<Vec<ir::Value>, CodegenError> {
        let table = self.iconst(&raw const *self.table as i64);
        let words = self.words();
        let words = self.b.ins().stack_addr(types::I64, words, 0);
        self.call_helper(helper, &[table, row, words], ret)
    }

    /// Stores the words of a state and answers its row.
    fn row(&mut self, state: &FrameState) -> Result<i64, CodegenError> {
        let mut at = 0;
        let mut stale = Vec::with_capacity(state.stale.len());
        for e in state.stale.iter().skip(usize::from(fault::is(fault::STALE))) {
            let kind = self.store_word(e.value, false, &mut at)?;
            if let Some(v) = e.unless {
                let current = self.flag(v);
                let current = self.b.ins().uextend(types::I64, current);
                self.put_word(current, &mut at);
            }
            stale.push(StaleWord { slot: e.slot, kind, unless: e.unless.is_some() });
        }
        let mut stack = Vec::with_capacity(state.stack.len());
        for e in &state.stack {
            if let Some(n) = e.twin {
                stack.push(Word::Same(n));
                continue;
            }
            let word = self.store_word(e.value, e.own, &mut at)?;
            if let Some(of) = e.of {
                let origin = self.helper_arg(of);
                self.put_word(origin, &mut at);
            }
            stack.push(match (word, e.home, e.of) {
                (Word::Int, Some(slot), _) => Word::IntIn(slot),
                (Word::Float, Some(slot), _) => Word::FloatIn(slot),
                (Word::Int, _, Some(_)) => Word::IntOf,
                (Word::Float, _, Some(_)) => Word::FloatOf,
                (word, ..) => word,
            });
        }
        self.words_size = self.words_size.max(at as u32);
        let row = Row {
            unit: state.unit,
            resume: state.resume,
            stale: stale.into(),
            stack: stack.into(),
            handler: state.handler.map(|h| (h.depth, h.lasti)),
        };
        self.table.rows.push(row);
        Ok(self.table.rows.len() as i64 - 1)
    }

    fn store_word(&mut self, v: cendre_ir::Value, own: bool, at: &mut i32) -> Result<Word, CodegenError> {
        let x = self.helper_arg(v);
        self.put_word(x, at);
        Ok(match self.f.ty(v).kinds {
            Kinds::INT64 => Word::Int,
            Kinds::FLOAT64 => Word::Float,
            Kinds::BOOL => Word::Bool,
            Kinds::PTR => Word::Raw,
            _ if own => Word::Owned,
            _ => Word::Borrowed,
        })
    }

    fn put_word(&mut self, x: ir::Value, at: &mut i32) {
        let words = self.words();
        self.b.ins().stack_store(types::I64, x, words, *at);
        *at += 8;
    }

    /// The place of the words; its size is set when all exits are known.
    fn words(&mut self) -> ir::StackSlot {
        match self.words {
            Some(slot) => slot,
            None => {
                let data = ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, 8, 3);
                *self.words.insert(self.b.create_sized_stack_slot(data))
            }
        }
    }

    /// Gives the place of the words its size: to be called when nothing more will be stored there.
    pub(super) fn size_words(&mut self) {
        if let Some(slot) = self.words {
            self.b.func.sized_stack_slots[slot].size = self.words_size.max(8);
        }
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

    /// Boxes the stale locals into their slots.
    pub fn sync_stale(&mut self, state: &FrameState) -> Result<(), CodegenError> {
        for e in &state.stale {
            self.sync_stale_one(e)?;
        }
        Ok(())
    }

    /// The same of one of them.
    fn sync_stale_one(&mut self, e: &Stale) -> Result<(), CodegenError> {
        let Some(current) = e.unless else {
            self.sync_slot(e.slot, e.value)?;
            return Ok(());
        };
        let (stale, done) = (self.cold_block(), self.cold_block());
        let current = self.flag(current);
        self.b.ins().brif(current, done, &[], stale, &[]);
        self.b.switch_to_block(stale);
        self.sync_slot(e.slot, e.value)?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Makes one slot current, if the state says that it may not be.
    pub fn sync_one(&mut self, state: &FrameState, slot: u32) -> Result<(), CodegenError> {
        match state.stale.iter().find(|e| e.slot == slot) {
            Some(e) => self.sync_stale_one(e),
            None => Ok(()),
        }
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
            let kinds = self.f.ty(e.value).kinds;
            let word = match (kinds, e.home) {
                _ if e.twin.is_some() => {
                    let o = self.slot_object(self.stack_slot(e.twin.unwrap_or_default()));
                    self.incref(o);
                    self.owned_word(o)
                }
                (Kinds::INT64 | Kinds::FLOAT64, Some(slot)) => {
                    let x = self.v(e.value);
                    let slot = self.iconst(i64::from(slot));
                    let name = if kinds == Kinds::INT64 { "home_int" } else { "home_float" };
                    let o = self.call_helper(name, &[slot, x], Ret::Word)?[0];
                    self.owned_word(o)
                }
                (Kinds::INT64 | Kinds::FLOAT64, _) if let Some(of) = e.of => {
                    let (of, x) = (self.helper_arg(of), self.v(e.value));
                    let name = if kinds == Kinds::INT64 { "object_of_int" } else { "object_of_float" };
                    let o = self.call_helper(name, &[of, x], Ret::Word)?[0];
                    self.owned_word(o)
                }
                (Kinds::INT64, _) => {
                    let x = self.v(e.value);
                    let o = self.call_helper("box_int", &[x], Ret::Word)?[0];
                    self.owned_word(o)
                }
                (Kinds::FLOAT64, _) => {
                    let x = self.v(e.value);
                    self.call_helper("box_float", &[x], Ret::Word)?[0]
                }
                (Kinds::BOOL, _) => {
                    let x = self.v(e.value);
                    let o = self.bool_object(x);
                    self.b.ins().bor_imm_s(o, 1)
                }
                (Kinds::PTR, _) => self.v(e.value),
                (Kinds::NULL, _) => self.iconst(1),
                _ => {
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
