//! Whom a key answers to: users, teams and their members, organisations, end users.

use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::allowance::or_default;
use super::{Allowance, Period, Time, money};

/// What a user may do in the admin API.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    ProxyAdmin,
    /// Look at everything.
    ProxyAdminViewer,
    /// What belongs to the organisation.
    OrgAdmin,
    /// Make and change own keys, look at own spend.
    InternalUser,
    /// Look at own keys and spend.
    #[default]
    InternalUserViewer,
    /// A team's own key.
    Team,
    /// A customer's own key.
    Customer,
}

impl Role {
    /// As the API writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ProxyAdmin => "proxy_admin",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::OrgAdmin => "org_admin",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
            Self::Team => "team",
            Self::Customer => "customer",
        }
    }
}

/// Somebody who holds keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// The id.
    pub user_id: String,
    /// A mail address.
    pub user_email: Option<String>,
    /// A name.
    pub user_alias: Option<String>,
    /// What the user may do in the admin API; without one, look at own keys and spend.
    pub user_role: Option<Role>,
    /// The teams that the user is in.
    #[serde(deserialize_with = "or_default")]
    pub teams: Vec<String>,
    /// The organisation.
    pub organization_id: Option<String>,
    /// Organisations that have the user among their members; what the user is there, they say.
    #[serde(deserialize_with = "or_default")]
    pub organizations: Vec<String>,
    /// Models of keys without a team; none is all. `no-default-models` is none of them.
    #[serde(deserialize_with = "or_default")]
    pub models: Vec<String>,
    /// What the user has spent in the running window. Read from the counters.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Money and rates of keys without a team.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// When the money begins anew. Read from the counters.
    pub budget_reset_at: Option<Time>,
    /// The operator's notes.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
    /// Who the identity provider says it is.
    pub sso_user_id: Option<String>,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

impl User {
    /// What the user may do in the admin API.
    pub fn role(&self) -> Role {
        self.user_role.unwrap_or_default()
    }
}

/// What a member may do in a team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Manage members and keys.
    Admin,
    /// Use the team's models.
    #[default]
    User,
}

/// A member as a team lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// What the member may do.
    pub role: MemberRole,
    /// The user.
    pub user_id: Option<String>,
    /// The user's mail address, if that is what is known.
    pub user_email: Option<String>,
}

/// Users that share models and money.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Team {
    /// The id.
    pub team_id: String,
    /// A name.
    pub team_alias: Option<String>,
    /// The organisation.
    pub organization_id: Option<String>,
    /// The members.
    #[serde(deserialize_with = "or_default")]
    pub members_with_roles: Vec<Member>,
    /// The models that its keys may ask for; none is all.
    #[serde(deserialize_with = "or_default")]
    pub models: Vec<String>,
    /// Other names for models, for its keys.
    #[serde(deserialize_with = "or_default")]
    pub model_aliases: BTreeMap<String, String>,
    /// What it has spent in the running window. Read from the counters.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Money and rates of the team as a whole.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// Money per model, in the team's own window.
    #[serde(with = "money::by_name")]
    pub model_spend_map: BTreeMap<String, Usd>,
    /// When its money begins anew. Read from the counters.
    pub budget_reset_at: Option<Time>,
    /// Its keys open nothing while this is true.
    #[serde(deserialize_with = "or_default")]
    pub blocked: bool,
    /// Money of each member who has no own.
    #[serde(with = "money::maybe")]
    pub team_member_budget: Option<Usd>,
    /// The window of that money.
    pub team_member_budget_duration: Option<Period>,
    /// Requests per minute of each member who has no own.
    pub team_member_rpm_limit: Option<u64>,
    /// Tokens per minute of each member who has no own.
    pub team_member_tpm_limit: Option<u64>,
    /// How long keys live that members make.
    pub team_member_key_duration: Option<Period>,
    /// What members who are no admins may do with the team's keys, as paths of the admin API.
    #[serde(deserialize_with = "or_default")]
    pub team_member_permissions: Vec<String>,
    /// The operator's notes; some of them mean something.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
    /// Tags of each of its requests.
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Guardrails of each of its requests.
    #[serde(deserialize_with = "or_default")]
    pub guardrails: Vec<String>,
    /// Servers and stores that it may use; noted, not enforced.
    pub object_permission: Option<Map<String, Value>>,
    /// Router settings of its own; noted, not enforced.
    pub router_settings: Option<Map<String, Value>>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

impl Team {
    /// The place of a user in it.
    pub fn member(&self, user: &str) -> Option<&Member> {
        let is = |member: &&Member| member.user_id.as_deref() == Some(user);
        self.members_with_roles.iter().find(is)
    }

    /// Whether a user manages it.
    pub fn admin(&self, user: &str) -> bool {
        self.member(user)
            .is_some_and(|member| member.role == MemberRole::Admin)
    }
}

/// What a member may use of a team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Membership {
    /// The user.
    pub user_id: String,
    /// The team.
    pub team_id: String,
    /// The reusable budget that fills what `allowance` leaves open.
    pub budget_id: Option<String>,
    /// What the member has spent in the running window. Read from the counters.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Money and rates of the member inside the team.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// When the money begins anew. Read from the counters.
    pub budget_reset_at: Option<Time>,
}

/// Teams and users that share a budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// The id.
    pub organization_id: String,
    /// A name.
    pub organization_alias: Option<String>,
    /// The reusable budget that fills what `allowance` leaves open.
    pub budget_id: Option<String>,
    /// The models that its keys may ask for; none is all.
    #[serde(deserialize_with = "or_default")]
    pub models: Vec<String>,
    /// The users in it, with what they may do there.
    #[serde(deserialize_with = "or_default")]
    pub members: BTreeMap<String, Role>,
    /// What it has spent in the running window. Read from the counters.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Money and rates of the organisation as a whole.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// When its money begins anew. Read from the counters.
    pub budget_reset_at: Option<Time>,
    /// The operator's notes.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A customer of the key's holder: the `user` of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndUser {
    /// The id.
    pub user_id: String,
    /// A name.
    pub alias: Option<String>,
    /// Requests for it are refused while this is true.
    #[serde(deserialize_with = "or_default")]
    pub blocked: bool,
    /// Where its data may be processed: `eu` or `us`.
    pub allowed_model_region: Option<String>,
    /// The group of its requests that name none.
    pub default_model: Option<String>,
    /// The reusable budget that fills what `allowance` leaves open.
    pub budget_id: Option<String>,
    /// What it has spent in the running window. Read from the counters.
    #[serde(with = "money::always")]
    pub spend: Usd,
    /// Money and rates.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// When its money begins anew. Read from the counters.
    pub budget_reset_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}
