//! However a provider's stream is cut, what is read out of it is the same, and nothing that comes
//! makes the reader panic.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pointsman::call::chat::Event;
use pointsman::upstream::anthropic::stream::Decoder as Anthropic;
use pointsman::upstream::bedrock::stream::Decoder as Bedrock;
use pointsman::upstream::protocol::{Broken, Decoder};

/// Which decoder, the stream, and the lengths of the pieces that it comes in, over and over.
type Input<'a> = (u8, Vec<u8>, &'a [u8]);

fn decoder(which: u8) -> Box<dyn Decoder> {
    match which % 3 {
        0 => Box::new(Anthropic::default()),
        1 => Box::new(Bedrock::converse()),
        _ => Box::new(Bedrock::invoked()),
    }
}

fn read(which: u8, stream: &[u8], lengths: &[u8]) -> (Vec<Event>, Result<(), Broken>) {
    let (mut decoder, mut events) = (decoder(which), Vec::new());
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
    let (which, stream, lengths) = input;
    assert_eq!(read(which, &stream, lengths), read(which, &stream, &[]));
});
