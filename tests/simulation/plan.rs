//! What a run is made of, drawn from its seed: a config, and what its providers meet.

use std::fmt::Write;
use std::time::Duration;

use fastrand::Rng;

/// Every strategy, by one of its names in the file.
pub(crate) const STRATEGIES: [&str; 12] = [
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "cost_optimized",
    "usage-based-routing",
    "usage-based-routing-v2",
    "weighted_round_robin",
    "capability-based",
    "peak-ewma",
    "score",
    "latency",
];

/// A prompt that is `long` does not fit into this window; all others do.
pub(crate) const SMALL_WINDOW: u64 = 400;
const LARGE_WINDOW: u64 = 20_000;
const LARGEST_WINDOW: u64 = 200_000;
/// Nothing fails any more after this time of a run.
pub(crate) const FAULTS_END: u64 = 600_000;

/// A run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) strategy: &'static str,
    pub(crate) groups: Vec<Group>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) rules: Rules,
    /// What each deployment meets, by its place.
    pub(crate) faults: Vec<Vec<Episode>>,
    /// Mean milliseconds between two requests.
    pub(crate) pace: u64,
    pub(crate) config: String,
}

/// A model group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) members: Vec<usize>,
    pub(crate) fallbacks: Vec<String>,
}

/// A deployment.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) group: usize,
    pub(crate) model: &'static str,
    pub(crate) vision: bool,
    pub(crate) window: u64,
    pub(crate) weight: Option<u32>,
    pub(crate) rpm: Option<u64>,
    pub(crate) tpm: Option<u64>,
    pub(crate) parallel: Option<u32>,
    pub(crate) order: u32,
    pub(crate) cooldown: Option<u64>,
    pub(crate) retries: Option<u32>,
    pub(crate) region: Option<&'static str>,
    pub(crate) tag: Option<&'static str>,
    pub(crate) quota: Option<&'static str>,
    /// `max_budget`, in millionths of a dollar.
    pub(crate) budget: Option<u64>,
    /// Milliseconds to an answer's head.
    pub(crate) latency: u64,
}

/// What the file says of routing as a whole.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the file"
)]
pub(crate) struct Rules {
    pub(crate) retries: u32,
    pub(crate) retry_policy: Option<Policy>,
    pub(crate) group_policy: Option<(String, Policy)>,
    pub(crate) cooldown: u64,
    pub(crate) disabled: bool,
    pub(crate) allowed_fails: Option<u32>,
    pub(crate) allowed_policy: bool,
    pub(crate) breaker: Option<(u32, u64)>,
    pub(crate) single: Option<&'static str>,
    pub(crate) max_fallbacks: Option<u32>,
    pub(crate) default_fallbacks: Vec<String>,
    pub(crate) window_fallbacks: Vec<(String, String)>,
    pub(crate) policy_fallbacks: Vec<(String, String)>,
    pub(crate) checks: bool,
    pub(crate) enforce: bool,
    pub(crate) tags: bool,
    pub(crate) affinity: bool,
    pub(crate) timeout: u64,
    pub(crate) request_timeout: Option<u64>,
    pub(crate) midstream: Option<&'static str>,
    pub(crate) first_token: Option<u64>,
    pub(crate) idle: Option<u64>,
    pub(crate) hedge: Option<u64>,
    /// How many may wait for a group, and for how many seconds.
    pub(crate) queue: Option<(usize, u64)>,
    pub(crate) default_priority: Option<u32>,
    /// Money of all deployments together, in millionths of a dollar.
    pub(crate) provider_budget: Option<u64>,
    /// Milliseconds between two rounds of health checks.
    pub(crate) health: Option<u64>,
    pub(crate) preferences: Vec<Preference>,
}

/// A conditional rule. A condition that is not there holds.
#[derive(Debug)]
pub(crate) struct Preference {
    pub(crate) group: Option<usize>,
    pub(crate) tag: Option<&'static str>,
    pub(crate) user: Option<u32>,
    /// Deployments, if it holds.
    pub(crate) prefer: Vec<usize>,
    /// Deployments, if it does not.
    pub(crate) otherwise: Vec<usize>,
}

/// Counts by class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) bad_request: Option<u32>,
    pub(crate) rate_limit: Option<u32>,
    pub(crate) server: Option<u32>,
    pub(crate) timeout: Option<u32>,
}

