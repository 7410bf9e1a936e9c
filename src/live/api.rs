//! Where whole APIs are passed on to: providers by their name, and the endpoints of the file.
//!
//! A [`Api`] is one origin with what is shown to it. The caller gives the path below it and the
//! query, and nothing else of the address, so that no request can take a credential elsewhere. Google's
//! and AWS's have an origin for each location, which are theirs all the same.

mod google;

use std::fmt;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Uri};
use pointsman_routes::catalog;
use pointsman_routes::table::{Auth, Deployment, PassThrough, Provider, Routes};
use pointsman_routes::usd::Usd;

use self::google::Places;
use super::endpoint::{Authority as Shown, credential};
use super::environment::{Environment, fault};
use super::{BindFault, aws};
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
    /// Signs its requests, if that takes more than a header.
    signer: Shown,
    /// Where Google's stands, which is for each location elsewhere.
    places: Option<Places>,
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
    ("/bedrock", "bedrock", Shape::Bedrock),
    ("/vertex_ai", "vertex_ai", Shape::Gemini),
    ("/vertex-ai", "vertex_ai", Shape::Gemini),
];

/// The paths of Bedrock's agents, which stand at another origin than its models.
const AGENTS: [&str; 7] = [
    "/agents/",
    "/flows/",
    "/generateQuery",
    "/knowledgebases/",
    "/optimize-prompt",
    "/rerank",
    "/retrieveAndGenerate",
];
/// Variables any of which says that there are credentials of AWS's.
const AWS_CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
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
        let own = Own::of(provider, routes, environment);
        apis.push(match *name {
            "bedrock" => of_aws(prefix, &own, *shape),
            "vertex_ai" => of_google(prefix, &own, *shape),
            _ => of_provider(prefix, &own, *shape),
        });
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
        signer: Shown::None,
        places: None,
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

/// What the file and the environment have of a provider.
struct Own<'a> {
    provider: &'static Provider,
    /// Its deployments, one with `use_in_pass_through` before all.
    deployments: Vec<&'a Deployment>,
    /// Whether the first of them is one that was chosen so.
    chosen: bool,
    environment: &'a Environment<'a>,
}

impl<'a> Own<'a> {
    fn of(
        provider: &'static Provider,
        routes: &'a Routes,
        environment: &'a Environment<'a>,
    ) -> Self {
        // The clouds' providers have several names.
        let is_of = |other: &Provider| {
            other.name == provider.name
                || other.protocol == provider.protocol && provider.auth == Auth::Protocol
        };
        let deployments = routes.deployments.iter();
        let mut own = Self {
            provider,
            deployments: deployments
                .filter(|deployment| is_of(&deployment.provider) && deployment.mock.is_none())
                .collect(),
            chosen: false,
            environment,
        };
        let chosen = own.deployments.iter().position(|deployment| {
            let asked = own.option(deployment, "use_in_pass_through");
            asked.is_some_and(|asked| asked.eq_ignore_ascii_case("true"))
        });
        if let Some(chosen) = chosen {
            own.deployments.swap(0, chosen);
            own.chosen = true;
        }
        own
    }

    /// An option of a deployment. Faults are told where the deployment is bound.
    fn option(&self, deployment: &Deployment, name: &str) -> Option<String> {
        let mut options = deployment.options.iter();
        let (_, value) = options.find(|(known, _)| known == name)?;
        self.environment.credential(value, "", &mut Vec::new())
    }

    fn key(&self, deployment: &Deployment) -> Option<String> {
        let secret = deployment.api_key.as_ref()?;
        self.environment.secret(secret, "", &mut Vec::new())
    }

    fn key_of_environment(&self) -> Option<String> {
        self.environment.first(&self.provider.key_env)
    }

    fn base(&self, deployment: &Deployment) -> Option<String> {
        let base = deployment.api_base.as_ref()?;
        self.environment.value(base, "", &mut Vec::new())
    }

    fn default_base(&self) -> Option<String> {
        let own = || self.provider.base_url.as_deref().map(str::to_owned);
        self.environment.first(&self.provider.base_env).or_else(own)
    }
}

/// A provider's own variables, else the key and address of its first deployment in the file; one
/// with `use_in_pass_through` before all.
fn of_provider(prefix: &str, own: &Own<'_>, shape: Shape) -> Api {
    let of_deployment = |deployment: &&Deployment| {
        let key = match &deployment.api_key {
            Some(_) => own.key(deployment),
            None => own.key_of_environment(),
        };
        Some((key?, own.base(deployment).or_else(|| own.default_base())))
    };
    let chosen = own.deployments.first().filter(|_| own.chosen);
    let bound = chosen
        .and_then(of_deployment)
        .or_else(|| Some((own.key_of_environment()?, own.default_base())))
        .or_else(|| own.deployments.iter().find_map(of_deployment));
    let (key, base) = bound.unzip();
    let shown = key.as_deref().and_then(|key| credential(own.provider, key));
    let target = base.flatten().and_then(|base| Target::read(&base));
    Api {
        target: target.filter(|_| shown.is_some()),
        headers: shown.into_iter().collect(),
        secrets: key.into_iter().collect(),
        ..bare(prefix, own.provider, shape)
    }
}

