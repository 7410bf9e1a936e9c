//! Anthropic's messages, as far as the gateway reads or writes them itself.
//!
//! Source: Anthropic's API reference, "Messages" and "Streaming messages", version 2023-06-01.
//! What is written borrows from the conversation; what is read borrows from the answer's text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use smallvec::SmallVec;

/// The version of the API that these are the shapes of.
pub const VERSION: &str = "2023-06-01";

/// A request for a message. What is empty is left out.
#[derive(Debug, Default, Serialize)]
pub struct Request<'a> {
    /// Where other clouds sell the models, the version of their API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anthropic_version: Option<&'static str>,
    /// Where other clouds sell the models, the betas; Anthropic itself has a header for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anthropic_beta: Vec<Cow<'a, str>>,
    /// The model, unless the path names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Block<'a>>,
    /// The turns.
    pub messages: Vec<Turn<'a>>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool<'a>>,
    /// Whether it must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it thinks first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thought<'a>>,
    /// Effort and form of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<Value>,
    /// Sampling, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Cow<'a, Number>>,
    /// Sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<&'a Number>,
    /// Sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// Texts that end the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<&'a str>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata<'a>>,
    /// Capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'static str>,
    /// Whether the answer comes as events.
    #[serde(skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Other members.
    #[serde(flatten)]
    pub rest: BTreeMap<&'a str, &'a Value>,
}

/// `metadata`.
#[derive(Debug, Serialize)]
pub struct Metadata<'a> {
    /// An opaque name of the caller's own user.
    pub user_id: &'a str,
}

/// A turn.
#[derive(Debug, Serialize)]
pub struct Turn<'a> {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// What is said.
    #[serde(serialize_with = "list")]
    pub content: SmallVec<[Block<'a>; 1]>,
}

fn list<S: Serializer>(blocks: &SmallVec<[Block<'_>; 1]>, to: S) -> Result<S::Ok, S::Error> {
    blocks.as_slice().serialize(to)
}

/// A piece of a turn.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are Anthropic's")]
pub enum Block<'a> {
    /// Words; never empty.
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// An image.
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// A document.
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// Thought.
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    /// Thought that only Anthropic can read.
    RedactedThinking { data: &'a str },
    /// A call.
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// What a call gave.
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// Any other, as it came.
    #[serde(untagged)]
    Other(&'a Value),
}

/// Where an image or a document is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are Anthropic's")]
pub enum Source<'a> {
    /// Here.
    Base64 { media_type: &'a str, data: &'a str },
    /// At an address.
    Url { url: &'a str },
    /// At Anthropic.
    File { file_id: &'a str },
    /// Here, as plain text.
    Text {
        media_type: &'static str,
        data: Cow<'a, str>,
    },
}

/// What the model may call.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the members are Anthropic's")]
pub enum Tool<'a> {
    /// A function of the caller's.
    Function {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: Schema<'a>,
        #[serde(skip_serializing_if = "is_false")]
        strict: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// A tool of Anthropic's own.
    Builtin(Cow<'a, Value>),
}

/// JSON Schema of a function's arguments.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Schema<'a> {
    /// As its caller wrote it.
    AsItCame(&'a RawValue),
    /// As it was read, and perhaps changed.
    Read(Cow<'a, Value>),
}

/// Whether the model must call.
#[derive(Debug, Serialize)]
pub struct ToolChoice<'a> {
    /// `auto`, `any`, `tool` or `none`.
    pub r#type: &'static str,
    /// Of `tool`: which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// At most one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_parallel_tool_use: Option<bool>,
}

/// Whether the model thinks first.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are Anthropic's")]
pub enum Thought<'a> {
    /// So many tokens.
    Enabled {
        budget_tokens: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    /// As it sees fit.
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    /// Not at all.
    Disabled,
    /// As it came.
    #[serde(untagged)]
    Given(&'a Value),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A message that the model made.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// Its id.
    pub id: Option<String>,
    /// The model that made it.
    pub model: Option<String>,
    /// What it says; each is a [`Content`].
    #[serde(borrow)]
    pub content: Vec<&'a RawValue>,
    /// Why it ends.
    pub stop_reason: Option<String>,
    /// The text that ended it.
    pub stop_sequence: Option<String>,
    /// What it took.
    pub usage: Option<Usage>,
    /// Where code ran.
    pub container: Option<Value>,
    /// What was cleared from the conversation.
    pub context_management: Option<Value>,
}

/// A piece of a message that the model made, of any kind; each kind has some of the members.
#[derive(Debug, Deserialize)]
pub struct Content<'a> {
    /// Which kind.
    pub r#type: String,
    /// Words.
    pub text: Option<String>,
    /// Sources of the words.
    #[serde(default)]
    pub citations: Option<Vec<Value>>,
    /// Thought.
    pub thinking: Option<String>,
    /// The proof of it.
    pub signature: Option<String>,
    /// Thought that only Anthropic can read.
    pub data: Option<String>,
    /// Of a call.
    pub id: Option<String>,
    /// Of a call: the function.
    pub name: Option<String>,
    /// Of a call: its arguments.
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
}

/// An event of a stream, of any kind; each kind has some of the members.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// Which kind.
    pub r#type: Cow<'a, str>,
    /// Of `message_start`.
    pub message: Option<Started>,
    /// Which block.
    pub index: Option<u64>,
    /// Of `content_block_start`: a [`Content`].
    #[serde(borrow)]
    pub content_block: Option<&'a RawValue>,
    /// Of `content_block_delta` and `message_delta`.
    pub delta: Option<Delta>,
    /// Of `message_delta`.
    pub usage: Option<Usage>,
    /// Of `message_delta`.
    pub context_management: Option<Value>,
    /// Of `error`.
    pub error: Option<Fault>,
}

/// The message of `message_start`.
#[derive(Debug, Deserialize)]
pub struct Started {
    /// Its id.
    pub id: Option<String>,
    /// The model that makes it.
    pub model: Option<String>,
    /// What the prompt took.
    pub usage: Option<Usage>,
}

/// What is new.
#[derive(Debug, Default, Deserialize)]
pub struct Delta {
    /// Which kind; a message's has none.
    #[serde(default)]
    pub r#type: String,
    /// Words.
    pub text: Option<String>,
    /// Thought.
    pub thinking: Option<String>,
    /// The proof of it.
    pub signature: Option<String>,
    /// A piece of the arguments of a call.
    pub partial_json: Option<String>,
    /// A source.
    pub citation: Option<Value>,
    /// Why the message ends.
    pub stop_reason: Option<String>,
    /// The text that ended it.
    pub stop_sequence: Option<String>,
    /// Where code ran.
    pub container: Option<Value>,
}

/// `{"type": "error", "error": {…}}`.
#[derive(Debug, Deserialize)]
pub struct Refused {
    /// What went wrong.
    pub error: Fault,
}

/// What went wrong.
#[derive(Debug, Default, Deserialize)]
pub struct Fault {
    /// Its class.
    #[serde(default)]
    pub r#type: String,
    /// In words.
    #[serde(default)]
    pub message: String,
}

/// What a message took. In a stream each tells all up to then.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Usage {
    /// Prompt tokens, but for those that the cache gave or took.
    #[serde(default)]
    pub input_tokens: Count,
    /// Tokens of the answer.
    #[serde(default)]
    pub output_tokens: Count,
    /// Prompt tokens from the cache.
    #[serde(default)]
    pub cache_read_input_tokens: Count,
    /// Prompt tokens into the cache.
    #[serde(default)]
    pub cache_creation_input_tokens: Count,
    /// For how long they are kept.
    #[serde(default)]
    pub cache_creation: Option<CacheCreation>,
    /// Anthropic's own tools.
    #[serde(default)]
    pub server_tool_use: Option<ServerToolUse>,
}

/// Prompt tokens into the cache, by how long they are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct CacheCreation {
    /// An hour.
    #[serde(default)]
    pub ephemeral_1h_input_tokens: Count,
}

/// How often Anthropic's own tools were used.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ServerToolUse {
    /// Searches of the web.
    #[serde(default)]
    pub web_search_requests: Count,
}

