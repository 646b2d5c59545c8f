//! Entry (c): local sys.monitoring events, where executors cannot be used. Works on every build.
//!
//! JUMP enters a running loop in the middle, once: the event is cleared by the take-over. PY_START and PY_RESUME enter
//! generators and coroutines, which interpreted callers push inline. In a C callback the interpreter goes on at
//! `fr->instr_ptr` with `fr->stackpointer` as we leave them.
//! Invariants: `tracing` and `what_event` are set aside while a body runs, or what it calls would not be traced; an exception
//! is returned to the interpreter only if this frame has no handler for it, since it would look at the wrong instruction.

use crate::body;
use crate::driver;
use crate::frames;
use crate::gil::Gil;
use crate::ops;
use crate::record::{self, CodeRecord};
use crate::stats::{self, Counter};
use crate::unwind;
use cendre_bytecode::Opcode;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::methodobject::CFunctionObject;
use cendre_cpython::monitoring::event;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::{ThreadState, WHAT_EVENT_NONE, eval_breaker};
use core::ffi::c_int;
use core::ptr;

/// Bits of `sys.monitoring.events`.
const PY_START: c_int = 1 << 0;
const PY_RESUME: c_int = 1 << 1;
const JUMP: c_int = 1 << 7;

static TOOL: Gil<c_int> = Gil::new(-1);

/// Our tool as a bit of the sets of tools, or 0.
pub fn tool_bit() -> u8 {
    // SAFETY: the runtime runs with the GIL held.
    let tool = unsafe { *TOOL.get() };
    if tool < 0 { 0 } else { 1 << tool }
}

/// Whether this is the number of our tool.
///
/// # Safety
/// An `int`; the GIL is held.
pub unsafe fn is_ours(tool: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe { *TOOL.get() >= 0 && ffi::PyLong_AsLong(tool) == i64::from(*TOOL.get()) }
}

/// `sys.monitoring.<name>(...)`; takes the reference to `args`. Errors are cleared: None.
unsafe fn monitoring(name: &core::ffi::CStr, args: *mut PyObject) -> Option<()> {
    // SAFETY: the GIL is held; all references made here are given back.
    unsafe {
        let module = ffi::PySys_GetObject(c"monitoring".as_ptr());
        let function = if module.is_null() { ptr::null_mut() } else { ffi::PyObject_GetAttrString(module, name.as_ptr()) };
        let result = if function.is_null() || args.is_null() { ptr::null_mut() } else { ffi::PyObject_CallObject(function, args) };
        refcount::xdecref(function);
        refcount::xdecref(args);
        if result.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        refcount::decref(result);
        Some(())
    }
}

struct Def(ffi::PyMethodDef);
// SAFETY: constant data that CPython only reads.
unsafe impl Sync for Def {}
static DEF: Def = Def(ffi::PyMethodDef {
    ml_name: c"enter".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: on_event },
    ml_flags: ffi::METH_FASTCALL,
    ml_doc: ptr::null(),
});

/// Whether this is the callback that we register.
///
/// # Safety
/// A live object; the GIL is held.
pub unsafe fn is_callback(o: *mut PyObject) -> bool {
    // SAFETY: the class is checked before the definition is read.
    unsafe {
        refcount::type_of(o) == &raw mut ffi::PyCFunction_Type && core::ptr::eq((*o.cast::<CFunctionObject>()).m_ml, &raw const DEF.0)
    }
}

