//! Accepts, checks, records and answers.

use super::api::{self, Api, Asked};
use super::body::{Script, release};
use super::record::Seen;
use super::reply::{Content, Pieces, Reply};
use super::types::OPENAI;
use super::{Outcome, State, answer, check, control};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(super) type Payload = UnsyncBoxBody<Bytes, io::Error>;

/// What a path asks for.
#[derive(Clone, Copy)]
enum Service {
    Chat,
    Completion,
    Embedding,
    Moderation,
    Models,
    /// Another API than OpenAI's.
    Other(&'static dyn Api),
}

/// Serves every connection; all of them end with the future.
pub(super) async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut open = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let state = state.clone();
        drop(socket.set_nodelay(true));
        open.spawn(async move {
            let service = service_fn(|request| serve(state.clone(), number, request));
            let builder = auto::Builder::new(TokioExecutor::new());
            // The script breaks connections on purpose; the record tells what matters.
            drop(
                builder
                    .serve_connection(TokioIo::new(socket), service)
                    .await,
            );
        });
        while open.try_join_next().is_some() {}
    }
}

async fn serve(
    state: Arc<State>,
    connection: u64,
    request: Request<Incoming>,
) -> io::Result<Response<Payload>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if let Some(rest) = head.uri.path().strip_prefix(control::PREFIX) {
        return Ok(control::answer(&state, &head.method, rest, &body));
    }
    let path = head.uri.path().to_owned();
    let service = match state.api {
        Some(api) => api.serves(&path).then_some(Service::Other(api)),
        None => service(&path),
    };
    let (asked, mut violations) = match service {
        Some(Service::Models) | None => (Value::Null, Vec::new()),
        Some(Service::Other(api)) => api.check(&Asked {
            method: &head.method,
            path: &path,
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body: &body,
        }),
        Some(Service::Chat) => check::body(&body, &OPENAI, "chat"),
        Some(Service::Completion) => check::body(&body, &OPENAI, "completion"),
        Some(Service::Embedding) => check::body(&body, &OPENAI, "embedding"),
        Some(Service::Moderation) => check::body(&body, &OPENAI, "moderation"),
    };
    let (model, own) = match service {
        Some(Service::Other(api)) => (api.model(&path, &asked), api.own_headers()),
        _ => (
            asked["model"].as_str().unwrap_or_default().to_owned(),
            &[][..],
        ),
    };
    let kind = match service {
        Some(Service::Other(api)) => api.content_type(&path),
        _ => "application/json",
    };
    let kind = (!body.is_empty()).then_some(kind);
    violations.extend(check::headers(&head.headers, kind, own));
    violations.retain(|fault| !state.also_takes(fault));
    let faults = violations.join("; ");
    let mut entry = state.record.add(Seen {
        connection,
        method: head.method,
        path: path.clone(),
        query: head.uri.query().map(str::to_owned),
        version: head.version,
        headers: head.headers.clone(),
        body,
        violations,
        outcome: Outcome::Open,
    });
    let known = known(&state, credential(service, &head.headers));
    let reply = match (service, faults.is_empty(), known) {
        (None, ..) => Reply::error(404, "Unknown request URL"),
        (_, false, _) => Reply::error(400, &faults),
        (_, _, false) => Reply::error(401, "Incorrect API key provided"),
        _ => state.reply(&model),
    };
    tokio::time::sleep(std::time::Duration::from_millis(reply.wait_head)).await;
    if reply.hold_head {
        release(state.released.subscribe()).await;
    }
    let service = service.unwrap_or(Service::Models);
    let Some((kind, mut events)) = content(service, &path, &asked, &reply) else {
        entry.close();
        return Err(io::Error::other("hung up by the script"));
    };
    if reply.gzip {
        events = vec![compress(&events.concat())];
    }
    let plain = matches!(reply.pieces, Pieces::AsMade) && kind == "application/json";
    let length = plain.then(|| events.iter().map(Bytes::len).sum());
    let script = Script::new(&events, &reply, state.released.subscribe(), entry);
    let mut response = Response::new(UnsyncBoxBody::new(script));
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status of the script");
    let shown = credential(Some(service), &head.headers);
    set_headers(response.headers_mut(), kind, length, &reply, shown);
    Ok(response)
}

fn service(path: &str) -> Option<Service> {
    if let Some(api) = api::of(path) {
        return Some(Service::Other(api));
    }
    // Azure's newer paths begin with `/openai`, too.
    let newer = path.strip_prefix("/openai/v1");
    let path = newer.or_else(|| path.strip_prefix("/v1")).unwrap_or(path);
    let path = match path.strip_prefix("/openai/deployments/") {
        Some(rest) => &rest[rest.find('/')?..],
        None => path,
    };
    match path {
        "/chat/completions" => Some(Service::Chat),
        "/completions" => Some(Service::Completion),
        "/embeddings" => Some(Service::Embedding),
        "/moderations" => Some(Service::Moderation),
        "/models" => Some(Service::Models),
        _ => None,
    }
}

