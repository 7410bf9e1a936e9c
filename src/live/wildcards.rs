//! The models that patterns such as `anthropic/*` are known to stand for.

use pointsman_routes::catalog;
use pointsman_routes::table::{GroupId, Target};

use super::Live;

/// A name that a pattern of the file matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name, as a caller writes it.
    pub name: String,
    /// The group that answers.
    pub group: GroupId,
}

/// The names of the catalog's models that patterns with a prefix of the provider's, or with a part of
/// a model's name, match. `*` alone stands for anything, so nothing is listed for it.
pub(super) fn known(live: &Live) -> Vec<Known> {
    let routes = live.routes();
    let mut known = Vec::new();
    for pattern in routes.patterns.iter().filter(|one| one.pattern != "*") {
        let (prefix, _) = pattern.pattern.split_once('/').unwrap_or(("", ""));
        let mut providers: Vec<&str> = routes.groups[usize::from(pattern.group.0)]
            .members
            .iter()
            .map(|member| &*live.deployment(member.deployment).provider.name)
            .collect();
        providers.sort_unstable();
        providers.dedup();
        for model in catalog::models().filter(|model| providers.contains(&model.provider)) {
            let bare = model
                .name
                .strip_prefix(model.provider)
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(model.name);
            let name = match prefix {
                "" => bare.to_owned(),
                prefix => format!("{prefix}/{bare}"),
            };
            // A more specific pattern, or the name itself, may say something else.
            let found = live.table().resolve(&name).map(|found| found.target);
            let exact = live.table().names().any(|one| *one.name == name);
            if found == Some(Target::Group(pattern.group)) && !exact {
                known.push(Known {
                    name,
                    group: pattern.group,
                });
            }
        }
    }
    known.sort_by(|one, other| one.name.cmp(&other.name));
    known.dedup();
    known
}
