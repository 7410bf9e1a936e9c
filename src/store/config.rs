//! Keys that the configuration itself gives.

use std::convert::Infallible;
use std::sync::Arc;

use pointsman_layers::auth::{KeyDigest, KeyStore, Lookup};
use pointsman_layers::ready::{Never, Soon};

use crate::call::Principal;
use crate::live::Handle;

/// The master key of the table in force.
#[derive(Clone, Debug)]
pub struct ConfigKeys {
    live: Handle,
    master: Arc<Principal>,
}

impl ConfigKeys {
    /// Looks keys up in the table in force at each request.
    pub fn new(live: Handle) -> Self {
        Self {
            live,
            master: Arc::new(Principal::master()),
        }
    }
}

impl KeyStore for ConfigKeys {
    type Principal = Principal;
    type Error = Infallible;
    type Future = Never<Lookup<Principal, Infallible>>;

    fn find(&self, digest: &KeyDigest) -> Soon<Lookup<Principal, Infallible>, Self::Future> {
        let live = self.live.peek();
        let known = live
            .master_key()
            .is_some_and(|master| master.digest == *digest);
        Soon::Now(Ok(known.then(|| Arc::clone(&self.master))))
    }
}
