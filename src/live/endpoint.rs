//! What a deployment is bound to: address, credential and the header values that name it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use pointsman_routes::table::{Auth, Credential, Deployment, Protocol, Provider, Routes, Value};

use super::aws;
use super::azure;
use super::environment::{Environment, fault};
use super::google;
use super::{BindFault, Registered};
use crate::wire::json;
use crate::wire::route::Route;

/// Azure's `api-version` where neither file nor environment names one; LiteLLM's default.
const AZURE_API_VERSION: &str = "2025-02-01-preview";
/// The first Azure API version that takes `stream_options`.
const AZURE_STREAM_OPTIONS_SINCE: &str = "2024-09-01";

/// A deployment, ready to be asked.
pub struct Endpoint {
    /// Whether this build speaks its protocol.
    pub served: bool,
    /// Where it stands.
    address: Address,
    /// Where it has responses of its own, if it has.
    responses: Option<Uri>,
    /// How a request shows whose it is.
    pub authority: Authority,
    /// Headers of the file.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The file's options for the protocol, by name.
    options: Vec<(String, String)>,
    /// The model's name as a JSON string, unless it holds a `*`.
    model: Option<Bytes>,
    /// Whether usage may be asked for in streams.
    pub asks_usage: bool,
    /// Deadline of a whole answer, or of a stream's head.
    pub timeout: Duration,
    /// Deadline of a stream's first chunk.
    pub stream_timeout: Duration,
    /// Header values that name it.
    pub names: Names,
    /// Secrets that its provider may echo.
    secrets: Vec<String>,
}

/// Header values that name a deployment.
#[derive(Clone, Debug)]
pub struct Names {
    /// `x-litellm-model-id`.
    pub id: HeaderValue,
    /// `x-litellm-model-name`.
    pub model: HeaderValue,
    /// `x-litellm-model-api-base`, without query and user.
    pub api_base: HeaderValue,
    /// `x-litellm-model-region`.
    pub region: Option<HeaderValue>,
    /// The unchanging headers of its answers, whole and streamed, as the front door makes them at
    /// the first one.
    pub told: [OnceLock<HeaderMap>; 2],
}

/// How a request shows whose it is.
#[derive(Clone, Debug)]
pub enum Authority {
    /// Not at all.
    None,
    /// By this header.
    Header(HeaderName, HeaderValue),
    /// By a token of Google's.
    Google(Arc<google::Tokens>),
    /// By a signature of the request.
    Aws(Arc<aws::Signer>),
}

enum Address {
    /// One for each route of OpenAI's.
    Fixed(Box<[(Route, Uri)]>),
    /// Azure's for a model with `*`: what stands before the model's name, and behind it by route.
    ByModel(String, Box<[(Route, String)]>),
    /// What stands before the path, which the protocol makes.
    Base(String),
    /// Nowhere: the gateway answers itself, or cannot ask.
    None,
}

