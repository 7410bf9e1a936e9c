use bytes::BytesMut;
use serde_json::{Value, json};

use super::*;
use crate::call::chat::{
    Answer, Choice, Delta, Effort, Event, Finish, Format, Media, Part, Reasoning, Request, Role,
    Source, Text, Thinking, Tool, ToolCall, ToolChoice,
};
use crate::call::vectors::{EmbedAnswer, EmbedInput, Vector};
use crate::call::{Dialect, Usage};

fn read(body: &Value) -> Request {
    read::chat(body.to_string().as_bytes()).unwrap()
}

fn refused(body: &Value) -> String {
    let failure = read::chat(body.to_string().as_bytes()).unwrap_err();
    failure.param().unwrap_or_default().to_owned()
}

#[test]
fn a_conversation_is_read_by_its_turns() {
    let request = read(&json!({
        "system_instruction": {"parts": {"text": "Be brief."}},
        "contents": [
            {"role": "user", "parts": [{"text": "What is this?"},
                {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]},
            {"role": "model", "parts": [{"text": "hm", "thought": true, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "look", "args": {"at": 1}}, "thoughtSignature": "Y2FsbA=="},
                {"functionCall": {"id": "z", "name": "look", "args": {}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "look", "response": {"output": "a cat"}}},
                {"functionResponse": {"id": "z", "name": "look", "response": {"error": "dark"}}},
                {"text": "Well?"}]}]
    }));
    let roles: Vec<_> = request
        .messages
        .iter()
        .map(|message| &message.role)
        .collect();
    assert_eq!(
        roles,
        [
            &Role::System,
            &Role::User,
            &Role::Assistant,
            &Role::Tool,
            &Role::User
        ]
    );
    assert!(matches!(&request.messages[1].parts[1],
        Part::Image(Media { source: Source::Base64(data), mime: Some(mime), .. })
            if data == "AAAA" && mime == "image/png"));
    let [
        Part::Thinking(thinking),
        Part::Call(first),
        Part::Call(second),
    ] = &request.messages[2].parts[..]
    else {
        panic!("{:?}", request.messages[2])
    };
    assert_eq!(thinking.signature.as_deref(), Some("c2ln"));
    assert_eq!(first.signature.as_deref(), Some("Y2FsbA=="));
    assert_eq!(
        (first.arguments.as_str(), second.id.as_str()),
        (r#"{"at":1}"#, "z")
    );
    let [Part::Result(cat), Part::Result(dark)] = &request.messages[3].parts[..] else {
        panic!("{:?}", request.messages[3])
    };
    assert_eq!((&cat.id, cat.error), (&first.id, false));
    assert_eq!(cat.parts, [Part::text("a cat")]);
    assert_eq!((dark.id.as_str(), dark.error), ("z", true));
}

#[test]
fn an_object_that_a_function_gave_stays_one() {
    let request = read(&json!({"contents": [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1, "b": []},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}}]}]}));
    let Part::Result(result) = &request.messages[1].parts[0] else {
        panic!("no result")
    };
    assert_eq!(result.parts[0], Part::text(r#"{"a":1,"b":[]}"#));
    assert!(matches!(result.parts[1], Part::Image(_)));
}

#[test]
fn parameters_are_read_by_both_of_their_names() {
    let camel = json!({"contents": [], "generationConfig": {"maxOutputTokens": 9, "topK": 3.0,
        "stopSequences": ["x"], "candidateCount": 2, "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}},
        "thinkingConfig": {"thinkingBudget": -1, "includeThoughts": true},
        "responseModalities": ["TEXT", "IMAGE"]}});
    let snake = json!({"contents": [], "generation_config": {"max_output_tokens": 9, "top_k": 3.0,
        "stop_sequences": ["x"], "candidate_count": 2, "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}},
        "thinking_config": {"thinking_budget": -1, "include_thoughts": true},
        "response_modalities": ["TEXT", "IMAGE"]}});
    let request = read(&camel);
    assert_eq!(request, read(&snake));
    assert_eq!(
        (request.max_tokens, request.top_k, request.n),
        (Some(9), Some(3), Some(2))
    );
    assert_eq!(request.stop, ["x"]);
    assert_eq!(request.rest["modalities"], json!(["text", "image"]));
    assert_eq!(
        request.reasoning,
        Some(Reasoning {
            adaptive: true,
            shown: Some(true),
            ..Reasoning::default()
        })
    );
    let Some(Format::Schema { schema, .. }) = request.format else {
        panic!("no schema")
    };
    assert_eq!(
        schema,
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}})
    );
}

