//! `model_list` → groups and their deployments.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::deployments;
use super::growing::Plan;
use super::read::{Reader, text};
use crate::mask;
use crate::table::{DeploymentId, GroupId, Member, Target};
use crate::yaml::{Mark, Node};

/// The most members that all groups may have together.
const MOST_MEMBERS: usize = 1_000_000;

/// A line of a group before references are followed.
enum Slot {
    Deployment(Member),
    Reference {
        target: String,
        via: String,
        weight: Option<f64>,
        order: u32,
        mark: Mark,
    },
}

/// Reads `model_list`.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Plan {
    let mut plan = Plan {
        groups: Vec::new(),
        deployments: Vec::new(),
        places: Vec::new(),
        group_places: Vec::new(),
        by_name: HashMap::new(),
        by_id: HashMap::new(),
        aliases: HashMap::new(),
        stands_for: HashMap::new(),
        patterns: Vec::new(),
        hidden: Vec::new(),
        dimension_change: Vec::new(),
    };
    let entries: Vec<&Node> = match root.get("model_list") {
        Some(list) => list.items().iter().filter(|item| item.is_map()).collect(),
        None => return plan,
    };
    let names: HashSet<&str> = entries
        .iter()
        .filter_map(|entry| entry.get("model_name"))
        .map(|name| &*name.text)
        .collect();
    let mut slots: Vec<Vec<Slot>> = Vec::new();
    let mut seen = Seen::default();
    for entry in &entries {
        let Some(name) = group_name(entry, reader) else {
            // The rest of the entry is checked all the same.
            deployments::read(root, entry, GroupId(0), reader);
            continue;
        };
        let group = if let Some(id) = plan.by_name.get(&name) {
            *id
        } else {
            let mark = entry
                .entry("model_name")
                .map_or(entry.mark, |entry| entry.value.mark);
            let Some(id) = plan.add_group(&name, mark) else {
                reader.findings.error(
                    entry.mark,
                    "more than 65,000 model groups in one file",
                    None,
                );
                break;
            };
            slots.push(Vec::new());
            id
        };
        let Some(params) = entry.get("litellm_params").filter(|params| params.is_map()) else {
            // Another type was said already.
            if entry.get("litellm_params").is_none() {
                reader.findings.error(
                    entry.mark,
                    format!("{} has no `litellm_params`", mask::quoted(&name)),
                    Some("say at least which model answers: `litellm_params: {model: provider/model}`".into()),
                );
            }
            continue;
        };
        let slot = match reference(params, &name, &names, reader) {
            Some((target, mark)) => seen.reference(entry, &target, mark, reader),
            None => match deployments::read(root, entry, group, reader) {
                Some(read) => {
                    let Some(member) = add(&mut plan, &mut seen, read, reader) else {
                        break;
                    };
                    Slot::Deployment(member)
                }
                None => continue,
            },
        };
        slots[usize::from(group.0)].push(slot);
    }
    follow(&mut plan, &slots, reader);
    plan.sort_patterns();
    for (id, target) in &seen.ids {
        if let (Some(target), false) = (plan.by_name.get(target), plan.by_name.contains_key(id)) {
            plan.aliases
                .insert(id.clone(), (Target::Group(*target), true));
        }
    }
    mirrors(&mut plan, seen.mirrors, reader);
    plan
}

fn group_name(entry: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let Some(name) = entry.get("model_name") else {
        reader.findings.error(
            entry.mark,
            "an entry without `model_name`",
            Some("add the name that callers will use: `model_name: my-model`".into()),
        );
        return None;
    };
    let name = if name.is_scalar() {
        reader.plain_of(name, "model_name")?
    } else {
        return None;
    };
    if name.is_empty() {
        reader
            .findings
            .error(entry.mark, "`model_name` is empty", None);
        return None;
    }
    Some(name)
}