/// Whether the credential is one that it takes.
fn known(state: &State, shown: Option<&str>) -> bool {
    let keys = &state.replies().keys;
    keys.is_empty() || shown.is_some_and(|shown| keys.iter().any(|key| key == shown))
}

fn credential(service: Option<Service>, headers: &HeaderMap) -> Option<&str> {
    if let Some(Service::Other(api)) = service {
        return api.credential(headers);
    }
    openai_credential(headers)
}

/// A bearer token, or Azure's key.
pub(super) fn openai_credential(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    bearer.or_else(|| headers.get("api-key")?.to_str().ok())
}

/// The content type and the natural pieces of the body; `None` is to hang up.
fn content(
    service: Service,
    path: &str,
    asked: &Value,
    reply: &Reply,
) -> Option<(&'static str, Vec<Bytes>)> {
    const JSON: &str = "application/json";
    let json = |value: Value| Some((JSON, vec![Bytes::from(value.to_string())]));
    if let Service::Other(api) = service {
        match &reply.content {
            Content::Usual if reply.status >= 400 => {
                return json(api.error(reply.status, "scripted"));
            }
            Content::Usual => return Some(api.usual(path, asked, reply)),
            Content::Error(message) => return json(api.error(reply.status, message)),
            Content::Events(events) => {
                let pieces = events.iter().map(|data| api.event(data, reply));
                return Some((api.stream_type(), pieces.collect()));
            }
            // Nobody's own.
            _ => {}
        }
    }
    let streamed = asked["stream"] == true;
    match &reply.content {
        Content::Usual if reply.status >= 400 => json(answer::error(reply.status, "scripted")),
        Content::Usual => match service {
            Service::Chat if streamed => Some(stream(&answer::chat_events(asked, reply), reply)),
            Service::Completion if streamed => {
                Some(stream(&answer::completion_events(asked), reply))
            }
            Service::Chat => json(answer::chat(asked, None)),
            Service::Completion => json(answer::completion(asked)),
            Service::Embedding => json(answer::embeddings(asked)),
            Service::Moderation => json(answer::moderation(asked)),
            Service::Models | Service::Other(_) => json(answer::models()),
        },
        Content::Error(message) => json(answer::error(reply.status, message)),
        Content::Json(value) => json(value.clone()),
        Content::Text(text) => Some((JSON, vec![Bytes::from(text.clone())])),
        Content::Events(events) => Some(stream(events, reply)),
        Content::Html => {
            let page = "<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>";
            Some((
                "text/html; charset=utf-8",
                vec![Bytes::from_static(page.as_bytes())],
            ))
        }
        Content::Long(length) => json(answer::chat(asked, Some(*length))),
        Content::HangUp => None,
    }
}

pub(super) fn stream(events: &[String], reply: &Reply) -> (&'static str, Vec<Bytes>) {
    let end = reply.line_end.text();
    let done = reply.done.then_some("[DONE]");
    let pieces = events.iter().map(String::as_str).chain(done).map(|data| {
        let comment = if reply.comments {
            format!(": keep-alive{end}{end}")
        } else {
            String::new()
        };
        Bytes::from(format!("{comment}data: {data}{end}{end}"))
    });
    ("text/event-stream", pieces.collect())
}

fn compress(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte").into()
}

fn set_headers(
    headers: &mut HeaderMap,
    kind: &'static str,
    length: Option<usize>,
    reply: &Reply,
    shown: Option<&str>,
) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    headers.insert("x-request-id", HeaderValue::from_static("req_fake"));
    headers.insert("openai-processing-ms", HeaderValue::from_static("12"));
    headers.insert(
        "x-ratelimit-remaining-requests",
        HeaderValue::from_static("9999"),
    );
    headers.insert(
        "set-cookie",
        HeaderValue::from_static("__cf_bm=private; path=/"),
    );
    headers.insert(
        "openai-organization",
        HeaderValue::from_static("org-private"),
    );
    if reply.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(credential) = shown.filter(|_| reply.echo_credential) {
        let value = HeaderValue::from_str(credential).expect("it came as a header");
        headers.insert("x-echo-credential", value);
    }
    for (name, value) in &reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header of the script");
        headers.insert(
            name,
            HeaderValue::from_str(value).expect("a header of the script"),
        );
    }
}
