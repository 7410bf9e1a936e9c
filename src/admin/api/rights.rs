//! Who may call what: one table of role and class of endpoint, which the router asks, the
//! documentation prints and the tests go through cell by cell.

use crate::account::Role;

/// What kind of endpoint it is, by who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Changes what is everybody's.
    Proxy,
    /// Looks at what is everybody's.
    Overview,
    /// Changes keys.
    Keys,
    /// Changes what a team has.
    Teams,
    /// Changes what an organisation has.
    Organizations,
    /// Looks at what is one's own.
    Own,
    /// Tells nothing of anybody.
    Anybody,
}

/// How far a right goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everything.
    All,
    /// What is the caller's own, or of a team or organisation that the caller manages.
    Own,
    /// Nothing: the call is refused before anything is looked at.
    Nothing,
}

impl Class {
    /// Every one, as the documentation lists them.
    pub(super) const ALL: [Self; 7] = [
        Self::Proxy,
        Self::Overview,
        Self::Keys,
        Self::Teams,
        Self::Organizations,
        Self::Own,
        Self::Anybody,
    ];

    /// How far a role reaches. `None` is a key that is nobody's, or a team's.
    #[expect(
        clippy::match_same_arms,
        reason = "a rule of the table is a line here, too"
    )]
    pub(super) const fn reach(self, role: Option<Role>) -> Reach {
        use Reach::{All, Nothing, Own};
        match (self, role) {
            (_, Some(Role::ProxyAdmin)) | (Self::Anybody, _) => All,
            (Self::Overview | Self::Own, Some(Role::ProxyAdminViewer)) => All,
            (_, Some(Role::ProxyAdminViewer)) => Nothing,
            (Self::Proxy | Self::Overview, _) => Nothing,
            (Self::Own, _) => Own,
            (Self::Keys | Self::Teams, Some(Role::OrgAdmin | Role::InternalUser)) => Own,
            (Self::Organizations, Some(Role::OrgAdmin)) => Own,
            // A viewer can be the admin of a team, which is a right of its own.
            (Self::Teams, Some(Role::InternalUserViewer)) => Own,
            (Self::Keys | Self::Teams | Self::Organizations, _) => Nothing,
        }
    }

    /// As the documentation says it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Proxy => "changes what is everybody's",
            Self::Overview => "looks at what is everybody's",
            Self::Keys => "changes keys",
            Self::Teams => "changes what a team has",
            Self::Organizations => "changes what an organisation has",
            Self::Own => "looks at what is one's own",
            Self::Anybody => "tells nothing of anybody",
        }
    }
}
