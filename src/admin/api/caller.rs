//! Who calls the admin API, and what is theirs.

use std::sync::Arc;

use super::refusal::Refusal;
use crate::account::{Key, KeyType, Role, Team};
use crate::store::Store;

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The key's hash, or `litellm_proxy_master_key`.
    pub(super) key: String,
    /// Its role; none for a key that is nobody's.
    pub(super) role: Option<Role>,
    pub(super) user_id: Option<String>,
    /// The key itself; none for the master key.
    pub(super) record: Option<Arc<Key>>,
    /// The teams that it manages.
    manages: Vec<String>,
    /// The teams that it is in.
    pub(super) teams: Vec<String>,
    /// The organisations that it manages.
    pub(super) organizations: Vec<String>,
}

/// What LiteLLM calls the holder of the master key.
pub(super) const MASTER: &str = "default_user_id";

impl Caller {
    /// The holder of the master key; without keys, everybody.
    pub(super) fn master() -> Self {
        Self {
            key: "litellm_proxy_master_key".to_owned(),
            role: Some(Role::ProxyAdmin),
            user_id: Some(MASTER.to_owned()),
            record: None,
            manages: Vec::new(),
            teams: Vec::new(),
            organizations: Vec::new(),
        }
    }

    /// The holder of the key of this hash, as the database knows it now: rights that were taken
    /// away are gone with the next call.
    pub(super) async fn of(store: &Store, hash: &str) -> Result<Self, Refusal> {
        use crate::account::Accounts;

        let unknown = || Refusal::role("", "unknown", "None");
        let bearer = store.bearer(hash).await?.ok_or_else(unknown)?;
        let user = bearer.user.as_ref();
        let role = user.map(|user| user.user_role.unwrap_or_default());
        let mut caller = Self {
            key: bearer.key.token.clone(),
            role,
            user_id: bearer.key.user_id.clone(),
            record: Some(Arc::new(bearer.key.clone())),
            manages: Vec::new(),
            teams: user.map(|user| user.teams.clone()).unwrap_or_default(),
            organizations: Vec::new(),
        };
        if let Some(user) = user {
            for team in store.several::<Team>(&user.teams).await? {
                if team.admin(&user.user_id) {
                    caller.manages.push(team.team_id);
                }
            }
            if role == Some(Role::OrgAdmin) {
                caller.organizations.extend(user.organization_id.clone());
            }
        }
        Ok(caller)
    }

    /// Whether it may do everything.
    pub(super) fn admin(&self) -> bool {
        self.role == Some(Role::ProxyAdmin)
    }

    /// Whether it may see everything.
    pub(super) fn sees_all(&self) -> bool {
        matches!(self.role, Some(Role::ProxyAdmin | Role::ProxyAdminViewer))
    }

    /// Its name in the audit log and in `created_by`.
    pub(super) fn name(&self) -> &str {
        self.user_id.as_deref().unwrap_or(&self.key)
    }

    pub(super) fn role_word(&self) -> &'static str {
        self.role.map_or("unknown", Role::word)
    }

    /// Whether this user is the caller.
    pub(super) fn is(&self, user: Option<&str>) -> bool {
        user.is_some() && self.user_id.as_deref() == user
    }

    /// Whether it stands above a team: as its admin, or as that of its organisation.
    pub(super) fn manages_team(&self, team: &str, organization: Option<&str>) -> bool {
        self.admin()
            || self.manages.iter().any(|managed| managed == team)
            || self.manages_organization(organization)
    }

    /// Whether it stands above what belongs to an organisation.
    pub(super) fn manages_organization(&self, organization: Option<&str>) -> bool {
        self.admin()
            || organization.is_some_and(|organization| {
                self.organizations
                    .iter()
                    .any(|managed| managed == organization)
            })
    }

    /// Whether it stands above a key.
    pub(super) fn manages_key(&self, key: &Key) -> bool {
        let organization = key.organization_id.as_deref();
        match &key.team_id {
            Some(team) => self.manages_team(team, organization),
            None => self.manages_organization(organization),
        }
    }

    /// Whether it may change a key: as one who stands above it, or as its holder.
    pub(super) fn changes_key(&self, key: &Key) -> bool {
        self.manages_key(key) || self.is(key.user_id.as_deref())
    }

    /// Whether it may look at a key.
    pub(super) fn sees_key(&self, key: &Key) -> bool {
        self.sees_all() || self.key == key.token || self.changes_key(key)
    }

    /// Whether its key opens this path of the admin API.
    pub(super) fn opens(&self, path: &str, reads: bool) -> bool {
        let Some(key) = &self.record else {
            return true;
        };
        let kind = match key.key_type {
            KeyType::LlmApi => false,
            KeyType::ReadOnly => reads,
            KeyType::Default | KeyType::Management => true,
        };
        let named = |route: &String| match route.as_str() {
            "management_routes" => true,
            "info_routes" => reads,
            route => match route.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => path == route,
            },
        };
        kind && (key.allowed_routes.is_empty() || key.allowed_routes.iter().any(named))
    }
}
