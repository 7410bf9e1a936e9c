//! Where the table comes from, and how it is put in force again when that changes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pointsman::live::{Handle, Live};
use pointsman_routes::diagnostic::Severity;
use pointsman_routes::{Literals, Outcome, Table};

use super::ServeArgs;

/// Where the table comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Compiled in.
    Compiled,
    /// A file, and those that it includes.
    File(PathBuf),
    /// `--model`, as the text of a file.
    Model(String),
}

/// A table that was read, before it is bound.
pub(super) struct Read {
    pub(super) live: Live,
    /// The files that it was read from.
    pub(super) files: Vec<PathBuf>,
}

impl Source {
    pub(super) fn of(args: &ServeArgs) -> Self {
        if let Some(model) = &args.model {
            return Self::Model(one_model(model, args));
        }
        match &args.config {
            Some(file) => Self::File(file.clone()),
            None => Self::Compiled,
        }
    }

    /// Reads and binds the table. Diagnostics go to the log; on an error, the reasons come back.
    pub(super) fn read(&self) -> Result<Read, Vec<String>> {
        let (table, literals, origin, files) = match self {
            Self::Compiled => {
                let table = Table::compiled(&pointsman::compiled::COMPILED);
                (
                    table,
                    Literals::default(),
                    "the compiled-in routes.yaml".to_owned(),
                    Vec::new(),
                )
            }
            Self::File(file) => {
                let outcome = pointsman_routes::load_file(file);
                let files = outcome.files.clone();
                let (table, literals) = told(outcome)?;
                (table, literals, file.display().to_string(), files)
            }
            Self::Model(text) => {
                let (table, literals) = told(pointsman_routes::load("--model", text))?;
                (table, literals, "--model".to_owned(), Vec::new())
            }
        };
        let env = |name: &str| std::env::var(name).ok();
        match Live::bind(table, &literals, &env, origin) {
            Ok(live) => Ok(Read { live, files }),
            Err(faults) => Err(faults.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Tells what the compiler found; gives the table unless one of it is an error.
fn told(outcome: Outcome) -> Result<(Table, Literals), Vec<String>> {
    for diagnostic in &outcome.diagnostics {
        match diagnostic.severity {
            Severity::Error => {}
            Severity::Warning => tracing::warn!("{diagnostic}"),
            Severity::Note => tracing::debug!("{diagnostic}"),
        }
    }
    match outcome.loaded {
        Some(loaded) => Ok((Table::loaded(loaded.routes), loaded.literals)),
        None => Err(outcome
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(ToString::to_string)
            .collect()),
    }
}

/// A config with one group, as JSON, which YAML reads.
fn one_model(model: &str, args: &ServeArgs) -> String {
    let mut params = serde_json::json!({"model": model});
    if let Some(base) = &args.api_base {
        params["api_base"] = base.as_str().into();
    }
    if let Some(version) = &args.api_version {
        params["api_version"] = version.as_str().into();
    }
    let name = args.alias.as_deref().unwrap_or(model);
    serde_json::json!({"model_list": [{"model_name": name, "litellm_params": params}]}).to_string()
}

/// Puts the table of `source` in force again. The one in force stays if the new one has errors.
/// Returns the files to watch.
pub(super) fn reload(source: &Source, handle: &Handle, watched: Vec<PathBuf>) -> Vec<PathBuf> {
    match source.read() {
        Ok(read) => {
            tracing::info!(config = read.live.origin(), "a new table is in force");
            handle.store(read.live);
            read.files
        }
        Err(reasons) => {
            for reason in reasons {
                tracing::error!("{reason}");
            }
            tracing::error!("the new table has errors; the old one stays in force");
            watched
        }
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(SystemTime, u64, u64)>>);

impl Stamp {
    pub(super) fn of(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| stamp(file)).collect())
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
