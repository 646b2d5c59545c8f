//! The order of the passes, in one place.
//!
//! Invariant: whatever the verifier accepts goes in, and comes out accepted (debug builds check after every pass).

use crate::classes::Classes;
use crate::{blocks, borrow, boxes, dead, fold, known, simplify, values};
use cendre_ir::Function;

/// A pass: changes the function, says whether it did.
pub type Pass = fn(&mut Function, &Classes) -> bool;

/// All passes by name, for filetests and `cendre explain`.
pub const PASSES: &[(&str, Pass)] = &[
    ("blocks", |f, _| blocks::run(f)),
    ("simplify", |f, _| simplify::run(f)),
    ("borrow", borrow::run),
    ("fold", |f, _| fold::run(f)),
    ("boxes", |f, _| boxes::run(f)),
    ("known", known::run),
    ("values", values::run),
    ("dead", |f, _| dead::run(f)),
];

/// References that are not needed first, so that fewer drops stand between what repeats; boxes,  so that guards of numbers go; then what types and earlier instructions tell; then what that made constant or dead.
const ORDER: &[&str] = &[
    "blocks", "simplify", "borrow", "known", "boxes", "values", "fold", "blocks", "simplify", "known", "values", "boxes", "fold", "dead",
    "blocks",
];

/// Runs the whole pipeline without knowledge about classes.
pub fn run(f: &mut Function) {
    run_with(f, &Classes::default());
}

/// Runs the whole pipeline; the more it knows about classes, the more guards go.
pub fn run_with(f: &mut Function, classes: &Classes) {
    for name in ORDER {
        run_one(f, name, classes);
    }
}

/// Runs one pass by name; `false` also if there is no such pass.
pub fn run_one(f: &mut Function, name: &str, classes: &Classes) -> bool {
    let Some((_, pass)) = PASSES.iter().find(|p| p.0 == name) else { return false };
    if cfg!(debug_assertions) {
        check(f, "before", name);
    }
    let changed = pass(f, classes);
    if cfg!(debug_assertions) {
        check(f, "after", name);
    }
    changed
}

fn check(f: &Function, when: &str, name: &str) {
    if let Err(errors) = f.verify() {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{when} pass {name}:\n{}\n{f}", errors.join("\n"));
    }
}
