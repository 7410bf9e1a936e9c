//! What an answer took, read beside the way of its bytes, in any provider's shape.
//!
//! Sources: OpenAI's API reference ("usage"; the Responses API's `response.usage`), Anthropic's
//! ("usage" of `message_start` and `message_delta`), Gemini's (`usageMetadata`), Cohere's
//! (`usage.billed_units`, `meta.billed_units`), Amazon Bedrock's (`usage` of `Converse`,
//! `amazon-bedrock-invocationMetrics`).

use super::json;
use super::openai::{Usage as OpenAi, count};

/// Figures of an answer; the same names as [`OpenAi`], with what others tell besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What OpenAI's shape holds.
    pub usage: OpenAi,
    /// Of the prompt: written to the provider's cache.
    pub cache_write: u64,
}

/// Which shape an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// OpenAI's `usage`.
    OpenAi,
    /// Anthropic's `usage`.
    Anthropic,
    /// Gemini's `usageMetadata`.
    Gemini,
    /// Cohere's `usage` and `meta`.
    Cohere,
    /// Amazon Bedrock's: `usage` of `Converse`, and whatever the maker of an invoked model has.
    Bedrock,
    /// Not in a way that is known.
    Unknown,
}

/// What a document of an answer says: the model, and the figures so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The model that answered.
    pub model: Option<String>,
    /// What it took.
    pub told: Option<Told>,
}

impl Figures {
    /// Reads a whole answer, or the data of one event of a stream; later figures replace or
    /// complete earlier ones. What is no JSON object says nothing.
    pub fn read(&mut self, shape: Shape, text: &[u8]) {
        self.read_object(shape, text, 0);
    }

    fn read_object(&mut self, shape: Shape, text: &[u8], depth: u8) {
        // Gemini streams a list of answers where it is not asked for events.
        if text.trim_ascii_start().first() == Some(&b'[') && depth == 0 {
            // What breaks off in the middle still said something.
            let _ = json::elements(text, |element| self.read_object(shape, element, 1));
            return;
        }
        let _ = json::members(text, |member| {
            let value = member.value(text);
            match (shape, member.raw_name(text)) {
                (_, b"model") | (Shape::Gemini, b"modelVersion") => {
                    if let Some(name) = json::string(value) {
                        self.model = Some(name.into_owned());
                    }
                }
                // The Responses API's and Anthropic's events hold the answer in a member.
                (Shape::OpenAi, b"response") | (Shape::Anthropic | Shape::Bedrock, b"message")
                    if depth == 0 =>
                {
                    self.read_object(shape, value, 1);
                }
                (Shape::Cohere, b"delta") if depth == 0 => self.read_object(shape, value, 1),
                (Shape::OpenAi, b"usage") => {
                    if let Some(usage) = OpenAi::read(value) {
                        self.told = Some(Told {
                            usage,
                            cache_write: 0,
                        });
                    }
                }
                (Shape::Anthropic, b"usage") => self.anthropic(value),
                (Shape::Bedrock, b"usage") => self.bedrock(value),
                (Shape::Bedrock, b"amazon-bedrock-invocationMetrics") if self.told.is_none() => {
                    self.bedrock(value);
                }
                (Shape::Gemini, b"usageMetadata") => self.gemini(value),
                (Shape::Cohere, b"usage" | b"meta") => self.cohere(value),
                _ => {}
            }
        });
    }

    /// Input tokens are those that no cache had; the events of a stream tell them apart.
    fn anthropic(&mut self, text: &[u8]) {
        let mut told = self.told.take().unwrap_or_default();
        let before = told.usage.cached_tokens.saturating_add(told.cache_write);
        let mut fresh = told.usage.prompt_tokens.saturating_sub(before);
        let mut seen = false;
        let _ = json::members(text, |member| {
            let (name, value) = (member.raw_name(text), member.value(text));
            let place = match name {
                b"input_tokens" => &mut fresh,
                b"output_tokens" => &mut told.usage.completion_tokens,
                b"cache_read_input_tokens" => &mut told.usage.cached_tokens,
                b"cache_creation_input_tokens" => &mut told.cache_write,
                _ => return,
            };
            *place = count(value);
            seen = true;
        });
        told.usage.prompt_tokens = fresh
            .saturating_add(told.usage.cached_tokens)
            .saturating_add(told.cache_write);
        self.told = seen.then_some(told);
    }

    /// Input tokens are those that no cache had. An invoked model of Anthropic's tells it in
    /// Anthropic's words.
    fn bedrock(&mut self, text: &[u8]) {
        let mut told = Told::default();
        let mut seen = false;
        let _ = json::members(text, |member| {
            let place = match member.raw_name(text) {
                b"inputTokens" | b"inputTokenCount" => &mut told.usage.prompt_tokens,
                b"outputTokens" | b"outputTokenCount" => &mut told.usage.completion_tokens,
                b"cacheReadInputTokens" | b"cacheReadInputTokenCount" => {
                    &mut told.usage.cached_tokens
                }
                b"cacheWriteInputTokens" | b"cacheWriteInputTokenCount" => &mut told.cache_write,
                _ => return,
            };
            *place = count(member.value(text));
            seen = true;
        });
        if !seen {
            return self.anthropic(text);
        }
        let cached = told.usage.cached_tokens.saturating_add(told.cache_write);
        told.usage.prompt_tokens = told.usage.prompt_tokens.saturating_add(cached);
        self.told = Some(told);
    }

