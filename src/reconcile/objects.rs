//! One sync of objects: from two snapshots to the orders that it would raise.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::model::link::Link;
use crate::model::order::{ObjectKey, Order};
use crate::model::plan::SyncSituations;
use crate::model::situation::Situation;

use super::correlate::{self, Correlation, Pairing, Sides};
use super::decide::{Built, Decider, Work};
use super::draft::{LinkBook, ListedObject, Settled};
use super::ends::{EndState, EndTable};
use super::error::ReconcileError;
use super::guard;
use super::index::{KeyIndex, NONE};
use super::input::{ObjectInput, Wishes};
use super::reason::some;
use super::scan::{Admission, Scanner, SourceRow, TargetRow};

/// An order that a sync would raise, and the number of its object.
pub(crate) struct Proposal {
    pub(crate) number: u32,
    pub(crate) order: Order,
}

/// What one sync of objects comes to.
pub(crate) struct ObjectPlan<'a> {
    pub(crate) table: EndTable<'a>,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) situations: SyncSituations,
    pub(crate) book: LinkBook,
    pub(crate) listed: Vec<ListedObject>,
    pub(crate) warnings: Vec<String>,
    /// Objects about which nothing can be said now: their live orders stay.
    pub(crate) undecided: HashSet<ObjectKey>,
}

/// Target ids that others manage, and the words for who.
pub(crate) type Claims = HashMap<String, String>;

/// Plans one sync.
pub(crate) fn plan<'a>(
    wishes: Wishes<'_>,
    input: &'a ObjectInput<'a>,
    claims: &Claims,
) -> Result<ObjectPlan<'a>, ReconcileError> {
    let mut warnings = Vec::new();
    let scanner = Scanner::bind(input, &mut warnings)?;
    let target = scanner.target()?;
    let (target_index, repeated) = KeyIndex::new(target.len(), |row| &target[row as usize].key);
    let target_skipped = skipped(target.iter().map(|row| &*row.key), &repeated);
    told_keys(input, false, &target_skipped, &repeated, &target, &mut warnings)?;
    let present = |link: &&Link| target_index.get(&link.target_id, |row| &target[row as usize].key).is_some();
    let linked: HashSet<&str> = input.links.iter().filter(present).map(|link| link.source_key.as_str()).collect();
    let source = scanner.source(&linked)?;
    drop(linked);
    let (source_index, repeated) = KeyIndex::new(source.len(), |row| &source[row as usize].key);
    let source_skipped = skipped(source.iter().map(|row| &*row.key), &repeated);
    told_keys(input, true, &source_skipped, &repeated, &source, &mut warnings)?;

    let done = correlate::correlate(&Sides {
        scanner: &scanner,
        source: &source,
        target: &target,
        source_index: &source_index,
        target_index: &target_index,
        source_skipped: &source_skipped,
        target_skipped: &target_skipped,
    })?;
    let rows = target.len();
    let states = vec![EndState::Unmanaged; source.len()];
    let table = EndTable {
        input,
        source,
        target,
        source_index,
        target_index,
        states,
        gone: Vec::new(),
        numbers: vec![NONE; rows],
    };
    let mut plan = ObjectPlan {
        table,
        proposals: Vec::new(),
        situations: SyncSituations { sync: input.sync.id.clone(), first_run: input.first_run, ..Default::default() },
        book: LinkBook {
            sync_id: input.sync.id.clone(),
            attributes: scanner.attributes.iter().map(|a| a.name.clone()).collect(),
            ..Default::default()
        },
        listed: Vec::new(),
        warnings,
        undecided: HashSet::new(),
    };
    let work = sort_out(&scanner, &done, &mut plan);
    let decider = Decider { wishes, scanner: &scanner, table: &plan.table, done: &done, claims };
    let built: Result<Vec<Built>, ReconcileError> = work.par_iter().map(|work| decider.build(work)).collect();
    collect(&scanner, built?, &mut plan)?;
    unmanaged(wishes, claims, &done, &target_skipped, &mut plan)?;
    if wishes.list {
        plan.listed.extend(plan.proposals.iter().map(|proposal| listed(&proposal.order)));
    }
    plan.listed.sort();
    Ok(plan)
}

