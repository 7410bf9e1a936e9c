//! What a request says of itself for whoever reads the spend log: end user, tags, session, metadata.
//!
//! Sources: LiteLLM proxy documentation, "Customers / End-User Budgets", "Tag Budgets", "Custom spend
//! logs metadata". A header stands before the body.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::{Field, Peek};
use crate::wire::json;

/// Longest metadata of a request that is kept.
const MAX_METADATA_BYTES: usize = 64 << 10;
/// Most tags of a request that are counted.
const MOST_TAGS: usize = 32;
/// Longest name of an end user, a session or a tag that is kept.
const MAX_NAME_BYTES: usize = 256;

const END_USER: [HeaderName; 2] = [
    HeaderName::from_static("x-litellm-customer-id"),
    HeaderName::from_static("x-litellm-end-user-id"),
];
const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const METADATA: HeaderName = HeaderName::from_static("x-litellm-spend-logs-metadata");
const SESSION: [HeaderName; 2] = [
    HeaderName::from_static("x-litellm-session-id"),
    HeaderName::from_static("x-litellm-trace-id"),
];

/// The other end of the connection that a request came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Where a request came from, and what its headers say of it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The caller's address.
    pub ip: Option<IpAddr>,
    /// The end user that it is counted for.
    pub end_user: Option<Arc<str>>,
    /// What else its headers say, if they do.
    pub headers: Option<Box<Said>>,
    /// Whether it may have a word of its own on the spend log in its body.
    pub in_body: bool,
}

/// What headers say for the spend log.
#[derive(Clone, Debug, Default)]
pub struct Said {
    tags: Option<HeaderValue>,
    metadata: Option<HeaderValue>,
    session: Option<HeaderValue>,
}

/// What the spend log keeps of what a request says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Tags, each once.
    pub tags: Vec<String>,
    /// The conversation that it is part of.
    pub session: Option<String>,
    /// Free facts.
    pub metadata: Map<String, Value>,
}

impl About {
    /// Reads what headers and body say; `own` is the file's own header for the end user. Costs a look
    /// at each name and copies next to nothing.
    pub fn read(
        headers: &HeaderMap,
        own: Option<&HeaderName>,
        ip: Option<IpAddr>,
        body: &[u8],
        peek: &Peek,
    ) -> Self {
        let first = |names: &[HeaderName]| names.iter().find_map(|name| headers.get(name));
        let header = own
            .and_then(|own| headers.get(own))
            .or_else(|| first(&END_USER));
        let told = || {
            peek.text(body, Field::User)
                .or_else(|| peek.text(body, Field::UserId))
        };
        let end_user = match header.and_then(|value| value.to_str().ok()) {
            Some(text) => named(text),
            None => told().and_then(|text| named(&text)),
        };
        let in_body = [
            Field::Metadata,
            Field::LitellmMetadata,
            Field::Tags,
            Field::SessionId,
            Field::TraceId,
        ]
        .into_iter()
        .any(|field| peek.get(field).is_some());
        let said = Said {
            tags: headers.get(&TAGS).cloned(),
            metadata: headers.get(&METADATA).cloned(),
            session: first(&SESSION).cloned(),
        };
        let end_user = match end_user {
            None if in_body => of_metadata(body, peek),
            end_user => end_user,
        };
        let says = said.tags.is_some() || said.metadata.is_some() || said.session.is_some();
        Self {
            ip,
            end_user,
            headers: says.then(|| Box::new(said)),
            in_body,
        }
    }

    /// Everything that the request says for the spend log.
    pub fn notes(&self, body: &[u8], peek: &Peek) -> Notes {
        let mut notes = Notes::default();
        if self.in_body {
            notes.of_body(body, peek);
        }
        if let Some(said) = &self.headers {
            notes.of_headers(said);
        }
        notes
    }
}

/// Makes the headers name this end user and no other, for callers whose end user is known.
pub fn name_end_user(headers: &mut HeaderMap, own: Option<&HeaderName>, id: &HeaderValue) {
    for name in END_USER.iter().chain(own) {
        headers.remove(name);
    }
    headers.insert(END_USER[0].clone(), id.clone());
}

impl Notes {
    fn of_body(&mut self, body: &[u8], peek: &Peek) {
        for field in [Field::LitellmMetadata, Field::Metadata] {
            for (name, value) in object(body, peek, field) {
                match (name.as_str(), value) {
                    ("tags", value) => self.add_tags(&value),
                    ("session_id" | "trace_id", Value::String(id)) => {
                        self.session.get_or_insert(id.clone());
                        self.metadata.insert(name, Value::String(id));
                    }
                    (_, value) => {
                        self.metadata.insert(name, value);
                    }
                }
            }
        }
        if let Some(tags) = peek.value(body, Field::Tags)
            && let Ok(tags) = serde_json::from_slice(tags)
        {
            self.add_tags(&tags);
        }
        let session = [Field::SessionId, Field::TraceId]
            .into_iter()
            .find_map(|field| peek.text(body, field));
        if let Some(session) = session {
            self.session = Some(session.into_owned());
        }
        self.session = self.session.take().filter(|id| id.len() <= MAX_NAME_BYTES);
    }

