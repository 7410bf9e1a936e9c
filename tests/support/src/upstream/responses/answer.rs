//! Responses as OpenAI makes them, the same for the same request.

use super::super::answer::{DATED, sample};
use super::super::shape::list;
use serde_json::{Value, json};

/// When every response was made.
const CREATED: u64 = 1_741_476_542;
/// What the ids of its responses begin with.
const OWN: &str = "resp_fake_";

/// Whether an id is of a response that it made.
pub(super) fn is_own(id: &str) -> bool {
    id.starts_with(OWN)
}

/// A conversation made short.
pub(super) fn compacted(asked: &Value) -> Value {
    let short = json!({"id": "cmp_0", "type": "compaction", "encrypted_content": "short"});
    let whole = response(asked);
    json!({"id": whole["id"], "object": "response.compaction", "created_at": CREATED,
        "output": [short], "usage": whole["usage"]})
}

/// What is told of a response that is made in the background.
pub(super) fn queued(asked: &Value) -> Value {
    let mut begun = response(asked);
    begun["background"] = true.into();
    begun["status"] = "queued".into();
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    begun
}

/// The whole response to a request.
pub(super) fn response(asked: &Value) -> Value {
    let model = asked["model"].as_str().unwrap_or("unnamed");
    let or = |name: &str, absent: Value| match &asked[name] {
        Value::Null => absent,
        value => value.clone(),
    };
    json!({
        "id": format!("{OWN}{}", asked.to_string().len()),
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": asked["instructions"],
        "max_output_tokens": asked["max_output_tokens"],
        "model": format!("{model}{DATED}"),
        "output": output(asked),
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": asked["previous_response_id"],
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})),
        "service_tier": "default",
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_p": or("top_p", json!(1.0)),
        "truncation": "disabled",
        "usage": {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 30,
        },
        "user": asked["user"],
        "metadata": or("metadata", json!({})),
    })
}

/// The answer to a request about a response that it keeps.
pub(super) fn kept(id: &str, asked: &Value) -> Value {
    if asked["method"] == "DELETE" {
        return json!({"id": id, "object": "response", "deleted": true});
    }
    if asked["tail"] == "input_items" {
        let said = json!({"id": "msg_in", "type": "message", "role": "user", "status": "completed",
            "content": [{"type": "input_text", "text": "hi there"}]});
        return json!({"object": "list", "data": [said], "first_id": "msg_in", "last_id": "msg_in",
            "has_more": false});
    }
    let mut kept = response(&json!({"model": "gpt-4o-mini", "input": "kept"}));
    kept["id"] = id.into();
    if asked["tail"] == "cancel" {
        kept["status"] = "cancelled".into();
    }
    kept
}

fn output(asked: &Value) -> Value {
    let nothing = Value::Null;
    let last = match &asked["input"] {
        Value::Array(items) => items.last().unwrap_or(&nothing),
        other => other,
    };
    let tools = list(&asked["tools"]).iter();
    let functions: Vec<_> = tools.filter(|tool| tool["type"] == "function").collect();
    let answered = last["type"] == "function_call_output";
    if !functions.is_empty() && !answered && asked["tool_choice"] != "none" {
        let forced = &asked["tool_choice"]["name"];
        let wanted = functions
            .iter()
            .filter(|tool| forced.is_null() || *forced == tool["name"]);
        let calls = wanted.enumerate().map(|(at, tool)| {
            json!({
                "id": format!("fc_{at}"), "type": "function_call", "status": "completed",
                "call_id": format!("call_{at}"), "name": tool["name"],
                "arguments": sample(&tool["parameters"]).to_string(),
            })
        });
        return calls.collect();
    }
    let format = &asked["text"]["format"];
    let text = match format["type"].as_str() {
        Some("json_schema") => sample(&format["schema"]).to_string(),
        Some("json_object") => json!({"answer": 42}).to_string(),
        _ => heard(last),
    };
    let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let message = json!({"id": "msg_0", "type": "message", "role": "assistant",
        "status": "completed", "content": [part]});
    if asked["reasoning"]["effort"].is_string() {
        let summary = json!([{"type": "summary_text", "text": "Let me think."}]);
        return json!([{"id": "rs_0", "type": "reasoning", "summary": summary}, message]);
    }
    json!([message])
}

/// What was said, back again.
fn heard(last: &Value) -> String {
    let text = match last {
        Value::String(text) => text.clone(),
        item => {
            let said = item.get("content").or(item.get("output"));
            match said {
                Some(Value::String(text)) => text.clone(),
                Some(parts) => list(parts)
                    .iter()
                    .filter_map(|part| part["text"].as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
                None => String::new(),
            }
        }
    };
    format!("You said: {text}")
}

/// The events of a stream that ends in this response.
pub(super) fn events(response: &Value) -> Vec<String> {
    let mut begun = response.clone();
    begun["status"] = "in_progress".into();
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    for (at, item) in list(&response["output"]).iter().enumerate() {
        item_events(at, item, &mut events);
    }
    events.push(json!({"type": "response.completed", "response": response}));
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = number.into();
        event.to_string()
    });
    numbered.collect()
}

fn item_events(at: usize, item: &Value, events: &mut Vec<Value>) {
    let mut event = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "output_index": at});
        for (name, value) in more.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        events.push(event);
    };
    let mut added = item.clone();
    added["status"] = "in_progress".into();
    let id = &item["id"];
    match item["type"].as_str() {
        Some("message") => {
            added["content"] = json!([]);
            event("response.output_item.added", json!({"item": added}));
            for (place, part) in list(&item["content"]).iter().enumerate() {
                let text = part["text"].as_str().unwrap_or_default();
                let mut empty = part.clone();
                empty["text"] = "".into();
                let about = |more: Value| {
                    let mut about = json!({"item_id": id, "content_index": place});
                    for (name, value) in more.as_object().into_iter().flatten() {
                        about[name] = value.clone();
                    }
                    about
                };
                event("response.content_part.added", about(json!({"part": empty})));
                for word in text.split_inclusive(' ') {
                    let delta = json!({"delta": word, "logprobs": []});
                    event("response.output_text.delta", about(delta));
                }
                let done = json!({"text": text, "logprobs": []});
                event("response.output_text.done", about(done));
                event("response.content_part.done", about(json!({"part": part})));
            }
        }
        Some("function_call") => {
            added["arguments"] = "".into();
            event("response.output_item.added", json!({"item": added}));
            let arguments = item["arguments"].as_str().unwrap_or_default();
            for piece in arguments.split_inclusive([':', ',']) {
                let delta = json!({"item_id": id, "delta": piece});
                event("response.function_call_arguments.delta", delta);
            }
            let done = json!({"item_id": id, "name": item["name"], "arguments": arguments});
            event("response.function_call_arguments.done", done);
        }
        _ => event("response.output_item.added", json!({"item": added})),
    }
    event("response.output_item.done", json!({"item": item}));
}
