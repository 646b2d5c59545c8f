//! Loops without a policy: asyncio's own loop and queue, with the parts below them done natively.
//!
//! A loop that nobody has installed keeps its `_run_once`, its deque of handles and `Handle._run`, so every frame that a program can
//! see is asyncio's. What is done natively are functions that run no code of the program's and are over before anybody can look:
//! `call_soon`, `gather`, `create_task`, `TaskGroup.create_task`, their done callbacks, steps and wake-ups.
//!
//! Invariant: everything that a program may have replaced since the loop was looked at is asked for at each use ([`deque_of`]), and where
//! anything is unusual asyncio's own function runs, before any effect. Read docs/internals/tasks.md, "Without a policy".

use crate::early;
use crate::fanout;
use crate::future;
use crate::group;
use crate::layout::{FutureObj, state as fut_state};
use crate::makers;
use crate::queue;
use crate::state::{self, Bound, Counter, LoopState, NO_SLOT};
use cendre_cpython::dict::{DictKeys, DictValues};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, new_ref, type_of};
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl};
use cendre_cpython::typeobject::{HeapTypeObject, MANAGED_DICT_OFFSET, tp_flags};
use cendre_runtime::{Gil, sampler};
use core::ffi::{c_int, c_uint};
use core::ptr;

unsafe extern "C" {
    fn PyUnstable_Type_AssignVersionTag(class: *mut ffi::PyTypeObject) -> c_int;
}

/// Samples that must meet running loops before asyncio is looked at: that costs 2 ms, and what was seen so far is the best guess at
/// what is to come.
const SAMPLES: u32 = 6;

/// The version of a class by which any change of what it has is noticed, or 0.
///
/// # Safety
/// A ready type; the GIL is held.
pub unsafe fn version_of(class: *mut ffi::PyTypeObject) -> c_uint {
    // SAFETY: the caller's contract.
    unsafe { if PyUnstable_Type_AssignVersionTag(class) != 0 { (*class).tp_version_tag } else { 0 } }
}

/// The dict of an object of a class with a managed one, borrowed; null without an exception.
unsafe fn dict_of(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: the flag was looked at when the loop was taken; an object's class may change, so it is looked at again.
    unsafe {
        if (*type_of(o)).tp_flags & tp_flags::MANAGED_DICT == 0 {
            return ptr::null_mut();
        }
        let dict = *o.byte_offset(MANAGED_DICT_OFFSET).cast::<*mut PyObject>();
        if !dict.is_null() {
            return dict;
        }
        let made = ffi::PyObject_GenericGetDict(o, ptr::null_mut());
        if made.is_null() {
            ffi::PyErr_Clear();
            return made;
        }
        decref(made); // The object holds it.
        made
    }
}

/// Where a loop keeps its attributes, among the inline values of objects of its class.
#[derive(Clone, Copy)]
pub struct Slots {
    keys: *mut DictKeys,
    known: ffi::Py_ssize_t,
    debug: usize,
    ready: usize,
    task_factory: usize,
    call_soon: usize,
    create_task: usize,
}

impl Slots {
    /// Nothing is known.
    pub const NONE: Slots = Slots {
        keys: ptr::null_mut(),
        known: 0,
        debug: NO_SLOT,
        ready: NO_SLOT,
        task_factory: NO_SLOT,
        call_soon: NO_SLOT,
        create_task: NO_SLOT,
    };
}

/// The inline values of a loop, with the places in `Slots` brought up to date; None: its attributes are in a dict of its own.
unsafe fn values_of(b: &Bound, ls: *mut LoopState) -> Option<*mut *mut PyObject> {
    // SAFETY: a live loop. The keys of a class are shared and only grow, so what is looked up anew when there are more holds.
    unsafe {
        let class = type_of((*ls).looop);
        if (*class).tp_flags & tp_flags::INLINE_VALUES == 0 {
            return None;
        }
        let values = DictValues::of_instance((*ls).looop);
        if (*values).valid != 1 {
            return None;
        }
        let keys = (*class.cast::<HeapTypeObject>()).ht_cached_keys;
        let slots = &mut (*ls).slots;
        if slots.keys != keys || slots.known != (*keys).dk_nentries {
            let names = &b.names;
            let entries = core::slice::from_raw_parts(DictKeys::unicode_entries(keys), (*keys).dk_nentries as usize);
            let find = |name| entries.iter().position(|e| e.me_key == name).unwrap_or(NO_SLOT);
            *slots = Slots {
                keys,
                known: (*keys).dk_nentries,
                debug: find(names.debug),
                ready: find(names.ready),
                task_factory: find(names.task_factory),
                call_soon: find(names.call_soon),
                create_task: find(names.create_task),
            };
        }
        Some(DictValues::items(values))
    }
}

