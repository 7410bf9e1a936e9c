//! Turns as Converse makes them, the same for the same request.

use super::super::answer::sample;
use serde_json::{Value, json};

/// The turn that answers a request.
pub(super) fn turn(request: &Value) -> Value {
    let mut content = Vec::new();
    let thinking = &request["additionalModelRequestFields"]["thinking"]["type"];
    if matches!(thinking.as_str(), Some("enabled" | "adaptive")) {
        let text = json!({"text": "Let me think.", "signature": "c2ln"});
        content.push(json!({"reasoningContent": {"reasoningText": text}}));
        content.push(json!({"reasoningContent": {"redactedContent": "cmVk"}}));
    }
    let calls = calls(request);
    let stop = if calls.is_empty() {
        content.push(json!({"text": says(request)}));
        "end_turn"
    } else {
        content.extend(calls);
        "tool_use"
    };
    json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": {"inputTokens": 11, "outputTokens": 10, "totalTokens": 30,
            "cacheReadInputTokens": 5, "cacheWriteInputTokens": 4,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 3}]},
        "metrics": {"latencyMs": 7},
    })
}

fn last(request: &Value) -> &[Value] {
    let messages = request["messages"].as_array();
    let last = messages.and_then(|all| all.last());
    let content = last.and_then(|last| last["content"].as_array());
    content.map_or(&[], Vec::as_slice)
}

fn calls(request: &Value) -> Vec<Value> {
    let config = &request["toolConfig"];
    let choice = &config["toolChoice"];
    let answered = last(request)
        .iter()
        .any(|block| block.get("toolResult").is_some());
    let forced = choice.get("any").or(choice.get("tool")).is_some();
    if answered && !forced {
        return Vec::new();
    }
    let specs = config["tools"].as_array().into_iter().flatten();
    let specs = specs.filter_map(|tool| tool.get("toolSpec"));
    let named = &choice["tool"]["name"];
    let wanted = specs.filter(|spec| named.is_null() || *named == spec["name"]);
    let call = |(index, spec): (usize, &Value)| {
        json!({"toolUse": {"toolUseId": format!("tooluse_{index}"), "name": spec["name"],
            "input": sample(&spec["inputSchema"]["json"])}})
    };
    wanted.enumerate().map(call).collect()
}

fn says(request: &Value) -> String {
    let form = &request["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
    if let Some(schema) = form.as_str() {
        return sample(&serde_json::from_str(schema).unwrap_or_default()).to_string();
    }
    let blocks = last(request);
    let of = |kind: &str| {
        blocks
            .iter()
            .filter(|block| block.get(kind).is_some())
            .count()
    };
    match blocks {
        [only] if only["text"].is_string() => {
            format!("You said: {}", only["text"].as_str().unwrap_or_default())
        }
        _ => format!(
            "You showed {} images, {} documents, {} results and {} texts",
            of("image"),
            of("document"),
            of("toolResult"),
            of("text")
        ),
    }
}

/// The events of a turn, in Converse's order.
pub(super) fn events(turn: &Value) -> Vec<String> {
    let mut events = vec![json!({"messageStart": {"role": "assistant"}})];
    let blocks = turn["output"]["message"]["content"].as_array();
    for (index, block) in blocks.into_iter().flatten().enumerate() {
        if let Some(call) = block.get("toolUse") {
            let start = json!({"toolUseId": call["toolUseId"], "name": call["name"]});
            events.push(json!({"contentBlockStart":
                {"start": {"toolUse": start}, "contentBlockIndex": index}}));
        }
        for delta in deltas(block) {
            events.push(json!({"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}));
        }
        events.push(json!({"contentBlockStop": {"contentBlockIndex": index}}));
    }
    events.push(json!({"messageStop": {"stopReason": turn["stopReason"]}}));
    events.push(json!({"metadata": {"usage": turn["usage"], "metrics": turn["metrics"]}}));
    events.iter().map(Value::to_string).collect()
}

fn deltas(block: &Value) -> Vec<Value> {
    if let Some(text) = block["text"].as_str() {
        let words = text.split_inclusive(' ');
        return words.map(|word| json!({"text": word})).collect();
    }
    if let Some(call) = block.get("toolUse") {
        let input = call["input"].to_string();
        let pieces = input.split_inclusive([':', ',']);
        return pieces
            .map(|piece| json!({"toolUse": {"input": piece}}))
            .collect();
    }
    let thought = &block["reasoningContent"];
    match thought.get("reasoningText") {
        Some(text) => ["text", "signature"]
            .map(|name| json!({"reasoningContent": {name: text[name]}}))
            .into(),
        None => vec![json!({"reasoningContent": thought})],
    }
}

/// Embeddings of three dimensions.
pub(super) fn embedding(model: &str, request: &Value) -> Value {
    let vector = json!([0.5, -0.125, 0.25]);
    if model.contains("titan") {
        return json!({"embedding": vector, "inputTextTokenCount": 8});
    }
    let texts = request["texts"].as_array().map_or(0, Vec::len);
    json!({"id": "x", "response_type": "embeddings_floats", "embeddings": vec![vector; texts]})
}
