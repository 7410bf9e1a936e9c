//! Where whole APIs are passed on to: providers by their name, and the endpoints of the file.
//!
//! A [`Api`] is one origin with what is shown to it. The caller gives the path below it and the
//! query, and nothing else of the address, so that no request can take a credential elsewhere.

use std::fmt;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Uri};
use pointsman_routes::catalog;
use pointsman_routes::table::{Deployment, PassThrough, Provider, Routes};
use pointsman_routes::usd::Usd;

use super::BindFault;
use super::endpoint::credential;
use super::environment::{Environment, fault};
use crate::wire::usage::Shape;

/// A way through the gateway to one origin.
pub struct Api {
    /// The path before which it stands, such as `/openai`.
    pub prefix: String,
    /// The provider's name in the catalog, or the path of an endpoint of the file.
    pub provider: String,
    /// How its answers tell what they took.
    pub shape: Shape,
    /// What a request costs, if that is known beforehand.
    pub cost: Option<Usd>,
    /// Headers that are added, the credential among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the caller's headers go on, beside those that each API needs.
    pub client_headers: bool,
    /// Whether no key is asked for.
    pub open: bool,
    reach: Reach,
    methods: Vec<Method>,
    target: Option<Target>,
    secrets: Vec<String>,
}

/// Which paths are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The prefix alone.
    Itself,
    /// What stands below it.
    Below,
    /// Both.
    All,
}

struct Target {
    scheme: Scheme,
    authority: Authority,
    /// The path of the base, without a slash behind it.
    path: String,
}

/// Why a path or query is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It leads out of the origin's base, or hides where it leads.
    Path,
    /// There is nowhere to go: the gateway has no key or no address for this provider.
    Unbound,
}

/// The providers whose APIs are passed on, with the path before them.
const PROVIDERS: &[(&str, &str, Shape)] = &[
    ("/openai", "openai", Shape::OpenAi),
    ("/anthropic", "anthropic", Shape::Anthropic),
    ("/gemini", "gemini", Shape::Gemini),
    ("/cohere", "cohere", Shape::Cohere),
    ("/mistral", "mistral", Shape::OpenAi),
    ("/azure", "azure", Shape::OpenAi),
    ("/bedrock", "bedrock", Shape::Unknown),
];

/// Whether a path belongs to an API that is passed on by its provider's name.
pub fn is_provider_path(path: &str) -> bool {
    PROVIDERS
        .iter()
        .any(|(prefix, ..)| below(path, prefix).is_some_and(|rest| rest.len() > 1))
}

/// All apis of a table.
pub(super) fn bind(
    routes: &Routes,
    environment: &Environment<'_>,
    faults: &mut Vec<BindFault>,
) -> Vec<Api> {
    let own = routes.general.pass_through.iter();
    let mut apis: Vec<_> = own
        .map(|endpoint| of_file(endpoint, environment, faults))
        .collect();
    // The longest path is looked at first.
    apis.sort_by_key(|api| std::cmp::Reverse(api.prefix.len()));
    for (prefix, name, shape) in PROVIDERS {
        let provider = catalog::known(name);
        apis.push(of_provider(prefix, provider, *shape, routes, environment));
    }
    apis
}

fn of_file(
    endpoint: &PassThrough,
    environment: &Environment<'_>,
    faults: &mut Vec<BindFault>,
) -> Api {
    let place = format!("general_settings.pass_through_endpoints[{}]", endpoint.path);
    let target = environment.value(&endpoint.target, &place, faults);
    let target = target.and_then(|target| {
        let read = Target::read(&target);
        if read.is_none() {
            let what = "`target` is no URL that starts with http:// or https://";
            faults.push(fault(&place, &what));
        }
        read
    });
    let (mut headers, mut secrets) = (Vec::new(), Vec::new());
    for (name, value) in endpoint.headers.iter() {
        let Some(text) = environment.credential(value, &place, faults) else {
            continue;
        };
        match (HeaderName::try_from(&**name), HeaderValue::from_str(&text)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.push((name, value));
                secrets.extend(words_of(&text));
            }
            _ => faults.push(fault(&place, &format!("`{name}` is no header"))),
        }
    }
    let methods = endpoint.methods.iter();
    Api {
        prefix: endpoint.path.to_string(),
        provider: endpoint.path.to_string(),
        shape: Shape::OpenAi,
        cost: endpoint.cost,
        headers,
        client_headers: endpoint.client_headers,
        open: endpoint.open,
        reach: if endpoint.subpaths {
            Reach::All
        } else {
            Reach::Itself
        },
        methods: methods
            .filter_map(|method| Method::try_from(&**method).ok())
            .collect(),
        target,
        secrets,
    }
}

/// The secret words of a header's value; a scheme such as `Bearer` is none.
fn words_of(value: &str) -> impl Iterator<Item = String> {
    value
        .split_ascii_whitespace()
        .filter(|word| word.len() >= 8)
        .map(str::to_owned)
}

