//! What Bedrock is asked, and how its answers are read.

use serde_json::{Value, json};

use super::*;
use crate::call::chat::{
    Delta, Effort, Event, Finish, Format, Function, Media, Message, Part, Reasoning, Request, Role,
    Source, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::call::vectors::{EmbedInput, Vector};
use crate::upstream::example;
use crate::upstream::protocol::{Broken, Params, Refusal};

const OLD: &str = "us.anthropic.claude-opus-4-1-20250805-v1:0";
const NEW: &str = "global.anthropic.claude-opus-4-6-v1";
const NOVA: &str = "us.amazon.nova-pro-v1:0";

fn written(model: &str, params: Params<'_>, chat: &Request) -> Result<Value, Unfit> {
    let model = format!("bedrock/{model}");
    example::written(&model, Task::Chat, params, |ask| {
        Bedrock.write_chat(ask, chat)
    })
}

fn sent(model: &str, chat: &Request) -> Value {
    written(model, Params::default(), chat).unwrap()
}

fn hi() -> Request {
    Request {
        messages: vec![Message::text(Role::User, "hi")],
        ..Request::default()
    }
}

fn saying(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

fn function() -> Tool {
    Tool::Function(Function {
        name: "f".into(),
        description: Some(String::new()),
        parameters: Some(json!({"type": "object", "properties": {}}).into()),
        cache: Some(json!({"type": "ephemeral"})),
        ..Function::default()
    })
}

#[test]
fn every_task_has_its_path() {
    let path = |task, model| Bedrock.path(task, model);
    let claude = "/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0";
    assert_eq!(path(Task::Chat, OLD), Some(format!("{claude}/converse")));
    assert_eq!(
        path(Task::Stream, OLD),
        Some(format!("{claude}/converse-stream"))
    );
    let invoked = format!("invoke/{OLD}");
    assert_eq!(path(Task::Chat, &invoked), Some(format!("{claude}/invoke")));
    assert_eq!(
        path(Task::Stream, &invoked),
        Some(format!("{claude}/invoke-with-response-stream"))
    );
    assert_eq!(path(Task::Rerank, OLD), None);
}

#[test]
fn a_conversation_has_converses_form() {
    let cached = Part::Text(Text {
        text: "be kind".into(),
        cache: Some(json!({"type": "ephemeral", "ttl": "1h"})),
        ..Text::default()
    });
    let media = |source, mime: &str, name: &str| Media {
        source,
        mime: Some(mime.into()),
        name: Some(name.into()),
        ..Media::default()
    };
    let chat = Request {
        messages: vec![
            saying(Role::System, vec![cached]),
            saying(
                Role::User,
                vec![
                    Part::text("look"),
                    Part::Image(media(Source::Base64("iVBORw0".into()), "image/png", "")),
                    Part::Document(media(Source::Text("words".into()), "", "a b.txt")),
                    Part::Document(media(Source::Url("s3://b/k.docx".into()), "", "k.docx")),
                ],
            ),
            saying(
                Role::Assistant,
                vec![
                    Part::Thinking(Thinking {
                        text: "hm".into(),
                        signature: Some("sig".into()),
                        redacted: None,
                    }),
                    Part::Call(ToolCall {
                        id: "call/1".into(),
                        name: "f".into(),
                        arguments: String::new(),
                        ..ToolCall::default()
                    }),
                ],
            ),
            saying(
                Role::Tool,
                vec![Part::Result(ToolResult {
                    id: "call/1".into(),
                    parts: vec![Part::text("seen")],
                    error: true,
                    ..ToolResult::default()
                })],
            ),
        ],
        tools: vec![function()],
        tool_choice: Some(ToolChoice::Required),
        max_tokens: Some(9),
        stop: vec!["END".into()],
        service_tier: Some("flex".into()),
        rest: json!({"guardrailConfig": {"guardrailIdentifier": "g"}, "own": 1})
            .as_object()
            .unwrap()
            .clone(),
        ..Request::default()
    };
    assert_eq!(
        sent(NOVA, &chat),
        json!({
            "system": [{"text": "be kind"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": [
                    {"text": "look"},
                    {"image": {"format": "png", "source": {"bytes": "iVBORw0"}}},
                    {"document": {"format": "txt", "name": "a-b", "source": {"bytes": "d29yZHM="}}},
                    {"document": {"format": "docx", "name": "k",
                        "source": {"s3Location": {"uri": "s3://b/k.docx"}}}}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                    {"toolUse": {"toolUseId": "call_1", "name": "f", "input": {}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "call_1",
                    "content": [{"text": "seen"}], "status": "error"}}]}],
            "inferenceConfig": {"maxTokens": 9, "stopSequences": ["END"]},
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "f",
                    "inputSchema": {"json": {"type": "object", "properties": {}}}}},
                    {"cachePoint": {"type": "default"}}],
                "toolChoice": {"any": {}}},
            "additionalModelRequestFields": {"own": 1},
            "serviceTier": {"type": "flex"},
            "guardrailConfig": {"guardrailIdentifier": "g"}})
    );
}

