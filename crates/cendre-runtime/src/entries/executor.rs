//! Entry (d): an ENTER_EXECUTOR of ours in the place of a RESUME or a JUMP_BACKWARD.
//!
//! The interpreter pushes the frame and calls `jit_code`; what it gets back is the next instruction to interpret. So every
//! caller is seen, call sites keep their specialisation, and leaving is just an answer.
//! Invariants: the body is equivalent to the code at each patched point (the interpreter runs the original instruction
//! whenever an event waits); an executor stands in `co_executors` and in `record.executors`, or in neither; nothing is
//! installed while CPython's own JIT is on. Instrumenting the code detaches executors without asking us.

use crate::behind;
use crate::body::{self, Body, BodyResult};
use crate::driver;
use crate::evaluator;
use crate::frames;
use crate::ops;
use crate::record::{self, CodeRecord, State};
use crate::stats::{self, Counter};
use crate::trial;
use cendre_bytecode::decode::no_executors;
use cendre_cpython::code::{CodeObject, CodeUnit};
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::optimizer::{ExecutorArray, ExecutorObject, MAX_EXECUTORS, vm_flags};
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::{ThreadState, eval_breaker};
use cendre_cpython::{interp, refcount};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use core::ptr;

/// `ENTER_EXECUTOR`.
pub const ENTER_EXECUTOR: u8 = 255;
mod op {
    use cendre_bytecode::Opcode;
    pub const EXTENDED_ARG: u8 = Opcode::ExtendedArg as u8;
    pub const RESUME: u8 = Opcode::Resume as u8;
    pub const RESUME_CHECK: u8 = Opcode::ResumeCheck as u8;
    pub const JUMP_BACKWARD: u8 = Opcode::JumpBackward as u8;
    pub const JUMP_BACKWARD_NO_JIT: u8 = Opcode::JumpBackwardNoJit as u8;
    pub const JUMP_BACKWARD_JIT: u8 = Opcode::JumpBackwardJit as u8;
    pub const JUMP_BACKWARD_NO_INTERRUPT: u8 = Opcode::JumpBackwardNoInterrupt as u8;
}

/// An executor of ours.
#[repr(C)]
pub struct Exec {
    pub base: ExecutorObject,
    pub record: *mut CodeRecord,
    /// None: the code is compiled when it is entered for the first time.
    pub body: Option<Body>,
    /// Entry index in the body; without a body: times that it is still passed before the code is compiled.
    pub at: u64,
    /// The entry's unit: the instruction itself (RESUME), or the target of the jump.
    pub entry_unit: u32,
    /// Where the interpreter goes on when we decline: behind the RESUME, or the target of the jump.
    pub skip_unit: u32,
}

/// Whether this CPython can run executors at all (its JIT is built in).
///
/// # Safety
/// The GIL is held.
pub unsafe fn build_has_executors() -> bool {
    // The function that looks executors up is exported by such builds only.
    cendre_cpython::api::optional::get_executor().is_some()
}

unsafe extern "C" fn get_opcode(me: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: only called as a method of our type.
    unsafe { ffi::PyLong_FromLong((*me.cast::<Exec>()).base.vm_data.opcode.into()) }
}

unsafe extern "C" fn get_oparg(me: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe { ffi::PyLong_FromLong((*me.cast::<Exec>()).base.vm_data.oparg.into()) }
}

/// Freed by us, by the code object, or because somebody instrumented the code: the last one has to be noticed.
unsafe extern "C" fn dealloc(me: *mut PyObject) {
    // SAFETY: the last reference to an executor of ours; its record is null if we detached it ourselves.
    unsafe {
        let exec: *mut Exec = me.cast();
        let record = (*exec).record;
        if !record.is_null() {
            (*record).executors.retain(|e| *e != exec);
            (*record).version = !0;
            (*record).lost_trigger |= (*exec).body.is_none();
        }
        ffi::PyObject_Free(me.cast());
    }
}

struct TypeCell(crate::Gil<*mut PyTypeObject>);
static TYPE: TypeCell = TypeCell(crate::Gil::new(ptr::null_mut()));