/// An attribute that the loop itself has, borrowed, or null.
#[inline(always)]
unsafe fn own(b: &Bound, ls: *mut LoopState, slot: impl Fn(&Slots) -> usize, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live loop; a slot is one of its values.
    unsafe {
        if let Some(values) = values_of(b, ls) {
            let slot = slot(&(*ls).slots);
            return if slot == NO_SLOT { ptr::null_mut() } else { *values.add(slot) };
        }
        let dict = dict_of((*ls).looop);
        if dict.is_null() { dict } else { entry(dict, name) }
    }
}

unsafe fn entry(dict: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: a dict and a string; the answer is borrowed.
    unsafe {
        let value = ffi::PyDict_GetItemWithError(dict, name);
        if value.is_null() && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
        }
        value
    }
}

/// The queue of a loop without a policy, borrowed, if this thread runs the loop, nothing about `call_soon` is unusual and no tool would hear of
/// its frames; else null.
///
/// # Safety
/// The running thread's state; a live loop's state.
pub unsafe fn deque_of(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState) -> *mut PyObject {
    // SAFETY: the caller's contract; nothing here runs Python code.
    unsafe {
        let (looop, none) = ((*ls).looop, ptr::null_mut());
        if (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop != looop
            || !(*ls).plain_call_soon
            || (*ls).class_version == 0
            || (*type_of(looop)).tp_version_tag != (*ls).class_version
            || (*b.handle).tp_version_tag != b.handle_version
            || *b.handle_cell != b.handle as usize
            || early::watched(ts)
            || own(b, ls, |s| s.debug, b.names.debug) != ffi::Py_False()
            || !own(b, ls, |s| s.call_soon, b.names.call_soon).is_null()
        {
            return none;
        }
        let ready = own(b, ls, |s| s.ready, b.names.ready);
        if ready.is_null() || type_of(ready) != b.fanout.deque { none } else { ready }
    }
}

/// Whether `create_task` of such a loop is as usual, too.
///
/// # Safety
/// As for [`deque_of`].
pub unsafe fn makes_tasks(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        if deque_of(b, ls, ts).is_null() {
            return false;
        }
        own(b, ls, |s| s.task_factory, b.names.task_factory) == ffi::Py_None()
            && own(b, ls, |s| s.create_task, b.names.create_task).is_null()
    }
}

/// Puts a handle (taken) at the end of such a loop's queue. -1 with an exception set.
///
/// # Safety
/// A live loop's state; an owned handle.
pub unsafe fn append(b: &Bound, ls: *mut LoopState, handle: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract. What was allocated since the queue was looked for may have run finalisers.
    unsafe {
        let ready = own(b, ls, |s| s.ready, b.names.ready);
        let done = if ready.is_null() || type_of(ready) != b.fanout.deque {
            let ready = ffi::PyObject_GetAttr((*ls).looop, b.names.ready);
            if ready.is_null() {
                decref(handle);
                return -1;
            }
            let done = ffi::PyObject_CallMethodOneArg(ready, b.names.append, handle);
            decref(ready);
            done
        } else {
            (b.deque_append)(ready, handle)
        };
        decref(handle);
        if done.is_null() {
            return -1;
        }
        decref(done);
        0
    }
}

