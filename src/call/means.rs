//! Limits and budgets of a principal, in the form in which requests count against them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pointsman_layers::budget::{Budget, Usd, Window};
use pointsman_layers::token_bucket::{self, Id, Rate};
use pointsman_routes::usd;

use crate::account::{Allowance, Bearer, EndUser, Holder, Period, Scope, Time};
use crate::live::Rules;

/// The window of rates; LiteLLM's.
const MINUTE: Duration = Duration::from_mins(1);

/// The limits and budgets of whoever a request counts against.
#[derive(Clone, Debug, Default)]
pub struct Means {
    limits: Vec<Limit>,
    model_limits: BTreeMap<Box<str>, Vec<Limit>>,
    purses: Vec<Purse>,
    model_purses: BTreeMap<Box<str>, Vec<Purse>>,
}

/// Rates, and whose they are.
#[derive(Clone, Debug)]
pub struct Limit {
    /// As buckets know it.
    pub scope: token_bucket::Scope,
    /// As errors name it.
    pub who: Arc<str>,
}

/// A budget, and whose it is.
#[derive(Clone, Debug)]
pub struct Purse {
    budget: Budget,
    /// What the budget is raised by, and until when.
    raise: Option<(usd::Usd, Time)>,
    /// As rows of the spend log are counted for it.
    pub scope: Scope,
    /// As errors name it.
    pub who: Arc<str>,
}

impl Purse {
    fn new(scope: Scope, who: &str, max: Option<usd::Usd>, period: Option<&Period>) -> Self {
        let (kind, _, _) = scope.parts();
        let id = Self::id_of(&scope);
        let window = period.map_or(Window::Total, Period::window);
        let budget = Budget::new(kind, id).window(window);
        Self {
            budget: match max {
                Some(max) => budget.limit(picos(max)),
                None => budget,
            },
            raise: None,
            scope,
            who: who.into(),
        }
    }

    fn soft(mut self, soft: Option<usd::Usd>) -> Self {
        if let Some(soft) = soft {
            self.budget = self.budget.alert_at(picos(soft));
        }
        self
    }

    /// The whole proxy's.
    pub fn of_proxy(max: usd::Usd, window: Window) -> Self {
        let mut purse = Self::new(Scope::Proxy, "", Some(max), None);
        purse.budget = purse.budget.window(window);
        purse
    }

    /// The account of a scope, as the ledger knows it.
    pub fn id_of(scope: &Scope) -> Id {
        let (kind, first, second) = scope.parts();
        Id::new(kind, [first, second].join("\0"))
    }

    /// The account, as the ledger knows it.
    pub const fn id(&self) -> Id {
        self.budget.id()
    }

    /// When its money begins anew.
    pub const fn window(&self) -> Window {
        self.budget.lasts()
    }

    /// The budget as it is now.
    pub fn budget(&self, now: impl FnOnce() -> Time) -> Budget {
        match (self.raise, self.budget.max()) {
            (Some((raise, until)), Some(max)) if now() < until => {
                self.budget.limit(max.plus(picos(raise)))
            }
            _ => self.budget,
        }
    }
}

/// Money as the layers count it: at most 18 million dollars.
pub fn picos(amount: usd::Usd) -> Usd {
    Usd::from_picos(u64::try_from(amount.0.max(0)).unwrap_or(u64::MAX))
}

impl Means {
    /// Those of the holder of a key.
    pub fn of(bearer: &Bearer, rules: &Rules) -> Self {
        let mut means = Self::default();
        means.of_organization(bearer);
        means.of_team(bearer);
        means.of_member(bearer);
        means.of_user(bearer, rules);
        means.of_key(bearer);
        means
    }

    /// Those of an end user. `None` if it has none.
    pub fn of_end_user(user: &EndUser, rules: &Rules) -> Option<Self> {
        let mut means = Self::default();
        let (id, allowance) = (&user.user_id, &user.allowance);
        means.limit("end_user", "end_user", id, allowance);
        let max = allowance.max_budget.or(rules.end_user);
        let period = allowance.budget_duration.as_ref();
        means.purse(
            Purse::new(Scope::EndUser(id.clone()), id, max, period).soft(allowance.soft_budget),
        );
        means.model_budgets(allowance, id, |model| Scope::EndUserModel {
            end_user: id.clone(),
            model,
        });
        (!means.is_empty()).then_some(means)
    }

