//! LiteLLM's response headers.

use std::fmt::Write;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pointsman_routes::table::DeploymentId;
use pointsman_routes::usd::{Decimal, Usd};

use crate::access::Access;
use crate::account::Time;
use crate::call::{Call, Principal, Route, Trail};
use crate::dialect::media;
use crate::live::Endpoint;
use crate::spend::price::Cost;
use crate::upstream::openai::audio;

/// The version that is told.
pub const VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(const $constant: HeaderName = HeaderName::from_static($name);)*
    };
}

names! {
    CALL_ID = "x-litellm-call-id";
    MODEL_ID = "x-litellm-model-id";
    MODEL_NAME = "x-litellm-model-name";
    MODEL_GROUP = "x-litellm-model-group";
    API_BASE = "x-litellm-model-api-base";
    REGION = "x-litellm-model-region";
    LITELLM_VERSION = "x-litellm-version";
    COST = "x-litellm-response-cost";
    COST_ORIGINAL = "x-litellm-response-cost-original";
    COST_DISCOUNT = "x-litellm-response-cost-discount-amount";
    COST_MARGIN = "x-litellm-response-cost-margin-amount";
    COST_MARGIN_PERCENT = "x-litellm-response-cost-margin-percent";
    COST_INPUT = "x-litellm-response-cost-input";
    COST_OUTPUT = "x-litellm-response-cost-output";
    COST_TOOLS = "x-litellm-response-cost-tool-usage";
    DURATION = "x-litellm-response-duration-ms";
    OVERHEAD = "x-litellm-overhead-duration-ms";
    CALLBACKS = "x-litellm-callback-duration-ms";
    RETRIES = "x-litellm-attempted-retries";
    FALLBACKS = "x-litellm-attempted-fallbacks";
    MAX_RETRIES = "x-litellm-max-retries";
    MAX_FALLBACKS = "x-litellm-max-fallbacks";
    FALLBACK_ERRORS = "x-litellm-fallback-errors";
    ATTEMPTS = "x-pointsman-attempts";
    SOURCE = "x-pointsman-error-source";
    DROPPED = "x-pointsman-dropped-params";
    KEY_SPEND = "x-litellm-key-spend";
    KEY_BUDGET = "x-litellm-key-max-budget";
    KEY_TPM = "x-litellm-key-tpm-limit";
    KEY_RPM = "x-litellm-key-rpm-limit";
    LIMIT_REQUESTS = "x-ratelimit-api_key-limit-requests";
    REMAINING_REQUESTS = "x-ratelimit-api_key-remaining-requests";
    LIMIT_TOKENS = "x-ratelimit-api_key-limit-tokens";
    REMAINING_TOKENS = "x-ratelimit-api_key-remaining-tokens";
}

/// Tells an nginx in front not to hold events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The content type of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const NOTHING: HeaderValue = HeaderValue::from_static("0.0");
const ZERO: HeaderValue = HeaderValue::from_static("0");

macro_rules! passed {
    ($($name:literal)*) => {
        /// The name under which a provider's header goes to the caller; `None` for those that do
        /// not. Cookies, account names and whatever else a provider sends stay here.
        fn prefixed(name: &str) -> Option<HeaderName> {
            match name {
                $($name => {
                    const PREFIXED: HeaderName =
                        HeaderName::from_static(concat!("llm_provider-", $name));
                    Some(PREFIXED)
                })*
                _ => None,
            }
        }
    };
}

passed! {
    "content-type"
    "date"
    "openai-model"
    "openai-processing-ms"
    "openai-version"
    "x-request-id"
    "request-id"
    "apim-request-id"
    "x-ms-region"
    "x-ms-client-request-id"
    "retry-after"
    "retry-after-ms"
    "x-should-retry"
    "x-ratelimit-limit-requests"
    "x-ratelimit-limit-tokens"
    "x-ratelimit-remaining-requests"
    "x-ratelimit-remaining-tokens"
    "x-ratelimit-reset-requests"
    "x-ratelimit-reset-tokens"
    "cf-ray"
    "server"
}

