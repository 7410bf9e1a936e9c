//! What a build script calls.

use std::path::Path;

use super::source;
use crate::diagnostic::Severity;
use crate::load_file;

/// Compiles a file into `OUT_DIR/routes.rs`, where [`include_routes!`](crate::include_routes)
/// finds it. This call is all that the `main` of a build script needs:
///
/// ```no_run
/// pointsman_routes::compile("routes.yaml");
/// ```
///
/// Warnings are Cargo's warnings. Errors are Cargo's errors, each with its place in the file, and
/// fail the build. The script runs again when a file that was read changes, and then only: the
/// environment is not read, because a reference to it stays a reference in the table.
#[expect(
    clippy::print_stdout,
    reason = "Cargo listens on the standard output of build scripts"
)]
pub fn compile(path: impl AsRef<Path>) {
    let path = path.as_ref();
    for line in directives(path, std::env::var_os("OUT_DIR").as_deref().map(Path::new)) {
        println!("cargo::{line}");
    }
}

/// Compiles, writes, and gives the lines that Cargo is told.
fn directives(path: &Path, out_dir: Option<&Path>) -> Vec<String> {
    let outcome = load_file(path);
    let files = outcome
        .files
        .iter()
        .map(|file| format!("rerun-if-changed={}", file.display()));
    let mut lines: Vec<String> = files.collect();
    for diagnostic in &outcome.diagnostics {
        let directive = match diagnostic.severity {
            Severity::Note => continue,
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        lines.extend(
            diagnostic
                .to_string()
                .lines()
                .map(|line| format!("{directive}={line}")),
        );
    }
    let Some(loaded) = &outcome.loaded else {
        return lines;
    };
    let Some(out_dir) = out_dir else {
        lines.push("error=OUT_DIR is not set: compile is meant for build scripts".to_owned());
        return lines;
    };
    let written = out_dir.join("routes.rs");
    if let Err(fault) = std::fs::write(&written, source(&loaded.routes, &path.to_string_lossy())) {
        lines.push(format!("error=cannot write {}: {fault}", written.display()));
    }
    lines
}
