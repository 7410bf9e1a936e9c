use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::*;
use crate::call::Usage;
use crate::call::chat::{
    Answer, Delta, Effort, Event, Finish, Format, Function, Media, Message, Part, Reasoning,
    Request, Role, Source, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::call::vectors::{EmbedInput, Vector};
use crate::upstream::example::{decoded, written};
use crate::upstream::protocol::{Broken, Params, Refusal};
use std::time::Duration;

fn of(model: &str, request: &Request) -> Result<Value, Unfit> {
    written(model, Task::Chat, Params::default(), |ask| {
        Flavour::Api.write_chat(ask, request)
    })
}

fn chat(request: &Request) -> Value {
    of("gemini/gemini-2.5-flash", request).unwrap()
}

fn asked(text: &str) -> Request {
    Request {
        messages: vec![Message::text(Role::User, text)],
        ..Request::default()
    }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        ..ToolCall::default()
    }
}

fn result(id: &str, parts: Vec<Part>) -> ToolResult {
    ToolResult {
        id: id.into(),
        parts,
        ..ToolResult::default()
    }
}

fn with_calls() -> Request {
    Request {
        messages: vec![
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Weather?"),
            message(
                Role::Assistant,
                vec![
                    Part::Thinking(Thinking {
                        text: "hm".into(),
                        signature: Some("foreign".into()),
                        redacted: None,
                    }),
                    Part::Call(ToolCall {
                        signature: Some("c2ln".into()),
                        ..call("c1", "weather", r#"{"city":"Bern"}"#)
                    }),
                    Part::Call(call("c2", "time", "")),
                ],
            ),
            message(
                Role::Tool,
                vec![Part::Result(result(
                    "c1",
                    vec![Part::text(r#"{"degrees":3}"#)],
                ))],
            ),
            message(
                Role::Tool,
                vec![Part::Result(ToolResult {
                    error: true,
                    ..result("c2", vec![Part::text("no clock")])
                })],
            ),
            Message::text(Role::User, "And?"),
        ],
        ..Request::default()
    }
}

#[test]
fn a_conversation_with_calls_is_written_as_gemini_knows_it() {
    assert_eq!(
        chat(&with_calls()),
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Weather?"}]},
                {"role": "model", "parts": [
                    {"text": "hm", "thought": true},
                    {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Bern"}},
                     "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "c2", "name": "time", "args": {}}}]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "c1", "name": "weather", "response": {"degrees": 3}}},
                    {"functionResponse": {"id": "c2", "name": "time", "response": {"error": "no clock"}}}]},
                {"role": "user", "parts": [{"text": "And?"}]}]
        })
    );
}

#[test]
fn a_call_that_nobody_signed_says_so_to_models_that_ask() {
    let mut request = with_calls();
    request.messages[2].parts.remove(1);
    request.messages[3].parts.clear();
    let unsigned = chat(&request);
    assert_eq!(
        unsigned.pointer("/contents/1/parts/1/thoughtSignature"),
        None
    );
    let signed = of("gemini/gemini-3-pro-preview", &request).unwrap();
    assert_eq!(
        signed["contents"][1]["parts"][1]["thoughtSignature"],
        "skip_thought_signature_validator"
    );
}

#[test]
fn a_signature_in_an_id_is_taken_out_of_it() {
    let mut request = with_calls();
    request.messages[2].parts[1] = Part::Call(call("c1__thought__c2ln", "weather", "{}"));
    request.messages[3].parts[0] =
        Part::Result(result("c1__thought__c2ln", vec![Part::text("cold")]));
    let sent = chat(&request);
    assert_eq!(
        sent["contents"][1]["parts"][1],
        json!({"functionCall": {"id": "c1", "name": "weather", "args": {}}, "thoughtSignature": "c2ln"})
    );
    assert_eq!(
        sent["contents"][2]["parts"][0]["functionResponse"],
        json!({"id": "c1", "name": "weather", "response": {"output": "cold"}})
    );
}

#[test]
fn a_result_without_its_call_is_refused() {
    let request = Request {
        messages: vec![message(
            Role::Tool,
            vec![Part::Result(result("x", vec![Part::text("1")]))],
        )],
        ..Request::default()
    };
    let unfit = of("gemini/gemini-2.5-flash", &request).unwrap_err();
    assert_eq!(unfit.param.as_deref(), Some("messages"));
    assert!(!unfit.droppable);
}

#[test]
fn images_of_results_stand_where_the_model_looks_for_them() {
    let image = Part::Image(Media {
        source: Source::Base64("iVBORw0KGgo=".into()),
        ..Media::default()
    });
    let mut request = with_calls();
    request.messages[3].parts = vec![Part::Result(result("c1", vec![Part::text("map"), image]))];
    let blob = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}});
    let older = chat(&request);
    assert_eq!(older["contents"][2]["parts"][1], blob);
    let newer = of("gemini/gemini-3-flash", &request).unwrap();
    assert_eq!(
        newer["contents"][2]["parts"][0]["functionResponse"]["parts"],
        json!([blob])
    );
}

