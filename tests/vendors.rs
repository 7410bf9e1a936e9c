//! Vendors that speak OpenAI's dialect with words of their own, over sockets, against fakes that take
//! what each of them names and nothing else.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(non_snake_case, reason = "the provider stands before the capability")]

use serde_json::{Value, json};
use support::scene::{CHAT, Scene};
use support::upstream::Speaks;
use support::upstream::reply::{Content, Reply};
use support::{Answer, Upstream, gateway};

/// One group, `chat`, at this vendor.
async fn scene(speaks: Speaks, model: &str, more: &str) -> Scene {
    let upstream = Upstream::speaking(speaks).await;
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params: {{model: {model}, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY{more}}}
router_settings: {{num_retries: 0}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
",
        upstream.url("/v1")
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn asking() -> Value {
    json!({"model": "chat", "messages": [{"role": "user", "content": "two and two?"}]})
}

fn with(members: Value) -> Value {
    let mut body = asking();
    if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
        body.extend(members);
    }
    body
}

async fn good(scene: &Scene, body: &Value) -> Answer {
    let answer = scene.client.post(CHAT, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The chunks of a streamed answer that have a choice.
fn chunks(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .filter(|line| *line != "[DONE]")
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A whole and a streamed answer say what was thought in OpenAI's place.
async fn tells_thoughts(scene: &Scene) {
    let message = good(scene, &asking()).await.json()["choices"][0]["message"].clone();
    assert_eq!(message["content"], "four", "{message}");
    assert_eq!(message["reasoning_content"], "two and two", "{message}");
    let answer = good(scene, &with(json!({"stream": true}))).await;
    let delta = chunks(&answer)[0]["choices"][0]["delta"].clone();
    assert_eq!(delta["content"], "four", "{delta}");
    assert_eq!(delta["reasoning_content"], "two and two", "{delta}");
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

/// What the vendor lacks is refused by name, and left out where the caller allows it.
async fn lacks(scene: &Scene, names: &[&str], members: Value) {
    let body = with(members);
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["param"], names[0]);
    let mut body = body;
    body["drop_params"] = true.into();
    let answer = good(scene, &body).await;
    let told = answer.header("x-pointsman-dropped-params").unwrap();
    let mut told: Vec<_> = told.split(',').map(str::trim).collect();
    told.sort_unstable();
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(told, names);
}

const TOOL: &str = r#"[{"type":"function","function":{"name":"add","strict":true,
    "parameters":{"type":"object","properties":{}}}}]"#;

fn tool() -> Value {
    serde_json::from_str(TOOL).unwrap()
}

/// A function that was called, and its result, as a client of OpenAI's sends it back.
fn called(id: &str) -> Value {
    let call = json!({"id": id, "type": "function", "index": 0,
        "function": {"name": "add", "arguments": "{}"}});
    json!([
        {"role": "user", "content": "two and two?", "name": "ann"},
        {"role": "assistant", "content": null, "refusal": null, "annotations": [],
            "function_call": null, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "content": "4"},
    ])
}

#[tokio::test]
async fn mistral__thinks() {
    let scene = scene(Speaks::OwnMistral, "mistral/magistral-medium-latest", "").await;
    tells_thoughts(&scene).await;
    good(&scene, &with(json!({"reasoning_effort": "high"}))).await;
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(sent["prompt_mode"], "reasoning");
    assert!(sent.get("reasoning_effort").is_none());
}

#[tokio::test]
async fn mistral__calls_tools() {
    let scene = scene(Speaks::OwnMistral, "mistral/mistral-large-latest", "").await;
    let body = with(json!({"tools": tool(), "tool_choice": "required", "seed": 3, "user": "u"}));
    let answer = good(&scene, &body).await;
    let message = answer.json()["choices"][0]["message"].clone();
    assert_eq!(message["content"], Value::Null);
    assert_eq!(message["tool_calls"][0]["id"], "D681PevKs");
    let sent = scene.upstream.only().json();
    assert_eq!(
        (&sent["tool_choice"], &sent["random_seed"]),
        (&json!("any"), &json!(3))
    );
    assert_eq!(answer.header("x-pointsman-dropped-params"), Some("user"));
    // A call that another provider made has an id of another form.
    let body = with(json!({"messages": called("toolu_01A09q90qw90lq917835lq9")}));
    good(&scene, &body).await;
    let sent = scene.upstream.seen().pop().unwrap().json();
    let [one, other] = ["/1/tool_calls/0/id", "/2/tool_call_id"]
        .map(|place| sent["messages"].pointer(place).unwrap().clone());
    assert_eq!(one, other);
    let own = with(json!({"messages": called("D681PevKs")}));
    good(&scene, &own).await;
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(sent["messages"][1]["tool_calls"][0]["id"], "D681PevKs");
}

#[tokio::test]
async fn mistral__names_what_it_lacks() {
    let scene = scene(Speaks::OwnMistral, "mistral/mistral-large-latest", "").await;
    lacks(
        &scene,
        &["logprobs", "service_tier"],
        json!({"logprobs": true, "service_tier": "flex"}),
    )
    .await;
    // An answer that said nothing is no turn.
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "hello?"},
    ]);
    good(&scene, &with(json!({ "messages": messages }))).await;
}

