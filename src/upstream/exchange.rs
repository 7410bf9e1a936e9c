//! Says what goes to a provider, and how its answer is to be read. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use pointsman_routes::table;
use smallvec::SmallVec;

use super::client::Pieces;
use super::fetch::{self, Fetched};
use super::openai::quirks::Vendor;
use super::params::Rules;
use super::protocol::{Ask, Gives, Protocol, Task, Unfit, Written};
use super::providers::Providers;
use super::{AGENT, fault, gemini, openai, resume};
use crate::call::{Attempt, Call, Dialect, Route, chat};
use crate::dialect::{self, vectors};
use crate::error::{Failure, NoDeployment, UpstreamKind};
use crate::live::Endpoint;
use crate::wire::form::File;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How an answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'p> {
    /// As it is: the caller speaks OpenAI's dialect, too.
    Same,
    /// As it is but for ids: the caller speaks OpenAI's responses, and the provider has them.
    Responses,
    /// As it is: the caller speaks Anthropic's dialect, too. Errors are read by the protocol.
    Messages(&'p dyn Protocol),
    /// As it is: the caller speaks Gemini's dialect, too. Errors are read by the protocol.
    Contents(&'p dyn Protocol),
    /// By its protocol.
    Other(&'p dyn Protocol),
}

impl Way<'_> {
    /// As one reads who goes on with a stream of another deployment: never as it is, or the caller
    /// would see where one ends and the other begins.
    pub(super) fn going_on(self) -> Self {
        match self {
            Self::Same | Self::Responses => Self::Other(&openai::chat::OpenAi),
            Self::Messages(protocol) | Self::Contents(protocol) | Self::Other(protocol) => {
                Self::Other(protocol)
            }
        }
    }
}

/// What goes to a provider.
#[derive(Debug)]
pub(super) struct Exchange<'p> {
    /// All of it but what shows whose it is.
    pub(super) request: Request<Pieces>,
    /// How the answer is read.
    pub(super) way: Way<'p>,
    /// Parameters that the provider does not get.
    pub(super) dropped: Vec<Cow<'static, str>>,
}

/// Why there is no exchange yet.
#[derive(Debug)]
pub(super) enum NotYet {
    /// There is none.
    Failure(Failure),
    /// The provider must be given the bytes of what stands at these addresses.
    Wants(Vec<String>),
}

impl From<Failure> for NotYet {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Makes the exchange of an attempt for `model`, the provider's name of the model.
pub(super) fn prepare<'p>(
    attempt: &Attempt,
    model: &str,
    given: (&'p Providers, &Fetched),
) -> Result<Exchange<'p>, NotYet> {
    let deployment = attempt.call.live.deployment(attempt.deployment);
    let Some(call) = resume::prepared(&attempt.call, deployment) else {
        return Err(Failure::Internal.into());
    };
    let attempt = &Attempt { call, ..*attempt };
    let call = &attempt.call;
    let rules = Rules::of(call, deployment);
    let Some((stripped, mut dropped)) = rules.strip(call) else {
        return build(attempt, model, &rules, given);
    };
    let attempt = Attempt {
        call: Arc::new(stripped),
        ..*attempt
    };
    let mut exchange = build(&attempt, model, &rules, given)?;
    dropped.append(&mut exchange.dropped);
    exchange.dropped = dropped;
    Ok(exchange)
}

