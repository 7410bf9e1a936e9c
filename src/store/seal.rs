//! Provider keys at rest.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

/// Seals text so that only who knows the same secret can read or change it.
///
/// ChaCha20-Poly1305 with a random nonce, under a key drawn by HKDF-SHA-256 from the secret. What
/// is sealed is bound to a name: it cannot be moved to another row.
#[derive(Clone)]
pub struct Seal(std::sync::Arc<LessSafeKey>);

/// The text was not sealed with this secret, or not for this name, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsealable;

impl fmt::Display for Unsealable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was sealed with another salt key, or changed since")
    }
}

impl std::error::Error for Unsealable {}

/// Keeps this use of the secret apart from any other.
const PURPOSE: &[u8] = b"pointsman models at rest";
/// The form of what is sealed, so that there can be another one some day.
const FORM: &str = "v1:";

impl Seal {
    /// A seal of this secret: the salt key, or the master key without one.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let drawn = Salt::new(HKDF_SHA256, PURPOSE).extract(secret);
        let key = UnboundKey::from(drawn.expand(&[], &CHACHA20_POLY1305).ok()?);
        Some(Self(std::sync::Arc::new(LessSafeKey::new(key))))
    }

    /// Seals a text for this name. `None` if the system has no random numbers.
    pub fn seal(&self, name: &str, text: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = text.as_bytes().to_vec();
        let aad = Aad::from(name.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .ok()?;
        let hex = nonce
            .iter()
            .chain(&sealed)
            .map(|byte| format!("{byte:02x}"));
        Some(FORM.chars().map(String::from).chain(hex).collect())
    }

    /// What was sealed for this name.
    pub fn open(&self, name: &str, sealed: &str) -> Result<String, Unsealable> {
        let hex = sealed.strip_prefix(FORM).ok_or(Unsealable)?;
        let mut bytes = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .filter(|pair| pair.len() == 2)
            })
            .map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or(Unsealable)?;
        if bytes.len() < NONCE_LEN {
            return Err(Unsealable);
        }
        let mut sealed = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| Unsealable)?;
        let open = self
            .0
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut sealed)
            .map_err(|_| Unsealable)?;
        String::from_utf8(open.to_vec()).map_err(|_| Unsealable)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_and_name_only() {
        let seal = Seal::new(b"sk-master").unwrap();
        let sealed = seal.seal("model-1", "sk-provider").unwrap();
        assert!(!sealed.contains("provider"));
        assert_ne!(sealed, seal.seal("model-1", "sk-provider").unwrap());
        assert_eq!(seal.open("model-1", &sealed).as_deref(), Ok("sk-provider"));
        assert_eq!(seal.open("model-2", &sealed), Err(Unsealable));
        let other = Seal::new(b"sk-other").unwrap();
        assert_eq!(other.open("model-1", &sealed), Err(Unsealable));
    }

    #[test]
    fn no_change_of_what_is_sealed_is_missed() {
        let seal = Seal::new(b"sk-master").unwrap();
        let sealed = seal.seal("m", "text").unwrap();
        for at in FORM.len()..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(seal.open("m", &changed), Err(Unsealable), "{at}");
        }
        for junk in ["", "v1:", "v1:0", "v1:zz", "text", "v1:é0"] {
            assert_eq!(seal.open("m", junk), Err(Unsealable), "{junk}");
        }
    }
}
