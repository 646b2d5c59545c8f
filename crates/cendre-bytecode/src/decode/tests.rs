//! The decoder on small code built by hand: each error, executors, long arguments, the layout of each cache.
//!
//! Invariant: bytes are written out of opcodes and numbers here, never by the decoder. Real code: `tests/decode_fixture.rs`.

use super::*;
use crate::opcode::Opcode::*;

fn bytes(units: &[(Opcode, u8)]) -> Vec<u8> {
    units.iter().flat_map(|&(op, arg)| [op as u8, arg]).collect()
}

fn decoded(units: &[(Opcode, u8)]) -> Result<Vec<Instr>, DecodeError> {
    decode(&bytes(units), &no_executors)
}

/// One instruction with these cache units, then a return.
fn with_cache(op: Opcode, units: &[u16]) -> Instr {
    let mut code = bytes(&[(op, 1)]);
    code.extend(units.iter().flat_map(|unit| unit.to_ne_bytes()));
    code.extend(bytes(&[(ReturnValue, 0)]));
    let instrs = decode(&code, &no_executors).unwrap();
    assert_eq!(instrs.len(), 2, "{op}");
    instrs[0]
}

#[test]
fn each_error_has_its_reason() {
    use DecodeError::*;
    let end = (ReturnValue, 0);
    assert_eq!(decode(&[], &no_executors), Err(Empty));
    assert_eq!(decode(&[27], &no_executors), Err(BadLength));
    assert_eq!(decode(&[121, 0, 35, 0], &no_executors), Err(UnknownOpcode { at: 0, number: 121 }));
    assert_eq!(decoded(&[end, (Reserved, 0), end]), Err(UnknownOpcode { at: 1, number: 17 }));
    assert_eq!(decoded(&[(Nop, 0), (Cache, 0), end]), Err(CacheAsInstruction { at: 1 }));
    assert_eq!(decoded(&[(InstrumentedResume, 0), end]), Err(Instrumented { at: 0, number: 245 }));
    assert_eq!(decoded(&[(Nop, 0), (InstrumentedLine, 0), end]), Err(Instrumented { at: 1, number: 254 }));
    assert_eq!(decoded(&[(Nop, 0), (EnterExecutor, 7), end]), Err(UnresolvedExecutor { at: 1, index: 7 }));
    assert_eq!(decoded(&[end, (ExtendedArg, 1)]), Err(DanglingExtendedArg { at: 1 }));
    let extended = [(ExtendedArg, 1), (ExtendedArg, 1), (ExtendedArg, 1), (ExtendedArg, 1), (LoadConst, 0), end];
    assert_eq!(decoded(&extended), Err(TooManyExtendedArgs { at: 0 }));
    assert!(decoded(&extended[1..]).is_ok());
    assert_eq!(decoded(&[end, (LoadAttr, 0), end]), Err(TruncatedCache { at: 1 }));
    assert_eq!(decoded(&[(JumpForward, 1), end]), Err(JumpOutOfRange { at: 0, target: 2 }));
    assert_eq!(decoded(&[(JumpForward, 0), end]).unwrap()[0].jump_target, Some(1));
    assert_eq!(decoded(&[(JumpBackwardNoInterrupt, 2), end]), Err(JumpOutOfRange { at: 0, target: -1 }));
    assert_eq!(decoded(&[(JumpBackward, 1), (Cache, 0), end]), Err(JumpIntoInstruction { at: 0, target: 1 }));
    assert_eq!(decoded(&[(JumpForward, 1), (ExtendedArg, 1), (LoadConst, 0), end]), Err(JumpIntoInstruction { at: 0, target: 2 }));
    assert_eq!(decoded(&[(ForIter, 1), (Cache, 0), (Nop, 0), (PopIter, 0), end]), Err(ForIterWithoutEndFor { at: 0, target: 3 }));
    assert_eq!(decoded(&[end, (Nop, 0)]), Err(FallsOffEnd { at: 1 }));
}

#[test]
fn arguments_and_jumps_of_three_extended_args() {
    let instrs = decoded(&[(ExtendedArg, 1), (ExtendedArg, 2), (ExtendedArg, 3), (LoadConst, 4), (ReturnValue, 9)]);
    let instrs = instrs.unwrap();
    assert_eq!((instrs[0].start, instrs[0].offset, instrs[0].next, instrs[0].arg), (0, 3, 4, 0x01020304));
    assert_eq!(instrs[1].arg, 0, "RETURN_VALUE takes no argument");
    let far = decoded(&[(ExtendedArg, 255), (ExtendedArg, 255), (ExtendedArg, 255), (JumpForward, 255)]);
    assert_eq!(far, Err(DecodeError::JumpOutOfRange { at: 3, target: 4 + i64::from(u32::MAX) }));

    // 65 540 units back: two prefixes, and the cache of JUMP_BACKWARD counts.
    let mut code = vec![(Nop, 0); 65_536];
    code.extend([(ExtendedArg, 1), (ExtendedArg, 0), (JumpBackward, 4), (Cache, 0)]);
    let instrs = decoded(&code).unwrap();
    assert_eq!(instrs[65_536].jump_target, Some(0));
    assert_eq!(instrs[65_536].offset, 65_538);
}

