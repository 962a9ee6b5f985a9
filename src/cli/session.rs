//! One command's hold on one job: its lock, its database, its systems, and who is told.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};

use super::context::{Context, job_path, load_job};
use super::exit::BusyError;
use super::proof_memory::ProofMemory;
use super::registry::registry;
use super::selection::open_store;
use super::{service, stderr};
use crate::connector::registry::ConnectContext;
use crate::disk::lock::{Lock, LockError, Owner, try_lock};
use crate::disk::memory;
use crate::job::Job;
use crate::job::size::memory_by_default;
use crate::job::timer::duration;
use crate::model::event::{Event, Reporter};
use crate::model::run::RunId;
use crate::report::console::{Console, ConsoleSettings};
use crate::report::event_line::Level;
use crate::report::json_log::{JsonLog, Subject};
use crate::report::request_log::RequestLog;
use crate::report::run_log::RunLog;
use crate::report::safe_text;
use crate::report::tee::Tee;
use crate::run::{Conductor, Halt};
use crate::store::database::Store;

/// What a command wants of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To try its systems; nothing is written and nobody is kept out.
    Check,
    /// To show what is remembered of it, where anything is; asks no system and keeps nobody out.
    Look,
    /// To send what is approved: waits so long for the lock.
    Apply(Duration),
    /// To remove what is old: waits so long for the lock.
    Prune(Duration),
    /// To erase somebody who is gone: waits so long for the lock.
    Erase(Duration),
}

/// How long to wait for the lock of a job: a duration, or `0s` for not at all.
///
/// # Errors
/// What a duration looks like.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        text => duration(text),
    }
}

/// One command's hold on one job.
pub(super) struct Session {
    /// What carries the job.
    pub conductor: Conductor,
    /// Who tells people.
    pub console: Arc<Console>,
    _lock: Option<Lock>,
}

/// Opens a job by its name or its file's path.
pub(super) fn open(context: &Context, job_name: &str, purpose: Purpose) -> Result<Session> {
    of(context, find_job(context, job_name)?, purpose)
}

/// A job by its file's path, by its name in `jobs/`, or by the file that the state folder remembers it to have run from.
pub(super) fn find_job(context: &Context, name: &str) -> Result<Job> {
    let missing = match job_path(name) {
        Ok(path) => return Ok(crate::job::load(&path)?),
        Err(missing) => missing,
    };
    if context.layout.db().exists() {
        let store = Store::open(&context.layout, context.now())?;
        if store.job_path(name)?.is_some() {
            return job_of(&store, name);
        }
    }
    Err(missing)
}

/// Opens a job for a run of its own, once nobody else works on it. The run's id tells when it took the lock: runs that
/// waited for each other are in the sequence in which they ran.
pub(super) fn for_run(context: &Context, job_name: &str, patience: Duration) -> Result<(Session, RunId)> {
    let job = find_job(context, job_name)?;
    if !context.layout.db().exists() && context.layout.has_runs() {
        let root = context.layout.root.display();
        eprintln!(
            "muster: warning: {root} holds no muster.db, though folders of runs are there: this run begins anew; links \
             are found by the match rules, all orders wait for review, and what was rejected, withheld or in grace is \
             forgotten; where nobody moved the database away, put it back from a backup before anything is approved"
        );
    }
    let store = Store::open(&context.layout, context.now())?;
    let name = |now| RunId::new(now, context.salt(now));
    let (lock, owner) = take(context, &job, patience, |now| ("run", Some(name(now).0)))?;
    let run = owner.run.map_or_else(|| name(owner.started), RunId);
    Ok((assemble(context, job, store, Some(lock), Some(run.clone()))?, run))
}

/// Opens a job that was read already.
pub(super) fn of(context: &Context, job: Job, purpose: Purpose) -> Result<Session> {
    let store = match purpose {
        Purpose::Check => Store::open(&context.layout, context.now())?,
        Purpose::Look | Purpose::Apply(_) | Purpose::Prune(_) | Purpose::Erase(_) => open_store(context)?,
    };
    match purpose {
        Purpose::Check | Purpose::Look => assemble(context, job, store, None, None),
        Purpose::Apply(patience) => {
            let (lock, _) = take(context, &job, patience, |_| ("apply", None))?;
            let run = store.live_runs(&job.name)?.first().cloned();
            assemble(context, job, store, Some(lock), run)
        }
        Purpose::Prune(patience) => {
            let (lock, _) = take(context, &job, patience, |_| ("prune", None))?;
            assemble(context, job, store, Some(lock), None)
        }
        Purpose::Erase(patience) => {
            let (lock, _) = take(context, &job, patience, |_| ("erase", None))?;
            assemble(context, job, store, Some(lock), None)
        }
    }
}

