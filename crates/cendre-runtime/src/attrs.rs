//! Polymorphic inline caches of attributes: for sites that have seen more than one class, or a kind of attribute that has no guard of its own.
//!
//! One cache a site, some classes each, filled by what the site meets. An entry is good while the class's version tag is the one it was
//! made for: nothing that a look-up of the name would find on the class or its bases can have changed then.
//! Invariant: a hit gives what `PyObject_GetAttr` (`PyObject_SetAttr`) would; whatever is unusual goes there. Descriptors are borrowed from
//! the class, which holds them as long as its version says so. Read docs/internals/runtime.md.

use crate::body::BodyResult;
use cendre_codegen::AttrFront;
use cendre_cpython::dict::{DictKeys, DictObject, DictValues, keys_kind};
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::typeobject::{HeapTypeObject, tp_flags};
use cendre_cpython::{api, refcount};

/// Classes that a site remembers.
const WAYS: usize = 8;
/// Wrong hints after which a site keeps the last one.
const SEARCHES: u32 = 64;
/// Look-ups in a row that nothing could be remembered of, after which a site seldom tries.
const TRIES: u32 = 8;
/// `Py_T_OBJECT_EX`, `Py_READONLY`, `Py_AUDIT_READ`, `Py_RELATIVE_OFFSET`.
const MEMBER_OBJECT: core::ffi::c_int = 16;
const MEMBER_READONLY: core::ffi::c_int = 1;
const MEMBER_UNUSUAL: core::ffi::c_int = 2 | 8;
/// The dict pointer of objects with a managed dict.
const MANAGED_DICT_OFFSET: isize = -24;

/// How the value is found once the class is known.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// At `offset` in the object's inline values.
    #[default]
    Inline,
    /// At `offset` in the object (`__slots__`).
    Slot,
    /// `property`: its getter is called.
    Property,
    /// What `descr` makes of it, unless the object has the name itself.
    Descr,
    /// As `Descr`, and `descr` can be called with the object as its first argument.
    Method,
    /// What `descr` makes of it, whatever the object has.
    Data,
    /// In the object's dict, or nowhere.
    Dict,
    /// The object is the class `owner` at `owner_version`: `descr` is the value, or makes it.
    Class,
}

/// Where an object may have the name itself.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Own {
    /// Nowhere.
    #[default]
    Nothing,
    /// Inline values: not as long as the shared keys have not grown.
    Inline,
    /// A dict, whose pointer is at `dict` in the object.
    Dict,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    kind: Kind,
    own: Own,
    /// Byte offset of the value in the object.
    offset: u32,
    /// Byte offset of the dict pointer.
    dict: i32,
    descr: usize,
    /// Shared keys and their number; for a write the number of the name among them.
    keys: usize,
    nentries: isize,
    /// `Kind::Class`: version tag of the object itself.
    owner_version: u32,
}

/// The cache of one site.
#[repr(C)]
#[derive(Default)]
pub struct AttrCache {
    /// What machine code knows by itself: it reads the cache's first words.
    front: AttrFront,
    /// Version tags of the classes; 0: unused.
    versions: [u32; WAYS],
    entries: [Entry; WAYS],
    next: usize,
    /// Look-ups that found no entry and could make none.
    vain: u32,
    /// For attributes in a dict: where among its entries the name was last, which is where it is in other objects that got theirs in the same order
    /// (as the hint of LOAD_ATTR_WITH_HINT).
    hint: u32,
    /// How often the hint was wrong and a better one was looked for.
    searches: u32,
}

/// What a site found: a value (owned), an exception, a method (borrowed), or nothing.
enum Found {
    Value(*mut PyObject),
    Raised,
    Method(*mut PyObject),
    No,
}

impl Found {
    fn of(value: *mut PyObject) -> Found {
        if value.is_null() { Found::Raised } else { Found::Value(value) }
    }
}

#[inline(always)]
unsafe fn values_of(o: *mut PyObject, class: *mut PyTypeObject) -> *mut DictValues {
    // SAFETY: the caller knows that objects of the class have inline values, right behind their fixed part.
    unsafe { o.cast::<u8>().add((*class).tp_basicsize as usize).cast() }
}

#[inline(always)]
unsafe fn word(o: *mut PyObject, offset: isize) -> *mut *mut PyObject {
    // SAFETY: the caller knows that the object has a pointer there.
    unsafe { o.byte_offset(offset).cast() }
}

