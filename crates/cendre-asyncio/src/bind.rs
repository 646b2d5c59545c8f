//! What asyncio is made of, as `_probe.py` has found it: looked at once more, kept, and its slots taken over.
//!
//! Invariant: nothing is hooked before all of it was found to be as it is believed. Read docs/internals/tasks.md, "The objects", "Whose work is done".

use crate::layout::{CFunction, ContextObj, FutureIter, FutureObj, StepWrapper, TaskObj};
use crate::state::{self, Bound, Fanout, Names, OneFunc};
use crate::{early, exit, fanout, future, group, makers, parts, shelf, step};
use cendre_cpython::FunctionObject;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::methodobject::MethodDescrObject;
use cendre_cpython::refcount::{decref, new_ref, type_of};
use cendre_runtime::globals;
use core::ffi::CStr;
use core::mem::offset_of;
use core::ptr;

pub struct Raised;

/// Sets an exception.
///
/// # Safety
/// The GIL is held; an exception class.
pub unsafe fn raise(class: *mut PyObject, text: &CStr) -> Raised {
    // SAFETY: the GIL is held; an exception class.
    unsafe { ffi::PyErr_SetString(class, text.as_ptr()) };
    Raised
}

unsafe fn item(dict: *mut PyObject, key: &CStr) -> Result<*mut PyObject, Raised> {
    // SAFETY: a dict; the answer is borrowed.
    unsafe {
        let o = ffi::PyDict_GetItemString(dict, key.as_ptr());
        if o.is_null() { Err(raise(ffi::PyExc_KeyError, key)) } else { Ok(o) }
    }
}

unsafe fn class(dict: *mut PyObject, key: &CStr) -> Result<*mut PyTypeObject, Raised> {
    // SAFETY: as above.
    unsafe {
        let o = item(dict, key)?;
        if ffi::PyType_Check(o) == 0 { Err(raise(ffi::PyExc_TypeError, key)) } else { Ok(new_ref(o).cast()) }
    }
}

unsafe fn number(dict: *mut PyObject, key: &CStr) -> Result<usize, Raised> {
    // SAFETY: as above.
    unsafe {
        let n = ffi::PyLong_AsLong(item(dict, key)?);
        if n < 0 { Err(raise(ffi::PyExc_ValueError, key)) } else { Ok(n as usize) }
    }
}

/// Where a slot of a class lies.
unsafe fn slot_offset(ty: *mut PyTypeObject, name: &CStr) -> Result<usize, Raised> {
    // SAFETY: a ready type; a member descriptor keeps its definition where a method descriptor does.
    unsafe {
        let descriptor = ffi::PyObject_GetAttrString(ty.cast(), name.as_ptr());
        if descriptor.is_null() {
            return Err(Raised);
        }
        if type_of(descriptor) != &raw mut ffi::PyMemberDescr_Type {
            decref(descriptor);
            return Err(raise(ffi::PyExc_TypeError, name));
        }
        let member: *const ffi::PyMemberDef = (*descriptor.cast::<MethodDescrObject>()).d_method.cast();
        let offset = (*member).offset;
        decref(descriptor);
        Ok(offset as usize)
    }
}

unsafe fn objects(o: *mut PyObject) -> Result<Vec<*mut PyObject>, Raised> {
    // SAFETY: a tuple; its items are held for ever.
    unsafe {
        if ffi::PyTuple_Check(o) == 0 {
            return Err(raise(ffi::PyExc_TypeError, c"a tuple"));
        }
        Ok((0..ffi::PyTuple_GET_SIZE(o)).map(|i| new_ref(ffi::PyTuple_GET_ITEM(o, i))).collect())
    }
}

/// `tasks_bind(dict)`.
pub unsafe extern "C" fn bind(_: *mut PyObject, dict: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if !state::bound().is_null() {
            return ffi::Py_None();
        }
        match bound_from(dict) {
            Ok(b) => {
                hook(b, dict);
                ffi::Py_None()
            }
            Err(Raised) => ptr::null_mut(),
        }
    }
}

