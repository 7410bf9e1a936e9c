//! A body that is taken is JSON, and after the splice it is the same JSON but for the model.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pointsman::call::peek::{CHECKED_BYTES, Field, peek};
use pointsman::wire::splice::Splice;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(peek) = peek(body) else { return };
    // A longer body's nested grammar is the provider's to judge.
    if body.len() > CHECKED_BYTES {
        return;
    }
    serde_json::from_slice::<IgnoredAny>(body).expect("what is taken is JSON");
    // Numbers beyond a float, and depths beyond a reader, are JSON that no value can hold.
    let Ok(mut expected) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    for (_, member) in peek.members() {
        let value = std::str::from_utf8(member.value(body)).expect("a value of whole characters");
        serde_json::from_str::<Value>(value).expect("a value is one value");
    }
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
