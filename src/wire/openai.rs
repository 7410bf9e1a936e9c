//! OpenAI's shapes, as far as the gateway reads or writes them itself.
//!
//! Source: OpenAI's API reference, "Chat completions" and "Streaming".

use serde::Serialize;

use super::json;

/// `usage` of an answer: the figures that have a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones among them.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning ones among them.
    pub completion_tokens: u64,
    /// Of the prompt: read from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Of the prompt: heard.
    pub prompt_audio_tokens: u64,
    /// Of the answer: thought, not said.
    pub reasoning_tokens: u64,
    /// Of the answer: spoken.
    pub completion_audio_tokens: u64,
    /// Of the prompt: seen in images.
    pub prompt_image_tokens: u64,
    /// Of the answer: images.
    pub completion_image_tokens: u64,
    /// Milliseconds of audio that were heard, of models that count those and no tokens.
    pub audio_millis: u64,
}

impl Usage {
    /// Reads the object; `None` if `text` is none. Unknown members are passed over, and a null, a
    /// negative, an absurd or any other strange count reads as zero, because a provider's nonsense
    /// must become neither a negative cost nor an endless one. The Responses API's names (`input_tokens`, …) are known, too.
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut usage = Self::default();
        let mut total = 0;
        json::members(text, |member| {
            let value = member.value(text);
            match member.raw_name(text) {
                b"prompt_tokens" | b"input_tokens" => usage.prompt_tokens = count(value),
                b"completion_tokens" | b"output_tokens" => usage.completion_tokens = count(value),
                b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
                    details(value, |name, count| match name {
                        b"cached_tokens" => usage.cached_tokens = count,
                        b"audio_tokens" => usage.prompt_audio_tokens = count,
                        b"image_tokens" => usage.prompt_image_tokens = count,
                        _ => {}
                    });
                }
                b"completion_tokens_details"
                | b"output_tokens_details"
                | b"output_token_details" => {
                    details(value, |name, count| match name {
                        b"reasoning_tokens" => usage.reasoning_tokens = count,
                        b"audio_tokens" => usage.completion_audio_tokens = count,
                        b"image_tokens" => usage.completion_image_tokens = count,
                        _ => {}
                    });
                }
                b"total_tokens" => total = count(value),
                // `DeepSeek`'s older word for it.
                b"prompt_cache_hit_tokens" if usage.cached_tokens == 0 => {
                    usage.cached_tokens = count(value);
                }
                b"seconds" => usage.audio_millis = millis(value),
                _ => {}
            }
        })
        .ok()?;
        // xAI counts what is thought beside what is said, as the total shows.
        let told = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        if usage.reasoning_tokens > 0 && total == told.saturating_add(usage.reasoning_tokens) {
            usage.completion_tokens += usage.reasoning_tokens;
        }
        Some(usage)
    }
}

fn details(text: &[u8], mut take: impl FnMut(&[u8], u64)) {
    // What is no object, such as null, has no details.
    let _ = json::members(text, |member| {
        take(member.raw_name(text), count(member.value(text)));
    });
}

/// A number of seconds, as a number or a text, in milliseconds; nonsense reads as zero.
pub fn millis(text: &[u8]) -> u64 {
    /// Longer than any recording that a request holds: a hundred days.
    const MOST: f64 = 8_640_000.0;
    let text = json::string(text).unwrap_or_else(|| String::from_utf8_lossy(text));
    let seconds = text.parse::<f64>().unwrap_or(0.0);
    let heard = std::time::Duration::try_from_secs_f64(seconds);
    heard
        .ok()
        .filter(|heard| heard.as_secs_f64() <= MOST)
        .and_then(|heard| u64::try_from(heard.as_millis()).ok())
        .unwrap_or(0)
}

pub(super) fn count(text: &[u8]) -> u64 {
    /// More than any model takes or gives in one answer.
    const MOST: u64 = 1_000_000_000;
    let whole = if text.len() <= 18 && text.iter().all(u8::is_ascii_digit) {
        text.iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    } else {
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<f64>().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and a negative count is to read as zero"
        )]
        number.map_or(0, |number| number as u64)
    };
    if whole <= MOST { whole } else { 0 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_with_its_details() {
        let usage = Usage::read(
            br#"{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"x":[],
                "prompt_tokens_details":{"cached_tokens":4,"audio_tokens":null},
                "completion_tokens_details":{"reasoning_tokens":5}}"#,
        )
        .unwrap();
        let expected = Usage {
            prompt_tokens: 9,
            completion_tokens: 12,
            cached_tokens: 4,
            reasoning_tokens: 5,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn what_was_thought_is_part_of_the_answer() {
        let of = |total: u64| {
            let text = format!(
                r#"{{"prompt_tokens":9,"completion_tokens":2,"total_tokens":{total},
                "completion_tokens_details":{{"reasoning_tokens":5}}}}"#
            );
            Usage::read(text.as_bytes()).unwrap().completion_tokens
        };
        assert_eq!((of(16), of(11), of(0)), (7, 2, 2));
    }

    #[test]
    fn a_transcripts_usage_is_tokens_or_seconds() {
        let tokens = br#"{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59,
            "input_token_details":{"text_tokens":0,"audio_tokens":14}}"#;
        let usage = Usage::read(tokens).unwrap();
        assert_eq!((usage.prompt_tokens, usage.prompt_audio_tokens), (14, 14));
        let seconds = Usage::read(br#"{"type":"duration","seconds":8.47}"#).unwrap();
        assert_eq!(seconds.audio_millis, 8470);
        for nonsense in ["-3", "1e300", "NaN", "\"soon\"", "null"] {
            assert_eq!(millis(nonsense.as_bytes()), 0, "{nonsense}");
        }
    }

    #[test]
    fn nonsense_counts_read_as_zero() {
        let usage = Usage::read(
            br#"{"prompt_tokens":-3,"completion_tokens":"many","prompt_tokens_details":null}"#,
        );
        assert_eq!(usage, Some(Usage::default()));
        assert_eq!(Usage::read(b"null"), None);
        let floats = Usage::read(br#"{"prompt_tokens":3.0,"completion_tokens":1e30}"#).unwrap();
        assert_eq!((floats.prompt_tokens, floats.completion_tokens), (3, 0));
    }
}
