//! The engine against a slow and obvious one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

fn table(folder: &Path, name: &str, text: &str, key: &[&str]) -> Table {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    Table::open(&path, &key.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A pool of so many threads, made once.
fn pool(threads: usize) -> &'static rayon::ThreadPool {
    static POOLS: [OnceLock<rayon::ThreadPool>; 9] = [const { OnceLock::new() }; 9];
    POOLS[threads].get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

/// All that a difference tells, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Told {
    rows: Vec<(String, String)>,
    counts: Counts,
    columns: [Vec<String>; 2],
    doubtful: Doubtful,
}

fn told(difference: &Difference) -> Told {
    let mut rows = Vec::new();
    let each = |key: &str, change: Change<'_>| {
        rows.push((key.to_owned(), format!("{change:?}")));
        Ok::<(), DiffError>(())
    };
    difference.for_each(each).unwrap();
    Told {
        rows,
        counts: difference.counts,
        columns: [difference.columns_added.clone(), difference.columns_removed.clone()],
        doubtful: difference.doubtful.clone(),
    }
}

/// The keys of the rows that differ, in their order.
fn keys(difference: &Difference) -> Vec<String> {
    told(difference).rows.into_iter().map(|(key, _)| key).collect()
}

fn run(old: &str, new: &str, key: &[&str], key_mask: u64) -> (Difference, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (table(folder.path(), "old.csv", old, key), table(folder.path(), "new.csv", new, key));
    let difference = diff_by(&old, &new, &DiffOptions::default(), key_mask).unwrap();
    for (memory, verify, threads) in [(None, true, 2), (Some(0), false, 1), (Some(0), true, 8), (Some(1), false, 8)] {
        let options = DiffOptions { memory, verify, ..DiffOptions::default() };
        let again = pool(threads).install(|| diff_by(&old, &new, &options, key_mask)).unwrap();
        assert_eq!(told(&again), told(&difference), "{options:?}, {threads} threads");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    let mut lines = Vec::new();
    let each = |key: &str, change: Change<'_>| {
        let has_key = |table: &Table, place| assert_eq!(table.key_of(&table.fetch(place).unwrap()), key);
        lines.push(match change {
            Change::Added(place) => {
                has_key(&new, place);
                format!("+{key}")
            }
            Change::Removed(place) => {
                has_key(&old, place);
                format!("-{key}")
            }
            Change::Changed { old: before, new: after, columns } => {
                has_key(&old, before);
                has_key(&new, after);
                let names: Vec<&str> = columns.iter().map(|c| new.columns()[*c].as_str()).collect();
                format!("~{key} {}", names.join(";"))
            }
        });
        Ok::<(), DiffError>(())
    };
    difference.for_each(each).unwrap();
    (difference, lines)
}

#[test]
fn quotes_column_order_row_order_and_list_order_make_no_difference() {
    let old = "id,name,roles\n1,\"a\",\"[\"\"x\"\",\"\"y\"\"]\"\n2,\"b,c\",\n3,z,[]\n";
    let new = "roles,id,name\r\n,3,z\r\n,2,\"b,c\"\r\n\"[\"\"y\"\",\"\"x\"\",\"\"x\"\"]\",\"1\",a";
    let (difference, lines) = run(old, new, &["id"], u64::MAX);
    assert_eq!((lines.len(), difference.counts.unchanged), (0, 3));
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
    assert_eq!(difference.counts, Counts { added: 1, removed: 0, changed: 0, unchanged: 2 });
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
    assert_eq!(difference.counts.unchanged, 0);
}

