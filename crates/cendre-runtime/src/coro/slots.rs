//! Takes over the slots by which C code resumes generators and coroutines: `am_send`, `tp_iternext`, and `send` methods.
//!
//! A Task steps its coroutine through `am_send`, `sum()` and `next()` step generators through `tp_iternext`, Python code calls
//! `send`. An object of compiled code is resumed natively, everything else by CPython's own function.
//! Invariant: the original is called for whatever cannot run natively, so results never differ; `disable` puts back exactly
//! what `enable` found, unless somebody has patched a slot after us (then ours stays and only forwards).
//! Read docs/internals/awaits.md, "Slots".

use super::call;
use super::data::ResumeCell;
use super::run::{clear, resumable, resume};
use crate::entries::executor;
use crate::gil::{self, Gil};
use crate::record::CodeRecord;
use crate::{body, frames};
use cendre_cpython::api;
use cendre_cpython::code::CodeUnit;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::methodobject::MethodDescrObject;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;
use core::ptr;

type SendFunc = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> ffi::PySendResult;
type NextFunc = unsafe extern "C" fn(*mut PyObject) -> *mut PyObject;
/// `RESUME_OPARG_DEPTH1_MASK`: the yield stands in no `try` but the one that every generator has.
const RESUME_DEPTH1: u8 = 4;

type Finalizer = unsafe extern "C" fn(*mut PyObject);
type Method = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

/// What was found there. It stays known after `disable`: a loop of C code that fetched a slot before (`list(generator)`) goes on calling ours.
struct Originals {
    gen_send: Option<SendFunc>,
    coro_send: Option<SendFunc>,
    gen_next: Option<NextFunc>,
    gen_finalize: Option<Finalizer>,
    gen_method: Option<Method>,
    coro_method: Option<Method>,
    /// Ours are in the slots.
    taken: bool,
    /// Forward only.
    off: bool,
}

static ORIGINALS: Gil<Originals> = Gil::new(Originals {
    gen_send: None,
    coro_send: None,
    gen_next: None,
    gen_finalize: None,
    gen_method: None,
    coro_method: None,
    taken: false,
    off: true,
});

/// Takes the slots over. Doing so twice does nothing.
///
/// # Safety
/// The GIL is held; the generator types are ready.
///
/// # Errors
/// In a sentence, if this CPython has not the slots that 3.14 has; nothing is changed then.
pub unsafe fn enable() -> Result<(), String> {
    // SAFETY: the caller's contract. All of these lie in CPython's writable static data.
    unsafe {
        let (gen_type, coro_type) = (&raw mut ffi::PyGen_Type, &raw mut ffi::PyCoro_Type);
        let gen_def = send_method(gen_type);
        let coro_def = send_method(coro_type);
        let (gen_async, coro_async) = ((*gen_type).tp_as_async, (*coro_type).tp_as_async);
        if gen_def.is_null() || coro_def.is_null() || gen_async.is_null() || coro_async.is_null() {
            return Err("this CPython's generators have no send slots".to_owned());
        }
        let o = ORIGINALS.get();
        o.off = false;
        if o.taken {
            return Ok(());
        }
        o.taken = true;
        // Both types may share one table of slots: read everything before the first store.
        o.gen_send = (*gen_async).am_send;
        o.coro_send = (*coro_async).am_send;
        o.gen_next = (*gen_type).tp_iternext;
        o.gen_finalize = (*gen_type).tp_finalize;
        o.gen_method = Some((*gen_def).ml_meth.PyCFunction);
        o.coro_method = Some((*coro_def).ml_meth.PyCFunction);
        (*gen_async).am_send = Some(gen_am_send);
        (*coro_async).am_send = Some(coro_am_send);
        (*gen_type).tp_iternext = Some(gen_iternext);
        (*gen_type).tp_finalize = Some(gen_finalize);
        (*gen_def).ml_meth.PyCFunction = gen_send_method;
        (*coro_def).ml_meth.PyCFunction = coro_send_method;
        Ok(())
    }
}

