//! What is known of each deployment: who is at it, what it was asked, how it did.
//!
//! A [`Stats`] belongs to a deployment's id, not to a table, so it lives on when the table is
//! swapped. Everything that a decision reads of it is an atomic number, copied once into a [`Seen`];
//! the decision itself never looks again.

pub mod lane;
mod registry;
pub mod window;

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::time::Duration;

pub use self::lane::{Keeping, Lane, Stat};
pub use self::registry::{Member, Registry};
pub use self::window::Windows;
use super::class::Class;
use super::moment::Moment;

/// What one deployment's provider counts: requests and tokens of the running minute. Deployments
/// with one `quota_group` share it.
pub type Quota = Windows<2>;

/// Requests, in a [`Quota`].
pub const REQUESTS: usize = 0;
/// Tokens of prompts and answers, in a [`Quota`]; those of requests under way are reserved.
pub const TOKENS: usize = 1;
/// Tokens that an answer of a deployment is thought to take before there was one.
const ANSWER: u32 = 100;
const GOOD: usize = 0;
const BAD: usize = 1;

/// What is known of one deployment. What every decision reads stands in its first cache line. How many
/// lines there are is odd, so that the first ones of many fit into a cache together.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Stats {
    in_flight: AtomicU32,
    probing: AtomicBool,
    why: AtomicU8,
    /// When it last failed, in seconds. Zero is longer ago than anything counts.
    failed: AtomicU16,
    /// When the cooldown ends; zero is no cooldown. It stays past that time until a probe succeeds.
    until: AtomicU64,
    /// Until when a health check's word holds that it is down.
    unhealthy: AtomicU64,
    /// Tokens that an answer may well take.
    answer: AtomicU32,
    /// Failures one after the other.
    row: AtomicU32,
    /// The quota that it shares with others, in place of its own.
    shared: Option<Arc<Quota>>,
    own: Quota,
    /// Seconds per token of whole answers.
    whole: Lane,
    /// Seconds to the first token of streams.
    stream: Lane,
    outcomes: Windows<2>,
    /// Failures by class since the first one of a burst, and when that was.
    bursts: [AtomicU64; Class::ALL.len()],
    /// Tokens of its answers in eighths: mean and mean deviation.
    answers: AtomicU64,
}

const _: () = assert!(size_of::<Stats>() / 64 % 2 == 1);

/// What a decision knows of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Requests under way, streams to their end.
    pub in_flight: u32,
    /// Whether it may be asked.
    pub health: Health,
    /// Requests of the running minute.
    pub requests: u32,
    /// Tokens of the running minute, reserved ones among them.
    pub tokens: u64,
    /// Seconds by the strategy's measure; `None` if it was never measured. A peak stands here as
    /// it was noted: [`latency`](Self::latency) tells what is left of it.
    pub latency: Option<f32>,
    /// Milliseconds that a peak has been fading for; zero for any other measure.
    pub fading: u32,
    /// Share of failures in the running minute.
    pub errors: f32,
    /// Tokens that an answer of it may well take.
    pub answer: u32,
    /// When its turn comes in a round robin.
    pub turn: u64,
    /// Until when its money is spent; zero if some is left.
    pub broke: Moment,
}

impl Seen {
    /// Seconds by the strategy's measure; `None` if it was never measured.
    #[inline]
    pub fn latency(&self) -> Option<f32> {
        match self.latency {
            Some(peak) if self.fading > 0 => Some(lane::faded(peak, self.fading)),
            latency => latency,
        }
    }
}

/// Whether a deployment may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It may.
    #[default]
    Up,
    /// It rests until then.
    Cooling(Moment),
    /// It has rested; one request may try it.
    HalfOpen,
    /// One request is trying it.
    Probing,
    /// A health check found it down.
    Unhealthy,
}

/// What a decision needs to know, so that nothing else is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Requests and tokens of the minute.
    pub usage: bool,
    /// A measure of latency.
    pub latency: Option<Stat>,
    /// The share of failures.
    pub errors: bool,
}

/// Why a deployment rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// It answered 429.
    RateLimited = 1,
    /// It answered what asking again does not change, such as 401.
    Lasting,
    /// Most of its answers of the minute failed.
    FailureRate,
    /// More failures than are allowed.
    AllowedFails,
    /// Failures one after the other.
    Consecutive,
    /// The request that tried it failed.
    Probe,
    /// An administrator said so.
    Told,
    /// Another deployment met the end of the quota that they share.
    Quota,
}

