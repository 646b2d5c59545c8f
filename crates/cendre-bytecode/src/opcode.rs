//! The opcodes of CPython 3.14, one row each: name, unspecialised base, inline cache size, jump and stack effect.
//!
//! Invariant: the rows between the GENERATED markers equal what CPython says of itself (`scripts/gen_opcodes.py`
//! writes them, `--check` compares), and each row's columns but its number and name are those of its base: a
//! specialised or instrumented opcode reads the same argument, has the same caches and moves the stack alike.
//! Read `decode.rs` for how the columns are used; `scripts/gen_opcodes.py` for where they deviate from CPython's metadata.

/// How many stack entries an instruction pops or pushes, as a function of its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Always this many.
    Fixed(u32),
    /// `base + slope * arg`.
    Linear(u32, u32),
    /// `base + (arg & 1)`: the low bit asks for one entry more (a NULL or `self` under a callable).
    LowBit(u32),
    /// `1 + (arg & 0xFF) + (arg >> 8)`: UNPACK_EX, names before and behind the starred one.
    UnpackEx,
}

impl Count {
    /// The number for this argument; saturates where the argument is garbage.
    pub const fn eval(self, arg: u32) -> u32 {
        match self {
            Count::Fixed(n) => n,
            Count::Linear(base, slope) => base.saturating_add(slope.saturating_mul(arg)),
            Count::LowBit(base) => base + (arg & 1),
            Count::UnpackEx => 1 + (arg & 0xFF) + (arg >> 8),
        }
    }
}

/// Which way an instruction jumps, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JumpKind {
    /// It never jumps.
    None,
    /// To the unit behind the instruction plus its argument.
    Forward,
    /// To the unit behind the instruction minus its argument.
    Backward,
}

/// The way control leaves an instruction, for stack effects that differ by edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// On to the next instruction.
    Next,
    /// To `Instr::jump_target`.
    Jump,
}

/// What an instruction does to the height of the evaluation stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackEffect {
    /// Entries consumed; the instruction looks no deeper.
    pub popped: u32,
    /// Entries that stand there afterwards in their place.
    pub pushed: u32,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OpcodeInfo {
    /// CPython's name.
    pub name: &'static str,
    /// The unspecialised, uninstrumented opcode.
    pub base: Opcode,
    /// Inline cache entries behind the instruction, in code units.
    pub caches: u8,
    /// Whether the argument means anything.
    pub has_arg: bool,
    /// Which way it jumps.
    pub jump: JumpKind,
    /// Popped entries (on the `Next` edge).
    pub popped: Count,
    /// Pushed entries (on the `Next` edge).
    pub pushed: Count,
    /// Whether control never reaches the next instruction.
    pub terminator: bool,
}

const fn n(count: u32) -> Count {
    Count::Fixed(count)
}

const fn lin(base: u32, slope: u32) -> Count {
    Count::Linear(base, slope)
}

const fn bit(base: u32) -> Count {
    Count::LowBit(base)
}

const fn unpack_ex() -> Count {
    Count::UnpackEx
}

macro_rules! opcodes {
    ($($variant:ident = $number:literal, $name:literal, base $base:ident, cache $caches:literal, arg $has_arg:literal,
        jump $jump:ident, pops $popped:expr, pushes $pushed:expr, ends $ends:literal;)*) => {
        /// An opcode of CPython 3.14 as it can stand in adaptive code: plain, specialised or instrumented.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Opcode {
            $($variant = $number,)*
        }

        impl Opcode {
            /// All opcodes, by number.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant,)*];

            /// The opcode with this number, if CPython 3.14 has one.
            pub const fn from_u8(number: u8) -> Option<Opcode> {
                match number {
                    $($number => Some(Opcode::$variant),)*
                    _ => None,
                }
            }

            /// The opcode's row of the table.
            pub const fn info(self) -> &'static OpcodeInfo {
                match self {
                    $(Opcode::$variant => {
                        const ROW: OpcodeInfo = OpcodeInfo {
                            name: $name,
                            base: Opcode::$base,
                            caches: $caches,
                            has_arg: $has_arg,
                            jump: JumpKind::$jump,
                            popped: $popped,
                            pushed: $pushed,
                            terminator: $ends,
                        };
                        &ROW
                    })*
                }
            }
        }
    };
}

impl Opcode {
    /// CPython's name, as `dis` shows it.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// The opcode with this name of CPython's.
    pub fn from_name(name: &str) -> Option<Opcode> {
        Opcode::ALL.iter().copied().find(|op| op.name() == name)
    }

    /// The unspecialised, uninstrumented opcode; itself for the plain ones and for INSTRUMENTED_LINE and
    /// INSTRUMENTED_INSTRUCTION, which stand for any instruction.
    pub const fn base(self) -> Opcode {
        self.info().base
    }

    /// Inline cache entries behind the instruction, in code units.
    pub const fn caches(self) -> u8 {
        self.info().caches
    }

    /// Whether the argument means anything.
    pub const fn has_arg(self) -> bool {
        self.info().has_arg
    }

