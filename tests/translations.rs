//! Translations lose nothing that the target can say, and no provider's stream, however broken and
//! however cut, does more than fail.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::sync::Arc;

use bytes::Bytes;
use pointsman::call::chat::{
    Event, Format, Function, Media, Message, Part, Reasoning, Request, Role, Source, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use pointsman::dialect;
use pointsman::error::Failure;
use pointsman::live::Live;
use pointsman::upstream::anthropic::Anthropic;
use pointsman::upstream::bedrock;
use pointsman::upstream::cohere::Cohere;
use pointsman::upstream::gemini::Flavour;
use pointsman::upstream::ollama::Ollama;
use pointsman::upstream::openai::chat::OpenAi;
use pointsman::upstream::protocol::{Ask, Broken, Decoder, Params, Protocol, Task};
use pointsman_routes::table::DeploymentId;
use pointsman_routes::{Table, load};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

fn live(model: &str) -> Arc<Live> {
    let config = format!(
        "model_list: [{{model_name: m, litellm_params: {{model: {model}, api_key: \
         os.environ/KEY}}}}]"
    );
    let loaded = load("test.yaml", &config).loaded.unwrap();
    let env = |name: &str| (name == "KEY").then(|| "sk-test".to_owned());
    let table = Table::loaded(loaded.routes);
    Arc::new(Live::bind(table, &loaded.literals, &env, "test.yaml".to_owned()).unwrap())
}

fn asking<T>(model: &str, task: Task, then: impl FnOnce(&Ask<'_>) -> T) -> T {
    let live = live(model);
    let deployment = live.deployment(DeploymentId(0));
    then(&Ask {
        task,
        model: &deployment.model,
        deployment,
        params: Params::default(),
    })
}

// Conversations that every dialect can express.

fn words() -> impl Strategy<Value = String> {
    "[a-zäß\"\\\\\u{1f40e}\n]{1,12}[a-z]"
}

fn user() -> impl Strategy<Value = Message> {
    let image = any::<bool>();
    (words(), image).prop_map(|(text, image)| {
        let mut parts = vec![Part::text(text)];
        if image {
            parts.push(Part::Image(Media {
                source: Source::Base64("iVBORw0KGgo=".to_owned()),
                mime: Some("image/png".to_owned()),
                ..Media::default()
            }));
        }
        Message {
            role: Role::User,
            parts,
            name: None,
        }
    })
}

/// The model's turn, and the results of what it calls.
fn assistant() -> impl Strategy<Value = Vec<Message>> {
    let argument = (words(), any::<i32>(), words());
    (option::of(words()), vec((argument, words()), 0..3)).prop_map(|(text, calls)| {
        let mut parts: Vec<_> = text.into_iter().map(Part::text).collect();
        let mut results = Vec::new();
        for (at, ((text, number, other), result)) in calls.into_iter().enumerate() {
            let name = format!("f{at}");
            parts.push(Part::Call(ToolCall {
                id: format!("call_{at}"),
                name: name.clone(),
                arguments: json!({"z": text, "a": number, "m": {"y": [other], "b": null}})
                    .to_string(),
                ..ToolCall::default()
            }));
            results.push(Part::Result(ToolResult {
                id: format!("call_{at}"),
                name: None,
                parts: vec![Part::text(result)],
                error: false,
                cache: None,
            }));
        }
        if parts.is_empty() {
            parts.push(Part::text("fine"));
        }
        let mut said = vec![Message {
            role: Role::Assistant,
            parts,
            name: None,
        }];
        if !results.is_empty() {
            said.push(Message {
                role: Role::Tool,
                parts: results,
                name: None,
            });
        }
        said
    })
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str| {
        Tool::Function(Function {
            name: name.to_owned(),
            description: Some(format!("Does {name}.")),
            // In an order that is not the alphabet's.
            parameters: Some(
                json!({"type": "object", "required": ["z", "a"], "properties": {
                "z": {"type": "string", "description": "why"},
                "a": {"type": "integer"},
                "m": {"type": "object", "properties": {"y": {"type": "array",
                    "items": {"type": "string"}}, "b": {"type": "string"}}}}})
                .into(),
            ),
            ..Function::default()
        })
    };
    vec![tool("f1"), tool("f0"), tool("f2")]
}

fn tool_choice() -> impl Strategy<Value = Option<ToolChoice>> {
    prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Required)),
        Just(Some(ToolChoice::Function("f1".to_owned()))),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let turns = vec((user(), assistant()), 0..4);
    let sampling = (option::of(0_u8..=10), 1_u64..4096, vec("[a-z]{1,4}", 0..3));
    (option::of(words()), turns, user(), tool_choice(), sampling).prop_map(
        |(system, turns, last, tool_choice, (temperature, max_tokens, stop))| {
            let system = system.map(|text| Message::text(Role::System, text));
            let turns = turns
                .into_iter()
                .flat_map(|(user, rest)| [vec![user], rest].concat());
            let temperature = temperature.map(|tenths| f64::from(tenths) / 10.0);
            Request {
                messages: system.into_iter().chain(turns).chain([last]).collect(),
                tools: tools(),
                tool_choice,
                max_tokens: Some(max_tokens),
                temperature: temperature.and_then(serde_json::Number::from_f64),
                stop,
                ..Request::default()
            }
        },
    )
}