/// A stretch of time in which a provider is not well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Episode {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) trouble: Trouble,
}

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    RateLimit {
        after: Option<u32>,
    },
    Down,
    Status(u16),
    /// Good and bad in turn, each for so many milliseconds.
    Flapping {
        period: u64,
    },
    /// One in so many fails.
    Share {
        of: u32,
    },
    /// So many times slower.
    Slower(u64),
    /// Nothing comes.
    Silent,
    Malformed,
    CutBefore,
    CutWithin,
    Stalled,
}

pub(crate) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

pub(crate) fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

fn some<T>(rng: &mut Rng, n: u32, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    one_in(rng, n).then(|| value(rng))
}

impl Plan {
    /// The run of a seed.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let strategy = STRATEGIES[usize::try_from(seed).unwrap_or(0) % STRATEGIES.len()];
        let rules = Rules::drawn(rng);
        let mut plan = Self {
            seed,
            strategy,
            groups: Vec::new(),
            deployments: Vec::new(),
            rules,
            faults: Vec::new(),
            pace: pick(rng, &[20, 100, 400, 1_500, 3_000]),
            config: String::new(),
        };
        let limited = one_in(rng, 3) || strategy.starts_with("usage");
        for group in 0..rng.usize(1..5) {
            plan.add_group(rng, group, limited);
        }
        plan.add_fallbacks(rng);
        plan.add_preferences(rng);
        plan.faults = (0..plan.deployments.len()).map(|_| faults(rng)).collect();
        plan.config = plan.file();
        plan
    }

    /// One group without faults, whose members have these parameters.
    pub(crate) fn calm(seed: u64, strategy: &'static str, members: Vec<Deployment>) -> Self {
        let mut plan = Self {
            seed,
            strategy,
            groups: vec![Group {
                name: "g0".into(),
                members: (0..members.len()).collect(),
                fallbacks: Vec::new(),
            }],
            faults: members.iter().map(|_| Vec::new()).collect(),
            deployments: members,
            rules: Rules {
                cooldown: 5,
                timeout: 60,
                ..Rules::default()
            },
            pace: 50,
            config: String::new(),
        };
        plan.config = plan.file();
        plan
    }

    fn add_group(&mut self, rng: &mut Rng, group: usize, limited: bool) {
        let count = pick(rng, &[1, 1, 2, 3, 4, 6]);
        let (levels, weighted) = (one_in(rng, 4), one_in(rng, 3));
        let (narrow, regional) = (one_in(rng, 3), one_in(rng, 4));
        // A quota that is shared has one limit.
        let shared =
            (limited && one_in(rng, 4)).then(|| (rng.u64(5..200), rng.u64(3_000..100_000)));
        let mut members = Vec::new();
        for member in 0..count {
            let model = pick(rng, &["gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo", "gpt-4.1"]);
            let tight = limited && one_in(rng, 2);
            members.push(self.deployments.len());
            self.deployments.push(Deployment {
                id: format!("d{}", self.deployments.len()),
                group,
                model,
                vision: model != "gpt-3.5-turbo",
                window: if narrow && one_in(rng, 2) {
                    SMALL_WINDOW
                } else {
                    LARGE_WINDOW
                },
                weight: (weighted && !one_in(rng, 5)).then(|| rng.u32(0..6)),
                rpm: shared
                    .map(|(rpm, _)| rpm)
                    .or(tight.then(|| rng.u64(3..150))),
                tpm: shared
                    .map(|(_, tpm)| tpm)
                    .or((tight && one_in(rng, 2)).then(|| rng.u64(2_000..90_000))),
                parallel: some(rng, 4, |rng| rng.u32(1..6)),
                order: if levels { rng.u32(1..4) } else { 0 },
                cooldown: some(rng, 5, |rng| pick(rng, &[0, 1, 10, 90])),
                retries: some(rng, 8, |rng| rng.u32(0..4)),
                // Not all in the EU: the compiler keeps such groups from falling back elsewhere.
                region: regional.then(|| {
                    if member == 0 {
                        "us"
                    } else {
                        pick(rng, &["us", "eu"])
                    }
                }),
                tag: some(rng, 3, |rng| pick(rng, &["fast", "default"])),
                quota: shared.map(|_| ["q0", "q1", "q2", "q3"][group]),
                budget: some(rng, 8, |rng| rng.u64(1_000..80_000)),
                latency: rng.u64(20..900),
            });
        }
        self.groups.push(Group {
            name: format!("g{group}"),
            members,
            fallbacks: Vec::new(),
        });
    }

    fn add_fallbacks(&mut self, rng: &mut Rng) {
        let names: Vec<String> = self.groups.iter().map(|group| group.name.clone()).collect();
        let ids: Vec<String> = self.deployments.iter().map(|one| one.id.clone()).collect();
        let other = |rng: &mut Rng, own: &str| {
            let found = names[rng.usize(..names.len())].clone();
            (found != own).then_some(found)
        };
        for (at, name) in names.iter().enumerate() {
            for _ in 0..rng.usize(..3) {
                let target = if one_in(rng, 8) {
                    Some(ids[rng.usize(..ids.len())].clone())
                } else {
                    other(rng, name)
                };
                let known = &mut self.groups[at].fallbacks;
                known.extend(target.filter(|target| !known.contains(target)));
            }
            if one_in(rng, 4) {
                let target = other(rng, name);
                let target = target.map(|target| (name.clone(), target));
                self.rules.policy_fallbacks.extend(target);
            }
        }
        if one_in(rng, 5) {
            let last = names[rng.usize(..names.len())].clone();
            self.rules.default_fallbacks.push(last);
        }
        if one_in(rng, 3) {
            // The compiler refuses a window that is no larger.
            self.groups.push(Group {
                name: "roomy".into(),
                members: vec![self.deployments.len()],
                fallbacks: Vec::new(),
            });
            self.deployments.push(Deployment {
                window: LARGEST_WINDOW,
                ..Deployment::plain(self.deployments.len(), self.groups.len() - 1)
            });
            let from = names[rng.usize(..names.len())].clone();
            self.rules.window_fallbacks.push((from, "roomy".into()));
        }
    }

    fn add_preferences(&mut self, rng: &mut Rng) {
        if !one_in(rng, 4) {
            return;
        }
        let all = self.deployments.len();
        for _ in 0..rng.usize(1..4) {
            let group = some(rng, 2, |rng| rng.usize(..self.groups.len()));
            let own = match group {
                Some(group) => self.groups[group].members.clone(),
                None => (0..all).collect(),
            };
            let some_of = |rng: &mut Rng| -> Vec<usize> {
                let count = rng.usize(1..4);
                (0..count).map(|_| pick(rng, &own)).collect()
            };
            self.rules.preferences.push(Preference {
                group,
                tag: some(rng, 3, |rng| pick(rng, &["fast", "rare"])),
                user: some(rng, 3, |rng| rng.u32(..20)),
                prefer: some_of(rng),
                otherwise: if one_in(rng, 3) {
                    some_of(rng)
                } else {
                    Vec::new()
                },
            });
        }
    }

    /// What stands under `rules`.
    fn write_preferences(&self, text: &mut String) {
        let ids = |places: &[usize]| {
            let ids = places.iter().map(|at| &*self.deployments[*at].id);
            ids.collect::<Vec<_>>().join(", ")
        };
        for (at, rule) in self.rules.preferences.iter().enumerate() {
            if at == 0 {
                *text += "rules:\n";
            }
            let conditions = [
                rule.group
                    .map(|group| format!("model: [{}]", self.groups[group].name)),
                rule.tag.map(|tag| format!("tags: [{tag}]")),
                rule.user.map(|user| format!("user: [\"{user}\"]")),
            ];
            let conditions: Vec<String> = conditions.into_iter().flatten().collect();
            let _ = write!(
                text,
                "  - {{when: {{{}}}, prefer: [{}]",
                conditions.join(", "),
                ids(&rule.prefer)
            );
            if !rule.otherwise.is_empty() {
                let _ = write!(text, ", else: [{}]", ids(&rule.otherwise));
            }
            *text += "}\n";
        }
    }

    fn file(&self) -> String {
        let mut text = String::from("model_list:\n");
        for one in &self.deployments {
            let _ = writeln!(
                text,
                "  - {{model_name: {}, litellm_params: {{{}}}, model_info: {{id: {}, \
                 max_input_tokens: {}}}}}",
                self.groups[one.group].name,
                one.parameters(),
                one.id,
                one.window
            );
        }
        let _ = writeln!(
            text,
            "router_settings:\n  routing_strategy: {}",
            self.strategy
        );
        self.rules.write(&mut text);
        list(
            &mut text,
            "fallbacks",
            self.groups.iter().filter_map(|group| {
                let any = !group.fallbacks.is_empty();
                any.then(|| format!("{}: [{}]", group.name, group.fallbacks.join(", ")))
            }),
        );
        if let Some(seconds) = self.rules.request_timeout {
            let _ = writeln!(text, "litellm_settings:\n  request_timeout: {seconds}");
        }
        self.write_preferences(&mut text);
        text
    }

    /// Whether rpm and tpm are kept.
    pub(crate) fn keeps_limits(&self) -> bool {
        self.rules.checks || self.rules.enforce || self.limits_by_strategy()
    }

    /// Whether the strategy itself keeps rpm and tpm.
    fn limits_by_strategy(&self) -> bool {
        ["usage", "latency", "cost"]
            .iter()
            .any(|word| self.strategy.starts_with(word))
    }
}

