//! Small builtin objects whose fields machine code reads.
//!
//! Holds one module per header, with C's field names. Invariant: as for every declaration of this crate, the tables of
//! `offsets::tables` list them all. Read: the header each module names.

/// `float` (`Include/cpython/floatobject.h`).
pub mod floatobject {
    use crate::ffi::PyObject;
    use crate::table::layout;
    layout! {
        /// `PyFloatObject`.
        pub struct FloatObject = "PyFloatObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// The value.
            pub ob_fval: f64,
        }
    }
}

/// `list` and its iterator (`Include/cpython/listobject.h`, `Include/internal/pycore_list.h`).
pub mod listobject {
    use crate::ffi::{self, PyObject};
    use crate::table::layout;
    layout! {
        /// `PyListObject`; its size is `ob_base.ob_size`.
        pub struct ListObject = "PyListObject" {
            /// Header.
            pub ob_base: ffi::PyVarObject,
            /// The items, or NULL.
            pub ob_item: *mut *mut PyObject,
            /// Slots allocated; -1 while the list is being sorted.
            pub allocated: ffi::Py_ssize_t,
        }

        /// `_PyListIterObject`.
        pub struct ListIterObject = "_PyListIterObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// Next index.
            pub it_index: ffi::Py_ssize_t,
            /// The list, NULL when exhausted.
            pub it_seq: *mut ListObject,
        }
    }
}

/// `tuple` and its iterator (`Include/cpython/tupleobject.h`, `Include/internal/pycore_tuple.h`).
pub mod tupleobject {
    use crate::ffi::{self, PyObject};
    use crate::table::layout;
    layout! {
        /// `PyTupleObject`.
        pub struct TupleObject = "PyTupleObject" {
            /// Header.
            pub ob_base: ffi::PyVarObject,
            /// Cached hash, or -1.
            pub ob_hash: ffi::Py_hash_t,
            /// The items.
            pub ob_item: [*mut PyObject; 1],
        }

        /// `_PyTupleIterObject`.
        pub struct TupleIterObject = "_PyTupleIterObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// Next index.
            pub it_index: ffi::Py_ssize_t,
            /// The tuple, NULL when exhausted.
            pub it_seq: *mut TupleObject,
        }
    }

    impl TupleObject {
        /// The first item's slot.
        ///
        /// # Safety
        /// `this` points to a tuple.
        #[inline(always)]
        pub unsafe fn items(this: *mut TupleObject) -> *mut *mut PyObject {
            // SAFETY: the caller's contract.
            unsafe { (&raw mut (*this).ob_item).cast() }
        }
    }
}

/// The iterator of `range` over C longs (`Include/internal/pycore_range.h`).
pub mod rangeobject {
    use crate::ffi::PyObject;
    use crate::table::layout;
    use core::ffi::c_long;
    layout! {
        /// `_PyRangeIterObject`: next value, step, values left.
        pub struct RangeIterObject = "_PyRangeIterObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// Next value.
            pub start: c_long,
            /// Step.
            pub step: c_long,
            /// Values left.
            pub len: c_long,
        }
    }
}

/// Cells (`Include/cpython/cellobject.h`).
pub mod cell {
    use crate::ffi::PyObject;
    use crate::table::layout;
    layout! {
        /// `PyCellObject`.
        pub struct CellObject = "PyCellObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// The value, or NULL.
            pub ob_ref: *mut PyObject,
        }
    }
}

/// Bound methods and C functions (`Include/cpython/classobject.h`, `methodobject.h`).
pub mod methodobject {
    use crate::ffi::{self, PyObject};
    use crate::table::layout;
    layout! {
        /// `PyMethodObject`.
        pub struct MethodObject = "PyMethodObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// The callable.
            pub im_func: *mut PyObject,
            /// The instance.
            pub im_self: *mut PyObject,
            /// Weak references.
            pub im_weakreflist: *mut PyObject,
            /// How it is called.
            pub vectorcall: Option<ffi::vectorcallfunc>,
        }

        /// `PyCFunctionObject`.
        pub struct CFunctionObject = "PyCFunctionObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// Description.
            pub m_ml: *mut ffi::PyMethodDef,
            /// First argument, or NULL.
            pub m_self: *mut PyObject,
            /// `__module__`.
            pub m_module: *mut PyObject,
            /// Weak references.
            pub m_weakreflist: *mut PyObject,
            /// How it is called.
            pub vectorcall: Option<ffi::vectorcallfunc>,
        }

        /// `PyMethodDescrObject`.
        pub struct MethodDescrObject = "PyMethodDescrObject" {
            /// Object header.
            pub ob_base = "d_common.ob_base": PyObject,
            /// The class.
            pub d_type = "d_common.d_type": *mut ffi::PyTypeObject,
            /// The name.
            pub d_name = "d_common.d_name": *mut PyObject,
            /// The qualified name.
            pub d_qualname = "d_common.d_qualname": *mut PyObject,
            /// Description.
            pub d_method: *mut ffi::PyMethodDef,
            /// How it is called.
            pub vectorcall: Option<ffi::vectorcallfunc>,
        }
    }
}

/// Exceptions (`Include/cpython/pyerrors.h`).
pub mod pyerrors {
    use crate::ffi::PyObject;
    use crate::table::layout;
    use core::ffi::c_char;
    layout! {
        /// `PyBaseExceptionObject`.
        pub struct BaseExceptionObject = "PyBaseExceptionObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// `__dict__`.
            pub dict: *mut PyObject,
            /// `args`.
            pub args: *mut PyObject,
            /// `__notes__`.
            pub notes: *mut PyObject,
            /// `__traceback__`.
            pub traceback: *mut PyObject,
            /// `__context__`.
            pub context: *mut PyObject,
            /// `__cause__`.
            pub cause: *mut PyObject,
            /// `__suppress_context__`.
            pub suppress_context: c_char,
        }
    }
}

/// `str` (`Include/cpython/unicodeobject.h`): header only.
pub mod unicodeobject {
    use crate::ffi::{self, PyObject};
    use crate::table::layout;
    layout! {
        /// `PyASCIIObject`.
        pub struct AsciiObject = "PyASCIIObject" {
            /// Object header.
            pub ob_base: PyObject,
            /// Code points.
            pub length: ffi::Py_ssize_t,
            /// Hash, or -1.
            pub hash: ffi::Py_hash_t,
            /// Bit fields: interned, kind, compact, ascii.
            pub state: u32,
        }
    }
}
