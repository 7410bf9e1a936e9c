//! Figures of a service: rate, errors, durations, requests in flight, time to first byte, sizes.
//!
//! On the way in the layer finds the figures of the request's label values, which a closure of
//! yours names, and counts the request in. On the way out it records the time to the response's
//! head, the time to its first byte, and at the end of the body (or when it is dropped, or the
//! request is) duration, status and size, exactly once. It refuses nothing.
//!
//! The figures go to the recorder of the `metrics` facade that is installed when a set of label
//! values is first seen. From then on a request costs a lookup and a few atomic additions: nothing
//! is resolved, rendered or allocated. Names and labels are yours.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::{BoxError, metrics::{MetricsLayer, Names}};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let names = Names::new("http_requests_total")
//!     .duration("http_request_duration_seconds")
//!     .in_flight("http_requests_in_flight");
//! let service = ServiceBuilder::new()
//!     .layer(MetricsLayer::new(names, ["method"], |request: &Request<Full<Bytes>>| {
//!         [match request.method().as_str() {
//!             "GET" => "get",
//!             "POST" => "post",
//!             _ => "other",
//!         }]
//!     }))
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
//!     }));
//! service.oneshot(Request::new(Full::default())).await.unwrap();
//! # });
//! ```
//!
//! A new set of label values is accepted until there are [`MetricsLayer::max_series`] of them
//! (1,000 unless told); later ones are counted together, with every value `other`. So a label may
//! hold what a client chooses, and memory stays bounded.

use std::cell::RefCell;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use http_body::Body;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, SharedString};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{End, Ending, Watch, Watched};

/// The value of every label of the requests that came after the bound was reached.
pub const OTHER: &str = "other";

/// The names of the figures; what has no name is not recorded.
///
/// Durations are in seconds, sizes in bytes. The counter, and only it, carries two labels more than
/// yours: `status`, and `ending` (`complete`, `failed`, `dropped`; `cancelled` for a request that
/// was dropped before it had a response).
#[derive(Debug, Clone)]
pub struct Names {
    requests: SharedString,
    status_label: SharedString,
    ending_label: SharedString,
    duration: Option<SharedString>,
    head: Option<SharedString>,
    first_byte: Option<SharedString>,
    in_flight: Option<SharedString>,
    request_bytes: Option<SharedString>,
    response_bytes: Option<SharedString>,
}

impl Names {
    /// Counts requests under `requests`.
    pub fn new(requests: impl Into<SharedString>) -> Self {
        Self {
            requests: requests.into(),
            status_label: "status".into(),
            ending_label: "ending".into(),
            duration: None,
            head: None,
            first_byte: None,
            in_flight: None,
            request_bytes: None,
            response_bytes: None,
        }
    }

    /// Renames the labels `status` and `ending`.
    #[must_use]
    pub fn outcome_labels(
        mut self,
        status: impl Into<SharedString>,
        ending: impl Into<SharedString>,
    ) -> Self {
        self.status_label = status.into();
        self.ending_label = ending.into();
        self
    }

    /// A histogram of the time until the response body ended.
    #[must_use]
    pub fn duration(mut self, name: impl Into<SharedString>) -> Self {
        self.duration = Some(name.into());
        self
    }

    /// A histogram of the time until the response's head.
    #[must_use]
    pub fn head(mut self, name: impl Into<SharedString>) -> Self {
        self.head = Some(name.into());
        self
    }

    /// A histogram of the time until the first byte of the response's body.
    #[must_use]
    pub fn first_byte(mut self, name: impl Into<SharedString>) -> Self {
        self.first_byte = Some(name.into());
        self
    }

    /// A gauge of the requests whose response body has not ended.
    #[must_use]
    pub fn in_flight(mut self, name: impl Into<SharedString>) -> Self {
        self.in_flight = Some(name.into());
        self
    }

    /// A histogram of the sizes of requests that state theirs.
    #[must_use]
    pub fn request_bytes(mut self, name: impl Into<SharedString>) -> Self {
        self.request_bytes = Some(name.into());
        self
    }

    /// A histogram of the bytes of response bodies that were handed on.
    #[must_use]
    pub fn response_bytes(mut self, name: impl Into<SharedString>) -> Self {
        self.response_bytes = Some(name.into());
        self
    }
}

/// A request whose size may be known before it is read.
pub trait StatedSize {
    /// Its size in bytes, if it is stated.
    fn size(&self) -> Option<u64>;
}

