//! Who calls the admin API, and what is theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::refusal::Refusal;
use crate::access::admit::covers;
use crate::account::{Accounts, Bearer, Key, KeyType, Organization, Role, Team, User};
use crate::call::Principal;
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
    /// What its teams let their members do with the teams' keys, as paths.
    permits: BTreeMap<String, Vec<String>>,
    /// The teams that it is in.
    pub(super) teams: Vec<String>,
    /// The organisations that it manages.
    pub(super) organizations: Vec<String>,
}

/// The organisations that have the user among their members as their admin.
pub(super) async fn managed(store: &Store, user: &User) -> Result<Vec<String>, Refusal> {
    let mut ids = user.organizations.clone();
    ids.extend(user.organization_id.clone());
    let found = store.several::<Organization>(&ids).await?;
    let as_admin = |organization: &Organization| {
        organization.members.get(&user.user_id) == Some(&Role::OrgAdmin)
    };
    Ok(found
        .into_iter()
        .filter(as_admin)
        .map(|organization| organization.organization_id)
        .collect())
}

/// What members may do with a team's keys unless the team says otherwise; LiteLLM's.
pub(super) const DEFAULT_PERMISSIONS: [&str; 2] = ["/key/info", "/key/health"];

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
            permits: BTreeMap::new(),
            teams: Vec::new(),
            organizations: Vec::new(),
        }
    }

    /// The holder of the key of this hash, as the database knows it now: rights that were taken
    /// away are gone with the next call.
    pub(super) async fn of(store: &Store, hash: &str) -> Result<Self, Refusal> {
        let unknown = || Refusal::role("", "unknown", "None");
        let bearer = store.bearer(hash).await?.ok_or_else(unknown)?;
        Self::bearing(store, &bearer).await
    }

    /// The holder of a token of the identity provider, whose user is read anew; what the token itself
    /// says of an admin counts.
    pub(super) async fn of_token(store: &Store, principal: &Principal) -> Result<Self, Refusal> {
        let unknown = || Refusal::role("", "unknown", "None");
        let mut bearer = principal.bearer.as_deref().cloned().ok_or_else(unknown)?;
        if !principal.admin
            && let Some(id) = &bearer.key.user_id
        {
            bearer.user = store.get::<User>(id).await?;
        }
        Self::bearing(store, &bearer).await
    }

    /// The holder of a key, or of a token that stands for one.
    async fn bearing(store: &Store, bearer: &Bearer) -> Result<Self, Refusal> {
        let user = bearer.user.as_ref();
        let mut caller = Self {
            key: bearer.key.token.clone(),
            role: user.map(|user| user.user_role.unwrap_or_default()),
            user_id: bearer.key.user_id.clone(),
            record: Some(Arc::new(bearer.key.clone())),
            manages: Vec::new(),
            permits: BTreeMap::new(),
            teams: user.map(|user| user.teams.clone()).unwrap_or_default(),
            organizations: Vec::new(),
        };
        if let Some(user) = user {
            caller.read_places(store, user).await?;
        }
        Ok(caller)
    }

    /// Reads what the user is in its teams and organisations. Who manages an organisation is an
    /// `org_admin` in all but name.
    async fn read_places(&mut self, store: &Store, user: &User) -> Result<(), Refusal> {
        for team in store.several::<Team>(&user.teams).await? {
            if team.admin(&user.user_id) {
                self.manages.push(team.team_id.clone());
            }
            if team.member(&user.user_id).is_some() {
                self.permits
                    .insert(team.team_id, team.team_member_permissions);
            }
        }
        if user.role() == Role::OrgAdmin {
            self.organizations.extend(user.organization_id.clone());
        }
        for organization in managed(store, user).await? {
            if !self.organizations.contains(&organization) {
                self.organizations.push(organization);
            }
        }
        let below = matches!(
            user.role(),
            Role::InternalUser | Role::InternalUserViewer | Role::Team | Role::Customer
        );
        if below && !self.organizations.is_empty() {
            self.role = Some(Role::OrgAdmin);
        }
        Ok(())
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
        self.sees_all()
            || self.key == key.token
            || self.changes_key(key)
            || self.permitted(key.team_id.as_deref(), "/key/info")
    }

    /// Whether it is in a team whose members may do this with the team's keys: look at them, unless
    /// the team says otherwise.
    pub(super) fn permitted(&self, team: Option<&str>, path: &str) -> bool {
        let permitted = team.and_then(|team| self.permits.get(team));
        permitted.is_some_and(|paths| match &paths[..] {
            [] => DEFAULT_PERMISSIONS.contains(&path),
            paths => paths.iter().any(|permitted| permitted == path),
        })
    }

    /// What it may do with the keys of a team that it is in.
    pub(super) fn permissions(&self, team: &str) -> Vec<&str> {
        match self.permits.get(team).map(Vec::as_slice) {
            None => Vec::new(),
            Some([]) => DEFAULT_PERMISSIONS.to_vec(),
            Some(paths) => paths.iter().map(String::as_str).collect(),
        }
    }

    /// Whether it is in a team.
    pub(super) fn is_member(&self, team: Option<&str>) -> bool {
        team.is_some_and(|team| self.permits.contains_key(team))
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
            route => covers(route, path),
        };
        kind && (key.allowed_routes.is_empty() || key.allowed_routes.iter().any(named))
    }
}
