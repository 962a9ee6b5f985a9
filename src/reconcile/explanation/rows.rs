//! Rows of a snapshot that are to be explained, in their file: where they stand, and what the others are like.

use std::collections::HashMap;

use super::candidates::Candidates;
use super::cells;
use super::facts::Sight;
use crate::model::explanation::FactKind;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::row::{Cells, Place};
use crate::snapshot::table::{Near, Table};

/// Rows of one table, each with the case that it belongs to.
pub(super) struct Rows<'a> {
    pub(super) table: &'a Table,
    /// The subject of the table's first column; the others follow.
    pub(super) first_subject: u32,
    /// Place and case, in the file's order.
    pub(super) cases: Vec<(Place, u32)>,
    /// What the rows became, where they changed.
    pub(super) became: Option<Became<'a>>,
    /// The table in front of people.
    pub(super) called: String,
    /// How many pages the table came in, where that is known.
    pub(super) pages: Option<u64>,
}

/// The rows that changed rows became.
pub(super) struct Became<'a> {
    pub(super) table: &'a Table,
    /// By case: the new place, and the columns of the new table that differ.
    pub(super) rows: Vec<(Place, Box<[usize]>)>,
}

/// What one pass over a table found.
#[derive(Default)]
pub(super) struct Census {
    /// All rows of the table.
    pub(super) rows: u64,
    /// By candidate: all rows of the table that have it.
    pub(super) having: Vec<u64>,
    /// Candidate and case.
    pub(super) hits: Vec<(u32, u32)>,
    /// Zero-based positions of the cases' rows in the file, rising, each with its case.
    pub(super) positions: Vec<(u64, u32)>,
}

impl<'a> Rows<'a> {
    /// The rows with these keys, as [`Table::key_of`] makes them.
    pub(super) fn by_key(
        table: &'a Table,
        first_subject: u32,
        keys: &HashMap<&str, u32>,
        called: String,
    ) -> Result<Self, SnapshotError> {
        let found = table.par_fold(Vec::new, |found, row| {
            let case = match table.key_columns() {
                [column] => keys.get(row.cell(*column)),
                _ => keys.get(table.key_of(row).as_str()),
            };
            if let Some(case) = case {
                found.push((row.place(), *case));
            }
        })?;
        Ok(Self { table, first_subject, cases: found.concat(), became: None, called, pages: None })
    }

    /// Shows the facts of some cases.
    pub(super) fn sample(
        &self,
        wanted: impl Fn(u32) -> bool,
        see: &mut dyn FnMut(u32, Sight<'_>),
        names: &[String],
    ) -> Result<(), SnapshotError> {
        let mut near = Near::default();
        for (place, case) in self.cases.iter().filter(|(_, case)| wanted(*case)) {
            let row = self.table.fetch(*place)?;
            self.facts(&row, Some(*case), names, &mut near, &mut |sight| see(*case, sight))?;
        }
        Ok(())
    }

    /// Counts candidates in every row of the table.
    pub(super) fn census(&self, candidates: &Candidates, names: &[String]) -> Result<Census, SnapshotError> {
        struct Chunk {
            census: Census,
            next: Option<usize>,
            /// Where the changed rows of the other table are read.
            near: Near,
            failed: Option<SnapshotError>,
        }
        let new = || Chunk {
            census: Census { having: vec![0; candidates.len()], ..Census::default() },
            next: None,
            near: Near::default(),
            failed: None,
        };
        let chunks = self.table.par_fold(new, |chunk, row| {
            let place = row.place();
            let next = chunk.next.get_or_insert_with(|| self.cases.partition_point(|(at, _)| *at < place));
            while self.cases.get(*next).is_some_and(|(at, _)| *at < place) {
                *next += 1;
            }
            let case = self.cases.get(*next).filter(|(at, _)| *at == place).map(|(_, case)| *case);
            let census = &mut chunk.census;
            if let Some(case) = case {
                census.positions.push((census.rows, case));
            }
            census.rows += 1;
            let seen = self.facts(row, case, names, &mut chunk.near, &mut |sight| {
                if let Some(candidate) = candidates.find(&sight) {
                    census.having[candidate as usize] += 1;
                    census.hits.extend(case.map(|case| (candidate, case)));
                }
            });
            if let Err(error) = seen {
                chunk.failed.get_or_insert(error);
            }
        })?;
        let mut all = Census { having: vec![0; candidates.len()], ..Census::default() };
        for chunk in chunks {
            if let Some(error) = chunk.failed {
                return Err(error);
            }
            let census = chunk.census;
            all.positions.extend(census.positions.iter().map(|(at, case)| (all.rows + at, *case)));
            all.rows += census.rows;
            all.having.iter_mut().zip(&census.having).for_each(|(all, having)| *all += having);
            all.hits.extend(census.hits);
        }
        Ok(all)
    }

    /// The facts of one row: its values, and for one that changed its changes and the values that stayed.
    fn facts(
        &self,
        row: &dyn Cells,
        case: Option<u32>,
        names: &[String],
        near: &mut Near,
        see: &mut dyn FnMut(Sight<'_>),
    ) -> Result<(), SnapshotError> {
        let columns = self.table.columns().len();
        let subject = |column: usize| self.first_subject + column as u32;
        let Some((became, case)) = self.became.as_ref().zip(case) else {
            for column in 0..columns {
                cells::value(subject(column), row.cell(column), see);
            }
            return Ok(());
        };
        let (place, changed) = &became.rows[case as usize];
        // Rows mostly stand in both tables in the same sequence.
        became.table.fetch_near(*place, near, |new| {
            let mut changes = Vec::with_capacity(changed.len());
            for column in 0..columns {
                let name = &self.table.columns()[column];
                match changed.iter().find(|new| became.table.columns()[**new] == *name) {
                    Some(at) => changes.push((subject(column), row.cell(column), new.cell(*at))),
                    None => cells::value(subject(column), row.cell(column), see),
                }
            }
            for (subject, before, after) in &changes {
                cells::change(*subject, before, after, see);
            }
            cells::swaps(&changes, names, see);
        })
    }

    /// Stretches of the file of which every row is a case, as half a sentence with its cases.
    pub(super) fn stretches(&self, census: &Census, least: usize) -> Vec<(String, Vec<u32>)> {
        let stretches = census.positions.chunk_by(|a, b| a.0 + 1 == b.0).filter(|rows| rows.len() >= least);
        let told = stretches.map(|rows| {
            // As everywhere, the header is row 1.
            let (first, last) = (rows[0].0 + 2, rows[rows.len() - 1].0 + 2);
            let pages = self.pages.filter(|pages| *pages > 1).map_or(String::new(), |pages| {
                let share = rows.len() as f64 * pages as f64 / census.rows.max(1) as f64;
                format!(" (about {share:.1} of its {pages} pages)")
            });
            let text = format!("rows {first} to {last} of {}, one after the other{pages}", self.called);
            (text, rows.iter().map(|(_, case)| *case).collect())
        });
        told.collect()
    }

    /// Whether a fact is about this table's values, so that its rows tell how telling it is.
    pub(super) fn speaks_of(&self, kind: FactKind, subject: u32) -> bool {
        let own = self.first_subject..self.first_subject + self.table.columns().len() as u32;
        matches!(kind, FactKind::Value | FactKind::Container) && own.contains(&subject)
    }
}
