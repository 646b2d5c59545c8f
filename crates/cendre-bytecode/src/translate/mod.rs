//! Bytecode -> IR.
//!
//! Terms. A *leader* is a code unit where control flow meets; an *edge* is one way to get to it, with the abstract state at its
//! source. A local is *stale* while its value is an unboxed number that its slot in the frame does not hold yet. A slot
//! is *plain* if dropping what it holds can run no code (a number, a str, None or nothing), which is what allows staleness.
//!
//! Example: in `for i in range(n): s += i` the loop's head is a leader; `s` and `i` arrive on its back edge as stale
//! unboxed ints. On the first visit the head did not know; the mismatch is recorded as a *hint* and the translation starts again, now
//! with `s` as an unboxed block parameter that the way into the loop unboxes, with a guard. Hints only ever get weaker, so this ends.
//!
//! Invariant: before an instruction that may run unknown code every stale local is boxed into its slot (`observe`), behind it nothing
//! remembered of a slot survives but numbers, which are read again if somebody took the frame (`observed`).
//! Read docs/internals/frontend.md.

mod arith;
mod attrs;
mod awaits;
mod bound;
mod calls;
mod edges;
mod exceptions;
mod flow;
mod iterate;
mod state;
mod values;

use crate::facts::{CodeFacts, Facts, Known};
use crate::{ExceptionTable, Instr, Opcode, decode};
use cendre_ir::hash::HashMap;
use cendre_ir::{self as ir, FrameState, Imm, InstData, ObjId, Op, Stale, State, Value};
use edges::Origin;
use flow::Flow;
use state::{Abstract, Kind, Local, Val};
use std::fmt;

/// Why a code object stays interpreted. Not an error: counted, and shown by `cendre explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>) -> Refusal {
        Refusal { reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What the decoder or the verifier will not have: no compiler made this code object. Its reason is one for all of them.
pub const STRANGE: &str = "bytecode that no compiler makes";
/// Code units beyond which a function is left alone: offsets of machine code have an end. Compiling one of this length takes
/// seconds; it is the evidence that hotness asks for which keeps that from being done for nothing.
const LONGEST: usize = 200_000;
/// Positional arguments up to which a call is one with its arguments in registers; wider ones go through the frame's stack.
pub(crate) const MOST_ARGUMENTS: usize = 50;
/// Translations that start anew before the loops give up on unboxed locals.
const RESTARTS: u32 = 24;

/// `co_flags`
pub(crate) mod flag {
    pub const GENERATOR: u32 = 0x20;
    pub const COROUTINE: u32 = 0x80;
    pub const ASYNC_GENERATOR: u32 = 0x200;
    pub const ANY_GENERATOR: u32 = GENERATOR | COROUTINE | ASYNC_GENERATOR;
}

/// What a later translation should assume of a local at a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hint {
    /// Unbox on the way in.
    Force(Kind),
    /// In memory only.
    Memory,
}

#[derive(Default)]
pub(crate) struct Hints {
    pub locals: HashMap<(u32, u32), Hint>,
    /// Unboxed locals that arrive stale on some edge.
    pub stale: HashMap<(u32, u32), ()>,
    /// Stale ones that arrive with their object in the slot on some edge that was not known at first.
    pub unless: HashMap<(u32, u32), ()>,
    /// Slots that are not plain at a leader.
    pub rough: HashMap<(u32, u32), ()>,
    /// Numbers on the eval stack of which it is only known when the code runs which object they are.
    pub of: HashMap<(u32, u32), Origin>,
    /// Entries of the eval stack that must be boxed objects without a known class.
    pub stack: HashMap<(u32, u32), ()>,
    pub changed: bool,
}

