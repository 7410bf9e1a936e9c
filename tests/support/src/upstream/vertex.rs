//! Vertex AI: Gemini's and Anthropic's APIs behind paths of Google's, with a token in place of a key.

use super::anthropic::{Anthropic, check_body};
use super::api::{Api, Asked};
use super::gemini::{Gemini, body, plain};
use super::reply::Reply;
use super::types::{ANTHROPIC_2023_06_01, VERTEX};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Vertex AI.
#[derive(Debug)]
pub(super) struct Vertex;

/// Maker, model and method of a path.
fn parts(path: &str) -> Option<(&str, &str, &str)> {
    let rest = path.strip_prefix("/v1beta1/projects/")?;
    let (_, rest) = rest.split_once("/publishers/")?;
    let (maker, rest) = rest.split_once("/models/")?;
    let (model, method) = rest.rsplit_once(':')?;
    Some((maker, model, method))
}

/// The path by which the Gemini API knows the same.
fn as_gemini(path: &str) -> String {
    let (_, model, method) = parts(path).unwrap_or_default();
    format!("/v1beta/models/{model}:{method}")
}

impl Api for Vertex {
    fn serves(&self, path: &str) -> bool {
        parts(path).is_some()
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (maker, model, method) = parts(asked.path).unwrap_or_default();
        let (mut value, mut wrong) = super::check::strict(asked.body);
        if maker == "google" {
            value = plain(&VERTEX, &value, method);
        }
        if self.credential(asked.headers).is_none() {
            wrong.push("no bearer token".into());
        }
        match (maker, method) {
            ("google", _) => {
                wrong.extend(body(&VERTEX, &value, model, method));
                for content in value["contents"].as_array().into_iter().flatten() {
                    if !matches!(content["role"].as_str(), Some("user" | "model")) {
                        wrong.push("Please use a valid role: user, model.".into());
                    }
                }
            }
            ("anthropic", "rawPredict" | "streamRawPredict") => {
                if value["anthropic_version"] != "vertex-2023-10-16" {
                    wrong.push("anthropic_version is not vertex-2023-10-16".into());
                }
                if !value["model"].is_null() {
                    wrong.push("the model stands in the path alone".into());
                }
                let betas = asked.headers.get("anthropic-beta");
                let betas = betas.and_then(|betas| betas.to_str().ok());
                let mut own = value.clone();
                if let Some(members) = own.as_object_mut() {
                    members.remove("anthropic_version");
                    members.insert("model".into(), model.into());
                }
                wrong.extend(check_body(
                    &ANTHROPIC_2023_06_01,
                    &own,
                    betas.unwrap_or_default(),
                    false,
                ));
                if (value["stream"] == true) != (method == "streamRawPredict") {
                    wrong.push("stream and path do not agree".into());
                }
            }
            _ => wrong.push(format!("no method {method} of {maker}")),
        }
        (value, wrong)
    }

    fn model(&self, path: &str, _: &Value) -> String {
        let (_, model, _) = parts(path).unwrap_or_default();
        model.to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let shown = headers.get("authorization")?.to_str().ok()?;
        shown.strip_prefix("Bearer ")
    }

    fn usual(&self, path: &str, value: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        match parts(path) {
            Some(("anthropic", ..)) => Anthropic.usual("/v1/messages", value, reply),
            Some((_, _, "predict")) => {
                let inputs = value["instances"].as_array().map_or(0, Vec::len);
                let one = json!({"embeddings": {"values": [0.5, -0.125, 0.25],
                    "statistics": {"token_count": 4.0, "truncated": false}}});
                let all = json!({ "predictions": vec![one; inputs] });
                ("application/json", vec![Bytes::from(all.to_string())])
            }
            _ => Gemini.usual(&as_gemini(path), value, reply),
        }
    }

    fn error(&self, status: u16, message: &str) -> Value {
        Gemini.error(status, message)
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, reply: &Reply) -> Bytes {
        Gemini.event(data, reply)
    }
}