/// `BaseEventLoop.call_soon`, as a function.
pub unsafe extern "C" fn call_soon(
    function: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        let n = ffi::PyVectorcall_NARGS(nargsf);
        if n >= 2 && function == b.call_soon && fanout::is_code(function, b.call_soon_code) {
            let ls = state::find(*args);
            if !ls.is_null() && (*ls).parts {
                let handle = queue::called_soon(b, ls, *args, args.add(1), n - 1, names);
                if let Some(handle) = handle {
                    return handle;
                }
            }
        }
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// The loop of a future that is done natively, without a policy; null: asyncio's own function runs.
unsafe fn loop_of(b: &Bound, args: *const *mut PyObject, nargsf: usize, names: *mut PyObject, n: ffi::Py_ssize_t) -> *mut LoopState {
    // SAFETY: as many arguments as are said; the last is looked at only if it is one of asyncio's futures.
    unsafe {
        let no_names = names.is_null() || ffi::PyTuple_GET_SIZE(names) == 0;
        if !no_names || ffi::PyVectorcall_NARGS(nargsf) != n {
            return ptr::null_mut();
        }
        let future = *args.offset(n - 1);
        let ls = if future::is_known(b, future) { state::find((*future.cast::<FutureObj>()).fut_loop) } else { ptr::null_mut() };
        if !ls.is_null() && (*ls).parts { ls } else { ptr::null_mut() }
    }
}

unsafe fn answer(done: c_int) -> *mut PyObject {
    if done == 0 {
        // SAFETY: immortal.
        unsafe { ffi::Py_None() }
    } else {
        ptr::null_mut()
    }
}

/// The closure `_done_callback` of a `gather` that was made here.
pub unsafe extern "C" fn gather_done(
    function: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        let ls = loop_of(b, args, nargsf, names, 1);
        if !ls.is_null()
            && let Some(done) = fanout::done(b, ls, function, *args)
        {
            return answer(done);
        }
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// `TaskGroup._on_task_done`, as a function.
pub unsafe extern "C" fn group_done(
    function: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        let ls = loop_of(b, args, nargsf, names, 2);
        if !ls.is_null() && fanout::is_code(function, b.fanout.group_done) && !deque_of(b, ls, ThreadState::current()).is_null() {
            let f: *mut FutureObj = (*args.add(1)).cast();
            let finished = (*f).state == fut_state::FINISHED && (*f).exception.is_null();
            if finished && let Some(done) = group::child_done(b, ls, *args, f) {
                state::count(Counter::DoneNatively);
                return answer(done);
            }
        }
        (b.fanout.python)(function, args, nargsf, names)
    }
}

struct Looking {
    on: bool,
    samples: u32,
    /// Was asked about and cannot be taken, or was said not to be; only compared.
    refused: *mut PyObject,
}

static LOOKING: Gil<Looking> = Gil::new(Looking { on: true, samples: 0, refused: ptr::null_mut() });

/// Whether loops that run are taken from now on.
///
/// # Safety
/// The GIL is held.
pub unsafe fn switch(on: bool) {
    // SAFETY: the caller's contract.
    unsafe { LOOKING.get().on = on }
}

/// A sample has met a thread that runs a loop: the loop's parts are native from now on, if they can be. -1: an exception is set that
/// is not an error of ours.
///
/// # Safety
/// Called by the sampler with the GIL held, at an instruction boundary, without an exception set.
pub unsafe fn seen(ts: *mut ThreadState) -> c_int {
    // SAFETY: the caller's contract; the loop is held while Python code runs here.
    unsafe {
        let looop = (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop;
        let looking = LOOKING.get();
        if looop.is_null() || !looking.on || looop == looking.refused || early::watched(ts) {
            return 0;
        }
        let ls = state::find(looop);
        // A class that was changed since is looked at again.
        if !ls.is_null() && (!(*ls).parts || (*ls).class_version == (*type_of(looop)).tp_version_tag) {
            suit(ls);
            return 0;
        }
        looking.samples += 1;
        if looking.samples < SAMPLES && state::bound().is_null() && sampler::is_patient() {
            return 0;
        }
        new_ref(looop);
        let module = ffi::PyImport_ImportModule(c"cendre.aio._parts".as_ptr());
        let patient = if sampler::is_patient() { ffi::Py_True() } else { ffi::Py_False() };
        let taken = if module.is_null() {
            module
        } else {
            ffi::PyObject_CallMethodObjArgs(module, (*names()).take, looop, patient, ptr::null_mut::<PyObject>())
        };
        if !module.is_null() {
            decref(module);
        }
        let mut failed = 0;
        if taken != ffi::Py_True() {
            LOOKING.get().refused = looop;
        }
        if taken.is_null() {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) != 0 {
                // Another Python than the one that is known, or no memory: asyncio runs as ever.
                ffi::PyErr_Clear();
            } else {
                failed = -1;
            }
        } else {
            decref(taken);
            let ls = state::find(looop);
            if !ls.is_null() {
                suit(ls);
            }
        }
        decref(looop);
        failed
    }
}

/// A loop with a task factory makes its tasks by Python code, and calls it as cheaply as it always has.
unsafe fn suit(ls: *mut LoopState) {
    // SAFETY: the GIL is held; a live loop's state.
    unsafe {
        if (*ls).parts {
            let b = &*state::bound();
            makers::hook_makers(own(b, ls, |s| s.task_factory, b.names.task_factory) == ffi::Py_None());
        }
    }
}

struct OwnNames {
    take: *mut PyObject,
}

static NAMES: Gil<OwnNames> = Gil::new(OwnNames { take: ptr::null_mut() });

unsafe fn names() -> *const OwnNames {
    // SAFETY: the GIL is held.
    unsafe {
        let names = NAMES.get();
        if names.take.is_null() {
            names.take = ffi::PyUnicode_InternFromString(c"take".as_ptr());
        }
        names
    }
}
