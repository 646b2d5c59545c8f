//! The functions of the native module, as Python sees them.
//!
//! Invariant: no panic crosses into CPython: every function runs inside [`guarded`], which makes a SystemError of one.
//! What users call is in `python/cendre`; the texts here are what `help(cendre._cendre)` shows.

use crate::config::Config;
use crate::driver::{self, Subject};
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use crate::{artifact, compiler, coro, entries, env, ext, sampler, trial};
use cendre_bytecode::LineTable;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::freelist;
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::methodobject::MethodObject;
use cendre_cpython::refcount;
use core::ffi::c_int;
use core::ptr;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI32, Ordering};

/// An exception is set.
struct Raised;
type Answer = Result<*mut PyObject, Raised>;

fn guarded(f: impl FnOnce() -> Answer) -> *mut PyObject {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(o)) => o,
        Ok(Err(Raised)) => ptr::null_mut(),
        Err(_) => {
            // SAFETY: the GIL is held in every function of the module.
            unsafe {
                let text = c"cendre: internal error (please report it)";
                ffi::PyErr_SetString(ffi::PyExc_SystemError, text.as_ptr());
            }
            ptr::null_mut()
        }
    }
}

fn none() -> Answer {
    // SAFETY: None is immortal.
    Ok(unsafe { ffi::Py_None() })
}

fn raise(class: *mut PyObject, text: &str) -> Raised {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the GIL is held; `class` is an exception class.
    unsafe { ffi::PyErr_SetString(class, text.as_ptr()) };
    Raised
}

fn value_error(text: &str) -> Raised {
    // SAFETY: the class is static.
    raise(unsafe { ffi::PyExc_ValueError }, text)
}

fn type_error(text: &str) -> Raised {
    // SAFETY: the class is static.
    raise(unsafe { ffi::PyExc_TypeError }, text)
}

/// A new reference, or the exception that is set.
fn new(o: *mut PyObject) -> Answer {
    if o.is_null() { Err(Raised) } else { Ok(o) }
}

unsafe fn string(s: &str) -> Answer {
    // SAFETY: the GIL is held.
    new(unsafe { ffi::PyUnicode_FromStringAndSize(s.as_ptr().cast(), s.len() as ffi::Py_ssize_t) })
}

unsafe fn number(n: u64) -> Answer {
    // SAFETY: the GIL is held.
    new(unsafe { ffi::PyLong_FromUnsignedLongLong(n) })
}

/// `dict[key] = value`, whose reference is taken.
unsafe fn put(dict: *mut PyObject, key: &str, value: Answer) -> Result<(), Raised> {
    // SAFETY: a dict; the GIL is held; both references are given back.
    unsafe {
        let value = value?;
        let key = string(key)?;
        let failed = ffi::PyDict_SetItem(dict, key, value) < 0;
        refcount::decref(key);
        refcount::decref(value);
        if failed { Err(Raised) } else { Ok(()) }
    }
}

/// A list of what the closure makes of each item.
unsafe fn list<T>(items: impl IntoIterator<Item = T>, mut make: impl FnMut(T) -> Answer) -> Answer {
    // SAFETY: the GIL is held.
    unsafe {
        let list = new(ffi::PyList_New(0))?;
        for item in items {
            let value = match make(item) {
                Ok(v) => v,
                Err(raised) => {
                    refcount::decref(list);
                    return Err(raised);
                }
            };
            let failed = ffi::PyList_Append(list, value) < 0;
            refcount::decref(value);
            if failed {
                refcount::decref(list);
                return Err(Raised);
            }
        }
        Ok(list)
    }
}

/// A dict that the closure fills.
unsafe fn dict(fill: impl FnOnce(*mut PyObject) -> Result<(), Raised>) -> Answer {
    // SAFETY: the GIL is held.
    unsafe {
        let dict = new(ffi::PyDict_New())?;
        match fill(dict) {
            Ok(()) => Ok(dict),
            Err(raised) => {
                refcount::decref(dict);
                Err(raised)
            }
        }
    }
}

