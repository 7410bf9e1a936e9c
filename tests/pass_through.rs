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

#[tokio::test]
async fn a_key_with_means_of_its_own_does_not_pass_around_them() {
    let Scene {
        api,
        gateway,
        client,
    } = scene("").await;
    for (members, status) in [
        (json!({}), 200),
        (json!({"max_budget": 1}), 403),
        (json!({"rpm_limit": 5}), 403),
        (json!({"models": ["chat"]}), 403),
    ] {
        let made = client.post("/key/generate", &members).await.json();
        let key = made["key"].as_str().expect("a key");
        let answer = gateway
            .client()
            .key(key)
            .post("/openai/v1/batches", &json!({}))
            .await;
        assert_eq!(answer.status, status, "{members}: {}", answer.text());
    }
    assert_eq!(api.seen().len(), 1);
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
    let path = "/gemini/v1beta/models/gemini-2.0-flash:generateContent?alt=sse&key=sk-x";
    assert_eq!(client.post(path, &json!({})).await.status, 200);
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
