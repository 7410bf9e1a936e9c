//! Which limits a request counts against, and how an exceeded one is told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use pointsman_layers::hold::{Measure, Over};
use pointsman_layers::token_bucket::{Demand, Demands, Limited, MOST, Unit};

use super::{Access, Customer};
use crate::call::length::Length;
use crate::call::means::Limit;
use crate::call::{Call, Principal, Tab};
use crate::error::{Failure, RateFault};
use crate::live::TokenKind;

/// Tokens of an answer that neither the caller nor the model bounds; LiteLLM's.
pub const UNKNOWN_OUTPUT: u64 = 16_384;
/// Bytes of a token, as far as an estimate needs to know.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// Says what a request used when it is over.
#[derive(Clone, Debug)]
pub struct Used {
    tab: Arc<Tab>,
    kind: TokenKind,
    /// Its answer is made in the background.
    lasts: bool,
}

impl Measure<u64> for Used {
    fn measure(&self, _: Over) -> Option<u64> {
        // Of an answer that is made in the background the estimate stands.
        if self.lasts && self.tab.cost().is_none() {
            return None;
        }
        let (prompt, completion) = self.tab.tokens();
        Some(match self.kind {
            TokenKind::Total => prompt.saturating_add(completion),
            TokenKind::Input => prompt,
            TokenKind::Output => completion,
        })
    }
}

/// What a request takes of the rates of whoever it counts against. `None` if nobody has any.
impl Demands<Request<Arc<Call>>> for Access {
    type Measure = Used;

    fn demand(&self, request: &Request<Arc<Call>>) -> Option<Demand<Used>> {
        let call = request.body();
        let customer = request.extensions().get::<Arc<Customer>>();
        let limits = || limits(call, customer.map(Arc::as_ref));
        limits().next()?;
        let kind = call.live.rules().tokens;
        // More than a limit has would never be let in.
        let most = limits().filter_map(|limit| limit.scope.token_rate());
        let most = most.map(|rate| rate.max()).min();
        let tokens = estimate(call, kind).min(most.unwrap_or(u64::MAX));
        let used = Used {
            tab: Arc::clone(&call.tab),
            kind,
            lasts: call.in_background(),
        };
        let scopes = limits().map(|limit| limit.scope).take(MOST);
        Some(Demand::new(tokens).measure(used).scopes(scopes))
    }
}

impl Access {
    /// What the caller is told of a rate that has no room.
    pub fn limited(call: &Call, customer: Option<&Customer>, limited: &Limited) -> Failure {
        refusal(limits(call, customer), limited)
    }
}

/// What the caller is told of one of its limits.
pub(super) fn refusal<'a>(
    mut limits: impl Iterator<Item = &'a Limit>,
    limited: &Limited,
) -> Failure {
    let who = limits.find(|limit| limit.scope.id() == limited.id);
    let parallel = limited.unit == Unit::Parallel;
    // Nobody knows when a place is free; LiteLLM tells its window.
    let reset = if parallel {
        Duration::from_mins(1)
    } else {
        limited.reset
    };
    let ends = SystemTime::now() + reset;
    let shown = humantime::format_rfc3339_seconds(ends).to_string();
    Failure::Limited(Box::new(RateFault {
        scope: limited.scope,
        who: who.map(|limit| limit.who.to_string()).unwrap_or_default(),
        unit: match limited.unit {
            Unit::Requests => "requests",
            Unit::Tokens => "tokens",
            Unit::Parallel => "max_parallel_requests",
        },
        limit: limited.limit,
        remaining: limited.remaining,
        reset,
        reset_at: shown.replace('T', " ").replace('Z', " UTC"),
    }))
}

fn limits<'a>(call: &'a Call, customer: Option<&'a Customer>) -> impl Iterator<Item = &'a Limit> {
    limits_of(&call.principal, customer, call.counted_as())
}

/// The limits of a request that counts as one for `model`.
pub(super) fn limits_of<'a>(
    principal: &'a Principal,
    customer: Option<&'a Customer>,
    model: &'a str,
) -> impl Iterator<Item = &'a Limit> {
    let of_customer = customer
        .and_then(|customer| customer.means.as_ref())
        .filter(|_| !principal.admin);
    let own = principal.means().limits(model);
    own.chain(
        of_customer
            .into_iter()
            .flat_map(move |means| means.limits(model)),
    )
}

/// The tokens of the prompt by its length, and those that the caller allows for the answer.
fn estimate(call: &Call, kind: TokenKind) -> u64 {
    let prompt = call.body.len() as u64 / BYTES_PER_TOKEN;
    let asked = Length::asked(call.route, &call.body, &call.peek);
    let most = asked.most.unwrap_or(0);
    match kind {
        TokenKind::Total => prompt.saturating_add(most),
        TokenKind::Input => prompt,
        TokenKind::Output => most,
    }
}
