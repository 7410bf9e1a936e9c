//! LiteLLM's metrics, by their names and labels.
//!
//! Handles are made once for each deployment and key and then only counted on. The recorder is the
//! one that the process installed in the `metrics` facade.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use pointsman_routes::table::{DeploymentId, GroupId};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::record::Record;
use crate::call::{Call, Left, Principal, Trail};

/// LiteLLM's buckets of latencies, in seconds.
pub const BUCKETS: [f64; 35] = [
    0.005, 0.00625, 0.0125, 0.025, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0,
    5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 9.5, 10.0, 15.0, 20.0, 25.0, 30.0, 60.0, 120.0, 180.0,
    240.0, 300.0,
];

/// Label sets whose handles are kept. When there are more, all are forgotten here and found anew in the
/// recorder, which keeps every set there ever was.
const MAX_SERIES: usize = 2_000;

/// Counts ended calls.
#[derive(Debug)]
pub struct Meter {
    /// By the hash of what makes a label set; see [`Meter::series`].
    series: RwLock<FxHashMap<u64, Arc<Series>>>,
    in_flight: Gauge,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            series: RwLock::default(),
            in_flight: gauge!("litellm_in_flight_requests"),
        }
    }
}

/// The handles of one label set.
#[derive(Debug)]
struct Series {
    labels: Labels,
    /// Dollars. The facade's counters are whole numbers, so this is a gauge that only grows.
    spend: Gauge,
    requests: Counter,
    total_tokens: Counter,
    input_tokens: Counter,
    output_tokens: Counter,
    success: Counter,
    attempts: Counter,
    upstream_latency: Histogram,
    total_latency: Histogram,
    first_token: Histogram,
    per_output_token: Histogram,
    overhead: Histogram,
    answered: Counter,
}

impl Meter {
    /// A request came; the guard counts it out when it is dropped.
    pub fn enter(&self) -> InFlight {
        self.in_flight.increment(1.0);
        InFlight(self.in_flight.clone())
    }

    /// Counts the failed attempts of a call whose caller went away before there was an answer. The
    /// call itself is counted when it is reported.
    pub fn count_abandoned(&self, call: &Call, trail: &Trail) {
        count_attempts(call, trail);
    }

    /// Counts a call that has ended.
    pub fn count(&self, record: &Record) {
        let series = self.series(record);
        if !record.trail.left.is_empty() {
            count_trail(record);
        }
        if record.trail.hedges > 0 {
            count_hedges(record);
        }
        if record.trail.continued + record.trail.given_up > 0 {
            count_continued(record);
        }
        if let Some(class) = record.failure {
            // What came before an answer is in the trail; a stream that broke is not.
            let asked = record.deployment.is_some() && record.status.is_success();
            series
                .labels
                .count_failure(class, record.status.as_str(), asked);
            return;
        }
        series.answered.increment(1);
        series.requests.increment(1);
        series.attempts.increment(1);
        series.success.increment(1);
        if let Some(usage) = record.usage {
            series.total_tokens.increment(usage.total());
            series.input_tokens.increment(usage.prompt);
            series.output_tokens.increment(usage.completion);
            if let Some(tokens) = u32::try_from(usage.completion)
                .ok()
                .filter(|tokens| *tokens > 0)
            {
                series.per_output_token.record(record.total() / tokens);
            }
        }
        series.spend.increment(record.cost.total().to_f64());
        series.upstream_latency.record(record.upstream);
        series.total_latency.record(record.total());
        if let Some(first) = record.first_token {
            series.first_token.record(first);
        } else {
            series
                .overhead
                .record(record.total().saturating_sub(record.upstream));
        }
    }

