//! What was proved about the systems of a job, `proofs/<job>.json` of the state folder.
//!
//! It may be deleted at any time: everything is proved again. A proof counts for 30 days; a service that changes its manners
//! without another version is found out then, or by the next `muster check`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::context::Context;
use crate::connector::proofs::{Proof, Proofs};
use crate::disk;
use crate::run::Clock;
use crate::store::layout::escaped;

const FORMAT_VERSION: u32 = 1;
const GOOD_FOR: Duration = Duration::days(30);

/// The file of one job.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format_version: u32,
    /// By system.
    systems: BTreeMap<String, OfSystem>,
}

/// What is known of one version of a system's service.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OfSystem {
    version: String,
    proofs: BTreeMap<String, Proof>,
}

/// The proofs of one job, written down as they come: few do, and a crash loses none.
pub(super) struct ProofMemory {
    file: PathBuf,
    clock: Clock,
    kept: Mutex<Kept>,
}

impl ProofMemory {
    /// What is remembered of a job; nothing where the file is not there or not of this format.
    pub(super) fn read(context: &Context, job: &str) -> Self {
        let file = context.layout.root.join("proofs").join(format!("{}.json", escaped(job)));
        let known = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = known
            .filter(|kept| kept.format_version == FORMAT_VERSION)
            .unwrap_or_else(|| Kept { format_version: FORMAT_VERSION, systems: BTreeMap::new() });
        Self { file, clock: context.clock(), kept: Mutex::new(kept) }
    }
}

impl Proofs for ProofMemory {
    fn known(&self, system: &str, version: &str, what: &str) -> Option<Proof> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let proof = kept.systems.get(system).filter(|of| of.version == version)?.proofs.get(what)?;
        ((self.clock)() - proof.at < GOOD_FOR).then(|| proof.clone())
    }

    fn keep(&self, system: &str, version: &str, what: &str, found: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of = kept.systems.entry(system.to_owned()).or_default();
        if of.version != version {
            *of = OfSystem { version: version.to_owned(), proofs: BTreeMap::new() };
        }
        of.proofs.insert(what.to_owned(), Proof { found: found.to_owned(), at: (self.clock)() });
        let bytes = serde_json::to_vec_pretty(&*kept).unwrap_or_default();
        // A disk that is full costs another proof, no more.
        if self.file.parent().is_some_and(|folder| disk::private::create_folder(folder).is_ok()) {
            let _ = disk::atomic::write(&self.file, &bytes);
        }
    }
}
