//! Audio and images: forms with files in, sound out, events where the caller wants some.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(non_snake_case, reason = "the provider stands before the capability")]

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use support::scene::{MASTER_KEY, Scene};
use support::upstream::reply::{Content, Ending, Reply};
use support::{Answer, Client, Upstream, gateway};

const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Groups `hear`, `listen`, `say` and `draw`, and `spare` to fall back to; `more` at the file's end.
async fn scene(more: &str) -> Scene {
    let upstream = Upstream::start().await;
    let entry = |name: &str, model: &str, prices: &str| {
        format!(
            "- model_name: {name}
  litellm_params: {{model: {model}, api_base: {}, api_key: os.environ/TEST_UPSTREAM_KEY{prices}}}
",
            upstream.url("/v1")
        )
    };
    let config = format!(
        "model_list:
{}{}{}{}{}general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
{more}",
        entry(
            "hear",
            "openai/whisper-1",
            ", input_cost_per_second: 0.0001"
        ),
        entry(
            "listen",
            "openai/gpt-4o-transcribe",
            ", input_cost_per_token: 0.000001, output_cost_per_token: 0.00001, \
             input_cost_per_audio_token: 0.000006"
        ),
        entry(
            "say",
            "openai/tts-1",
            ", input_cost_per_character: 0.000015"
        ),
        entry("draw", "openai/gpt-image-1", ""),
        entry(
            "spare",
            "groq/whisper-large-v3",
            ", input_cost_per_second: 0.00003"
        ),
    );
    Scene::between(upstream, gateway!(), &config).await
}

/// Every byte, and what looks like the end of another form.
fn sound() -> Vec<u8> {
    let mut sound: Vec<u8> = (0..=255).collect();
    sound.extend_from_slice(b"\r\n--a--\r\n");
    sound
}

fn form(fields: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(part.as_bytes());
    }
    for (field, name) in files {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: audio/mpeg\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(&sound());
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--b--\r\n");
    form
}

async fn hear(scene: &Scene, fields: &[(&str, &str)]) -> Answer {
    let form = form(fields, &[("file", "hi.mp3")]);
    let answer = scene.client.post_form("/v1/audio/transcriptions", form);
    answer.await
}

fn heard() -> String {
    let sum: u64 = sound().iter().map(|byte| u64::from(*byte)).sum();
    format!("hi.mp3 of {} bytes, {sum} in all", sound().len())
}

fn data(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn openai__transcribes() {
    let scene = scene("").await;
    let fields = [
        ("model", "hear"),
        ("language", "en"),
        ("temperature", "0"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("metadata", "{\"tags\":[\"a\"]}"),
        ("num_retries", "1"),
    ];
    let answer = hear(&scene, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["text"], heard());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.0009"));
    let sent = String::from_utf8_lossy(&scene.upstream.only().body).into_owned();
    assert!(sent.contains("name=\"model\"\r\n\r\nwhisper-1\r\n"));
    assert!(!sent.contains("num_retries") && !sent.contains("metadata"));
}

#[tokio::test]
async fn a_transcript_comes_in_the_form_that_was_asked_for() {
    let scene = scene("").await;
    for (format, kind, cost) in [
        ("verbose_json", "application/json", Some("0.000847")),
        ("srt", "text/plain; charset=utf-8", Some("0.000847")),
        ("vtt", "text/plain; charset=utf-8", Some("0.000847")),
        ("text", "text/plain; charset=utf-8", None),
    ] {
        let answer = hear(&scene, &[("model", "hear"), ("response_format", format)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some(kind), "{format}");
        assert!(answer.text().contains(&heard()), "{}", answer.text());
        if cost.is_some() {
            assert_eq!(answer.header("x-litellm-response-cost"), cost, "{format}");
        }
    }
    let form = form(&[("model", "hear")], &[("file", "hi.mp3")]);
    let answer = scene.client.post_form("/audio/translations", form);
    assert_eq!(answer.await.json()["text"], heard());
}

#[tokio::test]
async fn openai__streams_transcripts() {
    let scene = scene("").await;
    let answer = hear(&scene, &[("model", "listen"), ("stream", "True")]).await;
    assert_eq!(answer.header("content-type"), Some(EVENTS));
    let events = data(&answer);
    assert_eq!(events.last().unwrap()["type"], "transcript.text.done");
    assert_eq!(events.last().unwrap()["text"], heard());
    // whisper-1 passes over `stream`.
    let answer = hear(&scene, &[("model", "hear"), ("stream", "true")]).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["text"], heard());
    let answer = hear(&scene, &[("model", "listen")]).await;
    // 4 tokens of text, 10 of audio, 45 of answer.
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.000514"));
}

#[tokio::test]
async fn a_form_is_sent_again_and_elsewhere() {
    let scene =
        scene("router_settings: {num_retries: 1, retry_after: 0, fallbacks: [{hear: [spare]}]}\n")
            .await;
    scene.upstream.next(Reply::error(500, "down"));
    let answer = hear(&scene, &[("model", "hear")]).await;
    assert_eq!(answer.json()["text"], heard());
    scene
        .upstream
        .on_model("whisper-1", Reply::error(500, "down"));
    let answer = hear(&scene, &[("model", "hear")]).await;
    assert_eq!(answer.json()["text"], heard(), "{}", answer.text());
    assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("1"));
    let last = scene.upstream.seen().pop().unwrap();
    assert!(String::from_utf8_lossy(&last.body).contains("whisper-large-v3"));
}

#[tokio::test]
async fn what_is_no_proper_form_is_refused() {
    let scene = scene("").await;
    let at = "/v1/audio/transcriptions";
    let post = async |fields: &[(&str, &str)], files: &[(&str, &str)]| {
        let form = form(fields, files);
        scene.client.post_form(at, form).await
    };
    let file = [("file", "a.mp3")];
    let answer = post(&[("model", "hear")], &[]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "file");
    let answer = post(
        &[("model", "hear"), ("api_base", "http://a.example")],
        &file,
    )
    .await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["param"], "api_base");
    let answer = post(&[("model", "hear"), ("model", "say")], &file).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = post(&[("model", "say")], &file).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = scene.client.post(at, &json!({"model": "hear"})).await;
    assert_eq!(answer.status, 415, "{}", answer.text());
    let answer = scene
        .client
        .post_form("/v1/chat/completions", form(&[], &[]));
    assert_eq!(answer.await.status, 415);
    assert!(scene.upstream.seen().is_empty());
}

