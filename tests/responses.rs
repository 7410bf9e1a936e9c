//! OpenAI's responses: passed through to those who have them, translated for everybody else, and
//! found again by whom they were made for.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::{Scene, UPSTREAM_KEY};
use support::{Client, Reply, Upstream, gateway};

const RESPONSES: &str = "/v1/responses";
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// `gpt` has responses of its own, in two deployments that do not know each other's; all others are
/// spoken to in their own dialects.
async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-4o-mini, api_base: {0}, api_key: os.environ/TEST_UPSTREAM_KEY}}
  - model_name: gpt-big
    litellm_params: {{model: openai/gpt-4o, api_base: {0}, api_key: os.environ/TEST_UPSTREAM_KEY}}
  - model_name: elsewhere
    litellm_params: {{model: xai/grok-4, api_base: {0}/other, api_key: os.environ/TEST_UPSTREAM_KEY}}
  - model_name: bridged
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
      use_chat_completions_api: true
  - model_name: azure
    litellm_params:
      model: azure/my-deployment
      api_base: {1}
      api_version: \"2024-10-21\"
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: claude
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: {1}, api_key: os.environ/TEST_UPSTREAM_KEY}}
  - model_name: flash
    litellm_params: {{model: gemini/gemini-2.5-flash, api_base: {1}, api_key: os.environ/TEST_UPSTREAM_KEY}}
  - model_name: demo
    litellm_params: {{model: openai/demo, mock_response: All signals green.}}
router_settings:
  num_retries: 0
  fallbacks:
    - gpt-big: [claude]
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url("/v1"),
        upstream.url("")
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn says(model: &str) -> Value {
    json!({"model": model, "input": "hello"})
}