fn listed(order: &Order) -> ListedObject {
    ListedObject {
        sync: order.sync,
        situation: order.situation,
        key: order.key.clone(),
        name: order.name.clone(),
        target_id: order.target_id.clone(),
        note: order.block.as_ref().map_or(&order.reason, |block| &block.detail).clone(),
    }
}

fn skipped<'k>(keys: impl ExactSizeIterator<Item = &'k str>, repeated: &[(u32, u32)]) -> Vec<bool> {
    let mut skipped: Vec<bool> = keys.map(str::is_empty).collect();
    for (first, later) in repeated {
        skipped[*first as usize] = true;
        skipped[*later as usize] = true;
    }
    skipped
}

/// Warns about rows without a key and rows with one key.
fn told_keys<R: Keyed>(
    input: &ObjectInput<'_>,
    at_source: bool,
    skipped: &[bool],
    repeated: &[(u32, u32)],
    rows: &[R],
    warnings: &mut Vec<String>,
) -> Result<(), ReconcileError> {
    let (resource, table) = if at_source { (&input.sync.from, input.source) } else { (&input.sync.to, input.target) };
    let empty: Vec<usize> = (0..rows.len()).filter(|row| skipped[*row] && rows[*row].key().is_empty()).collect();
    if let Some(first) = empty.first() {
        let line = table.line_of(rows[*first].place())?;
        warnings.push(format!(
            "{resource}: {} without a key, the first is {line}; left out of the plan: give each row its key",
            counted(empty.len(), "row")
        ));
    }
    if !repeated.is_empty() {
        let mut keys: HashMap<&str, Vec<u32>> = HashMap::new();
        for (first, later) in repeated {
            keys.entry(rows[*first as usize].key()).or_insert_with(|| vec![*first]).push(*later);
        }
        let mut keys: Vec<(&str, Vec<u32>)> = keys.into_iter().collect();
        keys.sort();
        let mut shown = Vec::new();
        for (key, numbers) in keys.iter().take(10) {
            let places: Vec<_> = numbers.iter().map(|row| rows[*row as usize].place()).collect();
            let lines: Vec<String> = table.lines_of(&places)?.iter().map(ToString::to_string).collect();
            shown.push(format!("`{key}` at {}", lines.join(" and ")));
        }
        let more =
            if keys.len() > shown.len() { format!(" and {} more", keys.len() - shown.len()) } else { String::new() };
        warnings.push(format!(
            "{resource}: {} not unique: {}{more}; none of these rows is planned, nothing is concluded about their objects: keep one row each",
            if keys.len() == 1 { "1 key is".to_owned() } else { format!("{} keys are", keys.len()) },
            shown.join(", ")
        ));
    }
    Ok(())
}

/// `1 row`, `3 rows`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

trait Keyed {
    fn key(&self) -> &str;
    fn place(&self) -> crate::snapshot::row::Place;
}

impl Keyed for SourceRow {
    fn key(&self) -> &str {
        &self.key
    }
    fn place(&self) -> crate::snapshot::row::Place {
        self.place
    }
}

impl Keyed for TargetRow {
    fn key(&self) -> &str {
        &self.key
    }
    fn place(&self) -> crate::snapshot::row::Place {
        self.place
    }
}

