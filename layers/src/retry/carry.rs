//! What of a request's extensions goes along to every attempt.

use std::marker::PhantomData;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, Request};

use super::{Attempt, Journey, Policy, Seen, Timing, Verdict};

/// Does what another policy does, and copies one extension only.
///
/// To clone a request's extensions takes three allocations or more, for each request and mostly for
/// nothing: few are tried twice. With this policy the first attempt has them all, as they are, and
/// further ones have that of type `T` (`Arc<User>`), if there is one.
///
/// ```
/// use std::sync::Arc;
/// use pointsman_layers::retry::{Carry, RetryLayer, Standard};
///
/// struct User;
/// let layer = RetryLayer::new(Carry::<Arc<User>, _>::new(Standard::new(2)));
/// # let _ = layer;
/// ```
#[derive(Debug)]
pub struct Carry<T, P> {
    policy: P,
    extension: PhantomData<fn() -> T>,
}

impl<T, P> Carry<T, P> {
    /// Does what `policy` does.
    pub const fn new(policy: P) -> Self {
        Self {
            policy,
            extension: PhantomData,
        }
    }
}

impl<T, P: Clone> Clone for Carry<T, P> {
    fn clone(&self) -> Self {
        Self::new(self.policy.clone())
    }
}

impl<T, P, B> Policy<Request<B>> for Carry<T, P>
where
    T: Clone + Send + Sync + 'static,
    P: Policy<Request<B>>,
{
    type Journey = Carrying<T, P::Journey>;

    fn begin(&self, request: &Request<B>) -> Option<Self::Journey> {
        Some(Carrying {
            journey: self.policy.begin(request)?,
            kept: request.extensions().get().cloned(),
        })
    }
}

/// The journey of [`Carry`].
#[derive(Debug)]
pub struct Carrying<T, J> {
    journey: J,
    kept: Option<T>,
}

impl<T, J, B> Journey<Request<B>> for Carrying<T, J>
where
    T: Clone + Send + Sync + 'static,
    J: Journey<Request<B>>,
{
    fn request(&mut self, original: &Request<B>, attempt: Attempt) -> Request<B> {
        let mut request = self.journey.request(original, attempt);
        if let Some(kept) = &self.kept {
            request.extensions_mut().insert(kept.clone());
        }
        request
    }

    fn first(&mut self, original: &mut Request<B>, attempt: Attempt) -> Request<B> {
        let extensions = std::mem::take(original.extensions_mut());
        if original.headers().is_empty() {
            // A map that was emptied keeps its index, and a clone would copy that.
            *original.headers_mut() = HeaderMap::new();
        }
        let mut request = self.journey.first(original, attempt);
        *request.extensions_mut() = extensions;
        request
    }

    fn timing(&mut self, attempt: Attempt) -> Timing {
        self.journey.timing(attempt)
    }

    fn total(&self) -> Option<Duration> {
        self.journey.total()
    }

    fn judge(&mut self, attempt: Attempt, seen: Seen<'_>) -> Verdict {
        self.journey.judge(attempt, seen)
    }

    fn unpaid(&mut self, attempt: Attempt) -> Verdict {
        self.journey.unpaid(attempt)
    }

    fn waits_for_first_frame(&self, head: &Parts) -> bool {
        self.journey.waits_for_first_frame(head)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http::{Response, StatusCode};
    use http_body_util::Full;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::BoxError;
    use crate::retry::{RetryLayer, Standard};

    #[derive(Debug, Clone, PartialEq)]
    struct User(&'static str);

    #[derive(Debug, Clone, PartialEq)]
    struct Connection(u32);

    #[tokio::test(start_paused = true)]
    async fn every_attempt_has_the_carried_extension_and_the_first_has_all() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let service = service_fn(move |request: Request<Full<Bytes>>| {
            let extensions = request.extensions();
            let (user, connection) = (extensions.get::<User>(), extensions.get::<Connection>());
            log.lock()
                .unwrap()
                .push((user.cloned(), connection.cloned(), request.headers().len()));
            async {
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                Ok::<_, BoxError>(response)
            }
        });
        let policy = Carry::<User, _>::new(Standard::new(2));
        let request = Request::builder()
            .header("accept", "*/*")
            .extension(User("ada"))
            .extension(Connection(7))
            .body(Full::default())
            .unwrap();
        let service = RetryLayer::new(policy).layer(service);
        service.oneshot(request).await.unwrap();
        let ada = || Some(User("ada"));
        let expected = [
            (ada(), Some(Connection(7)), 1),
            (ada(), None, 1),
            (ada(), None, 1),
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
