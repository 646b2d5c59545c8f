//! Reads the text form of functions, with the line and column of what is wrong.
//!
//! Invariant: the parser checks form only (names, immediates of the row's kind, every used entity defined once); whether the
//! function makes sense is the verifier's to say, so that wrong functions can be written down as tests. Numbers of entities are
//! kept; numbers that the text skips become values, states and blocks that nothing uses.
//! Read docs/internals/ir.md, "Text form", and print.rs for the other direction.

use crate::function::{
    Block, Def, Entry, FrameState, Function, Handler, Imm, Inst, InstData, StackEntry, Stale, State, Target, Value, ValueData,
};
use crate::inst::{Cond, ImmKind, Op};
use crate::types::{Kinds, ObjId, Type};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What is wrong with a text, and where (both from 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    pub line: u32,
    pub column: u32,
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads one function.
pub fn parse(text: &str) -> Result<Function, ParseError> {
    let mut all = parse_all(text)?;
    match (all.pop(), all.len()) {
        (Some(f), 0) => Ok(f),
        (_, n) => Err(ParseError { line: 1, column: 1, message: format!("one function expected, found {}", n + 1) }),
    }
}

/// Reads a text of several functions. `;` begins a comment.
pub fn parse_all(text: &str) -> Result<Vec<Function>, ParseError> {
    let mut p = Parser { tokens: lex(text)?, at: 0 };
    let mut out = Vec::new();
    loop {
        p.skip_lines();
        if p.peek().kind == Tok::End {
            break;
        }
        out.push(p.function()?);
    }
    if out.is_empty() {
        return p.fail("a function expected");
    }
    Ok(out)
}

/// Names of helpers are `&'static str` in the IR (they come from tables there); those in texts live for ever, each once.
fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut guard = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = guard.get_or_insert_with(HashSet::new);
    if let Some(s) = names.get(name) {
        return s;
    }
    let leaked: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(leaked);
    leaked
}

#[derive(Clone, PartialEq, Debug)]
enum Tok {
    /// `iadd`, `v3`, `load_local`, `Int64`
    Word(String),
    /// `-12`, `1.5e3`, `0x7ff0000000000000`: as written
    Number(String),
    /// `"f"`
    Str(String),
    /// `#5`
    Obj(u64),
    /// `@name`
    Helper(String),
    /// `$3`
    Slot(u32),
    Punct(char),
    Line,
    End,
}

#[derive(Clone, Debug)]
struct Token {
    kind: Tok,
    line: u32,
    column: u32,
}

fn lex(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut out = Vec::new();
    let mut lines = 0;
    for (n, line) in text.lines().enumerate() {
        lines = n as u32 + 1;
        let chars: Vec<char> = line.chars().collect();
        let mut i = 0;
        while i < chars.len() {
            let c = chars[i];
            let start = i;
            let error = |message: String| ParseError { line: lines, column: start as u32 + 1, message };
            // The run of characters from `i` on that `ok` holds for.
            let run = |from: usize, ok: &dyn Fn(char) -> bool| -> (String, usize) {
                let end = chars[from..].iter().position(|c| !ok(*c)).map_or(chars.len(), |p| from + p);
                (chars[from..end].iter().collect(), end)
            };
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let digit = |c: char| c.is_ascii_digit();
            let kind = match c {
                ';' => break,
                ' ' | '\t' => {
                    i += 1;
                    continue;
                }
                'a'..='z' | 'A'..='Z' | '_' => {
                    let (s, end) = run(i, &word);
                    i = end;
                    Tok::Word(s)
                }
                '@' => {
                    let (s, end) = run(i + 1, &word);
                    i = end;
                    if s.is_empty() {
                        return Err(error("a name expected after `@`".into()));
                    }
                    Tok::Helper(s)
                }
                '#' | '$' => {
                    let (s, end) = run(i + 1, &digit);
                    i = end;
                    let bad = |_| error(format!("a number expected after `{c}`"));
                    if c == '#' { Tok::Obj(s.parse().map_err(bad)?) } else { Tok::Slot(s.parse().map_err(bad)?) }
                }
                '0'..='9' | '-' => {
                    let (mut s, mut end) = run(i + 1, &word);
                    // exponents have a sign of their own
                    if s.ends_with('e') && !s.starts_with('x') && chars.get(end).is_some_and(|c| *c == '-' || *c == '+') {
                        let (exp, e) = run(end + 1, &digit);
                        s.push(chars[end]);
                        s.push_str(&exp);
                        end = e;
                    }
                    i = end;
                    Tok::Number(format!("{c}{s}"))
                }
                '"' => {
                    let (s, end) = string(&chars, i).map_err(error)?;
                    i = end;
                    Tok::Str(s)
                }
                ':' | '=' | ',' | '(' | ')' | '[' | ']' | '{' | '}' | '/' | '|' => {
                    i += 1;
                    Tok::Punct(c)
                }
                _ => return Err(error(format!("unexpected character {c:?}"))),
            };
            out.push(Token { kind, line: lines, column: start as u32 + 1 });
        }
        out.push(Token { kind: Tok::Line, line: lines, column: chars.len() as u32 + 1 });
    }
    out.push(Token { kind: Tok::End, line: lines + 1, column: 1 });
    Ok(out)
}

