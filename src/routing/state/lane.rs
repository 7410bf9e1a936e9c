//! How long a deployment takes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;

use crate::routing::moment::Moment;

/// LiteLLM's figures where the file gives none.
const SIZE: usize = 10;
const TTL: Duration = Duration::from_hours(1);
/// Most samples that are kept, whatever the file says.
const MOST: usize = 1_000;
/// Weight of a new sample in the exponential average.
const ALPHA: f32 = 0.3;
/// How fast a peak is forgotten, as in Twitter's Finagle.
const DECAY: Duration = Duration::from_secs(10);

/// Which figure of the samples counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stat {
    /// Their mean.
    #[default]
    Mean,
    /// Their 95th percentile.
    P95,
    /// Their exponential average.
    Ewma,
    /// The exponential average that follows each peak at once and forgets it within seconds.
    Peak,
}

/// How samples are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// At most so many, the newest.
    pub size: usize,
    /// At most so long.
    pub ttl: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            size: SIZE,
            ttl: TTL,
        }
    }
}

/// Samples of one kind. Reading takes no lock; a sample is added under one of its own. What is read
/// stands in the first cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Lane {
    /// By [`Stat`]; a peak is none of them.
    figures: [AtomicU32; 3],
    count: AtomicU32,
    /// When the oldest sample is to be dropped.
    stale: AtomicU64,
    /// Seconds, and when they were noted in milliseconds.
    peak: AtomicU64,
    samples: Mutex<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    kept: VecDeque<(Moment, f32)>,
    ewma: f32,
    keeping: Keeping,
}

impl Lane {
    /// The figure in seconds; `None` if there is no sample.
    pub fn read(&self, stat: Stat, now: Moment) -> Option<f32> {
        if stat == Stat::Peak {
            return self.peak(now).map(|(peak, age)| faded(peak, age));
        }
        self.figure(stat, now)
    }

    /// As [`read`](Self::read), for any but a peak, of which there is none.
    #[inline]
    pub(super) fn figure(&self, stat: Stat, now: Moment) -> Option<f32> {
        let figure = self.figures.get(stat as usize)?;
        self.has_any(now)
            .then(|| f32::from_bits(figure.load(Relaxed)))
    }

    /// A peak as it was noted, and how many milliseconds ago that was.
    #[inline]
    pub(super) fn peak(&self, now: Moment) -> Option<(f32, u32)> {
        self.has_any(now).then(|| {
            let (peak, noted) = unpack(self.peak.load(Relaxed));
            (peak, millis(now).wrapping_sub(noted))
        })
    }

    /// Whether there is a sample that is not stale.
    #[inline]
    fn has_any(&self, now: Moment) -> bool {
        self.count.load(Relaxed) != 0 && (now.0 < self.stale.load(Relaxed) || self.refresh(now))
    }

    /// Drops stale samples; whether any is left.
    #[cold]
    fn refresh(&self, now: Moment) -> bool {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.prune(now);
        self.publish(&samples);
        !samples.kept.is_empty()
    }

    /// How many samples there are, some of which may be stale.
    pub fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Adds a sample, in seconds.
    pub fn add(&self, seconds: f32, now: Moment, keeping: Keeping) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.keeping = Keeping {
            size: keeping.size.clamp(1, MOST),
            ..keeping
        };
        samples.ewma = if samples.kept.is_empty() {
            seconds
        } else {
            samples.ewma + ALPHA * (seconds - samples.ewma)
        };
        samples.kept.push_back((now, seconds));
        samples.prune(now);
        let first = self.count.load(Relaxed) == 0;
        self.note_peak(seconds, now, first);
        self.publish(&samples);
    }

    fn publish(&self, samples: &Samples) {
        let kept = samples.kept.len();
        let figures = [samples.mean(), samples.p95(), samples.ewma];
        for (kept, figure) in self.figures.iter().zip(figures) {
            kept.store(figure.to_bits(), Relaxed);
        }
        self.count
            .store(u32::try_from(kept).unwrap_or(u32::MAX), Relaxed);
        let stale = samples
            .kept
            .front()
            .map_or(Moment(u64::MAX), |(then, _)| then.plus(samples.keeping.ttl));
        self.stale.store(stale.0, Relaxed);
    }

    fn note_peak(&self, seconds: f32, now: Moment, first: bool) {
        let before = if first { seconds } else { self.peak_at(now) };
        let (_, noted) = unpack(self.peak.load(Relaxed));
        let share = kept_share(millis(now).wrapping_sub(noted));
        let after = if seconds >= before {
            seconds
        } else {
            // `before` has decayed already; the sample makes up for what was forgotten.
            before + (1.0 - share) * seconds
        };
        self.peak.store(pack(after, millis(now)), Relaxed);
    }

    fn peak_at(&self, now: Moment) -> f32 {
        let (seconds, noted) = unpack(self.peak.load(Relaxed));
        faded(seconds, millis(now).wrapping_sub(noted))
    }
}