#[tokio::test]
async fn openai__speaks() {
    let scene = scene("").await;
    let body = json!({"model": "say", "input": "Grüß dich", "voice": "alloy", "tags": ["a"]});
    let answer = scene.client.post("/v1/audio/speech", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
    let every: Vec<u8> = (0..=255).collect();
    assert_eq!(answer.body, every.repeat(4));
    assert_eq!(scene.upstream.only().json()["model"], "tts-1");
    let wav = json!({"model": "say", "input": "hi", "voice": "alloy", "response_format": "wav"});
    let answer = scene.client.post("/audio/speech", &wav).await;
    assert_eq!(answer.header("content-type"), Some("audio/wav"));
    let sse = json!({"model": "say", "input": "hi", "voice": "alloy", "stream_format": "sse"});
    let answer = scene.client.post("/audio/speech", &sse).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(data(&answer)[1]["type"], "speech.audio.done");
}

#[tokio::test]
async fn speech_that_breaks_off_breaks_the_callers_connection() {
    let scene = scene("router_settings: {num_retries: 0}\n").await;
    let body = json!({"model": "say", "input": "hi", "voice": "alloy"});
    scene.upstream.next(Reply {
        ending: Ending::CutAfter(300),
        ..Reply::default()
    });
    let answer = scene.client.post_broken("/v1/audio/speech", &body).await;
    assert!(answer.is_none(), "{answer:?}");
    scene.upstream.next(Reply {
        content: Content::Json(json!({"error": {"message": "no such voice"}})),
        ..Reply::default()
    });
    let answer = scene.client.post("/v1/audio/speech", &body).await;
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(answer.text().contains("no such voice"), "{}", answer.text());
}

#[tokio::test]
async fn azure__speaks_and_transcribes() {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
- model_name: hear
  litellm_params: {{model: azure/ears, api_base: {0}, api_version: 2024-06-01,
    api_key: os.environ/TEST_UPSTREAM_KEY}}
- model_name: say
  litellm_params: {{model: azure/voice, api_base: {0}, api_version: 2024-06-01,
    api_key: os.environ/TEST_UPSTREAM_KEY}}
general_settings: {{master_key: os.environ/TEST_MASTER_KEY}}
",
        upstream.url("")
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    assert_eq!(
        hear(&scene, &[("model", "hear")]).await.json()["text"],
        heard()
    );
    let body = json!({"model": "say", "input": "hi", "voice": "alloy"});
    let answer = scene.client.post("/v1/audio/speech", &body).await;
    assert_eq!(answer.body.len(), 1024);
    let seen = scene.upstream.seen();
    assert_eq!(
        seen[0].path,
        "/openai/deployments/ears/audio/transcriptions"
    );
    assert_eq!(seen[1].path, "/openai/deployments/voice/audio/speech");
    assert_eq!(seen[1].query.as_deref(), Some("api-version=2024-06-01"));
}

#[tokio::test]
async fn openai__edits_images() {
    let scene = scene("").await;
    let fields = [("model", "draw"), ("prompt", "a hat"), ("n", "2")];
    let files = [
        ("image[]", "a.png"),
        ("image[]", "b.png"),
        ("mask", "m.png"),
    ];
    let post = async |path: &str, form: Vec<u8>| {
        let answer = scene.client.post_form(path, form).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    };
    let answer = post("/v1/images/edits", form(&fields, &files)).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(answer.json()["usage"]["total_tokens"], 100);
    let one = form(&[("model", "draw"), ("n", "3")], &[("image", "a.png")]);
    let answer = post("/images/variations", one).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 3);
    let fields = [("model", "draw"), ("prompt", "a hat"), ("stream", "true")];
    let answer = post("/v1/images/edits", form(&fields, &[("image", "a.png")])).await;
    assert_eq!(data(&answer)[2]["type"], "image_edit.completed");
}

