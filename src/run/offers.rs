//! What the targets of a plan offered: asked once, when it is made, and kept in the run's folder for whoever looks
//! back without asking them again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Conductor;
use super::error::RunError;
use super::prove::Proof;
use crate::disk::atomic;
use crate::model::capabilities::Capabilities;
use crate::model::run::RunId;

/// The version of the file's format that this program writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 1;

/// By system, its identity and what it offered.
pub(super) type Offers = BTreeMap<String, (String, Capabilities)>;

#[derive(Serialize, Deserialize)]
struct Kept {
    format_version: u32,
    targets: Offers,
}

impl Conductor {
    /// Asks the targets of every sync that can be planned, and keeps what they say.
    pub(super) async fn ask_targets(&self, proof: &Proof) -> Result<Offers, RunError> {
        let mut targets = Offers::new();
        for sync in &self.job.syncs {
            if !targets.contains_key(&sync.to.system) && self.plannable(sync.index, proof) {
                let source = self.source(&sync.to.system).await?;
                targets.insert(sync.to.system.clone(), (source.identity(), source.capabilities().await?));
            }
        }
        let path = self.layout.targets(&self.job.name, &proof.manifest.run);
        let kept = Kept { format_version: FORMAT_VERSION, targets };
        let here = |error: &dyn std::fmt::Display| RunError::Here(format!("{error}; see to the state folder's disk"));
        let bytes = serde_json::to_vec(&kept).map_err(|error| here(&error))?;
        atomic::write(&path, &bytes).map_err(|error| here(&error))?;
        Ok(kept.targets)
    }

    /// What the targets offered when a run was planned.
    pub(super) fn kept_targets(&self, run: &RunId) -> Result<Offers, RunError> {
        let path = self.layout.targets(&self.job.name, run);
        let unusable = |why: String| {
            let text = "what the targets offered then is not known any more; plan anew with `muster run";
            RunError::Here(format!("{}: {why}: {text} {}`", path.display(), self.job.name))
        };
        let bytes = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        match kept.format_version {
            FORMAT_VERSION => Ok(kept.targets),
            other => Err(unusable(format!("it has format version {other}"))),
        }
    }
}
