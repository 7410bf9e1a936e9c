use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::*;
use crate::find;

type Chunked = std::pin::Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// What one attempt meets.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Ok,
    Status(u16),
    After(u16, &'static str),
    Error,
    CutBeforeFirst,
    CutLater,
    Slow(u64),
}

/// Meets each attempt with the next fate and notes when and for which target it came.
#[derive(Clone)]
struct Upstream {
    fates: Arc<Mutex<std::collections::VecDeque<Fate>>>,
    came: Arc<Mutex<Vec<(Duration, String)>>>,
    alive: Arc<AtomicU32>,
    began: Instant,
}

struct Alive(Arc<AtomicU32>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    fn new(fates: impl IntoIterator<Item = Fate>) -> Self {
        Self {
            fates: Arc::new(Mutex::new(fates.into_iter().collect())),
            came: Arc::default(),
            alive: Arc::default(),
            began: Instant::now(),
        }
    }

    async fn answer(self, request: Request<Full<Bytes>>) -> Result<Response<Chunked>, BoxError> {
        let came = (self.began.elapsed(), request.uri().path().to_owned());
        self.came.lock().unwrap().push(came);
        self.alive.fetch_add(1, Ordering::Relaxed);
        let alive = Alive(self.alive);
        assert_eq!(request.into_body().collect().await?.to_bytes(), "question");
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Ok);
        let mut response = Response::builder();
        let mut frames: Vec<Result<&'static str, &'static str>> = vec![Ok("an"), Ok("swer")];
        match fate {
            Fate::Ok => {}
            Fate::Status(status) => response = response.status(status),
            Fate::After(status, after) => {
                response = response.status(status).header("retry-after", after);
            }
            Fate::Error => return Err("boom".into()),
            Fate::CutBeforeFirst => frames = vec![Err("cut")],
            Fate::CutLater => frames[1] = Err("cut"),
            Fate::Slow(seconds) => sleep(Duration::from_secs(seconds)).await,
        }
        let frames = frames.into_iter().map(move |frame| {
            let _alive = &alive;
            frame
                .map(|text| http_body::Frame::data(text.into()))
                .map_err(Into::into)
        });
        let body: Chunked = Box::pin(StreamBody::new(futures_util::stream::iter(frames)));
        Ok(response.body(body)?)
    }

    fn came(&self) -> Vec<(u64, String)> {
        let came = self.came.lock().unwrap();
        came.iter()
            .map(|(at, path)| (at.as_secs(), path.clone()))
            .collect()
    }

    fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
}

fn request() -> Request<Full<Bytes>> {
    Request::new(Full::from("question"))
}

fn to_target(request: &mut Request<Full<Bytes>>, target: u32) {
    *request.uri_mut() = format!("/{target}").parse().unwrap();
}

async fn ask<P: Policy<Request<Full<Bytes>>> + Clone>(
    upstream: &Upstream,
    layer: RetryLayer<P>,
) -> Result<(StatusCode, String), BoxError> {
    let upstream = upstream.clone();
    let service = layer.layer(service_fn(move |request| upstream.clone().answer(request)));
    let response = service.oneshot(request()).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(bytes.to_vec())?))
}

fn answered(result: Result<(StatusCode, String), BoxError>) -> u16 {
    let (status, text) = result.unwrap();
    assert_eq!(text, "answer");
    status.as_u16()
}

