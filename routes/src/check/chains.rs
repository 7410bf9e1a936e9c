//! Fallbacks: what the file writes → a finite list for each group.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::class::Class;
use super::growing::Plan;
use super::lints;
use super::names::unknown;
use super::read::Reader;
use super::router;
use crate::catalog;
use crate::mask;
use crate::table::{GroupId, Router, Target};
use crate::yaml::{Entry, Mark, Node};

/// A target with its place.
type Aim = (Target, Mark);

/// The lists of one class, by what they are for.
#[derive(Default)]
struct Lists {
    groups: HashMap<GroupId, Vec<Aim>>,
    /// Lists under a name without its provider, for groups named with it.
    stripped: HashMap<String, Vec<Aim>>,
    /// The list under `"*"`.
    rest: Option<Vec<Aim>>,
}

/// A list as written.
struct Written {
    name: String,
    mark: Mark,
    targets: Vec<(String, Mark)>,
}

/// Every list of a class.
#[derive(Default)]
struct All {
    lists: Vec<Written>,
    by_name: HashMap<String, usize>,
}

/// The most entries that all chains may have together.
const MOST: usize = 2_000_000;

/// Reads every fallback, checks it and flattens it into the groups.
pub(super) fn apply(root: &Node, plan: &mut Plan, router: &mut Router, reader: &mut Reader<'_>) {
    router::group_policies(root, plan, reader);
    retries(root, plan, reader);
    let lists = Class::ALL.map(|class| {
        let written = written(root, class, reader);
        resolve(written, plan, reader)
    });
    let defaults = defaults(root, plan, reader);
    for (class, lists) in Class::ALL.into_iter().zip(&lists) {
        for (group, aims) in &lists.groups {
            lints::targets(plan, *group, class, aims, reader);
        }
    }
    let chains = Chains {
        plan,
        lists,
        defaults: &defaults,
        depth: router.max_fallbacks,
    };
    let mut total = 0;
    let mut flat: Vec<[Vec<Target>; 3]> = Vec::with_capacity(chains.plan.groups.len());
    for (id, mark) in (0u16..).map(GroupId).zip(&chains.plan.group_places) {
        let lists = Class::ALL.map(|class| chains.flatten(id, class));
        total += lists.iter().map(Vec::len).sum::<usize>();
        if total > MOST {
            let what =
                format!("the fallbacks of all groups together have more than {MOST} entries");
            reader
                .findings
                .error(*mark, what, Some("name fewer fallbacks".into()));
            return;
        }
        flat.push(lists);
    }
    let own: Vec<Option<Mark>> = (0..chains.plan.groups.len())
        .map(|at| {
            let group = GroupId(u16::try_from(at).unwrap_or(u16::MAX));
            let mut own = chains.own(group, Class::Any).into_iter();
            own.find(|(target, _)| *target != Target::Group(group))
                .map(|(_, mark)| mark)
        })
        .collect();
    for ((group, [any, window, policy]), mark) in plan.groups.iter_mut().zip(flat).zip(own) {
        // A fallback to the group itself was said already.
        if let (true, Some(mark)) = (any.is_empty(), mark) {
            reader.findings.note(
                mark,
                format!(
                    "the fallbacks of {} lead to no group that was not tried yet",
                    mask::quoted(&group.name)
                ),
                Some(
                    "the other deployments of the group are tried by retries; name another group"
                        .into(),
                ),
            );
        }
        group.fallbacks = Cow::Owned(any);
        group.context_window_fallbacks = Cow::Owned(window);
        group.content_policy_fallbacks = Cow::Owned(policy);
    }
    router.default_fallbacks = defaults.iter().map(|(target, _)| *target).collect();
}

/// A fragment's fallbacks are carried as they are; says so once.
pub(super) fn fragment(root: &Node, reader: &mut Reader<'_>) {
    for class in Class::ALL {
        // Shape and conflicts can be checked without groups.
        written(root, class, reader);
    }
    reader.findings.note(
        root.entries().first().map_or(root.mark, |entry| Mark {
            id: 0,
            ..entry.mark
        }),
        "a fragment without `model_list`: the names of groups in it cannot be checked",
        Some("name this file under `include:` of the file that has the `model_list`".into()),
    );
}

