//! Points in time as the API writes them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_layers::budget::Unix;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since 1970-01-01 00:00 UTC; in JSON, RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

const MICROS: i64 = 1_000_000;
/// The last second of the year 9999, which is as far as RFC 3339 goes.
const LAST: i64 = 253_402_300_799;

impl Time {
    /// Now, by the system's clock.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Whole seconds since 1970.
    pub const fn unix(self) -> Unix {
        Unix(self.0.div_euclid(MICROS))
    }

    /// Later by a number of seconds; the end of the year 9999 at most.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        let later = self.0.saturating_add(seconds.saturating_mul(MICROS));
        if later > LAST * MICROS {
            Self(LAST * MICROS)
        } else {
            Self(later)
        }
    }

    /// The day in UTC, as `2026-11-21`.
    pub fn day(self) -> String {
        let mut text = self.to_string();
        text.truncate(10);
        text
    }
}

impl From<Unix> for Time {
    fn from(unix: Unix) -> Self {
        Self(0).plus_seconds(unix.0)
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(micros(since).min(LAST * MICROS)),
            Err(_) => Self(0),
        }
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with microseconds; what is before 1970 shows as its first instant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = u64::try_from(self.0.min(LAST * MICROS)).unwrap_or(0);
        let time = UNIX_EPOCH + Duration::from_micros(micros);
        write!(f, "{}", humantime::format_rfc3339_micros(time))
    }
}

/// The text is no point in time since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATime;

impl fmt::Display for NotATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time is written as 2026-11-21T03:30:00Z or 2026-11-21")
    }
}

impl std::error::Error for NotATime {}

impl FromStr for Time {
    type Err = NotATime;

    /// Reads RFC 3339, with `T` or a space between date and time, with any offset or without one
    /// (then it is UTC), and a date alone (then it is its midnight).
    fn from_str(text: &str) -> Result<Self, NotATime> {
        let text = text.trim();
        if text.len() == 10 {
            return format!("{text}T00:00:00Z").parse();
        }
        let (local, offset) = match text
            .char_indices()
            .skip(11)
            .find(|(_, c)| "+-".contains(*c))
        {
            Some((at, sign)) => {
                let seconds = offset(&text[at + 1..]).ok_or(NotATime)?;
                (&text[..at], if sign == '-' { -seconds } else { seconds })
            }
            None => (text, 0),
        };
        let time = humantime::parse_rfc3339_weak(local).map_err(|_| NotATime)?;
        let time = Self::from(time).plus_seconds(-offset);
        if time.0 < 0 { Err(NotATime) } else { Ok(time) }
    }
}

/// The seconds of `HH:MM`, `HHMM` or `HH`.
fn offset(text: &str) -> Option<i64> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let half_past_three = Time(1_795_231_800 * MICROS);
        for text in [
            "2026-11-21T03:30:00Z",
            "2026-11-21 03:30:00",
            "2026-11-21T03:30:00.000000+00:00",
            "2026-11-21T05:00:00+01:30",
            "2026-11-20T22:30:00-0500",
        ] {
            assert_eq!(text.parse(), Ok(half_past_three), "{text}");
        }
        assert_eq!(
            "2026-11-21".parse(),
            Ok(Time(half_past_three.0 - 12_600 * MICROS))
        );
        for text in [
            "",
            "soon",
            "2026-13-01",
            "2026-11-21T03:30:00+x",
            "2026-11-21T03:30:00+99:00",
            "1066-10-14",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        let time: Time = "2026-11-21T03:30:00.25Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-21T03:30:00.250000Z");
        assert_eq!(time.day(), "2026-11-21");
        assert_eq!(
            serde_json::to_string(&time)
                .unwrap()
                .parse::<serde_json::Value>()
                .unwrap(),
            time.to_string()
        );
        assert_eq!(Time(i64::MIN).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Time(i64::MAX).plus_seconds(i64::MAX).day(), "9999-12-31");
    }
}
