//! A small world for tests: numbers, strings, lists, tuples, instances, cells, iterators; calls answer from a script.
//!
//! Invariant: references are counted exactly; `live()` says how many objects are still referenced, constants aside, so a test sees
//! leaks and double drops. A script's answers are used first, in order; an instruction without script and without
//! meaning here is an error of the test, never a silent default. Read docs/internals/ir.md, "Filetests".

use super::literal::Literal;
use super::world::{Answer, ObjRef, Val, World};
use crate::function::Imm;
use crate::inst::{Op, Res};
use crate::types::ObjId;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Ids of the classes of this world.
pub mod class {
    pub const INT: u64 = 1;
    pub const FLOAT: u64 = 2;
    pub const BOOL: u64 = 3;
    pub const STR: u64 = 4;
    pub const LIST: u64 = 5;
    pub const TUPLE: u64 = 6;
    pub const NONE: u64 = 7;
    pub const RANGE_ITERATOR: u64 = 8;
    pub const LIST_ITERATOR: u64 = 9;
    pub const TUPLE_ITERATOR: u64 = 10;
    pub const INSTANCE: u64 = 11;
    pub const CELL: u64 = 12;
}

#[derive(Clone, Debug)]
enum Data {
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Str(String),
    List(Vec<ObjRef>),
    Tuple(Vec<ObjRef>),
    Instance(BTreeMap<i64, ObjRef>),
    Cell(Option<ObjRef>),
    /// next, step, items left
    Range(i64, i64, i64),
    /// iterated object until exhausted, index
    Iter(Option<ObjRef>, usize),
    /// Only its id is known.
    Opaque(u64),
}

#[derive(Clone, Debug)]
struct Object {
    data: Data,
    /// `None`: immortal.
    count: Option<u32>,
    /// A tuple's iterator, where the iterated object is gone.
    class: u64,
}

/// One scripted answer.
#[derive(Clone, Debug)]
struct Scripted {
    what: What,
    /// All type versions change.
    bump: bool,
}

#[derive(Clone, Debug)]
enum What {
    Values(Vec<Literal>),
    Raise(Literal),
    Leave,
}

/// The small world; see the top of the file.
#[derive(Clone, Debug, Default)]
pub struct TestWorld {
    objects: Vec<Object>,
    constants: HashMap<u64, ObjRef>,
    /// `let` lines, until the constant is asked for.
    lets: HashMap<u64, Literal>,
    scripts: HashMap<String, VecDeque<Scripted>>,
    exception: Option<ObjRef>,
    /// Type version of all classes, from 1.
    version: i64,
    /// Scripted instructions that ran, with their arguments: what the function did to the world.
    pub log: Vec<String>,
}

impl TestWorld {
    pub fn new() -> TestWorld {
        TestWorld { version: 1, ..TestWorld::default() }
    }

    /// `let #100 = [1, 2]`
    pub fn define(&mut self, id: u64, value: Literal) {
        self.lets.insert(id, value);
    }

    /// Answers of an instruction (`call`) or helper (`@name`), in order, with commas: values, `tag:value` for pairs, `{a, b}` for several
    /// results, `raise value`, `leave`, `ok` (no result); `bump` behind an answer changes all type versions.
    pub fn script(&mut self, name: &str, answers: &str) -> Result<(), String> {
        let mut out = VecDeque::new();
        let mut rest = answers.trim();
        while !rest.is_empty() {
            let what;
            if let Some(r) = rest.strip_prefix("raise") {
                let (v, r) = Literal::parse(r)?;
                (what, rest) = (What::Raise(v), r);
            } else if let Some(r) = rest.strip_prefix("leave") {
                (what, rest) = (What::Leave, r);
            } else if let Some(r) = rest.strip_prefix("ok") {
                (what, rest) = (What::Values(Vec::new()), r);
            } else if let Some(r) = rest.strip_prefix('{') {
                let (items, r) = Literal::items(r, '}')?;
                (what, rest) = (What::Values(items), r);
            } else {
                let (v, r) = Literal::parse(rest)?;
                if let (Literal::Int(tag), Some(r)) = (&v, r.strip_prefix(':')) {
                    let (value, r) = Literal::parse(r)?;
                    (what, rest) = (What::Values(vec![Literal::Word(*tag as u64), value]), r);
                } else {
                    (what, rest) = (What::Values(vec![v]), r);
                }
            }
            rest = rest.trim_start();
            let bump = rest.strip_prefix("bump");
            rest = bump.unwrap_or(rest).trim_start();
            out.push_back(Scripted { what, bump: bump.is_some() });
            if let Some(r) = rest.strip_prefix(',') {
                rest = r.trim_start();
            } else if !rest.is_empty() {
                return Err(format!("`,` expected at `{rest}`"));
            }
        }
        self.scripts.insert(name.to_owned(), out);
        Ok(())
    }

