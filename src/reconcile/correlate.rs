//! Which target object belongs to which source row: links first, then match rules in order over what is left.

use std::collections::HashMap;

use rayon::prelude::*;

use super::canonical::{self, ABSENT};
use super::error::ReconcileError;
use super::index::{KeyHash, KeyIndex, NONE};
use super::rename::{Apart, Like, Renamed};
use super::rows::{Admission, Rows, SourceRows};
use super::scan::{Scanner, Tier};
use super::weighing;

/// How a source row stands to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// No candidate.
    None,
    /// By a link (its position among the input's).
    Linked { target: u32, link: u32 },
    /// By a match rule, or several together (the position of who judges it).
    Matched { target: u32, rule: u8 },
    /// With an object whose row had another key, by its position among the renames.
    Renamed { rename: u32 },
    /// In a group of several candidates.
    Ambiguous { group: u32 },
    /// Cannot be judged: its key or that of its object is not unique, or its scope failed.
    Skipped,
}

/// Sources and targets that one match rule could pair in more than one way.
pub(crate) struct Group {
    pub(crate) rule: u8,
    pub(crate) sources: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

/// Both sides, correlated.
pub(crate) struct Correlation {
    /// By source row.
    pub(crate) pairing: Vec<Pairing>,
    /// By target row: whether something is linked to it, paired with it, or contends for it.
    pub(crate) taken: Vec<bool>,
    pub(crate) groups: Vec<Group>,
    /// Objects that are recognised under a new key.
    pub(crate) renames: Vec<Renamed>,
    /// Those who could be one another under a new key, and several could.
    pub(crate) like: Like,
    /// Of source rows that several rules matched together: other candidates, each with who judges it.
    pub(crate) others: HashMap<u32, Vec<(u32, u8)>>,
    /// Links whose object is not in the target's snapshot: source row, position of the link.
    pub(crate) dangling: Vec<(u32, u32)>,
    /// Links whose source row is gone: target row, position of the link.
    pub(crate) orphans: Vec<(u32, u32)>,
    /// Links with neither side in the snapshots, by position.
    pub(crate) dead: Vec<u32>,
    /// Links that another link to the same object contradicts, by position: the first, the later one.
    pub(crate) contradicting: Vec<(u32, u32)>,
}

/// Rows and their indexes.
pub(crate) struct Sides<'a> {
    pub(crate) scanner: &'a Scanner<'a>,
    pub(crate) source: &'a SourceRows,
    pub(crate) target: &'a Rows,
    pub(crate) source_index: &'a KeyIndex,
    pub(crate) target_index: &'a KeyIndex,
    /// Rows whose key is empty or not unique.
    pub(crate) source_skipped: &'a [bool],
    pub(crate) target_skipped: &'a [bool],
    /// What a person refused to take for one.
    pub(crate) apart: &'a Apart,
}

impl Sides<'_> {
    /// Whether a person said that a row and an object are two.
    pub(crate) fn are_strangers(&self, source: u32, target: u32) -> bool {
        let strangers = &self.apart.strangers;
        let pair = || (self.target.key(target).to_owned(), self.source.key(source).to_owned());
        !strangers.is_empty() && strangers.contains(&pair())
    }
}

/// Pairs both sides.
pub(crate) fn correlate(sides: &Sides<'_>) -> Result<Correlation, ReconcileError> {
    let mut done = Correlation {
        pairing: vec![Pairing::None; sides.source.len()],
        taken: sides.target_skipped.to_vec(),
        groups: Vec::new(),
        renames: Vec::new(),
        like: Like::default(),
        others: HashMap::new(),
        dangling: Vec::new(),
        orphans: Vec::new(),
        dead: Vec::new(),
        contradicting: Vec::new(),
    };
    by_links(sides, &mut done);
    for (row, pairing) in done.pairing.iter_mut().enumerate() {
        if *pairing == Pairing::None && sides.source.get(row as u32).admission == Admission::Unknown {
            *pairing = Pairing::Skipped;
        }
    }
    for tier in &sides.scanner.tiers {
        match tier {
            Tier::Rule(rule) => by_rule(sides, *rule, &mut done)?,
            Tier::Weighed(weighed) => weighing::by_tier(sides, weighed, &mut done)?,
        }
    }
    Ok(done)
}

/// Links that are looked up together.
const TOGETHER: usize = 256;

