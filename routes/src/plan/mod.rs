//! The finite plan of each model group: what one request can cost at worst, in attempts, time and
//! money.
//!
//! A request goes from hop to hop: the levels of its own group, then the fallbacks in their order.
//! Each hop is an attempt and its retries. As no hop comes twice and every count has an end, the
//! plan has one, too; this module adds it up. The sums are bounds, not estimates: every attempt
//! runs into its deadline, every wait is the longest, every prompt fills the window.

mod show;

use std::time::Duration;

use serde::Serialize;

pub(crate) use show::duration;

use crate::table::{Deployment, Facts, Group, Mode, Price, RetryPolicy, Routes, Target};
use crate::usd::Usd;

/// The longest wait between two attempts: a provider's `Retry-After` is obeyed up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The worst case of one model group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupPlan {
    /// The group's public name.
    pub group: String,
    /// The ways that a request can go, the ordinary one first, then those of errors with a list of
    /// their own.
    pub ways: Vec<Way>,
    /// Attempts of the longest way.
    pub attempts: u32,
    /// Time of the longest way, in seconds; never more than `request_timeout`.
    #[serde(serialize_with = "show::seconds")]
    pub time: Duration,
    /// Whether it is `request_timeout` that ends it.
    pub cut_by_request_timeout: bool,
    /// Dollars of the dearest way, as far as prices and windows are known.
    #[serde(serialize_with = "show::dollars")]
    pub money: Usd,
    /// Deployments whose price or window is not known, so that [`money`](Self::money) leaves them
    /// out.
    pub unpriced: Vec<String>,
}

/// One order of hops.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Way {
    /// What leads this way.
    pub cause: Cause,
    /// Where it goes, in order.
    pub hops: Vec<Hop>,
}

/// Why a request leaves its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Any failure that has no list of its own.
    Failure,
    /// The prompt is larger than the window.
    ContextWindow,
    /// The provider refused the content.
    ContentPolicy,
}

/// One stop of a request, with its retries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// The group's name or the deployment's id.
    pub target: String,
    /// The priority level within the group, if it has several.
    pub order: Option<u32>,
    /// The first attempt and the retries.
    pub attempts: u32,
    /// Deadlines and waits of all of them, in seconds.
    #[serde(serialize_with = "show::seconds")]
    pub time: Duration,
    /// Dollars of all of them; `None` where no member's price and window are known.
    #[serde(serialize_with = "show::maybe_dollars")]
    pub money: Option<Usd>,
}

/// The worst case of every group, in the order of the file.
#[must_use]
pub fn worst_cases(routes: &Routes) -> Vec<GroupPlan> {
    routes
        .groups
        .iter()
        .map(|group| worst_case(routes, group))
        .collect()
}

fn worst_case(routes: &Routes, group: &Group) -> GroupPlan {
    let mut ways = vec![way(routes, group, Cause::Failure, &[])];
    for (cause, list) in [
        (Cause::ContextWindow, &group.context_window_fallbacks),
        (Cause::ContentPolicy, &group.content_policy_fallbacks),
    ] {
        if !list.is_empty() {
            ways.push(way(routes, group, cause, list));
        }
    }
    let longest = |way: &Way| {
        way.hops
            .iter()
            .map(|hop| hop.time)
            .fold(Duration::ZERO, Duration::saturating_add)
    };
    let dearest = |way: &Way| {
        way.hops
            .iter()
            .filter_map(|hop| hop.money)
            .fold(Usd::ZERO, Usd::plus)
    };
    let time = ways.iter().map(longest).max().unwrap_or_default();
    let limit = routes.settings.request_timeout;
    GroupPlan {
        group: group.name.to_string(),
        attempts: ways
            .iter()
            .map(|way| {
                way.hops
                    .iter()
                    .fold(0u32, |sum, hop| sum.saturating_add(hop.attempts))
            })
            .max()
            .unwrap_or(0),
        time: time.min(limit),
        cut_by_request_timeout: time > limit,
        money: ways.iter().map(dearest).max().unwrap_or_default(),
        unpriced: unpriced(routes, group),
        ways,
    }
}

/// The hops of a request that fails everywhere: its own levels, the list of its error, the
/// fallbacks, the last resorts; no target twice, and no more fallbacks than `max_fallbacks`.
fn way(routes: &Routes, group: &Group, cause: Cause, special: &[Target]) -> Way {
    let mut hops = levels(routes, group);
    hops.extend(
        targets(routes, group, special)
            .into_iter()
            .flat_map(|target| match target {
                Target::Group(id) => routes
                    .groups
                    .get(usize::from(id.0))
                    .map_or_else(Vec::new, |group| levels(routes, group)),
                Target::Deployment(id) => routes
                    .deployments
                    .get(usize::from(id.0))
                    .map_or_else(Vec::new, |one| vec![single(routes, one)]),
            }),
    );
    Way { cause, hops }
}

