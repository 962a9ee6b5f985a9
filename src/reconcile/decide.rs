//! One object that is not plainly confirmed: what is to be done about it, and why.

use crate::model::grace::{Grace, Looked};
use crate::model::order::{Block, BlockReason, Change, Fingerprint, ObjectKey, Operation, Order, OrderId, Reference};
use crate::model::situation::{Cause, Situation};
use crate::model::value::Value;
use crate::rules::scope::BoundScope;
use crate::snapshot::row::{Cells, OwnedRow};

use super::compare::{self, Comparison, Names};
use super::correlate::Correlation;
use super::draft::ListedObject;
use super::ends::{EndTable, NAMES, name_in};
use super::error::ReconcileError;
use super::given;
use super::ground;
use super::guard;
use super::input::Wishes;
use super::objects::Claims;
use super::policy::{DriftAction, Fixed};
use super::reason::{self, block, some};
use super::rename::Evidence;
use super::scan::Scanner;
use super::threshold::RENAME;

/// An object to be looked at. Sources and targets are row numbers, links are positions among the input's.
#[derive(Debug)]
pub(crate) enum Work {
    /// Wanted, and not at the target; `link` where it was there once.
    Create { source: u32, link: Option<u32> },
    /// Correlated, by a link or by a match rule (its position, and whether all digests are equal).
    Pair { source: u32, target: u32, link: Option<u32>, rule: Option<(u8, bool)> },
    /// Recognised under a new key, by the position among the renames.
    Renamed { source: u32, rename: u32 },
    /// One of several candidates.
    Ambiguous { source: u32, group: u32 },
    /// Managed, and its source row is gone.
    Orphan { number: u32, target: u32, link: u32 },
    /// Managed, and left out by the scope.
    OutOfScope { source: u32, target: u32, link: u32 },
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) number: u32,
    pub(crate) situation: Situation,
    pub(crate) order: Option<Order>,
    /// The match is confirmed: a link is to be recorded.
    pub(crate) link: bool,
    /// Somebody else manages the object.
    pub(crate) foreign: bool,
    /// What was changed at the target and is to be told.
    pub(crate) drift: Option<String>,
    /// For listings, where there is no order to list.
    pub(crate) listed: Option<ListedObject>,
    /// How far its grace has come, where it has one or had.
    pub(crate) grace: Option<GraceNote>,
    /// Attributes whose new values are made for it, by their positions.
    pub(crate) generated: Vec<usize>,
}

/// How far a grace has come at this look.
#[derive(Debug)]
pub(crate) struct GraceNote {
    pub(crate) key: String,
    pub(crate) was: Option<Grace>,
    /// `None`: it is to be forgotten.
    pub(crate) now: Option<Looked>,
}

impl Built {
    /// No order.
    pub(crate) fn nothing(number: u32, situation: Situation) -> Self {
        Self {
            number,
            situation,
            order: None,
            link: false,
            foreign: false,
            drift: None,
            listed: None,
            grace: None,
            generated: Vec::new(),
        }
    }
}

/// Decides about objects; shared between threads.
pub(crate) struct Decider<'a> {
    pub(crate) wishes: Wishes<'a>,
    pub(crate) scanner: &'a Scanner<'a>,
    pub(crate) table: &'a EndTable<'a>,
    pub(crate) done: &'a Correlation,
    pub(crate) claims: &'a Claims,
    /// What the target does not let change for some of its objects.
    pub(crate) fixed: Vec<(BoundScope, &'a Fixed)>,
}

/// The parts of an order that differ from case to case.
pub(crate) struct Case<'c> {
    pub(crate) number: u32,
    pub(crate) key: &'c str,
    pub(crate) source_key: Option<&'c str>,
    pub(crate) target_id: Option<&'c str>,
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) changes: Vec<Change>,
    pub(crate) situation: Situation,
    pub(crate) cause: Cause,
    pub(crate) reason: String,
    pub(crate) ground: String,
    pub(crate) confidence: u8,
    pub(crate) block: Option<Block>,
    pub(crate) renamed_from: Option<String>,
    /// To what new values refer.
    pub(crate) references: Vec<Reference>,
}

