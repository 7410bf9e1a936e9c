//! Writing spend down: the rows, and in the same transaction every sum that is derived from them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pointsman_routes::usd::Usd;
use sqlx::{Any, Row, Transaction};

use super::connect::{Kind, down, places, sql};
use super::read::{spent, values};
use super::work::{NAMES_LOCK, to_column};
use super::{Fault, Store};
use crate::account::{Down, Period, Scope, SpendRow, Spent};

/// Rows per statement: SQLite takes 32766 values in one.
const AT_ONCE: usize = 500;
const LOG_COLUMNS: usize = 12;
const DAILY_COLUMNS: usize = 17;

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
        if rows.is_empty() {
            return Ok(0);
        }
        let kind = self.pools.kind;
        let mut transaction = self.pools.begin().await?;
        // Before anything else is locked, so that nobody waits in a circle.
        if self.pools.kind == Kind::Postgres {
            sqlx::query("SELECT CAST(pg_advisory_xact_lock_shared($1) AS TEXT)")
                .bind(NAMES_LOCK)
                .execute(&mut *transaction)
                .await
                .map_err(down)?;
        }
        let mut new = Vec::new();
        let mut seen = HashSet::new();
        let once: Vec<&SpendRow> = rows
            .iter()
            .filter(|row| seen.insert(row.request_id.as_str()))
            .collect();
        for rows in once.chunks(AT_ONCE) {
            let added = insert(&mut transaction, kind, rows).await?;
            new.extend(rows.iter().filter(|row| added.contains(&row.request_id)));
        }
        if new.is_empty() {
            return Ok(0);
        }
        let keys = successors(&mut transaction, kind, &new).await?;
        count(&mut transaction, kind, &new, &keys, counted).await?;
        count_daily(&mut transaction, kind, &new).await?;
        transaction.commit().await.map_err(down)?;
        Ok(new.len())
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
        let rows = sqlx::query("SELECT record FROM spend_log")
            .fetch_all(&self.pools.read)
            .await
            .map_err(down)?;
        let rows = rows
            .iter()
            .map(|row| super::report::row(&row.try_get::<String, _>(0).map_err(down)?))
            .collect::<Result<Vec<_>, _>>()?;
        let refs: Vec<&SpendRow> = rows.iter().collect();
        let mut transaction = self.pools.begin().await?;
        let keys = successors(&mut transaction, self.pools.kind, &refs).await?;
        drop(transaction);
        let sums = by_scope(&refs, &keys);
        let scopes: Vec<Scope> = sums.keys().cloned().collect();
        let totals = self.read_spent(&scopes).await?;
        let wrong = sums
            .into_iter()
            .zip(totals)
            .find_map(|((scope, rows), spent)| {
                let sum = sum(rows.iter().copied());
                (sum != spent.total).then_some((scope, spent.total, sum))
            });
        Ok(wrong)
    }
}

/// Adds rows to the log; gives the ids of those that were not there.
async fn insert(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    rows: &[&SpendRow],
) -> Result<HashSet<String>, Down> {
    let statement = sql(&[
        "INSERT INTO spend_log (request_id, start_time, api_key, user_id, team_id,
            organization_id, end_user, model_group, session_id, status, spend, record) VALUES ",
        &places(kind, rows.len(), LOG_COLUMNS),
        " ON CONFLICT (request_id) DO NOTHING RETURNING request_id",
    ]);
    let mut query = sqlx::query(statement);
    for row in rows {
        let record = serde_json::to_string(row).map_err(|error| Down(error.to_string()))?;
        query = query
            .bind(row.request_id.as_str())
            .bind(row.start_time.0)
            .bind(row.api_key.as_str())
            .bind(row.user.as_deref())
            .bind(row.team_id.as_deref())
            .bind(row.organization_id.as_deref())
            .bind(row.end_user.as_deref())
            .bind(row.model_group.as_deref())
            .bind(row.session_id.as_deref())
            .bind(row.status.as_str())
            .bind(to_column(row.spend))
            .bind(record);
    }
    let added = query.fetch_all(&mut **transaction).await.map_err(down)?;
    added
        .iter()
        .map(|row| row.try_get(0).map_err(down))
        .collect()
}

