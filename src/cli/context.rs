//! What a command takes from the world around it: folders, the clock, the terminal, the person.

use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Local, TimeZone as _, Utc};

use super::exit::UsageError;
use super::secrets::Environment;
use super::stderr;
use crate::connector::secret::Secrets;
use crate::job::Job;
use crate::model::approvers::Zone;
use crate::report::screen::Screen;
use crate::report::table::DEFAULT_WIDTH;
use crate::rules::problem::nearest;
use crate::store::layout::Layout;

/// The world as one command sees it.
#[derive(Clone)]
pub(super) struct Context {
    /// The state folder.
    pub layout: Layout,
    /// Where that choice came from, for messages.
    pub state_from: &'static str,
    /// Whether people are told what happens: asked for, or standard error is a terminal and nobody asked for quiet.
    pub tells: bool,
    /// Whether people want to hear only what went wrong.
    pub quiet: bool,
    /// How many columns there are there for bars that show how far the work is; `None`: there are no bars.
    pub bars: Option<usize>,
    /// Whether whoever collects logs wants to hear everything, every order that ends included.
    pub verbose: bool,
}

impl Context {
    /// Looks around. `state` is what the command line says, if anything.
    pub(super) fn new(state: Option<PathBuf>, quiet: bool, verbose: bool) -> Result<Self> {
        let (root, state_from) = state_folder(state)?;
        let terminal = std::io::stderr().is_terminal();
        let tells = verbose || ((terminal || stderr::is_log()) && !quiet);
        let has_bars = terminal && tells && !is_dumb() && !stderr::is_json();
        let bars = has_bars.then(|| columns(std::io::stderr()).unwrap_or(DEFAULT_WIDTH));
        Ok(Self { layout: Layout::new(root), state_from, tells, quiet, bars, verbose })
    }

    /// The time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The time, as a function for those who need it later.
    pub(super) fn clock(&self) -> Arc<dyn Fn() -> DateTime<Utc> + Send + Sync> {
        Arc::new(Utc::now)
    }

    /// What a time without a zone means here.
    pub(super) fn zone(&self) -> Zone {
        |time| Some(Local.from_local_datetime(&time).earliest()?.to_utc())
    }

    /// The fraction of a second, in 65536ths: runs of one second are told apart by it, and still sort by time.
    pub(super) fn salt(&self, now: DateTime<Utc>) -> u16 {
        ((u64::from(now.timestamp_subsec_nanos().min(999_999_999)) << 16) / 1_000_000_000) as u16
    }

    /// Who sits here: SUDO_USER, else the login.
    pub(super) fn person(&self) -> String {
        for name in ["SUDO_USER", "LOGNAME", "USER"] {
            if let Ok(person) = env::var(name)
                && !person.is_empty()
            {
                return person;
            }
        }
        let uid = rustix::process::getuid().as_raw().to_string();
        login_of(&uid).unwrap_or_else(|| format!("uid {uid}"))
    }

    /// What resolves credential references.
    pub(super) fn secrets(&self, base: &Path) -> Arc<dyn Secrets> {
        Arc::new(Environment::new(base))
    }

    /// The columns that text is wrapped to: what `COLUMNS` or the terminal says, else 80.
    pub(super) fn width(&self) -> usize {
        columns(std::io::stdout()).unwrap_or(DEFAULT_WIDTH)
    }

    /// Where data for people is shown. What goes to a file, a pipe or a mail is whole.
    pub(super) fn screen(&self) -> Screen {
        let is_terminal = std::io::stdout().is_terminal();
        let width = columns(std::io::stdout()).unwrap_or(if is_terminal { DEFAULT_WIDTH } else { Screen::WHOLE });
        Screen { width, color: is_terminal && wants_color() }
    }
}

/// The narrowest screen that is believed in.
const NARROWEST: usize = 20;

/// How wide the screen is, where that is known.
pub(super) fn columns(screen: impl AsFd) -> Option<usize> {
    let named = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || rustix::termios::tcgetwinsize(screen).ok().map(|size| usize::from(size.ws_col));
    named.or_else(seen).filter(|columns| *columns >= NARROWEST)
}

/// Whether a terminal is to show colour (<https://no-color.org>).
pub(super) fn wants_color() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}

/// Whether the terminal says that it can do nothing but lines.
fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

fn state_folder(given: Option<PathBuf>) -> Result<(PathBuf, &'static str)> {
    if let Some(path) = given {
        return Ok((std::path::absolute(path)?, "--state"));
    }
    let from = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = from("STATE_DIRECTORY") {
        return Ok((path, "$STATE_DIRECTORY"));
    }
    if let Some(path) = from("XDG_STATE_HOME") {
        return Ok((path.join("muster"), "$XDG_STATE_HOME"));
    }
    let home =
        from("HOME").context("neither $HOME nor $XDG_STATE_HOME is set; name a state folder with --state DIR")?;
    Ok((home.join(".local/state/muster"), "$HOME"))
}

/// Finds a job's file: a path, or a name looked up in `jobs/`.
pub(super) fn job_path(name: &str) -> Result<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.is_file() {
        return Ok(direct);
    }
    let named = Path::new("jobs").join(format!("{name}.toml"));
    if named.is_file() {
        return Ok(named);
    }
    let known: Vec<String> = std::fs::read_dir("jobs")
        .map(|entries| {
            let mut names: Vec<String> = entries
                .filter_map(|e| e.ok()?.file_name().into_string().ok()?.strip_suffix(".toml").map(str::to_owned))
                .collect();
            names.sort();
            names
        })
        .unwrap_or_default();
    let hint = if known.is_empty() {
        "there is no jobs/ folder with job files here".to_owned()
    } else {
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? jobs/ here holds {}", known.join(", ")),
            None => format!("jobs/ here holds {}", known.join(", ")),
        }
    };
    Err(UsageError(format!("no job file `{name}`, nor jobs/{name}.toml; {hint}")).into())
}

/// Reads and checks a job file.
pub(super) fn load_job(name: &str) -> Result<Job> {
    let path = job_path(name)?;
    Ok(crate::job::load(&path)?)
}

/// The login of a user id, where the machine's own list of users has it.
fn login_of(uid: &str) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let login = fields.next()?;
        (fields.nth(1)? == uid).then(|| login.to_owned())
    })
}
