//! OpenAI's dialect in, Anthropic's messages out: what the caller says reaches the model as Anthropic
//! wants it told, and what the model says comes back as OpenAI would tell it. The upstream objects to
//! every field and every order that Anthropic would object to.
//!
//! A test named `PROVIDER_can_CAPABILITY` stands behind a cell of the table of providers.

use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, Scene, UPSTREAM_KEY, saying, streaming};
use support::{Ending, Reply, Setup, Upstream, gateway};

const OLD: &str = "claude-opus-4-1";
const NEW: &str = "claude-opus-4-6";

async fn scene(model: &str, setup: Setup, settings: &str) -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
  - model_name: chat
    litellm_params:
      model: anthropic/{model}
      api_base: {}
      api_key: os.environ/TEST_UPSTREAM_KEY
router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
litellm_settings:
  request_timeout: 600
{settings}",
        upstream.url("")
    );
    Scene::between(upstream, setup, &config).await
}

fn weather() -> Value {
    json!({"type": "function", "function": {"name": "weather", "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
            "required": ["city"]}}})
}

fn with(mut body: Value, members: Value) -> Value {
    if let Value::Object(members) = members {
        for (name, value) in members {
            body[name] = value;
        }
    }
    body
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
    events
        .iter()
        .map(|event| serde_json::from_str(event).expect("a chunk"))
        .collect()
}

fn deltas<'a>(chunks: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    let delta = move |chunk: &'a Value| chunk["choices"][0]["delta"].get(name);
    chunks
        .iter()
        .filter_map(delta)
        .filter(|value| !value.is_null())
}

fn joined(chunks: &[Value], name: &str) -> String {
    deltas(chunks, name).filter_map(Value::as_str).collect()
}

fn finish(chunks: &[Value]) -> Vec<&str> {
    let reasons = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"]);
    reasons.filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn anthropic_can_chat() {
    let scene = scene(OLD, gateway!(), "").await;
    let body = json!({"model": "chat", "max_completion_tokens": 7, "temperature": 0.5, "stop": "END",
        "user": "u-1", "messages": [
            {"role": "system", "content": "be kind"}, {"role": "developer", "content": "be brief"},
            {"role": "user", "content": "hi"}]});
    let said = answer(&scene, &body).await;
    assert_eq!(said["object"], "chat.completion");
    assert_eq!(said["model"], "chat");
    assert_eq!(said["choices"][0]["message"]["content"], "You said: hi");
    assert_eq!(said["choices"][0]["message"]["role"], "assistant");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    let asked = scene.upstream.only();
    assert_eq!(asked.path, "/v1/messages");
    assert_eq!(asked.header("x-api-key"), Some(UPSTREAM_KEY));
    let text = |text| json!({"type": "text", "text": text});
    assert_eq!(
        asked.json(),
        json!({"model": OLD, "max_tokens": 7, "temperature": 0.5, "stop_sequences": ["END"],
            "metadata": {"user_id": "u-1"}, "system": [text("be kind"), text("be brief")],
            "messages": [{"role": "user", "content": [text("hi")]}]})
    );
}

#[tokio::test]
async fn anthropic_can_tell_usage() {
    let scene = scene(OLD, gateway!(), "").await;
    let whole = answer(&scene, &saying("hi")).await["usage"].clone();
    assert_eq!(
        (&whole["prompt_tokens"], &whole["completion_tokens"]),
        (&json!(20), &json!(10))
    );
    assert_eq!(whole["total_tokens"], 30);
    assert_eq!(whole["prompt_tokens_details"]["cached_tokens"], 5);
    let asked = with(
        streaming("hi"),
        json!({"stream_options": {"include_usage": true}}),
    );
    let streamed = chunks(&scene, &asked).await.pop().unwrap();
    assert_eq!(streamed["usage"], whole);
}

#[tokio::test]
async fn anthropic_can_stream() {
    let scene = scene(OLD, gateway!(), "").await;
    let chunks = chunks(&scene, &streaming("one two three")).await;
    assert_eq!(joined(&chunks, "content"), "You said: one two three");
    assert_eq!(finish(&chunks), ["stop"]);
    assert_eq!(
        deltas(&chunks, "role").collect::<Vec<_>>(),
        [&json!("assistant")]
    );
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(
            (&chunk["model"], &chunk["id"]),
            (&json!("chat"), &chunks[0]["id"])
        );
    }
    assert_eq!(scene.upstream.only().json()["stream"], true);
}

