//! Whole APIs behind the gateway's keys: requests go on as they are, with the gateway's credential
//! in place of the caller's.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::scene::{MASTER_KEY, UPSTREAM_KEY};
use support::upstream::Speaks;
use support::{Client, Ending, Gateway, Reply, Upstream, gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Scene {
    api: Upstream,
    gateway: Gateway,
    client: Client,
}

/// A gateway whose environment names the fake API as every provider.
async fn scene(more: &str) -> Scene {
    scene_of(Speaks::Bearer, more).await
}

/// The same with an API that wants its key elsewhere.
async fn scene_of(api: Speaks, more: &str) -> Scene {
    let api = Upstream::speaking(api).await;
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params:
    model: openai/gpt-4o-mini
    api_key: os.environ/OPENAI_API_KEY
    input_cost_per_token: 0.000001
    output_cost_per_token: 0.000002
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
{}",
        more.replace("TARGET", &api.url(""))
    );
    let gateway = gateway!()
        .env("TEST_MASTER_KEY", MASTER_KEY)
        .env("OPENAI_API_KEY", UPSTREAM_KEY)
        .env("OPENAI_BASE_URL", &api.url("/v1"))
        .env("ANTHROPIC_API_KEY", UPSTREAM_KEY)
        .env("ANTHROPIC_API_BASE", &api.url(""))
        .env("GEMINI_API_KEY", UPSTREAM_KEY)
        .env("GEMINI_API_BASE", &api.url(""))
        .config(&config)
        .start()
        .await;
    let client = gateway.client().key(MASTER_KEY);
    Scene {
        api,
        gateway,
        client,
    }
}

#[tokio::test]
async fn a_request_goes_on_with_the_gateways_credential() {
    let Scene {
        api,
        client,
        gateway: _gateway,
    } = scene("").await;
    let body = json!({"purpose": "batch", "odd": [1, 2]}).to_string();
    let answer = client
        .clone()
        .header("openai-beta", "assistants=v2")
        .header("x-litellm-tags", "a")
        .header("cookie", "a=b")
        .post_text("/openai/v1/batches?limit=2", &body)
        .await;
    assert_eq!(answer.status, 200);
    let seen = api.only();
    assert_eq!(
        (seen.path.as_str(), seen.query.as_deref()),
        ("/v1/batches", Some("limit=2"))
    );
    assert_eq!(seen.body, body);
    assert_eq!(
        seen.header("authorization"),
        Some(&*format!("Bearer {UPSTREAM_KEY}"))
    );
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(seen.header("cookie"), None);
    assert!(answer.headers.contains_key("x-litellm-call-id"));
    assert!(!answer.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn every_method_goes_on() {
    let Scene {
        api,
        client,
        gateway: _gateway,
    } = scene("").await;
    assert_eq!(client.get("/openai/files/f-1/content").await.status, 200);
    let seen = api.only();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("GET", "/v1/files/f-1/content")
    );
    assert!(seen.body.is_empty());
}

#[tokio::test]
async fn nobody_without_a_key_passes() {
    let Scene {
        api,
        gateway,
        client: _,
    } = scene("").await;
    for path in [
        "/openai/v1/files",
        "/anthropic/v1/messages",
        "/gemini/v1beta/models",
    ] {
        assert_eq!(gateway.client().get(path).await.status, 401, "{path}");
        let stranger = gateway.client().key("sk-stranger-000000000000");
        assert_eq!(stranger.get(path).await.status, 401, "{path}");
    }
    assert!(api.seen().is_empty());
}

/// A new key's holder.
async fn holder(gateway: &Gateway, admin: &Client, members: Value) -> Client {
    let made = admin.post("/key/generate", &members).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    gateway.client().key(made["key"].as_str().unwrap())
}

/// What a caller asks OpenAI itself.
fn asking(model: &str) -> Value {
    json!({"model": model, "max_tokens": 5, "messages": []})
}

const OPENAI_CHAT: &str = "/openai/v1/chat/completions";
/// What the two tokens of [`told`] cost by the file's prices.
const EACH: f64 = 0.000_02;

/// An answer that took ten tokens and five.
fn told() -> Reply {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5});
    Reply {
        content: support::Content::Json(json!({"model": "gpt-4o-mini-2024-07-18", "usage": usage})),
        ..Reply::default()
    }
}

