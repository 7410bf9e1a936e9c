//! Whether an attempt is made now, later or never.

use std::time::Duration;

use tokio::time::Instant;

use super::board::Row;
use super::queue::{Asked, Terms};
use super::{Ask, Router, Ticket};
use crate::call::{Call, Field};
use crate::error::{Failure, NoDeployment};

/// How soon is asked again at the earliest, where a time is known at which it helps.
const SOONEST: Duration = Duration::from_millis(10);
/// And how late at the latest, where a request that ends makes room.
const LATEST: Duration = Duration::from_secs(1);

/// What becomes of an attempt.
pub(super) enum Picked {
    /// It is made.
    Now(Ticket),
    /// It waits for a turn.
    Later(Wait),
    /// Nobody can be asked.
    Never(Failure),
}

/// How an attempt waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    terms: Terms,
    /// It was given a priority, and waits for whatever passes. One without waits only until a
    /// request has ended.
    own: bool,
}

impl Wait {
    /// How a call waits, if it does.
    fn of(call: &Call, row: &Row, ask: &Ask) -> Option<Self> {
        let routes = call.live.routes();
        let queue = routes.router.queue;
        let written = || {
            let text = call.peek.value(&call.body, Field::Priority)?;
            std::str::from_utf8(text).ok()?.parse::<i64>().ok()
        };
        let priority = written().or(routes.router.default_priority.map(i64::from));
        if !ask.waits || queue.size == 0 || (priority.is_none() && goes_on(call, row, ask)) {
            return None;
        }
        let whole = call.timeout.unwrap_or(routes.settings.request_timeout);
        let end = Instant::from_std(call.arrived).checked_add(whole);
        let until = Instant::now() + queue.timeout;
        let terms = Terms {
            // One without a priority comes last.
            priority: priority.unwrap_or(i64::MAX),
            size: usize::try_from(queue.size).unwrap_or(usize::MAX),
            until: end.map_or(until, |end| until.min(end)),
        };
        Some(Self {
            terms,
            own: priority.is_some(),
        })
    }

    /// When asking again may help after this failure; `None` if waiting does not.
    fn again(&self, failure: &Failure) -> Option<Duration> {
        let Failure::NoDeployment {
            why: NoDeployment::Busy { wait, full, .. },
            ..
        } = failure
        else {
            return None;
        };
        if *full {
            return Some(LATEST);
        }
        wait.filter(|_| self.own).map(|wait| wait.max(SOONEST))
    }
}

/// Whether the call has somewhere to go when its group fails.
fn goes_on(call: &Call, row: &Row, ask: &Ask) -> bool {
    let brings = || {
        let controls = call.controls.as_deref();
        controls.is_some_and(|controls| controls.fallbacks.is_some())
    };
    !ask.last && (row.fallback || call.fallback.is_some() || brings())
}

impl Router {
    /// As [`pick`](Self::pick), or says that the attempt waits for its turn.
    pub(super) fn pick_or_wait(&self, call: &Call, ask: &Ask) -> Picked {
        let wait = || Wait::of(call, self.board(&call.live).row(ask.target), ask);
        if self.0.queue.is_used()
            && let Some(wait) = wait()
        {
            let board = self.board(&call.live);
            let name = &board.row(ask.target).name;
            if self.0.queue.is_before(name, wait.terms.priority) {
                return Picked::Later(wait);
            }
        }
        match self.pick(call, ask) {
            Ok(ticket) => Picked::Now(ticket),
            Err(failure) => match wait().filter(|wait| wait.again(&failure).is_some()) {
                Some(wait) => Picked::Later(wait),
                None => Picked::Never(failure),
            },
        }
    }

    /// Waits for the turn of an attempt. Dropping the future gives the turn up.
    pub(super) async fn wait(&self, call: &Call, ask: &Ask, wait: Wait) -> Result<Ticket, Failure> {
        let board = self.board(&call.live);
        let name = &board.row(ask.target).name;
        let pick = || match self.pick(call, ask) {
            Ok(ticket) => Asked::Over(Ok(ticket)),
            Err(failure) => match wait.again(&failure) {
                Some(again) => Asked::NotYet(Err(failure), again),
                None => Asked::Over(Err(failure)),
            },
        };
        match self.0.queue.wait(name, wait.terms, pick).await {
            Some(picked) => picked,
            // The line is full.
            None => self.pick(call, ask),
        }
    }
}

impl Ticket {
    /// When somebody else is to be asked if a stream has no first event by then: the deployment's
    /// word, else the group's, else the router's, if there is anybody else to be asked.
    pub(super) fn first_token(&self, call: &Call, ask: &Ask) -> Option<Duration> {
        let routes = call.live.routes();
        let soon = call
            .live
            .deployment(self.deployment())
            .ttft_timeout
            .or(routes.groups[usize::from(call.group().0)].ttft_timeout)
            .or(routes.router.ttft_timeout)
            .filter(|_| call.peek.stream)?;
        let row = self.row();
        let others = row.seats.len() > ask.tried.len() + 1;
        (others || goes_on(call, row, ask)).then_some(soon)
    }
}
