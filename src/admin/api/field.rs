//! What requests may hold: one table of fields per endpoint, which reads requests, limits who may
//! set what, and is printed as the OpenAPI document.

use std::sync::LazyLock;

use serde_json::{Map, Number, Value, json};

use crate::account::{Period, Role, Time, money};

/// A field of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) need: Need,
    pub(super) guard: Guard,
}

/// Whether a field must be there, and whether it may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It must be there.
    Required,
    /// It may be missing; null clears it.
    Nullable,
    /// It may be missing, and is not null.
    NotNull,
}

/// Who may set a field of what they manage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Whoever may change the record at all.
    Free,
    /// Nobody for themselves: what it limits or grants is set from above. Those who make a key
    /// for themselves may set it, because a key narrows what they have.
    Above,
    /// Nobody but a proxy admin.
    Proxy,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Count,
    Money,
    Period,
    Time,
    Day,
    Words,
    TextMap,
    Counts,
    MoneyMap,
    ModelBudgets,
    /// Money in several windows.
    BudgetLimits,
    Object,
    Objects,
    Role,
    MemberRole,
    KeyType,
    /// One member of a team, or a list of them.
    Members,
    /// One member of an organisation, or a list of them.
    Places,
    Any,
}

/// Longest text that is looked something up by.
const LONGEST_TEXT: usize = 2_048;
/// Most windows that one may have money in beside its own.
const MOST_WINDOWS: usize = 3;
/// Most entries of a list or a map.
const MOST: usize = 10_000;

impl Field {
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            need: Need::Nullable,
            guard: Guard::Free,
        }
    }

    pub(super) const fn required(mut self) -> Self {
        self.need = Need::Required;
        self
    }

    pub(super) const fn not_null(mut self) -> Self {
        self.need = Need::NotNull;
        self
    }

    pub(super) const fn above(mut self) -> Self {
        self.guard = Guard::Above;
        self
    }

    pub(super) const fn proxy(mut self) -> Self {
        self.guard = Guard::Proxy;
        self
    }
}

