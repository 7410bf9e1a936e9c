//! Responses that a provider keeps: found again, deleted and gone on from by the ids that the gateway
//! gave out for them, by whom they were made for, where they were made.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method};
use pointsman_routes::table::{DeploymentId, Target};

use crate::access::address;
use crate::call::{About, Call, Field, KeptAt, Peek, Principal, Route, Spoken, Tab, peek};
use crate::error::{Denial, Failure, RequestFault};
use crate::live::{Issued, Live};

/// Longest query that is passed on.
const MAX_QUERY_BYTES: usize = 4 << 10;
/// The body of those who have none.
const NOTHING: &[u8] = b"{}";

/// What is asked of a response that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// The response, or its end.
    Response(&'a str),
    /// What it answered.
    Items(&'a str),
    /// That it stops.
    Cancel(&'a str),
}

impl<'a> Kept<'a> {
    /// Reads what stands in a path behind `/responses/`.
    pub fn of(rest: &'a str) -> Option<Self> {
        let (id, tail) = rest.split_once('/').unwrap_or((rest, ""));
        match tail {
            _ if id.is_empty() => None,
            "" if !rest.ends_with('/') => Some(Self::Response(id)),
            "input_items" => Some(Self::Items(id)),
            "cancel" => Some(Self::Cancel(id)),
            _ => None,
        }
    }

    fn id(self) -> &'a str {
        match self {
            Self::Response(id) | Self::Items(id) | Self::Cancel(id) => id,
        }
    }

    /// What such a request asks for; else the methods that there are, for the header that says so.
    fn route(self, method: &Method) -> Result<Route, &'static str> {
        match (self, method) {
            (Self::Response(_), &Method::GET) => Ok(Route::Retrieve),
            (Self::Response(_), &Method::DELETE) => Ok(Route::Delete),
            (Self::Response(_), _) => Err("GET, DELETE"),
            (Self::Items(_), &Method::GET) => Ok(Route::InputItems),
            (Self::Items(_), _) => Err("GET"),
            (Self::Cancel(_), &Method::POST) => Ok(Route::Cancel),
            (Self::Cancel(_), _) => Err("POST"),
        }
    }
}

/// Reads a request about a kept response into a call of the deployment that keeps it, with the table
/// `live`. What stands in its body is nobody's business.
pub(super) fn read(
    head: &Parts,
    kept: Kept<'_>,
    live: Arc<Live>,
    (id, row): (HeaderValue, u128),
    arrived: Instant,
) -> Result<Arc<Call>, Failure> {
    let route = kept.route(&head.method);
    let route = route.map_err(|methods| Failure::Request(RequestFault::Method(methods)))?;
    let query = head.uri.query().unwrap_or("");
    if query.len() > MAX_QUERY_BYTES {
        let what = "The query is too long.".to_owned();
        return Err(Failure::Request(RequestFault::Parameter {
            name: "query",
            what,
        }));
    }
    let principal = head.extensions.get::<Arc<Principal>>();
    let principal = principal.map_or_else(|| Arc::new(Principal::master()), Arc::clone);
    let issued = issued(&live, &principal, kept.id())?;
    let deployment = maker(&live, &issued).map_err(no_response)?;
    let ip = address::of(&head.extensions, &head.headers, &live);
    let own = live.end_user_header();
    let about = About::read(&head.headers, own, ip, NOTHING, &Peek::default());
    let group = live.deployment(deployment).group;
    let asked = &live.routes().groups[usize::from(group.0)].name;
    Ok(call(Lookup {
        id,
        asked: Arc::from(&**asked),
        principal,
        route,
        deployment,
        kept: KeptAt {
            issued,
            query: query.to_owned(),
        },
        about,
        tab: Tab::new(row),
        arrived,
        live,
    }))
}

/// What makes a call about a kept response.
pub(super) struct Lookup {
    pub(super) id: HeaderValue,
    /// The model's name, as its caller knows it.
    pub(super) asked: Arc<str>,
    pub(super) principal: Arc<Principal>,
    pub(super) route: Route,
    pub(super) deployment: DeploymentId,
    pub(super) kept: KeptAt,
    pub(super) about: About,
    pub(super) tab: Tab,
    pub(super) arrived: Instant,
    pub(super) live: Arc<Live>,
}

/// A call about a kept response.
pub(super) fn call(lookup: Lookup) -> Arc<Call> {
    let streams = lookup.route == Route::Retrieve && streams(&lookup.kept.query);
    let body = Bytes::from_static(NOTHING);
    let mut peek = peek::peek(&body).unwrap_or_default();
    peek.stream = streams;
    Arc::new(Call {
        id: lookup.id,
        principal: lookup.principal,
        route: lookup.route,
        asked: lookup.asked,
        target: Target::Deployment(lookup.deployment),
        fallback: None,
        wants_usage: false,
        as_list: false,
        body,
        files: None,
        peek,
        spoken: Spoken::default(),
        resumed: None,
        kept: Some(Box::new(lookup.kept)),
        passed: Vec::new(),
        timeout: None,
        stream_timeout: None,
        hints: None,
        controls: None,
        about: lookup.about,
        tab: Arc::new(lookup.tab),
        arrived: lookup.arrived,
        live: lookup.live,
    })
}

/// Whether a query asks for a stream.
fn streams(query: &str) -> bool {
    let wants = |pair: &str| matches!(pair, "stream=true" | "stream=True" | "stream=1");
    query.split('&').any(wants)
}

