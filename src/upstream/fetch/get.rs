//! Gets what stands at one address, from nobody but the machine that was checked.

use std::borrow::Cow;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};
use url::{Host, Position, Url};

use super::address;
use crate::live::Fetching;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one thing may take in all, redirects among it; LiteLLM's, too.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Longest address.
const MAX_ADDRESS: usize = 8 << 10;
/// Header fields of one answer.
const MAX_HEADERS: usize = 100;
/// Things that are fetched at once.
const MAX_AT_ONCE: usize = 64;
/// MiB that are held at once, of all that is being fetched.
const ROOM: usize = 512;

/// Finds the addresses of a host.
pub(super) type Resolve = dyn Fn(String, u16) -> Resolving + Send + Sync;
/// The addresses, when they are found.
pub(super) type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Why something was not fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Whose it is, if the address names anybody.
    pub(super) host: Option<String>,
    /// As a sentence. Tells nothing of networks but the gateway's word on them.
    pub(super) why: Cow<'static, str>,
}

/// What stands at an address.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) bytes: Bytes,
    /// The room that it takes.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Gets things, so many at once and so much in all.
pub(super) struct Getter {
    resolve: Box<Resolve>,
    tls: OnceLock<Option<ClientConfig>>,
    at_once: Semaphore,
    room: Arc<Semaphore>,
}

impl Getter {
    /// Finds addresses by `resolve`.
    pub(super) fn new(resolve: Box<Resolve>) -> Self {
        Self {
            resolve,
            tls: OnceLock::new(),
            at_once: Semaphore::new(MAX_AT_ONCE),
            room: Arc::new(Semaphore::new(ROOM)),
        }
    }

    /// Gets what stands at an address. Dropping the future closes the connection.
    pub(super) async fn get(&self, address: &str, rules: &Fetching) -> Result<Got, Refused> {
        if rules.most == 0 {
            return Err(refused(None, "Fetching is switched off."));
        }
        let asked = checked(address)?;
        let host = asked.host_str().map(str::to_owned);
        let got = async {
            // The semaphore is never closed.
            let _turn = self.at_once.acquire().await.ok();
            self.follow(asked, rules).await
        };
        let got = tokio::time::timeout(TIMEOUT, got).await;
        got.unwrap_or_else(|_| Err(refused(host, "It took too long.")))
    }

    async fn follow(&self, mut url: Url, rules: &Fetching) -> Result<Got, Refused> {
        for _ in 0..=MAX_REDIRECTS {
            let host = url.host_str().map(str::to_owned);
            let no = |why: &'static str| refused(host.clone(), why);
            let (answer, _connection) = self.ask(&url, rules).await?;
            if let Some(to) = redirected(&answer) {
                let next = url
                    .join(to)
                    .map_err(|_| no("It redirects to no address."))?;
                url = checked(next.as_str())?;
                continue;
            }
            if answer.status() != StatusCode::OK {
                let why = format!("It answered with status {}.", answer.status().as_u16());
                return Err(refused(host, why));
            }
            return self.read(answer, rules.most).await.map_err(no);
        }
        let host = url.host_str().map(str::to_owned);
        Err(refused(host, "It redirects too often."))
    }

