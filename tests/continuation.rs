//! Rows A15-23 and A6-16: a stream that breaks when something was shown is gone on with elsewhere, and
//! the caller's stream stays one.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, streaming};
use support::{Ending, Reply, Upstream, gateway};

const MESSAGES: &str = "/v1/messages";
const CLAUDE: &str = "claude-sonnet-4-5";

/// Deployments of `chat` at one upstream: the provider and model, which is the id, and the order.
async fn scene(models: &[&str], router: &str) -> Scene {
    let upstream = Upstream::start().await;
    let entries = models.iter().enumerate().map(|(order, model)| {
        let (provider, base) = if model.starts_with("claude") {
            ("anthropic", upstream.url(""))
        } else {
            ("openai", upstream.url("/v1"))
        };
        let group = if *model == "spare" { "spare" } else { "chat" };
        format!(
            "  - model_name: {group}\n    litellm_params: {{model: {provider}/{model}, api_base: \
             \"{base}\", api_key: os.environ/TEST_UPSTREAM_KEY, order: {order}, \
             input_cost_per_token: 0.001, output_cost_per_token: 0.01}}\n    \
             model_info: {{id: {model}}}\n"
        )
    });
    let entries: String = entries.collect();
    let config = format!(
        "model_list:\n{entries}router_settings:\n  num_retries: 2\n{router}general_settings:\n  \
         master_key: os.environ/TEST_MASTER_KEY\n"
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn chunk(id: &str, delta: &Value, finish: Option<&str>) -> String {
    json!({
        "id": id, "object": "chat.completion.chunk", "created": 7, "model": "theirs",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
    .to_string()
}

fn usage(id: &str, prompt: u64, completion: u64) -> String {
    json!({
        "id": id, "object": "chat.completion.chunk", "created": 7, "model": "theirs", "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion},
    })
    .to_string()
}

/// A stream of these words, whole.
fn words(id: &str, words: &[&str]) -> Reply {
    let mut events = vec![chunk(
        id,
        &json!({"role": "assistant", "content": ""}),
        None,
    )];
    events.extend(
        words
            .iter()
            .map(|word| chunk(id, &json!({"content": word}), None)),
    );
    events.push(chunk(id, &json!({}), Some("stop")));
    events.push(usage(id, 20, 5));
    Reply::events(events)
}

/// The same, cut behind the words.
fn cut(id: &str, said: &[&str]) -> Reply {
    let mut events = vec![chunk(
        id,
        &json!({"role": "assistant", "content": ""}),
        None,
    )];
    events.extend(
        said.iter()
            .map(|word| chunk(id, &json!({"content": word}), None)),
    );
    let shown = events
        .iter()
        .map(|event| "data: \n\n".len() + event.len())
        .sum();
    events.push(chunk(id, &json!({"content": "never"}), None));
    Reply {
        ending: Ending::CutAfter(shown),
        ..Reply::events(events)
    }
}

/// Claude's stream of one block of words.
fn blocks(id: &str, said: &[&str]) -> Vec<String> {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": id, "type": "message",
            "role": "assistant", "model": "theirs", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": {"input_tokens": 11, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
    ];
    events.extend(said.iter().map(|text| {
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": text}})
    }));
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ]);
    events.iter().map(ToString::to_string).collect()
}

/// The same with an error in place of what comes behind the words.
fn blocks_that_break(id: &str, said: &[&str]) -> Reply {
    let mut events = blocks(id, said);
    events.truncate(2 + said.len());
    events.push(
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
            .to_string(),
    );
    Reply::events(events)
}

/// What a caller of OpenAI's dialect has in the end. It is one stream: one id, one role, one reason, one
/// usage.
fn whole(text: &str) -> (String, Value) {
    let mut events = support::sse::read(text.as_bytes());
    assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{text}");
    let chunks: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let of = |pointer: &str| -> Vec<Value> {
        let found = chunks.iter().filter_map(|chunk| chunk.pointer(pointer));
        found.filter(|value| !value.is_null()).cloned().collect()
    };
    assert!(
        chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]),
        "{text}"
    );
    assert!(
        chunks.iter().all(|chunk| chunk["model"] == "chat"),
        "{text}"
    );
    assert_eq!(of("/choices/0/delta/role"), ["assistant"], "{text}");
    assert_eq!(of("/choices/0/finish_reason").len(), 1, "{text}");
    let usage = of("/usage");
    assert_eq!(usage.len(), 1, "{text}");
    let said = of("/choices/0/delta/content");
    let said = said.iter().map(|piece| piece.as_str().unwrap()).collect();
    (said, usage[0].clone())
}

