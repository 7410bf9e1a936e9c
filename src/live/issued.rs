//! Ids of responses that the gateway gives out in place of a provider's.
//!
//! Such an id says, to the gateway alone, which deployment keeps the response and who asked for it:
//! so a later request reaches the one that knows the response, and nobody reads another's. Nothing is
//! remembered here, and every gateway with the same salt key understands it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;

/// Seals ids with ChaCha20-Poly1305, under keys drawn by HKDF-SHA-256 from the salt key, or from the
/// master key without one. Without either everybody may do everything, and the seal is only a form.
///
/// The nonce is drawn by HMAC-SHA-256 from what is sealed, so the same response has the same id each
/// time, and no nonce serves two texts.
pub struct Ids {
    seal: LessSafeKey,
    nonces: hmac::Key,
}

/// What an id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Who asked for the response.
    pub owner: Owner,
    /// The id of the deployment that keeps it; empty if nobody does.
    pub deployment: String,
    /// The provider's own id.
    pub id: String,
}

/// Whom a response belongs to: a digest, so that an id is no longer for a longer name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner([u8; OWNER_LEN]);

impl Owner {
    /// The owner of these names.
    pub fn of(names: &[&[u8]]) -> Self {
        let mut hash = Context::new(&SHA256);
        for name in names {
            // With its length, so that no two lists of names read alike.
            hash.update(&(name.len() as u64).to_be_bytes());
            hash.update(name);
        }
        let mut owner = [0; OWNER_LEN];
        owner.copy_from_slice(&hash.finish().as_ref()[..OWNER_LEN]);
        Self(owner)
    }
}

/// Half of a SHA-256.
const OWNER_LEN: usize = 16;

/// What every id of a response begins with, the gateway's as OpenAI's.
const PREFIX: &str = "resp_";
/// Longest id of a provider's that is sealed; longer ones are no ids.
const MAX_ID_BYTES: usize = 1 << 10;
/// Longest id that is opened.
const MAX_TEXT_BYTES: usize = 4 << 10;
/// Keep these uses of the secret apart from any other.
const SEAL_PURPOSE: &[u8] = b"pointsman ids of responses";
const NONCE_PURPOSE: &[u8] = b"pointsman nonces of ids";

impl Ids {
    /// Ids under this secret.
    ///
    /// # Panics
    ///
    /// Never: HKDF draws keys of any length up to 8,160 bytes, and this one has 32.
    pub(super) fn new(secret: &[u8]) -> Self {
        let drawn = Salt::new(HKDF_SHA256, SEAL_PURPOSE).extract(secret);
        let key = drawn.expand(&[], &CHACHA20_POLY1305);
        let nonces = Salt::new(HKDF_SHA256, NONCE_PURPOSE).extract(secret);
        let of_nonces = nonces.expand(&[], hmac::HMAC_SHA256);
        Self {
            seal: LessSafeKey::new(UnboundKey::from(key.expect("32 bytes are few"))),
            nonces: hmac::Key::from(of_nonces.expect("32 bytes are few")),
        }
    }

    /// The id that `owner` gets for a provider's response. `None` if the provider's is no id.
    pub fn issue(&self, owner: Owner, deployment: &str, id: &str) -> Option<String> {
        let of_deployment = u16::try_from(deployment.len()).ok()?;
        if id.len() > MAX_ID_BYTES {
            return None;
        }
        let mut sealed = Vec::with_capacity(OWNER_LEN + 2 + deployment.len() + id.len() + 16);
        sealed.extend_from_slice(&owner.0);
        sealed.extend_from_slice(&of_deployment.to_be_bytes());
        sealed.extend_from_slice(deployment.as_bytes());
        sealed.extend_from_slice(id.as_bytes());
        let tag = hmac::sign(&self.nonces, &sealed);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&tag.as_ref()[..NONCE_LEN]);
        self.seal
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .ok()?;
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string([&nonce[..], &sealed].concat(), &mut text);
        Some(text)
    }

    /// What an id says; `None` if it was not issued under this secret, or was changed since.
    pub fn open(&self, text: &str) -> Option<Issued> {
        let coded = text.strip_prefix(PREFIX)?;
        if coded.len() > MAX_TEXT_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(coded).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let open = self
            .seal
            .open_in_place(nonce, Aad::empty(), &mut sealed)
            .ok()?;
        let (owner, rest) = open.split_first_chunk::<OWNER_LEN>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (deployment, id) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some(Issued {
            owner: Owner(*owner),
            deployment: String::from_utf8(deployment.to_vec()).ok()?,
            id: String::from_utf8(id.to_vec()).ok()?,
        })
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Owner = Owner([7; OWNER_LEN]);

    #[test]
    fn an_id_says_the_same_to_every_gateway_with_the_secret_and_nothing_to_others() {
        let ids = Ids::new(b"salt");
        let text = ids.issue(ADA, "gpt-east", "resp_abc").unwrap();
        assert!(text.starts_with("resp_") && !text.contains("abc"), "{text}");
        let issued = Issued {
            owner: ADA,
            deployment: "gpt-east".to_owned(),
            id: "resp_abc".to_owned(),
        };
        assert_eq!(Ids::new(b"salt").open(&text), Some(issued));
        assert_eq!(ids.issue(ADA, "gpt-east", "resp_abc"), Some(text.clone()));
        assert_eq!(Ids::new(b"other").open(&text), None);
    }

    #[test]
    fn what_was_not_issued_or_was_changed_says_nothing() {
        let ids = Ids::new(b"salt");
        let text = ids.issue(ADA, "d", "resp_abc").unwrap();
        for at in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ids.open(&changed), None, "{at}");
        }
        for foreign in ["", "resp_", "resp_abc", "resp_é", &text[..20], &text[5..]] {
            assert_eq!(ids.open(foreign), None, "{foreign}");
        }
        assert_eq!(ids.open(&format!("resp_{}", "A".repeat(10_000))), None);
        assert_eq!(ids.issue(ADA, "d", &"x".repeat(2_000)), None);
    }
}
