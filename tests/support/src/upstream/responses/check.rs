//! What OpenAI objects to in a request for a response.

use super::super::shape::list;
use super::super::types::OPENAI;
use super::answer::is_own;
use serde_json::Value;

/// What is wrong with a request.
pub(super) fn request(body: &Value) -> Vec<String> {
    let mut wrong = OPENAI.check("response", body);
    let elsewhere = ["prompt", "previous_response_id", "conversation"];
    if body["input"].is_null() && elsewhere.iter().all(|name| body[name].is_null()) {
        wrong.push("the request lacks input".into());
    }
    if let Some(id) = body["previous_response_id"].as_str()
        && !is_own(id)
    {
        wrong.push(format!("there is no response {id}"));
    }
    for item in list(&body["input"]) {
        wrong.extend(id(item));
    }
    wrong
}

/// What is wrong with a request that stands beside those for responses.
pub(super) fn beside(what: &str, body: &Value) -> Vec<String> {
    let mut wrong = OPENAI.check(what, body);
    if let Some(id) = body["previous_response_id"].as_str()
        && !is_own(id)
    {
        wrong.push(format!("there is no response {id}"));
    }
    wrong
}

/// The id of an item begins with what tells of its type.
fn id(item: &Value) -> Option<String> {
    let kind = item["type"].as_str().unwrap_or("message");
    let start = match kind {
        "message" => "msg",
        "function_call" | "function_call_output" => "fc",
        "reasoning" => "rs",
        _ => return None,
    };
    let wrong = !item["id"].as_str()?.starts_with(start);
    wrong.then(|| format!("the id of a {kind} does not begin with {start}"))
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
