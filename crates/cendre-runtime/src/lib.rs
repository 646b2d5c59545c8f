//! The runtime beside compiled code: records of code objects, ways in and out, hotness, code memory, statistics.
//!
//! Invariant: everything here runs with the GIL held, except the sampler's thread, which only asks CPython for a pending
//! call, and the compiler's, which works on plain data. State that the GIL protects lives in [`Gil`]. Read docs/internals/runtime.md, then `record.rs`.

// A panic must not cross into C: nothing here panics by itself, and where an index is taken on trust the reason stands beside it.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod api;
pub mod artifact;
pub mod attrs;
pub mod behind;
pub mod binding;
pub mod body;
pub mod codemem;
pub mod compiler;
pub mod config;
pub mod coro;
pub mod driver;
pub mod entries;
pub mod env;
pub mod evaluator;
pub mod exits;
pub mod ext;
pub mod facts;
pub mod frames;
pub mod generators;
pub mod gil;
pub mod globals;
pub mod hotness;
pub mod job;
pub mod kept;
pub mod numbers;
pub mod ops;
pub mod protocol;
pub mod record;
pub mod sampler;
pub mod stats;
pub mod trial;
pub mod unwind;

pub use body::{Body, BodyResult};
pub use gil::Gil;
pub use record::CodeRecord;
