//! Amazon Bedrock's runtime: signed requests in, AWS's event stream out.

mod answer;
mod check;
mod frame;
mod signature;

use super::anthropic;
use super::api::{Api, Asked};
use super::check as common;
use super::reply::Reply;
use super::types::ANTHROPIC_2023_06_01;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Bedrock. The path names the model and what is asked of it.
#[derive(Debug)]
pub(super) struct Bedrock;

/// The path's model, and what is asked of it.
fn asked(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/model/")?.rsplit_once('/')
}

impl Api for Bedrock {
    fn serves(&self, path: &str) -> bool {
        asked(path).is_some()
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, request: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = common::strict(request.body);
        let (model, action) = asked(request.path).unwrap_or_default();
        if model.is_empty() || model.contains('/') || model.contains(':') {
            wrong.push(format!("the model {model:?} is not one step of the path"));
        }
        if !bearer(request.headers) {
            wrong.extend(signature::check(request));
        }
        match action {
            "converse" => wrong.extend(check::body("Converse", &body)),
            "converse-stream" => wrong.extend(check::body("ConverseStream", &body)),
            "count-tokens" => wrong.extend(check::body("CountTokens", &body)),
            _ if body["anthropic_version"].is_string() => {
                if body["anthropic_version"] != "bedrock-2023-05-31" {
                    wrong.push("anthropic_version is not bedrock-2023-05-31".into());
                }
                // The path says both.
                for name in ["model", "stream"] {
                    if body.get(name).is_some() {
                        wrong.push(format!("{name}: Extra inputs are not permitted"));
                    }
                }
                let betas = body["anthropic_beta"].as_array();
                let betas = betas.into_iter().flatten().filter_map(Value::as_str);
                let betas = betas.collect::<Vec<_>>().join(",");
                let mut own = body.clone();
                if let Some(members) = own.as_object_mut() {
                    members.remove("anthropic_version");
                    members.remove("anthropic_beta");
                    members.insert("model".into(), model.into());
                }
                wrong.extend(anthropic::check_body(
                    &ANTHROPIC_2023_06_01,
                    &own,
                    &betas,
                    false,
                ));
            }
            _ => wrong.extend(check::embedding(model, &body)),
        }
        (body, wrong)
    }

    fn model(&self, path: &str, _body: &Value) -> String {
        asked(path).map_or("", |(model, _)| model).to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let shown = headers.get("authorization")?.to_str().ok()?;
        shown
            .strip_prefix("Bearer ")
            .or_else(|| signature::key(shown))
    }

    fn usual(&self, path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let whole = |value: Value| ("application/json", vec![Bytes::from(value.to_string())]);
        let (model, action) = asked(path).unwrap_or_default();
        let stream = |pieces| (self.stream_type(), pieces);
        match action {
            "converse" => whole(answer::turn(body)),
            "converse-stream" => {
                let events = answer::events(&answer::turn(body));
                stream(events.iter().map(|data| self.event(data, reply)).collect())
            }
            "count-tokens" => whole(json!({"inputTokens": 20})),
            "invoke-with-response-stream" => {
                let events = anthropic::events(&anthropic::message(body));
                stream(events.iter().map(|data| frame::chunk(data)).collect())
            }
            _ if body["anthropic_version"].is_string() => whole(anthropic::message(body)),
            _ => whole(answer::embedding(model, body)),
        }
    }

    fn error(&self, _status: u16, message: &str) -> Value {
        json!({"message": message})
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    /// An event is an object with one member, by whose name it goes.
    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        let (name, payload) = event
            .as_object()
            .and_then(|members| members.iter().next())
            .map_or(("unnamed", &Value::Null), |(name, value)| (name, value));
        frame::event(name, &payload.to_string())
    }
}

fn bearer(headers: &HeaderMap) -> bool {
    let shown = headers.get("authorization");
    shown.is_some_and(|value| value.as_bytes().starts_with(b"Bearer "))
}
