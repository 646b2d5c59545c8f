//! The functions of the native module that `cendre.aio` calls. Private: their arguments are what `cendre.aio` passes.
//!
//! Invariant: nothing is hooked before `tasks_bind` has succeeded, and the hooks hand on to asyncio's own functions for every
//! loop that was not installed.

use crate::attrs::{Attr, Place};
use crate::bind::{bind, raise, state_words};
use crate::clock::Reading;
use crate::queue;
use crate::shelf;
use crate::state::{self, Calls, GroupCall, LoopState, Policy};
use crate::{front, look, makers, parts, sites};
use cendre_cpython::FunctionObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, new_ref, type_of, xdecref};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::typeobject::tp_flags;
use cendre_runtime::driver;
use cendre_runtime::record::State;
use core::ffi::{CStr, c_int, c_void};
use core::ptr;
use std::collections::VecDeque;
use std::time::Duration;

/// `tasks_state(module)`: the words of a module's state, for the check at `bind`.
unsafe extern "C" fn module_state(_: *mut PyObject, module: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { if ffi::PyModule_Check(module) == 0 { ffi::PyList_New(0) } else { list_of(state_words(module)) } }
}

unsafe fn list_of(words: &[u64]) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let list = ffi::PyList_New(0);
        if list.is_null() {
            return list;
        }
        for word in words {
            let word = ffi::PyLong_FromUnsignedLongLong(*word);
            if word.is_null() || ffi::PyList_Append(list, word) != 0 {
                xdecref(word);
                decref(list);
                return ptr::null_mut();
            }
            decref(word);
        }
        list
    }
}

struct Method(ffi::PyMethodDef);
// SAFETY: constant data.
unsafe impl Sync for Method {}

static CALL_SOON: Method = Method(ffi::PyMethodDef {
    ml_name: c"call_soon".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: queue::call_soon_method },
    ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    ml_doc: c"call_soon($self, callback, /, *args, context=None)\n--\n\nArrange for a callback to be called as soon as possible.".as_ptr(),
});

/// `tasks_call_soon(cls)`: the native `call_soon` as a method of that class.
unsafe extern "C" fn call_soon(_: *mut PyObject, cls: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the definition lives for ever.
    unsafe { ffi::PyDescr_NewMethod(cls.cast(), (&raw const CALL_SOON.0).cast_mut()) }
}

/// `tasks_ready(cls)`: what `_ready` of instances of that class is looked at by.
unsafe extern "C" fn ready(_: *mut PyObject, cls: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held, with a class.
    unsafe { look::descriptor(cls.cast()) }
}

/// `tasks_record(bool)`: whether sites are recorded from now on.
unsafe extern "C" fn record(_: *mut PyObject, on: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        sites::record(on == ffi::Py_True());
        ffi::Py_None()
    }
}

/// `tasks_sites()`.
unsafe extern "C" fn sites_seen(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { sites::list() }
}

/// `tasks_peek(object)`: the words of a future or task as they lie in memory, for the check at `bind`.
unsafe extern "C" fn peek(_: *mut PyObject, o: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; as many words as its type says are read.
    unsafe {
        let size = (*type_of(o)).tp_basicsize as usize;
        list_of(core::slice::from_raw_parts(o.cast(), size / 8))
    }
}

/// `tasks_shelf()`: how many tasks' memory is kept.
unsafe extern "C" fn on_shelf(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { ffi::PyLong_FromSize_t(shelf::len()) }
}

/// `tasks_contexts()`: how many contexts' memory is kept.
unsafe extern "C" fn contexts_on_shelf(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { ffi::PyLong_FromSize_t(shelf::contexts()) }
}

