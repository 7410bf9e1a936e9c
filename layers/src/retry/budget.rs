//! Keeps retries from becoming a storm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Limits retries to a share of the requests; clones share it.
///
/// Each request pays in a part of a retry and each retry takes out a whole one, so however many
/// requests fail, there are at most that share of retries, and a few: those that may be saved.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    saved: Arc<AtomicU64>,
    per_mille: u64,
    most: u64,
}

/// Parts of a retry.
const WHOLE: u64 = 1_000;

impl RetryBudget {
    /// `per_mille` retries for a thousand requests, and up to `saved` of them at once, with which
    /// it begins.
    pub fn new(per_mille: u16, saved: u32) -> Self {
        let most = u64::from(saved) * WHOLE;
        Self {
            saved: Arc::new(AtomicU64::new(most)),
            per_mille: u64::from(per_mille),
            most,
        }
    }

    /// A request has come.
    pub(super) fn pay_in(&self) {
        // A full budget is only read, so that threads do not meet on it as long as all is well.
        let more = |saved: u64| {
            let sum = (saved + self.per_mille).min(self.most);
            (sum != saved).then_some(sum)
        };
        let _full = self
            .saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes out a retry, if there is one.
    pub(super) fn take_out(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(WHOLE);
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}
