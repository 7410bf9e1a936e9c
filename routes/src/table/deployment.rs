//! Deployments, and who provides them.

use std::borrow::Cow;
use std::time::Duration;

use super::{Credential, Facts, GroupId, List, Midstream, Price, Priced, Secret, Text, Value};
use crate::usd::Usd;

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
    /// Weight as written; a group's [`Member`](super::Member) holds the one in force.
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