/// What a descriptor that is no data descriptor, or any that comes first, gives for an object: a new reference or null.
#[inline]
unsafe fn described(descr: *mut PyObject, o: *mut PyObject, class: *mut PyTypeObject) -> *mut PyObject {
    // SAFETY: all are alive; a descriptor's code may do anything, so it is held.
    unsafe {
        let held = refcount::new_ref(descr);
        let Some(get) = (*refcount::type_of(descr)).tp_descr_get else { return held };
        let value = get(descr, o, class.cast());
        refcount::decref(held);
        value
    }
}

/// The getter of a property, which lies right behind the object header (`fill` has checked that).
#[inline(always)]
unsafe fn getter(property: *mut PyObject) -> *mut PyObject {
    // SAFETY: an exact `property`.
    unsafe { *word(property, size_of::<PyObject>() as isize) }
}

/// What a `classmethod` or `staticmethod` wraps, or null: it lies right behind the object header.
///
/// # Safety
/// An object that is exactly of one of these classes; the GIL is held.
pub unsafe fn wrapped(o: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { *word(o, size_of::<PyObject>() as isize) }
}

/// What an object has under a name itself.
enum Mine {
    Nothing,
    Value(*mut PyObject),
    /// A key of the dict raised when it was compared.
    Raised,
    /// To be asked the long way.
    Unknown,
}

impl From<Mine> for Found {
    fn from(mine: Mine) -> Found {
        match mine {
            Mine::Value(value) => Found::Value(value),
            Mine::Raised => Found::Raised,
            Mine::Nothing | Mine::Unknown => Found::No,
        }
    }
}

/// What the dict whose pointer is at `offset` in the object holds.
#[inline]
unsafe fn in_dict(o: *mut PyObject, offset: isize, name: *mut PyObject) -> Mine {
    // SAFETY: the caller knows that the object keeps a dict or null there. It is held: keys that are no strs run code.
    unsafe {
        let dict = *word(o, offset);
        if dict.is_null() {
            return Mine::Nothing;
        }
        let held = refcount::new_ref(dict);
        let mut value = core::ptr::null_mut();
        let found = ffi::PyDict_GetItemRef(held, name, &mut value);
        refcount::decref(held);
        match found {
            0 => Mine::Nothing,
            1 => Mine::Value(value),
            _ => Mine::Raised,
        }
    }
}

/// The same, with the site's hint.
#[inline]
unsafe fn in_dict_by_hint(cache: *mut AttrCache, o: *mut PyObject, offset: isize, name: *mut PyObject) -> Mine {
    // SAFETY: as for `in_dict`; entries are read up to their number, and nothing runs between that and the new reference.
    unsafe {
        let dict: *mut DictObject = (*word(o, offset)).cast();
        if dict.is_null() {
            return Mine::Nothing;
        }
        let keys = (*dict).ma_keys;
        if (*keys).dk_kind == keys_kind::UNICODE && (*dict).ma_values.is_null() {
            let entries = DictKeys::unicode_entries(keys);
            let value_at = |n: usize| {
                let e = entries.add(n);
                if (*e).me_key == name { (*e).me_value } else { core::ptr::null_mut() }
            };
            let number = (*keys).dk_nentries as usize;
            let hint = (*cache).hint as usize;
            let value = if hint < number { value_at(hint) } else { core::ptr::null_mut() };
            if !value.is_null() {
                return Mine::Value(refcount::new_ref(value));
            }
            if (*cache).searches < SEARCHES {
                (*cache).searches += 1;
                if let Some(n) = (0..number).find(|n| !value_at(*n).is_null()) {
                    (*cache).hint = n as u32;
                }
            }
        }
        in_dict(o, offset, name)
    }
}

