//! A child process whose output is kept and which does not outlive its owner.

use crate::soon;
use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use rustix::process::Signal;

/// A running child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Changes with the log, and closes when nothing more can be written to it.
    changes: watch::Receiver<()>,
    readers: Vec<JoinHandle<()>>,
}

/// How a child ended.
#[derive(Debug)]
pub struct Exit {
    /// Its status.
    pub status: ExitStatus,
    /// Everything it wrote, on either stream.
    pub log: String,
}

impl Exit {
    /// The exit code; none if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Process {
    /// Starts a program with no environment but `PATH` and the given one.
    pub fn start<A: AsRef<OsStr>>(
        program: &OsStr,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(String, String)],
    ) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = Arc::<Mutex<String>>::default();
        let (writing, changes) = watch::channel(());
        let keep_from = |from| keep(from, log.clone(), writing.clone());
        let out: Option<Stream> = child.stdout.take().map(|out| Box::new(out) as Stream);
        let err: Option<Stream> = child.stderr.take().map(|err| Box::new(err) as Stream);
        let readers = out
            .into_iter()
            .chain(err)
            .map(|from| tokio::spawn(keep_from(from)))
            .collect();
        Ok(Self {
            child,
            log,
            changes,
            readers,
        })
    }

    /// Everything it wrote so far, on either stream.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until what it wrote is as wanted.
    pub async fn until_log(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let mut changes = self.changes.clone();
        let all = async {
            while !wanted(&self.log()) {
                let ended = changes.changed().await.is_err();
                let log = self.log();
                assert!(!ended || wanted(&log), "it ended before {what}: {log}");
            }
        };
        soon(what, all).await;
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("a process number"), signal).expect("it runs");
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end.
    pub async fn exit(mut self) -> Exit {
        let status = soon("the process to end", self.child.wait())
            .await
            .expect("a child");
        for reader in self.readers.drain(..) {
            soon("the last of its output", reader)
                .await
                .expect("a reader that does not panic");
        }
        Exit {
            status,
            log: self.log(),
        }
    }
}

type Stream = Box<dyn AsyncRead + Send + Unpin>;

async fn keep(from: Stream, log: Arc<Mutex<String>>, changed: watch::Sender<()>) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line).await, Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&text);
        changed.send_replace(());
        line.clear();
    }
}
