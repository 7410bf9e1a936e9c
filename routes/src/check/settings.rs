//! `litellm_settings` and `environment_variables`.

use std::borrow::Cow;
use std::time::Duration;

use super::deployments::budget;
use super::read::{Reader, flag, text, texts};
use super::router::redis;
use crate::mask;
use crate::table::{Cache, CacheKind, Credential, Settings, Text, Value};
use crate::yaml::Node;

/// Every callback that is known by name.
const CALLBACKS: &[&str] = &[
    "agentops",
    "anthropic_cache_control_hook",
    "argilla",
    "arize",
    "arize_phoenix",
    "athina",
    "aws_sqs",
    "azure_sentinel",
    "azure_storage",
    "braintrust",
    "clickhouse",
    "code_interpreter_interception",
    "cloudzero",
    "compression_interception",
    "custom_callback_api",
    "datadog",
    "datadog_llm_observability",
    "datadog_metrics",
    "deepeval",
    "detect_prompt_injection",
    "dotprompt",
    "dynamic_rate_limiter",
    "dynamic_rate_limiter_v3",
    "dynamodb",
    "email",
    "focus",
    "galileo",
    "gcs_bucket",
    "gcs_pubsub",
    "generic",
    "generic_api",
    "greenscale",
    "helicone",
    "hide_secrets",
    "humanloop",
    "lago",
    "langfuse",
    "langfuse_otel",
    "langsmith",
    "langtrace",
    "levo",
    "literalai",
    "logfire",
    "lunary",
    "mavvrik",
    "mlflow",
    "newrelic",
    "openmeter",
    "opik",
    "otel",
    "pagerduty",
    "phoenix",
    "posthog",
    "presidio",
    "prometheus",
    "prometheus_system",
    "promptlayer",
    "resend_email",
    "s3",
    "s3_v2",
    "sendgrid_email",
    "sentry",
    "signoz",
    "slack",
    "smtp_email",
    "sqs",
    "supabase",
    "ternary",
    "traceloop",
    "vantage",
    "vector_store_pre_call_hook",
    "wandb",
    "weave",
    "weave_otel",
    "webhook",
    "websearch_interception",
    "zerobus",
];

/// Words for levels of the log.
const LEVELS: &[(&str, &str)] = &[
    ("trace", "trace"),
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("error", "error"),
    ("critical", "error"),
    ("fatal", "error"),
];

/// Reads `litellm_settings`.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Settings {
    let empty = Node::empty(root.mark);
    let map = root.get("litellm_settings").unwrap_or(&empty);
    let default = Settings::DEFAULT;
    let both = callbacks(map, "callbacks", reader);
    let mut success = callbacks(map, "success_callback", reader);
    let mut failure = callbacks(map, "failure_callback", reader);
    let mut service = callbacks(map, "service_callbacks", reader);
    service.extend(callbacks(map, "service_callback", reader));
    for name in both {
        for list in [&mut success, &mut failure] {
            if !list.contains(&name) {
                list.push(name.clone());
            }
        }
    }
    Settings {
        request_timeout: request_timeout(map, reader).unwrap_or(default.request_timeout),
        drop_params: flag(map, "drop_params").unwrap_or(default.drop_params),
        modify_params: flag(map, "modify_params").unwrap_or(default.modify_params),
        budget: budget(map, reader),
        cache: cache(map, reader),
        success_callbacks: texts(success),
        failure_callbacks: texts(failure),
        service_callbacks: texts(service),
        callback_credentials: Cow::Owned(credentials(map, reader)),
        json_logs: flag(map, "json_logs"),
        log_level: level(root, map, reader),
        log_file: log_file(map, reader),
        redact_messages: flag(map, "turn_off_message_logging").unwrap_or(default.redact_messages),
        metrics_need_key: flag(map, "require_auth_for_metrics_endpoint")
            .unwrap_or(default.metrics_need_key),
    }
}

fn request_timeout(map: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let timeout = reader.seconds(map, "request_timeout")?;
    if timeout > Duration::from_mins(10)
        && let Some(node) = map.get("request_timeout")
    {
        reader.findings.note(
            node.mark,
            format!("a request may take {} minutes", timeout.as_secs() / 60),
            Some("the unit is seconds; few clients wait longer than 600".into()),
        );
    }
    Some(timeout)
}

