//! One run: the gateway's own journey from the front door on, over the fake upstream, on paused time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fastrand::Rng;
use pointsman::access::Access;
use pointsman::call::{Answer, AnswerBody, Call, Ends, Lost, Reached, StreamOutcome};
use pointsman::error::Failure;
use pointsman::ingress::front::FrontDoor;
use pointsman::ingress::respond::Responder;
use pointsman::live::{Handle, Live};
use pointsman::reliable::{Reliable, class};
use pointsman::routing::class::Class;
use pointsman::routing::{Leg, Router, Routing};
use pointsman::spend::report::Reporter;
use pointsman::upstream::Relay;
use pointsman_routes::Table;
use pointsman_routes::diagnostic::Severity;
use pointsman_routes::table::DeploymentId;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::Service;

use super::books::Books;
use super::caller::{Wish, ask};
use super::plan::{FAULTS_END, Plan, millis, one_in};
use super::provider::Provider;

/// The front door of a run.
pub(crate) type Door = Arc<FrontDoor<Responder<Calls>>>;

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) digest: u64,
    pub(crate) came: usize,
    pub(crate) attempts: u32,
    pub(crate) answered: u32,
    pub(crate) lost: u32,
    pub(crate) broken_streams: u32,
    pub(crate) continued: u32,
    pub(crate) probes: u32,
    pub(crate) refused_in_vain: u32,
    pub(crate) hedges: u32,
    pub(crate) waits: u32,
    pub(crate) preferred: u32,
    pub(crate) last_resorts: u32,
    pub(crate) broke: u32,
}

/// Makes a run of so many calls. Panics if a promise was broken, with what it takes to see it again.
pub(crate) fn run(plan: Plan, calls: usize) -> (Sum, Vec<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let plan = Arc::new(plan);
    let books = runtime.block_on(drive(Arc::clone(&plan), calls));
    let kept = books.lock();
    if let Some(what) = kept.broken() {
        panic!(
            "{what}\nconfig:\n{}faults: {:?}\nSIMULATION_SEED={} cargo test --test simulation",
            plan.config, plan.faults, plan.seed
        );
    }
    let sum = Sum {
        digest: kept.digest(),
        came: kept.came(),
        attempts: kept.attempts,
        answered: kept.answered,
        lost: kept.lost,
        broken_streams: kept.broken_streams,
        continued: kept.continued,
        probes: kept.probes,
        refused_in_vain: kept.refused_in_vain,
        hedges: kept.hedges,
        waits: kept.waits,
        preferred: kept.preferred,
        last_resorts: kept.last_resorts,
        broke: kept.broke,
    };
    (sum, kept.shares())
}

async fn drive(plan: Arc<Plan>, calls: usize) -> Books {
    let handle = Handle::new(live(&plan.config));
    let router = Router::seeded(plan.seed);
    let books = Books::new(Arc::clone(&plan), router.clone(), handle.load());
    let door = door(&plan, &handle, &router, &books);
    let checks = plan.rules.health.map(|every| {
        let books = books.clone();
        tokio::spawn(async move {
            loop {
                sleep(millis(every)).await;
                books.lock().check_health(2 * every);
            }
        })
    });
    let mut rng = Rng::with_seed(plan.seed ^ 0x51ed_270b);
    let mut callers = JoinSet::new();
    let quiet = plan.faults.iter().all(Vec::is_empty);
    let send = |callers: &mut JoinSet<()>, wish: Wish| {
        let call = books.lock().comes(wish.clone());
        callers.spawn(ask(Arc::clone(&door), books.clone(), call, wish));
    };
    for _ in 0..calls {
        let wish = if plan.groups.len() == 1 && quiet {
            Wish::plain("g0")
        } else {
            Wish::drawn(&mut rng, &plan)
        };
        send(&mut callers, wish);
        // Some come together.
        if !one_in(&mut rng, 4) {
            sleep(millis(rng.u64(..=plan.pace * 2))).await;
        }
        if one_in(&mut rng, 200) {
            handle.store(live(&plan.config));
            books.lock().reloaded(handle.load());
        }
    }
    while callers.join_next().await.is_some() {}
    if let Some(checks) = checks {
        checks.abort();
    }
    // When every fault is over and everybody has rested, every group answers again.
    sleep(millis(FAULTS_END) + millis(3_700_000)).await;
    for group in &plan.groups {
        for _ in 0..2 {
            let wish = Wish::plain(&group.name);
            let (before, can) = {
                let kept = books.lock();
                (kept.lost, kept.can_answer(&wish))
            };
            send(&mut callers, wish);
            callers.join_next().await;
            let mut kept = books.lock();
            if can && kept.lost > before {
                let call = kept.came() - 1;
                kept.breaks(Some(call), &format!("{} does not come back", group.name));
            }
        }
    }
    books.lock().close();
    books
}

