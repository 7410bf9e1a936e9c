//! Tower layers that any hyper or axum service can use.
#![doc = include_str!("../README.md")]

use std::error::Error;

pub mod body;
pub mod ready;
pub mod respond;

#[cfg(feature = "budget")]
pub mod clock;
#[cfg(any(feature = "budget", feature = "token-bucket"))]
pub mod hold;
#[cfg(any(feature = "budget", feature = "token-bucket"))]
pub mod id;
#[cfg(any(feature = "budget", feature = "token-bucket"))]
mod inline;
#[cfg(any(feature = "budget", feature = "token-bucket"))]
mod sync;

#[cfg(feature = "auth")]
pub mod auth;
#[cfg(feature = "budget")]
pub mod budget;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "deadline")]
pub mod deadline;
#[cfg(feature = "drain")]
pub mod drain;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "shed")]
pub mod shed;
#[cfg(feature = "token-bucket")]
pub mod token_bucket;

/// The error that every layer of this crate gives: a refusal of its own, or the inner service's
/// error as it was. Both are found again with [`find`].
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The first error of type `E` in `error` and its sources.
///
/// Layers give their refusals as small public types in a boxed error; this is how a renderer
/// behind [`respond::RespondLayer`] tells them apart.
///
/// ```
/// use pointsman_layers::{BoxError, find};
///
/// let error: BoxError = Box::new(std::fmt::Error);
/// assert!(find::<std::fmt::Error>(&*error).is_some());
/// assert!(find::<std::io::Error>(&*error).is_none());
/// ```
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut here = Some(error);
    while let Some(error) = here {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        here = error.source();
    }
    None
}
