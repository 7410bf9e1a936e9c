//! When a budget begins anew.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::clock::{Unix, Zone};

/// How long a budget lasts before its spend is forgotten, and by which mark of the calendar.
///
/// Windows end where LiteLLM's do, on the local time of a [`Zone`]:
///
/// | window | ends |
/// |---|---|
/// | `30s`, `15m`, `6h` | at the next multiple, counted from midnight of 1970-01-01 |
/// | `1d`, `daily` | at the next midnight |
/// | `7d`, `1w`, `weekly` | at midnight before the next Monday |
/// | `30d`, `1mo`, `monthly` | at midnight before the first of the next month |
/// | `3mo` | the same, two months later |
/// | `yearly` | the same, eleven months later |
/// | other days and weeks | that many days after the last midnight |
///
/// ```
/// use pointsman_layers::budget::{Unix, Utc, Window};
///
/// let monthly: Window = "30d".parse().unwrap();
/// let new_year = Unix(1_767_225_600);
/// assert_eq!(monthly.next_reset(Unix(new_year.0 - 1), &Utc), Some(new_year));
/// assert!("soon".parse::<Window>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// It never ends.
    Total,
    /// Seconds; minutes and hours are some of them.
    Seconds(NonZeroU32),
    /// Days; weeks are seven of them.
    Days(NonZeroU32),
    /// Calendar months.
    Months(NonZeroU32),
}

const DAY: i64 = 86_400;

impl Window {
    /// From midnight to midnight.
    pub const DAILY: Self = Self::Days(NonZeroU32::MIN);
    /// From Monday to Monday.
    pub const WEEKLY: Self = Self::Days(NonZeroU32::MIN.saturating_add(6));
    /// From the first of a month to the first of the next.
    pub const MONTHLY: Self = Self::Months(NonZeroU32::MIN);
    /// Twelve of them, from the first of a month.
    pub const YEARLY: Self = Self::Months(NonZeroU32::MIN.saturating_add(11));

    /// The first end of a window after `now`.
    pub fn next_reset(&self, now: Unix, zone: &dyn Zone) -> Option<Unix> {
        let local = now.0.saturating_add(i64::from(zone.offset(now)));
        let midnight = local - local.rem_euclid(DAY);
        let (mut end, step) = match *self {
            Self::Total => return None,
            Self::Seconds(seconds) => {
                let length = i64::from(seconds.get());
                (local - local.rem_euclid(length) + length, length)
            }
            Self::Days(days) => match i64::from(days.get()) {
                7 => {
                    // 1970-01-01 was a Thursday, three days after a Monday.
                    let weekday = (midnight / DAY + 3).rem_euclid(7);
                    (midnight + (7 - weekday) * DAY, DAY)
                }
                30 => (first_of_month(midnight / DAY, 1) * DAY, DAY),
                days => (midnight + days * DAY, DAY),
            },
            Self::Months(months) => (
                first_of_month(midnight / DAY, i64::from(months.get())) * DAY,
                DAY,
            ),
        };
        // When clocks are put back, an hour comes twice, and its second end may be behind us.
        loop {
            let reset = instant(end, zone);
            if reset > now {
                return Some(reset);
            }
            end += step;
        }
    }

    /// A number that differs between windows.
    pub(super) fn code(self) -> u64 {
        match self {
            Self::Total => 1,
            Self::Seconds(n) => 2 << 32 | u64::from(n.get()),
            Self::Days(n) => 3 << 32 | u64::from(n.get()),
            Self::Months(n) => 4 << 32 | u64::from(n.get()),
        }
    }
}

/// The instant at which clocks of `zone` show `local` seconds: the first if they do so twice, and
/// as if they had not been put forward if they never do.
fn instant(local: i64, zone: &dyn Zone) -> Unix {
    let by_offset_near = |near: i64| {
        let offset = i64::from(zone.offset(Unix(near)));
        let instant = local - offset;
        (instant, i64::from(zone.offset(Unix(instant))) == offset)
    };
    let (before, fits) = by_offset_near(local - DAY);
    match by_offset_near(local + DAY) {
        (after, true) if !fits => Unix(after),
        _ => Unix(before),
    }
}

/// The day, since 1970, of the first of the month that comes `months` after the one of `day`.
fn first_of_month(day: i64, months: i64) -> i64 {
    let (year, month) = year_and_month(day);
    let months = year * 12 + (month - 1) + months;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    // Years begin in March here, so that the day that comes and goes is their last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    days + (153 * month + 2) / 5 - 719_468
}

fn year_and_month(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let year = year + era * 400;
    if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    }
}

/// The text is not a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAWindow;

impl fmt::Display for NotAWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a window is a number with s, m, h, d, w or mo, or daily, weekly, monthly, yearly",
        )
    }
}

impl std::error::Error for NotAWindow {}

