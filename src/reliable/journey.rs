//! What the `retry` layer goes by: whether a call is tried again, where, and after what time.

use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use pointsman_layers::BoxError;
use pointsman_layers::retry::{self, Attempt, Policy, Seen, Timing, Verdict};
use pointsman_routes::table::Target;

use super::Notes;
use super::course::{Course, members_of};
use super::errand::Errand;
use crate::call::Call;
use crate::error::Failure;
use crate::routing::{Chosen, Router};

/// Begins journeys.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    router: Router,
}

impl Rules {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }
}

impl Policy<Errand> for Rules {
    type Journey = Journey;

    fn begin(&self, errand: &Errand) -> Option<Journey> {
        let goes_on = errand.call.resumed.is_some();
        let course = || errand.notes.lock().course.take();
        Some(Journey {
            router: self.router.clone(),
            notes: errand.notes.clone(),
            course: goes_on.then(course).flatten(),
            hedge: Hedge::of(&errand.call).filter(|_| !goes_on),
            under_way: 0,
        })
    }
}

/// The way of one call.
#[derive(Debug)]
pub(crate) struct Journey {
    router: Router,
    notes: Notes,
    /// Made when the first attempt has failed, or kept from before a stream broke.
    course: Option<Box<Course>>,
    hedge: Option<Hedge>,
    /// Attempts that have not ended.
    under_way: u32,
}

/// How attempts are doubled.
#[derive(Debug)]
struct Hedge {
    /// After so long.
    after: Duration,
    /// Where the attempt is that is to be doubled.
    chosen: Chosen,
}

impl Hedge {
    fn of(call: &Call) -> Option<Self> {
        // Two would be made, of which one would go on unseen.
        if call.in_background() {
            return None;
        }
        let routes = call.live.routes();
        let after = routes.router.hedge_after?;
        let Target::Group(group) = call.target else {
            return None;
        };
        let others = routes.groups[usize::from(group.0)].members.len() > 1;
        others.then(|| Self {
            after,
            chosen: Chosen::default(),
        })
    }
}

impl retry::Journey<Errand> for Journey {
    fn request(&mut self, original: &Errand, attempt: Attempt) -> Errand {
        let mut errand = match &self.course {
            None => original.clone(),
            Some(course) => Errand::at(course, self.notes.clone()),
        };
        self.under_way += 1;
        if let Some(hedge) = &mut self.hedge {
            if attempt.hedge {
                // Beside the one that is asked already, or not at all.
                errand.ask.again = false;
                errand.ask.waits = false;
                match hedge.chosen.get() {
                    Some(chosen) => {
                        errand.ask.tried.push(chosen);
                        self.notes.lock().trail.hedges += 1;
                    }
                    // The other one waits for its turn, and nobody overtakes those who do.
                    None => {
                        errand.ask.tried = members_of(&errand.call)
                            .iter()
                            .map(|one| one.deployment)
                            .collect();
                    }
                }
            } else {
                // That of the attempt before says nothing of this one.
                hedge.chosen = Chosen::default();
                errand.ask.chosen = Some(hedge.chosen.clone());
            }
        }
        errand
    }

    fn timing(&mut self, attempt: Attempt) -> Timing {
        // The first one's own deadline is not longer than that of all.
        let most = self.course.as_ref().map(|course| {
            let whole = course.call().live.routes().settings.request_timeout;
            whole.saturating_sub(attempt.elapsed)
        });
        let hedge = self.hedge.as_ref().map(|hedge| hedge.after);
        Timing {
            most,
            // A failure that is acted out is not asked for beside itself.
            hedge: hedge.filter(|_| self.course.is_some() || !self.notes.lock().acts()),
        }
    }

    fn judge(&mut self, attempt: Attempt, seen: Seen<'_>) -> Verdict {
        self.under_way = self.under_way.saturating_sub(1);
        match seen {
            Seen::Head(_) => {
                if self.course.is_some() {
                    self.notes.lock().course = self.course.take();
                }
                if attempt.hedge {
                    self.notes.lock().trail.hedge_won = true;
                }
                Verdict::Done
            }
            Seen::Error(error) if self.under_way > 0 => self.failed_beside(error),
            Seen::Error(error) => self.failed(attempt, error),
            // The time of all attempts is over. A body is never looked at.
            Seen::TimedOut | Seen::Body(_) => Verdict::GiveUp,
        }
    }

    fn unpaid(&mut self, _: Attempt) -> Verdict {
        let kept = self.notes.clone();
        let mut noted = kept.lock();
        match &mut self.course {
            Some(course) => {
                noted.trail.retries = noted.trail.retries.saturating_sub(1);
                course.fall_back(&mut noted)
            }
            None => Verdict::GiveUp,
        }
    }

    fn waits_for_first_frame(&self, _: &Parts) -> bool {
        false
    }
}

impl Journey {
    /// One of two attempts side by side has failed: the other one decides.
    fn failed_beside(&mut self, error: &BoxError) -> Verdict {
        if let Some(failure @ Failure::Upstream(_)) = error.downcast_ref::<Failure>() {
            let kept = self.notes.clone();
            let mut noted = kept.lock();
            let course = self
                .course
                .get_or_insert_with(|| Box::new(Course::at(Arc::clone(&noted.call))));
            course.note(failure, &mut noted);
        }
        Verdict::GiveUp
    }

    fn failed(&mut self, attempt: Attempt, error: &BoxError) -> Verdict {
        let Some(failure) = error.downcast_ref::<Failure>() else {
            return Verdict::GiveUp;
        };
        let kept = self.notes.clone();
        let mut noted = kept.lock();
        noted.router.get_or_insert_with(|| self.router.clone());
        let course = self
            .course
            .get_or_insert_with(|| Box::new(Course::at(Arc::clone(&noted.call))));
        // That nobody else of a group can be asked is no failure of an attempt; the one before stands.
        let before = match failure {
            Failure::NoDeployment { .. } => noted.failed.clone(),
            _ => None,
        };
        let failure = if let Some(before) = &before {
            course.unmade(&mut noted);
            before
        } else {
            course.note(failure, &mut noted);
            failure
        };
        let whole = course.call().live.routes().settings.request_timeout;
        let time = whole.saturating_sub(attempt.elapsed);
        if time.is_zero() {
            return Verdict::GiveUp;
        }
        course
            .try_again(&self.router, failure, (before.is_none(), time), &mut noted)
            .unwrap_or_else(|| course.fall_back(&mut noted))
    }
}