    /// A new reference to what a literal says.
    pub fn make(&mut self, v: &Literal) -> Val {
        let data = match v {
            Literal::Null => return Val::Null,
            Literal::Word(n) => return Val::Ptr(*n),
            Literal::Id(n) => return Val::Obj(self.constant(ObjId(*n))),
            Literal::Int(i) => Data::Int(*i),
            Literal::Float(x) => Data::Float(*x),
            Literal::Bool(b) => return Val::Obj(self.box_value(Val::Bool(*b))),
            Literal::None => Data::None,
            Literal::Str(s) => Data::Str(s.clone()),
            Literal::List(items) => Data::List(items.iter().filter_map(|i| self.make_object(i)).collect()),
            Literal::Tuple(items) => Data::Tuple(items.iter().filter_map(|i| self.make_object(i)).collect()),
            Literal::Instance(attrs) => Data::Instance(attrs.iter().filter_map(|(o, v)| Some((*o, self.make_object(v)?))).collect()),
            Literal::Cell(v) => Data::Cell(self.make_object(v)),
            Literal::Range(start, stop, step) => {
                let (span, step) = if *step > 0 { (stop - start, *step) } else { (start - stop, *step) };
                Data::Range(*start, step, (span + step.abs() - 1).div_euclid(step.abs()).max(0))
            }
            Literal::Iter(v) => Data::Iter(self.make_object(v), 0),
        };
        Val::Obj(self.new_object(data))
    }

    fn make_object(&mut self, v: &Literal) -> Option<ObjRef> {
        match self.make(v) {
            Val::Obj(r) => Some(r),
            _ => None,
        }
    }

    fn new_object(&mut self, data: Data) -> ObjRef {
        let class = match &data {
            Data::Int(_) => class::INT,
            Data::Float(_) => class::FLOAT,
            Data::Bool(_) => class::BOOL,
            Data::None => class::NONE,
            Data::Str(_) => class::STR,
            Data::List(_) => class::LIST,
            Data::Tuple(_) => class::TUPLE,
            Data::Instance(_) | Data::Opaque(_) => class::INSTANCE,
            Data::Cell(_) => class::CELL,
            Data::Range(..) => class::RANGE_ITERATOR,
            Data::Iter(Some(r), _) if matches!(self.objects[r.0 as usize].data, Data::Tuple(_)) => class::TUPLE_ITERATOR,
            Data::Iter(..) => class::LIST_ITERATOR,
        };
        self.objects.push(Object { data, count: Some(1), class });
        ObjRef(self.objects.len() as u32 - 1)
    }

