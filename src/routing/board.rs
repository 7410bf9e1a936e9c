//! What the router makes of a table, once: for each model group the row of its deployments, with
//! all that a decision needs of them side by side.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pointsman_layers::budget::Unix;
use pointsman_routes::table::{
    Capabilities, Deployment, DeploymentId, Facts as ModelFacts, GroupId, Limits, List, Mode,
    Routes, Rule, Strategy, Target,
};
use pointsman_routes::usd::Usd;
use regex_lite::Regex;
use smallvec::SmallVec;

use super::cooldown::Rules;
use super::moment::Moment;
use super::options::Options;
use super::purse::{Allowance, Purse};
use super::state::{Keeping, Member, Reads, Registry, Seen, Stat, Stats};
use super::tokens::Vocabulary;
use crate::call::Route;

/// A deployment as a member of a group.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Priority level; the lowest with anybody left is chosen from.
    pub order: u32,
    /// `weight`.
    pub weight: Option<f64>,
    /// `rpm`.
    pub rpm: Option<u64>,
    /// `tpm`.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub parallel: Option<u32>,
    /// Longest prompt, in tokens.
    pub window: Option<u64>,
    /// Its vocabulary, if that is public.
    pub vocabulary: Option<Vocabulary>,
    /// Dollars per token of prompts and of answers, where both are known.
    pub price: Option<(f64, f64)>,
    /// Both together.
    pub per_token: Option<f32>,
    /// What it can do, if that is known.
    pub capabilities: Option<Capabilities>,
    /// Kind of work, if that is known.
    pub mode: Option<Mode>,
    /// Seconds that a whole answer is said to take, before there are samples.
    pub prior: Option<f32>,
    /// `cooldown_time` of its own.
    pub cooldown: Option<Duration>,
    /// Whether this build speaks its protocol.
    pub served: bool,
    /// Whether it has OpenAI's responses of its own, and keeps them.
    pub keeps: bool,
    /// Distance between two turns in a round robin.
    pub stride: u64,
}

/// What every decision compares of a [`Seat`], in little room. What there is no limit of has the
/// largest number.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// The routes that it serves, a bit for each.
    pub routes: u32,
    /// `order`.
    pub order: u32,
    /// What it is known to lack.
    pub lacks: Capabilities,
    /// Requests at once.
    pub parallel: u32,
    /// Longest prompt.
    pub window: u64,
    /// `rpm`.
    pub rpm: u64,
    /// `tpm`.
    pub tpm: u64,
}

/// What a deployment can be asked for by this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Anything at all.
    pub served: bool,
    /// OpenAI's responses, which it keeps.
    pub keeps: bool,
}

impl Reach {
    /// All there is.
    pub const ALL: Self = Self {
        served: true,
        keeps: true,
    };
}

/// What strategies compare of a [`Seat`], in little room.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// `weight`.
    pub weight: Option<f32>,
    /// Dollars per token of prompt and answer together.
    pub per_token: Option<f32>,
    /// Seconds that a whole answer is said to take.
    pub prior: Option<f32>,
    /// What it can do, if that is known.
    pub capabilities: Option<Capabilities>,
}

/// What is rarely looked at of a deployment.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `model_info.id`.
    pub id: Box<str>,
    /// `region_name`.
    pub region: Option<Box<str>>,
    /// `team_id`.
    pub team: Option<Box<str>>,
    /// `tags`.
    pub tags: Box<[Box<str>]>,
    /// `tag_regex`.
    pub agents: Vec<Regex>,
    /// Free capability words.
    pub words: Box<[Box<str>]>,
    /// The model as its provider knows it.
    pub model: Box<str>,
    /// Who answers.
    pub provider: Box<str>,
    /// `quota_group`.
    pub quota: Option<Box<str>>,
}

