//! Helpers of machine code for boxes: making `int` and `float` objects, reading large ints, writing numbers into slots.
//!
//! Invariant: nothing here runs Python code, except the end of the object that a slot held before.

use crate::body::{self, BodyResult};
use cendre_cpython::api;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::frameobject::FrameObject;
use cendre_cpython::freelist;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::longobject::LongObject;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::ThreadState;
use core::ffi::c_void;

/// An `int` of this value. Never null.
///
/// # Safety
/// The GIL is held.
pub unsafe extern "C" fn box_int(x: i64) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let o = freelist::new_int(x);
        if o.is_null() { boxed(|| ffi::PyLong_FromLongLong(x)) } else { o }
    }
}

/// A `float` of this value. Never null.
///
/// # Safety
/// The GIL is held.
pub unsafe extern "C" fn box_float(x: f64) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let o = freelist::new_float(x);
        if o.is_null() { boxed(|| ffi::PyFloat_FromDouble(x)) } else { o }
    }
}

#[cold]
#[inline(never)]
unsafe fn boxed(make: impl Fn() -> *mut PyObject) -> *mut PyObject {
    let o = make();
    // SAFETY: the GIL is held.
    if o.is_null() { unsafe { without_memory(make) } } else { o }
}

/// CPython gives no memory for a box. Boxes are made where the bytecode allocates nothing (the interpreter had the object all
/// along), at places that cannot raise.
/// No exception was set before: where one may be, `keeping_exception` has it.
#[cold]
unsafe fn without_memory(make: impl Fn() -> *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let o = from_c_library(make);
        if o.is_null() {
            ffi::Py_FatalError(c"cendre: no memory for a number".as_ptr());
        }
        o
    }
}

/// Makes an object with memory of the C library, which CPython's allocators can free: for what the interpreter would have made earlier, where an
/// exception now would come too late. MemoryError that is set goes; null, and it is set again, where there is none either.
pub(crate) unsafe fn from_c_library(make: impl Fn() -> *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        ffi::PyErr_Clear();
        let mut theirs = core::mem::zeroed();
        ffi::PyMem_GetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, &mut theirs);
        let mut ours = ffi::PyMemAllocatorEx { malloc: Some(libc_malloc), ..theirs };
        ffi::PyMem_SetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, &mut ours);
        let o = make();
        ffi::PyMem_SetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, &mut theirs);
        o
    }
}

extern "C" fn libc_malloc(_: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: any size will do.
    unsafe { libc::malloc(size) }
}

/// As `box_int` and `box_float`, for ways out where an exception may be set, which stays.
pub(crate) unsafe fn box_int_keeping(x: i64) -> *mut PyObject {
    // SAFETY: machine code holds the GIL.
    unsafe { keeping_exception(|| box_int(x)) }
}

pub(crate) unsafe fn box_float_keeping(x: f64) -> *mut PyObject {
    // SAFETY: as above.
    unsafe { keeping_exception(|| box_float(x)) }
}

unsafe fn keeping_exception(make: impl Fn() -> *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let pending = ffi::PyErr_GetRaisedException();
        let o = make();
        if !pending.is_null() {
            ffi::PyErr_SetRaisedException(pending);
        }
        o
    }
}

/// A body's answer with a number in it as one with an object.
///
/// # Safety
/// The GIL is held.
pub unsafe fn boxed_result(result: BodyResult) -> BodyResult {
    // SAFETY: the caller's contract.
    let number = unsafe {
        match result.tag {
            body::RETURNED_INT => box_int(result.value as i64),
            body::RETURNED_FLOAT => box_float(f64::from_bits(result.value)),
            _ => return result,
        }
    };
    BodyResult::new(body::RETURNED, number as u64)
}

/// (0, value) if the `int` fits 64 bits, else (1, 0).
unsafe extern "C" fn unbox_int_slow(o: *mut PyObject) -> BodyResult {
    let mut overflow = 0;
    // SAFETY: machine code has checked that it is an int.
    let x = unsafe { ffi::PyLong_AsLongLongAndOverflow(o, &mut overflow) };
    BodyResult::new((overflow != 0) as u64, x as u64)
}

