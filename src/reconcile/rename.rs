//! Objects whose source row goes by another key: what looks like one row gone and another one new is one object.
//!
//! What is left after correlation is compared: rows without an object, and managed objects whose row is gone. A match
//! rule's value or an id that both sides keep tells them; else the share of equal mapped attributes does, for a person to
//! confirm. Wherever there are two candidates, on either side, nobody is recognised, and whoever reviews them is told.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::canonical::{self, ABSENT, NOTHING};
use super::correlate::{Correlation, Pairing, Sides};
use super::error::ReconcileError;
use super::input::ObjectInput;
use super::policy::RenamePolicy;
use super::rows::Admission;
use super::scan::{Scanner, Wanted};
use crate::model::order::{ObjectKey, Operation, Order};

/// With fewer attributes to compare, likeness says nothing.
const LEAST_ATTRIBUTES: usize = 3;

/// With more objects that share a value, the value tells none of them.
const MOST_CANDIDATES: usize = 256;

/// What must not be taken for one.
#[derive(Default)]
pub(crate) struct Apart {
    /// Objects of which an order is under way.
    pub(crate) busy: HashSet<ObjectKey>,
    /// Keys, before and after, that a person refused to take for one.
    pub(crate) refused: HashSet<(String, String)>,
    /// Ids of objects, and the keys of rows that a person refused to match with them.
    pub(crate) strangers: HashSet<(String, String)>,
}

impl Apart {
    /// Keeps in mind that a person refused what an order takes for one. Whether that is news.
    pub(crate) fn refuse(&mut self, order: &Order, input: &ObjectInput<'_>) -> bool {
        if let Some(was) = &order.renamed_from {
            return self.refused.insert((was.clone(), order.key.clone()));
        }
        let Some(id) = order.target_id.as_ref().filter(|_| order.operation != Operation::Create) else { return false };
        let is_unsure = order.confidence < 100 && input.sync.rules.matching.iter().any(|rule| rule.confidence < 100);
        let is_linked = || input.links.iter().any(|link| link.source_key == order.key);
        is_unsure && !is_linked() && self.strangers.insert((id.clone(), order.key.clone()))
    }
}

/// An object that is recognised under a new key. Targets are row numbers, links are positions among the input's.
pub(crate) struct Renamed {
    pub(crate) target: u32,
    pub(crate) link: u32,
    pub(crate) evidence: Evidence,
}

/// What an object is recognised by.
pub(crate) enum Evidence {
    /// A match rule, by its position.
    Rule(u8),
    /// An id that it keeps: the attribute, by its position.
    Id(usize),
    /// So many equal attributes, by their positions, of so many.
    Alike { equal: Vec<usize>, of: usize },
}

impl Evidence {
    /// How sure it is, in percent; below 100 a person confirms it.
    pub(crate) fn confidence(&self, scanner: &Scanner<'_>) -> u8 {
        match self {
            Self::Rule(rule) => scanner.matchers[*rule as usize].confidence,
            Self::Id(_) => 100,
            Self::Alike { equal, of } => (equal.len() * 100 / of).min(99) as u8,
        }
    }

    /// The same in words.
    pub(crate) fn words(&self, scanner: &Scanner<'_>) -> String {
        let name = |position: &usize| scanner.attributes[*position].name.as_str();
        match self {
            Self::Rule(rule) => {
                let matcher = &scanner.matchers[*rule as usize];
                format!("recognised by the match rule `{}` ({} %)", matcher.text, matcher.confidence)
            }
            Self::Id(position) => format!("recognised by `{}`, which it keeps", name(position)),
            Self::Alike { equal, of } => {
                let names: Vec<&str> = equal.iter().map(name).collect();
                format!(
                    "recognised as {} of {of} compared attributes are equal ({} %): {}",
                    equal.len(),
                    equal.len() * 100 / of,
                    super::reason::some(&names)
                )
            }
        }
    }
}

/// Rows and objects that are alike, where likeness cannot tell which of them is which: told, and decided by nobody.
#[derive(Default)]
pub(crate) struct Like {
    /// By source row: target rows.
    pub(crate) objects: HashMap<u32, Vec<u32>>,
    /// By target row: source rows.
    pub(crate) rows: HashMap<u32, Vec<u32>>,
}

