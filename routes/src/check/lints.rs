//! What works but may not be meant, once the groups are known.

use std::collections::HashSet;

use super::class::Class;
use super::growing::Plan;
use super::read::Reader;
use crate::lookup::matches;
use crate::mask;
use crate::table::{Capabilities, Deployment, GroupId, Mode, Priced, Router, Strategy, Target};
use crate::yaml::{Mark, Node};

/// Capabilities without which a request fails, rather than gives a plainer answer.
const NEEDED: &[Capabilities] = &[
    Capabilities::TOOLS,
    Capabilities::VISION,
    Capabilities::PDF,
    Capabilities::SCHEMA,
    Capabilities::AUDIO_IN,
    Capabilities::AUDIO_OUT,
    Capabilities::VIDEO_IN,
];

/// The most patterns that are compared with each other.
const MOST_PATTERNS: usize = 200;

/// The fallbacks of one group, as written.
pub(super) fn targets(
    plan: &Plan,
    group: GroupId,
    class: Class,
    aims: &[(Target, Mark)],
    reader: &mut Reader<'_>,
) {
    let source = plan.members(Target::Group(group));
    let name = mask::quoted(&plan.group(group).name);
    for (target, mark) in aims {
        if *target == Target::Group(group) {
            reader.findings.note(
                *mark,
                format!(
                    "{name} falls back to itself, which has no effect: retries cover the group"
                ),
                Some("name another group, or remove it".into()),
            );
            continue;
        }
        let members = plan.members(*target);
        let to = mask::quoted(plan.name_of(*target));
        if class == Class::ContextWindow {
            window(&source, &members, (&name, &to), *mark, reader);
        }
        if dimensions(plan, &source, &members, (&name, &to), *mark, reader) {
            continue;
        }
        capabilities(&source, &members, (&name, &to), *mark, reader);
    }
}

/// A15-14: a window that is no larger cannot help.
fn window(
    source: &[&Deployment],
    target: &[&Deployment],
    (name, to): (&str, &str),
    mark: Mark,
    reader: &mut Reader<'_>,
) {
    let largest = |members: &[&Deployment]| {
        let windows: Option<Vec<u64>> = members
            .iter()
            .map(|one| one.facts.max_input_tokens)
            .collect();
        windows.and_then(|windows| windows.into_iter().max())
    };
    let (Some(from), Some(into)) = (largest(source), largest(target)) else {
        return;
    };
    if into <= from {
        reader.findings.error(
            mark,
            format!("the window of {to} ({into} tokens) is no larger than that of {name} ({from} tokens)"),
            Some("name a group with a larger window, or set `model_info.max_input_tokens`".into()),
        );
    }
}

/// A6-15: vectors of another length spoil an index. Says whether anything was said.
fn dimensions(
    plan: &Plan,
    source: &[&Deployment],
    target: &[&Deployment],
    (name, to): (&str, &str),
    mark: Mark,
    reader: &mut Reader<'_>,
) -> bool {
    if !source
        .iter()
        .any(|one| one.facts.mode == Some(Mode::Embedding))
    {
        return false;
    }
    let allowed = plan.dimension_change.iter().any(|id| {
        let one = plan.deployment(*id);
        source
            .iter()
            .chain(target)
            .any(|member| member.id == one.id)
    });
    let lengths = |members: &[&Deployment]| -> HashSet<Option<u32>> {
        members
            .iter()
            .map(|one| asked(one).or(one.facts.embedding_dimensions))
            .collect()
    };
    let (from, into) = (lengths(source), lengths(target));
    if allowed || (from.len() == 1 && from == into && !from.contains(&None)) {
        return false;
    }
    let words = |lengths: &HashSet<Option<u32>>| {
        let mut words: Vec<String> = lengths
            .iter()
            .map(|length| length.map_or_else(|| "unknown".to_owned(), |length| length.to_string()))
            .collect();
        words.sort();
        words.join(" or ")
    };
    reader.findings.error(
        mark,
        format!("vectors of {to} have another length than those of {name}: {} instead of {}", words(&into), words(&from)),
        Some("an index holds vectors of one model: name the same model elsewhere, or set `allow_dimension_change: true` under `litellm_params`".into()),
    );
    true
}

/// `dimensions` of the entry, which shortens the vectors.
fn asked(one: &Deployment) -> Option<u32> {
    one.defaults
        .iter()
        .find(|(name, _)| name == "dimensions")?
        .1
        .parse()
        .ok()
}

