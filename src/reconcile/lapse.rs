//! What is withheld, and for how long: a rejection stands while run after run would raise the same order, and lapses once
//! a run finds that it would not.
//!
//! An order is withheld for having been rejected, handed over or undone. Whoever decided so decided on what was wanted
//! then, and why. Where the wish went meanwhile, or has another ground, it is another one, and a person is asked again. That a wish went
//! is concluded as everything else is: from what rows say, and from absence only where it is proved.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::associations::Pair;
use super::ends::{EndState, EndTable};
use super::input::AssociationInput;
use super::standing::{association_prefix, objects_prefix};
use crate::model::order::{ObjectKey, Operation, Order, OrderId};
use crate::model::record::Withholding;

/// Why what was withheld is free again.
const UNWANTED: &str = "what it withheld is not wanted any more";

/// What becomes of orders that withhold something, while a plan is made.
pub(crate) struct Lapses<'a> {
    all: &'a [Withholding],
    by_object: HashMap<&'a ObjectKey, Vec<&'a Withholding>>,
    /// The same is still wanted.
    wanted: HashSet<&'a OrderId>,
    /// The snapshots tell how the object stands.
    told: HashSet<&'a OrderId>,
    /// They do not.
    untold: HashSet<&'a OrderId>,
    /// Asked again, with the new order.
    again: HashMap<&'a OrderId, OrderId>,
}

impl<'a> Lapses<'a> {
    pub(crate) fn new(all: &'a [Withholding]) -> Self {
        let mut by_object: HashMap<&ObjectKey, Vec<&Withholding>> = HashMap::with_capacity(all.len());
        for withholding in all {
            by_object.entry(&withholding.object).or_default().push(withholding);
        }
        Self {
            all,
            by_object,
            wanted: HashSet::new(),
            told: HashSet::new(),
            untold: HashSet::new(),
            again: HashMap::new(),
        }
    }

    /// Those that withhold the content of an order.
    fn of(&self, identity: &str, order: &Order) -> Vec<&'a Withholding> {
        let Some(of_object) = self.by_object.get(&order.object) else { return Vec::new() };
        let withholds = |w: &&&Withholding| w.target_identity == identity && w.contents.contains(&order.fingerprint);
        of_object.iter().filter(withholds).copied().collect()
    }

    /// An order is wanted, whether or not it is raised: on the ground on which it was decided about, that still stands.
    pub(crate) fn wanted(&mut self, identity: &str, order: &Order) {
        let found = self.of(identity, order).into_iter();
        let same = found.filter(|w| w.ground.as_ref().is_none_or(|ground| *ground == order.ground));
        self.wanted.extend(same.map(|w| &w.order));
    }

    /// An order is raised: whoever let it come is asked in place of those who decided before.
    pub(crate) fn asked_again(&mut self, identity: &str, order: &Order) {
        let found = self.of(identity, order);
        self.again.extend(found.into_iter().map(|w| (&w.order, order.id.clone())));
    }

    /// What an order took back is wanted still.
    pub(crate) fn still_wanted(&mut self, taken_back_by: &OrderId) {
        self.wanted.extend(self.all.iter().map(|w| &w.order).filter(|order| *order == taken_back_by));
    }

    /// What an order took back is asked for again by a new order.
    pub(crate) fn again(&mut self, taken_back_by: &OrderId, by: &OrderId) {
        let found = self.all.iter().map(|w| &w.order).find(|order| *order == taken_back_by);
        self.again.extend(found.map(|order| (order, by.clone())));
    }

    /// The orders that withhold nothing any more as the same is asked again, of some objects.
    pub(crate) fn asked_again_of(&self, concerns: &dyn Fn(&ObjectKey) -> bool) -> Vec<(OrderId, String)> {
        let objects: HashMap<&OrderId, &ObjectKey> = self.all.iter().map(|w| (&w.order, &w.object)).collect();
        let is_concerned = |order: &OrderId| objects.get(order).is_some_and(|object| concerns(object));
        let again = self.again.iter().filter(|(order, _)| is_concerned(order));
        let mut lapsed: Vec<(OrderId, String)> = again.map(|(order, by)| ((*order).clone(), anew(by))).collect();
        lapsed.sort();
        lapsed
    }

    /// A sync of objects was planned.
    pub(crate) fn look_at_objects(&mut self, table: &EndTable<'_>) {
        let input = table.input;
        let prefix = objects_prefix(&input.sync.to, &input.sync.from);
        let mut gone = None;
        for withholding in self.all.iter().filter(|w| w.target_identity == input.identity) {
            let Some(key) = withholding.object.0.strip_prefix(&prefix) else { continue };
            let is_told = match table.find_source(key) {
                Some(row) => !matches!(table.states[row as usize], EndState::Undecided),
                // Neither its row nor an object that was linked to it: both have to be proved gone.
                None => {
                    let gone =
                        gone.get_or_insert_with(|| table.gone.iter().map(String::as_str).collect::<HashSet<_>>());
                    input.source_absence && (input.target_absence || gone.contains(key))
                }
            };
            if is_told { &mut self.told } else { &mut self.untold }.insert(&withholding.order);
        }
    }

    /// An association was planned, which tells how these of its rows stand.
    pub(crate) fn look_at_rows(&mut self, told: Vec<&'a OrderId>) {
        self.told.extend(told);
    }

    /// The orders that withhold nothing any more, each with a sentence why. Of undecided objects nothing is known.
    pub(crate) fn lapsed(&self, undecided: &HashSet<ObjectKey>) -> Vec<(OrderId, String)> {
        let mut lapsed = Vec::new();
        for withholding in self.all {
            let order = &withholding.order;
            if let Some(again) = self.again.get(order) {
                lapsed.push((order.clone(), anew(again)));
            } else if self.told.contains(order)
                && !self.untold.contains(order)
                && !self.wanted.contains(order)
                && !undecided.contains(&withholding.object)
            {
                lapsed.push((order.clone(), UNWANTED.to_owned()));
            }
        }
        lapsed.sort();
        // One that undid something may have been handed over, too.
        lapsed.dedup();
        lapsed
    }
}