/// Every list of a class, from every place that may hold one. What stands in two places must be
/// the same.
fn written(root: &Node, class: Class, reader: &mut Reader<'_>) -> Vec<Written> {
    let mut all = All::default();
    for section in ["router_settings", "litellm_settings", "router"] {
        let Some(list) = root
            .get(section)
            .and_then(|section| section.get(class.key()))
        else {
            continue;
        };
        for item in list.items() {
            if !item.is_map() {
                reader.findings.error(
                    item.mark,
                    format!(
                        "expected a map from a group to its fallbacks, found {}",
                        item.word()
                    ),
                    Some("write `- group: [first, second]`".into()),
                );
            }
            for entry in item.entries() {
                let targets = targets(&entry.value, reader);
                add(
                    &mut all,
                    Written {
                        name: entry.name.to_string(),
                        mark: entry.mark,
                        targets,
                    },
                    reader,
                );
            }
        }
    }
    if class == Class::Any {
        let list = root
            .get("fallback_config")
            .map(Node::items)
            .unwrap_or_default();
        for item in list.iter().filter(|item| item.is_map()) {
            let Some(name) = item.get("model_name") else {
                reader.findings.error(
                    item.mark,
                    "fallbacks without `model_name`",
                    Some("say whose they are".into()),
                );
                continue;
            };
            let targets = item
                .get("fallback_to")
                .map(|node| targets(node, reader))
                .unwrap_or_default();
            let Some(text) = reader.plain_of(name, "model_name") else {
                continue;
            };
            add(
                &mut all,
                Written {
                    name: text,
                    mark: name.mark,
                    targets,
                },
                reader,
            );
        }
    }
    all.lists
}

/// A list of names, or one name.
fn targets(node: &Node, reader: &mut Reader<'_>) -> Vec<(String, Mark)> {
    let nodes = if node.is_list() {
        node.items()
    } else {
        std::slice::from_ref(node)
    };
    let mut targets = Vec::new();
    for node in nodes {
        if super::read::textual(node) {
            targets.extend(
                reader
                    .plain_of(node, "fallbacks")
                    .map(|name| (name, node.mark)),
            );
        } else if !node.is_null() {
            reader.findings.error(
                node.mark,
                format!("expected the name of a group, found {}", node.word()),
                None,
            );
        }
    }
    targets
}

/// A3-03: the same list twice is fine, two lists are not.
fn add(all: &mut All, new: Written, reader: &mut Reader<'_>) {
    let Some(known) = all.by_name.get(&new.name).map(|at| &all.lists[*at]) else {
        all.by_name.insert(new.name.clone(), all.lists.len());
        all.lists.push(new);
        return;
    };
    let same = known
        .targets
        .iter()
        .map(|(name, _)| name)
        .eq(new.targets.iter().map(|(name, _)| name));
    if !same {
        let place = reader.findings.place(known.mark);
        reader.findings.error(
            new.mark,
            format!(
                "{} has other fallbacks in another place",
                mask::quoted(&new.name)
            ),
            Some(format!("they stand in {place}, too: keep one list")),
        );
    }
}

fn resolve(written: Vec<Written>, plan: &mut Plan, reader: &mut Reader<'_>) -> Lists {
    let mut lists = Lists::default();
    for Written {
        name,
        mark,
        targets,
    } in written
    {
        let aims: Vec<Aim> = targets
            .into_iter()
            .filter_map(|(target, mark)| aim(plan, &target, mark, reader))
            .collect();
        if name == "*" {
            lists.rest = Some(aims);
            continue;
        }
        match plan.find(&name) {
            Some(Target::Group(group)) => {
                lists.groups.insert(group, aims);
            }
            Some(Target::Deployment(_)) => {
                reader.findings.error(
                    mark,
                    format!(
                        "{} is a deployment; fallbacks belong to groups",
                        mask::quoted(&name)
                    ),
                    Some("write its group's name".into()),
                );
            }
            None => {
                let meant = plan
                    .groups
                    .iter()
                    .any(|group| stripped(&group.name) == Some(&*name));
                if meant {
                    lists.stripped.insert(name, aims);
                } else {
                    unknown(plan, &name, mark, reader);
                }
            }
        }
    }
    lists
}

fn aim(plan: &mut Plan, name: &str, mark: Mark, reader: &mut Reader<'_>) -> Option<Aim> {
    let found = plan.find(name);
    if found.is_none() {
        unknown(plan, name, mark, reader);
    }
    found.map(|target| (target, mark))
}

/// A name without the provider before it.
fn stripped(name: &str) -> Option<&str> {
    let (prefix, rest) = name.split_once('/')?;
    catalog::provider(prefix).map(|_| rest)
}