impl Usage {
    /// The figures of a later event of the same message, where they say more.
    pub fn and_then(&mut self, later: Self) {
        let most = |old: &mut Count, new: Count| *old = (*old).max(new);
        most(&mut self.input_tokens, later.input_tokens);
        most(&mut self.output_tokens, later.output_tokens);
        most(
            &mut self.cache_read_input_tokens,
            later.cache_read_input_tokens,
        );
        most(
            &mut self.cache_creation_input_tokens,
            later.cache_creation_input_tokens,
        );
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.server_tool_use = later.server_tool_use.or(self.server_tool_use);
    }
}

/// A number of tokens. A null, a negative, an absurd or any other strange one reads as zero,
/// because a provider's nonsense must become neither a negative cost nor an endless one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

/// More than any model takes or gives in one answer.
const MOST: u64 = 1_000_000_000;

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
        Ok(Count(if value <= MOST { value } else { 0 }))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
        u64::try_from(value).map_or(Ok(Count(0)), |value| self.visit_u64(value))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Count, E> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and a negative count is to read as zero"
        )]
        self.visit_u64(value as u64)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(0))
    }
    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(0))
    }
    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count(0))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Count, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(0))
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_counts_read_as_zero() {
        let text = r#"{"input_tokens":-1,"output_tokens":1e30,"cache_read_input_tokens":null,
            "cache_creation_input_tokens":[{"a":1}],"cache_creation":null,"new":{}}"#;
        let usage: Usage = serde_json::from_str(text).unwrap();
        assert_eq!(
            [
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_input_tokens,
                usage.cache_creation_input_tokens
            ],
            [Count(0); 4]
        );
        let whole: Usage = serde_json::from_str(r#"{"input_tokens":3.0}"#).unwrap();
        assert_eq!(whole.input_tokens, Count(3));
    }

    #[test]
    fn a_later_event_only_adds() {
        let mut usage: Usage =
            serde_json::from_str(r#"{"input_tokens":9,"output_tokens":1}"#).unwrap();
        let later = serde_json::from_str(r#"{"input_tokens":0,"output_tokens":7}"#).unwrap();
        usage.and_then(later);
        assert_eq!(
            (usage.input_tokens, usage.output_tokens),
            (Count(9), Count(7))
        );
    }
}