fn build<'p>(
    attempt: &Attempt,
    model: &str,
    rules: &Rules<'_>,
    (providers, fetched): (&'p Providers, &Fetched),
) -> Result<Exchange<'p>, NotYet> {
    let call = &attempt.call;
    let deployment = call.live.deployment(attempt.deployment);
    let endpoint = call.live.endpoint(attempt.deployment);
    let spoken = deployment.provider.protocol;
    let openai = matches!(spoken, table::Protocol::OpenAi | table::Protocol::Azure);
    if openai && call.route.dialect() == Dialect::OpenAi {
        return same(attempt, model, rules).map_err(NotYet::from);
    }
    if let Some(exchange) = of_responses(attempt, model)? {
        return Ok(exchange);
    }
    let protocol = providers.protocol_of(&deployment.provider);
    let protocol = protocol.ok_or_else(|| unserved(call, deployment))?;
    let task = task(call, protocol, model).ok_or_else(|| unserved(call, deployment))?;
    let vendor = Vendor::of(&deployment.provider);
    let model = &*vendor.model(call.route, model);
    let ask = ask(attempt, model, task, rules);
    let contents = call.route.dialect() == Dialect::Gemini;
    if contents
        && protocol.dialect(model) == Some(Dialect::Gemini)
        && let Some(exchange) = as_it_is(attempt, protocol, &ask)?
    {
        return Ok(exchange);
    }
    let uri = if openai {
        let route = if task == Task::Embed {
            Route::Embeddings
        } else {
            Route::Chat
        };
        endpoint.uri(route, model)
    } else {
        let path = protocol.path(ask.task, model);
        path.and_then(|path| endpoint.below(&path))
    };
    let uri = uri.ok_or_else(|| unserved(call, deployment))?;
    let messages = call.route.dialect() == Dialect::Anthropic;
    if messages && protocol.dialect(model) == Some(Dialect::Anthropic) {
        let body = openai::request::body(call, deployment, endpoint.model_literal(model), endpoint);
        let mut request = request(uri, body, endpoint);
        let own = protocol.headers(&ask);
        for (name, value) in call.passed.iter().cloned().chain(own) {
            request.headers_mut().entry(name).or_insert(value);
        }
        return Ok(Exchange {
            request,
            way: Way::Messages(protocol),
            dropped: Vec::new(),
        });
    }
    let mut dropped = Vec::new();
    let written = match task {
        Task::Chat | Task::Stream | Task::CountTokens => {
            let mut chat = if call.route.is_media() {
                Arc::new(media_of(attempt, rules, &mut dropped)?)
            } else {
                affordable(call, conversation(call, deployment)?)
            };
            let wanted = fetch::wanted(protocol, &ask, &chat);
            if !fetched.has(&wanted) {
                return Err(NotYet::Wants(wanted));
            }
            if !wanted.is_empty() {
                fetched.put_into(Arc::make_mut(&mut chat));
            }
            protocol.write_chat(&ask, &chat)
        }
        Task::Embed => protocol.write_embed(&ask, &vectors::read_embed(call, deployment)?),
        Task::Rerank => protocol.write_rerank(&ask, &vectors::read_rerank(call, deployment)?),
    };
    let written = written.map_err(|unfit| refused(attempt, unfit))?;
    dropped.extend(written.dropped);
    let Written { body, headers, .. } = written;
    let mut request = request(uri, SmallVec::from_iter([body]), endpoint);
    // What the file says stands, even where the protocol says otherwise.
    for (name, value) in protocol.headers(&ask).into_iter().chain(headers) {
        request.headers_mut().entry(name).or_insert(value);
    }
    Ok(Exchange {
        request,
        way: Way::Other(protocol),
        dropped: dropped.into_iter().map(Cow::Borrowed).collect(),
    })
}

/// The exchange of a call in the dialect of responses with a provider that has them; `None` if it has
/// no such request, and need not have it.
fn of_responses<'p>(attempt: &Attempt, model: &str) -> Result<Option<Exchange<'p>>, Failure> {
    let call = &attempt.call;
    let endpoint = call.live.endpoint(attempt.deployment);
    let own = match call.route {
        Route::Responses | Route::Compact => true,
        Route::InputTokens => openai::responses::counts(call, attempt.deployment),
        _ => false,
    };
    let Some(uri) = endpoint.uri(call.route, model).filter(|_| own) else {
        return if call.route.wants_keeper() || call.in_background() {
            let deployment = call.live.deployment(attempt.deployment);
            Err(unserved(call, deployment))
        } else {
            Ok(None)
        };
    };
    let model = endpoint.model_literal(model);
    let body = openai::responses::request::body(call, attempt.deployment, model)
        .map_err(|unfit| refused(attempt, unfit))?;
    Ok(Some(Exchange {
        request: request(uri, body, endpoint),
        way: Way::Responses,
        dropped: Vec::new(),
    }))
}

