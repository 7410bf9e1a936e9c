//! What OpenAI objects to in a request for a response.
//!
//! Source: the request types of OpenAI's Python SDK (`ResponseCreateParams` and `ResponseInputItem`).

use super::super::shape::{list, members};
use super::answer::is_own;
use serde_json::{Map, Value};

const REQUEST: &[(&str, &str)] = &[
    ("background", "bool"),
    ("context_management", "list"),
    ("conversation", "any"),
    ("include", "texts"),
    ("input", "any"),
    ("instructions", "text"),
    ("max_output_tokens", "int"),
    ("max_tool_calls", "int"),
    ("metadata", "object"),
    ("model", "!text"),
    ("parallel_tool_calls", "bool"),
    ("previous_response_id", "text"),
    ("prompt", "object"),
    ("prompt_cache_key", "text"),
    ("prompt_cache_retention", "in-memory|24h"),
    ("reasoning", "object"),
    ("safety_identifier", "text"),
    ("service_tier", "auto|default|flex|scale|priority"),
    ("store", "bool"),
    ("stream", "bool"),
    ("stream_options", "object"),
    ("temperature", "float"),
    ("text", "object"),
    ("tool_choice", "any"),
    ("tools", "list"),
    ("top_logprobs", "int"),
    ("top_p", "float"),
    ("truncation", "auto|disabled"),
    ("user", "text"),
];

type Kinds = &'static [(&'static str, &'static str)];

/// The members of each type of item, and what its id begins with.
const ITEMS: &[(&str, &str, Kinds)] = &[
    (
        "message",
        "msg",
        &[
            ("type", "text"),
            ("role", "!user|assistant|system|developer"),
            ("content", "!any"),
            ("id", "text"),
            ("status", "in_progress|completed|incomplete"),
            ("phase", "text"),
        ],
    ),
    (
        "function_call",
        "fc",
        &[
            ("type", "!text"),
            ("call_id", "!text"),
            ("name", "!text"),
            ("arguments", "!text"),
            ("id", "text"),
            ("status", "in_progress|completed|incomplete"),
        ],
    ),
    (
        "function_call_output",
        "fc",
        &[
            ("type", "!text"),
            ("call_id", "!text"),
            ("output", "!any"),
            ("id", "text"),
            ("status", "in_progress|completed|incomplete"),
        ],
    ),
    (
        "reasoning",
        "rs",
        &[
            ("type", "!text"),
            ("id", "!text"),
            ("summary", "!list"),
            ("content", "list"),
            ("encrypted_content", "text"),
            ("status", "in_progress|completed|incomplete"),
        ],
    ),
    ("item_reference", "", &[("type", "!text"), ("id", "!text")]),
];

const PARTS: &[(&str, Kinds)] = &[
    ("input_text", &[("type", "!text"), ("text", "!text")]),
    (
        "input_image",
        &[
            ("type", "!text"),
            ("detail", "low|high|auto|original"),
            ("image_url", "text"),
            ("file_id", "text"),
        ],
    ),
    (
        "input_file",
        &[
            ("type", "!text"),
            ("file_data", "text"),
            ("file_id", "text"),
            ("file_url", "text"),
            ("filename", "text"),
            ("detail", "low|high"),
        ],
    ),
    (
        "output_text",
        &[
            ("type", "!text"),
            ("text", "!text"),
            ("annotations", "list"),
            ("logprobs", "list"),
        ],
    ),
    ("refusal", &[("type", "!text"), ("refusal", "!text")]),
];

const FUNCTION: Kinds = &[
    ("type", "!function"),
    ("name", "!text"),
    ("description", "text"),
    ("parameters", "object"),
    ("strict", "bool"),
];

/// OpenAI's own tools.
const TOOLS: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer_use_preview",
    "custom",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "shell",
    "web_search",
    "web_search_preview",
];

/// An object without its nulls, which stand for what is not there.
fn present(value: &Value) -> Value {
    let Some(object) = value.as_object() else {
        return value.clone();
    };
    let there = object.iter().filter(|(_, value)| !value.is_null());
    let there: Map<String, Value> = there
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    there.into()
}