/// The type of our executors; `dis(adaptive=True)` calls its two methods.
unsafe fn exec_type() -> *mut PyTypeObject {
    // SAFETY: the GIL is held by all callers; the type is made once and lives for ever.
    unsafe {
        let cell = TYPE.0.get();
        if !cell.is_null() {
            return *cell;
        }
        let methods = Box::leak(Box::new([method(c"get_opcode", get_opcode), method(c"get_oparg", get_oparg), ffi::PyMethodDef::zeroed()]));
        let mut ty: Box<PyTypeObject> = Box::new(core::mem::zeroed());
        ty.ob_base.ob_base.ob_refcnt.refcnt_and_flags.ob_refcnt = 1;
        ty.tp_name = c"cendre._cendre.executor".as_ptr();
        ty.tp_basicsize = size_of::<Exec>() as ffi::Py_ssize_t;
        ty.tp_dealloc = Some(dealloc);
        ty.tp_methods = methods.as_mut_ptr();
        ty.tp_flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        let ty = Box::into_raw(ty);
        if ffi::PyType_Ready(ty) < 0 {
            // No memory. CPython may know the half-made type already, so it stays where it is.
            ffi::PyErr_Clear();
            return ptr::null_mut();
        }
        *cell = ty;
        ty
    }
}

fn method(name: &'static core::ffi::CStr, f: ffi::PyCFunction) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: f },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: ptr::null(),
    }
}

/// Makes the type before it is needed.
///
/// # Safety
/// The GIL is held.
///
/// # Errors
/// There is no memory.
pub unsafe fn enable() -> Result<(), String> {
    // SAFETY: the caller's contract.
    if unsafe { exec_type() }.is_null() { Err("out of memory".to_owned()) } else { Ok(()) }
}

/// Slot of `co_executors`.
unsafe fn slot(array: *mut ExecutorArray, n: usize) -> *mut *mut ExecutorObject {
    // SAFETY: `n` is below the array's capacity.
    unsafe { (&raw mut (*array).executors).cast::<*mut ExecutorObject>().add(n) }
}

/// Puts the instructions that executors replaced (ours and CPython's) back into a copy of the code's bytes.
///
/// # Safety
/// `code` is a live code object, `bytes` all of its units; the GIL is held.
#[expect(clippy::indexing_slicing, reason = "an attached executor stands inside the code that `bytes` are a copy of")]
pub unsafe fn undo_in_copy(code: *mut CodeObject, bytes: &mut [u8]) {
    // SAFETY: the array belongs to the code object; an attached executor knows its instruction.
    unsafe {
        let array = (*code).co_executors;
        let size = if array.is_null() { 0 } else { (*array).size as usize };
        for n in 0..size {
            let e = *slot(array, n);
            if !e.is_null() && (*e).vm_data.code == code {
                let at = (*e).vm_data.index as usize * 2;
                bytes[at] = (*e).vm_data.opcode;
                bytes[at + 1] = (*e).vm_data.oparg;
            }
        }
    }
}

/// Puts the instruction back and drops the executor (which the interpreter keeps while it runs).
///
/// # Safety
/// An executor of ours; the GIL is held.
unsafe fn detach(exec: *mut Exec) {
    // SAFETY: while `vm_data.code` is set, the instruction at `index` is the ENTER_EXECUTOR for this very executor.
    unsafe {
        let code = (*exec).base.vm_data.code;
        let record = core::mem::replace(&mut (*exec).record, ptr::null_mut());
        if !record.is_null() {
            (*record).executors.retain(|e| *e != exec);
        }
        if code.is_null() {
            return;
        }
        let instr = CodeObject::units(code).add((*exec).base.vm_data.index as usize);
        let index = (*instr).oparg() as usize;
        debug_assert_eq!((*instr).opcode(), ENTER_EXECUTOR);
        *instr = CodeUnit::new((*exec).base.vm_data.opcode, (*exec).base.vm_data.oparg);
        (*exec).base.vm_data.code = ptr::null_mut();
        *slot((*code).co_executors, index) = ptr::null_mut();
        refcount::decref(exec.cast());
    }
}

