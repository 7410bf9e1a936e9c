//! Writing spend down: the rows, and in the same transaction every sum that is derived from them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use pointsman_routes::usd::Usd;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::connect::{Kind, down, places, sql};
use super::log::{self, Group};
use super::read::{spent, values};
use super::report::Sums;
use super::work::{NAMES_LOCK, to_column};
use super::{Fault, Store};
use crate::account::{Down, Holder, Period, Scope, SpendRow, Spent};

/// Rows per statement: SQLite takes 32766 values in one.
const AT_ONCE: usize = 500;
const COMMON_COLUMNS: usize = 9;
const ROW_COLUMNS: usize = 14;
const DAILY_COLUMNS: usize = 17;
/// Rows of the log in one statement: this power of two, or a smaller one, so that few statements are
/// enough and the connection keeps them all prepared.
const MOST_ROWS: u32 = 9;
/// How often rows are written that somebody else writes, too.
const ATTEMPTS: usize = 3;

/// Which sums rows are counted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// All of them: what the gateway served.
    Running,
    /// Those over all rows, but not what is spent in the running windows: what another gateway
    /// served, which says itself what is spent of its budgets.
    History,
}

impl Store {
    pub(super) async fn write_rows(
        &self,
        rows: &[SpendRow],
        counted: Counted,
    ) -> Result<usize, Down> {
        let mut rows: Vec<&SpendRow> = rows.iter().collect();
        for _ in 0..ATTEMPTS {
            if rows.is_empty() || self.write_new(&rows, counted).await? {
                return Ok(rows.len());
            }
            // Some of them come again, as they do after a crash.
            let ids: Vec<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
            let known = self.logged(&ids).await?;
            let mut seen = HashSet::new();
            rows.retain(|row| {
                !known.contains(&row.request_id) && seen.insert(row.request_id.as_str())
            });
        }
        Err(Down("somebody else writes the same rows".to_owned()))
    }

    /// Writes rows that are not in the log, each of another request. `false`, and nothing written, if
    /// they are not so.
    async fn write_new(&self, rows: &[&SpendRow], counted: Counted) -> Result<bool, Down> {
        let kind = self.pools.kind;
        let groups = log::groups(rows.iter().copied());
        let mut transaction = self.pools.begin().await?;
        // Before anything else is locked, so that nobody waits in a circle.
        if kind == Kind::Postgres {
            sqlx::query("SELECT CAST(pg_advisory_xact_lock_shared($1) AS TEXT)")
                .bind(NAMES_LOCK)
                .execute(&mut *transaction)
                .await
                .map_err(down)?;
        }
        if insert(&mut transaction, kind, &groups).await? < rows.len() as u64 {
            transaction.rollback().await.map_err(down)?;
            return Ok(false);
        }
        let keys = successors(&mut transaction, kind, &groups).await?;
        count(&mut transaction, kind, &groups, &keys, counted).await?;
        count_daily(&mut transaction, kind, &groups).await?;
        transaction.commit().await.map_err(down)?;
        Ok(true)
    }

    /// Says in which window a scope's spend is counted that no account is behind: the proxy's, a
    /// tag's. A window that stays the same goes on.
    pub async fn set_period(&self, scope: &Scope, period: Option<&Period>) -> Result<(), Down> {
        let mut work = self.work("pointsman", "config").await?;
        let set = async {
            work.set_period(scope, period).await?;
            work.commit().await
        };
        set.await.map_err(|fault| match fault {
            Fault::Down(down) => down,
            other => Down(other.to_string()),
        })
    }

    /// Whether every total equals the sum over the rows of the log; the first that does not, with
    /// the total and the sum. Reads the whole log.
    pub async fn audit_totals(&self) -> Result<Option<(Scope, Usd, Usd)>, Down> {
        let rows = sqlx::query(sql(&["SELECT ", log::COLUMNS, log::TABLES]))
            .fetch_all(&self.pools.read)
            .await
            .map_err(down)?;
        let rows = rows.iter().map(log::read).collect::<Result<Vec<_>, _>>()?;
        let groups = log::groups(rows.iter());
        let mut transaction = self.pools.begin().await?;
        let keys = successors(&mut transaction, self.pools.kind, &groups).await?;
        drop(transaction);
        let sums = by_scope(&groups, &keys);
        let scopes: Vec<Scope> = sums.keys().cloned().collect();
        let totals = self.read_spent(&scopes).await?;
        let wrong = sums
            .into_iter()
            .zip(totals)
            .find_map(|((scope, groups), spent)| {
                let sum = sum(&groups, Group::spend);
                (sum != spent.total).then_some((scope, spent.total, sum))
            });
        Ok(wrong)
    }
}

