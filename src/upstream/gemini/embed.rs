//! Embeddings.
//!
//! Source: Google's API reference, `batchEmbedContents`; Vertex AI's, `predict` of text embeddings.

use serde_json::{Map, Value, json};

use super::Flavour;
use crate::call::Usage;
use crate::call::vectors::{EmbedAnswer, EmbedInput, EmbedRequest, Vector};
use crate::upstream::embeddings::{counted, vector};
use crate::upstream::protocol::{Ask, Unfit, Unreadable, Written};
use crate::upstream::purpose::Purpose;
use crate::wire::{gemini, json};

/// Writes the inputs.
pub(super) fn write(
    ask: &Ask<'_>,
    flavour: Flavour,
    embed: &EmbedRequest,
) -> Result<Written, Unfit> {
    let mut dropped = Vec::new();
    let mut rest = embed.rest.clone();
    rest.remove("model");
    if embed.user.is_some() {
        dropped.push("user");
    }
    let purpose = gemini::take(&mut rest, "taskType")
        .or_else(|| rest.remove("input_type"))
        .and_then(|word| word.as_str().map(str::to_owned))
        .or_else(|| embed.purpose.clone())
        .map(|word| task_type(&word));
    let title = gemini::take(&mut rest, "title");
    let dimensions = embed
        .dimensions
        .map(Value::from)
        .or_else(|| gemini::take(&mut rest, "outputDimensionality"));
    let truncate = gemini::take(&mut rest, "autoTruncate");
    if let Some(name) = rest.keys().next() {
        if !ask.params.drop {
            return Err(Unfit {
                param: Some(name.clone().into()),
                what: format!("does not support parameters: ['{name}']").into(),
                droppable: true,
            });
        }
        dropped.push("extra_body");
    }
    let body = match flavour {
        Flavour::Api => {
            let model = super::resource(ask.model);
            let mut requests = Vec::with_capacity(embed.inputs.len());
            for input in &embed.inputs {
                let mut request = Map::new();
                request.insert("model".to_owned(), model.clone().into());
                request.insert("content".to_owned(), json!({"parts": [part(input)?]}));
                let mut put = |name: &str, value: Option<Value>| {
                    value.map(|value| request.insert(name.to_owned(), value))
                };
                put("taskType", purpose.clone().map(Value::from));
                put("title", title.clone());
                put("outputDimensionality", dimensions.clone());
                requests.push(Value::Object(request));
            }
            json!({ "requests": requests })
        }
        Flavour::Vertex => {
            let mut instances = Vec::with_capacity(embed.inputs.len());
            for input in &embed.inputs {
                let EmbedInput::Text(text) = input else {
                    return Err(only_words());
                };
                let mut instance = Map::from_iter([("content".to_owned(), text.clone().into())]);
                if let Some(purpose) = &purpose {
                    instance.insert("task_type".to_owned(), purpose.clone().into());
                }
                if let Some(title) = &title {
                    instance.insert("title".to_owned(), title.clone());
                }
                instances.push(Value::Object(instance));
            }
            let mut body = json!({ "instances": instances });
            let mut parameters = Map::new();
            if let Some(dimensions) = dimensions {
                parameters.insert("outputDimensionality".to_owned(), dimensions);
            }
            if let Some(truncate) = truncate {
                parameters.insert("autoTruncate".to_owned(), truncate);
            }
            if !parameters.is_empty() {
                body["parameters"] = Value::Object(parameters);
            }
            body
        }
    };
    Ok(Written {
        body: body.to_string().into(),
        dropped,
        ..Written::default()
    })
}

fn only_words() -> Unfit {
    Unfit::new(
        Some("input"),
        "takes words to embed, neither tokens nor images",
    )
}

fn part(input: &EmbedInput) -> Result<Value, Unfit> {
    match input {
        EmbedInput::Text(text) => Ok(json!({ "text": text })),
        EmbedInput::Image(url) => {
            let (mime, data) = url
                .strip_prefix("data:")
                .and_then(|rest| rest.split_once(";base64,"))
                .ok_or_else(|| Unfit::new(Some("input"), "takes an image only as bytes"))?;
            Ok(json!({"inlineData": {"mimeType": mime, "data": data}}))
        }
        EmbedInput::Tokens(_) => Err(only_words()),
    }
}

fn task_type(word: &str) -> String {
    let known = match Purpose::read(word) {
        Some(Purpose::Query) => "RETRIEVAL_QUERY",
        Some(Purpose::Document) => "RETRIEVAL_DOCUMENT",
        Some(Purpose::Classification) => "CLASSIFICATION",
        Some(Purpose::Clustering) => "CLUSTERING",
        Some(Purpose::Similarity) => "SEMANTIC_SIMILARITY",
        None => return word.to_ascii_uppercase(),
    };
    known.to_owned()
}

/// Reads the vectors; there must be as many as were asked for.
pub(super) fn read(flavour: Flavour, body: &[u8], asked: usize) -> Result<EmbedAnswer, Unreadable> {
    let (list, usage_name): (_, &[u8]) = match flavour {
        Flavour::Api => (json::member(body, b"embeddings"), b"usageMetadata"),
        Flavour::Vertex => (json::member(body, b"predictions"), b""),
    };
    let list = list.ok_or_else(strange)?;
    let mut vectors = Vec::new();
    let mut fault = None;
    let mut counted_tokens = None;
    let walked = json::elements(list, |item| {
        let embedding = match flavour {
            Flavour::Api => Some(item),
            Flavour::Vertex => json::member(item, b"embeddings"),
        };
        match embedding.map(one) {
            Some(Ok(found)) => vectors.push(found),
            Some(Err(unreadable)) => fault = Some(unreadable),
            None => fault = Some(strange()),
        }
        if let Some(tokens) = embedding.and_then(tokens) {
            counted_tokens = Some(counted_tokens.unwrap_or(0) + tokens);
        }
    });
    if walked.is_err() {
        return Err(strange());
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    let told = json::member(body, usage_name)
        .and_then(|usage| serde_json::from_slice::<gemini::UsageMetadata>(usage).ok());
    Ok(EmbedAnswer {
        model: None,
        vectors: counted(vectors, asked)?,
        usage: told
            .map(|usage| usage.prompt_token_count)
            .or(counted_tokens)
            .map(|prompt| Usage {
                prompt,
                ..Usage::default()
            }),
    })
}

fn strange() -> Unreadable {
    Unreadable::new("It holds no embeddings.")
}

fn one(embedding: &[u8]) -> Result<Vector, Unreadable> {
    vector(json::member(embedding, b"values").ok_or_else(strange)?)
}

/// Vertex AI counts for each input, as a float.
fn tokens(embedding: &[u8]) -> Option<u64> {
    let count = json::member(json::member(embedding, b"statistics")?, b"token_count")?;
    let count: f64 = std::str::from_utf8(count).ok()?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and a negative count is to read as zero"
    )]
    let count = count as u32;
    Some(count.into())
}
