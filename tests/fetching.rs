//! Images that a caller names by address, for providers that must be given the bytes: fetched from
//! where the file allows, and from nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::scene::{CHAT, Scene};
use support::upstream::Speaks;
use support::{Content, Reply, Setup, Upstream, gateway};

/// A gateway with `chat` at Ollama and `house` at a server of OpenAI's dialect, both the same fake, and
/// a place where pictures are, which the file allows or not.
async fn scene(setup: Setup, allowed: bool) -> (Scene, Upstream) {
    let pictures = Upstream::speaking(Speaks::Bearer).await;
    let upstream = Upstream::start().await;
    let host = pictures.url("").replace("http://", "");
    let hosts = if allowed {
        format!("[\"{host}\"]")
    } else {
        "[]".to_owned()
    };
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params: {{model: ollama/llava, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
- model_name: house
  litellm_params: {{model: openai/gpt-4o, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
router_settings: {{num_retries: 0}}
litellm_settings: {{user_url_allowed_hosts: {hosts}}}
",
        upstream.url(""),
        upstream.url("/v1"),
    );
    (Scene::between(upstream, setup, &config).await, pictures)
}

fn showing(url: &str) -> Value {
    let text = json!({"type": "text", "text": "What is it?"});
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    json!({"model": "chat", "messages": [{"role": "user", "content": [text, image]}]})
}

fn thing(bytes: &str, kind: &str) -> Reply {
    Reply {
        headers: vec![("content-type".into(), kind.into())],
        content: Content::Text(bytes.into()),
        ..Reply::default()
    }
}

const GIF: &str = "GIF89a a picture";

#[tokio::test]
async fn an_image_by_address_comes_as_bytes() {
    let (scene, pictures) = scene(gateway!(), true).await;
    // What the server calls it does not matter.
    pictures.next(thing(GIF, "text/html"));
    let body = showing(&pictures.url("/a/cat?size=1"));
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = scene.upstream.only().json();
    assert_eq!(sent["messages"][0]["images"], json!([STANDARD.encode(GIF)]));
    let fetched = pictures.only();
    assert_eq!(fetched.method, "GET");
    assert_eq!(
        (&*fetched.path, fetched.query.as_deref()),
        ("/a/cat", Some("size=1"))
    );
    // Nothing tells the place who asks.
    for name in ["authorization", "x-api-key", "cookie", "referer"] {
        assert_eq!(fetched.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_image_of_a_stream_and_of_another_dialect_comes_as_well() {
    let (scene, pictures) = scene(gateway!(), true).await;
    pictures.next(thing(GIF, "image/gif"));
    let mut body = showing(&pictures.url("/cat.gif"));
    body["stream"] = true.into();
    let events = scene.client.stream(CHAT, &body).await.all().await;
    assert_eq!(events.last().unwrap(), "[DONE]");
    pictures.next(thing(GIF, "image/gif"));
    let source = json!({"type": "url", "url": pictures.url("/dog.gif")});
    let body = json!({"model": "chat", "max_tokens": 9, "messages": [{"role": "user",
        "content": [{"type": "image", "source": source}]}]});
    let answer = scene.client.post("/v1/messages", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for seen in scene.upstream.seen() {
        assert_eq!(
            seen.json()["messages"][0]["images"],
            json!([STANDARD.encode(GIF)])
        );
    }
}

#[tokio::test]
async fn a_document_by_address_comes_as_a_file() {
    let (scene, pictures) = scene(gateway!(), true).await;
    pictures.next(thing("%PDF-1.7 words", "application/pdf"));
    let source = json!({"type": "url", "url": pictures.url("/paper")});
    let body = json!({"model": "house", "max_tokens": 9, "messages": [{"role": "user",
        "content": [{"type": "document", "source": source}]}]});
    let answer = scene.client.post("/v1/messages", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = &scene.upstream.only().json()["messages"][0]["content"][0]["file"]["file_data"];
    let data = STANDARD.encode("%PDF-1.7 words");
    assert_eq!(*file, format!("data:application/pdf;base64,{data}"));
}

#[tokio::test]
async fn what_the_file_does_not_allow_is_refused_and_only_its_host_told() {
    let (scene, pictures) = scene(gateway!(), false).await;
    let answer = scene
        .client
        .post(CHAT, &showing(&pictures.url("/secret?key=1")))
        .await;
    assert_eq!(answer.status, 400);
    let text = answer.text();
    assert!(
        text.contains("127.0.0.1 was not fetched: It is not in the public internet."),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(answer.json()["error"]["param"], "messages");
    assert!(pictures.seen().is_empty());
    assert!(scene.upstream.seen().is_empty());
}

#[tokio::test]
async fn a_host_may_be_allowed_in_the_general_settings_as_well() {
    let pictures = Upstream::speaking(Speaks::Bearer).await;
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
- model_name: chat
  litellm_params: {{model: ollama/llava, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY, user_url_allowed_hosts: 127.0.0.1}}
",
        upstream.url("")
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    pictures.next(thing(GIF, "image/gif"));
    let answer = scene
        .client
        .post(CHAT, &showing(&pictures.url("/cat.gif")))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn what_is_no_image_goes_to_nobody() {
    let (scene, pictures) = scene(gateway!(), true).await;
    for (reply, why) in [
        (
            thing("{\"token\": 1}", "image/png"),
            "It is neither an image nor a PDF.",
        ),
        (
            Reply {
                status: 404,
                ..thing(GIF, "image/gif")
            },
            "It answered with status 404.",
        ),
    ] {
        pictures.next(reply);
        let answer = scene.client.post(CHAT, &showing(&pictures.url("/x"))).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(why), "{}", answer.text());
    }
    assert!(scene.upstream.seen().is_empty());
}

#[tokio::test]
async fn nothing_is_fetched_where_that_is_switched_off() {
    let setup = gateway!().env("MAX_IMAGE_URL_DOWNLOAD_SIZE_MB", "0");
    let (scene, pictures) = scene(setup, true).await;
    let answer = scene.client.post(CHAT, &showing(&pictures.url("/x"))).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("Fetching is switched off."),
        "{}",
        answer.text()
    );
    assert!(pictures.seen().is_empty());
}

#[tokio::test]
async fn an_image_may_be_no_larger_than_the_environment_says() {
    let setup = gateway!().env("MAX_IMAGE_URL_DOWNLOAD_SIZE_MB", "0.001");
    let (scene, pictures) = scene(setup, true).await;
    pictures.next(thing(&format!("GIF89a{}", "x".repeat(1100)), "image/gif"));
    let answer = scene.client.post(CHAT, &showing(&pictures.url("/x"))).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("It is too large."),
        "{}",
        answer.text()
    );
}