impl Deployment {
    /// One without limits.
    pub(crate) fn plain(at: usize, group: usize) -> Self {
        Self {
            id: format!("d{at}"),
            group,
            model: "gpt-4o",
            vision: true,
            window: LARGE_WINDOW,
            weight: None,
            rpm: None,
            tpm: None,
            parallel: None,
            order: 0,
            cooldown: None,
            retries: None,
            region: None,
            tag: None,
            quota: None,
            budget: None,
            latency: 100,
        }
    }

    fn parameters(&self) -> String {
        let mut text = format!("model: openai/{}, api_key: os.environ/KEY", self.model);
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = write!(text, ", {name}: {value}");
            }
        };
        add("weight", self.weight.map(|one| one.to_string()));
        add("rpm", self.rpm.map(|one| one.to_string()));
        add("tpm", self.tpm.map(|one| one.to_string()));
        let order = (self.order > 0).then_some(self.order);
        add("order", order.map(|one| one.to_string()));
        add(
            "max_parallel_requests",
            self.parallel.map(|one| one.to_string()),
        );
        add("cooldown_time", self.cooldown.map(|one| one.to_string()));
        add("num_retries", self.retries.map(|one| one.to_string()));
        add("region_name", self.region.map(Into::into));
        add("tags", self.tag.map(|tag| format!("[{tag}]")));
        add("quota_group", self.quota.map(Into::into));
        add("max_budget", self.budget.map(dollars));
        text
    }
}

