//! Why somebody is in a group (role, container) or is not: every link of the chain, and the one that is missing.

use std::collections::BTreeSet;

use super::Conductor;
use super::error::RunError;
use super::explain::{ExplainEnd, ExplainRequest, Look, Opened};
use super::live::Database;
use crate::job::{Sync, SyncKind};
use crate::model::explained::{Explained, Fact, Step, StepName};
use crate::model::situation::Situation;
use crate::reconcile::NAMES;
use crate::reconcile::PlanInput;
use crate::reconcile::policy::{AssociationSync, Members, Nested};
use crate::reconcile::single::{Account, Subject, Tie, account, find, tie};
use crate::rules::problem::alike;
use crate::snapshot::row::Cells as _;

/// Columns that tell who answers for a group, where the source has them.
const OWNERS: [&str; 5] = ["owner", "requester", "approver", "manager", "responsible"];

impl Conductor {
    pub(super) fn explain_entitlement(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        input: &PlanInput<'_>,
        recall: &Database<'_>,
        ask: &ExplainRequest,
        group: &str,
    ) -> Result<ExplainEnd, RunError> {
        let hits = self.hits(input, ask, recall)?;
        let [member] = hits.as_slice() else {
            return Ok(match hits.is_empty() {
                true => ExplainEnd::None(self.nowhere(look, &ask.key)),
                false => ExplainEnd::Several(hits.into_iter().filter_map(|hit| self.known(hit)).collect()),
            });
        };
        let is_tied = |index: usize| self.association_of(member.subject.sync, index).is_some();
        let groups = find(input, group, &is_tied, recall)?;
        let [group_hit] = groups.as_slice() else {
            if groups.is_empty() {
                return self.explain_by_name(look, opened, (input, recall), (ask, &member.subject), group);
            }
            return Ok(ExplainEnd::Several(groups.into_iter().filter_map(|hit| self.known(hit)).collect()));
        };
        let Some((sync, association)) = self.association_of(member.subject.sync, group_hit.subject.sync) else {
            return Ok(ExplainEnd::None(self.nowhere(look, group)));
        };
        let (Some(member), Some(group)) =
            (account(input, &member.subject, recall)?, account(input, &group_hit.subject, recall)?)
        else {
            return Ok(ExplainEnd::None(self.nowhere(look, &ask.key)));
        };
        let Some(tie) = tie(input, sync.index, (&member, &group), recall)? else {
            return Ok(ExplainEnd::None(format!(
                "{} could not be looked at: its snapshots are held or failed, `muster status {}` says why",
                sync.from, self.job.name
            )));
        };
        let chain = Chain { sync, association, member: &member, group: &group, tie: &tie };
        Ok(ExplainEnd::One(Box::new(self.told_chain(look, opened, &chain)?)))
    }

    /// A group that is no object of an association: one that the job only reads, or none at all.
    fn explain_by_name(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        (input, recall): (&PlanInput<'_>, &Database<'_>),
        (ask, member): (&ExplainRequest, &Subject),
        group: &str,
    ) -> Result<ExplainEnd, RunError> {
        let Some(account) = account(input, member, recall)? else {
            return Ok(ExplainEnd::None(self.nowhere(look, &ask.key)));
        };
        let mut near = match self.explain_given(look, opened, account.clone(), group)? {
            Ok(explained) => return Ok(ExplainEnd::One(Box::new(explained))),
            Err(near) => near,
        };
        let key = Chain::key(&account).to_owned();
        match self.explain_given_value(look, opened, account, group)? {
            Ok(explained) => return Ok(ExplainEnd::One(Box::new(explained))),
            Err(more) => near.extend(more),
        }
        if let Some(of) = self.job.syncs.get(member.sync)
            && let Some(end) = self.explain_given_right(look, opened, (input, recall), (of, &key), group)?
        {
            return Ok(end);
        }
        for sync in self.job.syncs.iter().filter(|sync| self.association_of(member.sync, sync.index).is_some()) {
            for table in [&sync.from, &sync.to].into_iter().filter_map(|name| opened.snapshots.tables.get(name)) {
                let columns: Vec<usize> = NAMES.iter().filter_map(|name| table.column(name)).collect();
                let found = table.par_fold(BTreeSet::new, |names: &mut BTreeSet<String>, row| {
                    let cells = columns.iter().map(|column| row.cell(*column).to_owned());
                    let all: Vec<String> = cells.chain([table.key_of(row)]).collect();
                    names.extend(alike(group, all.iter().map(String::as_str)).into_iter().map(str::to_owned));
                })?;
                near.extend(found.into_iter().flatten());
            }
        }
        let near: Vec<String> =
            alike(group, near.iter().map(String::as_str)).into_iter().map(|name| format!("`{name}`")).collect();
        let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
        Ok(ExplainEnd::None(format!(
            "`{group}` is no group, role or container that the job ties `{}` to, reads of it or gives it{hint}",
            ask.key
        )))
    }

