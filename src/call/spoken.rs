//! A call's conversation in the one form.

use std::sync::{Arc, OnceLock};

use super::chat::Request;
use crate::error::Failure;

/// A call's conversation in the one form, read at its first use and then shared by all attempts.
#[derive(Clone, Debug, Default)]
pub struct Spoken(OnceLock<Result<Arc<Request>, Box<Failure>>>);

impl Spoken {
    /// What `read` makes of the call, or made of it before.
    pub fn get(
        &self,
        read: impl FnOnce() -> Result<Request, Failure>,
    ) -> Result<Arc<Request>, Failure> {
        let read = || read().map(Arc::new).map_err(Box::new);
        match self.0.get_or_init(read) {
            Ok(request) => Ok(Arc::clone(request)),
            Err(failure) => Err((**failure).clone()),
        }
    }
}