unsafe fn bound_from(dict: *mut PyObject) -> Result<Bound, Raised> {
    // SAFETY: the caller's dict; what is kept is held for ever.
    unsafe {
        let future = class(dict, c"Future")?;
        let task = class(dict, c"Task")?;
        let future_iter = class(dict, c"FutureIter")?;
        let step_wrapper = class(dict, c"StepWrapper")?;
        let handle = class(dict, c"Handle")?;
        let sizes = [
            (future, size_of::<FutureObj>()),
            (task, size_of::<TaskObj>()),
            (future_iter, size_of::<FutureIter>()),
            (step_wrapper, size_of::<StepWrapper>()),
        ];
        if sizes.iter().any(|(t, n)| (**t).tp_basicsize as usize != *n) {
            return Err(raise(ffi::PyExc_ImportError, c"the objects of this asyncio have another size"));
        }
        let context = &raw const ffi::PyContext_Type;
        let (size, weak) = ((*context).tp_basicsize as usize, (*context).tp_weaklistoffset as usize);
        if size != size_of::<ContextObj>() || weak != offset_of!(ContextObj, ctx_weakreflist) {
            return Err(raise(ffi::PyExc_ImportError, c"contexts are laid out otherwise"));
        }
        let wakeup = item(dict, c"wakeup")?;
        if type_of(wakeup) != &raw mut ffi::PyCFunction_Type {
            return Err(raise(ffi::PyExc_TypeError, c"wakeup"));
        }
        let wakeup_def = (*wakeup.cast::<CFunction>()).m_ml;
        let as_async = (*future_iter).tp_as_async;
        if as_async.is_null() || (*wakeup_def).ml_flags != ffi::METH_O {
            return Err(raise(ffi::PyExc_ImportError, c"this asyncio has other slots"));
        }
        let (Some(send), Some(next), Some(step_call)) = ((*as_async).am_send, (*future_iter).tp_iternext, (*step_wrapper).tp_call) else {
            return Err(raise(ffi::PyExc_ImportError, c"this asyncio has other slots"));
        };
        let set_result = item(dict, c"set_result")?;
        if !ptr::eq(type_of(set_result), &raw const ffi::PyMethodDescr_Type) {
            return Err(raise(ffi::PyExc_TypeError, c"set_result"));
        }
        let set_result_def = (*set_result.cast::<MethodDescrObject>()).d_method;
        if (*set_result_def).ml_flags != ffi::METH_METHOD | ffi::METH_FASTCALL | ffi::METH_KEYWORDS {
            return Err(raise(ffi::PyExc_ImportError, c"this asyncio has other methods"));
        }
        let context_kwname = ffi::Py_BuildValue(c"(s)".as_ptr(), c"context".as_ptr());
        let loop_kwname = ffi::Py_BuildValue(c"(s)".as_ptr(), c"loop".as_ptr());
        if context_kwname.is_null() || loop_kwname.is_null() {
            return Err(Raised);
        }
        Ok(Bound {
            future,
            task,
            gathering: class(dict, c"GatheringFuture")?,
            future_iter,
            step_wrapper,
            handle,
            wakeup_def,
            cancelled_error: new_ref(item(dict, c"CancelledError")?),
            invalid_state: new_ref(item(dict, c"InvalidStateError")?),
            failed: new_ref(item(dict, c"failed")?),
            call_soon: new_ref(item(dict, c"call_soon")?),
            call_soon_code: code(dict, c"call_soon_known")?,
            handle_cell: cell(item(dict, c"events_dict")?, c"Handle")?,
            handle_version: parts::version_of(handle),
            deque_append: append_of(class(dict, c"deque")?)?,
            internal: objects(item(dict, c"internal")?)?,
            opcode_send: number(dict, c"SEND")? as u8,
            opcode_send_gen: number(dict, c"SEND_GEN")? as u8,
            transparent: objects(item(dict, c"transparent")?)?.into_iter().map(|o| o.cast()).collect(),
            h_callback: slot_offset(handle, c"_callback")?,
            h_args: slot_offset(handle, c"_args")?,
            h_cancelled: slot_offset(handle, c"_cancelled")?,
            h_loop: slot_offset(handle, c"_loop")?,
            h_context: slot_offset(handle, c"_context")?,
            h_source_tb: slot_offset(handle, c"_source_traceback")?,
            h_repr: slot_offset(handle, c"_repr")?,
            names: Names::new(),
            context_kwname,
            loop_kwname,
            marker: new_ref(item(dict, c"marker")?),
            send,
            next,
            step_call,
            wakeup: (*wakeup_def).ml_meth.PyCFunction,
            set_result: (*set_result_def).ml_meth.PyCMethod,
            set_result_def: set_result_def.cast(),
            fanout: fanout_from(dict)?,
        })
    }
}

/// The word that holds what a name is in this dict of a module.
unsafe fn cell(dict: *mut PyObject, name: &CStr) -> Result<*const usize, Raised> {
    // SAFETY: the caller's dict; the cell is kept for ever.
    unsafe {
        let name = ffi::PyUnicode_InternFromString(name.as_ptr());
        if name.is_null() {
            return Err(Raised);
        }
        let cell = globals::cell(dict, name);
        decref(name);
        let Some(cell) = cell else { return Err(raise(ffi::PyExc_ImportError, c"the modules of asyncio cannot be watched")) };
        globals::keep(cell);
        Ok(cell)
    }
}

