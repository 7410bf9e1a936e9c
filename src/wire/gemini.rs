//! Gemini's shapes: what `generateContent` and its neighbours take and give.
//!
//! Source: Google's API reference, "Generating content" (v1beta), and the same of Vertex AI. Its
//! parser takes every name in camel case and in snake case and a lone value for a list; it writes
//! camel case.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The body of `generateContent` and `streamGenerateContent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// What was said so far.
    #[serde(deserialize_with = "many")]
    pub contents: Vec<Content>,
    /// Instructions; their role means nothing.
    #[serde(alias = "system_instruction", skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<Content>,
    /// Functions and tools of Google's own.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Map<String, Value>>,
    /// Whether functions must be called.
    #[serde(alias = "tool_config", skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<Map<String, Value>>,
    /// Everything about the answer's form, by its name.
    #[serde(
        alias = "generation_config",
        deserialize_with = "some",
        skip_serializing_if = "Map::is_empty"
    )]
    pub generation_config: Map<String, Value>,
    /// `safetySettings`, `cachedContent`, `labels` and what else there is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The same, as the gateway writes it: schemas that their caller wrote go on as they came.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent<'a> {
    /// What was said so far.
    pub contents: Vec<Content>,
    /// Instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<Content>,
    /// Functions and tools of Google's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<SentTool<'a>>,
    /// Whether functions must be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<Map<String, Value>>,
    /// Everything about the answer's form, by its name.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub generation_config: Map<String, Value>,
    /// What else there is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Functions, or a tool of Google's own.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum SentTool<'a> {
    /// All functions stand in one of them.
    Functions {
        /// Each.
        #[serde(rename = "functionDeclarations")]
        declarations: Vec<Declaration<'a>>,
    },
    /// By its name.
    Own(Map<String, Value>),
}

/// A function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declaration<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// JSON Schema of its arguments, for the models that take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_json_schema: Option<&'a RawValue>,
    /// The subset that every model takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

/// A turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// `user` or `model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is said.
    #[serde(deserialize_with = "many")]
    pub parts: Vec<Part>,
}

/// A piece of a turn: one of `text`, `inline_data`, … and what is said about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Part {
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the words were thought, not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought: Option<bool>,
    /// What the provider wants back with this part.
    #[serde(alias = "thought_signature", skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<String>,
    /// Bytes of an image, a document or sound.
    #[serde(alias = "inline_data", skip_serializing_if = "Option::is_none")]
    pub inline_data: Option<Blob>,
    /// Where such bytes are.
    #[serde(alias = "file_data", skip_serializing_if = "Option::is_none")]
    pub file_data: Option<FileData>,
    /// A call of a function.
    #[serde(alias = "function_call", skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionCall>,
    /// What a function gave.
    #[serde(alias = "function_response", skip_serializing_if = "Option::is_none")]
    pub function_response: Option<FunctionResponse>,
    /// `executableCode`, `codeExecutionResult`, `videoMetadata`, `mediaResolution`, …
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Blob {
    /// Their kind.
    #[serde(alias = "mime_type")]
    pub mime_type: String,
    /// In base64.
    pub data: String,
    /// `displayName`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Where bytes are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileData {
    /// Their kind.
    #[serde(alias = "mime_type", skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// An address, or a file of the provider's.
    #[serde(alias = "file_uri")]
    pub file_uri: String,
    /// `displayName`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A call of a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionCall {
    /// By which its response names it; older models give none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The function.
    pub name: String,
    /// Its arguments.
    #[serde(deserialize_with = "some")]
    pub args: Map<String, Value>,
    /// What else there is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a function gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionResponse {
    /// The call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The function.
    pub name: String,
    /// `output` or `error`, or any object.
    #[serde(deserialize_with = "some")]
    pub response: Map<String, Value>,
    /// Images and documents; Gemini 3 and later.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What else there is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An answer, or a chunk of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Response {
    /// The turns it offers.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// Why there is no turn at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_feedback: Option<PromptFeedback>,
    /// What it took up to now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_metadata: Option<UsageMetadata>,
    /// The model that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
    /// The answer's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// What went wrong, in streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// A turn that a model offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// What is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Why it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_message: Option<String>,
    /// Its place.
    pub index: u32,
    /// Sources on the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounding_metadata: Option<Map<String, Value>>,
    /// Likelihoods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs_result: Option<LogprobsResult>,
    /// `safetyRatings`, `citationMetadata`, `urlContextMetadata`, `avgLogprobs`, …
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Why there is no turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptFeedback {
    /// The reason's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_reason: Option<String>,
    /// `safetyRatings`, `blockReasonMessage`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What an answer took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageMetadata {
    /// Tokens of the prompt, cached ones among them.
    #[serde(deserialize_with = "count")]
    pub prompt_token_count: u64,
    /// Of the prompt: read from a cache.
    #[serde(deserialize_with = "count", skip_serializing_if = "is_zero")]
    pub cached_content_token_count: u64,
    /// Tokens that were said, not those that were thought.
    #[serde(deserialize_with = "count", skip_serializing_if = "is_zero")]
    pub candidates_token_count: u64,
    /// Tokens that were thought.
    #[serde(deserialize_with = "count", skip_serializing_if = "is_zero")]
    pub thoughts_token_count: u64,
    /// Tokens that Google's own tools put into the prompt.
    #[serde(deserialize_with = "count", skip_serializing_if = "is_zero")]
    pub tool_use_prompt_token_count: u64,
    /// All of them.
    #[serde(deserialize_with = "count")]
    pub total_token_count: u64,
    /// Of the prompt, by kind.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub prompt_tokens_details: Vec<ModalityCount>,
    /// Of the answer, by kind.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub candidates_tokens_details: Vec<ModalityCount>,
}

/// Tokens of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModalityCount {
    /// `TEXT`, `AUDIO`, `IMAGE`, …
    pub modality: String,
    /// How many.
    #[serde(deserialize_with = "count")]
    pub token_count: u64,
}

