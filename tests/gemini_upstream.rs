//! OpenAI's clients at Gemini: every request is checked as strictly as Google checks it.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(
    non_snake_case,
    reason = "the provider stands before the capability in the name"
)]

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, UPSTREAM_KEY};
use support::{Content, Ending, LineEnd, Pieces, Reply, Upstream, gateway};

async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
  - model_name: flash
    litellm_params:
      model: gemini/gemini-2.5-flash
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: newest
    litellm_params:
      model: gemini/gemini-3-pro-preview
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url("")
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn says(text: &str) -> Value {
    json!({"model": "flash", "messages": [{"role": "user", "content": text}]})
}

fn with(body: Value, more: Value) -> Value {
    let (Value::Object(mut body), Value::Object(more)) = (body, more) else {
        panic!("objects")
    };
    body.extend(more);
    Value::Object(body)
}

fn weather() -> Value {
    json!({"type": "function", "function": {"name": "weather", "strict": true, "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"], "additionalProperties": false}}})
}

/// The answer to a request that must be one.
async fn ok(scene: &Scene, body: &Value) -> Value {
    let answer = scene.client.post(CHAT, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The chunks of the answer to a request that must be one.
async fn chunks(scene: &Scene, body: &Value) -> Vec<Value> {
    let streaming = json!({"stream": true, "stream_options": {"include_usage": true}});
    let mut stream = scene
        .client
        .stream(CHAT, &with(body.clone(), streaming))
        .await;
    assert_eq!(stream.status, 200);
    let mut events = stream.all().await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks = events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap());
    chunks.collect()
}

/// All pieces of a member of the deltas, put together.
fn joined(chunks: &[Value], pointer: &str) -> String {
    let pieces = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer(pointer)?.as_str());
    pieces.collect()
}

fn sent(scene: &Scene) -> Value {
    serde_json::from_slice(&scene.upstream.seen().last().unwrap().body).unwrap()
}

#[tokio::test]
async fn gemini__answers() {
    let scene = scene().await;
    let body = with(
        says("hi"),
        json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
            "temperature": 0.5, "top_p": 0.9, "max_tokens": 50, "stop": ["x"], "seed": 3,
            "presence_penalty": 0.1, "frequency_penalty": 0.2, "user": "u"}),
    );
    let answer = ok(&scene, &body).await;
    assert_eq!(answer["model"], "flash");
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "You said: hi");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(
        (
            &answer["usage"]["prompt_tokens"],
            &answer["usage"]["completion_tokens"]
        ),
        (&json!(20), &json!(10))
    );
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(
        answer["usage"]["completion_tokens_details"]["reasoning_tokens"],
        3
    );
    let seen = scene.upstream.only();
    assert_eq!(seen.path, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!(seen.headers["x-goog-api-key"], UPSTREAM_KEY);
    let sent = sent(&scene);
    assert_eq!(sent["generationConfig"]["maxOutputTokens"], 50);
    assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "Be brief.");
}

#[tokio::test]
async fn gemini__streams() {
    let scene = scene().await;
    let chunks = chunks(&scene, &says("hi there")).await;
    assert_eq!(
        joined(&chunks, "/choices/0/delta/content"),
        "You said: hi there"
    );
    assert!(chunks.len() > 4);
    let finishes: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(finishes, ["stop"]);
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 10);
    let seen = scene.upstream.only();
    assert_eq!(seen.query.as_deref(), Some("alt=sse"));
    assert!(seen.path.ends_with(":streamGenerateContent"));
}

#[tokio::test]
async fn gemini__streams_cut_anywhere() {
    let scene = scene().await;
    for (length, line_end) in [(1, LineEnd::Lf), (2, LineEnd::CrLf), (7, LineEnd::Cr)] {
        scene.upstream.next(Reply {
            pieces: Pieces::Every(length),
            line_end,
            ..Reply::default()
        });
        let chunks = chunks(&scene, &says("hi there")).await;
        let text = joined(&chunks, "/choices/0/delta/content");
        assert_eq!(text, "You said: hi there");
    }
}

#[tokio::test]
async fn gemini__tells_a_stream_that_was_cut() {
    let scene = scene().await;
    scene.upstream.next(Reply {
        ending: Ending::CutAfter(900),
        ..Reply::default()
    });
    let body = with(says("hi there"), json!({"stream": true}));
    let events = scene.client.stream(CHAT, &body).await.all().await;
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert!(last["error"]["message"].is_string(), "{last}");
}

