//! Answers that are made in the background: fetched by their ids, paid for once, however they are
//! seen to have ended.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::path::Path;

use serde_json::{Value, json};
use support::process::Signal;
use support::scene::{MASTER_KEY, UPSTREAM_KEY, keyed};
use support::{Client, Content, Ending, Gateway, Reply, Upstream, gateway, soon};
use tempfile::TempDir;

const RESPONSES: &str = "/v1/responses";
/// What each answer takes: ten tokens at a tenth of a cent.
const EACH: f64 = 0.01;

/// `gpt` keeps responses; of `both` one does and one does not; `claude` does not.
struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    admin: Client,
    data: TempDir,
}

fn config(upstream: &Upstream, more: &str) -> String {
    let (openai, bare) = (upstream.url("/v1"), upstream.url(""));
    let prices = "input_cost_per_token: 0, cache_read_input_token_cost: 0, \
                  output_cost_per_token: 0.001, api_key: os.environ/TEST_UPSTREAM_KEY";
    format!(
        "model_list:
  - {{model_name: gpt, litellm_params: {{model: openai/gpt-4o-mini, api_base: {openai}, {prices}}}}}
  - {{model_name: both, litellm_params: {{model: openai/gpt-4o-mini, api_base: {openai}, {prices}}}}}
  - {{model_name: both, litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: {bare}, {prices}}}}}
  - {{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: {bare}, {prices}}}}}
router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
{more}"
    )
}

async fn started(upstream: &Upstream, data: &Path, more: &str) -> Gateway {
    let setup = keyed(gateway!()).env("POINTSMAN_DATA_DIR", data.to_str().unwrap());
    setup.config(&config(upstream, more)).start().await
}

impl Scene {
    async fn start() -> Self {
        Self::with("").await
    }

    async fn with(more: &str) -> Self {
        let upstream = Upstream::start().await;
        upstream.expect_key(UPSTREAM_KEY);
        let data = tempfile::tempdir().unwrap();
        let gateway = started(&upstream, data.path(), more).await;
        let admin = gateway.client().key(MASTER_KEY);
        Self {
            upstream,
            gateway,
            admin,
            data,
        }
    }

    async fn key(&self, members: Value) -> (Client, String) {
        let made = self.admin.post("/key/generate", &members).await;
        assert_eq!(made.status, 200, "{}", made.text());
        let key = made.json()["key"].as_str().unwrap().to_owned();
        (self.gateway.client().key(&key), key)
    }

    /// From now on every response that is looked up is as this says.
    fn kept_as(&self, status: &str, usage: &Value) {
        kept_as(&self.upstream, status, usage);
    }

    /// The rows of requests for responses, when there are so many.
    async fn rows(&self, wanted: usize) -> Vec<Value> {
        rows(&self.admin, wanted).await
    }
}

fn kept_as(upstream: &Upstream, status: &str, usage: &Value) {
    let error = if status == "failed" {
        json!({"code": "server_error", "message": "sorry"})
    } else {
        Value::Null
    };
    let said = json!({"type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "one two three", "annotations": []}]});
    let kept = json!({"id": "resp_fake_1", "object": "response", "created_at": 1, "status": status,
        "model": "gpt-4o-mini", "output": [said], "error": error, "usage": usage});
    // A request that looks something up names no model.
    upstream.on_model(
        "",
        Reply {
            content: Content::Json(kept),
            ..Reply::default()
        },
    );
}

fn usage() -> Value {
    json!({"input_tokens": 20, "output_tokens": 10, "total_tokens": 30})
}

async fn rows(admin: &Client, wanted: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    soon("rows of spend", async {
        while rows.len() < wanted {
            let logs = admin.get("/spend/logs").await.json();
            let all = logs.as_array().cloned().unwrap_or_default();
            let made = |row: &Value| row["call_type"] == "aresponses";
            rows = all.into_iter().filter(made).collect();
        }
    })
    .await;
    assert_eq!(rows.len(), wanted, "{rows:#?}");
    rows
}

fn asks(model: &str) -> Value {
    json!({"model": model, "input": "hello", "background": true, "max_output_tokens": 10})
}

/// Begins an answer; its path.
async fn begun(client: &Client, body: &Value) -> String {
    let answer = client.post(RESPONSES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // What it costs is not known yet.
    assert_eq!(answer.header("x-litellm-response-cost"), None);
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["usage"]),
        (&json!("queued"), &Value::Null)
    );
    let id = body["id"].as_str().unwrap();
    assert!(id.starts_with("resp_") && !id.contains("fake"), "{id}");
    format!("{RESPONSES}/{id}")
}

fn close(row: &Value, spend: f64) {
    let found = row["spend"].as_f64().unwrap();
    assert!((found - spend).abs() < 1e-9, "{row:#}");
}

#[tokio::test]
async fn an_answer_in_the_background_is_fetched_and_paid_for_once() {
    let scene = Scene::start().await;
    let (ada, _) = scene.key(json!({"user_id": "ada"})).await;
    scene.kept_as("in_progress", &Value::Null);
    let path = begun(&ada, &asks("gpt")).await;
    assert_eq!(ada.get(&path).await.json()["status"], "in_progress");
    scene.kept_as("completed", &usage());
    for _ in 0..3 {
        let fetched = ada.get(&path).await;
        let body = fetched.json();
        assert_eq!(
            (&body["status"], &body["model"]),
            (&json!("completed"), &json!("gpt"))
        );
        assert!(!body["id"].as_str().unwrap().contains("fake"), "{body}");
    }
    let rows = scene.rows(1).await;
    close(&rows[0], EACH);
    assert_eq!(
        (&rows[0]["user_id"], &rows[0]["total_tokens"]),
        (&json!("ada"), &json!(30))
    );
    let logs = scene.admin.get("/spend/logs").await.json();
    let looked = logs
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["call_type"] == "aget_responses");
    for row in looked {
        close(row, 0.0);
    }
}