/// `tasks_unhooked(callable)`: what it returns, called while `sys.get_asyncgen_hooks` are put aside. Setting them would raise audit events.
unsafe extern "C" fn unhooked(_: *mut PyObject, callable: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held. The thread's references are kept here meanwhile; whatever is set by then is released.
    unsafe {
        let ts = ThreadState::current();
        let first = core::mem::replace(&mut (*ts).async_gen_firstiter, ptr::null_mut());
        let last = core::mem::replace(&mut (*ts).async_gen_finalizer, ptr::null_mut());
        let result = ffi::PyObject_CallNoArgs(callable);
        let set = [core::mem::replace(&mut (*ts).async_gen_firstiter, first), core::mem::replace(&mut (*ts).async_gen_finalizer, last)];
        for hook in set {
            xdecref(hook);
        }
        result
    }
}

const CAPSULE: &CStr = c"cendre.tasks";

unsafe extern "C" fn dies(capsule: *mut PyObject) {
    // SAFETY: the capsule of `install`, whose loop is dying.
    unsafe {
        let p: *mut c_void = ffi::PyCapsule_GetPointer(capsule, CAPSULE.as_ptr());
        if !p.is_null() {
            state::forget(p.cast());
        }
    }
}

/// The capsule by which a loop owns its state.
unsafe fn owner(ls: *mut LoopState) -> *mut PyObject {
    // SAFETY: the GIL is held; the state lives until the capsule dies.
    unsafe { ffi::PyCapsule_New(ls.cast(), CAPSULE.as_ptr(), Some(dies)) }
}

unsafe fn set_plain(ls: *mut LoopState, plain: c_int) {
    // SAFETY: a live state.
    unsafe {
        (*ls).plain_call_soon = plain & 1 != 0;
        (*ls).plain_create_task = plain & 2 != 0;
        (*ls).plain_ready = plain & 4 != 0;
        (*ls).plain_time = plain & 8 != 0;
        (*ls).plain_create_future = plain & 32 != 0;
    }
}

/// `tasks_parts(loop, plain)`: asyncio's parts are native for this loop, which has no policy. The caller sees to it that
/// `tasks_forget` is called when the loop dies. Whether they can be.
unsafe extern "C" fn set_parts(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let (mut looop, mut plain): (*mut PyObject, c_int) = (ptr::null_mut(), 0);
        if ffi::PyArg_ParseTuple(args, c"Oi".as_ptr(), &mut looop, &mut plain) == 0 {
            return ptr::null_mut();
        }
        let version = parts::version_of(type_of(looop));
        let mut ls = state::find(looop);
        if state::bound().is_null() || version == 0 || !ls.is_null() && !(*ls).parts {
            return ffi::Py_False();
        }
        if ls.is_null() {
            ls = Box::into_raw(Box::new(new_state(looop)));
            state::add(ls);
        }
        set_plain(ls, plain);
        (*ls).class_version = version;
        ffi::Py_True()
    }
}

/// `tasks_forget(id)`: the loop with this address dies, which was given to `tasks_parts`.
unsafe extern "C" fn forget(_: *mut PyObject, id: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the address is only compared.
    unsafe {
        let ls = state::find(ffi::PyLong_AsVoidPtr(id).cast());
        if !ls.is_null() && (*ls).parts && (*ls).nest.is_null() {
            state::forget(ls);
        }
        ffi::Py_None()
    }
}

/// `tasks_take_parts(bool)`: whether loops that run are given to `cendre.aio._parts.take`.
unsafe extern "C" fn take_parts(_: *mut PyObject, on: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { parts::switch(on == ffi::Py_True()) };
    // SAFETY: immortal.
    unsafe { ffi::Py_None() }
}

/// `tasks_stay_cold(function)`: the sampler does not offer its code to the compiler, and what it has had compiled is given up.
unsafe extern "C" fn stay_cold(_: *mut PyObject, function: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; a function holds its code.
    unsafe {
        if type_of(function) == &raw mut ffi::PyFunction_Type {
            let record = cendre_runtime::record::find_or_make((*function.cast::<FunctionObject>()).func_code.cast());
            if !record.is_null() && !(*record).stays_cold {
                (*record).stays_cold = true;
                let sampled = (*record).state == State::Compiled || (*record).state == State::Cold && (*record).job != 0;
                if sampled && !(*record).on_demand {
                    driver::give_up(record, State::Cold, String::new());
                }
            }
        }
        ffi::Py_None()
    }
}

