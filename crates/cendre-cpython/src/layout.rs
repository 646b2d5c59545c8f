//! Is this the CPython that the declarations describe? Asked once, at import, before anything else.
//!
//! Holds [`check`]: version and kind of build, then every offset that `_Py_DebugOffsets` publishes, then the sizes that
//! types publish, then `selftest` for what nobody publishes.
//! Invariant: cheap and harmless tests come first, so that a later one may rely on the earlier; every failure is a sentence
//! that says what is supported and what was found; nothing of the interpreter is changed.
//! Read: `docs/internals/layout.md`.

use crate::cell::CellObject;
use crate::code::CodeObject;
use crate::dict::DictObject;
use crate::ffi::{self, PyObject, PyTypeObject};
use crate::floatobject::FloatObject;
use crate::frameobject::FrameObject;
use crate::funcobject::FunctionObject;
use crate::genobject::GenObject;
use crate::interp;
use crate::interpframe::Frame;
use crate::listobject::{ListIterObject, ListObject};
use crate::longobject::LongObject;
use crate::methodobject::{CFunctionObject, MethodDescrObject, MethodObject};
use crate::runtime::{self, COOKIE, DebugOffsets};
use crate::tstate::{LlistNode, RemoteDebuggerSupport, ThreadState};
use crate::tupleobject::TupleObject;
use crate::typeobject::HeapTypeObject;
use crate::unicodeobject::AsciiObject;
use core::ffi::c_ulong;
use core::mem::{offset_of, size_of};

unsafe extern "C" {
    /// `PY_VERSION_HEX` of the running interpreter.
    static Py_Version: c_ulong;
}

/// What cendre runs on, for messages.
pub const SUPPORTED: &str = "cendre supports CPython 3.14 (3.14.5 or later, the ordinary build with the GIL, no debug \
                             build) on 64-bit Linux on x86-64";

/// Oldest patch release supported, as `PY_VERSION_HEX`: 3.14.5 final.
pub const OLDEST: u64 = 0x030e_05f0;

/// `PY_VERSION_HEX` in words.
pub fn version_text(hex: u64) -> String {
    let level = match (hex >> 4) & 0xf {
        0xa => "a",
        0xb => "b",
        0xc => "rc",
        _ => "",
    };
    let serial = if level.is_empty() { String::new() } else { format!("{level}{}", hex & 0xf) };
    format!("{}.{}.{}{serial}", hex >> 24 & 0xff, hex >> 16 & 0xff, hex >> 8 & 0xff)
}

/// Puts what was found into the sentence that users see.
pub(crate) fn refuse(found: &str) -> String {
    format!("{SUPPORTED}; {found}")
}

/// Checks a version given as `PY_VERSION_HEX`.
pub fn check_version(hex: u64) -> Result<(), String> {
    if hex >> 16 != 0x030e {
        return Err(refuse(&format!("this is Python {}", version_text(hex))));
    }
    if hex < OLDEST {
        return Err(refuse(&format!("this is Python {}, an older patch release", version_text(hex))));
    }
    Ok(())
}

/// Checks the platform that this library was compiled for.
pub fn check_platform() -> Result<(), String> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")) {
        Ok(())
    } else {
        Err(refuse(&format!("this is {} on {}", std::env::consts::OS, std::env::consts::ARCH)))
    }
}

