//! `rules`: conditions and whom they prefer.

use std::borrow::Cow;

use super::growing::Plan;
use super::names::unknown;
use super::read::{Reader, text, texts, textual};
use crate::mask;
use crate::table::{Deployment, DeploymentId, GroupId, List, Rule, Target, Text};
use crate::yaml::Node;

/// Reads them; the deployments that they name must stand in the groups that they are for.
pub(super) fn read(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) -> Vec<Rule> {
    let Some(list) = root.get("rules") else {
        return Vec::new();
    };
    // A fragment's groups stand elsewhere.
    if root.get("model_list").is_none() {
        if !list.items().is_empty() {
            reader.findings.error(
                list.mark,
                "rules in a file without `model_list`",
                Some("write them into the file that names the deployments".into()),
            );
        }
        return Vec::new();
    }
    let rules = list.items().iter().filter(|rule| rule.is_map());
    rules.filter_map(|rule| one(rule, plan, reader)).collect()
}

fn one(rule: &Node, plan: &mut Plan, reader: &mut Reader<'_>) -> Option<Rule> {
    let empty = Node::empty(rule.mark);
    let when = rule.get("when").unwrap_or(&empty);
    let groups = groups(when, plan, reader)?;
    let prefer = deployments(rule, "prefer", &groups, plan, reader);
    let otherwise = deployments(rule, "else", &groups, plan, reader);
    if prefer.is_empty() && otherwise.is_empty() {
        if rule.get("prefer").is_none() && rule.get("else").is_none() {
            reader.findings.error(
                rule.mark,
                "a rule that prefers nobody",
                Some("name deployments under `prefer`, under `else`, or both".into()),
            );
        }
        return None;
    }
    let read = Rule {
        keys: words(when, "key", reader),
        teams: words(when, "team", reader),
        users: words(when, "user", reader),
        tags: words(when, "tags", reader),
        metadata: Cow::Owned(metadata(when, reader)),
        groups: groups.into(),
        prefer: prefer.into(),
        otherwise: otherwise.into(),
    };
    let always = read.keys.is_empty()
        && read.teams.is_empty()
        && read.users.is_empty()
        && read.tags.is_empty()
        && read.metadata.is_empty();
    if always && !read.otherwise.is_empty() {
        reader.findings.warning(
            rule.mark,
            "this rule has no condition, so that its `else` is never used",
            Some("say `when` it holds: key, team, user, tags or metadata".into()),
        );
    }
    Some(read)
}

fn words(when: &Node, name: &str, reader: &mut Reader<'_>) -> List<Text> {
    texts(reader.words(when, name))
}

/// What a request's metadata must say. Numbers and switches are compared as they are written.
fn metadata(when: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Text)> {
    let entries = when.get("metadata").map(Node::entries).unwrap_or_default();
    let mut wanted = Vec::new();
    for entry in entries {
        let node = &entry.value;
        if !node.is_scalar() || node.is_null() {
            let what = format!("expected a text or a number, found {}", node.word());
            reader.findings.error(node.mark, what, None);
        } else if !textual(node) {
            wanted.push((text(&*entry.name), text(node.to_json())));
        } else if let Some(value) = reader.plain_of(node, &entry.name) {
            wanted.push((text(&*entry.name), text(value)));
        }
    }
    wanted.sort();
    wanted
}

/// The groups of `when.model`; `None` if one is unknown.
fn groups(when: &Node, plan: &mut Plan, reader: &mut Reader<'_>) -> Option<Vec<GroupId>> {
    let mut found = Vec::new();
    let mut known = true;
    for name in reader.words(when, "model") {
        if let Some(Target::Group(group)) = plan.find(&name) {
            found.push(group);
        } else {
            let mark = when.get("model").map_or(when.mark, |node| node.mark);
            unknown(plan, &name, mark, reader);
            known = false;
        }
    }
    known.then_some(found)
}

/// The deployments of these groups that are meant by id, by model, or by provider.
fn deployments(
    rule: &Node,
    name: &str,
    groups: &[GroupId],
    plan: &Plan,
    reader: &mut Reader<'_>,
) -> Vec<DeploymentId> {
    let mut members: Vec<DeploymentId> = (0_u16..)
        .zip(&plan.groups)
        .filter(|(id, _)| groups.is_empty() || groups.contains(&GroupId(*id)))
        .flat_map(|(_, group)| group.members.iter().map(|member| member.deployment))
        .collect();
    members.sort_unstable();
    members.dedup();
    let mut found = Vec::new();
    for word in reader.words(rule, name) {
        let ways: [fn(&Deployment) -> &str; 3] = [
            |one| &one.id,
            |one| &one.litellm_model,
            |one| &one.provider.name,
        ];
        let meant = ways.into_iter().find_map(|of| {
            let meant: Vec<_> = members
                .iter()
                .copied()
                .filter(|id| of(plan.deployment(*id)) == word)
                .collect();
            (!meant.is_empty()).then_some(meant)
        });
        if let Some(meant) = meant {
            for id in meant {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
            continue;
        }
        let known = members
            .iter()
            .flat_map(|id| ways.map(|of| of(plan.deployment(*id))));
        let near = reader.findings.nearest(&word, known, 1);
        let mark = rule.get(name).map_or(rule.mark, |node| node.mark);
        reader.findings.error(
            mark,
            format!(
                "no deployment of the rule's models is {}",
                mask::quoted(&word)
            ),
            Some(match near.first() {
                Some(near) => format!("did you mean {}?", mask::quoted(near)),
                None => "name a `model_info.id`, a `litellm_params.model` or a provider".into(),
            }),
        );
    }
    found
}
