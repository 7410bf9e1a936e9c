//! Background health checks: rounds of probes, and what they found.
//!
//! [`Checks::run`] probes the deployments of the table in force again and again while
//! `background_health_checks` is on. What the last round found answers `GET /health`; with
//! `enable_health_check_routing` those that were found down are asked last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use metrics::{counter, gauge, histogram};
use pointsman_routes::table::DeploymentId;
use serde::Serialize;
use serde_json::{Value, json};
use tower::Service;

use super::probe::{Finding, Found, probe};
use crate::call::{Answer, Attempt};
use crate::error::Failure;
use crate::live::{Handle, Live};
use crate::routing::Router;
use crate::upstream::Relay;

/// Findings that are kept.
const KEPT: usize = 1_000;
/// The shortest time between two rounds.
const SOONEST: Duration = Duration::from_secs(1);
/// How often the table is looked at while the checks are off.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// The health checks of a gateway, and the router that goes by them. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    router: Router,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: ArcSwapOption<Vec<Row>>,
    history: Mutex<VecDeque<Row>>,
}

/// What was found of one deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its group.
    pub model_name: String,
    /// Its id.
    pub model_id: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub status: &'static str,
    /// Why it is not healthy.
    pub error_message: Option<String>,
    /// How long it took, in milliseconds.
    pub response_time_ms: u128,
    /// When, by RFC 3339.
    pub checked_at: String,
    /// As `GET /health` tells it.
    #[serde(skip)]
    pub endpoint: Value,
}

impl Checks {
    /// Checks that `router` goes by.
    pub fn new(router: Router) -> Self {
        Self {
            router,
            kept: Arc::default(),
        }
    }

    /// The router.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Makes rounds for ever. Dropping the future ends the probes under way.
    pub async fn run<S>(self, live: Handle, upstream: S)
    where
        S: Service<Attempt, Response = Answer<Relay>, Error = Failure> + Clone,
    {
        loop {
            let table = live.load();
            let general = &table.routes().general;
            let pause = if general.background_health_checks {
                self.round(&table, &upstream).await;
                general.health_check_interval.max(SOONEST)
            } else {
                self.forget(&table);
                WATCH_EVERY
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Probes every deployment once, but for those with `disable_background_health_check`.
    pub async fn round<S>(&self, live: &Arc<Live>, upstream: &S)
    where
        S: Service<Attempt, Response = Answer<Relay>, Error = Failure> + Clone,
    {
        let deployments = live.routes().deployments.iter().zip(0..);
        let chosen = deployments
            .filter(|(deployment, _)| !deployment.health_check_off)
            .map(|(_, at)| DeploymentId(at))
            .collect();
        let findings = probe(live, upstream, chosen).await;
        for finding in &findings {
            self.heed(live, finding);
        }
        let rows: Vec<Row> = findings.iter().map(|one| Row::new(live, one)).collect();
        self.keep(&rows);
        self.kept.last.store(Some(Arc::new(rows)));
    }

    /// Lets the router know.
    fn heed(&self, live: &Live, finding: &Finding) {
        let router = &live.routes().router;
        let interval = live.routes().general.health_check_interval;
        let holds = router.health_check_staleness.unwrap_or(2 * interval);
        let counts = match &finding.found {
            Found::Unhealthy { transient, .. } => {
                !(*transient && router.health_check_ignore_transient)
            }
            Found::Healthy | Found::Untried(_) => false,
        };
        let down = (router.health_check_routing && counts).then_some(holds);
        self.router.checked(live, finding.deployment, down);
        let id = live.deployment(finding.deployment).id.to_string();
        let (outcome, up) = match finding.found {
            Found::Healthy => ("healthy", 1.0),
            Found::Unhealthy { .. } => ("unhealthy", 0.0),
            Found::Untried(_) => return,
        };
        counter!("pointsman_health_checks_total", "model_id" => id.clone(), "outcome" => outcome)
            .increment(1);
        histogram!("pointsman_health_check_seconds", "model_id" => id.clone()).record(finding.took);
        gauge!("pointsman_deployment_healthy", "model_id" => id).set(up);
    }

    fn keep(&self, rows: &[Row]) {
        let history = &self.kept.history;
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.extend(rows.iter().cloned());
        while history.len() > KEPT {
            history.pop_front();
        }
    }

    /// The checks are off: nobody is down by their word.
    fn forget(&self, live: &Live) {
        let Some(rows) = self.kept.last.swap(None) else {
            return;
        };
        let deployments = live.routes().deployments.iter().zip(0..);
        for (deployment, at) in deployments {
            if rows.iter().any(|row| row.model_id == deployment.id) {
                self.router.checked(live, DeploymentId(at), None);
            }
        }
    }

    /// What the last round found, if there was one since the checks are on.
    pub fn last(&self) -> Option<Arc<Vec<Row>>> {
        self.kept.last.load_full()
    }

    /// `/health/latest`: the last finding of each deployment.
    pub fn latest(&self) -> Value {
        let rows = self.last().unwrap_or_default();
        let by_id: serde_json::Map<String, Value> = rows
            .iter()
            .map(|row| (row.model_id.clone(), json!(row)))
            .collect();
        json!({"total_models": by_id.len(), "latest_health_checks": by_id})
    }

    /// `/health/history`: findings, the newest first; `wanted` gives the value of a name of the
    /// query: `model`, `status_filter`, `limit`, `offset`.
    pub fn history(&self, wanted: impl Fn(&str) -> Option<String>) -> Value {
        const LIMIT: usize = 100;
        let number = |name: &str| wanted(name)?.parse::<usize>().ok();
        let (model, status) = (wanted("model"), wanted("status_filter"));
        let limit = number("limit").unwrap_or(LIMIT).min(KEPT);
        let offset = number("offset").unwrap_or(0);
        let history = &self.kept.history;
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<&Row> = history
            .iter()
            .rev()
            .filter(|row| {
                model
                    .as_ref()
                    .is_none_or(|model| *model == row.model_name || *model == row.model_id)
                    && status.as_ref().is_none_or(|status| status == row.status)
            })
            .collect();
        let page: Vec<&&Row> = found.iter().skip(offset).take(limit).collect();
        json!({
            "health_checks": page,
            "total_records": found.len(),
            "limit": limit,
            "offset": offset,
        })
    }
}

impl Row {
    /// A finding, told by names.
    pub fn new(live: &Live, finding: &Finding) -> Self {
        let deployment = live.deployment(finding.deployment);
        let group = &live.routes().groups[usize::from(deployment.group.0)].name;
        let (status, error) = match &finding.found {
            Found::Healthy => ("healthy", None),
            Found::Unhealthy { error, .. } => ("unhealthy", Some(error.clone())),
            Found::Untried(why) => ("unknown", Some(why.clone())),
        };
        let names = &live.endpoint(finding.deployment).names;
        let mut endpoint = json!({
            "model": deployment.litellm_model,
            "model_id": deployment.id,
            "model_group": group,
            "api_base": names.api_base.to_str().unwrap_or(""),
        });
        if let Some(error) = &error {
            endpoint["error"] = Value::from(error.as_str());
        }
        Self {
            model_name: group.to_string(),
            model_id: deployment.id.to_string(),
            status,
            error_message: error,
            response_time_ms: finding.took.as_millis(),
            checked_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            endpoint,
        }
    }
}
