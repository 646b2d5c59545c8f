//! What is usual of some helpers, in line: attributes at the place that their cache names, `isinstance` of the class itself.
//!
//! The helper is called for all else, so machine code here only has to know when it may answer by itself. Nothing in line runs unknown
//! code, but for the end of what a write replaces. Read `attr_front.rs`.

use super::{Lower, Ret};
use crate::CodegenError;
use crate::attr_front::AttrFront;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, condcodes::IntCC, types};
use std::mem::offset_of;

const FIRST: i32 = offset_of!(AttrFront, versions) as i32;
const OFFSET: i32 = offset_of!(AttrFront, offset) as i32;
const VALID_AT: i32 = offset_of!(AttrFront, valid_at) as i32;
const ALWAYS: i32 = offset_of!(AttrFront, always) as i32;

impl Lower<'_> {
    /// Goes to `slow` unless the front of the cache knows the object's class.
    fn known_to_front(&mut self, o: ir::Value, cache: ir::Value, slow: ir::Block) {
        let off = *self.env.offsets();
        let class = self.load(o, off.ob_type);
        let version = self.load32(class, off.tp_version_tag);
        let (first, second) = (self.load32(cache, FIRST), self.load32(cache, FIRST + 4));
        let first = self.b.ins().icmp(IntCC::Equal, version, first);
        let second = self.b.ins().icmp(IntCC::Equal, version, second);
        let known = self.b.ins().bor(first, second);
        self.branch_unless(known, slow);
    }

    /// The address of a word that the cache gives as an offset.
    fn place_in(&mut self, o: ir::Value, cache: ir::Value, at: i32) -> ir::Value {
        let offset = self.load32(cache, at);
        let offset = self.b.ins().uextend(types::I64, offset);
        self.b.ins().iadd(o, offset)
    }

    /// `get_attr_cached(object, name, cache)`: a new reference, or null.
    pub(super) fn get_attr_cached(&mut self, args: &[ir::Value]) -> Result<ir::Value, CodegenError> {
        let (o, cache) = (args[0], args[2]);
        let (slow, done) = (self.cold_block(), self.new_block());
        let result = self.b.append_block_param(done, types::I64);
        self.known_to_front(o, cache, slow);
        let valid = self.place_in(o, cache, VALID_AT);
        let valid = self.load8(valid, 0);
        let always = self.load8(cache, ALWAYS);
        let usable = self.b.ins().bor(valid, always);
        self.branch_unless(usable, slow);
        let place = self.place_in(o, cache, OFFSET);
        let value = self.load(place, 0);
        self.branch_unless(value, slow);
        self.incref(value);
        self.jump(done, &[value]);
        self.b.switch_to_block(slow);
        let r = self.call_helper("get_attr_cached", args, Ret::Word)?[0];
        self.jump(done, &[r]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// `set_attr_cached(object, name, value, cache)`: 0 or -1.
    pub(super) fn set_attr_cached(&mut self, args: &[ir::Value]) -> Result<ir::Value, CodegenError> {
        let (o, value, cache) = (args[0], args[2], args[3]);
        let (slow, done) = (self.cold_block(), self.new_block());
        let result = self.b.append_block_param(done, types::I32);
        self.known_to_front(o, cache, slow);
        let place = self.place_in(o, cache, OFFSET);
        let old = self.load(place, 0);
        self.incref(value);
        self.store(value, place, 0);
        let fine = self.b.ins().iconst(types::I32, 0);
        let some = self.new_block();
        self.b.ins().brif(old, some, &[], done, &[BlockArg::Value(fine)]);
        self.b.switch_to_block(some);
        // All is current already: the bytecode's helper might run anything.
        self.decref(old, false, None)?;
        self.jump(done, &[fine]);
        self.b.switch_to_block(slow);
        let r = self.call_helper("set_attr_cached", args, Ret::I32)?[0];
        self.jump(done, &[r]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// `is_instance(object, class)`: 1, 0 or -1. An object's own class is never asked by `__instancecheck__`.
    pub(super) fn is_instance(&mut self, args: &[ir::Value]) -> Result<ir::Value, CodegenError> {
        let (slow, done) = (self.cold_block(), self.new_block());
        let result = self.b.append_block_param(done, types::I32);
        let offset = self.env.offsets().ob_type;
        let class = self.load(args[0], offset);
        let same = self.b.ins().icmp(IntCC::Equal, class, args[1]);
        let yes = self.b.ins().iconst(types::I32, 1);
        self.b.ins().brif(same, done, &[BlockArg::Value(yes)], slow, &[]);
        self.b.switch_to_block(slow);
        let r = self.call_helper("is_instance", args, Ret::I32)?[0];
        self.jump(done, &[r]);
        self.b.switch_to_block(done);
        Ok(result)
    }
}
