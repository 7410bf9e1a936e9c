//! Limits: how many requests and tokens a minute, and how many requests at once.
//!
//! On the way in a closure of yours names the [`Scope`]s that a request falls under (its key, its
//! team, its model) with their limits, and estimates its tokens. The layer takes one request, the
//! tokens and one place among the parallel requests from every scope, or from none. On the way out
//! it adds `x-ratelimit-*` headers of the tightest limits; when the response body has ended, failed
//! or been dropped, it books the tokens truly used in place of the estimate and frees the place. It
//! refuses with [`Limited`], which names scope, kind, limit, what is left and when to come again.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::token_bucket::{Demand, Id, Limited, MemoryBuckets, Rate, Scope};
//! use pointsman_layers::token_bucket::TokenBucketLayer;
//! use pointsman_layers::{BoxError, find};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let by_host = |request: &Request<()>| {
//!     let host = request.headers().get("host")?;
//!     let id = Id::new("host", host);
//!     Some(Demand::new(10).scope(Scope::new("host", id).requests(Rate::per_minute(2)).parallel(1)))
//! };
//! let service = ServiceBuilder::new()
//!     .layer(TokenBucketLayer::new(MemoryBuckets::new(), by_host))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
//!     }));
//! let request = || Request::builder().header("host", "example.org").body(()).unwrap();
//!
//! let response = service.clone().oneshot(request()).await.unwrap();
//! assert_eq!(response.headers()["x-ratelimit-remaining-requests"], "1");
//! drop(response);
//! service.clone().oneshot(request()).await.unwrap();
//! let error = service.oneshot(request()).await.unwrap_err();
//! let limited: &Limited = find(&*error).unwrap();
//! assert_eq!((limited.scope, limited.limit), ("host", 2));
//! # });
//! ```
//!
//! The true use comes from a [`Measure`]: a [`Meter`] that the inner service fills, or a closure.
//!
//! ```
//! # use http::Request;
//! # use pointsman_layers::token_bucket::{Demand, Id, MemoryBuckets, Meter, Rate, Scope};
//! # use pointsman_layers::token_bucket::TokenBucketLayer;
//! let layer = TokenBucketLayer::new(MemoryBuckets::new(), |request: &Request<Meter>| {
//!     let scope = Scope::new("all", Id(1)).tokens(Rate::per_minute(100_000));
//!     Some(Demand::new(500).scope(scope).measure(request.body().clone()))
//! });
//! # let _ = layer;
//! ```
//!
//! **Windows.** [`Rate::per_minute`] slides: of the last window that share still counts which lies
//! within one minute before now. No window is ever granted more than its limit; the share supposes
//! that the last window's requests came evenly. [`Rate::fixed`] forgets the last window;
//! [`Rate::gcra`] is a true token bucket. A booking beyond the estimate may bring a counter above
//! its limit, and nothing is granted until that is worked off.
//!
//! **Cost and safety.** [`MemoryBuckets`] looks buckets up without a lock, changes them by
//! compare-and-swap and allocates nothing for a bucket that it knows, but a sheet for each request
//! more at once than the thread has seen. A take that fails at its last
//! scope gives back what it took from the others; a request that comes in between may be refused
//! though there is room, never granted though there is none. The future may be dropped at any time.

mod counter;
mod memory;

use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;
use crate::hold::{self, HeldBody, ResponseFuture};
use crate::inline::Inline;
use crate::ready::Soon;

pub use crate::hold::{Hold, Measure, Meter, Over};
pub use crate::id::Id;
pub use crate::inline::MOST;
pub use memory::{MemoryBuckets, SPARE, Taken};

/// How much within what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    max: u64,
    nanos: NonZeroU64,
    /// [`SLIDING`], [`FIXED`], or the burst of GCRA. One word: a request carries many of these.
    shape: u64,
}

const SLIDING: u64 = u64::MAX;
const FIXED: u64 = u64::MAX - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Sliding,
    Fixed,
    Gcra { burst: u64 },
}

impl Rate {
    /// At most `max` within any minute, as a sliding window.
    #[inline]
    pub const fn per_minute(max: u64) -> Self {
        Self::per(max, Duration::from_mins(1))
    }