/// A provider's own variables, else the key and address of its first deployment in the file; one
/// with `use_in_pass_through` before all.
fn of_provider(
    prefix: &str,
    provider: &'static Provider,
    shape: Shape,
    routes: &Routes,
    environment: &Environment<'_>,
) -> Api {
    let mut of_it = routes.deployments.iter().filter(|deployment| {
        deployment.provider.name == provider.name && deployment.mock.is_none()
    });
    let chosen = of_it.clone().find(|deployment| {
        let option = deployment.options.iter();
        let mut option = option.filter(|(name, _)| name == "use_in_pass_through");
        // Faults of a deployment are told where it is bound.
        option.any(|(_, value)| {
            let value = environment.credential(value, "", &mut Vec::new());
            value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        })
    });
    let of_environment = || {
        let key = environment.first(&provider.key_env)?;
        Some((key, default_base(provider, environment)))
    };
    let of_deployment = |deployment: &Deployment| {
        let quiet = &mut Vec::new();
        let key = match &deployment.api_key {
            Some(secret) => environment.secret(secret, "", quiet),
            None => environment.first(&provider.key_env),
        };
        let base = deployment.api_base.as_ref();
        let base = base.and_then(|base| environment.value(base, "", quiet));
        Some((key?, base.or_else(|| default_base(provider, environment))))
    };
    let bound = chosen
        .and_then(of_deployment)
        .or_else(of_environment)
        .or_else(|| of_it.find_map(of_deployment));
    let (key, base) = bound.unzip();
    let shown = key.as_deref().and_then(|key| credential(provider, key));
    let target = base.flatten().and_then(|base| Target::read(&base));
    Api {
        prefix: prefix.to_owned(),
        provider: provider.name.to_string(),
        shape,
        cost: None,
        target: target.filter(|_| shown.is_some()),
        headers: shown.into_iter().collect(),
        client_headers: false,
        open: false,
        reach: Reach::Below,
        methods: Vec::new(),
        secrets: key.into_iter().collect(),
    }
}

fn default_base(provider: &Provider, environment: &Environment<'_>) -> Option<String> {
    let own = || provider.base_url.as_deref().map(str::to_owned);
    // Bedrock stands in regions.
    let regional = || {
        let names = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];
        let region = names.into_iter().find_map(|name| environment.get(name))?;
        Some(format!("https://bedrock-runtime.{region}.amazonaws.com"))
    };
    environment
        .first(&provider.base_env)
        .or_else(own)
        .or_else(|| regional().filter(|_| provider.name == "bedrock"))
}

