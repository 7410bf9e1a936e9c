//! How budgets and rates stand, for those who look on.

use std::collections::HashSet;
use std::sync::Arc;

use pointsman_layers::budget::{Standing, Usd};
use pointsman_layers::token_bucket::{self, Unit};
use pointsman_routes::usd;

use super::Access;
use crate::account::{Scope, Time};
use crate::call::Principal;
use crate::call::means::Purse;

/// A budget that is in memory.
#[derive(Clone, Debug)]
pub struct BudgetStanding {
    /// Whose it is.
    pub scope: Scope,
    /// What its owner is called, if it has such a name.
    pub alias: Option<String>,
    /// What may be spent.
    pub max: Usd,
    /// What is spent and reserved of it, and until when that counts.
    pub standing: Standing,
}

/// What a key has left of its rates for one model.
#[derive(Clone, Debug)]
pub struct ModelStanding {
    /// The key's hash.
    pub key: Arc<str>,
    /// The key's alias.
    pub alias: Option<Arc<str>>,
    /// The model group.
    pub model: String,
    /// Requests that are left in this minute, if they are limited.
    pub requests: Option<u64>,
    /// Tokens that are left in this minute, if they are limited.
    pub tokens: Option<u64>,
}

/// What is in memory of budgets and of rates for single models.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The budgets, in no order.
    pub budgets: Vec<BudgetStanding>,
    /// The rates, in no order.
    pub models: Vec<ModelStanding>,
    /// How many there are beyond those.
    pub left_out: usize,
}

impl Access {
    /// How the budgets of keys, teams, users, organisations and the proxy stand that requests have
    /// asked for lately, and the rates of keys for single models: at most `most` of each.
    pub fn overview(&self, most: usize) -> Overview {
        let mut overview = Overview::default();
        let mut seen = HashSet::new();
        let mut add = |overview: &mut Overview, purse: &Purse, alias: Option<&str>| {
            let Some(max) = purse.budget(Time::now).max() else {
                return;
            };
            if !seen.insert(purse.id()) {
                return;
            }
            if overview.budgets.len() >= most {
                overview.left_out += 1;
                return;
            }
            overview.budgets.push(BudgetStanding {
                scope: purse.scope.clone(),
                alias: alias.map(str::to_owned),
                max,
                standing: self.0.ledger.standing(purse.id()),
            });
        };
        if let Some(proxy) = self.proxy_purse() {
            add(&mut overview, &proxy, None);
        }
        self.0.keys.for_each(|principal| {
            for purse in principal.means().own_purses() {
                add(&mut overview, purse, alias_of(&purse.scope, principal));
            }
            self.add_models(&mut overview, principal, most);
        });
        overview
    }

    fn add_models(&self, overview: &mut Overview, principal: &Principal, most: usize) {
        for (model, limit) in principal.means().model_limits() {
            if limit.scope.name() != "model_per_key" {
                continue;
            }
            if overview.models.len() >= most {
                overview.left_out += 1;
                continue;
            }
            let standings = self.0.buckets.standings(&limit.scope);
            let left = |unit, standing: Option<token_bucket::Standing>| {
                let limit = limit.scope.limit(unit)?;
                Some(standing.map_or(limit, |standing| standing.remaining))
            };
            overview.models.push(ModelStanding {
                key: Arc::clone(&principal.key),
                alias: principal.alias.clone(),
                model: model.to_owned(),
                requests: left(Unit::Requests, standings.requests),
                tokens: left(Unit::Tokens, standings.tokens),
            });
        }
    }

    /// What running requests of this gateway have reserved of a budget.
    pub fn reserved(&self, scope: &Scope) -> usd::Usd {
        let reserved = self.0.ledger.standing(Purse::id_of(scope)).reserved;
        usd::Usd(reserved.picos().into())
    }
}

/// What the owner of a budget is called.
fn alias_of<'a>(scope: &Scope, principal: &'a Principal) -> Option<&'a str> {
    let bearer = principal.bearer.as_deref();
    match scope {
        Scope::Key(_) => principal.alias.as_deref(),
        Scope::Team(_) => bearer?.team.as_ref()?.team_alias.as_deref(),
        Scope::Organization(_) => bearer?.organization.as_ref()?.organization_alias.as_deref(),
        _ => None,
    }
}
