//! The strategies: which of several deployments that could be asked.
//!
//! Each is a pure function of the candidates, the draw and the request's facts. It gives every
//! candidate a score, lower is better, and one of those with the best score is chosen; scores are
//! kept in the decision's record. Which figures a strategy sees is written at its function.

mod balance;
mod latency;
mod price;
mod shuffle;
#[cfg(test)]
mod tests;

use pointsman_routes::table::Strategy;

use super::board::{Board, Gate, Marks, Row, Seat};
use super::facts::Facts;
use super::moment::Draw;
use super::state::Seen;

/// The deployments that could be asked.
#[derive(Debug)]
pub struct Candidates<'a> {
    /// Their positions in the row.
    pub eligible: &'a [u16],
    /// The row that they stand in.
    pub row: Columns<'a>,
    /// A score for each of the row.
    pub scores: &'a mut [f32],
}

/// A row, and the state of each that stands in it.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// All that the table says of each.
    pub seats: &'a [Seat],
    /// Their limits.
    pub gates: &'a [Gate],
    /// What most strategies look at.
    pub marks: &'a [Marks],
    /// Their state.
    pub seen: &'a [Seen],
}

impl<'a> Columns<'a> {
    #[inline]
    fn candidate(self, at: u16) -> Candidate<'a> {
        Candidate {
            at,
            row: self,
            marks: &self.marks[usize::from(at)],
            seen: &self.seen[usize::from(at)],
        }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its position in the row.
    pub at: u16,
    row: Columns<'a>,
    /// What most strategies look at of it.
    pub marks: &'a Marks,
    /// Its state.
    pub seen: &'a Seen,
}

impl<'a> Candidate<'a> {
    /// What the table says of it.
    pub fn seat(&self) -> &'a Seat {
        &self.row.seats[usize::from(self.at)]
    }

    /// Its limits.
    pub fn gate(&self) -> &'a Gate {
        &self.row.gates[usize::from(self.at)]
    }
}

impl<'a> Candidates<'a> {
    /// Each of them, in the order of the row.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + Clone + use<'a> {
        let row = self.row;
        self.eligible.iter().map(move |at| row.candidate(*at))
    }

    /// The candidate at this place among them.
    fn nth(&self, place: usize) -> Option<Candidate<'a>> {
        let at = self.eligible.get(place)?;
        Some(self.row.candidate(*at))
    }

    /// Scores every candidate.
    fn score(&mut self, mut score: impl FnMut(Candidate<'a>) -> f32) {
        let each = self.iter();
        for one in each {
            self.scores[usize::from(one.at)] = score(one);
        }
    }

    /// Scores every candidate; gives one of those with the lowest score.
    fn least(&mut self, draw: Draw, score: impl Fn(Candidate<'a>) -> f32) -> Option<u16> {
        self.least_of_scored(draw, |one, _| score(one))
    }

    /// As [`least`](Self::least), where each candidate has a score already, of which the last one is
    /// made.
    fn least_of_scored(
        &mut self,
        draw: Draw,
        score: impl Fn(Candidate<'a>, f32) -> f32,
    ) -> Option<u16> {
        let mut best = f32::INFINITY;
        let each = self.iter();
        for one in each {
            let kept = &mut self.scores[usize::from(one.at)];
            *kept = score(one, *kept);
            best = if *kept < best { *kept } else { best };
        }
        self.within(best, draw)
    }

    /// One of those whose score is not above `bound`.
    fn within(&self, bound: f32, draw: Draw) -> Option<u16> {
        let near = |at: &u16| usize::from(self.scores[usize::from(*at)] <= bound);
        let count = self.eligible.iter().map(near).sum();
        let mut left = draw.below(count, chance::TIE);
        let mut eligible = self.eligible.iter();
        let found = eligible.find(|at| {
            let near = self.scores[usize::from(**at)] <= bound;
            let found = near && left == 0;
            left -= usize::from(near && !found);
            found
        });
        found.copied()
    }
}

/// The uses of a draw, so that one choice by chance does not follow from another.
mod chance {
    pub(super) const TIE: u64 = 0;
    pub(super) const EXPLORE: u64 = 1;
    pub(super) const SECOND: u64 = 2;
    pub(super) const THIRD: u64 = 3;
}

/// Chooses by the row's strategy. `None` only if there is no candidate.
pub fn choose(
    board: &Board,
    row: &Row,
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    draw: Draw,
) -> Option<u16> {
    let options = &board.options;
    if candidates.eligible.len() < 2 {
        return candidates.eligible.first().copied();
    }
    if let Some(session) = facts.session {
        return shuffle::by_session(candidates, session);
    }
    if options
        .context_threshold
        .is_some_and(|threshold| facts.prompt.tokens > threshold)
    {
        return price::largest_window(candidates, draw);
    }
    if let Some(threshold) = options.cost_threshold
        && let Some(cheapest) = price::cheapest_below(candidates, facts, threshold, draw)
    {
        return Some(cheapest);
    }
    match row.strategy {
        Strategy::SimpleShuffle => shuffle::simple(candidates, draw),
        Strategy::LeastBusy => balance::least_busy(candidates, draw),
        Strategy::Latency => latency::lowest(candidates, facts, options.latency_buffer, draw),
        Strategy::Cost => price::lowest(candidates, draw),
        Strategy::Usage => balance::least_used(candidates, options.usage_rank, draw),
        Strategy::WeightedRoundRobin => balance::next_turn(candidates),
        Strategy::Capability => price::least_overqualified(candidates, facts, draw),
        Strategy::PeakEwma => latency::peak_ewma(candidates, facts, draw),
        Strategy::Score {
            latency,
            cost,
            errors,
        } => {
            let weights = [latency, cost, errors];
            latency::score(candidates, facts, weights, row.cheapest, draw)
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn narrow(number: f64) -> f32 {
    number as f32
}
