//! What is known of a deployment's model: the catalog, overridden by the file.

use std::borrow::Cow;
use std::time::Duration;

use super::read::{Reader, flag};
use crate::catalog::{self, Model};
use crate::mask;
use crate::schema::SUPPORTED;
use crate::table::{Capabilities, Deployment, Facts, Mode, Price, Priced};
use crate::usd::Usd;
use crate::yaml::Node;

/// Fills in prices, windows and capabilities.
pub(super) fn describe(
    deployment: &mut Deployment,
    params: &Node,
    info: &Node,
    metadata: &Node,
    reader: &mut Reader<'_>,
) {
    if deployment.mock.is_none() {
        look_up(deployment, params, info, reader);
    }
    let changed =
        prices(&mut deployment.price, info, reader) | prices(&mut deployment.price, params, reader);
    if deployment.mock.is_some() {
        deployment.priced = Priced::Mock;
    } else if changed {
        deployment.priced = Priced::Config;
    }
    facts(&mut deployment.facts, info, reader);
    figures(deployment, metadata, reader);
}

/// `base_model` is looked up under its own prefix, then as the provider's.
fn look_up(deployment: &mut Deployment, params: &Node, info: &Node, reader: &mut Reader<'_>) {
    let provider = deployment.provider.name.clone();
    let node = info.get("base_model").or_else(|| params.get("base_model"));
    let base = node.and_then(|node| reader.plain_of(node, "base_model"));
    let Some(base) = base else {
        if let Some(model) = catalog::find(&deployment.model, &provider) {
            adopt(deployment, &model);
        }
        return;
    };
    let found = base
        .split_once('/')
        .and_then(|(prefix, rest)| catalog::find(rest, &catalog::provider(prefix)?.name))
        .or_else(|| catalog::find(&base, &provider))
        .or_else(|| catalog::find(&base, &catalog::infer(&base)?.name));
    match found {
        Some(model) => adopt(deployment, &model),
        None => {
            if let Some(node) = node {
                let near =
                    reader
                        .findings
                        .nearest(&base, catalog::models().map(|model| model.name), 1);
                reader.findings.warning(
                    node.mark,
                    format!("the catalog has no model {}", mask::quoted(&base)),
                    near.first()
                        .map(|near| format!("did you mean {}?", mask::quoted(near))),
                );
            }
        }
    }
}

/// Overrides prices; says whether there were any.
fn prices(price: &mut Price, map: &Node, reader: &mut Reader<'_>) -> bool {
    let mut changed = false;
    let mut set = |names: &[&str], field: &mut Option<Usd>| {
        for name in names {
            if let Some(amount) = reader.dollars(map, name) {
                *field = Some(amount);
                changed = true;
                return true;
            }
        }
        false
    };
    let input = set(&["input_cost_per_token"], &mut price.input);
    let output = set(&["output_cost_per_token"], &mut price.output);
    if input || output {
        // The catalog's prices of long prompts belong to the catalog's other prices.
        price.long = None;
    }
    set(&["cache_read_input_token_cost"], &mut price.cache_read);
    set(&["cache_creation_input_token_cost"], &mut price.cache_write);
    set(&["output_cost_per_reasoning_token"], &mut price.reasoning);
    set(&["input_cost_per_audio_token"], &mut price.audio_input);
    set(&["output_cost_per_audio_token"], &mut price.audio_output);
    set(&["input_cost_per_image_token"], &mut price.image_input);
    set(&["output_cost_per_image_token"], &mut price.image_output);
    set(
        &[
            "input_cost_per_second",
            "output_cost_per_second",
            "cost_per_second",
        ],
        &mut price.second,
    );
    set(&["input_cost_per_character"], &mut price.character);
    set(
        &["input_cost_per_query", "input_cost_per_request"],
        &mut price.query,
    );
    set(
        &["output_cost_per_image", "input_cost_per_image"],
        &mut price.image,
    );
    changed
}

