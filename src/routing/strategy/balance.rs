//! By what is at each deployment already.

use super::{Candidate, Candidates};
use crate::routing::moment::Draw;
use crate::routing::options::UsageRank;

/// `least-busy`: the fewest requests in flight; ties at random.
pub(super) fn least_busy(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    candidates.least(draw, |one| float(one.seen.in_flight.into()))
}

/// `usage-based-routing` and `-v2`: the fewest tokens of the minute, or the smallest share of the
/// limits; ties at random. Requests under way count with what is reserved for them.
pub(super) fn least_used(
    candidates: &mut Candidates<'_>,
    rank: UsageRank,
    draw: Draw,
) -> Option<u16> {
    match rank {
        UsageRank::Absolute => candidates.least(draw, |one| float(one.seen.tokens)),
        UsageRank::Ratio => candidates.least(draw, share_used),
    }
}

/// The larger share of its two limits; one without limits has everything left.
fn share_used(one: Candidate<'_>) -> f32 {
    let share = |used: u64, limit: u64| match limit {
        0 => f32::INFINITY,
        u64::MAX => 0.0,
        limit => float(used) / float(limit),
    };
    let gate = one.gate();
    share(one.seen.tokens, gate.tpm).max(share(one.seen.requests.into(), gate.rpm))
}

/// `weighted_round_robin`: the one whose turn comes first; of several the first in the file. No
/// chance is in it.
pub(super) fn next_turn(candidates: &mut Candidates<'_>) -> Option<u16> {
    let first = candidates.iter().map(|one| one.seen.turn).min()?;
    candidates.score(|one| float(one.seen.turn - first) / float(super::super::board::TURN));
    let chosen = candidates.iter().find(|one| one.seen.turn == first)?;
    Some(chosen.at)
}

#[expect(clippy::cast_precision_loss, reason = "seven digits are enough")]
fn float(number: u64) -> f32 {
    number as f32
}
