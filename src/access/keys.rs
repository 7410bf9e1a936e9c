//! The auth layer's keys: the master key, those of the file, those of the accounts.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap};
use pointsman_layers::auth::{KeyDigest, KeyStore, Lookup};
use pointsman_layers::ready::Soon;

use super::cache::Entry;
use super::failed::NotFound;
use super::{Access, Customer, Inner, address};
use crate::account::{Bearer, Down};
use crate::call::Principal;
use crate::call::means::{Means, Purse};
use crate::live::Live;

/// After this time what is kept is read anew, behind the back of the request that asks for it.
const FRESH: Duration = Duration::from_secs(30);

/// Answers the auth layer from memory, or after one read of the accounts.
#[derive(Clone, Debug)]
pub struct Keys(Access);

/// A lookup that takes time.
pub type Looking = Pin<Box<dyn Future<Output = Lookup<Principal, NotFound>> + Send>>;

impl KeyStore for Keys {
    type Principal = Principal;
    type Error = NotFound;
    type Future = Looking;

    fn find(&self, digest: &KeyDigest) -> Soon<Lookup<Principal, NotFound>, Looking> {
        self.look(digest, || None)
    }

    fn find_for(
        &self,
        digest: &KeyDigest,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Soon<Lookup<Principal, NotFound>, Looking> {
        self.look(digest, || {
            address::of(extensions, headers, &self.0.0.live.peek())
        })
    }
}

impl Keys {
    /// Looks into memory, and then into the accounts unless too many unknown keys came from the same
    /// address.
    fn look(
        &self,
        digest: &KeyDigest,
        from: impl FnOnce() -> Option<IpAddr>,
    ) -> Soon<Lookup<Principal, NotFound>, Looking> {
        let inner = &self.0.0;
        let live = inner.live.peek();
        if let Some(master) = live.master_key()
            && master.digest == *digest
        {
            return Soon::Now(Ok(Some(Arc::clone(&inner.master))));
        }
        let kept = inner.keys.get(digest);
        let current = |entry: &&Arc<Entry<_>>| {
            entry.generation == live.generation() && inner.keys.trusts(entry)
        };
        if let Some(entry) = kept.as_ref().filter(current) {
            let age = entry.read.elapsed();
            if age < FRESH || !entry.value.of_accounts() {
                return Soon::Now(Ok(Some(Arc::clone(&entry.value))));
            }
            if age < FRESH + live.rules().grace {
                self.read_anew(*digest, entry);
                return Soon::Now(Ok(Some(Arc::clone(&entry.value))));
            }
        }
        if let Some(bearer) = live.file_key(digest) {
            let principal = Arc::new(Principal::of(Arc::clone(bearer), live.rules()));
            let ticket = inner.keys.ticket();
            inner
                .keys
                .keep(ticket, digest, Arc::clone(&principal), live.generation());
            return Soon::Now(Ok(Some(principal)));
        }
        if inner.accounts.is_none() {
            return Soon::Now(Ok(None));
        }
        let from = from();
        if let Some(wait) = from.and_then(|from| inner.failures.wait(from)) {
            return Soon::Now(Err(NotFound::TooMany(wait)));
        }
        let (inner, digest) = (Arc::clone(inner), *digest);
        Soon::Later(Box::pin(async move {
            match inner.read_key(digest).await {
                // Another request may have read it meanwhile.
                Err(down) => {
                    let kept = inner.keys.get(&digest);
                    let known = kept.and_then(|kept| inner.last_known(digest, &kept));
                    known.map(Some).ok_or(NotFound::Down(down))
                }
                Ok(None) => {
                    if let Some(from) = from {
                        inner.failures.note(from);
                    }
                    Ok(None)
                }
                Ok(found) => Ok(found),
            }
        }))
    }
}

impl Access {
    /// For the auth layer.
    pub fn keys(&self) -> Keys {
        Keys(self.clone())
    }

