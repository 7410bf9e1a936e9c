//! Accounts in memory.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::account::Account;
use super::{
    Budget, Denied, Granted, Hold, Id, Ledger, OverBudget, Reserve, Standing, Usd, Window,
};
use crate::clock::{Clock, SystemClock, Unix, Utc, Zone};
use crate::id::BuildMix;
use crate::inline::Inline;
use crate::ready::{Never, Soon};

/// A spend has reached a threshold of its budget; said once in a window.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Crossed {
    /// The budget.
    pub budget: Budget,
    /// The threshold.
    pub threshold: Usd,
    /// The spend that reached it.
    pub spent: Usd,
}

/// Accounts in memory; clones share them.
///
/// Spend is never forgotten before its window ends, so accounts stay until [`MemoryLedger::forget`]
/// removes them; there are at most as many as it was told, a million unless told, and requests that
/// need further ones are refused with [`Full`].
#[derive(Clone)]
pub struct MemoryLedger {
    shared: Arc<Shared>,
}

struct Shared {
    accounts: papaya::HashMap<Id, Arc<Account<AtomicU64>>, BuildMix>,
    count: AtomicUsize,
    setup: Setup,
}

#[derive(Clone)]
struct Setup {
    most: usize,
    clock: Arc<dyn Clock>,
    zone: Arc<dyn Zone>,
    alert: Option<Arc<dyn Fn(Crossed) + Send + Sync>>,
}

/// There is no room for another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger has no room for another account")
    }
}

impl Error for Full {}

/// One account, as it is saved and restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub id: Id,
    /// How it stands.
    pub standing: Standing,
}

impl MemoryLedger {
    /// An empty ledger on the system's clock, whose windows end by UTC.
    pub fn new() -> Self {
        Self::with(Setup {
            most: 1_000_000,
            clock: Arc::new(SystemClock),
            zone: Arc::new(Utc),
            alert: None,
        })
    }

    fn with(setup: Setup) -> Self {
        let accounts = papaya::HashMap::with_hasher(BuildMix::default());
        Self {
            shared: Arc::new(Shared {
                accounts,
                count: AtomicUsize::new(0),
                setup,
            }),
        }
    }

    fn changed(&self, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = self.shared.setup.clone();
        change(&mut setup);
        Self::with(setup)
    }

    /// A new ledger of at most `most` accounts, set up as this one otherwise.
    #[must_use]
    pub fn capacity(&self, most: usize) -> Self {
        self.changed(|setup| setup.most = most)
    }

    /// A new ledger on `clock`, set up as this one otherwise.
    #[must_use]
    pub fn clock(&self, clock: impl Clock + 'static) -> Self {
        self.changed(|setup| setup.clock = Arc::new(clock))
    }

    /// A new ledger whose windows end by the local time of `zone`, set up as this one otherwise.
    #[must_use]
    pub fn zone(&self, zone: impl Zone + 'static) -> Self {
        self.changed(|setup| setup.zone = Arc::new(zone))
    }

    /// A new ledger that calls `alert` when a threshold is reached, set up as this one otherwise.
    /// It is called where a response body ends and must not block.
    #[must_use]
    pub fn on_alert(&self, alert: impl Fn(Crossed) + Send + Sync + 'static) -> Self {
        self.changed(|setup| setup.alert = Some(Arc::new(alert)))
    }

    /// How an account stands.
    pub fn standing(&self, id: Id) -> Standing {
        let account = self.shared.accounts.pin().get(&id).cloned();
        let empty = Standing {
            spent: Usd::ZERO,
            reserved: Usd::ZERO,
            resets_at: None,
        };
        account.map_or(empty, |account| {
            shown(&account, self.shared.setup.clock.now())
        })
    }

    /// How every account stands, in no order.
    pub fn entries(&self) -> Vec<Entry> {
        let now = self.shared.setup.clock.now();
        let accounts = self.shared.accounts.pin();
        let entry = |(id, account): (&Id, &Arc<_>)| Entry {
            id: *id,
            standing: shown(account, now),
        };
        accounts.iter().map(entry).collect()
    }

    /// Puts the spend of an account to `spent`, in a window that ends at `resets_at`: what was
    /// saved of it, or what an administrator says. What is reserved stays reserved.
    pub fn restore(
        &self,
        id: Id,
        window: Window,
        spent: Usd,
        resets_at: Option<Unix>,
    ) -> Result<(), Full> {
        self.shared
            .account(id)?
            .restore(spent, resets_at, window.code());
        Ok(())
    }