/// The exchange of a call in OpenAI's dialect with one who speaks it.
fn same<'p>(attempt: &Attempt, model: &str, rules: &Rules<'_>) -> Result<Exchange<'p>, Failure> {
    let call = &attempt.call;
    let deployment = call.live.deployment(attempt.deployment);
    let endpoint = call.live.endpoint(attempt.deployment);
    let vendor = Vendor::of(&deployment.provider);
    let model = &*vendor.model(call.route, model);
    let uri = endpoint.uri(call.route, model);
    let uri = uri.ok_or_else(|| unserved(call, deployment))?;
    let mut body = openai::request::body(call, deployment, endpoint.model_literal(model), endpoint);
    let mut dropped = Vec::new();
    if call.route == Route::Chat && vendor.fits() {
        let asked = (&*body.concat(), &rules.params());
        let fitted = vendor.fit(deployment, model, asked, &mut dropped);
        if let Some(fitted) = fitted.map_err(|unfit| refused(attempt, unfit))? {
            body = SmallVec::from_iter([fitted]);
        }
    }
    let request = match &call.files {
        Some(files) => form(uri, call, &body.concat(), files, endpoint)?,
        None => request(uri, body, endpoint),
    };
    Ok(Exchange {
        request,
        way: Way::Same,
        dropped: dropped.into_iter().map(Cow::Borrowed).collect(),
    })
}

/// The exchange of a call in Gemini's dialect with a provider that speaks it; `None` if the provider
/// has no such request.
fn as_it_is<'p>(
    attempt: &Attempt,
    protocol: &'p dyn Protocol,
    ask: &Ask<'_>,
) -> Result<Option<Exchange<'p>>, Failure> {
    let call = &attempt.call;
    let deployment = ask.deployment;
    let mut dropped = Vec::new();
    let mut defaults = serde_json::Map::new();
    if call.route.speaks() && !deployment.defaults.is_empty() {
        // Said as a request of its own, so that they come under the provider's names.
        let said = chat::Message {
            role: chat::Role::User,
            parts: vec![chat::Part::text(".")],
            name: None,
        };
        let given = chat::Request {
            messages: vec![said],
            ..file_gives(deployment)?
        };
        let written = protocol.write_chat(ask, &given);
        let written = written.map_err(|unfit| refused(attempt, unfit))?;
        defaults = serde_json::from_slice(&written.body).unwrap_or_default();
        dropped = written.dropped;
    }
    let on_vertex = deployment.provider.protocol == table::Protocol::VertexAi;
    let Some((path, body)) = gemini::as_it_is(on_vertex, call, ask.model, defaults) else {
        return Ok(None);
    };
    let endpoint = call.live.endpoint(attempt.deployment);
    let uri = endpoint.below(&path);
    let uri = uri.ok_or_else(|| unserved(call, deployment))?;
    let mut request = request(uri, body, endpoint);
    for (name, value) in protocol.headers(ask) {
        request.headers_mut().entry(name).or_insert(value);
    }
    Ok(Some(Exchange {
        request,
        way: Way::Contents(protocol),
        dropped: dropped.into_iter().map(Cow::Borrowed).collect(),
    }))
}

/// Whether the provider itself counts the tokens of a prompt.
pub(super) fn counts(deployment: &table::Deployment, providers: &Providers) -> bool {
    let protocol = providers.protocol_of(&deployment.provider);
    protocol.is_some_and(|protocol| {
        protocol
            .path(Task::CountTokens, &deployment.model)
            .is_some()
    })
}

/// What a protocol is told about an attempt.
fn ask<'a>(attempt: &'a Attempt, model: &'a str, task: Task, rules: &'a Rules<'_>) -> Ask<'a> {
    let call = &attempt.call;
    Ask {
        task,
        model,
        deployment: call.live.deployment(attempt.deployment),
        params: rules.params(),
    }
}

/// What a protocol is told when an answer is there.
pub(super) fn ask_of_answer<'a>(
    attempt: &'a Attempt,
    protocol: &dyn Protocol,
    model: &'a str,
) -> Ask<'a> {
    Ask {
        // What has no task was never asked.
        task: task(&attempt.call, protocol, model).unwrap_or(Task::Chat),
        model,
        deployment: attempt.call.live.deployment(attempt.deployment),
        params: super::protocol::Params::default(),
    }
}

