//! The keys that the file itself declares (`key_settings`).

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_layers::auth::KeyDigest;
use pointsman_routes::table::{Budget, KeyRef, Routes, StaticKey, Window};

use super::BindFault;
use super::environment::{Environment, fault};
use crate::account::{Allowance, Bearer, Key, Period};

impl Environment<'_> {
    /// The keys of the file by their digests, each as if the accounts had it.
    pub(super) fn file_keys(
        &self,
        routes: &Routes,
        faults: &mut Vec<BindFault>,
    ) -> HashMap<KeyDigest, Arc<Bearer>> {
        let mut keys = HashMap::new();
        for (place, key) in routes.keys.iter().enumerate() {
            let path = format!("key_settings[{place}].api_key");
            let (digest, shown) = match &key.key {
                KeyRef::Digest(digest) => (KeyDigest(*digest), None),
                KeyRef::Env(name) => match self.get(name) {
                    Some(secret) if secret.starts_with("sk-") => {
                        let tail = secret
                            .get(secret.len().saturating_sub(4)..)
                            .map(str::to_owned);
                        (KeyDigest::of(secret.as_bytes()), tail)
                    }
                    Some(_) => {
                        faults.push(fault(&path, &"a key must start with `sk-`"));
                        continue;
                    }
                    None => {
                        let what = format!("the environment variable {name} is not set");
                        faults.push(fault(&path, &what));
                        continue;
                    }
                },
            };
            let bearer = Bearer {
                key: account(key, &digest, shown.as_deref()),
                ..Bearer::default()
            };
            keys.insert(digest, Arc::new(bearer));
        }
        keys
    }
}

fn account(key: &StaticKey, digest: &KeyDigest, tail: Option<&str>) -> Key {
    let (max_budget, budget_duration) = match &key.budget {
        Some(Budget { max, window }) => (Some(*max), window.and_then(period)),
        None => (None, None),
    };
    Key {
        token: digest.to_string(),
        key_name: format!("sk-...{}", tail.unwrap_or("")),
        key_alias: key.alias.as_ref().map(ToString::to_string),
        models: key.models.iter().map(ToString::to_string).collect(),
        allowance: Allowance {
            max_budget,
            budget_duration,
            rpm_limit: key.rpm,
            tpm_limit: key.tpm,
            ..Allowance::default()
        },
        ..Key::default()
    }
}

/// The window as LiteLLM writes it.
pub(super) fn period(window: Window) -> Option<Period> {
    const DAY: u64 = 86_400;
    let text = match window {
        Window::Months(months) => format!("{months}mo"),
        Window::Seconds(seconds) if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        Window::Seconds(seconds) => format!("{seconds}s"),
    };
    text.parse().ok()
}
