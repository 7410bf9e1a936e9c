//! A bounded number of requests over a fixed number of connections.

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::canned;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What to send, and where.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) key: &'static str,
    pub(crate) streamed: bool,
    pub(crate) count: usize,
    pub(crate) connections: usize,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) took: Duration,
    /// The time to the first byte of a body and to the last, of each request.
    pub(crate) times: Vec<(Duration, Duration)>,
}

impl Load {
    /// Sends it all; any answer that is not the upstream's ends the run.
    pub(crate) async fn run(self) -> io::Result<Run> {
        let left = Arc::new(AtomicUsize::new(self.count));
        let body = body(self.streamed);
        let mut senders = Vec::new();
        for _ in 0..self.connections {
            senders.push(connect(self.address).await?);
        }
        let started = Instant::now();
        let mut connections = JoinSet::new();
        for sender in senders {
            connections.spawn(self.keep_busy(sender, body.clone(), left.clone()));
        }
        let mut times = Vec::with_capacity(self.count);
        while let Some(some) = connections.join_next().await {
            times.extend(some.map_err(io::Error::other)??);
        }
        Ok(Run {
            took: started.elapsed(),
            times,
        })
    }

    async fn keep_busy(
        self,
        mut sender: SendRequest<Full<Bytes>>,
        body: Bytes,
        left: Arc<AtomicUsize>,
    ) -> io::Result<Vec<(Duration, Duration)>> {
        let mut times = Vec::new();
        let one_less = |left: usize| left.checked_sub(1);
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
        {
            times.push(self.exchange(&mut sender, body.clone()).await?);
        }
        Ok(times)
    }

    async fn exchange(
        self,
        sender: &mut SendRequest<Full<Bytes>>,
        body: Bytes,
    ) -> io::Result<(Duration, Duration)> {
        let request = Request::post("/v1/chat/completions")
            .header(HOST, "gateway.test")
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        let started = Instant::now();
        let mut response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let (mut first, mut length) = (None, 0);
        while let Some(frame) = response.body_mut().frame().await {
            if let Some(bytes) = frame.map_err(io::Error::other)?.data_ref() {
                first.get_or_insert_with(|| started.elapsed());
                length += bytes.len();
            }
        }
        if response.status() != 200 || length < self.least() {
            let status = response.status();
            return Err(io::Error::other(format!(
                "an answer with {status} and {length} bytes"
            )));
        }
        let whole = started.elapsed();
        Ok((first.unwrap_or(whole), whole))
    }

    /// Nine tenths of what the upstream sends: a gateway may shorten the model's name and take out
    /// what was not asked for, and no more.
    fn least(self) -> usize {
        let sent = if self.streamed {
            canned::chunk().len() * canned::CHUNKS
        } else {
            canned::whole().len()
        };
        sent * 9 / 10
    }
}

/// A connection of its own.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket))
        .await
        .map_err(io::Error::other)?;
    // Its error comes out of the request that meets it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// A chat request of one kilobyte.
pub(crate) fn body(streamed: bool) -> Bytes {
    let head = format!(
        "{{\"model\":\"bench\",\"stream\":{streamed},\"temperature\":0.2,\"messages\":[{{\"role\":\"user\",\"content\":\""
    );
    let tail = "\"}]}";
    let words = "set the points for the next train ".repeat(40);
    Bytes::from(format!(
        "{head}{}{tail}",
        &words[..1024 - head.len() - tail.len()]
    ))
}
