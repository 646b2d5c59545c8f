//! The switches that make tests hard: compiling after a drawn number of calls, compiling a drawn part of the code objects, guards
//! that fail although nothing is wrong.
//!
//! Invariants: what is drawn for a code object depends on the seed and on the code's name and line alone, so that a failing run can
//! be repeated; with the switches off none of this is in machine code, and nothing is drawn. A forced leave says nothing about types: it
//! is counted apart and never makes a site generic.

use crate::config::{self, Config};
use crate::gil::Gil;
use cendre_cpython::code::CodeObject;

/// What a draw is for: the draws of one code object are independent.
#[derive(Clone, Copy)]
enum Salt {
    Warmup = 1,
    Mix = 2,
}

/// State of the forced leaves.
struct Forced {
    /// Guards until the next forced leave; machine code counts it down. Must be first: its address is in machine code.
    countdown: i64,
    random: u64,
    every: u32,
}

static FORCED: Gil<Forced> = Gil::new(Forced { countdown: i64::MAX, random: 0, every: 0 });

/// Well mixed bits of a number (the finaliser of splitmix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn draw(seed: u64, salt: Salt, name: &str, line: i32) -> u64 {
    name.bytes().fold(mix(seed ^ mix(salt as u64) ^ mix(line as u64)), |h, b| mix(h ^ u64::from(b)))
}

fn draw_warmup(config: &Config, name: &str, line: i32) -> u32 {
    let (least, most) = config.warmup;
    if least >= most {
        return least;
    }
    least + (draw(config.seed, Salt::Warmup, name, line) % (u64::from(most - least) + 1)) as u32
}

fn draw_mix(config: &Config, name: &str, line: i32) -> bool {
    config.mix >= 100 || draw(config.seed, Salt::Mix, name, line) % 100 < u64::from(config.mix)
}

/// Name and line of a code object.
unsafe fn identity(code: *mut CodeObject) -> (String, i32) {
    // SAFETY: the caller passes a live code object and holds the GIL; its name is a str.
    unsafe { (config::text((*code).co_qualname).unwrap_or_default(), (*code).co_firstlineno) }
}

/// Calls, or rounds of a loop, that are interpreted before this code is compiled.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn warmup_of(config: &Config, code: *mut CodeObject) -> u32 {
    if config.warmup.0 >= config.warmup.1 {
        return config.warmup.0;
    }
    // SAFETY: the caller's contract.
    let (name, line) = unsafe { identity(code) };
    draw_warmup(config, &name, line)
}

/// Whether this code may be compiled at all.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn may_compile(config: &Config, code: *mut CodeObject) -> bool {
    if config.mix >= 100 {
        return true;
    }
    // SAFETY: the caller's contract.
    let (name, line) = unsafe { identity(code) };
    draw_mix(config, &name, line)
}

/// Starts the forced leaves, or ends them: code that counts them goes on, and never gets to zero.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start(config: &Config) {
    // SAFETY: the caller's contract.
    let forced = unsafe { FORCED.get() };
    (forced.random, forced.every) = (mix(config.seed), config.force_leaves);
    forced.reset();
}

impl Forced {
    fn reset(&mut self) {
        self.random = mix(self.random);
        self.countdown = match self.every {
            0 => i64::MAX,
            n => 1 + (self.random % (2 * u64::from(n) - 1)) as i64,
        };
    }
}

/// Address of the countdown for machine code; 0: no leaves are forced.
///
/// # Safety
/// The GIL is held.
pub unsafe fn countdown_address() -> u64 {
    // SAFETY: the caller's contract; the cell is a static.
    let forced = unsafe { FORCED.get() };
    if forced.every == 0 { 0 } else { &raw const forced.countdown as u64 }
}

/// A body has left: whether that was forced. The next one is drawn then.
///
/// # Safety
/// The GIL is held.
pub unsafe fn was_forced() -> bool {
    // SAFETY: the caller's contract.
    let forced = unsafe { FORCED.get() };
    let due = forced.countdown <= 0;
    if due {
        forced.reset();
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(seed: u64, warmup: (u32, u32), mix: u32) -> Config {
        Config { seed, warmup, mix, ..Config::default() }
    }

    #[test]
    fn warmup_is_drawn_from_the_whole_range_and_repeats() {
        let of = |seed| {
            let c = config(seed, (2, 20), 100);
            (0..500).map(|line| draw_warmup(&c, "f", line)).collect::<Vec<_>>()
        };
        let drawn = of(1);
        assert_eq!(drawn, of(1));
        assert_ne!(drawn, of(2));
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&2), Some(&20)));
        assert_eq!(draw_warmup(&config(1, (7, 7), 100), "f", 1), 7);
    }

    #[test]
    fn the_coin_falls_as_often_as_asked() {
        let chosen = |mix| (0..2000).filter(|line| draw_mix(&config(3, (0, 0), mix), "g", *line)).count();
        assert_eq!((chosen(0), chosen(100)), (0, 2000));
        assert!((800..1200).contains(&chosen(50)), "{}", chosen(50));
    }

    #[test]
    fn forced_leaves_come_at_drawn_distances() {
        let mut forced = Forced { countdown: 0, random: 9, every: 5 };
        let mut seen = [0; 12];
        for _ in 0..1000 {
            forced.reset();
            seen[forced.countdown as usize] += 1;
        }
        assert_eq!((seen[0], seen[10], seen[11]), (0, 0, 0));
        assert!(seen[1..10].iter().all(|n| *n > 50), "{seen:?}");
        forced.every = 0;
        forced.reset();
        assert_eq!(forced.countdown, i64::MAX);
    }
}
