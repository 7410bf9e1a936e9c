//! Wall time, for windows that end by the calendar; everything else uses tokio's instants.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A point in time: whole seconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unix(pub i64);

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Unix;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Unix {
        (**self).now()
    }
}

/// The system's clock, whatever it says: it may jump, and windows jump with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Unix {
        let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Unix(seconds(since)),
            Err(before) => Unix(-seconds(before.duration())),
        }
    }
}

/// A clock that starts at a given time and goes with tokio's, paused or not.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    start: Unix,
    origin: Instant,
}

impl TokioClock {
    /// It is `start` now.
    pub fn starting(start: Unix) -> Self {
        Self {
            start,
            origin: Instant::now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Unix {
        let since = i64::try_from(self.origin.elapsed().as_secs()).unwrap_or(i64::MAX);
        Unix(self.start.0.saturating_add(since))
    }
}

/// Tells how far a time zone is ahead of UTC, summer time and all.
pub trait Zone: Send + Sync + fmt::Debug {
    /// Seconds east of UTC at `at`.
    fn offset(&self, at: Unix) -> i32;
}

/// The zone of UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Utc;

impl Zone for Utc {
    fn offset(&self, _: Unix) -> i32 {
        0
    }
}

/// A zone without summer time.
#[derive(Debug, Clone, Copy)]
pub struct FixedOffset(pub i32);

impl Zone for FixedOffset {
    fn offset(&self, _: Unix) -> i32 {
        self.0
    }
}