impl<B: Body> StatedSize for http::Request<B> {
    fn size(&self) -> Option<u64> {
        self.body().size_hint().exact()
    }
}

/// Gives the label values of a request; closures `Fn(&Req) -> [V; N]` do.
pub trait Values<Req, const N: usize> {
    /// A value: a `&'static str`, an `Arc<str>`, a `String`.
    type Value: Hash + Eq + Clone + Into<SharedString>;

    /// The values of `request`, in the order of the labels.
    fn values(&self, request: &Req) -> [Self::Value; N];
}

impl<Req, F, V, const N: usize> Values<Req, N> for F
where
    F: Fn(&Req) -> [V; N],
    V: Hash + Eq + Clone + Into<SharedString>,
{
    type Value = V;

    fn values(&self, request: &Req) -> [V; N] {
        self(request)
    }
}

/// Records the figures of services.
#[derive(Debug)]
pub struct MetricsLayer<F, V, const N: usize> {
    values: F,
    series: Arc<Series<V, N>>,
}

impl<F, V, const N: usize> MetricsLayer<F, V, N> {
    /// Records under `names`, with the labels `labels` and the values that `values` gives of each
    /// request.
    pub fn new<Req>(names: Names, labels: [&'static str; N], values: F) -> Self
    where
        F: Values<Req, N, Value = V>,
        V: Hash + Eq + Clone + Into<SharedString>,
    {
        let series = Series {
            known: papaya::HashMap::default(),
            count: AtomicUsize::new(0),
            most: 1_000,
            other: OnceLock::new(),
            names,
            labels,
        };
        Self {
            values,
            series: Arc::new(series),
        }
    }

    /// Tells apart at most `most` sets of label values.
    #[must_use]
    pub fn max_series(mut self, most: usize) -> Self
    where
        V: Hash + Eq + Clone,
    {
        let series = Series {
            known: papaya::HashMap::default(),
            count: AtomicUsize::new(0),
            most,
            other: OnceLock::new(),
            names: self.series.names.clone(),
            labels: self.series.labels,
        };
        self.series = Arc::new(series);
        self
    }
}

impl<F: Clone, V, const N: usize> Clone for MetricsLayer<F, V, N> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            series: Arc::clone(&self.series),
        }
    }
}

impl<S, F: Clone, V, const N: usize> Layer<S> for MetricsLayer<F, V, N> {
    type Service = Metrics<S, F, V, N>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics {
            inner,
            values: self.values.clone(),
            series: Arc::clone(&self.series),
            recent: None,
        }
    }
}

/// The service of [`MetricsLayer`].
#[derive(Debug)]
pub struct Metrics<S, F, V, const N: usize> {
    inner: S,
    values: F,
    series: Arc<Series<V, N>>,
    /// The last request's: requests of one connection are often alike, and to compare is cheaper
    /// than to look up.
    recent: Option<([V; N], Arc<Figures>)>,
}

impl<S: Clone, F: Clone, V, const N: usize> Clone for Metrics<S, F, V, N> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            values: self.values.clone(),
            series: Arc::clone(&self.series),
            recent: None,
        }
    }
}

impl<S, F, V, const N: usize> Metrics<S, F, V, N>
where
    V: Hash + Eq + Clone + Into<SharedString>,
{
    fn figures(&mut self, values: [V; N]) -> &Arc<Figures> {
        let recent = self.recent.take().filter(|(recent, _)| *recent == values);
        let known = recent.unwrap_or_else(|| {
            let figures = self.series.of(&values);
            (values, figures)
        });
        &self.recent.insert(known).1
    }
}

impl<S, F, V, Req, B, const N: usize> Service<Req> for Metrics<S, F, V, N>
where
    S: Service<Req, Response = Response<B>>,
    F: Values<Req, N, Value = V>,
    V: Hash + Eq + Clone + Into<SharedString>,
    Req: StatedSize,
    B: Body,
{
    type Response = Response<Watched<B, Measuring>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let values = self.values.values(&request);
        let measuring = Measuring::start(self.figures(values), request.size());
        ResponseFuture {
            inner: self.inner.call(request),
            measuring: Some(measuring),
        }
    }
}

