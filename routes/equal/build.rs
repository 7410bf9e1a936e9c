//! Writes the source of every config of the repository, one module each, as a build script of one's
//! own would.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use pointsman_routes::diagnostic::Severity;
use pointsman_routes::{emit, load_file};

/// Configs, and folders of configs, from the top of the repository.
const PLACES: &[&str] = &[
    "routes.yaml",
    "examples/embedded/routes.yaml",
    "deploy",
    "routes/tests/fixtures/ok",
    "tests/fixtures/config/ok",
    "tests/fixtures/config/seeds",
];

fn main() {
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut list = String::from(
        "/// Every config: its path, and what it was compiled to.\npub const ALL: &[(&str, &Compiled)] = &[\n",
    );
    let mut modules = String::new();
    for place in PLACES
        .iter()
        .map(|place| top.join(place))
        .filter(|place| place.exists())
    {
        println!("cargo::rerun-if-changed={}", place.display());
        for file in configs(&place) {
            let outcome = load_file(&file);
            let errors = outcome
                .diagnostics
                .iter()
                .filter(|one| one.severity == Severity::Error);
            for error in errors {
                for line in error.to_string().lines() {
                    println!("cargo::error={line}");
                }
            }
            let Some(loaded) = outcome.loaded else {
                continue;
            };
            let module = format!("config_{}", modules.matches("pub mod").count());
            let written = out_dir.join(format!("{module}.rs"));
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Err(fault) = std::fs::write(&written, emit::source(&loaded.routes, &name)) {
                println!("cargo::error=cannot write {}: {fault}", written.display());
            }
            let _ = writeln!(
                modules,
                "pub mod {module} {{\n    //! `{name}`.\n    include!(\"{module}.rs\");\n}}"
            );
            let _ = writeln!(
                list,
                "    ({:?}, &{module}::COMPILED),",
                file.display().to_string()
            );
        }
    }
    let _ = writeln!(list, "];");
    if let Err(fault) = std::fs::write(out_dir.join("all.rs"), format!("{list}{modules}")) {
        println!("cargo::error=cannot write all.rs: {fault}");
    }
}

/// The file itself, or the YAML files of a folder, sorted.
fn configs(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else {
        return vec![place.to_owned()];
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|kind| kind == "yaml" || kind == "yml")
        })
        .collect();
    files.sort();
    files
}