fn by_links(sides: &Sides<'_>, done: &mut Correlation) {
    let links = sides.scanner.input.links;
    for (row, skipped) in sides.source_skipped.iter().enumerate() {
        if *skipped {
            done.pairing[row] = Pairing::Skipped;
        }
    }
    let (source_keys, target_ids) = (links.source_keys(), links.target_ids());
    let pair = |position: u32| (source_keys.get(position as usize), target_ids.get(position as usize));
    let mut order: Vec<u32> = (0..links.len() as u32).collect();
    if !order.is_sorted_by_key(|i| pair(*i)) {
        order.par_sort_unstable_by_key(|i| pair(*i));
    }
    let hasher = sides.source_index.hasher();
    let found = order.par_chunks(TOGETHER).map(|some| {
        let hashes = some.iter().map(|position| {
            let (source, target) = pair(*position);
            (hasher.hash(source), hasher.hash(target))
        });
        // First all hashes, then all searches: while one waits for the memory, so do the others.
        let hashes: Vec<(KeyHash, KeyHash)> = hashes.collect();
        let row = |index: &KeyIndex, hash| Some(index.get_hashed(hash)).filter(|row| *row != NONE);
        let rows = hashes.into_iter();
        rows.map(|(s, t)| (row(sides.source_index, s), row(sides.target_index, t))).collect::<Vec<_>>()
    });
    let found: Vec<Vec<(Option<u32>, Option<u32>)>> = found.collect();
    // By target row: the link that leads to it.
    let mut linked = vec![NONE; sides.target.len()];
    for (position, (source, target)) in order.into_iter().zip(found.into_iter().flatten()) {
        if let Some(row) = target {
            let first = &mut linked[row as usize];
            if *first != NONE {
                done.contradicting.push((*first, position));
                if let Some(source) = source {
                    done.pairing[source as usize] = Pairing::Skipped;
                }
                continue;
            }
            *first = position;
            done.taken[row as usize] = true;
        }
        match (source, target) {
            (Some(source), _) if sides.source_skipped[source as usize] => {}
            (Some(source), Some(target)) if sides.target_skipped[target as usize] => {
                done.pairing[source as usize] = Pairing::Skipped;
            }
            (Some(source), Some(target)) => {
                done.pairing[source as usize] = Pairing::Linked { target, link: position };
            }
            (Some(source), None) => {
                done.dangling.push((source, position));
                // Whether the object is gone is not known: neither match nor create another one.
                if !sides.scanner.input.target_absence {
                    done.pairing[source as usize] = Pairing::Skipped;
                }
            }
            (None, Some(target)) if sides.target_skipped[target as usize] => {}
            (None, Some(target)) => done.orphans.push((target, position)),
            (None, None) => done.dead.push(position),
        }
    }
}

/// A match value's digest, and its row.
type Keyed = (u64, u32);

/// One rule over what is left. Equal values make groups; a group of one and one is a pair.
fn by_rule(sides: &Sides<'_>, rule: usize, done: &mut Correlation) -> Result<(), ReconcileError> {
    let digests = |matches: &[u64]| matches.get(rule).copied().filter(|digest| *digest != ABSENT);
    let free =
        |row: &u32| done.pairing[*row as usize] == Pairing::None && sides.source.get(*row).admission == Admission::In;
    let left = (0..sides.source.len() as u32).into_par_iter().filter(free);
    let mut left: Vec<Keyed> = left.filter_map(|row| Some((digests(sides.source.get(row).matches)?, row))).collect();
    let right = (0..sides.target.len() as u32).into_par_iter().filter(|row| !done.taken[*row as usize]);
    let mut right: Vec<Keyed> = right.filter_map(|row| Some((digests(sides.target.get(row).matches)?, row))).collect();
    left.par_sort_unstable();
    right.par_sort_unstable();

    let mut candidates: Vec<(&[Keyed], &[Keyed])> = Vec::new();
    let (mut l, mut r) = (&left[..], &right[..]);
    while let (Some((a, _)), Some((b, _))) = (l.first(), r.first()) {
        let (in_l, in_r) = (l.partition_point(|(d, _)| d <= a), r.partition_point(|(d, _)| d <= b));
        match a.cmp(b) {
            std::cmp::Ordering::Less => l = &l[in_l..],
            std::cmp::Ordering::Greater => r = &r[in_r..],
            std::cmp::Ordering::Equal => {
                candidates.push((&l[..in_l], &r[..in_r]));
                (l, r) = (&l[in_l..], &r[in_r..]);
            }
        }
    }
    let verified: Result<Vec<Vec<Group>>, ReconcileError> =
        candidates.par_iter().map(|(l, r)| verify(sides, rule, l, r)).collect();
    for group in verified?.into_iter().flatten() {
        if let ([source], [target]) = (&group.sources[..], &group.targets[..])
            && sides.are_strangers(*source, *target)
        {
            continue;
        }
        for target in &group.targets {
            done.taken[*target as usize] = true;
        }
        if let ([source], [target]) = (&group.sources[..], &group.targets[..]) {
            done.pairing[*source as usize] = Pairing::Matched { target: *target, rule: rule as u8 };
            continue;
        }
        for source in &group.sources {
            done.pairing[*source as usize] = Pairing::Ambiguous { group: done.groups.len() as u32 };
        }
        done.groups.push(group);
    }
    Ok(())
}

/// Equal digests are a hint; the values themselves decide.
fn verify(sides: &Sides<'_>, rule: usize, l: &[Keyed], r: &[Keyed]) -> Result<Vec<Group>, ReconcileError> {
    let (input, matcher) = (sides.scanner.input, &sides.scanner.matchers[rule]);
    let mut groups: HashMap<String, Group> = HashMap::new();
    for (_, row) in l {
        let cells = input.source.fetch(sides.source.rows.place(*row))?;
        let value = canonical::canonical(&matcher.value(&cells), matcher.kind).into_owned();
        let fresh = || Group { rule: rule as u8, sources: Vec::new(), targets: Vec::new() };
        groups.entry(value).or_insert_with(fresh).sources.push(*row);
    }
    for (_, row) in r {
        let cells = input.target.fetch(sides.target.place(*row))?;
        let value = canonical::canonical(matcher.held(&cells), matcher.kind);
        if let Some(group) = groups.get_mut(&*value) {
            group.targets.push(*row);
        }
    }
    let mut groups: Vec<Group> = groups.into_values().filter(|group| !group.targets.is_empty()).collect();
    groups.sort_by(|a, b| a.sources.cmp(&b.sources));
    Ok(groups)
}
