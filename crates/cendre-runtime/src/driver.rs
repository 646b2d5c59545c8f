//! Compiling a code object: from the live object through front end, passes and code generation to an installed body.
//!
//! Invariants: compiling changes nothing that the program can see and never fails loudly: what cannot be compiled is counted
//! with its reason and stays interpreted. Runs with the GIL held. The stages of one compilation are in `job.rs`, the thread that
//! makes the pure ones in `compiler.rs`. Read docs/internals/runtime.md, "Compiling".

use crate::compiler;
use crate::config::Config;
use crate::entries::{self, executor, vectorcall};
use crate::gil::Gil;
use crate::job::{self, Job};
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use crate::trial;
use cendre_codegen::Exit;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::monitoring::CoMonitoringData;
use cendre_cpython::refcount;

/// The one reason of a refusal that does not last.
pub const OUT_OF_MEMORY: &str = "out of memory";
/// Leaves at one exit after which the instruction's specialisation counts as wrong.
const LEAVES_UNTIL_GENERIC: u32 = 50;
/// Leaves at other exits of the same code after which their instructions are not trusted either, when the code is compiled again.
const LEAVES_TO_SUSPECT: u32 = 10;
/// Compilations of one code object, at most; the last of them trusts no specialisation.
const MOST_COMPILES: u8 = 6;
/// Leaves at one exit of the last compilation after which the code is given back to the interpreter.
const LEAVES_UNTIL_GIVEN_UP: u32 = 2000;

static CONFIG: Gil<Option<Config>> = Gil::new(None);

/// The configuration; None while cendre is off.
///
/// # Safety
/// The GIL is held.
pub unsafe fn config() -> Option<Config> {
    // SAFETY: the caller's contract.
    unsafe { CONFIG.get().clone() }
}

/// Whether code is compiled when it is entered, without samples (threshold 0).
///
/// # Safety
/// The GIL is held.
pub unsafe fn compiles_at_once() -> bool {
    // SAFETY: the caller's contract.
    unsafe { CONFIG.get().as_ref().is_some_and(|c| c.threshold == 0 && c.jit) }
}

/// Whether cendre is on and compiles.
///
/// # Safety
/// The GIL is held.
pub unsafe fn compiles() -> bool {
    // SAFETY: the caller's contract.
    unsafe { CONFIG.get().as_ref().is_some_and(|c| c.jit) }
}

/// Sets the configuration.
///
/// # Safety
/// The GIL is held.
pub unsafe fn set_config(config: Option<Config>) {
    // SAFETY: the caller's contract.
    unsafe { *CONFIG.get() = config }
}

/// The adaptive code of a code object, executors resolved.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
pub unsafe fn code_bytes(code: *mut CodeObject) -> Vec<u8> {
    // SAFETY: the units are part of the object.
    unsafe {
        let mut bytes = core::slice::from_raw_parts(CodeObject::units(code).cast::<u8>(), CodeObject::len(code) * 2).to_vec();
        executor::undo_in_copy(code, &mut bytes);
        if !(*code)._co_monitoring.is_null() {
            undo_instrumentation(code, &mut bytes);
        }
        bytes
    }
}

/// `_PyCoLineInstrumentationData`.
#[repr(C)]
struct Lines {
    bytes_per_entry: u8,
    data: [u8; 1],
}

/// The opcode of a code unit without the one for events of lines.
///
/// # Safety
/// The monitoring data of a code object which has the unit, and in it the opcode.
pub unsafe fn under_line(data: *mut CoMonitoringData, unit: usize, op: u8) -> u8 {
    // SAFETY: the table of lines, where it exists, has an entry for each code unit.
    unsafe {
        let lines = (*data).lines.cast::<Lines>();
        if op != cendre_bytecode::Opcode::InstrumentedLine as u8 || lines.is_null() {
            return op;
        }
        *(&raw const (*lines).data).cast::<u8>().add(unit * usize::from((*lines).bytes_per_entry))
    }
}