/// A loop of which nothing is known but where it is; without a policy.
fn new_state(looop: *mut PyObject) -> LoopState {
    LoopState {
        looop,
        parts: true,
        class_version: 0,
        slots: parts::Slots::NONE,
        policy: Policy::Off,
        overrides: Vec::new(),
        plain_call_soon: false,
        plain_create_task: false,
        plain_create_future: false,
        plain_ready: false,
        plain_time: false,
        plain_attributes: false,
        reading: Reading::default(),
        places: [Place::NONE; Attr::Count as usize],
        group: GroupCall { group: ptr::null_mut(), callback: ptr::null_mut(), context: ptr::null_mut() },
        family: Vec::new(),
        calls: Vec::new(),
        ended: Calls { task: ptr::null_mut(), from: 0, to: 0 },
        outer_since: None,
        front: VecDeque::new(),
        fronted: false,
        head: 0,
        gone: 0,
        iteration_end: 0,
        budget: Duration::ZERO,
        ready: ptr::null_mut(),
        thread: 0,
        running: false,
        todo: 0,
        last_poll: None,
        kept: [ptr::null_mut(); 3],
        nest: ptr::null_mut(),
        depth: 0,
        max_depth: 0,
        base_frame: ptr::null_mut(),
        base_exc_info: ptr::null_mut(),
        base_recursion: 0,
        skipped: 0,
    }
}

/// `tasks_install(loop, policy, plain, budget_us, max_depth, skipped)`: a capsule that the loop must keep.
unsafe extern "C" fn install(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if state::bound().is_null() {
            raise(ffi::PyExc_RuntimeError, c"tasks_bind was not called");
            return ptr::null_mut();
        }
        let mut looop = ptr::null_mut();
        let (mut policy, mut plain, mut budget, mut depth, mut skipped): (c_int, c_int, c_int, c_int, c_int) = (0, 0, 0, 0, 0);
        if ffi::PyArg_ParseTuple(args, c"Oiiiii".as_ptr(), &mut looop, &mut policy, &mut plain, &mut budget, &mut depth, &mut skipped) == 0
        {
            return ptr::null_mut();
        }
        let policy = Policy::numbered(policy);
        let budget = Duration::from_micros(budget.max(0) as u64);
        let settle = |ls: *mut LoopState| {
            (*ls).parts = false;
            (*ls).policy = policy;
            set_plain(ls, plain);
            (*ls).plain_attributes = has_attributes(looop, plain);
            if !(*ls).plain_ready || !(*ls).plain_call_soon {
                front::flush(&*state::bound(), ls);
            }
            (*ls).budget = budget;
            (*ls).max_depth = depth.max(0) as usize;
            (*ls).skipped = skipped as u32;
            if policy != Policy::Off {
                makers::hook_exits();
            }
        };
        let found = state::find(looop);
        if !found.is_null() {
            let had_policy = !(*found).parts;
            settle(found);
            makers::keep_makers();
            return if had_policy { ffi::Py_None() } else { owner(found) };
        }
        let ls = Box::into_raw(Box::new(new_state(looop)));
        let capsule = owner(ls);
        if capsule.is_null() {
            drop(Box::from_raw(ls));
            return capsule;
        }
        settle(ls);
        makers::keep_makers();
        state::add(ls);
        capsule
    }
}

/// Whether the attributes of `attrs` lie in the loop's own dict.
unsafe fn has_attributes(looop: *mut PyObject, plain: c_int) -> bool {
    // SAFETY: a live object.
    unsafe { plain & 16 != 0 && (*type_of(looop)).tp_flags & tp_flags::MANAGED_DICT != 0 }
}

/// `tasks_waiting(loop)`: whether something is ready.
unsafe extern "C" fn waiting(_: *mut PyObject, looop: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let ls = state::find(looop);
        if !ls.is_null() && (*ls).fronted {
            return ffi::PyBool_FromLong((front::size(ls) > 0).into());
        }
        let ready = ffi::PyObject_GetAttr(looop, (*state::bound()).names.ready);
        let is = if ready.is_null() { -1 } else { ffi::PyObject_IsTrue(ready) };
        xdecref(ready);
        if is < 0 { ptr::null_mut() } else { ffi::PyBool_FromLong(is.into()) }
    }
}

