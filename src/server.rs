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
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
/// How long to wait for more of a connection's first three bytes.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
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
    let builders = Arc::new(Builders::new());
    // Its end tells connections on which nothing was asked yet.
    let (open_for_new, stopping) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let tls = tls.clone();
                let connection = Connection {
                    peer: Peer(peer.ip().to_canonical()),
                    service: service.clone(),
                    builders: Arc::clone(&builders),
                    watcher: graceful.watcher(),
                };
                // Events of a stream are small; Nagle would hold them back.
                let _ = stream.set_nodelay(true);
                // Apart, because a connection without TLS needs no room for it.
                match tls {
                    None => drop(tokio::spawn(connection.plain(stream, stopping.clone()))),
                    Some(tls) => drop(tokio::spawn(connection.secured(stream, tls))),
                }
            }
            Err(error) => {
                if !is_of_one_connection(&error) {
                    tracing::warn!(%error, "no connection can be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop((listener, open_for_new));
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

/// How connections are served. Which protocol a connection speaks is found out before: hyper's
/// builder that does so itself has each buffer twice as large for it.
struct Builders {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Builders {
    fn new() -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .half_close(false);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_header_list_size(MAX_HEAD_BYTES)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        Self { http1, http2 }
    }
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
    service: S,
    builders: Arc<Builders>,
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
    async fn plain(self, stream: TcpStream, mut stopping: watch::Receiver<()>) {
        let begun = tokio::select! {
            begun = tokio::time::timeout(HEAD_TIMEOUT, begins_http2(&stream)) => begun,
            // It comes when there is nothing more to come.
            _ = stopping.changed() => return,
        };
        match begun {
            Ok(Ok(Some(http2))) => self.serve(stream, http2).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended in an error"),
            Err(_) => tracing::debug!("nothing was asked on a connection"),
        }
    }

    async fn secured(self, stream: TcpStream, tls: TlsAcceptor) {
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve(stream, http2).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        is_http2: bool,
    ) {
        let (peer, service) = (self.peer, self.service);
        let service = ServiceBuilder::new()
            // Where the request comes from, for whoever asks.
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                request
            })
            .service(service);
        let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(service));
        let ended = if is_http2 {
            let connection = self.builders.http2.serve_connection(stream, service);
            // Large, and of many requests.
            Box::pin(self.watcher.watch(connection)).await
        } else {
            let connection = self.builders.http1.serve_connection(stream, service);
            self.watcher.watch(connection).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended in an error");
        }
    }
}

/// Whether a connection begins as HTTP/2 does where both sides know of it beforehand (RFC 9113,
/// section 3.4): no method of HTTP/1 is `PRI`. Takes nothing of what has come. `None` if the client
/// has closed it.
async fn begins_http2(stream: &TcpStream) -> io::Result<Option<bool>> {
    const PREFACE: &[u8; 3] = b"PRI";
    let mut begin = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut begin).await?;
        let seen = &begin[..length];
        if seen.is_empty() {
            return Ok(None);
        }
        if seen.len() == PREFACE.len() || !PREFACE.starts_with(seen) {
            return Ok(Some(seen == PREFACE));
        }
        // One or two bytes that may be the begin of either; nobody sends them so.
        tokio::time::sleep(PEEK_PAUSE).await;
    }
}