/// `None` if only OpenAI's protocol knows such a thing.
fn task(call: &Call, protocol: &dyn Protocol, model: &str) -> Option<Task> {
    Some(match call.route {
        Route::Speech if protocol.gives(Gives::Speech, model) => Task::Chat,
        Route::Images if protocol.gives(Gives::Images, model) => Task::Chat,
        route if route.speaks() && call.peek.stream => Task::Stream,
        route if route.speaks() => Task::Chat,
        route if route.counts() => Task::CountTokens,
        route if route.embeds() => Task::Embed,
        Route::Rerank => Task::Rerank,
        _ => return None,
    })
}

/// The conversation with what the file gives where the caller gave nothing.
fn conversation(
    call: &Call,
    deployment: &table::Deployment,
) -> Result<Arc<chat::Request>, Failure> {
    let chat = dialect::read(call)?;
    if deployment.defaults.is_empty() {
        return Ok(chat);
    }
    let mut chat = (*chat).clone();
    chat.fill(file_gives(deployment)?);
    Ok(Arc::new(chat))
}

/// The conversation that a request for speech or images stands for. What no such model has is refused,
/// or noted in `dropped`.
fn media_of(
    attempt: &Attempt,
    rules: &Rules<'_>,
    dropped: &mut Vec<&'static str>,
) -> Result<chat::Request, Failure> {
    let deployment = attempt.call.live.deployment(attempt.deployment);
    let (mut chat, lacks) = dialect::media::read(&attempt.call)?;
    for name in lacks {
        let lacked = rules.params().lacks(name, dropped);
        lacked.map_err(|unfit| refused(attempt, unfit))?;
    }
    if !deployment.defaults.is_empty() {
        chat.fill(file_gives(deployment)?);
    }
    Ok(chat)
}

/// What the file gives a request of a deployment's.
fn file_gives(deployment: &table::Deployment) -> Result<chat::Request, Failure> {
    let members = deployment.defaults.iter().map(|(name, value)| {
        let mut member = Vec::new();
        crate::wire::json::push_string(&mut member, name);
        format!("{}:{value}", String::from_utf8_lossy(&member))
    });
    let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    dialect::read_defaults(text.as_bytes())
}

/// A conversation whose answer is no longer than the caller's budgets pay for.
fn affordable(call: &Call, mut chat: Arc<chat::Request>) -> Arc<chat::Request> {
    if let Some(most) = call.tab.most_output() {
        let chat = Arc::make_mut(&mut chat);
        chat.max_tokens = Some(chat.max_tokens.map_or(most, |own| own.min(most)));
    }
    chat
}

/// Headers are made new: nothing of the caller's head goes to the provider.
fn request(uri: Uri, body: SmallVec<[Bytes; 4]>, endpoint: &Endpoint) -> Request<Pieces> {
    let mut request = Request::new(Pieces::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::USER_AGENT, AGENT);
    for (name, value) in &endpoint.headers {
        headers.insert(name.clone(), value.clone());
    }
    request
}

/// A request that is a form: the members of `object`, and files.
fn form(
    uri: Uri,
    call: &Call,
    object: &[u8],
    files: &[File],
    endpoint: &Endpoint,
) -> Result<Request<Pieces>, Failure> {
    // The row's id is random and is not told before the answer, so no file can hold it on purpose.
    let boundary = format!("pointsman-{:032x}", call.tab.id);
    let body = openai::form::body(object, files, &boundary).ok_or(Failure::Internal)?;
    let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    let mut request = request(uri, body, endpoint);
    let kind = kind.map_err(|_| Failure::Internal)?;
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(request)
}

fn unserved(call: &Call, deployment: &table::Deployment) -> Failure {
    Failure::NoDeployment {
        group: call.group_name().to_owned(),
        why: NoDeployment::Unserved {
            providers: deployment.provider.name.to_string(),
        },
    }
}

/// A request that the protocol cannot say.
pub(super) fn refused(attempt: &Attempt, unfit: Unfit) -> Failure {
    let Unfit {
        param,
        what,
        droppable,
    } = unfit;
    let mut failure = fault(attempt, UpstreamKind::Unfit { droppable }, &what);
    if let Failure::Upstream(fault) = &mut failure {
        fault.param = param.map(Cow::into_owned);
    }
    failure
}
