//! Bedrock's Converse, as far as the gateway reads or writes it itself.
//!
//! Source: Amazon Bedrock API reference, `Converse` and `ConverseStream`. A union is an object with
//! one member, which is how serde writes an enum.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::anthropic::Count;

/// A request for the next turn. What is empty is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Block<'a>>,
    /// The turns.
    pub messages: Vec<Turn<'a>>,
    /// Limits and sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference_config: Option<Inference<'a>>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<ToolConfig<'a>>,
    /// Members of the model's own.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub additional_model_request_fields: Map<String, Value>,
    /// Form and effort.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub output_config: Map<String, Value>,
    /// Capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier<'a>>,
    /// Other members of Converse's, as they came.
    #[serde(flatten)]
    pub rest: std::collections::BTreeMap<&'a str, &'a Value>,
}

/// A turn.
#[derive(Debug, Serialize)]
pub struct Turn<'a> {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// What is said.
    pub content: Vec<Block<'a>>,
}

/// A piece of a turn.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the members are Bedrock's")]
pub enum Block<'a> {
    /// Words; never empty.
    Text(&'a str),
    /// An image.
    Image {
        format: Cow<'a, str>,
        source: Source<'a>,
    },
    /// A document.
    Document {
        format: &'static str,
        name: String,
        source: Source<'a>,
    },
    /// Moving pictures.
    Video {
        format: Cow<'a, str>,
        source: Source<'a>,
    },
    /// Sound.
    Audio {
        format: Cow<'a, str>,
        source: Source<'a>,
    },
    /// A call.
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: &'a str,
        input: &'a RawValue,
    },
    /// What a call gave.
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Self>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    /// Thought.
    ReasoningContent(Reasoning<'a>),
    /// What stands before it is to be cached.
    CachePoint(CachePoint<'a>),
}

/// Where bytes are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the members are Bedrock's")]
pub enum Source<'a> {
    /// Here, in base64.
    Bytes(Cow<'a, str>),
    /// In S3.
    S3Location { uri: &'a str },
}

/// Thought.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the members are Bedrock's")]
pub enum Reasoning<'a> {
    /// In words.
    ReasoningText {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    /// That only the provider can read.
    RedactedContent(&'a str),
}

/// Where a prompt's cached part ends.
#[derive(Debug, Serialize)]
pub struct CachePoint<'a> {
    /// `default`.
    pub r#type: &'static str,
    /// `5m` or `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<&'a str>,
}

/// Limits and sampling.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inference<'a> {
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Cow<'a, Number>>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<&'a Number>,
    /// Texts that end the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<&'a str>,
}

impl Inference<'_> {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.max_tokens.is_none()
            && self.temperature.is_none()
            && self.top_p.is_none()
            && self.stop_sequences.is_empty()
    }
}

/// What the model may call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolConfig<'a> {
    /// The functions.
    pub tools: Vec<Tool<'a>>,
    /// Whether it must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'a>>,
}

/// What the model may call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the members are Bedrock's")]
pub enum Tool<'a> {
    /// A function of the caller's.
    ToolSpec {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: InputSchema<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
    /// The functions before it are to be cached.
    CachePoint(CachePoint<'a>),
}

/// A schema.
#[derive(Debug, Serialize)]
pub struct InputSchema<'a> {
    /// JSON Schema.
    pub json: Cow<'a, Value>,
}

/// Whether the model must call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members are Bedrock's")]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto {},
    /// One or more.
    Any {},
    /// This one.
    Tool { name: &'a str },
}

/// Capacity.
#[derive(Debug, Serialize)]
pub struct ServiceTier<'a> {
    /// `priority`, `default`, `flex` or `reserved`.
    pub r#type: &'a str,
}

/// A turn that the model made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    /// The turn.
    #[serde(borrow)]
    pub output: Output<'a>,
    /// Why it ends.
    pub stop_reason: Option<String>,
    /// What it took.
    pub usage: Option<Usage>,
    /// What a guardrail did.
    pub trace: Option<Value>,
    /// Members of the model's own.
    pub additional_model_response_fields: Option<Value>,
}

