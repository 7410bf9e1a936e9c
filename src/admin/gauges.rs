//! What is left of budgets and rates, in LiteLLM's gauges.
//!
//! They are made when they are looked at, of what is in memory then: a request pays nothing for them,
//! and who is gone is gone from here, too.

use std::fmt::Write;

use pointsman_layers::budget::{Clock, SystemClock, Unix, Usd};
use pointsman_routes::usd;

use crate::access::{BudgetStanding, ModelStanding, Overview};
use crate::account::Scope;

/// Budgets, and keys with rates for single models, that are shown at most; how many more there are is
/// told.
pub const MOST: usize = 5_000;

/// A provider's budget.
#[derive(Clone, Debug)]
pub struct ProviderStanding {
    /// The provider.
    pub name: String,
    /// What may be spent.
    pub max: usd::Usd,
    /// What is spent.
    pub spent: usd::Usd,
}

/// The gauges in Prometheus's text format.
pub fn write(overview: &Overview, providers: &[ProviderStanding]) -> String {
    let now = SystemClock.now();
    let mut page = Page::default();
    for (kind, owner) in [
        ("api_key", Kind::Key),
        ("team", Kind::Team),
        ("user", Kind::User),
        ("org", Kind::Organization),
    ] {
        let budgets = || {
            let labeled = overview.budgets.iter();
            labeled.filter_map(move |budget| Some((budget, labels(budget, owner)?)))
        };
        let remaining = format!("litellm_remaining_{kind}_budget_metric");
        page.gauge(&remaining, "What is left of the budget, in US dollars");
        for (budget, labels) in budgets() {
            let used = budget.standing.spent;
            page.line(&remaining, &labels, dollars(budget.max.minus(used)));
        }
        let most = format!("litellm_{kind}_max_budget_metric");
        page.gauge(&most, "What may be spent, in US dollars");
        for (budget, labels) in budgets() {
            page.line(&most, &labels, dollars(budget.max));
        }
        let hours = format!("litellm_{kind}_budget_remaining_hours_metric");
        page.gauge(&hours, "Hours until the budget begins anew");
        for (budget, labels) in budgets() {
            if let Some(reset) = budget.standing.resets_at {
                page.line(&hours, &labels, hours_until(reset, now));
            }
        }
    }
    page.rest(overview, providers);
    page.text
}

/// Whose a budget is, as far as LiteLLM has a gauge for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    Team,
    User,
    Organization,
}

/// LiteLLM's labels of a budget, if it is of this kind.
fn labels(budget: &BudgetStanding, kind: Kind) -> Option<Vec<(&'static str, &str)>> {
    let alias = budget.alias.as_deref().unwrap_or("None");
    match (&budget.scope, kind) {
        (Scope::Key(id), Kind::Key) => Some(vec![("hashed_api_key", id), ("api_key_alias", alias)]),
        (Scope::Team(id), Kind::Team) => Some(vec![("team", id), ("team_alias", alias)]),
        (Scope::User(id), Kind::User) => Some(vec![("user", id)]),
        (Scope::Organization(id), Kind::Organization) => {
            Some(vec![("org_id", id), ("org_alias", alias)])
        }
        _ => None,
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let sign = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{sign}{label}=\"{}\"", escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }

    fn rest(&mut self, overview: &Overview, providers: &[ProviderStanding]) {
        let name = "pointsman_budget_reserved";
        self.gauge(name, "What running requests have reserved, in US dollars");
        for budget in &overview.budgets {
            let (scope, id, _) = budget.scope.parts();
            let labels = [("scope", scope), ("id", id)];
            self.line(name, &labels, dollars(budget.standing.reserved));
        }
        let name = "litellm_provider_remaining_budget_metric";
        self.gauge(name, "What is left of a provider's budget, in US dollars");
        for provider in providers {
            let left = usd::Usd(provider.max.0.saturating_sub(provider.spent.0).max(0));
            self.line(name, &[("api_provider", &provider.name)], left.to_f64());
        }
        let requests = |one: &ModelStanding| one.requests;
        let name = "litellm_remaining_api_key_requests_for_model";
        self.models(name, "Requests that a key has left", overview, requests);
        let tokens = |one: &ModelStanding| one.tokens;
        let name = "litellm_remaining_api_key_tokens_for_model";
        self.models(name, "Tokens that a key has left", overview, tokens);
        let name = "pointsman_budgets_not_shown";
        self.gauge(name, "Budgets and rates beyond those that are shown here");
        #[expect(clippy::cast_precision_loss, reason = "a figure for a chart")]
        self.line(name, &[], overview.left_out as f64);
    }

    fn models(
        &mut self,
        name: &str,
        help: &str,
        overview: &Overview,
        left: impl Fn(&ModelStanding) -> Option<u64>,
    ) {
        self.gauge(name, help);
        for one in &overview.models {
            let labels = [
                ("hashed_api_key", &*one.key),
                ("api_key_alias", one.alias.as_deref().unwrap_or("None")),
                ("model", &one.model),
            ];
            if let Some(left) = left(one) {
                #[expect(clippy::cast_precision_loss, reason = "a figure for a chart")]
                self.line(name, &labels, left as f64);
            }
        }
    }
}

