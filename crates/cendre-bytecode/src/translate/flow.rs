//! Control flow of the bytecode: leaders, the order of translation, predecessors, live locals, entries.
//!
//! Invariant: every edge that the translator can create is known here (jumps, falling through, the short cuts of awaits,
//! handlers); a leader with just one predecessor inherits its state, all others get block parameters.

use super::{Refusal, flag, underflow};
use crate::facts::CodeFacts;
use crate::{ExceptionTable, Instr, Opcode};
use cendre_ir::hash::{HashMap, HashSet};

pub(crate) struct Flow {
    /// Leaders in the order in which they are translated: reverse postorder.
    pub order: Vec<u32>,
    index: HashMap<u32, usize>,
    leaders: HashSet<u32>,
    /// Number of edges that reach a leader (handlers and entries count twice, so that they never inherit).
    preds: HashMap<u32, u32>,
    /// Ways in: RESUMEs and loop heads.
    pub entries: HashSet<u32>,
    /// Live locals at leaders and behind observable instructions: bit sets by instruction index.
    live: Vec<Vec<u64>>,
    /// Awaits: unit of the CALL or GET_ANEXT -> units of what follows it.
    pub awaits: HashMap<u32, AwaitShape>,
    pub start: u32,
}

/// `CALL; GET_AWAITABLE; LOAD_CONST None; SEND; YIELD_VALUE; RESUME; ...; END_SEND`; also of CALL_KW and CALL_FUNCTION_EX, and `GET_ANEXT; LOAD_CONST None; ...`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AwaitShape {
    pub site: u32,
    pub call: u32,
    /// Where an ordinary call goes on: the GET_AWAITABLE, or behind GET_ANEXT.
    pub get_awaitable: u32,
    pub send: u32,
    pub yield_value: u32,
    pub end_send: u32,
    pub behind: u32,
}

impl Flow {
    pub fn new(code: &CodeFacts, instrs: &[Instr], table: &ExceptionTable) -> Result<Flow, Refusal> {
        let mut index = HashMap::default();
        for (n, i) in instrs.iter().enumerate() {
            index.insert(i.start, n);
        }
        let awaits = find_awaits(instrs, &index);
        let mut leaders = HashSet::default();
        let mut entries = HashSet::default();
        let generator = code.flags & flag::ANY_GENERATOR != 0;
        let mut first_resume = None;
        for (n, i) in instrs.iter().enumerate() {
            if let Some(t) = i.jump_target {
                leaders.insert(t);
                if i.base == Opcode::JumpBackward {
                    entries.insert(t);
                }
            }
            if (i.jump_target.is_some() || !i.falls_through()) && n + 1 < instrs.len() {
                leaders.insert(instrs[n + 1].start);
            }
            if i.base == Opcode::Resume {
                leaders.insert(i.start);
                entries.insert(i.start);
                first_resume.get_or_insert(i.start);
            }
        }
        for a in awaits.values() {
            leaders.extend([a.get_awaitable, a.send, a.yield_value, a.end_send, a.behind]);
        }
        for h in table.handlers() {
            leaders.insert(h.target);
        }
        // A generator's own start (RETURN_GENERATOR) belongs to the interpreter: bodies begin at its first RESUME.
        let start = if generator { first_resume.ok_or_else(|| Refusal::new("generator without RESUME"))? } else { 0 };
        leaders.insert(start);
        entries.insert(start);
        let mut flow = Flow { order: Vec::new(), index, leaders, preds: HashMap::default(), entries, live: Vec::new(), awaits, start };
        flow.order_and_preds(instrs, table)?;
        flow.liveness(code, instrs, table);
        Ok(flow)
    }

