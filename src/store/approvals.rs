//! Sealed approvals read back: nothing is believed that the file, the database and the plan do not say together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::database::{Store, digest};
use super::error::{Fault, StoreError};
use super::plan_files;
use super::retention::Folder;
use super::verified::{ApprovedPlan, Rejection, Sealed, VerifiedApprovals};
use crate::model::approval::{Approval, Decision, Refusal, SignerFault};
use crate::model::digest::Digest;
use crate::model::order::{Order, OrderId};
use crate::model::plan::Plan;
use crate::model::record::{HoldKind, RunRecord};
use crate::model::review_terms::{ReviewRules, ReviewTerms};
use crate::model::run::RunId;
use crate::model::signature;

/// The newest approval of an order `o` that an attempt used up; one that certainly was not sent used none.
pub(super) const USED: &str =
    "SELECT max(a.approval) FROM attempts a WHERE a.\"order\" = o.n AND coalesce(a.state, '') <> 'approved'";

impl Store {
    /// Verifies the plan and every approval of a run.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the plan changed, or its approvers are not named any more. A refused approval does
    /// not fail the others: see [`ApprovedPlan::refusals`].
    pub fn approved_plan(
        &self,
        run: &RunId,
        rules: &ReviewRules,
        now: DateTime<Utc>,
    ) -> Result<ApprovedPlan, StoreError> {
        if self.is_rewritten(run)? {
            return Err(Refusal::Erased { run: run.clone(), job: self.run(run)?.job }.into());
        }
        let plan = self.verify_plan(run)?;
        let mut approvals = self.verified_approvals(run, rules, now)?;
        let open = self.unaccepted_holds(run)?;
        let mut is_open = false;
        for hold in self.holds(run)?.into_iter().filter(|hold| hold.kind == HoldKind::Plan) {
            // What is open in the database is told as a hold; what is open only in the files was tampered with.
            if !open.contains(&hold) && !approvals.accepts(&hold.name, &hold.figure) {
                is_open = true;
                approvals.refusals.push(Refusal::NotAccepted { run: run.clone(), name: hold.name });
            }
        }
        Ok(ApprovedPlan { run: run.clone(), plan, approvals, is_open })
    }

    /// Verifies every approval of a run, which may have no plan yet.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the approvers that the run asks for are not named any more.
    pub fn verified_approvals(
        &self,
        run: &RunId,
        rules: &ReviewRules,
        now: DateTime<Utc>,
    ) -> Result<VerifiedApprovals, StoreError> {
        let terms = rules.terms.stricter(self.review_terms(run)?);
        if terms.signed && rules.approvers.is_none() {
            return Err(Refusal::NoApprovers { run: run.clone() }.into());
        }
        let (holding, refusals, accepted) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let rejected = BTreeMap::new();
        let mut verified = VerifiedApprovals { terms, holding, refusals, accepted, rejected };
        for number in self.approval_numbers(run)? {
            match self.read_back(run, number, rules, now) {
                Ok(sealed) => {
                    for (name, figure) in &sealed.approval.accepted {
                        let by = verified.accepted.entry((name.clone(), figure.clone())).or_default();
                        by.insert(sealed.reviewer.clone());
                    }
                    for (order, decision) in &sealed.approval.decisions {
                        if *decision == Decision::Approve {
                            verified.rejected.remove(order);
                            continue;
                        }
                        let (reviewer, comment) = (sealed.reviewer.clone(), sealed.approval.comment.clone());
                        verified.rejected.insert(order.clone(), Rejection { number, reviewer, comment });
                    }
                    let at = sealed.approval.expires;
                    if at <= now {
                        verified.refusals.push(Refusal::Expired { run: run.clone(), number, at });
                    } else {
                        verified.holding.insert(number, sealed);
                    }
                }
                Err(StoreError::Refused(refusal)) => verified.refusals.push(refusal),
                Err(error) => return Err(error),
            }
        }
        Ok(verified)
    }

