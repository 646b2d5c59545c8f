//! Operators of classes written in Python: the method is called directly where its body is compiled.
//!
//! CPython reaches `__add__` through the class's slot, which looks the method up and enters a new evaluation loop. Here the method is
//! found in a table by class and version, and its machine code is called.
//! Invariant: methods are called in CPython's order and with its arguments; `None` means that nothing has happened yet and the slot is
//! to be asked. What was called is not called again: the rest of the protocol (the other operand, the error) is then done here.
//! Read: `binary_op1`, `do_richcompare` (Objects/abstract.c, object.c) and the slots of Objects/typeobject.c.

use super::stack::{interned, type_name};
use super::vector::call_python;
use crate::gil::Gil;
use cendre_cpython::api;
use cendre_cpython::ffi::{self, PyNumberMethods, PyObject, PyTypeObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::refcount::{decref, incref, type_of};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::typeobject::tp_flags;
use core::ffi::{CStr, c_int};
use core::ptr;

type BinarySlot = fn(&PyNumberMethods) -> Option<ffi::binaryfunc>;

/// One of the operators, in the order of NB_*.
struct Operator {
    method: &'static CStr,
    reflected: &'static CStr,
    slot: BinarySlot,
    in_place: BinarySlot,
    symbol: &'static CStr,
    in_place_symbol: &'static CStr,
}

macro_rules! operator {
    ($method:literal $reflected:literal $slot:ident $in_place:ident $symbol:literal $in_place_symbol:literal) => {
        Operator {
            method: $method,
            reflected: $reflected,
            slot: |n| n.$slot,
            in_place: |n| n.$in_place,
            symbol: $symbol,
            in_place_symbol: $in_place_symbol,
        }
    };
}

/// `**` has three operands and slots of its own: never looked for (the row is there for its place).
const POWER: usize = 8;
const ADD: usize = 0;
const MULTIPLY: usize = 5;
static OPERATORS: [Operator; 13] = [
    operator!(c"__add__" c"__radd__" nb_add nb_inplace_add c"+" c"+="),
    operator!(c"__and__" c"__rand__" nb_and nb_inplace_and c"&" c"&="),
    operator!(c"__floordiv__" c"__rfloordiv__" nb_floor_divide nb_inplace_floor_divide c"//" c"//="),
    operator!(c"__lshift__" c"__rlshift__" nb_lshift nb_inplace_lshift c"<<" c"<<="),
    operator!(c"__matmul__" c"__rmatmul__" nb_matrix_multiply nb_inplace_matrix_multiply c"@" c"@="),
    operator!(c"__mul__" c"__rmul__" nb_multiply nb_inplace_multiply c"*" c"*="),
    operator!(c"__mod__" c"__rmod__" nb_remainder nb_inplace_remainder c"%" c"%="),
    operator!(c"__or__" c"__ror__" nb_or nb_inplace_or c"|" c"|="),
    operator!(c"__pow__" c"__rpow__" nb_add nb_inplace_add c"** or pow()" c"**="),
    operator!(c"__rshift__" c"__rrshift__" nb_rshift nb_inplace_rshift c">>" c">>="),
    operator!(c"__sub__" c"__rsub__" nb_subtract nb_inplace_subtract c"-" c"-="),
    operator!(c"__truediv__" c"__rtruediv__" nb_true_divide nb_inplace_true_divide c"/" c"/="),
    operator!(c"__xor__" c"__rxor__" nb_xor nb_inplace_xor c"^" c"^="),
];

/// The comparisons, in the order of Py_LT to Py_GE: method, symbol, the same seen from the right.
static COMPARISONS: [(&CStr, &CStr, c_int); 6] = [
    (c"__lt__", c"<", ffi::Py_GT),
    (c"__le__", c"<=", ffi::Py_GE),
    (c"__eq__", c"==", ffi::Py_EQ),
    (c"__ne__", c"!=", ffi::Py_NE),
    (c"__gt__", c">", ffi::Py_LT),
    (c"__ge__", c">=", ffi::Py_LE),
];

/// What can be looked up: 13 operators, 13 of them in place, 6 comparisons, and these.
const COMPARE: usize = 26;
const CONTAINS: usize = 32;
const BOOL: usize = 33;
const NEXT: usize = 34;
const SETITEM: usize = 35;
const KINDS: usize = 36;

const ENTRIES: usize = 512;

#[derive(Clone, Copy)]
struct Entry {
    class: *mut PyTypeObject,
    version: u32,
    kind: u32,
    /// Borrowed: a class with this version has it. Null: ask the slot.
    method: *mut FunctionObject,
}

struct Table {
    entries: [Entry; ENTRIES],
    /// Interned names, made when they are needed first.
    names: [*mut PyObject; KINDS],
}

static TABLE: Gil<Table> = Gil::new(Table {
    entries: [Entry { class: ptr::null_mut(), version: 0, kind: 0, method: ptr::null_mut() }; ENTRIES],
    names: [ptr::null_mut(); KINDS],
});

/// Whether the class can have methods written in Python: the first look, before anything costs.
#[inline(always)]
unsafe fn is_heap(class: *mut PyTypeObject) -> bool {
    // SAFETY: the callers pass a live class.
    unsafe { (*class).tp_flags & tp_flags::HEAPTYPE != 0 }
}

/// The class's method for an operation if it is a Python function and nothing else comes before it.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the index is taken modulo the table's size")]
unsafe fn find(class: *mut PyTypeObject, kind: usize) -> Option<*mut FunctionObject> {
    // SAFETY: a live class; the GIL is held.
    unsafe {
        let at = ((class as usize >> 5) ^ (kind * 37)) % ENTRIES;
        let entry = &TABLE.get().entries[at];
        let version = (*class).tp_version_tag;
        if entry.class != class || entry.version != version || entry.kind != kind as u32 || version == 0 {
            return find_slowly(class, kind, at);
        }
        (!entry.method.is_null()).then_some(entry.method)
    }
}

#[cold]
#[expect(clippy::indexing_slicing, reason = "`at` and `kind` are in range by their makers")]
unsafe fn find_slowly(class: *mut PyTypeObject, kind: usize, at: usize) -> Option<*mut FunctionObject> {
    // SAFETY: as in `find`.
    unsafe {
        let name = name_of(kind)?;
        let found = api::_PyType_Lookup(class, name);
        let is_function = !found.is_null() && type_of(found) == &raw mut ffi::PyFunction_Type;
        let method: *mut FunctionObject = if is_function && nothing_before(class, kind) { found.cast() } else { ptr::null_mut() };
        // The look-up gives the class a version if it can have one.
        let version = (*class).tp_version_tag;
        if version != 0 {
            TABLE.get().entries[at] = Entry { class, version, kind: kind as u32, method };
        }
        (!method.is_null()).then_some(method)
    }
}

/// The interned name of a method.
#[expect(clippy::indexing_slicing, reason = "kinds are below KINDS by their makers")]
unsafe fn name_of(kind: usize) -> Option<*mut PyObject> {
    let text = match kind {
        ..COMPARE => OPERATORS[kind % 13].method,
        COMPARE..CONTAINS => COMPARISONS[kind - COMPARE].0,
        CONTAINS => c"__contains__",
        BOOL => c"__bool__",
        NEXT => c"__next__",
        _ => c"__setitem__",
    };
    // SAFETY: the GIL is held.
    unsafe {
        let name = &mut TABLE.get().names[kind];
        if name.is_null() {
            *name = interned(text);
            if name.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
        }
        Some(*name)
    }
}

/// Whether CPython asks the method's slot first and, if it does not know, only the other operand.
#[expect(clippy::indexing_slicing, reason = "operators are below 13")]
unsafe fn nothing_before(class: *mut PyTypeObject, kind: usize) -> bool {
    // SAFETY: heap types have all their tables of slots.
    unsafe {
        if kind >= COMPARE {
            return true;
        }
        let (operator, in_place) = (kind % 13, kind >= 13);
        if (*class).tp_as_number.is_null() || operator == POWER {
            return false;
        }
        let sequence = (*class).tp_as_sequence;
        let joins = !sequence.is_null() && ((*sequence).sq_concat.is_some() || (*sequence).sq_inplace_concat.is_some());
        let repeats = !sequence.is_null() && ((*sequence).sq_repeat.is_some() || (*sequence).sq_inplace_repeat.is_some());
        let mutated = in_place && (OPERATORS[operator].in_place)(&*(*class).tp_as_number).is_some();
        !(mutated || operator == ADD && joins || operator == MULTIPLY && repeats)
    }
}

/// Calls a method of the table; `None`: its body is not compiled, or may not run now.
#[inline(always)]
unsafe fn call(ts: *mut ThreadState, method: *mut FunctionObject, args: &[*mut PyObject]) -> Option<*mut PyObject> {
    // SAFETY: a live function. What it runs may take it out of its class.
    unsafe {
        incref(method.cast());
        let res = call_python(ts, method, args.as_ptr(), args.len(), 0);
        decref(method.cast());
        res
    }
}

/// `lhs <op> rhs`: a new reference, or null with an exception set.
///
/// # Safety
/// Both are alive; `oparg` is one of NB_*; the GIL is held.
#[inline(always)]
pub(super) unsafe fn binary(ts: *mut ThreadState, lhs: *mut PyObject, rhs: *mut PyObject, oparg: u32) -> Option<*mut PyObject> {
    // SAFETY: the caller's contract.
    unsafe { if is_heap(type_of(lhs)) { binary_of_class(ts, lhs, rhs, oparg as usize) } else { None } }
}

#[expect(clippy::indexing_slicing, reason = "operators are below 13")]
unsafe fn binary_of_class(ts: *mut ThreadState, lhs: *mut PyObject, rhs: *mut PyObject, oparg: usize) -> Option<*mut PyObject> {
    // SAFETY: the contract of `binary`.
    unsafe {
        if oparg >= COMPARE {
            return None;
        }
        let (class, other) = (type_of(lhs), type_of(rhs));
        let method = find(class, oparg)?;
        let operator = oparg % 13;
        if class != other {
            let repeats = operator == MULTIPLY && !(*other).tp_as_sequence.is_null() && (*(*other).tp_as_sequence).sq_repeat.is_some();
            if repeats || ffi::PyType_IsSubtype(other, class) != 0 {
                return None;
            }
        }
        let slot = (OPERATORS[operator].slot)(&*(*class).tp_as_number);
        let res = call(ts, method, &[lhs, rhs])?;
        if res != ffi::Py_NotImplemented() {
            return Some(res);
        }
        decref(res);
        Some(not_implemented(lhs, rhs, oparg, slot))
    }
}

/// The left operand's method does not know: the right one is asked, else it is a TypeError.
#[cold]
#[expect(clippy::indexing_slicing, reason = "operators are below 13")]
unsafe fn not_implemented(lhs: *mut PyObject, rhs: *mut PyObject, oparg: usize, slot: Option<ffi::binaryfunc>) -> *mut PyObject {
    // SAFETY: the contract of `binary`.
    unsafe {
        let operator = &OPERATORS[oparg % 13];
        let (class, other) = (type_of(lhs), type_of(rhs));
        if class != other && !(*other).tp_as_number.is_null() {
            let theirs = (operator.slot)(&*(*other).tp_as_number);
            let res = match theirs {
                // A class of Python too: its slot would ask our method again.
                Some(f) if slot.is_some_and(|s| s as usize == f as usize) => reflected(lhs, rhs, operator.reflected),
                Some(f) => f(lhs, rhs),
                None => ffi::Py_NewRef(ffi::Py_NotImplemented()),
            };
            if res != ffi::Py_NotImplemented() {
                return res;
            }
            decref(res);
        }
        let symbol = if oparg >= 13 { operator.in_place_symbol } else { operator.symbol };
        let text = c"unsupported operand type(s) for %.100s: '%.100s' and '%.100s'";
        ffi::PyErr_Format(ffi::PyExc_TypeError, text.as_ptr(), symbol.as_ptr(), type_name(lhs), type_name(rhs));
        ptr::null_mut()
    }
}

/// `type(rhs).__rop__(rhs, lhs)`: NotImplemented where there is none.
unsafe fn reflected(lhs: *mut PyObject, rhs: *mut PyObject, name: &CStr) -> *mut PyObject {
    // SAFETY: both are alive.
    unsafe {
        let name = interned(name);
        if name.is_null() {
            return name;
        }
        let class = type_of(rhs);
        let found = api::_PyType_LookupRef(class, name);
        decref(name);
        if found.is_null() {
            return ffi::Py_NewRef(ffi::Py_NotImplemented());
        }
        let res = match (*type_of(found)).tp_descr_get {
            Some(get) => {
                let bound = get(found, rhs, class.cast());
                if bound.is_null() {
                    bound
                } else {
                    let res = ffi::PyObject_CallOneArg(bound, lhs);
                    decref(bound);
                    res
                }
            }
            None => ffi::PyObject_CallOneArg(found, lhs),
        };
        decref(found);
        res
    }
}

/// `left <op> right`, `op` one of Py_LT to Py_GE: a new reference, or null with an exception set.
///
/// # Safety
/// Both are alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn compare(ts: *mut ThreadState, left: *mut PyObject, right: *mut PyObject, op: c_int) -> Option<*mut PyObject> {
    // SAFETY: the caller's contract.
    unsafe { if is_heap(type_of(left)) { compare_of_class(ts, left, right, op) } else { None } }
}

