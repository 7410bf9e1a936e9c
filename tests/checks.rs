//! Rows A12-01 and A15-25: background health checks, what they cost, and who goes by them.

use std::time::Duration;

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, saying};
use support::{Reply, Upstream, gateway, soon};

/// Two deployments of `chat` and one of `vectors`, checked once a second.
async fn checked(info: &str, router: &str, general: &str) -> Scene {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let entry = |group: &str, id: &str, info: &str| {
        format!(
            "  - model_name: {group}\n    litellm_params: {{model: openai/{id}, api_base: \"{base}\", \
             api_key: os.environ/TEST_UPSTREAM_KEY}}\n    model_info: {{id: {id}{info}}}\n"
        )
    };
    let config = format!(
        "model_list:\n{}{}{}router_settings:\n  num_retries: 0\n{router}general_settings:\n  \
         master_key: os.environ/TEST_MASTER_KEY\n  background_health_checks: true\n  \
         health_check_interval: 1\n{general}",
        entry("chat", "first", info),
        entry("chat", "second", ""),
        entry("vectors", "third", ", mode: embedding")
    );
    Scene::between(upstream, gateway!(), &config).await
}

async fn health(scene: &Scene, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let told = scene.client.get("/health/latest").await.json();
            if wanted(&told["latest_health_checks"]) {
                return scene.client.get("/health").await.json();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("a round of health checks", asking).await
}

fn all_done(checks: &Value) -> bool {
    ["first", "second", "third"]
        .iter()
        .all(|id| !checks[id].is_null())
}

#[tokio::test]
async fn health_is_answered_from_the_last_round_of_cheap_probes() {
    let scene = checked(", health_check_max_tokens: 1", "", "").await;
    let body = health(&scene, all_done).await;
    assert_eq!(
        (&body["healthy_count"], &body["unhealthy_count"]),
        (&json!(3), &json!(0)),
        "{body}"
    );
    let one = scene.client.get("/health?model_id=second").await.json();
    assert_eq!(one["healthy_endpoints"][0]["model_id"], "second", "{one}");
    assert_eq!(one["healthy_count"], 1);
    let probes = scene.upstream.seen();
    let of = |model: &str| {
        let found = probes.iter().find(|seen| seen.json()["model"] == model);
        found.unwrap().json()
    };
    assert_eq!(of("first")["max_tokens"], 1);
    assert_eq!(of("second")["max_tokens"], 5);
    assert_eq!(of("third")["input"], json!(["ping"]));
    // Each answer to `/health` would have been three probes more.
    let before = scene.upstream.seen().len();
    for _ in 0..20 {
        scene.client.get("/health").await;
    }
    assert!(scene.upstream.seen().len() < before + 60);
    assert_eq!(
        scene.gateway.client().get("/health/latest").await.status,
        401
    );
}

#[tokio::test]
async fn what_was_found_is_kept_and_counted() {
    let scene = checked("", "", "").await;
    scene
        .upstream
        .on_model("first", Reply::error(500, "it is down"));
    health(&scene, |checks| checks["first"]["status"] == "unhealthy").await;
    let history = scene
        .client
        .get("/health/history?model=first&status_filter=unhealthy&limit=1")
        .await
        .json();
    let found = history["health_checks"].as_array().unwrap();
    assert_eq!(
        (found.len(), &history["limit"]),
        (1, &json!(1)),
        "{history}"
    );
    assert!(history["total_records"].as_u64().unwrap() >= 1);
    assert_eq!(found[0]["model_name"], "chat");
    let error = found[0]["error_message"].as_str().unwrap();
    assert!(error.contains("it is down"), "{error}");
    assert!(found[0]["checked_at"].as_str().unwrap().ends_with('Z'));
    let metrics = scene.client.get("/metrics").await.text();
    assert!(
        metrics.contains(r#"pointsman_deployment_healthy{model_id="first"} 0"#),
        "{metrics}"
    );
    assert!(
        metrics.contains("pointsman_health_checks_total{"),
        "{metrics}"
    );
    // Nobody is billed for it.
    assert!(
        !metrics.contains("litellm_spend_metric_total{"),
        "{metrics}"
    );
}

const ROUTED: &str = "  enable_health_check_routing: true\n";

#[tokio::test]
async fn those_found_down_are_asked_last() {
    let scene = checked("", ROUTED, "").await;
    scene.upstream.on_model("first", Reply::error(500, "down"));
    health(&scene, |checks| {
        checks["first"]["status"] == "unhealthy" && checks["second"]["status"] == "healthy"
    })
    .await;
    for _ in 0..10 {
        let answer = scene.chat().await;
        assert_eq!(
            answer.header("x-litellm-model-id"),
            Some("second"),
            "{}",
            answer.text()
        );
    }
    // If all are down, they are asked all the same: the checks may be wrong.
    scene.upstream.on_model("second", Reply::error(500, "down"));
    health(&scene, |checks| checks["second"]["status"] == "unhealthy").await;
    let mut told = saying("hi");
    told["num_retries"] = json!(0);
    let answer = scene.client.post(CHAT, &told).await;
    assert_eq!(answer.status, 500, "{}", answer.text());
    // And when they are up again, all are.
    for model in ["first", "second"] {
        scene.upstream.on_model(model, Reply::default());
    }
    health(&scene, |checks| {
        checks["first"]["status"] == "healthy" && checks["second"]["status"] == "healthy"
    })
    .await;
    assert_eq!(scene.chat().await.status, 200);
}

#[tokio::test]
async fn without_the_switch_nobody_goes_by_the_checks() {
    for (router, general, error, why) in [
        ("", "", Reply::error(500, "down"), "it is off"),
        (
            ROUTED,
            "  health_check_ignore_transient_errors: true\n",
            Reply::rate_limited("1"),
            "a limit passes",
        ),
    ] {
        let scene = checked("", router, general).await;
        scene.upstream.on_model("first", error);
        health(&scene, |checks| checks["first"]["status"] == "unhealthy").await;
        scene.upstream.on_model("first", Reply::default());
        let told = scene.client.post("/router/explain", &saying("hi")).await;
        let told = told.json();
        let states = told["candidates"].as_array().unwrap();
        assert!(
            states.iter().all(|one| one["state"]["health"] == "up"),
            "{why}: {told}"
        );
    }
}

#[tokio::test]
async fn a_deployment_may_be_left_out_of_the_rounds() {
    let scene = checked(", disable_background_health_check: true", "", "").await;
    let body = health(&scene, |checks| !checks["second"].is_null()).await;
    assert_eq!(body["healthy_count"], 2, "{body}");
    assert!(
        scene
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.json()["model"] != "first")
    );
}

#[tokio::test]
async fn a_pattern_is_probed_by_the_model_that_stands_for_it() {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let config = format!(
        "model_list:
  - model_name: \"openai/*\"
    litellm_params: {{model: \"openai/*\", api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY}}
    model_info: {{health_check_model: openai/gpt-4o-mini}}
  - model_name: \"gpt-*\"
    litellm_params: {{model: \"openai/gpt-*\", api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY}}
    model_info: {{health_check_model: openai/gpt-4o}}
  - model_name: \"o*\"
    litellm_params: {{model: \"openai/o*\", api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
"
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    let body = scene.client.get("/health").await.json();
    assert_eq!(
        (&body["healthy_count"], &body["unhealthy_count"]),
        (&json!(2), &json!(1)),
        "{body}"
    );
    let error = body["unhealthy_endpoints"][0]["error"].as_str().unwrap();
    assert!(error.contains("health_check_model"), "{error}");
    let mut asked: Vec<_> = scene
        .upstream
        .seen()
        .iter()
        .map(|seen| seen.json()["model"].as_str().unwrap().to_owned())
        .collect();
    asked.sort();
    assert_eq!(asked, ["gpt-4o", "gpt-4o-mini"]);
}

#[tokio::test]
async fn a_check_asks_the_model_that_is_named_for_it_and_calls_the_deployments_own() {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let config = format!(
        "model_list:
  - model_name: dear
    litellm_params: {{model: openai/dear, api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY}}
    model_info: {{health_check_model: openai/cheap}}
  - model_name: words
    litellm_params: {{model: openai/words, api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY}}
    model_info: {{mode: embedding, health_check_model: org/few-words}}
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
"
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    scene.client.get("/health").await;
    let call = json!({"model": "dear", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(
        scene
            .client
            .post("/v1/chat/completions", &call)
            .await
            .status,
        200
    );
    let seen = scene.upstream.seen();
    let mut asked: Vec<_> = seen
        .iter()
        .map(|seen| seen.json()["model"].as_str().unwrap().to_owned())
        .collect();
    asked[..2].sort();
    assert_eq!(asked, ["cheap", "org/few-words", "dear"]);
}
