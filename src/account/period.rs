//! Durations as LiteLLM writes them: of keys' lives and of budgets' windows.

use std::fmt;
use std::str::FromStr;

use pointsman_layers::budget::{Unix, Utc, Window};
use serde::{Deserialize, Serialize};

use super::Time;

/// `<n>` with `s`, `m`, `h`, `d`, `w` or `mo`, or `daily`, `weekly`, `monthly`, `yearly`; it is
/// written again as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    text: String,
    window: Window,
}

/// A month that a key's life is counted in.
const MONTH_DAYS: i64 = 30;
const DAY: i64 = 86_400;

impl Period {
    /// The window of the calendar that it is as a budget's duration.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When a budget of this duration begins anew, in UTC.
    pub fn next_reset(&self, now: Time) -> Time {
        let reset = self.window.next_reset(now.unix(), &Utc);
        reset.map_or(Time(i64::MAX), Time::from)
    }

    /// The end of a life that begins at `start`: that long after it, whatever the calendar says.
    pub fn after(&self, start: Time) -> Time {
        start.plus_seconds(match self.window {
            Window::Total => i64::MAX,
            Window::Seconds(n) => i64::from(n.get()),
            Window::Days(n) => i64::from(n.get()) * DAY,
            Window::Months(n) => i64::from(n.get()) * MONTH_DAYS * DAY,
        })
    }

    /// A time from which all of the window that `now` is in has been, and not more than one
    /// before it: for reading spend that began before the window was known.
    pub fn began(&self, now: Time) -> Time {
        let length = match self.window {
            Window::Total => return Time(0),
            Window::Seconds(n) => i64::from(n.get()),
            // Those end by the month and by the week; no month is longer than 31 days.
            Window::Days(n) if n.get() == 30 => 31 * DAY,
            Window::Days(n) => i64::from(n.get()) * DAY,
            Window::Months(n) => i64::from(n.get()) * 31 * DAY,
        };
        let end = self.next_reset(now).unix();
        // The first mark whose next one is the end: the start of the window.
        let (mut low, mut high) = (end.0.saturating_sub(length), now.unix().0);
        let same = |at: i64| self.window.next_reset(Unix(at), &Utc) == Some(end);
        if same(low) {
            return Time::from(Unix(low.max(0)));
        }
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if same(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Time::from(Unix(high.max(0)))
    }
}

/// The text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPeriod;

impl fmt::Display for NotAPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a duration is a number with s, m, h, d, w or mo, or daily, weekly, monthly, yearly",
        )
    }
}

impl std::error::Error for NotAPeriod {}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let window = text.parse().map_err(|_| NotAPeriod)?;
        let period = Self {
            text: text.to_owned(),
            window,
        };
        Ok(period)
    }
}

impl TryFrom<String> for Period {
    type Error = NotAPeriod;

    fn try_from(text: String) -> Result<Self, NotAPeriod> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn a_budget_begins_anew_by_the_calendar_and_a_life_ends_by_the_clock() {
        let now = at("2026-11-21T03:30:00Z");
        for (text, reset, end) in [
            ("1h", "2026-11-21T04:00:00Z", "2026-11-21T04:30:00Z"),
            ("1d", "2026-11-22", "2026-11-22T03:30:00Z"),
            ("7d", "2026-11-23", "2026-11-28T03:30:00Z"),
            ("30d", "2026-12-01", "2026-12-21T03:30:00Z"),
            ("1mo", "2026-12-01", "2026-12-21T03:30:00Z"),
            ("yearly", "2027-11-01", "2027-11-16T03:30:00Z"),
        ] {
            assert_eq!(period(text).next_reset(now), at(reset), "{text}");
            assert_eq!(period(text).after(now), at(end), "{text}");
        }
        assert!("forever".parse::<Period>().is_err());
    }

    #[test]
    fn the_start_of_a_window_is_found() {
        let now = at("2026-11-21T03:30:00Z");
        for (text, start) in [
            ("1h", "2026-11-21T03:00:00Z"),
            ("1d", "2026-11-21"),
            ("7d", "2026-11-16"),
            ("30d", "2026-11-01"),
            ("monthly", "2026-11-01"),
            ("5d", "2026-11-21"),
        ] {
            assert_eq!(period(text).began(now), at(start), "{text}");
        }
    }
}
