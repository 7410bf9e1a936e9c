//! The administrator's key.

use pointsman_layers::auth::KeyDigest;
use pointsman_routes::table::{KeyRef, Routes};

use super::BindFault;
use super::environment::{Environment, fault};

/// Keys that stand in every tutorial.
const WELL_KNOWN: [&[u8]; 1] = [b"sk-1234"];
const PATH: &str = "general_settings.master_key";
/// The variable that is looked at where the file is silent.
const DEFAULT: &str = "LITELLM_MASTER_KEY";

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
        let (path, name) = match &routes.general.master_key {
            Some(KeyRef::Digest(digest)) => return Some(MasterKey::of(KeyDigest(*digest))),
            Some(KeyRef::Env(name)) => (PATH, &**name),
            None => (DEFAULT, DEFAULT),
        };
        match self.get(name) {
            Some(key) if key.starts_with("sk-") => {
                return Some(MasterKey::of(KeyDigest::of(key.as_bytes())));
            }
            Some(_) => faults.push(fault(path, &"the master key must start with `sk-`")),
            None if path == DEFAULT => {}
            None => {
                let what = format!("the environment variable {name} is not set");
                faults.push(fault(path, &what));
            }
        }
        None
    }
}

impl MasterKey {
    fn of(digest: KeyDigest) -> Self {
        let weak = WELL_KNOWN
            .iter()
            .any(|known| KeyDigest::of(known) == digest);
        Self { digest, weak }
    }
}
