//! `/spend` and `/global/spend`: the log, and sums over it.

use std::collections::BTreeMap;

use pointsman_routes::table::Window;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, secret, view};
use crate::account::{Accounts, Key, Scope, SpendRow, Time, User};
use crate::store::{Daily, Dimension, LogFilter, Sums};

/// Rows that one call gives if it asks for no number.
const ROWS: u64 = 1_000;

/// A row, with our names for what others call otherwise.
fn show(row: &SpendRow) -> Value {
    let mut shown = serde_json::to_value(row).unwrap_or_default();
    // LiteLLM calls a request by the id of its answer.
    if let Some(answer) = shown
        .as_object_mut()
        .and_then(|row| row.remove("answer_id"))
    {
        shown["request_id"] = answer;
    }
    shown["call_id"] = json!(row.request_id);
    shown["user_id"] = json!(row.user);
    shown["cost"] = shown["spend"].clone();
    for (name, value) in [
        ("user_api_key", Some(&row.api_key)),
        ("user_api_key_user_id", row.user.as_ref()),
        ("user_api_key_team_id", row.team_id.as_ref()),
        ("user_api_key_org_id", row.organization_id.as_ref()),
    ] {
        if shown["metadata"].get(name).is_none() {
            shown["metadata"][name] = json!(value);
        }
    }
    shown
}

/// The id of a call: as it is in the log, or in an answer whose id the gateway made.
fn called(id: &str) -> String {
    const UUID: usize = 36;
    let made = id.strip_prefix("chatcmpl-").or(id.strip_prefix("cmpl-"));
    made.filter(|call| call.len() == UUID)
        .unwrap_or(id)
        .to_owned()
}

/// The first instant of a day, or the one after its last. A time is meant as it is.
fn instant(text: &str, end: bool) -> Option<Time> {
    let time: Time = text.parse().ok()?;
    Some(if end && text.len() == 10 {
        time.plus_seconds(86_400)
    } else {
        time
    })
}

/// The rows that a form asks for, as far as the caller may see.
fn filter(ask: &Ask) -> Result<LogFilter, Refusal> {
    let form = &ask.form;
    let key = form.owned("api_key").map(|key| secret::meant(&key));
    let mut filter = LogFilter {
        request_id: form.text("request_id").map(called),
        answer_id: form.owned("request_id"),
        api_key: key,
        user_id: form.owned("user_id"),
        team_id: form.owned("team_id"),
        end_user: form.owned("end_user"),
        model_group: form.owned("model"),
        session_id: form.owned("session_id"),
        status: form.owned("status_filter"),
        from: form.text("start_date").and_then(|day| instant(day, false)),
        to: form.text("end_date").and_then(|day| instant(day, true)),
        min_spend: form.money("min_spend"),
        max_spend: form.money("max_spend"),
        offset: form.count("offset").unwrap_or(0),
        limit: form.count("limit").unwrap_or(ROWS),
    };
    if ask.reach == Reach::Own {
        let team = filter.team_id.as_deref();
        if !team.is_some_and(|team| ask.caller.manages_team(team, None)) {
            let mine = ask.caller.user_id.clone();
            match mine {
                Some(mine) if filter.user_id.as_ref().is_none_or(|user| *user == mine) => {
                    filter.user_id = Some(mine);
                }
                None if filter
                    .api_key
                    .as_ref()
                    .is_none_or(|key| *key == ask.caller.key) =>
                {
                    filter.api_key = Some(ask.caller.key.clone());
                }
                _ => return Err(Refusal::forbidden("You may look at your own spend only")),
            }
        }
    }
    Ok(filter)
}

/// `GET /spend/logs`: sums of days where dates are given and nothing says otherwise, else rows.
pub(super) async fn logs(ask: Ask) -> Answer {
    let filter = filter(&ask)?;
    let dated = filter.from.is_some() && filter.to.is_some();
    let one = filter.request_id.is_some();
    if dated && !one && ask.form.flag("summarize").unwrap_or(true) {
        return summary(&ask, &filter).await;
    }
    let listed = ask.store.logs(&filter).await?;
    Ok(listed.records.iter().map(show).collect())
}

async fn summary(ask: &Ask, filter: &LogFilter) -> Answer {
    let mut only = BTreeMap::new();
    for (dimension, value) in [
        (Dimension::Key, &filter.api_key),
        (Dimension::User, &filter.user_id),
        (Dimension::Team, &filter.team_id),
        (Dimension::EndUser, &filter.end_user),
        (Dimension::Group, &filter.model_group),
    ] {
        if let Some(value) = value {
            only.insert(dimension, value.clone());
        }
    }
    // The end is the instant after the last day.
    let daily = Daily {
        from: filter.from.map(Time::day),
        to: filter.to.map(|end| Time(end.0.saturating_sub(1)).day()),
        only,
    };
    let by = [
        Dimension::Day,
        Dimension::User,
        Dimension::Group,
        Dimension::Key,
    ];
    let mut days: BTreeMap<String, [Map<String, Value>; 3]> = BTreeMap::new();
    let mut totals: BTreeMap<String, Sums> = BTreeMap::new();
    let mut parts: BTreeMap<(String, usize, String), Sums> = BTreeMap::new();
    for (names, sums) in ask.store.sums(&by, &daily).await? {
        let day = &names[0];
        totals.entry(day.clone()).or_default().add(&sums);
        for (at, name) in names[1..].iter().enumerate() {
            parts
                .entry((day.clone(), at, name.clone()))
                .or_default()
                .add(&sums);
        }
    }
    for ((day, at, name), sums) in parts {
        days.entry(day).or_default()[at].insert(name, money(&sums));
    }
    let summary = days.into_iter().map(|(day, [users, models, keys])| {
        let mut summary = json!({"startTime": day, "users": users, "models": models});
        summary["spend"] = money(totals.get(&day).unwrap_or(&Sums::default()));
        for (key, spend) in keys {
            summary[key] = spend;
        }
        summary
    });
    Ok(summary.collect())
}

