use bytes::BytesMut;
use serde_json::{Value, json};

use super::{Encoder, error_body, message, request};
use crate::call::chat::{
    Answer, Choice, Delta, Effort, Event, Finish, Format, Part, Role, Source, Thinking, Tool,
    ToolCall, ToolChoice,
};
use crate::call::{Call, Dialect, Route, Usage, example};
use crate::error::{Failure, RequestFault};

const FILE: &str =
    "model_list:\n- {model_name: m, litellm_params: {model: openai/a, api_key: os.environ/KEY}}\n";

fn call() -> Call {
    example::call(FILE, Route::Messages, r#"{"model":"m","messages":[]}"#)
}

#[test]
fn a_request_is_read_whole() {
    let cache = json!({"type": "ephemeral"});
    let body = json!({
        "model": "m", "max_tokens": 64, "stream": true, "temperature": 0.3, "top_p": 0.9, "top_k": 5,
        "stop_sequences": ["END"], "service_tier": "standard_only",
        "system": [{"type": "text", "text": "be brief", "cache_control": cache}],
        "metadata": {"user_id": "u", "tags": ["x"]},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": cache},
            {"type": "web_search_20250305", "name": "web_search"}
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "container": "c", "unset": null,
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "look", "cache_control": cache},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                {"type": "document", "title": "t", "source": {"type": "url", "url": "https://e.example/a.pdf"}}
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": true,
                    "content": [{"type": "text", "text": "no"}]},
                {"type": "text", "text": "so?"}
            ]}
        ]
    });
    let read = request(body.to_string().as_bytes()).unwrap();
    assert_eq!((read.max_tokens, read.top_k), (Some(64), Some(5)));
    assert_eq!(read.stop, ["END"]);
    assert_eq!(read.user.as_deref(), Some("u"));
    assert_eq!(read.service_tier.as_deref(), Some("default"));
    assert_eq!(read.tool_choice, Some(ToolChoice::Required));
    assert_eq!(read.parallel_tool_calls, Some(false));
    assert!(matches!(read.format, Some(Format::Schema { .. })));
    let reasoning = read.reasoning.unwrap();
    assert_eq!(
        (reasoning.budget, reasoning.effort),
        (Some(2048), Some(Effort::Low))
    );
    assert!(matches!(&read.tools[0], Tool::Function(function) if function.cache.is_some()));
    assert!(matches!(
        &read.tools[1],
        Tool::Builtin {
            dialect: Dialect::Anthropic,
            ..
        }
    ));
    assert_eq!(read.rest.keys().collect::<Vec<_>>(), ["container"]);
    let [system, user, assistant, results] = &read.messages[..] else {
        panic!("{:?}", read.messages)
    };
    assert_eq!(system.role, Role::System);
    assert!(matches!(&system.parts[0], Part::Text(text) if text.cache.is_some()));
    assert!(matches!(&user.parts[1], Part::Image(media)
        if media.source == Source::Base64("AA".into()) && media.mime.as_deref() == Some("image/png")));
    assert!(matches!(&user.parts[2], Part::Document(media) if media.name.as_deref() == Some("t")));
    assert!(
        matches!(&assistant.parts[0], Part::Thinking(thinking) if thinking.signature.is_some())
    );
    assert!(matches!(&assistant.parts[1], Part::Thinking(thinking) if thinking.redacted.is_some()));
    assert!(matches!(
        &assistant.parts[2],
        Part::Other {
            dialect: Dialect::Anthropic,
            ..
        }
    ));
    assert!(matches!(&assistant.parts[3], Part::Call(call) if call.arguments == r#"{"a":1}"#));
    assert!(matches!(&results.parts[0], Part::Result(result) if result.error && result.id == "t1"));
    assert_eq!(results.parts[1], Part::text("so?"));
}

#[test]
fn what_is_malformed_is_named() {
    for (body, param) in [
        (
            json!({"messages": [{"role": "tool", "content": ""}]}),
            "messages",
        ),
        (json!({"messages": [{"role": "user"}]}), "messages"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"text": "x"}]}]}),
            "messages",
        ),
        (json!({"messages": [], "max_tokens": "many"}), "max_tokens"),
        (json!({"messages": [], "system": 3}), "system"),
        (
            json!({"messages": [], "tools": [{"description": "no name"}]}),
            "tools",
        ),
        (
            json!({"messages": [], "tool_choice": {"type": "tool"}}),
            "tool_choice",
        ),
        (
            json!({"messages": [], "thinking": {"type": "enabled"}}),
            "thinking",
        ),
    ] {
        let refused = request(body.to_string().as_bytes()).unwrap_err();
        assert!(
            matches!(&refused, Failure::Request(RequestFault::Parameter { name, .. }) if *name == param),
            "{body}: {refused:?}"
        );
    }
}

