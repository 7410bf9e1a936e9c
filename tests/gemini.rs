//! Gemini's front door: before other providers' models, and before Gemini's own.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, Scene};
use support::{Content, Ending, Reply, Upstream, gateway};

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
  - model_name: team/flash
    litellm_params:
      model: gemini/gemini-2.5-flash
      api_base: {1}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: warm
    litellm_params:
      model: gemini/gemini-2.5-flash
      api_base: {1}
      api_key: os.environ/TEST_UPSTREAM_KEY
      temperature: 0.25
      safety_settings: [{{category: HARM_CATEGORY_HARASSMENT, threshold: BLOCK_NONE}}]
  - model_name: vertex
    litellm_params:
      model: vertex_ai/gemini-2.5-flash
      api_base: {1}
      api_key: os.environ/TEST_UPSTREAM_KEY
      vertex_project: my-project
      vertex_location: europe-west6
  - model_name: vectors
    litellm_params:
      model: openai/text-embedding-3-small
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: own-vectors
    litellm_params:
      model: gemini/gemini-embedding-001
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

fn path(model: &str, method: &str) -> String {
    format!("/v1beta/models/{model}:{method}")
}

fn says(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[name] = value;
    body
}

/// The words of an answer, or of the answers of a stream.
fn words(answers: &[Value]) -> String {
    let parts = answers
        .iter()
        .filter_map(|answer| answer["candidates"][0]["content"]["parts"].as_array())
        .flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

fn events(text: &str) -> Vec<Value> {
    let events = text.split_terminator("\r\n\r\n");
    let data = events.map(|event| event.strip_prefix("data: ").unwrap());
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn every_provider_answers_in_geminis_form() {
    let scene = scene().await;
    for (model, version) in [
        ("gpt", "gpt"),
        ("claude", "claude"),
        ("team/flash", "team/flash"),
        ("models/team%2Fflash", ""),
        ("vertex", "vertex"),
        ("demo", "demo"),
    ] {
        let path = path(model, "generateContent");
        let answer = scene.client.post(&path, &says("hello")).await;
        if version.is_empty() {
            assert_eq!(answer.status, 400, "{}", answer.text());
            continue;
        }
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let body = answer.json();
        let candidate = &body["candidates"][0];
        assert_eq!(candidate["finishReason"], "STOP", "{model}");
        assert_eq!(candidate["content"]["role"], "model", "{model}");
        assert_eq!(body["modelVersion"], version);
        assert!(words(std::slice::from_ref(&body)).len() > 5);
        assert!(body["usageMetadata"]["totalTokenCount"].as_u64().unwrap() > 0);
        assert!(answer.headers.contains_key("x-litellm-response-cost"));
    }
}

#[tokio::test]
async fn a_stream_is_events_or_one_list() {
    let scene = scene().await;
    for model in ["gpt", "claude", "team/flash", "vertex", "demo"] {
        let path = path(model, "streamGenerateContent");
        let answer = scene
            .client
            .post(&format!("{path}?alt=sse"), &says("one two three"))
            .await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        let streamed = events(&answer.text());
        let listed = scene.client.post(&path, &says("one two three")).await;
        assert_eq!(listed.headers["content-type"], "application/json");
        let listed: Vec<Value> = serde_json::from_str(&listed.text()).unwrap();
        assert_eq!(words(&streamed), words(&listed), "{model}");
        assert!(streamed.len() > 2, "{model}");
        for all in [&streamed, &listed] {
            let last = &all[all.len() - 1];
            assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{model}");
            let usage = &last["usageMetadata"];
            assert!(usage["totalTokenCount"].as_u64().unwrap() > 0, "{model}");
            assert!(all.iter().all(|one| one["modelVersion"] == model));
        }
    }
}

#[tokio::test]
async fn what_gemini_gets_are_the_callers_bytes() {
    let scene = scene().await;
    scene.upstream.on_model(
        "gemini-2.5-flash",
        Reply {
            content: Content::Json(
                json!({"candidates": [{"finishReason": "STOP", "new": {"a": 1.50},
            "content": {"parts": [{"text": "x"}], "role": "model"}}],
            "modelVersion": "gemini-2.5-flash-001", "newer": [true]}),
            ),
            ..Reply::default()
        },
    );
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"\u00e9"}]}], "generationConfig":{"temperature":1.0,"topK":3},"metadata":{"tags":["a"]},"safetySettings":[]}"#;
    let answer = scene
        .client
        .post_text(&path("team/flash", "generateContent"), body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["candidates"][0]["new"], json!({"a": 1.5}));
    assert_eq!(body["newer"], json!([true]));
    let seen = scene.upstream.only();
    assert_eq!(seen.path, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!(
        std::str::from_utf8(&seen.body).unwrap(),
        r#"{"contents":[{"role":"user","parts":[{"text":"\u00e9"}]}], "generationConfig":{"temperature":1.0,"topK":3},"safetySettings":[]}"#
    );
}

