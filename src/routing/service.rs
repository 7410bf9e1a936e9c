//! One attempt as a service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::class::Class;
use super::{Ask, Ended, Router, Ticket};
use crate::call::{Answer, AnswerBody, Attempt, Call, Ends, StreamOutcome};
use crate::error::Failure;
use crate::wire::limits::Told;

/// An attempt that is to be made.
#[derive(Clone, Debug)]
pub struct Leg {
    /// What is asked.
    pub call: Arc<Call>,
    /// Who may be asked.
    pub ask: Ask,
}

impl From<Arc<Call>> for Leg {
    fn from(call: Arc<Call>) -> Self {
        let ask = Ask::first(call.target);
        Self { call, ask }
    }
}

/// Chooses a deployment for each attempt, hands the attempt on, and notes what came of it: of a
/// stream when it has ended.
#[derive(Clone, Debug)]
pub struct Routing<S> {
    router: Router,
    inner: S,
}

impl<S> Routing<S> {
    /// Routes to `inner`.
    pub fn new(router: Router, inner: S) -> Self {
        Self { router, inner }
    }
}

impl<S, B, R> Service<R> for Routing<S>
where
    R: Into<Leg>,
    S: Service<Attempt, Response = Answer<B>, Error = Failure>,
    S::Future: Send + 'static,
    B: Ends + Send + 'static,
{
    type Response = Answer<B>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<B>, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, leg: R) -> Self::Future {
        let Leg { call, ask } = leg.into();
        match self.router.pick(&call, &ask) {
            Ok(ticket) => {
                let deployment = ticket.deployment();
                let answer = self.inner.call(Attempt { call, deployment });
                Box::pin(async move { note(ticket, answer.await) })
            }
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        }
    }
}

/// Ends the ticket with the answer, or with the end of its stream.
fn note<B: Ends>(
    mut ticket: Ticket,
    answer: Result<Answer<B>, Failure>,
) -> Result<Answer<B>, Failure> {
    match answer {
        Ok(mut answer) => {
            match &mut answer.body {
                AnswerBody::Whole { usage, .. } => {
                    ticket.end(Ended::Complete(*usage));
                }
                AnswerBody::Stream(stream) => {
                    ticket.answered();
                    stream.on_end(Box::new(move |end| {
                        let ended = match &end.outcome {
                            StreamOutcome::Complete => Ended::Complete(end.usage),
                            StreamOutcome::Failed(failure) => failed(failure, end.usage),
                            StreamOutcome::Dropped => Ended::Dropped,
                        };
                        ticket.end(ended);
                    }));
                }
            }
            Ok(answer)
        }
        Err(failure) => {
            if told(&failure).account {
                ticket.spent_account();
            }
            ticket.end(failed(&failure, None));
            Err(failure)
        }
    }
}

fn failed(failure: &Failure, usage: Option<crate::call::Usage>) -> Ended {
    match Class::of(failure) {
        Some(class) => Ended::Failed {
            class,
            retry_after: told(failure).after,
            usage,
        },
        // Nobody was asked.
        None => Ended::Dropped,
    }
}

fn told(failure: &Failure) -> Told {
    match failure {
        Failure::Upstream(fault) => fault.told,
        _ => Told::default(),
    }
}