/// A model group, as it is chosen from.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each spares a look")]
pub struct Row {
    /// The group's name, or the deployment's id.
    pub name: Box<str>,
    /// Who may answer.
    pub seats: Box<[Seat]>,
    /// The same for each seat, for a first look.
    pub gates: Box<[Gate]>,
    /// The same for each seat, for the strategies.
    pub marks: Box<[Marks]>,
    /// The cheapest of them, if all have a price.
    pub cheapest: Option<u16>,
    /// The gate that lets through nobody whom one of the gates does not.
    pub narrowest: Gate,
    /// How one of them is chosen.
    pub strategy: Strategy,
    /// What of their state that needs.
    pub reads: Reads,
    /// Whether there is somewhere else to go.
    pub fallback: bool,
    /// Called by the deployment's id: nobody else is meant.
    pub direct: bool,
    /// Whether a deployment of it belongs to a team.
    pub teams: bool,
    /// Whether its deployments have more than one `order`.
    pub levels: bool,
    /// What at least one of its deployments is known to lack.
    pub lacking: Capabilities,
    /// The smallest window that is known.
    pub smallest_window: Option<u64>,
    /// The rules that are for it, by their place in the table.
    pub rules: Box<[u16]>,
    /// Whether one of its deployments has a budget.
    budgets: bool,
    stats: Box<[Run]>,
    turns: Arc<Turns>,
}

/// Statistics of deployments that follow each other in a row and in memory.
#[derive(Debug)]
struct Run {
    block: Arc<[Stats]>,
    range: Range<usize>,
}

impl Run {
    /// Those of a row, in its order.
    fn all<'a>(members: impl Iterator<Item = &'a Arc<Member>>) -> Box<[Self]> {
        let mut runs: Vec<Self> = Vec::new();
        for member in members {
            let (block, at) = (member.block(), member.at());
            match runs.last_mut() {
                Some(run) if run.range.end == at && Arc::ptr_eq(&run.block, block) => {
                    run.range.end += 1;
                }
                _ => runs.push(Self {
                    block: Arc::clone(block),
                    range: at..at + 1,
                }),
            }
        }
        runs.into()
    }

    fn iter(&self) -> std::slice::Iter<'_, Stats> {
        self.block[self.range.clone()].iter()
    }
}

/// The turns of a round robin.
#[derive(Debug, Default)]
struct Turns {
    /// The turn that was taken last.
    now: AtomicU64,
    next: Box<[AtomicU64]>,
}

/// A table, as the router uses it.
#[derive(Debug)]
pub struct Board {
    /// The table's number.
    pub generation: u64,
    /// What the file says of routing as a whole.
    pub options: Options,
    /// When a deployment rests.
    pub rules: Rules,
    /// Whether any deployment has capability words of the file's own.
    pub words: bool,
    rows: Box<[Row]>,
    single: Box<[Row]>,
    labels: Box<[Labels]>,
    stats: Box<[Arc<Member>]>,
    purses: Box<[Purses]>,
    table_rules: List<Rule>,
}

/// A deployment's own purse and its provider's, where they have an allowance.
type Purses = SmallVec<[(Arc<Purse>, Allowance); 2]>;

/// What a request is looked through for.
pub const CHECKED: Capabilities = Capabilities::TOOLS
    .with(Capabilities::VISION)
    .with(Capabilities::SCHEMA)
    .with(Capabilities::AUDIO_IN)
    .with(Capabilities::PDF);

/// Turns are counted in this fraction of a share.
pub(super) const TURN: u64 = 1 << 40;

