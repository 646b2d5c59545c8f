//! Random functions as machine code: the same outcome as in the interpreter of the IR, before the passes, after all, and after each.
//!
//! Machine code knows objects by offsets only, so this test gives it a small world of its own, with a thread state, a frame and counted
//! objects in plain memory, and helpers that count. Compared with the interpreter are the place where it left or the exception, eval
//! stack, locals, and that no reference is lost or given away twice. A failure prints the function. Read docs/internals/testing.md.

#[path = "../../cendre-passes/tests/generate/mod.rs"]
mod generate;

use cendre_codegen::{Addresses, AwaitSite, Callee, Compiled, Env, ExitTable, Offsets, Row, Word, compile, tag};
use cendre_ir::interp::Literal;
use cendre_ir::{Function, ObjId, arith};
use cendre_passes::{Classes, PASSES, run_one, run_with};
use generate::{Rng, SCRIPT, Wanted, function, outcome};
use std::cell::RefCell;

/// The helper that is scripted: any that takes no hidden argument and answers a truth value will do.
const HELPER: &str = "is_true";
const NLOCALS: usize = 3;
const CODE: u64 = 1 << 40;
const IMMORTAL: u64 = 3 << 30;

/// An object: count, class, and what follows by class. Classes are objects, too.
#[repr(C)]
struct Object {
    count: u64,
    class: *const Object,
    /// Ints: sign and number of digits; floats: the bits; classes: the version.
    tag: u64,
    digit: u64,
    /// Ints of more than one digit: the value. Strs: an index.
    value: i64,
}

#[repr(C)]
struct Frame {
    head: [u64; 8],
    stackpointer: *mut u64,
    more: u64,
    locals: [u64; NLOCALS + 64],
}

/// Its place in `head`.
const INSTR_PTR: usize = 7;
const FRAME_OBJ: usize = 6;

#[derive(Default)]
#[expect(clippy::vec_box, reason = "machine code holds their addresses")]
struct World {
    objects: Vec<Box<Object>>,
    classes: Vec<Box<Object>>,
    small: Vec<Object>,
    bools: Vec<Box<Object>>,
    strs: Vec<String>,
    live: i64,
    exception: u64,
    calls: usize,
    /// What went wrong in a helper.
    fault: Option<String>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::default());
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|w| f(&mut w.borrow_mut()))
}

const INT: usize = 1;
const FLOAT: usize = 2;
const BOOL: usize = 3;
const STR: usize = 4;

impl World {
    fn new() -> World {
        let mut w = World::default();
        for _ in 0..13 {
            w.classes.push(Box::new(Object { count: IMMORTAL, class: std::ptr::null(), tag: 1, digit: 0, value: 0 }));
        }
        for n in -5..257 {
            let (tag, digit) = digits(n);
            w.small.push(Object { count: IMMORTAL, class: w.class(INT), tag, digit, value: n });
        }
        for value in 0..2 {
            w.bools.push(Box::new(Object { count: IMMORTAL, class: w.class(BOOL), tag: 0, digit: 0, value }));
        }
        w
    }

    fn class(&self, n: usize) -> *const Object {
        &raw const *self.classes[n]
    }

    fn make(&mut self, class: usize, tag: u64, digit: u64, value: i64) -> u64 {
        let object = Box::new(Object { count: 1, class: self.class(class), tag, digit, value });
        let address = &raw const *object as u64;
        self.objects.push(object);
        self.live += 1;
        address
    }

    /// A new reference, or 0 for null.
    fn object(&mut self, v: &Literal) -> u64 {
        match v {
            Literal::Int(n) if (-5..257).contains(n) => &raw const self.small[(n + 5) as usize] as u64,
            Literal::Int(n) => {
                let (tag, digit) = digits(*n);
                self.make(INT, tag, digit, *n)
            }
            Literal::Float(x) => self.make(FLOAT, x.to_bits(), 0, 0),
            Literal::Bool(b) => &raw const *self.bools[usize::from(*b)] as u64,
            Literal::Str(s) => {
                self.strs.push(s.clone());
                self.make(STR, 0, 0, self.strs.len() as i64 - 1)
            }
            Literal::Null => 0,
            other => panic!("{other} is not in this world"),
        }
    }

