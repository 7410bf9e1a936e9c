//! What was brought over from another gateway's database, so that it can be brought over again
//! without counting anything twice.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use pointsman_routes::usd::Usd;
use ring::digest as sha;
use serde_json::{Map, Value};
use sqlx::Row;

use super::connect::{down, places, sql};
use super::read::{spent, values};
use super::record::Record;
use super::spend::Counted;
use super::work::{read_record, to_column, write_record};
use super::{Fault, Kind, Store, Work};
use crate::account::{Down, Scope, SpendRow, Time};

/// What was brought over of an account the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The [`digest`] of the record that came of it.
    pub digest: String,
    /// What it had spent there in its window.
    pub spend: Usd,
    /// When that window ended; of the log, up to when it was read.
    pub at: Option<Time>,
}

/// What is here of an account that another database has.
#[derive(Clone, Debug)]
pub struct Held<T> {
    /// The account, if there is one of this id.
    pub record: Option<T>,
    /// What was brought over of it, if it was.
    pub imported: Option<Imported>,
}

/// SHA-256 of what a record says, without what it has spent. What is empty is left out, so that a
/// field that a later version adds changes nothing.
pub fn digest<T: Record>(record: &T) -> String {
    let mut said: Map<String, Value> =
        serde_json::from_str(&write_record(record)).unwrap_or_default();
    said.retain(|_, value| match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    });
    digest_of(&Value::Object(said).to_string())
}

