//! The example as its callers have it: over real sockets, between a client and a provider that
//! speaks Acme's protocol and nothing else.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::upstream::Speaks;
use support::{Answer, Content, Gateway, Pieces, Reply, Setup, Upstream};

const KEY: &str = "acme-key-4711";
const CHAT: &str = "/v1/chat/completions";

fn setup(acme: &Upstream) -> Setup {
    acme.expect_key(KEY);
    Setup::of(env!("CARGO_BIN_EXE_pointsman-provider"))
        .env("ACME_API_KEY", KEY)
        .env("ACME_API_BASE", &acme.url(""))
        .env("ACME_TENANT", "7")
}

/// The compiled table, and a provider.
async fn scene() -> (Upstream, Gateway) {
    let acme = Upstream::speaking(Speaks::ApiKey).await;
    let gateway = setup(&acme).start().await;
    (acme, gateway)
}

fn asked(more: &Value) -> Value {
    let mut body = json!({"model": "house", "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn says(status: u16, body: Value) -> Reply {
    Reply {
        status,
        content: Content::Json(body),
        ..Reply::default()
    }
}

fn hello() -> Reply {
    says(
        200,
        json!({"reply": "hello", "why": "done", "spent": {"heard": 3, "said": 1}}),
    )
}

fn lines(text: &str) -> Reply {
    Reply {
        headers: vec![("content-type".into(), "application/x-ndjson".into())],
        content: Content::Text(text.into()),
        pieces: Pieces::Every(3),
        ..Reply::default()
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text()).unwrap()
}

#[tokio::test]
async fn a_conversation_is_said_in_the_providers_own_words() {
    let (acme, gateway) = scene().await;
    acme.next(hello());
    let body = asked(&json!({"max_tokens": 9, "mood": "kind"}));
    let answer = gateway.client().post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = json_of(&answer);
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["total_tokens"], 4);
    let sent = acme.only();
    assert_eq!(sent.path, "/talk/talker-1");
    assert_eq!(sent.headers["x-acme-tenant"], "unit-7");
    assert_eq!(
        sent.json(),
        json!({"turns": [{"from": "house", "say": "be brief"}, {"from": "user", "say": "hi"}],
            "as_it_comes": false, "most": 9, "mood": "kind"})
    );
}

#[tokio::test]
async fn a_stream_comes_through_however_it_is_cut() {
    let (acme, gateway) = scene().await;
    let end = "{\"why\": \"enough\", \"spent\": {\"heard\": 3, \"said\": 2}}\n";
    acme.next(lines(&format!(
        "{{\"more\": \"hel\"}}\n{{\"more\": \"lo\"}}\n{end}"
    )));
    let body = asked(&json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = gateway.client().stream(CHAT, &body).await.all().await;
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let text = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(text.collect::<String>(), "hello");
    assert!(
        chunks
            .iter()
            .any(|chunk| chunk["choices"][0]["finish_reason"] == "length")
    );
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 5);
}

#[tokio::test]
async fn other_front_doors_lead_there_as_well() {
    let (acme, gateway) = scene().await;
    acme.next(hello());
    let body =
        json!({"model": "house", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let answer = json_of(&gateway.client().post("/v1/messages", &body).await);
    assert_eq!(answer["content"][0]["text"], "hello", "{answer}");
    assert_eq!(answer["usage"]["input_tokens"], 3);
}

#[tokio::test]
async fn what_the_provider_lacks_is_refused_by_its_name() {
    let (acme, gateway) = scene().await;
    let answer = gateway
        .client()
        .post(CHAT, &asked(&json!({"seed": 1})))
        .await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("seed"), "{}", answer.text());
    assert!(acme.seen().is_empty());
}

#[tokio::test]
async fn the_providers_errors_are_those_of_the_front_door() {
    let (acme, gateway) = scene().await;
    for (status, fault, shown, words) in [
        (503, "busy", 429, "RateLimitError"),
        (400, "too_much", 400, "ContextWindowExceededError"),
        (422, "improper", 400, "ContentPolicyViolationError"),
        (401, "who", 401, "AuthenticationError"),
    ] {
        acme.next(says(status, json!({"fault": fault, "words": "Not so."})));
        let body = asked(&json!({"num_retries": 0}));
        let answer = gateway.client().post(CHAT, &body).await;
        assert_eq!(answer.status, shown, "{fault}: {}", answer.text());
        assert!(answer.text().contains(words), "{fault}: {}", answer.text());
        assert!(
            answer.text().contains("Not so."),
            "{fault}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_file_may_name_what_the_program_registers() {
    let acme = Upstream::speaking(Speaks::ApiKey).await;
    acme.next(hello());
    let config = format!(
        "model_list:
- model_name: house
  litellm_params: {{model: acme/any-model, api_base: {}, api_key: os.environ/ACME_API_KEY}}
litellm_settings:
  custom_provider_map:
  - {{provider: acme, custom_handler: acme.handler, api_key_header_name: x-api-key}}
",
        acme.url("")
    );
    let gateway = setup(&acme).config(&config).start().await;
    let answer = gateway.client().post(CHAT, &asked(&json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(acme.only().path, "/talk/any-model");
}

#[tokio::test]
async fn a_provider_that_nobody_registered_is_named_before_anybody_asks() {
    let acme = Upstream::speaking(Speaks::ApiKey).await;
    let config = "model_list:
- model_name: house
  litellm_params: {model: apex/m, api_base: \"http://127.0.0.1:1\"}
litellm_settings:
  custom_provider_map:
  - {provider: apex, custom_handler: apex.handler}
";
    let exit = setup(&acme).config(config).run().await;
    assert_ne!(exit.code(), Some(0), "{}", exit.log);
    assert!(
        exit.log
            .contains("the provider `apex` has a `custom_handler`"),
        "{}",
        exit.log
    );
}
