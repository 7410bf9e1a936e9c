//! However a stream is cut, its events and what the caller gets are the same.

#![no_main]

mod common;

use common::{Input, heard, pieces, written};
use libfuzzer_sys::fuzz_target;
use pointsman::upstream::openai::stream::Rewriter;
use pointsman::wire::sse::Splitter;

fn events(stream: &[u8], lengths: &[u8]) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(1 << 20);
    let (mut data, mut raw) = (Vec::new(), Vec::new());
    for piece in pieces(stream, lengths) {
        splitter.push(piece);
        while let Some(event) = splitter.next_event().expect("below the limit") {
            data.extend(event.data().map(|data| data.into_owned()));
            raw.extend_from_slice(&event.raw);
        }
    }
    if let Some(event) = splitter.finish() {
        data.extend(event.data().map(|data| data.into_owned()));
        raw.extend_from_slice(&event.raw);
    }
    assert_eq!(raw, stream, "no byte is lost or made");
    data
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::of(data) else { return };
    let Input {
        stream, lengths, ..
    } = input;
    assert_eq!(events(stream, lengths), events(stream, &[]));
    let rewritten = |lengths| {
        let mut rewriter = Rewriter::new("asked", true);
        let (sent, end) = written(
            pieces(stream, lengths),
            &mut rewriter,
            Rewriter::push,
            Rewriter::finish,
        );
        (heard(&sent), end.map(|()| rewriter.progress()))
    };
    assert_eq!(rewritten(lengths), rewritten(&[]));
});
