//! The routing table: what the compiler makes and what the gateway reads.
//!
//! [`Routes`] is both the compiler's intermediate form and the table in force. Every type here can
//! be written as a constant, so that the same value comes out of a build script as Rust source and
//! out of [`load`](crate::load()) at run time. No secret is ever part of it: a secret is a [`Secret`],
//! which names where the value stands.

#![expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the file, by its name"
)]

mod midstream;
mod rules;
mod waits;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub use self::midstream::Midstream;
pub use self::rules::Rule;
pub use self::waits::{Backoff, Jitter, Queue};
use crate::usd::Usd;

/// Text that is a constant in compiled tables and owned in loaded ones.
pub type Text = Cow<'static, str>;
/// A list that is a constant in compiled tables and owned in loaded ones.
pub type List<T> = Cow<'static, [T]>;

/// Position of a [`Group`] in [`Routes::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

/// Position of a [`Deployment`] in [`Routes::deployments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId(pub u16);

/// Position of a clear-text secret in the [`Literals`](crate::Literals) that `load` gives beside
/// the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LiteralId(pub u16);

/// A string of the file, which may stand in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As written.
    Plain(Text),
    /// `os.environ/NAME` or `${NAME}`.
    Env(Text),
    /// Text with `${NAME}` inside it.
    Template(List<Piece>),
}

/// A part of a [`Value::Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As written.
    Plain(Text),
    /// `${NAME}`.
    Env(Text),
}

/// Where a secret stands. The secret itself is never part of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(Text),
    /// In these environment variables, with text around them: `Token ${NAME}`.
    Template(List<Piece>),
    /// In the file, in clear; only a table loaded at run time has it, beside it.
    Literal(LiteralId),
}

/// A string that may or may not be secret, such as the value of a header or of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Not secret: a region, a project, a host.
    Plain(Value),
    /// Secret, by its name or its looks.
    Secret(Secret),
}

/// A key that callers present. Kept as a digest, because nothing needs the key itself.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// In this environment variable.
    Env(Text),
    /// SHA-256 of the key that the file gives in clear, or the digest that it gives.
    Digest([u8; 32]),
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::Digest(_) => f.write_str("Digest(***)"),
        }
    }
}

/// The whole plan of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Routes {
    /// Every exact name that a caller may ask for, sorted by name.
    pub names: List<Name>,
    /// Names with `*`, the most specific first.
    pub patterns: List<Pattern>,
    /// The model groups, in the order of their first entry in the file.
    pub groups: List<Group>,
    /// The deployments, in the order of the file.
    pub deployments: List<Deployment>,
    /// `router_settings`.
    pub router: Router,
    /// `litellm_settings`, as far as the table decides by it.
    pub settings: Settings,
    /// `general_settings`.
    pub general: General,
    /// Keys that the file itself declares.
    pub keys: List<StaticKey>,
    /// `guardrails`, from either place.
    pub guardrails: List<Guardrail>,
    /// `rules`, in the order of the file.
    pub rules: List<Rule>,
    /// `environment_variables`: names that the gateway knows beside the process's own.
    pub environment: List<(Text, Credential)>,
    /// Settings with no field of their own, by path (`litellm_settings.json_logs`), sorted.
    pub carried: List<Carried>,
}

impl Routes {
    /// A setting that has no field of its own, by its path.
    #[must_use]
    pub fn setting(&self, path: &str) -> Option<&Setting> {
        let found = self.carried.binary_search_by(|one| (*one.path).cmp(path));
        found.ok().map(|place| &self.carried[place].value)
    }
}

/// An exact name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// What the caller writes in `model`.
    pub name: Text,
    /// What answers.
    pub target: Target,
    /// Whether `/v1/models` leaves it out.
    pub hidden: bool,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A model group.
    Group(GroupId),
    /// One deployment, called by its `model_info.id`.
    Deployment(DeploymentId),
}

/// A name with one or more `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As written, such as `openai/*`.
    pub pattern: Text,
    /// The group that answers; `*` in its deployments' model is filled with what matched.
    pub group: GroupId,
}