/// Takes a tool id that nobody uses. Without one, loops that run already stay interpreted until their function is called again.
///
/// # Safety
/// The GIL is held.
pub unsafe fn enable() {
    // SAFETY: the caller's contract.
    unsafe {
        if *TOOL.get() >= 0 {
            return;
        }
        // 5 is meant for optimisers; 3 and 4 have no meaning.
        for id in [5, 4, 3] {
            let name = ffi::PyUnicode_FromString(c"cendre".as_ptr());
            let args = ffi::Py_BuildValue(c"(iN)".as_ptr(), id as c_int, name);
            if monitoring(c"use_tool_id", args).is_none() {
                continue;
            }
            let function = ffi::PyCFunction_NewEx((&raw const DEF.0).cast_mut(), ptr::null_mut(), ptr::null_mut());
            for event in [PY_START, PY_RESUME, JUMP] {
                let args = ffi::Py_BuildValue(c"(iiO)".as_ptr(), id as c_int, event, function);
                if monitoring(c"register_callback", args).is_none() {
                    break;
                }
            }
            refcount::xdecref(function);
            *TOOL.get() = id;
            return;
        }
    }
}

/// Gives the tool id back.
///
/// # Safety
/// The GIL is held.
pub unsafe fn disable() {
    // SAFETY: the caller's contract.
    unsafe {
        let id = *TOOL.get();
        if id >= 0 {
            for name in [c"clear_tool_id", c"free_tool_id"] {
                monitoring(name, ffi::Py_BuildValue(c"(i)".as_ptr(), id));
            }
            *TOOL.get() = -1;
        }
    }
}

unsafe fn set_events(code: *mut CodeObject, events: c_int) {
    // SAFETY: a live code object; the GIL is held.
    unsafe {
        keep_instruction_events(code);
        let args = ffi::Py_BuildValue(c"(iOi)".as_ptr(), *TOOL.get(), code.cast::<PyObject>(), events);
        monitoring(c"set_local_events", args);
        keep_instruction_events(code);
    }
}

/// Makes the table of who listens to each instruction, as long as CPython has not.
///
/// It makes one when an event gets a second listener, as ours often is, and begins it with nobody, although events of instructions may be on:
/// these are told no more, and since they count as on, never switched on again. (A tracer's, `f_trace_opcodes`, stay on when it has
/// gone, until the code runs.) With a table that is there already nothing is lost.
#[expect(clippy::indexing_slicing, reason = "events are below the number of tools' rows")]
unsafe fn keep_instruction_events(code: *mut CodeObject) {
    // SAFETY: a live code object; the GIL is held. The table has an entry for each code unit and is CPython's from then on, which frees it.
    unsafe {
        let data = (*code)._co_monitoring;
        if data.is_null() || !(*data).per_instruction_tools.is_null() {
            return;
        }
        let table = ffi::PyMem_Malloc(CodeObject::len(code)).cast::<u8>();
        if table.is_null() {
            return;
        }
        let listeners = (*data).active_monitors.tools[event::INSTRUCTION as usize];
        for unit in 0..CodeObject::len(code) {
            let opcode = driver::under_line(data, unit, (*CodeObject::units(code).add(unit)).opcode());
            *table.add(unit) = if opcode == Opcode::InstrumentedInstruction as u8 { listeners } else { 0 };
        }
        (*data).per_instruction_tools = table;
    }
}

/// The events that a code object needs for good: calls of generators and coroutines, which no vectorcall sees.
unsafe fn lasting(code: *mut CodeObject) -> c_int {
    // SAFETY: a live code object.
    let flags = unsafe { (*code).co_flags };
    if flags & (co_flags::GENERATOR | co_flags::COROUTINE | co_flags::ASYNC_GENERATOR) != 0 { PY_START | PY_RESUME } else { 0 }
}

/// Arms the events for a record that has a body.
///
/// # Safety
/// The record's code object is alive; the GIL is held. Runs Python code.
pub unsafe fn install(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        if *TOOL.get() < 0 {
            return;
        }
        let code = (*record).code;
        let events = lasting(code) | if is_running(code) { JUMP } else { 0 };
        if events != 0 {
            (*record).monitored = true;
            set_events(code, events);
        }
    }
}

/// Disarms them.
///
/// # Safety
/// The record's code object is alive; the GIL is held. Runs Python code.
pub unsafe fn remove(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        if (*record).monitored {
            (*record).monitored = false;
            set_events((*record).code, 0);
        }
    }
}