/// Compares the published offsets with ours; `hex` is the version that the interpreter reports elsewhere.
pub fn check_offsets(d: &DebugOffsets, hex: u64) -> Result<(), String> {
    if d.cookie != COOKIE {
        return Err(refuse("this interpreter's table of debug offsets does not start as expected"));
    }
    if d.free_threaded != 0 {
        return Err(refuse("this is the free-threaded build"));
    }
    if d.version != hex {
        return Err(refuse(&format!(
            "this interpreter's debug offsets are those of {}, but it is {}",
            version_text(d.version),
            version_text(hex)
        )));
    }
    macro_rules! compare {
        ($($f:ident = $ours:expr;)*) => {
            $(if d.$f != $ours as u64 {
                return Err(refuse(&format!(
                    "in this Python {} the layout differs: {} is {}, expected {}",
                    version_text(hex), stringify!($f), d.$f, $ours as u64
                )));
            })*
        };
    }
    compare! {
        interpreter_state_size = interp::SIZE;
        interpreter_state_id = interp::ID;
        interpreter_state_next = interp::NEXT;
        interpreter_state_threads_head = interp::THREADS_HEAD;
        interpreter_state_threads_main = interp::THREADS_MAIN;
        interpreter_state_gc = interp::GC;
        interpreter_state_sysdict = interp::SYSDICT;
        interpreter_state_builtins = interp::BUILTINS;
        thread_state_size = size_of::<ThreadState>();
        thread_state_prev = offset_of!(ThreadState, prev);
        thread_state_next = offset_of!(ThreadState, next);
        thread_state_interp = offset_of!(ThreadState, interp);
        thread_state_current_frame = offset_of!(ThreadState, current_frame);
        thread_state_thread_id = offset_of!(ThreadState, thread_id);
        thread_state_native_thread_id = offset_of!(ThreadState, native_thread_id);
        thread_state_datastack_chunk = offset_of!(ThreadState, datastack_chunk);
        thread_state_status = offset_of!(ThreadState, _status);
        interpreter_frame_size = size_of::<Frame>();
        interpreter_frame_previous = offset_of!(Frame, previous);
        interpreter_frame_executable = offset_of!(Frame, f_executable);
        interpreter_frame_instr_ptr = offset_of!(Frame, instr_ptr);
        interpreter_frame_localsplus = offset_of!(Frame, localsplus);
        interpreter_frame_owner = offset_of!(Frame, owner);
        interpreter_frame_stackpointer = offset_of!(Frame, stackpointer);
        code_object_size = size_of::<CodeObject>();
        code_object_filename = offset_of!(CodeObject, co_filename);
        code_object_name = offset_of!(CodeObject, co_name);
        code_object_qualname = offset_of!(CodeObject, co_qualname);
        code_object_linetable = offset_of!(CodeObject, co_linetable);
        code_object_firstlineno = offset_of!(CodeObject, co_firstlineno);
        code_object_argcount = offset_of!(CodeObject, co_argcount);
        code_object_localsplusnames = offset_of!(CodeObject, co_localsplusnames);
        code_object_localspluskinds = offset_of!(CodeObject, co_localspluskinds);
        code_object_co_code_adaptive = offset_of!(CodeObject, co_code_adaptive);
        pyobject_size = size_of::<PyObject>();
        pyobject_ob_type = offset_of!(PyObject, ob_type);
        type_object_size = size_of::<PyTypeObject>();
        type_object_tp_name = offset_of!(PyTypeObject, tp_name);
        type_object_tp_repr = offset_of!(PyTypeObject, tp_repr);
        type_object_tp_flags = offset_of!(PyTypeObject, tp_flags);
        tuple_object_size = size_of::<TupleObject>();
        tuple_object_ob_item = offset_of!(TupleObject, ob_item);
        tuple_object_ob_size = offset_of!(TupleObject, ob_base.ob_size);
        list_object_size = size_of::<ListObject>();
        list_object_ob_item = offset_of!(ListObject, ob_item);
        list_object_ob_size = offset_of!(ListObject, ob_base.ob_size);
        dict_object_size = size_of::<DictObject>();
        dict_object_ma_keys = offset_of!(DictObject, ma_keys);
        dict_object_ma_values = offset_of!(DictObject, ma_values);
        float_object_size = size_of::<FloatObject>();
        float_object_ob_fval = offset_of!(FloatObject, ob_fval);
        long_object_size = size_of::<LongObject>();
        long_object_lv_tag = offset_of!(LongObject, lv_tag);
        long_object_ob_digit = offset_of!(LongObject, ob_digit);
        unicode_object_state = offset_of!(AsciiObject, state);
        unicode_object_length = offset_of!(AsciiObject, length);
        unicode_object_asciiobject_size = size_of::<AsciiObject>();
        gen_object_size = size_of::<GenObject>();
        gen_object_gi_name = offset_of!(GenObject, gi_name);
        gen_object_gi_iframe = offset_of!(GenObject, gi_iframe);
        gen_object_gi_frame_state = offset_of!(GenObject, gi_frame_state);
        llist_node_next = offset_of!(LlistNode, next);
        llist_node_prev = offset_of!(LlistNode, prev);
        debugger_support_eval_breaker = offset_of!(ThreadState, eval_breaker);
        debugger_support_remote_debugger_support = offset_of!(ThreadState, remote_debugger_support);
        debugger_support_debugger_pending_call = offset_of!(RemoteDebuggerSupport, debugger_pending_call);
        debugger_support_debugger_script_path = offset_of!(RemoteDebuggerSupport, debugger_script_path);
    }
    Ok(())
}