/// What Gemini's dialect has beside: more kinds of media, failed calls, and more to choose by.
fn geminis_request() -> impl Strategy<Value = Request> {
    let part = prop_oneof![
        words().prop_map(Part::text),
        Just(inline("audio/wav", Part::Audio)),
        Just(inline("video/mp4", Part::Video)),
        Just(inline("application/pdf", Part::Document)),
    ];
    let sampling = (option::of(1_u64..100), option::of(any::<i32>()), 2_u64..5);
    let format = prop_oneof![
        Just(None),
        Just(Some(Format::Object)),
        Just(Some(Format::Schema {
            name: "response".to_owned(),
            description: None,
            schema: json!({"type": "object", "required": ["z"], "properties": {
                "z": {"type": "string", "enum": ["x", "w"]},
                "a": {"type": "array", "items": {"type": "number"}, "minItems": 2}}}),
            strict: None,
        })),
    ];
    let thinking = (0_u64..2048, option::of(any::<bool>()));
    let more = (vec(part, 1..3), sampling, format, option::of(thinking));
    (request(), any::<bool>(), more).prop_map(
        |(mut request, failed, (parts, (top_k, seed, n), format, thinking))| {
            let results = request.messages.iter_mut().flat_map(|message| {
                message.parts.iter_mut().filter_map(|part| match part {
                    Part::Result(result) => Some(result),
                    _ => None,
                })
            });
            results.for_each(|result| result.error = failed);
            request.messages.push(Message {
                role: Role::User,
                parts,
                name: None,
            });
            request.top_k = top_k;
            request.seed = seed.map(i64::from);
            request.n = Some(n);
            request.format = format;
            request.reasoning = thinking.map(|(budget, shown)| Reasoning {
                budget: Some(budget),
                // Without a word, thought is shown if there is any.
                shown: Some(shown.unwrap_or(true) && budget > 0),
                ..Reasoning::default()
            });
            request
        },
    )
}

fn inline(mime: &str, kind: fn(Media) -> Part) -> Part {
    kind(Media {
        source: Source::Base64("+/8=".to_owned()),
        mime: Some(mime.to_owned()),
        ..Media::default()
    })
}

