use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::call::chat::{
    Choice, Delta, Effort, Event, Finish, Format, Function, Media, Message, Part, Reasoning,
    Request, Role, Source, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::call::vectors::{EmbedInput, Encoding, Vector};
use crate::upstream::example::{decoded, written};
use crate::upstream::protocol::{Broken, Params};

const MODEL: &str = "cohere/command-a-03-2025";

fn chat(request: &Request) -> Result<Value, Unfit> {
    written(MODEL, Task::Chat, Params::default(), |ask| {
        Cohere.write_chat(ask, request)
    })
}

fn said(parts: Vec<Part>, role: Role) -> Request {
    Request {
        messages: vec![Message {
            role,
            parts,
            name: None,
        }],
        ..Request::default()
    }
}

fn result(parts: Vec<Part>) -> Part {
    Part::Result(ToolResult {
        id: "c1".into(),
        parts,
        ..ToolResult::default()
    })
}

fn function(name: &str, strict: Option<bool>) -> Tool {
    Tool::Function(Function {
        name: name.into(),
        description: Some("d".into()),
        strict,
        ..Function::default()
    })
}

#[test]
fn a_conversation_with_calls_is_written_as_cohere_knows_it() {
    let call = Part::Call(ToolCall {
        id: "c1".into(),
        name: "f".into(),
        arguments: r#"{"x":1}"#.into(),
        ..ToolCall::default()
    });
    let plan = Part::Thinking(Thinking {
        text: "I will ask.".into(),
        ..Thinking::default()
    });
    let request = Request {
        messages: vec![
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Hi"),
            Message {
                role: Role::Assistant,
                parts: vec![plan.clone(), call],
                name: None,
            },
            Message {
                role: Role::Tool,
                parts: vec![result(vec![
                    Part::text("21"),
                    Part::Document(Media {
                        source: Source::Text("of the sea".into()),
                        name: Some("Atlas".into()),
                        ..Media::default()
                    }),
                ])],
                name: None,
            },
            Message {
                role: Role::Assistant,
                parts: vec![plan, Part::text("21")],
                name: None,
            },
        ],
        ..Request::default()
    };
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_plan": "I will ask.", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": [
            {"type": "text", "text": "21"},
            {"type": "document", "document": {"data": {"text": "of the sea", "title": "Atlas"}}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "I will ask."},
            {"type": "text", "text": "21"},
        ]},
    ]);
    let body = chat(&request).unwrap();
    assert_eq!(body["messages"], expected);
    assert_eq!(body["model"], "command-a-03-2025");
    assert_eq!(body["stream"], false);
}

#[test]
fn images_and_documents_go_where_cohere_looks_for_them() {
    let media = |source, name: Option<&str>| Media {
        source,
        name: name.map(str::to_owned),
        mime: Some("image/png".into()),
        detail: Some("low".into()),
        cache: None,
    };
    let mut request = said(
        vec![
            Part::text("What is it?"),
            Part::Image(media(Source::Base64("AAAA".into()), None)),
            Part::Document(media(Source::Text("words".into()), Some("A"))),
        ],
        Role::User,
    );
    request.rest =
        json!({"documents": ["one"], "safety_mode": "OFF", "citation_options": {"mode": "FAST"}})
            .as_object()
            .unwrap()
            .clone();
    let body = chat(&request).unwrap();
    assert_eq!(
        body["messages"][0]["content"][1],
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}})
    );
    assert_eq!(
        body["documents"],
        json!(["one", {"data": {"text": "words", "title": "A"}}])
    );
    assert_eq!(body["safety_mode"], "OFF");
    assert_eq!(body["citation_options"]["mode"], "FAST");
}

