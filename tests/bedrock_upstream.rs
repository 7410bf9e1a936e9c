//! OpenAI's dialect in, Amazon Bedrock out. The upstream checks every signature by AWS's description
//! of it and every member by AWS's service model, and frames its streams itself.
//!
//! A test named `PROVIDER_can_CAPABILITY` stands behind a cell of the table of providers.

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Ending, Reply, Setup, Upstream, gateway};

const OLD: &str = "us.anthropic.claude-opus-4-1-20250805-v1:0";
const NEW: &str = "global.anthropic.claude-opus-4-6-v1";
const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

async fn scene(model: &str, setup: Setup) -> Scene {
    let params = "aws_access_key_id: os.environ/TEST_AWS_ID
      aws_secret_access_key: os.environ/TEST_AWS_SECRET
      aws_region_name: eu-west-1";
    with_params(model, setup, params).await
}

async fn with_params(model: &str, setup: Setup, params: &str) -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
  - model_name: chat
    litellm_params:
      model: bedrock/{model}
      aws_bedrock_runtime_endpoint: {}
      {params}
router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url("")
    );
    let setup = setup.env("TEST_AWS_ID", KEY).env("TEST_AWS_SECRET", SECRET);
    let scene = Scene::between(upstream, setup, &config).await;
    scene.upstream.expect_key(KEY);
    scene
}

fn with(mut body: Value, members: Value) -> Value {
    if let Value::Object(members) = members {
        for (name, value) in members {
            body[name] = value;
        }
    }
    body
}

fn weather() -> Value {
    json!({"type": "function", "function": {"name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})
}

async fn answer(scene: &Scene, body: &Value) -> Value {
    let answer = scene.client.post(CHAT, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The chunks of a stream that ends as it should.
async fn chunks(scene: &Scene, body: &Value) -> Vec<Value> {
    let mut events = scene.client.stream(CHAT, body).await.all().await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunk = |event: &String| serde_json::from_str(event).expect("a chunk");
    events.iter().map(chunk).collect()
}

fn joined(chunks: &[Value], name: &str) -> String {
    let delta = |chunk: &Value| {
        chunk["choices"][0]["delta"][name]
            .as_str()
            .map(str::to_owned)
    };
    chunks.iter().filter_map(delta).collect()
}

fn finish(chunks: &[Value]) -> Vec<&str> {
    let reasons = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"]);
    reasons.filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn bedrock_can_chat() {
    let scene = scene(OLD, gateway!()).await;
    let said = answer(
        &scene,
        &with(saying("hi"), json!({"max_tokens": 7, "temperature": 0.5})),
    )
    .await;
    assert_eq!(said["choices"][0]["message"]["content"], "You said: hi");
    assert_eq!(
        (&said["model"], &said["choices"][0]["finish_reason"]),
        (&json!("chat"), &json!("stop"))
    );
    let asked = scene.upstream.only();
    assert_eq!(
        asked.path,
        "/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0/converse"
    );
    assert!(
        asked
            .header("authorization")
            .unwrap()
            .contains("/eu-west-1/bedrock/aws4_request")
    );
    assert_eq!(
        asked.json(),
        json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"maxTokens": 7, "temperature": 0.5}})
    );
}

#[tokio::test]
async fn bedrock_can_tell_usage() {
    let scene = scene(OLD, gateway!()).await;
    let whole = answer(&scene, &saying("hi")).await["usage"].clone();
    assert_eq!(
        (&whole["prompt_tokens"], &whole["completion_tokens"]),
        (&json!(20), &json!(10))
    );
    assert_eq!(whole["prompt_tokens_details"]["cached_tokens"], 5);
    let asked = with(
        streaming("hi"),
        json!({"stream_options": {"include_usage": true}}),
    );
    assert_eq!(chunks(&scene, &asked).await.pop().unwrap()["usage"], whole);
}

#[tokio::test]
async fn bedrock_can_stream() {
    for model in [OLD.to_owned(), format!("invoke/{OLD}")] {
        let scene = scene(&model, gateway!()).await;
        let chunks = chunks(&scene, &streaming("one two three")).await;
        assert_eq!(
            joined(&chunks, "content"),
            "You said: one two three",
            "{model}"
        );
        assert_eq!(finish(&chunks), ["stop"]);
    }
}

#[tokio::test]
async fn bedrock_can_call_tools() {
    for model in [OLD.to_owned(), format!("invoke/{OLD}")] {
        let scene = scene(&model, gateway!()).await;
        let body = with(saying("well?"), json!({"tools": [weather()]}));
        let said = answer(&scene, &body).await;
        let message = &said["choices"][0]["message"];
        let call = &message["tool_calls"][0];
        assert_eq!(
            call["function"]["arguments"], r#"{"city":"Paris"}"#,
            "{model}"
        );
        let user = json!({"role": "user", "content": "well?"});
        let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "rain"});
        let next = with(body, json!({"messages": [user, message, result]}));
        let said = answer(&scene, &next).await;
        let content = &said["choices"][0]["message"]["content"];
        assert_eq!(
            content,
            "You showed 0 images, 0 documents, 1 results and 0 texts"
        );
    }
}

#[tokio::test]
async fn bedrock_can_stream_calls() {
    let scene = scene(OLD, gateway!()).await;
    let body = with(streaming("well?"), json!({"tools": [weather()]}));
    let chunks = chunks(&scene, &body).await;
    let pieces = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]);
    let arguments: String = pieces
        .filter_map(|call| call["arguments"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"city":"Paris"}"#);
    assert_eq!(finish(&chunks), ["tool_calls"]);
}

