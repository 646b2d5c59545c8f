//! Memory of tasks that have ended, and of their contexts, handed out again.
//!
//! Invariant: what lies here has nobody's reference, owns none (not to its class either), no field, dict or weak reference is set, and the
//! collector does not know it. Its fields were given up in the order in which its class does it. Nothing is taken or put here while somebody is told
//! of each object. It is empty while there is no loop of ours, and after `gc.collect()`, which empties CPython's own lists. Read
//! docs/internals/tasks.md, "The objects".

use crate::future;
use crate::layout::{CFunction, ContextObj, FutureObj, TaskObj, state as fut_state};
use crate::state::{self, Bound};
use cendre_cpython::dict::DictValues;
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::refcount::{decref, incref, new_ref, refcnt, type_of, xdecref};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::typeobject::{MANAGED_DICT_OFFSET, MANAGED_WEAKREF_OFFSET, tp_flags};
use cendre_cpython::{freelist, gc};
use cendre_runtime::Gil;
use cendre_runtime::gil::is_main;
use core::ffi::c_void;
use core::{mem, ptr};

/// As many as that are kept of each: 200 KB and 90.
const LONGEST: usize = 1024;

static SHELF: Gil<Vec<*mut TaskObj>> = Gil::new(Vec::new());
/// What was there before the hooks were set.
static DEALLOC: Gil<Option<ffi::destructor>> = Gil::new(None);
static COLLECT: Gil<Option<ffi::PyCFunctionFastWithKeywords>> = Gil::new(None);

/// How many lie here.
///
/// # Safety
/// The GIL is held.
pub unsafe fn len() -> usize {
    // SAFETY: the caller's contract.
    unsafe { SHELF.get().len() }
}

/// How many contexts' memory lies here.
///
/// # Safety
/// The GIL is held.
pub unsafe fn contexts() -> usize {
    // SAFETY: the caller's contract.
    unsafe { CONTEXTS.get().len() }
}

/// A new task, as its class makes it: all fields zero, known to the collector. Null with an exception set.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn new_task(b: &Bound) -> *mut TaskObj {
    // SAFETY: what is on the shelf is nobody's; behind its header a task has only fields for which zero is what a new one has; its places for attributes
    // were never used.
    unsafe {
        if !freelist::traced()
            && let Some(task) = SHELF.get().pop()
        {
            ptr::write_bytes(task.cast::<u8>().add(size_of::<PyObject>()), 0, size_of::<TaskObj>() - size_of::<PyObject>());
            // The whole word, as `_Py_NewReference`.
            *task.cast::<u64>() = 1;
            incref(b.task.cast());
            gc::made();
            ffi::PyObject_GC_Track(task.cast::<c_void>());
            return task;
        }
        (*b.task).tp_alloc.map_or(ptr::null_mut(), |alloc| alloc(b.task, 0).cast())
    }
}

static CONTEXTS: Gil<Vec<*mut ContextObj>> = Gil::new(Vec::new());
/// So many CPython would keep on a list of its own (`PyContext_MAXFREELIST`), which are not counted as made when they are used again.
const FREE_CONTEXTS: usize = 255;
/// How many would lie there now.
static FREE: Gil<usize> = Gil::new(0);

/// `PyContext_CopyCurrent` for a new task; null with an exception set.
///
/// # Safety
/// The running thread's state; the GIL is held.
#[inline]
pub unsafe fn new_context(ts: *mut ThreadState) -> *mut PyObject {
    // SAFETY: what lies here is nobody's, and all its fields are zero.
    unsafe {
        let current: *mut ContextObj = (*ts).context.cast();
        let shelf = CONTEXTS.get();
        if current.is_null() || freelist::traced() {
            return ffi::PyContext_CopyCurrent();
        }
        let Some(context) = shelf.pop() else { return ffi::PyContext_CopyCurrent() };
        if *FREE.get() > 0 {
            *FREE.get() -= 1;
        } else {
            gc::made();
        }
        // The whole word, as `_Py_NewReference`.
        *context.cast::<u64>() = 1;
        (*context).ctx_vars = new_ref((*current).ctx_vars);
        ffi::PyObject_GC_Track(context.cast::<c_void>());
        context.cast()
    }
}

