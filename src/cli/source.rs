//! Which source the command line names, and whether its files have changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pointsman::live::source::Source;

use super::ServeArgs;

/// Where the table comes from.
pub(super) fn of(args: &ServeArgs) -> Source {
    if let Some(model) = &args.model {
        return Source::Text("--model", one_model(model, args));
    }
    of_config(args.config.as_deref())
}

/// The same for a command that takes a config and nothing else.
pub(super) fn of_config(config: Option<&Path>) -> Source {
    match config {
        Some(file) => Source::File(file.to_owned()),
        None => Source::Compiled,
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
