//! Opens what LiteLLM has encrypted in its database.
//!
//! Three forms: XSalsa20-Poly1305 under the SHA-256 of the salt key, in base64 with either alphabet
//! (older versions, and newer ones by their setting); `v2:gcm:`, AES-256-GCM under the same key; and
//! `v3:gcm:`, AES-256-GCM under one that HKDF-SHA-256 draws. The salt key is `LITELLM_SALT_KEY`, or
//! the master key where there was none.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Nonce as BoxNonce, XSalsa20Poly1305};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Salt};

/// What the third form draws its key for.
const PURPOSE: &[u8] = b"litellm-at-rest-v3";
/// Length of a nonce of the first form.
const BOX_NONCE: usize = 24;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// LiteLLM's salt key.
pub struct Unseal {
    boxed: XSalsa20Poly1305,
    hashed: LessSafeKey,
    drawn: LessSafeKey,
}

impl fmt::Debug for Unseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unseal")
    }
}

impl Unseal {
    /// Of a salt key, as LiteLLM was given it.
    pub fn new(salt: &str) -> Option<Self> {
        let hash = digest(&SHA256, salt.as_bytes());
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(salt.as_bytes());
        let drawn = UnboundKey::from(extracted.expand(&[PURPOSE], &AES_256_GCM).ok()?);
        Some(Self {
            boxed: XSalsa20Poly1305::new_from_slice(hash.as_ref()).ok()?,
            hashed: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, hash.as_ref()).ok()?),
            drawn: LessSafeKey::new(drawn),
        })
    }

    /// The text that was encrypted; `None` if it was not, or under another key.
    pub(super) fn open(&self, sealed: &str) -> Option<String> {
        let open = if let Some(sealed) = sealed.strip_prefix("v3:gcm:") {
            gcm(&self.drawn, &decode(sealed)?)?
        } else if let Some(sealed) = sealed.strip_prefix("v2:gcm:") {
            gcm(&self.hashed, &decode(sealed)?)?
        } else {
            let bytes = decode(sealed)?;
            let (nonce, sealed) = bytes.split_at_checked(BOX_NONCE)?;
            self.boxed
                .decrypt(BoxNonce::from_slice(nonce), sealed)
                .ok()?
        };
        String::from_utf8(open).ok()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .ok()
}

/// A nonce, then what is sealed.
fn gcm(key: &LessSafeKey, bytes: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let open = key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
    Some(open.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with PyNaCl and Python's `cryptography`, as LiteLLM does it, under `sk-salt-1234`.
    const OF_EACH_FORM: [&str; 3] = [
        "VNPFXNgae_0PLQxZ6jPOzQiCntw5CWK7x95v7Yb2BYlsDtwawo_0qwf2hnOaZsuJJBr2ODTjng==",
        "v2:gcm:D2qqv4n0exfe9zJxGtZTcxhopZaYBH5bFxJ1QOlUGXYvPo3vC3PTp---Fw==",
        "v3:gcm:CpYHIlrqH2vd1xs0mA3twkOa4vx9nQJdNsRQJVX0fSUVSHlCz4dVuUsM3w==",
    ];

    #[test]
    fn every_form_of_litellms_opens_with_its_key_only() {
        let right = Unseal::new("sk-salt-1234").unwrap();
        let wrong = Unseal::new("sk-salt-1235").unwrap();
        for sealed in OF_EACH_FORM {
            assert_eq!(
                right.open(sealed).as_deref(),
                Some("sk-provider-key"),
                "{sealed}"
            );
            assert_eq!(wrong.open(sealed), None, "{sealed}");
        }
        for plain in [
            "",
            "openai/gpt-4o",
            "v3:gcm:",
            "v2:gcm:AAAA",
            "os.environ/KEY",
            "é",
        ] {
            assert_eq!(right.open(plain), None, "{plain}");
        }
    }
}