/// Where a request goes after its own group.
fn targets(routes: &Routes, group: &Group, special: &[Target]) -> Vec<Target> {
    let own = routes
        .groups
        .iter()
        .position(|other| other.name == group.name);
    let own = own.and_then(|at| u16::try_from(at).ok());
    let mut targets: Vec<Target> = Vec::new();
    let lists = [special, &group.fallbacks, &routes.router.default_fallbacks];
    for target in lists.into_iter().flatten() {
        let is_own = matches!(target, Target::Group(id) if Some(id.0) == own);
        if !is_own && !targets.contains(target) {
            targets.push(*target);
        }
    }
    targets.truncate(usize::try_from(routes.router.max_fallbacks).unwrap_or(usize::MAX));
    targets
}

/// A group as hops: one for each priority level, as the next level is tried when the one before
/// has failed.
fn levels(routes: &Routes, group: &Group) -> Vec<Hop> {
    let mut orders: Vec<u32> = group.members.iter().map(|member| member.order).collect();
    orders.sort_unstable();
    orders.dedup();
    let several = orders.len() > 1;
    orders
        .into_iter()
        .map(|order| {
            let members: Vec<&Deployment> = (group.members.iter())
                .filter(|member| member.order == order)
                .filter_map(|member| routes.deployments.get(usize::from(member.deployment.0)))
                .collect();
            let retries = retries(routes, Some(group), &members);
            let wait = group.retry_after.unwrap_or(routes.router.retry_after);
            hop(
                routes,
                &group.name,
                several.then_some(order),
                &members,
                retries,
                wait,
            )
        })
        .collect()
}

/// A deployment that is called by its id.
fn single(routes: &Routes, one: &Deployment) -> Hop {
    let members = [one];
    let retries = retries(routes, None, &members);
    hop(
        routes,
        &one.id,
        None,
        &members,
        retries,
        routes.router.retry_after,
    )
}

fn hop(
    routes: &Routes,
    target: &str,
    order: Option<u32>,
    members: &[&Deployment],
    retries: u32,
    retry_after: Duration,
) -> Hop {
    let attempts = if members.is_empty() {
        0
    } else if retries == 0 {
        1
    } else {
        // Those that were not asked yet are asked beyond the count.
        let all = u32::try_from(members.len()).unwrap_or(u32::MAX);
        retries.saturating_add(1).max(all)
    };
    let deadline = members
        .iter()
        .map(|one| deadline(routes, one))
        .max()
        .unwrap_or_default();
    let wait = if members.iter().all(|one| one.mock.is_some()) {
        retry_after
    } else {
        retry_after.max(LONGEST_RETRY_AFTER)
    };
    let waits = attempts.saturating_sub(1);
    Hop {
        target: target.to_owned(),
        order,
        attempts,
        time: deadline
            .saturating_mul(attempts)
            .saturating_add(wait.saturating_mul(waits)),
        money: members
            .iter()
            .filter_map(|one| dearest(&one.price, &one.facts))
            .max()
            .map(|money| money.times(u64::from(attempts))),
    }
}

/// The most retries that any class of error gets: the deployment's count, else the policy's, else
/// the group's, else the router's.
fn retries(routes: &Routes, group: Option<&Group>, members: &[&Deployment]) -> u32 {
    let general = group
        .and_then(|group| group.num_retries)
        .unwrap_or(routes.router.num_retries);
    let policy = group
        .and_then(|group| group.retry_policy)
        .or(routes.router.retry_policy);
    let by_class = policy.map_or(general, |policy| most(policy, general));
    members
        .iter()
        .map(|one| one.num_retries.unwrap_or(by_class))
        .max()
        .unwrap_or(0)
}

fn most(policy: RetryPolicy, general: u32) -> u32 {
    let RetryPolicy {
        bad_request,
        authentication,
        timeout,
        rate_limit,
        content_policy,
        internal_server,
    } = policy;
    [
        bad_request,
        authentication,
        timeout,
        rate_limit,
        content_policy,
        internal_server,
    ]
    .into_iter()
    .map(|count| count.unwrap_or(general))
    .max()
    .unwrap_or(general)
}

/// How long one attempt may take. A mock answers at once.
fn deadline(routes: &Routes, one: &Deployment) -> Duration {
    if one.mock.is_some() {
        return Duration::ZERO;
    }
    let limit = routes.settings.request_timeout;
    one.timeout
        .or(routes.router.timeout)
        .unwrap_or(limit)
        .min(limit)
}

