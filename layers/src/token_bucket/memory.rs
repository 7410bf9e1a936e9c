//! Buckets in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::Rate;
use super::counter::{Counter, Full, Stamp, duration};
use super::{
    BucketStore, Denied, Granted, Hold, Id, Limited, Scope, Standing, Standings, Take, Unit,
};
use crate::id::BuildMix;
use crate::inline::Inline;
use crate::ready::{Never, Soon};
use crate::sync::Atomic;

/// Buckets in memory; clones share them.
///
/// It holds at most as many buckets as it was told (100,000 unless told), and forgets those that
/// count nothing any more. When all of them count, further ids share [a few](SPARE) buckets: they
/// may be refused early, and nobody is granted more than the limit.
#[derive(Debug, Clone)]
pub struct MemoryBuckets {
    shared: Arc<Shared>,
}

/// The buckets that ids share when there is room for no more.
pub const SPARE: usize = 256;

/// How many new buckets come between two searches for idle ones.
const SWEEP_EVERY: usize = 1024;

#[derive(Debug)]
struct Shared {
    buckets: papaya::HashMap<Id, Arc<Bucket>, BuildMix>,
    spare: Box<[Arc<Bucket>]>,
    made: AtomicUsize,
    count: AtomicUsize,
    most: usize,
    began: Instant,
    headers: bool,
}

impl MemoryBuckets {
    /// A store of at most 100,000 buckets.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// A store of at most `most` buckets.
    pub fn with_capacity(most: usize) -> Self {
        let shared = Shared {
            buckets: papaya::HashMap::with_hasher(BuildMix::default()),
            spare: (0..SPARE).map(|_| Arc::new(Bucket::new())).collect(),
            made: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            most,
            began: Instant::now(),
            headers: true,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The same, empty, with responses that show no `x-ratelimit-*` headers.
    #[must_use]
    pub fn without_headers(&self) -> Self {
        let mut fresh = Self::with_capacity(self.shared.most);
        if let Some(shared) = Arc::get_mut(&mut fresh.shared) {
            shared.headers = false;
        }
        fresh
    }

    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the limits of `scope` stand.
    pub fn standings(&self, scope: &Scope) -> Standings {
        let now = self.shared.now();
        let buckets = self.shared.buckets.pin();
        let unused = Bucket::new();
        let bucket = buckets.get(&scope.id).map_or(&unused, |bucket| bucket);
        let mut standings = Standings::default();
        for (unit, rate, counter) in [
            (Unit::Requests, scope.requests, &bucket.requests),
            (Unit::Tokens, scope.tokens, &bucket.tokens),
        ] {
            if let Some(rate) = rate {
                let room = counter.room(now, &rate);
                let (remaining, reset) = (room.remaining, duration(room.reset));
                standings.tighten(
                    unit,
                    Standing {
                        limit: rate.max,
                        remaining,
                        reset,
                    },
                );
            }
        }
        standings
    }

    /// The requests of `id` whose response body has not ended.
    pub fn parallel(&self, id: Id) -> u64 {
        self.shared
            .buckets
            .pin()
            .get(&id)
            .map_or(0, |bucket| Atomic::load(&bucket.holders))
    }
}

impl Default for MemoryBuckets {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A place in the bucket of `scope`, which keeps the bucket in the store.
    fn enter(&self, scope: &Scope, now: u64) -> Result<Arc<Bucket>, Limited> {
        loop {
            let bucket = self.bucket(scope.id, now);
            match bucket.enter(scope.parallel) {
                Ok(()) => return Ok(bucket),
                Err(Shut::Full) => {
                    return Err(Limited::new(scope, Unit::Parallel, 0, Duration::ZERO));
                }
                // It is being removed; the next look finds a new one.
                Err(Shut::Removed) => std::hint::spin_loop(),
            }
        }
    }

    fn bucket(&self, id: Id, now: u64) -> Arc<Bucket> {
        let buckets = self.buckets.pin();
        if let Some(bucket) = buckets.get(&id) {
            return Arc::clone(bucket);
        }
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let full = || self.count.load(Ordering::Relaxed) >= self.most;
        if made % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep(now);
        }
        if full() {
            let spare = usize::try_from(id.0 % SPARE as u128).unwrap_or_default();
            return Arc::clone(&self.spare[spare]);
        }
        let fresh = Arc::new(Bucket::new());
        match buckets.try_insert(id, Arc::clone(&fresh)) {
            Ok(_) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                fresh
            }
            Err(taken) => Arc::clone(taken.current),
        }
    }

