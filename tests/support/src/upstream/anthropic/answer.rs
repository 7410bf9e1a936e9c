//! Messages as Anthropic makes them, the same for the same request.

use super::super::answer::sample;
use serde_json::{Value, json};

/// The message that answers a request.
pub(in super::super) fn message(request: &Value) -> Value {
    let mut content = Vec::new();
    if matches!(
        request["thinking"]["type"].as_str(),
        Some("enabled" | "adaptive")
    ) {
        content.push(json!({"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"}));
        content.push(json!({"type": "redacted_thinking", "data": "cmVk"}));
    }
    let last = request["messages"].as_array().and_then(|all| all.last());
    let last = last.unwrap_or(&Value::Null);
    let calls = calls(request, last);
    let stop = if calls.is_empty() {
        content.extend(says(request, last));
        "end_turn"
    } else {
        content.extend(calls);
        "tool_use"
    };
    json!({
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": format!("{}{}", request["model"].as_str().unwrap_or("unnamed"), super::super::DATED),
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": 11,
            "cache_creation_input_tokens": 4,
            "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 10,
            "server_tool_use": null,
            "service_tier": "standard",
        },
    })
}

fn calls(request: &Value, last: &Value) -> Vec<Value> {
    let choice = &request["tool_choice"];
    let answered = last["content"]
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    let forced = matches!(choice["type"].as_str(), Some("any" | "tool"));
    if choice["type"] == "none" || (answered && !forced) {
        return Vec::new();
    }
    let tools = request["tools"].as_array().into_iter().flatten();
    let own = tools.filter(|tool| tool["input_schema"].is_object());
    let wanted = own.filter(|tool| choice["name"].is_null() || choice["name"] == tool["name"]);
    let most = if choice["disable_parallel_tool_use"] == true {
        1
    } else {
        usize::MAX
    };
    let call = |(index, tool): (usize, &Value)| {
        json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": tool["name"],
            "input": sample(&tool["input_schema"])})
    };
    wanted.take(most).enumerate().map(call).collect()
}

fn says(request: &Value, last: &Value) -> Vec<Value> {
    let searches = request["tools"].as_array().is_some_and(|tools| {
        tools.iter().any(|tool| {
            tool["type"]
                .as_str()
                .is_some_and(|kind| kind.starts_with("web_search"))
        })
    });
    if searches {
        let found = json!({"type": "web_search_result", "url": "https://a.example", "title": "A",
            "encrypted_content": "ZW5j"});
        let source = json!({"type": "web_search_result_location", "url": "https://a.example",
            "title": "A", "cited_text": "it is so", "encrypted_index": "aW5k"});
        return vec![
            json!({"type": "server_tool_use", "id": "srvtoolu_0", "name": "web_search",
                "input": {"query": "so"}}),
            json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_0",
                "content": [found]}),
            json!({"type": "text", "text": "It is so.", "citations": [source]}),
        ];
    }
    let form = &request["output_config"]["format"]["schema"];
    let text = if form.is_object() {
        sample(form).to_string()
    } else {
        heard(last)
    };
    vec![json!({"type": "text", "text": text})]
}

/// What was said, back again, so that a test sees both ways at once.
fn heard(message: &Value) -> String {
    if let Some(text) = message["content"].as_str() {
        return format!("You said: {text}");
    }
    let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |kind: &str| blocks.iter().filter(|block| block["type"] == kind).count();
    match blocks {
        [only] if only["type"] == "text" => {
            format!("You said: {}", only["text"].as_str().unwrap_or_default())
        }
        _ => format!(
            "You showed {} images, {} documents, {} results and {} texts",
            of("image"),
            of("document"),
            of("tool_result"),
            of("text")
        ),
    }
}

/// The events of a message, in Anthropic's order.
pub(in super::super) fn events(message: &Value) -> Vec<String> {
    let mut started = message.clone();
    started["content"] = json!([]);
    started["stop_reason"] = Value::Null;
    started["usage"]["output_tokens"] = json!(1);
    let mut events = vec![json!({"type": "message_start", "message": started})];
    events.push(json!({"type": "ping"}));
    let blocks = message["content"].as_array().into_iter().flatten();
    for (index, block) in blocks.enumerate() {
        let (start, deltas) = pieces(block);
        let event = |kind: &str| json!({"type": format!("content_block_{kind}"), "index": index});
        let mut started = event("start");
        started["content_block"] = start;
        events.push(started);
        for delta in deltas {
            let mut piece = event("delta");
            piece["delta"] = delta;
            events.push(piece);
        }
        events.push(event("stop"));
    }
    events.push(json!({
        "type": "message_delta",
        "delta": {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]},
        "usage": {"output_tokens": message["usage"]["output_tokens"]},
    }));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(Value::to_string).collect()
}

/// A block as it starts, and what comes then.
fn pieces(block: &Value) -> (Value, Vec<Value>) {
    let mut start = block.clone();
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    match text("type") {
        "text" => {
            start["text"] = json!("");
            let sources = block["citations"].as_array().cloned().unwrap_or_default();
            if !sources.is_empty() {
                start["citations"] = json!([]);
            }
            let cited = sources
                .into_iter()
                .map(|source| json!({"type": "citations_delta", "citation": source}));
            let words = text("text").split_inclusive(' ');
            let words = words.map(|word| json!({"type": "text_delta", "text": word}));
            (start, words.chain(cited).collect())
        }
        "thinking" => {
            start["thinking"] = json!("");
            start["signature"] = json!("");
            let words = text("thinking").split_inclusive(' ');
            let thought = words.map(|word| json!({"type": "thinking_delta", "thinking": word}));
            let proof = json!({"type": "signature_delta", "signature": block["signature"]});
            (start, thought.chain([proof]).collect())
        }
        "tool_use" | "server_tool_use" => {
            start["input"] = json!({});
            let input = block["input"].to_string();
            let delta = |piece: &str| json!({"type": "input_json_delta", "partial_json": piece});
            let pieces = input.split_inclusive([':', ',']).map(delta);
            (start, std::iter::once(delta("")).chain(pieces).collect())
        }
        _ => (start, Vec::new()),
    }
}
