//! The services that are measured: each layer around one that does nothing, and all together.

#![allow(dead_code, reason = "each bench uses a part")]
#![allow(clippy::unnecessary_wraps, reason = "the layers ask for options")]

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use pointsman_layers::auth::{AuthLayer, KeyDigest, MemoryKeys};
use pointsman_layers::budget::{self, Budget, BudgetLayer, Charge, MemoryLedger, Usd, Window};
use pointsman_layers::cache::{CacheKey, CacheLayer, MemoryCache, Plan};
use pointsman_layers::metrics::{MetricsLayer, Names};
use pointsman_layers::retry::{Carry, RetryBudget, RetryLayer, Standard};
use pointsman_layers::token_bucket::{self, Demand, MemoryBuckets, Rate, Scope, TokenBucketLayer};
use tower::{Layer, Service};

pub(crate) type Req = Request<Full<Bytes>>;
pub(crate) type Res = Response<Full<Bytes>>;

pub(crate) const KEY: &str = "Bearer sk-0123456789abcdef0123456789abcdef";

/// Answers at once with an empty response.
#[derive(Clone)]
pub(crate) struct Noop;

impl<R> Service<R> for Noop {
    type Response = Res;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Res, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        drop(request);
        std::future::ready(Ok(Response::new(Full::new(Bytes::from_static(b"hello")))))
    }
}

/// A request with a key and nothing else.
pub(crate) fn request() -> Req {
    let mut request = Request::new(Full::new(Bytes::from_static(b"question")));
    request
        .headers_mut()
        .insert("authorization", HeaderValue::from_static(KEY));
    request
}

/// A request without headers.
pub(crate) fn bare() -> Req {
    Request::new(Full::new(Bytes::from_static(b"question")))
}

/// Calls `service` and reads the response to its end, without a runtime: nothing here waits.
pub(crate) fn run<S, B>(service: &mut S, request: Req)
where
    S: Service<Req, Response = Response<B>>,
    B: Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))),
        "it is always ready"
    );
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut cx) else {
        panic!("it answers at once");
    };
    let mut body = pin!(response.into_body());
    while !body.is_end_stream() {
        let Poll::Ready(frame) = body.as_mut().poll_frame(&mut cx) else {
            panic!("it is all there")
        };
        if frame.is_none() {
            break;
        }
    }
}

pub(crate) struct User {
    pub(crate) key: token_bucket::Id,
    pub(crate) team: token_bucket::Id,
}

fn user() -> Arc<User> {
    Arc::new(User {
        key: token_bucket::Id::new("key", "one"),
        team: token_bucket::Id::new("team", "one"),
    })
}

pub(crate) fn auth() -> AuthLayer<MemoryKeys<User>> {
    let keys = MemoryKeys::new();
    for n in 0..10_000_u32 {
        keys.insert(KeyDigest::of(&n.to_le_bytes()), user());
    }
    keys.insert(KeyDigest::of(&KEY.as_bytes()[7..]), user());
    AuthLayer::new(keys)
}

/// A limit that is never reached.
const MUCH: Rate = Rate::per_minute(1 << 40);

fn scopes(name: &'static str, n: u128) -> Scope {
    Scope::new(name, token_bucket::Id(n << 64 | n))
        .requests(MUCH)
        .tokens(MUCH)
}

/// Four dimensions: requests and tokens of two parties.
pub(crate) fn two_parties(_: &Req) -> Option<Demand> {
    Some(
        Demand::new(100)
            .scope(scopes("key", 1))
            .scope(scopes("team", 2)),
    )
}

/// Four dimensions: requests of four parties.
pub(crate) fn four_parties(_: &Req) -> Option<Demand> {
    let scope = |n: u128| Scope::new("any", token_bucket::Id(n << 64 | n)).requests(MUCH);
    let demand = Demand::new(100).scope(scope(1)).scope(scope(2));
    Some(demand.scope(scope(3)).scope(scope(4)))
}

pub(crate) fn buckets() -> MemoryBuckets {
    MemoryBuckets::new().without_headers()
}

pub(crate) fn bucket() -> TokenBucketLayer<MemoryBuckets, fn(&Req) -> Option<Demand>> {
    TokenBucketLayer::new::<Req>(buckets(), two_parties as fn(&Req) -> _)
}

