//! What tests install from public registries, once: later runs find it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

/// How long a script or an installation may take on a slow machine with a slow network.
const PATIENCE: Duration = Duration::from_mins(10);

/// Where something is installed below a folder, named after what is pinned so that a new pin is a new
/// folder.
pub fn installed(below: &str, name: &str, pins: &str) -> PathBuf {
    let digest = pins.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Path::new(below).join(format!("{name}-{digest:016x}"))
}

/// Runs a program to its end and returns what it said; if it fails, its output is in the message, and so
/// is how to install it.
pub async fn run(command: &mut Command, install: &str) -> String {
    let shown = format!("{:?}", command.as_std());
    let run = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let output = run
        .unwrap_or_else(|_| panic!("{shown} took more than {PATIENCE:?}"))
        .unwrap_or_else(|error| panic!("{shown}: {error}. To install it: {install}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{shown}: {}\n{out}\n{err}\nTo install what it needs: {install}",
        output.status
    );
    out
}

/// Installs into a folder, which counts as installed only when it is whole.
pub async fn install_once(folder: &Path, install: impl AsyncFnOnce(&Path)) {
    if !folder.join("installed").exists() {
        drop(fs::remove_dir_all(folder));
        fs::create_dir_all(folder).expect("a folder");
        install(folder).await;
        fs::write(folder.join("installed"), "").expect("a writable folder");
    }
}