impl Board {
    /// Makes it; `reach` tells what a deployment can be asked for by this build. Statistics come
    /// from `registry`; turns of round robins that have not changed from `before`.
    pub fn new(
        routes: &Routes,
        generation: u64,
        reach: &dyn Fn(DeploymentId) -> Reach,
        registry: &Registry,
        before: Option<&Self>,
    ) -> Self {
        let options = Options::read(routes);
        let ids = || {
            (0..=u16::MAX)
                .map(DeploymentId)
                .zip(routes.deployments.iter())
        };
        let seat = |id: DeploymentId, deployment: &Deployment| {
            Seat::new(id, deployment, &options, reach(id))
        };
        let last_resort = !routes.router.default_fallbacks.is_empty();
        let rows = routes.groups.iter().map(|group| {
            let seats: Vec<Seat> = group
                .members
                .iter()
                .filter_map(|member| {
                    let deployment = routes.deployments.get(usize::from(member.deployment.0))?;
                    let mut seat = seat(member.deployment, deployment);
                    seat.weight = member.weight;
                    seat.order = member.order;
                    seat.stride = stride(member.weight);
                    Some(seat)
                })
                .collect();
            let strategy = group.strategy.as_ref().unwrap_or(&routes.router.strategy);
            let fallback = last_resort || !group.fallbacks.is_empty();
            Row::new(&group.name, seats, strategy, &options, fallback)
        });
        let mut rows: Box<[Row]> = rows.collect();
        let single = ids().map(|(id, deployment)| {
            // There is nothing to choose, but whether limits are kept goes by the strategy.
            let group = routes.groups.get(usize::from(deployment.group.0));
            let own = group.and_then(|group| group.strategy.as_ref());
            let mut row = Row::new(
                &deployment.id,
                vec![seat(id, deployment)],
                own.unwrap_or(&routes.router.strategy),
                &options,
                last_resort,
            );
            row.direct = true;
            row
        });
        let board = Self {
            generation,
            rules: Rules::read(routes),
            words: routes
                .deployments
                .iter()
                .any(|one| !one.capabilities.is_empty()),
            single: single.collect(),
            labels: routes.deployments.iter().map(Labels::new).collect(),
            stats: registry.of_all(&routes.deployments),
            purses: routes
                .deployments
                .iter()
                .map(|one| purses(one, routes, registry))
                .collect(),
            table_rules: routes.rules.clone(),
            rows: Box::default(),
            options,
        };
        let mut board = board;
        for row in rows.iter_mut().chain(&mut board.single) {
            let labels = |seat: &Seat| &board.labels[usize::from(seat.deployment.0)];
            row.teams = row.seats.iter().any(|seat| labels(seat).team.is_some());
            let stats = |seat: &Seat| &board.stats[usize::from(seat.deployment.0)];
            row.stats = Run::all(row.seats.iter().map(stats));
            row.budgets = row.seats.iter().any(|seat| {
                let purses = &board.purses[usize::from(seat.deployment.0)];
                !purses.is_empty()
            });
        }
        for (row, id) in rows.iter_mut().zip(0..) {
            let concerns =
                |rule: &Rule| rule.groups.is_empty() || rule.groups.contains(&GroupId(id));
            let rules = (0..).zip(&*board.table_rules);
            row.rules = rules
                .filter(|(_, rule)| concerns(rule))
                .map(|(at, _)| at)
                .collect();
        }
        if let Some(before) = before {
            for row in &mut rows {
                board.keep_turns(row, before);
            }
        }
        Self { rows, ..board }
    }

    /// A group or a deployment, as it is chosen from.
    pub fn row(&self, target: Target) -> &Row {
        match target {
            Target::Group(group) => &self.rows[usize::from(group.0)],
            Target::Deployment(deployment) => &self.single[usize::from(deployment.0)],
        }
    }

    /// Every group.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What is rarely looked at.
    pub fn labels(&self, deployment: DeploymentId) -> &Labels {
        &self.labels[usize::from(deployment.0)]
    }

    /// What is known of a deployment.
    pub fn stats(&self, deployment: DeploymentId) -> &Arc<Member> {
        &self.stats[usize::from(deployment.0)]
    }

    /// The deployment with this id.
    pub fn deployment(&self, id: &str) -> Option<DeploymentId> {
        let at = self.labels.iter().position(|labels| &*labels.id == id)?;
        u16::try_from(at).ok().map(DeploymentId)
    }

    /// The conditional rules of the table.
    pub fn table_rules(&self) -> &[Rule] {
        &self.table_rules
    }

    /// Whether a deployment, or its provider, has a budget.
    pub fn has_budget(&self, deployment: DeploymentId) -> bool {
        !self.purses[usize::from(deployment.0)].is_empty()
    }

    /// Books what a deployment has cost.
    pub fn spend(&self, deployment: DeploymentId, cost: Usd, wall: Unix, now: Moment) {
        for (purse, allowance) in &self.purses[usize::from(deployment.0)] {
            purse.spend(cost, allowance, wall, now);
        }
    }