pub(crate) fn bucket_of_four() -> TokenBucketLayer<MemoryBuckets, fn(&Req) -> Option<Demand>> {
    TokenBucketLayer::new::<Req>(buckets(), four_parties as fn(&Req) -> _)
}

pub(crate) fn bucket_with_headers() -> TokenBucketLayer<MemoryBuckets, fn(&Req) -> Option<Demand>> {
    TokenBucketLayer::new::<Req>(MemoryBuckets::new(), two_parties as fn(&Req) -> _)
}

pub(crate) fn budgets(_: &Req) -> Option<Charge> {
    let budget = |n: u128| {
        Budget::new("any", budget::Id(n << 64 | n))
            .limit(Usd::MAX)
            .window(Window::MONTHLY)
    };
    let charge = Charge::new(Usd::from_picos(1))
        .budget(budget(1))
        .budget(budget(2));
    Some(charge.budget(budget(3)).budget(budget(4)))
}

pub(crate) fn budget() -> BudgetLayer<MemoryLedger, fn(&Req) -> Option<Charge>> {
    BudgetLayer::new::<Req>(MemoryLedger::new(), budgets as fn(&Req) -> _)
}

fn one_key(_: &Req) -> Option<Plan> {
    Some(Plan::new(CacheKey([7; 32])))
}

pub(crate) fn cache() -> CacheLayer<MemoryCache, fn(&Req) -> Option<Plan>> {
    CacheLayer::new::<Req>(MemoryCache::new(64 << 20), one_key as fn(&Req) -> _)
}

pub(crate) fn retry() -> RetryLayer<Standard> {
    RetryLayer::new(Standard::new(2)).budget(RetryBudget::new(200, 10))
}

/// The same in a stack, where the request has a principal.
pub(crate) fn retry_with_user() -> RetryLayer<Carry<Arc<User>, Standard>> {
    RetryLayer::new(Carry::new(Standard::new(2))).budget(RetryBudget::new(200, 10))
}

type Label = fn(&Req) -> [&'static str; 2];

fn labels(_: &Req) -> [&'static str; 2] {
    ["/chat", "post"]
}

/// Rate, errors, duration and requests in flight.
pub(crate) fn metrics() -> MetricsLayer<Label, &'static str, 2> {
    let names = Names::new("requests")
        .duration("duration")
        .in_flight("in_flight");
    MetricsLayer::new::<Req>(names, ["route", "method"], labels as Label)
}

/// Every figure there is.
pub(crate) fn all_metrics() -> MetricsLayer<Label, &'static str, 2> {
    let names = Names::new("requests")
        .duration("duration")
        .head("head")
        .first_byte("first_byte")
        .in_flight("in_flight")
        .request_bytes("request_bytes")
        .response_bytes("response_bytes");
    MetricsLayer::new::<Req>(names, ["route", "method"], labels as Label)
}

/// A recorder whose figures are plain atomic numbers: what the layer itself costs.
pub(crate) struct Atomics;

struct Number(AtomicU64);

impl metrics::CounterFn for Number {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl metrics::GaugeFn for Number {
    fn increment(&self, value: f64) {
        self.0.fetch_add(value.to_bits(), Ordering::Relaxed);
    }

    fn decrement(&self, value: f64) {
        self.0.fetch_sub(value.to_bits(), Ordering::Relaxed);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl metrics::HistogramFn for Number {
    fn record(&self, value: f64) {
        self.0.fetch_add(value.to_bits(), Ordering::Relaxed);
    }
}

impl metrics::Recorder for Atomics {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(Arc::new(Number(AtomicU64::new(0))))
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(Arc::new(Number(AtomicU64::new(0))))
    }

    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::from_arc(Arc::new(Number(AtomicU64::new(0))))
    }
}

/// All six around the service that does nothing; `hit` lets the cache answer.
pub(crate) fn stack<R>(hit: bool, then: impl FnOnce(&mut dyn FnMut(Req)) -> R) -> R {
    fn never(_: &Req) -> Option<Plan> {
        None
    }

    let cache = if hit {
        cache()
    } else {
        CacheLayer::new::<Req>(MemoryCache::new(64 << 20), never as fn(&Req) -> _)
    };
    let inner = retry_with_user().layer(Noop);
    let inner = cache.layer(inner);
    let inner = budget().layer(inner);
    let inner = bucket().layer(inner);
    let inner = auth().layer(inner);
    let mut service = metrics().layer(inner);
    then(&mut |request| run(&mut service, request))
}