/// What an id says, if the caller may use it.
fn issued(live: &Live, principal: &Principal, id: &str) -> Result<Issued, Failure> {
    let general = &live.routes().general;
    let Some(issued) = live.ids().open(id) else {
        let open = general.unmanaged_response_ids || general.open_response_ids;
        return unmanaged(live, principal, id)
            .filter(|_| open)
            .ok_or(Failure::Denied(Denial::ForeignResponse));
    };
    if general.open_response_ids || principal.may_use(issued.owner) {
        Ok(issued)
    } else {
        Err(Failure::Denied(Denial::OthersResponse))
    }
}

/// An id of a provider's own, which nobody sealed: it is looked for at the first deployment that keeps
/// responses.
fn unmanaged(live: &Live, principal: &Principal, id: &str) -> Option<Issued> {
    let mut all = (0..).map(DeploymentId).zip(&live.routes().deployments[..]);
    let (_, first) = all.find(|(id, _)| live.endpoint(*id).keeps_responses())?;
    Some(Issued {
        owner: principal.owner(),
        deployment: first.id.to_string(),
        id: id.to_owned(),
    })
}

/// The deployment that keeps a response; why there is none.
fn maker(live: &Live, issued: &Issued) -> Result<DeploymentId, &'static str> {
    if issued.deployment.is_empty() {
        return Err("the model that made it keeps no responses.");
    }
    let found = live.deployment_named(&issued.deployment);
    let found = found.filter(|id| live.endpoint(*id).keeps_responses());
    found.ok_or("the deployment that made it is no longer there.")
}

fn no_response(why: &'static str) -> Failure {
    Failure::Request(RequestFault::Response(why))
}

/// Where a call may go: to those of its target who know the response that it goes on from, if it
/// does.
pub(super) fn bound(
    live: &Live,
    principal: &Principal,
    route: Route,
    target: Target,
    body: &[u8],
    peek: &Peek,
) -> Result<Target, Failure> {
    if !matches!(
        route,
        Route::Responses | Route::InputTokens | Route::Compact
    ) {
        return Ok(target);
    }
    let fault = |name, what: String| Failure::Request(RequestFault::Parameter { name, what });
    let background = peek.value(body, Field::Background) == Some(b"true");
    if background && route == Route::Responses && !keeps(live, target) {
        let what = "background: this model keeps no responses, and what is made in the background could \
                    not be fetched. Leave `background` out.";
        return Err(fault("background", what.to_owned()));
    }
    if peek.value(body, Field::PreviousResponseId).is_none() {
        return Ok(target);
    }
    let id = peek.text(body, Field::PreviousResponseId);
    let id = id.unwrap_or_default();
    let issued = issued(live, principal, &id)?;
    if issued.id == id {
        // Who knows it cannot be told from it.
        return Ok(target);
    }
    let name = "previous_response_id";
    let maker = maker(live, &issued).map_err(|why| {
        let hint = "Send the whole conversation as `input` instead.";
        fault(name, format!("{name}: {why} {hint}"))
    })?;
    let finds_it =
        |id: &DeploymentId| *id == maker || live.endpoint(*id).shares_account(live.endpoint(maker));
    let known = match target {
        Target::Deployment(id) => Some(id).filter(finds_it),
        Target::Group(group) => {
            let members = &live.routes().groups[usize::from(group.0)].members;
            let mut ids = members.iter().map(|member| member.deployment);
            ids.clone()
                .find(|id| *id == maker)
                .or_else(|| ids.find(finds_it))
        }
    };
    known.map(Target::Deployment).ok_or_else(|| {
        let what = "the model that is asked for does not know that response: another one made it.";
        fault(name, format!("{name}: {what}"))
    })
}

/// Whether somebody of a target keeps responses.
fn keeps(live: &Live, target: Target) -> bool {
    let keeps = |id: DeploymentId| live.endpoint(id).keeps_responses();
    match target {
        Target::Deployment(id) => keeps(id),
        Target::Group(group) => {
            let members = &live.routes().groups[usize::from(group.0)].members;
            members.iter().any(|member| keeps(member.deployment))
        }
    }
}

/// Whether a request for a response says elsewhere than in its input what it wants.
pub(super) fn speaks_elsewhere(route: Route, peek: &Peek) -> bool {
    let elsewhere = [
        Field::Prompt,
        Field::PreviousResponseId,
        Field::Conversation,
    ];
    let speaks = matches!(
        route,
        Route::Responses | Route::InputTokens | Route::Compact
    );
    speaks && elsewhere.into_iter().any(|field| peek.get(field).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_asked_of_which_response() {
        assert_eq!(Kept::of("resp_1"), Some(Kept::Response("resp_1")));
        assert_eq!(Kept::of("resp_1/cancel"), Some(Kept::Cancel("resp_1")));
        assert_eq!(Kept::of("resp_1/input_items"), Some(Kept::Items("resp_1")));
        for none in ["", "/", "/cancel", "resp_1/", "resp_1/x", "resp_1/cancel/"] {
            assert_eq!(Kept::of(none), None, "{none}");
        }
    }

    #[test]
    fn a_query_says_whether_it_wants_a_stream() {
        for query in ["stream=true", "include[]=a&stream=true&starting_after=3"] {
            assert!(streams(query), "{query}");
        }
        for query in [
            "",
            "include[]=a&limit=3",
            "stream=false",
            "stream",
            "upstream=true",
        ] {
            assert!(!streams(query), "{query}");
        }
    }
}
