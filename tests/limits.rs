//! Rates over sockets: requests, tokens and requests at once, of everybody a request counts against.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use pointsman_layers::auth::KeyDigest;
use serde_json::{Value, json};
use support::scene::{CHAT, MODEL, Scene, saying};
use support::{Answer, Client, Reply, gateway, soon};

async fn made(scene: &Scene, path: &str, body: Value) -> Value {
    let answer = scene.client.post(path, &body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer.json()
}

/// A new key's secret.
async fn key(scene: &Scene, members: Value) -> String {
    let made = made(scene, "/key/generate", members).await;
    made["key"].as_str().unwrap().to_owned()
}

async fn ask(client: &Client) -> Answer {
    client.post(CHAT, &saying("hi")).await
}

fn assert_limited(answer: &Answer, scope: &str, who: &str, unit: &str, limit: u64) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let error = answer.json()["error"].clone();
    assert_eq!(error["type"], "throttling_error");
    assert_eq!(error["code"], "429");
    let message = error["message"].as_str().unwrap();
    let expected = format!(
        "Rate limit exceeded for {scope}: {who}. Limit type: {unit}. Current limit: {limit}, \
         Remaining: "
    );
    assert!(message.starts_with(&expected), "{message} for {expected}");
    assert!(message.contains(". Limit resets at: 20"), "{message}");
    assert!(message.ends_with(" UTC"), "{message}");
    assert_eq!(answer.header("rate_limit_type"), Some(unit));
    assert!(answer.header("reset_at").unwrap().ends_with(" UTC"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

/// Fixed windows of a minute may end between two requests: two in a row that are both let in can
/// happen once, and no more.
async fn refused(client: &Client) -> Answer {
    soon("a refusal", async {
        loop {
            let answer = ask(client).await;
            if answer.status == 429 {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test]
async fn requests_a_minute_are_limited_for_everybody_they_count_against() {
    let scene = Scene::start(gateway!()).await;
    made(
        &scene,
        "/team/new",
        json!({"team_id": "red", "rpm_limit": 1}),
    )
    .await;
    made(
        &scene,
        "/user/new",
        json!({"user_id": "ann", "rpm_limit": 1}),
    )
    .await;
    let made_org = made(
        &scene,
        "/organization/new",
        json!({"organization_alias": "acme", "rpm_limit": 1}),
    )
    .await;
    let acme = made_org["organization_id"].as_str().unwrap();
    made(
        &scene,
        "/team/new",
        json!({"team_id": "of-acme", "organization_id": acme}),
    )
    .await;
    made(
        &scene,
        "/team/new",
        json!({"team_id": "blue", "team_member_rpm_limit": 1,
            "members_with_roles": [{"role": "user", "user_id": "eve"}]}),
    )
    .await;
    for (members, scope, who) in [
        (json!({"team_id": "red"}), "team", "red"),
        (json!({"user_id": "ann"}), "user", "ann"),
        (json!({"team_id": "of-acme"}), "organization", acme),
        (
            json!({"team_id": "blue", "user_id": "eve"}),
            "team_member",
            "blue:eve",
        ),
    ] {
        let client = scene.gateway.client().key(&key(&scene, members).await);
        assert_eq!(ask(&client).await.status, 200, "{scope}");
        assert_limited(&refused(&client).await, scope, who, "requests", 1);
    }
    let secret = key(&scene, json!({"rpm_limit": 1})).await;
    let hash = KeyDigest::of(secret.as_bytes()).to_string();
    let client = scene.gateway.client().key(&secret);
    let first = ask(&client).await;
    assert_eq!(first.status, 200);
    for name in [
        "x-litellm-key-rpm-limit",
        "x-ratelimit-api_key-limit-requests",
    ] {
        assert_eq!(first.header(name), Some("1"), "{name}");
    }
    let left = first.header("x-ratelimit-api_key-remaining-requests");
    assert_eq!(left, Some("0"));
    assert_limited(&refused(&client).await, "api_key", &hash, "requests", 1);
    let secret = key(&scene, json!({"model_rpm_limit": {"chat": 1}})).await;
    let hash = KeyDigest::of(secret.as_bytes()).to_string();
    let client = scene.gateway.client().key(&secret);
    assert_eq!(ask(&client).await.status, 200);
    let who = format!("{hash}:chat");
    assert_limited(
        &refused(&client).await,
        "model_per_key",
        &who,
        "requests",
        1,
    );
    // Nobody else was held up.
    let free = scene.gateway.client().key(&key(&scene, json!({})).await);
    assert_eq!(ask(&free).await.status, 200);
}

#[tokio::test]
async fn an_end_user_has_rates_of_its_own() {
    let scene = Scene::start(gateway!()).await;
    let shop = json!({"user_id": "shop", "rpm_limit": 1});
    made(&scene, "/customer/new", shop).await;
    let client = scene.gateway.client().key(&key(&scene, json!({})).await);
    let mut body = saying("hi");
    body["user"] = "shop".into();
    assert_eq!(client.post(CHAT, &body).await.status, 200);
    let limited = soon("a refusal", async {
        loop {
            let answer = client.post(CHAT, &body).await;
            if answer.status == 429 {
                return answer;
            }
        }
    })
    .await;
    assert_limited(&limited, "end_user", "shop", "requests", 1);
    assert_eq!(ask(&client).await.status, 200);
}

#[tokio::test]
async fn tokens_a_minute_are_counted_as_the_answer_tells_them() {
    let scene = Scene::start(gateway!()).await;
    // An answer takes thirty.
    let secret = key(&scene, json!({"tpm_limit": 40})).await;
    let client = scene.gateway.client().key(&secret);
    let first = ask(&client).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("x-litellm-key-tpm-limit"), Some("40"));
    let limit = first.header("x-ratelimit-api_key-limit-tokens");
    assert_eq!(limit, Some("40"));
    let hash = KeyDigest::of(secret.as_bytes()).to_string();
    let limited = refused(&client).await;
    assert_limited(&limited, "api_key", &hash, "tokens", 40);
    assert!(
        limited.text().contains("Remaining: 10"),
        "{}",
        limited.text()
    );
}

#[tokio::test]
async fn requests_at_once_are_limited_until_the_first_has_ended() {
    let scene = Scene::start(gateway!()).await;
    let held = Reply {
        hold_head: true,
        ..Reply::default()
    };
    scene.upstream.on_model(MODEL, held);
    let secret = key(&scene, json!({"max_parallel_requests": 1})).await;
    let hash = KeyDigest::of(secret.as_bytes()).to_string();
    let client = scene.gateway.client().key(&secret);
    let first = tokio::spawn({
        let client = client.clone();
        async move { ask(&client).await }
    });
    scene
        .upstream
        .until("the first request", |seen| seen.len() == 1)
        .await;
    let second = ask(&client).await;
    assert_limited(&second, "api_key", &hash, "max_parallel_requests", 1);
    assert_eq!(second.header("retry-after"), Some("60"));
    scene.upstream.release();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(ask(&client).await.status, 200);
    // One whose caller has left is no longer there.
    let mut stream = client.stream(CHAT, &support::scene::streaming("hi")).await;
    stream.next().await.unwrap();
    drop(stream);
    let free = async {
        while ask(&client).await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    soon("the place of a caller that has left", free).await;
}
