//! Passes over cendre's IR: one file each, their order in pipeline.rs.
//!
//! Invariant: a pass takes any function that the verifier accepts, leaves one that it accepts, and changes nothing that can be
//! observed: results, effects, and what states describe. Time is near linear. Read docs/internals/ir.md, "Passes".
#![forbid(unsafe_code)]

mod blocks;
mod borrow;
mod boxes;
mod classes;
mod dead;
mod fold;
mod known;
mod memory;
mod pipeline;
mod rewrite;
mod simplify;
mod values;

pub use classes::Classes;
pub use pipeline::{PASSES, Pass, run, run_one, run_with};
