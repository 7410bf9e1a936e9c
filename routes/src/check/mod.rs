//! A tree whose keys and types are known to be right → the plan.
//!
//! It parses instead of validating: what comes out cannot be illegal. It never stops at the first
//! fault; what is wrong is left out of the plan and said, and [`load`](crate::load()) gives no plan
//! if anything was an error.

mod carried;
mod chains;
mod class;
mod deployments;
mod general;
mod groups;
mod growing;
mod guardrails;
mod keys;
mod lints;
mod models;
mod names;
mod pass_through;
mod providers;
mod read;
mod router;
mod rules;
mod settings;
mod splits;

use std::borrow::Cow;

use crate::literal::Literals;
use crate::locate::Findings;
use crate::table::Routes;
use crate::yaml::Node;

pub(crate) use read::duration;

use read::Reader;

/// Makes the plan of a file.
pub(crate) fn check(root: &Node, findings: &mut Findings) -> (Routes, Literals) {
    let mut reader = Reader {
        findings,
        literals: Literals::default(),
        providers: Vec::new(),
    };
    reader.providers = providers::read(root, &mut reader);
    let fragment = root.get("model_list").is_none();
    let settings = settings::read(root, &mut reader);
    let mut routing = router::read(root, &mut reader);
    let general = general::read(root, &mut reader);
    let keys = keys::read(root, &mut reader);
    let guardrails = guardrails::read(root, &mut reader);
    let environment = settings::environment(root, &mut reader);

    let mut plan = groups::read(root, &mut reader);
    splits::apply(root, &mut plan, &mut routing, &mut reader);
    names::aliases(root, &mut plan, &mut reader);
    if fragment {
        chains::fragment(root, &mut reader);
    } else {
        names::completion_model(root, &mut plan, &mut reader);
        router::group_deadlines(root, &mut plan, &mut reader);
        chains::apply(root, &mut plan, &mut routing, &mut reader);
        lints::run(root, &plan, &routing, &mut reader);
    }
    let rules = rules::read(root, &mut plan, &mut reader);
    let carried = carried::read(root, fragment, &mut reader);
    let names = names::table(&plan, &mut reader);

    let routes = Routes {
        names: Cow::Owned(names),
        patterns: Cow::Owned(plan.patterns),
        groups: Cow::Owned(plan.groups),
        deployments: Cow::Owned(plan.deployments),
        router: routing,
        settings,
        general,
        keys: Cow::Owned(keys),
        guardrails: Cow::Owned(guardrails),
        rules: Cow::Owned(rules),
        environment: Cow::Owned(environment),
        carried: Cow::Owned(carried),
    };
    (routes, reader.literals)
}