/// Puts an owned reference (or null: out of memory) into a slot.
unsafe fn put(fr: *mut Frame, slot: u64, o: *mut PyObject) -> i32 {
    if o.is_null() {
        return -1;
    }
    // SAFETY: `slot` is one of the frame's; first the new value, since closing the old one can run code.
    unsafe {
        let place = Frame::locals(fr).add(slot as usize);
        let old = *place;
        *place = StackRef::from_steal(o);
        old.close();
    }
    0
}

pub(crate) unsafe extern "C" fn sync_int(_ts: *mut ThreadState, fr: *mut Frame, slot: u64, x: i64) -> i32 {
    // SAFETY: called by machine code for its own frame. A box of two digits that only the slot refers to is written over: nobody
    // else can see it (machine code does the same in line for one digit).
    unsafe {
        let magnitude = x.unsigned_abs();
        let word = *Frame::locals(fr).add(slot as usize);
        if word.owns() && (1 << 30..1 << 60).contains(&magnitude) {
            let o = word.as_ptr();
            if (*o.cast::<u32>()) == 1 && refcount::type_of(o) == &raw mut ffi::PyLong_Type {
                let long: *mut LongObject = o.cast();
                let tag = &raw mut (*long).lv_tag;
                if *tag >> 3 == 2 {
                    *tag = 2 << 3 | if x < 0 { 2 } else { 0 };
                    let digits = (&raw mut (*long).ob_digit).cast::<u32>();
                    *digits = (magnitude & ((1 << 30) - 1)) as u32;
                    *digits.add(1) = (magnitude >> 30) as u32;
                    return 0;
                }
            }
        }
        put(fr, slot, box_int_keeping(x))
    }
}

pub(crate) unsafe extern "C" fn sync_float(_ts: *mut ThreadState, fr: *mut Frame, slot: u64, x: f64) -> i32 {
    // SAFETY: called by machine code for its own frame.
    unsafe { put(fr, slot, box_float_keeping(x)) }
}

pub(crate) unsafe extern "C" fn sync_bool(_ts: *mut ThreadState, fr: *mut Frame, slot: u64, x: u64) -> i32 {
    // SAFETY: called by machine code for its own frame.
    unsafe { put(fr, slot, ffi::PyBool_FromLong((x & 0xff) as i64)) }
}

/// The object of a number whose home is a slot: what lies there, unless that is another number. Then somebody has written to the frame, which has kept what it
/// lost, for the sake of references that the stack borrows. A new reference.
pub(crate) unsafe extern "C" fn home_int(_ts: *mut ThreadState, fr: *mut Frame, slot: u64, x: i64) -> *mut PyObject {
    // SAFETY: called by machine code for its own frame.
    unsafe {
        let o = (*Frame::locals(fr).add(slot as usize)).as_ptr();
        if !o.is_null() && refcount::type_of(o) == &raw mut ffi::PyLong_Type {
            let mut overflow = 0;
            if ffi::PyLong_AsLongLongAndOverflow(o, &mut overflow) == x && overflow == 0 {
                return refcount::new_ref(o);
            }
        }
        let lost = overwritten(fr, |o| {
            let mut overflow = 0;
            refcount::type_of(o) == &raw mut ffi::PyLong_Type && ffi::PyLong_AsLongLongAndOverflow(o, &mut overflow) == x && overflow == 0
        });
        lost.unwrap_or_else(|| box_int_keeping(x))
    }
}