/// One translation.
pub(crate) struct Translator<'a> {
    pub code: &'a CodeFacts,
    pub facts: &'a dyn Facts,
    pub known: Known,
    pub instrs: &'a [Instr],
    pub table: &'a ExceptionTable,
    pub flow: &'a Flow,
    pub hints: &'a mut Hints,
    pub f: ir::Function,
    /// The block that is being filled; `None` behind a terminator.
    pub at: Option<ir::Block>,
    pub stack: Vec<Val>,
    pub locals: Vec<Local>,
    /// The handled exception's traceback may lack the entry of this frame (see `exceptions.rs`).
    pub untraced: bool,
    /// The instruction that is being translated and the state before it.
    pub now: Instr,
    before: Option<State>,
    before_stack: Vec<Val>,
    pub edges: HashMap<u32, Vec<edges::Edge>>,
    pub leaders: HashMap<u32, edges::Leader>,
    pub handlers: HashMap<(u32, u32, bool), ir::Block>,
    consts: HashMap<(u8, u64), (ir::Block, Value)>,
    /// Stale locals at the drops of the present instruction that may have run a finaliser.
    looked: Option<Vec<Stale>>,
    /// By number of the await: the code object of the function that is probably called.
    pub awaited: HashMap<u32, ObjId>,
    /// Globals are read through cells: every way in checks that the frame's globals are the ones.
    pub reads_globals: bool,
}

/// Translates a code object.
///
/// # Errors
/// [`Refusal`] with the reason why it must stay interpreted.
///
/// # Example
/// ```ignore
/// let function = translate(&code_facts, &live_facts)?;
/// cendre_ir::verify(&function)?;
/// ```
pub fn translate(code: &CodeFacts, facts: &dyn Facts) -> Result<ir::Function, Refusal> {
    if code.code.len() / 2 > LONGEST {
        return Err(Refusal::new("too long"));
    }
    let instrs = decode(&code.code, &crate::decode::no_executors).map_err(|_| Refusal::new(STRANGE))?;
    let table = ExceptionTable::parse(&code.exception_table).map_err(|_| Refusal::new("broken exception table"))?;
    table.check(&instrs).map_err(|_| Refusal::new("broken exception table"))?;
    let flow = Flow::new(code, &instrs, &table)?;
    let mut hints = Hints::default();
    for round in 0.. {
        hints.changed = false;
        if round == RESTARTS {
            for (leader, local) in flow.all_leaders().flat_map(|l| (0..code.nlocalsplus).map(move |n| (l, n))) {
                hints.locals.insert((leader, local), Hint::Memory);
                hints.rough.insert((leader, local), ());
            }
        } else if round > RESTARTS {
            return Err(Refusal::new("loops without a fixed point"));
        }
        let t = Translator {
            code,
            facts,
            known: facts.known(),
            instrs: &instrs,
            table: &table,
            flow: &flow,
            f: ir::Function::new(&code.qualname, code.nlocalsplus, code.stack_size),
            hints: &mut hints,
            at: None,
            stack: Vec::new(),
            locals: Vec::new(),
            untraced: false,
            now: instrs[0],
            before: None,
            before_stack: Vec::new(),
            edges: HashMap::default(),
            leaders: HashMap::default(),
            handlers: HashMap::default(),
            consts: HashMap::default(),
            looked: None,
            awaited: HashMap::default(),
            reads_globals: facts.globals().is_some() && instrs.iter().any(|i| i.base == Opcode::LoadGlobal),
        };
        let f = t.run()?;
        if !hints.changed {
            return Ok(f);
        }
    }
    Err(Refusal::new("loops without a fixed point"))
}

