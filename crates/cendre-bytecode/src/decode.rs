//! Adaptive code bytes of CPython 3.14 -> instructions with folded arguments, jump targets and inline caches.
//!
//! Invariant: `decode` never panics, and a decoded sequence is well formed: instructions lie back to back from unit 0
//! to the end, each jump target is the `start` of an instruction, the last instruction is a terminator, and no opcode is
//! an ENTER_EXECUTOR, EXTENDED_ARG, CACHE or instrumented one. Offsets are in code units (two bytes) throughout.
//! Read `opcode.rs` for the table this follows, `exception_table.rs` for the edges that are not in the code itself.

use crate::opcode::{Edge, JumpKind, Opcode, StackEffect};

/// The most inline cache entries that any instruction has (LOAD_ATTR).
pub const MAX_CACHES: usize = 9;

/// The inline cache entries behind an instruction: raw code units, in memory order.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Caches {
    units: [u16; MAX_CACHES],
    len: u8,
}

impl std::ops::Deref for Caches {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        &self.units[..self.len as usize]
    }
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One instruction, its EXTENDED_ARG prefixes and inline caches included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instr {
    /// Code unit of the opcode itself: what `instr_ptr` shows, and what exception and line tables are asked for.
    pub offset: u32,
    /// Code unit of the first EXTENDED_ARG, else `offset`: where a jump to this instruction lands.
    pub start: u32,
    /// The opcode as it stands in the adaptive code.
    pub op: Opcode,
    /// Its unspecialised opcode.
    pub base: Opcode,
    /// The argument with EXTENDED_ARG folded in; 0 where the opcode takes none.
    pub arg: u32,
    /// The inline caches; read them with the `*_cache` methods.
    pub cache: Caches,
    /// Code unit behind the instruction and its caches: the `start` of the next one.
    pub next: u32,
    /// Where a taken jump continues, always the `start` of an instruction.
    ///
    /// For FOR_ITER this is the instruction *behind* the END_FOR that the argument names, with the iterator still on the
    /// stack, because that is where the interpreter goes when the iterator is exhausted. (Only a generator's frame that
    /// FOR_ITER_GEN pushed returns to the END_FOR, see `inline_return_offset`.)
    pub jump_target: Option<u32>,
}

