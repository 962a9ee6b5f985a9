//! Sealed approvals read back: nothing is believed that the file, the database and the plan do not say together.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::database::{Store, digest};
use super::error::{Fault, StoreError};
use super::plan_files;
use crate::model::approval::{Approval, Decision, Refusal};
use crate::model::digest::Digest;
use crate::model::order::{Order, OrderId};
use crate::model::plan::Plan;
use crate::model::run::RunId;

/// A plan whose files were verified, with the approvals that were verified for it. The only way to begin an order.
#[derive(Clone, Debug)]
pub struct ApprovedPlan {
    run: RunId,
    plan: Plan,
    approvals: BTreeMap<u32, Approval>,
    refusals: Vec<Refusal>,
}

impl ApprovedPlan {
    /// The run that it is of.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The plan's header.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The approvals that hold, by number.
    pub fn approvals(&self) -> &BTreeMap<u32, Approval> {
        &self.approvals
    }

    /// Why other approvals of the run do not hold; nothing under them is applied.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Whether the sealed file of this approval approves this order, and still holds at `now`.
    pub fn covers(&self, number: u32, order: &OrderId, now: DateTime<Utc>) -> bool {
        self.approvals
            .get(&number)
            .is_some_and(|a| a.expires > now && a.decisions.get(order) == Some(&Decision::Approve))
    }
}

impl Store {
    /// Verifies the plan and every approval of a run.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the plan changed. A refused approval does not fail the others: see
    /// [`ApprovedPlan::refusals`].
    pub fn approved_plan(&self, run: &RunId, now: DateTime<Utc>) -> Result<ApprovedPlan, StoreError> {
        let plan = self.verify_plan(run)?;
        let mut approved = ApprovedPlan { run: run.clone(), plan, approvals: BTreeMap::new(), refusals: Vec::new() };
        for number in self.approval_numbers(run)? {
            match self.verify(run, number, now) {
                Ok(approval) => drop(approved.approvals.insert(number, approval)),
                Err(StoreError::Refused(refusal)) => approved.refusals.push(refusal),
                Err(error) => return Err(error),
            }
        }
        Ok(approved)
    }

