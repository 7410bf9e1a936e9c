//! Answers that are made in the background: the provider goes on with them when the request has ended,
//! and what they took is known when they are asked for later.
//!
//! What such an answer may cost stays reserved until it has ended. That is seen when its caller fetches
//! it through this gateway, or when the gateway itself asks for it, which it does from time to time, in
//! ever longer pauses; whichever comes first. Then it is reported, once, as any other call. One of which
//! the provider knows nothing any more, or that has not ended within [`LONGEST`], costs what was
//! reserved.
//!
//! Where there is a ledger, each is in its journal until it has ended, and the next process goes on
//! asking for those that this one leaves behind.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use pointsman_layers::budget::{Hold, Reserved};
use pointsman_routes::table::DeploymentId;
use pointsman_routes::usd::Usd;
use tokio::sync::{Notify, Semaphore};
use tower::Service;

use super::kept::{self, Lookup};
use crate::access::Access;
use crate::account::Time;
use crate::call::means::picos;
use crate::call::{About, Call, KeptAt, Lost, Principal, Reached, Route, Tab};
use crate::error::{Failure, UpstreamKind};
use crate::live::{Handle, Issued, Live};
use crate::spend::entry::Begun;
use crate::spend::ledger::Ledger;
use crate::spend::price::{Cost, paid};
use crate::spend::record::Record;
use crate::spend::report::Reporter;
use crate::upstream::Relay;
use crate::upstream::openai::responses::kept::{Keeper, State, estimate, whole};

/// Most answers that are waited for at once.
const MOST: usize = 10_000;
/// Most bytes of requests that are kept while their answers are waited for.
const MOST_BYTES: usize = 256 << 20;
/// How many are asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// How long the gateway waits before it asks, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));
/// How long the provider may take to say how an answer stands.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// How often in a row a provider may say that it knows no such response.
const UNKNOWN: u32 = 3;
/// How long an answer may take.
pub const LONGEST: Duration = Duration::from_hours(24);

/// Waits for answers that are made in the background. Clones share it; when the last one is dropped,
/// nobody waits any more.
#[derive(Clone, Debug)]
pub struct Background(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    live: Handle,
    keeper: Keeper,
    reporter: Reporter,
    pending: Mutex<Pending>,
    asking: Semaphore,
}

#[derive(Debug, Default)]
struct Pending {
    answers: HashMap<Name, One>,
    /// Bytes of their requests.
    bytes: usize,
}

/// Answers calls about kept responses. What is waited for is seen to have ended before it is deleted.
#[derive(Clone, Debug)]
pub struct KeptCalls {
    keeper: Keeper,
    background: Background,
}

impl KeptCalls {
    /// Has `keeper` asked; `background` knows what is waited for.
    pub fn new(keeper: Keeper, background: Background) -> Self {
        Self { keeper, background }
    }
}

impl Service<Arc<Call>> for KeptCalls {
    type Response = Reached<Relay>;
    type Error = Box<Lost>;
    type Future = Pin<Box<dyn Future<Output = Result<Reached<Relay>, Box<Lost>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Lost>>> {
        self.keeper.poll_ready(cx)
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        if call.route != Route::Delete {
            return self.keeper.call(call);
        }
        let mut own = self.clone();
        Box::pin(async move {
            own.background.finish(&call).await;
            own.keeper.call(call).await
        })
    }
}

/// A response, by who keeps it and how that one calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    deployment: String,
    id: String,
}

/// An answer that is waited for.
#[derive(Debug)]
struct One {
    whose: Whose,
    /// Tells that it is worth while to ask now.
    wake: Arc<Notify>,
}

#[derive(Debug)]
enum Whose {
    /// A call of this process; its tab holds what is reserved.
    Own(Box<Record>),
    /// A request of an earlier one.
    Earlier(Earlier),
}

#[derive(Debug)]
struct Earlier {
    begun: Box<Begun>,
    reserved: Vec<Reserved>,
    /// Who keeps the answer, if that one is still there.
    keeper: Option<(Arc<Live>, DeploymentId)>,
}

impl One {
    fn bytes(&self) -> usize {
        match &self.whose {
            Whose::Own(record) => record.call.body.len(),
            Whose::Earlier(_) => 0,
        }
    }
}

