//! Entry (a): our function in the place of a function's `vectorcall`, where executors cannot be used.
//!
//! One wrapper serves all functions: it finds the body by code object, pushes the frame and runs it; for everything unusual
//! (keywords, defaults, events, low stack, no body) it calls the interpreter's own vectorcall, which also words the errors.
//! Invariants: a wrapped function is in `WRAPPED` with the version that it had, until it is unwrapped or dies; unwrapping
//! gives the version back, or call sites would stay unspecialised for ever. The price is that interpreted callers lose their
//! inline call, so it pays for functions that run longer than a call.

use crate::driver::{self, Subject};
use crate::entries::{self, Kind};
use crate::env;
use crate::evaluator;
use crate::ext;
use crate::frames::{self, MovableArgs};
use crate::gil::{self, Gil};
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use crate::trial;
use cendre_bytecode::Opcode;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::{FUNC_VERSION_FIRST_VALID, FunctionObject};
use cendre_cpython::interp;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::monitoring::TOOL_IDS;
use cendre_cpython::refcount;
use cendre_cpython::tstate::{ThreadState, eval_breaker};
use cendre_ir::hash::HashMap;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

struct Wrapped {
    /// Function and the version that it had.
    functions: Option<HashMap<*mut FunctionObject, u32>>,
    /// Functions to wrap again once nobody watches any more.
    paused: Vec<*mut FunctionObject>,
    hooked: bool,
    watcher: c_int,
}

static WRAPPED: Gil<Wrapped> = Gil::new(Wrapped { functions: None, paused: Vec::new(), hooked: false, watcher: -1 });

/// Address of the wrapper, for direct calls of compiled code.
pub fn wrapper_address() -> usize {
    wrapper as *const () as usize
}

/// Whether calling the function makes a generator or coroutine, which runs later.
unsafe fn is_generator(code: *mut CodeObject) -> bool {
    // SAFETY: the caller passes a live code object.
    unsafe { (*code).co_flags & (co_flags::GENERATOR | co_flags::COROUTINE | co_flags::ASYNC_GENERATOR) != 0 }
}

/// Whether a call of this code with exact positional arguments needs nothing else.
unsafe fn is_plain(code: *mut CodeObject) -> bool {
    // SAFETY: the caller passes a live code object.
    unsafe { (*code).co_flags & (co_flags::VARARGS | co_flags::VARKEYWORDS) == 0 && (*code).co_kwonlyargcount == 0 }
}

type Vectorcall = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject;

unsafe extern "C" fn wrapper(func: *mut PyObject, args: *const *mut PyObject, nargsf: usize, kwnames: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython as the vectorcall of a function that `wrap` was called for.
    unsafe {
        let ts = ThreadState::current();
        let f: *mut FunctionObject = func.cast();
        let code: *mut CodeObject = (*f).func_code.cast();
        let n = nargsf & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        let record = record::find(code);
        if record.is_null() || is_generator(code) || !ready(ts, f, record) {
            if !record.is_null() && is_generator(code) {
                first_sight_of_generator(f, record);
            }
            return interpreted(ts, f, args, nargsf, kwnames);
        }
        // The caller's reference keeps the function; what the body may do to `record` does not matter to this call.
        let Some(artifact) = &(*record).artifact else { return core::ptr::null_mut() };
        let body = artifact.body();
        let exact = kwnames.is_null() && n == (*code).co_argcount as usize && is_plain(code);
        let slots = caller_slots(ts, func, args, n, kwnames);
        let fr = match (exact, slots) {
            (true, None) => frames::push(ts, f, args, n),
            (true, Some(slots)) => frames::push_moved(ts, f, args, n, slots),
            (false, _) => frames::push_general(ts, f, args, n, kwnames, slots),
        };
        if fr.is_null() {
            return fr.cast();
        }
        (*ts).py_recursion_remaining -= 1;
        let result = body(ts, fr, 0);
        frames::finish(ts, fr, record, result)
    }
}

/// The call as it is without us.
#[cold]
unsafe fn interpreted(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `wrapper`.
    unsafe {
        let n = nargsf & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        let optimized = (*(*f).func_code.cast::<CodeObject>()).co_flags & co_flags::OPTIMIZED != 0;
        if let (Some(slots), true) = (caller_slots(ts, f.cast(), args, n, kwnames), optimized && interp::eval_frame((*ts).interp).is_null())
        {
            return frames::interpret_moved(ts, f, args, n, kwnames, slots);
        }
        let original: Vectorcall = core::mem::transmute(env::python_vectorcall());
        original(f.cast(), args, nargsf, kwnames)
    }
}