    /// Which way it jumps.
    pub const fn jump(self) -> JumpKind {
        self.info().jump
    }

    /// Whether control never reaches the next instruction: unconditional jumps, return, raise.
    pub const fn is_terminator(self) -> bool {
        self.info().terminator
    }

    /// Whether it is a jump that is always taken.
    pub const fn is_unconditional_jump(self) -> bool {
        self.is_terminator() && !matches!(self.jump(), JumpKind::None)
    }

    /// Whether it is the instrumented form of an instruction (`sys.monitoring`, `sys.settrace`).
    pub const fn is_instrumented(self) -> bool {
        // ENTER_EXECUTOR is numbered behind the instrumented opcodes without being one.
        self as u8 >= Opcode::InstrumentedEndFor as u8 && !matches!(self, Opcode::EnterExecutor)
    }

    /// Whether it is a specialised form of its base.
    pub fn is_specialized(self) -> bool {
        self != self.base() && !self.is_instrumented()
    }

    /// Entries popped and pushed on this edge.
    ///
    /// The jump edge is asked for only where the opcode jumps. FOR_ITER leaves its iterator alone there (the decoder's
    /// `jump_target` is behind the END_FOR, as in the interpreter); every other opcode does the same on both edges.
    /// RETURN_VALUE pushes nothing here: its value is on the caller's stack. YIELD_VALUE and RETURN_GENERATOR push
    /// what stands there on resumption.
    pub const fn stack_effect(self, arg: u32, edge: Edge) -> StackEffect {
        let info = self.info();
        let pushed = match (edge, info.base) {
            (Edge::Jump, Opcode::ForIter) => 1,
            _ => info.pushed.eval(arg),
        };
        StackEffect { popped: info.popped.eval(arg), pushed }
    }
}

impl std::fmt::Display for Opcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

