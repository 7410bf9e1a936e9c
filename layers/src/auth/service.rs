//! The layer, its service and its future.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use http::request::Parts;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::credential::Presented;
use super::negative::Negative;
use super::{HeaderShapes, KeyStore, Lookup, Refused};
use crate::BoxError;
use crate::ready::Soon;

/// What a request must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// A good key.
    Required,
    /// Nothing; but a key, if there is one, must be good, and its principal is put in.
    Optional,
    /// Nothing; a key is not even looked at, and is removed.
    Open,
}

/// Says what a request must show; closures `Fn(&Parts) -> Access` do.
pub trait Gate {
    /// Decides from the request's head, before its body is read.
    fn access(&self, head: &Parts) -> Access;
}

impl<F: Fn(&Parts) -> Access> Gate for F {
    fn access(&self, head: &Parts) -> Access {
        self(head)
    }
}

/// The gate of a new [`AuthLayer`]: every request needs a good key.
#[derive(Debug, Clone, Copy)]
pub struct Required;

impl Gate for Required {
    fn access(&self, _: &Parts) -> Access {
        Access::Required
    }
}

/// Authenticates requests by their keys.
#[derive(Debug, Clone)]
pub struct AuthLayer<K, G = Required> {
    keys: K,
    gate: G,
    rules: Rules,
}

#[derive(Debug, Clone)]
struct Rules {
    // Shared, since a service is cloned for each connection and a list is not free to clone.
    shapes: std::sync::Arc<HeaderShapes>,
    well_formed: Option<fn(&[u8]) -> bool>,
    keep_headers: bool,
    negative: Negative,
}

impl<K: KeyStore> AuthLayer<K> {
    /// Requires of every request a key that `keys` knows, in one of [`HeaderShapes::common`].
    pub fn new(keys: K) -> Self {
        let rules = Rules {
            shapes: HeaderShapes::common().into(),
            well_formed: None,
            keep_headers: false,
            negative: Negative::new(Duration::from_secs(1)),
        };
        Self {
            keys,
            gate: Required,
            rules,
        }
    }
}

impl<K, G> AuthLayer<K, G> {
    /// Asks `gate` what each request must show. `|_: &Parts| Access::Open` is no authentication.
    pub fn access<H: Gate>(self, gate: H) -> AuthLayer<K, H> {
        AuthLayer {
            keys: self.keys,
            gate,
            rules: self.rules,
        }
    }

    /// Looks for keys in `shapes`.
    #[must_use]
    pub fn shapes(mut self, shapes: HeaderShapes) -> Self {
        self.rules.shapes = shapes.into();
        self
    }

    /// Refuses a key that does not pass `check` before it is hashed or looked up.
    #[must_use]
    pub fn well_formed(mut self, check: fn(&[u8]) -> bool) -> Self {
        self.rules.well_formed = Some(check);
        self
    }

    /// How long an unknown key is remembered as unknown where the store answers later; one second
    /// unless told, zero for never. A key that is made in this time works when it is over.
    #[must_use]
    pub fn remember_unknown(mut self, ttl: Duration) -> Self {
        self.rules.negative = Negative::new(ttl);
        self
    }

    /// Leaves the credential headers in the request that goes on. Only for services that pass
    /// their clients' keys to another one on purpose.
    #[must_use]
    pub fn keep_headers(mut self) -> Self {
        self.rules.keep_headers = true;
        self
    }
}

impl<S, K: Clone, G: Clone> Layer<S> for AuthLayer<K, G> {
    type Service = Auth<S, K, G>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth {
            inner,
            keys: self.keys.clone(),
            gate: self.gate.clone(),
            rules: self.rules.clone(),
        }
    }
}

/// The service of [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct Auth<S, K, G = Required> {
    inner: S,
    keys: K,
    gate: G,
    rules: Rules,
}

impl<S, K, G, B> Service<Request<B>> for Auth<S, K, G>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
    K: KeyStore,
    G: Gate,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, K, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let access = self.gate.access(&head);
        let taken = match access {
            Access::Open => {
                if !self.rules.keep_headers {
                    self.rules.shapes.remove(&mut head.headers);
                }
                return self.pass(Request::from_parts(head, body));
            }
            Access::Required | Access::Optional => self.rules.take(&mut head),
        };
        let mut request = Request::from_parts(head, body);
        let presented = match taken {
            Ok(presented) => presented,
            Err(Refused::Missing) if access == Access::Optional => return self.pass(request),
            Err(refused) => return ResponseFuture::refused(refused),
        };
        let found = self
            .keys
            .find_for(&presented.digest, request.headers(), request.extensions());
        match found {
            Soon::Now(answer) => match admit(&mut request, answer, presented) {
                Ok(()) => self.pass(request),
                Err(refused) => ResponseFuture::refused(refused),
            },
            Soon::Later(_) if self.rules.negative.knows(&presented.digest) => {
                ResponseFuture::refused(presented.unknown())
            }
            Soon::Later(lookup) => {
                // The service that was made ready goes with the request; a clone stays here.
                let fresh = self.inner.clone();
                let service = std::mem::replace(&mut self.inner, fresh);
                let waiting = Some(Waiting {
                    request,
                    service,
                    presented,
                });
                let negative = self.rules.negative.clone();
                ResponseFuture {
                    state: State::Asking {
                        lookup,
                        waiting,
                        negative,
                    },
                }
            }
        }
    }
}

