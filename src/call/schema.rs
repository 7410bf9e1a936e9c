//! A schema as its caller wrote it.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::wire::json;

/// JSON Schema, kept as the text that it came in: most providers take it as it is, and
/// only those read it that must change it.
#[derive(Clone, Debug)]
pub struct Schema(Box<RawValue>);

impl Schema {
    /// As it came.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// What it says.
    pub fn read(&self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// Whether it is an object, as schemas are but for `true` and `false`.
    pub fn is_object(&self) -> bool {
        self.0.get().starts_with('{')
    }

    /// Whether it says of what type its values are.
    pub fn has_type(&self) -> bool {
        // As most are written, that is the first thing that they say.
        self.0.get().starts_with("{\"type\":") || self.member("type").is_some()
    }

    /// How many members it has; none if it is no object.
    pub fn len(&self) -> usize {
        let mut count = 0;
        let _ = json::members(self.0.get().as_bytes(), |_| count += 1);
        count
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of one of its members, if it is an object. Where a name is written twice, the last
    /// one counts.
    pub fn member(&self, name: &str) -> Option<&str> {
        let text = self.0.get();
        let mut found = None;
        // What is no object has no members.
        let _ = json::members(text.as_bytes(), |member| {
            let literal = &text.as_bytes()[member.start..member.name_end];
            if json::string(literal).is_some_and(|known| known == name) {
                found = text.get(member.value_range());
            }
        });
        found
    }
}

/// Serde steps over a raw value without a look at halves of surrogate pairs: such are refused here,
/// and not where the schema is read. How deep a body is nested is looked at when it is
/// [peeked](crate::call::peek) into.
impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        let text = raw.get().as_bytes();
        if memchr::memmem::find(text, b"\\u").is_some() {
            serde_json::from_slice::<Value>(text).map_err(D::Error::custom)?;
        }
        Ok(Self(raw))
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl From<Value> for Schema {
    fn from(value: Value) -> Self {
        // A tree of values has nothing that JSON has not.
        Self(to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

/// As schemas, not as texts.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get() || self.read() == other.read()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(text: &str) -> Result<Schema, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_schema_stays_as_it_was_written() {
        let text = "{ \"type\" : \"object\", \"\\u0061\": 1.50 }";
        let read = schema(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read, Schema::from(json!({"a": 1.5, "type": "object"})));
        assert_ne!(read, Schema::from(json!({"a": 1.5})));
        assert_eq!(read.member("type"), Some("\"object\""));
        assert_eq!(read.member("a"), Some("1.50"));
        assert_eq!(read.member("b"), None);
    }

    #[test]
    fn what_could_not_be_read_later_is_refused_at_once() {
        for text in ["{\"a\":\"\\ud800\"}", "\"\\ud800\"", "{\"a\":}"] {
            assert!(schema(text).is_err(), "{text}");
        }
        assert_eq!(schema("true").unwrap().read(), json!(true));
    }
}
