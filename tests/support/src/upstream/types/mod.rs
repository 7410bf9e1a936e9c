//! What each provider takes, by the request types of its own SDK.
//!
//! The tables in `tests/support/types` are made by `tests/sdk/python/request_types`, and a test of
//! `tests/sdk.rs` fails when they are out of step with the SDKs that are pinned there.

mod check;
mod form;
mod google;

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A type of an API.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    Any,
    Text,
    Int,
    Number,
    Bool,
    Null,
    /// In base64.
    Bytes,
    /// A file of a form.
    File,
    List(Box<Type>),
    Map(Box<Type>),
    Or(Vec<Type>),
    /// One of several values.
    Is(Vec<Value>),
    /// A type with members, by its name.
    Of(String),
    Bounded(Bounded),
}

/// A type with bounds: of a number its value, of a text its characters, of others their length.
#[derive(Debug, Deserialize)]
pub(super) struct Bounded {
    kind: Box<Type>,
    min: Option<f64>,
    max: Option<f64>,
    pattern: Option<String>,
}

/// A type with members.
#[derive(Debug, Deserialize)]
#[serde(from = "Written")]
pub(super) struct Members {
    known: BTreeMap<String, (Type, Needed)>,
    /// Of what type every other member is; `None` where there may be none.
    more: Option<Type>,
    /// Whether exactly one member is there.
    union: bool,
}

type Needed = bool;

/// Members as the tables have them: the name of one that must be there ends in `!`.
#[derive(Deserialize)]
struct Written {
    members: BTreeMap<String, Type>,
    more: Option<Type>,
    #[serde(default)]
    union: bool,
}

impl From<Written> for Members {
    fn from(written: Written) -> Self {
        let members = written.members.into_iter();
        let known = members.map(|(name, kind)| match name.strip_suffix('!') {
            Some(name) => (name.to_owned(), (kind, true)),
            None => (name, (kind, false)),
        });
        Self {
            known: known.collect(),
            more: written.more,
            union: written.union,
        }
    }
}

/// The requests of one SDK, and the types that they are made of.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    requests: BTreeMap<String, Type>,
    types: BTreeMap<String, Members>,
}

impl Table {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).expect("a table that request_types wrote")
    }

    /// What in a body is not of the request's type, each with where it stands.
    pub(super) fn check(&self, request: &str, body: &Value) -> Vec<String> {
        check::faults(self, self.request(request), body)
    }

    /// The fields of a form as what they are in JSON.
    pub(super) fn form(&self, request: &str, fields: &Value) -> Value {
        form::read(self, self.request(request), fields)
    }

    /// A body as Google's parser reads it.
    pub(super) fn plain(&self, request: &str, body: &Value) -> Value {
        google::read(self, self.request(request), body)
    }

    /// Whether there is a request of this name.
    pub(super) fn knows(&self, request: &str) -> bool {
        self.requests.contains_key(request)
    }

    fn request(&self, name: &str) -> &Type {
        let known = self.requests.get(name);
        known.unwrap_or_else(|| panic!("no request {name}"))
    }

    /// The members of a type that has some.
    fn members<'t>(&'t self, kind: &'t Type) -> Option<&'t Members> {
        match kind {
            Type::Of(name) => Some(&self.types[name]),
            Type::Bounded(bounded) => self.members(&bounded.kind),
            _ => None,
        }
    }
}

macro_rules! tables {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Table> =
            LazyLock::new(|| Table::read(include_str!(concat!("../../../types/", $file, ".json"))));)*
    };
}

tables! {
    ANTHROPIC = "anthropic";
    ANTHROPIC_2023_06_01 = "anthropic-2023-06-01";
    BEDROCK = "bedrock";
    COHERE = "cohere";
    GEMINI = "gemini";
    GROQ = "groq";
    MISTRAL = "mistral";
    OLLAMA = "ollama";
    OPENAI = "openai";
    VERTEX = "vertex";
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Table {
        let table = json!({
            "requests": {"chat": {"of": "Chat"}},
            "types": {
                "Chat": {"members": {
                    "model!": "text",
                    "n": {"or": ["int", "null"]},
                    "messages!": {"list": {"or": [{"of": "User"}, {"of": "Tool"}]}},
                    "labels": {"map": "text"},
                    "format": {"or": [{"is": ["auto"]}, {"of": "Schema"}]},
                    "name": {"bounded": {"kind": "text", "min": 1, "max": 3, "pattern": "[a-z]*"}},
                    "one": {"of": "One"}}},
                "User": {"members": {"role!": {"is": ["user"]},
                    "content!": {"or": ["text", {"list": {"of": "Part"}}]}}},
                "Tool": {"members": {"role!": {"is": ["tool"]}, "id!": "text"}},
                "Part": {"members": {"type!": {"is": ["text"]}, "text!": "text"}},
                "Schema": {"members": {"type!": {"is": ["schema"]}}, "more": "any"},
                "One": {"members": {"a": "text", "b": "bytes"}, "union": true}}});
        Table::read(&table.to_string())
    }

    fn wrong(name: &str, value: Value) -> Vec<String> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body[name] = value;
        table().check("chat", &body)
    }

    #[test]
    fn what_the_types_know_is_right() {
        for (name, value) in [
            ("n", json!(null)),
            ("labels", json!({"a": "b"})),
            ("format", json!("auto")),
            ("format", json!({"type": "schema", "deep": [1]})),
            ("name", json!("abc")),
            ("one", json!({"b": "AAA="})),
            ("messages", json!([{"role": "tool", "id": "1"}])),
            (
                "messages",
                json!([{"role": "user", "content": [{"type": "text", "text": ""}]}]),
            ),
        ] {
            assert_eq!(wrong(name, value.clone()), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        for (name, value, fault) in [
            ("top_k", json!(1), "top_k: no such member"),
            ("model", json!(1), "model: 1 is no text"),
            ("n", json!(1.5), "n: 1.5 is none of int, null"),
            ("labels", json!({"a": 1}), "labels.a: 1 is no text"),
            (
                "format",
                json!("b"),
                r#"format: "b" is none of "auto", Schema"#,
            ),
            (
                "format",
                json!({"type": "b"}),
                r#"format.type: "b" is none of "schema""#,
            ),
            ("name", json!("abcd"), "name: its length is above 3"),
            ("name", json!(""), "name: its length is below 1"),
            ("name", json!("A"), r#"name: "A" does not match [a-z]*"#),
            ("one", json!({}), "one: a union with 0 members"),
            ("one", json!({"b": "?"}), r#"one.b: "?" is no bytes"#),
            (
                "messages",
                json!([{"role": "tool"}]),
                "messages[0]: lacks id",
            ),
            (
                "messages",
                json!([{"role": "sage"}]),
                r#"messages[0].role: "sage" is none of "user", "tool""#,
            ),
            (
                "messages",
                json!([{"role": "user", "content": [{"type": "text", "text": "", "cache": 1}]}]),
                "messages[0].content[0].cache: no such member",
            ),
        ] {
            assert_eq!(wrong(name, value), [fault]);
        }
    }
}
