//! Where a program fans out, and what became of the children: counted for `cendre explain`, and only while that is asked for.
//!
//! A site is an instruction that called `gather` or a `create_task`; asyncio's own frames are looked through. The first wait of
//! a task after it has fanned out is booked on that site. Invariant: nothing here changes what happens; while recording is off
//! there are no tables. Read docs/internals/tasks.md, "Sites".

use crate::layout::TaskObj;
use crate::state::{COUNTERS, Counter};
use crate::step::current_task;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::refcount::{decref, incref};
use cendre_cpython::tstate::ThreadState;
use cendre_runtime::Gil;
use core::ffi::CStr;
use core::ptr;
use std::collections::HashMap;

/// What was called; the first that is seen of an instruction names its site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Gather,
    CreateTask,
    Group,
}

impl Kind {
    fn name(self) -> &'static CStr {
        match self {
            Kind::Gather => c"gather",
            Kind::CreateTask => c"create_task",
            Kind::Group => c"TaskGroup.create_task",
        }
    }
}

struct Site {
    /// Held for ever.
    code: *mut CodeObject,
    line: i32,
    kind: Kind,
    calls: u64,
    handed_on: u64,
    children: u64,
    at_once: u64,
    waits: u64,
    in_place: u64,
    why: [u64; Counter::Count as usize],
}

struct Table {
    index: HashMap<(usize, usize), usize>,
    sites: Vec<Site>,
    /// Tasks that were made at a site and have not started, by address.
    children: HashMap<usize, usize>,
    /// Tasks that have fanned out and not waited since.
    parents: HashMap<usize, usize>,
}

static TABLE: Gil<Option<Table>> = Gil::new(None);

/// Switches recording on or off; off forgets everything.
///
/// # Safety
/// The GIL is held.
pub unsafe fn record(on: bool) {
    // SAFETY: the caller's contract.
    unsafe {
        let table = TABLE.get();
        if on && table.is_none() {
            let (index, children, parents) = (HashMap::new(), HashMap::new(), HashMap::new());
            *table = Some(Table { index, sites: Vec::new(), children, parents });
        } else if !on {
            *table = None;
        }
    }
}

/// The instruction of the program that is running, in the innermost frame outside of asyncio, and whether there is none of
/// asyncio's above it.
unsafe fn place(ts: *mut ThreadState) -> Option<(*mut CodeObject, usize, bool)> {
    // SAFETY: the running thread's frames are alive, and `instr_ptr` is current while a call is made; what `instr_ptr` is compared
    // with lies in the same code object.
    unsafe {
        let mut frame: *mut Frame = (*ts).current_frame;
        let mut direct = true;
        while !frame.is_null() {
            if (*frame).owner == frame_owner::THREAD || (*frame).owner == frame_owner::GENERATOR {
                let code = (*frame).code();
                if !is_asyncio((*code).co_filename) {
                    let start = (&raw const (*code).co_code_adaptive).cast::<u8>();
                    return Some((code, ((*frame).instr_ptr as usize).wrapping_sub(start as usize), direct));
                }
                direct = false;
            }
            frame = (*frame).previous;
        }
        None
    }
}

/// Whether a file is one of asyncio's own.
unsafe fn is_asyncio(file: *mut PyObject) -> bool {
    // SAFETY: a code object's file name.
    unsafe {
        let mut n = 0;
        let text = ffi::PyUnicode_AsUTF8AndSize(file, &mut n);
        if text.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        let bytes = core::slice::from_raw_parts(text.cast::<u8>(), n as usize);
        let mut parts = bytes.rsplit(|b| *b == b'/').skip(1);
        parts.next() == Some(b"asyncio") && parts.next().is_some_and(|p| p.starts_with(b"python3"))
    }
}

/// Counts a call of `kind` that makes its children natively (`native`), or leaves them to asyncio's own code. The site, for `made`.
///
/// # Safety
/// The GIL is held, in the running thread.
#[inline(always)]
pub unsafe fn called(ts: *mut ThreadState, kind: Kind, native: bool) -> Option<usize> {
    // SAFETY: the caller's contract.
    unsafe { if TABLE.get().is_none() { None } else { book_call(ts, kind, native) } }
}

