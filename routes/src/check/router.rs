//! `router_settings`, and `router` of the sister dialect.

use serde::Deserialize;

use super::deployments::{midstream, within};
use super::growing::Plan;
use super::names::unknown;
use super::read::{Reader, flag, text, texts};
use crate::catalog;
use crate::mask;
use crate::table::{
    Backoff, Budget, Jitter, Queue, Redis, RetryPolicy, Router, Strategy, Target, Text,
};
use crate::yaml::{Content, Entry, Node};

/// Every word for a strategy.
const STRATEGIES: &[(&str, Strategy)] = &[
    ("simple-shuffle", Strategy::SimpleShuffle),
    ("least-busy", Strategy::LeastBusy),
    ("latency-based-routing", Strategy::Latency),
    ("usage-based-routing-v2", Strategy::Usage),
    ("usage-based-routing", Strategy::Usage),
    ("cost-based-routing", Strategy::Cost),
    ("latency", Strategy::Latency),
    ("latency-based", Strategy::Latency),
    ("cost", Strategy::Cost),
    ("cost-based", Strategy::Cost),
    ("cost_optimized", Strategy::Cost),
    ("usage-based", Strategy::Usage),
    ("capability-based", Strategy::Capability),
    ("capability", Strategy::Capability),
    ("weighted_round_robin", Strategy::WeightedRoundRobin),
    ("weighted-round-robin", Strategy::WeightedRoundRobin),
    ("peak-ewma", Strategy::PeakEwma),
    ("peak_ewma", Strategy::PeakEwma),
    (
        "score",
        Strategy::Score {
            latency: 1.0,
            cost: 1.0,
            errors: 1.0,
        },
    ),
];

/// Reads everything but what needs the groups.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Router {
    let empty = Node::empty(root.mark);
    let main = root.get("router_settings").unwrap_or(&empty);
    let sister = root.get("router").unwrap_or(&empty);
    let settings = root.get("litellm_settings").unwrap_or(&empty);
    let general = root.get("general_settings").unwrap_or(&empty);
    let arguments = main.get("routing_strategy_args").unwrap_or(&empty);
    let default = Router::DEFAULT;

    let retry_after = first_of(&[main, sister, settings], |map| {
        reader.seconds(map, "retry_after")
    });
    misplaced(settings, main, &["retry_after", "cooldown_time"], reader);
    Router {
        strategy: strategy(main, sister, reader),
        sample_ttl: reader.seconds(arguments, "ttl"),
        latency_buffer: reader.number(arguments, "lowest_latency_buffer"),
        latency_samples: reader.small(arguments, "max_latency_list_size"),
        num_retries: retries(&[main, sister, settings], reader).unwrap_or(default.num_retries),
        retry_after: retry_after.unwrap_or(default.retry_after),
        backoff: backoff(main, reader),
        allowed_fails: first_of(&[main, sister, settings], |map| {
            reader.small(map, "allowed_fails")
        }),
        allowed_fails_policy: policy(main, "allowed_fails_policy", reader),
        cooldown: first_of(&[main, sister, settings], |map| {
            reader.seconds(map, "cooldown_time")
        }),
        disable_cooldowns: flag(main, "disable_cooldowns").unwrap_or(false),
        timeout: reader
            .seconds(main, "timeout")
            .or_else(|| reader.seconds(main, "request_timeout"))
            .or_else(|| reader.seconds(sister, "timeout")),
        stream_timeout: reader.seconds(main, "stream_timeout"),
        ttft_timeout: reader.seconds(main, "ttft_timeout"),
        hedge_after: reader.seconds(main, "hedge_after"),
        idle_timeout: reader.seconds(main, "stream_idle_timeout"),
        on_midstream: midstream(main, reader).unwrap_or_default(),
        max_fallbacks: first_of(&[main, settings], |map| reader.small(map, "max_fallbacks"))
            .unwrap_or(default.max_fallbacks),
        retry_policy: policy(main, "retry_policy", reader),
        pre_call_checks: flag(main, "enable_pre_call_checks")
            .or_else(|| flag(main, "enable_pre_call_check"))
            .unwrap_or(default.pre_call_checks),
        optional_pre_call_checks: texts(reader.words(main, "optional_pre_call_checks")),
        enforce_limits: flag(main, "enforce_limits").unwrap_or(false)
            || reader
                .words(main, "optional_pre_call_checks")
                .iter()
                .any(|check| check == "enforce_model_rate_limits"),
        queue: queue(main, reader),
        default_priority: reader.small(main, "default_priority"),
        default_parallel: reader.small(main, "default_max_parallel_requests"),
        health_check_routing: either(main, general, "enable_health_check_routing"),
        health_check_ignore_transient: either(
            main,
            general,
            "health_check_ignore_transient_errors",
        ),
        health_check_staleness: first_of(&[main, general], |map| {
            reader.seconds(map, "health_check_staleness_threshold")
        }),
        provider_budgets: budgets(main, reader).into(),
        tag_filtering: flag(main, "enable_tag_filtering").unwrap_or(false),
        tag_match_any: flag(main, "tag_filtering_match_any").unwrap_or(default.tag_match_any),
        cost_threshold: reader
            .dollars(main, "cost_threshold")
            .or_else(|| reader.dollars(sister, "cost_threshold")),
        context_threshold: reader
            .count(main, "context_threshold")
            .or_else(|| reader.count(sister, "context_threshold")),
        redis: redis(
            main,
            ["redis_url", "redis_host", "redis_port", "redis_password"],
            reader,
        ),
        ..default
    }
}