impl Rules {
    fn drawn(rng: &mut Rng) -> Self {
        Self {
            retries: rng.u32(0..4),
            retry_policy: some(rng, 4, Policy::drawn),
            group_policy: some(rng, 5, |rng| ("g0".to_owned(), Policy::drawn(rng))),
            cooldown: pick(rng, &[1, 5, 5, 30]),
            disabled: one_in(rng, 12),
            allowed_fails: some(rng, 4, |rng| rng.u32(0..5)),
            allowed_policy: one_in(rng, 6),
            breaker: some(rng, 4, |rng| (rng.u32(2..6), rng.u64(5..100))),
            single: some(rng, 4, |rng| pick(rng, &["always", "never"])),
            max_fallbacks: some(rng, 3, |rng| rng.u32(0..4)),
            checks: !one_in(rng, 4),
            enforce: one_in(rng, 6),
            tags: one_in(rng, 4),
            affinity: one_in(rng, 6),
            timeout: pick(rng, &[5, 20, 60]),
            request_timeout: some(rng, 5, |rng| rng.u64(8..90)),
            midstream: some(rng, 3, |rng| pick(rng, &["error", "restart"])),
            first_token: some(rng, 5, |rng| rng.u64(1..5)),
            idle: some(rng, 3, |rng| pick(rng, &[1, 2, 10])),
            hedge: some(rng, 5, |rng| rng.u64(1..4)),
            queue: some(rng, 3, |rng| {
                (pick(rng, &[0, 1, 3, 10]), pick(rng, &[1, 5, 30]))
            }),
            default_priority: some(rng, 6, |rng| rng.u32(..4)),
            provider_budget: some(rng, 20, |rng| rng.u64(50_000..400_000)),
            health: some(rng, 5, |rng| pick(rng, &[5_000, 20_000, 60_000])),
            ..Self::default()
        }
    }