/// Puts the instructions back that tools replaced: code stays instrumented after a tool has gone, until it is run again.
#[expect(clippy::indexing_slicing, reason = "`unit` is inside the code")]
unsafe fn undo_instrumentation(code: *mut CodeObject, bytes: &mut [u8]) {
    use cendre_bytecode::Opcode;
    // SAFETY: the tables of the monitoring data, where they exist, have an entry for each code unit.
    unsafe {
        let data = (*code)._co_monitoring;
        let each = (*data).per_instruction_opcodes;
        let mut unit = 0;
        while unit * 2 < bytes.len() {
            let mut op = under_line(data, unit, bytes[unit * 2]);
            if op == Opcode::InstrumentedInstruction as u8 && !each.is_null() {
                op = *each.add(unit);
            }
            let Some(opcode) = Opcode::from_u8(op) else { return };
            let opcode = if opcode.is_instrumented() { opcode.base() } else { opcode };
            bytes[unit * 2] = opcode as u8;
            unit += 1 + usize::from(opcode.caches());
        }
    }
}

/// What a code object is compiled for: a function or a frame says which globals and builtins its code sees.
#[derive(Clone, Copy)]
pub struct Subject {
    pub code: *mut CodeObject,
    /// The function, or null.
    pub func: *mut FunctionObject,
    pub globals: *mut PyObject,
    pub builtins: *mut PyObject,
}

impl Subject {
    /// A function's code.
    ///
    /// # Safety
    /// A live function.
    pub unsafe fn function(func: *mut FunctionObject) -> Subject {
        // SAFETY: the caller's contract.
        unsafe { Subject { code: (*func).func_code.cast(), func, globals: (*func).func_globals, builtins: (*func).func_builtins } }
    }

    /// The code of a running frame.
    ///
    /// # Safety
    /// A complete Python frame.
    pub unsafe fn frame(fr: *mut Frame) -> Subject {
        // SAFETY: the caller's contract.
        unsafe {
            let func = (*fr).func();
            let is_function = !func.is_null() && refcount::type_of(func.cast()) == &raw mut ffi::PyFunction_Type;
            let func = if is_function { func } else { core::ptr::null_mut() };
            Subject { code: (*fr).code(), func, globals: (*fr).f_globals, builtins: (*fr).f_builtins }
        }
    }

    /// A code object alone: nothing is known of its globals.
    pub fn code(code: *mut CodeObject) -> Subject {
        let null = core::ptr::null_mut();
        Subject { code, func: core::ptr::null_mut(), globals: null, builtins: null }
    }
}

/// Compiles the code of a running frame, if it is still cold.
///
/// # Safety
/// A complete Python frame whose code is in writable memory; the GIL is held. May run Python code.
pub unsafe fn compile_frame(fr: *mut Frame) {
    // SAFETY: the caller's contract.
    unsafe {
        let record = record::find_or_make((*fr).code());
        if !record.is_null() && (*record).state == State::Cold {
            // The reason is kept in the record.
            let _ = compile(Subject::frame(fr));
        }
    }
}

/// Compiles and installs. Ok also if it is compiled already.
///
/// # Safety
/// Live objects; the GIL is held. May run Python code (weak references, monitoring) but has no exception set at the end.
///
/// # Errors
/// Why the function stays interpreted.
pub unsafe fn compile(subject: Subject) -> Result<(), String> {
    // SAFETY: the caller's contract; the reference keeps the code object, hence the record, while Python code may run.
    unsafe {
        let record = record::find_or_make(subject.code);
        if record.is_null() {
            return Err(OUT_OF_MEMORY.to_owned());
        }
        if (*record).state == State::Never {
            return Err("cendre.jit.never was called for it".to_owned());
        }
        if (*record).body.is_null() {
            // What the compiler's thread may have of it is not wanted any more.
            (*record).job = 0;
            (*record).on_demand = true;
            keeping_exception(subject.code, || {
                let done = compile_record(record, subject);
                if let Err(reason) = &done {
                    refuse(record, reason);
                }
                done
            })?;
        } else if entries::kind() == entries::Kind::Executor && !executor::is_in(record) {
            // Tools had them taken out, or they were not worth it.
            (*record).for_machine_code = false;
            entries::install(record);
        }
        if !subject.func.is_null() {
            vectorcall::wrap(subject.func);
        }
        Ok(())
    }
}

