//! Compiling a code object: from the live object through front end, passes and code generation to an installed body.
//!
//! Invariants: compiling changes nothing that the program can see and never fails loudly: what cannot be compiled is counted
//! with its reason and stays interpreted. A panic of a pure stage is such a reason. Runs with the GIL held.
//! Read docs/internals/runtime.md, "Compiling".

use crate::artifact::{Artifact, MEMORY};
use crate::codemem::{self, MemoryError};
use crate::config::Config;
use crate::entries::{self, executor, vectorcall};
use crate::env::{self, LiveEnv};
use crate::facts;
use crate::gil::Gil;
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Leaves at one exit after which the instruction's specialisation counts as wrong.
const LEAVES_UNTIL_GENERIC: u32 = 50;
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

/// Puts the instructions back that tools replaced: code stays instrumented after a tool has gone, until it is run again.
unsafe fn undo_instrumentation(code: *mut CodeObject, bytes: &mut [u8]) {
    use cendre_bytecode::Opcode;
    // SAFETY: the tables of the monitoring data, where they exist, have an entry for each code unit.
    unsafe {
        let data = (*code)._co_monitoring;
        let (lines, each) = ((*data).lines.cast::<Lines>(), (*data).per_instruction_opcodes);
        let mut unit = 0;
        while unit * 2 < bytes.len() {
            let mut op = bytes[unit * 2];
            if op == Opcode::InstrumentedLine as u8 && !lines.is_null() {
                op = *(&raw const (*lines).data).cast::<u8>().add(unit * usize::from((*lines).bytes_per_entry));
            }
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
        unsafe {
            Subject {
                code: (*func).func_code.cast(),
                func,
                globals: (*func).func_globals,
                builtins: (*func).func_builtins,
            }
        }
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
            return Err("out of memory".to_owned());
        }
        if (*record).state == State::Never {
            return Err("cendre.jit.never was called for it".to_owned());
        }
        if (*record).body.is_null() {
            refcount::incref(subject.code.cast());
            // An exception may be set already when a leaving frame is recompiled; nothing here may lose it.
            let pending = ffi::PyErr_GetRaisedException();
            let done = compile_record(record, subject);
            ffi::PyErr_Clear();
            if !pending.is_null() {
                ffi::PyErr_SetRaisedException(pending);
            }
            if let Err(reason) = &done {
                (*record).state = State::Refused;
                (*record).reason.clone_from(reason);
                stats::refused(reason);
            }
            refcount::decref(subject.code.cast());
            done?;
        } else if entries::kind() == entries::Kind::Executor && !executor::is_in(record) {
            // Tools had them taken out.
            entries::install(record);
        }
        if !subject.func.is_null() {
            vectorcall::wrap(subject.func);
        }
        Ok(())
    }
}

unsafe fn compile_record(record: *mut CodeRecord, subject: Subject) -> Result<(), String> {
    // SAFETY: the record lives: `compile` holds its code object.
    unsafe {
        let Some(config) = config() else { return Err("cendre is not enabled".to_owned()) };
        if !config.jit {
            return Err("compiling is switched off".to_owned());
        }
        let start = Instant::now();
        let facts = env::facts_for(record, subject.globals, subject.builtins);
        let code = facts::code_facts(subject.code);
        let live = LiveEnv::new(record);
        let classes = facts::classes(&facts);
        quiet_panics();
        COMPILING.with(|c| c.set(true));
        let pure = catch_unwind(AssertUnwindSafe(|| {
            let mut function =
                cendre_bytecode::translate::translate(&code, &facts).map_err(|refusal| refusal.reason.to_string())?;
            cendre_passes::run_with(&mut function, &classes);
            cendre_codegen::compile(&function, &live).map_err(|e| e.to_string())
        }));
        COMPILING.with(|c| c.set(false));
        let compiled = match pure {
            Ok(result) => result?,
            Err(panic) => return Err(format!("internal error: {}", panic_text(&*panic))),
        };
        let piece = MEMORY.get().store(&compiled.bytes, config.code_limit).map_err(|e| match e {
            MemoryError::Limit => "the limit of code memory is reached".to_owned(),
            MemoryError::Refused => "the system gives no executable memory".to_owned(),
        })?;
        if config.perf {
            codemem::perf_map(piece, &code.qualname);
        }
        let leaves = vec![0; compiled.exits.len()];
        let mut artifact =
            Artifact { piece, entries: compiled.entries, exits: compiled.exits, leaves, holds: Vec::new() };
        if let Err(reason) = hold(record, live.named(), &code, &mut artifact.holds) {
            artifact.free();
            return Err(reason);
        }
        (*record).body = piece.address as *const _;
        (*record).artifact = Some(artifact);
        (*record).state = State::Compiled;
        (*record).reason.clear();
        let again = (*record).compiles > 0;
        (*record).compiles += 1;
        stats::count(Counter::Compiled);
        if again {
            stats::count(Counter::Recompiled);
        }
        let units = cendre_bytecode::decode(&code.code, &cendre_bytecode::decode::no_executors);
        stats::add(Counter::Instructions, units.map_or(0, |u| u.len() as u64));
        stats::add(Counter::IrInstructions, compiled.ir_instructions.into());
        let ns = start.elapsed().as_nanos() as u64;
        if stats::get(Counter::Compiled) == 1 {
            stats::add(Counter::FirstCompileNs, ns);
        } else {
            stats::add(Counter::CompileNs, ns);
        }
        entries::install(record);
        Ok(())
    }
}

