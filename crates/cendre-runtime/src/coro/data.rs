//! What a code record keeps for generators, coroutines and awaits: shells, entries by instruction, await sites, counters.
//!
//! Invariants: `start` and `resume_at` belong to the body at `body` (an artifact lives as long as its code object, so the
//! address cannot mean another one); a shell on the shelf is CLEARED, untracked, has one reference (ours) and *borrows* its
//! code object, else no code object with shells would ever be freed. Read docs/internals/awaits.md, "Shells".

use super::send::answer;
use crate::body::BodyResult;
use crate::coro::SiteReport;
use crate::gil::Gil;
use crate::record::{self, CodeRecord};
use cendre_bytecode::Opcode;
use cendre_cpython::code::{CodeObject, CodeUnit, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::genobject::GenObject;
use cendre_cpython::refcount;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// One `await f(...)` of a code object. Boxed: machine code knows its address, and is inside it while a callee runs.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct AwaitSite {
    /// The callee that the runtime met here last (kept), or null: what machine code calls in line once this is compiled again.
    pub callee: *mut CodeRecord,
    /// Its CALL, by address and in code units, and its SEND.
    pub call: *mut CodeUnit,
    pub call_unit: u32,
    pub send: *mut CodeUnit,
    /// Finished without help of the runtime.
    pub in_line: u64,
    pub finished: u64,
    pub suspended: u64,
    pub raised: u64,
    /// Ordinary calls that were made instead.
    pub declined: u64,
    /// Of these: the answer was no coroutine (a Future, say), so that none was built either.
    pub other: u64,
}

/// Where the generator stood that one `send` or FOR_ITER of machine code resumed last, as `lower/awaits.rs` reads it.
///
/// Invariant: `record` is null or kept; its `code` (null once that is gone) must be the generator's before the rest is believed.
#[repr(C)]
#[derive(Debug)]
pub struct ResumeCell {
    pub instr_ptr: *mut CodeUnit,
    pub record: *mut CodeRecord,
    /// The body that the entry belongs to.
    pub body: *const c_void,
    pub at: u64,
    /// Where a generator stood whose code had no body, and how often that is believed before somebody looks again.
    cold: AtomicPtr<CodeUnit>,
    skips: AtomicU32,
}

/// Steps of cold generators between two looks at what has become of their code.
const SKIPS: u32 = 63;

impl ResumeCell {
    /// One that knows nothing.
    pub(super) const fn new() -> ResumeCell {
        ResumeCell {
            instr_ptr: ptr::null_mut(),
            record: ptr::null_mut(),
            body: ptr::null(),
            at: 0,
            cold: AtomicPtr::new(ptr::null_mut()),
            skips: AtomicU32::new(0),
        }
    }

    /// Whether code without a body was met here lately, where this generator stands: the interpreter runs it, and nobody looks.
    ///
    /// # Safety
    /// `cell` is null or one of ours, `g` lives; a GIL is held, not necessarily the main interpreter's.
    #[inline(always)]
    pub(super) unsafe fn skips(cell: *mut ResumeCell, g: *mut GenObject) -> bool {
        // SAFETY: the caller's contract. A count that two interpreters take from at once is only a little wrong.
        unsafe {
            if cell.is_null() || (*cell).cold.load(Ordering::Relaxed) != (*g).gi_iframe.instr_ptr {
                return false;
            }
            let left = (*cell).skips.load(Ordering::Relaxed);
            if left == 0 {
                return false;
            }
            (*cell).skips.store(left - 1, Ordering::Relaxed);
            true
        }
    }

    /// Remembers a generator whose code has no body; how many steps that stands for.
    ///
    /// # Safety
    /// As for [`ResumeCell::skips`].
    pub(super) unsafe fn met_cold(cell: *mut ResumeCell, g: *mut GenObject) -> u32 {
        // SAFETY: the caller's contract.
        unsafe {
            if cell.is_null() {
                return 1;
            }
            (*cell).cold.store((*g).gi_iframe.instr_ptr, Ordering::Relaxed);
            (*cell).skips.store(SKIPS, Ordering::Relaxed);
            SKIPS + 1
        }
    }

