//! Looking accounts up.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_routes::usd::Usd;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::audit::AuditEntry;
use super::connect::{down, places, sql};
use super::record::Record;
use super::work::read_record;
use super::{Kind, Store};
use crate::account::{
    Bearer, Budget, Down, Key, Membership, Organization, Period, Scope, Spent, Team, Time, User,
};

/// Which records of a kind are wanted. What is `None` is not asked.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Of this alias or mail address.
    pub name: Option<String>,
    /// Whose alias or mail address has this in it.
    pub name_part: Option<String>,
    /// Whose id is this.
    pub id: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// Of this team.
    pub team_id: Option<String>,
    /// Of this organisation.
    pub organization_id: Option<String>,
    /// In which order.
    pub order: Order,
    /// How many are left out first.
    pub offset: u64,
    /// How many at most.
    pub limit: u64,
}

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

/// Some of the records, and how many there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// The records.
    pub records: Vec<T>,
    /// How many match in all.
    pub total: u64,
}

/// The most records that one listing gives.
const MOST: u64 = 10_000;

/// Columns of a record and its counter.
const WITH_SPEND: &str = "a.record, COALESCE(c.spend, 0), COALESCE(c.total, 0),
    c.period, COALESCE(c.since, 0), c.resets_at";
const FROM: &str = " FROM account a LEFT JOIN counter c
    ON c.kind = a.kind AND c.id = a.id AND c.part = a.part";
const WANTED: &str = " WHERE a.kind = $1
    AND (CAST($2 AS TEXT) IS NULL OR a.name = $2)
    AND (CAST($3 AS TEXT) IS NULL OR a.name LIKE $3 ESCAPE '!')
    AND (CAST($4 AS TEXT) IS NULL OR a.id = $4)
    AND (CAST($5 AS TEXT) IS NULL OR a.user_id = $5)
    AND (CAST($6 AS TEXT) IS NULL OR a.team_id = $6)
    AND (CAST($7 AS TEXT) IS NULL OR a.organization_id = $7)";

impl Store {
    /// The record of this id.
    pub async fn get<T: Record>(&self, id: &str) -> Result<Option<T>, Down> {
        self.get_part(id, "").await
    }

    /// The same for a record with two ids.
    pub async fn get_part<T: Record>(&self, id: &str, part: &str) -> Result<Option<T>, Down> {
        let row = sqlx::query(sql(&[
            "SELECT ",
            WITH_SPEND,
            FROM,
            " WHERE a.kind = $1 AND a.id = $2 AND a.part = $3",
        ]))
        .bind(T::KIND)
        .bind(id)
        .bind(part)
        .fetch_optional(&self.pools.read)
        .await
        .map_err(down)?;
        row.as_ref().map(record).transpose()
    }

    /// The record of this id, filled with the reusable budget that it names.
    pub(super) async fn filled<T: Record>(&self, id: &str) -> Result<Option<T>, Down> {
        let Some(mut record) = self.get::<T>(id).await? else {
            return Ok(None);
        };
        self.fill(&mut record).await?;
        Ok(Some(record))
    }

    /// What a key has spent on each model group in the windows at hand.
    pub async fn spent_by_model(&self, key: &str) -> Result<BTreeMap<String, Usd>, Down> {
        let rows = sqlx::query(
            "SELECT part, spend, total, period, since, resets_at FROM counter
            WHERE kind = 'key_model' AND id = $1",
        )
        .bind(key)
        .fetch_all(&self.pools.read)
        .await
        .map_err(down)?;
        rows.iter()
            .map(|row| Ok((row.try_get(0).map_err(down)?, spent(row, 1)?.spend)))
            .collect()
    }

    async fn fill<T: Record>(&self, record: &mut T) -> Result<(), Down> {
        let budget = record.columns().budget_id.map(str::to_owned);
        if let Some(budget) = budget
            && let Some(budget) = self.get::<Budget>(&budget).await?
            && let Some(allowance) = record.allowance_mut()
        {
            allowance.fill(&budget.allowance);
        }
        Ok(())
    }

    /// The records of these ids; ids of none are left out.
    pub async fn several<T: Record>(&self, ids: &[String]) -> Result<Vec<T>, Down> {
        let mut records = Vec::with_capacity(ids.len());
        // SQLite takes 32766 values in a statement.
        for ids in ids.chunks(1_000) {
            let places = places(self.pools.kind, 1, ids.len());
            let statement = sql(&[
                "SELECT ",
                WITH_SPEND,
                FROM,
                " WHERE a.id IN ",
                &places,
                " AND a.kind = '",
                T::KIND,
                "' ORDER BY a.created_at, a.id, a.part",
            ]);
            let query = ids
                .iter()
                .fold(sqlx::query(statement), |query, id| query.bind(id.as_str()));
            let rows = query.fetch_all(&self.pools.read).await.map_err(down)?;
            for row in &rows {
                records.push(record(row)?);
            }
        }
        Ok(records)
    }