    pub fn is_leader(&self, unit: u32) -> bool {
        self.leaders.contains(&unit)
    }
    pub fn index_of(&self, unit: u32) -> usize {
        self.index.get(&unit).copied().unwrap_or(0)
    }
    /// Does an await go on here with its value?
    pub fn is_behind_await(&self, unit: u32) -> bool {
        self.awaits.values().any(|a| a.behind == unit)
    }
    pub fn all_leaders(&self) -> impl Iterator<Item = u32> + '_ {
        self.leaders.iter().copied()
    }
    /// May the leader inherit the state of its only edge?
    pub fn inherits(&self, unit: u32) -> bool {
        self.preds.get(&unit) == Some(&1)
    }
    pub fn is_live(&self, unit: u32, local: u32) -> bool {
        match self.index.get(&unit) {
            Some(n) => self.live[*n].get(local as usize / 64).is_some_and(|w| w >> (local % 64) & 1 != 0),
            None => true,
        }
    }

    /// Where control goes from an instruction, handlers apart.
    fn targets(&self, n: usize, instrs: &[Instr]) -> Vec<u32> {
        let i = &instrs[n];
        let mut out = Vec::new();
        if let Some(a) = self.awaits.get(&i.start) {
            out.extend([a.behind, a.yield_value, a.get_awaitable]);
            return out;
        }
        if i.falls_through()
            && let Some(next) = instrs.get(n + 1)
        {
            out.push(next.start);
        }
        out.extend(i.jump_target);
        out
    }

    fn order_and_preds(&mut self, instrs: &[Instr], table: &ExceptionTable) -> Result<(), Refusal> {
        let mut succ: HashMap<u32, Vec<u32>> = HashMap::default();
        let mut preds: HashMap<u32, u32> = HashMap::default();
        for &leader in &self.leaders {
            let mut out = Vec::new();
            let mut n = *self.index.get(&leader).ok_or_else(underflow)?;
            loop {
                if let Some(h) = table.lookup(instrs[n].offset) {
                    out.push(h.target);
                }
                let targets = self.targets(n, instrs);
                let next = instrs.get(n + 1).map(|i| i.start);
                let straight = targets.len() == 1 && targets.first().copied() == next && !self.leaders.contains(&targets[0]);
                if straight {
                    n += 1;
                    continue;
                }
                out.extend(targets);
                break;
            }
            succ.insert(leader, out);
        }
        // Reverse postorder from all ways in: loop heads that are only entered in the middle are reached from the start as well.
        let mut seen = HashSet::default();
        let mut post = Vec::new();
        let mut roots = vec![self.start];
        let mut rest: Vec<u32> = self.entries.iter().copied().collect();
        rest.sort_unstable();
        roots.extend(rest);
        let mut all = Vec::new();
        for root in roots {
            if !seen.insert(root) {
                continue;
            }
            post.clear();
            let mut stack = vec![(root, 0)];
            while let Some((u, k)) = stack.last_mut() {
                let next = succ.get(u).and_then(|s| s.get(*k)).copied();
                *k += 1;
                match next {
                    Some(v) => {
                        if seen.insert(v) {
                            stack.push((v, 0));
                        }
                    }
                    None => {
                        post.push(*u);
                        stack.pop();
                    }
                }
            }
            all.extend(post.iter().rev().copied());
        }
        for u in &all {
            for t in &succ[u] {
                *preds.entry(*t).or_insert(0) += 1;
            }
        }
        for h in table.handlers() {
            *preds.entry(h.target).or_insert(0) += 2;
        }
        for e in &self.entries {
            *preds.entry(*e).or_insert(0) += 2;
        }
        self.order = all;
        self.preds = preds;
        Ok(())
    }

    /// Backward data flow over instructions; a handler's needs count for every instruction that it covers.
    fn liveness(&mut self, code: &CodeFacts, instrs: &[Instr], table: &ExceptionTable) {
        let words = (code.nlocalsplus as usize).div_ceil(64);
        let mut live = vec![vec![0u64; words]; instrs.len()];
        let mut changed = true;
        let set = |bits: &mut [u64], local: u32, on: bool| {
            if let Some(w) = bits.get_mut(local as usize / 64) {
                if on { *w |= 1 << (local % 64) } else { *w &= !(1 << (local % 64)) }
            }
        };
        while changed {
            changed = false;
            for n in (0..instrs.len()).rev() {
                let i = &instrs[n];
                let mut bits = vec![0u64; words];
                let join = |unit: u32, bits: &mut Vec<u64>| {
                    if let Some(t) = self.index.get(&unit) {
                        for (a, b) in bits.iter_mut().zip(&live[*t]) {
                            *a |= b;
                        }
                    }
                };
                for t in self.targets(n, instrs) {
                    join(t, &mut bits);
                }
                if i.falls_through() && n + 1 < instrs.len() {
                    join(instrs[n + 1].start, &mut bits);
                }
                let (lo, hi) = (i.arg & 15, i.arg >> 4);
                match i.base {
                    Opcode::StoreFast | Opcode::LoadFastAndClear | Opcode::DeleteFast => set(&mut bits, i.arg, false),
                    Opcode::StoreFastStoreFast => {
                        set(&mut bits, lo, false);
                        set(&mut bits, hi, false);
                    }
                    Opcode::StoreFastLoadFast => {
                        set(&mut bits, lo, true);
                        set(&mut bits, hi, false);
                    }
                    _ => {}
                }
                match i.base {
                    Opcode::LoadFast | Opcode::LoadFastBorrow | Opcode::LoadFastCheck => set(&mut bits, i.arg, true),
                    Opcode::LoadFastLoadFast | Opcode::LoadFastBorrowLoadFastBorrow => {
                        set(&mut bits, lo, true);
                        set(&mut bits, hi, true);
                    }
                    _ => {}
                }
                if let Some(h) = table.lookup(i.offset) {
                    join(h.target, &mut bits);
                }
                if bits != live[n] {
                    live[n] = bits;
                    changed = true;
                }
            }
        }
        self.live = live;
    }
}

/// Finds the calls whose result is awaited at once.
fn find_awaits(instrs: &[Instr], index: &HashMap<u32, usize>) -> HashMap<u32, AwaitShape> {
    let mut out = HashMap::default();
    for n in 0..instrs.len() {
        let call = &instrs[n];
        let fits = match call.base {
            Opcode::Call | Opcode::CallKw => call.arg as usize <= super::MOST_ARGUMENTS,
            Opcode::CallFunctionEx | Opcode::GetAnext => true,
            _ => false,
        };
        let awaitable = call.base != Opcode::GetAnext;
        let behind_call = instrs.get(n + 1..).unwrap_or_default();
        let rest = behind_call.get(usize::from(awaitable)..).unwrap_or_default();
        let ([get, ..], [none, send, yield_value, resume, ..]) = (behind_call, rest) else { continue };
        if !fits
            || awaitable && get.base != Opcode::GetAwaitable
            || none.base != Opcode::LoadConst
            || send.base != Opcode::Send
            || yield_value.base != Opcode::YieldValue
            || resume.base != Opcode::Resume
        {
            continue;
        }
        let Some(end) = send.jump_target.and_then(|t| index.get(&t)) else { continue };
        if instrs[*end].base != Opcode::EndSend {
            continue;
        }
        let Some(behind) = instrs.get(end + 1) else { continue };
        // Nobody may jump between the CALL and the SEND.
        let between = [get.start, none.start];
        if instrs.iter().any(|i| i.jump_target.is_some_and(|t| between.contains(&t))) {
            continue;
        }
        let site = out.len() as u32;
        out.insert(
            call.start,
            AwaitShape {
                site,
                call: instrs[n].offset,
                get_awaitable: get.start,
                send: send.start,
                yield_value: yield_value.start,
                end_send: instrs[*end].start,
                behind: behind.start,
            },
        );
    }
    out
}
