//! OpenAI's older completions, before every kind of upstream: a prompt in, `choices[].text` out. Vertex AI's
//! are in `vertex.rs`, with its credentials.

use serde_json::{Value, json};
use support::scene::Scene;
use support::{Upstream, gateway};

const PATH: &str = "/v1/completions";
const KINDS: [&str; 6] = [
    "openai",
    "anthropic",
    "gemini",
    "bedrock",
    "cohere",
    "ollama",
];

/// One group for each kind.
async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    let (root, v1) = (upstream.url(""), upstream.url("/v1"));
    let models = [
        ("openai/gpt-3.5-turbo-instruct", &v1),
        ("anthropic/claude-sonnet-4-5", &root),
        ("gemini/gemini-2.5-flash", &root),
        ("bedrock/anthropic.claude-opus-4-6-v1", &root),
        ("cohere/command-a-03-2025", &root),
        ("ollama/llama3.2", &root),
    ];
    let entries = KINDS.iter().zip(models).map(|(name, (model, base))| {
        format!(
            "- model_name: {name}
  litellm_params: {{model: {model}, api_base: {base}, api_key: os.environ/TEST_UPSTREAM_KEY}}
"
        )
    });
    let config = format!(
        "model_list:
{}general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
router_settings: {{num_retries: 0}}
",
        entries.collect::<String>()
    );
    Scene::between(upstream, gateway!(), &config).await
}

#[tokio::test]
async fn a_prompt_is_completed_at_every_kind_of_upstream() {
    let scene = scene().await;
    for kind in KINDS {
        let body =
            json!({"model": kind, "prompt": "hi there", "max_tokens": 9, "temperature": 0.5});
        let answer = scene.client.post(PATH, &body).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["object"], "text_completion", "{kind}: {answer}");
        assert!(
            !answer["choices"][0]["text"].as_str().unwrap().is_empty(),
            "{kind}: {answer}"
        );
        assert!(
            answer["choices"][0]["finish_reason"].is_string(),
            "{kind}: {answer}"
        );
        assert!(
            answer["usage"]["total_tokens"].as_u64().unwrap() > 0,
            "{kind}: {answer}"
        );
        let sent = scene.upstream.seen().pop().unwrap();
        let said = String::from_utf8_lossy(&sent.body).into_owned();
        assert!(said.contains("hi there"), "{kind}: {said}");
    }
}

#[tokio::test]
async fn a_completion_is_streamed_from_every_kind_of_upstream() {
    let scene = scene().await;
    for kind in KINDS {
        let body = json!({"model": kind, "prompt": "hi there", "max_tokens": 9, "stream": true});
        let mut events = scene.client.stream(PATH, &body).await.all().await;
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{kind}");
        let chunks = events
            .iter()
            .map(|event| serde_json::from_str::<Value>(event).unwrap());
        let chunks: Vec<Value> = chunks.collect();
        let text = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["text"].as_str());
        assert!(!text.collect::<String>().is_empty(), "{kind}: {chunks:?}");
        let ends = chunks
            .iter()
            .filter(|chunk| chunk["choices"][0]["finish_reason"].is_string());
        assert_eq!(ends.count(), 1, "{kind}: {chunks:?}");
    }
}
