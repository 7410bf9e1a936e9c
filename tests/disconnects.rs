//! A caller that goes away takes the upstream call with it.

use support::scene::{CHAT, Scene, saying, streaming};
use support::{Ending, Outcome, Reply, Seen, gateway};

fn abandoned(seen: &[Seen]) -> bool {
    seen.len() == 1 && seen[0].outcome == Outcome::Abandoned
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_cancels_the_call() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(Reply {
        hold_head: true,
        ..Reply::default()
    });
    let client = scene.client.clone();
    let call = tokio::spawn(async move { client.post(CHAT, &saying("hi")).await });
    scene
        .upstream
        .until("the request to arrive", |seen| seen.len() == 1)
        .await;
    call.abort();
    scene
        .upstream
        .until("the call to be cancelled", abandoned)
        .await;
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_cancels_the_call() {
    let scene = Scene::start(gateway!()).await;
    let first = "data: {\"choices\":[]}\n\n".len();
    let reply = Reply::events(["{\"choices\":[]}"; 2]);
    scene.upstream.next(Reply {
        ending: Ending::StallAfter(first),
        ..reply
    });
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    drop(stream);
    scene
        .upstream
        .until("the call to be cancelled", abandoned)
        .await;
    scene.gateway.until_log("client_gone\":true").await;
}

#[tokio::test]
async fn the_connection_of_a_whole_answer_serves_the_next_call() {
    let scene = Scene::start(gateway!()).await;
    for _ in 0..3 {
        assert_eq!(scene.chat().await.status, 200);
    }
    assert!(
        scene
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.connection == 1)
    );
}

#[tokio::test]
async fn a_caller_that_reads_slowly_does_not_fill_the_memory() {
    let scene = Scene::start(gateway!()).await;
    // 64 MiB of events, of which the caller reads one.
    let event = format!("{{\"choices\":[],\"x\":\"{}\"}}", "y".repeat(64 << 10));
    scene.upstream.next(Reply::events(vec![event; 1024]));
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    let status = format!("/proc/{}/status", scene.gateway.process().id());
    let resident = move || {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    };
    assert_eq!(scene.client.get("/health/liveliness").await.status, 200);
    assert!(resident() < 128, "{} MiB", resident());
    assert_eq!(scene.upstream.only().outcome, Outcome::Open);
    let rest = stream.all().await;
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"));
    assert!(resident() < 160, "{} MiB", resident());
}