    fn series(&self, record: &Record) -> Arc<Series> {
        let call = &record.call;
        let generation = call.live.generation();
        let group = call.group();
        let id = FxBuildHasher.hash_one((
            generation,
            record.deployment,
            group,
            call.requested(),
            &*call.principal.key,
        ));
        let read = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = read.get(&id) {
            return Arc::clone(series);
        }
        drop(read);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        // Tables come and go; their label sets stay in the recorder, and only the way to them is
        // found anew.
        if series.len() >= MAX_SERIES {
            series.clear();
        }
        let made = series
            .entry(id)
            .or_insert_with(|| Arc::new(Series::new(Labels::of(record))));
        Arc::clone(made)
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Callers name end users as they like, so they are no label: there would be any number of sets.
pub(super) const END_USER: Label = Label::from_static_parts("end_user", "None");

/// Callers who have label sets of their own; see [`Caller::of`].
static CALLERS: RwLock<BTreeSet<u64>> = RwLock::new(BTreeSet::new());
/// How many there are at most. A label set of a caller is some hundred numbers in the recorder, which
/// forgets none.
const MOST_CALLERS: usize = 2_000;
/// The value of a label that has none.
const NOBODY: &str = "None";
/// What the others are counted as, together.
const OTHER: &str = "other";

/// Who calls, as labels: the key, its team and its user. A key has one of each, so that they make no
/// more label sets.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The key, its alias, the team and its alias.
    pub(super) key: [Label; 4],
    /// The user.
    pub(super) user: Label,
    /// The user's address.
    pub(super) email: Label,
}

impl Caller {
    /// The labels of whoever calls. Once there are [`MOST_CALLERS`], those who are new are counted
    /// together, as `other`.
    pub(super) fn of(principal: &Principal) -> Self {
        let bearer = principal.bearer.as_deref();
        let team = bearer.and_then(|bearer| bearer.team.as_ref());
        let values = [
            Some(&*principal.key),
            principal.alias.as_deref(),
            bearer.and_then(|bearer| bearer.key.team_id.as_deref()),
            team.and_then(|team| team.team_alias.as_deref()),
            bearer.and_then(|bearer| bearer.key.user_id.as_deref()),
            bearer.and_then(|bearer| bearer.user.as_ref()?.user_email.as_deref()),
        ];
        if has_room(&CALLERS, FxBuildHasher.hash_one(values), MOST_CALLERS) {
            Self::labeled(values.map(|value| value.unwrap_or(NOBODY)))
        } else {
            counter!("pointsman_metrics_folded_total").increment(1);
            Self::labeled([OTHER; 6])
        }
    }

    fn labeled([key, alias, team, team_alias, user, email]: [&str; 6]) -> Self {
        let label = |name, value: &str| Label::new(name, value.to_owned());
        Self {
            key: [
                label("hashed_api_key", key),
                label("api_key_alias", alias),
                label("team", team),
                label("team_alias", team_alias),
            ],
            user: label("user", user),
            email: label("user_email", email),
        }
    }
}

/// Whether one is among those that are known, or is now.
fn has_room(known: &RwLock<BTreeSet<u64>>, one: u64, most: usize) -> bool {
    let read = known.read().unwrap_or_else(PoisonError::into_inner);
    if read.contains(&one) || read.len() >= most {
        return read.contains(&one);
    }
    drop(read);
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    known.contains(&one) || (known.len() < most && known.insert(one))
}

/// The values that LiteLLM's labels take.
#[derive(Debug)]
struct Labels {
    caller: Caller,
    requested: String,
    model: String,
    model_id: String,
    api_base: String,
    provider: String,
    group: String,
    route: &'static str,
}

impl Labels {
    fn of(record: &Record) -> Self {
        Self::at(&record.call, record.deployment, record.call.group())
    }