/// What one request costs whose prompt fills the window and whose answer is the longest, each token
/// at the dearest price that can hold for it. `None` where that is not known.
fn dearest(price: &Price, facts: &Facts) -> Option<Usd> {
    let window = facts.max_input_tokens?;
    let long = price.long.filter(|long| window > long.above);
    let input = [
        price.input,
        price.cache_write,
        long.and_then(|long| long.input),
    ]
    .into_iter()
    .flatten()
    .max()?;
    let prompt = input.times(window);
    if facts.mode == Some(Mode::Embedding) {
        return Some(prompt);
    }
    let output = [
        price.output,
        price.reasoning,
        long.and_then(|long| long.output),
    ];
    let output = output.into_iter().flatten().max()?;
    Some(prompt.plus(output.times(facts.max_output_tokens?)))
}

/// The deployments of every way whose worst case is not known, by id; mocks cost nothing.
fn unpriced(routes: &Routes, group: &Group) -> Vec<String> {
    let mut reached: Vec<&Deployment> = Vec::new();
    let special = group
        .context_window_fallbacks
        .iter()
        .chain(group.content_policy_fallbacks.iter());
    let special: Vec<Target> = special.copied().collect();
    let members = |group: &Group| -> Vec<&Deployment> {
        let ids = group
            .members
            .iter()
            .map(|member| usize::from(member.deployment.0));
        ids.filter_map(|at| routes.deployments.get(at)).collect()
    };
    reached.extend(members(group));
    for target in targets(routes, group, &special) {
        match target {
            Target::Group(id) => {
                reached.extend(
                    routes
                        .groups
                        .get(usize::from(id.0))
                        .map(members)
                        .unwrap_or_default(),
                );
            }
            Target::Deployment(id) => reached.extend(routes.deployments.get(usize::from(id.0))),
        }
    }
    let mut ids: Vec<String> = Vec::new();
    for one in reached {
        let unknown = one.mock.is_none() && dearest(&one.price, &one.facts).is_none();
        if unknown && !ids.iter().any(|id| *id == one.id) {
            ids.push(one.id.to_string());
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{DeploymentId, GroupId, LongPrice, Member, Mock, Router, Settings};

    fn one(group: u16) -> Deployment {
        Deployment {
            id: format!("d{group}").into(),
            group: GroupId(group),
            timeout: Some(Duration::from_secs(30)),
            price: Price {
                input: Some(Usd(2)),
                output: Some(Usd(10)),
                ..Price::UNKNOWN
            },
            facts: Facts {
                max_input_tokens: Some(1000),
                max_output_tokens: Some(100),
                known: true,
                ..Facts::UNKNOWN
            },
            ..Deployment::EMPTY
        }
    }

    fn group(name: &'static str, members: &[u16], fallbacks: &[u16]) -> Group {
        let member = |id: &u16| Member {
            deployment: DeploymentId(*id),
            ..Member::FIRST
        };
        Group {
            name: name.into(),
            members: members.iter().map(member).collect(),
            fallbacks: fallbacks
                .iter()
                .map(|id| Target::Group(GroupId(*id)))
                .collect(),
            ..Group::EMPTY
        }
    }

    fn routes(groups: Vec<Group>, deployments: Vec<Deployment>) -> Routes {
        Routes {
            groups: groups.into(),
            deployments: deployments.into(),
            ..Routes::EMPTY
        }
    }

    #[test]
    fn a_group_alone_is_its_retries() {
        let plan = &worst_cases(&routes(vec![group("a", &[0], &[])], vec![one(0)]))[0];
        assert_eq!(plan.attempts, 3);
        assert_eq!(plan.time, Duration::from_secs(3 * 30 + 2 * 60));
        assert_eq!(plan.money, Usd(3 * (2 * 1000 + 10 * 100)));
        assert!(!plan.cut_by_request_timeout && plan.unpriced.is_empty());
        assert_eq!(
            plan.to_string(),
            "a: at most 3 attempts in 3 min 30 s, $0.01\n  on failure: a ×3"
        );
    }

    #[test]
    fn a_chain_is_summed_and_ends() {
        let groups = vec![group("a", &[0], &[1]), group("b", &[1], &[0])];
        let plans = worst_cases(&routes(groups, vec![one(0), one(1)]));
        assert_eq!(plans[0].attempts, 6);
        assert_eq!(plans[0].ways[0].to_string(), "a ×3 → b ×3");
        assert_eq!(plans[1].ways[0].to_string(), "b ×3 → a ×3");
    }

    #[test]
    fn last_resorts_follow_and_max_fallbacks_cuts() {
        let mut table = routes(
            vec![
                group("a", &[0], &[1]),
                group("b", &[1], &[]),
                group("c", &[2], &[]),
            ],
            vec![one(0), one(1), one(2)],
        );
        table.router = Router {
            default_fallbacks: vec![Target::Group(GroupId(2)), Target::Group(GroupId(1))].into(),
            ..Router::DEFAULT
        };
        assert_eq!(
            worst_cases(&table)[0].ways[0].to_string(),
            "a ×3 → b ×3 → c ×3"
        );
        table.router.max_fallbacks = 1;
        assert_eq!(worst_cases(&table)[0].ways[0].to_string(), "a ×3 → b ×3");
        table.router.max_fallbacks = 0;
        assert_eq!(worst_cases(&table)[0].ways[0].to_string(), "a ×3");
    }

    #[test]
    fn the_largest_count_of_retries_holds() {
        let policy = RetryPolicy {
            timeout: Some(5),
            rate_limit: Some(0),
            ..RetryPolicy::NONE
        };
        let mut table = routes(vec![group("a", &[0], &[])], vec![one(0)]);
        table.router.retry_policy = Some(policy);
        assert_eq!(worst_cases(&table)[0].attempts, 6);
        table.groups.to_mut()[0].retry_policy = Some(RetryPolicy {
            timeout: Some(3),
            ..policy
        });
        assert_eq!(worst_cases(&table)[0].attempts, 4);
        table.deployments.to_mut()[0].num_retries = Some(0);
        assert_eq!(worst_cases(&table)[0].attempts, 1);
    }

    #[test]
    fn each_priority_level_is_a_hop() {
        let mut table = routes(vec![group("a", &[0, 1], &[])], vec![one(0), one(0)]);
        table.groups.to_mut()[0].members.to_mut()[1].order = 2;
        assert_eq!(
            worst_cases(&table)[0].ways[0].to_string(),
            "a (order 0) ×3 → a (order 2) ×3"
        );
    }

    #[test]
    fn the_request_timeout_ends_everything() {
        let mut table = routes(vec![group("a", &[0], &[])], vec![one(0)]);
        table.settings = Settings {
            request_timeout: Duration::from_secs(20),
            ..Settings::DEFAULT
        };
        let plan = &worst_cases(&table)[0];
        assert_eq!(
            (plan.time, plan.cut_by_request_timeout),
            (Duration::from_secs(20), true)
        );
    }

    #[test]
    fn errors_with_a_list_of_their_own_go_another_way() {
        let mut table = routes(
            vec![
                group("a", &[0], &[1]),
                group("b", &[1], &[]),
                group("c", &[2], &[]),
            ],
            vec![one(0), one(1), one(2)],
        );
        table.groups.to_mut()[0].content_policy_fallbacks = vec![Target::Group(GroupId(2))].into();
        let plan = &worst_cases(&table)[0];
        assert_eq!(plan.ways.len(), 2);
        assert_eq!(plan.ways[1].cause, Cause::ContentPolicy);
        assert_eq!(plan.ways[1].to_string(), "a ×3 → c ×3 → b ×3");
        assert_eq!(plan.attempts, 9);
    }

    #[test]
    fn the_dearest_price_holds_and_the_unknown_is_named() {
        let long = LongPrice {
            above: 500,
            input: Some(Usd(4)),
            output: Some(Usd(20)),
        };
        let mut dear = one(0);
        dear.price.long = Some(long);
        assert_eq!(
            dearest(&dear.price, &dear.facts),
            Some(Usd(4 * 1000 + 20 * 100))
        );
        dear.facts.max_input_tokens = Some(500);
        assert_eq!(
            dearest(&dear.price, &dear.facts),
            Some(Usd(2 * 500 + 10 * 100))
        );
        let unknown = Deployment {
            price: Price::UNKNOWN,
            ..one(0)
        };
        let plan = &worst_cases(&routes(vec![group("a", &[0], &[])], vec![unknown]))[0];
        assert_eq!(
            (plan.money, plan.unpriced.as_slice()),
            (Usd::ZERO, ["d0".to_owned()].as_slice())
        );
        let mock = Deployment {
            mock: Some(Mock::Text("hi".into())),
            price: Price::UNKNOWN,
            ..one(0)
        };
        let plan = &worst_cases(&routes(vec![group("a", &[0], &[])], vec![mock]))[0];
        assert_eq!((plan.time, plan.unpriced.len()), (Duration::ZERO, 0));
    }

    #[test]
    fn a_group_of_nobody_takes_no_attempt() {
        let plan = &worst_cases(&routes(vec![group("a", &[], &[])], vec![]))[0];
        assert_eq!(
            (plan.attempts, plan.time, plan.money),
            (0, Duration::ZERO, Usd::ZERO)
        );
    }
}