/// Adds rows to the log that are not there; gives how many those are.
async fn insert(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    groups: &[Group<'_>],
) -> Result<u64, Down> {
    let numbers = insert_common(transaction, kind, groups).await?;
    let mut rows: Vec<(i64, &SpendRow)> = Vec::new();
    for (number, group) in numbers.iter().zip(groups) {
        rows.extend(group.rows.iter().map(|row| (*number, *row)));
    }
    let (mut added, mut left) = (0, &rows[..]);
    while let Some(power) = left.len().checked_ilog2() {
        let power = power.min(MOST_ROWS);
        let (now, later) = left.split_at(1 << power);
        let query = now.iter().fold(
            sqlx::query(row_statement(kind, power)),
            |query, (common, row)| bind_row(query, *common, row),
        );
        added += query
            .execute(&mut **transaction)
            .await
            .map_err(down)?
            .rows_affected();
        left = later;
    }
    Ok(added)
}

type Query<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>;

fn bind_row<'q>(query: Query<'q>, common: i64, row: &'q SpendRow) -> Query<'q> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    query
        .bind(row.request_id.as_str())
        .bind(row.start_time.0)
        .bind(row.end_time.0)
        .bind(row.completion_start_time.map(|time| time.0))
        .bind(common)
        .bind(to_column(row.spend))
        .bind(count(row.prompt_tokens))
        .bind(count(row.completion_tokens))
        .bind(count(row.cache_read_input_tokens))
        .bind(count(row.cache_creation_input_tokens))
        .bind(count(row.reasoning_tokens))
        .bind(row.session_id.as_deref())
        .bind(row.answer_id.as_deref())
        .bind(log::rest(row))
}

/// The statement that adds two to the power of `power` rows; made once.
fn row_statement(kind: Kind, power: u32) -> AssertSqlSafe<Arc<str>> {
    const POWERS: usize = MOST_ROWS as usize + 1;
    static MADE: [[OnceLock<Arc<str>>; POWERS]; 2] =
        [const { [const { OnceLock::new() }; POWERS] }; 2];
    let statement = || {
        let places = places(kind, 1 << power, ROW_COLUMNS);
        [
            "INSERT INTO spend_row (request_id, start_time, end_time, first_time, common, spend,
                prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens,
                reasoning_tokens, session_id, answer_id, rest) VALUES ",
            &places,
            " ON CONFLICT (request_id) DO NOTHING",
        ]
        .concat()
        .into()
    };
    let of_kind = &MADE[usize::from(kind == Kind::Postgres)];
    let made = of_kind[power.min(MOST_ROWS) as usize].get_or_init(statement);
    AssertSqlSafe(Arc::clone(made))
}

