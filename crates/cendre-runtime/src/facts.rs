//! Live objects as plain data for the front end: code objects, and answers about what inline caches refer to.
//!
//! Invariant: an [`ObjId`] is the object's address. Facts are a snapshot with the GIL held; what may change later is
//! guarded by the machine code, what may die is held or watched by the artifact (see `artifact.rs`).

use crate::attrs;
use crate::coro;
use crate::driver;
use crate::ext;
use crate::gil::Gil;
use crate::globals;
use crate::kept::Kept;
use crate::record::CodeRecord;
use cendre_bytecode::Opcode;
use cendre_bytecode::decode::no_executors;
use cendre_bytecode::facts::{
    ClassFact, CodeFacts, Const, ConstFact, Facts, FloatSide, FunctionFact, GlobalCells, Known, ObjFact, Parameters, ThroughClass,
};
use cendre_cpython::code::{BinaryOpDescr, CodeObject, co_flags};
use cendre_cpython::dict::{DictKeys, DictObject, keys_kind};
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::funcobject::{FUNC_VERSION_FIRST_VALID, FunctionObject};
use cendre_cpython::owned::Owned;
use cendre_cpython::tupleobject::TupleObject;
use cendre_cpython::{api, interp, refcount};
use cendre_ir::ObjId;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// `FUNC_VERSION_CACHE_SIZE` and `TYPE_VERSION_CACHE_SIZE`.
const CACHE: usize = 1 << 12;
/// `_Py_MAX_GLOBAL_TYPE_VERSION_TAG`
const CORE_VERSIONS: u32 = (2 << 16) - 1;

fn id<T>(p: *mut T) -> ObjId {
    ObjId(p as u64)
}

unsafe fn items(tuple: *mut PyObject) -> Vec<*mut PyObject> {
    // SAFETY: the caller passes a tuple.
    unsafe { (0..ffi::PyTuple_GET_SIZE(tuple)).map(|i| ffi::PyTuple_GET_ITEM(tuple, i)).collect() }
}

unsafe fn constant(o: *mut PyObject) -> Const {
    // SAFETY: a live object; exact classes are looked at only.
    unsafe {
        let class = refcount::type_of(o);
        if o == ffi::Py_None() {
            Const::None
        } else if o == ffi::Py_True() {
            Const::True
        } else if o == ffi::Py_False() {
            Const::False
        } else if class == &raw mut ffi::PyLong_Type {
            let mut overflow = 0;
            let n = ffi::PyLong_AsLongLongAndOverflow(o, &mut overflow);
            if overflow == 0 { Const::Int(n) } else { Const::Other }
        } else if class == &raw mut ffi::PyFloat_Type {
            Const::Float(ffi::PyFloat_AS_DOUBLE(o))
        } else {
            Const::Other
        }
    }
}

/// A code object as plain data.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
pub unsafe fn code_facts(code: *mut CodeObject) -> CodeFacts {
    // SAFETY: the fields of a code object have the types that its constructor checked.
    unsafe {
        let consts = items((*code).co_consts).into_iter();
        CodeFacts {
            id: id(code),
            qualname: crate::config::text((*code).co_qualname).unwrap_or_default(),
            flags: (*code).co_flags as u32,
            argcount: (*code).co_argcount as u32,
            kwonlyargcount: (*code).co_kwonlyargcount as u32,
            nlocals: (*code).co_nlocals as u32,
            nlocalsplus: (*code).co_nlocalsplus as u32,
            stack_size: (*code).co_stacksize as u32,
            code: forget_dead(driver::code_bytes(code)),
            exception_table: ext::bytes_of((*code).co_exceptiontable),
            consts: consts.map(|o| ConstFact { id: id(o), value: constant(o) }).collect(),
            names: items((*code).co_names).into_iter().map(id).collect(),
            kinds: ext::bytes_of((*code).co_localspluskinds),
        }
    }
}

/// Clears the type versions that no type has any more: what such a cache points to behind it may be gone.
///
/// # Safety
/// The GIL is held.
#[expect(clippy::indexing_slicing, reason = "the decoder has found the whole cache inside the code")]
unsafe fn forget_dead(mut bytes: Vec<u8>) -> Vec<u8> {
    let Ok(instructions) = cendre_bytecode::decode(&bytes, &no_executors) else { return bytes };
    for i in &instructions {
        let Some(cache) = i.load_attr_cache() else { continue };
        if i.base == Opcode::LoadAttr && cache.version != 0 && cache.descr != 0 {
            // SAFETY: the caller's contract.
            if unsafe { type_of_version(cache.version).is_null() && !is_core_version(cache.version) } {
                // The version lies behind the counter, in two units.
                let at = (i.offset as usize + 2) * 2;
                bytes[at..at + 4].fill(0);
            }
        }
    }
    bytes
}

