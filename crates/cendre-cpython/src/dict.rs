//! Dicts: the object, its keys, and the values stored inside instances.
//!
//! Invariant: entries follow the index table, at `dk_indices + (1 << dk_log2_index_bytes)`; a keys object's `dk_version`
//! that is not 0 stands for the very set and order of its keys. Inline values belong to the object while `valid` is 1.
//! Read: `Include/internal/pycore_dict.h`, `Include/cpython/dictobject.h`.

use crate::ffi::{self, PyObject};
use crate::table::layout;

layout! {
    /// `PyDictObject`.
    pub struct DictObject = "PyDictObject" {
        /// Object header.
        pub ob_base: PyObject,
        /// Items.
        pub ma_used: ffi::Py_ssize_t,
        /// Bits 0-7 watchers, bits 8-11 mutation counter.
        pub _ma_watcher_tag: u64,
        /// Keys.
        pub ma_keys: *mut DictKeys,
        /// NULL (combined table), or the values.
        pub ma_values: *mut DictValues,
    }

    /// `struct _dictkeysobject`.
    pub struct DictKeys = "struct _dictkeysobject" {
        /// Reference count.
        pub dk_refcnt: ffi::Py_ssize_t,
        /// log2 of the slots of the hash table.
        pub dk_log2_size: u8,
        /// log2 of its bytes.
        pub dk_log2_index_bytes: u8,
        /// One of `keys_kind`.
        pub dk_kind: u8,
        /// Version, 0 for none.
        pub dk_version: u32,
        /// Entries that can still be added.
        pub dk_usable: ffi::Py_ssize_t,
        /// Entries in use.
        pub dk_nentries: ffi::Py_ssize_t,
        /// The hash table; entries follow.
        pub dk_indices: [u8; 0],
    }

    /// `PyDictUnicodeEntry`: an entry of a table whose keys are all exact `str`.
    pub struct UnicodeEntry = "PyDictUnicodeEntry" {
        /// Key.
        pub me_key: *mut PyObject,
        /// Value (combined tables only).
        pub me_value: *mut PyObject,
    }

    /// `PyDictKeyEntry`.
    pub struct KeyEntry = "PyDictKeyEntry" {
        /// Hash of the key.
        pub me_hash: ffi::Py_hash_t,
        /// Key.
        pub me_key: *mut PyObject,
        /// Value.
        pub me_value: *mut PyObject,
    }

    /// `struct _dictvalues`: values of a split table, inside an instance or apart.
    pub struct DictValues = "struct _dictvalues" {
        /// Slots.
        pub capacity: u8,
        /// Slots in use.
        pub size: u8,
        /// Whether they are inside the instance.
        pub embedded: u8,
        /// Whether they still hold the attributes.
        pub valid: u8,
        /// The values, then one byte each of insertion order.
        pub values: [*mut PyObject; 1],
    }
}

/// Values of [`DictKeys::dk_kind`].
pub mod keys_kind {
    /// Any keys: `KeyEntry`.
    pub const GENERAL: u8 = 0;
    /// Exact `str` keys: `UnicodeEntry`.
    pub const UNICODE: u8 = 1;
    /// Shared by instances of a class.
    pub const SPLIT: u8 = 2;
}

/// Low bits of [`DictObject::_ma_watcher_tag`] that say who watches.
pub const DICT_WATCHER_MASK: u64 = 0xff;
/// `SHARED_KEYS_MAX_SIZE`.
pub const SHARED_KEYS_MAX_SIZE: usize = 30;

impl DictKeys {
    /// The entries of a table with `str` keys (`DK_UNICODE_ENTRIES`).
    ///
    /// # Safety
    /// `this` points to keys whose kind is not `GENERAL`.
    #[inline(always)]
    pub unsafe fn unicode_entries(this: *mut DictKeys) -> *mut UnicodeEntry {
        // SAFETY: the caller's contract.
        unsafe { DictKeys::entries(this).cast() }
    }

    /// The entries of a table with any keys (`DK_ENTRIES`).
    ///
    /// # Safety
    /// `this` points to keys of kind `GENERAL`.
    #[inline(always)]
    pub unsafe fn general_entries(this: *mut DictKeys) -> *mut KeyEntry {
        // SAFETY: the caller's contract.
        unsafe { DictKeys::entries(this).cast() }
    }

    unsafe fn entries(this: *mut DictKeys) -> *mut u8 {
        // SAFETY: the index table has 1 << dk_log2_index_bytes bytes, the entries follow in the same allocation.
        unsafe { (&raw mut (*this).dk_indices).cast::<u8>().add(1 << (*this).dk_log2_index_bytes) }
    }
}

impl DictValues {
    /// The inline values of an instance (`_PyObject_InlineValues`).
    ///
    /// # Safety
    /// `obj`'s type has `tp_flags::INLINE_VALUES`.
    #[inline(always)]
    pub unsafe fn of_instance(obj: *mut PyObject) -> *mut DictValues {
        // SAFETY: they start where the basic size ends.
        unsafe { obj.byte_offset((*(*obj).ob_type).tp_basicsize).cast() }
    }

    /// First value.
    ///
    /// # Safety
    /// `this` points to values.
    #[inline(always)]
    pub unsafe fn items(this: *mut DictValues) -> *mut *mut PyObject {
        // SAFETY: the caller's contract.
        unsafe { (&raw mut (*this).values).cast() }
    }
}
