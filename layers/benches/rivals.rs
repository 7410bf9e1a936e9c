//! What a Rust user would use instead, on the same request and the same service.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};

use axum_prometheus::PrometheusMetricLayer;
use divan::Bencher;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use pointsman_layers::auth::KeyDigest;
use pointsman_layers::ready::Soon;
use pointsman_layers::token_bucket::TokenBucketLayer;
use pointsman_layers::token_bucket::{BucketStore, Demand, Hold, Id, MemoryBuckets, Rate, Scope};
use tower::retry::{Policy, RetryLayer};
use tower::{Layer, Service};
use tower_governor::GovernorLayer;
use tower_governor::errors::GovernorError;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_http::auth::AsyncRequireAuthorizationLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::common::{KEY, Noop, Req, Res, bare, request};
use crate::{both, contend, measure};

const MOST: NonZeroU32 = NonZeroU32::MAX;

#[derive(Clone, Debug)]
struct OneKey;

impl KeyExtractor for OneKey {
    type Key = u128;

    fn extract<T>(&self, _: &Request<T>) -> Result<u128, GovernorError> {
        Ok(7)
    }
}

/// `tower_governor` answers with axum's bodies, so its inner service does, too.
#[derive(Clone)]
struct WithAxumBody;

impl Service<Req> for WithAxumBody {
    type Response = Response<axum::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        drop(request);
        std::future::ready(Ok(Response::new(axum::body::Body::from("hello"))))
    }
}

/// What it costs alone: axum's body is boxed.
#[divan::bench]
fn a_noop_with_axum_body(bencher: Bencher<'_, '_>) {
    measure(bencher, WithAxumBody, bare);
}

macro_rules! tower_governor {
    () => {{
        let config = GovernorConfigBuilder::default()
            .const_period(std::time::Duration::from_nanos(1))
            .const_burst_size(u32::MAX)
            .key_extractor(OneKey)
            .finish()
            .expect("the quota is not zero");
        GovernorLayer::new(config).layer(WithAxumBody)
    }};
}

#[expect(clippy::unnecessary_wraps, reason = "the layer asks for options")]
fn one_rate(_: &Req) -> Option<Demand> {
    Some(Demand::new(0).scope(Scope::new("key", Id(7)).requests(MUCH)))
}

const MUCH: Rate = Rate::gcra(1 << 40, std::time::Duration::from_secs(1), 1 << 40);

/// One limit of requests on one key: the layer of `tower_governor`.
#[divan::bench]
fn limit_of_one_by_tower_governor(bencher: Bencher<'_, '_>) {
    measure(bencher, tower_governor!(), bare);
}

/// The same here, by the same algorithm.
#[divan::bench]
fn limit_of_one_here(bencher: Bencher<'_, '_>) {
    let layer = TokenBucketLayer::new::<Req>(crate::common::buckets(), one_rate);
    measure(bencher, layer.layer(Noop), bare);
}

fn limiter() -> DefaultKeyedRateLimiter<u128> {
    RateLimiter::keyed(Quota::per_second(MOST).allow_burst(MOST))
}

/// Four limits without a layer: `governor`, which cannot give back what it took for the first of
/// them if the last refuses, and has no parallel requests and no settling.
#[divan::bench]
fn four_limits_by_governor(bencher: Bencher<'_, '_>) {
    let limiter = limiter();
    bencher.bench_local(|| (1..5_u128).all(|key| limiter.check_key(&(key << 64 | key)).is_ok()));
}

fn take_four(store: &MemoryBuckets) -> bool {
    let scope = |n: u128| Scope::new("any", Id(n << 64 | n)).requests(MUCH);
    let demand = Demand::new(0)
        .scope(scope(1))
        .scope(scope(2))
        .scope(scope(3))
        .scope(scope(4));
    let Soon::Now(Ok(taken)) = store.take(demand.take()) else {
        return false;
    };
    taken.settle(0);
    true
}

/// The same here, taken and settled.
#[divan::bench]
fn four_limits_here(bencher: Bencher<'_, '_>) {
    let store = MemoryBuckets::new();
    bencher.bench_local(|| take_four(&store));
}

/// One token, compared as text.
#[divan::bench]
#[expect(deprecated, reason = "it is what tower-http has")]
fn auth_by_tower_http_of_one_token(bencher: Bencher<'_, '_>) {
    let layer = ValidateRequestHeaderLayer::bearer(&KEY[7..]);
    measure(bencher, layer.layer(Noop), request);
}

/// What one writes with `tower-http` for the same as here: the key is hashed and looked up, and the
/// principal put into the request.
#[divan::bench]
fn auth_by_tower_http_of_many_keys(bencher: Bencher<'_, '_>) {
    let mut keys = HashMap::new();
    for n in 0..10_000_u32 {
        keys.insert(KeyDigest::of(&n.to_le_bytes()).0, Arc::new(n));
    }
    keys.insert(KeyDigest::of(&KEY.as_bytes()[7..]).0, Arc::new(0));
    let keys = Arc::new(RwLock::new(keys));
    let layer = AsyncRequireAuthorizationLayer::new(move |mut request: Req| {
        let keys = Arc::clone(&keys);
        async move {
            let header = request.headers().get("authorization");
            let key = header.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
            let digest = key.map(KeyDigest::of);
            let found = digest.and_then(|digest| {
                keys.read()
                    .expect("nobody panicked")
                    .get(&digest.0)
                    .cloned()
            });
            let Some(user) = found else {
                let mut refused = Response::new(Full::default());
                *refused.status_mut() = StatusCode::UNAUTHORIZED;
                return Err(refused);
            };
            request.headers_mut().remove("authorization");
            request.extensions_mut().insert(user);
            Ok::<Req, Res>(request)
        }
    });
    measure(bencher, layer.layer(Noop), request);
}

#[derive(Clone)]
struct Twice;

impl<E> Policy<Req, Res, E> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
        result.is_err().then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

#[divan::bench]
fn retry_by_tower(bencher: Bencher<'_, '_>) {
    measure(bencher, RetryLayer::new(Twice).layer(Noop), bare);
}

#[divan::bench]
fn metrics_by_axum_prometheus(bencher: Bencher<'_, '_>) {
    measure(bencher, PrometheusMetricLayer::new().layer(Noop), bare);
}

/// Two threads on one key, as for the layers here.
pub(crate) fn contention() {
    both("tower_governor, 1 dimension", &tower_governor!(), bare);
    let limiter = limiter();
    contend("governor, 4 dimensions", &|| {
        Box::new(|| assert!((1..5_u128).all(|key| limiter.check_key(&(key << 64 | key)).is_ok())))
    });
    let store = MemoryBuckets::new();
    contend("buckets here, 4 dimensions", &|| {
        Box::new(|| assert!(take_four(&store)))
    });
}
