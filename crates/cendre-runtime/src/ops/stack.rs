//! The operands of a stack op: reading them, giving them up, pushing results, in CPython's order.
//!
//! Invariant: `stackpointer` always stands just above what the frame owns, also while a reference that was given up runs a
//! finaliser; nothing below it is ever closed twice. Read docs/internals/contracts.md, "Stack ops"; `mod.rs` for the table.

use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::stackref::{INT_TAG, StackRef};
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::tupleobject::TupleObject;
use cendre_cpython::unicodeobject::AsciiObject;
use core::ffi::CStr;

/// What a stack op answers after success.
pub(super) const OK: i32 = 0;
/// What a stack op answers with an exception set.
pub(super) const RAISED: i32 = -1;

/// `PyStackRef_True`, `PyStackRef_False`: immortal, so tag 1.
#[inline(always)]
pub(super) fn bool_ref(b: bool) -> StackRef {
    // SAFETY: only the addresses of the two singletons are taken.
    StackRef::from_borrow(unsafe { if b { ffi::Py_True() } else { ffi::Py_False() } })
}

/// `PyStackRef_None`.
#[inline(always)]
pub(super) fn none_ref() -> StackRef {
    // SAFETY: only the address of the singleton is taken.
    StackRef::from_borrow(unsafe { ffi::Py_None() })
}

/// Input number `n`, counted from the bottom.
///
/// # Safety
/// The op has more than `n` inputs.
#[inline(always)]
pub(super) unsafe fn input(fr: *mut Frame, n: usize) -> StackRef {
    // SAFETY: the machine code stored the inputs from the stack base upwards.
    unsafe { *Frame::stack_base(fr).add(n) }
}

/// Object of input number `n`, borrowed; null for a NULL entry.
///
/// # Safety
/// As for [`input`], and the entry is not a tagged int.
#[inline(always)]
pub(super) unsafe fn object(fr: *mut Frame, n: usize) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { input(fr, n).as_ptr() }
}

/// Takes the topmost entry off.
///
/// # Safety
/// The stack is not empty.
#[inline(always)]
pub(super) unsafe fn pop(fr: *mut Frame) -> StackRef {
    // SAFETY: the caller's contract.
    unsafe {
        (*fr).stackpointer = (*fr).stackpointer.sub(1);
        *(*fr).stackpointer
    }
}

/// Puts an entry on top.
///
/// # Safety
/// The code's stack size allows for it.
#[inline(always)]
pub(crate) unsafe fn push(fr: *mut Frame, r: StackRef) {
    // SAFETY: the caller's contract.
    unsafe {
        *(*fr).stackpointer = r;
        (*fr).stackpointer = (*fr).stackpointer.add(1);
    }
}

/// Closes the entries above `depth`, the topmost first.
///
/// # Safety
/// The frame runs, its stack is in memory. May run arbitrary code.
#[inline]
pub(crate) unsafe fn drop_to(fr: *mut Frame, depth: usize) {
    // SAFETY: the stack begins at the base; each entry is taken off before it is closed.
    unsafe {
        let base = Frame::stack_base(fr);
        let height = (*fr).stackpointer.offset_from(base) as usize;
        for _ in depth..height {
            pop(fr).close();
        }
    }
}

/// Gives up all inputs and answers that an exception is set.
///
/// # Safety
/// As for [`drop_to`]; an exception is set.
#[cold]
pub(super) unsafe fn fail(fr: *mut Frame) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { drop_to(fr, 0) };
    RAISED
}

/// Gives up the inputs, the topmost first, then pushes a new reference; null means that an exception is set.
///
/// # Safety
/// `res` is owned or null; as for [`drop_to`].
#[inline]
pub(super) unsafe fn finish(fr: *mut Frame, res: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract; the space of an input holds the output (or the code's stack size allows for it).
    unsafe {
        drop_to(fr, 0);
        if res.is_null() {
            return RAISED;
        }
        push(fr, StackRef::from_steal(res));
    }
    OK
}

/// The same for two inputs whose result takes the place of the lower one before that is given up (BINARY_OP).
///
/// # Safety
/// There are two inputs; `res` is not NULL; if an object, owned.
#[inline]
pub(super) unsafe fn finish_over(fr: *mut Frame, res: StackRef) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        let base = Frame::stack_base(fr);
        let lower = *base;
        *base = res;
        lower.close();
        pop(fr).close();
    }
    OK
}