impl From<&Issued> for Name {
    fn from(issued: &Issued) -> Self {
        Self {
            deployment: issued.deployment.clone(),
            id: issued.id.clone(),
        }
    }
}

impl Background {
    /// Asks through `keeper`, and reports to `reporter` what has ended.
    pub fn new(live: Handle, keeper: Keeper, reporter: Reporter) -> Self {
        Self(Arc::new(Inner {
            live,
            keeper,
            reporter,
            pending: Mutex::default(),
            asking: Semaphore::new(ASKED_AT_ONCE),
        }))
    }

    /// Whether there is room for another answer to a request of so many bytes.
    pub fn has_room(&self, bytes: usize) -> bool {
        let pending = self.0.pending();
        pending.answers.len() < MOST && pending.bytes.saturating_add(bytes) <= MOST_BYTES
    }

    /// Waits for the answer to a call, which is reported when it has ended; at once, as one of which
    /// nobody knows, if it has no id by which it could be asked for. Gives the record back if it is
    /// waited for already. Must be called within a runtime.
    pub(super) fn wait(&self, record: Box<Record>) -> Result<(), Box<Record>> {
        let issued = record
            .answer
            .as_deref()
            .and_then(|answer| record.call.live.ids().open(answer));
        let (Some(issued), Some(deployment)) = (issued, record.deployment) else {
            self.0.reporter.report(ended(*record, None));
            return Ok(());
        };
        let name = Name::from(&issued);
        let asks = lookup(&record.call.live, deployment, issued);
        match self.follow(name, Whose::Own(record), asks) {
            Err(Whose::Own(record)) => Err(record),
            Err(Whose::Earlier(_)) | Ok(()) => Ok(()),
        }
    }

    /// Waits for an answer; gives it back if it is waited for already.
    fn follow(&self, name: Name, whose: Whose, asks: Arc<Call>) -> Result<(), Whose> {
        let wake = Arc::new(Notify::new());
        {
            let mut pending = self.0.pending();
            if pending.answers.contains_key(&name) {
                return Err(whose);
            }
            // Under the lock, since nobody may end it before.
            if let Whose::Own(record) = &whose
                && let (Some(ledger), Some(answer)) = (self.0.reporter.ledger(), &record.answer)
            {
                ledger.last(&record.call, answer);
            }
            let one = One {
                whose,
                wake: Arc::clone(&wake),
            };
            pending.bytes += one.bytes();
            pending.answers.insert(name.clone(), one);
            gauge(pending.answers.len());
        }
        tokio::spawn(ask_again(Arc::downgrade(&self.0), name, wake, asks));
        Ok(())
    }

    /// Takes note of a response that a caller is about to get: if it was waited for and has ended, it
    /// is reported now.
    pub(super) fn see(&self, issued: &Issued, text: &[u8]) {
        let name = Name::from(issued);
        if self.0.waits_for(&name)
            && let Some(over @ State::Over { .. }) = State::read(text)
        {
            self.0.end(&name, Some(over));
        }
    }

    /// Asks soon for a response of which a caller has seen something.
    pub(super) fn wake(&self, issued: &Issued) {
        let pending = self.0.pending();
        if let Some(one) = pending.answers.get(&Name::from(issued)) {
            one.wake.notify_one();
        }
    }

    /// Ends a response that is about to be deleted, if it is waited for: it is asked for, and stopped
    /// if it goes on, since nobody can say later what it took.
    async fn finish(&self, call: &Arc<Call>) {
        let Some(kept) = &call.kept else {
            return;
        };
        let name = Name::from(&kept.issued);
        if !self.0.waits_for(&name) {
            return;
        }
        for route in [Route::Retrieve, Route::Cancel] {
            let asked = Call {
                route,
                ..Call::clone(call)
            };
            let state = self.0.state(&Arc::new(asked)).await;
            if let Ok(Some(over @ State::Over { .. })) = state {
                self.0.end(&name, Some(over));
                return;
            }
        }
    }