#[expect(clippy::indexing_slicing, reason = "there are six comparisons")]
unsafe fn compare_of_class(ts: *mut ThreadState, left: *mut PyObject, right: *mut PyObject, op: c_int) -> Option<*mut PyObject> {
    // SAFETY: the contract of `compare`.
    unsafe {
        let (class, other) = (type_of(left), type_of(right));
        let method = find(class, COMPARE + op as usize)?;
        if class != other && ffi::PyType_IsSubtype(other, class) != 0 {
            return None;
        }
        let res = call(ts, method, &[left, right])?;
        if res != ffi::Py_NotImplemented() {
            return Some(res);
        }
        decref(res);
        let (_, symbol, swapped) = COMPARISONS[op as usize];
        if let Some(theirs) = (*type_of(right)).tp_richcompare {
            let res = theirs(right, left, swapped);
            if res != ffi::Py_NotImplemented() {
                return Some(res);
            }
            decref(res);
        }
        Some(match op {
            ffi::Py_EQ => truth(left == right),
            ffi::Py_NE => truth(left != right),
            _ => {
                let text = c"'%s' not supported between instances of '%.100s' and '%.100s'";
                ffi::PyErr_Format(ffi::PyExc_TypeError, text.as_ptr(), symbol.as_ptr(), type_name(left), type_name(right));
                ptr::null_mut()
            }
        })
    }
}

