//! Code generation: one function of the IR becomes one piece of machine code (Cranelift) that may lie anywhere.
//!
//! Holds the lowering of each instruction, the exits (leaving, raising) and the table of runtime helpers by name. Knows
//! CPython's structs only as offsets ([`Offsets`]) and objects only as addresses that the [`Env`] hands out.
//! Invariant: the contract of bodies in docs/internals/contracts.md. Read docs/internals/codegen.md.
#![forbid(unsafe_code)]

mod attr_front;
mod code;
mod cold;
mod env;
mod exit_table;
mod fault;
mod helpers;
mod lower;

pub use attr_front::AttrFront;
pub use code::Code;
pub use env::{Addresses, AwaitSite, Awaited, Callee, Compiled, Env, Exit, Offsets};
pub use exit_table::{ExitTable, Row, StaleWord, Word};
pub use helpers::{HELPERS, Helper, Prefix};

use cendre_ir::Function;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa};
use cranelift_frontend::FunctionBuilderContext;
use std::cell::RefCell;
use std::fmt;
use std::sync::OnceLock;

/// Tags of a body's result; the same numbers in `cendre-runtime` (see docs/internals/contracts.md).
pub mod tag {
    pub const RETURNED: i64 = 0;
    pub const RAISED: i64 = 1;
    pub const LEAVE: i64 = 2;
    pub const YIELDED: i64 = 3;
    /// Only to callers that asked for numbers ([`TAKES_NUMBERS`]): an unboxed int.
    pub const RETURNED_INT: i64 = 4;
    /// The same: the bits of a double.
    pub const RETURNED_FLOAT: i64 = 5;
    /// Only to callers that await the result ([`AWAITED`]): a coroutine that has not begun, in a shell.
    pub const PREPARED: i64 = 6;
    /// Added to a body's entry index by a direct call that takes numbers.
    pub const TAKES_NUMBERS: i64 = 1 << 32;
    /// Added to the entry index by a caller that awaits what the function returns.
    pub const AWAITED: i64 = 1 << 33;
}

/// Answers of the runtime's helpers that machine code makes itself where nothing is unusual.
pub mod answer {
    /// Finished with a value; of `gen_next`: an item.
    pub const VALUE: i64 = 0;
    /// Suspended or yielded; of `gen_next`: exhausted.
    pub const OTHER: i64 = 1;
}

/// States of a generator's frame, as bytes. `cendre-cpython` has them as CPython does; the runtime checks that these are the same.
pub mod frame_state {
    pub const SUSPENDED: i64 = 0xfe;
    pub const EXECUTING: i64 = 0;
    pub const CLEARED: i64 = 4;
}

/// Why no code was made. Never a reason to fail: the function stays interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodegenError {
    /// The host is no machine that Cranelift knows.
    Host(String),
    /// A helper that the runtime does not export.
    Helper(String),
    /// Cranelift refused.
    Backend(String),
    /// Larger than what is worth the time (IR instructions).
    TooLarge(usize),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Host(why) => write!(f, "no code generation for this machine: {why}"),
            CodegenError::Helper(name) => write!(f, "runtime helper {name} is missing"),
            CodegenError::Backend(why) => write!(f, "code generation: {why}"),
            CodegenError::TooLarge(n) => write!(f, "too large ({n} instructions)"),
        }
    }
}

/// IR instructions beyond which a function stays interpreted: compile time grows faster than the gain.
pub const LARGEST: usize = 60_000;

/// The same for Cranelift's instructions: ways out with much to write to memory make many of few.
pub const LARGEST_LOWERED: usize = 200_000;

/// What CENDRE_CRANELIFT holds, if anything.
fn asked_settings() -> Option<String> {
    std::env::var("CENDRE_CRANELIFT").ok().filter(|text| !text.is_empty())
}

