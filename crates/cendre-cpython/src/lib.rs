//! CPython 3.14 as cendre sees it: declarations, offsets, references, and the check that they are true.
//!
//! Holds one module per CPython header (same field names as in C), the exported private functions (`api`), the offsets that
//! machine code needs (`offsets`), and `layout::check`, which runs before anything else touches an interpreter.
//! Invariant: a struct is declared here once and nowhere else, for the GIL build of 3.14; this crate imports none of ours.
//! Read: `docs/internals/layout.md`.

#![warn(missing_docs)]

pub use pyo3_ffi as ffi;

pub mod api;
pub mod code;
pub mod dict;
pub mod frameobject;
pub mod freelist;
pub mod funcobject;
pub mod gc;
pub mod genobject;
pub mod interp;
pub mod interpframe;
pub mod layout;
pub mod longobject;
pub mod monitoring;
pub mod objects;
pub mod offsets;
pub mod optimizer;
pub mod owned;
pub mod refcount;
pub mod runtime;
mod selftest;
pub mod stackref;
pub mod table;
pub mod tstate;
pub mod typeobject;

pub use code::{CodeObject, CodeUnit};
pub use funcobject::FunctionObject;
pub use genobject::GenObject;
pub use interpframe::Frame;
pub use objects::{cell, floatobject, listobject, methodobject, pyerrors, rangeobject, tupleobject, unicodeobject};
pub use owned::{Borrowed, Owned};
pub use stackref::StackRef;
pub use tstate::{ThreadState, ThreadStateImpl};