impl Target {
    fn read(text: &str) -> Option<Self> {
        let parts = text.parse::<Uri>().ok()?.into_parts();
        let scheme = parts.scheme?;
        let plain = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        let authority = parts.authority.filter(|authority| {
            plain && !authority.host().is_empty() && !authority.as_str().contains('@')
        })?;
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
        Some(Self {
            scheme,
            authority,
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl Api {
    /// Whether a request of this path goes this way.
    pub(super) fn takes(&self, path: &str) -> bool {
        match below(path, &self.prefix) {
            Some("" | "/") => self.reach != Reach::Below,
            Some(_) => self.reach != Reach::Itself,
            None => false,
        }
    }

    /// Whether it takes this method.
    pub fn allows(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// The address of a request to `path` with this query. What the base ends in already, such as
    /// `/v1`, is not put there twice.
    pub fn uri(&self, path: &str, query: Option<&str>) -> Result<Uri, Refused> {
        let target = self.target.as_ref().ok_or(Refused::Unbound)?;
        let rest = below(path, &self.prefix).ok_or(Refused::Path)?;
        if !is_straight(rest) {
            return Err(Refused::Path);
        }
        let rest = overlap(&target.path, rest).map_or(rest, |twice| &rest[twice..]);
        let mut text = format!("{}{rest}", target.path);
        if text.is_empty() {
            text.push('/');
        }
        if let Some(query) = query
            .map(|query| self.query(query))
            .filter(|query| !query.is_empty())
        {
            text.push('?');
            text.push_str(&query);
        }
        let path = PathAndQuery::try_from(text).map_err(|_| Refused::Path)?;
        Uri::builder()
            .scheme(target.scheme.clone())
            .authority(target.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| Refused::Path)
    }

    /// Gemini's callers show their key in the query; it is the gateway's and stays here.
    fn query(&self, query: &str) -> String {
        let kept = query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            self.shape != Shape::Gemini || name != "key"
        });
        kept.collect::<Vec<_>>().join("&")
    }

    /// A text of the provider's without the secrets that are shown to it.
    pub fn redact<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        let known: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        crate::error::redact(text, &known)
    }

    /// Whether a provider's header value holds a secret that is shown to it.
    pub fn echoes_secret(&self, value: &[u8]) -> bool {
        let mut secrets = self.secrets.iter();
        secrets.any(|secret| memchr::memmem::find(value, secret.as_bytes()).is_some())
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// What of `path` stands behind `prefix`: nothing, or what begins with a slash.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// How many bytes of `rest`, whole steps of it, `base` ends in.
fn overlap(base: &str, rest: &str) -> Option<usize> {
    let ends = rest.match_indices('/').map(|(at, _)| at);
    ends.chain([rest.len()])
        .filter(|at| *at > 0 && base.ends_with(&rest[..*at]))
        .max()
}

/// Whether a path goes down only, however a server may read it: no step is `.` or `..` or empty, in
/// clear or percent-encoded, once or twice over.
fn is_straight(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..3 {
        let strange = |byte: &u8| *byte < 0x20 || matches!(byte, b'\\' | 0x7f);
        if text.iter().any(strange) {
            return false;
        }
        let mut steps = text.split(|byte| *byte == b'/').skip(1).peekable();
        while let Some(step) = steps.next() {
            // A path may end in a slash, and hold no other empty step.
            let empty = step.is_empty() && steps.peek().is_some();
            // Some servers cut parameters off a step.
            let name = step.split(|byte| *byte == b';').next().unwrap_or(step);
            if empty || matches!(name, b"." | b"..") {
                return false;
            }
        }
        let decoded: Vec<u8> = percent_encoding::percent_decode(&text).collect();
        if decoded == text {
            return true;
        }
        text = decoded;
    }
    // Encoded more often than anybody has reason to.
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(prefix: &str, base: &str, shape: Shape) -> Api {
        Api {
            prefix: prefix.to_owned(),
            provider: "openai".to_owned(),
            shape,
            cost: None,
            headers: Vec::new(),
            client_headers: false,
            open: false,
            reach: Reach::All,
            methods: Vec::new(),
            target: Target::read(base),
            secrets: vec!["sk-upstream-secret".to_owned()],
        }
    }

    fn openai(path: &str, query: Option<&str>) -> Result<String, Refused> {
        let api = api("/openai", "https://api.openai.com/v1", Shape::OpenAi);
        api.uri(path, query).map(|uri| uri.to_string())
    }

    #[test]
    fn a_path_is_put_behind_the_base_once() {
        let files = Ok("https://api.openai.com/v1/files?limit=2".to_owned());
        assert_eq!(openai("/openai/v1/files", Some("limit=2")), files);
        assert_eq!(openai("/openai/files", Some("limit=2")), files);
        let bare = api("/anthropic", "https://api.anthropic.com", Shape::Anthropic);
        assert_eq!(
            bare.uri("/anthropic/v1/messages", None).unwrap(),
            "https://api.anthropic.com/v1/messages"
        );
        assert_eq!(
            openai("/openai/v1/x%20y/", None),
            Ok("https://api.openai.com/v1/x%20y/".to_owned())
        );
    }

    #[test]
    fn no_path_leads_out_of_the_base() {
        for path in [
            "/openai/../admin",
            "/openai/v1/../../x",
            "/openai/%2e%2e/x",
            "/openai/%2E./x",
            "/openai/%252e%252e/x",
            "/openai/%25252e%25252e/x",
            "/openai/..;a=b/x",
            "/openai/a%2f..%2f..%2fb",
            "/openai/a%2f%2fb",
            "/openai/a%5c..%5cb",
            "/openai/a\\b",
            "/openai//evil.example/x",
            "/openai/%00",
            "/openai/v1/%0d%0aHost:evil",
        ] {
            assert_eq!(openai(path, None), Err(Refused::Path), "{path}");
        }
    }

    #[test]
    fn no_path_changes_the_host() {
        for path in [
            "/openai/@evil.example/x",
            "/openai/:80@evil.example",
            "/openai/http:evil.example",
        ] {
            let uri: Uri = openai(path, None).unwrap().parse().unwrap();
            assert_eq!(uri.host(), Some("api.openai.com"), "{path}");
        }
        assert_eq!(openai("/openai.evil.example/x", None), Err(Refused::Path));
        assert!(Target::read("https://user@api.openai.com").is_none());
        assert!(Target::read("file:///etc/passwd").is_none());
        assert!(Target::read("/relative").is_none());
    }

    #[test]
    fn the_gateways_key_in_geminis_query_stays_here() {
        let gemini = api("/gemini", "https://g.example", Shape::Gemini);
        let uri = |query| gemini.uri("/gemini/v1beta/models", Some(query)).unwrap();
        assert_eq!(
            uri("key=sk-virtual&alt=sse&keys=1"),
            "https://g.example/v1beta/models?alt=sse&keys=1"
        );
        assert_eq!(uri("key=sk-virtual"), "https://g.example/v1beta/models");
    }

    #[test]
    fn an_endpoint_without_subpaths_takes_its_own_path_alone() {
        let mut own = api("/v1/parse", "https://p.example/parse", Shape::Unknown);
        own.reach = Reach::Itself;
        assert!(own.takes("/v1/parse") && !own.takes("/v1/parse/x") && !own.takes("/v1/parser"));
        assert_eq!(
            own.uri("/v1/parse", None).unwrap(),
            "https://p.example/parse"
        );
        assert!(is_provider_path("/openai/v1/files") && !is_provider_path("/openai"));
    }
}