#[test]
fn thinking_levels_are_efforts() {
    for (level, effort) in [
        ("LOW", Effort::Low),
        ("high", Effort::High),
        ("XHIGH", Effort::Max),
    ] {
        let body = json!({"contents": [], "generationConfig": {"thinkingConfig": {"thinkingLevel": level}}});
        assert_eq!(read(&body).reasoning.unwrap().effort, Some(effort));
    }
}

#[test]
fn tools_are_functions_or_googles_own() {
    let tools = json!([
        {"functionDeclarations": [
            {"name": "f", "parametersJsonSchema": {"type": "object", "x": 1}},
            {"name": "g", "description": "d", "parameters": {"type": "OBJECT",
                "properties": {"a": {"type": "INTEGER", "format": "int32", "minItems": "2"}}}},
            {"name": "h"}]},
        {"google_search": {}}]);
    let calling = |config: Value| {
        read(
            &json!({"contents": [], "tools": tools, "toolConfig": {"functionCallingConfig": config}}),
        )
    };
    let request = calling(json!({"mode": "AUTO"}));
    assert_eq!(request.tool_choice, Some(ToolChoice::Auto));
    let [
        Tool::Function(f),
        Tool::Function(g),
        Tool::Function(_),
        Tool::Builtin { dialect, value },
    ] = &request.tools[..]
    else {
        panic!("{:?}", request.tools)
    };
    assert_eq!(f.parameters, Some(json!({"type": "object", "x": 1}).into()));
    assert_eq!(
        g.parameters,
        Some(
            json!({"type": "object", "properties": {"a": {"type": "integer", "format": "int32", "minItems": 2}}})
                .into()
        )
    );
    assert_eq!(
        (dialect, value),
        (&Dialect::Gemini, &json!({"googleSearch": {}}))
    );
    let one = calling(json!({"mode": "ANY", "allowedFunctionNames": ["g"]}));
    assert_eq!(one.tool_choice, Some(ToolChoice::Function("g".into())));
    let two = calling(json!({"mode": "ANY", "allowedFunctionNames": ["g", "h"]}));
    assert_eq!(
        (two.tool_choice, two.tools.len()),
        (Some(ToolChoice::Required), 3)
    );
    assert_eq!(
        calling(json!({"mode": "NONE"})).tool_choice,
        Some(ToolChoice::None)
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (body, name) in [
        (json!([]), "request_body"),
        (json!({"contents": "hi"}), "request_body"),
        (
            json!({"contents": [], "cachedContent": "c"}),
            "cachedContent",
        ),
        (
            json!({"contents": [], "generationConfig": {"temperature": "hot"}}),
            "temperature",
        ),
        (
            json!({"contents": [], "generationConfig": {"maxOutputTokens": 1.5}}),
            "maxOutputTokens",
        ),
        (
            json!({"contents": [], "tools": [{"functionDeclarations": [{}]}]}),
            "tools",
        ),
    ] {
        assert_eq!(refused(&body), name, "{body}");
    }
}

fn answer() -> Answer {
    Answer {
        id: Some("r1".into()),
        choices: vec![Choice {
            parts: vec![
                Part::Thinking(Thinking {
                    text: "hm".into(),
                    signature: Some("c2ln".into()),
                    redacted: None,
                }),
                Part::Thinking(Thinking {
                    redacted: Some("x".into()),
                    ..Thinking::default()
                }),
                Part::Text(Text {
                    text: "Grüezi Bern.".into(),
                    annotations: vec![json!({"type": "url_citation", "url_citation":
                        {"url": "https://x.test", "title": "X", "start_index": 7, "end_index": 12}})],
                    ..Text::default()
                }),
                Part::Call(ToolCall {
                    id: "c1".into(),
                    name: "f".into(),
                    arguments: r#"{"a":1}"#.into(),
                    signature: Some("not base64!".into()),
                    cache: None,
                }),
            ],
            finish: Some(Finish::ToolCalls),
            logprobs: Some(json!({"content": [{"token": "a", "logprob": -0.5,
                "top_logprobs": [{"token": "b", "logprob": -1.5}]}]})),
            ..Choice::default()
        }],
        usage: Some(usage()),
        ..Answer::default()
    }
}

fn usage() -> Usage {
    Usage {
        prompt: 10,
        completion: 7,
        reasoning: 3,
        cache_read: 4,
        audio_input: 2,
        ..Usage::default()
    }
}

fn parts() -> Value {
    json!([
        {"text": "hm", "thought": true, "thoughtSignature": "c2ln"},
        {"text": "Grüezi Bern."},
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}])
}