#[tokio::test]
async fn groq__thinks() {
    let scene = scene(Speaks::OwnGroq, "groq/openai/gpt-oss-120b", "").await;
    tells_thoughts(&scene).await;
    good(&scene, &with(json!({"messages": called("call_1")}))).await;
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(sent["messages"][1]["reasoning"], "hm");
    lacks(&scene, &["n"], json!({"n": 2})).await;
    good(&scene, &with(json!({"n": 1}))).await;
}

#[tokio::test]
async fn groq__streams() {
    let scene = scene(Speaks::OwnGroq, "groq/openai/gpt-oss-120b", "").await;
    let before = spent(&scene).await;
    good(&scene, &with(json!({"stream": true}))).await;
    // 10 tokens at 0.15 dollars a million and 10 at 0.6, told beside OpenAI's place.
    assert_paid(&scene, before, 0.000_007_5).await;
}

#[tokio::test]
async fn xai__thinks() {
    let scene = scene(Speaks::Xai, "xai/grok-4", "").await;
    tells_thoughts(&scene).await;
    let answer = good(&scene, &asking()).await;
    let usage = answer.json()["usage"].clone();
    assert_eq!(
        (&usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(10), &json!(20))
    );
    // It tells ticks of which a dollar has ten thousand million.
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.0012345"));
    lacks(
        &scene,
        &["stop"],
        json!({"stop": "x", "presence_penalty": 0}),
    )
    .await;
    let body = with(json!({"web_search_options": {}, "messages":
        [{"role": "user", "content": "hi", "name": "ann"}]}));
    let answer = good(&scene, &body).await;
    assert_eq!(
        answer.header("x-pointsman-dropped-params"),
        Some("web_search_options")
    );
    good(
        &scene,
        &with(json!({"search_parameters": {"mode": "auto"}})),
    )
    .await;
}