impl Endpoint {
    pub(super) fn bind(
        routes: &Routes,
        deployment: &Deployment,
        environment: &Environment<'_>,
        faults: &mut Vec<BindFault>,
    ) -> Self {
        let provider = &*deployment.provider;
        let path = |key: &str| path_of(deployment, key);
        let served = deployment.mock.is_some() || is_spoken(provider.protocol);
        let written = |value: &Option<Value>, key: &str, faults: &mut Vec<BindFault>| {
            value
                .as_ref()
                .and_then(|value| environment.value(value, &path(key), faults))
        };
        let mut secrets = Vec::new();
        let options = options(deployment, environment, served, &mut secrets, faults);
        let option = |name: &str| option_of(&options, name).map(str::to_owned);
        let at_aws = provider.protocol == Protocol::Bedrock;
        let region = at_aws.then(|| {
            let named = option_of(&options, "aws_region_name");
            aws::region(named, &deployment.model, |name| environment.get(name))
        });
        let base = written(&deployment.api_base, "api_base", faults)
            .or_else(|| option("aws_bedrock_runtime_endpoint"))
            .or_else(|| environment.first(&provider.base_env))
            .or_else(|| provider.base_url.as_deref().map(str::to_owned))
            .or_else(|| region.as_deref().map(aws::base));
        let version = written(&deployment.api_version, "api_version", faults)
            .or_else(|| environment.get("AZURE_API_VERSION"))
            .unwrap_or_else(|| AZURE_API_VERSION.to_owned());
        let key = match &deployment.api_key {
            Some(secret) => environment.secret(secret, &path("api_key"), faults),
            // Who names other credentials does not mean the environment's key.
            None if at_aws
                && option("aws_access_key_id")
                    .or(option("aws_role_name"))
                    .is_some() =>
            {
                None
            }
            None => environment.first(&provider.key_env),
        };

        let mut base =
            base.map(|base| azure::place(provider, &version, with_path(&base, &provider.path)));
        let mut tokens = None;
        if provider.protocol == Protocol::VertexAi && deployment.mock.is_none() {
            match google::place(option, |name| environment.get(name), base.take()) {
                Ok(place) => {
                    base = Some(place.base);
                    tokens = Some(place.tokens);
                }
                Err((name, what)) => faults.push(fault(&path(name), &what)),
            }
        }
        let address = if served && deployment.mock.is_none() {
            address(deployment, base.as_deref(), &version, faults)
        } else {
            Address::None
        };

        let own = address.chats() && !bridged(&options);
        let responses = (base.as_deref().filter(|_| own))
            .and_then(|base| azure::responses(provider, base, &version));

        secrets.extend(key.iter().cloned());
        let credential = key.and_then(|key| {
            let what = "the key holds characters that no header may";
            let shown = credential_at(provider, base.as_deref(), &key);
            faults.extend(shown.is_none().then(|| fault(&path("api_key"), &what)));
            shown
        });
        let authority = match (credential, tokens, region) {
            (Some((name, value)), ..) => Authority::Header(name, value),
            (None, Some(tokens), _) => Authority::Google(Arc::new(tokens)),
            (None, None, Some(region)) => {
                Authority::Aws(Arc::new(aws::Signer::new(region, option)))
            }
            (None, None, None) => Authority::None,
        };
        let organization = written(&deployment.organization, "organization", faults);
        let headers = headers(deployment, organization, environment, &mut secrets, faults);

        let timeout = deployment.timeout.or(routes.router.timeout);
        let stream_timeout = deployment.stream_timeout.or(routes.router.stream_timeout);
        let whole = routes.settings.request_timeout;
        Self {
            served,
            address,
            responses,
            authority,
            headers,
            options,
            model: (!deployment.model.contains('*')).then(|| literal(&deployment.model)),
            asks_usage: provider.stream_options
                && (provider.protocol != Protocol::Azure
                    || version.as_str() >= AZURE_STREAM_OPTIONS_SINCE),
            timeout: timeout.unwrap_or(whole).min(whole),
            stream_timeout: stream_timeout.or(timeout).unwrap_or(whole).min(whole),
            names: Names {
                id: header_value(&deployment.id),
                model: header_value(&deployment.litellm_model),
                api_base: header_value(base.as_deref().map_or("", shown_base)),
                region: deployment.region.as_deref().map(header_value),
                told: Default::default(),
            },
            secrets,
        }
    }

    /// Where to send a request of one of OpenAI's routes for this model. `None` if the deployment
    /// has no such address. Allocates only for Azure's models with a `*`.
    pub fn uri(&self, route: Route, model: &str) -> Option<Uri> {
        match route {
            Route::Responses => return self.responses.clone(),
            Route::InputTokens | Route::Compact => {
                let end = &route.path()[Route::Responses.path().len()..];
                return self.responses(end, "");
            }
            _ => {}
        }
        match &self.address {
            Address::Fixed(uris) => by_route(uris, route).cloned(),
            Address::ByModel(before, after) => {
                let after = by_route(after, route)?;
                format!("{before}{}{after}", in_path(model)).parse().ok()
            }
            Address::Base(_) | Address::None => None,
        }
    }

    /// Whether it has responses of its own, and keeps them.
    pub const fn keeps_responses(&self) -> bool {
        self.responses.is_some()
    }

