//! Who may spend what: keys, teams, users, organisations, end users and budgets as plain data, and
//! the row of the spend log.
//!
//! The names of the fields are LiteLLM's, so that what is stored, what the admin API takes and what
//! it gives is one form. Money is an integer of 10⁻¹² dollars inside and a JSON number outside,
//! time a count of microseconds inside and RFC 3339 outside.
//!
//! [`Accounts`] is what the rest of the gateway sees of the place where all this is kept.

mod allowance;
mod key;
pub mod money;
mod party;
mod period;
mod row;
mod scope;
mod time;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::broadcast;

pub use self::allowance::{Allowance, Budget, BudgetLimit, ModelBudget};
pub use self::key::{Key, KeyType};
pub use self::party::{EndUser, Member, MemberRole, Membership, Organization, Role, Team, User};
pub use self::period::{NotAPeriod, Period};
pub use self::row::SpendRow;
pub use self::scope::{Holder, Scope, Spent};
pub use self::time::{NotATime, Time};

/// A key and everybody it answers to, read together.
///
/// Reusable budgets ([`Budget`], by `budget_id`) are already filled into the allowances that name
/// them; a value of the record's own wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bearer {
    /// The key.
    pub key: Key,
    /// Its user, if it names one that exists.
    pub user: Option<User>,
    /// Its team, if it names one that exists.
    pub team: Option<Team>,
    /// The user's place in the team.
    pub membership: Option<Membership>,
    /// The organisation of the key, or of its team.
    pub organization: Option<Organization>,
    /// What was presented is a rotated key's former secret, which holds until then.
    pub until: Option<Time>,
}

/// Records that are made where there are none of their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Missing {
    /// A user.
    pub user: Option<User>,
    /// A team.
    pub team: Option<Team>,
}

/// Something changed that may have been kept in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The key of this hash.
    Key(String),
    /// The user of this id.
    User(String),
    /// The team of this id, or its members.
    Team(String),
    /// The organisation of this id.
    Organization(String),
    /// The end user of this id.
    EndUser(String),
    /// The reusable budget of this id, and with it whoever names it.
    Budget(String),
    /// The models that are kept in the database.
    Models,
    /// Nobody knows what: whatever is kept must be read again.
    Everything,
}

/// The accounts cannot be read or written now. The text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down(pub String);

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the database cannot be used: {}", self.0)
    }
}

impl std::error::Error for Down {}

/// An answer that takes time.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Down>> + Send + 'a>>;

/// The read side of the accounts, and the place where spend is written down.
///
/// Every method may be dropped at any time: reads change nothing, and an `append` that was dropped
/// has either happened as a whole or not at all.
pub trait Accounts: Send + Sync + fmt::Debug + 'static {
    /// The key of this hash (SHA-256, lower-case hexadecimal) with all it answers to; `None` if
    /// there is no such key. An unknown hash costs one indexed read.
    fn bearer<'a>(&'a self, hash: &'a str) -> Asked<'a, Option<Arc<Bearer>>>;

    /// Whom a key answers to that is not kept here: the user, team and organisation that it names.
    /// Of those that are not there, the ones of `missing` are made.
    fn parties(&self, key: Key, missing: Missing) -> Asked<'_, Bearer>;

    /// The end user of this id, with its budget filled in.
    fn end_user<'a>(&'a self, id: &'a str) -> Asked<'a, Option<Arc<EndUser>>>;

    /// What each of these has spent in its running window, in the order asked. What never spent is
    /// there with nothing.
    fn spent<'a>(&'a self, scopes: &'a [Scope]) -> Asked<'a, Vec<Spent>>;

    /// Writes rows of the spend log and counts them for all their [scopes](SpendRow::scopes), in
    /// one transaction. A row whose `request_id` is there already is left out. Gives the number
    /// of rows that were new.
    fn append<'a>(&'a self, rows: &'a [SpendRow]) -> Asked<'a, usize>;

    /// What changes from now on, on whichever replica. A receiver that lags has missed something
    /// and should take it as [`Change::Everything`].
    fn changes(&self) -> broadcast::Receiver<Change>;
}
