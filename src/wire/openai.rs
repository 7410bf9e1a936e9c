//! OpenAI's shapes, as far as the gateway reads or writes them itself.
//!
//! Source: OpenAI's API reference, "Chat completions" and "Streaming".

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `usage` of an answer. Unknown members are passed over; a null or a negative count reads as zero,
/// because a provider's nonsense must not become a negative cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt, cached ones among them.
    #[serde(deserialize_with = "count", alias = "input_tokens")]
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning ones among them.
    #[serde(deserialize_with = "count", alias = "output_tokens")]
    pub completion_tokens: u64,
    /// Both together, as the provider says.
    #[serde(deserialize_with = "count")]
    pub total_tokens: u64,
    /// What the prompt was made of.
    #[serde(deserialize_with = "present", alias = "input_tokens_details")]
    pub prompt_tokens_details: PromptDetails,
    /// What the answer was made of.
    #[serde(deserialize_with = "present", alias = "output_tokens_details")]
    pub completion_tokens_details: CompletionDetails,
}

/// `usage.prompt_tokens_details`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Read from the provider's prompt cache.
    #[serde(deserialize_with = "count")]
    pub cached_tokens: u64,
    /// Heard.
    #[serde(deserialize_with = "count")]
    pub audio_tokens: u64,
}

/// `usage.completion_tokens_details`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CompletionDetails {
    /// Thought, not said.
    #[serde(deserialize_with = "count")]
    pub reasoning_tokens: u64,
    /// Spoken.
    #[serde(deserialize_with = "count")]
    pub audio_tokens: u64,
}

/// `{"error": {…}}`.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// What went wrong.
    pub error: ErrorFields<'a>,
}

/// The members of [`ErrorBody::error`].
#[derive(Clone, Debug, Serialize)]
pub struct ErrorFields<'a> {
    /// For a person.
    pub message: &'a str,
    /// OpenAI's class.
    pub r#type: &'a str,
    /// The request field at fault.
    pub param: Option<&'a str>,
    /// The status, as text.
    pub code: &'a str,
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Count)
}

/// Takes any value for a count; what is none reads as zero.
struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E>(self, whole: u64) -> Result<u64, E> {
        Ok(whole)
    }

    fn visit_i64<E>(self, whole: i64) -> Result<u64, E> {
        Ok(u64::try_from(whole).unwrap_or(0))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and a negative count is to read as zero"
    )]
    fn visit_f64<E>(self, float: f64) -> Result<u64, E> {
        Ok(float as u64)
    }

    fn visit_bool<E>(self, _: bool) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_str<E>(self, _: &str) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(0)
    }
}

fn present<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_with_its_details() {
        let usage: Usage = serde_json::from_str(
            r#"{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"x":[],
                "prompt_tokens_details":{"cached_tokens":4,"audio_tokens":null},
                "completion_tokens_details":{"reasoning_tokens":5}}"#,
        )
        .unwrap();
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.total_tokens
            ),
            (9, 12, 21)
        );
        assert_eq!(usage.prompt_tokens_details.cached_tokens, 4);
        assert_eq!(usage.completion_tokens_details.reasoning_tokens, 5);
    }

    #[test]
    fn nonsense_counts_read_as_zero() {
        let usage: Usage = serde_json::from_str(
            r#"{"prompt_tokens":-3,"completion_tokens":"many","prompt_tokens_details":null}"#,
        )
        .unwrap();
        assert_eq!(usage, Usage::default());
    }
}