/// Rows of a key and a value, in an order of their own.
fn shuffled(rows: impl Iterator<Item = (u64, u64)>, salt: u64) -> String {
    let mut rows: Vec<(u64, u64)> = rows.collect();
    rows.sort_by_key(|(key, _)| (key ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let lines: Vec<String> = rows.iter().map(|(key, value)| format!("{value},person-{key}\n")).collect();
    format!("value,id\n{}", lines.concat())
}

#[test]
fn the_answer_depends_on_neither_memory_nor_threads_nor_order() {
    const ROWS: u64 = 40_000;
    let folder = tempfile::tempdir().unwrap();
    let old = || (0..ROWS).map(|key| (key, key / 7));
    let new = || (100..ROWS + 50).map(|key| (key, key / 7 + u64::from(key % 100 == 0)));
    let first = table(folder.path(), "old.csv", &shuffled(old(), 1), &["id"]);
    let mut answers = Vec::new();
    for (salt, threads, memory) in [(2, 1, None), (3, 2, None), (4, 8, Some(0)), (5, 2, Some(1 << 20)), (6, 1, Some(9))]
    {
        let second = table(folder.path(), "new.csv", &shuffled(new(), salt), &["id"]);
        let options = DiffOptions { memory, ..DiffOptions::default() };
        answers.push(pool(threads).install(|| diff(&first, &second, &options)).unwrap());
    }
    let counts = Counts { added: 50, removed: 100, changed: 399, unchanged: 39_501 };
    for answer in &answers {
        assert_eq!((answer.counts, keys(answer)), (counts, keys(&answers[0])));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn normalisers_hold_for_keys_digests_and_cells() {
    let folder = tempfile::tempdir().unwrap();
    let old = table(folder.path(), "old.csv", "id,n,d\nJANE,1.0,2026-01-02\njoe,2,x\nann,3,x\n", &["id"]);
    let new = table(folder.path(), "new.csv", "d,id,n\n2026-01-02T00:00:00Z,jane,01\nX,Joe,2.5\n x,ANN,3\n", &["id"]);
    let words = |words: &str| words.split(',').map(|word| word.parse().unwrap()).collect::<Vec<Normaliser>>();
    let columns = [("id", words("case")), ("n", words("number")), ("d", words("date,trim,case"))];
    let normalise = columns.map(|(column, list)| (column.to_owned(), list)).into();
    let mut options = DiffOptions { normalise, ..DiffOptions::default() };
    let difference = diff(&old, &new, &options).unwrap();
    assert_eq!(difference.counts, Counts { added: 0, removed: 0, changed: 1, unchanged: 2 });
    let rows = told(&difference).rows;
    assert!(rows.len() == 1 && rows[0].0 == "Joe" && rows[0].1.ends_with("columns: [2] }"), "{rows:?}");
    options.normalise.insert("m".to_owned(), words("set"));
    assert!(diff(&old, &new, &options).unwrap_err().to_string().contains("`m`"));
}

#[test]
fn digests_without_room_are_an_error_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let old = table(folder.path(), "old.csv", "id\n1\n", &["id"]);
    let spill_folder = Some(folder.path().join("missing"));
    let options = DiffOptions { memory: Some(0), spill_folder, ..DiffOptions::default() };
    assert!(matches!(diff(&old, &old, &options), Err(DiffError::NotKept { .. })));
}

#[test]
fn kept_digests_give_the_same_answer_and_are_refused_in_whatever_way_they_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let old = table(folder.path(), "old.csv", &shuffled((0..3_000).map(|key| (key, key)), 1), &["id"]);
    let new = table(folder.path(), "new.csv", &shuffled((9..3_000).map(|key| (key, key / 2900)), 2), &["id"]);
    let digest = |table: &Table| Digest::of(&std::fs::read(table.path()).unwrap());
    let (old_sha256, new_sha256) = (digest(&old), digest(&new));
    let options = DiffOptions::default();
    let compare = |sidecar| {
        let kept = Kept { old: sidecar, old_sha256: &old_sha256, new_sha256: &new_sha256 };
        diff_keeping(&old, &new, &options, kept, &()).map(|done| {
            assert!(done.unkept.is_none());
            told(&done.found)
        })
    };
    let want = compare(None).unwrap();
    let open = |table: &Table, sha256| Sidecar::open(table.path(), sha256, &["id".to_owned()]);
    let kept = open(&old, &old_sha256).unwrap();
    assert!(kept.is_untouched(old.path()));
    assert_eq!(compare(Some(kept)).unwrap(), want);
    open(&new, &new_sha256).unwrap();
    assert!(open(&old, &new_sha256).unwrap_err().to_string().contains("another file"));

    let path = sidecar::path_of(old.path());
    let whole = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        open(&old, &old_sha256).is_err_and(|error| error.to_string().contains("not used"))
            || matches!(open(&old, &old_sha256).map(|kept| compare(Some(kept))), Ok(Err(DiffError::Damaged(_))))
    };
    for at in [0, 8, 12, 16, 40, 200, whole.len() - 48_070, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        assert!(refused(&damaged), "byte {at}");
        assert!(refused(&whole[..at]), "cut at {at}");
    }
    assert!(refused(&[whole.as_slice(), b"x"].concat()));
    assert!(refused(&std::fs::read(sidecar::path_of(new.path())).unwrap()));

    // Rows that are not those that were digested.
    std::fs::write(&path, &whole).unwrap();
    let text = std::fs::read_to_string(old.path()).unwrap();
    std::fs::write(old.path(), text.replace("2500,person-2500", "2501,person-2500")).unwrap();
    let kept = open(&old, &old_sha256).unwrap();
    assert!(!kept.is_untouched(old.path()));
    assert!(matches!(compare(Some(kept)), Err(DiffError::Damaged(_))));
}

#[test]
fn rows_that_are_wrongly_taken_for_equal_do_not_pass_the_proof() {
    let folder = tempfile::tempdir().unwrap();
    let old = table(folder.path(), "old.csv", "id,n\n1,a\n2,b\n3,c\n", &["id"]);
    let new = table(folder.path(), "new.csv", "id,n\n1,a\n3,d\n4,b\n", &["id"]);
    let compare = |verify, row_mask| {
        let options = DiffOptions { verify, ..DiffOptions::default() };
        Comparison { old: &old, new: &new, options: &options, key_mask: u64::MAX, row_mask }.run(7)
    };
    let want = Counts { added: 1, removed: 1, changed: 1, unchanged: 1 };
    assert_eq!(compare(true, u64::MAX).unwrap().counts, want);
    assert_eq!(compare(false, 0).unwrap().counts, Counts { changed: 0, unchanged: 2, ..want });
    assert!(matches!(compare(true, 0), Err(DiffError::Unproved { .. })));
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
        let mask = if bits == 3 { u64::MAX } else { !(u64::MAX >> bits) };
        let (difference, lines) = run(&text(&old, false), &text(&new, true), &["id"], mask);
        let mut want: Vec<(String, String)> = Vec::new();
        let mut unchanged = 0;
        for k in old.keys().chain(new.keys().filter(|k| !old.contains_key(k))) {
            let line = match (old.get(k), new.get(k)) {
                (None, _) => format!("+k{k}"),
                (_, None) => format!("-k{k}"),
                (Some((a, b)), Some((c, d))) if (a, b) != (c, d) => {
                    let columns = [(a != c).then_some("a"), (b != d).then_some("b")];
                    format!("~k{k} {}", columns.into_iter().flatten().collect::<Vec<_>>().join(";"))
                }
                _ => {
                    unchanged += 1;
                    continue;
                }
            };
            want.push((format!("k{k}"), line));
        }
        want.sort();
        let want: Vec<String> = want.into_iter().map(|(_, line)| line).collect();
        prop_assert_eq!(lines, want);
        prop_assert_eq!(difference.counts.unchanged, unchanged);
        prop_assert_eq!(difference.doubtful, Doubtful::default());
    }
}
