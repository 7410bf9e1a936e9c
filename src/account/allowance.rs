//! What somebody may use: the fields that keys, teams, users, organisations, end users and reusable
//! budgets have in common.

use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use serde::{Deserialize, Serialize};

use super::{Period, Time, money};

/// Money and rates. What is `None` is not limited here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// Money per [`budget_duration`](Self::budget_duration), or for ever without one.
    #[serde(with = "money::maybe")]
    pub max_budget: Option<Usd>,
    /// Money at which an alert is raised; it stops nobody.
    #[serde(with = "money::maybe")]
    pub soft_budget: Option<Usd>,
    /// When the money begins anew.
    pub budget_duration: Option<Period>,
    /// Tokens per minute.
    pub tpm_limit: Option<u64>,
    /// Requests per minute.
    pub rpm_limit: Option<u64>,
    /// Requests at once.
    pub max_parallel_requests: Option<u64>,
    /// Money in other windows, all of them at once; of keys, teams and users.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub budget_limits: Vec<BudgetLimit>,
    /// Money per model.
    #[serde(deserialize_with = "or_default")]
    pub model_max_budget: BTreeMap<String, ModelBudget>,
    /// Tokens per minute and model.
    #[serde(deserialize_with = "or_default")]
    pub model_tpm_limit: BTreeMap<String, u64>,
    /// Requests per minute and model.
    #[serde(deserialize_with = "or_default")]
    pub model_rpm_limit: BTreeMap<String, u64>,
}

impl Allowance {
    /// Takes from `other` what it does not say itself.
    pub fn fill(&mut self, other: &Self) {
        // Money and its window go together: a window of one with the money of the other is
        // neither's budget.
        if self.max_budget.is_none() {
            self.max_budget = other.max_budget;
            self.budget_duration = self
                .budget_duration
                .take()
                .or(other.budget_duration.clone());
        }
        self.soft_budget = self.soft_budget.or(other.soft_budget);
        self.tpm_limit = self.tpm_limit.or(other.tpm_limit);
        self.rpm_limit = self.rpm_limit.or(other.rpm_limit);
        self.max_parallel_requests = self.max_parallel_requests.or(other.max_parallel_requests);
        fill_map(&mut self.model_max_budget, &other.model_max_budget);
        fill_map(&mut self.model_tpm_limit, &other.model_tpm_limit);
        fill_map(&mut self.model_rpm_limit, &other.model_rpm_limit);
    }

    /// Whether it limits nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Money in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetLimit {
    /// The window.
    pub budget_duration: Period,
    /// How much.
    #[serde(with = "money::always")]
    pub max_budget: Usd,
}

/// Money for one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelBudget {
    /// How much.
    #[serde(with = "money::always", alias = "max_budget")]
    pub budget_limit: Usd,
    /// In which window; for ever without one.
    #[serde(
        default,
        alias = "budget_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub time_period: Option<Period>,
}

/// A budget that keys, members, end users and organisations can name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Its id.
    pub budget_id: String,
    /// What it allows.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

fn fill_map<V: Clone>(own: &mut BTreeMap<String, V>, other: &BTreeMap<String, V>) {
    for (model, limit) in other {
        own.entry(model.clone()).or_insert_with(|| limit.clone());
    }
}

/// For LiteLLM null is as good as nothing.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_own_budget_wins_over_the_one_that_is_named() {
        let read = |value| serde_json::from_value::<Allowance>(value).unwrap();
        let mut own = read(json!({"max_budget": 5, "rpm_limit": 10, "model_tpm_limit": {"a": 1}}));
        let named = json!({"max_budget": 9, "budget_duration": "1d", "tpm_limit": 7,
            "rpm_limit": 90, "model_tpm_limit": {"a": 2, "b": 3}, "model_max_budget": null});
        own.fill(&read(named));
        let expected = json!({"max_budget": 5.0, "rpm_limit": 10, "tpm_limit": 7,
            "model_tpm_limit": {"a": 1, "b": 3}});
        assert_eq!(own, read(expected));
    }

    #[test]
    fn both_forms_of_a_models_budget_are_read() {
        for form in [
            json!({"gpt": {"budget_limit": 0.5, "time_period": "1d"}}),
            json!({"gpt": {"max_budget": "0.5", "budget_duration": "1d"}}),
        ] {
            let allowance: Allowance =
                serde_json::from_value(json!({"model_max_budget": form})).unwrap();
            let budget = &allowance.model_max_budget["gpt"];
            assert_eq!(budget.budget_limit, Usd(500_000_000_000));
            assert_eq!(budget.time_period.as_ref().map(Period::as_str), Some("1d"));
        }
    }
}