    fn sweep(&self, now: u64) {
        let buckets = self.buckets.pin();
        for (id, bucket) in &buckets {
            if bucket.is_idle(now) && bucket.shut(now) {
                buckets.remove(id);
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[derive(Debug)]
struct Bucket<A = AtomicU64> {
    /// The requests that hold a place, or [`REMOVED`].
    holders: A,
    requests: Counter<A>,
    tokens: Counter<A>,
    /// When the windows will have forgotten all that was counted.
    forgets: A,
}

const REMOVED: u64 = u64::MAX;

enum Shut {
    Full,
    Removed,
}

impl<A: Atomic> Bucket<A> {
    fn new() -> Self {
        Self {
            holders: A::new(0),
            requests: Counter::new(),
            tokens: Counter::new(),
            forgets: A::new(0),
        }
    }

    fn enter(&self, most: u64) -> Result<(), Shut> {
        let enter = |holders| match holders {
            REMOVED => Err(Shut::Removed),
            _ if holders >= most => Err(Shut::Full),
            _ => Ok(holders + 1),
        };
        self.holders.try_change(enter).map(drop)
    }

    fn leave(&self) {
        self.holders.add(u64::MAX);
    }

    fn is_idle(&self, now: u64) -> bool {
        self.holders.load() == 0
            && self.forgets.load() <= now
            && self.requests.is_drained(now)
            && self.tokens.is_drained(now)
    }

    /// Closes an idle bucket, so that nobody counts in it who found it before it is removed.
    fn shut(&self, now: u64) -> bool {
        let alone = |holders| if holders == 0 { Ok(REMOVED) } else { Err(()) };
        if self.holders.try_change(alone).is_err() {
            return false;
        }
        // Someone may have come and gone since it was found idle.
        let idle = self.forgets.load() <= now
            && self.requests.is_drained(now)
            && self.tokens.is_drained(now);
        if !idle {
            self.holders.swap(0);
        }
        idle
    }

    /// Notes that something was counted now in windows of `length`.
    fn touch(&self, now: u64, length: u64) {
        let needed = now.saturating_add(length.saturating_mul(2));
        // One length more than needed, so that a busy bucket writes this once in a length.
        let until = needed.saturating_add(length);
        if self.forgets.load() < needed {
            let done: Result<_, ()> = self.forgets.try_change(|old| Ok(old.max(until)));
            debug_assert!(done.is_ok(), "a later time is never refused");
        }
    }
}

/// What was taken from buckets in memory.
#[derive(Debug)]
pub struct Taken {
    shared: Arc<Shared>,
    entries: Inline<Entry>,
    tokens: u64,
    standings: Standings,
}

/// Small, since a request carries it through all futures and into its response's body.
#[derive(Debug)]
struct Entry {
    bucket: Arc<Bucket>,
    tokens: Option<(Rate, Stamp)>,
}

impl Taken {
    fn take(&mut self, now: u64, scope: &Scope) -> Result<Option<Stamp>, Limited> {
        let bucket = self.shared.enter(scope, now)?;
        let requests = match self.count(now, Unit::Requests, 1, scope, &bucket) {
            Ok(requests) => requests,
            Err(limited) => {
                bucket.leave();
                return Err(limited);
            }
        };
        match self.count(now, Unit::Tokens, self.tokens, scope, &bucket) {
            Ok(tokens) => {
                // A full list cannot be: the demand is a list of the same length.
                let kept = self.entries.push(Entry { bucket, tokens }).is_ok();
                debug_assert!(kept, "there are as many places as scopes");
                Ok(requests.map(|(_, stamp)| stamp))
            }
            Err(limited) => {
                if let Some((rate, stamp)) = requests {
                    bucket.requests.refund(now, stamp, 1, &rate);
                }
                bucket.leave();
                Err(limited)
            }
        }
    }

    fn count(
        &mut self,
        now: u64,
        unit: Unit,
        cost: u64,
        scope: &Scope,
        bucket: &Bucket,
    ) -> Result<Option<(Rate, Stamp)>, Limited> {
        let (rate, counter) = match unit {
            Unit::Requests => (scope.requests, &bucket.requests),
            Unit::Tokens => (scope.tokens, &bucket.tokens),
            Unit::Parallel => return Ok(None),
        };
        let Some(rate) = rate else { return Ok(None) };
        bucket.touch(now, rate.nanos());
        match counter.take(now, cost, &rate) {
            Ok((stamp, room)) => {
                let (remaining, reset) = (room.remaining, duration(room.reset));
                self.standings.tighten(
                    unit,
                    Standing {
                        limit: rate.max,
                        remaining,
                        reset,
                    },
                );
                Ok(Some((rate, stamp)))
            }
            Err(Full { room, retry }) => {
                let limited = Limited::new(scope, unit, room.remaining, duration(room.reset));
                Err(limited.retry_after(retry.map(duration)))
            }
        }
    }

    /// Gives back what was taken from the first scopes of `take`: the next one has refused.
    fn undo(&mut self, now: u64, take: &Take, requests: &mut Inline<Option<Stamp>>) {
        let entries = self.entries.drain().zip(requests.drain());
        for ((Entry { bucket, tokens }, request), scope) in entries.zip(take.scopes()) {
            if let (Some(stamp), Some(rate)) = (request, &scope.requests) {
                bucket.requests.refund(now, stamp, 1, rate);
            }
            if let Some((rate, stamp)) = tokens {
                bucket.tokens.refund(now, stamp, self.tokens, &rate);
            }
            bucket.leave();
        }
    }

    fn close(&mut self, actual: u64) {
        let shared = &self.shared;
        let clock = || shared.now();
        let mut now = None;
        for Entry { bucket, tokens } in self.entries.drain() {
            if let Some((rate, stamp)) = tokens {
                if actual < self.tokens {
                    let now = *now.get_or_insert_with(clock);
                    bucket
                        .tokens
                        .refund(now, stamp, self.tokens - actual, &rate);
                } else if actual > self.tokens {
                    let now = *now.get_or_insert_with(clock);
                    bucket.touch(now, rate.nanos());
                    bucket.tokens.book(now, actual - self.tokens, &rate);
                }
            }
            bucket.leave();
        }
    }
}

impl Hold for Taken {
    type Unit = u64;

    fn estimate(&self) -> u64 {
        self.tokens
    }

    fn settle(mut self, actual: u64) {
        self.close(actual);
    }

    fn head(&self, headers: &mut HeaderMap) {
        if self.shared.headers {
            self.standings.write(headers);
        }
    }
}

/// The request itself stays counted: it was made.
impl Drop for Taken {
    fn drop(&mut self) {
        self.close(0);
    }
}

impl BucketStore for MemoryBuckets {
    type Hold = Taken;
    type Error = Infallible;
    type Future = Never<Result<Taken, Denied<Infallible>>>;

    fn take(&self, take: &Take) -> Granted<Self> {
        let now = self.shared.now();
        let mut taken = Taken {
            shared: Arc::clone(&self.shared),
            entries: Inline::new(),
            tokens: take.tokens,
            standings: Standings::default(),
        };
        let mut requests = Inline::new();
        for scope in take.scopes() {
            match taken.take(now, scope) {
                Ok(stamp) => {
                    let kept = requests.push(stamp).is_ok();
                    debug_assert!(kept, "there are as many places as scopes");
                }
                Err(limited) => {
                    taken.undo(now, take, &mut requests);
                    return Soon::Now(Err(Denied::Limited(limited)));
                }
            }
        }
        Soon::Now(Ok(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_bucket::Demand;

    fn take(store: &MemoryBuckets, id: u128, rate: Rate) -> Result<Taken, Denied<Infallible>> {
        let demand = Demand::new(1).scope(Scope::new("key", Id(id)).tokens(rate));
        match store.take(&demand.take) {
            Soon::Now(taken) => taken,
            Soon::Later(_) => panic!("memory answers at once"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_buckets_are_forgotten_and_held_ones_are_not() {
        let store = MemoryBuckets::with_capacity(4096);
        let rate = Rate::per_minute(10);
        let held = take(&store, 0, rate).ok();
        for id in 1..1000 {
            take(&store, id, rate).unwrap().settle(1);
        }
        assert_eq!(store.len(), 1000);
        tokio::time::advance(Duration::from_secs(181)).await;
        for id in 1000..1030 {
            take(&store, id, rate).unwrap().settle(1);
        }
        assert_eq!(store.len(), 31 - 24 + 1 + 23);
        assert_eq!(store.parallel(Id(0)), 1);
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_grants_no_more_than_the_limit() {
        let store = MemoryBuckets::with_capacity(10);
        let rate = Rate::per_minute(5);
        let granted: Vec<_> = (0..10_000)
            .filter_map(|id| take(&store, id, rate).ok())
            .collect();
        assert_eq!(store.len(), 10);
        assert_eq!(granted.len(), 10 + SPARE * 5);
    }

    #[test]
    fn no_interleaving_counts_in_a_bucket_that_was_removed() {
        loom::model(|| {
            type Model = Bucket<loom::sync::atomic::AtomicU64>;
            let bucket = loom::sync::Arc::new(Model::new());
            let other = loom::sync::Arc::clone(&bucket);
            let rate = Rate::per_minute(1);
            let sweeper = loom::thread::spawn(move || other.is_idle(1) && other.shut(1));
            let entered = match bucket.enter(u64::MAX) {
                Ok(()) => {
                    bucket.touch(1, rate.nanos());
                    bucket.requests.take(1, 1, &rate).unwrap();
                    bucket.leave();
                    true
                }
                Err(_) => false,
            };
            let removed = sweeper.join().unwrap();
            assert!(!(entered && removed), "what was counted is lost");
        });
    }
}