    /// Remembers a suspended generator that [`super::resumable`] found, before it is resumed.
    ///
    /// # Safety
    /// `cell` is null or one of ours; `g` is suspended, not just created; the GIL is held.
    #[inline(always)]
    pub(super) unsafe fn fill(cell: *mut ResumeCell, g: *mut GenObject, record: *mut CodeRecord, at: u64) {
        // SAFETY: the caller's contract.
        unsafe {
            if !cell.is_null() {
                replace(&raw mut (*cell).record, record);
                (*cell).instr_ptr = (*g).gi_iframe.instr_ptr;
                (*cell).body = (*record).body;
                (*cell).at = at;
            }
        }
    }
}

/// Keeps another record in this place than before.
///
/// # Safety
/// The place keeps what stands there, or holds null; the record is not freed; the GIL is held.
#[inline(always)]
pub(super) unsafe fn replace(place: *mut *mut CodeRecord, by: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        let old = *place;
        if old != by {
            record::keep(by);
            *place = by;
            if !old.is_null() {
                record::give_up(old);
            }
        }
    }
}

impl AwaitSite {
    pub(super) fn report(&self) -> SiteReport {
        SiteReport {
            call_unit: self.call_unit,
            calls: self.in_line + self.finished + self.suspended + self.raised + self.declined,
            finished: self.in_line + self.finished,
            suspended: self.suspended,
            raised: self.raised,
            declined: self.declined,
            other: self.other,
        }
    }

