//! By chance.

use super::{Candidate, Candidates, chance, narrow};
use crate::routing::moment::Draw;

/// LiteLLM's `simple-shuffle`: at random, weighted by `weight` if the first candidate has one, else
/// by its `rpm`, else by its `tpm`, else evenly. A candidate without the chosen figure counts as
/// zero. If all count as zero, the choice is even. A score is the share of the others.
pub(super) fn simple(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    let first = candidates.iter().next()?;
    let total = if first.marks.weight.is_some() {
        shares(candidates, |one| one.marks.weight.unwrap_or(0.0).max(0.0))
    } else if first.gate().rpm != u64::MAX {
        shares(candidates, |one| as_share(one.gate().rpm))
    } else if first.gate().tpm != u64::MAX {
        shares(candidates, |one| as_share(one.gate().tpm))
    } else {
        0.0
    };
    if !(total > 0.0 && total.is_finite()) {
        return even(candidates, draw);
    }
    let per_share = narrow(total.recip());
    let mut rest = draw.unit(chance::TIE) * total;
    let (mut last, mut chosen) = (None, None);
    for at in candidates.eligible {
        let score = &mut candidates.scores[usize::from(*at)];
        let share = f64::from(*score);
        *score = 1.0 - *score * per_share;
        if share > 0.0 && chosen.is_none() {
            last = Some(*at);
            if rest < share {
                chosen = last;
            }
            rest -= share;
        }
    }
    // What rounding left over is the last one's.
    chosen.or(last)
}

/// Scores every candidate with its share; gives the sum.
fn shares(candidates: &mut Candidates<'_>, share: impl Fn(Candidate<'_>) -> f32) -> f64 {
    let mut total = 0.0;
    candidates.score(|one| {
        let share = share(one);
        total += f64::from(share);
        share
    });
    total
}

fn even(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    let count = candidates.eligible.len();
    let share = f32::from(u16::try_from(count).unwrap_or(u16::MAX)).recip();
    candidates.score(|_| 1.0 - share);
    let chosen = candidates.nth(draw.below(count, chance::TIE))?;
    Some(chosen.at)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of traffic needs no more"
)]
fn as_share(limit: u64) -> f32 {
    // The largest number is no limit.
    if limit == u64::MAX { 0.0 } else { limit as f32 }
}

/// The same candidate for the same session, as long as it is there: the one whose hash with the
/// session is the lowest (rendezvous hashing). Each takes an even share of the sessions, and one
/// that goes away or comes back moves only its own.
pub(super) fn by_session(candidates: &mut Candidates<'_>, session: u64) -> Option<u16> {
    let hash = |deployment: u16| narrow(Draw(session).unit(deployment.into()));
    candidates.least(Draw(session), |one| hash(one.seat().deployment.0))
}
