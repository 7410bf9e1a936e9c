//! Statistics by deployment id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Quota, Stats};
use crate::routing::purse::Purse;

/// The name of the quota that is shared, if one is, and the statistics.
type Entry = (Option<Box<str>>, Arc<Stats>);

/// Every deployment's statistics, by `model_info.id`. Asked when a table comes, never by a request.
#[derive(Debug, Default)]
pub struct Registry {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    stats: HashMap<Box<str>, Entry>,
    quotas: HashMap<Box<str>, Arc<Quota>>,
    /// By deployment's id, and by provider's name.
    purses: [HashMap<Box<str>, Arc<Purse>>; 2],
}

impl Registry {
    /// The statistics of a deployment, new ones if it is not known, or if it has come to share
    /// another quota.
    pub fn of(&self, id: &str, quota_group: Option<&str>) -> Arc<Stats> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let shared =
            quota_group.map(|name| Arc::clone(known.quotas.entry(name.into()).or_default()));
        if let Some((group, stats)) = known.stats.get(id)
            && group.as_deref() == quota_group
        {
            return Arc::clone(stats);
        }
        let stats = Arc::new(Stats::new(shared));
        let entry = (quota_group.map(Into::into), Arc::clone(&stats));
        known.stats.insert(id.into(), entry);
        stats
    }

    /// What a deployment has spent, by its id.
    pub fn purse_of(&self, id: &str) -> Arc<Purse> {
        self.purse(0, id)
    }

    /// What all deployments of a provider have spent, by its name.
    pub fn purse_of_provider(&self, name: &str) -> Arc<Purse> {
        self.purse(1, name)
    }

    fn purse(&self, kind: usize, name: &str) -> Arc<Purse> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.purses[kind].entry(name.into()).or_default())
    }

    /// Forgets those that no table and no request holds.
    pub fn sweep(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .stats
            .retain(|_, (_, stats)| Arc::strong_count(stats) > 1);
        known.quotas.retain(|_, quota| Arc::strong_count(quota) > 1);
        for purses in &mut known.purses {
            purses.retain(|_, purse| Arc::strong_count(purse) > 1);
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.stats.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_belong_to_the_id() {
        let registry = Registry::default();
        let first = registry.of("a", None);
        assert!(Arc::ptr_eq(&first, &registry.of("a", None)));
        let (b, c) = (registry.of("b", Some("org")), registry.of("c", Some("org")));
        assert!(std::ptr::eq(b.quota(), c.quota()));
        assert!(!std::ptr::eq(first.quota(), b.quota()));
        assert_eq!(registry.len(), 3);
        drop((first, b));
        registry.sweep();
        assert_eq!(registry.len(), 1);
        assert!(Arc::ptr_eq(&c, &registry.of("c", Some("org"))));
    }
}
