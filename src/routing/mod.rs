//! Decides which deployment is asked.
//!
//! [`Router::pick`] copies the state of a group's deployments ([`state`]), lets [`decide`] choose by
//! the group's [`strategy`] among those that the [`filter`] leaves, books the chosen one and gives a
//! [`Ticket`] for it. When the ticket ends, what came of the attempt goes back into the state, and
//! [`cooldown`] judges whether the deployment rests. Each decision is kept for a while ([`record`]).
//!
//! [`Routing`] is all this as a service for one attempt.

pub mod asked;
pub mod board;
pub mod class;
pub mod cooldown;
pub mod decide;
#[cfg(test)]
mod example;
pub mod explain;
pub mod facts;
pub mod filter;
mod mirror;
pub mod moment;
pub mod options;
pub mod prefer;
pub mod purse;
mod queue;
pub mod record;
mod service;
pub mod shape;
pub mod state;
pub mod strategy;
#[cfg(test)]
mod tests;
mod ticket;
mod turn;
mod unavailable;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pointsman_layers::budget::{Clock as _, SystemClock, Unix};
use pointsman_routes::table::{DeploymentId, Target};
use pointsman_routes::usd::Usd;
use smallvec::SmallVec;

use self::asked::Asked;
use self::board::{Board, Reach};
use self::facts::Facts;
use self::filter::Checks;
use self::moment::{Clock, Draw};
use self::queue::Queue;
use self::record::{Decisions, Entry};
pub use self::service::{Leg, Routing};
use self::shape::Shape;
use self::state::Registry;
use self::ticket::Booking;
pub use self::ticket::{Ended, Ticket};
pub use self::unavailable::unavailable;
use crate::call::Call;
pub use crate::call::tokens;
use crate::error::Failure;
use crate::live::Live;

/// Tables whose boards are kept, so that requests of the one before find theirs.
const BOARDS: usize = 4;
/// Decisions for one attempt, if others book the chosen deployment first.
const RACES: usize = 8;

/// Chooses deployments and keeps count of them. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Router(Arc<Shared>);

/// What all clones and tickets share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    clock: Clock,
    registry: Registry,
    decisions: Decisions,
    boards: ArcSwap<Vec<Arc<Board>>>,
    building: Mutex<()>,
    draws: Draws,
    queue: Queue,
}

/// Random draws: a sequence from a seed.
#[derive(Debug)]
struct Draws(AtomicU64);

impl Default for Draws {
    fn default() -> Self {
        Self(AtomicU64::new(fastrand::u64(..)))
    }
}

impl Draws {
    fn next(&self) -> Draw {
        Draw(self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed))
    }
}

/// Whom an attempt may go to.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The group, or the one deployment.
    pub target: Target,
    /// Deployments that were tried for the request; they are left out.
    pub tried: SmallVec<[DeploymentId; 4]>,
    /// Whether they may be tried again when nobody else is left.
    pub again: bool,
    /// Whether no group comes after this one.
    pub last: bool,
    /// Whether it may wait for a turn.
    pub waits: bool,
    /// Where the deployment is noted that is chosen, if somebody wants to know before it answers.
    pub chosen: Option<Chosen>,
}

/// Which deployment an attempt is at. Clones share it.
#[derive(Clone, Debug)]
pub struct Chosen(Arc<AtomicU32>);

impl Default for Chosen {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(u32::MAX)))
    }
}

impl Chosen {
    /// Which one, once it is chosen.
    pub fn get(&self) -> Option<DeploymentId> {
        u16::try_from(self.0.load(Relaxed)).ok().map(DeploymentId)
    }

    fn set(&self, deployment: DeploymentId) {
        self.0.store(deployment.0.into(), Relaxed);
    }
}

impl Ask {
    /// A first attempt.
    pub fn first(target: Target) -> Self {
        Self {
            target,
            tried: SmallVec::new(),
            again: true,
            last: false,
            waits: true,
            chosen: None,
        }
    }
}

impl Router {
    /// A router that knows nothing yet, with a random seed.
    pub fn new() -> Self {
        Self::default()
    }