/// The deployments that share a `model_name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The public name.
    pub name: Text,
    /// Who may answer, in the order of the file.
    pub members: List<Member>,
    /// Where to go when every permitted member failed; flattened, without repeats.
    pub fallbacks: List<Target>,
    /// The same for a prompt larger than the window.
    pub context_window_fallbacks: List<Target>,
    /// The same for an answer refused by content policy.
    pub content_policy_fallbacks: List<Target>,
    /// The group's own number of retries, before the router's.
    pub num_retries: Option<u32>,
    /// The group's own minimum wait between retries.
    pub retry_after: Option<Duration>,
    /// The group's own counts by class of error.
    pub retry_policy: Option<RetryPolicy>,
    /// How this group chooses, if not as the router does.
    pub strategy: Option<Strategy>,
    /// The group's own deadline of a stream's first event, before the router's.
    pub ttft_timeout: Option<Duration>,
}

/// A deployment as a member of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Share of the traffic, relative to the other members; none written is `None`.
    pub weight: Option<f64>,
    /// Priority level: all of a lower number are tried first.
    pub order: u32,
    /// `model_info.id` of the entry that brought it in, when that entry names another group.
    pub via: Option<Text>,
}

/// One provider, model, key, base URL and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// `model_info.id`, or a digest of the parameters.
    pub id: Text,
    /// The group of its entry.
    pub group: GroupId,
    /// As the file writes it, prefix and all: `azure/gpt-4o`.
    pub litellm_model: Text,
    /// As the provider knows it: `gpt-4o`. May hold a `*`.
    pub model: Text,
    /// Who answers.
    pub provider: Cow<'static, Provider>,
    /// `api_base`, if the file gives one.
    pub api_base: Option<Value>,
    /// `api_key`, if the file gives one; else the provider's own variables are tried.
    pub api_key: Option<Secret>,
    /// `api_version`, for Azure.
    pub api_version: Option<Value>,
    /// `organization`, for OpenAI.
    pub organization: Option<Value>,
    /// Headers added to each request (`extra_headers`); their values may be secrets.
    pub headers: List<(Text, Credential)>,
    /// Request fields given in the file, as JSON text, used where the request has none.
    pub defaults: List<(Text, Text)>,
    /// Provider credentials and options that only some protocols read (`aws_region_name`,
    /// `vertex_project`, …), sorted by name.
    pub options: List<(Text, Credential)>,
    /// What it may take.
    pub limits: Limits,
    /// Weight as written; a group's [`Member`] holds the one in force.
    pub weight: Option<f64>,
    /// `order` as written.
    pub order: u32,
    /// `tags`.
    pub tags: List<Text>,
    /// `tag_regex`.
    pub tag_regex: List<Text>,
    /// `region_name`.
    pub region: Option<Text>,
    /// Deadline of one attempt (`timeout`).
    pub timeout: Option<Duration>,
    /// Deadline of the first chunk of a stream (`stream_timeout`).
    pub stream_timeout: Option<Duration>,
    /// `ttft_timeout`: after it somebody else is asked for the stream, if there is anybody.
    pub ttft_timeout: Option<Duration>,
    /// `stream_idle_timeout`: longest silence between two chunks of a stream.
    pub idle_timeout: Option<Duration>,
    /// `on_midstream`: what becomes of its streams that break.
    pub on_midstream: Option<Midstream>,
    /// `num_retries` of the entry.
    pub num_retries: Option<u32>,
    /// `cooldown_time` of the entry; zero turns cooldown off.
    pub cooldown: Option<Duration>,
    /// Money it may spend, and per how long.
    pub budget: Option<Budget>,
    /// What its units cost.
    pub price: Price,
    /// Where [`price`](Self::price) comes from.
    pub priced: Priced,
    /// What is known of the model.
    pub facts: Facts,
    /// The name under which prices and windows were found, if any.
    pub catalog_name: Option<Text>,
    /// `mock_response`: the gateway itself answers.
    pub mock: Option<Mock>,
    /// `drop_params` of the entry.
    pub drop_params: Option<bool>,
    /// `additional_drop_params`.
    pub additional_drop_params: List<Text>,
    /// `allowed_openai_params`.
    pub allowed_openai_params: List<Text>,
    /// `silent_model`: the group that gets a copy of the traffic.
    pub mirror: Option<GroupId>,
    /// `quota_group`: deployments with the same name share one quota.
    pub quota_group: Option<Text>,
    /// Prior of the latency strategy before there are samples.
    pub latency_prior: Option<Duration>,
    /// Free capability words of the file, beside [`Facts::capabilities`].
    pub capabilities: List<Text>,
    /// `access_groups`.
    pub access_groups: List<Text>,
    /// `team_id`: only this team sees it.
    pub team: Option<Text>,
    /// `health_check_model`.
    pub health_check_model: Option<Text>,
    /// `health_check_timeout`.
    pub health_check_timeout: Option<Duration>,
    /// `health_check_max_tokens`.
    pub health_check_max_tokens: Option<u32>,
    /// `disable_background_health_check`.
    pub health_check_off: bool,
    /// Line of the entry in the file, from 1.
    pub line: u32,
}