/// The function or code object that the user means; methods stand for their function, wrappers for what they wrap.
unsafe fn subject(o: *mut PyObject) -> Result<Subject, Raised> {
    // SAFETY: a live object; types are checked before fields are read.
    unsafe {
        let mut o = o;
        if refcount::type_of(o) == &raw mut ext::PyMethod_Type {
            o = (*o.cast::<MethodObject>()).im_func;
        }
        if refcount::type_of(o) == &raw mut ffi::PyCode_Type {
            return Ok(Subject::code(o.cast()));
        }
        if ffi::PyFunction_Check(o) != 0 {
            return Ok(Subject::function(o.cast::<FunctionObject>()));
        }
        Err(type_error("expected a Python function, method or code object"))
    }
}

// ---- switching on and off ------------------------------------------------------------------------------------------

unsafe extern "C" fn enable(_: *mut PyObject, config: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe {
        if refcount::type_of(config) != &raw mut ffi::PyDict_Type {
            return Err(type_error("enable() takes a dict of settings"));
        }
        let config = Config::from_dict(config).map_err(|e| value_error(&e))?;
        switch_on(config).map_err(|e| {
            switch_off();
            value_error(&e)
        })?;
        once()?;
        none()
    })
}

unsafe fn switch_on(config: Config) -> Result<(), String> {
    // SAFETY: the GIL is held.
    unsafe {
        switch_off();
        cendre_codegen::check_settings()?;
        record::init()?;
        // Before functions are watched: looking for it makes one.
        env::python_vectorcall();
        driver::set_config(Some(config.clone()));
        trial::start(&config);
        entries::enable(&config)?;
        if config.awaits && config.jit {
            coro::enable()?;
        }
        if config.jit {
            coro::recycle()?;
        }
        if config.samples() {
            sampler::start();
        }
        // What was compiled before cendre was switched off has its machine code still.
        for r in record::all() {
            if !(*r).code.is_null() && !(*r).body.is_null() {
                entries::install(r);
            }
        }
        Ok(())
    }
}

unsafe fn switch_off() {
    // SAFETY: the GIL is held.
    unsafe {
        if driver::config().is_none() {
            return;
        }
        driver::set_config(None);
        sampler::stop();
        compiler::stop();
        coro::disable();
        entries::disable();
    }
}

unsafe extern "C" fn disable(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe {
        switch_off();
        none()
    })
}

unsafe extern "C" fn is_enabled(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe { new(ffi::PyBool_FromLong(driver::config().is_some().into())) })
}

/// Hooks around fork and at exit, registered by the first `enable`.
unsafe fn once() -> Result<(), Raised> {
    use std::sync::atomic::AtomicBool;
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: the GIL is held; references made here are given back.
    unsafe {
        let stop = new(ffi::PyCFunction_NewEx(HOOKS.def(0), ptr::null_mut(), ptr::null_mut()))?;
        let start = new(ffi::PyCFunction_NewEx(HOOKS.def(1), ptr::null_mut(), ptr::null_mut()))?;
        let end = new(ffi::PyCFunction_NewEx(HOOKS.def(2), ptr::null_mut(), ptr::null_mut()))?;
        let os = new(ffi::PyImport_ImportModule(c"os".as_ptr()))?;
        let register = new(ffi::PyObject_GetAttrString(os, c"register_at_fork".as_ptr()))?;
        let kwargs = dict(|d| {
            for (name, hook) in [("before", stop), ("after_in_parent", start), ("after_in_child", start)] {
                put(d, name, Ok(refcount::new_ref(hook)))?;
            }
            Ok(())
        })?;
        let empty = new(ffi::PyTuple_New(0))?;
        let done = new(ffi::PyObject_Call(register, empty, kwargs))?;
        let atexit = new(ffi::PyImport_ImportModule(c"atexit".as_ptr()))?;
        let registered = new(ffi::PyObject_CallMethod(atexit, c"register".as_ptr(), c"O".as_ptr(), end))?;
        for o in [stop, start, end, os, register, kwargs, empty, done, atexit, registered] {
            refcount::decref(o);
        }
        Ok(())
    }
}