fn dollars(amount: Usd) -> f64 {
    usd::Usd(amount.picos().into()).to_f64()
}

fn hours_until(reset: Unix, now: Unix) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for a chart")]
    let seconds = reset.0.saturating_sub(now.0).max(0) as f64;
    seconds / 3_600.0
}

/// A label's value, as the format has it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pointsman_layers::budget::Standing;

    use super::*;

    #[test]
    fn budgets_are_told_under_litellms_names() {
        let budget = |scope, alias: Option<&str>| BudgetStanding {
            scope,
            alias: alias.map(str::to_owned),
            max: Usd::from_dollars(10),
            standing: Standing {
                spent: Usd::from_dollars(4),
                reserved: Usd::from_dollars(1),
                resets_at: Some(Unix(i64::MAX)),
            },
        };
        let overview = Overview {
            budgets: vec![
                budget(Scope::Key("hash".to_owned()), Some("a\"b\n")),
                budget(Scope::Team("t".to_owned()), None),
                budget(Scope::Proxy, None),
            ],
            models: vec![ModelStanding {
                key: Arc::from("hash"),
                alias: None,
                model: "m".to_owned(),
                requests: Some(3),
                tokens: None,
            }],
            left_out: 2,
        };
        let provider = ProviderStanding {
            name: "openai".to_owned(),
            max: usd::Usd(1),
            spent: usd::Usd(2),
        };
        let page = write(&overview, &[provider]);
        for line in [
            "# TYPE litellm_remaining_api_key_budget_metric gauge",
            "litellm_remaining_api_key_budget_metric{hashed_api_key=\"hash\",api_key_alias=\"a\\\"b\\n\"} 6",
            "litellm_api_key_max_budget_metric{hashed_api_key=\"hash\",api_key_alias=\"a\\\"b\\n\"} 10",
            "litellm_remaining_team_budget_metric{team=\"t\",team_alias=\"None\"} 6",
            "pointsman_budget_reserved{scope=\"proxy\",id=\"\"} 1",
            "litellm_provider_remaining_budget_metric{api_provider=\"openai\"} 0",
            "litellm_remaining_api_key_requests_for_model{hashed_api_key=\"hash\",api_key_alias=\"None\",model=\"m\"} 3",
            "pointsman_budgets_not_shown 2",
        ] {
            assert!(page.lines().any(|one| one == line), "{line}\n{page}");
        }
        assert!(page.contains("\nlitellm_team_budget_remaining_hours_metric{team=\"t\""));
        assert!(!page.contains("litellm_remaining_api_key_tokens_for_model{"));
    }
}
