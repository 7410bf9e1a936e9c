//! What is kept of a call while it goes on, for those who must settle when it has ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use pointsman_layers::budget::{Hold, Reserved};
use pointsman_routes::usd::Usd;

use super::Usage;
use super::means::picos;

/// What one call took, as soon as that is known. Fallbacks share it.
#[derive(Debug)]
pub struct Tab {
    /// The id of its row in the ledger. Never the caller's word, or a caller could have two requests
    /// counted as one.
    pub id: u128,
    cost: AtomicU64,
    prompt: AtomicU64,
    completion: AtomicU64,
    most_output: AtomicU64,
    /// What is reserved for it; nothing, if no budget is charged.
    held: AtomicU64,
    /// What it may cost, in all and for its prompt.
    worst: [AtomicU64; 2],
    /// The reservation of a call whose answer ends later than its response.
    reserved: OnceLock<Mutex<Option<Box<Reserved>>>>,
}

/// Nothing is known.
const UNKNOWN: u64 = u64::MAX;

impl Tab {
    /// An empty one, for the row of this id.
    pub fn new(id: u128) -> Self {
        Self {
            id,
            cost: AtomicU64::new(UNKNOWN),
            prompt: AtomicU64::new(0),
            completion: AtomicU64::new(0),
            most_output: AtomicU64::new(UNKNOWN),
            held: AtomicU64::new(0),
            worst: [const { AtomicU64::new(0) }; 2],
            reserved: OnceLock::new(),
        }
    }

    /// Notes what it may cost at most: in all, and for its prompt, in 10⁻¹² dollars.
    pub fn reckon(&self, all: u64, prompt: u64) {
        self.worst[0].store(all, Ordering::Relaxed);
        self.worst[1].store(prompt, Ordering::Relaxed);
    }

    /// What it may cost at most: in all, and for its prompt. Nothing, if nobody reckoned.
    pub fn worst(&self) -> [Usd; 2] {
        [0, 1].map(|n| Usd(self.worst[n].load(Ordering::Relaxed).into()))
    }

    /// Notes what is reserved for it, in 10⁻¹² dollars.
    pub fn hold(&self, amount: u64) {
        self.held.store(amount, Ordering::Relaxed);
    }

    /// What is reserved for it. `None` if no budget bounds it.
    pub fn held(&self) -> Option<Usd> {
        let held = self.held.load(Ordering::Relaxed);
        (held > 0).then(|| Usd(held.into()))
    }

    /// Keeps what is reserved for it until it is settled. Only the first reservation is kept; another
    /// is given back to its budgets.
    pub fn keep(&self, reserved: Reserved) {
        // It is dropped where there is one.
        let _ = self.reserved.set(Mutex::new(Some(Box::new(reserved))));
    }

    /// Notes what the call took and cost, before the end of its answer goes out.
    pub fn settle(&self, usage: Option<&Usage>, cost: Usd) {
        if let Some(usage) = usage {
            self.prompt.store(usage.prompt, Ordering::Relaxed);
            self.completion.store(usage.completion, Ordering::Relaxed);
        }
        let cost = u64::try_from(cost.0.max(0)).unwrap_or(UNKNOWN - 1);
        self.cost.store(cost.min(UNKNOWN - 1), Ordering::Release);
        let kept = self.reserved.get();
        let kept = kept.and_then(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(reserved) = kept {
            reserved.settle(picos(Usd(cost.into())));
        }
    }

    /// What it cost, in 10⁻¹² dollars. `None` until it has ended.
    pub fn cost(&self) -> Option<u64> {
        Some(self.cost.load(Ordering::Acquire)).filter(|cost| *cost != UNKNOWN)
    }

    /// The tokens of prompt and answer that were counted.
    pub fn tokens(&self) -> (u64, u64) {
        let load = |tokens: &AtomicU64| tokens.load(Ordering::Relaxed);
        (load(&self.prompt), load(&self.completion))
    }

    /// Lets each choice of the answer have no more than `tokens` tokens.
    pub fn limit_output(&self, tokens: u64) {
        self.most_output.fetch_min(tokens, Ordering::Relaxed);
    }

    /// The most tokens that a choice of the answer may have by the caller's budgets.
    pub fn most_output(&self) -> Option<u64> {
        Some(self.most_output.load(Ordering::Relaxed)).filter(|most| *most != UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_known_when_the_call_has_ended() {
        let tab = Tab::new(1);
        assert_eq!((tab.cost(), tab.most_output()), (None, None));
        let usage = Usage {
            prompt: 3,
            completion: 4,
            ..Usage::default()
        };
        tab.settle(Some(&usage), Usd(7));
        tab.limit_output(9);
        tab.limit_output(12);
        assert_eq!(
            (tab.cost(), tab.tokens(), tab.most_output()),
            (Some(7), (3, 4), Some(9))
        );
        tab.settle(None, Usd(i128::MAX));
        assert_eq!(tab.cost(), Some(u64::MAX - 1));
    }
}
