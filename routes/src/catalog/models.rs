//! What models cost and can do, one line each in `models.csv`, sorted by name.
//!
//! The columns: name, provider, mode, longest prompt, longest answer, capabilities; dollars per
//! million tokens of input, output, cache read, cache write; the prompt length above which the
//! next two, input and output, hold instead; reasoning, audio in, audio out; dollars per image,
//! second, character, query; vector length; day of withdrawal; dollars per million tokens of images
//! seen and made. Empty columns at the end are left out.

use crate::table::{Capabilities, Facts, LongPrice, Mode, Price, Provider};
use crate::usd::Usd;

const LINES: &str = include_str!("models.csv");

/// The day of these prices.
pub const DATE: &str = "2026-11-21";

/// What is known of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// The catalog's name for it, with the provider's prefix where the catalog has one.
    pub name: &'static str,
    /// Who sells it, as a name of [`provider`](super::provider) where that knows it.
    pub provider: &'static str,
    /// What its units cost.
    pub price: Price,
    /// What it can do.
    pub facts: Facts,
    /// The day on which its provider withdraws it, as `2027-04-14`.
    pub withdrawn: Option<&'static str>,
}

/// Finds a model of a provider: by its exact name, with the provider's prefix before it, without
/// the prefix, then the same with the date or version cut off its end or with the newest one put
/// there.
///
/// A line that another provider sells is never taken, for its prices would be wrong.
#[must_use]
pub fn find(name: &str, provider: &str) -> Option<Model> {
    let bare = name
        .strip_prefix(provider)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(name);
    let mut spellings = vec![bare];
    spellings.extend(stem(bare, provider));
    for spelling in spellings {
        let mut candidate = Some(spelling);
        while let Some(name) = candidate {
            if let Some(found) = exact_of(name, provider) {
                return Some(found);
            }
            candidate = undated(name);
        }
    }
    newest(&format!("{provider}/{bare}"), provider).or_else(|| newest(bare, provider))
}

/// The provider of a model named without a prefix: the catalog's, else by the family that the name
/// belongs to (`claude-*` is Anthropic's even when the catalog no longer lists that version).
#[must_use]
pub fn infer(bare: &str) -> Option<&'static Provider> {
    let mut candidate = Some(bare);
    while let Some(name) = candidate {
        if let Some(line) = line_of(name) {
            return super::provider(seller(line));
        }
        candidate = undated(name);
    }
    FAMILIES
        .iter()
        .find(|(prefix, _)| bare.starts_with(prefix))
        .and_then(|(_, name)| super::provider(name))
}

/// Every model, sorted by name.
pub fn models() -> impl Iterator<Item = Model> {
    LINES.lines().map(read)
}

