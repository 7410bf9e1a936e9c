//! What the fake upstream received.

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Still being sent.
    Open,
    /// Sent to its end, or broken off by the script.
    Sent,
    /// The other side went away before its end.
    Abandoned,
}

/// One request, as it came from the wire.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The number of the connection, from 1.
    pub connection: u64,
    /// The method.
    pub method: Method,
    /// The path, as sent.
    pub path: String,
    /// The query, as sent.
    pub query: Option<String>,
    /// The version of HTTP.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What a strict provider objects to.
    pub violations: Vec<String>,
    /// What became of the response.
    pub outcome: Outcome,
}

impl Seen {
    /// The one header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.get_all(name).iter();
        let first = all.next()?;
        assert!(all.next().is_none(), "the header {name} came twice");
        Some(first.to_str().expect("a header of text"))
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// As the control endpoint shows it.
    pub(super) fn shown(&self) -> Value {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        json!({
            "connection": self.connection,
            "method": self.method.as_str(),
            "path": self.path,
            "query": self.query,
            "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
            "violations": self.violations,
            "outcome": format!("{:?}", self.outcome).to_lowercase(),
        })
    }
}

/// Everything received, in order of arrival.
#[derive(Clone, Debug)]
pub(super) struct Record {
    seen: Arc<Mutex<Vec<Seen>>>,
    changes: watch::Sender<u64>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            seen: Arc::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Adds a request whose response is open; the entry is dropped with the response.
    pub(super) fn add(&self, seen: Seen) -> Entry {
        let mut all = self.lock();
        all.push(seen);
        let entry = Entry {
            record: self.clone(),
            place: all.len() - 1,
            closed: false,
        };
        drop(all);
        self.changes.send_modify(|count| *count += 1);
        entry
    }

    pub(super) fn all(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Forgets what was objected to, and tells it.
    pub(super) fn take_violations(&self) -> Vec<String> {
        self.lock()
            .iter_mut()
            .flat_map(|seen| seen.violations.drain(..))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of one response while it is sent. Dropped before [`Entry::close`], it is abandoned.
#[derive(Debug)]
pub(super) struct Entry {
    record: Record,
    place: usize,
    closed: bool,
}

impl Entry {
    pub(super) fn close(&mut self) {
        self.set(Outcome::Sent);
        self.closed = true;
    }

    fn set(&self, outcome: Outcome) {
        self.record.lock()[self.place].outcome = outcome;
        self.record.changes.send_modify(|count| *count += 1);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.closed {
            self.set(Outcome::Abandoned);
        }
    }
}
