use serde_json::json;

use super::*;
use crate::call::Usage;
use crate::call::chat::{
    Delta, Effort, Event, Finish, Format, Function, Media, Message, Part, Reasoning, Request, Role,
    Source, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::call::vectors::{EmbedInput, Vector};
use crate::upstream::example::{decoded, written};
use crate::upstream::protocol::{Broken, Params};

const MODEL: &str = "ollama_chat/llama3.2";

fn chat(model: &str, request: &Request) -> Result<Value, Unfit> {
    written(model, Task::Stream, Params::default(), |ask| {
        Ollama.write_chat(ask, request)
    })
}

fn turn(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

fn call(arguments: &str) -> Part {
    Part::Call(ToolCall {
        id: "c1".into(),
        name: "f".into(),
        arguments: arguments.into(),
        ..ToolCall::default()
    })
}

#[test]
fn a_conversation_is_written_as_ollama_knows_it() {
    let image = Part::Image(Media {
        source: Source::Base64("AAAA".into()),
        ..Media::default()
    });
    let thought = Part::Thinking(Thinking {
        text: "Hm.".into(),
        ..Thinking::default()
    });
    let result = Part::Result(ToolResult {
        id: "c1".into(),
        parts: vec![Part::text("21")],
        ..ToolResult::default()
    });
    let request = Request {
        messages: vec![
            turn(Role::System, vec![Part::text("Be brief.")]),
            turn(Role::User, vec![Part::text("A"), Part::text("B"), image]),
            turn(Role::Assistant, vec![thought, call(r#"{"x":1}"#)]),
            turn(Role::Tool, vec![result]),
        ],
        tools: vec![Tool::Function(Function {
            name: "f".into(),
            parameters: Some(json!({"type": "object"}).into()),
            ..Function::default()
        })],
        ..Request::default()
    };
    assert_eq!(
        chat(MODEL, &request),
        Ok(json!({"model": "llama3.2", "stream": true, "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A\nB", "images": ["AAAA"]},
            {"role": "assistant", "content": "", "thinking": "Hm.",
                "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "content": "21", "tool_name": "f"},
        ], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}))
    );
}

#[test]
fn parameters_are_options_and_what_the_caller_adds_is_too() {
    let request = Request {
        max_tokens: Some(9),
        temperature: Some(0.into()),
        top_k: Some(3),
        seed: Some(7),
        stop: vec!["X".into()],
        format: Some(Format::Object),
        logprobs: Some(true),
        rest: json!({"num_ctx": 4096, "repeat_penalty": 1.5, "keep_alive": "5m",
            "options": {"min_p": 0.1}})
        .as_object()
        .unwrap()
        .clone(),
        ..Request::default()
    };
    assert_eq!(
        chat(MODEL, &request),
        Ok(json!({"model": "llama3.2", "messages": [], "stream": true,
            "format": "json", "logprobs": true, "keep_alive": "5m",
            "options": {"num_predict": 9, "temperature": 0, "top_k": 3, "seed": 7, "stop": ["X"],
                "num_ctx": 4096, "repeat_penalty": 1.5, "min_p": 0.1}}))
    );
}

#[test]
fn only_gpt_oss_is_told_how_long_to_think() {
    let effort = |effort| Request {
        reasoning: Some(Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    for (model, wanted, think) in [
        ("ollama/gpt-oss:20b", Effort::High, json!("high")),
        ("ollama/gpt-oss:20b", Effort::Minimal, json!("low")),
        ("ollama/qwen3", Effort::High, json!(true)),
        ("ollama/qwen3", Effort::None, json!(false)),
    ] {
        assert_eq!(chat(model, &effort(wanted)).unwrap()["think"], think);
    }
    let budget = Request {
        reasoning: Some(Reasoning {
            budget: Some(0),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    assert_eq!(chat(MODEL, &budget).unwrap()["think"], false);
}

#[test]
fn what_ollama_cannot_take_is_refused_by_name() {
    let at = |source| Media {
        source,
        ..Media::default()
    };
    for part in [
        Part::Image(at(Source::Url("https://x.example/a.png".into()))),
        Part::Document(at(Source::Base64("JVBE".into()))),
        Part::Audio(at(Source::Base64("UklG".into()))),
    ] {
        let request = Request {
            messages: vec![turn(Role::User, vec![part])],
            ..Request::default()
        };
        let unfit = chat(MODEL, &request).unwrap_err();
        assert_eq!(unfit.param.as_deref(), Some("messages"));
    }
    let mut request = Request {
        messages: vec![turn(Role::Assistant, vec![call("[1]")])],
        ..Request::default()
    };
    assert!(chat(MODEL, &request).is_err());
    request.messages.clear();
    request.tools = vec![Tool::Function(Function::default())];
    request.tool_choice = Some(ToolChoice::Required);
    let unfit = chat(MODEL, &request).unwrap_err();
    assert_eq!(unfit.param.as_deref(), Some("tool_choice"));
    request.tool_choice = Some(ToolChoice::None);
    assert!(chat(MODEL, &request).unwrap().get("tools").is_none());
}

const STREAM: &str = concat!(
    "{\"model\":\"llama3.2\",\"created_at\":\"t0\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"Hm.\"},\"done\":false}\n",
    "{\"model\":\"llama3.2\",\"created_at\":\"t1\",\"message\":{\"role\":\"assistant\",\"content\":\"Blä\"},\"done\":false}\n",
    "{\"model\":\"llama3.2\",\"created_at\":\"t2\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c9\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]},\"done\":false}\n",
    "{\"model\":\"llama3.2\",\"created_at\":\"t3\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done_reason\":\"stop\",\"done\":true,\"prompt_eval_count\":26,\"eval_count\":8}\n",
);

fn decode(stream: &str, at: usize) -> (Vec<Event>, Result<(), Broken>) {
    decoded(Box::new(stream::Pieces::default()), stream, at)
}

#[test]
fn a_stream_says_the_same_wherever_it_is_cut() {
    let say = |delta| Event::Delta { choice: 0, delta };
    let expected = vec![
        Event::Start {
            id: None,
            model: Some("llama3.2".into()),
            usage: None,
        },
        say(Delta::Thinking("Hm.".into())),
        say(Delta::Text("Blä".into())),
        say(Delta::Call {
            index: 0,
            id: "c9".into(),
            name: "f".into(),
            signature: None,
        }),
        say(Delta::Arguments {
            index: 0,
            text: "{\"x\":1}".into(),
        }),
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
            stop_sequence: None,
        },
        Event::Usage(Usage {
            prompt: 26,
            completion: 8,
            ..Usage::default()
        }),
    ];
    for at in 0..=STREAM.len() {
        assert_eq!(
            decode(STREAM, at),
            (expected.clone(), Ok(())),
            "cut at {at}"
        );
    }
}

#[test]
fn a_stream_that_breaks_says_how() {
    let last = STREAM.rfind("{\"model\"").unwrap();
    assert_eq!(decode(&STREAM[..last], 0).1, Err(Broken::Cut));
    assert_eq!(decode(&STREAM[..last + 20], 0).1, Err(Broken::Cut));
    assert!(matches!(decode("{\n", 0).1, Err(Broken::Malformed(_))));
    let Err(Broken::Told(told)) = decode("{\"error\":\"model runner stopped\"}\n", 0).1 else {
        panic!("an error within a stream");
    };
    assert_eq!(told.message.as_deref(), Some("model runner stopped"));
}

#[test]
fn calls_without_ids_get_ids_that_differ() {
    let answer = |when: &str| {
        let body = json!({"model": "m", "created_at": when, "done": true, "done_reason": "stop",
            "message": {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "f", "arguments": {}}},
                {"function": {"name": "f", "arguments": {}}}]}});
        let answer = response::read(body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.choices[0].finish, Some(Finish::ToolCalls));
        let calls = answer.choices[0]
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Call(call) => Some(call.id.clone()),
                _ => None,
            });
        calls.collect::<Vec<_>>()
    };
    let mut ids = answer("t1");
    ids.extend(answer("t2"));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_whole_answer_is_read() {
    let body = br#"{"model":"m","message":{"role":"assistant","content":"Hi","thinking":"Hm."},
        "done":true,"done_reason":"length","prompt_eval_count":3,"eval_count":2,
        "logprobs":[{"token":"Hi","logprob":-0.5}]}"#;
    let answer = response::read(body).unwrap();
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(Finish::Length));
    assert_eq!(choice.parts[1], Part::text("Hi"));
    assert_eq!(answer.usage.unwrap().total(), 5);
    assert_eq!(
        choice.logprobs,
        Some(
            json!({"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105],
            "top_logprobs": []}]})
        )
    );
    assert!(response::read(b"{}").is_err());
}