/// Why code bytes cannot be decoded; `at` is the code unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are explained here and by each variant")]
pub enum DecodeError {
    /// The bytes are no whole number of code units, or more than 32 bits can count.
    BadLength,
    /// There is no instruction.
    Empty,
    /// No opcode of CPython 3.14 has this number, or it never stands in code (RESERVED).
    UnknownOpcode { at: u32, number: u8 },
    /// A CACHE where an instruction should be.
    CacheAsInstruction { at: u32 },
    /// An instrumented instruction: somebody traces or monitors this code.
    Instrumented { at: u32, number: u8 },
    /// The resolver does not know the executor with this index.
    UnresolvedExecutor { at: u32, index: u8 },
    /// The code ends behind an EXTENDED_ARG.
    DanglingExtendedArg { at: u32 },
    /// More EXTENDED_ARG prefixes than fit into 32 bits.
    TooManyExtendedArgs { at: u32 },
    /// The code ends inside the instruction's inline caches.
    TruncatedCache { at: u32 },
    /// The jump leaves the code.
    JumpOutOfRange { at: u32, target: i64 },
    /// The jump lands inside an instruction: behind an EXTENDED_ARG, or in a cache.
    JumpIntoInstruction { at: u32, target: u32 },
    /// A FOR_ITER whose argument does not name an END_FOR.
    ForIterWithoutEndFor { at: u32, target: u32 },
    /// Control runs off the end behind this instruction.
    FallsOffEnd { at: u32 },
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            DecodeError::BadLength => write!(f, "code bytes of a bad length"),
            DecodeError::Empty => write!(f, "code without an instruction"),
            DecodeError::UnknownOpcode { at, number } => write!(f, "unknown opcode {number} at unit {at}"),
            DecodeError::CacheAsInstruction { at } => write!(f, "cache entry in the place of an instruction at unit {at}"),
            DecodeError::Instrumented { at, number } => write!(f, "instrumented opcode {number} at unit {at}"),
            DecodeError::UnresolvedExecutor { at, index } => write!(f, "unknown executor {index} at unit {at}"),
            DecodeError::DanglingExtendedArg { at } => write!(f, "EXTENDED_ARG at the end, unit {at}"),
            DecodeError::TooManyExtendedArgs { at } => write!(f, "too many EXTENDED_ARGs at unit {at}"),
            DecodeError::TruncatedCache { at } => write!(f, "code ends in the caches of unit {at}"),
            DecodeError::JumpOutOfRange { at, target } => write!(f, "jump at unit {at} leaves the code: {target}"),
            DecodeError::JumpIntoInstruction { at, target } => {
                write!(f, "jump at unit {at} lands inside an instruction: {target}")
            }
            DecodeError::ForIterWithoutEndFor { at, target } => {
                write!(f, "FOR_ITER at unit {at} has no END_FOR at {target}")
            }
            DecodeError::FallsOffEnd { at } => write!(f, "control runs off the end behind unit {at}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The resolver for code in which nobody has put an executor: every ENTER_EXECUTOR is an error.
pub fn no_executors(_index: u32) -> Option<(u8, u8)> {
    None
}

/// Decodes the bytes of adaptive code (`_PyCode_CODE`, `co._co_code_adaptive`) or of plain `co_code`.
///
/// `executor` tells for an ENTER_EXECUTOR's index (its raw argument byte) which opcode and argument byte the executor
/// replaced; it may stand anywhere, in the place of an EXTENDED_ARG too.
pub fn decode(code: &[u8], executor: &dyn Fn(u32) -> Option<(u8, u8)>) -> Result<Vec<Instr>, DecodeError> {
    // Targets are computed in i64, so that u32 offsets with u32 arguments cannot overflow.
    let Ok(units) = u32::try_from(code.len() / 2) else { return Err(DecodeError::BadLength) };
    if !code.len().is_multiple_of(2) {
        return Err(DecodeError::BadLength);
    }
    let mut reader = Reader { code, units, executor };
    let mut instrs = Vec::with_capacity(code.len() / 4);
    let mut at = 0;
    while at < units {
        let instr = reader.instr(at)?;
        at = instr.next;
        instrs.push(instr);
    }
    let Some(last) = instrs.last() else { return Err(DecodeError::Empty) };
    if !last.op.is_terminator() {
        return Err(DecodeError::FallsOffEnd { at: last.offset });
    }
    resolve_jumps(&mut instrs, units)?;
    Ok(instrs)
}

/// The index of the instruction that a jump to this code unit reaches: the one that starts there.
pub fn index_of_start(instrs: &[Instr], unit: u32) -> Option<usize> {
    instrs.binary_search_by_key(&unit, |instr| instr.start).ok()
}

/// The index of the instruction that covers this code unit: its prefixes, itself or its caches.
pub fn index_containing(instrs: &[Instr], unit: u32) -> Option<usize> {
    let index = instrs.partition_point(|instr| instr.next <= unit);
    instrs.get(index).filter(|instr| instr.start <= unit).map(|_| index)
}

struct Reader<'a> {
    code: &'a [u8],
    units: u32,
    executor: &'a dyn Fn(u32) -> Option<(u8, u8)>,
}

impl Reader<'_> {
    /// Opcode and argument byte of a unit, with executors looked through. None: behind the end.
    fn unit(&self, at: u32) -> Result<Option<(Opcode, u8)>, DecodeError> {
        let index = at as usize * 2;
        let Some(&[mut number, mut arg]) = self.code.get(index..index + 2) else { return Ok(None) };
        if number == Opcode::EnterExecutor as u8 {
            let index = arg;
            (number, arg) = (self.executor)(u32::from(index))
                .filter(|replaced| replaced.0 != Opcode::EnterExecutor as u8)
                .ok_or(DecodeError::UnresolvedExecutor { at, index })?;
        }
        match Opcode::from_u8(number) {
            None | Some(Opcode::Reserved) => Err(DecodeError::UnknownOpcode { at, number }),
            Some(Opcode::Cache) => Err(DecodeError::CacheAsInstruction { at }),
            Some(op) if op.is_instrumented() => Err(DecodeError::Instrumented { at, number }),
            Some(op) => Ok(Some((op, arg))),
        }
    }

    /// The instruction that starts at a unit inside the code; `jump_target` is still what the argument says, and
    /// may be out of range.
    fn instr(&mut self, start: u32) -> Result<Instr, DecodeError> {
        let mut offset = start;
        let mut arg: u32 = 0;
        let op = loop {
            let Some((op, byte)) = self.unit(offset)? else {
                return Err(DecodeError::DanglingExtendedArg { at: start });
            };
            if offset - start > 3 {
                return Err(DecodeError::TooManyExtendedArgs { at: start });
            }
            arg = arg << 8 | u32::from(byte);
            if op != Opcode::ExtendedArg {
                break op;
            }
            offset += 1;
        };
        let mut cache = Caches { len: op.caches(), ..Caches::default() };
        if self.units - offset - 1 < u32::from(cache.len) {
            return Err(DecodeError::TruncatedCache { at: offset });
        }
        let first = (offset as usize + 1) * 2;
        let bytes = self.code[first..].chunks_exact(2).take(cache.len as usize);
        for (unit, bytes) in cache.units.iter_mut().zip(bytes) {
            *unit = u16::from_ne_bytes([bytes[0], bytes[1]]);
        }
        let next = offset + 1 + u32::from(cache.len);
        let base = op.base();
        let arg = if op.has_arg() { arg } else { 0 };
        Ok(Instr { offset, start, op, base, arg, cache, next, jump_target: None })
    }
}

