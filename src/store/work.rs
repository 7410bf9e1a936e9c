//! Changing accounts: everything that one call of the admin API does is one transaction, and every
//! change in it is written into the audit log, or nothing happens at all.

use std::fmt;

use pointsman_routes::usd::Usd;
use serde_json::Value;
use sqlx::{Any, Row, Transaction};

use super::audit::{self, AuditEntry};
use super::connect::{Kind, down};
use super::record::{Record, own_period};
use super::{Store, watch};
use crate::account::{Allowance, Budget, Change, Down, Period, Scope, Team, Time};

/// Why a change did not happen. Whatever came before it in its transaction did not either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The database cannot be used.
    Down(Down),
    /// There is one of this id already.
    Exists,
    /// Another key has this alias.
    NameTaken,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(down) => down.fmt(f),
            Self::Exists => f.write_str("there is one of this id already"),
            Self::NameTaken => f.write_str("another key has this alias"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Down> for Fault {
    fn from(down: Down) -> Self {
        Self::Down(down)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => Self::NameTaken,
            _ => Self::Down(down(error)),
        }
    }
}

/// A transaction that changes accounts. Dropped without [`commit`](Self::commit), it changes
/// nothing.
pub struct Work {
    pub(super) transaction: Transaction<'static, Any>,
    pub(super) store: Store,
    pub(super) actor: String,
    pub(super) action: &'static str,
    pub(super) changes: Vec<Change>,
    pub(super) audit: Vec<AuditEntry>,
}

/// The advisory lock under which a key gets another name. Writers of spend share it, so that none counts
/// for the old name while another replica moves its sums to the new one.
pub(super) const NAMES_LOCK: i64 = 0x706f_696e_7473_6d63;

impl Store {
    /// Begins to change accounts, in somebody's name.
    pub async fn work(&self, actor: &str, action: &'static str) -> Result<Work, Down> {
        Ok(Work {
            transaction: self.pools.begin().await?,
            store: self.clone(),
            actor: actor.to_owned(),
            action,
            changes: Vec::new(),
            audit: Vec::new(),
        })
    }
}

impl Work {
    /// A line of the audit log, which is written when all is.
    pub(super) fn note(
        &mut self,
        kind: &str,
        id: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        self.audit.push(AuditEntry {
            at: Time::now(),
            actor: self.actor.clone(),
            action: self.action.to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            before,
            after,
            chain: String::new(),
        });
    }

    /// The record of this id, held until the work is done.
    pub async fn get<T: Record>(&mut self, id: &str) -> Result<Option<T>, Down> {
        self.get_part(id, "").await
    }

    /// The same for a record with two ids.
    pub async fn get_part<T: Record>(&mut self, id: &str, part: &str) -> Result<Option<T>, Down> {
        let sql = match self.store.pools.kind {
            Kind::Sqlite => "SELECT record FROM account WHERE kind = $1 AND id = $2 AND part = $3",
            Kind::Postgres => {
                "SELECT record FROM account WHERE kind = $1 AND id = $2 AND part = $3 FOR UPDATE"
            }
        };
        let row = sqlx::query(sql)
            .bind(T::KIND)
            .bind(id)
            .bind(part)
            .fetch_optional(&mut *self.transaction)
            .await
            .map_err(down)?;
        row.map(|row| read_record(&row.try_get::<String, _>(0).map_err(down)?))
            .transpose()
    }

