//! However a stream is cut, its events and what the caller gets are the same.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use pointsman::upstream::openai::stream::{Broken, Progress, Rewriter};
use pointsman::wire::sse::Splitter;

/// The stream, and the lengths of the pieces that it comes in, over and over.
type Input<'a> = (Vec<u8>, &'a [u8]);

fn pieces<'a>(stream: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = lengths
            .next()
            .map_or(rest.len(), |length| usize::from(*length).max(1));
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        Some(piece)
    })
}

fn events(stream: &[u8], lengths: &[u8]) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(1 << 20);
    let (mut data, mut raw) = (Vec::new(), Vec::new());
    for piece in pieces(stream, lengths) {
        splitter.push(Bytes::copy_from_slice(piece));
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

fn rewritten(stream: &[u8], lengths: &[u8]) -> (Vec<u8>, Result<Progress, Broken>) {
    let mut rewriter = Rewriter::new("asked", true);
    let (mut sent, mut out) = (Vec::new(), BytesMut::new());
    for piece in pieces(stream, lengths) {
        match rewriter.push(Bytes::copy_from_slice(piece), &mut out) {
            Ok(bytes) => sent.extend(bytes.into_iter().flatten()),
            Err(broken) => {
                sent.extend_from_slice(&out);
                return (sent, Err(broken));
            }
        }
    }
    let finished = rewriter.finish(&mut out);
    sent.extend_from_slice(&out);
    (sent, finished.map(|()| rewriter.progress()))
}

fuzz_target!(|input: Input<'_>| {
    let (stream, lengths) = input;
    assert_eq!(events(&stream, lengths), events(&stream, &[]));
    let (whole, whole_end) = rewritten(&stream, &[]);
    let (cut, cut_end) = rewritten(&stream, lengths);
    assert_eq!(cut_end, whole_end);
    assert_eq!(cut, whole);
});
