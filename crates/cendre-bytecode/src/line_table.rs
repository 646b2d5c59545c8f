//! `co_linetable`: the source lines and columns of instructions (PEP 626, PEP 657), for `cendre explain`.
//!
//! Invariant: a parsed table covers the code units from 0 on without a gap; parsing never panics. Each entry begins with a
//! byte of bit 7, a four-bit kind and the length in units less one; numbers behind it are six-bit groups, the *low* group
//! first (the other way round than in exception tables), bit 6 of a byte says that another follows.
//! Read `exception_table.rs` for the other side table.

/// The source position of a run of code units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// First unit.
    pub start: u32,
    /// Unit behind the last one.
    pub end: u32,
    /// Line, counted from 1; None: the code belongs to no line.
    pub line: Option<u32>,
    /// Last line.
    pub end_line: Option<u32>,
    /// Column in bytes, counted from 0.
    pub column: Option<u32>,
    /// Column behind the last byte.
    pub end_column: Option<u32>,
}

/// Why a line table cannot be read; `byte` is an index into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are explained here and by each variant")]
pub enum LineTableError {
    /// The bytes end inside an entry.
    Truncated,
    /// The byte is the first of an entry where none begins, or is not where one does.
    BadStart { byte: usize },
    /// A number is too big, a line is negative.
    OutOfRange { byte: usize },
}

impl std::fmt::Display for LineTableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            LineTableError::Truncated => write!(f, "line table ends inside an entry"),
            LineTableError::BadStart { byte } => write!(f, "line table: bad entry mark at byte {byte}"),
            LineTableError::OutOfRange { byte } => write!(f, "line table: number out of range at byte {byte}"),
        }
    }
}

impl std::error::Error for LineTableError {}

/// A parsed line table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineTable {
    locations: Vec<Location>,
}

// The kinds of an entry. 0 to 9 are short ones: same line, columns packed into the kind and one byte.
const KIND_ONE_LINE: u8 = 10; // to 12: the line moves on by kind - 10, two bytes of columns
const KIND_NO_COLUMNS: u8 = 13;
const KIND_LONG: u8 = 14;
const KIND_NONE: u8 = 15;

impl LineTable {
    /// Parses the bytes of `co_linetable` of a code object with this `co_firstlineno`.
    pub fn parse(table: &[u8], first_line: u32) -> Result<LineTable, LineTableError> {
        let mut reader = Reader { table, at: 0 };
        let mut locations = Vec::new();
        let mut line = i64::from(first_line);
        let mut start: u32 = 0;
        while reader.at < table.len() {
            let byte = reader.at;
            let head = reader.byte(true)?;
            let kind = head >> 3 & 15;
            let end = start.checked_add(u32::from(head & 7) + 1).ok_or(LineTableError::OutOfRange { byte })?;
            let mut at = Location { start, end, line: None, end_line: None, column: None, end_column: None };
            // The current line goes on from entry to entry, also over those that have none.
            let mut end_delta = 0;
            match kind {
                KIND_NONE => {}
                KIND_LONG => {
                    line += reader.signed()?;
                    end_delta = i64::from(reader.number()?);
                    at.column = reader.number()?.checked_sub(1);
                    at.end_column = reader.number()?.checked_sub(1);
                }
                KIND_NO_COLUMNS => line += reader.signed()?,
                KIND_ONE_LINE..=12 => {
                    line += i64::from(kind - KIND_ONE_LINE);
                    at.column = Some(u32::from(reader.byte(false)?));
                    at.end_column = Some(u32::from(reader.byte(false)?));
                }
                _ => {
                    let packed = u32::from(reader.byte(false)?);
                    let column = u32::from(kind) << 3 | packed >> 4;
                    at.column = Some(column);
                    at.end_column = Some(column + (packed & 15));
                }
            }
            if kind != KIND_NONE {
                let in_range = |value: i64| u32::try_from(value).map_err(|_| LineTableError::OutOfRange { byte });
                at.line = Some(in_range(line)?);
                at.end_line = Some(in_range(line + end_delta)?);
            }
            locations.push(at);
            start = end;
        }
        Ok(LineTable { locations })
    }

    /// All entries, in the order of the code.
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// The entry that covers this code unit.
    pub fn lookup(&self, offset: u32) -> Option<&Location> {
        self.locations.get(self.locations.partition_point(|location| location.end <= offset))
    }

    /// The source line of the instruction at this code unit; None where it has none.
    pub fn line(&self, offset: u32) -> Option<u32> {
        self.lookup(offset)?.line
    }
}

struct Reader<'a> {
    table: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte, which must (not) be marked as the first of an entry.
    fn byte(&mut self, first: bool) -> Result<u8, LineTableError> {
        let byte = *self.table.get(self.at).ok_or(LineTableError::Truncated)?;
        if (byte & 0x80 != 0) != first {
            return Err(LineTableError::BadStart { byte: self.at });
        }
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u32, LineTableError> {
        let byte = self.at;
        let mut value: u64 = 0;
        for shift in (0..36).step_by(6) {
            let group = self.byte(false)?;
            value |= u64::from(group & 0x3F) << shift;
            if group & 0x40 == 0 {
                return u32::try_from(value).map_err(|_| LineTableError::OutOfRange { byte });
            }
        }
        Err(LineTableError::OutOfRange { byte })
    }

    /// The sign is in the lowest bit.
    fn signed(&mut self) -> Result<i64, LineTableError> {
        let value = self.number()?;
        let magnitude = i64::from(value >> 1);
        Ok(if value & 1 == 0 { magnitude } else { -magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind() {
        let bytes = [
            0x80 | 15 << 3, // none, 1 unit
            0x80 | 1 << 3 | 1,
            0x23, // short, 2 units: column 8 + 2, 3 wide
            0x80 | 12 << 3,
            5,
            70, // two lines on
            0x80 | 13 << 3 | 7,
            3, // no columns, 8 units, one line back
            0x80 | 14 << 3,
            0x48,
            0x02, // long: line + 68
            1,
            0,
            9,
        ];
        let table = LineTable::parse(&bytes, 10).unwrap();
        let entry = |start, end, line, end_line, column, end_column| Location { start, end, line, end_line, column, end_column };
        assert_eq!(
            table.locations(),
            [
                entry(0, 1, None, None, None, None),
                entry(1, 3, Some(10), Some(10), Some(10), Some(13)),
                entry(3, 4, Some(12), Some(12), Some(5), Some(70)),
                entry(4, 12, Some(11), Some(11), None, None),
                entry(12, 13, Some(79), Some(80), None, Some(8)),
            ]
        );
        assert_eq!([0, 2, 11, 12, 13].map(|unit| table.line(unit)), [None, Some(10), Some(11), Some(79), None]);
    }

    #[test]
    fn refuses_what_is_no_table() {
        let refused = |bytes: &[u8]| LineTable::parse(bytes, 1).unwrap_err();
        assert_eq!(LineTable::parse(&[], 1).unwrap().line(0), None);
        assert_eq!(refused(&[0x80]), LineTableError::Truncated);
        assert_eq!(refused(&[0x00, 0x00]), LineTableError::BadStart { byte: 0 });
        assert_eq!(refused(&[0x80, 0x80]), LineTableError::BadStart { byte: 1 });
        assert_eq!(refused(&[0xE8, 0x05]), LineTableError::OutOfRange { byte: 0 });
        assert_eq!(refused(&[0xE8, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F]), LineTableError::OutOfRange { byte: 1 });
    }
}
