//! Frames of AWS's event stream, by the specification and not by AWS's crate, so that each is a
//! judge of the other.

use bytes::{BufMut, Bytes, BytesMut};
use crc32fast::hash;

/// The frame of an event, or of an exception.
pub(super) fn event(name: &str, payload: &str) -> Bytes {
    let (kind, header) = if name.ends_with("Exception") {
        ("exception", ":exception-type")
    } else {
        ("event", ":event-type")
    };
    frame(
        &[
            (header, name),
            (":content-type", "application/json"),
            (":message-type", kind),
        ],
        payload.as_bytes(),
    )
}

/// The frame of a piece of a model's own stream.
pub(super) fn chunk(data: &str) -> Bytes {
    let payload = serde_json::json!({"bytes": base64(data.as_bytes()), "p": "abcdef"});
    event("chunk", &payload.to_string())
}

fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    const STRING: u8 = 7;
    let mut written = BytesMut::new();
    for (name, value) in headers {
        written.put_u8(u8::try_from(name.len()).expect("a short name"));
        written.put_slice(name.as_bytes());
        written.put_u8(STRING);
        written.put_u16(u16::try_from(value.len()).expect("a short value"));
        written.put_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).expect("a short frame");
    let mut frame = BytesMut::new();
    frame.put_u32(length(written.len() + payload.len() + 16));
    frame.put_u32(length(written.len()));
    frame.put_u32(hash(&frame));
    frame.put_slice(&written);
    frame.put_slice(payload);
    frame.put_u32(hash(&frame));
    frame.freeze()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(bits >> shift & 63) as usize];
            text.push(if at > three.len() { '=' } else { digit.into() });
        }
    }
    text
}