    fn is_empty(&self) -> bool {
        self.limits.is_empty()
            && self.model_limits.is_empty()
            && self.purses.is_empty()
            && self.model_purses.is_empty()
    }

    fn of_organization(&mut self, bearer: &Bearer) {
        let Some(organization) = &bearer.organization else {
            return;
        };
        let (id, allowance) = (&organization.organization_id, &organization.allowance);
        self.limit("organization", "organization", id, allowance);
        let period = allowance.budget_duration.as_ref();
        let purse = Purse::new(
            Scope::Organization(id.clone()),
            id,
            allowance.max_budget,
            period,
        );
        self.purse(purse.soft(allowance.soft_budget));
        self.model_budgets(allowance, id, |model| Scope::OrganizationModel {
            organization: id.clone(),
            model,
        });
    }

    fn of_team(&mut self, bearer: &Bearer) {
        let Some(team) = &bearer.team else {
            return;
        };
        let (id, allowance) = (&team.team_id, &team.allowance);
        self.limit("team", "team", id, allowance);
        self.model_limits_of("model_per_team", "team_model", id, allowance);
        let period = allowance.budget_duration.as_ref();
        let purse = Purse::new(Scope::Team(id.clone()), id, allowance.max_budget, period);
        self.purse(purse.soft(allowance.soft_budget));
        self.windows_of(&Scope::Team(id.clone()), id, allowance);
        let scope = |model| Scope::TeamModel {
            team: id.clone(),
            model,
        };
        self.model_budgets(allowance, id, scope);
        for (model, max) in &team.model_spend_map {
            // A model's budget of its own says more.
            if !allowance.model_max_budget.contains_key(model) {
                let purse = Purse::new(scope(model.clone()), id, Some(*max), period);
                self.model_purses
                    .entry(model.as_str().into())
                    .or_default()
                    .push(purse);
            }
        }
    }

    fn of_member(&mut self, bearer: &Bearer) {
        let (Some(team), Some(user)) = (&bearer.team, &bearer.key.user_id) else {
            return;
        };
        let mut allowance = bearer
            .membership
            .as_ref()
            .map(|membership| membership.allowance.clone())
            .unwrap_or_default();
        let shared = Allowance {
            max_budget: team.team_member_budget,
            budget_duration: team.team_member_budget_duration.clone(),
            rpm_limit: team.team_member_rpm_limit,
            tpm_limit: team.team_member_tpm_limit,
            ..Allowance::default()
        };
        allowance.fill(&shared);
        let who = format!("{}:{user}", team.team_id);
        self.limit("team_member", "member", &who, &allowance);
        let scope = Scope::Member {
            team: team.team_id.clone(),
            user: user.clone(),
        };
        let period = allowance.budget_duration.as_ref();
        self.purse(
            Purse::new(scope, &who, allowance.max_budget, period).soft(allowance.soft_budget),
        );
    }

    fn of_user(&mut self, bearer: &Bearer, rules: &Rules) {
        let Some(user) = &bearer.user else {
            return;
        };
        let (id, allowance) = (&user.user_id, &user.allowance);
        self.limit("user", "user", id, allowance);
        // LiteLLM holds a team's key to the team's budget and the member's, not to the user's own.
        if bearer.team.is_some() && !rules.user_of_team {
            return;
        }
        let (max, period) = match (allowance.max_budget, &rules.user) {
            (None, Some((max, period))) => (Some(*max), period.as_ref()),
            (max, _) => (max, allowance.budget_duration.as_ref()),
        };
        let purse = Purse::new(Scope::User(id.clone()), id, max, period);
        self.purse(purse.soft(allowance.soft_budget));
        self.windows_of(&Scope::User(id.clone()), id, allowance);
        self.model_budgets(allowance, id, |model| Scope::UserModel {
            user: id.clone(),
            model,
        });
    }

    fn of_key(&mut self, bearer: &Bearer) {
        let key = &bearer.key;
        let (hash, allowance) = (&key.token, &key.allowance);
        self.limit("api_key", "key", hash, allowance);
        self.model_limits_of("model_per_key", "key_model", hash, allowance);
        let period = allowance.budget_duration.as_ref();
        let who = format!("key ({})", key.key_name);
        let purse = Purse::new(Scope::Key(hash.clone()), &who, allowance.max_budget, period);
        // It is counted in any case: answers tell what the key has spent.
        self.purses.push(Purse {
            raise: key.temp_budget_increase.zip(key.temp_budget_expiry),
            ..purse.soft(allowance.soft_budget)
        });
        self.windows_of(&Scope::Key(hash.clone()), &who, allowance);
        self.model_budgets(allowance, &who, |model| Scope::KeyModel {
            key: hash.clone(),
            model,
        });
    }