fn capabilities(
    source: &[&Deployment],
    target: &[&Deployment],
    (name, to): (&str, &str),
    mark: Mark,
    reader: &mut Reader<'_>,
) {
    let modes = |members: &[&Deployment]| -> Option<HashSet<Mode>> {
        members.iter().map(|one| one.facts.mode).collect()
    };
    if let (Some(from), Some(into)) = (modes(source), modes(target))
        && !from.is_empty()
        && !into.is_empty()
        && from.is_disjoint(&into)
    {
        let help = Some("name a group for the same kind of work".into());
        reader.findings.warning(
            mark,
            format!("{to} does another kind of work than {name}"),
            help,
        );
        return;
    }
    // What every deployment of the source can do, some of the target must be able to do.
    let known = |members: &[&Deployment]| {
        !members.is_empty()
            && members
                .iter()
                .all(|one| one.facts.known && one.facts.capabilities != Capabilities::NONE)
    };
    if !known(source) || !known(target) {
        return;
    }
    let lacking: Vec<&str> = NEEDED
        .iter()
        .filter(|one| {
            source
                .iter()
                .all(|member| member.facts.capabilities.has(**one))
        })
        .filter(|one| {
            !target
                .iter()
                .any(|member| member.facts.capabilities.has(**one))
        })
        .flat_map(|one| one.words())
        .collect();
    if !lacking.is_empty() {
        reader.findings.warning(
            mark,
            format!("{to} lacks what {name} can do: {}", lacking.join(", ")),
            Some("requests that need it fail there; put a more capable group first".into()),
        );
    }
}

/// Everything that concerns whole groups and the file.
pub(super) fn run(root: &Node, plan: &Plan, router: &Router, reader: &mut Reader<'_>) {
    for (id, group) in (0u16..).map(GroupId).zip(&plan.groups) {
        if plan.hidden.contains(&id) {
            continue;
        }
        let mark = plan.group_places[usize::from(id.0)];
        mixture(plan, id, mark, reader);
        shares(plan, id, router, reader);
        regions(plan, id, mark, reader);
        if group.fallbacks.len() > 3 {
            reader.findings.note(
                mark,
                format!(
                    "up to {} fallbacks may follow {}, one after another",
                    group.fallbacks.len(),
                    mask::quoted(&group.name)
                ),
                Some(
                    "each adds its own waiting time; `pointsman check` prints the worst case"
                        .into(),
                ),
            );
        }
    }
    unpriced(root, plan, reader);
    patterns(plan, reader);
}

/// A2-01: different models under one name, with nothing that says how they share.
fn mixture(plan: &Plan, id: GroupId, mark: Mark, reader: &mut Reader<'_>) {
    let group = plan.group(id);
    if group
        .members
        .iter()
        .any(|member| member.order != 0 || member.weight.is_some() || member.via.is_some())
    {
        return;
    }
    let members = plan.members(Target::Group(id));
    let families: HashSet<&str> = members.iter().map(|one| family(one)).collect();
    let windows: HashSet<u64> = members
        .iter()
        .filter_map(|one| one.facts.max_input_tokens)
        .collect();
    let prices: HashSet<_> = members
        .iter()
        .filter(|one| one.priced != Priced::Unknown)
        .map(|one| (one.price.input, one.price.output))
        .collect();
    let mut differ = Vec::new();
    if families.len() > 1 {
        differ.push("model");
    }
    if windows.len() > 1 {
        differ.push("context window");
    }
    if prices.len() > 1 {
        differ.push("price");
    }
    if !differ.is_empty() {
        reader.findings.note(
            mark,
            format!(
                "the deployments of {} differ in {}, and share the traffic alike",
                mask::quoted(&group.name),
                differ.join(", ")
            ),
            Some(
                "give them `order` to try some first, or `weight` to share; or other names".into(),
            ),
        );
    }
}

/// The catalog's name without provider and date.
fn family(one: &Deployment) -> &str {
    let name = one.catalog_name.as_deref().unwrap_or(&one.model);
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let end = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let dated = name.len() - end.len() >= 9;
    if dated { end } else { name }
}

/// A14-01: a deployment without the field by which the others share gets nothing.
fn shares(plan: &Plan, id: GroupId, router: &Router, reader: &mut Reader<'_>) {
    let group = plan.group(id);
    if group.strategy.as_ref().unwrap_or(&router.strategy) != &Strategy::SimpleShuffle
        || group.members.len() < 2
    {
        return;
    }
    let limits = |at: usize| plan.deployment(group.members[at].deployment).limits;
    let fields: [(&str, Vec<bool>); 3] = [
        (
            "weight",
            group
                .members
                .iter()
                .map(|member| member.weight.is_some())
                .collect(),
        ),
        (
            "rpm",
            (0..group.members.len())
                .map(|at| limits(at).rpm.is_some())
                .collect(),
        ),
        (
            "tpm",
            (0..group.members.len())
                .map(|at| limits(at).tpm.is_some())
                .collect(),
        ),
    ];
    // The first field that any of them has is the one that decides.
    let Some((field, has)) = fields.iter().find(|(_, has)| has.contains(&true)) else {
        return;
    };
    for (member, has) in group.members.iter().zip(has) {
        if !has {
            reader.findings.warning(
                plan.place(member.deployment),
                format!(
                    "this deployment has no `{field}`, but others of {} have: it gets no traffic",
                    mask::quoted(&group.name)
                ),
                Some(format!("write `{field}` at all of them or at none")),
            );
        }
    }
}

