use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tokio::time::sleep;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::*;
use crate::find;

type Chunked = std::pin::Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// Counts its calls, and answers after a second with three chunks a second apart, which say the
/// path and the number of the call. The paths `/fail`, `/cut` and `/503` are what they say.
#[derive(Clone, Default)]
struct Upstream {
    calls: Arc<AtomicUsize>,
    alive: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    async fn answer(self, request: Request<()>) -> Result<Response<Chunked>, BoxError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.alive.fetch_add(1, Ordering::Relaxed);
        let alive = Alive(self.alive);
        sleep(Duration::from_secs(1)).await;
        let path = request.uri().path().to_owned();
        if path == "/fail" {
            return Err("boom".into());
        }
        let status = if path == "/503" { 503 } else { 200 };
        let stream = futures_util::stream::unfold((0, alive), move |(n, alive)| {
            let path = path.clone();
            async move {
                let frame = match n {
                    0 => format!("{path} "),
                    1 => format!("{call} "),
                    2 if path == "/cut" => return Some((Err("cut".into()), (3, alive))),
                    2 => "end".to_owned(),
                    _ => return None,
                };
                sleep(Duration::from_secs(1)).await;
                Some((
                    Ok(http_body::Frame::data(Bytes::from(frame))),
                    (n + 1, alive),
                ))
            }
        });
        let body: Chunked = Box::pin(StreamBody::new(stream));
        Ok(Response::builder()
            .status(status)
            .header("x-call", call)
            .body(body)
            .unwrap())
    }
}

fn plan(request: &Request<()>) -> Option<Plan> {
    let has = |word| {
        request
            .uri()
            .query()
            .is_some_and(|query| query.contains(word))
    };
    let plan = Plan::new(CacheKey::of([request.uri().path()]));
    let plan = plan.no_cache(has("no-cache")).no_store(has("no-store"));
    (!has("bypass")).then(|| {
        if has("age") {
            plan.max_age(Duration::from_secs(5))
        } else {
            plan
        }
    })
}

macro_rules! cached {
    ($upstream:expr, $store:expr) => {{
        let upstream = $upstream.clone();
        let layer = CacheLayer::new($store, plan)
            .ttl(Duration::from_mins(1))
            .mark(mark);
        layer.layer(service_fn(move |request| upstream.clone().answer(request)))
    }};
}

fn mark(head: &mut http::response::Parts, served: Served) {
    head.extensions.insert(served);
}

fn get(uri: &str) -> Request<()> {
    Request::builder().uri(uri).body(()).unwrap()
}

async fn text<B>(response: Response<B>) -> Result<String, BoxError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let bytes = response
        .into_body()
        .collect()
        .await
        .map_err(Into::into)?
        .to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