    fn limit(&mut self, name: &'static str, kind: &str, id: &str, allowance: &Allowance) {
        let scope = token_bucket::Scope::new(name, Id::new(kind, id));
        let (rpm, tpm) = (allowance.rpm_limit, allowance.tpm_limit);
        self.limits.extend(limited(
            scope,
            rpm,
            tpm,
            allowance.max_parallel_requests,
            id,
        ));
    }

    fn model_limits_of(&mut self, name: &'static str, kind: &str, id: &str, allowance: &Allowance) {
        let (rpm, tpm) = (&allowance.model_rpm_limit, &allowance.model_tpm_limit);
        let mut models: Vec<_> = rpm.keys().chain(tpm.keys()).collect();
        models.sort_unstable();
        models.dedup();
        for model in models {
            let scope = token_bucket::Scope::new(name, Id::new(kind, [id, model].join("\0")));
            let who = format!("{id}:{model}");
            let (rpm, tpm) = (rpm.get(model).copied(), tpm.get(model).copied());
            self.model_limits
                .entry(model.as_str().into())
                .or_default()
                .extend(limited(scope, rpm, tpm, None, &who));
        }
    }

    fn purse(&mut self, purse: Purse) {
        if purse.budget.max().is_some() || purse.budget.thresholds().next().is_some() {
            self.purses.push(purse);
        }
    }

    fn model_budgets(&mut self, allowance: &Allowance, who: &str, scope: impl Fn(String) -> Scope) {
        for (model, budget) in &allowance.model_max_budget {
            let period = budget.time_period.as_ref();
            let purse = Purse::new(scope(model.clone()), who, Some(budget.budget_limit), period);
            self.model_purses
                .entry(model.as_str().into())
                .or_default()
                .push(purse);
        }
    }

    /// Budgets of windows of their own.
    fn windows_of(&mut self, scope: &Scope, who: &str, allowance: &Allowance) {
        for limit in &allowance.budget_limits {
            let period = &limit.budget_duration;
            let scope = scope.in_window(period);
            self.purses.extend(
                scope.map(|scope| Purse::new(scope, who, Some(limit.max_budget), Some(period))),
            );
        }
    }

    /// The windows that requests count in beside those of their holders.
    pub fn windows(&self) -> impl Iterator<Item = (Holder, &str)> {
        self.purses.iter().filter_map(|purse| match &purse.scope {
            Scope::Window { holder, period, .. } => Some((*holder, period.as_str())),
            _ => None,
        })
    }

    /// The limits of a request for a model group.
    pub fn limits<'a>(&'a self, model: &str) -> impl Iterator<Item = &'a Limit> {
        let of_model = self.model_limits.get(model);
        self.limits.iter().chain(of_model.into_iter().flatten())
    }

    /// The budgets of a request for a model group.
    pub fn purses<'a>(&'a self, model: &str) -> impl Iterator<Item = &'a Purse> {
        let of_model = self.model_purses.get(model);
        self.purses.iter().chain(of_model.into_iter().flatten())
    }

    /// Every budget, whatever is asked for.
    pub fn all_purses(&self) -> impl Iterator<Item = &Purse> {
        self.purses
            .iter()
            .chain(self.model_purses.values().flatten())
    }

    /// The budgets for whatever is asked for.
    pub fn own_purses(&self) -> impl Iterator<Item = &Purse> {
        self.purses.iter()
    }

    /// The limits for single models, and which.
    pub fn model_limits(&self) -> impl Iterator<Item = (&str, &Limit)> {
        let limits = self.model_limits.iter();
        limits.flat_map(|(model, limits)| limits.iter().map(move |limit| (&**model, limit)))
    }

    /// Whether there is a limit or a budget for this model alone.
    pub fn names(&self, model: &str) -> bool {
        self.model_limits.contains_key(model) || self.model_purses.contains_key(model)
    }

    /// Whether there is nothing that it may not exceed.
    pub fn unlimited(&self) -> bool {
        self.limits.is_empty()
            && self.model_limits.is_empty()
            && self.all_purses().all(|purse| purse.budget.max().is_none())
    }

    /// The key's own budget; it is there, without a limit, for a key that has none.
    pub fn key_purse(&self) -> Option<&Purse> {
        self.purses
            .iter()
            .find(|purse| matches!(purse.scope, Scope::Key(_)))
    }

    /// The key's own limits.
    pub fn key_limit(&self) -> Option<&Limit> {
        self.limits
            .iter()
            .find(|limit| limit.scope.name() == "api_key")
    }
}

