//! Settings of the router, of calls and of the gateway.

use std::time::Duration;

use super::{
    Backoff, Budget, Credential, KeyRef, List, Midstream, Queue, Secret, Strategy, Target, Text,
    Value,
};
use crate::usd::Usd;

/// Counts by class of error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the class of the same name")]
pub struct RetryPolicy {
    pub bad_request: Option<u32>,
    pub authentication: Option<u32>,
    pub timeout: Option<u32>,
    pub rate_limit: Option<u32>,
    pub content_policy: Option<u32>,
    pub internal_server: Option<u32>,
}

/// `router_settings` and what belongs to them from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// How a deployment is chosen.
    pub strategy: Strategy,
    /// `routing_strategy_args.ttl`: how long samples live.
    pub sample_ttl: Option<Duration>,
    /// `routing_strategy_args.lowest_latency_buffer`.
    pub latency_buffer: Option<f64>,
    /// `routing_strategy_args.max_latency_list_size`.
    pub latency_samples: Option<u32>,
    /// Tries after the first, in the same group.
    pub num_retries: u32,
    /// Least wait between tries.
    pub retry_after: Duration,
    /// Waits between tries that grow.
    pub backoff: Backoff,
    /// Failures per window that do not cool.
    pub allowed_fails: Option<u32>,
    /// Failures per window that do not cool, by class.
    pub allowed_fails_policy: Option<RetryPolicy>,
    /// How long a deployment rests.
    pub cooldown: Option<Duration>,
    /// `disable_cooldowns`.
    pub disable_cooldowns: bool,
    /// Deadline of one attempt.
    pub timeout: Option<Duration>,
    /// Deadline of a stream's first chunk.
    pub stream_timeout: Option<Duration>,
    /// `ttft_timeout`: after it somebody else is asked for a stream, if there is anybody.
    pub ttft_timeout: Option<Duration>,
    /// `hedge_after`: after it a second deployment is asked beside the first.
    pub hedge_after: Option<Duration>,
    /// `stream_idle_timeout`: longest silence between two chunks of a stream.
    pub idle_timeout: Option<Duration>,
    /// `on_midstream`: what becomes of streams that break.
    pub on_midstream: Midstream,
    /// How many fallbacks one request may use.
    pub max_fallbacks: u32,
    /// `retry_policy`.
    pub retry_policy: Option<RetryPolicy>,
    /// Last resort for any group.
    pub default_fallbacks: List<Target>,
    /// Drop deployments that cannot take the prompt.
    pub pre_call_checks: bool,
    /// `optional_pre_call_checks`.
    pub optional_pre_call_checks: List<Text>,
    /// Hard rpm and tpm of deployments.
    pub enforce_limits: bool,
    /// Requests that wait for room.
    pub queue: Queue,
    /// `default_priority`: that of requests that give none; they do not wait for a limit of the
    /// minute or a cooldown unless it is set.
    pub default_priority: Option<u32>,
    /// Requests at once of a deployment without any limit (`default_max_parallel_requests`).
    pub default_parallel: Option<u32>,
    /// `enable_health_check_routing`: those whose health check failed are asked last.
    pub health_check_routing: bool,
    /// `health_check_ignore_transient_errors`: 408 and 429 do not fail a health check.
    pub health_check_ignore_transient: bool,
    /// `health_check_staleness_threshold`: how long a health check's word holds.
    pub health_check_staleness: Option<Duration>,
    /// `provider_budget_config`: money per provider, by name.
    pub provider_budgets: List<(Text, Budget)>,
    /// `enable_tag_filtering`.
    pub tag_filtering: bool,
    /// `tag_filtering_match_any`.
    pub tag_match_any: bool,
    /// Splits written under `model_group_alias` as lists with weights.
    pub weighted_aliases: List<WeightedAlias>,
    /// Splits written under `router.weights`, over model names.
    pub weights: List<(Text, f64)>,
    /// Estimated cost of a request below which the cheapest is preferred.
    pub cost_threshold: Option<Usd>,
    /// Estimated tokens above which the largest window is preferred.
    pub context_threshold: Option<u64>,
    /// Shared state.
    pub redis: Option<Redis>,
}

/// `gpt-4o: [{model: azure/gpt-4o, weight: 0.7}, …]` under `model_group_alias`.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedAlias {
    /// The group whose traffic is split.
    pub name: Text,
    /// `litellm_params.model` and its share.
    pub shares: List<(Text, f64)>,
}

/// How to reach Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis_url`, which may hold a password.
    pub url: Option<Secret>,
    /// `host`.
    pub host: Option<Value>,
    /// `port`.
    pub port: Option<Value>,
    /// `password`.
    pub password: Option<Secret>,
}

/// `litellm_settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Deadline of a whole request (`request_timeout`), 6000 s if not given.
    pub request_timeout: Duration,
    /// `drop_params`.
    pub drop_params: bool,
    /// `modify_params`.
    pub modify_params: bool,
    /// Money of the whole proxy.
    pub budget: Option<Budget>,
    /// The response cache.
    pub cache: Option<Cache>,
    /// Names of `success_callback`, with those of `callbacks`.
    pub success_callbacks: List<Text>,
    /// Names of `failure_callback`, with those of `callbacks`.
    pub failure_callbacks: List<Text>,
    /// `service_callbacks`.
    pub service_callbacks: List<Text>,
    /// Names that the config gives callback credentials under (`langfuse_public_key`, …).
    pub callback_credentials: List<(Text, Credential)>,
    /// `json_logs`; `None` is by the terminal.
    pub json_logs: Option<bool>,
    /// `log_level`, `set_verbose`.
    pub log_level: Option<Text>,
    /// `log_file_path`, if `log_to_file`.
    pub log_file: Option<Text>,
    /// `turn_off_message_logging`; on unless opted out.
    pub redact_messages: bool,
    /// `require_auth_for_metrics_endpoint`; on unless opted out.
    pub metrics_need_key: bool,
}

