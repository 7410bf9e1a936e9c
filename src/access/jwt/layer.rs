//! A layer before the keys' own: who brings a token of the identity provider is let through with the
//! principal that it stands for.
//!
//! On the way in it takes a credential that has the form of a JWT out of the headers, verifies it, and
//! puts an `Arc<Principal>` into the request's extensions; everything else goes on untouched. It
//! refuses with [`Refused`]. On the way out it does nothing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, Request};
use pin_project_lite::pin_project;
use pointsman_layers::BoxError;
use pointsman_layers::auth::{HeaderShapes, KeyDigest};
use tower::{Layer, Service};

use super::Verified;
use crate::access::Access;
use crate::call::name_end_user;
use crate::error::Denial;
use crate::live::Live;

/// Longest token that is looked at.
const LONGEST: usize = 16 * 1024;

/// Wraps services in [`Tokens`].
#[derive(Clone, Debug)]
pub struct TokenLayer {
    access: Access,
    shapes: HeaderShapes,
}

impl TokenLayer {
    /// Looks for tokens where keys may stand.
    pub const fn new(access: Access, shapes: HeaderShapes) -> Self {
        Self { access, shapes }
    }
}

impl<S> Layer<S> for TokenLayer {
    type Service = Tokens<S>;

    fn layer(&self, inner: S) -> Tokens<S> {
        Tokens {
            inner,
            access: self.access.clone(),
            shapes: self.shapes.clone(),
        }
    }
}

/// Verifies tokens before a service.
#[derive(Clone, Debug)]
pub struct Tokens<S> {
    inner: S,
    access: Access,
    shapes: HeaderShapes,
}

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused(pub Denial);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl<S, B> Service<Request<B>> for Tokens<S>
where
    S: Service<Request<B>, Error = BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let inner = &self.access.0;
        let live = inner.live.peek();
        let token = live
            .jwt()
            .and_then(|_| token(request.headers(), self.shapes.names()));
        let Some((name, token)) = token else {
            return ResponseFuture::calling(self.inner.call(request));
        };
        request.headers_mut().remove(name);
        let digest = KeyDigest::of(token.as_bytes());
        if let Some(verified) = inner.known_token(&digest, &live) {
            admit(&mut request, &verified, &live);
            return ResponseFuture::calling(self.inner.call(request));
        }
        // The service that was made ready goes with the request; a clone stays here.
        let fresh = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, fresh);
        let (inner, live) = (Arc::clone(inner), Arc::clone(&live));
        ResponseFuture {
            state: State::Verifying {
                verified: Box::pin(async move { inner.verify(&token, digest).await }),
                waiting: Some((request, service, live)),
            },
        }
    }
}

fn admit<B>(request: &mut Request<B>, verified: &Verified, live: &Live) {
    if let Some(id) = &verified.end_user {
        name_end_user(request.headers_mut(), live.end_user_header(), id);
    }
    request
        .extensions_mut()
        .insert(Arc::clone(&verified.principal));
}

/// The one credential, if it is a token: three parts with dots between, of which the first begins like
/// a JSON object in base64. Several credentials are for the keys' layer to refuse.
fn token<'a>(headers: &HeaderMap, names: &'a [HeaderName]) -> Option<(&'a HeaderName, String)> {
    let mut given = names
        .iter()
        .flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    let (name, value) = given.next()?;
    if given.next().is_some() {
        return None;
    }
    let value = value.to_str().ok()?.trim();
    let token = match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => value,
    };
    let formed = token.starts_with("eyJ") && token.split('.').count() == 3;
    (formed && token.len() <= LONGEST).then(|| (name, token.to_owned()))
}

type Verifying = Pin<Box<dyn Future<Output = Result<Arc<Verified>, Denial>> + Send>>;

pin_project! {
    /// The future of [`Tokens`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, (Request<B>, S, Arc<Live>)>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, W> {
        Calling { #[pin] inner: F },
        Verifying { verified: Verifying, waiting: Option<W> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    const fn calling(inner: S::Future) -> Self {
        Self {
            state: State::Calling { inner },
        }
    }
}

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Error = BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let inner = match this.state.as_mut().project() {
                StateProj::Calling { inner } => return inner.poll(cx),
                StateProj::Verifying { verified, waiting } => {
                    let verified = match ready!(verified.as_mut().poll(cx)) {
                        Ok(verified) => verified,
                        Err(denial) => return Poll::Ready(Err(Refused(denial).into())),
                    };
                    let (mut request, mut service, live) = waiting
                        .take()
                        .expect("a request waits until it is verified");
                    admit(&mut request, &verified, &live);
                    service.call(request)
                }
            };
            this.state.set(State::Calling { inner });
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn only_a_sole_credential_of_a_tokens_form_is_taken() {
        let names = HeaderShapes::common();
        let found = |pairs: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, HeaderValue::from_static(value));
            }
            token(&headers, names.names()).map(|(_, token)| token)
        };
        let key = HeaderName::from_static("x-api-key");
        let some = Some("eyJh.eyJz.c2ln".to_owned());
        assert_eq!(found(&[(AUTHORIZATION, "Bearer eyJh.eyJz.c2ln")]), some);
        assert_eq!(found(&[(key.clone(), "eyJh.eyJz.c2ln")]), some);
        for other in [
            &[(AUTHORIZATION, "Bearer sk-1234")][..],
            &[(AUTHORIZATION, "Bearer eyJh.eyJz")],
            &[
                (AUTHORIZATION, "Bearer eyJh.eyJz.c2ln"),
                (key.clone(), "sk-1234"),
            ],
            &[
                (AUTHORIZATION, "Bearer eyJh.eyJz.c2ln"),
                (AUTHORIZATION, "Bearer a"),
            ],
        ] {
            assert_eq!(found(other), None, "{other:?}");
        }
    }
}
