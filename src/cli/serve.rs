//! `pointsman serve`: starts, reloads, drains.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pointsman::admin::checks::Checks;
use pointsman::admin::health::Draining;
use pointsman::admin::metrics;
use pointsman::live::source::{Read, Source};
use pointsman::live::{Handle, Live};
use pointsman::models::Models;
use pointsman::routing::Router;
use pointsman::server;
use pointsman::spend::meter;
use pointsman::spend::report::{Lines, Reporter, Sink};
use pointsman::stack::Gateway;
use pointsman::upstream::{Client, Upstream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::ServeArgs;
use super::accounting::Accounting;
use super::logging::{self, Level};
use super::source::{self, Stamp};
use super::store;
use super::tls::Certificate;

/// How often the files are looked at for changes.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long the database may take to close, lest a dead one keep the process.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(super) fn run(args: &ServeArgs) -> ExitCode {
    let flag = match (args.detailed_debug, args.debug) {
        (true, _) => Some(Level::Trace),
        (false, true) => Some(Level::Debug),
        (false, false) => None,
    };
    let source = source::of(args);
    let read = match source.read(None) {
        Ok(read) => read,
        Err(reasons) => {
            for reason in reasons {
                eprintln!("{reason}");
            }
            eprintln!("pointsman: not started, because the config has errors");
            return ExitCode::FAILURE;
        }
    };
    let settings = &read.live.routes().settings;
    let level = flag.or_else(|| settings.log_level.as_deref().map(Level::of));
    logging::start(level.unwrap_or(Level::Info), settings.json_logs);
    for name in args.without_effect.given() {
        tracing::info!("{name} is a switch of LiteLLM's Python server and has no effect here");
    }
    let address = match address(args, &read.live) {
        Ok(address) => address,
        Err(why) => {
            tracing::error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = args.num_workers {
        runtime.worker_threads(workers.clamp(1, 1024));
    }
    let served = runtime
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(serve(args, source, read, address)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Where to listen. An open gateway, or one whose key stands in every tutorial, is for this
/// machine alone.
fn address(args: &ServeArgs, live: &Live) -> Result<SocketAddr, String> {
    let permitted = live.routes().general.permit_weak_master_key || args.insecure_open;
    let (open, weak) = match live.master_key() {
        None => (true, false),
        Some(master) => (
            false,
            master.weak && !live.routes().general.permit_weak_master_key,
        ),
    };
    let host = args.listen_host(open || weak)?;
    if !host.is_loopback() {
        if open && !permitted {
            return Err(format!(
                "refusing to listen on {host} without a master key: set general_settings.master_key \
                 or LITELLM_MASTER_KEY, or pass --insecure-open"
            ));
        }
        if weak {
            return Err(format!(
                "refusing to listen on {host} with the master key `sk-1234`, which stands in every \
                 tutorial: choose another, or set \
                 general_settings.dangerously_permit_weak_or_unset_master_key"
            ));
        }
    }
    if open {
        tracing::warn!("there is no master key: everybody who reaches {host} is let in");
    }
    Ok(SocketAddr::new(host, args.port))
}

async fn serve(
    args: &ServeArgs,
    source: Source,
    read: Read,
    address: SocketAddr,
) -> Result<(), String> {
    let certificate = match (&args.ssl_certfile_path, &args.ssl_keyfile_path) {
        (Some(chain), Some(key)) => Some(Certificate::read(chain, key)?),
        _ => None,
    };
    // Before anybody can know that the process is there: a signal that nobody waits for ends it.
    let mut stop = Stop::new().map_err(|error| error.to_string())?;
    let hangup = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let recorder = metrics::install().map_err(|error| error.to_string())?;
    let settings = &read.live.routes().settings;
    let sink = Sink::open(settings.log_file.as_deref());
    let (reporter, writer) = Reporter::with_lines(Lines::choose(settings.json_logs), sink);
    let origin = read.live.origin().to_owned();
    let groups = read.live.routes().groups.len();
    let live = Handle::new(read.live);
    let store = store::open(args.data_dir.as_deref(), &live.load()).await?;
    let models = Models::new(source, live.clone(), store.clone(), read.files.clone());
    models.refresh().await;
    let accounting = Accounting::begin(args.data_dir.as_deref(), &live, store.as_ref()).await?;
    let reporter = match &accounting.ledger {
        Some(ledger) => reporter.with_ledger(ledger.clone()),
        None => reporter,
    };
    let draining = Draining::default();
    let upstream = Upstream::new(Client::new());
    let checks = Checks::new(Router::new());
    let gateway = Gateway {
        store: store.clone(),
        models: Some(models.clone()),
        access: accounting.access.clone(),
        live: live.clone(),
        upstream: upstream.clone(),
        reporter: reporter.clone(),
        metrics: Some(recorder.clone()),
        checks: checks.clone(),
        draining: draining.clone(),
    };

    let listener = server::listen(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr().unwrap_or(address);
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    tracing::info!(config = origin, groups, "listening on {scheme}://{address}");

    tokio::spawn(upkeep(recorder));
    tokio::spawn(checks.run(live.clone(), upstream));
    tokio::spawn(models.clone().watch());
    tokio::spawn(watch(models, read.files, certificate.clone(), hangup));
    let tls = certificate.as_ref().map(Certificate::acceptor);
    let grace = Duration::from_secs(args.drain_seconds);
    // One reader takes both signals: two readers could each take them for one.
    let (first, stopped) = tokio::sync::oneshot::channel();
    let signals = async {
        stop.wait().await;
        // Nobody listens only if the server has ended already.
        let _ = first.send(());
        stop.wait().await;
    };
    let serving = server::serve(
        listener,
        tls,
        gateway.into_service(),
        async {
            let _ = stopped.await;
        },
        || {
            draining.begin();
            tracing::info!("stopping: requests under way may end");
        },
        grace,
    );
    let cut = tokio::select! {
        cut = serving => cut,
        () = signals => 1,
    };
    if cut > 0 {
        tracing::warn!(connections = cut, "some connections were cut");
    }
    accounting.end().await;
    if let Some(store) = store
        && tokio::time::timeout(CLOSE_WITHIN, store.close())
            .await
            .is_err()
    {
        tracing::warn!("the database did not close in time; what it lacks is in the journal");
    }
    drop(reporter);
    // The writer ends when the last request's reporter is gone; a cut one may take its with it.
    let _ = tokio::time::timeout(
        Duration::from_secs(2),
        tokio::task::spawn_blocking(move || writer.join()),
    )
    .await;
    Ok(())
}

async fn upkeep(recorder: metrics_exporter_prometheus::PrometheusHandle) {
    let mut tick = tokio::time::interval(meter::UPKEEP);
    loop {
        tick.tick().await;
        recorder.run_upkeep();
    }
}

/// Reloads table and certificate at SIGHUP and when their files change.
fn watch(
    models: Models,
    mut files: Vec<PathBuf>,
    certificate: Option<Certificate>,
    mut hangup: Signal,
) -> impl Future<Output = ()> + Send {
    let mut seen = Stamp::of(&files);
    let of_certificate = |certificate: &Option<Certificate>| {
        Stamp::of(
            certificate
                .as_ref()
                .map(Certificate::files)
                .as_ref()
                .map_or(&[], |files| files),
        )
    };
    let mut seen_certificate = of_certificate(&certificate);
    async move {
        let mut tick = tokio::time::interval(WATCH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                _ = hangup.recv() => true,
                _ = tick.tick() => false,
            };
            let now = Stamp::of(&files);
            if told || now != seen {
                files = models.reload().await;
                seen = if now == Stamp::of(&files) {
                    now
                } else {
                    Stamp::of(&files)
                };
            }
            let now = of_certificate(&certificate);
            if let Some(certificate) = certificate
                .as_ref()
                .filter(|_| told || now != seen_certificate)
            {
                seen_certificate = now;
                match certificate.reload() {
                    Ok(()) => tracing::info!("a new certificate is in force"),
                    Err(why) => tracing::error!("{why}; the old certificate stays in force"),
                }
            }
        }
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
