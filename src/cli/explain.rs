//! `pointsman explain`.

use std::path::Path;
use std::process::ExitCode;

use pointsman::live::Live;
use pointsman::routing::Router;
use pointsman_routes::table::KeyRef;
use pointsman_routes::{Outcome, Table};

/// Stands in for variables that are not set here: nothing is sent.
const UNSET: &str = "https://unset.invalid";

/// Prints how a request would be decided with this config by a gateway that has just started.
pub(super) fn run(file: &Path, request: &Path, json: bool) -> ExitCode {
    match explained(file, request, json) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn explained(file: &Path, request: &Path, json: bool) -> Result<String, String> {
    let body = std::fs::read(request).map_err(|error| format!("{}: {error}", request.display()))?;
    let live = bound(file)?;
    let told = Router::new()
        .explain_body(&live, &body)
        .map_err(|failure| failure.to_string())?;
    if json {
        let text = serde_json::to_string_pretty(&told).map_err(|error| error.to_string())?;
        return Ok(text + "\n");
    }
    Ok(told.to_string())
}

fn bound(file: &Path) -> Result<Live, String> {
    let Outcome {
        loaded,
        diagnostics,
        ..
    } = pointsman_routes::load_file(file);
    let Some(loaded) = loaded else {
        let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
        return Err(lines.join("\n"));
    };
    let master = match &loaded.routes.general.master_key {
        Some(KeyRef::Env(name)) => name.to_string(),
        Some(KeyRef::Digest(_)) | None => "LITELLM_MASTER_KEY".to_owned(),
    };
    let env = |name: &str| {
        let set = std::env::var(name).ok().filter(|value| !value.is_empty());
        let unset = if name == master { "sk-unset" } else { UNSET };
        Some(set.unwrap_or_else(|| unset.to_owned()))
    };
    let table = Table::loaded(loaded.routes);
    let origin = file.display().to_string();
    Live::bind(table, &loaded.literals, &env, origin).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}
