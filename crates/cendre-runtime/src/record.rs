//! One [`CodeRecord`] per code object that cendre knows: state, machine code, statistics. Found by the code object's address.
//!
//! Invariant: `record.code` points to the living code object under whose address the record is in the table; when that dies, `code` and
//! `body` become null and the rest is dropped. The three words at the front are read by machine code, so a record whose address somebody
//! keeps (`keepers`) is emptied then, and freed when the last of these gives it up.

use crate::artifact::Artifact;
use crate::attrs::AttrCache;
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
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

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

    /// The code object's `co_version`, which no two code objects share.
    pub serial: u32,
    pub state: State,
    /// Compiling it takes no account of observed types any more.
    pub all_generic: bool,
    /// It runs with several dicts of globals: its global variables are not read through the cells of one of them.
    pub any_globals: bool,
    /// Somebody awaits what calls of it return: it is compiled to pass awaited calls on (`coro/pass.rs`).
    pub awaited: bool,
    /// Machine code that is made while `awaited` is set would differ: it ends in `return f(...)` somewhere.
    pub can_pass: bool,
    /// How many know its address beside the table: artifacts, jobs, await sites and cells that resume. It is not freed before them.
    pub keepers: usize,
    /// Times compiled.
    pub compiles: u8,
    pub samples: u32,
    /// Calls of the wrapped function that were interpreted first, under threshold 0.
    pub warmup_calls: u32,
    /// What the sampler knows of its hotness.
    pub heat: Heat,
    /// The job that the compiler's thread has for it, or 0; whatever makes that job worthless sets 0.
    pub job: u64,
    /// Somebody asked to compile it: then it is also compiled again at once, not by the thread.
    pub on_demand: bool,
    /// So short that the way in from the interpreter costs more than machine code saves: only machine code calls its body.
    pub for_machine_code: bool,
    pub raises: u64,
    /// Calls that machine code began, where they are counted ([`crate::config::Config::explain`]).
    pub calls: u64,
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
    /// Compiled on demand only: it is known that nothing is gained.
    pub stays_cold: bool,
    /// Loops are watched by a sys.monitoring tool.
    pub monitored: bool,
    pub coro: CoroData,
    /// Caches of attribute sites by unit; their addresses are in machine code.
    pub attr_caches: BTreeMap<u32, Box<AttrCache>>,
}

/// Addresses of code objects spread by one multiplication: allocations are 16 bytes apart at least.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_usize(usize::from(*b));
        }
    }
    fn write_usize(&mut self, n: usize) {
        self.0 = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
    }
}

/// Not in `co_extra`: CPython takes a code object that has any for one with hidden state, and refuses to hand it to another interpreter; and
/// it would call the free functions of all other tools for it, also of those that are gone by then.
type Registry = HashMap<usize, *mut CodeRecord, BuildHasherDefault<AddressHasher>>;

static REGISTRY: Gil<Option<Registry>> = Gil::new(None);

/// Starts to watch the deaths of code objects, for good.
///
/// # Safety
/// The GIL is held.
///
/// # Errors
/// All watchers are taken by others.
pub unsafe fn init() -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        if REGISTRY.get().is_none() {
            if ext::PyCode_AddWatcher(watch) < 0 {
                ffi::PyErr_Clear();
                return Err("CPython has no watcher of code objects left: too many tools are loaded".to_owned());
            }
            *REGISTRY.get() = Some(Registry::default());
        }
        Ok(())
    }
}

/// A code object was made or dies.
unsafe extern "C" fn watch(event: core::ffi::c_int, code: *mut CodeObject) -> core::ffi::c_int {
    // SAFETY: called by CPython with the GIL held; a dying code object still stands and has no frame any more.
    unsafe {
        match event {
            ext::CODE_CREATE => entries::code_made(code),
            ext::CODE_DESTROY => {
                let record = REGISTRY.get().as_mut().and_then(|all| all.remove(&(code as usize)));
                if let Some(record) = record {
                    code_dies(record);
                }
            }
            _ => {}
        }
        0
    }
}