/// Where an interpreted caller's eval stack holds these arguments, without a bound `self`: null, or the slot of the first of them.
///
/// The interpreter gives its arguments away when it pushes a frame itself, but keeps them while a foreign vectorcall runs, and
/// drops them afterwards from these very slots. So moving them out gives their lifetimes back. (`self` is a copy in a C variable by then.)
unsafe fn caller_slots(
    ts: *mut ThreadState,
    func: *mut PyObject,
    args: *const *mut PyObject,
    n: usize,
    kwnames: *mut PyObject,
) -> Option<MovableArgs> {
    // SAFETY: as in `wrapper`. The caller's stack is only read above its base, so a frame of compiled code, whose stack is
    // empty in memory, is none. Where the callable below the arguments is `func` itself, the instruction is calling us.
    unsafe {
        let fr = (*ts).current_frame;
        if fr.is_null() || Frame::is_incomplete(fr) {
            return None;
        }
        // Compiled code has taken the names of keywords off the stack already.
        let above: &[usize] = match Opcode::from_u8((*(*fr).instr_ptr).opcode()) {
            Some(op) if op.is_instrumented() => return None,
            Some(op) if op.base() == Opcode::Call && kwnames.is_null() => &[0],
            Some(op) if op.base() == Opcode::CallKw && !kwnames.is_null() => &[1, 0],
            _ => return None,
        };
        let all = n + if kwnames.is_null() { 0 } else { ffi::PyTuple_Size(kwnames) as usize };
        let oparg = usize::from((*(*fr).instr_ptr).oparg());
        let bound = all.checked_sub(oparg).filter(|b| *b <= 1)?;
        let (base, sp) = (Frame::stack_base(fr), (*fr).stackpointer);
        let depth = sp.offset_from(base);
        above.iter().filter(|above| depth >= (oparg + 2 + *above) as isize).find_map(|above| {
            let first = sp.sub(oparg + above);
            let me = *first.sub(1);
            let called = (*first.sub(2)).as_ptr() == func && if bound == 0 { me.is_null() } else { me.as_ptr() == *args };
            let same = called && (0..oparg).all(|k| (*first.add(k)).as_ptr() == *args.add(bound + k));
            same.then_some(MovableArgs { first, bound })
        })
    }
}

/// May the body run now?
#[inline]
unsafe fn ready(ts: *mut ThreadState, f: *mut FunctionObject, record: *mut CodeRecord) -> bool {
    // SAFETY: as in `wrapper`.
    unsafe {
        let breaker = (*ts).eval_breaker;
        if (*record).body.is_null() {
            return first_sight(f, record) && ready(ts, f, record);
        }
        if breaker & eval_breaker::EVENTS_MASK != 0 || (*ts).py_recursion_remaining <= 1 {
            return false;
        }
        evaluator::look(ts);
        let code = (*record).code;
        if ((*record).version != breaker || !(*code)._co_monitoring.is_null()) && !look_again(record, breaker) {
            return false;
        }
        if frames::low_stack(ts) {
            withdraw(f);
            return false;
        }
        true
    }
}

/// Does what a function's wrapper would do before a call, so that the caller may make the call itself. True: the body may run.
///
/// # Safety
/// A live function with the interpreter's vectorcall or ours; the GIL is held. Runs Python code.
pub unsafe fn settle(ts: *mut ThreadState, f: *mut FunctionObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        if (*f).vectorcall.map_or(0, |v| v as usize) != wrapper_address() {
            return false;
        }
        let code: *mut CodeObject = (*f).func_code.cast();
        let record = record::find(code);
        if record.is_null() {
            return false;
        }
        if is_generator(code) {
            first_sight_of_generator(f, record);
            return !(*record).body.is_null();
        }
        ready(ts, f, record)
    }
}

#[cold]
unsafe fn look_again(record: *mut CodeRecord, breaker: usize) -> bool {
    // SAFETY: as in `wrapper`.
    unsafe { (*record).look_again(breaker) }
}

