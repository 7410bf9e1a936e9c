//! The command line: Pointsman's own words, and LiteLLM's switches as they are.

mod accounting;
mod explain;
mod import;
mod logging;
mod serve;
mod source;
mod store;
mod tls;
mod tools;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// An LLM gateway that reads LiteLLM's config.yaml.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (what happens without a command, too).
    Serve(Box<ServeArgs>),
    /// Check a config and explain it; exit code 1 if it has errors.
    Check {
        /// The config.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print groups, deployments, limits, prices and fallback chains.
    Routes {
        /// The config; without it, the compiled-in one.
        file: Option<PathBuf>,
    },
    /// Print the Rust source that a config is compiled into.
    Expand {
        /// The config.
        file: PathBuf,
    },
    /// Print how a request would be routed: who could be asked, what excludes each, the choice.
    Explain {
        /// The config.
        file: PathBuf,
        /// The request's body, as JSON.
        request: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Bring over a LiteLLM database: keys, users, teams, budgets and spend. Without --yes, only say
    /// what that would do. It can be done again, to fetch what changed in the meantime.
    Import(Box<ImportArgs>),
    /// Ask a running gateway whether it is ready; exit code 1 if not. For containers.
    Healthcheck {
        /// What to ask.
        #[arg(long, default_value = "http://127.0.0.1:4000/health/readiness")]
        url: String,
    },
}

/// What to bring over, and where to.
#[derive(Debug, Args)]
struct ImportArgs {
    /// The URL of LiteLLM's database: postgresql://…
    #[arg(long, env = "LITELLM_DATABASE_URL", hide_env_values = true)]
    from: String,
    /// LiteLLM's salt key, or its master key if it had none: opens the models of its database.
    #[arg(long = "salt-key", env = "LITELLM_SALT_KEY", hide_env_values = true)]
    salt_key: Option<String>,
    /// The config whose database it goes to; without a database in it, the data directory.
    #[arg(short, long, env = "CONFIG_FILE_PATH")]
    config: Option<PathBuf>,
    /// Where keys and spend are kept if the config names no database.
    #[arg(
        long = "data-dir",
        visible_alias = "data_dir",
        env = "POINTSMAN_DATA_DIR"
    )]
    data_dir: Option<PathBuf>,
    /// Say only what would be done, as without --yes.
    #[arg(long = "dry-run", conflicts_with = "yes")]
    dry_run: bool,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

/// How to serve.
#[derive(Debug, Args)]
struct ServeArgs {
    /// The config; without it, the compiled-in one is served.
    #[arg(short, long, env = "CONFIG_FILE_PATH")]
    config: Option<PathBuf>,
    /// The address to listen on. Without it: 0.0.0.0 if there is a master key, else 127.0.0.1.
    #[arg(long, env = "HOST")]
    host: Option<String>,
    /// The port to listen on.
    #[arg(short, long, env = "PORT", default_value_t = 4000)]
    port: u16,
    /// Serve this one model, without a config.
    #[arg(short, long, conflicts_with = "config")]
    model: Option<String>,
    /// The public name of --model.
    #[arg(long, requires = "model")]
    alias: Option<String>,
    /// The address of --model's provider.
    #[arg(long = "api_base", alias = "api-base", requires = "model")]
    api_base: Option<String>,
    /// The API version of --model's provider.
    #[arg(long = "api_version", alias = "api-version", requires = "model")]
    api_version: Option<String>,
    /// Certificate chain in PEM; serves TLS.
    #[arg(
        long = "ssl_certfile_path",
        visible_alias = "tls-cert",
        requires = "ssl_keyfile_path"
    )]
    ssl_certfile_path: Option<PathBuf>,
    /// The certificate's key in PEM.
    #[arg(
        long = "ssl_keyfile_path",
        visible_alias = "tls-key",
        requires = "ssl_certfile_path"
    )]
    ssl_keyfile_path: Option<PathBuf>,
    /// Where keys and spend are kept if the config names no database; made if it is not there.
    #[arg(
        long = "data-dir",
        visible_alias = "data_dir",
        env = "POINTSMAN_DATA_DIR"
    )]
    data_dir: Option<PathBuf>,
    /// Log more.
    #[arg(long)]
    debug: bool,
    /// Log everything but prompts and secrets.
    #[arg(long = "detailed_debug", alias = "detailed-debug")]
    detailed_debug: bool,
    /// Threads that serve; one per core without it.
    #[arg(long = "num_workers", alias = "num-workers", env = "NUM_WORKERS")]
    num_workers: Option<usize>,
    /// Listen on a non-loopback address without a master key.
    #[arg(long = "insecure-open")]
    insecure_open: bool,
    /// Seconds that requests under way get to end after SIGTERM.
    #[arg(long = "drain-seconds", default_value_t = 30)]
    drain_seconds: u64,
    #[command(flatten)]
    without_effect: WithoutEffect,
}