    /// The end user of this id, from memory or after one read of the accounts. `None` if there are no
    /// accounts. Without a word from the accounts a request goes on as if nothing were known of it.
    pub async fn customer(&self, id: &str) -> Option<Arc<Customer>> {
        let inner = &self.0;
        let accounts = inner.accounts.as_ref()?;
        let generation = inner.live.peek().generation();
        let kept = inner.end_users.get(id);
        let kept = kept.filter(|entry| entry.generation == generation);
        if let Some(entry) = &kept
            && entry.read.elapsed() < FRESH
            && inner.end_users.trusts(entry)
        {
            return Some(Arc::clone(&entry.value));
        }
        let ticket = inner.end_users.ticket();
        let live = inner.live.load();
        let Ok(account) = accounts.end_user(id).await else {
            return kept.map(|entry| Arc::clone(&entry.value));
        };
        let means = account
            .as_ref()
            .and_then(|account| Means::of_end_user(account, live.rules()));
        if let Some(means) = &means {
            inner.load(means.all_purses(), None).await.ok()?;
        }
        let customer = Arc::new(Customer { account, means });
        inner
            .end_users
            .keep(ticket, &id.into(), Arc::clone(&customer), generation);
        Some(customer)
    }
}

impl Keys {
    fn read_anew(&self, digest: KeyDigest, entry: &Arc<Entry<Principal>>) {
        if entry.begin_reading() {
            let (inner, entry) = (Arc::clone(&self.0.0), Arc::clone(entry));
            tokio::spawn(async move {
                match inner.read_key(digest).await {
                    Ok(Some(_)) => {}
                    // It was deleted, and nobody told.
                    Ok(None) => inner.keys.forget(&digest),
                    Err(_) => entry.end_reading(),
                }
            });
        }
    }
}

impl Inner {
    async fn read_key(&self, digest: KeyDigest) -> Lookup<Principal, Down> {
        let Some(accounts) = &self.accounts else {
            return Ok(None);
        };
        let ticket = self.keys.ticket();
        let live = self.live.load();
        let Some(bearer) = accounts.bearer(&digest.to_string()).await? else {
            return Ok(None);
        };
        let principal = Arc::new(Principal::of(bearer, live.rules()));
        self.load(principal.means().all_purses(), Some(&live))
            .await?;
        self.keys
            .keep(ticket, &digest, Arc::clone(&principal), live.generation());
        Ok(Some(principal))
    }

    /// What was known of a key, by the table in force, where the accounts cannot be read; it is as old as
    /// it was.
    fn last_known(&self, digest: KeyDigest, kept: &Entry<Principal>) -> Option<Arc<Principal>> {
        let ticket = self.keys.ticket();
        let live = self.live.load();
        let bearer = kept.value.bearer.as_ref().filter(|_| {
            kept.value.of_accounts() && kept.read.elapsed() < FRESH + live.rules().grace
        })?;
        let principal = Arc::new(Principal::of(Arc::clone(bearer), live.rules()));
        let made = Arc::clone(&principal);
        self.keys
            .keep_of(ticket, &digest, made, live.generation(), kept.read);
        Some(principal)
    }

    /// Reads what is spent of these budgets, and of the whole proxy's.
    pub(super) async fn load(
        &self,
        purses: impl Iterator<Item = &Purse>,
        live: Option<&Live>,
    ) -> Result<(), Down> {
        let Some(accounts) = &self.accounts else {
            return Ok(());
        };
        let proxy = live.and_then(super::charge::proxy_purse);
        let all = purses.cloned().chain(proxy).collect();
        self.books.read(&**accounts, &self.ledger, all).await
    }
}

impl Principal {
    fn of_accounts(&self) -> bool {
        // Those of the file have no time at which they were made.
        let made = |bearer: &Arc<Bearer>| bearer.key.created_at.0 != 0;
        self.bearer.as_ref().is_some_and(made)
    }
}
