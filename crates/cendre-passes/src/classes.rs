//! What passes know about classes of the running program.
//!
//! Invariant: without this knowledge passes stay correct and do less: the class of an object can be assigned to
//! (`x.__class__ = C`) unless the class is immutable, so only facts about classes named here outlive unknown code.

use cendre_ir::{ObjId, Type};

/// Classes by role. `Default` knows none.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    pub int: Option<ObjId>,
    pub float: Option<ObjId>,
    pub bool_: Option<ObjId>,
    /// Further classes whose instances never change class (`list`, `dict`, `function`...; not classes made by Python code).
    pub fixed: Vec<ObjId>,
    /// Those whose instances hold nothing and have no finaliser: dropping one is not observable (`str`, `bytes`...).
    pub leaves: Vec<ObjId>,
}

impl Classes {
    /// Is an object of exactly this class always of it?
    pub fn is_fixed(&self, class: ObjId) -> bool {
        self.is_leaf(class) || self.fixed.contains(&class)
    }

    /// Does dropping such an object run nothing?
    pub fn is_leaf(&self, class: ObjId) -> bool {
        [self.int, self.float, self.bool_].contains(&Some(class)) || self.leaves.contains(&class)
    }

    /// Does dropping a value of this type run nothing?
    pub fn drops_quietly(&self, ty: Type) -> bool {
        ty.is_subtype(Type::NULL) || ty.class.is_some_and(|c| self.is_leaf(c))
    }
}
