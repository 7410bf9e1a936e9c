//! Embeddings as OpenAI lists them, which Voyage and Jina do alike.
//!
//! Source: OpenAI API reference, "Create embeddings": `data[].embedding` is a list of numbers or
//! base64, `data[].index` its place.

use std::borrow::Cow;

use super::protocol::Unreadable;
use crate::call::vectors::Vector;
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
