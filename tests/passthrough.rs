//! OpenAI in, OpenAI out: what the client and the provider say to each other arrives as they said it.

use serde_json::{Value, json};
use support::scene::{CHAT, MODEL, Scene, UPSTREAM_KEY, keyed, saying, streaming};
use support::upstream::DATED;
use support::{LineEnd, Pieces, Reply, Upstream, Usage, gateway, sse};

/// A request written as no serializer would, so that a rewritten byte shows.
const ODD: &str = "{ \"x_vendor\" : {\"a\":[1.0, 2e3, -0, \"\\u00e9\\u2028\"]},\n\t\"model\" : \"chat\",\
    \"messages\":[ {\"role\":\"user\",\"content\":\"the \\\"model\\\": \\\"chat\\\" \u{2028}é\"} ],\
    \"nested\":{\"model\":\"chat\",\"stream\":true}, \"top_k\":3 , \"seed\" : 12345678901234567 }";

#[tokio::test]
async fn unknown_fields_travel_untouched() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.also_takes(&["x_vendor", "nested", "top_k"]);
    assert_eq!(scene.client.post_text(CHAT, ODD).await.status, 200);
    let sent = scene.upstream.only();
    let expected = ODD.replacen("\"model\" : \"chat\"", "\"model\" : \"gpt-4o-mini\"", 1);
    assert_eq!(String::from_utf8_lossy(&sent.body), expected);
    assert_eq!(sent.path, CHAT);
}

#[tokio::test]
async fn a_model_name_is_read_as_json_reads_it() {
    let scene = Scene::start(gateway!()).await;
    let body = r#"{"messages":[{"role":"user","content":"hi"}],"model":"ch\u0061t"}"#;
    assert_eq!(scene.client.post_text(CHAT, body).await.status, 200);
    assert_eq!(scene.upstream.only().json()["model"], MODEL);
}

#[tokio::test]
async fn an_answer_travels_untouched_but_for_its_model() {
    let scene = Scene::start(gateway!()).await;
    let dated = format!("{MODEL}{DATED}");
    let text = format!(
        "{{ \"id\":\"x\", \"x_new\" : [1.50, \"\\u2028\"],\n \"model\" : \"{dated}\", \"choices\":[{{\"index\":0,\
         \"message\":{{\"role\":\"assistant\",\"content\":\"\\\"model\\\":\\\"{dated}\\\"\"}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}} }}\n"
    );
    scene.upstream.next(Reply::text(&text));
    let answer = scene.chat().await;
    let expected = text.replacen(
        &format!("\"model\" : \"{dated}\""),
        "\"model\" : \"chat\"",
        1,
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_stream_travels_untouched_but_for_its_model_wherever_it_is_cut() {
    let scene = Scene::start(gateway!()).await;
    let event = |content: &str, finish: &str| {
        format!(
            "{{\"id\":\"c\",\"x_new\" : 1.50,\"model\":\"{MODEL}{DATED}\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":{finish}}}]}}"
        )
    };
    let events = [event("é\u{2028}\u{0085}", "null"), event("", "\"stop\"")];
    for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
        let end = line_end.text();
        let lines = events
            .iter()
            .map(|event| event.replace(&format!("{MODEL}{DATED}"), "chat"));
        let expected = lines
            .chain(["[DONE]".to_owned()])
            .fold(String::new(), |text, event| {
                text + &format!(": keep-alive{end}{end}data: {event}{end}{end}")
            });
        let length = expected.len() + 2 * (MODEL.len() + DATED.len() - "chat".len());
        let cuts = (1..length).map(|byte| Pieces::At(vec![byte]));
        let steps = [1, 2, 3, 5, 7, 11].into_iter().map(Pieces::Every);
        for pieces in cuts.chain(steps) {
            let shown = format!("{line_end:?} {pieces:?}");
            scene.upstream.next(Reply {
                pieces,
                line_end,
                comments: true,
                ..Reply::events(&events)
            });
            let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
            let kind = stream.header("content-type").unwrap_or_default();
            assert!(kind.starts_with("text/event-stream"), "{shown}: {kind}");
            stream.all().await;
            assert_eq!(String::from_utf8_lossy(stream.bytes()), expected, "{shown}");
        }
    }
}

