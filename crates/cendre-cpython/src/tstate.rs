//! `PyThreadState` (struct _ts) and `_PyThreadStateImpl`, complete.
//!
//! Invariant: every thread state is really a `_PyThreadStateImpl`, so casting a `ThreadState` pointer to
//! [`ThreadStateImpl`] is always right. Read: `Include/cpython/pystate.h`, `Include/internal/pycore_tstate.h`.

use crate::ffi::{self, PyObject};
use crate::interpframe::Frame;
use crate::table::layout;
use core::ffi::{c_int, c_uint, c_ulong, c_void};

layout! {
    /// `_PyErr_StackItem`: one context that may be handling an exception.
    #[derive(Debug, Clone, Copy)]
    pub struct ErrStackItem = "_PyErr_StackItem" {
        /// The exception being handled, owned; NULL or None for none.
        pub exc_value: *mut PyObject,
        /// The enclosing context.
        pub previous_item: *mut ErrStackItem,
    }

    /// `_PyStackChunk`: one chunk of the data stack.
    #[derive(Debug)]
    pub struct StackChunk = "_PyStackChunk" {
        /// The chunk below.
        pub previous: *mut StackChunk,
        /// Its size in bytes.
        pub size: usize,
        /// Words in use, valid while the chunk is not the top one.
        pub top: usize,
        /// The words.
        pub data: [*mut PyObject; 1],
    }

    /// `_PyRemoteDebuggerSupport`.
    pub struct RemoteDebuggerSupport = "_PyRemoteDebuggerSupport" {
        /// Set by a debugger that wants a script run.
        pub debugger_pending_call: i32,
        /// The script's path.
        pub debugger_script_path: [u8; 512],
    }

    /// `struct _ts`.
    pub struct ThreadState = "struct _ts" {
        /// Neighbour in the interpreter's list.
        pub prev: *mut ThreadState,
        /// Neighbour in the interpreter's list.
        pub next: *mut ThreadState,
        /// The interpreter.
        pub interp: *mut ffi::PyInterpreterState,
        /// Instrumentation version in the high bits, events (`eval_breaker`) in the low eight.
        pub eval_breaker: usize,
        /// Bit fields of the thread's life.
        pub _status: u32,
        /// Whether this thread holds the GIL.
        pub holds_gil: c_int,
        /// Who made it.
        pub _whence: c_int,
        /// Attached, detached, suspended.
        pub state: c_int,
        /// Python frames left before RecursionError.
        pub py_recursion_remaining: c_int,
        /// The limit.
        pub py_recursion_limit: c_int,
        /// Extra room while RecursionError is handled.
        pub recursion_headroom: c_int,
        /// Depth of tracing: tools are not called while it is not 0.
        pub tracing: c_int,
        /// The monitoring event being delivered, or -1.
        pub what_event: c_int,
        /// The running frame.
        pub current_frame: *mut Frame,
        /// `sys.setprofile`.
        pub c_profilefunc: *mut c_void,
        /// `sys.settrace`.
        pub c_tracefunc: *mut c_void,
        /// `sys.setprofile`'s argument.
        pub c_profileobj: *mut PyObject,
        /// `sys.settrace`'s argument.
        pub c_traceobj: *mut PyObject,
        /// The exception being raised, owned, or NULL.
        pub current_exception: *mut PyObject,
        /// Top of the stack of contexts that handle exceptions; never NULL.
        pub exc_info: *mut ErrStackItem,
        /// Per-thread dictionary.
        pub dict: *mut PyObject,
        /// `PyGILState` nesting.
        pub gilstate_counter: c_int,
        /// An exception that another thread wants raised here.
        pub async_exc: *mut PyObject,
        /// `threading.get_ident()`.
        pub thread_id: c_ulong,
        /// `threading.get_native_id()`.
        pub native_thread_id: c_ulong,
        /// Objects whose deallocation waits for stack to be free.
        pub delete_later: *mut PyObject,
        /// Unused with the GIL.
        pub critical_section: usize,
        /// `sys.set_coroutine_origin_tracking_depth`.
        pub coroutine_origin_tracking_depth: c_int,
        /// `sys.set_asyncgen_hooks`.
        pub async_gen_firstiter: *mut PyObject,
        /// `sys.set_asyncgen_hooks`.
        pub async_gen_finalizer: *mut PyObject,
        /// The current `contextvars.Context`.
        pub context: *mut PyObject,
        /// Its version.
        pub context_ver: u64,
        /// Unique id.
        pub id: u64,
        /// Top chunk of the data stack.
        pub datastack_chunk: *mut StackChunk,
        /// Where the next frame goes.
        pub datastack_top: *mut *mut PyObject,
        /// End of the top chunk.
        pub datastack_limit: *mut *mut PyObject,
        /// The thread's own, outermost exception context.
        pub exc_state: ErrStackItem,
        /// The executor that is running, or NULL.
        pub current_executor: *mut PyObject,
        /// Tier 2's version of globals.
        pub dict_global_version: u64,
        /// For `threading.local`.
        pub threading_local_key: *mut PyObject,
        /// For `threading.local`.
        pub threading_local_sentinel: *mut PyObject,
        /// For remote debuggers.
        pub remote_debugger_support: RemoteDebuggerSupport,
        /// A spare chunk of the data stack.
        pub datastack_cached_chunk: *mut StackChunk,
    }

    /// `struct llist_node`.
    pub struct LlistNode = "struct llist_node" {
        /// Next.
        pub next: *mut LlistNode,
        /// Previous.
        pub prev: *mut LlistNode,
    }

    /// `_PyThreadStateImpl`.
    pub struct ThreadStateImpl = "_PyThreadStateImpl" {
        /// The part declared above.
        pub base: ThreadState,
        /// References to the thread state.
        pub refcount: ffi::Py_ssize_t,
        /// Where the C stack begins.
        pub c_stack_top: usize,
        /// Below this stack pointer RecursionError is raised.
        pub c_stack_soft_limit: usize,
        /// Below this the process is aborted.
        pub c_stack_hard_limit: usize,
        /// asyncio's running loop of this thread, strong.
        pub asyncio_running_loop: *mut PyObject,
        /// asyncio's current task of this thread, strong.
        pub asyncio_running_task: *mut PyObject,
        /// The tasks of this thread.
        pub asyncio_tasks_head: LlistNode,
        /// Unused with the GIL.
        pub qsbr: *mut c_void,
        /// Memory to be freed later.
        pub mem_free_queue: LlistNode,
        /// As given to `PyUnstable_ThreadState_SetStackProtection`.
        pub c_stack_init_base: usize,
        /// As given to `PyUnstable_ThreadState_SetStackProtection`.
        pub c_stack_init_top: usize,
    }
}

