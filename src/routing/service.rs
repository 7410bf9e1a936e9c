//! One attempt as a service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pointsman_routes::table::GroupId;
use tower::{Service, ServiceExt};

use super::class::Class;
use super::mirror::{self, Mirror};
use super::turn::Picked;
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
///
/// Where the deployments have no room for a request, it waits for a turn as `router_settings.queue`
/// says: one that has a `priority`, and one that has nowhere else to go. A copy of the first attempt
/// goes to the deployment's `silent_model`.
#[derive(Clone, Debug)]
pub struct Routing<S> {
    router: Router,
    inner: S,
    mirror: Mirror,
}

impl<S> Routing<S> {
    /// Routes to `inner`.
    pub fn new(router: Router, inner: S) -> Self {
        Self {
            router,
            inner,
            mirror: Mirror::default(),
        }
    }
}

impl<S, B, R> Service<R> for Routing<S>
where
    R: Into<Leg>,
    S: Service<Attempt, Response = Answer<B>, Error = Failure> + Clone + Send + 'static,
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
        match self.router.pick_or_wait(&call, &ask) {
            Picked::Now(ticket) => {
                let attempt = self.attempt(&ticket, call, &ask);
                let answer = self.inner.call(attempt);
                Box::pin(async move { note(ticket, answer.await) })
            }
            Picked::Never(failure) => Box::pin(std::future::ready(Err(failure))),
            Picked::Later(wait) => {
                let this = self.clone();
                Box::pin(async move {
                    let ticket = this.router.wait(&call, &ask, wait).await?;
                    let attempt = this.attempt(&ticket, call, &ask);
                    note(ticket, this.inner.oneshot(attempt).await)
                })
            }
        }
    }
}

impl<S, B> Routing<S>
where
    S: Service<Attempt, Response = Answer<B>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Ends + Send + 'static,
{
    fn attempt(&self, ticket: &Ticket, call: Arc<Call>, ask: &Ask) -> Attempt {
        let deployment = ticket.deployment();
        if let Some(chosen) = &ask.chosen {
            chosen.set(deployment);
        }
        let mirror = call.live.deployment(deployment).mirror;
        if let Some(group) = mirror
            && ask.tried.is_empty()
            && call.fallback.is_none()
        {
            self.copy_to(group, &call);
        }
        Attempt {
            first_token: ticket.first_token(&call, ask),
            call,
            deployment,
        }
    }

    /// Sends a copy of the call to another group, and waits for nothing.
    fn copy_to(&self, group: GroupId, call: &Call) {
        let Some(begun) = self.mirror.begin() else {
            return;
        };
        let Some(copy) = mirror::copy(call, group) else {
            return;
        };
        let (router, inner) = (self.router.clone(), self.inner.clone());
        tokio::spawn(async move {
            let _begun = begun;
            let Ok(ticket) = router.pick(&copy, &Ask::first(copy.target)) else {
                return mirror::count("nobody");
            };
            let attempt = Attempt {
                deployment: ticket.deployment(),
                call: copy,
                first_token: None,
            };
            let answer = note(ticket, inner.oneshot(attempt).await);
            mirror::count(if answer.is_ok() { "answered" } else { "failed" });
        });
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
