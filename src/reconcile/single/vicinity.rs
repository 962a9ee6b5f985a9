//! What a decision about one object depends on: the few rows of both snapshots that a plan would look at for it.
//!
//! An object is decided by its row, by what it is linked with, by whoever could be taken for it, and by whoever wants or
//! holds a unique value that it is to get. These are found by passes over the files, each for what the last one brought up,
//! until nothing new comes. What depends on everybody (who of all leavers looks like a newcomer) is not narrowed: then
//! both snapshots are taken as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::reconcile::canonical::{self, ABSENT, NOTHING};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::ObjectInput;
use crate::reconcile::policy::RenamePolicy;
use crate::reconcile::rename::{ids, needed, telling};
use crate::reconcile::rows::Admission;
use crate::reconcile::scan::Scanner;
use crate::snapshot::row::{Cells, OwnedRow, Place};
use crate::snapshot::table::Table;

use super::Subject;
use super::recall::Recall;

/// With more rows than so many, whole snapshots are no more to read.
const MOST_ROWS: usize = 20_000;

/// Fewer attributes in common say nothing, as where renames are recognised.
const LEAST_ATTRIBUTES: usize = 3;

/// Rows of one snapshot that were found, and the keys that were looked for.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: BTreeMap<Place, OwnedRow>,
    pub(super) keys: HashMap<String, Place>,
    /// Keys that were or will be looked for.
    pub(super) asked: BTreeSet<String>,
    /// Those of them that were not looked for yet.
    fresh: BTreeSet<String>,
    /// Rows whose vicinity was not looked at yet.
    pending: BTreeSet<Place>,
}

impl Found {
    fn ask(&mut self, key: &str) {
        if self.asked.insert(key.to_owned()) {
            self.fresh.insert(key.to_owned());
        }
    }

    /// Whether a key was looked for and is not there.
    fn lacks(&self, key: &str) -> bool {
        self.asked.contains(key) && !self.fresh.contains(key) && !self.keys.contains_key(key)
    }

    fn is_settled(&self, key: &str) -> bool {
        self.keys.contains_key(key) || self.lacks(key)
    }
}

/// Values that rows are looked for by: digests, as both sides are compared by.
#[derive(Default)]
struct Needles {
    /// By match rule.
    matches: Vec<HashSet<u64>>,
    /// By the position of a mapped attribute.
    values: BTreeMap<usize, HashSet<u64>>,
}

impl Needles {
    fn is_empty(&self) -> bool {
        self.matches.iter().all(HashSet::is_empty) && self.values.values().all(HashSet::is_empty)
    }
}

/// The vicinity of one object in one sync.
pub(super) struct Vicinity<'a> {
    pub(super) scanner: Scanner<'a>,
    recall: &'a dyn Recall,
    pub(super) source: Found,
    pub(super) target: Found,
    /// By source key, its link's target id; and the other way round.
    links: HashMap<String, String>,
    linked: HashMap<String, String>,
    known: Needles,
    fresh: Needles,
    /// Both snapshots are to be taken as they are.
    pub(super) is_whole: bool,
}

impl<'a> Vicinity<'a> {
    /// Nothing yet of a sync whose tables are whole and whose links are not read.
    pub(super) fn new(input: &'a ObjectInput<'a>, recall: &'a dyn Recall) -> Result<Self, ReconcileError> {
        let scanner = Scanner::bind(input, &mut Vec::new())?;
        let needles = || Needles { matches: vec![HashSet::new(); scanner.matchers.len()], values: BTreeMap::new() };
        let (known, fresh) = (needles(), needles());
        Ok(Self {
            scanner,
            recall,
            source: Found::default(),
            target: Found::default(),
            links: HashMap::new(),
            linked: HashMap::new(),
            known,
            fresh,
            is_whole: false,
        })
    }

    /// Asks for a source row by its key.
    pub(super) fn ask_source(&mut self, key: &str) {
        self.source.ask(key);
    }

    /// Asks for an object of the target by its id.
    pub(super) fn ask_target(&mut self, id: &str) {
        self.target.ask(id);
    }

    /// Asks for whoever wants or holds a value of a mapped attribute.
    pub(super) fn ask_value(&mut self, position: usize, digest: u64) {
        if ![ABSENT, NOTHING].contains(&digest) && self.known.values.entry(position).or_default().insert(digest) {
            self.fresh.values.entry(position).or_default().insert(digest);
        }
    }