#[tokio::test]
async fn chunks_arrive_as_they_are_made() {
    let scene = Scene::start(gateway!()).await;
    let first = json!({"choices": [{"index": 0, "delta": {"content": "now"}}]}).to_string();
    let hold_at = Some(format!("data: {first}\n\n").len());
    scene.upstream.next(Reply {
        hold_at,
        ..Reply::events([first, "{}".into()])
    });
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    let event = stream.next().await.unwrap().unwrap();
    assert!(event.contains("now"), "{event}");
    scene.upstream.release();
    assert_eq!(
        stream.all().await.last().map(String::as_str),
        Some("[DONE]")
    );
}

#[tokio::test]
async fn usage_is_asked_for_upstream_and_taken_out_again() {
    let scene = Scene::start(gateway!()).await;
    let events = scene
        .client
        .stream(CHAT, &streaming("hi"))
        .await
        .all()
        .await;
    assert_eq!(
        scene.upstream.only().json()["stream_options"],
        json!({"include_usage": true})
    );
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event).unwrap();
        assert!(chunk["usage"].is_null(), "{event}");
        assert_eq!(
            chunk["choices"].as_array().map(Vec::len),
            Some(1),
            "{event}"
        );
        assert_eq!(chunk["model"], "chat");
    }
}

#[tokio::test]
async fn usage_that_the_client_asked_for_stays() {
    let scene = Scene::start(gateway!()).await;
    let mut body = streaming("hi");
    body["stream_options"] = json!({"include_usage": true});
    let events = scene.client.stream(CHAT, &body).await.all().await;
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(last["usage"]["total_tokens"], 30);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(
        last["usage"]["completion_tokens_details"]["reasoning_tokens"],
        3
    );
}

#[tokio::test]
async fn other_stream_options_are_kept() {
    let scene = Scene::start(gateway!()).await;
    let mut body = streaming("hi");
    body["stream_options"] = json!({"include_obfuscation": false, "include_usage": false});
    scene.client.stream(CHAT, &body).await.all().await;
    let sent = scene.upstream.only().json();
    assert_eq!(
        sent["stream_options"],
        json!({"include_obfuscation": false, "include_usage": true})
    );
}

#[tokio::test]
async fn usage_in_the_last_choice_is_no_extra_chunk() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(Reply {
        usage: Usage::InLastChoice,
        ..Reply::default()
    });
    let events = scene
        .client
        .stream(CHAT, &streaming("hi"))
        .await
        .all()
        .await;
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_stream_without_done_ends_well_formed() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(Reply {
        done: false,
        ..Reply::default()
    });
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    let events = stream.all().await;
    assert!(
        events
            .iter()
            .any(|event| event.contains("\"finish_reason\":\"stop\""))
    );
    assert_eq!(sse::read(stream.bytes()).len(), events.len());
}

#[tokio::test]
async fn a_body_of_ten_megabytes_travels() {
    let scene = Scene::with_long_prompts(gateway!(), "").await;
    let text = "é".repeat(5 << 20);
    let answer = scene.client.post(CHAT, &saying(&text)).await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        format!("You said: {text}")
    );
}

