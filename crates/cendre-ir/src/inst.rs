//! The instructions: one table row each. Printer, parser, verifier, effects and the visitors derive from the rows.
//!
//! Terms. A *state* ([`crate::FrameState`]) says how the interpreter would go on from here. An instruction *leaves* (deopt) when a
//! guard fails: the frame is filled from the state and the interpreter re-executes the state's instruction, so a state of a leaving instruction
//! describes the moment *before* its bytecode. An instruction *raises* when what it called set an exception: its state has its
//! inputs already popped and names the handler. *Observable* instructions may run unknown Python code.
//!
//! Ownership. A value is a borrowed or an owned reference; the front end decides and the table does not see it, except
//! that `own` bits of an instruction say which arguments it consumes (drops after use, on success and on failure alike, last argument first,
//! before a failure is looked at), and that `Own` results are new references.

/// The kind of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// A Python object, not null.
    Object,
    /// An object or null.
    Nullable,
    Int,
    Float,
    Bool,
    Ptr,
    /// Any kind.
    Any,
    /// Any number of further arguments of any kind (last in a row only).
    Rest,
}

/// What immediate an instruction carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImmKind {
    None,
    /// `i64`
    Int,
    /// bits of an `f64`
    Float,
    /// `0` or `1`
    Bool,
    /// `#id`
    Obj,
    /// index into `localsplus`
    Slot,
    /// comparison condition
    Cond,
    /// `@name` of a runtime helper
    Helper,
    /// `@name` and `i64`
    HelperInt,
    /// `#id` and `i64`
    ObjInt,
    /// two `i64`
    IntInt,
    /// slot and `i64`
    SlotInt,
}

/// What an instruction yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Res {
    None,
    /// New (owned) or borrowed object: the row's documentation says which.
    Object,
    Nullable,
    Int,
    Float,
    Bool,
    Ptr,
    /// (`Ptr` tag, `Nullable` value)
    Pair,
    /// A number, and the object that it is (owned) or null.
    IntOf,
    FloatOf,
    /// As many `Nullable` as the instruction was made with.
    Many,
}

/// Conditions of `icmp` and `fcmp`. `Ne` of floats is true for nan, all others are false.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cond {
    Lt,
    Le,
    Eq,
    Ne,
    Gt,
    Ge,
}

