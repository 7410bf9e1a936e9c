//! The fake upstream: providers that the gateway's own client reaches within the process.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use pointsman::call::{Answer, Attempt};
use pointsman::error::Failure;
use pointsman::routing::class::Class;
use pointsman::upstream::client::{Pieces, SendError};
use pointsman::upstream::{Client, Relay, Upstream};
use tokio::time::{Instant, Sleep, sleep};
use tower::Service;

use super::books::{Books, Open};
use super::plan::{Plan, SMALL_WINDOW, Trouble, millis};

/// What every stream says.
pub(crate) const TEXT: &str = "hi there";

tokio::task_local! {
    /// The attempt that a request is sent for.
    static OPEN: std::cell::RefCell<Option<Open>>;
}

/// The gateway's own upstream, with the providers of the plan; each attempt is written into the
/// books.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    upstream: Upstream,
    books: Books,
}

impl Provider {
    pub(crate) fn new(plan: &Arc<Plan>, books: &Books) -> Self {
        let (plan, kept) = (Arc::clone(plan), books.clone());
        let client = Client::within(move |request: Request<Pieces>| {
            let (plan, books) = (Arc::clone(&plan), kept.clone());
            async move {
                let open = OPEN.with(|open| open.borrow_mut().take());
                let open = open.expect("a request is sent once for each attempt");
                meet(&plan, &books, open, request).await
            }
        });
        Self {
            upstream: Upstream::new(client),
            books: books.clone(),
        }
    }
}

impl Service<Attempt> for Provider {
    type Response = Answer<Relay>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Answer<Relay>, Failure>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.upstream.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let open = self.books.begin(&attempt.call, attempt.deployment);
        let sent = self.upstream.call(attempt);
        Box::pin(OPEN.scope(Some(open).into(), sent))
    }
}

/// What an attempt meets.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answer,
    Status(u16, Option<u32>),
    WindowExceeded,
    PolicyRefused,
    Down,
    Silent,
    Malformed,
    CutBefore,
    CutWithin,
    Stalled,
}

/// A provider answers a request, or does not.
async fn meet(
    plan: &Plan,
    books: &Books,
    mut open: Open,
    request: Request<Pieces>,
) -> Result<Response<Says>, SendError> {
    let at = open.deployment();
    let body = request.into_body().collect().await;
    let body = body.map_err(SendError::Connect)?.to_bytes();
    let meeting = Meeting::new(plan, books.lock().now(), (at, open.number()), &body);
    // A caller that does not wait leaves its provider at work.
    open.takes(meeting.tokens[0]);
    open.late = true;
    sleep(meeting.head).await;
    if matches!(meeting.fate, Fate::Silent) {
        std::future::pending::<()>().await;
    }
    open.late = false;
    let refuse = |open: Open, (status, class): (u16, Class), after: Option<u32>, said| {
        open.takes(0);
        open.failed(class, after.map(Into::into));
        Ok(answer(status, after, "application/json", Says::whole(said)))
    };
    match meeting.fate {
        Fate::Status(status, after) => {
            let said = r#"{"error":{"message":"no"}}"#;
            refuse(open, (status, class_of(status)), after, said.into())
        }
        Fate::WindowExceeded => {
            let said = r#"{"error":{"message":"maximum context length","code":"context_length_exceeded"}}"#;
            refuse(open, (400, Class::ContextWindow), None, said.into())
        }
        Fate::PolicyRefused => {
            let said = r#"{"error":{"message":"content management policy"}}"#;
            refuse(open, (400, Class::ContentPolicy), None, said.into())
        }
        Fate::Down => {
            open.takes(0);
            open.failed(Class::Connect, None);
            Err(SendError::ConnectTimeout)
        }
        _ if meeting.stream => {
            let says = Says::stream(&meeting, open);
            Ok(answer(200, None, "text/event-stream", says))
        }
        Fate::Malformed => {
            open.failed(Class::Malformed, None);
            Ok(answer(
                200,
                None,
                "application/json",
                Says::whole("<html>".into()),
            ))
        }
        Fate::CutBefore | Fate::CutWithin | Fate::Stalled => {
            open.failed(Class::Cut, None);
            Ok(answer(200, None, "application/json", Says::cut()))
        }
        _ => {
            open.takes(meeting.tokens[0] + meeting.tokens[1]);
            open.answered();
            open.complete();
            let says = Says::whole(meeting.text());
            Ok(answer(200, None, "application/json", says))
        }
    }
}

