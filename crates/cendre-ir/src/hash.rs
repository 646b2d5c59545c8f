//! Hash tables of the compiler: small integer keys, nobody to defend against, so a hash of a few instructions, the same in every run.
//!
//! Read: the documentation of `rustc-hash`.

use core::hash::BuildHasherDefault;

/// A map with a fast hash.
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<rustc_hash::FxHasher>>;
/// A set with a fast hash.
pub type HashSet<T> = std::collections::HashSet<T, BuildHasherDefault<rustc_hash::FxHasher>>;
