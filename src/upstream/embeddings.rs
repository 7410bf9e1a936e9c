//! Embeddings as OpenAI lists them, which Voyage and Jina do alike.
//!
//! Source: OpenAI API reference, "Create embeddings": `data[].embedding` is a list of numbers or
//! base64, `data[].index` its place.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::extras;
use super::protocol::{Ask, Told, Unfit, Unreadable};
use crate::call::Usage;
use crate::call::vectors::{EmbedAnswer, EmbedRequest, Vector};
use crate::wire::json;

/// A vector as the text of it stands in JSON.
pub fn vector(text: &[u8]) -> Result<Vector, Unreadable> {
    const STRANGE: &str = "An embedding is neither a list of numbers nor base64.";
    match text.first() {
        Some(b'"') => {
            let text = json::string(text).ok_or(Unreadable::new(STRANGE))?;
            Ok(Vector::Base64(text.into_owned()))
        }
        Some(b'[') => {
            let mut numbers = true;
            let walked = json::elements(text, |element| {
                numbers &= matches!(element.first(), Some(b'-' | b'0'..=b'9'));
            });
            let text = std::str::from_utf8(text)
                .ok()
                .filter(|_| numbers && walked.is_ok())
                .ok_or(Unreadable::new(STRANGE))?;
            Ok(Vector::Json(text.to_owned()))
        }
        _ => Err(Unreadable::new(STRANGE)),
    }
}

/// The vectors of a list, in the order of their places. `asked` is how many there must be.
pub fn listed(data: &[u8], asked: usize) -> Result<Vec<Vector>, Unreadable> {
    let mut places: Vec<Option<Vector>> = Vec::new();
    let mut fault = None;
    let mut next = 0_usize;
    let walked = json::elements(data, |element| {
        let (mut index, mut found) = (next, None);
        next += 1;
        let read = json::members(element, |member| match member.raw_name(element) {
            b"index" => {
                let text = std::str::from_utf8(member.value(element)).unwrap_or_default();
                index = text.parse().unwrap_or(index);
            }
            b"embedding" => found = Some(vector(member.value(element))),
            _ => {}
        });
        match found {
            Some(Ok(vector)) if read.is_ok() && index < asked => {
                if places.len() <= index {
                    places.resize(index + 1, None);
                }
                places[index] = Some(vector);
            }
            Some(Err(unreadable)) => fault = Some(unreadable),
            _ => fault = Some(Unreadable::new("An item of the list is no embedding.")),
        }
    });
    if walked.is_err() {
        return Err(Unreadable::new("`data` is no list."));
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    counted(places.into_iter().flatten().collect(), asked)
}

/// As many vectors as there were inputs, or an error that says how many there are.
pub fn counted(vectors: Vec<Vector>, asked: usize) -> Result<Vec<Vector>, Unreadable> {
    if vectors.len() == asked {
        return Ok(vectors);
    }
    let count = vectors.len();
    Err(Unreadable(Cow::Owned(format!(
        "It has {count} embeddings where {asked} were asked for."
    ))))
}

/// What every body begins with, and the names of what is left out: what the caller adds, and the model.
pub(super) fn begun(
    ask: &Ask<'_>,
    embed: &EmbedRequest,
) -> Result<(Map<String, Value>, Vec<&'static str>), Unfit> {
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
    if embed.user.is_some() {
        dropped.push("user");
    }
    Ok((body, dropped))
}

/// `{"data": [{"embedding", "index"}], "model", "usage": {"total_tokens"}}`.
pub(super) fn read_embed(body: &[u8], asked: usize) -> Result<EmbedAnswer, Unreadable> {
    let (mut data, mut model, mut usage) = (None, None, None);
    let read = json::members(body, |member| {
        let value = member.value(body);
        match member.raw_name(body) {
            b"data" => data = Some(listed(value, asked)),
            b"model" => model = json::string(value).map(Cow::into_owned),
            b"usage" => usage = serde_json::from_slice(value).ok().as_ref().and_then(total),
            _ => {}
        }
    });
    read.map_err(|_| Unreadable::new("It is no JSON object."))?;
    Ok(EmbedAnswer {
        model,
        vectors: data.ok_or(Unreadable::new("It has no `data`."))??,
        usage,
    })
}

/// `usage`, where only the total is sure to be there.
pub(super) fn total(usage: &Value) -> Option<Usage> {
    /// More than any model takes at once.
    const MOST: u64 = 1_000_000_000;
    let count = |name: &str| usage[name].as_u64().filter(|count| *count <= MOST);
    let prompt = count("prompt_tokens").or_else(|| count("total_tokens"))?;
    Some(Usage {
        prompt,
        ..Usage::default()
    })
}

/// `{"detail": "…"}`, or a list of what is wrong where.
pub(super) fn detail(body: &[u8]) -> Told {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = &value["detail"];
    let message = detail
        .as_str()
        .or_else(|| detail[0]["msg"].as_str())
        .or_else(|| value["message"].as_str());
    let place = detail[0]["loc"].as_array();
    Told {
        message: message.map(str::to_owned),
        param: place
            .and_then(|place| place.last()?.as_str())
            .map(str::to_owned),
        ..Told::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_their_places_with_every_digit() {
        let data = br#"[{"index":1,"embedding":"AAAA"},{"embedding":[0.10, -2e-7],"index":0}]"#;
        assert_eq!(
            listed(data, 2),
            Ok(vec![
                Vector::Json("[0.10, -2e-7]".into()),
                Vector::Base64("AAAA".into())
            ])
        );
    }

    #[test]
    fn a_list_with_gaps_or_strangers_is_unreadable() {
        for (data, asked) in [
            (r#"[{"index":0,"embedding":[1]}]"#, 2),
            (
                r#"[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]"#,
                2,
            ),
            (r#"[{"index":5,"embedding":[1]}]"#, 1),
            (r#"[{"index":0,"embedding":["x"]}]"#, 1),
            (r#"[{"index":0}]"#, 1),
            ("{}", 1),
        ] {
            assert!(listed(data.as_bytes(), asked).is_err(), "{data}");
        }
    }
}