#[tokio::test]
async fn the_gateway_itself_looks_for_what_nobody_fetches() {
    let scene = Scene::start().await;
    scene.kept_as("completed", &usage());
    begun(&scene.admin, &asks("gpt")).await;
    close(&scene.rows(1).await[0], EACH);
}

#[tokio::test]
async fn what_an_answer_may_cost_is_reserved_until_it_has_ended() {
    let scene = Scene::start().await;
    let (client, _) = scene.key(json!({"max_budget": 0.019})).await;
    scene.kept_as("in_progress", &Value::Null);
    let path = begun(&client, &asks("gpt")).await;
    let mut other = asks("gpt");
    other["max_output_tokens"] = json!(10);
    other["input"] = json!("something else");
    other["background"] = json!(false);
    // The answer is cut to what is left: nine tokens.
    let cut = client.post(RESPONSES, &other).await;
    assert_eq!(cut.status, 200, "{}", cut.text());
    let seen = scene.upstream.seen().pop().unwrap();
    assert_eq!(seen.json()["max_output_tokens"], 9);
    // The provider gave ten.
    let refused = client.post(RESPONSES, &asks("gpt")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.json()["error"]["type"], "budget_exceeded");
    // What is looked up is free.
    let less = json!({"input_tokens": 20, "output_tokens": 1, "total_tokens": 21});
    scene.kept_as("completed", &less);
    assert_eq!(client.get(&path).await.json()["status"], "completed");
    let again = client.post(RESPONSES, &other).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let seen = scene.upstream.seen().pop().unwrap();
    assert_eq!(seen.json()["max_output_tokens"], 8);
}

#[tokio::test]
async fn a_stream_in_the_background_goes_on_when_its_caller_leaves() {
    let scene = Scene::start().await;
    let mut body = asks("gpt");
    body["stream"] = json!(true);
    let first = json!({"type": "response.queued", "sequence_number": 0, "response": {
        "id": "resp_fake_1", "object": "response", "status": "queued", "model": "m", "usage": null}});
    let word = json!({"type": "response.output_text.delta", "sequence_number": 1, "delta": "half"});
    let reply = Reply::events([first.to_string(), word.to_string()]);
    let after = format!("event: response.queued\ndata: {first}\n\n").len();
    scene.upstream.next(Reply {
        ending: Ending::StallAfter(after + 20),
        ..reply
    });
    scene.kept_as("in_progress", &Value::Null);
    let mut stream = scene.admin.stream(RESPONSES, &body).await;
    let event: Value = serde_json::from_str(&stream.next().await.unwrap().unwrap()).unwrap();
    let path = format!("{RESPONSES}/{}", event["response"]["id"].as_str().unwrap());
    drop(stream);
    assert_eq!(scene.admin.get(&path).await.json()["status"], "in_progress");
    scene.kept_as("completed", &usage());
    let rows = scene.rows(1).await;
    close(&rows[0], EACH);
    assert_eq!(rows[0]["metadata"]["client_gone"], true);
    assert_eq!(rows[0]["status"], "success");
}

#[tokio::test]
async fn a_stream_in_the_background_that_is_read_to_its_end_is_paid_for_once() {
    let scene = Scene::start().await;
    let mut body = asks("gpt");
    body["stream"] = json!(true);
    let answer = scene.admin.post(RESPONSES, &body).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("response.completed"),
        "{}",
        answer.text()
    );
    close(&scene.rows(1).await[0], EACH);
}

#[tokio::test]
async fn what_ended_otherwise_is_paid_for_as_far_as_it_is_known() {
    for (status, told, spend) in [
        ("failed", Value::Null, 0.0),
        ("incomplete", usage(), EACH),
        // Three words, by OpenAI's vocabulary.
        ("cancelled", Value::Null, 0.003),
    ] {
        let scene = Scene::start().await;
        scene.kept_as("in_progress", &Value::Null);
        let path = begun(&scene.admin, &asks("gpt")).await;
        scene.kept_as(status, &told);
        let answer = if status == "cancelled" {
            scene.admin.post_text(&format!("{path}/cancel"), "").await
        } else {
            scene.admin.get(&path).await
        };
        assert_eq!(answer.json()["status"], status, "{}", answer.text());
        let row = scene.rows(1).await.remove(0);
        close(&row, spend);
        let word = if status == "failed" {
            "failure"
        } else {
            "success"
        };
        assert_eq!(row["status"], word, "{row:#}");
    }
}

