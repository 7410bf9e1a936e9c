//! Vectors as JSON and as bytes.
//!
//! Source: OpenAI API reference, "Create embeddings": `base64` is 32-bit floats, least significant byte
//! first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Writes numbers as JSON. `None` if one of them is no number, as bytes may hold.
pub fn push_floats(out: &mut Vec<u8>, floats: &[f32]) -> Option<()> {
    let finite = floats.iter().all(|number| number.is_finite());
    out.extend_from_slice(&serde_json::to_vec(floats).ok().filter(|_| finite)?);
    Some(())
}

/// Numbers as their bytes in base64.
pub fn encoded(floats: &[f32]) -> String {
    let bytes: Vec<u8> = floats
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

/// The numbers of bytes in base64; `None` if it is none, or is cut.
pub fn decoded(data: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(data).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
    rest.is_empty().then(|| numbers.collect())
}