    /// The others who share a deployment's quota, but for those without whom a group has nobody
    /// and nowhere to go: asked in vain is better than not asked.
    pub fn quota_mates(&self, deployment: DeploymentId) -> Vec<DeploymentId> {
        let Some(quota) = &self.labels(deployment).quota else {
            return Vec::new();
        };
        let alone = |id: DeploymentId| {
            let mut rows = self.rows.iter().filter(|row| row.is_single());
            rows.any(|row| !row.fallback && row.seats[0].deployment == id)
        };
        let each = (0..=u16::MAX).map(DeploymentId).zip(&self.labels);
        each.filter(|(id, labels)| *id != deployment && labels.quota.as_ref() == Some(quota))
            .map(|(id, _)| id)
            .filter(|id| !alone(*id))
            .collect()
    }

    /// Copies the state of a row's deployments into `seen`, one after the other. Takes no lock,
    /// and allocates only to make `seen` larger.
    pub fn look(&self, row: &Row, stream: bool, now: Moment, seen: &mut Vec<Seen>) {
        seen.clear();
        let Reads {
            usage,
            latency,
            errors,
        } = row.reads;
        for run in &row.stats {
            seen.extend(run.iter().map(|stats| stats.look(usage, now)));
        }
        // What only some strategies need is added in rounds of its own, which keeps each short.
        match latency {
            None => {}
            Some(Stat::Peak) => row.with_stats(seen, |stats, seen| {
                stats.look_at_peak(stream, now, seen);
            }),
            Some(stat) => row.with_stats(seen, |stats, seen| {
                stats.look_at_latency(stat, stream, now, seen);
            }),
        }
        if errors {
            row.with_stats(seen, |stats, seen| seen.errors = stats.errors(now));
        }
        if row.budgets {
            for (seen, seat) in seen.iter_mut().zip(&row.seats) {
                let purses = &self.purses[usize::from(seat.deployment.0)];
                let empty = purses
                    .iter()
                    .filter_map(|(purse, _)| purse.empty_until(now));
                seen.broke = empty.max().unwrap_or_default();
            }
        }
        if matches!(row.strategy, Strategy::WeightedRoundRobin) {
            let taken = row.turns.now.load(Relaxed);
            for (seen, next) in seen.iter_mut().zip(&row.turns.next) {
                seen.turn = next.load(Relaxed).max(taken);
            }
        }
    }

    fn keep_turns(&self, row: &mut Row, before: &Self) {
        let Some(old) = before.rows.iter().find(|old| old.name == row.name) else {
            return;
        };
        let shares = |board: &Self, row: &Row| -> Vec<(Box<str>, u64)> {
            let share = |seat: &Seat| (board.labels(seat.deployment).id.clone(), seat.stride);
            row.seats.iter().map(share).collect()
        };
        if shares(self, row) == shares(before, old) {
            row.turns = Arc::clone(&old.turns);
        }
    }
}

impl Row {
    fn new(
        name: &str,
        seats: Vec<Seat>,
        strategy: &Strategy,
        options: &Options,
        fallback: bool,
    ) -> Self {
        let limited = seats
            .iter()
            .any(|seat| seat.rpm.is_some() || seat.tpm.is_some());
        let reads = Reads {
            usage: limited || matches!(strategy, Strategy::Usage),
            latency: match strategy {
                Strategy::Latency | Strategy::Score { .. } => Some(options.latency_stat),
                Strategy::PeakEwma => Some(Stat::Peak),
                _ => None,
            },
            errors: matches!(strategy, Strategy::Score { .. }),
        };
        // The first turn is half a stride away, so that shares hold from the start.
        let next = seats.iter().map(|seat| AtomicU64::new(seat.stride / 2));
        let turns = Turns {
            now: AtomicU64::new(0),
            next: next.collect(),
        };
        Self {
            name: name.into(),
            narrowest: seats.iter().map(Gate::new).fold(Gate::WIDEST, Gate::and),
            gates: seats.iter().map(Gate::new).collect(),
            marks: seats.iter().map(Marks::new).collect(),
            cheapest: cheapest(&seats),
            strategy: strategy.clone(),
            reads,
            fallback,
            direct: false,
            teams: false,
            rules: Box::default(),
            budgets: false,
            smallest_window: seats.iter().filter_map(|seat| seat.window).min(),
            lacking: seats
                .iter()
                .filter_map(|seat| seat.capabilities)
                .fold(Capabilities::NONE, |lacking, has| {
                    lacking.with(CHECKED.without(has))
                }),
            levels: seats.windows(2).any(|two| two[0].order != two[1].order),
            stats: Box::default(),
            turns: Arc::new(turns),
            seats: seats.into(),
        }
    }