    /// Takes over the answers that an earlier process waited for, for as long as somebody has this.
    /// What they may cost is reserved again. Must be called within a runtime.
    pub fn take_over(&self, ledger: Ledger, access: Access) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                let left = ledger.left().await;
                let Some(own) = inner.upgrade().map(Self) else {
                    return;
                };
                for begun in left {
                    own.take(begun, &access);
                }
            }
        });
    }

    fn take(&self, begun: Begun, access: &Access) {
        let live = self.0.live.load();
        let answer = begun.row.answer_id.as_deref().unwrap_or_default();
        let place = live.ids().open(answer).and_then(|issued| {
            let deployment = live.deployment_named(&issued.deployment)?;
            Some((deployment, issued))
        });
        let earlier = Earlier {
            reserved: access.reserve_again(&begun.row, begun.worst),
            keeper: place
                .as_ref()
                .map(|(deployment, _)| (Arc::clone(&live), *deployment)),
            begun: Box::new(begun),
        };
        let followed = match place {
            Some((deployment, issued)) => {
                let asks = lookup(&live, deployment, issued.clone());
                self.follow(Name::from(&issued), Whose::Earlier(earlier), asks)
            }
            // Nobody can be asked for it any more.
            None => Err(Whose::Earlier(earlier)),
        };
        if let Err(Whose::Earlier(earlier)) = followed {
            self.0.end_earlier(earlier, None);
        }
    }
}

impl Inner {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits_for(&self, name: &Name) -> bool {
        self.pending().answers.contains_key(name)
    }

    /// What a provider says of a response; nothing, if what it says is none.
    async fn state(&self, call: &Arc<Call>) -> Result<Option<State>, Failure> {
        // It is never closed.
        let _turn = self.asking.acquire().await;
        match tokio::time::timeout(ASKED_WITHIN, self.keeper.ask(call)).await {
            Ok(answer) => Ok(whole(answer?).and_then(|bytes| State::read(&bytes))),
            Err(_) => Ok(None),
        }
    }

    /// Reports an answer that has ended, unless that was done. Of `None` nobody knows any more.
    fn end(&self, name: &Name, over: Option<State>) {
        let one = {
            let mut pending = self.pending();
            let one = pending.answers.remove(name);
            pending.bytes -= one.as_ref().map_or(0, One::bytes);
            gauge(pending.answers.len());
            one
        };
        match one.map(|one| one.whose) {
            None => {}
            Some(Whose::Own(record)) => self.reporter.report(ended(*record, over)),
            Some(Whose::Earlier(earlier)) => self.end_earlier(earlier, over.as_ref()),
        }
    }

    /// Writes the row of a request of an earlier process.
    fn end_earlier(&self, earlier: Earlier, over: Option<&State>) {
        let Earlier {
            begun,
            reserved,
            keeper,
        } = earlier;
        let Begun {
            mut row,
            worst,
            prompt,
            ..
        } = *begun;
        if let Some((live, id)) = &keeper {
            let deployment = live.deployment(*id);
            row.model = deployment.model.to_string();
            row.model_id = Some(deployment.id.to_string());
            row.custom_llm_provider = Some(deployment.provider.name.to_string());
        }
        let (usage, failure) = match over {
            Some(State::Over { usage, failure, .. }) => (*usage, *failure),
            _ => (None, None),
        };
        let unknown = over.is_none();
        row.spend = match (&usage, &keeper) {
            (Some(usage), Some((live, id))) => paid(usage, live.deployment(*id)).total(),
            _ if unknown => worst,
            _ if failure.is_some() => Usd::ZERO,
            _ => prompt,
        };
        if usage.is_none() && failure.is_none() {
            row.metadata
                .insert("usage_estimated".to_owned(), true.into());
        }
        if let Some(class) = failure {
            let error = serde_json::json!({"error_code": "", "error_class": class});
            row.metadata.insert("error_information".to_owned(), error);
        }
        let usage = usage.unwrap_or_default();
        row.prompt_tokens = usage.prompt;
        row.completion_tokens = usage.completion;
        row.total_tokens = usage.total();
        row.cache_read_input_tokens = usage.cache_read;
        row.reasoning_tokens = usage.reasoning;
        row.end_time = Time::now();
        let word = if failure.is_some() {
            "failure"
        } else {
            "success"
        };
        word.clone_into(&mut row.status);
        if let Some(ledger) = self.reporter.ledger() {
            ledger.end_of(&row);
        }
        for reserved in reserved {
            reserved.settle(picos(row.spend));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let pending = self.pending().answers.len();
        if pending > 0 {
            let kept = self.reporter.ledger().is_some();
            tracing::warn!(pending, kept, "answers are still made in the background");
        }
    }
}

/// Asks for a response until it has ended, or until nobody waits for it any more.
async fn ask_again(inner: Weak<Inner>, name: Name, wake: Arc<Notify>, mut asks: Arc<Call>) {
    let began = Instant::now();
    let mut pause = PAUSES.0;
    let mut unknown = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 3 / 2).min(PAUSES.1),
            () = wake.notified() => {}
        }
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if !inner.waits_for(&name) {
            return;
        }
        asks = renewed(asks, &inner.live.load());
        match inner.state(&asks).await {
            Ok(Some(over @ State::Over { .. })) => return inner.end(&name, Some(over)),
            Ok(_) => unknown = 0,
            Err(Failure::Upstream(fault)) if is_gone(fault.kind) => unknown += 1,
            Err(failure) => {
                tracing::debug!(%failure, "a response in the background cannot be asked for");
            }
        }
        if unknown >= UNKNOWN || began.elapsed() >= LONGEST {
            tracing::warn!(
                deployment = name.deployment,
                "a response in the background is gone; it costs what was reserved"
            );
            return inner.end(&name, None);
        }
    }
}