    fn gemini(&mut self, text: &[u8]) {
        let mut usage = OpenAi::default();
        let (mut said, mut tools) = (0, 0);
        let _ = json::members(text, |member| {
            let value = count(member.value(text));
            match member.raw_name(text) {
                b"promptTokenCount" => usage.prompt_tokens = value,
                b"toolUsePromptTokenCount" => tools = value,
                b"candidatesTokenCount" => said = value,
                b"thoughtsTokenCount" => usage.reasoning_tokens = value,
                b"cachedContentTokenCount" => usage.cached_tokens = value,
                _ => {}
            }
        });
        usage.prompt_tokens = usage.prompt_tokens.saturating_add(tools);
        usage.completion_tokens = usage.reasoning_tokens.saturating_add(said);
        self.told = Some(Told {
            usage,
            cache_write: 0,
        });
    }

    fn cohere(&mut self, text: &[u8]) {
        let (mut billed, mut tokens) = (None, None);
        let _ = json::members(text, |member| match member.raw_name(text) {
            b"billed_units" => billed = OpenAi::read(member.value(text)),
            b"tokens" => tokens = OpenAi::read(member.value(text)),
            _ => {}
        });
        if let Some(usage) = billed.or(tokens) {
            self.told = Some(Told {
                usage,
                cache_write: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: Shape, texts: &[&str]) -> (Option<String>, [u64; 5]) {
        let mut figures = Figures::default();
        for text in texts {
            figures.read(shape, text.as_bytes());
        }
        let told = figures.told.unwrap_or_default();
        let usage = told.usage;
        (
            figures.model,
            [
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                told.cache_write,
                usage.reasoning_tokens,
            ],
        )
    }

    #[test]
    fn each_shape_is_read_whole_and_in_pieces() {
        let m = || Some("m".to_owned());
        let chat = r#"{"model":"m","usage":{"prompt_tokens":9,"completion_tokens":3,
            "prompt_tokens_details":{"cached_tokens":4}}}"#;
        assert_eq!(read(Shape::OpenAi, &[chat]), (m(), [9, 3, 4, 0, 0]));
        let responses = r#"{"type":"response.completed","response":{"model":"m",
            "usage":{"input_tokens":9,"output_tokens":3}}}"#;
        let events = [
            r#"{"type":"response.created","response":{"usage":null}}"#,
            responses,
        ];
        assert_eq!(read(Shape::OpenAi, &events), (m(), [9, 3, 0, 0, 0]));

        let whole = r#"{"model":"m","usage":{"input_tokens":5,"output_tokens":3,
            "cache_read_input_tokens":2,"cache_creation_input_tokens":1}}"#;
        assert_eq!(read(Shape::Anthropic, &[whole]), (m(), [8, 3, 2, 1, 0]));
        let start = r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":5,
            "output_tokens":1,"cache_read_input_tokens":2}}}"#;
        let events = [
            start,
            r#"{"type":"message_delta","usage":{"output_tokens":7}}"#,
            r#"{"type":"message_stop"}"#,
        ];
        assert_eq!(read(Shape::Anthropic, &events), (m(), [7, 7, 2, 0, 0]));

        let gemini = r#"{"modelVersion":"m","usageMetadata":{"promptTokenCount":5,
            "candidatesTokenCount":2,"thoughtsTokenCount":3}}"#;
        assert_eq!(read(Shape::Gemini, &[gemini]), (m(), [5, 5, 0, 0, 3]));
        let list = format!("[{gemini},\n{gemini}]");
        assert_eq!(read(Shape::Gemini, &[&list]), (m(), [5, 5, 0, 0, 3]));

        let cohere = r#"{"type":"message-end","delta":{"usage":{
            "billed_units":{"input_tokens":4,"output_tokens":2},"tokens":{"input_tokens":90}}}}"#;
        assert_eq!(read(Shape::Cohere, &[cohere]), (None, [4, 2, 0, 0, 0]));

        let converse = r#"{"output":{},"usage":{"inputTokens":5,"outputTokens":3,"totalTokens":11,
            "cacheReadInputTokens":2,"cacheWriteInputTokens":1}}"#;
        assert_eq!(read(Shape::Bedrock, &[converse]), (None, [8, 3, 2, 1, 0]));
        assert_eq!(read(Shape::Bedrock, &[whole]), (m(), [8, 3, 2, 1, 0]));
        let metrics = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{
            "inputTokenCount":5,"outputTokenCount":7}}"#;
        assert_eq!(read(Shape::Bedrock, &[metrics]), (None, [5, 7, 0, 0, 0]));
        let events = [start, r#"{"usage":{"output_tokens":9}}"#, metrics];
        assert_eq!(read(Shape::Bedrock, &events), (m(), [7, 9, 2, 0, 0]));
    }

    #[test]
    fn nonsense_says_nothing() {
        for shape in [
            Shape::OpenAi,
            Shape::Anthropic,
            Shape::Gemini,
            Shape::Cohere,
            Shape::Bedrock,
        ] {
            let texts = [
                "",
                "[",
                "null",
                "<html>",
                r#"{"usage":[]}"#,
                r#"{"usage":null}"#,
            ];
            assert_eq!(read(shape, &texts), (None, [0; 5]));
        }
    }
}