    /// Those of one attempt.
    fn at(call: &Call, deployment: Option<DeploymentId>, group: GroupId) -> Self {
        let names = deployment.map(|id| &call.live.endpoint(id).names);
        let deployment = deployment.map(|id| call.live.deployment(id));
        let text = |value: Option<&str>| value.unwrap_or(NOBODY).to_owned();
        Self {
            caller: Caller::of(&call.principal),
            // A pattern's group stands for all names that match, or callers could make any number
            // of label sets.
            requested: call.name_of(call.requested()).to_owned(),
            model: text(deployment.map(|deployment| &*deployment.model)),
            model_id: text(deployment.map(|deployment| &*deployment.id)),
            api_base: text(names.and_then(|names| names.api_base.to_str().ok())),
            provider: text(deployment.map(|deployment| &*deployment.provider.name)),
            group: call.name_of(group).to_owned(),
            route: call.route.path(),
        }
    }

    fn caller(&self) -> Vec<Label> {
        self.caller.key.to_vec()
    }

    fn user(&self) -> Vec<Label> {
        let mut labels = self.caller();
        labels.push(END_USER);
        labels.push(self.caller.user.clone());
        labels
    }

    fn with_model(&self) -> Vec<Label> {
        let mut labels = self.user();
        labels.push(Label::new("model", self.model.clone()));
        labels
    }

    /// Of what is counted for whoever pays.
    fn counted(&self) -> Vec<Label> {
        let mut labels = self.with_model();
        labels.push(self.caller.email.clone());
        labels
    }

    fn latency(&self) -> Vec<Label> {
        let mut labels = self.with_model();
        labels.push(Label::new("requested_model", self.requested.clone()));
        labels
    }

    fn deployment(&self) -> Vec<Label> {
        let mut labels = self.caller();
        labels.extend([
            Label::new("requested_model", self.requested.clone()),
            Label::new("litellm_model_name", self.model.clone()),
            Label::new("model_id", self.model_id.clone()),
            Label::new("api_base", self.api_base.clone()),
            Label::new("api_provider", self.provider.clone()),
        ]);
        labels
    }

    fn proxy(&self, status: &str) -> Vec<Label> {
        let mut labels = self.user();
        labels.extend([
            self.caller.email.clone(),
            Label::new("requested_model", self.requested.clone()),
            Label::new("route", self.route),
            Label::new("model_id", self.model_id.clone()),
            Label::new("status_code", status.to_owned()),
        ]);
        labels
    }

    fn count_failure(&self, class: &'static str, status: &str, asked: bool) {
        counter!(
            "litellm_proxy_total_requests_metric_total",
            self.proxy(status)
        )
        .increment(1);
        let mut failed = self.proxy(status);
        failed.retain(|label| label.key() != "status_code");
        failed.extend(fault(&self.provider, class, status));
        counter!("litellm_proxy_failed_requests_metric_total", failed).increment(1);
        if asked {
            self.count_attempt(class, status);
        }
    }