fn answer(status: u16, after: Option<u32>, kind: &str, says: Says) -> Response<Says> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind);
    if let Some(after) = after {
        response = response.header(header::RETRY_AFTER, after);
    }
    response.body(says).expect("a good head")
}

/// What a provider makes of a request.
struct Meeting {
    fate: Fate,
    head: Duration,
    /// Of the prompt and of the answer.
    tokens: [u64; 2],
    stream: bool,
    tells_usage: bool,
    gap: Duration,
    /// How much of [`TEXT`] was said before by somebody else.
    said: usize,
}

impl Meeting {
    fn new(plan: &Plan, now: u64, (at, number): (usize, usize), body: &[u8]) -> Self {
        let one = &plan.deployments[at];
        // Chance that does not depend on who came first.
        let draw = mixed(plan.seed ^ (at as u64) << 48 ^ (number as u64) << 16);
        let text = String::from_utf8_lossy(body);
        let trouble = plan.faults[at]
            .iter()
            .find(|one| (one.from..one.to).contains(&now))
            .map(|one| one.trouble);
        let mut head = one.latency / 2 + draw % (one.latency + 1);
        if let Some(Trouble::Slower(times)) = trouble {
            head *= times;
        }
        let fate = if text.contains("many words") && one.window <= SMALL_WINDOW {
            Fate::WindowExceeded
        } else if text.contains("spicy") && at.is_multiple_of(3) {
            Fate::PolicyRefused
        } else {
            Fate::of(trouble, now, draw)
        };
        let most = text.rsplit_once("\"max_tokens\":").map_or(1, |(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(1)
        });
        // Fewer than the gateway reckons with, who counts what speaks to it alone, too.
        let prompt = body.len() as u64 / 8;
        let completion = 1 + (draw >> 20) % most.max(1);
        Self {
            fate,
            head: millis(head),
            tokens: [prompt, completion],
            stream: text.contains("\"stream\":true"),
            tells_usage: !(draw >> 40).is_multiple_of(16),
            gap: millis((draw >> 44) % 60),
            said: said(&text),
        }
    }

    fn usage(&self) -> String {
        let [prompt, completion] = self.tokens;
        format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{}}}"#,
            prompt + completion
        )
    }

    fn text(&self) -> String {
        let usage = if self.tells_usage {
            format!(r#","usage":{}"#, self.usage())
        } else {
            String::new()
        };
        format!(
            r#"{{"id":"x","object":"chat.completion","model":"real-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}]{usage}}}"#
        )
    }
}

impl Fate {
    fn of(trouble: Option<Trouble>, now: u64, draw: u64) -> Self {
        match trouble {
            Some(Trouble::RateLimit { after }) => Self::Status(429, after),
            Some(Trouble::Down) => Self::Down,
            Some(Trouble::Status(status)) => Self::Status(status, None),
            Some(Trouble::Flapping { period }) if (now / period).is_multiple_of(2) => {
                Self::Status(503, None)
            }
            Some(Trouble::Share { of }) if (draw >> 8).is_multiple_of(of.into()) => {
                Self::Status(500, None)
            }
            None | Some(Trouble::Slower(_) | Trouble::Flapping { .. } | Trouble::Share { .. }) => {
                Self::Answer
            }
            Some(Trouble::Silent) => Self::Silent,
            Some(Trouble::Malformed) => Self::Malformed,
            Some(Trouble::CutBefore) => Self::CutBefore,
            Some(Trouble::CutWithin) => Self::CutWithin,
            Some(Trouble::Stalled) => Self::Stalled,
        }
    }
}

