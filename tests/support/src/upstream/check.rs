//! What a strict provider objects to in a request.

use super::types::Table;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;

/// Headers that belong to the other side of a gateway.
const FOREIGN_HEADERS: &[&str] = &[
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
];

/// What is wrong with the headers.
///
/// `own` are headers that are strange elsewhere and right at this provider.
///
/// `kind` is what the body, if there is one, must say that it is.
pub(super) fn headers(headers: &HeaderMap, kind: Option<&str>, own: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in headers.keys() {
        let name = name.as_str();
        if FOREIGN_HEADERS.contains(&name) && !own.contains(&name)
            || name.starts_with("x-litellm-")
            || name.starts_with("x-pointsman-")
        {
            wrong.push(format!("the header {name} is not for a provider"));
        }
        if headers.get_all(name).iter().count() > 1 {
            wrong.push(format!("the header {name} came twice"));
        }
    }
    let authority = headers.contains_key(AUTHORIZATION);
    if authority && headers.contains_key("api-key") {
        wrong.push("two credentials".into());
    }
    if headers.get(HOST).is_some_and(HeaderValue::is_empty) {
        wrong.push("an empty Host".into());
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| !content_type.is_some_and(|told| told.starts_with(kind))) {
        wrong.push(format!("the content type is {content_type:?}"));
    }
    wrong
}

/// The object that a body is, and what is wrong with it at any provider.
pub(super) fn strict(bytes: &[u8]) -> (Value, Vec<String>) {
    let value = match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(value)) => value,
        Err(error) => return (Value::Null, vec![format!("the body: {error}")]),
    };
    let wrong = if value.is_object() {
        Vec::new()
    } else {
        vec!["the body is no object".into()]
    };
    (value, wrong)
}

/// What a request asks for, as far as it can be read, and what is wrong with it by a provider's types.
pub(super) fn body(bytes: &[u8], table: &Table, request: &str) -> (Value, Vec<String>) {
    let (value, mut wrong) = strict(bytes);
    if value.is_object() {
        wrong.extend(table.check(request, &value));
        wrong.extend(rules(&value));
    }
    (value, wrong)
}

/// What OpenAI's types cannot say.
fn rules(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if body["model"] == "" {
        wrong.push("`model` is empty".into());
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        wrong.push("`stream_options` without `stream`".into());
    }
    if body["messages"].as_array().is_some_and(Vec::is_empty) {
        wrong.push("`messages` is empty".into());
    }
    wrong
}

/// A JSON value in which no key stands twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut names = HashSet::new();
        let mut map = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if !names.insert(name.clone()) {
                return Err(de::Error::custom(format!("the key {name:?} stands twice")));
            }
            map.insert(name, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::body;
    use crate::upstream::types::OPENAI;

    fn wrong(text: &str) -> Vec<String> {
        body(text.as_bytes(), &OPENAI, "chat").1
    }

    #[test]
    fn a_plain_request_is_right() {
        let text = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"top_p":1}"#;
        assert_eq!(wrong(text), Vec::<String>::new());
    }

    #[test]
    fn a_key_that_stands_twice_is_wrong() {
        let text = r#"{"model":"m","model":"n","messages":[{"role":"user","content":"hi"}]}"#;
        assert!(wrong(text)[0].contains("stands twice"));
    }

    #[test]
    fn what_steers_a_gateway_is_wrong() {
        let text = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"tags":[],"num_retries":1}"#;
        assert_eq!(
            wrong(text),
            ["tags: no such member", "num_retries: no such member"]
        );
    }

    #[test]
    fn stream_options_without_a_stream_are_wrong() {
        let text =
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream_options":{}}"#;
        assert_eq!(wrong(text), ["`stream_options` without `stream`"]);
    }
}
