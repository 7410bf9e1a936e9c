//! JSON as Google's parser reads it.

use super::{Table, Type};
use serde_json::Value;

/// Names in snake case as those in camel case, a lone value as a list of one, and bytes in either
/// alphabet of base64. A member that no type knows stays as it is.
pub(super) fn read(table: &Table, kind: &Type, value: &Value) -> Value {
    match (kind, value) {
        (Type::Of(_), Value::Object(members)) => {
            let known = table.members(kind).map(|members| &members.known);
            let read = members.iter().map(|(name, value)| {
                let camel = camel(name);
                match known.and_then(|known| known.get(&camel)) {
                    Some((kind, _)) => (camel, read(table, kind, value)),
                    None => (name.clone(), value.clone()),
                }
            });
            Value::Object(read.collect())
        }
        (Type::List(kind), Value::Array(items)) => {
            items.iter().map(|item| read(table, kind, item)).collect()
        }
        (Type::List(kind), Value::Object(_)) => Value::Array(vec![read(table, kind, value)]),
        (Type::Map(kind), Value::Object(members)) => {
            let all = members.iter();
            let read = all.map(|(name, value)| (name.clone(), read(table, kind, value)));
            Value::Object(read.collect())
        }
        (Type::Bytes, Value::String(text)) => text.replace('-', "+").replace('_', "/").into(),
        _ => value.clone(),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (letter, rest) = word.split_at(word.len().min(1));
        name + &letter.to_uppercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::super::{GEMINI, VERTEX};
    use serde_json::json;

    #[test]
    fn either_case_a_lone_value_and_either_alphabet_are_the_same() {
        let sent = json!({"system_instruction": {"parts": {"text": "a_b"}},
            "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "-_A="}}]}],
            "un_known": 1});
        let read = json!({"systemInstruction": {"parts": [{"text": "a_b"}]},
            "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "+/A="}}]}],
            "un_known": 1});
        assert_eq!(GEMINI.plain("generateContent", &sent), read);
        assert_eq!(
            GEMINI.check("generateContent", &read),
            ["un_known: no such member"]
        );
    }

    #[test]
    fn what_one_api_has_the_other_may_lack() {
        let body = json!({"contents": [], "generationConfig": {"audioTimestamp": true}});
        let wrong = GEMINI.check("generateContent", &body);
        assert_eq!(wrong, ["generationConfig.audioTimestamp: no such member"]);
        assert!(VERTEX.check("generateContent", &body).is_empty());
    }
}