#[test]
fn media_go_as_bytes_or_as_addresses_that_google_fetches() {
    let media = |source, name: Option<&str>| Media {
        source,
        name: name.map(str::to_owned),
        detail: Some("low".into()),
        ..Media::default()
    };
    let sent = |model: &str, media: Media| {
        let request = Request {
            messages: vec![message(Role::User, vec![Part::Image(media)])],
            ..Request::default()
        };
        of(model, &request).map(|sent| sent["contents"][0]["parts"][0].clone())
    };
    let url = |to: &str| Source::Url(to.to_owned());
    assert_eq!(
        sent(
            "gemini/gemini-2.5-pro",
            media(url("data:image/gif;base64,R0lG"), None)
        ),
        Ok(json!({"inlineData": {"mimeType": "image/gif", "data": "R0lG"}}))
    );
    assert_eq!(
        sent(
            "gemini/gemini-3-pro",
            media(url("https://x.test/a.PNG?b=1"), None)
        ),
        Ok(
            json!({"fileData": {"fileUri": "https://x.test/a.PNG?b=1", "mimeType": "image/png"},
            "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}})
        )
    );
    assert_eq!(
        sent(
            "gemini/gemini-2.5-pro",
            media(Source::File("files/abc".into()), Some("a.pdf"))
        ),
        Ok(json!({"fileData": {"mimeType": "application/pdf",
            "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}))
    );
    for (model, refused) in [
        ("gemini/gemini-2.0-flash", url("https://x.test/a.png")),
        ("gemini/gemini-2.5-pro", url("http://x.test/a.png")),
        ("gemini/gemini-2.5-pro", url("https://x.test/a")),
        ("gemini/gemini-2.5-pro", Source::Base64("AAAA".into())),
        ("gemini/gemini-2.5-pro", Source::File("file-abc".into())),
    ] {
        let unfit = sent(model, media(refused.clone(), None)).unwrap_err();
        assert_eq!(unfit.param.as_deref(), Some("messages"), "{refused:?}");
    }
}

fn function(name: &str, parameters: Option<Value>) -> Tool {
    Tool::Function(Function {
        name: name.into(),
        description: Some("d".into()),
        parameters: parameters.map(Into::into),
        strict: Some(true),
        cache: None,
    })
}

#[test]
fn tools_are_declared_with_the_schema_that_the_model_takes() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": ["string", "null"]}}});
    let request = Request {
        tools: vec![
            function("f", Some(schema.clone())),
            function("g", Some(json!({"type": "object", "properties": {}}))),
            Tool::Builtin {
                dialect: Dialect::OpenAi,
                value: json!({"google_search": {}}),
            },
            Tool::Builtin {
                dialect: Dialect::Anthropic,
                value: json!({"type": "code_execution_20250825", "name": "code_execution"}),
            },
        ],
        tool_choice: Some(ToolChoice::Function("f".into())),
        ..asked("hi")
    };
    let sent = chat(&request);
    assert_eq!(
        sent["tools"],
        json!([{"functionDeclarations": [
            {"name": "f", "description": "d", "parametersJsonSchema": schema},
            {"name": "g", "description": "d"}]}, {"googleSearch": {}}, {"codeExecution": {}}])
    );
    assert_eq!(
        sent["toolConfig"],
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}})
    );
    let older = of("gemini/gemini-1.5-pro", &request).unwrap();
    assert_eq!(
        older["tools"][0]["functionDeclarations"][0]["parameters"],
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}})
    );
}