impl<S, K, G> Auth<S, K, G> {
    fn pass<B>(&mut self, request: Request<B>) -> ResponseFuture<S, K, B>
    where
        S: Service<Request<B>>,
        K: KeyStore,
    {
        ResponseFuture {
            state: State::Calling {
                inner: self.inner.call(request),
            },
        }
    }
}

impl Rules {
    fn take(&self, head: &mut Parts) -> Result<Presented, Refused> {
        if self.keep_headers {
            self.shapes.find(&head.headers, self.well_formed)
        } else {
            self.shapes.take(&mut head.headers, self.well_formed)
        }
    }
}

impl Presented {
    fn unknown(self) -> Refused {
        Refused::Unknown {
            digest: self.digest,
            last_four: self.last_four,
        }
    }
}

fn admit<B, P, E>(
    request: &mut Request<B>,
    answer: Lookup<P, E>,
    presented: Presented,
) -> Result<(), Refused>
where
    P: Send + Sync + 'static,
    E: Into<BoxError>,
{
    match answer {
        Ok(Some(principal)) => {
            request.extensions_mut().insert(principal);
            Ok(())
        }
        Ok(None) => Err(presented.unknown()),
        Err(error) => Err(Refused::Unavailable(error.into())),
    }
}

pin_project! {
    /// The future of [`Auth`].
    pub struct ResponseFuture<S, K, B>
    where
        S: Service<Request<B>>,
        K: KeyStore,
    {
        #[pin]
        state: State<S::Future, K::Future, Waiting<S, B>>,
    }
}

struct Waiting<S, B> {
    request: Request<B>,
    service: S,
    presented: Presented,
}

