//! One compilation, in three stages: facts and translation (with the GIL), passes and code generation (anywhere), installing
//! (with the GIL).
//!
//! Invariants: between the first and the last stage a job keeps its record (whose `code` is null once the code object is gone: a
//! job holds no code object, whose reference count programs can see), and holds or watches every object that its IR names,
//! exactly as an artifact does; the middle stage touches plain data only. A panic of a pure stage is a refusal with
//! its reason. Read docs/internals/hotness.md.

use crate::artifact::{Artifact, MEMORY};
use crate::codemem::{self, MemoryError};
use crate::compiler;
use crate::driver::{self, Subject};
use crate::entries;
use crate::env::{self, PlainEnv};
use crate::facts;
use crate::generators;
use crate::hotness;
use crate::kept::Kept;
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use crate::trial;
use cendre_bytecode::Opcode;
use cendre_bytecode::facts::CodeFacts;
use cendre_codegen::Compiled;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount;
use cendre_ir::{Function, Imm, Op};
use cendre_passes::Classes;
use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the middle stage works on.
struct Plan {
    function: Function,
    classes: Classes,
    env: PlainEnv,
}

/// One compilation under way.
pub struct Job {
    /// Stays while there is a job for it.
    pub record: *mut CodeRecord,
    code: CodeFacts,
    /// None once the middle stage has begun.
    plan: Option<Plan>,
    made: Option<(Compiled, BTreeSet<u64>)>,
    holds: Vec<*mut PyObject>,
    kept: Kept,
    /// What `holds` keeps or watches.
    held: BTreeSet<u64>,
    /// As in the artifact.
    versions: Vec<(u32, i64)>,
    /// Code units.
    pub units: usize,
    pub foreground_ns: u64,
    pub background_ns: u64,
}

// SAFETY: the pointers are only followed by `prepare`, `finish` and `drop_with_gil`, which run with the GIL held.
unsafe impl Send for Job {}

/// Whether the interpreter has seen a call of a Python function here.
fn calls_python(op: Opcode) -> bool {
    use Opcode as O;
    matches!(
        op,
        O::CallPyExactArgs
            | O::CallPyGeneral
            | O::CallBoundMethodExactArgs
            | O::CallBoundMethodGeneral
            | O::CallKwPy
            | O::CallKwBoundMethod
            | O::CallAllocAndEnterInit
    )
}

impl Job {
    /// The first stage.
    ///
    /// # Safety
    /// Live objects; the GIL is held. May run Python code and leave an exception set.
    ///
    /// # Errors
    /// Why the function stays interpreted.
    pub unsafe fn prepare(record: *mut CodeRecord, subject: Subject) -> Result<Job, String> {
        // SAFETY: the caller's contract.
        unsafe {
            let Some(config) = driver::config() else { return Err("cendre is not enabled".to_owned()) };
            if !config.jit {
                return Err("compiling is switched off".to_owned());
            }
            if !trial::may_compile(&config, subject.code) {
                return Err("left out by CENDRE_MIX".to_owned());
            }
            let start = compiler::thread_ns();
            entries::settle();
            let facts = env::facts_for(record, subject.globals, subject.builtins);
            let code = facts::code_facts(subject.code);
            let translated = guarded(|| {
                panic_if_asked("translate", &code.qualname);
                cendre_bytecode::translate::translate(&code, &facts).map_err(|refusal| refusal.reason.to_string())
            });
            let classes = facts::classes(&facts);
            let mut kept = facts.kept.into_inner();
            let function = match translated {
                Ok(function) => function,
                Err(reason) => {
                    kept.give_up();
                    return Err(reason);
                }
            };
            let plan = Plan { env: PlainEnv::new(record, &function, &mut kept), function, classes };
            let held = plan.names();
            let versions = plan.versions();
            let mut job = Job {
                record,
                units: code.code.len() / 2,
                code,
                plan: Some(plan),
                made: None,
                holds: Vec::new(),
                kept,
                held: BTreeSet::new(),
                versions,
                foreground_ns: 0,
                background_ns: 0,
            };
            record::keep(record);
            if let Err(reason) = hold(record, &held, &job.code, &mut job.holds) {
                job.drop_with_gil();
                return Err(reason);
            }
            job.held = held;
            job.foreground_ns = compiler::thread_ns() - start;
            Ok(job)
        }
    }