thread_local! {
    static COMPILING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A panic of a pure stage is a refusal with its reason, not a message on the program's stderr.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !COMPILING.with(std::cell::Cell::get) || std::env::var_os("CENDRE_DEBUG_PANIC").is_some() {
                loud(info);
            }
        }));
    });
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "panic".to_owned())
}

/// Sees to it that the objects named in the machine code outlive it, or that their end retires it.
unsafe fn hold(
    record: *mut CodeRecord,
    named: BTreeSet<u64>,
    code: &cendre_bytecode::facts::CodeFacts,
    holds: &mut Vec<*mut PyObject>,
) -> Result<(), String> {
    let own: BTreeSet<u64> = code.consts.iter().map(|c| c.id.0).chain(code.names.iter().map(|n| n.0)).collect();
    for address in named {
        let o = address as *mut PyObject;
        // SAFETY: alive: the front end has it from this compilation's facts. The weak reference's callback is bound to a
        // capsule of the record, whose code object outlives its artifacts.
        unsafe {
            if own.contains(&address) || o.cast() == (*record).code || refcount::is_immortal(o) {
                continue;
            }
            // Classes, functions and code objects can be in a cycle with this very code: only watch them.
            let watched = ffi::PyType_Check(o) != 0
                || refcount::type_of(o) == &raw mut ffi::PyFunction_Type
                || refcount::type_of(o) == &raw mut ffi::PyCode_Type;
            if !watched {
                holds.push(refcount::new_ref(o));
                continue;
            }
            let callback = retire_callback(record)?;
            let weak = ffi::PyWeakref_NewRef(o, callback);
            refcount::decref(callback);
            if weak.is_null() {
                ffi::PyErr_Clear();
                return Err("an object that it names cannot be watched".to_owned());
            }
            holds.push(weak);
        }
    }
    Ok(())
}

const CAPSULE: &core::ffi::CStr = c"cendre._cendre.record";

/// A callable that retires the record's code. The weak references that own it are dropped with the artifact.
unsafe fn retire_callback(record: *mut CodeRecord) -> Result<*mut PyObject, String> {
    struct Def(ffi::PyMethodDef);
    // SAFETY: constant data that CPython only reads.
    unsafe impl Sync for Def {}
    static DEF: Def = Def(ffi::PyMethodDef {
        ml_name: c"retire".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: retire },
        ml_flags: ffi::METH_O,
        ml_doc: core::ptr::null(),
    });
    // SAFETY: the GIL is held; the function keeps the capsule.
    unsafe {
        let capsule = ffi::PyCapsule_New(record.cast(), CAPSULE.as_ptr(), None);
        if capsule.is_null() {
            return Err("out of memory".to_owned());
        }
        let def = (&raw const DEF.0).cast_mut();
        let function = ffi::PyCFunction_NewEx(def, capsule, core::ptr::null_mut());
        refcount::decref(capsule);
        if function.is_null() { Err("out of memory".to_owned()) } else { Ok(function) }
    }
}

unsafe extern "C" fn retire(capsule: *mut PyObject, _weak: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the weak reference, which the artifact owns; the artifact's record is alive then.
    unsafe {
        let record: *mut CodeRecord = ffi::PyCapsule_GetPointer(capsule, CAPSULE.as_ptr()).cast();
        if !record.is_null() && !(*record).body.is_null() {
            stats::count(Counter::Retired);
            give_up(record, State::Cold, String::new());
        }
        ffi::PyErr_Clear();
        refcount::new_ref(ffi::Py_None())
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
        if let Some(artifact) = (*record).artifact.take() {
            (*record).old.push(artifact);
        }
        entries::remove(record);
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
pub unsafe fn left(record: *mut CodeRecord, exit: u64) {
    stats::count(Counter::Left);
    if record.is_null() {
        return;
    }
    // SAFETY: the caller's contract.
    unsafe {
        let Some(artifact) = &mut (*record).artifact else { return };
        // A body of an earlier artifact may have answered: an index that is none of ours is not counted by exit.
        let Some(n) = artifact.leaves.get_mut(exit as usize) else { return };
        *n = n.saturating_add(1);
        let n = *n;
        let exit = artifact.exits[exit as usize];
        let last = (*record).compiles >= MOST_COMPILES;
        if is_no_guard(exit.reason) || n < if last { LEAVES_UNTIL_GIVEN_UP } else { LEAVES_UNTIL_GENERIC } {
            return;
        }
        if last {
            give_up(record, State::Refused, format!("leaves too often: {}", exit.reason));
            stats::refused("leaves too often");
            return;
        }
        (*record).generic.insert(exit.unit);
        (*record).all_generic = (*record).compiles + 1 >= MOST_COMPILES;
        recompile(record);
    }
}

/// Compiles a record's code again, for a frame that has just left it or for what the sampler sees.
unsafe fn recompile(record: *mut CodeRecord) {
    // SAFETY: as in `left`; the running frame holds the code object.
    unsafe {
        let code = (*record).code;
        let fr = (*cendre_cpython::tstate::ThreadState::current()).current_frame;
        let subject = if !fr.is_null() && !Frame::is_incomplete(fr) && (*fr).code() == code {
            Subject::frame(fr)
        } else {
            Subject::code(code)
        };
        give_up(record, State::Cold, String::new());
        // The reason of a refusal is kept in the record.
        let _ = compile(subject);
    }
}
