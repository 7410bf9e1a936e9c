//! Whose spend is counted.

use pointsman_routes::usd::Usd;
use serde::{Deserialize, Serialize};

use super::{Period, Time};

/// A sum of spend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of it.
    Proxy,
    /// An organisation's.
    Organization(String),
    /// A team's.
    Team(String),
    /// A team's on one model group.
    TeamModel {
        /// The team.
        team: String,
        /// The model group.
        model: String,
    },
    /// A user's for one team.
    Member {
        /// The team.
        team: String,
        /// The user.
        user: String,
    },
    /// A user's.
    User(String),
    /// A user's on one model group.
    UserModel {
        /// The user.
        user: String,
        /// The model group.
        model: String,
    },
    /// A key's, by its hash.
    Key(String),
    /// A key's on one model group.
    KeyModel {
        /// The key's hash.
        key: String,
        /// The model group.
        model: String,
    },
    /// An end user's.
    EndUser(String),
    /// An end user's on one model group.
    EndUserModel {
        /// The end user.
        end_user: String,
        /// The model group.
        model: String,
    },
    /// An organisation's on one model group.
    OrganizationModel {
        /// The organisation.
        organization: String,
        /// The model group.
        model: String,
    },
    /// A tag's.
    Tag(String),
    /// The same as its holder's, in one window of several.
    Window {
        /// Whose it is.
        holder: Holder,
        /// The holder's id.
        id: String,
        /// The window, as it was written.
        period: String,
    },
}

/// Who may have money in several windows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A key.
    Key,
    /// A team.
    Team,
    /// A user.
    User,
}

impl Scope {
    /// The same in a window beside its own; `None` for those who have none.
    pub fn in_window(&self, period: &Period) -> Option<Self> {
        let (holder, id) = match self {
            Self::Key(id) => (Holder::Key, id),
            Self::Team(id) => (Holder::Team, id),
            Self::User(id) => (Holder::User, id),
            _ => return None,
        };
        Some(Self::Window {
            holder,
            id: id.clone(),
            period: period.as_str().to_owned(),
        })
    }

    /// The kind, and one or two ids: how it is stored.
    pub fn parts(&self) -> (&'static str, &str, &str) {
        match self {
            Self::Proxy => ("proxy", "", ""),
            Self::Organization(id) => ("organization", id, ""),
            Self::Team(id) => ("team", id, ""),
            Self::TeamModel { team, model } => ("team_model", team, model),
            Self::Member { team, user } => ("member", team, user),
            Self::User(id) => ("user", id, ""),
            Self::UserModel { user, model } => ("user_model", user, model),
            Self::Key(hash) => ("key", hash, ""),
            Self::KeyModel { key, model } => ("key_model", key, model),
            Self::EndUser(id) => ("end_user", id, ""),
            Self::EndUserModel { end_user, model } => ("end_user_model", end_user, model),
            Self::OrganizationModel {
                organization,
                model,
            } => ("organization_model", organization, model),
            Self::Tag(tag) => ("tag", tag, ""),
            Self::Window { holder, id, period } => {
                let kind = match holder {
                    Holder::Key => "key_window",
                    Holder::Team => "team_window",
                    Holder::User => "user_window",
                };
                (kind, id, period)
            }
        }
    }
}

/// What a scope has spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In the running window.
    pub spend: Usd,
    /// Ever: the sum over all its rows.
    pub total: Usd,
    /// When the window began; the first instant of 1970 without one.
    pub since: Time,
    /// When the window ends.
    pub resets_at: Option<Time>,
}