    /// Counts a failed attempt at the deployment.
    fn count_attempt(&self, class: &'static str, status: &str) {
        let mut failed = self.deployment();
        counter!("litellm_deployment_total_requests_total", failed.clone()).increment(1);
        failed.extend(fault(&self.provider, class, status));
        counter!("litellm_deployment_failure_responses_total", failed).increment(1);
    }
}

/// A failure, by LiteLLM's name: that of a provider's begins with the provider's.
pub(super) fn fault(provider: &str, class: &str, status: &str) -> [Label; 2] {
    let class = match provider.split_at_checked(1) {
        Some((first, rest)) if provider != NOBODY => {
            format!("{}{rest}.{class}", first.to_ascii_uppercase())
        }
        _ => class.to_owned(),
    };
    [
        Label::new("exception_status", status.to_owned()),
        Label::new("exception_class", class),
    ]
}

/// Counts attempts that were begun beside others: of each two the slower one was dropped.
fn count_hedges(record: &Record) {
    let won = u64::from(record.trail.hedge_won);
    let lost = u64::from(record.trail.hedges) - won;
    for (outcome, count) in [("won", won), ("lost", lost)] {
        let labels = [
            Label::new(
                "requested_model",
                record.call.name_of(record.call.requested()).to_owned(),
            ),
            Label::new("outcome", outcome),
        ];
        counter!("pointsman_hedged_attempts_total", labels.to_vec()).increment(count);
    }
}

/// Counts streams that broke when something was shown, and for which somebody else was asked.
fn count_continued(record: &Record) {
    let trail = &record.trail;
    for (outcome, count) in [("continued", trail.continued), ("failed", trail.given_up)] {
        let labels = [
            Label::new(
                "requested_model",
                record.call.name_of(record.call.requested()).to_owned(),
            ),
            Label::new("outcome", outcome),
        ];
        counter!("pointsman_broken_streams_total", labels.to_vec()).increment(count.into());
    }
}

/// Counts attempts that failed.
fn count_attempts(call: &Call, trail: &Trail) {
    for one in trail.left.iter().filter(|one| one.deployment.is_some()) {
        let labels = Labels::at(call, one.deployment, one.group);
        labels.count_attempt(one.class, one.status.as_str());
    }
}

/// Counts attempts that failed, and fallbacks: those that answered, and those that did not.
fn count_trail(record: &Record) {
    let (call, left) = (&record.call, &record.trail.left);
    count_attempts(call, &record.trail);
    if record.trail.fallbacks == 0 {
        return;
    }
    let answered = record.failure.is_none().then(|| call.group());
    let mut before = &left[0];
    for one in left {
        // The last failure of a group is what led to the next one.
        if one.group != before.group {
            let next = Some(one.group).filter(|next| Some(*next) != answered);
            if let Some(next) = next {
                count_fallback(record, next, before, false);
            }
        }
        before = one;
    }
    if let Some(answered) = answered {
        let led = left.iter().rev().find(|one| one.group != answered);
        count_fallback(record, answered, led.unwrap_or(before), true);
    }
}

fn count_fallback(record: &Record, group: GroupId, led: &Left, answered: bool) {
    let labels = Labels::at(&record.call, None, group);
    let mut labeled = labels.caller();
    labeled.extend([
        Label::new("requested_model", labels.requested),
        Label::new("fallback_model", labels.group),
    ]);
    let asked = led.deployment.map(|id| record.call.live.deployment(id));
    let provider = asked.map_or(NOBODY, |deployment| &deployment.provider.name);
    labeled.extend(fault(provider, led.class, led.status.as_str()));
    if answered {
        counter!("litellm_deployment_successful_fallbacks_total", labeled).increment(1);
    } else {
        counter!("litellm_deployment_failed_fallbacks_total", labeled).increment(1);
    }
}

impl Series {
    fn new(labels: Labels) -> Self {
        let overhead = vec![
            Label::new("model_group", labels.group.clone()),
            Label::new("api_provider", labels.provider.clone()),
            Label::new("api_base", labels.api_base.clone()),
            Label::new("litellm_model_name", labels.model.clone()),
            labels.caller.key[0].clone(),
            labels.caller.key[1].clone(),
        ];
        let (counted, latency, deployment) =
            (labels.counted(), labels.latency(), labels.deployment());
        Self {
            spend: gauge!("litellm_spend_metric_total", counted.clone()),
            requests: counter!("litellm_requests_metric_total", counted.clone()),
            total_tokens: counter!("litellm_total_tokens_metric_total", counted.clone()),
            input_tokens: counter!("litellm_input_tokens_metric_total", counted.clone()),
            output_tokens: counter!("litellm_output_tokens_metric_total", counted),
            success: counter!(
                "litellm_deployment_success_responses_total",
                deployment.clone()
            ),
            attempts: counter!(
                "litellm_deployment_total_requests_total",
                deployment.clone()
            ),
            upstream_latency: histogram!("litellm_llm_api_latency_metric", latency.clone()),
            total_latency: histogram!("litellm_request_total_latency_metric", latency.clone()),
            first_token: histogram!("litellm_llm_api_time_to_first_token_metric", latency),
            per_output_token: histogram!("litellm_deployment_latency_per_output_token", deployment),
            overhead: histogram!("litellm_overhead_latency_metric", overhead),
            answered: counter!(
                "litellm_proxy_total_requests_metric_total",
                labels.proxy("200")
            ),
            labels,
        }
    }
}

/// Describes the metrics to the recorder, for the help lines of the exposition.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!(
        "litellm_spend_metric_total",
        "Total spend on LLM requests, in US dollars"
    );
    describe_counter!(
        "litellm_requests_metric_total",
        "LLM calls that were answered"
    );
    describe_counter!(
        "litellm_total_tokens_metric_total",
        "Tokens of prompts and answers"
    );
    describe_counter!("litellm_input_tokens_metric_total", "Tokens of prompts");
    describe_counter!("litellm_output_tokens_metric_total", "Tokens of answers");
    describe_counter!(
        "litellm_proxy_total_requests_metric_total",
        "Requests to the gateway"
    );
    describe_counter!(
        "litellm_proxy_failed_requests_metric_total",
        "Requests that failed"
    );
    describe_counter!(
        "litellm_deployment_success_responses_total",
        "Good answers of a deployment"
    );
    describe_counter!(
        "litellm_deployment_failure_responses_total",
        "Failures of a deployment"
    );
    describe_counter!(
        "litellm_deployment_successful_fallbacks_total",
        "Requests that a fallback answered"
    );
    describe_counter!(
        "litellm_deployment_failed_fallbacks_total",
        "Fallbacks that failed, too"
    );
    describe_counter!(
        "litellm_deployment_total_requests_total",
        "Requests to a deployment"
    );
    describe_gauge!("litellm_in_flight_requests", "Requests on their way");
    for (name, text) in [
        (
            "litellm_llm_api_latency_metric",
            "Time of the provider to its head",
        ),
        (
            "litellm_request_total_latency_metric",
            "Time of a request in the gateway, to its end",
        ),
        (
            "litellm_llm_api_time_to_first_token_metric",
            "Time to the first event of a stream",
        ),
        (
            "litellm_deployment_latency_per_output_token",
            "Time per token of the answer",
        ),
        (
            "pointsman_health_check_seconds",
            "Time of a background health check",
        ),
        (
            "litellm_overhead_latency_metric",
            "Time that the gateway adds",
        ),
    ] {
        describe_histogram!(name, Unit::Seconds, text);
    }
    describe_own();
}

