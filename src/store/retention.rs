//! Which export and run folders may be removed, and removing them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::database::Store;
use super::error::StoreError;
use crate::model::run::{RunId, RunState};
use crate::model::settings::RetentionSettings;
use crate::snapshot::sharing::Shareable;

/// What decides how long a run's folders are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// When the run started.
    pub started: DateTime<Utc>,
    /// Whether a baseline lies in its export folder.
    pub baseline: bool,
    /// Whether it is held, under way, or has live orders.
    pub waiting: bool,
}

/// Folders that may be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removable {
    /// Runs whose export folder may go.
    pub exports: Vec<RunId>,
    /// Runs whose run folder may go.
    pub runs: Vec<RunId>,
}

/// Decides, for runs with folders, which folders may go: the time is over, nothing waits, and for exports no
/// baseline lies there. A run folder never goes before its export folder's baseline does.
pub fn removable(runs: &BTreeMap<RunId, Keep>, settings: &RetentionSettings, now: DateTime<Utc>) -> Removable {
    let mut found = Removable::default();
    for (run, keep) in runs {
        // A clock that went back makes nothing old.
        let age = (now - keep.started).to_std().unwrap_or_default();
        if keep.waiting || keep.baseline {
            continue;
        }
        if age > settings.exports {
            found.exports.push(run.clone());
        }
        if age > settings.runs {
            found.runs.push(run.clone());
        }
    }
    found
}

impl Store {
    /// Removes a job's folders whose time is over; the folders that were removed.
    ///
    /// Folders of runs that the database does not know (it was lost, or they were put there) are left alone.
    ///
    /// # Errors
    /// When the database cannot be read or a folder cannot be removed.
    pub fn clean(
        &mut self,
        job: &str,
        settings: &RetentionSettings,
        now: DateTime<Utc>,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let accepted = self.baselines(job)?;
        let baselines: BTreeSet<RunId> = accepted.values().map(|baseline| baseline.run.clone()).collect();
        let live: BTreeSet<RunId> = self.live_runs(job)?.into_iter().collect();
        let runs = self.runs(job, 0)?;
        let newest = runs.first().map(|run| run.id.clone());
        let keeps = runs.into_iter().map(|run| {
            let under_way = run.state == RunState::Started && newest.as_ref() == Some(&run.id);
            let waiting = run.state.is_held() || live.contains(&run.id) || under_way;
            let baseline = baselines.contains(&run.id);
            (run.id, Keep { started: run.started, baseline, waiting })
        });
        let found = removable(&keeps.collect(), settings, now);
        let exports = found.exports.iter().map(|run| self.layout.export(job, run));
        let folders = exports.chain(found.runs.iter().map(|run| self.layout.run_folder(job, run)));
        // A snapshot may share its file with one that goes.
        let kept = accepted.values().filter_map(|baseline| {
            Shareable::untouched(&self.layout.root.join(&baseline.path), &baseline.sha256, &baseline.key)
        });
        let kept: Vec<Shareable> = kept.collect();
        let mut removed = Vec::new();
        for folder in folders.collect::<Vec<_>>() {
            match std::fs::remove_dir_all(&folder) {
                Ok(()) => removed.push(folder),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::file("remove the folder", &folder, source)),
            }
        }
        for snapshot in kept {
            // Where it fails, its digests are made anew.
            let _ = snapshot.settle();
        }
        if !removed.is_empty() {
            let names: Vec<_> = removed.iter().map(|folder| folder.display().to_string()).collect();
            self.note(None, "", &format!("retention removed {}", names.join(", ")), false, now)?;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_is_old_and_needed_by_nothing_goes() {
        let now = DateTime::UNIX_EPOCH + Duration::from_secs(1000 * 86_400);
        let id = |name: &str| RunId(name.into());
        let keep = |days: u64, baseline, waiting| Keep {
            started: now - Duration::from_secs(days * 86_400),
            baseline,
            waiting,
        };
        let runs = BTreeMap::from([
            (id("future"), Keep { started: now + Duration::from_secs(86_400), baseline: false, waiting: false }),
            (id("young"), keep(6, false, false)),
            (id("old"), keep(8, false, false)),
            (id("baseline"), keep(500, true, false)),
            (id("held"), keep(500, false, true)),
            (id("ancient"), keep(366, false, false)),
        ]);
        let found = removable(&runs, &RetentionSettings::default(), now);
        assert_eq!(found.exports, [id("ancient"), id("old")]);
        assert_eq!(found.runs, [id("ancient")]);
    }
}
