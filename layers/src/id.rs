//! The names of buckets and budgets, short and of one size.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest, Sha256};

/// Names one bucket or budget, in this process and in any other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u128);

impl Id {
    /// The id of `name` within `scope` (`"team"`, `"search"`): half of a SHA-256 digest, so that a
    /// client who may choose a name cannot choose one that falls together with another's.
    pub fn new(scope: &str, name: impl AsRef<[u8]>) -> Self {
        let mut hash = Sha256::new();
        hash.update((scope.len() as u64).to_le_bytes());
        hash.update(scope);
        hash.update(name);
        let digest: [u8; 32] = hash.finalize().into();
        Self(u128::from_be_bytes(std::array::from_fn(|n| digest[n])))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// Hashes ids by mixing their bits: they are digests already, or small numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mix(u64);

pub(crate) type BuildMix = BuildHasherDefault<Mix>;

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, bits: u64) {
        // The multiplier is 2⁶⁴ over the golden ratio.
        let product = u128::from(self.0 ^ bits) * 0x9e37_79b9_7f4a_7c15;
        self.0 = halves(product).0 ^ halves(product).1;
    }

    fn write_u128(&mut self, bits: u128) {
        let (high, low) = halves(bits);
        self.write_u64(high ^ low.rotate_left(32));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are wanted")]
fn halves(bits: u128) -> (u64, u64) {
    ((bits >> 64) as u64, bits as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_and_name_do_not_run_together() {
        assert_ne!(Id::new("a", "bc"), Id::new("ab", "c"));
        assert_eq!(Id::new("a", "b"), Id::new("a", b"b"));
        assert_eq!(Id::new("team", "search").to_string().len(), 32);
    }
}