fn with_usage(text: &str) -> Value {
    let mut body = streaming(text);
    body["stream_options"] = json!({"include_usage": true});
    body
}

fn sent(scene: &Scene) -> Vec<Value> {
    let seen = scene.upstream.seen();
    seen.iter()
        .map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect()
}

const MARK: &str = ": x-pointsman-attempts: one;why=cut;status=500, two;why=continued\n\n";

#[tokio::test]
async fn a_stream_that_is_cut_is_gone_on_with_by_another_deployment() {
    let scene = scene(&["one", "two"], "").await;
    scene.upstream.on_model("one", cut("a", &["Hello ", "wor"]));
    scene.upstream.on_model("two", words("b", &["ld", "!"]));
    let answer = scene.client.post(CHAT, &with_usage("hi")).await;
    let text = answer.text();
    let (said, usage) = whole(&text);
    assert_eq!(said, "Hello world!");
    // What the broken one took is estimated: six for the turn's frame and its word, and three words.
    let counted = (
        usage["prompt_tokens"].as_u64(),
        usage["completion_tokens"].as_u64(),
    );
    assert_eq!(counted, (Some(20 + 5), Some(5 + 3)), "{text}");
    // Nothing but the end stands behind the comment.
    let (_, end) = text.split_once(MARK).unwrap();
    assert!(!end.contains("\"content\""), "{text}");
    let asked = sent(&scene);
    assert_eq!(asked.len(), 2);
    let messages = asked[1]["messages"].as_array().unwrap();
    assert_eq!(messages[0], asked[0]["messages"][0]);
    assert_eq!(
        messages[1],
        json!({"role": "assistant", "content": "Hello wor"})
    );
    assert_eq!(messages[2]["role"], "user");
    assert!(scene.upstream.take_violations().is_empty());
    scene.gateway.until_log("\"message\":\"request\"").await;
    let line = scene.gateway.log();
    assert!(line.contains("\"model_id\":\"two\""), "{line}");
    // Dollars: 25 tokens of prompt and eight of the answer.
    assert!(line.contains("\"cost\":0.105"), "{line}");
    let metrics = scene.client.get("/metrics").await.text();
    let counted =
        "pointsman_broken_streams_total{requested_model=\"chat\",outcome=\"continued\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let id = answer.header("x-litellm-call-id").unwrap();
    let decisions = scene
        .client
        .get(&format!("/router/decisions/{id}"))
        .await
        .json();
    assert_eq!(
        decisions["decisions"].as_array().map(Vec::len),
        Some(2),
        "{decisions}"
    );
}

#[tokio::test]
async fn whoever_takes_the_beginning_of_a_turn_goes_on_with_it() {
    let scene = scene(&["one", CLAUDE], "").await;
    scene
        .upstream
        .on_model("one", cut("a", &["Hello", " wor "]));
    scene
        .upstream
        .on_model(CLAUDE, Reply::events(blocks("msg_b", &[" ld", "!"])));
    let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
    let (said, usage) = whole(&text);
    // The blank that could not be shown came again.
    assert_eq!(said, "Hello wor ld!");
    assert_eq!(usage["completion_tokens"], 4 + 3, "{text}");
    let messages = sent(&scene)[1]["messages"].clone();
    assert_eq!(messages.as_array().unwrap().len(), 2, "{messages}");
    assert_eq!(messages[1]["role"], "assistant");
    assert!(
        messages[1].to_string().contains("Hello wor\""),
        "{messages}"
    );
    assert!(scene.upstream.take_violations().is_empty());
}

#[tokio::test]
async fn a_blank_that_comes_again_and_again_is_said_once() {
    let scene = scene(&["one", "two", "three"], "").await;
    scene.upstream.on_model("one", cut("a", &["Hello "]));
    scene.upstream.on_model("two", cut("b", &[" "]));
    scene
        .upstream
        .on_model("three", words("c", &[" wor", "ld"]));
    let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
    assert_eq!(whole(&text).0, "Hello world");
    assert!(scene.upstream.take_violations().is_empty());
}

