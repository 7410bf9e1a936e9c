//! By chance.

use super::{Candidates, chance, narrow};
use crate::routing::board::Seat;
use crate::routing::moment::Draw;

/// LiteLLM's `simple-shuffle`: at random, weighted by `weight` if the first candidate has one, else
/// by its `rpm`, else by its `tpm`, else evenly. A candidate without the chosen figure counts as
/// zero. If all count as zero, the choice is even. A score is the share of the others.
pub(super) fn simple(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    let share = figure(candidates.iter().next()?.seat);
    let total: f64 = candidates.iter().map(|one| share(one.seat)).sum();
    if !(total > 0.0 && total.is_finite()) {
        return even(candidates, draw);
    }
    candidates.score(|one| narrow(1.0 - share(one.seat) / total));
    let mut rest = draw.unit(chance::TIE) * total;
    let mut last = None;
    for one in candidates.iter() {
        let share = share(one.seat);
        if share > 0.0 {
            last = Some(one.at);
            if rest < share {
                break;
            }
            rest -= share;
        }
    }
    last
}

fn even(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    let count = candidates.eligible.len();
    let share = f32::from(u16::try_from(count).unwrap_or(u16::MAX)).recip();
    candidates.score(|_| 1.0 - share);
    let chosen = candidates.nth(draw.below(count, chance::TIE))?;
    Some(chosen.at)
}

/// The figure that the first candidate's is, for each.
fn figure(first: &Seat) -> fn(&Seat) -> f64 {
    if first.weight.is_some() {
        |seat| seat.weight.unwrap_or(0.0).max(0.0)
    } else if first.rpm.is_some() {
        |seat| as_share(seat.rpm)
    } else if first.tpm.is_some() {
        |seat| as_share(seat.tpm)
    } else {
        |_| 0.0
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of traffic needs no 53 bits"
)]
fn as_share(limit: Option<u64>) -> f64 {
    limit.unwrap_or(0) as f64
}

/// The same candidate for the same session, as long as it is there: the one whose hash with the
/// session is the lowest (rendezvous hashing). Each takes an even share of the sessions, and one
/// that goes away or comes back moves only its own.
pub(super) fn by_session(candidates: &mut Candidates<'_>, session: u64) -> Option<u16> {
    let hash = |deployment: u16| narrow(Draw(session).unit(deployment.into()));
    candidates.score(|one| hash(one.seat.deployment.0));
    candidates.lowest(0.0, Draw(session), chance::TIE)
}