/// Whether a frame of the code is among those of the running thread that the sampler looks at.
unsafe fn is_running(code: *mut CodeObject) -> bool {
    // SAFETY: the frames of the running thread.
    unsafe {
        let mut fr = (*ThreadState::current()).current_frame;
        for _ in 0..16 {
            if fr.is_null() {
                return false;
            }
            if !Frame::is_incomplete(fr) && (*fr).code() == code {
                return true;
            }
            fr = (*fr).previous;
        }
        false
    }
}

/// The callback: (code, offset) or (code, source, destination); the frame that fired is the running one.
unsafe extern "C" fn on_event(_: *mut PyObject, args: *mut *mut PyObject, n: ffi::Py_ssize_t) -> *mut PyObject {
    // SAFETY: called by CPython as the callback that `enable` registered.
    unsafe {
        let ts = ThreadState::current();
        let fr = (*ts).current_frame;
        let code: *mut CodeObject = (*args).cast();
        if (*fr).code() == code {
            let record = record::find(code);
            if !record.is_null() && !(*record).body.is_null() {
                // A jump: `instr_ptr` still is its source, the third argument the destination in bytes.
                let unit = if n == 3 { ffi::PyLong_AsLong(*args.add(2)) / 2 } else { Frame::instr_index(fr) as i64 };
                if !enter(ts, fr, record, unit as u32, n == 3) {
                    return ptr::null_mut();
                }
            }
        }
        refcount::new_ref(ffi::Py_None())
    }
}

/// Runs the body; false: an exception without handler in this frame.
unsafe fn enter(ts: *mut ThreadState, fr: *mut Frame, record: *mut CodeRecord, unit: u32, jump: bool) -> bool {
    // SAFETY: as in `on_event`; the frame holds its code object, hence the record.
    unsafe {
        let Some(artifact) = &(*record).artifact else { return true };
        let Some(at) = artifact.entry_at(unit) else { return true };
        let body = artifact.body();
        if (*ts).eval_breaker & eval_breaker::EVENTS_MASK != 0 || !(*record).may_run((*ts).eval_breaker) || frames::low_stack(ts) {
            return true;
        }
        stats::count(Counter::Events);
        let (tracing, what) = ((*ts).tracing, (*ts).what_event);
        (*ts).tracing = 0;
        (*ts).what_event = WHAT_EVENT_NONE;
        if jump {
            set_events((*record).code, lasting((*record).code));
        }
        let result = body(ts, fr, at);
        let mut fine = true;
        match result.tag {
            body::RETURNED | body::YIELDED => {
                *(*fr).stackpointer = StackRef::from_steal(result.value as *mut PyObject);
                (*fr).stackpointer = (*fr).stackpointer.add(1);
                if result.tag == body::YIELDED {
                    (*fr).instr_ptr = (*fr).instr_ptr.sub(1);
                }
            }
            body::LEAVE => driver::left(record, result.value),
            _ => {
                stats::count(Counter::Raises);
                fine = raised(ts, fr);
            }
        }
        (*ts).tracing = tracing;
        (*ts).what_event = what;
        fine
    }
}

/// The body has raised: the interpreter goes on at the handler, or at a RERAISE without one. False: it may look for a handler itself.
///
/// It would look where the event lies. Code without such a RERAISE has no handlers either; there it may raise, and adds the traceback
/// entry by itself.
unsafe fn raised(ts: *mut ThreadState, fr: *mut Frame) -> bool {
    // SAFETY: as in `on_event`; an exception is set, the stack is in memory.
    unsafe {
        if !frames::has_reraise(fr) {
            return false;
        }
        if !unwind::watched(ts) {
            ops::add_traceback(ts, fr);
        } else if unwind::to_handler(ts, fr).is_none() {
            // A tool came while the body ran, which left the handler to us.
            return true;
        }
        match frames::send_to_any_reraise(fr) {
            Some(next) => (*fr).instr_ptr = next,
            None => return false,
        }
        true
    }
}
