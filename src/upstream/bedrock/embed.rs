//! Embeddings by `InvokeModel`, each maker's in its own form: Amazon's Titan and Cohere's.
//!
//! Titan embeds one text at a time.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::call::Usage;
use crate::call::vectors::{EmbedAnswer, EmbedInput, EmbedRequest, Vector};
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Unfit, Unreadable, Written};
use crate::wire::anthropic::Count;
use crate::wire::bedrock::{Maker, Model};

/// Writes a request for embeddings.
pub(super) fn write(ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
    let model = Model::of(ask.model);
    let mut dropped = Vec::new();
    let mut body = Map::new();
    let params = &ask.params;
    extras::each(&embed.rest, &[], params, &mut dropped, |name, value| {
        body.insert(name.to_owned(), value.clone());
    })?;
    match model.maker() {
        Maker::Titan => titan(model, embed, &mut body, |name| {
            params.lacks(name, &mut dropped)
        })?,
        Maker::Cohere => cohere(model, embed, &mut body, |name| {
            params.lacks(name, &mut dropped)
        })?,
        _ => return Err(Unfit::task("embeddings by this model")),
    }
    Ok(Written {
        body: Bytes::from(Value::Object(body).to_string()),
        headers: Vec::new(),
        dropped,
    })
}

fn titan(
    model: Model<'_>,
    embed: &EmbedRequest,
    body: &mut Map<String, Value>,
    mut lacks: impl FnMut(&'static str) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    let [input] = embed.inputs.as_slice() else {
        return Err(Unfit::new(Some("input"), "embeds one text at a time"));
    };
    let images = model.id.contains("titan-embed-image");
    match input {
        EmbedInput::Text(text) => body.insert("inputText".to_owned(), json!(text)),
        EmbedInput::Image(url) if images => {
            let data = url.split_once("base64,").map(|(_, data)| data);
            let data =
                data.ok_or_else(|| Unfit::new(Some("input"), "takes images only as bytes"))?;
            body.insert("inputImage".to_owned(), json!(data))
        }
        _ => return Err(Unfit::new(Some("input"), "embeds only text")),
    };
    let Some(dimensions) = embed.dimensions else {
        return Ok(());
    };
    if images {
        let config = json!({"outputEmbeddingLength": dimensions});
        body.insert("embeddingConfig".to_owned(), config);
    } else if model.id.contains("v2") {
        body.insert("dimensions".to_owned(), json!(dimensions));
    } else {
        lacks("dimensions")?;
    }
    Ok(())
}

fn cohere(
    model: Model<'_>,
    embed: &EmbedRequest,
    body: &mut Map<String, Value>,
    mut lacks: impl FnMut(&'static str) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for input in &embed.inputs {
        match input {
            EmbedInput::Text(text) => texts.push(json!(text)),
            EmbedInput::Image(url) => images.push(json!(url)),
            EmbedInput::Tokens(_) => {
                return Err(Unfit::new(Some("input"), "embeds texts, not tokens"));
            }
        }
    }
    let usual = if images.is_empty() {
        "search_document"
    } else {
        "image"
    };
    for (name, list) in [("texts", texts), ("images", images)] {
        if !list.is_empty() {
            body.insert(name.to_owned(), Value::Array(list));
        }
    }
    let purpose = match embed.purpose.as_deref() {
        Some("query") => "search_query",
        Some("document") => "search_document",
        Some(other) => other,
        None => usual,
    };
    body.entry("input_type").or_insert_with(|| json!(purpose));
    match embed.dimensions {
        Some(dimensions) if model.id.contains("embed-v4") => {
            body.insert("output_dimension".to_owned(), json!(dimensions));
        }
        Some(_) => lacks("dimensions")?,
        None => {}
    }
    Ok(())
}

/// Either maker's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read<'a> {
    #[serde(borrow)]
    embedding: Option<&'a RawValue>,
    #[serde(borrow)]
    embeddings: Option<&'a RawValue>,
    input_text_token_count: Option<Count>,
}

/// Cohere's vectors, which stand by their type where a type was asked for.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    float: Vec<&'a RawValue>,
}

/// Reads embeddings; there must be `asked`.
pub(super) fn read(body: &[u8], asked: usize) -> Result<EmbedAnswer, Unreadable> {
    let wrong = || Unreadable::new("It has no embeddings.");
    let read: Read<'_> = serde_json::from_slice(body).map_err(|_| wrong())?;
    let list: Vec<&RawValue> = match (read.embedding, read.embeddings) {
        (Some(one), _) => vec![one],
        (None, Some(raw)) => serde_json::from_str(raw.get())
            .or_else(|_| serde_json::from_str(raw.get()).map(|typed: Typed<'_>| typed.float))
            .map_err(|_| wrong())?,
        (None, None) => return Err(wrong()),
    };
    if list.len() != asked {
        return Err(Unreadable::new(
            "It has not as many embeddings as were asked for.",
        ));
    }
    if list.iter().any(|vector| !vector.get().starts_with('[')) {
        return Err(wrong());
    }
    let vectors = list
        .into_iter()
        .map(|raw| Vector::Json(raw.get().to_owned()));
    Ok(EmbedAnswer {
        model: None,
        vectors: vectors.collect(),
        usage: read.input_text_token_count.map(|count| Usage {
            prompt: count.0,
            ..Usage::default()
        }),
    })
}
