//! The whole gateway over sockets, against a bare hyper reverse proxy and a direct call.
//!
//! Every part is a process of its own on the loopback: the upstream (canned answers), the bare proxy
//! and the gateway; the load comes from this one. The three ways take turns within one run, so that
//! what else the machine does meets all of them, and what counts is the ratio: CPU time of the
//! proxy's process per request, as the kernel accounts it.
//!
//! Then the gateway with a virtual key of a user in a team of an organisation, all with budgets and
//! rates, and with every request written to the ledger on SQLite, against the gateway that knows its
//! master key alone.
//!
//! At last the memory that open streams take; `POINTSMAN_BENCH_ONLY=open` measures that alone.
//!
//! `POINTSMAN_BENCH_ROUNDS` sets the number of turns (7), `POINTSMAN_BENCH_REQUESTS` the requests of
//! a turn (80000; a fortieth of it as streams), `POINTSMAN_BENCH_STREAMS` the streams that are open at once (2000).

mod bare;
mod cold;
mod load;
mod open;
mod report;
mod role;

use load::Load;
use report::{Measured, Table};
use role::{KEY, Kept, Part};
use std::io;
use std::time::Duration;

/// Connections at once.
const CONNECTIONS: usize = 64;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match role::mine() {
        Some(role) => runtime.block_on(role.play()),
        None => runtime.block_on(drive()),
    }
}

async fn drive() -> io::Result<()> {
    let streams = setting("POINTSMAN_BENCH_STREAMS", 2_000);
    if std::env::var("POINTSMAN_BENCH_ONLY").is_ok_and(|only| only == "open") {
        println!("{}", open::measure(streams).await?);
        return Ok(());
    }
    let rounds = setting("POINTSMAN_BENCH_ROUNDS", 7);
    let requests = setting("POINTSMAN_BENCH_REQUESTS", 80_000);
    let upstream = Part::upstream().await?;
    let bare = Part::bare(upstream.address()).await?;
    let plain = Part::gateway(upstream.address(), Kept::Nothing).await?;
    let ways = [
        Way::new("direct", &upstream, KEY),
        Way::new("bare hyper proxy", &bare, KEY),
        Way::new("pointsman", &plain, KEY),
    ];
    for (streamed, count) in [(false, requests), (true, requests / 40)] {
        let table = compare(&ways, 1, rounds, streamed, count).await?;
        let kind = if streamed {
            "streams of 50 chunks, 4 ms apart"
        } else {
            "1 KB in, 0.6 KB out"
        };
        println!(
            "\n{kind}: {CONNECTIONS} connections, {rounds} turns of {count} requests\n{table}"
        );
    }
    drop(bare);
    let ledger = Part::gateway(upstream.address(), Kept::Ledger).await?;
    let whole = Part::gateway(upstream.address(), Kept::Ledger).await?;
    let ways = [
        Way::new("master key, nothing written", &plain, KEY),
        Way::new("master key, ledger", &ledger, KEY),
        Way::new(
            "key, team, budgets, ledger",
            &whole,
            whole.make_key().await?,
        ),
    ];
    let table = compare(&ways, 0, rounds, false, requests).await?;
    println!("\nwhat accounts cost: {rounds} turns of {requests} requests\n{table}");
    drop((plain, ledger, whole));
    println!(
        "\nfrom a standing start\n{}",
        cold::measure(upstream.address()).await?
    );
    println!("\nopen streams\n{}", open::measure(streams).await?);
    Ok(())
}

/// One of the ways that take turns.
struct Way<'a> {
    name: &'static str,
    part: &'a Part,
    key: &'static str,
}

impl<'a> Way<'a> {
    const fn new(name: &'static str, part: &'a Part, key: &'static str) -> Self {
        Self { name, part, key }
    }
}

/// What is written down at the end of a turn is brought to the database before the next one begins.
const REST: Duration = Duration::from_millis(500);

/// Has the ways take turns.
async fn compare(
    ways: &[Way<'_>],
    base: usize,
    rounds: usize,
    streamed: bool,
    count: usize,
) -> io::Result<Table> {
    let mut table = Table::new(ways.iter().map(|way| way.name), base);
    for round in 0..=rounds {
        for (place, way) in ways.iter().enumerate() {
            let load = Load {
                address: way.part.address(),
                key: way.key,
                streamed,
                count,
                connections: CONNECTIONS,
            };
            let before = way.part.cpu()?;
            let run = load.run().await?;
            tokio::time::sleep(REST).await;
            let cpu = way.part.cpu()?.saturating_sub(before);
            // The first turn fills pools and caches.
            if round > 0 {
                table.add(place, Measured { run, cpu });
            }
        }
    }
    Ok(table)
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