impl FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        match text {
            "daily" => return Ok(Self::DAILY),
            "weekly" => return Ok(Self::WEEKLY),
            "monthly" => return Ok(Self::MONTHLY),
            "yearly" => return Ok(Self::YEARLY),
            _ => {}
        }
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(end);
        let number: NonZeroU32 = number.parse().map_err(|_| NotAWindow)?;
        let times = |n: u32| {
            number
                .checked_mul(NonZeroU32::MIN.saturating_add(n - 1))
                .ok_or(NotAWindow)
        };
        match unit {
            "s" => Ok(Self::Seconds(number)),
            "m" => times(60).map(Self::Seconds),
            "h" => times(3_600).map(Self::Seconds),
            "d" => Ok(Self::Days(number)),
            "w" => times(7).map(Self::Days),
            "mo" => Ok(Self::Months(number)),
            _ => Err(NotAWindow),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{FixedOffset, Utc};

    /// Seconds since 1970 of a date and time in UTC.
    fn at(year: i64, month: i64, day: i64, hour: i64, minute: i64) -> Unix {
        let months = (year - 1970) * 12 + month - 1;
        Unix((first_of_month(0, months) + day - 1) * DAY + hour * 3_600 + minute * 60)
    }

    fn next(window: &str, now: Unix) -> Unix {
        window
            .parse::<Window>()
            .unwrap()
            .next_reset(now, &Utc)
            .unwrap()
    }

    #[test]
    fn the_calendar_is_right() {
        assert_eq!(at(2000, 3, 1, 0, 0), Unix(951_868_800));
        assert_eq!(at(2026, 11, 21, 3, 30), Unix(1_795_231_800));
        assert_eq!(year_and_month(at(2024, 2, 29, 0, 0).0 / DAY), (2024, 2));
        assert_eq!(year_and_month(at(2100, 3, 1, 0, 0).0 / DAY), (2100, 3));
    }

    #[test]
    fn windows_end_at_marks_of_the_calendar() {
        let now = at(2026, 11, 21, 3, 30); // a Saturday
        assert_eq!(next("30s", Unix(now.0 + 7)), Unix(now.0 + 30));
        assert_eq!(next("30m", now), at(2026, 11, 21, 4, 0));
        assert_eq!(next("1h", now), at(2026, 11, 21, 4, 0));
        assert_eq!(next("6h", now), at(2026, 11, 21, 6, 0));
        assert_eq!(next("24h", now), at(2026, 11, 22, 0, 0));
        assert!(next("48h", now) <= at(2026, 11, 23, 0, 0));
        for daily in ["1d", "daily"] {
            assert_eq!(next(daily, now), at(2026, 11, 22, 0, 0));
        }
        for weekly in ["7d", "1w", "weekly"] {
            assert_eq!(next(weekly, now), at(2026, 11, 23, 0, 0));
            assert_eq!(next(weekly, at(2026, 11, 23, 0, 0)), at(2026, 11, 30, 0, 0));
        }
        for monthly in ["30d", "1mo", "monthly"] {
            assert_eq!(next(monthly, now), at(2026, 12, 1, 0, 0));
            assert_eq!(
                next(monthly, at(2026, 12, 31, 23, 59)),
                at(2027, 1, 1, 0, 0)
            );
        }
        assert_eq!(next("3mo", now), at(2027, 2, 1, 0, 0));
        assert_eq!(next("10d", now), at(2026, 12, 1, 0, 0));
        assert_eq!(next("2w", now), at(2026, 12, 5, 0, 0));
        assert_eq!(Window::Total.next_reset(now, &Utc), None);
    }

    #[test]
    fn windows_end_by_local_time() {
        let now = at(2026, 11, 21, 23, 30);
        let zone = FixedOffset(3_600);
        assert_eq!(
            Window::DAILY.next_reset(now, &zone),
            Some(at(2026, 11, 22, 23, 0))
        );
    }

    /// Central Europe in 2026: summer time from 29 March to 25 October, 01:00 UTC.
    #[derive(Debug)]
    struct Berlin;

    impl Zone for Berlin {
        fn offset(&self, now: Unix) -> i32 {
            let summer = at(2026, 3, 29, 1, 0)..at(2026, 10, 25, 1, 0);
            if summer.contains(&now) { 7_200 } else { 3_600 }
        }
    }

    #[test]
    fn days_of_23_and_25_hours_end_at_midnight() {
        let zone = Berlin;
        let reset = |window: &str, now| window.parse::<Window>().unwrap().next_reset(now, &zone);
        assert_eq!(
            reset("1d", at(2026, 3, 28, 23, 0)),
            Some(at(2026, 3, 29, 22, 0))
        );
        assert_eq!(
            reset("1d", at(2026, 10, 24, 22, 0)),
            Some(at(2026, 10, 25, 23, 0))
        );
        assert_eq!(
            reset("1mo", at(2026, 3, 28, 12, 0)),
            Some(at(2026, 3, 31, 22, 0))
        );
        // 02:00 to 03:00 does not exist in March and comes twice in October.
        assert_eq!(
            reset("1h", at(2026, 3, 29, 0, 30)),
            Some(at(2026, 3, 29, 1, 0))
        );
        assert_eq!(
            reset("1h", at(2026, 10, 25, 0, 30)),
            Some(at(2026, 10, 25, 2, 0))
        );
    }

    #[test]
    fn only_windows_are_read() {
        for wrong in [
            "",
            "s",
            "0s",
            "1",
            "1y",
            "-1d",
            "1.5h",
            "99999999999s",
            "4000000000h",
            "1 d",
        ] {
            assert_eq!(wrong.parse::<Window>(), Err(NotAWindow), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_next_reset_is_later_and_not_beyond_the_window(
            now in 0..4_000_000_000_i64,
            window in prop::sample::select(vec!["1s", "7m", "5h", "24h", "1d", "3d", "7d", "30d", "1mo"]),
        ) {
            for zone in [&Utc as &dyn Zone, &Berlin, &FixedOffset(-12_600)] {
                let window: Window = window.parse().unwrap();
                let reset = window.next_reset(Unix(now), zone).unwrap();
                prop_assert!(reset > Unix(now));
                prop_assert!(reset.0 - now <= 31 * DAY + 3_600);
                // From just before its end, a window ends at the same time.
                if !matches!(window, Window::Days(days) if days.get() == 3) {
                    prop_assert_eq!(window.next_reset(Unix(reset.0 - 1), zone), Some(reset));
                }
            }
        }
    }
}
