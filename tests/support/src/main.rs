//! The fake upstream as a process: prints its address and serves until it is ended.
//!
//! An argument is the address to listen on; without one it takes a free port of the loopback.

use std::net::SocketAddr;
use support::Upstream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".into());
    let upstream = Upstream::bind(address.parse::<SocketAddr>()?).await?;
    println!("{}", upstream.url(""));
    std::future::pending::<()>().await;
    Ok(())
}