/// Does the object have the name itself? Values are new references.
#[inline]
unsafe fn own_value(e: &Entry, o: *mut PyObject, class: *mut PyTypeObject, name: *mut PyObject) -> Mine {
    // SAFETY: the entry was made for this version of the class.
    unsafe {
        match e.own {
            Own::Nothing => Mine::Nothing,
            Own::Inline => {
                if (*values_of(o, class)).valid == 0 {
                    // More attributes than classes share keys for, or a copied dict: they are in a dict of the object's own.
                    return in_dict(o, MANAGED_DICT_OFFSET, name);
                }
                let keys = (*class.cast::<HeapTypeObject>()).ht_cached_keys;
                let known = keys as usize == e.keys && (*keys).dk_nentries == e.nentries;
                if known { Mine::Nothing } else { Mine::Unknown }
            }
            Own::Dict => in_dict(o, e.dict as isize, name),
        }
    }
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "indices below WAYS, the length of both arrays")]
unsafe fn look(cache: *mut AttrCache, o: *mut PyObject, name: *mut PyObject) -> Found {
    // SAFETY: machine code passes a live object and its site's cache; the GIL is held.
    unsafe {
        let class = refcount::type_of(o);
        let version = (*class).tp_version_tag as u32;
        if version == 0 {
            return Found::No;
        }
        for n in 0..WAYS {
            if (*cache).versions[n] != version {
                continue;
            }
            let e = &(*cache).entries[n];
            if e.kind == Kind::Inline {
                if (*values_of(o, class)).valid == 0 {
                    return in_dict_by_hint(cache, o, MANAGED_DICT_OFFSET, name).into();
                }
                let value = *word(o, e.offset as isize);
                return if value.is_null() { Found::No } else { Found::Value(refcount::new_ref(value)) };
            }
            if e.kind == Kind::Class && (*o.cast::<PyTypeObject>()).tp_version_tag != e.owner_version {
                continue;
            }
            // A copy: what runs below may change the cache.
            let e = *e;
            match (e.kind, e.own) {
                (Kind::Dict, Own::Dict) => return in_dict_by_hint(cache, o, e.dict as isize, name).into(),
                (Kind::Dict, Own::Inline) if (*values_of(o, class)).valid == 0 => {
                    return in_dict_by_hint(cache, o, MANAGED_DICT_OFFSET, name).into();
                }
                _ => {}
            }
            return hit(&e, o, class, name);
        }
        Found::No
    }
}

unsafe fn hit(e: &Entry, o: *mut PyObject, class: *mut PyTypeObject, name: *mut PyObject) -> Found {
    // SAFETY: the entry was made for this version of the class.
    unsafe {
        let descr = e.descr as *mut PyObject;
        match e.kind {
            Kind::Inline | Kind::Slot => {
                let value = *word(o, e.offset as isize);
                if value.is_null() { Found::No } else { Found::Value(refcount::new_ref(value)) }
            }
            Kind::Property => {
                let get = getter(descr);
                if get.is_null() {
                    return Found::No;
                }
                let get = refcount::new_ref(get);
                let args = [o];
                let ts: *mut ThreadState = ffi::PyThreadState_GetUnchecked().cast();
                let value = crate::ops::vector::call_vector(ts, get, args.as_ptr(), 1);
                refcount::decref(get);
                Found::of(value)
            }
            Kind::Method => match own_value(e, o, class, name) {
                Mine::Nothing => Found::Method(descr),
                mine => mine.into(),
            },
            Kind::Descr | Kind::Data => {
                // The descriptor's own class can have changed.
                let class_of_it = refcount::type_of(descr);
                let data = e.kind == Kind::Data;
                if (*class_of_it).tp_descr_set.is_some() != data || data && (*class_of_it).tp_descr_get.is_none() {
                    return Found::No;
                }
                match own_value(e, o, class, name) {
                    Mine::Nothing => Found::of(described(descr, o, class)),
                    mine => mine.into(),
                }
            }
            Kind::Dict => own_value(e, o, class, name).into(),
            Kind::Class => {
                if refcount::type_of(descr) == &raw mut ffi::PyClassMethod_Type {
                    // The bound method would be one of the class.
                    let function = wrapped(descr);
                    if !function.is_null() && refcount::type_of(function) == &raw mut ffi::PyFunction_Type {
                        return Found::Method(function);
                    }
                }
                let Some(get) = (*refcount::type_of(descr)).tp_descr_get else {
                    return Found::Value(refcount::new_ref(descr));
                };
                let held = refcount::new_ref(descr);
                let value = get(held, core::ptr::null_mut(), o);
                refcount::decref(held);
                Found::of(value)
            }
        }
    }
}