    /// Adds a record.
    pub async fn add<T: Record>(&mut self, record: &T) -> Result<(), Fault> {
        let (id, part) = record.id();
        let columns = record.columns();
        let added = sqlx::query(
            "INSERT INTO account (kind, id, part, name, user_id, team_id, organization_id,
                budget_id, own_budget, expires, created_at, record)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            ON CONFLICT (kind, id, part) DO NOTHING",
        )
        .bind(T::KIND)
        .bind(id)
        .bind(part)
        .bind(columns.name)
        .bind(columns.user_id)
        .bind(columns.team_id)
        .bind(columns.organization_id)
        .bind(columns.budget_id)
        .bind(own_budget(record))
        .bind(columns.expires.map(|time| time.0))
        .bind(columns.created_at.0)
        .bind(write_record(record))
        .execute(&mut *self.transaction)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Fault::Exists);
        }
        self.done(record, None, Some(record)).await
    }

    /// Puts a record in the place of the one that [`get`](Self::get) gave.
    pub async fn put<T: Record>(&mut self, before: &T, record: &T) -> Result<(), Fault> {
        let (id, part) = record.id();
        let columns = record.columns();
        sqlx::query(
            "UPDATE account SET name = $4, user_id = $5, team_id = $6, organization_id = $7,
                budget_id = $8, own_budget = $9, expires = $10, created_at = $11, record = $12
            WHERE kind = $1 AND id = $2 AND part = $3",
        )
        .bind(T::KIND)
        .bind(id)
        .bind(part)
        .bind(columns.name)
        .bind(columns.user_id)
        .bind(columns.team_id)
        .bind(columns.organization_id)
        .bind(columns.budget_id)
        .bind(own_budget(record))
        .bind(columns.expires.map(|time| time.0))
        .bind(columns.created_at.0)
        .bind(write_record(record))
        .execute(&mut *self.transaction)
        .await?;
        self.done(record, Some(before), Some(record)).await
    }

    /// Removes a record; the audit log keeps it. What it has spent stays in the log of spend, and
    /// a new one of the same id begins with nothing.
    pub async fn remove<T: Record>(&mut self, record: &T) -> Result<(), Fault> {
        let (id, part) = record.id();
        sqlx::query("DELETE FROM account WHERE kind = $1 AND id = $2 AND part = $3")
            .bind(T::KIND)
            .bind(id)
            .bind(part)
            .execute(&mut *self.transaction)
            .await?;
        sqlx::query(
            "UPDATE counter SET spend = 0, period = NULL, resets_at = NULL
            WHERE kind = $1 AND id = $2 AND part = $3",
        )
        .bind(T::KIND)
        .bind(id)
        .bind(part)
        .execute(&mut *self.transaction)
        .await?;
        self.done(record, Some(record), None).await
    }

    /// Gives a key another secret: all that it is and has spent goes on under the new hash, and
    /// the old one opens it until then.
    pub async fn rename_key(&mut self, old: &str, new: &str, until: Time) -> Result<(), Fault> {
        if self.store.pools.kind == Kind::Postgres {
            sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
                .bind(NAMES_LOCK)
                .execute(&mut *self.transaction)
                .await?;
        }
        sqlx::query("UPDATE former_key SET successor = $2 WHERE successor = $1")
            .bind(old)
            .bind(new)
            .execute(&mut *self.transaction)
            .await?;
        // A key may get back a secret that it had before.
        sqlx::query("DELETE FROM former_key WHERE hash = $1")
            .bind(new)
            .execute(&mut *self.transaction)
            .await?;
        sqlx::query(
            "INSERT INTO former_key (hash, successor, until) VALUES ($1, $2, $3)
            ON CONFLICT (hash) DO UPDATE SET successor = excluded.successor, until = excluded.until",
        )
        .bind(old)
        .bind(new)
        .bind(until.0)
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query(
            "DELETE FROM counter WHERE id = $1 AND kind IN ('key', 'key_model', 'key_window')",
        )
        .bind(new)
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query(
            "UPDATE counter SET id = $2
            WHERE id = $1 AND kind IN ('key', 'key_model', 'key_window')",
        )
        .bind(old)
        .bind(new)
        .execute(&mut *self.transaction)
        .await?;
        let moved = sqlx::query("UPDATE account SET id = $2 WHERE kind = 'key' AND id = $1")
            .bind(old)
            .bind(new)
            .execute(&mut *self.transaction)
            .await;
        match moved {
            Ok(_) => {}
            Err(sqlx::Error::Database(cause)) if cause.is_unique_violation() => {
                return Err(Fault::Exists);
            }
            Err(error) => return Err(error.into()),
        }
        self.changes.push(Change::Key(old.to_owned()));
        Ok(())
    }

    /// Makes a scope's spend in the running window another amount; the sum over its rows stays.
    pub async fn set_spend(&mut self, scope: &Scope, spend: Usd) -> Result<(), Fault> {
        let (kind, id, part) = scope.parts();
        sqlx::query(
            "INSERT INTO counter (kind, id, part, spend, total, since) VALUES ($1, $2, $3, $4, 0, 0)
            ON CONFLICT (kind, id, part) DO UPDATE SET spend = excluded.spend",
        )
        .bind(kind)
        .bind(id)
        .bind(part)
        .bind(to_column(spend))
        .execute(&mut *self.transaction)
        .await?;
        if *scope == Scope::Proxy {
            // It has no record whose change would tell of it.
            let after = Value::from(spend.to_string());
            self.note("spend", "proxy", None, Some(after));
            self.changes.push(Change::Everything);
        }
        Ok(())
    }

    /// Makes everybody's spend in the running windows nothing; the sums over the rows stay.
    pub async fn forget_spend(&mut self) -> Result<(), Fault> {
        sqlx::query("UPDATE counter SET spend = 0")
            .execute(&mut *self.transaction)
            .await?;
        self.note("spend", "all", None, None);
        self.changes.push(Change::Everything);
        Ok(())
    }

    /// Says in which window a scope's spend is counted. A window that stays the same goes on.
    pub async fn set_period(
        &mut self,
        scope: &Scope,
        period: Option<&Period>,
    ) -> Result<(), Fault> {
        let (kind, id, part) = scope.parts();
        let Some(period) = period else {
            sqlx::query(
                "UPDATE counter SET period = NULL, resets_at = NULL
                WHERE kind = $1 AND id = $2 AND part = $3",
            )
            .bind(kind)
            .bind(id)
            .bind(part)
            .execute(&mut *self.transaction)
            .await?;
            return Ok(());
        };
        sqlx::query(
            "INSERT INTO counter (kind, id, part, spend, total, period, since, resets_at)
            VALUES ($1, $2, $3, 0, 0, $4, 0, $5)
            ON CONFLICT (kind, id, part) DO UPDATE SET
                resets_at = CASE WHEN counter.period IS NOT DISTINCT FROM excluded.period
                    THEN counter.resets_at ELSE excluded.resets_at END,
                period = excluded.period",
        )
        .bind(kind)
        .bind(id)
        .bind(part)
        .bind(period.as_str())
        .bind(period.next_reset(Time::now()).0)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Does it all, or, if it fails, nothing; then tells everybody.
    pub async fn commit(mut self) -> Result<(), Fault> {
        let audit = std::mem::take(&mut self.audit);
        audit::write(audit, self.store.pools.kind, &mut self.transaction).await?;
        if self.store.pools.kind == Kind::Postgres {
            for change in &self.changes {
                sqlx::query("SELECT CAST(pg_notify($1, $2) AS TEXT)")
                    .bind(watch::CHANNEL)
                    .bind(watch::write(change))
                    .execute(&mut *self.transaction)
                    .await?;
            }
        }
        self.transaction.commit().await?;
        for change in self.changes {
            // That nobody listens is no fault.
            let _ = self.store.changes.send(change);
        }
        Ok(())
    }

    /// What follows from a changed record: its windows, its note in the audit log, the news.
    async fn done<T: Record>(
        &mut self,
        record: &T,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<(), Fault> {
        if let Some(after) = after {
            self.set_windows(after, before).await?;
        }
        let (id, part) = record.id();
        let id = if part.is_empty() {
            id.to_owned()
        } else {
            format!("{id}/{part}")
        };
        let value =
            |record: Option<&T>| record.and_then(|record| serde_json::to_value(record).ok());
        self.note(T::KIND, &id, value(before), value(after));
        self.changes.push(record.change());
        Ok(())
    }

    async fn set_windows<T: Record>(
        &mut self,
        record: &T,
        before: Option<&T>,
    ) -> Result<(), Fault> {
        let any: &(dyn std::any::Any + Send + Sync) = record;
        if let Some(budget) = any.downcast_ref::<Budget>() {
            return self.set_windows_of_budget(budget).await;
        }
        if let Some(team) = any.downcast_ref::<Team>() {
            self.set_windows_of_members(team).await?;
        }
        let Some(own) = record.allowance() else {
            return Ok(());
        };
        let mut allowance = own.clone();
        if let Some(budget) = record.columns().budget_id
            && let Some(budget) = self.get::<Budget>(budget).await?
        {
            allowance.fill(&budget.allowance);
        }
        if T::KIND == "member"
            && allowance.max_budget.is_none()
            && let Some(team) = self.get::<Team>(record.id().0).await?
        {
            allowance.budget_duration = team.team_member_budget_duration;
        }
        let (id, part) = record.id();
        let scope = scope_of(T::KIND, id, part);
        let unchanged = before.is_some_and(|before| {
            before.allowance() == Some(own)
                && before.columns().budget_id == record.columns().budget_id
        });
        if unchanged {
            return Ok(());
        }
        self.set_period(&scope, own_period(&allowance)).await?;
        for (model, budget) in &allowance.model_max_budget {
            if let Some(scope) = record.model_scope(model) {
                self.set_period(&scope, budget.time_period.as_ref()).await?;
            }
        }
        for limit in &allowance.budget_limits {
            if let Some(scope) = scope.in_window(&limit.budget_duration) {
                self.set_period(&scope, Some(&limit.budget_duration))
                    .await?;
            }
        }
        if let Some(team) = any.downcast_ref::<Team>() {
            for model in team.model_spend_map.keys() {
                let scope = Scope::TeamModel {
                    team: team.team_id.clone(),
                    model: model.clone(),
                };
                self.set_period(&scope, own_period(own)).await?;
            }
        }
        Ok(())
    }

    /// Who names a budget without having money of its own is counted in the budget's window.
    async fn set_windows_of_budget(&mut self, budget: &Budget) -> Result<(), Fault> {
        let period = own_period(&budget.allowance);
        self.set_many(
            "INSERT INTO counter (kind, id, part, spend, total, period, since, resets_at)
            SELECT kind, id, part, 0, 0, $2, 0, $3 FROM account
            WHERE budget_id = $1 AND own_budget = 0
            ON CONFLICT (kind, id, part) DO UPDATE SET
                resets_at = CASE WHEN counter.period IS NOT DISTINCT FROM excluded.period
                    THEN counter.resets_at ELSE excluded.resets_at END,
                period = excluded.period",
            &budget.budget_id,
            period,
        )
        .await
    }

    /// The same for members and their team.
    async fn set_windows_of_members(&mut self, team: &Team) -> Result<(), Fault> {
        self.set_many(
            "INSERT INTO counter (kind, id, part, spend, total, period, since, resets_at)
            SELECT kind, id, part, 0, 0, $2, 0, $3 FROM account
            WHERE kind = 'member' AND id = $1 AND budget_id IS NULL AND own_budget = 0
            ON CONFLICT (kind, id, part) DO UPDATE SET
                resets_at = CASE WHEN counter.period IS NOT DISTINCT FROM excluded.period
                    THEN counter.resets_at ELSE excluded.resets_at END,
                period = excluded.period",
            &team.team_id,
            team.team_member_budget_duration.as_ref(),
        )
        .await
    }

    async fn set_many(
        &mut self,
        sql: &'static str,
        id: &str,
        period: Option<&Period>,
    ) -> Result<(), Fault> {
        sqlx::query(sql)
            .bind(id)
            .bind(period.map(Period::as_str))
            .bind(period.map(|period| period.next_reset(Time::now()).0))
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

/// The scope of a kind of record; the names are those of [`Scope::parts`].
fn scope_of(kind: &str, id: &str, part: &str) -> Scope {
    let id = id.to_owned();
    match kind {
        "key" => Scope::Key(id),
        "user" => Scope::User(id),
        "team" => Scope::Team(id),
        "member" => Scope::Member {
            team: id,
            user: part.to_owned(),
        },
        "organization" => Scope::Organization(id),
        _ => Scope::EndUser(id),
    }
}

fn own_budget<T: Record>(record: &T) -> i64 {
    let own = |allowance: &Allowance| allowance.max_budget.is_some();
    i64::from(record.allowance().is_some_and(own))
}

/// The record without what the counters know.
pub(super) fn write_record<T: Record>(record: &T) -> String {
    let mut record = record.clone();
    record.note(&crate::account::Spent::default());
    // The types have no map with keys other than text, which is all that JSON refuses.
    serde_json::to_string(&record).unwrap_or_default()
}

pub(super) fn read_record<T: Record>(text: &str) -> Result<T, Down> {
    serde_json::from_str(text)
        .map_err(|error| Down(format!("a {} in it cannot be read: {error}", T::KIND)))
}

/// Money as a column holds it: it stops at nine million dollars.
pub(super) fn to_column(amount: Usd) -> i64 {
    i64::try_from(amount.0).unwrap_or(if amount.0 < 0 { i64::MIN } else { i64::MAX })
}
