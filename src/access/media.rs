//! What is paid by other units than tokens of text: how much of those a request may take at most.
//!
//! Images are counted; their tokens are those that OpenAI publishes for each size and quality. Speech
//! is measured by its characters, and recordings by what their containers say, else by their bytes.
//! Beside the most that can be stands what is likely, by which a budget that is nearly spent judges.
//!
//! Source: OpenAI's guides "Image generation" (tokens of an image, partial images), "Text to speech"
//! and "Speech to text", and its prices; Cohere's "Rerank" (units of searches).

use std::time::Duration;

use pointsman_routes::usd::Usd;

use super::demand::{BYTES_PER_TOKEN, UNKNOWN_OUTPUT};
use crate::call::{Call, Route, Usage};
use crate::live::Ceiling;
use crate::wire::form::File;
use crate::wire::{json, recording};

/// Tokens of an image that a model is given, at the highest fidelity.
const SEEN_TOKENS: u64 = 8_192;
/// Tokens of each image that is shown before it is whole.
const PARTIAL_TOKENS: u64 = 100;
/// Tokens of a second of speech that a model says, and of one that it hears: the most of any.
const SPOKEN_TOKENS_PER_SECOND: u64 = 21;
const HEARD_TOKENS_PER_SECOND: u64 = 32;
/// Tokens of a transcript for each second of speech, as is likely.
const WRITTEN_TOKENS_PER_SECOND: u64 = 4;
/// How long it takes to say a character, at most and as is likely, and what there is around that.
const SLOW: Duration = Duration::from_millis(500);
const USUAL: Duration = Duration::from_millis(70);
const PAUSE: Duration = Duration::from_secs(5);
/// Bytes of a second of a recording that does not say how long it is, as is likely: 32 kbit/s.
const USUAL_BYTES_PER_SECOND: u64 = 4_000;
/// Documents that one unit of a ranking holds, and the bytes from which on one counts as several. A token
/// is at least a byte.
const RANKED: u64 = 100;
const RANKED_BYTES: u64 = 500;

/// What such a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// What it costs at most.
    pub(super) worst: Usd,
    /// What it costs as is likely.
    pub(super) likely: Usd,
    /// Whether that is all that it can be.
    pub(super) bounded: bool,
}

impl Media {
    /// That of a request with this body, at these prices. `None` if it is paid by tokens of text.
    pub(super) fn of(call: &Call, body: &[u8], ceiling: &Ceiling) -> Option<Self> {
        let files = call.files.as_deref().unwrap_or_default();
        let asked = Asked::read(body);
        let [worst, likely] = match call.route {
            Route::Images | Route::ImageEdits | Route::ImageVariations => {
                [asked.images(files.len() as u64, ceiling); 2]
            }
            Route::Speech => asked.speech(ceiling),
            Route::Transcriptions | Route::Translations => asked.transcript(files, ceiling),
            Route::Rerank => asked.ranking(body.len() as u64),
            _ => return None,
        };
        let cost = |usage: Usage| cost(&usage, ceiling);
        let spoken = matches!(call.route, Route::Transcriptions | Route::Translations);
        Some(Self {
            worst: cost(worst),
            likely: cost(likely),
            bounded: !spoken || ceiling.output_tokens.is_some() || ceiling.output == Usd::ZERO,
        })
    }

    /// What covers both.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            worst: self.worst.max(other.worst),
            likely: self.likely.max(other.likely),
            bounded: self.bounded && other.bounded,
        }
    }
}

/// What so much costs at the dearest. Sound is sold by tokens or by its length, not by both.
fn cost(usage: &Usage, ceiling: &Ceiling) -> Usd {
    let window = ceiling.window.unwrap_or(u64::MAX);
    let input = ceiling.input.times(usage.prompt.min(window));
    let output = ceiling.output.times(usage.completion);
    let sound = ceiling.second.times(usage.audio_millis).per_thousand();
    let tokens = input.plus(output);
    tokens
        .max(sound)
        .plus(ceiling.image.times(usage.images))
        .plus(ceiling.character.times(usage.characters))
        .plus(ceiling.query.times(usage.queries))
}

/// The members of a request that say how much it takes. A form's are texts.
#[derive(Debug, Default)]
struct Asked {
    n: u64,
    partial_images: u64,
    size: String,
    quality: String,
    /// Bytes of what a model reads.
    text: u64,
    /// Characters of what it says.
    characters: u64,
    /// Images that it is given in the body itself.
    seen: u64,
    documents: u64,
}