/// The C function of `append` of a class.
unsafe fn append_of(class: *mut PyTypeObject) -> Result<OneFunc, Raised> {
    // SAFETY: a ready type; a method's definition lives as long as its class, which is held for ever.
    unsafe {
        let method = ffi::PyObject_GetAttrString(class.cast(), c"append".as_ptr());
        if method.is_null() {
            return Err(Raised);
        }
        let descriptor: *mut MethodDescrObject = method.cast();
        let known = ptr::eq(type_of(method), &raw const ffi::PyMethodDescr_Type) && (*(*descriptor).d_method).ml_flags == ffi::METH_O;
        let function = if known { Ok((*(*descriptor).d_method).ml_meth.PyCFunction) } else { Err(raise(ffi::PyExc_TypeError, c"append")) };
        decref(method);
        function
    }
}

/// The code object of a function of the dict; None, which no function has, if there is None.
unsafe fn code(dict: *mut PyObject, key: &CStr) -> Result<*mut PyObject, Raised> {
    // SAFETY: as for `item`.
    unsafe {
        let f = item(dict, key)?;
        if f == ffi::Py_None() {
            return Ok(f);
        }
        if type_of(f) != &raw mut ffi::PyFunction_Type {
            return Err(raise(ffi::PyExc_TypeError, key));
        }
        Ok(new_ref((*f.cast::<FunctionObject>()).func_code))
    }
}

/// The qualified name of `_done_callback`, if its variables are the known ones.
unsafe fn qualname_of_done(done: *mut PyObject) -> Result<*mut PyObject, Raised> {
    // SAFETY: a code object; the answer is held for ever.
    unsafe {
        let free = ffi::PyObject_GetAttrString(done, c"co_freevars".as_ptr());
        if free.is_null() {
            return Err(Raised);
        }
        let as_expected = ffi::PyTuple_GET_SIZE(free) == fanout::FREE.len() as isize
            && fanout::FREE
                .iter()
                .enumerate()
                .all(|(i, name)| ffi::PyUnicode_CompareWithASCIIString(ffi::PyTuple_GET_ITEM(free, i as isize), name.as_ptr()) == 0);
        decref(free);
        if !as_expected {
            return Err(raise(ffi::PyExc_ImportError, c"gather of this asyncio has other variables"));
        }
        let qualname = ffi::PyObject_GetAttrString(done, c"co_qualname".as_ptr());
        if qualname.is_null() { Err(Raised) } else { Ok(qualname) }
    }
}

unsafe fn fanout_from(dict: *mut PyObject) -> Result<Fanout, Raised> {
    // SAFETY: the caller's dict; what is kept is held for ever. `_asyncio` is never unloaded.
    unsafe {
        let done = item(dict, c"gather_done")?;
        let qualname = if done == ffi::Py_None() { done } else { qualname_of_done(done)? };
        let module = item(dict, c"module")?;
        let state = state_words(module);
        let (place, made) = (number(dict, c"counter")?, number(dict, c"made")?);
        if place >= state.len() {
            return Err(raise(ffi::PyExc_ImportError, c"the counter of tasks was not found"));
        }
        let counter = state.as_ptr().add(place).cast_mut();
        // Nobody shall see that tasks were made to find it.
        *counter -= made as u64;
        let globals = item(dict, c"tasks_dict")?;
        // Not what some function has there now: it may be compiled already.
        let python = match cendre_runtime::env::python_vectorcall() {
            0 => return Err(raise(ffi::PyExc_ImportError, c"functions have no entry")),
            // SAFETY: the address of the interpreter's own entry of functions.
            address => core::mem::transmute::<usize, ffi::vectorcallfunc>(address),
        };
        Ok(Fanout {
            tasks_dict: new_ref(item(dict, c"tasks_dict")?),
            task_cell: cell(item(dict, c"tasks_dict")?, c"Task")?,
            ensure_cell: cell(item(dict, c"tasks_dict")?, c"ensure_future")?,
            future_cell: cell(item(dict, c"futures_dict")?, c"Future")?,
            ensure_future: new_ref(item(dict, c"ensure_future")?),
            gather: code(dict, c"gather")?,
            gather_done: new_ref(done),
            gather_done_qualname: qualname,
            loop_create_task: code(dict, c"loop_create_task")?,
            create_task: code(dict, c"create_task")?,
            eager_factory: new_ref(item(dict, c"eager_factory")?),
            eager_factory_code: code(dict, c"eager_factory_known")?,
            group_create_task: code(dict, c"group_create_task")?,
            group_done: code(dict, c"group_done")?,
            group: class(dict, c"TaskGroup")?,
            group_attributes: ffi::PyDict_Size((*class(dict, c"TaskGroup")?).tp_dict),
            group_functions: [
                (c"create_task", c"group_create_task"),
                (c"_on_task_done", c"group_done"),
                (c"__aexit__", c"group_aexit"),
                (c"_aexit", c"group_inner"),
            ]
            .into_iter()
            .map(|(name, key)| Ok((name, new_ref(item(dict, key)?))))
            .collect::<Result<_, Raised>>()?,
            group_done_function: new_ref(item(dict, c"group_done")?),
            group_slots: group::slots_of(item(dict, c"sample")?),
            exit: exit_from(dict)?,
            globals: new_ref(globals),
            counter,
            deque: class(dict, c"deque")?,
            python,
        })
    }
}