/// Gives up the inputs and answers `status` as 0 or -1.
///
/// # Safety
/// As for [`drop_to`].
#[inline]
pub(super) unsafe fn finish_status(fr: *mut Frame, failed: bool) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { drop_to(fr, 0) };
    if failed { RAISED } else { OK }
}

/// Pushes a new reference over inputs that stay; null means that an exception is set, then they are given up.
///
/// # Safety
/// `res` is owned or null; as for [`drop_to`] and [`push`].
#[inline]
pub(super) unsafe fn finish_peek(fr: *mut Frame, res: *mut PyObject) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        if res.is_null() {
            return fail(fr);
        }
        push(fr, StackRef::from_steal(res));
    }
    OK
}

/// Name number `n` of the frame's code, borrowed.
///
/// # Safety
/// `n` indexes `co_names`.
#[inline(always)]
pub(super) unsafe fn name(fr: *mut Frame, n: u32) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { *TupleObject::items((*(*fr).code()).co_names.cast()).add(n as usize) }
}

/// Name of slot number `n` of the frame's code, borrowed.
///
/// # Safety
/// `n` indexes `co_localsplusnames`.
#[inline(always)]
pub(super) unsafe fn slot_name(fr: *mut Frame, n: u32) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe { *TupleObject::items((*(*fr).code()).co_localsplusnames.cast()).add(n as usize) }
}

/// The empty string: a static, immortal object.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn empty_str() -> *mut PyObject {
    // SAFETY: CPython answers its singleton for length 0 and cannot fail; its reference need not be given back.
    let s = unsafe { ffi::PyUnicode_FromStringAndSize(core::ptr::null(), 0) };
    // SAFETY: s is a string.
    debug_assert_eq!(unsafe { (*s.cast::<AsciiObject>()).length }, 0);
    s
}

/// A string that CPython itself interns statically (`_Py_ID`), owned; null with an exception set.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn interned(text: &CStr) -> *mut PyObject {
    // SAFETY: a C string in UTF-8.
    unsafe { ffi::PyUnicode_InternFromString(text.as_ptr()) }
}

/// `tp_name` of an object's class, for messages.
///
/// # Safety
/// `o` is alive.
#[inline]
pub(super) unsafe fn type_name(o: *mut PyObject) -> *const core::ffi::c_char {
    // SAFETY: the caller's contract.
    unsafe { (*ffi::Py_TYPE(o)).tp_name }
}

/// Bare pointers of a run of stack entries, for functions that take an array of objects; one free word lies before it.
///
/// Up to [`Objects::INLINE`] pointers lie in the value itself.
pub(super) struct Objects {
    inline: [*mut PyObject; Objects::INLINE + 1],
    heap: Vec<*mut PyObject>,
}

impl Objects {
    const INLINE: usize = 14;

    /// An empty one; see [`Objects::fill`].
    #[inline(always)]
    pub(super) fn new() -> Objects {
        Objects { inline: [core::ptr::null_mut(); Objects::INLINE + 1], heap: Vec::new() }
    }

    /// Copies `n` entries, borrowed, and answers the address of the first pointer; null (MemoryError is set) if there is no room.
    ///
    /// # Safety
    /// `from` points to `n` entries that are no tagged ints and stay alive as long as the pointers are used.
    #[inline]
    pub(super) unsafe fn fill(&mut self, from: *const StackRef, n: usize) -> *mut *mut PyObject {
        let start = if n <= Objects::INLINE {
            self.inline.as_mut_ptr()
        } else {
            if self.heap.try_reserve_exact(n + 1).is_err() {
                // SAFETY: the GIL is held.
                unsafe { ffi::PyErr_NoMemory() };
                return core::ptr::null_mut();
            }
            self.heap.as_mut_ptr()
        };
        // SAFETY: both have room for n + 1 pointers; the caller's contract for `from`.
        unsafe {
            let first = start.add(1);
            for i in 0..n {
                *first.add(i) = (*from.add(i)).as_ptr();
            }
            first
        }
    }
}

