//! `/budget`: budgets that keys, members, customers and organisations can name.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Answer, Ask, fields, secret};
use crate::account::{Budget, Time};
use crate::store::{Listing, Order};

fn not_found(id: &str) -> Refusal {
    Refusal::unknown(&format!("Budget not found, budget_id={id}"))
}

fn show(budget: &Budget) -> Value {
    let now = Time::now();
    let mut shown = serde_json::to_value(budget).unwrap_or_default();
    let period = budget.allowance.budget_duration.as_ref();
    shown["budget_reset_at"] = json!(period.map(|period| period.next_reset(now)));
    shown
}

/// `POST /budget/new`.
pub(super) async fn new(ask: Ask) -> Answer {
    let mut form = ask.form.clone();
    form.take("budget_id");
    let now = Time::now();
    let mut budget = form.fill(&Budget {
        created_by: Some(ask.caller.name().to_owned()),
        updated_by: Some(ask.caller.name().to_owned()),
        created_at: now,
        updated_at: now,
        ..Budget::default()
    })?;
    budget.budget_id = ask.form.owned("budget_id").map_or_else(secret::id, Ok)?;
    let mut work = ask.work().await?;
    work.add(&budget).await?;
    work.commit().await?;
    Ok(show(&budget))
}

/// `POST /budget/update`.
pub(super) async fn update(ask: Ask) -> Answer {
    let id = ask.form.owned("budget_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let before = work
        .get::<Budget>(&id)
        .await?
        .ok_or_else(|| not_found(&id))?;
    let mut budget = ask.form.fill(&before)?;
    budget.updated_at = Time::now();
    budget.updated_by = Some(ask.caller.name().to_owned());
    work.put(&before, &budget).await?;
    work.commit().await?;
    Ok(show(&budget))
}

/// `POST /budget/info`: those of the given ids.
pub(super) async fn info(ask: Ask) -> Answer {
    let ids = ask.form.words("budgets").unwrap_or_default();
    if ids.is_empty() {
        return Err(Refusal::bad(
            "budgets",
            "Specify list of budget id's to query.",
        ));
    }
    let found = ask.store.several::<Budget>(&ids).await?;
    Ok(found.iter().map(show).collect())
}

/// `GET /budget/list`.
pub(super) async fn list(ask: Ask) -> Answer {
    let listing = Listing {
        order: Order::Oldest,
        limit: u64::MAX,
        ..Listing::default()
    };
    let found = ask.store.list::<Budget>(&listing).await?.records;
    Ok(found.iter().map(show).collect())
}

/// `GET /budget/settings`: what a budget can say, and what this one says.
pub(super) async fn settings(ask: Ask) -> Answer {
    let id = ask.form.owned("budget_id").unwrap_or_default();
    let budget = ask
        .store
        .get::<Budget>(&id)
        .await?
        .ok_or_else(|| not_found(&id))?;
    let shown = show(&budget);
    let fields = fields::ALLOWANCE.iter().map(|field| {
        json!({
            "field_name": field.name,
            "field_type": field.kind.schema()["type"],
            "field_value": shown[field.name],
            "stored_in_db": !shown[field.name].is_null(),
        })
    });
    Ok(fields.collect())
}

/// `POST /budget/delete`. Who names it is no longer limited by it.
pub(super) async fn delete(ask: Ask) -> Answer {
    let id = ask.form.owned("id").unwrap_or_default();
    let mut work = ask.work().await?;
    let budget = work
        .get::<Budget>(&id)
        .await?
        .ok_or_else(|| not_found(&id))?;
    work.remove(&budget).await?;
    work.commit().await?;
    Ok(show(&budget))
}