/// The same of a double: the same bits.
pub(crate) unsafe extern "C" fn home_float(_ts: *mut ThreadState, fr: *mut Frame, slot: u64, x: f64) -> *mut PyObject {
    // SAFETY: called by machine code for its own frame.
    unsafe {
        let o = (*Frame::locals(fr).add(slot as usize)).as_ptr();
        if !o.is_null() && refcount::type_of(o) == &raw mut ffi::PyFloat_Type && ffi::PyFloat_AsDouble(o).to_bits() == x.to_bits() {
            return refcount::new_ref(o);
        }
        let same = |o| refcount::type_of(o) == &raw mut ffi::PyFloat_Type && ffi::PyFloat_AsDouble(o).to_bits() == x.to_bits();
        overwritten(fr, same).unwrap_or_else(|| box_float_keeping(x))
    }
}

/// The last of the objects that `f_locals` has overwritten in a frame's slots for which `same` holds: a new reference.
unsafe fn overwritten(fr: *mut Frame, same: impl Fn(*mut PyObject) -> bool) -> Option<*mut PyObject> {
    // SAFETY: called by machine code for its own frame; if that has an object, the tuple is one or null.
    unsafe {
        let frame: *mut FrameObject = (*fr).frame_obj.cast();
        if frame.is_null() || (*frame).f_overwritten_fast_locals.is_null() {
            return None;
        }
        let lost = (*frame).f_overwritten_fast_locals;
        let items = (0..ffi::PyTuple_GET_SIZE(lost)).rev().map(|n| ffi::PyTuple_GET_ITEM(lost, n));
        items.into_iter().find(|o| same(*o)).map(|o| refcount::new_ref(o))
    }
}

/// The object of a number by its origin (`cendre_ir::origin`). An object is that reference, given back.
pub(crate) unsafe extern "C" fn object_of_int(ts: *mut ThreadState, fr: *mut Frame, of: u64, x: i64) -> *mut PyObject {
    // SAFETY: called by machine code for its own frame; a word that is neither none nor a slot is a reference.
    unsafe {
        match of {
            0 => box_int_keeping(x),
            of if of & 1 != 0 => home_int(ts, fr, of >> 1, x),
            of => of as *mut PyObject,
        }
    }
}

/// The same of a double.
pub(crate) unsafe extern "C" fn object_of_float(ts: *mut ThreadState, fr: *mut Frame, of: u64, x: f64) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        match of {
            0 => box_float_keeping(x),
            of if of & 1 != 0 => home_float(ts, fr, of >> 1, x),
            of => of as *mut PyObject,
        }
    }
}

/// 1 if dropping what a slot holds runs no code: nothing, a borrowed reference, or an object of a class without finaliser.
unsafe extern "C" fn slot_is_plain(_ts: *mut ThreadState, fr: *mut Frame, slot: u64) -> i32 {
    // SAFETY: called by machine code for its own frame; the classes are static.
    unsafe {
        let r = *Frame::locals(fr).add(slot as usize);
        if !r.owns() {
            return 1;
        }
        let class = refcount::type_of(r.as_ptr());
        let plain = class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PyFloat_Type
            || class == &raw mut ffi::PyUnicode_Type
            || class == &raw mut ffi::PyBytes_Type
            || class == &raw mut ffi::PyComplex_Type;
        plain.into()
    }
}

/// Two exact `str` in a row; null if there is no memory.
unsafe extern "C" fn str_concat(a: *mut PyObject, b: *mut PyObject) -> *mut PyObject {
    // SAFETY: machine code has checked the classes.
    unsafe { ffi::PyUnicode_Concat(a, b) }
}

/// Whether two exact `str` are equal: 0 or 1.
unsafe extern "C" fn str_eq(a: *mut PyObject, b: *mut PyObject) -> i32 {
    // SAFETY: machine code has checked the classes.
    unsafe { api::_PyUnicode_Equal(a, b) }
}

/// Drops what the slots of a finished frame own, the last one first, as CPython does.
unsafe extern "C" fn clear_slots(first: *mut StackRef, n: u64) {
    // SAFETY: machine code passes the slots of the frame that it has just unlinked.
    unsafe {
        for i in (0..n as usize).rev() {
            (*first.add(i)).close();
        }
    }
}