    fn find(&mut self, address: u64) -> Option<&mut Object> {
        let here = |o: &Object| &raw const *o as u64 == address;
        self.objects.iter_mut().chain(&mut self.bools).map(|o| &mut **o).chain(&mut self.small).find(|o| here(o))
    }

    fn show(&mut self, address: u64) -> String {
        if address == 0 {
            return Literal::Null.to_string();
        }
        let classes: Vec<_> = (0..5).map(|n| self.class(n)).collect();
        let strs = self.strs.clone();
        let Some(o) = self.find(address) else { return format!("no object at {address:#x}") };
        if o.count as u32 == 0 {
            return "dead".to_owned();
        }
        let literal = match classes.iter().position(|c| *c == o.class) {
            Some(INT) => Literal::Int(if o.tag < 16 { (1 - (o.tag & 3) as i64) * o.digit as i64 } else { o.value }),
            Some(FLOAT) => Literal::Float(f64::from_bits(o.tag)),
            Some(BOOL) => Literal::Bool(o.value != 0),
            Some(STR) => Literal::Str(strs[o.value as usize].clone()),
            _ => return "object of no class".to_owned(),
        };
        literal.to_string()
    }

    fn release(&mut self, address: u64) {
        let Some(o) = self.find(address) else { return };
        if o.count & (1 << 31) != 0 {
            return;
        }
        if o.count == 0 {
            self.fault = Some("a reference is given up twice".to_owned());
            return;
        }
        o.count -= 1;
        if o.count == 0 {
            self.live -= 1;
        }
    }

    /// The word that owns a reference.
    fn word(&mut self, address: u64) -> u64 {
        match self.find(address) {
            Some(o) => address | o.count >> 31,
            None => 1,
        }
    }

    fn drop_word(&mut self, word: u64) {
        if word & 1 == 0 {
            self.release(word);
        }
    }

    fn boxed(&mut self, v: &Literal) -> u64 {
        let o = self.object(v);
        self.word(o)
    }

    /// A word of an exit as one of the frame.
    fn restored(&mut self, kind: Word, word: u64) -> u64 {
        match kind {
            Word::Int | Word::IntIn(_) | Word::IntOf => self.boxed(&Literal::Int(word as i64)),
            Word::Float | Word::FloatIn(_) | Word::FloatOf => self.boxed(&Literal::Float(f64::from_bits(word))),
            Word::Bool => self.boxed(&Literal::Bool(word & 0xff != 0)),
            Word::Raw | Word::Same(_) => word,
            Word::Owned => self.word(word),
            Word::Borrowed => word | 1,
        }
    }

    fn put(&mut self, frame: &mut Frame, slot: usize, word: u64) {
        let old = std::mem::replace(&mut frame.locals[slot], word);
        self.drop_word(old);
    }

    fn restore(&mut self, frame: &mut Frame, row: &Row, words: *const u64) {
        let stale = row.stale.iter().map(|e| 1 + usize::from(e.unless)).sum::<usize>();
        let count = stale + row.stack.iter().map(words_of).sum::<usize>();
        // SAFETY: machine code stored a word for each value of the row.
        let words = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(words, count) } };
        let mut at = 0;
        for e in &row.stale {
            let word = words[at];
            at += 1 + usize::from(e.unless);
            if !e.unless || words[at - 1] & 0xff == 0 {
                let word = self.restored(e.kind, word);
                self.put(frame, e.slot as usize, word);
            }
        }
        for (n, kind) in row.stack.iter().enumerate() {
            if let Word::Same(of) = kind {
                frame.locals[NLOCALS + n] = frame.locals[NLOCALS + *of as usize] | 1;
                continue;
            }
            let word = &words[at];
            at += words_of(kind);
            frame.locals[NLOCALS + n] = match kind {
                Word::IntOf | Word::FloatOf if words[at - 1] & 1 != 0 => frame.locals[(words[at - 1] >> 1) as usize] | 1,
                Word::IntOf | Word::FloatOf if words[at - 1] != 0 => self.word(words[at - 1]),
                Word::IntIn(slot) | Word::FloatIn(slot) => frame.locals[*slot as usize] | 1,
                kind => self.restored(*kind, *word),
            };
        }
        frame.stackpointer = &raw mut frame.locals[NLOCALS + row.stack.len()];
    }
}

