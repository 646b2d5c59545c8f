//! Asynchronous generators: `async for` without the object of `__anext__()`, and the objects of `__anext__()` and `asend()` where there are some.
//!
//! What CPython's `async_gen_asend_send` and `async_gen_unwrap_value` do, around a body. In `async for x in g` nobody else ever gets at the
//! object that GET_ANEXT makes: it is made when the generator suspends inside an await of its own, as the receiver of the one who waits.
//! Invariants: `ag_running_async` is set from the first send until an item, the end or an exception comes, so that a second user meets
//! CPython's error; what cannot run natively has had no effect. The two structures that no header of CPython shows are believed once an
//! object of each was seen to be laid out so. Read docs/internals/awaits.md, "Asynchronous generators".

use super::data::AwaitSite;
use super::run::resume;
use super::send::{answer, told};
use super::slots;
use crate::body::{self, BodyResult};
use crate::gil::Gil;
use crate::numbers;
use cendre_cpython::api;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::genobject::{AsyncGenAsend, AsyncGenWrapped, GenObject, asend_state};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;
use core::ptr;

/// `INTRINSIC_ASYNC_GEN_WRAP`.
const WRAP: usize = 4;

const RAISED: BodyResult = BodyResult::new(answer::RAISED, 0);

/// The types, once their layout was seen; `asend` is null until then.
struct Types {
    asend: *mut PyTypeObject,
    wrapped: *mut PyTypeObject,
    /// Laid out in another way: never asked again.
    foreign: bool,
}

static TYPES: Gil<Types> = Gil::new(Types { asend: ptr::null_mut(), wrapped: ptr::null_mut(), foreign: false });

/// Whether this is the object of an `asend()` or `__anext__()` whose layout is known.
///
/// # Safety
/// A live object; the GIL is held.
#[inline(always)]
pub unsafe fn is_asend(o: *mut PyObject) -> bool {
    // SAFETY: a live object; the GIL is held.
    unsafe { refcount::type_of(o) == TYPES.get().asend }
}

/// Looks at one object of each type; false: CPython's own functions do it all.
#[cold]
unsafe fn learn(ts: *mut ThreadState, g: *mut GenObject) -> bool {
    // SAFETY: an exact asynchronous generator whose hooks were called: making the object of `__anext__()` runs nothing. Sizes are looked at
    // before fields.
    unsafe {
        let types = TYPES.get();
        if types.foreign {
            return false;
        }
        types.foreign = true;
        let asend = api::_PyEval_GetANext(g.cast());
        let wrap = (*(&raw const api::_PyIntrinsics_UnaryFunctions).cast::<api::IntrinsicFunc1Info>().add(WRAP)).func;
        let wrapped = wrap(ts, ffi::Py_None());
        let mut known = !asend.is_null() && !wrapped.is_null();
        if known {
            let (class, a) = (refcount::type_of(asend), asend.cast::<AsyncGenAsend>());
            known = class == (&raw const api::_PyAsyncGenASend_Type).cast_mut()
                && (*class).tp_basicsize as usize == size_of::<AsyncGenAsend>()
                && (*a).ags_gen == g
                && (*a).ags_sendval.is_null()
                && (*a).ags_state == asend_state::INIT;
            let (class, w) = (refcount::type_of(wrapped), wrapped.cast::<AsyncGenWrapped>());
            known &= class != refcount::type_of(ffi::Py_None())
                && (*class).tp_basicsize as usize == size_of::<AsyncGenWrapped>()
                && (*w).agw_val == ffi::Py_None();
        } else {
            // No memory: another time.
            ffi::PyErr_Clear();
            types.foreign = false;
        }
        if known {
            // Else its end would warn that it was never awaited.
            (*asend.cast::<AsyncGenAsend>()).ags_state = asend_state::CLOSED;
            *types = Types { asend: refcount::type_of(asend), wrapped: refcount::type_of(wrapped), foreign: false };
        }
        if known {
            refcount::decref(asend);
        }
        refcount::xdecref(wrapped);
        known
    }
}