/// First letters that tell who makes a model.
const FAMILIES: &[(&str, &str)] = &[
    ("claude-", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("ft:", "openai"),
    ("dall-e-", "openai"),
    ("tts-", "openai"),
    ("whisper-", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("davinci-", "text-completion-openai"),
    ("babbage-", "text-completion-openai"),
    ("command", "cohere"),
    ("embed-", "cohere"),
    ("rerank-", "cohere"),
    ("gemini-", "vertex_ai"),
    ("mistral-", "mistral"),
    ("ministral-", "mistral"),
    ("magistral-", "mistral"),
    ("pixtral-", "mistral"),
    ("open-mistral-", "mistral"),
    ("open-mixtral-", "mistral"),
    ("codestral-", "codestral"),
    ("deepseek-", "deepseek"),
    ("grok-", "xai"),
    ("voyage-", "voyage"),
    ("jina-", "jina_ai"),
    ("sonar", "perplexity"),
    ("jamba-", "ai21"),
];

/// Name, without the date or version at its end; `None` when it has none.
fn undated(name: &str) -> Option<&str> {
    let bytes = name.as_bytes();
    if let Some(stem) = ["-latest", "@latest", "@default"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
    {
        return (!stem.is_empty()).then_some(stem);
    }
    if name.starts_with("ft:") {
        return name.match_indices(':').nth(1).map(|(at, _)| &name[..at]);
    }
    let digits = bytes
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let at = bytes.len().checked_sub(digits + 1)?;
    if digits == 0 || at == 0 || !bytes[at].is_ascii() {
        return None;
    }
    let (before, mark, number) = (&name[..at], bytes[at], &name[at + 1..]);
    match (mark, digits) {
        (b':', 1..=2) => Some(
            before
                .strip_suffix("-v1")
                .or(before.strip_suffix("-v2"))
                .unwrap_or(before),
        ),
        (b'-' | b'@', 8) if number.starts_with("20") => Some(before),
        (b'-' | b'@', 3) => Some(before),
        (b'-' | b'@', 4) if month_and_year(number) => Some(before),
        // `-08-2024`: month and year.
        (b'-', 4) if number.starts_with("20") => cut_pair(before),
        // `-2024-08-06`: year, month, day.
        (b'-', 2) => cut_pair(before).and_then(|rest| {
            let year = rest.get(rest.len().checked_sub(5)?..)?.strip_prefix('-')?;
            (year.starts_with("20") && year.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| &rest[..rest.len() - 5])
                .filter(|stem| !stem.is_empty())
        }),
        _ => None,
    }
}

/// Cuts `-08` off the end.
fn cut_pair(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(3)?;
    let pair = name.get(at..)?.strip_prefix('-')?;
    (at > 0 && pair.bytes().all(|byte| byte.is_ascii_digit())).then(|| &name[..at])
}

/// `2407` (year, month) and `0613` (month, day) are dates, `8192` is not.
fn month_and_year(number: &str) -> bool {
    let month = |text: &str| matches!(text.parse::<u8>(), Ok(1..=12));
    let day = |text: &str| matches!(text.parse::<u8>(), Ok(1..=31));
    let year = |text: &str| matches!(text.parse::<u8>(), Ok(22..=39));
    let (first, second) = number.split_at(2);
    year(first) && month(second) || month(first) && day(second)
}

/// The model within a longer spelling: Bedrock's route, region and geography, or the maker before
/// the model.
fn stem<'a>(bare: &'a str, provider: &str) -> Option<&'a str> {
    if !family(provider).starts_with("bedrock") {
        return None;
    }
    let model = bare.rsplit('/').next().unwrap_or(bare);
    let (geography, rest) = model.split_once('.')?;
    let stem = match geography {
        "us" | "eu" | "apac" | "jp" | "au" | "in" | "ca" | "global" | "us-gov" => rest,
        _ => model,
    };
    (stem != bare).then_some(stem)
}

/// The line of exactly this name that this provider sells.
fn exact_of(name: &str, provider: &str) -> Option<Model> {
    let prefixed = format!("{provider}/{name}");
    let line = [prefixed.as_str(), name]
        .into_iter()
        .filter_map(line_of)
        .find(|line| family(seller(line)) == family(provider))?;
    Some(read(line))
}

/// The newest dated version of a name given without a date.
fn newest(name: &str, provider: &str) -> Option<Model> {
    if name.is_empty() {
        return None;
    }
    let start = first_from(name);
    LINES[start..]
        .lines()
        .take_while(|line| line.starts_with(name))
        .filter(|line| {
            undated(name_of(line)) == Some(name) && family(seller(line)) == family(provider)
        })
        .last()
        .map(read)
}

/// Providers under which LiteLLM sells the same models at the same prices.
fn family(provider: &str) -> &str {
    match provider {
        "azure_text" => "azure",
        "bedrock_converse" | "bedrock_mantle" => "bedrock",
        "cohere_chat" => "cohere",
        "ollama_chat" => "ollama",
        "text-completion-openai" => "openai",
        "text-completion-codestral" => "codestral",
        "vertex_ai_beta" => "vertex_ai",
        "ai21_chat" => "ai21",
        "watsonx_text" => "watsonx",
        "sagemaker_chat" => "sagemaker",
        other => other,
    }
}

/// The provider of a line, by the name that a prefix has.
fn seller(line: &str) -> &str {
    let written = line.split(',').nth(1).unwrap_or_default();
    if written.starts_with("vertex_ai-") {
        "vertex_ai"
    } else if written.starts_with("fireworks_ai-") {
        "fireworks_ai"
    } else {
        written
    }
}

fn name_of(line: &str) -> &str {
    line.split(',').next().unwrap_or_default()
}

/// The line of exactly this name.
fn line_of(name: &str) -> Option<&'static str> {
    let line = LINES[first_from(name)..].lines().next()?;
    (name_of(line) == name).then_some(line)
}

