//! What exits of machine code hand over, written to the frame: leaving for the interpreter, and raising.
//!
//! Invariant: the words stand in the order of their row: stale locals, then the eval stack; afterwards the frame is as the interpreter
//! would have it at that point. Read `cendre-codegen/src/exit_table.rs` and docs/internals/codegen.md, "Exits".

use crate::numbers;
use crate::ops::exceptions::{trace_untraced, unwind};
use cendre_codegen::{ExitTable, Row, Word};
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::refcount;
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::ThreadState;

/// Makes locals and eval stack current.
unsafe fn restore(ts: *mut ThreadState, fr: *mut Frame, row: &Row, words: *const u64) {
    // SAFETY: machine code stored a word for each value of the row; owned ones pass to the frame, whose stack is deep enough.
    unsafe {
        let mut words = words;
        let mut next = || {
            let word = *words;
            words = words.add(1);
            word
        };
        for e in &row.stale {
            let (slot, word) = (e.slot, next());
            if e.unless && next() & 0xff != 0 {
                continue;
            }
            match e.kind {
                Word::Float => numbers::sync_float(ts, fr, slot.into(), f64::from_bits(word)),
                Word::Bool => numbers::sync_bool(ts, fr, slot.into(), word),
                _ => numbers::sync_int(ts, fr, slot.into(), word as i64),
            };
        }
        let base = Frame::stack_base(fr);
        for (n, kind) in row.stack.iter().enumerate() {
            if let Word::Same(of) = kind {
                let o = (*base.add(*of as usize)).as_ptr();
                *base.add(n) = StackRef::from_steal_or_null(refcount::new_ref(o));
                continue;
            }
            let word = next();
            let object = word as *mut PyObject;
            *base.add(n) = match kind {
                Word::Int => StackRef::from_steal_or_null(numbers::box_int_keeping(word as i64)),
                Word::Float => StackRef::from_steal_or_null(numbers::box_float_keeping(f64::from_bits(word))),
                Word::IntIn(slot) => StackRef::from_steal_or_null(numbers::home_int(ts, fr, (*slot).into(), word as i64)),
                Word::FloatIn(slot) => StackRef::from_steal_or_null(numbers::home_float(ts, fr, (*slot).into(), f64::from_bits(word))),
                Word::IntOf => StackRef::from_steal_or_null(numbers::object_of_int(ts, fr, next(), word as i64)),
                Word::FloatOf => StackRef::from_steal_or_null(numbers::object_of_float(ts, fr, next(), f64::from_bits(word))),
                Word::Same(_) => StackRef::NULL,
                Word::Bool => StackRef::from_borrow(if word != 0 { ffi::Py_True() } else { ffi::Py_False() }),
                Word::Raw => StackRef(word as usize),
                Word::Owned => StackRef::from_steal_or_null(object),
                Word::Borrowed => StackRef::from_borrow(object),
            };
        }
        (*fr).stackpointer = base.add(row.stack.len());
    }
}

/// The instruction at a unit of the frame's code.
unsafe fn stand_at(fr: *mut Frame, unit: u32) {
    // SAFETY: a live frame owns its code object, and rows name units of it.
    unsafe { (*fr).instr_ptr = CodeObject::units((*fr).code()).add(unit as usize) }
}

/// Leaves: the interpreter can go on from the frame.
///
/// # Safety
/// Called by machine code for its own frame, with a row of its own table and the words of that row.
#[expect(clippy::indexing_slicing, reason = "machine code names rows of its own table")]
unsafe extern "C" fn leave_frame(ts: *mut ThreadState, fr: *mut Frame, table: *const ExitTable, row: u64, words: *const u64) {
    // SAFETY: the caller's contract; the artifact that owns the table outlives its machine code's runs.
    unsafe {
        let row = &(&(*table).rows)[row as usize];
        restore(ts, fr, row, words);
        trace_untraced(ts, fr);
        stand_at(fr, row.resume);
    }
}

/// Raises: 0 if the frame's handler is to run, which finds its stack in memory; 1 if the frame has none or a tool watches. Bit 0 of
/// `row`: `instr_ptr` is still to be set.
///
/// # Safety
/// As for [`leave_frame`], and an exception is set.
#[expect(clippy::indexing_slicing, reason = "machine code names rows of its own table")]
unsafe extern "C" fn raise_frame(ts: *mut ThreadState, fr: *mut Frame, table: *const ExitTable, row: u64, words: *const u64) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        let store = row & 1 != 0;
        let row = &(&(*table).rows)[(row >> 1) as usize];
        if store {
            stand_at(fr, row.unit);
        }
        restore(ts, fr, row, words);
        trace_untraced(ts, fr);
        match row.handler {
            Some((depth, lasti)) => unwind(ts, fr, depth as i32, lasti.into()),
            None => 1,
        }
    }
}

/// The helpers of this file, by name.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: std::sync::OnceLock<[(&str, usize); 2]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| [("leave_frame", leave_frame as *const () as usize), ("raise_frame", raise_frame as *const () as usize)])
}
