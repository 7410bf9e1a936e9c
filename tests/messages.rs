//! Anthropic's front door: before OpenAI's models, and before Anthropic's own.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::{MASTER_KEY, Scene};
use support::{Content, Ending, Reply, Upstream, gateway};

const MESSAGES: &str = "/v1/messages";

async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {1}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: demo
    litellm_params: {{model: openai/demo, mock_response: All signals green.}}
router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url("/v1"),
        upstream.url("")
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn says(model: &str, stream: bool) -> Value {
    json!({"model": model, "max_tokens": 64, "stream": stream,
        "messages": [{"role": "user", "content": "hello"}]})
}

/// The data of a stream's events, each checked against its name.
async fn streamed(scene: &Scene, body: &Value) -> Vec<Value> {
    let answer = scene.client.post(MESSAGES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let events = text.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
        data
    });
    events.collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    kinds.retain(|kind| *kind != "ping");
    kinds.dedup();
    kinds
}

const ORDER: [&str; 6] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

#[tokio::test]
async fn a_message_is_answered_by_any_provider() {
    let scene = scene().await;
    for model in ["gpt", "claude", "demo"] {
        let answer = scene.client.post(MESSAGES, &says(model, false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(
            (&body["type"], &body["role"]),
            (&json!("message"), &json!("assistant"))
        );
        assert_eq!(
            (&body["model"], &body["stop_reason"]),
            (&json!(model), &json!("end_turn"))
        );
        assert!(!body["content"][0]["text"].as_str().unwrap().is_empty());
        assert!(body["usage"]["output_tokens"].as_u64().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_stream_has_the_same_events_from_any_provider() {
    let scene = scene().await;
    for model in ["gpt", "claude", "demo"] {
        let events = streamed(&scene, &says(model, true)).await;
        assert_eq!(kinds(&events), ORDER, "{model}");
        assert_eq!(events[0]["message"]["model"], model);
        let end = &events[events.len() - 2];
        assert_eq!(end["delta"]["stop_reason"], "end_turn");
        assert!(
            end["usage"]["output_tokens"].as_u64().unwrap() > 0,
            "{model}"
        );
    }
}

#[tokio::test]
async fn parallel_calls_of_tools_all_come_through() {
    let scene = scene().await;
    let call = |index: u32, id: &str, arguments: &str| {
        json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{
            "index": 0, "finish_reason": null, "delta": {"tool_calls": [{"index": index, "id": id,
                "type": "function", "function": {"name": "weather", "arguments": arguments}}]}}]})
        .to_string()
    };
    let end = json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    scene.upstream.next(Reply::events([
        call(0, "call_a", "{\"city\":\"Oslo\"}"),
        call(1, "call_b", "{\"city\":\"Rome\"}"),
        end.to_string(),
    ]));
    let mut body = says("gpt", true);
    body["tools"] = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
    body["tool_choice"] = json!({"type": "any"});
    body["stop_sequences"] = json!(["END"]);
    let events = streamed(&scene, &body).await;
    let blocks: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "content_block_start")
        .map(|event| event["content_block"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(blocks, ["call_a", "call_b"]);
    let arguments: Vec<_> = events
        .iter()
        .filter_map(|event| event["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(arguments, ["{\"city\":\"Oslo\"}", "{\"city\":\"Rome\"}"]);
    let sent = scene.upstream.only().json();
    assert_eq!(sent["tool_choice"], "required");
    assert_eq!(sent["stop"], json!(["END"]));
    assert_eq!(sent["tools"][0]["function"]["name"], "weather");
}

#[tokio::test]
async fn anthropic_gets_the_callers_own_bytes() {
    let scene = scene().await;
    let body = r#"{ "model": "claude", "max_tokens" : 9, "metadata": {"user_id": "u", "tags": ["x"]},
        "messages": [{"role":"user","content":"hi"}] }"#;
    let client = scene
        .client
        .clone()
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "context-1m-2025-08-07");
    let answer = client.post_text(MESSAGES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = scene.upstream.only();
    assert_eq!(
        String::from_utf8_lossy(&seen.body),
        body.replace("\"claude\"", "\"claude-sonnet-4-5\"")
            .replace(", \"tags\": [\"x\"]", "")
            .replace("{\"user_id\": \"u\"}", "{\"user_id\":\"u\"}")
    );
    assert_eq!(seen.header("anthropic-beta"), Some("context-1m-2025-08-07"));
}

#[tokio::test]
async fn errors_have_anthropics_envelope_once_the_key_is_known() {
    let scene = scene().await;
    let nobody = scene
        .gateway
        .client()
        .post(MESSAGES, &says("gpt", false))
        .await;
    assert_eq!(
        (nobody.status, &nobody.json()["error"]["type"]),
        (401, &json!("auth_error"))
    );
    let cases = [
        (says("nothing", false), 400, "invalid_request_error"),
        (
            json!({"model": "gpt", "max_tokens": 1}),
            400,
            "invalid_request_error",
        ),
    ];
    for (body, status, kind) in cases {
        let answer = scene.client.post(MESSAGES, &body).await;
        assert_eq!(answer.status, status);
        let body = answer.json();
        assert_eq!(
            (&body["type"], &body["error"]["type"]),
            (&json!("error"), &json!(kind))
        );
    }
    for (model, stream) in [
        ("gpt", false),
        ("gpt", true),
        ("claude", false),
        ("claude", true),
    ] {
        scene.upstream.next(Reply::error(429, "slow down"));
        let answer = scene.client.post(MESSAGES, &says(model, stream)).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event() {
    let scene = scene().await;
    for model in ["gpt", "claude"] {
        scene.upstream.next(Reply {
            ending: Ending::CutAfter(700),
            ..Reply::default()
        });
        let events = streamed(&scene, &says(model, true)).await;
        let last = events.last().unwrap();
        assert_eq!(
            (&last["type"], &last["error"]["type"]),
            (&json!("error"), &json!("api_error"))
        );
    }
}

#[tokio::test]
async fn what_a_provider_lacks_is_named_or_left_out() {
    let scene = scene().await;
    let mut body = says("gpt", false);
    body["top_k"] = 5.into();
    let refused = scene.client.post(MESSAGES, &body).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("UnsupportedParamsError") && message.contains("top_k"),
        "{message}"
    );
    body["drop_params"] = true.into();
    let answer = scene.client.post(MESSAGES, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-pointsman-dropped-params"), Some("top_k"));
    body["drop_params"] = false.into();
    body["additional_drop_params"] = json!(["top_k"]);
    let answer = scene.client.post(MESSAGES, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.upstream.seen().len(), 2);
    assert!(scene.upstream.take_violations().is_empty());
}

#[tokio::test]
async fn tokens_are_counted() {
    let scene = scene().await;
    scene.upstream.next(Reply {
        content: Content::Json(json!({"input_tokens": 17})),
        ..Reply::default()
    });
    let body = json!({"model": "claude", "messages": [{"role": "user", "content": "hello"}]});
    let answer = scene.client.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(answer.json(), json!({"input_tokens": 17}));
    // Who does not count is not asked.
    let body = json!({"model": "gpt", "messages": [{"role": "user", "content": "hello there"}]});
    let answer = scene.client.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(answer.json(), json!({"input_tokens": 7}));
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[tokio::test]
async fn the_key_may_stand_in_anthropics_header() {
    let scene = scene().await;
    let client = scene.gateway.client().header("x-api-key", MASTER_KEY);
    let answer = client.post(MESSAGES, &says("demo", false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