#[test]
fn for_iter_continues_behind_end_for() {
    let code = [
        (ForIterRange, 3), // next is 2, END_FOR at 5
        (Cache, 0),
        (PopTop, 0),
        (JumpBackwardNoJit, 5),
        (Cache, 0),
        (EndFor, 0),
        (PopIter, 0),
        (ReturnValue, 0),
    ];
    let instrs = decoded(&code).unwrap();
    assert_eq!(instrs[0].jump_target, Some(6));
    assert_eq!(instrs[0].inline_return_offset(), Some(5));
    assert_eq!(instrs[0].stack_effect(Edge::Jump), StackEffect { popped: 1, pushed: 1 });
    assert_eq!(instrs[2].jump_target, Some(0));
    assert_eq!((instrs[2].op, instrs[2].base), (JumpBackwardNoJit, JumpBackward));
    assert_eq!(index_of_start(&instrs, 6), Some(4));
    assert_eq!(index_of_start(&instrs, 1), None);
    assert_eq!(index_containing(&instrs, 1), Some(0));
    assert_eq!(index_containing(&instrs, 8), None);
}

#[test]
fn executors_are_looked_through() {
    // Replaced: a RESUME, the JUMP_BACKWARD of a loop, an EXTENDED_ARG.
    let replaced = |index| match index {
        0 => Some((Resume as u8, 0)),
        1 => Some((ExtendedArg as u8, 2)),
        2 => Some((JumpBackward as u8, 4)),
        3 => Some((EnterExecutor as u8, 0)),
        4 => Some((InstrumentedResume as u8, 0)),
        5 => Some((Cache as u8, 0)),
        _ => None,
    };
    let code = bytes(&[(EnterExecutor, 0), (EnterExecutor, 1), (LoadConst, 3), (EnterExecutor, 2), (Cache, 0)]);
    let instrs = decode(&code, &replaced).unwrap();
    let shown: Vec<_> = instrs.iter().map(|i| (i.start, i.offset, i.op, i.arg, i.next, i.jump_target)).collect();
    assert_eq!(shown, [(0, 0, Resume, 0, 1, None), (1, 2, LoadConst, 0x203, 3, None), (3, 3, JumpBackward, 4, 5, Some(1)),]);
    let lone = |index| decode(&bytes(&[(EnterExecutor, index), (ReturnValue, 0)]), &replaced).unwrap_err();
    assert_eq!(lone(3), DecodeError::UnresolvedExecutor { at: 0, index: 3 });
    assert_eq!(lone(4), DecodeError::Instrumented { at: 0, number: 245 });
    assert_eq!(lone(5), DecodeError::CacheAsInstruction { at: 0 });
    assert_eq!(lone(6), DecodeError::UnresolvedExecutor { at: 0, index: 6 });
}

#[test]
#[cfg(target_endian = "little")]
fn caches_are_read_as_cpython_lays_them_out() {
    let attr = with_cache(LoadAttrMethodWithValues, &[9, 0x2222, 0x1111, 0x4444, 0x3333, 5, 6, 7, 8]);
    assert_eq!(
        attr.load_attr_cache(),
        Some(LoadAttrCache { counter: 9, version: 0x1111_2222, keys_version: 0x3333_4444, index: 0x4444, descr: 0x0008_0007_0006_0005 })
    );
    assert_eq!(attr.load_global_cache(), None);
    assert_eq!(attr.counter(), Some(9));
    assert_eq!(
        with_cache(LoadGlobalBuiltin, &[1, 2, 3, 4]).load_global_cache(),
        Some(LoadGlobalCache { counter: 1, module_keys_version: 2, builtin_keys_version: 3, index: 4 })
    );
    assert_eq!(
        with_cache(StoreAttrSlot, &[1, 2, 3, 4]).store_attr_cache(),
        Some(StoreAttrCache { counter: 1, version: 0x3_0002, index: 4 })
    );
    assert_eq!(
        with_cache(BinaryOpExtend, &[1, 2, 3, 4, 5]).binary_op_cache(),
        Some(BinaryOpCache { counter: 1, descr: 0x0005_0004_0003_0002 })
    );
    let call = Some(CallCache { counter: 1, func_version: 0x3_0002 });
    assert_eq!(with_cache(CallPyExactArgs, &[1, 2, 3]).call_cache(), call);
    assert_eq!(with_cache(CallKwPy, &[1, 2, 3]).call_cache(), call);
    assert_eq!(with_cache(ToBoolAlwaysTrue, &[1, 2, 3]).to_bool_cache(), Some(ToBoolCache { counter: 1, version: 0x3_0002 }));
    for op in [CompareOpInt, ContainsOpDict, SendGen, UnpackSequenceTuple, LoadSuperAttrMethod, StoreSubscrDict] {
        let mut code = bytes(&[(op, 0), (Cache, 0), (ReturnValue, 0)]);
        code[2..4].copy_from_slice(&77u16.to_ne_bytes());
        assert_eq!(decode(&code, &no_executors).unwrap()[0].counter(), Some(77), "{op}");
    }
    assert_eq!(with_cache(Nop, &[]).counter(), None);
}

#[test]
fn branches_keep_a_history_and_no_counter() {
    let mut code = bytes(&[(PopJumpIfFalse, 0), (Cache, 0), (ReturnValue, 0)]);
    code[2..4].copy_from_slice(&0b101u16.to_ne_bytes());
    let instr = decode(&code, &no_executors).unwrap()[0];
    assert_eq!((instr.branch_history(), instr.counter()), (Some(0b101), None));
}
