//! The id of a call.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::uuid;

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");

/// The caller's id of the call if it gives a plain one, else a UUID; and the id of its row in the ledger,
/// which is that UUID, and never the caller's word.
pub(super) fn of_call(headers: &HeaderMap) -> (HeaderValue, u128) {
    let row = new_uuid();
    let given = headers.get(&CALL_ID).filter(|given| {
        let plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let bytes = given.as_bytes();
        !bytes.is_empty() && bytes.len() <= 128 && bytes.iter().all(plain)
    });
    let id = match given {
        Some(given) => given.clone(),
        None => HeaderValue::from_bytes(&uuid::text(row))
            .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
    };
    (id, row)
}

/// A UUID that begins with the time (RFC 9562, version 7), so that new rows of the ledger come to the
/// end of its index.
///
/// The rest counts on from a random number of this process and is then mixed, but for a few bits that
/// are random: two processes may come to the same numbers, but not within one millisecond.
fn new_uuid() -> u128 {
    static COUNT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));
    let mut mixed = COUNT.fetch_add(1, Ordering::Relaxed);
    // The finalizer of SplitMix64, which maps no two numbers to one.
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let time = since.as_millis() & ((1 << 48) - 1);
    // Twelve bits stand before those that say how a UUID is laid out, and 62 behind.
    let few = u128::from(fastrand::u16(..1 << 10)) << 2 | u128::from(mixed >> 62);
    let many = u128::from(mixed) & ((1 << 62) - 1);
    time << 80 | 0x7 << 76 | few << 64 | 0b10 << 62 | many
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_id_gets_a_uuid() {
        let (id, row) = of_call(&HeaderMap::new());
        assert_eq!(id.as_bytes(), uuid::text(row));
        let text = id.to_str().unwrap();
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "7");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
        assert_ne!(row, of_call(&HeaderMap::new()).1);
    }

    #[test]
    fn a_callers_id_is_kept_if_it_is_plain() {
        let mut headers = HeaderMap::new();
        headers.insert(&CALL_ID, HeaderValue::from_static("my-id_1"));
        let (id, row) = of_call(&headers);
        assert_eq!(id, "my-id_1");
        // Twice the same word is two requests.
        assert_ne!(of_call(&headers).1, row);
        headers.insert(&CALL_ID, HeaderValue::from_static("a b"));
        assert_ne!(of_call(&headers).0, "a b");
    }
}
