//! However a stream is cut, the caller of OpenAI's responses gets the same of it, from a provider
//! that has them and from one that has not; and the events that the gateway makes itself are whole
//! and in order.

#![no_main]

mod common;

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use common::{Input, heard, pieces, written};
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use pointsman::call::{About, Call, Principal, Route, Spoken, Tab, peek};
use pointsman::error::Failure;
use pointsman::live::Live;
use pointsman::upstream::anthropic::Anthropic;
use pointsman::upstream::gemini::Flavour;
use pointsman::upstream::openai::chat::OpenAi;
use pointsman::upstream::passage::Passage;
use pointsman::upstream::protocol::{Ask, Params, Protocol, Task};
use pointsman::wire::sse::Splitter;
use pointsman_routes::table::DeploymentId;
use pointsman_routes::{Table, load};
use serde_json::Value;

const CONFIG: &str =
    "model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o, api_key: sk-none}}]";
const BODY: &[u8] = br#"{"model":"m","input":"x","stream":true}"#;

static CALL: LazyLock<Arc<Call>> = LazyLock::new(|| {
    let loaded = load("fuzz.yaml", CONFIG).loaded.expect("a config");
    let table = Table::loaded(loaded.routes);
    let live = Live::bind(table, &loaded.literals, &|_| None, "fuzz.yaml".to_owned());
    let live = live.expect("nothing of the environment is needed");
    Arc::new(Call {
        id: HeaderValue::from_static("fuzz"),
        principal: Arc::new(Principal::master()),
        route: Route::Responses,
        asked: "m".into(),
        target: live.table().resolve("m").expect("the model").target,
        fallback: None,
        body: Bytes::from_static(BODY),
        files: None,
        peek: peek::peek(BODY).expect("a body").on(Route::Responses),
        spoken: Spoken::default(),
        resumed: None,
        kept: None,
        wants_usage: true,
        as_list: false,
        timeout: None,
        stream_timeout: None,
        controls: None,
        passed: Vec::new(),
        hints: None,
        about: About::default(),
        tab: Arc::new(Tab::new(7)),
        arrived: Instant::now(),
        live: Arc::new(live),
    })
});

fn passage(which: u8) -> Passage {
    let call = &*CALL;
    let deployment = call.live.deployment(DeploymentId(0));
    let ask = Ask {
        task: Task::Stream,
        model: &deployment.model,
        deployment,
        params: Params::default(),
    };
    let decoder = match which % 4 {
        0 => return Passage::responses(call, DeploymentId(0)),
        1 => OpenAi.decoder(&ask),
        2 => Anthropic.decoder(&ask),
        _ => Flavour::Api.decoder(&ask),
    };
    Passage::other(call, decoder, 0)
}

fn assert_in_order(sent: Vec<u8>) {
    let mut splitter = Splitter::new(sent.len() + 1);
    splitter.push(sent.into());
    let mut numbers = 0..;
    while let Some(event) = splitter.next_event().expect("below the limit") {
        let data = event.data().expect("an event of data");
        let data: Value = serde_json::from_slice(&data).expect("an event of JSON");
        assert_eq!(data["sequence_number"].as_u64(), numbers.next());
        assert!(data["type"].is_string());
    }
    assert!(splitter.finish().is_none(), "the last event is whole");
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::of(data) else { return };
    let passed = |lengths| {
        let mut passage = passage(input.which);
        let pieces = pieces(input.stream, lengths);
        let (mut sent, end) = written(pieces, &mut passage, Passage::push, Passage::finish);
        if end.is_err() {
            let mut last = BytesMut::new();
            passage.fail(&Failure::Internal, &mut last);
            sent.extend_from_slice(&last);
        }
        (sent, end, passage.progress())
    };
    let (whole, end, progress) = passed(&[]);
    let (cut, cut_end, cut_progress) = passed(input.lengths);
    assert_eq!((cut_end, cut_progress), (end, progress));
    assert_eq!(heard(&cut), heard(&whole));
    if input.which % 4 != 0 {
        assert_in_order(whole);
    }
});
