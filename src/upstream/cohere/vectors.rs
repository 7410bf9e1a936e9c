//! Embeddings and rankings of Cohere's.

use serde_json::{Map, Value, json};

use super::units;
use crate::call::Usage;
use crate::call::vectors::{
    EmbedAnswer, EmbedInput, EmbedRequest, Encoding, RerankAnswer, RerankRequest, Vector,
};
use crate::upstream::embeddings::{counted, vector};
use crate::upstream::protocol::{Ask, Unfit, Unreadable, Written};
use crate::upstream::purpose::Purpose;
use crate::upstream::{documents, extras};
use crate::wire::json;

/// Writes the body of `/v2/embed`.
pub(super) fn write_embed(ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    extras::each(
        &embed.rest,
        &[],
        &ask.params,
        &mut dropped,
        |name, value| {
            body.insert(name.to_owned(), value.clone());
        },
    )?;
    body.insert("model".into(), ask.model.into());
    let image = inputs(&embed.inputs, &mut body)?;
    body.insert("input_type".into(), input_type(embed, image).into());
    let encoding = match embed.encoding {
        Encoding::Float => "float",
        Encoding::Base64 => "base64",
    };
    body.entry("embedding_types")
        .or_insert_with(|| json!([encoding]));
    if let Some(dimensions) = embed.dimensions {
        body.insert("output_dimension".into(), dimensions.into());
    }
    if embed.user.is_some() {
        dropped.push("user");
    }
    Ok(Written {
        body: Value::Object(body).to_string().into(),
        dropped,
        ..Written::default()
    })
}

/// Puts what is to be embedded; says whether all of it is images.
fn inputs(inputs: &[EmbedInput], body: &mut Map<String, Value>) -> Result<bool, Unfit> {
    let (mut texts, mut images, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        both.push(match input {
            EmbedInput::Text(text) => {
                texts.push(text.as_str());
                json!({"content": [{"type": "text", "text": text}]})
            }
            EmbedInput::Image(url) => {
                images.push(url.as_str());
                json!({"content": [{"type": "image_url", "image_url": {"url": url}}]})
            }
            EmbedInput::Tokens(_) => {
                return Err(Unfit::new(
                    Some("input"),
                    "Cohere embeds words, not tokens.",
                ));
            }
        });
    }
    let (name, value) = match (texts.is_empty(), images.is_empty()) {
        (_, true) => ("texts", json!(texts)),
        (true, false) => ("images", json!(images)),
        (false, false) => ("inputs", both.into()),
    };
    body.insert(name.into(), value);
    Ok(name == "images")
}

/// Cohere wants to know what its vectors are for; `LiteLLM` says documents where the caller says
/// nothing.
fn input_type(embed: &EmbedRequest, image: bool) -> &str {
    let Some(word) = embed.purpose.as_deref() else {
        return if image { "image" } else { "search_document" };
    };
    match Purpose::read(word) {
        Some(Purpose::Query) => "search_query",
        Some(Purpose::Document) => "search_document",
        Some(Purpose::Classification) => "classification",
        Some(Purpose::Clustering | Purpose::Similarity) => "clustering",
        None => word,
    }
}

/// Reads the answer of `/v2/embed`.
pub(super) fn read_embed(body: &[u8], asked: usize) -> Result<EmbedAnswer, Unreadable> {
    let (mut vectors, mut meta) = (None, None);
    let read = json::members(body, |member| match member.raw_name(body) {
        b"embeddings" => vectors = Some(by_type(member.value(body))),
        b"meta" => meta = Some(member.value(body)),
        _ => {}
    });
    read.map_err(|_| Unreadable::new("It is no JSON object."))?;
    let vectors = vectors.ok_or(Unreadable::new("It has no `embeddings`."))??;
    let meta: Value = meta
        .and_then(|meta| serde_json::from_slice(meta).ok())
        .unwrap_or_default();
    let billed = &meta["billed_units"];
    let count = |name: &str| billed[name].as_f64().map(units);
    // `input_tokens` is all of them, where images and words are told apart besides.
    let apart = || {
        let (text, image) = (count("text_tokens"), count("image_tokens"));
        (text.is_some() || image.is_some())
            .then(|| text.unwrap_or_default() + image.unwrap_or_default())
    };
    let prompt = count("input_tokens").or_else(apart);
    Ok(EmbedAnswer {
        model: None,
        vectors: counted(vectors, asked)?,
        usage: prompt.map(|prompt| Usage {
            prompt,
            ..Usage::default()
        }),
    })
}

/// The vectors of the first type that there is: `{"float": [[…], …]}`.
fn by_type(text: &[u8]) -> Result<Vec<Vector>, Unreadable> {
    let mut lists = None;
    let read = json::members(text, |member| {
        if lists.is_none() && member.value(text).first() == Some(&b'[') {
            lists = Some(member.value(text));
        }
    });
    let lists = lists
        .filter(|_| read.is_ok())
        .ok_or(Unreadable::new("`embeddings` has no list."))?;
    let mut vectors = Vec::new();
    json::elements(lists, |element| vectors.push(vector(element)))
        .map_err(|_| Unreadable::new("`embeddings` has no list."))?;
    vectors.into_iter().collect()
}

/// Writes the body of `/v2/rerank`.
pub(super) fn write_rerank(ask: &Ask<'_>, rerank: &RerankRequest) -> Result<Written, Unfit> {
    let (mut body, dropped) = documents::to_rank(ask, rerank)?;
    if let Some(top_n) = rerank.top_n {
        body.insert("top_n".into(), top_n.into());
    }
    if let Some(most) = rerank.max_tokens_per_doc {
        body.insert("max_tokens_per_doc".into(), most.into());
    }
    Ok(Written {
        body: Value::Object(body).to_string().into(),
        dropped,
        ..Written::default()
    })
}

/// Reads the answer of `/v2/rerank`.
pub(super) fn read_rerank(body: &[u8]) -> Result<RerankAnswer, Unreadable> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no JSON."))?;
    let meta = &value["meta"];
    let tokens = meta["tokens"]["input_tokens"].as_f64().map(units);
    Ok(RerankAnswer {
        id: value["id"].as_str().map(str::to_owned),
        results: documents::ranked(&value["results"])?,
        usage: tokens.map(|prompt| Usage {
            prompt,
            ..Usage::default()
        }),
        searches: meta["billed_units"]["search_units"].as_f64().map(units),
    })
}