    /// The ordinary call was made instead, and this is what machine code is told of it.
    ///
    /// # Safety
    /// A site of the running code; the answer of the call.
    pub(super) unsafe fn called_instead(site: *mut AwaitSite, made: BodyResult) -> BodyResult {
        // SAFETY: the caller's contract; an object that was answered lives.
        unsafe {
            (*site).declined += 1;
            if made.tag == answer::DECLINED && refcount::type_of(made.value as *mut PyObject) != &raw mut ffi::PyCoro_Type {
                (*site).other += 1;
            }
        }
        made
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Counters, per code object or summed.
        #[derive(Clone, Default, Debug)]
        pub struct CoroStats { $($(#[doc = $doc])+ pub $name: u64,)* }
        impl CoroStats {
            /// Adds another's counters.
            pub fn add(&mut self, other: &CoroStats) {
                $(self.$name += other.$name;)*
            }
            /// Names and values, for `stats()`.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counters! {
    /// Awaited calls that machine code made.
    await_calls,
    /// Of these: the value came at once.
    await_finished,
    /// Of these: suspended.
    await_suspended,
    /// Of these: raised.
    await_raised,
    /// Of these: declined, an ordinary call was made.
    await_declined,
    /// Of those: it gave no coroutine.
    await_other,
    /// As callee: the value came at once, no coroutine object was published.
    values,
    /// As callee: suspended in a genuine coroutine.
    suspended,
    /// As callee: raised.
    raised,
    /// As callee: declined.
    declined,
    /// Suspended generators and coroutines that were resumed natively.
    resumed,
    /// Of all native runs: went on in the interpreter.
    left,
    /// Coroutine objects that were made as shells.
    shells_made,
    /// Shells that somebody kept, or that came back when there were enough.
    shells_lost,
}

impl CoroStats {
    /// Adds an await site to the sums by caller.
    pub fn add_site(&mut self, site: &AwaitSite) {
        self.await_calls += site.report().calls;
        self.await_finished += site.in_line + site.finished;
        // Machine code counts these by caller only.
        self.values += site.in_line;
        self.await_suspended += site.suspended;
        self.await_raised += site.raised;
        self.await_declined += site.declined;
        self.await_other += site.other;
    }
}

/// Counters of code objects that are gone.
static BURIED: Gil<Option<CoroStats>> = Gil::new(None);

pub(super) fn buried() -> CoroStats {
    // SAFETY: the runtime runs with the GIL held; the value is copied at once.
    unsafe { BURIED.get().clone().unwrap_or_default() }
}

pub(super) fn forget_buried() {
    // SAFETY: as above.
    unsafe { *BURIED.get() = None }
}

/// How a fresh activation begins: what the instructions before the first RESUME do.
#[derive(Clone, Default, Debug)]
pub struct Start {
    /// The first RESUME, and its entry in the body.
    pub unit: u32,
    pub at: u64,
    /// Where an object stands that was created and not started: behind its RETURN_GENERATOR.
    pub created: u32,
    /// Slots that MAKE_CELL turns into cells.
    pub cells: Vec<u32>,
    /// How many free variables COPY_FREE_VARS copies.
    pub free: u32,
    /// Positional arguments fill the first slots; there are no others.
    pub positional: bool,
    /// And nothing else is to be done.
    pub simple: bool,
    /// Positional arguments.
    pub argcount: u32,
    /// Calling it gives something that can be awaited: a coroutine, or a generator marked so.
    pub awaitable: bool,
}

/// What a code record keeps.
pub struct CoroData {
    /// The body that the next four belong to; null: not looked yet.
    pub(super) body: *const c_void,
    /// What a call with nothing but positional arguments needs: their number (`usize::MAX`: no such call is possible), the
    /// first RESUME, and its entry.
    pub(super) simple_args: usize,
    pub(super) first: *mut CodeUnit,
    pub(super) at: u64,
    /// None: cannot be started natively.
    pub start: Option<Start>,
    /// By code unit: entry of the RESUME there, plus one; 0 for none.
    resume_at: Vec<u16>,
    /// Shells that are ready: the first one; the next one is its frame's `previous`. See `shell.rs`.
    pub shelf: *mut GenObject,
    /// Their number, and of those that are out in line.
    pub shelved: usize,
    /// Shells that were made because the shelf was empty.
    pub made: usize,
    /// Cells of the places in this code that resume generators.
    #[expect(clippy::vec_box, reason = "machine code holds their addresses")]
    pub(super) cells: Vec<Box<ResumeCell>>,
    /// Awaited calls that were declined because the code is not compiled.
    pub wanted: u32,
    /// It was compiled again so that awaited calls in it are made in line.
    pub compiled_for_awaits: bool,
    /// The awaits of this code that ran or were compiled, by the front end's number.
    pub sites: Vec<Option<Box<AwaitSite>>>,
    pub stats: CoroStats,
}

impl Default for CoroData {
    fn default() -> CoroData {
        CoroData {
            body: ptr::null(),
            simple_args: usize::MAX,
            first: ptr::null_mut(),
            at: 0,
            start: None,
            resume_at: Vec::new(),
            shelf: ptr::null_mut(),
            shelved: 0,
            made: 0,
            cells: Vec::new(),
            wanted: 0,
            compiled_for_awaits: false,
            sites: Vec::new(),
            stats: CoroStats::default(),
        }
    }
}

impl Drop for CoroData {
    /// Runs when the code object dies, with the GIL held: no shell is out then, since each that is out owns its code.
    fn drop(&mut self) {
        // SAFETY: shells on the shelf are ours alone.
        unsafe {
            while let Some(shell) = super::shell::pop(self) {
                super::shell::free(shell);
            }
        }
        // SAFETY: the runtime runs with the GIL held; nothing here runs Python code.
        let buried = unsafe { BURIED.get() }.get_or_insert_default();
        buried.add(&self.stats);
        for site in self.sites.iter().flatten() {
            buried.add_site(site);
        }
        let callees = self.sites.iter().flatten().map(|site| site.callee);
        for kept in callees.chain(self.cells.iter().map(|cell| cell.record)).filter(|r| !r.is_null()) {
            // SAFETY: each of them is kept in that place, which is gone now.
            unsafe { record::give_up(kept) }
        }
    }
}

impl CoroData {
    /// The await with this number, whose CALL is the instruction of the frame; null: no such await. It lives as long as the
    /// code object.
    ///
    /// The front end numbers all awaits of a code object in order, so that every body of it means the same by a number.
    ///
    /// # Safety
    /// `call` is a CALL of `code`, the record's code object; the GIL is held.
    #[inline(always)]
    pub unsafe fn site(&mut self, number: i64, code: *mut CodeObject, call: *mut CodeUnit) -> *mut AwaitSite {
        match self.sites.get_mut(number as usize) {
            Some(Some(site)) if site.call == call => &raw mut **site,
            // SAFETY: the caller's contract.
            _ => unsafe { self.new_site(number as usize, code, call) },
        }
    }

    #[cold]
    #[expect(clippy::indexing_slicing, reason = "the list has been made longer than `n`")]
    unsafe fn new_site(&mut self, n: usize, code: *mut CodeObject, call: *mut CodeUnit) -> *mut AwaitSite {
        // SAFETY: the caller's contract. An await takes eight units at least: a larger number is none of this code.
        unsafe {
            let units = CodeObject::units(code);
            let call_unit = call.offset_from(units) as u32;
            let Some(send) = send_behind(code, call_unit) else { return ptr::null_mut() };
            if n > CodeObject::len(code) || matches!(self.sites.get(n), Some(Some(_))) {
                return ptr::null_mut();
            }
            if self.sites.len() <= n {
                self.sites.resize(n + 1, None);
            }
            let send = units.add(send as usize);
            let callee = ptr::null_mut();
            let site = AwaitSite { callee, call, call_unit, send, in_line: 0, finished: 0, suspended: 0, raised: 0, declined: 0, other: 0 };
            &raw mut **self.sites[n].insert(Box::new(site))
        }
    }

    /// A cell for one more place that resumes generators; it lives as long as the code object.
    pub fn new_cell(&mut self) -> *mut ResumeCell {
        self.cells.push(Box::new(ResumeCell::new()));
        self.cells.last_mut().map_or(ptr::null_mut(), |cell| &raw mut **cell)
    }

    pub(super) fn reset(&mut self) {
        self.stats = CoroStats::default();
        for site in self.sites.iter_mut().flatten() {
            (site.in_line, site.finished, site.suspended, site.raised, site.declined, site.other) = (0, 0, 0, 0, 0, 0);
        }
    }
}

/// The SEND of an await whose CALL (or CALL_KW, CALL_FUNCTION_EX) stands at this unit: behind its caches, a GET_AWAITABLE and a LOAD_CONST. A
/// GET_ANEXT gives what can be sent to by itself.
///
/// # Safety
/// `code` is a live code object; the GIL is held.
pub unsafe fn send_behind(code: *mut CodeObject, call: u32) -> Option<u32> {
    // SAFETY: the slice is the code's own units.
    let units = unsafe { core::slice::from_raw_parts(CodeObject::units(code), CodeObject::len(code)) };
    let mut unit = call as usize;
    let call = Opcode::from_u8(units.get(unit)?.opcode())?.base();
    unit += 1 + call.caches() as usize;
    let mut awaits = call == Opcode::GetAnext;
    loop {
        match Opcode::from_u8(units.get(unit)?.opcode())?.base() {
            Opcode::GetAwaitable => awaits = true,
            Opcode::LoadConst | Opcode::ExtendedArg => {}
            Opcode::Send if awaits => return Some(unit as u32),
            _ => return None,
        }
        unit += 1;
    }
}

/// Reads start and entries anew if the body is another one than last time.
///
/// # Safety
/// The record has a body and a living code object; the GIL is held.
#[inline(always)]
pub unsafe fn refresh(record: *mut CodeRecord) {
    // SAFETY: the caller's contract.
    unsafe {
        if (*record).coro.body != (*record).body {
            read_entries(record);
        }
    }
}

#[cold]
unsafe fn read_entries(record: *mut CodeRecord) {
    // SAFETY: as in `refresh`; nothing here runs Python code.
    unsafe {
        let code = (*record).code;
        let Some(artifact) = &(*record).artifact else { return };
        let mut table = vec![0u16; CodeObject::len(code)];
        for (at, unit) in artifact.entries.iter().enumerate().skip(1) {
            let entry = u16::try_from(at + 1).unwrap_or(0);
            if let Some(word) = table.get_mut(*unit as usize) {
                *word = entry;
            }
        }
        let start = read_start(code).and_then(|mut start| {
            start.at = artifact.entry_at(start.unit)?;
            Some(start)
        });
        let coro = &mut (*record).coro;
        coro.simple_args = usize::MAX;
        if let Some(s) = &start {
            coro.first = CodeObject::units(code).add(s.unit as usize);
            coro.at = s.at;
            if s.simple && s.awaitable {
                coro.simple_args = s.argcount as usize;
            }
        }
        coro.resume_at = table;
        coro.start = start;
        coro.body = (*record).body;
    }
}

impl CoroData {
    /// The entry for the RESUME at this unit; call [`refresh`] first.
    #[inline(always)]
    pub fn entry_of(&self, unit: usize) -> Option<u64> {
        match self.resume_at.get(unit) {
            Some(&n) if n != 0 => Some(u64::from(n) - 1),
            _ => None,
        }
    }
}

/// What the instructions before the first RESUME do: COPY_FREE_VARS, MAKE_CELL, RETURN_GENERATOR, POP_TOP.
///
/// Nobody instruments or specialises these. None where there is anything else among them.
///
/// # Safety
/// A live code object; the GIL is held.
pub unsafe fn read_start(code: *mut CodeObject) -> Option<Start> {
    // SAFETY: `_co_firsttraceable` lies in the code, or is its length.
    let (units, flags) = unsafe {
        let n = (*code)._co_firsttraceable as usize;
        if n >= CodeObject::len(code) {
            return None;
        }
        (core::slice::from_raw_parts(CodeObject::units(code), n), (*code).co_flags)
    };
    let mut start = Start { unit: units.len() as u32, ..Start::default() };
    let mut generator = false;
    for (n, u) in units.iter().enumerate() {
        match Opcode::from_u8(u.opcode())? {
            Opcode::CopyFreeVars => start.free = u32::from(u.oparg()),
            Opcode::MakeCell => start.cells.push(u32::from(u.oparg())),
            Opcode::ReturnGenerator => {
                generator = true;
                start.created = n as u32 + 1;
            }
            Opcode::PopTop | Opcode::Nop => {}
            _ => return None,
        }
    }
    if !generator {
        return None;
    }
    // SAFETY: a live code object.
    let (argcount, kwonly) = unsafe { ((*code).co_argcount, (*code).co_kwonlyargcount) };
    start.argcount = argcount as u32;
    start.awaitable = flags & (co_flags::COROUTINE | co_flags::ITERABLE_COROUTINE) != 0;
    start.positional = kwonly == 0 && flags & (co_flags::VARARGS | co_flags::VARKEYWORDS) == 0;
    start.simple = start.positional && start.free == 0 && start.cells.is_empty();
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_found_cold_is_believed_so_often_and_stands_for_as_many_steps() {
        let cell = &raw mut *Box::leak(Box::new(ResumeCell::new()));
        // SAFETY: of the object only where it stands is read.
        unsafe {
            let g: *mut GenObject = Box::leak(Box::new(core::mem::zeroed::<GenObject>()));
            (*g).gi_iframe.instr_ptr = ptr::without_provenance_mut(16);
            assert!(!ResumeCell::skips(ptr::null_mut(), g) && !ResumeCell::skips(cell, g));
            let steps = ResumeCell::met_cold(cell, g);
            assert_eq!((1..steps).filter(|_| ResumeCell::skips(cell, g)).count() as u32, steps - 1);
            assert!(!ResumeCell::skips(cell, g));
            ResumeCell::met_cold(cell, g);
            (*g).gi_iframe.instr_ptr = ptr::without_provenance_mut(18);
            assert!(!ResumeCell::skips(cell, g));
            assert_eq!(ResumeCell::met_cold(ptr::null_mut(), g), 1);
        }
    }
}
