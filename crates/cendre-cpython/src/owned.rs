//! Owned and borrowed references as types, for code that is not in a hurry to count by hand.
//!
//! Invariant: an [`Owned`] holds exactly one reference and gives it up when dropped, so it must be dropped with the GIL held;
//! a [`Borrowed`] never outlives what it borrows from. Neither is ever NULL. Read: `refcount.rs`.

use crate::ffi::PyObject;
use crate::refcount;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// One owned reference.
#[derive(Debug)]
pub struct Owned(NonNull<PyObject>);

/// A reference that somebody else keeps alive for `'a`.
#[derive(Debug, Clone, Copy)]
pub struct Borrowed<'a>(NonNull<PyObject>, PhantomData<&'a PyObject>);

impl Owned {
    /// Takes over a new reference as C functions return it; `None` for NULL (an exception is set then).
    ///
    /// # Safety
    /// `op` is NULL or a reference that the caller owns; the GIL is held here and when the result is dropped.
    #[inline]
    pub unsafe fn from_new(op: *mut PyObject) -> Option<Owned> {
        NonNull::new(op).map(Owned)
    }

    /// Makes a new reference to a borrowed object; `None` for NULL.
    ///
    /// # Safety
    /// `op` is NULL or points to a live object; the GIL as above.
    #[inline]
    pub unsafe fn from_borrowed(op: *mut PyObject) -> Option<Owned> {
        let op = NonNull::new(op)?;
        // SAFETY: the caller's contract.
        unsafe { refcount::incref(op.as_ptr()) };
        Some(Owned(op))
    }

    /// The object, for as long as this reference is kept.
    #[inline]
    pub fn as_ptr(&self) -> *mut PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference to the caller.
    #[inline]
    #[must_use]
    pub fn into_ptr(self) -> *mut PyObject {
        let op = self.0.as_ptr();
        core::mem::forget(self);
        op
    }

    /// Lends the reference.
    #[inline]
    pub fn borrow(&self) -> Borrowed<'_> {
        Borrowed(self.0, PhantomData)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the one reference that this value owns; the constructors demand the GIL.
        unsafe { refcount::decref(self.0.as_ptr()) }
    }
}

impl<'a> Borrowed<'a> {
    /// Wraps a borrowed reference; `None` for NULL.
    ///
    /// # Safety
    /// `op` is NULL or points to an object that lives for `'a`.
    #[inline]
    pub unsafe fn new(op: *mut PyObject) -> Option<Borrowed<'a>> {
        NonNull::new(op).map(|p| Borrowed(p, PhantomData))
    }

    /// The object.
    #[inline]
    pub fn as_ptr(self) -> *mut PyObject {
        self.0.as_ptr()
    }

    /// Makes an owned reference.
    ///
    /// # Safety
    /// The GIL is held here and when the result is dropped.
    #[inline]
    pub unsafe fn to_owned(self) -> Owned {
        // SAFETY: the object is alive.
        unsafe { refcount::incref(self.0.as_ptr()) };
        Owned(self.0)
    }
}