impl Decider<'_> {
    /// Looks at one object.
    pub(crate) fn build(&self, work: &Work) -> Result<Built, ReconcileError> {
        match work {
            Work::Create { source, link } => self.create(*source, *link),
            Work::Pair { source, target, link, rule } => self.pair(*source, *target, *link, *rule, None),
            Work::Renamed { source, rename } => {
                let renamed = &self.done.renames[*rename as usize];
                self.pair(*source, renamed.target, Some(renamed.link), None, Some(&renamed.evidence))
            }
            Work::Ambiguous { source, group } => self.ambiguous(*source, *group),
            Work::Orphan { number, target, link } => self.removal(*number, *target, *link, Situation::Orphan),
            Work::OutOfScope { source, target, link } => self.removal(*source, *target, *link, Situation::OutOfScope),
        }
    }

    pub(crate) fn source(&self, row: u32) -> Result<OwnedRow, ReconcileError> {
        Ok(self.scanner.input.source.fetch(self.table.source.rows.place(row))?)
    }

    pub(crate) fn target(&self, row: u32) -> Result<OwnedRow, ReconcileError> {
        Ok(self.scanner.input.target.fetch(self.table.target.place(row))?)
    }

    fn create(&self, row: u32, link: Option<u32>) -> Result<Built, ReconcileError> {
        let (sync, key) = (self.scanner.input.sync, self.table.source.key(row));
        let cells = self.source(row)?;
        let comparison = compare::create(self.scanner, &cells, self.names(row));
        let incomplete = self.incomplete(&cells, key, &comparison).or_else(|| self.unmatched(&cells, key));
        let was = link.map(|link| self.scanner.input.links.get(link).target_id);
        let situation = if incomplete.is_some() { Situation::Incomplete } else { Situation::Missing };
        let name = self.wanted_name(&comparison.changes).unwrap_or_else(|| key.to_owned());
        let unknown = given::unknown(self.scanner, &cells, &comparison.changes);
        let (unsure, confidence) = given::unsure(self.scanner, &cells, key, &comparison.changes, true).unzip();
        let by = given::by_which_rows(self.scanner, &cells, &comparison.changes);
        let generated = comparison.generated.clone();
        let built = self.order(Case {
            number: row,
            key,
            source_key: Some(key),
            target_id: None,
            operation: Operation::Create,
            block: self.never(&[key, &name]).or(incomplete).or(unknown).or(unsure),
            name,
            changes: comparison.changes,
            situation,
            cause: Cause::Initial,
            reason: reason::create(sync, key, was)
                + &by
                + &reason::unusual(&comparison.unusual)
                + &self.like_objects(row)?,
            ground: String::new(),
            confidence: confidence.unwrap_or(100),
            renamed_from: None,
            references: comparison.references,
        });
        Ok(Built { generated, ..built })
    }

    fn pair(
        &self,
        row: u32,
        target: u32,
        link: Option<u32>,
        rule: Option<(u8, bool)>,
        renamed: Option<&Evidence>,
    ) -> Result<Built, ReconcileError> {
        let (input, sync) = (self.scanner.input, self.scanner.input.sync);
        let (source, held) = (self.table.source.get(row), self.table.target.get(target));
        let (key, id) = (source.key, held.key);
        let matcher = rule.map(|(rule, _)| &self.scanner.judges[rule as usize]);
        let confidence = matcher.map_or(100, |m| m.confidence);
        let confidence = renamed.map_or(confidence, |evidence| evidence.confidence(self.scanner));
        let claimed = self.claims.get(id);
        if let (Some((_, true)), None, 100..) = (rule, claimed, confidence) {
            return Ok(Built { link: true, ..Built::nothing(row, Situation::Confirmed) });
        }
        let (cells, held) = (self.source(row)?, self.target(target)?);
        let agreed = link.and_then(|link| input.links.get(link).agreed);
        let mut comparison = compare::pair(self.scanner, &cells, &held, agreed, source.raw, self.names(row));
        let mut incomplete = self.incomplete(&cells, key, &comparison);
        let operation = self.operation(&comparison.changes);
        let doubt = given::unjudged(self.scanner, source, self.table.source.doubt(row));
        if doubt.is_some() && operation != Operation::Disable {
            return Ok(Built::nothing(row, Situation::Incomplete));
        }
        let mut without_rest = String::new();
        if operation == Operation::Disable {
            let in_its_way = incomplete
                .clone()
                .or(doubt)
                .or_else(|| self.in_the_way_of_the_rest(key, (&cells, &held), &comparison.changes, rule.is_some()));
            if let Some(block) = in_its_way {
                without_rest = self.only_the_switch(&mut comparison, &block);
                incomplete = None;
            }
        }
        let name = self.wanted_name(&comparison.changes).or_else(|| name_in(input, &held));
        let name = name.unwrap_or_else(|| key.to_owned());
        let drift = (!comparison.drifted.is_empty() && sync.on.drift == DriftAction::Report)
            .then(|| reason::drift(sync, key, &comparison.drifted));
        let generated = comparison.generated.clone();
        let nothing = comparison.changes.is_empty() && incomplete.is_none() && confidence == 100 && renamed.is_none();
        if nothing && claimed.is_none() && comparison.keeps && comparison.drifted.is_empty() {
            return Ok(Built::nothing(row, Situation::Confirmed));
        }
        if nothing && claimed.is_none() {
            let listed = self.listed(Situation::Changed, key, &name, Some(id), drift.as_deref().unwrap_or_default());
            return Ok(Built { drift, listed, ..Built::nothing(row, Situation::Changed) });
        }
        let was = renamed.and(link).map(|link| input.links.get(link).source_key);
        let how = match matcher {
            None => String::new(),
            Some(m) => format!("matched with `{id}` by `{}` ({} %), not linked before", m.text, m.confidence),
        };
        let others = if confidence < 100 { self.others(row)? } else { String::new() };
        let low = (confidence < 100).then(|| Block {
            reason: BlockReason::LowConfidence,
            detail: match renamed.zip(was) {
                Some((evidence, was)) => reason::likely_rename(sync, (was, key), evidence, self.scanner),
                None => format!(
                    "`{key}` and `{id}` ({}) match by `{}` with {confidence} % only{others}; approve if they are the same, which links them; reject if they are two",
                    name_in(input, &held).unwrap_or_default(),
                    matcher.map_or("", |m| &m.text),
                ),
            },
        });
        let foreign = claimed.and_then(|who| {
            block(
                BlockReason::Conflict,
                format!(
                    "`{id}` of {} is managed by {who} as well; forget it in one of them (`muster unlink JOB KEY`), or narrow a scope",
                    sync.to
                ),
            )
        });
        let situation = match (&foreign, &incomplete) {
            (Some(_), _) => Situation::Conflict,
            (None, Some(_)) => Situation::Incomplete,
            (None, None) => Situation::Changed,
        };
        let cause = comparison.changes.iter().map(|c| c.cause).max().unwrap_or(Cause::Initial);
        let held_name = name_in(input, &held).unwrap_or_default();
        let is_foreign = foreign.is_some();
        let own = self.own(operation, &[id, &held_name], &comparison.changes);
        let in_the_way = self.in_the_way(&cells, &held, &comparison.changes);
        let unsure = given::unsure(self.scanner, &cells, key, &comparison.changes, rule.is_some());
        // Of what the switch alone does not need to know, nothing keeps it from being turned off.
        let (unsure, class) =
            unsure.filter(|(block, _)| without_rest.is_empty() || block.reason != BlockReason::Incomplete).unzip();
        let by = given::by_which_rows(self.scanner, &cells, &comparison.changes);
        let low = match (low, unsure) {
            (Some(low), Some(unsure)) => Some(Block { detail: format!("{}; {}", low.detail, unsure.detail), ..unsure }),
            (low, unsure) => low.or(unsure),
        };
        let built = self.order(Case {
            number: row,
            key,
            source_key: Some(key),
            target_id: Some(id),
            operation,
            block: self.never(&[key, id, &name, &held_name]).or(own).or(foreign).or(incomplete).or(in_the_way).or(low),
            name,
            reason: match renamed.zip(was) {
                Some((evidence, was)) => reason::renamed(sync, (was, key), evidence, self.scanner, &comparison.changes),
                None => reason::update(&comparison.changes, &how),
            } + &without_rest
                + &by
                + &reason::unusual(&comparison.unusual),
            ground: if operation == Operation::Disable { self.ground_to_disable(&cells) } else { String::new() },
            changes: comparison.changes,
            situation,
            cause,
            confidence: class.map_or(confidence, |class| class.min(confidence)),
            renamed_from: was.map(str::to_owned),
            references: comparison.references,
        });
        Ok(Built { drift, foreign: is_foreign, generated, ..built })
    }

    /// A match rule that fails: the object may be there already, and is not made a second time.
    fn unmatched(&self, cells: &dyn Cells, key: &str) -> Option<Block> {
        let (rule, failure) = self.scanner.unmatched(cells)?;
        let detail = format!(
            "the match rule `{rule}` failed for row `{key}` of {}, so whether it is there already is not known: {failure}; correct the row, or the rule, and run again",
            self.scanner.input.sync.from
        );
        block(BlockReason::Incomplete, detail)
    }

    /// New values that the target does not have, or does not let change.
    pub(crate) fn in_the_way(&self, cells: &dyn Cells, held: &OwnedRow, changes: &[Change]) -> Option<Block> {
        let unknown = given::unknown(self.scanner, cells, changes);
        let (input, to) = (self.scanner.input, &self.scanner.input.sync.to);
        unknown
            .or_else(|| guard::fixed(&self.fixed, to, held, changes))
            .or_else(|| guard::federated(input.capabilities, input.target, to, held, changes))
    }

    fn ambiguous(&self, row: u32, group: u32) -> Result<Built, ReconcileError> {
        let sync = self.scanner.input.sync;
        let group = &self.done.groups[group as usize];
        let key = self.table.source.key(row);
        let cells = self.source(row)?;
        // Which of its values differ, only the object that is meant can tell.
        let wanted = compare::create(self.scanner, &cells, self.names(row)).changes;
        let mut targets = Vec::new();
        for target in &group.targets {
            let name = name_in(self.scanner.input, &self.target(*target)?).unwrap_or_default();
            targets.push(format!("`{}` ({name})", self.table.target.key(*target)));
        }
        targets.sort();
        let others = group.sources.iter().filter(|other| **other != row);
        let mut others: Vec<String> = others.map(|o| format!("`{}`", self.table.source.key(*o))).collect();
        others.sort();
        let rule = &self.scanner.judges[group.rule as usize].text;
        let rivals = match others.len() {
            0 => String::new(),
            1 => format!(", and so does {} of {}", some(&others), sync.from),
            _ => format!(", and so do {} of {}", some(&others), sync.from),
        };
        let name = self.wanted_name(&wanted).unwrap_or_else(|| key.to_owned());
        let detail = format!(
            "by `{rule}`, `{key}` matches {} of {}{rivals}; choose with `muster link JOB {key} TARGET`",
            some(&targets),
            sync.to
        );
        Ok(self.order(Case {
            number: row,
            key,
            source_key: Some(key),
            target_id: None,
            operation: Operation::Update,
            changes: Vec::new(),
            situation: Situation::Ambiguous,
            cause: Cause::Initial,
            reason: format!("`{key}` of {} has several candidates in {}", sync.from, sync.to),
            ground: String::new(),
            confidence: 0,
            block: self.never(&[key, &name]).or_else(|| block(BlockReason::Ambiguous, detail)),
            name,
            renamed_from: None,
            references: Vec::new(),
        }))
    }

    /// Other candidates of a row, each with how sure it is and by what; empty where there are none.
    fn others(&self, row: u32) -> Result<String, ReconcileError> {
        let mut told = Vec::new();
        for (target, judge) in self.done.others.get(&row).into_iter().flatten() {
            let name = name_in(self.scanner.input, &self.target(*target)?).unwrap_or_default();
            let judge = &self.scanner.judges[*judge as usize];
            let id = self.table.target.key(*target);
            told.push(format!("`{id}` ({name}) with {} % by `{}`", judge.confidence, judge.text));
        }
        told.sort();
        Ok(if told.is_empty() { String::new() } else { format!(" (other candidates: {})", some(&told)) })
    }

    fn names(&self, row: u32) -> Names<'_> {
        Names { table: self.table, row }
    }

    pub(crate) fn never(&self, names: &[&str]) -> Option<Block> {
        guard::protected(self.wishes.protect, &self.scanner.input.sync.to, names)
    }

    /// Whether it would lock out the account that muster itself uses.
    pub(crate) fn own(&self, operation: Operation, names: &[&str], changes: &[Change]) -> Option<Block> {
        let input = self.scanner.input;
        guard::own(input.account, &input.sync.to, operation, names, changes)
    }

    fn incomplete(&self, row: &dyn Cells, key: &str, comparison: &Comparison) -> Option<Block> {
        let unusable = reason::unusable(self.scanner, row, key, comparison);
        if unusable.is_some() {
            return unusable;
        }
        if !comparison.nobody.is_empty() {
            return reason::nobody(self.scanner.input.sync, &comparison.nobody);
        }
        if comparison.lacking.is_empty() {
            return None;
        }
        reason::lacking(self.scanner, row, key, &comparison.lacking)
    }

    /// A change of the attribute that says whether an account is in use makes the order a disable or an enable.
    fn operation(&self, changes: &[Change]) -> Operation {
        let Some(flag) = self.scanner.input.capabilities.enabled.as_deref() else { return Operation::Update };
        let after = changes.iter().find(|c| c.attribute == flag).and_then(|c| c.after.as_ref());
        match after.and_then(Value::as_text) {
            Some("false") => Operation::Disable,
            Some("true") => Operation::Enable,
            _ => Operation::Update,
        }
    }

    /// What the rule that takes an account out of use says, and by which values.
    fn ground_to_disable(&self, row: &dyn Cells) -> String {
        let input = self.scanner.input;
        let flag = input.capabilities.enabled.as_deref().unwrap_or_default();
        let rule = input.sync.rules.mapping.rule(flag).unwrap_or_default();
        ground::of_rule(rule, self.scanner.inputs(flag, row))
    }

    fn wanted_name(&self, changes: &[Change]) -> Option<String> {
        let value = |name: &&str| changes.iter().find(|c| c.attribute == *name)?.after.as_ref().map(Value::to_string);
        NAMES.iter().find_map(value)
    }

    pub(crate) fn listed(
        &self,
        situation: Situation,
        key: &str,
        name: &str,
        target_id: Option<&str>,
        note: &str,
    ) -> Option<ListedObject> {
        self.wishes.list.then(|| ListedObject {
            sync: self.scanner.input.sync.index,
            situation,
            key: key.to_owned(),
            name: name.to_owned(),
            target_id: target_id.map(str::to_owned),
            note: note.to_owned(),
            due: None,
        })
    }

    pub(crate) fn order(&self, case: Case<'_>) -> Built {
        let input = self.scanner.input;
        let sync = input.sync;
        let object = ObjectKey::by_source(&sync.to, &sync.from, case.key);
        let unsupported = || guard::unsupported(input.capabilities, &sync.to, case.operation, &case.changes);
        let block = match case.block {
            Some(block) if block.reason != BlockReason::LowConfidence => Some(block),
            weaker => unsupported().or(weaker),
        };
        let thresholds = case.renamed_from.iter().map(|_| RENAME.to_owned()).collect();
        let fingerprint: Fingerprint =
            Order::fingerprint_with(&sync.to, case.operation, &object, &case.changes, &case.references);
        let order = Order {
            id: OrderId::new(&fingerprint, 0),
            fingerprint,
            operation: case.operation,
            resource: sync.to.clone(),
            sync: sync.index,
            object,
            target_id: case.target_id.map(str::to_owned),
            source_key: case.source_key.map(str::to_owned),
            renamed_from: case.renamed_from,
            source_digest: self.table.source.raw(case.number),
            key: case.key.to_owned(),
            name: case.name,
            changes: case.changes,
            ends: Vec::new(),
            references: case.references,
            closes: None,
            after: None,
            situation: case.situation,
            cause: case.cause,
            reason: case.reason,
            confidence: case.confidence,
            takes_along: Vec::new(),
            thresholds,
            block,
            undoes: None,
            irreversible: None,
            ground: case.ground,
        };
        Built { order: Some(order), ..Built::nothing(case.number, case.situation) }
    }
}