    /// The middle stage: pure, needs no GIL.
    ///
    /// # Errors
    /// Why the function stays interpreted.
    pub fn work(&mut self) -> Result<(), String> {
        let Some(Plan { mut function, classes, env }) = self.plan.take() else { return Err("no work left".to_owned()) };
        let start = compiler::thread_ns();
        let name = &self.code.qualname;
        let made = guarded(|| {
            panic_if_asked("generate", name);
            // Machine code that writes beyond its frame would be made of a stack that is too small, for one.
            if function.verify().is_err() {
                return Err(cendre_bytecode::translate::STRANGE.to_owned());
            }
            look_for_forgotten(&function);
            cendre_passes::run_with(&mut function, &classes);
            look_for_forgotten(&function);
            cendre_codegen::compile(&function, &env).map_err(|e| e.to_string())
        });
        self.background_ns = compiler::thread_ns() - start;
        self.made = Some((made?, env.named()));
        Ok(())
    }

    /// The last stage: machine code goes to its memory, the ways in are opened.
    ///
    /// # Safety
    /// The GIL is held; the caller holds the code object, and the record is still without a body. May run Python code and leave an exception set.
    ///
    /// # Errors
    /// Why the function stays interpreted.
    pub unsafe fn finish(mut self) -> Result<(), String> {
        // SAFETY: the caller's contract.
        unsafe {
            let result = self.install();
            self.drop_with_gil();
            result
        }
    }

    unsafe fn install(&mut self) -> Result<(), String> {
        // SAFETY: as in `finish`.
        unsafe {
            let record = self.record;
            let Some((compiled, named)) = self.made.take() else { return Err("not compiled".to_owned()) };
            let Some(config) = driver::config() else { return Err("cendre is not enabled".to_owned()) };
            let start = compiler::thread_ns();
            if !named.is_subset(&self.held) {
                return Err("internal error: the machine code names an object that nobody watched".to_owned());
            }
            let piece = MEMORY.get().store(&compiled.code, config.code_limit).map_err(|e| match e {
                MemoryError::Limit => "the limit of code memory is reached".to_owned(),
                MemoryError::Refused => "the system gives no executable memory".to_owned(),
            })?;
            if config.perf {
                codemem::perf_map(piece, &self.code.qualname);
            }
            let leaves = vec![0; compiled.exits.len()];
            let Compiled { entries, exits, table, .. } = compiled;
            let versions = core::mem::take(&mut self.versions);
            let mut artifact =
                Artifact { piece, entries, exits, table, leaves, versions, holds: Vec::new(), kept: core::mem::take(&mut self.kept) };
            if let Err(reason) = hold(record, &named, &self.code, &mut artifact.holds) {
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
            let units = cendre_bytecode::decode(&self.code.code, &cendre_bytecode::decode::no_executors).unwrap_or_default();
            stats::add(Counter::Instructions, units.len() as u64);
            // Of loops and calls of Python functions machine code makes more than of what stands here.
            let goes_on = units.iter().any(|i| i.base == Opcode::JumpBackward || calls_python(i.op));
            (*record).for_machine_code = config.threshold > 1
                && !(*record).on_demand
                && self.code.flags & generators::ANY_GENERATOR as u32 == 0
                && !hotness::worth_entering(units.len(), goes_on);
            stats::add(Counter::IrInstructions, compiled.ir_instructions.into());
            entries::install(record);
            self.foreground_ns += compiler::thread_ns() - start;
            let all = self.foreground_ns + self.background_ns;
            let first = stats::get(Counter::Compiled) == 1;
            stats::add(if first { Counter::FirstCompileNs } else { Counter::CompileNs }, all);
            Ok(())
        }
    }

    /// Gives up what the job holds.
    ///
    /// # Safety
    /// The GIL is held. May run Python code (finalisers).
    pub unsafe fn drop_with_gil(self) {
        // SAFETY: the caller's contract; the references are the job's own. The record last: the weak references know it.
        unsafe {
            for o in self.holds {
                refcount::decref(o);
            }
            self.kept.give_up();
            record::give_up(self.record);
        }
    }
}

impl Plan {
    /// The guards for one class: instruction and version tag. Before the passes, which take out those that follow from others.
    fn versions(&self) -> Vec<(u32, i64)> {
        let f = &self.function;
        let guards = f.insts.iter().filter(|i| i.op == Op::GuardVersion);
        let sites = guards.filter_map(|i| match (&i.imm, i.state) {
            (Imm::Int(version), Some(state)) => Some((f.states.get(state.index())?.unit, *version)),
            _ => None,
        });
        sites.collect()
    }

