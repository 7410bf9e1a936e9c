//! Rates that have no room and budgets that cannot pay.

use std::fmt;
use std::time::Duration;

use pointsman_routes::usd::Usd;

use super::words::Float;

/// A rate that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateFault {
    /// What kind of thing is limited: `api_key`, `team`, …
    pub scope: &'static str,
    /// Which one.
    pub who: String,
    /// What of it: `requests`, `tokens`, `max_parallel_requests`.
    pub unit: &'static str,
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// How long until the window ends.
    pub reset: Duration,
    /// When the window ends, as text.
    pub reset_at: String,
}

/// A budget that cannot pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetFault {
    /// What kind of thing has it: `key`, `team`, …
    pub scope: &'static str,
    /// Which one.
    pub who: String,
    /// The model, if it is for one.
    pub model: Option<String>,
    /// What is spent, and reserved for requests under way, in dollars.
    pub spent: Usd,
    /// What may be spent.
    pub limit: Usd,
    /// How long until it begins anew, if it does.
    pub retry_after: Option<Duration>,
    /// The status that the file wants for it.
    pub status: u16,
}

impl fmt::Display for RateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            who,
            unit,
            limit,
            remaining,
            reset_at,
            ..
        } = self;
        write!(
            f,
            "Rate limit exceeded for {scope}: {who}. Limit type: {unit}. Current limit: {limit}, \
             Remaining: {remaining}. Limit resets at: {reset_at}"
        )
    }
}

impl fmt::Display for BudgetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = &self.who;
        f.write_str("Budget has been exceeded! ")?;
        match self.scope {
            "key" | "key_model" | "key_window" => write!(f, "Key={who} ")?,
            "team" | "team_model" | "team_window" => write!(f, "Team={who} ")?,
            "member" => write!(f, "TeamMember={who} ")?,
            "user" | "user_model" | "user_window" => write!(f, "User={who} ")?,
            "organization" | "organization_model" => write!(f, "Organization={who} ")?,
            "end_user" | "end_user_model" => write!(f, "End User={who} ")?,
            _ => {}
        }
        if let Some(model) = &self.model {
            write!(f, "Model={model} ")?;
        }
        let (spent, limit) = (Float(self.spent.to_f64()), Float(self.limit.to_f64()));
        write!(f, "Current cost: {spent}, Max budget: {limit}")
    }
}
