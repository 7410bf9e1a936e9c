//! Accounts as the API shows them.

use pointsman_routes::usd::Usd;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::account::{Allowance, EndUser, Key, Membership, Organization, Team, Time, User};

fn object(record: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

pub(super) fn dollars(amount: Usd) -> Value {
    json!(amount.to_string().parse::<f64>().unwrap_or_default())
}

/// A key without its hash; LiteLLM looks for some fields in `metadata`, so they are there, too.
pub(super) fn key(key: &Key) -> Map<String, Value> {
    let mut fields = object(key);
    fields.remove("token");
    let mut metadata = key.metadata.clone();
    for name in [
        "tags",
        "guardrails",
        "policies",
        "enforced_params",
        "model_rpm_limit",
        "model_tpm_limit",
    ] {
        let value = &fields[name];
        let empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !empty {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    fields.insert("metadata".to_owned(), Value::Object(metadata));
    fields.insert("soft_budget_cooldown".to_owned(), json!(false));
    fields.insert("model_spend".to_owned(), json!({}));
    fields.insert("litellm_budget_table".to_owned(), Value::Null);
    left(&mut fields, key.budget_at(Time::now()), key.spend);
    fields
}

/// The same with the hash, where keys are listed.
pub(super) fn listed_key(listed: &Key) -> Value {
    let mut fields = key(listed);
    fields.insert("token".to_owned(), json!(listed.token));
    Value::Object(fields)
}

/// What is left of a budget.
fn left(fields: &mut Map<String, Value>, budget: Option<Usd>, spend: Usd) {
    let remaining = budget.map(|budget| Usd(budget.0.saturating_sub(spend.0).max(0)));
    let percentage = budget.filter(|budget| budget.0 > 0).map(|budget| {
        let used = spend.to_f64() / budget.to_f64() * 100.0;
        (used * 100.0).round() / 100.0
    });
    fields.insert(
        "remaining".to_owned(),
        remaining.map_or(Value::Null, dollars),
    );
    fields.insert("percentage_used".to_owned(), json!(percentage));
}

pub(super) fn user(user: &User) -> Map<String, Value> {
    let mut fields = object(user);
    left(&mut fields, user.allowance.max_budget, user.spend);
    fields
}

pub(super) fn team(team: &Team) -> Map<String, Value> {
    let mut fields = object(team);
    // LiteLLM's lists from before members had roles, which nothing fills any more.
    fields.insert("admins".to_owned(), json!([]));
    fields.insert("members".to_owned(), json!([]));
    fields.insert("litellm_model_table".to_owned(), Value::Null);
    left(&mut fields, team.allowance.max_budget, team.spend);
    fields
}

pub(super) fn membership(membership: &Membership) -> Value {
    json!({
        "user_id": membership.user_id,
        "team_id": membership.team_id,
        "budget_id": membership.budget_id,
        "spend": dollars(membership.spend),
        "litellm_budget_table": budget_table(&membership.allowance, membership.budget_reset_at),
    })
}

pub(super) fn organization(organization: &Organization) -> Map<String, Value> {
    let mut fields = object(organization);
    let table = budget_table(&organization.allowance, organization.budget_reset_at);
    fields.insert("litellm_budget_table".to_owned(), table);
    let member = |(user, role): (&String, &crate::account::Role)| {
        json!({
            "user_id": user,
            "organization_id": organization.organization_id,
            "user_role": role,
        })
    };
    let members: Vec<_> = organization.members.iter().map(member).collect();
    fields.insert("members".to_owned(), json!(members));
    left(
        &mut fields,
        organization.allowance.max_budget,
        organization.spend,
    );
    fields
}

pub(super) fn end_user(end_user: &EndUser) -> Value {
    let mut fields = object(end_user);
    let table = budget_table(&end_user.allowance, end_user.budget_reset_at);
    fields.insert("litellm_budget_table".to_owned(), table);
    left(&mut fields, end_user.allowance.max_budget, end_user.spend);
    Value::Object(fields)
}

fn budget_table(allowance: &Allowance, resets_at: Option<Time>) -> Value {
    if allowance.is_empty() {
        return Value::Null;
    }
    let mut fields = object(allowance);
    fields.insert("budget_reset_at".to_owned(), json!(resets_at));
    Value::Object(fields)
}