/// Limits of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub max_parallel_requests: Option<u32>,
}

/// Money and the window in which it may be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// At most this much.
    pub max: Usd,
    /// Per this window; `None` is for ever.
    pub window: Option<Window>,
}

/// A budget's window, as LiteLLM writes it (`30s`, `30m`, `24h`, `30d`, `1w`, `1mo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A fixed number of seconds, aligned by the rules of the reset (midnight, full hour).
    Seconds(u64),
    /// Calendar months.
    Months(u32),
}

/// Who answers, and how to speak to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The prefix: `openai`, `groq`, `hosted_vllm`, …
    pub name: Text,
    /// The wire protocol it speaks.
    pub protocol: Protocol,
    /// Where it stands, if the file does not say. None means that the file must, or, for Vertex AI
    /// and Bedrock, that the protocol makes it from the region.
    pub base_url: Option<Text>,
    /// Path between base URL and endpoint, such as `/v1`, left out where the base ends in it
    /// already. Empty for most, whose base URL holds it.
    pub path: Text,
    /// How the key is shown.
    pub auth: Auth,
    /// Environment variables that may hold the key, the first set one wins.
    pub key_env: List<Text>,
    /// Environment variables that may hold the base URL.
    pub base_env: List<Text>,
    /// Request fields that it calls otherwise: (ours, theirs).
    pub renames: List<(Text, Text)>,
    /// Whether it may work without a key: a server of one's own, or a cloud that knows the machine.
    pub keyless: bool,
    /// Whether it takes `stream_options`; those that do not refuse it and send usage anyway.
    pub stream_options: bool,
    /// Whether it has `/responses` beside chat, in OpenAI's own shape.
    pub responses: bool,
}

/// How a key is shown to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer,
    /// The bare key in this header.
    Header(Text),
    /// The protocol signs each request, or fetches a token of its own.
    Protocol,
}

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI's own and everyone who speaks it.
    OpenAi,
    /// OpenAI's behind Azure's paths, `api-version` and `api-key`.
    Azure,
    /// Anthropic messages.
    Anthropic,
    /// Gemini with an API key.
    Gemini,
    /// Google Vertex AI.
    VertexAi,
    /// AWS Bedrock.
    Bedrock,
    /// Cohere v2.
    Cohere,
    /// Ollama's own API.
    Ollama,
    /// Voyage embeddings and rerank.
    Voyage,
    /// Jina embeddings and rerank.
    Jina,
    /// One that the program registers which the gateway is part of, under the provider's name.
    Custom,
    /// One that the gateway knows by name but does not speak.
    Other,
}

/// What units cost. `None` is unknown or not sold; the sum of a request uses what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// One prompt token.
    pub input: Option<Usd>,
    /// One completion token.
    pub output: Option<Usd>,
    /// One prompt token read from the provider's cache.
    pub cache_read: Option<Usd>,
    /// One prompt token written to the provider's cache.
    pub cache_write: Option<Usd>,
    /// Prices of requests with long prompts.
    pub long: Option<LongPrice>,
    /// One reasoning token, where it differs from [`output`](Self::output).
    pub reasoning: Option<Usd>,
    /// One token of audio heard.
    pub audio_input: Option<Usd>,
    /// One token of audio spoken.
    pub audio_output: Option<Usd>,
    /// One image.
    pub image: Option<Usd>,
    /// One second of audio or of machine time.
    pub second: Option<Usd>,
    /// One character.
    pub character: Option<Usd>,
    /// One query or request.
    pub query: Option<Usd>,
}

