//! Why a threshold tripped: the smallest set of facts that the rows or orders behind it share.
//!
//! Facts are looked for in a sample of the rows and then counted exactly in all of them, in one pass over the file, on
//! all cores: a value that half of the removed rows have explains nothing where half of the others have it too. Of
//! what is left, greedy set cover takes the fewest that explain nine tenths. The same input gives the same answer.

mod candidates;
mod cells;
mod facts;
mod orders;
mod rows;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

pub use orders::{OrdersInQuestion, explain_orders};

use crate::model::explanation::{Explanation, FactKind};
use crate::snapshot::diff::{Change, DiffError, Difference};
use crate::snapshot::error::SnapshotError;
use crate::snapshot::row::Place;
use crate::snapshot::table::Table;
use candidates::Sample;
use facts::{Fact, Sight};
use rows::{Became, Rows};

/// As many cases are looked at to find facts, about.
const SAMPLED: u64 = 4_000;
/// The shortest stretch of rows that tells anything.
const STRETCH: usize = 4;

/// What a synchronization threshold counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Rows that only the new snapshot has.
    Inserted,
    /// Rows whose cells differ.
    Updated,
    /// Rows that only the old snapshot has.
    Deleted,
}

impl Movement {
    /// The movement that an excess such as `idp.users/deleted/count` is about.
    pub fn of_excess(name: &str) -> Option<Self> {
        match name.split('/').nth(1)? {
            "inserted" => Some(Self::Inserted),
            "updated" => Some(Self::Updated),
            "deleted" => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// Explains the rows that moved between a baseline and a new snapshot. `expected` tells by key which of them are no
/// surprise and stay out of it; `pages` says how many pages the baseline came in, where that is known.
///
/// # Errors
/// When a snapshot cannot be read any more.
pub fn explain_rows(
    (old, new): (&Table, &Table),
    difference: &Difference,
    movement: Movement,
    pages: Option<u64>,
    expected: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Explanation, DiffError> {
    let mut cases: Vec<(Place, u32)> = Vec::new();
    let mut became: Vec<(Place, Box<[usize]>)> = Vec::new();
    difference.for_each(|key, change| {
        let place = match (movement, change) {
            (Movement::Inserted, Change::Added(place)) | (Movement::Deleted, Change::Removed(place)) => place,
            (Movement::Updated, Change::Changed { old, .. }) => old,
            _ => return Ok(()),
        };
        if !expected(key) {
            if let Change::Changed { new, columns, .. } = change {
                became.push((new, columns.into()));
            }
            cases.push((place, cases.len() as u32));
        }
        Ok::<(), DiffError>(())
    })?;
    cases.sort_unstable();
    let baseline = "the last accepted snapshot".to_owned();
    let rows = match movement {
        Movement::Inserted => {
            Rows { table: new, first_subject: 0, cases, became: None, called: "this export".to_owned(), pages: None }
        }
        Movement::Deleted => Rows { table: old, first_subject: 0, cases, became: None, called: baseline, pages },
        Movement::Updated => {
            let became = Some(Became { table: new, rows: became });
            Rows { table: old, first_subject: 0, cases, became, called: baseline, pages }
        }
    };
    let inquiry = Inquiry {
        subjects: rows.table.columns().to_vec(),
        cases: rows.cases.len() as u64,
        own: &|_, _| (),
        rows: vec![rows],
        known: Vec::new(),
    };
    Ok(inquiry.explain()?)
}

/// Shows the facts that a case has by itself.
type OwnFacts<'a> = dyn Fn(u32, &mut dyn FnMut(Sight<'_>)) + Sync + 'a;

/// Cases to be explained, numbered from 0, and where to look for what they share.
struct Inquiry<'a> {
    /// The columns' names, by subject.
    subjects: Vec<String>,
    cases: u64,
    own: &'a OwnFacts<'a>,
    /// Tables that hold rows of the cases.
    rows: Vec<Rows<'a>>,
    /// Facts that are known beforehand, with the cases that have them.
    known: Vec<(Fact, std::ops::Range<u32>)>,
}

impl Inquiry<'_> {
    fn explain(self) -> Result<Explanation, SnapshotError> {
        let names = &self.subjects;
        // Chosen by a digest, so that no rhythm of the rows meets that of the sample.
        let wanted = |case: u32| self.cases <= SAMPLED || xxh3_64(&case.to_le_bytes()) % self.cases < SAMPLED;
        let sampled: Vec<u32> = (0..self.cases as u32).filter(|case| wanted(*case)).collect();
        let mut sample = Sample::default();
        for case in &sampled {
            (self.own)(*case, &mut |sight| sample.see(&sight));
        }
        for rows in &self.rows {
            rows.sample(wanted, &mut |_, sight| sample.see(&sight), names)?;
        }
        let mut candidates = sample.candidates(sampled.len());

        let own: Vec<Vec<(u32, u32)>> = (0..self.cases as u32)
            .into_par_iter()
            .fold(Vec::new, |mut hits, case| {
                (self.own)(case, &mut |sight| hits.extend(candidates.find(&sight).map(|found| (found, case))));
                hits
            })
            .collect();
        for (candidate, case) in own.into_iter().flatten() {
            candidates.hit(candidate, case);
        }
        let least = STRETCH.max(self.cases as usize / 50);
        for rows in &self.rows {
            let census = rows.census(&candidates, names)?;
            for (candidate, case) in &census.hits {
                candidates.hit(*candidate, *case);
            }
            let located = census.positions.len() as u64;
            for (candidate, having) in candidates.list.iter_mut().zip(&census.having) {
                if rows.speaks_of(candidate.fact.kind, candidate.fact.subject) {
                    candidate.judge(*having, located, census.rows);
                }
            }
            if located as f64 >= census.rows as f64 * 0.95 && located > 1 {
                let text = format!("nearly every row of {}: {located} of {}", rows.called, census.rows);
                let text = if located == census.rows { format!("every row of {}", rows.called) } else { text };
                let all = census.positions.iter().map(|(_, case)| *case);
                candidates.add(Fact::said(FactKind::Everything, text), all);
            } else {
                for (text, cases) in rows.stretches(&census, least) {
                    candidates.add(Fact::said(FactKind::Range, text), cases);
                }
            }
        }
        for (fact, cases) in self.known {
            candidates.add(fact, cases);
        }
        Ok(candidates.cover(self.cases, names))
    }
}