    /// At most `max` within any `time`, as a sliding window. Times are taken between a nanosecond
    /// and 292 years.
    #[inline]
    pub const fn per(max: u64, time: Duration) -> Self {
        const LONGEST: u128 = u64::MAX as u128 / 2;
        let nanos = time.as_nanos();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is compared with the longest first"
        )]
        let nanos = if nanos > LONGEST {
            LONGEST as u64
        } else {
            nanos as u64
        };
        let nanos = match NonZeroU64::new(nanos) {
            Some(nanos) => nanos,
            None => NonZeroU64::MIN,
        };
        Self {
            max,
            nanos,
            shape: SLIDING,
        }
    }

    /// The same with windows that forget the one before.
    #[must_use]
    #[inline]
    pub const fn fixed(mut self) -> Self {
        self.shape = FIXED;
        self
    }

    /// A token bucket: it holds `burst`, and `max` flow into it within each `time`. The generic
    /// cell rate algorithm.
    #[inline]
    pub const fn gcra(max: u64, time: Duration, burst: u64) -> Self {
        let mut rate = Self::per(max, time);
        rate.shape = if burst < FIXED { burst } else { FIXED - 1 };
        rate
    }

    #[inline]
    const fn shape(&self) -> Shape {
        match self.shape {
            SLIDING => Shape::Sliding,
            FIXED => Shape::Fixed,
            burst => Shape::Gcra { burst },
        }
    }

    /// What may be used within [`Rate::time`].
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// The time within which it may be used.
    pub const fn time(&self) -> Duration {
        Duration::from_nanos(self.nanos.get())
    }
}

/// One party that a request counts against, and its limits. Without limits it only counts.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    name: &'static str,
    id: Id,
    requests: Option<Rate>,
    tokens: Option<Rate>,
    /// [`u64::MAX`] is no limit.
    parallel: u64,
}

impl Scope {
    /// A scope whose kind is `name` (`"key"`, `"team"`), as errors call it, and whose bucket is
    /// `id`. Two scopes with one id share a bucket: let [`Id::new`] keep kinds apart.
    #[inline]
    pub const fn new(name: &'static str, id: Id) -> Self {
        Self {
            name,
            id,
            requests: None,
            tokens: None,
            parallel: u64::MAX,
        }
    }

    /// Limits requests.
    #[must_use]
    #[inline]
    pub const fn requests(mut self, rate: Rate) -> Self {
        self.requests = Some(rate);
        self
    }

    /// Limits tokens.
    #[must_use]
    #[inline]
    pub const fn tokens(mut self, rate: Rate) -> Self {
        self.tokens = Some(rate);
        self
    }

    /// Limits the requests whose response body has not ended.
    #[must_use]
    #[inline]
    pub const fn parallel(mut self, most: u64) -> Self {
        self.parallel = most;
        self
    }

    /// The kind.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The bucket.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// The limit of a unit: a rate, or a number of parallel requests.
    pub fn limit(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Requests => self.requests.map(|rate| rate.max),
            Unit::Tokens => self.tokens.map(|rate| rate.max),
            Unit::Parallel => Some(self.parallel).filter(|most| *most < u64::MAX),
        }
    }

    /// The rate of requests.
    pub const fn request_rate(&self) -> Option<Rate> {
        self.requests
    }

    /// The rate of tokens.
    pub const fn token_rate(&self) -> Option<Rate> {
        self.tokens
    }
}

/// What a request takes, and from whom.
#[derive(Debug, Clone)]
pub struct Demand<M = ()> {
    take: Take,
    measure: M,
}

/// The part of a [`Demand`] that a store sees.
#[derive(Debug, Clone, Copy)]
pub struct Take {
    scopes: Inline<Scope>,
    tokens: u64,
}

impl Take {
    /// The scopes, in the order in which they were named.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter()
    }

    /// The estimate of tokens.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }
}

impl Demand {
    /// A request that may use `tokens` tokens.
    #[inline]
    pub const fn new(tokens: u64) -> Self {
        Self {
            take: Take {
                scopes: Inline::new(),
                tokens,
            },
            measure: (),
        }
    }
}

impl<M> Demand<M> {
    /// Takes from `scope` as well.
    ///
    /// # Panics
    ///
    /// If it is one more than [`MOST`]: a request takes from at most [`MOST`] scopes.
    #[must_use]
    #[inline]
    pub fn scope(mut self, scope: Scope) -> Self {
        assert!(
            self.take.scopes.push(scope).is_ok(),
            "more than {MOST} scopes"
        );
        self
    }

