//! Holds a value against a type.

use super::{Bounded, Members, Table, Type};
use regex_lite::Regex;
use serde_json::{Map, Value};

/// What in a value is not of a type.
pub(super) fn faults(table: &Table, kind: &Type, value: &Value) -> Vec<String> {
    let mut check = Check {
        table,
        wrong: Vec::new(),
    };
    check.value(kind, value, "");
    check.wrong
}

struct Check<'t> {
    table: &'t Table,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, at: &str, what: &str) {
        let at = if at.is_empty() { "the body" } else { at };
        self.wrong.push(format!("{at}: {what}"));
    }

    fn value(&mut self, kind: &Type, value: &Value, at: &str) {
        if !is_shaped(kind, value) {
            let shown = shown(value);
            let names = names(kind);
            return match kind {
                Type::Or(_) | Type::Is(_) => self.say(at, &format!("{shown} is none of {names}")),
                _ => self.say(at, &format!("{shown} is no {names}")),
            };
        }
        match (kind, value) {
            (Type::List(inner), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(inner, item, &format!("{at}[{index}]"));
                }
            }
            (Type::Map(inner), Value::Object(members)) => {
                for (name, value) in members {
                    self.value(inner, value, &below(at, name));
                }
            }
            (Type::Of(name), Value::Object(members)) => {
                self.members(&self.table.types[name], members, at);
            }
            (Type::Or(kinds), value) => self.best(kinds, value, at),
            (Type::Bounded(bounded), value) => {
                self.value(&bounded.kind, value, at);
                self.bounds(bounded, value, at);
            }
            _ => {}
        }
    }

    fn members(&mut self, members: &Members, value: &Map<String, Value>, at: &str) {
        for (name, value) in value {
            let at = below(at, name);
            match (members.known.get(name), &members.more) {
                (Some((kind, _)), _) | (None, Some(kind)) => self.value(kind, value, &at),
                (None, None) => self.say(&at, "no such member"),
            }
        }
        for (name, (_, needed)) in &members.known {
            if *needed && !value.contains_key(name) {
                self.say(at, &format!("lacks {name}"));
            }
        }
        if members.union && value.len() != 1 {
            self.say(at, &format!("a union with {} members", value.len()));
        }
    }

    /// Of several types the one that fits best says what is wrong.
    fn best(&mut self, kinds: &[Type], value: &Value, at: &str) {
        let fit: Vec<_> = kinds.iter().filter(|kind| is_shaped(kind, value)).collect();
        let told = |kind: &&Type| self.mistold(kind, value).len();
        let least = fit.iter().map(told).min().unwrap_or(0);
        let near: Vec<_> = fit.into_iter().filter(|kind| told(kind) == least).collect();
        if least > 0 && near.len() > 1 {
            return self.untold(&near, value, at);
        }
        let all = near.iter().map(|kind| {
            let mut inner = Check {
                table: self.table,
                wrong: Vec::new(),
            };
            inner.value(kind, value, at);
            inner.wrong
        });
        let best = all.min_by_key(Vec::len).unwrap_or_default();
        self.wrong.extend(best);
    }

    /// The members that tell a type from others, such as `type` and `role`, and here tell of another;
    /// each with what it would say.
    fn mistold<'t>(&'t self, kind: &'t Type, value: &Value) -> Vec<(&'t str, &'t Value)> {
        let Some(members) = self.table.members(kind) else {
            return Vec::new();
        };
        let telling = members.known.iter().filter_map(|(name, (kind, needed))| {
            let said = alone(kind)?;
            let fits = value.get(name).map_or(!needed, |value| value == said);
            (!fits).then_some((name.as_str(), said))
        });
        telling.collect()
    }

    /// None of the types is told: says what could be.
    fn untold(&mut self, kinds: &[&Type], value: &Value, at: &str) {
        let mut names: Vec<(&str, Vec<String>)> = Vec::new();
        for kind in kinds {
            for (name, said) in self.mistold(kind, value) {
                match names.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, all)) => all.push(said.to_string()),
                    None => names.push((name, vec![said.to_string()])),
                }
            }
        }
        let wrong: Vec<_> = names
            .into_iter()
            .map(|(name, said)| {
                let shown = value.get(name).map_or("nothing".to_owned(), shown);
                let (at, said) = (below(at, name), said.join(", "));
                format!("{at}: {shown} is none of {said}")
            })
            .collect();
        self.wrong.extend(wrong);
    }

    fn bounds(&mut self, bounded: &Bounded, value: &Value, at: &str) {
        let length = match value {
            Value::String(text) => text.chars().count(),
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            _ => 0,
        };
        let (what, size) = match value.as_f64() {
            Some(number) => ("it", number),
            None => (
                "its length",
                f64::from(u32::try_from(length).unwrap_or(u32::MAX)),
            ),
        };
        if let Some(min) = bounded.min.filter(|min| size < *min) {
            self.say(at, &format!("{what} is below {min}"));
        }
        if let Some(max) = bounded.max.filter(|max| size > *max) {
            self.say(at, &format!("{what} is above {max}"));
        }
        if let (Some(pattern), Some(text)) = (&bounded.pattern, value.as_str()) {
            let whole = Regex::new(&format!("^(?:{pattern})$")).expect("a pattern of the table");
            if !whole.is_match(text) {
                self.say(at, &format!("{} does not match {pattern}", shown(value)));
            }
        }
    }
}

/// Whether a value could be of a type, by what can be told without a look inside.
fn is_shaped(kind: &Type, value: &Value) -> bool {
    match kind {
        Type::Any => true,
        Type::Text => value.is_string(),
        Type::Int => value.is_i64() || value.is_u64(),
        Type::Number => value.is_number(),
        Type::Bool => value.is_boolean(),
        Type::Null => value.is_null(),
        Type::Bytes => value.as_str().is_some_and(is_base64),
        Type::File => value["sum"].is_u64(),
        Type::List(_) => value.is_array(),
        Type::Map(_) | Type::Of(_) => value.is_object(),
        Type::Or(kinds) => kinds.iter().any(|kind| is_shaped(kind, value)),
        Type::Is(values) => values.contains(value),
        Type::Bounded(bounded) => is_shaped(&bounded.kind, value),
    }
}

/// The one value that a type has, if it has only one.
fn alone(kind: &Type) -> Option<&Value> {
    match kind {
        Type::Is(values) if values.len() == 1 => values.first(),
        _ => None,
    }
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

/// A value, or the beginning of a long one.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn names(kind: &Type) -> String {
    let all = |kinds: &[Type]| kinds.iter().map(names).collect::<Vec<_>>().join(", ");
    match kind {
        Type::Any => "any".into(),
        Type::Text => "text".into(),
        Type::Int => "int".into(),
        Type::Number => "number".into(),
        Type::Bool => "bool".into(),
        Type::Null => "null".into(),
        Type::Bytes => "bytes".into(),
        Type::File => "file".into(),
        Type::List(_) => "list".into(),
        Type::Map(_) => "map".into(),
        Type::Or(kinds) => all(kinds),
        Type::Is(values) => {
            let values: Vec<_> = values.iter().map(Value::to_string).collect();
            values.join(", ")
        }
        Type::Of(name) => name.clone(),
        Type::Bounded(bounded) => names(&bounded.kind),
    }
}

/// In either alphabet, with or without what fills it up.
fn is_base64(text: &str) -> bool {
    let plain = text.trim_end_matches('=');
    text.len() - plain.len() <= 2
        && plain
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
}