/// Does attribute look-up on the class find what `PyObject_GenericGetAttr` finds, whenever that finds something?
unsafe fn looks_up_as_usual(class: *mut PyTypeObject) -> bool {
    // SAFETY: a live class; the GIL is held.
    unsafe {
        let Some(get) = (*class).tp_getattro else { return false };
        if get as usize == ffi::PyObject_GenericGetAttr as *const () as usize || class == &raw mut ffi::PyModule_Type {
            return true;
        }
        // A class with `__getattr__`, which is asked last, and without a `__getattribute__` of its own.
        if (*class).tp_flags & tp_flags::HEAPTYPE == 0 {
            return false;
        }
        let interned = |text: &core::ffi::CStr| ffi::PyUnicode_InternFromString(text.as_ptr());
        let (hook, all) = (interned(c"__getattr__"), interned(c"__getattribute__"));
        let usual = !hook.is_null()
            && !all.is_null()
            && !api::_PyType_Lookup(class, hook).is_null()
            && api::_PyType_Lookup(class, all) == api::_PyType_Lookup(&raw mut ffi::PyBaseObject_Type, all);
        refcount::xdecref(hook);
        refcount::xdecref(all);
        usual
    }
}

/// Index of a name in the keys that the class's instances share.
unsafe fn shared_index(keys: *mut DictKeys, name: *mut PyObject) -> Option<isize> {
    // SAFETY: keys of kind SPLIT.
    unsafe {
        let entries = DictKeys::unicode_entries(keys);
        // By value: a key that came in through `__dict__` need not be the interned object.
        (0..(*keys).dk_nentries).find(|n| {
            let key = (*entries.add(*n as usize)).me_key;
            key == name || !key.is_null() && ffi::PyUnicode_Compare(key, name) == 0
        })
    }
}

/// Where objects of a class keep attributes of their own, for a new entry; `None`: somewhere unusual.
unsafe fn own_of(class: *mut PyTypeObject, e: &mut Entry) -> Option<()> {
    // SAFETY: a live class.
    unsafe {
        let flags = (*class).tp_flags;
        if flags & tp_flags::INLINE_VALUES != 0 {
            let keys = (*class.cast::<HeapTypeObject>()).ht_cached_keys;
            if keys.is_null() || (*keys).dk_kind != keys_kind::SPLIT {
                return None;
            }
            (e.own, e.keys, e.nentries) = (Own::Inline, keys as usize, (*keys).dk_nentries);
        } else if flags & tp_flags::MANAGED_DICT != 0 {
            (e.own, e.dict) = (Own::Dict, MANAGED_DICT_OFFSET as i32);
        } else if (*class).tp_dictoffset > 0 {
            (e.own, e.dict) = (Own::Dict, (*class).tp_dictoffset as i32);
        } else if (*class).tp_dictoffset < 0 {
            return None;
        }
        Some(())
    }
}

/// The offset of what a `__slots__` descriptor reads, if it is one for objects of the class.
unsafe fn slot_of(descr: *mut PyObject, class: *mut PyTypeObject, refused: core::ffi::c_int) -> Option<u32> {
    // SAFETY: live objects.
    unsafe {
        if refcount::type_of(descr) != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        let d: *mut ffi::PyMemberDescrObject = descr.cast();
        let member = (*d).d_member;
        let usual = (*member).type_code == MEMBER_OBJECT && (*member).flags & refused == 0 && (*member).offset > 0;
        (usual && ffi::PyType_IsSubtype(class, (*d).d_common.d_type) != 0).then_some((*member).offset as u32)
    }
}

