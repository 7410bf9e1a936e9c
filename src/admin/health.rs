//! Health: alive, ready, and what a small real request to each deployment says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode};
use pointsman_routes::table::{DeploymentId, Mode, Target};
use serde::Serialize;
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

use crate::call::{Answer, AnswerBody, Attempt, Call, Principal, Route, peek};
use crate::error::Failure;
use crate::ingress::body::Body;
use crate::ingress::openai::json as respond;
use crate::live::{Handle, Live};
use crate::upstream::Relay;

/// Deployments that are probed at once.
const PROBES_AT_ONCE: usize = 16;
/// How long a probe may take, unless the file says otherwise.
const PROBE_TIMEOUT: Duration = Duration::from_mins(1);

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

/// `/health/readiness`.
pub fn ready(draining: &Draining) -> Response<Body> {
    let status = if draining.has_begun() {
        "draining"
    } else {
        "healthy"
    };
    let mut response = respond(&json!({"status": status, "db": "Not connected"}));
    if draining.has_begun() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// `/health/readiness/details`, for those with a key.
pub fn details(live: &Live, draining: &Draining) -> Response<Body> {
    let settings = &live.routes().settings;
    let mut response = ready(draining);
    let details = json!({
        "status": if draining.has_begun() { "draining" } else { "healthy" },
        "db": "Not connected",
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

/// `/health` with a key: sends a small real request to each deployment, or to those that `query`
/// names by `model` or `model_id`.
pub async fn probe<S>(live: &Handle, upstream: &S, query: &str) -> Response<Body>
where
    S: Service<Attempt, Response = Answer<Relay>, Error = Failure> + Clone,
{
    let live = live.load();
    let wanted = |name: &str| {
        form(query)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    let (model, id) = (wanted("model"), wanted("model_id"));
    let chosen: Vec<DeploymentId> = live
        .routes()
        .deployments
        .iter()
        .zip(0..)
        .filter(|(deployment, _)| {
            let group = &live.routes().groups[usize::from(deployment.group.0)].name;
            id.as_ref().is_none_or(|id| *id == deployment.id)
                && model
                    .as_ref()
                    .is_none_or(|model| model == group || *model == deployment.litellm_model)
        })
        .map(|(_, at)| DeploymentId(at))
        .collect();
    let probes = stream::iter(chosen).map(|id| {
        let (live, upstream) = (Arc::clone(&live), upstream.clone());
        async move {
            let said = one(&live, upstream, id).await;
            (describe(&live, id, said.as_ref().err()), said.is_ok())
        }
    });
    let mut report = Report {
        healthy_endpoints: Vec::new(),
        unhealthy_endpoints: Vec::new(),
        healthy_count: 0,
        unhealthy_count: 0,
    };
    for (endpoint, healthy) in probes.buffered(PROBES_AT_ONCE).collect::<Vec<_>>().await {
        if healthy {
            report.healthy_endpoints.push(endpoint);
        } else {
            report.unhealthy_endpoints.push(endpoint);
        }
    }
    report.healthy_count = report.healthy_endpoints.len();
    report.unhealthy_count = report.unhealthy_endpoints.len();
    respond(&report)
}

fn describe(live: &Live, id: DeploymentId, failure: Option<&String>) -> Value {
    let deployment = live.deployment(id);
    let mut endpoint = json!({
        "model": deployment.litellm_model,
        "model_id": deployment.id,
        "model_group": live.routes().groups[usize::from(deployment.group.0)].name,
        "api_base": live.endpoint(id).names.api_base.to_str().unwrap_or(""),
    });
    if let Some(failure) = failure {
        endpoint["error"] = Value::from(failure.as_str());
    }
    endpoint
}

async fn one<S>(live: &Arc<Live>, upstream: S, id: DeploymentId) -> Result<(), String>
where
    S: Service<Attempt, Response = Answer<Relay>, Error = Failure>,
{
    let deployment = live.deployment(id);
    if !live.endpoint(id).served {
        return Err(format!(
            "provider {} is not served by this build",
            deployment.provider.name
        ));
    }
    let (route, body) = match deployment.facts.mode {
        Some(Mode::Embedding) => (Route::Embeddings, json!({"input": ["ping"]})),
        Some(Mode::Completion) => (
            Route::Completions,
            json!({"prompt": "ping", "max_tokens": 5}),
        ),
        None | Some(Mode::Chat) => (
            Route::Chat,
            json!({"messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}),
        ),
        Some(mode) => return Err(format!("there is no probe for mode {mode:?}")),
    };
    let body = Bytes::from(body.to_string());
    let peek = peek::peek(&body).map_err(|refusal| refusal.to_string())?;
    let timeout = deployment.health_check_timeout.unwrap_or(PROBE_TIMEOUT);
    let call = Call {
        id: HeaderValue::from_static("health-check"),
        live: Arc::clone(live),
        principal: Arc::new(Principal::master()),
        route,
        asked: deployment
            .health_check_model
            .as_deref()
            .unwrap_or(&deployment.model)
            .into(),
        target: Target::Deployment(id),
        fallback: None,
        body,
        peek,
        spoken: crate::call::Spoken::default(),
        wants_usage: false,
        timeout: Some(timeout),
        stream_timeout: None,
        controls: None,
        hints: None,
        arrived: Instant::now(),
    };
    let attempt = Attempt {
        call: Arc::new(call),
        deployment: id,
        first_token: None,
    };
    match upstream.oneshot(attempt).await {
        Ok(Answer {
            body: AnswerBody::Whole { .. } | AnswerBody::Stream(_),
            ..
        }) => Ok(()),
        Err(failure) => Err(failure.to_string()),
    }
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
