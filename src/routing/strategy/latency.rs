//! By how long each deployment takes.

use std::cell::Cell;

use smallvec::SmallVec;

use super::{Candidate, Candidates, chance, narrow};
use crate::routing::facts::Facts;
use crate::routing::moment::Draw;

/// Tokens of the answer that a latency in the file is said of.
const PRIOR_TOKENS: f32 = 100.0;
/// Share of the requests that try a deployment which was never measured and has nothing to do.
const EXPLORED: f64 = 0.05;
/// Latencies that a median is made of, so that it needs no memory of its own.
const LOOKED_AT: usize = 128;
/// What the first request of all is thought to take; only ratios of it matter.
const UNKNOWN: f32 = 1.0;

/// What an unmeasured candidate is thought to take.
#[derive(Clone, Copy, Debug)]
struct Guess {
    stream: bool,
    median: f32,
}

impl Guess {
    /// Where everybody is known, so that there is nothing to guess.
    fn none(facts: &Facts<'_>) -> Self {
        Self {
            stream: facts.stream,
            median: f32::INFINITY,
        }
    }

    /// Its latency in the file, else the median of the measured and promised ones.
    fn new(candidates: &Candidates<'_>, facts: &Facts<'_>) -> Self {
        let guess = Self::none(facts);
        let known = candidates.iter().filter_map(|one| guess.known(one));
        Self {
            // A hair above it: what was measured wins a tie.
            median: median(known.take(LOOKED_AT).collect()) * 1.001,
            ..guess
        }
    }

    fn known(self, one: Candidate<'_>) -> Option<f32> {
        let prior = || {
            let tokens = if self.stream { 1.0 } else { PRIOR_TOKENS };
            one.marks.prior.map(|prior| prior / tokens)
        };
        one.seen.latency().or_else(prior)
    }

    fn latency(self, one: Candidate<'_>) -> f32 {
        self.known(one).unwrap_or(self.median)
    }
}

/// The upper median.
fn median(mut known: SmallVec<[f32; LOOKED_AT]>) -> f32 {
    let middle = known.len() / 2;
    if known.is_empty() {
        return UNKNOWN;
    }
    *known.select_nth_unstable_by(middle, f32::total_cmp).1
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
    let unmeasured = Cell::new(false);
    let none = Guess::none(facts);
    let mut best = candidates.least(draw, |one| {
        let known = none.known(one);
        unmeasured.set(unmeasured.get() | known.is_none());
        known.unwrap_or(f32::INFINITY)
    });
    if unmeasured.get() {
        let guess = Guess::new(candidates, facts);
        best = candidates.least(draw, |one| guess.latency(one));
    }
    if draw.unit(chance::EXPLORE) < EXPLORED {
        let idle = |one: &Candidate<'_>| one.seen.latency.is_none() && one.seen.in_flight == 0;
        let count = candidates.iter().filter(idle).count();
        let mut unmeasured = candidates.iter().filter(idle);
        if let Some(one) = unmeasured.nth(draw.below(count, chance::TIE)) {
            return Some(one.at);
        }
    }
    if buffer <= 0.0 {
        return best;
    }
    let bound = candidates.scores[usize::from(best?)] * (1.0 + buffer);
    candidates.within(bound, draw)
}

/// `peak-ewma`: of two candidates drawn at random the one with the lower product of latency and
/// requests in flight. Looking at two is nearly as good as looking at all, and no herd runs to one.
/// The others' score is infinite.
pub(super) fn peak_ewma(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    draw: Draw,
) -> Option<u16> {
    candidates.scores.fill(f32::INFINITY);
    let count = candidates.eligible.len();
    let first = draw.below(count, chance::SECOND);
    let second = draw.below(count - 1, chance::THIRD);
    let second = second + usize::from(second >= first);
    let two = [candidates.nth(first)?, candidates.nth(second)?];
    let mut guess = Guess::none(facts);
    if two.iter().any(|one| guess.known(*one).is_none()) {
        guess = Guess::new(candidates, facts);
    }
    #[expect(clippy::cast_precision_loss, reason = "exact to 2²⁴ requests at once")]
    let [first, second] = two.map(|one| {
        let score = guess.latency(one) * (one.seen.in_flight as f32 + 1.0);
        candidates.scores[usize::from(one.at)] = score;
        (score, one.at)
    });
    Some(if second.0 < first.0 {
        second.1
    } else {
        first.1
    })
}

/// The lowest price of a candidate and the highest. `cheapest` is the cheapest of the row, if all of it
/// have a price, so that the highest stands for nobody's: if it is a candidate, nobody else is looked at.
fn prices(candidates: &Candidates<'_>, cheapest: Option<u16>) -> [f32; 2] {
    if let Some(at) = cheapest
        && candidates.eligible.binary_search(&at).is_ok()
        && let Some(price) = candidates.row.marks[usize::from(at)].per_token
    {
        return [price; 2];
    }
    let prices = candidates.iter().filter_map(|one| one.marks.per_token);
    prices.fold([f32::INFINITY, 0.0], |[least, most], price| {
        [least.min(price), most.max(price)]
    })
}

/// `score`: the lowest sum of latency and price, each as a multiple of the lowest among the
/// candidates, and ten times the share of failures of the minute, each with its weight; ties at
/// random. An unknown price counts as the highest.
pub(super) fn score(
    candidates: &mut Candidates<'_>,
    facts: &Facts<'_>,
    [latency, cost, errors]: [f64; 3],
    cheapest: Option<u16>,
    draw: Draw,
) -> Option<u16> {
    const ERRORS: f64 = 10.0;
    let mut guess = Guess::none(facts);
    let mut unmeasured = false;
    let mut fastest = f32::INFINITY;
    candidates.score(|one| {
        // Compared and not `min`: nothing here is NaN, and minding that takes twice as long.
        let known = guess.known(one);
        match known {
            Some(known) if known < fastest => fastest = known,
            Some(_) => {}
            None => unmeasured = true,
        }
        known.unwrap_or(f32::NAN)
    });
    if unmeasured {
        guess = Guess::new(candidates, facts);
        fastest = fastest.min(guess.median);
    }
    let [cheapest, dearest] = prices(candidates, cheapest);
    // What costs nothing is not a measure for the rest.
    let per = |least: f32| {
        if least > 0.0 && least.is_finite() {
            f64::from(least).recip()
        } else {
            1.0
        }
    };
    let latency = narrow(latency * per(fastest));
    let cost = narrow(cost * per(cheapest));
    let errors = narrow(errors * ERRORS);
    candidates.least_of_scored(draw, |one, known| {
        let own = if known.is_nan() { guess.median } else { known };
        latency * own + cost * one.marks.per_token.unwrap_or(dearest) + errors * one.seen.errors
    })
}