impl Translator<'_> {
    fn run(mut self) -> Result<ir::Function, Refusal> {
        self.start_edge()?;
        for leader in self.flow.order.clone() {
            self.leader(leader)?;
        }
        if self.f.entries.is_empty() {
            return Err(Refusal::new("no way in"));
        }
        let mut sites: Vec<_> = self.flow.awaits.values().collect();
        sites.sort_by_key(|a| a.site);
        self.f.await_sites = sites
            .iter()
            .map(|a| ir::AwaitSite {
                call: a.call,
                get_awaitable: a.get_awaitable,
                send: a.send,
                behind: a.behind,
                callee: self.awaited.get(&a.site).copied(),
            })
            .collect();
        Ok(self.f)
    }

    /// Translates the run of instructions from a leader to the next one.
    fn leader(&mut self, unit: u32) -> Result<(), Refusal> {
        if !self.enter_leader(unit)? {
            return Ok(()); // dead code
        }
        let mut n = self.flow.index_of(unit);
        loop {
            let i = self.instrs[n];
            self.now = i;
            self.before = None;
            self.before_stack.clear();
            self.before_stack.extend_from_slice(&self.stack);
            self.looked = None;
            self.instr(&i)?;
            if self.at.is_none() {
                return Ok(());
            }
            self.check_looked(i.next);
            n += 1;
            let Some(next) = self.instrs.get(n) else { return Err(Refusal::new("runs off the end")) };
            if self.flow.is_leader(next.start) {
                // What an await went on with without suspending decides how values arrive; behind a suspension they are checked.
                let checked = i.base == Opcode::EndSend && self.flow.is_behind_await(next.start) && !self.facts.is_generic(next.offset);
                self.go_on(next.start, checked);
                return Ok(());
            }
        }
    }

    // ---- building ------------------------------------------------------------------------------------------------

    /// Appends an instruction; answers its first result, if any.
    pub fn emit(&mut self, op: Op, imm: Imm, args: &[Value], own: u64, state: Option<State>) -> Option<Value> {
        self.emit_many(op, imm, args, own, state, 0).first().copied()
    }

    pub fn emit_many(&mut self, op: Op, imm: Imm, args: &[Value], own: u64, state: Option<State>, many: usize) -> Vec<Value> {
        let Some(block) = self.at else { return Vec::new() };
        let data = InstData { op, imm, args: args.to_vec(), own, results: Vec::new(), state, targets: Vec::new() };
        let inst = self.f.push(block, data, many);
        self.f.insts[inst.index()].results.clone()
    }

    /// An instruction with one result.
    pub fn value(&mut self, op: Op, imm: Imm, args: &[Value], state: Option<State>) -> Value {
        // `at` is only None behind a terminator, where nobody asks for values.
        self.emit(op, imm, args, 0, state).unwrap_or(Value(0))
    }

    pub fn jump_to(&mut self, from: ir::Block, to: ir::Block, args: Vec<Value>) {
        let data = InstData {
            op: Op::Jump,
            imm: Imm::None,
            args: vec![],
            own: 0,
            results: vec![],
            state: None,
            targets: vec![ir::Target { block: to, args }],
        };
        self.f.push(from, data, 0);
    }

    /// Ends the block in a branch; answers the two blocks (true, false), both open.
    pub fn branch(&mut self, cond: Value) -> (ir::Block, ir::Block) {
        let (yes, no) = (self.f.block(), self.f.block());
        if let Some(at) = self.at.take() {
            let target = |block| ir::Target { block, args: vec![] };
            let data = InstData {
                op: Op::Branch,
                imm: Imm::None,
                args: vec![cond],
                own: 0,
                results: vec![],
                state: None,
                targets: vec![target(yes), target(no)],
            };
            self.f.push(at, data, 0);
        }
        (yes, no)
    }

    /// A constant, once per block.
    pub fn constant(&mut self, op: Op, imm: Imm) -> Value {
        let key = match (&op, &imm) {
            (_, Imm::Int(n)) => (op as u8, *n as u64),
            (_, Imm::Float(n)) => (op as u8, *n),
            (_, Imm::Obj(o)) => (op as u8, o.0),
            (_, Imm::Bool(b)) => (op as u8, u64::from(*b)),
            _ => (op as u8, 0),
        };
        if let (Some((block, v)), Some(at)) = (self.consts.get(&key), self.at)
            && *block == at
        {
            return *v;
        }
        let v = self.value(op, imm, &[], None);
        if let Some(at) = self.at {
            self.consts.insert(key, (at, v));
        }
        v
    }
    pub fn const_int(&mut self, n: i64) -> Value {
        self.constant(Op::ConstInt, Imm::Int(n))
    }
    pub fn const_obj(&mut self, id: u64) -> Value {
        self.constant(Op::ConstObj, Imm::Obj(ObjId(id)))
    }

    // ---- frame states --------------------------------------------------------------------------------------------

    fn stack_entries(stack: &[Val]) -> Vec<ir::StackEntry> {
        let home = |v: &Val| v.home.filter(|_| matches!(v.kind, Kind::Int | Kind::Float));
        stack.iter().map(|v| ir::StackEntry { home: home(v), of: v.of, ..ir::StackEntry::new(v.v, v.own) }).collect()
    }

    fn stale(&self) -> Vec<Stale> {
        let stale = |(n, l): (usize, &Local)| {
            let (_, value) = l.number.filter(|_| l.stale)?;
            Some(Stale { slot: n as u32, value, unless: l.unless })
        };
        self.locals.iter().enumerate().filter_map(stale).collect()
    }

    fn handler(&mut self, unit: u32) -> Option<ir::Handler> {
        let h = *self.table.lookup(unit)?;
        let block = self.handler_block(h.target, h.depth, h.lasti);
        Some(ir::Handler { block, depth: h.depth, lasti: h.lasti })
    }

    /// The moment before the current instruction: where its guards leave to.
    pub fn before(&mut self) -> State {
        if let Some(s) = self.before {
            return s;
        }
        let state = FrameState {
            unit: self.now.offset,
            resume: self.now.start,
            stack: Self::stack_entries(&self.before_stack),
            stale: self.stale(),
            handler: None,
        };
        let s = self.f.state(state);
        self.before = Some(s);
        s
    }

    /// The state of a raising instruction: its inputs are popped.
    pub fn raising(&mut self) -> State {
        let handler = self.handler(self.now.offset);
        let state = FrameState {
            unit: self.now.offset,
            resume: self.now.start,
            stack: Self::stack_entries(&self.stack),
            stale: self.stale(),
            handler,
        };
        self.f.state(state)
    }

    /// The moment at a unit, with the present stack.
    pub fn state_at(&mut self, unit: u32) -> State {
        let state = FrameState { unit, resume: unit, stack: Self::stack_entries(&self.stack), stale: self.stale(), handler: None };
        self.f.state(state)
    }

    /// A state for drops: `instr_ptr` stays at the current instruction.
    pub fn dropping(&mut self, plain: bool) -> State {
        let stale = if plain { Vec::new() } else { self.stale() };
        let resume = if plain { FrameState::PLAIN } else { self.now.start };
        let state = FrameState { unit: self.now.offset, resume, stack: Self::stack_entries(&self.stack), stale, handler: None };
        self.f.state(state)
    }

    // ---- observable points ---------------------------------------------------------------------------------------

    /// Makes every local current: to be called before an instruction that may run unknown code.
    pub fn observe(&mut self) {
        self.trace();
        for n in 0..self.locals.len() {
            self.sync(n as u32);
        }
        self.keep_objects();
    }

    /// Makes one local current.
    pub fn sync(&mut self, local: u32) {
        if self.locals[local as usize].stale {
            let state = self.raising();
            self.sync_with(local, state);
            self.before = None;
        }
    }

    /// The same, with the state of what may raise.
    fn sync_with(&mut self, local: u32, state: State) {
        let l = &mut self.locals[local as usize];
        let Some((kind, v)) = l.number.filter(|_| l.stale) else { return };
        let op = match kind {
            Kind::Float => Op::SyncFloat,
            Kind::Bool => Op::SyncBool,
            _ => Op::SyncInt,
        };
        let args: Vec<Value> = [v].into_iter().chain(l.unless).collect();
        (l.stale, l.unless, l.cached) = (false, None, None);
        self.emit(op, Imm::Slot(local), &args, 0, Some(state));
    }

    /// Something non-trivial was dropped: `check_looked` follows before the next instruction.
    pub fn may_look(&mut self) {
        let stale = self.stale();
        self.looked.get_or_insert_default().extend(stale);
    }

    /// Behind drops: numbers that we hold unboxed may have been written in the frame by a finaliser.
    pub fn check_looked(&mut self, unit: u32) {
        let Some(current) = self.looked.take() else { return };
        let live = |n: usize, l: &Local| l.number.is_some() && self.flow.is_live(unit, n as u32);
        if !self.locals.iter().enumerate().any(|(n, l)| live(n, l)) {
            return;
        }
        let state = self.state_at(unit);
        self.f.states[state.index()].stale.retain(|s| !current.contains(s));
        self.emit(Op::Looked, Imm::None, &[], 0, Some(state));
    }

    /// Behind an observable instruction whose results are pushed: checks instrumentation, reads numbers again if the frame was taken.
    pub fn observed(&mut self) {
        self.observed_at(self.now.next);
    }

    pub fn observed_at(&mut self, unit: u32) {
        self.looked = None;
        let state = self.state_at(unit);
        self.emit(Op::Checkpoint, Imm::None, &[], 0, Some(state));
        self.reload(unit, state);
    }

    /// Behind an instruction that may have let somebody write into the frame: numbers that are still needed are those of the slots then.
    pub fn reload(&mut self, unit: u32, state: State) {
        for n in 0..self.locals.len() {
            self.locals[n].cached = None;
            let Some((kind, v)) = self.locals[n].number else { continue };
            if !self.flow.is_live(unit, n as u32) {
                self.locals[n].number = None;
                continue;
            }
            let op = match kind {
                Kind::Float => Op::ReloadFloat,
                Kind::Bool => Op::ReloadBool,
                _ => Op::ReloadInt,
            };
            let fresh = self.value(op, Imm::Slot(n as u32), &[v], Some(state));
            self.locals[n].number = Some((kind, fresh));
        }
    }

    // ---- the dispatch --------------------------------------------------------------------------------------------

    /// The specialised opcode, or the base where that site's guards failed too often, or would: what the interpreter's own have missed.
    fn opcode(&self, i: &Instr) -> Opcode {
        /// An attribute site that misses often is found with fewer in 3 of 52 cases; one that missed once or twice is no such site.
        const MISSES: u16 = 4;
        if self.facts.is_generic(i.offset) || i.attr_misses() >= MISSES { i.base } else { i.op }
    }

    fn instr(&mut self, i: &Instr) -> Result<(), Refusal> {
        use Opcode::*;
        match i.base {
            Nop | NotTaken | Resume => {}
            // As long as nothing unknown has run, the exception that is handled is held by the thread as well.
            PopTop if self.untraced && self.peek(1)?.handled => {
                let v = self.pop()?;
                let state = self.dropping(true);
                self.emit(Op::Drop, Imm::None, &[v.v], 0, Some(state));
            }
            PopTop | EndFor | PopIter => {
                let v = self.pop()?;
                self.drop_values(&[v]);
            }
            PushNull => {
                let v = self.value(Op::Null, Imm::None, &[], None);
                self.stack.push(Val::null(v));
            }
            Copy => {
                self.box_for_copy(i)?;
                let v = self.peek(i.arg as usize)?;
                // The compiler has proven that what is lent outlives its copies as well.
                let copy = if v.kind == Kind::Object && !v.own { v } else { self.duplicate(v) };
                self.stack.push(copy);
            }
            Swap => {
                let top = self.stack.len();
                let n = top.checked_sub(i.arg as usize).filter(|n| *n < top).ok_or_else(underflow)?;
                if top == 0 {
                    return Err(underflow());
                }
                self.stack.swap(n, top - 1);
            }
            LoadConst => self.load_const(i.arg)?,
            LoadSmallInt => {
                let v = self.const_int(i64::from(i.arg));
                self.stack.push(Val::number(Kind::Int, v));
            }
            LoadFast => self.load_fast(i.arg, false)?,
            LoadFastBorrow => self.load_fast(i.arg, true)?,
            LoadFastCheck => self.load_fast_check(i.arg)?,
            LoadFastLoadFast => {
                self.load_fast(i.arg >> 4, false)?;
                self.load_fast(i.arg & 15, false)?;
            }
            LoadFastBorrowLoadFastBorrow => {
                self.load_fast(i.arg >> 4, true)?;
                self.load_fast(i.arg & 15, true)?;
            }
            StoreFast => self.store_fast(i.arg)?,
            StoreFastLoadFast => {
                self.store_fast(i.arg >> 4)?;
                self.load_fast(i.arg & 15, false)?;
            }
            StoreFastStoreFast => {
                self.store_fast(i.arg >> 4)?;
                self.store_fast(i.arg & 15)?;
            }
            LoadFastAndClear => self.load_fast_and_clear(i.arg)?,
            DeleteFast => self.delete_fast(i.arg)?,
            ReturnValue => self.return_value()?,
            ReturnGenerator => return Err(Refusal::new("generator entered at its start")),
            JumpForward => self.go(i.jump_target.ok_or_else(underflow)?)?,
            JumpBackward => {
                self.trace();
                let target = i.jump_target.ok_or_else(underflow)?;
                let handler = self.handler(i.offset);
                let state =
                    FrameState { unit: i.offset, resume: target, stack: Self::stack_entries(&self.stack), stale: self.stale(), handler };
                let state = self.f.state(state);
                self.emit(Op::Poll, Imm::None, &[], 0, Some(state));
                self.go(target)?;
            }
            JumpBackwardNoInterrupt => self.go(i.jump_target.ok_or_else(underflow)?)?,
            PopJumpIfTrue | PopJumpIfFalse | PopJumpIfNone | PopJumpIfNotNone => self.pop_jump(i)?,
            ToBool => self.to_bool(i)?,
            UnaryNot => self.unary_not()?,
            UnaryNegative | UnaryInvert => self.unary(i)?,
            BinaryOp => self.binary_op(i)?,
            CompareOp => self.compare_op(i)?,
            IsOp => self.is_op(i)?,
            ContainsOp => self.contains_op(i)?,
            LoadAttr => self.load_attr(i)?,
            StoreAttr => self.store_attr(i)?,
            LoadGlobal => self.load_global(i)?,
            StoreSubscr => self.store_subscr(i)?,
            LoadDeref => self.load_deref(i)?,
            StoreDeref => self.store_deref(i)?,
            ForIter => self.for_iter(i)?,
            UnpackSequence => self.unpack_sequence(i)?,
            BuildMap if self.spreads(i) => {
                // DICT_MERGE makes the dict, if one is needed.
                let v = self.value(Op::Null, Imm::None, &[], None);
                self.stack.push(Val::null(v));
            }
            Call => self.call(i)?,
            CallKw | CallFunctionEx => self.call_wide(i)?,
            GetAwaitable => self.get_awaitable(i)?,
            GetAnext => self.get_anext(i)?,
            Send => self.send(i)?,
            EndSend => self.end_send()?,
            YieldValue => self.yield_value(i)?,
            ListAppend => self.append_like(i, "list_append", 1)?,
            SetAdd => self.append_like(i, "set_add", 1)?,
            ListExtend => self.append_like(i, "list_extend", 1)?,
            SetUpdate => self.append_like(i, "set_update", 1)?,
            DictUpdate => self.append_like(i, "dict_update", 1)?,
            MapAdd => self.append_like(i, "map_add", 2)?,
            DictMerge => self.dict_merge(i)?,
            RaiseVarargs | Reraise => self.raise(i)?,
            PushExcInfo => self.push_exc_info()?,
            PopExcept => self.pop_except()?,
            CheckExcMatch => self.check_exc_match(i)?,
            BuildTuple if self.is_exception_tuple(i) => {}
            _ => self.stack_op(i)?,
        }
        Ok(())
    }
}

/// The evaluation stack does not have what the bytecode takes from it: a hostile code object.
pub(crate) fn underflow() -> Refusal {
    Refusal::new("stack underflow")
}

impl Abstract {
    /// The translator's state, to be kept with an edge.
    pub(crate) fn of(t: &Translator<'_>) -> Abstract {
        Abstract { stack: t.stack.clone(), locals: t.locals.clone(), untraced: t.untraced }
    }
}