fn anew(by: &OrderId) -> String {
    format!("it was asked again: {by}")
}

/// Of the withheld rows of an association those of which the snapshots tell how they stand; `source` and `held` are its
/// rows on both sides.
pub(crate) fn told_rows<'a>(
    input: &AssociationInput<'_>,
    tables: [&EndTable<'_>; 2],
    withholding: &'a [Withholding],
    source: &[Vec<Pair>],
    held: &[Vec<Pair>],
) -> Vec<&'a OrderId> {
    let prefix = association_prefix(&input.sync.to);
    let is_mine = |w: &&Withholding| w.target_identity == input.identity && w.object.0.starts_with(&prefix);
    let mine: Vec<&Withholding> = withholding.iter().filter(is_mine).collect();
    if mine.is_empty() {
        return Vec::new();
    }
    let numbers = Numbers::of(tables, &prefix);
    let rows: Vec<Option<Pair>> = mine.iter().map(|w| numbers.pair(&w.object)).collect();
    let mut marked = vec![false; tables[0].states.len()];
    rows.iter().flatten().for_each(|(first, _)| marked[*first as usize] = true);
    let asked: HashSet<Pair> = rows.iter().flatten().copied().collect();
    let among = |pairs: &[Vec<Pair>]| -> HashSet<Pair> {
        let is_asked = |pair: &&Pair| marked[pair.0 as usize] && asked.contains(*pair);
        pairs.par_iter().flat_map_iter(|chunk| chunk.iter().filter(is_asked).copied()).collect()
    };
    let (source, held) = (among(source), among(held));
    let ends_are_proved = || tables.iter().all(|table| table.input.source_absence && table.input.target_absence);
    let is_told = |operation: Operation, row: Option<Pair>| {
        let Some(row) = row else { return input.source_absence && input.target_absence && ends_are_proved() };
        let states = [tables[0].states[row.0 as usize], tables[1].states[row.1 as usize]];
        if states.contains(&EndState::Undecided) {
            return false;
        }
        let is_wanted = states.iter().all(|state| matches!(state, EndState::Paired(_) | EndState::Creating));
        match (operation, source.contains(&row), held.contains(&row)) {
            (Operation::Remove, true, _) => true,
            (Operation::Remove, false, true) => input.source_absence,
            (Operation::Remove, false, false) => input.target_absence,
            (_, _, true) => true,
            // It is wanted still, even if nothing is ordered because nobody can tell whether it is there.
            (_, true, false) => !is_wanted,
            (_, false, false) => input.source_absence,
        }
    };
    mine.iter().zip(rows).filter(|(w, row)| is_told(w.operation, *row)).map(|(w, _)| &w.order).collect()
}

/// Finds the numbers of both ends of a row by the row's identity.
struct Numbers<'t> {
    tables: [&'t EndTable<'t>; 2],
    gone: [HashMap<&'t str, u32>; 2],
    /// What stands before the first end's key, and between both.
    before: String,
    between: String,
}

impl<'t> Numbers<'t> {
    fn of(tables: [&'t EndTable<'t>; 2], prefix: &str) -> Self {
        let gone = tables.map(|table| {
            let first = table.source.len() as u32;
            table.gone.iter().zip(first..).map(|(key, number)| (key.as_str(), number)).collect()
        });
        let [first, second] = tables.map(|table| objects_prefix(&table.input.sync.to, &table.input.sync.from));
        Self { tables, gone, before: format!("{prefix}{first}"), between: format!(" ; {second}") }
    }

    fn number(&self, end: usize, key: &str) -> Option<u32> {
        self.tables[end].find_source(key).or_else(|| self.gone[end].get(key).copied())
    }

    fn pair(&self, row: &ObjectKey) -> Option<Pair> {
        let ends = row.0.strip_prefix(&self.before)?.strip_suffix(')')?;
        // A key may hold what stands between keys: the split that finds both objects is the right one.
        ends.match_indices(&self.between).find_map(|(at, between)| {
            Some((self.number(0, &ends[..at])?, self.number(1, &ends[at + between.len()..])?))
        })
    }
}
