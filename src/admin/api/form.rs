//! A request, read by the table of its endpoint.

use pointsman_routes::usd::Usd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::field::{Field, Kind, Need};
use super::refusal::Refusal;
use crate::account::{Period, money};

/// The fields that a request gives, each of its kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Map<String, Value>);

impl Form {
    /// Reads a body.
    pub(super) fn of_body(body: &[u8], fields: &[&[Field]]) -> Result<Self, Refusal> {
        // No body is an empty one for those that need nothing.
        let needs = fields
            .iter()
            .copied()
            .flatten()
            .any(|field| field.need == Need::Required);
        if body.is_empty() && !needs {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let place = json!(["body", error.column()]);
            Refusal::invalid(&[detail(
                "json_invalid",
                &place,
                &format!("JSON decode error: {error}"),
            )])
        })?;
        let Value::Object(given) = value else {
            let message = "Input should be a valid dictionary or object to extract fields from";
            return Err(Refusal::invalid(&[detail(
                "model_attributes_type",
                &json!(["body"]),
                message,
            )]));
        };
        Self::read("body", &given, fields)
    }

    /// Reads the pairs of a query string; a name that comes twice is a list where one is wanted.
    pub(super) fn of_query(query: &str, fields: &[&[Field]]) -> Result<Self, Refusal> {
        let mut given = Map::new();
        for (name, value) in form_urlencoded(query) {
            let field = fields
                .iter()
                .copied()
                .flatten()
                .find(|field| field.name == name);
            if field.is_some_and(|field| field.kind == Kind::Words) {
                if let Value::Array(words) = given
                    .entry(name)
                    .or_insert_with(|| Value::Array(Vec::new()))
                {
                    words.push(Value::from(value));
                }
            } else if !value.is_empty() {
                given.insert(name, Value::from(value));
            }
        }
        Self::read("query", &given, fields)
    }

    fn read(place: &str, given: &Map<String, Value>, fields: &[&[Field]]) -> Result<Self, Refusal> {
        let mut read = Map::new();
        let mut details = Vec::new();
        for field in fields.iter().copied().flatten() {
            let place = json!([place, field.name]);
            match given.get(field.name) {
                None if field.need == Need::Required => {
                    details.push(detail("missing", &place, "Field required"));
                }
                None => {}
                Some(Value::Null) if field.need == Need::Nullable => {
                    read.insert(field.name.to_owned(), Value::Null);
                }
                Some(value) => match field.kind.read(value) {
                    Ok(value) => {
                        read.insert(field.name.to_owned(), value);
                    }
                    Err((kind, message)) => details.push(detail(kind, &place, &message)),
                },
            }
        }
        if details.is_empty() {
            Ok(Self(read))
        } else {
            Err(Refusal::invalid(&details))
        }
    }

    /// Whether a field is there, if only as null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names of the fields that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// The same, as the field's own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    pub(super) fn money(&self, name: &str) -> Option<Usd> {
        money::from_json(self.get(name)?)
    }

    pub(super) fn period(&self, name: &str) -> Option<Period> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn words(&self, name: &str) -> Option<Vec<String>> {
        self.value(name)
    }

    /// A field as a type that its kind fits.
    pub(super) fn value<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.get(name)?.clone()).ok()
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Sets a field that is not there.
    pub(super) fn preset(&mut self, name: &str, value: Value) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Puts the fields into a record, by their names. What the record does not have is left out.
    pub(super) fn fill<T: Serialize + DeserializeOwned>(&self, record: &T) -> Result<T, Refusal> {
        let unfit = |error: serde_json::Error| {
            Refusal::invalid(&[detail("value_error", &json!(["body"]), &error.to_string())])
        };
        let mut value = serde_json::to_value(record).map_err(unfit)?;
        if let Value::Object(fields) = &mut value {
            for (name, value) in &self.0 {
                fields.insert(name.clone(), value.clone());
            }
        }
        serde_json::from_value(value).map_err(unfit)
    }
}

/// An entry of FastAPI's `detail`.
pub(super) fn detail(kind: &str, place: &Value, message: &str) -> Value {
    json!({"type": kind, "loc": place, "msg": message})
}

fn form_urlencoded(query: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(move |pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
}
