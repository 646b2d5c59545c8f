//! Attributes of a loop that are asked for at every child: `_debug`, `_stopping`, and the like, found where they were found last.
//!
//! Invariant: the answer is `getattr`'s. Nothing is looked up here unless `aio` has seen that no class of the loop has an attribute of such a
//! name ([`LoopState::plain_attributes`]); what is not found in the loop's own dict is asked for by `getattr`.

use crate::state::{Bound, LoopState};
use cendre_cpython::dict::{DictKeys, DictObject, DictValues, keys_kind};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount::decref;
use cendre_cpython::typeobject::MANAGED_DICT_OFFSET;
use core::ptr;

/// The attributes; their order is that of [`LoopState::places`].
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Attr {
    Debug,
    Stopping,
    TaskFactory,
    Scheduled,
    ClockResolution,
    ThreadId,
    Count,
}

impl Attr {
    fn name(self, b: &Bound) -> *mut PyObject {
        match self {
            Attr::Debug => b.names.debug,
            Attr::Stopping => b.names.stopping,
            Attr::TaskFactory => b.names.task_factory,
            Attr::Scheduled => b.names.scheduled,
            Attr::ClockResolution => b.names.clock_resolution,
            Attr::ThreadId | Attr::Count => b.names.thread_id,
        }
    }
}

/// Where a name was found last.
#[derive(Clone, Copy)]
pub struct Place {
    at: usize,
    /// In these keys, which are shared: they only grow. Only compared.
    shared: *mut DictKeys,
}

impl Place {
    /// Nowhere.
    pub const NONE: Place = Place { at: 0, shared: ptr::null_mut() };
}

/// A key's value, borrowed, or null without an exception: not there, or the dict has other keys than interned strings.
#[inline(always)]
unsafe fn in_dict(dict: *mut DictObject, name: *mut PyObject, place: &mut Place) -> *mut PyObject {
    // SAFETY: an entry below `dk_nentries` is one of the keys, whose value stands beside it or, of shared keys, at the same place among the
    // values, as far as there are so many. Keys that were shared are no others' while the loop, whose class they belong to, lives.
    unsafe {
        let (keys, values) = ((*dict).ma_keys, (*dict).ma_values);
        if !values.is_null() && place.shared == keys && place.at < (*values).capacity as usize {
            return *DictValues::items(values).add(place.at);
        }
        anywhere(dict, name, place)
    }
}

#[inline(never)]
unsafe fn anywhere(dict: *mut DictObject, name: *mut PyObject, place: &mut Place) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        let keys = (*dict).ma_keys;
        if (*keys).dk_kind == keys_kind::GENERAL {
            return ptr::null_mut();
        }
        let values = (*dict).ma_values;
        let n = if values.is_null() { (*keys).dk_nentries as usize } else { (*keys).dk_nentries.min((*values).capacity.into()) as usize };
        let entries = DictKeys::unicode_entries(keys);
        if place.at >= n || (*entries.add(place.at)).me_key != name {
            let Some(found) = (0..n).find(|i| (*entries.add(*i)).me_key == name) else { return ptr::null_mut() };
            place.at = found;
        }
        place.shared = if values.is_null() { ptr::null_mut() } else { keys };
        if values.is_null() { (*entries.add(place.at)).me_value } else { *DictValues::items(values).add(place.at) }
    }
}

/// The value in the loop's own dict, borrowed, or null without an exception: not there, or it must be asked for by `getattr`.
#[inline(always)]
pub unsafe fn own(b: &Bound, ls: *mut LoopState, attr: Attr) -> *mut PyObject {
    // SAFETY: a live loop, whose type has a managed dict if `plain_attributes`.
    unsafe {
        if !(*ls).plain_attributes {
            return ptr::null_mut();
        }
        let dict: *mut DictObject = *(*ls).looop.byte_offset(MANAGED_DICT_OFFSET).cast();
        let place = (&raw mut (*ls).places).as_mut().and_then(|all| all.get_mut(attr as usize));
        match place {
            Some(place) if !dict.is_null() => in_dict(dict, attr.name(b), place),
            _ => ptr::null_mut(),
        }
    }
}

/// An attribute; new reference, or null with an exception set.
pub unsafe fn get(b: &Bound, ls: *mut LoopState, attr: Attr) -> *mut PyObject {
    // SAFETY: a live loop.
    unsafe {
        let value = own(b, ls, attr);
        if value.is_null() {
            return ffi::PyObject_GetAttr((*ls).looop, attr.name(b));
        }
        ffi::Py_INCREF(value);
        value
    }
}

/// An attribute's truth; None if it cannot be told.
#[inline]
pub unsafe fn truth(b: &Bound, ls: *mut LoopState, attr: Attr) -> Option<bool> {
    // SAFETY: a live loop; the reference is given back.
    unsafe {
        let value = own(b, ls, attr);
        if value == ffi::Py_False() {
            return Some(false);
        }
        if value == ffi::Py_True() {
            return Some(true);
        }
        let value = get(b, ls, attr);
        let is = if value.is_null() { -1 } else { ffi::PyObject_IsTrue(value) };
        if !value.is_null() {
            decref(value);
        }
        if is < 0 {
            ffi::PyErr_Clear();
            return None;
        }
        Some(is != 0)
    }
}
