//! The built-in SCIM server: for the demo, rehearsals and tests of what happens when a server misbehaves.
//!
//! It keeps users (with the enterprise extension) and groups in an SQLite file of its own, listens on loopback only and
//! keeps to RFC 7643, RFC 7644 and RFC 9865, but for what a person scripts: [`Faults`] make it slow, forgetful,
//! dishonest or absent.
//!
//! - `server`: connections, credentials, faults; `line`: connections that can be cut; `request_log`: what was asked
//! - `protocol`: which request means what; `discovery`: what the server says about itself
//! - `query`, `listing`, `cursor`, `projection`: lists and what of a resource is shown
//! - `database`, `resources`, `members`, `member_names`, `managers`, `privileged_access`, `seed`: what is kept
//! - `dialect`, `quirks`: the products that it plays

mod cursor;
mod database;
mod dialect;
mod discovery;
mod fault_engine;
mod faults;
mod line;
mod listing;
mod managers;
mod member_names;
mod members;
mod privileged_access;
mod projection;
mod protocol;
mod query;
mod quirks;
mod request_log;
mod resources;
mod seed;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use dialect::Dialect;
pub use faults::{Action, Faults, FaultsError, Rule, When};
pub use server::RunningSandbox;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The path under which the server answers.
pub const BASE_PATH: &str = "/scim/v2";

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxOptions {
    /// The SQLite file; made with its folder where there is none, and kept. One server at a time.
    pub database: PathBuf,
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bearer token that requests must carry; none means that anybody on this machine may.
    pub token: Option<String>,
    /// How to misbehave.
    pub faults: Faults,
    /// Whether `/_faults` is there to change the faults while the server runs.
    pub admin: bool,
    /// The time, for `meta` and the life of cursors.
    pub clock: Clock,
    /// What to fill an empty database with.
    pub seed: Seed,
    /// Where to write down each request and how it was answered.
    pub log: Option<PathBuf>,
    /// Most rows in one answer.
    pub max_results: usize,
    /// How long a cursor may be used.
    pub cursor_timeout: Duration,
    /// How many users may be active; none means any number.
    pub seats: Option<u64>,
    /// The login of the account that whoever asks is, at `/Me`; none means that the server does not offer it.
    pub me: Option<String>,
    /// The product that it plays.
    pub dialect: &'static Dialect,
    /// Offers containers, privileged data and permissions, also where the product has none.
    pub privileged_access: bool,
}

impl SandboxOptions {
    /// A server on a free port with 200 rows a page, cursors good for an hour, no token, no faults.
    pub fn new(database: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            database: database.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
            faults: Faults::default(),
            admin: false,
            clock,
            seed: Seed::default(),
            log: None,
            max_results: 200,
            cursor_timeout: Duration::from_secs(3600),
            seats: None,
            me: None,
            dialect: Dialect::generic(),
            privileged_access: false,
        }
    }
}

/// What an empty database is filled with; the same numbers give the same resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    /// How many users.
    pub users: u32,
    /// How many groups; the users are spread over them.
    pub groups: u32,
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It would be reachable from elsewhere.
    #[error("{0} is no loopback address; the sandbox listens on this machine only: use 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The port is taken or not allowed.
    #[error("cannot listen on {address}: {cause}; name another port, or 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A dialect's file cannot be used.
    #[error("the dialect in {path} cannot be read: {cause}; correct it, or name one that muster has")]
    Dialect {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        cause: String,
    },
    /// The log of requests cannot be made.
    #[error("cannot make the log of requests {path}: {cause}; check its folder and permissions")]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// The file cannot be made or opened.
    #[error("cannot open the database {path}: {cause}; check its folder and permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's or the system's words.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file was made by another version, or is something else.
    #[error("the database {path} has format {found}, this version reads {known}; use another file")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: i64,
        /// The format known.
        known: i64,
    },
}

/// The built-in SCIM server.
pub struct Sandbox;

impl Sandbox {
    /// Starts a server on the current tokio runtime. It runs until the handle is shut down or dropped.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn start(options: SandboxOptions) -> Result<RunningSandbox, SandboxError> {
        server::start(options).await
    }
}
