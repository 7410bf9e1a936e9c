//! Where a request enters: the accept loop, HTTP/1.1 and HTTP/2, TLS, and the drain at the end.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceBuilder};

use crate::call::Peer;

/// How long a client may take for the head of a request, and a connection may stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Header fields of one request.
const MAX_HEADERS: usize = 100;
/// Bytes of a request's head.
const MAX_HEAD_BYTES: u32 = 32 << 10;
/// Streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 256;
/// Streams that a client may reset before they were taken, against floods of resets.
const MAX_PENDING_RESETS: usize = 32;
/// How long to wait after the system refused a connection, for others to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` resolves, then lets the requests under way end.
///
/// `begin_drain` is called when `stop` has resolved. Connections that have not ended after `grace`
/// are cut; returns how many those were.
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S,
    stop: impl Future<Output = ()>,
    begin_drain: impl FnOnce(),
    grace: Duration,
) -> usize
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let graceful = Arc::new(GracefulShutdown::new());
    let builder = Arc::new(builder());
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection {
                    peer: Peer(peer.ip().to_canonical()),
                    tls: tls.clone(),
                    service: service.clone(),
                    builder: Arc::clone(&builder),
                    watcher: graceful.watcher(),
                };
                tokio::spawn(connection.run(stream));
            }
            Err(error) => {
                if !is_of_one_connection(&error) {
                    tracing::warn!(%error, "no connection can be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    begin_drain();
    let open = graceful.count();
    let Some(graceful) = Arc::into_inner(graceful) else {
        return open;
    };
    tokio::time::timeout(grace, graceful.shutdown())
        .await
        .map_or(open, |()| 0)
}

/// Listens on an address.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Faults of a connection that went away before it was taken, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

struct Connection<S> {
    peer: Peer,
    tls: Option<TlsAcceptor>,
    service: S,
    builder: Arc<auto::Builder<TokioExecutor>>,
    watcher: hyper_util::server::graceful::Watcher,
}

impl<S, B> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn run(mut self, stream: TcpStream) {
        // Events of a stream are small; Nagle would hold them back.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.take() else {
            return self.serve(stream).await;
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let (peer, service) = (self.peer, self.service);
        let service = ServiceBuilder::new()
            // Where the request comes from, for whoever asks.
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                request
            })
            .service(service);
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "a connection ended in an error");
        }
    }
}
