//! From the start of the process to its first answer, and the memory it takes when idle.

use crate::load::{Load, connect};
use crate::report::median;
use crate::role::{KEY, Kept, Part};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const STARTS: usize = 15;

/// Starts the gateway some times, and says how long the first answer took.
pub(crate) async fn measure(upstream: SocketAddr) -> io::Result<String> {
    let (mut times, mut memory) = (Vec::new(), 0);
    for _ in 0..STARTS {
        let started = Instant::now();
        let part = Part::gateway_started(upstream, Kept::Nothing).await?;
        let deadline = started + Duration::from_secs(10);
        // A listener that is not there yet refuses at once, so this asks often and cheaply.
        while connect(part.address()).await.is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the gateway does not listen"));
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let load = Load {
            address: part.address(),
            key: KEY,
            streamed: false,
            count: 1,
            connections: 1,
        };
        load.run().await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        memory = part.resident()?;
    }
    let (least, most) = (
        times.iter().copied().fold(f64::MAX, f64::min),
        times.iter().copied().fold(f64::MIN, f64::max),
    );
    let mebibytes = f64::from(memory) / 1024.0;
    Ok(format!(
        "first answer: {:.1} ms ({least:.1}–{most:.1}, {STARTS} starts)\nresident memory after it: {mebibytes:.1} MiB",
        median(times)
    ))
}