    /// Where something of its responses stands: below the place where they are made, with that one's
    /// query and this one. `None` if it has none.
    pub fn responses(&self, below: &str, query: &str) -> Option<Uri> {
        let made = self.responses.as_ref()?;
        let own = made.query().unwrap_or("");
        let both = !own.is_empty() && !query.is_empty();
        let mark = if own.is_empty() && query.is_empty() {
            ""
        } else {
            "?"
        };
        let and = if both { "&" } else { "" };
        let whole = made.to_string();
        let path = whole.split('?').next().unwrap_or(&whole);
        format!("{path}{below}{mark}{own}{and}{query}").parse().ok()
    }

    /// Where to send a request with this path and query, which the protocol made. What the base
    /// ends in already is not put there twice. `None` if the deployment has no such address.
    pub fn below(&self, path: &str) -> Option<Uri> {
        let Address::Base(base) = &self.address else {
            return None;
        };
        let end = path.find('?').unwrap_or(path.len());
        let ends = path.match_indices('/').map(|(at, _)| at).chain([end]);
        let common = ends
            .filter(|at| *at <= end && base.ends_with(&path[..*at]))
            .max()
            .unwrap_or(0);
        format!("{base}{}", &path[common..]).parse().ok()
    }

    /// Whether both ask as the same customer of the same server, so that what one has kept there the
    /// other finds.
    pub fn shares_account(&self, other: &Self) -> bool {
        let shown = |endpoint: &Self| match &endpoint.authority {
            Authority::Header(_, value) => Some(value.clone()),
            _ => None,
        };
        let header = |endpoint: &Self| {
            let own = endpoint.headers.iter();
            own.clone()
                .find(|(name, _)| *name == header::AUTHORIZATION)
                .map(|(_, value)| value.clone())
        };
        self.responses.is_some()
            && self.responses == other.responses
            && shown(self) == shown(other)
            && header(self) == header(other)
    }

    /// An option of the file for the protocol, such as `aws_region_name`.
    pub fn option(&self, name: &str) -> Option<&str> {
        option_of(&self.options, name)
    }

    /// The model's name as a JSON string; `model` is the name, filled.
    pub fn model_literal(&self, model: &str) -> Bytes {
        // A health check may ask another model than the deployment's own.
        let own = |literal: &Bytes| literal.get(1..=model.len()) == Some(model.as_bytes());
        if let Some(literal) = &self.model
            && literal.len() == model.len() + 2
            && own(literal)
        {
            return literal.clone();
        }
        literal(model)
    }

    /// A provider's text without the secrets of this deployment and others that it holds.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let known: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        crate::error::redact(text, &known)
    }

    /// Whether a provider's header value holds a secret of this deployment.
    pub fn echoes_secret(&self, value: &[u8]) -> bool {
        let holds = |secret: &String| {
            value.len() >= secret.len() && memchr::memmem::find(value, secret.as_bytes()).is_some()
        };
        self.secrets.iter().any(holds)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// Whether an OpenAI-like server stands there.
    const fn chats(&self) -> bool {
        matches!(self, Self::Fixed(_) | Self::ByModel(..))
    }

    fn new(protocol: Protocol, base: &str, model: &str, query: &str) -> Result<Self, String> {
        if !matches!(protocol, Protocol::OpenAi | Protocol::Azure) {
            let base = match protocol {
                // Ollama's other API stands there, which this one does not.
                Protocol::Ollama => base.strip_suffix("/v1").unwrap_or(base),
                _ => base,
            };
            check(base)?;
            return Ok(Self::Base(base.to_owned()));
        }
        // Azure's newer path has no deployment in it; a base that names the deployment is complete.
        let classic = protocol == Protocol::Azure && !base.contains("/openai/v1");
        let behind = OPENAI_ROUTES.map(|route| (route, format!("{}{query}", route.path())));
        let before = if classic && !base.contains("/openai/deployments/") {
            let deployments = format!("{base}/openai/deployments/");
            if model.contains('*') {
                check(&format!("{deployments}x{}", behind[0].1))?;
                return Ok(Self::ByModel(deployments, behind.into()));
            }
            format!("{deployments}{}", in_path(model))
        } else {
            base.to_owned()
        };
        let uris = behind.iter().map(|(route, behind)| {
            let uri = check(&format!("{before}{behind}"))?;
            Ok::<_, String>((*route, uri))
        });
        Ok(Self::Fixed(uris.collect::<Result<_, _>>()?))
    }
}