/// A switch that may stand in two places.
fn either(main: &Node, other: &Node, name: &str) -> bool {
    flag(main, name)
        .or_else(|| flag(other, name))
        .unwrap_or(false)
}

fn backoff(main: &Node, reader: &mut Reader<'_>) -> Backoff {
    let mut backoff = Backoff::DEFAULT;
    let Some(map) = main.get("backoff").filter(|node| node.is_map()) else {
        return backoff;
    };
    if let Some(base) = reader.seconds(map, "base") {
        backoff.base = base;
    }
    if let Some(max) = reader.seconds(map, "max") {
        backoff.max = max;
    }
    if let Some(factor) = reader.number(map, "factor") {
        backoff.factor = factor;
    }
    if let Some(node) = map.get("jitter")
        && let Some(word) = reader.plain_of(node, "jitter")
    {
        match &*word {
            "none" => backoff.jitter = Jitter::None,
            "half" => backoff.jitter = Jitter::Half,
            "full" => backoff.jitter = Jitter::Full,
            _ => reader.findings.error(
                node.mark,
                format!("no jitter {} is known", mask::quoted(&word)),
                Some("write none, half or full".into()),
            ),
        }
    }
    if backoff.max < backoff.base
        && let Some(entry) = map.entry("max").or_else(|| map.entry("base"))
    {
        reader.findings.error(
            entry.mark,
            "the longest pause of `backoff` is shorter than the first",
            Some("`max` is 8 s unless given, `base` 0.5 s".into()),
        );
    }
    backoff
}

fn queue(main: &Node, reader: &mut Reader<'_>) -> Queue {
    let mut queue = Queue::DEFAULT;
    if let Some(map) = main.get("queue").filter(|node| node.is_map()) {
        queue.size = reader.small(map, "size").unwrap_or(queue.size);
        queue.timeout = reader.seconds(map, "timeout").unwrap_or(queue.timeout);
    }
    queue
}

