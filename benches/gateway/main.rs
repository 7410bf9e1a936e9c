//! The whole gateway over sockets, against a bare hyper reverse proxy and a direct call.
//!
//! Every part is a process of its own on the loopback: the upstream (canned answers), the bare proxy
//! and the gateway; the load comes from this one. The three ways take turns within one run, so that
//! what else the machine does meets all of them, and what counts is the ratio: CPU time of the
//! proxy's process per request, as the kernel accounts it.
//!
//! `POINTSMAN_BENCH_ROUNDS` sets the number of turns (7), `POINTSMAN_BENCH_REQUESTS` the requests of
//! a turn (80000; a fortieth of it as streams).

mod bare;
mod cold;
mod load;
mod report;
mod role;

use load::Load;
use report::{Measured, Table};
use role::Part;
use std::io;

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
    let rounds = setting("POINTSMAN_BENCH_ROUNDS", 7);
    let requests = setting("POINTSMAN_BENCH_REQUESTS", 80_000);
    let upstream = Part::upstream().await?;
    let bare = Part::bare(upstream.address()).await?;
    let gateway = Part::gateway(upstream.address()).await?;
    let ways = [
        ("direct", &upstream),
        ("bare hyper proxy", &bare),
        ("pointsman", &gateway),
    ];
    for (streamed, count) in [(false, requests), (true, requests / 40)] {
        let mut table = Table::new(ways.map(|(name, _)| name));
        for round in 0..=rounds {
            for (place, (_, part)) in ways.iter().enumerate() {
                let load = Load {
                    address: part.address(),
                    streamed,
                    count,
                    connections: CONNECTIONS,
                };
                let before = part.cpu()?;
                let run = load.run().await?;
                let cpu = part.cpu()?.saturating_sub(before);
                // The first turn fills pools and caches.
                if round > 0 {
                    table.add(place, Measured { run, cpu });
                }
            }
        }
        let kind = if streamed {
            "streams of 50 chunks, 4 ms apart"
        } else {
            "1 KB in, 0.6 KB out"
        };
        println!(
            "\n{kind}: {CONNECTIONS} connections, {rounds} turns of {count} requests\n{table}"
        );
    }
    drop((bare, gateway));
    println!(
        "\nfrom a standing start\n{}",
        cold::measure(upstream.address()).await?
    );
    Ok(())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
