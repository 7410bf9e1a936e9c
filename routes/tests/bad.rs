//! What is said of files with faults, to the letter.
//!
//! `UPDATE=1` writes the expected texts anew.

use std::fs;
use std::path::Path;

use pointsman_routes::load_file;

const FOLDER: &str = "../tests/fixtures/config/bad";

/// Every finding, except that a key has no effect yet: those change with each feature.
fn said(path: &Path) -> String {
    let outcome = load_file(path);
    let mut text = String::new();
    for one in outcome
        .diagnostics
        .iter()
        .filter(|one| !one.what.contains("has no effect yet"))
    {
        text.push_str(&one.to_string().replace(&format!("{FOLDER}/"), ""));
        text.push('\n');
    }
    text.push_str(if outcome.loaded.is_some() {
        "compiled\n"
    } else {
        "refused\n"
    });
    text
}

#[test]
fn each_fault_is_said_with_its_place_and_a_way_out() {
    let mut files: Vec<_> = fs::read_dir(FOLDER)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    assert!(files.len() > 40);
    let mut wrong = Vec::new();
    for path in files {
        let said = said(&path);
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected, &said).expect("it can be written");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            wrong.push(format!(
                "{}\n--- expected\n{expected}\n--- said\n{said}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A diagnostic is shown in logs and build output, where a secret must not stand.
#[test]
fn no_secret_is_ever_said() {
    let path = Path::new(FOLDER).join("secret_in_clear.yaml");
    let outcome = load_file(&path);
    let said = said(&path);
    let debug = format!("{outcome:?}");
    for secret in [
        "0123456789abcdef",
        "dXNlcg",
        "very-secret",
        "proj-abc",
        "my-own-master-key",
        "user:pass",
        "sk-lf-123",
        "hunter2",
    ] {
        assert!(!said.contains(secret), "{secret} in {said}");
        assert!(!debug.contains(secret), "{secret}");
    }
    let loaded = load_file(&Path::new(FOLDER).join("../seeds/e4_logging.yaml")).loaded;
    assert!(!format!("{loaded:?}").contains("user:pass"));
}

#[test]
fn several_errors_are_said_in_one_run_in_the_order_of_the_file() {
    let outcome = load_file(&Path::new(FOLDER).join("negative_number.yaml"));
    let lines: Vec<u32> = outcome.diagnostics.iter().map(|one| one.line).collect();
    assert!(lines.is_sorted());
    assert!(outcome.diagnostics.len() > 8);
}
