//! The decoder against `dis`: what CPython says of real code objects, the decoder must say too.
//!
//! Holds: the reader of `fixtures/decode.txt` (written by `scripts/gen_opcodes.py`) and the comparison of every
//! instruction, handler and source position. Invariant: expected values are CPython's, none is the decoder's own.
//! `CENDRE_DECODE_CORPUS=file` checks another file of the same format as well (`gen_opcodes.py --corpus`).

use cendre_bytecode::decode::{index_containing, index_of_start, no_executors};
use cendre_bytecode::{ExceptionTable, Instr, LineTable, Opcode, decode};

fn hex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn number(text: &str) -> Option<u32> {
    if text == "-" { None } else { Some(text.parse().unwrap()) }
}

#[derive(Default)]
struct Code {
    name: String,
    first_line: u32,
    bytes: Vec<u8>,
    handlers: Vec<u8>,
    lines: Vec<u8>,
    instrs: Vec<Vec<String>>,
    expected_handlers: Vec<String>,
    positions: Vec<Vec<Option<u32>>>,
}

/// Calls `check` with each code object of the file; the number of them.
fn each_code(text: &str, mut check: impl FnMut(&Code)) -> usize {
    let mut count = 0;
    let mut code = Code::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "code" => {
                if count > 0 {
                    check(&code);
                }
                count += 1;
                code = Code { name: words[1].into(), first_line: words[2].parse().unwrap(), ..Code::default() };
            }
            "bytes" => code.bytes = hex(words[1]),
            "handlers" => code.handlers = hex(words[1]),
            "lines" => code.lines = hex(words[1]),
            "i" => code.instrs.push(words[1..].iter().map(|word| word.to_string()).collect()),
            "h" => code.expected_handlers.push(words[1..].join(" ")),
            "p" => code.positions.push(words[1..].iter().map(|word| number(word)).collect()),
            other => panic!("unknown line {other}"),
        }
    }
    check(&code);
    count
}

fn check_instr(code: &Code, instr: &Instr, expected: &[String], instrs: &[Instr]) {
    let name = &code.name;
    let [offset, start, op, base, arg, next, target] = expected else { panic!("{name}: {expected:?}") };
    assert_eq!(Some(instr.offset), number(offset), "{name}: {expected:?}");
    assert_eq!(Some(instr.start), number(start), "{name}: {expected:?}");
    assert_eq!(instr.op.name(), op, "{name}: {expected:?}");
    assert_eq!(instr.base.name(), base, "{name}: {expected:?}");
    assert_eq!(instr.op.has_arg(), number(arg).is_some(), "{name}: {expected:?}");
    assert_eq!(instr.arg, number(arg).unwrap_or(0), "{name}: {expected:?}");
    assert_eq!(Some(instr.next), number(next), "{name}: {expected:?}");
    // dis names the END_FOR, the decoder what is behind it.
    let skipped = u32::from(instr.base == Opcode::ForIter);
    assert_eq!(instr.jump_target, number(target).map(|target| target + skipped), "{name}: {expected:?}");
    if let Some(target) = instr.jump_target {
        let landing = index_of_start(instrs, target).unwrap();
        if skipped == 1 {
            assert_eq!(instrs[landing].op, Opcode::PopIter, "{name}: {expected:?}");
        }
    }
    for unit in instr.start..instr.next {
        assert_eq!(instrs[index_containing(instrs, unit).unwrap()], *instr);
    }
    let cache: Vec<u16> = (instr.offset + 1..instr.next)
        .map(|unit| unit as usize * 2)
        .map(|at| u16::from_ne_bytes([code.bytes[at], code.bytes[at + 1]]))
        .collect();
    assert_eq!(*instr.cache, *cache);
}