/// Puts back what was there. What somebody has patched since keeps calling us, and we forward.
///
/// # Safety
/// The GIL is held.
pub unsafe fn disable() {
    // SAFETY: as in `enable`.
    unsafe {
        let o = ORIGINALS.get();
        o.off = true;
        let (true, Some(gen_method), Some(coro_method)) = (o.taken, o.gen_method, o.coro_method) else {
            return;
        };
        let (gen_type, coro_type) = (&raw mut ffi::PyGen_Type, &raw mut ffi::PyCoro_Type);
        let (gen_async, coro_async) = ((*gen_type).tp_as_async, (*coro_type).tp_as_async);
        let (gen_def, coro_def) = (send_method(gen_type), send_method(coro_type));
        let ours = (*gen_async).am_send.is_some_and(|f| ptr::fn_addr_eq(f, gen_am_send as SendFunc))
            && (*coro_async).am_send.is_some_and(|f| ptr::fn_addr_eq(f, coro_am_send as SendFunc))
            && (*gen_type).tp_iternext.is_some_and(|f| ptr::fn_addr_eq(f, gen_iternext as NextFunc))
            && (*gen_type).tp_finalize.is_some_and(|f| ptr::fn_addr_eq(f, gen_finalize as Finalizer))
            && !gen_def.is_null()
            && ptr::fn_addr_eq((*gen_def).ml_meth.PyCFunction, gen_send_method as Method)
            && !coro_def.is_null()
            && ptr::fn_addr_eq((*coro_def).ml_meth.PyCFunction, coro_send_method as Method);
        if !ours {
            return;
        }
        (*gen_async).am_send = o.gen_send;
        (*coro_async).am_send = o.coro_send;
        (*gen_type).tp_iternext = o.gen_next;
        (*gen_type).tp_finalize = o.gen_finalize;
        (*gen_def).ml_meth.PyCFunction = gen_method;
        (*coro_def).ml_meth.PyCFunction = coro_method;
        o.taken = false;
    }
}

/// The method definition behind `type.send`, or null.
unsafe fn send_method(ty: *mut PyTypeObject) -> *mut ffi::PyMethodDef {
    // SAFETY: the type is ready; a method descriptor keeps its definition.
    unsafe {
        let name = ffi::PyUnicode_InternFromString(c"send".as_ptr());
        if name.is_null() {
            ffi::PyErr_Clear();
            return ptr::null_mut();
        }
        let descriptor = api::_PyType_Lookup(ty, name);
        refcount::decref(name);
        if descriptor.is_null() || refcount::type_of(descriptor) != &raw mut ffi::PyMethodDescr_Type {
            return ptr::null_mut();
        }
        let def = (*descriptor.cast::<MethodDescrObject>()).d_method;
        if def.is_null() || (*def).ml_flags != ffi::METH_O { ptr::null_mut() } else { def }
    }
}

/// Resumes natively if that is possible.
#[inline(always)]
unsafe fn native(o: *mut PyObject, ty: *mut PyTypeObject, value: *mut PyObject) -> Option<body::BodyResult> {
    // SAFETY: a live object; exactly a generator or coroutine once its type says so.
    unsafe {
        let ts = ThreadState::current();
        // The types are those of all interpreters.
        if refcount::type_of(o) != ty || !gil::is_main(ts) || ORIGINALS.get().off {
            return None;
        }
        let g: *mut GenObject = o.cast();
        let (record, at) = stands(ts, g, value)?;
        Some(resume(ts, g, record, at, value))
    }
}

/// [`resumable`], mostly without a look into the table of records.
///
/// # Safety
/// As for [`resumable`].
#[inline(always)]
pub(super) unsafe fn stands(ts: *mut ThreadState, g: *mut GenObject, value: *mut PyObject) -> Option<(*mut CodeRecord, u64)> {
    // SAFETY: the caller's contract.
    unsafe {
        let cell = cell_for(g);
        match cell_says(ts, g, cell) {
            Some(found) => Some(found),
            None => look(ts, g, value, cell),
        }
    }
}

/// By the low bits of where it stands; two places that share a cell only cost each other time.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
unsafe fn cell_for(g: *mut GenObject) -> *mut ResumeCell {
    // SAFETY: a live generator.
    unsafe { &raw mut LAST.get()[(*g).gi_iframe.instr_ptr as usize / size_of::<CodeUnit>() % CELLS] }
}

