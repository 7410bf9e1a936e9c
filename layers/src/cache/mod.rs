//! A response cache: the same question is asked once.
//!
//! On the way in a closure of yours gives a request its [`CacheKey`] and says what of the cache it
//! may use. A response that is stored is replayed, chunk by chunk as it once came. Otherwise, if an
//! equal request is under way, this one joins it and gets its response as it comes, from the first
//! byte, streams included; whoever polls drives the one upstream call, so it goes on when the
//! request that began it is dropped, and is cancelled when all are. On the way out a response is
//! stored when its body has come to its end. Errors, other statuses than 200 (unless told), and
//! bodies that were cut are never stored. The layer refuses nothing: a store that fails is a miss.
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use pointsman_layers::BoxError;
//! use pointsman_layers::cache::{CacheKey, CacheLayer, MemoryCache, Plan};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! static CALLS: AtomicUsize = AtomicUsize::new(0);
//!
//! # tokio_test::block_on(async {
//! let plan = |request: &Request<()>| Some(Plan::new(CacheKey::of([request.uri().path()])));
//! let service = ServiceBuilder::new()
//!     .layer(CacheLayer::new(MemoryCache::new(64 << 20), plan))
//!     .service(service_fn(|_: Request<()>| async {
//!         CALLS.fetch_add(1, Ordering::Relaxed);
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
//!     }));
//! for _ in 0..3 {
//!     let response = service.clone().oneshot(Request::new(())).await.unwrap();
//!     assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hi");
//! }
//! assert_eq!(CALLS.load(Ordering::Relaxed), 1);
//! # });
//! ```
//!
//! What a request may use, and how it is told what it got:
//!
//! ```
//! # use std::time::Duration;
//! # use http::{Request, HeaderValue};
//! # use pointsman_layers::cache::{CacheKey, CacheLayer, MemoryCache, Plan, Served};
//! let plan = |request: &Request<()>| {
//!     let tenant = request.headers().get("x-tenant")?;
//!     let key = CacheKey::of([tenant.as_bytes(), request.uri().path().as_bytes()]);
//!     let fresh = request.headers().contains_key("x-fresh");
//!     Some(Plan::new(key).ttl(Duration::from_mins(1)).no_cache(fresh))
//! };
//! let layer = CacheLayer::new(MemoryCache::new(64 << 20), plan).mark(|head, served| {
//!     if let Served::Hit { .. } = served {
//!         head.headers.insert("x-cache", HeaderValue::from_static("hit"));
//!     }
//! });
//! # let _ = layer;
//! ```
//!
//! A hit costs a lookup, and a clone of the response's headers. A request that joins costs nothing
//! upstream. A body that grows beyond [`CacheLayer::largest`] is no longer kept for the store, and
//! a request that lags that far behind the others on it gets an error.

mod flight;
mod memory;
mod service;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use sha2::{Digest, Sha256};

use crate::BoxError;
use crate::ready::Soon;

pub use memory::MemoryCache;
pub use service::{Body, Cache, CacheLayer, Plans, ResponseFuture};

/// Tells responses apart: what has the same key has the same response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(pub [u8; 32]);

impl CacheKey {
    /// The SHA-256 digest of `parts`. Parts do not run together: `["ab", "c"]` and `["a", "bc"]`
    /// have different keys. A namespace or a tenant is a part.
    pub fn of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.as_ref().len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// What one request may use of the cache.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    key: CacheKey,
    ttl: Option<Duration>,
    max_age: Option<Duration>,
    no_cache: bool,
    no_store: bool,
}

impl Plan {
    /// All of it, under `key`.
    pub const fn new(key: CacheKey) -> Self {
        Self {
            key,
            ttl: None,
            max_age: None,
            no_cache: false,
            no_store: false,
        }
    }

    /// Stores the response for `ttl` instead of the layer's time.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Takes no stored response that is older (`s-maxage`).
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Asks anew, even if there is a stored response (`no-cache`); the new one is stored.
    #[must_use]
    pub const fn no_cache(mut self, fresh: bool) -> Self {
        self.no_cache = fresh;
        self
    }

    /// Does not store the response (`no-store`); a stored one is taken.
    #[must_use]
    pub const fn no_store(mut self, private: bool) -> Self {
        self.no_store = private;
        self
    }

    /// The key.
    pub const fn key(&self) -> &CacheKey {
        &self.key
    }
}

/// Where a response came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Served {
    /// It was stored.
    Hit {
        /// How long ago it was stored.
        age: Duration,
    },
    /// An equal request was under way.
    Joined,
    /// It was asked for, and others may join it.
    Miss,
    /// The cache was not used.
    Bypassed,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its status.
    pub status: StatusCode,
    /// The version of the protocol it came by.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// The chunks of its body, as they came.
    pub chunks: Vec<Bytes>,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
}

impl Recorded {
    /// About the memory it takes.
    pub fn weight(&self) -> usize {
        // A chunk's own bookkeeping, and the names and values of headers with theirs.
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + 64
        };
        let map = |map: &HeaderMap| map.iter().map(header).sum::<usize>();
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.len() + 32).sum();
        chunks + map(&self.headers) + self.trailers.as_ref().map_or(0, map) + 256
    }
}

/// A stored response, and how long it has been stored.
#[derive(Debug, Clone)]
pub struct Found {
    /// The response.
    pub response: Arc<Recorded>,
    /// The time since it was stored.
    pub age: Duration,
}

/// Stores responses.
///
/// A store that cannot answer, or not in time, says `None`: a cache is never a reason to fail.
pub trait CacheStore {
    /// A lookup that takes time.
    type Get: Future<Output = Option<Found>>;

    /// The response under `key`, unless its time is over.
    fn get(&self, key: &CacheKey) -> Soon<Option<Found>, Self::Get>;

    /// Stores `response` for `ttl`. It is called where a body ends and must not block: a store that
    /// needs time takes it elsewhere.
    fn put(&self, key: CacheKey, response: Arc<Recorded>, ttl: Duration);
}

/// The one upstream call of several equal requests failed; each of them gets this. The error
/// itself is its source, and [`find`](crate::find) looks there.
#[derive(Debug, Clone)]
pub struct Shared(Arc<BoxError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.0)
    }
}

/// Why a request that joined another got no response, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// It lagged too far behind the others.
    Lagged,
    /// The inner service panicked.
    Panicked,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lagged => "too slow for a response that is shared and too large to be kept",
            Self::Panicked => "the service panicked on an equal request",
        })
    }
}

impl Error for Broken {}

#[cfg(test)]
mod tests;
