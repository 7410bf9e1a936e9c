//! Reads a request into a [`Call`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::names::resolve;
use super::{form, gemini, kept};
use crate::access::address;
use crate::call::{
    About, Call, Controls, Dialect, Field, Hints, Principal, Route, Spoken, Tab, peek,
};
use crate::error::{Denial, Failure, RequestFault};
use crate::live::Live;
use crate::wire::form::File;

/// Longest request body, unless the file says otherwise.
const MAX_REQUEST_BYTES: u64 = 100 << 20;
/// How long a request body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_mins(5);
/// Longest body that is copied. Hyper reads by 8 KiB to begin with.
const MAX_COPIED: usize = 4 << 10;

const TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const SESSION: HeaderName = HeaderName::from_static("x-litellm-session-id");
const NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
const STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");

/// Reads a request of this route into a call with the table `live`; `named` is the model of the path,
/// where it has one.
pub(super) async fn read<B>(
    head: Parts,
    body: B,
    live: Arc<Live>,
    route: Route,
    named: Option<String>,
    (id, row): (HeaderValue, u128),
    arrived: Instant,
) -> Result<Arc<Call>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if head.method != Method::POST {
        return Err(Failure::Request(RequestFault::Method("POST")));
    }
    let boundary = check_content_type(&head.headers, route)?;
    let limit = live
        .routes()
        .general
        .max_request_bytes
        .unwrap_or(MAX_REQUEST_BYTES);
    let (body, files) = match boundary {
        Some(boundary) => {
            // Large, and most requests are no forms.
            let read = Box::pin(read_form(&head.headers, boundary, body, limit));
            let (body, files) = read.await?;
            (body, Some(files))
        }
        None => (read_body(&head.headers, body, limit).await?, None),
    };
    let peek = peek::peek(&body)
        .map_err(|refusal| refused_body(&refusal))?
        .on(route);
    check_rehearsal(&live, &peek)?;
    let asked = match named.or_else(|| peek.text(&body, Field::Model).map(Into::into)) {
        Some(asked) => asked,
        None => live
            .routes()
            .general
            .completion_model
            .as_deref()
            .map(str::to_owned)
            .ok_or(Failure::Request(RequestFault::Missing {
                route: route.path(),
                name: "model",
            }))?,
    };
    let principal = head.extensions.get::<Arc<Principal>>();
    let principal = principal.map_or_else(|| Arc::new(Principal::master()), Arc::clone);
    let asked = match principal.renamed(&asked) {
        Some(name) => name.to_owned(),
        None => asked,
    };
    let target = resolve(&live, &asked)?;
    if let Err(party) = principal.models().check(&live, &asked, target) {
        let model = asked.chars().take(200).collect();
        return Err(Failure::Denied(Denial::Model { party, model }));
    }
    let target = kept::bound(&live, &principal, route, target, &body, &peek)?;
    if let Some(name) = missing(route, &peek, files.as_deref()) {
        return Err(Failure::Request(RequestFault::Missing {
            route: route.path(),
            name,
        }));
    }
    let timeout = seconds(&head.headers, &TIMEOUT)
        .or_else(|| peek.seconds(&body, Field::Timeout))
        .or_else(|| peek.seconds(&body, Field::RequestTimeout));
    let stream_timeout = seconds(&head.headers, &STREAM_TIMEOUT)
        .or_else(|| peek.seconds(&body, Field::StreamTimeout));
    let retries = head.headers.get(&NUM_RETRIES);
    let controls = Controls::read(&live, &asked, &body, &peek, retries, principal.may_mock())?;
    let ceiling = live.routes().settings.request_timeout;
    let ip = address::of(&head.extensions, &head.headers, &live);
    let own = live.end_user_header();
    let about = About::read(&head.headers, own, ip, &body, &peek);
    // Large, so it is put where it stays.
    let call = Arc::new(Call {
        id,
        principal,
        route,
        asked: asked.into(),
        target,
        fallback: None,
        wants_usage: peek.stream && peek.wants_usage(&body),
        as_list: route == Route::GenerateStream && gemini::wants_list(head.uri.query()),
        body,
        files,
        peek,
        spoken: Spoken::default(),
        resumed: None,
        kept: None,
        passed: passed(&head.headers, route),
        timeout: timeout.map(|timeout| timeout.min(ceiling)),
        stream_timeout: stream_timeout.map(|timeout| timeout.min(ceiling)),
        hints: hints(&head.headers, &live),
        controls,
        about,
        tab: Arc::new(Tab::new(row)),
        arrived,
        live,
    });
    check_mode(&call)?;
    Ok(call)
}

/// The headers that a provider of the caller's own dialect is to see: those that say which version
/// of it is spoken.
fn passed(headers: &HeaderMap, route: Route) -> Vec<(HeaderName, HeaderValue)> {
    const ANTHROPIC: [HeaderName; 2] = [
        HeaderName::from_static("anthropic-version"),
        HeaderName::from_static("anthropic-beta"),
    ];
    if route.dialect() != Dialect::Anthropic {
        return Vec::new();
    }
    let names = ANTHROPIC.into_iter();
    names
        .filter_map(|name| Some((name.clone(), joined(headers, &name)?)))
        .collect()
}

/// A header that may stand several times, as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let all: Vec<_> = headers.get_all(name).iter().collect();
    match &all[..] {
        [] => None,
        [one] => Some((*one).clone()),
        several => {
            let bytes: Vec<_> = several.iter().map(|value| value.as_bytes()).collect();
            HeaderValue::from_bytes(&bytes.join(&b", "[..])).ok()
        }
    }
}