/// Whether it is the interpreter's, as far as the cell knows: most are, and are to lose nearly nothing here.
#[inline(always)]
unsafe fn is_cold(o: *mut PyObject, ty: *mut PyTypeObject) -> bool {
    // SAFETY: a live object; exactly a generator or coroutine once its type says so.
    unsafe { refcount::type_of(o) == ty && ResumeCell::skips(cell_for(o.cast()), o.cast()) }
}

/// How many places in programs are remembered.
const CELLS: usize = 32;
/// Where generators stood that were resumed last.
static LAST: Gil<[ResumeCell; CELLS]> = Gil::new([const { ResumeCell::new() }; CELLS]);

/// Record and entry of a generator that stands where the cell says and may run.
#[inline(always)]
unsafe fn cell_says(ts: *mut ThreadState, g: *mut GenObject, cell: *mut ResumeCell) -> Option<(*mut CodeRecord, u64)> {
    // SAFETY: the frame of a generator, complete if it is suspended; a cell keeps its record.
    unsafe {
        let state = (*g).gi_frame_state;
        if state != frame_state::FRAME_SUSPENDED && state != frame_state::FRAME_SUSPENDED_YIELD_FROM {
            return None;
        }
        let (fr, record) = (&raw mut (*g).gi_iframe, (*cell).record);
        let known = (*fr).instr_ptr == (*cell).instr_ptr
            && !record.is_null()
            && (*record).code == (*fr).code()
            && (*record).body == (*cell).body
            && (*ts).eval_breaker == (*record).version
            && (*ts).py_recursion_remaining > 1
            && !frames::low_stack(ts);
        known.then(|| (record, (*cell).at))
    }
}

/// [`resumable`], for the cell to know next time.
#[inline(never)]
unsafe fn look(ts: *mut ThreadState, g: *mut GenObject, value: *mut PyObject, cell: *mut ResumeCell) -> Option<(*mut CodeRecord, u64)> {
    // SAFETY: as in `native`.
    unsafe {
        let Some((record, at)) = resumable(ts, g, value) else {
            if (*g).gi_frame_state < frame_state::FRAME_EXECUTING {
                call::body_is_wanted(g, cell);
            }
            return None;
        };
        if (*g).gi_frame_state != frame_state::FRAME_CREATED {
            ResumeCell::fill(cell, g, record, at);
        }
        Some((record, at))
    }
}

unsafe fn am_send(result: body::BodyResult, out: *mut *mut PyObject) -> ffi::PySendResult {
    // SAFETY: the slot's caller passes a place for the result.
    unsafe {
        *out = result.value as *mut PyObject;
        match result.tag {
            body::RETURNED => ffi::PySendResult::PYGEN_RETURN,
            body::YIELDED => ffi::PySendResult::PYGEN_NEXT,
            _ => {
                *out = ptr::null_mut();
                ffi::PySendResult::PYGEN_ERROR
            }
        }
    }
}

#[inline(never)]
unsafe fn send(
    original: Option<SendFunc>,
    o: *mut PyObject,
    ty: *mut PyTypeObject,
    value: *mut PyObject,
    out: *mut *mut PyObject,
) -> ffi::PySendResult {
    // SAFETY: as in `gen_am_send`.
    unsafe {
        if let Some(result) = native(o, ty, value) {
            return am_send(result, out);
        }
        match original {
            Some(original) => original(o, value, out),
            None => ffi::PySendResult::PYGEN_ERROR,
        }
    }
}

unsafe extern "C" fn gen_am_send(o: *mut PyObject, value: *mut PyObject, out: *mut *mut PyObject) -> ffi::PySendResult {
    // SAFETY: called as am_send of the generator type.
    unsafe {
        let cold = is_cold(o, &raw mut ffi::PyGen_Type);
        match ORIGINALS.get().gen_send {
            Some(original) if cold => original(o, value, out),
            original => send(original, o, &raw mut ffi::PyGen_Type, value, out),
        }
    }
}