/// Waits until so many requests are in the spend log, and gives them, the newest first.
async fn rows(admin: &Client, count: usize) -> Vec<Value> {
    support::soon("the spend log", async {
        loop {
            let rows = admin.get("/spend/logs?limit=50").await.json();
            let rows = rows.as_array().unwrap().clone();
            if rows.len() >= count {
                return rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_key_passes_to_the_models_of_its_list_alone() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    let held = holder(&gateway, &client, json!({"models": ["chat", "openai/o3"]})).await;
    for (path, body, status) in [
        // The group `chat` has this model, and the list has the other.
        (OPENAI_CHAT, asking("gpt-4o-mini"), 200),
        (OPENAI_CHAT, asking("o3"), 200),
        (OPENAI_CHAT, asking("gpt-4o"), 403),
        ("/anthropic/v1/messages", asking("gpt-4o-mini"), 403),
        (
            "/gemini/v1beta/models/gpt-4o-mini:generateContent",
            json!({}),
            403,
        ),
        // Nobody knows which model a batch asks.
        ("/openai/v1/batches", json!({"input_file_id": "f"}), 403),
        ("/openai/v1/files", json!({}), 200),
    ] {
        let answer = held.post(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
    let twice = r#"{"model":"gpt-4o-mini","model":"gpt-4o"}"#;
    assert_eq!(held.post_text(OPENAI_CHAT, twice).await.status, 400);
    assert_eq!(held.get("/openai/v1/files").await.status, 200);
    let denied = held.post(OPENAI_CHAT, &asking("gpt-4o")).await.json();
    assert_eq!(denied["error"]["type"], "key_model_access_denied");
    assert_eq!(api.seen().len(), 4);
}

#[tokio::test]
async fn a_key_passes_as_often_as_its_rates_allow() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    let held = holder(&gateway, &client, json!({"rpm_limit": 1})).await;
    assert_eq!(held.get("/openai/v1/files").await.status, 200);
    let limited = support::soon("a refusal", async {
        loop {
            let answer = held.get("/openai/v1/files").await;
            if answer.status == 429 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!(limited.header("rate_limit_type"), Some("requests"));
    let one = holder(&gateway, &client, json!({"max_parallel_requests": 1})).await;
    let before = api.seen().len();
    api.next(Reply {
        hold_head: true,
        ..Reply::default()
    });
    let first = tokio::spawn({
        let one = one.clone();
        async move { one.get("/openai/v1/files").await.status }
    });
    api.until("the first", |seen| seen.len() > before).await;
    assert_eq!(one.get("/openai/v1/files").await.status, 429);
    api.release();
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(one.get("/openai/v1/files").await.status, 200);
}

#[tokio::test]
async fn what_passes_is_paid_from_the_callers_budgets_and_written_down() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    let budget = 0.000_1;
    let team = json!({"team_id": "red", "max_budget": budget});
    assert_eq!(client.post("/team/new", &team).await.status, 200);
    let held = holder(&gateway, &client, json!({"team_id": "red"})).await;
    let mut passed = 0_u32;
    let refused = loop {
        api.next(told());
        let answer = held.post(OPENAI_CHAT, &asking("gpt-4o-mini")).await;
        if answer.status != 200 {
            break answer;
        }
        passed += 1;
        assert!(f64::from(passed) * EACH <= budget, "overspent");
    };
    assert!(passed > 0);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.json()["error"]["type"], "budget_exceeded");
    assert_eq!(api.seen().len(), passed as usize);
    let rows = rows(&client, passed as usize + 1).await;
    let paid: Vec<_> = rows
        .iter()
        .filter(|row| row["status"] == "success")
        .collect();
    assert_eq!(paid.len(), passed as usize);
    for row in paid {
        assert!((row["spend"].as_f64().unwrap() - EACH).abs() < 1e-12);
        assert_eq!(row["call_type"], "pass_through_endpoint");
        assert_eq!(
            (&row["team_id"], &row["model_group"]),
            (&json!("red"), &json!("chat"))
        );
        assert_eq!(row["model"], "gpt-4o-mini-2024-07-18");
        assert_eq!(row["prompt_tokens"], 10);
    }
    let info = client.get("/team/info?team_id=red").await.json();
    let spent = info["spend"].as_f64().unwrap();
    assert!((spent - f64::from(passed) * EACH).abs() < 1e-12, "{spent}");
    // To look at an answer again costs nothing.
    api.next(told());
    let looks = holder(&gateway, &client, json!({})).await;
    assert_eq!(
        looks.get("/openai/v1/chat/completions/r-1").await.status,
        200
    );
    let last = gateway.client().key(MASTER_KEY);
    let newest = &self::rows(&last, passed as usize + 2).await[0];
    assert_eq!(newest["spend"], 0.0);
}

#[tokio::test]
async fn a_stream_that_tells_no_usage_is_not_free() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    let chunk = r#"{"model":"gpt-4o-mini","choices":[{"delta":{"content":"a"}}]}"#;
    api.next(Reply::events([chunk; 6]));
    let held = holder(&gateway, &client, json!({"max_budget": 1})).await;
    let mut body = asking("gpt-4o-mini");
    body["stream"] = true.into();
    let mut stream = held.stream(OPENAI_CHAT, &body).await;
    assert_eq!(stream.status, 200);
    stream.all().await;
    let row = &rows(&client, 1).await[0];
    assert_eq!(row["metadata"]["usage_estimated"], true);
    let said = row["completion_tokens"].as_u64().unwrap();
    assert!((6..=7).contains(&said), "{said}");
    assert!(row["spend"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn an_endpoint_may_have_a_price_for_each_request() {
    let endpoints = "  pass_through_endpoints:
  - {path: /parse, target: TARGET/parse, cost_per_request: 0.5}
";
    let Scene {
        api,
        gateway,
        client,
    } = scene(endpoints).await;
    let held = holder(&gateway, &client, json!({"max_budget": 1})).await;
    for status in [200, 200, 429] {
        let answer = held.post("/parse", &json!({"a": 1})).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(api.seen().len(), 2);
    let rows = rows(&client, 3).await;
    let spent: f64 = rows.iter().filter_map(|row| row["spend"].as_f64()).sum();
    assert!((spent - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_provider_without_a_key_is_named() {
    let Scene {
        api,
        client,
        gateway: _gateway,
    } = scene("").await;
    let answer = client.get("/cohere/v1/models").await;
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("cohere"), "{}", answer.text());
    assert!(api.seen().is_empty());
}

#[tokio::test]
async fn no_path_leads_elsewhere() {
    let Scene {
        api,
        gateway,
        client: _,
    } = scene("").await;
    for target in [
        "/openai/../v1/files",
        "/openai/v1/%2e%2e/%2e%2e/admin",
        "/openai/v1/..%2f..%2fadmin",
        "/openai//evil.example/x",
        "/openai/v1/%252e%252e/x",
    ] {
        let answer = raw(&gateway, target, "gateway").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{target}: {answer}");
    }
    assert!(api.seen().is_empty());
}

#[tokio::test]
async fn neither_host_nor_absolute_form_choose_the_server() {
    let Scene {
        api,
        gateway,
        client: _,
    } = scene("").await;
    for (target, host) in [
        ("http://evil.example/openai/v1/files", "evil.example"),
        ("/openai/v1/files", "evil.example"),
        ("/openai/@evil.example/files", "gateway"),
    ] {
        let answer = raw(&gateway, target, host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
    }
    let own = api.url("");
    for seen in api.seen() {
        assert_eq!(seen.header("host"), own.strip_prefix("http://"));
    }
}

async fn raw(gateway: &Gateway, target: &str, host: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(gateway.address())
        .await
        .unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {MASTER_KEY}\r\n\
         Connection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn geminis_callers_may_show_their_key_as_google_has_it() {
    let Scene {
        api,
        gateway,
        client: _,
    } = scene_of(Speaks::GoogleKey, "").await;
    let client = gateway.client().header("x-goog-api-key", MASTER_KEY);
    let path = "/gemini/v1beta/models/gemini-2.0-flash:generateContent?alt=sse&key=";
    let two = client.post(&format!("{path}sk-x"), &json!({})).await;
    assert_eq!(two.status, 400);
    let one = client
        .post(&format!("{path}{MASTER_KEY}"), &json!({}))
        .await;
    assert_eq!(one.status, 200);
    let seen = api.only();
    assert_eq!(seen.header("x-goog-api-key"), Some(UPSTREAM_KEY));
    assert_eq!(seen.query.as_deref(), Some("alt=sse"));
}

#[tokio::test]
async fn usage_is_read_as_it_goes_by_and_is_spent() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    let whole =
        json!({"model": "gpt-4o-mini", "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
    api.next(Reply {
        content: support::Content::Json(whole.clone()),
        ..Reply::default()
    });
    let answer = client.post("/openai/v1/chat/completions", &json!({})).await;
    assert_eq!(
        serde_json::from_str::<Value>(&answer.text()).unwrap(),
        whole
    );
    gateway
        .until_log("\"call_type\":\"pass_through_endpoint\"")
        .await;
    let line = line(&gateway, "pass_through_endpoint");
    assert_eq!(
        (&line["prompt_tokens"], &line["completion_tokens"]),
        (&json!(10), &json!(5))
    );
    assert_eq!(line["cost"], json!(0.00002));
    assert_eq!(line["provider"], "openai");
}

#[tokio::test]
async fn a_stream_goes_by_event_by_event_and_is_counted() {
    let Scene {
        api,
        gateway,
        client,
    } = scene_of(Speaks::ApiKey, "").await;
    let events = [
        r#"{"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":9}}}"#,
        r#"{"type":"message_delta","usage":{"output_tokens":4}}"#,
    ];
    let mut reply = Reply::events(events);
    reply.hold_at = Some(events[0].len() + "data: \n\n".len());
    api.next(reply);
    let path = "/anthropic/v1/messages";
    let mut stream = client.stream(path, &json!({"stream": true})).await;
    // The first event is here while the second is held.
    assert_eq!(stream.next().await.unwrap().as_deref(), Some(events[0]));
    api.release();
    assert_eq!(stream.next().await.unwrap().as_deref(), Some(events[1]));
    assert_eq!(stream.next().await.unwrap(), None);
    gateway
        .until_log("\"prompt_tokens\":9,\"completion_tokens\":4")
        .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_caller() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    let mut reply = Reply::text(&"x".repeat(4000));
    reply.ending = Ending::CutAfter(1000);
    api.next(reply);
    let whole = match client.try_post("/openai/v1/files", "{}").await {
        Ok(response) => response.into_body().collect().await.is_ok(),
        Err(_) => false,
    };
    assert!(!whole, "the caller must not take a part for the whole");
    gateway.until_log("APIConnectionError").await;
}

#[tokio::test]
async fn an_error_goes_on_without_the_gateways_secrets() {
    let Scene {
        api,
        client,
        gateway: _gateway,
    } = scene("").await;
    let mut reply = Reply::error(401, &format!("Incorrect API key provided: {UPSTREAM_KEY}"));
    reply.echo_credential = true;
    api.next(reply);
    let answer = client.get("/openai/v1/files").await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("Incorrect API key provided"));
    assert!(!answer.text().contains(UPSTREAM_KEY));
    let told = answer.headers.values().any(|value| {
        value
            .as_bytes()
            .windows(12)
            .any(|part| part == &UPSTREAM_KEY.as_bytes()[..12])
    });
    assert!(!told, "{:?}", answer.headers);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let Scene {
        api,
        client,
        gateway: _gateway,
    } = scene("").await;
    api.next(Reply::redirect(307, "http://127.0.0.1:1/steal"));
    let answer = client.get("/openai/v1/files").await;
    assert_eq!(answer.status, 502);
    assert_eq!(api.seen().len(), 1);
    assert!(!answer.headers.contains_key("location"));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let Scene {
        client,
        api: _api,
        gateway: _gateway,
    } = scene("  max_request_size_mb: 1\n").await;
    let long = "x".repeat((1 << 20) + 1);
    assert_eq!(
        client.post_text("/openai/v1/files", &long).await.status,
        413
    );
}

#[tokio::test]
async fn an_endpoint_of_the_file_is_passed_on() {
    let endpoints = "  pass_through_endpoints:
  - path: /v1/parse
    target: TARGET/parse
    headers: {Authorization: Bearer os.environ/OPENAI_API_KEY, x-team: blue}
    forward_headers: true
    methods: [POST]
  - path: /tree
    target: TARGET/base
    include_subpath: true
    auth: false
";
    let Scene {
        api,
        gateway,
        client,
    } = scene(endpoints).await;
    let own = client.clone().header("x-own", "1");
    assert_eq!(own.post("/v1/parse", &json!({"a": 1})).await.status, 200);
    let seen = api.only();
    assert_eq!(seen.path, "/parse");
    assert_eq!(
        seen.header("authorization"),
        Some(&*format!("Bearer {UPSTREAM_KEY}"))
    );
    assert_eq!(
        (seen.header("x-own"), seen.header("x-team")),
        (Some("1"), Some("blue"))
    );

    assert_eq!(client.get("/v1/parse").await.status, 405);
    assert_eq!(client.post("/v1/parse/x", &json!({})).await.status, 404);
    assert_eq!(
        gateway.client().post("/v1/parse", &json!({})).await.status,
        401
    );
    // One that the file opens needs no key, and gets none.
    assert_eq!(gateway.client().get("/tree/a/b").await.status, 200);
    let last = api.seen().pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.header("authorization")),
        ("/base/a/b", None)
    );
}

fn line(gateway: &Gateway, part: &str) -> Value {
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains(part)).unwrap();
    serde_json::from_str(line).unwrap()
}