fn callbacks(map: &Node, name: &str, reader: &mut Reader<'_>) -> Vec<String> {
    let Some(node) = map.get(name) else {
        return Vec::new();
    };
    let nodes = if node.is_list() {
        node.items()
    } else {
        std::slice::from_ref(node)
    };
    let mut found = Vec::new();
    for node in nodes.iter().filter(|node| super::read::textual(node)) {
        let Some(word) = reader.plain_of(node, name) else {
            continue;
        };
        if CALLBACKS.contains(&&*word) {
            if !found.contains(&word) {
                found.push(word);
            }
            continue;
        }
        let near = reader.findings.nearest(&word, CALLBACKS.iter().copied(), 1);
        let help = match near.first() {
            Some(near) => format!("did you mean `{near}`?"),
            None if word.contains('.') => {
                "Python objects cannot run here: use `generic_api` with a webhook of your own"
                    .into()
            }
            None => {
                "see docs/config.md for the names; `generic_api` calls a webhook of your own".into()
            }
        };
        reader.findings.error(
            node.mark,
            format!("no callback {} is known", mask::quoted(&word)),
            Some(help),
        );
    }
    found
}

/// A3-13: credentials that LiteLLM reads from the environment only.
fn credentials(map: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Credential)> {
    const NAMES: &[&str] = &[
        "datadog_api_key",
        "helicone_api_key",
        "langfuse_host",
        "langfuse_public_key",
        "langfuse_secret",
        "langfuse_secret_key",
        "langsmith_api_key",
        "sentry_dsn",
        "slack_webhook_url",
    ];
    let mut found: Vec<(Text, Credential)> = Vec::new();
    for name in NAMES {
        let Some(entry) = map.entry(name) else {
            continue;
        };
        let Some(value) = reader.credential(&entry.value, name) else {
            continue;
        };
        reader.findings.warning(
            entry.mark,
            format!("`{name}` is used here, but LiteLLM reads the environment only"),
            Some(format!("set the variable {}", name.to_ascii_uppercase())),
        );
        found.push((Cow::Borrowed(*name), value));
    }
    found
}

fn level(root: &Node, map: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    if let Some(node) = map.get("log_level") {
        let word = reader.plain_of(node, "log_level")?.to_ascii_lowercase();
        let known = LEVELS.iter().find(|(known, _)| *known == word);
        if known.is_none() {
            reader.findings.error(
                node.mark,
                format!("no log level {} is known", mask::quoted(&word)),
                Some("write debug, info, warning or error".into()),
            );
        }
        return known.map(|(_, level)| Cow::Borrowed(*level));
    }
    let router = root.get("router_settings");
    let verbose = flag(map, "set_verbose").unwrap_or(false)
        || router
            .and_then(|router| flag(router, "set_verbose"))
            .unwrap_or(false)
        || router
            .and_then(|router| router.get("debug_level"))
            .is_some_and(|level| level.text.eq_ignore_ascii_case("debug"));
    verbose.then_some(Cow::Borrowed("debug"))
}

fn log_file(map: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let path = reader.plain(map, "log_file_path");
    match (flag(map, "log_to_file"), path) {
        (Some(true), Some(path)) => Some(text(path)),
        (Some(true), None) => {
            if let Some(entry) = map.entry("log_to_file") {
                reader.findings.error(
                    entry.mark,
                    "`log_to_file` without `log_file_path`",
                    Some("say which file".into()),
                );
            }
            None
        }
        (_, Some(_)) => {
            if let Some(entry) = map.entry("log_file_path") {
                reader.findings.warning(
                    entry.mark,
                    "`log_file_path` has no effect without `log_to_file: true`",
                    None,
                );
            }
            None
        }
        _ => None,
    }
}

/// `cache` and `cache_params`.
fn cache(map: &Node, reader: &mut Reader<'_>) -> Option<Cache> {
    let empty = Node::empty(map.mark);
    let params = map.get("cache_params").unwrap_or(&empty);
    let read = cache_params(params, reader);
    let on = flag(map, "cache").unwrap_or(false);
    if let Some(entry) = map
        .entry("cache_params")
        .filter(|_| map.get("cache").is_none())
    {
        reader.findings.warning(
            entry.mark,
            "`cache_params` has no effect without `cache: true`",
            Some("add `cache: true`".into()),
        );
    }
    read.filter(|_| on)
}