/// Likelihoods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogprobsResult {
    /// Of the tokens that were said.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub chosen_candidates: Vec<TokenLogprob>,
    /// Of the likeliest tokens at each place.
    #[serde(deserialize_with = "many", skip_serializing_if = "Vec::is_empty")]
    pub top_candidates: Vec<TopCandidates>,
}

/// The likeliest tokens at a place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopCandidates {
    /// The likeliest first.
    #[serde(deserialize_with = "many")]
    pub candidates: Vec<TokenLogprob>,
}

/// A token's likelihood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenLogprob {
    /// The token.
    pub token: String,
    /// Its number in the vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<i64>,
    /// The logarithm of its likelihood.
    pub log_probability: f64,
}

/// A value under either of the names that Google's parser takes, taken out of `map`.
pub fn take(map: &mut Map<String, Value>, camel: &str) -> Option<Value> {
    map.remove(camel).or_else(|| map.remove(&snake(camel)))
}

/// A value under either of the names that Google's parser takes.
pub fn get<'a>(map: &'a Map<String, Value>, camel: &str) -> Option<&'a Value> {
    map.get(camel).or_else(|| map.get(&snake(camel)))
}

/// A name in snake case.
pub fn snake(camel: &str) -> String {
    let mut name = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A name in camel case.
pub fn camel(snake: &str) -> String {
    let mut name = String::with_capacity(snake.len());
    let mut raise = false;
    for letter in snake.chars() {
        if letter == '_' && !name.is_empty() {
            raise = true;
        } else if std::mem::take(&mut raise) {
            name.push(letter.to_ascii_uppercase());
        } else {
            name.push(letter);
        }
    }
    name
}

fn some<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A list, or its only member, or null.
fn many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Many<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Many<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list or an object")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(one) = all.next_element()? {
                found.push(one);
            }
            Ok(found)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, one: A) -> Result<Vec<T>, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(one)).map(|one| vec![one])
        }
    }

    from.deserialize_any(Many(std::marker::PhantomData))
}

/// A count; a provider's nonsense must become neither a negative cost nor an endless one.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    /// More than any model takes or gives in one answer.
    const MOST: u64 = 1_000_000_000;
    let value = Value::deserialize(from)?;
    let count = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    Ok(count.filter(|count| *count <= MOST).unwrap_or(0))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_read_in_both_cases_and_lists_without_brackets() {
        let camel = json!({"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "a/b", "data": "x"}}]}],
            "systemInstruction": {"parts": [{"text": "s"}]}, "generationConfig": {"topK": 1}});
        let snake = json!({"contents": {"role": "user", "parts": {"inline_data": {"mime_type": "a/b", "data": "x"}}},
            "system_instruction": {"parts": {"text": "s"}}, "generation_config": {"topK": 1}});
        let read = |value: Value| serde_json::from_value::<Request>(value).unwrap();
        assert_eq!(read(camel.clone()), read(snake));
        assert_eq!(serde_json::to_value(read(camel.clone())).unwrap(), camel);
    }

    #[test]
    fn names_change_case_both_ways() {
        for (camels, snakes) in [
            ("topK", "top_k"),
            ("responseJsonSchema", "response_json_schema"),
        ] {
            assert_eq!(snake(camels), snakes);
            assert_eq!(camel(snakes), camels);
        }
    }

    #[test]
    fn nonsense_counts_read_as_zero() {
        let usage = json!({"promptTokenCount": -1, "candidatesTokenCount": "12", "thoughtsTokenCount": null,
            "totalTokenCount": 1e30, "promptTokensDetails": null});
        let usage: UsageMetadata = serde_json::from_value(usage).unwrap();
        assert_eq!(
            usage,
            UsageMetadata {
                candidates_token_count: 12,
                ..UsageMetadata::default()
            }
        );
    }
}
