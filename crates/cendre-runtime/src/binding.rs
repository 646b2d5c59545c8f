//! Calls of compiled functions with any arguments: defaults, keywords, `*args`, `**kwargs`.
//!
//! What CPython's `initialize_locals` does for the interpreter, for a frame whose body is run at once.
//! Invariant: everything that can go wrong is looked at before anything is done; then the answer is `None`, nothing has happened, and the
//! call is made the ordinary way, which words the TypeError. Read docs/internals/runtime.md, "Frames".

use crate::body::{self, Body};
use crate::frames;
use crate::record::{self, CodeRecord};
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::GenObject;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::tupleobject::TupleObject;
use cendre_cpython::unicodeobject::AsciiObject;
use core::ptr;

/// Keyword arguments of a call that is bound here, at most.
pub const MOST_KEYWORDS: usize = 16;
/// Positional arguments, at most: bits of the mask.
const MOST_ARGS: usize = 64;
/// `PyASCIIObject.state.interned`.
const INTERNED: u32 = 3;
/// Where a keyword argument goes that no parameter has the name of.
const SURPLUS: u16 = u16::MAX;

/// Arguments of a call; all borrowed but for those of the masks.
#[derive(Clone, Copy)]
pub struct Args {
    pub positional: *const *mut PyObject,
    pub n: usize,
    /// Positional arguments whose reference passes to the callee.
    pub owned: u64,
    /// Names of the keyword arguments: exact strs.
    pub names: *const *mut PyObject,
    pub values: *const *mut PyObject,
    pub keywords: usize,
    /// Keyword arguments whose reference passes to the callee.
    pub values_owned: u64,
}

/// A frame with its arguments, pushed but not linked yet.
pub struct Bound {
    fr: *mut Frame,
    record: *mut CodeRecord,
    /// None: the frame could not be filled, an exception is set.
    body: Option<Body>,
}

/// May the function's compiled body be run now, for a call of some kind? `record` is that of its code, or null.
#[inline]
unsafe fn runnable(ts: *mut ThreadState, f: *mut FunctionObject, record: *mut CodeRecord) -> bool {
    const NOT_CALLED: i32 = co_flags::GENERATOR | co_flags::COROUTINE | co_flags::ASYNC_GENERATOR;
    const FUNCTION: i32 = co_flags::OPTIMIZED | co_flags::NEWLOCALS;
    // SAFETY: the caller passes a live function.
    unsafe {
        let code: *mut CodeObject = (*f).func_code.cast();
        !record.is_null()
            && !(*record).body.is_null()
            && (*record).version == (*ts).eval_breaker
            && (*ts).py_recursion_remaining > 1
            && (*code).co_flags & (NOT_CALLED | FUNCTION) == FUNCTION
            && frames::is_ordinary(f)
            && !frames::low_stack(ts)
            && ThreadState::has_stack_space(ts, (*code).co_framesize as usize)
    }
}

/// Whether so many positional arguments are all that the function takes.
#[inline(always)]
unsafe fn fills_all(code: *mut CodeObject, n: usize) -> bool {
    const MORE: i32 = co_flags::VARARGS | co_flags::VARKEYWORDS;
    // SAFETY: a live code object.
    unsafe { (*code).co_argcount as usize == n && (*code).co_kwonlyargcount == 0 && (*code).co_flags & MORE == 0 }
}

/// Where the arguments of a call go.
pub struct Plan {
    /// Positional arguments that fill parameters.
    filled: usize,
    /// The slot of each keyword argument, or [`SURPLUS`].
    places: [u16; MOST_KEYWORDS],
}