/// A wrapped function without a body: under threshold 0 it is compiled now; what cannot be is unwrapped.
#[cold]
unsafe fn first_sight(f: *mut FunctionObject, record: *mut CodeRecord) -> bool {
    // SAFETY: as in `wrapper`; the caller holds the function, which holds the code.
    unsafe {
        let at_once = driver::config().is_some_and(|c| c.threshold == 0);
        if at_once && (*record).state == State::Cold && !warm(record) {
            return false;
        }
        if at_once && (*record).state == State::Cold && driver::compile(Subject::function(f)).is_ok() {
            return !(*record).body.is_null();
        }
        if (*record).state != State::Cold || entries::kind() != Kind::Vectorcall {
            unwrap_function(f);
        }
        false
    }
}

/// Counts a call under threshold 0: whether the code has been interpreted as often as it should be first.
unsafe fn warm(record: *mut CodeRecord) -> bool {
    // SAFETY: as in `wrapper`.
    unsafe {
        let Some(config) = driver::config() else { return false };
        (*record).warmup_calls += 1;
        (*record).warmup_calls > trial::warmup_of(&config, (*record).code)
    }
}

/// A wrapped generator function, under threshold 0: compiled at the first call; its runs are entered by other ways.
#[cold]
unsafe fn first_sight_of_generator(f: *mut FunctionObject, record: *mut CodeRecord) {
    // SAFETY: as in `wrapper`.
    unsafe {
        let at_once = driver::config().is_some_and(|c| c.threshold == 0);
        if at_once && (*record).state == State::Cold {
            if !warm(record) {
                return;
            }
            // The reason of a refusal is kept in the record.
            let _ = driver::compile(Subject::function(f));
        }
        unwrap_function(f);
    }
}

/// Near the margin of the C stack: the interpreter recurses on its data stack, but not through us, so we go out of its way.
#[cold]
unsafe fn withdraw(f: *mut FunctionObject) {
    // SAFETY: as in `wrapper`.
    unsafe {
        stats::count(Counter::Declined);
        let record = record::find((*f).func_code.cast());
        if !record.is_null() {
            (*record).withdrawn = true;
        }
        unwrap_function(f);
    }
}

/// Gives a function our wrapper, where entries by vectorcall are in use.
///
/// # Safety
/// A live function; the GIL is held.
pub unsafe fn wrap(f: *mut FunctionObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        let record = record::find(code);
        let compiled = !record.is_null() && (*record).state != State::Cold;
        if entries::kind() != Kind::Vectorcall || (is_generator(code) && compiled) {
            return;
        }
        let ordinary = (*f).vectorcall.map_or(0, |v| v as usize) == env::python_vectorcall();
        if !ordinary || (!record.is_null() && (*record).withdrawn) {
            return;
        }
        if tools_in_use() {
            let paused = &mut WRAPPED.get().paused;
            if !paused.contains(&f) {
                paused.push(f);
            }
            return;
        }
        if let Some(functions) = &mut WRAPPED.get().functions {
            // 0: it is being made, and gets the version of its code.
            let version = if (*f).func_version == 0 { (*code).co_version } else { (*f).func_version };
            functions.insert(f, version);
            ext::PyFunction_SetVectorcall(f, wrapper);
        }
    }
}

/// Puts the interpreter's vectorcall and the old version back.
unsafe fn unwrap_function(f: *mut FunctionObject) {
    // SAFETY: `f` is alive: it is being called, or is in the table, which forgets functions that die.
    unsafe {
        let version = WRAPPED.get().functions.as_mut().and_then(|t| t.remove(&f));
        if (*f).vectorcall.map_or(0, |v| v as usize) == wrapper_address() {
            let original: Vectorcall = core::mem::transmute(env::python_vectorcall());
            ext::PyFunction_SetVectorcall(f, original);
            if let Some(version) = version.filter(|v| *v >= FUNC_VERSION_FIRST_VALID) {
                api::_PyFunction_SetVersion(f, version);
            }
        }
    }
}

/// Events in the life of functions. Programs make functions all the time: where nothing is to be done, that is to be seen at once.
unsafe extern "C" fn watch(event: c_int, f: *mut FunctionObject, new: *mut PyObject) -> c_int {
    // SAFETY: called by CPython with the GIL held and a live function (about to die for DESTROY).
    unsafe {
        let of_its_life = event == ext::FUNCTION_CREATE || event == ext::FUNCTION_DESTROY;
        if of_its_life && entries::kind() == Kind::Executor && !driver::compiles_at_once() {
            return 0;
        }
        happened(event, f, new)
    }
}

