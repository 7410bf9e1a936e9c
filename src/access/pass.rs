//! What a request is held to that is passed on to a whole API.
//!
//! It counts against the same rates and budgets as a call does. Its worst case is reserved where it
//! names a model whose prices are known; a request of which nothing is known reserves the least there
//! is, so that a spent budget refuses it, and may exceed a budget by what it costs itself.

use pointsman_layers::budget::{
    Charge, Denied as Unpaid, Ledger, MOST as MOST_BUDGETS, Reserved, Usd,
};
use pointsman_layers::hold::Hold;
use pointsman_layers::ready::Soon;
use pointsman_layers::token_bucket::{BucketStore, Demand, Denied as Refused, MOST, Taken};
use pointsman_routes::catalog;
use pointsman_routes::table::{GroupId, Target};
use pointsman_routes::usd;

use super::charge;
use super::demand::UNKNOWN_OUTPUT;
use super::demand::{self, BYTES_PER_TOKEN};
use super::{Access, Customer};
use crate::account::Time;
use crate::call::means::picos;
use crate::call::{Principal, Usage};
use crate::error::{Denial, Failure};
use crate::live::{Ceiling, Live, TokenKind};
use crate::wire::asked::Asked;

/// A request to a provider's own API.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The table in force when it came.
    pub live: &'a Live,
    /// Whose API it is.
    pub provider: &'a str,
    /// Who asks.
    pub principal: &'a Principal,
    /// For whom, if that is known.
    pub customer: Option<&'a Customer>,
    /// What is asked for.
    pub asked: &'a Asked,
    /// Bytes of the body, as far as they are known.
    pub length: u64,
    /// What it costs whatever it asks for.
    pub fixed: usd::Usd,
}

/// Rates and money that a request holds until it is settled. Dropped, it takes neither.
#[derive(Debug)]
pub struct Toll {
    taken: Option<Taken>,
    reserved: Option<Reserved>,
    kind: TokenKind,
}

impl Toll {
    /// Books what the request took and cost.
    pub fn settle(self, usage: Option<&Usage>, cost: usd::Usd) {
        let (prompt, completion) = usage.map_or((0, 0), |usage| (usage.prompt, usage.completion));
        if let Some(taken) = self.taken {
            taken.settle(match self.kind {
                TokenKind::Total => prompt.saturating_add(completion),
                TokenKind::Input => prompt,
                TokenKind::Output => completion,
            });
        }
        if let Some(reserved) = self.reserved {
            reserved.settle(picos(cost));
        }
    }
}

impl Passing<'_> {
    /// The groups of the file that hold the model at this provider.
    fn groups(&self) -> impl Iterator<Item = (GroupId, &str)> {
        let (live, model) = (self.live, self.asked.model.as_deref());
        let groups = (0..).map(GroupId).zip(&live.routes().groups[..]);
        groups.filter_map(move |(id, group)| {
            let holds = group.members.iter().any(|member| {
                let deployment = live.deployment(member.deployment);
                deployment.provider.name == self.provider && Some(&*deployment.model) == model
            });
            holds.then_some((id, &*group.name))
        })
    }

    /// The name that it counts under: the group of the file that has the model, one with limits of its
    /// own before others, else the model's own.
    pub fn counted_as(&self) -> Option<&str> {
        let model = self.asked.model.as_deref()?;
        let means = self.principal.means();
        let mut names = self.groups().map(|(_, name)| name);
        let first = names.next();
        let own = first
            .into_iter()
            .chain(names)
            .find(|name| means.names(name));
        Some(own.or(first).unwrap_or(model))
    }

    /// Refuses a model that is on no list of the caller's; and, to those who have such lists, what may
    /// ask for a model without naming it.
    pub fn check_model(&self, may_ask: bool) -> Result<(), Denial> {
        let models = self.principal.models();
        if models.all() || self.principal.admin {
            return Ok(());
        }
        let Some(model) = &self.asked.model else {
            return if may_ask { Err(Denial::Unheld) } else { Ok(()) };
        };
        let whole = format!("{}/{model}", self.provider);
        let by_name = models.check_names(&[model, &whole]);
        let by_group = || {
            let mut groups = self.groups();
            groups.any(|(id, name)| models.check(self.live, name, Target::Group(id)).is_ok())
        };
        match by_name {
            Err(party) if !by_group() => Err(Denial::Model {
                party,
                model: model.chars().take(200).collect(),
            }),
            _ => Ok(()),
        }
    }

    /// What it may cost at most, as far as is known.
    fn worst(&self) -> usd::Usd {
        let Some(ceiling) = self.ceiling() else {
            return self.fixed;
        };
        let prompt = self.length.min(ceiling.window.unwrap_or(u64::MAX));
        let known = ceiling.output_tokens;
        let most = self.asked.most.or(known).unwrap_or(UNKNOWN_OUTPUT);
        let output = most.min(known.unwrap_or(u64::MAX));
        let choices = self.asked.choices.unwrap_or(1).max(1);
        let input = ceiling.input.times(prompt);
        let output = ceiling.output.times(output.saturating_mul(choices));
        let images = ceiling.image.times(choices);
        self.fixed.plus(input).plus(output).plus(images)
    }

    fn ceiling(&self) -> Option<Ceiling> {
        let model = self.asked.model.as_deref()?;
        let mut own = self.live.routes().deployments.iter().filter(|deployment| {
            deployment.provider.name == self.provider && deployment.model == *model
        });
        match own.next() {
            Some(first) => Some(own.fold(
                Ceiling::of_model(&first.price, &first.facts),
                |most, next| most.and(Ceiling::of_model(&next.price, &next.facts)),
            )),
            None => catalog::find(model, self.provider)
                .map(|found| Ceiling::of_model(&found.price, &found.facts)),
        }
    }
}