/// How these arguments fit a function; `None`: not, or not so simply. Looks only.
///
/// # Safety
/// `f` is a live function with the code object `code`; the arguments are alive; the GIL is held.
#[inline]
#[expect(clippy::indexing_slicing, reason = "no more keywords than places: looked at first")]
pub unsafe fn plan(f: *mut FunctionObject, code: *mut CodeObject, args: &Args) -> Option<Plan> {
    // SAFETY: the caller's contract.
    unsafe {
        if args.keywords > MOST_KEYWORDS || args.n > MOST_ARGS {
            return None;
        }
        let (positional, kwonly) = ((*code).co_argcount as usize, (*code).co_kwonlyargcount as usize);
        let parameters = positional + kwonly;
        if args.n > positional && (*code).co_flags & co_flags::VARARGS == 0 {
            return None;
        }
        let filled = args.n.min(positional);
        let mut places = [0u16; MOST_KEYWORDS];
        if args.keywords > 0 && !place_keywords(code, args, filled, &mut places) {
            return None;
        }
        let defaults: *mut TupleObject = (*f).func_defaults.cast();
        let given_by = |slot: usize| slot < filled || places[..args.keywords].contains(&(slot as u16));
        // More defaults than arguments can be: `__defaults__` is not checked when it is set.
        let count = if defaults.is_null() { 0 } else { (*defaults).ob_base.ob_size as usize };
        for slot in filled..positional {
            if slot + count < positional && !given_by(slot) {
                return None;
            }
        }
        for slot in positional..parameters {
            if !given_by(slot) && keyword_default(f, code, slot).is_null() {
                return None;
            }
        }
        Some(Plan { filled, places })
    }
}

/// Fills the slots of a frame, all of them unbound, as planned. False: there is no memory, an exception is set; references of arguments in the
/// masks that have no slot are gone in any case.
///
/// # Safety
/// As for [`plan`], whose answer for these arguments `plan` is, with nothing changed since; `locals` are the slots of a frame of `code`.
#[expect(clippy::indexing_slicing, reason = "`plan` has answered: no more keywords than places")]
pub unsafe fn fill(f: *mut FunctionObject, code: *mut CodeObject, locals: *mut StackRef, args: &Args, plan: &Plan) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let flags = (*code).co_flags;
        let positional = (*code).co_argcount as usize;
        let parameters = positional + (*code).co_kwonlyargcount as usize;
        let defaults: *mut TupleObject = (*f).func_defaults.cast();
        let count = if defaults.is_null() { 0 } else { (*defaults).ob_base.ob_size as usize };
        let place = |slot: usize, value: *mut PyObject, owned: bool| {
            *locals.add(slot) = if owned { StackRef::from_steal(value) } else { StackRef::from_borrow(value) };
        };
        for i in 0..plan.filled {
            place(i, *args.positional.add(i), args.owned >> i & 1 != 0);
        }
        for (k, to) in plan.places[..args.keywords].iter().enumerate() {
            if *to != SURPLUS {
                place(*to as usize, *args.values.add(k), args.values_owned >> k & 1 != 0);
            }
        }
        for slot in plan.filled..parameters {
            if (*locals.add(slot)).is_null() {
                let value = if slot < positional {
                    *TupleObject::items(defaults).add(slot + count - positional)
                } else {
                    keyword_default(f, code, slot)
                };
                *locals.add(slot) = StackRef::from_new(value);
            }
        }
        let mut complete = true;
        if flags & co_flags::VARARGS != 0 {
            complete &= surplus_positional(locals.add(parameters), args, positional);
        }
        if flags & co_flags::VARKEYWORDS != 0 {
            let slot = locals.add(parameters + usize::from(flags & co_flags::VARARGS != 0));
            complete &= surplus_keywords(slot, args, &plan.places);
        }
        complete
    }
}

/// Makes the frame of a call; `None`: make the call the ordinary way, nothing has happened.
///
/// # Safety
/// Live objects that the caller keeps, but for those of the masks, until the frame is popped; the GIL is held.
pub unsafe fn bind(ts: *mut ThreadState, f: *mut FunctionObject, args: &Args) -> Option<Bound> {
    // SAFETY: the caller's contract; a record lives as long as its code, which the function holds.
    unsafe { bind_known(ts, f, record::find((*f).func_code.cast()), args) }
}