/// How a group ends, if `_probe` has found its code to be as it is known.
unsafe fn exit_from(dict: *mut PyObject) -> Result<Option<exit::Code>, Raised> {
    // SAFETY: the caller's dict; what is kept is held for ever.
    unsafe {
        if item(dict, c"group_aexit")? == ffi::Py_None() {
            return Ok(None);
        }
        if exit::make_class() != 0 {
            return Err(Raised);
        }
        let calls = item(dict, c"CALL")?;
        let (mut bytes, mut n) = (ptr::null_mut(), 0);
        if ffi::PyBytes_AsStringAndSize(calls, &mut bytes, &mut n) != 0 {
            return Err(Raised);
        }
        Ok(Some(exit::Code {
            functions: [new_ref(item(dict, c"group_aexit")?), new_ref(item(dict, c"group_inner")?)],
            codes: [code(dict, c"group_aexit")?, code(dict, c"group_inner")?],
            resumes: [number(dict, c"aexit_waits")?, number(dict, c"inner_waits")?],
            calls: core::slice::from_raw_parts(bytes.cast(), n as usize).to_vec(),
            get_awaitable: number(dict, c"GET_AWAITABLE")? as u8,
        }))
    }
}

/// The state of a module, as words.
pub unsafe fn state_words(module: *mut PyObject) -> &'static [u64] {
    // SAFETY: a module object; its state is as large as its definition says, and lives as long as the module.
    unsafe {
        let (def, state) = (ffi::PyModule_GetDef(module), ffi::PyModule_GetState(module));
        if def.is_null() || state.is_null() || (*def).m_size <= 0 {
            ffi::PyErr_Clear();
            return &[];
        }
        core::slice::from_raw_parts(state.cast(), (*def).m_size as usize / 8)
    }
}

/// Takes asyncio's slots over.
unsafe fn hook(b: Bound, dict: *mut PyObject) {
    // SAFETY: heap types and a static definition in writable memory; `bound` is there before the first hook is called.
    unsafe {
        let (iter, wrapper, def, set_result) = (b.future_iter, b.step_wrapper, b.wakeup_def, b.set_result_def);
        for ty in [iter].into_iter().chain(b.transparent.iter().copied()) {
            cendre_runtime::coro::hands_on(ty);
        }
        let makers = [
            (b"gather\0".as_slice(), fanout::gather as ffi::vectorcallfunc),
            (b"create_task\0", fanout::create_task),
            (b"loop_create_task\0", fanout::loop_create_task),
            (b"group_create_task\0", group::create_task),
        ];
        let others = [(b"group_done\0".as_slice(), parts::group_done as ffi::vectorcallfunc), (b"call_soon_known\0", parts::call_soon)];
        state::set_bound(b);
        let function = |name: &[u8]| ffi::PyDict_GetItemString(dict, name.as_ptr().cast()).cast::<FunctionObject>();
        // What is None there is not asyncio's.
        let known = |function: *mut FunctionObject| function.cast() != ffi::Py_None();
        let makers = makers.iter().map(|(name, entry)| (function(name), *entry)).filter(|(function, _)| known(*function));
        makers::makers_are(makers);
        makers::hook_makers(true);
        for (name, entry) in others {
            if known(function(name)) {
                makers::PyFunction_SetVectorcall(function(name), entry);
            }
        }
        (*(*iter).tp_as_async).am_send = Some(early::am_send);
        (*iter).tp_iternext = Some(early::iternext);
        (*wrapper).tp_call = Some(step::step_call);
        (*def).ml_meth.PyCFunction = step::wakeup;
        (*set_result).ml_meth.PyCMethod = future::set_result_method;
        shelf::hook(&*state::bound());
    }
}
