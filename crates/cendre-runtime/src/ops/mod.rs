//! Stack ops and register helpers: what machine code calls for bytecodes that it does not spell out itself.
//!
//! A stack op finds its inputs at the bottom of the eval stack and leaves its outputs there (docs/internals/contracts.md). Inputs
//! and outputs are stackrefs: owned, or tag 1 and borrowed; an input that is also an output keeps its tag. A register helper
//! (`registers.rs`) borrows its operands and answers a new reference. Inputs that CPython only looks at are best passed
//! borrowed: a handler of the same instruction may want them on the stack below it (`with`: WITH_EXCEPT_START, RERAISE).
//! Invariant: same results, exceptions, messages and order of finalisation as CPython 3.14's bytecodes; on error the
//! inputs are given up, nothing is pushed, and -1 is answered. The frame is `ts->current_frame` throughout.
//! Read `stack.rs` first, then the file of the theme.
//!
//! Entries of the table are from the bottom up. `x*n`: n entries; `[x]`: only with the bit of the oparg that the op's documentation names.
//! Inputs that CPython only looks at stand in the outputs again. "li" is a tagged int (`StackRef::tag_int`), "?" may be NULL.
//!
//! | op | inputs | outputs |
//! |---|---|---|
//! | binary_op, compare_op, contains_op, is_op | left right | result |
//! | unary_negative, unary_invert, unary_not, to_bool | value | result |
//! | binary_slice | container start stop | result |
//! | store_slice | value container start stop | |
//! | store_subscr | value container key | |
//! | delete_subscr | container key | |
//! | build_list, build_tuple, build_set, build_string | value*oparg | result |
//! | build_map | (key value)*oparg | dict |
//! | build_slice | value*oparg (2 or 3) | slice |
//! | build_interpolation | value text [spec] | interpolation |
//! | build_template | strings interpolations | template |
//! | convert_value, format_simple | value | str |
//! | format_with_spec | value spec | str |
//! | unpack_sequence | iterable | value*oparg, the first on top |
//! | unpack_ex | iterable | last*(oparg >> 8) list first*(oparg & 255), the very first on top |
//! | call | callable self? argument*oparg | result |
//! | call_kw | callable self? argument*oparg names | result |
//! | call_function_ex | callable NULL iterable dict? | result |
//! | call_intrinsic_1 | value | result |
//! | call_intrinsic_2 | value value | result |
//! | make_function | code | function |
//! | set_function_attribute | attribute function | function |
//! | load_build_class, load_locals, load_name, load_deref, load_common_constant | | value |
//! | load_global | | value [NULL] |
//! | load_from_dict_or_deref, load_from_dict_or_globals | mapping | value |
//! | load_attr | owner | attribute [self?] |
//! | load_super_attr | super class self | attribute [self?] |
//! | load_special | owner | method self? |
//! | store_attr | value owner | |
//! | delete_attr | owner | |
//! | store_global, store_name, store_deref | value | |
//! | delete_global, delete_name, delete_deref, make_cell, copy_free_vars, setup_annotations | | |
//! | import_name | level from-list | module |
//! | import_from | module | module value |
//! | get_len, match_mapping, match_sequence | subject | subject result |
//! | match_keys | subject keys | subject keys values |
//! | match_class | subject class names | attributes |
//! | get_iter, get_yield_from_iter, get_aiter, get_awaitable | value | iterator |
//! | get_anext | iterator | iterator awaitable |
//! | end_async_for | awaitable exception | |
//! | cleanup_throw | receiver sent exception | None value |
//! | check_eg_match | exception class | rest match |
//! | with_except_start | exit self? li previous exception | exit self? li previous exception result |
//! | raise_varargs | value*oparg | never |
//! | reraise | (li [previous]: oparg entries) exception | never |

pub mod build;
pub mod calls;
mod dunder;
pub mod exceptions;
pub mod iterate;
pub mod names;
pub mod operators;
pub mod registers;
mod stack;
pub mod vector;

pub(crate) use calls::{op_call, op_call_function_ex, op_call_kw, unpacking};
pub use exceptions::{add_traceback, raised_again, traceback_here};
pub(crate) use iterate::{anext, anext_function};
pub(crate) use stack::{around, drop_to, push};

use cendre_cpython::interpframe::Frame;
use cendre_cpython::tstate::ThreadState;
use std::sync::OnceLock;

macro_rules! table {
    ($($module:ident: $($name:ident)*;)*) => {
        vec![$($((stringify!($name), $module::$name as *const () as usize),)*)*]
    };
}

/// Stack ops as machine code calls them: each with what `around` does, in a function of its own.
macro_rules! stack_ops {
    ($($module:ident: $($name:ident)*;)*) => {
        vec![$($((stringify!($name), {
            unsafe extern "C" fn run(ts: *mut ThreadState, fr: *mut Frame, counts: u64, own: u64) -> i32 {
                // SAFETY: called by machine code for its own frame.
                unsafe { around(ts, fr, $module::$name, counts, own) }
            }
            run as *const () as usize
        }),)*)*]
    };
}

/// Name and address of every stack op (`op_*`) and register helper of this module, for the code generator's linker.
pub fn helper_table() -> &'static [(&'static str, usize)] {
    static TABLE: OnceLock<Vec<(&'static str, usize)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        stack_ops! {
            operators:
                op_binary_op op_unary_negative op_unary_invert op_unary_not op_to_bool op_compare_op op_is_op op_contains_op
                op_binary_slice op_store_slice op_store_subscr op_delete_subscr;
            build:
                op_build_set op_build_string op_build_slice op_build_interpolation
                op_build_template op_convert_value op_format_simple op_format_with_spec op_unpack_sequence op_unpack_ex;
            calls:
                op_call op_call_kw op_call_function_ex op_call_intrinsic_1 op_call_intrinsic_2 op_make_function
                op_set_function_attribute op_load_build_class op_load_super_attr;
            names:
                op_load_global op_store_global op_delete_global op_load_name op_store_name op_delete_name op_load_locals
                op_load_from_dict_or_globals op_load_from_dict_or_deref op_load_deref op_store_deref op_delete_deref
                op_make_cell op_copy_free_vars op_setup_annotations op_load_common_constant op_import_name op_import_from
                op_load_attr op_store_attr op_delete_attr op_load_special op_get_len op_match_mapping op_match_sequence
                op_match_keys op_match_class;
            iterate:
                op_get_yield_from_iter op_get_aiter op_get_anext op_get_awaitable;
            exceptions:
                op_check_eg_match op_with_except_start op_reraise op_end_async_for op_cleanup_throw op_raise_varargs;
        }
        .into_iter()
        .chain(table! {
            build: op_build_tuple op_build_list op_build_map;
            iterate: op_get_iter;
            calls: call_slots;
            exceptions: raise_one exception_matches exception_matches_any trace_exception forget_exception;
            registers:
                list_append set_add map_add list_extend set_update dict_update dict_merge spread_map for_iter binary_op compare_op is_true
                contains get_attr store_attr subscr store_subscr unbound_local_error drop_stack dealloc dealloc_watching;
            vector: call_vector call_owned;
        })
        .chain([("keyword_default_of", crate::binding::keyword_default_of as *const () as usize)])
        .collect()
    })
}
