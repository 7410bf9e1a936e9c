//! What the names of models stand for, and who may use them.

use pointsman_routes::table::Target;

use crate::call::Principal;
use crate::error::{Denial, Failure, RequestFault};
use crate::live::Live;

/// Longest name of a model that is looked up.
const MAX_MODEL_BYTES: usize = 512;

/// What a model's name stands for.
pub(super) fn resolve(live: &Live, asked: &str) -> Result<Target, Failure> {
    let found = (asked.len() <= MAX_MODEL_BYTES)
        .then(|| live.table().resolve(asked))
        .flatten();
    found.map(|found| found.target).ok_or_else(|| {
        let shown: String = asked.chars().take(200).collect();
        let nearest = live
            .table()
            .nearest(asked, 3)
            .into_iter()
            .map(str::to_owned)
            .collect();
        Failure::Request(RequestFault::UnknownModel {
            asked: shown,
            nearest,
        })
    })
}

/// Whether the caller may ask for this name.
pub(super) fn may(live: &Live, principal: Option<&Principal>, name: &str, target: Target) -> bool {
    principal.is_none_or(|principal| principal.models().check(live, name, target).is_ok())
}

/// The names of models that the caller may ask for, its own names among them.
pub(super) fn names<'a>(
    live: &'a Live,
    principal: Option<&'a Principal>,
) -> impl Iterator<Item = &'a str> {
    let named = live.table().names();
    let named = named
        .filter(move |name| may(live, principal, &name.name, name.target))
        .map(|name| &*name.name);
    let known = live.wildcards().iter();
    let known = known
        .filter(move |known| may(live, principal, &known.name, Target::Group(known.group)))
        .map(|known| &*known.name);
    let own = principal.into_iter().flat_map(Principal::own_names);
    named.chain(known).chain(own)
}

/// Whether there is such a model for this caller.
pub(super) fn may_see(
    live: &Live,
    principal: Option<&Principal>,
    asked: &str,
) -> Result<(), Failure> {
    let name = principal
        .and_then(|principal| principal.renamed(asked))
        .unwrap_or(asked);
    let target = resolve(live, name)?;
    match principal.map(|principal| principal.models().check(live, name, target)) {
        Some(Err(party)) => {
            let model = asked.chars().take(200).collect();
            Err(Failure::Denied(Denial::Model { party, model }))
        }
        _ => Ok(()),
    }
}
