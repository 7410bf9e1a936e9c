//! `/utils`, `/spend/calculate`, `/routes`: sums and lists that need nobody's data.

use pointsman_routes::table::{Deployment, Target};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::refusal::Refusal;
use super::{Answer, Ask};
use crate::call::Usage;
use crate::live::Live;
use crate::routing::tokens::{BYTES_PER_TOKEN, Tokens, Vocabulary, apart};
use crate::spend::price::price;

/// The deployment that a name stands for, by the first of its group.
fn deployment<'a>(live: &'a Live, name: &str) -> Option<&'a Deployment> {
    let table = live.table();
    match table.resolve(name)?.target {
        Target::Deployment(id) => Some(live.deployment(id)),
        Target::Group(group) => {
            let group = &live.routes().groups[usize::from(group.0)];
            group
                .members
                .first()
                .map(|member| live.deployment(member.deployment))
        }
    }
}

/// All text of a prompt, or of messages, images and the like left out.
fn words(value: &Value, text: &mut String) {
    match value {
        Value::String(more) => {
            text.push_str(more);
            text.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if !matches!(name.as_str(), "image_url" | "input_audio" | "file" | "type") {
                    words(value, text);
                }
            }
        }
        _ => {}
    }
}

/// Tokens of what a form holds, and whether they were counted.
fn tokens(ask: &Ask, model: &str) -> (u64, bool) {
    let mut text = String::new();
    for name in ["prompt", "messages", "contents"] {
        if let Some(value) = ask.form.get(name) {
            words(value, &mut text);
        }
    }
    match Vocabulary::of(model) {
        Some(vocabulary) => (apart(|| vocabulary.count(&text)), true),
        None => ((text.len() as u64).div_ceil(BYTES_PER_TOKEN), false),
    }
}

/// `POST /utils/token_counter`.
pub(super) async fn token_counter(ask: Ask) -> Answer {
    let name = ask.form.text("model").unwrap_or_default();
    if !["prompt", "messages", "contents"]
        .iter()
        .any(|field| ask.form.get(field).is_some())
    {
        return Err(Refusal::bad(
            "messages",
            "prompt or messages must be provided",
        ));
    }
    let live = ask.office.live.load();
    let model =
        deployment(&live, name).map_or_else(|| name.to_owned(), |found| found.model.to_string());
    let (tokens, counted) = tokens(&ask, &model);
    Ok(json!({
        "total_tokens": tokens,
        "request_model": name,
        "model_used": model,
        "tokenizer_type": if counted { "openai_tokenizer" } else { "estimate" },
    }))
}

/// `GET /utils/supported_openai_params`.
pub(super) async fn supported_params(ask: Ask) -> Answer {
    let name = ask.form.text("model").unwrap_or_default();
    let live = ask.office.live.load();
    let unknown = || Refusal::bad("model", "Could not map model to supported params");
    let found = deployment(&live, name).ok_or_else(unknown)?;
    let mut params = vec![
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "n",
        "presence_penalty",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "top_logprobs",
        "top_p",
        "user",
    ];
    let facts = &found.facts;
    for (word, more) in [
        (
            "tools",
            &["tools", "tool_choice", "functions", "function_call"][..],
        ),
        ("response_schema", &["response_format"]),
        ("reasoning", &["reasoning_effort"]),
    ] {
        if !facts.known || facts.capabilities.words().any(|known| known == word) {
            params.extend(more);
        }
    }
    Ok(json!({"supported_openai_params": params}))
}

/// `POST /spend/calculate`: of a response with usage, or of a prompt.
pub(super) async fn calculate(ask: Ask) -> Answer {
    let response = ask.form.get("completion_response");
    let named = response.and_then(|response| response["model"].as_str());
    let name = ask.form.text("model").or(named);
    let name =
        name.ok_or_else(|| Refusal::bad("model", "model or completion_response is needed"))?;
    let live = ask.office.live.load();
    let unknown = || {
        Refusal::bad(
            "model",
            &format!("there is no model {name}; see /v1/models for those there are"),
        )
    };
    let found = deployment(&live, name).ok_or_else(unknown)?;
    let usage = match response.map(|response| &response["usage"]) {
        Some(usage) => {
            let of = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
            Usage {
                prompt: of("/prompt_tokens"),
                completion: of("/completion_tokens"),
                cache_read: of("/prompt_tokens_details/cached_tokens"),
                reasoning: of("/completion_tokens_details/reasoning_tokens"),
                ..Usage::default()
            }
        }
        None => Usage {
            prompt: tokens(&ask, &found.model).0,
            ..Usage::default()
        },
    };
    let cost = price(&usage, &found.price).total();
    Ok(json!({"cost": cost.to_string().parse::<f64>().unwrap_or_default()}))
}

/// `GET /routes`.
pub(super) fn routes(endpoints: &[Endpoint]) -> Value {
    let routes = endpoints.iter().flat_map(|endpoint| {
        endpoint.paths.iter().map(|path| {
            json!({"path": path, "methods": [endpoint.method.word()], "name": endpoint.summary})
        })
    });
    let calls = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/health",
        "/health/liveliness",
        "/health/readiness",
        "/metrics",
    ];
    let calls = calls.map(|path| json!({"path": path, "methods": ["GET", "POST"], "name": path}));
    let routes: Vec<_> = routes.chain(calls).collect();
    json!({"routes": routes})
}
