//! The client that sends: kept-alive HTTP/1.1 connections, with rustls.
//!
//! A connection is driven by the task that uses it and not by one of its own: a request costs no
//! hand-over between tasks, and dropping an exchange closes its connection, which is how a provider
//! learns that its caller went away. An idle connection is looked at when it is taken out again.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use pointsman_layers::BoxError;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept. Below the 60 s after which common servers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Idle connections that are kept for one origin.
const MAX_IDLE: usize = 1024;
/// Header fields of one answer.
const MAX_HEADERS: usize = 200;

/// A request body: in one or several pieces, none of them copied, or as it comes.
pub struct Pieces(Kind);

enum Kind {
    /// Out of line: hyper keeps room for 32 requests with each connection.
    Held(Box<Held>),
    Flowing(UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>),
}

struct Held {
    pieces: SmallVec<[Bytes; 4]>,
    next: usize,
}

impl Held {
    fn left(&self) -> &[Bytes] {
        &self.pieces[self.next..]
    }
}

impl Pieces {
    /// These pieces, one after the other.
    pub fn new(pieces: SmallVec<[Bytes; 4]>) -> Self {
        Self(Kind::Held(Box::new(Held { pieces, next: 0 })))
    }

    /// A body that comes from elsewhere. The exchange breaks off if it does.
    pub fn flowing(body: UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>) -> Self {
        Self(Kind::Flowing(body))
    }

    /// What is left of them in one; `None` if the body comes from elsewhere. Copies only if there
    /// are several.
    pub(super) fn joined(&self) -> Option<Bytes> {
        let Kind::Held(held) = &self.0 else {
            return None;
        };
        Some(match held.left() {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        })
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Kind::Held(held) => {
                let Held { pieces, next } = &mut **held;
                let Some(piece) = pieces.get_mut(*next).map(std::mem::take) else {
                    return Poll::Ready(None);
                };
                *next += 1;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Kind::Flowing(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Held(held) => held.left().is_empty(),
            Kind::Flowing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Held(held) => {
                let left: usize = held.left().iter().map(Bytes::len).sum();
                SizeHint::with_exact(left as u64)
            }
            Kind::Flowing(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("left", &self.size_hint())
            .finish()
    }
}

/// Why no head of an answer came.
#[derive(Debug)]
pub enum SendError {
    /// The address has no host.
    Address,
    /// No connection could be made.
    Connect(Box<dyn Error + Send + Sync>),
    /// No connection could be made in time.
    ConnectTimeout,
    /// The connection broke.
    Broken(hyper::Error),
}

impl SendError {
    /// What the system says of it, without addresses.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Address => "It has no address.",
            Self::ConnectTimeout => "Connecting timed out.",
            Self::Broken(_) => "The connection broke before an answer.",
            Self::Connect(error) => {
                let mut source: Option<&(dyn Error + 'static)> = Some(&**error);
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
                "The connection failed."
            }
        }
    }
}

/// A client that all deployments share. Follows no redirect. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    way: Way,
}

/// Where requests go.
#[derive(Clone)]
enum Way {
    Out(Arc<Shared>),
    Within(Arc<Within>),
}

/// What answers within the process.
type Within = dyn Fn(Request<Pieces>) -> Answering + Send + Sync;
type Answering = Pin<Box<dyn Future<Output = Result<Response<Given>, SendError>> + Send>>;
type Given = UnsyncBoxBody<Bytes, BoxError>;

struct Shared {
    connector: HttpsConnector<HttpConnector>,
    /// Where the idle connections of each origin are.
    origins: Mutex<FxHashMap<Origin, Arc<Slot>>>,
    sweeper: OnceLock<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    tls: bool,
    authority: Authority,
}

/// The idle connections of one origin.
#[derive(Default)]
struct Slot {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    line: Box<Line>,
    since: Instant,
}

type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// An open connection.
struct Line {
    sender: http1::SendRequest<Pieces>,
    /// Gone when the connection has ended; a request that waits in it comes back then.
    driver: Option<http1::Connection<Io, Pieces>>,
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
        http.set_keepalive(Some(Duration::from_mins(1)));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let shared = Shared {
            connector,
            origins: Mutex::default(),
            sweeper: OnceLock::new(),
        };
        Self {
            way: Way::Out(Arc::new(shared)),
        }
    }