#[test]
fn every_tool_choice_has_its_mode() {
    for (choice, mode) in [
        (ToolChoice::Auto, "AUTO"),
        (ToolChoice::None, "NONE"),
        (ToolChoice::Required, "ANY"),
    ] {
        let request = Request {
            tools: vec![function("f", None)],
            tool_choice: Some(choice),
            ..asked("hi")
        };
        let config = json!({"functionCallingConfig": {"mode": mode}});
        assert_eq!(chat(&request)["toolConfig"], config);
    }
    let nothing = Request {
        tool_choice: Some(ToolChoice::Auto),
        ..asked("hi")
    };
    assert_eq!(chat(&nothing).get("toolConfig"), None);
}

#[test]
fn parameters_have_geminis_names() {
    let request = Request {
        max_tokens: Some(9),
        temperature: Some(1.into()),
        top_p: serde_json::Number::from_f64(0.5),
        top_k: Some(3),
        stop: vec!["x".into()],
        n: Some(2),
        seed: Some(-7),
        presence_penalty: Some(1.into()),
        frequency_penalty: Some(2.into()),
        logprobs: Some(true),
        top_logprobs: Some(4),
        format: Some(Format::Schema {
            name: "n".into(),
            description: None,
            schema: json!({"type": "object", "x": 1}),
            strict: None,
        }),
        user: Some("u".into()),
        service_tier: Some("flex".into()),
        rest: json!({"safety_settings": [{"category": "C", "threshold": "BLOCK_NONE"}],
            "modalities": ["text", "image"], "imageConfig": {"aspectRatio": "1:1"},
            "cached_content": "cachedContents/1", "metadata": {}, "labels": {"a": "b"}})
        .as_object()
        .cloned()
        .unwrap(),
        ..asked("hi")
    };
    let mut sent = chat(&request);
    sent.as_object_mut().unwrap().remove("contents");
    assert_eq!(
        sent,
        json!({
            "generationConfig": {"maxOutputTokens": 9, "temperature": 1, "topP": 0.5, "topK": 3,
                "stopSequences": ["x"], "candidateCount": 2, "seed": -7, "presencePenalty": 1,
                "frequencyPenalty": 2, "responseLogprobs": true, "logprobs": 4,
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
                "responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "1:1"}},
            "safetySettings": [{"category": "C", "threshold": "BLOCK_NONE"}],
            "cachedContent": "cachedContents/1", "labels": {"a": "b"}, "serviceTier": "flex"
        })
    );
}

#[test]
fn what_gemini_lacks_is_named_or_left_out() {
    let biased = Request {
        rest: Map::from_iter([("logit_bias".to_owned(), json!({"1": 2}))]),
        ..asked("hi")
    };
    let one_by_one = Request {
        tools: vec![function("f", None), function("g", None)],
        parallel_tool_calls: Some(false),
        ..asked("hi")
    };
    for (request, name) in [(biased, "logit_bias"), (one_by_one, "parallel_tool_calls")] {
        let unfit = of("gemini/gemini-2.5-pro", &request).unwrap_err();
        assert_eq!(
            (unfit.param.as_deref(), unfit.droppable),
            (Some(name), true)
        );
        let drop = Params {
            drop: true,
            ..Params::default()
        };
        let left = written("gemini/gemini-2.5-pro", Task::Chat, drop, |ask| {
            let written = Flavour::Api.write_chat(ask, &request)?;
            assert_eq!(written.dropped, [name]);
            Ok(written)
        });
        assert!(left.is_ok());
    }
}

#[test]
fn thinking_is_a_level_or_a_budget() {
    let thought = |model: &str, reasoning: Reasoning| {
        let request = Request {
            reasoning: Some(reasoning),
            ..asked("hi")
        };
        of(model, &request).unwrap()["generationConfig"]["thinkingConfig"].clone()
    };
    let effort = |effort| Reasoning {
        effort: Some(effort),
        ..Reasoning::default()
    };
    let (old, pro, flash) = (
        "gemini/gemini-2.5-flash",
        "gemini/gemini-3-pro-preview",
        "gemini/gemini-3-flash",
    );
    for (model, reasoning, config) in [
        (
            old,
            effort(Effort::Low),
            json!({"thinkingBudget": 1024, "includeThoughts": true}),
        ),
        (
            old,
            effort(Effort::High),
            json!({"thinkingBudget": 4096, "includeThoughts": true}),
        ),
        (
            old,
            effort(Effort::None),
            json!({"thinkingBudget": 0, "includeThoughts": false}),
        ),
        (
            pro,
            effort(Effort::Medium),
            json!({"thinkingLevel": "HIGH", "includeThoughts": true}),
        ),
        (
            flash,
            effort(Effort::Medium),
            json!({"thinkingLevel": "MEDIUM", "includeThoughts": true}),
        ),
        (
            flash,
            effort(Effort::None),
            json!({"thinkingLevel": "MINIMAL", "includeThoughts": false}),
        ),
        (
            pro,
            Reasoning {
                budget: Some(99),
                shown: Some(false),
                ..Reasoning::default()
            },
            json!({"thinkingBudget": 99, "includeThoughts": false}),
        ),
        (
            old,
            Reasoning {
                adaptive: true,
                ..Reasoning::default()
            },
            json!({"thinkingBudget": -1, "includeThoughts": true}),
        ),
    ] {
        assert_eq!(
            thought(model, reasoning.clone()),
            config,
            "{model} {reasoning:?}"
        );
    }
}

#[test]
fn only_instructions_are_no_conversation_unless_it_is_mended() {
    let request = Request {
        messages: vec![Message::text(Role::System, "s")],
        ..Request::default()
    };
    assert!(of("gemini/gemini-2.5-pro", &request).is_err());
    let mend = Params {
        mend: true,
        ..Params::default()
    };
    let sent = written("gemini/gemini-2.5-pro", Task::Chat, mend, |ask| {
        Flavour::Api.write_chat(ask, &request)
    });
    assert_eq!(
        sent.unwrap()["contents"],
        json!([{"role": "user", "parts": [{"text": " "}]}])
    );
}

#[test]
fn tokens_are_counted_of_the_whole_request() {
    let sent = written(
        "gemini/gemini-2.5-pro",
        Task::CountTokens,
        Params::default(),
        |ask| Flavour::Api.write_chat(ask, &asked("hi")),
    );
    assert_eq!(
        sent.unwrap(),
        json!({"generateContentRequest": {"model": "models/gemini-2.5-pro",
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}})
    );
    let answer = response::read(Task::CountTokens, br#"{"totalTokens":31}"#).unwrap();
    assert_eq!(answer.usage.unwrap().prompt, 31);
}

#[test]
fn models_have_their_paths() {
    for (task, path) in [
        (Task::Chat, "/v1beta/models/m:generateContent"),
        (
            Task::Stream,
            "/v1beta/models/m:streamGenerateContent?alt=sse",
        ),
        (Task::Embed, "/v1beta/models/m:batchEmbedContents"),
        (Task::CountTokens, "/v1beta/models/m:countTokens"),
    ] {
        assert_eq!(Flavour::Api.path(task, "m").as_deref(), Some(path));
    }
    assert_eq!(Flavour::Api.path(Task::Rerank, "m"), None);
    assert_eq!(
        Flavour::Api.path(Task::Chat, "tunedModels/a b").as_deref(),
        Some("/v1beta/tunedModels/a%20b:generateContent")
    );
    assert_eq!(
        Flavour::Vertex
            .path(Task::Embed, "text-embedding-005")
            .as_deref(),
        Some("/publishers/google/models/text-embedding-005:predict")
    );
    assert_eq!(
        Flavour::Vertex.path(Task::Chat, "123").as_deref(),
        Some("/endpoints/123:generateContent")
    );
}

const ANSWER: &str = r#"{"responseId":"r1","modelVersion":"gemini-2.5-flash",
    "candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model","parts":[
        {"text":"I think ","thought":true},{"text":"so.","thought":true},
        {"text":"Grüezi "},{"text":"Bern.","thoughtSignature":"dHh0"},
        {"functionCall":{"name":"weather","args":{"city":"Bern"}},"thoughtSignature":"c2ln"},
        {"functionCall":{"id":"x","name":"time","args":{}}},
        {"inlineData":{"mimeType":"image/png","data":"AAAA"}},
        {"executableCode":{"language":"PYTHON","code":"1"}}]},
      "safetyRatings":[{"category":"C"}],
      "groundingMetadata":{"webSearchQueries":["a","b"],
        "groundingChunks":[{"web":{"uri":"https://x.test","title":"X"}}],
        "groundingSupports":[{"segment":{"startIndex":8,"endIndex":13},"groundingChunkIndices":[0]}]},
      "logprobsResult":{"chosenCandidates":[{"token":"é","logProbability":-0.5}],
        "topCandidates":[{"candidates":[{"token":"e","logProbability":-1.0}]}]}}],
    "usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":5,
      "thoughtsTokenCount":7,"toolUsePromptTokenCount":3,"totalTokenCount":25,
      "promptTokensDetails":[{"modality":"AUDIO","tokenCount":2}]}}"#;

