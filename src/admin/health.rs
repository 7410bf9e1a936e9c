//! Health: alive, ready, and what a small real request to each deployment says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};
use pointsman_routes::table::{Deployment, DeploymentId};
use serde::Serialize;
use serde_json::{Value, json};
use tower::Service;

use super::checks::{Checks, Row};
use super::probe;
use crate::call::{Answer, Attempt};
use crate::error::Failure;
use crate::ingress::answer::json as respond;
use crate::ingress::body::Body;
use crate::live::Live;
use crate::store::Store;
use crate::upstream::Relay;

/// Whether the process is about to end. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on, readiness is refused.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `/health/liveliness`: LiteLLM's word.
pub fn alive() -> Response<Body> {
    respond(&"I'm alive!")
}

/// How long a database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// What LiteLLM says of the database. One that is away makes nobody unready: known keys are served.
pub async fn database(store: Option<&Store>) -> &'static str {
    let Some(store) = store else {
        return "Not connected";
    };
    match tokio::time::timeout(PATIENCE, store.answers()).await {
        Ok(true) => "connected",
        Ok(false) | Err(_) => "disconnected",
    }
}

/// `/health/readiness`.
pub fn ready(draining: &Draining, database: &str) -> Response<Body> {
    let status = if draining.has_begun() {
        "draining"
    } else {
        "healthy"
    };
    let mut response = respond(&json!({"status": status, "db": database}));
    if draining.has_begun() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// `/health/readiness/details`, for those with a key.
pub fn details(live: &Live, draining: &Draining, database: &str) -> Response<Body> {
    let settings = &live.routes().settings;
    let mut response = ready(draining, database);
    let details = json!({
        "status": if draining.has_begun() { "draining" } else { "healthy" },
        "db": database,
        "cache": Value::Null,
        "litellm_version": env!("CARGO_PKG_VERSION"),
        "success_callbacks": settings.success_callbacks,
        "config": live.origin(),
        "config_age_seconds": live.age().as_secs(),
    });
    *response.body_mut() = Body::whole(details.to_string());
    response
}

/// `/health` without a key: what is known without asking anybody.
pub fn summary(live: &Live, draining: &Draining) -> Response<Body> {
    let deployments = &live.routes().deployments;
    let served = (0..deployments.len())
        .filter_map(|at| u16::try_from(at).ok())
        .filter(|at| live.endpoint(DeploymentId(*at)).served)
        .count();
    let healthy = !draining.has_begun() && (served > 0 || deployments.is_empty());
    let status = if healthy { "healthy" } else { "unhealthy" };
    let mut response = respond(&json!({
        "status": status,
        "deployments": deployments.len(),
        "served": served,
    }));
    if !healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

#[derive(Serialize)]
struct Report {
    healthy_endpoints: Vec<Value>,
    unhealthy_endpoints: Vec<Value>,
    healthy_count: usize,
    unhealthy_count: usize,
}

/// `/health` with a key: what the last round of background checks found, or, without one, what a small
/// real request to each deployment finds; of those that `query` names by `model` or `model_id`.
pub async fn probe<S>(
    live: &Arc<Live>,
    checks: &Checks,
    upstream: &S,
    query: &str,
) -> Response<Body>
where
    S: Service<Attempt, Response = Answer<Relay>, Error = Failure> + Clone,
{
    let (model, id) = (asked(query, "model"), asked(query, "model_id"));
    let wanted = |deployment: &Deployment| {
        let group = &live.routes().groups[usize::from(deployment.group.0)].name;
        id.as_ref().is_none_or(|id| *id == deployment.id)
            && model
                .as_ref()
                .is_none_or(|model| model == group || *model == deployment.litellm_model)
    };
    let chosen = || live.routes().deployments.iter().zip(0..);
    let rows: Vec<Row> = if let Some(last) = checks.last() {
        let wanted = chosen().filter(|(deployment, _)| wanted(deployment));
        let row = |(deployment, _): (&Deployment, u16)| {
            let found = last.iter().find(|row| row.model_id == deployment.id);
            found.cloned()
        };
        wanted.filter_map(row).collect()
    } else {
        let wanted = chosen().filter(|(deployment, _)| wanted(deployment));
        let chosen = wanted.map(|(_, at)| DeploymentId(at)).collect();
        let findings = probe::probe(live, upstream, chosen).await;
        findings.iter().map(|one| Row::new(live, one)).collect()
    };
    let mut report = Report {
        healthy_endpoints: Vec::new(),
        unhealthy_endpoints: Vec::new(),
        healthy_count: 0,
        unhealthy_count: 0,
    };
    for row in rows {
        if row.status == "healthy" {
            report.healthy_endpoints.push(row.endpoint);
        } else {
            report.unhealthy_endpoints.push(row.endpoint);
        }
    }
    report.healthy_count = report.healthy_endpoints.len();
    report.unhealthy_count = report.unhealthy_endpoints.len();
    respond(&report)
}

/// `/health/latest`.
pub fn latest(checks: &Checks) -> Response<Body> {
    respond(&checks.latest())
}

/// `/health/history`.
pub fn history(checks: &Checks, query: &str) -> Response<Body> {
    respond(&checks.history(|name| asked(query, name)))
}

/// A value of a query string.
fn asked(query: &str, name: &str) -> Option<String> {
    form(query)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// The pairs of a query string.
fn form(query: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
}