/// An entry for reading a name from objects of the object's class, or from the object itself if that is a class.
unsafe fn describe(o: *mut PyObject, class: *mut PyTypeObject, name: *mut PyObject) -> Option<Entry> {
    // SAFETY: as in `look`; the name is an interned str of the code object.
    unsafe {
        let mut e = Entry::default();
        let descr = api::_PyType_Lookup(class, name);
        e.descr = descr as usize;
        if ffi::PyType_Check(o) != 0 {
            let meta = (*class).tp_getattro.map(|f| f as usize);
            if meta != ffi::PyType_Type.tp_getattro.map(|f| f as usize) || !descr.is_null() {
                return None;
            }
            let owner: *mut PyTypeObject = o.cast();
            let value = api::_PyType_Lookup(owner, name);
            if value.is_null() || api::PyUnstable_Type_AssignVersionTag(owner) == 0 {
                return None;
            }
            (e.kind, e.descr, e.owner_version) = (Kind::Class, value as usize, (*owner).tp_version_tag);
            return Some(e);
        }
        if !looks_up_as_usual(class) {
            return None;
        }
        if !descr.is_null() && (*refcount::type_of(descr)).tp_descr_set.is_some() {
            if let Some(offset) = slot_of(descr, class, MEMBER_UNUSUAL) {
                (e.kind, e.offset) = (Kind::Slot, offset);
                return Some(e);
            }
            // With `__set__` alone it is in the way of writes only: reading, the object's own value comes first.
            (*refcount::type_of(descr)).tp_descr_get?;
            e.kind = Kind::Data;
            if refcount::type_of(descr) == &raw mut ffi::PyProperty_Type {
                let get = ffi::PyObject_GetAttrString(descr, c"fget".as_ptr());
                if get.is_null() {
                    ffi::PyErr_Clear();
                } else if get == getter(descr) {
                    e.kind = Kind::Property;
                }
                refcount::xdecref(get);
            }
            return Some(e);
        }
        own_of(class, &mut e)?;
        if descr.is_null() {
            e.kind = Kind::Dict;
            if e.own == Own::Inline {
                // A name that the shared keys lack is in a dict of the object's own, if anywhere.
                let Some(n) = shared_index(e.keys as *mut DictKeys, name) else {
                    return ((*values_of(o, class)).valid == 0).then_some(e);
                };
                let values = (*class).tp_basicsize as usize + core::mem::offset_of!(DictValues, values);
                (e.kind, e.offset) = (Kind::Inline, (values + 8 * n as usize) as u32);
            }
            return Some(e);
        }
        if e.own == Own::Inline && shared_index(e.keys as *mut DictKeys, name).is_some() {
            return None;
        }
        let method = (*refcount::type_of(descr)).tp_flags & tp_flags::METHOD_DESCRIPTOR != 0;
        e.kind = if method { Kind::Method } else { Kind::Descr };
        Some(e)
    }
}

/// An entry for writing a name to objects of a class.
unsafe fn describe_write(class: *mut PyTypeObject, name: *mut PyObject) -> Option<Entry> {
    // SAFETY: as in `describe`.
    unsafe {
        let usual = (*class).tp_setattro.map(|f| f as usize) == Some(ffi::PyObject_GenericSetAttr as *const () as usize);
        if !usual {
            return None;
        }
        let mut e = Entry::default();
        let descr = api::_PyType_Lookup(class, name);
        if !descr.is_null() && (*refcount::type_of(descr)).tp_descr_set.is_some() {
            (e.kind, e.offset) = (Kind::Slot, slot_of(descr, class, MEMBER_READONLY | MEMBER_UNUSUAL)?);
            return Some(e);
        }
        // A descriptor of a Python class may get a `__set__` later.
        if !descr.is_null() && (*refcount::type_of(descr)).tp_flags & tp_flags::HEAPTYPE != 0 {
            return None;
        }
        own_of(class, &mut e)?;
        match e.own {
            Own::Nothing => return None,
            Own::Dict => e.kind = Kind::Dict,
            // Objects whose values have moved to a dict have more names than the shared keys.
            Own::Inline => match shared_index(e.keys as *mut DictKeys, name) {
                Some(n) => {
                    let values = (*class).tp_basicsize as usize + core::mem::offset_of!(DictValues, values);
                    (e.offset, e.nentries) = ((values + 8 * n as usize) as u32, n);
                }
                None => (e.kind, e.own, e.dict) = (Kind::Dict, Own::Dict, MANAGED_DICT_OFFSET as i32),
            },
        }
        Some(e)
    }
}