/// How much of [`TEXT`] the last turn of an assistant says in a request.
fn said(request: &str) -> usize {
    let turn = request.rsplit_once(r#""role":"assistant","content":""#);
    let words = turn.and_then(|(_, rest)| rest.split_once('"'));
    words.map_or(0, |(words, _)| {
        assert!(TEXT.starts_with(words), "{words} is not what was said");
        words.len()
    })
}

fn class_of(status: u16) -> Class {
    match status {
        401 | 403 => Class::Authentication,
        404 => Class::NotFound,
        408 => Class::Timeout,
        409 => Class::Conflict,
        429 => Class::RateLimit,
        400 | 422 => Class::BadRequest,
        _ => Class::Server,
    }
}

/// Steele's and Vigna's splitmix64.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The body of an answer.
struct Says {
    open: Option<Open>,
    chunks: std::vec::IntoIter<Bytes>,
    end: Fate,
    first: bool,
    gap: Duration,
    /// Until the next chunk, once it was set.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Says {
    fn whole(text: String) -> Self {
        Self {
            open: None,
            chunks: vec![Bytes::from(text)].into_iter(),
            end: Fate::Answer,
            first: false,
            gap: Duration::ZERO,
            timer: None,
        }
    }

    fn cut() -> Self {
        Self {
            end: Fate::CutBefore,
            ..Self::whole("{".into())
        }
    }

    fn stream(meeting: &Meeting, mut open: Open) -> Self {
        let chunk = |inner: &str| {
            let event = format!(
                "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"real-1\",{inner}}}\n\n"
            );
            Bytes::from(event)
        };
        let mut chunks = vec![chunk(
            r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#,
        )];
        for word in TEXT[meeting.said..].split_inclusive(' ') {
            chunks.push(chunk(&format!(
                r#""choices":[{{"index":0,"delta":{{"content":"{word}"}},"finish_reason":null}}]"#
            )));
        }
        chunks.extend([
            chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
            chunk(&format!(r#""choices":[],"usage":{}"#, meeting.usage())),
            Bytes::from_static(b"data: [DONE]\n\n"),
        ]);
        let [prompt, completion] = meeting.tokens;
        match meeting.fate {
            Fate::CutBefore => chunks.clear(),
            Fate::Malformed => chunks = vec![Bytes::from_static(b"data: {\"choices\":\n\n")],
            Fate::CutWithin | Fate::Stalled => chunks.truncate(2),
            _ => {}
        }
        // A provider counts what it was asked and what it said, whoever still listens.
        open.takes(prompt + if chunks.len() > 1 { completion } else { 0 });
        open.spoke();
        open.stalls = matches!(meeting.fate, Fate::Stalled);
        Self {
            open: Some(open),
            chunks: chunks.into_iter(),
            end: meeting.fate,
            first: true,
            gap: meeting.gap,
            timer: None,
        }
    }
}

impl http_body::Body for Says {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        let Some(chunk) = self.chunks.next() else {
            return match self.end {
                Fate::Stalled => Poll::Pending,
                Fate::CutBefore | Fate::CutWithin => {
                    if let Some(open) = self.open.take() {
                        open.failed(Class::Cut, None);
                    }
                    Poll::Ready(Some(Err("it broke")))
                }
                _ => {
                    if let Some(open) = self.open.take() {
                        open.complete();
                    }
                    Poll::Ready(None)
                }
            };
        };
        if matches!(self.end, Fate::Malformed) {
            if let Some(open) = self.open.take() {
                open.failed(Class::Malformed, None);
            }
        } else if std::mem::take(&mut self.first)
            && let Some(open) = &mut self.open
        {
            open.answered();
        }
        if let Some(open) = &mut self.open {
            open.spoke();
        }
        if !self.gap.is_zero() {
            let then = Instant::now() + self.gap;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(then),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(then))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}
