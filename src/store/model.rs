//! Models that are added at run time, sealed.

use std::fmt;

use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::connect::down;
use super::work::Work;
use super::{Fault, Kind, Store};
use crate::account::{Change, Down, Time};

/// A model that was added at run time.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredModel {
    /// `model_info.id`.
    pub id: String,
    /// `model_name`.
    pub name: String,
    /// The rest, sealed.
    pub sealed: String,
    /// When it was added.
    pub created_at: Time,
    /// Who added it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub updated_at: Time,
    /// Who changed it.
    pub updated_by: Option<String>,
}

impl fmt::Debug for StoredModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredModel")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const MODELS: &str = "SELECT id, name, sealed, created_at, created_by, updated_at, updated_by
    FROM model ORDER BY created_at, id";

impl Store {
    /// The models that were added at run time, the oldest first.
    pub async fn models(&self) -> Result<Vec<StoredModel>, Down> {
        let rows = sqlx::query(MODELS)
            .fetch_all(&self.pools.read)
            .await
            .map_err(down)?;
        rows.iter().map(stored_model).collect()
    }
}

impl Work {
    /// Keeps a model, or another version of it.
    pub async fn put_model(&mut self, model: &StoredModel) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO model (id, name, sealed, created_at, created_by, updated_at, updated_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, sealed = excluded.sealed,
                updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        )
        .bind(model.id.as_str())
        .bind(model.name.as_str())
        .bind(model.sealed.as_str())
        .bind(model.created_at.0)
        .bind(model.created_by.as_deref())
        .bind(model.updated_at.0)
        .bind(model.updated_by.as_deref())
        .execute(&mut *self.transaction)
        .await?;
        self.note(
            "model",
            &model.id,
            None,
            Some(Value::from(model.name.as_str())),
        );
        self.changes.push(Change::Models);
        Ok(())
    }

    /// Forgets a model; whether it was there.
    pub async fn remove_model(&mut self, id: &str) -> Result<bool, Fault> {
        let removed = sqlx::query("DELETE FROM model WHERE id = $1")
            .bind(id)
            .execute(&mut *self.transaction)
            .await?;
        self.note("model", id, None, None);
        self.changes.push(Change::Models);
        Ok(removed.rows_affected() > 0)
    }

    /// The models that are kept; nobody else changes them until this transaction ends.
    pub async fn hold_models(&mut self) -> Result<Vec<StoredModel>, Down> {
        if self.store.pools.kind == Kind::Postgres {
            sqlx::query("LOCK TABLE model IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut *self.transaction)
                .await
                .map_err(down)?;
        }
        self.models().await
    }

    /// The models that are kept, as they are inside this transaction.
    pub async fn models(&mut self) -> Result<Vec<StoredModel>, Down> {
        let rows = sqlx::query(MODELS)
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(down)?;
        rows.iter().map(stored_model).collect()
    }
}

fn stored_model(row: &AnyRow) -> Result<StoredModel, Down> {
    let text = |at: usize| row.try_get::<String, _>(at).map_err(down);
    Ok(StoredModel {
        id: text(0)?,
        name: text(1)?,
        sealed: text(2)?,
        created_at: Time(row.try_get(3).map_err(down)?),
        created_by: row.try_get(4).map_err(down)?,
        updated_at: Time(row.try_get(5).map_err(down)?),
        updated_by: row.try_get(6).map_err(down)?,
    })
}
