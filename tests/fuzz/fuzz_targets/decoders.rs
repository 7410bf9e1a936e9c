//! However a provider's stream is cut, what is read out of it is the same, and nothing that comes
//! makes the reader panic.

#![no_main]

mod common;

use common::{Input, decoded, pieces};
use libfuzzer_sys::fuzz_target;
use pointsman::upstream::anthropic::stream::Decoder as Anthropic;
use pointsman::upstream::bedrock::stream::Decoder as Bedrock;
use pointsman::upstream::protocol::Decoder;

fn decoder(which: u8) -> Box<dyn Decoder> {
    match which % 3 {
        0 => Box::new(Anthropic::default()),
        1 => Box::new(Bedrock::converse()),
        _ => Box::new(Bedrock::invoked()),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::of(data) else { return };
    let read = |lengths| decoded(decoder(input.which), pieces(input.stream, lengths));
    assert_eq!(read(input.lengths), read(&[]));
});