/// The fault of a deployment whose provider nobody has registered.
pub(super) fn unregistered(deployment: &Deployment, registered: &Registered) -> Option<BindFault> {
    let provider = &*deployment.provider;
    let custom = provider.protocol == Protocol::Custom && deployment.mock.is_none();
    let missing = custom && !registered.has(&provider.name);
    missing.then(|| {
        let what = format!(
            "the provider `{}` has a `custom_handler`, which the program that the gateway is part of \
             registers, and this one has not: see docs/custom-providers.md",
            provider.name
        );
        fault(&path_of(deployment, "model"), &what)
    })
}

/// Whether this build speaks a protocol.
const fn is_spoken(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::OpenAi
            | Protocol::Azure
            | Protocol::Anthropic
            | Protocol::Bedrock
            | Protocol::Gemini
            | Protocol::VertexAi
            | Protocol::Cohere
            | Protocol::Ollama
            | Protocol::Voyage
            | Protocol::Jina
            | Protocol::Custom
    )
}

/// The routes that OpenAI's servers have.
const OPENAI_ROUTES: [Route; 11] = [
    Route::Chat,
    Route::Completions,
    Route::Embeddings,
    Route::Rerank,
    Route::Moderations,
    Route::Images,
    Route::ImageEdits,
    Route::ImageVariations,
    Route::Speech,
    Route::Transcriptions,
    Route::Translations,
];

fn by_route<T>(list: &[(Route, T)], route: Route) -> Option<&T> {
    let found = list.iter().find(|(known, _)| *known == route);
    found.map(|(_, value)| value)
}

fn check(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("not a URL that starts with http:// or https://".to_owned()),
    }
}

fn in_path(model: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(model, PLAIN).to_string()
}

/// Whether the file wants chat to be asked where responses could be.
fn bridged(options: &[(String, String)]) -> bool {
    option_of(options, "use_chat_completions_api") == Some("true")
}

/// Where a deployment stands; a fault if that cannot be said.
fn address(
    deployment: &Deployment,
    base: Option<&str>,
    version: &str,
    faults: &mut Vec<BindFault>,
) -> Address {
    let provider = &*deployment.provider;
    let made = match base {
        Some(base) => {
            let query = azure::query(provider, deployment, version, base);
            Address::new(provider.protocol, base, &deployment.model, &query)
        }
        // Why it has none is told where it is made.
        None if provider.protocol == Protocol::VertexAi => Ok(Address::None),
        None => Err(format!(
            "provider `{}` has no address of its own: give one",
            provider.name
        )),
    };
    made.unwrap_or_else(|what| {
        faults.push(fault(&path_of(deployment, "api_base"), &what));
        Address::None
    })
}

fn option_of<'a>(options: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = options.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| &**value)
}

/// The file's options for the protocol.
fn options(
    deployment: &Deployment,
    environment: &Environment<'_>,
    served: bool,
    secrets: &mut Vec<String>,
    faults: &mut Vec<BindFault>,
) -> Vec<(String, String)> {
    let mut options = Vec::new();
    for (name, value) in deployment.options.iter().filter(|_| served) {
        let at = path_of(deployment, name);
        if let Some(text) = environment.credential(value, &at, faults) {
            if matches!(credential_kind(value), Kind::Secret) {
                secrets.push(text.clone());
            }
            options.push((name.to_string(), text));
        }
    }
    options
}

/// The headers of the file.
fn headers(
    deployment: &Deployment,
    organization: Option<String>,
    environment: &Environment<'_>,
    secrets: &mut Vec<String>,
    faults: &mut Vec<BindFault>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    if let Some(value) = organization.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.push((HeaderName::from_static("openai-organization"), value));
    }
    for (name, value) in deployment.headers.iter() {
        let at = path_of(deployment, &format!("extra_headers.{name}"));
        let Some(text) = environment.credential(value, &at, faults) else {
            continue;
        };
        match (HeaderName::try_from(&**name), HeaderValue::from_str(&text)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            _ => faults.push(fault(&at, &"not a header name and value")),
        }
        if matches!(credential_kind(value), Kind::Secret) {
            secrets.push(text);
        }
    }
    if deployment.provider.name == "openrouter" {
        headers.extend(of_openrouter(environment, &headers));
    }
    headers
}

