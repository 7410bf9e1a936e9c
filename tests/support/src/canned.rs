//! An upstream for benches: the same bytes for every request, at next to no cost.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How many chunks a stream has.
pub const CHUNKS: usize = 50;
/// The time between two of them.
pub const GAP: Duration = Duration::from_millis(4);

/// The body of an answer that is no stream: 0.6 KB.
pub fn whole() -> Bytes {
    let text =
        "The points are set, the signal is clear, and the train takes the right track. ".repeat(2);
    Bytes::from(format!(
        r#"{{"id":"chatcmpl-canned","object":"chat.completion","created":1721260800,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":32,"total_tokens":232,"prompt_tokens_details":{{"cached_tokens":0}}}},"system_fingerprint":"fp_canned"}}"#
    ))
}

/// One chunk of a stream, as an event.
pub fn chunk() -> Bytes {
    Bytes::from_static(
        b"data: {\"id\":\"chatcmpl-canned\",\"object\":\"chat.completion.chunk\",\"created\":1721260800,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_canned\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" points\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
    )
}

/// The end of a stream: its usage and `[DONE]`.
pub fn last() -> Bytes {
    Bytes::from_static(
        b"data: {\"id\":\"chatcmpl-canned\",\"object\":\"chat.completion.chunk\",\"created\":1721260800,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_canned\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":50,\"total_tokens\":250}}\n\ndata: [DONE]\n\n",
    )
}

/// Serves for ever. A request whose body holds `"stream":true` gets a stream.
pub async fn serve(listener: TcpListener) {
    serve_paced(listener, GAP, CHUNKS).await;
}

/// As [`serve`], with streams of so many chunks at such a distance.
pub async fn serve_paced(listener: TcpListener, gap: Duration, chunks: usize) {
    let (whole, chunk, last) = (whole(), chunk(), last());
    while let Ok((socket, _)) = listener.accept().await {
        drop(socket.set_nodelay(true));
        let (whole, chunk, last) = (whole.clone(), chunk.clone(), last.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (whole, chunk, last) = (whole.clone(), chunk.clone(), last.clone());
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let response = if streamed(&body) {
                        let stream = Stream {
                            ticks: interval(gap),
                            left: chunks,
                            chunk,
                            last,
                        };
                        respond("text/event-stream", Either::Right(stream.paced()))
                    } else {
                        respond("application/json", Either::Left(Full::new(whole)))
                    };
                    Ok::<_, hyper::Error>(response)
                }
            });
            // A caller that goes away is none of a bench's business.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await,
            );
        });
    }
}

fn streamed(body: &[u8]) -> bool {
    const MARK: &[u8] = b"\"stream\":true";
    body.windows(MARK.len()).any(|window| window == MARK)
}

fn respond<B>(kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

struct Stream {
    ticks: Interval,
    left: usize,
    chunk: Bytes,
    last: Bytes,
}

impl Stream {
    fn paced(mut self) -> Self {
        self.ticks
            .set_missed_tick_behavior(MissedTickBehavior::Delay);
        self
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.last.is_empty() {
            return Poll::Ready(None);
        }
        if self.left == 0 {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.last)))));
        }
        ready!(self.ticks.poll_tick(cx));
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