/// `local += right` of exact strs, in place where the slot has the only reference. 0, or -1 with an exception set and the slot unbound.
unsafe extern "C" fn append_to_slot(_ts: *mut ThreadState, fr: *mut Frame, slot: u64, right: *mut PyObject) -> i32 {
    // SAFETY: called by machine code for its own frame, both checked to be exact strs.
    unsafe {
        let place = Frame::locals(fr).add(slot as usize);
        let word = *place;
        *place = StackRef::NULL;
        let mut text = word.as_ptr();
        if !word.owns() {
            refcount::incref(text);
        }
        ffi::PyUnicode_Append(&mut text, right);
        if text.is_null() {
            return -1;
        }
        *place = StackRef::from_steal(text);
    }
    0
}

/// `len(o)`; -1 with an exception set.
unsafe extern "C" fn length(o: *mut PyObject) -> i64 {
    // SAFETY: machine code holds the GIL and a reference.
    unsafe { ffi::PyObject_Size(o) as i64 }
}

/// `isinstance(o, class)`; -1 with an exception set.
unsafe extern "C" fn is_instance(o: *mut PyObject, class: *mut PyObject) -> i32 {
    // SAFETY: as in `length`.
    unsafe { ffi::PyObject_IsInstance(o, class) }
}

/// `str(o)`
unsafe extern "C" fn str_of(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `length`.
    unsafe { ffi::PyObject_Str(o) }
}

/// `type(o)`
unsafe extern "C" fn type_of(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `length`.
    unsafe { refcount::new_ref(refcount::type_of(o).cast()) }
}

/// A new instance of a class that is made by `object.__new__`.
unsafe extern "C" fn new_object(class: *mut ffi::PyTypeObject) -> *mut PyObject {
    // SAFETY: the front end has checked the class's `tp_new` and `tp_alloc`, its version guards them.
    unsafe { ffi::PyType_GenericAlloc(class, 0) }
}

/// The TypeError of an `__init__` that returned something. Always -1.
unsafe extern "C" fn init_not_none(result: *mut PyObject) -> i32 {
    // SAFETY: a live object; the name of a type is a NUL-terminated string.
    unsafe {
        let name = (*refcount::type_of(result)).tp_name;
        ffi::PyErr_Format(ffi::PyExc_TypeError, c"__init__() should return None, not '%.200s'".as_ptr(), name);
    }
    -1
}

/// The bits of `x ** y`; those of a nan where the machine code has to leave.
extern "C" fn float_pow(x: f64, y: f64) -> u64 {
    cendre_ir::arith::float_power(x, y).unwrap_or(f64::NAN).to_bits()
}

/// The helpers of this file, by name.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: std::sync::OnceLock<[(&str, usize); 22]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        [
            ("box_int", box_int as *const () as usize),
            ("box_float", box_float as *const () as usize),
            ("float_pow", float_pow as *const () as usize),
            ("unbox_int_slow", unbox_int_slow as *const () as usize),
            ("sync_int", sync_int as *const () as usize),
            ("sync_float", sync_float as *const () as usize),
            ("sync_bool", sync_bool as *const () as usize),
            ("home_int", home_int as *const () as usize),
            ("home_float", home_float as *const () as usize),
            ("object_of_int", object_of_int as *const () as usize),
            ("object_of_float", object_of_float as *const () as usize),
            ("slot_is_plain", slot_is_plain as *const () as usize),
            ("str_concat", str_concat as *const () as usize),
            ("str_eq", str_eq as *const () as usize),
            ("clear_slots", clear_slots as *const () as usize),
            ("append_to_slot", append_to_slot as *const () as usize),
            ("length", length as *const () as usize),
            ("is_instance", is_instance as *const () as usize),
            ("str_of", str_of as *const () as usize),
            ("type_of", type_of as *const () as usize),
            ("new_object", new_object as *const () as usize),
            ("init_not_none", init_not_none as *const () as usize),
        ]
    })
}
