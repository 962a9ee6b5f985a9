//! Explaining one object, from snapshots that are there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use super::live::Database;
use super::offers::Offers;
use super::offload::compute;
use super::plan_input::{Memories, Snapshots, open, sync_inputs};
use super::prove::Proof;
use crate::job::{Sync, SyncKind};
use crate::model::evidence::Completeness;
use crate::model::explained::{Explained, Fact, Step, StepName};
use crate::model::history::HistoryEntry;
use crate::model::link::Links;
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::reconcile::single::{Account, Hit, Subject, Verdict, account, find};
use crate::reconcile::{NAMES, Past, PlanInput};
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::snapshot::row::Cells as _;
use crate::snapshot::table::Line;

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct ExplainRequest {
    /// A source key, a target id, a login, an address.
    pub key: String,
    /// Where to look: a resource of either side.
    pub resource: Option<ResourceName>,
    /// Whether it is in this group (role, container), by whatever that goes by.
    pub entitlement: Option<String>,
}

/// An object that a key may mean.
#[derive(Clone, Debug)]
pub struct KnownObject {
    /// Where its row comes from.
    pub from: ResourceName,
    /// Where it is provisioned.
    pub to: ResourceName,
    /// Its source key, where it has a row or had one.
    pub source_key: Option<String>,
    /// The target's id.
    pub target_id: Option<String>,
    /// What it is called; may be empty.
    pub name: String,
    /// By what it was found.
    pub by: String,
}

/// What came of it.
#[derive(Debug)]
pub enum ExplainEnd {
    /// The object.
    One(Box<Explained>),
    /// Several objects go by the key.
    Several(Vec<KnownObject>),
    /// None does; where was looked, in a sentence.
    None(String),
}

/// Snapshots to look at.
pub(super) struct Look {
    pub(super) proof: Proof,
    pub(super) targets: Offers,
    /// When they were taken.
    pub(super) at: DateTime<Utc>,
    /// The run that they are of; `None` where they were taken for this alone.
    pub(super) run: Option<RunId>,
}

/// A job's tables with what is remembered of each sync, but for what is asked by name.
pub(super) struct Opened<'a> {
    pub(super) snapshots: Snapshots,
    pub(super) memories: Vec<(&'a Sync, Memories)>,
}

impl Conductor {
    /// Explains one object from the snapshots of the newest plan. Asks no system and writes nothing.
    ///
    /// # Errors
    /// Where nothing was planned yet, or its files cannot be read.
    pub fn explain(&self, ask: &ExplainRequest) -> Result<ExplainEnd, RunError> {
        let look =
            self.newest_look()?.ok_or_else(|| self.no_look(", or look at the systems themselves with --live"))?;
        compute(|| self.explain_in(&look, ask))
    }

    /// The snapshots of the newest run that was planned and whose snapshots are kept. They are not held against their
    /// digests, which takes as long as all else: what is told from them is sent nowhere.
    pub(super) fn newest_look(&self) -> Result<Option<Look>, RunError> {
        for run in self.store.runs(&self.job.name, 200)? {
            if run.plan_digest.is_none() {
                continue;
            }
            let folder = self.layout.export(&self.job.name, &run.id);
            let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { continue };
            let Ok(plan) = self.store.registered_plan(&run.id) else { continue };
            let usable = plan.snapshots.into_keys().collect();
            let targets = self.kept_targets(&run.id)?;
            let at = manifest.started;
            let proof = Proof { manifest, folder, usable, holds: Vec::new(), failures: Vec::new() };
            return Ok(Some(Look { proof, targets, at, run: Some(run.id) }));
        }
        Ok(None)
    }

    /// That there is nothing to look at; `or` is what else the command can do.
    pub(super) fn no_look(&self, or: &str) -> RunError {
        let job = &self.job.name;
        let newest = self.store.runs(job, 1).ok().and_then(|runs| runs.into_iter().next());
        RunError::Here(match newest {
            Some(run) if run.state == RunState::HeldSnapshot => format!(
                "job {job} has no planned run yet: run {0} is held; `muster review {0}` says by what, and how it is accepted{or}",
                run.id
            ),
            Some(run) if run.state == RunState::Failed => format!(
                "job {job} has no planned run whose snapshots are kept: run {} failed; `muster status {job}` says why, then `muster run {job}` again{or}",
                run.id
            ),
            _ => format!("job {job} has no planned run whose snapshots are kept; start with `muster run {job}`{or}"),
        })
    }