/// Runs what may run Python code and leave an exception; the code object lives meanwhile. An exception may be set already when
/// a leaving frame is compiled again; nothing here may lose it.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn keeping_exception<T>(code: *mut CodeObject, f: impl FnOnce() -> T) -> T {
    // SAFETY: the caller's contract.
    unsafe {
        refcount::incref(code.cast());
        let pending = ffi::PyErr_GetRaisedException();
        let done = f();
        ffi::PyErr_Clear();
        if !pending.is_null() {
            ffi::PyErr_SetRaisedException(pending);
        }
        refcount::decref(code.cast());
        done
    }
}

/// Notes and counts why a code object stays interpreted.
///
/// # Safety
/// A living record; the GIL is held.
pub unsafe fn refuse(record: *mut CodeRecord, reason: &str) {
    // SAFETY: the caller's contract.
    unsafe {
        // Another time there may be memory.
        if reason != OUT_OF_MEMORY {
            (*record).state = State::Refused;
        }
        reason.clone_into(&mut (*record).reason);
        stats::refused(reason);
        if reason.starts_with(job::INTERNAL_ERROR) {
            job::report_internal_error((*record).code, reason);
        }
    }
}

unsafe fn compile_record(record: *mut CodeRecord, subject: Subject) -> Result<(), String> {
    // SAFETY: the record lives: `compile` holds its code object.
    unsafe {
        let mut job = Job::prepare(record, subject)?;
        let worked = job.work();
        let (units, ns) = (job.units, job.foreground_ns + job.background_ns);
        compiler::learn(units, ns);
        stats::add(Counter::ForegroundNs, ns);
        if let Err(reason) = worked {
            job.drop_with_gil();
            return Err(reason);
        }
        job.finish()
    }
}

/// Takes a record's code out of use; bodies that run go on to their end.
///
/// # Safety
/// The record's code object is alive; the GIL is held. May run Python code.
pub unsafe fn give_up(record: *mut CodeRecord, state: State, reason: String) {
    // SAFETY: the caller's contract.
    unsafe {
        forget_leaves(record);
        (*record).body = core::ptr::null();
        (*record).version = !0;
        (*record).state = state;
        (*record).reason = reason;
        (*record).samples = 0;
        (*record).job = 0;
        if let Some(artifact) = (*record).artifact.take() {
            (*record).old.push(artifact);
        }
        entries::remove(record);
    }
}

/// Code that was to be compiled without waiting for samples is compiled anew when it is entered next.
///
/// # Safety
/// The record's code object is alive and the record without a body; the GIL is held.
pub unsafe fn arm_again(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        let Some(config) = config() else { return };
        if config.jit && (config.threshold == 0 || (*record).on_demand) && entries::kind() == entries::Kind::Executor {
            executor::install_trigger((*record).code, 0);
        }
    }
}

/// Adds the counts of the present artifact to those that outlive it.
///
/// # Safety
/// The GIL is held.
pub unsafe fn forget_leaves(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        let Some(artifact) = &mut (*record).artifact else { return };
        for (exit, n) in artifact.exits.iter().zip(artifact.leaves.iter_mut()) {
            let n = core::mem::take(n);
            if n > 0 {
                stats::leaves(exit.reason, n.into());
                *(*record).left.entry((exit.unit, exit.reason)).or_insert(0) += u64::from(n);
            }
        }
    }
}

/// Exits that say nothing about types: tools were switched on, or somebody took the frame.
fn is_no_guard(reason: &str) -> bool {
    reason.starts_with("reload") || matches!(reason, "checkpoint" | "poll" | "drop" | "store_local")
}

