//! Keeps the budgets in memory equal to what is written in the accounts.
//!
//! What this process spends is in memory at once and in the accounts when the journal is drained;
//! what other replicas spend, and what an administrator changes, is in the accounts first. So a sum
//! that is read from the accounts is compared with the one that was read before: what it has grown by
//! beyond what this process drained in between is other people's, and is added.

use std::collections::HashMap;

use pointsman_layers::budget::{Budget, Charge, Hold, Id, Ledger, MemoryLedger, Unix};
use pointsman_layers::ready::Soon;
use pointsman_routes::usd::Usd;
use tokio::sync::Mutex;

use crate::account::{Accounts, Down, Scope, SpendRow, Time};
use crate::call::means::{Purse, picos};

/// What was read of each budget that is in memory.
///
/// The lock is held over a read and over a write of the accounts, and by nothing that a request with
/// a known key waits for: a sum that is read has all that was drained before, and nothing of what is
/// drained after.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<HashMap<Scope, Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    id: Option<Id>,
    /// As it was read.
    spent: Usd,
    /// What this process has drained since.
    drained: Usd,
    /// When the window ends in which that was.
    resets_at: Option<Time>,
}

impl Known {
    /// Begins a new window if the last one has ended by then.
    fn roll(&mut self, now: Time) {
        if self.resets_at.is_some_and(|end| end <= now) {
            self.spent = Usd::ZERO;
            self.drained = Usd::ZERO;
            self.resets_at = None;
        }
    }
}

impl Books {
    /// Reads what is spent of budgets into the ledger: those that are not there yet as they are, to
    /// the others what others have spent.
    pub(super) async fn read(
        &self,
        accounts: &dyn Accounts,
        ledger: &MemoryLedger,
        purses: Vec<Purse>,
    ) -> Result<(), Down> {
        if purses.is_empty() {
            return Ok(());
        }
        let scopes: Vec<_> = purses.iter().map(|purse| purse.scope.clone()).collect();
        let mut known = self.0.lock().await;
        let spent = accounts.spent(&scopes).await?;
        let now = Time::now();
        for ((purse, scope), spent) in purses.into_iter().zip(scopes).zip(spent) {
            let before = known.entry(scope).or_default();
            before.roll(now);
            if before.id.is_some() {
                add(
                    ledger,
                    &purse,
                    spent.spend.0 - before.spent.0 - before.drained.0,
                );
            } else {
                let ends = spent.resets_at.map(|end| Unix(end.unix().0));
                let window = purse.window();
                let ends =
                    ends.or_else(|| window.next_reset(now.unix(), &pointsman_layers::budget::Utc));
                if ledger
                    .restore(purse.id(), window, picos(spent.spend), ends)
                    .is_err()
                {
                    tracing::error!("there is no room for another budget");
                }
            }
            *before = Known {
                id: Some(purse.id()),
                spent: spent.spend,
                drained: Usd::ZERO,
                resets_at: spent.resets_at,
            };
        }
        Ok(())
    }

    /// Writes rows to the accounts.
    pub(super) async fn append(
        &self,
        accounts: &dyn Accounts,
        rows: &[SpendRow],
    ) -> Result<usize, Down> {
        let mut known = self.0.lock().await;
        let new = accounts.append(rows).await?;
        if known.is_empty() {
            return Ok(new);
        }
        for (scopes, rows) in SpendRow::by_scopes(rows) {
            for scope in scopes {
                if let Some(known) = known.get_mut(&scope) {
                    for row in &rows {
                        known.roll(row.end_time);
                        known.drained = known.drained.plus(row.spend);
                    }
                }
            }
        }
        Ok(new)
    }
}

/// Adds what others have spent, or takes off what an administrator took off.
fn add(ledger: &MemoryLedger, purse: &Purse, by: i128) {
    if by < 0 {
        ledger.lower(purse.id(), picos(Usd(-by)));
    } else if by > 0 {
        let unlimited = Budget::new("", purse.id()).window(purse.window());
        let charge = Charge::new(pointsman_layers::budget::Usd::ZERO).budget(unlimited);
        if let Soon::Now(Ok(hold)) = ledger.reserve(charge.reserve()) {
            hold.settle(picos(Usd(by)));
        }
    }
}
