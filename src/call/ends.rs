//! How the stream of an answer tells of its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pointsman_routes::table::DeploymentId;
use tokio::time::Instant;

use super::{Call, Reached, Shown, Trail, Usage};
use crate::error::Failure;

/// What came of one deployment's stream.
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

/// What came of the answer that a caller got as a stream, whoever said which piece of it.
#[derive(Clone, Debug)]
pub struct AnswerEnd {
    /// Of the last piece.
    pub end: StreamEnd,
    /// What the last piece took, estimated, if nobody told all of it.
    pub estimate: Option<Usage>,
    /// What came before the last piece, if the stream was gone on with.
    pub resumed: Option<Box<Resumed>>,
}

/// How a stream was gone on with that broke.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// The call, as the last piece answers it.
    pub call: Arc<Call>,
    /// Who said the last piece.
    pub deployment: DeploymentId,
    /// The pieces before it.
    pub before: Vec<Piece>,
    /// What was tried from the first break on: whose stream broke is in it.
    pub trail: Trail,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Who said it.
    pub deployment: DeploymentId,
    /// What it took.
    pub usage: Usage,
    /// Whether that is an estimate.
    pub estimated: bool,
}

/// Called once, when the answer has ended or was dropped.
pub type OnLast = Box<dyn FnOnce(AnswerEnd) + Send>;

/// A stream that broke when something of it was shown.
#[derive(Clone, Debug)]
pub struct Broke {
    /// Why.
    pub failure: Failure,
    /// What the caller has of it.
    pub shown: Shown,
    /// Who said it.
    pub pieces: Vec<Piece>,
}

/// Asks somebody else to go on with a stream that broke.
pub type Again<S> = Box<dyn FnOnce(Broke) -> GoingOn<S> + Send>;

/// The stream of whoever goes on, in place of the one that broke; else what was tried in vain, if
/// anything. Dropping it ends the attempts.
pub type GoingOn<S> = Pin<Box<dyn Future<Output = Result<Reached<S>, Trail>> + Send>>;

/// A stream that tells of its end.
pub trait Ends {
    /// Tells `told`, beside those who are told already, of the end of this deployment's stream, be
    /// it gone on with elsewhere or not.
    fn on_end(&mut self, told: OnEnd);

    /// Has `again` ask somebody else where it breaks and can be gone on with.
    fn on_break(&mut self, again: Again<Self>)
    where
        Self: Sized;
}
