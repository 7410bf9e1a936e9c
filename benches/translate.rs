//! What it costs to translate: a request on its way in, a stream on its way back.
//!
//! Goals: a request of 2 KB from OpenAI's dialect to Anthropic's protocol below 5 µs, and a stream of
//! 50 chunks from Anthropic to OpenAI below 60 µs in all.
//!
//! `request` reads a body into the one form and writes what the provider gets; `stream` reads a
//! provider's events, each a chunk of its own, and writes what the caller gets.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use divan::{AllocProfiler, Bencher, black_box};
use http::HeaderValue;
use pointsman::call::{About, Call, Principal, Route, Spoken, Tab, peek};
use pointsman::dialect;
use pointsman::live::Live;
use pointsman::upstream::anthropic::{self, Anthropic};
use pointsman::upstream::gemini::{self, Flavour};
use pointsman::upstream::passage::Passage;
use pointsman::upstream::protocol::{Ask, Decoder, Params, Protocol, Task};
use pointsman_routes::table::{DeploymentId, GroupId, Target};
use pointsman_routes::{Table, load};

/// Memory comes from where the gateway's own program has it.
#[global_allocator]
static ALLOCATIONS: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    divan::main();
}

const CHUNKS: usize = 50;

fn live(model: &str) -> Arc<Live> {
    let config = format!(
        "model_list:\n- model_name: m\n  litellm_params:\n    model: {model}\n    \
         api_key: os.environ/KEY\n"
    );
    let loaded = load("bench.yaml", &config).loaded.expect("a good config");
    let table = Table::loaded(loaded.routes);
    let env = |name: &str| (name == "KEY").then(|| "sk-bench".to_owned());
    let live = Live::bind(table, &loaded.literals, &env, "bench.yaml".to_owned());
    Arc::new(live.expect("nothing is missing"))
}

/// 2 KB: instructions, three turns, a tool and its schema.
fn body() -> Bytes {
    let words = "The train to Łódź leaves at 9:40, and the points are set for it.\\n".repeat(9);
    Bytes::from(format!(
        r#"{{"model":"m","temperature":0.2,"max_tokens":512,"messages":[{{"role":"system","content":"Answer briefly."}},{{"role":"user","content":"{words}"}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"signal","arguments":"{{\"track\":4}}"}}}}]}},{{"role":"tool","tool_call_id":"call_1","content":"clear"}},{{"role":"user","content":[{{"type":"text","text":"{words}"}}]}}],"tools":[{{"type":"function","function":{{"name":"signal","description":"What a signal shows.","parameters":{{"type":"object","properties":{{"track":{{"type":"integer","description":"The track's number"}},"side":{{"type":"string","enum":["up","down"]}}}},"required":["track"]}}}}}}],"tool_choice":"auto","stream":true,"user":"ada","stop":["END"]}}"#
    ))
}

fn request(bencher: Bencher<'_, '_>, model: &str, protocol: &dyn Protocol) {
    let (live, body) = (live(model), body());
    assert!((1_700..2_300).contains(&body.len()), "{}", body.len());
    let deployment = live.deployment(DeploymentId(0));
    let ask = Ask {
        task: Task::Stream,
        model: &deployment.model,
        deployment,
        params: Params {
            drop: true,
            ..Params::default()
        },
    };
    bencher.bench_local(|| {
        let chat = dialect::read_defaults(black_box(&body)).expect("a good body");
        protocol
            .write_chat(&ask, &chat)
            .expect("nothing is lacking")
    });
}

#[divan::bench]
fn request_openai_to_anthropic(bencher: Bencher<'_, '_>) {
    request(bencher, "anthropic/claude-sonnet-4-5", &Anthropic);
}

#[divan::bench]
fn request_openai_to_gemini(bencher: Bencher<'_, '_>) {
    request(bencher, "gemini/gemini-2.5-flash", &Flavour::Api);
}

fn call(model: &str) -> Call {
    let live = live(model);
    let body = body();
    Call {
        id: HeaderValue::from_static("bench"),
        principal: Arc::new(Principal::master()),
        route: Route::Chat,
        asked: "m".into(),
        target: Target::Group(GroupId(0)),
        fallback: None,
        peek: peek::peek(&body).expect("a good body"),
        body,
        files: None,
        spoken: Spoken::default(),
        wants_usage: true,
        as_list: false,
        resumed: None,
        kept: None,
        timeout: None,
        stream_timeout: None,
        controls: None,
        passed: Vec::new(),
        hints: None,
        about: About::default(),
        tab: Arc::new(Tab::new(0)),
        arrived: Instant::now(),
        live,
    }
}

fn stream(
    bencher: Bencher<'_, '_>,
    model: &str,
    decoder: fn() -> Box<dyn Decoder>,
    events: &[Bytes],
) {
    let call = call(model);
    bencher.bench_local(|| {
        let mut passage = Passage::other(&call, decoder(), 1_721_260_800);
        let mut out = BytesMut::new();
        for event in events {
            let written = passage.push(black_box(event.clone()), &mut out);
            drop(black_box(written.expect("a good event")));
        }
        passage.finish(&mut out).expect("a whole stream");
        out
    });
}

#[divan::bench]
fn stream_anthropic_to_openai(bencher: Bencher<'_, '_>) {
    let event = |kind: &str, data: &str| Bytes::from(format!("event: {kind}\ndata: {data}\n\n"));
    let mut events = vec![
        event(
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
        ),
        event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
    ];
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" points and"}}"#;
    events.extend((0..CHUNKS).map(|_| event("content_block_delta", delta)));
    events.extend([
        event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        event(
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":52}}"#,
        ),
        event("message_stop", r#"{"type":"message_stop"}"#),
    ]);
    let decoder = || Box::new(anthropic::stream::Decoder::default()) as Box<dyn Decoder>;
    stream(bencher, "anthropic/claude-sonnet-4-5", decoder, &events);
}

#[divan::bench]
fn stream_gemini_to_openai(bencher: Bencher<'_, '_>) {
    let event = |finish: &str| {
        Bytes::from(format!(
            r#"data: {{"candidates":[{{"content":{{"parts":[{{"text":" points and"}}],"role":"model"}}{finish},"index":0}}],"usageMetadata":{{"promptTokenCount":25,"candidatesTokenCount":52,"totalTokenCount":77}},"modelVersion":"gemini-2.5-flash","responseId":"r1"}}

"#
        ))
    };
    let mut events = vec![event(""); CHUNKS];
    events.push(event(r#","finishReason":"STOP""#));
    stream(bencher, "gemini/gemini-2.5-flash", gemini::decoder, &events);
}