    /// Asks one machine. Its name is resolved once, every address that it has is checked, and the
    /// connection goes to one of those.
    async fn ask(
        &self,
        url: &Url,
        rules: &Fetching,
    ) -> Result<(Response<Incoming>, JoinSet<()>), Refused> {
        let no = |why: &'static str| refused(url.host_str().map(str::to_owned), why);
        let addresses = self.addresses(url, rules).await.map_err(no)?;
        let tls = self.tls.get_or_init(roots).clone();
        let tls = tls.ok_or_else(|| no("The gateway has no TLS for it."))?;
        let mut http = HttpConnector::new_with_resolver(Found(addresses));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let uri: Uri = url[..Position::AfterQuery]
            .parse()
            .map_err(|_| no("It is no address of the web."))?;
        let opened = async { connector.ready().await?.call(uri).await };
        let io = opened.await.map_err(|_| no("It cannot be reached."))?;
        let opened = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .handshake(io)
            .await;
        let (mut sender, driver) = opened.map_err(|_| no("It cannot be reached."))?;
        // Dropped with the answer, the connection ends.
        let mut connection = JoinSet::new();
        connection.spawn(async { drop(driver.await) });
        let request = request(url).ok_or_else(|| no("It is no address of the web."))?;
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|_| no("The connection broke before an answer."))?;
        Ok((answer, connection))
    }

    async fn addresses(
        &self,
        url: &Url,
        rules: &Fetching,
    ) -> Result<Vec<SocketAddr>, &'static str> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("It is no address of the web.");
        };
        let found = match host {
            Host::Ipv4(address) => vec![SocketAddr::new(IpAddr::V4(address), port)],
            Host::Ipv6(address) => vec![SocketAddr::new(IpAddr::V6(address), port)],
            Host::Domain(name) => (self.resolve)(name.to_owned(), port)
                .await
                .map_err(|_| "Its name is not known.")?,
        };
        if found.is_empty() {
            return Err("Its name is not known.");
        }
        if rules.allows(url.host_str().unwrap_or_default(), port) {
            return Ok(found);
        }
        let inside = |found: &SocketAddr| {
            let address = found.ip();
            address::is_of_the_link(address) || rules.checked && !address::is_public(address)
        };
        // One that is inside makes all of them suspect: whose name it is chose both.
        if found.iter().any(inside) {
            return Err("It is not in the public internet.");
        }
        Ok(found)
    }

    async fn read(&self, answer: Response<Incoming>, most: usize) -> Result<Got, &'static str> {
        const LONG: &str = "It is too large.";
        let (head, mut body) = answer.into_parts();
        if length(&head.headers).is_some_and(|length| length > most) {
            return Err(LONG);
        }
        let mut bytes = BytesMut::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| "It broke off.")?.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > most {
                return Err(LONG);
            }
            bytes.extend_from_slice(&data);
            let taken = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = bytes.len().div_ceil(1 << 20) - taken;
            let Some(more) = u32::try_from(wanted).ok().filter(|more| *more > 0) else {
                continue;
            };
            let more = Arc::clone(&self.room).try_acquire_many_owned(more);
            let more = more.map_err(|_| "Too much is being fetched at once: try again later.")?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        Ok(Got {
            bytes: bytes.freeze(),
            room,
        })
    }
}

fn refused(host: Option<String>, why: impl Into<Cow<'static, str>>) -> Refused {
    Refused {
        host,
        why: why.into(),
    }
}

/// An address of the web that names nobody's account.
fn checked(address: &str) -> Result<Url, Refused> {
    const STRANGE: &str = "It is no address of the web.";
    if address.len() > MAX_ADDRESS {
        return Err(refused(None, "The address is too long."));
    }
    let url = Url::parse(address).map_err(|_| refused(None, STRANGE))?;
    let host = url.host_str().map(str::to_owned);
    if !matches!(url.scheme(), "http" | "https") || host.is_none() {
        return Err(refused(host, STRANGE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(host, "The address holds a user or a password."));
    }
    Ok(url)
}

fn redirected(answer: &Response<Incoming>) -> Option<&str> {
    let redirects = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let to = redirects.then(|| answer.headers().get(header::LOCATION))??;
    to.to_str().ok()
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Nothing goes along that tells who asks: no key, no cookie, no referrer.
fn request(url: &Url) -> Option<Request<Empty<Bytes>>> {
    let host = match url.port() {
        Some(port) => HeaderValue::from_str(&format!("{}:{port}", url.host_str()?)),
        None => HeaderValue::from_str(url.host_str()?),
    };
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery]
        .parse()
        .ok()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, host.ok()?);
    headers.insert(header::USER_AGENT, crate::upstream::AGENT);
    let kinds = HeaderValue::from_static("image/*, application/pdf");
    headers.insert(header::ACCEPT, kinds);
    Some(request)
}

/// TLS with the web's root certificates.
fn roots() -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Some(versions.ok()?.with_webpki_roots().with_no_client_auth())
}

/// Addresses that were found and checked already, for a connector that would look for them again.
#[derive(Clone, Debug)]
struct Found(Vec<SocketAddr>);

impl Service<Name> for Found {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}

#[cfg(test)]
mod tests;