/// A6-13: a group that is all in the EU may not fall back elsewhere.
fn regions(plan: &Plan, id: GroupId, mark: Mark, reader: &mut Reader<'_>) {
    let european = |one: &&Deployment| one.region.as_deref().is_some_and(in_eu);
    let members = plan.members(Target::Group(id));
    if members.is_empty() || !members.iter().all(european) {
        return;
    }
    let group = plan.group(id);
    let lists = [
        &group.fallbacks,
        &group.context_window_fallbacks,
        &group.content_policy_fallbacks,
    ];
    let mut said = HashSet::new();
    for target in lists.into_iter().flat_map(|list| list.iter()) {
        if said.insert(*target) && !plan.members(*target).iter().all(european) {
            reader.findings.error(
                mark,
                format!(
                    "every deployment of {} is in the EU, but its fallback {} is not",
                    mask::quoted(&group.name),
                    mask::quoted(plan.name_of(*target))
                ),
                Some("fall back to a group whose deployments all have `region_name: eu`".into()),
            );
        }
    }
}

/// LiteLLM's `eu`, and the clouds' names of regions in the EU.
fn in_eu(region: &str) -> bool {
    const NAMES: &[&str] = &[
        "francecentral",
        "francesouth",
        "germanynorth",
        "germanywestcentral",
        "swedencentral",
        "swedensouth",
        "italynorth",
        "polandcentral",
        "spaincentral",
        "northeurope",
        "westeurope",
        "austriaeast",
        "belgiumcentral",
        "denmarkeast",
        "finlandcentral",
        "greececentral",
    ];
    // Two of Amazon's regions and two of Google's are in Europe, but not in the EU.
    const OUTSIDE: &[&str] = &["eu-west-2", "eu-central-2", "europe-west2", "europe-west6"];
    let region = region.to_ascii_lowercase();
    let european = region == "eu" || region.starts_with("eu-") || region.starts_with("europe-");
    !OUTSIDE.contains(&&*region) && (european || NAMES.contains(&&*region))
}

/// A2-10: what has no price is counted as nothing, which a budget does not stop.
fn unpriced(root: &Node, plan: &Plan, reader: &mut Reader<'_>) {
    let budget = sets_budget(root);
    for (deployment, mark) in plan.deployments.iter().zip(&plan.places) {
        if deployment.priced != Priced::Unknown || deployment.model.contains('*') {
            continue;
        }
        let what = format!(
            "no price of {} is known: it is counted as 0",
            mask::quoted(&deployment.litellm_model)
        );
        let help = Some("name the model that it is in `model_info.base_model`, or write `input_cost_per_token` and `output_cost_per_token` there; 0 if it is free".into());
        if budget {
            reader
                .findings
                .warning(*mark, format!("{what}, and the file sets a budget"), help);
        } else {
            reader.findings.note(*mark, what, help);
        }
    }
}

fn sets_budget(root: &Node) -> bool {
    fn any(node: &Node) -> bool {
        node.items().iter().any(any)
            || node.entries().iter().any(|entry| {
                let budget = entry.name.ends_with("max_budget")
                    || matches!(
                        &*entry.name,
                        "monthly_limit"
                            | "weekly_limit"
                            | "daily_limit"
                            | "max_user_budget"
                            | "max_internal_user_budget"
                            | "max_end_user_budget"
                            | "provider_budget_config"
                            | "budget_limit"
                            | "soft_budget"
                            | "default_soft_budget"
                    );
                (budget && !entry.value.is_null()) || any(&entry.value)
            })
    }
    any(root)
}

/// A2-13: which pattern wins is settled, but may surprise.
fn patterns(plan: &Plan, reader: &mut Reader<'_>) {
    let patterns: Vec<_> = plan
        .patterns
        .iter()
        .filter(|one| one.pattern != "*")
        .take(MOST_PATTERNS)
        .collect();
    for (at, one) in patterns.iter().enumerate() {
        for other in &patterns[at + 1..] {
            if matches(&other.pattern, &one.pattern) {
                reader.findings.note(
                    plan.group_places[usize::from(one.group.0)],
                    format!(
                        "names that {} matches are also matched by {}: the more specific one wins",
                        mask::quoted(&one.pattern),
                        mask::quoted(&other.pattern)
                    ),
                    None,
                );
            }
        }
    }
}
