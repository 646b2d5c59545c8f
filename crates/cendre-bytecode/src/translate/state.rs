//! The abstract state: what is known of each entry of the eval stack and of each local at one point of the bytecode.

use cendre_ir::{ObjId, Value};

/// How a value is represented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Object,
    /// An object or null (a method call's self, a cleared local).
    Nullable,
    Null,
    Int,
    Float,
    Bool,
    /// A raw word: the `lasti` marker.
    Word,
}

impl Kind {
    pub fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Float | Kind::Bool)
    }
}

/// An entry of the eval stack.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Val {
    pub v: Value,
    pub kind: Kind,
    /// Objects: do we own a reference?
    pub own: bool,
    /// Exact class, known for certain.
    pub class: Option<u64>,
    /// The object itself, known for certain.
    pub literal: Option<u64>,
    /// The object that it probably is (a global's present value): to be guarded before use.
    pub likely: Option<u64>,
    /// The local it was loaded from. A number's object is the one in that local's slot, once that is current: nobody has stored there since (`unhome`).
    pub home: Option<u32>,
    /// Of a number without a home: its origin ([`cendre_ir::origin`]), which is known when the code runs: an object (owned) or null, or a raw word.
    pub of: Option<Value>,
    /// Of an object that was a number until unknown code ran: that number (`keep_objects`).
    pub number: Option<(Kind, Value)>,
    /// An int constant's value, where the object is a literal.
    pub int: Option<i64>,
    pub float: Option<f64>,
    /// The exception that PUSH_EXC_INFO made the handled one.
    pub handled: bool,
}

impl Val {
    pub fn object(v: Value, own: bool) -> Val {
        Val {
            v,
            kind: Kind::Object,
            own,
            class: None,
            literal: None,
            likely: None,
            home: None,
            of: None,
            number: None,
            int: None,
            float: None,
            handled: false,
        }
    }
    pub fn number(kind: Kind, v: Value) -> Val {
        Val { kind, ..Val::object(v, false) }
    }
    pub fn null(v: Value) -> Val {
        Val { kind: Kind::Null, ..Val::object(v, false) }
    }
    pub fn nullable(v: Value, own: bool) -> Val {
        Val { kind: Kind::Nullable, ..Val::object(v, own) }
    }
    pub fn with_class(self, class: u64) -> Val {
        Val { class: Some(class), ..self }
    }
    pub fn id(self) -> Option<ObjId> {
        self.literal.or(self.likely).map(ObjId)
    }
}

/// A local (slot of `localsplus`).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Local {
    /// The object that the slot holds, borrowed from it; only where the slot is current.
    pub cached: Option<Val>,
    /// The local's value, unboxed.
    pub number: Option<(Kind, Value)>,
    /// The slot does not hold `number` yet,
    pub stale: bool,
    /// unless this truth value is true: paths have met, and on some of them it does.
    pub unless: Option<Value>,
    /// What the slot holds can be dropped without running code.
    pub plain: bool,
}

/// A whole state.
#[derive(Clone, Debug)]
pub(crate) struct Abstract {
    pub stack: Vec<Val>,
    pub locals: Vec<Local>,
    /// See [`super::Translator::untraced`].
    pub untraced: bool,
}
