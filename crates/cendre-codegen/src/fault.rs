//! Faults on purpose, for the tests of the tests: with `CENDRE_FAULT=name` in the environment machine code is wrong in one known way, and
//! `tests/smith` must find out. Nobody else has a use for it.
//!
//! Invariant: without the variable nothing here has any effect. It is read once.

use std::sync::LazyLock;

static NAME: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CENDRE_FAULT").ok());

/// Differences and products that do not fit 64 bits do not leave.
pub const OVERFLOW: &str = "overflow";
/// `<` of ints is `<=`.
pub const COMPARISON: &str = "comparison";
/// Leaving forgets the first local whose value is not in memory.
pub const STALE: &str = "stale";

/// Whether this fault was asked for.
pub fn is(name: &str) -> bool {
    NAME.as_deref() == Some(name)
}
