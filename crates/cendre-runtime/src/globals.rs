//! Global variables as cells: one word per (dict, name) that a dict watcher keeps current.
//!
//! CPython guards a global by the version of its dict's keys, which ends with every new name in the module. Compiled code has no
//! adaptive interpreter to learn the next version from, so it reads a cell instead: the value (borrowed from the dict), [`ABSENT`] or
//! [`UNKNOWN`]. Only dicts that compiled code reads are watched, so that all others keep CPython's speed.
//! Invariant: a cell's word is what the dict holds, or `UNKNOWN`. Machine code has addresses of cells (`kept.rs`): once the dict is gone, a cell
//! is freed with the last that keeps it.
//! Source: Doc/c-api/dict.rst, "Dictionary watchers". Read docs/internals/runtime.md.

use crate::gil::Gil;
use cendre_cpython::api::{self, watch_event};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::refcount;
use cendre_cpython::unicodeobject::AsciiObject;
use cendre_ir::hash::HashMap;
use core::ffi::c_int;

/// The dict has no such name.
pub const ABSENT: usize = 0;
/// Nothing is known: machine code leaves.
pub const UNKNOWN: usize = 1;

/// One word for machine code, and who needs it.
#[repr(C)]
struct Cell {
    word: usize,
    keepers: usize,
    /// The dict is gone: nobody else will free it.
    orphan: bool,
}

/// Cells by name: an interned `str`, owned, so that two names are equal only if they are the same object. Each write to a watched dict looks here, also those of interpreted code: the look-up has to be cheap.
type Names = HashMap<usize, *mut Cell>;

/// `PyASCIIObject.state.interned`.
const INTERNED: u32 = 3;

#[derive(Default)]
struct Table {
    /// The watcher's id; None: not asked for yet; Some(-1): CPython has none left.
    watcher: Option<c_int>,
    dicts: HashMap<usize, Names>,
}

static TABLE: Gil<Option<Table>> = Gil::new(None);

/// The cell of a name in a dict; `None` if it cannot be watched.
///
/// # Safety
/// Live objects; the GIL is held.
pub unsafe fn cell(dict: *mut PyObject, name: *mut PyObject) -> Option<*const usize> {
    // SAFETY: the caller's contract. Exact dicts and strs only: comparing them runs no code.
    unsafe {
        if dict.is_null() || refcount::type_of(dict) != &raw mut ffi::PyDict_Type || !interned(name) {
            return None;
        }
        let table = TABLE.get().get_or_insert_with(Table::default);
        if let Some(found) = table.dicts.get(&(dict as usize)).and_then(|names| names.get(&(name as usize))) {
            return Some((*found).cast_const().cast());
        }
        let id = match table.watcher {
            Some(id) => id,
            None => {
                let id = api::PyDict_AddWatcher(changed);
                if id < 0 {
                    ffi::PyErr_Clear();
                }
                *table.watcher.insert(id)
            }
        };
        if id < 0 {
            return None;
        }
        if let std::collections::hash_map::Entry::Vacant(e) = table.dicts.entry(dict as usize) {
            if ffi::PyDict_Watch(id, dict) < 0 {
                ffi::PyErr_Clear();
                return None;
            }
            e.insert(HashMap::default());
        }
        let value = ffi::PyDict_GetItemWithError(dict, name);
        let cell = Box::into_raw(Box::new(Cell { word: value as usize, keepers: 0, orphan: false }));
        table.dicts.entry(dict as usize).or_default().insert(refcount::new_ref(name) as usize, cell);
        Some(cell.cast_const().cast())
    }
}

/// Somebody keeps a cell.
///
/// # Safety
/// A cell of [`cell`] that is not freed; the GIL is held.
pub unsafe fn keep(cell: *const usize) {
    // SAFETY: the caller's contract: the word is the first of its cell.
    unsafe { (*cell.cast_mut().cast::<Cell>()).keepers += 1 }
}

/// Who has kept a cell needs it no more.
///
/// # Safety
/// As for [`keep`], which the caller has called.
pub unsafe fn give_up(cell: *const usize) {
    // SAFETY: the caller's contract; an orphan is in no table.
    unsafe {
        let cell: *mut Cell = cell.cast_mut().cast();
        (*cell).keepers -= 1;
        if (*cell).orphan && (*cell).keepers == 0 {
            drop(Box::from_raw(cell));
        }
    }
}

/// An exact `str` that is interned?
#[inline]
unsafe fn interned(name: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe { refcount::type_of(name) == &raw mut ffi::PyUnicode_Type && (*name.cast::<AsciiObject>()).state & INTERNED != 0 }
}

/// The cell of a key that is an exact str, if there is one.
#[inline]
unsafe fn find(names: &Names, key: *mut PyObject) -> Option<*mut Cell> {
    // SAFETY: both are exact strs.
    unsafe {
        if interned(key) {
            return names.get(&(key as usize)).copied();
        }
        let same = |name: usize| ffi::PyUnicode_Compare(name as *mut PyObject, key) == 0;
        names.iter().find(|(name, _)| same(**name)).map(|(_, cell)| *cell)
    }
}

/// The watcher: called before a watched dict changes.
unsafe extern "C" fn changed(event: c_int, dict: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> c_int {
    // SAFETY: called by CPython with the GIL held; nothing here runs Python code or sets an exception.
    unsafe {
        let Some(table) = TABLE.get() else { return 0 };
        let Some(names) = table.dicts.get_mut(&(dict as usize)) else { return 0 };
        match event {
            watch_event::DICT_ADDED | watch_event::DICT_MODIFIED | watch_event::DICT_DELETED => {
                if refcount::type_of(key) == &raw mut ffi::PyUnicode_Type {
                    if let Some(cell) = find(names, key) {
                        (*cell).word = if event == watch_event::DICT_DELETED { ABSENT } else { value as usize };
                    }
                } else if ffi::PyUnicode_Check(key) != 0 {
                    // A subclass may be equal to anything.
                    forget(names);
                }
            }
            watch_event::DICT_DEALLOCATED => {
                forget(names);
                if let Some(names) = table.dicts.remove(&(dict as usize)) {
                    for (name, cell) in names {
                        (*cell).orphan = true;
                        if (*cell).keepers == 0 {
                            drop(Box::from_raw(cell));
                        }
                        refcount::decref(name as *mut PyObject);
                    }
                }
            }
            _ => forget(names),
        }
    }
    0
}

unsafe fn forget(names: &Names) {
    for cell in names.values() {
        // SAFETY: cells in the table are alive; the GIL is held.
        unsafe { (**cell).word = UNKNOWN };
    }
}
