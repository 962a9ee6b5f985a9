//! Facts that many of a sample of rows share, and the smallest set of them that covers most of all rows.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::facts::{Fact, Sight};
use crate::model::explanation::{Explanation, SharedFact};

/// The most facts that are counted exactly.
const MOST: usize = 256;
/// The most facts of an explanation.
const TOLD: usize = 10;
/// A fact that covers less of the rows than this is no explanation.
const LEAST: f64 = 0.01;
/// The share of the rows that has to be covered.
const ENOUGH: f64 = 0.9;

/// Facts seen at a sample of rows.
#[derive(Default)]
pub(super) struct Sample {
    facts: HashMap<u64, (Fact, u32)>,
}

impl Sample {
    pub(super) fn see(&mut self, sight: &Sight<'_>) {
        self.facts.entry(sight.digest()).or_insert_with(|| (Fact::of(sight), 0)).1 += 1;
    }

    /// The facts that at least two of `rows` rows share, and so many that they could explain something.
    pub(super) fn candidates(self, rows: usize) -> Candidates {
        let least = ((rows as f64 * LEAST) as u32).max(2);
        let mut facts: Vec<(u64, (Fact, u32))> =
            self.facts.into_iter().filter(|(_, (_, count))| *count >= least).collect();
        facts.sort_unstable_by(|(_, (a, a_count)), (_, (b, b_count))| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        facts.truncate(MOST);
        let index = facts.iter().enumerate().map(|(i, (digest, _))| (*digest, i as u32)).collect();
        let list = facts.into_iter().map(|(_, (fact, _))| Candidate { fact, precision: 1.0, cases: Vec::new() });
        Candidates { index, list: list.collect() }
    }
}

/// Takes a digest for its own hash: it is looked up for every cell of a snapshot.
#[derive(Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Facts that may explain.
pub(super) struct Candidates {
    index: HashMap<u64, u32, BuildHasherDefault<Digested>>,
    pub(super) list: Vec<Candidate>,
}

/// One of them, with what is known of it.
pub(super) struct Candidate {
    pub(super) fact: Fact,
    /// The share of the rows with this fact that are cases; 0 rules it out.
    pub(super) precision: f64,
    /// A bit for each case that has it.
    cases: Vec<u64>,
}

impl Candidates {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn find(&self, sight: &Sight<'_>) -> Option<u32> {
        self.index.get(&sight.digest()).copied()
    }

    /// A case has a candidate.
    pub(super) fn hit(&mut self, candidate: u32, case: u32) {
        self.list[candidate as usize].mark(case);
    }

    /// One more, with its cases.
    pub(super) fn add(&mut self, fact: Fact, cases: impl IntoIterator<Item = u32>) {
        let mut candidate = Candidate { fact, precision: 1.0, cases: Vec::new() };
        cases.into_iter().for_each(|case| candidate.mark(case));
        self.list.push(candidate);
    }

    /// Greedy weighted set cover: the fact that covers most for what it is worth, again and again, until nine tenths
    /// are covered. What is equal is decided by the facts themselves, so that the answer is always the same.
    pub(super) fn cover(&self, cases: u64, subjects: &[String]) -> Explanation {
        let mut covered = vec![0u64; cases.div_ceil(64) as usize];
        let mut left = cases;
        let mut chosen: Vec<(&Fact, u64)> = Vec::new();
        let least = ((cases as f64 * LEAST) as u64).max(2);
        while left as f64 > cases as f64 * (1.0 - ENOUGH) && chosen.len() < TOLD {
            let gains = self.list.iter().filter(|candidate| candidate.precision > 0.0).map(|candidate| {
                let gain = candidate.gain(&covered);
                (gain as f64 * candidate.precision / candidate.fact.cost(), gain, candidate)
            });
            let best = gains
                .filter(|(_, gain, _)| *gain >= least.min(left))
                .max_by(|(a, _, one), (b, _, other)| a.total_cmp(b).then_with(|| other.fact.cmp(&one.fact)));
            let Some((_, gain, candidate)) = best else { break };
            covered.iter_mut().zip(&candidate.cases).for_each(|(covered, has)| *covered |= has);
            left -= gain;
            chosen.push((&candidate.fact, gain));
        }
        chosen.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        let told = |(fact, count): (&Fact, u64)| SharedFact { kind: fact.kind, text: fact.text(subjects), count };
        Explanation { facts: chosen.into_iter().map(told).collect(), rest: left }
    }
}

impl Candidate {
    fn mark(&mut self, case: u32) {
        let word = (case / 64) as usize;
        if self.cases.len() <= word {
            self.cases.resize(word + 1, 0);
        }
        self.cases[word] |= 1 << (case % 64);
    }

    /// How many cases have it.
    pub(super) fn count(&self) -> u64 {
        self.cases.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn gain(&self, covered: &[u64]) -> u64 {
        self.cases.iter().zip(covered).map(|(has, covered)| u64::from((has & !covered).count_ones())).sum()
    }

    /// Judges how telling a value is, by `having` rows of `rows` that have it. What is as common among rows that are no
    /// cases explains nothing.
    pub(super) fn judge(&mut self, having: u64, located: u64, rows: u64) {
        let overall = located as f64 / rows.max(1) as f64;
        let precision = self.count() as f64 / having.max(1) as f64;
        let telling = precision >= 0.5 && precision >= (overall * 1.5).min(0.99) && overall < 0.99;
        self.precision = if telling { precision.min(1.0) } else { 0.0 };
    }
}
