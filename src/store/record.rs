//! How each kind of account is stored.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::account::{
    Allowance, Budget, Change, EndUser, Key, Membership, Organization, Period, Scope, Spent, Team,
    Time, User,
};

/// An account as a row.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + Unpin + 'static {
    /// The kind, as [`Scope::parts`] says it.
    const KIND: &'static str;

    /// What it is known by: an id, and a second one for a member.
    fn id(&self) -> (&str, &str);

    /// What else it is looked up by.
    fn columns(&self) -> Columns<'_>;

    /// What changes with it.
    fn change(&self) -> Change;

    /// What it may spend, if it spends.
    fn allowance(&self) -> Option<&Allowance>;

    /// The same, to be filled.
    fn allowance_mut(&mut self) -> Option<&mut Allowance> {
        None
    }

    /// Notes what it has spent.
    fn note(&mut self, spent: &Spent);

    /// Where its spend on a model is counted.
    fn model_scope(&self, _model: &str) -> Option<Scope> {
        None
    }
}

/// Columns that records are looked up by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns<'a> {
    /// An alias, or a mail address.
    pub name: Option<&'a str>,
    /// The user.
    pub user_id: Option<&'a str>,
    /// The team.
    pub team_id: Option<&'a str>,
    /// The organisation.
    pub organization_id: Option<&'a str>,
    /// The reusable budget.
    pub budget_id: Option<&'a str>,
    /// The end of its life.
    pub expires: Option<Time>,
    /// When it was made.
    pub created_at: Time,
}

macro_rules! spends {
    () => {
        fn allowance(&self) -> Option<&Allowance> {
            Some(&self.allowance)
        }

        fn allowance_mut(&mut self) -> Option<&mut Allowance> {
            Some(&mut self.allowance)
        }

        fn note(&mut self, spent: &Spent) {
            self.spend = spent.spend;
            self.budget_reset_at = spent.resets_at;
        }
    };
}

impl Record for Key {
    const KIND: &'static str = "key";

    fn id(&self) -> (&str, &str) {
        (&self.token, "")
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            name: self.key_alias.as_deref(),
            user_id: self.user_id.as_deref(),
            team_id: self.team_id.as_deref(),
            organization_id: self.organization_id.as_deref(),
            budget_id: self.budget_id.as_deref(),
            expires: self.expires,
            created_at: self.created_at,
        }
    }

    fn change(&self) -> Change {
        Change::Key(self.token.clone())
    }

    fn model_scope(&self, model: &str) -> Option<Scope> {
        Some(Scope::KeyModel {
            key: self.token.clone(),
            model: model.to_owned(),
        })
    }

    spends!();
}

impl Record for User {
    const KIND: &'static str = "user";

    fn id(&self) -> (&str, &str) {
        (&self.user_id, "")
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            name: self.user_email.as_deref(),
            organization_id: self.organization_id.as_deref(),
            created_at: self.created_at,
            ..Columns::default()
        }
    }

    fn change(&self) -> Change {
        Change::User(self.user_id.clone())
    }

    fn model_scope(&self, model: &str) -> Option<Scope> {
        Some(Scope::UserModel {
            user: self.user_id.clone(),
            model: model.to_owned(),
        })
    }

    spends!();
}

impl Record for Team {
    const KIND: &'static str = "team";

    fn id(&self) -> (&str, &str) {
        (&self.team_id, "")
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            name: self.team_alias.as_deref(),
            organization_id: self.organization_id.as_deref(),
            created_at: self.created_at,
            ..Columns::default()
        }
    }

    fn change(&self) -> Change {
        Change::Team(self.team_id.clone())
    }

    fn model_scope(&self, model: &str) -> Option<Scope> {
        Some(Scope::TeamModel {
            team: self.team_id.clone(),
            model: model.to_owned(),
        })
    }

    spends!();
}

impl Record for Membership {
    const KIND: &'static str = "member";

    fn id(&self) -> (&str, &str) {
        (&self.team_id, &self.user_id)
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            user_id: Some(&self.user_id),
            team_id: Some(&self.team_id),
            budget_id: self.budget_id.as_deref(),
            ..Columns::default()
        }
    }

    fn change(&self) -> Change {
        Change::Team(self.team_id.clone())
    }

    spends!();
}

impl Record for Organization {
    const KIND: &'static str = "organization";

    fn id(&self) -> (&str, &str) {
        (&self.organization_id, "")
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            name: self.organization_alias.as_deref(),
            budget_id: self.budget_id.as_deref(),
            created_at: self.created_at,
            ..Columns::default()
        }
    }

    fn change(&self) -> Change {
        Change::Organization(self.organization_id.clone())
    }

    fn model_scope(&self, model: &str) -> Option<Scope> {
        Some(Scope::OrganizationModel {
            organization: self.organization_id.clone(),
            model: model.to_owned(),
        })
    }

    spends!();
}

impl Record for EndUser {
    const KIND: &'static str = "end_user";

    fn id(&self) -> (&str, &str) {
        (&self.user_id, "")
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            name: self.alias.as_deref(),
            budget_id: self.budget_id.as_deref(),
            created_at: self.created_at,
            ..Columns::default()
        }
    }

    fn change(&self) -> Change {
        Change::EndUser(self.user_id.clone())
    }

    fn model_scope(&self, model: &str) -> Option<Scope> {
        Some(Scope::EndUserModel {
            end_user: self.user_id.clone(),
            model: model.to_owned(),
        })
    }

    spends!();
}

impl Record for Budget {
    const KIND: &'static str = "budget";

    fn id(&self) -> (&str, &str) {
        (&self.budget_id, "")
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            created_at: self.created_at,
            ..Columns::default()
        }
    }

    fn change(&self) -> Change {
        Change::Budget(self.budget_id.clone())
    }

    /// It is spent by those who name it.
    fn allowance(&self) -> Option<&Allowance> {
        None
    }

    fn note(&mut self, _: &Spent) {}
}

/// The window of an allowance's own money. Money without a window is for ever, so there a window
/// that stands alone says nothing.
pub(super) fn own_period(allowance: &Allowance) -> Option<&Period> {
    allowance.budget_duration.as_ref()
}
