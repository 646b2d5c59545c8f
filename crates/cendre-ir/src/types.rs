//! The lattice of types: what is known of an SSA value.
//!
//! A [`Type`] is a set of kinds (object, null, int64, float64, bool, raw pointer) and, where that set is just "object", facts
//! about the object: its exact class, or which object it is. Unboxed values are ordinary values of the IR: `Int64` is a
//! number in a register, never a Python object.
//!
//! Invariant: facts are only present when `kinds == OBJECT`; a literal implies nothing about the class (the front end states both).
//! Sources: the shape follows ZJIT's and CinderX's lattices (bit set + one specialisation), see docs/internals/ir.md.

use std::fmt;

/// Names an object or class of the running program (for the runtime: its address; in text fixtures: any number).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjId(pub u64);

/// A set of kinds; see the constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Kinds(pub u8);

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const OBJECT: Kinds = Kinds(1);
    pub const NULL: Kinds = Kinds(2);
    pub const INT64: Kinds = Kinds(4);
    pub const FLOAT64: Kinds = Kinds(8);
    pub const BOOL: Kinds = Kinds(16);
    pub const PTR: Kinds = Kinds(32);

    /// Kinds in either set.
    pub const fn union(self, o: Kinds) -> Kinds {
        Kinds(self.0 | o.0)
    }
    /// Kinds in both sets.
    pub const fn intersect(self, o: Kinds) -> Kinds {
        Kinds(self.0 & o.0)
    }
    /// Is every kind of `self` in `o`?
    pub const fn is_subset(self, o: Kinds) -> bool {
        self.0 & !o.0 == 0
    }
}

/// What is known of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    pub kinds: Kinds,
    /// The exact class (`type(x) is class`), if known.
    pub class: Option<ObjId>,
    /// Which object it is, if known.
    pub literal: Option<ObjId>,
}

impl Type {
    const fn of(kinds: Kinds) -> Type {
        Type { kinds, class: None, literal: None }
    }
    /// No value at all: the bottom of the lattice.
    pub const NEVER: Type = Type::of(Kinds::NONE);
    /// Any Python object.
    pub const OBJECT: Type = Type::of(Kinds::OBJECT);
    /// The null pointer: an unbound local, "no self" of a call.
    pub const NULL: Type = Type::of(Kinds::NULL);
    /// An object or null.
    pub const OBJECT_OR_NULL: Type = Type::of(Kinds(3));
    /// An unboxed integer in 64 bits.
    pub const INT64: Type = Type::of(Kinds::INT64);
    /// An unboxed double.
    pub const FLOAT64: Type = Type::of(Kinds::FLOAT64);
    /// An unboxed truth value.
    pub const BOOL: Type = Type::of(Kinds::BOOL);
    /// A raw word: pointer that is no object, stack marker (`lasti`), tag of a pair.
    pub const PTR: Type = Type::of(Kinds::PTR);

    /// An object whose exact class is known.
    pub const fn exactly(class: ObjId) -> Type {
        Type { kinds: Kinds::OBJECT, class: Some(class), literal: None }
    }
    /// Just this object.
    pub const fn literal(object: ObjId, class: Option<ObjId>) -> Type {
        Type { kinds: Kinds::OBJECT, class, literal: Some(object) }
    }

    /// The smallest type that both are subtypes of.
    pub fn join(self, o: Type) -> Type {
        if self.kinds == Kinds::NONE {
            return o;
        }
        if o.kinds == Kinds::NONE {
            return self;
        }
        let kinds = self.kinds.union(o.kinds);
        if kinds != Kinds::OBJECT {
            return Type::of(kinds);
        }
        Type {
            kinds,
            class: if self.class == o.class { self.class } else { None },
            literal: if self.literal == o.literal { self.literal } else { None },
        }
    }

    /// Is every value of `self` a value of `o`?
    pub fn is_subtype(self, o: Type) -> bool {
        self.kinds == Kinds::NONE
            || (self.kinds.is_subset(o.kinds)
                && (o.class.is_none() || self.class == o.class)
                && (o.literal.is_none() || self.literal == o.literal))
    }

    /// Can no value be of both?
    pub fn is_disjoint(self, o: Type) -> bool {
        self.kinds.intersect(o.kinds) == Kinds::NONE
            || (self.kinds == Kinds::OBJECT
                && o.kinds == Kinds::OBJECT
                && ((self.class.is_some() && o.class.is_some() && self.class != o.class)
                    || (self.literal.is_some() && o.literal.is_some() && self.literal != o.literal)))
    }

    /// Is it a Python object for certain (not null, not unboxed)?
    pub fn is_object(self) -> bool {
        self.kinds == Kinds::OBJECT
    }
}

impl fmt::Display for Type {
    /// `Object`, `Object|Null`, `Object[class #5]`, `Object[#7]`, `Object[class #5, #7]`, `Int64` ...
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 6] = ["Object", "Null", "Int64", "Float64", "Bool", "Ptr"];
        if self.kinds == Kinds::NONE {
            return f.write_str("Never");
        }
        let mut first = true;
        for (i, name) in NAMES.iter().enumerate() {
            if self.kinds.0 & (1 << i) != 0 {
                if !first {
                    f.write_str("|")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        match (self.class, self.literal) {
            (None, None) => Ok(()),
            (Some(c), None) => write!(f, "[class #{}]", c.0),
            (None, Some(l)) => write!(f, "[#{}]", l.0),
            (Some(c), Some(l)) => write!(f, "[class #{}, #{}]", c.0, l.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Type> {
        let (a, b) = (ObjId(1), ObjId(2));
        vec![
            Type::NEVER,
            Type::OBJECT,
            Type::NULL,
            Type::OBJECT_OR_NULL,
            Type::INT64,
            Type::FLOAT64,
            Type::BOOL,
            Type::PTR,
            Type::exactly(a),
            Type::exactly(b),
            Type::literal(a, None),
            Type::literal(b, Some(a)),
            Type::literal(b, Some(b)),
        ]
    }

    #[test]
    fn join_is_a_least_upper_bound() {
        for x in samples() {
            for y in samples() {
                let j = x.join(y);
                assert_eq!(j, y.join(x), "{x} {y}");
                assert!(x.is_subtype(j) && y.is_subtype(j), "{x} {y} {j}");
                for z in samples() {
                    if x.is_subtype(z) && y.is_subtype(z) {
                        assert!(j.is_subtype(z), "{x} {y}: {j} is not below {z}");
                    }
                }
            }
        }
    }

    #[test]
    fn disjoint_types_share_no_subtype() {
        for x in samples() {
            for y in samples() {
                if x.is_disjoint(y) {
                    for z in samples() {
                        assert!(z == Type::NEVER || !(z.is_subtype(x) && z.is_subtype(y)), "{z} in {x} and {y}");
                    }
                }
            }
        }
    }
}
