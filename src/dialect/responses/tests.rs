use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Encoder, request, response};
use crate::call::chat::{
    Answer, Choice, Delta, Effort, Event, Finish, Format, Media, Message, Part, Role, Source,
    Thinking, Tool, ToolCall, ToolChoice,
};
use crate::call::{Call, Dialect, Route, Usage, example};
use crate::error::{Failure, RequestFault};

const FILE: &str =
    "model_list:\n- {model_name: m, litellm_params: {model: openai/a, api_key: os.environ/KEY}}\n";

fn call(body: &Value) -> Call {
    example::call(FILE, Route::Responses, &body.to_string())
}

fn plain() -> Call {
    call(&json!({"model": "m", "input": "hi", "temperature": 0.3, "metadata": {"a": "b"}}))
}

fn read(body: &Value) -> crate::call::chat::Request {
    request(body.to_string().as_bytes()).unwrap()
}

fn every_item() -> Value {
    json!([
        {"role": "developer", "content": "obey"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BB"},
            {"type": "input_file", "file_url": "https://e.example/a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "CC", "format": "mp3"}}
        ]},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "pm1s.sig",
            "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "so", "annotations": [
                {"type": "url_citation", "url": "https://e.example", "title": "t",
                    "start_index": 0, "end_index": 2}]}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}",
            "provider_specific_fields": {"thought_signature": "ts"}},
        {"type": "function_call_output", "call_id": "c1", "output": [
            {"type": "input_text", "text": "4"},
            {"type": "input_image", "image_url": "https://e.example/a.png"}]},
        {"type": "function_call_output", "call_id": "c2", "output": "5"}
    ])
}

#[test]
fn a_request_is_read_whole() {
    let tools = json!([
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"},
            "strict": true},
        {"type": "web_search", "search_context_size": "low"},
        {"type": "custom", "name": "c"}
    ]);
    let read = read(&json!({
        "model": "m", "stream": true, "instructions": "be brief", "max_output_tokens": 64,
        "temperature": 0.3, "top_p": 0.9, "top_logprobs": 2, "parallel_tool_calls": false,
        "user": "u", "service_tier": "flex", "store": true, "metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"], "truncation": "disabled",
        "reasoning": {"effort": "low", "summary": "auto"}, "unset": null, "max_tool_calls": 3,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n",
            "schema": {"type": "object"}, "strict": true}},
        "tools": tools, "input": every_item(),
        "tool_choice": {"type": "function", "name": "f"},
    }));
    assert_eq!((read.max_tokens, read.top_logprobs), (Some(64), Some(2)));
    assert_eq!(
        (read.logprobs, read.parallel_tool_calls),
        (Some(true), Some(false))
    );
    assert_eq!(read.user.as_deref(), Some("u"));
    assert_eq!(read.service_tier.as_deref(), Some("flex"));
    assert_eq!(read.tool_choice, Some(ToolChoice::Function("f".into())));
    assert!(matches!(
        read.format,
        Some(Format::Schema {
            strict: Some(true),
            ..
        })
    ));
    let reasoning = read.reasoning.unwrap();
    assert_eq!(
        (reasoning.effort, reasoning.shown),
        (Some(Effort::Low), Some(true))
    );
    let kept: Vec<_> = read.rest.keys().map(String::as_str).collect();
    assert_eq!(kept, ["max_tool_calls", "verbosity"]);
    assert!(matches!(&read.tools[0], Tool::Function(function) if function.strict == Some(true)));
    let dialects: Vec<_> = read.tools[1..]
        .iter()
        .map(|tool| match tool {
            Tool::Builtin { dialect, .. } => *dialect,
            Tool::Function(_) => panic!(),
        })
        .collect();
    assert_eq!(dialects, [Dialect::Responses, Dialect::OpenAi]);

    let [system, developer, user, assistant, first, second] = &read.messages[..] else {
        panic!("{:?}", read.messages)
    };
    assert_eq!(*system, Message::text(Role::System, "be brief"));
    assert_eq!(*developer, Message::text(Role::System, "obey"));
    let image = Media {
        source: Source::Base64("AA".into()),
        mime: Some("image/png".into()),
        detail: Some("low".into()),
        ..Media::default()
    };
    assert_eq!(user.parts[1], Part::Image(image));
    assert!(matches!(&user.parts[2], Part::Document(media)
        if media.name.as_deref() == Some("a.pdf") && media.source == Source::Base64("BB".into())));
    assert!(matches!(&user.parts[3], Part::Document(media)
        if media.source == Source::Url("https://e.example/a.pdf".into())));
    assert!(matches!(&user.parts[4], Part::Audio(media)
        if media.mime.as_deref() == Some("audio/mp3")));
    // All that the model said and did in one go is one turn.
    assert!(matches!(&assistant.parts[0], Part::Thinking(thinking)
        if thinking.text == "hm" && thinking.signature.as_deref() == Some("sig")));
    assert!(matches!(
        &assistant.parts[1],
        Part::Other {
            dialect: Dialect::Responses,
            ..
        }
    ));
    assert!(matches!(&assistant.parts[2], Part::Text(text)
        if text.annotations[0]["url_citation"]["title"] == "t"));
    assert!(matches!(&assistant.parts[3], Part::Call(call)
        if call.id == "c1" && call.signature.as_deref() == Some("ts")));
    assert_eq!(assistant.parts.len(), 4);
    assert!(matches!(&first.parts[..], [Part::Result(result)] if result.parts.len() == 2));
    assert!(matches!(&second.parts[..], [Part::Result(result)] if result.id == "c2"));
}