pin_project! {
    /// The future of [`Metrics`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        measuring: Option<Measuring>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<Watched<B, Measuring>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let mut measuring = this.measuring.take().expect("polled after it was ready");
        match result {
            Ok(response) => {
                measuring.head(response.status());
                Poll::Ready(Ok(response.map(|body| Watched::new(body, measuring))))
            }
            Err(error) => {
                measuring.finish(Outcome::Failed, 0);
                Poll::Ready(Err(error))
            }
        }
    }
}

/// One request being measured. Dropped before its response, it counts as cancelled.
///
/// It is no larger than a pointer, since it goes through the future into the response's body. What
/// it points to is used again by the thread's next request.
#[derive(Debug)]
pub struct Measuring {
    /// There until the request is over.
    sheet: Option<Box<Sheet>>,
}

#[derive(Debug)]
struct Sheet {
    figures: Arc<Figures>,
    started: Instant,
    status: Option<StatusCode>,
    first_byte: bool,
}

/// The sheets that a thread keeps for its next requests. They refer to their figures all the time:
/// to count references for each request would have all threads write to one word.
const SHEETS: usize = 16;

/// In boxes, since requests carry those.
type Sheets = RefCell<Vec<Box<Sheet>>>;

thread_local! {
    static SPARE_SHEETS: Sheets = const { RefCell::new(Vec::new()) };
}

impl Sheet {
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "the box is what is used again"
    )]
    fn begin(figures: &Arc<Figures>) -> Box<Self> {
        let (started, first_byte) = (Instant::now(), figures.wants_first_byte);
        let spare = SPARE_SHEETS.try_with(|spare| spare.borrow_mut().pop());
        if let Ok(Some(mut sheet)) = spare {
            if !Arc::ptr_eq(&sheet.figures, figures) {
                sheet.figures = Arc::clone(figures);
            }
            sheet.started = started;
            sheet.status = None;
            sheet.first_byte = first_byte;
            return sheet;
        }
        Box::new(Self {
            figures: Arc::clone(figures),
            started,
            status: None,
            first_byte,
        })
    }

    fn finish(&self, outcome: Outcome, bytes: u64) {
        let figures = &*self.figures;
        figures.in_flight.decrement(1.0);
        figures.count(self.status, outcome);
        if figures.wants_duration {
            figures.duration.record(self.seconds());
        }
        if self.status.is_some() {
            figures.response_bytes.record(float(bytes));
        }
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Leaves it to the thread's next request.
    fn keep(self: Box<Self>) {
        let mut sheet = Some(self);
        // A thread that is ending keeps nothing. What finds no room is dropped when the list is
        // free: it may be the last reference to what a recorder made.
        let _ = SPARE_SHEETS.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SHEETS {
                spare.extend(sheet.take());
            }
        });
    }
}

impl Measuring {
    fn start(figures: &Arc<Figures>, size: Option<u64>) -> Self {
        figures.in_flight.increment(1.0);
        if let Some(size) = size {
            figures.request_bytes.record(float(size));
        }
        Self {
            sheet: Some(Sheet::begin(figures)),
        }
    }

    fn head(&mut self, status: StatusCode) {
        if let Some(sheet) = &mut self.sheet {
            sheet.status = Some(status);
            if sheet.figures.wants_head {
                sheet.figures.head.record(sheet.seconds());
            }
        }
    }

    fn finish(&mut self, outcome: Outcome, bytes: u64) {
        if let Some(sheet) = self.sheet.take() {
            sheet.finish(outcome, bytes);
            sheet.keep();
        }
    }
}

impl Watch for Measuring {
    fn data(&mut self, _: usize) {
        if let Some(sheet) = &mut self.sheet
            && std::mem::take(&mut sheet.first_byte)
        {
            sheet.figures.first_byte.record(sheet.seconds());
        }
    }