/// `provider_budget_config`, sorted by provider.
fn budgets(main: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Budget)> {
    let mut found: Vec<(Text, Budget)> = Vec::new();
    let entries = main.get("provider_budget_config").map(Node::entries);
    for entry in entries.unwrap_or_default() {
        if reader.provider(&entry.name).is_none() {
            let known = catalog::providers().map(|provider| &*provider.name);
            let near = reader.findings.nearest(&entry.name, known, 1);
            reader.findings.error(
                entry.mark,
                format!("no provider {} is known", mask::quoted(&entry.name)),
                near.first().map(|near| format!("did you mean `{near}`?")),
            );
            continue;
        }
        // LiteLLM's own names, and those of every other budget.
        let names = [
            ("budget_limit", "time_period"),
            ("max_budget", "budget_duration"),
        ];
        let budget = names
            .into_iter()
            .find_map(|names| within(&entry.value, names, reader));
        match budget {
            Some(budget) => found.push((text(&*entry.name), budget)),
            None => reader.findings.error(
                entry.value.mark,
                "a provider's budget without an amount",
                Some("write `{budget_limit: 100, time_period: 1d}`".into()),
            ),
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// What the first of these maps says.
fn first_of<T>(maps: &[&Node], mut read: impl FnMut(&Node) -> Option<T>) -> Option<T> {
    maps.iter().find_map(|map| read(map))
}

fn retries(maps: &[&Node], reader: &mut Reader<'_>) -> Option<u32> {
    let names = ["num_retries", "max_retries", "num_retries_per_request"];
    maps.iter()
        .find_map(|map| names.iter().find_map(|name| reader.small(map, name)))
}

/// A3-02: what LiteLLM reads under `router_settings` only.
fn misplaced(settings: &Node, main: &Node, names: &[&str], reader: &mut Reader<'_>) {
    for name in names {
        let Some(entry) = settings.entry(name) else {
            continue;
        };
        let (what, help) = if main.get(name).is_some() {
            (
                "is not used: `router_settings` says it, too",
                "remove it here",
            )
        } else {
            (
                "is used here, but LiteLLM ignores it in this place",
                "move it to `router_settings`",
            )
        };
        reader
            .findings
            .warning(entry.mark, format!("`{name}` {what}"), Some(help.into()));
    }
}

/// `router_settings.routing_strategy`, else that of `router`, else its `type`.
fn strategy(main: &Node, sister: &Node, reader: &mut Reader<'_>) -> Strategy {
    let written: Vec<&Entry> = [
        (main, "routing_strategy"),
        (sister, "routing_strategy"),
        (sister, "type"),
    ]
    .iter()
    .filter_map(|(map, name)| map.entry(name))
    .collect();
    let mut chosen: Option<Strategy> = None;
    for entry in written {
        let Some(word) = reader.plain_of(&entry.value, &entry.name) else {
            continue;
        };
        let Some((_, strategy)) = STRATEGIES.iter().find(|(known, _)| *known == word) else {
            let near =
                reader
                    .findings
                    .nearest(&word, STRATEGIES.iter().map(|(known, _)| *known), 1);
            reader.findings.error(
                entry.value.mark,
                format!("no routing strategy {} is known", mask::quoted(&word)),
                Some(match near.first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write simple-shuffle, least-busy, latency-based-routing, usage-based-routing-v2 or cost-based-routing".into(),
                }),
            );
            continue;
        };
        match &chosen {
            None => chosen = Some(strategy.clone()),
            Some(first) if first != strategy => reader.findings.warning(
                entry.mark,
                format!("{} is not used: another strategy is named in a stronger place", mask::quoted(&word)),
                Some("keep one: `router_settings.routing_strategy` is stronger than `router.routing_strategy`, and that than `router.type`".into()),
            ),
            Some(_) => {}
        }
    }
    let mut chosen = chosen.unwrap_or(Strategy::SimpleShuffle);
    if let Strategy::Score {
        latency,
        cost,
        errors,
    } = &mut chosen
        && let Some(weights) = main.get("score")
    {
        for (name, weight) in [("latency", latency), ("cost", cost), ("errors", errors)] {
            if let Some(number) = reader.number(weights, name) {
                *weight = number;
            }
        }
    }
    chosen
}

/// The keys of a Redis, in the order url, host, port, password.
pub(super) fn redis(map: &Node, names: [&str; 4], reader: &mut Reader<'_>) -> Option<Redis> {
    let [url, host, port, password] = names;
    let redis = Redis {
        url: reader.secret(map, url),
        host: reader.value(map, host),
        port: reader.value(map, port),
        password: reader.secret(map, password),
    };
    let any = redis.url.is_some()
        || redis.host.is_some()
        || redis.port.is_some()
        || redis.password.is_some();
    any.then_some(redis)
}

/// LiteLLM's names of classes, for retries and for failures alike.
#[derive(Deserialize)]
struct Counts {
    #[serde(
        alias = "BadRequestErrorRetries",
        alias = "BadRequestErrorAllowedFails"
    )]
    bad_request: Option<u32>,
    #[serde(
        alias = "AuthenticationErrorRetries",
        alias = "AuthenticationErrorAllowedFails"
    )]
    authentication: Option<u32>,
    #[serde(alias = "TimeoutErrorRetries", alias = "TimeoutErrorAllowedFails")]
    timeout: Option<u32>,
    #[serde(alias = "RateLimitErrorRetries", alias = "RateLimitErrorAllowedFails")]
    rate_limit: Option<u32>,
    #[serde(
        alias = "ContentPolicyViolationErrorRetries",
        alias = "ContentPolicyViolationErrorAllowedFails"
    )]
    content_policy: Option<u32>,
    #[serde(
        alias = "InternalServerErrorRetries",
        alias = "InternalServerErrorAllowedFails"
    )]
    internal_server: Option<u32>,
}