/// The instruction that an executor of ours replaced where a suspended frame stands; `None`: there is none.
///
/// # Safety
/// A live frame; the GIL is held.
pub unsafe fn replaced(fr: *mut Frame) -> Option<CodeUnit> {
    // SAFETY: the caller's contract; an ENTER_EXECUTOR's oparg is an index of its code's executors.
    unsafe {
        let instr = (*fr).instr_ptr;
        if (*instr).opcode() != ENTER_EXECUTOR {
            return None;
        }
        let exec = *slot((*(*fr).code()).co_executors, (*instr).oparg() as usize);
        let ours = refcount::type_of(exec.cast()) == *TYPE.0.get() && matches!((*exec).vm_data.opcode, op::RESUME | op::RESUME_CHECK);
        ours.then(|| CodeUnit::new((*exec).vm_data.opcode, (*exec).vm_data.oparg))
    }
}

/// Takes all executors of a record out of its code.
///
/// # Safety
/// The record is alive; the GIL is held.
pub unsafe fn detach_all(record: *mut CodeRecord) {
    // SAFETY: the caller's contract; detach removes the executor from the list.
    unsafe {
        while let Some(&exec) = (*record).executors.last() {
            detach(exec);
        }
    }
}

/// Puts executors at every entry of the record's artifact that an instruction leads to.
///
/// # Safety
/// The record has a body and a living code object; the GIL is held.
pub unsafe fn install_all(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        detach_all(record);
        let code = (*record).code;
        let interpreter = ffi::PyInterpreterState_Get();
        if *interp::jit(interpreter) != 0 || exec_type().is_null() {
            return;
        }
        let ts = ThreadState::current();
        let breaker = (*ts).eval_breaker & !eval_breaker::EVENTS_MASK;
        if !(*record).may_run(breaker) {
            // Not run since tools changed: its RESUME has to instrument it first. The sampler comes back.
            return;
        }
        if (*record).for_machine_code {
            (*record).look_again(breaker);
            return;
        }
        let Some(artifact) = &(*record).artifact else { return };
        let (body, entries) = (Some(artifact.body()), artifact.entries.clone());
        for (unit, entry, skip) in sites(code) {
            if let Some(at) = entries.iter().position(|u| *u == entry)
                && !install(record, unit, entry, skip, body, at as u64)
            {
                break;
            }
        }
        (*record).look_again(breaker);
    }
}

/// Where executors can stand: (unit to patch, unit of the entry, unit to go on at when declined).
unsafe fn sites(code: *mut CodeObject) -> Vec<(u32, u32, u32)> {
    // SAFETY: the caller passes a live code object.
    let bytes = unsafe { driver::code_bytes(code) };
    let Ok(instructions) = cendre_bytecode::decode(&bytes, &no_executors) else { return Vec::new() };
    let mut out = Vec::new();
    for i in &instructions {
        match i.op as u8 {
            op::RESUME | op::RESUME_CHECK => out.push((i.start, i.start, i.next)),
            op::JUMP_BACKWARD | op::JUMP_BACKWARD_NO_JIT | op::JUMP_BACKWARD_JIT => {
                if let Some(target) = i.jump_target {
                    // The executor stands at the first EXTENDED_ARG, as CPython's own do.
                    out.push((i.start, target, target));
                }
            }
            op::JUMP_BACKWARD_NO_INTERRUPT | op::EXTENDED_ARG => {}
            _ => {}
        }
    }
    out
}

unsafe fn install(record: *mut CodeRecord, unit: u32, entry: u32, skip: u32, body: Option<Body>, at: u64) -> bool {
    // SAFETY: `unit` is an instruction of the record's living code object; the GIL is held.
    unsafe {
        let code = (*record).code;
        let instr = CodeObject::units(code).add(unit as usize);
        if (*instr).opcode() == ENTER_EXECUTOR {
            return true;
        }
        let Some(index) = free_slot(code) else { return false };
        let exec: *mut Exec = ffi::PyObject_Calloc(1, size_of::<Exec>()).cast();
        if exec.is_null() {
            return false;
        }
        ffi::PyObject_Init(exec.cast(), exec_type());
        let data = &mut (*exec).base.vm_data;
        data.opcode = (*instr).opcode();
        data.oparg = (*instr).oparg();
        data.flags = vm_flags::VALID;
        data.warm = 1;
        data.index = unit as c_int;
        data.code = code;
        (*exec).base.jit_code = enter as *mut c_void;
        (*exec).record = record;
        ptr::write(&raw mut (*exec).body, body);
        (*exec).at = at;
        (*exec).entry_unit = entry;
        (*exec).skip_unit = skip;
        *slot((*code).co_executors, index) = exec.cast();
        (*record).executors.push(exec);
        // Last: from here on it runs.
        *instr = CodeUnit::new(ENTER_EXECUTOR, index as u8);
        true
    }
}

