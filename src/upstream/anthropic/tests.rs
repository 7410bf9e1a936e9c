//! What Anthropic is asked, and how its answers are read.

use serde_json::{Value, json};

use super::*;
use crate::call::chat::{
    Effort, Finish, Format, Function, Media, Message, Part, Reasoning, Request, Role, Source, Text,
    Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::call::{Attempt, Route, example};
use crate::upstream::protocol::{Params, Refusal};

const MEND: Params<'_> = Params {
    drop: false,
    mend: true,
    allowed: &[],
};
const DROP: Params<'_> = Params {
    drop: true,
    mend: false,
    allowed: &[],
};

fn attempt(model: &str) -> Attempt {
    let config = format!(
        "model_list:\n- model_name: public\n  litellm_params:\n    model: anthropic/{model}\n    \
         api_key: os.environ/KEY\n"
    );
    let body = r#"{"model":"public","messages":[]}"#;
    example::attempt(&config, Route::Chat, body)
}

fn written(model: &str, params: Params<'_>, chat: &Request) -> Result<Written, Unfit> {
    let attempt = attempt(model);
    let ask = Ask {
        task: Task::Chat,
        model,
        deployment: attempt.call.live.deployment(attempt.deployment),
        params,
    };
    Anthropic.write_chat(&ask, chat)
}

/// What goes to a model that knows neither schemas nor efforts.
fn sent(chat: &Request) -> Value {
    sent_to("claude-opus-4-1", chat)
}

fn sent_to(model: &str, chat: &Request) -> Value {
    json_of(&written(model, Params::default(), chat).unwrap())
}

fn json_of(written: &Written) -> Value {
    serde_json::from_slice(&written.body).unwrap()
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

fn function(name: &str) -> Tool {
    Tool::Function(Function {
        name: name.into(),
        parameters: Some(
            json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}})
                .into(),
        ),
        strict: Some(true),
        ..Function::default()
    })
}

fn call(id: &str) -> Part {
    Part::Call(ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: "{\"a\": 1.0}".into(),
        ..ToolCall::default()
    })
}

fn result(id: &str) -> Part {
    Part::Result(ToolResult {
        id: id.into(),
        parts: vec![
            Part::text("seen"),
            Part::Image(Media {
                source: Source::Base64("iVBORw0".into()),
                ..Media::default()
            }),
        ],
        ..ToolResult::default()
    })
}

fn unfit(chat: &Request) -> (String, bool) {
    let unfit = written("claude-opus-4-1", Params::default(), chat).unwrap_err();
    (
        unfit.param.unwrap_or_default().into_owned(),
        unfit.droppable,
    )
}

