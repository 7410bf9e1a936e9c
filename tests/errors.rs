//! What goes wrong is told in OpenAI's shape, by whose fault it is, and without a secret.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, Scene, UPSTREAM_KEY, keyed, saying, streaming};
use support::{Answer, Client, Content, Ending, Pieces, Reply, gateway};

/// Checks the envelope and gives the error's parts.
fn error(answer: &Answer, status: u16) -> (String, Value) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(1),
        "{body}"
    );
    let error = &body["error"];
    assert_eq!(error["code"], status.to_string(), "the code is a string");
    for name in ["message", "type", "param", "code"] {
        assert!(error.get(name).is_some(), "{name} in {body}");
    }
    assert!(!answer.text().contains(UPSTREAM_KEY) && !answer.text().contains(MASTER_KEY));
    (error["message"].as_str().unwrap().to_owned(), error.clone())
}

#[tokio::test]
async fn broken_json_is_refused() {
    let scene = Scene::start(gateway!()).await;
    let head = r#"{"model":"chat","messages":[{"role":"user","content":"hi"}]"#;
    for tail in ["", "]", ",}", "} x", ",\"a\":tru}", ",\"a\":01}"] {
        let answer = scene.client.post_text(CHAT, &format!("{head}{tail}")).await;
        let (message, error) = error(&answer, 400);
        assert!(
            message.starts_with("Invalid JSON payload:"),
            "{tail}: {message}"
        );
        assert_eq!(
            (&error["type"], &error["param"]),
            (&json!("invalid_request_error"), &json!("request_body"))
        );
    }
    for text in ["", "[]", "null", "3", "\"chat\"", "\u{feff}{}"] {
        error(&scene.client.post_text(CHAT, text).await, 400);
    }
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn a_body_that_two_readers_read_differently_is_refused() {
    let scene = Scene::start(gateway!()).await;
    let twice = r#"{"model":"chat","model":"other","messages":[{"role":"user","content":"hi"}]}"#;
    error(&scene.client.post_text(CHAT, twice).await, 400);
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn a_body_deeper_than_any_reader_goes_is_refused() {
    let scene = Scene::start(gateway!()).await;
    for depth in [200, 9_000, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let body = format!("{{\"model\":\"chat\",\"messages\":{open}{close}}}");
        error(&scene.client.post_text(CHAT, &body).await, 400);
    }
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let scene = Scene::with_long_prompts(gateway!(), "  max_request_size_mb: 1\n").await;
    assert_eq!(
        scene
            .client
            .post(CHAT, &saying(&"x".repeat(900_000)))
            .await
            .status,
        200
    );
    let (message, _) = error(
        &scene
            .client
            .post(CHAT, &saying(&"x".repeat(1_100_000)))
            .await,
        413,
    );
    assert!(
        message.contains("1048576") || message.contains("1000000"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let scene = Scene::start(gateway!()).await;
    let (message, error_) = error(
        &scene.client.post(CHAT, &json!({"model": "chat"})).await,
        400,
    );
    assert_eq!(
        message,
        "/chat/completions: Missing required parameter: 'messages'."
    );
    assert_eq!(
        (&error_["type"], &error_["param"]),
        (&json!("invalid_request_error"), &json!("messages"))
    );
    let (message, _) = error(
        &scene
            .client
            .post("/v1/embeddings", &json!({"model": "chat"}))
            .await,
        400,
    );
    assert!(message.contains("'input'"), "{message}");
    let no_model = json!({"messages": [{"role": "user", "content": "hi"}]});
    let (message, _) = error(&scene.client.post(CHAT, &no_model).await, 400);
    assert!(message.contains("'model'"), "{message}");
    error(
        &scene
            .client
            .post(CHAT, &json!({"model": 3, "messages": []}))
            .await,
        400,
    );
}

#[tokio::test]
async fn an_unknown_model_is_refused_with_the_nearest_name() {
    let scene = Scene::start(gateway!()).await;
    let mut body = saying("hi");
    body["model"] = json!("chta");
    let (message, error_) = error(&scene.client.post(CHAT, &body).await, 400);
    let start = "litellm.BadRequestError: You passed in model=chta. There are no healthy deployments for this model";
    assert!(message.starts_with(start), "{message}");
    assert!(
        message.contains("chat") && message.contains("/v1/models"),
        "{message}"
    );
    assert_eq!(error_["type"], "invalid_request_error");
    body["model"] = json!("x".repeat(100_000));
    let long = scene.client.post(CHAT, &body).await;
    assert!(error(&long, 400).0.len() < 2_000);
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let scene = Scene::start(gateway!()).await;
    let body = saying("hi").to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let client = scene.client.clone().header("content-type", kind);
        let (message, _) = error(&client.post_bare(CHAT, &body).await, 415);
        assert!(message.contains("application/json"), "{message}");
    }
    let client = scene
        .client
        .clone()
        .header("content-type", "application/json; charset=utf-8");
    assert_eq!(client.post_bare(CHAT, &body).await.status, 200);
}

#[tokio::test]
async fn a_client_cannot_say_where_a_credential_goes() {
    let scene = Scene::start(gateway!()).await;
    for (name, value) in [
        ("api_base", json!("http://127.0.0.1:9/v1")),
        ("base_url", json!("http://127.0.0.1:9/v1")),
        ("api_key", json!("sk-mine")),
        ("api_version", json!("x")),
        ("custom_llm_provider", json!("azure")),
        ("extra_headers", json!({"a": "b"})),
        ("model_list", json!([])),
        ("organization", json!("org")),
        ("api\\u005fbase", json!("http://127.0.0.1:9/v1")),
    ] {
        let body = saying("hi").to_string();
        let body = format!("{},\"{name}\":{value}}}", &body[..body.len() - 1]);
        let (message, _) = error(&scene.client.post_text(CHAT, &body).await, 400);
        assert!(!message.contains("127.0.0.1"), "{message}");
    }
    assert_eq!(scene.upstream.seen().len(), 0);
}

#[tokio::test]
async fn an_unknown_path_is_told_as_litellm_tells_it() {
    let scene = Scene::start(gateway!()).await;
    let answer = scene.client.get("/v1/nothing").await;
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({"detail": "Not Found"}))
    );
    let answer = scene.client.get(CHAT).await;
    assert_eq!(
        (answer.status, answer.json()),
        (405, json!({"detail": "Method Not Allowed"}))
    );
}

#[tokio::test]
async fn each_status_of_the_provider_has_its_class() {
    let scene = Scene::start(gateway!()).await;
    for (status, class, kind) in [
        (400, "BadRequestError", "invalid_request_error"),
        (401, "AuthenticationError", "auth_error"),
        (403, "PermissionDeniedError", "permission_denied_error"),
        (404, "NotFoundError", "not_found_error"),
        (422, "UnprocessableEntityError", "invalid_request_error"),
        (429, "RateLimitError", "throttling_error"),
        (500, "InternalServerError", "internal_server_error"),
        (502, "BadGatewayError", "bad_gateway_error"),
        (503, "ServiceUnavailableError", "service_unavailable_error"),
    ] {
        for body in [saying("hi"), streaming("hi")] {
            scene.upstream.next(Reply::error(status, "the reason"));
            let answer = scene.client.post(CHAT, &body).await;
            let (message, error) = error(&answer, status);
            let start = format!("litellm.{class}: {class}: OpenAIException - the reason");
            assert!(message.starts_with(&start), "{message}");
            assert!(message.contains("Received Model Group=chat"), "{message}");
            assert_eq!(error["type"], kind);
            assert_eq!(answer.header("x-pointsman-error-source"), Some("provider"));
            assert!(answer.header("x-litellm-call-id").is_some());
        }
    }
}

#[tokio::test]
async fn a_429_keeps_its_retry_after() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(Reply::rate_limited("17"));
    let answer = scene.chat().await;
    error(&answer, 429);
    assert_eq!(answer.header("retry-after"), Some("17"));
}

