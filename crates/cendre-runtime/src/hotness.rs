//! What is hot enough to be compiled: arithmetic on samples and on time, nothing of CPython.
//!
//! A sample is worth about a millisecond of the program. A function is compiled once it has been seen `threshold` times and
//! then for as long as it takes until what machine code saves has paid for the compilation, if it goes on as before: a sample in a
//! running loop counts as more than one in code that mostly calls others. So large code needs more evidence. The compiler as a whole
//! gets a share of the processor time that the program has used so far.
//! Invariant: with a threshold of 1 or 0 none of this holds anything back (tests want as much compiled as can be).
//! Measurements and the choice of numbers: docs/internals/hotness.md.

/// Samples in which the heat of code that is not seen any more falls by half.
const HALF_LIFE: u32 = 4096;
/// The most that one function has to wait for, in heat.
const MOST_HEAT: u64 = 1200;
/// Heat of a sample inside a loop of the running frame: most of its time is saved there.
const LOOP_HEAT: u32 = 3;
/// Milliseconds in code that pays back one of the compiler: a quarter is what is saved where other objects are mostly dealt with.
const PAYBACK: u64 = 4;
/// The same for code of which machine code promises little (`cendre_bytecode::prospect`): it is compiled where a program spends much time in it.
const POOR_PAYBACK: u64 = 16;
/// Processor time of the compiler that every program may have, in nanoseconds.
const CREDIT_NS: u64 = 20_000_000;
/// And of each unit of time that the program has run, one in so many, once it has run for as long as `RISE_NS`.
const SHARE: u64 = 8;
/// Until then the share rises evenly from nothing: how long a program has run is the best guess at how long it will go on.
const RISE_NS: u64 = 2_000_000_000;
/// First guess of what compiling one code unit costs, in nanoseconds.
const GUESS_NS_PER_UNIT: u64 = 25_000;
/// What leaving machine code loses, in nanoseconds: the way out, and some of the rest of the function.
const LEAVE_NS: u64 = 2_000;
/// Instructions from which entering a function without loops and calls of Python functions from the interpreter pays: the way in and out costs as much as machine code saves in so many,
/// and what it takes of the cache of instructions comes on top.
const WORTH_ENTERING: usize = 24;
/// One sample, in nanoseconds.
const SAMPLE_NS: u64 = 1_000_000;

/// Where a sample found a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The running frame.
    Top,
    /// The innermost frame that is inside a loop of its own.
    Loop,
    /// Any other.
    Caller,
}

/// How hot a code object is: samples, falling with time.
#[derive(Clone, Default, Debug)]
pub struct Heat {
    samples: u32,
    /// Number of the sample that changed it last.
    at: u32,
    /// Times that its loops were asked for while they were not known.
    pub looks: u8,
    /// Loops as ranges of code units, found when first needed.
    pub loops: Option<Box<[(u32, u32)]>>,
    /// Whether machine code of it promises little, once that was asked.
    pub poor: Option<bool>,
}

impl Heat {
    /// Counts a sample of some weight; answers the heat.
    pub fn add(&mut self, now: u32, weight: u32) -> u32 {
        let halvings = now.wrapping_sub(self.at) / HALF_LIFE;
        self.samples = self.samples.checked_shr(halvings).unwrap_or(0);
        if halvings > 0 || self.samples == 0 {
            self.at = now;
        }
        self.samples = self.samples.saturating_add(weight);
        self.samples
    }

    /// Whether an instruction lies in a loop.
    pub fn in_loop(&self, unit: u32) -> bool {
        self.loops.as_ref().is_some_and(|l| l.iter().any(|(from, to)| (*from..*to).contains(&unit)))
    }
}

/// Whether a frame that a sample has found there counts.
pub fn counts(place: Place, runs_once: bool, in_loop: bool, threshold: u32) -> bool {
    match place {
        _ if threshold <= 1 => true,
        // The body of a module or class: all that can be gained is in its loops.
        Place::Top => !runs_once || in_loop,
        Place::Loop => true,
        Place::Caller => false,
    }
}

/// How much a sample counts.
pub fn weight(running: bool, in_loop: bool) -> u32 {
    if running && in_loop { LOOP_HEAT } else { 1 }
}

/// Whether a function is to be entered from the interpreter too, not from machine code alone.
pub fn worth_entering(instructions: usize, goes_on: bool) -> bool {
    goes_on || instructions >= WORTH_ENTERING
}

/// What compiling costs here: learned from what was compiled.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    ns_per_unit: u64,
    /// Processor time that compiling has taken so far.
    pub spent_ns: u64,
}

impl Default for Costs {
    fn default() -> Costs {
        Costs::new()
    }
}

impl Costs {
    /// Nothing learned yet.
    pub const fn new() -> Costs {
        Costs { ns_per_unit: GUESS_NS_PER_UNIT, spent_ns: 0 }
    }