    /// The association that ties the objects of two syncs.
    fn association_of(&self, member: usize, group: usize) -> Option<(&Sync, &AssociationSync)> {
        let (member, group) = (self.job.syncs.get(member)?, self.job.syncs.get(group)?);
        self.job.syncs.iter().find_map(|sync| {
            let SyncKind::Association(association) = &sync.kind else { return None };
            let ties = |of: &Sync| association.ends.iter().filter(|end| end.from == of.from && end.to == of.to).count();
            // Of groups in groups both ends are of one sync.
            let is_it =
                if member.index == group.index { ties(member) == 2 } else { ties(member) > 0 && ties(group) > 0 };
            is_it.then_some((sync, &**association))
        })
    }

    fn told_chain(&self, look: &Look, opened: &Opened<'_>, chain: &Chain<'_>) -> Result<Explained, RunError> {
        let Chain { sync, member, group, tie, .. } = chain;
        let orders = match &tie.object {
            Some(object) => self.orders_of_object(object)?,
            None => Vec::new(),
        };
        let mut story = self.story_of(orders, &tie.verdict)?;
        if story.live.is_none() && tie.verdict.order.is_some() {
            story.next.push(format!("muster run {}", self.job.name));
        }
        let mut read = chain.read();
        read.facts.push(self.read_fact(look, opened, &sync.from, tie.direct, None));
        read.facts.push(self.read_fact(look, opened, &sync.to, tie.held, None));
        let steps = vec![
            read,
            chain.assign(&self.job.syncs[group.subject.sync]),
            chain.scope(),
            chain.map(),
            chain.correlate(&self.job.syncs),
            chain.compare(),
            chain.decide(),
            story.order,
            story.outcome,
        ];
        let key = |account: &Account| account.subject.source_key.clone().or(account.subject.target_id.clone());
        let name = |account: &Account| match account.name.is_empty() {
            true => key(account).unwrap_or_default(),
            false => account.name.clone(),
        };
        Ok(Explained {
            source_key: Some(format!("{} → {}", key(group).unwrap_or_default(), key(member).unwrap_or_default())),
            name: format!("{} → {}", name(group), name(member)),
            situation: tie.verdict.situation.or(chain.is_confirmed().then_some(Situation::Confirmed)),
            order: story.live.or_else(|| tie.verdict.order.as_ref().map(|order| order.id.clone())),
            steps,
            next: story.next,
            ..self.explained_of(look, sync)
        })
    }
}

pub(super) struct Chain<'a> {
    sync: &'a Sync,
    association: &'a AssociationSync,
    member: &'a Account,
    group: &'a Account,
    tie: &'a Tie,
}

