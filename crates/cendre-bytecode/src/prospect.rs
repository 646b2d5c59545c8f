//! Whether a function promises to be faster as machine code, from its adaptive bytecode alone.
//!
//! Where the interpreter has specialised for numbers, attributes at known places and calls of Python functions, machine code does the same with a fraction
//! of the instructions. Where it hands everything to a function of CPython (building, slicing, calls of C, generic attributes), machine code can only
//! call the same function, from more code than the interpreter's, which is in the cache already.
//! Invariant: a guess; what is made of it changes when a function is compiled, nothing else. Measured ratios: docs/internals/hotness.md.

use crate::{Instr, Opcode};

/// What an adaptive instruction's counter is before it has been executed.
const UNTOUCHED: u16 = 1 << 4 | 1;
/// So many instructions that gain, for each that does not, make a promising function.
const GAINING: usize = 2;

/// +1: machine code gains by it; -1: it does not; 0: neither way.
fn worth(i: &Instr) -> i8 {
    use Opcode::*;
    match i.op {
        BinaryOpAddInt
        | BinaryOpSubtractInt
        | BinaryOpMultiplyInt
        | BinaryOpAddFloat
        | BinaryOpSubtractFloat
        | BinaryOpMultiplyFloat
        | BinaryOpExtend
        | BinaryOpSubscrListInt
        | BinaryOpSubscrTupleInt
        | CompareOpInt
        | CompareOpFloat
        | StoreSubscrListInt
        | LoadAttrInstanceValue
        | LoadAttrSlot
        | LoadAttrModule
        | LoadAttrClass
        | LoadAttrClassWithMetaclassCheck
        | LoadAttrMethodWithValues
        | LoadAttrMethodNoDict
        | LoadAttrMethodLazyDict
        | LoadAttrNondescriptorWithValues
        | LoadAttrNondescriptorNoDict
        | StoreAttrInstanceValue
        | StoreAttrSlot
        | CallPyExactArgs
        | CallPyGeneral
        | CallBoundMethodExactArgs
        | CallBoundMethodGeneral
        | CallAllocAndEnterInit
        | CallLen
        | CallIsinstance
        | CallListAppend
        | ForIterRange
        | ForIterList
        | ForIterTuple
        | ForIterGen
        | UnpackSequenceTuple
        | UnpackSequenceTwoTuple
        | UnpackSequenceList
        | ToBoolBool
        | ToBoolInt
        | ToBoolNone
        | ToBoolList
        | IsOp
        | PopJumpIfNone
        | PopJumpIfNotNone => 1,
        BuildList
        | BuildMap
        | BuildSet
        | BuildSlice
        | BuildString
        | BuildTuple
        | BuildTemplate
        | BuildInterpolation
        | BinarySlice
        | StoreSlice
        | MakeFunction
        | SetFunctionAttribute
        | LoadSuperAttr
        | LoadSuperAttrAttr
        | LoadSuperAttrMethod
        | ContainsOpDict
        | ContainsOpSet
        | LoadAttrProperty
        | LoadAttrWithHint
        | LoadAttrGetattributeOverridden
        | StoreAttrWithHint
        | CompareOpStr
        | BinaryOpInplaceAddUnicode
        | BinaryOpAddUnicode
        | BinaryOpSubscrDict
        | BinaryOpSubscrGetitem
        | BinaryOpSubscrStrInt
        | BinaryOpSubscrListSlice
        | GetIter
        | FormatSimple
        | FormatWithSpec
        | ConvertValue
        | ListExtend
        | DictMerge
        | DictUpdate
        | SetAdd
        | SetUpdate
        | MapAdd
        | DeleteAttr
        | DeleteName
        | DeleteSubscr
        | ImportName
        | ImportFrom
        | RaiseVarargs
        | WithExceptStart
        | LoadSpecial
        | StoreSubscrDict
        | UnpackEx
        | CallFunctionEx
        | CallBuiltinClass
        | CallBuiltinFast
        | CallBuiltinFastWithKeywords
        | CallBuiltinO
        | CallMethodDescriptorFast
        | CallMethodDescriptorFastWithKeywords
        | CallMethodDescriptorNoargs
        | CallMethodDescriptorO
        | CallNonPyGeneral
        | CallKwNonPy
        | ToBoolStr
        | ToBoolAlwaysTrue => -1,
        // Adaptive ones that could not be specialised; those that never ran say nothing.
        Call | CallKw | LoadAttr | StoreAttr | CompareOp | BinaryOp | ContainsOp | ForIter | StoreSubscr | UnpackSequence | ToBool => {
            -i8::from(i.cache.first() != Some(&UNTOUCHED))
        }
        _ => 0,
    }
}

/// Whether machine code of this promises to be faster.
pub fn promises(code: &[Instr]) -> bool {
    let of = |wanted: i8| code.iter().filter(|i| worth(i) == wanted).count();
    of(1) >= GAINING * of(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These instructions with these counters, and a return.
    fn code(ops: &[(Opcode, u16)]) -> Vec<Instr> {
        let mut bytes = Vec::new();
        for (op, counter) in ops.iter().chain(&[(Opcode::ReturnValue, 0)]) {
            bytes.extend([*op as u8, 0]);
            for n in 0..op.caches() {
                bytes.extend((if n == 0 { *counter } else { 0 }).to_le_bytes());
            }
        }
        crate::decode(&bytes, &crate::decode::no_executors).unwrap()
    }

    #[test]
    fn numbers_promise_and_slices_do_not() {
        let number = (Opcode::BinaryOpAddInt, 0);
        assert!(promises(&code(&[number, (Opcode::LoadFast, 0)])));
        assert!(!promises(&code(&[number, (Opcode::BinarySlice, 0)])));
        assert!(promises(&code(&[number, number, (Opcode::BinarySlice, 0)])));
    }

    #[test]
    fn what_never_ran_says_nothing() {
        assert!(promises(&code(&[(Opcode::Call, UNTOUCHED)])));
        assert!(!promises(&code(&[(Opcode::Call, UNTOUCHED + 16)])));
    }
}
