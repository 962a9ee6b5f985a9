//! What a source row is told from, in 64 bits: enough to say later whether the row itself changed, what was found out
//! for it elsewhere (groups, joined rows, its class), or only the job's rules for finding that out.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use super::derived::Derivation;
use crate::snapshot::row::Cells;

/// Of a row that more was found out for: the upper half is its own cells, then what was found out, then by which rules.
const RULES: u64 = 0xfff;
const OWN: u64 = 0xffff_ffff_0000_0000;

/// Digests the rows of one source as one sync sees it.
pub(crate) struct RowDigest {
    /// The names of the columns, each ended by a zero byte, and whether they came from elsewhere.
    header: Vec<(Vec<u8>, bool)>,
    /// The rules by which more was found out; `None` where nothing was.
    rules: Option<u64>,
}

impl RowDigest {
    /// For rows with these columns.
    pub(crate) fn new(columns: &[String], derivation: &Derivation) -> Self {
        let found: BTreeSet<String> = derivation.columns();
        let header = columns.iter().map(|name| ([name.as_bytes(), &[0]].concat(), found.contains(name)));
        Self { header: header.collect(), rules: (!found.is_empty()).then(|| derivation.digest()) }
    }

    /// The digest of all cells of a row with the names of their columns: reordered columns change nothing.
    pub(crate) fn of(&self, row: &dyn Cells, scratch: &mut Vec<u8>) -> u64 {
        let (mut own, mut found) = (0u64, 0u64);
        for (column, (name, is_found)) in self.header.iter().enumerate() {
            let cell = row.cell(column);
            if !cell.is_empty() {
                scratch.clear();
                scratch.extend_from_slice(name);
                scratch.extend_from_slice(cell.as_bytes());
                let sum = if *is_found { &mut found } else { &mut own };
                *sum = sum.wrapping_add(xxh3_64(scratch));
            }
        }
        match self.rules {
            None => own,
            Some(rules) => (own & OWN) | ((found >> 32) & !OWN & !RULES) | (rules & RULES),
        }
    }

    /// Whether a row is as it was, as far as its source goes: what the job's rules make of it is theirs.
    pub(crate) fn is_as_it_was(&self, before: u64, now: u64) -> bool {
        before == now || (self.rules.is_some() && before & OWN == now & OWN && before & RULES != now & RULES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::groups::GroupRule;
    use crate::reconcile::policy::Nested;

    fn derivation(nested: Nested) -> Derivation {
        let groups = GroupRule {
            via: "hr.memberships".parse().unwrap(),
            member: "user".into(),
            group: "group".into(),
            of: None,
            by: None,
            nestings: None,
            nested,
            column: "groups".into(),
            assigned: Vec::new(),
        };
        Derivation { groups: Some(groups), ..Derivation::default() }
    }

    #[test]
    fn the_rows_of_a_source_the_rows_beside_it_and_the_rules_are_told_apart() {
        let columns = ["id".to_owned(), "name".to_owned(), "groups".to_owned()];
        let digest = |nested, cells: &[&str; 3]| {
            let digest = RowDigest::new(&columns, &derivation(nested));
            let value = digest.of(&cells.map(str::to_owned).to_vec(), &mut Vec::new());
            (digest, value)
        };
        let (_, before) = digest(Nested::Direct, &["E1", "Ada", "staff"]);
        for (nested, cells, as_it_was) in [
            (Nested::Direct, ["E1", "Ada", "staff"], true),
            (Nested::Direct, ["E1", "Ada L.", "staff"], false),
            (Nested::Direct, ["E1", "Ada", "staff,admins"], false),
            (Nested::Flatten, ["E1", "Ada", "staff,admins"], true),
            (Nested::Flatten, ["E1", "Ada L.", "staff"], false),
        ] {
            let (digest, now) = digest(nested, &cells);
            assert_eq!(digest.is_as_it_was(before, now), as_it_was, "{nested:?} {cells:?}");
        }
    }
}
