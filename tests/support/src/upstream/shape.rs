//! Checks of members against what a provider's types know.

use serde_json::Value;

/// Checks the members of an object: each name with the kind of its value. Says which are unknown,
/// of another kind, or missing (`!` before the kind).
pub(super) fn members(place: &str, value: &Value, known: &[(&str, &str)]) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return vec![format!("{place} is no object")];
    };
    let mut wrong = Vec::new();
    for (name, value) in object {
        match known.iter().find(|(known, _)| known == name) {
            None => wrong.push(format!("{place} has no member {name}")),
            Some((_, kind)) if !is(kind.trim_start_matches('!'), value) => {
                wrong.push(format!("{place}.{name} is no {kind}: {value}"));
            }
            Some(_) => {}
        }
    }
    let missing = known
        .iter()
        .filter(|(name, kind)| kind.starts_with('!') && !object.contains_key(*name));
    wrong.extend(missing.map(|(name, _)| format!("{place} lacks {name}")));
    wrong
}

/// `any`, `bool`, `int`, `float`, `text`, `list`, `texts`, `object`, or one of several words with
/// strokes between.
fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "any" => true,
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "text" => value.is_string(),
        "list" => value.is_array(),
        "texts" => value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string)),
        "object" => value.is_object(),
        words => value
            .as_str()
            .is_some_and(|text| words.split('|').any(|word| word == text)),
    }
}

/// The members of a list; none if it is no list.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
