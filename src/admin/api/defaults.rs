//! What the config says of new keys, users and teams: `default_key_generate_params`,
//! `upperbound_key_generate_params`, `default_soft_budget`, `default_internal_user_params`,
//! `default_team_params`, `max_internal_user_budget`, `internal_user_budget_duration`.

use pointsman_routes::table::{Setting, Value as Text};
use serde_json::{Map, Value, json};

use super::field::Field;
use super::form::Form;
use super::refusal::Refusal;
use crate::account::{Period, Time, money};
use crate::live::Live;

/// A setting that has no field of its own in the plan.
pub(super) fn setting(live: &Live, name: &str) -> Option<Value> {
    let path = format!("litellm_settings.{name}");
    let carried = live.routes().carried.iter();
    carried
        .filter(|carried| carried.path == path)
        .map(|carried| json_of(&carried.value))
        .next()
}

fn json_of(setting: &Setting) -> Value {
    match setting {
        Setting::Bool(value) => json!(value),
        Setting::Int(value) => json!(value),
        Setting::Float(value) => json!(value),
        Setting::Text(Text::Plain(text)) => json!(text),
        Setting::List(items) => items.iter().map(json_of).collect(),
        Setting::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|(name, value)| (name.to_string(), json_of(value)))
                .collect::<Map<_, _>>(),
        ),
        Setting::Text(_) | Setting::Secret(_) | Setting::Null => Value::Null,
    }
}

/// Fills what a request leaves open from a map of the config; values of another kind are left out.
fn fill(form: &mut Form, live: &Live, name: &str, fields: &[&[Field]]) {
    let Some(Value::Object(defaults)) = setting(live, name) else {
        return;
    };
    for field in fields.iter().copied().flatten() {
        let default = defaults
            .get(field.name)
            .filter(|default| !default.is_null());
        if let Some(Ok(value)) = default.map(|default| field.kind.read(default)) {
            form.preset(field.name, value);
        }
    }
}

/// For `/key/generate`.
pub(super) fn of_key(form: &mut Form, live: &Live, fields: &[&[Field]]) -> Result<(), Refusal> {
    fill(form, live, "default_key_generate_params", fields);
    let soft = setting(live, "default_soft_budget");
    if let Some(soft) = soft.filter(|soft| money::from_json(soft).is_some()) {
        form.preset("soft_budget", soft);
    }
    ceiling(form, live, true)
}

/// Refuses more than `upperbound_key_generate_params`, for new keys and for changed ones. What a
/// new key leaves open becomes the bound.
pub(super) fn ceiling(form: &mut Form, live: &Live, new: bool) -> Result<(), Refusal> {
    let Some(Value::Object(bounds)) = setting(live, "upperbound_key_generate_params") else {
        return Ok(());
    };
    for (name, bound) in &bounds {
        if bound.is_null() {
            continue;
        }
        if new && form.get(name).is_none() {
            form.take(name);
            form.preset(name, bound.clone());
            continue;
        }
        let cleared = form.has(name) && form.get(name).is_none();
        let over = form.get(name).is_some_and(|value| exceeds(value, bound));
        if cleared || over {
            let given = form.get(name).cloned().unwrap_or_default();
            let message = format!(
                "{name} is over max limit set in config - user_value={given}; max_value={bound}"
            );
            return Err(Refusal::bad(name, &message));
        }
    }
    Ok(())
}

/// Whether a value is more than a bound: of money, of numbers, of time.
fn exceeds(value: &Value, bound: &Value) -> bool {
    if let (Some(value), Some(bound)) = (money::from_json(value), money::from_json(bound)) {
        return value > bound;
    }
    let end = |value: &Value| {
        let period: Period = value.as_str()?.parse().ok()?;
        Some(period.after(Time(0)))
    };
    matches!((end(value), end(bound)), (Some(value), Some(bound)) if value > bound)
}

/// For `/user/new`.
pub(super) fn of_user(form: &mut Form, live: &Live, fields: &[&[Field]]) {
    fill(form, live, "default_internal_user_params", fields);
    let admin = form.text("user_role") == Some("proxy_admin");
    if !admin {
        let budget = setting(live, "max_internal_user_budget");
        if let Some(budget) = budget.filter(|budget| money::from_json(budget).is_some()) {
            form.preset("max_budget", budget);
            if let Some(period) = setting(live, "internal_user_budget_duration") {
                form.preset("budget_duration", period);
            }
        }
    }
}

/// For `/team/new`.
pub(super) fn of_team(form: &mut Form, live: &Live, fields: &[&[Field]]) {
    fill(form, live, "default_team_params", fields);
}
