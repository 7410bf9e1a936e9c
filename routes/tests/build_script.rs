//! A build script of one's own, run by Cargo: what it tells, and what it fails on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GOOD: &str = "\
model_list:
  - model_name: demo
    litellm_params: {model: openai/demo, mock_response: hello}
";

const BAD: &str = "\
model_list:
  - model_name: demo
    litellm_params: {model: openai/demo, mock_response: hello}
router_settings:
  num_retrys: 3
  fallbacks:
    - demo: [dmeo]
";

#[test]
fn a_mistake_in_the_file_fails_the_build_with_its_place() {
    let program = program();
    fs::write(program.join("routes.yaml"), BAD).expect("the folder can be written");
    let output = cargo(&program, "build");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    for part in [
        "routes.yaml:5:3: error: ",
        "  num_retrys: 3",
        "^^^^^^^^^^",
        "num_retries",
        "routes.yaml:7:14: error: ",
        "did you mean `demo`?",
    ] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
    for part in ["panicked", "RUST_BACKTRACE"] {
        assert!(!told.contains(part), "{told}");
    }

    fs::write(program.join("routes.yaml"), GOOD).expect("the folder can be written");
    let output = cargo(&program, "run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "demo\n");
    let again = cargo(&program, "run");
    assert!(
        !String::from_utf8_lossy(&again.stderr).contains("Compiling"),
        "nothing has changed"
    );

    fs::remove_file(program.join("routes.yaml")).expect("it is there");
    let output = cargo(&program, "build");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("routes.yaml"),
        "{told}"
    );
}

/// A program of three lines and its build script, as an embedder has them.
fn program() -> PathBuf {
    let routes = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedder");
    let path = routes.display();
    let manifest = format!(
        "[package]\nname = \"embedder\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\npointsman-routes = {{ path = '{path}' }}\n\
         [build-dependencies]\npointsman-routes = {{ path = '{path}', features = [\"emit\"] }}\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n"
    );
    let build = "fn main() {\n    pointsman_routes::compile(\"routes.yaml\");\n}\n";
    let main = "pub mod routes {\n    pointsman_routes::include_routes!();\n}\n\
                fn main() {\n    for group in routes::ModelGroup::ALL {\n        \
                println!(\"{}\", group.name());\n    }\n}\n";
    fs::create_dir_all(folder.join("src")).expect("Cargo gives the folder to the tests");
    for (file, text) in [
        ("Cargo.toml", manifest.as_str()),
        ("build.rs", build),
        ("src/main.rs", main),
    ] {
        fs::write(folder.join(file), text).expect("the folder can be written");
    }
    // The repository's versions, so that nothing is looked up or fetched.
    fs::copy(routes.join("../Cargo.lock"), folder.join("Cargo.lock"))
        .expect("the lock file is there");
    folder
}

fn cargo(program: &Path, command: &str) -> Output {
    Command::new(env!("CARGO"))
        .args([command, "--offline", "--color", "never"])
        .current_dir(program)
        // The folder of this very build: what it has compiled need not be compiled again.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."),
        )
        .output()
        .expect("the tests are run by Cargo")
}