    /// A client whose requests stay within the process: `serve` answers each, and an error of its
    /// body is a connection that breaks. For providers that are a part of the program, and for tests
    /// without sockets.
    pub fn within<F, B>(serve: impl Fn(Request<Pieces>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response<B>, SendError>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let serve = move |request| -> Answering {
            let answer = serve(request);
            Box::pin(async move {
                let response = answer.await?;
                Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
            })
        };
        Self {
            way: Way::Within(Arc::new(serve)),
        }
    }

    /// Sends a request; resolves when the answer's head is there. Dropping the future or the
    /// answer's body ends the exchange.
    ///
    /// A request that met a connection which had just been closed, and of which nothing was sent,
    /// is sent on another one.
    pub async fn send(&self, mut request: Request<Pieces>) -> Result<Response<Reply>, SendError> {
        let shared = match &self.way {
            Way::Out(shared) => shared,
            Way::Within(serve) => return Ok(serve(request).await?.map(Reply::given)),
        };
        let origin = prepare(&mut request)?;
        let slot = shared.slot(&origin);
        loop {
            let idle = slot.take().await;
            let reused = idle.is_some();
            let mut line = match idle {
                Some(line) => line,
                None => shared.connect(&origin).await?,
            };
            match line.exchange(request).await {
                Ok(response) => return Ok(response.map(|body| Reply::new(body, line, slot))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(SendError::Broken(error.into_error())),
                },
            }
        }
    }
}

impl Shared {
    async fn connect(self: &Arc<Self>, origin: &Origin) -> Result<Box<Line>, SendError> {
        self.sweeper.get_or_init(|| {
            tokio::spawn(sweep(Arc::downgrade(self)));
        });
        let scheme = if origin.tls { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(origin.authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|_| SendError::Address)?;
        let mut connector = self.connector.clone();
        let opening = async {
            let io = connector.ready().await?.call(uri).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(io)
        };
        // Covers name resolution and the TLS handshake, which the connector's own limit does not.
        let io = tokio::time::timeout(2 * CONNECT_TIMEOUT, opening)
            .await
            .map_err(|_| SendError::ConnectTimeout)?
            .map_err(SendError::Connect)?;
        let opened = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .handshake(io)
            .await;
        let (sender, driver) = opened.map_err(SendError::Broken)?;
        Ok(Box::new(Line {
            sender,
            driver: Some(driver),
        }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Shared {
    fn origins(&self) -> MutexGuard<'_, FxHashMap<Origin, Arc<Slot>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, origin: &Origin) -> Arc<Slot> {
        let mut origins = self.origins();
        match origins.get(origin) {
            Some(slot) => Arc::clone(slot),
            None => Arc::clone(origins.entry(origin.clone()).or_default()),
        }
    }
}

impl Slot {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last, if it is still open.
    async fn take(&self) -> Option<Box<Line>> {
        loop {
            let Idle { mut line, since } = self.idle().pop()?;
            if since.elapsed() < IDLE_TIMEOUT && poll_fn(|cx| Poll::Ready(line.is_open(cx))).await {
                return Some(line);
            }
        }
    }

    fn put(&self, line: Box<Line>) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                line,
                since: Instant::now(),
            });
        }
    }
}

/// Closes connections that were idle for too long, as long as the client is there.
async fn sweep(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.origins().retain(|_, slot| {
            slot.idle()
                .retain(|idle| idle.since.elapsed() < IDLE_TIMEOUT);
            // One that a request holds will get a connection back.
            !slot.idle().is_empty() || Arc::strong_count(slot) > 1
        });
    }
}

/// Puts the request into the form that goes to a server: the path alone, and the host in a header.
fn prepare(request: &mut Request<Pieces>) -> Result<Origin, SendError> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let authority = parts.authority.take().ok_or(SendError::Address)?;
    let tls = parts.scheme.take() == Some(http::uri::Scheme::HTTPS);
    let default_port = if tls { 443 } else { 80 };
    let host = match authority.port_u16() {
        Some(port) if port == default_port => HeaderValue::from_str(authority.host()),
        _ => HeaderValue::from_str(authority.as_str()),
    };
    let path = parts.path_and_query.ok_or(SendError::Address)?;
    *request.uri_mut() = path.into();
    request
        .headers_mut()
        .insert(header::HOST, host.map_err(|_| SendError::Address)?);
    Ok(Origin { tls, authority })
}

impl Line {
    /// Reads and writes what can be read and written now.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self
            .driver
            .as_mut()
            .is_some_and(|driver| Pin::new(driver).poll(cx).is_ready())
        {
            self.driver = None;
        }
    }

    /// Whether another request may be sent. A server that has closed its side is found out here.
    fn is_open(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.driver.is_some() && self.sender.is_ready()
    }

    async fn exchange(
        &mut self,
        request: Request<Pieces>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Pieces>>> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
                return Poll::Ready(answered);
            }
            self.drive(cx);
            // What has just been read is here already.
            answer.as_mut().poll(cx)
        })
        .await
    }
}

/// The body of an answer, which drives its connection and gives it back at its end.
pub struct Reply {
    body: Source,
    /// The connection, and where it goes then.
    line: Option<(Box<Line>, Arc<Slot>)>,
}

enum Source {
    Connection(Incoming),
    Within(Given),
}

impl Reply {
    fn new(body: Incoming, line: Box<Line>, slot: Arc<Slot>) -> Self {
        Self {
            body: Source::Connection(body),
            line: Some((line, slot)),
        }
    }

    fn given(body: Given) -> Self {
        Self {
            body: Source::Within(body),
            line: None,
        }
    }

    /// Keeps the connection for the next request, if it can take one.
    fn release(&mut self, cx: &mut Context<'_>) {
        if let Some((mut line, slot)) = self.line.take()
            && line.is_open(cx)
        {
            slot.put(line);
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let body = match &mut this.body {
            Source::Connection(body) => body,
            Source::Within(body) => return Pin::new(body).poll_frame(cx),
        };
        let mut polled = Pin::new(&mut *body).poll_frame(cx);
        if polled.is_pending() {
            if let Some((line, _)) = &mut this.line {
                line.drive(cx);
            }
            polled = Pin::new(&mut *body).poll_frame(cx);
        }
        let frame = ready!(polled);
        if frame.is_none() || body.is_end_stream() {
            this.release(cx);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Connection(body) => body.is_end_stream(),
            Source::Within(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Connection(body) => body.size_hint(),
            Source::Within(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
