//! Statistics by deployment id.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use pointsman_routes::table::Deployment;

use super::{Quota, Stats};
use crate::routing::purse::Purse;

/// Statistics that stand side by side in memory at most. A block lives as long as one of them is
/// used.
const BLOCK: usize = 64;

/// The name of the quota that is shared, if one is, and the statistics.
type Entry = (Option<Box<str>>, Arc<Member>);

/// The [`Stats`] of one deployment. Those of a table's deployments stand in blocks, so that a decision
/// reads them one after the other.
#[derive(Debug)]
pub struct Member {
    block: Arc<[Stats]>,
    at: usize,
}

impl Member {
    /// Where it stands.
    pub(in crate::routing) fn block(&self) -> &Arc<[Stats]> {
        &self.block
    }

    /// Its position there.
    pub(in crate::routing) fn at(&self) -> usize {
        self.at
    }
}

impl Deref for Member {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.block[self.at]
    }
}

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

impl Known {
    fn has(&self, (id, quota): (&str, Option<&str>)) -> bool {
        let known = self.stats.get(id);
        known.is_some_and(|(group, _)| group.as_deref() == quota)
    }

    fn quota(&mut self, name: &str) -> Arc<Quota> {
        Arc::clone(self.quotas.entry(name.into()).or_default())
    }
}

impl Registry {
    /// The statistics of these deployments, new ones for each that is not known, or has come to
    /// share another quota.
    pub fn of_all(&self, deployments: &[Deployment]) -> Box<[Arc<Member>]> {
        let named = deployments
            .iter()
            .map(|one| (&*one.id, one.quota_group.as_deref()));
        self.of(&named.collect::<Vec<_>>())
    }

    fn of(&self, named: &[(&str, Option<&str>)]) -> Box<[Arc<Member>]> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::with_capacity(named.len());
        for named in named.chunks(BLOCK) {
            let new: Vec<_> = named.iter().filter(|one| !known.has(**one)).collect();
            let block: Arc<[Stats]> = new
                .iter()
                .map(|(_, quota)| Stats::new(quota.map(|name| known.quota(name))))
                .collect();
            for (at, (id, quota)) in new.into_iter().enumerate() {
                let block = Arc::clone(&block);
                let entry = (quota.map(Into::into), Arc::new(Member { block, at }));
                known.stats.insert((*id).into(), entry);
            }
            // Each is there: it was, or was put there.
            found.extend(named.iter().map(|(id, _)| Arc::clone(&known.stats[*id].1)));
        }
        found.into()
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

    fn one(registry: &Registry, id: &str, quota: Option<&str>) -> Arc<Member> {
        Arc::clone(&registry.of(&[(id, quota)])[0])
    }

    #[test]
    fn statistics_belong_to_the_id() {
        let registry = Registry::default();
        let first = one(&registry, "a", None);
        assert!(Arc::ptr_eq(&first, &one(&registry, "a", None)));
        let others = registry.of(&[("b", Some("org")), ("a", None), ("c", Some("org"))]);
        let [b, again, c] = [0, 1, 2].map(|at: usize| Arc::clone(&others[at]));
        drop(others);
        assert!(Arc::ptr_eq(&first, &again));
        assert!(std::ptr::eq(b.quota(), c.quota()));
        assert!(!std::ptr::eq(first.quota(), b.quota()));
        assert_eq!(registry.len(), 3);
        drop((first, again, b));
        registry.sweep();
        assert_eq!(registry.len(), 1);
        assert!(Arc::ptr_eq(&c, &one(&registry, "c", Some("org"))));
        assert!(!Arc::ptr_eq(&c, &one(&registry, "c", Some("other"))));
    }

    #[test]
    fn new_statistics_stand_side_by_side() {
        let registry = Registry::default();
        let ids: Vec<String> = (0..150).map(|n| n.to_string()).collect();
        let named: Vec<_> = ids.iter().map(|id| (&**id, None)).collect();
        let found = registry.of(&named);
        assert_eq!(found.len(), 150);
        for (at, one) in found.iter().enumerate() {
            assert_eq!(one.at(), at % BLOCK);
            assert!(Arc::ptr_eq(one.block(), found[at - at % BLOCK].block()));
        }
    }
}
