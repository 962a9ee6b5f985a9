//! The door: what is typed, the clock, the environment, and the exit status.

/// Says something to people, in lines.
macro_rules! eprintln {
    ($($said:tt)*) => {
        $crate::cli::stderr::say(&format!($($said)*))
    };
}

/// The same, unless nobody wants to hear more than what went wrong (`--quiet`).
macro_rules! say {
    ($context:expr, $($said:tt)*) => {{
        if !$context.quiet {
            eprintln!($($said)*);
        }
    }};
}

mod apply;
mod approve;
mod backtest_text;
mod check;
mod check_memory;
mod completions;
mod context;
mod decider;
mod demo;
mod diff;
mod due;
mod ending;
mod erase;
mod exit;
mod explain;
mod export;
mod help_notes;
mod history;
mod init;
mod link;
mod links;
mod list;
mod log;
mod log_names;
mod lost;
mod manual;
mod notices;
mod outcome_report;
mod period;
mod plan;
mod plan_diff;
mod proof_memory;
mod prune;
mod registry;
mod report;
mod retry;
mod revert;
mod review;
mod run;
mod run_page;
mod sandbox;
mod schedule;
mod schema;
mod sealed;
mod sealing;
mod seconds;
mod secrets;
mod selection;
mod serve;
mod service;
mod session;
mod settle;
mod status;
mod stderr;
mod stdout;
mod support_bundle;
mod thresholds;
mod troubles;
mod ways;
mod withheld;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::event_line::Level;
use context::Context;
use exit::Ending;
pub use help_notes::HelpNotes;

/// Reconciles identity systems and vaults as a batch job: exports both sides, proves the exports, plans provisioning
/// orders, and applies only what a review approved.
#[derive(Debug, Parser)]
#[command(name = "muster", version, max_term_width = 100, after_help = help_notes::exit_statuses())]
struct Cli {
    /// State folder [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/muster]
    #[arg(long, global = true, value_name = "DIR", display_order = 1_000)]
    state: Option<PathBuf>,
    /// Say only what went wrong: errors, what was refused, and what holds a run
    #[arg(long, short, global = true, conflicts_with = "verbose", display_order = 1_001)]
    quiet: bool,
    /// Tell what happens even where standard error is no terminal
    #[arg(long, short, global = true, display_order = 1_002)]
    verbose: bool,
    /// What standard error gets: lines for people, or a JSON object a line for programs that collect logs
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "MUSTER_LOG_FORMAT",
        hide_env_values = true,
        default_value = "human",
        display_order = 1_003
    )]
    log_format: stderr::LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// The table of commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a few questions, try both systems, and write a first job file
    Init(init::Args),
    /// The whole job, as cron calls it: recover, export, prove, plan, then apply what is approved
    Run(run::Args),
    /// Test the connection to every system of a job, stage by stage
    Check(check::Args),
    /// Export snapshots only
    Export(export::Args),
    /// Export and plan, without applying anything
    Plan(plan::Args),
    /// Show what a run wants to do, or write a copy of its review file
    Review(review::Args),
    /// Approve orders, and accept thresholds and suspicions; the decision is sealed
    Approve(approve::ApproveArgs),
    /// Reject orders; a rejected order is not raised again while run after run would raise the same
    Reject(approve::RejectArgs),
    /// Send the approved orders of a run or a job
    Apply(apply::Args),
    /// Return errored orders to approved, to be tried again
    Retry(retry::Args),
    /// Plan the inverse of what a run applied, for the same review
    Revert(revert::Args),
    /// Say which source row an object of the target belongs to
    Link(link::LinkArgs),
    /// Forget which source row an object of the target belongs to
    Unlink(link::UnlinkArgs),
    /// Which source row belongs to which object of the target, and which of these links are wrong
    Links(links::Args),
    /// Say what became of an order of which nobody could tell
    Settle(settle::Args),
    /// Where a job stands: runs, exports, orders that wait
    Status(status::Args),
    /// Which objects of the target are managed, which are local
    List(list::Args),
    /// One object, step by step: read, scope, map, correlate, compare, decide, order, outcome
    Explain(explain::Args),
    /// Every change of one object's values, with what and who made it
    History(history::Args),
    /// What became of each order of a run
    Report(report::Args),
    /// Print or write systemd timers, or lines of a crontab, that call a job by the clock
    Schedule(schedule::Args),
    /// What a vendor's support needs of a run, in a zip without anybody's name
    SupportBundle(support_bundle::Args),
    /// Remove folders of runs whose time is over, as every run does at its end
    Prune(prune::Args),
    /// Erase the personal data of an identity that is gone from what is remembered
    Erase(erase::Args),
    /// The limits in force, and what they would have done in the past
    Thresholds(thresholds::Args),
    /// The log of runs, decisions and outcomes
    Log(log::Args),
    /// Compare two snapshots, without a job
    Diff(diff::Args),
    /// The whole tour on the built-in server, in a scratch folder
    Demo(demo::Args),
    /// The built-in SCIM server, for rehearsals
    Sandbox(sandbox::SandboxArgs),
    /// Print the JSON Schema of job files
    #[command(
        after_help = "Examples:\n  muster schema > muster.schema.json   # for an editor that completes TOML by it\n  muster schema | less"
    )]
    Schema,
    /// Print shell completions
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(manual::Args),
}

