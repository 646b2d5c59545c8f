//! `TaskGroup` natively: making a child, and what a group does when one has ended.
//!
//! Invariant: as in `fanout.rs`. Read docs/internals/tasks.md, "Fan-out".

use crate::fanout::{gives_coroutine, natural, new_task};
use crate::future;
use crate::layout::{ContextObj, FutureObj, state as fut_state};
use crate::parts;
use crate::queue;
use crate::sites::{self, Kind};
use crate::state::{self, Bound, GroupCall, GroupSlots, LoopState, NO_SLOT};
use crate::step::current_task;
use cendre_cpython::dict::DictValues;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::{decref, incref, new_ref, type_of, xdecref};
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl};
use cendre_cpython::typeobject::{MANAGED_DICT_OFFSET, tp_flags};
use cendre_runtime::Gil;
use core::ffi::c_int;
use core::ptr;

/// A group's attributes, where they lie inside it.
pub struct Group<'b> {
    values: *mut DictValues,
    slots: &'b GroupSlots,
    dict: *mut PyObject,
}

impl<'b> Group<'b> {
    /// Of an exact `TaskGroup`, which the caller holds; None: they do not lie there.
    #[inline(always)]
    pub unsafe fn of(b: &'b Bound, group: *mut PyObject) -> Option<Group<'b>> {
        // SAFETY: `bind` has found the places among the inline values of an object of the same type, whose keys are shared and only grow.
        unsafe {
            let values = DictValues::of_instance(group);
            let dict = *group.byte_offset(MANAGED_DICT_OFFSET).cast::<*mut PyObject>();
            (b.fanout.group_slots.known && (*values).valid == 1).then_some(Group { values, slots: &b.fanout.group_slots, dict })
        }
    }

    /// An attribute, borrowed; null: it was deleted.
    #[inline(always)]
    pub unsafe fn get(&self, slot: impl Fn(&GroupSlots) -> usize) -> *mut PyObject {
        // SAFETY: a place among the values, which stay where they are as long as the group is.
        unsafe { *DictValues::items(self.values).add(slot(self.slots)) }
    }

    /// Sets an attribute that is there, of a group that [`Group::is_its_own`]. What was there ends, which may run code.
    #[inline(always)]
    pub unsafe fn set(&self, slot: impl Fn(&GroupSlots) -> usize, value: *mut PyObject) {
        // SAFETY: as above; nobody keeps a dict of them.
        unsafe {
            let place = DictValues::items(self.values).add(slot(self.slots));
            xdecref(core::mem::replace(&mut *place, new_ref(value)));
        }
    }

    /// `self._tasks`, borrowed.
    #[inline(always)]
    pub unsafe fn tasks(&self) -> *mut PyObject {
        // SAFETY: as above.
        unsafe { self.get(|s| s.tasks) }
    }

    /// Whether it has the attributes that `__init__` gave it and no others, which nobody sees as a dict.
    pub unsafe fn is_its_own(&self) -> bool {
        // SAFETY: as above. There are as many as there are names: so if each is there, there is no other.
        unsafe {
            let s = self.slots;
            let all = [
                s.entered,
                s.exiting,
                s.aborting,
                s.looop,
                s.parent_task,
                s.tasks,
                s.on_completed,
                s.errors,
                s.base_error,
                s.parent_cancel,
            ];
            self.dict.is_null()
                && (*self.values).size as usize == all.len()
                && all.iter().all(|at| !(*DictValues::items(self.values).add(*at)).is_null())
        }
    }

    /// Whether no child has failed, and nobody was cancelled for one.
    pub unsafe fn holds_no_error(&self) -> bool {
        // SAFETY: as above; the list is alive.
        unsafe {
            let errors = self.get(|s| s.errors);
            self.get(|s| s.base_error) == ffi::Py_None()
                && self.get(|s| s.parent_cancel) == ffi::Py_False()
                && type_of(errors) == &raw mut ffi::PyList_Type
                && ffi::PyList_GET_SIZE(errors) == 0
        }
    }
}

/// Where the values of a group lie, each attribute of which is another object in `sample`.
///
/// # Safety
/// A live object; the GIL is held.
pub unsafe fn slots_of(sample: *mut PyObject) -> GroupSlots {
    // SAFETY: inline values are looked at only of types that have them.
    unsafe {
        let find = |name: &core::ffi::CStr| {
            if (*type_of(sample)).tp_flags & tp_flags::INLINE_VALUES == 0 {
                return NO_SLOT;
            }
            let values = DictValues::of_instance(sample);
            let value = ffi::PyObject_GetAttrString(sample, name.as_ptr());
            if value.is_null() || (*values).valid != 1 {
                ffi::PyErr_Clear();
                xdecref(value);
                return NO_SLOT;
            }
            let items = DictValues::items(values);
            let found = (0..(*values).capacity as usize).find(|i| *items.add(*i) == value);
            decref(value);
            found.unwrap_or(NO_SLOT)
        };
        let mut slots = GroupSlots {
            known: false,
            entered: find(c"_entered"),
            exiting: find(c"_exiting"),
            aborting: find(c"_aborting"),
            looop: find(c"_loop"),
            parent_task: find(c"_parent_task"),
            tasks: find(c"_tasks"),
            on_completed: find(c"_on_completed_fut"),
            errors: find(c"_errors"),
            base_error: find(c"_base_error"),
            parent_cancel: find(c"_parent_cancel_requested"),
        };
        let all = [
            slots.entered,
            slots.exiting,
            slots.aborting,
            slots.looop,
            slots.parent_task,
            slots.tasks,
            slots.on_completed,
            slots.errors,
            slots.base_error,
            slots.parent_cancel,
        ];
        slots.known = !all.contains(&NO_SLOT);
        slots
    }
}

/// Versions of `TaskGroup` that were looked at: with what `bind` has found, and with anything else.
static SEEN: Gil<(core::ffi::c_uint, core::ffi::c_uint)> = Gil::new((0, 0));

/// Whether the class has what it had when `bind` looked at it.
#[inline(always)]
pub unsafe fn is_as_bound(b: &Bound) -> bool {
    // SAFETY: a class that is held for ever. The versions of classes are never 0, or there is none.
    unsafe {
        let version = (*b.fanout.group).tp_version_tag;
        version != 0 && version == SEEN.get().0 || look_at_class(b, version)
    }
}

#[inline(never)]
unsafe fn look_at_class(b: &Bound, version: core::ffi::c_uint) -> bool {
    // SAFETY: as above; its dict holds what is compared.
    unsafe {
        if version != 0 && version == SEEN.get().1 {
            return false;
        }
        let dict = (*b.fanout.group).tp_dict;
        let own = |(name, function): &(&core::ffi::CStr, *mut PyObject)| {
            *function == ffi::Py_None() || ffi::PyDict_GetItemString(dict, name.as_ptr()) == *function
        };
        let same = ffi::PyDict_Size(dict) == b.fanout.group_attributes && b.fanout.group_functions.iter().all(own);
        let version = parts::version_of(b.fanout.group);
        if same {
            SEEN.get().0 = version;
        } else {
            SEEN.get().1 = version;
        }
        same
    }
}

/// `TaskGroup.create_task(self, coro)`.
pub unsafe extern "C" fn create_task(
    function: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        if gives_coroutine((function, b.fanout.group_create_task), args, nargsf, names, 2)
            && type_of(*args) == b.fanout.group
            && let Some(task) = grouped(b, *args, *args.add(1))
        {
            return task;
        }
        sites::called(ThreadState::current(), Kind::Group, false);
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// `group._on_task_done` and a copy of the current context, new references: those of the child before, if it was made in this step of this
/// task, by the same group, with the same context variables. Null with an exception set.
unsafe fn call_of(b: &Bound, ls: *mut LoopState, ts: *mut ThreadState, group: *mut PyObject) -> (*mut PyObject, *mut PyObject) {
    // SAFETY: live objects; what is kept is given back at the latest by the step that runs (`forget`).
    unsafe {
        let kept = (*ls).group;
        if !kept.callback.is_null() && kept.group == group {
            let (now, then): (*mut ContextObj, *mut ContextObj) = ((*ts).context.cast(), kept.context.cast());
            if !now.is_null() && (*now).ctx_vars == (*then).ctx_vars && (*then).ctx_entered == 0 {
                return (new_ref(kept.callback), new_ref(kept.context));
            }
        }
        let callback = cendre_cpython::api::PyMethod_New(b.fanout.group_done_function, group);
        let context = ffi::PyContext_CopyCurrent();
        let nest = (*ls).nest;
        // Without a policy it is asyncio's `Handle` that runs it, in whatever context it is given.
        if !(*ls).parts
            && !callback.is_null()
            && !context.is_null()
            && !nest.is_null()
            && !(*nest).booked
            && *current_task(ts) == (*nest).task.cast()
        {
            forget(ls);
            (*ls).group = GroupCall { group, callback: new_ref(callback), context: new_ref(context) };
        }
        (callback, context)
    }
}

/// Gives up what is kept for the next child of a group.
#[inline(always)]
pub unsafe fn forget(ls: *mut LoopState) {
    // SAFETY: the state owns both or has neither; it is empty before anything runs.
    unsafe {
        if !(*ls).group.callback.is_null() {
            let kept = core::mem::replace(
                &mut (*ls).group,
                GroupCall { group: ptr::null_mut(), callback: ptr::null_mut(), context: ptr::null_mut() },
            );
            decref(kept.callback);
            decref(kept.context);
        }
    }
}

/// The context that a callback is called in which is not done natively: children of a group share one, and each has its own in asyncio. New
/// reference, null with an exception set.
pub unsafe fn context_of_its_own(b: &Bound, callback: *mut PyObject, context: *mut PyObject) -> *mut PyObject {
    // SAFETY: live objects.
    unsafe { if queue::code_of(callback) == b.fanout.group_done { ffi::PyContext_Copy(context) } else { new_ref(context) } }
}

/// A new task of a group (new reference, null with an exception set), or None: nothing was done.
unsafe fn grouped(b: &Bound, group: *mut PyObject, coro: *mut PyObject) -> Option<*mut PyObject> {
    // SAFETY: an exact group and coroutine; what is made here is given back, and what the group may give up meanwhile is held.
    unsafe {
        let ts = ThreadState::current();
        let looop = (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop;
        // Attributes of the loop may be the program's code, which may change the group: its values are read behind it.
        let (ls, eager) = natural(b, ts, looop)?;
        let g = Group::of(b, group)?;
        let (parent, tasks, exiting) = (g.get(|s| s.parent_task), g.tasks(), g.get(|s| s.exiting));
        if g.get(|s| s.entered) != ffi::Py_True()
            || g.get(|s| s.aborting) != ffi::Py_False()
            || g.get(|s| s.looop) != looop
            || looop.is_null()
            || tasks.is_null()
            || parent.is_null()
            || type_of(parent) != b.task
            || exiting != ffi::Py_False() && (exiting != ffi::Py_True() || !surely_holds(tasks))
        {
            return None;
        }
        if !is_as_bound(b) {
            return None;
        }
        let (parent, tasks) = (new_ref(parent), new_ref(tasks));
        let task = new_task(b, ls, ts, coro, sites::called(ts, Kind::Group, true), eager);
        let (callback, context) = if task.is_null() { (ptr::null_mut(), ptr::null_mut()) } else { call_of(b, ls, ts, group) };
        let failed = callback.is_null()
            || context.is_null()
            || future::awaited_by_add(task.cast(), parent) != 0
            || !call_set(b, tasks, b.names.add, task.cast())
            || future::add_done_callback(b, ls, task.cast(), callback, context) != 0;
        xdecref(callback);
        xdecref(context);
        decref(parent);
        decref(tasks);
        if failed {
            xdecref(task.cast());
            return Some(ptr::null_mut());
        }
        Some(task.cast())
    }
}

/// Whether a group has tasks: `bool(tasks)`; -1 with an exception set.
#[inline(always)]
unsafe fn holds(tasks: *mut PyObject) -> c_int {
    // SAFETY: a live object.
    unsafe {
        if type_of(tasks) == &raw mut ffi::PySet_Type { c_int::from(ffi::PySet_Size(tasks) != 0) } else { ffi::PyObject_IsTrue(tasks) }
    }
}

/// How many tasks a group has, if no code is run to know it. An ordered set, which tests put there, is a dict.
#[inline(always)]
unsafe fn known_size(tasks: *mut PyObject) -> Option<ffi::Py_ssize_t> {
    // SAFETY: a live object; a type's tables are there as long as it is.
    unsafe {
        let kind = type_of(tasks);
        if kind == &raw mut ffi::PySet_Type {
            return Some(ffi::PySet_Size(tasks));
        }
        let (numbers, mapping, dict) = ((*kind).tp_as_number, (*kind).tp_as_mapping, &raw const ffi::PyDict_Type);
        let is_dict = ffi::PyDict_Check(tasks) != 0
            && (numbers.is_null() || (*numbers).nb_bool.is_none())
            && !mapping.is_null()
            && (*mapping).mp_length.map(|f| f as usize) == (*(*dict).tp_as_mapping).mp_length.map(|f| f as usize);
        is_dict.then(|| ffi::PyDict_Size(tasks))
    }
}

/// Whether a group has tasks for certain: no code is run that could change the group.
#[inline(always)]
pub unsafe fn surely_holds(tasks: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe { known_size(tasks).is_some_and(|n| n != 0) }
}

/// Whether a group has no tasks for certain.
#[inline(always)]
pub unsafe fn surely_empty(tasks: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe { known_size(tasks) == Some(0) }
}

/// `tasks.add(task)` or `tasks.discard(task)`; false with an exception set.
unsafe fn call_set(b: &Bound, set: *mut PyObject, method: *mut PyObject, task: *mut PyObject) -> bool {
    // SAFETY: live objects.
    unsafe {
        if type_of(set) == &raw mut ffi::PySet_Type {
            let failed = if method == b.names.add { ffi::PySet_Add(set, task) } else { ffi::PySet_Discard(set, task) };
            return failed >= 0;
        }
        let done = ffi::PyObject_CallMethodOneArg(set, method, task);
        xdecref(done);
        !done.is_null()
    }
}

/// `_on_task_done` of a task that is finished with a value: as [`done`].
pub unsafe fn child_done(b: &Bound, ls: *mut LoopState, group: *mut PyObject, f: *mut FutureObj) -> Option<c_int> {
    // SAFETY: the code is that of `_on_task_done`; what is asked for here is given back.
    unsafe {
        if type_of(group) != b.fanout.group {
            return None;
        }
        let g = Group::of(b, group)?;
        let (waits, tasks, parent) = (g.get(|s| s.on_completed), g.tasks(), g.get(|s| s.parent_task));
        let simple = !waits.is_null()
            && (waits == ffi::Py_None() || type_of(waits) == b.future && (*waits.cast::<FutureObj>()).fut_loop == (*ls).looop)
            && !tasks.is_null()
            && !parent.is_null()
            && (parent == ffi::Py_None() || type_of(parent) == b.task);
        if !simple {
            return None;
        }
        for held in [waits, tasks, parent] {
            incref(held);
        }
        let failed = left_group(b, ls, waits, tasks, parent, f);
        for held in [waits, tasks, parent] {
            decref(held);
        }
        Some(failed)
    }
}

/// What `_on_task_done` does for a task that ended with a value.
unsafe fn left_group(
    b: &Bound,
    ls: *mut LoopState,
    waits: *mut PyObject,
    tasks: *mut PyObject,
    parent: *mut PyObject,
    f: *mut FutureObj,
) -> c_int {
    // SAFETY: live objects, held by the caller.
    unsafe {
        if !call_set(b, tasks, b.names.discard, f.cast()) || parent != ffi::Py_None() && future::awaited_by_discard(f, parent) != 0 {
            return -1;
        }
        if waits == ffi::Py_None() || (*waits.cast::<FutureObj>()).state != fut_state::PENDING {
            return 0;
        }
        let left = holds(tasks);
        if left != 0 {
            return if left < 0 { -1 } else { 0 };
        }
        future::set_result(b, ls, waits.cast(), ffi::Py_True())
    }
}
