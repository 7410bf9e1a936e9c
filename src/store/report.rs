//! Reading spend: rows of the log, and sums by day and by whom.

use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::connect::{down, sql};
use super::work::to_column;
use super::{Listed, Store, log};
use crate::account::{Down, SpendRow, Time};

/// Which rows of the log are wanted. What is `None` is not asked.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Of this request.
    pub request_id: Option<String>,
    /// With this id in the answer; or of the request, if that is asked for, too.
    pub answer_id: Option<String>,
    /// Of this key's hash.
    pub api_key: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// Of this team.
    pub team_id: Option<String>,
    /// Of this end user.
    pub end_user: Option<String>,
    /// Of this model group.
    pub model_group: Option<String>,
    /// Of this conversation.
    pub session_id: Option<String>,
    /// `success` or `failure`.
    pub status: Option<String>,
    /// From then on.
    pub from: Option<Time>,
    /// Before then.
    pub to: Option<Time>,
    /// That cost at least this.
    pub min_spend: Option<Usd>,
    /// That cost at most this.
    pub max_spend: Option<Usd>,
    /// How many are left out first.
    pub offset: u64,
    /// How many at most.
    pub limit: u64,
}

/// By what sums are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The day, in UTC.
    Day,
    /// The tag; rows with several count for each.
    Tag,
    /// The key's hash.
    Key,
    /// The user.
    User,
    /// The team.
    Team,
    /// The organisation.
    Organization,
    /// The end user.
    EndUser,
    /// The model group.
    Group,
    /// The model at the provider.
    Model,
    /// The provider.
    Provider,
}

impl Dimension {
    const fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Tag => "tag",
            Self::Key => "api_key",
            Self::User => "user_id",
            Self::Team => "team_id",
            Self::Organization => "organization_id",
            Self::EndUser => "end_user",
            Self::Group => "model_group",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }
}

/// Which sums are wanted: those of days, and of what is named.
#[derive(Clone, Debug, Default)]
pub struct Daily {
    /// The first day, as `2026-11-21`.
    pub from: Option<String>,
    /// The last day.
    pub to: Option<String>,
    /// Of this and that only; each is asked for on its own.
    pub only: BTreeMap<Dimension, String>,
}

/// Sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Money.
    pub spend: Usd,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Prompt tokens read from caches.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to caches.
    pub cache_write_tokens: u64,
    /// Requests that were answered.
    pub successes: u64,
    /// Requests that were not.
    pub failures: u64,
}

impl Sums {
    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.spend = self.spend.plus(other.spend);
        for (own, other) in [
            (&mut self.prompt_tokens, other.prompt_tokens),
            (&mut self.completion_tokens, other.completion_tokens),
            (&mut self.cache_read_tokens, other.cache_read_tokens),
            (&mut self.cache_write_tokens, other.cache_write_tokens),
            (&mut self.successes, other.successes),
            (&mut self.failures, other.failures),
        ] {
            *own = own.saturating_add(other);
        }
    }

    /// Tokens in all.
    pub const fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// Requests in all.
    pub const fn requests(&self) -> u64 {
        self.successes.saturating_add(self.failures)
    }
}

/// The most rows that one look at the log gives.
pub(super) const MOST: u64 = 10_000;
/// The most sums that one report is made of.
const MOST_SUMS: u64 = 100_000;

/// A condition, and what it compares with.
enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

impl LogFilter {
    /// The conditions that are asked for and no others, so that a database sees which index serves
    /// them; and their values.
    fn conditions(&self) -> (String, Vec<Value<'_>>) {
        let (mut of_row, mut of_common, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut place = |value| {
            values.push(value);
            format!("${}", values.len())
        };
        let mut of_either = Vec::new();
        for (column, id) in [
            ("r.request_id", &self.request_id),
            ("r.answer_id", &self.answer_id),
        ] {
            if let Some(id) = id {
                of_either.push(format!("{column} = {}", place(Value::Text(id))));
            }
        }
        if !of_either.is_empty() {
            of_row.push(format!("({})", of_either.join(" OR ")));
        }
        if let Some(session) = &self.session_id {
            let place = place(Value::Text(session));
            of_row.push(format!("r.session_id = {place}"));
        }
        for (condition, number) in [
            ("r.start_time >=", self.from.map(|time| time.0)),
            ("r.start_time <", self.to.map(|time| time.0)),
            ("r.spend >=", self.min_spend.map(to_column)),
            ("r.spend <=", self.max_spend.map(to_column)),
        ] {
            if let Some(number) = number {
                of_row.push(format!("{condition} {}", place(Value::Number(number))));
            }
        }
        for (column, text) in [
            ("api_key", &self.api_key),
            ("user_id", &self.user_id),
            ("team_id", &self.team_id),
            ("end_user", &self.end_user),
            ("model_group", &self.model_group),
            ("status", &self.status),
        ] {
            if let Some(text) = text {
                of_common.push(format!("{column} = {}", place(Value::Text(text))));
            }
        }
        if !of_common.is_empty() {
            let common = of_common.join(" AND ");
            of_row.push(format!(
                "r.common IN (SELECT id FROM spend_common WHERE {common})"
            ));
        }
        let conditions = if of_row.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", of_row.join(" AND "))
        };
        (conditions, values)
    }
}

