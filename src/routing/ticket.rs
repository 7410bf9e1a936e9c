//! What a deployment is booked for while a request is at it.

use std::sync::Arc;
use std::time::Duration;

use pointsman_routes::table::{DeploymentId, Target};

use super::Shared;
use super::board::{Board, Row, Seat};
use super::class::Class;
use super::cooldown::{Cooling, Place};
use super::moment::Moment;
use super::state::{REQUESTS, TOKENS, Why};
use crate::call::Usage;

/// Seconds that LiteLLM notes for an answer that did not come in time.
const TIMED_OUT: f32 = 1_000.0;

/// How a request at a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a good answer, to its end. What it took, if that is known.
    Complete(Option<Usage>),
    /// Without one.
    Failed {
        /// How.
        class: Class,
        /// When the provider asked to come again.
        retry_after: Option<Duration>,
        /// What it took before, if that is known.
        usage: Option<Usage>,
    },
    /// The caller went away, or another attempt was faster. It tells nothing of the deployment.
    Dropped,
}

/// A request at a deployment. It counts in flight until the ticket ends; what was reserved of the
/// minute's quota is settled then. Dropping it is [`Ended::Dropped`].
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is noted on its own")]
pub struct Ticket {
    shared: Arc<Shared>,
    board: Arc<Board>,
    target: Target,
    at: u16,
    deployment: DeploymentId,
    stream: bool,
    began: Moment,
    held: Held,
    answered: bool,
    over: bool,
    /// Its failure is that of the whole account.
    account: bool,
    number: u64,
}

/// What is reserved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The slots of the minute in which they were reserved.
    slot: u64,
    tokens: u64,
    probe: bool,
}

impl Ticket {
    /// Books the chosen deployment; `None` if somebody else was faster and it cannot be asked any
    /// more.
    pub(super) fn book(
        shared: &Arc<Shared>,
        board: &Arc<Board>,
        (target, at): (Target, u16),
        booking: Booking,
    ) -> Option<Self> {
        let row = board.row(target);
        let seat = &row.seats[usize::from(at)];
        let held = reserve(board, seat, booking)?;
        row.took_turn(at.into());
        Some(Self {
            shared: Arc::clone(shared),
            board: Arc::clone(board),
            target,
            at,
            deployment: seat.deployment,
            stream: booking.stream,
            began: booking.now,
            held,
            answered: false,
            over: false,
            account: false,
            number: booking.number,
        })
    }

    /// Whose it is.
    pub fn deployment(&self) -> DeploymentId {
        self.deployment
    }

    /// Where it was chosen.
    pub(super) fn row(&self) -> &Row {
        self.board.row(self.target)
    }

    /// The number of the decision that led here, for [`Decisions`](super::record::Decisions).
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether this request tries a deployment that has rested.
    pub fn is_probe(&self) -> bool {
        self.held.probe
    }

    /// The answer has begun: its first event is there, or all of it. The deployment is well; if it
    /// was being tried, it is back in service.
    pub fn answered(&mut self) {
        if self.answered {
            return;
        }
        self.answered = true;
        let now = self.shared.clock.now();
        let stats = self.board.stats(self.deployment);
        if self.stream {
            let first = now.since(self.began).as_secs_f32();
            stats.lane(true).add(first, now, self.board.keeping());
        }
        if self.held.probe {
            self.held.probe = false;
            stats.restore();
            stats.end_probe();
        }
    }

    /// The provider has said that a limit of the whole account is used up: if the deployment rests
    /// for it, so does everybody of its quota group.
    pub fn spent_account(&mut self) {
        self.account = true;
    }

    /// Ends it. Gives the cooldown that began with it, if one did.
    pub fn end(mut self, ended: Ended) -> Option<Cooling> {
        if matches!(ended, Ended::Complete(_)) {
            self.answered();
        }
        self.close(ended)
    }

