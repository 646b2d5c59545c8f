//! The front end on real bytecode: every code object of the fixture becomes IR that the verifier accepts, or is refused with a reason.
//!
//! Holds: a reader of `fixtures/decode.txt` (as much as the front end needs) and invented facts, so that all guarded paths are
//! taken. Invariant: no panic, no broken rule, and all but the expected few are translated.
//! `CENDRE_DECODE_CORPUS=file` translates another file of the same format as well.

use cendre_bytecode::Opcode;
use cendre_bytecode::facts::{
    ClassFact, CodeFacts, Const, ConstFact, Facts, FloatSide, FunctionFact, GlobalCells, Known, ObjFact, Parameters, ThroughClass,
};
use cendre_bytecode::translate::translate;
use cendre_ir::ObjId;
use std::collections::BTreeMap;

/// Every cache is believed; every named object is a function of two arguments.
struct Invented {
    generic: bool,
}

impl Facts for Invented {
    fn known(&self) -> Known {
        Known {
            none: 1,
            finished: 4,
            true_: 2,
            false_: 3,
            int: 10,
            float: 11,
            bool_: 12,
            str_: 13,
            list: 14,
            tuple: 15,
            dict: 16,
            set: 17,
            function: 18,
            range_iterator: 19,
            list_iterator: 20,
            tuple_iterator: 21,
            generator: 22,
            coroutine: 23,
            module: 24,
            type_: 25,
            len: 30,
            isinstance: 31,
            list_append: 32,
        }
    }
    fn object(&self, id: ObjId) -> ObjFact {
        ObjFact::Function(FunctionFact { code: ObjId(id.0 + 1), exact_args: Some(2), flags: 3, defaults: Some(1) })
    }
    fn global(&self, _builtin: bool, _version: u32, index: u32) -> Option<ObjId> {
        Some(ObjId(5000 + u64::from(index)))
    }
    fn globals(&self) -> Option<ObjId> {
        (!self.generic).then_some(ObjId(77))
    }
    fn global_cells(&self, name: ObjId) -> Option<GlobalCells> {
        // Some names through cells, some by the versions in their caches.
        (!name.0.is_multiple_of(3)).then_some(GlobalCells { module: 64, builtin: 72, in_module: name.0 % 3 == 1, value: ObjId(5000) })
    }
    fn float_side(&self, descr: u64) -> Option<FloatSide> {
        [None, Some(FloatSide::Left), Some(FloatSide::Right)][descr as usize % 3]
    }
    fn function_version(&self, _version: u32) -> Option<FunctionFact> {
        None
    }
    fn class(&self, class: ObjId) -> Option<ClassFact> {
        let function = FunctionFact { code: ObjId(class.0 + 1), exact_args: Some(2), flags: 3, defaults: Some(1) };
        Some(ClassFact { version: 9, init: ObjId(class.0 + 2), function })
    }
    fn through_class(&self, class: ObjId, name: ObjId) -> Option<ThroughClass> {
        let (wrapper, function) = (ObjId(class.0 + 3), ObjId(class.0 + 4));
        (!name.0.is_multiple_of(4)).then_some(ThroughClass { version: 9, wrapper, function, takes_class: name.0.is_multiple_of(2) })
    }
    fn constant(&self, id: ObjId) -> Const {
        [Const::Other, Const::None, Const::Int(5), Const::Float(0.5)][id.0 as usize % 4]
    }
    fn parameters(&self, code: ObjId) -> Option<Parameters> {
        // Of all kinds; names are those of the constants and others.
        let kind = code.0 as u32;
        let (argcount, kwonly) = (kind % 4, kind / 4 % 3);
        Some(Parameters {
            argcount,
            posonly: argcount.min(kind % 2),
            kwonly,
            varargs: kind.is_multiple_of(5),
            varkeywords: kind.is_multiple_of(7),
            names: (0..u64::from(argcount + kwonly)).map(|n| ObjId(8000 + n)).collect(),
        })
    }
    fn tuple_items(&self, tuple: ObjId) -> Option<Vec<ObjId>> {
        Some((0..tuple.0 % 4).map(|n| ObjId(8000 + n)).collect())
    }
    fn basic_size(&self, _version: u32) -> Option<u32> {
        None
    }
    fn type_version(&self, _version: u32) -> Option<ObjId> {
        None
    }
    fn attr_cache(&self, _unit: u32) -> Option<u64> {
        Some(4096)
    }
    fn is_awaited(&self) -> bool {
        true
    }
    fn is_generic(&self, _unit: u32) -> bool {
        self.generic
    }
}

fn hex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Caches as a warm program has them: versions are not zero.
fn warm(code: &mut [u8]) {
    let Ok(instrs) = cendre_bytecode::decode(code, &cendre_bytecode::decode::no_executors) else { return };
    for i in instrs {
        for unit in i.offset + 1..i.next {
            code[2 * unit as usize] = 7;
        }
    }
}