    /// Every object that machine code made of this may name.
    fn names(&self) -> BTreeSet<u64> {
        let f = &self.function;
        let immediates = f.insts.iter().filter(|i| !env::is_direct_call(i.op)).filter_map(|i| match i.imm {
            Imm::Obj(o) | Imm::ObjInt(o, _) => Some(o),
            _ => None,
        });
        let known = &self.classes;
        let builtin = [known.int, known.float, known.bool_].into_iter().flatten();
        let builtin = builtin.chain(known.fixed.iter().chain(&known.leaves).copied());
        let facts = f.values.iter().flat_map(|v| [v.ty.class, v.ty.literal]).flatten();
        immediates.chain(facts).chain(builtin).map(|o| o.0).collect()
    }
}

/// Runs a pure stage; a panic is a reason like others.
fn guarded<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    quiet_panics();
    COMPILING.with(|c| c.set(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    COMPILING.with(|c| c.set(false));
    result.unwrap_or_else(|panic| {
        let place = PLACE.with(std::cell::RefCell::take);
        Err(format!("{INTERNAL_ERROR}: {} ({place})", panic_text(&*panic)))
    })
}

/// How the reason of a refusal begins that is a fault of the compiler.
pub const INTERNAL_ERROR: &str = "internal error";

/// What a test wants to panic: `_CENDRE_TEST_PANIC=stage:function`.
fn asked() -> Option<&'static str> {
    static WHERE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    WHERE.get_or_init(|| std::env::var("_CENDRE_TEST_PANIC").ok()).as_deref()
}

/// For tests: makes a function's code panic where it leaves, which is below its machine code.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn panic_where_it_leaves(code: *mut cendre_cpython::code::CodeObject) {
    if asked().is_some() {
        // SAFETY: the name is a `str`.
        let name = unsafe { crate::config::text((*code).co_qualname) };
        panic_if_asked("leave", &name.unwrap_or_default());
    }
}

/// For tests: makes that stage of that function's compilation panic.
fn panic_if_asked(stage: &str, function: &str) {
    let here = asked().and_then(|a| a.split_once(':')).is_some_and(|(s, f)| s == stage && f == function);
    assert!(!here, "a test asked for it");
}