/// The string that begins at `chars[at] == '"'`, and where it ends.
fn string(chars: &[char], at: usize) -> Result<(String, usize), String> {
    let mut s = String::new();
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '"' => return Ok((s, i + 1)),
            '\\' => {
                let rest: String = chars[i..].iter().collect();
                let code = rest.strip_prefix("\\u{").and_then(|r| r.split_once('}')).map(|(code, _)| code);
                let Some((code, c)) = code.and_then(|c| Some((c, char::from_u32(u32::from_str_radix(c, 16).ok()?)?))) else {
                    return Err("an escape is `\\u{..}` with a code point in hexadecimal".into());
                };
                s.push(c);
                i += code.chars().count() + 4;
            }
            c => {
                s.push(c);
                i += 1;
            }
        }
    }
    Err("the string has no end".into())
}

/// Beyond this no text has entities: a slip of the keyboard must not fill the memory.
const MAX_ENTITY: u32 = 4_000_000;

/// No place of definition: for numbers that the text skips.
const NO_DEF: Def = Def::Result(Inst(u32::MAX), 0);

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

/// What is read, and where each entity was first used (to report those without definition).
#[derive(Default)]
struct Names {
    values: Vec<Option<(u32, u32)>>,
    states: Vec<Option<(u32, u32)>>,
    state_defined: Vec<bool>,
    blocks: Vec<Option<(u32, u32)>>,
    block_defined: Vec<bool>,
}

fn mark<T: Clone + Default>(v: &mut Vec<T>, n: u32) -> &mut T {
    if v.len() <= n as usize {
        v.resize(n as usize + 1, T::default());
    }
    &mut v[n as usize]
}