impl Samples {
    fn prune(&mut self, now: Moment) {
        while self.kept.len() > self.keeping.size
            || self
                .kept
                .front()
                .is_some_and(|(then, _)| then.plus(self.keeping.ttl) <= now)
        {
            self.kept.pop_front();
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are at most 1,000")]
    fn mean(&self) -> f32 {
        let sum: f64 = self.kept.iter().map(|(_, one)| f64::from(*one)).sum();
        narrow(sum / self.kept.len().max(1) as f64)
    }

    /// The smallest sample that at least 95 of 100 are not above.
    fn p95(&self) -> f32 {
        let mut sorted: SmallVec<[f32; 64]> = self.kept.iter().map(|(_, one)| *one).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let rank = (sorted.len() * 95).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

/// What is left of a peak after so many milliseconds.
pub(super) fn faded(peak: f32, millis: u32) -> f32 {
    peak * kept_share(millis)
}

/// The share of a peak that is left after so many milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
fn kept_share(millis: u32) -> f32 {
    (-(millis as f32) / DECAY.as_millis() as f32).exp()
}

#[expect(clippy::cast_possible_truncation, reason = "it wraps after 49 days")]
fn millis(now: Moment) -> u32 {
    (now.0 / 1_000_000) as u32
}

fn pack(seconds: f32, millis: u32) -> u64 {
    u64::from(seconds.to_bits()) << 32 | u64::from(millis)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn narrow(seconds: f64) -> f32 {
    seconds as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(0).plus(Duration::from_secs(200 + seconds))
    }

    fn near(found: Option<f32>, wanted: f32) {
        let found = found.unwrap();
        assert!((found - wanted).abs() < 1e-4, "{found} is not {wanted}");
    }

    #[test]
    fn the_newest_samples_are_kept() {
        let lane = Lane::default();
        assert_eq!(lane.read(Stat::Mean, at(0)), None);
        for second in 0..20_u8 {
            lane.add(f32::from(second), at(u64::from(second)), Keeping::default());
        }
        near(lane.read(Stat::Mean, at(20)), 14.5);
        near(lane.read(Stat::P95, at(20)), 19.0);
        assert_eq!(lane.count(), 10);
    }

    #[test]
    fn samples_are_dropped_when_their_time_is_over() {
        let keeping = Keeping {
            size: 10,
            ttl: Duration::from_secs(100),
        };
        let lane = Lane::default();
        lane.add(1.0, at(0), keeping);
        lane.add(3.0, at(50), keeping);
        near(lane.read(Stat::Mean, at(99)), 2.0);
        near(lane.read(Stat::Mean, at(100)), 3.0);
        assert_eq!(lane.read(Stat::Mean, at(150)), None);
    }

    #[test]
    fn a_peak_is_followed_at_once_and_forgotten_slowly() {
        let lane = Lane::default();
        lane.add(1.0, at(0), Keeping::default());
        lane.add(5.0, at(0), Keeping::default());
        near(lane.read(Stat::Peak, at(0)), 5.0);
        near(lane.read(Stat::Peak, at(10)), 5.0 * (-1.0_f32).exp());
        lane.add(1.0, at(10), Keeping::default());
        let e = (-1.0_f32).exp();
        near(lane.read(Stat::Peak, at(10)), 5.0 * e + (1.0 - e));
        near(lane.read(Stat::Ewma, at(10)), 2.2 + 0.3 * (1.0 - 2.2));
    }
}