/// A2-04: `model` names another entry of this file, and no provider sells a model of that name.
fn reference(
    params: &Node,
    own: &str,
    names: &HashSet<&str>,
    reader: &mut Reader<'_>,
) -> Option<(String, Mark)> {
    let model = params.get("model")?;
    if &*model.text == own
        || !names.contains(&*model.text)
        || params.get("custom_llm_provider").is_some()
        || deployments::is_provider_model(&model.text, reader)
    {
        return None;
    }
    for entry in params.entries() {
        if !matches!(&*entry.name, "model" | "weight" | "order") {
            reader.findings.warning(
                entry.mark,
                format!(
                    "`{}` has no effect: this entry refers to the group {}",
                    entry.name,
                    mask::quoted(&model.text)
                ),
                Some("write it at that group's own entries".into()),
            );
        }
    }
    Some((model.text.to_string(), model.mark))
}

/// What is seen on the way: ids with their places, and names to look up at the end.
#[derive(Default)]
struct Seen {
    written: HashMap<String, Mark>,
    made: HashMap<String, u32>,
    mirrors: Vec<(DeploymentId, String, Mark)>,
    /// Ids of references, which are names of the groups that they refer to.
    ids: Vec<(String, String)>,
}

impl Seen {
    fn reference(
        &mut self,
        entry: &Node,
        target: &str,
        mark: Mark,
        reader: &mut Reader<'_>,
    ) -> Slot {
        let params = entry.get("litellm_params").unwrap_or(entry);
        let id = entry.get("model_info").and_then(|info| {
            let mark = info.get("id")?.mark;
            let id = reader.plain(info, "id")?;
            self.write(&id, mark, reader);
            self.ids.push((id.clone(), target.to_owned()));
            Some(id)
        });
        reader.findings.note(
            mark,
            format!(
                "{} is a group of this file: its deployments answer",
                mask::quoted(target)
            ),
            Some("LiteLLM takes it for a provider's model and drops the entry".into()),
        );
        Slot::Reference {
            target: target.to_owned(),
            via: id.unwrap_or_else(|| target.to_owned()),
            weight: reader.number(params, "weight"),
            order: reader.small(params, "order").unwrap_or_default(),
            mark,
        }
    }

    fn write(&mut self, id: &str, mark: Mark, reader: &mut Reader<'_>) {
        if let Some(first) = self.written.get(id) {
            let place = reader.findings.place(*first);
            reader.findings.error(
                mark,
                format!("the deployment id {} is used twice", mask::quoted(id)),
                Some(format!("it stands in {place} already; ids must differ")),
            );
        } else {
            self.written.insert(id.to_owned(), mark);
        }
    }
}

fn add(
    plan: &mut Plan,
    seen: &mut Seen,
    read: deployments::Read,
    reader: &mut Reader<'_>,
) -> Option<Member> {
    let deployments::Read {
        mut deployment,
        model_mark,
        id_mark,
        allow_dimension_change,
        mirror,
    } = read;
    let Some(id) = u16::try_from(plan.deployments.len())
        .ok()
        .filter(|id| *id < u16::MAX)
    else {
        reader
            .findings
            .error(model_mark, "more than 65,000 deployments in one file", None);
        return None;
    };
    let id = DeploymentId(id);
    if let Some(mark) = id_mark {
        seen.write(&deployment.id, mark, reader);
    } else {
        // Entries that are alike in all but a secret in clear get numbers.
        let count = seen.made.entry(deployment.id.to_string()).or_default();
        *count += 1;
        if *count > 1 {
            deployment.id = text(format!("{}-{count}", deployment.id));
        }
    }
    seen.mirrors
        .extend(mirror.map(|(name, mark)| (id, name, mark)));
    if allow_dimension_change {
        plan.dimension_change.push(id);
    }
    plan.by_id.entry(deployment.id.to_string()).or_insert(id);
    let member = Member {
        deployment: id,
        weight: deployment.weight,
        order: deployment.order,
        via: None,
    };
    plan.deployments.push(deployment);
    plan.places.push(model_mark);
    Some(member)
}

