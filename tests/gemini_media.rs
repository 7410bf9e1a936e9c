//! OpenAI's clients who want speech and images of Gemini's models.

#![expect(
    non_snake_case,
    reason = "the provider stands before the capability in the name"
)]

use serde_json::{Value, json};
use support::scene::{CHAT, Scene};
use support::{Answer, Upstream, gateway};

const SPEECH: &str = "/v1/audio/speech";
const IMAGES: &str = "/v1/images/generations";

async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    let entry = |name: &str, model: &str| {
        format!(
            "- model_name: {name}
  litellm_params: {{model: gemini/{model}, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY}}
",
            upstream.url("")
        )
    };
    let config = format!(
        "model_list:
{}{}{}router_settings: {{num_retries: 0}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
",
        entry("say", "gemini-2.5-flash-preview-tts"),
        entry("draw", "gemini-2.5-flash-image"),
        entry("chat", "gemini-2.5-flash"),
    );
    Scene::between(upstream, gateway!(), &config).await
}

async fn good(scene: &Scene, path: &str, body: &Value) -> Answer {
    let answer = scene.client.post(path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

#[tokio::test]
async fn gemini__speaks() {
    let scene = scene().await;
    let mut body = json!({"model": "say", "input": "Hello.", "voice": "Kore",
        "instructions": "Say cheerfully"});
    let answer = good(&scene, SPEECH, &body).await;
    assert_eq!(answer.header("content-type"), Some("audio/wav"));
    assert_eq!(
        (&answer.body[..4], answer.body.len()),
        (&b"RIFF"[..], 48_044)
    );
    assert_eq!(answer.body[24..28], 24_000_u32.to_le_bytes());
    let seen = scene.upstream.only();
    assert!(
        seen.path
            .ends_with("gemini-2.5-flash-preview-tts:generateContent")
    );
    let sent = seen.json();
    assert_eq!(
        sent["contents"][0]["parts"][0]["text"],
        "Say cheerfully: Hello."
    );
    let config = &sent["generationConfig"];
    assert_eq!(config["responseModalities"], json!(["AUDIO"]));
    let voice = &config["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"];
    assert_eq!(voice["voiceName"], "Kore");

    body["response_format"] = "pcm".into();
    let answer = good(&scene, SPEECH, &body).await;
    assert_eq!(answer.header("content-type"), Some("audio/pcm"));
    assert_eq!(answer.body.len(), 48_000);

    body["response_format"] = "mp3".into();
    let answer = scene.client.post(SPEECH, &body).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["param"], "response_format");
    body["drop_params"] = true.into();
    let answer = good(&scene, SPEECH, &body).await;
    assert_eq!(answer.header("content-type"), Some("audio/wav"));
    let dropped = answer.header("x-pointsman-dropped-params");
    assert_eq!(dropped, Some("response_format"));
}

#[tokio::test]
async fn gemini__gives_sound_in_chats() {
    let scene = scene().await;
    let body = json!({"model": "say", "modalities": ["audio"],
        "audio": {"voice": "Kore", "format": "pcm16"},
        "messages": [{"role": "user", "content": "Hello."}]});
    let answer = good(&scene, CHAT, &body).await;
    let sound = &answer.json()["choices"][0]["message"]["audio"]["data"];
    assert_eq!(sound.as_str().map(str::len), Some(64_000));
}

#[tokio::test]
async fn gemini__makes_images() {
    let scene = scene().await;
    let body = json!({"model": "draw", "prompt": "a hare", "size": "1536x1024", "user": "u"});
    let answer = good(&scene, IMAGES, &body).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let value = answer.json();
    assert_eq!(value["data"], json!([{"b64_json": "iVBORw0KGgo="}]));
    assert_eq!(value["usage"]["input_tokens"], 20);
    let sent = scene.upstream.only().json();
    let config = &sent["generationConfig"];
    assert_eq!(config["responseModalities"], json!(["TEXT", "IMAGE"]));
    assert_eq!(config["imageConfig"]["aspectRatio"], "3:2");
    let many = json!({"model": "draw", "prompt": "a hare", "n": 2});
    let answer = scene.client.post(IMAGES, &many).await;
    assert_eq!(answer.json()["error"]["param"], "n", "{}", answer.text());
}

#[tokio::test]
async fn models_that_only_talk_neither_speak_nor_draw() {
    let scene = scene().await;
    let body = json!({"model": "chat", "input": "a", "voice": "Kore"});
    // It is known to talk.
    assert_eq!(scene.client.post(SPEECH, &body).await.status, 400);
    let body = json!({"model": "chat", "prompt": "a"});
    assert_eq!(scene.client.post(IMAGES, &body).await.status, 501);
    assert!(scene.upstream.seen().is_empty());
}
