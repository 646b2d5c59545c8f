//! Edges and leaders: how states meet.
//!
//! A leader fixes its *shape* when it is first translated: per local whether it arrives in memory or as an unboxed number (stale or
//! not), per stack entry its kind. Every edge, earlier or later, converts to that shape in a block of its own; what cannot be
//! converted becomes a hint for the next translation.

use super::state::{Abstract, Kind, Local, Val};
use super::{Hint, Refusal, Translator};
use cendre_ir::{self as ir, FrameState, Imm, ObjId, Op, Type};

/// One way to a leader: an open block and the state at its end.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub block: ir::Block,
    pub state: Abstract,
    /// Came from outside (an entry): its values are unknown, guards are in order.
    pub outside: bool,
}

/// Shape of a local at a leader.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct LocalShape {
    number: Option<Kind>,
    stale: bool,
    /// Stale on some ways only: a truth value says so.
    unless: bool,
    plain: bool,
}

/// Shape of a stack entry.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct EntryShape {
    kind: Kind,
    class: Option<u64>,
    /// A number whose object is that of a local.
    home: Option<u32>,
    /// A number that arithmetic consumes: what says which object it is, if another operand turns out to be no number.
    bare: Option<Origin>,
}

/// What arrives with a number whose object is not the same on all ways.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Origin {
    /// Nothing: it has none.
    Fresh,
    /// A raw word: it may be that of a local.
    Slot,
    /// An object or null.
    Object,
}

#[derive(Clone, Debug)]
pub(crate) struct Leader {
    block: ir::Block,
    locals: Vec<LocalShape>,
    stack: Vec<EntryShape>,
    untraced: bool,
}

