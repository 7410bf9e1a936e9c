//! ring as the cryptography of `jsonwebtoken`, which brings none that we build with.
//!
//! Algorithms with a public key only: RFC 7518, sections 3.3 to 3.5, and RFC 8037.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use signature::Verifier;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        let checked = Checked::new(*algorithm, key.clone())?;
        Ok(Box::new(checked))
    },
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
};

/// Makes ring what tokens are verified with, unless the program has chosen something else before.
pub(super) fn install() {
    // Whoever embeds the gateway may have a provider of their own, which is as good.
    let _ = PROVIDER.install_default();
}

enum Way {
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

struct Checked {
    algorithm: Algorithm,
    way: Way,
    key: DecodingKey,
}

impl Checked {
    /// Refuses secrets, and a key of another family than the algorithm's.
    fn new(algorithm: Algorithm, key: DecodingKey) -> Result<Self, Error> {
        let way = match algorithm {
            Algorithm::RS256 => Way::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => Way::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => Way::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => Way::Rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => Way::Rsa(&RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => Way::Rsa(&RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => Way::Curve(&ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => Way::Curve(&ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => Way::Curve(&ED25519),
            _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
        };
        if key.family() != algorithm.family() {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Self {
            algorithm,
            way,
            key,
        })
    }
}

impl Verifier<Vec<u8>> for Checked {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (&self.way, self.key.kind()) {
            (Way::Rsa(way), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(way, message, signature)
            }
            (Way::Curve(way), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*way, point).verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Checked {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