fn live(config: &str) -> Live {
    let outcome = pointsman_routes::load("simulation.yaml", config);
    let Some(loaded) = outcome.loaded else {
        let each = outcome.diagnostics.iter();
        let errors = each.filter(|one| one.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        panic!("{}\n{config}", errors.join("\n"));
    };
    let env = |name: &str| (name == "KEY").then(|| "sk-simulation".to_owned());
    let table = Table::loaded(loaded.routes);
    Live::bind(table, &loaded.literals, &env, "simulation.yaml".to_owned()).expect("a bound table")
}

fn door(plan: &Arc<Plan>, handle: &Handle, router: &Router, books: &Books) -> Door {
    let provider = Provider::new(plan, books);
    let legs = Legs {
        inner: Routing::new(router.clone(), provider),
        books: books.clone(),
    };
    let calls = Calls {
        inner: Reliable::new(router.clone(), legs),
        books: books.clone(),
    };
    let reporter = Reporter::silent();
    let responder = Responder::new(calls, reporter.clone());
    let access = Access::new(handle.clone(), None);
    let reason = |_: &_, _: Option<&_>, _| Failure::Internal;
    Arc::new(FrontDoor::new(
        handle.clone(),
        responder,
        reporter,
        access,
        reason,
    ))
}

/// Writes each leg into the books.
#[derive(Clone, Debug)]
pub(crate) struct Legs {
    inner: Routing<Provider>,
    books: Books,
}

impl Service<Leg> for Legs {
    type Response = Answer<Relay>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<Relay>, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Service::<Leg>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, leg: Leg) -> Self::Future {
        let call = Arc::clone(&leg.call);
        let hedge = !leg.ask.waits;
        if hedge {
            self.books.lock().hedge_begins(&call);
        } else {
            self.books.lock().leg_begins(&call, &leg.ask);
        }
        let asked = self.inner.call(leg);
        let books = self.books.clone();
        Box::pin(async move {
            let mut result = asked.await;
            match &mut result {
                Err(failure) => books.lock().leg_failed(&call, hedge, told(failure)),
                Ok(Answer {
                    body: AnswerBody::Stream(stream),
                    ..
                }) => stream.on_end(Box::new(move |end| {
                    if let StreamOutcome::Failed(failure) = &end.outcome {
                        books.lock().leg_failed(&call, hedge, told(failure));
                    }
                })),
                Ok(_) => {}
            }
            result
        })
    }
}

/// Who failed, and how; `None` if nobody could be asked.
fn told(failure: &Failure) -> Option<(DeploymentId, Class)> {
    match failure {
        Failure::Upstream(fault) => class::of(failure).map(|class| (fault.asked, class)),
        _ => None,
    }
}

/// Writes what came of each call into the books.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    inner: Reliable<Legs>,
    books: Books,
}

impl Service<Arc<Call>> for Calls {
    type Response = Reached<Relay>;
    type Error = Box<Lost>;
    type Future = Pin<Box<dyn Future<Output = Result<Reached<Relay>, Box<Lost>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Lost>>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        let asked = self.inner.call(call);
        let books = self.books.clone();
        Box::pin(async move {
            let result = asked.await;
            let mut kept = books.lock();
            match &result {
                Ok(reached) => kept.reached(&reached.call),
                Err(lost) => {
                    let internal = matches!(lost.failure, Failure::Internal);
                    kept.lost(&lost.call, internal);
                }
            }
            drop(kept);
            result
        })
    }
}
