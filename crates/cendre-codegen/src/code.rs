//! Machine code that does not know yet where it will lie: calls of fixed addresses get their distance when it does.
//!
//! Such a call is the shortest of the machine (x86-64: `call rel32`, five bytes where address and indirect call are twelve), and every target can be
//! reached from everywhere: what is too far for it is called by an *island* at the end of the code, a jump through a word with the
//! full address. Lowering need not know distances, and arenas near the library make islands rare (docs/internals/codegen.md).
//!
//! Invariant: [`Code::at`] is the only way to bytes that may be executed, and they may be executed at that address only.

use crate::CodegenError;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::{CompiledCode, FinalizedRelocTarget, ir};

/// A jump through the word behind it, which is aligned as the island is: `jmp [rip + 2]`, two bytes that nobody executes.
const ISLAND_JUMP: [u8; 8] = [0xff, 0x25, 2, 0, 0, 0, 0xcc, 0xcc];
const ISLAND: usize = 16;

/// Code, and what it calls.
#[derive(Clone, Debug, Default)]
pub struct Code {
    bytes: Vec<u8>,
    /// Each once.
    targets: Vec<u64>,
    /// Where the 32-bit distance of a call stands, and the index of its target. Distances count from behind these four bytes.
    calls: Vec<(u32, u32)>,
}

impl Code {
    /// Code of these bytes without calls.
    pub fn new(bytes: Vec<u8>) -> Code {
        Code { bytes, targets: Vec::new(), calls: Vec::new() }
    }

    /// What Cranelift has made, with its calls of fixed addresses by the numbers under which the function has imported them.
    ///
    /// # Errors
    /// Any other relocation: none is asked for, and none is known here.
    pub(crate) fn of(made: &CompiledCode, function: &ir::Function, targets: &[u64]) -> Result<Code, CodegenError> {
        let mut code = Code::new(made.code_buffer().to_vec());
        for reloc in made.buffer.relocs() {
            let target = match (&reloc.kind, &reloc.target, reloc.addend) {
                (Reloc::X86CallPCRel4, FinalizedRelocTarget::ExternalName(ir::ExternalName::User(name)), -4) => {
                    function.params.user_named_funcs().get(*name).and_then(|f| targets.get(f.index as usize))
                }
                _ => None,
            };
            let target = target.ok_or_else(|| CodegenError::Backend(format!("unexpected relocation {reloc:?}")))?;
            code.call(reloc.offset, *target);
        }
        Ok(code)
    }

    /// Adds a call whose distance stands at this offset.
    pub fn call(&mut self, at: u32, target: u64) {
        let known = self.targets.iter().position(|t| *t == target);
        let index = known.unwrap_or_else(|| {
            self.targets.push(target);
            self.targets.len() - 1
        });
        self.calls.push((at, index as u32));
    }

    /// Bytes without islands.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes if all that is called were far.
    pub fn largest(&self) -> usize {
        if self.calls.is_empty() { self.size() } else { self.size().next_multiple_of(ISLAND) + ISLAND * self.targets.len() }
    }

    /// The bytes as they must be at an address: at least [`Code::size`], at most [`Code::largest`] of them.
    #[expect(
        clippy::indexing_slicing,
        reason = "places in the code that the code generator has named, and targets by the index that `call` gave"
    )]
    pub fn at(&self, address: usize) -> Vec<u8> {
        let mut out = self.bytes.clone();
        let mut islands: Vec<Option<usize>> = vec![None; self.targets.len()];
        for &(at, target) in &self.calls {
            let (at, to) = (at as usize, self.targets[target as usize]);
            let from = (address + at + 4) as u64;
            let distance = i32::try_from(to.wrapping_sub(from).cast_signed()).unwrap_or_else(|_| {
                let island = *islands[target as usize].get_or_insert_with(|| {
                    out.resize(out.len().next_multiple_of(ISLAND), 0xcc);
                    out.extend(ISLAND_JUMP);
                    out.extend(to.to_le_bytes());
                    out.len() - ISLAND
                });
                // Both in code that is far below 2 GiB.
                (island - at - 4) as i32
            });
            out[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(bytes: &[u8], at: usize) -> i64 {
        i64::from(i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
    }

    #[test]
    fn near_targets_are_called_directly_and_far_ones_by_one_island_each() {
        let base = 0x7f00_0000_0000_usize;
        let (near, edge, far) = (base as u64 - 0x7000_0000, base as u64 + 0x7fff_ffff + 14, 0x40_1000);
        let mut code = Code::new(vec![0xe8; 50]);
        for (at, target) in [(1, near), (10, edge), (20, far), (30, far), (40, edge + 100)] {
            code.call(at, target);
        }
        let bytes = code.at(base);
        assert_eq!((code.size(), bytes.len(), code.largest()), (50, 64 + 2 * 16, 64 + 4 * 16));
        assert_eq!(base as i64 + 5 + distance(&bytes, 1), near as i64);
        assert_eq!(base as i64 + 14 + distance(&bytes, 10), edge as i64);
        assert_eq!((24 + distance(&bytes, 20), 34 + distance(&bytes, 30), 44 + distance(&bytes, 40)), (64, 64, 80));
        assert_eq!((&bytes[64..72], &bytes[72..80]), (&ISLAND_JUMP[..], &far.to_le_bytes()[..]));
        // The last one is near again where the code lies higher.
        assert_eq!(code.at(base + 100).len(), 64 + 16);
    }

    /// A function that calls another one, colocated or not, as Cranelift makes it.
    fn caller(colocated: bool) -> Result<Code, CodegenError> {
        use ir::InstBuilder;
        let isa = crate::isa()?;
        let mut context = cranelift_codegen::Context::new();
        let signature = ir::Signature::new(isa.default_call_conv());
        context.func = ir::Function::with_name_signature(ir::UserFuncName::user(0, 0), signature.clone());
        let mut builder_context = cranelift_frontend::FunctionBuilderContext::new();
        let mut b = cranelift_frontend::FunctionBuilder::new(&mut context.func, &mut builder_context);
        let block = b.create_block();
        b.switch_to_block(block);
        b.seal_all_blocks();
        let name = ir::ExternalName::user(b.func.declare_imported_user_function(ir::UserExternalName::new(0, 0)));
        let signature = b.import_signature(signature);
        let f = b.import_function(ir::ExtFuncData { name, signature, colocated, patchable: false });
        b.ins().call(f, &[]);
        b.ins().return_(&[]);
        b.finalize(isa.frontend_config());
        context.compile(isa.as_ref(), &mut Default::default()).unwrap();
        Code::of(context.compiled_code().unwrap(), &context.func, &[0x1234])
    }

    #[test]
    fn relocations_of_calls_are_taken_and_others_refused() {
        assert_eq!(caller(true).unwrap().targets, [0x1234]);
        let refused = caller(false).unwrap_err().to_string();
        assert!(refused.contains("unexpected relocation") && refused.contains("Abs8"), "{refused}");
    }

    #[test]
    fn code_without_calls_is_the_same_everywhere() {
        let code = Code::new(vec![0xc3; 5]);
        assert_eq!((code.at(0x1000), code.largest()), (vec![0xc3; 5], 5));
    }
}