/// A task gives its context up; its memory is kept if nobody else has it.
#[inline]
unsafe fn give_context(o: *mut PyObject) {
    // SAFETY: a reference that is given up here; the last one to a context that no weak reference finds, and that was left.
    unsafe {
        if o.is_null() {
            return;
        }
        let context: *mut ContextObj = o.cast();
        if refcnt(o) != 1
            || !ptr::eq(type_of(o), &raw const ffi::PyContext_Type)
            || (*context).ctx_entered != 0
            || !(*context).ctx_weakreflist.is_null()
            || !(*context).ctx_prev.is_null()
            || (*gc::head(o))._gc_prev & gc::PREV_FLAGS != 0
        {
            return decref(o);
        }
        ffi::PyObject_GC_UnTrack(o.cast::<c_void>());
        future::clear(&raw mut (*context).ctx_vars);
        // Its variables' ends may have run anything.
        let shelf = CONTEXTS.get();
        if shelf.len() >= LONGEST || !state::has_loops() || freelist::traced() {
            return ffi::PyObject_GC_Del(o.cast());
        }
        if *FREE.get() < FREE_CONTEXTS {
            *FREE.get() += 1;
        } else {
            gc::gone();
        }
        shelf.push(context);
    }
}

/// Whether the death of a task has no effect but that its fields are given up: it holds a value, was never given an attribute, and was never seen
/// by a finaliser.
unsafe fn is_simple(o: *mut PyObject) -> bool {
    // SAFETY: a task that dies; before it lie the words that its class asks for.
    unsafe {
        let f: *mut FutureObj = o.cast();
        let values = DictValues::of_instance(o);
        (*f).state == fut_state::FINISHED
            && (*f).exception.is_null()
            && (*o.cast::<TaskObj>()).node.next.is_null()
            && (*o.byte_offset(MANAGED_DICT_OFFSET).cast::<*mut PyObject>()).is_null()
            && (*values).size == 0
            && (*o.byte_offset(MANAGED_WEAKREF_OFFSET).cast::<*mut PyObject>()).is_null()
            && (*gc::head(o))._gc_prev & gc::PREV_FLAGS == 0
    }
}

/// `tp_dealloc` of tasks.
unsafe extern "C" fn dealloc(o: *mut PyObject) {
    // SAFETY: called by CPython with an object whose last reference is gone, behind `hook`. Nobody can find it once the collector does not know it,
    // whatever runs while its fields are given up; its class lives for ever.
    unsafe {
        let b = &*state::bound();
        if type_of(o) != b.task || state::find((*o.cast::<FutureObj>()).fut_loop).is_null() || freelist::traced() || !is_simple(o) {
            let theirs = *DEALLOC.get();
            return theirs.into_iter().for_each(|theirs| theirs(o));
        }
        ffi::PyObject_GC_UnTrack(o.cast::<c_void>());
        // The order of `TaskObj_clear`; there are no attributes and no exception.
        let t: *mut TaskObj = o.cast();
        future::clear(&raw mut (*t).fut.fut_loop);
        future::clear(&raw mut (*t).fut.callback0);
        future::clear(&raw mut (*t).fut.context0);
        future::clear(&raw mut (*t).fut.callbacks);
        future::clear(&raw mut (*t).fut.result);
        future::clear(&raw mut (*t).fut.exception_tb);
        future::clear(&raw mut (*t).fut.source_tb);
        future::clear(&raw mut (*t).fut.cancel_msg);
        future::clear(&raw mut (*t).fut.cancelled_exc);
        future::clear(&raw mut (*t).fut.awaited_by);
        future::clear(&raw mut (*t).coro);
        give_context(mem::replace(&mut (*t).context, ptr::null_mut()));
        future::clear(&raw mut (*t).name);
        future::clear(&raw mut (*t).fut_waiter);
        // Meanwhile others may have come here, and the last loop may have died.
        let shelf = SHELF.get();
        if shelf.len() < LONGEST && state::has_loops() {
            shelf.push(t);
            gc::gone();
        } else {
            ffi::PyObject_GC_Del(t.cast());
        }
        decref(b.task.cast());
    }
}

