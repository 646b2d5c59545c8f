//! Calls with defaults, keywords, `*args` and `**kwargs` of a function whose parameters are known: bound when compiled.
//!
//! Which argument goes to which parameter depends on the callee's code object and on how many defaults its function has: guards see to
//! both, then a `call.bound` fills the parameters' slots. What cannot be so (a missing argument, a name that no parameter has) is left to the
//! ordinary call, which words the TypeError. Invariant: guards come before the first reference is made; arguments keep the
//! order in which they were evaluated until then.

use super::state::{Kind, Val};
use super::{Refusal, Translator, flag};
use crate::Instr;
use crate::facts::{FunctionFact, Parameters};
use cendre_ir::{Imm, InstData, ObjId, Op};

/// Slots that are filled at most.
const MOST_SLOTS: usize = 30;

/// Where a parameter's value comes from.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Source {
    /// Number of an argument, `self` included.
    Argument(usize),
    Default(u32),
    KeywordDefault(ObjId),
    /// The tuple of `*args`, the dict of `**kwargs`: made last, from what is on top.
    Tuple,
    Dict,
}

/// How a call is bound.
struct Plan {
    slots: Vec<Source>,
    /// Positional arguments for `*args`, keyword arguments for `**kwargs`: the last ones on the stack.
    surplus: usize,
    surplus_names: Vec<ObjId>,
}

/// `given` positional arguments and then those of `names`; `None`: the ordinary way.
fn plan(p: &Parameters, defaults: Option<u32>, given: usize, names: &[ObjId]) -> Option<Plan> {
    let (argcount, total) = (p.argcount as usize, (p.argcount + p.kwonly) as usize);
    let mut slots: Vec<Option<Source>> = vec![None; total];
    for k in 0..given.min(argcount) {
        slots[k] = Some(Source::Argument(k));
    }
    let surplus = given.saturating_sub(argcount);
    if surplus > 0 && (!p.varargs || !names.is_empty()) {
        return None;
    }
    let mut surplus_names = Vec::new();
    for (k, name) in names.iter().enumerate() {
        match p.names.iter().skip(p.posonly as usize).position(|n| n == name).map(|n| n + p.posonly as usize) {
            Some(slot) if slots[slot].is_none() && surplus_names.is_empty() => slots[slot] = Some(Source::Argument(given + k)),
            None if p.varkeywords => surplus_names.push(*name),
            _ => return None,
        }
    }
    let mut out = Vec::with_capacity(total + 2);
    for (n, slot) in slots.into_iter().enumerate() {
        out.push(match slot {
            Some(source) => source,
            None if n >= argcount => Source::KeywordDefault(p.names[n]),
            None => Source::Default((n as u32 + defaults?).checked_sub(p.argcount)?),
        });
    }
    out.extend(p.varargs.then_some(Source::Tuple));
    out.extend(p.varkeywords.then_some(Source::Dict));
    (out.len() <= MOST_SLOTS && given + names.len() <= MOST_SLOTS).then_some(Plan { slots: out, surplus, surplus_names })
}