/// Fills `jump_target` and checks that each lands on an instruction.
fn resolve_jumps(instrs: &mut [Instr], units: u32) -> Result<(), DecodeError> {
    for index in 0..instrs.len() {
        let Instr { offset: at, base, arg, next, .. } = instrs[index];
        let target = match base.jump() {
            JumpKind::None => continue,
            JumpKind::Forward => i64::from(next) + i64::from(arg),
            JumpKind::Backward => i64::from(next) - i64::from(arg),
        };
        let target = u32::try_from(target).ok().filter(|&target| target < units).ok_or(DecodeError::JumpOutOfRange { at, target })?;
        let Some(landing) = index_of_start(instrs, target) else {
            return Err(DecodeError::JumpIntoInstruction { at, target });
        };
        instrs[index].jump_target = Some(if base == Opcode::ForIter {
            // The interpreter steps over the END_FOR one unit behind the target without looking at it.
            if instrs[landing].op != Opcode::EndFor || instrs[landing].start != instrs[landing].offset {
                return Err(DecodeError::ForIterWithoutEndFor { at, target });
            }
            // END_FOR is no terminator, so an instruction follows.
            instrs[landing].next
        } else {
            target
        });
    }
    Ok(())
}

/// Inline cache of LOAD_GLOBAL and its specialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadGlobalCache {
    /// Specialisation counter.
    pub counter: u16,
    /// Keys version of the module's dict.
    pub module_keys_version: u16,
    /// Keys version of the builtins' dict (LOAD_GLOBAL_BUILTIN only).
    pub builtin_keys_version: u16,
    /// Entry in the dict's keys: the module's for LOAD_GLOBAL_MODULE, the builtins' for LOAD_GLOBAL_BUILTIN.
    pub index: u16,
}

/// Inline cache of LOAD_ATTR and its specialisations. What a field holds depends on the specialised opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadAttrCache {
    /// Specialisation counter.
    pub counter: u16,
    /// Type version tag of the owner (of the owner itself for `_CLASS*`); the keys version of a module's dict for `_MODULE`.
    pub version: u32,
    /// `_METHOD_WITH_VALUES`, `_NONDESCRIPTOR_WITH_VALUES`: version of the shared keys. `_CLASS_WITH_METACLASS_CHECK`:
    /// version tag of the metaclass. `_GETATTRIBUTE_OVERRIDDEN`: version of the function.
    pub keys_version: u32,
    /// The first unit of `keys_version`, another view of it. `_INSTANCE_VALUE`, `_SLOT`: offset in bytes from the object;
    /// `_MODULE`, `_WITH_HINT`: entry in the dict's keys; `_METHOD_LAZY_DICT`: offset of the dict pointer.
    pub index: u16,
    /// Address of the object found: method, class attribute, property getter, `__getattribute__`. Borrowed.
    pub descr: u64,
}

/// Inline cache of STORE_ATTR and its specialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreAttrCache {
    /// Specialisation counter.
    pub counter: u16,
    /// Type version tag of the owner.
    pub version: u32,
    /// `_INSTANCE_VALUE`, `_SLOT`: offset in bytes from the object; `_WITH_HINT`: entry in the dict's keys.
    pub index: u16,
}

/// Inline cache of BINARY_OP and its specialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryOpCache {
    /// Specialisation counter.
    pub counter: u16,
    /// Address of the `_PyBinaryOpSpecializationDescr` of BINARY_OP_EXTEND.
    pub descr: u64,
}

/// Inline cache of CALL, CALL_KW and their specialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCache {
    /// Specialisation counter.
    pub counter: u16,
    /// Version of the function called; the type version tag of the class for CALL_ALLOC_AND_ENTER_INIT.
    pub func_version: u32,
}

/// Inline cache of TO_BOOL and its specialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToBoolCache {
    /// Specialisation counter.
    pub counter: u16,
    /// Type version tag (TO_BOOL_ALWAYS_TRUE only).
    pub version: u32,
}