    /// The records that are wanted, and how many match.
    pub async fn list<T: Record>(&self, wanted: &Listing) -> Result<Listed<T>, Down> {
        let order = match wanted.order {
            Order::Newest => " ORDER BY a.created_at DESC, a.id DESC, a.part DESC",
            Order::Oldest => " ORDER BY a.created_at, a.id, a.part",
        };
        let like = wanted.name_part.as_ref().map(|part| {
            let plain = part
                .replace('!', "!!")
                .replace('%', "!%")
                .replace('_', "!_");
            format!("%{plain}%")
        });
        let page = sql(&[
            "SELECT ",
            WITH_SPEND,
            FROM,
            WANTED,
            order,
            " LIMIT $8 OFFSET $9",
        ]);
        let all = sql(&["SELECT COUNT(*) FROM account a", WANTED]);
        macro_rules! wanted {
            ($query:expr) => {
                $query
                    .bind(T::KIND)
                    .bind(wanted.name.as_deref())
                    .bind(like.as_deref())
                    .bind(wanted.id.as_deref())
                    .bind(wanted.user_id.as_deref())
                    .bind(wanted.team_id.as_deref())
                    .bind(wanted.organization_id.as_deref())
            };
        }
        let rows = wanted!(sqlx::query(page))
            .bind(i64::try_from(wanted.limit.min(MOST)).unwrap_or(i64::MAX))
            .bind(i64::try_from(wanted.offset).unwrap_or(i64::MAX))
            .fetch_all(&self.pools.read)
            .await
            .map_err(down)?;
        let total: i64 = wanted!(sqlx::query_scalar(all))
            .fetch_one(&self.pools.read)
            .await
            .map_err(down)?;
        Ok(Listed {
            records: rows.iter().map(record).collect::<Result<_, _>>()?,
            total: u64::try_from(total).unwrap_or(0),
        })
    }

    /// The key of this alias.
    pub async fn key_by_alias(&self, alias: &str) -> Result<Option<Key>, Down> {
        let listing = Listing {
            name: Some(alias.to_owned()),
            limit: 1,
            ..Listing::default()
        };
        Ok(self.list(&listing).await?.records.pop())
    }

    /// The key that a former secret's hash opens now, if it is one, and until when.
    pub(super) async fn read_bearer(&self, hash: &str) -> Result<Option<Arc<Bearer>>, Down> {
        let row = sqlx::query(sql(&[
            "SELECT ",
            WITH_SPEND,
            ", NULL AS until",
            FROM,
            " WHERE a.kind = 'key' AND a.id = $1 AND a.part = '' UNION ALL SELECT ",
            WITH_SPEND,
            ", f.until",
            " FROM former_key f JOIN account a
                ON a.kind = 'key' AND a.id = f.successor AND a.part = ''
              LEFT JOIN counter c ON c.kind = a.kind AND c.id = a.id AND c.part = a.part
              WHERE f.hash = $1 AND f.until > $2",
        ]))
        .bind(hash)
        .bind(Time::now().0)
        .fetch_optional(&self.pools.read)
        .await
        .map_err(down)?;
        let Some(row) = row else { return Ok(None) };
        let mut key: Key = record(&row)?;
        let until: Option<i64> = row.try_get(6).map_err(down)?;
        self.fill(&mut key).await?;
        Ok(Some(Arc::new(self.answers_to(key, until.map(Time)).await?)))
    }

    /// A key with everybody it names.
    pub(super) async fn answers_to(&self, key: Key, until: Option<Time>) -> Result<Bearer, Down> {
        let user = match &key.user_id {
            Some(id) => self.get::<User>(id).await?,
            None => None,
        };
        let team = match &key.team_id {
            Some(id) => self.get::<Team>(id).await?,
            None => None,
        };
        let membership = match (&key.team_id, &key.user_id) {
            (Some(team_id), Some(user_id)) => {
                self.membership(team.as_ref(), team_id, user_id).await?
            }
            _ => None,
        };
        let of_team = team.as_ref().and_then(|team| team.organization_id.clone());
        let organization = match key.organization_id.clone().or(of_team) {
            Some(id) => self.filled::<Organization>(&id).await?,
            None => None,
        };
        Ok(Bearer {
            key,
            user,
            team,
            membership,
            organization,
            until,
        })
    }

    /// A user's place in a team, filled with its budget and with what the team gives all members.
    async fn membership(
        &self,
        team: Option<&Team>,
        team_id: &str,
        user_id: &str,
    ) -> Result<Option<Membership>, Down> {
        let Some(mut membership) = self.get_part::<Membership>(team_id, user_id).await? else {
            return Ok(None);
        };
        self.fill(&mut membership).await?;
        if let Some(team) = team {
            let own = &mut membership.allowance;
            if own.max_budget.is_none() {
                own.max_budget = team.team_member_budget;
                own.budget_duration
                    .clone_from(&team.team_member_budget_duration);
            }
            own.rpm_limit = own.rpm_limit.or(team.team_member_rpm_limit);
            own.tpm_limit = own.tpm_limit.or(team.team_member_tpm_limit);
        }
        Ok(Some(membership))
    }

