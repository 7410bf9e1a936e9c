//! The gateway with a provider of one's own.
//!
//! [`acme`] is the provider: a wire protocol that Pointsman does not know. Registered under its name,
//! it is asked through every front door, retried, fallen back from, limited and charged for as any
//! other.
//!
//! ```sh
//! ACME_API_BASE=https://acme.example ACME_API_KEY=… ACME_TENANT=7 cargo run -p pointsman-provider
//! ```

mod acme;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pointsman::access::Access;
use pointsman::admin::checks::Checks;
use pointsman::admin::health::Draining;
use pointsman::live::source::Source;
use pointsman::live::{Handle, Live};
use pointsman::server;
use pointsman::spend::report::Reporter;
use pointsman::stack::Gateway;
use pointsman::upstream::{Client, Providers, Upstream};
use pointsman_routes::{Literals, Table};

/// What `build.rs` wrote.
pub mod routes {
    pointsman_routes::include_routes!();
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (config, port) = arguments()?;
    let providers = Providers::new().with("acme", Arc::new(acme::Acme));
    let live = Handle::new(table(&providers, config)?);
    let draining = Draining::default();
    let gateway = Gateway {
        access: Access::new(live.clone(), None),
        store: None,
        live,
        upstream: Upstream::new(Client::new()).speaking(providers),
        reporter: Reporter::silent(),
        metrics: None,
        checks: Checks::default(),
        draining: draining.clone(),
        models: None,
    };
    let listener = server::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let stop = async {
        // Without a signal to wait for, it serves until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let grace = Duration::from_secs(30);
    let service = gateway.into_service();
    server::serve(listener, None, service, stop, || draining.begin(), grace).await;
    Ok(())
}

/// The compiled table, or that of a file: either may name what is registered.
fn table(providers: &Providers, config: Option<PathBuf>) -> Result<Live, String> {
    let Some(file) = config else {
        let compiled = Table::compiled(&routes::COMPILED);
        let env = |name: &str| std::env::var(name).ok();
        let live = providers.bind(compiled, &Literals::default(), &env, "routes.yaml".into());
        return live.map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            faults.join("\n")
        });
    };
    let read = Source::File(file).read_for(&providers.registered(), None);
    Ok(read.map_err(|reasons| reasons.join("\n"))?.live)
}

/// `--config FILE` and `--port PORT`.
fn arguments() -> Result<(Option<PathBuf>, u16), Box<dyn Error>> {
    let (mut config, mut port) = (None, 4000);
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or("a switch without its value")?;
        match name.as_str() {
            "--config" => config = Some(value.into()),
            "--port" => port = value.parse()?,
            _ => return Err(format!("no switch {name}").into()),
        }
    }
    Ok((config, port))
}