    /// The value as a literal.
    pub fn show(&self, v: Val) -> Literal {
        match v {
            Val::Null => Literal::Null,
            Val::Int(i) => Literal::Int(i),
            Val::Float(x) => Literal::Float(x),
            Val::Bool(b) => Literal::Bool(b),
            Val::Ptr(n) => Literal::Word(n),
            Val::Obj(r) => {
                let all = |items: &[ObjRef]| items.iter().map(|r| self.show(Val::Obj(*r))).collect();
                match &self.objects[r.0 as usize].data {
                    Data::Int(i) => Literal::Int(*i),
                    Data::Float(x) => Literal::Float(*x),
                    Data::Bool(b) => Literal::Bool(*b),
                    Data::None => Literal::None,
                    Data::Str(s) => Literal::Str(s.clone()),
                    Data::List(items) => Literal::List(all(items)),
                    Data::Tuple(items) => Literal::Tuple(all(items)),
                    Data::Instance(a) => Literal::Instance(a.iter().map(|(o, r)| (*o, self.show(Val::Obj(*r)))).collect()),
                    Data::Cell(v) => Literal::Cell(Box::new(v.map_or(Literal::Null, |r| self.show(Val::Obj(r))))),
                    Data::Range(at, step, left) => Literal::Range(*at, at + step * left, *step),
                    Data::Iter(v, _) => Literal::Iter(Box::new(v.map_or(Literal::Null, |r| self.show(Val::Obj(r))))),
                    Data::Opaque(id) => Literal::Id(*id),
                }
            }
        }
    }

    /// Objects that are still referenced, constants aside.
    pub fn live(&self) -> Vec<Literal> {
        let alive = self.objects.iter().enumerate().filter(|(_, o)| o.count.is_some_and(|c| c > 0));
        alive.map(|(i, _)| self.show(Val::Obj(ObjRef(i as u32)))).collect()
    }

    fn data(&self, v: Option<&Val>) -> Result<&Data, String> {
        match v {
            Some(Val::Obj(r)) => Ok(&self.objects[r.0 as usize].data),
            other => Err(format!("an object expected, not {other:?}")),
        }
    }

    fn scripted(&mut self, s: Scripted, op: Op, args: &[Val], name: &str) -> Answer {
        let args: Vec<String> = args.iter().map(|v| self.show(*v).to_string()).collect();
        self.log.push(format!("{name}({})", args.join(", ")));
        self.version += i64::from(s.bump);
        match s.what {
            What::Leave => Answer::Leave,
            What::Raise(v) => {
                self.exception = self.make_object(&v);
                Answer::Raise
            }
            What::Values(values) => {
                let unboxed = matches!(op.row().res, Res::Int | Res::Bool | Res::Float | Res::IntOf | Res::FloatOf);
                Answer::Values(
                    values
                        .iter()
                        .map(|v| match v {
                            Literal::Int(i) if unboxed => Val::Int(*i),
                            Literal::Bool(b) if unboxed => Val::Bool(*b),
                            Literal::Float(x) if unboxed => Val::Float(*x),
                            _ => self.make(v),
                        })
                        .collect(),
                )
            }
        }
    }

    /// A constant lives for ever, and what it holds too.
    fn make_immortal(&mut self, r: ObjRef) {
        let mut work = vec![r];
        while let Some(r) = work.pop() {
            self.objects[r.0 as usize].count = None;
            match &self.objects[r.0 as usize].data {
                Data::List(x) | Data::Tuple(x) => work.extend(x),
                Data::Instance(a) => work.extend(a.values()),
                Data::Cell(v) | Data::Iter(v, _) => work.extend(v),
                _ => {}
            }
        }
    }

    /// The item of a sequence, counted from the end if negative.
    fn item_index(len: usize, index: i64) -> Option<usize> {
        let i = if index < 0 { index + len as i64 } else { index };
        usize::try_from(i).ok().filter(|i| *i < len)
    }

