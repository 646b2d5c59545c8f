//! Lowering: the context that all parts share, the walk over blocks, and the dispatch on instructions.
//!
//! Terms: *fr* is the frame, *word* a stackref as it stands in memory (pointer; tag 1 = owns no reference, null = 1).
//! Invariant: between IR instructions no owned reference lives outside SSA values and the frame's slots; `instr_ptr` is stored
//! before anything observable. Parts: `exits` (leave, raise), `refs` (counts, slots), `numbers`, `heap`, `calls`.

mod attrs;
mod awaits;
mod calls;
mod direct;
mod exceptions;
mod exits;
mod flags;
mod heap;
mod numbers;
mod refs;

use crate::{CodegenError, Env, Exit, ExitTable, helpers, tag};
use cendre_ir::hash::HashMap;
use cendre_ir::{self as cir, FrameState, Imm, InstData, Op};
use cranelift_codegen::ir::{self, AbiParam, BlockArg, InstBuilder, MemFlagsData, Signature, UserFuncName, condcodes::IntCC, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch, Variable};
use exits::ExitKey;

/// So many entries beside the first are told apart by comparisons: each takes nine bytes, a jump table with its bounds sixty and an indirect jump.
const FEW_ENTRIES: usize = 6;

/// Signature kinds of helper results.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ret {
    Word,
    I32,
    Pair,
    None,
}

/// What an awaited call answered beside tag and value: the tag of its body if it finished, and what it yielded if it suspended.
#[derive(Clone, Copy)]
struct Awaited {
    kind: ir::Value,
    yielded: ir::Value,
}

/// Everything that lowering one function needs.
pub(crate) struct Lower<'a> {
    pub b: FunctionBuilder<'a>,
    pub env: &'a dyn Env,
    pub f: &'a cir::Function,
    values: Vec<Option<ir::Value>>,
    blocks: Vec<ir::Block>,
    pub ts: ir::Value,
    pub fr: ir::Value,
    /// The lower half of the version that stands above the events in the eval breaker, as it was at entry.
    pub version: ir::Value,
    /// Not zero: a number may be returned unboxed.
    takes_numbers: ir::Value,
    /// The caller awaits the result.
    is_awaited: ir::Value,
    /// Not zero once a finaliser has written numbers in the frame, or may have; only where `looked` asks for it.
    pub looked: Option<Variable>,
    /// Bytecode and block that `looked` speaks of.
    pub looked_at: Option<(u32, u32)>,
    /// Parameters that live in memory, with their places.
    flags: HashMap<cir::Value, ir::StackSlot>,
    /// By the tag of an awaited call: what its tag does not say.
    awaited: HashMap<cir::Value, Awaited>,
    /// The block that is being lowered.
    pub here: u32,
    pub exits: Vec<Exit>,
    exit_index: HashMap<Exit, i64>,
    exit_blocks: HashMap<ExitKey, ir::Block>,
    exit_work: Vec<(ExitKey, ir::Block)>,
    table: Box<ExitTable>,
    /// Where exits put the words of their frame states, with its size, and the blocks that they share.
    words: Option<ir::StackSlot>,
    words_size: u32,
    shared: exits::Shared,
    signatures: HashMap<(Vec<ir::Type>, Ret), ir::SigRef>,
    call_conv: cranelift_codegen::isa::CallConv,
    /// Functions at addresses that are known, and these by number; whether there are islands for this machine.
    fixed: HashMap<(u64, ir::SigRef), ir::FuncRef>,
    targets: Vec<u64>,
    islands: bool,
}

impl std::hash::Hash for Exit {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.unit.hash(h);
        self.reason.hash(h);
    }
}

/// What is beside the Cranelift function.
pub(crate) struct Lowered {
    pub exits: Vec<Exit>,
    pub table: Box<ExitTable>,
    /// The addresses of the functions that it imports, by number.
    pub targets: Vec<u64>,
}

