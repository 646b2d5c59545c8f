//! Types: the table of `PyTypeObject` (declared by pyo3-ffi), the heap type, and where instances keep attributes.
//!
//! Invariant: a `tp_version_tag` that is not 0 stands for everything that attribute look-up on the type can find.
//! Read: `Include/cpython/object.h`, `Include/internal/pycore_object.h`.

use crate::dict::DictKeys;
use crate::ffi::{self, PyObject, PyTypeObject};
use crate::table::{layout, layout_of};
use core::ffi::{c_char, c_void};

/// `PyTypeObject`, under the naming of this crate.
pub type TypeObject = PyTypeObject;

layout_of! {
    /// The layout of [`TypeObject`].
    TYPE_LAYOUT = "PyTypeObject", PyTypeObject {
        tp_name, tp_basicsize, tp_itemsize, tp_dealloc, tp_vectorcall_offset, tp_as_async, tp_repr, tp_as_number,
        tp_as_sequence, tp_as_mapping, tp_hash, tp_call, tp_getattro, tp_setattro, tp_flags, tp_traverse, tp_richcompare,
        tp_weaklistoffset, tp_iter, tp_iternext, tp_base, tp_dict, tp_descr_get, tp_descr_set, tp_dictoffset, tp_init,
        tp_alloc, tp_new, tp_free, tp_mro, tp_cache, tp_subclasses, tp_version_tag, tp_finalize, tp_vectorcall,
        tp_watched, tp_versions_used,
    }
}

layout_of! {
    /// The layout of `PyObject` as pyo3-ffi declares it.
    OBJECT_LAYOUT = "PyObject", PyObject { ob_type }
}

layout_of! {
    /// The layout of `PyVarObject` as pyo3-ffi declares it.
    VAR_OBJECT_LAYOUT = "PyVarObject", ffi::PyVarObject { ob_base, ob_size }
}

layout! {
    /// `struct _specialization_cache`.
    pub struct SpecializationCache = "struct _specialization_cache" {
        /// `__getitem__`, a Python function, or NULL.
        pub getitem: *mut PyObject,
        /// The version it had.
        pub getitem_version: u32,
        /// `__init__`, a Python function, or NULL.
        pub init: *mut PyObject,
    }

    /// `PyHeapTypeObject`.
    pub struct HeapTypeObject = "PyHeapTypeObject" {
        /// The type.
        pub ht_type: PyTypeObject,
        /// Slots.
        pub as_async: ffi::PyAsyncMethods,
        /// Slots.
        pub as_number: ffi::PyNumberMethods,
        /// Slots.
        pub as_mapping: ffi::PyMappingMethods,
        /// Slots.
        pub as_sequence: ffi::PySequenceMethods,
        /// Slots.
        pub as_buffer: ffi::PyBufferProcs,
        /// `__name__`.
        pub ht_name: *mut PyObject,
        /// `__slots__`.
        pub ht_slots: *mut PyObject,
        /// `__qualname__`.
        pub ht_qualname: *mut PyObject,
        /// Keys shared by the instances, or NULL.
        pub ht_cached_keys: *mut DictKeys,
        /// Module.
        pub ht_module: *mut PyObject,
        /// Storage of `tp_name`.
        pub _ht_tpname: *mut c_char,
        /// `Py_tp_token`.
        pub ht_token: *mut c_void,
        /// For specialised instructions.
        pub _spec_cache: SpecializationCache,
    }
}

/// Bits of `tp_flags`.
pub mod tp_flags {
    use core::ffi::c_ulong;
    /// Instances hold their attributes in `DictValues` behind the basic size.
    pub const INLINE_VALUES: c_ulong = 1 << 2;
    /// A pointer for weak references stands before the object.
    pub const MANAGED_WEAKREF: c_ulong = 1 << 3;
    /// A pointer to the dict stands before the object.
    pub const MANAGED_DICT: c_ulong = 1 << 4;
    /// Made by a `class` statement or a spec.
    pub const HEAPTYPE: c_ulong = 1 << 9;
    /// Attributes of the type cannot be set.
    pub const IMMUTABLETYPE: c_ulong = 1 << 8;
    /// Has `tp_vectorcall_offset`.
    pub const HAVE_VECTORCALL: c_ulong = 1 << 11;
    /// Objects have a collector's header.
    pub const HAVE_GC: c_ulong = 1 << 14;
    /// Behaves like a function as an attribute of a class.
    pub const METHOD_DESCRIPTOR: c_ulong = 1 << 17;
    /// `int`.
    pub const LONG_SUBCLASS: c_ulong = 1 << 24;
    /// `list`.
    pub const LIST_SUBCLASS: c_ulong = 1 << 25;
    /// `tuple`.
    pub const TUPLE_SUBCLASS: c_ulong = 1 << 26;
    /// `str`.
    pub const UNICODE_SUBCLASS: c_ulong = 1 << 28;
    /// `dict`.
    pub const DICT_SUBCLASS: c_ulong = 1 << 29;
    /// `BaseException`.
    pub const BASE_EXC_SUBCLASS: c_ulong = 1 << 30;
    /// `type`.
    pub const TYPE_SUBCLASS: c_ulong = 1 << 31;
}

/// Bytes from an object to the pointer to its dict (`MANAGED_DICT_OFFSET`).
pub const MANAGED_DICT_OFFSET: isize = -3 * core::mem::size_of::<*mut PyObject>() as isize;
/// Bytes from an object to its weak references (`MANAGED_WEAKREF_OFFSET`).
pub const MANAGED_WEAKREF_OFFSET: isize = -4 * core::mem::size_of::<*mut PyObject>() as isize;