    /// Learns from one compilation.
    pub fn learn(&mut self, units: usize, ns: u64) {
        self.spent_ns += ns;
        let each = (ns / units.max(1) as u64).clamp(GUESS_NS_PER_UNIT / 8, GUESS_NS_PER_UNIT * 8);
        self.ns_per_unit = (self.ns_per_unit * 7 + each) / 8;
    }

    /// What compiling so many code units will take.
    pub fn estimate_ns(&self, units: usize) -> u64 {
        units as u64 * self.ns_per_unit
    }

    /// The heat at which code of this size is compiled.
    pub fn needed(&self, threshold: u32, units: usize, poor: bool) -> u32 {
        if threshold <= 1 {
            return threshold;
        }
        let payback = if poor { POOR_PAYBACK } else { PAYBACK };
        threshold.saturating_add((self.estimate_ns(units) * payback / SAMPLE_NS).min(MOST_HEAT) as u32)
    }

    /// Leaves through one exit, each of which costs about so much, that pay for compiling code of this size again.
    pub fn leaves(&self, least: u32, units: usize) -> u32 {
        least.saturating_add((self.estimate_ns(units) / LEAVE_NS) as u32)
    }

    /// What the compiler may still use of a process that has used so much, itself included.
    pub fn left_ns(&self, process_ns: u64) -> u64 {
        let ran = process_ns.saturating_sub(self.spent_ns);
        let rising = ran.min(RISE_NS);
        let share = rising * rising / (2 * RISE_NS) + (ran - rising);
        (CREDIT_NS + share / SHARE).saturating_sub(self.spent_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_falls_by_half() {
        let mut h = Heat::default();
        for now in 100..108 {
            h.add(now, 1);
        }
        assert_eq!(h.add(109, 1), 9);
        assert_eq!(h.add(109 + HALF_LIFE, 1), 5);
        assert_eq!(h.add(109 + 50 * HALF_LIFE, 1), 1);
    }

    #[test]
    fn heat_that_is_added_to_now_and_then_still_falls() {
        // Seen once in 3000 samples: never hot.
        let mut h = Heat::default();
        let most = (0..1000).map(|n| h.add(n * 3000, 1)).max();
        assert!(most.is_some_and(|m| m <= 4), "{most:?}");
    }

    #[test]
    fn large_code_needs_more() {
        let c = Costs::new();
        let (small, large) = (c.needed(4, 50, false), c.needed(4, 2000, false));
        assert!(small < 10 && large > 150, "{small} {large}");
        assert_eq!((c.needed(1, 5000, true), c.needed(0, 5000, true)), (1, 0));
        assert!(c.needed(4, 500, true) > 2 * c.needed(4, 500, false));
        assert_eq!(c.leaves(50, 0), 50);
        assert!(c.leaves(50, 400) > 2000 && c.leaves(50, 40) < 1000);
    }

    #[test]
    fn loops_get_hot_sooner() {
        assert!(weight(true, true) > weight(true, false) && weight(false, true) == 1);
    }

    #[test]
    fn short_functions_are_entered_for_their_loops_and_calls_only() {
        assert!(!worth_entering(5, false) && worth_entering(5, true) && worth_entering(100, false));
    }

    #[test]
    fn costs_follow_what_was_measured() {
        let mut c = Costs::new();
        for _ in 0..50 {
            c.learn(100, 100 * 3 * GUESS_NS_PER_UNIT);
        }
        let learned = c.estimate_ns(1);
        assert!(learned > 2 * GUESS_NS_PER_UNIT && learned <= 3 * GUESS_NS_PER_UNIT, "{learned}");
    }

    #[test]
    fn the_budget_is_a_share_of_the_programs_own_time() {
        let mut c = Costs::new();
        assert_eq!(c.left_ns(0), CREDIT_NS);
        c.learn(1000, CREDIT_NS);
        assert_eq!(c.left_ns(CREDIT_NS), 0);
        let after = |ran| c.left_ns(CREDIT_NS + ran);
        assert_eq!(after(RISE_NS), RISE_NS / SHARE / 2);
        assert_eq!(after(3 * RISE_NS) - after(2 * RISE_NS), RISE_NS / SHARE);
        // Half the time, a quarter of the budget.
        assert_eq!(after(RISE_NS / 2), after(RISE_NS) / 4);
    }

    #[test]
    fn bodies_that_run_once_count_by_their_loops_only() {
        assert!(!counts(Place::Top, true, false, 4) && counts(Place::Top, true, true, 4));
        assert!(counts(Place::Top, false, false, 4) && counts(Place::Loop, true, true, 4));
        assert!(!counts(Place::Caller, false, false, 4) && counts(Place::Caller, true, false, 1));
    }
}
