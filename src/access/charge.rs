//! What a request may cost at most, and which budgets it is charged to.
//!
//! The worst case is reserved before a provider is asked: the prompt at one token a byte, which no
//! vocabulary exceeds, but no more than the model's window; and as many tokens of answer as the
//! caller or the model allows, for each choice; at the dearest prices of whoever may answer, fallbacks
//! among them. A budget that cannot pay that, but can pay the prompt and a shorter answer, is reserved
//! as a whole, and the answer is cut to what it pays. Where neither the caller nor the catalog bounds
//! the answer, whatever is left is reserved as a whole, as LiteLLM does, and the answer is cut to no
//! less than [`LAST_OUTPUT`] tokens. So a budget is exceeded only
//!
//! - by an answer without `max_tokens` of a model whose maximum is not known: by what is beyond
//!   [`UNKNOWN_OUTPUT`] tokens, and by the last such request that is let in: by its prompt and
//!   [`LAST_OUTPUT`] tokens;
//! - where the answer was cut, by what the prompt has more tokens than were counted or, for models
//!   whose vocabulary is not published, than one for [`COUNTED_BYTES_PER_TOKEN`] bytes;
//! - by a provider that does not keep to `max_tokens`.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use pointsman_layers::budget::{
    Budget, Charge, Charges, Denied, Ledger, MOST, MemoryLedger, OverBudget, Reserved, Usd, Window,
};
use pointsman_layers::hold::{Measure, Over};
use pointsman_layers::ready::Soon;
use pointsman_routes::table::{self, Target};
use pointsman_routes::usd;
use smallvec::SmallVec;

use super::demand::UNKNOWN_OUTPUT;
use super::media::Media;
use super::{Access, Customer};
use crate::account::{Scope, SpendRow, Time};
use crate::call::controls::merge;
use crate::call::length::Length;
use crate::call::means::{Purse, picos};
use crate::call::{Call, Controls, Field, Hop, Principal, Route, Tab};
use crate::error::{BudgetFault, Failure};
use crate::live::{Ceiling, Live};
use crate::routing::tokens::{Tokens, Vocabulary, apart};

/// Tokens of an answer of unknown length where its budget is nearly spent.
pub const LAST_OUTPUT: u64 = 256;
/// Bytes of a token, where a budget is nearly spent and the model's vocabulary is not published.
pub const COUNTED_BYTES_PER_TOKEN: u64 = 3;
/// The shortest answer that is worth asking for.
const LEAST_OUTPUT: u64 = 1;
/// Tokens of a prompt that the provider keeps and the gateway never sees, where the model's window is
/// not known: longer than most windows are.
const KEPT_PROMPT: u64 = 1 << 20;
/// Tokens that a provider puts around a prompt.
const FRAME_TOKENS: u64 = 16;

/// Says what a request did cost when it is over.
#[derive(Clone, Debug)]
pub struct Settled(Arc<Tab>);

impl Measure<Usd> for Settled {
    fn measure(&self, _: Over) -> Option<Usd> {
        // What was never settled was never answered.
        Some(Usd::from_picos(self.0.cost().unwrap_or(0)))
    }
}

/// The largest request that is there to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Worst {
    /// Tokens of the prompt, at most.
    prompt: u64,
    /// Tokens of each choice of the answer, at most.
    output: u64,
    choices: u64,
    /// What it takes that is no text, instead of all that.
    media: Option<Media>,
    /// Whether the caller or the model bounds the answer.
    bounded: bool,
    ceiling: Ceiling,
}

