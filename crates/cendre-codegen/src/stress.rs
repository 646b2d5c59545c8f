//! Leaves on purpose, for tests: with `CENDRE_STRESS=seed` (a number above 0) in the environment, guards also leave by chance, about one time in
//! [`ONE_IN`]. A leave is right wherever a guard stands, so no program may notice; what is wrong in a frame state shows.
//!
//! Invariant: without the variable nothing here has any effect. It is read once. The sequence is that of a linear congruential
//! generator whose state machine code changes with the GIL held.

use cendre_ir::Op;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A power of two.
pub const ONE_IN: u64 = 64;
/// Knuth's MMIX.
pub const FACTOR: u64 = 6_364_136_223_846_793_005;
pub const SUMMAND: u64 = 1_442_695_040_888_963_407;

static STATE: AtomicU64 = AtomicU64::new(0);

/// The seed, if leaves were asked for.
static SEED: LazyLock<Option<u64>> = LazyLock::new(|| std::env::var("CENDRE_STRESS").ok()?.parse().ok().filter(|s| *s != 0));

/// Begins the sequence anew: `enable()` does it, so that a test can run one program as it ran behind others.
pub fn restart() {
    if let Some(seed) = *SEED {
        STATE.store(seed.wrapping_mul(FACTOR), Ordering::Relaxed);
    }
}

/// Where the state lies, if this instruction is to leave by chance: its state must describe a moment at which leaving is right whatever
/// the guard's outcome. That is not so where what is left behind depends on the outcome (`looked`, `reload`), or where something
/// has happened already (`drop`, `store_local`, results of calls; `guard.not_null` also tells what a branch behind an iterator's step has decided).
pub fn address(op: Op) -> Option<usize> {
    let guard = matches!(
        op,
        Op::GuardType | Op::GuardVersion | Op::GuardClassVersion | Op::GuardIs | Op::GuardTrue | Op::UnboxInt
            | Op::UnboxFloat | Op::UnboxBool | Op::IAddLeave | Op::ISubLeave | Op::IMulLeave | Op::IFloorDiv | Op::IMod | Op::IShl
            | Op::IShr | Op::INeg | Op::IToF | Op::FDiv | Op::AttrInline | Op::AttrSlot | Op::GuardKeys | Op::GuardNoDict
            | Op::SetInline | Op::GlobalModule | Op::GuardGlobals | Op::GlobalBuiltin | Op::GlobalCell | Op::GuardCellEmpty
            | Op::AttrModule | Op::ListGet | Op::TupleGet | Op::ListSet | Op::Checkpoint
    );
    (guard && SEED.is_some()).then(|| (&raw const STATE).addr())
}
