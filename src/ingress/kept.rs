//! Responses that a provider keeps: found again, deleted and gone on from by the ids that the gateway
//! gave out for them, by whom they were made for, where they were made.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, header};
use pointsman_routes::table::{DeploymentId, Target};

use super::answer::refuse;
use super::body::Body;
use super::{headers, id};
use crate::call::{Dialect, Field, Peek, Principal, Route};
use crate::error::{Denial, Failure, RequestFault};
use crate::live::{Handle, Issued, Live};
use crate::upstream::Client;
use crate::upstream::openai::responses::Stamp;
use crate::upstream::openai::responses::kept::{Errand, fetch};

/// Longest query that is passed on.
const MAX_QUERY_BYTES: usize = 4 << 10;

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

    fn tail(self) -> &'static str {
        match self {
            Self::Response(_) => "",
            Self::Items(_) => "/input_items",
            Self::Cancel(_) => "/cancel",
        }
    }

    /// The methods that there are, for the header that says so.
    fn methods(self) -> &'static str {
        match self {
            Self::Response(_) => "GET, DELETE",
            Self::Items(_) => "GET",
            Self::Cancel(_) => "POST",
        }
    }
}

/// Passes requests about kept responses on.
#[derive(Clone, Debug)]
pub struct KeptDoor {
    live: Handle,
    client: Client,
}

impl KeptDoor {
    /// Sends through `client`, each request by the table that is in force when it comes.
    pub fn new(live: Handle, client: Client) -> Self {
        Self { live, client }
    }

    /// Serves a request about a kept response. Always gives a response; dropping the future ends the
    /// upstream request.
    pub async fn serve(&self, request: &Request<()>, kept: Kept<'_>) -> Response<Body> {
        let live = self.live.load();
        let (id, _) = id::of_call(request.headers());
        match self.answer(&live, request, kept).await {
            Ok((deployment, bytes)) => {
                let mut response = Response::new(Body::whole(bytes));
                let told = response.headers_mut();
                told.insert(header::CONTENT_TYPE, headers::JSON);
                headers::push_call(told, &id);
                let names = &live.endpoint(deployment).names;
                headers::push_deployment(told, names);
                response
            }
            Err(failure) => refuse(&failure, Dialect::Responses, &id),
        }
    }

    async fn answer(
        &self,
        live: &Live,
        request: &Request<()>,
        kept: Kept<'_>,
    ) -> Result<(DeploymentId, Bytes), Failure> {
        let methods = kept.methods();
        let method = request.method();
        if !methods.split(", ").any(|known| method == known) {
            return Err(Failure::Request(RequestFault::Method(methods)));
        }
        let query = request.uri().query().unwrap_or("");
        check_query(query)?;
        let principal = request.extensions().get::<Arc<Principal>>();
        let principal = principal.map_or_else(|| Arc::new(Principal::master()), Arc::clone);
        let issued = issued(live, &principal, kept.id())?;
        let deployment = maker(live, &issued).map_err(no_response)?;
        let errand = Errand {
            method: method.clone(),
            id: &issued.id,
            tail: kept.tail(),
            query,
        };
        let bytes = fetch(&self.client, live, deployment, errand).await?;
        let of_group = live.deployment(deployment).group;
        let stamp = Stamp {
            ids: live.ids(),
            owner: issued.owner,
            deployment: &issued.deployment,
            model: &live.routes().groups[usize::from(of_group.0)].name,
            previous: None,
        };
        Ok(match kept {
            Kept::Response(_) | Kept::Cancel(_) => (deployment, stamp.kept(bytes)),
            // Items have ids of their own, which nobody can ask for.
            Kept::Items(_) => (deployment, bytes),
        })
    }
}

fn check_query(query: &str) -> Result<(), Failure> {
    let streams = |pair: &str| pair == "stream" || pair.starts_with("stream=t");
    let what = if query.len() > MAX_QUERY_BYTES {
        "The query is too long."
    } else if query.split('&').any(streams) {
        "stream: a response that was kept is given whole. Leave `stream` out."
    } else {
        return Ok(());
    };
    Err(Failure::Request(RequestFault::Parameter {
        name: "stream",
        what: what.to_owned(),
    }))
}

/// What an id says, if the caller may use it.
fn issued(live: &Live, principal: &Principal, id: &str) -> Result<Issued, Failure> {
    let issued = live.ids().open(id);
    let issued = issued.ok_or(Failure::Denied(Denial::ForeignResponse))?;
    if principal.may_use(issued.owner) {
        Ok(issued)
    } else {
        Err(Failure::Denied(Denial::OthersResponse))
    }
}

/// The deployment that keeps a response; why there is none.
fn maker(live: &Live, issued: &Issued) -> Result<DeploymentId, &'static str> {
    if issued.deployment.is_empty() {
        return Err("the model that made it keeps no responses.");
    }
    let found = live.deployment_named(&issued.deployment);
    let found = found.filter(|id| live.endpoint(*id).uri(Route::Responses, "").is_some());
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
    if route != Route::Responses {
        return Ok(target);
    }
    let fault = |name, what: String| Failure::Request(RequestFault::Parameter { name, what });
    if peek.value(body, Field::Background) == Some(b"true") {
        let what = "background: what a response costs that is made in the background could not be \
                    counted. Leave `background` out.";
        return Err(fault("background", what.to_owned()));
    }
    if peek.value(body, Field::PreviousResponseId).is_none() {
        return Ok(target);
    }
    let id = peek.text(body, Field::PreviousResponseId);
    let issued = issued(live, principal, &id.unwrap_or_default())?;
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

/// Whether a request for a response says elsewhere than in its input what it wants.
pub(super) fn speaks_elsewhere(route: Route, peek: &Peek) -> bool {
    let elsewhere = [
        Field::Prompt,
        Field::PreviousResponseId,
        Field::Conversation,
    ];
    route == Route::Responses && elsewhere.into_iter().any(|field| peek.get(field).is_some())
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
    fn a_kept_response_is_not_streamed() {
        for query in ["stream=true", "include[]=a&stream=true", "stream"] {
            assert!(check_query(query).is_err(), "{query}");
        }
        for query in ["", "include[]=a&limit=3", "stream=false"] {
            assert!(check_query(query).is_ok(), "{query}");
        }
    }
}