/// The type that has this version tag now, or null.
unsafe fn type_of_version(version: u32) -> *mut PyTypeObject {
    // SAFETY: the table holds borrowed pointers that CPython clears when a type's version changes or it dies.
    unsafe {
        let table = caches().types as *const *mut PyTypeObject;
        if table.is_null() || version == 0 {
            return core::ptr::null_mut();
        }
        let class = *table.add(version as usize % CACHE);
        if !class.is_null() && (*class).tp_version_tag == version { class } else { core::ptr::null_mut() }
    }
}

/// Whether a static class has this version now.
///
/// (Immutable classes of C extensions have low versions, too; they are in the table.)
///
/// Static classes that CPython starts with have low versions that are not in its table, and keep them for ever, unless somebody writes into a
/// class's dict from below (as forbiddenfruit does, and so blockbuster): then what was in it dies, although the class lives.
unsafe fn is_core_version(version: u32) -> bool {
    static KNOWN: Gil<BTreeMap<u32, *mut PyTypeObject>> = Gil::new(BTreeMap::new());
    if version > CORE_VERSIONS {
        return false;
    }
    // SAFETY: the GIL is held; static classes live for ever.
    unsafe {
        let is_at = |class: &*mut PyTypeObject| (**class).tp_version_tag == version;
        if let Some(class) = KNOWN.get().get(&version) {
            // Null: looked for and not found. A version never comes back.
            return !class.is_null() && is_at(class);
        }
        let classes = static_classes();
        let known = KNOWN.get();
        for class in &classes {
            known.insert((**class).tp_version_tag, *class);
        }
        let found = classes.iter().any(is_at);
        if !found {
            known.insert(version, core::ptr::null_mut());
        }
        found
    }
}

