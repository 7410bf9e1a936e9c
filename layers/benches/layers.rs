//! What each layer costs around a service that does nothing, and all six together; what two threads
//! on one key cost each other; and what one would use instead. Nanoseconds of this machine and
//! allocations per request. `cargo bench -p pointsman-layers --bench layers`

mod common;
mod rivals;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Noop, Req, bare, request, run};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use tower::Layer;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    metrics::set_global_recorder(common::Atomics).expect("it is the first");
    divan::main();
    contention();
}

fn measure<S, B>(bencher: Bencher<'_, '_>, mut service: S, make: fn() -> Req)
where
    S: tower::Service<Req, Response = http::Response<B>>,
    B: http_body::Body,
{
    run(&mut service, make());
    bencher
        .with_inputs(make)
        .bench_local_values(|request| run(&mut service, request));
}

#[divan::bench]
fn a_noop(bencher: Bencher<'_, '_>) {
    measure(bencher, Noop, request);
}

/// A reading of tokio's clock, which tests can pause: what they pay for that is in here, since
/// tests and benches have the same features of tokio.
#[divan::bench]
fn a_clock_of_tokio() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[divan::bench]
fn a_clock_of_std() -> Instant {
    Instant::now()
}

#[divan::bench]
fn a_noop_without_headers(bencher: Bencher<'_, '_>) {
    measure(bencher, Noop, bare);
}

#[divan::bench]
fn auth(bencher: Bencher<'_, '_>) {
    measure(bencher, common::auth().layer(Noop), request);
}

#[divan::bench]
fn token_bucket_two_scopes_of_two(bencher: Bencher<'_, '_>) {
    measure(bencher, common::bucket().layer(Noop), bare);
}

#[divan::bench]
fn token_bucket_four_scopes_of_one(bencher: Bencher<'_, '_>) {
    measure(bencher, common::bucket_of_four().layer(Noop), bare);
}

#[divan::bench]
fn token_bucket_with_headers(bencher: Bencher<'_, '_>) {
    measure(bencher, common::bucket_with_headers().layer(Noop), bare);
}

#[divan::bench]
fn budget_of_four(bencher: Bencher<'_, '_>) {
    measure(bencher, common::budget().layer(Noop), bare);
}

#[divan::bench]
fn cache_hit(bencher: Bencher<'_, '_>) {
    measure(bencher, common::cache().layer(Noop), bare);
}

#[divan::bench]
fn retry_not_needed(bencher: Bencher<'_, '_>) {
    measure(bencher, common::retry().layer(Noop), bare);
}

#[divan::bench]
fn metrics_red(bencher: Bencher<'_, '_>) {
    measure(bencher, common::metrics().layer(Noop), bare);
}

#[divan::bench]
fn metrics_all(bencher: Bencher<'_, '_>) {
    measure(bencher, common::all_metrics().layer(Noop), bare);
}

#[divan::bench(args = [true, false])]
fn six(bencher: Bencher<'_, '_>, cache_hit: bool) {
    common::stack(cache_hit, |run| {
        run(request());
        bencher
            .with_inputs(request)
            .counter(ItemsCount::new(1_u32))
            .bench_local_values(run);
    });
}

/// What a request costs a thread alone and beside another one on the same key.
fn contention() {
    println!("\ntwo threads on one key (ns per request of a thread: alone, beside another, loss)");
    both("auth", &common::auth().layer(Noop), request);
    both(
        "token bucket, 4 dimensions",
        &common::bucket().layer(Noop),
        bare,
    );
    both("budget, 4 budgets", &common::budget().layer(Noop), bare);
    both("cache hit", &common::cache().layer(Noop), bare);
    both("metrics", &common::metrics().layer(Noop), bare);
    rivals::contention();
}

fn both<S, B>(name: &str, service: &S, make: fn() -> Req)
where
    S: tower::Service<Req, Response = http::Response<B>> + Clone + Send + Sync,
    B: http_body::Body,
{
    contend(name, &|| {
        let mut service = service.clone();
        Box::new(move || run(&mut service, make()))
    });
}

/// Makes the work of one thread.
type Make<'a> = dyn Fn() -> Box<dyn FnMut() + 'a> + Sync + 'a;

/// The shortest of many short runs, since others use the machine as well and can only add to it. A
/// run of two counts if both ran all the time, which is to say at the same time.
pub(crate) fn contend(name: &str, work: &Make<'_>) {
    let best = |threads| {
        let until = Instant::now() + Duration::from_secs(10);
        let tries = std::iter::repeat_with(|| together(threads, work));
        let tries = tries.take_while(|_| Instant::now() < until);
        tries.flatten().take(40).reduce(f64::min)
    };
    let (Some(alone), Some(beside)) = (best(1), best(2)) else {
        println!("  {name:<28} the machine is too busy");
        return;
    };
    let loss = 100.0 * (1.0 - alone / beside);
    println!("  {name:<28} {alone:7.0} {beside:7.0} {loss:6.0} %");
}

/// Nanoseconds per request of the slower thread, unless one of them was kept waiting.
fn together(threads: usize, work: &Make<'_>) -> Option<f64> {
    const ROUNDS: u32 = 3_000;
    let arrived = AtomicUsize::new(0);
    let one = || {
        let mut work = work();
        (0..100).for_each(|_| work());
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < threads {
            std::hint::spin_loop();
        }
        let (waited, began) = (waited(), Instant::now());
        (0..ROUNDS).for_each(|_| work());
        let ended = Instant::now();
        (waited == self::waited()).then_some((began, ended))
    };
    let runs: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let ends = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ends.map(|end| end.expect("it does not panic")).collect()
    });
    let runs: Vec<_> = runs.into_iter().collect::<Option<_>>()?;
    let longest = runs.iter().map(|(began, ended)| *ended - *began).max()?;
    let first_end = runs.iter().map(|(_, ended)| *ended).min()?;
    let last_begin = runs.iter().map(|(began, _)| *began).max()?;
    let shared = first_end.saturating_duration_since(last_begin);
    (shared * 10 >= longest * 9).then(|| longest.as_secs_f64() * 1e9 / f64::from(ROUNDS))
}

/// Nanoseconds that this thread was ready and did not run; Linux tells.
fn waited() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().nth(1)?.parse().ok()
}
