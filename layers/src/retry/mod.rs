//! Retry and fallback: again here, or next door.
//!
//! On the way in a [`Policy`] begins a [`Journey`] for the request. The journey makes the request
//! of each attempt and judges how it went: done, again here after some time, on to the next target,
//! or give up. Nothing goes out before the judgement, and where the journey asks for it not before
//! the first frame of the response's body: until then the request may still fail over. On the way
//! out nothing is changed. The layer refuses with [`TimedOut`] when the time of all attempts is
//! over; otherwise the caller gets the last attempt's response or error as it was.
//!
//! [`Standard`] is a policy for common needs:
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use pointsman_layers::BoxError;
//! use pointsman_layers::retry::{RetryBudget, RetryLayer, Standard};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! static CALLS: AtomicUsize = AtomicUsize::new(0);
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(Standard::new(2)).budget(RetryBudget::new(200, 10)))
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         let mut response = Response::new(Full::new(Bytes::from("hi")));
//!         if CALLS.fetch_add(1, Ordering::Relaxed) < 2 {
//!             *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!         }
//!         Ok::<_, BoxError>(response)
//!     }));
//! let response = service.oneshot(Request::new(Full::default())).await.unwrap();
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(CALLS.load(Ordering::Relaxed), 3);
//! # });
//! ```
//!
//! Requests are cloned for each attempt, so their bodies must be cheap to clone: [`BufferLayer`]
//! makes them so. Fallbacks, deadlines and hedging:
//!
//! ```
//! # use std::time::Duration;
//! # use bytes::Bytes;
//! # use http::{HeaderValue, Request};
//! # use http_body_util::Full;
//! # use pointsman_layers::retry::{RetryLayer, Standard};
//! let policy = Standard::new(2)
//!     .fallbacks(1, |request: &mut Request<Full<Bytes>>, _| {
//!         request.headers_mut().insert("host", HeaderValue::from_static("second.example"));
//!     })
//!     .each(Duration::from_secs(5))
//!     .total(Duration::from_secs(12))
//!     .hedge(Duration::from_millis(500));
//! let layer = RetryLayer::new(policy);
//! # let _ = layer;
//! ```
//!
//! **Cost and safety.** A request that is answered at once costs a clone of itself and of the inner
//! service; [`Carry`] makes the clone of its extensions cheap. Timers are set only when it waits. The future may be dropped at any time and drops the
//! attempts under way. Bodies must be `Unpin`, as those of hyper and axum are.

mod budget;
mod buffer;
mod carry;
mod service;
mod standard;

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};
use http::response::Parts;

use crate::BoxError;

pub use budget::RetryBudget;
pub use buffer::{Buffer, BufferFuture, BufferLayer, TooLarge, Whole};
pub use carry::{Carry, Carrying};
pub use service::{Body, ResponseFuture, Retry, RetryLayer};
pub use standard::{Backoff, Rewrite, Same, Standard};

/// Which attempt it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its number among all of the request, from 1.
    pub number: u32,
    /// Its number at its target, from 1.
    pub here: u32,
    /// The target's number, from 0.
    pub target: u32,
    /// Whether another attempt is still under way.
    pub hedge: bool,
    /// The time since the request came.
    pub elapsed: Duration,
}

/// How an attempt went.
#[derive(Debug)]
pub enum Seen<'a> {
    /// There is a response's head.
    Head(&'a Parts),
    /// The response's body failed before its first frame.
    Body(&'a BoxError),
    /// The inner service gave an error.
    Error(&'a BoxError),
    /// The attempt's own time was over.
    TimedOut,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The caller gets this.
    Done,
    /// Another attempt at the same target. The retry budget pays for it.
    Retry {
        /// The time before it.
        after: Duration,
    },
    /// An attempt at a target that the request has not tried. The retry budget is not asked: it
    /// keeps a target from being flooded, and this one has had nothing of this request.
    Next {
        /// The time before it.
        after: Duration,
    },
    /// The caller gets this, though it is a failure. The same as [`Verdict::Done`] but in a hedged
    /// attempt, where the other one is waited for.
    GiveUp,
}

/// The times of one attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// How long it may take, to its first frame if that is waited for.
    pub most: Option<Duration>,
    /// When a second attempt is begun beside it; the slower one is dropped. The retry budget pays.
    pub hedge: Option<Duration>,
}

/// Decides about the attempts of requests.
pub trait Policy<Req> {
    /// What goes along with one request.
    type Journey: Journey<Req>;

    /// Begins with `request`; `None` passes it on as it is, once.
    fn begin(&self, request: &Req) -> Option<Self::Journey>;
}

/// Decides about the attempts of one request.
pub trait Journey<Req> {
    /// The request of an attempt, made of the original.
    fn request(&mut self, original: &Req, attempt: Attempt) -> Req;

    /// The request of the first attempt. It may take out of the original what further attempts do
    /// without.
    fn first(&mut self, original: &mut Req, attempt: Attempt) -> Req {
        self.request(original, attempt)
    }

    /// The times of an attempt, asked before it.
    fn timing(&mut self, attempt: Attempt) -> Timing {
        let _ = attempt;
        Timing::default()
    }

    /// The time of all attempts and the pauses between them, asked once.
    fn total(&self) -> Option<Duration> {
        None
    }

    /// Judges an attempt.
    fn judge(&mut self, attempt: Attempt, seen: Seen<'_>) -> Verdict;

    /// The retry budget does not pay for the retry that was the verdict, or the pause before it
    /// would last beyond the total: what then? Another
    /// [`Verdict::Retry`] is giving up.
    fn unpaid(&mut self, attempt: Attempt) -> Verdict {
        let _ = attempt;
        Verdict::GiveUp
    }

    /// Whether a response that was judged done is held back until its body has its first frame.
    fn waits_for_first_frame(&self, head: &Parts) -> bool {
        let _ = head;
        false
    }
}

/// Time was over, of an attempt or of all. 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimedOut {
    /// The attempts that were made.
    pub attempts: u32,
    /// The time since the request came.
    pub elapsed: Duration,
    /// Whether it was the time of all attempts together.
    pub total: bool,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attempts, elapsed, ..
        } = self;
        write!(f, "no answer within {elapsed:?} and {attempts} attempts")
    }
}

impl Error for TimedOut {}

/// The time that a server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::{HeaderMap, HeaderValue};
/// use pointsman_layers::retry::retry_after;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), None);
/// headers.insert("retry-after", HeaderValue::from_static("Thu, 01 Jan 1970 00:01:00 GMT"));
/// let wait = retry_after(&headers, SystemTime::UNIX_EPOCH);
/// assert_eq!(wait, Some(Duration::from_secs(60)));
/// ```
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = headers
        .get("retry-after-ms")
        .and_then(|value| value.to_str().ok());
    if let Some(millis) = millis.and_then(|millis| number(millis.trim())) {
        return Duration::try_from_secs_f64(millis / 1_000.0).ok();
    }
    let text = text(RETRY_AFTER)?;
    if let Some(seconds) = number(text) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