/// `tasks_put(loop, handle)`: the handle goes to the queue's end.
unsafe extern "C" fn put(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let (mut looop, mut handle): (*mut PyObject, *mut PyObject) = (ptr::null_mut(), ptr::null_mut());
        if ffi::PyArg_ParseTuple(args, c"OO".as_ptr(), &mut looop, &mut handle) == 0 {
            return ptr::null_mut();
        }
        let b = &*state::bound();
        let ls = state::find(looop);
        if !ls.is_null() && (*ls).fronted {
            return if front::put(b, ls, new_ref(handle)) == 0 { ffi::Py_None() } else { ptr::null_mut() };
        }
        let ready = ffi::PyObject_GetAttr(looop, b.names.ready);
        if ready.is_null() {
            return ready;
        }
        let done = ffi::PyObject_CallMethodOneArg(ready, b.names.append, handle);
        decref(ready);
        done
    }
}

/// `tasks_override(loop, task, policy)`: the policy for what this task waits for (-1: the loop's); returns what it was (-1: the loop's).
unsafe extern "C" fn set_override(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the task is only compared.
    unsafe {
        let (mut looop, mut task, mut policy): (*mut PyObject, *mut PyObject, c_int) = (ptr::null_mut(), ptr::null_mut(), 0);
        if ffi::PyArg_ParseTuple(args, c"OOi".as_ptr(), &mut looop, &mut task, &mut policy) == 0 {
            return ptr::null_mut();
        }
        let ls = state::find(looop);
        if ls.is_null() {
            raise(ffi::PyExc_RuntimeError, c"not a loop of cendre.aio");
            return ptr::null_mut();
        }
        let overrides = &mut (*ls).overrides;
        let before = overrides.iter().find(|(at, _)| *at == task as usize).map_or(-1, |(_, policy)| *policy as i64);
        overrides.retain(|(at, _)| *at != task as usize);
        if policy >= 0 {
            overrides.push((task as usize, Policy::numbered(policy)));
            if Policy::numbered(policy) != Policy::Off {
                makers::hook_exits();
            }
        }
        ffi::PyLong_FromLongLong(before)
    }
}

/// `tasks_run_ready(loop)`: runs what is ready now.
unsafe extern "C" fn run_ready(_: *mut PyObject, looop: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held, in the thread that runs the loop.
    unsafe {
        let ls = state::find(looop);
        if ls.is_null() || !(*ls).ready.is_null() {
            raise(ffi::PyExc_RuntimeError, c"not a loop of cendre.aio, or its queue is being run already");
            return ptr::null_mut();
        }
        if queue::run_ready(&*state::bound(), ls) != 0 { ptr::null_mut() } else { ffi::Py_None() }
    }
}

/// `tasks_last_handle(loop)`: what an exception left the loop from, once: the handle or what it would have held; or None.
unsafe extern "C" fn last_handle(_: *mut PyObject, looop: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the state's reference is given to the caller.
    unsafe {
        let ls = state::find(looop);
        if ls.is_null() || (*ls).kept[0].is_null() {
            return ffi::Py_None();
        }
        let kept = core::mem::take(&mut (*ls).kept);
        if kept[1].is_null() {
            return kept[0];
        }
        let tuple = ffi::PyTuple_New(3);
        if tuple.is_null() {
            return tuple;
        }
        for (i, o) in kept.into_iter().enumerate() {
            ffi::PyTuple_SET_ITEM(tuple, i as isize, o);
        }
        tuple
    }
}

