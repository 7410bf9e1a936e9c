//! A row of the spend log as the tables hold it.
//!
//! What many rows have in common, namely whose they are, what was asked and who answered, is written
//! once: a row of `spend_common`, which the rows name by a number that follows from it. What is a
//! row's own are numbers, in columns, and what only few rows have: the text `rest`. So a request takes
//! a few hundred bytes, and a column can be summed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use ring::digest;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::connect::down;
use crate::account::{Down, Holder, SpendRow, Time, money};

/// The columns of a row, in the order in which [`read`] takes them; the last is the common part's.
pub(super) const COLUMNS: &str = "r.request_id, r.start_time, r.end_time, r.first_time, r.spend,
    r.prompt_tokens, r.completion_tokens, r.cache_read_tokens, r.cache_write_tokens,
    r.reasoning_tokens, r.session_id, r.answer_id, r.rest, c.record";
/// The tables that they are columns of.
pub(super) const TABLES: &str = " FROM spend_row r JOIN spend_common c ON c.id = r.common";

/// What many rows have in common. The names are those of [`SpendRow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Common<'a> {
    call_type: &'a str,
    pub(super) api_key: &'a str,
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom_llm_provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) team_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization_id: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    cache_hit: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) request_tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    requester_ip_address: Option<&'a str>,
    pub(super) status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp_namespaced_tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Facts::is_empty")]
    metadata: Facts<'a>,
    /// Whom the rows are counted for beside those above; it stands in no table.
    #[serde(skip)]
    windows: &'a [(Holder, String)],
}

/// The members of a row's metadata that are the same in many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
struct Facts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_api_key_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_api_key_team_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by_model_group: Option<&'a str>,
}

impl<'a> Facts<'a> {
    fn of(metadata: &'a Map<String, Value>) -> Self {
        let mut facts = Self::default();
        for (name, value) in metadata {
            if let (Some(fact), Value::String(text)) = (facts.named(name), value) {
                *fact = Some(text);
            }
        }
        facts
    }

    fn named(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        match name {
            "user_api_key_alias" => Some(&mut self.user_api_key_alias),
            "user_api_key_team_alias" => Some(&mut self.user_api_key_team_alias),
            "answered_by_model_group" => Some(&mut self.answered_by_model_group),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a member of the metadata is one of them.
    fn is_one(name: &str, value: &Value) -> bool {
        value.is_string() && Self::default().named(name).is_some()
    }
}

impl<'a> Common<'a> {
    fn of(row: &'a SpendRow) -> Self {
        Self {
            call_type: &row.call_type,
            api_key: &row.api_key,
            model: &row.model,
            model_id: row.model_id.as_deref(),
            model_group: row.model_group.as_deref(),
            custom_llm_provider: row.custom_llm_provider.as_deref(),
            api_base: row.api_base.as_deref(),
            user: row.user.as_deref(),
            end_user: row.end_user.as_deref(),
            team_id: row.team_id.as_deref(),
            organization_id: row.organization_id.as_deref(),
            cache_hit: &row.cache_hit,
            request_tags: &row.request_tags,
            requester_ip_address: row.requester_ip_address.as_deref(),
            status: &row.status,
            config_version: row.config_version.as_deref(),
            mcp_namespaced_tool_name: row.mcp_namespaced_tool_name.as_deref(),
            metadata: Facts::of(&row.metadata),
            windows: &row.windows,
        }
    }

    /// As the table holds it, and the number that follows from that: 63 bits of a digest, of which
    /// two in a billion are the same with a chance of five per cent.
    pub(super) fn written(&self) -> (i64, String) {
        // It has no map with keys other than text, which is all that JSON refuses.
        let record = serde_json::to_string(self).unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, record.as_bytes());
        let first = digest.as_ref().first_chunk().unwrap_or(&[0; 8]);
        (i64::from_be_bytes(*first) & i64::MAX, record)
    }
}

/// Rows that have everything in common that can be.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) common: Common<'a>,
    /// There is at least one.
    pub(super) rows: Vec<&'a SpendRow>,
}

impl Group<'_> {
    /// What they cost.
    pub(super) fn spend(&self) -> Usd {
        self.rows
            .iter()
            .fold(Usd::ZERO, |sum, row| sum.plus(row.spend))
    }

    /// What those cost that ended then or later.
    pub(super) fn spend_since(&self, since: i64) -> Usd {
        let in_window = self.rows.iter().filter(|row| row.end_time.0 >= since);
        in_window.fold(Usd::ZERO, |sum, row| sum.plus(row.spend))
    }

    /// Their rows by the day on which they began.
    pub(super) fn days(&self) -> BTreeMap<i64, Vec<&SpendRow>> {
        const DAY: i64 = 86_400_000_000;
        let mut days: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for row in &self.rows {
            let day = row.start_time.0.div_euclid(DAY);
            days.entry(day).or_default().push(*row);
        }
        days
    }
}