/// At exit.
unsafe extern "C" fn threads_end(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe {
        sampler::stop();
        compiler::abandon();
        none()
    })
}

/// Before fork.
unsafe extern "C" fn sampler_stop(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe {
        FORKING.store(libc::getpid(), Ordering::Relaxed);
        sampler::stop();
        compiler::pause();
        none()
    })
}

/// The process that forks.
static FORKING: AtomicI32 = AtomicI32::new(0);

/// After fork, in parent and child.
unsafe extern "C" fn sampler_start(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe {
        if driver::config().is_some_and(|c| c.jit) {
            if libc::getpid() != FORKING.load(Ordering::Relaxed) {
                sampler::end_with_this_thread();
            }
            if driver::config().is_some_and(|c| c.samples()) {
                sampler::start();
            }
            compiler::start();
        }
        none()
    })
}

// ---- compiling -----------------------------------------------------------------------------------------------------

unsafe extern "C" fn compile(_: *mut PyObject, o: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the argument lives for the call.
    guarded(|| unsafe {
        let subject = subject(o)?;
        driver::compile(subject).map_err(|reason| value_error(&reason))?;
        new(ffi::PyBool_FromLong(1))
    })
}

unsafe extern "C" fn is_compiled(_: *mut PyObject, o: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    guarded(|| unsafe {
        let record = record::find(subject(o)?.code);
        let compiled = !record.is_null() && !(*record).body.is_null() && driver::config().is_some();
        new(ffi::PyBool_FromLong(compiled.into()))
    })
}

unsafe extern "C" fn never(_: *mut PyObject, o: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above; the reference keeps the record while its code is taken out.
    guarded(|| unsafe {
        record::init().map_err(|e| value_error(&e))?;
        let record = record::find_or_make(subject(o)?.code);
        if !record.is_null() && (*record).state != State::Never {
            driver::give_up(record, State::Never, "cendre.jit.never was called for it".to_owned());
        }
        Ok(refcount::new_ref(o))
    })
}

// ---- reports -------------------------------------------------------------------------------------------------------

/// Leaves of a record by line and reason.
unsafe fn leaves(record: *mut CodeRecord, lines: &Option<LineTable>) -> BTreeMap<(u32, &'static str), u64> {
    // SAFETY: a living record; nothing runs Python code here.
    unsafe {
        let mut out = BTreeMap::new();
        let line = |unit| lines.as_ref().and_then(|l| l.line(unit)).unwrap_or(0);
        for ((unit, reason), n) in &(*record).left {
            *out.entry((line(*unit), *reason)).or_insert(0) += n;
        }
        if let Some(artifact) = &(*record).artifact {
            for (exit, n) in artifact.exits.iter().zip(&artifact.leaves).filter(|(_, n)| **n > 0) {
                *out.entry((line(exit.unit), exit.reason)).or_insert(0) += u64::from(*n);
            }
        }
        out
    }
}

unsafe fn line_table(code: *mut CodeObject) -> Option<LineTable> {
    // SAFETY: co_linetable is a bytes object, copied at once.
    unsafe {
        let bytes = (*code).co_linetable;
        LineTable::parse(&ext::bytes_of(bytes), (*code).co_firstlineno as u32).ok()
    }
}

