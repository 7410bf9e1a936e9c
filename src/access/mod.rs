//! Who may ask, for what, how often and for how much money.
//!
//! A key's [`Principal`] is read from the accounts once and then kept in memory, with all its limits
//! and budgets; so is an end user. A request looks into memory only. What changes in the accounts, on
//! whichever replica, is forgotten at once and read anew when it is next asked for; what does not
//! change is read anew from time to time behind the requests' backs, and what others have spent is
//! added then. While the accounts cannot be read, what is known goes on, for as long as the file says,
//! even if it may have changed.
//!
//! - [`Keys`] answers the auth layer;
//! - [`admit`] refuses keys that are blocked or have expired, foreign addresses and paths;
//! - as [`Demands`](pointsman_layers::token_bucket::Demands) and
//!   [`Charges`](pointsman_layers::budget::Charges) it says what a request counts against.

pub mod address;
pub mod admit;
mod books;
mod cache;
mod charge;
mod demand;
mod failed;
pub mod jwt;
mod keys;
mod media;
pub mod pass;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use pointsman_layers::auth::KeyDigest;
use pointsman_layers::budget::{MemoryLedger, Usd};
use pointsman_layers::token_bucket::{MemoryBuckets, Standings};
use tokio::sync::broadcast::error::RecvError;

use self::books::Books;
use self::cache::Cache;
pub use self::charge::{COUNTED_BYTES_PER_TOKEN, LAST_OUTPUT, Settled};
pub use self::demand::{UNKNOWN_OUTPUT, Used};
use self::failed::Failures;
pub use self::failed::{MOST_UNKNOWN, NotFound};
pub use self::keys::{Keys, Looking};
pub use self::standing::{BudgetStanding, ModelStanding, Overview};
use crate::account::{Accounts, Asked, Change, Down, EndUser, SpendRow};
use crate::call::Principal;
use crate::call::means::{Limit, Means, Purse};
use crate::live::Handle;
use crate::spend::ledger::Sink;

/// Keys that are kept in memory.
const MOST_KEYS: usize = 100_000;
/// End users that are kept in memory, those that are not known among them.
const MOST_END_USERS: usize = 100_000;
/// Budgets that are kept in memory.
const MOST_BUDGETS: usize = 4_000_000;

/// Who may ask. Clones share it.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    live: Handle,
    accounts: Option<Arc<dyn Accounts>>,
    master: Arc<Principal>,
    keys: Cache<KeyDigest, Principal>,
    end_users: Cache<Box<str>, Customer>,
    tokens: Cache<KeyDigest, jwt::Verified>,
    provider: jwt::Provider,
    failures: Failures,
    ledger: MemoryLedger,
    buckets: MemoryBuckets,
    books: Books,
    /// What each request may cost is to be known, whether it has a budget or not.
    reckons: bool,
}

/// An end user as requests need it.
#[derive(Debug, Default)]
pub struct Customer {
    /// What is known of it; `None` if nothing is.
    pub account: Option<Arc<EndUser>>,
    /// Its limits and budgets.
    pub means: Option<Means>,
}

impl Access {
    /// Over these accounts, or with the keys of the file alone.
    pub fn new(live: Handle, accounts: Option<Arc<dyn Accounts>>) -> Self {
        Self::reckoning(live, accounts, false)
    }

    /// The same; with `reckons`, what each request may cost is known, whether it has a budget or not.
    pub fn reckoning(live: Handle, accounts: Option<Arc<dyn Accounts>>, reckons: bool) -> Self {
        let warn = |crossed: pointsman_layers::budget::Crossed| {
            let scope = crossed.budget.scope();
            let id = crossed.budget.id();
            tracing::warn!(scope, %id, spent = %crossed.spent, "a soft budget is spent");
            metrics::counter!("pointsman_soft_budgets_crossed_total", "scope" => scope)
                .increment(1);
        };
        Self(Arc::new(Inner {
            live,
            accounts,
            master: Arc::new(Principal::master()),
            keys: Cache::new(MOST_KEYS),
            end_users: Cache::new(MOST_END_USERS),
            tokens: Cache::new(jwt::MOST_TOKENS),
            provider: jwt::Provider::default(),
            failures: Failures::default(),
            ledger: MemoryLedger::new().capacity(MOST_BUDGETS).on_alert(warn),
            buckets: MemoryBuckets::new(),
            books: Books::default(),
            reckons,
        }))
    }

    /// The budgets' accounts in memory.
    pub fn ledger(&self) -> MemoryLedger {
        self.0.ledger.clone()
    }

    /// The rates' counters.
    pub fn buckets(&self) -> MemoryBuckets {
        self.0.buckets.clone()
    }

    /// What is spent of a budget in its running window.
    pub fn spent(&self, purse: &Purse) -> Usd {
        self.0.ledger.standing(purse.id()).spent
    }

    /// How the rates of a limit stand.
    pub fn standings(&self, limit: &Limit) -> Standings {
        self.0.buckets.standings(&limit.scope)
    }

    /// Reads what the whole proxy has spent. To be awaited before the first request.
    pub async fn begin(&self) -> Result<(), Down> {
        match &self.0.accounts {
            Some(accounts) => {
                let proxy = self.proxy_purse().into_iter().collect();
                self.0.books.read(&**accounts, &self.0.ledger, proxy).await
            }
            None => Ok(()),
        }
    }

    /// Forgets what changes in the accounts, until there are none any more.
    pub async fn watch(self) {
        let Some(accounts) = self.0.accounts.clone() else {
            return;
        };
        let mut changes = accounts.changes();
        loop {
            match changes.recv().await {
                Ok(change) => self.forget(&change),
                Err(RecvError::Lagged(_)) => self.forget(&Change::Everything),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Forgets what a change makes untrue.
    pub fn forget(&self, change: &Change) {
        let keys = &self.0.keys;
        let of = |named: fn(&Principal) -> Option<&str>, id: &str| {
            keys.forget_where(|principal| named(principal) == Some(id));
        };
        if !matches!(change, Change::Key(_) | Change::EndUser(_) | Change::Models) {
            self.0.tokens.forget_where(|_| true);
        }
        match change {
            Change::Key(hash) => {
                // A rotated key may be kept under its former secret, too.
                keys.forget_where(|principal| &*principal.key == hash.as_str());
            }
            Change::User(id) => of(
                |principal| principal.bearer.as_ref()?.key.user_id.as_deref(),
                id,
            ),
            Change::Team(id) => of(
                |principal| principal.bearer.as_ref()?.key.team_id.as_deref(),
                id,
            ),
            Change::Organization(id) => of(
                |principal| {
                    let organization = principal.bearer.as_ref()?.organization.as_ref()?;
                    Some(&organization.organization_id)
                },
                id,
            ),
            Change::EndUser(id) => self.0.end_users.forget_where(|customer| {
                customer
                    .account
                    .as_ref()
                    .is_none_or(|user| user.user_id == *id)
            }),
            Change::Budget(_) | Change::Everything => {
                keys.doubt();
                self.0.end_users.doubt();
            }
            Change::Models => {}
        }
    }
}

/// Rows of the journal go to the accounts, and what they cost is known to be there from then on.
impl Sink for Access {
    fn append<'a>(&'a self, rows: &'a [SpendRow]) -> Asked<'a, usize> {
        Box::pin(async move {
            match &self.0.accounts {
                Some(accounts) => self.0.books.append(&**accounts, rows).await,
                None => Ok(0),
            }
        })
    }
}
