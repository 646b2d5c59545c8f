//! `_PyStackRef`: what a frame's locals and evaluation stack hold.
//!
//! Invariant (GIL build): bits = pointer, tag bit 0 set = this slot owns no reference (immortal, or borrowed from
//! somebody who keeps it alive); NULL is bits 1, not 0; both low bits set = a tagged int. A stackref of an immortal object
//! always carries the tag. Read: `Include/internal/pycore_stackref.h`, `docs/internals/contracts.md`.

use crate::ffi::PyObject;
use crate::refcount;

/// A possibly borrowed reference in a frame's slot. Copying it copies bits, not ownership.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackRef(pub usize);

/// `Py_TAG_REFCNT`: set where the slot owns no reference.
pub const TAG_REFCNT: usize = 1;
/// `Py_INT_TAG`: both low bits, a tagged int.
pub const INT_TAG: usize = 3;

impl StackRef {
    /// `PyStackRef_NULL`.
    pub const NULL: StackRef = StackRef(TAG_REFCNT);

    /// Takes over an owned reference (`PyStackRef_FromPyObjectSteal`).
    ///
    /// # Safety
    /// `op` is not NULL, a reference that the caller owns; the GIL is held.
    #[inline(always)]
    pub unsafe fn from_steal(op: *mut PyObject) -> StackRef {
        // SAFETY: the caller's contract.
        StackRef(op as usize | (unsafe { refcount::refcnt(op) } >> 31) as usize)
    }

    /// Takes over an owned reference or NULL.
    ///
    /// # Safety
    /// As for [`StackRef::from_steal`], or NULL.
    #[inline(always)]
    pub unsafe fn from_steal_or_null(op: *mut PyObject) -> StackRef {
        if op.is_null() {
            return StackRef::NULL;
        }
        // SAFETY: the caller's contract.
        unsafe { StackRef::from_steal(op) }
    }

    /// Makes a new reference (`PyStackRef_FromPyObjectNew`).
    ///
    /// # Safety
    /// `op` points to a live object; the GIL is held.
    #[inline(always)]
    pub unsafe fn from_new(op: *mut PyObject) -> StackRef {
        // SAFETY: the caller's contract; from_steal takes the reference just made.
        unsafe {
            if !refcount::is_immortal(op) {
                refcount::incref(op);
            }
            StackRef::from_steal(op)
        }
    }

    /// A reference that owns nothing (`PyStackRef_FromPyObjectBorrow`); whoever owns the object must outlive the slot.
    #[inline(always)]
    pub fn from_borrow(op: *mut PyObject) -> StackRef {
        StackRef(op as usize | TAG_REFCNT)
    }

    /// The object, borrowed; NULL for [`StackRef::NULL`]. Not for tagged ints.
    #[inline(always)]
    pub fn as_ptr(self) -> *mut PyObject {
        (self.0 & !TAG_REFCNT) as *mut PyObject
    }

    /// The object as an owned reference (`PyStackRef_AsPyObjectSteal`).
    ///
    /// # Safety
    /// The slot is not NULL nor a tagged int and its reference is given up here; the GIL is held.
    #[inline(always)]
    pub unsafe fn into_owned_ptr(self) -> *mut PyObject {
        let op = self.as_ptr();
        if !self.owns() {
            // SAFETY: the object is alive as long as the slot is.
            unsafe { refcount::incref(op) };
        }
        op
    }

    /// Whether this is `PyStackRef_NULL`.
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0 == TAG_REFCNT
    }

    /// Whether the slot owns a reference.
    #[inline(always)]
    pub fn owns(self) -> bool {
        self.0 & TAG_REFCNT == 0
    }

    /// The same object without ownership.
    #[inline(always)]
    pub fn borrow(self) -> StackRef {
        StackRef(self.0 | TAG_REFCNT)
    }

    /// A second slot's worth of this reference (`PyStackRef_DUP`).
    ///
    /// # Safety
    /// The slot is not NULL; the GIL is held. A borrowed slot yields a borrowed copy.
    #[inline(always)]
    pub unsafe fn dup(self) -> StackRef {
        if self.owns() {
            // SAFETY: an owning slot keeps its object alive.
            unsafe { refcount::incref(self.as_ptr()) };
        }
        self
    }

    /// Gives the reference up (`PyStackRef_XCLOSE`): nothing to do for NULL, borrowed slots and tagged ints.
    ///
    /// # Safety
    /// The slot is not used again; the GIL is held. May run arbitrary code.
    #[inline(always)]
    pub unsafe fn close(self) {
        if self.owns() {
            // SAFETY: tag 0 means that the slot owned a reference.
            unsafe { refcount::decref(self.as_ptr()) };
        }
    }

    /// Turns a borrowed reference into an owned one (`PyStackRef_MakeHeapSafe`), as every slot of a generator's frame
    /// and of an escaping frame must be.
    ///
    /// # Safety
    /// The object is alive; the GIL is held.
    #[inline(always)]
    #[must_use]
    pub unsafe fn make_heap_safe(self) -> StackRef {
        if self.0 & INT_TAG != TAG_REFCNT || self.is_null() {
            return self;
        }
        // SAFETY: tag 1, neither NULL nor a tagged int: a live object.
        unsafe { StackRef::from_new(self.as_ptr()) }
    }

    /// A tagged int (`PyStackRef_TagInt`), as exception handlers keep `lasti` on the stack.
    #[inline(always)]
    pub const fn tag_int(i: isize) -> StackRef {
        StackRef(((i as usize) << 2) | INT_TAG)
    }

    /// Whether this is a tagged int.
    #[inline(always)]
    pub fn is_tagged_int(self) -> bool {
        self.0 & INT_TAG == INT_TAG
    }

    /// The value of a tagged int.
    #[inline(always)]
    pub fn untag_int(self) -> isize {
        self.0 as isize >> 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tagged_ints_keep_their_value_and_are_not_null() {
        for i in [0, 1, -1, 77, isize::MAX >> 2, isize::MIN >> 2] {
            let r = StackRef::tag_int(i);
            assert_eq!(r.untag_int(), i);
            assert!(r.is_tagged_int() && !r.is_null() && !r.owns());
        }
        assert!(!StackRef::NULL.is_tagged_int() && !StackRef::NULL.owns());
        assert!(StackRef::NULL.as_ptr().is_null());
    }
}
