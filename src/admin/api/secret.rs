//! Making secrets of keys.

use pointsman_layers::auth::KeyDigest;
use ring::rand::{SecureRandom, SystemRandom};

use super::refusal::Refusal;

/// Characters of a secret behind `sk-`: 62 to the power of 33 are more than 2 to the power of 196.
const LENGTH: usize = 33;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The largest byte that maps to the alphabet evenly.
const EVEN: u8 = 247;

/// A secret that nobody has had.
pub(super) fn new() -> Result<String, Refusal> {
    let random = SystemRandom::new();
    let mut secret = String::from("sk-");
    let mut bytes = [0; 64];
    while secret.len() < 3 + LENGTH {
        if random.fill(&mut bytes).is_err() {
            return Err(Refusal::unavailable("the system has no random numbers"));
        }
        for byte in bytes.iter().filter(|byte| **byte <= EVEN) {
            if secret.len() < 3 + LENGTH {
                secret.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
    }
    Ok(secret)
}

/// A secret of the caller's choice, if it can be one.
pub(super) fn check(secret: &str) -> Result<(), Refusal> {
    let plain = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if !secret.starts_with("sk-") || secret.len() < 7 || !plain {
        let message = "Invalid key format. LiteLLM Virtual Key must start with 'sk-', have at \
                       least four characters after it, and hold no spaces.";
        return Err(Refusal::bad("key", message));
    }
    Ok(())
}

/// What a key is known by.
pub(super) fn hash(secret: &str) -> String {
    KeyDigest::of(secret.as_bytes()).to_string()
}

/// The hash that a caller means: given as a key in clear, or as its hash.
pub(super) fn meant(key: &str) -> String {
    if key.starts_with("sk-") {
        hash(key)
    } else {
        key.to_owned()
    }
}

/// How a key is shown: its last four characters.
pub(super) fn name(secret: &str) -> String {
    let tail: Vec<char> = secret.chars().rev().take(4).collect();
    format!("sk-...{}", tail.into_iter().rev().collect::<String>())
}

/// An id that nobody has had.
pub(super) fn id() -> Result<String, Refusal> {
    let mut bytes = [0_u8; 16];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return Err(Refusal::unavailable("the system has no random numbers"));
    }
    // RFC 9562, version 4.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    Ok([
        &bytes[..4],
        &bytes[4..6],
        &bytes[6..8],
        &bytes[8..10],
        &bytes[10..],
    ]
    .map(hex)
    .join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_ids_have_their_form() {
        let secret = new().unwrap();
        assert_eq!(secret.len(), 36);
        assert!(check(&secret).is_ok());
        assert_ne!(secret, new().unwrap());
        assert_eq!(name(&secret).len(), 10);
        assert_eq!(meant(&secret), hash(&secret));
        assert_eq!(meant(&hash(&secret)), hash(&secret));
        let id = id().unwrap();
        assert_eq!((id.len(), &id[14..15], id.split('-').count()), (36, "4", 5));
        for wrong in [
            "",
            "sk-",
            "sk-abc",
            "pk-abcdefgh",
            "sk-a bcdefg",
            "sk-ä123456",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