fn parts() -> Vec<Part> {
    vec![
        Part::Thinking(Thinking {
            text: "hm".into(),
            signature: Some("sig".into()),
            redacted: None,
        }),
        Part::text("Hello"),
        Part::Call(ToolCall {
            id: "c1".into(),
            name: "f".into(),
            arguments: "{\"a\":1}".into(),
            ..ToolCall::default()
        }),
        Part::Call(ToolCall {
            id: "c2".into(),
            name: "g".into(),
            ..ToolCall::default()
        }),
    ]
}

fn usage() -> Usage {
    Usage {
        prompt: 20,
        completion: 5,
        cache_read: 4,
        cache_write: 6,
        ..Usage::default()
    }
}

#[test]
fn a_whole_answer_is_a_message() {
    let answer = Answer {
        choices: vec![Choice {
            parts: parts(),
            finish: Some(Finish::ToolCalls),
            ..Choice::default()
        }],
        usage: Some(usage()),
        ..Answer::default()
    };
    let body: Value = serde_json::from_slice(&message(&call(), &answer)).unwrap();
    assert_eq!(
        body,
        json!({
            "id": "msg_test", "type": "message", "role": "assistant", "model": "m",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "text", "text": "Hello", "citations": null},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 10, "cache_creation_input_tokens": 6,
                "cache_read_input_tokens": 4, "output_tokens": 5},
        })
    );
}

fn streamed(events: &[Event]) -> Vec<Value> {
    let mut encoder = Encoder::new(&call());
    let mut out = BytesMut::new();
    for event in events {
        encoder.push(event, &mut out);
    }
    encoder.finish(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    text.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

fn begun(index: u32, id: &str, name: &str) -> Event {
    delta(Delta::Call {
        index,
        id: id.into(),
        name: name.into(),
        signature: None,
    })
}

#[test]
fn a_stream_has_its_events_in_anthropics_order() {
    let arguments = |index, text: &str| {
        delta(Delta::Arguments {
            index,
            text: text.into(),
        })
    };
    let events = streamed(&[
        Event::Start {
            id: Some("x".into()),
            model: None,
            usage: None,
        },
        delta(Delta::Thinking("h".into())),
        delta(Delta::Thinking("m".into())),
        delta(Delta::Signature("sig".into())),
        delta(Delta::Text("Hel".into())),
        delta(Delta::Text("lo\u{2028}".into())),
        begun(0, "c1", "f"),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        begun(1, "c2", "g"),
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
            stop_sequence: None,
        },
        Event::Usage(usage()),
    ]);
    let order: Vec<_> = events
        .iter()
        .map(|event| {
            let kind = event["type"].as_str().unwrap();
            let block = event["content_block"]["type"].as_str();
            let delta = event["delta"]["type"].as_str();
            (kind, event["index"].as_u64(), block.or(delta))
        })
        .collect();
    assert_eq!(
        order,
        [
            ("message_start", None, None),
            ("ping", None, None),
            ("content_block_start", Some(0), Some("thinking")),
            ("content_block_delta", Some(0), Some("thinking_delta")),
            ("content_block_delta", Some(0), Some("thinking_delta")),
            ("content_block_delta", Some(0), Some("signature_delta")),
            ("content_block_stop", Some(0), None),
            ("content_block_start", Some(1), Some("text")),
            ("content_block_delta", Some(1), Some("text_delta")),
            ("content_block_delta", Some(1), Some("text_delta")),
            ("content_block_stop", Some(1), None),
            ("content_block_start", Some(2), Some("tool_use")),
            ("content_block_delta", Some(2), Some("input_json_delta")),
            ("content_block_delta", Some(2), Some("input_json_delta")),
            ("content_block_stop", Some(2), None),
            ("content_block_start", Some(3), Some("tool_use")),
            ("content_block_stop", Some(3), None),
            ("message_delta", None, None),
            ("message_stop", None, None),
        ]
    );
    assert_eq!(events[0]["message"]["id"], "x");
    let end = &events[events.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(end["usage"]["output_tokens"], 5);
}

#[test]
fn an_empty_stream_is_a_message_without_blocks() {
    let kinds: Vec<_> = streamed(&[])
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["message_start", "ping", "message_delta", "message_stop"]
    );
}

#[test]
fn an_error_has_anthropics_envelope() {
    let failure = Failure::Request(RequestFault::TooLarge { limit: 1 });
    let body: Value = serde_json::from_slice(&error_body(&failure)).unwrap();
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("request_too_large"))
    );
}