    /// A router whose draws follow from `seed`: the same requests in the same order and at the same
    /// times go to the same deployments.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Shared {
            draws: Draws(AtomicU64::new(seed)),
            ..Shared::default()
        }))
    }

    /// Chooses a deployment for an attempt and books it until the ticket ends.
    ///
    /// Waits for nothing. Gives [`Failure::NoDeployment`] if nobody can be asked, which says why,
    /// who rests, and when to come again.
    pub fn pick(&self, call: &Call, ask: &Ask) -> Result<Ticket, Failure> {
        self.pick_for(&call.live, call.id.as_bytes(), &call.into(), ask)
    }

    /// As [`pick`](Self::pick), for what is not a call; `id` is what the decision is kept under.
    pub fn pick_for(
        &self,
        live: &Live,
        id: &[u8],
        shape: &Shape<'_>,
        ask: &Ask,
    ) -> Result<Ticket, Failure> {
        let board = self.board(live);
        let asked = Asked::read(shape, &board, board.row(ask.target));
        asked.with_facts(shape, &ask.tried, ask.again, |facts| {
            self.pick_by(&board, id, ask.target, facts)
        })
    }

    /// As [`pick`](Self::pick), by facts that were made up.
    pub fn pick_by(
        &self,
        board: &Arc<Board>,
        call: &[u8],
        target: Target,
        facts: &Facts<'_>,
    ) -> Result<Ticket, Failure> {
        let row = board.row(target);
        let limits = Checks::new(board, row, facts).keeps_limits();
        let shared = &*self.0;
        let mut spare = None;
        let mut kept = shared.decisions.begin();
        let entry: &mut Entry = match &mut kept {
            Some(kept) => kept,
            // Every slot is being read: this decision is not kept.
            None => spare.get_or_insert_with(Entry::default),
        };
        entry.begin(call, board.generation, target);
        for _ in 0..RACES {
            let (now, draw) = (shared.clock.now(), shared.draws.next());
            entry.note(facts, now, draw);
            board.look(row, facts.stream, now, &mut entry.seen);
            let (seen, sheet) = (&entry.seen, &mut entry.sheet);
            let decision = decide::decide(board, target, seen, draw, facts, sheet);
            let Some(at) = decision.at else { break };
            let booking = Booking {
                now,
                stream: facts.stream,
                tokens: facts.reserve(seen[usize::from(at)].answer),
                limits,
                direct: row.direct,
                number: entry.number,
            };
            if let Some(ticket) = Ticket::book(&self.0, board, (target, at), booking) {
                return Ok(ticket);
            }
        }
        Err(unavailable(board, target, entry, facts, shared.clock.now()))
    }

    /// The board of a table, made when the table is first seen.
    pub fn board(&self, live: &Live) -> Arc<Board> {
        let generation = live.generation();
        let of = |boards: &[Arc<Board>]| {
            let found = boards.iter().find(|board| board.generation == generation);
            found.map(Arc::clone)
        };
        if let Some(board) = of(&self.0.boards.load()) {
            return board;
        }
        let _building = self
            .0
            .building
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let boards = self.0.boards.load();
        if let Some(board) = of(&boards) {
            return board;
        }
        let newest = boards.first();
        let reach = |id| {
            let endpoint = live.endpoint(id);
            Reach {
                served: endpoint.served,
                keeps: endpoint.keeps_responses(),
            }
        };
        let board = Arc::new(Board::new(
            live.routes(),
            generation,
            &reach,
            &self.0.registry,
            newest.map(|board| &**board),
        ));
        // What is allowed may have changed.
        for at in 0..live.routes().deployments.len() {
            if let Ok(at) = u16::try_from(at) {
                board.spend(
                    DeploymentId(at),
                    Usd::ZERO,
                    SystemClock.now(),
                    self.0.clock.now(),
                );
            }
        }
        let mut kept: Vec<_> = boards.iter().map(Arc::clone).collect();
        kept.push(Arc::clone(&board));
        kept.sort_unstable_by_key(|board| std::cmp::Reverse(board.generation));
        kept.truncate(BOARDS);
        self.0.boards.store(Arc::new(kept));
        self.0.registry.sweep();
        board
    }

    /// Books what a deployment's answer cost against its own budget and its provider's. Takes a lock of
    /// that budget alone, and none if there is no budget.
    pub fn spent(&self, live: &Live, deployment: DeploymentId, cost: Usd) {
        if cost == Usd::ZERO || !self.board(live).has_budget(deployment) {
            return;
        }
        let (wall, now) = (SystemClock.now(), self.0.clock.now());
        self.board(live).spend(deployment, cost, wall, now);
    }

    /// What all deployments of a provider have spent in the window at hand, and when that ends.
    pub fn provider_spent(&self, provider: &str) -> (Usd, Option<Unix>) {
        let purse = self.0.registry.purse_of_provider(provider);
        purse.standing(SystemClock.now())
    }

    /// The next random draw.
    pub fn draw(&self) -> Draw {
        self.0.draws.next()
    }

    /// The decisions that are kept.
    pub fn decisions(&self) -> &Decisions {
        &self.0.decisions
    }

    /// The router's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Notes what a health check found: that a deployment is down, which holds for a time, or that it is
    /// not.
    pub fn checked(&self, live: &Live, deployment: DeploymentId, down: Option<Duration>) {
        let until = down.map(|time| self.0.clock.now().plus(time));
        self.board(live).stats(deployment).checked(until);
    }

    /// Puts a deployment out of service for a time, or back into service; whether it is known.
    pub fn rest(&self, live: &Live, id: &str, time: Option<Duration>) -> bool {
        let board = self.board(live);
        let Some(deployment) = board.deployment(id) else {
            return false;
        };
        let stats = board.stats(deployment);
        match time {
            Some(time) => stats.rest(self.0.clock.now().plus(time)),
            None => stats.restore(),
        }
        true
    }
}
