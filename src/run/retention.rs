//! Folders whose time is over.

use super::Conductor;
use super::error::RunError;
use crate::model::event::Event;
use crate::model::numbers::{count, counted};
use crate::model::run::RunId;
use crate::model::settings::RetentionSettings;
use crate::store::retention::{Folder, Overdue};

impl Conductor {
    /// The export and run folders of the job whose time is over, with why one stays all the same.
    ///
    /// # Errors
    /// When the database or a folder cannot be read.
    pub fn overdue(&self) -> Result<Vec<Overdue>, RunError> {
        let mut settings: RetentionSettings = self.job.retention.clone();
        // Whether a run was a first load says its plan: first loads do not count in thresholds over time.
        settings.runs = settings.runs.max(self.longest_window().unwrap_or_default());
        Ok(self.store.overdue(&self.job.name, &settings, (self.clock)())?)
    }

    /// Removes those of these folders that do not stay; the bytes that are free now.
    ///
    /// # Errors
    /// When the database cannot be written or a folder cannot be removed; what was removed before stays removed.
    pub fn prune(&mut self, overdue: &[Overdue]) -> Result<u64, RunError> {
        Ok(self.store.remove_overdue(&self.job.name, overdue, (self.clock)())?)
    }

    /// The runs whose history the database is to forget, the oldest first, with the bytes of what the log says of each, once
    /// the folders that are `going` are gone.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn old_history(&self, going: &[Overdue]) -> Result<Vec<(RunId, u64)>, RunError> {
        let mut settings: RetentionSettings = self.job.retention.clone();
        let window = self.longest_window().unwrap_or_default();
        settings.history = settings.history.map(|history| history.max(settings.runs).max(window));
        Ok(self.store.old_history(&self.job.name, &settings, (self.clock)(), going)?)
    }

    /// Forgets the history of these runs.
    ///
    /// # Errors
    /// When the database cannot be written; then none of it is forgotten.
    pub fn forget_history(&mut self, runs: &[(RunId, u64)]) -> Result<(), RunError> {
        let runs: Vec<RunId> = runs.iter().map(|(run, _)| run.clone()).collect();
        Ok(self.store.forget_history(&self.job.name, &runs, (self.clock)())?)
    }

    /// Does so at the end of a run, and says it.
    fn tidy_history(&mut self) {
        let forgotten = self.old_history(&[]).and_then(|runs| self.forget_history(&runs).map(|()| runs.len() as u64));
        let told = match forgotten {
            Ok(0) => return,
            Ok(runs) => Event::Note(format!("the history of {} is forgotten ([retention])", counted(runs, "run"))),
            Err(error) => Event::Warning(format!("old history is not forgotten: {error}")),
        };
        self.reporter.event(&told);
    }

    /// Does so at the end of a run. That it fails takes nothing from the run.
    pub(super) fn tidy(&mut self) {
        let overdue = self.overdue();
        if let Some(leap) = overdue.as_ref().ok().and_then(|overdue| self.leap(overdue)) {
            self.reporter.event(&Event::Warning(leap));
        }
        let told = match overdue.and_then(|overdue| Ok((self.prune(&overdue)?, overdue))) {
            Ok((freed, overdue)) => {
                let gone = |folder| overdue.iter().filter(|o| o.folder == folder && o.stays.is_none()).count() as u64;
                let (exports, runs, requests) = (gone(Folder::Export), gone(Folder::Run), gone(Folder::Requests));
                if exports + runs + requests == 0 {
                    return self.tidy_history();
                }
                let (exports, runs) = (counted(exports, "export folder"), counted(runs, "run folder"));
                let requests = match requests {
                    0 => String::new(),
                    some => format!(", and the request logs of {}", counted(some, "run")),
                };
                let freed = count(freed);
                Event::Note(format!(
                    "{exports} and {runs}{requests} removed, whose time was over ([retention]): {freed} bytes"
                ))
            }
            Err(error) => Event::Warning(format!("old folders are not all removed: {error}")),
        };
        self.reporter.event(&told);
        self.tidy_history();
    }

    /// That the clock calls folders old and the runs do not, where that is so since the run before this one.
    fn leap(&self, overdue: &[Overdue]) -> Option<String> {
        let stay = overdue.iter().filter(|overdue| overdue.is_leap);
        let why = stay.clone().find_map(|overdue| overdue.stays.as_deref())?;
        let (folders, job) = (counted(stay.count() as u64, "folder"), &self.job.name);
        Some(format!(
            "{folders} of old runs stay for now: {why} of the clock; is it right? If it is, they go as further runs are made; `muster prune {job} --dry-run` lists them"
        ))
    }
}
