//! Rows A15-04, A15-06, A15-09, A14-13 and A8-08: what a provider says of its limits is heeded, and
//! what led to a fallback is told to whoever asks.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::time::Duration;

use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, Scene, keyed, saying};
use support::{Client, Reply, Upstream, gateway};

/// Two deployments of `chat` with more parameters, and a spare, all at one upstream.
async fn trio(params: &str, router: &str, general: &str) -> Scene {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let entry = |group: &str, id: &str, params: &str| {
        format!(
            "  - model_name: {group}\n    litellm_params: {{model: openai/{id}, api_base: \"{base}\", \
             api_key: os.environ/TEST_UPSTREAM_KEY{params}}}\n    model_info: {{id: {id}}}\n"
        )
    };
    let config = format!(
        "model_list:\n{}{}{}router_settings:\n  fallbacks: [{{chat: [spare]}}]\n{router}\
         general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n{general}",
        entry("chat", "first", params),
        entry("chat", "second", params),
        entry("spare", "spare", "")
    );
    Scene::between(upstream, gateway!(), &config).await
}

/// Seconds that the deployment of this id still rests.
async fn rests(scene: &Scene, id: &str) -> Option<f64> {
    let told = scene.client.post("/router/explain", &saying("hi")).await;
    let told = told.json();
    let candidates = told["candidates"].as_array().unwrap();
    let found = candidates.iter().find(|one| one["id"] == id).unwrap();
    let detail = found["excluded"]["detail"].as_str()?;
    detail.strip_suffix(" s left")?.parse().ok()
}

fn limited(headers: &[(&str, &str)]) -> Reply {
    let reply = Reply::error(429, "Rate limit reached");
    headers
        .iter()
        .fold(reply, |reply, (name, value)| reply.header(name, value))
}

#[tokio::test]
async fn a_cooldown_is_as_long_as_the_provider_says_in_whatever_form() {
    let forms: [(&[(&str, &str)], f64); 5] = [
        (&[("retry-after", "300")], 300.0),
        (&[("retry-after-ms", "400000")], 400.0),
        (
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "8m20s"),
            ],
            500.0,
        ),
        (
            &[
                ("x-ratelimit-remaining-requests", "9"),
                ("x-ratelimit-reset-requests", "1h"),
                ("x-ratelimit-remaining-tokens", "3"),
                ("x-ratelimit-reset-tokens", "10m0s"),
            ],
            600.0,
        ),
        (&[], 200.0),
    ];
    for (headers, wanted) in forms {
        let scene = trio("", "  cooldown_time: 200\n", "").await;
        for model in ["first", "second"] {
            scene.upstream.on_model(model, limited(headers));
        }
        assert_eq!(scene.chat().await.status, 200);
        for id in ["first", "second"] {
            let left = rests(&scene, id).await.unwrap();
            assert!(
                left > wanted - 60.0 && left <= wanted,
                "{headers:?}: {left}"
            );
        }
    }
}

#[tokio::test]
async fn anthropics_instants_are_read_too() {
    let scene = trio("", "", "").await;
    // An instant that is past when this is read in a hundred years, and not before.
    let headers = [
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2126-01-01T00:00:00Z"),
    ];
    scene.upstream.on_model("first", limited(&headers));
    scene.upstream.on_model("second", limited(&headers));
    assert_eq!(scene.chat().await.status, 200);
    // No provider keeps a deployment away for longer than an hour.
    let left = rests(&scene, "first").await.unwrap();
    assert!(left > 3_540.0 && left <= 3_600.0, "{left}");
}

#[tokio::test]
async fn the_end_of_an_organisations_quota_rests_all_who_share_it() {
    let spent = [
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    for (quota, headers, asked) in [
        (", quota_group: acme", &spent[..], 1),
        // A limit of the one key alone, and keys of several organisations.
        (", quota_group: acme", &[("retry-after", "360")][..], 2),
        ("", &spent[..], 2),
    ] {
        let scene = trio(quota, "", "").await;
        for model in ["first", "second"] {
            scene.upstream.on_model(model, limited(headers));
        }
        for _ in 0..3 {
            assert_eq!(scene.chat().await.json()["model"], "spare");
        }
        let seen = scene.upstream.seen();
        let in_vain = seen.iter().filter(|seen| seen.json()["model"] != "spare");
        assert_eq!(in_vain.count(), asked, "{quota} {headers:?}");
    }
}

#[tokio::test]
async fn a_caller_is_told_when_to_come_again_if_only_a_limit_says_so() {
    let scene = trio("", "  num_retries: 0\n", "").await;
    let headers = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m30.5s"),
    ];
    scene.upstream.next(limited(&headers));
    let mut body = saying("hi");
    body["disable_fallbacks"] = json!(true);
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("91"));
}

