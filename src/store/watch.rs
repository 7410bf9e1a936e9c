//! What other replicas change, by PostgreSQL's `LISTEN`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use super::connect::down;
use crate::account::{Change, Down};

/// The channel's name.
pub(super) const CHANNEL: &str = "pointsman_changes";
/// How long to wait before listening is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A task that passes on what other replicas say; ends with its last owner.
#[derive(Debug)]
pub(super) struct Watcher(AbortHandle);

impl Watcher {
    /// Listens on a connection of its own.
    pub(super) async fn start(url: &str, changes: broadcast::Sender<Change>) -> Result<Self, Down> {
        let mut listener = PgListener::connect(url).await.map_err(down)?;
        listener.listen(CHANNEL).await.map_err(down)?;
        let task = tokio::spawn(async move {
            loop {
                let change = if let Ok(Some(notice)) = listener.try_recv().await {
                    read(notice.payload())
                } else {
                    // The connection was lost, and with it whatever was said meanwhile. What is known
                    // is all there is until the server is back, so nothing is doubted before.
                    while listener.listen(CHANNEL).await.is_err() {
                        tokio::time::sleep(PAUSE).await;
                    }
                    Change::Everything
                };
                // That nobody listens now is no reason to stop.
                let _ = changes.send(change);
            }
        });
        Ok(Self(task.abort_handle()))
    }

    pub(super) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A change as it is sent: PostgreSQL takes up to 8000 bytes.
#[derive(Serialize, Deserialize)]
struct Notice {
    kind: String,
    #[serde(default)]
    id: String,
}

/// The longest id that is sent; whatever is longer is said to be anything.
const LONGEST: usize = 4_000;

pub(super) fn write(change: &Change) -> String {
    let (kind, id) = match change {
        Change::Key(id) => ("key", id.as_str()),
        Change::User(id) => ("user", id.as_str()),
        Change::Team(id) => ("team", id.as_str()),
        Change::Organization(id) => ("organization", id.as_str()),
        Change::EndUser(id) => ("end_user", id.as_str()),
        Change::Budget(id) => ("budget", id.as_str()),
        Change::Models => ("models", ""),
        Change::Everything => ("everything", ""),
    };
    let (kind, id) = if id.len() > LONGEST {
        ("everything", "")
    } else {
        (kind, id)
    };
    serde_json::json!(Notice {
        kind: kind.to_owned(),
        id: id.to_owned()
    })
    .to_string()
}

fn read(payload: &str) -> Change {
    let Ok(Notice { kind, id }) = serde_json::from_str(payload) else {
        return Change::Everything;
    };
    match kind.as_str() {
        "key" => Change::Key(id),
        "user" => Change::User(id),
        "team" => Change::Team(id),
        "organization" => Change::Organization(id),
        "end_user" => Change::EndUser(id),
        "budget" => Change::Budget(id),
        "models" => Change::Models,
        // A newer version may know more kinds.
        _ => Change::Everything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_written() {
        for change in [
            Change::Key("ab".to_owned()),
            Change::EndUser("\"'; --\n".to_owned()),
            Change::Models,
            Change::Everything,
        ] {
            assert_eq!(read(&write(&change)), change);
        }
        assert_eq!(
            read(&write(&Change::User("x".repeat(9_000)))),
            Change::Everything
        );
        assert_eq!(read("no json"), Change::Everything);
    }
}
