//! Folders whose time is over.

use super::Conductor;
use super::error::RunError;
use crate::model::event::Event;
use crate::model::numbers::{count, counted};
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

    /// Does so at the end of a run. That it fails takes nothing from the run.
    pub(super) fn tidy(&mut self) {
        let told = match self.overdue().and_then(|overdue| Ok((self.prune(&overdue)?, overdue))) {
            Ok((freed, overdue)) => {
                let gone = |folder| overdue.iter().filter(|o| o.folder == folder && o.stays.is_none()).count() as u64;
                let (exports, runs) = (gone(Folder::Export), gone(Folder::Run));
                if exports + runs == 0 {
                    return;
                }
                let (exports, runs) = (counted(exports, "export folder"), counted(runs, "run folder"));
                let freed = count(freed);
                Event::Note(format!("{exports} and {runs} removed, whose time was over ([retention]): {freed} bytes"))
            }
            Err(error) => Event::Warning(format!("old folders are not all removed: {error}")),
        };
        self.reporter.event(&told);
    }
}
