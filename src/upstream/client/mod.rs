//! The client that sends: kept-alive HTTP/1.1 connections, with rustls.
//!
//! A connection is driven by the task that uses it and not by one of its own: a request costs no
//! hand-over between tasks, and dropping an exchange closes its connection, which is how a provider
//! learns that its caller went away. An idle connection is looked at when it is taken out again.

mod broken;
mod framing;
mod head;
mod line;
mod pieces;
mod pool;
mod reply;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::BodyExt;
use pointsman_layers::BoxError;

use self::pool::{Origin, Pool};
use self::reply::Given;

pub use self::broken::Broken;
pub use self::pieces::Pieces;
pub use self::reply::Reply;

#[cfg(test)]
mod tests;

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
    Broken(Broken),
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
    Out(Arc<Pool>),
    Within(Arc<Within>),
}

/// What answers within the process.
type Within = dyn Fn(Request<Pieces>) -> Answering + Send + Sync;
type Answering = Pin<Box<dyn Future<Output = Result<Response<Given>, SendError>> + Send>>;

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with rustls and the web's root certificates.
    pub fn new() -> Self {
        Self {
            way: Way::Out(Arc::new(Pool::new())),
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
    pub async fn send(&self, mut request: Request<Pieces>) -> Result<Response<Reply>, SendError> {
        let pool = match &self.way {
            Way::Out(pool) => pool,
            Way::Within(serve) => return Ok(serve(request).await?.map(Reply::given)),
        };
        let origin = prepare(&mut request)?;
        let slot = pool.slot(&origin);
        let mut line = match slot.take().await {
            Some(line) => line,
            None => pool.connect(&origin).await?,
        };
        let head = line.exchange(request).await.map_err(SendError::Broken)?;
        let reply = Reply::new(head.framing, line, head.keeps.then_some(slot));
        Ok(head.response.map(|()| reply))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
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