/// Whether the settings that somebody asked for exist. Cranelift is not touched where nobody did.
///
/// # Errors
/// A sentence that names the variable and what is wrong with it.
pub fn check_settings() -> Result<(), String> {
    if asked_settings().is_none() {
        return Ok(());
    }
    match isa() {
        Err(CodegenError::Host(why)) if why.starts_with("CENDRE_CRANELIFT") => Err(why),
        _ => Ok(()),
    }
}

fn isa() -> Result<&'static isa::OwnedTargetIsa, CodegenError> {
    static ISA: OnceLock<Result<isa::OwnedTargetIsa, String>> = OnceLock::new();
    let made = ISA.get_or_init(|| {
        let mut flags = settings::builder();
        let mut set = |name: &str, value: &str| flags.set(name, value).map_err(|e| format!("{name}: {e}"));
        // The e-graph costs a fifth of the time, and moves what is used in cold places to where it takes registers from hot ones.
        set("opt_level", "none")?;
        set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" })?;
        set("unwind_info", "false")?;
        set("preserve_frame_pointers", "true")?;
        set("enable_probestack", "false")?;
        // For measurements: "opt_level=speed,regalloc_algorithm=single_pass".
        if let Some(text) = asked_settings() {
            for (name, value) in text.split(',').map(|pair| pair.split_once('=').unwrap_or((pair, "true"))) {
                set(name, value).map_err(|e| format!("CENDRE_CRANELIFT={text}: takes settings of Cranelift ({e})"))?;
            }
        }
        let builder = cranelift_native::builder().map_err(str::to_owned)?;
        builder.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|e| CodegenError::Host(e.clone()))
}

thread_local! {
    static REUSED: RefCell<(Context, FunctionBuilderContext)> = RefCell::new((Context::new(), FunctionBuilderContext::new()));
}

/// Compiles a verified function.
///
/// # Errors
/// [`CodegenError`]; nothing is left behind.
///
/// # Example
/// ```ignore
/// let code = cendre_codegen::compile(&function, &env)?;
/// assert_eq!(code.entries[0], 0);
/// ```
pub fn compile(func: &Function, env: &dyn Env) -> Result<Compiled, CodegenError> {
    if func.insts.len() > LARGEST {
        return Err(CodegenError::TooLarge(func.insts.len()));
    }
    let isa = isa()?;
    REUSED.with(|cell| {
        let (context, builder_context) = &mut *cell.borrow_mut();
        context.clear();
        if std::env::var_os("CENDRE_DUMP_IR").is_some() {
            eprintln!("{func}");
        }
        let lower::Lowered { exits, table, targets } = lower::lower(func, env, isa.as_ref(), &mut context.func, builder_context)?;
        cold::spread(&mut context.func);
        if std::env::var_os("CENDRE_DUMP_CLIF").is_some() {
            eprintln!("{}", context.func.display());
        }
        let sizes = (context.func.dfg.num_insts(), context.func.dfg.num_blocks());
        if sizes.0 > LARGEST_LOWERED {
            return Err(CodegenError::TooLarge(sizes.0));
        }
        let start = std::time::Instant::now();
        context.compile(isa.as_ref(), &mut Default::default()).map_err(|e| CodegenError::Backend(format!("{:?}", e.inner)))?;
        let code = context.compiled_code().ok_or_else(|| CodegenError::Backend("no code".to_owned()))?;
        let size = code.code_buffer().len();
        let code = Code::of(code, &context.func, &targets)?;
        if std::env::var_os("CENDRE_DUMP_SIZE").is_some() {
            eprintln!(
                "{}: {} IR instructions, {} blocks; {} CLIF instructions, {} blocks; {} bytes; {:?}",
                func.name,
                func.insts.len(),
                func.blocks.len(),
                sizes.0,
                sizes.1,
                size,
                start.elapsed()
            );
        }
        Ok(Compiled {
            code,
            entries: func.entries.iter().map(|e| e.unit).collect(),
            exits,
            table,
            ir_instructions: func.insts.len() as u32,
        })
    })
}