/// Those that LiteLLM does not have.
fn describe_own() {
    use metrics::{describe_counter, describe_gauge};
    describe_counter!(
        "pointsman_metrics_folded_total",
        "Label sets of callers that were made as `other`, because there were too many"
    );
    describe_counter!(
        "pointsman_broken_streams_total",
        "Streams that broke when something was shown, and for which somebody else was asked"
    );
    describe_counter!(
        "pointsman_hedged_attempts_total",
        "Attempts that were begun beside a slow one, and whether they were faster"
    );
    describe_counter!(
        "pointsman_health_checks_total",
        "Background health checks, by what they found"
    );
    describe_gauge!(
        "pointsman_deployment_healthy",
        "Whether a deployment's last health check was good"
    );
    describe_gauge!(
        "pointsman_queued_requests",
        "Requests that wait for room at a deployment"
    );
    describe_counter!(
        "pointsman_queue_timeouts_total",
        "Requests that waited for room in vain"
    );
    describe_counter!(
        "pointsman_queue_refused_total",
        "Requests that found their queue full"
    );
    describe_counter!(
        "pointsman_mirrored_requests_total",
        "Copies of requests for silent models, by what became of them"
    );
}

/// How often recorded latencies are put into their buckets, so that they do not pile up between
/// two scrapes.
pub const UPKEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_beyond_the_bound_have_no_labels_of_their_own() {
        let known = RwLock::default();
        assert!((0..3).all(|one| has_room(&known, one, 3)));
        assert!(!has_room(&known, 3, 3));
        assert!(has_room(&known, 2, 3));
        let other = Caller::labeled([OTHER; 6]);
        assert!(other.key.iter().all(|label| label.value() == "other"));
    }
}
