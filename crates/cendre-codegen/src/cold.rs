//! Which blocks are cold, once all are there: Cranelift puts those behind the code that runs.
//!
//! Lowering marks the first block of a cold path. Here all that only such blocks lead to is marked as well, and branches of cold blocks get to code
//! that runs by a cold block of their own: what the register allocator moves on such a way, and the jump behind it, would else stand
//! between blocks that run.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::{Block, BlockCall, Function, Inst, InstBuilder};

/// Marks the blocks, and splits the ways back.
pub(crate) fn spread(f: &mut Function) {
    let warm = warm(f);
    let cold: Vec<Block> = f.layout.blocks().filter(|b| !warm.contains(*b)).collect();
    for &block in &cold {
        f.layout.set_cold(block);
    }
    for block in cold {
        let Some(branch) = f.layout.last_inst(block) else { continue };
        let targets = calls(f, branch).to_vec();
        if targets.len() < 2 {
            continue;
        }
        for (n, call) in targets.iter().enumerate() {
            let target = call.block(&f.dfg.value_lists);
            if !warm.contains(target) {
                continue;
            }
            let args: Vec<_> = call.args(&f.dfg.value_lists).collect();
            let back = f.dfg.make_block();
            let mut at = FuncCursor::new(f);
            at.insert_block(back);
            at.ins().jump(target, &args);
            f.layout.set_cold(back);
            let call = f.dfg.block_call(back, &[]);
            let dfg = &mut f.dfg;
            if let Some(place) = dfg.insts[branch].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables).get_mut(n) {
                *place = call;
            }
        }
    }
}

fn calls(f: &Function, branch: Inst) -> &[BlockCall] {
    f.dfg.insts[branch].branch_destination(&f.dfg.jump_tables, &f.dfg.exception_tables)
}

/// What can be reached without a block that lowering calls cold.
fn warm(f: &Function) -> EntitySet<Block> {
    let mut seen = EntitySet::new();
    let mut work: Vec<Block> = f.layout.entry_block().into_iter().collect();
    while let Some(block) = work.pop() {
        if f.layout.is_cold(block) || !seen.insert(block) {
            continue;
        }
        if let Some(branch) = f.layout.last_inst(block) {
            work.extend(calls(f, branch).iter().map(|c| c.block(&f.dfg.value_lists)));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_codegen::ir::types::I64;

    /// first -> warm | cold; cold -> inner; inner -> end | warm; warm -> end. `inner` is not marked.
    #[test]
    fn what_cold_blocks_lead_to_is_cold_and_they_come_back_by_blocks_of_their_own() {
        let mut f = Function::new();
        let [first, warm, cold, inner, end] = [(); 5].map(|()| f.dfg.make_block());
        let given = f.dfg.append_block_param(end, I64);
        let mut at = FuncCursor::new(&mut f);
        at.insert_block(first);
        let x = at.ins().iconst(I64, 1);
        at.ins().brif(x, warm, &[], cold, &[]);
        at.insert_block(warm);
        at.ins().jump(end, &[x.into()]);
        at.insert_block(cold);
        at.ins().jump(inner, &[]);
        at.insert_block(inner);
        at.ins().brif(x, end, &[x.into()], warm, &[]);
        at.insert_block(end);
        at.ins().return_(&[given]);
        f.layout.set_cold(cold);
        spread(&mut f);
        let is = |b: Block| f.layout.is_cold(b);
        assert_eq!([first, warm, cold, inner, end].map(is), [false, false, true, true, false]);
        let back: Vec<Block> = calls(&f, f.layout.last_inst(inner).unwrap()).iter().map(|c| c.block(&f.dfg.value_lists)).collect();
        assert!(back.iter().all(|b| is(*b)) && back.len() == 2, "{f}");
        let to = |b: &Block| calls(&f, f.layout.last_inst(*b).unwrap())[0];
        assert_eq!(back.iter().map(|b| to(b).block(&f.dfg.value_lists)).collect::<Vec<_>>(), [end, warm]);
        assert_eq!(to(&back[0]).args(&f.dfg.value_lists).collect::<Vec<_>>(), [x.into()]);
    }
}