/// How many words an entry of the stack has in an exit.
fn words_of(kind: &Word) -> usize {
    match kind {
        Word::Same(_) => 0,
        Word::IntOf | Word::FloatOf => 2,
        _ => 1,
    }
}

/// `lv_tag` and the lowest digit of an int.
fn digits(n: i64) -> (u64, u64) {
    let magnitude = n.unsigned_abs();
    let sign = if n == 0 { 1 } else { u64::from(n < 0) << 1 };
    if magnitude < 1 << 30 { (sign | u64::from(n != 0) << 3, magnitude) } else { (sign | 2 << 3, magnitude & ((1 << 30) - 1)) }
}

fn depth(frame: &Frame) -> usize {
    (frame.stackpointer as usize - &raw const frame.locals as usize) / 8 - NLOCALS
}

// ---- helpers of machine code ---------------------------------------------------------------------------------------

extern "C" fn box_int(n: i64) -> u64 {
    with(|w| w.object(&Literal::Int(n)))
}

extern "C" fn box_float(x: f64) -> u64 {
    with(|w| w.object(&Literal::Float(x)))
}

#[repr(C)]
struct Pair(u64, u64);

extern "C" fn unbox_int_slow(o: u64) -> Pair {
    with(|w| match w.find(o) {
        Some(o) => Pair(0, o.value as u64),
        None => Pair(1, 0),
    })
}

extern "C" fn float_pow(x: f64, y: f64) -> u64 {
    arith::float_power(x, y).unwrap_or(f64::NAN).to_bits()
}

extern "C" fn dealloc(o: u64) {
    with(|w| match w.find(o) {
        Some(o) if o.count == 0 => w.live -= 1,
        _ => w.fault = Some("a living object is freed".to_owned()),
    });
}

extern "C" fn dealloc_watching(_ts: u64, frame: &mut Frame, o: u64) -> i32 {
    dealloc(o);
    i32::from(frame.head[FRAME_OBJ] != 0)
}

fn sync(frame: &mut Frame, slot: u64, v: &Literal) -> i32 {
    with(|w| {
        let word = w.boxed(v);
        w.put(frame, slot as usize, word);
    });
    0
}

extern "C" fn sync_int(_ts: u64, frame: &mut Frame, slot: u64, n: i64) -> i32 {
    sync(frame, slot, &Literal::Int(n))
}

extern "C" fn sync_float(_ts: u64, frame: &mut Frame, slot: u64, x: f64) -> i32 {
    sync(frame, slot, &Literal::Float(x))
}

extern "C" fn sync_bool(_ts: u64, frame: &mut Frame, slot: u64, x: u64) -> i32 {
    sync(frame, slot, &Literal::Bool(x & 0xff != 0))
}

/// Answers from the script.
extern "C" fn scripted() -> i32 {
    with(|w| {
        let Some(answer) = SCRIPT.split(',').nth(w.calls).map(str::trim) else {
            w.fault = Some("the script has ended".to_owned());
            return 0;
        };
        w.calls += 1;
        if answer.ends_with("bump") {
            w.classes.iter_mut().for_each(|c| c.tag += 1);
        }
        match answer.split_once(' ') {
            Some(("raise", text)) => {
                w.exception = w.object(&Literal::Str(text.trim_matches('"').to_owned()));
                -1
            }
            _ => i32::from(answer.starts_with("True")),
        }
    })
}

extern "C" fn leave_frame(_ts: u64, frame: &mut Frame, table: &ExitTable, row: u64, words: *const u64) {
    let row = &table.rows[row as usize];
    with(|w| w.restore(frame, row, words));
    frame.head[INSTR_PTR] = CODE + 2 * u64::from(row.resume);
}

extern "C" fn raise_frame(_ts: u64, frame: &mut Frame, table: &ExitTable, row: u64, words: *const u64) -> i32 {
    let row = &table.rows[(row >> 1) as usize];
    with(|w| {
        w.restore(frame, row, words);
        let Some((keep, _)) = row.handler else { return 1 };
        for n in (keep as usize..depth(frame)).rev() {
            w.drop_word(frame.locals[NLOCALS + n]);
        }
        let exception = std::mem::take(&mut w.exception);
        frame.locals[NLOCALS + keep as usize] = w.word(exception);
        frame.stackpointer = &raw mut frame.locals[NLOCALS + 1 + keep as usize];
        0
    })
}

