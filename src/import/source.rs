//! LiteLLM's PostgreSQL database, which is only read.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::str::FromStr;

use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use super::Stopped;
use crate::account::Down;

/// An open LiteLLM database, at one point in time.
#[derive(Debug)]
pub struct Source {
    connection: PgConnection,
    tables: BTreeSet<String>,
    name: String,
    version: Option<String>,
}

/// A row, by the names of its columns.
pub(super) type Row = Map<String, Value>;

/// What all tables of LiteLLM's are called.
const PREFIX: &str = "LiteLLM_";

impl Source {
    /// Connects, and sees from then on what is there now. Takes Prisma's `schema` in the URL.
    pub async fn open(url: &str) -> Result<Self, Stopped> {
        // The error could quote the URL, which may hold a password.
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| Stopped::Source(Down("its URL cannot be read".to_owned())))?;
        let mut connection = options.connect().await.map_err(down)?;
        if let Some(schema) = schema(url) {
            let statement = format!("SET search_path TO {schema}");
            connection
                .execute(AssertSqlSafe(statement))
                .await
                .map_err(down)?;
        }
        connection
            .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(down)?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
        )
        .fetch_all(&mut connection)
        .await
        .map_err(down)?;
        let mut source = Self {
            connection,
            tables: tables.into_iter().collect(),
            name: String::new(),
            version: None,
        };
        if !source.tables.iter().any(|table| table.starts_with(PREFIX)) {
            return Err(Stopped::NotLiteLlm);
        }
        source.read_name().await?;
        Ok(source)
    }

    /// What the database is known by, wherever it moves: the first migration's id, which Prisma
    /// draws, or the database's name where no migrations are kept.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// LiteLLM's last migration in it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    async fn read_name(&mut self) -> Result<(), Stopped> {
        if self.has("_prisma_migrations") {
            let first: Option<String> = self
                .scalar("SELECT id::text FROM _prisma_migrations ORDER BY started_at, id LIMIT 1")
                .await?;
            self.version = self
                .scalar(
                    "SELECT migration_name::text FROM _prisma_migrations
                    ORDER BY migration_name DESC LIMIT 1",
                )
                .await?;
            if let Some(first) = first {
                self.name = format!("prisma:{first}");
                return Ok(());
            }
        }
        let name: Option<String> = self.scalar("SELECT current_database()::text").await?;
        self.name = format!("database:{}", name.unwrap_or_default());
        Ok(())
    }

    async fn scalar(&mut self, sql: &'static str) -> Result<Option<String>, Stopped> {
        sqlx::query_scalar(sql)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(down)
    }

    /// Whether there is a table of this name.
    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// The tables of LiteLLM's that have rows.
    pub(super) async fn filled(&mut self) -> Result<Vec<String>, Stopped> {
        let tables: Vec<_> = self
            .tables
            .iter()
            .filter(|table| table.starts_with(PREFIX))
            .cloned()
            .collect();
        let mut filled = Vec::new();
        for table in tables {
            let any: bool = sqlx::query_scalar(AssertSqlSafe(format!(
                "SELECT EXISTS (SELECT 1 FROM {})",
                quoted(&table)
            )))
            .fetch_one(&mut self.connection)
            .await
            .map_err(down)?;
            if any {
                filled.push(table);
            }
        }
        Ok(filled)
    }

    /// The rows that a statement gives, as they come: whatever columns a version of LiteLLM has, a
    /// row is an object of JSON.
    pub(super) fn rows(
        &mut self,
        statement: &str,
    ) -> Pin<Box<dyn Stream<Item = Result<Row, Stopped>> + Send + '_>> {
        // A request as it came is not kept here, and may be by far the longest part of a row.
        let statement = format!(
            "SELECT (to_jsonb(found) - 'proxy_server_request')::text FROM ({statement}) AS found"
        );
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(statement));
        Box::pin(rows.fetch(&mut self.connection).map(|row| {
            let text = row.map_err(down)?;
            serde_json::from_str(&text)
                .map_err(|error| Stopped::Source(Down(format!("a row is no JSON: {error}"))))
        }))
    }

    /// Which of these ids are not there any more; `known` says of `asked.id` and `asked.part`
    /// whether they are.
    pub(super) async fn gone(
        &mut self,
        known: &str,
        ids: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Stopped> {
        let (first, second): (Vec<_>, Vec<_>) = ids.iter().cloned().unzip();
        sqlx::query_as(AssertSqlSafe(format!(
            "SELECT asked.id, asked.part FROM unnest($1::text[], $2::text[]) AS asked(id, part)
            WHERE NOT EXISTS ({known})"
        )))
        .bind(first)
        .bind(second)
        .fetch_all(&mut self.connection)
        .await
        .map_err(down)
    }
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Prisma's own parameter of a URL: where its tables are.
fn schema(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let given = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("schema="))?;
    let decoded = percent_encoding::percent_decode_str(given)
        .decode_utf8()
        .ok()?;
    Some(quoted(&decoded))
}

/// What a failed statement says. The driver's text quotes neither values nor credentials.
fn down(error: sqlx::Error) -> Stopped {
    Stopped::Source(Down(match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Configuration(_) => "its URL cannot be read".to_owned(),
        error => error.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prismas_schema_is_found_in_the_url() {
        let url = "postgresql://u:p@h/db?connection_limit=5&schema=lite%20llm";
        assert_eq!(schema(url).as_deref(), Some("\"lite llm\""));
        assert_eq!(schema("postgresql://u:p@h/db"), None);
    }
}
