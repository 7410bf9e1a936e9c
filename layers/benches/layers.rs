//! What each layer costs around a service that does nothing, and all six together; what two threads
//! on one key cost each other; and what one would use instead. Nanoseconds of this machine and
//! allocations per request. `cargo bench -p pointsman-layers --bench layers`

mod common;
mod rivals;

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

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

/// Requests per second of one thread, alone and beside another one on the same key.
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
    const ROUNDS: u32 = 1_000_000;
    let timed = |threads: usize| {
        let start = Barrier::new(threads);
        let work = || {
            let mut service = service.clone();
            start.wait();
            let began = Instant::now();
            for _ in 0..ROUNDS {
                run(&mut service, make());
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let times = threads
                .into_iter()
                .map(|thread| thread.join().expect("it does not panic"));
            times.fold(0.0_f64, f64::max)
        })
    };
    // The best of a few, since others use the machine as well.
    let best = |threads| (0..5).map(|_| timed(threads)).fold(f64::INFINITY, f64::min);
    let (alone, beside) = (best(1), best(2));
    let loss = 100.0 * (1.0 - alone / beside);
    println!("  {name:<28} {alone:7.0} {beside:7.0} {loss:6.0} %");
}