// ---- the code generator's environment ------------------------------------------------------------------------------

struct Machine {
    immortal: Option<ObjId>,
    offsets: Offsets,
    addresses: Addresses,
}

impl Machine {
    fn new() -> Machine {
        let offsets = Offsets {
            fr_frame_obj: 8 * FRAME_OBJ as i32,
            fr_instr_ptr: 8 * INSTR_PTR as i32,
            fr_stackpointer: std::mem::offset_of!(Frame, stackpointer) as i32,
            fr_localsplus: std::mem::offset_of!(Frame, locals) as i32,
            ob_refcnt: 0,
            ob_type: 8,
            tp_version_tag: 16,
            long_tag: 16,
            long_digits: 24,
            float_value: 16,
            ..Offsets::default()
        };
        let addresses = with(|w| Addresses {
            true_: &raw const *w.bools[1] as u64,
            false_: &raw const *w.bools[0] as u64,
            long_type: w.class(INT) as u64,
            float_type: w.class(FLOAT) as u64,
            bool_type: w.class(BOOL) as u64,
            small_ints: w.small.as_ptr() as u64,
            small_int_size: size_of::<Object>() as u64,
            code_start: CODE,
            ..Addresses::default()
        });
        Machine { immortal: None, offsets, addresses }
    }
}

impl Env for Machine {
    fn offsets(&self) -> &Offsets {
        &self.offsets
    }
    fn addresses(&self) -> &Addresses {
        &self.addresses
    }
    fn helper(&self, name: &str) -> Option<u64> {
        let address = match name {
            "box_int" => box_int as *const (),
            "box_float" => box_float as *const (),
            "unbox_int_slow" => unbox_int_slow as *const (),
            "float_pow" => float_pow as *const (),
            "dealloc" => dealloc as *const (),
            "dealloc_watching" => dealloc_watching as *const (),
            "sync_int" => sync_int as *const (),
            "sync_float" => sync_float as *const (),
            "sync_bool" => sync_bool as *const (),
            "leave_frame" => leave_frame as *const (),
            "raise_frame" => raise_frame as *const (),
            HELPER => scripted as *const (),
            _ => return None,
        };
        Some(address as u64)
    }
    fn object(&self, id: ObjId) -> u64 {
        with(|w| w.class(id.0 as usize) as u64)
    }
    fn is_immortal(&self, id: ObjId) -> bool {
        self.immortal == Some(id)
    }
    fn callee(&self, _: ObjId) -> Option<Callee> {
        None
    }
    fn await_site(&self, _: i64, _: u32) -> Option<AwaitSite> {
        None
    }
    fn resume_cell(&self) -> Option<u64> {
        None
    }
}

#[repr(C)]
struct BodyResult {
    tag: u64,
    value: u64,
}

/// Runs machine code in a new frame.
fn execute(code: &Compiled, ts: &mut [u64; 32], frame: &mut Frame) -> BodyResult {
    // SAFETY: the pages are ours, hold just this code, and go when it has run; the code keeps to the contract of bodies, with our offsets.
    unsafe {
        let size = code.code.largest();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        let bytes = code.code.at(page as usize);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), page.cast(), bytes.len());
        assert_eq!(libc::mprotect(page, size, libc::PROT_READ | libc::PROT_EXEC), 0);
        let body: extern "C" fn(*mut u64, *mut Frame, u64) -> BodyResult = std::mem::transmute(page);
        let result = body(ts.as_mut_ptr(), frame, 0);
        libc::munmap(page, size);
        result
    }
}