#[test]
fn an_answer_is_read_with_everything_it_says() {
    let answer = response::read(Task::Chat, ANSWER.as_bytes()).unwrap();
    assert_eq!(answer.id.as_deref(), Some("r1"));
    assert_eq!(answer.model.as_deref(), Some("gemini-2.5-flash"));
    let [choice] = &answer.choices[..] else {
        panic!("{:?}", answer.choices)
    };
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    let [thinking, text, weather, time, image, code] = &choice.parts[..] else {
        panic!("{:?}", choice.parts)
    };
    assert_eq!(
        *thinking,
        Part::Thinking(Thinking {
            text: "I think so.".into(),
            ..Thinking::default()
        })
    );
    assert_eq!(
        *text,
        Part::Text(Text {
            text: "Grüezi Bern.".into(),
            signature: Some("dHh0".into()),
            annotations: vec![json!({"type": "url_citation", "url_citation": {
                "url": "https://x.test", "title": "X", "start_index": 7, "end_index": 12}})],
            cache: None,
        })
    );
    let (Part::Call(weather), Part::Call(time)) = (weather, time) else {
        panic!("no calls")
    };
    assert!(weather.id.starts_with("call_"));
    assert_eq!(weather.signature.as_deref(), Some("c2ln"));
    assert_eq!(weather.arguments, r#"{"city":"Bern"}"#);
    assert_eq!(*time, call("x", "time", "{}"));
    assert!(matches!(image, Part::Image(media) if media.source == Source::Base64("AAAA".into())));
    assert!(matches!(
        code,
        Part::Other {
            dialect: Dialect::Gemini,
            ..
        }
    ));
    assert_eq!(
        choice.logprobs,
        Some(
            json!({"refusal": null, "content": [{"token": "é", "bytes": [195, 169], "logprob": -0.5,
            "top_logprobs": [{"token": "e", "bytes": [101], "logprob": -1.0}]}]})
        )
    );
    assert_eq!(
        answer.rest["vertex_ai_safety_results"],
        json!([[{"category": "C"}]])
    );
    assert!(answer.rest["vertex_ai_grounding_metadata"][0].is_object());
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt: 13,
            completion: 12,
            cache_read: 4,
            reasoning: 7,
            audio_input: 2,
            searches: 2,
            ..Usage::default()
        })
    );
}

