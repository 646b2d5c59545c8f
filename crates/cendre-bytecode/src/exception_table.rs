//! `co_exceptiontable`: which handler an instruction's exception goes to, and how high the stack is there.
//!
//! Invariant: a parsed table is sorted and its ranges do not overlap, so at most one handler covers a unit; parsing
//! never panics. Each entry is four numbers (start, length, target, depth and lasti), each of six-bit groups, the high group
//! first; bit 6 of a byte says that another follows, bit 7 marks the first byte of an entry. All are code units.
//! Read `decode.rs` for the instructions that `check` compares with.

use crate::decode::{Instr, index_of_start};

/// One protected range and its handler. Offsets in code units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// First protected unit.
    pub start: u32,
    /// Unit behind the last protected one.
    pub end: u32,
    /// Where the handler starts.
    pub target: u32,
    /// Stack entries that are kept; what lies above is dropped before the exception is pushed.
    pub depth: u32,
    /// Whether the offset of the raising instruction is pushed under the exception, for RERAISE.
    pub lasti: bool,
}

/// Why an exception table cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are explained here and by each variant")]
pub enum ExceptionTableError {
    /// The bytes end inside an entry.
    Truncated,
    /// The byte at this index is the first of an entry where none begins, or is not where one does.
    BadStart { byte: usize },
    /// A number or the end of a range needs more than 32 bits.
    TooBig { byte: usize },
    /// A range is empty, or starts before the previous one ends.
    BadRange { start: u32, end: u32 },
    /// A range or target that is not on an instruction's border of the code.
    NoInstruction { unit: u32 },
}

impl std::fmt::Display for ExceptionTableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            ExceptionTableError::Truncated => write!(f, "exception table ends inside an entry"),
            ExceptionTableError::BadStart { byte } => write!(f, "exception table: bad entry mark at byte {byte}"),
            ExceptionTableError::TooBig { byte } => write!(f, "exception table: number too big at byte {byte}"),
            ExceptionTableError::BadRange { start, end } => write!(f, "exception table: bad range {start}..{end}"),
            ExceptionTableError::NoInstruction { unit } => write!(f, "exception table: no instruction at unit {unit}"),
        }
    }
}

impl std::error::Error for ExceptionTableError {}

/// A parsed exception table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExceptionTable {
    handlers: Vec<Handler>,
}

impl ExceptionTable {
    /// Parses the bytes of `co_exceptiontable`.
    pub fn parse(table: &[u8]) -> Result<ExceptionTable, ExceptionTableError> {
        let mut reader = Reader { table, at: 0 };
        let mut handlers: Vec<Handler> = Vec::new();
        while reader.at < table.len() {
            let byte = reader.at;
            let start = reader.number(true)?;
            let length = reader.number(false)?;
            let target = reader.number(false)?;
            let depth_lasti = reader.number(false)?;
            let end = start.checked_add(length).ok_or(ExceptionTableError::TooBig { byte })?;
            if length == 0 || handlers.last().is_some_and(|previous| previous.end > start) {
                return Err(ExceptionTableError::BadRange { start, end });
            }
            handlers.push(Handler { start, end, target, depth: depth_lasti >> 1, lasti: depth_lasti & 1 != 0 });
        }
        Ok(ExceptionTable { handlers })
    }

    /// All handlers, sorted by range.
    pub fn handlers(&self) -> &[Handler] {
        &self.handlers
    }

    /// The handler for an exception raised by the instruction whose opcode is at this code unit.
    pub fn lookup(&self, offset: u32) -> Option<&Handler> {
        let index = self.handlers.partition_point(|handler| handler.end <= offset);
        self.handlers.get(index).filter(|handler| handler.start <= offset)
    }

    /// Checks that ranges begin and end at instructions of this code and that handlers start at one.
    pub fn check(&self, code: &[Instr]) -> Result<(), ExceptionTableError> {
        let end_of_code = code.last().map_or(0, |last| last.next);
        for handler in &self.handlers {
            for unit in [handler.start, handler.end, handler.target] {
                let behind = unit == end_of_code && unit == handler.end;
                if !behind && index_of_start(code, unit).is_none() {
                    return Err(ExceptionTableError::NoInstruction { unit });
                }
            }
        }
        Ok(())
    }
}

struct Reader<'a> {
    table: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn number(&mut self, first_of_entry: bool) -> Result<u32, ExceptionTableError> {
        let first_byte = self.at;
        let mut value: u32 = 0;
        loop {
            let byte = self.at;
            let group = *self.table.get(byte).ok_or(ExceptionTableError::Truncated)?;
            if (group & 0x80 != 0) != (first_of_entry && byte == first_byte) {
                return Err(ExceptionTableError::BadStart { byte });
            }
            if value > u32::MAX >> 6 {
                return Err(ExceptionTableError::TooBig { byte });
            }
            value = value << 6 | u32::from(group & 0x3F);
            self.at += 1;
            if group & 0x40 == 0 {
                return Ok(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_entries_of_several_groups() {
        // 3..73 -> 200, depth 2, lasti; then 73..74 -> 1, depth 0.
        let bytes = [0x83, 0x41, 0x06, 0x43, 0x08, 0x05, 0xC1, 0x09, 0x01, 0x01, 0x00];
        let table = ExceptionTable::parse(&bytes).unwrap();
        assert_eq!(
            table.handlers(),
            [
                Handler { start: 3, end: 73, target: 200, depth: 2, lasti: true },
                Handler { start: 73, end: 74, target: 1, depth: 0, lasti: false },
            ]
        );
        assert_eq!(table.lookup(2), None);
        assert_eq!(table.lookup(3).unwrap().target, 200);
        assert_eq!(table.lookup(72).unwrap().target, 200);
        assert_eq!(table.lookup(73).unwrap().target, 1);
        assert_eq!(table.lookup(74), None);
    }

    #[test]
    fn refuses_what_is_no_table() {
        use ExceptionTableError::*;
        let refused = |bytes: &[u8]| ExceptionTable::parse(bytes).unwrap_err();
        assert_eq!(ExceptionTable::parse(&[]).unwrap().handlers(), []);
        assert_eq!(refused(&[0x80, 0x01]), Truncated);
        assert_eq!(refused(&[0x00, 0x01, 0x00, 0x00]), BadStart { byte: 0 });
        assert_eq!(refused(&[0x80, 0x81, 0x00, 0x00]), BadStart { byte: 1 });
        assert_eq!(refused(&[0x80, 0x00, 0x00, 0x00]), BadRange { start: 0, end: 0 });
        assert_eq!(refused(&[0x80, 0x02, 0, 0, 0x81, 0x02, 0, 0]), BadRange { start: 1, end: 3 });
        assert_eq!(refused(&[0xFF, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x3F]), TooBig { byte: 5 });
        assert_eq!(refused(&[0xC3, 0x7F, 0x7F, 0x7F, 0x7F, 0x3F, 0x01, 0, 0]), TooBig { byte: 0 });
    }
}