    fn of_headers(&mut self, said: &Said) {
        if let Some(tags) = said.tags.as_ref().and_then(|tags| tags.to_str().ok()) {
            tags.split(',').for_each(|tag| self.add_tag(tag));
        }
        let metadata = said
            .metadata
            .as_ref()
            .filter(|text| text.len() <= MAX_METADATA_BYTES);
        if let Some(Ok(Value::Object(metadata))) =
            metadata.map(|text| serde_json::from_slice(text.as_bytes()))
        {
            self.metadata
                .insert("spend_logs_metadata".to_owned(), Value::Object(metadata));
        }
        if let Some(session) = said.session.as_ref().and_then(|id| id.to_str().ok()) {
            self.session = Some(session.to_owned()).filter(|id| id.len() <= MAX_NAME_BYTES);
        }
    }

    fn add_tags(&mut self, tags: &Value) {
        match tags {
            Value::Array(tags) => tags
                .iter()
                .filter_map(Value::as_str)
                .for_each(|tag| self.add_tag(tag)),
            Value::String(tags) => tags.split(',').for_each(|tag| self.add_tag(tag)),
            _ => {}
        }
    }

    /// Adds a tag that is not there yet.
    pub fn add_tag(&mut self, tag: &str) {
        let tag = tag.trim();
        let fits = !tag.is_empty() && tag.len() <= MAX_NAME_BYTES && self.tags.len() < MOST_TAGS;
        if fits && !self.tags.iter().any(|known| known == tag) {
            self.tags.push(tag.to_owned());
        }
    }
}

/// The members of an object of the body.
fn object(body: &[u8], peek: &Peek, field: Field) -> Map<String, Value> {
    let text = peek
        .value(body, field)
        .filter(|text| text.len() <= MAX_METADATA_BYTES);
    match text.map(serde_json::from_slice) {
        Some(Ok(Value::Object(members))) => members,
        _ => Map::new(),
    }
}

/// `metadata.user_id`, which Anthropic's clients send.
fn of_metadata(body: &[u8], peek: &Peek) -> Option<Arc<str>> {
    let text = peek.value(body, Field::Metadata)?;
    let mut found = None;
    json::members(text, |member| {
        if member.raw_name(text) == b"user_id" {
            found = json::string(member.value(text));
        }
    })
    .ok()?;
    named(&found?)
}

fn named(text: &str) -> Option<Arc<str>> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_NAME_BYTES).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::call::peek::peek;

    fn read(headers: &[(&'static str, &'static str)], body: &str) -> (Option<String>, Notes) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let found = peek(body.as_bytes()).unwrap();
        let about = About::read(&map, None, None, body.as_bytes(), &found);
        let notes = about.notes(body.as_bytes(), &found);
        (about.end_user.map(|user| user.to_string()), notes)
    }

    #[test]
    fn the_end_user_is_found_wherever_clients_put_it() {
        for (headers, body, user) in [
            (&[][..], r#"{"user":"ada"}"#, Some("ada")),
            (&[], r#"{"user_id":"ada"}"#, Some("ada")),
            (&[], r#"{"user":"eve","user_id":"ada"}"#, Some("eve")),
            (&[], r#"{"metadata":{"user_id":"ada"}}"#, Some("ada")),
            (
                &[("x-litellm-end-user-id", "ada")],
                r#"{"user":"eve"}"#,
                Some("ada"),
            ),
            (
                &[("x-litellm-customer-id", "ada")],
                r#"{"user":"eve"}"#,
                Some("ada"),
            ),
            (&[], r#"{"user":" "}"#, None),
            (&[], r#"{"user":7}"#, None),
        ] {
            assert_eq!(read(headers, body).0.as_deref(), user, "{body}");
        }
    }

    #[test]
    fn tags_and_metadata_are_gathered() {
        let (_, notes) = read(
            &[
                ("x-litellm-tags", "b, c"),
                ("x-litellm-spend-logs-metadata", r#"{"job":1}"#),
            ],
            r#"{"metadata":{"tags":["a","b"],"feature":"chat","session_id":"s"},"tags":["d"]}"#,
        );
        assert_eq!(notes.tags, ["a", "b", "d", "c"].map(String::from));
        assert_eq!(notes.session.as_deref(), Some("s"));
        let expected =
            json!({"feature": "chat", "session_id": "s", "spend_logs_metadata": {"job": 1}});
        assert_eq!(Value::Object(notes.metadata), expected);
    }

    #[test]
    fn what_is_no_metadata_is_passed_over() {
        let (_, notes) = read(
            &[("x-litellm-spend-logs-metadata", "no json")],
            r#"{"metadata":7,"tags":{}}"#,
        );
        assert_eq!(notes, Notes::default());
    }
}
