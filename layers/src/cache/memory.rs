//! Responses in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::time::Instant;

use super::{CacheKey, CacheStore, Found, Recorded};
use crate::ready::{Never, Soon};

/// Responses in memory, bounded by their bytes; clones share them.
///
/// What is asked for often stays and what came once goes first (`quick_cache`'s S3-FIFO). A
/// response beyond a quarter of the bound is not stored.
#[derive(Clone)]
pub struct MemoryCache {
    entries: Arc<Cache<CacheKey, Entry, ByWeight>>,
}

/// The fewer, the larger a single response may be; a hit holds a shard's lock for some nanoseconds.
const SHARDS: usize = 4;

#[derive(Clone)]
struct Entry {
    response: Arc<Recorded>,
    stored: Instant,
    expires: Instant,
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<CacheKey, Entry> for ByWeight {
    fn weight(&self, _: &CacheKey, entry: &Entry) -> u64 {
        entry.response.weight() as u64
    }
}

impl MemoryCache {
    /// A cache of at most `bytes` bytes.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    pub fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            // About a kilobyte each; the bound that counts is the one by weight.
            .estimated_items_capacity(usize::try_from(bytes / 1024).unwrap_or(usize::MAX).max(64))
            .weight_capacity(bytes)
            .build()
            .expect("the bound is not zero");
        let hash = DefaultHashBuilder::default();
        let entries = Cache::with_options(options, ByWeight, hash, DefaultLifecycle::default());
        Self {
            entries: Arc::new(entries),
        }
    }

    /// Removes a response.
    pub fn remove(&self, key: &CacheKey) {
        self.entries.remove(key);
    }

    /// Removes all responses.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// The number of responses, those included whose time is over and that were not asked for
    /// since.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About the bytes that the responses take.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl CacheStore for MemoryCache {
    type Get = Never<Option<Found>>;

    fn get(&self, key: &CacheKey) -> Soon<Option<Found>, Self::Get> {
        let Some(entry) = self.entries.get(key) else {
            return Soon::Now(None);
        };
        let now = Instant::now();
        if now < entry.expires {
            let age = now.duration_since(entry.stored);
            return Soon::Now(Some(Found {
                response: entry.response,
                age,
            }));
        }
        // Not one that was stored in the meantime.
        self.entries.remove_if(key, |entry| entry.expires <= now);
        Soon::Now(None)
    }

    fn put(&self, key: CacheKey, response: Arc<Recorded>, ttl: Duration) {
        let stored = Instant::now();
        // A time beyond what the clock can say is the same as for ever.
        let ever = Duration::from_hours(24 * 365 * 30);
        let expires = stored.checked_add(ttl).unwrap_or(stored + ever);
        self.entries.insert(
            key,
            Entry {
                response,
                stored,
                expires,
            },
        );
    }
}
