//! What a value adds to what the key says.

use std::time::Duration;

use super::{Judgement, Standing};
use crate::locate::Used;
use crate::schema::{Key, Section, Verdict};
use crate::table::{CacheKind, Deployment, Member, Routes, Strategy, Window};

/// What there is to say of a key with this value; `None` where the table of keys says it all.
pub(super) fn judge(used: &Used, routes: &Routes) -> Option<Judgement> {
    match (used.key.section, used.key.name) {
        (Section::Params, "weight" | "rpm" | "tpm") => share(used, routes),
        (Section::Params, "budget_duration") => {
            window(deployment(used, routes)?.budget.as_ref()?.window)
        }
        (Section::Settings, name) => setting(name, routes),
        (Section::CacheParams, "similarity_threshold") => similarity(routes),
        (Section::Router, name) => router(name, routes),
        (Section::General, name) => general(name, routes),
        _ => None,
    }
}

/// A key of the dialect that some articles write, which LiteLLM does not know.
pub(super) fn sister(key: &Key) -> Option<Judgement> {
    let instead = match (key.section, key.name) {
        (Section::Metadata, "max_tokens") => "`max_input_tokens` under `model_info`",
        (Section::Metadata, "cost") => {
            "`input_cost_per_token` and `output_cost_per_token` under `model_info`"
        }
        (Section::Metadata, _) => "none",
        (Section::Entry, "metadata") => "`model_info`",
        (Section::SisterRouter, "cost_threshold" | "context_threshold") => {
            "none; the nearest is `cost-based-routing`, and `context_window_fallbacks`"
        }
        (Section::SisterRouter, "weights") => {
            "`weight` under the `litellm_params` of entries with one `model_name`"
        }
        (Section::SisterRouter, _) | (Section::Top, "router") => "`router_settings`",
        (Section::Fallback, _) | (Section::Top, "fallback_config") => "`router_settings.fallbacks`",
        (Section::StaticKey | Section::RateLimit | Section::KeyBudget, _)
        | (Section::Top, "key_settings") => "a virtual key of `/key/generate`, with a database",
        (Section::Database, _) | (Section::Top, "database") => "`general_settings.database_url`",
        _ => return None,
    };
    let what = match key.verdict {
        Verdict::Differs(why) => why,
        _ => "LiteLLM does not know it and says nothing; here it is read as it is meant",
    };
    let judgement = Judgement::new(Standing::WithoutEffectInLitellm, what);
    Some(judgement.fix(format!(
        "nothing for this gateway; LiteLLM's own way is {instead}"
    )))
}

fn setting(name: &str, routes: &Routes) -> Option<Judgement> {
    Some(match name {
        "retry_after" | "cooldown_time" => Judgement::new(
            Standing::WithoutEffectInLitellm,
            "LiteLLM reads it under `router_settings` only; here it counts where that is silent",
        )
        .fix(format!("move it to `router_settings.{name}`")),
        "stream" => Judgement::new(
            Standing::WithoutEffect,
            "it is not a setting: each request chooses for itself",
        )
        .fix("remove it"),
        "max_budget" => Judgement::new(
            Standing::Misread,
            "it is the money of the whole proxy, not of each user",
        )
        .fix("keep it as the proxy's ceiling; for each user write `max_internal_user_budget`"),
        "budget_duration" => window(routes.settings.budget.as_ref()?.window)?,
        "langfuse_public_key" | "langfuse_secret_key" | "langfuse_secret" | "langfuse_host" => {
            Judgement::new(
                Standing::WithoutEffectInLitellm,
                "LiteLLM reads it from the environment only; here it is the callback's credential",
            )
            .fix("put it under `environment_variables`, or into the environment")
        }
        "guardrails" => Judgement::new(
            Standing::WithoutEffectInLitellm,
            "its place is the top level of the file; here it counts in both places",
        )
        .fix("move it to the top level"),
        "log_level" | "log_to_file" | "log_file_path" => Judgement::new(
            Standing::WithoutEffectInLitellm,
            "LiteLLM does not know it; here it steers the log",
        )
        .fix("nothing here; LiteLLM's own way is `LITELLM_LOG`"),
        "request_timeout" if routes.settings.request_timeout > Duration::from_mins(10) => {
            Judgement::new(
                Standing::Misread,
                "it is seconds: a request may hang for this long",
            )
            .fix("600 or less; give slow models a `timeout` of their own")
        }
        _ => return None,
    })
}

/// `monthly` and its kin.
fn window(window: Option<Window>) -> Option<Judgement> {
    matches!(window?, Window::Months(_)).then(|| {
        Judgement::new(
            Standing::Better,
            "a calendar month, however it is written; LiteLLM resets `monthly` every midnight",
        )
        .fix("nothing here; for LiteLLM write `1mo`")
    })
}