/// Compares `tp_basicsize` of builtin types with the sizes of our structs: one word each covers all that a struct contains.
fn check_basic_sizes() -> Result<(), String> {
    macro_rules! sizes {
        ($($ty:ident = $ours:expr;)*) => {
            $({
                // SAFETY: a static type of the interpreter; tp_basicsize lies before every field that could have moved
                // (type_object.tp_repr was compared above).
                let theirs = unsafe { (*(&raw const $ty)).tp_basicsize };
                if theirs as usize != $ours {
                    return Err(refuse(&format!(
                        "in this interpreter the layout differs: objects of {} have {theirs} bytes, expected {}",
                        stringify!($ty), $ours
                    )));
                }
            })*
        };
    }
    use crate::api::PyMethod_Type;
    use ffi::*;
    sizes! {
        PyType_Type = size_of::<HeapTypeObject>();
        PyFunction_Type = size_of::<FunctionObject>();
        PyCode_Type = offset_of!(CodeObject, co_code_adaptive);
        PyGen_Type = offset_of!(GenObject, gi_iframe) + offset_of!(Frame, localsplus);
        PyFrame_Type = offset_of!(FrameObject, _f_frame_data) + offset_of!(Frame, localsplus);
        PyDict_Type = size_of::<DictObject>();
        PyList_Type = size_of::<ListObject>();
        PyTuple_Type = offset_of!(TupleObject, ob_item);
        PyFloat_Type = size_of::<FloatObject>();
        PyLong_Type = offset_of!(LongObject, ob_digit);
        PyCell_Type = size_of::<CellObject>();
        PyMethod_Type = size_of::<MethodObject>();
        PyCFunction_Type = size_of::<CFunctionObject>();
        PyMethodDescr_Type = size_of::<MethodDescrObject>();
        PyListIter_Type = size_of::<ListIterObject>();
    }
    Ok(())
}

