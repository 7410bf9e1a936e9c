//! Plans as text and as JSON.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Cause, GroupPlan, Way};
use crate::usd::Usd;

impl fmt::Display for GroupPlan {
    /// A line with the sums, then one for each way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            attempts,
            time,
            money,
            ..
        } = self;
        write!(
            f,
            "{group}: at most {} in {}",
            counted(*attempts, "attempt"),
            duration(*time)
        )?;
        if self.cut_by_request_timeout {
            f.write_str(" (request_timeout ends it)")?;
        }
        write!(f, ", ${}", cents(*money))?;
        match self.unpriced.len() {
            0 => {}
            n => write!(
                f,
                " and what {} of unknown price or window cost",
                counted(u64::try_from(n).unwrap_or(u64::MAX), "deployment")
            )?,
        }
        for way in &self.ways {
            write!(f, "\n  {}: {way}", way.cause.words())?;
        }
        Ok(())
    }
}

impl Cause {
    const fn words(self) -> &'static str {
        match self {
            Self::Failure => "on failure",
            Self::ContextWindow => "on a prompt too long",
            Self::ContentPolicy => "on refused content",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, hop) in self.hops.iter().enumerate() {
            if at > 0 {
                f.write_str(" → ")?;
            }
            write!(f, "{}", hop.target)?;
            if let Some(order) = hop.order {
                write!(f, " (order {order})")?;
            }
            write!(f, " ×{}", hop.attempts)?;
        }
        Ok(())
    }
}

fn counted(n: impl Into<u64>, word: &str) -> String {
    let n = n.into();
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Whole seconds as `1 h 40 min`, `2 min 5 s`, `30 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    match (words.is_empty(), time.is_zero()) {
        (true, true) => "no time".to_owned(),
        (true, false) => format!("{} ms", time.as_millis()),
        (false, _) => words.join(" "),
    }
}

/// Rounded up to the cent, for a bound must not be less than what it bounds.
fn cents(money: Usd) -> Usd {
    const CENT: i128 = Usd::ONE.0 / 100;
    Usd(money
        .0
        .saturating_add(CENT - 1)
        .div_euclid(CENT)
        .saturating_mul(CENT))
}

pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

pub(super) fn dollars<S: Serializer>(money: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(money.to_f64())
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
pub(super) fn maybe_dollars<S: Serializer>(
    money: &Option<Usd>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    money.map(Usd::to_f64).serialize(serializer)
}