/// Switches of LiteLLM's Python server, which mean nothing here.
#[derive(Debug, Args)]
struct WithoutEffect {
    #[arg(long = "run_gunicorn", hide = true)]
    run_gunicorn: bool,
    #[arg(long = "run_hypercorn", hide = true)]
    run_hypercorn: bool,
    #[arg(long = "max_requests_before_restart", hide = true)]
    max_requests_before_restart: Option<u64>,
    #[arg(long = "keepalive_timeout", hide = true)]
    keepalive_timeout: Option<u64>,
    #[arg(long = "log_config", hide = true)]
    log_config: Option<PathBuf>,
    #[arg(long = "telemetry", hide = true)]
    telemetry: Option<String>,
    #[arg(long = "use_prisma_db_push", hide = true)]
    use_prisma_db_push: bool,
}

impl WithoutEffect {
    fn given(&self) -> Vec<&'static str> {
        [
            (self.run_gunicorn, "--run_gunicorn"),
            (self.run_hypercorn, "--run_hypercorn"),
            (
                self.max_requests_before_restart.is_some(),
                "--max_requests_before_restart",
            ),
            (self.keepalive_timeout.is_some(), "--keepalive_timeout"),
            (self.log_config.is_some(), "--log_config"),
            (self.telemetry.is_some(), "--telemetry"),
            (self.use_prisma_db_push, "--use_prisma_db_push"),
        ]
        .into_iter()
        .filter_map(|(given, name)| given.then_some(name))
        .collect()
    }
}

impl ServeArgs {
    fn listen_host(&self, open: bool) -> Result<IpAddr, String> {
        match self.host.as_deref() {
            None if open => Ok(IpAddr::from([127, 0, 0, 1])),
            None => Ok(IpAddr::from([0, 0, 0, 0])),
            Some("localhost") => Ok(IpAddr::from([127, 0, 0, 1])),
            Some(text) => text
                .parse()
                .map_err(|_| format!("--host: `{text}` is not an IP address")),
        }
    }
}

/// Runs the process.
pub(crate) fn run() -> ExitCode {
    match Cli::parse_from(arguments(std::env::args_os())) {
        Cli {
            command: None,
            serve,
        } => serve::run(&serve),
        Cli {
            command: Some(command),
            ..
        } => match command {
            Command::Serve(args) => serve::run(&args),
            Command::Check { file, json } => tools::check(&file, json),
            Command::Routes { file } => tools::routes(file.as_deref()),
            Command::Expand { file } => tools::expand(&file),
            Command::Explain {
                file,
                request,
                json,
            } => explain::run(&file, &request, json),
            Command::Import(args) => import::run(&args),
            Command::Healthcheck { url } => tools::healthcheck(&url),
        },
    }
}

/// A container's `command:` may begin with `litellm`, as it does for LiteLLM's image.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = given.collect();
    if arguments.get(1).is_some_and(|first| first == "litellm") {
        arguments.remove(1);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(arguments(line.split(' ').map(OsString::from))).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn litellms_own_lines_work() {
        let cli =
            parse("pointsman litellm --config c.yaml --port 8000 --detailed_debug --num_workers 4");
        assert_eq!(cli.serve.config, Some("c.yaml".into()));
        assert_eq!((cli.serve.port, cli.serve.detailed_debug), (8000, true));
        assert!(
            parse("pointsman --run_gunicorn")
                .serve
                .without_effect
                .given()
                == ["--run_gunicorn"]
        );
    }

    #[test]
    fn an_open_gateway_listens_on_loopback() {
        let args = parse("pointsman").serve;
        assert!(args.listen_host(true).unwrap().is_loopback());
        assert!(args.listen_host(false).unwrap().is_unspecified());
    }
}
