//! The text form of a function. Stable: the parser reads back exactly what is printed here.
//!
//! Invariant: names are the entities' own numbers (`v3`, `bb1`, `fs0`), so a printed function and one in memory can be compared
//! in a debugger; gaps in the numbering stay gaps. A state is printed right above the first instruction that uses it.
//! Read docs/internals/ir.md, "Text form".

use crate::function::{Block, FrameState, Function, Imm, Inst, State, Target, Value};
use std::fmt::{self, Write};

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "function {} nlocals={} stack={} {{", quote(&self.name), self.nlocals, self.stack_size)?;
        for e in &self.entries {
            writeln!(out, "entry {} bb{}", e.unit, e.block.0)?;
        }
        let mut printed = vec![false; self.states.len()];
        for (i, block) in self.blocks.iter().enumerate() {
            writeln!(out, "{}", block_head(self, Block(i as u32)))?;
            for inst in &block.insts {
                if let Some(s) = self.insts[inst.index()].state
                    && !std::mem::replace(&mut printed[s.index()], true)
                {
                    writeln!(out, "  fs{} = {}", s.0, state_text(&self.states[s.index()]))?;
                }
                writeln!(out, "  {}", inst_text(self, *inst))?;
            }
        }
        out.write_str("}\n")
    }
}

/// The first line of a block: `bb1(v0: Int64) cold:`.
fn block_head(f: &Function, block: Block) -> String {
    let data = &f.blocks[block.index()];
    let mut s = format!("bb{}", block.0);
    if !data.params.is_empty() {
        s.push('(');
        list(&mut s, &data.params, |s, v| typed(s, f, *v));
        s.push(')');
    }
    s.push_str(if data.cold { " cold:" } else { ":" });
    s
}

/// One instruction as text, without indentation: `v3: Int64 = iadd v1, v2 fs0`.
pub fn inst_text(f: &Function, inst: Inst) -> String {
    let data = &f.insts[inst.index()];
    let mut s = String::new();
    if !data.results.is_empty() {
        list(&mut s, &data.results, |s, v| typed(s, f, *v));
        s.push_str(" = ");
    }
    s.push_str(data.op.row().text);
    imm(&mut s, &data.imm);
    if !data.args.is_empty() {
        s.push(' ');
        let mut i = 0;
        list(&mut s, &data.args, |s, v| {
            if data.owns(i) {
                s.push_str("own ");
            }
            i += 1;
            let _ = write!(s, "v{}", v.0);
        });
    }
    if !data.targets.is_empty() {
        s.push(' ');
        list(&mut s, &data.targets, target);
    }
    if let Some(State(n)) = data.state {
        let _ = write!(s, " fs{n}");
    }
    s
}

/// A frame state as text, without its name: `12/12 stack=[own v1] handler=bb5 depth 1`.
pub fn state_text(state: &FrameState) -> String {
    let mut s = format!("{}/{}", state.unit, state.resume);
    if !state.stack.is_empty() {
        s.push_str(" stack=[");
        list(&mut s, &state.stack, |s, e| {
            let _ = write!(s, "{}v{}", if e.own { "own " } else { "" }, e.value.0);
            if let Some(slot) = e.home {
                let _ = write!(s, " in ${slot}");
            }
            if let Some(n) = e.twin {
                let _ = write!(s, " as {n}");
            }
            if let Some(v) = e.of {
                let _ = write!(s, " of v{}", v.0);
            }
        });
        s.push(']');
    }
    if !state.stale.is_empty() {
        s.push_str(" stale=[");
        list(&mut s, &state.stale, |s, e| {
            let _ = write!(s, "${}: v{}", e.slot, e.value.0);
            if let Some(v) = e.unless {
                let _ = write!(s, " unless v{}", v.0);
            }
        });
        s.push(']');
    }
    if let Some(h) = state.handler {
        let _ = write!(s, " handler=bb{} depth {}{}", h.block.0, h.depth, if h.lasti { " lasti" } else { "" });
    }
    s
}

fn list<T>(s: &mut String, items: &[T], mut one: impl FnMut(&mut String, &T)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            s.push_str(", ");
        }
        one(s, item);
    }
}

fn typed(s: &mut String, f: &Function, v: Value) {
    let _ = write!(s, "v{}: {}", v.0, f.ty(v));
}

fn target(s: &mut String, t: &Target) {
    let _ = write!(s, "bb{}", t.block.0);
    if !t.args.is_empty() {
        s.push('(');
        list(s, &t.args, |s, v| {
            let _ = write!(s, "v{}", v.0);
        });
        s.push(')');
    }
}

fn imm(s: &mut String, imm: &Imm) {
    let _ = match imm {
        Imm::None => Ok(()),
        Imm::Int(i) => write!(s, " {i}"),
        Imm::Float(bits) => {
            let x = f64::from_bits(*bits);
            // Shortest text that reads back to the same double; what has no such text is printed as its bits.
            if x.is_finite() { write!(s, " {x:?}") } else { write!(s, " 0x{bits:016x}") }
        }
        Imm::Bool(b) => write!(s, " {b}"),
        Imm::Obj(o) => write!(s, " #{}", o.0),
        Imm::Slot(n) => write!(s, " ${n}"),
        Imm::Cond(c) => write!(s, " {}", c.name()),
        Imm::Helper(h) => write!(s, " @{h}"),
        Imm::HelperInt(h, i) => write!(s, " @{h} {i}"),
        Imm::ObjInt(o, i) => write!(s, " #{} {i}", o.0),
        Imm::IntInt(a, b) => write!(s, " {a} {b}"),
        Imm::SlotInt(n, i) => write!(s, " ${n} {i}"),
    };
}

/// A string in double quotes; quotes, backslashes and control characters escaped as `\u{..}`.
pub(crate) fn quote(text: &str) -> String {
    let mut s = String::from("\"");
    for c in text.chars() {
        if c == '"' || c == '\\' || c.is_control() {
            let _ = write!(s, "\\u{{{:x}}}", u32::from(c));
        } else {
            s.push(c);
        }
    }
    s.push('"');
    s
}