    fn write(&self, text: &mut String) {
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name}: {value}");
        };
        line("num_retries", self.retries.to_string());
        line("cooldown_time", self.cooldown.to_string());
        line("timeout", self.timeout.to_string());
        line("enable_pre_call_checks", self.checks.to_string());
        line("disable_cooldowns", self.disabled.to_string());
        line("enforce_limits", self.enforce.to_string());
        line("enable_tag_filtering", self.tags.to_string());
        if self.affinity {
            line("optional_pre_call_checks", "[session_affinity]".into());
        }
        if let Some(policy) = self.retry_policy {
            line("retry_policy", policy.written());
        }
        if let Some((group, policy)) = &self.group_policy {
            let map = format!("{{{group}: {}}}", policy.written());
            line("model_group_retry_policy", map);
        }
        if self.allowed_policy {
            let policy = "{RateLimitErrorAllowedFails: 2, InternalServerErrorAllowedFails: 1}";
            line("allowed_fails_policy", policy.into());
        }
        if let Some(count) = self.allowed_fails {
            line("allowed_fails", count.to_string());
        }
        if let Some((count, seconds)) = self.breaker {
            let map = format!("{{consecutive: {count}, open_for: {seconds}}}");
            line("breaker", map);
        }
        if let Some(word) = self.midstream {
            line("on_midstream", word.into());
        }
        if let Some(seconds) = self.first_token {
            line("ttft_timeout", seconds.to_string());
        }
        if let Some(seconds) = self.idle {
            line("stream_idle_timeout", seconds.to_string());
        }
        if let Some(seconds) = self.hedge {
            line("hedge_after", seconds.to_string());
        }
        if let Some((size, seconds)) = self.queue {
            line("queue", format!("{{size: {size}, timeout: {seconds}}}"));
        }
        if let Some(priority) = self.default_priority {
            line("default_priority", priority.to_string());
        }
        if let Some(most) = self.provider_budget {
            let map = format!("{{openai: {{budget_limit: {}}}}}", dollars(most));
            line("provider_budget_config", map);
        }
        if let Some(word) = self.single {
            line("single_deployment_cooldown", word.into());
        }
        if let Some(most) = self.max_fallbacks {
            line("max_fallbacks", most.to_string());
        }
        if !self.default_fallbacks.is_empty() {
            let names = self.default_fallbacks.join(", ");
            line("default_fallbacks", format!("[{names}]"));
        }
        let pairs = |pairs: &[(String, String)]| -> Vec<String> {
            let pair = |(from, to): &(String, String)| format!("{from}: [{to}]");
            pairs.iter().map(pair).collect()
        };
        list(
            text,
            "context_window_fallbacks",
            pairs(&self.window_fallbacks),
        );
        list(
            text,
            "content_policy_fallbacks",
            pairs(&self.policy_fallbacks),
        );
    }
}

/// `name: [{…}, {…}]`, unless there is nothing in it.
fn list(text: &mut String, name: &str, items: impl IntoIterator<Item = String>) {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("{{{item}}}"))
        .collect();
    if !items.is_empty() {
        let _ = writeln!(text, "  {name}: [{}]", items.join(", "));
    }
}

impl Policy {
    fn drawn(rng: &mut Rng) -> Self {
        Self {
            bad_request: some(rng, 3, |rng| rng.u32(0..3)),
            rate_limit: some(rng, 2, |rng| rng.u32(0..4)),
            server: some(rng, 2, |rng| rng.u32(0..4)),
            timeout: some(rng, 3, |rng| rng.u32(0..3)),
        }
    }

    fn written(self) -> String {
        let each = [
            ("BadRequestErrorRetries", self.bad_request),
            ("RateLimitErrorRetries", self.rate_limit),
            ("InternalServerErrorRetries", self.server),
            ("TimeoutErrorRetries", self.timeout),
        ];
        let each = each
            .iter()
            .filter_map(|(name, count)| Some(format!("{name}: {}", (*count)?)));
        format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
    }
}

fn faults(rng: &mut Rng) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut at = rng.u64(..20_000);
    // A third of the providers is well throughout.
    let count = if one_in(rng, 3) { 0 } else { rng.usize(1..8) };
    for _ in 0..count {
        let to = at + pick(rng, &[500, 5_000, 30_000, 120_000]);
        let trouble = trouble(rng);
        if to < FAULTS_END {
            episodes.push(Episode {
                from: at,
                to,
                trouble,
            });
        }
        at = to + rng.u64(1..30_000);
    }
    episodes
}

fn trouble(rng: &mut Rng) -> Trouble {
    match rng.u32(..13) {
        0 | 1 => Trouble::RateLimit {
            after: some(rng, 2, |rng| pick(rng, &[1, 7, 30, 300])),
        },
        2 => Trouble::Down,
        3 => Trouble::Status(pick(rng, &[500, 502, 503, 529])),
        4 => Trouble::Flapping {
            period: rng.u64(200..10_000),
        },
        5 => Trouble::Share { of: rng.u32(2..6) },
        6 => Trouble::Slower(pick(rng, &[3, 10, 100])),
        7 => Trouble::Silent,
        8 => Trouble::Malformed,
        9 => Trouble::CutBefore,
        10 => Trouble::CutWithin,
        11 => Trouble::Stalled,
        _ => Trouble::Status(pick(rng, &[401, 403, 404, 408, 409, 400, 422])),
    }
}

/// Millionths of a dollar, as the file has them.
pub(crate) fn dollars(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Milliseconds as a time.
pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
