//! What is told of a request that was passed on, when it has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use metrics::{Label, counter, gauge, histogram};
use pointsman_routes::catalog;
use pointsman_routes::table::Routes;
use serde_json::{Value, json};

use super::meter::{self, Caller};
use super::price::{Cost, price};
use crate::account::{SpendRow, Time};
use crate::call::{About, Peek, Principal, Usage};
use crate::wire::usage::Figures;
use crate::wire::uuid;

/// Bytes of a token, as far as an estimate needs to know.
const BYTES_PER_TOKEN: u64 = 4;

/// A request that was passed on and has ended.
#[derive(Clone, Debug)]
pub struct PassRecord {
    /// `x-litellm-call-id`.
    pub id: HeaderValue,
    /// The id of its row in the ledger; never the caller's word.
    pub row: u128,
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
    /// What it says of itself for the spend log, in headers.
    pub about: About,
    /// The model that it names, and the name that it counts under.
    pub asked: Option<(String, String)>,
    /// The model, if the answer named one, else the one that was asked for.
    pub model: Option<String>,
    /// What it took, if the answer said so, or by its events.
    pub usage: Option<Usage>,
    /// The usage is an estimate, because a stream did not tell it.
    pub estimated: bool,
    /// Bytes of the request's body, as far as they are known.
    pub length: u64,
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
    /// file, else the catalog's. A stream that told no usage took a token for each of its `events`, and
    /// its prompt one for four bytes: a caller who asks for no usage does not pass for free.
    pub fn settle(&mut self, figures: Figures, events: u64, routes: &Routes) {
        self.usage = figures.told.map(|told| Usage {
            cache_write: told.cache_write,
            ..Usage::from(told.usage)
        });
        if self.usage.is_none() && events > 0 && self.asked.is_some() {
            self.estimated = true;
            self.usage = Some(Usage {
                prompt: self.length / BYTES_PER_TOKEN,
                completion: events,
                ..Usage::default()
            });
        }
        let asked = self.asked.as_ref().map(|(model, _)| model.clone());
        let names = [figures.model.clone(), asked.clone()];
        self.model = figures.model.or(asked);
        let Some(usage) = &self.usage else {
            return;
        };
        let own = |name: &String| {
            let mut deployments = routes.deployments.iter();
            let found = deployments.find(|deployment| {
                deployment.provider.name == self.provider && deployment.model == **name
            });
            found.map(|deployment| deployment.price)
        };
        let of_catalog =
            |name: &String| catalog::find(name, &self.provider).map(|model| model.price);
        let mut names = names.iter().flatten();
        let known = names
            .clone()
            .find_map(own)
            .or_else(|| names.find_map(of_catalog));
        if let Some(known) = known {
            let cost = price(usage, &known);
            self.cost.input = self.cost.input.plus(cost.input);
            self.cost.output = self.cost.output.plus(cost.output);
        }
    }

    /// Its row in the spend log.
    pub(super) fn row(&self) -> SpendRow {
        let bearer = self.principal.bearer.as_deref();
        let key = bearer.map(|bearer| &bearer.key);
        let team = bearer.and_then(|bearer| bearer.team.as_ref());
        let mut notes = self.about.notes(b"{}", &Peek::default());
        self.principal.tags().for_each(|tag| notes.add_tag(tag));
        let mut metadata = notes.metadata;
        let mut note = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                metadata.insert(name.to_owned(), value);
            }
        };
        let text = |text: Option<&str>| text.map(Value::from);
        note("pass_through", Some(self.prefix.as_str().into()));
        note("litellm_call_id", text(self.id.to_str().ok()));
        note("user_api_key_alias", text(self.principal.alias.as_deref()));
        let alias = team.and_then(|team| team.team_alias.as_deref());
        note("user_api_key_team_alias", text(alias));
        note("usage_estimated", self.estimated.then_some(true.into()));
        note("client_gone", self.dropped.then_some(true.into()));
        let error = self
            .failure
            .map(|class| json!({"error_code": self.status.as_str(), "error_class": class}));
        note("error_information", error);
        let usage = self.usage.unwrap_or_default();
        let own = |(holder, period): (_, &str)| (holder, period.to_owned());
        let end_time = Time::now();
        let total = self.total();
        let micros = i64::try_from(total.as_micros()).unwrap_or(i64::MAX);
        SpendRow {
            request_id: String::from_utf8_lossy(&uuid::text(self.row)).into_owned(),
            call_type: "pass_through_endpoint".to_owned(),
            api_key: self.principal.key.to_string(),
            spend: self.cost.total(),
            total_tokens: usage.total(),
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            cache_read_input_tokens: usage.cache_read,
            cache_creation_input_tokens: usage.cache_write,
            reasoning_tokens: usage.reasoning,
            start_time: Time(end_time.0.saturating_sub(micros)),
            end_time,
            model: self.model.clone().unwrap_or_default(),
            model_group: self.asked.as_ref().map(|(_, counted)| counted.clone()),
            custom_llm_provider: Some(self.provider.clone()),
            user: key.and_then(|key| key.user_id.clone()),
            end_user: self.about.end_user.as_deref().map(str::to_owned),
            team_id: key.and_then(|key| key.team_id.clone()),
            organization_id: bearer
                .and_then(|bearer| bearer.organization.as_ref())
                .map(|organization| organization.organization_id.clone()),
            metadata,
            request_tags: notes.tags,
            windows: self.principal.means().windows().map(own).collect(),
            requester_ip_address: self.about.ip.map(|ip| ip.to_string()),
            session_id: notes.session,
            status: if self.failure.is_some() {
                "failure"
            } else {
                "success"
            }
            .to_owned(),
            latency_ms: Some(total.as_secs_f64() * 1e3),
            ..SpendRow::default()
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
        let Caller { key, user, email } = Caller::of(&self.principal);
        let mut caller = key.to_vec();
        caller.extend([meter::END_USER, user]);
        let with_model = |labels: &[Label]| {
            let mut labels = labels.to_vec();
            labels.push(Label::new("model", text(known)));
            labels
        };
        let mut proxy = caller.clone();
        proxy.extend([
            email.clone(),
            Label::new("requested_model", "None"),
            Label::new("route", self.prefix.clone()),
            Label::new("model_id", "None"),
        ]);
        let mut asked = proxy.clone();
        asked.push(Label::new("status_code", self.status.as_str().to_owned()));
        counter!("litellm_proxy_total_requests_metric_total", asked).increment(1);
        if let Some(class) = self.failure {
            proxy.extend(meter::fault(&self.provider, class, self.status.as_str()));
            counter!("litellm_proxy_failed_requests_metric_total", proxy).increment(1);
            return;
        }
        let model = with_model(&caller);
        let mut counted = model.clone();
        counted.push(email);
        if let Some(usage) = self.usage {
            counter!("litellm_total_tokens_metric_total", counted.clone()).increment(usage.total());
            counter!("litellm_input_tokens_metric_total", counted.clone()).increment(usage.prompt);
            counter!("litellm_output_tokens_metric_total", counted.clone())
                .increment(usage.completion);
        }
        let cost = self.cost.total().to_f64();
        gauge!("litellm_spend_metric_total", counted).increment(cost);
        let mut latency = model;
        latency.push(Label::new("requested_model", "None"));
        histogram!("litellm_llm_api_latency_metric", latency.clone()).record(self.upstream);
        histogram!("litellm_request_total_latency_metric", latency).record(self.total());
    }
}