impl Worst {
    fn of(call: &Call) -> Self {
        let own = call.live.ceiling(call.target);
        let mut worst = Self {
            prompt: call.body.len() as u64,
            output: own.output_tokens.unwrap_or(UNKNOWN_OUTPUT),
            choices: 1,
            media: None,
            bounded: true,
            ceiling: own,
        };
        let mut bodies = SmallVec::<[Bytes; 2]>::new();
        bodies.push(call.body.clone());
        let mut asked = Length::asked(call.route, &call.body, &call.peek);
        if let Some(controls) = call.controls.as_deref() {
            for hop in hops(controls) {
                worst.ceiling = worst.ceiling.and(call.live.ceiling(hop.target));
                if let Some(changes) = &hop.changes {
                    worst.prompt = worst.prompt.max((call.body.len() + changes.len()) as u64);
                    asked.widen(changes);
                    bodies.extend(merge(&call.body, changes));
                }
            }
            worst.output = worst.ceiling.output_tokens.unwrap_or(UNKNOWN_OUTPUT);
        }
        if let Some(most) = asked.most {
            worst.output = match worst.ceiling.output_tokens {
                Some(known) => most.min(known),
                None => most,
            };
        }
        worst.bounded = asked.most.or(worst.ceiling.output_tokens).is_some();
        worst.choices = asked.choices;
        let media = bodies
            .iter()
            .filter_map(|body| Media::of(call, body, &worst.ceiling));
        worst.media = media.reduce(Media::or);
        if goes_on(call) {
            worst.prompt = worst.prompt.saturating_add(KEPT_PROMPT);
        }
        worst.prompt = worst.prompt.min(worst.ceiling.window.unwrap_or(u64::MAX));
        if !call.route.speaks() {
            worst.output = 0;
            worst.bounded = true;
        }
        worst
    }

    fn cost(&self) -> Usd {
        if let Some(media) = self.media {
            return picos(media.worst);
        }
        let input = self.ceiling.input.times(self.prompt);
        let output = self
            .ceiling
            .output
            .times(self.output.saturating_mul(self.choices));
        picos(input.plus(output))
    }

    /// The tokens of each choice that are paid by `money` after the prompt is.
    fn affordable(&self, money: Usd, prompt: u64) -> Option<u64> {
        let input = picos(self.ceiling.input.times(prompt));
        let left = money.picos().checked_sub(input.picos())?;
        let each = picos(self.ceiling.output.times(self.choices)).picos();
        Some(left.checked_div(each).unwrap_or(u64::MAX))
    }
}

fn hops(controls: &Controls) -> impl Iterator<Item = &Hop> {
    [
        &controls.fallbacks,
        &controls.context_window,
        &controls.content_policy,
    ]
    .into_iter()
    .flatten()
    .flatten()
}

/// What a request reserves, and of which budgets. `None` if it is charged to none.
///
/// Where a budget is nearly spent, the answer of the call is cut to what it pays.
impl Charges<Request<Arc<Call>>> for Access {
    type Measure = Settled;

    fn charge(&self, request: &Request<Arc<Call>>) -> Option<Charge<Settled>> {
        let call = request.body();
        // To count and to look up is free, and what lasts is reserved [elsewhere](Access::reserve_lasting).
        if call.route.is_free() || call.in_background() {
            return None;
        }
        let customer = request.extensions().get::<Arc<Customer>>().map(Arc::as_ref);
        let mut budgets = SmallVec::<[Budget; 8]>::new();
        for_each_purse(call, customer, |purse| {
            budgets.push(purse.budget(Time::now));
        });
        if self.0.reckons {
            let worst = Worst::of(call);
            let prompt = picos(worst.ceiling.input.times(counted(call, worst.prompt)));
            call.tab.reckon(worst.cost().picos(), prompt.picos());
        }
        if budgets.is_empty() {
            return None;
        }
        let amount = of_all(reserve(call, &self.0.ledger, &budgets), budgets.len());
        call.tab.hold(amount.picos());
        let charge = Charge::new(amount).measure(Settled(Arc::clone(&call.tab)));
        Some(charge.budgets(budgets.iter().copied().take(MOST)))
    }
}