/// Whether the running interpreter is the one that this crate declares; otherwise a sentence for an `ImportError`.
///
/// # Safety
/// Called in a process with a CPython interpreter, with the GIL held and no exception set.
pub unsafe fn check() -> Result<(), String> {
    check_platform()?;
    // SAFETY: a constant of the interpreter.
    let hex = unsafe { Py_Version };
    check_version(hex)?;
    // SAFETY: every 3.14 has the table at the start of _PyRuntime; its first three words are looked at first.
    check_offsets(unsafe { &*runtime::debug_offsets() }, hex)?;
    // SAFETY: the GIL is held; the result is borrowed.
    let debug = unsafe { ffi::PySys_GetObject(c"gettotalrefcount".as_ptr()) };
    if !debug.is_null() {
        return Err(refuse("this is a debug build (sys.gettotalrefcount exists)"));
    }
    check_basic_sizes()?;
    // SAFETY: the caller's contract, and all the tests above have passed.
    unsafe { crate::selftest::run() }.map_err(|what| refuse(&format!("in this Python {} the layout differs: {what}", version_text(hex))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::TABLES;

    const V: u64 = 0x030e_0af0;

    /// The table that an interpreter with exactly our layout publishes, built from the layout tables by C name.
    fn published() -> DebugOffsets {
        let field = |c: &str, f: &str| {
            let t = TABLES.iter().find(|t| t.c == c).unwrap_or_else(|| panic!("no table {c}"));
            t.offset(f).unwrap_or_else(|| panic!("no field {c}.{f}")) as u64
        };
        let size = |c: &str| TABLES.iter().find(|t| t.c == c).unwrap().size as u64;
        // SAFETY: every field is a plain number, for which zero bits are a value.
        let mut d: DebugOffsets = unsafe { core::mem::zeroed() };
        d.cookie = COOKIE;
        d.version = V;
        macro_rules! fill {
            ($prefix:ident, $c:literal, $size:ident, $($f:ident = $cf:literal),*) => {
                d.$size = size($c);
                $(d.$f = field($c, $cf);)*
            };
        }
        fill!(
            is,
            "struct _is",
            interpreter_state_size,
            interpreter_state_id = "id",
            interpreter_state_next = "next",
            interpreter_state_threads_head = "threads.head",
            interpreter_state_threads_main = "threads.main",
            interpreter_state_gc = "gc",
            interpreter_state_sysdict = "sysdict",
            interpreter_state_builtins = "builtins"
        );
        fill!(
            ts,
            "struct _ts",
            thread_state_size,
            thread_state_prev = "prev",
            thread_state_next = "next",
            thread_state_interp = "interp",
            thread_state_current_frame = "current_frame",
            thread_state_thread_id = "thread_id",
            thread_state_native_thread_id = "native_thread_id",
            thread_state_datastack_chunk = "datastack_chunk",
            thread_state_status = "_status",
            debugger_support_eval_breaker = "eval_breaker",
            debugger_support_remote_debugger_support = "remote_debugger_support"
        );
        fill!(
            fr,
            "struct _PyInterpreterFrame",
            interpreter_frame_size,
            interpreter_frame_previous = "previous",
            interpreter_frame_executable = "f_executable",
            interpreter_frame_instr_ptr = "instr_ptr",
            interpreter_frame_localsplus = "localsplus",
            interpreter_frame_owner = "owner",
            interpreter_frame_stackpointer = "stackpointer"
        );
        fill!(
            co,
            "PyCodeObject",
            code_object_size,
            code_object_filename = "co_filename",
            code_object_name = "co_name",
            code_object_qualname = "co_qualname",
            code_object_linetable = "co_linetable",
            code_object_firstlineno = "co_firstlineno",
            code_object_argcount = "co_argcount",
            code_object_localsplusnames = "co_localsplusnames",
            code_object_localspluskinds = "co_localspluskinds",
            code_object_co_code_adaptive = "co_code_adaptive"
        );
        fill!(ob, "PyObject", pyobject_size, pyobject_ob_type = "ob_type");
        fill!(
            ty,
            "PyTypeObject",
            type_object_size,
            type_object_tp_name = "tp_name",
            type_object_tp_repr = "tp_repr",
            type_object_tp_flags = "tp_flags"
        );
        fill!(tu, "PyTupleObject", tuple_object_size, tuple_object_ob_item = "ob_item");
        d.tuple_object_ob_size = field("PyVarObject", "ob_size");
        fill!(li, "PyListObject", list_object_size, list_object_ob_item = "ob_item");
        d.list_object_ob_size = field("PyVarObject", "ob_size");
        fill!(di, "PyDictObject", dict_object_size, dict_object_ma_keys = "ma_keys", dict_object_ma_values = "ma_values");
        fill!(fl, "PyFloatObject", float_object_size, float_object_ob_fval = "ob_fval");
        fill!(lo, "PyLongObject", long_object_size, long_object_lv_tag = "long_value.lv_tag", long_object_ob_digit = "long_value.ob_digit");
        fill!(st, "PyASCIIObject", unicode_object_asciiobject_size, unicode_object_state = "state", unicode_object_length = "length");
        fill!(
            ge,
            "struct _PyGenObject",
            gen_object_size,
            gen_object_gi_name = "gi_name",
            gen_object_gi_iframe = "gi_iframe",
            gen_object_gi_frame_state = "gi_frame_state"
        );
        d.llist_node_next = field("struct llist_node", "next");
        d.llist_node_prev = field("struct llist_node", "prev");
        d.debugger_support_debugger_pending_call = field("_PyRemoteDebuggerSupport", "debugger_pending_call");
        d.debugger_support_debugger_script_path = field("_PyRemoteDebuggerSupport", "debugger_script_path");
        d
    }

    #[test]
    fn our_own_layout_is_accepted() {
        check_offsets(&published(), V).unwrap();
    }

    #[test]
    fn every_compared_word_matters() {
        const WORDS: usize = size_of::<DebugOffsets>() / 8;
        let compared = (0..WORDS)
            .filter(|&i| {
                // SAFETY: the struct is an array of words (the cookie is eight bytes).
                let mut words: [u64; WORDS] = unsafe { core::mem::transmute(published()) };
                words[i] = words[i].wrapping_add(8);
                // SAFETY: as above, the other way round.
                let d: DebugOffsets = unsafe { core::mem::transmute(words) };
                match check_offsets(&d, V) {
                    Ok(()) => false,
                    Err(text) => {
                        assert!(text.starts_with(SUPPORTED), "{text}");
                        true
                    }
                }
            })
            .count();
        // Cookie, version, free_threaded and the list in check_offsets; what cendre does not use is left out.
        assert_eq!(compared, 3 + 67, "of {WORDS} words");
    }

    #[test]
    fn versions() {
        for good in [0x030e_05f0, 0x030e_0af0, 0x030e_63f0] {
            check_version(good).unwrap();
        }
        for (bad, text) in [
            (0x030e_04f0, "this is Python 3.14.4, an older patch release"),
            (0x030e_00c2, "this is Python 3.14.0rc2, an older patch release"),
            (0x030d_02f0, "this is Python 3.13.2"),
            (0x030f_00a1, "this is Python 3.15.0a1"),
        ] {
            assert_eq!(check_version(bad).unwrap_err(), format!("{SUPPORTED}; {text}"));
        }
    }
}
