//! What a compiled body looks like from outside: its signature and its result.
//!
//! Invariant: the shapes of docs/internals/contracts.md; the tags are those of `cendre_codegen::tag`.

use cendre_cpython::interpframe::Frame;
use cendre_cpython::tstate::ThreadState;

/// The result went out by RETURN_VALUE: `value` is an owned reference.
pub const RETURNED: u64 = cendre_codegen::tag::RETURNED as u64;
/// An exception is set and no handler of this frame takes it.
pub const RAISED: u64 = cendre_codegen::tag::RAISED as u64;
/// The interpreter goes on at `instr_ptr`; `value` is the index of the exit.
pub const LEAVE: u64 = cendre_codegen::tag::LEAVE as u64;
/// Suspended: `value` is what was yielded, owned.
pub const YIELDED: u64 = cendre_codegen::tag::YIELDED as u64;
/// Only to callers that take numbers: an int, not boxed.
pub const RETURNED_INT: u64 = cendre_codegen::tag::RETURNED_INT as u64;
/// The same: the bits of a double.
pub const RETURNED_FLOAT: u64 = cendre_codegen::tag::RETURNED_FLOAT as u64;
/// Only to callers that await the result: the function was about to return a coroutine that nobody else has seen and that has not begun. `value` is
/// the shell that it lies in (see `coro/pass.rs`).
pub const PREPARED: u64 = cendre_codegen::tag::PREPARED as u64;
/// Added to a body's entry index: the caller awaits what the function returns.
pub const AWAITED: u64 = cendre_codegen::tag::AWAITED as u64;

/// How a body ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BodyResult {
    pub tag: u64,
    pub value: u64,
}

impl BodyResult {
    /// A result.
    #[inline(always)]
    pub const fn new(tag: u64, value: u64) -> BodyResult {
        BodyResult { tag, value }
    }
}

/// A compiled body: `at` is an index into the artifact's entry table.
pub type Body = unsafe extern "C" fn(ts: *mut ThreadState, fr: *mut Frame, at: u64) -> BodyResult;
