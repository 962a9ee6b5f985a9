//! Correlation by several rules at once: each that agrees weighs, and the heaviest pair is taken where it is the only one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::canonical::{self, ABSENT};
use super::correlate::{Correlation, Group, Pairing, Sides};
use super::error::ReconcileError;
use super::rows::Admission;

/// A pair that weighs less, in percent, is no candidate.
pub(crate) const LEAST: u16 = 50;

/// Where more pairs than so many share a value, the value brings nobody together; it weighs for those who are.
const MOST_PAIRS: usize = 1_024;

/// Rules that weigh together.
#[derive(Clone, Debug)]
pub(crate) struct WeighedTier {
    /// Positions of the rules, and their weights in percent.
    pub(crate) rules: Vec<(usize, u16)>,
    /// Where the judgements about their agreeing begin, one for each set of rules.
    pub(crate) judges: usize,
}

impl WeighedTier {
    /// What the rules of a set weigh together, a bit each.
    pub(crate) fn weight(&self, set: usize) -> u16 {
        let rules = self.rules.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
        rules.map(|(_, (_, weight))| *weight).sum()
    }
}

/// A candidate: source row, target row, which rules agree.
type Weighed = (u32, u32, usize);

/// Pairs what is left by the rules of one tier.
pub(crate) fn by_tier(sides: &Sides<'_>, tier: &WeighedTier, done: &mut Correlation) -> Result<(), ReconcileError> {
    let mut pairs: Vec<(u32, u32)> = candidates(sides, tier, done).into_iter().collect();
    pairs.retain(|(source, target)| !sides.are_strangers(*source, *target));
    let weighed: Result<Vec<Option<Weighed>>, ReconcileError> =
        pairs.par_iter().map(|(source, target)| weigh(sides, tier, *source, *target)).collect();
    let mut left: Vec<Weighed> = weighed?.into_iter().flatten().collect();
    let all = left.clone();
    // Whoever's best goes to somebody else is looked at again without it.
    while !left.is_empty() {
        let (mut by_source, mut by_target) = (HashMap::<u32, u16>::new(), HashMap::<u32, u16>::new());
        for (source, target, set) in &left {
            let weight = tier.weight(*set);
            let (s, t) = (by_source.entry(*source).or_default(), by_target.entry(*target).or_default());
            (*s, *t) = ((*s).max(weight), (*t).max(weight));
        }
        let is_best = |(source, target, set): &&Weighed| {
            let weight = tier.weight(*set);
            weight == by_source[source] && weight == by_target[target]
        };
        let best: Vec<Weighed> = left.iter().filter(is_best).copied().collect();
        for together in connected(&best) {
            take(tier, &together, done);
        }
        let gone = |(source, target, _): &Weighed| {
            done.pairing[*source as usize] != Pairing::None || done.taken[*target as usize]
        };
        left.retain(|pair| !gone(pair));
    }
    for (source, target, set) in all {
        if matches!(done.pairing[source as usize], Pairing::Matched { target: taken, .. } if taken != target) {
            done.others.entry(source).or_default().push((target, (tier.judges + set) as u8));
        }
    }
    Ok(())
}

/// Pairs that share a value by one of the rules.
fn candidates(sides: &Sides<'_>, tier: &WeighedTier, done: &Correlation) -> BTreeSet<(u32, u32)> {
    let mut pairs = BTreeSet::new();
    for (rule, _) in &tier.rules {
        let mut values: HashMap<u64, (Vec<u32>, Vec<u32>)> = HashMap::new();
        for row in 0..sides.source.len() as u32 {
            let source = sides.source.get(row);
            let is_free = done.pairing[row as usize] == Pairing::None && source.admission == Admission::In;
            if is_free && source.matches[*rule] != ABSENT {
                values.entry(source.matches[*rule]).or_default().0.push(row);
            }
        }
        for row in (0..sides.target.len() as u32).filter(|row| !done.taken[*row as usize]) {
            if let Some((_, targets)) = values.get_mut(&sides.target.get(row).matches[*rule]) {
                targets.push(row);
            }
        }
        for (sources, targets) in values.into_values().filter(|(s, t)| s.len() * t.len() <= MOST_PAIRS) {
            pairs.extend(sources.iter().flat_map(|source| targets.iter().map(move |target| (*source, *target))));
        }
    }
    pairs
}

/// Which rules agree on a pair; `None` where they do not weigh enough. Equal digests are a hint, the values decide.
fn weigh(sides: &Sides<'_>, tier: &WeighedTier, source: u32, target: u32) -> Result<Option<Weighed>, ReconcileError> {
    let input = sides.scanner.input;
    let (left, right) = (sides.source.get(source).matches, sides.target.get(target).matches);
    let agree = |rule: usize| left[rule] != ABSENT && left[rule] == right[rule];
    let bits = |agree: &dyn Fn(usize) -> bool| {
        let rules = tier.rules.iter().enumerate().filter(|(_, (rule, _))| agree(*rule));
        rules.fold(0, |set, (bit, _)| set | 1 << bit)
    };
    if tier.weight(bits(&agree)) < LEAST {
        return Ok(None);
    }
    let wanted = input.source.fetch(sides.source.rows.place(source))?;
    let held = input.target.fetch(sides.target.place(target))?;
    let set = bits(&|rule| {
        let matcher = &sides.scanner.matchers[rule];
        let value = matcher.value(&wanted);
        agree(rule)
            && canonical::canonical(&value, matcher.kind) == canonical::canonical(matcher.held(&held), matcher.kind)
    });
    Ok((tier.weight(set) >= LEAST).then_some((source, target, set)))
}

/// Candidates in groups that share a row on either side, each sorted.
fn connected(pairs: &[Weighed]) -> Vec<Vec<Weighed>> {
    let mut group_of: BTreeMap<(bool, u32), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<Weighed>> = Vec::new();
    for pair in pairs {
        let ends = [(true, pair.0), (false, pair.1)];
        let known: BTreeSet<usize> = ends.iter().filter_map(|end| group_of.get(end).copied()).collect();
        let into = known.first().copied().unwrap_or(groups.len());
        if into == groups.len() {
            groups.push(Vec::new());
        }
        groups[into].push(*pair);
        for other in known.into_iter().skip(1) {
            let moved = std::mem::take(&mut groups[other]);
            groups[into].extend(moved);
        }
        for (source, target, _) in &groups[into] {
            group_of.insert((true, *source), into);
            group_of.insert((false, *target), into);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// One pair alone is taken; several are for a person to choose from.
fn take(tier: &WeighedTier, together: &[Weighed], done: &mut Correlation) {
    let judge = |set: usize| (tier.judges + set) as u8;
    for (_, target, _) in together {
        done.taken[*target as usize] = true;
    }
    if let [(source, target, set)] = together {
        done.pairing[*source as usize] = Pairing::Matched { target: *target, rule: judge(*set) };
        return;
    }
    let sources: BTreeSet<u32> = together.iter().map(|pair| pair.0).collect();
    let targets: BTreeSet<u32> = together.iter().map(|pair| pair.1).collect();
    for source in &sources {
        done.pairing[*source as usize] = Pairing::Ambiguous { group: done.groups.len() as u32 };
    }
    let rule = together.first().map_or(0, |(_, _, set)| judge(*set));
    done.groups.push(Group { rule, sources: sources.into_iter().collect(), targets: targets.into_iter().collect() });
}