    /// Takes from each of `scopes` as well, without a copy of the demand for each.
    ///
    /// # Panics
    ///
    /// If they are more than [`MOST`] with those that it takes from already.
    #[must_use]
    #[inline]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        for scope in scopes {
            assert!(
                self.take.scopes.push(scope).is_ok(),
                "more than {MOST} scopes"
            );
        }
        self
    }

    /// What a store is asked for.
    pub fn take(&self) -> &Take {
        &self.take
    }

    /// Asks `measure` what was truly used when the request is over.
    #[inline]
    pub fn measure<N: Measure<u64>>(self, measure: N) -> Demand<N> {
        Demand {
            take: self.take,
            measure,
        }
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Requests in a time.
    Requests,
    /// Tokens in a time.
    Tokens,
    /// Requests at once.
    Parallel,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Parallel => "parallel requests",
        })
    }
}

/// A request was refused: one of its limits has no room for it. 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limited {
    /// The kind of the scope that has no room.
    pub scope: &'static str,
    /// Its bucket.
    pub id: Id,
    /// Which of its limits.
    pub unit: Unit,
    /// The limit.
    pub limit: u64,
    /// What is left of it; less than the request needs.
    pub remaining: u64,
    /// How long until this window ends, or with GCRA until the bucket is full again. Zero for
    /// parallel requests, whose end nobody knows. Of a sliding window a share still counts then,
    /// so `retry_after` may be later.
    pub reset: Duration,
    /// How long until there is room for this request if no other comes; `None` if there never is,
    /// or nobody knows.
    pub retry_after: Option<Duration>,
}

impl Limited {
    /// A refusal, for stores.
    pub fn new(scope: &Scope, unit: Unit, remaining: u64, reset: Duration) -> Self {
        let limit = scope.limit(unit).unwrap_or(u64::MAX);
        let (scope, id) = (scope.name, scope.id);
        Self {
            scope,
            id,
            unit,
            limit,
            remaining,
            reset,
            retry_after: None,
        }
    }

    /// Says when to come again.
    #[must_use]
    pub fn retry_after(mut self, time: Option<Duration>) -> Self {
        self.retry_after = time;
        self
    }

    /// Writes `Retry-After` in whole seconds, rounded up, and the `x-ratelimit-*` headers of the
    /// limit.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(time) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds(time).max(1)));
        }
        let standing = Standing {
            limit: self.limit,
            remaining: self.remaining,
            reset: self.reset,
        };
        let standings = match self.unit {
            Unit::Requests => Standings {
                requests: Some(standing),
                tokens: None,
            },
            Unit::Tokens => Standings {
                requests: None,
                tokens: Some(standing),
            },
            Unit::Parallel => return,
        };
        standings.write(headers);
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            unit,
            limit,
            remaining,
            ..
        } = self;
        write!(
            f,
            "the limit of {limit} {unit} of this {scope} is reached, {remaining} left"
        )
    }
}

impl Error for Limited {}

/// How one limit stands after a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// How long until this window ends, or with GCRA until the bucket is full again.
    pub reset: Duration,
}

/// The tightest limits of a request, which its response's headers show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standings {
    /// Of requests.
    pub requests: Option<Standing>,
    /// Of tokens.
    pub tokens: Option<Standing>,
}

static NAMES: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];

impl Standings {
    /// Keeps of two standings of a unit the one with less left.
    #[inline]
    pub fn tighten(&mut self, unit: Unit, standing: Standing) {
        let slot = match unit {
            Unit::Requests => &mut self.requests,
            Unit::Tokens => &mut self.tokens,
            Unit::Parallel => return,
        };
        if slot.is_none_or(|slot| standing.remaining < slot.remaining) {
            *slot = Some(standing);
        }
    }

    /// Writes `x-ratelimit-limit-*`, `-remaining-*` and `-reset-*` (whole seconds, rounded up).
    pub fn write(&self, headers: &mut HeaderMap) {
        let both = [self.requests, self.tokens];
        let both = || {
            both.iter()
                .zip(&NAMES)
                .filter_map(|(one, names)| Some((one.as_ref()?, names)))
        };
        if both().next().is_none() {
            return;
        }
        // All digits in one buffer, and the values are parts of it: one allocation for six headers.
        let mut digits = Digits::default();
        let mut parts = Inline::<(&HeaderName, usize, usize)>::new();
        for (standing, names) in both() {
            let values = [standing.limit, standing.remaining, seconds(standing.reset)];
            for (value, name) in values.into_iter().zip(names) {
                let (from, to) = digits.push(value);
                let fits = parts.push((name, from, to)).is_ok();
                debug_assert!(fits, "six are fewer than eight");
            }
        }
        let digits = Bytes::from_owner(digits);
        for (name, from, to) in parts.iter() {
            if let Ok(value) = HeaderValue::from_maybe_shared(digits.slice(*from..*to)) {
                headers.insert(*name, value);
            }
        }
    }
}