/// What the generator's answer means to the one who waits for an item: a value, suspended (and it stays running), or an exception.
unsafe fn unwrap(g: *mut GenObject, result: BodyResult) -> BodyResult {
    // SAFETY: the answer of a run of the generator, which the caller keeps.
    unsafe {
        let value = result.value as *mut PyObject;
        match result.tag {
            body::YIELDED if refcount::type_of(value) == TYPES.get().wrapped => {
                let item = refcount::new_ref((*value.cast::<AsyncGenWrapped>()).agw_val);
                (*g).gi_running_async = 0;
                refcount::decref(value);
                return BodyResult::new(answer::VALUE, item as u64);
            }
            body::YIELDED => return BodyResult::new(answer::OTHER, result.value),
            body::RETURNED => {
                refcount::decref(value);
                ffi::PyErr_SetNone(ffi::PyExc_StopAsyncIteration);
                (*g).gi_closed = 1;
            }
            _ => {
                let over = ffi::PyErr_ExceptionMatches(ffi::PyExc_StopAsyncIteration) != 0
                    || ffi::PyErr_ExceptionMatches(ffi::PyExc_GeneratorExit) != 0;
                if over {
                    (*g).gi_closed = 1;
                }
            }
        }
        (*g).gi_running_async = 0;
        RAISED
    }
}

/// SEND to the object of an `asend()` or `__anext__()`; `None`: CPython's own way, nothing has happened.
///
/// # Safety
/// [`is_asend`]; `a` and `value` are kept by the caller; the GIL is held. Runs Python code.
pub unsafe fn send(ts: *mut ThreadState, a: *mut AsyncGenAsend, value: *mut PyObject) -> Option<BodyResult> {
    // SAFETY: the caller's contract. The object keeps the generator and the value that it sends first.
    unsafe {
        let g = (*a).ags_gen;
        let mut sent = value;
        match (*a).ags_state {
            asend_state::INIT => {
                if (*g).gi_running_async != 0 {
                    return None;
                }
                if super::is_none(value) && !(*a).ags_sendval.is_null() {
                    sent = (*a).ags_sendval;
                }
            }
            asend_state::ITER => {}
            _ => return None,
        }
        let (record, at) = slots::stands(ts, g, sent)?;
        (*a).ags_state = asend_state::ITER;
        (*g).gi_running_async = 1;
        let answer = unwrap(g, resume(ts, g, record, at, sent));
        if answer.tag != answer::OTHER {
            (*a).ags_state = asend_state::CLOSED;
        }
        Some(answer)
    }
}

/// GET_ANEXT and the SEND behind it, in a frame that stands at the first; `None`: the ordinary way, nothing has happened. As `await_call` answers; what was yielded goes
/// to `yielded_to`, or what lies below a value.
///
/// # Safety
/// `iterator` is kept by the caller; a scratch word of the frame; the site is of its code; the GIL is held. Runs Python code.
pub unsafe fn next(
    ts: *mut ThreadState,
    fr: *mut Frame,
    site: *mut AwaitSite,
    iterator: *mut PyObject,
    yielded_to: *mut *mut PyObject,
) -> Option<BodyResult> {
    // SAFETY: the caller's contract.
    unsafe {
        if refcount::type_of(iterator) != &raw mut ffi::PyAsyncGen_Type || !super::enabled() {
            return None;
        }
        let g: *mut GenObject = iterator.cast();
        // The first time `sys.set_asyncgen_hooks` are to be called, which the slot does.
        if (*g).gi_hooks_inited == 0 || (*g).gi_running_async != 0 || (TYPES.get().asend.is_null() && !learn(ts, g)) {
            return None;
        }
        let (record, at) = slots::stands(ts, g, ffi::Py_None())?;
        (*fr).instr_ptr = (*site).send;
        (*g).gi_running_async = 1;
        let answer = unwrap(g, resume(ts, g, record, at, ffi::Py_None()));
        if answer.tag == answer::VALUE {
            (*site).finished += 1;
            let answer = told(ts, fr, answer);
            // The object that CPython would have sent to is none that an END_SEND tells tools of.
            *yielded_to = ffi::Py_None();
            return Some(answer);
        }
        if answer.tag != answer::OTHER {
            (*site).raised += 1;
            return Some(answer);
        }
        // It waits for something: now there has to be an object that others can send to.
        let yielded = answer.value as *mut PyObject;
        let mut a = api::_PyEval_GetANext(iterator);
        if a.is_null() {
            // No memory. The interpreter makes it before the step, which nobody could take back now.
            a = numbers::from_c_library(|| api::_PyEval_GetANext(iterator));
        }
        if a.is_null() {
            (*g).gi_running_async = 0;
            refcount::decref(yielded);
            return Some(RAISED);
        }
        (*a.cast::<AsyncGenAsend>()).ags_state = asend_state::ITER;
        (*site).suspended += 1;
        *yielded_to = yielded;
        Some(BodyResult::new(answer::OTHER, a as u64))
    }
}