/// What a request says, whatever the dialect's way to lay it out: results of one turn stand together,
/// and arguments are what they mean, in their order.
fn meaning(request: &Request) -> (Vec<Message>, String, Request) {
    let mut messages: Vec<Message> = Vec::new();
    for message in &request.messages {
        let mut message = message.clone();
        // Some have no role for results: they stand in the user's turn.
        if message.role == Role::Tool {
            message.role = Role::User;
        }
        for part in &mut message.parts {
            match part {
                Part::Call(call) => {
                    let value: Value = serde_json::from_str(&call.arguments).unwrap();
                    call.arguments = value.to_string();
                }
                Part::Result(result) => result.name = None,
                _ => {}
            }
        }
        match messages.last_mut() {
            Some(last) if last.role == message.role => last.parts.append(&mut message.parts),
            _ => messages.push(message),
        }
    }
    // Equal maps may differ in order, and texts may not.
    let schemas = request.tools.iter().map(|tool| match tool {
        Tool::Function(function) => function.parameters.as_ref().unwrap().read().to_string(),
        Tool::Builtin { .. } => panic!("nobody asked for one"),
    });
    let rest = Request {
        messages: Vec::new(),
        ..request.clone()
    };
    (messages, schemas.collect(), rest)
}

/// Says the request in a protocol, and reads that as whoever speaks the dialect.
fn around(
    model: &str,
    protocol: &dyn Protocol,
    read: fn(&[u8]) -> Result<Request, Failure>,
    request: &Request,
) -> Request {
    let written = asking(model, Task::Chat, |ask| protocol.write_chat(ask, request));
    read(&written.unwrap().body).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn openais_dialect_keeps_all_of_a_conversation(request in request()) {
        let read = around("openai/gpt-4o", &OpenAi, dialect::read_defaults, &request);
        prop_assert_eq!(meaning(&read), meaning(&request));
    }

    #[test]
    fn anthropics_dialect_keeps_all_of_a_conversation(request in request()) {
        let model = "anthropic/claude-3-haiku-20240307";
        let mut read = around(model, &Anthropic, dialect::anthropic::request, &request);
        // Its name of the model is the provider's.
        read.rest.clear();
        prop_assert_eq!(meaning(&read), meaning(&request));
    }

    /// Models before Gemini 2 take schemas in another form.
    #[test]
    fn geminis_dialect_keeps_all_of_a_conversation(
        request in geminis_request(),
        model in prop_oneof![Just("gemini/gemini-1.5-flash"), Just("gemini/gemini-2.5-flash")],
    ) {
        let read = around(model, &Flavour::Api, dialect::gemini::read::chat, &request);
        prop_assert_eq!(meaning(&read), meaning(&request));
    }
}

// Streams.

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Blä\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":1}\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);
const OPENAI: &str = concat!(
    "data: {\"id\":\"c1\",\"model\":\"g\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Blä\"},\"finish_reason\":null}]}\r\n\r\n",
    "data: {\"id\":\"c1\",\"model\":\"g\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\r\n\r\n",
    "data: {\"id\":\"c1\",\"model\":\"g\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\r\n\r\n",
    "data: {\"id\":\"c1\",\"model\":\"g\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\r\n\r\n",
    "data: [DONE]\r\n\r\n",
);
const GEMINI: &str = concat!(
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hm.\",\"thought\":true},{\"text\":\"Blä\"}],\"role\":\"model\"},\"index\":0}],\"responseId\":\"r\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":1}}}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":4,\"totalTokenCount\":7}}\r\n\r\n",
);
const COHERE: &str = concat!(
    "event: message-start\ndata: {\"id\":\"s1\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}}}\n\n",
    "event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n",
    "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"Blä\"}}}}\n\n",
    "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":3,\"output_tokens\":4}}}}\n\n",
);
const OLLAMA: &str = concat!(
    "{\"model\":\"l\",\"created_at\":\"t0\",\"message\":{\"role\":\"assistant\",\"content\":\"Blä\"},\"done\":false}\n",
    "{\"model\":\"l\",\"created_at\":\"t1\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]},\"done\":false}\n",
    "{\"model\":\"l\",\"created_at\":\"t2\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done_reason\":\"stop\",\"done\":true,\"prompt_eval_count\":26,\"eval_count\":8}\n",
);