/// Fills `out` with the Cranelift function.
pub(crate) fn lower(
    f: &cir::Function,
    env: &dyn Env,
    isa: &dyn TargetIsa,
    out: &mut ir::Function,
    context: &mut FunctionBuilderContext,
) -> Result<Lowered, CodegenError> {
    let call_conv = isa.default_call_conv();
    let mut signature = Signature::new(call_conv);
    signature.params.extend([AbiParam::new(types::I64); 3]);
    signature.returns.extend([AbiParam::new(types::I64); 2]);
    *out = ir::Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut b = FunctionBuilder::new(out, context);
    let prologue = b.create_block();
    b.append_block_params_for_function_params(prologue);
    b.switch_to_block(prologue);
    let (ts, fr, at) = (b.block_params(prologue)[0], b.block_params(prologue)[1], b.block_params(prologue)[2]);
    let version = b.ins().load(types::I32, MemFlagsData::trusted(), ts, env.offsets().ts_eval_breaker + 1);
    let flags = b.ins().ushr_imm_u(at, 32);
    let takes_numbers = b.ins().band_imm_s(flags, tag::TAKES_NUMBERS >> 32);
    let is_awaited = b.ins().ushr_imm_u(at, i64::from(tag::AWAITED.trailing_zeros()));
    let is_awaited = b.ins().ireduce(types::I8, is_awaited);
    let at = b.ins().ireduce(types::I32, at);
    let asked = f.blocks.iter().flat_map(|x| &x.insts).any(|i| f.insts[i.index()].op == Op::Looked);
    let looked = asked.then(|| {
        let looked = b.declare_var(types::I8);
        let zero = b.ins().iconst(types::I8, 0);
        b.def_var(looked, zero);
        looked
    });
    let blocks = f.blocks.iter().map(|_| b.create_block()).collect();
    let mut l = Lower {
        b,
        env,
        f,
        values: vec![None; f.values.len()],
        blocks,
        ts,
        fr,
        version,
        takes_numbers,
        is_awaited,
        looked,
        looked_at: None,
        flags: HashMap::default(),
        awaited: HashMap::default(),
        here: 0,
        exits: Vec::new(),
        exit_index: HashMap::default(),
        exit_blocks: HashMap::default(),
        exit_work: Vec::new(),
        table: Box::default(),
        words: None,
        words_size: 0,
        shared: exits::Shared::default(),
        signatures: HashMap::default(),
        call_conv,
        fixed: HashMap::default(),
        targets: Vec::new(),
        islands: isa.name() == "x64",
    };
    for (n, is) in flags::find(f).into_iter().enumerate() {
        if is {
            l.flag_slot(cir::Value(n as u32));
        }
    }
    l.entries(at);
    let order = l.order();
    for block in order {
        l.block(block)?;
    }
    l.emit_exits()?;
    l.size_words();
    l.b.seal_all_blocks();
    let Lower { b, exits, table, targets, .. } = l;
    b.finalize(isa.frontend_config());
    Ok(Lowered { exits, table, targets })
}

