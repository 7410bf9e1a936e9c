//! A row of LiteLLM's, taken apart field by field: what does not fit is noted, and so is what is left.

use pointsman_routes::usd::Usd;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::notes::Notes;
use super::source::Row;
use crate::account::{Allowance, Period, Time, money};

/// A row that is being read.
pub(super) struct Fields<'a> {
    /// What kind of row it is, as notes say it.
    kind: &'static str,
    /// Which, as notes say it.
    whom: String,
    row: Row,
    losses: &'a mut Notes,
}

impl<'a> Fields<'a> {
    pub(super) fn new(kind: &'static str, whom: &str, row: Row, losses: &'a mut Notes) -> Self {
        Self {
            kind,
            whom: whom.to_owned(),
            row,
            losses,
        }
    }

    /// Notes that something of this row cannot be held.
    pub(super) fn lose(&mut self, what: &str) {
        self.losses.add(self.kind, what, &self.whom);
    }

    /// Takes a field out; null and an empty text are no value.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.row.remove(name)?;
        let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        (!empty).then_some(value)
    }

    /// Takes a field out that has to be read as something; what cannot be is noted.
    pub(super) fn read<T>(&mut self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let read = read(&value);
        if read.is_none() {
            self.lose(&format!("{name}, which cannot be read"));
        }
        read
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        self.read(name, Value::as_bool).unwrap_or(false)
    }

    pub(super) fn count(&mut self, name: &str) -> Option<u64> {
        self.read(name, Value::as_u64)
    }

    pub(super) fn dollars(&mut self, name: &str) -> Option<Usd> {
        self.read(name, money::from_json)
    }

    /// What was spent; LiteLLM lets credits make it less than nothing.
    pub(super) fn spend(&mut self) -> Usd {
        let spent = |value: &Value| match value.as_f64() {
            Some(amount) if amount < 0.0 => Some(Usd::ZERO),
            _ => money::from_json(value),
        };
        self.read("spend", spent).unwrap_or_default()
    }

    pub(super) fn period(&mut self, name: &str) -> Option<Period> {
        self.read(name, |value| value.as_str()?.parse().ok())
    }

    pub(super) fn time(&mut self, name: &str) -> Option<Time> {
        self.read(name, |value| value.as_str()?.parse().ok())
    }

    /// A list of texts.
    pub(super) fn words(&mut self, name: &str) -> Vec<String> {
        self.json(name).unwrap_or_default()
    }

    /// An object, or a text that holds one, as older versions wrote it.
    pub(super) fn object(&mut self, name: &str) -> Map<String, Value> {
        self.json(name).unwrap_or_default()
    }

    /// A value of a type that serde reads; an empty object stands for nothing of any type.
    pub(super) fn json<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let read = self.read(name, |value| {
            if value.as_object().is_some_and(Map::is_empty) {
                return Some(serde_json::from_value(value.clone()).ok());
            }
            let of_text = value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            of_text
                .or_else(|| serde_json::from_value(value.clone()).ok())
                .map(Some)
        });
        read.flatten()
    }

    /// Puts fields in reach that LiteLLM keeps in a row's `metadata`.
    pub(super) fn lift(&mut self, metadata: &mut Map<String, Value>, names: &[&str]) {
        for name in names {
            if let Some(value) = metadata.remove(*name)
                && self.row.get(*name).is_none_or(Value::is_null)
            {
                self.row.insert((*name).to_owned(), value);
            }
        }
    }

    /// Money and rates.
    pub(super) fn allowance(&mut self) -> Allowance {
        Allowance {
            max_budget: self.dollars("max_budget"),
            soft_budget: self.dollars("soft_budget"),
            budget_duration: self.period("budget_duration"),
            tpm_limit: self.count("tpm_limit"),
            rpm_limit: self.count("rpm_limit"),
            max_parallel_requests: self.count("max_parallel_requests"),
            budget_limits: self.json("budget_limits").unwrap_or_default(),
            model_max_budget: self.json("model_max_budget").unwrap_or_default(),
            model_tpm_limit: self.json("model_tpm_limit").unwrap_or_default(),
            model_rpm_limit: self.json("model_rpm_limit").unwrap_or_default(),
        }
    }

    /// Ends the row: what is left of it, and says something, is noted, but for what means nothing
    /// here.
    pub(super) fn end(mut self, meaningless: &[&str]) {
        let said = |value: &Value| match value {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        };
        let row = std::mem::take(&mut self.row);
        for (name, value) in &row {
            if said(value) && !meaningless.contains(&name.as_str()) {
                self.lose(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    fn told(notes: &Notes) -> Vec<(String, u64)> {
        let told = |(_, what, note): (_, &str, &super::super::Note)| (what.to_owned(), note.count);
        notes.iter().map(told).collect()
    }

    #[test]
    fn what_cannot_be_held_is_noted_and_the_rest_is_read() {
        let mut losses = Notes::default();
        let value = json!({"max_budget": "Infinity", "budget_duration": "30d", "rpm_limit": -1,
            "tpm_limit": 5, "model_max_budget": {}, "model_rpm_limit": "{\"a\": 1}",
            "tpd_limit": 7, "last_active": "now", "blocked": null, "spend": -0.5,
            "metadata": {"model_tpm_limit": {"b": 2}, "mine": 1}});
        let mut fields = Fields::new("keys", "k", row(value), &mut losses);
        let mut metadata = fields.object("metadata");
        fields.lift(&mut metadata, &["model_tpm_limit"]);
        let allowance = fields.allowance();
        assert_eq!(allowance.max_budget, None);
        assert_eq!(allowance.tpm_limit, Some(5));
        assert_eq!(allowance.model_rpm_limit["a"], 1);
        assert_eq!(allowance.model_tpm_limit["b"], 2);
        assert_eq!(fields.spend(), Usd::ZERO);
        assert!(!fields.flag("blocked"));
        assert_eq!(Value::Object(metadata), json!({"mine": 1}));
        fields.end(&["last_active"]);
        let expected = [
            ("max_budget, which cannot be read", 1),
            ("rpm_limit, which cannot be read", 1),
            ("tpd_limit", 1),
        ];
        assert_eq!(
            told(&losses),
            expected.map(|(what, n)| (what.to_owned(), n))
        );
    }
}
