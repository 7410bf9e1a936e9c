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

    /// Start and end of the window that holds at `now`, if one began at `start`, which is not
    /// after `now`.
    pub fn window_at(&self, start: Time, now: Time) -> (Time, Time) {
        let (mut start, mut end) = (start, self.next_reset(start));
        if let Window::Seconds(length) = self.window {
            // They follow each other without a gap, and there may have been millions of them.
            let length = i64::from(length.get());
            let ago = now.unix().0.saturating_sub(start.unix().0);
            if end <= now {
                let seconds = now.unix().0 - ago.min(now.unix().0.rem_euclid(length));
                start = Time::from(Unix(seconds));
                end = self.next_reset(start);
            }
        }
        while end <= now && end > start {
            (start, end) = (end, self.next_reset(end));
        }
        (start, end)
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
    fn the_window_that_holds_now_is_found_however_long_ago_the_last_one_began() {
        let now = at("2026-11-21T03:30:07Z");
        let last = at("2025-02-03");
        for (text, start, end) in [
            ("7s", "2026-11-21T03:30:02Z", "2026-11-21T03:30:09Z"),
            ("1h", "2026-11-21T03:00:00Z", "2026-11-21T04:00:00Z"),
            ("1d", "2026-11-21", "2026-11-22"),
            ("7d", "2026-11-16", "2026-11-23"),
            ("30d", "2026-11-01", "2026-12-01"),
            ("monthly", "2026-11-01", "2026-12-01"),
            ("5d", "2026-11-20", "2026-11-25"),
        ] {
            assert_eq!(
                period(text).window_at(last, now),
                (at(start), at(end)),
                "{text}"
            );
        }
    }
}