impl Lower<'_> {
    /// Dispatch on the entry index. Entry 0 is by far the most frequent one: compare it first.
    fn entries(&mut self, at: ir::Value) {
        let body = self.blocks[self.f.entries[0].block.index()];
        let calls = self.env.addresses().calls;
        let first = if calls == 0 { body } else { self.b.create_block() };
        if self.f.entries.len() == 1 {
            self.b.ins().jump(first, &[]);
            return self.count(calls, first, body);
        }
        let others = self.b.create_block();
        self.b.ins().brif(at, others, &[], first, &[]);
        self.b.switch_to_block(others);
        let rest = self.f.entries.get(1..).unwrap_or_default();
        match rest {
            [compared @ .., last] if rest.len() <= FEW_ENTRIES => {
                for (i, entry) in compared.iter().enumerate() {
                    let here = self.b.ins().icmp_imm_s(IntCC::Equal, at, i as i64 + 1);
                    let next = self.b.create_block();
                    self.b.ins().brif(here, self.blocks[entry.block.index()], &[], next, &[]);
                    self.b.switch_to_block(next);
                }
                self.b.ins().jump(self.blocks[last.block.index()], &[]);
            }
            _ => {
                let mut switch = Switch::new();
                for (i, entry) in rest.iter().enumerate() {
                    switch.set_entry(i as u128 + 1, self.blocks[entry.block.index()]);
                }
                switch.emit(&mut self.b, at, first);
            }
        }
        self.count(calls, first, body);
    }

    /// Fills the block that stands before the function's first where its calls are counted.
    fn count(&mut self, calls: u64, first: ir::Block, body: ir::Block) {
        if first == body {
            return;
        }
        self.b.switch_to_block(first);
        let word = self.iconst(calls as i64);
        let n = self.b.ins().load(types::I64, MemFlagsData::trusted(), word, 0);
        let n = self.b.ins().iadd_imm_s(n, 1);
        self.b.ins().store(MemFlagsData::trusted(), n, word, 0);
        self.b.ins().jump(body, &[]);
    }

    /// Reverse postorder from the entries, so that a value's definition is lowered before its uses; handlers count as successors.
    fn order(&self) -> Vec<cir::Block> {
        let mut seen = vec![false; self.f.blocks.len()];
        let mut post = Vec::new();
        for entry in self.f.entries.iter().rev() {
            if seen[entry.block.index()] {
                continue;
            }
            seen[entry.block.index()] = true;
            let mut stack = vec![(entry.block, self.f.successors(entry.block), 0)];
            while let Some((block, succ, next)) = stack.last_mut() {
                if let Some(&s) = succ.get(*next) {
                    *next += 1;
                    if !std::mem::replace(&mut seen[s.index()], true) {
                        let of = self.f.successors(s);
                        stack.push((s, of, 0));
                    }
                } else {
                    post.push(*block);
                    stack.pop();
                }
            }
        }
        post.reverse();
        post
    }

    fn block(&mut self, block: cir::Block) -> Result<(), CodegenError> {
        let target = self.blocks[block.index()];
        self.here = block.0;
        self.b.switch_to_block(target);
        let data = &self.f.blocks[block.index()];
        if data.cold {
            self.b.set_cold_block(target);
        }
        for &p in data.params.iter().filter(|p| !self.flags.contains_key(p)) {
            let ty = self.clif_type(p);
            let v = self.b.append_block_param(target, ty);
            self.values[p.index()] = Some(v);
        }
        for &inst in &data.insts {
            let data = &self.f.insts[inst.index()];
            self.inst(data)?;
        }
        Ok(())
    }

    fn clif_type(&self, v: cir::Value) -> ir::Type {
        match self.f.ty(v).kinds {
            cir::Kinds::FLOAT64 => types::F64,
            cir::Kinds::BOOL => types::I8,
            _ => types::I64,
        }
    }

    // ---- small tools ------------------------------------------------------------------------------------------

    /// The Cranelift value of an IR value.
    pub fn v(&self, v: cir::Value) -> ir::Value {
        self.values[v.index()].unwrap_or_else(|| panic!("{}: v{} used before its definition", self.f.name, v.0))
    }
    pub fn arg(&self, i: &InstData, n: usize) -> ir::Value {
        self.v(i.args[n])
    }
    pub fn set(&mut self, i: &InstData, n: usize, v: ir::Value) {
        self.values[i.results[n].index()] = Some(v);
    }
    pub fn state(&self, i: &InstData) -> Result<&'_ FrameState, CodegenError> {
        match i.state {
            Some(s) => Ok(&self.f.states[s.index()]),
            None => Err(CodegenError::Backend(format!("{} without state", i.op.row().text))),
        }
    }
    pub fn iconst(&mut self, n: i64) -> ir::Value {
        self.b.ins().iconst(types::I64, n)
    }
    pub fn load(&mut self, base: ir::Value, offset: i32) -> ir::Value {
        self.b.ins().load(types::I64, MemFlagsData::trusted(), base, offset)
    }
    pub fn load32(&mut self, base: ir::Value, offset: i32) -> ir::Value {
        self.b.ins().load(types::I32, MemFlagsData::trusted(), base, offset)
    }
    /// A byte, zero-extended.
    pub fn load8(&mut self, base: ir::Value, offset: i32) -> ir::Value {
        self.b.ins().uload8(types::I64, MemFlagsData::trusted(), base, offset)
    }
    pub fn store(&mut self, v: ir::Value, base: ir::Value, offset: i32) {
        self.b.ins().store(MemFlagsData::trusted(), v, base, offset);
    }
    pub fn new_block(&mut self) -> ir::Block {
        self.b.create_block()
    }
    pub fn cold_block(&mut self) -> ir::Block {
        let b = self.b.create_block();
        self.b.set_cold_block(b);
        b
    }
    /// Goes to `cold` if the condition holds, else continues in a new block.
    pub fn branch_if(&mut self, cond: ir::Value, cold: ir::Block) {
        let next = self.new_block();
        self.b.ins().brif(cond, cold, &[], next, &[]);
        self.b.switch_to_block(next);
    }
    /// Goes to `cold` unless the condition holds.
    pub fn branch_unless(&mut self, cond: ir::Value, cold: ir::Block) {
        let next = self.new_block();
        self.b.ins().brif(cond, next, &[], cold, &[]);
        self.b.switch_to_block(next);
    }
    pub fn jump(&mut self, to: ir::Block, args: &[ir::Value]) {
        let args: Vec<BlockArg> = args.iter().map(|v| BlockArg::Value(*v)).collect();
        self.b.ins().jump(to, &args);
    }
    /// Byte offset of a slot of `localsplus`.
    pub fn slot(&self, slot: u32) -> i32 {
        self.env.offsets().fr_localsplus + 8 * slot as i32
    }
    /// Byte offset of an entry of the eval stack.
    pub fn stack_slot(&self, index: u32) -> i32 {
        self.slot(self.f.nlocals + index)
    }
    /// Stores `instr_ptr`.
    pub fn set_instr_ptr(&mut self, unit: u32) {
        let at = self.iconst((self.env.addresses().code_start + 2 * u64::from(unit)) as i64);
        let (fr, offset) = (self.fr, self.env.offsets().fr_instr_ptr);
        self.store(at, fr, offset);
    }
    /// Stores `stackpointer` = base + depth.
    pub fn set_stack_pointer(&mut self, depth: u32) {
        let bytes = i64::from(self.stack_slot(depth));
        let at = self.b.ins().iadd_imm_s(self.fr, bytes);
        let (fr, offset) = (self.fr, self.env.offsets().fr_stackpointer);
        self.store(at, fr, offset);
    }

    /// Calls an address.
    pub fn call_address(&mut self, address: ir::Value, args: &[ir::Value], ret: Ret) -> Vec<ir::Value> {
        let sig = self.signature(args, ret);
        let args = self.copies(args);
        let call = self.b.ins().call_indirect(sig, address, &args);
        self.b.inst_results(call).to_vec()
    }

    /// Calls a function at an address that is known now, wherever that is: [`crate::Code`] sees to the distance. Machines for which it makes no islands
    /// call it as any other address.
    pub fn call_fixed(&mut self, address: u64, args: &[ir::Value], ret: Ret) -> Vec<ir::Value> {
        if !self.islands {
            let address = self.iconst(address.cast_signed());
            return self.call_address(address, args, ret);
        }
        let signature = self.signature(args, ret);
        let func = match self.fixed.get(&(address, signature)) {
            Some(f) => *f,
            None => {
                let index = self.targets.len() as u32;
                self.targets.push(address);
                let name = self.b.func.declare_imported_user_function(ir::UserExternalName::new(0, index));
                let data = ir::ExtFuncData { name: ir::ExternalName::user(name), signature, colocated: true, patchable: false };
                let f = self.b.import_function(data);
                self.fixed.insert((address, signature), f);
                f
            }
        };
        let args = self.copies(args);
        let call = self.b.ins().call(func, &args);
        self.b.inst_results(call).to_vec()
    }

    /// The arguments with copies of those that live as long as the function. A call wants each in the register of its place, and the register
    /// allocator splits the life of a value that is wanted so into smallest pieces, which it loads anew for nearly every use.
    fn copies(&mut self, args: &[ir::Value]) -> Vec<ir::Value> {
        args.iter().map(|&a| if a == self.ts || a == self.fr { self.b.ins().iadd_imm_s(a, 0) } else { a }).collect()
    }

    fn signature(&mut self, args: &[ir::Value], ret: Ret) -> ir::SigRef {
        let params: Vec<ir::Type> = args.iter().map(|a| self.b.func.dfg.value_type(*a)).collect();
        match self.signatures.get(&(params.clone(), ret)) {
            Some(s) => *s,
            None => {
                let mut s = Signature::new(self.call_conv);
                s.params.extend(params.iter().map(|t| AbiParam::new(*t)));
                match ret {
                    Ret::Word => s.returns.push(AbiParam::new(types::I64)),
                    Ret::I32 => s.returns.push(AbiParam::new(types::I32)),
                    Ret::Pair => s.returns.extend([AbiParam::new(types::I64); 2]),
                    Ret::None => {}
                }
                let s = self.b.import_signature(s);
                self.signatures.insert((params, ret), s);
                s
            }
        }
    }

    /// Calls a runtime helper by name with its hidden arguments.
    pub fn call_helper(&mut self, name: &str, args: &[ir::Value], ret: Ret) -> Result<Vec<ir::Value>, CodegenError> {
        let missing = || CodegenError::Helper(name.to_owned());
        let prefix = match helpers::find(name) {
            Some(row) => row.prefix,
            None => return Err(missing()),
        };
        let address = self.env.helper(name).ok_or_else(missing)?;
        let mut all = match prefix {
            helpers::Prefix::None => vec![],
            helpers::Prefix::Thread => vec![self.ts],
            helpers::Prefix::Frame => vec![self.ts, self.fr],
        };
        all.extend_from_slice(args);
        Ok(self.call_fixed(address, &all, ret))
    }

    /// An argument as a helper takes it: truth values as words.
    pub fn helper_arg(&mut self, v: cir::Value) -> ir::Value {
        let x = self.v(v);
        if self.b.func.dfg.value_type(x) == types::I8 { self.b.ins().uextend(types::I64, x) } else { x }
    }

    // ---- dispatch ---------------------------------------------------------------------------------------------

    fn inst(&mut self, i: &InstData) -> Result<(), CodegenError> {
        self.begin_bytecode(i);
        match i.op {
            Op::ConstInt | Op::ConstPtr => {
                let Imm::Int(n) = i.imm else { return bad(i) };
                let v = self.iconst(n);
                self.set(i, 0, v);
            }
            Op::ConstFloat => {
                let Imm::Float(bits) = i.imm else { return bad(i) };
                let v = self.b.ins().f64const(f64::from_bits(bits));
                self.set(i, 0, v);
            }
            Op::ConstBool => {
                let Imm::Bool(x) = i.imm else { return bad(i) };
                let v = self.b.ins().iconst(types::I8, i64::from(x));
                self.set(i, 0, v);
            }
            Op::ConstObj => {
                let Imm::Obj(id) = i.imm else { return bad(i) };
                let v = self.iconst(self.env.object(id) as i64);
                self.set(i, 0, v);
            }
            Op::Null => {
                let v = self.iconst(0);
                self.set(i, 0, v);
            }
            Op::Jump => {
                let t = &i.targets[0];
                let args = self.jump_args(i);
                self.jump(self.blocks[t.block.index()], &args);
            }
            Op::Branch => {
                let cond = self.arg(i, 0);
                let part = |l: &Self, n: usize| -> (ir::Block, Vec<BlockArg>) {
                    let t = &i.targets[n];
                    (l.blocks[t.block.index()], t.args.iter().map(|a| BlockArg::Value(l.v(*a))).collect())
                };
                let (yes, yes_args) = part(self, 0);
                let (no, no_args) = part(self, 1);
                self.b.ins().brif(cond, yes, &yes_args, no, &no_args);
            }
            Op::Return | Op::ReturnLocal => {
                let state = self.state(i)?.clone();
                self.set_instr_ptr(state.unit);
                if !state.stale.is_empty() {
                    // A frame that somebody keeps shows its last locals.
                    let (kept, done) = (self.cold_block(), self.new_block());
                    let (fr, offset) = (self.fr, self.env.offsets().fr_frame_obj);
                    let frame_obj = self.load(fr, offset);
                    self.b.ins().brif(frame_obj, kept, &[], done, &[]);
                    self.b.switch_to_block(kept);
                    self.sync_stale(&state)?;
                    self.jump(done, &[]);
                    self.b.switch_to_block(done);
                }
                let v = self.arg(i, 0);
                let v = if i.op == Op::Return { self.boxed_return(i, v)? } else { self.returned_local(i, v)? };
                let t = self.iconst(tag::RETURNED);
                self.b.ins().return_(&[t, v]);
            }
            Op::Yield => self.yield_(i)?,
            Op::Leave => {
                let key = ExitKey::leave(i)?;
                let exit = self.exit(key);
                self.jump(exit, &[]);
            }
            Op::Raise => {
                let key = ExitKey::raise(i, false)?;
                let exit = self.exit(key);
                self.jump(exit, &[]);
            }
            Op::LoadLocal
            | Op::StoreLocal
            | Op::TakeLocal
            | Op::PutLocal
            | Op::SyncInt
            | Op::SyncFloat
            | Op::SyncBool
            | Op::ReloadInt
            | Op::ReloadFloat
            | Op::ReloadBool
            | Op::LoadStack
            | Op::LoadWord
            | Op::ResetStack
            | Op::Own
            | Op::OwnNullable
            | Op::Drop
            | Op::Looked
            | Op::CheckBound => self.refs(i)?,
            Op::UnboxInt
            | Op::UnboxFloat
            | Op::UnboxNumber
            | Op::UnboxBool
            | Op::TrustInt
            | Op::TrustFloat
            | Op::BoxInt
            | Op::BoxFloat
            | Op::BoxBool
            | Op::IAddLeave
            | Op::ISubLeave
            | Op::IMulLeave
            | Op::IFloorDiv
            | Op::IMod
            | Op::IAnd
            | Op::IOr
            | Op::IXor
            | Op::IShl
            | Op::IShr
            | Op::INeg
            | Op::INot
            | Op::ICmp
            | Op::IToF
            | Op::FAdd
            | Op::FSub
            | Op::FMul
            | Op::FDiv
            | Op::FPow
            | Op::FNeg
            | Op::FCmp
            | Op::BNot
            | Op::Is
            | Op::IsNull
            | Op::PtrIs => self.numbers(i)?,
            Op::GuardType
            | Op::GuardVersion
            | Op::GuardClassVersion
            | Op::GuardIs
            | Op::GuardNotNull
            | Op::GuardTrue
            | Op::AttrInline
            | Op::AttrSlot
            | Op::AttrPeek
            | Op::GuardInline
            | Op::GuardPlain
            | Op::IntOverwrite
            | Op::GuardKeys
            | Op::GuardNoDict
            | Op::SetInline
            | Op::SetSlot
            | Op::GlobalModule
            | Op::GuardGlobals
            | Op::GlobalBuiltin
            | Op::GuardGlobalsAre
            | Op::GlobalCell
            | Op::GuardCellEmpty
            | Op::AttrModule
            | Op::Size
            | Op::DictLen
            | Op::StrLen
            | Op::ListGet
            | Op::TupleGet
            | Op::ListSet
            | Op::TupleItem
            | Op::CellGet
            | Op::CellSet
            | Op::FloatOverwrite
            | Op::RangeMore
            | Op::RangeNext
            | Op::ListNext
            | Op::TupleNext
            | Op::IterDone => self.heap(i)?,
            Op::ExcPush | Op::ExcPop | Op::ExcMatches | Op::ExcTrace | Op::ExcForget => self.exceptions(i)?,
            Op::CallObj
            | Op::CallStatus
            | Op::CallBool
            | Op::CallInt
            | Op::CallPair
            | Op::CallQuiet
            | Op::StackOp
            | Op::QuietOp
            | Op::Call
            | Op::CallPy
            | Op::CallPyRaw
            | Op::CallInit
            | Op::CallBound
            | Op::GuardCode
            | Op::FuncDefault
            | Op::FuncKwDefault
            | Op::RetInt
            | Op::RetFloat
            | Op::AwaitCall
            | Op::AwaitRaw
            | Op::AwaitTail
            | Op::AwaitWords
            | Op::IsAwaited
            | Op::PassCall
            | Op::Send
            | Op::Yielded
            | Op::GenNext
            | Op::Checkpoint
            | Op::Poll => self.calls(i)?,
        }
        Ok(())
    }

    /// Suspends: the stack goes to memory (all of it owned by construction), the value to the caller.
    fn yield_(&mut self, i: &InstData) -> Result<(), CodegenError> {
        let state = self.state(i)?.clone();
        self.spill(&state)?;
        self.set_instr_ptr(state.unit);
        let v = self.arg(i, 0);
        let t = self.iconst(tag::YIELDED);
        self.b.ins().return_(&[t, v]);
        Ok(())
    }

    /// Compares a word with a constant.
    pub fn is_const(&mut self, v: ir::Value, n: i64) -> ir::Value {
        let c = self.iconst(n);
        self.b.ins().icmp(IntCC::Equal, v, c)
    }
}

/// The front end made an instruction with the wrong immediate.
pub(crate) fn bad<T>(i: &InstData) -> Result<T, CodegenError> {
    Err(CodegenError::Backend(format!("{} with a wrong immediate", i.op.row().text)))
}