/// Puts the members of the groups that are referred to in the place of the references.
fn follow(plan: &mut Plan, slots: &[Vec<Slot>], reader: &mut Reader<'_>) {
    let mut done: Vec<Option<Vec<Member>>> = vec![None; slots.len()];
    let mut total = 0;
    for group in 0..slots.len() {
        let mut way = Vec::new();
        total += members(group, plan, slots, &mut done, &mut way, reader).len();
        if total > MOST_MEMBERS {
            let what = format!("the groups together have more than {MOST_MEMBERS} members");
            reader.findings.error(plan.group_places[group], what, None);
            return;
        }
    }
    for (id, (members, slots)) in (0u16..).zip(done.into_iter().zip(slots)) {
        plan.groups[usize::from(id)].members = Cow::Owned(members.unwrap_or_default());
        if let [Slot::Reference { target, .. }] = &slots[..]
            && let Some(target) = plan.by_name.get(target)
        {
            plan.stands_for.insert(GroupId(id), *target);
        }
    }
}

fn members(
    group: usize,
    plan: &Plan,
    slots: &[Vec<Slot>],
    done: &mut Vec<Option<Vec<Member>>>,
    way: &mut Vec<usize>,
    reader: &mut Reader<'_>,
) -> Vec<Member> {
    if let Some(members) = &done[group] {
        return members.clone();
    }
    way.push(group);
    let mut own: Vec<Member> = Vec::new();
    let mut known: HashSet<DeploymentId> = HashSet::new();
    for slot in &slots[group] {
        match slot {
            Slot::Deployment(member) => {
                known.insert(member.deployment);
                own.push(member.clone());
            }
            Slot::Reference {
                target,
                via,
                weight,
                order,
                mark,
            } => {
                let Some(next) = plan.by_name.get(target).map(|id| usize::from(id.0)) else {
                    continue;
                };
                if way.contains(&next) || way.len() >= 100 {
                    circle(plan, way, next, *mark, reader);
                    continue;
                }
                let inner = members(next, plan, slots, done, way, reader);
                let total: f64 = inner
                    .iter()
                    .map(|member| member.weight.unwrap_or(1.0))
                    .sum();
                for member in inner {
                    if !known.insert(member.deployment) {
                        continue;
                    }
                    // The reference's share is divided as the group that it names divides its own.
                    let share = weight
                        .filter(|_| total > 0.0)
                        .map(|weight| weight * member.weight.unwrap_or(1.0) / total);
                    own.push(Member {
                        deployment: member.deployment,
                        weight: share.or(member.weight),
                        order: if *order > 0 { *order } else { member.order },
                        via: Some(text(via.clone())),
                    });
                }
            }
        }
    }
    way.pop();
    done[group] = Some(own.clone());
    own
}

fn circle(plan: &Plan, way: &[usize], next: usize, mark: Mark, reader: &mut Reader<'_>) {
    let start = way
        .iter()
        .position(|group| *group == next)
        .unwrap_or_default();
    let names: Vec<String> = way[start..]
        .iter()
        .chain([&next])
        .take(12)
        .map(|group| mask::quoted(&plan.groups[*group].name))
        .collect();
    reader.findings.error(
        mark,
        format!(
            "model groups refer to each other in a circle: {}",
            names.join(" → ")
        ),
        Some("let one of them name a provider's model".into()),
    );
}

/// `silent_model`, once every group is known.
fn mirrors(plan: &mut Plan, asked: Vec<(DeploymentId, String, Mark)>, reader: &mut Reader<'_>) {
    for (deployment, name, mark) in asked {
        match plan.find(&name) {
            Some(Target::Group(target)) => {
                plan.deployments[usize::from(deployment.0)].mirror = Some(target);
            }
            _ => super::names::unknown(plan, &name, mark, reader),
        }
    }
}
