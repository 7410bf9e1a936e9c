//! What it costs to find a name among a hundred, in a compiled table and in a loaded one.
//!
//! Goal: below 30 ns, and nothing allocated.

use bench_table::{FILE, compiled};
use divan::{AllocProfiler, Bencher, black_box};
use pointsman_routes::{Table, load};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Names from all over the table.
const KNOWN: [&str; 8] = [
    "gpt-4o",
    "o3",
    "search/llama-3.3-70b",
    "support/gpt-4o-mini",
    "research/embeddings",
    "mobile/deepseek",
    "ops/llama-fireworks",
    "sandbox/gpt-4.1",
];
/// Names that are nearly there.
const UNKNOWN: [&str; 4] = [
    "gpt-4",
    "search/gpt-5",
    "sandbox",
    "research/embeddings-large",
];
/// Names that only the wildcard takes.
const WILD: [&str; 2] = [
    "anything/gpt-4o",
    "anything/a-model-that-came-out-this-morning",
];

fn tables() -> [(&'static str, Table); 2] {
    let loaded = load("routes.yaml", FILE)
        .loaded
        .expect("the file that is compiled in");
    [
        ("compiled", Table::compiled(&compiled::COMPILED)),
        ("loaded", Table::loaded(loaded.routes)),
    ]
}

fn find(bencher: Bencher<'_, '_>, kind: &str, names: &[&str]) {
    let tables = tables();
    let table = tables
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, table)| table);
    let table = table.expect("one of the two");
    let mut names = names.iter().cycle();
    bencher.bench_local(|| {
        names
            .next()
            .map(|name| black_box(table.resolve(black_box(name))))
    });
}

#[divan::bench(args = ["compiled", "loaded"], sample_size = 10_000)]
fn known(bencher: Bencher<'_, '_>, kind: &str) {
    find(bencher, kind, &KNOWN);
}

#[divan::bench(args = ["compiled", "loaded"], sample_size = 10_000)]
fn unknown(bencher: Bencher<'_, '_>, kind: &str) {
    find(bencher, kind, &UNKNOWN);
}

#[divan::bench(args = ["compiled", "loaded"], sample_size = 10_000)]
fn wildcard(bencher: Bencher<'_, '_>, kind: &str) {
    find(bencher, kind, &WILD);
}