/// The groups of some rows, in the order in which they begin.
pub(super) fn groups<'a>(rows: impl Iterator<Item = &'a SpendRow>) -> Vec<Group<'a>> {
    let mut places: FxHashMap<Common<'_>, usize> = FxHashMap::default();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        let common = Common::of(row);
        let place = *places.entry(common).or_insert_with(|| {
            let rows = Vec::new();
            groups.push(Group { common, rows });
            groups.len() - 1
        });
        groups[place].rows.push(row);
    }
    groups
}

/// What only few rows have.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Rest<'a> {
    /// Where it is not the sum of prompt and answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_key: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Cow<'a, Value>>,
    #[serde(with = "money::always", skip_serializing_if = "is_nothing")]
    saved_cache_cost: Usd,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    attempts: Cow<'a, [Value]>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Cow<'a, Map<String, Value>>,
}

fn is_nothing(amount: &Usd) -> bool {
    *amount == Usd::ZERO
}

impl<'a> Rest<'a> {
    fn of(row: &'a SpendRow) -> Self {
        let is_rest = |(name, value): &(&String, &Value)| !Facts::is_one(name, value);
        let sum = row.prompt_tokens.saturating_add(row.completion_tokens);
        let metadata = if row.metadata.iter().all(|pair| is_rest(&pair)) {
            Cow::Borrowed(&row.metadata)
        } else {
            let rest = row.metadata.iter().filter(is_rest);
            Cow::Owned(
                rest.map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            )
        };
        Self {
            total_tokens: Some(row.total_tokens).filter(|total| *total != sum),
            cache_key: row.cache_key.as_deref().map(Cow::Borrowed),
            messages: row.messages.as_ref().map(Cow::Borrowed),
            response: row.response.as_ref().map(Cow::Borrowed),
            saved_cache_cost: row.saved_cache_cost,
            attempts: Cow::Borrowed(&row.attempts),
            metadata,
        }
    }
}

/// The text of what only few rows have. `None` for most.
pub(super) fn rest(row: &SpendRow) -> Option<String> {
    let rest = Rest::of(row);
    // Its maps have no keys other than text, which is all that JSON refuses.
    (rest != Rest::default()).then(|| serde_json::to_string(&rest).unwrap_or_default())
}

/// Reads a row of [`COLUMNS`].
pub(super) fn read(found: &AnyRow) -> Result<SpendRow, Down> {
    let number = |at: usize| found.try_get::<Option<i64>, _>(at).map_err(down);
    let text = |at: usize| found.try_get::<Option<String>, _>(at).map_err(down);
    let count = |at: usize| Ok::<_, Down>(number(at)?.map_or(0, |n| u64::try_from(n).unwrap_or(0)));
    let common = text(13)?.unwrap_or_default();
    let mut row: SpendRow = serde_json::from_str(&common).map_err(unreadable)?;
    row.request_id = text(0)?.unwrap_or_default();
    row.spend = Usd(number(4)?.unwrap_or(0).into());
    // One that was written before there were columns is in the common part as a whole.
    let Some(end) = number(2)?.map(Time) else {
        return Ok(row);
    };
    row.start_time = Time(number(1)?.unwrap_or(0));
    row.end_time = end;
    row.completion_start_time = number(3)?.map(Time);
    row.latency_ms = Some(millis(row.start_time, end));
    row.ttft_ms = row
        .completion_start_time
        .map(|first| millis(row.start_time, first));
    row.prompt_tokens = count(5)?;
    row.completion_tokens = count(6)?;
    row.total_tokens = row.prompt_tokens.saturating_add(row.completion_tokens);
    row.cache_read_input_tokens = count(7)?;
    row.cache_creation_input_tokens = count(8)?;
    row.reasoning_tokens = count(9)?;
    row.session_id = text(10)?;
    row.answer_id = text(11)?;
    if let Some(rest) = text(12)? {
        let rest: Rest<'_> = serde_json::from_str(&rest).map_err(unreadable)?;
        row.total_tokens = rest.total_tokens.unwrap_or(row.total_tokens);
        row.cache_key = rest.cache_key.map(Cow::into_owned);
        row.messages = rest.messages.map(Cow::into_owned);
        row.response = rest.response.map(Cow::into_owned);
        row.saved_cache_cost = rest.saved_cache_cost;
        row.attempts = rest.attempts.into_owned();
        row.metadata.extend(rest.metadata.into_owned());
    }
    Ok(row)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
fn unreadable(error: serde_json::Error) -> Down {
    Down(format!("a row of spend in it cannot be read: {error}"))
}

fn millis(start: Time, end: Time) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no request takes centuries")]
    let micros = end.0.saturating_sub(start.0) as f64;
    micros / 1_000.0
}