impl Asked {
    fn read(body: &[u8]) -> Self {
        let mut asked = Self {
            n: 1,
            ..Self::default()
        };
        // It was read as an object before.
        let _ = json::members(body, |member| {
            let value = member.value(body);
            let text = || json::string(value).unwrap_or_default();
            let number = || match json::string(value) {
                Some(text) => text.parse().ok(),
                None => std::str::from_utf8(value).ok()?.parse().ok(),
            };
            let count = || {
                let mut count = 0;
                let _ = json::elements(value, |_| count += 1);
                count
            };
            match member.raw_name(body) {
                b"n" => asked.n = number().unwrap_or(1).max(1),
                b"partial_images" => asked.partial_images = number().unwrap_or(0),
                b"size" => asked.size = text().into_owned(),
                b"quality" => asked.quality = text().into_owned(),
                b"prompt" | b"instructions" | b"query" => asked.text += value.len() as u64,
                b"input" => {
                    asked.text += value.len() as u64;
                    asked.characters = text().chars().count() as u64;
                }
                b"images" => asked.seen = count(),
                b"image" | b"mask" => asked.seen += 1,
                b"documents" => asked.documents = count(),
                _ => {}
            }
        });
        asked
    }

    fn images(&self, files: u64, ceiling: &Ceiling) -> Usage {
        let seen = self.seen.saturating_add(files);
        let each = match ceiling.output_tokens {
            _ if ceiling.published_images => self.published(),
            Some(most) => most,
            None => UNKNOWN_OUTPUT,
        };
        let partial = self.partial_images.saturating_mul(PARTIAL_TOKENS);
        Usage {
            prompt: self.text.saturating_add(seen.saturating_mul(SEEN_TOKENS)),
            completion: self.n.saturating_mul(each.saturating_add(partial)),
            images: self.n,
            ..Usage::default()
        }
    }

    /// Tokens of an image of the first models that are sold by those. What the model chooses is taken
    /// for the dearest.
    fn published(&self) -> u64 {
        let [square, tall, wide] = match &*self.quality {
            "low" => [272, 408, 400],
            "medium" => [1_056, 1_584, 1_568],
            _ => [4_160, 6_240, 6_208],
        };
        match &*self.size {
            "1024x1024" => square,
            "1536x1024" => wide,
            _ => tall,
        }
    }

    fn speech(&self, ceiling: &Ceiling) -> [Usage; 2] {
        let longest = ceiling.output_tokens.unwrap_or(u64::MAX);
        [SLOW, USUAL].map(|each| {
            let millis = u64::try_from(each.as_millis()).unwrap_or(u64::MAX);
            let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
            let millis = self.characters.saturating_mul(millis).saturating_add(pause);
            Usage {
                prompt: self.text,
                completion: millis
                    .saturating_mul(SPOKEN_TOKENS_PER_SECOND)
                    .div_ceil(1000)
                    .min(longest),
                audio_millis: millis,
                characters: self.characters,
                ..Usage::default()
            }
        })
    }

    fn transcript(&self, files: &[File], ceiling: &Ceiling) -> [Usage; 2] {
        let (mut most, mut usual) = (Duration::ZERO, Duration::ZERO);
        for file in files {
            let bytes = &file.bytes;
            let said = recording::length(bytes);
            let by_size = Duration::from_secs(bytes.len() as u64 / USUAL_BYTES_PER_SECOND);
            most += said.unwrap_or_else(|| recording::longest(bytes));
            usual += said.unwrap_or(by_size);
        }
        let longest = ceiling.output_tokens.unwrap_or(UNKNOWN_OUTPUT);
        let written = (usual.as_secs() + 1).saturating_mul(WRITTEN_TOKENS_PER_SECOND);
        let of = |heard: Duration, completion| Usage {
            prompt: (heard.as_secs() + 1)
                .saturating_mul(HEARD_TOKENS_PER_SECOND)
                .saturating_add(self.text),
            completion,
            audio_millis: u64::try_from(heard.as_millis()).unwrap_or(u64::MAX),
            ..Usage::default()
        };
        [of(most, longest), of(usual, written.min(longest))]
    }