/// Writes what rows have in common, if it is not there; gives the number of each group. Always in the
/// same order, so that two that write at once wait for each other and not in a circle.
async fn insert_common(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    groups: &[Group<'_>],
) -> Result<Vec<i64>, Down> {
    let written: Vec<_> = groups.iter().map(|group| group.common.written()).collect();
    let in_order: BTreeMap<i64, (&str, &log::Common<'_>)> = written
        .iter()
        .zip(groups)
        .map(|((number, record), group)| (*number, (record.as_str(), &group.common)))
        .collect();
    let in_order: Vec<_> = in_order.into_iter().collect();
    for commons in in_order.chunks(AT_ONCE) {
        let statement = sql(&[
            "INSERT INTO spend_common (id, api_key, user_id, team_id, organization_id, end_user,
                model_group, status, record) VALUES ",
            &places(kind, commons.len(), COMMON_COLUMNS),
            " ON CONFLICT (id) DO NOTHING",
        ]);
        let mut query = sqlx::query(statement);
        for (number, (record, common)) in commons {
            query = query
                .bind(*number)
                .bind(common.api_key)
                .bind(common.user)
                .bind(common.team_id)
                .bind(common.organization_id)
                .bind(common.end_user)
                .bind(common.model_group)
                .bind(common.status)
                .bind(*record);
        }
        query.execute(&mut **transaction).await.map_err(down)?;
    }
    Ok(written.into_iter().map(|(number, _)| number).collect())
}

/// The keys that have taken the place of those in the rows: a key that was rotated while its
/// request was under way is still one key.
async fn successors(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    groups: &[Group<'_>],
) -> Result<HashMap<String, String>, Down> {
    let keys: BTreeSet<&str> = groups.iter().map(|group| group.common.api_key).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    let mut found = HashMap::new();
    for keys in keys.chunks(AT_ONCE) {
        let statement = sql(&[
            "SELECT hash, successor FROM former_key WHERE hash IN ",
            &places(kind, 1, keys.len()),
        ]);
        let query = keys
            .iter()
            .fold(sqlx::query(statement), |query, key| query.bind(*key));
        for row in query.fetch_all(&mut **transaction).await.map_err(down)? {
            let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
            found.insert(text(0)?, text(1)?);
        }
    }
    Ok(found)
}

/// The groups of each scope.
fn by_scope<'g, 'a>(
    groups: &'g [Group<'a>],
    successors: &HashMap<String, String>,
) -> BTreeMap<Scope, Vec<&'g Group<'a>>> {
    let mut by_scope: BTreeMap<Scope, Vec<_>> = BTreeMap::new();
    for group in groups {
        let scopes = group.rows.first().map(|row| row.scopes());
        for mut scope in scopes.into_iter().flatten() {
            if let Scope::Key(key)
            | Scope::KeyModel { key, .. }
            | Scope::Window {
                holder: Holder::Key,
                id: key,
                ..
            } = &mut scope
                && let Some(successor) = successors.get(key)
            {
                key.clone_from(successor);
            }
            by_scope.entry(scope).or_default().push(group);
        }
    }
    by_scope
}

fn sum<'a>(groups: &[&Group<'a>], of: impl Fn(&Group<'a>) -> Usd) -> Usd {
    groups
        .iter()
        .fold(Usd::ZERO, |sum, group| sum.plus(of(group)))
}

/// Adds rows to the sums of everybody they name. Always in the same order, so that two that write
/// at once wait for each other and not in a circle.
async fn count(
    transaction: &mut Transaction<'static, Any>,
    database: Kind,
    groups: &[Group<'_>],
    successors: &HashMap<String, String>,
    counted: Counted,
) -> Result<(), Down> {
    let by_scope: Vec<_> = by_scope(groups, successors).into_iter().collect();
    for scopes in by_scope.chunks(AT_ONCE) {
        let windows = windows(transaction, database, scopes).await?;
        let statement = sql(&[
            "INSERT INTO counter (kind, id, part, spend, total, since) VALUES ",
            &places(database, scopes.len(), 6),
            " ON CONFLICT (kind, id, part) DO UPDATE SET
                spend = counter.spend + excluded.spend,
                total = counter.total + excluded.total",
        ]);
        let mut query = sqlx::query(statement);
        for (scope, groups) in scopes {
            let since = windows.get(scope).map_or(0, |spent| spent.since.0);
            // What comes late belongs to a window that is over.
            let running = match counted {
                Counted::Running => sum(groups, |group| group.spend_since(since)),
                Counted::History => Usd::ZERO,
            };
            let (kind, id, part) = scope.parts();
            query = query
                .bind(kind)
                .bind(id)
                .bind(part)
                .bind(to_column(running))
                .bind(to_column(sum(groups, Group::spend)))
                .bind(since);
        }
        query.execute(&mut **transaction).await.map_err(down)?;
    }
    Ok(())
}

/// Where the sums of these scopes stand, after beginning anew those whose window has ended.
async fn windows<'a>(
    transaction: &mut Transaction<'static, Any>,
    database: Kind,
    scopes: &'a [(Scope, Vec<&Group<'_>>)],
) -> Result<HashMap<&'a Scope, Spent>, Down> {
    let lock = match database {
        Kind::Sqlite => "",
        Kind::Postgres => " FOR UPDATE",
    };
    let statement = sql(&[
        "SELECT kind, id, part, spend, total, period, since, resets_at FROM counter
        WHERE period IS NOT NULL AND (kind, id, part) IN (",
        &values(database, scopes.len()),
        ") ORDER BY kind, id, part",
        lock,
    ]);
    let query = scopes
        .iter()
        .fold(sqlx::query(statement), |query, (scope, _)| {
            let (kind, id, part) = scope.parts();
            query.bind(kind).bind(id).bind(part)
        });
    let found = query.fetch_all(&mut **transaction).await.map_err(down)?;
    let by_parts: HashMap<_, _> = scopes
        .iter()
        .map(|(scope, _)| (scope.parts(), scope))
        .collect();
    let mut windows = HashMap::new();
    for row in found {
        let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
        let (kind, id, part) = (text(0)?, text(1)?, text(2)?);
        let Some(scope) = by_parts.get(&(kind.as_str(), id.as_str(), part.as_str())) else {
            continue;
        };
        let before: i64 = row.try_get(6).map_err(down)?;
        let now = spent(&row, 3)?;
        if now.since.0 != before {
            sqlx::query(
                "UPDATE counter SET spend = 0, since = $4, resets_at = $5
                WHERE kind = $1 AND id = $2 AND part = $3",
            )
            .bind(kind.as_str())
            .bind(id.as_str())
            .bind(part.as_str())
            .bind(now.since.0)
            .bind(now.resets_at.map(|time| time.0))
            .execute(&mut **transaction)
            .await
            .map_err(down)?;
        }
        windows.insert(*scope, now);
    }
    Ok(windows)
}

