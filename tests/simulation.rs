//! The gateway's journey, from the front door to the attempt, under thousands of bad days: random
//! configs and faults on paused time, with a fake upstream in the process. The books of what really
//! happened are kept apart from the router's, and its promises are checked against them at every
//! attempt and at the end of every run.
//!
//! What "could have answered" means, for a deployment of a group that a call has left:
//! - *permitted*: its abilities, window, region and tags are those of the request, as far as the
//!   config has them checked;
//! - *healthy*: it does not rest, or it has rested and nobody tries it at the moment;
//! - *with head-room*: fewer requests at once than `max_parallel_requests`, and where rpm and tpm are
//!   kept, room in them for the request with its longest answer;
//! - *not asked*: the call has not had a failure of it at this group.
//!
//! No call leaves a group, or is lost at it, while such a deployment is there, but for what
//! LiteLLM's rules say: a class that is not tried again (not found; bad requests, context window and
//! content policy unless a policy names them) or that is tried again zero times leaves its group
//! after one attempt at each `order`; and `max_fallbacks` and `request_timeout` end the chain.
//! Who was asked is asked again as often as `num_retries` says, unless the class is a rate limit and
//! there is a fallback, or the retry budget is used up.
//!
//! A stream that breaks goes on at such a deployment, too, unless the file says otherwise
//! (`on_midstream`), but only at one that was not asked; and nobody is asked twice to go on.
//!
//! Beside this, at every attempt:
//! - a deployment that no rule prefers is asked only when no preferred one could be, and one that a
//!   health check found down only when nobody else could;
//! - nobody is asked once the money is spent, a deployment's own or its provider's;
//! - a call has one attempt under way, or two at two deployments where `hedge_after` says so, and no
//!   attempt has more than one beside it;
//! - nobody is served before one of a lower `priority` who waits, no more wait than `queue` says, and
//!   for no longer;
//! - a stream that falls silent is left after `stream_idle_timeout`, and one that comes to its end says
//!   all of its text once, whoever said which part.
//!
//! A seed that fails is run again by `SIMULATION_SEED=… cargo test --test simulation`;
//! `SIMULATION_RUNS` sets how many seeds there are.
//!
//! Sockets are left to `failover.rs`: here the streams of providers are bodies in the process, and all
//! from there to the caller's bytes is the gateway's.

mod simulation {
    pub(crate) mod books;
    pub(crate) mod caller;
    pub(crate) mod plan;
    pub(crate) mod provider;
    pub(crate) mod run;
}

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use simulation::plan::{Deployment, Plan};
use simulation::run::{Sum, run};

/// Calls of a run.
const CALLS: usize = 250;
/// Runs, unless the environment says otherwise.
const RUNS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_hundred_thousand_calls_keep_every_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let (sum, _) = run(Plan::drawn(seed), CALLS);
        println!("{sum:#?}");
        return;
    }
    let runs = number("SIMULATION_RUNS").unwrap_or(RUNS);
    let (next, all) = (AtomicU64::new(0), Totals::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= runs {
                        break;
                    }
                    all.add(&run(Plan::drawn(seed), CALLS).0);
                }
            });
        }
    });
    println!("{all:?}");
    if runs == RUNS {
        all.assert_eventful();
    }
}

/// What came of all runs.
#[derive(Debug, Default)]
struct Totals {
    came: AtomicUsize,
    attempts: AtomicUsize,
    answered: AtomicUsize,
    lost: AtomicUsize,
    broken_streams: AtomicUsize,
    continued: AtomicUsize,
    probes: AtomicUsize,
    refused_in_vain: AtomicUsize,
    hedges: AtomicUsize,
    waits: AtomicUsize,
    preferred: AtomicUsize,
    last_resorts: AtomicUsize,
    broke: AtomicUsize,
}

impl Totals {
    fn add(&self, sum: &Sum) {
        self.came.fetch_add(sum.came, Relaxed);
        for (total, count) in [
            (&self.attempts, sum.attempts),
            (&self.answered, sum.answered),
            (&self.lost, sum.lost),
            (&self.broken_streams, sum.broken_streams),
            (&self.continued, sum.continued),
            (&self.probes, sum.probes),
            (&self.refused_in_vain, sum.refused_in_vain),
            (&self.hedges, sum.hedges),
            (&self.waits, sum.waits),
            (&self.preferred, sum.preferred),
            (&self.last_resorts, sum.last_resorts),
            (&self.broke, sum.broke),
        ] {
            total.fetch_add(usize::try_from(count).unwrap_or(usize::MAX), Relaxed);
        }
    }

