//! Rows A8: what the headers of an answer say, and what those of a request ask.

use serde_json::json;
use support::scene::{CHAT, MODEL, Scene, saying, streaming};
use support::{Reply, gateway};

/// A scene whose deployment has a price.
async fn priced() -> Scene {
    let params = "input_cost_per_token: 0.000001\noutput_cost_per_token: 0.000002\n\
                  cache_read_input_token_cost: 0.0000005";
    Scene::with_params(gateway!(), params).await
}

#[tokio::test]
async fn an_answer_names_its_call_its_deployment_and_its_cost() {
    let scene = priced().await;
    let answer = scene.chat().await;
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}"));
    let id = header("x-litellm-call-id");
    assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
    assert!(!header("x-litellm-model-id").is_empty());
    assert_eq!(header("x-litellm-model-name"), format!("openai/{MODEL}"));
    assert_eq!(header("x-litellm-model-group"), "chat");
    assert_eq!(
        header("x-litellm-model-api-base"),
        scene.upstream.url("/v1")
    );
    assert!(!header("x-litellm-version").is_empty());
    // 16 fresh, 4 cached and 10 new tokens.
    assert!((header("x-litellm-response-cost").parse::<f64>().unwrap() - 0.000_038).abs() < 1e-12);
    for name in [
        "x-litellm-response-duration-ms",
        "x-litellm-overhead-duration-ms",
    ] {
        assert!(header(name).parse::<f64>().unwrap() >= 0.0, "{name}");
    }
    assert_eq!(header("x-litellm-attempted-retries"), "0");
    assert_eq!(header("x-litellm-attempted-fallbacks"), "0");
}

#[tokio::test]
async fn two_calls_have_two_ids_and_one_deployment_one() {
    let scene = priced().await;
    let (one, other) = (scene.chat().await, scene.chat().await);
    assert_ne!(
        one.header("x-litellm-call-id"),
        other.header("x-litellm-call-id")
    );
    assert_eq!(
        one.header("x-litellm-model-id"),
        other.header("x-litellm-model-id")
    );
}

#[tokio::test]
async fn a_callers_own_call_id_is_kept_unless_it_is_none() {
    let scene = priced().await;
    let asked = |id: &str| scene.client.clone().header("x-litellm-call-id", id);
    let own = asked("trace-17").post(CHAT, &saying("hi")).await;
    assert_eq!(own.header("x-litellm-call-id"), Some("trace-17"));
    for strange in ["a b", "<script>", &"x".repeat(500)] {
        let answer = asked(strange).post(CHAT, &saying("hi")).await;
        assert_eq!(
            answer.header("x-litellm-call-id").map(str::len),
            Some(36),
            "{strange}"
        );
    }
}

#[tokio::test]
async fn a_stream_names_the_same_before_it_knows_its_cost() {
    let scene = priced().await;
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    for name in [
        "x-litellm-call-id",
        "x-litellm-model-id",
        "x-litellm-model-api-base",
    ] {
        assert!(stream.header(name).is_some(), "{name}");
    }
    assert_eq!(stream.header("x-litellm-model-group"), Some("chat"));
    assert_eq!(stream.header("x-litellm-response-cost"), None);
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    stream.all().await;
}

#[tokio::test]
async fn the_providers_headers_come_with_a_prefix_but_not_its_cookies() {
    let scene = priced().await;
    let answer = scene.chat().await;
    assert_eq!(answer.header("llm_provider-x-request-id"), Some("req_fake"));
    assert_eq!(
        answer.header("llm_provider-x-ratelimit-remaining-requests"),
        Some("9999")
    );
    assert_eq!(
        answer.header("llm_provider-openai-processing-ms"),
        Some("12")
    );
    for name in [
        "set-cookie",
        "llm_provider-set-cookie",
        "openai-organization",
        "llm_provider-openai-organization",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let size: usize = answer
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    assert!(size < 4096, "{size} bytes of headers");
}

#[tokio::test]
async fn hostile_headers_of_a_provider_do_not_take_over_the_answer() {
    let scene = priced().await;
    let reply = Reply::default()
        .header("x-litellm-response-cost", "0")
        .header("x-litellm-model-id", "other")
        .header("content-disposition", "attachment")
        .header("access-control-allow-origin", "*");
    scene.upstream.next(reply);
    let answer = scene.chat().await;
    assert_ne!(answer.header("x-litellm-response-cost"), Some("0"));
    assert_ne!(answer.header("x-litellm-model-id"), Some("other"));
    assert_eq!(answer.header("content-disposition"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn an_error_after_the_key_check_names_its_call() {
    let scene = priced().await;
    let mut body = saying("hi");
    body["model"] = json!("nothing");
    let answer = scene.client.post(CHAT, &body).await;
    assert!(answer.header("x-litellm-call-id").is_some());
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0"));
    assert_eq!(answer.header("x-pointsman-error-source"), Some("client"));
}

#[tokio::test]
async fn a_base_url_is_shown_without_what_is_private_in_it() {
    let upstream = support::Upstream::start().await;
    let base = upstream
        .url("/v1")
        .replace("http://", "http://user:pw-canary@");
    let config = "model_list:\n  - model_name: chat\n    litellm_params:\n      model: openai/m\n      \
                  api_base: os.environ/TEST_BASE\n      api_key: os.environ/TEST_UPSTREAM_KEY\n\
                  general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n";
    let setup = gateway!().env("TEST_BASE", &format!("{base}?sig=q-canary"));
    let scene = Scene::between(upstream, setup, config).await;
    let answer = scene.chat().await;
    let shown = answer
        .header("x-litellm-model-api-base")
        .unwrap_or_default();
    assert!(!shown.contains("canary"), "{shown}");
    let metrics = scene.client.get("/metrics").await.text();
    for told in [answer.text(), metrics, scene.gateway.log()] {
        assert!(!told.contains("canary"), "{told}");
    }
}
