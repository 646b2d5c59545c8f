//! The part of an attribute cache that machine code reads by itself: two classes that keep the attribute at the same place.
//!
//! The runtime fills it (`cendre-runtime/src/attrs.rs`), machine code only compares and loads (`lower/attrs.rs`).
//! Invariant: an object whose class has one of the versions holds the attribute at `offset`, if there is something, and as long as the
//! byte at `valid_at` of the object, or `always`, is not zero. A front for writing names slots only. Read docs/internals/runtime.md, "Attributes".

/// A version tag that no class has.
pub const NO_VERSION: u32 = !0;

/// See the module.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttrFront {
    pub versions: [u32; 2],
    pub offset: u32,
    /// The `valid` byte of inline values, from the beginning of the object.
    pub valid_at: u32,
    /// 1: nothing beside the version is to be asked (`__slots__`).
    pub always: u32,
}

impl Default for AttrFront {
    fn default() -> AttrFront {
        AttrFront { versions: [NO_VERSION; 2], offset: 0, valid_at: 0, always: 0 }
    }
}

impl AttrFront {
    /// One more class. What other classes keep elsewhere is forgotten.
    pub fn learn(&mut self, version: u32, offset: u32, valid_at: u32, always: bool) {
        let same = (self.offset, self.valid_at, self.always) == (offset, valid_at, u32::from(always));
        let [first, second] = self.versions;
        self.versions = match same {
            true if version == first || version == second => self.versions,
            true => [version, first],
            false => [version, NO_VERSION],
        };
        (self.offset, self.valid_at, self.always) = (offset, valid_at, u32::from(always));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_two_classes_that_agree() {
        let mut f = AttrFront::default();
        f.learn(7, 80, 0, true);
        f.learn(7, 80, 0, true);
        assert_eq!(f.versions, [7, NO_VERSION]);
        f.learn(8, 80, 0, true);
        assert_eq!(f.versions, [8, 7]);
        f.learn(9, 80, 0, true);
        assert_eq!(f.versions, [9, 8]);
    }

    #[test]
    fn classes_that_differ_do_not_share() {
        let mut f = AttrFront::default();
        f.learn(7, 80, 0, true);
        f.learn(8, 88, 0, true);
        assert_eq!(f, AttrFront { versions: [8, NO_VERSION], offset: 88, valid_at: 0, always: 1 });
        f.learn(7, 88, 51, false);
        assert_eq!(f, AttrFront { versions: [7, NO_VERSION], offset: 88, valid_at: 51, always: 0 });
    }
}
