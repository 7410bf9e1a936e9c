use bytes::BytesMut;
use serde_json::{Value, json};

use super::{Encoder, read, write};
use crate::call::chat::{
    Answer, Choice, Delta, Effort, Event, Finish, Format, Part, Role, Source, Text, Thinking, Tool,
    ToolCall, ToolChoice,
};
use crate::call::{Call, Dialect, Route, Usage, example};
use crate::error::{Failure, RequestFault};

const FILE: &str =
    "model_list:\n- {model_name: m, litellm_params: {model: openai/a, api_key: os.environ/KEY}}\n";

fn call(route: Route) -> Call {
    example::call(FILE, route, r#"{"model":"m","messages":[],"prompt":"x"}"#)
}

fn parsed(body: &Value) -> crate::call::chat::Request {
    read::chat(body.to_string().as_bytes()).unwrap()
}

#[test]
fn every_member_has_its_place() {
    let request = parsed(&json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "metadata": {"a": 1},
        "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
        "n": 2, "seed": -4, "stop": "END", "presence_penalty": 1, "frequency_penalty": -1,
        "logprobs": true, "top_logprobs": 2, "parallel_tool_calls": false, "user": "u",
        "service_tier": "flex", "reasoning_effort": "xhigh",
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}},
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "logit_bias": {"1": 2}, "store": false, "unknown": null,
        "messages": []
    }));
    assert_eq!(request.max_tokens, Some(7));
    assert_eq!(request.stop, ["END"]);
    assert_eq!(request.seed, Some(-4));
    assert_eq!(request.tool_choice, Some(ToolChoice::Function("f".into())));
    let reasoning = request.reasoning.unwrap();
    assert_eq!(
        (reasoning.effort, reasoning.budget),
        (Some(Effort::Max), Some(2048))
    );
    assert!(matches!(
        request.format,
        Some(Format::Schema {
            strict: Some(true),
            ..
        })
    ));
    // What speaks to the gateway is no parameter, and null is nothing.
    let rest: Vec<_> = request.rest.keys().map(String::as_str).collect();
    assert_eq!(rest, ["logit_bias", "store"]);
}

#[test]
fn a_conversation_is_read_in_its_order() {
    let request = parsed(&json!({"messages": [
        {"role": "developer", "content": "be brief", "cache_control": {"type": "ephemeral"}},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": "https://e.example/a.jpg"},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}}
        ]},
        {"role": "assistant", "content": null,
            "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "secret"}
            ],
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"},
                "provider_specific_fields": {"thought_signature": "ts"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"}
    ]}));
    let [system, user, assistant, tool] = &request.messages[..] else {
        panic!("{request:?}")
    };
    assert_eq!(system.role, Role::System);
    let expected = Text {
        text: "be brief".into(),
        cache: Some(json!({"type": "ephemeral"})),
        ..Text::default()
    };
    assert_eq!(system.parts, [Part::Text(expected)]);
    assert_eq!(user.name.as_deref(), Some("ann"));
    let Part::Image(image) = &user.parts[1] else {
        panic!()
    };
    assert_eq!(image.source, Source::Base64("AAAA".into()));
    assert_eq!(image.mime.as_deref(), Some("image/png"));
    assert!(
        matches!(&user.parts[2], Part::Image(media) if media.source == Source::Url("https://e.example/a.jpg".into()))
    );
    assert!(
        matches!(&user.parts[3], Part::Audio(media) if media.mime.as_deref() == Some("audio/wav"))
    );
    assert!(
        matches!(&user.parts[4], Part::Document(media) if media.name.as_deref() == Some("a.pdf"))
    );
    let thought = Thinking {
        text: "hm".into(),
        signature: Some("sig".into()),
        redacted: None,
    };
    assert_eq!(assistant.parts[0], Part::Thinking(thought));
    assert!(
        matches!(&assistant.parts[1], Part::Thinking(thinking) if thinking.redacted.as_deref() == Some("secret"))
    );
    assert!(
        matches!(&assistant.parts[2], Part::Call(call) if call.signature.as_deref() == Some("ts"))
    );
    assert_eq!(tool.role, Role::Tool);
    assert!(
        matches!(&tool.parts[..], [Part::Result(result)] if result.id == "c1" && result.parts == [Part::text("42")])
    );
}

#[test]
fn tools_are_functions_or_somebodys_own() {
    let request = parsed(&json!({"messages": [], "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true},
            "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "web_search_preview"},
        {"googleSearch": {}}
    ]}));
    let dialects = request.tools.iter().map(|tool| match tool {
        Tool::Function(function) => {
            assert!(function.cache.is_some() && function.strict == Some(true));
            None
        }
        Tool::Builtin { dialect, .. } => Some(*dialect),
    });
    let dialects: Vec<_> = dialects.collect();
    let expected = [
        None,
        Some(Dialect::Anthropic),
        Some(Dialect::OpenAi),
        Some(Dialect::Gemini),
    ];
    assert_eq!(dialects, expected);
}

