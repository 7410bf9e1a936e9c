//! A caller that goes away takes the upstream call with it.

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Ending, Outcome, Reply, Seen, Upstream, gateway, soon};

fn abandoned(seen: &[Seen]) -> bool {
    seen.len() == 1 && seen[0].outcome == Outcome::Abandoned
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_cancels_the_call() {
    let scene = Scene::start(gateway!()).await;
    scene.upstream.next(Reply {
        hold_head: true,
        ..Reply::default()
    });
    let client = scene.client.clone();
    let call = tokio::spawn(async move { client.post(CHAT, &saying("hi")).await });
    scene
        .upstream
        .until("the request to arrive", |seen| seen.len() == 1)
        .await;
    call.abort();
    scene
        .upstream
        .until("the call to be cancelled", abandoned)
        .await;
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_cancels_the_call() {
    let scene = Scene::start(gateway!()).await;
    let first = "data: {\"choices\":[]}\n\n".len();
    let reply = Reply::events(["{\"choices\":[]}"; 2]);
    scene.upstream.next(Reply {
        ending: Ending::StallAfter(first),
        ..reply
    });
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    drop(stream);
    scene
        .upstream
        .until("the call to be cancelled", abandoned)
        .await;
    scene.gateway.until_log("client_gone\":true").await;
}

#[tokio::test]
async fn the_connection_of_a_whole_answer_serves_the_next_call() {
    let scene = Scene::start(gateway!()).await;
    for _ in 0..3 {
        assert_eq!(scene.chat().await.status, 200);
    }
    assert!(
        scene
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.connection == 1)
    );
}

#[tokio::test]
async fn a_caller_that_reads_slowly_does_not_fill_the_memory() {
    let scene = Scene::start(gateway!()).await;
    // 64 MiB of events, of which the caller reads one.
    let event = format!("{{\"choices\":[],\"x\":\"{}\"}}", "y".repeat(64 << 10));
    scene.upstream.next(Reply::events(vec![event; 1024]));
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    let status = format!("/proc/{}/status", scene.gateway.process().id());
    let resident = move || {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    };
    assert_eq!(scene.client.get("/health/liveliness").await.status, 200);
    assert!(resident() < 128, "{} MiB", resident());
    assert_eq!(scene.upstream.only().outcome, Outcome::Open);
    let rest = stream.all().await;
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"));
    assert!(resident() < 160, "{} MiB", resident());
}

/// A provider's stream that says three words and falls silent, and what it is asked as.
fn half(provider: &str) -> Reply {
    let (named, events) = match provider {
        "gpt" => (
            true,
            vec![
                json!({"type": "response.created", "sequence_number": 0,
                    "response": {"id": "resp_fake_1", "created_at": 7, "model": "m", "error": null}}),
                json!({"type": "response.output_text.delta", "sequence_number": 1,
                    "delta": "one two three"}),
            ],
        ),
        "claude" => (
            true,
            vec![
                json!({"type": "message_start", "message": {"id": "msg_1", "model": "m",
                    "usage": {"input_tokens": 7, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "text_delta", "text": "one two three"}}),
            ],
        ),
        _ => (
            false,
            vec![
                json!({"candidates": [{"index": 0, "content": {"role": "model",
                "parts": [{"text": "one two three"}]}}]}),
            ],
        ),
    };
    let length = |event: &Value| {
        let name = event["type"].as_str().filter(|_| named);
        let name = name.map_or(0, |name| format!("event: {name}\n").len());
        name + format!("data: {event}\n\n").len()
    };
    let said = events.iter().map(length).sum();
    let never = json!({"type": "ping"});
    Reply {
        ending: Ending::StallAfter(said),
        ..Reply::events(events.iter().chain([&never]).map(Value::to_string))
    }
}

#[tokio::test]
async fn what_was_said_until_a_caller_left_is_paid_at_every_front_door() {
    let upstream = Upstream::start().await;
    let (openai, bare) = (upstream.url("/v1"), upstream.url(""));
    let group = |name: &str, model: &str, base: &str| {
        format!(
            "  - {{model_name: {name}, litellm_params: {{model: {model}, api_base: {base}, \
             api_key: os.environ/TEST_UPSTREAM_KEY, input_cost_per_token: 0.001, \
             output_cost_per_token: 0.1}}}}\n"
        )
    };
    let config = format!(
        "model_list:\n{}{}{}general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n",
        group("gpt", "openai/gpt-4o-mini", &openai),
        group("claude", "anthropic/claude-sonnet-4-5", &bare),
        group("flash", "gemini/gemini-2.5-flash", &bare)
    );
    let scene = Scene::between(upstream, gateway!(), &config).await;
    let mut asked = 0;
    // Each door, at those who speak as it does and at others.
    for (door, models) in [
        ("gemini", &["flash", "claude"]),
        ("responses", &["gpt", "claude"]),
        ("messages", &["claude", "flash"]),
    ] {
        for model in models {
            let (path, body, kind) = match door {
                "gemini" => (
                    format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
                    json!({"contents": [{"role": "user", "parts": [{"text": "Hi there"}]}]}),
                    "agenerate_content_stream",
                ),
                "responses" => (
                    "/v1/responses".to_owned(),
                    json!({"model": model, "stream": true, "input": "Hi there"}),
                    "aresponses",
                ),
                _ => (
                    "/v1/messages".to_owned(),
                    json!({"model": model, "stream": true, "max_tokens": 50,
                        "messages": [{"role": "user", "content": "Hi there"}]}),
                    "anthropic_messages",
                ),
            };
            scene.upstream.next(half(model));
            let mut stream = scene.client.stream(&path, &body).await;
            while !stream
                .next()
                .await
                .unwrap()
                .unwrap()
                .contains("one two three")
            {}
            drop(stream);
            asked += 1;
            let mut rows = Vec::new();
            soon("the row of spend", async {
                while rows.len() < asked {
                    let logs = scene.client.get("/spend/logs").await.json();
                    rows = logs.as_array().cloned().unwrap_or_default();
                }
            })
            .await;
            let mine = |row: &&Value| row["call_type"] == kind && row["model_group"] == *model;
            let row = rows.iter().find(mine).unwrap();
            let tokens = |name: &str| row[name].as_u64().unwrap();
            let (prompt, completion) = (tokens("prompt_tokens"), tokens("completion_tokens"));
            // Four for the turn, and two words; Anthropic has told its own count.
            let told = if *model == "claude" { 7 } else { 6 };
            assert_eq!(prompt, told, "{row:#}");
            // By OpenAI's vocabulary, or by its bytes.
            let words = if *model == "gpt" { 3 } else { 4 };
            assert_eq!(completion, words, "{row:#}");
            let spend = row["spend"].as_f64().unwrap();
            let paid = f64::from(u32::try_from(prompt + 100 * completion).unwrap()) / 1000.0;
            assert!((spend - paid).abs() < 1e-9, "{row:#}");
            assert_eq!(row["metadata"]["client_gone"], true, "{row:#}");
            assert_eq!(row["metadata"]["usage_estimated"], true, "{row:#}");
        }
    }
    scene
        .upstream
        .until("the calls to be cancelled", |seen| {
            seen.iter().all(|one| one.outcome == Outcome::Abandoned)
        })
        .await;
}