    fn ask_match(&mut self, rule: usize, digest: u64) {
        if digest != ABSENT && self.known.matches[rule].insert(digest) {
            self.fresh.matches[rule].insert(digest);
        }
    }

    /// Looks for all that was asked for, and for what that leads to. `subject` is the source key whose unique values
    /// matter.
    pub(super) fn explore(&mut self, subject: Option<&str>) -> Result<(), ReconcileError> {
        let mut is_asked = false;
        while !self.is_whole {
            let needles = std::mem::replace(
                &mut self.fresh,
                Needles { matches: vec![HashSet::new(); self.scanner.matchers.len()], values: BTreeMap::new() },
            );
            let (sources, targets) = (std::mem::take(&mut self.source.fresh), std::mem::take(&mut self.target.fresh));
            if needles.is_empty() && sources.is_empty() && targets.is_empty() {
                let more = self.widen()?;
                if !more {
                    break;
                }
                continue;
            }
            self.look(true, &sources, &needles)?;
            self.look(false, &targets, &needles)?;
            self.follow_links()?;
            self.widen()?;
            if let Some(subject) = subject.filter(|_| !is_asked) {
                is_asked = self.ask_unique(subject);
            }
            self.is_whole |= self.source.rows.len() + self.target.rows.len() > MOST_ROWS;
        }
        Ok(())
    }

    /// One pass over one side; rows that are new go to the found ones.
    fn look(&mut self, at_source: bool, keys: &BTreeSet<String>, needles: &Needles) -> Result<(), ReconcileError> {
        if keys.is_empty() && needles.is_empty() {
            return Ok(());
        }
        let scanner = &self.scanner;
        let table = if at_source { scanner.input.source } else { scanner.input.target };
        let is_asked = asked_for(table, keys);
        let fits = |row: &dyn Cells| {
            if at_source {
                let matches = needles.matches.iter().zip(&scanner.matchers);
                let by_match = |(wanted, matcher): (&HashSet<u64>, &crate::reconcile::scan::Matcher)| {
                    !wanted.is_empty() && wanted.contains(&canonical::digest(&matcher.value(row), matcher.kind))
                };
                matches.into_iter().any(by_match)
                    || needles.values.iter().any(|(at, wanted)| wanted.contains(&scanner.wanted_digest(*at, row)))
            } else {
                let matches = needles.matches.iter().zip(&scanner.matchers);
                let by_match = |(wanted, matcher): (&HashSet<u64>, &crate::reconcile::scan::Matcher)| {
                    !wanted.is_empty() && wanted.contains(&canonical::digest(matcher.held(row), matcher.kind))
                };
                matches.into_iter().any(by_match)
                    || needles.values.iter().any(|(at, wanted)| {
                        let attribute = &scanner.attributes[*at];
                        wanted.contains(&canonical::digest(attribute.held(row), attribute.kind))
                    })
            }
        };
        let by_value = !needles.is_empty();
        let found = table.par_fold(Vec::new, |found: &mut Vec<OwnedRow>, row| {
            if is_asked(row) || by_value && fits(row) {
                found.push(OwnedRow::of(row));
            }
        })?;
        let side = if at_source { &mut self.source } else { &mut self.target };
        for row in found.into_iter().flatten() {
            let key = table.key_of(&row);
            side.keys.entry(key.clone()).or_insert(row.place());
            side.asked.insert(key);
            if side.rows.insert(row.place(), row.clone()).is_none() {
                side.pending.insert(row.place());
            }
        }
        Ok(())
    }

    /// Asks for what is linked with what was found or looked for.
    fn follow_links(&mut self) -> Result<(), ReconcileError> {
        let sources: Vec<String> =
            self.source.asked.iter().filter(|key| !self.links.contains_key(*key)).cloned().collect();
        let targets: Vec<String> =
            self.target.asked.iter().filter(|id| !self.linked.contains_key(*id)).cloned().collect();
        let found = self.recall.links(&self.scanner.input.sync.id, &sources, &targets)?;
        for link in found.iter() {
            self.links.insert(link.source_key.to_owned(), link.target_id.to_owned());
            self.linked.insert(link.target_id.to_owned(), link.source_key.to_owned());
            self.source.ask(link.source_key);
            self.target.ask(link.target_id);
        }
        Ok(())
    }