#[test]
fn what_cohere_cannot_take_is_refused_by_name() {
    let pdf = Media {
        source: Source::Base64("JVBE".into()),
        ..Media::default()
    };
    for (part, role) in [
        (Part::Document(pdf.clone()), Role::User),
        (Part::Audio(pdf.clone()), Role::User),
        (Part::Image(pdf.clone()), Role::Assistant),
        (result(vec![Part::Image(pdf)]), Role::Tool),
    ] {
        let unfit = chat(&said(vec![part], role)).unwrap_err();
        assert_eq!(unfit.param.as_deref(), Some("messages"));
        assert!(!unfit.droppable);
    }
    let many = Request {
        n: Some(2),
        ..Request::default()
    };
    let unfit = chat(&many).unwrap_err();
    assert_eq!((unfit.param.as_deref(), unfit.droppable), (Some("n"), true));
    let drop = Params {
        drop: true,
        ..Params::default()
    };
    let body = written(MODEL, Task::Chat, drop, |ask| Cohere.write_chat(ask, &many)).unwrap();
    assert!(body.get("n").is_none());
}

#[test]
fn parameters_go_by_coheres_names() {
    let request = Request {
        max_tokens: Some(9),
        temperature: Some(1.into()),
        top_p: serde_json::Number::from_f64(0.5),
        top_k: Some(3),
        seed: Some(7),
        stop: vec!["X".into()],
        logprobs: Some(true),
        format: Some(Format::Schema {
            name: "n".into(),
            description: None,
            schema: json!({"type": "object"}),
            strict: None,
        }),
        reasoning: Some(Reasoning {
            effort: Some(Effort::Low),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    let expected = json!({
        "model": "command-a-03-2025", "messages": [], "stream": false,
        "max_tokens": 9, "temperature": 1, "p": 0.5, "k": 3, "seed": 7,
        "stop_sequences": ["X"], "logprobs": true,
        "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
        "thinking": {"type": "enabled", "token_budget": 1024},
    });
    assert_eq!(chat(&request), Ok(expected));
    let off = Request {
        reasoning: Some(Reasoning {
            budget: Some(0),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    assert_eq!(chat(&off).unwrap()["thinking"], json!({"type": "disabled"}));
}

#[test]
fn a_choice_of_one_function_leaves_only_that_one() {
    let mut request = Request {
        tools: vec![function("f", Some(true)), function("g", Some(true))],
        tool_choice: Some(ToolChoice::Function("g".into())),
        ..Request::default()
    };
    let body = chat(&request).unwrap();
    assert_eq!(body["tool_choice"], "REQUIRED");
    assert_eq!(body["strict_tools"], true);
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["function"]["name"], "g");
    request.tool_choice = Some(ToolChoice::None);
    request.tools.push(function("h", None));
    let body = chat(&request).unwrap();
    assert_eq!(body["tool_choice"], "NONE");
    assert!(body.get("strict_tools").is_none());
}

const WHOLE: &str = r#"{"id":"a1","finish_reason":"COMPLETE","message":{"role":"assistant",
    "content":[{"type":"thinking","thinking":"Hm."},{"type":"text","text":"It is blue."}],
    "citations":[{"start":6,"end":10,"text":"blue","type":"TEXT_CONTENT","content_index":1,
        "sources":[{"type":"document","id":"doc:0","document":{"title":"Sky","url":"https://sky.example"}}]}]},
    "usage":{"billed_units":{"input_tokens":5,"output_tokens":3},"tokens":{"input_tokens":70,"output_tokens":9},
        "cached_tokens":2}}"#;

#[test]
fn a_whole_answer_is_read_with_its_citations() {
    let answer = response::read(WHOLE.as_bytes()).unwrap();
    let Choice {
        parts,
        finish,
        rest,
        ..
    } = &answer.choices[0];
    assert_eq!(answer.id.as_deref(), Some("a1"));
    assert_eq!(finish, &Some(Finish::Stop));
    assert_eq!(
        parts[1],
        Part::Text(Text {
            text: "It is blue.".into(),
            annotations: vec![json!({"type": "url_citation", "url_citation": {
                "start_index": 6, "end_index": 10, "url": "https://sky.example", "title": "Sky",
            }})],
            ..Text::default()
        })
    );
    assert!(matches!(&parts[0], Part::Thinking(thought) if thought.text == "Hm."));
    assert_eq!(rest["citations"][0]["text"], "blue");
    let usage = answer.usage.unwrap();
    assert_eq!(
        (usage.prompt, usage.completion, usage.cache_read),
        (5, 3, 2)
    );
}

#[test]
fn an_answer_that_broke_off_is_no_answer() {
    let broken = WHOLE.replace("COMPLETE", "ERROR");
    assert!(response::read(broken.as_bytes()).is_err());
    assert!(response::read(b"[]").is_err());
    assert!(response::read(b"<html>").is_err());
}

const STREAM: &str = concat!(
    "event: message-start\ndata: {\"id\":\"s1\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}}}\n\n",
    "event: tool-plan-delta\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"I ask.\"}}}\n\n",
    "event: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}}}}\n\n",
    "event: tool-call-delta\ndata: {\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"{\\\"x\\\":\"}}}}}\n\n",
    "event: tool-call-delta\ndata: {\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"1}\"}}}}}\n\n",
    "event: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":0}\n\n",
    "event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n",
    "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"Blä\"}}},\"logprobs\":{\"text\":\"Blä\",\"token_ids\":[1,2],\"logprobs\":[-0.5,-0.25]}}\n\n",
    "event: citation-start\ndata: {\"type\":\"citation-start\",\"index\":0,\"delta\":{\"message\":{\"citations\":{\"start\":0,\"end\":3,\"text\":\"Blä\",\"sources\":[{\"type\":\"tool\",\"id\":\"f:0\",\"tool_output\":{}}]}}}}\n\n",
    "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n",
    "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{\"tokens\":{\"input_tokens\":7,\"output_tokens\":2}}}}\n\n",
    "data: [DONE]\n\n",
);

fn decode(stream: &str, at: usize) -> (Vec<Event>, Result<(), Broken>) {
    decoded(Box::new(stream::Events::default()), stream, at)
}

#[test]
fn a_stream_says_the_same_wherever_it_is_cut() {
    let citation = json!({"start": 0, "end": 3, "text": "Blä",
        "sources": [{"type": "tool", "id": "f:0", "tool_output": {}}]});
    let deltas = vec![
        Delta::Thinking("I ask.".into()),
        Delta::Call {
            index: 0,
            id: "c1".into(),
            name: "f".into(),
            signature: None,
        },
        Delta::Arguments {
            index: 0,
            text: "{\"x\":".into(),
        },
        Delta::Arguments {
            index: 0,
            text: "1}".into(),
        },
        Delta::Text("Blä".into()),
        Delta::Logprobs(json!({"content": [{"token": "Blä", "logprob": -0.75,
            "bytes": "Blä".as_bytes(), "top_logprobs": []}]})),
        Delta::Annotation(json!({"type": "url_citation", "url_citation": {
            "start_index": 0, "end_index": 3, "url": "f:0", "title": "Blä"}})),
        Delta::Rest(
            json!({"citations": [citation]})
                .as_object()
                .unwrap()
                .clone(),
        ),
    ];
    let mut expected = vec![Event::Start {
        id: Some("s1".into()),
        model: None,
        usage: None,
    }];
    expected.extend(
        deltas
            .into_iter()
            .map(|delta| Event::Delta { choice: 0, delta }),
    );
    expected.extend([
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
            stop_sequence: None,
        },
        Event::Usage(Usage {
            prompt: 7,
            completion: 2,
            ..Usage::default()
        }),
    ]);
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
    let cut = &STREAM[..STREAM.find("event: message-end").unwrap()];
    assert_eq!(decode(cut, 0).1, Err(Broken::Cut));
    let failed = STREAM.replace("TOOL_CALL", "ERROR");
    assert!(matches!(decode(&failed, 0).1, Err(Broken::Told(_))));
    let told = "data: {\"message\":\"too many tokens: 9 > 8\"}\n\n";
    let Err(Broken::Told(told)) = decode(told, 0).1 else {
        panic!("an error within a stream");
    };
    assert_eq!(told.kind, Some(Refusal::ContextWindow));
    assert!(matches!(
        decode("data: {\n\n", 0).1,
        Err(Broken::Malformed(_))
    ));
    let early = "data: {\"type\":\"tool-call-delta\",\"delta\":{}}\n\n";
    assert!(matches!(decode(early, 0).1, Err(Broken::Malformed(_))));
}

#[test]
fn embeddings_go_with_a_purpose_and_come_with_every_digit() {
    let mut request = EmbedRequest {
        inputs: vec![EmbedInput::Text("a".into())],
        dimensions: Some(256),
        ..EmbedRequest::default()
    };
    let write = |request: &EmbedRequest| {
        written(MODEL, Task::Embed, Params::default(), |ask| {
            Cohere.write_embed(ask, request)
        })
    };
    assert_eq!(
        write(&request),
        Ok(
            json!({"model": "command-a-03-2025", "texts": ["a"], "input_type": "search_document",
            "embedding_types": ["float"], "output_dimension": 256})
        )
    );
    request.purpose = Some("query".into());
    request.encoding = Encoding::Base64;
    request.inputs.push(EmbedInput::Image("data:x".into()));
    let body = write(&request).unwrap();
    assert_eq!(body["input_type"], "search_query");
    assert_eq!(body["embedding_types"], json!(["base64"]));
    assert_eq!(
        body["inputs"][1]["content"][0]["image_url"]["url"],
        "data:x"
    );
    request.inputs.push(EmbedInput::Tokens(vec![1]));
    assert!(write(&request).is_err());

    let answer = br#"{"id":"e","embeddings":{"float":[[0.10,-2],[3,4]]},"texts":["a"],
        "meta":{"billed_units":{"input_tokens":3.0}}}"#;
    let read = vectors::read_embed(answer, 2).unwrap();
    assert_eq!(read.vectors[0], Vector::Json("[0.10,-2]".into()));
    assert_eq!(read.usage.unwrap().prompt, 3);
    assert!(vectors::read_embed(answer, 1).is_err());
}