#[tokio::test]
async fn openai__streams_images() {
    let scene = scene("").await;
    let body = json!({"model": "draw", "prompt": "a hare", "stream": true, "partial_images": 2});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(EVENTS));
    let events = data(&answer);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str()).collect();
    let partial = Some("image_generation.partial_image");
    assert_eq!(
        kinds,
        [partial, partial, Some("image_generation.completed")]
    );
    scene.upstream.next(Reply {
        ending: Ending::CutAfter(200),
        ..Reply::default()
    });
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert!(data(&answer).last().unwrap()["error"].is_object());
}

/// What all calls so far cost, in dollars.
async fn spent(scene: &Scene) -> f64 {
    let metrics = scene.client.get("/metrics").await.text();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("litellm_spend_metric"));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn tokens_of_images_are_paid_as_such() {
    let scene = scene("").await;
    let body = json!({"model": "draw", "prompt": "a hare"});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    // 10 tokens of words at 5 dollars a million, 40 of images seen at 10, 50 of an image made at 40.
    let cost = Some("0.00245");
    assert_eq!(answer.header("x-litellm-response-cost"), cost);
    let fields = [("model", "draw"), ("prompt", "a hat")];
    let one = form(&fields, &[("image", "a.png")]);
    let answer = scene.client.post_form("/v1/images/edits", one).await;
    assert_eq!(answer.header("x-litellm-response-cost"), cost);
    let before = spent(&scene).await;
    let body = json!({"model": "draw", "prompt": "a hare", "stream": true, "partial_images": 1});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cost = spent(&scene).await - before;
    assert!((cost - 0.00245).abs() < 1e-9, "{cost}");
}

/// A form with a recording of two and a half seconds.
fn recorded(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut form = form(fields, &[]);
    form.truncate(form.len() - b"--b--\r\n".len());
    form.extend(
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\n",
    );
    // 8-bit samples, a thousand a second.
    form.extend(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0");
    form.extend(b"\xE8\x03\0\0\xE8\x03\0\0\x01\0\x08\0data\0\0\0\0");
    form.resize(form.len() + 2_500, 0);
    form.extend(b"\r\n--b--\r\n");
    form
}

#[tokio::test]
async fn what_a_transcript_does_not_tell_its_recording_tells() {
    let scene = scene("").await;
    let form = recorded(&[("model", "hear"), ("response_format", "text")]);
    let answer = scene.client.post_form("/v1/audio/transcriptions", form);
    let answer = answer.await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.00025"));
}

/// Twelve requests at once under a budget for the whole proxy that covers some of them in the worst
/// case: so many reach the provider, and no more, before the first is answered.
async fn at_once(budget: &str, covered: usize, send: impl AsyncFn(Client) -> Answer) {
    let scene = scene(&format!("litellm_settings: {{max_budget: {budget}}}\n")).await;
    for model in ["gpt-image-1", "tts-1", "whisper-1"] {
        scene.upstream.on_model(
            model,
            Reply {
                hold_head: true,
                ..Reply::default()
            },
        );
    }
    let client = || scene.gateway.client().key(MASTER_KEY);
    let mut asked: FuturesUnordered<_> = (0..12).map(|_| send(client())).collect();
    // The provider has answered nobody yet, so whoever has an answer was refused.
    for _ in covered..12 {
        let refused = asked.next().await.unwrap();
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert_eq!(refused.json()["error"]["type"], "budget_exceeded");
    }
    let seen = |seen: &[_]| seen.len() == covered;
    scene.upstream.until("what the budget covers", seen).await;
    scene.upstream.release();
    while let Some(answer) = asked.next().await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(scene.upstream.seen().len(), covered);
}

#[tokio::test]
async fn images_at_once_do_not_overspend() {
    // At most 272 tokens of image and a few of words, 0.011 dollars each.
    let body = json!({"model": "draw", "prompt": "a hare", "quality": "low", "size": "1024x1024"});
    at_once("0.05", 4, async |client| {
        client.post("/v1/images/generations", &body).await
    })
    .await;
    // Two images that are seen, at 8,192 tokens each, and one of the dearest made: 0.41 dollars.
    let fields = [("model", "draw"), ("prompt", "a hat")];
    let one = form(&fields, &[("image", "a.png"), ("mask", "m.png")]);
    at_once("1.0", 2, async |client| {
        client.post_form("/v1/images/edits", one.clone()).await
    })
    .await;
}

#[tokio::test]
async fn speech_at_once_does_not_overspend() {
    let body = json!({"model": "say", "input": "a".repeat(100), "voice": "alloy"});
    at_once("0.005", 3, async |client| {
        client.post("/v1/audio/speech", &body).await
    })
    .await;
}

#[tokio::test]
async fn recordings_at_once_do_not_overspend() {
    // A quarter of a thousandth of a dollar each.
    let one = recorded(&[("model", "hear")]);
    at_once("0.0008", 3, async |client| {
        let answer = client.post_form("/v1/audio/transcriptions", one.clone());
        answer.await
    })
    .await;
}