    /// Asks for whoever could be taken for what was found and belongs to nobody; whether anything is asked for.
    fn widen(&mut self) -> Result<bool, ReconcileError> {
        let input = self.scanner.input;
        let renames = self.renames();
        let positions = if renames { ids(&self.scanner) } else { Vec::new() };
        let (mut matches, mut values) = (Vec::new(), Vec::new());
        for place in self.source.pending.clone() {
            let row = &self.source.rows[&place];
            let link = self.links.get(&input.source.key_of(row));
            if link.is_some_and(|id| !self.target.is_settled(id)) {
                continue;
            }
            self.source.pending.remove(&place);
            let is_paired = link.is_some_and(|id| self.target.keys.contains_key(id));
            if is_paired || self.scanner.admission(row).0 != Admission::In {
                continue;
            }
            for (rule, matcher) in self.scanner.matchers.iter().enumerate() {
                matches.push((rule, canonical::digest(&matcher.value(row), matcher.kind)));
            }
            values.extend(positions.iter().map(|at| (*at, self.scanner.wanted_digest(*at, row))));
        }
        for place in self.target.pending.clone() {
            let row = &self.target.rows[&place];
            let link = self.linked.get(&input.target.key_of(row));
            if link.is_some_and(|key| !self.source.is_settled(key)) {
                continue;
            }
            self.target.pending.remove(&place);
            if link.is_some_and(|key| self.source.keys.contains_key(key)) {
                continue;
            }
            for (rule, matcher) in self.scanner.matchers.iter().enumerate() {
                matches.push((rule, canonical::digest(matcher.held(row), matcher.kind)));
            }
            if link.is_some() {
                let held = |at: usize| {
                    let attribute = &self.scanner.attributes[at];
                    canonical::digest(attribute.held(row), attribute.kind)
                };
                values.extend(positions.iter().map(|at| (*at, held(*at))));
            }
        }
        matches.into_iter().for_each(|(rule, digest)| self.ask_match(rule, digest));
        values.into_iter().for_each(|(at, digest)| self.ask_value(at, digest));
        Ok(!self.fresh.is_empty() || !self.source.fresh.is_empty() || !self.target.fresh.is_empty())
    }

    fn renames(&self) -> bool {
        let input = self.scanner.input;
        matches!(input.sync.rename, RenamePolicy::Alike(_)) && input.source_absence && input.target_absence
    }

    /// Asks for whoever wants or holds a unique value that the subject is to get; false while that is not known yet.
    fn ask_unique(&mut self, subject: &str) -> bool {
        let Some(place) = self.source.keys.get(subject) else { return self.source.lacks(subject) };
        let row = self.source.rows[place].clone();
        let held = match self.links.get(subject) {
            Some(id) if !self.target.is_settled(id) => return false,
            Some(id) => self.target.keys.get(id).map(|place| self.target.rows[place].clone()),
            None => None,
        };
        for attribute in &self.scanner.input.sync.rules.unique {
            let Some(at) = self.scanner.position(attribute) else { continue };
            let wanted = self.scanner.wanted_digest(at, &row);
            let attribute = &self.scanner.attributes[at];
            let is_held =
                held.as_ref().is_some_and(|row| canonical::digest(attribute.held(row), attribute.kind) == wanted);
            if !is_held {
                self.ask_value(at, wanted);
            }
        }
        true
    }

    /// The subject's source key and target id, as far as a link or the snapshots tell them.
    pub(super) fn pair_of(&self, subject: &Subject) -> (Option<String>, Option<String>) {
        let key = subject.source_key.clone();
        let key = key.or_else(|| self.linked.get(subject.target_id.as_deref()?).cloned());
        let id = subject.target_id.clone().or_else(|| self.links.get(key.as_deref()?).cloned());
        (key, id.filter(|id| self.target.keys.contains_key(id)))
    }

    /// What the subject is to get of unique attributes, as digests.
    pub(super) fn unique_values(&self, subject: Option<&str>) -> Vec<(String, u64)> {
        let row = subject.and_then(|key| self.source.keys.get(key)).map(|place| &self.source.rows[place]);
        let unique = self.scanner.input.sync.rules.unique.iter();
        let value =
            |name: &String, row| Some((name.clone(), self.scanner.wanted_digest(self.scanner.position(name)?, row)));
        row.into_iter().flat_map(|row| unique.clone().filter_map(move |name| value(name, row))).collect()
    }