fn is_gone(kind: UpstreamKind) -> bool {
    matches!(
        kind,
        UpstreamKind::Status(StatusCode::NOT_FOUND | StatusCode::GONE)
    )
}

/// A call that asks for a response with the table in force, if the one who keeps it is in there: keys
/// change.
fn renewed(asks: Arc<Call>, live: &Arc<Live>) -> Arc<Call> {
    let Some(kept) = asks
        .kept
        .as_deref()
        .filter(|_| !Arc::ptr_eq(&asks.live, live))
    else {
        return asks;
    };
    match live.deployment_named(&kept.issued.deployment) {
        Some(deployment) if live.endpoint(deployment).keeps_responses() => {
            lookup(live, deployment, kept.issued.clone())
        }
        _ => asks,
    }
}

/// A call of the gateway's own that asks for a response.
fn lookup(live: &Arc<Live>, deployment: DeploymentId, issued: Issued) -> Arc<Call> {
    let group = live.deployment(deployment).group;
    kept::call(Lookup {
        id: HeaderValue::from_static("background"),
        asked: Arc::from(&*live.routes().groups[usize::from(group.0)].name),
        principal: Arc::new(Principal::master()),
        route: Route::Retrieve,
        deployment,
        kept: KeptAt {
            issued,
            query: String::new(),
        },
        about: About::default(),
        tab: Tab::new(0),
        arrived: Instant::now(),
        live: Arc::clone(live),
    })
}

/// The record of an answer that has ended; of `None` nobody knows what it took.
fn ended(mut record: Record, over: Option<State>) -> Record {
    record.ended = Instant::now();
    let Some(deployment) = record.deployment else {
        return record;
    };
    match over {
        Some(State::Over {
            usage,
            failure,
            words,
        }) => {
            record.failure = failure;
            record.estimated = usage.is_none() && failure.is_none();
            let estimated = || estimate(&record.call, deployment, &words);
            record.usage = usage.or_else(|| failure.is_none().then(estimated));
            record.cost = record.usage.map_or_else(Cost::default, |usage| {
                paid(&usage, record.call.live.deployment(deployment))
            });
        }
        Some(State::Under) | None => {
            let [worst, prompt] = record.call.tab.worst();
            record.estimated = true;
            record.cost = Cost {
                input: prompt,
                output: Usd(worst.0.saturating_sub(prompt.0).max(0)),
            };
        }
    }
    record
}

fn gauge(pending: usize) {
    let pending = u32::try_from(pending).unwrap_or(u32::MAX);
    metrics::gauge!("pointsman_background_responses").set(pending);
}
