//! What a file says of routing as a whole, read once.

use std::time::Duration;

use pointsman_routes::table::{Routes, Setting, Value};
use pointsman_routes::usd::Usd;

use super::state::{Keeping, Stat};

/// What a file says of routing as a whole.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the file"
)]
pub struct Options {
    /// How samples of latency are kept.
    pub keeping: Keeping,
    /// Which figure of them counts (`latency_stat`).
    pub latency_stat: Stat,
    /// How much slower than the best may be chosen, as a share (`lowest_latency_buffer`).
    pub latency_buffer: f32,
    /// How use is compared (`usage_rank`).
    pub usage_rank: UsageRank,
    /// Drop deployments that cannot take the prompt (`enable_pre_call_checks`).
    pub checks: bool,
    /// Limits hold whatever the strategy (`enforce_limits`).
    pub enforce_limits: bool,
    /// Choose by tags (`enable_tag_filtering`).
    pub tags: bool,
    /// One tag in common is enough (`tag_filtering_match_any`).
    pub match_any: bool,
    /// Requests of a session stay together (`session_affinity` among `optional_pre_call_checks`).
    pub affinity: bool,
    /// Dollars that a request may cost for the cheapest to be preferred (`cost_threshold`).
    pub cost_threshold: Option<f64>,
    /// Tokens of a prompt above which the largest window is preferred (`context_threshold`).
    pub context_threshold: Option<u64>,
    /// Requests at once of a deployment that has no such limit of its own.
    pub max_parallel: Option<u32>,
}

/// How use is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageRank {
    /// Fewest tokens, as LiteLLM does.
    #[default]
    Absolute,
    /// Smallest share of its own limits.
    Ratio,
}

impl Options {
    /// Reads them. What is not understood is as if it were not there; the compiler has told of it.
    pub fn read(routes: &Routes) -> Self {
        let written = &routes.router;
        let size = written.latency_samples.map(|size| size as usize);
        let default = Keeping::default();
        Self {
            keeping: Keeping {
                size: size.unwrap_or(default.size),
                ttl: written.sample_ttl.unwrap_or(default.ttl),
            },
            latency_stat: match word(routes, "latency_stat") {
                Some("p95") => Stat::P95,
                Some("ewma") => Stat::Ewma,
                Some("peak_ewma" | "peak-ewma") => Stat::Peak,
                _ => Stat::Mean,
            },
            latency_buffer: narrow(written.latency_buffer.unwrap_or(0.0).max(0.0)),
            usage_rank: match word(routes, "usage_rank") {
                Some("ratio") => UsageRank::Ratio,
                _ => UsageRank::Absolute,
            },
            checks: written.pre_call_checks,
            enforce_limits: written.enforce_limits,
            tags: written.tag_filtering,
            match_any: written.tag_match_any,
            affinity: written
                .optional_pre_call_checks
                .iter()
                .any(|check| matches!(&**check, "session_affinity" | "deployment_affinity")),
            cost_threshold: written.cost_threshold.map(Usd::to_f64),
            context_threshold: written.context_threshold,
            max_parallel: routes
                .general
                .max_parallel_requests
                .or(written.default_parallel),
        }
    }
}

/// A setting of `router_settings` or its `routing_strategy_args` that has no field in the table.
pub fn setting<'a>(routes: &'a Routes, name: &str) -> Option<&'a Setting> {
    let of = |section: &str| {
        let carried = routes.carried.iter();
        carried
            .filter(|one| one.path.strip_prefix(section) == Some(name))
            .map(|one| &one.value)
            .next()
    };
    of("router_settings.routing_strategy_args.").or_else(|| of("router_settings."))
}

/// A text setting.
pub fn word<'a>(routes: &'a Routes, name: &str) -> Option<&'a str> {
    match setting(routes, name)? {
        Setting::Text(Value::Plain(text)) => Some(text),
        _ => None,
    }
}

/// A number that a setting is.
#[expect(clippy::cast_precision_loss, reason = "settings are small")]
pub fn number(setting: &Setting) -> Option<f64> {
    match setting {
        Setting::Int(number) => Some(*number as f64),
        Setting::Float(number) => Some(*number),
        Setting::Text(Value::Plain(text)) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A time that a setting is: seconds, or `5m`.
pub fn time(setting: &Setting) -> Option<Duration> {
    if let Some(seconds) = number(setting) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    match setting {
        Setting::Text(Value::Plain(text)) => humantime::parse_duration(text).ok(),
        _ => None,
    }
}

/// A member of a map setting.
pub fn member<'a>(setting: &'a Setting, name: &str) -> Option<&'a Setting> {
    match setting {
        Setting::Map(members) => {
            let found = members.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value)
        }
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut off at the integer's ends"
)]
pub(super) fn whole(number: f64) -> Option<u32> {
    (number >= 0.0).then_some(number as u32)
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn narrow(number: f64) -> f32 {
    number as f32
}