/// Most files choose by nothing that stands in headers.
fn hints(headers: &HeaderMap, live: &Live) -> Option<Box<Hints>> {
    let router = &live.routes().router;
    let tagged =
        router.tag_filtering || live.routes().rules.iter().any(|rule| !rule.tags.is_empty());
    if !tagged && router.optional_pre_call_checks.is_empty() {
        return None;
    }
    let get = |name: &HeaderName| headers.get(name).cloned();
    Some(Box::new(Hints {
        tags: get(&TAGS),
        agent: get(&header::USER_AGENT),
        session: get(&SESSION),
    }))
}

/// What the request must have and has not.
fn missing(route: Route, peek: &peek::Peek, files: Option<&[File]>) -> Option<&'static str> {
    let file = route.file().filter(|name| {
        let mut fields = files.into_iter().flatten().map(|file| &file.field);
        !fields.any(|field| field == name)
    });
    // What is to be counted may be a whole request.
    let instead = (route == Route::CountContents).then_some(Field::GenerateRequest);
    let has = |field| peek.get(field).is_some();
    let field = Field::required_by(route)
        .filter(|field| !has(*field) && !instead.is_some_and(has))
        .filter(|_| !kept::speaks_elsewhere(route, peek));
    file.or(field.map(Field::name))
}

/// The boundary, if the body is a form and may be one.
fn check_content_type(headers: &HeaderMap, route: Route) -> Result<Option<String>, Failure> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.map(|kind| kind.to_str().unwrap_or(""));
    let essence = kind.map(|kind| kind.split(';').next().unwrap_or("").trim());
    let json = essence.is_none_or(|essence| {
        essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
    });
    if json && route.file().is_none() {
        return Ok(None);
    }
    let boundary = route
        .takes_form()
        .then(|| form::boundary(headers))
        .flatten();
    if boundary.is_some() {
        return Ok(boundary);
    }
    Err(Failure::Request(RequestFault::ContentType {
        found: essence.unwrap_or("").chars().take(100).collect(),
        taken: match route.file() {
            Some(_) => "multipart/form-data",
            None => "application/json",
        },
    }))
}

async fn read_form<B>(
    headers: &HeaderMap,
    boundary: String,
    body: B,
    limit: u64,
) -> Result<(Bytes, Arc<[File]>), Failure>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    check_length(headers, limit)?;
    tokio::time::timeout(BODY_TIMEOUT, form::read(boundary, body, limit))
        .await
        .unwrap_or(Err(Failure::Request(RequestFault::Slow)))
}

pub(super) async fn read_body<B>(headers: &HeaderMap, body: B, limit: u64) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    check_length(headers, limit)?;
    let too_large = || Failure::Request(RequestFault::TooLarge { limit });
    let body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    match tokio::time::timeout(BODY_TIMEOUT, body.collect()).await {
        Ok(Ok(collected)) => Ok(compact(collected.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Failure::Request(RequestFault::Body)),
        Err(_) => Err(Failure::Request(RequestFault::Slow)),
    }
}

/// A short body by itself, so that the connection's whole buffer, which it came in, is free for the
/// next read: the call keeps its body for as long as its answer takes.
fn compact(body: Bytes) -> Bytes {
    if body.len() <= MAX_COPIED {
        Bytes::copy_from_slice(&body)
    } else {
        body
    }
}

/// Refuses what is declared too long before any of it is read.
fn check_length(headers: &HeaderMap, limit: u64) -> Result<(), Failure> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Failure::Request(RequestFault::TooLarge { limit }));
    }
    Ok(())
}

fn refused_body(refusal: &peek::Refusal) -> Failure {
    let what = refusal.to_string();
    Failure::Request(match refusal {
        peek::Refusal::Json(_) | peek::Refusal::Twice(_) => RequestFault::Json(what),
        peek::Refusal::Forbidden(field) | peek::Refusal::WrongType { field, .. } => {
            RequestFault::Parameter {
                name: field.name(),
                what,
            }
        }
    })
}

/// Rehearsed failures are for operators who have switched them on.
fn check_rehearsal(live: &Live, peek: &peek::Peek) -> Result<(), Failure> {
    if live.routes().general.allow_mock_testing {
        return Ok(());
    }
    let rehearsal = |field: &Field| field.class() == peek::Class::Rehearsal;
    match peek.members().map(|(field, _)| field).find(rehearsal) {
        None => Ok(()),
        Some(field) => Err(Failure::Request(RequestFault::Parameter {
            name: field.name(),
            what: format!(
                "{} is not allowed. Enable with general_settings: \
                 dangerously_allow_mock_testing_request_params",
                field.name()
            ),
        })),
    }
}

/// An embedding model does not chat, nor the other way about.
fn check_mode(call: &Call) -> Result<(), Failure> {
    let members = &call.live.routes().groups[usize::from(call.group().0)].members;
    let wrong = !members.is_empty()
        && members.iter().all(|member| {
            let deployment = call.live.deployment(member.deployment);
            let mode = deployment.facts.mode;
            deployment.mock.is_none() && mode.is_some_and(|mode| !call.route.suits(mode))
        });
    if wrong {
        let asked = call.asked.to_string();
        return Err(Failure::Request(RequestFault::WrongMode {
            asked,
            route: call.route.path(),
        }));
    }
    Ok(())
}

fn seconds(headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
    Duration::try_from_secs_f64(headers.get(name)?.to_str().ok()?.parse().ok()?).ok()
}