#[inline(never)]
unsafe fn book_call(ts: *mut ThreadState, kind: Kind, native: bool) -> Option<usize> {
    // SAFETY: the caller's contract.
    unsafe {
        let table = TABLE.get().as_mut()?;
        let (code, offset, direct) = place(ts)?;
        let new = table.sites.len();
        let at = *table.index.entry((code as usize, offset)).or_insert(new);
        if at == new {
            incref(code.cast());
            let line = ffi::PyCode_Addr2Line(code.cast(), offset as i32);
            let why = [0; Counter::Count as usize];
            table.sites.push(Site { code, line, kind, calls: 0, handed_on: 0, children: 0, at_once: 0, waits: 0, in_place: 0, why });
        }
        let site = table.sites.get_mut(at)?;
        // asyncio's `gather` makes its children by the loop's `create_task`: that is no call of the program's.
        if direct {
            site.calls += 1;
            site.handed_on += u64::from(!native);
        }
        let task = *current_task(ts);
        if !task.is_null() {
            table.parents.insert(task as usize, at);
        }
        Some(at)
    }
}

/// A task was made at a site.
///
/// # Safety
/// The GIL is held.
pub unsafe fn made(site: Option<usize>, task: *mut TaskObj) {
    // SAFETY: the caller's contract.
    unsafe {
        let (Some(at), Some(table)) = (site, TABLE.get().as_mut()) else { return };
        if let Some(site) = table.sites.get_mut(at) {
            site.children += 1;
            table.children.insert(task as usize, at);
        }
    }
}

/// A task takes a step: the site that it was made at, if it is its first.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn starts(task: *mut TaskObj) -> Option<usize> {
    // SAFETY: the caller's contract.
    unsafe {
        let table = TABLE.get().as_mut()?;
        let at = table.children.remove(&(task as usize))?;
        table.parents.remove(&(task as usize));
        Some(at)
    }
}

/// A task of a site has ended in its first step.
///
/// # Safety
/// The GIL is held.
pub unsafe fn ended_at_once(site: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        if let Some(site) = TABLE.get().as_mut().and_then(|table| table.sites.get_mut(site)) {
            site.at_once += 1;
        }
    }
}

/// A task waits for a pending future: `None` went on in place, else why it suspends.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn waited(task: *mut TaskObj, why: Option<Counter>) {
    // SAFETY: the caller's contract.
    unsafe {
        let Some(table) = TABLE.get().as_mut() else { return };
        let Some(at) = table.parents.remove(&(task as usize)) else { return };
        let Some(site) = table.sites.get_mut(at) else { return };
        site.waits += 1;
        match why {
            None => site.in_place += 1,
            Some(why) => {
                if let Some(n) = site.why.get_mut(why as usize) {
                    *n += 1;
                }
            }
        }
    }
}

/// `[(file, function, line, kind, calls, handed_on, children, at_once, waits, in_place, {reason: n})]`; null with an exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn list() -> *mut PyObject {
    // SAFETY: the caller's contract; code objects are held, `N` takes the dict.
    unsafe {
        let list = ffi::PyList_New(0);
        let Some(table) = TABLE.get() else { return list };
        for site in &table.sites {
            let reasons = ffi::PyDict_New();
            if list.is_null() || reasons.is_null() {
                return ptr::null_mut();
            }
            for (name, n) in COUNTERS.iter().zip(site.why).filter(|(_, n)| *n > 0) {
                let key = ffi::PyUnicode_FromStringAndSize(name.as_ptr().cast(), name.len() as ffi::Py_ssize_t);
                let value = ffi::PyLong_FromUnsignedLongLong(n);
                if key.is_null() || value.is_null() || ffi::PyDict_SetItem(reasons, key, value) != 0 {
                    return ptr::null_mut();
                }
                decref(key);
                decref(value);
            }
            let code = site.code;
            let entry = ffi::Py_BuildValue(
                c"(OOisKKKKKKN)".as_ptr(),
                (*code).co_filename,
                (*code).co_qualname,
                site.line,
                site.kind.name().as_ptr(),
                site.calls,
                site.handed_on,
                site.children,
                site.at_once,
                site.waits,
                site.in_place,
                reasons,
            );
            if entry.is_null() || ffi::PyList_Append(list, entry) != 0 {
                return ptr::null_mut();
            }
            decref(entry);
        }
        list
    }
}