type Res<T> = Result<T, ParseError>;

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }
    fn next(&mut self) -> Tok {
        let t = self.tokens[self.at].kind.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        t
    }
    fn here(&self) -> (u32, u32) {
        (self.peek().line, self.peek().column)
    }
    fn fail<T>(&self, message: impl Into<String>) -> Res<T> {
        self.fail_at(self.here(), message)
    }
    fn fail_at<T>(&self, at: (u32, u32), message: impl Into<String>) -> Res<T> {
        Err(ParseError { line: at.0, column: at.1, message: message.into() })
    }
    fn skip_lines(&mut self) {
        while self.peek().kind == Tok::Line {
            self.at += 1;
        }
    }
    fn is(&self, c: char) -> bool {
        self.peek().kind == Tok::Punct(c)
    }
    fn eat(&mut self, c: char) -> bool {
        let yes = self.is(c);
        if yes {
            self.next();
        }
        yes
    }
    fn expect(&mut self, c: char) -> Res<()> {
        if self.eat(c) { Ok(()) } else { self.fail(format!("`{c}` expected")) }
    }
    fn is_word(&self, w: &str) -> bool {
        matches!(&self.peek().kind, Tok::Word(x) if x == w)
    }
    fn eat_word(&mut self, w: &str) -> bool {
        let yes = self.is_word(w);
        if yes {
            self.next();
        }
        yes
    }
    fn expect_word(&mut self, w: &str) -> Res<()> {
        if self.eat_word(w) { Ok(()) } else { self.fail(format!("`{w}` expected")) }
    }
    fn end_of_line(&mut self) -> Res<()> {
        match self.peek().kind {
            Tok::Line => {
                self.next();
                Ok(())
            }
            Tok::End => Ok(()),
            _ => self.fail("end of line expected"),
        }
    }
    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Res<T> {
        let at = self.here();
        match self.next() {
            Tok::Number(s) => s.parse().or_else(|_| self.fail_at(at, format!("{what} expected, not {s}"))),
            _ => self.fail_at(at, format!("{what} expected")),
        }
    }
    /// The number of an entity whose name begins with `prefix`, if the next token is one.
    fn entity_ahead(&self, prefix: &str) -> Option<u32> {
        match &self.peek().kind {
            Tok::Word(w) => w.strip_prefix(prefix)?.parse().ok().filter(|n| *n <= MAX_ENTITY),
            _ => None,
        }
    }
    fn entity(&mut self, prefix: &str, what: &str) -> Res<u32> {
        match self.entity_ahead(prefix) {
            Some(n) => {
                self.next();
                Ok(n)
            }
            None => self.fail(format!("{what} (`{prefix}0`, ...) expected")),
        }
    }
    /// A use of a value.
    fn value(&mut self, names: &mut Names) -> Res<Value> {
        let at = self.here();
        let n = self.entity("v", "a value")?;
        mark(&mut names.values, n).get_or_insert(at);
        Ok(Value(n))
    }
    /// A use of a block.
    fn block(&mut self, names: &mut Names) -> Res<Block> {
        let at = self.here();
        let n = self.entity("bb", "a block")?;
        mark(&mut names.blocks, n).get_or_insert(at);
        Ok(Block(n))
    }
    fn comma_list<T>(&mut self, end: char, mut one: impl FnMut(&mut Parser) -> Res<T>) -> Res<Vec<T>> {
        let mut out = Vec::new();
        if self.eat(end) {
            return Ok(out);
        }
        loop {
            out.push(one(self)?);
            if self.eat(end) {
                return Ok(out);
            }
            if !self.eat(',') {
                return self.fail(format!("`,` or `{end}` expected"));
            }
        }
    }

    fn function(&mut self) -> Res<Function> {
        self.expect_word("function")?;
        let at = self.here();
        let Tok::Str(name) = self.next() else { return self.fail_at(at, "the function's name in quotes expected") };
        self.expect_word("nlocals")?;
        self.expect('=')?;
        let nlocals = self.number("a number")?;
        self.expect_word("stack")?;
        self.expect('=')?;
        let stack_size = self.number("a number")?;
        self.expect('{')?;
        self.end_of_line()?;
        let mut f = Function::new(&name, nlocals, stack_size);
        let mut names = Names::default();
        let mut block: Option<Block> = None;
        loop {
            self.skip_lines();
            if self.eat('}') {
                break;
            }
            if self.eat_word("entry") {
                let unit = self.number("a code unit")?;
                let block = self.block(&mut names)?;
                f.entries.push(Entry { unit, block });
            } else if let Some(n) = self.entity_ahead("bb") {
                block = Some(self.block_head(n, &mut f, &mut names)?);
            } else if let Some(n) = self.entity_ahead("fs") {
                self.state(n, &mut f, &mut names)?;
            } else if self.peek().kind == Tok::End {
                return self.fail("`}` expected");
            } else if let Some(block) = block {
                self.inst(block, &mut f, &mut names)?;
            } else {
                return self.fail("`entry`, a block or `}` expected");
            }
            self.end_of_line()?;
        }
        self.end_of_line()?;
        self.check_names(&mut f, &names)?;
        Ok(f)
    }

    fn block_head(&mut self, n: u32, f: &mut Function, names: &mut Names) -> Res<Block> {
        if std::mem::replace(mark(&mut names.block_defined, n), true) {
            return self.fail(format!("bb{n} is defined twice"));
        }
        self.next();
        mark(&mut f.blocks, n);
        if self.eat('(') {
            let mut i = 0;
            let params = self.comma_list(')', |p| {
                i += 1;
                p.definition(f, Def::Param(Block(n), i - 1))
            })?;
            f.blocks[n as usize].params = params;
        }
        f.blocks[n as usize].cold = self.eat_word("cold");
        self.expect(':')?;
        Ok(Block(n))
    }

    /// `v3: Int64`
    fn definition(&mut self, f: &mut Function, def: Def) -> Res<Value> {
        let at = self.here();
        let n = self.entity("v", "a value")?;
        self.expect(':')?;
        let ty = self.ty()?;
        while f.values.len() <= n as usize {
            f.values.push(ValueData { ty: Type::NEVER, def: NO_DEF });
        }
        if f.values[n as usize].def != NO_DEF {
            return self.fail_at(at, format!("v{n} is defined twice"));
        }
        f.values[n as usize] = ValueData { ty, def };
        Ok(Value(n))
    }

    fn ty(&mut self) -> Res<Type> {
        let mut ty = Type::NEVER;
        loop {
            let at = self.here();
            let Tok::Word(w) = self.next() else { return self.fail_at(at, "a type expected") };
            let kinds = match w.as_str() {
                "Never" => Kinds::NONE,
                "Object" => Kinds::OBJECT,
                "Null" => Kinds::NULL,
                "Int64" => Kinds::INT64,
                "Float64" => Kinds::FLOAT64,
                "Bool" => Kinds::BOOL,
                "Ptr" => Kinds::PTR,
                _ => return self.fail_at(at, format!("unknown type `{w}`")),
            };
            ty.kinds = ty.kinds.union(kinds);
            if !self.eat('|') {
                break;
            }
        }
        let at = self.here();
        if self.eat('[') {
            if ty.kinds != Kinds::OBJECT {
                return self.fail_at(at, "facts are for `Object` only");
            }
            if self.eat_word("class") {
                ty.class = Some(self.object()?);
                if self.eat(',') {
                    ty.literal = Some(self.object()?);
                }
            } else {
                ty.literal = Some(self.object()?);
            }
            self.expect(']')?;
        }
        Ok(ty)
    }

    fn object(&mut self) -> Res<ObjId> {
        let at = self.here();
        match self.next() {
            Tok::Obj(n) => Ok(ObjId(n)),
            _ => self.fail_at(at, "an object (`#0`, ...) expected"),
        }
    }

    fn helper(&mut self) -> Res<&'static str> {
        let at = self.here();
        match self.next() {
            Tok::Helper(s) => Ok(intern(&s)),
            _ => self.fail_at(at, "a helper (`@name`) expected"),
        }
    }

    fn slot(&mut self) -> Res<u32> {
        let at = self.here();
        match self.next() {
            Tok::Slot(n) => Ok(n),
            _ => self.fail_at(at, "a slot (`$0`, ...) expected"),
        }
    }

    /// `fs0 = 12/12 stack=[own v1, v2] stale=[$0: v3] handler=bb5 depth 1 lasti`
    fn state(&mut self, n: u32, f: &mut Function, names: &mut Names) -> Res<()> {
        if std::mem::replace(mark(&mut names.state_defined, n), true) {
            return self.fail(format!("fs{n} is defined twice"));
        }
        self.next();
        self.expect('=')?;
        let unit = self.number("a code unit")?;
        self.expect('/')?;
        let resume = self.number("a code unit")?;
        let mut state = FrameState { unit, resume, stack: Vec::new(), stale: Vec::new(), handler: None };
        if self.eat_word("stack") {
            self.expect('=')?;
            self.expect('[')?;
            state.stack = self.comma_list(']', |p| {
                let own = p.eat_word("own");
                let value = p.value(names)?;
                let home = if p.eat_word("in") { Some(p.slot()?) } else { None };
                let twin = if p.eat_word("as") { Some(p.number("the place of an entry")?) } else { None };
                let of = if p.eat_word("of") { Some(p.value(names)?) } else { None };
                Ok(StackEntry { value, own, home, twin, of })
            })?;
        }
        if self.eat_word("stale") {
            self.expect('=')?;
            self.expect('[')?;
            state.stale = self.comma_list(']', |p| {
                let slot = p.slot()?;
                p.expect(':')?;
                let value = p.value(names)?;
                let unless = if p.eat_word("unless") { Some(p.value(names)?) } else { None };
                Ok(Stale { slot, value, unless })
            })?;
        }
        if self.eat_word("handler") {
            self.expect('=')?;
            let block = self.block(names)?;
            self.expect_word("depth")?;
            let depth = self.number("a depth")?;
            state.handler = Some(Handler { block, depth, lasti: self.eat_word("lasti") });
        }
        put_state(f, n, state);
        Ok(())
    }

    fn inst(&mut self, block: Block, f: &mut Function, names: &mut Names) -> Res<()> {
        let inst = Inst(f.insts.len() as u32);
        let mut results = Vec::new();
        if self.entity_ahead("v").is_some() {
            loop {
                results.push(self.definition(f, Def::Result(inst, results.len() as u32))?);
                if self.eat('=') {
                    break;
                }
                if !self.eat(',') {
                    return self.fail("`,` or `=` expected");
                }
            }
        }
        let at = self.here();
        let Tok::Word(name) = self.next() else { return self.fail_at(at, "an instruction expected") };
        let Some(op) = Op::from_text(&name) else { return self.fail_at(at, format!("unknown instruction `{name}`")) };
        let imm = self.imm(op.row().imm)?;
        let (mut args, mut own) = (Vec::new(), 0u64);
        while self.is_word("own") || self.entity_ahead("v").is_some() {
            let at = self.here();
            if self.eat_word("own") {
                if args.len() >= 64 {
                    return self.fail_at(at, "only the first 64 arguments can be consumed");
                }
                own |= InstData::own_bit(args.len());
            }
            args.push(self.value(names)?);
            if !self.eat(',') {
                break;
            }
        }
        let mut targets = Vec::new();
        while self.entity_ahead("bb").is_some() {
            let block = self.block(names)?;
            let args = if self.eat('(') { self.comma_list(')', |p| p.value(names))? } else { Vec::new() };
            targets.push(Target { block, args });
            if !self.eat(',') {
                break;
            }
        }
        let at = self.here();
        let state = match self.entity_ahead("fs") {
            Some(n) => {
                self.next();
                mark(&mut names.states, n).get_or_insert(at);
                Some(State(n))
            }
            None => None,
        };
        f.insts.push(InstData { op, imm, args, own, results, state, targets });
        f.blocks[block.index()].insts.push(inst);
        Ok(())
    }

    fn imm(&mut self, kind: ImmKind) -> Res<Imm> {
        let int = "an integer of 64 bits";
        Ok(match kind {
            ImmKind::None => Imm::None,
            ImmKind::Int => Imm::Int(self.number(int)?),
            ImmKind::Float => {
                let at = self.here();
                match self.next() {
                    Tok::Number(s) => match s.strip_prefix("0x") {
                        Some(hex) => match u64::from_str_radix(hex, 16) {
                            Ok(bits) => Imm::Float(bits),
                            Err(_) => return self.fail_at(at, "the bits of a double expected"),
                        },
                        None => match s.parse::<f64>() {
                            Ok(x) => Imm::Float(x.to_bits()),
                            Err(_) => return self.fail_at(at, format!("a double expected, not {s}")),
                        },
                    },
                    _ => return self.fail_at(at, "a double expected"),
                }
            }
            ImmKind::Bool => {
                if self.eat_word("true") {
                    Imm::Bool(true)
                } else {
                    self.expect_word("false").or_else(|_| self.fail("`true` or `false` expected"))?;
                    Imm::Bool(false)
                }
            }
            ImmKind::Obj => Imm::Obj(self.object()?),
            ImmKind::Slot => Imm::Slot(self.slot()?),
            ImmKind::Cond => {
                let at = self.here();
                let word = self.next();
                match Cond::ALL.iter().find(|c| word == Tok::Word(c.1.to_owned())) {
                    Some(c) => Imm::Cond(c.0),
                    None => return self.fail_at(at, "a condition (lt le eq ne gt ge) expected"),
                }
            }
            ImmKind::Helper => Imm::Helper(self.helper()?),
            ImmKind::HelperInt => Imm::HelperInt(self.helper()?, self.number(int)?),
            ImmKind::ObjInt => Imm::ObjInt(self.object()?, self.number(int)?),
            ImmKind::IntInt => Imm::IntInt(self.number(int)?, self.number(int)?),
            ImmKind::SlotInt => Imm::SlotInt(self.slot()?, self.number(int)?),
        })
    }

    /// Everything used is defined; vectors are long enough for every number.
    fn check_names(&self, f: &mut Function, names: &Names) -> Res<()> {
        let first = |uses: &[Option<(u32, u32)>], defined: &dyn Fn(usize) -> bool| {
            uses.iter().enumerate().filter_map(|(i, at)| at.map(|at| (at, i))).filter(|(_, i)| !defined(*i)).min()
        };
        let lists: [(&str, _); 3] = [
            ("v", first(&names.values, &|i| f.values.get(i).is_some_and(|v| v.def != NO_DEF))),
            ("fs", first(&names.states, &|i| names.state_defined.get(i) == Some(&true))),
            ("bb", first(&names.blocks, &|i| names.block_defined.get(i) == Some(&true))),
        ];
        match lists.iter().filter_map(|(p, x)| x.map(|(at, i)| (at, *p, i))).min() {
            Some((at, prefix, i)) => self.fail_at(at, format!("{prefix}{i} is not defined")),
            None => Ok(()),
        }
    }
}

fn put_state(f: &mut Function, n: u32, state: FrameState) {
    while f.states.len() <= n as usize {
        f.states.push(FrameState { unit: 0, resume: 0, stack: Vec::new(), stale: Vec::new(), handler: None });
    }
    f.states[n as usize] = state;
}

impl Function {
    /// Reads one function from its text form.
    pub fn parse(text: &str) -> Result<Function, ParseError> {
        parse(text)
    }
}