impl Access {
    /// Reserves what a call may cost whose answer is made in the background, until its tab is settled.
    /// An error if a budget cannot pay.
    pub fn reserve_lasting(&self, call: &Call, customer: Option<&Customer>) -> Result<(), Failure> {
        let worst = Worst::of(call);
        let prompt = picos(worst.ceiling.input.times(counted(call, worst.prompt)));
        let mut budgets = SmallVec::<[Budget; 8]>::new();
        for_each_purse(call, customer, |purse| {
            budgets.push(purse.budget(Time::now));
        });
        if budgets.is_empty() {
            call.tab.reckon(worst.cost().picos(), prompt.picos());
            return Ok(());
        }
        let limited = self.0.ledger.headroom(&budgets).is_some();
        let amount = reserve(call, &self.0.ledger, &budgets);
        let all = if limited { amount } else { worst.cost() };
        call.tab.reckon(all.picos(), prompt.picos());
        let amount = of_all(amount, budgets.len());
        call.tab.hold(amount.picos());
        let charge = Charge::new(amount).budgets(budgets.iter().copied().take(MOST));
        match self.0.ledger.reserve(charge.reserve()) {
            Soon::Now(Ok(reserved)) => {
                call.tab.keep(reserved);
                Ok(())
            }
            Soon::Now(Err(Denied::OverBudget(over))) => {
                Err(Self::over_budget(call, customer, &over))
            }
            Soon::Now(Err(Denied::Unavailable(_))) | Soon::Later(_) => {
                tracing::error!("a budget is not kept");
                Err(Failure::Internal)
            }
        }
    }

    /// Reserves what a request of an earlier process may cost that has not ended, of whatever budgets
    /// it counts against: they are not held to it, since they paid for it once.
    pub fn reserve_again(&self, row: &SpendRow, worst: usd::Usd) -> Vec<Reserved> {
        let scopes = row.scopes();
        let ledger = &self.0.ledger;
        let reserve = |scope: &Scope| {
            let budget = Budget::new("", Purse::id_of(scope));
            let charge = Charge::new(picos(worst)).budget(budget);
            match ledger.reserve(charge.reserve()) {
                Soon::Now(reserved) => reserved.ok(),
                Soon::Later(_) => None,
            }
        };
        scopes.iter().filter_map(reserve).collect()
    }

    /// What the caller is told of a budget that cannot pay.
    pub fn over_budget(call: &Call, customer: Option<&Customer>, over: &OverBudget) -> Failure {
        refusal(
            &call.live,
            &call.principal,
            customer,
            call.counted_as(),
            over,
        )
    }

    /// The whole proxy's budget, by the table in force.
    pub(super) fn proxy_purse(&self) -> Option<Purse> {
        proxy_purse(&self.0.live.load())
    }
}

/// What the caller is told of one of its budgets.
pub(super) fn refusal(
    live: &Live,
    principal: &Principal,
    customer: Option<&Customer>,
    model: &str,
    over: &OverBudget,
) -> Failure {
    let mut found = None;
    each_purse_of(live, principal, customer, model, |purse| {
        if purse.id() == over.id {
            found = Some(Arc::clone(&purse.who));
        }
    });
    let of_model = over.scope.ends_with("_model");
    // A spent budget is spent, whatever the last request would have cost.
    let shown = |amount: Usd| usd::Usd(i128::from(amount.picos()));
    Failure::OverBudget(Box::new(BudgetFault {
        scope: over.scope,
        who: found.as_deref().unwrap_or_default().to_owned(),
        model: of_model.then(|| model.to_owned()),
        spent: shown(over.spent.plus(over.reserved)),
        limit: shown(over.limit),
        retry_after: over.retry_after,
        status: live.routes().general.budget_error_status,
    }))
}

/// The amount to reserve of so many budgets: what no budget pays if they are more than one request can
/// be charged to, so that none of them is left out.
pub(super) fn of_all(amount: Usd, budgets: usize) -> Usd {
    if budgets <= MOST {
        return amount;
    }
    tracing::error!("a request counts against {budgets} budgets, which is more than {MOST}");
    Usd::MAX
}