/// Says how each object stands, and collects those that have to be looked at closely.
fn sort_out(scanner: &Scanner<'_>, done: &Correlation, plan: &mut ObjectPlan<'_>) -> Vec<Work> {
    let input = scanner.input;
    let mut work = Vec::new();
    let (mut unproved, mut scope_failed) = (Vec::new(), Vec::new());
    let was: HashMap<u32, u32> = done.dangling.iter().copied().collect();
    for row in 0..plan.table.source.len() as u32 {
        let source = &plan.table.source[row as usize];
        let key = || ObjectKey::by_source(&input.sync.to, &input.sync.from, &source.key);
        let admission = &source.admission;
        let state = match done.pairing[row as usize] {
            Pairing::Skipped => {
                plan.undecided.insert(key());
                if !source.key.is_empty() && matches!(admission, Admission::Unknown(_)) {
                    scope_failed.push(row);
                }
                EndState::Undecided
            }
            Pairing::Ambiguous { group } => {
                work.push(Work::Ambiguous { source: row, group });
                EndState::Undecided
            }
            Pairing::Linked { target, link } => {
                plan.table.numbers[target as usize] = row;
                match admission {
                    Admission::Unknown(_) => {
                        plan.undecided.insert(key());
                        scope_failed.push(row);
                        EndState::Undecided
                    }
                    Admission::Out => {
                        work.push(Work::OutOfScope { source: row, target, link });
                        EndState::Unwanted(target)
                    }
                    Admission::In => {
                        let agreed = input.links[link as usize].agreed.as_ref();
                        let equal = !source.failed && equal(&source.values, &plan.table.target[target as usize].values);
                        if equal {
                            *plan.situations.counts.entry(Situation::Confirmed).or_default() += 1;
                            if !same_agreement(&plan.book, agreed, source, &plan.table.target[target as usize]) {
                                let settled = settled(source, &plan.table.target[target as usize]);
                                plan.book.agreed.push(settled);
                            }
                        } else {
                            work.push(Work::Pair { source: row, target, link: Some(link), rule: None });
                        }
                        EndState::Paired(target)
                    }
                }
            }
            Pairing::Matched { target, rule } => {
                let sure = scanner.matchers[rule as usize].confidence >= 100;
                let equal = !source.failed && equal(&source.values, &plan.table.target[target as usize].values);
                // What somebody else manages is never linked here: the decider looks at it.
                work.push(Work::Pair { source: row, target, link: None, rule: Some((rule, equal)) });
                if sure {
                    plan.table.numbers[target as usize] = row;
                    EndState::Paired(target)
                } else {
                    EndState::Undecided
                }
            }
            Pairing::None => match admission {
                Admission::In if input.target_absence => {
                    work.push(Work::Create { source: row, link: was.get(&row).copied() });
                    EndState::Creating
                }
                Admission::In => {
                    *plan.situations.counts.entry(Situation::Missing).or_default() += 1;
                    plan.undecided.insert(key());
                    unproved.push(&*source.key);
                    EndState::Undecided
                }
                Admission::Out => EndState::Unmanaged,
                Admission::Unknown(_) => EndState::Undecided,
            },
        };
        plan.table.states[row as usize] = state;
    }
    if !unproved.is_empty() {
        unproved.sort_unstable();
        plan.warnings.push(format!(
            "{}: {} found nothing in {}, but its snapshot does not prove absence; nothing is created before a complete run: {}",
            input.sync.id,
            counted(unproved.len(), "row"),
            input.sync.to,
            some(&unproved)
        ));
    }
    told_scope(scanner, &scope_failed, plan);
    drop_links(input, done, plan);
    gone(input, done, plan, &mut work);
    work
}

fn told_scope(scanner: &Scanner<'_>, failed: &[u32], plan: &mut ObjectPlan<'_>) {
    let mut rows: Vec<(&str, &str)> = failed
        .iter()
        .filter_map(|row| match &plan.table.source[*row as usize] {
            SourceRow { key, admission: Admission::Unknown(why), .. } => Some((&**key, &**why)),
            _ => None,
        })
        .collect();
    rows.sort_unstable();
    if let Some((key, why)) = rows.first() {
        plan.warnings.push(format!(
            "{}: the scope cannot be judged for {}, nothing is done about {} before it can; the first is `{key}`: {why}",
            scanner.input.sync.id,
            counted(rows.len(), "row"),
            if rows.len() == 1 { "its object" } else { "their objects" },
        ));
    }
}

