//! What `check` saw when a system last passed it: address, certificate, answers, and a fingerprint of the credential, so
//! that it can say what changed since. The credential itself is nowhere in it: its fingerprint is salted and short.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::context::Context;
use crate::connector::secret::{SecretRef, Secrets};
use crate::disk;
use crate::store::layout::escaped;

const FORMAT_VERSION: u32 = 1;

/// The file of one job, `checks/<job>.json` of the state folder.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    format_version: u32,
    /// Told to nobody; makes fingerprints worthless elsewhere.
    salt: String,
    /// By system.
    systems: BTreeMap<String, Seen>,
}

/// A system as it was when it passed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    at: DateTime<Utc>,
    /// What is compared, by name.
    facts: BTreeMap<String, String>,
    /// The digest of the job file, as far as it is told; empty where it was not kept.
    #[serde(default)]
    job_file: String,
}

impl Memory {
    /// What is remembered of a job; nothing where the file is not there or not of this format.
    pub(super) fn read(context: &Context, job: &str) -> Self {
        let known =
            std::fs::read(place(context, job)).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        known.filter(|memory| memory.format_version == FORMAT_VERSION).unwrap_or_else(|| Self {
            format_version: FORMAT_VERSION,
            salt: uuid::Uuid::new_v4().simple().to_string(),
            systems: BTreeMap::new(),
        })
    }

    /// Writes it down. A disk that is full is no reason for a check to fail.
    pub(super) fn write(&self, context: &Context, job: &str) {
        let file = place(context, job);
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        if file.parent().is_some_and(|folder| disk::private::create_folder(folder).is_ok()) {
            let _ = disk::atomic::write(&file, &bytes);
        }
    }

    /// The name and fingerprint of a credential that can be had.
    pub(super) fn fingerprint(&self, reference: &SecretRef, secrets: &dyn Secrets) -> Option<String> {
        let secret = secrets.resolve(reference).ok()?;
        let digest = Sha256::digest([self.salt.as_bytes(), secret.expose_secret().as_bytes()].concat());
        let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{reference} ({short})"))
    }

    /// What a system was like when it last passed.
    pub(super) fn of(&self, system: &str) -> Option<&Seen> {
        self.systems.get(system)
    }

    /// Remembers a system that passed.
    pub(super) fn passed(&mut self, system: &str, at: DateTime<Utc>, facts: BTreeMap<String, String>, job_file: &str) {
        self.systems.insert(system.to_owned(), Seen { at, facts, job_file: job_file.to_owned() });
    }
}

impl Seen {
    /// When it passed, and what is different now; what cannot be seen now is not told.
    pub(super) fn since(&self, now: &BTreeMap<String, String>, job_file: &str, failed: bool) -> Option<String> {
        let is_edited = failed && !self.job_file.is_empty() && self.job_file != job_file;
        let edited = format!("the job file was edited since (SHA-256 {} → {job_file})", self.job_file);
        let changes: Vec<String> = now
            .iter()
            .filter_map(|(name, value)| {
                let before = self.facts.get(name)?;
                (before != value).then(|| format!("{name}: {before} → {value}"))
            })
            .collect();
        let at = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match (changes.is_empty(), failed) {
            (true, _) if is_edited => Some(format!("it last passed at {at}; {edited}: look for a mistake there first")),
            (_, _) if is_edited => {
                Some(format!("it last passed at {at}; {edited}; changed since: {}", changes.join("; ")))
            }
            (true, false) => None,
            (true, true) => Some(format!(
                "it last passed at {at}; address, certificate and credential are the same as far as they can be seen now: look for what changed at the system and on the way to it"
            )),
            (false, _) => Some(format!("it last passed at {at}; changed since: {}", changes.join("; "))),
        }
    }
}

fn place(context: &Context, job: &str) -> PathBuf {
    context.layout.root.join("checks").join(format!("{}.json", escaped(job)))
}