#[test]
fn each_maker_thinks_in_its_own_words() {
    let chat = Request {
        reasoning: Some(Reasoning {
            effort: Some(Effort::Low),
            ..Reasoning::default()
        }),
        ..hi()
    };
    let own = |model| sent(model, &chat)["additionalModelRequestFields"].clone();
    assert_eq!(
        own(OLD),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})
    );
    assert_eq!(sent(OLD, &chat)["inferenceConfig"]["maxTokens"], 5120);
    assert_eq!(own(NEW), json!({"thinking": {"type": "adaptive"}}));
    assert_eq!(sent(NEW, &chat)["outputConfig"], json!({"effort": "low"}));
    assert_eq!(
        own("openai.gpt-oss-120b-1:0"),
        json!({"reasoning_effort": "low"})
    );
    assert_eq!(
        own(NOVA),
        json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}})
    );
    let lacking = written("meta.llama3-1-70b-instruct-v1:0", Params::default(), &chat);
    assert!(lacking.unwrap_err().droppable);
}

#[test]
fn a_form_is_native_or_a_tool() {
    let schema = json!({"type": "object", "properties": {}});
    let chat = Request {
        format: Some(Format::Schema {
            name: "n".into(),
            description: None,
            schema: schema.clone(),
            strict: None,
        }),
        ..hi()
    };
    let native = sent(NEW, &chat);
    let structure = &native["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    assert!(structure["schema"].is_string() && structure["name"] == "n");
    let tool = sent(NOVA, &chat);
    assert_eq!(
        tool["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"],
        schema
    );
    assert_eq!(
        tool["toolConfig"]["toolChoice"],
        json!({"tool": {"name": "json_tool_call"}})
    );
}

#[test]
fn one_call_at_a_time_is_said_in_anthropics_words() {
    let chat = Request {
        tools: vec![function()],
        parallel_tool_calls: Some(false),
        ..hi()
    };
    assert_eq!(
        sent(OLD, &chat)["additionalModelRequestFields"]["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    assert!(
        written(NOVA, Params::default(), &chat)
            .unwrap_err()
            .droppable
    );
    let never = Request {
        tools: vec![function()],
        tool_choice: Some(ToolChoice::None),
        ..hi()
    };
    assert!(sent(OLD, &never).get("toolConfig").is_none());
}

#[test]
fn anthropics_own_form_is_for_its_models_alone() {
    let invoked = sent(&format!("invoke/{OLD}"), &hi());
    assert_eq!(invoked["anthropic_version"], "bedrock-2023-05-31");
    assert!(invoked.get("model").is_none());
    let refused = written(&format!("invoke/{NOVA}"), Params::default(), &hi());
    assert_eq!(refused.unwrap_err().param.as_deref(), Some("model"));
}

#[test]
fn a_whole_turn_is_read_with_all_that_is_in_it() {
    let body = json!({"output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
            {"reasoningContent": {"redactedContent": "xyz"}},
            {"text": "so"}, {"new": 1},
            {"citationsContent": {"content": [{"text": "it is"}], "citations": [
                {"title": "A", "location": {"web": {"url": "https://a.example"}}}]}},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1.0}}}]}},
        "stopReason": "tool_use", "trace": {"guardrail": {}},
        "usage": {"inputTokens": 11, "outputTokens": 10, "totalTokens": 30, "cacheReadInputTokens": 5,
            "cacheWriteInputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 3}]}});
    let answer = response::read(Task::Chat, body.to_string().as_bytes()).unwrap();
    let usage = answer.usage.unwrap();
    assert_eq!(
        (usage.prompt, usage.completion, usage.cache_write_hour),
        (20, 10, 3)
    );
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    let [
        Part::Thinking(thought),
        Part::Thinking(hidden),
        Part::Text(_),
        Part::Text(cited),
        Part::Call(call),
    ] = &choice.parts[..]
    else {
        panic!("{:?}", choice.parts)
    };
    assert_eq!(thought.signature.as_deref(), Some("sig"));
    assert_eq!(hidden.redacted.as_deref(), Some("xyz"));
    assert_eq!(
        cited.annotations[0]["url_citation"]["url"],
        "https://a.example"
    );
    assert_eq!(call.arguments, r#"{"a":1.0}"#);
    assert!(answer.rest.contains_key("trace"));
}

/// A stream of frames, as AWS's crate writes them.
fn frames(events: &[(&str, Value)]) -> Vec<u8> {
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    let mut stream = Vec::new();
    for (name, payload) in events {
        let (kind, header) = if name.ends_with("Exception") {
            ("exception", ":exception-type")
        } else {
            ("event", ":event-type")
        };
        let text = |text: &str| HeaderValue::String(text.to_owned().into());
        let message = Message::new(payload.to_string())
            .add_header(Header::new(":message-type", text(kind)))
            .add_header(Header::new(header, text(name)));
        aws_smithy_eventstream::frame::write_message_to(&message, &mut stream).unwrap();
    }
    stream
}

fn streamed() -> Vec<(&'static str, Value)> {
    let delta = |delta: Value| {
        (
            "contentBlockDelta",
            json!({"delta": delta, "contentBlockIndex": 0}),
        )
    };
    let stop = || ("contentBlockStop", json!({"contentBlockIndex": 0}));
    let call = |name: &str| {
        let call = json!({"toolUse": {"toolUseId": "t", "name": name}});
        (
            "contentBlockStart",
            json!({"start": call, "contentBlockIndex": 1}),
        )
    };
    vec![
        ("messageStart", json!({"role": "assistant"})),
        delta(json!({"reasoningContent": {"text": "hm"}})),
        delta(json!({"reasoningContent": {"signature": "sig"}})),
        stop(),
        delta(json!({"text": "Grün"})),
        stop(),
        call("f"),
        delta(json!({"toolUse": {"input": "{\"a\":"}})),
        delta(json!({"toolUse": {"input": "1}"}})),
        stop(),
        call("g"),
        stop(),
        ("messageStop", json!({"stopReason": "tool_use"})),
        (
            "metadata",
            json!({"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}}),
        ),
    ]
}

fn read(stream: &[u8], at: usize) -> (Vec<Event>, Result<(), Broken>) {
    let (mut decoder, mut events) = (stream::Decoder::converse(), Vec::new());
    let (first, second) = stream.split_at(at);
    for chunk in [first, second] {
        if let Err(broken) = decoder.push(bytes::Bytes::copy_from_slice(chunk), &mut events) {
            return (events, Err(broken));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}

#[test]
fn a_stream_is_read_wherever_it_is_cut() {
    let stream = frames(&streamed());
    let (events, end) = read(&stream, 0);
    assert_eq!(end, Ok(()));
    let deltas: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta, .. } => Some(delta.clone()),
            _ => None,
        })
        .collect();
    let call = |index, name: &str| Delta::Call {
        index,
        id: "t".into(),
        name: name.into(),
        signature: None,
    };
    let arguments = |index, text: &str| Delta::Arguments {
        index,
        text: text.into(),
    };
    assert_eq!(
        deltas,
        [
            Delta::Thinking("hm".into()),
            Delta::Signature("sig".into()),
            Delta::Text("Grün".into()),
            call(0, "f"),
            arguments(0, "{\"a\":"),
            arguments(0, "1}"),
            call(1, "g"),
            arguments(1, "{}"),
        ]
    );
    let Some(Event::Usage(usage)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(usage.total(), 7);
    for cut in 1..stream.len() {
        assert_eq!(read(&stream, cut), (events.clone(), Ok(())), "cut at {cut}");
    }
}

#[test]
fn a_damaged_or_unfinished_stream_is_an_error() {
    let stream = frames(&streamed());
    assert_eq!(read(&stream[..stream.len() / 2], 0).1, Err(Broken::Cut));
    for at in [5, 9, 30, stream.len() - 1] {
        let mut damaged = stream.clone();
        damaged[at] ^= 1;
        let end = read(&damaged, 0).1;
        assert!(matches!(end, Err(Broken::Malformed(_))), "{at}: {end:?}");
    }
    assert_eq!(read(&[0xff; 16], 0).1, Err(Broken::TooLong));
    assert!(read(&[0; 16], 0).1.is_err());
}

#[test]
fn exceptions_in_a_stream_are_told_with_their_status() {
    for (class, status) in [
        ("throttlingException", 429),
        ("validationException", 400),
        ("modelStreamErrorException", 424),
        ("internalServerException", 500),
    ] {
        let message = json!({"message": "Input is too long for requested model."});
        let end = read(&frames(&[(class, message)]), 0).1;
        let Err(Broken::Told(told)) = end else {
            panic!("{end:?}")
        };
        assert_eq!(told.status.map(|status| status.as_u16()), Some(status));
        assert_eq!(told.kind, Some(Refusal::ContextWindow));
    }
}

#[test]
fn embeddings_go_in_their_makers_form() {
    let embed = |model: &str, inputs: &[&str], dimensions| {
        let request = EmbedRequest {
            inputs: inputs
                .iter()
                .map(|text| EmbedInput::Text((*text).into()))
                .collect(),
            dimensions,
            purpose: Some("query".into()),
            ..EmbedRequest::default()
        };
        let model = format!("bedrock/{model}");
        example::written(&model, Task::Embed, Params::default(), |ask| {
            Bedrock.write_embed(ask, &request)
        })
    };
    assert_eq!(
        embed("amazon.titan-embed-text-v2:0", &["a"], Some(256)).unwrap(),
        json!({"inputText": "a", "dimensions": 256})
    );
    assert!(
        embed("amazon.titan-embed-text-v1", &["a"], Some(256))
            .unwrap_err()
            .droppable
    );
    assert!(embed("amazon.titan-embed-text-v2:0", &["a", "b"], None).is_err());
    assert_eq!(
        embed("cohere.embed-english-v3", &["a", "b"], None).unwrap(),
        json!({"texts": ["a", "b"], "input_type": "search_query"})
    );
    assert!(embed("amazon.nova-pro-v1:0", &["a"], None).is_err());

    let titan = embed::read(br#"{"embedding":[0.5, 1e-7],"inputTextTokenCount":3}"#, 1).unwrap();
    assert_eq!(titan.vectors, [Vector::Json("[0.5, 1e-7]".into())]);
    assert_eq!(titan.usage.unwrap().prompt, 3);
    for cohere in [
        r#"{"embeddings":[[1],[2]]}"#,
        r#"{"embeddings":{"float":[[1],[2]]}}"#,
    ] {
        let read = embed::read(cohere.as_bytes(), 2).unwrap();
        assert_eq!(read.vectors[1], Vector::Json("[2]".into()));
        assert!(embed::read(cohere.as_bytes(), 3).is_err());
    }
}