/// A managed object whose row is gone: its target row, and the position of its link.
type Orphan = (u32, u32);

/// Finds renames among what is left, and takes them out of it.
pub(crate) fn recognise(sides: &Sides<'_>, apart: &Apart, done: &mut Correlation) -> Result<(), ReconcileError> {
    let input = sides.scanner.input;
    let RenamePolicy::Alike(least) = input.sync.rename else { return Ok(()) };
    if !input.source_absence || !input.target_absence || done.orphans.is_empty() {
        return Ok(());
    }
    let anew: HashSet<u32> = done.dangling.iter().map(|(source, _)| *source).collect();
    let is_free = |row: &u32| {
        let source = sides.source.get(*row);
        let left = done.pairing[*row as usize] == Pairing::None && !anew.contains(row);
        left && source.admission == Admission::In && !source.failed
    };
    let free: Vec<u32> = (0..sides.source.len() as u32).filter(is_free).collect();
    let object =
        |orphan: &Orphan| ObjectKey::by_source(&input.sync.to, &input.sync.from, input.links.get(orphan.1).source_key);
    let orphans = done.orphans.iter().copied().filter(|orphan| !apart.busy.contains(&object(orphan)));
    let mut search = Search { sides, apart, free, orphans: orphans.collect(), found: Vec::new(), several: Vec::new() };
    let alone = |rule: &usize| sides.scanner.input.sync.rules.matching[*rule].tier.is_none();
    for rule in (0..sides.scanner.matchers.len()).filter(alone) {
        search.by_rule(rule)?;
    }
    for position in ids(sides.scanner) {
        search.by_id(position)?;
    }
    search.by_likeness(least);
    for (source, target) in search.several {
        done.like.objects.entry(source).or_default().push(target);
        done.like.rows.entry(target).or_default().push(source);
    }
    let found = search.found;
    let targets: HashSet<u32> = found.iter().map(|(_, renamed)| renamed.target).collect();
    done.orphans.retain(|(target, _)| !targets.contains(target));
    for (source, renamed) in found {
        done.pairing[source as usize] = Pairing::Renamed { rename: done.renames.len() as u32 };
        done.renames.push(renamed);
    }
    Ok(())
}

struct Search<'a> {
    sides: &'a Sides<'a>,
    apart: &'a Apart,
    free: Vec<u32>,
    orphans: Vec<Orphan>,
    found: Vec<(u32, Renamed)>,
    /// Rows and the target rows that they are like, where one of both has several of the other.
    several: Vec<(u32, u32)>,
}