/// Compares everything about one code object; the number of dead instructions.
fn check_code(code: &Code) -> usize {
    let name = &code.name;
    let instrs = decode(&code.bytes, &no_executors).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(instrs.len(), code.instrs.len(), "{name}");
    for (instr, expected) in instrs.iter().zip(&code.instrs) {
        check_instr(code, instr, expected, &instrs);
    }

    let table = ExceptionTable::parse(&code.handlers).unwrap_or_else(|error| panic!("{name}: {error}"));
    let handlers: Vec<String> =
        table.handlers().iter().map(|h| format!("{} {} {} {} {}", h.start, h.end, h.target, h.depth, u8::from(h.lasti))).collect();
    assert_eq!(handlers, code.expected_handlers, "{name}");
    table.check(&instrs).unwrap_or_else(|error| panic!("{name}: {error}"));
    for instr in &instrs {
        let covering = table.handlers().iter().find(|h| (h.start..h.end).contains(&instr.offset));
        assert_eq!(table.lookup(instr.offset), covering, "{name}");
    }

    let lines = LineTable::parse(&code.lines, code.first_line).unwrap_or_else(|error| panic!("{name}: {error}"));
    for expected in &code.positions {
        for unit in expected[0].unwrap()..expected[1].unwrap() {
            let at = lines.lookup(unit).unwrap();
            assert_eq!([at.line, at.end_line, at.column, at.end_column], expected[2..], "{name} unit {unit}");
            assert_eq!(lines.line(unit), expected[2], "{name} unit {unit}");
        }
    }
    let units = code.bytes.len() as u32 / 2;
    assert_eq!(code.positions.last().unwrap()[1], Some(units), "{name}");
    assert_eq!(lines.locations().last().unwrap().end, units, "{name}");
    check_heights(name, &instrs, &table)
}

/// One stack height per instruction must satisfy every edge: stack effects, handlers and jump targets agree.
/// The number of instructions that no edge leads to.
fn check_heights(name: &str, instrs: &[Instr], table: &ExceptionTable) -> usize {
    use cendre_bytecode::Edge;
    let mut heights: Vec<Option<u32>> = vec![None; instrs.len()];
    let mut work = vec![(0, 0)];
    while let Some((index, height)) = work.pop() {
        if let Some(known) = heights[index] {
            assert_eq!(known, height, "{name}: {:?}", instrs[index]);
            continue;
        }
        heights[index] = Some(height);
        let instr = &instrs[index];
        let mut after = |edge, to| {
            let effect = instr.stack_effect(edge);
            assert!(effect.popped <= height, "{name}: {instr:?} at height {height}");
            work.push((to, height - effect.popped + effect.pushed));
        };
        if instr.falls_through() {
            after(Edge::Next, index + 1);
        } else if instr.jump_target.is_none() {
            assert!(instr.stack_effect(Edge::Next).popped <= height, "{name}: {instr:?}");
        }
        if let Some(target) = instr.jump_target {
            after(Edge::Jump, index_of_start(instrs, target).unwrap());
        }
        if let Some(handler) = table.lookup(instr.offset) {
            let at_handler = handler.depth + u32::from(handler.lasti) + 1;
            work.push((index_of_start(instrs, handler.target).unwrap(), at_handler));
        }
    }
    // END_FOR has no edge in the decoder's view: only the frame of a generator returns to it. Other dead code is rare
    // (the clean-up of a handler that cannot raise), but the compiler does leave it.
    let mut dead = 0;
    for (instr, height) in instrs.iter().zip(&heights) {
        let end_for = instr.op == Opcode::EndFor;
        assert!(height.is_none() || !end_for, "{name}: {instr:?} at height {height:?}");
        dead += usize::from(height.is_none() && !end_for);
    }
    dead
}

#[test]
fn agrees_with_dis() {
    let mut specialized = 0;
    let mut extended = 0;
    let count = each_code(include_str!("fixtures/decode.txt"), |code| {
        assert_eq!(check_code(code), 0, "{}: the sample has no dead code", code.name);
        for instr in decode(&code.bytes, &no_executors).unwrap() {
            specialized += usize::from(instr.op.is_specialized());
            extended += usize::from(instr.start != instr.offset);
        }
    });
    assert!(count >= 20, "{count} code objects");
    assert!(specialized >= 20 && extended >= 10, "{specialized} specialised, {extended} extended");
    if let Ok(path) = std::env::var("CENDRE_DECODE_CORPUS") {
        let more = each_code(&std::fs::read_to_string(path).unwrap(), |code| {
            check_code(code);
        });
        assert!(more > 0);
    }
}
