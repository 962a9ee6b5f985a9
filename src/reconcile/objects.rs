//! One sync of objects: from two snapshots to the orders that it would raise.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::model::link::How;
use crate::model::order::{ObjectKey, Order};
use crate::model::plan::{SyncSituations, sort_wide};
use crate::model::situation::Situation;
use crate::rules::scope::BoundScope;

use super::assign::{self, Promised};
use super::correlate::{self as pairing, Correlation, Sides};
use super::decide::{Built, Decider};
use super::draft::{LinkBook, ListedObject};
use super::ends::{EndState, EndTable};
use super::error::ReconcileError;
use super::in_grace;
use super::index::{KeyHasher, KeyIndex, NONE};
use super::input::{ObjectInput, Wishes};
use super::policy::Fixed;
use super::rename::{self, Apart};
use super::repeated::{skipped, told_keys, told_near_keys};
use super::rows::{Rows, SourceRows};
use super::scan::{IsLinked, Scanner};
use super::sorting::{settled, sort_out};
use super::standing::objects_prefix;
use super::taken_back::Undone;
use super::target_columns;
use super::unique;

/// An order that a sync would raise, and the number of its object.
pub(crate) struct Proposal {
    pub(crate) number: u32,
    pub(crate) order: Order,
    /// Attributes whose new values are made for it, by their positions among the mapped ones.
    pub(crate) generated: Vec<usize>,
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
    /// Those among them whose scope cannot be judged, each with why: not even their live orders go.
    pub(crate) unjudged: HashMap<ObjectKey, String>,
    /// What of the proposals was undone before.
    pub(crate) undone: Undone,
}

/// Target ids that others manage, and the words for who.
pub(crate) type Claims = HashMap<String, String>;

/// One sync whose rows are read and paired, before anything is decided.
pub(crate) struct Correlated<'a> {
    pub(crate) scanner: Scanner<'a>,
    pub(crate) table: EndTable<'a>,
    pub(crate) done: Correlation,
    pub(crate) warnings: Vec<String>,
    target_skipped: Vec<bool>,
}

/// Reads and pairs the rows of one sync.
pub(crate) fn correlate<'a>(
    input: &'a ObjectInput<'a>,
    apart: &Apart,
    hasher: KeyHasher,
) -> Result<Correlated<'a>, ReconcileError> {
    let mut warnings: Vec<String> = input.derived.into_iter().flat_map(|derived| derived.notes.clone()).collect();
    let scanner = Scanner::bind(input, &mut warnings)?;
    let (target, source) = read(&scanner, hasher);
    let (target, target_index, repeated) = target?;
    let target_skipped = skipped(&target.keys, &repeated);
    told_keys(input, false, &target_skipped, &repeated, &target, &mut warnings)?;
    let (source, source_index, repeated) = source?;
    let source_skipped = skipped(&source.rows.keys, &repeated);
    told_keys(input, true, &source_skipped, &repeated, &source.rows, &mut warnings)?;
    told_near_keys(input, &source.rows, &source_index, &mut warnings)?;

    let sides = Sides {
        scanner: &scanner,
        source: &source,
        target: &target,
        source_index: &source_index,
        target_index: &target_index,
        source_skipped: &source_skipped,
        target_skipped: &target_skipped,
        apart,
    };
    let mut done = pairing::correlate(&sides)?;
    rename::recognise(&sides, apart, &mut done)?;
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
        references: Vec::new(),
    };
    Ok(Correlated { scanner, table, done, warnings, target_skipped })
}

/// Plans one sync.
pub(crate) fn plan<'a>(
    wishes: Wishes<'_>,
    correlated: Correlated<'a>,
    claims: &Claims,
    promised: &mut Promised,
) -> Result<ObjectPlan<'a>, ReconcileError> {
    let Correlated { scanner, table, done, warnings, target_skipped } = correlated;
    let input = table.input;
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
        unjudged: HashMap::new(),
        undone: Undone::default(),
    };
    let work = sort_out(&scanner, &done, &mut plan);
    if wishes.list {
        let prefix = objects_prefix(&input.sync.to, &input.sync.from);
        plan.listed.extend(plan.unjudged.iter().map(|(object, why)| ListedObject {
            sync: input.sync.index,
            situation: Situation::Incomplete,
            key: object.0.strip_prefix(&prefix).unwrap_or(&object.0).to_owned(),
            name: String::new(),
            target_id: None,
            note: format!("the scope cannot be judged, nothing is done: {why}"),
            due: None,
        }));
    }
    let fixed = bound_fixed(input)?;
    let decider = Decider { wishes, scanner: &scanner, table: &plan.table, done: &done, claims, fixed };
    let built: Result<Vec<Built>, ReconcileError> = work.par_iter().map(|work| decider.build(work)).collect();
    collect(wishes, &scanner, built?, promised, &mut plan)?;
    unmanaged(wishes, claims, &done, &target_skipped, &mut plan)?;
    if wishes.list {
        plan.listed.extend(plan.proposals.iter().map(|proposal| listed(&proposal.order)));
    }
    plan.listed.sort();
    Ok(plan)
}