fn similarity(routes: &Routes) -> Option<Judgement> {
    let cache = routes.settings.cache.as_ref()?;
    let semantic = matches!(
        cache.kind,
        CacheKind::RedisSemantic | CacheKind::ValkeySemantic | CacheKind::QdrantSemantic
    );
    (!semantic).then(|| {
        Judgement::new(
            Standing::Misread,
            "this type of cache matches exactly and never reads it",
        )
        .fix("for a semantic cache write `type: redis-semantic` and its embedding model")
    })
}

fn router(name: &str, routes: &Routes) -> Option<Judgement> {
    Some(match name {
        "num_retries" => Judgement::new(
            Standing::Misread,
            "it counts for each request to a group, not for each deployment",
        )
        .fix("keep it; see the plan of each group for what it adds up to"),
        "retry_after" => Judgement::new(
            Standing::Misread,
            "it is the least wait, not the wait: a provider's `Retry-After` and the back-off may be \
             longer, and with another healthy deployment there is none",
        )
        .fix("keep it, or remove it: 0 is the default"),
        "allowed_fails" => Judgement::new(
            Standing::Misread,
            "a deployment rests when it fails more often than this within the window, not as often",
        )
        .fix("write one less than the failure that should be the last"),
        "enable_pre_call_checks" | "enable_pre_call_check" => Judgement::new(
            Standing::Misread,
            "it drops deployments whose window is too small for the prompt; it is not what holds \
             their rpm and tpm",
        )
        .fix("for hard limits write `optional_pre_call_checks: [enforce_model_rate_limits]`"),
        "routing_strategy" => return strategy(&routes.router.strategy),
        "model_group_alias" if routes.router.weighted_aliases.is_empty() => {
            Judgement::bare(Standing::Honoured)
        }
        "model_group_alias" => Judgement::new(
            Standing::WithoutEffectInLitellm,
            "a list with weights is not valid there; here it splits the group's traffic",
        )
        .fix("for both, write `weight` under the `litellm_params` of each entry"),
        _ => return None,
    })
}

fn strategy(strategy: &Strategy) -> Option<Judgement> {
    Some(match strategy {
        Strategy::Latency => Judgement::new(
            Standing::Misread,
            "it goes by the mean of the last answers, not by their 95th percentile",
        )
        .fix("keep it; the number of samples is `routing_strategy_args.max_latency_list_size`"),
        Strategy::Usage => Judgement::new(
            Standing::Misread,
            "it picks whoever has used the fewest tokens, not whoever has the most left",
        )
        .fix("give deployments that differ in size a `weight`, or use `simple-shuffle` with `rpm`"),
        _ => return None,
    })
}

fn general(name: &str, routes: &Routes) -> Option<Judgement> {
    Some(match name {
        "alerting_threshold" => match routes.general.alerting_threshold {
            Some(slow) if slow > Duration::from_mins(10) => Judgement::new(
                Standing::Misread,
                "it is seconds of a slow answer, not dollars",
            )
            .fix("300 is usual; for money use `soft_budget` on keys and teams"),
            _ => Judgement {
                standing: Standing::Honoured,
                what: None,
                fix: None,
            },
        },
        "master_key" if routes.general.weak_master_key => Judgement::new(
            Standing::Honoured,
            "this key stands in articles, so that everybody knows it; a public address refuses it",
        )
        .fix("make one of your own: `openssl rand -hex 32` behind `sk-`"),
        _ => return None,
    })
}

/// `weight`, `rpm` and `tpm` as shares of a shuffle: it looks at the first deployment only, and one
/// that lacks what the first has gets nothing.
fn share(used: &Used, routes: &Routes) -> Option<Judgement> {
    if routes.router.strategy != Strategy::SimpleShuffle {
        return None;
    }
    let group = routes
        .groups
        .get(usize::from(deployment(used, routes)?.group.0))?;
    let has = |member: &&Member| {
        let one = routes.deployments.get(usize::from(member.deployment.0));
        one.is_some_and(|one| match used.key.name {
            "weight" => member.weight.is_some(),
            "rpm" => one.limits.rpm.is_some(),
            _ => one.limits.tpm.is_some(),
        })
    };
    let weighted = group.members.iter().any(|member| member.weight.is_some());
    let with = group.members.iter().filter(has).count();
    let decides = used.key.name == "weight" || !weighted;
    (decides && with > 0 && with < group.members.len()).then(|| {
        Judgement::new(
            Standing::Misread,
            &format!(
                "only {with} of the {} deployments of this group have one: as shares they leave the \
                 others without traffic",
                group.members.len()
            ),
        )
        .fix(format!("give every deployment of the group a `{}`, or none", used.key.name))
    })
}

/// The deployment of the entry in which a key stands.
fn deployment<'r>(used: &Used, routes: &'r Routes) -> Option<&'r Deployment> {
    let before = routes
        .deployments
        .iter()
        .filter(|one| one.line <= used.line);
    before.max_by_key(|one| one.line)
}
