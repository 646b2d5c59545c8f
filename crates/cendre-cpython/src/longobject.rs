//! `int`: tag word and 30-bit digits.
//!
//! Invariant: `lv_tag` = number of digits << 3 | immortal small int << 2 | sign (0 positive, 1 zero, 2 negative); a value
//! is compact when it has at most one digit, `lv_tag < 16`. Read: `Include/cpython/longintrepr.h`, `pycore_long.h`.

use crate::ffi::{self, PyObject};
use crate::table::layout;

layout! {
    /// `PyLongObject`.
    pub struct LongObject = "PyLongObject" {
        /// Object header.
        pub ob_base: PyObject,
        /// Digits, sign, flag.
        pub lv_tag = "long_value.lv_tag": usize,
        /// Least significant first.
        pub ob_digit = "long_value.ob_digit": [u32; 1],
    }
}

/// `PyLong_SHIFT`.
pub const SHIFT: u32 = 30;
/// `PyLong_BASE`: compact values are within `-(BASE - 1) ..= BASE - 1`.
pub const BASE: i64 = 1 << SHIFT;
/// `_PyLong_SIGN_MASK`.
pub const SIGN_MASK: usize = 3;
/// Sign of zero.
pub const SIGN_ZERO: usize = 1;
/// Sign of negative numbers.
pub const SIGN_NEGATIVE: usize = 2;
/// Set for the preallocated small ints.
pub const SMALL_INT_BIT: usize = 4;
/// `_PyLong_NON_SIZE_BITS`.
pub const NON_SIZE_BITS: u32 = 3;
/// `lv_tag` is below this exactly for compact values.
pub const COMPACT_LIMIT: usize = 2 << NON_SIZE_BITS;
/// Small ints below zero.
pub const NSMALLNEGINTS: i64 = 5;
/// Small ints from zero on.
pub const NSMALLPOSINTS: i64 = 257;

/// Whether `v` is one of the preallocated ints.
#[inline(always)]
pub const fn is_small(v: i64) -> bool {
    v >= -NSMALLNEGINTS && v < NSMALLPOSINTS
}

/// The tag of a compact value that is not a preallocated one.
#[inline(always)]
pub const fn compact_tag(v: i64) -> usize {
    if v == 0 { SIGN_ZERO } else { (1 << NON_SIZE_BITS) | if v < 0 { SIGN_NEGATIVE } else { 0 } }
}

impl LongObject {
    /// Whether the value has at most one digit.
    ///
    /// # Safety
    /// `this` points to an int.
    #[inline(always)]
    pub unsafe fn is_compact(this: *const LongObject) -> bool {
        // SAFETY: the caller's contract.
        unsafe { (*this).lv_tag < COMPACT_LIMIT }
    }

    /// The value of a compact int.
    ///
    /// # Safety
    /// `this` points to a compact int.
    #[inline(always)]
    pub unsafe fn compact_value(this: *const LongObject) -> i64 {
        // SAFETY: at least one digit is always allocated; for zero it may hold anything, the sign makes it 0.
        unsafe { (1 - ((*this).lv_tag & SIGN_MASK) as i64) * i64::from((*this).ob_digit[0]) }
    }

    /// The value, if it is compact.
    ///
    /// # Safety
    /// `op` points to an int or to an instance of a subclass.
    #[inline(always)]
    pub unsafe fn try_compact(op: *mut PyObject) -> Option<i64> {
        let this: *const LongObject = op.cast();
        // SAFETY: the caller's contract.
        unsafe { LongObject::is_compact(this).then(|| LongObject::compact_value(this)) }
    }
}

/// Address of the preallocated int 0; that of `v` is `v * size_of::<LongObject>()` further.
///
/// # Safety
/// The interpreter is running and the GIL is held.
#[inline]
pub unsafe fn small_int_zero() -> *mut LongObject {
    // SAFETY: the caller's contract. The preallocated ints are immortal, so the reference need not be counted.
    unsafe { ffi::PyLong_FromLong(0).cast() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_compact_values() {
        assert_eq!((compact_tag(0), compact_tag(7), compact_tag(-7)), (1, 8, 10));
        assert!(compact_tag(-BASE + 1) < COMPACT_LIMIT);
        assert!(is_small(-5) && is_small(256) && !is_small(-6) && !is_small(257));
    }
}