/// New closures of compiled code are wrapped, dead functions forgotten.
#[inline(never)]
unsafe fn happened(event: c_int, f: *mut FunctionObject, new: *mut PyObject) -> c_int {
    // SAFETY: as in `watch`.
    unsafe {
        match event {
            ext::FUNCTION_CREATE => {
                let at_once = driver::compiles_at_once();
                if entries::kind() == Kind::Executor {
                    // Its code may be older than `enable`.
                    if at_once && record::find((*f).func_code.cast()).is_null() {
                        entries::code_made((*f).func_code.cast());
                    }
                    return 0;
                }
                let record = record::find((*f).func_code.cast());
                let compiled = !record.is_null() && (*record).state == State::Compiled;
                if compiled || at_once && !record::find_or_make((*f).func_code.cast()).is_null() {
                    // The callback must not change the function at once: its version is set right behind it. So the
                    // version is taken from the code object when it is unwrapped.
                    wrap(f);
                }
            }
            ext::FUNCTION_DESTROY => {
                let w = WRAPPED.get();
                if let Some(t) = w.functions.as_mut().filter(|t| !t.is_empty()) {
                    t.remove(&f);
                }
                w.paused.retain(|p| *p != f);
            }
            ext::FUNCTION_MODIFY_CODE => {
                // Frames of compiled callers borrow the old code object from the function: it stays for good.
                let record = record::find((*f).func_code.cast());
                if !record.is_null() && (*record).keepers > 0 {
                    refcount::incref((*f).func_code);
                }
                if new != (*f).func_code {
                    other_code(f, new.cast());
                }
            }
            // New defaults make a version of their own: do not give the old one back.
            ext::FUNCTION_MODIFY_DEFAULTS | ext::FUNCTION_MODIFY_KWDEFAULTS => {
                if let Some(v) = WRAPPED.get().functions.as_mut().and_then(|t| t.get_mut(&f)) {
                    *v = 0;
                }
            }
            _ => {}
        }
        0
    }
}

/// The function is about to get another code object: it is wrapped then if functions that are made of that code are.
unsafe fn other_code(f: *mut FunctionObject, new: *mut CodeObject) {
    // SAFETY: as in `watch`; `new` is a live code object. The function's version is cleared right behind this, for good, as
    // CPython does whenever a function's code is replaced: there is none to give back.
    unsafe {
        unwrap_function(f);
        if entries::kind() != Kind::Vectorcall {
            return;
        }
        let at_once = driver::config().is_some_and(|c| c.threshold == 0 && c.jit);
        let record = if at_once { record::find_or_make(new) } else { record::find(new) };
        let wanted = !record.is_null()
            && match (*record).state {
                State::Compiled => !is_generator(new),
                State::Cold => at_once,
                State::Refused | State::Never => false,
            };
        let ordinary = (*f).vectorcall.map_or(0, |v| v as usize) == env::python_vectorcall();
        if !wanted || !ordinary || tools_in_use() {
            return;
        }
        if let Some(functions) = &mut WRAPPED.get().functions {
            functions.insert(f, 0);
            ext::PyFunction_SetVectorcall(f, wrapper);
        }
    }
}

/// An audit hook: somebody is about to watch calls. A call of a function with a foreign vectorcall would be reported as one of
/// a C function, so all functions get their own back first.
unsafe extern "C" fn audit(event: *const c_char, args: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: called by CPython with a C string and a tuple or null, in any interpreter, mostly with the GIL held; our events always with it.
    unsafe {
        let event = CStr::from_ptr(event);
        let watches =
            event == c"sys.settrace" || event == c"sys.setprofile" || (event == c"sys.monitoring.register_callback" && !is_ours(args));
        if watches && gil::is_main(ThreadState::current()) && entries::kind() == Kind::Executor {
            for r in record::all().into_iter().filter(|r| (**r).for_machine_code) {
                (*r).version = !0;
            }
        } else if watches && gil::is_main(ThreadState::current()) && entries::kind() == Kind::Vectorcall {
            let w = WRAPPED.get();
            let functions: Vec<_> = w.functions.iter().flat_map(|t| t.keys().copied()).collect();
            w.paused.extend(&functions);
            for f in functions {
                unwrap_function(f);
            }
            // From now on each entry looks for local events.
            for r in record::all() {
                (*r).version = !0;
            }
        }
        0
    }
}