/// The headers of an answer: what is the same for every answer of its deployment is made once and
/// copied, the rest is written.
pub fn of_answer(call: &Call, endpoint: &Endpoint, streamed: bool) -> HeaderMap {
    let made = &endpoint.names.told[usize::from(streamed)];
    let mut headers = made
        .get_or_init(|| unchanging(call, endpoint, streamed))
        .clone();
    headers.insert(CALL_ID, call.id.clone());
    if call.as_list && streamed {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    // A deployment may stand in several groups; the copy names that of its first answer.
    let group = call.group_name();
    let named = headers.get(MODEL_GROUP).map(HeaderValue::as_bytes);
    if named != Some(group.as_bytes())
        && let Ok(group) = HeaderValue::from_str(group)
    {
        headers.insert(MODEL_GROUP, group);
    }
    headers
}

fn unchanging(call: &Call, endpoint: &Endpoint, streamed: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(40);
    let names = &endpoint.names;
    headers.insert(MODEL_ID, names.id.clone());
    headers.insert(MODEL_NAME, names.model.clone());
    headers.insert(API_BASE, names.api_base.clone());
    if let Some(region) = &names.region {
        headers.insert(REGION, region.clone());
    }
    if let Ok(group) = HeaderValue::from_str(call.group_name()) {
        headers.insert(MODEL_GROUP, group);
    }
    headers.insert(LITELLM_VERSION, VERSION);
    if let Ok(attempts) = HeaderValue::from_str(&answered(endpoint)) {
        headers.insert(ATTEMPTS, attempts);
    }
    headers.insert(RETRIES, ZERO);
    headers.insert(FALLBACKS, ZERO);
    headers.insert(CALLBACKS, NOTHING);
    if streamed {
        headers.insert(header::CONTENT_TYPE, EVENTS);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    } else {
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(COST_TOOLS, NOTHING);
        headers.insert(COST_DISCOUNT, NOTHING);
        headers.insert(COST_MARGIN, NOTHING);
        headers.insert(COST_MARGIN_PERCENT, NOTHING);
    }
    headers
}

/// What an answer is that is neither JSON nor events: audio is what the provider says it is, and a
/// plain transcript is text.
pub fn push_kind(headers: &mut HeaderMap, call: &Call, provider: &HeaderMap) {
    if call.route == Route::Speech {
        let told = provider.get(header::CONTENT_TYPE).filter(|kind| {
            let kind = kind.as_bytes();
            kind.starts_with(b"audio/") || kind.starts_with(b"text/event-stream")
        });
        let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
        // It was said in another dialect.
        let read = provider.get(header::CONTENT_TYPE).is_some_and(is_json);
        let unknown = if read {
            media::kind(call)
        } else {
            "application/octet-stream"
        };
        let unknown = HeaderValue::from_static(unknown);
        headers.insert(header::CONTENT_TYPE, told.cloned().unwrap_or(unknown));
    } else if audio::is_plain(call) {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, text);
    }
}

/// Longest list of parameters that is told.
const MAX_DROPPED: usize = 1_024;