unsafe extern "C" fn stats(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let dict = ffi::PyDict_New();
        if dict.is_null() {
            return dict;
        }
        let longest = ("longest_early_us", (state::longest_out_of_turn() * 1e6) as u64);
        for (name, n) in state::COUNTERS.iter().copied().zip(state::counts()).chain([longest]) {
            let key = ffi::PyUnicode_FromStringAndSize(name.as_ptr().cast(), name.len() as ffi::Py_ssize_t);
            let value = ffi::PyLong_FromUnsignedLongLong(n);
            let failed = key.is_null() || value.is_null() || ffi::PyDict_SetItem(dict, key, value) != 0;
            xdecref(key);
            xdecref(value);
            if failed {
                decref(dict);
                return ptr::null_mut();
            }
        }
        dict
    }
}

unsafe extern "C" fn reset(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        state::reset_counts();
        ffi::Py_None()
    }
}

struct Methods([ffi::PyMethodDef; 23]);
// SAFETY: constant data.
unsafe impl Sync for Methods {}

const fn def(name: &'static CStr, f: ffi::PyCFunction, flags: c_int, doc: &'static CStr) -> ffi::PyMethodDef {
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: ffi::PyMethodDefPointer { PyCFunction: f }, ml_flags: flags, ml_doc: doc.as_ptr() }
}

static METHODS: Methods = Methods([
    def(c"tasks_parts", set_parts, ffi::METH_VARARGS, c"Asyncio's parts are native for a loop without a policy."),
    def(
        c"tasks_stay_cold",
        stay_cold,
        ffi::METH_O,
        c"The sampler does not offer this function to the compiler, and gives up what it has compiled of it.",
    ),
    def(c"tasks_forget", forget, ffi::METH_O, c"Such a loop dies."),
    def(c"tasks_take_parts", take_parts, ffi::METH_O, c"Whether loops that run are taken."),
    def(c"tasks_bind", bind, ffi::METH_O, c"Says what asyncio is made of (a dict); once."),
    def(c"tasks_peek", peek, ffi::METH_O, c"The words of an object, for the check of the layout."),
    def(c"tasks_shelf", on_shelf, ffi::METH_NOARGS, c"How many tasks' memory is kept."),
    def(c"tasks_contexts", contexts_on_shelf, ffi::METH_NOARGS, c"How many contexts' memory is kept."),
    def(c"tasks_unhooked", unhooked, ffi::METH_O, c"Calls it with the hooks of asynchronous generators put aside."),
    def(c"tasks_state", module_state, ffi::METH_O, c"The words of a module's state, for the check of the layout."),
    def(c"tasks_install", install, ffi::METH_VARARGS, c"Takes a loop over, or changes its settings."),
    def(c"tasks_override", set_override, ffi::METH_VARARGS, c"The policy for what one task waits for."),
    def(c"tasks_run_ready", run_ready, ffi::METH_O, c"Runs what is in a loop's queue now."),
    def(c"tasks_waiting", waiting, ffi::METH_O, c"Whether something is ready in a loop's queue."),
    def(c"tasks_put", put, ffi::METH_VARARGS, c"Puts a handle at the end of a loop's queue."),
    def(c"tasks_last_handle", last_handle, ffi::METH_O, c"The handle that an exception left the loop from, once."),
    def(c"tasks_call_soon", call_soon, ffi::METH_O, c"The native call_soon as a method of a class."),
    def(c"tasks_ready", ready, ffi::METH_O, c"The descriptor of `_ready` for a class."),
    def(c"tasks_record", record, ffi::METH_O, c"Whether sites of fan-outs are recorded."),
    def(c"tasks_sites", sites_seen, ffi::METH_NOARGS, c"The sites of fan-outs that were recorded."),
    def(c"tasks_stats", stats, ffi::METH_NOARGS, c"Counters of tasks, by name."),
    def(c"tasks_reset", reset, ffi::METH_NOARGS, c"Sets those counters to zero."),
    ffi::PyMethodDef::zeroed(),
]);

/// Adds the functions to the native module: 0, or -1 with an exception set.
///
/// # Safety
/// A module that is being made; the GIL is held.
pub unsafe fn add_to_module(module: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { cendre_runtime::sampler::tell_of_loops(parts::seen) };
    // SAFETY: the caller's contract; CPython only reads the table.
    unsafe { ffi::PyModule_AddFunctions(module, (&raw const METHODS.0).cast_mut().cast()) }
}
