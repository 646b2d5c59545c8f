//! Generators, coroutines and awaited calls.
//!
//! `data` is what a code record keeps for them; `shell` keeps coroutine objects ready; `bind` fills their frames; `run` does
//! what CPython's `gen_send_ex2` does around a body; `call`, `pass` and `send` are the helpers that machine code calls; `asyncgen` is for asynchronous generators; `slots` takes
//! over the type slots by which C code resumes.
//! Invariants: an object that anybody but us can reach is one that the interpreter could resume as well (contracts.md); a
//! callee declines before any effect. Read docs/internals/awaits.md.

pub mod asyncgen;
pub mod bind;
pub mod call;
pub mod data;
pub mod finished;
pub mod pass;
pub mod run;
pub mod send;
pub mod shell;
pub mod slots;

use crate::entries::vectorcall;
use crate::env;
use crate::gil::Gil;
use crate::record::{self, CodeRecord};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;

pub use data::{AwaitSite, CoroData, CoroStats};
pub use run::{resumable, resume};
pub use send::{foreign_receivers, hands_on, swap_foreign_receivers};

struct State {
    /// Awaited calls are answered (else all are declined).
    enabled: bool,
    /// Coroutine objects that nobody else has seen are used again.
    recycles: bool,
    /// Vectorcalls of Python functions that do what CPython's own does: that, and our wrapper around it.
    plain: [usize; 2],
}

static STATE: Gil<State> = Gil::new(State { enabled: false, recycles: false, plain: [0; 2] });

/// Switches awaited calls on.
///
/// # Safety
/// The GIL is held, an interpreter runs.
///
/// # Errors
/// In a sentence; no exception is set.
pub unsafe fn enable() -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        let ordinary = env::python_vectorcall();
        if ordinary == 0 {
            return Err("cannot find the vectorcall of ordinary functions".to_owned());
        }
        STATE.get().plain = [ordinary, vectorcall::wrapper_address()];
        STATE.get().enabled = true;
        Ok(())
    }
}

/// From now on finished coroutine objects are kept for calls to come, and C code resumes compiled bodies natively, also where awaited calls are off.
///
/// # Safety
/// The GIL is held, an interpreter runs.
///
/// # Errors
/// As for [`enable`].
pub unsafe fn recycle() -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        STATE.get().recycles = true;
        slots::enable()
    }
}

/// Whether finished coroutine objects are kept.
#[inline(always)]
pub fn recycles() -> bool {
    // SAFETY: as in `enabled`.
    unsafe { STATE.get().recycles }
}

/// Switches awaited calls off: every one is declined from now on, and the shells are given back.
///
/// # Safety
/// The GIL is held. May run Python code.
pub unsafe fn disable() {
    // SAFETY: the caller's contract. A shell's end can end other code objects, hence the second look.
    unsafe {
        STATE.get().enabled = false;
        STATE.get().recycles = false;
        STATE.get().plain = [0; 2];
        slots::disable();
        for record in record::all() {
            if record::all().contains(&record) {
                shell::drop_all(record);
            }
        }
    }
}

/// Whether awaited calls are on.
#[inline(always)]
pub fn enabled() -> bool {
    // SAFETY: read with the GIL held, like everything in this crate; no reference is kept.
    unsafe { STATE.get().enabled }
}

/// Whether calling the function does what CPython's own vectorcall does: nobody else has replaced it.
///
/// # Safety
/// `f` is a live function; the GIL is held.
#[inline(always)]
pub unsafe fn is_plain(f: *mut FunctionObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let address = (*f).vectorcall.map_or(0, |v| v as usize);
        let [ordinary, wrapped] = STATE.get().plain;
        address == ordinary || address == wrapped
    }
}

/// The same where awaited calls are off.
///
/// # Safety
/// As for [`is_plain`].
pub unsafe fn is_ordinary(f: *mut FunctionObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let address = (*f).vectorcall.map_or(0, |v| v as usize);
        address != 0 && (address == env::python_vectorcall() || address == vectorcall::wrapper_address())
    }
}

/// What `cendre explain` shows of one await.
#[derive(Clone, Debug)]
pub struct SiteReport {
    /// The CALL, in code units.
    pub call_unit: u32,
    pub calls: u64,
    /// Awaited calls that had their value at once: no coroutine object was published.
    pub finished: u64,
    pub suspended: u64,
    pub raised: u64,
    /// Ordinary calls that this await made instead.
    pub declined: u64,
    /// Of these: what they gave was no coroutine.
    pub other: u64,
}

/// The awaits of a code object.
///
/// # Safety
/// The record is alive; the GIL is held.
pub unsafe fn sites(record: *mut CodeRecord) -> Vec<SiteReport> {
    // SAFETY: the caller's contract; nothing here runs Python code.
    unsafe { (*record).coro.sites.iter().flatten().map(|site| site.report()).filter(|r| r.calls > 0).collect() }
}

/// All counters, summed over the living code objects and what the dead ones left.
///
/// # Safety
/// The GIL is held.
pub unsafe fn stats() -> CoroStats {
    // SAFETY: the caller's contract; nothing here runs Python code.
    unsafe {
        let mut sum = data::buried();
        for record in record::all() {
            sum.add(&(*record).coro.stats);
            for site in (*record).coro.sites.iter().flatten() {
                sum.add_site(site);
            }
        }
        sum
    }
}

/// Sets all counters to zero.
///
/// # Safety
/// The GIL is held.
pub unsafe fn reset_stats() {
    // SAFETY: as above.
    unsafe {
        data::forget_buried();
        for record in record::all() {
            (*record).coro.reset();
        }
    }
}

/// Helpers for machine code: name and address.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: std::sync::OnceLock<[(&str, usize); 11]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        [
            ("await_call", call::await_call as *const () as usize),
            ("await_finish", call::await_finish as *const () as usize),
            ("await_watched", call::await_watched as *const () as usize),
            ("await_words", pass::await_words as *const () as usize),
            ("pass_call", pass::pass_call as *const () as usize),
            ("send_finish", send::send_finish as *const () as usize),
            ("next_finish", send::next_finish as *const () as usize),
            ("send", send::send as *const () as usize),
            ("gen_next", send::gen_next as *const () as usize),
            ("get_awaitable", send::get_awaitable as *const () as usize),
            ("drop_receiver", send::drop_receiver as *const () as usize),
        ]
    })
}

/// Whether this is None.
#[inline(always)]
pub(crate) fn is_none(o: *mut PyObject) -> bool {
    // SAFETY: only the address is compared.
    unsafe { o == ffi::Py_None() }
}