/// A frame of AWS's event stream: lengths, their checksum, headers, a payload, and the checksum of
/// all.
fn frame(event: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    let all = [
        (":event-type", event),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    for (name, value) in all {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut frame = length(16 + headers.len() + payload.len()).to_vec();
    frame.extend_from_slice(&length(headers.len()));
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn converse() -> Vec<u8> {
    [
        frame("messageStart", r#"{"role":"assistant"}"#),
        frame(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Blä"}}"#,
        ),
        frame("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        frame("messageStop", r#"{"stopReason":"end_turn"}"#),
        frame(
            "metadata",
            r#"{"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7}}"#,
        ),
    ]
    .concat()
}

const PROVIDERS: usize = 6;

fn stream(provider: usize) -> Vec<u8> {
    match provider {
        0 => ANTHROPIC.into(),
        1 => OPENAI.into(),
        2 => GEMINI.into(),
        3 => COHERE.into(),
        4 => OLLAMA.into(),
        _ => converse(),
    }
}

fn decoder(provider: usize) -> Box<dyn Decoder> {
    let of = |model: &str, protocol: &dyn Protocol| {
        asking(model, Task::Stream, |ask| protocol.decoder(ask))
    };
    match provider {
        0 => of("anthropic/claude-sonnet-4-5", &Anthropic),
        1 => of("openai/gpt-4o", &OpenAi),
        2 => of("gemini/gemini-2.5-flash", &Flavour::Api),
        3 => of("cohere/command-a-03-2025", &Cohere),
        4 => of("ollama/llama3.2", &Ollama),
        _ => Box::new(bedrock::stream::Decoder::converse()),
    }
}

/// What a decoder makes of a stream that comes in pieces of these lengths, over and over.
fn decoded(provider: usize, stream: &[u8], lengths: &[usize]) -> (Vec<Event>, Result<(), Broken>) {
    let (mut decoder, mut events) = (decoder(provider), Vec::new());
    let mut rest = stream;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let length = lengths.next().map_or(rest.len(), |length| *length);
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        if let Err(broken) = decoder.push(Bytes::copy_from_slice(piece), &mut events) {
            return (events, Err(broken));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}

/// What may befall a stream on its way.
#[derive(Clone, Debug)]
enum Blow {
    Changed(prop::sample::Index, u8),
    Lost(prop::sample::Index, usize),
    Again(prop::sample::Index, usize),
    Ended(prop::sample::Index),
}

fn blow() -> impl Strategy<Value = Blow> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (
            at(),
            prop_oneof![any::<u8>(), Just(b'"'), Just(b'{'), Just(b'\n')]
        )
            .prop_map(|(at, byte)| Blow::Changed(at, byte)),
        (at(), 1_usize..40).prop_map(|(at, length)| Blow::Lost(at, length)),
        (at(), 1_usize..200).prop_map(|(at, length)| Blow::Again(at, length)),
        at().prop_map(Blow::Ended),
    ]
}

fn strike(stream: &mut Vec<u8>, blow: &Blow) {
    if stream.is_empty() {
        return;
    }
    let end = |at: usize, length: usize| (at + length).min(stream.len());
    match blow {
        Blow::Changed(at, byte) => {
            let at = at.index(stream.len());
            stream[at] = *byte;
        }
        Blow::Lost(at, length) => {
            let at = at.index(stream.len());
            stream.drain(at..end(at, *length));
        }
        Blow::Again(at, length) => {
            let at = at.index(stream.len());
            let again = stream[at..end(at, *length)].to_vec();
            stream.splice(at..at, again);
        }
        Blow::Ended(at) => stream.truncate(at.index(stream.len())),
    }
}

#[test]
fn every_recorded_stream_is_whole() {
    for provider in 0..PROVIDERS {
        let (events, end) = decoded(provider, &stream(provider), &[]);
        assert_eq!(end, Ok(()), "{provider}");
        let finished = |event: &Event| matches!(event, Event::Finish { .. });
        assert!(events.iter().any(finished), "{provider}: {events:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn however_a_stream_is_broken_and_cut_it_says_the_same(
        provider in 0..PROVIDERS,
        blows in vec(blow(), 0..4),
        lengths in vec(1_usize..64, 1..6),
    ) {
        let mut stream = stream(provider);
        for blow in &blows {
            strike(&mut stream, blow);
        }
        prop_assert_eq!(decoded(provider, &stream, &lengths), decoded(provider, &stream, &[]));
    }
}
