//! `/v1/rerank` in Cohere's shape, at every provider that ranks.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(non_snake_case, reason = "the provider stands before the capability")]

use serde_json::{Value, json};
use support::scene::Scene;
use support::upstream::Speaks;
use support::{Upstream, gateway};

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

fn asked() -> Value {
    json!({"model": "m", "query": "q", "documents": ["a", {"text": "longer", "title": "T"}],
        "top_n": 2, "return_documents": true})
}

async fn rank(scene: &Scene, path: &str) -> Value {
    let answer = scene.client.post(path, &asked()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value: Value = serde_json::from_str(&answer.text()).unwrap();
    // The caller's own words come back, whatever the provider was sent.
    assert_eq!(value["results"][0]["index"], 1);
    assert_eq!(
        value["results"][0]["document"],
        json!({"text": "longer", "title": "T"})
    );
    assert_eq!(value["results"][1]["document"], json!({"text": "a"}));
    value
}

#[tokio::test]
async fn cohere__ranks() {
    let price = "    input_cost_per_query: 0.002\n";
    let scene = scene(Upstream::start().await, "cohere/rerank-v3.5", "", price).await;
    for path in ["/v1/rerank", "/rerank", "/v2/rerank"] {
        let value = rank(&scene, path).await;
        assert_eq!(value["meta"]["billed_units"]["search_units"], 1);
    }
    assert_eq!(scene.upstream.seen()[0].path, "/v2/rerank");
    let answer = scene.client.post("/v1/rerank", &asked()).await;
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.002"));
}

#[tokio::test]
async fn voyage__ranks() {
    let upstream = Upstream::speaking(Speaks::Voyage).await;
    let scene = scene(upstream, "voyage/rerank-2", "/v1", "").await;
    let value = rank(&scene, "/v1/rerank").await;
    assert_eq!(value["meta"]["tokens"]["input_tokens"], 26);
    assert_eq!(scene.upstream.only().json()["top_k"], 2);
}

#[tokio::test]
async fn jina__ranks() {
    let upstream = Upstream::speaking(Speaks::Jina).await;
    let model = "jina_ai/jina-reranker-v2-base-multilingual";
    let scene = scene(upstream, model, "/v1", "").await;
    rank(&scene, "/v1/rerank").await;
}

#[tokio::test]
async fn a_ranking_without_documents_is_refused() {
    let scene = scene(Upstream::start().await, "cohere/rerank-v3.5", "", "").await;
    let answer = scene
        .client
        .post("/v1/rerank", &json!({"model": "m", "query": "q"}))
        .await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("documents"), "{}", answer.text());
}
