//! The systems as they are, for one explanation: read into a folder that is gone when it is told.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use super::demand;
use super::error::RunError;
use super::explain::{ExplainEnd, ExplainRequest, Look};
use super::export::{ExportFault, SystemRequest, export_system};
use super::offers::Offers;
use super::offload::compute;
use super::prove::Proof;
use crate::model::event::Event;
use crate::model::evidence::Mode;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::snapshot::manifest::{FORMAT_VERSION, Manifest};

impl Conductor {
    /// Explains one object from the systems as they are. A decision needs whoever might be taken for it too, so that each
    /// system is read as a whole; what is read is no baseline, and is removed afterwards.
    ///
    /// # Errors
    /// Where a system cannot be read, or the folder not be written.
    pub async fn explain_live(&self, ask: &ExplainRequest) -> Result<ExplainEnd, RunError> {
        let exports = self.layout.exports(&self.job.name);
        let here = |error: std::io::Error| {
            RunError::Here(format!("{}: {error}; see to the state folder's disk", exports.display()))
        };
        crate::disk::private::create_folder(&exports).map_err(|error| RunError::Here(error.to_string()))?;
        let folder =
            tempfile::Builder::new().prefix(crate::store::retention::LOOK).tempdir_in(&exports).map_err(here)?;
        let started = (self.clock)();
        let note = "every system is read for this, as a decision needs whoever might be taken for the object too";
        self.reporter.event(&Event::Note(note.to_owned()));
        let (mut systems, mut targets, mut usable) = (BTreeMap::new(), Offers::new(), BTreeSet::new());
        for (system, resources) in demand::columns(&self.job) {
            let source = self.source(&system).await?;
            if self.job.syncs.iter().any(|sync| sync.to.system == system) {
                targets.insert(system.clone(), (source.identity(), source.capabilities().await?));
            }
            let request = SystemRequest {
                resources,
                baselines: BTreeMap::new(),
                read_from: BTreeMap::new(),
                mode: Mode::Complete,
                memory: self.job.export.memory.or(self.memory),
            };
            let export = export_system(source, request, folder.path().to_owned(), self.reporter.clone()).await;
            let export = export.map_err(|fault| match fault {
                ExportFault::System(failure) => RunError::System(failure),
                other => RunError::Here(format!("{system} could not be read: {other}")),
            })?;
            usable.extend(export.resources.keys().map(|resource| ResourceName::new(&system, resource)));
            systems.insert(system, export.resources);
        }
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            job: self.job.name.clone(),
            // It is of no run, and never written.
            run: RunId(String::new()),
            started,
            ended: (self.clock)(),
            systems,
        };
        let proof =
            Proof { manifest, folder: folder.path().to_owned(), usable, holds: Vec::new(), failures: Vec::new() };
        let look = Look { proof, targets, at: started, run: None };
        compute(|| self.explain_in(&look, ask))
    }
}
