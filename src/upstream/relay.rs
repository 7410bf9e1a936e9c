//! A stream on its way from the provider to the caller.
//!
//! The relay reads the provider's body, leads it through its [`Passage`], and sees to it that the
//! caller's stream never ends in silence: a cut, a stall or an error after the first event becomes
//! a last event that tells the error, in the caller's dialect. Where [`on_break`](Ends::on_break)
//! named somebody, and somebody else can go on with what was said, it is asked first, and the caller's
//! stream goes on as one. Dropping the relay ends the upstream request and every such attempt. However
//! it ends, those whom [`on_end`](Ends::on_end) and [`on_last`](Relay::on_last) named are told once.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::client::Reply;
use bytes::{Bytes, BytesMut};
use http_body::Body;
use pointsman_routes::table::DeploymentId;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};

use super::passage::Passage;
use super::protocol::Broken;
use super::{broken_off, count, fault_of, mock, resume};
use crate::call::{
    Again, AnswerBody, AnswerEnd, Broke, Call, Ends, GoingOn, OnEnd, OnLast, Piece, Reached,
    Resumed, StreamEnd, StreamOutcome, Trail,
};
use crate::error::{Failure, UpstreamKind};

/// How long a provider may be silent between two chunks, if its whole deadline is not shorter.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// A provider's stream, as the caller gets it.
pub struct Relay {
    source: Source,
    passage: Passage,
    call: Arc<Call>,
    deployment: DeploymentId,
    /// The first bytes, held until the answer's head has gone.
    held: Option<Bytes>,
    out: BytesMut,
    idle: Pin<Box<Sleep>>,
    idle_after: Duration,
    last_chunk: Instant,
    first_event: Option<Instant>,
    on_end: SmallVec<[OnEnd; 2]>,
    on_last: Option<OnLast>,
    again: Option<Again<Self>>,
    resumption: Option<Box<Resumption>>,
    state: State,
}

/// A stream that broke, and how it is gone on with.
struct Resumption {
    /// Why it broke the last time.
    failure: Failure,
    /// The attempts to go on with it, while there are some.
    going: Option<GoingOn<Relay>>,
    /// What was said by those whose streams broke.
    before: Vec<Piece>,
    trail: Trail,
}

enum Source {
    Provider(Reply),
    Mock(mock::Script),
    /// It broke.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// Somebody else is being asked to go on.
    Asking,
    Ended,
    BrokenOff,
}

/// What one read of the source gave.
enum Read {
    Chunk(Bytes),
    End,
    Broke,
    Silent,
}

impl Relay {
    pub(super) fn new(
        body: Reply,
        call: Arc<Call>,
        deployment: DeploymentId,
        passage: Passage,
    ) -> Self {
        Self::from_source(Source::Provider(body), call, deployment, passage)
    }

    pub(super) fn mock(
        script: mock::Script,
        call: Arc<Call>,
        deployment: DeploymentId,
        passage: Passage,
    ) -> Self {
        Self::from_source(Source::Mock(script), call, deployment, passage)
    }

    fn from_source(
        source: Source,
        call: Arc<Call>,
        deployment: DeploymentId,
        passage: Passage,
    ) -> Self {
        let endpoint = call.live.endpoint(deployment);
        let of_file = call.live.deployment(deployment).idle_timeout;
        let most = of_file.or(call.live.routes().router.idle_timeout);
        let idle_after = call
            .timeout
            .unwrap_or(endpoint.timeout)
            .min(most.unwrap_or(IDLE_TIMEOUT));
        let now = Instant::now();
        Self {
            source,
            passage,
            call,
            deployment,
            held: None,
            out: BytesMut::new(),
            idle: Box::pin(tokio::time::sleep_until(now + idle_after)),
            idle_after,
            last_chunk: now,
            first_event: None,
            on_end: SmallVec::new(),
            on_last: None,
            again: None,
            resumption: None,
            state: State::Reading,
        }
    }