#[tokio::test]
async fn bedrock_can_see_images() {
    let scene = scene(OLD, gateway!()).await;
    let image =
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}});
    let file = json!({"type": "file", "file": {"filename": "a b.pdf",
        "file_data": "data:application/pdf;base64,JVBERi0="}});
    let body = json!({"model": "chat", "messages": [{"role": "user",
        "content": [{"type": "text", "text": "look"}, image, file]}]});
    let said = answer(&scene, &body).await;
    let content = &said["choices"][0]["message"]["content"];
    assert_eq!(
        content,
        "You showed 1 images, 1 documents, 0 results and 1 texts"
    );
}

#[tokio::test]
async fn bedrock_can_keep_schemas() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "schema":
        {"type": "object", "properties": {"city": {"type": "string"}}}}});
    for (model, native) in [
        (OLD, false),
        (NEW, true),
        ("us.amazon.nova-pro-v1:0", false),
    ] {
        let scene = scene(model, gateway!()).await;
        let body = with(saying("where?"), json!({"response_format": format}));
        let said = answer(&scene, &body).await;
        assert_eq!(
            said["choices"][0]["message"]["content"], r#"{"city":"Paris"}"#,
            "{model}"
        );
        assert_eq!(said["choices"][0]["finish_reason"], "stop");
        let chunks = chunks(&scene, &with(body, json!({"stream": true}))).await;
        assert_eq!(joined(&chunks, "content"), r#"{"city":"Paris"}"#, "{model}");
        let asked = scene.upstream.seen().pop().unwrap().json();
        assert_eq!(asked["outputConfig"]["textFormat"].is_object(), native);
    }
}