#[test]
fn a_plain_request_has_what_is_required_and_no_more() {
    assert_eq!(
        sent(&hi()),
        json!({"model": "claude-opus-4-1", "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]})
    );
    assert_eq!(sent_to("claude-haiku-4-5", &hi())["max_tokens"], 64_000);
    let given = Request {
        max_tokens: Some(7),
        ..hi()
    };
    assert_eq!(sent(&given)["max_tokens"], 7);
}

#[test]
fn instructions_stand_apart_and_neighbours_are_one_turn() {
    let cached = Part::Text(Text {
        text: "be kind".into(),
        cache: Some(json!({"type": "ephemeral", "ttl": "1h"})),
        ..Text::default()
    });
    let chat = Request {
        messages: vec![
            saying(Role::System, vec![cached]),
            Message::text(Role::User, "a"),
            Message::text(Role::User, "b"),
            Message::text(Role::System, "be brief"),
            Message::text(Role::Assistant, "c \n"),
        ],
        ..Request::default()
    };
    let sent = sent(&chat);
    assert_eq!(
        sent["system"],
        json!([{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": "be brief"}])
    );
    assert_eq!(
        sent["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}]}])
    );
}

#[test]
fn tools_and_their_results_keep_their_ids_and_their_bytes() {
    let chat = Request {
        messages: vec![
            Message::text(Role::User, "go"),
            saying(
                Role::Assistant,
                vec![
                    Part::Thinking(Thinking {
                        text: "hm".into(),
                        signature: Some("sig".into()),
                        redacted: None,
                    }),
                    Part::Thinking(Thinking {
                        text: "unproved".into(),
                        ..Thinking::default()
                    }),
                    Part::text(" "),
                    call("call.1"),
                    call("call_2"),
                ],
            ),
            saying(Role::Tool, vec![result("call.1")]),
            saying(Role::Tool, vec![result("call_2")]),
            Message::text(Role::User, "well?"),
        ],
        tools: vec![function("f")],
        tool_choice: Some(ToolChoice::Function("f".into())),
        parallel_tool_calls: Some(false),
        ..Request::default()
    };
    let written = written("claude-opus-4-1", Params::default(), &chat).unwrap();
    // A number is not rewritten on its way.
    assert!(
        std::str::from_utf8(&written.body)
            .unwrap()
            .contains(r#""input":{"a": 1.0}"#)
    );
    let sent = json_of(&written);
    let results = json!([{"type": "text", "text": "seen"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0"}}]);
    assert_eq!(
        sent["messages"][1]["content"],
        json!([{"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1.0}},
            {"type": "tool_use", "id": "call_2", "name": "f", "input": {"a": 1.0}}])
    );
    assert_eq!(
        sent["messages"][2]["content"],
        json!([{"type": "tool_result", "tool_use_id": "call_1", "content": results},
            {"type": "tool_result", "tool_use_id": "call_2", "content": results},
            {"type": "text", "text": "well?"}])
    );
    assert_eq!(
        sent["tool_choice"],
        json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true})
    );
    // This model cannot be held to a schema, so the schema goes as it is.
    assert!(sent["tools"][0].get("strict").is_none());
    assert_eq!(
        sent["tools"][0]["input_schema"]["properties"]["a"]["minimum"],
        1
    );
    let newer = sent_to("claude-sonnet-4-5", &chat);
    assert_eq!(newer["tools"][0]["strict"], true);
    assert_eq!(
        newer["tools"][0]["input_schema"]["additionalProperties"],
        false
    );
}

#[test]
fn every_tool_choice_has_its_word() {
    let choose = |choice, parallel| {
        let chat = Request {
            tools: vec![function("f")],
            tool_choice: choice,
            parallel_tool_calls: parallel,
            ..hi()
        };
        sent(&chat)["tool_choice"].clone()
    };
    assert_eq!(choose(None, None), Value::Null);
    assert_eq!(
        choose(Some(ToolChoice::Auto), None),
        json!({"type": "auto"})
    );
    assert_eq!(
        choose(Some(ToolChoice::Required), None),
        json!({"type": "any"})
    );
    assert_eq!(
        choose(Some(ToolChoice::None), Some(true)),
        json!({"type": "none"})
    );
    assert_eq!(
        choose(None, Some(false)),
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[test]
fn documents_come_in_every_form() {
    let document = |source, mime: Option<&str>| {
        Part::Document(Media {
            source,
            mime: mime.map(str::to_owned),
            name: Some("n".into()),
            ..Media::default()
        })
    };
    let chat = Request {
        messages: vec![saying(
            Role::User,
            vec![
                document(Source::Base64("JVBERi0".into()), None),
                document(
                    Source::Base64("aGk=".into()),
                    Some("text/plain; charset=utf-8"),
                ),
                document(Source::Url("https://a.example/b.pdf".into()), None),
                document(Source::File("file_1".into()), None),
                document(Source::Text("words".into()), None),
                document(Source::Base64("/9j/".into()), Some("image/jpg")),
            ],
        )],
        ..Request::default()
    };
    let written = written("claude-opus-4-1", Params::default(), &chat).unwrap();
    let content = json_of(&written)["messages"][0]["content"].clone();
    let sources: Vec<_> = content
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["source"])
        .collect();
    assert_eq!(
        json!(sources),
        json!([{"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"},
            {"type": "text", "media_type": "text/plain", "data": "hi"},
            {"type": "url", "url": "https://a.example/b.pdf"},
            {"type": "file", "file_id": "file_1"},
            {"type": "text", "media_type": "text/plain", "data": "words"},
            {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}])
    );
    assert_eq!(content[0]["title"], "n");
    assert_eq!(content[5]["type"], "image");
    assert_eq!(written.headers[0].1, "files-api-2025-04-14");
    let word = Request {
        messages: vec![saying(
            Role::User,
            vec![document(
                Source::Base64(String::new()),
                Some("application/msword"),
            )],
        )],
        ..Request::default()
    };
    assert_eq!(unfit(&word), ("messages".into(), false));
}

#[test]
fn a_conversation_is_mended_only_if_the_file_says_so() {
    let calls = |messages: Vec<Message>| Request {
        messages,
        ..Request::default()
    };
    let headless = calls(vec![Message::text(Role::Assistant, "hello")]);
    assert_eq!(unfit(&headless), ("messages".into(), false));
    let mended = json_of(&written("claude-opus-4-1", MEND, &headless).unwrap());
    assert_eq!(
        mended["messages"][0],
        json!({"role": "user", "content": [{"type": "text", "text": "."}]})
    );
    // A newer model does not go on with its own turn.
    let newer = json_of(&written("claude-opus-4-6", MEND, &headless).unwrap());
    assert_eq!(
        newer["messages"][2]["content"][0]["text"],
        "Please continue."
    );

    let empty = calls(vec![
        Message::text(Role::User, " "),
        Message::text(Role::Assistant, ""),
    ]);
    assert_eq!(unfit(&empty), ("messages".into(), false));
    let mended = json_of(&written("claude-opus-4-1", MEND, &empty).unwrap());
    assert_eq!(mended["messages"].as_array().unwrap().len(), 1);

    let loose = calls(vec![
        saying(Role::Tool, vec![result("nobody's")]),
        Message::text(Role::User, "go"),
        saying(Role::Assistant, vec![call("1"), call("2")]),
        saying(Role::Tool, vec![result("2")]),
    ]);
    assert_eq!(unfit(&loose), ("tools".into(), false));
    let mended = json_of(&written("claude-opus-4-1", MEND, &loose).unwrap());
    assert_eq!(mended["tools"][0]["name"], "dummy_tool");
    assert_eq!(
        mended["messages"][0]["content"],
        json!([{"type": "text", "text": "go"}])
    );
    let results = &mended["messages"][2]["content"];
    assert_eq!(
        (&results[0]["tool_use_id"], &results[1]["tool_use_id"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!(results[0]["is_error"], true);
}

#[test]
fn a_form_is_native_where_the_model_has_it_and_a_tool_elsewhere() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}});
    let formed = |format, tools: Vec<Tool>| Request {
        format: Some(format),
        tools,
        ..hi()
    };
    let by_schema = || Format::Schema {
        name: "n".into(),
        description: None,
        schema: schema.clone(),
        strict: Some(true),
    };
    let old = sent(&formed(by_schema(), vec![]));
    assert_eq!(
        old["tools"],
        json!([{"name": "json_tool_call", "input_schema": schema}])
    );
    assert_eq!(
        old["tool_choice"],
        json!({"type": "tool", "name": "json_tool_call"})
    );
    let beside = sent(&formed(by_schema(), vec![function("f")]));
    assert_eq!(beside["tool_choice"], json!({"type": "any"}));
    let native = sent_to("claude-sonnet-4-5", &formed(by_schema(), vec![]));
    assert_eq!(native["output_config"]["format"]["type"], "json_schema");
    assert_eq!(
        native["output_config"]["format"]["schema"]["additionalProperties"],
        false
    );
    assert!(native.get("tools").is_none());
    let any = sent_to("claude-sonnet-4-5", &formed(Format::Object, vec![]));
    assert_eq!(
        any["tools"][0]["input_schema"]["additionalProperties"],
        true
    );
    let thoughtful = Request {
        reasoning: Some(Reasoning {
            effort: Some(Effort::Low),
            ..Reasoning::default()
        }),
        ..formed(by_schema(), vec![])
    };
    assert_eq!(sent(&thoughtful)["tool_choice"], json!({"type": "auto"}));
    let taken = Request {
        tools: vec![function("json_tool_call")],
        ..hi()
    };
    assert_eq!(unfit(&taken), ("tools".into(), false));
}

#[test]
fn a_budget_leaves_room_for_the_answer() {
    let thoughtful = |model: &str, effort, max_tokens| {
        let chat = Request {
            reasoning: Some(Reasoning {
                effort: Some(effort),
                ..Reasoning::default()
            }),
            max_tokens,
            ..hi()
        };
        sent_to(model, &chat)
    };
    let unlisted = thoughtful("claude-opus-4-1", Effort::High, None);
    assert_eq!(
        unlisted["thinking"],
        json!({"type": "enabled", "budget_tokens": 4096})
    );
    assert_eq!(unlisted["max_tokens"], 8192);
    let newer = thoughtful("claude-opus-4-7", Effort::High, Some(10));
    assert_eq!(newer["thinking"], json!({"type": "adaptive"}));
    assert_eq!(newer["output_config"], json!({"effort": "high"}));
    let ancient = Request {
        reasoning: Some(Reasoning {
            effort: Some(Effort::High),
            ..Reasoning::default()
        }),
        ..hi()
    };
    assert!(
        written("claude-3-5-sonnet-20241022", Params::default(), &ancient)
            .unwrap_err()
            .droppable
    );
}

#[test]
fn who_called_without_thinking_does_not_think_now_if_mended() {
    let chat = Request {
        messages: vec![
            Message::text(Role::User, "go"),
            saying(Role::Assistant, vec![call("1")]),
            saying(Role::Tool, vec![result("1")]),
        ],
        tools: vec![function("f")],
        reasoning: Some(Reasoning {
            budget: Some(2000),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    assert_eq!(sent(&chat)["thinking"]["budget_tokens"], 2000);
    let mended = written("claude-opus-4-1", MEND, &chat).unwrap();
    assert!(json_of(&mended).get("thinking").is_none());
    assert_eq!(mended.dropped, ["thinking"]);
}

#[test]
fn what_anthropic_lacks_is_an_error_or_left_out() {
    let number = |value: f64| serde_json::Number::from_f64(value);
    let lacking: [(&str, Request); 10] = [
        ("n", Request { n: Some(2), ..hi() }),
        (
            "seed",
            Request {
                seed: Some(1),
                ..hi()
            },
        ),
        (
            "presence_penalty",
            Request {
                presence_penalty: number(0.5),
                ..hi()
            },
        ),
        (
            "frequency_penalty",
            Request {
                frequency_penalty: number(0.5),
                ..hi()
            },
        ),
        (
            "logprobs",
            Request {
                logprobs: Some(true),
                ..hi()
            },
        ),
        (
            "top_logprobs",
            Request {
                top_logprobs: Some(2),
                ..hi()
            },
        ),
        (
            "stop",
            Request {
                stop: vec!["\n".into(), "x".into()],
                ..hi()
            },
        ),
        (
            "temperature",
            Request {
                temperature: number(1.5),
                ..hi()
            },
        ),
        (
            "service_tier",
            Request {
                service_tier: Some("flex".into()),
                ..hi()
            },
        ),
        (
            "logit_bias",
            Request {
                rest: [("logit_bias".to_owned(), json!({}))].into_iter().collect(),
                ..hi()
            },
        ),
    ];
    for (name, chat) in lacking {
        assert_eq!(unfit(&chat), (name.to_owned(), true));
        let written = written("claude-opus-4-1", DROP, &chat).unwrap();
        assert_eq!(written.dropped, [name]);
        let sent = json_of(&written);
        match name {
            "stop" => assert_eq!(sent["stop_sequences"], json!(["x"])),
            "temperature" => assert_eq!(sent["temperature"], 1),
            _ => assert!(sent.get(name).is_none(), "{sent}"),
        }
    }
    let harmless = Request {
        n: Some(1),
        presence_penalty: number(0.0),
        logprobs: Some(false),
        service_tier: Some("default".into()),
        ..hi()
    };
    assert_eq!(sent(&harmless)["service_tier"], "standard_only");
}

#[test]
fn a_model_without_sampling_gets_none() {
    let sampled = Request {
        temperature: serde_json::Number::from_f64(0.5),
        top_p: serde_json::Number::from_f64(0.9),
        top_k: Some(4),
        ..hi()
    };
    assert_eq!(sent_to("claude-3-opus-20240229", &sampled)["top_p"], 0.9);
    let dropped = |model| written(model, DROP, &sampled).unwrap().dropped;
    assert_eq!(dropped("claude-sonnet-4-5"), ["top_p"]);
    assert_eq!(
        dropped("claude-opus-4-7"),
        ["temperature", "top_p", "top_k"]
    );
    let usual = Request {
        temperature: Some(1.into()),
        ..hi()
    };
    assert!(
        sent_to("claude-opus-4-7", &usual)
            .get("temperature")
            .is_none()
    );
}

#[test]
fn the_callers_user_goes_on_unless_it_is_an_address() {
    let of = |user: &str| {
        let chat = Request {
            user: Some(user.into()),
            ..hi()
        };
        sent(&chat)["metadata"].clone()
    };
    assert_eq!(of("u-17"), json!({"user_id": "u-17"}));
    assert_eq!(of("a@b.example"), Value::Null);
    assert_eq!(of("+1 (555) 123-4567"), Value::Null);
}

#[test]
fn anthropics_own_members_and_tools_pass_with_their_betas() {
    let rest = json!({"betas": ["my-beta", "bad beta"], "mcp_servers": [], "web_search_options":
        {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Bonn"}}}});
    let own = json!({"type": "code_execution_20250825", "name": "code_execution"});
    let chat = Request {
        tools: vec![Tool::Builtin {
            dialect: Dialect::Anthropic,
            value: own.clone(),
        }],
        rest: rest.as_object().unwrap().clone(),
        ..hi()
    };
    let written = written("claude-opus-4-1", Params::default(), &chat).unwrap();
    let betas = "my-beta,mcp-client-2025-04-04,code-execution-2025-08-25";
    assert_eq!(
        written.headers,
        [(betas::HEADER, HeaderValue::from_static(betas))]
    );
    let sent = json_of(&written);
    assert_eq!(
        sent["tools"],
        json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 1,
            "user_location": {"type": "approximate", "city": "Bonn"}}, own])
    );
    assert_eq!(sent["mcp_servers"], json!([]));
}

#[test]
fn other_clouds_name_the_version_in_the_body() {
    let attempt = attempt("claude-opus-4-6");
    let ask = Ask {
        task: Task::Stream,
        model: "claude-opus-4-6",
        deployment: attempt.call.live.deployment(attempt.deployment),
        params: Params::default(),
    };
    let chat = Request {
        rest: [("betas".to_owned(), json!(["b-1"]))].into_iter().collect(),
        ..hi()
    };
    let vertex = write_for_vertex(&ask, &chat).unwrap();
    assert_eq!(vertex.headers[0].1, "b-1");
    let vertex = json_of(&vertex);
    assert_eq!(vertex["anthropic_version"], "vertex-2023-10-16");
    assert_eq!(vertex["stream"], true);
    assert!(vertex.get("model").is_none());
    let bedrock = write(&ask, &chat, Host::Bedrock).unwrap();
    assert!(bedrock.headers.is_empty());
    let bedrock = json_of(&bedrock);
    assert_eq!(bedrock["anthropic_version"], "bedrock-2023-05-31");
    assert_eq!(bedrock["anthropic_beta"], json!(["b-1"]));
    assert!(bedrock.get("stream").is_none() && bedrock.get("model").is_none());
    let count = Ask {
        task: Task::CountTokens,
        ..ask
    };
    let counted = json_of(&Anthropic.write_chat(&count, &hi()).unwrap());
    assert_eq!(
        counted.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["model", "messages"]
    );
}

#[test]
fn a_whole_message_is_read_with_all_that_is_in_it() {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": "Grün", "citations": [
                {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "c"},
                {"type": "char_location", "document_index": 0}]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.0}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}],
        "stop_reason": "tool_use", "stop_sequence": null, "container": {"id": "c"},
        "usage": {"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 4, "server_tool_use": {"web_search_requests": 1}}});
    let answer = read(Task::Chat, body.to_string().as_bytes()).unwrap();
    let usage = answer.usage.unwrap();
    assert_eq!(
        (usage.prompt, usage.completion, usage.cache_read),
        (19, 7, 5)
    );
    assert_eq!((usage.cache_write, usage.searches), (4, 1));
    assert_eq!(answer.rest["container"], json!({"id": "c"}));
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    assert_eq!(choice.rest["citations"][0][1]["supported_text"], "Grün");
    let [
        Part::Thinking(thought),
        Part::Thinking(redacted),
        Part::Text(text),
        Part::Call(call),
        Part::Other { value, .. },
    ] = &choice.parts[..]
    else {
        panic!("{:?}", choice.parts)
    };
    assert_eq!(thought.signature.as_deref(), Some("sig"));
    assert_eq!(redacted.redacted.as_deref(), Some("xyz"));
    assert_eq!(text.annotations.len(), 1);
    assert_eq!(text.annotations[0]["url_citation"]["end_index"], 4);
    assert_eq!(
        (call.id.as_str(), call.arguments.as_str()),
        ("toolu_1", "{\"a\":1.0}")
    );
    assert_eq!(value["type"], "web_search_tool_result");
}

#[test]
fn what_the_tool_of_the_form_is_called_with_is_the_answer() {
    let body = br#"{"content":[{"type":"tool_use","id":"t","name":"json_tool_call","input":{"a":1}}],"stop_reason":"tool_use"}"#;
    let answer = read(Task::Chat, body).unwrap();
    assert_eq!(answer.choices[0].parts, [Part::text("{\"a\":1}")]);
    assert_eq!(answer.choices[0].finish, Some(Finish::Stop));
}

#[test]
fn every_stop_reason_is_known() {
    for (word, expected) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::StopSequence),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("tool_use", Finish::ToolCalls),
        ("pause_turn", Finish::Pause),
        ("refusal", Finish::Refusal),
        ("compaction", Finish::Other("compaction".into())),
    ] {
        let body = json!({"content": [], "stop_reason": word});
        let answer = read(Task::Chat, body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.choices[0].finish, Some(expected));
    }
}

#[test]
fn errors_tell_what_kind_they_are() {
    let told = |kind: &str, message: &str| {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        Anthropic.told(StatusCode::BAD_REQUEST, body.to_string().as_bytes())
    };
    let long = told(
        "invalid_request_error",
        "prompt is too long: 210000 tokens > 200000 maximum",
    );
    assert_eq!(long.kind, Some(Refusal::ContextWindow));
    assert_eq!(long.code.as_deref(), Some("invalid_request_error"));
    let both = "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000";
    assert_eq!(
        told("invalid_request_error", both).kind,
        Some(Refusal::ContextWindow)
    );
    let policy = "Output blocked by content filtering policy";
    assert_eq!(
        told("invalid_request_error", policy).kind,
        Some(Refusal::ContentPolicy)
    );
    assert_eq!(
        told("invalid_request_error", "max_tokens: required").kind,
        None
    );
    assert_eq!(
        Anthropic.told(StatusCode::BAD_GATEWAY, b"<html>"),
        Told::default()
    );
}

#[test]
fn nonsense_is_no_message() {
    for body in ["", "[]", "{}", "{\"type\":\"error\"}", "{\"content\":{}}"] {
        assert!(read(Task::Chat, body.as_bytes()).is_err(), "{body}");
    }
}