    /// Takes `amount` off what is spent, at most all of it: an administrator forgave it. An account
    /// that is not there stays so.
    pub fn lower(&self, id: Id, amount: Usd) {
        if let Some(account) = self.shared.accounts.pin().get(&id) {
            account.lower(amount);
        }
    }

    /// Removes an account and what was spent. Reservations that it has are settled into nothing.
    pub fn forget(&self, id: Id) {
        if self.shared.accounts.pin().remove(&id).is_some() {
            self.shared.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What the tightest of `budgets` has left, spent and reserved taken off; `None` if none has a
    /// limit. Someone else may take it before the caller does.
    pub fn headroom<'a>(&self, budgets: impl IntoIterator<Item = &'a Budget>) -> Option<Usd> {
        let left = |budget: &Budget| {
            let Standing {
                spent, reserved, ..
            } = self.standing(budget.id);
            budget.max().map(|limit| limit.minus(spent.plus(reserved)))
        };
        budgets.into_iter().filter_map(left).min()
    }

    /// The number of accounts.
    pub fn len(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn shown(account: &Account<AtomicU64>, now: Unix) -> Standing {
    let shown = account.show(now);
    Standing {
        spent: shown.spent,
        reserved: shown.reserved,
        resets_at: shown.ends,
    }
}

impl Shared {
    fn account(&self, id: Id) -> Result<Arc<Account<AtomicU64>>, Full> {
        let accounts = self.accounts.pin();
        if let Some(account) = accounts.get(&id) {
            return Ok(Arc::clone(account));
        }
        // Counted before it is inserted, so that a race cannot pass the bound.
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.setup.most {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        let fresh = Arc::new(Account::new());
        match accounts.try_insert(id, Arc::clone(&fresh)) {
            Ok(_) => Ok(fresh),
            Err(taken) => {
                self.count.fetch_sub(1, Ordering::Relaxed);
                Ok(Arc::clone(taken.current))
            }
        }
    }

    fn reserve(&self, now: Unix, budget: &Budget, amount: Usd) -> Result<Line, Denied<Full>> {
        let account = self.account(budget.id).map_err(Denied::Unavailable)?;
        let window = budget.window;
        account.roll(now, window.code(), || {
            window.next_reset(now, &*self.setup.zone)
        });
        if account.reserve(budget.limit, amount).is_ok() {
            let watched = self.setup.alert.is_some() && budget.thresholds().next().is_some();
            return Ok(Line {
                account,
                watched: watched.then(|| Box::new(*budget)),
            });
        }
        let over = OverBudget::new(budget, amount, shown(&account, now), now);
        Err(Denied::OverBudget(over))
    }
}

/// A reservation in memory.
pub struct Reserved {
    shared: Arc<Shared>,
    lines: Inline<Line>,
    amount: Usd,
}

struct Line {
    account: Arc<Account<AtomicU64>>,
    /// Where a threshold may have to be signalled.
    watched: Option<Box<Budget>>,
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved")
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

impl Hold for Reserved {
    type Unit = Usd;

    fn estimate(&self) -> Usd {
        self.amount
    }

    fn settle(mut self, actual: Usd) {
        for Line { account, watched } in self.lines.drain() {
            let (before, after) = account.settle(self.amount, actual);
            let (Some(alert), Some(budget)) = (&self.shared.setup.alert, watched) else {
                continue;
            };
            for threshold in budget.thresholds() {
                if before < threshold && threshold <= after {
                    alert(Crossed {
                        budget: *budget,
                        threshold,
                        spent: after,
                    });
                }
            }
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.lines
            .drain()
            .for_each(|line| line.account.release(self.amount));
    }
}

impl Ledger for MemoryLedger {
    type Hold = Reserved;
    type Error = Full;
    type Future = Never<Result<Reserved, Denied<Full>>>;

    fn reserve(&self, reserve: &Reserve) -> Granted<Self> {
        let now = self.shared.setup.clock.now();
        let amount = reserve.amount;
        // Dropped half full, it gives back what it has.
        let mut reserved = Reserved {
            shared: Arc::clone(&self.shared),
            lines: Inline::new(),
            amount,
        };
        for budget in reserve.budgets() {
            match self.shared.reserve(now, budget, amount) {
                Ok(line) => {
                    let kept = reserved.lines.push(line).is_ok();
                    debug_assert!(kept, "there are as many places as budgets");
                }
                Err(denied) => return Soon::Now(Err(denied)),
            }
        }
        Soon::Now(Ok(reserved))
    }
}
