//! What a strict provider objects to in a request.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;

/// Fields that steer a gateway and that no provider may ever see.
const CONTROL: &[&str] = &[
    "mock_response",
    "mock_testing_fallbacks",
    "mock_timeout",
    "fallbacks",
    "context_window_fallbacks",
    "litellm_metadata",
    "litellm_call_id",
    "num_retries",
    "tags",
    "guardrails",
    "cache",
    "timeout",
    "stream_timeout",
    "api_key",
    "api_base",
    "base_url",
    "api_version",
    "custom_llm_provider",
    "extra_headers",
    "extra_body",
    "model_list",
];

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
    let Some(fields) = value.as_object() else {
        return (value, vec!["the body is no object".into()]);
    };
    let wrong = CONTROL
        .iter()
        .filter(|name| fields.contains_key(**name))
        .map(|name| format!("the field {name} is not for a provider"))
        .collect();
    (value, wrong)
}

/// What a request asks for, as far as it can be read, and what is wrong with it.
pub(super) fn body(bytes: &[u8], chat: bool) -> (Value, Vec<String>) {
    let (value, mut wrong) = strict(bytes);
    let Some(fields) = value.as_object() else {
        return (value, wrong);
    };
    if fields
        .get("model")
        .is_some_and(|model| model.as_str().is_none_or(str::is_empty))
    {
        wrong.push("`model` is no text".into());
    }
    if chat {
        wrong.extend(chat_fields(fields));
    }
    (value, wrong)
}

type Kind = fn(&Value) -> bool;

fn chat_fields(fields: &Map<String, Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    let kinds: &[(&str, Kind)] = &[
        ("stream", Value::is_boolean),
        ("temperature", Value::is_number),
        ("top_p", Value::is_number),
        ("max_tokens", Value::is_u64),
        ("max_completion_tokens", Value::is_u64),
        ("n", Value::is_u64),
        ("seed", Value::is_i64),
        ("tools", Value::is_array),
        ("response_format", Value::is_object),
        ("stream_options", Value::is_object),
        ("user", Value::is_string),
    ];
    for (name, right) in kinds {
        if fields
            .get(*name)
            .is_some_and(|value| !value.is_null() && !right(value))
        {
            wrong.push(format!("`{name}` is of the wrong type"));
        }
    }
    let streamed = fields.get("stream") == Some(&Value::Bool(true));
    if fields
        .get("stream_options")
        .is_some_and(|options| !options.is_null())
        && !streamed
    {
        wrong.push("`stream_options` without `stream`".into());
    }
    match fields.get("messages").and_then(Value::as_array) {
        None => wrong.push("`messages` is no list".into()),
        Some(messages) if messages.is_empty() => wrong.push("`messages` is empty".into()),
        Some(messages) => wrong.extend(messages.iter().filter_map(message)),
    }
    for tool in fields
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if tool["type"] == "function" && !tool["function"]["name"].is_string() {
            wrong.push("a tool without a name".into());
        }
    }
    wrong
}

fn message(message: &Value) -> Option<String> {
    const ROLES: &[&str] = &[
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
    ];
    let role = message["role"].as_str().unwrap_or_default();
    if !ROLES.contains(&role) {
        return Some(format!("a message with the role {role:?}"));
    }
    let content = &message["content"];
    let right = content.is_string()
        || content
            .as_array()
            .is_some_and(|parts| parts.iter().all(|part| part["type"].is_string()))
        || (content.is_null() && role == "assistant");
    (!right).then(|| format!("the content of a {role} message is of the wrong type"))
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

    fn wrong(text: &str) -> Vec<String> {
        body(text.as_bytes(), true).1
    }

    #[test]
    fn a_plain_request_is_right() {
        let text = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"top_k":3}"#;
        assert_eq!(wrong(text), Vec::<String>::new());
    }

    #[test]
    fn a_key_that_stands_twice_is_wrong() {
        let text = r#"{"model":"m","model":"n","messages":[{"role":"user","content":"hi"}]}"#;
        assert!(wrong(text)[0].contains("stands twice"));
    }

    #[test]
    fn what_steers_a_gateway_is_wrong() {
        let text = r#"{"messages":[{"role":"user","content":"hi"}],"tags":[],"num_retries":1}"#;
        assert_eq!(wrong(text).len(), 2);
    }

    #[test]
    fn stream_options_without_a_stream_are_wrong() {
        let text = r#"{"messages":[{"role":"user","content":"hi"}],"stream_options":{}}"#;
        assert_eq!(wrong(text), ["`stream_options` without `stream`"]);
    }
}