/// Bits of [`ThreadState::eval_breaker`].
pub mod eval_breaker {
    /// Another thread wants the GIL.
    pub const GIL_DROP_REQUEST: usize = 1 << 0;
    /// A signal came.
    pub const SIGNALS_PENDING: usize = 1 << 1;
    /// Pending calls wait.
    pub const CALLS_TO_DO: usize = 1 << 2;
    /// An asynchronous exception waits.
    pub const ASYNC_EXCEPTION: usize = 1 << 3;
    /// A collection is due.
    pub const GC_SCHEDULED: usize = 1 << 4;
    /// Stop the world.
    pub const PLEASE_STOP: usize = 1 << 5;
    /// Free-threaded builds only.
    pub const EXPLICIT_MERGE: usize = 1 << 6;
    /// Tier 2 wants cold executors dropped.
    pub const JIT_INVALIDATE_COLD: usize = 1 << 7;
    /// All event bits.
    pub const EVENTS_MASK: usize = 0xff;
}

/// Where `what_event` stands while no event is delivered.
pub const WHAT_EVENT_NONE: c_int = -1;
/// `_PY_DATA_STACK_CHUNK_SIZE`.
pub const DATA_STACK_CHUNK_SIZE: c_uint = 16 * 1024;

impl ThreadState {
    /// The thread state of the running thread, which must hold the GIL.
    ///
    /// # Safety
    /// The GIL is held (CPython aborts the process otherwise).
    #[inline(always)]
    pub unsafe fn current() -> *mut ThreadState {
        // SAFETY: the caller's contract.
        unsafe { ffi::PyThreadState_Get().cast() }
    }

    /// `_PyThreadState_HasStackSpace`.
    ///
    /// # Safety
    /// `this` points to a thread state.
    #[inline(always)]
    pub unsafe fn has_stack_space(this: *mut ThreadState, words: usize) -> bool {
        // SAFETY: the caller's contract; both are NULL, or limit is at or above top.
        unsafe {
            let (top, limit) = ((*this).datastack_top as usize, (*this).datastack_limit as usize);
            top != 0 && words < (limit - top) / core::mem::size_of::<*mut PyObject>()
        }
    }
}
