//! However a stream of Gemini's is cut, what it says is the same, and nothing in it breaks the
//! gateway.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pointsman::call::chat::Event;
use pointsman::upstream::gemini::decoder;
use pointsman::upstream::protocol::Broken;

/// The stream, and the lengths of the pieces that it comes in, over and over.
type Input<'a> = (Vec<u8>, &'a [u8]);

fn said(stream: &[u8], lengths: &[u8]) -> (Vec<Event>, Result<(), Broken>) {
    let mut decoder = decoder();
    let mut events = Vec::new();
    let mut rest = stream;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let length = lengths
            .next()
            .map_or(rest.len(), |length| usize::from(*length).max(1));
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        if let Err(broken) = decoder.push(Bytes::copy_from_slice(piece), &mut events) {
            return (events, Err(broken));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}

fuzz_target!(|input: Input<'_>| {
    let (stream, lengths) = input;
    assert_eq!(said(&stream, lengths), said(&stream, &[]));
});