fn money(sums: &Sums) -> Value {
    json!(sums.spend.to_string().parse::<f64>().unwrap_or_default())
}

/// `GET /spend/logs/v2` and `/spend/logs/ui`.
pub(super) async fn logs_paged(ask: Ask) -> Answer {
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("page_size").unwrap_or(50).clamp(1, 1_000);
    let mut filter = filter(&ask)?;
    filter.offset = page.saturating_sub(1).saturating_mul(size);
    filter.limit = size;
    let listed = ask.store.logs(&filter).await?;
    Ok(json!({
        "data": listed.records.iter().map(show).collect::<Vec<_>>(),
        "total": listed.total,
        "page": page,
        "page_size": size,
        "total_pages": listed.total.div_ceil(size),
    }))
}

/// `GET /spend/keys`: the keys that spent most.
pub(super) async fn keys(ask: Ask) -> Answer {
    let ids = top(&ask, Dimension::Key).await?;
    let mut keys = ask.store.several::<Key>(&ids).await?;
    keys.sort_by_key(|key| std::cmp::Reverse(key.spend));
    Ok(keys.iter().map(view::listed_key).collect())
}

/// `GET /spend/users`: the users that spent most, or one.
pub(super) async fn users(ask: Ask) -> Answer {
    if let Some(id) = ask.form.text("user_id") {
        let user = ask.store.get::<User>(id).await?;
        return Ok(user.iter().map(view::user).map(Value::Object).collect());
    }
    let ids = top(&ask, Dimension::User).await?;
    let mut users = ask.store.several::<User>(&ids).await?;
    users.sort_by_key(|user| std::cmp::Reverse(user.spend));
    Ok(users.iter().map(view::user).map(Value::Object).collect())
}

/// The names of those that spent most.
async fn top(ask: &Ask, by: Dimension) -> Result<Vec<String>, Refusal> {
    let limit = ask.form.count("limit").unwrap_or(100);
    let limit = usize::try_from(limit.min(ROWS)).unwrap_or(100);
    let sums = ask.store.sums(&[by], &days(ask)).await?;
    let names = sums.into_iter().map(|(mut names, _)| names.remove(0));
    Ok(names.filter(|name| !name.is_empty()).take(limit).collect())
}

/// The days that a form names.
pub(super) fn days(ask: &Ask) -> Daily {
    let day = |name: &str| {
        ask.form
            .text(name)
            .map(|day| day.chars().take(10).collect())
    };
    Daily {
        from: day("start_date"),
        to: day("end_date"),
        only: BTreeMap::new(),
    }
}

/// `GET /spend/tags` and `/global/spend/tags`.
pub(super) async fn tags(ask: Ask) -> Answer {
    let sums = ask.store.sums(&[Dimension::Tag], &days(&ask)).await?;
    let tags = sums.iter().map(|(names, sums)| {
        json!({
            "individual_request_tag": names[0],
            "log_count": sums.requests(),
            "total_spend": money(sums),
        })
    });
    Ok(tags.collect())
}

/// `GET /global/spend/all_tag_names`.
pub(super) async fn tag_names(ask: Ask) -> Answer {
    let sums = ask.store.sums(&[Dimension::Tag], &days(&ask)).await?;
    let names = sums.into_iter().map(|(mut names, _)| names.remove(0));
    Ok(json!({"tag_names": names.collect::<Vec<_>>()}))
}

/// `GET /global/spend`.
pub(super) async fn global(ask: Ask) -> Answer {
    let sums = ask.store.spent(&[Scope::Proxy]).await?;
    let proxy = sums.first().copied().unwrap_or_default();
    let live = ask.office.live.load();
    let budget = live.routes().settings.budget.as_ref();
    Ok(json!({
        "spend": proxy.spend.to_string().parse::<f64>().unwrap_or_default(),
        "max_budget": budget.map(|budget| budget.max.to_f64()),
    }))
}

