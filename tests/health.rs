//! Rows A12 and A1-15: what probes and monitors see.

use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, Scene, saying, streaming};
use support::{Content, Reply, gateway, process::Process};

#[tokio::test]
async fn liveness_is_a_word_and_needs_no_key() {
    let scene = Scene::start(gateway!()).await;
    for path in ["/health/liveliness", "/health/liveness"] {
        let answer = scene.gateway.client().get(path).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!("I'm alive!")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn readiness_needs_no_key_and_asks_no_provider() {
    let scene = Scene::start(gateway!()).await;
    let answer = scene.gateway.client().get("/health/readiness").await;
    let body = answer.json();
    assert_eq!((answer.status, &body["status"]), (200, &json!("healthy")));
    assert!(body.get("db").is_some(), "{body}");
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn health_without_a_key_is_cheap_and_names_nothing() {
    let scene = Scene::start(gateway!()).await;
    let answer = scene.gateway.client().get("/health").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    assert!(
        !text.contains("chat") && !text.contains("gpt-4o") && !text.contains("127.0.0.1"),
        "{text}"
    );
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn health_with_the_key_asks_every_deployment() {
    let scene = Scene::start(gateway!()).await;
    let body = scene.client.get("/health").await.json();
    assert_eq!(
        (&body["healthy_count"], &body["unhealthy_count"]),
        (&json!(1), &json!(0)),
        "{body}"
    );
    assert_eq!(
        body["healthy_endpoints"][0]["model"], "openai/gpt-4o-mini",
        "{body}"
    );
    assert_eq!(scene.upstream.seen().len(), 1);
    scene.upstream.on_model(
        "gpt-4o-mini",
        Reply {
            status: 500,
            content: Content::Usual,
            ..Reply::default()
        },
    );
    let body = scene.client.get("/health").await.json();
    assert_eq!(
        (&body["healthy_count"], &body["unhealthy_count"]),
        (&json!(0), &json!(1)),
        "{body}"
    );
    assert!(
        body["unhealthy_endpoints"][0]["error"].is_string(),
        "{body}"
    );
    assert!(!body.to_string().contains("sk-"), "{body}");
}

#[tokio::test]
async fn health_with_a_wrong_key_is_refused() {
    let scene = Scene::start(gateway!()).await;
    assert_eq!(
        scene
            .gateway
            .client()
            .key("sk-wrong")
            .get("/health")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn the_binary_probes_itself() {
    let scene = Scene::start(gateway!()).await;
    let url = scene.gateway.url("/health/readiness");
    let probe = async || {
        let binary = env!("CARGO_BIN_EXE_pointsman").as_ref();
        let process = Process::start(binary, ["healthcheck", "--url", &url], &[]).unwrap();
        process.exit().await.code()
    };
    assert_eq!(probe().await, Some(0));
    drop(scene);
    assert_eq!(probe().await, Some(1));
}

#[tokio::test]
async fn metrics_have_litellms_names() {
    let scene = Scene::with_params(gateway!(), "input_cost_per_token: 0.000001").await;
    assert_eq!(scene.chat().await.status, 200);
    scene
        .client
        .stream(CHAT, &streaming("hi"))
        .await
        .all()
        .await;
    scene.upstream.next(Reply::error(500, "x"));
    assert_eq!(scene.chat().await.status, 500);
    assert_eq!(scene.gateway.client().get("/metrics").await.status, 401);
    let answer = scene.client.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for name in [
        "litellm_proxy_total_requests_metric",
        "litellm_proxy_failed_requests_metric",
        "litellm_request_total_latency_metric",
        "litellm_llm_api_latency_metric",
        "litellm_input_tokens_metric",
        "litellm_output_tokens_metric",
        "litellm_total_tokens_metric",
        "litellm_spend_metric",
    ] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
    assert!(!text.contains(MASTER_KEY), "{text}");
    let of_inputs = |line: &&str| line.starts_with("litellm_input_tokens_metric");
    let line = text.lines().find(of_inputs).unwrap_or_default();
    assert!(line.ends_with(" 40"), "two calls of 20 tokens: {line}");
}

#[tokio::test]
async fn metrics_can_be_open() {
    let sections = "litellm_settings:\n  require_auth_for_metrics_endpoint: false\n";
    let scene = Scene::with(gateway!(), sections).await;
    for path in ["/metrics", "/metrics/"] {
        assert_eq!(scene.gateway.client().get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_front_page_says_what_runs_here() {
    let scene = Scene::start(gateway!()).await;
    let answer = scene.gateway.client().get("/").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().to_lowercase().contains("pointsman"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn each_request_has_one_line_in_the_log() {
    let scene = Scene::start(gateway!()).await;
    let client = scene
        .client
        .clone()
        .header("x-litellm-call-id", "line-of-a-call");
    assert_eq!(client.post(CHAT, &saying("the-prompt")).await.status, 200);
    scene.gateway.until_log("line-of-a-call").await;
    let log = scene.gateway.log();
    let mut lines = log.lines().filter(|line| line.contains("line-of-a-call"));
    let line: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(lines.next(), None, "{log}");
    assert_eq!(
        (&line["model_group"], &line["status"]),
        (&json!("chat"), &json!(200)),
        "{line}"
    );
    assert_eq!(
        (&line["prompt_tokens"], &line["completion_tokens"]),
        (&json!(20), &json!(10)),
        "{line}"
    );
    for name in ["key", "model_id", "cost", "latency_ms", "ttft_ms"] {
        assert!(line.get(name).is_some(), "{name} in {line}");
    }
    assert!(!log.contains("the-prompt"), "{log}");
}