impl Translator<'_> {
    /// CALL or CALL_KW of `n` arguments, the last ones with `names`; false: nothing was done.
    pub fn bound_call(&mut self, i: &Instr, n: usize, names: Option<Vec<ObjId>>) -> Result<bool, Refusal> {
        let above = usize::from(names.is_some());
        let (callable, me) = (self.peek(n + 2 + above)?, self.peek(n + 1 + above)?);
        let names = names.unwrap_or_default();
        let has_self = match me.kind {
            Kind::Null => 0,
            Kind::Object => 1,
            _ => return Ok(false),
        };
        if self.facts.is_generic(i.offset) || callable.kind != Kind::Object || n < names.len() {
            return Ok(false);
        }
        let Some(function) = self.function_called(i, callable).filter(|f| f.flags & flag::ANY_GENERATOR == 0) else { return Ok(false) };
        let FunctionFact { code, defaults, .. } = function;
        let Some(plan) = self.facts.parameters(code).and_then(|p| plan(&p, defaults, n - names.len() + has_self, &names)) else {
            return Ok(false);
        };
        // A dict's names and values stand on the frame's stack while it is made, twice the words that the instruction itself has there;
        // a generator's frame ends with its stack, and what follows is somebody else's memory.
        if 2 * plan.surplus_names.len() > self.code.stack_size as usize {
            return Ok(false);
        }
        let state = self.before();
        self.emit(Op::GuardCode, Imm::Obj(code), &[callable.v], 0, Some(state));
        let mut values: Vec<Option<Val>> = Vec::with_capacity(plan.slots.len());
        for source in &plan.slots {
            values.push(match source {
                Source::Default(k) => {
                    let at = Imm::IntInt(i64::from(*k), i64::from(defaults.unwrap_or(0)));
                    let v = self.value(Op::FuncDefault, at, &[callable.v], Some(state));
                    Some(Val::object(v, false))
                }
                Source::KeywordDefault(name) => {
                    let v = self.value(Op::FuncKwDefault, Imm::Obj(*name), &[callable.v], None);
                    let v = self.value(Op::GuardNotNull, Imm::None, &[v], Some(state));
                    Some(Val::object(v, false))
                }
                _ => None,
            });
        }
        self.observe();
        if above == 1 {
            self.pop()?;
        }
        // Surplus arguments are on top: of one kind only.
        let mut made = Vec::new();
        if plan.slots.contains(&Source::Tuple) {
            let v = self.gathered("op_build_tuple", plan.surplus as i64, plan.surplus, &[])?;
            made.push(Val { class: Some(self.known.tuple), ..v });
        }
        if plan.slots.contains(&Source::Dict) {
            let n = plan.surplus_names.len();
            // Without memory for the dict the tuple ends with the stack, where it stands in for its items; an empty one is immortal.
            let below = made.first().copied().filter(|_| plan.surplus > 0);
            self.stack.extend(below);
            let v = self.gathered("op_build_map", n as i64, n, &plan.surplus_names)?;
            if below.is_some() {
                self.pop()?;
            }
            made.push(Val { class: Some(self.known.dict), ..v });
        }
        // Where nothing takes `self` but the tuple, only the callable is left.
        let operands = self.take_operands(n + 2 - plan.surplus - plan.surplus_names.len())?;
        // What a default refers to may be replaced while the callee runs.
        for v in values.iter_mut().flatten() {
            *v = self.duplicate(*v);
        }
        let null = self.value(Op::Null, Imm::None, &[], None);
        let mut args = vec![operands.args[0], null];
        let mut own = operands.own & 1;
        let mut made = made.into_iter();
        for (source, value) in plan.slots.iter().zip(values) {
            let at = args.len();
            let (v, owned) = match source {
                Source::Argument(k) => {
                    let from = k + 2 - has_self;
                    (operands.args[from], operands.own >> from & 1 != 0)
                }
                Source::Tuple | Source::Dict => (made.next().map_or(null, |v| v.v), true),
                _ => (value.map_or(null, |v| v.v), true),
            };
            own |= if owned { InstData::own_bit(at) } else { 0 };
            args.push(v);
        }
        let state = self.raising();
        if let Some(v) = self.emit(Op::CallBound, Imm::Obj(code), &args, own, Some(state)) {
            self.stack.push(Val::object(v, true));
        }
        self.observed();
        Ok(true)
    }

    /// The `n` values on top, in a tuple or, with `names`, in a dict: popped.
    fn gathered(&mut self, helper: &'static str, oparg: i64, n: usize, names: &[ObjId]) -> Result<Val, Refusal> {
        let operands = self.take_operands(n)?;
        let (mut args, mut own) = (Vec::new(), 0);
        for (k, v) in operands.args.iter().enumerate() {
            if let Some(name) = names.get(k) {
                args.push(self.const_obj(name.0));
            }
            own |= if operands.own >> k & 1 != 0 { InstData::own_bit(args.len()) } else { 0 };
            args.push(*v);
        }
        let state = self.raising();
        let v = self.emit_many(Op::QuietOp, Imm::HelperInt(helper, oparg), &args, own, Some(state), 1);
        let v = *v.first().ok_or_else(super::underflow)?;
        self.f.set_type(v, cendre_ir::Type::OBJECT);
        Ok(Val::object(v, true))
    }

    /// CALL_KW, whose names are a constant on top; false: nothing was done.
    pub fn bound_call_kw(&mut self, i: &Instr) -> Result<bool, Refusal> {
        match self.peek(1)?.literal.and_then(|t| self.facts.tuple_items(ObjId(t))) {
            Some(names) => self.bound_call(i, i.arg as usize, Some(names)),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        // def f(a, /, b, c, *, d, e)
        let names = (1..=5).map(ObjId).collect();
        Parameters { argcount: 3, posonly: 1, kwonly: 2, varargs: false, varkeywords: false, names }
    }

    #[test]
    fn arguments_defaults_and_keywords_find_their_slots() {
        use Source::*;
        let p = plan(&parameters(), Some(1), 1, &[ObjId(5), ObjId(2)]).unwrap();
        assert_eq!(p.slots, [Argument(0), Argument(2), Default(0), KeywordDefault(ObjId(4)), Argument(1)]);
    }

    #[test]
    fn what_is_an_error_is_left_to_the_ordinary_call() {
        let p = parameters();
        assert!(plan(&p, Some(1), 1, &[ObjId(4)]).is_none(), "b is missing");
        assert!(plan(&p, Some(2), 1, &[ObjId(1)]).is_none(), "a is positional only");
        assert!(plan(&p, Some(1), 2, &[ObjId(2)]).is_none(), "b is given twice");
        assert!(plan(&p, Some(1), 4, &[]).is_none(), "one too many");
        assert!(plan(&p, Some(1), 2, &[ObjId(9)]).is_none(), "no such name");
        assert!(plan(&p, None, 2, &[]).is_none(), "nobody knows how many defaults there are");
    }

    #[test]
    fn surplus_arguments_are_gathered() {
        let p = Parameters { varargs: true, varkeywords: true, kwonly: 0, names: (1..=3).map(ObjId).collect(), ..parameters() };
        let bound = plan(&p, Some(0), 5, &[]).unwrap();
        assert_eq!((bound.surplus, bound.slots[3], bound.slots[4]), (2, Source::Tuple, Source::Dict));
        let bound = plan(&p, Some(0), 2, &[ObjId(3), ObjId(1)]).unwrap();
        assert_eq!(bound.surplus_names, [ObjId(1)], "the name of a positional-only parameter is free");
        assert!(plan(&p, Some(0), 2, &[ObjId(1), ObjId(3)]).is_none(), "only the last ones can be gathered");
    }
}