    /// The orders of a run that somebody approved and that need further reviewers, with who did.
    ///
    /// # Errors
    /// As of [`Self::verified_approvals`].
    pub fn seconded(
        &self,
        run: &RunId,
        rules: &ReviewRules,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<OrderId, Vec<String>>, StoreError> {
        let approvals = self.verified_approvals(run, rules, now)?;
        let waiting = self.read(|db| {
            let mut statement = db.prepare_cached(&format!(
                "SELECT o.id, coalesce(({USED}), 0) FROM orders o
                 WHERE o.run = ? AND o.state IN ('pending-review', 'blocked')"
            ))?;
            let waiting = statement.query_map([&run.0], |row| Ok((OrderId(row.get(0)?), row.get::<_, u32>(1)?)))?;
            Ok(waiting.collect::<Result<Vec<_>, _>>()?)
        })?;
        let by = |(order, used): (OrderId, u32)| {
            let by: Vec<String> = approvals.reviewers(&order, used, now).into_keys().map(str::to_owned).collect();
            (!by.is_empty()).then_some((order, by))
        };
        Ok(waiting.into_iter().filter_map(by).collect())
    }

    /// The reviewer of the approval that each decided order of a run stands under, or was sent under. Where several
    /// reviewers are asked for, it is the one who completed them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn approvers(&self, run: &RunId) -> Result<BTreeMap<OrderId, String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT o.id, a.reviewer FROM orders o JOIN approvals a ON a.run = o.run AND a.number = o.approved_by
                 WHERE o.run = ? AND o.state NOT IN ('pending-review', 'blocked', 'rejected')",
            )?;
            let approvers = statement.query_map([&run.0], |row| Ok((OrderId(row.get(0)?), row.get(1)?)))?;
            Ok(approvers.collect::<Result<_, _>>()?)
        })
    }

    /// Who sealed each decision of a run, by its number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reviewers_of(&self, run: &RunId) -> Result<BTreeMap<u32, String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached("SELECT number, reviewer FROM approvals WHERE run = ?")?;
            let reviewers = statement.query_map([&run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(reviewers.collect::<Result<_, _>>()?)
        })
    }

    /// The syncs of a job of which an order for a target was ever decided on, in another run than this one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn decided_syncs(&self, job: &str, target_identity: &str, but: &RunId) -> Result<BTreeSet<String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT DISTINCT s.sync_id FROM orders o JOIN syncs s ON s.n = o.sync JOIN targets t ON t.n = o.target
                 WHERE s.job = ? AND t.identity = ? AND o.run <> ?
                   AND o.state NOT IN ('pending-review', 'blocked', 'superseded')",
            )?;
            let syncs = statement.query_map([job, target_identity, &but.0], |row| row.get(0))?;
            Ok(syncs.collect::<Result<_, _>>()?)
        })
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

    /// Reads an approval back and holds it against the database, its run, the plan and the approvers.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the reason: never sealed here, altered, of another run, expired, of another
    /// plan, of another format, not signed by somebody who may.
    pub fn verify(
        &self,
        run: &RunId,
        number: u32,
        rules: &ReviewRules,
        now: DateTime<Utc>,
    ) -> Result<Sealed, StoreError> {
        let sealed = self.read_back(run, number, rules, now)?;
        let at = sealed.approval.expires;
        if at <= now { Err(Refusal::Expired { run: run.clone(), number, at }.into()) } else { Ok(sealed) }
    }

    /// As [`Self::verify`], but for its time.
    fn read_back(
        &self,
        run: &RunId,
        number: u32,
        rules: &ReviewRules,
        now: DateTime<Utc>,
    ) -> Result<Sealed, StoreError> {
        let (record, sealed, elsewhere) = self.read(|db| {
            let record = super::runs::known(db, run)?;
            Ok((record, sealed(db, run, number)?, sealed_digests(db)?))
        })?;
        let (sealed, reviewer) = sealed.map_or((None, None), |(sealed, reviewer)| (Some(sealed), Some(reviewer)));
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
            if self.rewritten_as(run, &format!("approval-{number}.json"))?.as_ref() == Some(&found) {
                return Err(Refusal::Erased { run: run.clone(), job: record.job }.into());
            }
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
        let approval = parse(&path, &bytes)?;
        if approval.run != *run {
            return Err(Refusal::OtherRun { run: run.clone(), number, other: approval.run }.into());
        }
        if approval.job != record.job {
            return Err(altered(format!("it says job {}", approval.job)));
        }
        if approval.decisions_digest != Approval::digest_of(&approval.decisions) {
            return Err(altered("its decisions are not those of its digest".to_owned()));
        }
        if approval.plan.is_some() && approval.plan != record.plan_digest
            || !approval.decisions.is_empty() && approval.plan.is_none()
        {
            let what = "plan.json is not the one that was approved".to_owned();
            return Err(Refusal::PlanChanged { run: run.clone(), job: record.job, what }.into());
        }
        let reviewer = reviewer.unwrap_or_default();
        let terms = rules.terms.stricter(self.review_terms(run)?);
        if !terms.signed {
            return Ok(Sealed { approval, reviewer });
        }
        let path = self.layout.signature(&record.job, run, number);
        let fault = |fault| StoreError::Refused(Refusal::Signature { run: run.clone(), number, fault });
        let signature = match std::fs::read(&path) {
            Ok(signature) => signature,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(fault(SignerFault::Gone(path.display().to_string())));
            }
            Err(source) => return Err(StoreError::file("read", &path, source)),
        };
        let found = signed_by(&record, &bytes, (&path, &signature), rules, terms, now)?.map_err(fault)?;
        if found != reviewer {
            return Err(fault(SignerFault::Exchanged { sealed: reviewer, found }));
        }
        Ok(Sealed { approval, reviewer })
    }

    /// Reads a plan back and holds it against the database, and its orders against it. What an erasure rewrote has to be as
    /// it left it; nothing of such a plan is approved or sent any more (see [`Self::approved_plan`]).
    ///
    /// # Errors
    /// [`StoreError::Refused`] where plan.json or orders.ndjson is gone or is not what was registered.
    pub fn verify_plan(&self, run: &RunId) -> Result<Plan, StoreError> {
        let plan = self.registered_plan(run)?;
        let job = self.run(run)?.job;
        let changed = |what: String| plan_changed(run, &job, what);
        let orders = self.layout.orders(&job, run);
        match file_digest(&orders)? {
            None => Err(changed(format!("{} is gone", orders.display()))),
            Some(found) if found != plan.orders_digest && !self.is_left(run, "orders.ndjson", &found)? => {
                let written = plan.orders_digest.short();
                Err(changed(format!("orders.ndjson has SHA-256 {}, written was {written}", found.short())))
            }
            Some(_) => Ok(plan),
        }
    }

    /// The plan of a run, after making sure that plan.json is what was registered; its orders are not looked at.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where plan.json is gone or is not what was registered.
    pub fn registered_plan(&self, run: &RunId) -> Result<Plan, StoreError> {
        let record = self.run(run)?;
        let changed = |what: String| plan_changed(run, &record.job, what);
        let Some(registered) = record.plan_digest else { return Err(changed("it has no plan yet".to_owned())) };
        let path = self.layout.plan(&record.job, run);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(match self.removed_at(run, Folder::Run)? {
                    Some(at) => StoreError::Removed { run: run.clone(), at },
                    None => changed(format!("{} is gone", path.display())),
                });
            }
            Err(source) => return Err(StoreError::file("read", &path, source)),
        };
        let found = Digest::of(&bytes);
        if found != registered && !self.is_left(run, "plan.json", &found)? {
            return Err(changed(format!(
                "plan.json has SHA-256 {}, written was {}",
                found.short(),
                registered.short()
            )));
        }
        read_json(&path, &bytes, Plan::FORMAT)
    }

    /// Whether a file is as an erasure left it.
    fn is_left(&self, run: &RunId, file: &str, found: &Digest) -> Result<bool, StoreError> {
        Ok(self.rewritten_as(run, file)?.as_ref() == Some(found))
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

fn plan_changed(run: &RunId, job: &str, what: String) -> StoreError {
    StoreError::Refused(Refusal::PlanChanged { run: run.clone(), job: job.to_owned(), what })
}

/// The approval that the bytes of a file hold, whatever it is worth. `path` is what messages call it.
///
/// # Errors
/// [`StoreError::Content`] where it is none, [`Refusal::Format`] where another version wrote it.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Approval, StoreError> {
    read_json(path, bytes, Approval::FORMAT)
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

/// The reviewer who signed an approval of a run, where somebody did who may.
///
/// # Errors
/// [`Refusal::NoApprovers`]; inside, why the signature does not count.
pub(super) fn signed_by(
    run: &RunRecord,
    bytes: &[u8],
    (file, signature): (&Path, &[u8]),
    rules: &ReviewRules,
    terms: ReviewTerms,
    now: DateTime<Utc>,
) -> Result<Result<String, SignerFault>, StoreError> {
    let Some((approvers_file, approvers)) = &rules.approvers else {
        return Err(Refusal::NoApprovers { run: run.id.clone() }.into());
    };
    let key = match signature::signer(bytes, signature) {
        Ok(key) => key,
        Err(fault) => return Ok(Err(SignerFault::Wrong { file: file.display().to_string(), fault })),
    };
    Ok(match approvers.allowed(&key, now) {
        Err(why) => Err(SignerFault::NotAllowed { approvers: approvers_file.display().to_string(), why }),
        Ok(approver) if terms.four_eyes && approver.is_login(&run.starter) => {
            Err(SignerFault::Starter(run.starter.clone()))
        }
        Ok(approver) => Ok(approver.name().to_owned()),
    })
}

/// The digest of a sealed approval, and its reviewer.
fn sealed(db: &Connection, run: &RunId, number: u32) -> Result<Option<(Digest, String)>, Fault> {
    db.query_row("SELECT sha256, reviewer FROM approvals WHERE run = ? AND number = ?", params![run.0, number], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
    .optional()?
    .map(|(sha256, reviewer)| Ok((digest(sha256)?, reviewer)))
    .transpose()
}

/// Every sealed file's digest with the run that it was sealed for.
pub(super) fn sealed_digests(db: &Connection) -> Result<BTreeMap<Digest, RunId>, Fault> {
    let mut statement = db.prepare_cached("SELECT sha256, run FROM approvals")?;
    let mut rows = statement.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        found.insert(digest(row.get(0)?)?, RunId(row.get(1)?));
    }
    Ok(found)
}
