//! Buckets in memory.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::Rate;
use super::counter::{Counter, Full, Room, Stamp, duration};
use super::{
    BucketStore, Denied, Granted, Hold, Id, Limited, Scope, Standing, Standings, Take, Unit,
};
use crate::id::BuildMix;
use crate::inline::MOST;
use crate::ready::{Never, Soon};
use crate::sync::Atomic;

/// Buckets in memory; clones share them.
///
/// It holds at most as many buckets as it was told (100,000 unless told), and forgets those that
/// count nothing any more. When all of them count, further ids share [a few](SPARE) buckets: they
/// may be refused early, and nobody is granted more than the limit. Each thread keeps a few dozen
/// sheets of what requests took, with the buckets that they last counted in.
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
    /// Tells stores apart: a thread's sheets may come from any.
    number: u64,
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
        static STORES: AtomicU64 = AtomicU64::new(0);
        let shared = Shared {
            number: STORES.fetch_add(1, Ordering::Relaxed),
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
                standings.tighten(unit, counter.room(now, &rate).standing(&rate));
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

fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Shared {
    fn now(&self) -> u64 {
        nanos_since(self.began)
    }

    /// A place in the bucket of `scope`, which keeps the bucket in the store; `slot` may remember
    /// the bucket.
    fn enter<'a>(
        &self,
        slot: &'a mut Option<Entry>,
        scope: &Scope,
        now: u64,
    ) -> Result<&'a mut Entry, Limited> {
        let full = || Limited::new(scope, Unit::Parallel, 0, Duration::ZERO);
        let known = slot.as_ref().filter(|entry| entry.id == Some(scope.id));
        let known = known.map(|entry| entry.bucket.enter(scope.parallel));
        let entered = match known {
            Some(Ok(())) => None,
            Some(Err(Shut::Full)) => return Err(full()),
            Some(Err(Shut::Removed)) | None => Some(self.enter_anew(scope, now).ok_or_else(full)?),
        };
        if let Some(entry) = entered {
            return Ok(slot.insert(entry));
        }
        Ok(slot.as_mut().expect("a place was got in its bucket"))
    }

    /// The same by a look into the store; `None` if all places are taken.
    fn enter_anew(&self, scope: &Scope, now: u64) -> Option<Entry> {
        loop {
            let entry = self.entry(scope.id, now);
            match entry.bucket.enter(scope.parallel) {
                Ok(()) => return Some(entry),
                Err(Shut::Full) => return None,
                // It is being removed; the next look finds a new one.
                Err(Shut::Removed) => std::hint::spin_loop(),
            }
        }
    }

    fn entry(&self, id: Id, now: u64) -> Entry {
        let of = |id, bucket: &Arc<Bucket>| Entry {
            id,
            bucket: Arc::clone(bucket),
            requests: None,
            tokens: None,
        };
        let buckets = self.buckets.pin();
        if let Some(bucket) = buckets.get(&id) {
            return of(Some(id), bucket);
        }
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let full = || self.count.load(Ordering::Relaxed) >= self.most;
        if made % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep(now);
        }
        if full() {
            let spare = usize::try_from(id.0 % SPARE as u128).unwrap_or_default();
            // Shared only while the map is full: later the id may get a bucket of its own.
            return of(None, &self.spare[spare]);
        }
        let fresh = Arc::new(Bucket::new());
        match buckets.try_insert(id, Arc::clone(&fresh)) {
            Ok(_) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                of(Some(id), &fresh)
            }
            Err(taken) => of(Some(id), taken.current),
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

/// One cache line: what two threads must pass to and fro, and no neighbour's.
#[derive(Debug)]
#[repr(align(64))]
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
///
/// It is no larger than a pointer, since a request carries it through all futures and into its
/// response's body. What it points to is used again by the thread's next request.
#[derive(Debug)]
pub struct Taken {
    /// There until it is closed.
    sheet: Option<Box<Sheet>>,
}