/// Stack op `op` for machine code: gives the inputs, which it stored as plain words at the bottom of the stack, their tags, and takes
/// the outputs off again, as plain words with a reference of their own. `counts`: oparg, inputs << 32, outputs << 48; `own`: the inputs
/// whose references the op consumes. 0, or -1 with an exception set.
///
/// Each op has this around it by itself (`mod.rs`): a common function that calls any of them through a pointer mispredicts most of its calls.
///
/// # Safety
/// Called for machine code's own frame; the words are objects, null, or tagged ints.
#[inline(always)]
pub(crate) unsafe fn around(
    ts: *mut ThreadState,
    fr: *mut Frame,
    op: unsafe extern "C" fn(*mut ThreadState, *mut Frame, u32) -> i32,
    counts: u64,
    own: u64,
) -> i32 {
    // SAFETY: the caller's contract; the stack is as deep as the bytecode's own inputs and outputs.
    unsafe {
        let base = Frame::stack_base(fr);
        let inputs = (counts >> 32 & 0xffff) as usize;
        match inputs {
            0 => {}
            1 => *base = tagged(*base, own),
            _ => tag_words(base, inputs, own),
        }
        (*fr).stackpointer = base.add(inputs);
        let status = op(ts, fr, counts as u32);
        if status < 0 {
            return status;
        }
        match (counts >> 48) as usize {
            0 => {}
            1 => *base = untagged(*base),
            n => untag_words(base, n),
        }
        (*fr).stackpointer = base;
        status
    }
}

/// A word of machine code as a stackref: owned, if bit 0 of `own` says so.
#[inline(always)]
unsafe fn tagged(word: StackRef, own: u64) -> StackRef {
    // SAFETY: the caller's word is an object, null, or a tagged int.
    unsafe { if own & 1 != 0 { StackRef::from_steal_or_null(word.0 as *mut PyObject) } else { word.borrow() } }
}

/// A stackref as a word with a reference of its own.
#[inline(always)]
unsafe fn untagged(word: StackRef) -> StackRef {
    if word.0 & INT_TAG == INT_TAG {
        return word;
    }
    let o = word.as_ptr();
    // SAFETY: the caller's entry is alive.
    unsafe {
        if !word.owns() && !o.is_null() {
            refcount::incref(o);
        }
    }
    StackRef(o as usize)
}

#[inline(never)]
unsafe fn tag_words(base: *mut StackRef, n: usize, own: u64) {
    // SAFETY: the caller's contract. Bit 63 stands for all words from there on: an arithmetic shift keeps it.
    unsafe {
        let mut own = own as i64;
        let mut p = base;
        let end = base.add(n);
        while p < end {
            *p = tagged(*p, own as u64);
            own >>= 1;
            p = p.add(1);
        }
    }
}

#[inline(never)]
unsafe fn untag_words(base: *mut StackRef, n: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        let mut p = base;
        let end = base.add(n);
        while p < end {
            *p = untagged(*p);
            p = p.add(1);
        }
    }
}

/// References that machine code gave to an op that could not begin: the topmost goes first. Answers that an exception is set.
///
/// # Safety
/// As for [`around`]; an exception is set.
#[cold]
pub(super) unsafe fn give_up(base: *mut StackRef, inputs: usize, own: u64) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        for n in (0..inputs).rev() {
            if own >> n.min(63) & 1 != 0 {
                refcount::xdecref((*base.add(n)).0 as *mut PyObject);
            }
        }
    }
    RAISED
}
