//! The commands that do not serve.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use pointsman_routes::{Outcome, doctor, emit};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// `pointsman check`.
pub(super) fn check(file: &Path, json: bool) -> ExitCode {
    let outcome = pointsman_routes::load_file(file);
    let report = doctor::examine(&outcome);
    if json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("the report cannot be written: {error}"),
        }
    } else {
        println!("{report}");
    }
    if outcome.loaded.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// `pointsman routes`.
pub(super) fn routes(file: Option<&Path>) -> ExitCode {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let Some(file) = file else {
        print!(
            "{}",
            doctor::routes_table(&pointsman::compiled::ROUTES, &is_set)
        );
        return ExitCode::SUCCESS;
    };
    with_routes(file, |routes| {
        print!("{}", doctor::routes_table(routes, &is_set));
    })
}

/// `pointsman expand`.
pub(super) fn expand(file: &Path) -> ExitCode {
    with_routes(file, |routes| {
        print!("{}", emit::source(routes, &file.display().to_string()));
    })
}

fn with_routes(file: &Path, act: impl FnOnce(&pointsman_routes::table::Routes)) -> ExitCode {
    let Outcome {
        loaded,
        diagnostics,
        ..
    } = pointsman_routes::load_file(file);
    if let Some(loaded) = loaded {
        act(&loaded.routes);
        return ExitCode::SUCCESS;
    }
    for diagnostic in diagnostics {
        eprintln!("{diagnostic}");
    }
    ExitCode::FAILURE
}

/// `pointsman healthcheck`.
pub(super) fn healthcheck(url: &str) -> ExitCode {
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(ask(url)));
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = tokio::time::timeout(HEALTH_TIMEOUT, client.get(uri))
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    if response.status().is_success() {
        Ok(())
    } else {
        Err(format!("it answers {}", response.status()))
    }
}