impl Search<'_> {
    /// Pairs of one row and one object that share a digest with nobody else who is left.
    fn shared(
        &self,
        of_source: impl Fn(u32) -> Option<u64>,
        of_target: impl Fn(u32) -> Option<u64>,
    ) -> Vec<(u32, Orphan)> {
        let mut sharing: BTreeMap<u64, (Vec<u32>, Vec<Orphan>)> = BTreeMap::new();
        for orphan in &self.orphans {
            if let Some(digest) = of_target(orphan.0) {
                sharing.entry(digest).or_default().1.push(*orphan);
            }
        }
        for row in &self.free {
            if let Some(sharing) = of_source(*row).and_then(|digest| sharing.get_mut(&digest)) {
                sharing.0.push(*row);
            }
        }
        let pairs = sharing.into_values().filter_map(|(rows, orphans)| match (&rows[..], &orphans[..]) {
            ([row], [orphan]) => Some((*row, *orphan)),
            _ => None,
        });
        pairs.filter(|(row, orphan)| !self.is_refused(*row, *orphan)).collect()
    }

    fn is_refused(&self, row: u32, orphan: Orphan) -> bool {
        let was = self.sides.scanner.input.links.get(orphan.1).source_key;
        let refused = &self.apart.refused;
        !refused.is_empty() && refused.contains(&(was.to_owned(), self.sides.source.key(row).to_owned()))
    }

    fn take(&mut self, pairs: Vec<(u32, Orphan, Evidence)>) {
        let rows: HashSet<u32> = pairs.iter().map(|(row, ..)| *row).collect();
        let targets: HashSet<u32> = pairs.iter().map(|(_, (target, _), _)| *target).collect();
        self.free.retain(|row| !rows.contains(row));
        self.orphans.retain(|(target, _)| !targets.contains(target));
        let renamed = |(row, (target, link), evidence)| (row, Renamed { target, link, evidence });
        self.found.extend(pairs.into_iter().map(renamed));
    }

    fn by_rule(&mut self, rule: usize) -> Result<(), ReconcileError> {
        let sides = self.sides;
        let digest = |matches: &[u64]| matches.get(rule).copied().filter(|digest| *digest != ABSENT);
        let pairs =
            self.shared(|row| digest(sides.source.get(row).matches), |row| digest(sides.target.get(row).matches));
        let (input, matcher) = (sides.scanner.input, &sides.scanner.matchers[rule]);
        let mut sure = Vec::new();
        for (row, orphan) in pairs {
            // Equal digests are a hint; the values themselves decide.
            let source = input.source.fetch(sides.source.rows.place(row))?;
            let target = input.target.fetch(sides.target.place(orphan.0))?;
            let wanted = matcher.value(&source);
            if canonical::canonical(&wanted, matcher.kind) == canonical::canonical(matcher.held(&target), matcher.kind)
            {
                sure.push((row, orphan, Evidence::Rule(rule as u8)));
            }
        }
        self.take(sure);
        Ok(())
    }

    fn by_id(&mut self, position: usize) -> Result<(), ReconcileError> {
        let sides = self.sides;
        let digest = |values: &[u64]| values.get(position).copied().filter(|d| ![ABSENT, NOTHING].contains(d));
        let pairs = self.shared(|row| digest(sides.source.get(row).values), |row| digest(sides.target.get(row).values));
        let (input, attribute) = (sides.scanner.input, &sides.scanner.attributes[position]);
        let mut sure = Vec::new();
        for (row, orphan) in pairs {
            let source = input.source.fetch(sides.source.rows.place(row))?;
            let target = input.target.fetch(sides.target.place(orphan.0))?;
            let Some(Wanted::Set(wanted)) = sides.scanner.wanted(&source).into_iter().nth(position) else { continue };
            let held = canonical::canonical(attribute.held(&target), attribute.kind);
            if canonical::canonical(&wanted, attribute.kind) == held {
                sure.push((row, orphan, Evidence::Id(position)));
            }
        }
        self.take(sure);
        Ok(())
    }

    fn by_likeness(&mut self, least: f64) {
        let telling = telling(self.sides.scanner);
        let sides = self.sides;
        if telling.len() < LEAST_ATTRIBUTES || self.free.is_empty() {
            return;
        }
        let mut holders: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
        for (number, (target, _)) in self.orphans.iter().enumerate() {
            let values = sides.target.get(*target).values;
            for position in telling.iter().filter(|position| values[**position] != ABSENT) {
                holders.entry((*position, values[*position])).or_default().push(number);
            }
        }
        let mut alike: Vec<(u32, usize, Vec<usize>, usize)> = Vec::new();
        for row in &self.free {
            let wanted = sides.source.get(*row).values;
            let mut asked: Vec<(usize, &[usize])> = telling
                .iter()
                .filter(|position| ![ABSENT, NOTHING].contains(&wanted[**position]))
                .map(|position| {
                    (*position, holders.get(&(*position, wanted[*position])).map_or(&[][..], Vec::as_slice))
                })
                .collect();
            if asked.len() < LEAST_ATTRIBUTES {
                continue;
            }
            // Whoever is equal in enough of them is so in one of the rarest.
            asked.sort_by_key(|(position, holders)| (holders.len(), *position));
            let enough = needed(least, asked.len());
            let rarest = &asked[..=asked.len() - enough];
            if rarest.iter().any(|(_, holders)| holders.len() > MOST_CANDIDATES) {
                continue;
            }
            let candidates: BTreeSet<usize> = rarest.iter().flat_map(|(_, holders)| holders.iter().copied()).collect();
            for number in candidates {
                let held = sides.target.get(self.orphans[number].0).values;
                let compared = |position: &&usize| {
                    wanted[**position] != NOTHING && (wanted[**position], held[**position]) != (ABSENT, ABSENT)
                };
                let of = telling.iter().filter(compared).count();
                let equal: Vec<usize> =
                    telling.iter().filter(compared).copied().filter(|p| wanted[*p] == held[*p]).collect();
                if equal.len() >= needed(least, of) && !self.is_refused(*row, self.orphans[number]) {
                    alike.push((*row, number, equal, of));
                }
            }
        }
        let (mut by_row, mut by_orphan): (HashMap<u32, u32>, HashMap<usize, u32>) = Default::default();
        for (row, number, ..) in &alike {
            *by_row.entry(*row).or_default() += 1;
            *by_orphan.entry(*number).or_default() += 1;
        }
        self.only_told_apart(&mut alike, &by_row);
        let is_alone = |(row, number, ..): &(u32, usize, Vec<usize>, usize)| by_row[row] == 1 && by_orphan[number] == 1;
        let (alike, several): (Vec<_>, Vec<_>) = alike.into_iter().partition(is_alone);
        let orphans = &self.orphans;
        self.several = several.into_iter().map(|(row, number, ..)| (row, orphans[number].0)).collect();
        let pairs =
            alike.into_iter().map(|(row, number, equal, of)| (row, orphans[number], Evidence::Alike { equal, of }));
        let pairs = pairs.collect();
        self.take(pairs);
    }

    /// Leaves those of which something is equal that no other object of the target has, but for other candidates of the
    /// same row: a department, a title and a country are shared by many.
    fn only_told_apart(&self, alike: &mut Vec<(u32, usize, Vec<usize>, usize)>, candidates: &HashMap<u32, u32>) {
        let value = |number: usize, position: usize| self.sides.target.get(self.orphans[number].0).values[position];
        let mut held: HashMap<(usize, u64), u32> = HashMap::new();
        for (_, number, equal, _) in alike.iter() {
            held.extend(equal.iter().map(|position| ((*position, value(*number, *position)), 0)));
        }
        let positions: BTreeSet<usize> = held.keys().map(|(position, _)| *position).collect();
        for row in 0..self.sides.target.len() as u32 {
            let values = self.sides.target.get(row).values;
            for position in &positions {
                if let Some(count) = held.get_mut(&(*position, values[*position])) {
                    *count += 1;
                }
            }
        }
        alike.retain(|(row, number, equal, _)| {
            equal.iter().any(|position| held[&(*position, value(*number, *position))] <= candidates[row])
        });
    }
}

