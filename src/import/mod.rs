//! Moving in: reads a LiteLLM database and brings over who may spend what, and what was spent.
//!
//! LiteLLM's database is only read, in one snapshot, row by row. What comes of a row is compared with
//! what came of it the last time and with what is here now: so an import can be tried before it is
//! done, and done again to fetch what changed in the meantime. What was changed here since stays.
//!
//! Keys stay what they are, because both gateways know a key by the SHA-256 of its secret.

mod accounts;
mod fields;
mod log;
mod models;
mod notes;
mod settle;
mod source;
mod unseal;

use std::fmt;

pub use self::models::Secrets;
pub use self::notes::{Note, Notes};
use self::settle::Run;
pub use self::source::Source;
pub use self::unseal::Unseal;
use crate::account::{Budget, Down, EndUser, Key, Membership, Organization, Team, User};
use crate::store::{Fault, Store};

/// Why an import stopped. What was brought over before stays, and the next import goes on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// LiteLLM's database cannot be read.
    Source(Down),
    /// There are no tables of LiteLLM's in it.
    NotLiteLlm,
    /// Ours cannot be written.
    Target(Fault),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(Down(why)) => write!(f, "LiteLLM's database cannot be read: {why}"),
            Self::NotLiteLlm => f.write_str("there are no tables of LiteLLM's in that database"),
            Self::Target(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Stopped {}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Target(fault)
    }
}

/// What an import does with rows of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// There are so many.
    pub there: u64,
    /// They are new here.
    pub added: u64,
    /// They changed there, so they change here.
    pub changed: u64,
    /// Only what they have spent changed.
    pub spent: u64,
    /// They are here as they are there.
    pub same: u64,
    /// They are gone there, so they go here.
    pub removed: u64,
    /// They are left as they are here, or left out.
    pub left: u64,
}

impl Counts {
    /// Whether nothing comes of them.
    pub const fn nothing(&self) -> bool {
        self.added + self.changed + self.spent + self.removed == 0
    }
}

/// What an import does, or would do.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By kind, in the order in which they are brought over.
    pub kinds: Vec<(&'static str, Counts)>,
    /// What cannot be held here.
    pub losses: Notes,
    /// What is left as it is here, or left out.
    pub left: Notes,
    /// Tables with rows that nothing is made of.
    pub tables: Vec<String>,
}

impl Report {
    /// Whether there is nothing to do.
    pub fn nothing(&self) -> bool {
        self.kinds.iter().all(|(_, counts)| counts.nothing())
    }
}

/// Brings over what is in a LiteLLM database; without `write`, says only what that would do. Without
/// `secrets`, the models of the database are left there.
///
/// `progress` is told of the rows that were read. Dropped midway, it leaves whole batches behind,
/// and the next import goes on from there.
pub async fn import(
    source: &mut Source,
    store: &Store,
    secrets: Option<&Secrets>,
    write: bool,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Report, Stopped> {
    let mut run = Run::new(source, store, write, progress);
    // Budgets before those who name them, teams before their members and keys.
    run.accounts::<Budget>(&accounts::BUDGETS).await?;
    run.accounts::<Organization>(&accounts::ORGANIZATIONS)
        .await?;
    run.accounts::<User>(&accounts::USERS).await?;
    run.accounts::<Team>(&accounts::TEAMS).await?;
    run.accounts::<Membership>(&accounts::MEMBERS).await?;
    run.accounts::<EndUser>(&accounts::END_USERS).await?;
    run.accounts::<Key>(&accounts::KEYS).await?;
    run.former_keys().await?;
    run.proxy().await?;
    run.models(secrets).await?;
    run.log().await?;
    run.rest().await?;
    Ok(run.report)
}
