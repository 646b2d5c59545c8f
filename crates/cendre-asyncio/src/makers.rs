//! The functions that make tasks: when they have their native entries.
//!
//! Invariant: an entry is only taken back while no loop has a policy, and a function's version is given back only as long as it stands for what
//! the function is. Read docs/internals/tasks.md, "Without a policy".

use crate::{exit, state};
use cendre_cpython::FunctionObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FUNC_VERSION_FIRST_VALID;
use cendre_cpython::refcount::incref;
use cendre_runtime::Gil;

unsafe extern "C" {
    /// Gives a function another entry, which specialised calls do not go around.
    pub fn PyFunction_SetVectorcall(function: *mut FunctionObject, entry: ffi::vectorcallfunc);
}

/// A function that makes tasks, its native entry, and the version that its call sites are specialised by, which stands for its code and defaults.
struct Maker {
    function: *mut FunctionObject,
    entry: ffi::vectorcallfunc,
    version: u32,
    parts: [*mut PyObject; 3],
}

/// What a function's version stands for.
unsafe fn parts_of(function: *mut FunctionObject) -> [*mut PyObject; 3] {
    // SAFETY: a live function; the pointers are only compared.
    unsafe { [(*function).func_code, (*function).func_defaults, (*function).func_kwdefaults] }
}

#[derive(Default)]
struct Makers {
    all: Vec<Maker>,
    hooked: bool,
    /// Some loop has a policy: they stay as they are.
    kept: bool,
}

static MAKERS: Gil<Option<Makers>> = Gil::new(None);

/// Says which functions make tasks, and how natively.
///
/// # Safety
/// The GIL is held; live functions, which are held for ever.
pub unsafe fn makers_are(all: impl Iterator<Item = (*mut FunctionObject, ffi::vectorcallfunc)>) {
    // SAFETY: the caller's contract.
    unsafe {
        let makers = MAKERS.get().get_or_insert_with(Makers::default);
        makers.all = all
            .map(|(function, entry)| {
                incref(function.cast());
                Maker { function, entry, version: (*function).func_version, parts: parts_of(function) }
            })
            .collect();
    }
}

/// Gives the functions that make tasks their native entries, or takes them back: with another entry they are called in an evaluation loop of
/// their own, which costs where nothing can be done natively.
///
/// # Safety
/// The GIL is held.
pub unsafe fn hook_makers(on: bool) {
    // SAFETY: the caller's contract; the functions are held.
    unsafe {
        let Some(makers) = MAKERS.get() else { return };
        if makers.hooked == on || !on && makers.kept {
            return;
        }
        makers.hooked = on;
        let python = (*state::bound()).fanout.python;
        for maker in &makers.all {
            if on {
                PyFunction_SetVectorcall(maker.function, maker.entry);
            } else if (*maker.function).vectorcall.is_some_and(|v| v as usize == maker.entry as usize) {
                PyFunction_SetVectorcall(maker.function, python);
                // Without it call sites would never be specialised again.
                if maker.version >= FUNC_VERSION_FIRST_VALID && maker.parts == parts_of(maker.function) {
                    cendre_cpython::api::_PyFunction_SetVersion(maker.function, maker.version);
                }
            }
        }
    }
}

/// A loop has a policy: the functions keep their native entries.
///
/// # Safety
/// The GIL is held.
pub unsafe fn keep_makers() {
    // SAFETY: the caller's contract.
    unsafe {
        hook_makers(true);
        if let Some(makers) = MAKERS.get() {
            makers.kept = true;
        }
    }
}

static EXITS: Gil<bool> = Gil::new(false);

/// Groups end natively from now on: some loop has a policy by which children run early.
///
/// # Safety
/// The GIL is held; `bound` is there.
pub unsafe fn hook_exits() {
    // SAFETY: the caller's contract; the function is held for ever.
    unsafe {
        if let Some(exit) = &(*state::bound()).fanout.exit
            && !core::mem::replace(EXITS.get(), true)
        {
            cendre_runtime::protocol::declare(exit::call);
            PyFunction_SetVectorcall(exit.function(), exit::call);
        }
    }
}
