//! Instructions per request, which do not depend on who else uses the machine. It needs valgrind
//! and `gungraun-runner`: `cargo bench -p pointsman-layers --bench instructions`

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "the macros generate such items"
)]

mod common;

use std::hint::black_box;

use common::{Noop, Req, bare, request};
use gungraun::{library_benchmark, library_benchmark_group, main};
use tower::Layer;

/// Warm: the series, buckets, accounts and entries are there, and a hundred requests are counted,
/// so that setting up is a small part.
const REQUESTS: usize = 100;

macro_rules! bench {
    ($name:ident, $layer:expr, $make:ident) => {
        #[library_benchmark]
        fn $name() {
            let _ = metrics::set_global_recorder(common::Atomics);
            let mut service = $layer.layer(Noop);
            common::run(&mut service, $make());
            many(|request| common::run(&mut service, request), $make);
        }
    };
}

#[inline(never)]
fn many(mut run: impl FnMut(Req), make: fn() -> Req) {
    let requests: Vec<_> = (0..REQUESTS).map(|_| make()).collect();
    measured(&mut run, requests);
}

/// Only what happens in here is counted.
#[inline(never)]
fn measured(run: &mut dyn FnMut(Req), requests: Vec<Req>) {
    for request in requests {
        run(black_box(request));
    }
}

struct Nothing;

impl<S> Layer<S> for Nothing {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        inner
    }
}

bench!(noop, Nothing, request);
bench!(noop_without_headers, Nothing, bare);
bench!(auth, common::auth(), request);
bench!(token_bucket_two_scopes_of_two, common::bucket(), bare);
bench!(
    token_bucket_four_scopes_of_one,
    common::bucket_of_four(),
    bare
);
bench!(
    token_bucket_with_headers,
    common::bucket_with_headers(),
    bare
);
bench!(budget_of_four, common::budget(), bare);
bench!(cache_hit, common::cache(), bare);
bench!(retry_not_needed, common::retry(), bare);
bench!(metrics_red, common::metrics(), bare);
bench!(metrics_all, common::all_metrics(), bare);

#[library_benchmark]
fn six_cache_hit() {
    six(true);
}

#[library_benchmark]
fn six_cache_not_used() {
    six(false);
}

fn six(hit: bool) {
    let _ = metrics::set_global_recorder(common::Atomics);
    common::stack(hit, |run| {
        run(request());
        many(run, request);
    });
}

library_benchmark_group!(
    name = layers;
    config = gungraun::LibraryBenchmarkConfig::default()
        .tool(gungraun::Callgrind::default().entry_point(gungraun::EntryPoint::Custom("*::measured".to_owned())));
    benchmarks = noop, noop_without_headers, auth, token_bucket_two_scopes_of_two, token_bucket_four_scopes_of_one,
        token_bucket_with_headers, budget_of_four, cache_hit, retry_not_needed, metrics_red,
        metrics_all, six_cache_hit, six_cache_not_used
);

main!(library_benchmark_groups = layers);