/// What is wrong with a value, in pydantic's words: a type and a message.
pub(super) type Wrong = (&'static str, String);

fn wrong(kind: &'static str, message: &str) -> Wrong {
    (kind, message.to_owned())
}

impl Kind {
    /// The value in its plain form: numbers as numbers, times as RFC 3339.
    pub(super) fn read(self, value: &Value) -> Result<Value, Wrong> {
        match self {
            Self::Text => text(value).map(Value::from),
            Self::Bool => boolean(value),
            Self::Count => count(value),
            Self::Money => amount(value),
            Self::Period => parsed::<Period>(value),
            Self::Time => {
                let time: Time = text(value)?
                    .parse()
                    .map_err(|_| wrong("datetime_parsing", "Input should be a valid datetime"))?;
                Ok(Value::from(time.to_string()))
            }
            Self::Day => day(value),
            Self::Words => list(value, |word| text(word).map(Value::from)),
            Self::TextMap => map(value, |word| text(word).map(Value::from)),
            Self::Counts => map(value, count),
            Self::MoneyMap => map(value, amount),
            Self::ModelBudgets => map(value, model_budget),
            Self::BudgetLimits => budget_limits(value),
            Self::Object => value
                .is_object()
                .then(|| value.clone())
                .ok_or_else(|| wrong("dict_type", "Input should be a valid dictionary")),
            Self::Objects => list(value, |item| Self::Object.read(item)),
            Self::Role => one_of(value, &ROLES),
            Self::MemberRole => one_of(value, &["admin", "user"]),
            Self::KeyType => one_of(value, &["default", "llm_api", "management", "read_only"]),
            Self::Members | Self::Places => {
                let roles = if self == Self::Members {
                    Self::MemberRole
                } else {
                    Self::Role
                };
                match value {
                    Value::Array(_) => list(value, |value| member(value, roles)),
                    value => member(value, roles).map(|member| json!([member])),
                }
            }
            Self::Any => Ok(value.clone()),
        }
    }

    /// The kind as OpenAPI says it.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string", "maxLength": LONGEST_TEXT}),
            Self::Bool => json!({"type": "boolean"}),
            Self::Count => json!({"type": "integer", "minimum": 0, "maximum": MOST_COUNT}),
            Self::Money => json!({"type": "number", "minimum": 0, "maximum": 9_000_000}),
            Self::Period => json!({"type": "string",
                "pattern": "^([1-9][0-9]{0,4}(s|m|h|d|w|mo)|daily|weekly|monthly|yearly)$"}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Day => json!({"type": "string", "format": "date"}),
            Self::Words => json!({"type": "array", "items": Self::Text.schema()}),
            Self::TextMap => json!({"type": "object", "additionalProperties": Self::Text.schema()}),
            Self::Counts => json!({"type": "object", "additionalProperties": Self::Count.schema()}),
            Self::MoneyMap => {
                json!({"type": "object", "additionalProperties": Self::Money.schema()})
            }
            Self::ModelBudgets => json!({"type": "object", "additionalProperties": {
                "type": "object",
                "required": ["budget_limit"],
                "properties": {
                    "budget_limit": Self::Money.schema(),
                    "time_period": Self::Period.schema(),
                },
            }}),
            Self::BudgetLimits => json!({"type": "array", "maxItems": MOST_WINDOWS, "items": {
                "type": "object",
                "required": ["budget_duration", "max_budget"],
                "properties": {
                    "budget_duration": Self::Period.schema(),
                    "max_budget": Self::Money.schema(),
                },
            }}),
            Self::Object => json!({"type": "object"}),
            Self::Objects => json!({"type": "array", "items": {"type": "object"}}),
            Self::Role => json!({"type": "string", "enum": *ROLES}),
            Self::MemberRole => json!({"type": "string", "enum": ["admin", "user"]}),
            Self::KeyType => json!({"type": "string",
                "enum": ["default", "llm_api", "management", "read_only"]}),
            Self::Members | Self::Places => {
                let roles = if self == Self::Members {
                    Self::MemberRole
                } else {
                    Self::Role
                };
                let member = json!({"type": "object", "properties": {
                    "role": roles.schema(),
                    "user_id": Self::Text.schema(),
                    "user_email": Self::Text.schema(),
                }});
                json!({"anyOf": [member, {"type": "array", "items": member}]})
            }
            Self::Any => json!({}),
        }
    }
}

/// The largest count that any database column holds.
const MOST_COUNT: u64 = i64::MAX as u64;

static ROLES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    [
        Role::ProxyAdmin,
        Role::ProxyAdminViewer,
        Role::OrgAdmin,
        Role::InternalUser,
        Role::InternalUserViewer,
        Role::Team,
        Role::Customer,
    ]
    .map(Role::word)
    .to_vec()
});

fn text(value: &Value) -> Result<String, Wrong> {
    let text = value
        .as_str()
        .ok_or_else(|| wrong("string_type", "Input should be a valid string"))?;
    if text.contains('\0') {
        // PostgreSQL keeps no such text.
        return Err(wrong(
            "value_error",
            "Value error, text holds no null characters",
        ));
    }
    if text.len() > LONGEST_TEXT {
        return Err((
            "string_too_long",
            format!("String should have at most {LONGEST_TEXT} characters"),
        ));
    }
    Ok(text.to_owned())
}

fn boolean(value: &Value) -> Result<Value, Wrong> {
    let word = value.as_str().map(str::to_ascii_lowercase);
    match (value, word.as_deref()) {
        (Value::Bool(_), _) => Ok(value.clone()),
        (_, Some("true" | "1" | "yes" | "on")) => Ok(Value::Bool(true)),
        (_, Some("false" | "0" | "no" | "off")) => Ok(Value::Bool(false)),
        _ if *value == json!(1) => Ok(Value::Bool(true)),
        _ if *value == json!(0) => Ok(Value::Bool(false)),
        _ => Err(wrong("bool_parsing", "Input should be a valid boolean")),
    }
}

