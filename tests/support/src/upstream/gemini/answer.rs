//! Answers as Gemini makes them, the same for the same request.

use super::super::answer::sample;
use serde_json::{Value, json};

/// The signature of everything that is signed.
const SIGNATURE: &str = "c2lnbmF0dXJl";

/// An answer of `generateContent`.
pub(super) fn whole(model: &str, request: &Value) -> Value {
    answer(model, &parts(request, model), Some("STOP"), Some(usage()))
}

/// The events of `streamGenerateContent`.
pub(super) fn events(model: &str, request: &Value) -> Vec<String> {
    let mut pieces = Vec::new();
    for part in parts(request, model) {
        match part["text"].as_str().filter(|_| part["thought"].is_null()) {
            Some(text) => {
                let words = text.split_inclusive(' ');
                pieces.extend(words.map(|word| json!({"text": word})));
            }
            None => pieces.push(part),
        }
    }
    let early = json!({"promptTokenCount": 20, "totalTokenCount": 20});
    let mut events: Vec<Value> = pieces
        .into_iter()
        .map(|part| answer(model, &[part], None, Some(early.clone())))
        .collect();
    events.push(answer(
        model,
        &[json!({"text": ""})],
        Some("STOP"),
        Some(usage()),
    ));
    events.iter().map(Value::to_string).collect()
}

fn answer(model: &str, parts: &[Value], finish: Option<&str>, usage: Option<Value>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    let mut answer = json!({
        "candidates": [candidate],
        "modelVersion": format!("{model}-001"),
        "responseId": "resp-fake",
    });
    if let Some(usage) = usage {
        answer["usageMetadata"] = usage;
    }
    answer
}

fn usage() -> Value {
    json!({"promptTokenCount": 20, "cachedContentTokenCount": 4, "candidatesTokenCount": 7,
        "thoughtsTokenCount": 3, "totalTokenCount": 30,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}]})
}

fn parts(request: &Value, model: &str) -> Vec<Value> {
    let mut parts = Vec::new();
    let config = &request["generationConfig"];
    if config["thinkingConfig"]["includeThoughts"] == true {
        parts.push(json!({"text": "Let me think.", "thought": true}));
    }
    let last = &request["contents"].as_array().and_then(|all| all.last());
    let heard = last
        .and_then(|last| last["parts"].as_array())
        .map_or(&[][..], Vec::as_slice);
    let calling = &request["toolConfig"]["functionCallingConfig"];
    let answered = heard
        .iter()
        .any(|part| part["functionResponse"].is_object());
    let declared = request["tools"].as_array().into_iter().flatten();
    let declared: Vec<&Value> = declared
        .filter_map(|tool| tool["functionDeclarations"].as_array())
        .flatten()
        .filter(|one| {
            let allowed = calling["allowedFunctionNames"].as_array();
            allowed.is_none_or(|names| names.contains(&one["name"]))
        })
        .collect();
    if !declared.is_empty() && !answered && calling["mode"] != "NONE" {
        for (index, one) in declared.iter().enumerate() {
            let mut schema = one["parametersJsonSchema"].clone();
            if schema.is_null() {
                schema = json!({"type": "object"});
            }
            let mut call = json!({"name": one["name"], "args": sample(&schema)});
            // Only the newer models give ids.
            if model.starts_with("gemini-3") {
                call["id"] = format!("fc_{index}").into();
            }
            let mut part = json!({ "functionCall": call });
            if index == 0 {
                part["thoughtSignature"] = SIGNATURE.into();
            }
            parts.push(part);
        }
        return parts;
    }
    let text = if config["responseJsonSchema"].is_object() {
        sample(&config["responseJsonSchema"]).to_string()
    } else if config["responseSchema"].is_object() {
        sample(&lower(&config["responseSchema"])).to_string()
    } else if config["responseMimeType"] == "application/json" {
        json!({"answer": 42}).to_string()
    } else {
        said(heard)
    };
    parts.push(json!({ "text": text }));
    let images = config["responseModalities"].as_array();
    if images.is_some_and(|kinds| kinds.contains(&json!("AUDIO"))) {
        // A second of silence.
        let silence = "AAAA".repeat(16_000);
        return vec![json!({"inlineData": {
            "mimeType": "audio/L16;codec=pcm;rate=24000", "data": silence}})];
    }
    if images.is_some_and(|kinds| kinds.contains(&json!("IMAGE"))) {
        parts.push(json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}));
    }
    parts
}

/// A schema of `OpenAPI`, whose types Google writes in capitals, with the names of JSON Schema.
fn lower(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let lowered = members.iter().map(|(name, value)| {
                let value = match value.as_str().filter(|_| name == "type") {
                    Some(word) => word.to_lowercase().into(),
                    None => lower(value),
                };
                (name.clone(), value)
            });
            Value::Object(lowered.collect())
        }
        Value::Array(items) => items.iter().map(lower).collect(),
        other => other.clone(),
    }
}

/// What was said, back again, so that a test sees both ways at once.
fn said(heard: &[Value]) -> String {
    if let Some(result) = heard.iter().find_map(|part| part.get("functionResponse")) {
        return format!("It gave: {}", result["response"]);
    }
    let of = |name: &str| heard.iter().filter(|part| !part[name].is_null()).count();
    match (of("inlineData") + of("fileData"), heard) {
        (0, [part]) => format!("You said: {}", part["text"].as_str().unwrap_or_default()),
        (media, _) => format!("You showed {media} media and {} texts", of("text")),
    }
}

/// An embedding of three dimensions.
pub(super) fn embedding() -> Value {
    json!({"values": [0.5, -0.125, 0.25]})
}