#[tokio::test]
async fn pauses_follow_the_backoff_of_the_file() {
    let upstream = Upstream::start().await;
    let config = support::scene::config(&upstream, "").replace(
        "num_retries: 0",
        "num_retries: 3\n  backoff: {base: 20ms, factor: 1, max: 1, jitter: none}",
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    for _ in 0..3 {
        scene.upstream.next(Reply::error(500, "down"));
    }
    let answer = scene.chat().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-litellm-attempted-retries"), Some("3"));
}

#[tokio::test]
async fn what_led_to_a_fallback_is_told_to_those_who_ask_where_the_file_allows() {
    let open = "  expose_fallback_errors_to_caller: true\n";
    for (general, asks, told) in [(open, true, true), (open, false, false), ("", true, false)] {
        let scene = trio("", "  num_retries: 0\n", general).await;
        for model in ["first", "second"] {
            scene
                .upstream
                .on_model(model, Reply::error(503, "zu spät für \"heute\""));
        }
        let mut body = saying("hi");
        body["include_fallback_errors"] = json!(asks);
        let answer = scene.client.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let header = answer.header("x-litellm-fallback-errors");
        assert_eq!(header.is_some(), told, "{general} {asks}");
        let sent = scene.upstream.seen().pop().unwrap().json();
        assert_eq!(sent.get("include_fallback_errors"), None);
        let Some(header) = header else { continue };
        let errors: Value = serde_json::from_str(header).unwrap();
        let [error] = errors.as_array().unwrap().as_slice() else {
            panic!("{errors}")
        };
        assert_eq!(
            (&error["type"], &error["param"], &error["code"]),
            (
                &json!("ServiceUnavailableError"),
                &Value::Null,
                &json!("503")
            )
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("zu spät für \"heute\""), "{message}");
    }
}

#[tokio::test]
async fn the_two_refusals_with_fallbacks_of_their_own_bear_their_names() {
    let scene = trio("", "  num_retries: 0\n", "").await;
    for (said, class) in [
        (
            "This model's maximum context length is 8 tokens.",
            "ContextWindowExceededError",
        ),
        (
            "Your request was rejected as a result of our safety system.",
            "ContentPolicyViolationError",
        ),
    ] {
        scene.upstream.next(Reply::error(400, said));
        let mut body = saying("hi");
        body["disable_fallbacks"] = json!(true);
        let answer = scene.client.post(CHAT, &body).await;
        assert_eq!(answer.status, 400);
        let message = answer.json()["error"]["message"].to_string();
        let begins =
            format!("\"litellm.{class}: litellm.BadRequestError: {class}: OpenAIException");
        assert!(message.starts_with(&begins), "{message}");
        let metrics = scene.client.get("/metrics").await.text();
        let counted = format!(r#"exception_class="Openai.{class}""#);
        assert!(metrics.contains(&counted), "{metrics}");
        let call = answer.header("x-litellm-call-id").unwrap();
        let kept = scene.client.get(&format!("/router/decisions/{call}")).await;
        let word = if class.starts_with("Context") {
            "context_window"
        } else {
            "content_policy"
        };
        assert!(kept.text().contains(word), "{}", kept.text());
    }
}

/// Waits until a page says what is wanted.
async fn until(client: &Client, path: &str, wanted: impl Fn(&str) -> bool) {
    let asking = async {
        while !wanted(&client.get(path).await.text()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    support::soon(path, asking).await;
}

#[tokio::test]
async fn failed_attempts_of_a_caller_who_left_are_counted() {
    let upstream = Upstream::start().await;
    let config = support::scene::config(&upstream, "").replace(
        "num_retries: 0",
        "num_retries: 1\n  backoff: {base: 1h, max: 1h, jitter: none}",
    );
    let gateway = keyed(gateway!()).config(&config).start().await;
    upstream.next(Reply::error(500, "down"));
    let client = gateway.client().key(MASTER_KEY);
    let asking = tokio::spawn({
        let client = client.clone().header("x-litellm-call-id", "left-early");
        async move { client.post(CHAT, &saying("hi")).await.status }
    });
    // The caller leaves during the pause.
    until(&client, "/router/decisions/left-early", |kept| {
        kept.contains(r#""outcome":"server""#)
    })
    .await;
    asking.abort();
    until(&client, "/metrics", |metrics| {
        metrics.lines().any(|line| {
            line.starts_with("litellm_deployment_failure_responses_total")
                && line.contains(r#"exception_class="Openai.InternalServerError""#)
                && line.ends_with(" 1")
        })
    })
    .await;
}
