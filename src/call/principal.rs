//! Who asks.

use std::sync::Arc;

use serde_json::Value;

use super::means::Means;
use super::models::Models;
use crate::account::{Bearer, Role};
use crate::live::{Owner, Rules};

/// Who asks, as far as a request needs to know: made once for each key that is kept in memory.
#[derive(Clone, Debug)]
pub struct Principal {
    /// What metrics and logs call the key: the hexadecimal digest, or `litellm_proxy_master_key`.
    pub key: Arc<str>,
    /// The key's alias.
    pub alias: Option<Arc<str>>,
    /// Whether it may administer the gateway.
    pub admin: bool,
    /// It is not a key that was shown, but a token of an identity provider.
    pub by_token: bool,
    /// The key and everybody it answers to; `None` for the master key.
    pub bearer: Option<Arc<Bearer>>,
    pub(crate) models: Models,
    pub(crate) means: Means,
}

/// What metrics and logs call the master key.
const MASTER: &str = "litellm_proxy_master_key";
/// The member of a key's or a team's metadata that lets its requests be mocked.
const MAY_MOCK: &str = "allow_client_mock_response";

impl Principal {
    /// The holder of the master key.
    pub fn master() -> Self {
        Self {
            key: MASTER.into(),
            alias: None,
            admin: true,
            by_token: false,
            bearer: None,
            models: Models::default(),
            means: Means::default(),
        }
    }

    /// The holder of a virtual key.
    pub fn of(bearer: Arc<Bearer>, rules: &Rules) -> Self {
        Self {
            key: bearer.key.token.as_str().into(),
            alias: bearer.key.key_alias.as_deref().map(Into::into),
            admin: bearer.user.as_ref().and_then(|user| user.user_role) == Some(Role::ProxyAdmin),
            by_token: false,
            models: Models::of(&bearer),
            means: Means::of(&bearer, rules),
            bearer: Some(bearer),
        }
    }

    /// Whether it holds the master key.
    pub fn is_master(&self) -> bool {
        self.bearer.is_none() && &*self.key == MASTER
    }

    /// Whom the responses belong to that it asks for: its user in its team, or the key itself if it
    /// has neither.
    pub fn owner(&self) -> Owner {
        let Some(bearer) = self.bearer.as_deref() else {
            return Owner::default();
        };
        let key = &bearer.key;
        match (&key.user_id, &key.team_id) {
            (None, None) => Owner::of(&[b"key", key.token.as_bytes()]),
            (user, team) => {
                let text = |name: &Option<String>| name.clone().unwrap_or_default();
                Owner::of(&[b"user", text(user).as_bytes(), text(team).as_bytes()])
            }
        }
    }

    /// Whether it may use a response that belongs to `owner`.
    pub fn may_use(&self, owner: Owner) -> bool {
        self.admin || self.owner() == owner
    }

    /// The model that it means by a name of its own, or of its team.
    pub fn renamed(&self, name: &str) -> Option<&str> {
        let bearer = self.bearer.as_deref()?;
        let of_team = || bearer.team.as_ref()?.model_aliases.get(name);
        let found = bearer.key.aliases.get(name).or_else(of_team);
        found.map(String::as_str)
    }

    /// The names of its own, or of its team, for models.
    pub fn own_names(&self) -> impl Iterator<Item = &str> {
        let bearer = self.bearer.as_deref();
        let of_key = bearer.map(|bearer| &bearer.key.aliases);
        let of_team = bearer.and_then(|bearer| Some(&bearer.team.as_ref()?.model_aliases));
        let all = of_key.into_iter().chain(of_team);
        all.flat_map(|aliases| aliases.keys().map(String::as_str))
    }

    /// The tags of its key and of its team.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let bearer = self.bearer.as_deref();
        let of_key = bearer.map(|bearer| &bearer.key.tags);
        let of_team = bearer.and_then(|bearer| Some(&bearer.team.as_ref()?.tags));
        let all = of_key.into_iter().chain(of_team);
        all.flat_map(|tags| tags.iter().map(String::as_str))
    }

    /// Whether its requests may say what is answered to them (`mock_response`): the metadata of its key
    /// or of its team say so.
    pub fn may_mock(&self) -> bool {
        let Some(bearer) = self.bearer.as_deref() else {
            return false;
        };
        let of_team = bearer.team.as_ref().map(|team| &team.metadata);
        let mut all = [Some(&bearer.key.metadata), of_team].into_iter().flatten();
        all.any(|metadata| metadata.get(MAY_MOCK) == Some(&Value::Bool(true)))
    }

    /// The id of its team.
    pub fn team(&self) -> Option<&str> {
        self.bearer.as_deref()?.key.team_id.as_deref()
    }

    /// Which models it may ask for.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Its limits and budgets.
    pub fn means(&self) -> &Means {
        &self.means
    }
}
