//! What a deployment is bound to: address, credential and the header values that name it.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use pointsman_routes::table::{Auth, Credential, Deployment, Protocol, Provider, Routes, Value};

use super::BindFault;
use super::environment::{Environment, fault};
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
    /// What shows the key.
    pub credential: Option<(HeaderName, HeaderValue)>,
    /// Headers of the file.
    pub headers: Vec<(HeaderName, HeaderValue)>,
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

enum Address {
    /// One for each route.
    Fixed([Uri; 3]),
    /// Azure's for a model with `*`: what stands before the model's name, and behind it by route.
    ByModel(String, [String; 3]),
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
        let path = |key: &str| format!("model_list[{}].litellm_params.{key}", deployment.id);
        let served = deployment.mock.is_some()
            || matches!(provider.protocol, Protocol::OpenAi | Protocol::Azure);

        let written = |value: &Option<Value>, key: &str, faults: &mut Vec<BindFault>| {
            value
                .as_ref()
                .and_then(|value| environment.value(value, &path(key), faults))
        };
        let base = written(&deployment.api_base, "api_base", faults)
            .or_else(|| environment.first(&provider.base_env))
            .or_else(|| provider.base_url.as_deref().map(str::to_owned));
        let version = written(&deployment.api_version, "api_version", faults)
            .or_else(|| environment.get("AZURE_API_VERSION"))
            .unwrap_or_else(|| AZURE_API_VERSION.to_owned());
        let key = match &deployment.api_key {
            Some(secret) => environment.secret(secret, &path("api_key"), faults),
            None => environment.first(&provider.key_env),
        };

        let base = base.map(|base| with_path(&base, &provider.path));
        let address = if !served || deployment.mock.is_some() {
            Address::None
        } else if let Some(base) = &base {
            Address::new(provider.protocol, base, &deployment.model, &version).unwrap_or_else(
                |what| {
                    faults.push(fault(&path("api_base"), &what));
                    Address::None
                },
            )
        } else {
            let what = format!(
                "provider `{}` has no address of its own: give one",
                provider.name
            );
            faults.push(fault(&path("api_base"), &what));
            Address::None
        };

        let mut secrets: Vec<String> = key.iter().cloned().collect();
        let credential = key.and_then(|key| {
            let shown = credential(provider, &key);
            if shown.is_none() {
                faults.push(fault(
                    &path("api_key"),
                    &"the key holds characters that no header may",
                ));
            }
            shown
        });
        let mut headers = Vec::new();
        if let Some(organization) = written(&deployment.organization, "organization", faults)
            && let Ok(value) = HeaderValue::from_str(&organization)
        {
            headers.push((HeaderName::from_static("openai-organization"), value));
        }
        for (name, value) in deployment.headers.iter() {
            let at = path(&format!("extra_headers.{name}"));
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

        let timeout = deployment.timeout.or(routes.router.timeout);
        let stream_timeout = deployment.stream_timeout.or(routes.router.stream_timeout);
        let whole = routes.settings.request_timeout;
        Self {
            served,
            address,
            credential,
            headers,
            model: (!deployment.model.contains('*')).then(|| {
                let mut literal = Vec::with_capacity(deployment.model.len() + 2);
                json::push_string(&mut literal, &deployment.model);
                literal.into()
            }),
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

    /// Where to send a request of this route for this model. `None` if the deployment has no
    /// address.
    pub fn uri(&self, route: Route, model: &str) -> Option<Uri> {
        match &self.address {
            Address::Fixed(uris) => Some(uris[route as usize].clone()),
            Address::ByModel(before, after) => {
                let after = &after[route as usize];
                format!("{before}{}{after}", in_path(model)).parse().ok()
            }
            Address::None => None,
        }
    }

    /// The model's name as a JSON string; `model` is the name, filled.
    pub fn model_literal(&self, model: &str) -> Bytes {
        if let Some(literal) = &self.model {
            return literal.clone();
        }
        let mut literal = Vec::with_capacity(model.len() + 2);
        json::push_string(&mut literal, model);
        literal.into()
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
    fn new(protocol: Protocol, base: &str, model: &str, version: &str) -> Result<Self, String> {
        let routes = [Route::Chat, Route::Completions, Route::Embeddings].map(Route::path);
        // Azure's newer path has no deployment in it; a base that names the deployment is complete.
        let classic = protocol == Protocol::Azure && !base.contains("/openai/v1");
        let query = if classic {
            format!("?api-version={version}")
        } else {
            String::new()
        };
        let behind = routes.map(|route| format!("{route}{query}"));
        let before = if classic && !base.contains("/openai/deployments/") {
            let deployments = format!("{base}/openai/deployments/");
            if model.contains('*') {
                check(&format!("{deployments}x{}", behind[0]))?;
                return Ok(Self::ByModel(deployments, behind));
            }
            format!("{deployments}{}", in_path(model))
        } else {
            base.to_owned()
        };
        let [chat, completions, embeddings] =
            behind.map(|behind| check(&format!("{before}{behind}")));
        Ok(Self::Fixed([chat?, completions?, embeddings?]))
    }
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

fn credential(provider: &Provider, key: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, text) = match &provider.auth {
        Auth::Header(name) => (HeaderName::try_from(&**name).ok()?, Cow::Borrowed(key)),
        Auth::Bearer | Auth::Protocol => (header::AUTHORIZATION, format!("Bearer {key}").into()),
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
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
