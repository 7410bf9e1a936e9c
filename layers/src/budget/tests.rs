use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full as FullBody};
use proptest::prelude::*;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::find;

type Answer = Response<FullBody<Bytes>>;

fn usd(picos: u64) -> Usd {
    Usd::from_picos(picos)
}

const KEY: Budget = Budget::new("key", Id(1))
    .limit(Usd::from_picos(100))
    .window(Window::DAILY);
const TEAM: Budget = Budget::new("team", Id(2)).limit(Usd::from_picos(150));

/// A service that answers after a second and says that 30 were spent.
async fn slow(request: Request<Meter>) -> Result<Answer, BoxError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    match request.uri().path() {
        "/fail" => return Err("boom".into()),
        "/silent" => {}
        _ => request.body().set(usd(30)),
    }
    Ok(Response::new(FullBody::from("hello")))
}

fn charge(request: &Request<Meter>) -> Option<Charge<Meter>> {
    let charge = Charge::new(usd(60)).measure(request.body().clone());
    (request.uri().path() != "/free").then(|| charge.budget(TEAM).budget(KEY))
}

fn get(path: &str) -> Request<Meter> {
    Request::builder().uri(path).body(Meter::new()).unwrap()
}

fn stands(ledger: &MemoryLedger, budget: &Budget) -> (u64, u64) {
    let standing = ledger.standing(budget.id);
    (standing.spent.picos(), standing.reserved.picos())
}

macro_rules! service {
    ($ledger:expr) => {
        BudgetLayer::new($ledger.clone(), charge).layer(service_fn(slow))
    };
}

fn ledger() -> MemoryLedger {
    // 2026-11-21 23:59:00 UTC.
    MemoryLedger::new().clock(TokioClock::starting(Unix(1_795_305_540)))
}

#[tokio::test(start_paused = true)]
async fn the_true_cost_replaces_the_reservation_when_the_body_ends() {
    let ledger = ledger();
    let response = service!(ledger).oneshot(get("/")).await.unwrap();
    assert_eq!(stands(&ledger, &KEY), (0, 60));
    response.into_body().collect().await.unwrap();
    assert_eq!(
        (stands(&ledger, &KEY), stands(&ledger, &TEAM)),
        ((30, 0), (30, 0))
    );
    assert_eq!(ledger.headroom([&KEY, &TEAM]), Some(usd(70)));
}