/// The record of a code object, or null.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
#[inline]
pub unsafe fn find(code: *mut CodeObject) -> *mut CodeRecord {
    // SAFETY: the caller's contract; records in the table are alive.
    unsafe {
        match REGISTRY.get().as_ref().and_then(|all| all.get(&(code as usize))) {
            // Where the interpreter is being taken down, nobody tells us of deaths any more, and another code object may stand there.
            Some(&record) if (*record).serial == (*code).co_version => record,
            _ => core::ptr::null_mut(),
        }
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
            serial: (*code).co_version,
            state: State::Cold,
            all_generic: false,
            any_globals: false,
            awaited: false,
            can_pass: false,
            keepers: 0,
            compiles: 0,
            samples: 0,
            warmup_calls: 0,
            heat: Heat::default(),
            job: 0,
            on_demand: false,
            for_machine_code: false,
            raises: 0,
            calls: 0,
            reason: String::new(),
            artifact: None,
            old: Vec::new(),
            generic: BTreeSet::new(),
            left: BTreeMap::new(),
            executors: Vec::new(),
            lost_trigger: false,
            wrapped: 0,
            withdrawn: false,
            stays_cold: false,
            monitored: false,
            coro: CoroData::default(),
            attr_caches: BTreeMap::new(),
        }));
        // What stood there before, if anything, has not been forgotten: see `find`.
        REGISTRY.get().get_or_insert_default().insert(code as usize, record);
        record
    }
}

/// A copy of the list of all records, for walks that may run Python code.
///
/// # Safety
/// The GIL is held; look at `code` before using one after anything that may run Python code.
pub unsafe fn all() -> Vec<*mut CodeRecord> {
    // SAFETY: the caller's contract.
    unsafe { REGISTRY.get().iter().flat_map(|all| all.values().copied()).collect() }
}

/// The code object is being deallocated, it has no frame any more; the record is off the table.
unsafe fn code_dies(record: *mut CodeRecord) {
    // SAFETY: what `find_or_make` made; called once, with the GIL held, while the code object still stands.
    unsafe {
        // What is dropped here may call back to the record, and may be its last keeper.
        keep(record);
        entries::executor::detach_all(record);
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
        give_up(record);
    }
}

/// Somebody keeps the record's address; [`give_up`] goes with it.
///
/// # Safety
/// A record that is not freed; the GIL is held.
#[inline(always)]
pub unsafe fn keep(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe { (*record).keepers += 1 }
}

/// Somebody gives the record's address up; the last one frees it if the code object is gone.
///
/// # Safety
/// The caller has kept it and knows it no more; the GIL is held.
pub unsafe fn give_up(record: *mut CodeRecord) {
    // SAFETY: the caller's contract: `code_dies` has left the record to its keepers.
    unsafe {
        (*record).keepers -= 1;
        if (*record).keepers == 0 && (*record).code.is_null() {
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
                // It has no executors, so it is as with the other way in.
                _ if self.for_machine_code => !entries::vectorcall::tools_in_use(),
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

/// Whether any tool but ours listens to events of this code object, or to exceptions of all, or there is a frame evaluator (`evaluator.rs`).
///
/// # Safety
/// `code` is a live code object; the GIL is held.
pub unsafe fn is_watched(code: *mut CodeObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let data = (*code)._co_monitoring;
        let ours = entries::monitor::tool_bit();
        let interpreter = ffi::PyInterpreterState_Get();
        if !interp::eval_frame(interpreter).is_null() {
            return true;
        }
        let all = (*interp::monitors(interpreter)).tools;
        if all[LOCAL_EVENTS..].iter().any(|t| *t & !ours != 0) {
            return true;
        }
        !data.is_null() && (*data).active_monitors.tools.iter().any(|t| *t & !ours != 0)
    }
}
