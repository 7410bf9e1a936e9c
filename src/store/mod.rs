//! Where accounts and spend are kept: in SQLite, in a file of the process's own, or in PostgreSQL,
//! which replicas share.
//!
//! Both databases run the same statements, through sqlx's `Any` driver; what differs between them
//! is in `connect.rs` and `watch.rs`.

mod audit;
mod connect;
mod import;
mod log;
mod model;
mod read;
mod record;
mod report;
mod schema;
mod seal;
mod spend;
mod watch;
mod work;

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::broadcast;

pub use self::audit::AuditEntry;
pub use self::connect::Kind;
use self::connect::Pools;
pub use self::import::{Held, Imported, digest, digest_of};
pub use self::model::StoredModel;
pub use self::read::{Listed, Listing, Order};
pub use self::record::{Columns, Record};
pub use self::report::{Daily, Dimension, LogFilter, Sums};
pub use self::seal::{Seal, Unsealable};
pub use self::work::{Fault, Work};
use crate::account::{
    Accounts, Asked, Bearer, Change, Down, EndUser, Key, Missing, Scope, SpendRow, Spent, Team,
    User,
};

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    changes: broadcast::Sender<Change>,
    watcher: Option<Arc<watch::Watcher>>,
}

/// Changes that a receiver may lag behind by before it is told that it missed some.
const BACKLOG: usize = 1024;

impl Store {
    /// Opens what a URL names: `postgresql://…` or `postgres://…`, `sqlite:` and a file's path.
    pub async fn open(url: &str) -> Result<Self, Down> {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Self::postgres(url).await,
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                Self::sqlite_file(Path::new(path)).await
            }
            _ => Err(Down(
                "its URL begins with neither postgresql: nor sqlite:".to_owned(),
            )),
        }
    }

    /// Opens the SQLite file in a folder; makes both if they are not there.
    pub async fn sqlite(folder: &Path) -> Result<Self, Down> {
        Self::sqlite_file(&folder.join("pointsman.db")).await
    }

    async fn sqlite_file(file: &Path) -> Result<Self, Down> {
        let pools = Pools::sqlite(file).await?;
        let (changes, _) = broadcast::channel(BACKLOG);
        Ok(Self {
            pools,
            changes,
            watcher: None,
        })
    }

    /// Connects to PostgreSQL and begins to listen for what other replicas change.
    pub async fn postgres(url: &str) -> Result<Self, Down> {
        let pools = Pools::postgres(url).await?;
        let (changes, _) = broadcast::channel(BACKLOG);
        let watcher = watch::Watcher::start(url, changes.clone()).await?;
        Ok(Self {
            pools,
            changes,
            watcher: Some(Arc::new(watcher)),
        })
    }

    /// Which database it is.
    pub fn kind(&self) -> Kind {
        self.pools.kind
    }

    /// Whether the database answers now.
    pub async fn answers(&self) -> bool {
        let asked = sqlx::query("SELECT 1").execute(&self.pools.read).await;
        asked.is_ok()
    }

    /// Makes a user and a team that an identity provider vouches for; one that somebody else has made
    /// meanwhile stays as it is.
    async fn make_missing(&self, user: Option<User>, team: Option<Team>) -> Result<(), Down> {
        let down = |fault| match fault {
            Fault::Down(down) => Err(down),
            Fault::Exists | Fault::NameTaken => Ok(()),
        };
        if let Some(user) = user {
            let mut work = self.work("jwt", "/user/new").await?;
            work.add(&user).await.or_else(down)?;
            work.commit().await.or_else(down)?;
        }
        if let Some(team) = team {
            let mut work = self.work("jwt", "/team/new").await?;
            work.add(&team).await.or_else(down)?;
            work.commit().await.or_else(down)?;
        }
        Ok(())
    }

    /// Ends the connections; statements under way may end first.
    pub async fn close(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.stop();
        }
        self.pools.read.close().await;
        self.pools.write.close().await;
    }
}

impl fmt::Debug for Store {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("kind", &self.pools.kind)
            .finish_non_exhaustive()
    }
}

impl Accounts for Store {
    fn bearer<'a>(&'a self, hash: &'a str) -> Asked<'a, Option<Arc<Bearer>>> {
        Box::pin(self.read_bearer(hash))
    }

    fn parties(&self, key: Key, missing: Missing) -> Asked<'_, Bearer> {
        Box::pin(async move {
            let bearer = self.answers_to(key.clone(), None).await?;
            let user = missing.user.filter(|_| bearer.user.is_none());
            let team = missing.team.filter(|_| bearer.team.is_none());
            if user.is_none() && team.is_none() {
                return Ok(bearer);
            }
            self.make_missing(user, team).await?;
            self.answers_to(key, None).await
        })
    }

    fn end_user<'a>(&'a self, id: &'a str) -> Asked<'a, Option<Arc<EndUser>>> {
        Box::pin(async move { Ok(self.filled::<EndUser>(id).await?.map(Arc::new)) })
    }

    fn spent<'a>(&'a self, scopes: &'a [Scope]) -> Asked<'a, Vec<Spent>> {
        Box::pin(self.read_spent(scopes))
    }

    fn append<'a>(&'a self, rows: &'a [SpendRow]) -> Asked<'a, usize> {
        let append: Pin<Box<dyn Future<Output = _> + Send + 'a>> =
            Box::pin(self.write_rows(rows, spend::Counted::Running));
        append
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests;