#[tokio::test]
async fn a_key_that_the_provider_echoes_stays_here() {
    let scene = Scene::start(gateway!()).await;
    let echo = format!("Incorrect API key provided: {UPSTREAM_KEY}. Or sk-proj-abcdefabcdef0123.");
    scene.upstream.next(Reply::error(401, &echo));
    let (message, _) = error(&scene.chat().await, 401);
    assert!(!message.contains("abcdef0123"), "{message}");
    scene.upstream.next(Reply {
        echo_credential: true,
        ..Reply::default()
    });
    let answer = scene.chat().await;
    assert_eq!(answer.status, 200);
    scene
        .upstream
        .next(Reply::default().header("x-request-id", UPSTREAM_KEY));
    let other = scene.chat().await;
    for (name, value) in answer.headers.iter().chain(&other.headers) {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!value.contains(UPSTREAM_KEY), "{name}: {value}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_the_providers_fault() {
    let scene = Scene::start(gateway!()).await;
    let html = || Reply {
        content: Content::Html,
        ..Reply::default()
    };
    let replies = [
        html(),
        Reply {
            status: 502,
            ..html()
        },
        Reply::text("{\"id\":"),
        Reply::text("[]"),
        Reply::text(""),
        Reply {
            gzip: true,
            ..Reply::default()
        },
        Reply::redirect(302, "http://127.0.0.1:9/elsewhere"),
        Reply::redirect(307, "/v1/chat/completions"),
        Reply {
            content: Content::HangUp,
            ..Reply::default()
        },
        Reply {
            ending: Ending::CutAfter(40),
            ..Reply::default()
        },
        Reply {
            pieces: Pieces::Whole,
            ending: Ending::CutAfter(40),
            ..Reply::default()
        },
    ];
    for reply in replies {
        let shown = format!("{reply:?}");
        scene.upstream.next(reply);
        let answer = scene.chat().await;
        assert!(
            matches!(answer.status, 500 | 502),
            "{shown}: {} {}",
            answer.status,
            answer.text()
        );
        let (message, _) = error(&answer, answer.status);
        assert!(
            !message.contains('<') && !message.contains("127.0.0.1"),
            "{shown}: {message}"
        );
        assert_eq!(
            answer.header("x-pointsman-error-source"),
            Some("provider"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn what_is_no_stream_is_told_with_a_status() {
    let scene = Scene::start(gateway!()).await;
    for reply in [
        Reply {
            content: Content::Html,
            ..Reply::default()
        },
        Reply::text("{}"),
        Reply::events(["no json"]),
        Reply {
            done: false,
            ..Reply::events([""; 0])
        },
        Reply {
            content: Content::HangUp,
            ..Reply::default()
        },
        Reply {
            ending: Ending::CutAfter(0),
            ..Reply::default()
        },
        Reply {
            ending: Ending::CutAfter(9),
            ..Reply::default()
        },
    ] {
        let shown = format!("{reply:?}");
        scene.upstream.next(reply);
        let answer = scene.client.post(CHAT, &streaming("hi")).await;
        assert!(
            matches!(answer.status, 500 | 502),
            "{shown}: {} {}",
            answer.status,
            answer.text()
        );
        error(&answer, answer.status);
    }
    let told = json!({"error": {"message": "overloaded", "type": "x", "param": null, "code": 503}});
    scene.upstream.next(Reply::events([told.to_string()]));
    error(&scene.client.post(CHAT, &streaming("hi")).await, 503);
}

#[tokio::test]
async fn a_stream_never_ends_in_silence() {
    let scene = Scene::start(gateway!()).await;
    let events = ["{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}"; 3];
    let one = events[0].len() + "data: \n\n".len();
    let told = json!({"error": {"message": "the reason", "type": "server_error", "code": null}});
    let told = [events[0].to_owned(), told.to_string()];
    for (reply, whole) in [
        (
            Reply {
                ending: Ending::CutAfter(2 * one),
                ..Reply::events(events)
            },
            2,
        ),
        (
            Reply {
                ending: Ending::CutAfter(2 * one + 9),
                ..Reply::events(events)
            },
            2,
        ),
        (
            Reply {
                done: false,
                ..Reply::events(events)
            },
            3,
        ),
        (Reply::events([events[0], "{\"choices\":"]), 1),
        (Reply::events(told), 1),
    ] {
        let shown = format!("{reply:?}");
        scene.upstream.next(reply);
        let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
        assert_eq!(stream.status, 200, "{shown}");
        let got = stream.all().await;
        assert_eq!(got.len(), whole + 1, "{shown}: {got:?}");
        let last: Value = serde_json::from_str(&got[whole]).unwrap();
        let message = last["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("litellm."), "{shown}: {last}");
        assert!(
            last["error"]["type"].is_string() && last["error"]["code"].is_string(),
            "{last}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_told() {
    let config = "model_list:\n  - model_name: chat\n    litellm_params:\n      model: openai/m\n      \
                  api_base: http://127.0.0.1:9/v1\n      api_key: os.environ/TEST_UPSTREAM_KEY\n\
                  router_settings:\n  num_retries: 0\n\
                  general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n";
    let gateway = keyed(gateway!()).config(config).start().await;
    let client = Client::new(&gateway.url("")).key(MASTER_KEY);
    for body in [saying("hi"), streaming("hi")] {
        let (message, error) = error(&client.post(CHAT, &body).await, 500);
        assert!(
            message.starts_with("litellm.InternalServerError:"),
            "{message}"
        );
        assert!(message.contains("Connection error."), "{message}");
        assert!(!message.contains("127.0.0.1"), "{message}");
        assert_eq!(error["type"], "internal_server_error");
    }
}

#[tokio::test]
async fn absurd_figures_of_a_provider_cost_nothing_below_zero() {
    let scene = Scene::start(gateway!()).await;
    for usage in [
        json!({"prompt_tokens": -5, "completion_tokens": 1, "total_tokens": -4}),
        json!({"prompt_tokens": 1e300, "completion_tokens": 1, "total_tokens": 1}),
        json!({"prompt_tokens": 18_446_744_073_709_551_615_u64, "completion_tokens": 18_446_744_073_709_551_615_u64}),
        json!("lots"),
        json!(null),
        json!({"prompt_tokens": 2, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}),
    ] {
        let body = json!({"id": "x", "model": "m", "choices": [], "usage": usage});
        scene.upstream.next(Reply {
            content: Content::Json(body),
            ..Reply::default()
        });
        let answer = scene.chat().await;
        assert_eq!(answer.status, 200, "{usage}: {}", answer.text());
        let cost = answer
            .header("x-litellm-response-cost")
            .map(|cost| cost.parse::<f64>().unwrap());
        assert!(
            cost.is_none_or(|cost| cost >= 0.0 && cost.is_finite()),
            "{usage}: {cost:?}"
        );
    }
}