impl Chain<'_> {
    fn is_wanted_at_source(&self) -> bool {
        self.tie.direct.is_some() || !self.tie.path.is_empty() && self.association.nested == Nested::Flatten
    }

    fn is_confirmed(&self) -> bool {
        self.is_wanted_at_source() && self.tie.held.is_some() && self.missing().is_none()
    }

    pub(super) fn key(account: &Account) -> &str {
        let subject = &account.subject;
        subject.source_key.as_deref().or(subject.target_id.as_deref()).unwrap_or_default()
    }

    fn read(&self) -> Step {
        let (member, group) = (Self::key(self.member), Self::key(self.group));
        let from = &self.sync.from;
        let verdict = match (&self.tie.direct, self.tie.path.as_slice()) {
            (Some(_), _) => format!("`{member}` is in `{group}` of {from} directly"),
            (None, []) => format!("no row of {from} puts `{member}` into `{group}`, directly or through other groups"),
            (None, path) => {
                let path: Vec<String> = path.iter().map(|group| format!("`{group}`")).collect();
                format!("`{member}` is in `{group}` of {from} through groups in groups: {}", path.join(" in "))
            }
        };
        let mut step = Step::new(StepName::Read, verdict);
        if self.tie.direct.is_none() {
            let groups: Vec<String> = self.tie.groups.iter().take(20).map(|group| format!("`{group}`")).collect();
            let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
            step.facts.push(Fact::new(format!("the groups of `{member}`"), groups));
        }
        step
    }

    /// Whether the group is assigned, and who answers for it.
    fn assign(&self, groups: &Sync) -> Step {
        let group = Self::key(self.group);
        let verdict = match (self.is_in_scope(self.group), self.group.source_line) {
            (_, None) => format!("`{group}` is not in {}", groups.from),
            (true, Some(_)) => format!("`{group}` of {} is assigned: it is in the scope of its sync", groups.from),
            (false, Some(_)) => format!("`{group}` of {} is not assigned: its sync's scope leaves it out", groups.from),
        };
        let mut step = Step::new(StepName::Assign, verdict);
        step.facts.extend(scope_of(self.group).into_iter().flat_map(|scope| scope.facts.clone()));
        let owners = self.group.source_cells.iter().filter(|(column, cell)| {
            let column = column.to_lowercase();
            !cell.is_empty() && OWNERS.iter().any(|owner| column.contains(owner))
        });
        step.facts.extend(owners.map(|(column, cell)| Fact::new(column.as_str(), format!("`{cell}`"))));
        step
    }

    fn scope(&self) -> Step {
        match scope_of(self.member) {
            Some(scope) => {
                Step { verdict: format!("`{}`: {}", Self::key(self.member), scope.verdict), ..scope.clone() }
            }
            None => Step::new(StepName::Scope, "nothing to judge"),
        }
    }

    fn is_in_scope(&self, account: &Account) -> bool {
        account.source_line.is_some() && scope_of(account).is_some_and(|scope| scope.verdict.starts_with("in scope"))
    }

    fn map(&self) -> Step {
        let sync = self.sync;
        let mut step = Step::new(StepName::Map, format!("{} → {}, row by row", sync.from, sync.to));
        let members = match self.association.members {
            Members::Additive => "additive: only rows that muster added are removed",
            Members::Authoritative => "authoritative: whoever the source does not have is removed",
        };
        let nested = match self.association.nested {
            Nested::Flatten => "flatten: members of a group in a group belong to the outer one too",
            Nested::Direct => "direct: only direct members count, groups in groups are skipped",
            Nested::Refuse => "refuse: nothing of this is planned while a group is in a group",
        };
        step.facts.push(Fact::new("members", members));
        step.facts.push(Fact::new("nested", nested));
        step
    }

    fn correlate(&self, syncs: &[Sync]) -> Step {
        let linked = |account: &Account| account.subject.target_id.is_some() && account.target_line.is_some();
        let verdict = match (linked(self.member), linked(self.group)) {
            (true, true) => "both ends have their object at the target".to_owned(),
            (false, _) => format!("`{}` has no object at the target (yet)", Self::key(self.member)),
            (true, false) => format!("`{}` has no object at the target (yet)", Self::key(self.group)),
        };
        let mut step = Step::new(StepName::Correlate, verdict);
        for account in [self.member, self.group] {
            let found = account.steps.iter().find(|step| step.step == StepName::Correlate);
            let to = syncs.get(account.subject.sync).map(|sync| sync.to.to_string()).unwrap_or_default();
            let verdict = found.map(|found| found.verdict.clone()).unwrap_or_default();
            step.facts.push(Fact::new(format!("`{}`", Self::key(account)), verdict).with("in", to));
        }
        step
    }

    fn compare(&self) -> Step {
        let to = &self.sync.to;
        let verdict = match (self.is_wanted_at_source(), self.tie.held.is_some()) {
            (true, true) => format!("both {} and {to} have it", self.sync.from),
            (true, false) => format!("{} has it, {to} does not", self.sync.from),
            (false, true) if self.tie.is_ours => format!("{to} has it, {} does not; muster added it", self.sync.from),
            (false, true) => format!("{to} has it, {} does not; muster did not add it", self.sync.from),
            (false, false) => "neither side has it".to_owned(),
        };
        Step::new(StepName::Compare, verdict)
    }

    /// The first link of the chain that is missing, in a sentence.
    fn missing(&self) -> Option<String> {
        let (member, group) = (Self::key(self.member), Self::key(self.group));
        let from = &self.sync.from;
        if self.group.source_line.is_none() {
            return Some(format!("`{group}` has no row at the source"));
        }
        if self.member.source_line.is_none() {
            return Some(format!("`{member}` has no row at the source"));
        }
        if self.tie.direct.is_none() && self.tie.path.is_empty() {
            return Some(format!("no row of {from} puts `{member}` into `{group}`"));
        }
        if !self.is_in_scope(self.group) {
            return Some(format!("`{group}` is not assigned: the scope of its sync leaves it out"));
        }
        if !self.is_in_scope(self.member) {
            return Some(format!("`{member}` is out of scope"));
        }
        match self.association.nested {
            Nested::Direct if self.tie.direct.is_none() => Some(format!(
                "`{member}` is in `{group}` through groups in groups only, and the job takes direct members only (nested = \"direct\"); set nested = \"flatten\" to count them"
            )),
            Nested::Refuse if !self.tie.path.is_empty() => Some(
                "the job plans nothing of this association while a group is in a group (nested = \"refuse\")"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn decide(&self) -> Step {
        let missing = self.missing();
        let verdict = match (&self.tie.verdict.order, &missing) {
            (Some(order), _) => format!("{}: {}; {}", order.situation, order.operation, order.reason),
            (None, None) if self.tie.held.is_some() => "confirmed: nothing to do".to_owned(),
            (None, Some(missing)) if self.tie.held.is_none() => {
                format!("not there, because a link is missing: {missing}")
            }
            (None, Some(missing)) if self.tie.is_ours => format!("not wanted ({missing}), and still there"),
            (None, Some(missing)) => format!("not from this job ({missing}); left as it is, somebody else added it"),
            (None, None) if self.tie.verdict.kept.is_some() => "missing: its order stands".to_owned(),
            (None, None) => "wanted; an end has no object yet, which goes first".to_owned(),
        };
        let mut step = Step::new(StepName::Decide, verdict);
        if let Some(block) = self.tie.verdict.order.as_ref().and_then(|order| order.block.as_ref()) {
            step.facts.push(Fact::new("blocked", block.reason.word()).with("why", &block.detail));
        }
        step
    }
}

fn scope_of(account: &Account) -> Option<&Step> {
    account.steps.iter().find(|step| step.step == StepName::Scope)
}