fn count(value: &Value) -> Result<Value, Wrong> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => text
            .trim()
            .parse::<Number>()
            .map_err(|_| wrong("int_parsing", "Input should be a valid integer"))?,
        _ => return Err(wrong("int_type", "Input should be a valid integer")),
    };
    let whole = number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
        format!("{float:.0}").parse().ok()
    });
    match whole {
        Some(whole) if whole <= MOST_COUNT => Ok(Value::from(whole)),
        Some(_) => Err(wrong(
            "less_than_equal",
            "Input should be less than 2 to the power of 63",
        )),
        None if number.as_f64().is_some_and(|float| float < 0.0) => Err(wrong(
            "greater_than_equal",
            "Input should be greater than or equal to 0",
        )),
        None => Err(wrong("int_from_float", "Input should be a valid integer")),
    }
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

fn amount(value: &Value) -> Result<Value, Wrong> {
    if number(value).is_none() {
        return Err(wrong("float_type", "Input should be a valid number"));
    }
    if money::from_json(value).is_none() {
        let range = "Input should be between 0 and 9000000";
        return Err(wrong("value_error", range));
    }
    Ok(value.clone())
}

fn parsed<T: std::str::FromStr<Err: ToString>>(value: &Value) -> Result<Value, Wrong> {
    let text = text(value)?;
    match text.parse::<T>() {
        Ok(_) => Ok(Value::from(text)),
        Err(error) => Err(("value_error", format!("Value error, {}", error.to_string()))),
    }
}

/// A day, of which LiteLLM takes a time, too.
fn day(value: &Value) -> Result<Value, Wrong> {
    let text = text(value)?;
    match text.parse::<Time>() {
        Ok(time) if text.len() > 10 => Ok(Value::from(time.to_string())),
        Ok(_) => Ok(Value::from(text)),
        Err(_) => Err(wrong(
            "date_from_datetime_parsing",
            "Input should be a valid date",
        )),
    }
}

fn list(value: &Value, item: impl Fn(&Value) -> Result<Value, Wrong>) -> Result<Value, Wrong> {
    let items = value
        .as_array()
        .ok_or_else(|| wrong("list_type", "Input should be a valid list"))?;
    if items.len() > MOST {
        return Err(("too_long", format!("List should have at most {MOST} items")));
    }
    items
        .iter()
        .map(item)
        .collect::<Result<_, _>>()
        .map(Value::Array)
}

fn map(value: &Value, item: impl Fn(&Value) -> Result<Value, Wrong>) -> Result<Value, Wrong> {
    let entries = value
        .as_object()
        .ok_or_else(|| wrong("dict_type", "Input should be a valid dictionary"))?;
    if entries.len() > MOST {
        return Err((
            "too_long",
            format!("Dictionary should have at most {MOST} items"),
        ));
    }
    entries
        .iter()
        .map(|(name, value)| {
            text(&Value::from(name.as_str()))?;
            Ok((name.clone(), item(value)?))
        })
        .collect::<Result<Map<_, _>, _>>()
        .map(Value::Object)
}

/// `{"budget_limit": 1, "time_period": "1d"}`, or the amount alone.
fn model_budget(value: &Value) -> Result<Value, Wrong> {
    let Some(budget) = value.as_object() else {
        return Ok(json!({"budget_limit": amount(value)?}));
    };
    let limit = budget
        .get("budget_limit")
        .or_else(|| budget.get("max_budget"))
        .ok_or_else(|| wrong("missing", "Field required: budget_limit"))?;
    let mut read = json!({"budget_limit": amount(limit)?});
    let period = budget
        .get("time_period")
        .or_else(|| budget.get("budget_duration"));
    if let Some(period) = period.filter(|period| !period.is_null()) {
        read["time_period"] = parsed::<Period>(period)?;
    }
    Ok(read)
}

