//! PEP 523: another frame evaluator (torch.compile's, a debugger's), which wants to see every frame before it runs.
//!
//! CPython tells nobody when one is set, so we look where unknown code may have done it: at the ways in, behind calls of compiled code, and with
//! each sample. Invariant: from then on until it is gone no body is entered from outside and none calls another: records have no version that
//! says they may run (`CodeRecord::may_run` answers no), and no executor of a body is in its code. Bodies that run go on to their end.

use crate::entries::executor;
use crate::gil::Gil;
use crate::record;
use cendre_cpython::interp;
use cendre_cpython::tstate::ThreadState;

static SET: Gil<bool> = Gil::new(false);

/// Looks whether there is one now.
///
/// # Safety
/// `ts` is the running thread's state; the GIL is held.
#[inline(always)]
pub unsafe fn look(ts: *mut ThreadState) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let set = !interp::eval_frame((*ts).interp).is_null();
        if set != *SET.get() {
            changed(set);
        }
        set
    }
}

#[cold]
unsafe fn changed(set: bool) {
    // SAFETY: the GIL is held; nothing here runs Python code, so the records stay. When it is gone the sampler and the ways in look again.
    unsafe {
        *SET.get() = set;
        for record in record::all().into_iter().filter(|_| set) {
            (*record).version = !0;
            if executor::is_in(record) {
                executor::detach_all(record);
            }
        }
    }
}
