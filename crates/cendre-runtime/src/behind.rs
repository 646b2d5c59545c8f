//! The interpreter goes on *behind* an instruction and knows that one as the instruction before.
//!
//! When a callee switches a tool on, its caller leaves behind the call. If a new line begins there, CPython tells the tool of it, because the
//! instruction before was of another line. `_PyEval_EvalFrameDefault` takes the frame's `instr_ptr` both for the instruction to run and
//! for the one before, finds one line and tells nothing. Only a callee's return makes a frame go on at a distance (`return_offset`) from its
//! `instr_ptr`: so we let it return from a frame of our own. That frame's instructions are `UNARY_NEGATIVE`, of an object whose operator puts
//! the frame that leaves between ours and its caller, which is the evaluation loop's own entry, `POP_TOP`, and `RETURN_VALUE`. Returning pushes a value: the topmost that
//! the frame has, taken off before, be it of its stack or of its last local. What has neither goes on without that event.
//! Invariant: the frame of ours stands nowhere when any other code runs.
//! Read: `INSTRUMENTED_LINE` and `RETURN_VALUE` in CPython's `bytecodes.c`, `_Py_call_instrumentation_line`.

use crate::driver;
use crate::ext;
use crate::gil::Gil;
use cendre_bytecode::Opcode;
use cendre_bytecode::decode::no_executors;
use cendre_bytecode::line_table::LineTable;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, CodeUnit};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::owned::Owned;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_void;
use core::ptr;

/// What is needed to go on behind an instruction, once it has been; it lives as long as the process.
struct Bridge {
    code: *mut CodeObject,
    function: *mut PyObject,
    /// The object whose negative operator is [`cross`].
    turner: *mut PyObject,
}

static BRIDGE: Gil<Option<Bridge>> = Gil::new(None);
/// The frame that `cross` is to put behind ours, null at all other times.
static CROSSING: Gil<*mut Frame> = Gil::new(ptr::null_mut());

/// A frame that is about to go on at a handler of its own, the handler, and the instruction that raised; forgotten at the next look.
struct Raised(*mut Frame, *mut CodeUnit, *mut CodeUnit);
static RAISED: Gil<Raised> = Gil::new(Raised(ptr::null_mut(), ptr::null_mut(), ptr::null_mut()));

/// Remembers which instruction raised, when a frame has been sent to the handler where its `instr_ptr` stands now.
///
/// # Safety
/// The GIL is held.
pub unsafe fn raised(fr: *mut Frame, by: *mut CodeUnit) {
    // SAFETY: the caller's contract.
    unsafe { *RAISED.get() = Raised(fr, (*fr).instr_ptr, by) }
}

/// Runs a complete frame in the interpreter from its `instr_ptr` on, as `_PyEval_EvalFrameDefault` does, but tells of the line that begins there.
///
/// # Safety
/// As for `_PyEval_EvalFrameDefault`: `fr` is complete, owns its code, is not linked and no recursion is counted for it; the GIL is held.
pub unsafe fn interpret(ts: *mut ThreadState, fr: *mut Frame) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        match before(fr) {
            Some(before) => go_on_behind(ts, fr, before),
            None => api::_PyEval_EvalFrameDefault(ts, fr, 0),
        }
    }
}

/// The instruction that has just run, if tools are to hear that another line begins at the frame's.
///
/// # Safety
/// A complete frame; the GIL is held.
#[inline]
pub unsafe fn before(fr: *mut Frame) -> Option<*mut CodeUnit> {
    // SAFETY: the caller's contract. Tools rewrite the opcode, a byte, under the GIL only.
    unsafe { if (*(*fr).instr_ptr).opcode() == Opcode::InstrumentedLine as u8 { on_another_line(fr) } else { None } }
}

