//! Virtual keys.

use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::allowance::or_default;
use super::{Allowance, Period, Time, money};

/// A virtual key, without its secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Key {
    /// SHA-256 of the secret, in lower-case hexadecimal: what the key is known by.
    pub token: String,
    /// `sk-...` and the secret's last four characters.
    pub key_name: String,
    /// A name of its own; no two keys have the same.
    pub key_alias: Option<String>,
    /// Whose it is.
    pub user_id: Option<String>,
    /// The team that it is used for.
    pub team_id: Option<String>,
    /// The organisation that it belongs to.
    pub organization_id: Option<String>,
    /// The project that it belongs to; noted, not enforced.
    pub project_id: Option<String>,
    /// The agent that it belongs to; noted, not enforced.
    pub agent_id: Option<String>,
    /// The reusable budget that fills what `allowance` leaves open.
    pub budget_id: Option<String>,
    /// The models that it may ask for: groups, wildcards, access groups, `all-team-models`,
    /// `all-proxy-models`. None is all.
    #[serde(deserialize_with = "or_default")]
    pub models: Vec<String>,
    /// Other names for models.
    #[serde(deserialize_with = "or_default")]
    pub aliases: BTreeMap<String, String>,
    /// Settings of the key's own.
    #[serde(deserialize_with = "or_default")]
    pub config: Map<String, Value>,
    /// What it has spent in its running window. Read from the counters; not stored with the key.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Money and rates.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// When its money begins anew. Read from the counters; not stored with the key.
    pub budget_reset_at: Option<Time>,
    /// What `max_budget` is raised by until [`temp_budget_expiry`](Self::temp_budget_expiry).
    #[serde(with = "money::maybe")]
    pub temp_budget_increase: Option<Usd>,
    /// When the raise ends.
    pub temp_budget_expiry: Option<Time>,
    /// From then on it opens nothing.
    pub expires: Option<Time>,
    /// It opens nothing while this is true.
    #[serde(deserialize_with = "or_default")]
    pub blocked: bool,
    /// The operator's notes; some of them mean something.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
    /// Tags of each of its requests.
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Guardrails of each of its requests.
    #[serde(deserialize_with = "or_default")]
    pub guardrails: Vec<String>,
    /// Policies of each of its requests.
    #[serde(deserialize_with = "or_default")]
    pub policies: Vec<String>,
    /// Fields that its requests must have.
    #[serde(deserialize_with = "or_default")]
    pub enforced_params: Vec<String>,
    /// What it may do beyond the usual.
    #[serde(deserialize_with = "or_default")]
    pub permissions: Map<String, Value>,
    /// What its requests may ask of the cache: `no-cache`, `no-store`, `ttl`, `s-maxage`. None is
    /// all.
    #[serde(deserialize_with = "or_default")]
    pub allowed_cache_controls: Vec<String>,
    /// The paths, with `*`, or groups of paths that it may call. None is all that its kind may.
    #[serde(deserialize_with = "or_default")]
    pub allowed_routes: Vec<String>,
    /// What kind of key it is.
    #[serde(deserialize_with = "or_default")]
    pub key_type: KeyType,
    /// Servers and stores that it may use; noted, not enforced.
    pub object_permission: Option<Map<String, Value>>,
    /// Router settings of its own; noted, not enforced.
    pub router_settings: Option<Map<String, Value>>,
    /// `guaranteed_throughput`, `best_effort_throughput` or `dynamic`, noted.
    pub tpm_limit_type: Option<String>,
    /// The same for requests.
    pub rpm_limit_type: Option<String>,
    /// Whether it is to be rotated from time to time.
    #[serde(deserialize_with = "or_default")]
    pub auto_rotate: bool,
    /// How often.
    pub rotation_interval: Option<Period>,
    /// How often it has been rotated.
    pub rotation_count: u64,
    /// When it was last rotated.
    pub last_rotation_at: Option<Time>,
    /// When it is to be rotated next.
    pub key_rotation_at: Option<Time>,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

impl Key {
    /// Its money at this time, with the raise that holds now.
    pub fn budget_at(&self, now: Time) -> Option<Usd> {
        let raised = self.temp_budget_expiry.is_some_and(|end| now < end);
        let raise = self.temp_budget_increase.filter(|_| raised);
        self.allowance
            .max_budget
            .map(|budget| budget.plus(raise.unwrap_or_default()))
    }

    /// Whether its life has ended by this time.
    pub fn expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// Models, and what its holder's role may do in the admin API.
    #[default]
    Default,
    /// Models only.
    LlmApi,
    /// The admin API only.
    Management,
    /// Looking at the admin API only.
    ReadOnly,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_read_back_as_it_was_written() {
        let key: Key = serde_json::from_value(json!({
            "token": "ab", "key_alias": "a", "models": null, "spend": 0.25, "max_budget": 1.5,
            "budget_duration": "30d", "rpm_limit": 3, "key_type": "llm_api", "blocked": null,
            "model_max_budget": {"m": {"budget_limit": 1, "time_period": "1d"}},
            "expires": "2026-11-21T03:30:00+00:00",
        }))
        .unwrap();
        let again: Key = serde_json::from_value(serde_json::to_value(&key).unwrap()).unwrap();
        assert_eq!(again, key);
        assert_eq!(key.allowance.rpm_limit, Some(3));
    }

    #[test]
    fn a_raise_of_the_budget_ends() {
        let key = Key {
            allowance: Allowance {
                max_budget: Some(Usd(5)),
                ..Allowance::default()
            },
            temp_budget_increase: Some(Usd(2)),
            temp_budget_expiry: Some(Time(10)),
            ..Key::default()
        };
        assert_eq!(key.budget_at(Time(9)), Some(Usd(7)));
        assert_eq!(key.budget_at(Time(10)), Some(Usd(5)));
    }
}