impl Translator<'_> {
    /// The state in which the start is entered: arguments in memory, everything else unbound.
    pub fn start_edge(&mut self) -> Result<(), Refusal> {
        let start = self.flow.start;
        self.entry(start, 0, true);
        Ok(())
    }

    fn outside_state(&self, unit: u32, stack: Vec<Val>) -> Abstract {
        let first = self.flow.start == unit || self.now_is_prefix(unit);
        let args = self.code.argcount + self.code.kwonlyargcount + (self.code.flags >> 2 & 1) + (self.code.flags >> 3 & 1);
        let locals =
            (0..self.code.nlocalsplus).map(|n| Local { plain: first && n >= args && n < self.code.nlocals, ..Local::default() }).collect();
        Abstract { stack, locals, untraced: false }
    }

    /// Is this the RESUME at the start of the code (behind MAKE_CELL and the like)?
    fn now_is_prefix(&self, unit: u32) -> bool {
        let n = self.flow.index_of(unit);
        self.instrs[n].base == crate::Opcode::Resume && self.instrs[n].arg & 3 == 0
    }

    /// Makes a way in from outside: an entry block that takes the stack out of memory, as an edge to the leader.
    fn entry(&mut self, unit: u32, depth: usize, plain_objects: bool) {
        let block = self.f.block();
        let saved = self.at.replace(block);
        let shapes: Vec<Kind> = match (plain_objects, self.edges.get(&unit).and_then(|e| e.first())) {
            (false, Some(e)) => e.state.stack.iter().map(|v| v.kind).collect(),
            _ => vec![Kind::Object; depth],
        };
        let stack = self.take_stack(&shapes);
        let state = self.outside_state(unit, stack);
        self.guard_globals(unit, &state);
        self.at = saved;
        self.f.entries.push(ir::Entry { unit, block });
        self.edges.entry(unit).or_default().push(Edge { block, state, outside: true });
    }

    /// The code may run with other globals than the ones whose cells it reads.
    fn guard_globals(&mut self, unit: u32, state: &Abstract) {
        if let (true, Some(dict)) = (self.reads_globals, self.facts.globals()) {
            let saved = (std::mem::take(&mut self.stack), std::mem::take(&mut self.locals));
            self.stack.clone_from(&state.stack);
            self.locals.clone_from(&state.locals);
            let state = self.here(unit);
            (self.stack, self.locals) = saved;
            self.emit(Op::GuardGlobalsAre, Imm::Int(dict.0 as i64), &[], 0, Some(state));
        }
    }

    /// The edge by which a suspended frame comes back: an entry at the RESUME, with the sent value on top of the present stack.
    pub fn resume_edge(&mut self, unit: u32) {
        if self.leaders.contains_key(&unit) || self.edges.get(&unit).is_some_and(|e| e.iter().any(|e| e.outside)) {
            return;
        }
        let kinds: Vec<Kind> = self.stack.iter().map(|v| if v.kind.is_number() { Kind::Object } else { v.kind }).collect();
        let block = self.f.block();
        let saved = self.at.replace(block);
        let stack = self.take_stack(&kinds);
        let state = self.outside_state(unit, stack);
        self.guard_globals(unit, &state);
        self.at = saved;
        self.f.entries.push(ir::Entry { unit, block });
        self.edges.entry(unit).or_default().push(Edge { block, state, outside: true });
    }

    /// Takes the eval stack out of memory (entries and handlers).
    pub fn take_stack(&mut self, kinds: &[Kind]) -> Vec<Val> {
        let mut stack = Vec::new();
        for (n, kind) in kinds.iter().enumerate() {
            let at = Imm::Int(n as i64);
            stack.push(match kind {
                Kind::Word => Val { kind: Kind::Word, ..Val::object(self.value(Op::LoadWord, at, &[], None), false) },
                Kind::Null | Kind::Nullable => Val::nullable(self.value(Op::LoadStack, at, &[], None), true),
                _ => {
                    let v = self.value(Op::LoadStack, at, &[], None);
                    self.f.set_type(v, Type::OBJECT);
                    Val::object(v, true)
                }
            });
        }
        if !kinds.is_empty() {
            self.emit(Op::ResetStack, Imm::None, &[], 0, None);
        }
        stack
    }

    /// The block of a handler: takes what `unwind` left on the stack, then is an edge to the handler's leader.
    pub fn handler_block(&mut self, target: u32, depth: u32, lasti: bool) -> ir::Block {
        if let Some(b) = self.handlers.get(&(target, depth, lasti)) {
            return *b;
        }
        let block = self.f.block();
        self.f.blocks[block.index()].cold = true;
        self.handlers.insert((target, depth, lasti), block);
        // Kinds below: what the bytecode has there at this depth; words can only be `lasti` markers of outer handlers.
        let mut kinds: Vec<Kind> =
            self.before_stack_kinds().into_iter().take(depth as usize).map(|k| if k.is_number() { Kind::Object } else { k }).collect();
        kinds.resize(depth as usize, Kind::Object);
        if lasti {
            kinds.push(Kind::Word);
        }
        kinds.push(Kind::Object);
        let saved = self.at.replace(block);
        let stack = self.take_stack(&kinds);
        self.at = saved;
        let locals = vec![Local::default(); self.code.nlocalsplus as usize];
        let edge = Edge { block, state: Abstract { stack, locals, untraced: true }, outside: true };
        if self.leaders.contains_key(&target) {
            self.convert(target, edge);
        } else {
            self.edges.entry(target).or_default().push(edge);
        }
        block
    }

    fn before_stack_kinds(&self) -> Vec<Kind> {
        self.before_stack.iter().map(|v| v.kind).collect()
    }

    /// Ends the current block in a jump to a leader.
    pub fn go(&mut self, unit: u32) -> Result<(), Refusal> {
        self.go_on(unit, false);
        Ok(())
    }

    /// The same; `outside`: with values that are unknown, as if it came in from the interpreter.
    pub fn go_on(&mut self, unit: u32, outside: bool) {
        if let Some(block) = self.at.take() {
            self.edge_to(unit, block, outside);
        }
    }

    /// The same from an open block, with the present state.
    pub fn go_from(&mut self, block: ir::Block, unit: u32) -> Result<(), Refusal> {
        self.edge_to(unit, block, false);
        Ok(())
    }

    fn edge_to(&mut self, unit: u32, block: ir::Block, outside: bool) {
        let edge = Edge { block, state: Abstract::of(self), outside };
        if self.leaders.contains_key(&unit) {
            self.convert(unit, edge);
        } else {
            self.edges.entry(unit).or_default().push(edge);
        }
    }

    /// Starts a leader: fixes its shape, converts the edges that are there. False: dead code.
    pub fn enter_leader(&mut self, unit: u32) -> Result<bool, Refusal> {
        let known = self.edges.get(&unit).map_or(0, Vec::len);
        if known == 0 {
            return Ok(false);
        }
        if self.flow.entries.contains(&unit) && unit != self.flow.start && !self.f.entries.iter().any(|e| e.unit == unit) {
            let depth = self.edges[&unit][0].state.stack.len();
            self.entry(unit, depth, false);
        }
        let edges = self.edges.remove(&unit).unwrap_or_default();
        let depth = edges[0].state.stack.len();
        if edges.iter().any(|e| e.state.stack.len() != depth) {
            return Err(Refusal::new("stack depths differ"));
        }
        if edges.len() == 1 && (self.flow.inherits(unit) || (unit == self.flow.start && !self.has_back_edge(unit))) {
            let edge = edges.into_iter().next().ok_or_else(super::underflow)?;
            self.at = Some(edge.block);
            self.stack = edge.state.stack;
            self.locals = edge.state.locals;
            self.untraced = edge.state.untraced;
            return Ok(true);
        }
        let leader = self.shape(unit, &edges);
        let block = leader.block;
        // Parameters: numbers of locals, then entries of the stack.
        let mut locals = Vec::with_capacity(leader.locals.len());
        for l in &leader.locals {
            let number = l.number.map(|k| (k, self.f.param(block, type_of(k, None))));
            let unless = l.unless.then(|| self.f.param(block, Type::BOOL));
            locals.push(Local { cached: None, number, stale: l.stale, unless, plain: l.plain });
        }
        let mut stack = Vec::with_capacity(leader.stack.len());
        for e in &leader.stack {
            let v = self.f.param(block, type_of(e.kind, e.class));
            let own = matches!(e.kind, Kind::Object | Kind::Nullable);
            let of = match e.bare {
                Some(Origin::Slot) => Some(self.f.param(block, Type::PTR)),
                Some(Origin::Object) => Some(self.f.param(block, Type::OBJECT_OR_NULL)),
                Some(Origin::Fresh) | None => None,
            };
            stack.push(Val { kind: e.kind, class: e.class, home: e.home, of, ..Val::object(v, own) });
        }
        let untraced = leader.untraced;
        self.leaders.insert(unit, leader);
        for edge in edges {
            self.convert(unit, edge);
        }
        self.untraced = untraced;
        self.at = Some(block);
        self.stack = stack;
        self.locals = locals;
        Ok(true)
    }

    fn has_back_edge(&self, unit: u32) -> bool {
        self.instrs.iter().any(|i| i.jump_target == Some(unit))
    }

    fn shape(&mut self, unit: u32, edges: &[Edge]) -> Leader {
        let inside: Vec<&Edge> =
            if edges.iter().all(|e| e.outside) { edges.iter().collect() } else { edges.iter().filter(|e| !e.outside).collect() };
        let locals = (0..self.code.nlocalsplus)
            .map(|n| {
                let at = |e: &&Edge| e.state.locals[n as usize];
                let hint = self.hints.locals.get(&(unit, n)).copied();
                let first = inside[0].state.locals[n as usize].number.map(|x| x.0);
                let same = inside.iter().all(|e| at(e).number.map(|x| x.0) == first);
                let number = match hint {
                    Some(Hint::Memory) => None,
                    Some(Hint::Force(k)) => Some(k),
                    None if same && self.flow.is_live(unit, n) => first,
                    None if same && inside.iter().any(|e| at(e).stale) => first,
                    None => None,
                };
                let stale = number.is_some() && (inside.iter().any(|e| at(e).stale) || self.hints.stale.contains_key(&(unit, n)));
                let plain = !self.hints.rough.contains_key(&(unit, n))
                    && (stale || hint.is_some_and(|h| h != Hint::Memory) || inside.iter().all(|e| at(e).plain));
                // Whether a truth value can hold no object; a number on a way from outside has one.
                let current = |e: &Edge| {
                    let l = e.state.locals[n as usize];
                    !l.stale || l.unless.is_some()
                };
                let unless =
                    stale && number != Some(Kind::Bool) && (edges.iter().any(current) || self.hints.unless.contains_key(&(unit, n)));
                LocalShape { number, stale, unless, plain }
            })
            .collect::<Vec<_>>();
        // For what is on top: `number_wanted` looks at what lies below.
        self.stack.clone_from(&inside[0].state.stack);
        self.stack.pop();
        let stack = (0..inside[0].state.stack.len())
            .map(|n| {
                let at = |e: &&Edge| e.state.stack[n];
                let boxed = self.hints.stack.contains_key(&(unit, n as u32));
                let first = at(&inside[0]);
                let same_kind = inside.iter().all(|e| at(e).kind == first.kind);
                let number = same_kind && matches!(first.kind, Kind::Int | Kind::Float);
                let bare = number && !boxed && n + 1 == inside[0].state.stack.len() && self.number_wanted(unit) == Some(first.kind);
                let one_home = inside.iter().all(|e| at(e).home == first.home && at(e).of.is_none());
                let home = first.home.filter(|_| number && one_home && !bare);
                let boxed = boxed || number && !bare && !one_home;
                let bare = bare.then(|| {
                    let found = edges.iter().map(|e| self.origin(e.state.stack[n])).max();
                    found.max(self.hints.of.get(&(unit, n as u32)).copied()).unwrap_or(Origin::Fresh)
                });
                let class = if !boxed && inside.iter().all(|e| at(e).class == first.class) { first.class } else { None };
                let kind = match first.kind {
                    k if same_kind && !(boxed && k.is_number()) => k,
                    _ if inside.iter().all(|e| !matches!(at(e).kind, Kind::Null | Kind::Nullable)) => Kind::Object,
                    _ => Kind::Nullable,
                };
                let kind = if kind == Kind::Null { Kind::Nullable } else { kind };
                EntryShape { kind, class: if kind == Kind::Object { class } else { None }, home, bare }
            })
            .collect();
        Leader { block: self.f.block(), locals, stack, untraced: inside.iter().all(|e| e.state.untraced) }
    }

    fn origin(&self, v: Val) -> Origin {
        match v.of {
            Some(of) if self.is_object(of) => Origin::Object,
            None if v.kind == Kind::Object => Origin::Object,
            None if v.home.is_none() => Origin::Fresh,
            _ => Origin::Slot,
        }
    }

    /// The origin of an entry of the stack, as the leader wants it.
    fn edge_origin(&mut self, unit: u32, n: usize, v: Val, want: Origin) -> Option<ir::Value> {
        let have = self.origin(v);
        if have > want {
            self.hints.of.insert((unit, n as u32), have);
            self.hints.changed = true;
        }
        match want {
            Origin::Fresh => None,
            Origin::Slot => {
                let word = v.home.map_or(ir::origin::NONE, ir::origin::slot);
                Some(v.of.filter(|of| !self.is_object(*of)).unwrap_or_else(|| self.constant(Op::ConstPtr, Imm::Int(word))))
            }
            Origin::Object => Some(match v.of {
                Some(of) => of,
                None if v.kind == Kind::Object => self.make_own(v).v,
                None => self.value(Op::Null, Imm::None, &[], None),
            }),
        }
    }

    /// Completes an edge: brings its state into the leader's shape and jumps.
    pub fn convert(&mut self, unit: u32, edge: Edge) {
        let Some(leader) = self.leaders.get(&unit).cloned() else { return };
        if edge.state.stack.len() != leader.stack.len() {
            // Hostile code: make the translation fail by never settling; the verifier of depths is in `enter_leader`.
            self.hints.changed = true;
            return;
        }
        let saved_at = self.at.replace(edge.block);
        let saved = (std::mem::take(&mut self.stack), std::mem::take(&mut self.locals));
        self.stack = edge.state.stack;
        self.locals = edge.state.locals;
        let traced = std::mem::replace(&mut self.untraced, edge.state.untraced && !leader.untraced);
        self.trace();
        // Entries that become objects first: the slots of locals may get theirs by it.
        for n in 0..leader.stack.len() {
            let v = self.stack[n];
            if !matches!(v.kind, Kind::Int | Kind::Float) {
                continue;
            }
            if leader.stack[n].kind == Kind::Object {
                self.stack[n] = self.make_own(v);
            } else if leader.stack[n].bare == Some(Origin::Object) && self.origin(v) == Origin::Slot {
                let o = self.make_own(v);
                self.stack[n] = Val { home: None, of: Some(o.v), ..v };
            }
        }
        let mut args = Vec::new();
        for n in 0..leader.locals.len() {
            let shape = leader.locals[n];
            let local = n as u32;
            if shape.plain && !self.locals[n].plain {
                if edge.outside && shape.number.is_none() {
                    let slot = self.const_int(i64::from(local));
                    let state = self.here(unit);
                    if let Some(ok) = self.emit(Op::CallBool, Imm::Helper("slot_is_plain"), &[slot], 0, Some(state)) {
                        self.emit(Op::GuardTrue, Imm::None, &[ok], 0, Some(state));
                    }
                } else if shape.number.is_none() {
                    self.hint_rough(unit, local);
                }
                // A number: unboxing it below proves the slot plain.
            }
            let Some(kind) = shape.number else {
                // A number that the loop's head would rather have had unboxed?
                let l = self.locals[n];
                if let Some((k, _)) = l.number {
                    let wanted = !edge.outside
                        && k != Kind::Bool
                        && self.flow.is_live(unit, local)
                        && self.is_loop_head(unit)
                        && !self.hints.locals.contains_key(&(unit, local))
                        && !self.facts.is_generic(unit);
                    if wanted {
                        self.hints.locals.insert((unit, local), Hint::Force(k));
                        self.hints.changed = true;
                    }
                }
                self.edge_sync(local, unit);
                continue;
            };
            let l = self.locals[n];
            match l.number {
                Some((k, v)) if k == kind => {
                    if l.stale && !shape.stale {
                        // A number that only becomes stale in the loop: let it be stale from the start, rather than box it each time round.
                        self.hints.stale.insert((unit, local), ());
                        self.hints.changed = true;
                        self.edge_sync(local, unit);
                    }
                    args.push(v);
                    self.edge_unless(unit, local, shape, &mut args);
                }
                _ => {
                    let forced = self.hints.locals.get(&(unit, local)) == Some(&Hint::Force(kind));
                    if !(edge.outside || forced && l.number.is_none()) {
                        self.hints.locals.insert((unit, local), Hint::Memory);
                        self.hints.changed = true;
                    }
                    self.edge_sync(local, unit);
                    let v = self.unbox_slot(local, kind, unit);
                    args.push(v);
                    self.edge_unless(unit, local, shape, &mut args);
                }
            }
        }
        for (n, shape) in leader.stack.iter().enumerate() {
            let v = self.stack[n];
            let v = match (shape.kind, v.kind) {
                (a, b) if a == b && a.is_number() => {
                    if let Some(want) = shape.bare {
                        Val { home: None, of: self.edge_origin(unit, n, v, want), ..v }
                    } else {
                        if a != Kind::Bool && (v.home != shape.home || v.of.is_some()) {
                            self.hints.stack.insert((unit, n as u32), ());
                            self.hints.changed = true;
                        }
                        v
                    }
                }
                (Kind::Word, Kind::Word) => v,
                (Kind::Nullable, Kind::Null | Kind::Nullable | Kind::Object) => self.make_own(v),
                (Kind::Object, Kind::Object) | (Kind::Object, Kind::Int | Kind::Float | Kind::Bool) => {
                    let mut o = self.make_own(v);
                    if let Some(class) = shape.class {
                        if o.class != Some(class) {
                            if edge.outside {
                                self.stack[n] = o;
                                let state = self.here(unit);
                                o.v = self.value(Op::GuardType, Imm::Obj(ObjId(class)), &[o.v], Some(state));
                            } else {
                                self.hints.stack.insert((unit, n as u32), ());
                                self.hints.changed = true;
                            }
                        } else if self.f.ty(o.v).class.is_none() {
                            let ty = Type { class: Some(ObjId(class)), ..self.f.ty(o.v) };
                            self.f.set_type(o.v, ty);
                        }
                    }
                    o
                }
                (k, Kind::Object) if k.is_number() && edge.outside => {
                    let state = self.here(unit);
                    let op = match k {
                        Kind::Int => Op::UnboxInt,
                        Kind::Float => Op::UnboxFloat,
                        _ => Op::UnboxBool,
                    };
                    let x = self.value(op, Imm::None, &[v.v], Some(state));
                    let of = shape.bare.and_then(|want| self.edge_origin(unit, n, v, want));
                    let number = Val { home: shape.home, of, ..Val::number(k, x) };
                    self.stack[n] = number;
                    if v.own && shape.bare != Some(Origin::Object) {
                        let state = self.dropping(true);
                        self.emit(Op::Drop, Imm::None, &[v.v], 0, Some(state));
                    }
                    number
                }
                _ => {
                    self.hints.stack.insert((unit, n as u32), ());
                    self.hints.changed = true;
                    v
                }
            };
            self.stack[n] = v;
            args.push(v.v);
            args.extend(v.of.filter(|_| shape.bare.is_some()));
        }
        if let Some(at) = self.at {
            self.jump_to(at, leader.block, args);
        }
        (self.stack, self.locals) = saved;
        self.untraced = traced;
        self.at = saved_at;
    }

    /// Says to the leader whether a local that is stale there arrives with its object in the slot.
    fn edge_unless(&mut self, unit: u32, local: u32, shape: LocalShape, args: &mut Vec<ir::Value>) {
        let l = self.locals[local as usize];
        if shape.unless {
            let current = match l.unless {
                Some(v) if l.stale => v,
                _ => self.constant(Op::ConstBool, Imm::Bool(!l.stale)),
            };
            args.push(current);
        } else if shape.stale && shape.number != Some(Kind::Bool) && (!l.stale || l.unless.is_some()) {
            self.hints.unless.insert((unit, local), ());
            self.hints.changed = true;
        }
    }

    fn is_loop_head(&self, unit: u32) -> bool {
        self.flow.entries.contains(&unit)
    }

    fn hint_rough(&mut self, unit: u32, local: u32) {
        if self.hints.rough.insert((unit, local), ()).is_none() {
            self.hints.changed = true;
        }
    }

    /// The state at the end of an edge: about to run the leader's first instruction.
    fn here(&mut self, unit: u32) -> ir::State {
        let i = self.instrs[self.flow.index_of(unit)];
        let state =
            FrameState { unit: i.offset, resume: i.start, stack: Self::stack_entries(&self.stack), stale: self.stale(), handler: None };
        self.f.state(state)
    }

    fn edge_sync(&mut self, local: u32, unit: u32) {
        if self.locals[local as usize].stale {
            let state = self.here(unit);
            self.sync_with(local, state);
        }
    }

    /// A local's number out of its slot, with guards that leave at the leader.
    fn unbox_slot(&mut self, local: u32, kind: Kind, unit: u32) -> ir::Value {
        let state = self.here(unit);
        let o = self.value(Op::LoadLocal, Imm::Slot(local), &[], None);
        let o = self.value(Op::GuardNotNull, Imm::None, &[o], Some(state));
        let op = match kind {
            Kind::Float => Op::UnboxFloat,
            Kind::Bool => Op::UnboxBool,
            _ => Op::UnboxInt,
        };
        self.value(op, Imm::None, &[o], Some(state))
    }
}

fn type_of(kind: Kind, class: Option<u64>) -> Type {
    match kind {
        Kind::Object => class.map_or(Type::OBJECT, |c| Type::exactly(ObjId(c))),
        Kind::Nullable | Kind::Null => Type::OBJECT_OR_NULL,
        Kind::Int => Type::INT64,
        Kind::Float => Type::FLOAT64,
        Kind::Bool => Type::BOOL,
        Kind::Word => Type::PTR,
    }
}
