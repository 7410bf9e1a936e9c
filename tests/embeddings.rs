//! `/v1/embeddings` at every provider that has some, and `/v1/moderations` and
//! `/v1/images/generations` at those that speak OpenAI's protocol.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(non_snake_case, reason = "the provider stands before the capability")]

use serde_json::{Value, json};
use support::scene::Scene;
use support::upstream::Speaks;
use support::{Answer, Upstream, gateway};

/// A group `m` of this model; `base` is the path of its address.
async fn scene(upstream: Upstream, model: &str, base: &str, more: &str) -> Scene {
    let config = format!(
        "model_list:
- model_name: m
  litellm_params:
    model: {model}
    api_base: {}
    api_key: os.environ/TEST_UPSTREAM_KEY
{more}general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url(base)
    );
    Scene::between(upstream, gateway!(), &config).await
}

async fn embed(scene: &Scene, more: Value) -> Answer {
    let mut body = json!({"model": "m", "input": ["a", "b"]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    scene.client.post("/v1/embeddings", &body).await
}

/// Both encodings, whatever the provider sends.
async fn both_encodings(scene: &Scene) {
    let answer = embed(scene, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(value["data"].as_array().unwrap().len(), 2);
    assert_eq!(value["data"][1]["index"], 1);
    assert_eq!(value["data"][0]["embedding"], json!([0.5, -1.0]));
    assert_eq!(
        (&value["object"], &value["model"]),
        (&json!("list"), &json!("m"))
    );
    assert!(
        value["usage"]["prompt_tokens"].as_u64() > Some(0),
        "{value}"
    );
    let answer = embed(scene, json!({"encoding_format": "base64"})).await;
    let value: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(value["data"][0]["embedding"], "AAAAPwAAgL8=");
}

#[tokio::test]
async fn cohere__embeds() {
    let scene = scene(Upstream::start().await, "cohere/embed-v4.0", "", "").await;
    both_encodings(&scene).await;
    embed(
        &scene,
        json!({"input_type": "search_query", "dimensions": 256}),
    )
    .await;
    let sent = scene.upstream.seen().pop().unwrap();
    assert_eq!(
        (sent.path.as_str(), &sent.json()["output_dimension"]),
        ("/v2/embed", &json!(256))
    );
    assert_eq!(sent.json()["input_type"], "search_query");
    let answer = embed(&scene, json!({"input": [[1, 2]]})).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("tokens"), "{}", answer.text());
}

#[tokio::test]
async fn ollama__embeds() {
    let scene = scene(Upstream::start().await, "ollama/nomic-embed-text", "", "").await;
    both_encodings(&scene).await;
    assert_eq!(scene.upstream.seen()[0].path, "/api/embed");
}

#[tokio::test]
async fn gemini__embeds() {
    let upstream = Upstream::start().await;
    let scene = scene(upstream, "gemini/gemini-embedding-001", "", "").await;
    let answer = embed(&scene, json!({"dimensions": 256})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(value["data"].as_array().unwrap().len(), 2);
    assert!(value["data"][1]["embedding"].is_array(), "{value}");
    let answer = embed(&scene, json!({"encoding_format": "base64"})).await;
    let value: Value = serde_json::from_str(&answer.text()).unwrap();
    assert!(value["data"][0]["embedding"].is_string(), "{value}");
}

#[tokio::test]
async fn voyage__embeds() {
    let upstream = Upstream::speaking(Speaks::Voyage).await;
    let scene = scene(
        upstream,
        "voyage/voyage-3.5",
        "/v1",
        "    input_type: document\n",
    )
    .await;
    both_encodings(&scene).await;
    // The file's word stands where the caller gives none.
    assert_eq!(scene.upstream.seen()[0].json()["input_type"], "document");
}

#[tokio::test]
async fn voyage__embeds_images() {
    let upstream = Upstream::speaking(Speaks::Voyage).await;
    let scene = scene(upstream, "voyage/voyage-multimodal-3", "/v1", "").await;
    let answer = embed(&scene, json!({"input": ["data:image/png;base64,AAAA"]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.upstream.only().path, "/v1/multimodalembeddings");
}

#[tokio::test]
async fn jina__embeds() {
    let upstream = Upstream::speaking(Speaks::Jina).await;
    let scene = scene(upstream, "jina_ai/jina-embeddings-v3", "/v1", "").await;
    both_encodings(&scene).await;
}

#[tokio::test]
async fn embeddings_that_are_too_few_are_no_answer() {
    let upstream = Upstream::speaking(Speaks::Voyage).await;
    let scene = scene(upstream, "voyage/voyage-3.5", "/v1", "    max_retries: 0\n").await;
    let one = json!({"data": [{"index": 0, "embedding": [1]}], "usage": {"total_tokens": 1}});
    for _ in 0..4 {
        scene.upstream.next(support::Reply {
            content: support::Content::Json(one.clone()),
            ..support::Reply::default()
        });
    }
    assert_eq!(embed(&scene, json!({})).await.status, 502);
}

#[tokio::test]
async fn openai__moderates() {
    let scene = scene(
        Upstream::start().await,
        "openai/omni-moderation-latest",
        "/v1",
        "",
    )
    .await;
    let body = json!({"model": "m", "input": ["a", "b"]});
    let answer = scene.client.post("/v1/moderations", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(value["results"].as_array().unwrap().len(), 2);
    assert_eq!(value["model"], "m");
    assert_eq!(
        scene.upstream.only().json()["model"],
        "omni-moderation-latest"
    );
}

#[tokio::test]
async fn openai__makes_images() {
    let price = "    output_cost_per_image: 0.04\n";
    let scene = scene(Upstream::start().await, "openai/dall-e-3", "/v1", price).await;
    let body = json!({"model": "m", "prompt": "a hare", "n": 2});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.08"));
    assert_eq!(scene.upstream.only().path, "/v1/images/generations");
}

#[tokio::test]
async fn what_a_provider_does_not_have_is_said() {
    let scene = scene(Upstream::start().await, "cohere/command-a-03-2025", "", "").await;
    let body = json!({"model": "m", "prompt": "a hare"});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert_eq!(answer.status, 501, "{}", answer.text());
    assert!(scene.upstream.seen().is_empty());
}