/// Day, tag, key, user, team, organisation, end user, group, model, provider.
type Day<'a> = [&'a str; 10];

async fn count_daily(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    groups: &[Group<'_>],
) -> Result<(), Down> {
    let mut parts = Vec::new();
    for group in groups {
        for rows in group.days().into_values() {
            let day = rows.first().map(|row| row.start_time.day());
            parts.push((day.unwrap_or_default(), &group.common, rows));
        }
    }
    let mut sums: BTreeMap<Day<'_>, Sums> = BTreeMap::new();
    for (day, common, rows) in &parts {
        let tags = common.request_tags.iter().map(String::as_str);
        let tags: BTreeSet<&str> = std::iter::once("").chain(tags).collect();
        for tag in tags {
            let day = [
                day.as_str(),
                tag,
                common.api_key,
                common.user.unwrap_or(""),
                common.team_id.unwrap_or(""),
                common.organization_id.unwrap_or(""),
                common.end_user.unwrap_or(""),
                common.model_group.unwrap_or(""),
                common.model,
                common.custom_llm_provider.unwrap_or(""),
            ];
            let sums = sums.entry(day).or_default();
            for row in rows {
                sums.add(&of_row(row));
            }
        }
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for sums in sums.chunks(AT_ONCE) {
        let statement = sql(&[
            "INSERT INTO daily (day, tag, api_key, user_id, team_id, organization_id, end_user,
                model_group, model, provider, spend, prompt_tokens, completion_tokens,
                cache_read_tokens, cache_write_tokens, successes, failures) VALUES ",
            &places(kind, sums.len(), DAILY_COLUMNS),
            " ON CONFLICT (day, tag, api_key, user_id, team_id, organization_id, end_user,
                model_group, model, provider) DO UPDATE SET
                spend = daily.spend + excluded.spend,
                prompt_tokens = daily.prompt_tokens + excluded.prompt_tokens,
                completion_tokens = daily.completion_tokens + excluded.completion_tokens,
                cache_read_tokens = daily.cache_read_tokens + excluded.cache_read_tokens,
                cache_write_tokens = daily.cache_write_tokens + excluded.cache_write_tokens,
                successes = daily.successes + excluded.successes,
                failures = daily.failures + excluded.failures",
        ]);
        let mut query = sqlx::query(statement);
        for (day, sums) in sums {
            query = day.iter().fold(query, |query, part| query.bind(*part));
            let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            query = query
                .bind(to_column(sums.spend))
                .bind(count(sums.prompt_tokens))
                .bind(count(sums.completion_tokens))
                .bind(count(sums.cache_read_tokens))
                .bind(count(sums.cache_write_tokens))
                .bind(count(sums.successes))
                .bind(count(sums.failures));
        }
        query.execute(&mut **transaction).await.map_err(down)?;
    }
    Ok(())
}

/// What a row adds to the sums of its day.
fn of_row(row: &SpendRow) -> Sums {
    let failed = row.status == "failure";
    Sums {
        spend: row.spend,
        prompt_tokens: row.prompt_tokens,
        completion_tokens: row.completion_tokens,
        cache_read_tokens: row.cache_read_input_tokens,
        cache_write_tokens: row.cache_creation_input_tokens,
        successes: u64::from(!failed),
        failures: u64::from(failed),
    }
}
