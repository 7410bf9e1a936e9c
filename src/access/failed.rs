//! How often unknown keys come from one address.
//!
//! Nobody guesses a key of 192 random bits; what this bounds is the work that guesses make. Only a key
//! that is not in memory costs a look into the accounts, so only those are turned away, and nobody
//! whose key is known notices the neighbour who guesses.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::account::Down;

/// Unknown keys that an address may show within a minute.
pub const MOST_UNKNOWN: u32 = 100;
/// How long they count.
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that are remembered; those beyond are counted as one.
const MOST_ADDRESSES: usize = 65_536;

/// Why a key is not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The accounts cannot be read.
    Down(Down),
    /// Too many unknown keys came from the same address; how long until they are forgotten.
    TooMany(Duration),
}

impl From<Down> for NotFound {
    fn from(down: Down) -> Self {
        Self::Down(down)
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(down) => down.fmt(f),
            Self::TooMany(_) => f.write_str("too many unknown keys came from this address"),
        }
    }
}

impl std::error::Error for NotFound {}

/// The unknown keys of each address.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Count>>);

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    failures: u32,
}

impl Count {
    /// How long it still counts.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = WINDOW.checked_sub(now.saturating_duration_since(self.since));
        left.filter(|left| !left.is_zero())
    }
}

impl Failures {
    /// How long an address must wait before another key of it is looked up, if it must.
    pub(super) fn wait(&self, from: IpAddr) -> Option<Duration> {
        let counts = self.counts();
        let count = counts.get(&place(&counts, from))?;
        let over = count.failures >= MOST_UNKNOWN;
        count.left(Instant::now()).filter(|_| over)
    }

    /// An address showed a key that nobody has.
    pub(super) fn note(&self, from: IpAddr) {
        let now = Instant::now();
        let mut counts = self.counts();
        if counts.len() >= MOST_ADDRESSES {
            counts.retain(|_, count| count.left(now).is_some());
        }
        let place = place(&counts, from);
        let fresh = Count {
            since: now,
            failures: 0,
        };
        let count = counts.entry(place).or_insert(fresh);
        if count.left(now).is_none() {
            *count = fresh;
        }
        count.failures = count.failures.saturating_add(1);
        if count.failures == MOST_UNKNOWN {
            tracing::warn!(
                address = %place,
                "many unknown keys; no more are looked up for a while"
            );
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under which address one is counted: whoever has an IPv6 address has the 2⁶⁴ around it, too; and
/// where there is no room for more, the new ones are counted as one.
fn place(counts: &HashMap<IpAddr, Count>, from: IpAddr) -> IpAddr {
    const NETWORK: u128 = !(u64::MAX as u128);
    let place = match from.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    };
    if counts.len() < MOST_ADDRESSES || counts.contains_key(&place) {
        place
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_after_many_unknown_keys_and_no_other_does() {
        let failures = Failures::default();
        for _ in 1..MOST_UNKNOWN {
            failures.note(address(1));
        }
        assert_eq!(failures.wait(address(1)), None);
        tokio::time::advance(WINDOW / 2).await;
        failures.note(address(1));
        assert_eq!(failures.wait(address(1)), Some(WINDOW / 2));
        assert_eq!(failures.wait(address(2)), None);
        tokio::time::advance(WINDOW / 2).await;
        assert_eq!(failures.wait(address(1)), None);
        failures.note(address(1));
        assert_eq!(failures.wait(address(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_network_is_one_address() {
        let failures = Failures::default();
        let of = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
        for host in 0..100 {
            failures.note(of(host));
        }
        assert!(failures.wait(of(7_000)).is_some());
        assert_eq!(failures.wait(address(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_more_addresses_than_may_be() {
        let failures = Failures::default();
        let of = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
        for n in 0..70_000 {
            failures.note(of(n));
        }
        assert!(failures.counts().len() <= MOST_ADDRESSES + 1);
        tokio::time::advance(WINDOW).await;
        failures.note(of(80_000));
        assert_eq!(failures.counts().len(), 1);
    }
}
