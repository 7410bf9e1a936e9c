//! Who may come in.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::client::Answer;
use support::scene::{CHAT, MASTER_KEY, Scene, keyed, saying};
use support::{Client, gateway};

fn error(answer: &Answer) -> Value {
    answer.json()["error"].clone()
}

fn assert_refused(answer: &Answer, message: &str) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    let error = error(answer);
    assert!(
        error["message"].as_str().unwrap().starts_with(message),
        "{error}"
    );
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("auth_error"), &json!("401"))
    );
    assert_eq!(error["param"], "None");
}

#[tokio::test]
async fn each_header_that_clients_use_carries_the_key() {
    let scene = Scene::start(gateway!()).await;
    let plain = scene.gateway.client();
    for (name, value) in [
        ("authorization", format!("Bearer {MASTER_KEY}")),
        ("authorization", format!("bearer {MASTER_KEY}")),
        ("x-api-key", MASTER_KEY.to_owned()),
        ("api-key", MASTER_KEY.to_owned()),
        ("x-goog-api-key", MASTER_KEY.to_owned()),
        ("x-litellm-api-key", MASTER_KEY.to_owned()),
        ("x-litellm-api-key", format!("Bearer {MASTER_KEY}")),
    ] {
        let answer = plain
            .clone()
            .header(name, &value)
            .post(CHAT, &saying("hi"))
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_file_can_name_one_more_header() {
    let scene = Scene::with(gateway!(), "  litellm_key_header_name: X-Team-Key\n").await;
    let client = scene
        .gateway
        .client()
        .header("x-team-key", &format!("Bearer {MASTER_KEY}"));
    assert_eq!(client.post(CHAT, &saying("hi")).await.status, 200);
}

#[tokio::test]
async fn no_key_is_refused_as_litellm_refuses_it() {
    let scene = Scene::start(gateway!()).await;
    let plain = scene.gateway.client();
    let message = "Authentication Error, No api key passed in.";
    assert_refused(&plain.post(CHAT, &saying("hi")).await, message);
    assert_refused(&plain.get("/v1/models").await, message);
    assert_refused(
        &plain
            .header("authorization", "Bearer ")
            .post(CHAT, &saying("hi"))
            .await,
        message,
    );
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn a_wrong_key_is_refused_as_litellm_refuses_it() {
    let scene = Scene::start(gateway!()).await;
    let refused = |key: &str| {
        let client = scene.gateway.client().key(key);
        async move { client.post(CHAT, &saying("hi")).await }
    };
    let answer = refused("sk-wrong-canary-4711").await;
    assert_eq!(answer.status, 401);
    let error = error(&answer);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("Authentication Error, Invalid proxy server token passed."),
        "{error}"
    );
    assert!(
        message.contains("sk-...4711") && !message.contains("canary"),
        "{error}"
    );
    assert_eq!(
        (&error["type"], &error["param"]),
        (&json!("token_not_found_in_db"), &json!("key"))
    );
    let answer = refused("no-prefix-canary").await;
    let message = "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.";
    assert_refused(&answer, message);
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn credentials_that_disagree_are_refused() {
    let scene = Scene::start(gateway!()).await;
    let both = |other: &str| scene.client.clone().header("x-api-key", other);
    assert_eq!(both(MASTER_KEY).post(CHAT, &saying("hi")).await.status, 200);
    assert_eq!(both("sk-other").post(CHAT, &saying("hi")).await.status, 401);
    let twice = scene
        .client
        .clone()
        .header("authorization", "Bearer sk-other");
    let answer = twice.post(CHAT, &saying("hi")).await;
    assert!(matches!(answer.status, 400 | 401), "{}", answer.text());
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[tokio::test]
async fn the_key_is_asked_for_before_the_body_is_read() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let scene = Scene::start(gateway!()).await;
    let mut socket = tokio::net::TcpStream::connect(scene.gateway.address())
        .await
        .unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90000000\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    support::soon("an answer without the body", socket.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn without_a_key_only_this_machine_is_served() {
    let config = "model_list:\n  - model_name: demo\n    litellm_params: {model: openai/demo, mock_response: hi}\n";
    let gateway = gateway!().config(config).start().await;
    let body = json!({"model": "demo", "messages": [{"role": "user", "content": "hi"}]});
    let answer = gateway.client().post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let any = Client::new(&gateway.url(""))
        .key("sk-anything")
        .post(CHAT, &body)
        .await;
    assert_eq!(any.status, 200, "{}", any.text());
    let log = gateway.log();
    assert!(
        log.contains("no master key") && log.contains("127.0.0.1"),
        "{log}"
    );
}

#[tokio::test]
async fn an_open_address_without_a_key_is_no_start() {
    let config = "model_list:\n  - model_name: demo\n    litellm_params: {model: openai/demo, mock_response: hi}\n";
    let exit = gateway!()
        .config(config)
        .arg("--host")
        .arg("0.0.0.0")
        .arg("--port")
        .arg("0")
        .run()
        .await;
    assert_ne!(exit.code(), Some(0));
    assert!(exit.log.contains("master_key"), "{}", exit.log);
}

#[tokio::test]
async fn a_well_known_key_opens_no_open_address() {
    let config = "model_list:\n  - model_name: demo\n    litellm_params: {model: openai/demo, mock_response: hi}\n\
                  general_settings:\n  master_key: os.environ/TEST_WEAK_KEY\n";
    let setup = gateway!().config(config).env("TEST_WEAK_KEY", "sk-1234");
    let open = setup
        .clone()
        .arg("--host")
        .arg("0.0.0.0")
        .arg("--port")
        .arg("0")
        .run()
        .await;
    assert_ne!(open.code(), Some(0));
    assert!(
        open.log
            .contains("dangerously_permit_weak_or_unset_master_key"),
        "{}",
        open.log
    );
    let gateway = setup.start().await;
    assert_eq!(
        gateway
            .client()
            .key("sk-1234")
            .get("/v1/models")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_key_that_the_environment_lacks_is_no_start() {
    let config = "model_list:\n  - model_name: demo\n    litellm_params: {model: openai/demo, mock_response: hi}\n\
                  general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n";
    let exit = gateway!().config(config).arg("--port").arg("0").run().await;
    assert_ne!(exit.code(), Some(0));
    assert!(exit.log.contains("TEST_MASTER_KEY"), "{}", exit.log);
    let gateway = keyed(gateway!()).config(config).start().await;
    assert_eq!(
        gateway
            .client()
            .key(MASTER_KEY)
            .get("/v1/models")
            .await
            .status,
        200
    );
}
