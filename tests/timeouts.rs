//! Rows A4 and A8-02: how long a provider may take, and who may say so.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Answer, Ending, Outcome, Reply, gateway};

/// A reply whose head comes too late for every deadline here.
fn late() -> Reply {
    Reply {
        hold_head: true,
        ..Reply::default()
    }
}

fn assert_timed_out(answer: &Answer) {
    assert_eq!(answer.status, 408, "{}", answer.text());
    let error = &answer.json()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("litellm.Timeout:"), "{message}");
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("timeout_error"), &json!("408"))
    );
}

async fn assert_given_up(scene: &Scene) {
    let gone = |seen: &[support::Seen]| seen.iter().all(|seen| seen.outcome == Outcome::Abandoned);
    scene
        .upstream
        .until("the upstream call to be given up", gone)
        .await;
}

#[tokio::test]
async fn an_answer_later_than_the_deployments_timeout_is_given_up() {
    let scene = Scene::with_params(gateway!(), "timeout: 0.2").await;
    scene.upstream.next(late());
    let started = Instant::now();
    assert_timed_out(&scene.chat().await);
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_given_up(&scene).await;
    assert_eq!(scene.chat().await.status, 200);
}

#[tokio::test]
async fn a_stream_has_a_timeout_of_its_own() {
    let scene = Scene::with_params(gateway!(), "timeout: 600\nstream_timeout: 0.2").await;
    scene.upstream.next(late());
    assert_timed_out(&scene.client.post(CHAT, &streaming("hi")).await);
    scene.upstream.next(Reply {
        ending: Ending::StallAfter(0),
        ..Reply::default()
    });
    assert_timed_out(&scene.client.post(CHAT, &streaming("hi")).await);
    assert_given_up(&scene).await;
}

#[tokio::test]
async fn the_routers_timeout_holds_for_every_deployment() {
    let upstream = support::Upstream::start().await;
    let config = support::scene::config(&upstream, "");
    let config = config.replace("  num_retries: 0\n", "  num_retries: 0\n  timeout: 0.2\n");
    let scene = Scene::between(upstream, gateway!(), &config).await;
    scene.upstream.next(late());
    assert_timed_out(&scene.chat().await);
}

#[tokio::test]
async fn request_timeout_is_the_last_word() {
    let sections = "litellm_settings:\n  request_timeout: 0.2\n";
    let scene = Scene::with(gateway!(), sections).await;
    scene.upstream.next(late());
    assert_timed_out(&scene.chat().await);
}

#[tokio::test]
async fn a_caller_may_ask_for_a_shorter_time_and_not_for_a_longer_one() {
    let scene = Scene::with(gateway!(), "litellm_settings:\n  request_timeout: 1\n").await;
    let asking = |seconds: &str| scene.client.clone().header("x-litellm-timeout", seconds);
    scene.upstream.next(late());
    let started = Instant::now();
    assert_timed_out(&asking("0.1").post(CHAT, &saying("hi")).await);
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    scene.upstream.next(late());
    assert_timed_out(&asking("3600").post(CHAT, &saying("hi")).await);
    for nonsense in ["-1", "nan", "soon", "1e400"] {
        let status = asking(nonsense).post(CHAT, &saying("hi")).await.status;
        assert!(matches!(status, 200 | 400), "{nonsense}: {status}");
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_with_an_error() {
    let scene = Scene::with_params(gateway!(), "timeout: 0.5\nstream_timeout: 20").await;
    let event = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}";
    let ending = Ending::StallAfter(event.len() + "data: \n\n".len());
    scene.upstream.next(Reply {
        ending,
        ..Reply::events([event, event])
    });
    let events = scene
        .client
        .stream(CHAT, &streaming("hi"))
        .await
        .all()
        .await;
    assert_eq!(events.len(), 2, "{events:?}");
    let last: Value = serde_json::from_str(&events[1]).unwrap();
    assert_eq!(last["error"]["code"], "408", "{last}");
    assert_given_up(&scene).await;
}

#[tokio::test]
async fn a_stream_that_goes_on_is_not_cut_by_the_timeout_of_its_first_chunk() {
    let scene = Scene::with_params(gateway!(), "stream_timeout: 0.4").await;
    scene.upstream.next(Reply {
        wait_between: 80,
        ..Reply::default()
    });
    let mut body = streaming("one two three four five six seven eight nine ten");
    body["user"] = json!("u");
    let events = scene.client.stream(CHAT, &body).await.all().await;
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}
