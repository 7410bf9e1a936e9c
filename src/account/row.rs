//! The spend log.

use std::collections::HashMap;

use pointsman_routes::usd::Usd;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Holder, Scope, Time, money};

/// A row of the spend log: one request. The names are those of LiteLLM's `/spend/logs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpendRow {
    /// The request; a row of the same id is the same row.
    pub request_id: String,
    /// `acompletion`, `aembedding`, `anthropic_messages`, …
    pub call_type: String,
    /// The key's hash, or `litellm_proxy_master_key`.
    pub api_key: String,
    /// What it cost.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Tokens of the prompt and the answer.
    pub total_tokens: u64,
    /// Tokens of the prompt, cached ones among them.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning ones among them.
    pub completion_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read_input_tokens: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_creation_input_tokens: u64,
    /// Answer tokens that were thought, not said.
    pub reasoning_tokens: u64,
    /// When the request came.
    #[serde(rename = "startTime")]
    pub start_time: Time,
    /// When its answer ended.
    #[serde(rename = "endTime")]
    pub end_time: Time,
    /// When the first part of its answer came.
    #[serde(rename = "completionStartTime")]
    pub completion_start_time: Option<Time>,
    /// The model at the provider.
    pub model: String,
    /// The deployment.
    pub model_id: Option<String>,
    /// The model group.
    pub model_group: Option<String>,
    /// The provider.
    pub custom_llm_provider: Option<String>,
    /// The provider's address, without credentials.
    pub api_base: Option<String>,
    /// The user that it is counted for.
    pub user: Option<String>,
    /// The end user that it is counted for.
    pub end_user: Option<String>,
    /// The team that it is counted for.
    pub team_id: Option<String>,
    /// The organisation that it is counted for.
    pub organization_id: Option<String>,
    /// Further facts.
    pub metadata: Map<String, Value>,
    /// `True`, `False` or empty, as LiteLLM writes it.
    pub cache_hit: String,
    /// The cache's key.
    pub cache_key: Option<String>,
    /// Tags that it is counted for.
    pub request_tags: Vec<String>,
    /// Where the request came from.
    pub requester_ip_address: Option<String>,
    /// The conversation that it is part of.
    pub session_id: Option<String>,
    /// The id in the answer, where the provider made one and the caller saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_id: Option<String>,
    /// The windows of [`budget_limits`](super::Allowance::budget_limits) that it counts in. They are kept
    /// with the sums, not in the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<(Holder, String)>,
    /// The prompt, where keeping it is switched on.
    pub messages: Option<Value>,
    /// The answer, where keeping it is switched on.
    pub response: Option<Value>,
    /// `success` or `failure`.
    pub status: String,
    /// The tool that was called, if it was one.
    pub mcp_namespaced_tool_name: Option<String>,
    /// What an answer from the cache would have cost.
    #[serde(with = "money::always")]
    pub saved_cache_cost: Usd,
    /// From the request's head to the answer's end.
    pub latency_ms: Option<f64>,
    /// From the request's head to the first part of the answer.
    pub ttft_ms: Option<f64>,
    /// Whom the gateway asked, and what came of it.
    pub attempts: Vec<Value>,
    /// The table that was in force.
    pub config_version: Option<String>,
}

impl SpendRow {
    /// Everybody whose spend it is part of, each once.
    pub fn scopes(&self) -> Vec<Scope> {
        let model = self
            .model_group
            .as_deref()
            .filter(|model| !model.is_empty());
        let named = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
        let mut scopes = vec![Scope::Proxy];
        if !self.api_key.is_empty() {
            scopes.push(Scope::Key(self.api_key.clone()));
            scopes.extend(model.map(|model| Scope::KeyModel {
                key: self.api_key.clone(),
                model: model.to_owned(),
            }));
        }
        if let Some(user) = named(&self.user) {
            scopes.extend(model.map(|model| Scope::UserModel {
                user: user.clone(),
                model: model.to_owned(),
            }));
            scopes.extend(named(&self.team_id).map(|team| Scope::Member {
                team,
                user: user.clone(),
            }));
            scopes.push(Scope::User(user));
        }
        if let Some(team) = named(&self.team_id) {
            scopes.extend(model.map(|model| Scope::TeamModel {
                team: team.clone(),
                model: model.to_owned(),
            }));
            scopes.push(Scope::Team(team));
        }
        if let Some(organization) = named(&self.organization_id) {
            scopes.extend(model.map(|model| Scope::OrganizationModel {
                organization: organization.clone(),
                model: model.to_owned(),
            }));
            scopes.push(Scope::Organization(organization));
        }
        if let Some(end_user) = named(&self.end_user) {
            scopes.extend(model.map(|model| Scope::EndUserModel {
                end_user: end_user.clone(),
                model: model.to_owned(),
            }));
            scopes.push(Scope::EndUser(end_user));
        }
        scopes.extend(self.request_tags.iter().cloned().map(Scope::Tag));
        scopes.extend(self.windows.iter().filter_map(|(holder, period)| {
            let id = match holder {
                Holder::Key => Some(self.api_key.clone()).filter(|key| !key.is_empty()),
                Holder::Team => named(&self.team_id),
                Holder::User => named(&self.user),
            };
            Some(Scope::Window {
                holder: *holder,
                id: id?,
                period: period.clone(),
            })
        }));
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// Everybody that some rows name, and the rows of each. What many rows have in common is looked at
    /// once.
    pub fn by_scopes(rows: &[Self]) -> Vec<(Vec<Scope>, Vec<&Self>)> {
        let mut alike: HashMap<_, Vec<&Self>, FxBuildHasher> = HashMap::default();
        for row in rows {
            let whose = (
                &row.api_key,
                &row.user,
                &row.team_id,
                &row.organization_id,
                &row.end_user,
                &row.model_group,
                &row.request_tags,
                &row.windows,
            );
            alike.entry(whose).or_default().push(row);
        }
        let scopes = |rows: &Vec<&Self>| rows.first().map_or_else(Vec::new, |row| row.scopes());
        alike
            .into_values()
            .map(|rows| (scopes(&rows), rows))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_once_for_everybody_it_names() {
        let row = SpendRow {
            api_key: "hash".to_owned(),
            user: Some("u".to_owned()),
            team_id: Some("t".to_owned()),
            end_user: Some(String::new()),
            model_group: Some("m".to_owned()),
            request_tags: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()],
            ..SpendRow::default()
        };
        let scopes = row.scopes();
        let words: Vec<_> = scopes.iter().map(Scope::parts).collect();
        let expected = [
            ("proxy", "", ""),
            ("team", "t", ""),
            ("team_model", "t", "m"),
            ("member", "t", "u"),
            ("user", "u", ""),
            ("user_model", "u", "m"),
            ("key", "hash", ""),
            ("key_model", "hash", "m"),
            ("tag", "a", ""),
            ("tag", "b", ""),
        ];
        assert_eq!(words, expected);
        let other = SpendRow {
            request_tags: Vec::new(),
            ..row.clone()
        };
        let rows = [row.clone(), other.clone(), row.clone()];
        let mut found = SpendRow::by_scopes(&rows);
        found.sort_by_key(|(_, rows)| rows.len());
        assert_eq!(found[0], (other.scopes(), vec![&other]));
        assert_eq!(found[1], (row.scopes(), vec![&row, &row]));
    }
}