#[test]
fn thought_is_not_counted_twice_where_it_is_among_what_is_said() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":
        {"promptTokenCount":10,"candidatesTokenCount":12,"thoughtsTokenCount":7,"totalTokenCount":22}}"#;
    let usage = response::read(Task::Chat, body.as_bytes())
        .unwrap()
        .usage
        .unwrap();
    assert_eq!((usage.completion, usage.reasoning), (12, 7));
}

#[test]
fn a_refused_prompt_is_an_answer_that_was_filtered() {
    let body = br#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#;
    let answer = response::read(Task::Chat, body).unwrap();
    assert_eq!(answer.choices[0].finish, Some(Finish::ContentFilter));
    assert_eq!(answer.choices[0].rest["block_reason"], "SAFETY");
    assert!(response::read(Task::Chat, b"{}").is_err());
    assert!(response::read(Task::Chat, b"[]").is_err());
}

#[test]
fn finish_reasons_have_their_meaning() {
    for (reason, meaning) in [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("RECITATION", Finish::ContentFilter),
        (
            "MALFORMED_FUNCTION_CALL",
            Finish::Other("malformed_function_call".into()),
        ),
    ] {
        assert_eq!(response::finish(reason, false), meaning);
    }
}

/// What the events of a stream come to.
fn folded(events: Vec<Event>) -> Answer {
    let mut answer = Answer::default();
    let mut parts: Vec<Part> = Vec::new();
    let mut choice = chat::Choice::default();
    for event in events {
        match event {
            Event::Start { id, model, .. } => (answer.id, answer.model) = (id, model),
            Event::Finish { finish, .. } => choice.finish = Some(finish),
            Event::Usage(usage) => answer.usage = Some(usage),
            Event::Rest(rest) => answer.rest.extend(rest),
            Event::Delta { delta, .. } => match (delta, parts.last_mut()) {
                (Delta::Text(more), Some(Part::Text(last))) => last.text.push_str(&more),
                (Delta::Text(text), _) => parts.push(Part::text(text)),
                (Delta::Thinking(more), Some(Part::Thinking(last))) => last.text.push_str(&more),
                (Delta::Thinking(text), _) => parts.push(Part::Thinking(Thinking {
                    text,
                    ..Thinking::default()
                })),
                (
                    Delta::Call {
                        id,
                        name,
                        signature,
                        ..
                    },
                    _,
                ) => parts.push(Part::Call(ToolCall {
                    signature,
                    ..call(&id, &name, "")
                })),
                (Delta::Arguments { text, .. }, Some(Part::Call(last))) => {
                    last.arguments.push_str(&text);
                }
                (Delta::Media(media), _) => parts.push(media),
                (Delta::Other { dialect, value }, _) => parts.push(Part::Other { dialect, value }),
                (Delta::Logprobs(value), _) => choice.logprobs = Some(value),
                (Delta::Annotation(source), _) => {
                    for part in &mut parts {
                        if let Part::Text(text) = part {
                            text.annotations.push(source.clone());
                        }
                    }
                }
                (Delta::Rest(rest), _) => choice.rest.extend(rest),
                (delta, _) => panic!("{delta:?}"),
            },
        }
    }
    // A stream says a signature of words beside them.
    if let Some(signature) = choice.rest.get("thought_signatures") {
        for part in &mut parts {
            if let Part::Text(text) = part {
                text.signature = signature[0].as_str().map(str::to_owned);
            }
        }
    }
    choice.parts = parts;
    answer.choices.push(choice);
    answer
}