/// Reads a message's events as Anthropic's own clients do: what stands in the wrong place fails.
fn message(text: &str) -> (String, Value) {
    let events: Vec<Value> = support::sse::read(text.as_bytes())
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .filter(|kind| *kind != "ping")
        .collect();
    let of = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!(
        (kinds[0], of("message_start")),
        ("message_start", 1),
        "{text}"
    );
    assert_eq!((of("message_delta"), of("error")), (1, 0), "{text}");
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["message_delta", "message_stop"],
        "{text}"
    );
    let (mut open, mut blocks, mut said) = (None, 0, String::new());
    let mut usage = Value::Null;
    for event in &events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, &event["index"]), (None, &json!(blocks)), "{text}");
                open = Some(blocks);
                blocks += 1;
            }
            "content_block_delta" => {
                assert_eq!(event["index"].as_u64(), open, "{text}");
                said.push_str(event["delta"]["text"].as_str().unwrap_or(""));
            }
            "content_block_stop" => {
                assert_eq!(event["index"].as_u64(), open.take(), "{text}");
            }
            "message_delta" => usage = event["usage"].clone(),
            _ => {}
        }
    }
    assert_eq!(open, None, "{text}");
    (said, usage)
}

#[tokio::test]
async fn a_message_stays_one_message() {
    for other in ["claude-opus-4-1", "two"] {
        let scene = scene(&[CLAUDE, other], "").await;
        scene
            .upstream
            .on_model(CLAUDE, blocks_that_break("msg_a", &["Hello ", "wor"]));
        let reply = match other {
            "two" => words("b", &["ld", "!"]),
            _ => Reply::events(blocks("msg_b", &["ld", "!"])),
        };
        scene.upstream.on_model(other, reply);
        let body = json!({"model": "chat", "max_tokens": 100, "stream": true,
            "messages": [{"role": "user", "content": "hi"}]});
        let answer = scene.client.post(MESSAGES, &body).await;
        let text = answer.text();
        let (said, usage) = message(&text);
        assert_eq!(said, "Hello world!");
        let own = if other == "two" { (20, 5) } else { (11, 4) };
        assert_eq!(usage["output_tokens"], own.1 + 3, "{text}");
        assert!(
            text.contains("\"id\":\"msg_a\"") && !text.contains("msg_b"),
            "{text}"
        );
        let asked = sent(&scene);
        // As much is left of the length as was not said.
        let most = asked[1]["max_tokens"]
            .as_u64()
            .or(asked[1]["max_completion_tokens"].as_u64());
        assert_eq!(most, Some(100 - 3), "{}", asked[1]);
        assert!(scene.upstream.take_violations().is_empty());
    }
}

#[tokio::test]
async fn a_call_of_a_function_is_not_gone_on_with() {
    let scene = scene(&["one", "two"], "").await;
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{\"a\":"}}]});
    let events = vec![
        chunk(
            "a",
            &json!({"role": "assistant", "content": "Let me see."}),
            None,
        ),
        chunk("a", &call, None),
    ];
    scene.upstream.on_model(
        "one",
        Reply {
            done: false,
            ..Reply::events(events)
        },
    );
    let text = scene.client.post(CHAT, &streaming("hi")).await.text();
    assert!(
        text.contains("\"error\"") && !text.contains("[DONE]"),
        "{text}"
    );
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[tokio::test]
async fn the_file_says_whether_a_stream_is_gone_on_with() {
    for (router, said, asked) in [
        ("  on_midstream: error\n", "Hello", 1),
        ("  on_midstream: restart\n", "Hello", 1),
        ("  on_midstream: restart\n", "", 2),
        ("  on_midstream: error\n", "", 1),
    ] {
        let scene = scene(&["one", "two"], router).await;
        scene.upstream.on_model("one", cut("a", &[said]));
        scene.upstream.on_model("two", words("b", &["Hi", "!"]));
        let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
        assert_eq!(scene.upstream.seen().len(), asked, "{router}{text}");
        if asked == 1 {
            assert!(
                text.contains("\"error\"") && !text.contains("[DONE]"),
                "{text}"
            );
        } else {
            assert_eq!(whole(&text).0, "Hi!");
            assert_eq!(sent(&scene)[1]["messages"], sent(&scene)[0]["messages"]);
        }
    }
}

