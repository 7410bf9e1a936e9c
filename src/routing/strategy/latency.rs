//! By how long each deployment takes.

use super::{Candidate, Candidates, chance, narrow};
use crate::routing::facts::Facts;
use crate::routing::moment::Draw;

/// Tokens of the answer that a latency in the file is said of.
const PRIOR_TOKENS: f32 = 100.0;
/// Share of the requests that try a deployment which was never measured and has nothing to do.
const EXPLORED: f64 = 0.05;
/// What the first request of all is thought to take; only ratios of it matter.
const UNKNOWN: f32 = 1.0;

/// What an unmeasured candidate is thought to take.
#[derive(Clone, Copy, Debug)]
struct Guess {
    stream: bool,
    median: f32,
}

impl Guess {
    /// Its latency in the file, else the median of the measured and promised ones.
    fn new(candidates: &Candidates<'_>, facts: &Facts<'_>) -> Self {
        let mut guess = Self {
            stream: facts.stream,
            median: UNKNOWN,
        };
        let known = || candidates.iter().filter_map(|one| guess.known(one));
        let count = known().count();
        if count > 0 && count < candidates.eligible.len() {
            // A hair above it: what was measured wins a tie.
            guess.median = median(known, count) * 1.001;
        }
        guess
    }

    fn known(&self, one: Candidate<'_>) -> Option<f32> {
        let prior = || {
            let tokens = if self.stream { 1.0 } else { PRIOR_TOKENS };
            one.seat.prior.map(|prior| prior / tokens)
        };
        one.seen.latency.or_else(prior)
    }

    fn latency(&self, one: Candidate<'_>) -> f32 {
        self.known(one).unwrap_or(self.median)
    }
}

/// The upper median, without a list to sort: each is counted against all others.
fn median<I: Iterator<Item = f32>>(known: impl Fn() -> I, count: usize) -> f32 {
    let middle = |one: &f32| {
        let below = known().filter(|other| other < one).count();
        let equal = known().filter(|other| other == one).count();
        (below..below + equal).contains(&(count / 2))
    };
    known().find(middle).unwrap_or(UNKNOWN)
}

/// `latency-based-routing`: the lowest latency, or at random among those that are slower by at most
/// the share `buffer`. An unmeasured candidate counts as the median, and one request in twenty goes
/// to an unmeasured one that has nothing to do, so that it gets measured without being overrun.
pub(super) fn lowest(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    buffer: f32,
    draw: Draw,
) -> Option<u16> {
    let guess = Guess::new(candidates, facts);
    candidates.score(|one| guess.latency(one));
    if draw.unit(chance::EXPLORE) < EXPLORED {
        let idle = |one: &Candidate<'_>| one.seen.latency.is_none() && one.seen.in_flight == 0;
        let count = candidates.iter().filter(idle).count();
        let mut unmeasured = candidates.iter().filter(idle);
        if let Some(one) = unmeasured.nth(draw.below(count, chance::TIE)) {
            return Some(one.at);
        }
    }
    candidates.lowest(buffer, draw, chance::TIE)
}

/// `peak-ewma`: of two candidates drawn at random the one with the lower product of latency and
/// requests in flight. Looking at two is nearly as good as looking at all, and no herd runs to one.
pub(super) fn peak_ewma(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    draw: Draw,
) -> Option<u16> {
    let guess = Guess::new(candidates, facts);
    #[expect(clippy::cast_precision_loss, reason = "exact to 2²⁴ requests at once")]
    candidates.score(|one| guess.latency(one) * (one.seen.in_flight as f32 + 1.0));
    let count = candidates.eligible.len();
    let first = draw.below(count, chance::SECOND);
    let second = draw.below(count - 1, chance::THIRD);
    let second = second + usize::from(second >= first);
    let (first, second) = (candidates.nth(first)?, candidates.nth(second)?);
    let score = |one: &Candidate<'_>| candidates.scores[usize::from(one.at)];
    Some(if score(&second) < score(&first) {
        second.at
    } else {
        first.at
    })
}

/// `score`: the lowest sum of latency and price, each as a multiple of the lowest among the
/// candidates, and ten times the share of failures of the minute, each with its weight; ties at
/// random. An unknown price counts as the highest.
pub(super) fn score(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    [latency, cost, errors]: [f64; 3],
    draw: Draw,
) -> Option<u16> {
    const ERRORS: f64 = 10.0;
    let guess = Guess::new(candidates, facts);
    let price = |one: Candidate<'_>| one.seat.price.map(|(input, output)| input + output);
    let positive = |least: f64, one: f64| if one > 0.0 { least.min(one) } else { least };
    let fastest = candidates
        .iter()
        .map(|one| guess.latency(one).into())
        .fold(f64::INFINITY, positive);
    let cheapest = candidates
        .iter()
        .filter_map(price)
        .fold(f64::INFINITY, positive);
    let dearest = candidates.iter().filter_map(price).fold(0.0, f64::max);
    let multiple = |one: f64, least: f64| if least.is_finite() { one / least } else { 1.0 };
    candidates.score(|one| {
        narrow(
            latency * multiple(guess.latency(one).into(), fastest)
                + cost * multiple(price(one).unwrap_or(dearest), cheapest)
                + errors * ERRORS * f64::from(one.seen.errors),
        )
    });
    candidates.lowest(0.0, draw, chance::TIE)
}
