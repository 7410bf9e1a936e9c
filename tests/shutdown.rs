//! Rows A1: how the gateway ends.

use support::process::Signal;
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Reply, gateway, soon};

const CHUNK: &str = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}";

fn held() -> Reply {
    Reply {
        hold_at: Some(CHUNK.len() + "data: \n\n".len()),
        ..Reply::events([CHUNK, CHUNK])
    }
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once_and_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let scene = Scene::start(gateway!()).await;
        assert_eq!(scene.chat().await.status, 200);
        scene.gateway.signal(signal);
        let exit = scene.gateway.exit().await;
        assert_eq!(exit.code(), Some(0), "{}", exit.log);
    }
}

#[tokio::test]
async fn a_stream_under_way_is_finished_and_nobody_new_is_let_in() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(held());
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    scene.gateway.signal(Signal::TERM);
    let address = scene.gateway.address();
    let refused = async {
        while let Ok(socket) = tokio::net::TcpStream::connect(address).await {
            drop(socket);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    soon("new connections to be refused", refused).await;
    scene.upstream.release();
    assert_eq!(
        stream.all().await.last().map(String::as_str),
        Some("[DONE]")
    );
    let exit = scene.gateway.exit().await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    assert!(
        exit.log.contains("\"status\":200"),
        "the last request is in the log: {}",
        exit.log
    );
}

#[tokio::test]
async fn a_whole_answer_under_way_is_given() {
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
    scene.gateway.signal(Signal::TERM);
    scene.upstream.release();
    assert_eq!(call.await.unwrap().status, 200);
    assert_eq!(scene.gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_waits_for_nobody() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(held());
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    scene.gateway.signal(Signal::TERM);
    scene.gateway.until_log("stopping").await;
    scene.gateway.signal(Signal::TERM);
    scene.gateway.exit().await;
}