#[tokio::test]
async fn gemini__calls_tools() {
    let scene = scene().await;
    for model in ["flash", "newest"] {
        let clock = json!({"type": "function", "function": {"name": "clock"}});
        let ask = with(
            says("weather?"),
            json!({"model": model, "tools": [weather(), clock], "tool_choice": "required"}),
        );
        let answer = ok(&scene, &ask).await;
        let message = answer["choices"][0]["message"].clone();
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        let calls = message["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), 2);
        assert_ne!(calls[0]["id"], calls[1]["id"]);
        let arguments = calls[0]["function"]["arguments"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(arguments).unwrap(),
            json!({"city": "Paris", "days": 7})
        );
        let mode = json!({"functionCallingConfig": {"mode": "ANY"}});
        assert_eq!(sent(&scene)["toolConfig"], mode);

        // What came back goes back, with what Gemini signed.
        let results = calls.iter().map(|call| {
            json!({"role": "tool", "tool_call_id": call["id"], "content": "{\"degrees\": 3}"})
        });
        let mut messages = vec![ask["messages"][0].clone(), message.clone()];
        messages.extend(results);
        let next = with(ask, json!({"messages": messages, "tool_choice": "auto"}));
        let answer = ok(&scene, &next).await;
        assert_eq!(
            answer["choices"][0]["message"]["content"],
            "It gave: {\"degrees\":3}"
        );
        let turn = &sent(&scene)["contents"][1]["parts"];
        assert_eq!(turn[0]["thoughtSignature"], "c2lnbmF0dXJl");
        assert_eq!(turn[1].get("thoughtSignature"), None);
    }
}

#[tokio::test]
async fn gemini__streams_tool_calls() {
    let scene = scene().await;
    let clock = json!({"type": "function", "function": {"name": "clock"}});
    let named = json!({"type": "function", "function": {"name": "weather"}});
    let ask = with(
        says("weather?"),
        json!({"tools": [weather(), clock], "tool_choice": named}),
    );
    let chunks = chunks(&scene, &ask).await;
    let calls: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0"))
        .collect();
    assert_eq!(calls[0]["function"]["name"], "weather");
    assert_eq!(
        calls[0]["provider_specific_fields"]["thought_signature"],
        "c2lnbmF0dXJl"
    );
    let arguments = joined(&chunks, "/choices/0/delta/tool_calls/0/function/arguments");
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap(),
        json!({"city": "Paris", "days": 7})
    );
    let last = &chunks[chunks.len() - 2]["choices"][0]["finish_reason"];
    assert_eq!(last, "tool_calls");
}

#[tokio::test]
async fn gemini__takes_calls_that_another_provider_made() {
    let scene = scene().await;
    let call = json!({"id": "call_of_openai", "type": "function",
        "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}});
    let ask = with(
        says(""),
        json!({"model": "newest", "tools": [weather()], "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_of_openai", "content": "cold"}]}),
    );
    let answer = ok(&scene, &ask).await;
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "It gave: {\"output\":\"cold\"}"
    );
}

#[tokio::test]
async fn gemini__structured_output() {
    let scene = scene().await;
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}},
        "required": ["name"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    let answer = ok(
        &scene,
        &with(says("hi"), json!({"response_format": format})),
    )
    .await;
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        r#"{"name":"Paris"}"#
    );
    assert_eq!(
        sent(&scene)["generationConfig"]["responseJsonSchema"],
        schema
    );
    let object = json!({"response_format": {"type": "json_object"}});
    let answer = ok(&scene, &with(says("hi"), object)).await;
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        r#"{"answer":42}"#
    );
}

#[tokio::test]
async fn gemini__images() {
    let scene = scene().await;
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let shows = |url: &str| {
        let content = json!([{"type": "text", "text": "What?"}, image(url)]);
        with(
            says(""),
            json!({"messages": [{"role": "user", "content": content}]}),
        )
    };
    let answer = ok(&scene, &shows("data:image/png;base64,iVBORw0KGgo=")).await;
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "You showed 1 media and 1 texts"
    );
    ok(&scene, &shows("https://pictures.test/cat.png")).await;
    assert_eq!(
        sent(&scene)["contents"][0]["parts"][1]["fileData"],
        json!({"mimeType": "image/png", "fileUri": "https://pictures.test/cat.png"})
    );
    let refused = scene
        .client
        .post(CHAT, &shows("http://127.0.0.1:1/cat.png"))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"]["param"], "messages");
}

