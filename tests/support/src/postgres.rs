//! A PostgreSQL server of a test's own, on a free port, with its files in a temporary folder.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::process::{Process, Signal};
use crate::soon;

/// A running server; it ends with its owner.
#[derive(Debug)]
pub struct Postgres {
    /// None while it is stopped.
    process: Option<Process>,
    program: OsString,
    arguments: Vec<OsString>,
    address: SocketAddr,
    databases: AtomicU32,
    bin: PathBuf,
    _folder: TempDir,
}

/// The role that tests connect as; the server trusts it without a password.
const ROLE: &str = "pointsman";

impl Postgres {
    /// Makes a cluster and starts its server.
    pub async fn start() -> Self {
        let bin = bin();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        give_away(folder.path());
        let made = command(&bin.join("initdb"))
            .args([
                "--username",
                ROLE,
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        drop(listener);
        let server = command(&bin.join("postgres"));
        let mut arguments: Vec<OsString> = server.get_args().map(OsStr::to_owned).collect();
        let port = address.port().to_string();
        arguments.extend(["-D".into(), data.into_os_string(), "-p".into(), port.into()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=100",
            // The server itself is not what is killed in tests.
            "fsync=off",
        ] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let mut server = Self {
            process: None,
            program: server.get_program().to_owned(),
            arguments,
            address,
            databases: AtomicU32::new(0),
            bin,
            _folder: folder,
        };
        server.resume().await;
        server
    }

    /// Ends the server as a crash does: connections break, and what was committed stays.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(Signal::QUIT);
            process.exit().await;
        }
    }

    /// Starts the server with the same files on the same port.
    pub async fn resume(&mut self) {
        let process = Process::start(&self.program, &self.arguments, &[]);
        let process = process.expect("postgres starts");
        let ready = "ready to accept connections";
        process.until_log(ready, |log| log.contains(ready)).await;
        self.process = Some(process);
        self.listens().await;
    }

    /// The URL of a database that nobody has used yet.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.run("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs SQL in a database, given by URL or name.
    pub fn run(&self, database: &str, sql: &str) -> String {
        self.psql(database, &[OsStr::new("-c"), OsStr::new(sql)])
    }

    /// Runs a file of SQL in a database, statement by statement.
    pub fn run_file(&self, database: &str, file: &Path) -> String {
        self.psql(database, &[OsStr::new("-f"), file.as_os_str()])
    }

    fn psql(&self, database: &str, what: &[&OsStr]) -> String {
        let url = if database.contains("://") {
            database.to_owned()
        } else {
            self.url(database)
        };
        let done = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url])
            .args(what)
            .output()
            .expect("psql runs");
        assert!(
            done.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn url(&self, database: &str) -> String {
        format!("postgresql://{ROLE}@{}/{database}", self.address)
    }

    async fn listens(&self) {
        let connects = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("PostgreSQL to listen", connects).await;
    }
}

/// The folder of the newest PostgreSQL on this machine.
fn bin() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = debian
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/initdb").is_file())
        .max_by_key(|path| version(path));
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .map(|path| path.join("bin"))
        .or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file()))
        .expect("no PostgreSQL: apt-get install postgresql")
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// PostgreSQL refuses to run as root; the package made a user for it.
fn command(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

fn give_away(folder: &Path) {
    if !root() {
        return;
    }
    let given = Command::new("chown").arg("postgres").arg(folder).status();
    assert!(
        given.expect("chown runs").success(),
        "there is no user postgres: apt-get install postgresql"
    );
}
