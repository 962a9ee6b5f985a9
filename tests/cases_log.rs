//! The log: what happened, who or what caused it, and whether anybody meddled with it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, people};

/// A company that changed a little, and one order that the target refused; the run that did it.
fn with_a_history() -> (Company, String) {
    let company = Company::of(5);
    company.settle();
    let mut staff = people(5);
    staff[0].family = "Neu".into();
    staff[1].enabled = false;
    staff[2].family = "Wrong".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    let refused = company.vault.user("user0003@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    company.vault.faults(json!({"rules": [
        {"method": "PATCH", "prefix": format!("/Users/{refused}"), "action": {"status": {"code": 400}}}]}));
    company.world.muster(&["apply", "corp"]).ended(5);
    (company, run)
}

#[test]
fn case_i3_every_operation_is_found_with_who_or_what_caused_it() {
    let (company, run) = with_a_history();
    let log = |args: &[&str]| -> Vec<Value> {
        let args = [&["log", "--format", "json", "--limit", "0"], args].concat();
        company.world.muster(&args).ended(0).json().as_array().unwrap().clone()
    };
    let kinds = |entries: &[Value]| -> Vec<String> {
        entries.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
    };
    // Whoever looks for a person finds them by key, by login in any case, and by the order.
    let by_key = log(&["corp", "--key", "E0001", "--run", &run]);
    assert_eq!(kinds(&by_key), ["orders-raised", "orders-approved", "orders-begun", "order-applied"]);
    assert!(by_key.iter().all(|entry| entry["who"] == "tester"), "{by_key:#?}");
    assert_eq!(by_key, log(&["--key", "USER0001@corp.example", "--run", &run]));
    let order = by_key[3]["orders"][0].as_str().unwrap();
    assert_eq!(by_key[3], log(&["--key", order]).pop().unwrap());
    // Each condition narrows the others.
    assert_eq!(kinds(&log(&[&run, "--key", "E0002", "--operation", "disable", "--system", "vault"])).len(), 4);
    assert!(log(&[&run, "--key", "E0001", "--operation", "disable"]).is_empty());
    assert!(log(&[&run, "--system", "hr", "--operation", "disable"]).is_empty());
    // A name that nobody knows is a slip of the pen; what never happened is an answer.
    for (args, words) in [
        (["--reviewer", "testr"], ["did you mean `tester`?", "there are: tester"]),
        (["--system", "valt"], ["did you mean `vault`?", "there are: hr, vault"]),
        (["--key", "E0oo1"], ["no order was ever about it", "did you mean `E0001`?"]),
        (["--operation", "updat"], ["create, update", "invalid value"]),
    ] {
        company.world.muster(&["log", args[0], args[1]]).ended(2).says(&words);
    }
    company.world.muster(&["log", "--operation", "delete"]).ended(0).says(&["no entry of the log fits --operation"]);
    company.world.muster(&["log", "--key", "E0005", "--errors"]).ended(0).says(&["fits all of --key, --errors"]);
    let ended = company.world.muster(&["log", &run]).ended(0);
    assert!(!ended.out.contains(['{', '}']), "words, not JSON:\n{}", ended.out);
    let errors = log(&["corp", "--errors", "--operation", "update", "--reviewer", "TESTER", "--since", "1h"]);
    assert_eq!(kinds(&errors), ["order-errored"]);
    assert!(errors[0]["detail"]["failure"].as_str().unwrap().contains("400"), "{errors:#?}");
    assert_eq!(errors[0]["detail"]["key"], "E0003");
    assert!(log(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    let of_run = log(&[&run]);
    assert_eq!(of_run, log(&["--run", &run]));
    assert!(of_run.iter().all(|entry| entry["run"] == run.as_str()));
    let said = company.world.muster(&["log", &run, "--key", "E0001"]).ended(0);
    said.says(&["order-applied", "by tester", "operation=update", "key=E0001"]);
    company.world.muster(&["log", "--run", "yesterday"]).ended(2).says(&["is no run"]);
    company.world.muster(&["log", "20200101T000000Z-0000"]).ended(2).says(&["no run"]);
}

#[test]
fn case_i3_whatever_is_done_to_the_log_is_found_and_named() {
    let (company, _) = with_a_history();
    company.world.muster(&["log", "--verify"]).ended(0).says(&["the log is whole"]);
    let path = company.world.state().join("muster.db");
    let open = || rusqlite::Connection::open(&path).unwrap();
    let last: i64 = open().query_row("SELECT max(seq) FROM log", [], |row| row.get(0)).unwrap();
    let columns = "at, kind, run, orders, who, error, detail, hash";
    let shift = "UPDATE log SET seq = -seq - 1 WHERE seq >= 6; UPDATE log SET seq = -seq WHERE seq < 0;";
    let forged = format!("INSERT INTO log SELECT 6, {columns} FROM log WHERE seq = 4;");
    let swap = |a: i64, b: i64| {
        format!(
            "UPDATE log SET seq = -1 WHERE seq = {a}; UPDATE log SET seq = {a} WHERE seq = {b}; UPDATE log SET seq = {b} WHERE seq = -1;"
        )
    };
    let cases = [
        (
            "UPDATE log SET detail = replace(detail, 'seen', 'well seen') WHERE kind = 'approval-sealed'".to_owned(),
            None,
            "`approval-sealed`",
        ),
        ("UPDATE log SET who = 'joe' WHERE seq = 5".to_owned(), Some(5), "by joe"),
        ("UPDATE log SET error = 2 WHERE seq = 5".to_owned(), Some(5), "not what was written"),
        ("DELETE FROM log WHERE seq = 7".to_owned(), Some(7), "was removed; the next that is there is entry 8"),
        ("DELETE FROM log WHERE seq IN (7, 8)".to_owned(), Some(7), "up to entry 8 were removed"),
        (format!("DELETE FROM log WHERE seq = {last}"), Some(last), "it was removed, at the end of the log"),
        (format!("DELETE FROM log WHERE seq > {last} - 3"), Some(last - 2), "were removed, at the end of the log"),
        (swap(5, 9), Some(5), "was written as entry 9"),
        (swap(5, 6), Some(5), "was written as entry 6"),
        (format!("{shift}{forged}"), Some(6), "was written as entry 4"),
        (
            format!("INSERT INTO log SELECT {last} + 1, {columns} FROM log WHERE seq = {last}"),
            Some(last + 1),
            "was put in",
        ),
        (format!("INSERT INTO log SELECT 0, {columns} FROM log WHERE seq = {last}"), Some(0), "in front of the first"),
        ("DELETE FROM log_orders WHERE seq = (SELECT max(seq) FROM log_orders)".to_owned(), None, "log_orders"),
        ("UPDATE log_head SET hash = zeroblob(32)".to_owned(), Some(last), "log_head"),
        ("UPDATE log SET detail = CAST(detail AS BLOB) WHERE seq = 5".to_owned(), Some(5), "not what was written"),
        (
            "DELETE FROM log WHERE seq > 5; UPDATE log_head SET seq = 5, hash = (SELECT hash FROM log WHERE seq = 5)"
                .to_owned(),
            Some(6),
            "the end of the log was cut off",
        ),
    ];
    let copies: Vec<(&str, Option<Vec<u8>>)> =
        ["", "-wal"].map(|end| (end, std::fs::read(format!("{}{end}", path.display())).ok())).to_vec();
    for (sql, seq, words) in cases {
        let db = open();
        db.execute_batch(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(db);
        let said = company.world.muster(&["log", "--verify"]).ended(1);
        let named = seq.map(|seq| format!("broken at entry {seq}: "));
        assert!(named.is_none_or(|named| said.err.contains(&named)), "{sql}\n{}", said.err);
        said.says(&[words, "and later ones prove nothing"]).never_says(&["the 0 before", "Blob"]);
        for (end, bytes) in &copies {
            let file = format!("{}{end}", path.display());
            match bytes {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => drop(std::fs::remove_file(&file)),
            }
        }
        let _ = std::fs::remove_file(format!("{}-shm", path.display()));
        company.world.muster(&["log", "--verify"]).ended(0);
    }
}