/// Says on stderr, once in a process, what a user can send us about a fault of the compiler.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn report_internal_error(code: *mut cendre_cpython::code::CodeObject, reason: &str) {
    static SAID: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    if SAID.swap(true, std::sync::atomic::Ordering::Relaxed) {
        return;
    }
    // SAFETY: name and file are `str`; the version is a C string that lives for ever.
    unsafe {
        let name = crate::config::text((*code).co_qualname).unwrap_or_default();
        let file = crate::config::text((*code).co_filename).unwrap_or_default();
        let line = (*code).co_firstlineno;
        let python = core::ffi::CStr::from_ptr(ffi::Py_GetVersion()).to_string_lossy();
        let version = env!("CARGO_PKG_VERSION");
        // Not through sys.stderr, which may be Python code.
        let _ = writeln!(
            std::io::stderr(),
            "cendre: {reason} while compiling {name} ({file}:{line}). The function stays interpreted and the program goes on.\n\
             Please report it with these lines and the function's source (cendre {version}, Python {python}). This is said once."
        );
    }
}

thread_local! {
    static COMPILING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// Where the last panic of a pure stage was.
    static PLACE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// A panic of a pure stage is a refusal with its reason, not a message on the program's stderr. Any other is said with what a user can send
/// us: a function of the module makes a SystemError of it, and below machine code, from where nobody can go on, the process aborts.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let compiling = COMPILING.with(std::cell::Cell::get);
            if std::env::var_os("CENDRE_DEBUG_PANIC").is_some() {
                loud(info);
            } else if !compiling {
                report_panic(&panic_text(info.payload()), &place);
            }
            PLACE.with(|p| *p.borrow_mut() = place);
        }));
    });
}

/// Once: that a panic cannot unwind is another panic.
fn report_panic(text: &str, place: &str) {
    static SAID: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    if SAID.swap(true, std::sync::atomic::Ordering::Relaxed) {
        return;
    }
    // SAFETY: the version is a C string that lives for ever.
    let python = unsafe { core::ffi::CStr::from_ptr(ffi::Py_GetVersion()) }.to_string_lossy();
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        std::io::stderr(),
        "cendre: {INTERNAL_ERROR}: {text} ({place}), outside the compiler. If it was below compiled code, the process cannot go on and ends here.\n\
         Please report it with these lines, and what follows (cendre {version}, Python {python}). CENDRE=0 runs the program without cendre."
    );
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "panic".to_owned())
}

/// Sees to it that the objects named in the machine code outlive it, or that their end retires it.
unsafe fn hold(record: *mut CodeRecord, named: &BTreeSet<u64>, code: &CodeFacts, holds: &mut Vec<*mut PyObject>) -> Result<(), String> {
    let own: BTreeSet<u64> = code.consts.iter().map(|c| c.id.0).chain(code.names.iter().map(|n| n.0)).collect();
    for &address in named {
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
            return Err(driver::OUT_OF_MEMORY.to_owned());
        }
        let def = (&raw const DEF.0).cast_mut();
        let function = ffi::PyCFunction_NewEx(def, capsule, core::ptr::null_mut());
        refcount::decref(capsule);
        if function.is_null() { Err(driver::OUT_OF_MEMORY.to_owned()) } else { Ok(function) }
    }
}

unsafe extern "C" fn retire(capsule: *mut PyObject, _weak: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the weak reference, which an artifact or a job owns; their record is alive then.
    unsafe {
        let record: *mut CodeRecord = ffi::PyCapsule_GetPointer(capsule, CAPSULE.as_ptr()).cast();
        if !record.is_null() {
            // What the thread makes of the same facts is worthless as well.
            (*record).job = 0;
            if !(*record).body.is_null() {
                stats::count(Counter::Retired);
                driver::give_up(record, State::Cold, String::new());
                driver::arm_again(record);
            }
        }
        ffi::PyErr_Clear();
        refcount::new_ref(ffi::Py_None())
    }
}

/// In builds with debug assertions: no way out forgets a reference.
#[expect(clippy::panic, reason = "tests only; `guarded` makes a refusal of it")]
fn look_for_forgotten(f: &cendre_ir::Function) {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Some((inst, state, v)) = cendre_ir::forgotten::forgotten(f).first() {
        panic!("{}: `{}`: fs{} forgets v{}\n{f}", f.name, cendre_ir::print::inst_text(f, *inst), state.0, v.0);
    }
}