fn weather() -> Value {
    json!({"type": "function", "name": "weather", "strict": false, "parameters": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"]}})
}

fn with(mut body: Value, more: &[(&str, Value)]) -> Value {
    for (name, value) in more {
        body[name] = value.clone();
    }
    body
}

async fn answered(client: &Client, body: &Value) -> Value {
    let answer = client.post(RESPONSES, body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    answer.json()
}

/// The data of a stream's events, each checked against its name and its number.
async fn streamed(client: &Client, body: &Value) -> Vec<Value> {
    let body = with(body.clone(), &[("stream", json!(true))]);
    let answer = client.post(RESPONSES, &body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    let text = answer.text();
    let events = text
        .split_terminator("\n\n")
        .enumerate()
        .map(|(at, event)| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
            assert_eq!(data["sequence_number"], at, "{text}");
            data
        });
    events.collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    kinds.dedup();
    kinds
}

/// A key of its own for a user.
async fn key_of(scene: &Scene, user: &str) -> Client {
    let made = scene
        .client
        .post("/key/generate", &json!({"user_id": user}))
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    let key = made.json()["key"].as_str().unwrap().to_owned();
    scene.gateway.client().key(&key)
}

const EVERYBODY: [&str; 6] = ["gpt", "azure", "bridged", "claude", "flash", "demo"];

#[tokio::test]
async fn a_response_is_given_by_any_provider() {
    let scene = scene().await;
    for model in EVERYBODY {
        let body = answered(&scene.client, &says(model)).await;
        assert_eq!(body["object"], "response", "{model}");
        assert_eq!(
            (&body["status"], &body["model"]),
            (&json!("completed"), &json!(model))
        );
        let item = &body["output"][0];
        assert_eq!(
            (&item["type"], &item["role"]),
            (&json!("message"), &json!("assistant"))
        );
        assert!(!item["content"][0]["text"].as_str().unwrap().is_empty());
        assert!(body["usage"]["output_tokens"].as_u64().unwrap() > 0);
        let id = body["id"].as_str().unwrap();
        assert!(id.starts_with("resp_") && !id.contains("fake"), "{id}");
    }
}

#[tokio::test]
async fn a_stream_has_the_same_events_from_any_provider() {
    let scene = scene().await;
    for model in EVERYBODY {
        let events = streamed(&scene.client, &says(model)).await;
        let expected = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ];
        assert_eq!(kinds(&events), expected, "{model}");
        let last = &events.last().unwrap()["response"];
        assert_eq!(last["model"], model);
        assert_eq!(last["id"], events[0]["response"]["id"], "{model}");
        assert!(last["usage"]["output_tokens"].as_u64().unwrap() > 0);
        let said: String = events
            .iter()
            .filter_map(|event| event["delta"].as_str())
            .collect();
        assert_eq!(last["output"][0]["content"][0]["text"], said);
    }
}

#[tokio::test]
async fn a_request_reaches_a_provider_that_has_responses_as_it_came() {
    let scene = scene().await;
    let body = r#"{ "store":false, "model" : "gpt","input":[ {"role":"user","content":"hi"}],"metadata":{"a":"b"},"prompt_cache_retention":"24h"}"#;
    let answer = scene.client.post_text(RESPONSES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-litellm-model-id").is_some());
    let cost: f64 = answer
        .header("x-litellm-response-cost")
        .unwrap()
        .parse()
        .unwrap();
    assert!(cost > 0.0);
    let seen = scene.upstream.only();
    assert_eq!(seen.path, "/v1/responses");
    assert_eq!(
        seen.header("authorization"),
        Some(&*format!("Bearer {UPSTREAM_KEY}"))
    );
    let sent = String::from_utf8(seen.body.to_vec()).unwrap();
    assert_eq!(sent, body.replace("\"gpt\"", "\"gpt-4o-mini\""));
}

#[tokio::test]
async fn azure_has_its_responses_at_its_newer_path() {
    let scene = scene().await;
    let body = answered(&scene.client, &says("azure")).await;
    let seen = scene.upstream.only();
    assert_eq!(
        (&*seen.path, seen.query.as_deref()),
        ("/openai/v1/responses", None)
    );
    assert_eq!(seen.json()["model"], "my-deployment");
    let id = body["id"].as_str().unwrap();
    let kept = scene.client.get(&format!("{RESPONSES}/{id}")).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
}

#[tokio::test]
async fn a_response_that_is_kept_is_found_by_the_id_that_was_given_out() {
    let scene = scene().await;
    let made = answered(&scene.client, &says("gpt")).await;
    let id = made["id"].as_str().unwrap();
    for base in ["/v1/responses", "/responses", "/openai/v1/responses"] {
        let kept = scene.client.get(&format!("{base}/{id}?include[]=x")).await;
        assert_eq!(kept.status, 200, "{}", kept.text());
        let kept = kept.json();
        assert_eq!((&kept["id"], &kept["model"]), (&made["id"], &json!("gpt")));
    }
    let items = scene
        .client
        .get(&format!("{RESPONSES}/{id}/input_items?limit=3"))
        .await;
    assert_eq!(items.json()["data"][0]["type"], "message");
    let seen = scene.upstream.seen().pop().unwrap();
    assert_eq!(seen.query.as_deref(), Some("limit=3"));
    assert!(
        seen.path.starts_with("/v1/responses/resp_fake_"),
        "{}",
        seen.path
    );
    let cancelled = scene
        .client
        .post_text(&format!("{RESPONSES}/{id}/cancel"), "")
        .await;
    assert_eq!(
        cancelled.json()["status"],
        "cancelled",
        "{}",
        cancelled.text()
    );
    let deleted = scene.client.delete(&format!("{RESPONSES}/{id}")).await;
    assert_eq!(deleted.json()["deleted"], true);
    assert_eq!(deleted.json()["id"], id);
    let missing = Reply::error(404, "No such response");
    scene.upstream.next(missing);
    let gone = scene.client.get(&format!("{RESPONSES}/{id}")).await;
    assert_eq!(gone.status, 404, "{}", gone.text());
    let patch = scene
        .client
        .post(&format!("{RESPONSES}/{id}"), &json!({}))
        .await;
    assert_eq!(patch.status, 405);
}

#[tokio::test]
async fn a_conversation_goes_on_where_it_was_begun() {
    let scene = scene().await;
    let first = answered(&scene.client, &says("gpt")).await;
    let id = &first["id"];
    // Another model at the same account knows it, too.
    for model in ["gpt", "gpt-big"] {
        let body = with(says(model), &[("previous_response_id", id.clone())]);
        let next = answered(&scene.client, &body).await;
        assert_eq!(&next["previous_response_id"], id);
        let seen = scene.upstream.seen().pop().unwrap();
        let sent = seen.json()["previous_response_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(sent.starts_with("resp_fake_"), "{sent}");
    }
    let before = scene.upstream.seen().len();
    for model in ["elsewhere", "claude", "bridged"] {
        let body = with(says(model), &[("previous_response_id", id.clone())]);
        let refused = scene.client.post(RESPONSES, &body).await;
        assert_eq!(refused.status, 400, "{model}: {}", refused.text());
        assert_eq!(refused.json()["error"]["param"], "previous_response_id");
    }
    assert_eq!(scene.upstream.seen().len(), before);
}

#[tokio::test]
async fn a_conversation_reaches_the_one_of_several_who_knows_it() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let config = format!(
        "model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-4o-mini, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
  - model_name: gpt
    litellm_params: {{model: openai/gpt-4o-mini, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        first.url("/v1"),
        second.url("/v1")
    );
    let scene = Scene::between(first, gateway!(), &config).await;
    let made = answered(&scene.client, &says("gpt")).await;
    let begun = [scene.upstream.seen().len(), second.seen().len()];
    let body = with(says("gpt"), &[("previous_response_id", made["id"].clone())]);
    for _ in 0..12 {
        answered(&scene.client, &body).await;
    }
    let went = [scene.upstream.seen().len(), second.seen().len()];
    assert_eq!(went, begun.map(|before| before * 13));
}

#[tokio::test]
async fn nobody_uses_the_response_of_another() {
    let scene = scene().await;
    let (ada, eve) = (key_of(&scene, "ada").await, key_of(&scene, "eve").await);
    let also_ada = key_of(&scene, "ada").await;
    let made = answered(&ada, &says("gpt")).await;
    let path = format!("{RESPONSES}/{}", made["id"].as_str().unwrap());
    let goes_on = with(says("gpt"), &[("previous_response_id", made["id"].clone())]);
    // The user's other key may, and so may who administers.
    for client in [&ada, &also_ada, &scene.client] {
        assert_eq!(client.get(&path).await.status, 200);
        answered(client, &goes_on).await;
    }
    let before = scene.upstream.seen().len();
    for refused in [
        eve.get(&path).await,
        eve.delete(&path).await,
        eve.get(&format!("{path}/input_items")).await,
        eve.post(RESPONSES, &goes_on).await,
        // A provider's own id is nobody's here.
        ada.get("/v1/responses/resp_fake_1").await,
        ada.post(
            RESPONSES,
            &with(
                says("gpt"),
                &[("previous_response_id", json!("resp_fake_1"))],
            ),
        )
        .await,
    ] {
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.json()["error"]["message"].is_string());
    }
    assert_eq!(scene.upstream.seen().len(), before);
    let nobody = scene.gateway.client().get(&path).await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn a_response_that_nobody_keeps_is_not_found() {
    let scene = scene().await;
    for model in ["claude", "bridged", "demo"] {
        let made = answered(&scene.client, &says(model)).await;
        assert_eq!(made["store"], false);
        let id = &made["id"];
        let kept = scene
            .client
            .get(&format!("{RESPONSES}/{}", id.as_str().unwrap()))
            .await;
        assert_eq!(kept.status, 404, "{}", kept.text());
        let body = with(says("gpt"), &[("previous_response_id", id.clone())]);
        let refused = scene.client.post(RESPONSES, &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(refused.json()["error"]["param"], "previous_response_id");
    }
}

#[tokio::test]
async fn tools_are_called_and_answered_at_any_provider() {
    let scene = scene().await;
    for model in ["gpt", "bridged", "claude", "flash"] {
        let asked = with(
            says(model),
            &[
                ("tools", json!([weather()])),
                ("tool_choice", json!("required")),
            ],
        );
        let events = streamed(&scene.client, &asked).await;
        let arguments: String = events
            .iter()
            .filter(|event| event["type"] == "response.function_call_arguments.delta")
            .map(|event| event["delta"].as_str().unwrap())
            .collect();
        let last = &events.last().unwrap()["response"];
        let output = last["output"].as_array().unwrap();
        let call = output
            .iter()
            .find(|item| item["type"] == "function_call")
            .unwrap();
        assert_eq!(call["name"], "weather", "{model}");
        assert_eq!(call["arguments"].as_str().unwrap(), arguments, "{model}");

        // What the model said goes back as it is, with the result behind it.
        let mut input = vec![json!({"role": "user", "content": "hello"})];
        input.extend(output.iter().cloned());
        input.push(
            json!({"type": "function_call_output", "call_id": call["call_id"],
            "output": "sunny"}),
        );
        let next = json!({"model": model, "input": input, "tools": [weather()]});
        let body = answered(&scene.client, &next).await;
        let said = body["output"].as_array().unwrap();
        assert!(
            said.iter().any(|item| item["type"] == "message"),
            "{model}: {body}"
        );
    }
}

#[tokio::test]
async fn images_and_a_schema_go_to_any_provider() {
    let scene = scene().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}},
        "required": ["city"], "additionalProperties": false});
    for model in ["gpt", "bridged", "claude", "flash"] {
        let body = json!({"model": model, "instructions": "be brief", "max_output_tokens": 900,
            "input": [{"role": "user", "content": [
                {"type": "input_text", "text": "where is this?"},
                {"type": "input_image", "image_url": PIXEL, "detail": "auto"}]}],
            "text": {"format": {"type": "json_schema", "name": "place", "schema": schema,
                "strict": true}}});
        let body = answered(&scene.client, &body).await;
        let said = body["output"][0]["content"][0]["text"].as_str().unwrap();
        let said: Value = serde_json::from_str(said).unwrap();
        assert!(said["city"].is_string(), "{model}: {said}");
        assert_eq!(body["max_output_tokens"], 900);
        assert_eq!(body["instructions"], "be brief");
    }
}

#[tokio::test]
async fn another_model_answers_when_one_fails() {
    let scene = scene().await;
    for stream in [false, true] {
        scene
            .upstream
            .on_model("gpt-4o", Reply::error(503, "overloaded"));
        let body = says("gpt-big");
        let last = if stream {
            let events = streamed(&scene.client, &body).await;
            events.last().unwrap()["response"].clone()
        } else {
            answered(&scene.client, &body).await
        };
        assert_eq!(
            (&last["status"], &last["model"]),
            (&json!("completed"), &json!("claude"))
        );
    }
}

#[tokio::test]
async fn a_response_that_failed_before_anything_was_said_is_given_by_another() {
    let scene = scene().await;
    let failed = |stream: bool| {
        let response = json!({"id": "resp_fake_1", "status": "failed", "model": "m", "output": [],
            "error": {"code": "server_error", "message": "sorry"}});
        if stream {
            Reply::events([
                json!({"type": "response.created", "response": {"id": "resp_fake_1", "error": null}})
                    .to_string(),
                json!({"type": "response.failed", "response": response}).to_string(),
            ])
        } else {
            Reply {
                content: support::Content::Json(response),
                ..Reply::default()
            }
        }
    };
    scene.upstream.next(failed(true));
    let events = streamed(&scene.client, &says("gpt-big")).await;
    assert_eq!(events.last().unwrap()["response"]["model"], "claude");
    scene.upstream.next(failed(false));
    assert_eq!(
        answered(&scene.client, &says("gpt-big")).await["model"],
        "claude"
    );
    // Who has nobody behind gets the error with its status.
    scene.upstream.next(failed(true));
    let body = with(says("gpt"), &[("stream", json!(true))]);
    let refused = scene.client.post(RESPONSES, &body).await;
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert!(refused.text().contains("sorry"));
}

/// The first events of a stream, by the dialect of the model's provider.
fn half(model: &str) -> Vec<String> {
    let events = if model == "gpt" {
        vec![
            json!({"type": "response.created", "sequence_number": 0,
                "response": {"id": "resp_fake_1", "created_at": 7, "model": "m", "error": null}}),
            json!({"type": "response.output_text.delta", "sequence_number": 1, "delta": "half"}),
        ]
    } else {
        vec![
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "m",
                "usage": {"input_tokens": 3, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": "half"}}),
        ]
    };
    events.iter().map(Value::to_string).collect()
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_a_response_that_failed() {
    let scene = scene().await;
    for model in ["gpt", "claude"] {
        // The end is not among them.
        scene.upstream.next(Reply {
            done: false,
            ..Reply::events(half(model))
        });
        let events = streamed(&scene.client, &says(model)).await;
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.failed", "{model}: {events:?}");
        assert_eq!(last["response"]["status"], "failed");
        assert_eq!(last["response"]["id"], events[0]["response"]["id"]);
        assert!(last["response"]["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn what_a_provider_lacks_is_named_or_left_out() {
    let scene = scene().await;
    let files = json!([{"type": "file_search", "vector_store_ids": ["vs_1"]}, weather()]);
    let body = with(says("claude"), &[("tools", files)]);
    let refused = scene.client.post(RESPONSES, &body).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"]["param"], "tools");
    let body = with(body, &[("drop_params", json!(true))]);
    let answer = scene.client.post(RESPONSES, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Those that OpenAI has are its own affair.
    let body = with(says("gpt"), &[("tools", json!([{"type": "web_search"}]))]);
    answered(&scene.client, &body).await;
    let body = with(says("claude"), &[("background", json!(true))]);
    let refused = scene.client.post(RESPONSES, &body).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["param"], "background");
    let refused = scene.client.post(RESPONSES, &json!({"model": "gpt"})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["param"], "input");
}

#[tokio::test]
async fn a_response_is_paid_for_streamed_or_not() {
    let scene = scene().await;
    let ada = key_of(&scene, "ada").await;
    let whole = ada.post(RESPONSES, &says("gpt")).await;
    let cost = whole.header("x-litellm-response-cost").unwrap();
    let cost: f64 = cost.parse().unwrap();
    // 16 fresh and 4 cached tokens in, 10 out, at the catalog's prices.
    assert!((cost - 8.7e-6).abs() < 1e-12, "{cost}");
    streamed(&ada, &says("gpt")).await;
    let mut rows = Vec::new();
    support::soon("two rows of spend", async {
        while rows.len() < 2 {
            let logs = scene.client.get("/spend/logs").await.json();
            rows = logs.as_array().cloned().unwrap_or_default();
        }
    })
    .await;
    for row in rows {
        assert_eq!(
            (&row["call_type"], &row["user_id"]),
            (&json!("aresponses"), &json!("ada"))
        );
        assert!(
            (row["spend"].as_f64().unwrap() - cost).abs() < 1e-12,
            "{row}"
        );
    }
}

#[tokio::test]
async fn a_response_that_is_kept_is_streamed_from_anywhere() {
    let scene = scene().await;
    let made = answered(&scene.client, &says("gpt")).await;
    let id = made["id"].as_str().unwrap();
    let stream = async |query: &str| {
        let answer = scene.client.get(&format!("{RESPONSES}/{id}?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let kind = answer.header("content-type").unwrap().to_owned();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        let data = answer.text();
        let data = data.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect::<Vec<Value>>()
    };
    let all = stream("stream=true&include[]=reasoning.encrypted_content").await;
    assert_eq!(kinds(&all)[0], "response.created");
    let seen = scene.upstream.seen().pop().unwrap();
    let query = "stream=true&include[]=reasoning.encrypted_content";
    assert_eq!(seen.query.as_deref(), Some(query));
    for event in all.iter().filter(|event| event["response"].is_object()) {
        assert_eq!(
            (&event["response"]["id"], &event["response"]["model"]),
            (&made["id"], &json!("gpt"))
        );
    }
    let later = stream("stream=true&starting_after=3").await;
    assert_eq!(later[..], all[4..]);
    let last = stream(&format!("stream=true&starting_after={}", all.len() - 2)).await;
    assert_eq!(last[0]["type"], "response.completed");
}

#[tokio::test]
async fn what_is_asked_of_kept_responses_counts_against_rates_and_is_written_down() {
    let scene = scene().await;
    let made = scene
        .client
        .post("/key/generate", &json!({"user_id": "ada", "rpm_limit": 5}))
        .await;
    let ada = scene
        .gateway
        .client()
        .key(made.json()["key"].as_str().unwrap());
    let made = answered(&ada, &says("gpt")).await;
    let path = format!("{RESPONSES}/{}", made["id"].as_str().unwrap());
    assert_eq!(ada.get(&path).await.status, 200);
    assert_eq!(ada.get(&format!("{path}/input_items")).await.status, 200);
    assert_eq!(
        ada.post_text(&format!("{path}/cancel"), "").await.status,
        200
    );
    let deleted = ada.delete(&path).await;
    assert_eq!(deleted.status, 200);
    assert!(deleted.header("x-litellm-key-rpm-limit").is_some());
    let limited = ada.get(&path).await;
    assert_eq!(limited.status, 429, "{}", limited.text());
    let wanted = [
        "aresponses",
        "aget_responses",
        "alist_input_items",
        "acancel_responses",
        "adelete_responses",
    ];
    let mut rows = Vec::new();
    support::soon("six rows of spend", async {
        while rows.len() < 6 {
            let logs = scene.client.get("/spend/logs").await.json();
            rows = logs.as_array().cloned().unwrap_or_default();
        }
    })
    .await;
    for kind in wanted {
        let row = rows.iter().find(|row| row["call_type"] == kind).unwrap();
        assert_eq!(row["user_id"], "ada");
        assert_eq!(
            row["spend"].as_f64().unwrap() > 0.0,
            kind == "aresponses",
            "{row}"
        );
    }
}

#[tokio::test]
async fn a_file_may_let_ids_be_used_by_everybody() {
    let upstream = Upstream::start().await;
    let config = |option: &str, upstream: &Upstream| {
        format!(
        "model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-4o-mini, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
  {option}: true
",
        upstream.url("/v1")
    )
    };
    let open = config("disable_responses_id_security", &upstream);
    let scene = Scene::between(upstream, gateway!(), &open).await;
    let (ada, eve) = (key_of(&scene, "ada").await, key_of(&scene, "eve").await);
    let made = answered(&ada, &says("gpt")).await;
    let path = format!("{RESPONSES}/{}", made["id"].as_str().unwrap());
    assert_eq!(eve.get(&path).await.json()["id"], made["id"]);
    let goes_on = with(says("gpt"), &[("previous_response_id", made["id"].clone())]);
    answered(&eve, &goes_on).await;

    let upstream = Upstream::start().await;
    let unmanaged = config("allow_unmanaged_response_ids", &upstream);
    let scene = Scene::between(upstream, gateway!(), &unmanaged).await;
    let (ada, eve) = (key_of(&scene, "ada").await, key_of(&scene, "eve").await);
    let made = answered(&ada, &says("gpt")).await;
    let path = format!("{RESPONSES}/{}", made["id"].as_str().unwrap());
    assert_eq!(eve.get(&path).await.status, 403);
    let kept = eve.get("/v1/responses/resp_fake_7").await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    assert!(!kept.json()["id"].as_str().unwrap().contains("fake"));
    let goes_on = with(
        says("gpt"),
        &[("previous_response_id", json!("resp_fake_7"))],
    );
    answered(&eve, &goes_on).await;
    let seen = scene.upstream.seen().pop().unwrap();
    assert_eq!(seen.json()["previous_response_id"], "resp_fake_7");
}

#[tokio::test]
async fn tokens_are_counted_and_conversations_made_short() {
    let scene = scene().await;
    for model in ["gpt", "azure", "claude", "flash", "bridged", "demo"] {
        let counted = scene
            .client
            .post("/v1/responses/input_tokens", &says(model))
            .await;
        assert_eq!(counted.status, 200, "{model}: {}", counted.text());
        let body = counted.json();
        assert_eq!(body["object"], "response.input_tokens", "{model}");
        assert!(
            body["input_tokens"].as_u64().unwrap() > 0,
            "{model}: {body}"
        );
    }
    let first = answered(&scene.client, &says("gpt")).await;
    let body = json!({"model": "gpt", "previous_response_id": first["id"]});
    let short = scene.client.post("/v1/responses/compact", &body).await;
    assert_eq!(short.status, 200, "{}", short.text());
    assert_eq!(
        scene.upstream.seen().pop().unwrap().path,
        "/v1/responses/compact"
    );
    let cost: f64 = short
        .header("x-litellm-response-cost")
        .unwrap()
        .parse()
        .unwrap();
    assert!(cost > 0.0);
    let body = short.json();
    assert_eq!(body["object"], "response.compaction");
    assert!(!body["id"].as_str().unwrap().contains("fake"));
    // Its length is unknown, so nobody is let in who could not pay the longest.
    let made = scene
        .client
        .post(
            "/key/generate",
            &json!({"user_id": "ada", "max_budget": 1e-4}),
        )
        .await;
    let poor = scene
        .gateway
        .client()
        .key(made.json()["key"].as_str().unwrap());
    let refused = poor.post("/v1/responses/compact", &says("gpt")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    for model in ["claude", "bridged", "demo"] {
        let refused = scene
            .client
            .post("/v1/responses/compact", &says(model))
            .await;
        assert!(
            (400..500).contains(&refused.status),
            "{model}: {}",
            refused.text()
        );
    }
}
