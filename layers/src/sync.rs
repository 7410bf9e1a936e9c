//! The atomic numbers under buckets and accounts, so that a model checker can put in its own.

use std::sync::atomic::{AtomicU64, Ordering};

/// A 64-bit number that threads share.
pub(crate) trait Atomic {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn swap(&self, value: u64) -> u64;
    /// Adds, wrapping; a difference is added as its two's complement.
    fn add(&self, value: u64) -> u64;
    fn replace(&self, old: u64, new: u64) -> Result<u64, u64>;

    /// Replaces the value by what `next` makes of it, until no other thread came between; gives the
    /// value before. Stops at an error.
    fn try_change<E>(&self, mut next: impl FnMut(u64) -> Result<u64, E>) -> Result<u64, E> {
        let mut old = self.load();
        loop {
            match self.replace(old, next(old)?) {
                Ok(old) => return Ok(old),
                Err(now) => old = now,
            }
        }
    }
}

impl Atomic for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn swap(&self, value: u64) -> u64 {
        self.swap(value, Ordering::AcqRel)
    }

    fn add(&self, value: u64) -> u64 {
        self.fetch_add(value, Ordering::AcqRel)
    }

    fn replace(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// The model checker's number, with the same orderings.
#[cfg(test)]
pub(crate) mod model {
    use loom::sync::atomic::{AtomicU64, Ordering};

    impl super::Atomic for AtomicU64 {
        fn new(value: u64) -> Self {
            Self::new(value)
        }

        fn load(&self) -> u64 {
            self.load(Ordering::Acquire)
        }

        fn swap(&self, value: u64) -> u64 {
            self.swap(value, Ordering::AcqRel)
        }

        fn add(&self, value: u64) -> u64 {
            self.fetch_add(value, Ordering::AcqRel)
        }

        fn replace(&self, old: u64, new: u64) -> Result<u64, u64> {
            // A weak exchange may fail for no reason, and the checker would try that for ever.
            self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
        }
    }
}