    fn heap(&mut self, op: Op, imm: &Imm, args: &[Val]) -> Result<Answer, String> {
        let one = |v: Val| Ok(Answer::Values(vec![v]));
        let nullable = |r: Option<ObjRef>| r.map_or(Val::Null, Val::Obj);
        let object = |n: usize| match args.get(n) {
            Some(Val::Obj(r)) => Ok(*r),
            other => Err(format!("an object expected, not {other:?}")),
        };
        match (op, imm) {
            (Op::Poll | Op::Checkpoint | Op::Looked | Op::GuardKeys | Op::GuardNoDict | Op::GuardGlobals | Op::GuardPlain, _) => {
                Ok(Answer::Values(vec![]))
            }
            (Op::Size, _) => match self.data(args.first())? {
                Data::List(x) | Data::Tuple(x) => one(Val::Int(x.len() as i64)),
                other => Err(format!("size of {other:?}")),
            },
            (Op::StrLen, _) => match self.data(args.first())? {
                Data::Str(s) => one(Val::Int(s.chars().count() as i64)),
                other => Err(format!("str.len of {other:?}")),
            },
            (Op::ListGet | Op::TupleGet | Op::TupleItem, _) => {
                let (Data::List(x) | Data::Tuple(x)) = self.data(args.first())? else { return Err("no sequence".into()) };
                let index = match (imm, args.get(1)) {
                    (Imm::Int(i), _) => *i,
                    (_, Some(Val::Int(i))) => *i,
                    _ => return Err("no index".into()),
                };
                match Self::item_index(x.len(), index) {
                    Some(i) => one(Val::Obj(x[i])),
                    None => Ok(Answer::Leave),
                }
            }
            (Op::ListSet, _) => {
                let (list, value) = (object(0)?, object(2)?);
                let Some(Val::Int(index)) = args.get(1) else { return Err("no index".into()) };
                let Data::List(x) = &mut self.objects[list.0 as usize].data else { return Err("no list".into()) };
                match Self::item_index(x.len(), *index) {
                    Some(i) => one(Val::Obj(std::mem::replace(&mut x[i], value))),
                    None => Ok(Answer::Leave),
                }
            }
            (Op::AttrSlot | Op::AttrInline, Imm::Int(offset)) => match self.data(args.first())? {
                Data::Instance(a) => a.get(offset).map_or(Ok(Answer::Leave), |r| one(Val::Obj(*r))),
                _ => Ok(Answer::Leave),
            },
            (Op::GuardInline, _) => match self.data(args.first())? {
                Data::Instance(_) => Ok(Answer::Values(vec![])),
                _ => Ok(Answer::Leave),
            },
            (Op::AttrPeek, Imm::Int(offset)) => match self.data(args.first())? {
                Data::Instance(a) => one(nullable(a.get(offset).copied())),
                other => Err(format!("attr.peek of {other:?}")),
            },
            (Op::SetSlot | Op::SetInline, Imm::Int(offset)) => {
                let (target, value) = (object(0)?, object(1)?);
                match &mut self.objects[target.0 as usize].data {
                    Data::Instance(a) => one(nullable(a.insert(*offset, value))),
                    other => Err(format!("{} of {other:?}", op.row().text)),
                }
            }
            (Op::CellGet, _) => match self.data(args.first())? {
                Data::Cell(v) => one(nullable(*v)),
                other => Err(format!("cell.get of {other:?}")),
            },
            (Op::CellSet, _) => {
                let (cell, value) = (object(0)?, object(1).ok());
                match &mut self.objects[cell.0 as usize].data {
                    Data::Cell(v) => one(nullable(std::mem::replace(v, value))),
                    other => Err(format!("cell.set of {other:?}")),
                }
            }
            (Op::FloatOverwrite | Op::IntOverwrite, _) => one(Val::Bool(false)),
            // No exception is being handled in this world.
            (Op::ExcPush, _) => one(Val::Obj(self.box_value(Val::Null))),
            (Op::RangeMore, _) => match self.data(args.first())? {
                Data::Range(_, _, left) => one(Val::Bool(*left > 0)),
                other => Err(format!("range.more of {other:?}")),
            },
            (Op::RangeNext, _) => match &mut self.objects[object(0)?.0 as usize].data {
                Data::Range(at, step, left) if *left > 0 => {
                    let v = *at;
                    (*at, *left) = (*at + *step, *left - 1);
                    one(Val::Int(v))
                }
                other => Err(format!("range.next of {other:?}")),
            },
            (Op::ListNext | Op::TupleNext, _) => {
                let it = object(0)?;
                let Data::Iter(seq, index) = self.objects[it.0 as usize].data.clone() else { return Err("no iterator".into()) };
                let Some(seq) = seq else { return one(Val::Null) };
                let (Data::List(x) | Data::Tuple(x)) = &self.objects[seq.0 as usize].data else { return Err("no sequence".into()) };
                let item = x.get(index).copied();
                if item.is_some() {
                    self.objects[it.0 as usize].data = Data::Iter(Some(seq), index + 1);
                }
                one(nullable(item))
            }
            (Op::IterDone, _) => {
                let it = object(0)?;
                let Data::Iter(seq, index) = self.objects[it.0 as usize].data.clone() else { return Err("no iterator".into()) };
                self.objects[it.0 as usize].data = Data::Iter(None, index);
                if let Some(seq) = seq {
                    self.release(seq)?;
                }
                Ok(Answer::Values(vec![]))
            }
            (Op::CheckBound, Imm::Slot(n)) => {
                self.exception = self.make_object(&Literal::Str(format!("unbound ${n}")));
                Ok(Answer::Raise)
            }
            _ => Err(format!("the test world has no answer to {} (write one: `; answer {0}: ...`)", op.row().text)),
        }
    }
}

