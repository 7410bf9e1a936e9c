//! Lists of models, as OpenAI's clients read them.

use std::collections::BTreeSet;

use http::Response;
use pointsman_routes::table::Target;
use serde::Serialize;

use super::answer::{error, json};
use super::body::Body;
use super::names::{may, may_see, names};
use crate::call::Principal;
use crate::live::Live;

#[derive(Serialize)]
struct Models<'a> {
    data: Vec<Model<'a>>,
    object: &'static str,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// `GET /v1/models`: groups and aliases, as far as the caller may ask for them, and the caller's own
/// names for models. Without a caller, all of them. A pattern is shown as the models that it is known
/// to stand for.
///
/// The query takes LiteLLM's words: `return_wildcard_routes` adds the patterns themselves,
/// `include_model_access_groups` adds the names of access groups, `only_model_access_groups` gives
/// nothing else.
pub fn list(live: &Live, principal: Option<&Principal>, query: &str) -> Response<Body> {
    let only_groups = flag(query, "only_model_access_groups");
    let mut ids: Vec<&str> = Vec::new();
    if !only_groups {
        ids.extend(names(live, principal));
        if flag(query, "return_wildcard_routes") {
            let patterns = live.routes().patterns.iter();
            ids.extend(
                patterns
                    .filter(|one| may(live, principal, &one.pattern, Target::Group(one.group)))
                    .map(|one| &*one.pattern),
            );
        }
    }
    if only_groups || flag(query, "include_model_access_groups") {
        let may = |name: &str, target| may(live, principal, name, target);
        ids.extend(access_groups(live, may));
    }
    json(&Models {
        data: ids.into_iter().map(model).collect(),
        object: "list",
    })
}

/// The access groups of the deployments that may be asked for, each once.
fn access_groups(live: &Live, may: impl Fn(&str, Target) -> bool) -> BTreeSet<&str> {
    let routes = live.routes();
    let deployments = routes.deployments.iter();
    let open = deployments.filter(|deployment| {
        let name = &routes.groups[usize::from(deployment.group.0)].name;
        may(name, Target::Group(deployment.group))
    });
    open.flat_map(|deployment| deployment.access_groups.iter().map(|group| &**group))
        .collect()
}

/// Whether a query string switches something on.
fn flag(query: &str, name: &str) -> bool {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    values.any(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// `GET /v1/models/{model}`.
pub fn one(live: &Live, principal: Option<&Principal>, asked: &str) -> Response<Body> {
    match may_see(live, principal, asked) {
        Ok(()) => json(&model(asked)),
        Err(failure) => error(&failure),
    }
}

fn model(id: &str) -> Model<'_> {
    // A fixed time, as LiteLLM's: when a name was put into a file is not known.
    const CREATED: u64 = 1_677_610_602;
    Model {
        id,
        object: "model",
        created: CREATED,
        owned_by: "openai",
    }
}
