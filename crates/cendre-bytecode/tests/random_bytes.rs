//! Arbitrary bytes never make the decoder or the table readers panic, and what they accept is well formed.
//!
//! Holds: a fixed pseudo-random generator (xorshift), pure noise, and noise strewn over real code of the fixture.
//! Invariant: the same bytes on every run, so a failure repeats. Read `decode_fixture.rs` for what real code must give.

use cendre_bytecode::decode::{index_of_start, no_executors};
use cendre_bytecode::{DecodeError, Edge, ExceptionTable, LineTable, Opcode, decode};

struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let len = self.next() % (most + 1);
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Decodes and checks the decoder's promises; whether the bytes were accepted.
fn try_code(bytes: &[u8], executor: &dyn Fn(u32) -> Option<(u8, u8)>) -> Result<(), DecodeError> {
    let instrs = decode(bytes, executor).inspect_err(|error| assert!(!error.to_string().is_empty()))?;
    let mut next = 0;
    for instr in &instrs {
        assert_eq!(instr.start, next);
        assert!(instr.start <= instr.offset && instr.offset < instr.next);
        assert_eq!(instr.next - instr.offset, 1 + u32::from(instr.op.caches()));
        assert!(!matches!(instr.op, Opcode::ExtendedArg | Opcode::Cache | Opcode::EnterExecutor | Opcode::Reserved));
        assert!(!instr.op.is_instrumented());
        assert_eq!(instr.cache.len(), usize::from(instr.op.caches()));
        if let Some(target) = instr.jump_target {
            assert!(index_of_start(&instrs, target).is_some());
        }
        // Readers of caches and effects take whatever is there.
        let _ = (instr.load_global_cache(), instr.load_attr_cache(), instr.store_attr_cache(), instr.call_cache());
        let _ = (instr.binary_op_cache(), instr.to_bool_cache(), instr.counter(), instr.branch_history());
        let _ = (instr.inline_return_offset(), instr.stack_effect(Edge::Next), instr.stack_effect(Edge::Jump));
        next = instr.next;
    }
    assert_eq!(next as usize * 2, bytes.len());
    assert!(instrs.last().unwrap().op.is_terminator());
    Ok(())
}

#[test]
fn noise_never_panics() {
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    let (mut tables, mut lines) = (0, 0);
    for _ in 0..40_000 {
        let bytes = random.bytes(60);
        let _ = try_code(&bytes, &no_executors);
        let _ = try_code(&bytes, &|index| Some((index as u8, index as u8)));
        if let Ok(table) = ExceptionTable::parse(&bytes) {
            tables += usize::from(!bytes.is_empty());
            for handler in table.handlers() {
                assert!(handler.start < handler.end);
                assert_eq!(table.lookup(handler.start), Some(handler));
                assert_eq!(table.lookup(handler.end - 1), Some(handler));
            }
        }
        if let Ok(table) = LineTable::parse(&bytes, 1) {
            lines += usize::from(!bytes.is_empty());
            let end = table.locations().last().map_or(0, |location| location.end);
            assert!((0..end).all(|unit| table.lookup(unit).is_some()));
            assert_eq!(table.lookup(end), None);
        }
    }
    assert!(tables > 0 && lines > 0, "noise that is never accepted tests too little: {tables} {lines}");
}

#[test]
fn damaged_code_never_panics() {
    let fixture = include_str!("fixtures/decode.txt");
    let codes: Vec<Vec<u8>> = fixture
        .lines()
        .filter_map(|line| line.strip_prefix("bytes "))
        .map(|text| (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect())
        .collect();
    let mut random = XorShift(42);
    let (mut accepted, mut refused) = (0, std::collections::HashSet::new());
    for _ in 0..300 {
        for code in &codes {
            let mut bytes = code.clone();
            for _ in 0..1 + random.next() % 3 {
                let at = random.next() as usize % bytes.len();
                bytes[at] = (random.next() >> 32) as u8;
            }
            if random.next().is_multiple_of(8) {
                bytes.truncate(random.next() as usize % bytes.len());
            }
            match try_code(&bytes, &|index| (index < 100).then_some((Opcode::Nop as u8, 0))) {
                Ok(()) => accepted += 1,
                Err(error) => drop(refused.insert(std::mem::discriminant(&error))),
            }
        }
    }
    assert!(accepted > 1000, "{accepted}");
    // Most reasons come up by chance; the decoder's unit tests hold each one.
    assert!(refused.len() >= 10, "{} kinds of errors", refused.len());
}