    /// The numbers of a run's approvals that the database or the run's folder knows, sorted.
    ///
    /// # Errors
    /// When the database or the folder cannot be read.
    pub fn approval_numbers(&self, run: &RunId) -> Result<Vec<u32>, StoreError> {
        let (job, mut numbers) = self.read(|db| {
            let job = super::runs::known(db, run)?.job;
            let mut statement = db.prepare_cached("SELECT number FROM approvals WHERE run = ?")?;
            let numbers = statement.query_map([&run.0], |row| row.get(0))?.collect::<Result<Vec<u32>, _>>()?;
            Ok((job, numbers))
        })?;
        let folder = self.layout.run_folder(&job, run);
        match std::fs::read_dir(&folder) {
            Ok(entries) => {
                let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                numbers.extend(
                    names.filter_map(|name| name.strip_prefix("approval-")?.strip_suffix(".json")?.parse::<u32>().ok()),
                );
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::file("read", &folder, source)),
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// Reads an approval back and holds it against the database, its run and the plan.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the reason: never sealed here, altered, of another run, expired, of another
    /// plan, of a newer format.
    pub fn verify(&self, run: &RunId, number: u32, now: DateTime<Utc>) -> Result<Approval, StoreError> {
        let (record, sealed, elsewhere) = self.read(|db| {
            let record = super::runs::known(db, run)?;
            Ok((record, sealed(db, run, number)?, sealed_digests(db)?))
        })?;
        let path = self.layout.approval(&record.job, run, number);
        let altered = |what: String| StoreError::Refused(Refusal::Altered { run: run.clone(), number, what });
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && sealed.is_some() => {
                return Err(altered(format!("{} is gone", path.display())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Refusal::Unknown { run: run.clone(), number }.into());
            }
            Err(source) => return Err(StoreError::file("read", &path, source)),
        };
        let found = Digest::of(&bytes);
        if sealed.as_ref() != Some(&found) {
            // A file that was sealed for another run, and copied, is told apart from one that was changed.
            if let Some(other) = elsewhere.get(&found).filter(|other| *other != run) {
                return Err(Refusal::OtherRun { run: run.clone(), number, other: other.clone() }.into());
            }
            return Err(match (sealed, serde_json::from_slice::<Approval>(&bytes)) {
                (_, Ok(approval)) if approval.run != *run => {
                    Refusal::OtherRun { run: run.clone(), number, other: approval.run }.into()
                }
                (None, _) => Refusal::Unknown { run: run.clone(), number }.into(),
                (Some(sealed), _) => {
                    altered(format!("its SHA-256 is {}, sealed was {}", found.short(), sealed.short()))
                }
            });
        }
        let approval: Approval = read_json(&path, &bytes, Approval::FORMAT)?;
        if approval.run != *run {
            return Err(Refusal::OtherRun { run: run.clone(), number, other: approval.run }.into());
        }
        if approval.number != number || approval.job != record.job {
            return Err(altered(format!("it says number {} of job {}", approval.number, approval.job)));
        }
        if approval.decisions_digest != Approval::digest_of(&approval.decisions) {
            return Err(altered("its decisions are not those of its digest".to_owned()));
        }
        if approval.plan.is_some() && approval.plan != record.plan_digest
            || !approval.decisions.is_empty() && approval.plan.is_none()
        {
            let what = "plan.json is not the one that was approved".to_owned();
            return Err(Refusal::PlanChanged { run: run.clone(), what }.into());
        }
        if approval.expires <= now {
            return Err(Refusal::Expired { run: run.clone(), number, at: approval.expires }.into());
        }
        Ok(approval)
    }

    /// Reads a plan back and holds it against the database, and its orders against it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where plan.json or orders.ndjson is gone or is not what was registered.
    pub fn verify_plan(&self, run: &RunId) -> Result<Plan, StoreError> {
        let record = self.run(run)?;
        let changed = |what: String| StoreError::Refused(Refusal::PlanChanged { run: run.clone(), what });
        let Some(registered) = record.plan_digest else { return Err(changed("it has no plan yet".to_owned())) };
        let path = self.layout.plan(&record.job, run);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(changed("plan.json is gone".to_owned()));
            }
            Err(source) => return Err(StoreError::file("read", &path, source)),
        };
        let found = Digest::of(&bytes);
        if found != registered {
            return Err(changed(format!(
                "plan.json has SHA-256 {}, written was {}",
                found.short(),
                registered.short()
            )));
        }
        let plan: Plan = read_json(&path, &bytes, Plan::FORMAT)?;
        let orders = self.layout.orders(&record.job, run);
        match file_digest(&orders)? {
            None => Err(changed("orders.ndjson is gone".to_owned())),
            Some(found) if found != plan.orders_digest => {
                let written = plan.orders_digest.short();
                Err(changed(format!("orders.ndjson has SHA-256 {}, written was {written}", found.short())))
            }
            Some(_) => Ok(plan),
        }
    }

    /// The orders of a run, from its folder, in the plan's sequence. Verify the plan first.
    ///
    /// # Errors
    /// Where the file cannot be opened; each item fails where its line is no order.
    pub fn read_orders(
        &self,
        run: &RunId,
    ) -> Result<impl Iterator<Item = Result<Order, StoreError>> + use<>, StoreError> {
        let record = self.run(run)?;
        plan_files::read_orders(&self.layout.orders(&record.job, run))
    }
}

/// Reads JSON whose `format_version` must be the one that is known; the version is read before the rest.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8], known: u32) -> Result<T, StoreError> {
    let file = path.display().to_string();
    let broken = |e: serde_json::Error| StoreError::Content { path: path.to_owned(), what: format!("unreadable: {e}") };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(broken)?;
    let found = value.get("format_version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if found != u64::from(known) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(Refusal::Format { file, found, known }.into());
    }
    serde_json::from_value(value).map_err(broken)
}

/// The SHA-256 of a file, or `None` where there is none.
fn file_digest(path: &Path) -> Result<Option<Digest>, StoreError> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::file("read", path, source)),
    };
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(Digest::from_bytes(&hasher.finalize()))),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(source) => return Err(StoreError::file("read", path, source)),
        }
    }
}

fn sealed(db: &Connection, run: &RunId, number: u32) -> Result<Option<Digest>, Fault> {
    db.query_row("SELECT sha256 FROM approvals WHERE run = ? AND number = ?", params![run.0, number], |row| row.get(0))
        .optional()?
        .map(digest)
        .transpose()
}

/// Every sealed file's digest with the run that it was sealed for.
fn sealed_digests(db: &Connection) -> Result<BTreeMap<Digest, RunId>, Fault> {
    let mut statement = db.prepare_cached("SELECT sha256, run FROM approvals")?;
    let mut rows = statement.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        found.insert(digest(row.get(0)?)?, RunId(row.get(1)?));
    }
    Ok(found)
}