/// A limit, unless it limits nothing.
fn limited(
    mut scope: token_bucket::Scope,
    rpm: Option<u64>,
    tpm: Option<u64>,
    parallel: Option<u64>,
    who: &str,
) -> Option<Limit> {
    let rate = |max| Rate::per(max, MINUTE).fixed();
    if let Some(rpm) = rpm {
        scope = scope.requests(rate(rpm));
    }
    if let Some(tpm) = tpm {
        scope = scope.tokens(rate(tpm));
    }
    if let Some(parallel) = parallel {
        scope = scope.parallel(parallel);
    }
    let limits = rpm.or(tpm).or(parallel).is_some();
    limits.then(|| Limit {
        scope,
        who: who.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bearer(key: Value) -> Bearer {
        Bearer {
            key: serde_json::from_value(key).unwrap(),
            ..Bearer::default()
        }
    }

    fn budgets(means: &Means, model: &str) -> Vec<(&'static str, Option<String>)> {
        let shown = |purse: &Purse| {
            let budget = purse.budget(|| Time(5));
            (budget.scope(), budget.max().map(|max| max.to_string()))
        };
        means.purses(model).map(shown).collect()
    }

    #[test]
    fn a_key_counts_against_everybody_it_answers_to() {
        let mut bearer = bearer(json!({"token": "hash", "user_id": "u", "team_id": "t",
            "max_budget": 1, "model_max_budget": {"m": {"budget_limit": 2}},
            "rpm_limit": 3, "model_tpm_limit": {"m": 9}}));
        let read = |value| serde_json::from_value(value).unwrap();
        bearer.user =
            Some(serde_json::from_value(json!({"user_id": "u", "max_budget": 7})).unwrap());
        bearer.team = Some(read(
            json!({"team_id": "t", "max_budget": 4, "team_member_budget": 5,
            "model_spend_map": {"m": 6, "n": 7}, "tpm_limit": 8}),
        ));
        let means = Means::of(&bearer, &Rules::default());
        let of_model = budgets(&means, "m");
        let expected = [
            ("team", "4"),
            ("member", "5"),
            ("key", "1"),
            ("team_model", "6"),
            ("key_model", "2"),
        ];
        assert_eq!(
            of_model,
            expected.map(|(scope, max)| (scope, Some(max.to_owned())))
        );
        assert_eq!(budgets(&means, "other").len(), 3);
        let names = |model| {
            means
                .limits(model)
                .map(|limit| limit.scope.name())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("m"), ["team", "api_key", "model_per_key"]);
        assert_eq!(names("other"), ["team", "api_key"]);
        let rules = Rules {
            user_of_team: true,
            ..Rules::default()
        };
        assert!(budgets(&Means::of(&bearer, &rules), "").contains(&("user", Some("7".to_owned()))));
    }

    #[test]
    fn a_user_without_a_budget_has_the_files() {
        let mut bearer = bearer(json!({"token": "hash", "user_id": "u"}));
        bearer.user = Some(serde_json::from_value(json!({"user_id": "u"})).unwrap());
        assert_eq!(
            budgets(&Means::of(&bearer, &Rules::default()), ""),
            [("key", None)]
        );
        let rules = Rules {
            user: Some((usd::Usd::ONE, None)),
            ..Rules::default()
        };
        assert_eq!(
            budgets(&Means::of(&bearer, &rules), "")[0],
            ("user", Some("1".to_owned()))
        );
    }

    #[test]
    fn a_raise_holds_for_a_time() {
        let raised = |expiry| {
            let bearer = bearer(json!({"token": "hash", "max_budget": 1,
                "temp_budget_increase": 2, "temp_budget_expiry": expiry}));
            budgets(&Means::of(&bearer, &Rules::default()), "")[0]
                .1
                .clone()
        };
        assert_eq!(raised("1970-01-02").as_deref(), Some("3"));
        assert_eq!(raised("1970-01-01").as_deref(), Some("1"));
    }
}