/// A free index of `co_executors`, made larger if need be.
unsafe fn free_slot(code: *mut CodeObject) -> Option<usize> {
    // SAFETY: the array is CPython's own PyMem allocation (or null); it grows the way CPython grows it.
    unsafe {
        let array = (*code).co_executors;
        let size = if array.is_null() { 0 } else { (*array).size };
        for n in 0..size as usize {
            if (*slot(array, n)).is_null() {
                return Some(n);
            }
        }
        if size >= MAX_EXECUTORS {
            return None;
        }
        if array.is_null() || size == (*array).capacity {
            let capacity = if array.is_null() { 4 } else { (*array).capacity * 2 };
            let bytes = offset_of!(ExecutorArray, executors) + capacity as usize * size_of::<*mut ExecutorObject>();
            let grown: *mut ExecutorArray = ffi::PyMem_Realloc(array.cast(), bytes).cast();
            if grown.is_null() {
                return None;
            }
            (*grown).capacity = capacity;
            (*grown).size = size;
            (*code).co_executors = grown;
        }
        let array = (*code).co_executors;
        *slot(array, size as usize) = ptr::null_mut();
        (*array).size = size + 1;
        Some(size as usize)
    }
}

/// `jit_code`: the interpreter stands at our ENTER_EXECUTOR in `fr` and no event waits.
unsafe extern "C" fn enter(fr: *mut Frame, sp: *mut StackRef, ts: *mut ThreadState) -> *mut CodeUnit {
    // SAFETY: called by the interpreter only, which keeps the executor alive meanwhile; `fr` is its running frame.
    unsafe {
        let exec: *mut Exec = (*ts).current_executor.cast();
        (*ts).current_executor = ptr::null_mut();
        (*fr).stackpointer = sp;
        if evaluator::look(ts) && (*exec).body.is_some() {
            let here = (*fr).instr_ptr;
            stale((*exec).record, exec);
            return here;
        }
        let code = (*fr).code();
        if (*ts).eval_breaker & !eval_breaker::EVENTS_MASK != (*code)._co_instrumentation_version {
            if (*exec).body.is_none() {
                return first_sight(exec, fr);
            }
            // Tools changed. The original RESUME or jump sees to it; the executors come back with the next sample.
            let here = (*fr).instr_ptr;
            stale((*exec).record, exec);
            return here;
        }
        if frames::low_stack(ts) {
            return CodeObject::units(code).add((*exec).skip_unit as usize);
        }
        let Some(body) = (*exec).body else {
            if (*exec).at > 0 {
                (*exec).at -= 1;
                return CodeObject::units(code).add((*exec).skip_unit as usize);
            }
            return first_sight(exec, fr);
        };
        let result = body(ts, fr, (*exec).at);
        debug_assert_eq!((*ts).current_frame, fr);
        if result.tag == body::RETURNED {
            let base = Frame::stack_base(fr);
            *base = StackRef::from_steal(result.value as *mut PyObject);
            (*fr).stackpointer = base.add(1);
            return (*fr).instr_ptr;
        }
        other(exec, ts, fr, result)
    }
}

/// Puts executors into new code that compile it when they have been passed as often as `warmup` says (threshold 0): at its first
/// RESUME, and at its loops if the interpreter is to specialise it first.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
pub unsafe fn install_trigger(code: *mut CodeObject, warmup: u32) {
    // SAFETY: the caller's contract; `_co_firsttraceable` is the index of the first RESUME, or the length of code that has none (Cython's).
    unsafe {
        let first = (*code)._co_firsttraceable as u32;
        if first as usize >= CodeObject::len(code) {
            return;
        }
        let at = CodeObject::units(code).add(first as usize);
        let is_resume = (*at).opcode() == op::RESUME || (*at).opcode() == op::RESUME_CHECK;
        if !is_resume || *interp::jit(ffi::PyInterpreterState_Get()) != 0 || exec_type().is_null() {
            return;
        }
        let record = record::find_or_make(code);
        if record.is_null() || !(*record).executors.is_empty() {
            return;
        }
        install(record, first, first, first + 1, None, warmup.into());
        if warmup > 0 {
            for (unit, entry, skip) in sites(code) {
                if unit != entry && !install(record, unit, entry, skip, None, warmup.into()) {
                    break;
                }
            }
        }
    }
}

