//! An incremental export put into its baseline.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::error::SnapshotError;
use super::row::{Cells, OwnedRow};
use super::table::Table;
use super::writer::{Writer, Written};

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The file.
    pub written: Written,
    /// Rows of the baseline that the delta replaced.
    pub updated: u64,
    /// Rows that only the delta has.
    pub appended: u64,
    /// Rows of the baseline that are gone: reported as gone, or of a replaced owner and not in the delta.
    pub removed: u64,
}

/// Writes the baseline's rows in their order, each replaced by the delta's row with the same key where there is one,
/// then the delta's other rows in theirs.
///
/// `gone` holds keys as `Table::key_of` makes them; a key that is gone and also in the delta stays gone, so a caller
/// who sees a row after its deletion takes it out of `gone`. `replaced` names end columns and the owners whose
/// rows the delta holds completely: their rows in the baseline that the delta does not repeat are dropped. `only` names
/// columns and, as digests, the ids that may still stand in them: rows of the baseline with others are dropped, too, unless
/// the delta repeats them. The columns are the writer's (those of the delta): a column that a file does not have is empty.
/// Of several rows with one key in the delta the last counts. The baseline is streamed, the delta is held in memory.
pub fn merge(
    baseline: &Path,
    key: &[String],
    delta: &Path,
    gone: &HashSet<String>,
    replaced: &BTreeMap<String, HashSet<String>>,
    only: &BTreeMap<String, HashSet<u128>>,
    mut out: Writer,
) -> Result<Merged, SnapshotError> {
    let (old, new) = (Table::open(baseline, key)?, Table::open(delta, key)?);
    let mut delta = Delta::read(&new)?;
    let old_columns = positions(&old, out.columns());
    let new_columns = positions(&new, out.columns());
    let column = |name: &str| {
        let problem = format!("the column `{name}` is not in the header; run a complete export");
        let lacking = || SnapshotError::Header { path: baseline.to_owned(), problems: vec![problem] };
        old.column(name).ok_or_else(lacking)
    };
    let (mut owners, mut present) = (Vec::new(), Vec::new());
    for (end, ids) in replaced {
        owners.push((column(end)?, ids));
    }
    for (name, ids) in only {
        present.push((column(name)?, ids));
    }
    let (mut updated, mut appended, mut removed) = (0, 0, 0);
    old.try_for_each(|row| {
        let key = old.key_of(row);
        if gone.contains(&key) {
            removed += 1;
            return Ok(());
        }
        if let Some(i) = delta.by_key.get(&key) {
            // A key that the baseline repeats is written once.
            if !std::mem::replace(&mut delta.written[*i], true) {
                updated += 1;
                write(&mut out, &delta.rows[*i], &new_columns)?;
            }
            return Ok(());
        }
        let is_known = |(column, ids): &(usize, &HashSet<u128>)| ids.contains(&digest_of_id(row.cell(*column)));
        if owners.iter().any(|(column, ids)| ids.contains(row.cell(*column))) || !present.iter().all(is_known) {
            removed += 1;
            return Ok(());
        }
        write(&mut out, row, &old_columns)
    })?;
    for (i, row) in delta.rows.iter().enumerate() {
        let is_last = delta.by_key.get(&new.key_of(row)) == Some(&i);
        if is_last && !delta.written[i] && !gone.contains(&new.key_of(row)) {
            appended += 1;
            write(&mut out, row, &new_columns)?;
        }
    }
    Ok(Merged { written: out.finish()?, updated, appended, removed })
}

/// What stands for an id where many are held.
pub fn digest_of_id(id: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(id.as_bytes())
}

/// The delta's rows by key.
struct Delta {
    rows: Vec<OwnedRow>,
    by_key: HashMap<String, usize>,
    written: Vec<bool>,
}

impl Delta {
    fn read(table: &Table) -> Result<Self, SnapshotError> {
        let mut delta = Self { rows: Vec::new(), by_key: HashMap::new(), written: Vec::new() };
        table.for_each(|row| {
            delta.by_key.insert(table.key_of(row), delta.rows.len());
            delta.rows.push(OwnedRow::of(row));
        })?;
        delta.written = vec![false; delta.rows.len()];
        Ok(delta)
    }
}

/// For each column, its position in a table.
fn positions(table: &Table, columns: &[String]) -> Vec<Option<usize>> {
    columns.iter().map(|name| table.column(name)).collect()
}

fn write(out: &mut Writer, row: &dyn Cells, columns: &[Option<usize>]) -> Result<(), SnapshotError> {
    let cells: Vec<&str> = columns.iter().map(|column| column.map_or("", |c| row.cell(c))).collect();
    out.row(&cells)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn merged(
        baseline: &str,
        delta: &str,
        key: &[&str],
        gone: &[&str],
        replaced: &[(&str, &[&str])],
    ) -> (Merged, String) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.csv"), baseline).unwrap();
        std::fs::write(at("b.csv"), delta).unwrap();
        let set = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<HashSet<String>>();
        let key: Vec<String> = key.iter().map(|k| (*k).to_owned()).collect();
        let columns: Vec<String> = delta.lines().next().unwrap().split(',').map(str::to_owned).collect();
        let out = Writer::create(&at("c.csv"), &columns, &key).unwrap();
        let owners: BTreeMap<String, HashSet<String>> =
            replaced.iter().map(|(end, ids)| ((*end).to_owned(), set(ids))).collect();
        let there = ["g1", "g2", "g3", "g4"].map(digest_of_id).into();
        let only = if owners.is_empty() { BTreeMap::new() } else { BTreeMap::from([("group".to_owned(), there)]) };
        let merged = merge(&at("a.csv"), &key, &at("b.csv"), &set(gone), &owners, &only, out).unwrap();
        (merged, std::fs::read_to_string(at("c.csv")).unwrap())
    }

    #[test]
    fn rows_are_updated_in_place_appended_and_removed_and_columns_unified() {
        let (merged, text) = merged(
            "id,name,old\n1,a,x\n2,b,x\n3,c,x\n",
            "mail,id,name\nfirst,4,d\nb@x,2,\"B, b\"\nlast,4,d\n",
            &["id"],
            &["3"],
            &[],
        );
        assert_eq!(text, "mail,id,name\n,1,a\nb@x,2,\"B, b\"\nlast,4,d\n");
        assert_eq!((merged.updated, merged.appended, merged.removed, merged.written.rows), (1, 1, 1, 3));
    }

    #[test]
    fn the_rows_of_a_replaced_owner_are_those_of_the_delta() {
        let (merged, text) = merged(
            "group,user\ng1,a\ng2,a\ng1,b\ng3,c\ng4,a\ng4,e\ng5,a\n",
            "group,user\ng1,b\ng1,d\n",
            &["group", "user"],
            &[],
            &[("group", &["g1", "g3"]), ("user", &["e"])],
        );
        assert_eq!(text, "group,user\ng2,a\ng1,b\ng4,a\ng1,d\n");
        assert_eq!((merged.updated, merged.appended, merged.removed), (1, 1, 4));
    }
}