#[test]
fn what_is_malformed_is_named() {
    for (body, param) in [
        (
            json!({"messages": [{"role": "nobody", "content": ""}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": 3}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages",
        ),
        (
            json!({"messages": [], "tools": [{"type": "function"}]}),
            "tools",
        ),
        (json!({"messages": [], "tools": [3]}), "tools"),
        (
            json!({"messages": [], "tool_choice": "perhaps"}),
            "tool_choice",
        ),
        (
            json!({"messages": [], "response_format": {"type": "json_schema"}}),
            "response_format",
        ),
        (json!({"messages": [], "temperature": "hot"}), "temperature"),
        (json!({"messages": [], "max_tokens": -1}), "max_tokens"),
        (json!({"messages": [], "stop": [1]}), "stop"),
        (
            json!({"messages": [], "thinking": {"type": "enabled"}}),
            "thinking",
        ),
    ] {
        let refused = read::chat(body.to_string().as_bytes()).unwrap_err();
        let Failure::Request(RequestFault::Parameter { name, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(*name, param, "{body}");
        assert_eq!(refused.status(), 400);
    }
}

fn answer() -> Answer {
    Answer {
        id: Some("msg_1".into()),
        choices: vec![Choice {
            parts: vec![
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
            ],
            finish: Some(Finish::ToolCalls),
            ..Choice::default()
        }],
        usage: Some(Usage {
            prompt: 10,
            completion: 5,
            cache_read: 4,
            reasoning: 2,
            ..Usage::default()
        }),
        ..Answer::default()
    }
}

#[test]
fn a_whole_answer_is_a_chat_completion() {
    let body = write::chat(&call(Route::Chat), &answer(), 17);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({
            "id": "msg_1", "created": 17, "model": "m", "object": "chat.completion",
            "choices": [{
                "index": 0, "finish_reason": "tool_calls", "provider_specific_fields": {},
                "message": {
                    "role": "assistant", "content": "Hello", "reasoning_content": "hm",
                    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
                    "tool_calls": [{"id": "c1", "type": "function",
                        "function": {"name": "f", "arguments": "{\"a\":1}"}}],
                    "provider_specific_fields": null,
                },
            }],
            "usage": {
                "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2},
                "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
            },
        })
    );
}

/// The events of a stream that says what [`answer`] does.
fn events() -> Vec<Event> {
    let delta = |delta| Event::Delta { choice: 0, delta };
    vec![
        Event::Start {
            id: Some("msg_1".into()),
            model: None,
            usage: None,
        },
        delta(Delta::Thinking("h".into())),
        delta(Delta::Thinking("m".into())),
        delta(Delta::Signature("sig".into())),
        delta(Delta::Text("Hel\u{2028}".into())),
        delta(Delta::Text("lo\n\"".into())),
        delta(Delta::Call {
            index: 0,
            id: "c1".into(),
            name: "f".into(),
            signature: None,
        }),
        delta(Delta::Arguments {
            index: 0,
            text: "{\"a\"".into(),
        }),
        delta(Delta::Arguments {
            index: 0,
            text: ":1}".into(),
        }),
        delta(Delta::Logprobs(json!({"content": []}))),
        delta(Delta::Annotation(json!({"type": "url_citation"}))),
        Event::Rest(json!({"citations": ["x"]}).as_object().unwrap().clone()),
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
            stop_sequence: None,
        },
        Event::Usage(answer().usage.unwrap()),
    ]
}

fn chunks(route: Route, usage: bool) -> Vec<Value> {
    let mut encoder = Encoder::new(&call(route), 17, usage);
    let mut out = BytesMut::new();
    for event in events() {
        encoder.push(&event, &mut out);
    }
    encoder.finish(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let mut data: Vec<_> = text
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    data.iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn a_stream_is_chunks_that_add_up_to_the_answer() {
    let chunks = chunks(Route::Chat, true);
    let (mut text, mut thought, mut arguments, mut roles, mut reasons) =
        (String::new(), String::new(), String::new(), 0, Vec::new());
    for chunk in &chunks {
        assert_eq!(
            (
                &chunk["id"],
                &chunk["model"],
                &chunk["created"],
                &chunk["object"]
            ),
            (
                &json!("msg_1"),
                &json!("m"),
                &json!(17),
                &json!("chat.completion.chunk")
            )
        );
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        roles += usize::from(!delta["role"].is_null());
        text += delta["content"].as_str().unwrap_or("");
        thought += delta["reasoning_content"].as_str().unwrap_or("");
        let call = &delta["tool_calls"][0]["function"];
        arguments += call["arguments"].as_str().unwrap_or("");
        reasons.extend(choice["finish_reason"].as_str());
    }
    assert_eq!(
        (&*text, &*thought, &*arguments),
        ("Hel\u{2028}lo\n\"", "hm", "{\"a\":1}")
    );
    assert_eq!((roles, &reasons[..]), (1, &["tool_calls"][..]));
    assert!(
        chunks
            .iter()
            .any(|chunk| chunk["citations"] == json!(["x"]))
    );
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"], json!([{"index": 0, "delta": {}}]));
    assert_eq!(last["usage"]["total_tokens"], 15);
}

#[test]
fn usage_is_told_to_those_who_asked() {
    assert!(
        chunks(Route::Chat, false)
            .iter()
            .all(|chunk| chunk["usage"].is_null())
    );
}

#[test]
fn a_completion_streams_its_words_alone() {
    let chunks = chunks(Route::Completions, true);
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str())
        .collect();
    assert_eq!(text, "Hel\u{2028}lo\n\"");
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "text_completion")
    );
    let reasons: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(reasons, ["tool_calls"]);
}