/// `default_fallbacks`, from either place.
fn defaults(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) -> Vec<Aim> {
    let places: Vec<(&Entry, Vec<(String, Mark)>)> = ["router_settings", "litellm_settings"]
        .iter()
        .filter_map(|section| root.get(section)?.entry("default_fallbacks"))
        .map(|entry| (entry, targets(&entry.value, reader)))
        .collect();
    if let [(first, one), (second, other)] = &places[..]
        && !one
            .iter()
            .map(|(name, _)| name)
            .eq(other.iter().map(|(name, _)| name))
    {
        let place = reader.findings.place(first.mark);
        reader.findings.error(
            second.mark,
            "`default_fallbacks` differ from those in another place",
            Some(format!("they stand in {place}, too: keep one list")),
        );
    }
    let names = places
        .into_iter()
        .next()
        .map(|(_, names)| names)
        .unwrap_or_default();
    names
        .into_iter()
        .filter_map(|(name, mark)| aim(plan, &name, mark, reader))
        .collect()
}

/// A6-04: `retry_attempts` and `retry_delay` of `fallback_config`.
fn retries(root: &Node, plan: &mut Plan, reader: &mut Reader<'_>) {
    for item in root
        .get("fallback_config")
        .map(Node::items)
        .unwrap_or_default()
    {
        let attempts = reader.small(item, "retry_attempts");
        let delay = reader.seconds(item, "retry_delay");
        let name = item.get("model_name").map(|name| &*name.text);
        // An unknown name is said where its fallbacks are resolved.
        if let Some(Target::Group(group)) = name.and_then(|name| plan.find(name)) {
            let group = plan.group_mut(group);
            group.num_retries = attempts.or(group.num_retries);
            group.retry_after = delay.or(group.retry_after);
        }
    }
}

struct Chains<'p> {
    plan: &'p Plan,
    lists: [Lists; 3],
    defaults: &'p [Aim],
    /// How deep fallbacks of fallbacks are followed.
    depth: u32,
}

impl Chains<'_> {
    /// A15-13: the list of a group itself: under its name, else under its name without provider,
    /// else under `"*"`. A group that only refers to another also has the other's, after its own.
    fn own(&self, group: GroupId, class: Class) -> Vec<Aim> {
        let lists = &self.lists[class as usize];
        let name = &self.plan.group(group).name;
        let mut own = lists
            .groups
            .get(&group)
            .or_else(|| lists.stripped.get(stripped(name)?))
            .cloned()
            .unwrap_or_default();
        let mut next = group;
        for _ in 0..100 {
            let Some(referred) = self.plan.stands_for.get(&next) else {
                break;
            };
            own.extend(lists.groups.get(referred).into_iter().flatten());
            next = *referred;
        }
        if own.is_empty()
            && !lists.groups.contains_key(&group)
            && let Some(rest) = &lists.rest
        {
            own.clone_from(rest);
        }
        own
    }

    /// Each target, followed by its own fallbacks; nothing twice; the defaults at the end.
    fn flatten(&self, group: GroupId, class: Class) -> Vec<Target> {
        let mut chain = Chain {
            tried: HashSet::from([Target::Group(group)]),
            list: Vec::new(),
        };
        // What the group only stands for was tried with it.
        let mut same = group;
        while let Some(referred) = self.plan.stands_for.get(&same) {
            if !chain.tried.insert(Target::Group(*referred)) {
                break;
            }
            same = *referred;
        }
        if class != Class::Any {
            let own = self.own(group, class);
            if own.is_empty() {
                return Vec::new();
            }
            self.follow(&own, class, 1, &mut chain);
        }
        self.follow(&self.own(group, Class::Any), Class::Any, 1, &mut chain);
        self.follow(self.defaults, class, 1, &mut chain);
        chain.list
    }

    fn follow(&self, aims: &[Aim], class: Class, depth: u32, chain: &mut Chain) {
        if depth > self.depth {
            return;
        }
        for (target, _) in aims {
            if !chain.tried.insert(*target) {
                continue;
            }
            chain.list.push(*target);
            if let Target::Group(group) = target {
                let mut next = self.own(*group, class);
                if next.is_empty() {
                    next = self.own(*group, Class::Any);
                }
                self.follow(&next, class, depth + 1, chain);
            }
        }
    }
}

/// A list while it grows.
struct Chain {
    tried: HashSet<Target>,
    list: Vec<Target>,
}