/// A body of this record left through an exit. Compiles again without the site's specialisation if it happens too often.
///
/// # Safety
/// The record is null or alive, the frame that left is complete in memory; the GIL is held. May run Python code.
#[expect(clippy::indexing_slicing, reason = "as many exits as counters of leaves, of which there is one for it")]
pub unsafe fn left(record: *mut CodeRecord, exit: u64) {
    // SAFETY: the caller's contract.
    unsafe {
        if trial::was_forced() {
            stats::count(Counter::Forced);
            return;
        }
        stats::count(Counter::Left);
        if record.is_null() {
            return;
        }
        job::panic_where_it_leaves((*record).code);
        let Some(artifact) = &mut (*record).artifact else { return };
        // A body of an earlier artifact may have answered: an index that is none of ours is not counted by exit.
        let Some(n) = artifact.leaves.get_mut(exit as usize) else { return };
        *n = n.saturating_add(1);
        let n = *n;
        let exit = artifact.exits[exit as usize];
        let last = (*record).compiles >= MOST_COMPILES;
        if is_no_guard(exit.reason) || n < LEAVES_UNTIL_GENERIC {
            return;
        }
        let most = match config() {
            _ if last => LEAVES_UNTIL_GIVEN_UP,
            // What nobody asked for has to pay.
            Some(config) if config.threshold > 1 && !(*record).on_demand => {
                compiler::costs().leaves(LEAVES_UNTIL_GENERIC, CodeObject::len((*record).code))
            }
            _ => LEAVES_UNTIL_GENERIC,
        };
        if n < most {
            return;
        }
        if last {
            give_up(record, State::Refused, format!("leaves too often: {}", exit.reason));
            stats::refused("leaves too often");
            return;
        }
        if exit.reason == "guard.globals_are" {
            (*record).any_globals = true;
        } else {
            // Others that have failed before now would only come next, and what is true of the keys of one object's class is true of its
            // other methods.
            let same_keys = |e: &Exit| e.reason == "guard.keys" && exit.reason == e.reason;
            let suspect =
                |e: &Exit, n: u32| (n >= LEAVES_TO_SUSPECT || same_keys(e)) && e.reason != "guard.globals_are" && !is_no_guard(e.reason);
            let failed = artifact.exits.iter().zip(&artifact.leaves).filter(|(e, n)| suspect(e, **n));
            (*record).generic.extend(failed.map(|(exit, _)| exit.unit));
            if exit.reason == "guard.version" {
                (*record).generic.extend(same_class(&artifact.versions, exit.unit));
            }
        }
        (*record).all_generic = (*record).compiles + 1 >= MOST_COMPILES;
        recompile(record);
    }
}

/// Where else the object whose class was not the expected one is probably used: what expects the same class.
fn same_class(versions: &[(u32, i64)], unit: u32) -> impl Iterator<Item = u32> {
    let here: Vec<i64> = versions.iter().filter(|(at, _)| *at == unit).map(|(_, version)| *version).collect();
    versions.iter().filter(move |(_, version)| here.contains(version)).map(|(at, _)| *at)
}

/// Compiles a record's code again for a function of it: something is known now that was not when it was compiled.
///
/// # Safety
/// The record has a body, the function is alive; the GIL is held. May run Python code.
pub unsafe fn compile_anew(record: *mut CodeRecord, subject: Subject) {
    // SAFETY: the caller's contract.
    unsafe {
        if (*record).compiles >= MOST_COMPILES {
            return;
        }
        give_up(record, State::Cold, String::new());
        // The reason of a refusal is kept in the record.
        if (*record).on_demand {
            let _ = compile(subject);
        } else {
            compiler::offer(record, subject, true);
        }
    }
}

/// Compiles a record's code again, for a frame that has just left it or for what the sampler sees.
unsafe fn recompile(record: *mut CodeRecord) {
    // SAFETY: as in `left`; the running frame holds the code object.
    unsafe {
        let code = (*record).code;
        let fr = (*cendre_cpython::tstate::ThreadState::current()).current_frame;
        let subject =
            if !fr.is_null() && !Frame::is_incomplete(fr) && (*fr).code() == code { Subject::frame(fr) } else { Subject::code(code) };
        give_up(record, State::Cold, String::new());
        // The reason of a refusal is kept in the record.
        if (*record).on_demand {
            let _ = compile(subject);
        } else {
            compiler::offer(record, subject, true);
        }
    }
}
