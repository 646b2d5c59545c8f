//! One table of counters, and the tallies by reason.
//!
//! Invariant: counters only ever grow between two `reset_stats()`; all are protected by the GIL.

use crate::gil::Gil;
use std::collections::BTreeMap;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)*) => {
        /// A counter of `stats()`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Counter { $($(#[doc = $doc])+ $name,)* }
        /// Names, in the order of [`Counter`].
        pub const NAMES: &[&str] = &[$($text,)*];
    };
}

counters! {
    /// Samples taken.
    Samples = "samples";
    /// Times that the sampler's thread woke.
    Wakes = "sampler_wakes";
    /// Compilations.
    Compiled = "compiled";
    /// Compilations of code that had been compiled before.
    Recompiled = "recompiled";
    /// Time spent compiling.
    CompileNs = "compile_ns";
    /// The part of it that the program's threads spent: facts and translation, installing, and compiling on demand.
    ForegroundNs = "compile_foreground_ns";
    /// The part that the compiler's thread spent.
    BackgroundNs = "compile_background_ns";
    /// Results of the compiler's thread that nobody wanted any more.
    Discarded = "compiles_discarded";
    /// Hot functions that had to wait, since the queue was full or the budget spent.
    Postponed = "compiles_postponed";
    /// The same of the first compile, which loads the compiler.
    FirstCompileNs = "first_compile_ns";
    /// Bytecode instructions compiled.
    Instructions = "compiled_instructions";
    /// IR instructions made of them.
    IrInstructions = "ir_instructions";
    /// Bodies that ended with an exception.
    Raises = "raises";
    /// Frames left to the interpreter.
    Left = "left";
    /// Frames left to the interpreter since a test asked for it.
    Forced = "left_forced";
    /// Frames pushed by vectorcall entries and compiled callers' slow path.
    Pushes = "frames_pushed";
    /// Of these, by the interpreter's own function since the chunk of the data stack was full.
    ApiPushes = "frames_pushed_by_api";
    /// Ways in that gave up near the margin of the C stack.
    Declined = "declined_low_stack";
    /// Ways in taken out since tools changed.
    Detached = "detached";
    /// Code retired since an object that it names died.
    Retired = "retired";
    /// Events that entered compiled code by sys.monitoring.
    Events = "monitoring_entries";
}

struct Tallies {
    counters: [u64; NAMES.len()],
    refused: BTreeMap<String, u64>,
    leaves: BTreeMap<&'static str, u64>,
}

static TALLIES: Gil<Tallies> = Gil::new(Tallies { counters: [0; NAMES.len()], refused: BTreeMap::new(), leaves: BTreeMap::new() });

/// Adds one. The GIL is held by everybody who has something to count.
#[inline(always)]
pub fn count(c: Counter) {
    add(c, 1);
}

/// Adds to a counter.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "each counter has a place")]
pub fn add(c: Counter, n: u64) {
    // SAFETY: the runtime runs with the GIL held; no Python code runs here.
    unsafe { TALLIES.get().counters[c as usize] += n }
}

/// The value of a counter.
#[expect(clippy::indexing_slicing, reason = "each counter has a place")]
pub fn get(c: Counter) -> u64 {
    // SAFETY: as above.
    unsafe { TALLIES.get().counters[c as usize] }
}

/// Counts a refusal.
pub fn refused(reason: &str) {
    // SAFETY: as above.
    unsafe { *TALLIES.get().refused.entry(reason.to_owned()).or_insert(0) += 1 }
}

/// Counts leaves by reason.
pub fn leaves(reason: &'static str, n: u64) {
    // SAFETY: as above.
    unsafe { *TALLIES.get().leaves.entry(reason).or_insert(0) += n }
}

/// Reasons and counts: refusals.
pub fn all_refused() -> Vec<(String, u64)> {
    // SAFETY: as above.
    unsafe { TALLIES.get().refused.iter().map(|(k, v)| (k.clone(), *v)).collect() }
}

/// Reasons and counts: leaves.
pub fn all_leaves() -> Vec<(&'static str, u64)> {
    // SAFETY: as above.
    unsafe { TALLIES.get().leaves.iter().map(|(k, v)| (*k, *v)).collect() }
}

/// Sets everything to zero.
pub fn reset() {
    // SAFETY: as above.
    unsafe {
        let t = TALLIES.get();
        t.counters = [0; NAMES.len()];
        t.refused.clear();
        t.leaves.clear();
    }
}

/// The value of a counter by its index in [`NAMES`].
#[expect(clippy::indexing_slicing, reason = "callers count the names, of which there is one a place")]
pub fn by_index(n: usize) -> u64 {
    // SAFETY: as above.
    unsafe { TALLIES.get().counters[n] }
}
