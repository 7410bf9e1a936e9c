//! Why a deployment was chosen, or would be (rows A14): the endpoints for administrators, and the
//! command.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, UPSTREAM_KEY, saying, streaming};
use support::{Content, Ending, Reply, Upstream, gateway};

const EXPLAIN: &str = "/router/explain";

/// A gateway with the group `chat` of two deployments, the second for when the first is out.
async fn two() -> Scene {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let config = format!(
        "model_list:
  - model_name: chat
    litellm_params: {{model: openai/first, api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY, order: 1}}
    model_info: {{id: first}}
  - model_name: chat
    litellm_params: {{model: openai/second, api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY, order: 2}}
    model_info: {{id: second}}
  - model_name: spare
    litellm_params: {{model: openai/spare, api_base: \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY}}
router_settings:
  num_retries: 0
  cooldown_time: 300
  fallbacks: [{{chat: [spare]}}]
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
"
    );
    Scene::between(upstream, gateway!(), &config).await
}

/// What stands at the deployment of this id.
fn candidate<'a>(told: &'a Value, id: &str) -> &'a Value {
    let candidates = told["candidates"].as_array().unwrap();
    candidates.iter().find(|one| one["id"] == id).unwrap()
}

#[tokio::test]
async fn an_administrator_sees_who_would_be_asked() {
    let scene = two().await;
    let answer = scene
        .client
        .post(EXPLAIN, &saying("a secret question"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(
        (&told["group"], &told["choice"]),
        (&json!("chat"), &json!("first"))
    );
    assert_eq!(told["strategy"], "simple-shuffle");
    assert_eq!(told["chain"]["fallbacks"], json!(["spare"]));
    assert_eq!(candidate(&told, "second")["excluded"]["reason"], "order");
    let text = answer.text();
    assert!(
        !text.contains("secret") && !text.contains(UPSTREAM_KEY),
        "{text}"
    );
    // Nothing was asked.
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn decisions_of_a_call_can_be_looked_up() {
    let scene = two().await;
    scene.upstream.on_model(
        "first",
        Reply {
            status: 429,
            content: Content::Error("slow down".into()),
            ..Reply::default()
        },
    );
    scene.chat().await;
    let after = scene.client.post(EXPLAIN, &saying("hi")).await.json();
    assert_eq!(after["choice"], "second", "{after}");
    let first = candidate(&after, "first");
    assert_eq!(first["excluded"]["reason"], "cooldown", "{after}");
    assert_eq!(first["state"]["health"], "cooling");

    let call = scene.chat().await;
    assert_eq!(call.status, 200, "{}", call.text());
    let id = call.header("x-litellm-call-id").unwrap();
    let kept = scene.client.get(&format!("/router/decisions/{id}")).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    let kept = kept.json();
    assert_eq!(kept["call_id"], id);
    let decisions = kept["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 1, "{kept}");
    assert_eq!(decisions[0]["choice"], "second");
    assert_eq!(decisions[0]["ended"]["outcome"], "complete");
    let unknown = scene.client.get("/router/decisions/nobody").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_stream_is_in_flight_until_it_ends() {
    let scene = two().await;
    let first = "data: {\"choices\":[]}\n\n".len();
    scene.upstream.next(Reply {
        ending: Ending::StallAfter(first),
        ..Reply::events(["{\"choices\":[]}"; 2])
    });
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    let in_flight = async || {
        let told = scene.client.post(EXPLAIN, &saying("hi")).await.json();
        candidate(&told, "first")["state"]["in_flight"].clone()
    };
    assert_eq!(in_flight().await, 1);
    drop(stream);
    scene
        .upstream
        .until("the stream to be given up", |seen| {
            seen.iter().all(|one| one.outcome != support::Outcome::Open)
        })
        .await;
    assert_eq!(in_flight().await, 0);
}

#[tokio::test]
async fn nobody_else_sees_decisions() {
    let scene = two().await;
    let stranger = scene.gateway.client();
    assert_eq!(stranger.post(EXPLAIN, &saying("hi")).await.status, 401);
    assert_eq!(stranger.get("/router/decisions/any").await.status, 401);
    assert_eq!(scene.client.get(EXPLAIN).await.status, 405);
    assert_eq!(scene.client.post_text(EXPLAIN, "[").await.status, 400);
    let unknown = scene
        .client
        .post(EXPLAIN, &json!({"model": "chatt", "messages": []}))
        .await;
    assert_eq!(unknown.status, 400);
    assert!(
        unknown.text().contains("Did you mean chat"),
        "{}",
        unknown.text()
    );
}

#[tokio::test]
async fn the_command_explains_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = "model_list:
  - model_name: smart
    litellm_params: {model: azure/gpt-4o, api_base: os.environ/AZURE_BASE, api_key: os.environ/AZURE_API_KEY, tags: [paid]}
    model_info: {id: azure}
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, tags: [free]}
    model_info: {id: direct}
router_settings: {enable_tag_filtering: true}
general_settings: {master_key: os.environ/MASTER}
";
    std::fs::write(path("config.yaml"), config).unwrap();
    let request = json!({"model": "smart", "messages": [], "metadata": {"tags": ["free"]}});
    std::fs::write(path("request.json"), request.to_string()).unwrap();
    let run = async |more: &[&str]| {
        let setup = gateway!()
            .arg("explain")
            .arg(&path("config.yaml"))
            .arg(&path("request.json"));
        more.iter()
            .fold(setup, |setup, one| setup.arg(one))
            .run()
            .await
    };
    let told = run(&[]).await;
    assert!(told.status.success(), "{}", told.log);
    assert!(told.log.contains("choice     direct"), "{}", told.log);
    assert!(told.log.contains("left out: tags"), "{}", told.log);
    let told: Value = serde_json::from_str(&run(&["--json"]).await.log).unwrap();
    assert_eq!(told["choice"], "direct");
    std::fs::write(path("request.json"), r#"{"model":"smrt","messages":[]}"#).unwrap();
    let told = run(&[]).await;
    assert!(
        !told.status.success() && told.log.contains("Did you mean smart"),
        "{}",
        told.log
    );
}