unsafe extern "C" fn coro_am_send(o: *mut PyObject, value: *mut PyObject, out: *mut *mut PyObject) -> ffi::PySendResult {
    // SAFETY: called as am_send of the coroutine type.
    unsafe {
        let cold = is_cold(o, &raw mut ffi::PyCoro_Type);
        match ORIGINALS.get().coro_send {
            Some(original) if cold => original(o, value, out),
            original => send(original, o, &raw mut ffi::PyCoro_Type, value, out),
        }
    }
}

/// The value of an iterator's step: null without an exception where a generator just ends.
unsafe fn step(result: body::BodyResult, quiet: bool) -> *mut PyObject {
    // SAFETY: an answer of `resume`.
    unsafe {
        let value = result.value as *mut PyObject;
        match result.tag {
            body::YIELDED => value,
            body::RETURNED => {
                if !super::is_none(value) {
                    api::_PyGen_SetStopIterationValue(value);
                } else if !quiet {
                    ffi::PyErr_SetNone(ffi::PyExc_StopIteration);
                }
                refcount::decref(value);
                ptr::null_mut()
            }
            _ => ptr::null_mut(),
        }
    }
}

/// The step of a generator whose code has no body.
///
/// # Safety
/// An exact generator; the GIL is held.
pub(super) unsafe fn interpreted_next(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract; the slot of the type is CPython's own as long as we have not taken it over.
    unsafe {
        match ORIGINALS.get().gen_next.or((*refcount::type_of(o)).tp_iternext) {
            Some(original) => original(o),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn gen_iternext(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: called as tp_iternext of the generator type.
    unsafe {
        let cold = is_cold(o, &raw mut ffi::PyGen_Type);
        match ORIGINALS.get().gen_next {
            Some(original) if cold => original(o),
            _ => next(o),
        }
    }
}

#[inline(never)]
unsafe fn next(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `gen_iternext`.
    unsafe {
        if let Some(result) = native(o, &raw mut ffi::PyGen_Type, ffi::Py_None()) {
            return step(result, true);
        }
        match ORIGINALS.get().gen_next {
            Some(original) => original(o),
            None => ptr::null_mut(),
        }
    }
}

/// A generator that is dropped while it is suspended. CPython clears the frame at once, without an exception, if it stands at a RESUME,
/// nothing in the code would handle that and no tool hears of the end; it does not know the RESUME behind an executor.
unsafe extern "C" fn gen_finalize(o: *mut PyObject) {
    // SAFETY: called as tp_finalize of the generator type.
    unsafe {
        let g: *mut GenObject = o.cast();
        if (*g).gi_frame_state >= frame_state::FRAME_COMPLETED {
            return;
        }
        let Some(original) = ORIGINALS.get().gen_finalize else { return };
        let fr: *mut Frame = (&raw mut (*g).gi_iframe).cast();
        let bare = (*g).gi_frame_state == frame_state::FRAME_SUSPENDED
            && (*fr).frame_obj.is_null()
            && executor::replaced(fr).is_some_and(|resume| resume.oparg() & RESUME_DEPTH1 != 0)
            && api::_PyEval_NoToolsForUnwind(ThreadState::current());
        if !bare {
            return original(o);
        }
        let exc = ffi::PyErr_GetRaisedException();
        clear(g);
        ffi::PyErr_SetRaisedException(exc);
    }
}

#[inline(never)]
unsafe fn send_method_of(original: Option<Method>, o: *mut PyObject, ty: *mut PyTypeObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `gen_send_method`.
    unsafe {
        if let Some(result) = native(o, ty, value) {
            return step(result, false);
        }
        match original {
            Some(original) => original(o, value),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn gen_send_method(o: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called as the method `send` of a generator.
    unsafe {
        let cold = is_cold(o, &raw mut ffi::PyGen_Type);
        match ORIGINALS.get().gen_method {
            Some(original) if cold => original(o, value),
            original => send_method_of(original, o, &raw mut ffi::PyGen_Type, value),
        }
    }
}

unsafe extern "C" fn coro_send_method(o: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called as the method `send` of a coroutine.
    unsafe {
        let cold = is_cold(o, &raw mut ffi::PyCoro_Type);
        match ORIGINALS.get().coro_method {
            Some(original) if cold => original(o, value),
            original => send_method_of(original, o, &raw mut ffi::PyCoro_Type, value),
        }
    }
}
