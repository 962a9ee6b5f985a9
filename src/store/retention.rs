//! Which export and run folders may be removed, and removing them.
//!
//! A folder goes by a new name first, so that what a crash leaves of it is taken for nothing else; what was renamed is
//! removed for good by whoever comes next. The database keeps what it knows of every run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::age::Ages;
use super::chain::Entry;
use super::database::{Store, stamp};
use super::error::{Fault, StoreError};
use super::layout::Layout;
use crate::disk::atomic::sync_folder_of;
use crate::model::grace::about;
use crate::model::record::RunRecord;
use crate::model::run::{RunId, RunState};
use crate::model::settings::RetentionSettings;
use crate::snapshot::manifest::FILE_NAME;
use crate::snapshot::sharing::Shareable;

/// What the name of a folder that is being removed begins with. No job, run or system has such a name.
const REMOVED: &str = ".removed-";

/// What the folder of one look at the systems begins with. It goes when the look is over; one that was cut short leaves it.
pub const LOOK: &str = ".explain-";

/// After so long nobody looks any more.
const LOOK_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// What of a run is kept for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Its snapshots.
    Export,
    /// Its plan, approvals and reports.
    Run,
    /// What it did line by line, and each of its requests: two files in the folder of its plan.
    Requests,
}

/// What is kept for a time of its own in the folder of a run.
const REQUESTS: [&str; 2] = ["requests.ndjson", "run.log"];

impl Folder {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Run => "run",
            Self::Requests => "requests",
        }
    }

    /// What the log calls its removal.
    fn removal(self) -> &'static str {
        match self {
            Self::Export => "export-removed",
            Self::Run => "run-removed",
            Self::Requests => "requests-removed",
        }
    }

    /// Where those of a job lie.
    fn home(self, layout: &Layout, job: &str) -> PathBuf {
        match self {
            Self::Export => layout.exports(job),
            Self::Run | Self::Requests => layout.runs(job),
        }
    }
}

/// A folder whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The run that it is of.
    pub run: RunId,
    /// Which of the run's folders.
    pub folder: Folder,
    /// Bytes of its files. One that is kept under two names counts under each.
    pub bytes: u64,
    /// Why it stays all the same, in a few words; `None` where it goes.
    pub stays: Option<String>,
    /// Whether that is because of the time right before the newest run, of which only a part is counted.
    pub is_leap: bool,
    path: PathBuf,
}

impl Store {
    /// The folders of a job whose time is over, exports first, each by age; with why one stays. Time is counted from run to
    /// run: where none was made for long, or the clock leapt, only a part of it is.
    ///
    /// Folders of runs that the database does not know (it was lost, or they were put there) are left alone.
    ///
    /// # Errors
    /// When the database or a folder cannot be read.
    pub fn overdue(
        &self,
        job: &str,
        settings: &RetentionSettings,
        now: DateTime<Utc>,
    ) -> Result<Vec<Overdue>, StoreError> {
        let runs: BTreeMap<RunId, RunRecord> =
            self.runs(job, 0)?.into_iter().map(|run| (run.id.clone(), run)).collect();
        let needs = self.needs_of(job, now)?;
        let newest = runs.values().map(|run| run.started).filter(|start| *start <= now).max();
        let mut found = Vec::new();
        let mut kinds = vec![(Folder::Export, settings.exports), (Folder::Run, settings.runs)];
        if settings.requests < settings.runs {
            kinds.push((Folder::Requests, settings.requests));
        }
        for (folder, keep) in kinds {
            let ages = Ages::of(runs.values().map(|run| run.started), now, keep);
            for (name, path) in entries(&folder.home(&self.layout, job))? {
                let Some(run) = runs.get(&RunId(name)) else { continue };
                let whole =
                    |found: &Overdue| found.folder == Folder::Run && found.run == run.id && found.stays.is_none();
                if folder == Folder::Requests && (requests_in(&path).is_empty() || found.iter().any(whole)) {
                    continue;
                }
                // A clock that went back makes nothing old.
                if (now - run.started).to_std().unwrap_or_default() <= keep {
                    continue;
                }
                let is_old = ages.age(run.started).to_std().unwrap_or_default() > keep;
                let gap = if is_old { None } else { ages.gap(run.started) };
                let needed = needs.stays(run);
                let is_leap = needed.is_none() && gap.is_some_and(|(_, to)| newest.is_some_and(|newest| to >= newest));
                let stays = match needed {
                    None if !is_old => gap.map(uncounted),
                    None if folder == Folder::Run => self.explains_changes(&run.id, needs.oldest_baseline)?,
                    stays => stays,
                };
                let bytes = match folder {
                    Folder::Requests => requests_in(&path).iter().map(|(_, bytes)| bytes).sum(),
                    _ => Sizes::default().add(&path)?,
                };
                found.push(Overdue { run: run.id.clone(), folder, bytes, stays, is_leap, path });
            }
        }
        Ok(found)
    }

