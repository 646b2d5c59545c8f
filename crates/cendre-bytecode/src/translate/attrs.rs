//! Attributes, globals, cells, subscripts: CPython's own inline caches as guards and fixed-offset loads.
//!
//! Invariant: guards only read; the first write or new reference comes behind the last guard of the bytecode.

use super::state::{Kind, Val};
use super::{Refusal, Translator};
use crate::facts::{Const, ConstFact, ObjFact};
use crate::{Instr, Opcode};
use cendre_ir::{Cond, Imm, ObjId, Op, Type, Value};

/// Byte offset of the managed dict pointer, before the object.
const MANAGED_DICT: i64 = -24;
/// Byte offset of what a `classmethod` or `staticmethod` wraps.
const WRAPPED: i64 = 16;

impl Translator<'_> {
    pub fn load_attr(&mut self, i: &Instr) -> Result<(), Refusal> {
        let owner = self.peek(1)?;
        let method = i.arg & 1 != 0;
        let name = *self.code.names.get((i.arg >> 1) as usize).ok_or_else(|| Refusal::new("name out of range"))?;
        let op = self.opcode(i);
        let cache = i.load_attr_cache();
        if owner.kind == Kind::Object
            && let Some(c) = cache
        {
            let state = self.before();
            let version = Imm::Int(i64::from(c.version));
            use Opcode::*;
            let value: Option<Val> = match op {
                LoadAttrInstanceValue if c.version != 0 => {
                    self.emit(Op::GuardVersion, version, &[owner.v], 0, Some(state));
                    self.guard_inline(owner, c.version, state);
                    let v = self.value(Op::AttrInline, Imm::Int(i64::from(c.index)), &[owner.v], Some(state));
                    Some(self.duplicate(Val::object(v, false)))
                }
                LoadAttrSlot if c.version != 0 => {
                    self.emit(Op::GuardVersion, version, &[owner.v], 0, Some(state));
                    let v = self.value(Op::AttrSlot, Imm::Int(i64::from(c.index)), &[owner.v], Some(state));
                    Some(self.duplicate(Val::object(v, false)))
                }
                LoadAttrModule if c.version != 0 && self.known.module != 0 => {
                    let o = self.value(Op::GuardType, Imm::Obj(ObjId(self.known.module)), &[owner.v], Some(state));
                    let at = Imm::IntInt(i64::from(c.version), i64::from(c.index));
                    let v = self.value(Op::AttrModule, at, &[o], Some(state));
                    Some(self.duplicate(Val::object(v, false)))
                }
                LoadAttrMethodWithValues | LoadAttrNondescriptorWithValues if c.version != 0 && c.descr != 0 => {
                    self.emit(Op::GuardVersion, version, &[owner.v], 0, Some(state));
                    self.guard_inline(owner, c.version, state);
                    self.emit(Op::GuardKeys, Imm::Int(i64::from(c.keys_version)), &[owner.v], 0, Some(state));
                    Some(self.descriptor(c.descr))
                }
                LoadAttrMethodNoDict | LoadAttrNondescriptorNoDict if c.version != 0 && c.descr != 0 => {
                    self.emit(Op::GuardVersion, version, &[owner.v], 0, Some(state));
                    Some(self.descriptor(c.descr))
                }
                LoadAttrMethodLazyDict if c.version != 0 && c.descr != 0 => {
                    self.emit(Op::GuardVersion, version, &[owner.v], 0, Some(state));
                    // The dict pointer need not be the managed one (exceptions, partial): the cache has its distance from that.
                    let at = MANAGED_DICT + i64::from(c.keys_version & 0xffff);
                    self.emit(Op::GuardNoDict, Imm::Int(at), &[owner.v], 0, Some(state));
                    Some(self.descriptor(c.descr))
                }
                LoadAttrClass | LoadAttrClassWithMetaclassCheck if c.version != 0 && c.descr != 0 => self.of_class(owner, op, &c, state),
                _ => None,
            };
            if let Some(value) = value {
                let is_method = matches!(op, LoadAttrMethodWithValues | LoadAttrMethodNoDict | LoadAttrMethodLazyDict);
                self.pop()?;
                if is_method {
                    // CPython's compiler has proven that what it lends here is there until the call.
                    self.stack.push(value);
                    self.stack.push(owner);
                } else {
                    self.stack.push(value);
                    if method {
                        let null = self.value(Op::Null, Imm::None, &[], None);
                        self.stack.push(Val::null(null));
                    }
                    self.drop_below(owner, 1 + usize::from(method));
                }
                return Ok(());
            }
        }
        if method && owner.kind == Kind::Object && op == Opcode::LoadAttr && self.through_class(i, owner, name)? {
            return Ok(());
        }
        // Several classes, or a kind of attribute without a guard of its own.
        if owner.kind == Kind::Object
            && let Some(cache) = self.facts.attr_cache(i.offset)
        {
            use Opcode::*;
            // Without a version what the cache names may be gone.
            let usual = i.load_attr_cache().filter(|c| c.version != 0).map_or(0, |c| c.descr);
            let is_method = matches!(i.op, LoadAttrMethodWithValues | LoadAttrMethodNoDict | LoadAttrMethodLazyDict);
            // Its guard leaves at the next instruction, and is counted there.
            if method && is_method && usual != 0 && !owner.own && !self.facts.is_generic(i.next) {
                return self.load_method_cached(i, owner, name, cache, usual);
            }
            return self.load_attr_cached(owner, name, cache, method);
        }
        if method {
            return self.stack_op_named(i, "op_load_attr", 1, 2);
        }
        let n = self.const_obj(name.0);
        self.generic_call(Op::CallObj, "get_attr", 1, &[n])
    }

    /// An attribute of one class that the class itself is asked for.
    fn of_class(&mut self, owner: Val, op: Opcode, c: &crate::decode::LoadAttrCache, state: cendre_ir::State) -> Option<Val> {
        let class = self.facts.type_version(c.version)?;
        self.emit(Op::GuardIs, Imm::Obj(class), &[owner.v], 0, Some(state));
        self.emit(Op::GuardClassVersion, Imm::Int(i64::from(c.version)), &[owner.v], 0, Some(state));
        if op == Opcode::LoadAttrClassWithMetaclassCheck {
            // A metaclass that can change, and that has no such attribute now.
            self.emit(Op::GuardVersion, Imm::Int(i64::from(c.keys_version)), &[owner.v], 0, Some(state));
        }
        match self.facts.constant(ObjId(c.descr)) {
            Const::Other => Some(self.descriptor(c.descr)),
            value => Some(self.constant_object(ConstFact { id: ObjId(c.descr), value })),
        }
    }

    /// `C.f(...)` of a class method or static method of a global class: without the bound method, and perhaps called directly. Whether it was.
    fn through_class(&mut self, i: &Instr, owner: Val, name: ObjId) -> Result<bool, Refusal> {
        let Some(class) = owner.id().filter(|_| !self.facts.is_generic(i.offset)) else { return Ok(false) };
        let Some(found) = self.facts.through_class(class, name) else { return Ok(false) };
        let state = self.before();
        self.emit(Op::GuardIs, Imm::Obj(class), &[owner.v], 0, Some(state));
        self.emit(Op::GuardClassVersion, Imm::Int(i64::from(found.version)), &[owner.v], 0, Some(state));
        let wrapper = self.const_obj(found.wrapper.0);
        let inner = self.value(Op::AttrPeek, Imm::Int(WRAPPED), &[wrapper], None);
        self.emit(Op::GuardIs, Imm::Obj(found.function), &[inner], 0, Some(state));
        let function = self.descriptor(found.function.0);
        self.pop()?;
        self.stack.push(function);
        if found.takes_class {
            self.stack.push(owner);
        } else {
            let null = self.value(Op::Null, Imm::None, &[], None);
            self.stack.push(Val::null(null));
            self.drop_below(owner, 2);
        }
        Ok(true)
    }

    /// The same for a site that has always found methods: what is no method leaves behind the look-up, and the call may be direct.
    fn load_method_cached(&mut self, i: &Instr, owner: Val, name: ObjId, cache: u64, usual: u64) -> Result<(), Refusal> {
        let name = self.const_obj(name.0);
        let cache = self.constant(Op::ConstPtr, Imm::Int(cache as i64));
        self.observe();
        let state = self.raising();
        let pair = self.emit_many(Op::CallPair, Imm::Helper("get_method_cached"), &[owner.v, name, cache], 0, Some(state), 0);
        let [tag, callable] = pair[..] else { return Ok(()) };
        self.f.set_type(callable, Type::OBJECT);
        self.pop()?;
        let callable = Val { likely: Some(usual), ..Val::object(callable, true) };
        let null = self.value(Op::Null, Imm::None, &[], None);
        self.stack.push(callable);
        self.stack.push(Val::null(null));
        let behind = self.state_at(i.next);
        self.stack.pop();
        let is_method = self.value(Op::PtrIs, Imm::Int(0), &[tag], None);
        self.emit(Op::GuardTrue, Imm::None, &[is_method], 0, Some(behind));
        self.stack.push(owner);
        for l in &mut self.locals {
            l.cached = None;
        }
        self.observed();
        Ok(())
    }

    /// LOAD_ATTR through a polymorphic inline cache of the runtime.
    fn load_attr_cached(&mut self, owner: Val, name: ObjId, cache: u64, method: bool) -> Result<(), Refusal> {
        let name = self.const_obj(name.0);
        let cache = self.constant(Op::ConstPtr, Imm::Int(cache as i64));
        if !method {
            return self.generic_call(Op::CallObj, "get_attr_cached", 1, &[name, cache]);
        }
        self.observe();
        let state = self.raising();
        let pair = self.emit_many(Op::CallPair, Imm::Helper("get_method_cached"), &[owner.v, name, cache], 0, Some(state), 0);
        let [tag, callable] = pair[..] else { return Ok(()) };
        self.f.set_type(callable, Type::OBJECT);
        self.pop()?;
        // A method keeps the owner as its first argument; anything else drops it.
        let is_method = self.value(Op::PtrIs, Imm::Int(0), &[tag], None);
        let (bound, free) = self.branch(is_method);
        let behind = self.f.block();
        let me = self.f.param(behind, Type::OBJECT_OR_NULL);
        self.at = Some(bound);
        let own = self.make_own(owner);
        self.jump_to(self.at.unwrap_or(bound), behind, vec![own.v]);
        self.at = Some(free);
        self.stack.push(Val::object(callable, true));
        self.drop_values(&[owner]);
        self.stack.pop();
        let null = self.value(Op::Null, Imm::None, &[], None);
        self.jump_to(self.at.unwrap_or(free), behind, vec![null]);
        self.at = Some(behind);
        self.stack.push(Val::object(callable, true));
        self.stack.push(Val::nullable(me, true));
        for l in &mut self.locals {
            l.cached = None;
        }
        self.observed();
        Ok(())
    }

    /// Drops a value that is popped already while its results are on the stack.
    fn drop_below(&mut self, v: Val, _results: usize) {
        self.drop_values(&[v]);
    }

    /// A method or class attribute that a cache names: owned, and known for as long as the guard before it holds.
    fn descriptor(&mut self, descr: u64) -> Val {
        let v = self.const_obj(descr);
        let v = self.duplicate(Val::object(v, false));
        Val { likely: Some(descr), ..v }
    }

    pub fn store_attr(&mut self, i: &Instr) -> Result<(), Refusal> {
        // Stack: value, owner.
        let (value, owner) = (self.peek(2)?, self.peek(1)?);
        let name = *self.code.names.get(i.arg as usize).ok_or_else(|| Refusal::new("name out of range"))?;
        let op = self.opcode(i);
        if let (Kind::Object, Some(c)) = (owner.kind, i.store_attr_cache().filter(|c| c.version != 0)) {
            let offset = i64::from(c.index);
            let fast = match op {
                Opcode::StoreAttrInstanceValue => Some(Op::SetInline),
                Opcode::StoreAttrSlot => Some(Op::SetSlot),
                _ => None,
            };
            if let Some(set) = fast {
                let state = self.before();
                self.emit(Op::GuardVersion, Imm::Int(i64::from(c.version)), &[owner.v], 0, Some(state));
                if set == Op::SetInline {
                    self.guard_inline(owner, c.version, state);
                    self.emit(Op::GuardNoDict, Imm::Int(MANAGED_DICT), &[owner.v], 0, Some(state));
                }
                if self.is_unseen(value) {
                    self.store_number(set, offset, value, owner, state);
                    return Ok(());
                }
                // All guards before the value gets its new reference.
                let value = self.make_own(value);
                let old = self.value(set, Imm::Int(offset), &[owner.v, value.v], None);
                self.stack.truncate(self.stack.len() - 2);
                self.drop_values(&[Val::nullable(old, true), owner]);
                return Ok(());
            }
        }
        self.observe();
        let (value, owner) = (self.to_object(value), self.to_object(owner));
        self.stack.truncate(self.stack.len() - 2);
        let n = self.const_obj(name.0);
        let own = u64::from(owner.own) | u64::from(value.own) << 2;
        let state = self.raising();
        match self.facts.attr_cache(i.offset) {
            Some(cache) => {
                let cache = self.constant(Op::ConstPtr, Imm::Int(cache as i64));
                let args = [owner.v, n, value.v, cache];
                self.emit(Op::CallStatus, Imm::Helper("set_attr_cached"), &args, own, Some(state));
            }
            None => {
                self.emit(Op::CallStatus, Imm::Helper("store_attr"), &[owner.v, n, value.v], own, Some(state));
            }
        }
        self.observed();
        Ok(())
    }

    fn guard_inline(&mut self, owner: Val, version: u32, state: cendre_ir::State) {
        let size = self.facts.basic_size(version).unwrap_or(0);
        self.emit(Op::GuardInline, Imm::Int(i64::from(size)), &[owner.v], 0, Some(state));
    }

    /// Is it a number that nobody has seen as an object yet, and that may need a box of its own?
    fn is_unseen(&self, v: Val) -> bool {
        matches!(v.kind, Kind::Int | Kind::Float) && v.home.is_none() && v.of.is_none() && !self.is_small(v.v)
    }

    /// STORE_ATTR of such a number: into the old one, if only the attribute refers to that.
    fn store_number(&mut self, set: Op, offset: i64, value: Val, owner: Val, state: cendre_ir::State) {
        let old = self.value(Op::AttrPeek, Imm::Int(offset), &[owner.v], None);
        let op = if value.kind == Kind::Float { Op::FloatOverwrite } else { Op::IntOverwrite };
        let done = self.value(op, Imm::None, &[old, value.v], None);
        let (written, other) = self.branch(done);
        let behind = self.f.block();
        self.jump_to(written, behind, vec![]);
        self.f.blocks[other.index()].cold = true;
        self.at = Some(other);
        // What goes is plain, so that both ways know the same of the world behind.
        self.emit(Op::GuardPlain, Imm::None, &[old], 0, Some(state));
        let number = self.make_own(value);
        let old = self.value(set, Imm::Int(offset), &[owner.v, number.v], None);
        let state = self.dropping(true);
        self.emit(Op::Drop, Imm::None, &[old], 0, Some(state));
        self.jump_to(other, behind, vec![]);
        self.at = Some(behind);
        self.stack.truncate(self.stack.len() - 2);
        self.drop_values(&[owner]);
    }

    /// The moment before the current instruction, with the stack as it is now (entries may have been boxed or owned meanwhile).
    pub fn state_here(&mut self) -> cendre_ir::State {
        let start = self.now.start;
        let unit = self.now.offset;
        let s = self.state_at(unit);
        self.f.states[s.index()].resume = start;
        s
    }

    pub fn load_global(&mut self, i: &Instr) -> Result<(), Refusal> {
        let null = i.arg & 1 != 0;
        let op = self.opcode(i);
        let name = *self.code.names.get((i.arg >> 1) as usize).ok_or_else(|| Refusal::new("name out of range"))?;
        if self.reads_globals
            && !self.facts.is_generic(i.offset)
            && let Some(cells) = self.facts.global_cells(name)
        {
            let state = self.before();
            let at = if cells.in_module {
                cells.module
            } else {
                self.emit(Op::GuardCellEmpty, Imm::Int(cells.module as i64), &[], 0, Some(state));
                cells.builtin
            };
            let v = self.value(Op::GlobalCell, Imm::Int(at as i64), &[], Some(state));
            let v = self.duplicate(Val::object(v, false));
            self.stack.push(Val { likely: Some(cells.value.0), ..v });
            if null {
                let n = self.value(Op::Null, Imm::None, &[], None);
                self.stack.push(Val::null(n));
            }
            return Ok(());
        }
        if let Some(c) = i.load_global_cache() {
            let state = self.before();
            let fast = match op {
                Opcode::LoadGlobalModule => {
                    let at = Imm::IntInt(i64::from(c.module_keys_version), i64::from(c.index));
                    let v = self.value(Op::GlobalModule, at, &[], Some(state));
                    Some((v, self.facts.global(false, u32::from(c.module_keys_version), u32::from(c.index))))
                }
                Opcode::LoadGlobalBuiltin => {
                    self.emit(Op::GuardGlobals, Imm::Int(i64::from(c.module_keys_version)), &[], 0, Some(state));
                    let at = Imm::IntInt(i64::from(c.builtin_keys_version), i64::from(c.index));
                    let v = self.value(Op::GlobalBuiltin, at, &[], Some(state));
                    Some((v, self.facts.global(true, u32::from(c.builtin_keys_version), u32::from(c.index))))
                }
                _ => None,
            };
            if let Some((v, likely)) = fast {
                let v = self.duplicate(Val::object(v, false));
                self.stack.push(Val { likely: likely.map(|o| o.0), ..v });
                if null {
                    let n = self.value(Op::Null, Imm::None, &[], None);
                    self.stack.push(Val::null(n));
                }
                return Ok(());
            }
        }
        self.stack_op_named(i, "op_load_global", 0, 1 + usize::from(null))
    }

    pub fn load_deref(&mut self, i: &Instr) -> Result<(), Refusal> {
        if i.arg >= self.code.nlocalsplus {
            return Err(Refusal::new("local out of range"));
        }
        let state = self.before();
        let cell = self.value(Op::LoadLocal, Imm::Slot(i.arg), &[], None);
        // An unset cell raises: in the interpreter's words.
        let cell = self.value(Op::GuardNotNull, Imm::None, &[cell], Some(state));
        let v = self.value(Op::CellGet, Imm::None, &[cell], None);
        let v = self.value(Op::GuardNotNull, Imm::None, &[v], Some(state));
        let v = self.duplicate(Val::object(v, false));
        self.stack.push(v);
        Ok(())
    }

    pub fn store_deref(&mut self, i: &Instr) -> Result<(), Refusal> {
        if i.arg >= self.code.nlocalsplus {
            return Err(Refusal::new("local out of range"));
        }
        let v = self.peek(1)?;
        let v = self.make_own(v);
        self.pop()?;
        let cell = self.value(Op::LoadLocal, Imm::Slot(i.arg), &[], None);
        self.f.set_type(cell, Type::OBJECT);
        let old = self.value(Op::CellSet, Imm::None, &[cell, v.v], None);
        self.drop_values(&[Val::nullable(old, true)]);
        Ok(())
    }

    /// BINARY_OP's subscript: `left[right]`.
    pub fn subscript(&mut self, i: &Instr, op: Opcode, left: Val, right: Val) -> Result<(), Refusal> {
        let class = match op {
            Opcode::BinaryOpSubscrListInt => Some((self.known.list, Op::ListGet)),
            Opcode::BinaryOpSubscrTupleInt => Some((self.known.tuple, Op::TupleGet)),
            Opcode::BinaryOp if !self.facts.is_generic(i.offset) && self.number_kind(right) == Some(Kind::Int) => match left.class {
                Some(c) if c == self.known.list => Some((c, Op::ListGet)),
                Some(c) if c == self.known.tuple => Some((c, Op::TupleGet)),
                _ => None,
            },
            _ => None,
        };
        if let (Some((class, get)), Kind::Object) = (class, left.kind)
            && let Some(o) = self.guarded(left, class)
            && let Some(n) = self.to_int(right)
        {
            let state = self.before();
            let v = self.value(get, Imm::None, &[o, n], Some(state));
            let v = self.duplicate(Val::object(v, false));
            self.stack.truncate(self.stack.len() - 2);
            self.stack.push(v);
            self.drop_values(&[Val { class: Some(self.known.int), ..right }, left]);
            return Ok(());
        }
        self.generic_binary("subscr", &[])
    }

    /// The object, guarded to be exactly of a class (unless known); `None` if it is known to be of another.
    pub fn guarded(&mut self, v: Val, class: u64) -> Option<Value> {
        match v.class {
            Some(c) if c == class => Some(v.v),
            Some(_) => None,
            None => {
                let state = self.before();
                let o = self.value(Op::GuardType, Imm::Obj(ObjId(class)), &[v.v], Some(state));
                if let Some(home) = v.home
                    && let Some(c) = &mut self.locals[home as usize].cached
                    && c.v == v.v
                {
                    c.class = Some(class);
                    c.v = o;
                }
                Some(o)
            }
        }
    }

    pub fn store_subscr(&mut self, i: &Instr) -> Result<(), Refusal> {
        // Stack: value, container, key.
        let (value, container, key) = (self.peek(3)?, self.peek(2)?, self.peek(1)?);
        let op = self.opcode(i);
        if op == Opcode::StoreSubscrListInt && container.kind == Kind::Object {
            let list = self.known.list;
            if let Some(o) = self.guarded(container, list)
                && let Some(n) = self.to_int(key)
            {
                // Bounds first (a read), then the new reference, then the store, which cannot leave any more.
                let state = self.before();
                let old = self.value(Op::ListGet, Imm::None, &[o, n], Some(state));
                // A number that nobody has seen as an object yet goes into the old float, if only the list has that.
                let behind = if value.kind == Kind::Float && value.home.is_none() && value.of.is_none() {
                    self.trace();
                    let done = self.value(Op::FloatOverwrite, Imm::None, &[old, value.v], None);
                    let (written, other) = self.branch(done);
                    let behind = self.f.block();
                    self.at = Some(written);
                    let stack = self.stack.clone();
                    self.stack.truncate(stack.len() - 3);
                    self.drop_values(&[container, key]);
                    self.check_looked(i.next);
                    self.jump_to(self.at.unwrap_or(written), behind, vec![]);
                    self.stack = stack;
                    self.f.blocks[other.index()].cold = true;
                    self.at = Some(other);
                    Some(behind)
                } else {
                    None
                };
                let value = self.make_own(value);
                let top = self.stack.len();
                self.stack[top - 3] = value;
                let state = self.state_here();
                let old = self.value(Op::ListSet, Imm::None, &[o, n, value.v], Some(state));
                self.stack.truncate(top - 3);
                self.drop_values(&[Val::object(old, true), container, key]);
                if let Some(behind) = behind {
                    self.check_looked(i.next);
                    self.jump_to(self.at.unwrap_or(behind), behind, vec![]);
                    self.at = Some(behind);
                    for l in &mut self.locals {
                        l.cached = None;
                    }
                }
                return Ok(());
            }
        }
        self.observe();
        let (value, container, key) = (self.to_object(value), self.to_object(container), self.to_object(key));
        self.stack.truncate(self.stack.len() - 3);
        let own = u64::from(container.own) | u64::from(key.own) << 1 | u64::from(value.own) << 2;
        let state = self.raising();
        self.emit(Op::CallStatus, Imm::Helper("store_subscr"), &[container.v, key.v, value.v], own, Some(state));
        self.observed();
        Ok(())
    }

    pub fn unpack_sequence(&mut self, i: &Instr) -> Result<(), Refusal> {
        let v = self.peek(1)?;
        let op = self.opcode(i);
        let n = i.arg as usize;
        let class = match op {
            Opcode::UnpackSequenceTwoTuple | Opcode::UnpackSequenceTuple => Some(self.known.tuple),
            Opcode::UnpackSequenceList => Some(self.known.list),
            _ => v.class.filter(|c| *c == self.known.tuple && !self.facts.is_generic(i.offset)),
        };
        if let (Some(class), Kind::Object, true) = (class, v.kind, n <= 16)
            && let Some(o) = self.guarded(v, class)
        {
            let state = self.before();
            let size = self.value(Op::Size, Imm::None, &[o], None);
            let wanted = self.const_int(n as i64);
            let same = self.value(Op::ICmp, Imm::Cond(Cond::Eq), &[size, wanted], None);
            self.emit(Op::GuardTrue, Imm::None, &[same], 0, Some(state));
            self.pop()?;
            // All are read before the first is owned: reading from a list may leave, by its state without what is owned here.
            let mut items = Vec::with_capacity(n);
            for k in (0..n).rev() {
                items.push(if class == self.known.tuple {
                    self.value(Op::TupleItem, Imm::Int(k as i64), &[o], None)
                } else {
                    let at = self.const_int(k as i64);
                    self.value(Op::ListGet, Imm::None, &[o, at], Some(state))
                });
            }
            for item in items {
                let item = self.duplicate(Val::object(item, false));
                self.stack.push(item);
            }
            self.drop_values(&[v]);
            return Ok(());
        }
        self.stack_op_named(i, "op_unpack_sequence", 1, n)
    }

    /// LIST_APPEND and its kin: a container further down takes the top value(s).
    pub fn append_like(&mut self, i: &Instr, name: &'static str, values: usize) -> Result<(), Refusal> {
        let container = self.peek(values + i.arg as usize)?;
        let quiet = name == "list_append";
        if !quiet {
            self.observe();
        }
        let first = self.stack.len() - values;
        let mut args = vec![container.v];
        let mut own = 0;
        for k in 0..values {
            let v = self.stack[first + k];
            // list_append steals; the others borrow.
            let o = if quiet { self.make_own(v) } else { self.to_object(v) };
            self.stack[first + k] = o;
            own |= u64::from(o.own && !quiet) << (k + 1);
            args.push(o.v);
        }
        self.stack.truncate(first);
        let state = self.raising();
        self.emit(Op::CallStatus, Imm::Helper(name), &args, own, Some(state));
        if !quiet {
            self.observed();
        }
        Ok(())
    }

    /// DICT_MERGE: the callable for the message lies further down.
    /// `f(*a, **local)`: BUILD_MAP 0, LOAD_FAST, DICT_MERGE, CALL_FUNCTION_EX. Nothing can leave between the first and the third.
    pub fn spreads(&self, i: &Instr) -> bool {
        let n = self.flow.index_of(i.start);
        let Some([load, merge, call]) = self.instrs.get(n + 1..n + 4) else { return false };
        i.arg == 0
            && matches!(load.base, Opcode::LoadFast | Opcode::LoadFastBorrow)
            && merge.base == Opcode::DictMerge
            && merge.arg == 1
            && call.base == Opcode::CallFunctionEx
            && ![load, merge].iter().any(|i| self.flow.is_leader(i.start))
    }

    pub fn dict_merge(&mut self, i: &Instr) -> Result<(), Refusal> {
        // Stack: callable, unused, unused, dict, unused[oparg - 1], update.
        let dict = self.peek(1 + i.arg as usize)?;
        let callable = self.peek(4 + i.arg as usize)?;
        self.observe();
        let update = self.to_object(self.peek(1)?);
        self.pop()?;
        if dict.kind == Kind::Null {
            // See `spreads`: a dict of its own, or null where it would be empty.
            self.pop()?;
            let state = self.raising();
            let own = u64::from(update.own) << 1;
            let pair = self.emit_many(Op::CallPair, Imm::Helper("spread_map"), &[callable.v, update.v], own, Some(state), 0);
            let [_, v] = pair[..] else { return Ok(()) };
            self.stack.push(Val::nullable(v, true));
            self.observed();
            return Ok(());
        }
        let state = self.raising();
        let own = u64::from(update.own) << 1;
        self.emit(Op::CallStatus, Imm::Helper("dict_merge"), &[dict.v, update.v, callable.v], own, Some(state));
        self.observed();
        Ok(())
    }

    /// The function that an object probably is.
    pub fn likely_function(&self, v: Val) -> Option<crate::facts::FunctionFact> {
        match self.facts.object(v.id()?) {
            ObjFact::Function(f) => Some(f),
            _ => None,
        }
    }
}