/// `cache_params`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Where answers are kept.
    pub kind: CacheKind,
    /// The Redis of a Redis cache.
    pub redis: Option<Redis>,
    /// How long an answer lives.
    pub ttl: Option<Duration>,
    /// `namespace`.
    pub namespace: Option<Text>,
    /// `similarity_threshold`.
    pub similarity_threshold: Option<f64>,
    /// The embedding model of a semantic cache.
    pub embedding_model: Option<Text>,
    /// `supported_call_types`; empty is all.
    pub call_types: List<Text>,
    /// `mode: default_off`.
    pub default_off: bool,
}

/// Where answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is LiteLLM's word")]
pub enum CacheKind {
    Local,
    Disk,
    Redis,
    RedisSemantic,
    ValkeySemantic,
    QdrantSemantic,
    S3,
    Gcs,
    AzureBlob,
}

/// `general_settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct General {
    /// The administrator's key.
    pub master_key: Option<KeyRef>,
    /// Whether the file gives a master key in clear that is on the list of well-known ones.
    pub weak_master_key: bool,
    /// `dangerously_permit_weak_or_unset_master_key`.
    pub permit_weak_master_key: bool,
    /// `database_url`.
    pub database_url: Option<Secret>,
    /// `store_model_in_db`.
    pub store_model_in_db: bool,
    /// `alerting`.
    pub alerting: List<Text>,
    /// `alerting_threshold`: a response slower than this is told of.
    pub alerting_threshold: Option<Duration>,
    /// `background_health_checks`.
    pub background_health_checks: bool,
    /// `health_check_interval`.
    pub health_check_interval: Duration,
    /// Health checks at once (`health_check_concurrency`).
    pub health_check_concurrency: Option<u32>,
    /// Requests at once per deployment without a limit of its own (`max_parallel_requests`).
    pub max_parallel_requests: Option<u32>,
    /// Requests at once in all (`global_max_parallel_requests`).
    pub global_max_parallel_requests: Option<u32>,
    /// Longest request body, in bytes.
    pub max_request_bytes: Option<u64>,
    /// Longest buffered answer, in bytes.
    pub max_response_bytes: Option<u64>,
    /// `litellm_key_header_name`.
    pub key_header: Option<Text>,
    /// `always_include_stream_usage`.
    pub always_include_stream_usage: bool,
    /// `disable_responses_id_security`: whoever has the id of a response may use it.
    pub open_response_ids: bool,
    /// `allow_unmanaged_response_ids`: ids that the gateway did not give out may be used.
    pub unmanaged_response_ids: bool,
    /// `allow_client_side_credentials`.
    pub allow_client_credentials: bool,
    /// `expose_fallback_errors_to_caller`.
    pub expose_fallback_errors: bool,
    /// `dangerously_allow_mock_testing_request_params`.
    pub allow_mock_testing: bool,
    /// `forward_client_headers_to_llm_api`.
    pub forward_client_headers: bool,
    /// `budget_error_status`: 429 unless given.
    pub budget_error_status: u16,
    /// `infer_model_from_keys` and `completion_model`: the group of a request that names none.
    pub completion_model: Option<Text>,
    /// `pass_through_endpoints`.
    pub pass_through: List<PassThrough>,
}

/// A path whose requests are passed on as they are (`pass_through_endpoints`).
#[derive(Clone, Debug, PartialEq)]
pub struct PassThrough {
    /// `path`, with a slash before it and none behind it.
    pub path: Text,
    /// `target`: where they go.
    pub target: Value,
    /// `headers`: added to each request; their values may be secrets.
    pub headers: List<(Text, Credential)>,
    /// `include_subpath`: paths below it are passed on, too.
    pub subpaths: bool,
    /// `forward_headers`: the caller's headers go on, but for those that show who it is.
    pub client_headers: bool,
    /// `auth: false`: no key is asked for.
    pub open: bool,
    /// `methods`; empty is all.
    pub methods: List<Text>,
    /// `cost_per_request`.
    pub cost: Option<Usd>,
}

/// A key declared in the file (`key_settings`).
#[derive(Clone, Debug, PartialEq)]
pub struct StaticKey {
    /// The key.
    pub key: KeyRef,
    /// `key_alias`, if given.
    pub alias: Option<Text>,
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// What it may spend.
    pub budget: Option<Budget>,
    /// Names it may ask for; empty is all.
    pub models: List<Text>,
}

/// A check before, beside or after a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Guardrail {
    /// `guardrail_name`.
    pub name: Text,
    /// Which check: `openai_moderation`, …
    pub kind: Text,
    /// When it runs.
    pub modes: List<GuardMode>,
    /// Whether it runs without being asked for.
    pub default_on: bool,
    /// `api_key`.
    pub api_key: Option<Secret>,
    /// `api_base`.
    pub api_base: Option<Value>,
    /// Its other parameters, sorted by name.
    pub options: List<(Text, Setting)>,
}

/// When a guardrail runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is LiteLLM's word")]
pub enum GuardMode {
    PreCall,
    DuringCall,
    PostCall,
    LoggingOnly,
}

/// A setting that has no field of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// `section.key`, dots between.
    pub path: Text,
    /// Its value.
    pub value: Setting,
}

/// The value of a [`Carried`] setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A string.
    Text(Value),
    /// A string that must not be seen.
    Secret(Secret),
    /// A list.
    List(List<Setting>),
    /// A map, sorted by key.
    Map(List<(Text, Setting)>),
    /// `null`.
    Null,
}
