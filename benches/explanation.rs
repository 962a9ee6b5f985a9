//! How long it takes to say why a threshold tripped.
//!
//! `cargo bench --bench explanation` explains disasters of 1,000,000 users; `cargo bench --bench explanation -- 100000`
//! of another number. The comparison of the two snapshots is made before and is not measured. Each explanation is held
//! against what was done to the second snapshot.

mod measure;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use measure::sample::inside;
use measure::{Asked, Outcome, Results};
use muster::model::explanation::FactKind;
use muster::reconcile::explanation::{Movement, explain_rows};
use muster::snapshot::diff::{DiffOptions, Difference, diff};
use muster::snapshot::table::Table;

/// What happens to user number `n`: nothing left of them, or what is written of them.
type Fate = fn(u64) -> Option<String>;

const DISASTERS: [(&str, Fate, Movement, FactKind); 4] = [
    ("a format changed", |n| Some(user(n, "Sales", true)), Movement::Updated, FactKind::Format),
    ("half the tree lost", |n| (n % 2 == 0).then(|| user(n, "Sales", false)), Movement::Deleted, FactKind::Container),
    ("a unit renamed", |n| Some(user(n, "Vertrieb", false)), Movement::Updated, FactKind::Replaced),
    (
        "nothing in common",
        |n| (mixed(n) >> 25 & 1 == 0).then(|| user(n, "Sales", false)),
        Movement::Deleted,
        FactKind::Value,
    ),
];

fn main() -> Outcome<()> {
    let asked = Asked::read()?;
    let users: u64 = asked.words.first().map_or(Ok(1_000_000), |word| word.parse())?;
    let folder = tempfile::tempdir()?;
    let before = written(folder.path(), "before", users, |n| Some(user(n, "Sales", false)))?;
    let key = ["id".to_owned()];
    let old = Table::open(&before, &key)?;
    let mut cases: Vec<(Table, Difference)> = Vec::new();
    for (number, (_, fate, _, _)) in DISASTERS.iter().enumerate() {
        let new = Table::open(&written(folder.path(), &number.to_string(), users, fate)?, &key)?;
        let difference = diff(&old, &new, &DiffOptions::default())?;
        cases.push((new, difference));
    }
    let mut results = Results::new("explanation", "rows", &asked);
    asked.in_turn(cases.len(), |case, counted| {
        let ((name, _, movement, kind), (new, difference)) = (&DISASTERS[case], &cases[case]);
        let (found, sample) = inside(|| Ok(explain_rows((&old, new), difference, *movement, None, &|_| false)?))?;
        let explained = found.facts.first().is_some_and(|fact| fact.kind == *kind && found.facts.len() == 1);
        // Where there is nothing in common, saying so is right.
        if !explained && (*kind != FactKind::Value || !found.facts.is_empty()) {
            return Err(format!("{name}: {found:?}").into());
        }
        if counted {
            results.add(name, users as f64, sample);
        }
        Ok(())
    })?;
    results.end()
}

/// A number that has nothing to do with the ones beside it.
fn mixed(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

/// One row of twelve columns.
fn user(n: u64, sales: &str, dotted: bool) -> String {
    let lot = mixed(n);
    let department = [sales, "Nursing", "Finance", "Payments"][(lot % 4) as usize];
    let side = if n.is_multiple_of(2) { "East" } else { "West" };
    let (year, month, day) = (2000 + lot % 25, lot % 12 + 1, lot % 28 + 1);
    let hired = if dotted { format!("{day:02}.{month:02}.{year}") } else { format!("{year}-{month:02}-{day:02}") };
    format!(
        "u{n:07},user{n}@corp.example,Given{},Family{},\"CN=User {n},OU={department},OU={side},DC=corp\",{department},\
         Title {},City {},+41 {:09},{hired},{},true\n",
        lot % 1000,
        lot % 30_000,
        lot % 200,
        lot % 50,
        lot % 1_000_000_000,
        lot % 400,
    )
}

fn written(folder: &Path, name: &str, users: u64, fate: impl Fn(u64) -> Option<String>) -> Outcome<PathBuf> {
    let path = folder.join(format!("{name}.csv"));
    let mut file = BufWriter::new(File::create(&path)?);
    file.write_all(b"id,login,given,family,dn,department,title,city,phone,hired,costCenter,active\n")?;
    (0..users).filter_map(fate).try_for_each(|row| file.write_all(row.as_bytes()))?;
    file.flush()?;
    Ok(path)
}
