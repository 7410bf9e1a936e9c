//! Authentication: who is it that asks?
//!
//! On the way in the layer takes the credential out of the request's headers, hashes it, asks a
//! [`KeyStore`] for the principal behind the hash, puts an `Arc` of it into the request's
//! extensions and removes every credential header from the request that goes on. On the way out it
//! does nothing. It refuses with [`Refused`], one variant per cause.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::auth::{AuthLayer, KeyDigest, MemoryKeys, Refused};
//! use pointsman_layers::{BoxError, find};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! struct User(&'static str);
//!
//! # tokio_test::block_on(async {
//! let keys = MemoryKeys::new();
//! keys.insert(KeyDigest::of(b"sk-1234"), Arc::new(User("ada")));
//! let service = ServiceBuilder::new().layer(AuthLayer::new(keys)).service(service_fn(
//!     |request: Request<()>| async move {
//!         let user = request.extensions().get::<Arc<User>>().unwrap();
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(user.0))))
//!     },
//! ));
//!
//! let request = Request::builder().header("authorization", "Bearer sk-1234").body(()).unwrap();
//! assert!(service.clone().oneshot(request).await.is_ok());
//!
//! let error = service.oneshot(Request::new(())).await.unwrap_err();
//! assert!(matches!(find(&*error), Some(Refused::Missing)));
//! # });
//! ```
//!
//! Public routes, own header names and a check of a key's form:
//!
//! ```
//! # use pointsman_layers::auth::{Access, AuthLayer, HeaderShapes, MemoryKeys};
//! # use http::{HeaderName, request::Parts};
//! let shapes = HeaderShapes::common().and(HeaderName::from_static("x-team-key"));
//! let layer = AuthLayer::new(MemoryKeys::<String>::new())
//!     .shapes(shapes)
//!     .well_formed(|key| key.starts_with(b"sk-"))
//!     .access(|head: &Parts| match head.uri.path() {
//!         "/health" => Access::Open,
//!         _ => Access::Required,
//!     });
//! # let _ = layer;
//! ```
//!
//! The lookup is by the whole SHA-256 digest and compares in constant time. With a store that
//! answers from memory the layer allocates only what `http::Extensions` needs to take the
//! principal. The future is cancel-safe: it holds nothing but the request.

mod credential;
mod digest;
mod negative;
mod service;
mod store;

use std::error::Error;
use std::fmt;

use http::HeaderName;

use crate::BoxError;

pub use credential::{HeaderShapes, LastFour, Malformed};
pub use digest::KeyDigest;
pub use service::{Access, Auth, AuthLayer, Gate, Required, ResponseFuture};
pub use store::{KeyStore, Lookup, MemoryKeys};

/// Why a request was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refused {
    /// There is no credential in any of the headers looked at. 401.
    Missing,
    /// There is one that cannot be a key. 401.
    Malformed {
        /// What is wrong with it.
        why: Malformed,
        /// How it ends, for the reader of the message.
        last_four: LastFour,
    },
    /// Two headers carry different credentials. 401.
    Conflicting,
    /// The same credential header came twice. 400.
    Repeated(HeaderName),
    /// No such key. 401.
    Unknown {
        /// The digest that was looked for.
        digest: KeyDigest,
        /// How the key ends.
        last_four: LastFour,
    },
    /// The store could not answer. 503: it is not known whether the key is good.
    Unavailable(BoxError),
}

impl Refused {
    /// The status that fits: 400, 401 or 503.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Repeated(_) => http::StatusCode::BAD_REQUEST,
            Self::Unavailable(_) => http::StatusCode::SERVICE_UNAVAILABLE,
            _ => http::StatusCode::UNAUTHORIZED,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no key was given"),
            Self::Malformed { why, last_four } => write!(f, "malformed key {last_four}: {why}"),
            Self::Conflicting => f.write_str("two headers carry different keys"),
            Self::Repeated(name) => write!(f, "the header {name} came more than once"),
            Self::Unknown { last_four, .. } => write!(f, "unknown key {last_four}"),
            Self::Unavailable(_) => f.write_str("keys cannot be looked up at present"),
        }
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(error) => Some(&**error),
            _ => None,
        }
    }
}