    /// Whether it is chosen from by what a request needs.
    pub fn by_ability(&self) -> bool {
        matches!(self.strategy, Strategy::Capability)
    }

    /// Goes through what is known of its deployments and what was seen of them.
    #[inline]
    fn with_stats(&self, seen: &mut [Seen], look: impl Fn(&Stats, &mut Seen)) {
        let mut seen = seen.iter_mut();
        for run in &self.stats {
            for (stats, seen) in run.iter().zip(&mut seen) {
                look(stats, seen);
            }
        }
    }

    /// Whether nobody else is in it.
    pub fn is_single(&self) -> bool {
        self.seats.len() == 1
    }

    /// When a seat's turn comes. One that was away comes next and does not make up for its absence.
    fn turn(&self, at: usize) -> u64 {
        self.turns.next[at]
            .load(Relaxed)
            .max(self.turns.now.load(Relaxed))
    }

    /// Counts a turn that was taken.
    pub fn took_turn(&self, at: usize) {
        let turn = self.turn(at);
        self.turns.now.fetch_max(turn, Relaxed);
        let stride = self.seats[at].stride;
        let next = &self.turns.next[at];
        next.fetch_max(turn, Relaxed);
        next.fetch_add(stride, Relaxed);
    }
}

impl Gate {
    /// That lets everybody through.
    const WIDEST: Self = Self {
        routes: u32::MAX,
        order: u32::MAX,
        lacks: Capabilities::NONE,
        parallel: u32::MAX,
        window: u64::MAX,
        rpm: u64::MAX,
        tpm: u64::MAX,
    };

    /// One gate behind the other.
    fn and(self, other: Self) -> Self {
        Self {
            routes: self.routes & other.routes,
            order: self.order.min(other.order),
            lacks: self.lacks.with(other.lacks),
            parallel: self.parallel.min(other.parallel),
            window: self.window.min(other.window),
            rpm: self.rpm.min(other.rpm),
            tpm: self.tpm.min(other.tpm),
        }
    }

    fn new(seat: &Seat) -> Self {
        let served = Route::ALL.iter().filter(|route| seat.serves(**route));
        Self {
            routes: served.fold(0, |bits, route| bits | Self::bit(*route)),
            order: seat.order,
            lacks: seat
                .capabilities
                .map_or(Capabilities::NONE, |has| Capabilities(!has.0)),
            parallel: seat.parallel.unwrap_or(u32::MAX),
            window: seat.window.unwrap_or(u64::MAX),
            rpm: seat.rpm.unwrap_or(u64::MAX),
            tpm: seat.tpm.unwrap_or(u64::MAX),
        }
    }

    /// The bit of a route.
    pub const fn bit(route: Route) -> u32 {
        1 << route as u8
    }
}

impl Marks {
    fn new(seat: &Seat) -> Self {
        Self {
            weight: seat.weight.map(narrow),
            per_token: seat.per_token,
            prior: seat.prior,
            capabilities: seat.capabilities,
        }
    }
}

impl Seat {
    /// Whether it can be asked for this, as far as is known.
    pub fn serves(&self, route: Route) -> bool {
        self.served
            && (self.keeps || !route.wants_keeper())
            && self.mode.is_none_or(|mode| route.suits(mode))
    }

