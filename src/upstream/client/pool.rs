//! Connections that are open and idle.

use std::error::Error;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::SendError;
use super::line::Line;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept. Below the 60 s after which common servers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Idle connections that are kept for one origin.
const MAX_IDLE: usize = 1024;

pub(super) struct Pool {
    connector: HttpsConnector<HttpConnector>,
    /// Where the idle connections of each origin are.
    origins: Mutex<FxHashMap<Origin, Arc<Slot>>>,
    sweeper: OnceLock<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) tls: bool,
    pub(super) authority: Authority,
}

/// The idle connections of one origin.
#[derive(Default)]
pub(super) struct Slot {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    line: Box<Line>,
    since: Instant,
}

impl Pool {
    pub(super) fn new() -> Self {
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
        Self {
            connector,
            origins: Mutex::default(),
            sweeper: OnceLock::new(),
        }
    }

    pub(super) async fn connect(self: &Arc<Self>, origin: &Origin) -> Result<Box<Line>, SendError> {
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
        Ok(Box::new(Line::new(io)))
    }

    fn origins(&self) -> MutexGuard<'_, FxHashMap<Origin, Arc<Slot>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slot(&self, origin: &Origin) -> Arc<Slot> {
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
    pub(super) async fn take(&self) -> Option<Box<Line>> {
        loop {
            let Idle { mut line, since } = self.idle().pop()?;
            if since.elapsed() < IDLE_TIMEOUT && poll_fn(|cx| Poll::Ready(line.is_open(cx))).await {
                return Some(line);
            }
        }
    }

    pub(super) fn put(&self, line: Box<Line>) {
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
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        pool.origins().retain(|_, slot| {
            slot.idle()
                .retain(|idle| idle.since.elapsed() < IDLE_TIMEOUT);
            // One that a request holds will get a connection back.
            !slot.idle().is_empty() || Arc::strong_count(slot) > 1
        });
    }
}