    fn ranking(&self, bytes: u64) -> [Usage; 2] {
        let of = |documents: u64, prompt| Usage {
            prompt,
            queries: documents.div_ceil(RANKED).max(1),
            ..Usage::default()
        };
        let pieces = self.documents.saturating_add(bytes / RANKED_BYTES);
        [
            of(pieces, bytes),
            of(self.documents, bytes / BYTES_PER_TOKEN),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::example::call;

    const CONFIG: &str = "model_list:
- {model_name: draw, litellm_params: {model: openai/gpt-image-1, api_key: os.environ/KEY}}
- {model_name: new, litellm_params: {model: openai/gpt-image-2, api_key: os.environ/KEY}}
- {model_name: say, litellm_params: {model: openai/gpt-4o-mini-tts, api_key: os.environ/KEY}}
- {model_name: hear, litellm_params: {model: openai/gpt-4o-transcribe, api_key: os.environ/KEY}}
- {model_name: rank, litellm_params: {model: cohere/rerank-v3.5, api_key: os.environ/KEY}}
";

    fn media(route: Route, body: &str, file: Option<Vec<u8>>) -> Option<[i128; 2]> {
        let mut call = call(CONFIG, route, body);
        call.files = file.map(|bytes| {
            let file = File {
                field: "file".to_owned(),
                name: None,
                content_type: None,
                bytes: bytes.into(),
            };
            vec![file].into()
        });
        let ceiling = call.live.ceiling(call.target);
        let media = Media::of(&call, &call.body, &ceiling)?;
        Some([media.worst.0, media.likely.0])
    }

    #[test]
    fn images_take_the_tokens_of_their_size() {
        let tokens = |body: &str| media(Route::Images, body, None).unwrap()[0] / 40_000_000;
        assert_eq!(
            tokens(r#"{"model":"draw","quality":"low","size":"1024x1024"}"#),
            272
        );
        let body = r#"{"model":"draw","quality":"high","size":"1536x1024","n":3}"#;
        assert_eq!(tokens(body), 3 * 6_208);
        // As a form has it, and what the model chooses.
        let body = r#"{"model":"draw","n":"2","partial_images":"3","size":"auto"}"#;
        assert_eq!(tokens(body), 2 * (6_240 + 300));
        let other = media(Route::Images, r#"{"model":"new"}"#, None).unwrap();
        assert_eq!(other, [i128::from(UNKNOWN_OUTPUT) * 30_000_000; 2]);
    }

    #[test]
    fn an_image_that_is_seen_costs_too() {
        let one = media(
            Route::ImageEdits,
            r#"{"model":"draw","quality":"low"}"#,
            Some(vec![0]),
        );
        let seen = i128::from(SEEN_TOKENS) * 10_000_000;
        assert_eq!(one.unwrap()[0], seen + 408 * 40_000_000);
        let body = r#"{"model":"draw","quality":"low","images":[{"file_id":"a"},{"file_id":"b"}]}"#;
        let two = media(Route::ImageEdits, body, None);
        assert_eq!(two.unwrap()[0], 2 * seen + 408 * 40_000_000);
    }

    #[test]
    fn slow_speech_is_the_worst() {
        let body = format!(r#"{{"model":"say","input":"{}"}}"#, "a".repeat(100));
        let [worst, likely] = media(Route::Speech, &body, None).unwrap();
        // 55 and 12 seconds of 21 tokens at 12 dollars a million, and what is read.
        let read = 102 * 600_000;
        assert_eq!(worst, read + 55 * 21 * 12_000_000);
        assert_eq!(likely, read + 12 * 21 * 12_000_000);
    }

    #[test]
    fn a_recording_is_as_long_as_it_says_or_as_its_bytes_can_be() {
        let body = r#"{"model":"hear"}"#;
        let [worst, likely] = media(Route::Transcriptions, body, Some(vec![0; 75_000])).unwrap();
        // 101 and 19 seconds of 32 tokens; the transcript has 2,000 tokens at most.
        assert_eq!(worst, 101 * 32 * 2_500_000 + 2_000 * 10_000_000);
        assert_eq!(likely, 19 * 32 * 2_500_000 + 19 * 4 * 10_000_000);
    }

    #[test]
    fn long_documents_count_as_several() {
        let text = "x".repeat(600);
        let documents = vec![text.as_str(); 90];
        let body = serde_json::json!({"model": "rank", "query": "q", "documents": documents});
        let [worst, likely] = media(Route::Rerank, &body.to_string(), None).unwrap();
        assert_eq!((worst, likely), (2 * 2_000_000_000, 2_000_000_000));
        assert_eq!(
            media(Route::Chat, r#"{"model":"say","messages":[]}"#, None),
            None
        );
    }
}