fn facts(facts: &mut Facts, info: &Node, reader: &mut Reader<'_>) {
    if let Some(word) = reader.plain(info, "mode")
        && let Some(node) = info.get("mode")
    {
        if let Some(mode) = mode(&word) {
            facts.mode = Some(mode);
            facts.known = true;
        } else {
            let near = reader
                .findings
                .nearest(&word, MODES.iter().map(|(word, _)| *word), 1);
            reader.findings.error(
                    node.mark,
                    format!("no mode {} is known", mask::quoted(&word)),
                    Some(match near.first() {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "write chat, completion, embedding, image_generation, audio_speech, audio_transcription, moderation, rerank or responses".into(),
                    }),
                );
        }
    }
    let output = reader
        .count(info, "max_output_tokens")
        .or_else(|| reader.count(info, "max_tokens"));
    if let Some(output) = output {
        facts.max_output_tokens = Some(output);
        facts.known = true;
    }
    if let Some(input) = reader.count(info, "max_input_tokens") {
        facts.max_input_tokens = Some(input);
        facts.known = true;
    }
    if let Some(length) = reader.small(info, "output_vector_size") {
        facts.embedding_dimensions = Some(length);
        facts.known = true;
    }
    for (key, word) in SUPPORTED {
        let Some(flag) = flag(info, key) else {
            continue;
        };
        let capability = Capabilities::WORDS
            .iter()
            .find(|(known, _)| known == word)
            .map_or(Capabilities::NONE, |(_, one)| *one);
        facts.capabilities = if flag {
            facts.capabilities.with(capability)
        } else {
            facts.capabilities.without(capability)
        };
        facts.known = true;
    }
}

/// A6-01: what some articles write beside a model.
fn figures(deployment: &mut Deployment, metadata: &Node, reader: &mut Reader<'_>) {
    if let Some(tokens) = reader.count(metadata, "max_tokens") {
        deployment.facts.max_input_tokens = Some(tokens);
        deployment.facts.known = true;
    }
    if let Some(milliseconds) = reader.number(metadata, "latency") {
        if milliseconds <= 1e9 {
            deployment.latency_prior = Some(Duration::from_secs_f64(milliseconds / 1000.0));
        } else if let Some(node) = metadata.get("latency") {
            reader
                .findings
                .error(node.mark, "`latency` is in milliseconds", None);
        }
    }
    let Some(per_thousand) = reader.dollars(metadata, "cost") else {
        return;
    };
    let Some(mark) = metadata.get("cost").map(|node| node.mark) else {
        return;
    };
    if matches!(deployment.priced, Priced::Unknown) {
        let one = Usd(per_thousand.0 / 1000);
        deployment.price = Price {
            input: Some(one),
            output: Some(one),
            ..Price::UNKNOWN
        };
        deployment.priced = Priced::Metadata;
        reader.findings.warning(
            mark,
            "no price of this model is known: `cost` is taken for prompt and answer alike",
            Some(
                "write `input_cost_per_token` and `output_cost_per_token` under `model_info`"
                    .into(),
            ),
        );
    } else {
        reader.findings.warning(
            mark,
            "`cost` is not used: the price of this model is known",
            Some("to override it, write `input_cost_per_token` and `output_cost_per_token` under `model_info`".into()),
        );
    }
}

const MODES: &[(&str, Mode)] = &[
    ("chat", Mode::Chat),
    ("completion", Mode::Completion),
    ("embedding", Mode::Embedding),
    ("image_generation", Mode::ImageGeneration),
    ("image_edit", Mode::ImageEdit),
    ("audio_speech", Mode::AudioSpeech),
    ("audio_transcription", Mode::AudioTranscription),
    ("moderation", Mode::Moderation),
    ("rerank", Mode::Rerank),
    ("responses", Mode::Responses),
    ("realtime", Mode::Realtime),
    ("search", Mode::Search),
    ("ocr", Mode::Ocr),
    ("video_generation", Mode::VideoGeneration),
    ("vector_store", Mode::VectorStore),
    ("batch", Mode::Batch),
];

fn mode(word: &str) -> Option<Mode> {
    MODES
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, mode)| *mode)
}

/// Takes over what the catalog knows of a model.
pub(super) fn adopt(deployment: &mut Deployment, model: &Model) {
    if deployment.priced == Priced::Unknown {
        deployment.price = model.price;
        deployment.priced = Priced::Catalog;
    }
    if !deployment.facts.known {
        deployment.facts = Facts {
            known: true,
            ..model.facts
        };
    }
    deployment
        .catalog_name
        .get_or_insert(Cow::Borrowed(model.name));
}