#[tokio::test(start_paused = true)]
async fn what_may_be_retried_is_and_nothing_else() {
    for fate in [
        Fate::Error,
        Fate::Status(503),
        Fate::Status(429),
        Fate::CutBeforeFirst,
    ] {
        let upstream = Upstream::new([fate, fate]);
        assert_eq!(
            answered(ask(&upstream, RetryLayer::new(Standard::new(2))).await),
            200
        );
        assert_eq!(upstream.count(), 3);
    }
    let upstream = Upstream::new([Fate::Status(400)]);
    assert_eq!(
        answered(ask(&upstream, RetryLayer::new(Standard::new(2))).await),
        400
    );
    let upstream = Upstream::new([Fate::CutLater]);
    ask(&upstream, RetryLayer::new(Standard::new(2)))
        .await
        .unwrap_err();
    assert_eq!(upstream.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_comes_out_as_it_was() {
    let upstream = Upstream::new([Fate::Error, Fate::Status(500), Fate::Status(502)]);
    assert_eq!(
        answered(ask(&upstream, RetryLayer::new(Standard::new(2))).await),
        502
    );
    let upstream = Upstream::new([Fate::Status(500), Fate::Error]);
    let error = ask(&upstream, RetryLayer::new(Standard::new(1)))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "boom");
}

#[tokio::test(start_paused = true)]
async fn a_server_says_how_long_to_wait() {
    let upstream = Upstream::new([Fate::After(429, "5"), Fate::After(503, "7")]);
    assert_eq!(
        answered(ask(&upstream, RetryLayer::new(Standard::new(2))).await),
        200
    );
    assert_eq!(
        upstream.came(),
        [(0, "/".into()), (5, "/".into()), (12, "/".into())]
    );
    // An hour is too long: the next target is asked at once.
    let upstream = Upstream::new([Fate::After(429, "3600")]);
    let policy = Standard::new(2).fallbacks(1, to_target);
    assert_eq!(answered(ask(&upstream, RetryLayer::new(policy)).await), 200);
    assert_eq!(upstream.came(), [(0, "/".into()), (0, "/1".into())]);
}

#[tokio::test(start_paused = true)]
async fn targets_are_tried_in_turn_each_with_its_retries() {
    let upstream = Upstream::new([Fate::Error; 5]);
    let backoff = Backoff {
        first: Duration::ZERO,
        most: Duration::ZERO,
    };
    let policy = Standard::new(1).fallbacks(2, to_target).backoff(backoff);
    assert_eq!(answered(ask(&upstream, RetryLayer::new(policy)).await), 200);
    let targets: Vec<_> = upstream
        .came()
        .into_iter()
        .map(|(_, target)| target)
        .collect();
    assert_eq!(targets, ["/", "/", "/1", "/1", "/2", "/2"]);
}

#[tokio::test(start_paused = true)]
async fn time_runs_out_for_one_attempt_and_for_all() {
    let upstream = Upstream::new([Fate::Slow(100), Fate::Ok]);
    let policy = Standard::new(1)
        .each(Duration::from_secs(2))
        .backoff(Backoff {
            first: Duration::ZERO,
            most: Duration::ZERO,
        });
    assert_eq!(answered(ask(&upstream, RetryLayer::new(policy)).await), 200);
    assert_eq!(upstream.came(), [(0, "/".into()), (2, "/".into())]);
    let upstream = Upstream::new([Fate::Slow(100)]);
    let policy = Standard::new(1).total(Duration::from_secs(5));
    let error = ask(&upstream, RetryLayer::new(policy)).await.unwrap_err();
    let timed_out = find::<TimedOut>(&*error).unwrap();
    assert_eq!((timed_out.attempts, timed_out.elapsed.as_secs()), (1, 5));
    assert!(timed_out.total);
    // No pause is begun that the total would cut off.
    let upstream = Upstream::new([Fate::After(429, "6")]);
    let policy = Standard::new(1).total(Duration::from_secs(5));
    assert_eq!(answered(ask(&upstream, RetryLayer::new(policy)).await), 429);
    assert_eq!(upstream.began.elapsed().as_secs(), 0);
    assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_wins_and_the_loser_is_dropped() {
    let upstream = Upstream::new([Fate::Slow(100), Fate::Slow(1)]);
    let policy = Standard::new(0).hedge(Duration::from_secs(2));
    assert_eq!(
        answered(ask(&upstream, RetryLayer::new(policy.clone())).await),
        200
    );
    assert_eq!(upstream.came(), [(0, "/".into()), (2, "/".into())]);
    assert_eq!(upstream.began.elapsed().as_secs(), 3);
    assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
    // If the hedge fails, the first one is waited for.
    let upstream = Upstream::new([Fate::Slow(10), Fate::Error]);
    assert_eq!(answered(ask(&upstream, RetryLayer::new(policy)).await), 200);
    assert_eq!(upstream.began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_drop_at_any_poll_leaks_nothing() {
    let fates = [
        Fate::Slow(1),
        Fate::CutBeforeFirst,
        Fate::Error,
        Fate::Slow(5),
        Fate::Slow(1),
    ];
    for polls in 0..20 {
        let upstream = Upstream::new(fates);
        let policy = Standard::new(4).hedge(Duration::from_secs(2)).seed(polls);
        let mut journey = Box::pin(ask(&upstream, RetryLayer::new(policy)));
        let mut left = polls;
        std::future::poll_fn(|cx| {
            if left == 0 || journey.as_mut().poll(cx).is_ready() {
                return std::task::Poll::Ready(());
            }
            left -= 1;
            std::task::Poll::Pending
        })
        .await;
        drop(journey);
        assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_body_is_read_whole_or_refused() {
    let service = BufferLayer::new(5).layer(service_fn(|request: Request<Whole>| async {
        Ok::<_, BoxError>(Response::new(request.into_body()))
    }));
    let send = |text: &'static str| {
        let frames = text
            .as_bytes()
            .chunks(2)
            .map(|chunk| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(chunk))));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        service.clone().oneshot(Request::new(body))
    };
    let echoed = send("12345").await.unwrap().into_body().clone();
    assert_eq!(echoed.collect().await.unwrap().to_bytes(), "12345");
    let error = send("123456").await.unwrap_err();
    assert_eq!(find::<TooLarge>(&*error), Some(&TooLarge { most: 5 }));
}

#[test]
fn pauses_grow_to_their_bound() {
    let backoff = Backoff {
        first: Duration::from_secs(1),
        most: Duration::from_secs(10),
    };
    let bounds = [1, 2, 3, 4, 5, 40, u32::MAX].map(|here| backoff.bound(here).as_secs());
    assert_eq!(bounds, [1, 2, 4, 8, 10, 10, 10]);
    assert_eq!(backoff.pause(2, 0), Duration::ZERO);
    assert_eq!(backoff.pause(2, 1 << 63), Duration::from_secs(1));
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Ok),
        prop::sample::select(vec![400, 429, 500, 503]).prop_map(Fate::Status),
        prop::sample::select(vec!["0", "3", "100", "x"]).prop_map(|after| Fate::After(429, after)),
        Just(Fate::Error),
        Just(Fate::CutBeforeFirst),
        (1..20_u64).prop_map(Fate::Slow),
    ]
}

proptest! {
    /// Whatever attempts meet: no more are made than the policy allows, and the end is in time.
    #[test]
    fn retries_never_exceed_the_policy(
        fates in prop::collection::vec(fate(), 0..30),
        retries in 0..4_u32,
        fallbacks in 0..3_u32,
        hedge in prop::option::of(1..10_u64),
        seed: u64,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let upstream = Upstream::new(fates);
            let total = Duration::from_secs(30);
            let mut policy = Standard::new(retries)
                .fallbacks(fallbacks, to_target)
                .each(Duration::from_secs(10))
                .total(total)
                .seed(seed);
            if let Some(hedge) = hedge {
                policy = policy.hedge(Duration::from_secs(hedge));
            }
            let _ = ask(&upstream, RetryLayer::new(policy)).await;
            // Each target has its retries, and a hedge that goes over them at its last attempt.
            let extra = u32::from(hedge.is_some());
            let most = (retries + 1 + extra) * (fallbacks + 1);
            assert!(upstream.count() <= usize::try_from(most).unwrap());
            assert!(upstream.began.elapsed() <= total);
            assert_eq!(upstream.alive.load(Ordering::Relaxed), 0);
        });
    }

    /// However many requests fail, retries stay within their share of the traffic.
    #[test]
    fn retries_stay_within_their_share(requests in 1..300_usize, share in 0..1_000_u16) {
        let budget = RetryBudget::new(share, 5);
        let mut retries = 0;
        for _ in 0..requests {
            budget.pay_in();
            retries += (0..3).take_while(|_| budget.take_out()).count();
        }
        prop_assert!(retries <= requests * usize::from(share) / 1_000 + 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_stops_retries_and_not_fallbacks() {
    let budget = RetryBudget::new(0, 1);
    let upstream = Upstream::new([Fate::Error; 10]);
    let policy = Standard::new(5).fallbacks(1, to_target);
    let layer = RetryLayer::new(policy).budget(budget);
    // One retry is saved. When it is spent, the next target is asked instead.
    ask(&upstream, layer.clone()).await.unwrap_err();
    assert_eq!(upstream.count(), 3);
    ask(&upstream, layer).await.unwrap_err();
    assert_eq!(upstream.count(), 5);
}
