//! However a stream of Gemini's is cut, what it says is the same, and nothing in it breaks the
//! gateway.

#![no_main]

mod common;

use common::{Input, decoded, pieces};
use libfuzzer_sys::fuzz_target;
use pointsman::upstream::gemini::decoder;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::of(data) else { return };
    let said = |lengths| decoded(decoder(), pieces(input.stream, lengths));
    assert_eq!(said(input.lengths), said(&[]));
});
