//! The public protocol of awaited calls: flag, answers, registry and the table that other extensions get in a capsule.
//!
//! Invariants: the shapes are those of `include/cendre.h`, which explains every rule; the flag is only ever sent to callables
//! that said they understand it; the registry only grows. Read docs/internals/awaits.md, "The public protocol".

use crate::coro;
use crate::coro::call::{self, Answer};
use crate::gil::Gil;
use cendre_cpython::api;
use cendre_cpython::ffi::{self, PyObject, vectorcallfunc};
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;
use core::ffi::{CStr, c_int};
use core::ptr;

/// The flag in `nargsf`: the caller awaits the result at once (`CENDRE_AWAITED`).
pub const AWAITED: usize = 1 << (usize::BITS - 2);
/// The answer "nothing happened, make the ordinary call" (`CENDRE_DECLINED`).
pub const DECLINED: *mut PyObject = ptr::without_provenance_mut(2);
/// Version of [`AwaitApi`] (`CENDRE_AWAIT_API_VERSION`).
pub const VERSION: u32 = 1;
/// The capsule's name (`CENDRE_AWAIT_CAPSULE`): attribute `await_api` of the module `cendre._cendre`.
pub const CAPSULE: &CStr = c"cendre._cendre.await_api";

/// What other extensions see (`CendreAwaitApi`). Later versions only append.
#[repr(C)]
pub struct AwaitApi {
    pub version: u32,
    /// `sizeof` of this struct where it was made.
    pub size: u32,
    /// Says that a vectorcall function understands the flag. 0, or -1 with an exception set.
    pub declare: unsafe extern "C" fn(vectorcallfunc) -> c_int,
    /// The function to call with the flag for this callable, or null.
    pub entry_for: unsafe extern "C" fn(*mut PyObject) -> Option<vectorcallfunc>,
    /// `await callable(*args)` up to its end or first suspension, whatever the callable is; answers as an entry does, never
    /// `DECLINED`.
    pub start: unsafe extern "C" fn(*mut PyObject, *mut *mut PyObject, usize) -> *mut PyObject,
}

static API: AwaitApi = AwaitApi { version: VERSION, size: size_of::<AwaitApi>() as u32, declare, entry_for, start };

/// The answer "suspended": the receiver with the low bit set (`CENDRE_SUSPENDED`).
#[inline(always)]
pub fn suspended(receiver: *mut PyObject) -> *mut PyObject {
    receiver.map_addr(|a| a | 1)
}

/// The number of arguments in `nargsf`, which may carry both flags (`cendre_nargs`).
#[inline(always)]
pub fn nargs(nargsf: usize) -> usize {
    nargsf & (AWAITED - 1)
}

/// A new capsule with the table; null with an exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn capsule() -> *mut PyObject {
    // SAFETY: the table is constant and lives for ever; users only read it.
    unsafe { ffi::PyCapsule_New((&raw const API).cast_mut().cast(), CAPSULE.as_ptr(), None) }
}

/// Adds the capsule to the native module: 0, or -1 with an exception set.
///
/// # Safety
/// A module; the GIL is held.
pub unsafe fn add_to_module(module: *mut PyObject) -> c_int {
    // SAFETY: the caller's contract; PyModule_Add takes the reference over, and NULL for an error.
    unsafe { ffi::PyModule_Add(module, c"await_api".as_ptr(), capsule()) }
}

/// Addresses of functions: open addressing, at most half full, nothing is ever removed.
struct Registry {
    slots: Vec<usize>,
    used: usize,
}

static REGISTRY: Gil<Registry> = Gil::new(Registry { slots: Vec::new(), used: 0 });

impl Registry {
    /// Where this address is, or would be.
    #[expect(clippy::indexing_slicing, reason = "the mask is the length less one, and callers have slots")]
    fn slot(&self, address: usize) -> usize {
        let mask = self.slots.len() - 1;
        let mut i = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & mask;
        while self.slots[i] != 0 && self.slots[i] != address {
            i = (i + 1) & mask;
        }
        i
    }

    #[expect(clippy::indexing_slicing, reason = "`slot` answers an index")]
    fn contains(&self, address: usize) -> bool {
        !self.slots.is_empty() && self.slots[self.slot(address)] == address
    }