/// Whether the callback that is being registered is our own.
unsafe fn is_ours(args: *mut PyObject) -> bool {
    // SAFETY: a tuple or null.
    unsafe {
        if args.is_null() || ffi::PyTuple_Check(args) == 0 || ffi::PyTuple_Size(args) < 1 {
            return false;
        }
        let callback = ffi::PyTuple_GetItem(args, 0);
        !callback.is_null() && super::monitor::is_callback(callback)
    }
}

/// Whether anybody else has a tool of sys.monitoring, or traces or profiles. A tool may switch its events on at any time, which
/// nobody hears of.
///
/// # Safety
/// The GIL is held.
pub unsafe fn tools_in_use() -> bool {
    // SAFETY: the GIL is held; the names of the tools are an array of objects or null in the interpreter's state.
    unsafe {
        let interpreter = ffi::PyInterpreterState_Get();
        let ours = super::monitor::tool_bit();
        let tools = (*interp::monitors(interpreter)).tools;
        let names = interp::field::<[*mut PyObject; TOOL_IDS]>(interpreter, interp::MONITORING_TOOL_NAMES);
        tools.iter().any(|t| *t & !ours != 0) || (*names).iter().enumerate().any(|(id, name)| !name.is_null() && 1u8 << id & ours == 0)
    }
}

/// Wraps again what `audit` unwrapped, once nobody watches. Called by the sampler.
///
/// # Safety
/// The GIL is held.
pub unsafe fn resume_paused() {
    // SAFETY: functions that die are taken off the list.
    unsafe {
        if WRAPPED.get().paused.is_empty() || entries::kind() != Kind::Vectorcall {
            return;
        }
        if !tools_in_use() {
            for f in core::mem::take(&mut WRAPPED.get().paused) {
                wrap(f);
            }
        }
    }
}

/// Watches functions.
///
/// # Safety
/// The GIL is held.
///
/// # Errors
/// All watchers are taken.
pub unsafe fn enable() -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        let w = WRAPPED.get();
        w.functions.get_or_insert_with(HashMap::default);
        // It cannot be taken away again, so only where it is needed.
        if !w.hooked && entries::kind() == Kind::Vectorcall {
            w.hooked = true;
            if ext::PySys_AddAuditHook(audit, ptr::null_mut()) < 0 {
                ffi::PyErr_Clear();
            }
        }
        if w.watcher < 0 {
            w.watcher = ext::PyFunction_AddWatcher(watch);
        }
        if w.watcher < 0 {
            ffi::PyErr_Clear();
            return Err("CPython has no watcher of functions left".to_owned());
        }
        Ok(())
    }
}

/// Unwraps everything and stops watching.
///
/// # Safety
/// The GIL is held.
pub unsafe fn disable() {
    // SAFETY: the caller's contract.
    unsafe {
        let functions: Vec<_> = WRAPPED.get().functions.iter().flat_map(|t| t.keys().copied()).collect();
        for f in functions {
            unwrap_function(f);
        }
        let w = WRAPPED.get();
        w.paused.clear();
        if w.watcher >= 0 {
            ext::PyFunction_ClearWatcher(w.watcher);
            w.watcher = -1;
        }
        ffi::PyErr_Clear();
    }
}

/// The record's code has a body now: calls of functions that are wrapped already find it. Nothing to do but the version.
///
/// # Safety
/// The record's code object is alive; the GIL is held.
pub unsafe fn install(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        let breaker = (*ThreadState::current()).eval_breaker & !eval_breaker::EVENTS_MASK;
        look_again(record, breaker);
    }
}

/// Unwraps the functions of a record's code.
///
/// # Safety
/// The record's code object is alive; the GIL is held.
pub unsafe fn remove(record: *mut CodeRecord) {
    // SAFETY: the caller's contract; functions in the table are alive.
    unsafe {
        let code: *mut PyObject = (*record).code.cast();
        let table = WRAPPED.get().functions.iter().flat_map(|t| t.keys().copied());
        let of_code: Vec<_> = table.filter(|f| (**f).func_code == code).collect();
        for f in of_code {
            unwrap_function(f);
        }
    }
}