fn grounding() -> Value {
    json!({"groundingChunks": [{"web": {"uri": "https://x.test", "title": "X"}}],
        "groundingSupports": [{"segment": {"startIndex": 8, "endIndex": 13, "text": "Bern."},
            "groundingChunkIndices": [0]}]})
}

fn metadata() -> Value {
    json!({"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 4,
        "thoughtsTokenCount": 3, "totalTokenCount": 17, "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 8}, {"modality": "AUDIO", "tokenCount": 2}]})
}

#[test]
fn an_answer_is_written_as_gemini_gives_it() {
    let body: Value = serde_json::from_slice(&write::chat("public", "id", &answer())).unwrap();
    assert_eq!(
        body,
        json!({
            "candidates": [{"content": {"role": "model", "parts": parts()}, "finishReason": "STOP",
                "index": 0, "groundingMetadata": grounding(),
                "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -0.5}],
                    "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.5}]}]}}],
            "usageMetadata": metadata(), "modelVersion": "public", "responseId": "r1"
        })
    );
}

#[test]
fn arguments_that_are_no_object_are_a_malformed_call() {
    let mut answer = answer();
    answer.choices[0].parts = vec![Part::Call(ToolCall {
        name: "f".into(),
        arguments: "{".into(),
        ..ToolCall::default()
    })];
    let body: Value = serde_json::from_slice(&write::chat("m", "id", &answer)).unwrap();
    assert_eq!(
        body["candidates"][0]["finishReason"],
        "MALFORMED_FUNCTION_CALL"
    );
    assert_eq!(body["candidates"][0]["content"]["parts"], json!([]));
}

#[test]
fn tokens_are_counted_in_geminis_words() {
    assert_eq!(
        write::count(Some(&usage())),
        br#"{"totalTokens":10,"cachedContentTokenCount":4}"#
    );
    assert_eq!(write::count(None), br#"{"totalTokens":0}"#);
}

fn events() -> Vec<Event> {
    let delta = |delta| Event::Delta { choice: 0, delta };
    vec![
        Event::Start {
            id: Some("r1".into()),
            model: Some("m".into()),
            usage: None,
        },
        delta(Delta::Thinking("hm".into())),
        delta(Delta::Signature("c2ln".into())),
        delta(Delta::Text("Grüezi ".into())),
        delta(Delta::Text("Bern.".into())),
        delta(Delta::Annotation(
            json!({"type": "url_citation", "url_citation":
            {"url": "https://x.test", "title": "X", "start_index": 7, "end_index": 12}}),
        )),
        delta(Delta::Call {
            index: 0,
            id: "c1".into(),
            name: "f".into(),
            signature: None,
        }),
        delta(Delta::Arguments {
            index: 0,
            text: r#"{"a""#.into(),
        }),
        delta(Delta::Arguments {
            index: 0,
            text: ":1}".into(),
        }),
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
            stop_sequence: None,
        },
        Event::Usage(usage()),
    ]
}

fn streamed(is_list: bool, events: &[Event]) -> String {
    let mut encoder = Encoder::new("public".into(), "id".into(), is_list);
    let mut out = BytesMut::new();
    for event in events {
        encoder.push(event, &mut out);
    }
    encoder.finish(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn chunks(is_list: bool, text: &str) -> Vec<Value> {
    if is_list {
        return serde_json::from_str(text).unwrap();
    }
    let events = text.split_terminator("\r\n\r\n");
    events
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

#[test]
fn a_stream_comes_as_events_or_as_a_list() {
    for is_list in [false, true] {
        let all = chunks(is_list, &streamed(is_list, &events()));
        let said: Vec<&Value> = all
            .iter()
            .map(|chunk| &chunk["candidates"][0]["content"]["parts"][0])
            .collect();
        assert_eq!(
            json!(said),
            json!([
                {"text": "hm", "thought": true},
                {"text": "", "thought": true, "thoughtSignature": "c2ln"},
                {"text": "Grüezi "}, {"text": "Bern."},
                {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
                {"text": ""}])
        );
        let last = all.last().unwrap();
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(last["candidates"][0]["groundingMetadata"], grounding());
        assert_eq!(last["usageMetadata"], metadata());
        for chunk in &all {
            assert_eq!(
                (&chunk["modelVersion"], &chunk["responseId"]),
                (&json!("public"), &json!("r1"))
            );
        }
    }
}

#[test]
fn an_error_is_the_last_element_of_a_stream() {
    for is_list in [false, true] {
        let mut encoder = Encoder::new("m".into(), "id".into(), is_list);
        let mut out = BytesMut::new();
        let text = Event::Delta {
            choice: 0,
            delta: Delta::Text("a".into()),
        };
        encoder.push(&text, &mut out);
        encoder.fail(br#"{"error":{"code":503}}"#, &mut out);
        let all = chunks(is_list, std::str::from_utf8(&out).unwrap());
        assert_eq!(all.len(), 2);
        assert_eq!(all[1]["error"]["code"], 503);
    }
}

#[test]
fn errors_have_googles_shape() {
    let failure = read::chat(b"[]").unwrap_err();
    let body: Value = serde_json::from_slice(&error_body(&failure)).unwrap();
    assert_eq!(body["error"]["code"], 400);
    assert_eq!(body["error"]["status"], "INVALID_ARGUMENT");
    assert!(body["error"]["message"].is_string());
}

#[test]
fn embeddings_are_read_and_written_alone_and_in_batches() {
    let one = json!({"model": "models/m", "content": {"parts": [{"text": "a"}, {"text": "b"}]},
        "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2});
    let request = vectors::read(one.to_string().as_bytes(), true).unwrap();
    assert_eq!(request.inputs, [EmbedInput::Text("ab".into())]);
    assert_eq!(
        (request.dimensions, request.purpose.as_deref()),
        (Some(2), Some("RETRIEVAL_QUERY"))
    );
    let mut batch = json!({"requests": [one, one]});
    let request = vectors::read(batch.to_string().as_bytes(), false).unwrap();
    assert_eq!(request.inputs.len(), 2);
    batch["requests"][1]["taskType"] = json!("CLUSTERING");
    assert!(vectors::read(batch.to_string().as_bytes(), false).is_err());

    let answer = EmbedAnswer {
        vectors: vec![Vector::Json("[0.10]".into()), Vector::Floats(vec![0.5])],
        ..EmbedAnswer::default()
    };
    assert_eq!(
        vectors::write(&answer, false).unwrap(),
        br#"{"embeddings":[{"values":[0.10]},{"values":[0.5]}]}"#
    );
    let one = EmbedAnswer {
        vectors: vec![Vector::Json("[1]".into())],
        ..EmbedAnswer::default()
    };
    assert_eq!(
        vectors::write(&one, true).unwrap(),
        br#"{"embedding":{"values":[1]}}"#
    );
}

#[test]
fn bytes_are_in_the_usual_alphabet_whatever_they_came_in() {
    for (given, expected) in [("_-8", "/+8="), ("/+8=", "/+8="), ("YQ", "YQ==")] {
        assert_eq!(read::base64(given.to_owned()), expected);
    }
}