    pub(super) async fn read_spent(&self, scopes: &[Scope]) -> Result<Vec<Spent>, Down> {
        let mut found = BTreeMap::new();
        for scopes in scopes.chunks(1_000) {
            let statement = sql(&[
                "SELECT kind, id, part, spend, total, period, since, resets_at FROM counter
                WHERE (kind, id, part) IN (",
                &values(self.pools.kind, scopes.len()),
                ")",
            ]);
            let query = scopes.iter().fold(sqlx::query(statement), |query, scope| {
                let (kind, id, part) = scope.parts();
                query.bind(kind).bind(id).bind(part)
            });
            for row in query.fetch_all(&self.pools.read).await.map_err(down)? {
                let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
                found.insert((text(0)?, text(1)?, text(2)?), spent(&row, 3)?);
            }
        }
        let of = |scope: &Scope| {
            let (kind, id, part) = scope.parts();
            let key = (kind.to_owned(), id.to_owned(), part.to_owned());
            found.get(&key).copied().unwrap_or_default()
        };
        Ok(scopes.iter().map(of).collect())
    }

    /// The audit log, the newest first.
    pub async fn audit(&self, offset: u64, limit: u64) -> Result<Listed<AuditEntry>, Down> {
        let rows = sqlx::query(
            "SELECT at, actor, action, kind, id, before, after, chain FROM audit
            ORDER BY seq DESC LIMIT $1 OFFSET $2",
        )
        .bind(i64::try_from(limit.min(MOST)).unwrap_or(i64::MAX))
        .bind(i64::try_from(offset).unwrap_or(i64::MAX))
        .fetch_all(&self.pools.read)
        .await
        .map_err(down)?;
        let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit")
            .fetch_one(&self.pools.read)
            .await
            .map_err(down)?;
        Ok(Listed {
            records: rows.iter().map(audit_entry).collect::<Result<_, _>>()?,
            total: u64::try_from(total).unwrap_or(0),
        })
    }
}

fn audit_entry(row: &AnyRow) -> Result<AuditEntry, Down> {
    let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
    let json = |at: usize| {
        let text: Option<String> = row.try_get(at).map_err(down)?;
        Ok::<_, Down>(text.and_then(|text| serde_json::from_str(&text).ok()))
    };
    Ok(AuditEntry {
        at: Time(row.try_get(0).map_err(down)?),
        actor: text(1)?,
        action: text(2)?,
        kind: text(3)?,
        id: text(4)?,
        before: json(5)?,
        after: json(6)?,
        chain: text(7)?,
    })
}

/// Rows of three values to compare with: SQLite wants the word, PostgreSQL refuses it.
pub(super) fn values(kind: Kind, rows: usize) -> String {
    match kind {
        Kind::Sqlite => format!("VALUES {}", places(kind, rows, 3)),
        Kind::Postgres => places(kind, rows, 3),
    }
}

/// A record with what its counter says.
fn record<T: Record>(row: &AnyRow) -> Result<T, Down> {
    let mut record: T = read_record(&row.try_get::<String, _>(0).map_err(down)?)?;
    record.note(&spent(row, 1)?);
    Ok(record)
}

/// Five columns of a counter, as they are now: a window that has ended counts no more.
pub(super) fn spent(row: &AnyRow, at: usize) -> Result<Spent, Down> {
    let number = |at: usize| row.try_get::<i64, _>(at).map_err(down);
    let period: Option<String> = row.try_get(at + 2).map_err(down)?;
    let resets_at: Option<i64> = row.try_get(at + 4).map_err(down)?;
    let mut spent = Spent {
        spend: Usd(number(at)?.into()),
        total: Usd(number(at + 1)?.into()),
        since: Time(number(at + 3)?),
        resets_at: resets_at.map(Time),
    };
    let period: Option<Period> = period.and_then(|period| period.parse().ok());
    if let Some((since, resets_at)) = rolled(period.as_ref(), spent.resets_at, Time::now()) {
        spent.spend = Usd::ZERO;
        spent.since = since;
        spent.resets_at = Some(resets_at);
    }
    Ok(spent)
}

/// The window of now, if the one that ends at `resets_at` has ended.
pub(super) fn rolled(
    period: Option<&Period>,
    resets_at: Option<Time>,
    now: Time,
) -> Option<(Time, Time)> {
    let (period, ended) = (period?, resets_at?);
    (ended <= now).then(|| period.window_at(ended, now))
}