/// Puts a session together. With the job's lock it is remembered where its file is; `run` is whose log is written.
fn assemble(context: &Context, job: Job, mut store: Store, lock: Option<Lock>, run: Option<RunId>) -> Result<Session> {
    let subject = Subject { job: Some(job.name.clone()), run: run.clone() };
    stderr::is_about(subject.clone());
    let least = if context.tells { Level::Info } else { Level::Error };
    let settings = ConsoleSettings { least: (!stderr::is_json()).then_some(least), bars: context.bars };
    let console = Arc::new(Console::new(settings, Box::new(stderr::tell)));
    let mut reporters: Vec<Arc<dyn Reporter>> = vec![console.clone()];
    if stderr::is_json() {
        let least = if context.verbose { Level::Detail } else { least };
        reporters.push(Arc::new(JsonLog::new(subject, context.clock(), least, Box::new(stderr::line))));
    }
    if let Some(run) = &run {
        context.layout.create_run(&job.name, run)?;
        let log = RunLog::open(&context.layout.run_log(&job.name, run), context.clock())
            .with_context(|| format!("cannot open {}", context.layout.run_log(&job.name, run).display()))?;
        reporters.push(Arc::new(log));
        let requests = context.layout.request_log(&job.name, run);
        let requests = RequestLog::open(&requests, context.clock())
            .with_context(|| format!("cannot open {}", requests.display()))?;
        reporters.push(Arc::new(requests));
        reporters.push(Arc::new(service::Status));
    }
    let halt = Halt::default();
    if lock.is_some() {
        service::begin(&halt, &console);
        let path = std::path::absolute(&job.path)?;
        tell_of_namesake(context, &store, &job.name, &path)?;
        store.remember_job(&job.name, &path)?;
    }
    let reporter: Arc<dyn Reporter> = Arc::new(Tee::new(reporters));
    let (noticed, retried, exchanged) = (reporter.clone(), reporter.clone(), reporter.clone());
    let connect = ConnectContext {
        secrets: context.secrets(&job.folder),
        base: job.folder.clone(),
        run: run.as_ref().map_or("check", |run| run.0.as_str()).to_owned(),
        rate: job.apply.rate,
        retry_budget: job.apply.retry_budget,
        random: Arc::new(random),
        columns: Default::default(),
        notice: Arc::new(move |text| noticed.event(&Event::Note(text.to_owned()))),
        retrying: Arc::new(move |failure, attempt, wait| {
            retried.event(&Event::Retrying { order: None, failure: failure.clone(), attempt, wait });
        }),
        exchanged: Arc::new(move |exchange| exchanged.event(&Event::Exchanged(exchange))),
        proofs: Arc::new(ProofMemory::read(context, &job.name)),
    };
    let conductor = Conductor {
        layout: context.layout.clone(),
        registry: Arc::new(registry(context)),
        connect,
        reporter,
        memory: memory_by_default(memory::allowed()),
        clock: context.clock(),
        zone: context.zone(),
        starter: context.person(),
        halt,
        job,
        store,
    };
    Ok(Session { conductor, console, _lock: lock })
}

/// Takes the job's lock, and says as whom; waits while another has it. `as_whom` says what the lock is taken for, and
/// for which run.
///
/// # Errors
/// [`BusyError`] when the patience is over.
fn take(
    context: &Context,
    job: &Job,
    patience: Duration,
    as_whom: impl Fn(DateTime<Utc>) -> (&'static str, Option<String>),
) -> Result<(Lock, Owner)> {
    let path = context.layout.lock(&job.name);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let begun = Instant::now();
    let mut is_told = !context.tells;
    loop {
        let started = context.now();
        let (what, run) = as_whom(started);
        let owner = Owner { pid: std::process::id(), host: host.clone(), started, run, what: what.to_owned() };
        let holder = match try_lock(&path, &owner) {
            Ok(lock) => return Ok((lock, owner)),
            Err(LockError::Held { owner, .. }) => owner.map_or_else(|| "another process".to_owned(), |o| o.to_string()),
            Err(error) => return Err(error.into()),
        };
        if begun.elapsed() >= patience {
            let text = format!(
                "job {0} is under way: {holder}; nothing was done\nnext: muster status {0}   # until it has ended; --wait 10m waits for it",
                job.name
            );
            return Err(BusyError(text).into());
        }
        if !is_told {
            eprintln!("job {} is under way: {holder}; waiting until it has ended", job.name);
            is_told = true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A number from 0 up to 1, for jitter: nothing depends on its quality.
fn random() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / (f64::from(u32::MAX) + 1.0)
}

/// The job that a run belongs to, from the file that the run was started with.
pub(super) fn job_of(store: &Store, job: &str) -> Result<Job> {
    match store.job_path(job)? {
        Some(path) if Path::new(&path).is_file() => Ok(crate::job::load(&path)?),
        Some(path) => anyhow::bail!(
            "the job file {} is gone; put it back, or run `muster run` with the new place",
            path.display()
        ),
        None => load_job(job),
    }
}

/// Tells that another file of the same name, which is still there, shares runs, links and approvals with this one.
fn tell_of_namesake(context: &Context, store: &Store, job: &str, path: &Path) -> Result<()> {
    if let Some(other) = store.job_path(job)?.filter(|other| other != path && other.is_file()) {
        let (job, other, root) = (
            safe_text::line(job),
            safe_text::line(&other.to_string_lossy()).into_owned(),
            context.layout.root.display(),
        );
        eprintln!(
            "muster: warning: the job {job} was {other} so far, which is still there: both share runs, links and approvals in {root}, \
             and what only one of them has looks gone to the other; give one another `name`, or a state folder of its own (--state DIR)"
        );
    }
    Ok(())
}
