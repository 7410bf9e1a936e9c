//! Remembers unknown keys for a moment, so that a flood of one bad key asks the store once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::KeyDigest;

/// One slot per low bits of the digest: memory is fixed, and whoever floods it with many keys only
/// makes it forget.
const SLOTS: usize = 1024;

/// A digest and until when it is taken as unknown.
type Unknown = (KeyDigest, Instant);

#[derive(Debug, Clone)]
pub(super) struct Negative {
    slots: Arc<[Mutex<Option<Unknown>>]>,
    ttl: Duration,
}

impl Negative {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Mutex::new(None)).collect(),
            ttl,
        }
    }

    pub(super) fn knows(&self, digest: &KeyDigest) -> bool {
        let slot = self
            .slot(digest)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        matches!(*slot, Some((known, until)) if known == *digest && Instant::now() < until)
    }

    pub(super) fn learn(&self, digest: &KeyDigest) {
        if let Some(until) = Instant::now().checked_add(self.ttl) {
            let mut slot = self
                .slot(digest)
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *slot = Some((*digest, until));
        }
    }

    fn slot(&self, digest: &KeyDigest) -> &Mutex<Option<(KeyDigest, Instant)>> {
        let index = u16::from_le_bytes([digest.0[30], digest.0[31]]);
        &self.slots[usize::from(index) % SLOTS]
    }
}