/// Remembers the object's class, if the attribute is one that an entry can describe.
#[cold]
#[expect(clippy::indexing_slicing, reason = "indices below WAYS, the length of both arrays")]
unsafe fn fill(cache: *mut AttrCache, o: *mut PyObject, name: *mut PyObject, write: bool) {
    // SAFETY: as in `look`; the name is an interned str of the code object.
    unsafe {
        let class = refcount::type_of(o);
        (*cache).vain += 1;
        if (*cache).vain > TRIES && (*cache).vain & 0xff != 0 || api::PyUnstable_Type_AssignVersionTag(class) == 0 {
            return;
        }
        let made = if write { describe_write(class, name) } else { describe(o, class, name) };
        let version = (*class).tp_version_tag as u32;
        let Some(e) = made else { return };
        if version == 0 {
            return;
        }
        // A class that is there already had something unusual about it: its entry is made anew.
        let known = (0..WAYS).find(|n| (*cache).versions[*n] == version && e.kind != Kind::Class);
        let at = known.unwrap_or((*cache).next % WAYS);
        if known.is_none() {
            (*cache).next = at + 1;
            if (*cache).versions[at] == 0 {
                (*cache).vain = 0;
            }
        }
        (*cache).versions[at] = version;
        (*cache).entries[at] = e;
        match e.kind {
            Kind::Slot => (*cache).front.learn(version, e.offset, 0, true),
            // A write may be the first one, which is more than a store.
            Kind::Inline if !write => {
                let valid = (*class).tp_basicsize as usize + core::mem::offset_of!(DictValues, valid);
                (*cache).front.learn(version, e.offset, valid as u32, false);
            }
            _ => {}
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
        match look(cache, o, name) {
            Found::Value(v) => v,
            Found::Raised => core::ptr::null_mut(),
            Found::Method(f) => described(f, o, refcount::type_of(o)),
            Found::No => {
                fill(cache, o, name, false);
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
        match look(cache, o, name) {
            Found::Method(f) => return BodyResult::new(0, refcount::new_ref(f) as u64),
            Found::Value(v) => return BodyResult::new(1, v as u64),
            Found::Raised => return BodyResult::new(2, 0),
            Found::No => {}
        }
        fill(cache, o, name, false);
        let mut method = core::ptr::null_mut();
        let unbound = api::_PyObject_GetMethod(o, name, &mut method);
        if method.is_null() {
            return BodyResult::new(2, 0);
        }
        BodyResult::new(u64::from(unbound == 0), method as u64)
    }
}

/// What `PyObject_GenericSetAttr` does where the object has a dict and the class nothing to say.
#[inline]
unsafe fn set_in_dict(dict: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> i32 {
    // SAFETY: a dict of a live object; it is held, since what it held before may run code when it goes.
    unsafe {
        let held = refcount::new_ref(dict);
        let status = ffi::PyDict_SetItem(held, name, value);
        refcount::decref(held);
        status
    }
}

/// `o.name = value` of a site with a cache: 0, or -1 with an exception set. Borrows all.
///
/// # Safety
/// As for [`get_attr_cached`].
#[expect(clippy::indexing_slicing, reason = "an index below WAYS, the length of both arrays")]
pub unsafe extern "C" fn set_attr_cached(o: *mut PyObject, name: *mut PyObject, value: *mut PyObject, cache: *mut AttrCache) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        let class = refcount::type_of(o);
        let version = (*class).tp_version_tag as u32;
        let found = if version == 0 { None } else { (0..WAYS).find(|n| (*cache).versions[*n] == version) };
        if let Some(n) = found {
            let e = (*cache).entries[n];
            if e.kind == Kind::Dict {
                let dict = *word(o, e.dict as isize);
                return if dict.is_null() { ffi::PyObject_SetAttr(o, name, value) } else { set_in_dict(dict, name, value) };
            }
            let slot = word(o, e.offset as isize);
            let old = *slot;
            if e.kind == Kind::Slot {
                *slot = refcount::new_ref(value);
                refcount::xdecref(old);
                return 0;
            }
            let values = values_of(o, class);
            let alone = (*values).valid != 0 && (*word(o, MANAGED_DICT_OFFSET)).is_null();
            if alone {
                if old.is_null() {
                    // A new attribute: the order in which they came stands behind the values, a byte each.
                    let order = DictValues::items(values).add((*values).capacity as usize).cast::<u8>();
                    *order.add((*values).size as usize) = e.nentries as u8;
                    (*values).size += 1;
                }
                *slot = refcount::new_ref(value);
                refcount::xdecref(old);
                return 0;
            }
            let dict = *word(o, MANAGED_DICT_OFFSET);
            if !dict.is_null() {
                return set_in_dict(dict, name, value);
            }
        } else {
            fill(cache, o, name, true);
        }
        ffi::PyObject_SetAttr(o, name, value)
    }
}

/// The helpers of this file, by name.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: std::sync::OnceLock<[(&str, usize); 3]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        [
            ("get_attr_cached", get_attr_cached as *const () as usize),
            ("get_method_cached", get_method_cached as *const () as usize),
            ("set_attr_cached", set_attr_cached as *const () as usize),
        ]
    })
}
