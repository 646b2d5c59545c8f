//! What machine code has the addresses of, beside objects: records of callees and cells of global variables.
//!
//! Invariant: whoever holds a `Kept` (a job, then its artifact) has counted itself at each of them, once for each time that it is
//! listed, and gives them up when no machine code with these addresses can run any more. Read `record.rs`, `globals.rs`.

use crate::globals;
use crate::record::{self, CodeRecord};
use std::collections::BTreeSet;

/// Records and cells that are not freed meanwhile. Dropping it gives nothing up: that takes the GIL.
#[derive(Default)]
pub struct Kept {
    records: Vec<*mut CodeRecord>,
    cells: BTreeSet<*const usize>,
}

impl Kept {
    /// Keeps a record.
    ///
    /// # Safety
    /// The record is not freed; the GIL is held.
    pub unsafe fn record(&mut self, record: *mut CodeRecord) {
        // SAFETY: the caller's contract.
        unsafe { record::keep(record) }
        self.records.push(record);
    }

    /// Keeps a cell of `globals::cell`.
    ///
    /// # Safety
    /// The cell is not freed; the GIL is held.
    pub unsafe fn cell(&mut self, cell: *const usize) {
        if self.cells.insert(cell) {
            // SAFETY: the caller's contract.
            unsafe { globals::keep(cell) }
        }
    }

    /// Gives all up.
    ///
    /// # Safety
    /// Nobody will use the addresses again; the GIL is held.
    pub unsafe fn give_up(self) {
        // SAFETY: each was kept when it was listed.
        unsafe {
            for record in self.records {
                record::give_up(record);
            }
            for cell in self.cells {
                globals::give_up(cell);
            }
        }
    }
}