/// The keys that have taken the place of those in the rows: a key that was rotated while its
/// request was under way is still one key.
async fn successors(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    rows: &[&SpendRow],
) -> Result<HashMap<String, String>, Down> {
    let keys: BTreeSet<&str> = rows.iter().map(|row| row.api_key.as_str()).collect();
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

fn by_scope<'a>(
    rows: &[&'a SpendRow],
    successors: &HashMap<String, String>,
) -> BTreeMap<Scope, Vec<&'a SpendRow>> {
    let mut by_scope: BTreeMap<Scope, Vec<&SpendRow>> = BTreeMap::new();
    for row in rows {
        for mut scope in row.scopes() {
            if let Scope::Key(key) | Scope::KeyModel { key, .. } = &mut scope
                && let Some(successor) = successors.get(key)
            {
                key.clone_from(successor);
            }
            by_scope.entry(scope).or_default().push(row);
        }
    }
    by_scope
}

fn sum<'a>(rows: impl Iterator<Item = &'a SpendRow>) -> Usd {
    rows.fold(Usd::ZERO, |sum, row| sum.plus(row.spend))
}

/// Adds rows to the sums of everybody they name. Always in the same order, so that two that write
/// at once wait for each other and not in a circle.
async fn count(
    transaction: &mut Transaction<'static, Any>,
    database: Kind,
    rows: &[&SpendRow],
    successors: &HashMap<String, String>,
    counted: Counted,
) -> Result<(), Down> {
    let by_scope: Vec<_> = by_scope(rows, successors).into_iter().collect();
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
        for (scope, rows) in scopes {
            let since = windows.get(scope).map_or(0, |spent| spent.since.0);
            // What comes late belongs to a window that is over.
            let in_window =
                |row: &&&SpendRow| counted == Counted::Running && row.end_time.0 >= since;
            let running = rows.iter().filter(in_window).copied();
            let (kind, id, part) = scope.parts();
            query = query
                .bind(kind)
                .bind(id)
                .bind(part)
                .bind(to_column(sum(running)))
                .bind(to_column(sum(rows.iter().copied())))
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
    scopes: &'a [(Scope, Vec<&SpendRow>)],
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

fn named(id: Option<&String>) -> &str {
    id.map_or("", String::as_str)
}

/// Day, tag, key, user, team, organisation, end user, group, model, provider.
type Day<'a> = [&'a str; 10];

async fn count_daily(
    transaction: &mut Transaction<'static, Any>,
    kind: Kind,
    rows: &[&SpendRow],
) -> Result<(), Down> {
    let days: Vec<String> = rows.iter().map(|row| row.start_time.day()).collect();
    let mut sums: BTreeMap<Day<'_>, Vec<&SpendRow>> = BTreeMap::new();
    for (row, day) in rows.iter().zip(&days) {
        let tags: BTreeSet<&str> = row.request_tags.iter().map(String::as_str).collect();
        for tag in std::iter::once("").chain(tags.into_iter().filter(|tag| !tag.is_empty())) {
            let day = [
                day.as_str(),
                tag,
                row.api_key.as_str(),
                named(row.user.as_ref()),
                named(row.team_id.as_ref()),
                named(row.organization_id.as_ref()),
                named(row.end_user.as_ref()),
                named(row.model_group.as_ref()),
                row.model.as_str(),
                named(row.custom_llm_provider.as_ref()),
            ];
            sums.entry(day).or_default().push(row);
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
        for (day, rows) in sums {
            query = day.iter().fold(query, |query, part| query.bind(*part));
            let tokens = |of: fn(&SpendRow) -> u64| {
                let sum = rows
                    .iter()
                    .fold(0_u64, |sum, row| sum.saturating_add(of(row)));
                i64::try_from(sum).unwrap_or(i64::MAX)
            };
            let failed = |row: &SpendRow| u64::from(row.status == "failure");
            query = query
                .bind(to_column(sum(rows.iter().copied())))
                .bind(tokens(|row| row.prompt_tokens))
                .bind(tokens(|row| row.completion_tokens))
                .bind(tokens(|row| row.cache_read_input_tokens))
                .bind(tokens(|row| row.cache_creation_input_tokens))
                .bind(tokens(|row| u64::from(row.status != "failure")))
                .bind(tokens(failed));
        }
        query.execute(&mut **transaction).await.map_err(down)?;
    }
    Ok(())
}