#[tokio::test]
async fn what_the_file_gives_comes_under_googles_names() {
    let scene = scene().await;
    let path = path("warm", "generateContent");
    scene.client.post(&path, &says("hello")).await;
    let sent = scene.upstream.only().json();
    assert_eq!(sent["generationConfig"], json!({"temperature": 0.25}));
    assert_eq!(sent["safetySettings"][0]["threshold"], "BLOCK_NONE");
    let own = with(
        &says("hello"),
        "generationConfig",
        json!({"temperature": 1}),
    );
    scene.client.post(&path, &own).await;
    let sent = scene.upstream.seen().pop().unwrap().json();
    assert_eq!(sent["generationConfig"], json!({"temperature": 1}));
}

#[tokio::test]
async fn vertex_gets_a_role_for_every_turn() {
    let scene = scene().await;
    let body = json!({"contents": [{"parts": [{"text": "hello"}]}]});
    let answer = scene
        .client
        .post(&path("vertex", "generateContent"), &body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = scene.upstream.only();
    assert!(seen.path.ends_with(
        "/projects/my-project/locations/europe-west6/publishers/google/models/gemini-2.5-flash:generateContent"
    ));
    assert_eq!(seen.json(), says("hello"));
}

#[tokio::test]
async fn tokens_are_counted_and_cost_nothing() {
    let scene = scene().await;
    for model in ["gpt", "claude", "team/flash", "vertex"] {
        let path = path(model, "countTokens");
        let whole = json!({"generateContentRequest":
            with(&says("one two three"), "model", json!(format!("models/{model}")))});
        for body in [says("one two three"), whole] {
            let answer = scene.client.post(&path, &body).await;
            assert_eq!(answer.status, 200, "{model}: {}", answer.text());
            assert!(answer.json()["totalTokens"].as_u64().unwrap() > 0);
            let cost = &answer.headers["x-litellm-response-cost"];
            assert_eq!(cost, "0.0", "{model}");
        }
    }
}

#[tokio::test]
async fn embeddings_come_from_any_provider() {
    let scene = scene().await;
    for model in ["vectors", "own-vectors", "demo"] {
        let content = json!({"parts": [{"text": "a"}]});
        let one = json!({"model": format!("models/{model}"), "content": content,
            "outputDimensionality": 3});
        let answer = scene.client.post(&path(model, "embedContent"), &one).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let values = answer.json()["embedding"]["values"].clone();
        assert!(values.as_array().unwrap().len() >= 3, "{model}");
        let batch = json!({"requests": [one, one]});
        let answer = scene
            .client
            .post(&path(model, "batchEmbedContents"), &batch)
            .await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let all = answer.json()["embeddings"].clone();
        assert_eq!(
            all,
            json!([{"values": values}, {"values": values}]),
            "{model}"
        );
    }
    let seen = scene.upstream.seen();
    assert_eq!(seen[0].json()["input"], json!(["a"]));
    assert_eq!(seen[0].json()["dimensions"], 3);
    assert_eq!(
        seen[2].path,
        "/v1beta/models/gemini-embedding-001:embedContent"
    );
}

#[tokio::test]
async fn a_key_may_come_in_three_ways_and_no_other() {
    let scene = scene().await;
    let path = path("gpt", "generateContent");
    let bare = scene.gateway.client();
    let google = bare.clone().header("x-goog-api-key", MASTER_KEY);
    assert_eq!(google.post(&path, &says("a")).await.status, 200);
    let in_query = format!("{path}?key={MASTER_KEY}");
    assert_eq!(bare.post(&in_query, &says("a")).await.status, 200);
    for (client, path, status, name) in [
        (&bare, path.clone(), 401, "UNAUTHENTICATED"),
        (
            &bare,
            format!("{path}?key=sk-wrong"),
            401,
            "UNAUTHENTICATED",
        ),
        (
            &google,
            format!("{path}?key=sk-other"),
            400,
            "INVALID_ARGUMENT",
        ),
    ] {
        let answer = client.post(&path, &says("a")).await;
        assert_eq!(answer.status, status, "{path}");
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["code"], &error["status"]),
            (&json!(status), &json!(name))
        );
    }
    // So it may where all of Gemini's API is passed on.
    let passed = format!("/gemini{}", in_query.replace("/gpt:", "/gemini-2.5-flash:"));
    let answer = bare.post(&passed, &says("a")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.upstream.seen().pop().unwrap().query, None);
    // A query shows keys to nobody else.
    let chat = format!("{CHAT}?key={MASTER_KEY}");
    assert_eq!(bare.post(&chat, &says("a")).await.status, 401);
    assert!(!scene.gateway.log().contains(MASTER_KEY));
}