/// Prices above a prompt length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPrice {
    /// They hold for prompts of more tokens than this.
    pub above: u64,
    /// One prompt token.
    pub input: Option<Usd>,
    /// One completion token.
    pub output: Option<Usd>,
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priced {
    /// Nowhere: unknown, counted as nothing.
    Unknown,
    /// The catalog of model facts.
    Catalog,
    /// The file.
    Config,
    /// The rough figure of the file's `metadata.cost`.
    Metadata,
    /// A mock costs what its price says, or nothing.
    Mock,
}

/// What is known of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What kind of work it does.
    pub mode: Option<Mode>,
    /// Longest prompt, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Length of its vectors.
    pub embedding_dimensions: Option<u32>,
    /// What it can do; meaningful only if [`known`](Self::known).
    pub capabilities: Capabilities,
    /// Whether the catalog or the file says anything of it.
    pub known: bool,
}

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field's word")]
pub enum Mode {
    Chat,
    Completion,
    Embedding,
    ImageGeneration,
    ImageEdit,
    AudioSpeech,
    AudioTranscription,
    Moderation,
    Rerank,
    Responses,
    Realtime,
    Search,
    Ocr,
    VideoGeneration,
    VectorStore,
    Batch,
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u32);

macro_rules! capabilities {
    ($($constant:ident = $bit:literal, $word:literal;)*) => {
        impl Capabilities {
            $(
                #[doc = concat!("The catalog's word `", $word, "`.")]
                pub const $constant: Self = Self(1 << $bit);
            )*
            /// Every capability with the catalog's word for it.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$constant)),*];
        }
    };
}

capabilities! {
    TOOLS = 0, "tools";
    TOOL_CHOICE = 1, "tool_choice";
    PARALLEL_TOOLS = 2, "parallel_tools";
    VISION = 3, "vision";
    PDF = 4, "pdf";
    REASONING = 5, "reasoning";
    SCHEMA = 6, "schema";
    PROMPT_CACHE = 7, "prompt_cache";
    SYSTEM = 8, "system";
    WEB_SEARCH = 9, "web_search";
    COMPUTER_USE = 10, "computer_use";
    AUDIO_IN = 11, "audio_in";
    AUDIO_OUT = 12, "audio_out";
    VIDEO_IN = 13, "video_in";
    PREFILL = 14, "prefill";
}

impl Capabilities {
    /// The set with nothing in it.
    pub const NONE: Self = Self(0);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that the other lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words of the set, in the catalog's spelling.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS
            .iter()
            .filter(move |(_, one)| self.has(*one))
            .map(|(word, _)| *word)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}

/// How a router or a group chooses.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// Weighted by `weight`, else by `rpm`, else by `tpm`, else uniform.
    SimpleShuffle,
    /// Fewest requests in flight.
    LeastBusy,
    /// Lowest latency.
    Latency,
    /// Lowest price.
    Cost,
    /// Most head-room (v1 and v2 alike).
    Usage,
    /// Exact proportions.
    WeightedRoundRobin,
    /// By what the request needs.
    Capability,
    /// Power of two choices on latency times in-flight.
    PeakEwma,
    /// By stated weights of latency, cost and errors.
    Score {
        /// Weight of latency.
        latency: f64,
        /// Weight of cost.
        cost: f64,
        /// Weight of errors.
        errors: f64,
    },
}

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

/// LiteLLM's own test answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mock {
    /// Answers with this text.
    Text(Text),
    /// Fails as the class of this name does (`litellm.RateLimitError`, …).
    Error(Text),
}

impl Mock {
    /// What a text stands for: an error if it is the name of one of LiteLLM's.
    #[must_use]
    pub fn read(text: Text) -> Self {
        if text.starts_with("litellm.") {
            Self::Error(text)
        } else {
            Self::Text(text)
        }
    }
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