impl Why {
    /// The word of logs and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Lasting => "lasting_error",
            Self::FailureRate => "failure_rate",
            Self::AllowedFails => "allowed_fails",
            Self::Consecutive => "consecutive_failures",
            Self::Probe => "probe_failed",
            Self::Told => "told",
            Self::Quota => "quota_spent",
        }
    }

    const ALL: [Self; 8] = [
        Self::RateLimited,
        Self::Lasting,
        Self::FailureRate,
        Self::AllowedFails,
        Self::Consecutive,
        Self::Probe,
        Self::Told,
        Self::Quota,
    ];
}

/// What the rules of cooldown look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Good answers of the running minute.
    pub good: u64,
    /// Failures of the running minute that speak against the deployment, this one among them.
    pub bad: u64,
    /// Failures one after the other, this one among them.
    pub row: u32,
    /// Failures of this class since the burst began, this one among them.
    pub burst: u32,
    /// Failures of all classes since the burst began.
    pub burst_of_all: u32,
    /// Whether this was the one request that tried a deployment that had rested.
    pub probe: bool,
}

impl Stats {
    /// Of a deployment that was never asked.
    pub fn new(shared: Option<Arc<Quota>>) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            probing: AtomicBool::new(false),
            why: AtomicU8::new(0),
            failed: AtomicU16::new(0),
            until: AtomicU64::new(0),
            unhealthy: AtomicU64::new(0),
            answer: AtomicU32::new(ANSWER),
            row: AtomicU32::new(0),
            shared,
            own: Quota::default(),
            whole: Lane::default(),
            stream: Lane::default(),
            outcomes: Windows::default(),
            bursts: Default::default(),
            answers: AtomicU64::new(0),
        }
    }

    /// Copies what stands in the first cache line: all but the latency and the failures. Takes no
    /// lock, as the others do not.
    #[inline]
    pub fn look(&self, usage: bool, now: Moment) -> Seen {
        let [requests, tokens] = if usage {
            self.quota().used(now)
        } else {
            [0; 2]
        };
        Seen {
            in_flight: self.in_flight.load(Relaxed),
            health: self.health(now),
            requests: u32::try_from(requests).unwrap_or(u32::MAX),
            tokens,
            answer: self.answer.load(Relaxed),
            ..Seen::default()
        }
    }

    /// Copies the latency by this measure.
    #[inline]
    pub(super) fn look_at_latency(&self, stat: Stat, stream: bool, now: Moment, seen: &mut Seen) {
        seen.latency = self.lane(stream).figure(stat, now);
    }

    /// Copies the peak of the latency.
    #[inline]
    pub(super) fn look_at_peak(&self, stream: bool, now: Moment, seen: &mut Seen) {
        if let Some((peak, age)) = self.lane(stream).peak(now) {
            (seen.latency, seen.fading) = (Some(peak), age);
        }
    }

    /// Whether it may be asked.
    #[inline]
    pub fn health(&self, now: Moment) -> Health {
        let until = self.until.load(Acquire);
        if until == 0 {
            if now.0 < self.unhealthy.load(Relaxed) {
                return Health::Unhealthy;
            }
            return Health::Up;
        }
        if now.0 < until {
            Health::Cooling(Moment(until))
        } else if self.probing.load(Acquire) {
            Health::Probing
        } else {
            Health::HalfOpen
        }
    }

    /// Why it rests, if it does.
    pub fn why(&self) -> Option<Why> {
        let code = self.why.load(Relaxed);
        Why::ALL.into_iter().find(|why| *why as u8 == code)
    }

    /// Puts it out of service until then, or for longer if it rests for longer already: of two
    /// failures side by side the one that asks for less does not shorten the rest.
    pub fn cool(&self, until: Moment, why: Why) {
        let before = self.until.fetch_max(until.0.max(1), AcqRel);
        if before < until.0 {
            self.why.store(why as u8, Relaxed);
        }
    }

    /// Puts it out of service until then, however long it rests already.
    pub fn rest(&self, until: Moment) {
        self.why.store(Why::Told as u8, Relaxed);
        self.until.store(until.0.max(1), Release);
    }

    /// Puts it into service.
    pub fn restore(&self) {
        self.why.store(0, Relaxed);
        self.row.store(0, Relaxed);
        self.until.store(0, Release);
    }

    /// Notes what a health check found: until when it is said to be down, if it is.
    pub fn checked(&self, down: Option<Moment>) {
        self.unhealthy
            .store(down.map_or(0, |until| until.0), Relaxed);
    }

    /// Its quota.
    pub fn quota(&self) -> &Quota {
        self.shared.as_deref().unwrap_or(&self.own)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// How long it takes: per token of whole answers, or to the first token of streams.
    pub fn lane(&self, stream: bool) -> &Lane {
        if stream { &self.stream } else { &self.whole }
    }

    /// Share of failures in the running minute.
    #[inline]
    pub fn errors(&self, now: Moment) -> f32 {
        // Most have not failed for long, and nothing more is read of them.
        let since = seconds(now).wrapping_sub(self.failed.load(Relaxed));
        if since > window::LONGEST_SECONDS {
            return 0.0;
        }
        match self.outcomes.used(now) {
            [_, 0] => 0.0,
            [good, bad] => share(bad, good + bad),
        }
    }

    /// Counts a good answer.
    pub(super) fn succeeded(&self, now: Moment) {
        self.outcomes.add(GOOD, 1, now);
        self.row.store(0, Relaxed);
    }

    /// Counts a failure of this class.
    pub(super) fn failed(&self, class: Class, burst: Duration, probe: bool, now: Moment) -> Tally {
        let mut tally = Tally {
            probe,
            ..Tally::default()
        };
        if class.counts() {
            self.outcomes.add(BAD, 1, now);
            self.failed.store(seconds(now), Relaxed);
            tally.row = self.row.fetch_add(1, Relaxed).saturating_add(1);
            tally.burst = self.burst(class, burst, now);
        }
        for one in Class::ALL {
            tally.burst_of_all += burst_at(self.bursts[one as usize].load(Relaxed), burst, now);
        }
        [tally.good, tally.bad] = self.outcomes.used(now);
        tally
    }

    /// One more of this class; the count begins anew when its first one is longer ago than `burst`.
    fn burst(&self, class: Class, burst: Duration, now: Moment) -> u32 {
        let counted = self.bursts[class as usize].try_update(Relaxed, Relaxed, |held| {
            let count = burst_at(held, burst, now);
            let began = if count == 0 {
                millis(now)
            } else {
                unpack(held).0
            };
            Some(pack(began, count.saturating_add(1)))
        });
        let before = counted.unwrap_or_else(|held| held);
        burst_at(before, burst, now).saturating_add(1)
    }

    /// Learns how long answers are: their mean, and twice their mean deviation, as TCP takes round
    /// trips.
    pub(super) fn answer_took(&self, tokens: u64) {
        // In eighths, so that small averages move.
        let eighths = u32::try_from(tokens.saturating_mul(8)).unwrap_or(u32::MAX);
        let learn = |held| {
            let (mean, deviation) = unpack(held);
            if (mean, deviation) == (0, 0) {
                return (eighths.max(1), eighths / 2);
            }
            let off = mean.abs_diff(eighths);
            let mean = mean - mean / 8 + eighths / 8;
            (mean.max(1), deviation - deviation / 4 + off / 4)
        };
        let learned = self.answers.try_update(Relaxed, Relaxed, |held| {
            let (mean, deviation) = learn(held);
            Some(pack(mean, deviation))
        });
        let (mean, deviation) = learn(learned.unwrap_or_else(|held| held));
        let likely = mean.saturating_add(deviation.saturating_mul(2)) / 8;
        self.answer.store(likely, Relaxed);
    }

    /// Lets a request in if it may be asked and has room; tells whether that request tries a
    /// deployment that has rested.
    pub(super) fn admit(&self, most: Option<u32>, rests_too: bool, now: Moment) -> Option<bool> {
        let most = most.unwrap_or(u32::MAX);
        let more = |count: u32| (count < most).then(|| count + 1);
        self.in_flight.try_update(Relaxed, Relaxed, more).ok()?;
        let probe = match self.health(now) {
            // One that is said to be down was chosen because nobody else is left.
            Health::Up | Health::Unhealthy => false,
            Health::HalfOpen => {
                let first = self
                    .probing
                    .compare_exchange(false, true, AcqRel, Acquire)
                    .is_ok();
                if !first && !rests_too {
                    self.leave();
                    return None;
                }
                first
            }
            _ if rests_too => false,
            Health::Cooling(_) | Health::Probing => {
                self.leave();
                return None;
            }
        };
        Some(probe)
    }

    /// Undoes [`admit`](Self::admit).
    pub(super) fn turn_away(&self, probe: bool) {
        if probe {
            self.end_probe();
        }
        self.leave();
    }

    /// A request has left.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(super) fn end_probe(&self) {
        self.probing.store(false, Release);
    }
}

/// Apart, because there mostly is none.
#[cold]
#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
fn share(of: u64, all: u64) -> f32 {
    of as f32 / all as f32
}

fn burst_at(held: u64, burst: Duration, now: Moment) -> u32 {
    let (began, count) = unpack(held);
    let since = millis(now).wrapping_sub(began);
    if u128::from(since) >= burst.as_millis() {
        0
    } else {
        count
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it wraps after 49 days")]
fn millis(now: Moment) -> u32 {
    (now.0 / 1_000_000) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "it wraps after 18 hours")]
fn seconds(now: Moment) -> u16 {
    (now.0 / 1_000_000_000) as u16
}

fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn unpack(packed: u64) -> (u32, u32) {
    ((packed >> 32) as u32, packed as u32)
}
