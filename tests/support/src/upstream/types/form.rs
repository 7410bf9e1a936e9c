//! Forms, in which everything is a text: what a type says that a text is, it is taken for.

use super::{Table, Type};
use serde_json::{Map, Value, json};

/// The fields of a form as what they are in JSON. A field that no type knows stays as it is.
///
/// `name[]` is a list's, and `name[member]` an object's: so the SDKs write them.
pub(super) fn read(table: &Table, kind: &Type, fields: &Value) -> Value {
    let mut whole = Map::new();
    for (name, value) in fields.as_object().into_iter().flatten() {
        match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((name, "")) => {
                whole.insert(name.to_owned(), value.clone());
            }
            Some((name, member)) => {
                let object = whole.entry(name).or_insert_with(|| json!({}));
                if let Some(object) = object.as_object_mut() {
                    object.insert(member.to_owned(), value.clone());
                }
            }
            None => {
                whole.insert(name.clone(), value.clone());
            }
        }
    }
    typed(table, kind, &Value::Object(whole))
}

fn typed(table: &Table, kind: &Type, value: &Value) -> Value {
    match (kind, value) {
        (Type::Of(_), Value::Object(members)) => {
            let known = table.members(kind).map(|members| &members.known);
            let read = members.iter().map(|(name, value)| {
                let kind = known.and_then(|known| known.get(name));
                let value =
                    kind.map_or_else(|| value.clone(), |(kind, _)| typed(table, kind, value));
                (name.clone(), value)
            });
            Value::Object(read.collect())
        }
        (Type::List(inner), Value::Array(items)) => {
            items.iter().map(|item| typed(table, inner, item)).collect()
        }
        (Type::Or(kinds), value) => {
            let mut read = kinds.iter().map(|kind| typed(table, kind, value));
            read.find(|read| read != value)
                .unwrap_or_else(|| value.clone())
        }
        (Type::Bounded(bounded), value) => typed(table, &bounded.kind, value),
        (Type::Int | Type::Number | Type::Bool | Type::Is(_), Value::String(text)) => {
            match serde_json::from_str::<Value>(text) {
                Ok(read) if of_kind(kind, &read) => read,
                _ => value.clone(),
            }
        }
        _ => value.clone(),
    }
}

fn of_kind(kind: &Type, value: &Value) -> bool {
    match kind {
        Type::Int | Type::Number => value.is_number(),
        Type::Bool => value.is_boolean(),
        Type::Is(values) => values.contains(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OPENAI, Table};
    use serde_json::{Value, json};

    fn read(table: &Table, fields: &Value) -> Value {
        table.form("transcription", fields)
    }

    #[test]
    fn texts_are_taken_for_what_the_type_says() {
        let file = json!({"name": "a.mp3", "type": "audio/mpeg", "length": 1, "sum": 1});
        let fields = json!({"file": file, "model": "1", "temperature": "0.5", "stream": "true",
            "include[]": ["logprobs"], "chunking_strategy[type]": "server_vad",
            "chunking_strategy[threshold]": "0.5", "strange": "1"});
        let body = json!({"file": file, "model": "1", "temperature": 0.5, "stream": true,
            "include": ["logprobs"], "chunking_strategy": {"type": "server_vad", "threshold": 0.5},
            "strange": "1"});
        assert_eq!(read(&OPENAI, &fields), body);
        assert_eq!(
            OPENAI.check("transcription", &body),
            ["strange: no such member"]
        );
    }

    #[test]
    fn what_is_no_such_text_stays_one() {
        let body = read(&OPENAI, &json!({"temperature": "warm", "stream": "yes"}));
        assert_eq!(body, json!({"temperature": "warm", "stream": "yes"}));
    }
}