#[tokio::test(start_paused = true)]
async fn a_stored_response_is_replayed_chunk_by_chunk_until_its_time_is_over() {
    let upstream = Upstream::default();
    let service = cached!(upstream, MemoryCache::new(1 << 20));
    let ask = |uri: &str| service.clone().oneshot(get(uri));
    assert_eq!(text(ask("/a").await.unwrap()).await.unwrap(), "/a 1 end");
    let hit = ask("/a").await.unwrap();
    assert_eq!(hit.headers()["x-call"], "1");
    assert!(matches!(hit.extensions().get(), Some(Served::Hit { .. })));
    assert_eq!(http_body::Body::size_hint(hit.body()).exact(), Some(8));
    let mut body = hit.into_body();
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        chunks.push(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(chunks, ["/a ", "1 ", "end"]);
    assert_eq!(text(ask("/b").await.unwrap()).await.unwrap(), "/b 2 end");
    sleep(Duration::from_mins(1)).await;
    assert_eq!(text(ask("/a").await.unwrap()).await.unwrap(), "/a 3 end");
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_is_used() {
    let upstream = Upstream::default();
    let service = cached!(upstream, MemoryCache::new(1 << 20));
    let ask = |uri: &'static str| {
        let service = service.clone();
        async move {
            text(service.oneshot(get(uri)).await.unwrap())
                .await
                .unwrap()
        }
    };
    assert_eq!(ask("/a?no-store").await, "/a 1 end");
    assert_eq!(ask("/a").await, "/a 2 end");
    assert_eq!(ask("/a?no-store").await, "/a 2 end");
    assert_eq!(ask("/a?bypass").await, "/a 3 end");
    assert_eq!(ask("/a?no-cache").await, "/a 4 end");
    assert_eq!(ask("/a?no-cache,no-store").await, "/a 5 end");
    assert_eq!(ask("/a?age").await, "/a 4 end");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(ask("/a").await, "/a 4 end");
    assert_eq!(ask("/a?age").await, "/a 6 end");
}

#[tokio::test(start_paused = true)]
async fn errors_and_cut_bodies_are_not_stored() {
    let upstream = Upstream::default();
    let store = MemoryCache::new(1 << 20);
    let service = cached!(upstream, store.clone());
    for uri in ["/fail", "/cut", "/503"] {
        for _ in 0..2 {
            if let Ok(response) = service.clone().oneshot(get(uri)).await {
                let _ = text(response).await;
            }
        }
    }
    drop(service.oneshot(get("/a")).await.unwrap());
    assert_eq!(
        (upstream.calls.load(Ordering::Relaxed), store.len()),
        (7, 0)
    );
    assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_shorter_than_it_said_is_not_stored() {
    let store = MemoryCache::new(1 << 20);
    let layer = CacheLayer::new(store.clone(), plan);
    let service = layer.layer(service_fn(|_: Request<()>| async {
        let body = http_body_util::Full::new(Bytes::from("short"));
        let response = Response::builder()
            .header("content-length", 10)
            .body(body)?;
        Ok::<_, BoxError>(response)
    }));
    text(service.oneshot(get("/a")).await.unwrap())
        .await
        .unwrap();
    assert!(store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_equal_requests_make_one_call_and_each_gets_chunks_as_they_come() {
    let upstream = Upstream::default();
    let service = cached!(upstream, MemoryCache::new(1 << 20));
    let began = tokio::time::Instant::now();
    let ask = |n: u64| {
        let service = service.clone();
        async move {
            // They come during the call, its first chunks and after its end.
            sleep(Duration::from_millis(n * 50)).await;
            let mut body = service.oneshot(get("/a")).await.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, "/a ");
            let at = began.elapsed();
            assert!(
                at <= Duration::from_secs(2).max(Duration::from_millis(n * 50)),
                "{n}: {at:?}"
            );
            body.collect().await.unwrap().to_bytes()
        }
    };
    for rest in futures_util::future::join_all((0..100).map(ask)).await {
        assert_eq!(rest, "1 end");
    }
    assert_eq!(upstream.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_call_goes_on_without_the_one_who_began_it() {
    for leave_after in [500, 1_500, 2_500] {
        let upstream = Upstream::default();
        let service = cached!(upstream, MemoryCache::new(1 << 20));
        let ask = || async { text(service.clone().oneshot(get("/a")).await?).await };
        let leader = tokio::time::timeout(Duration::from_millis(leave_after), ask());
        let follower = async {
            sleep(Duration::from_millis(100)).await;
            ask().await
        };
        let (left, got) = tokio::join!(leader, follower);
        assert!(left.is_err());
        assert_eq!(got.unwrap(), "/a 1 end");
        assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_all_who_wait_and_the_next_one_asks_again() {
    let upstream = Upstream::default();
    let service = cached!(upstream, MemoryCache::new(1 << 20));
    let ask = || service.clone().oneshot(get("/fail"));
    let (one, two) = tokio::join!(ask(), ask());
    for failed in [one, two] {
        assert_eq!(
            find::<Shared>(&*failed.unwrap_err()).unwrap().to_string(),
            "boom"
        );
    }
    assert!(find::<Shared>(&*ask().await.unwrap_err()).is_none());
    let cut = || async { text(service.clone().oneshot(get("/cut")).await?).await };
    let (one, two) = tokio::join!(cut(), cut());
    assert!(one.is_err() && two.is_err());
    assert_eq!(upstream.calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_handed_on_and_not_kept() {
    let store = MemoryCache::new(1 << 20);
    let layer = CacheLayer::new(store.clone(), plan).largest(10);
    let service = layer.layer(service_fn(|_: Request<()>| async {
        let chunks =
            (0..100_u8).map(|n| Ok::<_, BoxError>(http_body::Frame::data(vec![n; 4].into())));
        Ok::<_, BoxError>(Response::new(StreamBody::new(futures_util::stream::iter(
            chunks,
        ))))
    }));
    let mut quick = service
        .clone()
        .oneshot(get("/a"))
        .await
        .unwrap()
        .into_body();
    let mut slow = service.oneshot(get("/a")).await.unwrap().into_body();
    quick.frame().await.unwrap().unwrap();
    slow.frame().await.unwrap().unwrap();
    assert_eq!(quick.collect().await.unwrap().to_bytes().len(), 99 * 4);
    let lagged = slow.collect().await.unwrap_err();
    assert_eq!(find::<Broken>(&*lagged), Some(&Broken::Lagged));
    assert!(store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_may_take_time() {
    #[derive(Clone)]
    struct Slow(MemoryCache);

    impl CacheStore for Slow {
        type Get = std::pin::Pin<Box<dyn Future<Output = Option<Found>> + Send>>;

        fn get(&self, key: &CacheKey) -> Soon<Option<Found>, Self::Get> {
            let (store, key) = (self.0.clone(), *key);
            Soon::Later(Box::pin(async move {
                sleep(Duration::from_millis(5)).await;
                let Soon::Now(found) = store.get(&key) else {
                    return None;
                };
                found
            }))
        }

        fn put(&self, key: CacheKey, response: Arc<Recorded>, ttl: Duration) {
            self.0.put(key, response, ttl);
        }
    }

    let upstream = Upstream::default();
    let service = cached!(upstream, Slow(MemoryCache::new(1 << 20)));
    for _ in 0..2 {
        let response = service.clone().oneshot(get("/a")).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "/a 1 end");
    }
}

/// Drops the request after `polls` polls of its future and body, for every number of them: the
/// upstream call ends with it, and the next request is answered whole.
#[tokio::test(start_paused = true)]
async fn a_drop_at_any_poll_leaks_nothing() {
    for polls in 0..12 {
        let upstream = Upstream::default();
        let service = cached!(upstream, MemoryCache::new(1 << 20));
        let mut left = polls;
        let ask = || async { text(service.clone().oneshot(get("/a")).await?).await };
        let mut journey = Box::pin(ask());
        std::future::poll_fn(|cx| {
            if left == 0 || journey.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
        drop(journey);
        assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
        assert!(ask().await.unwrap().ends_with(" end"));
    }
}

proptest! {
    /// Whatever is asked in whatever order, in a cache too small for all: nobody gets the bytes of
    /// another key.
    #[test]
    fn the_cache_never_serves_another_keys_bytes(
        asked in prop::collection::vec((0..20_u8, 0..3_u8, 0..4_000_u64), 1..60),
        bytes in 1_000..20_000_u64,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let upstream = Upstream::default();
            let service = cached!(upstream, MemoryCache::new(bytes));
            let seen = Mutex::new(HashMap::<String, usize>::new());
            let asked = asked.iter().map(|(path, query, wait)| {
                let (service, seen) = (service.clone(), &seen);
                async move {
                    sleep(Duration::from_millis(*wait)).await;
                    let query = ["", "?no-cache", "?no-store"][usize::from(*query)];
                    let uri = format!("/{path}{query}");
                    let response = service.oneshot(get(&uri)).await.unwrap();
                    let text = text(response).await.unwrap();
                    let own = format!("/{path} ");
                    assert!(text.starts_with(&own) && text.ends_with(" end"), "{uri}: {text}");
                    *seen.lock().unwrap().entry(text).or_default() += 1;
                }
            });
            futures_util::future::join_all(asked).await;
            assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn keys_of_different_parts_differ(
        one in prop::collection::vec(".{0,3}", 0..4),
        two in prop::collection::vec(".{0,3}", 0..4),
    ) {
        prop_assert_eq!(CacheKey::of(&one) == CacheKey::of(&two), one == two);
    }
}