    fn close(&mut self, ended: Ended) -> Option<Cooling> {
        if std::mem::replace(&mut self.over, true) {
            return None;
        }
        let now = self.shared.clock.now();
        let stats = Arc::clone(self.board.stats(self.deployment));
        let cooling = match ended {
            Ended::Complete(usage) => {
                stats.succeeded(now);
                self.measure(usage, now);
                self.settle(usage, now);
                None
            }
            Ended::Failed {
                class,
                retry_after,
                usage,
            } => {
                // Who refuses takes nothing. Who began to work may have taken all of it, and what is
                // not known stays as reserved, so that no limit is overrun.
                let refused = !self.answered && class.refuses();
                self.settle(usage.or(refused.then(Usage::default)), now);
                self.fail(class, retry_after, now)
            }
            Ended::Dropped => None,
        };
        if self.held.probe {
            stats.end_probe();
        }
        stats.leave();
        self.shared.queue.ring();
        self.shared.decisions.ended(self.number, ended, cooling);
        cooling
    }

    fn fail(
        &mut self,
        class: Class,
        retry_after: Option<Duration>,
        now: Moment,
    ) -> Option<Cooling> {
        let stats = self.board.stats(self.deployment);
        let row = self.board.row(self.target);
        let place = Place {
            single: row.is_single(),
            fallback: row.fallback,
            own: row.seats[usize::from(self.at)].cooldown,
        };
        if class == Class::Timeout && !self.answered {
            let lane = stats.lane(self.stream);
            lane.add(TIMED_OUT, now, self.board.keeping());
        }
        let rules = &self.board.rules;
        let tally = stats.failed(class, rules.burst(place.own), self.held.probe, now);
        if self.held.probe && !class.counts() {
            // It answered; that the request was wrong is not its fault.
            stats.restore();
        }
        let cooling = rules.judge(&tally, class, retry_after, place, now);
        if let Some(cooling) = cooling {
            stats.cool(cooling.until, cooling.why);
            if self.account && class == Class::RateLimit {
                for mate in self.board.quota_mates(self.deployment) {
                    self.board.stats(mate).cool(cooling.until, Why::Quota);
                }
            }
        }
        cooling
    }

    /// Seconds per token of the answer.
    #[expect(clippy::cast_precision_loss, reason = "a latency needs no more")]
    fn measure(&self, usage: Option<Usage>, now: Moment) {
        let stats = self.board.stats(self.deployment);
        let tokens = usage.map_or(0, |usage| usage.completion);
        let seconds = now.since(self.began).as_secs_f32() / tokens.max(1) as f32;
        // A stream without usage says nothing of its tokens.
        if !self.stream || tokens > 0 {
            stats.lane(false).add(seconds, now, self.board.keeping());
        }
        if tokens > 0 {
            stats.answer_took(tokens);
        }
    }

    /// Books what was used in place of what was reserved. What is not known stays as reserved.
    fn settle(&self, usage: Option<Usage>, now: Moment) {
        let Some(usage) = usage else { return };
        let quota = self.board.stats(self.deployment).quota();
        let (used, held) = (usage.total(), self.held.tokens);
        if used > held {
            quota.add(TOKENS, used - held, now);
        } else {
            quota.give_back(TOKENS, held - used, self.held.slot);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.close(Ended::Dropped);
    }
}

/// What is to be booked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Booking {
    pub(super) now: Moment,
    pub(super) stream: bool,
    /// Tokens.
    pub(super) tokens: u64,
    /// Whether rpm and tpm are kept.
    pub(super) limits: bool,
    /// Whether a deployment that rests is asked all the same.
    pub(super) direct: bool,
    /// The decision's number.
    pub(super) number: u64,
}

/// Takes all of it or nothing.
fn reserve(board: &Board, seat: &Seat, booking: Booking) -> Option<Held> {
    let stats = board.stats(seat.deployment);
    let now = booking.now;
    let probe = stats.admit(seat.parallel, booking.direct, now)?;
    let limit = |limit: Option<u64>| limit.filter(|_| booking.limits).unwrap_or(u64::MAX);
    let quota = stats.quota();
    let Some(slot) = quota.take(REQUESTS, 1, limit(seat.rpm), now) else {
        stats.turn_away(probe);
        return None;
    };
    let tokens = quota.take(TOKENS, booking.tokens, limit(seat.tpm), now);
    if tokens.is_none() {
        quota.give_back(REQUESTS, 1, slot);
        stats.turn_away(probe);
        return None;
    }
    Some(Held {
        slot,
        tokens: booking.tokens,
        probe,
    })
}
