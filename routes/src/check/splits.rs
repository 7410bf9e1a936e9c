//! Splits of traffic that are written away from the deployments.

use std::borrow::Cow;

use super::growing::Plan;
use super::names::unknown;
use super::read::{Reader, text};
use crate::mask;
use crate::table::{
    Deployment, DeploymentId, GroupId, Member, Router, Strategy, Target, Text, WeightedAlias,
};
use crate::yaml::{Mark, Node};

/// Reads both forms and puts the weights where they belong.
pub(super) fn apply(root: &Node, plan: &mut Plan, router: &mut Router, reader: &mut Reader<'_>) {
    let fragment = root.get("model_list").is_none();
    let aliases = root
        .get("router_settings")
        .and_then(|router| router.get("model_group_alias"));
    let mut splits = Vec::new();
    for entry in aliases.map(Node::entries).unwrap_or_default() {
        if !entry.value.is_list() {
            continue;
        }
        let shares = shares_of_list(&entry.value, reader);
        if !fragment {
            split_group(plan, &entry.name, entry.mark, &shares, reader);
        }
        let shares = shares
            .into_iter()
            .map(|(model, weight, _)| (text(model), weight))
            .collect();
        splits.push(WeightedAlias {
            name: text(&*entry.name),
            shares: Cow::Owned(shares),
        });
    }
    router.weighted_aliases = Cow::Owned(splits);

    for (section, key) in [("router_settings", "weights"), ("router", "weights")] {
        let Some(entry) = root.get(section).and_then(|section| section.entry(key)) else {
            continue;
        };
        let mut shares: Vec<(Text, f64, Mark)> = Vec::new();
        for share in entry.value.entries() {
            let weight = reader.number_of(&share.value, "weights");
            if weight.is_none() && super::read::float_of(&share.value).is_none() {
                reader.findings.error(
                    share.value.mark,
                    format!("expected a number, found {}", share.value.word()),
                    None,
                );
            }
            shares.extend(weight.map(|weight| (text(&*share.name), weight, share.mark)));
        }
        if !fragment {
            join(plan, entry.mark, &shares, reader);
        }
        router.weights = shares
            .into_iter()
            .map(|(name, weight, _)| (name, weight))
            .collect();
    }
}

/// `[{model: azure/gpt-4o, weight: 0.7}, …]`.
fn shares_of_list(list: &Node, reader: &mut Reader<'_>) -> Vec<(String, f64, Mark)> {
    let mut shares = Vec::new();
    for item in list.items() {
        let model = item
            .get("model")
            .and_then(|node| Some((reader.plain_of(node, "model")?, node.mark)));
        let weight = reader.number(item, "weight");
        match (model, weight) {
            (Some((model, mark)), Some(weight)) => shares.push((model, weight, mark)),
            (_, None) if item.get("weight").is_some() => {}
            _ => reader.findings.error(
                item.mark,
                "a share without `model` or `weight`",
                Some("write `{model: provider/model, weight: 0.7}`".into()),
            ),
        }
    }
    shares
}

fn is_called(deployment: &Deployment, model: &str) -> bool {
    deployment.litellm_model == model
        || model.split_once('/').is_some_and(|(provider, rest)| {
            deployment.provider.name == provider && deployment.model == rest
        })
}

/// A4-08: weights by model, over the deployments of the group, or over all if there is no such
/// group.
fn split_group(
    plan: &mut Plan,
    name: &str,
    place: Mark,
    shares: &[(String, f64, Mark)],
    reader: &mut Reader<'_>,
) {
    let group = plan.by_name.get(name).copied();
    let mut members: Vec<Member> = match group {
        Some(group) => plan.group(group).members.to_vec(),
        None => (0u16..)
            .map(DeploymentId)
            .zip(&plan.deployments)
            .filter(|(_, one)| shares.iter().any(|(model, ..)| is_called(one, model)))
            .map(|(deployment, _)| Member {
                deployment,
                ..Member::FIRST
            })
            .collect(),
    };
    for member in &mut members {
        member.weight = Some(0.0);
    }
    for (model, weight, mark) in shares {
        let called = |member: &&mut Member| is_called(plan.deployment(member.deployment), model);
        let mut found: Vec<&mut Member> = members.iter_mut().filter(called).collect();
        if found.is_empty() {
            reader.findings.error(
                *mark,
                format!("no deployment with the model {}", mask::quoted(model)),
                Some("a share names the `litellm_params.model` of a deployment".into()),
            );
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "there are at most 65,535 deployments"
        )]
        let count = found.len() as f64;
        for member in &mut found {
            member.weight = Some(weight / count);
        }
    }
    let Some(group) = group.or_else(|| plan.add_group(name, place)) else {
        return;
    };
    let group = plan.group_mut(group);
    group.members = Cow::Owned(members);
    group.strategy = Some(Strategy::WeightedRoundRobin);
}

/// A6-02: weights by group: a new group over the deployments of all of them, under the name of
/// their common model.
fn join(plan: &mut Plan, place: Mark, shares: &[(Text, f64, Mark)], reader: &mut Reader<'_>) {
    let mut groups: Vec<(GroupId, f64)> = Vec::new();
    for (name, weight, mark) in shares {
        match plan.find(name) {
            Some(Target::Group(group)) => groups.push((group, *weight)),
            _ => unknown(plan, name, *mark, reader),
        }
    }
    if groups.len() < shares.len() {
        return;
    }
    if groups.iter().all(|(_, weight)| *weight == 0.0) {
        reader
            .findings
            .error(place, "every weight is 0: nothing would get traffic", None);
        return;
    }
    let mut members: Vec<Member> = Vec::new();
    for (group, weight) in &groups {
        let inner = &plan.group(*group).members;
        let total: f64 = inner
            .iter()
            .map(|member| member.weight.unwrap_or(1.0))
            .sum();
        for member in inner.iter() {
            if members
                .iter()
                .any(|known| known.deployment == member.deployment)
                || total <= 0.0
            {
                continue;
            }
            let share = weight * member.weight.unwrap_or(1.0) / total;
            members.push(Member {
                weight: Some(share),
                via: None,
                ..member.clone()
            });
        }
    }
    let models: Vec<&Text> = members
        .iter()
        .map(|member| &plan.deployment(member.deployment).litellm_model)
        .collect();
    let common = models
        .first()
        .filter(|first| models.iter().all(|model| model == *first));
    let Some(name) = common.map(ToString::to_string) else {
        reader.findings.warning(
            place,
            "the weights have no effect: the groups have no model in common, so the split has no name",
            Some("give the deployments one `model_name` and write `weight` at each".into()),
        );
        return;
    };
    if plan.by_name.contains_key(&name) || name.contains('*') {
        reader.findings.warning(
            place,
            format!("the weights have no effect: the split would be called {}, which is a group already", mask::quoted(&name)),
            Some("give the deployments one `model_name` and write `weight` at each".into()),
        );
        return;
    }
    reader.findings.note(
        place,
        format!(
            "callers ask for {} to get the split; the groups stay callable",
            mask::quoted(&name)
        ),
        None,
    );
    let Some(group) = plan.add_group(&name, place) else {
        return;
    };
    let group = plan.group_mut(group);
    group.members = Cow::Owned(members);
    group.strategy = Some(Strategy::WeightedRoundRobin);
}