#[tokio::test]
async fn anthropic_can_call_tools() {
    let scene = scene(OLD, gateway!(), "").await;
    let mut other = weather();
    other["function"]["name"] = json!("other");
    let body = with(saying("well?"), json!({"tools": [weather(), other]}));
    let said = answer(&scene, &body).await;
    let message = &said["choices"][0]["message"];
    assert_eq!(said["choices"][0]["finish_reason"], "tool_calls");
    let names: Vec<_> = (0..2)
        .map(|at| &message["tool_calls"][at]["function"]["name"])
        .collect();
    assert_eq!(names, ["weather", "other"]);
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        r#"{"city":"Paris"}"#
    );

    let result = |at: usize| json!({"role": "tool", "tool_call_id": message["tool_calls"][at]["id"], "content": "rain"});
    let user = json!({"role": "user", "content": "well?"});
    let next = with(
        body,
        json!({"messages": [user, message, result(0), result(1)]}),
    );
    let said = answer(&scene, &next).await;
    let content = &said["choices"][0]["message"]["content"];
    assert_eq!(
        content,
        "You showed 0 images, 0 documents, 2 results and 0 texts"
    );
}

#[tokio::test]
async fn anthropic_can_stream_calls() {
    let scene = scene(OLD, gateway!(), "").await;
    let mut other = weather();
    other["function"]["name"] = json!("other");
    let body = with(streaming("well?"), json!({"tools": [weather(), other]}));
    let chunks = chunks(&scene, &body).await;
    let mut calls = [
        (String::new(), String::new()),
        (String::new(), String::new()),
    ];
    for piece in deltas(&chunks, "tool_calls").flat_map(|calls| calls.as_array().unwrap()) {
        let call = &mut calls[usize::try_from(piece["index"].as_u64().unwrap()).unwrap()];
        let text = |name: &str| piece["function"][name].as_str().unwrap_or_default();
        call.0 += text("name");
        call.1 += text("arguments");
    }
    let arguments = r#"{"city":"Paris"}"#;
    let call = |name: &str| (name.to_owned(), arguments.to_owned());
    assert_eq!(calls, [call("weather"), call("other")]);
    assert_eq!(finish(&chunks), ["tool_calls"]);
}

#[tokio::test]
async fn every_tool_choice_reaches_the_model() {
    let scene = scene(OLD, gateway!(), "").await;
    for (choice, expected) in [
        (
            json!("auto"),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (
            json!("required"),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (json!("none"), json!({"type": "none"})),
        (
            json!({"type": "function", "function": {"name": "weather"}}),
            json!({"type": "tool", "name": "weather", "disable_parallel_tool_use": true}),
        ),
    ] {
        let members =
            json!({"tools": [weather()], "tool_choice": choice, "parallel_tool_calls": false});
        answer(&scene, &with(saying("well?"), members)).await;
        let asked = scene.upstream.seen().pop().unwrap().json();
        assert_eq!(asked["tool_choice"], expected);
    }
}

#[tokio::test]
async fn anthropic_can_see_images() {
    let scene = scene(OLD, gateway!(), "").await;
    let image = |url| json!({"type": "image_url", "image_url": {"url": url}});
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "look"}, image("data:image/png;base64,iVBORw0KGgo="),
        image("https://a.example/b.jpg")]}]});
    let said = answer(&scene, &body).await;
    let content = &said["choices"][0]["message"]["content"];
    assert_eq!(
        content,
        "You showed 2 images, 0 documents, 0 results and 1 texts"
    );
    let asked = scene.upstream.only().json();
    let source = |at: usize| asked["messages"][0]["content"][at]["source"].clone();
    assert_eq!(
        source(1),
        json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="})
    );
    assert_eq!(
        source(2),
        json!({"type": "url", "url": "https://a.example/b.jpg"})
    );
}

