//! Tries a call again, and elsewhere, until somebody answers it.
//!
//! Fallbacks stand around retries, and retries around attempts: a journey asks its group until
//! the [`class`] of a failure speaks against asking it again, then the next group of its [`chain`].
//! Each attempt is a decision of its own, made by what stands below. The loop itself is the `retry`
//! layer's; here is what it goes by.
//!
//! Nothing is retried once an answer's head is there: for streams that is when their first event is,
//! so nothing was shown to the caller by then. A stream that breaks later is gone on with elsewhere
//! (`resume.rs`), if the file does not say otherwise.
//!
//! **What a call costs.** One that is answered at the first attempt costs one allocation here, for
//! what its attempts leave behind, and sets no timer.

mod carry;
pub mod chain;
pub mod class;
mod course;
mod errand;
mod journey;
mod resume;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use pointsman_layers::BoxError;
use pointsman_layers::retry::{self, Retry, RetryBudget, RetryLayer};
use pointsman_routes::table::{DeploymentId, Midstream};
use tower::{Layer, Service};

use self::carry::{Carried, Carrier};
use self::course::Course;
use self::errand::Errand;
use self::journey::{Journey, Rules};
use crate::call::{Again, Answer, AnswerBody, Broke, Call, Ends, GoingOn, Lost, Reached, Trail};
use crate::error::{Failure, UpstreamKind};
use crate::routing::{Leg, Router};
use crate::upstream::fault_of;

/// Retries for a thousand calls that ask again those who were asked already.
const RETRY_SHARE: u16 = 200;
/// Such retries that may be saved up for a bad moment.
const RETRIES_SAVED: u32 = 100;

/// Answers calls by attempts of `S`, as the file's retries and fallbacks say.
#[derive(Clone, Debug)]
pub struct Reliable<S> {
    retry: Retry<Carrier<S>, Rules>,
    router: Router,
    abandoned: Option<Abandoned>,
}

/// Who is told of the attempts of calls that were given up from outside.
#[derive(Clone)]
struct Abandoned(Arc<Told>);

type Told = dyn Fn(&Arc<Call>, &Trail) + Send + Sync;

impl fmt::Debug for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Abandoned")
    }
}

impl<S> Reliable<S> {
    /// Makes attempts with `inner`, whose router it asks who is well.
    pub fn new(router: Router, inner: S) -> Self {
        let layer = RetryLayer::new(Rules::new(router.clone()))
            .budget(RetryBudget::new(RETRY_SHARE, RETRIES_SAVED));
        Self {
            retry: layer.layer(Carrier::new(inner)),
            router,
            abandoned: None,
        }
    }

    /// Tells `told` of each call whose future is dropped, as a caller's that goes away is, and of the
    /// attempts that had failed by then. Of all others the trail tells.
    #[must_use]
    pub fn on_abandon(mut self, told: impl Fn(&Arc<Call>, &Trail) + Send + Sync + 'static) -> Self {
        self.abandoned = Some(Abandoned(Arc::new(told)));
        self
    }
}

impl<S, B> Reliable<S>
where
    S: Service<Leg, Response = Answer<B>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
    B: Ends + Send + 'static,
{
    /// Sees to it that a stream which breaks is gone on with, where the file wants that.
    fn mind(&self, reached: &mut Reached<B>, course: Option<Box<Course>>) {
        let Reached { call, answer, .. } = reached;
        let mode = resume::mode(call, answer.deployment);
        if let (AnswerBody::Stream(stream), Midstream::Continue | Midstream::Restart) =
            (&mut answer.body, mode)
        {
            let (this, call) = (self.clone(), Arc::clone(call));
            let again: Again<B> = Box::new(move |broke| this.go_on(call, course, broke, mode));
            stream.on_break(again);
        }
    }

    /// Asks others for the rest of a stream that broke.
    fn go_on(
        self,
        call: Arc<Call>,
        course: Option<Box<Course>>,
        broke: Broke,
        mode: Midstream,
    ) -> GoingOn<B> {
        Box::pin(async move {
            let notes = Notes::of(Arc::clone(&call));
            let course = course.unwrap_or_else(|| Box::new(Course::at(call)));
            let Some(course) = course.after(&broke, mode, &self.router, &notes) else {
                return Err(Trail::default());
            };
            let errand = Errand::at(&course, notes.clone());
            notes.lock().course = Some(course);
            let mut retry = self.retry.clone();
            let _broken = poll_fn(|cx| retry.poll_ready(cx)).await.is_err();
            let attempts = ResponseFuture {
                attempts: retry.call(errand),
                notes,
                abandoned: self.abandoned.clone(),
                minds: Some(self),
            };
            match attempts.await {
                Ok(mut reached) => {
                    reached.trail.continued += 1;
                    Ok(reached)
                }
                Err(mut lost) => {
                    // The broken stream itself is counted as what it is: a failed answer.
                    lost.trail.left.remove(0);
                    lost.trail.given_up += 1;
                    Err(lost.trail)
                }
            }
        })
    }
}