/// `[{"budget_duration": "1d", "max_budget": 1}, …]`, each window once.
fn budget_limits(value: &Value) -> Result<Value, Wrong> {
    let read = list(value, |item| {
        let limit = item
            .as_object()
            .ok_or_else(|| wrong("dict_type", "Input should be a valid dictionary"))?;
        let named = |name: &str| {
            let found = limit.get(name);
            found.ok_or_else(|| ("missing", format!("Field required: {name}")))
        };
        Ok(json!({
            "budget_duration": parsed::<Period>(named("budget_duration")?)?,
            "max_budget": amount(named("max_budget")?)?,
        }))
    })?;
    let windows = read.as_array().map_or(&[][..], Vec::as_slice);
    if windows.len() > MOST_WINDOWS {
        let most = format!("List should have at most {MOST_WINDOWS} items");
        return Err(("too_long", most));
    }
    let period = |window: &Value| window["budget_duration"].clone();
    let again = |(at, window): (usize, &Value)| {
        let mut before = windows[..at].iter();
        before.any(|other| period(other) == period(window))
    };
    if windows.iter().enumerate().any(again) {
        let twice = "Value error, each budget_duration can be there once";
        return Err(wrong("value_error", twice));
    }
    Ok(read)
}

fn one_of(value: &Value, words: &[&str]) -> Result<Value, Wrong> {
    match value.as_str() {
        Some(word) if words.contains(&word) => Ok(value.clone()),
        _ => {
            let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
            Err(("enum", format!("Input should be {}", words.join(" or "))))
        }
    }
}

fn member(value: &Value, roles: Kind) -> Result<Value, Wrong> {
    let member = value
        .as_object()
        .ok_or_else(|| wrong("dict_type", "Input should be a valid dictionary"))?;
    let mut read = json!({});
    if let Some(role) = member.get("role") {
        read["role"] = roles.read(role)?;
    }
    let mut named = false;
    for name in ["user_id", "user_email"] {
        if let Some(id) = member.get(name).filter(|id| !id.is_null()) {
            let id = text(id)?;
            if id.is_empty() {
                return Err(wrong(
                    "string_too_short",
                    "String should have at least 1 character",
                ));
            }
            read[name] = Value::from(id);
            named = true;
        }
    }
    if !named {
        return Err(wrong(
            "value_error",
            "Value error, Either user_id or user_email must be provided",
        ));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_pydantic_reads_them() {
        for (kind, value, read) in [
            (Kind::Count, json!("10"), json!(10)),
            (Kind::Count, json!(10.0), json!(10)),
            (Kind::Bool, json!("True"), json!(true)),
            (Kind::Money, json!("0.5"), json!("0.5")),
            (Kind::Day, json!("2026-11-21"), json!("2026-11-21")),
            (
                Kind::ModelBudgets,
                json!({"m": 2}),
                json!({"m": {"budget_limit": 2}}),
            ),
            (
                Kind::Members,
                json!({"user_id": "u"}),
                json!([{"user_id": "u"}]),
            ),
        ] {
            assert_eq!(kind.read(&value), Ok(read), "{kind:?}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_named() {
        for (kind, value, word) in [
            (Kind::Text, json!(1), "string_type"),
            (Kind::Text, json!("a\0"), "value_error"),
            (Kind::Text, json!("x".repeat(3_000)), "string_too_long"),
            (Kind::Count, json!(-1), "greater_than_equal"),
            (Kind::Count, json!(1.5), "int_from_float"),
            (Kind::Count, json!("x"), "int_parsing"),
            (Kind::Count, json!(u64::MAX), "less_than_equal"),
            (Kind::Money, json!(-1), "value_error"),
            (Kind::Money, json!("a"), "float_type"),
            (Kind::Words, json!("a"), "list_type"),
            (Kind::Words, json!([1]), "string_type"),
            (Kind::Object, json!([]), "dict_type"),
            (Kind::Period, json!("soon"), "value_error"),
            (Kind::Role, json!("god"), "enum"),
            (Kind::Members, json!({}), "value_error"),
        ] {
            assert_eq!(
                kind.read(&value).map_err(|(word, _)| word),
                Err(word),
                "{kind:?} {value}"
            );
        }
    }
}