/// The parameters of the request that the provider did not get.
pub fn push_dropped(headers: &mut HeaderMap, dropped: &[std::borrow::Cow<'static, str>]) {
    if dropped.is_empty() {
        return;
    }
    let mut told = dropped.join(", ");
    if told.len() > MAX_DROPPED {
        let end = told.floor_char_boundary(MAX_DROPPED);
        told.truncate(end);
    }
    if let Ok(told) = HeaderValue::from_str(&told) {
        headers.insert(DROPPED, told);
    }
}

/// Longest list of attempts that is told.
const MAX_ATTEMPTS: usize = 1_024;

/// What was tried, where anything failed; who answered in the end is the last of the list.
pub fn push_trail(
    headers: &mut HeaderMap,
    call: &Call,
    trail: &Trail,
    answered_by: Option<DeploymentId>,
) {
    if trail.left.is_empty() {
        return;
    }
    headers.insert(RETRIES, trail.retries.into());
    headers.insert(FALLBACKS, trail.fallbacks.into());
    headers.insert(MAX_RETRIES, trail.max_retries.into());
    headers.insert(MAX_FALLBACKS, trail.max_fallbacks.into());
    if answered_by.is_some()
        && trail.fallbacks > 0
        && let Some(errors) = fallback_errors(call, trail)
    {
        headers.insert(FALLBACK_ERRORS, errors);
    }
    let end = answered_by.map(|id| answered(call.live.endpoint(id)));
    let room = MAX_ATTEMPTS.saturating_sub(end.as_deref().map_or(0, str::len));
    let mut told = String::new();
    for left in &trail.left {
        let who = match left.deployment {
            Some(id) => &call.live.endpoint(id).names.id,
            None => &NOBODY,
        };
        let who = who.to_str().unwrap_or("?");
        let (why, status) = (left.why, left.status.as_u16());
        let one = format!("{who};why={why};status={status}, ");
        if told.len() + one.len() > room {
            told.push_str("..., ");
            break;
        }
        told.push_str(&one);
    }
    match &end {
        Some(end) => told.push_str(end),
        None => told.truncate(told.len().saturating_sub(2)),
    }
    if let Ok(told) = HeaderValue::from_str(&told) {
        headers.insert(ATTEMPTS, told);
    }
}

/// Longest list of errors that is told, and longest message in it.
const MAX_ERRORS: usize = 4_096;
const MAX_MESSAGE: usize = 512;

/// The last error of each group that a fallback stood in for, as a JSON list, if the caller wants
/// to know.
fn fallback_errors(call: &Call, trail: &Trail) -> Option<HeaderValue> {
    let answered = call.group();
    let last = |at: usize| {
        let group = trail.left[at].group;
        group != answered
            && trail
                .left
                .get(at + 1)
                .is_none_or(|next| next.group != group)
    };
    let mut told = String::from("[");
    for at in (0..trail.left.len()).filter(|at| last(*at)) {
        let left = &trail.left[at];
        let message: String = left.error.as_deref()?.chars().take(MAX_MESSAGE).collect();
        let one = serde_json::json!({
            "message": message,
            "type": left.class,
            "param": null,
            "code": left.status.as_str(),
        });
        let one = ascii(&one.to_string());
        if told.len() + one.len() > MAX_ERRORS {
            break;
        }
        if told.len() > 1 {
            told.push_str(", ");
        }
        told.push_str(&one);
    }
    told.push(']');
    HeaderValue::try_from(told).ok()
}

/// JSON whose letters beyond ASCII are written as escapes, so that any client reads it.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// In place of a deployment's id where there was none to be asked.
const NOBODY: HeaderValue = HeaderValue::from_static("-");

/// The end of the list of attempts of an answer.
fn answered(endpoint: &Endpoint) -> String {
    format!("{};why=answered", endpoint.names.id.to_str().unwrap_or("?"))
}

/// What the call cost; a stream cannot know it yet.
pub fn push_cost(headers: &mut HeaderMap, cost: Cost) {
    let total = dollars(cost.total());
    headers.insert(COST, total.clone());
    headers.insert(COST_ORIGINAL, total);
    headers.insert(COST_INPUT, dollars(cost.input));
    headers.insert(COST_OUTPUT, dollars(cost.output));
}

/// How long it took until now, and how much of that the gateway added.
pub fn push_times(headers: &mut HeaderMap, call: &Call, upstream: Duration) {
    let total = call.arrived.elapsed();
    headers.insert(DURATION, millis(total));
    headers.insert(OVERHEAD, millis(total.saturating_sub(upstream)));
}

/// What the key has spent, this call included as far as its cost is known, and what it may use.
pub fn push_key(headers: &mut HeaderMap, call: &Call, access: &Access) {
    push_means(
        headers,
        &call.principal,
        // What lasts longer than its response is settled at once.
        call.tab
            .cost()
            .filter(|_| !call.in_background())
            .unwrap_or(0),
        access,
    );
}

/// What the key has spent, with `more` picodollars that are not settled yet, and what it may use.
pub fn push_means(headers: &mut HeaderMap, principal: &Principal, more: u64, access: &Access) {
    let means = principal.means();
    if let Some(purse) = means.key_purse() {
        let spent = access.spent(purse).picos();
        let spent = spent.saturating_add(more);
        headers.insert(KEY_SPEND, dollars(Usd(spent.into())));
        if let Some(max) = purse.budget(Time::now).max() {
            headers.insert(KEY_BUDGET, dollars(Usd(max.picos().into())));
        }
    }
    let Some(limit) = means.key_limit() else {
        return;
    };
    let standings = access.standings(limit);
    for (standing, own, of, left) in [
        (
            standings.requests,
            KEY_RPM,
            LIMIT_REQUESTS,
            REMAINING_REQUESTS,
        ),
        (standings.tokens, KEY_TPM, LIMIT_TOKENS, REMAINING_TOKENS),
    ] {
        if let Some(standing) = standing {
            headers.insert(own, standing.limit.into());
            headers.insert(of, standing.limit.into());
            headers.insert(left, standing.remaining.into());
        }
    }
}

/// The provider's headers that the caller may see, unless one of them echoes a secret.
pub fn push_provider(headers: &mut HeaderMap, provider: &HeaderMap, endpoint: &Endpoint) {
    for (name, value) in provider {
        let Some(prefixed) = prefixed(name.as_str()) else {
            continue;
        };
        if endpoint.echoes_secret(value.as_bytes()) {
            continue;
        }
        if name.as_str().starts_with("x-ratelimit-") {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(prefixed, value.clone());
    }
}

/// What an error carries once the key was checked.
pub fn push_failure(headers: &mut HeaderMap, id: &HeaderValue, source: &'static str) {
    headers.insert(CALL_ID, id.clone());
    headers.insert(LITELLM_VERSION, VERSION);
    headers.insert(COST, ZERO);
    headers.insert(SOURCE, HeaderValue::from_static(source));
}

/// Names the call and the gateway in an answer that is passed on.
pub fn push_call(headers: &mut HeaderMap, id: &HeaderValue) {
    headers.insert(CALL_ID, id.clone());
    headers.insert(LITELLM_VERSION, VERSION);
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
}

/// Names whose fault an error is.
pub fn push_source(headers: &mut HeaderMap, source: &'static str) {
    headers.insert(SOURCE, HeaderValue::from_static(source));
}

fn dollars(amount: Usd) -> HeaderValue {
    if amount == Usd::ZERO {
        return NOTHING;
    }
    let mut text = Decimal::default();
    HeaderValue::from_bytes(text.dollars(amount)).unwrap_or(NOTHING)
}

fn millis(duration: Duration) -> HeaderValue {
    let mut text = Decimal::default();
    HeaderValue::from_bytes(text.millis(duration)).unwrap_or(ZERO)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::call::Route;
    use crate::call::example::call;

    #[test]
    fn a_deployment_in_two_groups_is_told_by_the_one_that_was_asked() {
        let config = "model_list:\n\
            - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY}}\n\
            - {model_name: b, litellm_params: {model: a}}\n";
        let told = |call: &Call| {
            let id = DeploymentId(0);
            of_answer(call, call.live.endpoint(id), false)[&MODEL_GROUP].clone()
        };
        let first = call(config, Route::Chat, r#"{"model":"a","messages":[]}"#);
        let mut second = call(config, Route::Chat, r#"{"model":"b","messages":[]}"#);
        second.live = Arc::clone(&first.live);
        assert_eq!(told(&first), "a");
        assert_eq!(told(&second), "b");
    }

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        for (micros, text) in [
            (0, "0.000"),
            (1, "0.001"),
            (12_345, "12.345"),
            (1_000_070, "1000.070"),
        ] {
            assert_eq!(millis(Duration::from_micros(micros)), text);
        }
    }
}