/// What the target does not let change, with conditions that know their columns.
pub(crate) fn bound_fixed<'a>(input: &ObjectInput<'a>) -> Result<Vec<(BoundScope, &'a Fixed)>, ReconcileError> {
    let bind = |fixed: &'a Fixed| Ok((target_columns::condition(input, "fixed", &fixed.target)?, fixed));
    input.sync.fixed.iter().map(bind).collect()
}

/// Rows of a side with the index of their keys, and the rows that repeat a key.
type Indexed<R> = Result<(R, KeyIndex, Vec<(u32, u32)>), ReconcileError>;

/// Reads both sides, side by side where nothing of one is needed for the other.
fn read(scanner: &Scanner<'_>, hasher: KeyHasher) -> (Indexed<Rows>, Indexed<SourceRows>) {
    let read_target = || {
        let target = scanner.target()?;
        let (index, repeated) = KeyIndex::new(&target.keys, hasher);
        Ok((target, index, repeated))
    };
    let read_source = |is_linked: Option<IsLinked<'_>>| {
        let source = scanner.source(is_linked)?;
        let (index, repeated) = KeyIndex::new(&source.rows.keys, hasher);
        Ok((source, index, repeated))
    };
    let links = scanner.input.links;
    // To compute a value takes longer than to look up a link, to read a column does not.
    if links.is_empty() || !scanner.matches_by_expression() {
        return rayon::join(read_target, || read_source(None));
    }
    let target: Indexed<Rows> = read_target();
    let Ok((_, target_index, _)) = &target else { return (target, read_source(None)) };
    // Rows whose link leads to an object of the target need no match rule. Of two links of one row the first is found:
    // the other is a contradiction, which is told later.
    let (by_source, _) = KeyIndex::new(links.source_keys(), hasher);
    let is_linked =
        |key: &str| by_source.get(key).is_some_and(|link| target_index.get(links.get(link).target_id).is_some());
    let source = read_source(Some(&is_linked));
    (target, source)
}

fn listed(order: &Order) -> ListedObject {
    ListedObject {
        sync: order.sync,
        situation: order.situation,
        key: order.key.clone(),
        name: order.name.clone(),
        target_id: order.target_id.clone(),
        note: order.block.as_ref().map_or(&order.reason, |block| &block.detail).clone(),
        due: None,
    }
}

/// `1 row`, `3 rows`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Takes what was built into the plan, in the order of object keys.
fn collect(
    wishes: Wishes<'_>,
    scanner: &Scanner<'_>,
    built: Vec<Built>,
    promised: &mut Promised,
    plan: &mut ObjectPlan<'_>,
) -> Result<(), ReconcileError> {
    let mut drifted = Vec::new();
    let mut graces = Vec::new();
    for built in built {
        match built.order {
            Some(order) => {
                if order.operation == crate::model::order::Operation::Delete
                    && order.block.is_none()
                    && let Some(target) = plan.table.target_of(built.number)
                {
                    plan.table.states[built.number as usize] = EndState::Leaving(target);
                }
                plan.proposals.push(Proposal { number: built.number, order, generated: built.generated });
            }
            None => *plan.situations.counts.entry(built.situation).or_default() += 1,
        }
        if built.link
            && let Some(target) = plan.table.target_of(built.number)
        {
            let source = plan.table.source.get(built.number);
            plan.book.recorded.push(settled(source, plan.table.target.get(target), How::Matched));
        }
        if built.foreign {
            plan.table.states[built.number as usize] = EndState::Undecided;
        }
        drifted.extend(built.drift);
        graces.extend(built.grace);
        plan.listed.extend(built.listed);
    }
    in_grace::take(wishes, &scanner.input.sync.id, graces, plan);
    sort_wide(&mut plan.proposals, |a, b| a.order.object.cmp(&b.order.object));
    assign::assign(scanner, &plan.table, promised, &mut plan.proposals);
    unique::unique(scanner, &plan.table, &mut plan.proposals)?;
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
    let left = |row: &u32| !done.taken[*row as usize] && !target_skipped[*row as usize];
    let left: Vec<u32> = (0..plan.table.target.len() as u32)
        .filter(left)
        .filter(|row| !claims.contains_key(plan.table.target.key(*row)))
        .collect();
    if !left.is_empty() {
        plan.situations.counts.insert(Situation::Unmanaged, left.len() as u64);
    }
    if wishes.list {
        let table = &plan.table;
        let listed: Result<Vec<ListedObject>, ReconcileError> = left
            .into_par_iter()
            .map(|row| {
                let target = table.target.get(row);
                let cells = input.target.fetch(target.place)?;
                Ok(ListedObject {
                    sync: input.sync.index,
                    situation: Situation::Unmanaged,
                    key: target.key.to_string(),
                    name: super::ends::name_in(input, &cells).unwrap_or_default(),
                    target_id: Some(target.key.to_string()),
                    note: String::new(),
                    due: None,
                })
            })
            .collect();
        plan.listed.extend(listed?);
    }
    Ok(())
}