/// Mapped attributes that an object keeps for its life: `externalId`, and those that the target never changes.
pub(crate) fn ids(scanner: &Scanner<'_>) -> Vec<usize> {
    let immutable = &scanner.input.capabilities.immutable;
    let is_id = |name: &String| name == "externalId" || immutable.contains(name);
    (0..scanner.attributes.len()).filter(|position| is_id(&scanner.attributes[*position].name)).collect()
}

/// Attributes that say something about who an object is: not the row's key, which changed, nor whether it is in use,
/// which muster itself may have changed, nor what was made for it, which its namesake would have got.
pub(crate) fn telling(scanner: &Scanner<'_>) -> Vec<usize> {
    let input = scanner.input;
    let keys: Vec<&str> = input.source.key_columns().iter().map(|key| input.source.columns()[*key].as_str()).collect();
    let tells = |position: &usize| {
        let attribute = &scanner.attributes[*position];
        let rule = input.sync.rules.mapping.rule(&attribute.name).map(|rule| rule.trim().to_owned());
        attribute.exists
            && attribute.generated.is_none()
            && input.capabilities.enabled.as_deref() != Some(&attribute.name)
            && !rule.is_some_and(|rule| keys.contains(&rule.as_str()))
    };
    (0..scanner.attributes.len()).filter(tells).collect()
}

/// How many of so many have to be equal.
pub(crate) fn needed(least: f64, of: usize) -> usize {
    ((least * of as f64 - 1e-9).ceil().max(1.0) as usize).min(of)
}