    /// Whether somebody looks so much like the subject that everybody has to be looked at: of two that resemble each other
    /// one is recognised only where no third one does.
    pub(super) fn resembles(&self, source_key: Option<&str>, target_id: Option<&str>) -> Result<bool, ReconcileError> {
        let RenamePolicy::Alike(least) = self.scanner.input.sync.rename else { return Ok(false) };
        let positions = telling(&self.scanner);
        if !self.renames() || positions.len() < LEAST_ATTRIBUTES {
            return Ok(false);
        }
        let input = self.scanner.input;
        let scanner = &self.scanner;
        let wants =
            |row: &dyn Cells| -> Vec<u64> { positions.iter().map(|at| scanner.wanted_digest(*at, row)).collect() };
        let holds = |row: &dyn Cells| -> Vec<u64> {
            let held = positions.iter().map(|at| &scanner.attributes[*at]);
            held.map(|attribute| canonical::digest(attribute.held(row), attribute.kind)).collect()
        };
        let row_of = |found: &'_ Found, key: &str| found.keys.get(key).map(|place| found.rows[place].clone());
        let source = source_key.and_then(|key| row_of(&self.source, key));
        let target = target_id.and_then(|id| row_of(&self.target, id));
        match (source, target) {
            // A newcomer: does a leaver look like this?
            (Some(row), None) if self.scanner.admission(&row).0 == Admission::In => {
                let wanted = wants(&row);
                let near = input.target.par_fold(Vec::new, |near: &mut Vec<String>, row| {
                    if is_alike(least, &wanted, &holds(row)) {
                        near.push(input.target.key_of(row));
                    }
                })?;
                let near: Vec<String> = near.into_iter().flatten().collect();
                let links = self.recall.links(&input.sync.id, &[], &near)?;
                let owners: BTreeSet<String> = links.iter().map(|link| link.source_key.to_owned()).collect();
                Ok(present(input.source, &owners)? < owners.len())
            }
            // A leaver: does a newcomer?
            (None, Some(row)) => {
                let held = holds(&row);
                let near = input.source.par_fold(Vec::new, |near: &mut Vec<String>, row| {
                    if is_alike(least, &wants(row), &held) {
                        near.push(input.source.key_of(row));
                    }
                })?;
                let near: BTreeSet<String> = near.into_iter().flatten().collect();
                let keys: Vec<String> = near.iter().cloned().collect();
                let links = self.recall.links(&input.sync.id, &keys, &[])?;
                let ids: BTreeSet<String> = links.iter().map(|link| link.target_id.to_owned()).collect();
                Ok(links.len() < near.len() || present(input.target, &ids)? < ids.len())
            }
            _ => Ok(false),
        }
    }
}

/// Whether as much is equal as makes one be taken for the other.
fn is_alike(least: f64, wanted: &[u64], held: &[u64]) -> bool {
    let compared = || wanted.iter().zip(held).filter(|(w, h)| **w != NOTHING && (**w, **h) != (ABSENT, ABSENT));
    let (of, equal) = (compared().count(), compared().filter(|(wanted, held)| wanted == held).count());
    of > 0 && equal >= needed(least, of)
}

/// How many of these keys a table has.
fn present(table: &Table, keys: &BTreeSet<String>) -> Result<usize, ReconcileError> {
    if keys.is_empty() {
        return Ok(0);
    }
    let is_asked = asked_for(table, keys);
    let found = table.par_fold(BTreeSet::new, |found, row| {
        if is_asked(row) {
            found.insert(table.key_of(row));
        }
    })?;
    Ok(found.into_iter().flatten().collect::<BTreeSet<String>>().len())
}

/// Whether a row's key is one of these.
pub(super) fn asked_for<'k>(table: &'k Table, keys: &'k BTreeSet<String>) -> impl Fn(&dyn Cells) -> bool + Sync + 'k {
    let set: HashSet<&str> = keys.iter().map(String::as_str).collect();
    let only = match (table.key_columns(), keys.iter().next()) {
        ([column], _) => Some(*column),
        _ => None,
    };
    let one = keys.iter().next().filter(|_| keys.len() == 1).map(String::as_str);
    move |row: &dyn Cells| match (only, one) {
        _ if set.is_empty() => false,
        (Some(column), Some(key)) => row.cell(column) == key,
        (Some(column), None) => set.contains(row.cell(column)),
        (None, _) => set.contains(table.key_of(row).as_str()),
    }
}