    /// Snapshots as they are looked at, with all links of each sync where these are asked for.
    pub(super) fn opened(&self, look: &Look, with_links: bool) -> Result<Opened<'_>, RunError> {
        let mut snapshots = open(&self.job, &look.proof)?;
        let mut memories = Vec::new();
        let mut earlier = self.earlier_mappings(&look.proof.manifest.run)?;
        for sync in self.job.syncs.iter().filter(|sync| self.plannable(sync.index, &look.proof)) {
            let links = if with_links { None } else { Some(Links::default()) };
            let memory = self.remember(sync, &look.targets, links)?;
            memories.push((sync, Memories { earlier: earlier.remove(&sync.id), ..memory }));
        }
        snapshots.derive(&memories)?;
        Ok(Opened { snapshots, memories })
    }

    /// Hands a plan's input with whole tables, and neither links nor live orders, to `ask`.
    pub(super) fn with_input<T>(
        &self,
        opened: &Opened<'_>,
        ask: impl FnOnce(&PlanInput<'_>, &Database<'_>) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let claimed = BTreeMap::new();
        let syncs = sync_inputs(&opened.memories, &opened.snapshots, &claimed);
        let (accepted, past) = (BTreeMap::new(), Past::default());
        let recall = Database { store: &self.store, job: &self.job.name };
        let input = PlanInput {
            syncs: &syncs,
            unplanned: &[],
            live: &[],
            memory: &recall,
            withholding: &[],
            ask_again: false,
            accepted: &accepted,
            past: &past,
            block_all: false,
            wishes: self.wishes(true),
        };
        ask(&input, &recall)
    }

    pub(super) fn explain_in(&self, look: &Look, ask: &ExplainRequest) -> Result<ExplainEnd, RunError> {
        let opened = self.opened(look, false)?;
        self.with_input(&opened, |input, recall| {
            if let Some(group) = &ask.entitlement {
                return self.explain_entitlement(look, &opened, input, recall, ask, group);
            }
            let hits = self.hits(input, ask, recall)?;
            match hits.as_slice() {
                [] => match self.only_read(&opened, &ask.key)? {
                    Some(told) => Ok(ExplainEnd::None(told)),
                    None => Ok(ExplainEnd::None(self.nowhere(look, &ask.key))),
                },
                [one] => match account(input, &one.subject, recall)? {
                    Some(account) => Ok(ExplainEnd::One(Box::new(self.told(look, &opened, account)?))),
                    None => Ok(ExplainEnd::None(self.nowhere(look, &ask.key))),
                },
                _ => Ok(ExplainEnd::Several(hits.into_iter().filter_map(|hit| self.known(hit)).collect())),
            }
        })
    }

    /// The one object of a plan's input that a request means.
    pub(super) fn subject_of(&self, input: &PlanInput<'_>, ask: &ExplainRequest) -> Result<Subject, RunError> {
        let recall = Database { store: &self.store, job: &self.job.name };
        let mut hits = self.hits(input, ask, &recall)?;
        match hits.len() {
            1 => Ok(hits.remove(0).subject),
            0 => Err(RunError::Unseen(format!(
                "`{}` is in no snapshot of this run, nothing was planned; `muster history {} {}` tells what is known of it",
                ask.key, self.job.name, ask.key
            ))),
            several => Err(RunError::Unseen(format!(
                "{several} objects go by `{}`, nothing was planned; `muster explain {} {}` lists them, name one by its key or id, and with --resource",
                ask.key, self.job.name, ask.key
            ))),
        }
    }

    pub(super) fn hits(
        &self,
        input: &PlanInput<'_>,
        ask: &ExplainRequest,
        recall: &Database<'_>,
    ) -> Result<Vec<Hit>, RunError> {
        let known = || self.job.syncs.iter().flat_map(|sync| [&sync.from, &sync.to]);
        if let Some(asked) = ask.resource.as_ref().filter(|asked| !known().any(|name| name == *asked)) {
            let names: BTreeSet<String> = known().map(ToString::to_string).collect();
            return Err(RunError::Unseen(format!(
                "no sync of the job {} is about `{asked}`; name one of {}",
                self.job.name,
                names.into_iter().collect::<Vec<_>>().join(", ")
            )));
        }
        let is_there = |index: usize| match (&ask.resource, self.job.syncs.get(index)) {
            (Some(resource), Some(sync)) => sync.from == *resource || sync.to == *resource,
            _ => true,
        };
        Ok(find(input, &ask.key, &is_there, recall)?)
    }

    pub(super) fn known(&self, hit: Hit) -> Option<KnownObject> {
        let sync = self.job.syncs.get(hit.subject.sync)?;
        let Subject { source_key, target_id, .. } = hit.subject;
        Some(KnownObject {
            from: sync.from.clone(),
            to: sync.to.clone(),
            source_key,
            target_id,
            name: hit.name,
            by: hit.by,
        })
    }

    /// That a row goes by a key which the job reads and keeps in step nowhere: a group that assigns, a joined row.
    fn only_read(&self, opened: &Opened<'_>, key: &str) -> Result<Option<String>, RunError> {
        let is_synced = |name: &ResourceName| self.job.syncs.iter().any(|sync| sync.from == *name || sync.to == *name);
        for (name, table) in opened.snapshots.tables.iter().filter(|(name, _)| !is_synced(name)) {
            let columns: Vec<usize> = NAMES.iter().filter_map(|name| table.column(name)).collect();
            let found = table.par_fold(
                || false,
                |found, row| {
                    *found |= table.key_of(row) == key || columns.iter().any(|column| row.cell(*column) == key)
                },
            )?;
            if found.contains(&true) {
                let tells_groups = self.job.syncs.iter().any(|sync| match &sync.kind {
                    SyncKind::Objects(objects) => objects.derivation.of_groups().any(|other| other == name),
                    SyncKind::Association(_) => false,
                });
                let next = match tells_groups {
                    true => {
                        format!("; what it gives somebody: muster explain {} KEY --entitlement {key}", self.job.name)
                    }
                    false => String::new(),
                };
                return Ok(Some(format!(
                    "`{key}` is a row of {name}, which the job {} reads and keeps in step nowhere{next}",
                    self.job.name
                )));
            }
        }
        Ok(None)
    }

    /// Where was looked for a key, and what was not looked at.
    pub(super) fn nowhere(&self, look: &Look, key: &str) -> String {
        let names = |usable: bool| {
            let mut names: Vec<String> = Vec::new();
            for sync in &self.job.syncs {
                for name in [&sync.from, &sync.to] {
                    let name = name.to_string();
                    if look.proof.usable.contains(&name.parse().unwrap_or_else(|_| sync.from.clone())) == usable
                        && !names.contains(&name)
                    {
                        names.push(name);
                    }
                }
            }
            names.join(", ")
        };
        let of = look.run.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
        let held = match names(false) {
            none if none.is_empty() => String::new(),
            held => format!("; {held} could not be looked at, `muster status {}` says why", self.job.name),
        };
        format!(
            "`{key}` is in no snapshot{of}: not among the keys, ids, logins and names of {}{held}; `muster history {} KEY` tells of what is gone",
            names(true),
            self.job.name
        )
    }

    /// The account of an object, with what files and the database say of it.
    pub(super) fn told(&self, look: &Look, opened: &Opened<'_>, account: Account) -> Result<Explained, RunError> {
        let sync = &self.job.syncs[account.subject.sync];
        let mut read = self.read_step(look, opened, sync, &account);
        for change in self.changed_last(sync, account.subject.source_key.as_deref(), look.run.as_ref())? {
            read.facts.push(changed(sync, &change));
        }
        let mut steps = vec![read];
        let mut account = account;
        steps.append(&mut account.steps);
        let mut story = self.story(&account)?;
        if let Some(applied) = story.applied_since(look.at) {
            // What a plan would make of such snapshots would be wrong.
            let text = format!(
                "not known from these snapshots: they were taken before order {applied} was applied; look again after `muster run {}`, or with --live",
                self.job.name
            );
            let is_stale = |step: &&mut Step| matches!(step.step, StepName::Compare | StepName::Decide);
            steps.iter_mut().filter(is_stale).for_each(|step| {
                step.verdict.clone_from(&text);
                step.facts.clear();
            });
            account.verdict = Verdict::default();
            story = self.story(&account)?;
            story.next.push(format!("muster run {}", self.job.name));
        }
        let order = story.live.clone().or_else(|| account.verdict.order.as_ref().map(|order| order.id.clone()));
        self.add_history(&mut steps, &story)?;
        steps.extend([story.order, story.outcome]);
        Ok(Explained {
            source_key: account.subject.source_key,
            target_id: account.subject.target_id,
            name: account.name,
            situation: account.verdict.situation,
            order,
            steps,
            next: story.next,
            ..self.explained_of(look, sync)
        })
    }

    /// What is explained of a sync, with nothing told yet.
    pub(super) fn explained_of(&self, look: &Look, sync: &Sync) -> Explained {
        Explained {
            job: self.job.name.clone(),
            run: look.run.clone(),
            at: look.at,
            from: sync.from.clone(),
            to: sync.to.clone(),
            source_key: None,
            target_id: None,
            name: String::new(),
            situation: None,
            order: None,
            steps: Vec::new(),
            next: Vec::new(),
        }
    }

    fn read_step(&self, look: &Look, opened: &Opened<'_>, sync: &Sync, account: &Account) -> Step {
        let verdict = match (account.source_line, account.target_line) {
            (Some(_), Some(_)) => "it is on both sides".to_owned(),
            (Some(_), None) => format!("it is in {}, and not in {}", sync.from, sync.to),
            (None, Some(_)) => format!("it is in {}, and not in {}", sync.to, sync.from),
            (None, None) => "it is on neither side any more".to_owned(),
        };
        let mut step = Step::new(StepName::Read, verdict);
        let ends = [
            (&sync.from, account.source_line, account.subject.source_key.as_deref()),
            (&sync.to, account.target_line, account.subject.target_id.as_deref()),
        ];
        for (name, line, key) in ends {
            step.facts.push(self.read_fact(look, opened, name, line, key));
        }
        step
    }

    /// Where something stands, or was looked for.
    pub(super) fn read_fact(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        name: &ResourceName,
        line: Option<Line>,
        key: Option<&str>,
    ) -> Fact {
        let key = key.map(|key| format!("`{key}`")).unwrap_or_default();
        let verdict = if line.is_some() { key } else { format!("{key} is not there").trim_start().to_owned() };
        let mut fact = Fact::new(name.to_string(), verdict);
        let table = opened.snapshots.tables.get(name);
        let path = table.map(|table| table.path().display().to_string()).unwrap_or_default();
        fact = match line {
            Some(line) => fact.with("row", format!("{line} of {path}")),
            None => fact.with("file", path),
        };
        if let Some(exported) = look.proof.manifest.resource(&name.system, &name.resource) {
            fact = fact.with("read from", exported.identity.clone());
            fact = fact.with(
                "snapshot",
                match &exported.completeness {
                    Completeness::Complete => format!("complete, {} rows", exported.rows),
                    Completeness::Suspect { suspicions } => {
                        let names: Vec<&str> = suspicions.iter().map(|s| s.name.as_str()).collect();
                        format!("suspect ({}), accepted; {} rows", names.join(", "), exported.rows)
                    }
                    Completeness::Partial { cause } => format!("partial: {cause}"),
                },
            );
        }
        fact
    }
}

/// What changed last in a column, and which rules read it.
fn changed(sync: &Sync, change: &HistoryEntry) -> Fact {
    let shown = |value: &Option<String>| value.as_ref().map_or_else(|| "(empty)".to_owned(), |v| format!("`{v}`"));
    let verdict = format!("changed from {} to {}", shown(&change.before), shown(&change.after));
    let readers = match &sync.kind {
        SyncKind::Objects(objects) => objects.rules.mapping.readers(&change.what).join(", "),
        SyncKind::Association(_) => String::new(),
    };
    let readers =
        if readers.is_empty() { "no rule of the mapping: nothing follows from it".to_owned() } else { readers };
    Fact::new(format!("{} {}", sync.from, change.what), verdict)
        .with("in", change.run.as_ref().map(|run| format!("run {run}")).unwrap_or_default())
        .with("read by", readers)
}