#[tokio::test]
async fn anthropic_can_read_documents() {
    let scene = scene(OLD, gateway!(), "").await;
    let file = json!({"type": "file", "file": {"filename": "a.pdf",
        "file_data": "data:application/pdf;base64,JVBERi0="}});
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": [file]}]});
    let said = answer(&scene, &body).await;
    let content = &said["choices"][0]["message"]["content"];
    assert_eq!(
        content,
        "You showed 0 images, 1 documents, 0 results and 0 texts"
    );
    let asked = scene.upstream.only().json();
    assert_eq!(asked["messages"][0]["content"][0]["title"], "a.pdf");
}

#[tokio::test]
async fn anthropic_can_keep_schemas() {
    let schema =
        json!({"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}});
    let format = json!({"type": "json_schema", "json_schema":
        {"name": "place", "schema": schema, "strict": true}});
    for (model, native) in [(OLD, false), (NEW, true)] {
        let scene = scene(model, gateway!(), "").await;
        let body = with(saying("where?"), json!({"response_format": format}));
        let said = answer(&scene, &body).await;
        let choice = &said["choices"][0];
        assert_eq!(
            choice["message"]["content"], r#"{"city":"Paris"}"#,
            "{model}"
        );
        assert_eq!(choice["finish_reason"], "stop");
        assert!(
            choice["message"]
                .get("tool_calls")
                .is_none_or(Value::is_null)
        );
        let chunks = chunks(&scene, &with(body, json!({"stream": true}))).await;
        assert_eq!(joined(&chunks, "content"), r#"{"city":"Paris"}"#, "{model}");
        assert_eq!(finish(&chunks), ["stop"]);
        let asked = scene.upstream.seen().pop().unwrap().json();
        assert_eq!(asked["output_config"]["format"].is_object(), native);
        assert_eq!(asked["tools"].is_array(), !native);
    }
}

#[tokio::test]
async fn anthropic_can_think() {
    for (model, expected) in [
        (OLD, json!({"type": "enabled", "budget_tokens": 2048})),
        (NEW, json!({"type": "adaptive"})),
    ] {
        let scene = scene(model, gateway!(), "").await;
        let body = with(saying("why?"), json!({"reasoning_effort": "medium"}));
        let said = answer(&scene, &body).await;
        assert_eq!(scene.upstream.only().json()["thinking"], expected);
        let message = &said["choices"][0]["message"];
        assert_eq!(message["reasoning_content"], "Let me think.");
        assert_eq!(
            message["thinking_blocks"],
            json!([{"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "cmVk"}])
        );
        // The next turn gives the thoughts back as they came.
        let user = |text| json!({"role": "user", "content": text});
        let next = json!({"messages": [user("why?"), message, user("so?")]});
        answer(&scene, &with(body.clone(), next)).await;
        let asked = scene.upstream.seen().pop().unwrap().json();
        let blocks = &asked["messages"][1]["content"];
        assert_eq!(blocks[0], message["thinking_blocks"][0]);
        assert_eq!(blocks[1], message["thinking_blocks"][1]);

        let chunks = chunks(&scene, &with(body, json!({"stream": true}))).await;
        assert_eq!(joined(&chunks, "reasoning_content"), "Let me think.");
    }
}

#[tokio::test]
async fn anthropic_can_cache_prompts() {
    let scene = scene(OLD, gateway!(), "").await;
    let cache = json!({"type": "ephemeral", "ttl": "1h"});
    let body = json!({"model": "chat", "messages": [
        {"role": "system", "content": [{"type": "text", "text": "long", "cache_control": cache}]},
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": cache}]}]});
    answer(&scene, &body).await;
    let asked = scene.upstream.only().json();
    assert_eq!(asked["system"][0]["cache_control"], cache);
    assert_eq!(asked["messages"][0]["content"][0]["cache_control"], cache);
}

#[tokio::test]
async fn anthropic_can_search_the_web() {
    let scene = scene(OLD, gateway!(), "").await;
    let body = with(
        saying("so?"),
        json!({"web_search_options": {"search_context_size": "medium"}}),
    );
    let said = answer(&scene, &body).await;
    let message = &said["choices"][0]["message"];
    assert_eq!(message["content"], "It is so.");
    assert_eq!(
        message["annotations"][0]["url_citation"]["url"],
        "https://a.example"
    );
    let asked = scene.upstream.only().json();
    assert_eq!(
        asked["tools"],
        json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}])
    );
    let chunks = chunks(&scene, &with(body, json!({"stream": true}))).await;
    assert_eq!(joined(&chunks, "content"), "It is so.");
}

#[tokio::test]
async fn what_anthropic_lacks_is_refused_by_name_or_left_out() {
    let body = with(saying("hi"), json!({"seed": 1, "logit_bias": {"1": 1}}));
    let strict = scene(OLD, gateway!(), "").await;
    let refused = strict.client.post(CHAT, &body).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("logit_bias"), "{}", refused.text());
    assert!(strict.upstream.seen().is_empty());
    let lenient = scene(OLD, gateway!(), "  drop_params: true\n").await;
    answer(&lenient, &body).await;
    assert!(lenient.upstream.only().json().get("seed").is_none());
}

#[tokio::test]
async fn a_conversation_is_mended_where_the_file_says_so() {
    let body = json!({"model": "chat", "messages": [{"role": "assistant", "content": "hello"}]});
    let strict = scene(OLD, gateway!(), "").await;
    let refused = strict.client.post(CHAT, &body).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("modify_params"),
        "{}",
        refused.text()
    );
    let mending = scene(OLD, gateway!(), "  modify_params: true\n").await;
    answer(&mending, &body).await;
    assert_eq!(
        mending.upstream.only().json()["messages"][0]["content"][0]["text"],
        "."
    );
}

#[tokio::test]
async fn errors_come_in_openais_shape_with_anthropics_words() {
    let scene = scene(OLD, gateway!(), "").await;
    for (status, expected) in [(400, 400), (401, 401), (404, 404), (429, 429), (529, 500)] {
        scene.upstream.next(Reply::error(status, "it is so"));
        let refused = scene.chat().await;
        let text = refused.text();
        assert!(
            text.contains("AnthropicException") && text.contains("it is so"),
            "{text}"
        );
        let error = &refused.json()["error"];
        assert!(error["code"].is_string(), "{text}");
        assert!(
            refused.status == expected || (status == 529 && refused.status >= 500),
            "{status} became {}",
            refused.status
        );
        assert!(!text.contains(UPSTREAM_KEY) && !text.contains(MASTER_KEY));
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_as_such() {
    let scene = scene(OLD, gateway!(), "").await;
    let words = "prompt is too long: 210000 tokens > 200000 maximum";
    scene.upstream.next(Reply::error(400, words));
    let refused = scene.chat().await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("ContextWindowExceeded"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn an_error_before_the_first_event_is_the_answer() {
    let scene = scene(OLD, gateway!(), "").await;
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    scene.upstream.next(Reply::events([error.to_string()]));
    let refused = scene.client.post(CHAT, &streaming("hi")).await;
    assert!(refused.status >= 500, "{}", refused.status);
    assert!(refused.text().contains("Overloaded"), "{}", refused.text());
}

#[tokio::test]
async fn an_error_within_a_stream_ends_it_with_an_error() {
    let scene = scene(OLD, gateway!(), "").await;
    let start = json!({"type": "message_start", "message": {"id": "m", "model": "c", "content": [],
        "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let block = json!({"type": "content_block_start", "index": 0, "content_block":
        {"type": "text", "text": "now"}});
    let error = json!({"type": "error", "error": {"type": "api_error", "message": "broken"}});
    let events = [start, block, error].map(|event| event.to_string());
    scene.upstream.next(Reply::events(events));
    let events = scene
        .client
        .stream(CHAT, &streaming("hi"))
        .await
        .all()
        .await;
    let text = events.concat();
    assert!(text.contains("now") && text.contains("broken"), "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn a_stream_that_is_cut_does_not_end_as_if_it_were_whole() {
    let scene = scene(OLD, gateway!(), "").await;
    scene.upstream.next(Reply {
        ending: Ending::CutAfter(900),
        ..Reply::default()
    });
    let events = scene
        .client
        .stream(CHAT, &streaming("one two three four"))
        .await
        .all()
        .await;
    let text = events.concat();
    assert!(text.contains("error") && !text.contains("[DONE]"), "{text}");
}
