//! A body that is taken is JSON but for the inside of its strings, and after the splice it is the
//! same JSON but for the model.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pointsman::call::peek::{Field, peek};
use pointsman::wire::splice::Splice;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The text with an `x` for each byte inside a string, because those are the provider's to judge.
fn without_strings(text: &[u8]) -> Vec<u8> {
    let mut blank = Vec::with_capacity(text.len());
    let mut inside = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match (inside, byte) {
            (true, b'\\') => blank.extend(bytes.next().map(|_| *b"xx").into_iter().flatten()),
            (true, b'"') | (false, _) => {
                inside ^= *byte == b'"';
                blank.push(*byte);
            }
            (true, _) => blank.push(b'x'),
        }
    }
    blank
}

fuzz_target!(|body: &[u8]| {
    let Ok(peek) = peek(body) else { return };
    serde_json::from_slice::<IgnoredAny>(&without_strings(body)).expect("what is taken is JSON");
    for (_, member) in peek.members() {
        let value = std::str::from_utf8(member.value(body)).expect("a value of whole characters");
        let value = without_strings(value.as_bytes());
        serde_json::from_slice::<IgnoredAny>(&value).expect("a value is one value");
    }
    // A wrong escape, or a number beyond a float, is in no value.
    let Ok(mut expected) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let Some(model) = peek.get(Field::Model) else {
        return;
    };
    assert_eq!(
        peek.text(body, Field::Model).as_deref(),
        expected["model"].as_str()
    );
    expected["model"] = "another".into();
    let mut splice = Splice::default();
    splice.replace(model.value_range(), Bytes::from_static(b"\"another\""));
    let spliced = splice
        .apply(&Bytes::copy_from_slice(body), 0, false)
        .concat();
    assert_eq!(
        serde_json::from_slice::<Value>(&spliced).expect("still JSON"),
        expected
    );
});