pin_project! {
    #[project = StateProj]
    enum State<F, L, W> {
        Calling { #[pin] inner: F },
        Asking { #[pin] lookup: L, waiting: Option<W>, negative: Negative },
        Refused { refused: Option<BoxError> },
    }
}

impl<S, K, B> ResponseFuture<S, K, B>
where
    S: Service<Request<B>>,
    K: KeyStore,
{
    fn refused(refused: Refused) -> Self {
        Self {
            state: State::Refused {
                refused: Some(refused.into()),
            },
        }
    }
}

impl<S, K, B> Future for ResponseFuture<S, K, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    K: KeyStore,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Calling { inner } => return inner.poll(cx).map_err(Into::into),
                StateProj::Refused { refused } => {
                    return Poll::Ready(Err(refused.take().expect("polled after it was ready")));
                }
                StateProj::Asking {
                    lookup,
                    waiting,
                    negative,
                } => {
                    let answer = ready!(lookup.poll(cx));
                    let unknown = matches!(answer, Ok(None));
                    let mut waiting = waiting.take().expect("polled after it was ready");
                    if unknown {
                        negative.learn(&waiting.presented.digest);
                    }
                    let next = match admit(&mut waiting.request, answer, waiting.presented) {
                        Ok(()) => State::Calling {
                            inner: waiting.service.call(waiting.request),
                        },
                        Err(refused) => State::Refused {
                            refused: Some(refused.into()),
                        },
                    };
                    state.set(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::header::AUTHORIZATION;
    use tokio::sync::oneshot;
    use tokio_test::{assert_pending, assert_ready, task};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::auth::{KeyDigest, MemoryKeys};
    use crate::find;

    fn request(key: &str) -> Request<()> {
        Request::builder()
            .header(AUTHORIZATION, format!("Bearer {key}"))
            .body(())
            .unwrap()
    }

    async fn who(request: Request<()>) -> Result<Option<Arc<u8>>, BoxError> {
        assert!(request.headers().get(AUTHORIZATION).is_none());
        Ok(request.extensions().get().cloned())
    }

    fn memory() -> MemoryKeys<u8> {
        let keys = MemoryKeys::new();
        keys.insert(KeyDigest::of(b"good-key"), Arc::new(7));
        keys
    }

    /// Answers late and counts how often it was asked.
    #[derive(Clone, Default)]
    struct Slow {
        asked: Arc<AtomicUsize>,
        down: bool,
    }

    impl KeyStore for Slow {
        type Principal = u8;
        type Error = BoxError;
        type Future = Ready<Lookup<u8, BoxError>>;

        fn find(&self, digest: &KeyDigest) -> Soon<Lookup<u8, BoxError>, Self::Future> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let known = *digest == KeyDigest::of(b"good-key");
            if self.down {
                return Soon::Later(ready(Err("no connection".into())));
            }
            Soon::Later(ready(Ok(known.then(|| Arc::new(7)))))
        }
    }

    #[tokio::test]
    async fn the_principal_goes_in_and_the_credential_does_not() {
        let service = AuthLayer::new(memory()).layer(service_fn(who));
        let principal = service.clone().oneshot(request("good-key")).await.unwrap();
        assert_eq!(principal.as_deref(), Some(&7));
        let error = service.oneshot(request("bad-key-9876")).await.unwrap_err();
        let Some(Refused::Unknown { digest, last_four }) = find(&*error) else {
            panic!("{error}")
        };
        assert_eq!(*digest, KeyDigest::of(b"bad-key-9876"));
        assert_eq!(last_four.as_str(), "9876");
    }

    #[tokio::test]
    async fn a_gate_opens_routes() {
        let gate = |head: &Parts| match head.uri.path() {
            "/open" => Access::Open,
            "/optional" => Access::Optional,
            _ => Access::Required,
        };
        let service = AuthLayer::new(memory()).access(gate).layer(service_fn(who));
        let call = |path: &'static str, key: Option<&str>| {
            let mut request = key.map_or_else(|| Request::new(()), request);
            *request.uri_mut() = path.parse().unwrap();
            service.clone().oneshot(request)
        };
        assert_eq!(call("/open", Some("bad-key")).await.unwrap(), None);
        assert_eq!(call("/optional", None).await.unwrap(), None);
        assert_eq!(
            call("/optional", Some("good-key"))
                .await
                .unwrap()
                .as_deref(),
            Some(&7)
        );
        assert!(call("/optional", Some("bad-key")).await.is_err());
        assert!(call("/other", None).await.is_err());
    }

    #[tokio::test]
    async fn a_malformed_key_is_not_looked_up() {
        let slow = Slow::default();
        let layer = AuthLayer::new(slow.clone()).well_formed(|key| key.starts_with(b"sk-"));
        let error = layer
            .layer(service_fn(who))
            .oneshot(request("good-key"))
            .await
            .unwrap_err();
        assert!(matches!(find(&*error), Some(Refused::Malformed { .. })));
        assert_eq!(slow.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_store_that_fails_is_503() {
        let service = AuthLayer::new(Slow {
            down: true,
            ..Slow::default()
        });
        let error = service
            .layer(service_fn(who))
            .oneshot(request("good-key"))
            .await
            .unwrap_err();
        let refused = find::<Refused>(&*error).unwrap();
        assert_eq!(refused.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_are_remembered_for_a_moment() {
        struct Counting(Arc<AtomicUsize>);

        impl KeyStore for Counting {
            type Principal = u8;
            type Error = BoxError;
            type Future = Pin<Box<dyn Future<Output = Lookup<u8, BoxError>> + Send>>;

            fn find(&self, _: &KeyDigest) -> Soon<Lookup<u8, BoxError>, Self::Future> {
                let polled = Arc::clone(&self.0);
                Soon::Later(Box::pin(async move {
                    polled.fetch_add(1, Ordering::Relaxed);
                    Ok(None)
                }))
            }
        }

        let polled = Arc::new(AtomicUsize::new(0));
        let keys = Arc::new(Counting(Arc::clone(&polled)));
        let service = AuthLayer::new(keys).layer(service_fn(who));
        for _ in 0..10 {
            service
                .clone()
                .oneshot(request("bad-key"))
                .await
                .unwrap_err();
        }
        assert_eq!(polled.load(Ordering::Relaxed), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        service.oneshot(request("bad-key")).await.unwrap_err();
        assert_eq!(polled.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_slow_store_delays_and_the_ready_service_is_used() {
        struct Gated(std::sync::Mutex<Option<oneshot::Receiver<()>>>);

        impl KeyStore for Gated {
            type Principal = u8;
            type Error = BoxError;
            type Future = Pin<Box<dyn Future<Output = Lookup<u8, BoxError>> + Send>>;

            fn find(&self, _: &KeyDigest) -> Soon<Lookup<u8, BoxError>, Self::Future> {
                let gate = self.0.lock().unwrap().take().unwrap();
                Soon::Later(Box::pin(async move {
                    gate.await?;
                    Ok(Some(Arc::new(1)))
                }))
            }
        }

        let (open, gate) = oneshot::channel();
        let (inner, mut handle) = tower_test::mock::pair::<Request<()>, ()>();
        let keys = Arc::new(Gated(std::sync::Mutex::new(Some(gate))));
        let mut service = AuthLayer::new(keys).layer(inner);
        handle.allow(1);
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .unwrap();
        // The mock panics if a service is called that was not made ready.
        let mut call = task::spawn(service.call(request("a")));
        assert_pending!(call.poll());
        open.send(()).unwrap();
        assert_pending!(call.poll());
        let (request, respond) = handle.next_request().await.unwrap();
        assert_eq!(request.extensions().get::<Arc<u8>>().map(|p| **p), Some(1));
        respond.send_response(());
        assert!(assert_ready!(call.poll()).is_ok());
    }
}