/// The instruction before, if it is of another line: the one that raised or, since else nobody leaves at the target of a jump once tools have changed, the
/// one that stands before.
#[cold]
unsafe fn on_another_line(fr: *mut Frame) -> Option<*mut CodeUnit> {
    // SAFETY: a complete frame; the tables are copied at once.
    unsafe {
        let code = (*fr).code();
        let units = CodeObject::units(code);
        let unit = (*fr).instr_ptr.offset_from(units) as u32;
        let lines = LineTable::parse(&ext::bytes_of((*code).co_linetable), (*code).co_firstlineno as u32).ok()?;
        let nobody = Raised(ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let before = match core::mem::replace(RAISED.get(), nobody) {
            Raised(frame, handler, by) if (frame, handler) == (fr, (*fr).instr_ptr) => by.offset_from(units) as u32,
            _ => {
                let instructions = cendre_bytecode::decode(&driver::code_bytes(code), &no_executors).ok()?;
                instructions.iter().find(|i| i.next == unit && !i.base.is_terminator())?.start
            }
        };
        let other = lines.line(unit).is_some() && lines.line(before) != lines.line(unit);
        (other && before < unit && unit - before <= u32::from(u16::MAX)).then(|| units.add(before as usize))
    }
}

#[cold]
unsafe fn go_on_behind(ts: *mut ThreadState, fr: *mut Frame, before: *mut CodeUnit) -> *mut PyObject {
    // SAFETY: the caller's contract. Our frame is above all others of the data stack; nothing runs before the interpreter enters it.
    unsafe {
        let top = (*fr).stackpointer.sub(1);
        let ours = bridge().filter(|b| top >= Frame::locals(fr) && ThreadState::has_stack_space(ts, (*b.code).co_framesize as usize));
        let Some(bridge) = ours else { return api::_PyEval_EvalFrameDefault(ts, fr, 0) };
        (*fr).stackpointer = top;
        let here = core::mem::replace(&mut (*fr).instr_ptr, before);
        (*fr).return_offset = here.offset_from(before) as u16;

        let shim: *mut Frame = (*ts).datastack_top.cast();
        (*ts).datastack_top = (*ts).datastack_top.add((*bridge.code).co_framesize as usize);
        (*shim).f_executable = StackRef::from_new(bridge.code.cast());
        (*shim).f_funcobj = StackRef::from_new(bridge.function);
        (*shim).f_globals = (*fr).f_globals;
        (*shim).f_builtins = (*fr).f_builtins;
        (*shim).f_locals = ptr::null_mut();
        (*shim).frame_obj = ptr::null_mut();
        (*shim).instr_ptr = CodeObject::units(bridge.code);
        (*shim).return_offset = 0;
        (*shim).owner = frame_owner::THREAD;
        (*shim).visited = 0;
        let stack = Frame::locals(shim);
        *stack = *top;
        *stack.add(1) = StackRef::from_new(bridge.turner);
        (*shim).stackpointer = stack.add(2);
        *CROSSING.get() = fr;
        let result = api::_PyEval_EvalFrameDefault(ts, shim, 0);
        if !(*CROSSING.get()).is_null() {
            // The recursion limit or the C stack's end came first: our frame was unwound before its first instruction. The other never began.
            *CROSSING.get() = ptr::null_mut();
            (*fr).instr_ptr = here;
            (*fr).return_offset = 0;
            *top = StackRef::NULL;
            return api::_PyEval_EvalFrameDefault(ts, fr, 1);
        }
        result
    }
}

/// The operator: the frame that leaves gets the place of our frame's caller, which becomes its own.
unsafe extern "C" fn cross(_: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by UNARY_NEGATIVE of our frame, which runs; or by somebody who found the object, where nothing is to be done.
    unsafe {
        let fr = core::mem::replace(CROSSING.get(), ptr::null_mut());
        if !fr.is_null() {
            let ts = ThreadState::current();
            let shim = (*ts).current_frame;
            (*fr).previous = (*shim).previous;
            (*shim).previous = fr;
            // Our frame's return gives back the level that its entry took; this one is the other frame's.
            (*ts).py_recursion_remaining -= 1;
        }
        refcount::new_ref(ffi::Py_None())
    }
}

unsafe fn bridge() -> Option<&'static Bridge> {
    // SAFETY: the GIL is held by whoever leaves; what is made is never freed.
    unsafe {
        if BRIDGE.get().is_none() {
            *BRIDGE.get() = make();
            ffi::PyErr_Clear();
        }
        BRIDGE.get().as_ref()
    }
}

/// Without running any code: a tool or an audit hook would see it.
unsafe fn make() -> Option<Bridge> {
    // SAFETY: all objects are ours. `PyCode_NewEmpty` gives three instructions without caches: what they are replaced by is of the same length.
    unsafe {
        let mut slots = [
            ffi::PyType_Slot { slot: ffi::Py_nb_negative, pfunc: cross as *mut c_void },
            ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
        ];
        let mut spec = ffi::PyType_Spec {
            name: c"cendre._Bridge".as_ptr(),
            basicsize: size_of::<PyObject>() as i32,
            itemsize: 0,
            flags: ffi::Py_TPFLAGS_DEFAULT as u32,
            slots: slots.as_mut_ptr(),
        };
        let class = Owned::from_new(ffi::PyType_FromSpec(&raw mut spec))?;
        let turner = Owned::from_new(ffi::PyType_GenericAlloc(class.as_ptr().cast(), 0))?;
        let code = Owned::from_new(ffi::PyCode_NewEmpty(c"cendre".as_ptr(), c"behind".as_ptr(), 1).cast())?;
        let globals = Owned::from_new(ffi::PyDict_New())?;
        let function = Owned::from_new(ffi::PyFunction_New(code.as_ptr(), globals.as_ptr()))?;
        let c: *mut CodeObject = code.as_ptr().cast();
        if CodeObject::len(c) != 3 {
            return None;
        }
        for (n, op) in [Opcode::UnaryNegative, Opcode::PopTop, Opcode::ReturnValue].into_iter().enumerate() {
            let unit = CodeObject::units(c).add(n).cast::<u8>();
            *unit = op as u8;
            *unit.add(1) = 0;
        }
        (*c).co_framesize += 2 - (*c).co_stacksize;
        (*c).co_stacksize = 2;
        Some(Bridge { code: code.into_ptr().cast(), function: function.into_ptr(), turner: turner.into_ptr() })
    }
}
