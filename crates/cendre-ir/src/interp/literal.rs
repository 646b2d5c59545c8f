//! Python-like literals of filetests: `5`, `1.5`, `True`, `None`, `"s"`, `[1, 2]`, `(1,)`, `obj(16: 5)`, `#100`, `null`.
//!
//! Invariant: `parse` reads what `Display` prints. Read docs/internals/ir.md, "Filetests".

use crate::print::quote;
use std::fmt;

/// A value as a test writes it.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Null,
    Str(String),
    List(Vec<Literal>),
    Tuple(Vec<Literal>),
    /// An instance of the class `#11`, with attributes at byte offsets.
    Instance(Vec<(i64, Literal)>),
    /// A cell.
    Cell(Box<Literal>),
    /// `range(start, stop, step)` as an iterator; `iter([..])`, `iter((..))`.
    Range(i64, i64, i64),
    Iter(Box<Literal>),
    /// The object with this id.
    Id(u64),
    /// A raw word: `word 3`.
    Word(u64),
}

impl Literal {
    /// Reads one literal; second: the rest of the text.
    pub fn parse(text: &str) -> Result<(Literal, &str), String> {
        let t = text.trim_start();
        let bad = || format!("a value expected at `{t}`");
        if let Some(rest) = t.strip_prefix('"') {
            let (s, rest) = rest.split_once('"').ok_or_else(bad)?;
            return Ok((Literal::Str(s.to_owned()), rest));
        }
        if let Some(rest) = t.strip_prefix('[') {
            let (items, rest) = Literal::items(rest, ']')?;
            return Ok((Literal::List(items), rest));
        }
        if let Some(rest) = t.strip_prefix('(') {
            let (items, rest) = Literal::items(rest, ')')?;
            return Ok((Literal::Tuple(items), rest));
        }
        if let Some(rest) = t.strip_prefix("iter(") {
            let (item, rest) = Literal::parse(rest)?;
            return Ok((Literal::Iter(Box::new(item)), rest.trim_start().strip_prefix(')').ok_or_else(bad)?));
        }
        if let Some(rest) = t.strip_prefix("cell(") {
            let (item, rest) = Literal::parse(rest)?;
            return Ok((Literal::Cell(Box::new(item)), rest.trim_start().strip_prefix(')').ok_or_else(bad)?));
        }
        if let Some(rest) = t.strip_prefix("range(") {
            let (items, rest) = Literal::items(rest, ')')?;
            return match items[..] {
                [Literal::Int(a), Literal::Int(b), Literal::Int(c)] => Ok((Literal::Range(a, b, c), rest)),
                _ => Err("range(start, stop, step) expected".into()),
            };
        }
        if let Some(mut rest) = t.strip_prefix("obj(") {
            let mut attrs = Vec::new();
            loop {
                if let Some(r) = rest.trim_start().strip_prefix(')') {
                    return Ok((Literal::Instance(attrs), r));
                }
                let (offset, r) = rest.split_once(':').ok_or_else(bad)?;
                let (v, r) = Literal::parse(r)?;
                attrs.push((offset.trim().parse().map_err(|_| bad())?, v));
                rest = r.trim_start().strip_prefix(',').unwrap_or(r);
            }
        }
        let end = t.find(|c: char| !(c.is_ascii_alphanumeric() || "#.-+_".contains(c))).unwrap_or(t.len());
        let (word, rest) = t.split_at(end);
        let v = match word {
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            "None" => Literal::None,
            "null" => Literal::Null,
            "nan" => Literal::Float(f64::NAN),
            "inf" => Literal::Float(f64::INFINITY),
            "-inf" => Literal::Float(f64::NEG_INFINITY),
            "word" => {
                return match Literal::parse(rest)? {
                    (Literal::Int(i), rest) => Ok((Literal::Word(i as u64), rest)),
                    _ => Err(bad()),
                };
            }
            _ => match word.strip_prefix('#') {
                Some(id) => Literal::Id(id.parse().map_err(|_| bad())?),
                None => match (word.parse::<i64>(), word.parse::<f64>()) {
                    (Ok(i), _) => Literal::Int(i),
                    (_, Ok(x)) => Literal::Float(x),
                    _ => return Err(bad()),
                },
            },
        };
        Ok((v, rest))
    }

    /// Items up to `end`, a comma between them.
    pub fn items(text: &str, end: char) -> Result<(Vec<Literal>, &str), String> {
        let mut out = Vec::new();
        let mut rest = text.trim_start();
        loop {
            if let Some(r) = rest.strip_prefix(end) {
                return Ok((out, r));
            }
            let (v, r) = Literal::parse(rest)?;
            out.push(v);
            rest = r.trim_start();
            if let Some(r) = rest.strip_prefix(',') {
                rest = r.trim_start();
            } else if !rest.starts_with(end) {
                return Err(format!("`,` or `{end}` expected at `{rest}`"));
            }
        }
    }
}

/// Items with a comma between them.
pub(crate) fn join(items: &[Literal]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Int(i) => write!(f, "{i}"),
            Literal::Float(x) if x.is_nan() => f.write_str("nan"),
            Literal::Float(x) => write!(f, "{x:?}"),
            Literal::Bool(b) => f.write_str(if *b { "True" } else { "False" }),
            Literal::None => f.write_str("None"),
            Literal::Null => f.write_str("null"),
            Literal::Str(s) => f.write_str(&quote(s)),
            Literal::List(items) => write!(f, "[{}]", join(items)),
            Literal::Tuple(items) => write!(f, "({})", join(items)),
            Literal::Instance(attrs) => {
                let attrs: Vec<String> = attrs.iter().map(|(o, v)| format!("{o}: {v}")).collect();
                write!(f, "obj({})", attrs.join(", "))
            }
            Literal::Cell(v) => write!(f, "cell({v})"),
            Literal::Range(a, b, c) => write!(f, "range({a}, {b}, {c})"),
            Literal::Iter(v) => write!(f, "iter({v})"),
            Literal::Id(n) => write!(f, "#{n}"),
            Literal::Word(n) => write!(f, "word {n}"),
        }
    }
}
