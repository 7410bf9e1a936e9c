//! Where keys are looked up.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use http::{Extensions, HeaderMap};

use super::KeyDigest;
use crate::BoxError;
use crate::ready::{Never, Soon};

/// What a store says of a digest: its principal, `None` if there is no such key, or an error if it
/// cannot tell.
pub type Lookup<P, E> = Result<Option<Arc<P>>, E>;

/// Knows the principal behind the digest of a key.
///
/// A store that answers from memory gives [`Soon::Now`]; one that must ask elsewhere gives a future
/// of its own type. It need not remember unknown keys, the layer does that for a moment.
pub trait KeyStore {
    /// Who a key turns out to be; the layer puts an `Arc` of it into the request's extensions.
    type Principal: Send + Sync + 'static;
    /// Why the store cannot answer.
    type Error: Into<BoxError>;
    /// A lookup that takes time.
    type Future: Future<Output = Lookup<Self::Principal, Self::Error>>;

    /// Looks a key up by its digest.
    fn find(&self, digest: &KeyDigest) -> Soon<Lookup<Self::Principal, Self::Error>, Self::Future>;

    /// The same for a request with these headers and extensions, which may tell the store where it
    /// comes from.
    fn find_for(
        &self,
        digest: &KeyDigest,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Soon<Lookup<Self::Principal, Self::Error>, Self::Future> {
        let _ = (headers, extensions);
        self.find(digest)
    }
}

impl<K: KeyStore> KeyStore for Arc<K> {
    type Principal = K::Principal;
    type Error = K::Error;
    type Future = K::Future;

    fn find(&self, digest: &KeyDigest) -> Soon<Lookup<Self::Principal, Self::Error>, Self::Future> {
        (**self).find(digest)
    }

    fn find_for(
        &self,
        digest: &KeyDigest,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Soon<Lookup<Self::Principal, Self::Error>, Self::Future> {
        (**self).find_for(digest, headers, extensions)
    }
}

/// Keys in memory; clones share them.
pub struct MemoryKeys<P> {
    shards: Arc<[RwLock<Shard<P>>; SHARDS]>,
}

/// Readers of different keys should not meet on one lock.
const SHARDS: usize = 16;

type Shard<P> = HashMap<KeyDigest, Arc<P>, BuildHasherDefault<Spread>>;

impl<P> MemoryKeys<P> {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            shards: Arc::new(std::array::from_fn(|_| RwLock::default())),
        }
    }

    /// Adds a key or replaces its principal.
    pub fn insert(&self, digest: KeyDigest, principal: Arc<P>) {
        let mut shard = self
            .shard(&digest)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        shard.insert(digest, principal);
    }

    /// Removes a key; requests that were let in with it go on.
    pub fn remove(&self, digest: &KeyDigest) -> Option<Arc<P>> {
        self.shard(digest)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(digest)
    }

    /// The principal of a key.
    pub fn get(&self, digest: &KeyDigest) -> Option<Arc<P>> {
        self.shard(digest)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        let len =
            |shard: &RwLock<Shard<P>>| shard.read().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(len).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, digest: &KeyDigest) -> &RwLock<Shard<P>> {
        &self.shards[usize::from(digest.0[31]) % SHARDS]
    }
}

impl<P: Send + Sync + 'static> KeyStore for MemoryKeys<P> {
    type Principal = P;
    type Error = Infallible;
    type Future = Never<Lookup<P, Infallible>>;

    fn find(&self, digest: &KeyDigest) -> Soon<Lookup<P, Infallible>, Self::Future> {
        Soon::Now(Ok(self.get(digest)))
    }
}

impl<P> Default for MemoryKeys<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Clone for MemoryKeys<P> {
    fn clone(&self) -> Self {
        Self {
            shards: Arc::clone(&self.shards),
        }
    }
}

impl<P> fmt::Debug for MemoryKeys<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeys")
            .field("len", &self.len())
            .finish()
    }
}

/// Digests are uniform already. Keys that are made to collide in 64 bits would have to be inserted
/// to do harm, and clients insert none.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, spread: u64) {
        self.0 = spread;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go() {
        let keys = MemoryKeys::new();
        let digests: Vec<_> = (0..100_u8).map(|n| KeyDigest::of(&[n])).collect();
        for (n, digest) in digests.iter().enumerate() {
            keys.insert(*digest, Arc::new(n));
        }
        assert_eq!(keys.len(), 100);
        for (n, digest) in digests.iter().enumerate() {
            assert_eq!(keys.get(digest).as_deref(), Some(&n));
            keys.clone().remove(digest);
            assert_eq!(keys.get(digest), None);
        }
        assert!(keys.is_empty());
    }
}