/// The same, with the record of the function's code, or null.
///
/// # Safety
/// As for [`bind`].
pub unsafe fn bind_known(ts: *mut ThreadState, f: *mut FunctionObject, record: *mut CodeRecord, args: &Args) -> Option<Bound> {
    // SAFETY: the caller's contract; a record lives as long as its code, which the function holds.
    unsafe {
        if !runnable(ts, f, record) {
            return None;
        }
        let code: *mut CodeObject = (*f).func_code.cast();
        let body = (*record).artifact.as_ref()?.body();
        if args.n <= MOST_ARGS && args.keywords == 0 && fills_all(code, args.n) {
            let fr = push(ts, f, code);
            for i in 0..args.n {
                let value = *args.positional.add(i);
                let slot = if args.owned >> i & 1 != 0 { StackRef::from_steal(value) } else { StackRef::from_borrow(value) };
                *Frame::locals(fr).add(i) = slot;
            }
            return Some(Bound { fr, record, body: Some(body) });
        }
        let plan = plan(f, code, args)?;

        // Nothing can be refused any more. What follows may collect garbage, hence run code that pushes frames above this one.
        let fr = push(ts, f, code);
        let complete = fill(f, code, Frame::locals(fr), args, &plan);
        // No memory: the body is not run, the frame is popped as if it had raised.
        Some(Bound { fr, record, body: complete.then_some(body) })
    }
}

/// Runs a bound frame to its end: the result of the call, or null with an exception set.
///
/// # Safety
/// `bound` was made last by [`bind`] on this thread, with nothing pushed since; the GIL is held.
pub unsafe fn run(ts: *mut ThreadState, bound: Bound) -> *mut PyObject {
    // SAFETY: the caller's contract; no body answers PREPARED without having been told that it is awaited.
    unsafe { run_at(ts, bound, 0).unwrap_or_else(|shell| shell.cast()) }
}

/// The same for a caller who awaits the result: `Err` is a coroutine that the function was about to return, not begun and in a shell of ours.
///
/// # Safety
/// As for [`run`].
pub unsafe fn run_awaited(ts: *mut ThreadState, bound: Bound) -> Result<*mut PyObject, *mut GenObject> {
    // SAFETY: the caller's contract.
    unsafe { run_at(ts, bound, body::AWAITED) }
}

#[inline(always)]
unsafe fn run_at(ts: *mut ThreadState, bound: Bound, at: u64) -> Result<*mut PyObject, *mut GenObject> {
    // SAFETY: the frame is complete.
    unsafe {
        let fr = bound.fr;
        (*fr).previous = (*ts).current_frame;
        let Some(body) = bound.body else {
            frames::pop(ts, fr);
            return Ok(ptr::null_mut());
        };
        if (*bound.record).version != (*ts).eval_breaker {
            // What ran since it was bound switched a tool on, or an event came: the interpreter sees to that at the start of the code.
            return Ok(frames::leave(ts, fr));
        }
        (*ts).current_frame = fr;
        (*ts).py_recursion_remaining -= 1;
        let result = body(ts, fr, at);
        if result.tag == body::PREPARED {
            (*ts).py_recursion_remaining += 1;
            frames::pop(ts, fr);
            return Err(result.value as *mut GenObject);
        }
        Ok(frames::finish(ts, fr, bound.record, result))
    }
}

/// [`bind`] and [`run`].
///
/// # Safety
/// As for [`bind`].
#[inline]
pub unsafe fn call(ts: *mut ThreadState, f: *mut FunctionObject, args: &Args) -> Option<*mut PyObject> {
    // SAFETY: the caller's contract.
    unsafe { bind(ts, f, args).map(|bound| run(ts, bound)) }
}