impl World for TestWorld {
    fn constant(&mut self, id: ObjId) -> ObjRef {
        if let Some(r) = self.constants.get(&id.0) {
            return *r;
        }
        let r = match self.lets.get(&id.0).cloned() {
            Some(v) => self.make_object(&v),
            None => None,
        };
        let r = r.unwrap_or_else(|| self.new_object(Data::Opaque(id.0)));
        self.constants.insert(id.0, r);
        self.make_immortal(r);
        r
    }

    fn own(&mut self, r: ObjRef) {
        if let Some(c) = &mut self.objects[r.0 as usize].count {
            *c += 1;
        }
    }

    fn release(&mut self, r: ObjRef) -> Result<(), String> {
        let mut work = vec![r];
        while let Some(r) = work.pop() {
            let shown = self.show(Val::Obj(r));
            let object = &mut self.objects[r.0 as usize];
            let Some(count) = &mut object.count else { continue };
            *count = count.checked_sub(1).ok_or_else(|| format!("{shown} is dropped once too often"))?;
            if *count > 0 {
                continue;
            }
            match &object.data {
                Data::List(x) | Data::Tuple(x) => work.extend(x),
                Data::Instance(a) => work.extend(a.values()),
                Data::Cell(v) | Data::Iter(v, _) => work.extend(v),
                _ => {}
            }
        }
        Ok(())
    }

    fn box_value(&mut self, v: Val) -> ObjRef {
        match v {
            Val::Bool(b) => {
                // Immortal and unique, as in Python; their ids lie beyond those of tests.
                let id = u64::MAX - u64::from(b);
                if let Some(r) = self.constants.get(&id) {
                    return *r;
                }
                let r = self.new_object(Data::Bool(b));
                self.objects[r.0 as usize].count = None;
                self.constants.insert(id, r);
                r
            }
            Val::Float(x) => self.new_object(Data::Float(x)),
            Val::Int(i) => self.new_object(Data::Int(i)),
            Val::Null | Val::Ptr(_) | Val::Obj(_) => self.new_object(Data::None),
        }
    }

    fn unbox(&self, r: ObjRef) -> Option<Val> {
        match self.objects[r.0 as usize].data {
            Data::Int(i) => Some(Val::Int(i)),
            Data::Float(x) => Some(Val::Float(x)),
            Data::Bool(b) => Some(Val::Bool(b)),
            _ => None,
        }
    }

    fn class_is(&self, r: ObjRef, class: ObjId) -> bool {
        self.objects[r.0 as usize].class == class.0
    }

    fn version_is(&self, _: ObjRef, version: i64) -> bool {
        self.version == version
    }

    fn exception(&mut self) -> Option<ObjRef> {
        self.exception.take()
    }

    fn perform(&mut self, op: Op, imm: &Imm, args: &[Val], _: usize) -> Result<Answer, String> {
        let mut names = vec![op.row().text.to_owned()];
        if let Imm::Helper(h) | Imm::HelperInt(h, _) = imm {
            names.insert(0, format!("@{h}"));
        }
        for name in names {
            if let Some(s) = self.scripts.get_mut(&name).and_then(VecDeque::pop_front) {
                return Ok(self.scripted(s, op, args, &name));
            }
        }
        self.heap(op, imm, args)
    }
}
