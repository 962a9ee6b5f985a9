//! What a rule costs a row: a mapping of 14 attributes, of columns alone and with one half computed, and single rules.
//!
//! `cargo bench --bench rules` maps 1,000,000 users; `cargo bench --bench rules -- 100000` another number. A file of them
//! is read on all cores and each row is mapped, as a plan does it; what a rule costs is what it takes more than a column.

mod measure;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use measure::sample::inside;
use measure::{Asked, Outcome, Results};
use muster::rules::lookup::Lookups;
use muster::rules::mapping::{BoundMapping, Mapped, Mapping};
use muster::snapshot::table::Table;

const COLUMNS: [&str; 14] = [
    "id",
    "login",
    "mail",
    "first",
    "last",
    "department",
    "title",
    "phone",
    "boss",
    "site",
    "city",
    "cost",
    "hired",
    "active",
];

/// What takes the place of a column in the case of that name.
const RULES: [(&str, &str); 8] = [
    ("lowerAscii", "mail.lowerAscii()"),
    ("ascii", "last.ascii()"),
    ("joined", "first + ' ' + last"),
    ("condition", "active ? title : ''"),
    ("extract", "mail.extract('@(.+)$')"),
    ("matches", "title.matches('^Clerk') ? 'yes' : 'no'"),
    ("formatDate", "hired.parseDate('%Y-%m-%d').formatDate('%d.%m.%Y')"),
    ("lookup", "lookup('hr.users', 'id', boss, 'mail')"),
];

const HALF: [(&str, &str); 7] = [
    ("login", "(first.substring(0, 1) + last).lowerAscii()"),
    ("mail", "mail.lowerAscii()"),
    ("first", "first.trim()"),
    ("department", "department == '' ? 'none' : department"),
    ("boss", "lookup('hr.users', 'id', boss, 'mail')"),
    ("cost", "cost.padLeft(8, '0')"),
    ("phone", "phone.replaceAll('[^0-9+]', '')"),
];

fn main() -> Outcome<()> {
    let asked = Asked::read()?;
    let users: u64 = asked.words.first().map_or(Ok(1_000_000), |word| word.parse())?;
    let folder = tempfile::tempdir()?;
    let table = written(folder.path(), users)?;
    let tables = BTreeMap::from([("hr.users".parse()?, table)]);
    let table = tables.values().next().ok_or("no table")?;

    let mut cases: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let columns: BTreeMap<String, String> = COLUMNS.map(|name| (name.to_owned(), name.to_owned())).into();
    cases.push(("columns".to_owned(), columns.clone()));
    let mut half = columns.clone();
    half.extend(HALF.map(|(attribute, rule)| (attribute.to_owned(), rule.to_owned())));
    cases.push(("half of them computed".to_owned(), half));
    for (name, rule) in RULES {
        let mut rules = columns.clone();
        rules.insert("title".to_owned(), rule.to_owned());
        cases.push((name.to_owned(), rules));
    }
    let mut bound: Vec<BoundMapping> = Vec::new();
    for (name, rules) in &cases {
        let wrong = |problems: Vec<_>| format!("{name}: {problems:?}");
        let mapping = Mapping::compile(rules, &BTreeSet::new()).map_err(wrong)?;
        let lookups = Lookups::read(mapping.lookups().cloned(), &tables)?;
        bound.push(mapping.bind(table.columns(), &lookups).map_err(wrong)?);
    }
    let mut results = Results::new("rules", "rows", &asked);
    asked.in_turn(cases.len() + 1, |case, counted| {
        let Some(mapping) = bound.get(case) else {
            let wanted = muster::rules::lookup::Lookup {
                resource: "hr.users".parse()?,
                key: "id".to_owned(),
                wanted: "mail".to_owned(),
            };
            let (_, sample) = inside(|| Ok(Lookups::read([wanted], &tables)?))?;
            if counted {
                results.add("to read a directory", users as f64, sample);
            }
            return Ok(());
        };
        let (failed, sample) = inside(|| {
            let failed = table.par_fold(
                || (0u64, 0usize),
                |(failed, bytes), row| {
                    for value in mapping.values(row) {
                        match value {
                            Mapped::Set(text) => *bytes += text.len(),
                            Mapped::Failed(_) => *failed += 1,
                            Mapped::Nothing | Mapped::Clear => {}
                        }
                    }
                },
            )?;
            Ok(failed.into_iter().map(|(failed, _)| failed).sum::<u64>())
        })?;
        if failed > 0 {
            return Err(format!("{}: {failed} rows failed", cases[case].0).into());
        }
        if counted {
            results.add(&cases[case].0, users as f64, sample);
        }
        Ok(())
    })?;
    let plain = results.wall("columns").as_secs_f64();
    for (name, _) in cases.iter().skip(1) {
        let rules = if name.starts_with("half") { HALF.len() } else { 1 };
        let more = (results.wall(name).as_secs_f64() - plain) / (users * rules as u64) as f64;
        println!("{name}: a rule costs {:.2} µs a row more than a column, on all cores", more * 1e6);
    }
    results.end()
}

fn written(folder: &Path, users: u64) -> Outcome<Table> {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for n in 0..users {
        let lot = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        writeln!(
            text,
            "E{n:07},user{n},User{n}@Corp.example,Given{},Famïly{},Dept{},{} {n},+41 {:09},E{:07},S{},City {},{},20{:02}-{:02}-{:02},{}",
            lot % 1000,
            lot % 5000,
            lot % 40,
            if lot % 3 == 0 { "Clerk" } else { "Nurse" },
            lot % 1_000_000_000,
            lot % users.max(1),
            lot % 300,
            lot % 300,
            lot % 9999,
            lot % 25,
            lot % 12 + 1,
            lot % 28 + 1,
            lot % 8 != 0,
        )?;
    }
    let path = folder.join("users.csv");
    std::fs::write(&path, text)?;
    Ok(Table::open(&path, &["id".to_owned()])?)
}
