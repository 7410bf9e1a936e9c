//! OpenAI's callers at Cohere, end to end: the fake knows Cohere's types and nothing else.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
#![expect(non_snake_case, reason = "the provider stands before the capability")]

use serde_json::{Value, json};
use support::scene::{CHAT, Scene};
use support::{Pieces, Reply, Upstream, gateway};

async fn scene(more: &str) -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params:
    model: cohere/house-model
    api_base: {}
    api_key: os.environ/TEST_UPSTREAM_KEY
{more}general_settings:
  master_key: os.environ/TEST_MASTER_KEY
router_settings:
  num_retries: 0
",
        upstream.url("")
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn asked(more: Value) -> Value {
    let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "description": "d",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
}

#[tokio::test]
async fn cohere__answers_text() {
    let scene = scene("").await;
    let body = asked(json!({"max_tokens": 9, "top_p": 0.5, "stop": ["X"], "safety_mode": "OFF"}));
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "Heard 1 messages."
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["model"], "chat");
    // What is billed, not what Cohere's own instructions take besides.
    assert_eq!(
        (
            &answer["usage"]["prompt_tokens"],
            &answer["usage"]["completion_tokens"]
        ),
        (&json!(12), &json!(5))
    );
    let sent = scene.upstream.only();
    assert_eq!(sent.path, "/v2/chat");
    assert_eq!(sent.json()["stop_sequences"], json!(["X"]));
    assert_eq!(sent.json()["safety_mode"], "OFF");
}

/// The text, the calls' arguments and the last reason of a stream.
async fn streamed(scene: &Scene, body: &Value) -> (String, String, String) {
    let mut stream = scene.client.stream(CHAT, body).await;
    let events = stream.all().await;
    assert_eq!(
        events.last().map(String::as_str),
        Some("[DONE]"),
        "{events:?}"
    );
    let (mut text, mut arguments, mut reason) = (String::new(), String::new(), String::new());
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let choice = &chunk["choices"][0];
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        let call = &choice["delta"]["tool_calls"][0];
        arguments += call["function"]["arguments"].as_str().unwrap_or_default();
        reason += choice["finish_reason"].as_str().unwrap_or_default();
    }
    (text, arguments, reason)
}

#[tokio::test]
async fn cohere__streams_text() {
    let scene = scene("").await;
    let body = asked(json!({"stream": true}));
    let expected = (
        "Heard 1 messages.".to_owned(),
        String::new(),
        "stop".to_owned(),
    );
    for pieces in [1, 2, 3, 7].map(Pieces::Every) {
        scene.upstream.next(Reply {
            pieces,
            ..Reply::default()
        });
        assert_eq!(streamed(&scene, &body).await, expected);
    }
}

#[tokio::test]
async fn cohere__calls_tools() {
    let scene = scene("").await;
    let answer = scene
        .client
        .post(
            CHAT,
            &asked(json!({"tools": weather(), "tool_choice": "required"})),
        )
        .await;
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        "{\"city\":\"Paris\"}"
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(message["reasoning_content"], "I will call it.");
    // The next turn, with what the function gave.
    let mut body = asked(json!({"tools": weather()}));
    let result =
        json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "21"});
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend([message.clone(), result]);
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(sent["messages"][1]["tool_plan"], "I will call it.");
    assert_eq!(sent["messages"][2]["role"], "tool");
}

#[tokio::test]
async fn cohere__streams_tool_calls() {
    let scene = scene("").await;
    let body = asked(json!({"stream": true, "tools": weather()}));
    let (text, arguments, reason) = streamed(&scene, &body).await;
    assert_eq!(
        (text.as_str(), arguments.as_str(), reason.as_str()),
        ("", "{\"city\":\"Paris\"}", "tool_calls")
    );
}

#[tokio::test]
async fn cohere__sees_images() {
    let scene = scene("").await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let content = json!([{"type": "text", "text": "What is it?"}, image]);
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": content}]});
    assert_eq!(scene.client.post(CHAT, &body).await.status, 200);
    let sent = scene.upstream.only().json();
    assert_eq!(
        sent["messages"][0]["content"][1]["image_url"]["url"],
        "data:image/png;base64,AAAA"
    );
}

#[tokio::test]
async fn cohere__follows_a_schema() {
    let scene = scene("").await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let answer = scene
        .client
        .post(CHAT, &asked(json!({"response_format": format})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = scene.upstream.only().json();
    assert_eq!(
        sent["response_format"],
        json!({"type": "json_object", "json_schema": schema})
    );
}

#[tokio::test]
async fn cohere__thinks() {
    let scene = scene("").await;
    let answer = scene
        .client
        .post(CHAT, &asked(json!({"reasoning_effort": "low"})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = scene.upstream.only().json();
    assert_eq!(
        sent["thinking"],
        json!({"type": "enabled", "token_budget": 1024})
    );
}

#[tokio::test]
async fn cohere__cites_documents() {
    let scene = scene("").await;
    let answer = scene
        .client
        .post(CHAT, &asked(json!({"documents": ["one"]})))
        .await;
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["annotations"][0]["url_citation"]["title"], "Atlas");
}

#[tokio::test]
async fn cohere__tells_errors() {
    let scene = scene("").await;
    let mut reply = Reply::error(400, "too many tokens: 9 > 8");
    scene.upstream.next(reply.clone());
    let answer = scene.client.post(CHAT, &asked(json!({}))).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("ContextWindowExceededError"),
        "{}",
        answer.text()
    );
    reply.status = 498;
    scene.upstream.next(reply);
    assert_eq!(scene.client.post(CHAT, &asked(json!({}))).await.status, 401);
}

#[tokio::test]
async fn what_cohere_lacks_is_named_or_dropped() {
    let refusing = scene("").await;
    let body = asked(json!({"n": 2}));
    let answer = refusing.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("['n']"), "{}", answer.text());
    assert!(refusing.upstream.seen().is_empty());
    let dropping = scene("    drop_params: true\n").await;
    assert_eq!(dropping.client.post(CHAT, &body).await.status, 200);
}