#[tokio::test]
async fn gemini__gives_images() {
    let scene = scene().await;
    let body = with(says("draw"), json!({"modalities": ["text", "image"]}));
    let url = "data:image/png;base64,iVBORw0KGgo=";
    let answer = ok(&scene, &body).await;
    let image = &answer["choices"][0]["message"]["images"][0]["image_url"]["url"];
    assert_eq!(image, url);
    let chunks = chunks(&scene, &body).await;
    assert_eq!(
        joined(&chunks, "/choices/0/delta/images/0/image_url/url"),
        url
    );
}

#[tokio::test]
async fn gemini__thinks() {
    let scene = scene().await;
    let body = with(says("hi"), json!({"reasoning_effort": "low"}));
    let answer = ok(&scene, &body).await;
    assert_eq!(
        answer["choices"][0]["message"]["reasoning_content"],
        "Let me think."
    );
    let budget = json!({"thinkingBudget": 1024, "includeThoughts": true});
    assert_eq!(sent(&scene)["generationConfig"]["thinkingConfig"], budget);
    let chunks = chunks(&scene, &with(body, json!({"model": "newest"}))).await;
    assert_eq!(
        joined(&chunks, "/choices/0/delta/reasoning_content"),
        "Let me think."
    );
    let level = json!({"thinkingLevel": "LOW", "includeThoughts": true});
    assert_eq!(sent(&scene)["generationConfig"]["thinkingConfig"], level);
}

#[tokio::test]
async fn gemini__searches_the_web() {
    let scene = scene().await;
    ok(
        &scene,
        &with(says("news?"), json!({"web_search_options": {}})),
    )
    .await;
    assert_eq!(sent(&scene)["tools"], json!([{"googleSearch": {}}]));
    ok(
        &scene,
        &with(
            says("news?"),
            json!({"tools": [{"googleSearch": {}}, {"codeExecution": {}}]}),
        ),
    )
    .await;
    assert_eq!(
        sent(&scene)["tools"],
        json!([{"googleSearch": {}}, {"codeExecution": {}}])
    );
}

#[tokio::test]
async fn gemini__safety_settings() {
    let scene = scene().await;
    let settings = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]);
    ok(
        &scene,
        &with(says("hi"), json!({"safety_settings": settings})),
    )
    .await;
    assert_eq!(sent(&scene)["safetySettings"], settings);
}

#[tokio::test]
async fn gemini__content_filter() {
    let scene = scene().await;
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}});
    scene.upstream.next(Reply {
        content: Content::Json(blocked.clone()),
        ..Reply::default()
    });
    let answer = ok(&scene, &says("hi")).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter");
    let mut reply = Reply::events([blocked.to_string()]);
    reply.done = false;
    scene.upstream.next(reply);
    let chunks = chunks(&scene, &says("hi")).await;
    let finishes = joined(&chunks, "/choices/0/finish_reason");
    assert_eq!(finishes, "content_filter");
}

#[tokio::test]
async fn gemini__errors() {
    let scene = scene().await;
    let long =
        "The input token count (9000000) exceeds the maximum number of tokens allowed (1048576).";
    for (status, message, told, class) in [
        (400, long, 400, "ContextWindowExceededError"),
        (
            400,
            "API key not valid. Please pass a valid API key.",
            401,
            "AuthenticationError",
        ),
        (429, "Quota exceeded", 429, "RateLimitError"),
        (
            503,
            "The model is overloaded",
            503,
            "ServiceUnavailableError",
        ),
    ] {
        scene.upstream.next(Reply::error(status, message));
        let answer = scene.client.post(CHAT, &says("hi")).await;
        assert_eq!(answer.status, told, "{}", answer.text());
        let text = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(text.contains(class) && text.contains(message), "{text}");
    }
}

#[tokio::test]
async fn gemini__parameters_that_it_lacks() {
    let scene = scene().await;
    let biased = with(says("hi"), json!({"logit_bias": {"1": 5}}));
    let refused = scene.client.post(CHAT, &biased).await;
    assert_eq!(refused.status, 400);
    let text = refused.text();
    assert!(
        text.contains("UnsupportedParamsError") && text.contains("logit_bias"),
        "{text}"
    );
    ok(&scene, &with(biased, json!({"drop_params": true}))).await;
    assert_eq!(scene.upstream.seen().len(), 1);
}