/// Classes of errors, as LiteLLM begins their names.
const CLASSES: &[&str] = &[
    "BadRequestError",
    "AuthenticationError",
    "TimeoutError",
    "RateLimitError",
    "ContentPolicyViolationError",
    "InternalServerError",
];

fn policy(map: &Node, name: &str, reader: &mut Reader<'_>) -> Option<RetryPolicy> {
    let node = map.get(name).filter(|node| node.is_map())?;
    policy_of(
        node,
        if name.contains("fails") {
            "AllowedFails"
        } else {
            "Retries"
        },
        reader,
    )
}

fn policy_of(node: &Node, ending: &str, reader: &mut Reader<'_>) -> Option<RetryPolicy> {
    let known: Vec<String> = CLASSES
        .iter()
        .map(|class| format!("{class}{ending}"))
        .collect();
    let before = reader.findings.errors();
    for entry in node.entries() {
        if !known.iter().any(|known| **known == *entry.name) {
            let near = reader
                .findings
                .nearest(&entry.name, known.iter().map(String::as_str), 1);
            reader.findings.error(
                entry.mark,
                format!("{} is no class of errors", mask::quoted(&entry.name)),
                Some(match near.first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write {}", known.join(", ")),
                }),
            );
        } else if !matches!(entry.value.content, Content::Null)
            && reader.small(node, &entry.name).is_none()
            && super::read::float_of(&entry.value).is_none()
        {
            reader.findings.error(
                entry.value.mark,
                format!(
                    "expected a whole number, not negative, found {}",
                    entry.value.word()
                ),
                None,
            );
        }
    }
    if reader.findings.errors() > before {
        return None;
    }
    match node.read::<Counts>() {
        Ok(Counts {
            bad_request,
            authentication,
            timeout,
            rate_limit,
            content_policy,
            internal_server,
        }) => Some(RetryPolicy {
            bad_request,
            authentication,
            timeout,
            rate_limit,
            content_policy,
            internal_server,
        }),
        Err(error) => {
            reader.findings.error(node.mark, error, None);
            None
        }
    }
}

/// `model_group_retry_policy`, once the groups are known.
pub(super) fn group_policies(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) {
    let Some(map) = root
        .get("router_settings")
        .and_then(|router| router.get("model_group_retry_policy"))
    else {
        return;
    };
    for entry in map.entries() {
        if !entry.value.is_map() {
            reader.findings.error(
                entry.value.mark,
                format!("expected a map, found {}", entry.value.word()),
                None,
            );
            continue;
        }
        let policy = policy_of(&entry.value, "Retries", reader);
        match plan.find(&entry.name) {
            Some(Target::Group(group)) => plan.group_mut(group).retry_policy = policy,
            _ => unknown(plan, &entry.name, entry.mark, reader),
        }
    }
}

/// `model_group_ttft_timeout`, once the groups are known.
pub(super) fn group_deadlines(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) {
    let router = root.get("router_settings");
    let Some(map) = router.and_then(|router| router.get("model_group_ttft_timeout")) else {
        return;
    };
    for entry in map.entries() {
        let deadline = reader.seconds(map, &entry.name);
        if deadline.is_none() && !entry.value.is_null() {
            let what = format!("expected a number of seconds, found {}", entry.value.word());
            reader.findings.error(entry.value.mark, what, None);
        }
        match plan.find(&entry.name) {
            Some(Target::Group(group)) => plan.group_mut(group).ttft_timeout = deadline,
            _ => unknown(plan, &entry.name, entry.mark, reader),
        }
    }
}

/// Router settings that a fragment cannot place.
pub(super) const NEEDS_GROUPS: &[&str] = &[
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "default_fallbacks",
    "model_group_alias",
    "model_group_retry_policy",
    "model_group_ttft_timeout",
];