fn facts(name: &str, code: Vec<u8>, exception_table: Vec<u8>, generator: bool) -> CodeFacts {
    CodeFacts {
        id: ObjId(99),
        qualname: name.to_owned(),
        flags: if generator { 0x23 } else { 3 },
        argcount: 1,
        kwonlyargcount: 0,
        nlocals: 300,
        nlocalsplus: 300,
        stack_size: 100,
        code,
        exception_table,
        consts: (0..600)
            .map(|n| ConstFact {
                id: ObjId(1000 + n),
                value: match n % 4 {
                    0 => Const::Int(n as i64),
                    1 => Const::Float(n as f64),
                    2 => Const::None,
                    _ => Const::Other,
                },
            })
            .collect(),
        names: (0..1200).map(|n| ObjId(2000 + n)).collect(),
        kinds: vec![0x20; 300],
    }
}

fn check_file(text: &str) -> (usize, BTreeMap<String, usize>) {
    let (mut done, mut refused) = (0, BTreeMap::new());
    let (mut name, mut bytes) = (String::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "code" => name = words[1].to_owned(),
            "bytes" => bytes = hex(words[1]),
            "handlers" => {
                for generic in [false, true] {
                    let mut code = bytes.clone();
                    if !generic {
                        warm(&mut code);
                    }
                    let generator = cendre_bytecode::decode(&code, &cendre_bytecode::decode::no_executors)
                        .is_ok_and(|is| is.iter().any(|i| i.base == Opcode::ReturnGenerator));
                    match translate(&facts(&name, code, hex(words[1]), generator), &Invented { generic }) {
                        Ok(f) => {
                            done += 1;
                            if let Err(errors) = f.verify() {
                                let text: Vec<String> = errors.iter().take(8).map(ToString::to_string).collect();
                                panic!("{name} (generic {generic}): {}\n{f}", text.join("\n"));
                            }
                            let lost = cendre_ir::forgotten::forgotten(&f);
                            assert!(lost.is_empty(), "{name} (generic {generic}): forgotten {lost:?}\n{f}");
                        }
                        Err(r) => *refused.entry(r.reason).or_insert(0) += 1,
                    }
                }
            }
            _ => {}
        }
    }
    (done, refused)
}

#[test]
fn fixture_code_becomes_sound_ir() {
    let (done, refused) = check_file(include_str!("fixtures/decode.txt"));
    assert!(done >= 40, "{done} translated, refused: {refused:?}");
    assert!(refused.is_empty(), "refused: {refused:?}");
}

#[test]
fn a_corpus_becomes_sound_ir() {
    let Some(path) = std::env::var_os("CENDRE_DECODE_CORPUS") else { return };
    let (done, refused) = check_file(&std::fs::read_to_string(path).unwrap());
    eprintln!("{done} translated, refused: {refused:?}");
    assert!(done > 0);
}

struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 32) % n.max(1) as u64) as usize
    }

    fn strew(&mut self, bytes: &mut [u8], most: usize) {
        for _ in 0..1 + self.below(most) {
            if !bytes.is_empty() {
                let at = self.below(bytes.len());
                bytes[at] = (self.next() >> 24) as u8;
            }
        }
    }
}

/// Damaged code objects: bytes, exception tables, constants, names, locals and stack sizes that do not fit together. No panic, an end;
/// and the verifier, which the runtime asks before it makes machine code, finds most of what is not refused sound.
#[test]
fn damaged_code_never_panics() {
    let rounds: u64 = std::env::var("CENDRE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let codes: Vec<(Vec<u8>, Vec<u8>)> = {
        let (mut out, mut bytes) = (Vec::new(), Vec::new());
        for line in include_str!("fixtures/decode.txt").lines() {
            if let Some(text) = line.strip_prefix("bytes ") {
                bytes = hex(text);
            } else if let Some(text) = line.strip_prefix("handlers ") {
                out.push((bytes.clone(), hex(text)));
            }
        }
        out
    };
    let mut random = XorShift(0x2545_F491_4F6C_DD1D);
    let (mut done, mut unsound, mut refused) = (0, 0, BTreeMap::<String, usize>::new());
    for round in 0..rounds {
        for (code, table) in codes.iter().filter(|(code, _)| code.len() < 1500) {
            let (mut code, mut table) = (code.clone(), table.clone());
            if round % 2 == 0 {
                warm(&mut code);
            }
            let kind = random.below(4);
            if kind != 1 {
                random.strew(&mut code, if kind == 2 { 12 } else { 2 });
            }
            if kind == 1 {
                random.strew(&mut table, 3);
            }
            let generator = random.below(2) == 0;
            let mut facts = facts("damaged", code, table, generator);
            if kind == 3 {
                facts.nlocals = random.below(6) as u32;
                facts.nlocalsplus = facts.nlocals + random.below(3) as u32;
                facts.kinds = vec![0x20; facts.nlocalsplus as usize];
                facts.stack_size = random.below(8) as u32;
                facts.consts.truncate(random.below(5));
                facts.names.truncate(random.below(5));
            }
            match translate(&facts, &Invented { generic: round % 3 == 0 }) {
                Ok(f) => {
                    done += 1;
                    unsound += usize::from(f.verify().is_err());
                }
                Err(r) => *refused.entry(r.reason).or_insert(0) += 1,
            }
        }
    }
    assert!(done > 100 && unsound < done / 2 && refused.len() > 5, "{done} translated, {unsound} unsound, refused: {refused:?}");
}