/// The turn.
#[derive(Debug, Deserialize)]
pub struct Output<'a> {
    /// The turn.
    #[serde(borrow)]
    pub message: Message<'a>,
}

/// The turn.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// What is said.
    #[serde(borrow)]
    pub content: Vec<Content<'a>>,
}

/// A piece of a turn that the model made, of any kind; it has one of the members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content<'a> {
    /// Words.
    pub text: Option<String>,
    /// A call.
    #[serde(borrow)]
    pub tool_use: Option<ToolUse<'a>>,
    /// Thought.
    pub reasoning_content: Option<Thought>,
    /// Words with their sources.
    pub citations_content: Option<Cited>,
}

/// A call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUse<'a> {
    /// Its id.
    #[serde(default)]
    pub tool_use_id: String,
    /// The function.
    #[serde(default)]
    pub name: String,
    /// Its arguments.
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
}

/// Thought, whole or a piece; it has one of the members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Thought {
    /// Whole, in words.
    pub reasoning_text: Option<ThoughtText>,
    /// A piece, in words.
    pub text: Option<String>,
    /// The proof, in a stream.
    pub signature: Option<String>,
    /// That only the provider can read.
    pub redacted_content: Option<String>,
}

/// Thought in words.
#[derive(Debug, Deserialize)]
pub struct ThoughtText {
    /// The words.
    #[serde(default)]
    pub text: String,
    /// The proof.
    pub signature: Option<String>,
}

/// Words with their sources.
#[derive(Debug, Deserialize)]
pub struct Cited {
    /// The words.
    #[serde(default)]
    pub content: Vec<CitedText>,
    /// The sources.
    #[serde(default)]
    pub citations: Vec<Value>,
}

/// Words that have sources.
#[derive(Debug, Deserialize)]
pub struct CitedText {
    /// The words.
    #[serde(default)]
    pub text: String,
}

/// The payload of an event of a stream, of any kind; each kind has some of the members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Of `contentBlockStart`.
    pub start: Option<Start>,
    /// Of `contentBlockDelta`.
    pub delta: Option<Delta>,
    /// Of `messageStop`.
    pub stop_reason: Option<String>,
    /// Of `metadata`.
    pub usage: Option<Usage>,
    /// Of `metadata`.
    pub trace: Option<Value>,
}

/// How a block starts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// A call.
    pub tool_use: Option<CallStart>,
}

/// How a call starts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallStart {
    /// Its id.
    #[serde(default)]
    pub tool_use_id: String,
    /// The function.
    #[serde(default)]
    pub name: String,
}

/// What is new; it has one of the members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// Words.
    pub text: Option<String>,
    /// A piece of the arguments of a call.
    pub tool_use: Option<CallDelta>,
    /// Thought.
    pub reasoning_content: Option<Thought>,
    /// A source.
    pub citation: Option<Value>,
}

/// A piece of the arguments of a call.
#[derive(Debug, Deserialize)]
pub struct CallDelta {
    /// The piece.
    #[serde(default)]
    pub input: String,
}

/// What a turn took.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Prompt tokens, but for those that the cache gave or took.
    pub input_tokens: Count,
    /// Tokens of the answer.
    pub output_tokens: Count,
    /// Prompt tokens from the cache.
    pub cache_read_input_tokens: Count,
    /// Prompt tokens into the cache.
    pub cache_write_input_tokens: Count,
    /// For how long they are kept.
    pub cache_details: Option<Vec<CacheDetail>>,
}

/// Prompt tokens into the cache, of one time that they are kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CacheDetail {
    /// `5m` or `1h`.
    pub ttl: String,
    /// How many.
    pub input_tokens: Count,
}

/// What went wrong, in the body of an answer or the payload of an exception.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// In words.
    #[serde(alias = "Message")]
    pub message: Option<String>,
    /// Its class, where the body names it.
    #[serde(rename = "__type")]
    pub class: Option<String>,
    /// The model's own status.
    #[serde(rename = "originalStatusCode")]
    pub original_status_code: Option<u16>,
}