/// The amount to reserve: the worst case, or what is left where that is less but pays an answer.
fn reserve(call: &Call, ledger: &MemoryLedger, budgets: &[Budget]) -> Usd {
    let Some(room) = ledger.headroom(budgets) else {
        // Nobody's spend is limited.
        return Usd::ZERO;
    };
    let worst = Worst::of(call);
    let cost = worst.cost();
    if cost <= room {
        let mut changes = call.controls.as_deref().into_iter().flat_map(hops);
        if changes.any(|hop| hop.changes.is_some()) {
            // A fallback's own body may ask for more than was reckoned with.
            call.tab.limit_output(worst.output);
        }
        return cost;
    }
    if let Some(media) = worst.media {
        // Such answers cannot be cut. What pays the likely pays it alone.
        let pays = !media.bounded || picos(media.likely) <= room;
        return if pays && room > Usd::ZERO { room } else { cost };
    }
    if call.route == Route::Compact {
        // Nobody can say how long such an answer may be.
        return cost;
    }
    let affordable = worst.affordable(room, counted(call, worst.prompt));
    if !worst.bounded && room > Usd::ZERO {
        let output = affordable.unwrap_or(0).max(LAST_OUTPUT);
        call.tab.limit_output(output.min(worst.output));
        return room;
    }
    match affordable {
        // It cannot pay; what would be needed is told.
        None => cost,
        // No prompt is counted nearer than by its bytes where there is more to pay than it.
        Some(_) if worst.output == 0 => room,
        Some(output) if output < LEAST_OUTPUT => cost,
        Some(output) => {
            call.tab.limit_output(output.min(worst.output));
            room
        }
    }
}

/// Whether the prompt goes on with what the provider keeps, whose length nobody here knows.
fn goes_on(call: &Call) -> bool {
    const KEPT: [Field; 3] = [
        Field::PreviousResponseId,
        Field::Conversation,
        Field::Prompt,
    ];
    let named = |field: Field| call.peek.value(&call.body, field).is_some();
    matches!(call.route, Route::Responses | Route::Compact) && KEPT.into_iter().any(named)
}

/// The tokens of the prompt, as near as can be said.
fn counted(call: &Call, bound: u64) -> u64 {
    if goes_on(call) {
        return bound;
    }
    let text = std::str::from_utf8(&call.body).unwrap_or_default();
    let vocabulary = match call.target {
        Target::Group(group) => {
            let group = &call.live.routes().groups[usize::from(group.0)];
            let mut models = group
                .members
                .iter()
                .map(|member| Vocabulary::of(&call.live.deployment(member.deployment).model));
            let first = models.next().flatten();
            first.filter(|first| models.all(|other| other == Some(*first)))
        }
        Target::Deployment(id) => Vocabulary::of(&call.live.deployment(id).model),
    };
    let tokens = match vocabulary {
        // The names and brackets of its JSON are counted, too, and are more than what a provider
        // puts around each message.
        Some(vocabulary) => apart(|| vocabulary.count(text)),
        None => call.body.len() as u64 / COUNTED_BYTES_PER_TOKEN,
    };
    tokens.saturating_add(FRAME_TOKENS).min(bound)
}

fn for_each_purse(call: &Call, customer: Option<&Customer>, each: impl FnMut(&Purse)) {
    let model = call.counted_as();
    each_purse_of(&call.live, &call.principal, customer, model, each);
}

/// The budgets of a request that counts as one for `model`.
pub(super) fn each_purse_of(
    live: &Live,
    principal: &Principal,
    customer: Option<&Customer>,
    model: &str,
    mut each: impl FnMut(&Purse),
) {
    if let Some(proxy) = proxy_purse(live) {
        each(&proxy);
    }
    principal.means().purses(model).for_each(&mut each);
    if let Some(means) = customer.and_then(|customer| customer.means.as_ref()) {
        means.purses(model).for_each(each);
    }
}

/// The whole proxy's budget, by a table.
pub(super) fn proxy_purse(live: &Live) -> Option<Purse> {
    let budget = live.routes().settings.budget.as_ref()?;
    let window = match budget.window {
        None => Window::Total,
        Some(window) => of_table(window),
    };
    Some(Purse::of_proxy(budget.max, window))
}

/// A window of the file, as the ledger knows it.
fn of_table(window: table::Window) -> Window {
    const DAY: u64 = 86_400;
    let small = |n: u64| std::num::NonZeroU32::new(u32::try_from(n).unwrap_or(u32::MAX));
    let found = match window {
        table::Window::Months(months) => small(months.into()).map(Window::Months),
        table::Window::Seconds(seconds) if seconds % DAY == 0 => {
            small(seconds / DAY).map(Window::Days)
        }
        table::Window::Seconds(seconds) => small(seconds).map(Window::Seconds),
    };
    found.unwrap_or(Window::Total)
}
