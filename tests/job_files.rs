//! Every job file in `fixtures/jobs` and `jobs`: the valid ones are read, the broken ones are told exactly.
//!
//! `MUSTER_BLESS=1` writes what is found as what is expected.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use muster::job::{self, Job, SyncKind};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn load(path: &Path) -> Job {
    job::load(path).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn valid_job_files_are_read() {
    let files: Vec<PathBuf> = [toml_files("fixtures/jobs/valid"), toml_files("jobs")].concat();
    assert!(files.len() >= 8, "fixtures are missing");
    for path in files {
        let job = load(&path);
        assert!(!job.syncs.is_empty() && !job.systems.is_empty(), "{}", path.display());
    }
}

#[test]
fn broken_job_files_are_told_as_expected() {
    let bless = std::env::var_os("MUSTER_BLESS").is_some();
    let files = toml_files("fixtures/jobs/invalid");
    assert!(files.len() >= 25, "fixtures are missing");
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        // The file is named without its folder, so that the message is the same wherever the project lies.
        let found = match job::parse(&text, &path) {
            Ok(_) => "it is read without a word".to_owned(),
            Err(problems) => problems.to_string().replace(&path.display().to_string(), &name),
        };
        let found = format!("{found}\n");
        let expected_file = path.with_extension("expected");
        if bless {
            std::fs::write(&expected_file, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{name}\n  expected: {expected}\n  found:    {found}"));
        }
        assert!(!found.contains("hunter2"), "{name} repeats a secret: {found}");
        assert!(!found.contains("without a word"), "{name} is no broken file");
    }
    assert!(wrong.is_empty(), "MUSTER_BLESS=1 accepts these:\n{}", wrong.join("\n"));
}

#[test]
fn the_example_of_the_contract_means_what_it_says() {
    let job = load(&root().join("fixtures/jobs/valid/everything.toml"));
    assert_eq!(job.name, "idp-to-vault");
    let SyncKind::Objects(users) = &job.syncs[0].kind else { panic!("not objects") };
    assert_eq!(users.id, "idp.users->vault.users");
    assert_eq!(users.rules.mapping.rule("userName"), Some("email.lowerAscii()"));
    assert_eq!((users.rules.matching[0].confidence, users.rules.matching[1].confidence), (100, 80));
    assert_eq!(
        (users.thresholds.create[0].limit.count, users.thresholds.create[0].limit.percent),
        (Some(500), Some(10.0))
    );
    assert_eq!(users.thresholds.update[0].limit.percent, Some(20.0), "what is left out keeps its default");
    assert_eq!(
        (users.thresholds.removal_sum[0].limit.count, users.thresholds.removal_sum[0].limit.percent),
        (Some(50), Some(2.0))
    );
    let manager = &users.references[0];
    assert_eq!(
        (manager.to.to_string().as_str(), users.rules.mapping.rule("manager")),
        ("vault.users", Some("managerMail"))
    );
    let SyncKind::Association(memberships) = &job.syncs[2].kind else { panic!("no association") };
    assert_eq!(memberships.ends.iter().map(|end| end.name.as_str()).collect::<Vec<_>>(), ["group", "user"]);
    let snapshot = job.snapshot(&"idp.users".parse().unwrap());
    let (deleted, inserted) = (&snapshot.thresholds.deleted, &snapshot.thresholds.inserted);
    assert_eq!((deleted[0].limit.count, inserted[0].limit.percent), (Some(100), Some(20.0)));
    assert_eq!((deleted[1].suffix().as_str(), deleted[1].limit.count), ("/7d", Some(100)), "its window");
    assert_eq!(job.review.expires.as_secs(), 72 * 3600);
    assert!(job.review.approvers.as_ref().is_some_and(|file| file.is_file()), "relative to the job file");
    assert_eq!(job.apply.rate, Some(25.0));
}

/// A file is checked against the schema and then read into types: a key that only one of the two knows would be one
/// that an editor offers and the reader refuses, or one that is silently dropped. Every key that the schema offers is
/// used by a valid fixture, and no object of the schema is open.
#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let schema = job::schema();
    let mut offered = BTreeSet::new();
    for object in objects(&schema) {
        offered.extend(object["properties"].as_object().unwrap().keys().cloned());
        assert_eq!(object.get("additionalProperties"), Some(&Value::Bool(false)), "this takes any key: {object}");
    }
    let mut used = BTreeSet::new();
    for path in toml_files("fixtures/jobs/valid") {
        let table: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        keys(&toml::Value::Table(table), &mut used);
    }
    let unused: Vec<&String> = offered.difference(&used).collect();
    assert!(unused.is_empty(), "no valid fixture proves that these are read: {unused:?}");
}

/// Every object of a schema that has named properties.
fn objects(schema: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    if schema.get("properties").and_then(Value::as_object).is_some_and(|keys| keys.values().all(Value::is_object)) {
        found.push(schema);
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| found.extend(objects(value))),
        Value::Array(entries) => entries.iter().for_each(|value| found.extend(objects(value))),
        _ => {}
    }
    found
}

fn keys(value: &toml::Value, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        toml::Value::Array(entries) => entries.iter().for_each(|entry| keys(entry, found)),
        _ => {}
    }
}
