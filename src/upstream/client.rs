//! The client that sends: pooled, kept-alive connections with rustls.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use smallvec::SmallVec;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept. Below the 60 s after which common servers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// A request body in one or several pieces, none of them copied.
#[derive(Clone, Debug)]
pub struct Pieces {
    pieces: SmallVec<[Bytes; 4]>,
    next: usize,
}

impl Pieces {
    /// These pieces, one after the other.
    pub fn new(pieces: SmallVec<[Bytes; 4]>) -> Self {
        Self { pieces, next: 0 }
    }

    /// How long they are together.
    pub fn len(&self) -> usize {
        self.pieces[self.next..].iter().map(Bytes::len).sum()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let at = self.next;
        let Some(piece) = self.pieces.get_mut(at).map(std::mem::take) else {
            return Poll::Ready(None);
        };
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.pieces.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

/// A client that all deployments share. Follows no redirect.
#[derive(Clone, Debug)]
pub struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Pieces>,
}

/// Why no head of an answer came.
#[derive(Debug)]
pub struct SendError(legacy::Error);

impl SendError {
    /// What the system says of it, without addresses.
    pub fn cause(&self) -> &'static str {
        let mut source = self.0.source();
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                return match io.kind() {
                    std::io::ErrorKind::ConnectionRefused => "Connection refused.",
                    std::io::ErrorKind::ConnectionReset => "Connection reset.",
                    std::io::ErrorKind::TimedOut => "Connecting timed out.",
                    std::io::ErrorKind::InvalidData => "TLS failed.",
                    _ => "The connection failed.",
                };
            }
            source = error.source();
        }
        "The connection broke before an answer."
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with rustls and the web's root certificates.
    pub fn new() -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_keepalive(Some(Duration::from_secs(60)));
        let https = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(http);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(1024)
            .http1_max_headers(200)
            .build(https);
        Self { inner }
    }

    /// Sends a request; resolves when the answer's head is there. Dropping the future or the
    /// answer's body ends the exchange.
    pub async fn send(&self, request: Request<Pieces>) -> Result<Response<Incoming>, SendError> {
        self.inner.request(request).await.map_err(SendError)
    }
}
