//! Which failures are tried again, and where.
//!
//! | class | the same deployment | another one of the group | retries, if nobody says |
//! |---|---|---|---|
//! | timeout, connect, conflict, server, malformed, cut | yes | yes | `num_retries` |
//! | rate limit | if there is no fallback | yes | `num_retries` |
//! | authentication | no | yes | `num_retries` |
//! | not found | no | no | – |
//! | bad request | yes | yes | none |
//! | context window, content policy | yes, without a list of their own | the same | none |
//!
//! Where `retry_policy` names a class, its count holds; the last two rows are tried again only then.

use pointsman_routes::table::RetryPolicy;

use crate::error::{Failure, NoDeployment, Rehearsal};
pub use crate::routing::class::Class;

/// Whom another attempt may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Anybody of the group, whether asked already or not.
    Anybody,
    /// Those who were not asked.
    Others,
    /// Anybody, if the policy of the class says how often.
    IfTold,
    /// Nobody of the group.
    Nobody,
}

/// The table.
pub const fn again(class: Class) -> Again {
    match class {
        Class::Timeout
        | Class::Connect
        | Class::Conflict
        | Class::Server
        | Class::Malformed
        | Class::Cut
        | Class::RateLimit => Again::Anybody,
        Class::Authentication => Again::Others,
        Class::BadRequest | Class::ContextWindow | Class::ContentPolicy => Again::IfTold,
        Class::NotFound => Again::Nobody,
    }
}

/// The class of a failure; `None` if no deployment of the group could be asked.
pub fn of(failure: &Failure) -> Option<Class> {
    match failure {
        Failure::Upstream(_) => Class::of(failure),
        Failure::NoDeployment {
            why: NoDeployment::Window { .. },
            ..
        } => Some(Class::ContextWindow),
        Failure::Rehearsed { act, .. } => Some(match act {
            Rehearsal::Fallbacks => Class::Server,
            Rehearsal::ContextWindow => Class::ContextWindow,
            Rehearsal::ContentPolicy => Class::ContentPolicy,
            Rehearsal::RateLimit => Class::RateLimit,
            Rehearsal::Timeout => Class::Timeout,
        }),
        Failure::NoDeployment { .. }
        | Failure::Request(_)
        | Failure::Denied(_)
        | Failure::Api { .. }
        | Failure::Limited(_)
        | Failure::OverBudget(_)
        | Failure::LedgerDown
        | Failure::Internal => None,
    }
}

/// How often a policy lets this class be tried again.
pub fn told(class: Class, policies: [Option<RetryPolicy>; 2]) -> Option<u32> {
    let mut told = policies.into_iter().flatten();
    told.find_map(|policy| class.in_policy(&policy))
}