fn cache_params(params: &Node, reader: &mut Reader<'_>) -> Option<Cache> {
    let mut kind = cache_kind(params, reader)?;
    let embedding_model = [
        "redis_semantic_cache_embedding_model",
        "valkey_semantic_cache_embedding_model",
        "qdrant_semantic_cache_embedding_model",
    ]
    .iter()
    .find_map(|name| reader.plain(params, name));
    let threshold = reader.number(params, "similarity_threshold");
    if let (Some(entry), Some(number)) = (params.entry("similarity_threshold"), threshold) {
        if number > 1.0 {
            reader.findings.error(
                entry.value.mark,
                "`similarity_threshold` is between 0 and 1",
                None,
            );
        }
        // A3-11: what S0 and S1 call semantic is an exact cache.
        if kind == CacheKind::Redis && embedding_model.is_some() {
            kind = CacheKind::RedisSemantic;
        } else if !matches!(
            kind,
            CacheKind::RedisSemantic | CacheKind::ValkeySemantic | CacheKind::QdrantSemantic
        ) {
            reader.findings.warning(
                entry.mark,
                "this cache matches exactly: `similarity_threshold` has no effect",
                Some("for a semantic cache write `type: redis-semantic` and name a `redis_semantic_cache_embedding_model`".into()),
            );
        }
    }
    let redis = redis(params, ["url", "host", "port", "password"], reader)
        .or_else(|| redis(params, ["redis_url", "host", "port", "password"], reader));
    Some(Cache {
        kind,
        redis,
        ttl: reader.seconds(params, "ttl"),
        namespace: reader.plain(params, "namespace").map(text),
        similarity_threshold: threshold,
        embedding_model: embedding_model.map(text),
        call_types: texts(reader.words(params, "supported_call_types")),
        default_off: reader
            .plain(params, "mode")
            .is_some_and(|mode| mode == "default_off"),
    })
}

/// Every word for a cache.
const KINDS: &[(&str, CacheKind)] = &[
    ("local", CacheKind::Local),
    ("disk", CacheKind::Disk),
    ("redis", CacheKind::Redis),
    ("redis-semantic", CacheKind::RedisSemantic),
    ("valkey-semantic", CacheKind::ValkeySemantic),
    ("qdrant-semantic", CacheKind::QdrantSemantic),
    ("s3", CacheKind::S3),
    ("gcs", CacheKind::Gcs),
    ("azure-blob", CacheKind::AzureBlob),
];

/// LiteLLM takes Redis where the file names no type.
fn cache_kind(params: &Node, reader: &mut Reader<'_>) -> Option<CacheKind> {
    let Some(node) = params.get("type") else {
        return Some(CacheKind::Redis);
    };
    let word = reader.plain_of(node, "type")?;
    let known = KINDS.iter().find(|(known, _)| *known == word);
    if known.is_none() {
        let near = reader
            .findings
            .nearest(&word, KINDS.iter().map(|(known, _)| *known), 1);
        reader.findings.error(
            node.mark,
            format!("no cache {} is known", mask::quoted(&word)),
            Some(match near.first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write local, disk, redis, redis-semantic, qdrant-semantic, s3, gcs or azure-blob".into(),
            }),
        );
    }
    known.map(|(_, kind)| *kind)
}

/// `environment_variables`, sorted by name. A reference is kept as a secret, because what it
/// stands for is not known yet.
pub(super) fn environment(root: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Credential)> {
    let mut found: Vec<(Text, Credential)> = Vec::new();
    for entry in root
        .get("environment_variables")
        .map(Node::entries)
        .unwrap_or_default()
    {
        let node = &entry.value;
        if node.is_null() {
            continue;
        }
        if !node.is_scalar() {
            reader.findings.error(
                node.mark,
                format!("expected text, found {}", node.word()),
                None,
            );
            continue;
        }
        let value = match reader.credential(node, &entry.name) {
            Some(Credential::Plain(Value::Env(name))) => {
                Some(Credential::Secret(crate::table::Secret::Env(name)))
            }
            value => value,
        };
        found.extend(value.map(|value| (text(&*entry.name), value)));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