/// Links that point nowhere are dropped, as far as the snapshots prove it.
fn drop_links(input: &ObjectInput<'_>, done: &Correlation, plan: &mut ObjectPlan<'_>) {
    let dropped = |link: u32, why: &str| {
        let link = &input.links[link as usize];
        (link.source_key.clone(), link.target_id.clone(), why.to_owned())
    };
    if input.target_absence {
        let why = format!("the object is gone from {}", input.sync.to);
        plan.book.dropped.extend(done.dangling.iter().map(|(_, link)| dropped(*link, &why)));
        if input.source_absence {
            let why = format!("the row is gone from {} and the object from {}", input.sync.from, input.sync.to);
            plan.book.dropped.extend(done.dead.iter().map(|link| dropped(*link, &why)));
        }
    }
    if !done.dangling.is_empty() && !input.target_absence {
        plan.warnings.push(format!(
            "{}: {} linked to what is not in the snapshot of {}, which does not prove that it is gone; nothing is done about {} before a complete run",
            input.sync.id,
            if done.dangling.len() == 1 { "1 row is".to_owned() } else { format!("{} rows are", done.dangling.len()) },
            input.sync.to,
            if done.dangling.len() == 1 { "it" } else { "them" },
        ));
    }
    plan.book.dropped.sort();
    let mut contradicting = Vec::new();
    for (first, later) in &done.contradicting {
        let (first, later) = (&input.links[*first as usize], &input.links[*later as usize]);
        contradicting.push(format!("`{}` and `{}` → `{}`", first.source_key, later.source_key, later.target_id));
        plan.undecided.insert(ObjectKey::by_source(&input.sync.to, &input.sync.from, &later.source_key));
    }
    if !contradicting.is_empty() {
        contradicting.sort();
        plan.warnings.push(format!(
            "{}: two rows are linked to one object; only the first is planned, `unlink` the wrong one: {}",
            input.sync.id,
            some(&contradicting)
        ));
    }
}

/// Managed objects whose source row is gone get numbers after the source rows.
fn gone(input: &ObjectInput<'_>, done: &Correlation, plan: &mut ObjectPlan<'_>, work: &mut Vec<Work>) {
    let mut unproved = Vec::new();
    for (target, link) in &done.orphans {
        let key = &input.links[*link as usize].source_key;
        let number = plan.table.states.len() as u32;
        plan.table.numbers[*target as usize] = number;
        plan.table.gone.push(key.clone());
        if input.source_absence {
            plan.table.states.push(EndState::Unwanted(*target));
            work.push(Work::Orphan { number, target: *target, link: *link });
        } else {
            plan.table.states.push(EndState::Undecided);
            plan.undecided.insert(ObjectKey::by_source(&input.sync.to, &input.sync.from, key));
            unproved.push(key.as_str());
        }
    }
    if !unproved.is_empty() {
        unproved.sort_unstable();
        plan.warnings.push(format!(
            "{}: {} managed in {} not in the snapshot of {}, which does not prove that they are gone; nothing is done about them before a complete run: {}",
            input.sync.id,
            if unproved.len() == 1 { "1 object".to_owned() + " is" } else { format!("{} objects are", unproved.len()) },
            input.sync.to,
            input.sync.from,
            some(&unproved)
        ));
    }
}

/// Whether the target holds everything that is wanted. What is to be left alone is not compared.
fn equal(wanted: &[u64], held: &[u64]) -> bool {
    wanted.iter().zip(held).all(|(wanted, held)| *wanted == super::canonical::NOTHING || wanted == held)
}