/// Parameter of each keyword; false: not so simple.
#[inline]
#[expect(clippy::indexing_slicing, reason = "`plan` has looked: no more keywords than places")]
unsafe fn place_keywords(code: *mut CodeObject, args: &Args, filled: usize, places: &mut [u16; MOST_KEYWORDS]) -> bool {
    // SAFETY: the names of the slots are a tuple of interned strings, at least as long as there are parameters.
    unsafe {
        let names = TupleObject::items((*code).co_localsplusnames.cast());
        let first = (*code).co_posonlyargcount as usize;
        let end = ((*code).co_argcount + (*code).co_kwonlyargcount) as usize;
        for k in 0..args.keywords {
            let name = *args.names.add(k);
            let found = (first..end).find(|slot| *names.add(*slot) == name);
            places[k] = match found {
                // Given twice is an error.
                Some(slot) if slot < filled || places[..k].contains(&(slot as u16)) => return false,
                Some(slot) => slot as u16,
                None => {
                    // Of two interned strings that are not the same object none is equal to the other.
                    let interned =
                        refcount::type_of(name) == &raw mut ffi::PyUnicode_Type && (*name.cast::<AsciiObject>()).state & INTERNED != 0;
                    if (*code).co_flags & co_flags::VARKEYWORDS == 0 || !interned {
                        return false;
                    }
                    SURPLUS
                }
            };
        }
        true
    }
}

/// The default of a keyword-only parameter, borrowed; null for none.
unsafe fn keyword_default(f: *mut FunctionObject, code: *mut CodeObject, slot: usize) -> *mut PyObject {
    // SAFETY: `func_kwdefaults` is null or a dict; its keys and the name are strs of which looking up runs no code.
    unsafe { default_named(f, *TupleObject::items((*code).co_localsplusnames.cast()).add(slot)) }
}

unsafe fn default_named(f: *mut FunctionObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        let dict = (*f).func_kwdefaults;
        if dict.is_null() {
            return dict;
        }
        let value = ffi::PyDict_GetItemWithError(dict, name);
        if value.is_null() {
            ffi::PyErr_Clear();
        }
        value
    }
}

/// The default of the keyword-only parameter of a name, borrowed; null for none.
///
/// # Safety
/// A live Python function, a str; the GIL is held.
pub unsafe extern "C" fn keyword_default_of(f: *mut FunctionObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { default_named(f, name) }
}

/// A frame on the data stack with nothing in its slots, not linked.
#[inline]
unsafe fn push(ts: *mut ThreadState, f: *mut FunctionObject, code: *mut CodeObject) -> *mut Frame {
    // SAFETY: `runnable` has found room for it.
    unsafe {
        let fr = frames::blank(ts, f, code);
        let locals = Frame::locals(fr);
        let slots = (*code).co_nlocalsplus as usize;
        for i in 0..slots {
            *locals.add(i) = StackRef::NULL;
        }
        (*fr).stackpointer = locals.add(slots);
        fr
    }
}

/// `*args`. False: MemoryError is set.
unsafe fn surplus_positional(slot: *mut StackRef, args: &Args, positional: usize) -> bool {
    // SAFETY: as in `bind`; references of arguments that go into the tuple are given up behind it.
    unsafe {
        let first = args.n.min(positional);
        let tuple = api::_PyTuple_FromArray(args.positional.add(first), (args.n - first) as ffi::Py_ssize_t);
        if !tuple.is_null() {
            *slot = StackRef::from_steal(tuple);
        }
        for i in first..args.n {
            if args.owned >> i & 1 != 0 {
                refcount::decref(*args.positional.add(i));
            }
        }
        !tuple.is_null()
    }
}

/// `**kwargs`. False: an exception is set.
#[expect(clippy::indexing_slicing, reason = "`plan` has answered: no more keywords than places")]
unsafe fn surplus_keywords(slot: *mut StackRef, args: &Args, places: &[u16; MOST_KEYWORDS]) -> bool {
    // SAFETY: as in `bind`. The keys are interned strs.
    unsafe {
        let dict = ffi::PyDict_New();
        let mut good = !dict.is_null();
        for k in 0..args.keywords {
            if places[k] != SURPLUS {
                continue;
            }
            let value = *args.values.add(k);
            good = good && ffi::PyDict_SetItem(dict, *args.names.add(k), value) == 0;
            if args.values_owned >> k & 1 != 0 {
                refcount::decref(value);
            }
        }
        if !dict.is_null() {
            *slot = StackRef::from_steal(dict);
        }
        good
    }
}