    /// Nothing is shown by days on which nothing happens.
    fn assert_eventful(&self) {
        let came = self.came.load(Relaxed);
        assert!(came >= 100_000, "{self:?}");
        for (count, least) in [
            (&self.attempts, came / 10 * 9),
            (&self.answered, came / 2),
            (&self.lost, came / 100),
            (&self.broken_streams, 100),
            (&self.continued, 100),
            (&self.probes, 1_000),
            (&self.refused_in_vain, 1_000),
            (&self.hedges, 1_000),
            (&self.waits, 1_000),
            (&self.preferred, 1_000),
            (&self.last_resorts, 100),
            (&self.broke, 50),
        ] {
            assert!(count.load(Relaxed) >= least, "{self:?}");
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let digest = |seed| run(Plan::drawn(seed), CALLS).0;
    for seed in 0..12 {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
    }
    assert_ne!(digest(0).digest, digest(12).digest);
}

/// A group of deployments with one figure each.
fn members(figures: &[u32], set: impl Fn(&mut Deployment, u32)) -> Vec<Deployment> {
    let figures = figures.iter().enumerate();
    let made = figures.map(|(at, figure)| {
        let mut one = Deployment::plain(at, 0);
        set(&mut one, *figure);
        one
    });
    made.collect()
}

#[test]
fn a_shuffle_keeps_to_its_weights() {
    type Set = fn(&mut Deployment, u32);
    let by: [(&str, Set); 3] = [
        ("weight", |one, figure| one.weight = Some(figure)),
        // So much that no limit is ever met.
        ("rpm", |one, figure| {
            one.rpm = Some(u64::from(figure) * 100_000);
        }),
        ("tpm", |one, figure| {
            one.tpm = Some(u64::from(figure) * 1_000_000);
        }),
    ];
    for (seed, figures) in [&[7, 3][..], &[1, 1, 1], &[1, 2, 3, 4], &[5, 0, 5], &[1, 20]]
        .into_iter()
        .enumerate()
    {
        for (name, set) in by {
            let plan = Plan::calm(seed as u64, "simple-shuffle", members(figures, set));
            let (_, shares) = run(plan, 1_000);
            assert_shares(&shares, figures, name);
        }
    }
}

/// Pearson's χ²: above this bound once in ten thousand runs by chance, and never by another one,
/// since the seeds are fixed.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn assert_shares(counts: &[u64], weights: &[u32], name: &str) {
    /// By degrees of freedom.
    const BOUNDS: [f64; 4] = [0.0, 15.14, 18.42, 21.11];
    let (all, total): (u64, u32) = (counts.iter().sum(), weights.iter().sum());
    let mut chi = 0.0;
    for (count, weight) in counts.iter().zip(weights) {
        let expected = all as f64 * f64::from(*weight) / f64::from(total);
        if *weight == 0 {
            assert_eq!(*count, 0, "{name} {counts:?} for {weights:?}");
        } else {
            chi += (*count as f64 - expected).powi(2) / expected;
        }
    }
    let free = weights.iter().filter(|weight| **weight > 0).count() - 1;
    assert!(
        chi < BOUNDS[free],
        "χ² {chi} {name} {counts:?} for {weights:?}"
    );
}

#[test]
fn a_weighted_round_robin_is_exact_in_every_round() {
    for (seed, weights) in [&[7, 3][..], &[1, 1, 1], &[1, 2, 3, 4], &[5, 1, 5], &[1, 20]]
        .into_iter()
        .enumerate()
    {
        let round: u32 = weights.iter().sum();
        for rounds in [1, 2, 17] {
            let weighted = members(weights, |one, weight| one.weight = Some(weight));
            let plan = Plan::calm(seed as u64, "weighted_round_robin", weighted);
            // The last two calls of a run see whether all is well.
            let calls = usize::try_from(round * rounds).expect("a few");
            let (_, shares) = run(plan, calls - 2);
            let exact: Vec<u64> = weights.iter().map(|one| u64::from(one * rounds)).collect();
            assert_eq!(shares, exact, "{weights:?}, {rounds} rounds");
        }
    }
}