#[tokio::test(start_paused = true)]
async fn endings_settle_what_was_seen() {
    let ledger = ledger();
    service!(ledger).oneshot(get("/fail")).await.unwrap_err();
    assert_eq!(stands(&ledger, &KEY), (0, 0));
    service!(ledger).oneshot(get("/free")).await.unwrap();
    assert_eq!(stands(&ledger, &KEY), (0, 0));
    drop(service!(ledger).oneshot(get("/")).await.unwrap());
    assert_eq!(stands(&ledger, &KEY), (30, 0));
    // Nobody said what it cost, so it is the worst case.
    drop(service!(ledger).oneshot(get("/silent")).await.unwrap());
    assert_eq!(stands(&ledger, &KEY), (90, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_budget_and_reserves_nothing() {
    let ledger = ledger();
    let first = service!(ledger).oneshot(get("/")).await.unwrap();
    let error = service!(ledger).oneshot(get("/")).await.unwrap_err();
    let over = *find::<OverBudget>(&*error).unwrap();
    assert_eq!(
        (over.scope, over.limit, over.spent),
        ("key", usd(100), usd(0))
    );
    assert_eq!((over.reserved, over.wanted), (usd(60), usd(60)));
    assert_eq!(over.retry_after, Some(Duration::from_secs(59)));
    assert_eq!(stands(&ledger, &TEAM), (0, 60));
    drop(first);
    let mut headers = HeaderMap::new();
    over.write(&mut headers);
    assert_eq!(headers[RETRY_AFTER], "59");
}

#[tokio::test(start_paused = true)]
async fn a_budget_begins_anew_at_the_end_of_its_window() {
    let ledger = ledger();
    drop(service!(ledger).oneshot(get("/silent")).await.unwrap());
    service!(ledger).oneshot(get("/silent")).await.unwrap_err();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(
        (stands(&ledger, &KEY), stands(&ledger, &TEAM)),
        ((0, 0), (60, 0))
    );
    drop(service!(ledger).oneshot(get("/silent")).await.unwrap());
    assert_eq!(
        (stands(&ledger, &KEY), stands(&ledger, &TEAM)),
        ((60, 0), (120, 0))
    );
}

#[tokio::test(start_paused = true)]
async fn thresholds_signal_once_and_do_not_block() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ledger = ledger().on_alert({
        let seen = Arc::clone(&seen);
        move |crossed| {
            seen.lock()
                .unwrap()
                .push((crossed.threshold, crossed.spent));
        }
    });
    let budget = Budget::new("key", Id(9))
        .alert_at(usd(50))
        .alert_at(usd(80));
    for _ in 0..4 {
        let charge = Charge::new(usd(30)).budget(budget);
        let Soon::Now(Ok(hold)) = ledger.reserve(&charge.reserve) else {
            panic!("refused")
        };
        hold.settle(usd(30));
    }
    assert_eq!(
        *seen.lock().unwrap(),
        [(usd(50), usd(60)), (usd(80), usd(90))]
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_saved_is_restored_and_a_full_ledger_refuses() {
    let old = ledger();
    drop(service!(old).oneshot(get("/silent")).await.unwrap());
    let new = ledger().capacity(2);
    for Entry { id, standing } in old.entries() {
        let window = if id == KEY.id {
            KEY.window
        } else {
            TEAM.window
        };
        new.restore(id, window, standing.spent, standing.resets_at)
            .unwrap();
    }
    let sorted = |ledger: &MemoryLedger| {
        let mut entries = ledger.entries();
        entries.sort_by_key(|entry| entry.id);
        entries
    };
    assert_eq!(sorted(&old), sorted(&new));
    assert_eq!(new.restore(Id(3), Window::Total, usd(1), None), Err(Full));
    new.forget(Id(1));
    assert_eq!(new.restore(Id(3), Window::Total, usd(1), None), Ok(()));
}

/// Drops the request after `polls` polls of its future and body, for every number of them.
#[tokio::test(start_paused = true)]
async fn a_drop_at_any_poll_leaks_nothing() {
    for polls in 0..8 {
        let ledger = ledger();
        let service = service!(ledger);
        let mut left = polls;
        let mut journey = Box::pin(async {
            let response = service.oneshot(get("/")).await.unwrap();
            response.into_body().collect().await.unwrap();
        });
        std::future::poll_fn(|cx| {
            if left == 0 || journey.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
        drop(journey);
        assert_eq!((stands(&ledger, &KEY).1, stands(&ledger, &TEAM).1), (0, 0));
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Begin { budgets: [u128; 3], worst: u64 },
    Settle { nth: usize, cost: u64 },
    Release { nth: usize },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => ([0..4_u128, 4..8_u128, 8..10_u128], 0..60_u64)
            .prop_map(|(budgets, worst)| Step::Begin { budgets, worst }),
        3 => (any::<usize>(), 0..60_u64).prop_map(|(nth, cost)| Step::Settle { nth, cost }),
        1 => any::<usize>().prop_map(|nth| Step::Release { nth }),
        1 => (0..40_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn budget(n: u128) -> Budget {
    let windows = [Window::Total, "30s".parse().unwrap(), Window::DAILY];
    let window = windows[usize::try_from(n % 3).unwrap()];
    Budget::new("any", Id(n)).limit(usd(100)).window(window)
}

/// A ledger as one would write it without threads.
#[derive(Default)]
struct Plain(HashMap<u128, (u64, u64, Option<i64>)>);

impl Plain {
    fn at(&mut self, now: i64, n: u128) -> &mut (u64, u64, Option<i64>) {
        let account = self.0.entry(n).or_default();
        if account.2.is_none_or(|ends| now >= ends) {
            let ends = budget(n).window.next_reset(Unix(now), &Utc);
            *account = (0, account.1, Some(ends.map_or(i64::MAX, |ends| ends.0)));
        }
        account
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Thousands of interleavings of requests: the ledger does what the plain one does, spends no
    /// more than its limits, and what is reserved is settled or released.
    #[test]
    fn no_order_of_requests_spends_more_than_a_budget(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let start = 1_795_305_540;
            let ledger = MemoryLedger::new().clock(TokioClock::starting(Unix(start)));
            let (mut now, mut plain, mut open) = (start, Plain::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Begin { budgets, worst } => {
                        let mut charge = Charge::new(usd(worst));
                        for n in budgets {
                            charge = charge.budget(budget(n));
                        }
                        let fits = budgets.iter().all(|&n| {
                            let account = plain.at(now, n);
                            let used = account.0 + account.1;
                            used < 100 && used + worst <= 100
                        });
                        let Soon::Now(taken) = ledger.reserve(&charge.reserve) else { panic!() };
                        assert_eq!(taken.is_ok(), fits);
                        if let Ok(hold) = taken {
                            for n in budgets {
plain.at(now, n).1 += worst;
}
                            open.push((hold, budgets, worst));
                        }
                    }
                    Step::Settle { nth, cost } if !open.is_empty() => {
                        let (hold, budgets, worst) = open.swap_remove(nth % open.len());
                        let cost = cost.min(worst);
                        hold.settle(usd(cost));
                        for n in budgets {
                            let account = plain.0.get_mut(&n).unwrap();
                            *account = (account.0 + cost, account.1 - worst, account.2);
                        }
                    }
                    Step::Release { nth } if !open.is_empty() => {
                        let (hold, budgets, worst) = open.swap_remove(nth % open.len());
                        drop(hold);
                        for n in budgets {
plain.0.get_mut(&n).unwrap().1 -= worst;
}
                    }
                    Step::Wait { seconds } => {
                        tokio::time::advance(Duration::from_secs(seconds)).await;
                        now += seconds.cast_signed();
                    }
                    Step::Settle { .. } | Step::Release { .. } => {}
                }
                for (&n, &(spent, reserved, ends)) in &plain.0 {
                    let over = ends.is_some_and(|ends| now >= ends);
                    let expected = (if over { 0 } else { spent }, reserved);
                    assert_eq!(stands(&ledger, &budget(n)), expected);
                    assert!(spent + reserved <= 100);
                }
            }
        });
    }
}

/// Real threads on the same budgets: no more than the limit is spent, whoever wins.
#[test]
fn threads_together_spend_no_more_than_the_budget() {
    let ledger = MemoryLedger::new();
    let spent: u64 = std::thread::scope(|scope| {
        let run = |n: u64| {
            let ledger = ledger.clone();
            move || {
                let mut spent = 0;
                for round in 0..2_000 {
                    let worst = (n + round) % 7 + 1;
                    let shared = Budget::new("shared", Id(1)).limit(usd(5_000));
                    let own = Budget::new("own", Id(u128::from(n) + 2)).limit(usd(2_000));
                    let order = if n.is_multiple_of(2) {
                        [shared, own]
                    } else {
                        [own, shared]
                    };
                    let charge = Charge::new(usd(worst)).budget(order[0]).budget(order[1]);
                    let Soon::Now(taken) = ledger.reserve(&charge.reserve) else {
                        panic!()
                    };
                    if let Ok(hold) = taken {
                        assert!(ledger.standing(Id(1)).spent <= usd(5_000));
                        hold.settle(usd(worst - 1));
                        spent += worst - 1;
                    }
                }
                spent
            }
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(run(n))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let standing = ledger.standing(Id(1));
    assert_eq!((standing.spent, standing.reserved), (usd(spent), Usd::ZERO));
    assert!(spent <= 5_000 && spent > 4_900);
}
