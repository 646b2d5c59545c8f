//! `sys.monitoring`: what a code object and an interpreter know about tools.
//!
//! Invariant: event numbers below [`LOCAL_EVENTS`] index `LocalMonitors`, those below [`UNGROUPED_EVENTS`] index
//! `GlobalMonitors`. Read: `Include/internal/pycore_instruments.h`, `Include/cpython/monitoring.h`.

use crate::table::layout;
use core::ffi::c_void;

/// `PY_MONITORING_TOOL_IDS`.
pub const TOOL_IDS: usize = 8;
/// `_PY_MONITORING_LOCAL_EVENTS`.
pub const LOCAL_EVENTS: usize = 11;
/// `_PY_MONITORING_UNGROUPED_EVENTS`.
pub const UNGROUPED_EVENTS: usize = 16;

layout! {
    /// `_Py_LocalMonitors`: a bit set of tools per local event.
    #[derive(Debug, Clone, Copy)]
    pub struct LocalMonitors = "_Py_LocalMonitors" {
        /// Tools.
        pub tools: [u8; LOCAL_EVENTS],
    }

    /// `_Py_GlobalMonitors`: a bit set of tools per event.
    #[derive(Debug, Clone, Copy)]
    pub struct GlobalMonitors = "_Py_GlobalMonitors" {
        /// Tools.
        pub tools: [u8; UNGROUPED_EVENTS],
    }

    /// `_PyCoMonitoringData`.
    pub struct CoMonitoringData = "_PyCoMonitoringData" {
        /// Events set for this code object.
        pub local_monitors: LocalMonitors,
        /// Events active in this code object.
        pub active_monitors: LocalMonitors,
        /// Tools per code unit.
        pub tools: *mut u8,
        /// Versions of the tools.
        pub tool_versions: [usize; TOOL_IDS],
        /// Line events.
        pub lines: *mut c_void,
        /// Tools for line events.
        pub line_tools: *mut u8,
        /// Instructions under instruction events.
        pub per_instruction_opcodes: *mut u8,
        /// Tools for instruction events.
        pub per_instruction_tools: *mut u8,
    }
}

/// Event numbers.
pub mod event {
    use core::ffi::c_int;
    /// Function started.
    pub const PY_START: c_int = 0;
    /// Generator or coroutine resumed.
    pub const PY_RESUME: c_int = 1;
    /// Function returned.
    pub const PY_RETURN: c_int = 2;
    /// Generator or coroutine suspended.
    pub const PY_YIELD: c_int = 3;
    /// Call.
    pub const CALL: c_int = 4;
    /// Line.
    pub const LINE: c_int = 5;
    /// Instruction.
    pub const INSTRUCTION: c_int = 6;
    /// Jump.
    pub const JUMP: c_int = 7;
    /// Branch to the left.
    pub const BRANCH_LEFT: c_int = 8;
    /// Branch to the right.
    pub const BRANCH_RIGHT: c_int = 9;
    /// StopIteration that was never an object.
    pub const STOP_ITERATION: c_int = 10;
    /// Exception raised.
    pub const RAISE: c_int = 11;
    /// Exception handled.
    pub const EXCEPTION_HANDLED: c_int = 12;
    /// Function left by an exception.
    pub const PY_UNWIND: c_int = 13;
    /// Exception thrown into a generator.
    pub const PY_THROW: c_int = 14;
    /// Exception raised again.
    pub const RERAISE: c_int = 15;
}
