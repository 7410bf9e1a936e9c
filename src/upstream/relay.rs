//! A stream on its way from the provider to the caller.
//!
//! The relay reads the provider's body, leads it through its [`Passage`], and sees to it that the
//! caller's stream never ends in silence: a cut, a stall or an error after the first event becomes
//! a last event that tells the error, in the caller's dialect. Dropping it ends the upstream request. However it ends,
//! those whom [`on_end`](Ends::on_end) named are told once.

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
use super::{broken_off, fault_of, mock};
use crate::call::{Call, Ends, OnEnd, StreamEnd, StreamOutcome};
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
    on_last: Option<OnEnd>,
    state: State,
}

enum Source {
    Provider(Reply),
    Mock(mock::Script),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
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
        let idle_after = call.timeout.unwrap_or(endpoint.timeout).min(IDLE_TIMEOUT);
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
        while self.state == State::Reading {
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
                Err(failure) => return Poll::Ready(self.fail(failure)),
            }
        }
        self.end(&StreamOutcome::Complete);
        Poll::Ready(None)
    }

    /// Tells `told` of the end before the last event goes out, where others are told behind it: for
    /// the caller the answer is whole then, whatever becomes of the connection.
    pub fn on_last(&mut self, told: OnEnd) {
        self.on_last = Some(told);
    }

    fn tell_before_last(&mut self) {
        let done = self.state == State::Ended || self.passage.progress().done;
        if let Some(told) = self.on_last.take_if(|_| done) {
            told(self.ended(StreamOutcome::Complete));
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
        let others = std::mem::take(&mut self.on_end);
        for told in self.on_last.take().into_iter().chain(others) {
            told(self.ended(outcome.clone()));
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