/// `GET /provider/budgets`: `provider_budget_config`, and how it stands in this gateway.
pub(super) async fn providers(ask: Ask) -> Answer {
    let live = ask.office.live.load();
    let budgets = live.routes().router.provider_budgets.iter();
    let budgets = budgets.map(|(name, budget)| {
        let (spent, end) = ask.office.router.provider_spent(name);
        let period = budget.window.map(|window| match window {
            Window::Seconds(seconds) if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
            Window::Seconds(seconds) => format!("{seconds}s"),
            Window::Months(months) => format!("{months}mo"),
        });
        let standing = json!({
            "budget_limit": view::dollars(budget.max),
            "time_period": period,
            "spend": view::dollars(spent),
            "budget_reset_at": end.map(Time::from),
        });
        (name.to_string(), standing)
    });
    Ok(json!({"providers": budgets.collect::<Map<_, _>>()}))
}

/// `POST /global/spend/reset`: everybody's running windows begin with nothing; the log stays.
pub(super) async fn reset(ask: Ask) -> Answer {
    let mut work = ask.work().await?;
    work.forget_spend().await?;
    work.commit().await?;
    Ok(
        json!({"message": "Spend for all API Keys and Teams reset successfully", "status": "success"}),
    )
}

async fn by(ask: &Ask, dimension: Dimension, name: &str) -> Answer {
    let limit = ask.form.count("limit").unwrap_or(ROWS).min(ROWS);
    let sums = ask.store.sums(&[dimension], &days(ask)).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let rows = sums.iter().take(limit).map(|(names, sums)| {
        json!({
            name: names[0],
            "total_spend": money(sums),
            "spend": money(sums),
            "requests": sums.requests(),
            "total_tokens": sums.tokens(),
        })
    });
    Ok(rows.collect())
}

/// `GET /global/spend/keys`.
pub(super) async fn global_keys(ask: Ask) -> Answer {
    by(&ask, Dimension::Key, "api_key").await
}

/// `GET /global/spend/teams`.
pub(super) async fn global_teams(ask: Ask) -> Answer {
    by(&ask, Dimension::Team, "team_id").await
}

/// `GET /global/spend/models`.
pub(super) async fn global_models(ask: Ask) -> Answer {
    by(&ask, Dimension::Group, "model").await
}

/// `GET /global/spend/provider`.
pub(super) async fn global_providers(ask: Ask) -> Answer {
    by(&ask, Dimension::Provider, "provider").await
}

/// `GET` and `POST /global/spend/end_users`.
pub(super) async fn global_end_users(ask: Ask) -> Answer {
    by(&ask, Dimension::EndUser, "end_user").await
}

/// `GET /global/spend/logs`: spend by day, of a key or of all.
pub(super) async fn global_logs(ask: Ask) -> Answer {
    let mut wanted = days(&ask);
    if let Some(key) = ask.form.text("api_key") {
        wanted.only.insert(Dimension::Key, secret::meant(key));
    }
    let mut sums = ask.store.sums(&[Dimension::Day], &wanted).await?;
    sums.sort_by(|one, other| one.0.cmp(&other.0));
    let days = sums
        .iter()
        .map(|(names, sums)| json!({"date": names[0], "spend": money(sums)}));
    Ok(days.collect())
}

/// `GET /global/spend/report`: by day and team, customer, key or user.
pub(super) async fn report(ask: Ask) -> Answer {
    let (dimension, name) = match ask.form.text("group_by").unwrap_or("team") {
        "team" => (Dimension::Team, "team_name"),
        "customer" => (Dimension::EndUser, "customer"),
        "api_key" => (Dimension::Key, "api_key"),
        "internal_user" | "user" => (Dimension::User, "internal_user"),
        _ => {
            let words = "group_by is team, customer, api_key or internal_user";
            return Err(Refusal::bad("group_by", words));
        }
    };
    let mut wanted = days(&ask);
    for (field, dimension) in [
        ("team_id", Dimension::Team),
        ("customer_id", Dimension::EndUser),
        ("internal_user_id", Dimension::User),
    ] {
        if let Some(id) = ask.form.owned(field) {
            wanted.only.insert(dimension, id);
        }
    }
    if let Some(key) = ask.form.text("api_key") {
        wanted.only.insert(Dimension::Key, secret::meant(key));
    }
    let split = [Dimension::Day, dimension, Dimension::Group];
    let mut days: BTreeMap<String, BTreeMap<String, (Sums, Vec<Value>)>> = BTreeMap::new();
    for (names, sums) in ask.store.sums(&split, &wanted).await? {
        let [day, who, model] = &names[..] else {
            continue;
        };
        let of = days
            .entry(day.clone())
            .or_default()
            .entry(who.clone())
            .or_default();
        of.0.add(&sums);
        of.1.push(json!({
            "model": model,
            "spend": money(&sums),
            "usage": {
                "prompt_tokens": sums.prompt_tokens,
                "completion_tokens": sums.completion_tokens,
            },
            "total_tokens": sums.tokens(),
        }));
    }
    let report = days.into_iter().map(|(day, parties)| {
        let parties: Vec<_> = parties
            .into_iter()
            .map(|(who, (sums, models))| {
                json!({name: who, "total_spend": money(&sums), "metadata": models})
            })
            .collect();
        let group = if dimension == Dimension::Team {
            "teams"
        } else {
            "customers"
        };
        json!({"group_by_day": day, group: parties})
    });
    Ok(report.collect())
}
