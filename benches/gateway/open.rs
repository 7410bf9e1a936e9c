//! What a stream that is open takes of the gateway's memory.

use crate::load::{body, connect};
use crate::role::{KEY, Kept, Part};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// Streams that are opened at the same time.
const AT_ONCE: usize = 64;
/// By then all that came of opening and closing streams has been done.
const REST: Duration = Duration::from_secs(3);

/// A stream whose first chunk has come. Its connection closes when both are gone.
type Open = (SendRequest<Full<Bytes>>, Response<Incoming>);

/// Opens so many streams through the gateway, and says what each takes while it waits for its next
/// chunk. Each takes two files of the gateway and one of this process and of the upstream each.
pub(crate) async fn measure(streams: usize) -> io::Result<String> {
    let upstream = Part::slow().await?;
    let gateway = Part::gateway(upstream.address(), Kept::Nothing).await?;
    // What is there once is not counted.
    drop(open(gateway.address(), AT_ONCE).await?);
    tokio::time::sleep(REST).await;
    let before = gateway.resident()?;
    let held = open(gateway.address(), streams).await?;
    tokio::time::sleep(REST).await;
    let taken = gateway.resident()?.saturating_sub(before);
    drop(held);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let each = f64::from(taken) / streams as f64;
    Ok(format!(
        "{each:.1} KiB resident for each of {streams} open streams ({before} KiB without them)"
    ))
}

async fn open(address: SocketAddr, count: usize) -> io::Result<Vec<Open>> {
    let mut opened = Vec::with_capacity(count);
    while opened.len() < count {
        let mut opening = JoinSet::new();
        for _ in opened.len()..count.min(opened.len() + AT_ONCE) {
            opening.spawn(one(address));
        }
        while let Some(one) = opening.join_next().await {
            opened.push(one.map_err(io::Error::other)??);
        }
    }
    Ok(opened)
}

async fn one(address: SocketAddr) -> io::Result<Open> {
    let mut sender = connect(address).await?;
    let request = Request::post("/v1/chat/completions")
        .header(HOST, "gateway.test")
        .header(AUTHORIZATION, format!("Bearer {KEY}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body(true)))
        .map_err(io::Error::other)?;
    let mut response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let first = response.body_mut().frame().await;
    match first {
        Some(Ok(_)) if response.status() == 200 => Ok((sender, response)),
        _ => Err(io::Error::other(format!(
            "no stream, but an answer with {}",
            response.status()
        ))),
    }
}