    /// Removes those of these folders that do not stay, and what an interrupted removal left; the bytes that are free now.
    ///
    /// # Errors
    /// When the database cannot be written or a folder cannot be removed; what was removed before stays removed.
    pub fn remove_overdue(&mut self, job: &str, overdue: &[Overdue], now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.remove(job, overdue, "its time was over", now)
    }

    /// Removes the snapshots of some runs because somebody is in them who is to be erased.
    ///
    /// # Errors
    /// As of [`Self::remove_overdue`].
    pub fn remove_erased_exports(
        &mut self,
        job: &str,
        runs: &BTreeSet<RunId>,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let folder = |run: &RunId| Overdue {
            run: run.clone(),
            folder: Folder::Export,
            bytes: 0,
            stays: None,
            is_leap: false,
            path: self.layout.export(job, run),
        };
        let going: Vec<Overdue> = runs.iter().map(folder).collect();
        self.remove(job, &going, "somebody in it was erased", now)
    }

    fn remove(&mut self, job: &str, folders: &[Overdue], why: &str, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.sweep(job, why, now)?;
        let going: Vec<&Overdue> = folders.iter().filter(|folder| folder.stays.is_none()).collect();
        if going.is_empty() {
            return Ok(0);
        }
        // A snapshot may share its file with one that goes.
        let accepted = self.baselines(job)?;
        let kept = accepted.values().filter_map(|baseline| {
            Shareable::untouched(&self.layout.root.join(&baseline.path), &baseline.sha256, &baseline.key)
        });
        let kept: Vec<Shareable> = kept.collect();
        let mut sizes = Sizes::default();
        let (files, going): (Vec<&Overdue>, Vec<&Overdue>) =
            going.into_iter().partition(|going| going.folder == Folder::Requests);
        let of_files = files
            .into_iter()
            .try_fold(0, |sum, going| self.remove_requests(job, going, why, now).map(|()| sum + going.bytes))?;
        for folder in &going {
            sizes.add(&folder.path)?;
            let removed = folder.path.with_file_name(format!("{REMOVED}{}", folder.run));
            match fs::rename(&folder.path, &removed) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed.map_err(|error| StoreError::file("remove the folder", &folder.path, error))?,
            }
        }
        for path in going.iter().map(|folder| folder.path.as_path()) {
            sync_folder_of(path)?;
        }
        self.sweep(job, why, now)?;
        for snapshot in kept {
            // Where it fails, its digests are made anew.
            let _ = snapshot.settle();
        }
        Ok(sizes.freed() + of_files)
    }

    /// Removes what a run did line by line, which is logged before it goes.
    fn remove_requests(&mut self, job: &str, going: &Overdue, why: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| {
            if is_logged(tx, &going.run, going.folder)? {
                return Ok(());
            }
            let detail = serde_json::json!({ "job": job, "bytes": going.bytes, "why": why });
            log.append(tx, &Entry::new(now, going.folder.removal(), Some(&going.run), detail))
        })?;
        for (path, _) in requests_in(&going.path) {
            fs::remove_file(&path).map_err(|error| StoreError::file("remove", &path, error))?;
        }
        Ok(())
    }

    /// Removes for good what was renamed, and logs it where that was not done yet.
    fn sweep(&mut self, job: &str, why: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        for folder in [Folder::Export, Folder::Run] {
            for (name, path) in entries(&folder.home(&self.layout, job))? {
                if name.starts_with(LOOK) && is_left_behind(&path, now) {
                    fs::remove_dir_all(&path).map_err(|error| StoreError::file("remove the folder", &path, error))?;
                    continue;
                }
                let Some(run) = name.strip_prefix(REMOVED).map(|run| RunId(run.to_owned())) else { continue };
                let bytes = Sizes::default().add(&path)?;
                self.write(|tx, log| {
                    if is_logged(tx, &run, folder)? {
                        return Ok(());
                    }
                    let detail = serde_json::json!({ "job": job, "bytes": bytes, "why": why });
                    log.append(tx, &Entry::new(now, folder.removal(), Some(&run), detail))
                })?;
                fs::remove_dir_all(&path).map_err(|error| StoreError::file("remove the folder", &path, error))?;
            }
        }
        Ok(())
    }

    /// When a folder of a run was removed because its time was over.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn removed_at(&self, run: &RunId, folder: Folder) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(self.last_of_kind(run, folder.removal())?.map(|entry| entry.at))
    }

    fn needs_of(&self, job: &str, now: DateTime<Utc>) -> Result<Needs, StoreError> {
        let mut needs = Needs::default();
        for (resource, baseline) in self.baselines(job)? {
            needs.baselines.entry(baseline.run).or_default().push(resource.to_string());
            needs.oldest_baseline = Some(needs.oldest_baseline.map_or(baseline.at, |oldest| oldest.min(baseline.at)));
        }
        needs.live = self.live_runs(job)?.into_iter().collect();
        let runs = self.runs(job, 0)?;
        needs.newest = runs.first().map(|run| run.id.clone());
        // A plan that undoes another has no snapshots: those that `list` goes by are of an earlier one.
        let has_snapshots =
            |run: &&RunRecord| run.plan_digest.is_some() && self.layout.export(job, &run.id).join(FILE_NAME).is_file();
        needs.newest_plan = runs.iter().find(has_snapshots).map(|run| run.id.clone());
        needs.approved = self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT DISTINCT a.run FROM approvals a JOIN runs r ON r.id = a.run WHERE r.job = ? AND a.expires > ?",
            )?;
            let approved = statement.query_map(params![job, stamp(now)], |row| row.get(0).map(RunId))?;
            Ok(approved.collect::<Result<_, _>>()?)
        })?;
        Ok(needs)
    }

    /// Whether a run's orders tell what of the changes since the last accepted snapshots is muster's own.
    fn explains_changes(&self, run: &RunId, since: Option<DateTime<Utc>>) -> Result<Option<String>, StoreError> {
        let Some(since) = since else { return Ok(None) };
        let explains: bool = self.read(|db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM orders WHERE run = ? AND state = 'applied' AND updated >= ?)";
            Ok(db.query_row(sql, params![run.0, stamp(since)], |row| row.get(0))?)
        })?;
        let why = || "applied since the accepted snapshots".to_owned();
        Ok(explains.then(why))
    }
}

