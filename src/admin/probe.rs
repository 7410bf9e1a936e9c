//! Small real requests that find out whether deployments answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderValue;
use pointsman_routes::table::{DeploymentId, Mode, Target};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

use crate::call::{
    About, Answer, AnswerBody, Attempt, Call, Controls, Principal, Route, Spoken, Tab, peek,
};
use crate::error::Failure;
use crate::live::Live;
use crate::upstream::Relay;

/// Deployments that are probed at once, unless the file says otherwise.
const AT_ONCE: usize = 16;
/// How long a probe may take, unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Longest answer to a probe, in tokens, unless the file says otherwise.
const TOKENS: u32 = 5;

/// What a probe found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Who was asked.
    pub deployment: DeploymentId,
    /// Whether it answered.
    pub found: Found,
    /// How long that took.
    pub took: Duration,
}

/// Whether a deployment answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It did.
    Healthy,
    /// It did not.
    Unhealthy {
        /// Why.
        error: String,
        /// Whether that passes by itself: a limit, or no answer in time.
        transient: bool,
    },
    /// It cannot be asked, for this reason, which says nothing of how it is.
    Untried(String),
}

/// Sends a small real request to each of these. Dropping the future ends those under way.
pub async fn probe<S>(live: &Arc<Live>, upstream: &S, chosen: Vec<DeploymentId>) -> Vec<Finding>
where
    S: Service<Attempt, Response = Answer<Relay>, Error = Failure> + Clone,
{
    let at_once = live.routes().general.health_check_concurrency;
    let at_once = at_once.and_then(|count| usize::try_from(count).ok());
    let probes = stream::iter(chosen).map(|deployment| {
        let (live, upstream) = (Arc::clone(live), upstream.clone());
        async move {
            let began = Instant::now();
            let found = one(&live, upstream, deployment).await;
            Finding {
                deployment,
                found,
                took: began.elapsed(),
            }
        }
    });
    let at_once = at_once.unwrap_or(AT_ONCE).max(1);
    probes.buffered(at_once).collect().await
}

async fn one<S>(live: &Arc<Live>, upstream: S, id: DeploymentId) -> Found
where
    S: Service<Attempt, Response = Answer<Relay>, Error = Failure>,
{
    let call = match call(live, id) {
        Ok(call) => call,
        Err(why) => return Found::Untried(why),
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
        }) => Found::Healthy,
        Err(failure) => Found::Unhealthy {
            error: failure.to_string(),
            transient: matches!(failure.status().as_u16(), 408 | 429),
        },
    }
}

/// The cheapest request of the deployment's kind of work, or why there is none.
fn call(live: &Arc<Live>, id: DeploymentId) -> Result<Call, String> {
    let deployment = live.deployment(id);
    if !live.endpoint(id).served {
        let provider = &deployment.provider.name;
        return Err(format!("provider {provider} is not served by this build"));
    }
    let model = model(live, id)?;
    let tokens = deployment.health_check_max_tokens.unwrap_or(TOKENS);
    let (route, body) = match deployment.facts.mode {
        Some(Mode::Embedding) => (Route::Embeddings, json!({"input": ["ping"]})),
        Some(Mode::Completion) => (
            Route::Completions,
            json!({"prompt": "ping", "max_tokens": tokens}),
        ),
        // OpenAI gives responses no fewer tokens.
        Some(Mode::Responses) => (
            Route::Responses,
            json!({"input": "ping", "max_output_tokens": tokens.max(16)}),
        ),
        None | Some(Mode::Chat) => (Route::Chat, chat(tokens)),
        Some(mode) => return Err(format!("there is no probe for mode {mode:?}")),
    };
    let body = Bytes::from(body.to_string());
    let peek = peek::peek(&body).map_err(|refusal| refusal.to_string())?;
    let timeout = deployment.health_check_timeout.unwrap_or(TIMEOUT);
    Ok(Call {
        id: HeaderValue::from_static("health-check"),
        live: Arc::clone(live),
        principal: Arc::new(Principal::master()),
        route,
        asked: model.into(),
        target: Target::Deployment(id),
        fallback: None,
        body,
        files: None,
        peek,
        spoken: Spoken::default(),
        resumed: None,
        kept: None,
        passed: Vec::new(),
        wants_usage: false,
        as_list: false,
        timeout: Some(timeout),
        stream_timeout: None,
        controls: Some(Box::new(Controls {
            model: Some(model.into()),
            ..Controls::default()
        })),
        hints: None,
        about: About::default(),
        tab: Arc::new(Tab::new(0)),
        arrived: Instant::now(),
    })
}

fn chat(tokens: u32) -> Value {
    json!({"messages": [{"role": "user", "content": "ping"}], "max_tokens": tokens})
}

/// The model that is asked. One with a `*` needs a `health_check_model`, with or without the provider's
/// name before it; any other is asked itself unless there is one.
fn model(live: &Live, id: DeploymentId) -> Result<&str, String> {
    let deployment = live.deployment(id);
    let Some(model) = deployment.health_check_model.as_deref() else {
        return if deployment.model.contains('*') {
            Err("a model with `*` is probed only with a `health_check_model`".to_owned())
        } else {
            Ok(&deployment.model)
        };
    };
    let bare = model
        .strip_prefix(&*deployment.provider.name)
        .and_then(|rest| rest.strip_prefix('/'));
    Ok(bare.unwrap_or(model))
}