opcodes! {
    // GENERATED by scripts/gen_opcodes.py: begin
    Cache = 0, "CACHE", base Cache, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    BinarySlice = 1, "BINARY_SLICE", base BinarySlice, cache 0, arg false, jump None, pops n(3), pushes n(1), ends false;
    BuildTemplate = 2, "BUILD_TEMPLATE", base BuildTemplate, cache 0, arg false, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpInplaceAddUnicode = 3, "BINARY_OP_INPLACE_ADD_UNICODE", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    CallFunctionEx = 4, "CALL_FUNCTION_EX", base CallFunctionEx, cache 0, arg false, jump None, pops n(4), pushes n(1), ends false;
    CheckEgMatch = 5, "CHECK_EG_MATCH", base CheckEgMatch, cache 0, arg false, jump None, pops n(2), pushes n(2), ends false;
    CheckExcMatch = 6, "CHECK_EXC_MATCH", base CheckExcMatch, cache 0, arg false, jump None, pops n(2), pushes n(2), ends false;
    CleanupThrow = 7, "CLEANUP_THROW", base CleanupThrow, cache 0, arg false, jump None, pops n(3), pushes n(2), ends false;
    DeleteSubscr = 8, "DELETE_SUBSCR", base DeleteSubscr, cache 0, arg false, jump None, pops n(2), pushes n(0), ends false;
    EndFor = 9, "END_FOR", base EndFor, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    EndSend = 10, "END_SEND", base EndSend, cache 0, arg false, jump None, pops n(2), pushes n(1), ends false;
    ExitInitCheck = 11, "EXIT_INIT_CHECK", base ExitInitCheck, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    FormatSimple = 12, "FORMAT_SIMPLE", base FormatSimple, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    FormatWithSpec = 13, "FORMAT_WITH_SPEC", base FormatWithSpec, cache 0, arg false, jump None, pops n(2), pushes n(1), ends false;
    GetAiter = 14, "GET_AITER", base GetAiter, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    GetAnext = 15, "GET_ANEXT", base GetAnext, cache 0, arg false, jump None, pops n(1), pushes n(2), ends false;
    GetIter = 16, "GET_ITER", base GetIter, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    Reserved = 17, "RESERVED", base Reserved, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    GetLen = 18, "GET_LEN", base GetLen, cache 0, arg false, jump None, pops n(1), pushes n(2), ends false;
    GetYieldFromIter = 19, "GET_YIELD_FROM_ITER", base GetYieldFromIter, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    InterpreterExit = 20, "INTERPRETER_EXIT", base InterpreterExit, cache 0, arg false, jump None, pops n(1), pushes n(0), ends true;
    LoadBuildClass = 21, "LOAD_BUILD_CLASS", base LoadBuildClass, cache 0, arg false, jump None, pops n(0), pushes n(1), ends false;
    LoadLocals = 22, "LOAD_LOCALS", base LoadLocals, cache 0, arg false, jump None, pops n(0), pushes n(1), ends false;
    MakeFunction = 23, "MAKE_FUNCTION", base MakeFunction, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    MatchKeys = 24, "MATCH_KEYS", base MatchKeys, cache 0, arg false, jump None, pops n(2), pushes n(3), ends false;
    MatchMapping = 25, "MATCH_MAPPING", base MatchMapping, cache 0, arg false, jump None, pops n(1), pushes n(2), ends false;
    MatchSequence = 26, "MATCH_SEQUENCE", base MatchSequence, cache 0, arg false, jump None, pops n(1), pushes n(2), ends false;
    Nop = 27, "NOP", base Nop, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    NotTaken = 28, "NOT_TAKEN", base NotTaken, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    PopExcept = 29, "POP_EXCEPT", base PopExcept, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    PopIter = 30, "POP_ITER", base PopIter, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    PopTop = 31, "POP_TOP", base PopTop, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    PushExcInfo = 32, "PUSH_EXC_INFO", base PushExcInfo, cache 0, arg false, jump None, pops n(1), pushes n(2), ends false;
    PushNull = 33, "PUSH_NULL", base PushNull, cache 0, arg false, jump None, pops n(0), pushes n(1), ends false;
    ReturnGenerator = 34, "RETURN_GENERATOR", base ReturnGenerator, cache 0, arg false, jump None, pops n(0), pushes n(1), ends false;
    ReturnValue = 35, "RETURN_VALUE", base ReturnValue, cache 0, arg false, jump None, pops n(1), pushes n(0), ends true;
    SetupAnnotations = 36, "SETUP_ANNOTATIONS", base SetupAnnotations, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    StoreSlice = 37, "STORE_SLICE", base StoreSlice, cache 0, arg false, jump None, pops n(4), pushes n(0), ends false;
    StoreSubscr = 38, "STORE_SUBSCR", base StoreSubscr, cache 1, arg false, jump None, pops n(3), pushes n(0), ends false;
    ToBool = 39, "TO_BOOL", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    UnaryInvert = 40, "UNARY_INVERT", base UnaryInvert, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    UnaryNegative = 41, "UNARY_NEGATIVE", base UnaryNegative, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    UnaryNot = 42, "UNARY_NOT", base UnaryNot, cache 0, arg false, jump None, pops n(1), pushes n(1), ends false;
    WithExceptStart = 43, "WITH_EXCEPT_START", base WithExceptStart, cache 0, arg false, jump None, pops n(5), pushes n(6), ends false;
    BinaryOp = 44, "BINARY_OP", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BuildInterpolation = 45, "BUILD_INTERPOLATION", base BuildInterpolation, cache 0, arg true, jump None, pops bit(2), pushes n(1), ends false;
    BuildList = 46, "BUILD_LIST", base BuildList, cache 0, arg true, jump None, pops lin(0, 1), pushes n(1), ends false;
    BuildMap = 47, "BUILD_MAP", base BuildMap, cache 0, arg true, jump None, pops lin(0, 2), pushes n(1), ends false;
    BuildSet = 48, "BUILD_SET", base BuildSet, cache 0, arg true, jump None, pops lin(0, 1), pushes n(1), ends false;
    BuildSlice = 49, "BUILD_SLICE", base BuildSlice, cache 0, arg true, jump None, pops lin(0, 1), pushes n(1), ends false;
    BuildString = 50, "BUILD_STRING", base BuildString, cache 0, arg true, jump None, pops lin(0, 1), pushes n(1), ends false;
    BuildTuple = 51, "BUILD_TUPLE", base BuildTuple, cache 0, arg true, jump None, pops lin(0, 1), pushes n(1), ends false;
    Call = 52, "CALL", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallIntrinsic1 = 53, "CALL_INTRINSIC_1", base CallIntrinsic1, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    CallIntrinsic2 = 54, "CALL_INTRINSIC_2", base CallIntrinsic2, cache 0, arg true, jump None, pops n(2), pushes n(1), ends false;
    CallKw = 55, "CALL_KW", base CallKw, cache 3, arg true, jump None, pops lin(3, 1), pushes n(1), ends false;
    CompareOp = 56, "COMPARE_OP", base CompareOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    ContainsOp = 57, "CONTAINS_OP", base ContainsOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    ConvertValue = 58, "CONVERT_VALUE", base ConvertValue, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    Copy = 59, "COPY", base Copy, cache 0, arg true, jump None, pops lin(0, 1), pushes lin(1, 1), ends false;
    CopyFreeVars = 60, "COPY_FREE_VARS", base CopyFreeVars, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    DeleteAttr = 61, "DELETE_ATTR", base DeleteAttr, cache 0, arg true, jump None, pops n(1), pushes n(0), ends false;
    DeleteDeref = 62, "DELETE_DEREF", base DeleteDeref, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    DeleteFast = 63, "DELETE_FAST", base DeleteFast, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    DeleteGlobal = 64, "DELETE_GLOBAL", base DeleteGlobal, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    DeleteName = 65, "DELETE_NAME", base DeleteName, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    DictMerge = 66, "DICT_MERGE", base DictMerge, cache 0, arg true, jump None, pops lin(4, 1), pushes lin(3, 1), ends false;
    DictUpdate = 67, "DICT_UPDATE", base DictUpdate, cache 0, arg true, jump None, pops lin(1, 1), pushes lin(0, 1), ends false;
    EndAsyncFor = 68, "END_ASYNC_FOR", base EndAsyncFor, cache 0, arg true, jump None, pops n(2), pushes n(0), ends false;
    ExtendedArg = 69, "EXTENDED_ARG", base ExtendedArg, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    ForIter = 70, "FOR_ITER", base ForIter, cache 1, arg true, jump Forward, pops n(1), pushes n(2), ends false;
    GetAwaitable = 71, "GET_AWAITABLE", base GetAwaitable, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    ImportFrom = 72, "IMPORT_FROM", base ImportFrom, cache 0, arg true, jump None, pops n(1), pushes n(2), ends false;
    ImportName = 73, "IMPORT_NAME", base ImportName, cache 0, arg true, jump None, pops n(2), pushes n(1), ends false;
    IsOp = 74, "IS_OP", base IsOp, cache 0, arg true, jump None, pops n(2), pushes n(1), ends false;
    JumpBackward = 75, "JUMP_BACKWARD", base JumpBackward, cache 1, arg true, jump Backward, pops n(0), pushes n(0), ends true;
    JumpBackwardNoInterrupt = 76, "JUMP_BACKWARD_NO_INTERRUPT", base JumpBackwardNoInterrupt, cache 0, arg true, jump Backward, pops n(0), pushes n(0), ends true;
    JumpForward = 77, "JUMP_FORWARD", base JumpForward, cache 0, arg true, jump Forward, pops n(0), pushes n(0), ends true;
    ListAppend = 78, "LIST_APPEND", base ListAppend, cache 0, arg true, jump None, pops lin(1, 1), pushes lin(0, 1), ends false;
    ListExtend = 79, "LIST_EXTEND", base ListExtend, cache 0, arg true, jump None, pops lin(1, 1), pushes lin(0, 1), ends false;
    LoadAttr = 80, "LOAD_ATTR", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadCommonConstant = 81, "LOAD_COMMON_CONSTANT", base LoadCommonConstant, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadConst = 82, "LOAD_CONST", base LoadConst, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadDeref = 83, "LOAD_DEREF", base LoadDeref, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadFast = 84, "LOAD_FAST", base LoadFast, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadFastAndClear = 85, "LOAD_FAST_AND_CLEAR", base LoadFastAndClear, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadFastBorrow = 86, "LOAD_FAST_BORROW", base LoadFastBorrow, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadFastBorrowLoadFastBorrow = 87, "LOAD_FAST_BORROW_LOAD_FAST_BORROW", base LoadFastBorrowLoadFastBorrow, cache 0, arg true, jump None, pops n(0), pushes n(2), ends false;
    LoadFastCheck = 88, "LOAD_FAST_CHECK", base LoadFastCheck, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadFastLoadFast = 89, "LOAD_FAST_LOAD_FAST", base LoadFastLoadFast, cache 0, arg true, jump None, pops n(0), pushes n(2), ends false;
    LoadFromDictOrDeref = 90, "LOAD_FROM_DICT_OR_DEREF", base LoadFromDictOrDeref, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    LoadFromDictOrGlobals = 91, "LOAD_FROM_DICT_OR_GLOBALS", base LoadFromDictOrGlobals, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    LoadGlobal = 92, "LOAD_GLOBAL", base LoadGlobal, cache 4, arg true, jump None, pops n(0), pushes bit(1), ends false;
    LoadName = 93, "LOAD_NAME", base LoadName, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadSmallInt = 94, "LOAD_SMALL_INT", base LoadSmallInt, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadSpecial = 95, "LOAD_SPECIAL", base LoadSpecial, cache 0, arg true, jump None, pops n(1), pushes n(2), ends false;
    LoadSuperAttr = 96, "LOAD_SUPER_ATTR", base LoadSuperAttr, cache 1, arg true, jump None, pops n(3), pushes bit(1), ends false;
    MakeCell = 97, "MAKE_CELL", base MakeCell, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    MapAdd = 98, "MAP_ADD", base MapAdd, cache 0, arg true, jump None, pops lin(2, 1), pushes lin(0, 1), ends false;
    MatchClass = 99, "MATCH_CLASS", base MatchClass, cache 0, arg true, jump None, pops n(3), pushes n(1), ends false;
    PopJumpIfFalse = 100, "POP_JUMP_IF_FALSE", base PopJumpIfFalse, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    PopJumpIfNone = 101, "POP_JUMP_IF_NONE", base PopJumpIfNone, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    PopJumpIfNotNone = 102, "POP_JUMP_IF_NOT_NONE", base PopJumpIfNotNone, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    PopJumpIfTrue = 103, "POP_JUMP_IF_TRUE", base PopJumpIfTrue, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    RaiseVarargs = 104, "RAISE_VARARGS", base RaiseVarargs, cache 0, arg true, jump None, pops lin(0, 1), pushes n(0), ends true;
    Reraise = 105, "RERAISE", base Reraise, cache 0, arg true, jump None, pops lin(1, 1), pushes lin(0, 1), ends true;
    Send = 106, "SEND", base Send, cache 1, arg true, jump Forward, pops n(2), pushes n(2), ends false;
    SetAdd = 107, "SET_ADD", base SetAdd, cache 0, arg true, jump None, pops lin(1, 1), pushes lin(0, 1), ends false;
    SetFunctionAttribute = 108, "SET_FUNCTION_ATTRIBUTE", base SetFunctionAttribute, cache 0, arg true, jump None, pops n(2), pushes n(1), ends false;
    SetUpdate = 109, "SET_UPDATE", base SetUpdate, cache 0, arg true, jump None, pops lin(1, 1), pushes lin(0, 1), ends false;
    StoreAttr = 110, "STORE_ATTR", base StoreAttr, cache 4, arg true, jump None, pops n(2), pushes n(0), ends false;
    StoreDeref = 111, "STORE_DEREF", base StoreDeref, cache 0, arg true, jump None, pops n(1), pushes n(0), ends false;
    StoreFast = 112, "STORE_FAST", base StoreFast, cache 0, arg true, jump None, pops n(1), pushes n(0), ends false;
    StoreFastLoadFast = 113, "STORE_FAST_LOAD_FAST", base StoreFastLoadFast, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    StoreFastStoreFast = 114, "STORE_FAST_STORE_FAST", base StoreFastStoreFast, cache 0, arg true, jump None, pops n(2), pushes n(0), ends false;
    StoreGlobal = 115, "STORE_GLOBAL", base StoreGlobal, cache 0, arg true, jump None, pops n(1), pushes n(0), ends false;
    StoreName = 116, "STORE_NAME", base StoreName, cache 0, arg true, jump None, pops n(1), pushes n(0), ends false;
    Swap = 117, "SWAP", base Swap, cache 0, arg true, jump None, pops lin(0, 1), pushes lin(0, 1), ends false;
    UnpackEx = 118, "UNPACK_EX", base UnpackEx, cache 0, arg true, jump None, pops n(1), pushes unpack_ex(), ends false;
    UnpackSequence = 119, "UNPACK_SEQUENCE", base UnpackSequence, cache 1, arg true, jump None, pops n(1), pushes lin(0, 1), ends false;
    YieldValue = 120, "YIELD_VALUE", base YieldValue, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    Resume = 128, "RESUME", base Resume, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    BinaryOpAddFloat = 129, "BINARY_OP_ADD_FLOAT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpAddInt = 130, "BINARY_OP_ADD_INT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpAddUnicode = 131, "BINARY_OP_ADD_UNICODE", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpExtend = 132, "BINARY_OP_EXTEND", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpMultiplyFloat = 133, "BINARY_OP_MULTIPLY_FLOAT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpMultiplyInt = 134, "BINARY_OP_MULTIPLY_INT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubscrDict = 135, "BINARY_OP_SUBSCR_DICT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubscrGetitem = 136, "BINARY_OP_SUBSCR_GETITEM", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubscrListInt = 137, "BINARY_OP_SUBSCR_LIST_INT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubscrListSlice = 138, "BINARY_OP_SUBSCR_LIST_SLICE", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubscrStrInt = 139, "BINARY_OP_SUBSCR_STR_INT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubscrTupleInt = 140, "BINARY_OP_SUBSCR_TUPLE_INT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubtractFloat = 141, "BINARY_OP_SUBTRACT_FLOAT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    BinaryOpSubtractInt = 142, "BINARY_OP_SUBTRACT_INT", base BinaryOp, cache 5, arg true, jump None, pops n(2), pushes n(1), ends false;
    CallAllocAndEnterInit = 143, "CALL_ALLOC_AND_ENTER_INIT", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallBoundMethodExactArgs = 144, "CALL_BOUND_METHOD_EXACT_ARGS", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallBoundMethodGeneral = 145, "CALL_BOUND_METHOD_GENERAL", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallBuiltinClass = 146, "CALL_BUILTIN_CLASS", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallBuiltinFast = 147, "CALL_BUILTIN_FAST", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallBuiltinFastWithKeywords = 148, "CALL_BUILTIN_FAST_WITH_KEYWORDS", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallBuiltinO = 149, "CALL_BUILTIN_O", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallIsinstance = 150, "CALL_ISINSTANCE", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallKwBoundMethod = 151, "CALL_KW_BOUND_METHOD", base CallKw, cache 3, arg true, jump None, pops lin(3, 1), pushes n(1), ends false;
    CallKwNonPy = 152, "CALL_KW_NON_PY", base CallKw, cache 3, arg true, jump None, pops lin(3, 1), pushes n(1), ends false;
    CallKwPy = 153, "CALL_KW_PY", base CallKw, cache 3, arg true, jump None, pops lin(3, 1), pushes n(1), ends false;
    CallLen = 154, "CALL_LEN", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallListAppend = 155, "CALL_LIST_APPEND", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallMethodDescriptorFast = 156, "CALL_METHOD_DESCRIPTOR_FAST", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallMethodDescriptorFastWithKeywords = 157, "CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallMethodDescriptorNoargs = 158, "CALL_METHOD_DESCRIPTOR_NOARGS", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallMethodDescriptorO = 159, "CALL_METHOD_DESCRIPTOR_O", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallNonPyGeneral = 160, "CALL_NON_PY_GENERAL", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallPyExactArgs = 161, "CALL_PY_EXACT_ARGS", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallPyGeneral = 162, "CALL_PY_GENERAL", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallStr1 = 163, "CALL_STR_1", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallTuple1 = 164, "CALL_TUPLE_1", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CallType1 = 165, "CALL_TYPE_1", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    CompareOpFloat = 166, "COMPARE_OP_FLOAT", base CompareOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    CompareOpInt = 167, "COMPARE_OP_INT", base CompareOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    CompareOpStr = 168, "COMPARE_OP_STR", base CompareOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    ContainsOpDict = 169, "CONTAINS_OP_DICT", base ContainsOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    ContainsOpSet = 170, "CONTAINS_OP_SET", base ContainsOp, cache 1, arg true, jump None, pops n(2), pushes n(1), ends false;
    ForIterGen = 171, "FOR_ITER_GEN", base ForIter, cache 1, arg true, jump Forward, pops n(1), pushes n(2), ends false;
    ForIterList = 172, "FOR_ITER_LIST", base ForIter, cache 1, arg true, jump Forward, pops n(1), pushes n(2), ends false;
    ForIterRange = 173, "FOR_ITER_RANGE", base ForIter, cache 1, arg true, jump Forward, pops n(1), pushes n(2), ends false;
    ForIterTuple = 174, "FOR_ITER_TUPLE", base ForIter, cache 1, arg true, jump Forward, pops n(1), pushes n(2), ends false;
    JumpBackwardJit = 175, "JUMP_BACKWARD_JIT", base JumpBackward, cache 1, arg true, jump Backward, pops n(0), pushes n(0), ends true;
    JumpBackwardNoJit = 176, "JUMP_BACKWARD_NO_JIT", base JumpBackward, cache 1, arg true, jump Backward, pops n(0), pushes n(0), ends true;
    LoadAttrClass = 177, "LOAD_ATTR_CLASS", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrClassWithMetaclassCheck = 178, "LOAD_ATTR_CLASS_WITH_METACLASS_CHECK", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrGetattributeOverridden = 179, "LOAD_ATTR_GETATTRIBUTE_OVERRIDDEN", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrInstanceValue = 180, "LOAD_ATTR_INSTANCE_VALUE", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrMethodLazyDict = 181, "LOAD_ATTR_METHOD_LAZY_DICT", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrMethodNoDict = 182, "LOAD_ATTR_METHOD_NO_DICT", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrMethodWithValues = 183, "LOAD_ATTR_METHOD_WITH_VALUES", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrModule = 184, "LOAD_ATTR_MODULE", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrNondescriptorNoDict = 185, "LOAD_ATTR_NONDESCRIPTOR_NO_DICT", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrNondescriptorWithValues = 186, "LOAD_ATTR_NONDESCRIPTOR_WITH_VALUES", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrProperty = 187, "LOAD_ATTR_PROPERTY", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrSlot = 188, "LOAD_ATTR_SLOT", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadAttrWithHint = 189, "LOAD_ATTR_WITH_HINT", base LoadAttr, cache 9, arg true, jump None, pops n(1), pushes bit(1), ends false;
    LoadConstImmortal = 190, "LOAD_CONST_IMMORTAL", base LoadConst, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadConstMortal = 191, "LOAD_CONST_MORTAL", base LoadConst, cache 0, arg true, jump None, pops n(0), pushes n(1), ends false;
    LoadGlobalBuiltin = 192, "LOAD_GLOBAL_BUILTIN", base LoadGlobal, cache 4, arg true, jump None, pops n(0), pushes bit(1), ends false;
    LoadGlobalModule = 193, "LOAD_GLOBAL_MODULE", base LoadGlobal, cache 4, arg true, jump None, pops n(0), pushes bit(1), ends false;
    LoadSuperAttrAttr = 194, "LOAD_SUPER_ATTR_ATTR", base LoadSuperAttr, cache 1, arg true, jump None, pops n(3), pushes bit(1), ends false;
    LoadSuperAttrMethod = 195, "LOAD_SUPER_ATTR_METHOD", base LoadSuperAttr, cache 1, arg true, jump None, pops n(3), pushes bit(1), ends false;
    ResumeCheck = 196, "RESUME_CHECK", base Resume, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    SendGen = 197, "SEND_GEN", base Send, cache 1, arg true, jump Forward, pops n(2), pushes n(2), ends false;
    StoreAttrInstanceValue = 198, "STORE_ATTR_INSTANCE_VALUE", base StoreAttr, cache 4, arg true, jump None, pops n(2), pushes n(0), ends false;
    StoreAttrSlot = 199, "STORE_ATTR_SLOT", base StoreAttr, cache 4, arg true, jump None, pops n(2), pushes n(0), ends false;
    StoreAttrWithHint = 200, "STORE_ATTR_WITH_HINT", base StoreAttr, cache 4, arg true, jump None, pops n(2), pushes n(0), ends false;
    StoreSubscrDict = 201, "STORE_SUBSCR_DICT", base StoreSubscr, cache 1, arg false, jump None, pops n(3), pushes n(0), ends false;
    StoreSubscrListInt = 202, "STORE_SUBSCR_LIST_INT", base StoreSubscr, cache 1, arg false, jump None, pops n(3), pushes n(0), ends false;
    ToBoolAlwaysTrue = 203, "TO_BOOL_ALWAYS_TRUE", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    ToBoolBool = 204, "TO_BOOL_BOOL", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    ToBoolInt = 205, "TO_BOOL_INT", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    ToBoolList = 206, "TO_BOOL_LIST", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    ToBoolNone = 207, "TO_BOOL_NONE", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    ToBoolStr = 208, "TO_BOOL_STR", base ToBool, cache 3, arg false, jump None, pops n(1), pushes n(1), ends false;
    UnpackSequenceList = 209, "UNPACK_SEQUENCE_LIST", base UnpackSequence, cache 1, arg true, jump None, pops n(1), pushes lin(0, 1), ends false;
    UnpackSequenceTuple = 210, "UNPACK_SEQUENCE_TUPLE", base UnpackSequence, cache 1, arg true, jump None, pops n(1), pushes lin(0, 1), ends false;
    UnpackSequenceTwoTuple = 211, "UNPACK_SEQUENCE_TWO_TUPLE", base UnpackSequence, cache 1, arg true, jump None, pops n(1), pushes lin(0, 1), ends false;
    InstrumentedEndFor = 234, "INSTRUMENTED_END_FOR", base EndFor, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    InstrumentedPopIter = 235, "INSTRUMENTED_POP_ITER", base PopIter, cache 0, arg false, jump None, pops n(1), pushes n(0), ends false;
    InstrumentedEndSend = 236, "INSTRUMENTED_END_SEND", base EndSend, cache 0, arg false, jump None, pops n(2), pushes n(1), ends false;
    InstrumentedForIter = 237, "INSTRUMENTED_FOR_ITER", base ForIter, cache 1, arg true, jump Forward, pops n(1), pushes n(2), ends false;
    InstrumentedInstruction = 238, "INSTRUMENTED_INSTRUCTION", base InstrumentedInstruction, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    InstrumentedJumpForward = 239, "INSTRUMENTED_JUMP_FORWARD", base JumpForward, cache 0, arg true, jump Forward, pops n(0), pushes n(0), ends true;
    InstrumentedNotTaken = 240, "INSTRUMENTED_NOT_TAKEN", base NotTaken, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    InstrumentedPopJumpIfTrue = 241, "INSTRUMENTED_POP_JUMP_IF_TRUE", base PopJumpIfTrue, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    InstrumentedPopJumpIfFalse = 242, "INSTRUMENTED_POP_JUMP_IF_FALSE", base PopJumpIfFalse, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    InstrumentedPopJumpIfNone = 243, "INSTRUMENTED_POP_JUMP_IF_NONE", base PopJumpIfNone, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    InstrumentedPopJumpIfNotNone = 244, "INSTRUMENTED_POP_JUMP_IF_NOT_NONE", base PopJumpIfNotNone, cache 1, arg true, jump Forward, pops n(1), pushes n(0), ends false;
    InstrumentedResume = 245, "INSTRUMENTED_RESUME", base Resume, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    InstrumentedReturnValue = 246, "INSTRUMENTED_RETURN_VALUE", base ReturnValue, cache 0, arg false, jump None, pops n(1), pushes n(0), ends true;
    InstrumentedYieldValue = 247, "INSTRUMENTED_YIELD_VALUE", base YieldValue, cache 0, arg true, jump None, pops n(1), pushes n(1), ends false;
    InstrumentedEndAsyncFor = 248, "INSTRUMENTED_END_ASYNC_FOR", base EndAsyncFor, cache 0, arg true, jump None, pops n(2), pushes n(0), ends false;
    InstrumentedLoadSuperAttr = 249, "INSTRUMENTED_LOAD_SUPER_ATTR", base LoadSuperAttr, cache 1, arg true, jump None, pops n(3), pushes bit(1), ends false;
    InstrumentedCall = 250, "INSTRUMENTED_CALL", base Call, cache 3, arg true, jump None, pops lin(2, 1), pushes n(1), ends false;
    InstrumentedCallKw = 251, "INSTRUMENTED_CALL_KW", base CallKw, cache 3, arg true, jump None, pops lin(3, 1), pushes n(1), ends false;
    InstrumentedCallFunctionEx = 252, "INSTRUMENTED_CALL_FUNCTION_EX", base CallFunctionEx, cache 0, arg false, jump None, pops n(4), pushes n(1), ends false;
    InstrumentedJumpBackward = 253, "INSTRUMENTED_JUMP_BACKWARD", base JumpBackward, cache 1, arg true, jump Backward, pops n(0), pushes n(0), ends true;
    InstrumentedLine = 254, "INSTRUMENTED_LINE", base InstrumentedLine, cache 0, arg false, jump None, pops n(0), pushes n(0), ends false;
    EnterExecutor = 255, "ENTER_EXECUTOR", base EnterExecutor, cache 0, arg true, jump None, pops n(0), pushes n(0), ends false;
    // GENERATED by scripts/gen_opcodes.py: end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(op: Opcode, arg: u32) -> (u32, u32) {
        let effect = op.stack_effect(arg, Edge::Next);
        (effect.popped, effect.pushed)
    }

    #[test]
    fn numbers_and_names_round_trip() {
        let mut known = 0;
        for number in 0..=255u8 {
            let Some(op) = Opcode::from_u8(number) else { continue };
            known += 1;
            assert_eq!(op as u8, number);
            assert_eq!(Opcode::from_name(op.name()), Some(op));
        }
        assert_eq!(known, Opcode::ALL.len());
        assert!(known > 200);
        assert_eq!(Opcode::from_u8(121), None);
        assert_eq!(Opcode::from_name("LOAD_NOTHING"), None);
    }

    #[test]
    fn known_rows() {
        assert_eq!(Opcode::Resume as u8, 128);
        assert_eq!(Opcode::LoadAttr as u8, 80);
        assert_eq!(Opcode::CallPyExactArgs.base(), Opcode::Call);
        assert_eq!(Opcode::BinaryOpInplaceAddUnicode.base(), Opcode::BinaryOp);
        assert_eq!(Opcode::InstrumentedJumpBackward.base(), Opcode::JumpBackward);
        assert_eq!(Opcode::JumpBackwardNoJit.base(), Opcode::JumpBackward);
        assert_eq!(Opcode::InstrumentedLine.base(), Opcode::InstrumentedLine);
        assert_eq!(Opcode::LoadAttrSlot.caches(), 9);
        assert_eq!(Opcode::BinaryOpAddInt.caches(), 5);
        assert_eq!(Opcode::LoadGlobalModule.caches(), 4);
        assert_eq!(Opcode::Resume.caches(), 0);
        assert!(Opcode::ResumeCheck.has_arg());
        assert!(!Opcode::ToBoolInt.has_arg());
        assert_eq!(Opcode::ForIterRange.jump(), JumpKind::Forward);
        assert_eq!(Opcode::JumpBackwardNoInterrupt.jump(), JumpKind::Backward);
        assert_eq!(Opcode::EndAsyncFor.jump(), JumpKind::None);
        assert!(Opcode::Reraise.is_terminator() && !Opcode::Reraise.is_unconditional_jump());
        assert!(Opcode::JumpForward.is_unconditional_jump());
        assert!(!Opcode::YieldValue.is_terminator() && !Opcode::PopJumpIfTrue.is_terminator());
        assert!(Opcode::InstrumentedCall.is_instrumented() && !Opcode::EnterExecutor.is_instrumented());
        assert!(Opcode::ForIterGen.is_specialized() && !Opcode::InstrumentedForIter.is_specialized());
    }

    #[test]
    fn known_stack_effects() {
        assert_eq!(effect(Opcode::Call, 3), (5, 1));
        assert_eq!(effect(Opcode::CallPyExactArgs, 3), (5, 1));
        assert_eq!(effect(Opcode::BuildMap, 4), (8, 1));
        assert_eq!(effect(Opcode::LoadAttr, 6), (1, 1));
        assert_eq!(effect(Opcode::LoadAttrMethodWithValues, 7), (1, 2));
        assert_eq!(effect(Opcode::UnpackEx, 0x0201), (1, 4));
        assert_eq!(effect(Opcode::Copy, 3), (3, 4));
        assert_eq!(effect(Opcode::Swap, 3), (3, 3));
        assert_eq!(effect(Opcode::Reraise, 1), (2, 1));
        assert_eq!(effect(Opcode::ReturnValue, 0), (1, 0));
        assert_eq!(effect(Opcode::SendGen, 4), (2, 2));
        assert_eq!(Opcode::ForIterList.stack_effect(9, Edge::Jump), StackEffect { popped: 1, pushed: 1 });
        assert_eq!(Opcode::ForIterList.stack_effect(9, Edge::Next), StackEffect { popped: 1, pushed: 2 });
        assert_eq!(Opcode::Send.stack_effect(9, Edge::Jump), StackEffect { popped: 2, pushed: 2 });
    }

    #[test]
    fn every_row_agrees_with_its_base_and_takes_any_argument() {
        for &op in Opcode::ALL {
            let base = op.base();
            assert_eq!(base.base(), base, "{op}");
            assert_eq!(op.caches(), base.caches(), "{op}");
            assert_eq!(op.jump(), base.jump(), "{op}");
            for arg in [0, 1, 255, u32::MAX] {
                assert_eq!(op.stack_effect(arg, Edge::Next), base.stack_effect(arg, Edge::Next), "{op}");
            }
        }
    }
}