#[tokio::test]
async fn what_is_deleted_on_its_way_is_stopped_and_paid_for_first() {
    let scene = Scene::start().await;
    scene.kept_as("in_progress", &Value::Null);
    let path = begun(&scene.admin, &asks("gpt")).await;
    scene
        .upstream
        .until("to be looked for", |seen| seen.len() == 2)
        .await;
    // Asked for, stopped, deleted.
    let replies = [
        json!({"id": "resp_fake_1", "status": "in_progress", "usage": null}),
        json!({"id": "resp_fake_1", "status": "cancelled", "usage": usage()}),
        json!({"id": "resp_fake_1", "object": "response", "deleted": true}),
    ];
    for reply in replies {
        scene.upstream.next(Reply {
            content: Content::Json(reply),
            ..Reply::default()
        });
    }
    let deleted = scene.admin.delete(&path).await;
    assert_eq!(deleted.json()["deleted"], true, "{}", deleted.text());
    close(&scene.rows(1).await[0], EACH);
    let methods: Vec<_> = scene.upstream.seen()[2..]
        .iter()
        .map(|seen| (seen.method.to_string(), seen.path.ends_with("/cancel")))
        .collect();
    let expected = [("GET", false), ("POST", true), ("DELETE", false)];
    let expected = expected.map(|(method, cancels)| (method.to_owned(), cancels));
    assert_eq!(methods, expected);
}

#[tokio::test]
async fn the_next_process_goes_on_where_one_was_killed() {
    let scene = Scene::start().await;
    let (client, key) = scene.key(json!({"max_budget": 0.019})).await;
    scene.kept_as("in_progress", &Value::Null);
    begun(&client, &asks("gpt")).await;
    let Scene {
        upstream,
        gateway,
        data,
        ..
    } = scene;
    gateway.signal(Signal::KILL);
    gateway.exit().await;
    let gateway = started(&upstream, data.path(), "").await;
    let (admin, client) = (gateway.client().key(MASTER_KEY), gateway.client().key(&key));
    // What was reserved is still.
    soon("the reservation", async {
        let figures = || async { admin.get("/metrics").await.text() };
        while !figures().await.contains("pointsman_background_responses 1") {}
    })
    .await;
    let mut other = asks("gpt");
    other["background"] = json!(false);
    assert_eq!(client.post(RESPONSES, &other).await.status, 200);
    let asked = upstream
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "POST");
    assert_eq!(asked.last().unwrap().json()["max_output_tokens"], 9);
    kept_as(&upstream, "completed", &usage());
    let rows = rows(&admin, 2).await;
    for row in &rows {
        close(row, EACH);
    }
    // A third process finds nothing left to do.
    let exit = gateway.stop().await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    let gateway = started(&upstream, data.path(), "").await;
    let admin = gateway.client().key(MASTER_KEY);
    assert_eq!(self::rows(&admin, 2).await, rows);
}

#[tokio::test]
async fn only_those_are_asked_who_keep_what_they_say() {
    let scene = Scene::start().await;
    scene.kept_as("completed", &usage());
    for length in 0..6 {
        let mut body = asks("both");
        body["input"] = json!("x".repeat(length));
        begun(&scene.admin, &body).await;
    }
    let refused = scene.admin.post(RESPONSES, &asks("claude")).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"]["param"], "background");
}

#[tokio::test]
async fn what_the_provider_knows_nothing_of_any_more_costs_what_was_reserved() {
    let scene = Scene::start().await;
    let (client, _) = scene.key(json!({"max_budget": 0.5})).await;
    scene
        .upstream
        .on_model("", Reply::error(404, "No such response"));
    let mut body = asks("gpt");
    body["max_output_tokens"] = json!(70);
    begun(&client, &body).await;
    let row = scene.rows(1).await.remove(0);
    close(&row, 0.07);
    assert_eq!(row["metadata"]["usage_estimated"], true, "{row:#}");
    let path = format!("/key/info?key={}", row["api_key"].as_str().unwrap());
    let info = scene.admin.get(&path).await.json();
    let spent = info["info"]["spend"].as_f64().unwrap();
    assert!((spent - 0.07).abs() < 1e-9, "{spent}");
}

#[tokio::test]
async fn what_a_caller_may_not_delete_goes_on() {
    let scene = Scene::start().await;
    let (client, _) = scene.key(json!({"rpm_limit": 1})).await;
    let (other, _) = scene.key(json!({"user_id": "eve"})).await;
    scene.kept_as("in_progress", &Value::Null);
    let path = begun(&client, &asks("gpt")).await;
    assert_eq!(client.delete(&path).await.status, 429);
    assert_eq!(other.delete(&path).await.status, 403);
    let seen = scene.upstream.seen();
    let stopped = seen
        .iter()
        .any(|one| one.method == "DELETE" || one.path.ends_with("/cancel"));
    assert!(!stopped, "{seen:#?}");
}