#[tokio::test]
async fn errors_are_googles_whoever_made_them() {
    let scene = scene().await;
    let generate = |model| path(model, "generateContent");
    let unknown = scene.client.post(&generate("nobody"), &says("a")).await;
    let missing = scene.client.post(&generate("gpt"), &json!({})).await;
    for answer in [&unknown, &missing] {
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["code"], 400);
        assert_eq!(answer.json()["error"]["status"], "INVALID_ARGUMENT");
    }
    assert!(missing.text().contains("contents"));
    for (model, name) in [
        ("gpt", "gpt-4o-mini"),
        ("claude", "claude-sonnet-4-5"),
        ("team/flash", "gemini-2.5-flash"),
    ] {
        scene
            .upstream
            .on_model(name, Reply::error(429, "slow down"));
        let answer = scene.client.post(&generate(model), &says("a")).await;
        assert_eq!(answer.status, 429, "{model}");
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["code"], &error["status"]),
            (&json!(429), &json!("RESOURCE_EXHAUSTED"))
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_of_its_form() {
    let scene = scene().await;
    let first = json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "one"}]}}]});
    let chunk = json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "one"}, "finish_reason": null}]});
    for (model, event) in [("team/flash", first), ("gpt", chunk)] {
        let event = event.to_string();
        let cut = || Reply {
            content: Content::Events(vec![event.clone(), event.clone()]),
            ending: Ending::CutAfter(format!("data: {event}\n\n").len()),
            ..Reply::default()
        };
        let path = path(model, "streamGenerateContent");
        scene.upstream.next(cut());
        let answer = scene
            .client
            .post(&format!("{path}?alt=sse"), &says("a"))
            .await;
        let told = events(&answer.text());
        scene.upstream.next(cut());
        let listed = scene.client.post(&path, &says("a")).await;
        let listed: Vec<Value> = serde_json::from_str(&listed.text()).unwrap();
        for all in [told, listed] {
            assert_eq!(words(&all), "one", "{model}");
            let error = &all[all.len() - 1]["error"];
            assert!(error["code"].as_u64().unwrap() >= 500, "{model}: {error}");
            assert!(error["status"].is_string());
        }
    }
}

#[tokio::test]
async fn models_are_listed_as_google_lists_them() {
    let scene = scene().await;
    let listed = scene.client.get("/v1beta/models").await.json();
    let models = listed["models"].as_array().unwrap();
    let named = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    assert_eq!(
        named("models/team/flash")["supportedGenerationMethods"],
        json!(["generateContent", "countTokens"])
    );
    assert_eq!(
        named("models/own-vectors")["supportedGenerationMethods"],
        json!(["embedContent"])
    );
    let one = scene.client.get("/v1beta/models/team/flash").await;
    assert_eq!(one.json(), *named("models/team/flash"));
    let google = scene.client.clone().header("x-goog-api-client", "genai");
    assert_eq!(google.get("/v1/models").await.json(), listed);
    assert_eq!(google.get("/v1/models/team/flash").await.json(), one.json());
    let none = scene.client.get("/v1beta/models/nobody").await;
    assert_eq!(none.json()["error"]["status"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn the_other_paths_lead_to_the_same_door() {
    let scene = scene().await;
    for path in [
        "/v1/models/gpt:generateContent",
        "/models/gpt:generateContent",
    ] {
        let answer = scene.client.post(path, &says("hello")).await;
        assert_eq!(words(&[answer.json()]), "You said: hello", "{path}");
    }
    assert_eq!(scene.client.get("/v1/models/gpt").await.status, 200);
    let got = scene.client.get("/v1/models/gpt:generateContent").await;
    assert_eq!(got.status, 405);
}
