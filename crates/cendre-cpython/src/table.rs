//! The layout tables: every struct of CPython that this crate declares describes itself.
//!
//! Holds: [`StructLayout`] and the two macros that fill it. `layout!` declares a `#[repr(C)]` struct and its table in one
//! go; `layout_of!` makes a table for a struct that `pyo3-ffi` declares.
//! Invariant: a field cannot be declared without being in the table, and the table is plain constant data: it names no
//! symbol of libpython, so that the probe test links without it.
//! Read: `docs/internals/layout.md`; the probe is `tests/layout_probe.rs`.

/// One field as Rust lays it out.
#[derive(Debug, Clone, Copy)]
pub struct FieldLayout {
    /// The field as C spells it (`a.b` for a nested one); empty where C has no name for it (a group of bit fields).
    pub c: &'static str,
    /// Its offset in bytes.
    pub offset: usize,
    /// Its size in bytes; 0 for a flexible array member.
    pub size: usize,
}

/// One struct as Rust lays it out.
#[derive(Debug, Clone, Copy)]
pub struct StructLayout {
    /// The type as C spells it, for example `struct _ts`.
    pub c: &'static str,
    /// `sizeof`, or 0 where Rust declares only the beginning of the struct.
    pub size: usize,
    /// The fields, in order of declaration.
    pub fields: &'static [FieldLayout],
}

impl StructLayout {
    /// The offset of the field that C calls `c`.
    pub fn offset(&self, c: &str) -> Option<usize> {
        self.fields.iter().find(|f| f.c == c).map(|f| f.offset)
    }
}

/// Size of the field that `_field` reads: lets constants ask for the size of a field without naming its type.
pub(crate) const fn field_size<T, F>(_field: fn(&T) -> &F) -> usize {
    core::mem::size_of::<F>()
}

/// Declares a `#[repr(C)]` struct whose constant `LAYOUT` lists its fields.
///
/// `name = "c_name": type` gives the C spelling where it differs; `= ""` means that C cannot name the field.
macro_rules! layout {
    (@c $f:ident) => { stringify!($f) };
    (@c $f:ident $c:literal) => { $c };
    ($(
        $(#[$m:meta])*
        pub struct $name:ident = $c:literal {
            $( $(#[$fm:meta])* pub $f:ident $(= $cf:literal)? : $t:ty, )*
        }
    )*) => { $(
        $(#[$m])*
        #[repr(C)]
        pub struct $name {
            $( $(#[$fm])* pub $f: $t, )*
        }
        impl $name {
            /// The struct's entry in the layout tables.
            pub const LAYOUT: $crate::table::StructLayout = $crate::table::StructLayout {
                c: $c,
                size: core::mem::size_of::<$name>(),
                fields: &[ $( $crate::table::FieldLayout {
                    c: layout!(@c $f $($cf)?),
                    offset: core::mem::offset_of!($name, $f),
                    size: core::mem::size_of::<$t>(),
                }, )* ],
            };
        }
    )* };
}

/// A table for a struct that `pyo3-ffi` declares: `layout_of!(NAME = "c name", path::Type { field, ... })`.
macro_rules! layout_of {
    ($(#[$m:meta])* $table:ident = $c:literal, $t:ty { $( $f:ident ),* $(,)? }) => {
        $(#[$m])*
        pub const $table: $crate::table::StructLayout = $crate::table::StructLayout {
            c: $c,
            size: core::mem::size_of::<$t>(),
            fields: &[ $( $crate::table::FieldLayout {
                c: stringify!($f),
                offset: core::mem::offset_of!($t, $f),
                size: $crate::table::field_size(|x: &$t| &x.$f),
            }, )* ],
        };
    };
}

pub(crate) use layout;
pub(crate) use layout_of;
