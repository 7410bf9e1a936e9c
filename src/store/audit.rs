//! The audit log: who changed what, each entry chained to the one before it.

use std::fmt::Write as _;

use ring::digest;
use serde_json::Value;
use sqlx::{Any, Row, Transaction};

use super::Kind;
use crate::account::Time;

/// A change, as the audit log keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub at: Time,
    /// Who: a user's id, or `default_user_id` for the master key.
    pub actor: String,
    /// By which path of the admin API.
    pub action: String,
    /// What kind of account.
    pub kind: String,
    /// Which.
    pub id: String,
    /// As it was.
    pub before: Option<Value>,
    /// As it is.
    pub after: Option<Value>,
    /// SHA-256 over the entry before and this one.
    pub chain: String,
}

/// The advisory lock that writers of the audit log take in turn.
const AUDIT_LOCK: i64 = 0x706f_696e_7473_6d62;

/// Adds entries to the log, in the transaction of what they tell.
pub(super) async fn write(
    entries: Vec<AuditEntry>,
    kind: Kind,
    transaction: &mut Transaction<'static, Any>,
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    if kind == Kind::Postgres {
        sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
            .bind(AUDIT_LOCK)
            .execute(&mut **transaction)
            .await?;
    }
    let last = sqlx::query("SELECT seq, chain FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut **transaction)
        .await?;
    let (mut seq, mut chain): (i64, String) = match last {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, String::new()),
    };
    for mut entry in entries {
        seq += 1;
        entry.chain = entry.chained(&chain);
        chain.clone_from(&entry.chain);
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        sqlx::query(
            "INSERT INTO audit (seq, at, actor, action, kind, id, before, after, chain)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(seq)
        .bind(entry.at.0)
        .bind(entry.actor.as_str())
        .bind(entry.action.as_str())
        .bind(entry.kind.as_str())
        .bind(entry.id.as_str())
        .bind(text(&entry.before))
        .bind(text(&entry.after))
        .bind(entry.chain.as_str())
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

impl AuditEntry {
    /// The link from the entry before to this one.
    pub(super) fn chained(&self, before: &str) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
        for part in [
            before,
            &self.at.0.to_string(),
            &self.actor,
            &self.action,
            &self.kind,
            &self.id,
            &text(&self.before),
            &text(&self.after),
        ] {
            // With its length, so that nothing can move from one part to the next.
            context.update(&part.len().to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut hex = String::with_capacity(64);
        for byte in context.finish().as_ref() {
            // Writing to a text does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}