/// SHA-256 of a text, in lower-case hexadecimal.
pub fn digest_of(text: &str) -> String {
    let digest = sha::digest(&sha::SHA256, text.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in digest.as_ref() {
        // Writing to a text does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Values per statement, as everywhere in the store.
const AT_ONCE: usize = 500;

impl Store {
    /// What is here of each of these accounts, in the order asked.
    pub async fn held<T: Record>(
        &self,
        source: &str,
        ids: &[(String, String)],
    ) -> Result<Vec<Held<T>>, Down> {
        let mut records = HashMap::new();
        let mut imported = HashMap::new();
        for ids in ids.chunks(AT_ONCE) {
            let wanted = values(self.pools.kind, ids.len());
            macro_rules! rows {
                ($statement:expr) => {{
                    let query = ids
                        .iter()
                        .fold(sqlx::query($statement), |query, (id, part)| {
                            query.bind(T::KIND).bind(id.as_str()).bind(part.as_str())
                        });
                    query
                }};
            }
            let statement = sql(&[
                "SELECT id, part, record FROM account WHERE (kind, id, part) IN (",
                &wanted,
                ")",
            ]);
            let rows = rows!(statement).fetch_all(&self.pools.read).await;
            for row in rows.map_err(down)? {
                let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
                records.insert((text(0)?, text(1)?), read_record::<T>(&text(2)?)?);
            }
            let statement = sql(&[
                "SELECT id, part, digest, spend, at, source FROM imported
                WHERE (kind, id, part) IN (",
                &wanted,
                ")",
            ]);
            let rows = rows!(statement).fetch_all(&self.pools.read).await;
            for row in rows.map_err(down)? {
                let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
                if text(5)? == source {
                    imported.insert((text(0)?, text(1)?), read_imported(&row, 2)?);
                }
            }
        }
        let held = |id: &(String, String)| Held {
            record: records.remove(id),
            imported: imported.remove(id),
        };
        Ok(ids.iter().map(held).collect())
    }

    /// The ids of what was brought over of a kind, in their order, after one of them.
    pub async fn imported_after(
        &self,
        source: &str,
        kind: &str,
        after: &(String, String),
    ) -> Result<Vec<(String, String)>, Down> {
        let rows = sqlx::query(
            "SELECT id, part FROM imported WHERE source = $1 AND kind = $2
                AND (id > $3 OR (id = $3 AND part > $4))
            ORDER BY id, part LIMIT 500",
        )
        .bind(source)
        .bind(kind)
        .bind(after.0.as_str())
        .bind(after.1.as_str())
        .fetch_all(&self.pools.read)
        .await
        .map_err(down)?;
        rows.iter()
            .map(|row| {
                let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
                Ok((text(0)?, text(1)?))
            })
            .collect()
    }

    /// Which of these requests the log has already.
    pub async fn logged(&self, requests: &[&str]) -> Result<HashSet<String>, Down> {
        self.which(
            "SELECT request_id FROM spend_row WHERE request_id IN ",
            requests,
        )
        .await
    }

    /// Which of these are former secrets of keys.
    pub async fn former_keys(&self, hashes: &[&str]) -> Result<HashSet<String>, Down> {
        self.which("SELECT hash FROM former_key WHERE hash IN ", hashes)
            .await
    }

    /// Which of these names keys have, and which key each is.
    pub async fn key_names(&self, names: &[&str]) -> Result<HashMap<String, String>, Down> {
        let mut found = HashMap::new();
        for names in names.chunks(AT_ONCE) {
            let statement = sql(&[
                "SELECT name, id FROM account WHERE kind = 'key' AND name IN ",
                &places(self.pools.kind, 1, names.len()),
            ]);
            let query = names
                .iter()
                .fold(sqlx::query(statement), |query, name| query.bind(*name));
            for row in query.fetch_all(&self.pools.read).await.map_err(down)? {
                let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
                found.insert(text(0)?, text(1)?);
            }
        }
        Ok(found)
    }

    /// Writes rows of another gateway's log: each request once, as [`append`] does, but what is
    /// spent in the running windows stays as it is.
    ///
    /// [`append`]: crate::account::Accounts::append
    pub async fn append_history(&self, rows: &[SpendRow]) -> Result<usize, Down> {
        self.write_rows(rows, Counted::History).await
    }

    async fn which(&self, question: &'static str, asked: &[&str]) -> Result<HashSet<String>, Down> {
        let mut found = HashSet::new();
        for asked in asked.chunks(AT_ONCE) {
            let statement = sql(&[question, &places(self.pools.kind, 1, asked.len())]);
            let query = asked
                .iter()
                .fold(sqlx::query(statement), |query, id| query.bind(*id));
            for row in query.fetch_all(&self.pools.read).await.map_err(down)? {
                found.insert(row.try_get(0).map_err(down)?);
            }
        }
        Ok(found)
    }
}

impl Work {
    /// What was brought over of this, as it is inside the transaction.
    pub async fn imported(
        &mut self,
        source: &str,
        kind: &str,
        id: &str,
    ) -> Result<Option<Imported>, Down> {
        let row = sqlx::query(
            "SELECT digest, spend, at FROM imported
            WHERE source = $1 AND kind = $2 AND id = $3 AND part = ''",
        )
        .bind(source)
        .bind(kind)
        .bind(id)
        .fetch_optional(&mut *self.transaction)
        .await
        .map_err(down)?;
        row.as_ref().map(|row| read_imported(row, 0)).transpose()
    }

    /// Notes what was brought over.
    pub async fn note_import(
        &mut self,
        source: &str,
        (kind, id, part): (&str, &str, &str),
        imported: &Imported,
    ) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO imported (source, kind, id, part, digest, spend, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (source, kind, id, part) DO UPDATE SET digest = excluded.digest,
                spend = excluded.spend, at = excluded.at",
        )
        .bind(source)
        .bind(kind)
        .bind(id)
        .bind(part)
        .bind(imported.digest.as_str())
        .bind(to_column(imported.spend))
        .bind(imported.at.map(|at| at.0))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Forgets that it was brought over: there is nothing to compare with any more.
    pub async fn forget_import(
        &mut self,
        source: &str,
        (kind, id, part): (&str, &str, &str),
    ) -> Result<(), Fault> {
        sqlx::query(
            "DELETE FROM imported WHERE source = $1 AND kind = $2 AND id = $3 AND part = $4",
        )
        .bind(source)
        .bind(kind)
        .bind(id)
        .bind(part)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Adds what was spent elsewhere to a scope's running window, and says when that window ends.
    /// A window without an end keeps the one it has; the sum over the rows stays.
    pub async fn add_spend(
        &mut self,
        scope: &Scope,
        more: Usd,
        ends: Option<Time>,
    ) -> Result<(), Fault> {
        let (kind, id, part) = scope.parts();
        let select = match self.store.pools.kind {
            Kind::Sqlite => {
                "SELECT spend, total, period, since, resets_at FROM counter
                WHERE kind = $1 AND id = $2 AND part = $3"
            }
            Kind::Postgres => {
                "SELECT spend, total, period, since, resets_at FROM counter
                WHERE kind = $1 AND id = $2 AND part = $3 FOR UPDATE"
            }
        };
        let row = sqlx::query(select)
            .bind(kind)
            .bind(id)
            .bind(part)
            .fetch_optional(&mut *self.transaction)
            .await?;
        let Some(row) = row else {
            sqlx::query(
                "INSERT INTO counter (kind, id, part, spend, total, since)
                VALUES ($1, $2, $3, $4, 0, 0)",
            )
            .bind(kind)
            .bind(id)
            .bind(part)
            .bind(to_column(more.max(Usd::ZERO)))
            .execute(&mut *self.transaction)
            .await?;
            return Ok(());
        };
        let windowed = row.try_get::<Option<String>, _>(2)?.is_some();
        let now = spent(&row, 0)?;
        let ends = ends.filter(|_| windowed).or(now.resets_at);
        sqlx::query(
            "UPDATE counter SET spend = $4, since = $5, resets_at = $6
            WHERE kind = $1 AND id = $2 AND part = $3",
        )
        .bind(kind)
        .bind(id)
        .bind(part)
        .bind(to_column(now.spend.plus(more).max(Usd::ZERO)))
        .bind(now.since.0)
        .bind(ends.map(|end| end.0))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Lets a former secret open a key until then; whether that is new.
    pub async fn add_former_key(
        &mut self,
        hash: &str,
        successor: &str,
        until: Time,
    ) -> Result<bool, Fault> {
        let added = sqlx::query(
            "INSERT INTO former_key (hash, successor, until) VALUES ($1, $2, $3)
            ON CONFLICT (hash) DO NOTHING",
        )
        .bind(hash)
        .bind(successor)
        .bind(until.0)
        .execute(&mut *self.transaction)
        .await?;
        Ok(added.rows_affected() > 0)
    }
}

fn read_imported(row: &sqlx::any::AnyRow, at: usize) -> Result<Imported, Down> {
    let ends: Option<i64> = row.try_get(at + 2).map_err(down)?;
    Ok(Imported {
        digest: row.try_get(at).map_err(down)?,
        spend: Usd(row.try_get::<i64, _>(at + 1).map_err(down)?.into()),
        at: ends.map(Time),
    })
}
