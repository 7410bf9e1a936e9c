//! What a provider says of its limits in the headers of a refusal: when to come again, and whether
//! what is used up belongs to the whole account.
//!
//! | header | whose | form |
//! |---|---|---|
//! | `retry-after-ms`, `retry-after` | anybody's | milliseconds; seconds or a date |
//! | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` | OpenAI and those who copy it | `1s`, `6m0s`, `20ms`, or seconds |
//! | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}` | Anthropic | an instant of RFC 3339 |
//!
//! Both count an organisation's use, not that of one key:
//! <https://platform.openai.com/docs/guides/rate-limits>,
//! <https://docs.anthropic.com/en/api/rate-limits>.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use pointsman_layers::retry::retry_after;

/// What a provider said beside a status that is no success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When to come again.
    pub after: Option<Duration>,
    /// A limit of the whole account is used up, so that its other keys are of no use either.
    pub account: bool,
}

/// A limit that is told of: its remaining units and when they are back.
struct Limit {
    remaining: &'static str,
    reset: &'static str,
    form: fn(&str, SystemTime) -> Option<Duration>,
}

/// The first of each kind is that of requests, of which every request takes one.
const LIMITS: [&[Limit]; 2] = [
    &[
        openai(
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ),
        openai("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ],
    &[
        anthropic(
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ),
        anthropic(
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ),
        anthropic(
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ),
        anthropic(
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ),
    ],
];

const fn openai(remaining: &'static str, reset: &'static str) -> Limit {
    Limit {
        remaining,
        reset,
        form: |text, _| duration(text),
    }
}

const fn anthropic(remaining: &'static str, reset: &'static str) -> Limit {
    Limit {
        remaining,
        reset,
        form: |text, now| {
            let at = humantime::parse_rfc3339_weak(text).ok()?;
            Some(at.duration_since(now).unwrap_or_default())
        },
    }
}

impl Told {
    /// Reads what goes with this status. `Retry-After` is stronger than what a limit says of itself,
    /// and limits are looked at only if the status is that of a limit: OpenAI tells them with every
    /// answer.
    pub fn read(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        let limited = status == StatusCode::TOO_MANY_REQUESTS;
        let limits = LIMITS
            .iter()
            .filter(|_| limited)
            .map(|limits| of(limits, headers, now));
        let limits = limits.fold(Self::default(), |told, one| Self {
            after: told.after.max(one.after),
            account: told.account | one.account,
        });
        Self {
            after: retry_after(headers, now).or(limits.after),
            ..limits
        }
    }
}

/// The limits that are used up, or else those of tokens, of which there may be some, but too few.
fn of(limits: &[Limit], headers: &HeaderMap, now: SystemTime) -> Told {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let left = |limit: &Limit| text(limit.remaining)?.parse::<f64>().ok();
    let spent = |limit: &Limit| left(limit).is_some_and(|left| left <= 0.0);
    let any = limits.iter().any(spent);
    let after = limits
        .iter()
        .enumerate()
        .filter(|(at, limit)| {
            if any {
                spent(limit)
            } else {
                *at > 0 || left(limit).is_none()
            }
        })
        .filter_map(|(_, limit)| (limit.form)(text(limit.reset)?, now))
        .max();
    Told {
        after,
        account: any,
    }
}

/// `6m0s`, `1.5s`, `20ms`; a bare number is seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        sum = sum.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = behind;
    }
    Some(sum).filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn told(status: u16, headers: &[(&'static str, &'static str)]) -> Told {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).try_into().unwrap(), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).unwrap();
        // 2026-01-01T00:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(490_896);
        Told::read(status, &headers.collect(), now)
    }

    const fn after(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("20ms", 20),
            ("1h2m3.5s", 3_723_500),
            ("2m59.56s", 179_560),
            ("0s", 0),
            ("7", 7_000),
            ("0.25", 250),
        ] {
            assert_eq!(duration(text), Some(after(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "1x",
            "1.2.3s",
            "-1s",
            "m1",
            "99999999999999999999h",
        ] {
            let bare = text == "1";
            assert_eq!(duration(text).is_some(), bare, "{text}");
        }
    }

    #[test]
    fn every_form_of_retry_after_is_stronger_than_a_limit() {
        for (name, value, millis) in [
            ("retry-after", "7", 7_000),
            ("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT", 30_000),
            ("retry-after-ms", "1500", 1_500),
        ] {
            let headers = [
                (name, value),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "6m0s"),
            ];
            let told = told(429, &headers);
            assert_eq!(
                (told.after, told.account),
                (Some(after(millis)), true),
                "{name}"
            );
        }
    }

    #[test]
    fn the_limit_that_is_used_up_says_when() {
        let requests = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "20ms"),
            ("x-ratelimit-remaining-tokens", "900"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(told(429, &requests).after, Some(after(20)));
        let tokens = [
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "40"),
            ("x-ratelimit-reset-tokens", "1s"),
        ];
        let told = told(429, &tokens);
        // Forty are left, so the account is not at its end; this request wanted more.
        assert_eq!((told.after, told.account), (Some(after(1_000)), false));
    }

    #[test]
    fn anthropic_gives_instants() {
        let headers = [
            ("anthropic-ratelimit-requests-remaining", "40"),
            ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:09Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            (
                "anthropic-ratelimit-output-tokens-reset",
                "2026-01-01T00:00:42Z",
            ),
        ];
        let told = told(429, &headers);
        assert_eq!((told.after, told.account), (Some(after(42_000)), true));
        let past = [("anthropic-ratelimit-tokens-reset", "2025-12-31T23:59:00Z")];
        assert_eq!(self::told(429, &past).after, Some(after(0)));
    }

    #[test]
    fn a_fault_that_is_no_limit_has_no_limits() {
        let headers = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6m0s"),
        ];
        assert_eq!(told(500, &headers), Told::default());
        assert_eq!(told(503, &[("retry-after", "3")]).after, Some(after(3_000)));
    }
}
