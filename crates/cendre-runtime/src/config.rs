//! The switches, as `enable()` gets them from Python.
//!
//! Invariant: a [`Config`] is valid; the Python side has parsed the environment and worded the errors for users, here a
//! wrong type is an error as well, so that the native module never runs with nonsense.

use cendre_cpython::ffi::{self, PyObject};

/// Which way into compiled code is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entries {
    /// Executors where the build has CPython's JIT switched off, else `Vectorcall`.
    Auto,
    /// ENTER_EXECUTOR in the code.
    Executor,
    /// `PyFunction_SetVectorcall` for functions, sys.monitoring for loops.
    Vectorcall,
}

/// The switches.
#[derive(Clone, Debug)]
pub struct Config {
    /// Samples after which a function is compiled, and more for a large one (see `hotness.rs`); 1: the first sample is enough for any;
    /// 0: at first sight, and at once; `u32::MAX`: never, and nobody samples.
    pub threshold: u32,
    /// With threshold 0: calls, or rounds of a loop, that are interpreted first, so that code is specialised. At least and at most: drawn for
    /// each code object, see `trial.rs`.
    pub warmup: (u32, u32),
    /// Of what `trial.rs` draws.
    pub seed: u64,
    /// Percent of the code objects that may be compiled.
    pub mix: u32,
    /// One guard in so many fails although nothing is wrong; 0: none.
    pub force_leaves: u32,
    pub entries: Entries,
    /// Bytes of machine code, at most.
    pub code_limit: usize,
    /// Write a map of the machine code for `perf`.
    pub perf: bool,
    /// Awaited calls.
    pub awaits: bool,
    /// Compile at all.
    pub jit: bool,
    /// Count each function's calls in machine code, for `cendre explain`.
    pub explain: bool,
}

impl Config {
    /// Whether running code is looked at: for what is hot, or, with a threshold of 0, was made before cendre was switched on.
    pub fn samples(&self) -> bool {
        self.jit && self.threshold != u32::MAX
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            threshold: 4,
            warmup: (0, 0),
            seed: 0,
            mix: 100,
            force_leaves: 0,
            entries: Entries::Auto,
            code_limit: 64 << 20,
            perf: false,
            awaits: true,
            jit: true,
            explain: false,
        }
    }
}

impl Config {
    /// Reads a dict; None values and missing keys mean the default, unknown keys are an error.
    ///
    /// # Safety
    /// `dict` is an exact dict; the GIL is held.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub unsafe fn from_dict(dict: *mut PyObject) -> Result<Config, String> {
        let mut config = Config::default();
        let (mut pos, mut key, mut value) = (0, core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: the dict is not changed while it is walked; key and value are borrowed from it.
        while unsafe { ffi::PyDict_Next(dict, &mut pos, &mut key, &mut value) } != 0 {
            // SAFETY: live objects of the dict.
            let name = unsafe { text(key) }.ok_or("a key of the configuration is no string")?;
            if value == unsafe_none() {
                continue;
            }
            // SAFETY: as above.
            let number = unsafe { int(value) };
            let flag = || number.map(|n| n != 0).ok_or(format!("{name} takes True or False"));
            match name.as_str() {
                "threshold" => {
                    let n = number.filter(|n| *n >= 0).ok_or("threshold takes a number of samples >= 0")?;
                    config.threshold = u32::try_from(n).unwrap_or(u32::MAX);
                }
                "warmup" => {
                    // SAFETY: as above.
                    let range = number.map(|n| (n, n)).or_else(|| unsafe { pair(value) });
                    let (least, most) = range.filter(|r| 0 <= r.0 && r.0 <= r.1).ok_or("warmup takes a number of calls >= 0, or two")?;
                    config.warmup = (u32::try_from(least).unwrap_or(u32::MAX), u32::try_from(most).unwrap_or(u32::MAX));
                }
                "seed" => config.seed = number.and_then(|n| u64::try_from(n).ok()).ok_or("seed takes a number >= 0")?,
                "mix" => {
                    let n = number.filter(|n| (0..=100).contains(n)).ok_or("mix takes percents, 0 to 100")?;
                    config.mix = n as u32;
                }
                "force_leaves" => {
                    let n = number.filter(|n| (0..=1 << 30).contains(n)).ok_or("force_leaves takes a number of guards, 0 to 2**30")?;
                    config.force_leaves = n as u32;
                }
                "code_limit" => {
                    let n = number.and_then(|n| usize::try_from(n).ok());
                    config.code_limit = n.ok_or("code_limit takes a number of bytes >= 0")?;
                }
                "perf" => config.perf = flag()?,
                "awaits" => config.awaits = flag()?,
                "jit" => config.jit = flag()?,
                "entries" => {
                    // SAFETY: as above.
                    config.entries = match unsafe { text(value) }.as_deref() {
                        Some("auto") => Entries::Auto,
                        Some("executor") => Entries::Executor,
                        Some("vectorcall") => Entries::Vectorcall,
                        _ => return Err("entries takes 'auto', 'executor' or 'vectorcall'".to_owned()),
                    };
                }
                "explain" => config.explain = flag()?,
                // A switch of the Python side that has no meaning here.
                "enabled" => {}
                _ => return Err(format!("unknown key {name:?} in the configuration")),
            }
        }
        Ok(config)
    }
}

fn unsafe_none() -> *mut PyObject {
    // SAFETY: None is immortal.
    unsafe { ffi::Py_None() }
}

/// The text of an exact or derived `str`.
///
/// # Safety
/// `o` is a live object; the GIL is held.
pub unsafe fn text(o: *mut PyObject) -> Option<String> {
    // SAFETY: checked to be a str; the buffer is copied at once.
    unsafe {
        if ffi::PyUnicode_Check(o) == 0 {
            return None;
        }
        let mut size = 0;
        let data = ffi::PyUnicode_AsUTF8AndSize(o, &mut size);
        if data.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let bytes = core::slice::from_raw_parts(data.cast::<u8>(), size as usize);
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A tuple of two numbers.
unsafe fn pair(o: *mut PyObject) -> Option<(i64, i64)> {
    // SAFETY: the caller passes a live object and holds the GIL; items of the tuple are borrowed from it.
    unsafe {
        if ffi::PyTuple_Check(o) == 0 || ffi::PyTuple_Size(o) != 2 {
            return None;
        }
        Some((int(ffi::PyTuple_GetItem(o, 0))?, int(ffi::PyTuple_GetItem(o, 1))?))
    }
}

/// The value of an `int` (or bool) that fits 64 bits.
unsafe fn int(o: *mut PyObject) -> Option<i64> {
    // SAFETY: the caller passes a live object and holds the GIL.
    unsafe {
        if ffi::PyLong_Check(o) == 0 {
            return None;
        }
        let mut overflow = 0;
        let n = ffi::PyLong_AsLongLongAndOverflow(o, &mut overflow);
        (overflow == 0).then_some(n)
    }
}