    /// Waits until the first data event is there, so that a failure before it can still be told
    /// with a status.
    pub(super) async fn first_event(&mut self) -> Result<(), Failure> {
        let mut held = BytesMut::new();
        loop {
            let read = poll_fn(|cx| self.poll_read(cx)).await;
            match self.step(read) {
                Ok(Some(bytes)) => held.extend_from_slice(&bytes),
                Ok(None) => {}
                Err(failure) => return Err(failure),
            }
            if self.passage.progress().started || self.state == State::Ended {
                break;
            }
        }
        if !self.passage.progress().started {
            return Err(self.fault(UpstreamKind::Malformed, "Its stream is empty."));
        }
        self.first_event = Some(Instant::now());
        self.held = Some(held.freeze()).filter(|held| !held.is_empty());
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let body = match &mut self.source {
            Source::Mock(script) => {
                return Poll::Ready(script.next_chunk().map_or(Read::End, Read::Chunk));
            }
            Source::Provider(body) => body,
            Source::Gone => return Poll::Ready(Read::Broke),
        };
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.last_chunk = Instant::now();
                        return Poll::Ready(Read::Chunk(chunk));
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Read::Broke),
                Poll::Ready(None) => return Poll::Ready(Read::End),
                Poll::Pending => {
                    // The timer is moved when it fires and not at each chunk.
                    ready!(self.idle.as_mut().poll(cx));
                    let due = self.last_chunk + self.idle_after;
                    if due <= Instant::now() {
                        return Poll::Ready(Read::Silent);
                    }
                    self.idle.as_mut().reset(due);
                }
            }
        }
    }

    /// Takes what was read; returns what goes to the caller now.
    fn step(&mut self, read: Read) -> Result<Option<Bytes>, Failure> {
        match read {
            Read::Chunk(chunk) => {
                let pushed = self.passage.push(chunk, &mut self.out);
                pushed.map_err(|broken| self.broken(broken))
            }
            Read::End => {
                let finished = self.passage.finish(&mut self.out);
                finished.map_err(|broken| self.broken(broken))?;
                self.state = State::Ended;
                Ok((!self.out.is_empty()).then(|| self.out.split().freeze()))
            }
            // Some providers close without an end to the chunked body after `[DONE]`.
            Read::Broke if self.passage.progress().done => {
                self.state = State::Ended;
                Ok(None)
            }
            Read::Broke => Err(self.fault(UpstreamKind::Cut, "")),
            Read::Silent => Err(self.fault(UpstreamKind::Stalled(self.idle_after), "")),
        }
    }

    fn broken(&self, broken: Broken) -> Failure {
        broken_off(&self.call, self.deployment, broken)
    }

    fn fault(&self, kind: UpstreamKind, message: &str) -> Failure {
        fault_of(&self.call, self.deployment, kind, message)
    }

    /// The next bytes for the caller; `None` at the end.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(held) = self.held.take() {
            self.tell_before_last();
            return Poll::Ready(Some(held));
        }
        loop {
            match self.state {
                State::Ended | State::BrokenOff => break,
                State::Asking => {
                    if let Some(bytes) = ready!(self.poll_going(cx)) {
                        return Poll::Ready(Some(bytes));
                    }
                    continue;
                }
                State::Reading => {}
            }
            let read = ready!(self.poll_read(cx));
            match self.step(read) {
                Ok(Some(bytes)) => {
                    self.first_event.get_or_insert_with(Instant::now);
                    self.tell_before_last();
                    if self.state == State::Ended {
                        self.end(&StreamOutcome::Complete);
                    }
                    return Poll::Ready(Some(bytes));
                }
                Ok(None) => {}
                Err(failure) if self.can_go_on() => {
                    self.ask_again(failure);
                    // What came before it broke is not held back while somebody else is asked.
                    if !self.out.is_empty() {
                        return Poll::Ready(Some(self.out.split().freeze()));
                    }
                }
                Err(failure) => return Poll::Ready(self.fail(failure)),
            }
        }
        self.end(&StreamOutcome::Complete);
        Poll::Ready(None)
    }

    /// Whether somebody may be asked to go on, and can.
    fn can_go_on(&self) -> bool {
        let shown = || self.passage.shown();
        self.again.is_some() && shown().is_some_and(|shown| resume::can_go_on(&self.call, &shown))
    }

    /// Lets go of the deployment whose stream broke, and asks somebody else to go on.
    fn ask_again(&mut self, failure: Failure) {
        let (Some(again), Some(mut shown)) = (self.again.take(), self.passage.shown()) else {
            return;
        };
        let piece = self.piece();
        self.source = Source::Gone;
        self.state = State::Asking;
        let ended = self.ended(StreamOutcome::Failed(failure.clone()));
        for told in std::mem::take(&mut self.on_end) {
            told(ended.clone());
        }
        let broken = self.resumption.get_or_insert_with(|| {
            Box::new(Resumption {
                failure: failure.clone(),
                going: None,
                before: Vec::new(),
                trail: Trail::default(),
            })
        });
        broken.before.push(piece);
        broken.failure = failure.clone();
        self.call.name().clone_into(&mut shown.model);
        if let Some(before) = self.call.resumed.as_deref() {
            shown.model.clone_from(&before.model);
            shown.words.insert_str(0, &before.words);
            shown.thought |= before.thought;
            shown.usage = before.usage;
        }
        shown.usage = shown.usage.and(&piece.usage);
        let pieces = broken.before.clone();
        broken.going = Some(again(Broke {
            failure,
            shown,
            pieces,
        }));
    }

    /// What this deployment has said so far, as a piece of the answer.
    fn piece(&self) -> Piece {
        let estimate = count::of_stream(&self.call, self.deployment, &self.passage);
        Piece {
            deployment: self.deployment,
            usage: estimate
                .or(self.passage.progress().usage)
                .unwrap_or_default(),
            estimated: estimate.is_some(),
        }
    }

    /// Waits for whoever goes on; gives the bytes that are there then.
    fn poll_going(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let asked = self
            .resumption
            .as_mut()
            .and_then(|broken| Some(broken.going.as_mut()?.as_mut().poll(cx)));
        let went = match asked {
            Some(asked) => ready!(asked),
            // Nobody is asked any more.
            None => Err(Trail::default()),
        };
        let Some(broken) = &mut self.resumption else {
            self.state = State::Ended;
            return Poll::Ready(None);
        };
        broken.going = None;
        match went {
            Ok(Reached {
                call,
                answer,
                trail,
            }) => {
                broken.trail.join(trail);
                if let AnswerBody::Stream(next) = answer.body {
                    self.turn_to(next, call, answer.deployment);
                    self.tell_before_last();
                    return Poll::Ready(self.held.take());
                }
            }
            Err(trail) => broken.trail.join(trail),
        }
        // The piece that broke last is the last one, and its failure is what is told.
        broken.before.pop();
        let failure = broken.failure.clone();
        Poll::Ready(self.fail(failure))
    }

    /// Goes on with `next` in place of the stream that broke.
    fn turn_to(&mut self, mut next: Self, call: Arc<Call>, deployment: DeploymentId) {
        self.source = std::mem::replace(&mut next.source, Source::Gone);
        std::mem::swap(&mut self.passage, &mut next.passage);
        std::mem::swap(&mut self.idle, &mut next.idle);
        self.call = call;
        self.deployment = deployment;
        self.held = next.held.take();
        self.out = std::mem::take(&mut next.out);
        self.idle_after = next.idle_after;
        self.last_chunk = next.last_chunk;
        self.on_end = std::mem::take(&mut next.on_end);
        self.again = next.again.take();
        self.state = next.state;
    }

    /// Tells `told` of the end before the last event goes out, where others are told behind it: for
    /// the caller the answer is whole then, whatever becomes of the connection. Whatever was gone on
    /// with, it is told once.
    pub fn on_last(&mut self, told: OnLast) {
        self.on_last = Some(told);
    }

    /// What was there with the first event: the caller's first bytes, unless they were given out.
    pub fn first_bytes(&self) -> Option<&Bytes> {
        self.held.as_ref()
    }

    fn tell_before_last(&mut self) {
        let done = self.state == State::Ended || self.passage.progress().done;
        if let Some(told) = self.on_last.take_if(|_| done) {
            told(self.answered(StreamOutcome::Complete));
        }
    }

    /// Whether every byte was given out.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended && self.held.is_none()
    }

    /// Whether it broke off, and its bytes cannot say so: then the caller's connection is to break
    /// off as well.
    pub fn is_broken_off(&self) -> bool {
        self.state == State::BrokenOff
    }

    /// The last event of a stream that broke, behind what was there before it broke.
    fn fail(&mut self, failure: Failure) -> Option<Bytes> {
        self.source = Source::Gone;
        if !self.passage.tells_errors() {
            self.state = State::BrokenOff;
            self.end(&StreamOutcome::Failed(failure));
            return None;
        }
        let mut out = self.out.split();
        self.passage.fail(&failure, &mut out);
        self.state = State::Ended;
        self.end(&StreamOutcome::Failed(failure));
        Some(out.freeze())
    }

    fn end(&mut self, outcome: &StreamOutcome) {
        if let Some(told) = self.on_last.take() {
            told(self.answered(outcome.clone()));
        }
        for told in std::mem::take(&mut self.on_end) {
            told(self.ended(outcome.clone()));
        }
    }

    /// What came of the whole answer. Where nobody told what the last piece took, it is estimated.
    fn answered(&mut self, outcome: StreamOutcome) -> AnswerEnd {
        let estimate = count::of_stream(&self.call, self.deployment, &self.passage);
        let mut resumed = self.resumption.take();
        // Nobody has gone on yet when the caller goes away.
        let asking = resumed
            .as_mut()
            .and_then(|broken| broken.going.take().and_then(|_| broken.before.pop()));
        AnswerEnd {
            estimate: match asking {
                Some(piece) => Some(piece.usage).filter(|_| piece.estimated),
                None => estimate,
            },
            end: self.ended(outcome),
            resumed: resumed.map(|broken| {
                let broken = *broken;
                Box::new(Resumed {
                    call: Arc::clone(&self.call),
                    deployment: self.deployment,
                    before: broken.before,
                    trail: broken.trail,
                })
            }),
        }
    }

    fn ended(&self, outcome: StreamOutcome) -> StreamEnd {
        StreamEnd {
            outcome,
            usage: self.passage.progress().usage,
            first_event: self.first_event,
        }
    }
}

impl Ends for Relay {
    fn on_end(&mut self, told: OnEnd) {
        self.on_end.push(told);
    }

    fn on_break(&mut self, again: Again<Self>) {
        self.again = Some(again);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end(&StreamOutcome::Dropped);
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