/// Who asks, for OpenRouter's rankings, from the variables that LiteLLM reads; the file's own headers
/// stand.
///
/// Source: OpenRouter's API reference, "Headers".
fn of_openrouter(
    environment: &Environment<'_>,
    known: &[(HeaderName, HeaderValue)],
) -> Vec<(HeaderName, HeaderValue)> {
    let told = [("http-referer", "OR_SITE_URL"), ("x-title", "OR_APP_NAME")];
    let header = |(name, variable)| {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_str(&environment.get(variable)?).ok()?;
        let given = known.iter().any(|(known, _)| *known == name);
        (!given).then_some((name, value))
    };
    told.into_iter().filter_map(header).collect()
}

/// Where a parameter of the entry stands in the file.
fn path_of(deployment: &Deployment, key: &str) -> String {
    format!("model_list[{}].litellm_params.{key}", deployment.id)
}

enum Kind {
    Plain,
    Secret,
}

fn credential_kind(credential: &Credential) -> Kind {
    match credential {
        Credential::Plain(_) => Kind::Plain,
        Credential::Secret(_) => Kind::Secret,
    }
}

/// A model's name as a JSON string.
fn literal(model: &str) -> Bytes {
    let mut literal = Vec::with_capacity(model.len() + 2);
    json::push_string(&mut literal, model);
    literal.into()
}

fn credential_at(
    provider: &Provider,
    base: Option<&str>,
    key: &str,
) -> Option<(HeaderName, HeaderValue)> {
    if azure::takes_bearer(provider, base) {
        bearer(key)
    } else {
        credential(provider, key)
    }
}

fn bearer(key: &str) -> Option<(HeaderName, HeaderValue)> {
    shown(header::AUTHORIZATION, &format!("Bearer {key}"))
}

pub(super) fn credential(provider: &Provider, key: &str) -> Option<(HeaderName, HeaderValue)> {
    match &provider.auth {
        Auth::Header(name) => shown(HeaderName::try_from(&**name).ok()?, key),
        Auth::Bearer | Auth::Protocol => bearer(key),
    }
}

fn shown(name: HeaderName, text: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The base URL without a slash at its end, and with the provider's path, once.
fn with_path(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    if path.is_empty() || base.ends_with(path) {
        base.to_owned()
    } else {
        format!("{base}{path}")
    }
}

/// An address without what may be secret in it: user, password, query.
fn shown_base(base: &str) -> &str {
    let base = base.split(['?', '#']).next().unwrap_or(base);
    let Some((_, rest)) = base.split_once("://") else {
        return base;
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some(_) => "",
        None => base,
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_behind_the_base_once() {
        let joined = |base: &str, path: &str| {
            let mut endpoint = bound();
            endpoint.address = Address::Base(base.to_owned());
            endpoint.below(path).unwrap().to_string()
        };
        let whole = "https://a.example/v1/messages";
        for base in [
            "https://a.example",
            "https://a.example/v1",
            "https://a.example/v1/messages",
        ] {
            assert_eq!(joined(base, "/v1/messages"), whole);
        }
        assert_eq!(
            joined("https://a.example/x", "/v1/m:stream?alt=sse/x"),
            "https://a.example/x/v1/m:stream?alt=sse/x"
        );
    }

    fn bound() -> Endpoint {
        let config =
            "model_list:\n- {model_name: a, litellm_params: {model: openai/a, api_key: k}}\n";
        let loaded = pointsman_routes::load("test.yaml", config).loaded.unwrap();
        let environment =
            Environment::new(&loaded.routes, &loaded.literals, &|_| None, &mut Vec::new());
        let deployment = &loaded.routes.deployments[0];
        Endpoint::bind(&loaded.routes, deployment, &environment, &mut Vec::new())
    }
}
