//! OpenAI's callers at Ollama's own API, end to end.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
#![expect(non_snake_case, reason = "the provider stands before the capability")]

use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY};
use support::{Client, Gateway, Pieces, Reply, Upstream, gateway};

struct Scene {
    upstream: Upstream,
    _gateway: Gateway,
    client: Client,
}

/// Without a key of the provider's: none is needed.
async fn scene(model: &str) -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
- {{model_name: chat, litellm_params: {{model: {model}, api_base: \"{}\"}}}}
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
router_settings:
  num_retries: 0
",
        upstream.url("/v1")
    );
    let setup = gateway!().env("TEST_MASTER_KEY", MASTER_KEY);
    let gateway = setup.config(&config).start().await;
    let client = gateway.client().key(MASTER_KEY);
    Scene {
        upstream,
        _gateway: gateway,
        client,
    }
}

fn asked(more: Value) -> Value {
    let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
}

#[tokio::test]
async fn ollama__answers_text() {
    for model in ["ollama/llama3.2", "ollama_chat/llama3.2"] {
        let scene = scene(model).await;
        let body =
            asked(json!({"max_tokens": 9, "temperature": 0, "num_ctx": 4096, "keep_alive": "5m"}));
        let answer = scene.client.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(
            answer["choices"][0]["message"]["content"],
            "Heard 1 messages, saw 0 images."
        );
        assert_eq!(
            (&answer["model"], &answer["usage"]["total_tokens"]),
            (&json!("chat"), &json!(17))
        );
        let sent = scene.upstream.only();
        assert_eq!(sent.path, "/api/chat");
        assert_eq!(sent.header("authorization"), None);
        let options = json!({"num_predict": 9, "temperature": 0, "num_ctx": 4096});
        assert_eq!(sent.json()["options"], options);
        assert_eq!(sent.json()["keep_alive"], "5m");
    }
}

#[tokio::test]
async fn ollama__streams_text() {
    let scene = scene("ollama/llama3.2").await;
    for pieces in [1, 2, 3, 7].map(Pieces::Every) {
        scene.upstream.next(Reply {
            pieces,
            ..Reply::default()
        });
        let mut stream = scene
            .client
            .stream(CHAT, &asked(json!({"stream": true})))
            .await;
        let events = stream.all().await;
        assert_eq!(
            events.last().map(String::as_str),
            Some("[DONE]"),
            "{events:?}"
        );
        let text: String = events[..events.len() - 1]
            .iter()
            .map(|event| serde_json::from_str::<Value>(event).unwrap())
            .filter_map(|chunk| {
                chunk["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(text, "Heard 1 messages, saw 0 images.");
    }
}

#[tokio::test]
async fn ollama__calls_tools() {
    let scene = scene("ollama/llama3.2").await;
    let answer = scene
        .client
        .post(CHAT, &asked(json!({"tools": weather()})))
        .await;
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        "{\"city\":\"Paris\"}"
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let mut body = asked(json!({"tools": weather()}));
    let id = &message["tool_calls"][0]["id"];
    let result = json!({"role": "tool", "tool_call_id": id, "content": "21"});
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend([message.clone(), result]);
    assert_eq!(scene.client.post(CHAT, &body).await.status, 200);
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(
        sent["messages"][2],
        json!({"role": "tool", "content": "21", "tool_name": "weather"})
    );
}

#[tokio::test]
async fn ollama__streams_tool_calls() {
    let scene = scene("ollama/llama3.2").await;
    let body = asked(json!({"stream": true, "tools": weather()}));
    let events = scene.client.stream(CHAT, &body).await.all().await;
    let (mut arguments, mut reason) = (String::new(), String::new());
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let choice = &chunk["choices"][0];
        let call = &choice["delta"]["tool_calls"][0];
        arguments += call["function"]["arguments"].as_str().unwrap_or_default();
        reason += choice["finish_reason"].as_str().unwrap_or_default();
    }
    assert_eq!(arguments, "{\"city\":\"Paris\"}");
    assert_eq!(reason, "tool_calls");
}

#[tokio::test]
async fn ollama__sees_images() {
    let scene = scene("ollama/llava").await;
    let with = |url: &str| {
        let image = json!({"type": "image_url", "image_url": {"url": url}});
        json!({"model": "chat", "messages": [{"role": "user", "content": [image]}]})
    };
    let answer = scene
        .client
        .post(CHAT, &with("data:image/png;base64,AAAA"))
        .await;
    assert!(answer.text().contains("saw 1 images"), "{}", answer.text());
    // What stands inside is not fetched.
    let answer = scene
        .client
        .post(CHAT, &with("http://127.0.0.1:1/a.png"))
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("not in the public internet"),
        "{}",
        answer.text()
    );
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[tokio::test]
async fn ollama__follows_a_schema() {
    let scene = scene("ollama/llama3.2").await;
    let schema = json!({"type": "object"});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let answer = scene
        .client
        .post(CHAT, &asked(json!({"response_format": format})))
        .await;
    assert!(answer.text().contains("ok"), "{}", answer.text());
    assert_eq!(scene.upstream.only().json()["format"], schema);
}

#[tokio::test]
async fn ollama__thinks() {
    let scene = scene("ollama/gpt-oss:20b").await;
    let answer = scene
        .client
        .post(CHAT, &asked(json!({"reasoning_effort": "high"})))
        .await;
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(answer["choices"][0]["message"]["reasoning_content"], "Hm.");
    assert_eq!(scene.upstream.only().json()["think"], "high");
}

#[tokio::test]
async fn ollama__tells_errors() {
    let scene = scene("ollama/llama3.2").await;
    scene
        .upstream
        .next(Reply::error(404, "model 'llama3.2' not found"));
    let answer = scene.client.post(CHAT, &asked(json!({}))).await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().contains("model 'llama3.2' not found"),
        "{}",
        answer.text()
    );
    // Before anything was said, an error of a stream is an error like any other.
    let told = r#"{"error":"model runner stopped"}"#;
    scene.upstream.next(Reply::events([told]));
    let streaming = asked(json!({"stream": true}));
    let answer = scene.client.post(CHAT, &streaming).await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("model runner stopped"),
        "{}",
        answer.text()
    );
}