unsafe extern "C" fn functions(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held. The records are held by their code objects, which making dicts and
    // lists does not end.
    guarded(|| unsafe {
        list(record::all(), |r| {
            let code = (*r).code;
            let lines = line_table(code);
            dict(|d| {
                put(d, "name", Ok(refcount::new_ref((*code).co_qualname)))?;
                put(d, "file", Ok(refcount::new_ref((*code).co_filename)))?;
                put(d, "line", number((*code).co_firstlineno as u64))?;
                put(d, "state", string((*r).state.name()))?;
                let reason = &(*r).reason;
                put(d, "reason", if reason.is_empty() { none() } else { string(reason) })?;
                put(d, "samples", number((*r).samples.into()))?;
                put(d, "compiles", number((*r).compiles.into()))?;
                put(d, "raises", number((*r).raises))?;
                if driver::config().is_some_and(|c| c.explain) {
                    put(d, "calls", number((*r).calls))?;
                }
                let entries = leaves(r, &lines);
                put(
                    d,
                    "leaves",
                    list(entries, |((line, reason), n)| {
                        let reason = string(reason)?;
                        new(ffi::Py_BuildValue(c"(INK)".as_ptr(), line, reason, n))
                    }),
                )?;
                put(
                    d,
                    "awaits",
                    list(coro::sites(r), |s| {
                        let line = lines.as_ref().and_then(|l| l.line(s.call_unit)).unwrap_or(0);
                        new(ffi::Py_BuildValue(c"(IKKKK)".as_ptr(), line, s.calls, s.finished, s.suspended, s.other))
                    }),
                )
            })
        })
    })
}

#[expect(clippy::indexing_slicing, reason = "each counter has a name")]
unsafe extern "C" fn all_stats(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    guarded(|| unsafe {
        dict(|d| {
            put(d, "enabled", new(ffi::PyBool_FromLong(driver::config().is_some().into())))?;
            let (kind, why) = entries::describe();
            put(d, "entries", string(kind))?;
            put(d, "entries_reason", string(why))?;
            for (n, name) in stats::NAMES.iter().enumerate() {
                if n != Counter::Wakes as usize {
                    put(d, name, number(stats::by_index(n)))?;
                }
            }
            put(d, stats::NAMES[Counter::Wakes as usize], number(sampler::wakes()))?;
            put(d, "free_lists", new(ffi::PyBool_FromLong(freelist::in_use().into())))?;
            put(d, "compile_queue", number(compiler::queue_length() as u64))?;
            put(d, "compile_budget_ns", number(compiler::budget_ns()))?;
            put(d, "code_bytes", number(artifact::MEMORY.get().used() as u64))?;
            put(d, "code_bytes_mapped", number(artifact::MEMORY.get().mapped() as u64))?;
            put(
                d,
                "refused",
                dict(|r| {
                    for (reason, n) in stats::all_refused() {
                        put(r, &reason, number(n))?;
                    }
                    Ok(())
                }),
            )?;
            let mut by_reason: BTreeMap<&str, u64> = stats::all_leaves().into_iter().collect();
            for r in record::all() {
                if let Some(a) = &(*r).artifact {
                    for (exit, n) in a.exits.iter().zip(&a.leaves).filter(|(_, n)| **n > 0) {
                        *by_reason.entry(exit.reason).or_insert(0) += u64::from(*n);
                    }
                }
            }
            put(
                d,
                "leaves",
                dict(|l| {
                    for (reason, n) in by_reason {
                        put(l, reason, number(n))?;
                    }
                    Ok(())
                }),
            )?;
            let awaits = coro::stats();
            put(d, "awaited_calls", number(awaits.await_calls))?;
            put(d, "awaited_finished", number(awaits.await_finished))?;
            put(d, "awaited_suspended", number(awaits.await_suspended))?;
            put(d, "awaited_raised", number(awaits.await_raised))?;
            put(d, "awaited_declined", number(awaits.await_declined))?;
            put(d, "awaited_other", number(awaits.await_other))?;
            put(
                d,
                "coroutines",
                dict(|c| {
                    for (name, n) in awaits.named() {
                        put(c, name, number(n))?;
                    }
                    Ok(())
                }),
            )
        })
    })
}