impl Store {
    /// Rows of the log, the newest first, and how many match.
    pub async fn logs(&self, wanted: &LogFilter) -> Result<Listed<SpendRow>, Down> {
        let (conditions, values) = wanted.conditions();
        let limit = wanted.limit.min(MOST).to_string();
        let offset = wanted.offset.min(i64::MAX.unsigned_abs()).to_string();
        let page = sql(&[
            "SELECT ",
            log::COLUMNS,
            log::TABLES,
            &conditions,
            " ORDER BY r.start_time DESC, r.request_id LIMIT ",
            &limit,
            " OFFSET ",
            &offset,
        ]);
        let mut query = sqlx::query(page);
        let mut count = sqlx::query_scalar(sql(&["SELECT COUNT(*) FROM spend_row r", &conditions]));
        for value in &values {
            (query, count) = match *value {
                Value::Text(text) => (query.bind(text), count.bind(text)),
                Value::Number(number) => (query.bind(number), count.bind(number)),
            };
        }
        let rows = query.fetch_all(&self.pools.read).await.map_err(down)?;
        let total: i64 = count.fetch_one(&self.pools.read).await.map_err(down)?;
        Ok(Listed {
            records: rows.iter().map(log::read).collect::<Result<_, _>>()?,
            total: u64::try_from(total).unwrap_or(0),
        })
    }

    /// Sums of days, split by these dimensions; those that spent most first.
    pub async fn sums(
        &self,
        by: &[Dimension],
        wanted: &Daily,
    ) -> Result<Vec<(Vec<String>, Sums)>, Down> {
        let columns: Vec<_> = by.iter().map(|dimension| dimension.column()).collect();
        let columns = columns.join(", ");
        let separator = if by.is_empty() { "" } else { ", " };
        let tags = by.contains(&Dimension::Tag) || wanted.only.contains_key(&Dimension::Tag);
        let tagged = if tags { "tag <> ''" } else { "tag = ''" };
        let only: Vec<String> = wanted
            .only
            .keys()
            .zip(3..)
            .map(|(dimension, place)| format!(" AND {} = ${place}", dimension.column()))
            .collect();
        let group = if by.is_empty() { "" } else { " GROUP BY " };
        let limit = MOST_SUMS.to_string();
        let statement = sql(&[
            "SELECT ",
            &columns,
            separator,
            "CAST(COALESCE(SUM(spend), 0) AS TEXT),
            CAST(COALESCE(SUM(prompt_tokens), 0) AS TEXT),
            CAST(COALESCE(SUM(completion_tokens), 0) AS TEXT),
            CAST(COALESCE(SUM(cache_read_tokens), 0) AS TEXT),
            CAST(COALESCE(SUM(cache_write_tokens), 0) AS TEXT),
            CAST(COALESCE(SUM(successes), 0) AS TEXT),
            CAST(COALESCE(SUM(failures), 0) AS TEXT)
            FROM daily WHERE day >= $1 AND day <= $2 AND ",
            tagged,
            &only.concat(),
            group,
            &columns,
            " ORDER BY SUM(spend) DESC LIMIT ",
            &limit,
        ]);
        let mut query = sqlx::query(statement)
            .bind(wanted.from.as_deref().unwrap_or("0000-01-01"))
            .bind(wanted.to.as_deref().unwrap_or("9999-12-31"));
        for value in wanted.only.values() {
            query = query.bind(value.as_str());
        }
        let rows = query.fetch_all(&self.pools.read).await.map_err(down)?;
        rows.iter().map(|row| one_of(row, by.len())).collect()
    }
}

fn one_of(row: &AnyRow, names: usize) -> Result<(Vec<String>, Sums), Down> {
    let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
    let number = |at: usize| Ok::<_, Down>(text(names + at)?.parse().unwrap_or(u64::MAX));
    let by = (0..names).map(text).collect::<Result<_, _>>()?;
    let sums = Sums {
        spend: Usd(text(names)?.parse().unwrap_or(i128::MAX)),
        prompt_tokens: number(1)?,
        completion_tokens: number(2)?,
        cache_read_tokens: number(3)?,
        cache_write_tokens: number(4)?,
        successes: number(5)?,
        failures: number(6)?,
    };
    Ok((by, sums))
}
