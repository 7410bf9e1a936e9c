//! What it costs to choose among ten and among a hundred deployments.
//!
//! Goals: below 200 ns and below 1 µs, and nothing allocated.
//!
//! `choice` is the decision itself: the state of the deployments is copied, those that cannot be
//! asked are left out, one is chosen. `attempt` is all that routing does for a request: facts are
//! read, the decision is made, written down and booked, and its ticket ends.

use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use pointsman::call::{Route, Usage, peek};
use pointsman::live::Live;
use pointsman::routing::board::{Board, Reach};
use pointsman::routing::class::Class;
use pointsman::routing::decide::{Sheet, decide};
use pointsman::routing::facts::Facts;
use pointsman::routing::moment::{Draw, Moment};
use pointsman::routing::shape::Shape;
use pointsman::routing::state::{Keeping, REQUESTS, Registry, TOKENS, Why};
use pointsman::routing::{Ask, Ended, Router};
use pointsman_routes::table::{DeploymentId, GroupId, Target};
use pointsman_routes::{Table, load};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const STRATEGIES: [&str; 9] = [
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing-v2",
    "weighted_round_robin",
    "capability-based",
    "peak-ewma",
    "score",
];

const GROUP: Target = Target::Group(GroupId(0));

/// A group of so many deployments with limits and weights.
fn config(strategy: &str, count: u32) -> String {
    use std::fmt::Write;
    let mut text = String::from("model_list:\n");
    for n in 0..count {
        let _ = write!(
            text,
            "  - model_name: gpt-4o\n    litellm_params:\n      model: openai/gpt-4o\n      \
             api_key: os.environ/KEY\n      rpm: 100000000\n      tpm: 100000000000\n      \
             weight: {}\n    model_info:\n      id: d{n}\n",
            n % 7 + 1
        );
    }
    let _ = write!(text, "router_settings:\n  routing_strategy: {strategy}\n");
    text
}

fn now() -> Moment {
    Moment(0).plus(Duration::from_mins(10))
}

/// A board whose deployments were used: most are well, some rest.
fn board(strategy: &str, count: u32) -> Board {
    let routes = load("bench.yaml", &config(strategy, count))
        .loaded
        .expect("a good config")
        .routes;
    let registry = Registry::default();
    let board = Board::new(&routes, 1, &|_| Reach::ALL, &registry, None);
    for at in 0..u16::try_from(count).expect("a few") {
        let stats = board.stats(DeploymentId(at));
        for sample in 0..10 {
            let seconds = f32::from(at % 13 + sample) / 100.0;
            stats.lane(false).add(seconds, now(), Keeping::default());
        }
        stats.quota().add(REQUESTS, u64::from(at % 5), now());
        stats.quota().add(TOKENS, u64::from(at % 11) * 100, now());
        if at % 9 == 8 {
            stats.cool(now().plus(Duration::from_secs(30)), Why::RateLimited);
        }
    }
    board
}

fn choice_among(bencher: Bencher<'_, '_>, strategy: &str, count: u32) {
    let board = board(strategy, count);
    let row = board.row(GROUP);
    let facts = Facts::PLAIN;
    let (mut seen, mut sheet) = (Vec::new(), Sheet::default());
    let mut draw = 0_u64;
    let mut choose = || {
        draw = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        board.look(row, false, black_box(now()), &mut seen);
        decide(
            &board,
            GROUP,
            &seen,
            Draw(draw),
            black_box(&facts),
            &mut sheet,
        )
        .choice
    };
    // What is used again is there from the second decision on.
    black_box(choose());
    bencher.bench_local(|| black_box(choose()));
}

#[divan::bench(args = STRATEGIES)]
fn choice_among_10(bencher: Bencher<'_, '_>, strategy: &str) {
    choice_among(bencher, strategy, 10);
}

#[divan::bench(args = STRATEGIES)]
fn choice_among_100(bencher: Bencher<'_, '_>, strategy: &str) {
    choice_among(bencher, strategy, 100);
}

fn live(strategy: &str, count: u32) -> Live {
    let loaded = load("bench.yaml", &config(strategy, count))
        .loaded
        .expect("a good config");
    let table = Table::loaded(loaded.routes);
    let env = |name: &str| (name == "KEY").then(|| "sk-bench".to_owned());
    Live::bind(table, &loaded.literals, &env, "bench.yaml".to_owned()).expect("nothing is missing")
}

fn attempt_among(bencher: Bencher<'_, '_>, strategy: &str, count: u32, ended: Ended) {
    let (router, live) = (Router::seeded(7), live(strategy, count));
    let body = format!(
        r#"{{"model":"gpt-4o","max_tokens":300,"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "words and ".repeat(100)
    );
    let peek = peek::peek(body.as_bytes()).expect("a good body");
    let shape = Shape {
        route: Route::Chat,
        body: body.as_bytes(),
        peek: &peek,
        hints: None,
        who: None,
    };
    let attempt = || {
        let id = b"4f5c1c1e-6c3e-4a7f-9a3e-0a4b8f1d2c3b";
        let ticket = router.pick_for(&live, id, &shape, &Ask::first(GROUP));
        ticket.map(|ticket| ticket.end(ended)).is_ok()
    };
    // The ring of decisions is filled once before.
    for _ in 0..2_000 {
        black_box(attempt());
    }
    bencher.bench_local(|| black_box(attempt()));
}

#[divan::bench(args = STRATEGIES)]
fn attempt_among_10(bencher: Bencher<'_, '_>, strategy: &str) {
    let usage = Usage {
        prompt: 200,
        completion: 100,
        ..Usage::default()
    };
    attempt_among(bencher, strategy, 10, Ended::Complete(Some(usage)));
}

#[divan::bench(args = ["simple-shuffle", "peak-ewma"])]
fn failed_attempt_among_10(bencher: Bencher<'_, '_>, strategy: &str) {
    let ended = Ended::Failed {
        class: Class::BadRequest,
        retry_after: None,
        usage: None,
    };
    attempt_among(bencher, strategy, 10, ended);
}
