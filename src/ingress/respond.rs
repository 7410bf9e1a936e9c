//! Has a call answered, and makes the answer a response: headers, cost, the record of its end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::Service;

use super::answer::refuse;
use super::answered;
use super::background::Background;
use super::body::Body;
use super::headers;
use crate::call::{AnswerBody, AnswerEnd, Call, Lost, Piece, Reached, Trail};
use crate::error::Failure;
use crate::spend::meter::InFlight;
use crate::spend::price::{Cost, paid};
use crate::spend::record::Record;
use crate::spend::report::Reporter;
use crate::upstream::openai::responses::kept::State;
use crate::upstream::{Relay, StreamOutcome};

/// Answers requests which have been read by a service that answers calls.
///
/// It never fails: what went wrong is a response in the caller's dialect. Every call is reported
/// once, when it has ended: a stream with its last byte, and a call whose future was dropped then.
#[derive(Clone, Debug)]
pub struct Responder<S> {
    calls: S,
    reporter: Reporter,
    background: Option<Background>,
}

impl<S> Responder<S> {
    /// Has calls answered by `calls`.
    pub fn new(calls: S, reporter: Reporter) -> Self {
        Self {
            calls,
            reporter,
            background: None,
        }
    }

    /// The same with somebody who waits for answers that are made in the background.
    #[must_use]
    pub fn waiting(mut self, background: Background) -> Self {
        self.background = Some(background);
        self
    }
}

impl<S> Service<Request<Arc<Call>>> for Responder<S>
where
    S: Service<Arc<Call>, Response = Reached<Relay>, Error = Box<Lost>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that is broken fails the call, too, and there it can be told.
        let _broken = ready!(self.calls.poll_ready(cx)).is_err();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Arc<Call>>) -> Self::Future {
        let call = request.into_body();
        if let Some(ledger) = self
            .reporter
            .ledger()
            .filter(|ledger| ledger.notes_beginnings())
        {
            let [worst, prompt] = call.tab.worst();
            ledger.begin(&call, worst, prompt);
        }
        ResponseFuture {
            answer: self.calls.call(Arc::clone(&call)),
            open: Open {
                waiting: Some((call, self.reporter.meter().enter())),
                reporter: self.reporter.clone(),
                background: self.background.clone(),
            },
        }
    }
}

pin_project! {
    /// The future of [`Responder`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        answer: F,
        open: Open,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Reached<Relay>, Box<Lost>>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx));
        let in_flight = this.open.waiting.take().map(|(_, in_flight)| in_flight);
        Poll::Ready(Ok(match answer {
            Ok(reached) => this.open.respond(reached, in_flight),
            Err(lost) => this.open.fail(*lost),
        }))
    }
}

/// A call that has no answer yet.
#[derive(Debug)]
struct Open {
    waiting: Option<(Arc<Call>, InFlight)>,
    reporter: Reporter,
    background: Option<Background>,
}

impl Drop for Open {
    /// Reports a call whose caller went away before there was an answer.
    fn drop(&mut self) {
        if let Some((call, _)) = self.waiting.take() {
            self.reporter.report(Record {
                status: CLIENT_CLOSED_REQUEST,
                failure: Some("ClientDisconnected"),
                dropped: true,
                ..begun(call, Trail::default())
            });
        }
    }
}

