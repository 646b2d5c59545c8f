//! One [`CodeRecord`] per code object that cendre knows: state, machine code, statistics. Lives in `co_extra`.
//!
//! Invariant: `record.code` points to the living code object whose `co_extra` points back; when that dies, `code` and
//! `body` become null and the rest is dropped. The three words at the front are read by machine code, so a record whose
//! address went into machine code is never freed, only emptied.

use crate::attrs::AttrCache;
use crate::artifact::Artifact;
use crate::coro::data::CoroData;
use crate::entries::executor::Exec;
use crate::ext;
use crate::gil::Gil;
use crate::hotness::Heat;
use crate::{driver, entries};
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interp;
use cendre_cpython::monitoring::LOCAL_EVENTS;
use cendre_cpython::tstate::eval_breaker::EVENTS_MASK;
use core::ffi::c_void;
use std::collections::{BTreeMap, BTreeSet};

/// How far a code object has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Interpreted; may become hot.
    Cold,
    Compiled,
    /// Cannot be compiled; see `reason`.
    Refused,
    /// The user said so.
    Never,
}

impl State {
    /// The name in `functions()`.
    pub fn name(self) -> &'static str {
        match self {
            State::Cold => "cold",
            State::Compiled => "compiled",
            State::Refused => "refused",
            State::Never => "never",
        }
    }
}

/// What cendre knows of a code object.
#[repr(C)]
pub struct CodeRecord {
    /// The body of the current artifact, or null.
    pub body: *const c_void,
    /// The code object, or null once it is gone.
    pub code: *mut CodeObject,
    /// The eval breaker word (without events) for which the body may run; `!0`: somebody must look first.
    pub version: usize,

    pub state: State,
    /// Compiling it takes no account of observed types any more.
    pub all_generic: bool,
    /// It runs with several dicts of globals: its global variables are not read through the cells of one of them.
    pub any_globals: bool,
    /// Its address is in machine code somewhere.
    pub pinned: bool,
    /// Times compiled.
    pub compiles: u8,
    pub samples: u32,
    /// What the sampler knows of its hotness.
    pub heat: Heat,
    /// The job that the compiler's thread has for it, or 0; whatever makes that job worthless sets 0.
    pub job: u64,
    /// Jobs that know this record, wanted or not: it is not freed before them.
    pub jobs: u32,
    /// Somebody asked to compile it: then it is also compiled again at once, not by the thread.
    pub on_demand: bool,
    pub raises: u64,
    /// Why it is refused.
    pub reason: String,
    pub artifact: Option<Artifact>,
    /// Earlier artifacts: a body of theirs may still be on a stack.
    pub old: Vec<Artifact>,
    /// Units whose specialisation must not be used.
    pub generic: BTreeSet<u32>,
    /// Leaves of earlier artifacts: (unit, reason) to count.
    pub left: BTreeMap<(u32, &'static str), u64>,
    /// Executors in the code.
    pub executors: Vec<*mut Exec>,
    /// Instrumenting the code threw out what compiles it at first sight.
    pub lost_trigger: bool,
    /// Functions whose vectorcall is ours: `entries::vectorcall` looks after them.
    pub wrapped: u32,
    /// The entry by vectorcall gave up near the margin of the C stack.
    pub withdrawn: bool,
    /// Loops are watched by a sys.monitoring tool.
    pub monitored: bool,
    pub coro: CoroData,
    /// Caches of attribute sites by unit; their addresses are in machine code.
    pub attr_caches: BTreeMap<u32, Box<AttrCache>>,
}

struct Registry {
    index: ffi::Py_ssize_t,
    all: Vec<*mut CodeRecord>,
}

static REGISTRY: Gil<Registry> = Gil::new(Registry { index: -1, all: Vec::new() });

/// `_PyCodeObjectExtra`.
#[repr(C)]
struct Extra {
    size: ffi::Py_ssize_t,
    values: [*mut c_void; 1],
}

/// Asks CPython for our index into `co_extra`.
///
/// # Safety
/// The GIL is held.
///
/// # Errors
/// All indices are taken by others.
pub unsafe fn init() -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        if REGISTRY.get().index < 0 {
            let index = ext::PyUnstable_Eval_RequestCodeExtraIndex(Some(code_dies));
            if index < 0 {
                return Err("no index of co_extra is free: too many tools are loaded".to_owned());
            }
            REGISTRY.get().index = index;
        }
        Ok(())
    }
}

/// The record of a code object, or null.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
#[inline]
pub unsafe fn find(code: *mut CodeObject) -> *mut CodeRecord {
    // SAFETY: co_extra is null or points to as many values as its first word says.
    unsafe {
        let extra: *mut Extra = (*code).co_extra.cast();
        let index = REGISTRY.get().index;
        if extra.is_null() || index < 0 || (*extra).size <= index {
            return core::ptr::null_mut();
        }
        (*(&raw mut (*extra).values).cast::<*mut c_void>().add(index as usize)).cast()
    }
}