fn settled(source: &SourceRow, target: &TargetRow) -> Settled {
    Settled {
        source_key: source.key.clone(),
        target_id: target.key.clone(),
        source_digest: source.raw,
        values: target.values.clone(),
    }
}

fn same_agreement(
    book: &LinkBook,
    agreed: Option<&crate::model::link::Agreed>,
    source: &SourceRow,
    target: &TargetRow,
) -> bool {
    agreed.is_some_and(|agreed| {
        agreed.source_digest == source.raw
            && agreed.attributes.len() == book.attributes.len()
            && book
                .attributes
                .iter()
                .zip(&target.values)
                .all(|(name, value)| agreed.attributes.get(name) == Some(value))
    })
}

/// Takes what was built into the plan, in the order of object keys.
fn collect(scanner: &Scanner<'_>, built: Vec<Built>, plan: &mut ObjectPlan<'_>) -> Result<(), ReconcileError> {
    let mut drifted = Vec::new();
    for built in built {
        match built.order {
            Some(order) => {
                if order.operation == crate::model::order::Operation::Delete
                    && order.block.is_none()
                    && let Some(target) = plan.table.target_of(built.number)
                {
                    plan.table.states[built.number as usize] = EndState::Leaving(target);
                }
                plan.proposals.push(Proposal { number: built.number, order });
            }
            None => *plan.situations.counts.entry(built.situation).or_default() += 1,
        }
        if built.link
            && let Some(target) = plan.table.target_of(built.number)
        {
            let source = &plan.table.source[built.number as usize];
            plan.book.recorded.push(settled(source, &plan.table.target[target as usize]));
        }
        if built.foreign {
            plan.table.states[built.number as usize] = EndState::Undecided;
        }
        drifted.extend(built.drift);
        plan.listed.extend(built.listed);
    }
    plan.proposals.sort_by(|a, b| a.order.object.cmp(&b.order.object));
    guard::unique(scanner, &plan.table, &mut plan.proposals)?;
    for proposal in &plan.proposals {
        *plan.situations.counts.entry(proposal.order.situation).or_default() += 1;
    }
    plan.book.recorded.sort_by(|a, b| a.source_key.cmp(&b.source_key));
    plan.book.agreed.sort_by(|a, b| a.source_key.cmp(&b.source_key));
    drifted.sort();
    const TOLD: usize = 100;
    let more = drifted.len().saturating_sub(TOLD);
    plan.warnings.extend(drifted.into_iter().take(TOLD));
    if more > 0 {
        plan.warnings.push(format!("{}: {more} more objects were changed at the target", scanner.input.sync.id));
    }
    Ok(())
}

/// Counts, and lists where wanted, what nothing is linked to.
fn unmanaged(
    wishes: Wishes<'_>,
    claims: &Claims,
    done: &Correlation,
    target_skipped: &[bool],
    plan: &mut ObjectPlan<'_>,
) -> Result<(), ReconcileError> {
    let input = plan.table.input;
    let left = |row: &usize| !done.taken[*row] && !target_skipped[*row];
    let left: Vec<usize> = (0..plan.table.target.len())
        .filter(left)
        .filter(|row| !claims.contains_key(&*plan.table.target[*row].key))
        .collect();
    if !left.is_empty() {
        plan.situations.counts.insert(Situation::Unmanaged, left.len() as u64);
    }
    if wishes.list {
        let table = &plan.table;
        let listed: Result<Vec<ListedObject>, ReconcileError> = left
            .into_par_iter()
            .map(|row| {
                let target = &table.target[row];
                let cells = input.target.fetch(target.place)?;
                Ok(ListedObject {
                    sync: input.sync.index,
                    situation: Situation::Unmanaged,
                    key: target.key.to_string(),
                    name: super::ends::name_in(input, &cells).unwrap_or_default(),
                    target_id: Some(target.key.to_string()),
                    note: String::new(),
                })
            })
            .collect();
        plan.listed.extend(listed?);
    }
    Ok(())
}