/// The table of commands, for what is made of it: manual pages, completions, the reference.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command line; returns the exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            if !asked && stderr::is_log() {
                stderr::tell(Level::Error, error.render().to_string().trim_end());
            } else {
                // Nothing is left to tell anyone when even this cannot be printed.
                let _ = error.print();
            }
            return if asked { Ending::Done.status() } else { Ending::Usage.status() };
        }
    };
    stderr::begin(cli.log_format);
    // A comparison of two files waits for nothing: threads that wait would only be started and ended.
    let mut builder = match cli.command {
        Command::Diff(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let told = format!("muster: cannot start: {error}; the machine is out of threads or file handles");
            stderr::tell(Level::Error, &told);
            return Ending::Failed.status();
        }
    };
    survive_size_limits(&runtime);
    // A fault of muster's own is told in one line, not as a stack trace.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let told = "nothing unapproved was sent, and the next run recovers: please report it";
        stderr::tell(Level::Error, &format!("muster: a fault in muster itself at {place}; {told}"));
    }));
    let ended = runtime.block_on(dispatch(cli));
    // What is still waited for ends with the process. A runtime that is shut down would wake it once more, to no use.
    std::mem::forget(runtime);
    match ended {
        Ok(status) => status,
        Err(error) => {
            stderr::tell(Level::Error, &format!("muster: {error:#}"));
            exit::status_of(&error).status()
        }
    }
}

/// A file that outgrows what `ulimit -f` allows is an error of its write, to be told like a full disk; unheeded, the
/// signal that comes with it would end the process without a word.
fn survive_size_limits(runtime: &tokio::runtime::Runtime) {
    let _inside = runtime.enter();
    // Once heeded it stays so. Where that cannot be had, all is as it would be without.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

async fn dispatch(cli: Cli) -> anyhow::Result<u8> {
    let context = || Context::new(cli.state.clone(), cli.quiet, cli.verbose);
    match cli.command {
        Command::Init(args) => init::run(&context()?, args).await,
        Command::Run(args) => run::run(&context()?, args).await,
        Command::Check(args) => check::run(&context()?, args).await,
        Command::Export(args) => export::run(&context()?, args).await,
        Command::Plan(args) => plan::run(&context()?, args).await,
        Command::Review(args) if args.serves() => serve::run(&context()?, args).await,
        Command::Review(args) => review::run(&context()?, args),
        Command::Approve(args) => approve::approve(&context()?, args),
        Command::Reject(args) => approve::reject(&context()?, args),
        Command::Apply(args) => apply::run(&context()?, args).await,
        Command::Retry(args) => retry::run(&context()?, args),
        Command::Revert(args) => revert::run(&context()?, args).await,
        Command::Link(args) => link::link(&context()?, args),
        Command::Unlink(args) => link::unlink(&context()?, args),
        Command::Links(args) => links::run(&context()?, args).await,
        Command::Settle(args) => settle::run(&context()?, args),
        Command::Status(args) => status::run(&context()?, args),
        Command::List(args) => list::run(&context()?, args).await,
        Command::Explain(args) => explain::run(&context()?, args).await,
        Command::History(args) => history::run(&context()?, args),
        Command::Report(args) => report::run(&context()?, args),
        Command::SupportBundle(args) => support_bundle::run(&context()?, args).await,
        Command::Schedule(args) => schedule::run(&context()?, args),
        Command::Prune(args) => prune::run(&context()?, args),
        Command::Erase(args) => erase::run(&context()?, args),
        Command::Thresholds(args) => thresholds::run(&context()?, args),
        Command::Log(args) => log::run(&context()?, args),
        Command::Diff(args) => diff::run(&args, cli.verbose || (!cli.quiet && std::io::stderr().is_terminal())),
        Command::Demo(args) => demo::run(args).await,
        Command::Sandbox(args) => sandbox::run(args, &secrets::Environment::new(std::path::Path::new("."))).await,
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => manual::run(&args, cli.quiet),
    }
}
