//! What is told of a request that was passed on, when it has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use metrics::{Label, counter, gauge, histogram};
use pointsman_routes::catalog;
use pointsman_routes::table::Routes;

use super::price::{Cost, price};
use crate::call::{Principal, Usage};
use crate::wire::usage::Figures;

/// A request that was passed on and has ended.
#[derive(Debug)]
pub struct PassRecord {
    /// `x-litellm-call-id`.
    pub id: HeaderValue,
    /// Who asked.
    pub principal: Arc<Principal>,
    /// The path before which the API stands, such as `/openai`.
    pub prefix: String,
    /// Whose API it is.
    pub provider: String,
    /// The status that the caller got.
    pub status: StatusCode,
    /// LiteLLM's class of the failure, if it was one.
    pub failure: Option<&'static str>,
    /// The caller went away before the end.
    pub dropped: bool,
    /// The model, if the answer named one.
    pub model: Option<String>,
    /// What it took, if the answer said so.
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Cost,
    /// When its head had been read.
    pub arrived: Instant,
    /// From the send to the provider's head.
    pub upstream: Duration,
    /// When it ended.
    pub ended: Instant,
}

impl PassRecord {
    /// Books what the answer said: its price is that of a deployment of the same model in the
    /// file, else the catalog's.
    pub fn settle(&mut self, figures: Figures, routes: &Routes) {
        self.model = figures.model;
        self.usage = figures.told.map(|told| Usage {
            cache_write: told.cache_write,
            ..Usage::from(told.usage)
        });
        let (Some(model), Some(usage)) = (&self.model, &self.usage) else {
            return;
        };
        let own = routes.deployments.iter().find(|deployment| {
            deployment.provider.name == self.provider && deployment.model == **model
        });
        let known = own
            .map(|deployment| deployment.price)
            .or_else(|| catalog::find(model, &self.provider).map(|model| model.price));
        if let Some(known) = known {
            let cost = price(usage, &known);
            self.cost.input = self.cost.input.plus(cost.input);
            self.cost.output = self.cost.output.plus(cost.output);
        }
    }

    /// From arrival to end.
    pub fn total(&self) -> Duration {
        self.ended.saturating_duration_since(self.arrived)
    }

    /// Counts it under LiteLLM's names. The model is a label only where the catalog knows it, so
    /// that a provider's answers cannot make any number of label sets.
    pub(super) fn count(&self) {
        let text = |value: Option<&str>| value.unwrap_or("None").to_owned();
        let known = self
            .model
            .as_deref()
            .and_then(|model| catalog::find(model, &self.provider).map(|found| found.name));
        let caller = vec![
            Label::new("hashed_api_key", self.principal.key.to_string()),
            Label::new("api_key_alias", text(self.principal.alias.as_deref())),
            Label::new("team", "None"),
            Label::new("team_alias", "None"),
            Label::new("end_user", "None"),
            Label::new("user", "None"),
        ];
        let with_model = |labels: &[Label]| {
            let mut labels = labels.to_vec();
            labels.push(Label::new("model", text(known)));
            labels
        };
        let mut proxy = caller.clone();
        proxy.extend([
            Label::new("user_email", "None"),
            Label::new("requested_model", "None"),
            Label::new("route", self.prefix.clone()),
            Label::new("model_id", "None"),
        ]);
        let mut asked = proxy.clone();
        asked.push(Label::new("status_code", self.status.as_str().to_owned()));
        counter!("litellm_proxy_total_requests_metric_total", asked).increment(1);
        if let Some(class) = self.failure {
            proxy.extend([
                Label::new("exception_status", self.status.as_str().to_owned()),
                Label::new("exception_class", class),
            ]);
            counter!("litellm_proxy_failed_requests_metric_total", proxy).increment(1);
            return;
        }
        let model = with_model(&caller);
        if let Some(usage) = self.usage {
            counter!("litellm_total_tokens_metric_total", model.clone()).increment(usage.total());
            counter!("litellm_input_tokens_metric_total", model.clone()).increment(usage.prompt);
            counter!("litellm_output_tokens_metric_total", model.clone())
                .increment(usage.completion);
        }
        let cost = self.cost.total().to_f64();
        gauge!("litellm_spend_metric_total", model.clone()).increment(cost);
        let mut latency = model;
        latency.push(Label::new("requested_model", "None"));
        histogram!("litellm_llm_api_latency_metric", latency.clone()).record(self.upstream);
        histogram!("litellm_request_total_latency_metric", latency).record(self.total());
    }
}