impl Cond {
    pub const ALL: [(Cond, &'static str); 6] =
        [(Cond::Lt, "lt"), (Cond::Le, "le"), (Cond::Eq, "eq"), (Cond::Ne, "ne"), (Cond::Gt, "gt"), (Cond::Ge, "ge")];

    pub fn name(self) -> &'static str {
        Cond::ALL.iter().find(|c| c.0 == self).map_or("?", |c| c.1)
    }
}

/// What call instruction the operands are those of.
pub mod form {
    /// CALL: callable, self or null, arguments.
    pub const POSITIONAL: i64 = 0;
    /// CALL_KW: the same, and a tuple of the names of the last ones.
    pub const KEYWORDS: i64 = 1;
    /// CALL_FUNCTION_EX: callable, null, positional arguments, dict of keywords or null.
    pub const UNPACKED: i64 = 2;
    /// GET_ANEXT: the iterator, which stays.
    pub const ANEXT: i64 = 3;
}

/// Effect flags of a row.
pub mod effect {
    /// Result depends on the arguments alone; may be removed, moved, merged.
    pub const PURE: u16 = 1;
    /// Reads memory that others may change.
    pub const READS: u16 = 2;
    /// Writes the frame or the heap.
    pub const WRITES: u16 = 4;
    /// May leave (needs a state: the moment before the bytecode, or for checks after a call the moment after it).
    pub const LEAVES: u16 = 8;
    /// May raise (needs a state).
    pub const RAISES: u16 = 16;
    /// May run unknown Python code: the frame must be current.
    pub const OBSERVABLE: u16 = 32;
    /// Ends a block.
    pub const ENDS: u16 = 64;
}
use effect::*;

macro_rules! ops {
    ($( $(#[doc = $doc:expr])+ $name:ident $text:literal ($($arg:ident),*) $imm:ident -> $res:ident, $effects:expr; )*) => {
        /// The instructions. See the table at the end of this file for what each does.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Op { $( $(#[doc = $doc])+ $name, )* }

        /// One row of the table.
        pub struct Row {
            pub op: Op,
            /// Printed form.
            pub text: &'static str,
            pub args: &'static [Arg],
            pub imm: ImmKind,
            pub res: Res,
            pub effects: u16,
            pub doc: &'static str,
        }

        /// All rows, in the order of [`Op`].
        pub static TABLE: &[Row] = &[ $( Row {
            op: Op::$name, text: $text, args: &[$(Arg::$arg),*], imm: ImmKind::$imm, res: Res::$res, effects: $effects,
            doc: concat!($($doc, "\n"),+),
        }, )* ];
    };
}

impl Op {
    /// The row of this instruction.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
    pub fn is(self, effects: u16) -> bool {
        self.row().effects & effects != 0
    }
    /// The instruction with this printed name.
    pub fn from_text(text: &str) -> Option<Op> {
        TABLE.iter().find(|r| r.text == text).map(|r| r.op)
    }
}

ops! {
    // ---- constants
    /// An unboxed integer.
    ConstInt "const.int" () Int -> Int, PURE;
    /// An unboxed double.
    ConstFloat "const.float" () Float -> Float, PURE;
    /// An unboxed truth value.
    ConstBool "const.bool" () Bool -> Bool, PURE;
    /// An object that lives as long as the code does (constant of the code object, immortal, or pinned): borrowed.
    ConstObj "const.obj" () Obj -> Object, PURE;
    /// A raw word.
    ConstPtr "const.ptr" () Int -> Ptr, PURE;
    /// The null pointer.
    Null "null" () None -> Nullable, PURE;

    // ---- the frame's slots
    /// The object in a slot of `localsplus`, borrowed from it; null if unbound.
    LoadLocal "load_local" () Slot -> Nullable, READS;
    /// Puts an owned reference into a slot; the old one is dropped (state: after the store).
    StoreLocal "store_local" (Object) Slot -> None, WRITES | OBSERVABLE | LEAVES;
    /// Takes the reference out of a slot, which becomes unbound: owned, or null.
    TakeLocal "take_local" () Slot -> Nullable, READS | WRITES;
    /// Puts an owned reference or null into a slot that is known to be unbound.
    PutLocal "put_local" (Nullable) Slot -> None, WRITES;
    /// Makes a slot current: boxes the integer into it (reusing the box that is there, if nobody else can see it). A second argument, if there is
    /// one, is a truth value: where it is true the slot is current already, and nothing is done.
    SyncInt "sync.int" (Int, Rest) Slot -> None, WRITES | RAISES;
    /// The same for a double.
    SyncFloat "sync.float" (Float, Rest) Slot -> None, WRITES | RAISES;
    /// The same for a truth value.
    SyncBool "sync.bool" (Bool, Rest) Slot -> None, WRITES | RAISES;
    /// Behind an observable point: the argument, or if somebody took the frame the slot's present value (leaves if it is no such int).
    ReloadInt "reload.int" (Int) Slot -> Int, READS | LEAVES;
    /// The same for a double.
    ReloadFloat "reload.float" (Float) Slot -> Float, READS | LEAVES;
    /// The same for a truth value.
    ReloadBool "reload.bool" (Bool) Slot -> Bool, READS | LEAVES;
    /// An entry of the eval stack in memory (index from the stack base) as an owned reference or null: at entries and handlers only.
    LoadStack "load_stack" () Int -> Nullable, READS | WRITES;
    /// The same for a raw word (the `lasti` marker).
    LoadWord "load_word" () Int -> Ptr, READS;
    /// States that the eval stack in memory is empty again: `stackpointer` = stack base.
    ResetStack "reset_stack" () None -> None, WRITES;

    // ---- references
    /// Makes a new reference to the argument (which then counts as owned once more).
    Own "own" (Object) None -> None, WRITES;
    /// The same, if it is not null.
    OwnNullable "own.nullable" (Nullable) None -> None, WRITES;
    /// Drops owned references, in order (state: after all of them). Null is skipped.
    Drop "drop" (Rest) None -> None, WRITES | OBSERVABLE | LEAVES;

    // ---- guards
    /// Leaves unless `type(arg)` is the class. Result: the argument, refined; borrowed or owned as the argument.
    GuardType "guard.type" (Object) Obj -> Object, READS | LEAVES;
    /// Leaves unless the type's version tag is the immediate.
    GuardVersion "guard.version" (Object) Int -> None, READS | LEAVES;
    /// Leaves unless the argument, a class, has this version tag itself.
    GuardClassVersion "guard.class_version" (Object) Int -> None, READS | LEAVES;
    /// Leaves unless the argument is this object.
    GuardIs "guard.is" (Nullable) Obj -> None, LEAVES;
    /// Leaves unless the argument is a Python function with this code object.
    GuardCode "guard.code" (Object) Obj -> None, READS | LEAVES;
    /// Default of a positional parameter of a Python function (index, number of defaults it must have): borrowed; leaves if it has another number.
    FuncDefault "func.default" (Object) IntInt -> Object, READS | LEAVES;
    /// Default of the keyword-only parameter of this name: borrowed, or null.
    FuncKwDefault "func.kwdefault" (Object) Obj -> Nullable, READS;
    /// Leaves if null.
    GuardNotNull "guard.not_null" (Nullable) None -> Object, LEAVES;
    /// Leaves unless true.
    GuardTrue "guard.true" (Bool) None -> None, LEAVES;
    /// Raises UnboundLocalError / NameError for the slot if null.
    CheckBound "check_bound" (Nullable) Slot -> Object, RAISES | OBSERVABLE;
    /// The value of an exact `int` that fits 64 bits; leaves otherwise.
    UnboxInt "unbox.int" (Object) None -> Int, READS | LEAVES;
    /// The value of an exact `float`; leaves otherwise.
    UnboxFloat "unbox.float" (Object) None -> Float, READS | LEAVES;
    /// The value of an exact `float`, or of an exact `int` of one digit as a double; leaves otherwise.
    UnboxNumber "unbox.number" (Object) None -> Float, READS | LEAVES;
    /// The value of `True` or `False`; leaves otherwise.
    UnboxBool "unbox.bool" (Object) None -> Bool, LEAVES;
    /// The same, of an argument that is known to be of that class (int of 64 bits).
    TrustInt "trust.int" (Object) None -> Int, READS;
    /// The same, of an argument that is known to be an exact float.
    TrustFloat "trust.float" (Object) None -> Float, READS;

    // ---- boxes (owned)
    /// A new reference to an `int`.
    BoxInt "box.int" (Int) None -> Object, RAISES;
    /// A new `float`.
    BoxFloat "box.float" (Float) None -> Object, RAISES;
    /// `True` or `False` (immortal).
    BoxBool "box.bool" (Bool) None -> Object, PURE;

    // ---- integers; all leave where the result does not fit
    /// Addition; leaves on overflow.
    IAddLeave "iadd" (Int, Int) None -> Int, LEAVES;
    /// Leaves on overflow.
    ISubLeave "isub" (Int, Int) None -> Int, LEAVES;
    /// Leaves on overflow.
    IMulLeave "imul" (Int, Int) None -> Int, LEAVES;
    /// Python's `//`; leaves for a zero divisor and on overflow.
    IFloorDiv "ifloordiv" (Int, Int) None -> Int, LEAVES;
    /// Python's `%`; leaves for a zero divisor.
    IMod "imod" (Int, Int) None -> Int, LEAVES;
    /// Bitwise and.
    IAnd "iand" (Int, Int) None -> Int, PURE;
    /// Bitwise or.
    IOr "ior" (Int, Int) None -> Int, PURE;
    /// Bitwise exclusive or.
    IXor "ixor" (Int, Int) None -> Int, PURE;
    /// Python's `<<`; leaves for a negative count or where bits are lost.
    IShl "ishl" (Int, Int) None -> Int, LEAVES;
    /// Python's `>>`; leaves for a negative count.
    IShr "ishr" (Int, Int) None -> Int, LEAVES;
    /// Negation; leaves for the least integer.
    INeg "ineg" (Int) None -> Int, LEAVES;
    /// Bitwise not.
    INot "inot" (Int) None -> Int, PURE;
    /// Comparison.
    ICmp "icmp" (Int, Int) Cond -> Bool, PURE;
    /// Integer to double, as `float(i)` for |i| < 2**53; leaves beyond (rounding is CPython's to do).
    IToF "itof" (Int) None -> Float, LEAVES;

    // ---- doubles
    /// Addition.
    FAdd "fadd" (Float, Float) None -> Float, PURE;
    /// Subtraction.
    FSub "fsub" (Float, Float) None -> Float, PURE;
    /// Multiplication.
    FMul "fmul" (Float, Float) None -> Float, PURE;
    /// Division; leaves for a zero divisor.
    FDiv "fdiv" (Float, Float) None -> Float, LEAVES;
    /// Power; leaves where `**` would raise or answer no `float`, and for zeros, infinities and numbers that are not normal.
    FPow "fpow" (Float, Float) None -> Float, LEAVES;
    /// Negation.
    FNeg "fneg" (Float) None -> Float, PURE;
    /// Comparison.
    FCmp "fcmp" (Float, Float) Cond -> Bool, PURE;

    // ---- truth values
    /// Not.
    BNot "bnot" (Bool) None -> Bool, PURE;
    /// Are both the same object (or both null)?
    Is "is" (Nullable, Nullable) None -> Bool, PURE;
    /// Is it null?
    IsNull "is_null" (Nullable) None -> Bool, PURE;
    /// Is the raw word this number?
    PtrIs "ptr_is" (Ptr) Int -> Bool, PURE;

    // ---- the heap, where nothing unknown can run
    /// Leaves unless the object's inline values are valid. Immediate: its class's basic size where known, else 0.
    GuardInline "guard.inline" (Object) Int -> None, READS | LEAVES;
    /// Attribute in the object's inline values at a byte offset, behind a `guard.inline`: borrowed; leaves if it is unset.
    AttrInline "attr.inline" (Object) Int -> Object, READS | LEAVES;
    /// Attribute in a slot at a byte offset: borrowed; leaves if unset.
    AttrSlot "attr.slot" (Object) Int -> Object, READS | LEAVES;
    /// What lies at a byte offset of an object whose shape earlier guards have checked: an attribute, borrowed, or null.
    AttrPeek "attr.peek" (Object) Int -> Nullable, READS;
    /// Leaves unless the keys of the object's class (`ht_cached_keys`) still shadow nothing: the version of the shared keys is the immediate (behind a `guard.inline`).
    GuardKeys "guard.keys" (Object) Int -> None, READS | LEAVES;
    /// Leaves unless the object has no instance dict materialised (byte offset of the dict pointer).
    GuardNoDict "guard.no_dict" (Object) Int -> None, READS | LEAVES;
    /// Stores an owned reference into the inline values (byte offset), behind a `guard.inline` and a `guard.no_dict`: the old one is result (owned, or null).
    SetInline "set.inline" (Object, Object) Int -> Nullable, WRITES;
    /// Stores an owned reference into a slot at a byte offset; result: the old one (owned, or null).
    SetSlot "set.slot" (Object, Object) Int -> Nullable, WRITES;
    /// Value of a global at an entry index while the dict's keys version is the immediate (version, index): borrowed; leaves else, or if unset.
    GlobalModule "global.module" () IntInt -> Object, READS | LEAVES;
    /// Leaves unless the module's keys version is the immediate.
    GuardGlobals "guard.globals" () Int -> None, READS | LEAVES;
    /// The same as `global.module`, of the builtins.
    GlobalBuiltin "global.builtin" () IntInt -> Object, READS | LEAVES;
    /// Leaves unless the frame's globals are the dict at this address (compared only: the code does not keep it alive).
    GuardGlobalsAre "guard.globals_are" () Int -> None, READS | LEAVES;
    /// Value of a global through its cell (address): borrowed; leaves if absent or unknown.
    GlobalCell "global.cell" () Int -> Object, READS | LEAVES;
    /// Leaves unless the cell says that the name is absent.
    GuardCellEmpty "guard.cell_empty" () Int -> None, READS | LEAVES;
    /// Attribute of a module object (keys version, index): borrowed; leaves else.
    AttrModule "attr.module" (Object) IntInt -> Object, READS | LEAVES;
    /// Number of items of an exact list, tuple, str... (`ob_size`).
    Size "size" (Object) None -> Int, READS;
    /// Number of items of an exact dict.
    DictLen "dict.len" (Object) None -> Int, READS;
    /// Number of code points of an exact str.
    StrLen "str.len" (Object) None -> Int, READS;
    /// Item of an exact list: borrowed; negative indices count from the end; leaves when out of range.
    ListGet "list.get" (Object, Int) None -> Object, READS | LEAVES;
    /// Item of an exact tuple: borrowed; leaves when out of range.
    TupleGet "tuple.get" (Object, Int) None -> Object, READS | LEAVES;
    /// Stores an owned reference into an exact list; result: the old one, owned. Leaves when out of range.
    ListSet "list.set" (Object, Int, Object) None -> Object, WRITES | LEAVES;
    /// Writes the number into a float that nobody but its container refers to; false: it is something else, nothing was done.
    FloatOverwrite "float.overwrite" (Nullable, Float) None -> Bool, READS | WRITES;
    /// The same into an int of one digit, of a number that has one and is none of the cached small ones.
    IntOverwrite "int.overwrite" (Nullable, Int) None -> Bool, READS | WRITES;
    /// Leaves unless the argument is null, immortal, an exact int or an exact float: dropping it runs nothing.
    GuardPlain "guard.plain" (Nullable) None -> None, READS | LEAVES;
    /// Item of a tuple whose size was checked (byte-free index): borrowed.
    TupleItem "tuple.item" (Object) Int -> Object, READS;
    /// Contents of a cell object: borrowed, or null.
    CellGet "cell.get" (Object) None -> Nullable, READS;
    /// Stores an owned reference or null into a cell; result: the old one.
    CellSet "cell.set" (Object, Nullable) None -> Nullable, WRITES;

    // ---- exceptions
    /// The argument (one reference is taken over) becomes the exception being handled. Result: the one before, or None; owned.
    ExcPush "exc.push" (Object) None -> Object, WRITES;
    /// The argument (taken over; None: nothing) is the exception being handled again. Result: the one that was (owned, or null).
    ExcPop "exc.pop" (Object) None -> Nullable, WRITES;
    /// Does an exception match a class, a tuple of classes, or one of several of these? Raises TypeError where any is none.
    ExcMatches "exc.matches" (Object, Object, Rest) None -> Bool, READS | RAISES;
    /// Makes the traceback entry that the way to a handler has put off, if it has.
    ExcTrace "exc.trace" () None -> None, WRITES;
    /// The same, unless the argument is about to die, so that nobody will see its traceback.
    ExcForget "exc.forget" (Nullable) None -> None, WRITES;

    // ---- iterators of exactly known type
    /// Are there items left in a range iterator?
    RangeMore "range.more" (Object) None -> Bool, READS;
    /// The next integer of a range iterator that has more.
    RangeNext "range.next" (Object) None -> Int, WRITES;
    /// The next item of a list iterator: borrowed; null when exhausted (`iter.done` finishes it then).
    ListNext "list.next" (Object) None -> Nullable, WRITES;
    /// The next item of a tuple iterator: borrowed; null when exhausted.
    TupleNext "tuple.next" (Object) None -> Nullable, WRITES;
    /// An exhausted list (1) or tuple (0) iterator drops its sequence, as FOR_ITER does (state: after it).
    IterDone "iter.done" (Object) Int -> None, WRITES | OBSERVABLE | LEAVES;

    // ---- calls
    /// Calls a helper that answers a new reference, or null for "raised". `own` arguments are dropped.
    CallObj "call.obj" (Rest) Helper -> Object, WRITES | OBSERVABLE | RAISES;
    /// Calls a helper that answers 0, or -1 for "raised".
    CallStatus "call.status" (Rest) Helper -> None, WRITES | OBSERVABLE | RAISES;
    /// Calls a helper that answers 0 or 1, or -1 for "raised".
    CallBool "call.bool" (Rest) Helper -> Bool, WRITES | OBSERVABLE | RAISES;
    /// Calls a helper that answers an integer >= 0, or -1 for "raised".
    CallInt "call.int" (Rest) Helper -> Int, WRITES | OBSERVABLE | RAISES;
    /// Calls a helper that answers (tag, value); tag 2 = raised. Value owned.
    CallPair "call.pair" (Rest) Helper -> Pair, WRITES | OBSERVABLE | RAISES;
    /// Calls a helper that runs nothing unknown and cannot raise anything but MemoryError.
    CallQuiet "call.quiet" (Rest) Helper -> Object, WRITES | RAISES;
    /// A *stack op* of the runtime (see docs/internals/contracts.md) with its oparg; arguments are its inputs, results its outputs (owned, or null).
    StackOp "stack_op" (Rest) HelperInt -> Many, WRITES | OBSERVABLE | RAISES;
    /// The same, of an op that runs nothing unknown (builds a container, moves references).
    QuietOp "quiet_op" (Rest) HelperInt -> Many, WRITES | RAISES;
    /// Ordinary call: callable, self or null, arguments. Result owned. Immediate: 0.
    Call "call" (Object, Nullable, Rest) Int -> Object, WRITES | OBSERVABLE | RAISES;
    /// Direct call of a Python function whose code object is expected to be the immediate (checked): callable, self or null, arguments. Result owned.
    CallPy "call.py" (Object, Nullable, Rest) Obj -> Object, WRITES | OBSERVABLE | RAISES;
    /// The same for the `__init__` of a class that is called: it counts two levels of recursion, as the interpreter's own way does.
    CallInit "call.init" (Object, Nullable, Rest) Obj -> Object, WRITES | OBSERVABLE | RAISES;
    /// Direct call of the Python function that a `guard.code` has found, with what goes into each of its parameters: positional ones, keyword-only
    /// ones, the tuple of `*args`, the dict of `**kwargs`. Callable, null, arguments. Result owned.
    CallBound "call.bound" (Object, Nullable, Rest) Obj -> Object, WRITES | OBSERVABLE | RAISES;
    /// As `call.py`, of a caller that takes numbers unboxed. (tag, word): tag 0 = an owned object, 4 = an int, 5 = the bits of a double; only for `ret.*`.
    CallPyRaw "call.py.raw" (Object, Nullable, Rest) Obj -> Pair, WRITES | OBSERVABLE | RAISES;
    /// The int that `call.py.raw` or `await.raw` answered, and the object if it is one (owned; else null); leaves if that is no int (state: behind the call,
    /// the object on top).
    RetInt "ret.int" (Ptr, Nullable) None -> IntOf, WRITES | LEAVES;
    /// The same for a double.
    RetFloat "ret.float" (Ptr, Nullable) None -> FloatOf, WRITES | LEAVES;
    /// Awaited call: callable, self or null, arguments. (tag, value): 0 = finished with the value; 1 = suspended: value is the receiver, what it yielded
    /// is for `yielded`; 3 = declined and called: value is the awaitable. Immediate: await site number.
    AwaitCall "await.call" (Object, Nullable, Rest) Int -> Pair, WRITES | OBSERVABLE | RAISES;
    /// The same of a caller that takes numbers unboxed. Tag 0 = finished: tag and value are for `ret.*` then.
    AwaitRaw "await.raw" (Object, Nullable, Rest) Int -> Pair, WRITES | OBSERVABLE | RAISES;
    /// `await.call` whose value the function returns at once: where its own caller takes numbers, it may end in here with the number.
    AwaitTail "await.tail" (Object, Nullable, Rest) Int -> Pair, WRITES | OBSERVABLE | RAISES;
    /// `await.call` with keywords or unpacked arguments: the operands of the call instruction. Immediates: await site number, form of the call ([`form`]).
    AwaitWords "await.words" (Rest) IntInt -> Pair, WRITES | OBSERVABLE | RAISES;
    /// Does the caller await what this function returns?
    IsAwaited "is_awaited" () None -> Bool, READS;
    /// The call of `return f(...)` in a function whose caller awaits the result: operands of the call instruction. Result owned; but where the callee is a coroutine
    /// function the function ends in here, with a coroutine that has not begun. Immediates: unit of the RETURN_VALUE, form of the call ([`form`]).
    PassCall "pass.call" (Rest) IntInt -> Object, WRITES | OBSERVABLE | RAISES;
    /// Sends a value to a receiver. (tag, value): 0 = finished (StopIteration's value), 1 = yielded the value.
    Send "send" (Object, Object) Int -> Pair, WRITES | OBSERVABLE | RAISES;
    /// What a suspended awaited call yielded (argument: its tag): owned.
    Yielded "yielded" (Ptr) None -> Object, READS;
    /// Resumes a generator of a compiled loop. (tag, value): 0 = the item, 1 = exhausted.
    GenNext "gen.next" (Object) None -> Pair, WRITES | OBSERVABLE | RAISES;

    // ---- checks
    /// Behind an observable instruction: leaves when instrumentation was switched on meanwhile (state: after the bytecode).
    Checkpoint "checkpoint" () None -> None, READS | LEAVES;
    /// Leaves when a drop since the last `looked` ran a finaliser that has written numbers in the frame, or may have (state: after the
    /// bytecode; stale are only locals that were not at that drop).
    Looked "looked" () None -> None, READS | LEAVES;
    /// Eval breaker of a loop or entry: handles pending events (observable, may raise), then as `checkpoint`.
    Poll "poll" () None -> None, WRITES | OBSERVABLE | RAISES | LEAVES;

    // ---- ends of blocks
    /// To a block, with its arguments.
    Jump "jump" () None -> None, ENDS;
    /// Two targets: true, false.
    Branch "branch" (Bool) None -> None, ENDS;
    /// Returns an owned reference, or a number: boxed unless the caller takes numbers (state: the RETURN_VALUE, empty stack).
    Return "return" (Any) None -> None, ENDS;
    /// Returns the object of a local's number, which somebody may have seen (to a caller that takes numbers, one of the cached small ints as it is). State as of
    /// `return`; where it names the slot as stale, that is made current first.
    ReturnLocal "return.local" (Any) Slot -> None, ENDS;
    /// Suspends with an owned value. State: the RESUME behind the YIELD_VALUE, stack without the value.
    Yield "yield" (Object) None -> None, ENDS;
    /// Leaves for good (code that is not compiled: state says where).
    Leave "leave" () None -> None, ENDS | LEAVES;
    /// An exception is set: to the handler of the state, or out of the frame.
    Raise "raise" () None -> None, ENDS | RAISES;
}
