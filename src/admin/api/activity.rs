//! Daily activity: sums by day, with what they are made of.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::rights::Reach;
use super::spend::days;
use super::{Answer, Ask};
use crate::store::{Daily, Dimension, Sums};

fn money(sums: &Sums) -> Value {
    json!(sums.spend.to_string().parse::<f64>().unwrap_or_default())
}

fn metrics(sums: &Sums) -> Value {
    json!({
        "spend": money(sums),
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "total_tokens": sums.tokens(),
        "cache_read_input_tokens": sums.cache_read_tokens,
        "cache_creation_input_tokens": sums.cache_write_tokens,
        "successful_requests": sums.successes,
        "failed_requests": sums.failures,
        "api_requests": sums.requests(),
    })
}

/// What a day is split into, under LiteLLM's names.
const PARTS: [(&str, Dimension); 4] = [
    ("models", Dimension::Model),
    ("model_groups", Dimension::Group),
    ("providers", Dimension::Provider),
    ("api_keys", Dimension::Key),
];

async fn daily(ask: &Ask, wanted: &Daily, entity: Dimension) -> Answer {
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("page_size").unwrap_or(50).clamp(1, 1_000);
    let mut split = vec![Dimension::Day];
    split.extend(PARTS.iter().map(|(_, dimension)| *dimension));
    split.push(entity);
    let mut total = Sums::default();
    let mut days: BTreeMap<String, (Sums, Vec<BTreeMap<String, Sums>>)> = BTreeMap::new();
    for (names, sums) in ask.store.sums(&split, wanted).await? {
        total.add(&sums);
        let (of_day, parts) = days.entry(names[0].clone()).or_default();
        of_day.add(&sums);
        parts.resize(names.len() - 1, BTreeMap::new());
        for (part, name) in parts.iter_mut().zip(&names[1..]) {
            part.entry(name.clone()).or_default().add(&sums);
        }
    }
    let pages = (days.len() as u64).div_ceil(size);
    let skipped =
        usize::try_from(page.saturating_sub(1).saturating_mul(size)).unwrap_or(usize::MAX);
    let shown = days
        .iter()
        .rev()
        .skip(skipped)
        .take(usize::try_from(size).unwrap_or(usize::MAX));
    let results = shown.map(|(day, (sums, parts))| {
        let mut breakdown = Map::new();
        let names = PARTS.iter().map(|(name, _)| *name).chain(["entities"]);
        for (name, part) in names.zip(parts) {
            let part = part.iter().filter(|(name, _)| !name.is_empty());
            let part = part.map(|(name, sums)| {
                (
                    name.clone(),
                    json!({"metrics": metrics(sums), "metadata": {}}),
                )
            });
            breakdown.insert(name.to_owned(), Value::Object(part.collect()));
        }
        json!({"date": day, "metrics": metrics(sums), "breakdown": breakdown})
    });
    let results: Vec<_> = results.collect();
    let totals = metrics(&total);
    let mut metadata = json!({"page": page, "total_pages": pages, "has_more": page < pages});
    if let (Value::Object(metadata), Value::Object(totals)) = (&mut metadata, totals) {
        metadata.extend(totals.into_iter().map(|(name, value)| {
            (
                format!("total_{}", name.trim_start_matches("total_")),
                value,
            )
        }));
    }
    Ok(json!({"results": results, "metadata": metadata}))
}

/// `GET /user/daily/activity`.
pub(super) async fn of_user(ask: Ask) -> Answer {
    let mut wanted = days(&ask);
    let user = if ask.reach == Reach::All {
        ask.form.owned("user_id")
    } else {
        let me = ask.caller.user_id.clone();
        if ask
            .form
            .text("user_id")
            .is_some_and(|user| Some(user) != me.as_deref())
        {
            return Err(Refusal::forbidden("You may look at your own activity only"));
        }
        Some(me.unwrap_or_else(|| "\u{1}nobody".to_owned()))
    };
    if let Some(user) = user {
        wanted.only.insert(Dimension::User, user);
    }
    daily(&ask, &wanted, Dimension::User).await
}

