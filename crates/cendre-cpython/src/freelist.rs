//! CPython's free lists of ints and floats: memory of dead numbers, handed out again.
//!
//! Invariants: a list is touched only with the GIL of the main interpreter, whose lists these are; while a reference tracer is set
//! (tracemalloc sets one) nothing is taken or given, so that CPython's own functions tell it. Where the lists are not found where we expect them,
//! ours are empty ones that take nothing: everything works, by CPython's functions.
//! Read: `pycore_freelist.h`, `pycore_freelist_state.h`.

use crate::ffi::{self, PyObject};
use crate::longobject::{self, LongObject};
use crate::objects::floatobject::FloatObject;
use crate::table::layout;
use crate::tstate::ThreadState;
use crate::{api, interp, runtime};
use core::ffi::{c_int, c_void};
use core::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

layout! {
    /// `struct _Py_freelist`: linked through the first words of the dead objects.
    pub struct FreeList = "struct _Py_freelist" {
        /// The last one that died, or null.
        pub freelist: *mut PyObject,
        /// How many there are; -1: takes none.
        pub size: isize,
    }
}

/// `Py_ints_MAXFREELIST` and `Py_floats_MAXFREELIST`.
pub const LONGEST: isize = 100;

/// A list that is empty and takes nothing. Never written: what is empty gives nothing.
#[repr(transparent)]
struct Nothing(FreeList);
// SAFETY: it is never written.
unsafe impl Sync for Nothing {}
static NOTHING: Nothing = Nothing(FreeList { freelist: ptr::null_mut(), size: -1 });
static NO_TRACER: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

static INTS: AtomicPtr<FreeList> = AtomicPtr::new((&raw const NOTHING).cast_mut().cast());
static FLOATS: AtomicPtr<FreeList> = AtomicPtr::new((&raw const NOTHING).cast_mut().cast());
static TRACER: AtomicPtr<*mut c_void> = AtomicPtr::new((&raw const NO_TRACER).cast_mut().cast());

/// Finds the lists of the running interpreter and uses them from now on. Whether they are where they are expected.
///
/// # Safety
/// `layout::check` has passed; the GIL is held; this is the main interpreter.
pub unsafe fn find() -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let interp = (*ThreadState::current()).interp;
        let ints: *mut FreeList = interp::field(interp, interp::FREELIST_INTS);
        let floats: *mut FreeList = interp::field(interp, interp::FREELIST_FLOATS);
        let tracer: *mut *mut c_void = runtime::address().byte_add(runtime::REF_TRACER).cast_mut().cast();
        let found = tracer_is_at(tracer) && takes(ints, ffi::PyLong_FromLong(1 << 20)) && takes(floats, ffi::PyFloat_FromDouble(0.5));
        if found {
            INTS.store(ints, Ordering::Relaxed);
            FLOATS.store(floats, Ordering::Relaxed);
            TRACER.store(tracer, Ordering::Relaxed);
        }
        found
    }
}

/// Whether the lists were found.
pub fn in_use() -> bool {
    INTS.load(Ordering::Relaxed) != (&raw const NOTHING).cast_mut().cast()
}

/// Whether a number that dies goes into the list, and to its front.
unsafe fn takes(list: *mut FreeList, number: *mut PyObject) -> bool {
    // SAFETY: the caller's contract; the word at `list` is inside the interpreter's state, whose size was compared.
    unsafe {
        if number.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        let (before, head) = ((*list).size, (*list).freelist);
        ffi::Py_DECREF(number);
        // A full list takes no more.
        if before == LONGEST {
            (*list).size == LONGEST
        } else {
            (*list).freelist == number && (*list).size == before + 1 && *number.cast::<*mut PyObject>() == head
        }
    }
}

unsafe extern "C" fn looks_away(_o: *mut PyObject, _event: c_int, _data: *mut c_void) -> c_int {
    0
}

/// Whether the word at `at` is the tracer: ours is set for a moment.
unsafe fn tracer_is_at(at: *mut *mut c_void) -> bool {
    // SAFETY: the caller's contract; the GIL is held, so that nobody sees our tracer, and the one before is put back.
    unsafe {
        let mut data = ptr::null_mut();
        let theirs = api::PyRefTracer_GetTracer(&raw mut data);
        let ours = looks_away as *const () as *mut c_void;
        if api::PyRefTracer_SetTracer(ours, ptr::null_mut()) != 0 {
            ffi::PyErr_Clear();
            return false;
        }
        let there = *at == ours;
        api::PyRefTracer_SetTracer(theirs, data) == 0 && there && *at == theirs
    }
}

/// Whether somebody is told of each object that is made and dies.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub unsafe fn traced() -> bool {
    // SAFETY: a word of the runtime's state, or ours.
    unsafe { !(*TRACER.load(Ordering::Relaxed)).is_null() }
}

/// Takes an object off a list; it has one reference and its class, and nothing is known of its value. Null: there is none to take.
#[inline(always)]
unsafe fn pop(list: *mut FreeList) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let o = (*list).freelist;
        if o.is_null() || traced() {
            return ptr::null_mut();
        }
        (*list).freelist = *o.cast();
        (*list).size -= 1;
        // The whole word, as `_Py_NewReference`: the link stood in it.
        *o.cast::<u64>() = 1;
        o
    }
}

#[inline(always)]
unsafe fn push(list: *mut FreeList, o: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let size = (*list).size;
        if !(0..LONGEST).contains(&size) || traced() {
            return false;
        }
        *o.cast::<*mut PyObject>() = (*list).freelist;
        (*list).freelist = o;
        (*list).size = size + 1;
        true
    }
}

/// An `int` in memory of the free list; null if there is none, or the value has no such form (preallocated, or more than one digit).
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub unsafe fn new_int(x: i64) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        if x.unsigned_abs() >= longobject::BASE as u64 || longobject::is_small(x) {
            return ptr::null_mut();
        }
        let o = pop(INTS.load(Ordering::Relaxed));
        if !o.is_null() {
            let long: *mut LongObject = o.cast();
            (*long).lv_tag = longobject::compact_tag(x);
            (*long).ob_digit[0] = x.unsigned_abs() as u32;
        }
        o
    }
}

/// A `float` in memory of the free list; null if there is none.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub unsafe fn new_float(x: f64) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let o = pop(FLOATS.load(Ordering::Relaxed));
        if !o.is_null() {
            (*o.cast::<FloatObject>()).ob_fval = x;
        }
        o
    }
}

/// What `_Py_Dealloc` does to an int of one digit or a float, if its free list has room. Whether it was done.
///
/// # Safety
/// Nobody refers to the object any more; the GIL is held.
#[inline(always)]
pub unsafe fn free_number(o: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let class = (*o).ob_type;
        if class == &raw mut ffi::PyLong_Type {
            let tag = (*o.cast::<LongObject>()).lv_tag;
            tag < longobject::COMPACT_LIMIT && tag & longobject::SMALL_INT_BIT == 0 && push(INTS.load(Ordering::Relaxed), o)
        } else {
            class == &raw mut ffi::PyFloat_Type && push(FLOATS.load(Ordering::Relaxed), o)
        }
    }
}