/// Room for six numbers of twenty digits.
struct Digits {
    bytes: [u8; 120],
    from: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Self {
            bytes: [0; 120],
            from: 120,
        }
    }
}

impl Digits {
    /// Writes `value` before what is there.
    fn push(&mut self, mut value: u64) -> (usize, usize) {
        let to = self.from;
        loop {
            self.from -= 1;
            self.bytes[self.from] = b'0' + u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
            if value == 0 {
                return (self.from, to);
            }
        }
    }
}

impl AsRef<[u8]> for Digits {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Why a store gave nothing.
#[derive(Debug)]
pub enum Denied<E> {
    /// There is no room.
    Limited(Limited),
    /// The store cannot tell.
    Unavailable(E),
}

impl<E: Into<BoxError>> From<Denied<E>> for BoxError {
    fn from(denied: Denied<E>) -> Self {
        match denied {
            Denied::Limited(limited) => limited.into(),
            Denied::Unavailable(error) => error.into(),
        }
    }
}

/// What a store gives, at once or later.
pub type Granted<K> = Soon<
    Result<<K as BucketStore>::Hold, Denied<<K as BucketStore>::Error>>,
    <K as BucketStore>::Future,
>;

/// Counts for the scopes.
pub trait BucketStore {
    /// What was taken; it books the true use and frees the place among the parallel requests.
    type Hold: Hold<Unit = u64>;
    /// Why the store cannot answer.
    type Error: Into<BoxError>;
    /// A take that takes time.
    type Future: Future<Output = Result<Self::Hold, Denied<Self::Error>>>;

    /// Takes from every scope, or from none.
    fn take(&self, take: &Take) -> Granted<Self>;
}

/// Says what a request takes; closures `Fn(&Req) -> Option<Demand<M>>` do. `None` is not limited.
pub trait Demands<Req> {
    /// Who will say what was truly used.
    type Measure: Measure<u64>;

    /// The demand of `request`.
    fn demand(&self, request: &Req) -> Option<Demand<Self::Measure>>;
}

impl<Req, M: Measure<u64>, F: Fn(&Req) -> Option<Demand<M>>> Demands<Req> for F {
    type Measure = M;

    fn demand(&self, request: &Req) -> Option<Demand<M>> {
        self(request)
    }
}

/// Limits requests.
#[derive(Debug, Clone)]
pub struct TokenBucketLayer<K, D> {
    store: K,
    demands: D,
}

impl<K: BucketStore, D> TokenBucketLayer<K, D> {
    /// Takes from `store` what `demands` names of each request.
    pub fn new<Req>(store: K, demands: D) -> Self
    where
        D: Demands<Req>,
    {
        Self { store, demands }
    }
}

impl<S, K: Clone, D: Clone> Layer<S> for TokenBucketLayer<K, D> {
    type Service = TokenBucket<S, K, D>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenBucket {
            inner,
            store: self.store.clone(),
            demands: self.demands.clone(),
        }
    }
}

/// The service of [`TokenBucketLayer`].
#[derive(Debug, Clone)]
pub struct TokenBucket<S, K, D> {
    inner: S,
    store: K,
    demands: D,
}

impl<S, K, D, Req, B> Service<Req> for TokenBucket<S, K, D>
where
    S: Service<Req, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    K: BucketStore,
    D: Demands<Req>,
{
    type Response = http::Response<HeldBody<B, K::Hold, D::Measure>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req, K::Future, K::Hold, D::Measure>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let demand = self.demands.demand(&request);
        let granted = demand.as_ref().map(|demand| self.store.take(&demand.take));
        // Only the measure goes on; the list of scopes is large.
        let taken = granted.zip(demand.map(|demand| demand.measure));
        hold::call(&mut self.inner, request, taken)
    }
}

#[cfg(test)]
mod tests;