    fn new(id: DeploymentId, deployment: &Deployment, options: &Options, reach: Reach) -> Self {
        let ModelFacts {
            mode,
            max_input_tokens,
            capabilities,
            known,
            ..
        } = deployment.facts;
        let price = deployment.price.input.zip(deployment.price.output);
        Self {
            deployment: id,
            order: deployment.order,
            weight: deployment.weight,
            rpm: deployment.limits.rpm,
            tpm: deployment.limits.tpm,
            parallel: parallel(&deployment.limits, options.max_parallel),
            window: max_input_tokens,
            vocabulary: Vocabulary::of(&deployment.model),
            price: price.map(|(input, output)| (input.to_f64(), output.to_f64())),
            per_token: price.map(|(input, output)| narrow(input.plus(output).to_f64())),
            capabilities: known.then_some(capabilities),
            mode: mode.filter(|_| deployment.mock.is_none()),
            prior: deployment.latency_prior.map(|prior| prior.as_secs_f32()),
            cooldown: deployment.cooldown,
            served: reach.served,
            keeps: reach.keeps,
            stride: stride(deployment.weight),
        }
    }
}

/// The cheapest, if all have a price.
fn cheapest(seats: &[Seat]) -> Option<u16> {
    let prices: Option<Vec<f32>> = seats.iter().map(|seat| seat.per_token).collect();
    let prices = (0_u16..).zip(prices?);
    let least = prices.min_by(|(_, one), (_, other)| one.total_cmp(other));
    least.map(|(at, _)| at)
}

fn purses(deployment: &Deployment, routes: &Routes, registry: &Registry) -> Purses {
    let own = deployment.budget.as_ref();
    let own = own.map(|budget| (registry.purse_of(&deployment.id), budget.into()));
    let provider = &deployment.provider.name;
    let mut providers = routes.router.provider_budgets.iter();
    let shared = providers
        .find(|(name, _)| name == provider)
        .map(|(_, budget)| (registry.purse_of_provider(provider), budget.into()));
    own.into_iter().chain(shared).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn narrow(number: f64) -> f32 {
    number as f32
}

/// Requests at once: as many as the file says, else as LiteLLM makes of the limits of a minute
/// (`calculate_max_parallel_requests`), else the file's word for all.
fn parallel(limits: &Limits, of_all: Option<u32>) -> Option<u32> {
    /// LiteLLM takes a thousand tokens for six requests.
    const TOKENS: u64 = 1_000;
    const REQUESTS: u64 = 6;
    let small = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
    let by_requests = || limits.rpm.map(small);
    let by_tokens = || {
        let limit = limits.tpm?.saturating_mul(REQUESTS) / TOKENS;
        Some(small(limit.max(1)))
    };
    limits
        .max_parallel_requests
        .or_else(by_requests)
        .or_else(by_tokens)
        .or(of_all)
}

/// No share has no turn.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a power of two is exact, and a float is cut off at the integer's ends"
)]
fn stride(weight: Option<f64>) -> u64 {
    let weight = weight.unwrap_or(1.0);
    if weight > 0.0 {
        // Not above 2⁵², so that a turn does not overflow in any lifetime.
        (TURN as f64 / weight).min(4_503_599_627_370_496.0) as u64
    } else {
        u64::MAX
    }
}

impl Labels {
    fn new(deployment: &Deployment) -> Self {
        let boxed = |list: &[pointsman_routes::table::Text]| -> Box<[Box<str>]> {
            list.iter().map(|one| (**one).into()).collect()
        };
        Self {
            id: (*deployment.id).into(),
            region: deployment.region.as_deref().map(Into::into),
            team: deployment.team.as_deref().map(Into::into),
            tags: boxed(&deployment.tags),
            agents: deployment
                .tag_regex
                .iter()
                .filter_map(|pattern| Regex::new(pattern).ok())
                .collect(),
            words: boxed(&deployment.capabilities),
            model: (*deployment.model).into(),
            provider: (*deployment.provider.name).into(),
            quota: deployment.quota_group.as_deref().map(Into::into),
        }
    }
}

impl Board {
    /// How samples are kept.
    pub fn keeping(&self) -> Keeping {
        self.options.keeping
    }
}