/// True or False, which are immortal.
unsafe fn truth(yes: bool) -> *mut PyObject {
    // SAFETY: only the addresses of the two singletons are taken.
    unsafe { if yes { ffi::Py_True() } else { ffi::Py_False() } }
}

/// `value in container`: 0, 1, or -1 with an exception set.
///
/// # Safety
/// Both are alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn contains(container: *mut PyObject, value: *mut PyObject) -> Option<c_int> {
    // SAFETY: the caller's contract.
    unsafe {
        let class = type_of(container);
        if !is_heap(class) {
            return None;
        }
        let method = find(class, CONTAINS)?;
        let res = call(ThreadState::current(), method, &[container, value])?;
        if res.is_null() {
            return Some(-1);
        }
        let found = ffi::PyObject_IsTrue(res);
        decref(res);
        Some(found)
    }
}

/// `bool(o)`: 0, 1, or -1 with an exception set.
///
/// # Safety
/// `o` is alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn is_true(o: *mut PyObject) -> Option<c_int> {
    // SAFETY: the caller's contract.
    unsafe {
        let class = type_of(o);
        if !is_heap(class) {
            return None;
        }
        let method = find(class, BOOL)?;
        let res = call(ThreadState::current(), method, &[o])?;
        if res.is_null() {
            return Some(-1);
        }
        let answer = if res == ffi::Py_True() {
            1
        } else if res == ffi::Py_False() {
            0
        } else {
            let text = c"__bool__ should return bool, returned %s";
            ffi::PyErr_Format(ffi::PyExc_TypeError, text.as_ptr(), type_name(res));
            -1
        };
        decref(res);
        Some(answer)
    }
}