/// The answer as events, each part in one of its own.
fn streamed() -> String {
    let whole: Value = serde_json::from_str(ANSWER).unwrap();
    let parts = whole["candidates"][0]["content"]["parts"]
        .as_array()
        .unwrap();
    let mut chunks: Vec<Value> = parts
        .iter()
        .map(|part| {
            json!({"responseId": "r1", "modelVersion": "gemini-2.5-flash",
                "candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}],
                "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}})
        })
        .collect();
    let mut last = whole.clone();
    last["candidates"][0]["content"]["parts"] = json!([{"text": ""}]);
    chunks.push(last);
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n"));
    events.collect()
}

#[test]
fn a_stream_cut_anywhere_gives_the_whole_answer() {
    let whole = response::read(Task::Chat, ANSWER.as_bytes()).unwrap();
    let stream = streamed();
    for at in 0..=stream.len() {
        let (events, end) = decoded(decoder(), &stream, at);
        assert_eq!(end, Ok(()));
        assert_eq!(folded(events), whole, "cut at {at}");
    }
}

#[test]
fn a_stream_that_ends_early_was_cut() {
    let stream = streamed();
    let events: Vec<_> = stream.split_inclusive("\r\n\r\n").collect();
    let without_last = events[..events.len() - 1].concat();
    let (said, end) = decoded(decoder(), &without_last, 0);
    assert_eq!(end, Err(Broken::Cut));
    assert!(!said.is_empty());
    let (_, end) = decoded(decoder(), &stream[..stream.len() - 40], 0);
    assert_eq!(end, Err(Broken::Cut));
    assert_eq!(decoded(decoder(), "", 0).1, Err(Broken::Cut));
}

#[test]
fn an_error_within_a_stream_is_told() {
    let stream = format!(
        "{}data: {{\"error\":{{\"code\":503,\"message\":\"overloaded\",\"status\":\"UNAVAILABLE\"}}}}\n\n",
        streamed().split_inclusive("\r\n\r\n").next().unwrap()
    );
    let (said, end) = decoded(decoder(), &stream, 0);
    assert!(said.len() > 1);
    let Err(Broken::Told(told)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(told.message.as_deref(), Some("overloaded"));
    assert_eq!(told.status, Some(StatusCode::SERVICE_UNAVAILABLE));
}

#[test]
fn a_refused_prompt_ends_a_stream() {
    let stream = "data: {\"promptFeedback\":{\"blockReason\":\"PROHIBITED_CONTENT\"}}\n\n";
    let (said, end) = decoded(decoder(), stream, 9);
    assert_eq!(end, Ok(()));
    assert!(said.iter().any(|event| matches!(
        event,
        Event::Finish {
            finish: Finish::ContentFilter,
            ..
        }
    )));
}

#[test]
fn an_event_that_is_no_answer_breaks_the_stream() {
    let mut reader = decoder();
    let mut events = Vec::new();
    let pushed = reader.push(Bytes::from_static(b"data: [1]\n\n"), &mut events);
    assert!(matches!(pushed, Err(Broken::Malformed(_))));
}

#[test]
fn errors_say_what_they_are() {
    let told = |status: u16, body: Value| {
        Flavour::Api.told(
            StatusCode::from_u16(status).unwrap(),
            body.to_string().as_bytes(),
        )
    };
    let long = told(
        400,
        json!({"error": {"code": 400, "status": "INVALID_ARGUMENT",
        "message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}),
    );
    assert_eq!(long.kind, Some(Refusal::ContextWindow));
    assert_eq!(long.code.as_deref(), Some("INVALID_ARGUMENT"));
    let key = told(
        400,
        json!({"error": {"message": "API key not valid. Please pass a valid API key.",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}),
    );
    assert_eq!(key.status, Some(StatusCode::UNAUTHORIZED));
    let quota = told(
        429,
        json!([{"error": {"message": "Quota", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "contents"}]}]}}]),
    );
    assert_eq!(quota.message.as_deref(), Some("Quota"));
    assert_eq!(quota.retry_after, Some(Duration::from_millis(34_500)));
    assert_eq!(quota.param.as_deref(), Some("contents"));
    let page = Flavour::Api.told(StatusCode::BAD_GATEWAY, b"<html>");
    assert_eq!(page, Told::default());
}

#[test]
fn embeddings_are_asked_for_in_one_batch() {
    let embed = EmbedRequest {
        inputs: vec![EmbedInput::Text("a".into()), EmbedInput::Text("b".into())],
        dimensions: Some(2),
        purpose: Some("query".into()),
        ..EmbedRequest::default()
    };
    let sent = written(
        "gemini/gemini-embedding-001",
        Task::Embed,
        Params::default(),
        |ask| Flavour::Api.write_embed(ask, &embed),
    );
    let one = |text: &str| {
        json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
            "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2})
    };
    assert_eq!(sent.unwrap(), json!({"requests": [one("a"), one("b")]}));
    let vertex = written(
        "gemini/text-embedding-005",
        Task::Embed,
        Params::default(),
        |ask| Flavour::Vertex.write_embed(ask, &embed),
    );
    assert_eq!(
        vertex.unwrap(),
        json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"},
            {"content": "b", "task_type": "RETRIEVAL_QUERY"}], "parameters": {"outputDimensionality": 2}})
    );
}

#[test]
fn vectors_keep_every_digit() {
    let body = br#"{"embeddings":[{"values":[0.10,-2e-7]},{"values":[1,2]}]}"#;
    let read = embed::read(Flavour::Api, body, 2).unwrap();
    assert_eq!(
        read.vectors,
        [
            Vector::Json("[0.10,-2e-7]".into()),
            Vector::Json("[1,2]".into())
        ]
    );
    assert!(embed::read(Flavour::Api, body, 3).is_err());
    let body = br#"{"predictions":[{"embeddings":{"values":[1],"statistics":{"token_count":4.0,"truncated":false}}},
        {"embeddings":{"values":[2],"statistics":{"token_count":5.0}}}]}"#;
    let read = embed::read(Flavour::Vertex, body, 2).unwrap();
    assert_eq!(read.usage.unwrap().prompt, 9);
    for strange in [
        "{}",
        "[]",
        r#"{"predictions":[{}]}"#,
        r#"{"predictions":[{"embeddings":{"values":["x"]}}]}"#,
    ] {
        assert!(embed::read(Flavour::Vertex, strange.as_bytes(), 1).is_err());
    }
}