unsafe extern "C" fn reset_stats(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; nothing here runs Python code.
    guarded(|| unsafe {
        stats::reset();
        coro::reset_stats();
        for r in record::all() {
            (*r).left.clear();
            (*r).raises = 0;
            (*r).calls = 0;
            if let Some(a) = &mut (*r).artifact {
                a.leaves.fill(0);
            }
        }
        none()
    })
}

// ---- tables --------------------------------------------------------------------------------------------------------

/// Method definitions, which CPython only reads.
pub struct Methods<const N: usize>([ffi::PyMethodDef; N]);

// SAFETY: constant data.
unsafe impl<const N: usize> Sync for Methods<N> {}

impl<const N: usize> Methods<N> {
    #[expect(clippy::indexing_slicing, reason = "indices are constants below N")]
    fn def(&'static self, n: usize) -> *mut ffi::PyMethodDef {
        (&raw const self.0[n]).cast_mut()
    }
    /// The table, as a module definition takes it.
    pub fn table(&'static self) -> *mut ffi::PyMethodDef {
        self.def(0)
    }
}

const fn def(name: &'static core::ffi::CStr, f: ffi::PyCFunction, flags: c_int, doc: &'static core::ffi::CStr) -> ffi::PyMethodDef {
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: ffi::PyMethodDefPointer { PyCFunction: f }, ml_flags: flags, ml_doc: doc.as_ptr() }
}

static HOOKS: Methods<3> = Methods([
    def(c"sampler_stop", sampler_stop, ffi::METH_NOARGS, c"Before a fork."),
    def(c"sampler_start", sampler_start, ffi::METH_NOARGS, c"After a fork."),
    def(c"threads_end", threads_end, ffi::METH_NOARGS, c"At exit."),
]);

/// The module's functions.
pub static METHODS: Methods<10> = Methods([
    def(c"enable", enable, ffi::METH_O, c"enable($module, config, /)\n--\n\nSwitches cendre on with these settings, or changes them.\n\nA ValueError says which setting is wrong. Example: enable({'threshold': 2})"),
    def(c"disable", disable, ffi::METH_NOARGS, c"disable($module, /)\n--\n\nSwitches cendre off: at its next entry everything is interpreted again.\n\nExample: disable()"),
    def(c"is_enabled", is_enabled, ffi::METH_NOARGS, c"is_enabled($module, /)\n--\n\nWhether cendre is on.\n\nExample: assert is_enabled()"),
    def(c"compile", compile, ffi::METH_O, c"compile($module, function, /)\n--\n\nCompiles a function, method or code object now; True, or a ValueError with the reason.\n\nExample: compile(f)"),
    def(c"is_compiled", is_compiled, ffi::METH_O, c"is_compiled($module, function, /)\n--\n\nWhether its body is machine code at this moment.\n\nExample: assert is_compiled(f)"),
    def(c"never", never, ffi::METH_O, c"never($module, function, /)\n--\n\nKeeps a function interpreted for good, and returns it.\n\nExample: @never\ndef f(): ..."),
    def(c"stats", all_stats, ffi::METH_NOARGS, c"stats($module, /)\n--\n\nCounters by name; 'refused' and 'leaves' are dicts by reason.\n\nExample: stats()['compiled']"),
    def(c"functions", functions, ffi::METH_NOARGS, c"functions($module, /)\n--\n\nA dict for each code object seen: name, file, line, state, reason, leaves, awaits.\n\nExample: [f['name'] for f in functions() if f['state'] == 'refused']"),
    def(c"reset_stats", reset_stats, ffi::METH_NOARGS, c"reset_stats($module, /)\n--\n\nSets the counters to zero; what is compiled stays so.\n\nExample: reset_stats()"),
    ffi::PyMethodDef::zeroed(),
]);
