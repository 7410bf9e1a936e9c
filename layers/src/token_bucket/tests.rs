use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::find;

type Answer = Response<Full<Bytes>>;

/// A service that answers after a second and says that 30 tokens were used.
async fn slow(request: Request<Meter>) -> Result<Answer, BoxError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    if request.uri().path() == "/fail" {
        return Err("boom".into());
    }
    request.body().set(30_u64);
    Ok(Response::new(Full::from("hello")))
}

const KEY: Scope = Scope::new("key", Id(1))
    .requests(Rate::per_minute(5))
    .tokens(Rate::per_minute(100))
    .parallel(2);
const TEAM: Scope = Scope::new("team", Id(2)).tokens(Rate::per_minute(70));

fn demand(request: &Request<Meter>) -> Option<Demand<Meter>> {
    let demand = Demand::new(50).measure(request.body().clone());
    match request.uri().path() {
        "/free" => None,
        "/team" => Some(demand.scope(KEY).scope(TEAM)),
        _ => Some(demand.scope(KEY)),
    }
}

fn get(path: &str) -> Request<Meter> {
    Request::builder().uri(path).body(Meter::new()).unwrap()
}

fn tokens(store: &MemoryBuckets, scope: &Scope) -> u64 {
    store.standings(scope).tokens.unwrap().remaining
}

macro_rules! service {
    ($store:expr) => {
        TokenBucketLayer::new($store.clone(), demand).layer(service_fn(slow))
    };
}

#[tokio::test(start_paused = true)]
async fn the_true_use_replaces_the_estimate_when_the_body_ends() {
    let store = MemoryBuckets::new();
    let response = service!(store).oneshot(get("/")).await.unwrap();
    assert_eq!(response.headers()["x-ratelimit-limit-tokens"], "100");
    assert_eq!(response.headers()["x-ratelimit-remaining-tokens"], "50");
    assert_eq!(response.headers()["x-ratelimit-remaining-requests"], "4");
    assert_eq!(response.headers()["x-ratelimit-reset-requests"], "60");
    assert_eq!((tokens(&store, &KEY), store.parallel(Id(1))), (50, 1));
    response.into_body().collect().await.unwrap();
    assert_eq!((tokens(&store, &KEY), store.parallel(Id(1))), (70, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_limit_and_takes_nothing() {
    let store = MemoryBuckets::new();
    let service = service!(store);
    let first = service.clone().oneshot(get("/team")).await.unwrap();
    let error = service.clone().oneshot(get("/team")).await.unwrap_err();
    let limited = *find::<Limited>(&*error).unwrap();
    assert_eq!(
        (limited.scope, limited.unit, limited.limit),
        ("team", Unit::Tokens, 70)
    );
    assert_eq!(
        (limited.remaining, limited.reset),
        (20, Duration::from_secs(59))
    );
    let retry = limited.retry_after.unwrap();
    assert!(
        retry > Duration::from_secs(59) && retry < Duration::from_secs(119),
        "{retry:?}"
    );
    assert_eq!(tokens(&store, &KEY), 50);
    assert_eq!(store.parallel(Id(1)), 1);
    drop(first);
    let mut headers = HeaderMap::new();
    limited.write(&mut headers);
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "20");
    assert!(headers.contains_key(RETRY_AFTER));
}

#[tokio::test(start_paused = true)]
async fn parallel_requests_are_counted_until_their_bodies_end() {
    let service = service!(MemoryBuckets::new());
    let first = service.clone().oneshot(get("/")).await.unwrap();
    let second = service.clone().oneshot(get("/")).await.unwrap();
    let error = service.clone().oneshot(get("/")).await.unwrap_err();
    assert_eq!(find::<Limited>(&*error).unwrap().unit, Unit::Parallel);
    drop(first);
    assert!(service.clone().oneshot(get("/free")).await.is_ok());
    service.oneshot(get("/")).await.unwrap_err();
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_gives_its_tokens_back() {
    let store = MemoryBuckets::new();
    service!(store).oneshot(get("/fail")).await.unwrap_err();
    assert_eq!((tokens(&store, &KEY), store.parallel(Id(1))), (100, 0));
    assert_eq!(store.standings(&KEY).requests.unwrap().remaining, 4);
}

/// Drops the request after `polls` polls of its future and body, for every number of them.
#[tokio::test(start_paused = true)]
async fn a_drop_at_any_poll_leaks_nothing() {
    for polls in 0..8 {
        let store = MemoryBuckets::new();
        let service = service!(store);
        let mut left = polls;
        let mut journey = Box::pin(async {
            let response = service.oneshot(get("/team")).await.unwrap();
            response.into_body().collect().await.unwrap();
        });
        std::future::poll_fn(|cx| {
            if left == 0 || journey.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
        drop(journey);
        assert_eq!((store.parallel(Id(1)), store.parallel(Id(2))), (0, 0));
        assert!([100, 70].contains(&tokens(&store, &KEY)));
    }
}