impl<S, B> Service<Arc<Call>> for Reliable<S>
where
    S: Service<Leg, Response = Answer<B>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
    B: Ends + Send + 'static,
{
    type Response = Reached<B>;
    type Error = Box<Lost>;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Lost>>> {
        // A service that is broken fails the attempt, too, and there it has a call to be told to.
        let _broken = ready!(self.retry.poll_ready(cx)).is_err();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        let minds = call.peek.stream.then(|| self.clone());
        let notes = Notes::of(Arc::clone(&call));
        let errand = Errand::first(call, notes.clone());
        ResponseFuture {
            attempts: self.retry.call(errand),
            notes,
            abandoned: self.abandoned.clone(),
            minds,
        }
    }
}

pin_project! {
    /// The future of [`Reliable`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Leg, Response = Answer<B>, Error = Failure>,
    {
        #[pin]
        attempts: retry::ResponseFuture<Carrier<S>, Errand, Journey, Carried<B>>,
        notes: Notes,
        abandoned: Option<Abandoned>,
        // Who sees to it that the stream is gone on with where it breaks.
        minds: Option<Reliable<S>>,
    }

    impl<S, B> PinnedDrop for ResponseFuture<S, B>
    where
        S: Service<Leg, Response = Answer<B>, Error = Failure>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(Abandoned(told)) = this.abandoned.take() {
                let noted = this.notes.lock();
                told(&noted.call, &noted.trail);
            }
        }
    }
}

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<Leg, Response = Answer<B>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
    B: Ends + Send + 'static,
{
    type Output = Result<Reached<B>, Box<Lost>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let ended = ready!(this.attempts.poll(cx));
        *this.abandoned = None;
        let mut notes = this.notes.lock();
        let (call, trail) = (Arc::clone(&notes.call), std::mem::take(&mut notes.trail));
        let error = match ended.map(|response| response.into_body().into_parts().1.take()) {
            Ok(Some(answer)) => {
                let mut reached = Reached {
                    call,
                    answer,
                    trail,
                };
                if let Some(reliable) = this.minds.take() {
                    reliable.mind(&mut reached, notes.course.take());
                }
                return Poll::Ready(Ok(reached));
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let failure = notes.last_word(error);
        Poll::Ready(Err(Box::new(Lost {
            call,
            failure,
            trail,
        })))
    }
}

/// What the attempts of a call leave behind.
#[derive(Clone, Debug)]
struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug)]
struct Noted {
    /// As it is tried now.
    call: Arc<Call>,
    trail: Trail,
    /// The last failure of a deployment of the group at hand.
    failed: Option<Failure>,
    /// The names of the groups that could stand in for the first.
    fallbacks: Vec<String>,
    /// Who knows whom the attempts went to; there once one has failed.
    router: Option<Router>,
    /// Where the call is on its way, between two journeys of it.
    course: Option<Box<Course>>,
}

impl Notes {
    fn of(call: Arc<Call>) -> Self {
        Self(Arc::new(Mutex::new(Noted {
            call,
            trail: Trail::default(),
            failed: None,
            fallbacks: Vec::new(),
            router: None,
            course: None,
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// Whether the first attempt is acted out.
    fn acts(&self) -> bool {
        let controls = self.call.controls.as_deref();
        controls.is_some_and(|controls| controls.rehearsal.is_some())
    }

    /// What the caller is told: the last failure.
    fn last_word(&mut self, error: Option<BoxError>) -> Failure {
        let failure = match error.map(<dyn std::error::Error + Send + Sync>::downcast::<Failure>) {
            // That nobody of the group is left says less than why the last one was.
            Some(Ok(failure)) if matches!(*failure, Failure::NoDeployment { .. }) => {
                self.failed.take().unwrap_or(*failure)
            }
            Some(Ok(failure)) => *failure,
            // The time of all attempts ran out in the last one.
            Some(Err(error)) if error.is::<retry::TimedOut>() => self.timed_out(),
            Some(Err(_)) | None => Failure::Internal,
        };
        self.named(failure)
    }

    /// That all time is over, told of the deployment that was being asked.
    fn timed_out(&self) -> Failure {
        let call = &self.call;
        let whole = call.live.routes().settings.request_timeout;
        let before = match &self.failed {
            Some(Failure::Upstream(fault)) => Some(fault.asked),
            _ => None,
        };
        match self.asked_last().or(before) {
            Some(id) => fault_of(call, id, UpstreamKind::Timeout(whole), ""),
            None => Failure::Internal,
        }
    }

    /// The deployment that the last decision for the call chose.
    fn asked_last(&self) -> Option<DeploymentId> {
        let router = self.router.as_ref()?;
        let decision = router.decisions().of_call(self.call.id.as_bytes()).pop()?;
        let board = router.board(&self.call.live);
        let here = decision.generation == board.generation && decision.target == self.call.target;
        let chosen = decision.sheet.chosen.filter(|_| here)?;
        let seat = board.row(decision.target).seats.get(usize::from(chosen))?;
        Some(seat.deployment)
    }

    /// With the names of the group that was asked for and of its fallbacks.
    fn named(&mut self, mut failure: Failure) -> Failure {
        let asked = || self.call.name_of(self.call.requested()).to_owned();
        match &mut failure {
            Failure::Upstream(fault) => {
                fault.group = asked();
                fault.fallbacks = std::mem::take(&mut self.fallbacks);
            }
            Failure::Rehearsed {
                group, fallbacks, ..
            } => {
                *group = asked();
                *fallbacks = std::mem::take(&mut self.fallbacks);
            }
            _ => {}
        }
        failure
    }
}