/// `GET /team/daily/activity`.
pub(super) async fn of_team(ask: Ask) -> Answer {
    let mut wanted = days(&ask);
    let team = ask
        .form
        .owned("team_ids")
        .or_else(|| ask.form.owned("team_id"));
    if ask.reach == Reach::Own {
        let mine = team.as_deref().is_some_and(|team| {
            ask.caller.manages_team(team, None) || ask.caller.teams.iter().any(|mine| mine == team)
        });
        if !mine {
            return Err(Refusal::forbidden(
                "You may look at the activity of your own teams only",
            ));
        }
    }
    if let Some(team) = team {
        wanted.only.insert(Dimension::Team, team);
    }
    daily(&ask, &wanted, Dimension::Team).await
}

/// `GET /organization/daily/activity`.
pub(super) async fn of_organization(ask: Ask) -> Answer {
    only(&ask, "organization_ids", Dimension::Organization).await
}

/// `GET /customer/daily/activity`.
pub(super) async fn of_customer(ask: Ask) -> Answer {
    only(&ask, "end_user_ids", Dimension::EndUser).await
}

/// The days of all that a dimension knows, or of the one that a field names.
async fn only(ask: &Ask, field: &str, dimension: Dimension) -> Answer {
    let mut wanted = days(ask);
    if let Some(id) = ask.form.owned(field) {
        wanted.only.insert(dimension, id);
    }
    daily(ask, &wanted, dimension).await
}

/// `GET /tag/daily/activity`.
pub(super) async fn of_tag(ask: Ask) -> Answer {
    only(&ask, "tags", Dimension::Tag).await
}

/// `GET /global/activity`.
pub(super) async fn global(ask: Ask) -> Answer {
    let mut sums = ask.store.sums(&[Dimension::Day], &days(&ask)).await?;
    sums.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(activity(&sums))
}

fn activity(days: &[(Vec<String>, Sums)]) -> Value {
    let mut total = Sums::default();
    for (_, sums) in days {
        total.add(sums);
    }
    let day = |(names, sums): &(Vec<String>, Sums)| {
        json!({
            "date": names[0],
            "api_requests": sums.requests(),
            "total_tokens": sums.tokens(),
        })
    };
    json!({
        "daily_data": days.iter().map(day).collect::<Vec<_>>(),
        "sum_api_requests": total.requests(),
        "sum_total_tokens": total.tokens(),
    })
}

/// `GET /global/activity/model`.
pub(super) async fn global_models(ask: Ask) -> Answer {
    let split = [Dimension::Day, Dimension::Group];
    let mut models: BTreeMap<String, Vec<(Vec<String>, Sums)>> = BTreeMap::new();
    for (mut names, sums) in ask.store.sums(&split, &days(&ask)).await? {
        let model = names.remove(1);
        models.entry(model).or_default().push((names, sums));
    }
    let models = models.into_iter().map(|(model, mut days)| {
        days.sort_by(|one, other| one.0.cmp(&other.0));
        let mut activity = activity(&days);
        activity["model"] = Value::from(model);
        activity
    });
    Ok(models.collect())
}

/// `GET /global/activity/exceptions`: requests that got no answer.
pub(super) async fn global_exceptions(ask: Ask) -> Answer {
    let mut wanted = days(&ask);
    if let Some(group) = ask.form.owned("model_group") {
        wanted.only.insert(Dimension::Group, group);
    }
    let mut sums = ask.store.sums(&[Dimension::Day], &wanted).await?;
    sums.sort_by(|one, other| one.0.cmp(&other.0));
    let failed: u64 = sums.iter().map(|(_, sums)| sums.failures).sum();
    let days = sums.iter().map(|(names, sums)| {
        json!({"date": names[0], "num_rate_limit_exceptions": 0, "num_exceptions": sums.failures})
    });
    Ok(
        json!({"daily_data": days.collect::<Vec<_>>(), "sum_num_exceptions": failed,
        "sum_num_rate_limit_exceptions": 0}),
    )
}
