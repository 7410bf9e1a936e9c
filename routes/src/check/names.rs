//! What callers may ask for: groups, ids, aliases.

use std::borrow::Cow;

use super::growing::Plan;
use super::read::{Reader, flag, text, textual};
use crate::mask;
use crate::table::{DeploymentId, GroupId, Name, Target};
use crate::yaml::{Mark, Node};

/// The most names that a table can hold.
const MOST: usize = 65_000;

/// Says that a name stands for nothing, with the nearest that does.
pub(super) fn unknown(plan: &Plan, name: &str, mark: Mark, reader: &mut Reader<'_>) {
    let near = reader.findings.nearest(name, plan.known(), 1);
    reader.findings.error(
        mark,
        format!("no model group {}", mask::quoted(name)),
        Some(match near.first() {
            Some(near) => format!("did you mean {}?", mask::quoted(near)),
            None => "name a `model_name` of `model_list`".into(),
        }),
    );
}

/// `model_group_alias`, as far as it renames; splits are [`super::splits`]'s.
pub(super) fn aliases(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) {
    let Some(map) = root
        .get("router_settings")
        .and_then(|router| router.get("model_group_alias"))
    else {
        return;
    };
    for entry in map.entries() {
        let (node, hidden) = if entry.value.is_map() {
            let hidden = flag(&entry.value, "hidden").unwrap_or(false);
            let Some(model) = entry.value.get("model") else {
                reader.findings.error(
                    entry.mark,
                    "an alias without `model`",
                    Some("write `{model: group, hidden: false}`".into()),
                );
                continue;
            };
            (model, hidden)
        } else if entry.value.is_list() {
            continue;
        } else {
            (&entry.value, false)
        };
        // A fragment's groups stand elsewhere.
        if root.get("model_list").is_none() {
            continue;
        }
        let Some(name) = reader.plain_of(node, "model_group_alias") else {
            continue;
        };
        let Some(target) = plan.find(&name) else {
            unknown(plan, &name, node.mark, reader);
            continue;
        };
        if plan.by_name.contains_key(&*entry.name) {
            reader.findings.warning(
                entry.mark,
                format!(
                    "the alias {} hides the model group of that name",
                    mask::quoted(&entry.name)
                ),
                Some("give the alias another name".into()),
            );
        }
        plan.aliases
            .insert(entry.name.to_string(), (target, hidden));
    }
}

/// `completion_model`: the group of a request that names none must exist.
pub(super) fn completion_model(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) {
    let general = root.get("general_settings");
    let Some(node) = general.and_then(|general| general.get("completion_model")) else {
        return;
    };
    if textual(node) && plan.find(&node.text).is_none() {
        unknown(plan, &node.text, node.mark, reader);
    }
}

/// Every exact name, sorted: aliases before groups before ids.
pub(super) fn table(plan: &Plan, reader: &mut Reader<'_>) -> Vec<Name> {
    let mut names: Vec<Name> = plan
        .aliases
        .iter()
        .map(|(name, (target, hidden))| Name {
            name: text(name),
            target: *target,
            hidden: *hidden,
        })
        .collect();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    let exact = (0u16..)
        .zip(&plan.groups)
        .filter(|(_, group)| !group.name.contains('*'));
    names.extend(exact.map(|(id, group)| Name {
        name: Cow::clone(&group.name),
        target: Target::Group(GroupId(id)),
        hidden: plan.hidden.contains(&GroupId(id)),
    }));
    names.extend(
        (0u16..)
            .zip(&plan.deployments)
            .map(|(id, deployment)| Name {
                name: Cow::clone(&deployment.id),
                target: Target::Deployment(DeploymentId(id)),
                hidden: true,
            }),
    );
    // Stable: of equal names the first kind stays.
    names.sort_by(|a, b| a.name.cmp(&b.name));
    names.dedup_by(|later, first| later.name == first.name);
    if names.len() > MOST {
        reader.findings.error(
            Mark {
                line: 1,
                column: 1,
                width: 1,
                ..Mark::default()
            },
            format!("more than {MOST} names in one file"),
            None,
        );
    }
    names
}