/// What the class's `__next__` gives: a new reference, or null with an exception set.
///
/// # Safety
/// `iterator` is alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn next(ts: *mut ThreadState, iterator: *mut PyObject) -> Option<*mut PyObject> {
    // SAFETY: the caller's contract.
    unsafe {
        let class = type_of(iterator);
        if !is_heap(class) {
            return None;
        }
        call(ts, find(class, NEXT)?, &[iterator])
    }
}

/// `container[key] = value`: 0, or -1 with an exception set.
///
/// # Safety
/// All are alive; the GIL is held.
#[inline(always)]
pub(super) unsafe fn set_item(container: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> Option<c_int> {
    // SAFETY: the caller's contract.
    unsafe {
        let class = type_of(container);
        if !is_heap(class) {
            return None;
        }
        let method = find(class, SETITEM)?;
        let res = call(ThreadState::current(), method, &[container, key, value])?;
        if res.is_null() {
            return Some(-1);
        }
        decref(res);
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_stand_where_their_numbers_say() {
        // The numbers are those of BINARY_OP (Include/opcode.h); in place: 13 more.
        let at = |n: usize| OPERATORS.get(n).map(|o| o.symbol);
        for (n, symbol) in [(0, c"+"), (1, c"&"), (5, c"*"), (9, c">>"), (10, c"-"), (11, c"/"), (12, c"^")] {
            assert_eq!(at(n), Some(symbol));
        }
        for o in &OPERATORS {
            let (name, mirrored) = (o.method.to_bytes(), o.reflected.to_bytes());
            assert_eq!([b"__r".as_slice(), &name[2..]].concat(), mirrored);
            assert_eq!(o.in_place_symbol.to_bytes().last(), Some(&b'='));
        }
        for (_, _, swapped) in &COMPARISONS {
            let back = COMPARISONS.get(*swapped as usize).map(|c| c.2);
            assert_eq!(back.and_then(|b| COMPARISONS.get(b as usize)).map(|c| c.2), Some(*swapped));
        }
    }
}