#[tokio::test]
async fn whoever_goes_on_may_break_too_and_nobody_is_asked_twice() {
    let scene = scene(&["one", "two", "spare"], "  fallbacks: [{chat: [spare]}]\n").await;
    scene.upstream.on_model("one", cut("a", &["Hello "]));
    scene.upstream.on_model("two", cut("b", &["wor"]));
    scene.upstream.on_model("spare", words("c", &["ld"]));
    let answer = scene.client.post(CHAT, &with_usage("hi")).await;
    let text = answer.text();
    assert_eq!(whole(&text).0, "Hello world");
    assert!(
        text.contains(
            ": x-pointsman-attempts: one;why=cut;status=500, two;why=cut;status=500, \
         spare;why=continued\n\n"
        ),
        "{text}"
    );
    let asked = sent(&scene);
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2]["messages"][1]["content"], "Hello wor");
    // Without anybody left the caller is told, and of its own stream's failure.
    scene.upstream.on_model("spare", cut("c", &["ld"]));
    let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
    assert!(
        text.contains("\"error\"") && !text.contains("[DONE]"),
        "{text}"
    );
}

#[tokio::test]
async fn where_nobody_can_go_on_the_caller_is_told() {
    let scene = scene(&["one", "two"], "").await;
    scene.upstream.on_model("one", cut("a", &["Hello "]));
    scene.upstream.on_model("two", Reply::error(500, "down"));
    let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
    assert!(
        text.contains("Hello") && text.contains("\"error\""),
        "{text}"
    );
    assert!(!text.contains("[DONE]"), "{text}");
    assert_eq!(scene.upstream.seen().len(), 2);
    let metrics = scene.client.get("/metrics").await.text();
    let counted = "pointsman_broken_streams_total{requested_model=\"chat\",outcome=\"failed\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_gone_on_with() {
    let scene = scene(&["one", "two"], "  stream_idle_timeout: 0.2\n").await;
    let Reply {
        ending: Ending::CutAfter(shown),
        content,
        ..
    } = cut("a", &["Hello "])
    else {
        panic!("it is cut");
    };
    let stalls = Reply {
        ending: Ending::StallAfter(shown),
        content,
        ..Reply::default()
    };
    scene.upstream.on_model("one", stalls);
    scene.upstream.on_model("two", words("b", &["world"]));
    let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
    assert_eq!(whole(&text).0, "Hello world");
}

#[tokio::test]
async fn a_caller_that_leaves_while_somebody_is_asked_to_go_on_ends_that_too() {
    let scene = scene(&["one", "two"], "").await;
    scene.upstream.on_model("one", cut("a", &["Hello "]));
    scene.upstream.on_model(
        "two",
        Reply {
            hold_head: true,
            ..Reply::default()
        },
    );
    let mut stream = scene.client.stream(CHAT, &streaming("hi")).await;
    assert!(stream.next().await.unwrap().is_some());
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = stream.next().await {} });
    scene
        .upstream
        .until("the second one to be asked", |seen| seen.len() == 2)
        .await;
    reading.abort();
    scene
        .upstream
        .until("it to be dropped", |seen| {
            seen.len() == 2 && seen[1].outcome == support::Outcome::Abandoned
        })
        .await;
    scene.gateway.until_log("client_gone\":true").await;
    let line = scene.gateway.log();
    // What was said is charged all the same.
    assert!(line.contains("\"completion_tokens\":2"), "{line}");
}

#[tokio::test]
async fn a_caller_who_wants_no_fallbacks_gets_none_in_the_middle_of_a_stream_either() {
    let scene = scene(&["one", "spare"], "  fallbacks: [{chat: [spare]}]\n").await;
    scene.upstream.on_model("one", cut("a", &["Hello "]));
    scene.upstream.on_model("spare", words("b", &["world"]));
    let text = scene.client.post(CHAT, &with_usage("hi")).await.text();
    assert!(text.contains("spare;why=continued"), "{text}");
    let mut body = with_usage("hi");
    body["disable_fallbacks"] = json!(true);
    let text = scene.client.post(CHAT, &body).await.text();
    assert!(
        text.contains("\"error\"") && !text.contains("[DONE]"),
        "{text}"
    );
    assert_eq!(scene.upstream.seen().len(), 3);
}
