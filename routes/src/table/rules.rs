//! Conditional rules.

use super::{DeploymentId, GroupId, List, Text};

/// Which deployments of a group are asked first, by who asks and what for.
///
/// Of the rules for a group the first one that decides holds: one whose conditions hold prefers
/// [`prefer`](Self::prefer); one whose conditions do not prefers [`otherwise`](Self::otherwise) if
/// that names anybody, and is passed over if not. The others of the group are asked when none of the
/// preferred can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The groups that it is for; empty is all.
    pub groups: List<GroupId>,
    /// Keys, by alias or digest; one of them asks. Empty is any, here and below.
    pub keys: List<Text>,
    /// Teams; one of them asks.
    pub teams: List<Text>,
    /// Users; one of them asks.
    pub users: List<Text>,
    /// Tags; the request has one of them.
    pub tags: List<Text>,
    /// What the request's metadata say: all of it.
    pub metadata: List<(Text, Text)>,
    /// Who is asked first if the conditions hold.
    pub prefer: List<DeploymentId>,
    /// Who is asked first if they do not.
    pub otherwise: List<DeploymentId>,
}