/// Where the first line stands whose name is not before this one.
fn first_from(name: &str) -> usize {
    let (mut low, mut high) = (0, LINES.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = LINES.as_bytes()[low..middle]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(low, |at| low + at + 1);
        let end = LINES.as_bytes()[middle..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(LINES.len(), |at| middle + at + 1);
        if name_of(&LINES[start..end]) < name {
            low = end;
        } else {
            high = start;
        }
    }
    low
}

fn read(line: &'static str) -> Model {
    let mut columns = line.split(',');
    let mut next = || columns.next().unwrap_or_default();
    let name = next();
    next();
    let facts = Facts {
        mode: mode(next()),
        max_input_tokens: next().parse().ok(),
        max_output_tokens: next().parse().ok(),
        capabilities: capabilities(next()),
        embedding_dimensions: None,
        known: true,
    };
    let [input, output, cache_read, cache_write] =
        [next(), next(), next(), next()].map(Usd::per_million);
    let long = next().parse().ok();
    let [
        long_input,
        long_output,
        reasoning,
        audio_input,
        audio_output,
    ] = [next(), next(), next(), next(), next()].map(Usd::per_million);
    let [image, second, character, query] = [next(), next(), next(), next()].map(Usd::from_decimal);
    let long = long.map(|above| LongPrice {
        above,
        input: long_input,
        output: long_output,
    });
    let embedding_dimensions = next().parse().ok();
    let withdrawn = Some(next()).filter(|day| !day.is_empty());
    let [image_input, image_output] = [next(), next()].map(Usd::per_million);
    Model {
        name,
        provider: seller(line),
        price: Price {
            input,
            output,
            cache_read,
            cache_write,
            long,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            image_output,
            image,
            second,
            character,
            query,
        },
        facts: Facts {
            embedding_dimensions,
            ..facts
        },
        withdrawn,
    }
}

fn mode(word: &str) -> Option<Mode> {
    Some(match word {
        "chat" => Mode::Chat,
        "completion" => Mode::Completion,
        "embedding" => Mode::Embedding,
        "image_generation" => Mode::ImageGeneration,
        "image_edit" => Mode::ImageEdit,
        "audio_speech" => Mode::AudioSpeech,
        "audio_transcription" => Mode::AudioTranscription,
        "moderation" => Mode::Moderation,
        "rerank" => Mode::Rerank,
        "responses" => Mode::Responses,
        "realtime" => Mode::Realtime,
        _ => return None,
    })
}

fn capabilities(words: &str) -> Capabilities {
    words.split('|').fold(Capabilities::NONE, |set, word| {
        Capabilities::WORDS
            .iter()
            .find(|(known, _)| *known == word)
            .map_or(set, |(_, one)| set.with(*one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_by_its_name() {
        assert!(LINES.lines().map(name_of).is_sorted_by(|a, b| a < b));
        for line in LINES.lines() {
            assert_eq!(line_of(name_of(line)), Some(line));
            assert!(mode(line.split(',').nth(2).unwrap()).is_some(), "{line}");
        }
        for absent in ["", "a", "gpt", "gpt-4o,", "zzz", "\n", "~", "gpt-4o-"] {
            assert_eq!(line_of(absent), None, "{absent:?}");
        }
    }

    #[test]
    fn a_model_is_found_with_and_without_its_prefix() {
        for (name, provider, found) in [
            ("gpt-4o", "openai", "gpt-4o"),
            ("openai/gpt-4o", "openai", "gpt-4o"),
            ("gpt-4o", "azure", "azure/gpt-4o"),
            ("azure/gpt-4o", "azure", "azure/gpt-4o"),
            ("claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"),
            ("gemini-2.5-pro", "gemini", "gemini/gemini-2.5-pro"),
            (
                "mistral-large-latest",
                "mistral",
                "mistral/mistral-large-latest",
            ),
        ] {
            let model = find(name, provider).unwrap_or_else(|| panic!("{provider}: {name}"));
            assert_eq!(model.name, found);
        }
    }

    #[test]
    fn dates_are_tolerated() {
        for (name, stem) in [
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("claude-3-5-sonnet-20241022", Some("claude-3-5-sonnet")),
            ("claude-3-5-sonnet@20240620", Some("claude-3-5-sonnet")),
            (
                "anthropic.claude-3-haiku-20240307-v1:0",
                Some("anthropic.claude-3-haiku-20240307"),
            ),
            ("meta.llama:0", Some("meta.llama")),
            ("command-r-08-2024", Some("command-r")),
            ("mistral-small-2407", Some("mistral-small")),
            ("gpt-4-0613", Some("gpt-4")),
            ("gemini-1.5-pro-002", Some("gemini-1.5-pro")),
            ("claude-sonnet-latest", Some("claude-sonnet")),
            (
                "ft:gpt-4o-2024-08-06:acme::x1",
                Some("ft:gpt-4o-2024-08-06"),
            ),
            ("gpt-4o", None),
            ("gpt-4", None),
            ("llama3-70b-8192", None),
            ("-latest", None),
            ("-2024-08-06", None),
            ("20240806", None),
            ("", None),
        ] {
            assert_eq!(undated(name), stem, "{name}");
        }
        assert_eq!(find("gpt-4o-2031-01-01", "openai").unwrap().name, "gpt-4o");
        assert_eq!(
            find("gpt-4o-2024-05-13", "openai").unwrap().name,
            "gpt-4o-2024-05-13"
        );
    }

    #[test]
    fn another_sellers_price_is_not_taken() {
        assert_eq!(find("gpt-4o", "hosted_vllm"), None);
        assert_eq!(find("gpt-4o", "groq"), None);
        assert_eq!(find("no-such-model", "openai"), None);
        assert_eq!(find("", "openai"), None);
    }

    #[test]
    fn bare_names_have_a_provider() {
        for (name, provider) in [
            ("gpt-4o", "openai"),
            ("gpt-4", "openai"),
            ("gpt-3.5-turbo", "openai"),
            ("claude-sonnet-4-6", "anthropic"),
            ("claude-haiku-4-5-20251001", "anthropic"),
            ("claude-3-opus-20240229", "anthropic"),
            ("command", "cohere"),
            ("o4-mini", "openai"),
        ] {
            assert_eq!(
                infer(name).map(|found| found.name.as_ref()),
                Some(provider),
                "{name}"
            );
        }
        assert_eq!(infer("production-llm"), None);
        assert_eq!(infer(""), None);
    }

    #[test]
    fn prices_and_facts_are_read() {
        let model = find("gemini-2.5-pro", "gemini").unwrap();
        assert_eq!(model.price.input, Usd::per_million("1.25"));
        assert_eq!(model.price.output, Usd::per_million("10"));
        let long = model.price.long.unwrap();
        assert_eq!((long.above, long.input), (200_000, Usd::per_million("2.5")));
        assert_eq!(model.facts.max_input_tokens, Some(1_048_576));
        assert!(
            model
                .facts
                .capabilities
                .has(Capabilities::VISION.with(Capabilities::TOOLS))
        );
        let pictures = find("gpt-image-1.5", "openai").unwrap();
        assert_eq!(pictures.price.image_input, Usd::per_million("8"));
        assert_eq!(pictures.price.image_output, Usd::per_million("32"));
        assert_eq!(pictures.withdrawn, Some("2026-12-01"));
        let vectors = find("text-embedding-3-small", "openai").unwrap();
        assert_eq!(vectors.facts.embedding_dimensions, Some(1536));
        assert_eq!(
            find("gpt-4o", "azure").unwrap().withdrawn,
            Some("2027-04-14")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_may_be_asked_for(
            name in "(?s).{0,12}[-@:.]?[0-9é]{0,10}",
            provider in proptest::sample::select(vec!["openai", "azure", "bedrock", "é", ""]),
        ) {
            let _ = (find(&name, provider), infer(&name), undated(&name));
        }
    }
}