#[tokio::test]
async fn bedrock_can_think() {
    let scene = scene(OLD, gateway!()).await;
    let body = with(saying("why?"), json!({"reasoning_effort": "low"}));
    let said = answer(&scene, &body).await;
    let message = &said["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "Let me think.");
    let user = |text| json!({"role": "user", "content": text});
    let next = json!({"messages": [user("why?"), message, user("so?")]});
    answer(&scene, &with(body.clone(), next)).await;
    let asked = scene.upstream.seen().pop().unwrap().json();
    let blocks = &asked["messages"][1]["content"];
    assert_eq!(
        blocks[0]["reasoningContent"]["reasoningText"]["signature"],
        "c2ln"
    );
    assert_eq!(blocks[1]["reasoningContent"]["redactedContent"], "cmVk");
    let chunks = chunks(&scene, &with(body, json!({"stream": true}))).await;
    assert_eq!(joined(&chunks, "reasoning_content"), "Let me think.");
}

#[tokio::test]
async fn bedrock_can_cache_prompts() {
    let scene = scene(OLD, gateway!()).await;
    let cached = json!([{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]);
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": cached}]});
    answer(&scene, &body).await;
    let asked = scene.upstream.only().json();
    assert_eq!(
        asked["messages"][0]["content"][1],
        json!({"cachePoint": {"type": "default"}})
    );
}

#[tokio::test]
async fn a_bearer_token_needs_no_signature() {
    let scene = with_params(
        OLD,
        gateway!().env("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key-1"),
        "",
    )
    .await;
    scene.upstream.expect_key("bedrock-key-1");
    answer(&scene, &saying("hi")).await;
    let asked = scene.upstream.only();
    assert_eq!(asked.header("authorization"), Some("Bearer bedrock-key-1"));
    assert_eq!(asked.header("x-amz-date"), None);
}

#[tokio::test]
async fn credentials_of_the_environment_sign_too() {
    let setup = gateway!()
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", "session-1")
        .env("AWS_REGION", "ap-south-1");
    let scene = with_params(OLD, setup, "").await;
    answer(&scene, &saying("hi")).await;
    let asked = scene.upstream.only();
    assert!(
        asked
            .header("authorization")
            .unwrap()
            .contains("/ap-south-1/bedrock/")
    );
    assert_eq!(asked.header("x-amz-security-token"), Some("session-1"));
}

#[tokio::test]
async fn errors_come_in_openais_shape_with_bedrocks_words() {
    let scene = scene(OLD, gateway!()).await;
    for status in [400, 403, 404, 429, 500] {
        scene.upstream.next(Reply::error(status, "it is so"));
        let refused = scene.chat().await;
        assert_eq!(refused.status, status);
        let text = refused.text();
        assert!(text.contains("it is so"), "{text}");
        assert!(!text.contains(KEY) && !text.contains(SECRET), "{text}");
    }
    scene
        .upstream
        .next(Reply::error(400, "Input is too long for requested model."));
    let text = scene.chat().await.text();
    assert!(text.contains("ContextWindowExceeded"), "{text}");
}

#[tokio::test]
async fn an_exception_within_a_stream_ends_it_with_an_error() {
    let scene = scene(OLD, gateway!()).await;
    let events = [
        json!({"messageStart": {"role": "assistant"}}),
        json!({"contentBlockDelta": {"delta": {"text": "now"}, "contentBlockIndex": 0}}),
        json!({"throttlingException": {"message": "Too many tokens"}}),
    ];
    scene
        .upstream
        .next(Reply::events(events.map(|event| event.to_string())));
    let text = scene
        .client
        .stream(CHAT, &streaming("hi"))
        .await
        .all()
        .await
        .concat();
    assert!(
        text.contains("now") && text.contains("Too many tokens"),
        "{text}"
    );
    assert!(!text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn a_stream_that_is_cut_does_not_end_as_if_it_were_whole() {
    let scene = scene(OLD, gateway!()).await;
    scene.upstream.next(Reply {
        ending: Ending::CutAfter(600),
        ..Reply::default()
    });
    let body = streaming("one two three four five six seven");
    let text = scene.client.stream(CHAT, &body).await.all().await.concat();
    assert!(text.contains("error") && !text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn bedrock_can_embed() {
    for model in ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"] {
        let scene = scene(model, gateway!()).await;
        let body = json!({"model": "chat", "input": "hi"});
        let answer = scene.client.post("/v1/embeddings", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json()["data"][0]["embedding"],
            json!([0.5, -0.125, 0.25])
        );
    }
}

/// The frames of an event stream, by the lengths that stand before them.
fn frames(mut bytes: &[u8]) -> usize {
    let mut frames = 0;
    while let Some(length) = bytes.first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length");
        bytes = bytes.get(length..).expect("a whole frame");
        frames += 1;
    }
    frames
}

#[tokio::test]
async fn aws_s_whole_api_goes_on_signed_and_its_streams_come_whole() {
    let scene = scene(OLD, gateway!()).await;
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let path = |action: &str| format!("/bedrock/model/{}/{action}", OLD.replace(':', "%3A"));
    // The fake checks the signature.
    let answer = scene.client.post(&path("converse"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.json()["usage"]["inputTokens"].is_u64(),
        "{}",
        answer.text()
    );
    let mut stream = scene.client.stream(&path("converse-stream"), &body).await;
    assert_eq!(
        stream.header("content-type"),
        Some("application/vnd.amazon.eventstream")
    );
    stream.all().await;
    assert!(frames(stream.bytes()) > 3);
    for seen in scene.upstream.seen() {
        let shown = seen.header("authorization").unwrap_or_default();
        assert!(shown.starts_with("AWS4-HMAC-SHA256 Credential="), "{shown}");
        assert!(shown.contains("/eu-west-1/bedrock/aws4_request"), "{shown}");
        assert_eq!(seen.json(), body);
    }
    let lines = |log: &str| {
        let lines = log
            .lines()
            .filter(|line| line.contains("pass_through_endpoint"));
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .collect::<Vec<_>>()
    };
    let process = scene.gateway.process();
    process
        .until_log("two lines", |log| lines(log).len() == 2)
        .await;
    for line in lines(&scene.gateway.log()) {
        assert_eq!(line["provider"], "bedrock");
        assert!(line["prompt_tokens"].as_u64() > Some(0), "{line}");
        assert!(line["cost"].as_f64() > Some(0.0), "{line}");
    }
}