/// Puts the trigger back that instrumenting the code threw out, once nobody watches the code any more.
///
/// # Safety
/// The record is null or alive; the GIL is held.
pub unsafe fn restore_trigger(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        if record.is_null() || !(*record).lost_trigger || record::is_watched((*record).code) {
            return;
        }
        (*record).lost_trigger = false;
        let config = driver::config().filter(|c| c.threshold == 0 && c.jit);
        if let (Some(config), State::Cold) = (config, (*record).state) {
            install_trigger((*record).code, trial::warmup_of(&config, (*record).code));
        }
    }
}

/// The code is entered for the first time under threshold 0.
#[cold]
unsafe fn first_sight(exec: *mut Exec, fr: *mut Frame) -> *mut CodeUnit {
    // SAFETY: as in `enter`; the frame is complete but for its RESUME.
    unsafe {
        let here = (*fr).instr_ptr;
        let record = (*exec).record;
        if record.is_null() {
            detach(exec);
        } else {
            detach_all(record);
        }
        driver::compile_frame(fr);
        here
    }
}

/// What is not a plain return.
#[cold]
unsafe fn other(exec: *mut Exec, ts: *mut ThreadState, fr: *mut Frame, result: BodyResult) -> *mut CodeUnit {
    // SAFETY: as in `enter`; the frame holds its code object, hence the record lives.
    unsafe {
        let record = record::find((*fr).code());
        match result.tag {
            body::YIELDED => {
                *(*fr).stackpointer = StackRef::from_steal(result.value as *mut PyObject);
                (*fr).stackpointer = (*fr).stackpointer.add(1);
                // The YIELD_VALUE stands right before the RESUME.
                (*fr).instr_ptr.sub(1)
            }
            body::LEAVE => {
                driver::left(record, result.value);
                let (units, entry) = (CodeObject::units((*fr).code()), (*exec).entry_unit);
                let at_resume = (*exec).base.vm_data.index as u32 == entry;
                if at_resume && (*fr).instr_ptr == units.add(entry as usize) {
                    // Left before its first instruction. The RESUME, whose duties are done, would only lead in here again, and that until an event comes.
                    return units.add((*exec).skip_unit as usize);
                }
                let here = (*fr).instr_ptr;
                if let Some(before) = behind::before(fr) {
                    (*fr).instr_ptr = before;
                }
                here
            }
            _ => {
                stats::count(Counter::Raises);
                if !record.is_null() {
                    (*record).raises += 1;
                }
                // For null the interpreter adds a traceback entry, which is right but for an exception raised again.
                if ops::raised_again(ts, fr) {
                    return frames::send_to_reraise(fr).unwrap_or(ptr::null_mut());
                }
                ptr::null_mut()
            }
        }
    }
}

/// The code's instrumentation is not the present one.
#[cold]
unsafe fn stale(record: *mut CodeRecord, exec: *mut Exec) {
    // SAFETY: as in `enter`.
    unsafe {
        stats::count(Counter::Detached);
        if record.is_null() {
            detach(exec);
        } else {
            detach_all(record);
            (*record).version = !0;
        }
    }
}

/// Whether executors wait for the code to be passed more often (threshold 0).
///
/// # Safety
/// The record is alive; the GIL is held.
pub unsafe fn waits(record: *mut CodeRecord) -> bool {
    // SAFETY: the caller's contract.
    unsafe { (*record).executors.iter().any(|e| (**e).body.is_none() && (**e).at > 0) }
}

/// Whether the record's code has executors of its body in it.
///
/// # Safety
/// The record is alive; the GIL is held.
pub unsafe fn is_in(record: *mut CodeRecord) -> bool {
    // SAFETY: the caller's contract.
    unsafe { (*record).executors.iter().any(|e| (**e).body.is_some()) }
}
