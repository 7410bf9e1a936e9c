//! A changed file takes the place of the table in force, if it is right.

use serde_json::Value;
use std::time::Duration;
use support::process::Signal;
use support::scene::{
    CHAT, MASTER_KEY, MODEL, Scene, UPSTREAM_KEY, config, keyed, saying, streaming,
};
use support::{Client, Reply, Upstream, gateway, soon};

/// The names of `/v1/models`.
async fn names(client: &Client) -> Vec<String> {
    let models = client.get("/v1/models").await.json();
    let ids = models["data"].as_array().into_iter().flatten();
    ids.filter_map(|model| model["id"].as_str().map(str::to_owned))
        .collect()
}

/// Waits until the table in force has these names.
async fn until_names(client: &Client, wanted: &[&str]) {
    let same = async {
        while names(client).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(&format!("the models {wanted:?}"), same).await;
}

fn renamed(scene: &Scene, name: &str) -> String {
    config(&scene.upstream, "").replace("model_name: chat", &format!("model_name: {name}"))
}

#[tokio::test]
async fn a_changed_file_is_put_in_force() {
    let scene = Scene::start(gateway!()).await;
    assert_eq!(names(&scene.client).await, ["chat"]);
    scene.gateway.rewrite(&renamed(&scene, "second"));
    until_names(&scene.client, &["second"]).await;
    std::fs::write(scene.gateway.config_path(), renamed(&scene, "third")).unwrap();
    until_names(&scene.client, &["third"]).await;
}

#[tokio::test]
async fn a_hang_up_signal_reads_the_file_again() {
    let scene = Scene::start(gateway!()).await;
    scene.gateway.rewrite(&renamed(&scene, "second"));
    scene.gateway.signal(Signal::HUP);
    until_names(&scene.client, &["second"]).await;
}

#[tokio::test]
async fn a_hang_up_signal_in_the_first_moment_is_no_end() {
    let upstream = Upstream::start().await;
    for _ in 0..20 {
        let gateway = keyed(gateway!())
            .config(&config(&upstream, ""))
            .start_listening()
            .await;
        gateway.signal(Signal::HUP);
        assert_eq!(gateway.client().get("/health/liveliness").await.status, 200);
    }
}

#[tokio::test]
async fn a_broken_file_leaves_the_table_in_force_and_says_why() {
    let scene = Scene::start(gateway!()).await;
    let broken = renamed(&scene, "second").replace("num_retries: 0", "num_retries: many");
    scene.gateway.rewrite(&broken);
    scene.gateway.signal(Signal::HUP);
    scene.gateway.until_log("num_retries").await;
    assert_eq!(names(&scene.client).await, ["chat"]);
    assert_eq!(scene.chat().await.status, 200);
    scene.gateway.rewrite("model_list: [}");
    scene.gateway.signal(Signal::HUP);
    scene.gateway.until_log("config.yaml:1:").await;
    assert_eq!(names(&scene.client).await, ["chat"]);
    let missing = renamed(&scene, "second").replace("TEST_UPSTREAM_KEY", "NOT_THERE_KEY");
    scene.gateway.rewrite(&missing);
    scene.gateway.signal(Signal::HUP);
    scene.gateway.until_log("NOT_THERE_KEY").await;
    assert_eq!(names(&scene.client).await, ["chat"]);
    scene.gateway.rewrite(&renamed(&scene, "mended"));
    until_names(&scene.client, &["mended"]).await;
}

#[tokio::test]
async fn a_request_keeps_the_table_that_it_began_with() {
    let scene = Scene::start(gateway!()).await;
    let chunk = "{\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}";
    let hold_at = Some(chunk.len() + "data: \n\n".len());
    scene.upstream.next(Reply {
        hold_at,
        ..Reply::events([chunk, chunk])
    });
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    scene.gateway.rewrite(&renamed(&scene, "second"));
    until_names(&scene.client, &["second"]).await;
    scene.upstream.release();
    let rest = stream.all().await;
    let model: Value = serde_json::from_str(&rest[0]).unwrap();
    assert_eq!(model["model"], "chat");
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"));
    assert_eq!(scene.chat().await.status, 400, "the old name is gone");
}

#[tokio::test]
async fn a_changed_key_and_address_hold_from_the_next_request_on() {
    let scene = Scene::start(gateway!()).await;
    assert_eq!(scene.chat().await.status, 200);
    let other = Upstream::start().await;
    other.expect_key(UPSTREAM_KEY);
    scene
        .gateway
        .rewrite(&config(&other, "").replace("model_name: chat", "model_name: moved"));
    until_names(&scene.client, &["moved"]).await;
    let mut body = saying("hi");
    body["model"] = "moved".into();
    assert_eq!(scene.client.post(CHAT, &body).await.status, 200);
    assert_eq!(
        (
            other.only().json()["model"].clone(),
            scene.upstream.seen().len()
        ),
        (MODEL.into(), 1)
    );
}

#[tokio::test]
async fn swaps_under_load_lose_no_request() {
    let scene = Scene::start(gateway!()).await;
    assert_eq!(scene.chat().await.status, 200);
    let load = (0..8).map(|_| {
        let client = scene.client.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                let answer = client.post(CHAT, &saying("hi")).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        })
    });
    let load: Vec<_> = load.collect();
    for round in 0..20 {
        scene
            .gateway
            .rewrite(&config(&scene.upstream, &format!("temperature: 0.{round}")));
        scene.gateway.signal(Signal::HUP);
        tokio::task::yield_now().await;
        assert_eq!(scene.client.get("/health/liveliness").await.status, 200);
    }
    for one in load {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_wrong_at_the_start_is_no_start() {
    let upstream = Upstream::start().await;
    let wrong = format!("{}  no_such_key: 1\n", config(&upstream, ""));
    let exit = keyed(gateway!())
        .config(&wrong)
        .arg("--port")
        .arg("0")
        .run()
        .await;
    assert_eq!(exit.code(), Some(1), "{}", exit.log);
    assert!(
        exit.log.contains("no_such_key") && exit.log.contains("config.yaml:"),
        "{}",
        exit.log
    );
    let missing = gateway!()
        .arg("--config")
        .arg("/nowhere/config.yaml")
        .arg("--port")
        .arg("0");
    let exit = missing.run().await;
    assert_eq!(exit.code(), Some(1), "{}", exit.log);
    assert!(exit.log.contains("/nowhere/config.yaml"), "{}", exit.log);
    assert!(!exit.log.contains(MASTER_KEY));
}