#[test]
fn embeddings_are_of_words() {
    let mut request = EmbedRequest {
        inputs: vec![EmbedInput::Text("a".into())],
        dimensions: Some(2),
        rest: json!({"truncate": false, "num_ctx": 9})
            .as_object()
            .unwrap()
            .clone(),
        ..EmbedRequest::default()
    };
    let write = |request: &EmbedRequest| {
        written(MODEL, Task::Embed, Params::default(), |ask| {
            Ollama.write_embed(ask, request)
        })
    };
    assert_eq!(
        write(&request),
        Ok(
            json!({"model": "llama3.2", "input": ["a"], "dimensions": 2, "truncate": false,
            "options": {"num_ctx": 9}})
        )
    );
    request.inputs.push(EmbedInput::Tokens(vec![1]));
    assert!(write(&request).is_err());
    let answer = br#"{"model":"m","embeddings":[[0.10,2]],"prompt_eval_count":4}"#;
    let read = embed::read(answer, 1).unwrap();
    assert_eq!(read.vectors, [Vector::Json("[0.10,2]".into())]);
    assert_eq!(read.usage.unwrap().prompt, 4);
    assert!(embed::read(b"{}", 1).is_err());
    assert!(embed::read(answer, 2).is_err());
}

#[test]
fn errors_are_told_in_ollamas_words() {
    let told = Ollama.told(StatusCode::NOT_FOUND, br#"{"error":"model 'x' not found"}"#);
    assert_eq!(told.message.as_deref(), Some("model 'x' not found"));
    let long = br#"{"error":"the input length exceeds the context length"}"#;
    let told = Ollama.told(StatusCode::BAD_REQUEST, long);
    assert_eq!(told.kind, Some(Refusal::ContextWindow));
}
