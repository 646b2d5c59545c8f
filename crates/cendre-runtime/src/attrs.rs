//! Polymorphic inline caches of attributes: for sites that have seen more than one class, where a guard would only leave.
//!
//! One cache a site, four classes each, filled by what the site meets. An entry is good while the class's version tag is the one it was
//! made for: nothing that a look-up of the name would find on the class or its bases can have changed then.
//! Invariant: a hit gives what `PyObject_GetAttr` would; whatever is unusual goes there. Descriptors are borrowed from the class, which the
//! object keeps alive. Read docs/internals/runtime.md.

use crate::body::BodyResult;
use cendre_cpython::dict::{DictKeys, DictValues, keys_kind};
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::typeobject::HeapTypeObject;
use cendre_cpython::{api, refcount};

/// `Py_TPFLAGS_INLINE_VALUES`
const INLINE_VALUES: u64 = 1 << 2;
/// Classes that a site remembers.
const WAYS: usize = 4;

#[derive(Clone, Copy, Default)]
struct Entry {
    /// Version tag of the class; 0: unused.
    version: u32,
    /// Byte offset of the value in the object, or 0: a method.
    offset: u32,
    /// The function, for a method.
    descr: usize,
    /// For a method: the class's shared keys and their number, by which no instance has the name.
    keys: usize,
    nentries: isize,
}

/// The cache of one site.
#[repr(C)]
#[derive(Default)]
pub struct AttrCache {
    entries: [Entry; WAYS],
    next: usize,
}

/// What a site found: a value (owned), a method (borrowed), or nothing.
enum Found {
    Value(*mut PyObject),
    Method(*mut PyObject),
    No,
}

#[inline(always)]
unsafe fn values_of(o: *mut PyObject, class: *mut PyTypeObject) -> *mut DictValues {
    // SAFETY: the caller knows that objects of the class have inline values, right behind their fixed part.
    unsafe { o.cast::<u8>().add((*class).tp_basicsize as usize).cast() }
}

#[inline(always)]
unsafe fn look(cache: *mut AttrCache, o: *mut PyObject) -> Found {
    // SAFETY: machine code passes a live object and its site's cache; the GIL is held.
    unsafe {
        let class = refcount::type_of(o);
        let version = (*class).tp_version_tag as u32;
        for e in &(*cache).entries {
            if e.version != version || version == 0 {
                continue;
            }
            if (*values_of(o, class)).valid == 0 {
                return Found::No;
            }
            if e.offset != 0 {
                let value = *o.cast::<u8>().add(e.offset as usize).cast::<*mut PyObject>();
                return if value.is_null() { Found::No } else { Found::Value(refcount::new_ref(value)) };
            }
            let keys = (*class.cast::<HeapTypeObject>()).ht_cached_keys;
            if keys as usize == e.keys && (*keys).dk_nentries == e.nentries {
                return Found::Method(e.descr as *mut PyObject);
            }
            return Found::No;
        }
        Found::No
    }
}

/// Remembers the object's class, if the attribute is one that an entry can describe.
#[cold]
unsafe fn fill(cache: *mut AttrCache, o: *mut PyObject, name: *mut PyObject) {
    // SAFETY: as in `look`; the name is an interned str of the code object.
    unsafe {
        let class = refcount::type_of(o);
        let plain = (*class).tp_flags & INLINE_VALUES != 0
            && (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE != 0
            && (*class).tp_getattro.map(|f| f as usize) == Some(ffi::PyObject_GenericGetAttr as *const () as usize);
        if !plain || api::PyUnstable_Type_AssignVersionTag(class) == 0 {
            return;
        }
        let keys = (*class.cast::<HeapTypeObject>()).ht_cached_keys;
        if keys.is_null() || (*keys).dk_kind != keys_kind::SPLIT {
            return;
        }
        let entries = DictKeys::unicode_entries(keys);
        let nentries = (*keys).dk_nentries;
        // By value: a key that came in through `__dict__` need not be the interned object.
        let index = (0..nentries).find(|n| {
            let key = (*entries.add(*n as usize)).me_key;
            key == name || !key.is_null() && ffi::PyUnicode_Compare(key, name) == 0
        });
        let descr = api::_PyType_Lookup(class, name);
        let version = (*class).tp_version_tag as u32;
        let mut e = Entry { version, keys: keys as usize, nentries, ..Entry::default() };
        match (index, descr.is_null()) {
            (Some(n), true) => {
                let values = (*class).tp_basicsize as usize + core::mem::offset_of!(DictValues, values);
                e.offset = (values + 8 * n as usize) as u32;
            }
            (None, false) if refcount::type_of(descr) == &raw mut ffi::PyFunction_Type => {
                e.descr = descr as usize;
            }
            _ => return,
        }
        if version != 0 {
            let at = (*cache).next % WAYS;
            (*cache).next = at + 1;
            (*cache).entries[at] = e;
        }
    }
}

/// `o.name` of a site with a cache: a new reference, or null with an exception set.
///
/// # Safety
/// Called by machine code: live objects, the site's cache; the GIL is held.
pub unsafe extern "C" fn get_attr_cached(o: *mut PyObject, name: *mut PyObject, cache: *mut AttrCache) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        match look(cache, o) {
            Found::Value(v) => v,
            Found::Method(_) | Found::No => {
                fill(cache, o, name);
                ffi::PyObject_GetAttr(o, name)
            }
        }
    }
}

/// The callee of `o.name(...)`: (0, function) with `o` as its first argument, (1, any callable) without; (2, 0): exception set. Owned.
///
/// # Safety
/// As for [`get_attr_cached`].
pub unsafe extern "C" fn get_method_cached(o: *mut PyObject, name: *mut PyObject, cache: *mut AttrCache) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        match look(cache, o) {
            Found::Method(f) => return BodyResult::new(0, refcount::new_ref(f) as u64),
            Found::Value(v) => return BodyResult::new(1, v as u64),
            Found::No => {}
        }
        fill(cache, o, name);
        let mut method = core::ptr::null_mut();
        let unbound = api::_PyObject_GetMethod(o, name, &mut method);
        if method.is_null() {
            return BodyResult::new(2, 0);
        }
        BodyResult::new(u64::from(unbound == 0), method as u64)
    }
}

/// The helpers of this file, by name.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: std::sync::OnceLock<[(&str, usize); 2]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        [
            ("get_attr_cached", get_attr_cached as *const () as usize),
            ("get_method_cached", get_method_cached as *const () as usize),
        ]
    })
}
