//! Embeddings of Ollama's.

use serde_json::{Map, Value, json};

use super::chat::extras;
use super::response::usage;
use crate::call::vectors::{EmbedAnswer, EmbedInput, EmbedRequest};
use crate::upstream::embeddings::{counted, vector};
use crate::upstream::protocol::{Ask, Unfit, Unreadable, Written};
use crate::wire::json;

/// Writes the body of `/api/embed`. Vectors come as numbers, however the caller wants them.
pub(super) fn write(ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
    let mut dropped = Vec::new();
    let mut texts = Vec::new();
    for input in &embed.inputs {
        let EmbedInput::Text(text) = input else {
            return Err(Unfit::new(Some("input"), "Ollama embeds words only."));
        };
        texts.push(text.as_str());
    }
    let (mut body, mut options) = (Map::new(), Map::new());
    body.insert("model".into(), ask.model.into());
    body.insert("input".into(), json!(texts));
    let mut rest = embed.rest.clone();
    if let Some(truncate) = rest.remove("truncate") {
        body.insert("truncate".into(), truncate);
    }
    extras(&rest, &ask.params, &mut dropped, &mut options, &mut body)?;
    if !options.is_empty() {
        body.insert("options".into(), options.into());
    }
    if let Some(dimensions) = embed.dimensions {
        body.insert("dimensions".into(), dimensions.into());
    }
    for (name, given) in [
        ("user", embed.user.is_some()),
        ("input_type", embed.purpose.is_some()),
    ] {
        if given {
            dropped.push(name);
        }
    }
    Ok(Written {
        body: Value::Object(body).to_string().into(),
        dropped,
        ..Written::default()
    })
}

/// Reads the answer of `/api/embed`.
pub(super) fn read(body: &[u8], asked: usize) -> Result<EmbedAnswer, Unreadable> {
    const NO_LIST: Unreadable = Unreadable(std::borrow::Cow::Borrowed("It has no `embeddings`."));
    let (mut lists, mut model, mut count) = (None, None, None);
    let read = json::members(body, |member| {
        let value = member.value(body);
        match member.raw_name(body) {
            b"embeddings" => lists = Some(value),
            b"model" => model = json::string(value).map(std::borrow::Cow::into_owned),
            b"prompt_eval_count" => count = serde_json::from_slice::<Value>(value).ok(),
            _ => {}
        }
    });
    read.map_err(|_| Unreadable::new("It is no JSON object."))?;
    let mut vectors = Vec::new();
    json::elements(lists.ok_or(NO_LIST)?, |element| {
        vectors.push(vector(element));
    })
    .map_err(|_| NO_LIST)?;
    let vectors = vectors.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(EmbedAnswer {
        model,
        vectors: counted(vectors, asked)?,
        usage: count.and_then(|count| usage(&json!({"prompt_eval_count": count}))),
    })
}
