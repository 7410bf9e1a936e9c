//! Rows A15-21 and A14-11, A14-12: slow deployments are left for others or doubled, and requests wait
//! for room.

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Client, Ending, Reply, Upstream, gateway, soon};

/// Deployments of `chat` at one upstream: the id, which is the model, and more parameters.
async fn scene(deployments: &[(&str, &str)], router: &str) -> Scene {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let entries = deployments.iter().map(|(id, params)| {
        let group = if *id == "spare" { "spare" } else { "chat" };
        format!(
            "  - model_name: {group}\n    litellm_params: {{model: openai/{id}, api_base: \"{base}\", \
             api_key: os.environ/TEST_UPSTREAM_KEY{params}}}\n    model_info: {{id: {id}}}\n"
        )
    });
    let entries: String = entries.collect();
    let config = format!(
        "model_list:\n{entries}router_settings:\n{router}general_settings:\n  master_key: \
         os.environ/TEST_MASTER_KEY\n"
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn held() -> Reply {
    Reply {
        hold_head: true,
        ..Reply::default()
    }
}

async fn counted(client: &Client, parts: &[&str]) {
    let counting = async {
        loop {
            let metrics = client.get("/metrics").await.text();
            let has = |line: &str| parts.iter().all(|part| line.contains(part));
            if metrics.lines().any(has) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    soon(&format!("{parts:?} in the metrics"), counting).await;
}

#[tokio::test]
async fn a_stream_without_a_first_event_goes_elsewhere_and_the_caller_sees_nothing_of_it() {
    for (params, router) in [
        ("", "  ttft_timeout: 0.1\n"),
        (", ttft_timeout: 0.1", ""),
        ("", "  model_group_ttft_timeout: {chat: 0.1}\n"),
    ] {
        let slow = [
            ("slow", &*format!("{params}, order: 1")),
            ("fast", ", order: 2"),
        ];
        let scene = scene(&slow, router).await;
        scene.upstream.on_model("slow", held());
        let answer = scene.client.post(CHAT, &streaming("hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"));
        assert_eq!(answer.header("x-litellm-model-id"), Some("fast"));
        let attempts = answer.header("x-pointsman-attempts").unwrap();
        assert_eq!(attempts, "slow;why=timeout;status=408, fast;why=answered");
        // What began and fell silent has a first event, and is not left for it.
        let stalled = Reply {
            ending: Ending::StallAfter(400),
            ..Reply::default()
        };
        scene.upstream.on_model("slow", stalled);
        let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
        assert!(stream.next().await.unwrap().is_some());
        assert_eq!(stream.header("x-litellm-model-id"), Some("slow"));
    }
}

#[tokio::test]
async fn a_slow_first_event_is_waited_for_where_nobody_else_is_left() {
    let scene = scene(&[("slow", "")], "  ttft_timeout: 0.05\n").await;
    let late = Reply {
        wait_head: 300,
        ..Reply::default()
    };
    scene.upstream.on_model("slow", late);
    let answer = scene.client.post(CHAT, &streaming("hi")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.upstream.seen().len(), 1);
    // A whole answer has no first event.
    let whole = self::scene(&[("slow", ""), ("fast", "")], "  ttft_timeout: 0.05\n").await;
    for model in ["slow", "fast"] {
        whole.upstream.on_model(
            model,
            Reply {
                wait_head: 300,
                ..Reply::default()
            },
        );
    }
    assert_eq!(whole.chat().await.status, 200);
    assert_eq!(whole.upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_slow_attempt_is_doubled_and_the_faster_one_answers() {
    let pair = [("slow", ", order: 1"), ("fast", ", order: 2")];
    for stream in [false, true] {
        let scene = scene(&pair, "  hedge_after: 0.05\n").await;
        scene.upstream.on_model("slow", held());
        let mut body = saying("hi");
        body["stream"] = json!(stream);
        let answer = scene.client.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-litellm-model-id"), Some("fast"));
        // The slower one is let go, and is no failure.
        scene
            .upstream
            .until("the slow one to be dropped", |seen| {
                seen.iter().any(|seen| {
                    seen.json()["model"] == "slow" && seen.outcome == support::Outcome::Abandoned
                })
            })
            .await;
        let won = [
            "pointsman_hedged_attempts_total",
            r#"requested_model="chat""#,
            r#"outcome="won""#,
            "} 1",
        ];
        counted(&scene.client, &won).await;
        let metrics = scene.client.get("/metrics").await.text();
        assert!(
            !metrics.contains("litellm_deployment_failure_responses_total{"),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn a_fast_answer_is_not_doubled_and_a_failed_double_leaves_the_first() {
    let pair = [("slow", ", order: 1"), ("fast", ", order: 2")];
    let scene = scene(&pair, "  hedge_after: 30\n").await;
    assert_eq!(scene.chat().await.status, 200);
    assert_eq!(scene.upstream.seen().len(), 1);
    let scene = self::scene(&pair, "  num_retries: 0\n  hedge_after: 0.05\n").await;
    let late = Reply {
        wait_head: 400,
        ..Reply::default()
    };
    scene.upstream.on_model("slow", late);
    scene.upstream.on_model("fast", Reply::error(500, "down"));
    let answer = scene.chat().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-litellm-model-id"), Some("slow"));
    counted(
        &scene.client,
        &[
            "pointsman_hedged_attempts_total",
            r#"outcome="lost""#,
            "} 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn requests_wait_for_room_in_the_order_of_their_priorities() {
    let scene = scene(&[("one", ", max_parallel_requests: 1")], "").await;
    scene.upstream.on_model("one", held());
    let mut asked = Vec::new();
    let waiting = [None, Some(7), Some(3), None, Some(3)];
    for (at, priority) in waiting.into_iter().enumerate() {
        let mut body = saying(&format!("number {at}"));
        if let Some(priority) = priority {
            body["priority"] = json!(priority);
        }
        let client = scene.client.clone();
        asked.push(tokio::spawn(async move {
            client.post(CHAT, &body).await.status
        }));
        // Each stands in line before the next one comes; the first is at the provider.
        let line = format!("pointsman_queued_requests {at}");
        if at == 0 {
            scene
                .upstream
                .until("the first", |seen| seen.len() == 1)
                .await;
        } else {
            counted(&scene.client, &[&line]).await;
        }
    }
    scene.upstream.release();
    for status in asked {
        assert_eq!(status.await.unwrap(), 200);
    }
    let order: Vec<Value> = scene
        .upstream
        .seen()
        .iter()
        .map(|seen| seen.json()["messages"][0]["content"].clone())
        .collect();
    assert_eq!(
        order,
        ["number 0", "number 2", "number 4", "number 1", "number 3"]
    );
    assert!(
        scene
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.json().get("priority").is_none())
    );
}

#[tokio::test]
async fn a_full_line_and_an_overlong_wait_are_429() {
    let limits = "  queue: {size: 1, timeout: 0.2}\n";
    let scene = scene(&[("one", ", max_parallel_requests: 1")], limits).await;
    scene.upstream.on_model("one", held());
    let first = tokio::spawn({
        let client = scene.client.clone();
        async move { client.post(CHAT, &saying("first")).await.status }
    });
    scene
        .upstream
        .until("the first", |seen| seen.len() == 1)
        .await;
    let second = tokio::spawn({
        let client = scene.client.clone();
        async move { client.post(CHAT, &saying("second")).await }
    });
    counted(&scene.client, &["pointsman_queued_requests 1"]).await;
    let third = scene.client.post(CHAT, &saying("third")).await;
    assert_eq!(third.status, 429, "{}", third.text());
    assert!(third.header("retry-after").is_some());
    let second = second.await.unwrap();
    assert_eq!(second.status, 429, "{}", second.text());
    counted(&scene.client, &["pointsman_queue_timeouts_total 1"]).await;
    counted(&scene.client, &["pointsman_queue_refused_total 1"]).await;
    scene.upstream.release();
    assert_eq!(first.await.unwrap(), 200);
}

#[tokio::test]
async fn who_has_a_fallback_goes_there_instead_of_waiting_unless_it_has_a_priority() {
    let pair = [("one", ", rpm: 1"), ("spare", "")];
    let scene = scene(
        &pair,
        "  fallbacks: [{chat: [spare]}]\n  queue: {timeout: 0.1}\n  enforce_limits: true\n",
    )
    .await;
    assert_eq!(scene.chat().await.header("x-litellm-model-id"), Some("one"));
    assert_eq!(
        scene.chat().await.header("x-litellm-model-id"),
        Some("spare")
    );
    let mut body = saying("hi");
    body["priority"] = json!(1);
    // It waits for the next minute, in vain, and goes then.
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.header("x-litellm-model-id"), Some("spare"));
    counted(&scene.client, &["pointsman_queue_timeouts_total 1"]).await;
}
