//! Opening a database: where it is, how it is connected, which steps it has taken.

use std::path::Path;
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, AssertSqlSafe, Transaction};

use super::schema::STEPS;
use crate::account::Down;

/// Which database it is. They differ in how writers keep out of each other's way, and in whether
/// other replicas must be told of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file of this process's own.
    Sqlite,
    /// A server that replicas share.
    Postgres,
}

/// The connections to a database.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) kind: Kind,
    pub(super) read: AnyPool,
    /// SQLite has one writer at a time; to wait for one connection is to wait in turn.
    pub(super) write: AnyPool,
}

/// How long a statement waits for a connection, and SQLite for another process's lock.
const PATIENCE: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
/// LiteLLM's `database_connection_pool_limit`.
const CONNECTIONS: u32 = 10;
/// The advisory lock under which a gateway changes the tables: "pointsma" in ASCII.
const LOCK: i64 = 0x706f_696e_7473_6d61;

static DRIVERS: Once = Once::new();

impl Pools {
    /// Opens a file, which is made if it is not there, and so is its folder.
    pub(super) async fn sqlite(file: &Path) -> Result<Self, Down> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| Down(format!("cannot make {}: {error}", folder.display())))?;
        }
        let path = file
            .to_str()
            .ok_or_else(|| Down(format!("{} is no text", file.display())))?;
        let escaped = percent_encoding::utf8_percent_encode(path, percent_encoding::CONTROLS);
        let url = format!("sqlite://{escaped}?mode=rwc");
        // The journal's mode stays with the file, and setting it needs the file to itself: once,
        // before anybody reads.
        let write = pool(
            &url,
            1,
            &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA journal_mode = WAL",
                // What was answered is on the disk: a key is shown once, and rows of spend are not
                // sent twice.
                "PRAGMA synchronous = FULL",
                // Each batch of spend writes at the ends of a few indexes; those pages stay at hand, and
                // are brought from the log to the file some batches at a time.
                "PRAGMA cache_size = -16384",
                "PRAGMA wal_autocheckpoint = 4000",
            ],
        )
        .await?;
        private(file);
        let read = pool(
            &url,
            READERS,
            &["PRAGMA busy_timeout = 5000", "PRAGMA query_only = 1"],
        )
        .await?;
        let pools = Self {
            kind: Kind::Sqlite,
            read,
            write,
        };
        pools.migrate().await?;
        Ok(pools)
    }

    /// Connects to a PostgreSQL server.
    pub(super) async fn postgres(url: &str) -> Result<Self, Down> {
        let read = pool(url, CONNECTIONS, &[]).await?;
        let write = read.clone();
        let pools = Self {
            kind: Kind::Postgres,
            read,
            write,
        };
        pools.migrate().await?;
        Ok(pools)
    }

    /// A transaction that writes.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, Down> {
        match self.kind {
            // Without `IMMEDIATE`, a transaction that has read finds out that it cannot write
            // only when it does.
            Kind::Sqlite => self.write.begin_with("BEGIN IMMEDIATE").await,
            Kind::Postgres => self.write.begin().await,
        }
        .map_err(down)
    }

    async fn migrate(&self) -> Result<(), Down> {
        let mut transaction = self.begin().await?;
        if self.kind == Kind::Postgres {
            sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
                .bind(LOCK)
                .execute(&mut *transaction)
                .await
                .map_err(down)?;
        }
        sqlx::query("CREATE TABLE IF NOT EXISTS pointsman_step (number BIGINT PRIMARY KEY)")
            .execute(&mut *transaction)
            .await
            .map_err(down)?;
        let taken: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pointsman_step")
            .fetch_one(&mut *transaction)
            .await
            .map_err(down)?;
        let taken = usize::try_from(taken).unwrap_or(usize::MAX);
        let Some(missing) = STEPS.get(taken..) else {
            return Err(Down(format!(
                "it was made by a newer version: it has taken {taken} steps, this version knows {}",
                STEPS.len()
            )));
        };
        for (number, step) in (taken..).zip(missing) {
            for statement in *step {
                sqlx::query(*statement)
                    .execute(&mut *transaction)
                    .await
                    .map_err(down)?;
            }
            sqlx::query("INSERT INTO pointsman_step (number) VALUES ($1)")
                .bind(i64::try_from(number).unwrap_or(i64::MAX))
                .execute(&mut *transaction)
                .await
                .map_err(down)?;
        }
        transaction.commit().await.map_err(down)
    }
}

async fn pool(url: &str, most: u32, pragmas: &'static [&'static str]) -> Result<AnyPool, Down> {
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let options = AnyConnectOptions::from_str(url)
        // The error could quote the URL, which may hold a password.
        .map_err(|_| Down("its URL cannot be read".to_owned()))?;
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for pragma in pragmas {
                    sqlx::query(*pragma).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .map_err(down)
}

/// Hashes of keys and records of spend are nobody else's business on a shared machine.
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let owner_only = std::fs::Permissions::from_mode(0o600);
    if let Err(error) = std::fs::set_permissions(file, owner_only) {
        tracing::warn!(%error, "the database file stays readable for others");
    }
}

/// What a failed statement says to the caller. The driver's text quotes neither SQL parameters nor
/// credentials.
pub(super) fn down(error: sqlx::Error) -> Down {
    match error {
        sqlx::Error::PoolTimedOut => Down("no connection became free in time".to_owned()),
        sqlx::Error::Configuration(_) => Down("its URL cannot be read".to_owned()),
        sqlx::Error::Database(error) => Down(error.message().to_owned()),
        error => Down(error.to_string()),
    }
}

/// `($1, $2), ($3, $4)` for as many rows and columns: the only part of any statement that is not
/// a constant, and it is made of numbers.
///
/// SQLite gets `(?, ?), (?, ?)`. To it `$1` is a name, and it looks for each of them among all that
/// come before: six thousand values would cost it millions of comparisons. A statement that has
/// these places has no others, therefore.
pub(super) fn places(kind: Kind, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { "), (" });
        for column in 1..=columns {
            if column > 1 {
                text.push_str(", ");
            }
            match kind {
                Kind::Sqlite => text.push('?'),
                Kind::Postgres => {
                    text.push('$');
                    text.push_str(itoa::Buffer::new().format(row * columns + column));
                }
            }
        }
    }
    text.push_str(if rows == 0 { "" } else { ")" });
    text
}

/// A statement of constants and [`places`].
pub(super) fn sql(parts: &[&str]) -> AssertSqlSafe<String> {
    AssertSqlSafe(parts.concat())
}