impl Open {
    fn respond(&self, reached: Reached<Relay>, in_flight: Option<InFlight>) -> Response<Body> {
        let Reached {
            call,
            answer,
            trail,
        } = reached;
        let call = &call;
        let endpoint = call.live.endpoint(answer.deployment);
        let streamed = matches!(answer.body, AnswerBody::Stream(_));
        let mut headers = headers::of_answer(call, endpoint, streamed);
        headers::push_trail(&mut headers, call, &trail, Some(answer.deployment));
        headers::push_provider(&mut headers, &answer.headers, endpoint);
        headers::push_dropped(&mut headers, &answer.dropped);
        headers::push_kind(&mut headers, call, &answer.headers);
        let mut record = Record {
            deployment: Some(answer.deployment),
            status: answer.status,
            upstream: answer.latency,
            ended: call.arrived,
            ..begun(Arc::clone(call), trail)
        };
        let body = match answer.body {
            AnswerBody::Whole { bytes, usage } => {
                record.settle(usage);
                record.answer = call.route.speaks().then(|| answered::id(&bytes)).flatten();
                headers::push_times(&mut headers, call, answer.latency);
                if let (Some(background), Some(kept)) = (&self.background, &call.kept) {
                    background.see(&kept.issued, &bytes);
                }
                let goes_on = call.in_background() && State::read(&bytes) == Some(State::Under);
                if !goes_on {
                    headers::push_cost(&mut headers, record.cost);
                }
                report(record, goes_on, &self.reporter, self.background.as_ref());
                Body::whole(bytes)
            }
            AnswerBody::Stream(mut relay) => {
                headers::push_times(&mut headers, call, answer.latency);
                let reporter = self.reporter.clone();
                let background = self.background.clone();
                let first = relay.first_bytes();
                record.answer = first.and_then(|bytes| answered::id(bytes));
                // Whoever has the whole answer finds it written down.
                relay.on_last(Box::new(move |end| {
                    let _in_flight = in_flight;
                    let call = Arc::clone(&record.call);
                    if let (Some(background), Some(kept)) = (&background, &call.kept) {
                        background.wake(&kept.issued);
                    }
                    // Whoever told no usage may go on.
                    let goes_on = call.in_background() && end.end.usage.is_none();
                    report(ended(record, end), goes_on, &reporter, background.as_ref());
                }));
                Body::relay(relay)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = headers;
        response
    }

    fn fail(&self, lost: Lost) -> Response<Body> {
        let Lost {
            call,
            failure,
            trail,
        } = lost;
        let mut response = refuse(&failure, call.route.dialect(), &call.id);
        headers::push_trail(response.headers_mut(), &call, &trail, None);
        self.reporter.report(failed(&call, &failure, trail));
        response
    }
}

/// Reports a call that has ended; has one waited for whose answer goes on in the background.
fn report(record: Record, goes_on: bool, reporter: &Reporter, background: Option<&Background>) {
    let Some(background) = background.filter(|_| goes_on) else {
        return reporter.report(record);
    };
    let failure = record.failure;
    let waiting = Record {
        failure: None,
        usage: None,
        estimated: false,
        cost: Cost::default(),
        ..record
    };
    if let Err(record) = background.wait(Box::new(waiting)) {
        reporter.report(Record { failure, ..*record });
    }
}

impl Record {
    /// Books what a deployment took whose stream broke, before another one went on with it.
    fn add(&mut self, piece: &Piece) {
        let cost = paid(&piece.usage, self.call.live.deployment(piece.deployment));
        self.before.push((piece.deployment, cost.total()));
        self.cost.input = self.cost.input.plus(cost.input);
        self.cost.output = self.cost.output.plus(cost.output);
        self.usage = Some(self.usage.unwrap_or_default().and(&piece.usage));
        self.estimated |= piece.estimated;
    }

    /// Books what the call took.
    fn settle(&mut self, usage: Option<crate::call::Usage>) {
        self.ended = Instant::now();
        self.usage = usage;
        if let (Some(usage), Some(deployment)) = (usage, self.deployment) {
            self.cost = paid(&usage, self.call.live.deployment(deployment));
        }
    }
}

fn ended(mut record: Record, answer: AnswerEnd) -> Record {
    let AnswerEnd {
        end,
        estimate,
        resumed,
    } = answer;
    let mut before = Vec::new();
    if let Some(resumed) = resumed {
        record.trail.join(resumed.trail);
        record.call = resumed.call;
        record.deployment = Some(resumed.deployment);
        before = resumed.before;
    }
    record.estimated = estimate.is_some();
    record.settle(estimate.or(end.usage));
    for piece in &before {
        record.add(piece);
    }
    record.first_token = end
        .first_event
        .map(|at| at.into_std().saturating_duration_since(record.call.arrived));
    match end.outcome {
        StreamOutcome::Complete => {}
        StreamOutcome::Failed(failure) => record.failure = Some(failure.class()),
        StreamOutcome::Dropped => record.dropped = true,
    }
    record
}

/// The record of a call that nobody answered.
pub(super) fn failed(call: &Arc<Call>, failure: &Failure, trail: Trail) -> Record {
    let deployment = match failure {
        Failure::Upstream(fault) => Some(fault.asked),
        _ => None,
    };
    Record {
        deployment,
        status: failure.status(),
        failure: Some(failure.class()),
        ..begun(Arc::clone(call), trail)
    }
}

/// The record of a call of which nothing is known yet.
fn begun(call: Arc<Call>, trail: Trail) -> Record {
    Record {
        call,
        deployment: None,
        trail,
        status: http::StatusCode::OK,
        failure: None,
        dropped: false,
        usage: None,
        estimated: false,
        cost: Cost::default(),
        before: Vec::new(),
        upstream: Duration::ZERO,
        first_token: None,
        ended: Instant::now(),
        answer: None,
    }
}

/// nginx's status for a caller that went away.
const CLIENT_CLOSED_REQUEST: http::StatusCode = match http::StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => http::StatusCode::BAD_REQUEST,
};