/// The static classes that are there now.
unsafe fn static_classes() -> Vec<*mut PyTypeObject> {
    // SAFETY: the GIL is held; `type.__subclasses__` runs no code of the program, and what it lists is held by the list while it is looked at.
    unsafe {
        let mut found: Vec<*mut PyTypeObject> = vec![&raw mut ffi::PyBaseObject_Type];
        let mut at = 0;
        let name = ffi::PyUnicode_InternFromString(c"__subclasses__".as_ptr());
        let method = if name.is_null() { name } else { api::_PyType_Lookup(&raw mut ffi::PyType_Type, name) };
        while let Some(&class) = found.get(at).filter(|_| !method.is_null()) {
            at += 1;
            if let Some(list) = Owned::from_new(ffi::PyObject_CallOneArg(method, class.cast())) {
                for i in 0..ffi::PyList_Size(list.as_ptr()) {
                    let class: *mut PyTypeObject = ffi::PyList_GetItem(list.as_ptr(), i).cast();
                    // Subclasses of heap classes are heap classes.
                    if (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 && !found.contains(&class) {
                        found.push(class);
                    }
                }
            }
            ffi::PyErr_Clear();
        }
        refcount::xdecref(name);
        found
    }
}

/// The interpreter's own tables of functions and types by version, found once by what they must contain: they have no
/// exported access, and looking is safer than another pair of offsets.
#[derive(Clone, Copy, Default)]
struct Caches {
    searched: bool,
    functions: usize,
    types: usize,
}

static CACHES: Gil<Caches> = Gil::new(Caches { searched: false, functions: 0, types: 0 });

/// An entry of the interpreter's table of functions: `_func_version_cache_item`.
#[repr(C)]
struct FunctionSlot {
    func: *mut FunctionObject,
    code: *mut CodeObject,
}

unsafe fn caches() -> Caches {
    // SAFETY: the GIL is held by all callers; the search reads inside the interpreter's state only.
    unsafe {
        if !CACHES.get().searched {
            let start = ffi::PyInterpreterState_Get() as usize;
            let words = core::slice::from_raw_parts(start as *const usize, interp::SIZE / size_of::<usize>());
            let found = Caches { searched: true, functions: find_functions(words), types: find_types(words) };
            *CACHES.get() = found;
        }
        *CACHES.get()
    }
}

/// A new function with a version is in the table, beside its code.
unsafe fn find_functions(words: &[usize]) -> usize {
    // SAFETY: the GIL is held; all references made here are given back.
    unsafe {
        let globals = ffi::PyDict_New();
        let code = ffi::PyCode_NewEmpty(c"cendre".as_ptr(), c"probe".as_ptr(), 1);
        if globals.is_null() || code.is_null() {
            ffi::PyErr_Clear();
            refcount::xdecref(globals);
            refcount::xdecref(code.cast());
            return 0;
        }
        let func: *mut FunctionObject = ffi::PyFunction_New(code.cast(), globals).cast();
        let mut found = 0;
        if !func.is_null() {
            let version = (*code.cast::<CodeObject>()).co_version;
            if (*func).func_version < FUNC_VERSION_FIRST_VALID && version >= FUNC_VERSION_FIRST_VALID {
                api::_PyFunction_SetVersion(func, version);
            }
            let at = (*func).func_version as usize % CACHE;
            let pair = [func as usize, code as usize];
            if let Some(n) = words.windows(2).position(|w| w == pair)
                && n >= 2 * at
                && n - 2 * at + 2 * CACHE <= words.len()
            {
                found = words.as_ptr() as usize + (n - 2 * at) * size_of::<usize>();
            }
            refcount::decref(func.cast());
        } else {
            ffi::PyErr_Clear();
        }
        refcount::decref(code.cast());
        refcount::decref(globals);
        found
    }
}

/// Two new classes are in the table, each at its version. (Core static classes are not: their versions are fixed.)
unsafe fn find_types(words: &[usize]) -> usize {
    // SAFETY: the GIL is held; `type("", (), {})` runs no foreign code; the references made here are given back.
    unsafe {
        let make = || {
            let of = (&raw mut ffi::PyType_Type).cast::<PyObject>();
            let class = ffi::PyObject_CallFunction(of, c"s(){}".as_ptr(), c"probe".as_ptr());
            if class.is_null() {
                ffi::PyErr_Clear();
                return (0, 0);
            }
            api::PyUnstable_Type_AssignVersionTag(class.cast());
            (class as usize, (*class.cast::<PyTypeObject>()).tp_version_tag as usize % CACHE)
        };
        let (one, two) = (make(), make());
        let mut found = 0;
        if one.0 != 0 && two.0 != 0 {
            for (n, w) in words.iter().enumerate() {
                let Some(base) = n.checked_sub(one.1).filter(|_| *w == one.0) else { continue };
                if words.get(base + two.1) == Some(&two.0) && base + CACHE <= words.len() {
                    found = words.as_ptr() as usize + base * size_of::<usize>();
                    break;
                }
            }
        }
        for class in [one.0, two.0] {
            refcount::xdecref(class as *mut PyObject);
        }
        found
    }
}

/// What a direct call needs to know of a code object.
unsafe fn function_fact(func: *mut FunctionObject, code: *mut CodeObject) -> FunctionFact {
    // SAFETY: the caller passes a live code object and a live function that has it, or null.
    unsafe {
        let flags = (*code).co_flags;
        let defaults = (!func.is_null()).then(|| {
            let defaults: *mut TupleObject = (*func).func_defaults.cast();
            if defaults.is_null() { 0 } else { (*defaults).ob_base.ob_size as u32 }
        });
        let plain = flags & (co_flags::VARARGS | co_flags::VARKEYWORDS) == 0 && (*code).co_kwonlyargcount == 0;
        FunctionFact { code: id(code), exact_args: plain.then(|| (*code).co_argcount as u32), flags: flags as u32, defaults }
    }
}

unsafe fn fact_of_function(func: *mut FunctionObject) -> FunctionFact {
    // SAFETY: the caller passes a live function.
    unsafe { function_fact(func, (*func).func_code.cast()) }
}

/// Answers about the running program.
pub struct LiveFacts {
    pub record: *mut CodeRecord,
    /// The module's globals and builtins that the code is run with, or null.
    pub globals: *mut PyObject,
    pub builtins: *mut PyObject,
    /// The cells that were answered.
    pub kept: RefCell<Kept>,
}

impl Facts for LiveFacts {
    fn known(&self) -> Known {
        // SAFETY: addresses of static classes; the interpreter's cached callables are immortal builtins.
        unsafe {
            let interpreter = ffi::PyInterpreterState_Get();
            let callable = |at| *interp::field::<*mut PyObject>(interpreter, at) as u64;
            let iterator = |o: *mut PyObject| {
                let it = ffi::PyObject_GetIter(o);
                let class = if it.is_null() { 0 } else { refcount::type_of(it) as u64 };
                refcount::xdecref(it);
                refcount::xdecref(o);
                ffi::PyErr_Clear();
                class
            };
            Known {
                none: ffi::Py_None() as u64,
                finished: coro::finished::finished().unwrap_or(ffi::Py_None()) as u64,
                true_: ffi::Py_True() as u64,
                false_: ffi::Py_False() as u64,
                int: &raw mut ffi::PyLong_Type as u64,
                float: &raw mut ffi::PyFloat_Type as u64,
                bool_: &raw mut ffi::PyBool_Type as u64,
                str_: &raw mut ffi::PyUnicode_Type as u64,
                list: &raw mut ffi::PyList_Type as u64,
                tuple: &raw mut ffi::PyTuple_Type as u64,
                dict: &raw mut ffi::PyDict_Type as u64,
                set: &raw mut ffi::PySet_Type as u64,
                function: &raw mut ffi::PyFunction_Type as u64,
                range_iterator: &raw mut ffi::PyRangeIter_Type as u64,
                list_iterator: iterator(ffi::PyList_New(0)),
                tuple_iterator: iterator(ffi::PyTuple_New(0)),
                generator: &raw mut ffi::PyGen_Type as u64,
                coroutine: &raw mut ffi::PyCoro_Type as u64,
                module: &raw mut ffi::PyModule_Type as u64,
                type_: &raw mut ffi::PyType_Type as u64,
                len: callable(interp::CALLABLE_LEN),
                isinstance: callable(interp::CALLABLE_ISINSTANCE),
                list_append: callable(interp::CALLABLE_LIST_APPEND),
            }
        }
    }

    fn object(&self, o: ObjId) -> ObjFact {
        let o = o.0 as *mut PyObject;
        // SAFETY: an object that a cache of the code object refers to; CPython keeps it alive while its version holds, and
        // the front end has just read both.
        unsafe {
            let class = refcount::type_of(o);
            if class == &raw mut ffi::PyFunction_Type {
                ObjFact::Function(fact_of_function(o.cast()))
            } else if ffi::PyType_Check(o) != 0 {
                ObjFact::Class
            } else {
                ObjFact::Other
            }
        }
    }

    fn global(&self, builtin: bool, version: u32, index: u32) -> Option<ObjId> {
        let dict = if builtin { self.builtins } else { self.globals };
        if dict.is_null() || version == 0 {
            return None;
        }
        // SAFETY: a live object, checked to be an exact dict with str keys of that version.
        unsafe {
            if refcount::type_of(dict) != &raw mut ffi::PyDict_Type {
                return None;
            }
            let keys = (*dict.cast::<DictObject>()).ma_keys;
            if (*keys).dk_version != version || (*keys).dk_kind != keys_kind::UNICODE || i64::from(index) >= (*keys).dk_nentries as i64 {
                return None;
            }
            let value = (*DictKeys::unicode_entries(keys).add(index as usize)).me_value;
            (!value.is_null()).then(|| id(value))
        }
    }

    fn float_side(&self, descr: u64) -> Option<FloatSide> {
        if descr == 0 {
            return None;
        }
        // SAFETY: descriptions are static, in CPython's specialiser; their guards look at the types and values of any two objects.
        unsafe {
            let guard = (*(descr as *const BinaryOpDescr)).guard?;
            let one = Owned::from_new(ffi::PyLong_FromLong(1));
            let half = Owned::from_new(ffi::PyFloat_FromDouble(0.5));
            let (Some(one), Some(half)) = (one, half) else {
                ffi::PyErr_Clear();
                return None;
            };
            match (guard(half.as_ptr(), one.as_ptr()) != 0, guard(one.as_ptr(), half.as_ptr()) != 0) {
                (true, false) => Some(FloatSide::Left),
                (false, true) => Some(FloatSide::Right),
                _ => None,
            }
        }
    }

    fn globals(&self) -> Option<ObjId> {
        // SAFETY: a live object or null.
        unsafe {
            let exact = |d: *mut PyObject| !d.is_null() && refcount::type_of(d) == &raw mut ffi::PyDict_Type;
            let one = self.record.is_null() || !(*self.record).any_globals;
            (one && exact(self.globals) && exact(self.builtins)).then(|| id(self.globals))
        }
    }

    fn global_cells(&self, name: ObjId) -> Option<GlobalCells> {
        // SAFETY: live dicts (checked by `globals`), a name of the code object; the GIL is held.
        unsafe {
            self.globals()?;
            let name = name.0 as *mut PyObject;
            let module = globals::cell(self.globals, name)?;
            let builtin = globals::cell(self.builtins, name)?;
            let in_module = *module != globals::ABSENT;
            let value = if in_module { *module } else { *builtin };
            if value <= globals::UNKNOWN {
                return None;
            }
            let mut kept = self.kept.borrow_mut();
            kept.cell(module);
            kept.cell(builtin);
            Some(GlobalCells { module: module as u64, builtin: builtin as u64, in_module, value: ObjId(value as u64) })
        }
    }

    fn function_version(&self, version: u32) -> Option<FunctionFact> {
        // SAFETY: the table holds borrowed pointers that CPython clears when a function or code object dies.
        unsafe {
            let table = caches().functions as *const FunctionSlot;
            if table.is_null() || version < FUNC_VERSION_FIRST_VALID {
                return None;
            }
            let slot = &*table.add(version as usize % CACHE);
            if !slot.func.is_null() && (*slot.func).func_version == version {
                return Some(fact_of_function(slot.func));
            }
            (!slot.code.is_null() && (*slot.code).co_version == version).then(|| function_fact(core::ptr::null_mut(), slot.code))
        }
    }

    fn class(&self, class: ObjId) -> Option<ClassFact> {
        let o = class.0 as *mut PyObject;
        // SAFETY: an object that a cache or a global cell names; the GIL is held.
        unsafe {
            if refcount::type_of(o) != &raw mut ffi::PyType_Type {
                return None;
            }
            let class: *mut PyTypeObject = o.cast();
            let plain = (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE != 0
                && (*class).tp_flags & (1 << 20) == 0 // Py_TPFLAGS_IS_ABSTRACT
                && (*class).tp_new.map(|f| f as usize) == ffi::PyBaseObject_Type.tp_new.map(|f| f as usize)
                && (*class).tp_alloc.map(|f| f as usize) == Some(ffi::PyType_GenericAlloc as *const () as usize)
                && (*class).tp_itemsize == 0
                && (*class).tp_version_tag != 0;
            if !plain {
                return None;
            }
            let name = ffi::PyUnicode_InternFromString(c"__init__".as_ptr());
            if name.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            let init = api::_PyType_Lookup(class, name);
            refcount::decref(name);
            if init.is_null() || refcount::type_of(init) != &raw mut ffi::PyFunction_Type {
                return None;
            }
            let function = fact_of_function(init.cast());
            Some(ClassFact { version: (*class).tp_version_tag, init: id(init), function })
        }
    }

    fn parameters(&self, code: ObjId) -> Option<Parameters> {
        let code = code.0 as *mut CodeObject;
        // SAFETY: the code object of a fact of this compilation; its names are a tuple of interned strs.
        unsafe {
            let flags = (*code).co_flags;
            let n = ((*code).co_argcount + (*code).co_kwonlyargcount) as usize;
            let names = TupleObject::items((*code).co_localsplusnames.cast());
            (flags & (co_flags::OPTIMIZED | co_flags::NEWLOCALS) == co_flags::OPTIMIZED | co_flags::NEWLOCALS).then(|| Parameters {
                argcount: (*code).co_argcount as u32,
                posonly: (*code).co_posonlyargcount as u32,
                kwonly: (*code).co_kwonlyargcount as u32,
                varargs: flags & co_flags::VARARGS != 0,
                varkeywords: flags & co_flags::VARKEYWORDS != 0,
                names: (0..n).map(|k| id(*names.add(k))).collect(),
            })
        }
    }

    fn tuple_items(&self, tuple: ObjId) -> Option<Vec<ObjId>> {
        let tuple = tuple.0 as *mut PyObject;
        // SAFETY: a constant of the code object that is compiled.
        unsafe {
            if refcount::type_of(tuple) != &raw mut ffi::PyTuple_Type {
                return None;
            }
            let items = TupleObject::items(tuple.cast());
            Some((0..(*tuple.cast::<TupleObject>()).ob_base.ob_size as usize).map(|k| id(*items.add(k))).collect())
        }
    }

    fn through_class(&self, class: ObjId, name: ObjId) -> Option<ThroughClass> {
        let o = class.0 as *mut PyObject;
        // SAFETY: an object that a global cell or an inline cache names, and a name of the code object; the GIL is held.
        unsafe {
            let plain = refcount::type_of(o) == &raw mut ffi::PyType_Type;
            // What `type` has under the name would come first, if it is a data descriptor.
            if !plain || !api::_PyType_Lookup(&raw mut ffi::PyType_Type, name.0 as *mut PyObject).is_null() {
                return None;
            }
            let class: *mut PyTypeObject = o.cast();
            let wrapper = api::_PyType_Lookup(class, name.0 as *mut PyObject);
            if wrapper.is_null() || api::PyUnstable_Type_AssignVersionTag(class) == 0 {
                return None;
            }
            let kind = refcount::type_of(wrapper);
            let takes_class = kind == &raw mut ffi::PyClassMethod_Type;
            if !takes_class && kind != &raw mut ffi::PyStaticMethod_Type {
                return None;
            }
            let function = attrs::wrapped(wrapper);
            if function.is_null() || refcount::type_of(function) != &raw mut ffi::PyFunction_Type {
                return None;
            }
            Some(ThroughClass { version: (*class).tp_version_tag, wrapper: id(wrapper), function: id(function), takes_class })
        }
    }

    fn constant(&self, o: ObjId) -> Const {
        // SAFETY: an object that an inline cache names; the GIL is held.
        unsafe { if refcount::is_immortal(o.0 as *mut PyObject) { constant(o.0 as *mut PyObject) } else { Const::Other } }
    }

    fn type_version(&self, version: u32) -> Option<ObjId> {
        // SAFETY: the GIL is held while facts are asked for.
        let class = unsafe { type_of_version(version) };
        (!class.is_null()).then(|| id(class))
    }

    fn basic_size(&self, version: u32) -> Option<u32> {
        // SAFETY: the GIL is held while facts are asked for.
        unsafe {
            let class: *mut PyTypeObject = type_of_version(version).cast();
            if class.is_null() { None } else { u32::try_from((*class).tp_basicsize).ok() }
        }
    }

    fn attr_cache(&self, unit: u32) -> Option<u64> {
        // SAFETY: the record lives while it is being compiled, and its caches as long as it does.
        unsafe {
            let caches = &mut (*self.record).attr_caches;
            if caches.len() >= 500 && !caches.contains_key(&unit) {
                return None;
            }
            Some(&raw const **caches.entry(unit).or_default() as u64)
        }
    }

    fn is_awaited(&self) -> bool {
        // SAFETY: the record of the code that is compiled. It is asked only where the answer changes what is made.
        unsafe {
            (*self.record).can_pass = true;
            (*self.record).awaited
        }
    }
    fn is_generic(&self, unit: u32) -> bool {
        // SAFETY: the record lives while it is being compiled.
        unsafe { (*self.record).all_generic || (*self.record).generic.contains(&unit) }
    }
}

/// What the passes may rely on about builtin classes.
///
/// # Safety
/// The GIL is held.
pub unsafe fn classes(facts: &LiveFacts) -> cendre_passes::Classes {
    let k = facts.known();
    let ids = |list: &[u64]| list.iter().filter(|a| **a != 0).map(|a| ObjId(*a)).collect();
    // SAFETY: `None` is there for ever.
    let none = unsafe { refcount::type_of(ffi::Py_None()) as u64 };
    let (bytes, complex) = (&raw const ffi::PyBytes_Type as u64, &raw const ffi::PyComplex_Type as u64);
    let fixed = [k.list, k.tuple, k.dict, k.set, k.function, k.range_iterator, k.list_iterator, k.tuple_iterator, k.generator, k.coroutine];
    cendre_passes::Classes {
        int: Some(ObjId(k.int)),
        float: Some(ObjId(k.float)),
        bool_: Some(ObjId(k.bool_)),
        fixed: ids(&fixed),
        leaves: ids(&[k.str_, none, bytes, complex]),
    }
}