    #[expect(clippy::indexing_slicing, reason = "`slot` answers an index")]
    fn add(&mut self, address: usize) {
        if self.contains(address) {
            return;
        }
        if (self.used + 1) * 2 > self.slots.len() {
            let larger = (self.slots.len() * 2).max(64);
            let old = core::mem::replace(&mut self.slots, vec![0; larger]);
            for a in old.into_iter().filter(|a| *a != 0) {
                let i = self.slot(a);
                self.slots[i] = a;
            }
        }
        let i = self.slot(address);
        self.slots[i] = address;
        self.used += 1;
    }
}

/// Says that a vectorcall function understands the flag.
///
/// # Safety
/// The GIL is held.
pub unsafe extern "C" fn declare(function: vectorcallfunc) -> c_int {
    // SAFETY: the caller's contract; nothing here runs Python code.
    unsafe { REGISTRY.get().add(function as usize) };
    0
}

/// The vectorcall of a callable that is no Python function, or of one whose vectorcall was replaced, if it understands the flag.
///
/// # Safety
/// A live object; the GIL is held.
#[inline]
pub unsafe fn registered(callable: *mut PyObject) -> Option<vectorcallfunc> {
    // SAFETY: the caller's contract.
    unsafe {
        if REGISTRY.get().used == 0 {
            return None;
        }
        let function = ffi::PyVectorcall_Function(callable)?;
        REGISTRY.get().contains(function as usize).then_some(function)
    }
}

unsafe extern "C" fn entry_for(callable: *mut PyObject) -> Option<vectorcallfunc> {
    // SAFETY: users pass a live object and hold the GIL.
    unsafe {
        if refcount::type_of(callable) == &raw mut ffi::PyFunction_Type {
            return (coro::enabled() && coro::is_plain(callable.cast())).then_some(call::enter as vectorcallfunc);
        }
        registered(callable)
    }
}

unsafe extern "C" fn start(callable: *mut PyObject, args: *mut *mut PyObject, n: usize) -> *mut PyObject {
    // SAFETY: users pass live objects with a scratch word before them and hold the GIL.
    unsafe {
        match call::start(ThreadState::current(), callable, args, n) {
            Answer::Value(value) => value,
            Answer::Suspended { receiver, yielded } => {
                *args.sub(1) = yielded;
                suspended(receiver)
            }
            Answer::Raised | Answer::Declined => ptr::null_mut(),
        }
    }
}

/// Calls an entry with the flag and looks at its answer; a wrong one becomes a SystemError.
///
/// # Safety
/// `entry` is what [`registered`] answered for `callable`; `args[-1]` is a scratch word; the objects stay alive.
pub unsafe fn call(ts: *mut ThreadState, callable: *mut PyObject, entry: vectorcallfunc, args: *mut *mut PyObject, n: usize) -> Answer {
    // SAFETY: the caller's contract; answers are tagged pointers as cendre.h says.
    unsafe {
        let scratch = args.sub(1);
        *scratch = ptr::null_mut();
        let answer = entry(callable, args, n | AWAITED, ptr::null_mut());
        let bits = answer.addr();
        if answer == DECLINED {
            return Answer::Declined;
        }
        if bits & 3 == 0 {
            let value = api::_Py_CheckFunctionResult(ts, callable, answer, ptr::null());
            return if value.is_null() { Answer::Raised } else { Answer::Value(value) };
        }
        let receiver = answer.map_addr(|a| a & !3);
        let yielded = *scratch;
        if bits & 3 != 1 || receiver.is_null() || yielded.is_null() || !(*ts).current_exception.is_null() {
            // The references in a wrong answer are leaked: nobody knows which of them are real.
            ffi::PyErr_Format(ffi::PyExc_SystemError, c"%R gave a wrong answer to an awaited call".as_ptr(), callable);
            return Answer::Raised;
        }
        Answer::Suspended { receiver, yielded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_finds_what_was_added_and_nothing_else() {
        let mut r = Registry { slots: Vec::new(), used: 0 };
        assert!(!r.contains(16));
        for a in 1..=500 {
            r.add(a * 16);
            r.add(a * 16);
        }
        assert_eq!(r.used, 500);
        assert!((1..=500).all(|a| r.contains(a * 16)));
        assert!(!r.contains(501 * 16) && !r.contains(24));
    }

    #[test]
    fn both_flags_leave_the_count_alone() {
        assert_eq!(nargs(3), 3);
        assert_eq!(nargs(3 | AWAITED | 1 << 63), 3);
    }
}