#[tokio::test]
async fn nothing_of_the_client_reaches_the_provider_but_what_is_for_it() {
    let scene = Scene::start(gateway!()).await;
    let client = scene
        .client
        .clone()
        .header("cookie", "session=1")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-litellm-tags", "a,b")
        .header("te", "trailers")
        .header("connection", "x-hop")
        .header("x-hop", "1");
    let mut body = saying("hi");
    body["metadata"] = json!({"generation_name": "x"});
    body["tags"] = json!(["a"]);
    body["litellm_metadata"] = json!({"a": 1});
    body["num_retries"] = json!(0);
    assert_eq!(client.post(CHAT, &body).await.status, 200);
    let sent = scene.upstream.only();
    assert_eq!(
        sent.header("authorization"),
        Some(&*format!("Bearer {UPSTREAM_KEY}"))
    );
    assert_eq!(sent.header("x-hop"), None);
    assert_eq!(
        sent.header("host"),
        Some(&*scene.upstream.address().to_string())
    );
    assert_eq!(sent.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn connections_to_the_provider_are_kept() {
    let scene = Scene::start(gateway!()).await;
    for _ in 0..5 {
        assert_eq!(scene.chat().await.status, 200);
        scene
            .client
            .stream(CHAT, &streaming("hi"))
            .await
            .all()
            .await;
    }
    assert_eq!(scene.upstream.connections(), 1);
}

/// The usual scene with a second group, `vectors`, of an embedding model.
async fn with_vectors() -> Scene {
    let upstream = Upstream::start().await;
    let entry = format!(
        "  - model_name: vectors\n    litellm_params:\n      model: openai/text-embedding-3-small\n      \
         api_base: {}\n      api_key: os.environ/TEST_UPSTREAM_KEY\nrouter_settings:\n",
        upstream.url("/v1")
    );
    let config = support::scene::config(&upstream, "").replace("router_settings:\n", &entry);
    Scene::between(upstream, gateway!(), &config).await
}

#[tokio::test]
async fn every_path_has_its_short_form() {
    let scene = with_vectors().await;
    for prefix in ["", "/v1"] {
        let path = |rest: &str| format!("{prefix}{rest}");
        assert_eq!(
            scene
                .client
                .post(&path("/chat/completions"), &saying("hi"))
                .await
                .status,
            200
        );
        let prompt = json!({"model": "chat", "prompt": "once"});
        let text = scene
            .client
            .post(&path("/completions"), &prompt)
            .await
            .json();
        assert_eq!(
            (&text["choices"][0]["text"], &text["model"]),
            (&json!("after once"), &json!("chat"))
        );
        let input = json!({"model": "vectors", "input": ["a", "b"]});
        let vectors = scene.client.post(&path("/embeddings"), &input).await.json();
        assert_eq!(
            (&vectors["data"][1]["embedding"][0], &vectors["model"]),
            (&json!(0.5), &json!("vectors"))
        );
        let models = scene.client.get(&path("/models")).await.json();
        assert_eq!(models["object"], "list");
        assert_eq!(models["data"][0]["id"], "chat");
        assert_eq!(
            (&models["data"][0]["object"], &models["data"][0]["owned_by"]),
            (&json!("model"), &json!("openai"))
        );
    }
}

#[tokio::test]
async fn azure_clients_name_the_model_in_the_path() {
    let scene = with_vectors().await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for path in [
        "/openai/deployments/chat/chat/completions?api-version=2024-10-21",
        "/engines/chat/chat/completions",
        "/v1/engines/chat/chat/completions",
    ] {
        let answer = scene.client.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["model"], "chat", "{path}");
    }
    let input = json!({"input": "a"});
    let answer = scene
        .client
        .post(
            "/openai/deployments/vectors/embeddings?api-version=2024-10-21",
            &input,
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = scene.upstream.seen();
    assert!(seen.iter().all(|seen| seen.query.is_none()));
    let models: Vec<_> = seen
        .iter()
        .map(|seen| seen.json()["model"].clone())
        .collect();
    assert_eq!(models, [MODEL, MODEL, MODEL, "text-embedding-3-small"]);
}

#[tokio::test]
async fn a_legacy_completion_streams() {
    let scene = Scene::start(gateway!()).await;
    let body = json!({"model": "chat", "prompt": "once upon", "stream": true});
    let events = scene
        .client
        .stream("/v1/completions", &body)
        .await
        .all()
        .await;
    let first: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!(
        (&first["model"], &first["choices"][0]["text"]),
        (&json!("chat"), &json!("after "))
    );
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

/// A gateway whose group `chat` has this `model` and more parameters.
async fn speaking_to(model: &str, base: &str, params: &str) -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:\n  - model_name: chat\n    litellm_params:\n      model: {model}\n      \
         api_base: {}\n      api_key: os.environ/TEST_UPSTREAM_KEY\n{params}\
         router_settings:\n  num_retries: 0\n\
         general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n",
        upstream.url(base)
    );
    Scene::between(upstream, gateway!(), &config).await
}

#[tokio::test]
async fn azure_upstreams_get_their_path_version_and_key() {
    let version = "      api_version: \"2024-10-21\"\n";
    let scene = speaking_to("azure/my-deployment", "", version).await;
    assert_eq!(scene.chat().await.status, 200);
    let sent = scene.upstream.only();
    assert_eq!(
        sent.path,
        "/openai/deployments/my-deployment/chat/completions"
    );
    assert_eq!(sent.query.as_deref(), Some("api-version=2024-10-21"));
    assert_eq!(sent.header("api-key"), Some(UPSTREAM_KEY));
    assert_eq!(sent.header("authorization"), None);
}

#[tokio::test]
async fn vendors_of_the_openai_dialect_are_rows_of_a_table() {
    for (model, base, path) in [
        ("groq/llama-3.3-70b", "/v1", CHAT),
        ("hosted_vllm/Qwen/Qwen3-8B", "/v1", CHAT),
        ("vllm/mistral", "/v1", CHAT),
        ("openai/anything", "/v1", CHAT),
        ("lm_studio/llama3", "/v1", CHAT),
    ] {
        let scene = speaking_to(model, base, "").await;
        let answer = scene.chat().await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let sent = scene.upstream.only();
        assert_eq!(sent.path, path, "{model}");
        let name = model.split_once('/').unwrap().1;
        assert_eq!(sent.json()["model"], name);
    }
}

#[tokio::test]
async fn a_vendor_gets_a_parameter_under_the_name_that_it_knows() {
    let scene = speaking_to("apertis/m", "/v1", "").await;
    let body =
        r#"{"model":"chat","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":7}"#;
    assert_eq!(scene.client.post_text(CHAT, body).await.status, 200);
    let sent = scene.upstream.only().json();
    assert_eq!(
        (&sent["max_tokens"], sent.get("max_completion_tokens")),
        (&json!(7), None)
    );
}

#[tokio::test]
async fn a_provider_of_the_files_own_is_spoken_to_as_the_file_says() {
    let upstream = Upstream::start().await;
    upstream.also_takes(&["random_seed"]);
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params:
    model: acme/talker-1
    extra_headers: {{x-request-id: 'unit-${{TENANT}}'}}
- model_name: house
  litellm_params:
    model: openai/talker-2
    api_base: {0}
    extra_headers: {{authorization: 'Bearer ${{TEST_UPSTREAM_KEY}}'}}
    param_mappings: {{seed: random_seed}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
litellm_settings:
  custom_provider_map:
  - provider: acme
    base_url: {0}
    api_key_env: TEST_UPSTREAM_KEY
    param_mappings: {{max_completion_tokens: max_tokens}}
    stream_options: false
",
        upstream.url("/v1")
    );
    let setup = gateway!().env("TENANT", "7");
    let scene = Scene::between(upstream, setup, &config).await;
    let mut body = saying("hi");
    body["max_completion_tokens"] = 9.into();
    body["seed"] = 3.into();
    assert_eq!(scene.client.post(CHAT, &body).await.status, 200);
    body["model"] = "house".into();
    assert_eq!(scene.client.post(CHAT, &body).await.status, 200);
    let seen = scene.upstream.seen();
    let (acme, house) = (seen[0].json(), seen[1].json());
    assert_eq!(seen[0].header("x-request-id"), Some("unit-7"));
    assert_eq!(
        (&acme["model"], &acme["max_tokens"]),
        (&json!("talker-1"), &json!(9))
    );
    assert_eq!(
        (&acme["seed"], &acme["max_completion_tokens"]),
        (&json!(3), &Value::Null)
    );
    assert_eq!(
        (&house["random_seed"], &house["seed"]),
        (&json!(3), &Value::Null)
    );
}

#[tokio::test]
async fn parameters_of_the_file_fill_in_what_the_client_left_out() {
    let scene = Scene::with_params(gateway!(), "temperature: 0.25\nmax_tokens: 64").await;
    let mut body = saying("hi");
    body["max_tokens"] = json!(5);
    assert_eq!(scene.client.post(CHAT, &body).await.status, 200);
    let sent = scene.upstream.only().json();
    assert_eq!(
        (&sent["temperature"], &sent["max_tokens"]),
        (&json!(0.25), &json!(5))
    );
}

#[tokio::test]
async fn a_wildcard_group_fills_in_what_matched() {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:\n  - model_name: \"any/*\"\n    litellm_params:\n      model: \"openai/*\"\n      \
         api_base: {}\n      api_key: os.environ/TEST_UPSTREAM_KEY\n\
         general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n",
        upstream.url("/v1")
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    let mut body = saying("hi");
    body["model"] = json!("any/gpt-x");
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(scene.upstream.only().json()["model"], "gpt-x");
    assert_eq!(answer.json()["model"], "any/gpt-x");
}

#[tokio::test]
async fn a_mock_answers_with_no_upstream_and_no_key() {
    let config = "model_list:\n  - model_name: demo\n    litellm_params:\n      model: openai/demo\n      \
                  mock_response: Hello from nowhere\n\
                  general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n";
    let gateway = keyed(gateway!()).config(config).start().await;
    let client = gateway.client().key(support::scene::MASTER_KEY);
    let mut body = json!({"model": "demo", "messages": [{"role": "user", "content": "hi"}]});
    let answer = client.post(CHAT, &body).await.json();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "Hello from nowhere"
    );
    assert_eq!(answer["model"], "demo");
    body["stream"] = json!(true);
    let events = client.stream(CHAT, &body).await.all().await;
    let text: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(text, "Hello from nowhere");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}