impl Access {
    /// Takes what a request may need of rates and budgets, or says what has no room. Dropped, it has taken
    /// nothing.
    pub async fn hold(&self, passing: &Passing<'_>) -> Result<Toll, Failure> {
        let model = passing.counted_as().unwrap_or("");
        let kind = passing.live.rules().tokens;
        Ok(Toll {
            taken: self.take(passing, model, kind).await?,
            reserved: self.reserve(passing, model).await?,
            kind,
        })
    }

    async fn take(
        &self,
        passing: &Passing<'_>,
        model: &str,
        kind: TokenKind,
    ) -> Result<Option<Taken>, Failure> {
        let limits = || demand::limits_of(passing.principal, passing.customer, model);
        let (prompt, output) = (
            passing.length / BYTES_PER_TOKEN,
            passing.asked.most.unwrap_or(0),
        );
        let mut tokens = match kind {
            TokenKind::Total => prompt.saturating_add(output),
            TokenKind::Input => prompt,
            TokenKind::Output => output,
        };
        // More than a limit has would never be let in.
        for rate in limits().filter_map(|limit| limit.scope.token_rate()) {
            tokens = tokens.min(rate.max());
        }
        if limits().next().is_none() {
            return Ok(None);
        }
        let demand = limits()
            .take(MOST)
            .fold(Demand::new(tokens), |demand, limit| {
                demand.scope(limit.scope)
            });
        let taken = match self.0.buckets.take(demand.take()) {
            Soon::Now(taken) => taken,
            Soon::Later(taking) => taking.await,
        };
        match taken {
            Ok(taken) => Ok(Some(taken)),
            Err(Refused::Limited(limited)) => Err(demand::refusal(limits(), &limited)),
            Err(Refused::Unavailable(never)) => match never {},
        }
    }

    async fn reserve(
        &self,
        passing: &Passing<'_>,
        model: &str,
    ) -> Result<Option<Reserved>, Failure> {
        let Passing {
            live,
            principal,
            customer,
            ..
        } = *passing;
        let mut budgets = Vec::new();
        charge::each_purse_of(live, principal, customer, model, |purse| {
            budgets.push(purse.budget(Time::now));
        });
        if budgets.is_empty() {
            return Ok(None);
        }
        // Nothing would be paid by a budget that is spent.
        let worst = picos(passing.worst()).max(Usd::from_picos(1));
        let worst = charge::of_all(worst, budgets.len());
        let charge = budgets
            .into_iter()
            .take(MOST_BUDGETS)
            .fold(Charge::new(worst), Charge::budget);
        let reserved = match self.0.ledger.reserve(charge.reserve()) {
            Soon::Now(reserved) => reserved,
            Soon::Later(reserving) => reserving.await,
        };
        match reserved {
            Ok(reserved) => Ok(Some(reserved)),
            Err(Unpaid::OverBudget(over)) => {
                Err(charge::refusal(live, principal, customer, model, &over))
            }
            Err(Unpaid::Unavailable(full)) => {
                tracing::error!(%full, "a budget is not kept");
                Err(Failure::Internal)
            }
        }
    }
}