/// Frees what lies here.
///
/// # Safety
/// The GIL is held.
pub unsafe fn clear() {
    // SAFETY: nobody's memory, freed as its class frees it.
    unsafe {
        for task in mem::take(SHELF.get()) {
            gc::made();
            ffi::PyObject_GC_Del(task.cast());
        }
        let free = mem::take(FREE.get());
        for (i, context) in mem::take(CONTEXTS.get()).into_iter().enumerate() {
            if i >= free {
                gc::made();
            }
            ffi::PyObject_GC_Del(context.cast());
        }
    }
}

/// `gc.collect()`.
unsafe extern "C" fn collect(this: *mut PyObject, args: *const *mut PyObject, n: isize, names: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython behind `hook`, perhaps in another interpreter, whose tasks are never here.
    unsafe {
        let theirs = *COLLECT.get();
        let result = theirs.map_or(ptr::null_mut(), |theirs| theirs(this, args, n, names));
        if is_main(ThreadState::current()) {
            clear();
        }
        result
    }
}

/// Whether tasks are allocated and freed as this file does it, and nobody wants to see each block: debug hooks of the allocator have a context.
unsafe fn is_usual(b: &Bound) -> bool {
    // SAFETY: a ready type; functions are only compared.
    unsafe {
        let own = tp_flags::MANAGED_DICT | tp_flags::MANAGED_WEAKREF | tp_flags::INLINE_VALUES;
        let mut allocator: ffi::PyMemAllocatorEx = mem::zeroed();
        ffi::PyMem_GetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, &mut allocator);
        let task: *mut PyTypeObject = b.task;
        freelist::in_use()
            && allocator.ctx.is_null()
            && (*task).tp_flags & own == own
            && (*task).tp_itemsize == 0
            && (*task).tp_alloc.map(|f| f as usize) == Some(ffi::PyType_GenericAlloc as *const () as usize)
            && (*task).tp_free.map(|f| f as usize) == Some(ffi::PyObject_GC_Del as *const () as usize)
            && (*task).tp_dealloc.is_some_and(|f| library(f as *const c_void) == library(b.send as *const c_void))
    }
}

/// Where the library begins that a function is in.
unsafe fn library(function: *const c_void) -> *mut c_void {
    // SAFETY: any address will do.
    unsafe {
        let mut info: libc::Dl_info = mem::zeroed();
        if libc::dladdr(function, &mut info) == 0 { ptr::null_mut() } else { info.dli_fbase }
    }
}

/// Takes over how tasks die, if everything about it is as usual; else nothing ever lies here.
///
/// # Safety
/// The GIL is held; `bound` is there; once.
pub unsafe fn hook(b: &Bound) {
    // SAFETY: a heap type, and a static definition in writable memory.
    unsafe {
        if !is_usual(b) {
            return;
        }
        *DEALLOC.get() = (*b.task).tp_dealloc;
        (*b.task).tp_dealloc = Some(dealloc);
        let module = ffi::PyImport_ImportModule(c"gc".as_ptr());
        let function = if module.is_null() { module } else { ffi::PyObject_GetAttrString(module, c"collect".as_ptr()) };
        if function.is_null() {
            ffi::PyErr_Clear();
        } else if type_of(function) == &raw mut ffi::PyCFunction_Type {
            let definition = (*function.cast::<CFunction>()).m_ml;
            if (*definition).ml_flags == ffi::METH_FASTCALL | ffi::METH_KEYWORDS {
                *COLLECT.get() = Some((*definition).ml_meth.PyCFunctionFastWithKeywords);
                (*definition).ml_meth.PyCFunctionFastWithKeywords = collect;
            }
        }
        xdecref(function);
        xdecref(module);
    }
}