/// The record of a code object, made if there is none; null when memory is short (no exception is set).
///
/// # Safety
/// `code` is a live code object in writable memory (not `_Py_InitCleanup`); the GIL is held.
pub unsafe fn find_or_make(code: *mut CodeObject) -> *mut CodeRecord {
    // SAFETY: the caller's contract.
    unsafe {
        let found = find(code);
        if !found.is_null() {
            return found;
        }
        let record = Box::into_raw(Box::new(CodeRecord {
            body: core::ptr::null(),
            code,
            version: !0,
            state: State::Cold,
            all_generic: false,
            any_globals: false,
            pinned: false,
            compiles: 0,
            samples: 0,
            heat: Heat::default(),
            job: 0,
            jobs: 0,
            on_demand: false,
            raises: 0,
            reason: String::new(),
            artifact: None,
            old: Vec::new(),
            generic: BTreeSet::new(),
            left: BTreeMap::new(),
            executors: Vec::new(),
            lost_trigger: false,
            wrapped: 0,
            withdrawn: false,
            monitored: false,
            coro: CoroData::default(),
            attr_caches: BTreeMap::new(),
        }));
        if ext::PyUnstable_Code_SetExtra(code.cast(), REGISTRY.get().index, record.cast()) < 0 {
            ffi::PyErr_Clear();
            drop(Box::from_raw(record));
            return core::ptr::null_mut();
        }
        REGISTRY.get().all.push(record);
        record
    }
}

/// A copy of the list of all records, for walks that may run Python code.
///
/// # Safety
/// The GIL is held; look at `code` before using one after anything that may run Python code.
pub unsafe fn all() -> Vec<*mut CodeRecord> {
    // SAFETY: the caller's contract.
    unsafe { REGISTRY.get().all.clone() }
}

/// The free function of `co_extra`: the code object is being deallocated, it has no frame any more.
unsafe extern "C" fn code_dies(extra: *mut c_void) {
    let record: *mut CodeRecord = extra.cast();
    if record.is_null() {
        return;
    }
    // SAFETY: what `find_or_make` stored; CPython calls this once, with the GIL held, while the code object still stands.
    unsafe {
        entries::executor::detach_all(record);
        let all = &mut REGISTRY.get().all;
        if let Some(i) = all.iter().position(|r| *r == record) {
            all.swap_remove(i);
        }
        (*record).body = core::ptr::null();
        (*record).version = !0;
        (*record).job = 0;
        (*record).code = core::ptr::null_mut();
        driver::forget_leaves(record);
        // Take everything out first: dropping references can run Python code, which must find an empty record.
        let artifacts: Vec<Artifact> = (*record).artifact.take().into_iter().chain((*record).old.drain(..)).collect();
        let coro = std::mem::take(&mut (*record).coro);
        (*record).generic = BTreeSet::new();
        (*record).left = BTreeMap::new();
        drop(coro);
        for a in artifacts {
            a.free();
        }
        // Last: what was just dropped may have called back to the record.
        if !(*record).pinned && (*record).jobs == 0 {
            drop(Box::from_raw(record));
        }
    }
}

/// A job gives its record up; the last one frees it if the code object is gone.
///
/// # Safety
/// The job has counted itself in `jobs`; the GIL is held.
pub unsafe fn job_ends(record: *mut CodeRecord) {
    // SAFETY: the caller's contract: `code_dies` has left the record to us.
    unsafe {
        (*record).jobs -= 1;
        if (*record).jobs == 0 && (*record).code.is_null() && !(*record).pinned {
            drop(Box::from_raw(record));
        }
    }
}

impl CodeRecord {
    /// Whether the code may run natively under this eval breaker word: same version, nobody watches the code.
    ///
    /// # Safety
    /// The code object is alive; the GIL is held.
    pub unsafe fn may_run(&self, breaker: usize) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            let code = self.code;
            (*code)._co_instrumentation_version == breaker & !EVENTS_MASK && !is_watched(code)
        }
    }

    /// `may_run`, and if so whether `version` can say it from now on, without another look.
    ///
    /// It can where we get to know of local events that are set later, which move no version: they throw executors out of
    /// the code; and nobody sets any while there is no tool (`entries::vectorcall` hears of new ones).
    ///
    /// # Safety
    /// As for `may_run`.
    pub unsafe fn look_again(&mut self, breaker: usize) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            self.version = !0;
            if !self.may_run(breaker) {
                return false;
            }
            let lasting = match entries::kind() {
                entries::Kind::Vectorcall => !entries::vectorcall::tools_in_use(),
                _ => self.executors.iter().any(|e| (**e).body.is_some()),
            };
            if lasting {
                self.version = breaker & !EVENTS_MASK;
            }
            true
        }
    }

    /// The object of `code`.
    pub fn code_object(&self) -> *mut PyObject {
        self.code.cast()
    }
}

/// Whether any tool but ours listens to events of this code object, or to exceptions of all.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
pub unsafe fn is_watched(code: *mut CodeObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let data = (*code)._co_monitoring;
        let ours = entries::monitor::tool_bit();
        let all = (*interp::monitors(ffi::PyInterpreterState_Get())).tools;
        if all[LOCAL_EVENTS..].iter().any(|t| *t & !ours != 0) {
            return true;
        }
        !data.is_null() && (*data).active_monitors.tools.iter().any(|t| *t & !ours != 0)
    }
}
