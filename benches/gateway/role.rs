//! The parts of a run, each a process of its own.

use crate::bare;
use serde_json::json;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::canned;
use tokio::net::TcpListener;

/// The variable that says to this program, started again, which part it plays.
const ROLE: &str = "POINTSMAN_BENCH_ROLE";
/// Its value for [`Role::Slow`].
const SLOW: &str = "slow";
/// The time between two chunks of a slow stream.
const SLOW_GAP: Duration = Duration::from_secs(1);
/// The key of the gateway's callers; its upstream takes any.
pub(crate) const KEY: &str = "sk-bench-0123456789abcdef";

/// What a gateway writes down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing: where its database would be, there is no folder.
    Nothing,
    /// Every request, in the journal and in SQLite.
    Ledger,
}

/// A part that this program itself plays.
pub(crate) enum Role {
    /// The upstream with canned answers.
    Upstream,
    /// The bare proxy in front of it.
    Bare(SocketAddr),
    /// The upstream with streams that are slow and do not end.
    Slow,
}

/// The part that this process was started for.
pub(crate) fn mine() -> Option<Role> {
    let role = std::env::var(ROLE).ok()?;
    Some(match role.parse() {
        Ok(upstream) => Role::Bare(upstream),
        Err(_) if role == SLOW => Role::Slow,
        Err(_) => Role::Upstream,
    })
}

impl Role {
    /// Tells the address on standard output and serves for ever.
    pub(crate) async fn play(self) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        match self {
            Self::Upstream => canned::serve(listener).await,
            Self::Bare(upstream) => bare::serve(listener, upstream).await,
            Self::Slow => canned::serve_paced(listener, SLOW_GAP, usize::MAX).await,
        }
        Ok(())
    }
}

/// A running part; dropped, it is killed.
pub(crate) struct Part {
    child: Child,
    address: SocketAddr,
    // The gateway's config lives as long as the gateway.
    _folder: Option<tempfile::TempDir>,
}

impl Part {
    pub(crate) async fn upstream() -> io::Result<Self> {
        Self::again("upstream").await
    }

    pub(crate) async fn bare(upstream: SocketAddr) -> io::Result<Self> {
        Self::again(&upstream.to_string()).await
    }

    pub(crate) async fn slow() -> io::Result<Self> {
        Self::again(SLOW).await
    }

    /// The gateway, with a key to check and one deployment to choose.
    pub(crate) async fn gateway(upstream: SocketAddr, kept: Kept) -> io::Result<Self> {
        let part = Self::gateway_started(upstream, kept).await?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(part.address).await.is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the gateway does not listen"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(part)
    }

    /// The gateway, just started and perhaps not yet listening.
    pub(crate) async fn gateway_started(upstream: SocketAddr, kept: Kept) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        if kept == Kept::Nothing {
            std::fs::write(folder.path().join("pointsman-data"), "")?;
        }
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, config_text(upstream))?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await?
            .local_addr()?;
        let child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("--config")
            .arg(&config)
            .args(["--port", &address.port().to_string()])
            .current_dir(folder.path())
            .env_clear()
            .env("BENCH_KEY", KEY)
            .env("BENCH_UPSTREAM_KEY", "sk-upstream")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            address,
            _folder: Some(folder),
        })
    }

    /// Makes a key of a user in a team of an organisation, each with a budget and rates that the load
    /// does not reach.
    pub(crate) async fn make_key(&self) -> io::Result<&'static str> {
        let admin = support::Client::new(&format!("http://{}", self.address)).key(KEY);
        let means = |mut body: serde_json::Value| {
            for (name, value) in [
                ("max_budget", 1_000_000_u64),
                ("rpm_limit", 1_000_000_000),
                ("tpm_limit", 1_000_000_000_000),
            ] {
                body[name] = value.into();
            }
            body
        };
        let id = "bench";
        for (path, body) in [
            (
                "/organization/new",
                json!({"organization_id": id, "organization_alias": id}),
            ),
            (
                "/user/new",
                json!({"user_id": id, "auto_create_key": false}),
            ),
            (
                "/team/new",
                json!({"team_id": id, "organization_id": id, "team_member_budget": 1_000_000,
                    "members_with_roles": [{"role": "user", "user_id": id}]}),
            ),
        ] {
            told(&admin.post(path, &means(body)).await)?;
        }
        let key = means(json!({"team_id": id, "user_id": id, "key_alias": id}));
        let made = told(&admin.post("/key/generate", &key).await)?;
        let secret = made["key"]
            .as_str()
            .ok_or_else(|| io::Error::other("no key"))?;
        Ok(secret.to_owned().leak())
    }

    async fn again(role: &str) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(ROLE, role)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output"))?;
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line).map(|_| line)
        });
        let address = line.await??.trim().parse().map_err(io::Error::other)?;
        Ok(Self {
            child,
            address,
            _folder: None,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything; what follows it does not.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |place: usize| fields.split_whitespace().nth(place)?.parse::<u64>().ok();
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            return Err(io::Error::other("an unknown form of /proc/PID/stat"));
        };
        // The kernel tells it in hundredths of a second, whatever its own clock does.
        Ok(Duration::from_millis((user + system) * 10))
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> io::Result<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other("an unknown form of /proc/PID/status"))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn told(answer: &support::Answer) -> io::Result<serde_json::Value> {
    if answer.status == 200 {
        Ok(answer.json())
    } else {
        Err(io::Error::other(answer.text()))
    }
}

fn config_text(upstream: SocketAddr) -> String {
    format!(
        "model_list:\n\
         \x20 - model_name: bench\n\
         \x20   litellm_params:\n\
         \x20     model: openai/gpt-4o-mini\n\
         \x20     api_base: http://{upstream}/v1\n\
         \x20     api_key: os.environ/BENCH_UPSTREAM_KEY\n\
         general_settings:\n\
         \x20 master_key: os.environ/BENCH_KEY\n"
    )
}