/// What is wrong with a request.
pub(super) fn request(body: &Value) -> Vec<String> {
    let body = present(body);
    let mut wrong = members("the request", &body, REQUEST);
    let elsewhere = ["prompt", "previous_response_id", "conversation"];
    match &body["input"] {
        Value::Null if elsewhere.iter().all(|name| body[name].is_null()) => {
            wrong.push("the request lacks input".into());
        }
        Value::Null | Value::String(_) => {}
        Value::Array(items) => wrong.extend(items.iter().flat_map(item)),
        other => wrong.push(format!("input is neither text nor list: {other}")),
    }
    if let Some(id) = body["previous_response_id"].as_str()
        && !is_own(id)
    {
        wrong.push(format!("there is no response {id}"));
    }
    for tool in list(&body["tools"]) {
        match tool["type"].as_str() {
            Some("function") => wrong.extend(members("a tool", &present(tool), FUNCTION)),
            Some(kind) if TOOLS.contains(&kind) => {}
            _ => wrong.push(format!("no such tool: {tool}")),
        }
    }
    if body.get("text").is_some() {
        wrong.extend(text(&present(&body["text"])));
    }
    if body.get("reasoning").is_some() {
        let known = &[
            ("effort", "none|minimal|low|medium|high|xhigh"),
            ("summary", "auto|concise|detailed"),
            ("generate_summary", "auto|concise|detailed"),
        ];
        wrong.extend(members("reasoning", &present(&body["reasoning"]), known));
    }
    let metadata = body["metadata"].as_object().into_iter().flatten();
    if metadata.into_iter().any(|(_, value)| !value.is_string()) {
        wrong.push("metadata holds what is no text".into());
    }
    wrong
}

fn text(text: &Value) -> Vec<String> {
    let known = &[("format", "object"), ("verbosity", "low|medium|high")];
    let mut wrong = members("text", text, known);
    let format = present(&text["format"]);
    match format["type"].as_str() {
        None if format.is_null() => {}
        Some("text" | "json_object") => {
            wrong.extend(members("format", &format, &[("type", "!text")]));
        }
        Some("json_schema") => {
            let known = &[
                ("type", "!text"),
                ("name", "!text"),
                ("schema", "!object"),
                ("description", "text"),
                ("strict", "bool"),
            ];
            wrong.extend(members("format", &format, known));
        }
        _ => wrong.push(format!("no such format: {format}")),
    }
    wrong
}

fn item(value: &Value) -> Vec<String> {
    let kind = match (value["type"].as_str(), value.get("role")) {
        (Some(kind), _) => kind,
        (None, Some(_)) => "message",
        (None, None) => return vec![format!("an item without a type: {value}")],
    };
    let Some((_, start, known)) = ITEMS.iter().find(|(name, ..)| *name == kind) else {
        return vec![format!("no such item: {kind}")];
    };
    let value = present(value);
    let mut wrong = members(kind, &value, known);
    if value["id"]
        .as_str()
        .is_some_and(|id| !id.starts_with(start))
    {
        wrong.push(format!("the id of a {kind} does not begin with {start}"));
    }
    for name in ["content", "output"] {
        if kind != "reasoning" {
            wrong.extend(list(&value[name]).iter().flat_map(part));
        }
    }
    wrong
}

fn part(value: &Value) -> Vec<String> {
    let kind = value["type"].as_str().unwrap_or_default();
    match PARTS.iter().find(|(name, _)| *name == kind) {
        Some((_, known)) => members(kind, &present(value), known),
        None => vec![format!("no such part: {kind}")],
    }
}

#[cfg(test)]
mod tests {
    use super::request;
    use serde_json::json;

    #[test]
    fn a_request_of_openais_own_types_is_right() {
        let body = json!({"model": "m", "store": false, "reasoning": {"effort": "low"},
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1"},
                {"type": "function_call_output", "call_id": "c", "output": "4"}],
            "tools": [{"type": "function", "name": "f", "parameters": null, "strict": true}]});
        assert_eq!(request(&body), Vec::<String>::new());
    }

    #[test]
    fn what_openai_does_not_know_is_wrong() {
        for (name, value) in [
            ("messages", json!([])),
            ("max_tokens", json!(3)),
            ("input", json!([{"type": "tool", "content": "x"}])),
            (
                "input",
                json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]),
            ),
            (
                "input",
                json!([{"type": "function_call", "call_id": "c", "name": "f",
                "arguments": "{}", "provider_specific_fields": {}}]),
            ),
            ("previous_response_id", json!("resp_of_somebody_else")),
            (
                "text",
                json!({"format": {"type": "json_schema", "json_schema": {}}}),
            ),
        ] {
            let mut body = json!({"model": "m", "input": "hi"});
            body[name] = value;
            assert!(!request(&body).is_empty(), "{body}");
        }
    }
}
