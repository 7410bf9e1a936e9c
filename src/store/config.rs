//! Who holds a key: by the configuration, or by the accounts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pointsman_layers::auth::{KeyDigest, KeyStore, Lookup};
use pointsman_layers::ready::Soon;

use super::Store;
use crate::account::{Accounts, Down, Role, Time};
use crate::call::Principal;
use crate::live::Handle;

/// The master key of the table in force, and the virtual keys of a database.
#[derive(Clone, Debug)]
pub struct ConfigKeys {
    live: Handle,
    store: Option<Store>,
    master: Arc<Principal>,
}

impl ConfigKeys {
    /// Looks keys up in the table in force at each request, then in the database.
    pub fn new(live: Handle, store: Option<Store>) -> Self {
        Self {
            live,
            store,
            master: Arc::new(Principal::master()),
        }
    }
}

async fn find(store: Store, hash: String) -> Lookup<Principal, Down> {
    let Some(bearer) = store.bearer(&hash).await? else {
        return Ok(None);
    };
    let closed = bearer.key.blocked || bearer.key.expired(Time::now());
    let role = bearer.user.as_ref().and_then(|user| user.user_role);
    let principal = Principal {
        key: bearer.key.token.as_str().into(),
        alias: bearer.key.key_alias.as_deref().map(Into::into),
        admin: role == Some(Role::ProxyAdmin),
    };
    Ok((!closed).then(|| Arc::new(principal)))
}

impl KeyStore for ConfigKeys {
    type Principal = Principal;
    type Error = Down;
    type Future = Pin<Box<dyn Future<Output = Lookup<Principal, Down>> + Send>>;

    fn find(&self, digest: &KeyDigest) -> Soon<Lookup<Principal, Down>, Self::Future> {
        let live = self.live.peek();
        let master = live.master_key().map(|master| master.digest);
        match &self.store {
            _ if master == Some(*digest) => Soon::Now(Ok(Some(Arc::clone(&self.master)))),
            None => Soon::Now(Ok(None)),
            Some(store) => Soon::Later(Box::pin(find(store.clone(), digest.to_string()))),
        }
    }
}
