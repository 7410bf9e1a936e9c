//! The gateway as its users have it: the binary, a config file, an environment and a port.

use crate::process::{Exit, Process, Signal};
use crate::{Client, soon};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    binary: OsString,
    config: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A running gateway, in a folder of its own. Dropped, it is killed.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    folder: TempDir,
    address: SocketAddr,
}

/// Where the gateway keeps its database, unless a test says otherwise: in its own folder.
const DATA: &str = "POINTSMAN_DATA_DIR";

/// The setup of the binary that cargo built for this test.
#[macro_export]
macro_rules! gateway {
    () => {
        $crate::Setup::of(env!("CARGO_BIN_EXE_pointsman"))
    };
}

impl Setup {
    /// With the table that is compiled in.
    pub fn of(binary: impl Into<OsString>) -> Self {
        let binary = binary.into();
        Self {
            binary,
            config: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// With `--config` and this text as the file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.into());
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With one more variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it on a free port and waits until it answers.
    pub async fn start(self) -> Gateway {
        let gateway = self.start_listening().await;
        // One that speaks TLS answers this with a closed connection, which is an answer, too.
        drop(gateway.client().try_get("/health/liveliness").await);
        gateway
    }

    /// Starts it on a free port and waits no longer than until it takes connections.
    pub async fn start_listening(self) -> Gateway {
        let address = free().await;
        let (process, folder) = self.spawn(Some(address.port()));
        let mut gateway = Gateway {
            process,
            folder,
            address,
        };
        soon("the gateway to listen", gateway.listens()).await;
        gateway
    }

    /// Runs it to its end, with no port unless an argument names one.
    pub async fn run(self) -> Exit {
        let (process, _folder) = self.spawn(None);
        process.exit().await
    }

    fn spawn(self, port: Option<u16>) -> (Process, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut arguments = self.arguments;
        if let Some(text) = &self.config {
            let path = config_path(folder.path());
            std::fs::write(&path, text).expect("a writable folder");
            arguments.extend(["--config".into(), path.display().to_string()]);
        }
        if let Some(port) = port {
            arguments.extend(["--port".into(), port.to_string()]);
        }
        let mut environment = self.environment;
        if !environment.iter().any(|(name, _)| name == DATA) {
            let data = folder.path().join("data").display().to_string();
            environment.push((DATA.into(), data));
        }
        let process = Process::start(&self.binary, &arguments, &environment);
        (process.expect("the binary of this build"), folder)
    }
}

impl Gateway {
    /// A caller of it, with no key.
    pub fn client(&self) -> Client {
        Client::new(&self.url(""))
    }

    /// `http://127.0.0.1:PORT`, with the path after it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// The path of its config file.
    pub fn config_path(&self) -> PathBuf {
        config_path(self.folder.path())
    }

    /// Writes the config file anew, in one step as a careful editor does.
    pub fn rewrite(&self, text: &str) {
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text).expect("a writable folder");
        std::fs::rename(draft, self.config_path()).expect("a writable folder");
    }

    /// Everything it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it wrote this.
    pub async fn until_log(&self, part: &str) {
        self.process
            .until_log(&format!("{part:?} in the log"), |log| log.contains(part))
            .await;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Asks it to end, and waits.
    pub async fn stop(self) -> Exit {
        self.process.signal(Signal::TERM);
        self.process.exit().await
    }

    /// Waits for its end.
    pub async fn exit(self) -> Exit {
        self.process.exit().await
    }

    async fn listens(&mut self) {
        while TcpStream::connect(self.address).await.is_err() {
            assert!(!self.process.ended(), "the gateway ended: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn config_path(folder: &Path) -> PathBuf {
    folder.join("config.yaml")
}

/// An address that was free a moment ago. Its port is one that the system gives to nobody who asks
/// for any: until the gateway listens, neither a fake provider nor a connection takes it.
async fn free() -> SocketAddr {
    const PORTS: Range<u32> = 10_240..32_768;
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        // Other tests run at the same time, and begin elsewhere.
        AtomicU32::new(std::process::id().wrapping_mul(977))
    });
    for _ in PORTS {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + turn).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).await.is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}
