//! `muster sandbox`: the built-in SCIM server, until it is told to end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use chrono::Utc;
use clap::Args;
use secrecy::ExposeSecret as _;

use super::exit::UsageError;
use crate::connector::secret::{SecretRef, Secrets};
use crate::disk;
use crate::rules::problem::did_you_mean;
use crate::sandbox::{Dialect, Faults, Sandbox, SandboxError, SandboxOptions, Seed};

/// Runs the built-in SCIM server on this machine, for rehearsals and to see what faults do
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  muster sandbox --seed-users 100 --seed-groups 5\n  muster sandbox --listen 127.0.0.1:8080 --database vault.db --token-from env:VAULT_TOKEN"
)]
pub(super) struct SandboxArgs {
    /// Where to listen: a loopback address and a port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// The file that keeps users and groups; without one they are gone at the end
    #[arg(long, value_name = "FILE")]
    pub(super) database: Option<PathBuf>,
    /// Where the bearer token is: env:NAME, file:PATH or credential:NAME; without one anybody on this machine may do anything
    #[arg(long, value_name = "REFERENCE")]
    pub(super) token_from: Option<SecretRef>,
    /// Faults to play, TOML or JSON
    #[arg(long, value_name = "FILE")]
    pub(super) faults: Option<PathBuf>,
    /// Let POST /_faults change the faults while the server runs
    #[arg(long)]
    pub(super) admin: bool,
    /// Write the port to this file when the server listens
    #[arg(long, value_name = "FILE")]
    pub(super) port_file: Option<PathBuf>,
    /// Fill an empty database with so many users
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed_users: u32,
    /// Fill an empty database with so many groups
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed_groups: u32,
    /// The product to play, quirks and messages included: aws, cato, delinea, entra, generic, incydr, okta, secret-server;
    /// or a file of your own, ours.toml
    #[arg(long, value_name = "NAME", default_value = "generic")]
    pub(super) dialect: String,
    /// Offer containers, privileged data and permissions on both; some dialects do so by themselves
    #[arg(long)]
    pub(super) privileged_access: bool,
    /// How many users may be active: users=3; one more is refused, as where licences are sold
    #[arg(long, value_name = "users=N", value_parser = seats)]
    pub(super) seats: Option<u64>,
    /// The login of the account that whoever asks is, told at /Me; without one, /Me is not offered
    #[arg(long, value_name = "LOGIN")]
    pub(super) me: Option<String>,
    /// Write down each request and how it was answered, a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// Most rows in one answer
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) max_results: usize,
}

/// Runs the server until SIGTERM or Ctrl-C. The first line on standard output is its base address.
///
/// # Errors
/// A file or reference that cannot be read, an address that cannot be listened on.
pub(super) async fn run(args: SandboxArgs, secrets: &dyn Secrets) -> anyhow::Result<u8> {
    // Kept until the end, when it is removed.
    let scratch = match &args.database {
        Some(_) => None,
        None => Some(
            tempfile::tempdir().context("cannot make a temporary folder for the database; name one with --database")?,
        ),
    };
    let database = match (&args.database, &scratch) {
        (Some(database), _) => database.clone(),
        (None, Some(scratch)) => scratch.path().join("sandbox.db"),
        (None, None) => bail!("no database to use; name one with --database"),
    };
    let mut options = SandboxOptions::new(database, Arc::new(Utc::now));
    options.listen = args.listen;
    options.token = match &args.token_from {
        Some(reference) => {
            let token = secrets
                .resolve(reference)
                .map_err(|why| anyhow::anyhow!("--token-from {why}; put a token there, or name another place"))?;
            ensure!(
                !token.expose_secret().is_empty(),
                "the token at {reference} is empty; put one there, or leave --token-from out"
            );
            Some(token.expose_secret().to_owned())
        }
        None => None,
    };
    options.faults = match &args.faults {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the faults in {}", file.display()))?;
            Faults::parse(&text, file)?
        }
        None => Faults::default(),
    };
    options.admin = args.admin;
    options.seed = Seed { users: args.seed_users, groups: args.seed_groups };
    options.log = args.log;
    options.max_results = args.max_results;
    options.seats = args.seats;
    options.me.clone_from(&args.me);
    options.privileged_access = args.privileged_access;
    options.dialect = dialect(&args.dialect)?;

    let sandbox = match Sandbox::start(options).await {
        Err(error @ SandboxError::NotLoopback(_)) => return Err(UsageError(format!("--listen: {error}")).into()),
        started => started?,
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", sandbox.url).and_then(|()| stdout.flush()).context("cannot write the address")?;
    if let Some(file) = &args.port_file {
        disk::atomic::write(file, format!("{}\n", sandbox.addr.port()).as_bytes())?;
    }
    until_told().await?;
    sandbox.shutdown().await;
    Ok(0)
}

/// The product with a name, or of a file.
fn dialect(name: &str) -> anyhow::Result<&'static Dialect> {
    if let Some(read) = Dialect::of_file(Path::new(name)) {
        return Ok(read?);
    }
    let unknown = || {
        let near = did_you_mean(name, Dialect::names());
        let known: Vec<&str> = Dialect::names().collect();
        UsageError(format!("--dialect: `{name}` is no known dialect{near}; known are: {}", known.join(", ")))
    };
    Ok(Dialect::named(name).ok_or_else(unknown)?)
}

/// `users=3`; only users take seats here.
fn seats(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix("users=").and_then(|number| number.parse().ok());
    number.ok_or_else(|| "write it like users=3; only users take seats here".to_owned())
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn until_told() -> anyhow::Result<()> {
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
    }
}