/// What one request took of each bucket.
#[derive(Debug)]
struct Sheet {
    store: u64,
    began: Instant,
    headers: bool,
    tokens: u64,
    standings: Standings,
    /// The first `used` belong to this request. All remember their buckets: the next request often
    /// counts in the same ones, and to compare is cheaper than to look up and to count references.
    entries: [Option<Entry>; MOST],
    used: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None` if the bucket is not to be remembered.
    id: Option<Id>,
    bucket: Arc<Bucket>,
    requests: Option<(Rate, Stamp)>,
    tokens: Option<(Rate, Stamp)>,
}

/// The sheets that a thread keeps for its next requests.
const SHEETS: usize = 64;

/// In boxes, since requests carry those.
type Sheets = RefCell<Vec<Box<Sheet>>>;

thread_local! {
    static SPARE_SHEETS: Sheets = const { RefCell::new(Vec::new()) };
}

impl Sheet {
    /// A sheet for a request of `shared`, with nothing taken.
    fn begin(shared: &Shared, tokens: u64) -> Box<Self> {
        let spare = SPARE_SHEETS.try_with(|spare| spare.borrow_mut().pop());
        if let Ok(Some(mut sheet)) = spare
            && sheet.store == shared.number
        {
            sheet.tokens = tokens;
            return sheet;
        }
        Box::new(Self {
            store: shared.number,
            began: shared.began,
            headers: shared.headers,
            tokens,
            standings: Standings::default(),
            entries: [const { None }; MOST],
            used: 0,
        })
    }

    /// Leaves the closed sheet to the thread's next request.
    fn keep(mut self: Box<Self>) {
        self.standings = Standings::default();
        // A thread that is ending keeps nothing.
        let _ = SPARE_SHEETS.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SHEETS {
                spare.push(self);
            }
        });
    }

    fn take(&mut self, shared: &Shared, now: u64, scope: &Scope) -> Result<(), Limited> {
        let Some(slot) = self.entries.get_mut(self.used) else {
            // A demand has no more scopes than a sheet has entries.
            return Ok(());
        };
        let entry = shared.enter(slot, scope, now)?;
        match entry.count(now, self.tokens, scope) {
            Ok(rooms) => {
                self.used += 1;
                if self.headers {
                    rooms.show(scope, &mut self.standings);
                }
                Ok(())
            }
            Err(limited) => {
                entry.bucket.leave();
                Err(limited)
            }
        }
    }

    /// Gives back all that was taken: a scope has refused.
    fn undo(&mut self, now: u64) {
        let tokens = self.tokens;
        for entry in self.entries[..self.used].iter_mut().flatten() {
            if let Some((rate, stamp)) = entry.requests.take() {
                entry.bucket.requests.refund(now, stamp, 1, &rate);
            }
            if let Some((rate, stamp)) = entry.tokens.take() {
                entry.bucket.tokens.refund(now, stamp, tokens, &rate);
            }
            entry.bucket.leave();
        }
        self.used = 0;
    }

    fn close(&mut self, actual: u64) {
        let (began, booked) = (self.began, self.tokens);
        let mut now = None;
        let mut now = || *now.get_or_insert_with(|| nanos_since(began));
        for entry in self.entries[..self.used].iter_mut().flatten() {
            if actual != booked
                && let Some((rate, stamp)) = &entry.tokens
            {
                entry.bucket.correct(now(), *stamp, booked, actual, rate);
            }
            entry.bucket.leave();
        }
        self.used = 0;
    }
}

impl<A: Atomic> Bucket<A> {
    /// Books `actual` tokens in place of `booked`.
    fn correct(&self, now: u64, stamp: Stamp, booked: u64, actual: u64, rate: &Rate) {
        if actual < booked {
            self.tokens.refund(now, stamp, booked - actual, rate);
        } else {
            self.touch(now, rate.nanos());
            self.tokens.book(now, actual - booked, rate);
        }
    }
}

/// What is left of a scope's rates.
struct Rooms {
    requests: Option<Room>,
    tokens: Option<Room>,
}

impl Rooms {
    fn show(&self, scope: &Scope, standings: &mut Standings) {
        let all = [
            (Unit::Requests, scope.requests, self.requests),
            (Unit::Tokens, scope.tokens, self.tokens),
        ];
        for (unit, rate, room) in all {
            if let (Some(rate), Some(room)) = (rate, room) {
                standings.tighten(unit, room.standing(&rate));
            }
        }
    }
}

impl Room {
    fn standing(self, rate: &Rate) -> Standing {
        Standing {
            limit: rate.max,
            remaining: self.remaining,
            reset: duration(self.reset),
        }
    }
}

impl Entry {
    /// Counts one request and `tokens`, or nothing.
    fn count(&mut self, now: u64, tokens: u64, scope: &Scope) -> Result<Rooms, Limited> {
        let bucket = &*self.bucket;
        let (requests, request_room) =
            bucket.count(&bucket.requests, now, 1, scope.requests, |full| {
                full.limited(scope, Unit::Requests)
            })?;
        let counted = bucket.count(&bucket.tokens, now, tokens, scope.tokens, |full| {
            full.limited(scope, Unit::Tokens)
        });
        let (tokens, token_room) = match counted {
            Ok(counted) => counted,
            Err(limited) => {
                if let Some((rate, stamp)) = requests {
                    bucket.requests.refund(now, stamp, 1, &rate);
                }
                return Err(limited);
            }
        };
        (self.requests, self.tokens) = (requests, tokens);
        Ok(Rooms {
            requests: request_room,
            tokens: token_room,
        })
    }
}

/// What was counted, so that it can be given back, and what is left.
type Counted = (Option<(Rate, Stamp)>, Option<Room>);

impl<A: Atomic> Bucket<A> {
    #[inline]
    fn count(
        &self,
        counter: &Counter<A>,
        now: u64,
        cost: u64,
        rate: Option<Rate>,
        refuse: impl FnOnce(Full) -> Limited,
    ) -> Result<Counted, Limited> {
        let Some(rate) = rate else {
            return Ok((None, None));
        };
        self.touch(now, rate.nanos());
        match counter.take(now, cost, &rate) {
            Ok((stamp, room)) => Ok((Some((rate, stamp)), Some(room))),
            Err(full) => Err(refuse(full)),
        }
    }
}

impl Full {
    fn limited(self, scope: &Scope, unit: Unit) -> Limited {
        let Self { room, retry } = self;
        Limited::new(scope, unit, room.remaining, duration(room.reset))
            .retry_after(retry.map(duration))
    }
}

impl Taken {
    fn close(&mut self, actual: u64) {
        if let Some(mut sheet) = self.sheet.take() {
            sheet.close(actual);
            sheet.keep();
        }
    }
}

impl Hold for Taken {
    type Unit = u64;

    fn estimate(&self) -> u64 {
        self.sheet.as_ref().map_or(0, |sheet| sheet.tokens)
    }

    fn settle(mut self, actual: u64) {
        self.close(actual);
    }

    fn head(&self, headers: &mut HeaderMap) {
        if let Some(sheet) = &self.sheet
            && sheet.headers
        {
            sheet.standings.write(headers);
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
        let shared = &*self.shared;
        let now = shared.now();
        let mut sheet = Sheet::begin(shared, take.tokens);
        for scope in take.scopes() {
            if let Err(limited) = sheet.take(shared, now, scope) {
                sheet.undo(now);
                sheet.keep();
                return Soon::Now(Err(Denied::Limited(limited)));
            }
        }
        Soon::Now(Ok(Taken { sheet: Some(sheet) }))
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

    #[tokio::test(start_paused = true)]
    async fn a_remembered_bucket_is_forgotten_with_its_store_and_when_it_was_removed() {
        let rate = Rate::per_minute(1);
        for _ in 0..3 {
            let store = MemoryBuckets::new();
            take(&store, 1, rate).unwrap().settle(1);
            assert!(take(&store, 1, rate).is_err());
            tokio::time::advance(Duration::from_mins(4)).await;
            store.shared.sweep(store.shared.now());
            assert!(store.is_empty());
            take(&store, 1, rate).unwrap().settle(1);
            assert_eq!(store.len(), 1);
            assert!(take(&store, 1, rate).is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_ids_share_is_not_remembered() {
        let store = MemoryBuckets::with_capacity(1);
        let rate = Rate::per_minute(1);
        take(&store, 1, rate).unwrap().settle(1);
        take(&store, 2, rate).unwrap().settle(1);
        assert_eq!(store.parallel(Id(2)), 0);
        tokio::time::advance(Duration::from_mins(4)).await;
        store.shared.sweep(store.shared.now());
        let held = take(&store, 2, rate).unwrap();
        assert_eq!((store.len(), store.parallel(Id(2))), (1, 1));
        drop(held);
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
