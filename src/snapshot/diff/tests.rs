//! The engine against a slow and obvious one.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::snapshot::row::Cells;

fn table(folder: &Path, name: &str, text: &str, key: &[&str]) -> Table {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    Table::open(&path, &key.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn run(old: &str, new: &str, key: &[&str], key_mask: u64) -> (Difference, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (table(folder.path(), "old.csv", old, key), table(folder.path(), "new.csv", new, key));
    let difference = diff_by(&old, &new, &DiffOptions::default(), key_mask).unwrap();
    let mut lines = Vec::new();
    for (place, key) in difference.added.iter().zip(&difference.keys.added) {
        assert_eq!(&new.key_of(&new.fetch(*place).unwrap()), key);
        lines.push(format!("+{key}"));
    }
    for (place, key) in difference.removed.iter().zip(&difference.keys.removed) {
        assert_eq!(&old.key_of(&old.fetch(*place).unwrap()), key);
        lines.push(format!("-{key}"));
    }
    for ((before, after, columns), key) in difference.changed.iter().zip(&difference.keys.changed) {
        assert_eq!(&old.key_of(&old.fetch(*before).unwrap()), key);
        let names: Vec<&str> = columns.iter().map(|c| new.columns()[*c].as_str()).collect();
        lines.push(format!("~{key} {}", names.join(";")));
        assert!(columns.iter().all(|c| !new.fetch(*after).unwrap().cell(*c).contains('\0')));
    }
    (difference, lines)
}

#[test]
fn quotes_column_order_row_order_and_list_order_make_no_difference() {
    let old = "id,name,roles\n1,\"a\",\"[\"\"x\"\",\"\"y\"\"]\"\n2,\"b,c\",\n3,z,[]\n";
    let new = "roles,id,name\r\n,3,z\r\n,2,\"b,c\"\r\n\"[\"\"y\"\",\"\"x\"\",\"\"x\"\"]\",\"1\",a";
    let (difference, lines) = run(old, new, &["id"], u64::MAX);
    assert_eq!((lines.len(), difference.unchanged), (0, 3));
}

#[test]
fn a_comma_inside_a_cell_is_not_one_between_cells() {
    let (_, lines) = run("id,a,b\n1,\"x,y\",z\n", "id,a,b\n1,x,\"y,z\"\n", &["id"], u64::MAX);
    assert_eq!(lines, ["~1 a;b"]);
}

#[test]
fn repeated_and_empty_keys_are_named_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let old = table(folder.path(), "old.csv", "id,n\n1,a\n1,b\n,x\n2,c\n", &["id"]);
    let new = table(folder.path(), "new.csv", "id,n\n2,c\n2,\"d\ne\"\n2,f\n9,g\n9,g\n1,a\n", &["id"]);
    let difference = diff(&old, &new, &DiffOptions::default()).unwrap();
    assert_eq!(difference.counts(), Counts { added: 1, removed: 0, changed: 0, unchanged: 2 });
    let text = difference.require_unique(&old, &new).unwrap_err().to_string();
    assert!(text.contains("1: rows 2 and 3"), "{text}");
    assert!(text.contains("1 row without a key: row 4"), "{text}");
    assert!(
        text.contains("2: rows 2 and 3, 2: rows 2 and 4 (lines 2 and 5), 9: rows 5 and 6 (lines 6 and 7)"),
        "{text}"
    );
}

#[test]
fn a_joint_inside_a_cell_does_not_make_two_keys_one() {
    let (difference, lines) = run("a,b\nx\u{1f}y,z\n", "a,b\nx,y\u{1f}z\n", &["a", "b"], u64::MAX);
    assert_eq!(lines.len(), 2);
    assert_eq!(difference.unchanged, 0);
}

type Rows = BTreeMap<u8, (u8, u8)>;

fn text(rows: &Rows, reverse: bool) -> String {
    let mut lines: Vec<String> = rows.iter().map(|(k, (a, b))| format!("k{k},{a},\"b{b}\"\n")).collect();
    if reverse {
        lines.reverse();
    }
    format!("id,a,b\n{}", lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_answer_is_that_of_two_maps_whatever_collides(
        old in proptest::collection::btree_map(any::<u8>(), (0u8..3, 0u8..3), 0..60),
        new in proptest::collection::btree_map(any::<u8>(), (0u8..3, 0u8..3), 0..60),
        bits in 0u32..4,
    ) {
        let mask = if bits == 3 { u64::MAX } else { (1 << bits) - 1 };
        let (difference, lines) = run(&text(&old, false), &text(&new, true), &["id"], mask);
        let sorted = |mut lines: Vec<String>| { lines.sort(); lines };
        let mut want = sorted(new.keys().filter(|k| !old.contains_key(k)).map(|k| format!("+k{k}")).collect());
        want.extend(sorted(old.keys().filter(|k| !new.contains_key(k)).map(|k| format!("-k{k}")).collect()));
        let mut changed = Vec::new();
        let mut unchanged = 0;
        for (k, (a, b)) in &old {
            match new.get(k) {
                Some((c, d)) if (a, b) != (c, d) => {
                    let columns = [(a != c).then_some("a"), (b != d).then_some("b")];
                    changed.push((format!("k{k}"), columns.into_iter().flatten().collect::<Vec<_>>().join(";")));
                }
                Some(_) => unchanged += 1,
                None => {}
            }
        }
        changed.sort();
        want.extend(changed.into_iter().map(|(k, columns)| format!("~{k} {columns}")));
        prop_assert_eq!(lines, want);
        prop_assert_eq!(difference.unchanged, unchanged);
        prop_assert_eq!(difference.doubtful, Doubtful::default());
    }
}