// CPython stores wide fields with memcpy over the units, that is in the machine's byte order.
fn u32_at(units: &[u16], at: usize) -> u32 {
    let [a, b] = units[at].to_ne_bytes();
    let [c, d] = units[at + 1].to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

fn u64_at(units: &[u16], at: usize) -> u64 {
    let mut bytes = [0; 8];
    for (pair, unit) in bytes.chunks_exact_mut(2).zip(&units[at..at + 4]) {
        pair.copy_from_slice(&unit.to_ne_bytes());
    }
    u64::from_ne_bytes(bytes)
}

impl Instr {
    /// Whether control can go on at `next`.
    pub fn falls_through(&self) -> bool {
        !self.op.is_terminator()
    }

    /// Entries popped and pushed on this edge, see `Opcode::stack_effect`.
    pub fn stack_effect(&self, edge: Edge) -> StackEffect {
        self.op.stack_effect(self.arg, edge)
    }

    /// Code units from the opcode to its successor in the code, prefixes not counted.
    pub fn size(&self) -> u32 {
        self.next - self.offset
    }

    /// What the interpreter keeps as `return_offset` while a frame that this FOR_ITER or SEND pushed runs: code units
    /// from `offset` to the END_FOR or END_SEND that receives the frame's return value. None for other opcodes.
    pub fn inline_return_offset(&self) -> Option<u32> {
        matches!(self.base, Opcode::ForIter | Opcode::Send).then(|| self.size() + self.arg)
    }

    /// The first cache entry: specialisation counter, except in POP_JUMP_IF_* (see `branch_history`). None without caches.
    ///
    /// Twelve bits of value over four bits of backoff. COMPARE_OP, CONTAINS_OP, FOR_ITER, SEND, UNPACK_SEQUENCE,
    /// LOAD_SUPER_ATTR, STORE_SUBSCR and JUMP_BACKWARD cache nothing else.
    pub fn counter(&self) -> Option<u16> {
        if self.branch_history().is_some() { None } else { self.cache.first().copied() }
    }

    /// POP_JUMP_IF_*: the last sixteen outcomes, the newest in the low bit, 1 = jumped; as far as the build records them.
    pub fn branch_history(&self) -> Option<u16> {
        matches!(self.base, Opcode::PopJumpIfFalse | Opcode::PopJumpIfTrue | Opcode::PopJumpIfNone | Opcode::PopJumpIfNotNone)
            .then(|| self.cache[0])
    }

    /// The cache of a LOAD_GLOBAL; None for other opcodes.
    pub fn load_global_cache(&self) -> Option<LoadGlobalCache> {
        let c = &*self.cache;
        (self.base == Opcode::LoadGlobal).then(|| LoadGlobalCache {
            counter: c[0],
            module_keys_version: c[1],
            builtin_keys_version: c[2],
            index: c[3],
        })
    }

    /// The cache of a LOAD_ATTR; None for other opcodes.
    pub fn load_attr_cache(&self) -> Option<LoadAttrCache> {
        let c = &*self.cache;
        (self.base == Opcode::LoadAttr).then(|| LoadAttrCache {
            counter: c[0],
            version: u32_at(c, 1),
            keys_version: u32_at(c, 3),
            index: c[3],
            descr: u64_at(c, 5),
        })
    }

    /// How often a specialised LOAD_ATTR or STORE_ATTR has missed since it was specialised: its counter starts at a fixed value
    /// (`ADAPTIVE_COOLDOWN_VALUE`, without backoff) and each miss takes one.
    pub fn attr_misses(&self) -> u16 {
        const BACKOFF_BITS: u16 = 4;
        const COOLDOWN: u16 = 52;
        if self.op == self.base || !matches!(self.base, Opcode::LoadAttr | Opcode::StoreAttr) {
            return 0;
        }
        let counter = self.cache.first().copied().unwrap_or(0);
        let (left, backoff) = (counter >> BACKOFF_BITS, counter & ((1 << BACKOFF_BITS) - 1));
        if backoff == 0 && (1..COOLDOWN).contains(&left) { COOLDOWN - left } else { 0 }
    }

    /// The cache of a STORE_ATTR; None for other opcodes.
    pub fn store_attr_cache(&self) -> Option<StoreAttrCache> {
        let c = &*self.cache;
        (self.base == Opcode::StoreAttr).then(|| StoreAttrCache { counter: c[0], version: u32_at(c, 1), index: c[3] })
    }

    /// The cache of a BINARY_OP; None for other opcodes.
    pub fn binary_op_cache(&self) -> Option<BinaryOpCache> {
        let c = &*self.cache;
        (self.base == Opcode::BinaryOp).then(|| BinaryOpCache { counter: c[0], descr: u64_at(c, 1) })
    }

    /// The cache of a CALL or CALL_KW; None for other opcodes.
    pub fn call_cache(&self) -> Option<CallCache> {
        let c = &*self.cache;
        matches!(self.base, Opcode::Call | Opcode::CallKw).then(|| CallCache { counter: c[0], func_version: u32_at(c, 1) })
    }

    /// The cache of a TO_BOOL; None for other opcodes.
    pub fn to_bool_cache(&self) -> Option<ToBoolCache> {
        let c = &*self.cache;
        (self.base == Opcode::ToBool).then(|| ToBoolCache { counter: c[0], version: u32_at(c, 1) })
    }
}

#[cfg(test)]
mod tests;