#[test]
fn a_text_is_what_a_user_says() {
    let read = read(&json!({"model": "m", "input": "hi"}));
    assert_eq!(read.messages, [Message::text(Role::User, "hi")]);
}

#[test]
fn only_allowed_tools_go_on() {
    let function = |name: &str| json!({"type": "function", "name": name});
    let read = read(&json!({
        "model": "m", "input": "hi",
        "tools": [function("a"), function("b"), {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required",
            "tools": [function("b"), {"type": "web_search"}]},
    }));
    assert_eq!(read.tool_choice, Some(ToolChoice::Required));
    assert!(
        matches!(&read.tools[..], [Tool::Function(only), Tool::Builtin { .. }] if only.name == "b")
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let item = |item: Value| json!([item]);
    for (name, value) in [
        ("input", json!(7)),
        (
            "input",
            item(json!({"type": "item_reference", "id": "msg_1"})),
        ),
        ("input", item(json!({"role": "robot", "content": "x"}))),
        (
            "input",
            item(json!({"role": "user", "content": [{"type": "poem"}]})),
        ),
        ("input", item(json!({"type": "function_call", "name": "f"}))),
        ("instructions", json!([])),
        ("max_output_tokens", json!("many")),
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "p"})),
        ("tools", json!([{"type": "function"}])),
        ("tool_choice", json!("perhaps")),
        ("tool_choice", json!({"type": "file_search"})),
        ("text", json!({"format": {"type": "xml"}})),
        ("reasoning", json!("hard")),
    ] {
        let mut body = json!({"model": "m", "input": "hi"});
        body[name] = value;
        match request(body.to_string().as_bytes()) {
            Err(Failure::Request(RequestFault::Parameter { name: told, .. })) => {
                assert_eq!(told, name, "{body}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

fn answer(parts: Vec<Part>, finish: Finish) -> Answer {
    Answer {
        choices: vec![Choice {
            parts,
            finish: Some(finish),
            ..Choice::default()
        }],
        usage: Some(USAGE),
        ..Answer::default()
    }
}

const USAGE: Usage = Usage {
    prompt: 9,
    completion: 5,
    cache_read: 4,
    cache_write: 0,
    cache_write_hour: 0,
    reasoning: 2,
    audio_input: 0,
    audio_output: 0,
    image_input: 0,
    image_output: 0,
    searches: 0,
    queries: 0,
    audio_millis: 0,
    characters: 0,
    cost: None,
    images: 0,
};

fn written(call: &Call, answer: &Answer) -> Value {
    serde_json::from_slice(&response(call, answer, 7)).unwrap()
}

#[test]
fn an_answer_is_written_with_what_was_asked_for() {
    let call = plain();
    let body = written(&call, &answer(vec![Part::text("hello")], Finish::Stop));
    for (name, value) in [
        ("object", json!("response")),
        ("created_at", json!(7)),
        ("status", json!("completed")),
        ("error", Value::Null),
        ("incomplete_details", Value::Null),
        ("model", json!("m")),
        ("temperature", json!(0.3)),
        ("metadata", json!({"a": "b"})),
        ("tools", json!([])),
        ("tool_choice", json!("auto")),
        ("store", json!(false)),
        ("previous_response_id", Value::Null),
        (
            "usage",
            json!({"input_tokens": 9,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
                "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2},
                "total_tokens": 14}),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(body["output"][0]["content"][0]["text"], "hello");
    // It says to the gateway that nobody keeps it.
    let issued = call.live.ids().open(body["id"].as_str().unwrap()).unwrap();
    assert!(issued.deployment.is_empty() && call.principal.may_use(issued.owner));
}

#[test]
fn an_answer_that_ended_too_early_says_why() {
    for (finish, reason) in [
        (Finish::Length, "max_output_tokens"),
        (Finish::ContentFilter, "content_filter"),
        (Finish::Refusal, "content_filter"),
    ] {
        let body = written(&plain(), &answer(vec![Part::text("hel")], finish));
        assert_eq!(body["status"], "incomplete");
        assert_eq!(body["incomplete_details"], json!({"reason": reason}));
        assert_eq!(body["output"][0]["status"], "incomplete");
    }
}

/// The events of a stream, each checked against its name and its number.
fn events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let events = text
        .split_terminator("\n\n")
        .enumerate()
        .map(|(at, event)| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
            assert_eq!(data["sequence_number"], at);
            data
        });
    events.collect()
}

fn streamed(call: &Call, all: &[Event]) -> Vec<Value> {
    let mut encoder = Encoder::new(call, 7);
    let mut out = BytesMut::new();
    for event in all {
        encoder.push(event, &mut out);
    }
    encoder.finish(&mut out);
    events(&out)
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

#[test]
fn a_stream_has_every_event_in_its_order() {
    let events = streamed(
        &plain(),
        &[
            delta(Delta::Thinking("hm".into())),
            delta(Delta::Signature("sig".into())),
            delta(Delta::Text("a".into())),
            delta(Delta::Text("b".into())),
            delta(Delta::Annotation(
                json!({"type": "url_citation", "url_citation": {"url": "u"}}),
            )),
            delta(Delta::Refusal("no".into())),
            delta(Delta::Call {
                index: 0,
                id: "c".into(),
                name: "f".into(),
                signature: None,
            }),
            delta(Delta::Arguments {
                index: 0,
                text: "{}".into(),
            }),
            Event::Finish {
                choice: 0,
                finish: Finish::ToolCalls,
                stop_sequence: None,
            },
            Event::Usage(USAGE),
        ],
    );
    let kinds: Vec<_> = events
        .iter()
        .map(|event| {
            event["type"]
                .as_str()
                .unwrap()
                .strip_prefix("response.")
                .unwrap()
        })
        .collect();
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds, expected);
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["usage"]["total_tokens"], 14);
    let kinds: Vec<_> = last["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["type"])
        .collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(
        last["output"][1]["content"][0]["annotations"][0]["url"],
        "u"
    );
}

#[test]
fn a_stream_that_breaks_ends_in_a_response_that_failed() {
    let mut encoder = Encoder::new(&plain(), 7);
    let mut out = BytesMut::new();
    encoder.push(&delta(Delta::Text("half".into())), &mut out);
    encoder.fail(&Failure::Internal, &mut out);
    let events = events(&out);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"]["code"], "server_error");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "half");
}

fn words() -> impl Strategy<Value = String> {
    "\\PC{1,12}"
}

fn part() -> impl Strategy<Value = Part> {
    let option = || proptest::option::of(words());
    prop_oneof![
        words().prop_map(Part::text),
        words().prop_map(Part::Refusal),
        (words(), option()).prop_map(|(text, signature)| {
            Part::Thinking(Thinking {
                text,
                signature,
                redacted: None,
            })
        }),
        words().prop_map(|data| {
            Part::Thinking(Thinking {
                redacted: Some(data),
                ..Thinking::default()
            })
        }),
        (words(), words(), option()).prop_map(|(id, name, signature)| {
            Part::Call(ToolCall {
                id,
                name,
                arguments: "{\"a\": [1, \"b\"]}".into(),
                signature,
                cache: None,
            })
        }),
    ]
}

/// What a dialect that knows no pieces of words makes of a turn.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Text(last)), Part::Text(more)) => last.text.push_str(&more.text),
            (Some(Part::Refusal(last)), Part::Refusal(more)) => last.push_str(&more),
            // Thought without proof has no end of its own.
            (Some(Part::Thinking(last)), Part::Thinking(more))
                if last.signature.is_none()
                    && last.redacted.is_none()
                    && more.redacted.is_none() =>
            {
                last.text.push_str(&more.text);
                last.signature = more.signature;
            }
            (_, part) => joined.push(part),
        }
    }
    joined
}

/// A turn as it comes in a stream, its words cut in two.
fn deltas(parts: &[Part]) -> Vec<Event> {
    let mut all = Vec::new();
    let mut calls = 0;
    for part in parts {
        let mut pieces = |text: &str, of: fn(String) -> Delta| {
            let middle = text.char_indices().nth(text.chars().count() / 2);
            let (first, second) = text.split_at(middle.map_or(0, |(at, _)| at));
            for piece in [first, second] {
                all.push(delta(of(piece.to_owned())));
            }
        };
        match part {
            Part::Text(text) => pieces(&text.text, Delta::Text),
            Part::Refusal(text) => pieces(text, Delta::Refusal),
            Part::Thinking(thinking) => {
                if let Some(data) = &thinking.redacted {
                    all.push(delta(Delta::Redacted(data.clone())));
                } else {
                    pieces(&thinking.text, Delta::Thinking);
                    all.extend(thinking.signature.clone().map(Delta::Signature).map(delta));
                }
            }
            Part::Call(call) => {
                all.push(delta(Delta::Call {
                    index: calls,
                    id: call.id.clone(),
                    name: call.name.clone(),
                    signature: call.signature.clone(),
                }));
                let (first, second) = call.arguments.split_at(3);
                for piece in [first, second] {
                    all.push(delta(Delta::Arguments {
                        index: calls,
                        text: piece.to_owned(),
                    }));
                }
                calls += 1;
            }
            _ => unreachable!("no such part is made here"),
        }
    }
    all.push(Event::Usage(USAGE));
    all
}

fn without_ids(output: &Value) -> Value {
    let mut output = output.clone();
    for item in output.as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("id");
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What a response says can be given back as the input of the next request, and says the same.
    #[test]
    fn the_output_of_a_response_is_read_back_as_it_was(
        parts in proptest::collection::vec(part(), 1..6),
    ) {
        let parts = joined(parts);
        let call = plain();
        let body = written(&call, &answer(parts.clone(), Finish::Stop));
        let read = read(&json!({"model": "m", "input": body["output"]}));
        prop_assert_eq!(read.messages.len(), 1);
        prop_assert_eq!(&read.messages[0].role, &Role::Assistant);
        prop_assert_eq!(&joined(read.messages[0].parts.clone()), &parts);
    }

    /// A stream ends in the same response that would have been given whole, and its events say what
    /// that says.
    #[test]
    fn a_stream_says_the_same_as_a_whole_answer(
        parts in proptest::collection::vec(part(), 1..6),
    ) {
        let parts = joined(parts);
        let call = plain();
        let whole = written(&call, &answer(parts.clone(), Finish::Stop));
        let events = streamed(&call, &deltas(&parts));
        let last = &events.last().unwrap()["response"];
        prop_assert_eq!(without_ids(&last["output"]), without_ids(&whole["output"]));
        prop_assert_eq!(&last["usage"], &whole["usage"]);
        prop_assert_eq!(&last["id"], &whole["id"]);

        let of = |kind: &str| {
            let kind = format!("response.{kind}");
            events.iter().filter(move |event| event["type"] == kind.as_str())
        };
        let done: Vec<_> = of("output_item.done").map(|event| event["item"].clone()).collect();
        prop_assert_eq!(&Value::from(done), &last["output"]);
        for (at, event) in of("output_item.done").enumerate() {
            prop_assert_eq!(&event["output_index"], &Value::from(at));
        }
        prop_assert_eq!(of("output_item.added").count(), of("output_item.done").count());
        for (pieces, end, member) in [
            ("output_text.delta", "output_text.done", "text"),
            ("refusal.delta", "refusal.done", "refusal"),
            ("reasoning_summary_text.delta", "reasoning_summary_text.done", "text"),
            ("function_call_arguments.delta", "function_call_arguments.done", "arguments"),
        ] {
            let pieces: String = of(pieces).map(|event| event["delta"].as_str().unwrap()).collect();
            let ends: String = of(end).map(|event| event[member].as_str().unwrap()).collect();
            prop_assert_eq!(pieces, ends);
        }
    }
}
