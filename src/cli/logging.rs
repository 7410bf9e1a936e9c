//! The process's own log, on the standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Debug,
    Trace,
}

impl Level {
    /// LiteLLM's words for `log_level`.
    pub(super) fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => Self::Info,
        }
    }
}

/// Starts logging: for a person at a terminal, in JSON elsewhere. `RUST_LOG` goes before `level`.
pub(super) fn start(level: Level, json: Option<bool>) {
    let default = match level {
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // What libraries say of single bytes and frames may hold what must not be logged.
    let quiet = ["h2", "hyper", "hyper_util", "rustls", "tokio_util"];
    let mut directives = vec![default.to_string()];
    directives.extend(quiet.map(|library| format!("{library}=info")));
    if let Ok(own) = std::env::var("RUST_LOG") {
        directives.push(own);
    }
    let filter = EnvFilter::builder().parse_lossy(directives.join(","));
    let terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start, as in a test, keeps the first.
    let _ = if json.unwrap_or(!terminal) {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(terminal).with_target(false).try_init()
    };
}