/// The outcome as `generate::outcome` writes it, and how many objects live on when it is released.
fn machine_outcome(f: &Function, args: &[Literal]) -> Result<(String, i64), String> {
    WORLD.set(World::new());
    let code = compile(f, &Machine::new()).map_err(|e| e.to_string())?;
    let mut frame = Frame { head: [0; 8], stackpointer: std::ptr::null_mut(), more: 0, locals: [1; NLOCALS + 64] };
    for (slot, a) in args.iter().enumerate() {
        frame.locals[slot] = with(|w| w.boxed(a));
    }
    frame.stackpointer = &raw mut frame.locals[NLOCALS];
    let result = execute(&code, &mut [0; 32], &mut frame);
    with(|w| {
        if let Some(fault) = w.fault.take() {
            return Err(fault);
        }
        let mut held: Vec<u64> = frame.locals[NLOCALS..NLOCALS + depth(&frame)].to_vec();
        let mut text = match result.tag as i64 {
            tag::LEAVE => format!("left {}", (frame.head[INSTR_PTR] - CODE) / 2),
            tag::RAISED => {
                // What the frame still owns is dropped by whoever called the body.
                held.drain(..).for_each(|word| w.drop_word(word));
                let exception = std::mem::take(&mut w.exception);
                held.push(w.word(exception));
                "raised".to_owned()
            }
            other => return Err(format!("tag {other}, value {}", result.value)),
        };
        held.extend(&frame.locals[..NLOCALS]);
        // All are shown before any is released: a borrowed word may lie beside the one that owns its object.
        for word in &held {
            text.push_str(&format!(" {}", w.show(word & !1)));
        }
        held.into_iter().for_each(|word| w.drop_word(word));
        match w.fault.take() {
            Some(fault) => Err(fault),
            None => Ok((format!("{text} calls {}", w.calls), w.live)),
        }
    })
}

/// The same of the interpreter, with the log of calls as a number.
fn expected(f: &Function, args: &[Literal]) -> Option<(String, i64)> {
    let (text, live) = outcome(f, args, HELPER).ok()?;
    let (text, log) = text.split_once(" [").unwrap_or((&text, ""));
    Some((format!("{text} calls {}", log.matches('@').count()), live as i64))
}

#[test]
fn machine_code_and_the_interpreter_agree() {
    let known = Classes { int: Some(ObjId(1)), float: Some(ObjId(2)), bool_: Some(ObjId(3)), ..Classes::default() };
    let args: [[Literal; 2]; 4] = [
        [Literal::Int(3), Literal::Int(-400)],
        [Literal::Float(2.5), Literal::Int(9)],
        [Literal::Str("s".into()), Literal::Null],
        [Literal::Int(i64::MAX), Literal::Float(-0.0)],
    ];
    let rounds: usize = std::env::var("CENDRE_RANDOM_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(250);
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let mut ran = 0;
    for round in 0..rounds {
        let f = function(&mut rng, Wanted { helper: HELPER, identity: false });
        let mut variants = vec![("no pass", f.clone())];
        let mut g = f.clone();
        run_with(&mut g, &known);
        variants.push(("pipeline", g));
        let (name, _) = PASSES[round % PASSES.len()];
        let mut g = f.clone();
        run_one(&mut g, name, &known);
        variants.push((name, g));
        for (name, g) in &variants {
            for a in &args {
                let Some(want) = expected(&f, a) else { continue };
                let got = machine_outcome(g, a).unwrap_or_else(|why| (why, 0));
                assert_eq!(got, want, "round {round}, {name}, {a:?}\n{f}\n{g}");
                ran += 1;
            }
        }
    }
    assert!(ran > rounds * 10, "{ran} runs of {rounds} functions");
}

/// References to a constant that is known to be immortal are not counted: the code is that of a function that does nothing about them.
#[test]
fn immortal_constants_are_not_counted() {
    WORLD.set(World::new());
    let made = |counts: &str, immortal| {
        let text = format!(
            "function \"f\" nlocals=1 stack=1 {{\nentry 2 bb0\nbb0:\n  v0: Object[#1] = const.obj #1\n{counts}  fs0 = 2/2\n  drop v0 fs0\n  fs1 = 3/3\n  return v0 fs1\n}}\n"
        );
        let f = cendre_ir::parse::parse(&text).unwrap();
        compile(&f, &Machine { immortal, ..Machine::new() }).unwrap().code.size()
    };
    let own = "  own v0\n  own v0\n";
    assert_eq!(made(own, Some(ObjId(1))), made("", Some(ObjId(1))));
    assert!(made("", Some(ObjId(1))) < made("", Some(ObjId(2))));
    assert!(made("", None) < made(own, None));
}