/// The files of a run's folder that tell line by line what it did, with their bytes.
fn requests_in(folder: &Path) -> Vec<(PathBuf, u64)> {
    let there = |name: &&str| {
        let path = folder.join(name);
        let bytes = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
        Some((path, bytes))
    };
    REQUESTS.iter().filter_map(there).collect()
}

/// Why a folder is not as old as the clock says, short enough for a line of `prune`.
fn uncounted((from, to): (DateTime<Utc>, DateTime<Utc>)) -> String {
    format!("no run for {}, or a leap", about(to - from))
}

/// What the folders of a job's runs are still needed for.
#[derive(Debug, Default)]
struct Needs {
    /// The resources whose last accepted snapshot lies with a run.
    baselines: BTreeMap<RunId, Vec<String>>,
    oldest_baseline: Option<DateTime<Utc>>,
    live: BTreeSet<RunId>,
    approved: BTreeSet<RunId>,
    newest: Option<RunId>,
    newest_plan: Option<RunId>,
}

impl Needs {
    fn stays(&self, run: &RunRecord) -> Option<String> {
        let id = &run.id;
        if run.state.is_held() {
            return Some("held".to_owned());
        }
        if let Some(resources) = self.baselines.get(id) {
            return Some(match resources.as_slice() {
                [only] => format!("accepted snapshot of {only}"),
                several => format!("accepted snapshots of {} resources", several.len()),
            });
        }
        if self.live.contains(id) {
            return Some("orders have not ended".to_owned());
        }
        if self.approved.contains(id) {
            return Some("an approval still holds".to_owned());
        }
        if run.state == RunState::Started && self.newest.as_ref() == Some(id) {
            return Some("may be under way".to_owned());
        }
        (self.newest_plan.as_ref() == Some(id)).then(|| "newest plan".to_owned())
    }
}

/// The bytes of some folders, and what their removal frees: a file goes with the last of its names.
#[derive(Default)]
struct Sizes {
    /// By device and number: bytes, names that there are, names that were seen.
    files: HashMap<(u64, u64), (u64, u64, u64)>,
}

impl Sizes {
    /// Bytes of all files below a folder.
    fn add(&mut self, folder: &Path) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for (_, path) in entries(folder)? {
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::file("read", &path, error)),
            };
            if found.is_dir() {
                bytes += self.add(&path)?;
                continue;
            }
            bytes += found.len();
            let file = self.files.entry((found.dev(), found.ino())).or_insert((found.len(), found.nlink(), 0));
            file.2 += 1;
        }
        Ok(bytes)
    }

    fn freed(&self) -> u64 {
        self.files.values().filter(|(_, names, seen)| seen >= names).map(|(bytes, ..)| bytes).sum()
    }
}

/// Whether a folder is older than any look at the systems lasts.
fn is_left_behind(path: &Path, now: DateTime<Utc>) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    modified.is_ok_and(|modified| (now - DateTime::<Utc>::from(modified)).to_std().unwrap_or_default() > LOOK_LASTS)
}

fn is_logged(tx: &Connection, run: &RunId, folder: Folder) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM log WHERE run = ? AND kind = ?)";
    Ok(tx.query_row(sql, params![run.0, folder.removal()], |row| row.get(0))?)
}

/// What a folder holds by name, sorted; nothing where it is not there.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let read = |error| StoreError::file("read", folder, error);
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(read)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    found.sort();
    Ok(found)
}