#[test]
fn a_ranking_bills_searches() {
    let request = RerankRequest {
        query: "q".into(),
        documents: vec![
            json!("plain"),
            json!({"text": "words"}),
            json!({"text": "words", "title": "T"}),
        ],
        top_n: Some(2),
        ..RerankRequest::default()
    };
    let body = written(
        "cohere/rerank-v3.5",
        Task::Rerank,
        Params::default(),
        |ask| Cohere.write_rerank(ask, &request),
    );
    assert_eq!(
        body,
        Ok(json!({"model": "rerank-v3.5", "query": "q", "top_n": 2,
            "documents": ["plain", "words", "text: words\ntitle: T\n"]}))
    );
    let answer = br#"{"id":"r","results":[{"index":2,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],
        "meta":{"billed_units":{"search_units":1}}}"#;
    let read = vectors::read_rerank(answer).unwrap();
    assert_eq!(read.searches, Some(1));
    assert_eq!(read.results[0].index, 2);
}

#[test]
fn errors_are_told_in_coheres_words() {
    let body = br#"{"id":"x","message":"invalid api token"}"#;
    let told = Cohere.told(StatusCode::from_u16(498).unwrap(), body);
    assert_eq!(told.message.as_deref(), Some("invalid api token"));
    assert_eq!(told.status, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(
        Cohere.told(StatusCode::BAD_GATEWAY, b"<html>"),
        Told::default()
    );
}

#[test]
fn bytes_that_are_no_events_do_not_pile_up() {
    let mut events = Vec::new();
    let mut decoder = stream::Events::default();
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let broke = (0..20).find_map(|_| decoder.push(chunk.clone(), &mut events).err());
    assert_eq!(broke, Some(Broken::TooLong));
}
