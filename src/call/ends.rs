//! How the stream of an answer tells of its end.

use tokio::time::Instant;

use super::Usage;
use crate::error::Failure;

/// What came of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEnd {
    /// How it ended.
    pub outcome: StreamOutcome,
    /// The last usage that the provider told.
    pub usage: Option<Usage>,
    /// When the first event was there.
    pub first_event: Option<Instant>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamOutcome {
    /// As it should.
    Complete,
    /// The provider failed after the first event; the caller was told.
    Failed(Failure),
    /// The caller went away.
    Dropped,
}

/// Called once, when the stream has ended or was dropped.
pub type OnEnd = Box<dyn FnOnce(StreamEnd) + Send>;

/// A stream that tells of its end.
pub trait Ends {
    /// Tells `told`, beside those who are told already.
    fn on_end(&mut self, told: OnEnd);
}