/// Bedrock: with a bearer key, or signed as its first deployment's requests are; one with
/// `use_in_pass_through` before all.
fn of_aws(prefix: &str, own: &Own<'_>, shape: Shape) -> Api {
    let first = own.deployments.first().copied();
    let option = |name: &str| first.and_then(|first| own.option(first, name));
    // Who names other credentials does not mean the environment's key.
    let named = option("aws_access_key_id").or_else(|| option("aws_role_name"));
    let of_environment = || own.key_of_environment().filter(|_| named.is_none());
    let key = first
        .and_then(|first| own.key(first))
        .or_else(of_environment);
    let known = AWS_CREDENTIALS
        .iter()
        .any(|name| own.environment.get(name).is_some());
    let bound = first.is_some() || key.is_some() || known;
    let model = first.map_or("", |first| &*first.model);
    let region = option("aws_region_name");
    let region = aws::region(region.as_deref(), model, |name| own.environment.get(name));
    let base = first
        .and_then(|first| own.base(first))
        .or_else(|| option("aws_bedrock_runtime_endpoint"))
        .or_else(|| own.default_base())
        .unwrap_or_else(|| aws::base(&region));
    let shown = key.as_deref().and_then(|key| credential(own.provider, key));
    let signer = match (&shown, bound) {
        (None, true) => Shown::Aws(Arc::new(aws::Signer::new(region, option))),
        _ => Shown::None,
    };
    Api {
        target: Target::read(&base).filter(|_| bound),
        headers: shown.into_iter().collect(),
        signer,
        secrets: key.into_iter().collect(),
        ..bare(prefix, own.provider, shape)
    }
}

/// Vertex AI: the projects of its deployments, else the environment's.
fn of_google(prefix: &str, own: &Own<'_>, shape: Shape) -> Api {
    let environment = |name: &str| own.environment.get(name);
    let mut places = Places::default();
    for deployment in &own.deployments {
        let base = own.base(deployment).or_else(|| own.default_base());
        places.add(|name| own.option(deployment, name), environment, base);
    }
    if own.deployments.is_empty() {
        places.add(|_| None, environment, own.default_base());
    }
    Api {
        places: Some(places),
        ..bare(prefix, own.provider, shape)
    }
}

/// An API that goes nowhere yet.
fn bare(prefix: &str, provider: &Provider, shape: Shape) -> Api {
    Api {
        prefix: prefix.to_owned(),
        provider: provider.name.to_string(),
        shape,
        cost: None,
        headers: Vec::new(),
        client_headers: false,
        open: false,
        reach: Reach::Below,
        methods: Vec::new(),
        target: None,
        signer: Shown::None,
        places: None,
        secrets: Vec::new(),
    }
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

impl Target {
    /// Where Bedrock's agents are, if a path is one of theirs and this is where AWS has its models.
    fn for_agents(&self, rest: &str) -> Option<Authority> {
        let host = self.authority.as_str().strip_prefix("bedrock-runtime.")?;
        let theirs = AGENTS.iter().any(|path| rest.starts_with(path));
        let host = theirs.then(|| format!("bedrock-agent-runtime.{host}"))?;
        host.parse().ok()
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
        let rest = below(path, &self.prefix).ok_or(Refused::Path)?;
        if !is_straight(rest) {
            return Err(Refused::Path);
        }
        if let Some(places) = &self.places {
            let query = query.map(|query| self.query(query));
            return places.uri(rest, query.as_deref());
        }
        let target = self.target.as_ref().ok_or(Refused::Unbound)?;
        let agents = (self.shape == Shape::Bedrock).then(|| target.for_agents(rest));
        let authority = agents.flatten().unwrap_or_else(|| target.authority.clone());
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
            .authority(authority)
            .path_and_query(path)
            .build()
            .map_err(|_| Refused::Path)
    }

    /// What shows whose a request to `path` is, beside [`headers`](Self::headers).
    pub fn authority(&self, path: &str) -> &Shown {
        match (&self.places, below(path, &self.prefix)) {
            (Some(places), Some(rest)) => places.authority(rest),
            _ => &self.signer,
        }
    }

    /// How the answer to a request to `path` tells what it took.
    pub fn shape_of(&self, path: &str) -> Shape {
        if self.places.is_some() && path.contains("/publishers/anthropic/") {
            Shape::Anthropic
        } else {
            self.shape
        }
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
            signer: Shown::None,
            places: None,
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
    fn bedrocks_agents_stand_elsewhere_than_its_models() {
        let base = "https://bedrock-runtime.eu-west-1.amazonaws.com";
        let api = api("/bedrock", base, Shape::Bedrock);
        for (path, host) in [
            (
                "/bedrock/model/x/converse",
                "bedrock-runtime.eu-west-1.amazonaws.com",
            ),
            (
                "/bedrock/agents/a/x",
                "bedrock-agent-runtime.eu-west-1.amazonaws.com",
            ),
            (
                "/bedrock/knowledgebases/k/retrieve",
                "bedrock-agent-runtime.eu-west-1.amazonaws.com",
            ),
        ] {
            assert_eq!(api.uri(path, None).unwrap().host(), Some(host), "{path}");
        }
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
