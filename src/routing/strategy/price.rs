//! By price, window and ability.

use super::{Candidates, narrow};
use crate::routing::facts::Facts;
use crate::routing::moment::Draw;

/// What LiteLLM takes an unknown price for, in dollars per token of prompt and answer together.
const UNKNOWN: f32 = 10.0;

/// `cost-based-routing`: the lowest sum of a prompt token's and an answer token's price; ties at
/// random. An unknown price is higher than any.
pub(super) fn lowest(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    candidates.least(draw, |one| one.marks.per_token.unwrap_or(UNKNOWN))
}

/// `cost_threshold`: the cheapest for this request, if that costs less than so many dollars.
pub(super) fn cheapest_below(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    threshold: f64,
    draw: Draw,
) -> Option<u16> {
    let chosen = candidates.least(draw, |one| {
        one.seat().price.map_or(f32::INFINITY, |(input, output)| {
            let answer = facts.max_output.unwrap_or(one.seen.answer.into());
            narrow(input * float(facts.prompt.tokens) + output * float(answer))
        })
    })?;
    let cost = f64::from(candidates.scores[usize::from(chosen)]);
    (cost < threshold).then_some(chosen)
}

/// `context_threshold`: the largest window; ties at random. An unknown one is the smallest.
pub(super) fn largest_window(candidates: &mut Candidates<'_>, draw: Draw) -> Option<u16> {
    candidates.least(draw, |one| -narrow(float(one.seat().window.unwrap_or(0))))
}

/// `capability-based`: of those that can do what the request needs the one that can do the least
/// beyond it, then the cheapest, so that able models are left for those who need them. One of which
/// nothing is known comes last.
pub(super) fn least_overqualified(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    draw: Draw,
) -> Option<u16> {
    candidates.least(draw, |one| {
        let surplus = one
            .marks
            .capabilities
            .map_or(u32::BITS, |has| has.without(facts.needs).0.count_ones());
        // Dollars per million tokens, bent below one: they only part those of equal ability.
        let dollars = one.marks.per_token.unwrap_or(UNKNOWN) * 1e6;
        narrow(surplus.into()) + dollars / (10.0 + dollars)
    })
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more")]
fn float(number: u64) -> f64 {
    number as f64
}
