//! What the gateway's tests and benches stand on.
//!
//! - [`Upstream`]: a provider over real sockets that checks and records what it receives and answers
//!   as a [`Reply`] says, down to the byte at which a stream breaks;
//! - [`Gateway`]: the binary as a process of its own, with its own config, environment and port;
//! - [`Client`]: a caller that sees statuses, headers and bytes as they arrive;
//! - [`Scene`](scene::Scene): the three together, as most tests want them;
//! - [`canned`]: an upstream that costs next to nothing, for benches.
//!
//! What does not go as a test expects panics with a message that says what was waited for or seen.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a test fails")]

pub mod canned;
pub mod client;
pub mod gateway;
pub mod install;
pub mod postgres;
pub mod process;
pub mod scene;
pub mod sse;
pub mod upstream;

pub use client::{Answer, Client, Streamed};
pub use gateway::{Gateway, Setup};
pub use postgres::Postgres;
pub use upstream::Upstream;
pub use upstream::record::{Outcome, Seen};
pub use upstream::reply::{Content, Ending, LineEnd, Pieces, Reply, Usage};

use std::time::Duration;

/// How long anything may take that a test waits for. Long, because a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`, at most [`PATIENCE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("waited {PATIENCE:?} for {what}");
    };
    value
}
