//! What was read of the accounts, kept in memory.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::time::Instant;

/// A bounded map whose entries are read without a lock.
///
/// When it is full, what was not asked for since the last time it was full goes.
pub(super) struct Cache<K, V> {
    entries: papaya::HashMap<K, Arc<Entry<V>>, rustc_hash::FxBuildHasher>,
    count: AtomicUsize,
    most: usize,
    /// Counts what was forgotten, so that what was read before is not kept after.
    forgotten: AtomicU64,
    /// Counts how often everything was doubted.
    doubts: AtomicU64,
}

/// A value and what is known of it.
#[derive(Debug)]
pub(super) struct Entry<V> {
    pub(super) value: Arc<V>,
    /// The table whose settings it was made with.
    pub(super) generation: u64,
    /// When it was read.
    pub(super) read: Instant,
    /// How often everything had been doubted by then.
    doubts: u64,
    /// It is being read anew.
    reading: AtomicBool,
    used: AtomicBool,
}

/// Taken before a read; says whether its result may be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    forgotten: u64,
    doubts: u64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: papaya::HashMap::with_hasher(rustc_hash::FxBuildHasher),
            count: AtomicUsize::new(0),
            most,
            forgotten: AtomicU64::new(0),
            doubts: AtomicU64::new(0),
        }
    }

    /// The entry of a key.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<Arc<Entry<V>>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entries = self.entries.pin();
        let entry = entries.get(key)?;
        // Written only once between two clean-ups: the line stays in everybody's cache.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(entry))
    }

    /// To be taken before a read.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            forgotten: self.forgotten.load(Ordering::Acquire),
            doubts: self.doubts.load(Ordering::Acquire),
        }
    }

    /// Has every entry read anew before it counts again. Until it is, it is still the last that is
    /// known.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether an entry was read since everything was doubted.
    pub(super) fn trusts(&self, entry: &Entry<V>) -> bool {
        entry.doubts == self.doubts.load(Ordering::Acquire)
    }

    /// Keeps what was read, unless something was forgotten since the ticket was taken.
    pub(super) fn keep(&self, ticket: Ticket, key: &K, value: Arc<V>, generation: u64) {
        self.keep_of(ticket, key, value, generation, Instant::now());
    }

    /// Keeps what was read at this time.
    pub(super) fn keep_of(
        &self,
        ticket: Ticket,
        key: &K,
        value: Arc<V>,
        generation: u64,
        read: Instant,
    ) {
        if self.count.load(Ordering::Relaxed) >= self.most {
            self.clean();
        }
        let entry = Entry {
            value,
            generation,
            read,
            doubts: ticket.doubts,
            reading: AtomicBool::new(false),
            used: AtomicBool::new(true),
        };
        let entries = self.entries.pin();
        if entries.insert(key.clone(), Arc::new(entry)).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        // Looked at after it is in: whoever forgets from now on finds it.
        if self.forgotten.load(Ordering::Acquire) != ticket.forgotten {
            self.remove(key);
        }
    }

    /// Forgets an entry.
    pub(super) fn forget(&self, key: &K) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.remove(key);
    }

    /// Forgets every entry of which `untrue` holds.
    pub(super) fn forget_where(&self, untrue: impl Fn(&V) -> bool) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        let entries = self.entries.pin();
        for (key, entry) in &entries {
            if untrue(&entry.value) {
                self.remove(key);
            }
        }
    }

    /// Shows every value, in no order.
    pub(super) fn for_each(&self, mut show: impl FnMut(&V)) {
        let entries = self.entries.pin();
        for (_, entry) in &entries {
            show(&entry.value);
        }
    }

    fn remove(&self, key: &K) {
        if self.entries.pin().remove(key).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Makes room: first of what nobody asked for, then of anything.
    fn clean(&self) {
        let entries = self.entries.pin();
        for (key, entry) in &entries {
            if !entry.used.swap(false, Ordering::Relaxed) {
                self.remove(key);
            }
        }
        let wanted = self.most - self.most / 8;
        for (key, _) in &entries {
            if self.count.load(Ordering::Relaxed) <= wanted {
                break;
            }
            self.remove(key);
        }
    }
}

impl<V> Entry<V> {
    /// Whether the one who asks is to read it anew; `true` to one at a time.
    pub(super) fn begin_reading(&self) -> bool {
        !self.reading.load(Ordering::Relaxed) && !self.reading.swap(true, Ordering::AcqRel)
    }

    /// It could not be read.
    pub(super) fn end_reading(&self) {
        self.reading.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &Cache<u32, u32>, key: u32) {
        cache.keep(cache.ticket(), &key, Arc::new(key), 0);
    }

    #[test]
    fn it_holds_no_more_than_it_may_and_keeps_what_is_asked_for() {
        let cache = Cache::new(16);
        for key in 0..1_000 {
            keep(&cache, key);
            assert!(cache.get(&0).is_some() || key > 0);
            assert!(cache.entries.len() <= 17);
        }
        assert_eq!(cache.count.load(Ordering::Relaxed), cache.entries.len());
    }

    #[test]
    fn what_was_read_before_something_was_forgotten_is_not_kept() {
        let cache = Cache::new(16);
        let ticket = cache.ticket();
        cache.forget_where(|_| false);
        cache.keep(ticket, &1, Arc::new(1), 0);
        assert!(cache.get(&1).is_none());
        keep(&cache, 1);
        let ticket = cache.ticket();
        cache.doubt();
        assert!(!cache.trusts(&cache.get(&1).unwrap()));
        cache.keep(ticket, &1, Arc::new(1), 0);
        assert!(!cache.trusts(&cache.get(&1).unwrap()));
        keep(&cache, 1);
        assert!(cache.trusts(&cache.get(&1).unwrap()));
        cache.forget_where(|value| *value == 1);
        assert!(cache.get(&1).is_none());
    }
}