    fn end(mut self, end: End) {
        let outcome = match end.how {
            Ending::Complete => Outcome::Complete,
            Ending::Failed => Outcome::Failed,
            Ending::Dropped => Outcome::Dropped,
        };
        self.finish(outcome, end.bytes);
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        self.finish(Outcome::Cancelled, 0);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Complete,
    Failed,
    Dropped,
    Cancelled,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Every set of label values that was seen, up to the bound.
struct Series<V, const N: usize> {
    known: papaya::HashMap<[V; N], Arc<Figures>, foldhash::fast::RandomState>,
    count: AtomicUsize,
    most: usize,
    other: OnceLock<Arc<Figures>>,
    names: Names,
    labels: [&'static str; N],
}

impl<V, const N: usize> std::fmt::Debug for Series<V, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl<V, const N: usize> Series<V, N>
where
    V: Hash + Eq + Clone + Into<SharedString>,
{
    fn of(&self, values: &[V; N]) -> Arc<Figures> {
        let known = self.known.pin();
        if let Some(figures) = known.get(values) {
            return Arc::clone(figures);
        }
        // Counted before it is inserted, so that a race cannot pass the bound.
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.count.fetch_sub(1, Ordering::Relaxed);
            let others = || {
                Arc::new(Figures::new(
                    self,
                    [const { SharedString::const_str(OTHER) }; N],
                ))
            };
            return Arc::clone(self.other.get_or_init(others));
        }
        let mut inserted = false;
        let figures = known.get_or_insert_with(values.clone(), || {
            inserted = true;
            Arc::new(Figures::new(self, values.clone().map(Into::into)))
        });
        if !inserted {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        Arc::clone(figures)
    }
}

/// The handles of one set of label values.
struct Figures {
    labels: Vec<Label>,
    names: Names,
    outcomes: [Counted; OUTCOMES],
    duration: Histogram,
    head: Histogram,
    first_byte: Histogram,
    in_flight: Gauge,
    request_bytes: Histogram,
    response_bytes: Histogram,
    // A clock is read only for a figure that someone asked for.
    wants_duration: bool,
    wants_head: bool,
    wants_first_byte: bool,
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Figures")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// The counter of one status and outcome, once it was seen.
type Counted = OnceLock<(Option<StatusCode>, Outcome, Counter)>;

/// More pairs of status and outcome than one service gives; further ones are resolved each time.
const OUTCOMES: usize = 24;

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Figures {
    fn new<V, const N: usize>(series: &Series<V, N>, values: [SharedString; N]) -> Self {
        let names = &series.names;
        let labels: Vec<Label> = series
            .labels
            .iter()
            .zip(values)
            .map(|(name, value)| Label::new(*name, value))
            .collect();
        let key = |name: &Option<SharedString>| {
            name.clone()
                .map(|name| Key::from_parts(KeyName::from(name), labels.clone()))
        };
        let histogram = |name| match key(name) {
            Some(key) => metrics::with_recorder(|to| to.register_histogram(&key, &METADATA)),
            None => Histogram::noop(),
        };
        let in_flight = match key(&names.in_flight) {
            Some(key) => metrics::with_recorder(|to| to.register_gauge(&key, &METADATA)),
            None => Gauge::noop(),
        };
        Self {
            duration: histogram(&names.duration),
            head: histogram(&names.head),
            first_byte: histogram(&names.first_byte),
            in_flight,
            request_bytes: histogram(&names.request_bytes),
            response_bytes: histogram(&names.response_bytes),
            wants_duration: names.duration.is_some(),
            wants_head: names.head.is_some(),
            wants_first_byte: names.first_byte.is_some(),
            outcomes: [const { OnceLock::new() }; OUTCOMES],
            names: names.clone(),
            labels,
        }
    }

    fn count(&self, status: Option<StatusCode>, outcome: Outcome) {
        for counted in &self.outcomes {
            let (of, how, counter) = match counted.get() {
                Some(counted) => counted,
                None => counted.get_or_init(|| (status, outcome, self.register(status, outcome))),
            };
            if *of == status && *how == outcome {
                return counter.increment(1);
            }
        }
        self.register(status, outcome).increment(1);
    }

    fn register(&self, status: Option<StatusCode>, outcome: Outcome) -> Counter {
        let status = status.map_or("none".into(), |status| status.as_str().to_owned());
        let names = &self.names;
        let mut labels = self.labels.clone();
        labels.push(Label::new(names.status_label.clone(), status));
        labels.push(Label::new(names.ending_label.clone(), outcome.label()));
        let key = Key::from_parts(KeyName::from(names.requests.clone()), labels);
        metrics::with_recorder(|to| to.register_counter(&key, &METADATA))
    }
}

/// Bodies are shorter than 2⁵³ bytes.
#[expect(
    clippy::cast_precision_loss,
    reason = "bodies are shorter than 2^53 bytes"
)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
    use tokio::time::Duration;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::BoxError;

    fn names() -> Names {
        Names::new("requests")
            .duration("duration")
            .first_byte("first_byte")
            .in_flight("in_flight")
            .request_bytes("request_bytes")
            .response_bytes("response_bytes")
    }

    fn recorded(snapshotter: &Snapshotter) -> BTreeMap<String, String> {
        let all = snapshotter.snapshot().into_vec().into_iter();
        all.map(|(key, _, _, value)| {
            let (_, key) = key.into_parts();
            let labels: Vec<_> = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let value = match value {
                DebugValue::Counter(n) => n.to_string(),
                DebugValue::Gauge(n) => n.to_string(),
                DebugValue::Histogram(all) => format!("{all:?}"),
            };
            (format!("{} {}", key.name(), labels.join(" ")), value)
        })
        .collect()
    }

    /// Runs `journey` with a recorder of its own, on this thread.
    fn record(journey: impl Future<Output = ()>) -> BTreeMap<String, String> {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        metrics::with_local_recorder(&recorder, || runtime.unwrap().block_on(journey));
        recorded(&snapshotter)
    }

    type Body = Full<Bytes>;

    async fn slow(request: Request<Body>) -> Result<Response<Body>, BoxError> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        match request.uri().path() {
            "/fail" => Err("boom".into()),
            path => Ok(Response::new(Body::from(path.to_owned()))),
        }
    }

    fn path(request: &Request<Body>) -> [String; 1] {
        [request.uri().path().to_owned()]
    }

    fn get(path: &str) -> Request<Body> {
        Request::builder()
            .uri(path)
            .body(Body::from("12345"))
            .unwrap()
    }

    #[test]
    fn a_whole_journey_is_recorded_once() {
        let recorded = record(async {
            let service = MetricsLayer::new(names(), ["path"], path).layer(service_fn(slow));
            let response = service.oneshot(get("/abc")).await.unwrap();
            response.into_body().collect().await.unwrap();
        });
        let expected = [
            ("duration path=/abc", "[2.0]"),
            ("first_byte path=/abc", "[2.0]"),
            ("in_flight path=/abc", "0"),
            ("request_bytes path=/abc", "[5.0]"),
            ("requests path=/abc status=200 ending=complete", "1"),
            ("response_bytes path=/abc", "[4.0]"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(recorded, expected.into());
    }

    #[test]
    fn every_outcome_has_its_label_and_leaves_the_gauge_at_zero() {
        let recorded = record(async {
            let service = MetricsLayer::new(names(), ["path"], path).layer(service_fn(slow));
            service.clone().oneshot(get("/fail")).await.unwrap_err();
            drop(service.clone().oneshot(get("/a")).await.unwrap());
            let cancelled = service.oneshot(get("/a"));
            tokio::time::timeout(Duration::from_secs(1), cancelled)
                .await
                .unwrap_err();
        });
        assert_eq!(
            recorded["requests path=/fail status=none ending=failed"],
            "1"
        );
        assert_eq!(recorded["requests path=/a status=200 ending=dropped"], "1");
        assert_eq!(
            recorded["requests path=/a status=none ending=cancelled"],
            "1"
        );
        assert_eq!(recorded["in_flight path=/a"], "0");
        assert_eq!(recorded["in_flight path=/fail"], "0");
    }

    #[test]
    fn values_beyond_the_bound_are_counted_together() {
        let recorded = record(async {
            let layer = MetricsLayer::new(Names::new("requests"), ["path"], path).max_series(2);
            let service = layer.layer(service_fn(slow));
            for n in 0..10 {
                let response = service
                    .clone()
                    .oneshot(get(&format!("/{n}")))
                    .await
                    .unwrap();
                response.into_body().collect().await.unwrap();
            }
        });
        assert_eq!(recorded.len(), 3);
        assert_eq!(
            recorded["requests path=other status=200 ending=complete"],
            "8"
        );
    }

    #[test]
    fn unusual_statuses_of_a_class_are_told_apart() {
        let recorded = record(async {
            let statuses = service_fn(|request: Request<Body>| async move {
                let mut response = Response::new(Body::default());
                *response.status_mut() = request.uri().path()[1..].parse().unwrap();
                Ok::<_, BoxError>(response)
            });
            let layer = MetricsLayer::new(Names::new("requests"), [], |_: &Request<Body>| {
                [] as [&str; 0]
            });
            let service = layer.layer(statuses);
            for path in ["/400", "/404", "/404", "/400"] {
                service.clone().oneshot(get(path)).await.unwrap();
            }
        });
        assert_eq!(recorded["requests status=400 ending=complete"], "2");
        assert_eq!(recorded["requests status=404 ending=complete"], "2");
    }
}
