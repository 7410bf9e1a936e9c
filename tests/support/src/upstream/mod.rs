//! A provider on a real socket: strict about what it receives, and as bad as the script wants in
//! what it answers.

mod answer;
mod anthropic;
mod anything;
mod api;
mod bedrock;
mod body;
mod check;
mod cohere;
mod control;
mod gemini;
mod media;
mod ollama;
pub mod record;
pub mod reply;
mod responses;
mod serve;
mod shape;
mod types;
mod vectors;
mod vendors;
mod vertex;

pub use answer::DATED;

use crate::soon;
use record::{Outcome, Record, Seen};
use reply::Reply;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a fake speaks that speaks one API only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Any: it takes every request whose key is a bearer token.
    Bearer,
    /// Any: it takes every request whose key is in `x-api-key`.
    ApiKey,
    /// Any: it takes every request whose key is in `x-goog-api-key`.
    GoogleKey,
    /// Voyage's.
    Voyage,
    /// Jina's.
    Jina,
    /// Mistral's, with answers of the shape that only Mistral's have.
    OwnMistral,
    /// Groq's, likewise.
    OwnGroq,
    /// xAI's.
    Xai,
    /// OpenRouter's.
    OpenRouter,
    /// Perplexity's.
    Perplexity,
    /// `DeepSeek`'s.
    DeepSeek,
}

impl Speaks {
    fn api(self) -> &'static dyn api::Api {
        match self {
            Self::Bearer => &anything::Anything(&["authorization"]),
            Self::ApiKey => &anything::Anything(&["x-api-key"]),
            Self::GoogleKey => &anything::Anything(&["x-goog-api-key"]),
            Self::Voyage => &vectors::Vectors::Voyage,
            Self::Jina => &vectors::Vectors::Jina,
            Self::OwnMistral => &vendors::Vendor::Mistral,
            Self::OwnGroq => &vendors::Vendor::Groq,
            Self::Xai => &vendors::Vendor::Xai,
            Self::OpenRouter => &vendors::Vendor::OpenRouter,
            Self::Perplexity => &vendors::Vendor::Perplexity,
            Self::DeepSeek => &vendors::Vendor::DeepSeek,
        }
    }
}

/// A running fake upstream. Dropped, it stops, and fails the test if a request had a fault that
/// nobody took with [`take_violations`](Self::take_violations).
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    /// The one API that it speaks, if it is not to be known by its paths.
    api: Option<&'static dyn api::Api>,
    record: Record,
    replies: Mutex<Replies>,
    released: watch::Sender<bool>,
    connections: AtomicU64,
}

#[derive(Debug, Default)]
struct Replies {
    next: VecDeque<Reply>,
    by_model: HashMap<String, Reply>,
    keys: Vec<String>,
    also: Vec<String>,
}

impl State {
    fn replies(&self) -> MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes, beyond what its types know, what a fault is about.
    fn also_takes(&self, fault: &str) -> bool {
        let place = fault.split_once(": no such member").map(|(at, _)| at);
        let indices = |part: &str| part.split('[').next().unwrap_or_default().to_owned();
        let place = place.map(|at| at.split('.').map(indices).collect::<Vec<_>>().join("."));
        place.is_some_and(|place| self.replies().also.contains(&place))
    }

    fn reply(&self, model: &str) -> Reply {
        let mut replies = self.replies();
        let next = replies.next.pop_front();
        next.or_else(|| replies.by_model.get(model).cloned())
            .unwrap_or_default()
    }
}

impl Upstream {
    /// Starts one on a free port of the loopback.
    pub async fn start() -> Self {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port")
    }

    /// Starts one that speaks one API only, whose paths others have, too.
    pub async fn speaking(api: Speaks) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(address).await.expect("a free port");
        Self::on(listener, Some(api.api())).expect("a bound socket")
    }

    /// Starts one on this address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::on(TcpListener::bind(address).await?, None)
    }

    fn on(listener: TcpListener, api: Option<&'static dyn api::Api>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            api,
            record: Record::new(),
            replies: Mutex::default(),
            released: watch::Sender::new(false),
            connections: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(serve::accept(listener, state.clone()));
        Ok(Self {
            address,
            state,
            accepting,
        })
    }

    /// `http://127.0.0.1:PORT`, with the path after it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next request that no earlier call of this has claimed.
    pub fn next(&self, reply: Reply) {
        self.state.replies().next.push_back(reply);
    }

    /// Answers every request for this model, as the upstream knows it.
    pub fn on_model(&self, model: &str, reply: Reply) {
        self.state.replies().by_model.insert(model.into(), reply);
    }

    /// From now on refuses every other key, as OpenAI does.
    pub fn expect_key(&self, key: &str) {
        self.state.replies().keys = vec![key.into()];
    }

    /// Takes this key beside those that it expects already.
    pub fn also_expect_key(&self, key: &str) {
        self.state.replies().keys.push(key.into());
    }

    /// From now on takes a member that the provider's SDK does not know, as a test wants that sends one
    /// past the SDK: by its place, such as `messages.content.extra`.
    pub fn also_takes(&self, places: &[&str]) {
        let places = places.iter().map(|place| (*place).to_owned());
        self.state.replies().also.extend(places);
    }

    /// Lets every response go on that a reply holds, now and later.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.record.all()
    }

    /// The one request so far.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "requests: {seen:#?}");
        seen.remove(0)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// What it objected to since the last call.
    pub fn take_violations(&self) -> Vec<String> {
        self.state.record.take_violations()
    }

    /// Waits until the requests are as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&[Seen]) -> bool) {
        let mut changes = self.state.record.changes();
        let all = async { while !wanted(&self.seen()) && changes.changed().await.is_ok() {} };
        soon(what, all).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
        let violations = self.take_violations();
        if !std::thread::panicking() {
            assert!(
                violations.is_empty(),
                "the upstream objected: {violations:#?}"
            );
        }
    }
}
