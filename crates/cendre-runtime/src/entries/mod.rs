//! The ways into compiled code, and which of them is in use.
//!
//! `executor`: ENTER_EXECUTOR in the code, where the build has CPython's own JIT, switched off. Else `vectorcall` for
//! functions whose caller makes a call, and `monitor` for loops, generators and coroutines.
//! Invariant: a way in only ever enters a body that `CodeRecord::may_run` at that moment.

pub mod executor;
pub mod local_events;
pub mod monitor;
pub mod vectorcall;

use crate::config::{Config, Entries};
use crate::gil::Gil;
use crate::record::CodeRecord;
use cendre_cpython::code::CodeObject;
use cendre_cpython::{ffi, interp, refcount};

/// What is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Not enabled.
    None,
    Executor,
    Vectorcall,
}

struct Chosen {
    kind: Kind,
    why: &'static str,
}

static CHOSEN: Gil<Chosen> = Gil::new(Chosen { kind: Kind::None, why: "" });

/// The way in that is in use.
///
/// # Safety
/// The GIL is held.
pub unsafe fn kind() -> Kind {
    // SAFETY: the caller's contract.
    unsafe { CHOSEN.get().kind }
}

/// Name and reason, for `stats()`.
///
/// # Safety
/// The GIL is held. May run Python code.
pub unsafe fn describe() -> (&'static str, &'static str) {
    // SAFETY: the caller's contract.
    let chosen = unsafe {
        settle();
        CHOSEN.get()
    };
    let name = match chosen.kind {
        Kind::None => "none",
        Kind::Executor => "executor",
        Kind::Vectorcall => "vectorcall",
    };
    (name, chosen.why)
}

const JIT_WINS: &str = "CPython's own JIT is on: its executors stay, ours are not installed";

unsafe fn jit_is_on() -> bool {
    // SAFETY: the GIL is held by all callers; the interpreter of the current thread is alive.
    unsafe { *interp::jit(ffi::PyInterpreterState_Get()) != 0 }
}

/// Python's start switches its JIT on behind `site`, where `CENDRE=1` has switched us on already. So its own switch is read as it will read it.
unsafe fn jit_will_be_on() -> bool {
    // SAFETY: the GIL is held by all callers; the flags live as long as the interpreter.
    let environment_counts = unsafe {
        let flags = ffi::PySys_GetObject(c"flags".as_ptr());
        let ignored =
            if flags.is_null() { core::ptr::null_mut() } else { ffi::PyObject_GetAttrString(flags, c"ignore_environment".as_ptr()) };
        let counts = !ignored.is_null() && ffi::PyObject_IsTrue(ignored) == 0;
        refcount::xdecref(ignored);
        ffi::PyErr_Clear();
        counts
    };
    environment_counts && std::env::var_os("PYTHON_JIT").is_some_and(|v| !v.is_empty() && v.as_encoded_bytes().first() != Some(&b'0'))
}

/// Chooses again where CPython's JIT came on after us unforeseen (a build in which that is the default). Called before anything is compiled.
///
/// # Safety
/// The GIL is held. May run Python code (`sys.monitoring`).
pub unsafe fn settle() {
    // SAFETY: the caller's contract.
    unsafe {
        if kind() != Kind::Executor || !jit_is_on() {
            return;
        }
        *CHOSEN.get() = Chosen { kind: Kind::Vectorcall, why: JIT_WINS };
        for record in crate::record::all() {
            executor::detach_all(record);
        }
        // It was enabled for the other way in, so that all it can still lack is its audit hook.
        let _ = vectorcall::enable();
        monitor::enable();
    }
}

/// Chooses by configuration and build, and switches the ways in on.
///
/// # Safety
/// The GIL is held.
///
/// # Errors
/// With an exception set, in sentences.
pub unsafe fn enable(config: &Config) -> Result<(), String> {
    // SAFETY: the caller's contract; the interpreter of the current thread is alive.
    unsafe {
        let jit_on = jit_is_on() || jit_will_be_on();
        let built = executor::build_has_executors();
        let (kind, why) = match config.entries {
            Entries::Executor if !built => return Err("entries=executor: this CPython is built without its JIT".into()),
            Entries::Vectorcall => (Kind::Vectorcall, "asked for"),
            _ if !built => (Kind::Vectorcall, "this CPython is built without its JIT"),
            // Its traces would jump into our executors by a calling convention of their own.
            _ if jit_on => (Kind::Vectorcall, JIT_WINS),
            Entries::Executor => (Kind::Executor, "asked for"),
            Entries::Auto => (Kind::Executor, "CPython's JIT is built in and off"),
        };
        *CHOSEN.get() = Chosen { kind, why };
        vectorcall::enable()?;
        match kind {
            Kind::Vectorcall => monitor::enable(),
            _ => executor::enable()?,
        }
        local_events::enable();
        Ok(())
    }
}

/// A new code object, under threshold 0: compiled when it is entered.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn code_made(code: *mut CodeObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let at_once = crate::driver::config().filter(|c| c.threshold == 0 && c.jit);
        if let (Kind::Executor, Some(config)) = (kind(), at_once) {
            executor::install_trigger(code, crate::trial::warmup_of(&config, code));
        }
    }
}

/// Takes every way in out again.
///
/// # Safety
/// The GIL is held.
pub unsafe fn disable() {
    // SAFETY: the caller's contract.
    unsafe {
        for record in crate::record::all() {
            if !(*record).code.is_null() {
                remove(record);
            }
        }
        vectorcall::disable();
        monitor::disable();
        local_events::disable();
        CHOSEN.get().kind = Kind::None;
    }
}

/// Opens the ways into a record's body, which was just compiled or may run again.
///
/// # Safety
/// The record has a body and a living code object; the GIL is held. May run Python code (monitoring callbacks).
pub unsafe fn install(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        match CHOSEN.get().kind {
            Kind::None => {}
            Kind::Executor => executor::install_all(record),
            Kind::Vectorcall => {
                vectorcall::install(record);
                monitor::install(record);
            }
        }
    }
}

/// Closes the ways into a record's body.
///
/// # Safety
/// The record's code object is alive; the GIL is held.
pub unsafe fn remove(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        executor::detach_all(record);
        (*record).version = !0;
        vectorcall::remove(record);
        monitor::remove(record);
    }
}