#[tokio::test]
async fn xai__calls_tools() {
    let scene = scene(Speaks::Xai, "xai/grok-4", "").await;
    let answer = good(&scene, &with(json!({"tools": tool()}))).await;
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "tool_calls");
    let sent = scene.upstream.only().json();
    assert!(sent["tools"][0]["function"].get("strict").is_none());
    let answer = good(&scene, &with(json!({"tools": tool(), "stream": true}))).await;
    assert_eq!(
        chunks(&answer)[0]["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[tokio::test]
async fn openrouter__thinks() {
    let scene = scene(
        Speaks::OpenRouter,
        "openrouter/anthropic/claude-sonnet-4.5",
        "",
    )
    .await;
    tells_thoughts(&scene).await;
    let answer = good(&scene, &asking()).await;
    let message = answer.json()["choices"][0]["message"].clone();
    assert_eq!(message["reasoning_details"][0]["type"], "reasoning.text");
    assert_eq!(answer.json()["provider"], "Somebody");
    // What it says that it cost, not what the catalog would reckon.
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.00042"));
    let before = spent(&scene).await;
    good(&scene, &with(json!({"stream": true}))).await;
    assert_paid(&scene, before, 0.000_42).await;
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(sent["usage"], json!({"include": true}));
}

#[tokio::test]
async fn openrouter__marks_what_is_to_be_cached() {
    let scene = scene(
        Speaks::OpenRouter,
        "openrouter/anthropic/claude-sonnet-4.5",
        "",
    )
    .await;
    let mark = json!({"type": "ephemeral"});
    let messages = json!([{"role": "user", "content": "hi", "cache_control": mark}]);
    let body = with(json!({"messages": messages, "transforms": ["middle-out"],
        "provider": {"order": ["a"]}}));
    good(&scene, &body).await;
    let sent = scene.upstream.only().json();
    assert_eq!(
        sent["messages"][0]["content"],
        json!([{"type": "text", "text": "hi", "cache_control": mark}])
    );
    assert_eq!(sent["transforms"], json!(["middle-out"]));
}

#[tokio::test]
async fn openrouter__tells_errors_in_place_of_answers() {
    let scene = scene(Speaks::OpenRouter, "openrouter/a/b", "").await;
    let error = json!({"code": 429, "message": "slow down", "metadata": {"provider_name": "A"}});
    for (told, status) in [
        (json!({ "error": error }), 429),
        (
            json!({"id": "c", "choices": [{"index": 0, "finish_reason": "error", "error": error,
            "message": {"role": "assistant", "content": ""}}]}),
            429,
        ),
        (
            json!({"error": {"code": 403, "message": "flagged", "metadata":
            {"reasons": ["violence"], "flagged_input": "x"}}}),
            403,
        ),
    ] {
        scene.upstream.next(Reply {
            content: Content::Json(told),
            ..Reply::default()
        });
        let answer = scene.client.post(CHAT, &asking()).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let flagged = answer.text().contains("ContentPolicyViolationError");
        assert_eq!(flagged, status == 403, "{}", answer.text());
    }
}

#[tokio::test]
async fn openrouter__is_told_who_asks() {
    let upstream = Upstream::speaking(Speaks::OpenRouter).await;
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params: {{model: openrouter/a/b, api_base: {0}, api_key: os.environ/TEST_UPSTREAM_KEY}}
- model_name: own
  litellm_params: {{model: openrouter/a/b, api_base: {0}, api_key: os.environ/TEST_UPSTREAM_KEY,
    extra_headers: {{X-Title: Mine}}}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
",
        upstream.url("/v1")
    );
    let setup = gateway!()
        .env("OR_SITE_URL", "https://site.example")
        .env("OR_APP_NAME", "Site");
    let scene = Scene::between(upstream, setup, &config).await;
    good(&scene, &asking()).await;
    good(&scene, &with(json!({"model": "own"}))).await;
    let seen = scene.upstream.seen();
    let titles: Vec<_> = seen
        .iter()
        .map(|seen| seen.headers["x-title"].to_str().unwrap())
        .collect();
    assert_eq!(titles, ["Site", "Mine"]);
    assert_eq!(seen[0].headers["http-referer"], "https://site.example");
}

#[tokio::test]
async fn perplexity__searches_the_web() {
    let scene = scene(Speaks::Perplexity, "perplexity/sonar", "").await;
    let answer = good(&scene, &with(json!({"max_completion_tokens": 9}))).await;
    assert_eq!(answer.json()["citations"], json!(["https://a.example"]));
    assert_eq!(answer.json()["search_results"][0]["title"], "A");
    // With the price of the search.
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.00502"));
    assert_eq!(scene.upstream.only().json()["max_tokens"], 9);
    let before = spent(&scene).await;
    let answer = good(&scene, &with(json!({"stream": true}))).await;
    assert_eq!(
        chunks(&answer)[0]["citations"],
        json!(["https://a.example"])
    );
    assert_paid(&scene, before, 0.005_02).await;
    lacks(&scene, &["seed"], json!({"seed": 1})).await;
}

#[tokio::test]
async fn a_price_of_the_file_stands_before_what_a_vendor_tells() {
    let prices = ", input_cost_per_token: 0.001, output_cost_per_token: 0";
    let scene = scene(Speaks::Perplexity, "perplexity/sonar", prices).await;
    let answer = good(&scene, &asking()).await;
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.01"));
}

#[tokio::test]
async fn deepseek__thinks() {
    let scene = scene(Speaks::DeepSeek, "deepseek/deepseek-reasoner", "").await;
    tells_thoughts(&scene).await;
    let sent = |scene: &Scene| scene.upstream.seen().pop().unwrap().json();
    good(&scene, &with(json!({"reasoning_effort": "none"}))).await;
    assert_eq!(sent(&scene)["thinking"], json!({"type": "disabled"}));
    assert!(sent(&scene).get("reasoning_effort").is_none());
    good(
        &scene,
        &with(json!({"thinking": {"type": "enabled", "budget_tokens": 9}})),
    )
    .await;
    assert_eq!(sent(&scene)["thinking"], json!({"type": "enabled"}));
    let text = |text: &str| json!({"type": "text", "text": text});
    let messages = json!([{"role": "user", "content": [text("a"), text("b")]}]);
    good(&scene, &with(json!({ "messages": messages }))).await;
    assert_eq!(sent(&scene)["messages"][0]["content"], "ab");
}

#[tokio::test]
async fn deepseek__calls_tools() {
    let scene = scene(Speaks::DeepSeek, "deepseek/deepseek-chat", "").await;
    let mut tools = tool();
    tools
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "namespace"}));
    let answer = good(&scene, &with(json!({ "tools": tools }))).await;
    let sent = scene.upstream.only().json();
    assert_eq!(answer.header("x-pointsman-dropped-params"), Some("tools"));
    assert_eq!(sent["tools"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn fireworks_models_stand_below_its_account() {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params: {{model: fireworks_ai/llama-v3p3-70b-instruct, api_base: {0}, api_key: os.environ/TEST_UPSTREAM_KEY}}
- model_name: own
  litellm_params: {{model: fireworks_ai/accounts/me/models/m, api_base: {0}, api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
",
        upstream.url("/v1")
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    good(&scene, &asking()).await;
    good(&scene, &with(json!({"model": "own"}))).await;
    let messages =
        json!({"model": "chat", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let answer = scene.client.post("/v1/messages", &messages).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = scene.upstream.seen();
    let models: Vec<_> = seen
        .iter()
        .map(|seen| seen.json()["model"].clone())
        .collect();
    let whole = "accounts/fireworks/models/llama-v3p3-70b-instruct";
    assert_eq!(models, [whole, "accounts/me/models/m", whole]);
}

/// What Azure's filters say stands beside what is said, before it, and in place of it.
#[tokio::test]
async fn azure__tells_what_its_filters_did() {
    let upstream = Upstream::start().await;
    let entry = |name: &str, model: &str| {
        format!(
            "- model_name: {name}
  litellm_params: {{model: azure/{model}, api_base: {}, api_version: preview,
    api_key: os.environ/TEST_UPSTREAM_KEY}}
",
            upstream.url("")
        )
    };
    let config = format!(
        "model_list:
{}{}router_settings: {{num_retries: 0, content_policy_fallbacks: [{{chat: [spare]}}]}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
",
        entry("chat", "first"),
        entry("spare", "second")
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    let error = json!({"error": {"message": "The response was filtered", "type": null,
        "param": "prompt", "code": "content_filter", "status": 400, "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": true, "severity": "high"}}}}});
    scene.upstream.on_model(
        "first",
        Reply {
            status: 400,
            content: Content::Json(error),
            ..Reply::default()
        },
    );
    let answer = good(&scene, &asking()).await;
    assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("1"));
    let seen = scene.upstream.seen();
    assert_eq!(seen[0].path, "/openai/v1/chat/completions");
    assert_eq!(seen[0].query.as_deref(), Some("api-version=preview"));
    assert_eq!(seen[1].json()["model"], "second");

    let chunk = |id: &str, choices: Value, more: Value| {
        let mut chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 0,
            "model": id, "choices": choices});
        if let (Value::Object(chunk), Value::Object(more)) = (&mut chunk, more) {
            chunk.extend(more);
        }
        chunk.to_string()
    };
    let told =
        json!({"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]});
    let said = json!([{"index": 0, "delta": {"role": "assistant", "content": "four"},
        "finish_reason": null, "content_filter_results": {"hate": {"filtered": false}}}]);
    let ends = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    let events = [
        chunk("", json!([]), told),
        chunk("c1", said, json!({})),
        chunk("c1", ends, json!({})),
    ];
    scene.upstream.on_model(
        "second",
        Reply {
            content: Content::Events(events.to_vec()),
            ..Reply::default()
        },
    );
    let answer = good(&scene, &with(json!({"model": "spare", "stream": true}))).await;
    let chunks = chunks(&answer);
    assert!(chunks[0]["prompt_filter_results"].is_array());
    assert!(chunks[1]["choices"][0]["content_filter_results"].is_object());
    let body = json!({"model": "spare", "max_tokens": 50, "stream": true,
        "messages": [{"role": "user", "content": "two and two?"}]});
    let events = scene.client.stream("/v1/messages", &body).await.all().await;
    let start: Value = serde_json::from_str(&events[0]).unwrap();
    assert_ne!(start["message"]["id"], "", "{start}");
}

/// Anthropic's callers get the same through the one form.
#[tokio::test]
async fn callers_of_another_dialect_meet_the_same_vendors() {
    let scene = scene(Speaks::OwnMistral, "mistral/magistral-medium-latest", "").await;
    let body = json!({"model": "chat", "max_tokens": 50, "messages": [
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}]},
    ]});
    let answer = scene.client.post("/v1/messages", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let content = answer.json()["content"].clone();
    assert_eq!(content[0]["thinking"], "two and two");
    assert_eq!(content[1]["text"], "four");
}

/// What all calls so far cost, in dollars.
async fn spent(scene: &Scene) -> f64 {
    let metrics = scene.client.get("/metrics").await.text();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("litellm_spend_metric"));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

async fn assert_paid(scene: &Scene, before: f64, cost: f64) {
    let paid = spent(scene).await - before;
    assert!((paid - cost).abs() < 1e-9, "{paid} for {cost}");
}
