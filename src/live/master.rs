//! The administrator's key.

use pointsman_layers::auth::KeyDigest;
use pointsman_routes::table::{KeyRef, Routes};

use super::BindFault;
use super::environment::{Environment, fault};

/// Keys that stand in every tutorial.
const WELL_KNOWN: [&[u8]; 1] = [b"sk-1234"];
const PATH: &str = "general_settings.master_key";

/// The digest of the administrator's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterKey {
    /// SHA-256.
    pub digest: KeyDigest,
    /// It stands in every tutorial.
    pub weak: bool,
}

impl Environment<'_> {
    /// The key of the file, else of `LITELLM_MASTER_KEY`.
    pub(super) fn master_key(
        &self,
        routes: &Routes,
        faults: &mut Vec<BindFault>,
    ) -> Option<MasterKey> {
        let named = |name: &str| {
            let key = self.get(name)?;
            if key.starts_with("sk-") {
                Some(Ok(KeyDigest::of(key.as_bytes())))
            } else {
                Some(Err(()))
            }
        };
        let digest = match &routes.general.master_key {
            Some(KeyRef::Digest(digest)) => KeyDigest(*digest),
            Some(KeyRef::Env(name)) => match named(name) {
                Some(Ok(digest)) => digest,
                Some(Err(())) => {
                    faults.push(fault(PATH, &"the master key must start with `sk-`"));
                    return None;
                }
                None => {
                    let what = format!("the environment variable {name} is not set");
                    faults.push(fault(PATH, &what));
                    return None;
                }
            },
            None => match named("LITELLM_MASTER_KEY")? {
                Ok(digest) => digest,
                Err(()) => {
                    faults.push(fault(
                        "LITELLM_MASTER_KEY",
                        &"the master key must start with `sk-`",
                    ));
                    return None;
                }
            },
        };
        let weak = WELL_KNOWN
            .iter()
            .any(|known| KeyDigest::of(known) == digest);
        Some(MasterKey { digest, weak })
    }
}
