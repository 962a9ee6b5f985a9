//! Somebody who is gone on both sides is erased from what is remembered: nothing in the state folder names them, the log is
//! verified as before, and whoever else is in it keeps every byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/house.rs"]
mod house;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use house::{House, days_ago, lasting_address, muster};
use muster::model::approval::Decision;
use muster::run::Stage;
use rusqlite::Connection;
use serde_json::Value;
use support::company::{Person, people};
use support::{World, files_below};

const JANE: &str = "JD-0815";
const LOGIN: &str = "jane.doe@corp.example";
const MAIL: &str = "j.d@mail.example";
const FAMILY: &str = "Doe-O'Neill";

/// Four people; the second is Jane.
fn staff() -> Vec<Person> {
    let mut staff = people(4);
    staff[1].id = JANE.into();
    (staff[1].login, staff[1].email, staff[1].family) = (LOGIN.into(), MAIL.into(), FAMILY.into());
    staff
}

fn without_jane() -> Vec<Person> {
    staff().into_iter().filter(|person| person.login != LOGIN).collect()
}

/// The id of Jane's account.
async fn id_of_jane(house: &House) -> String {
    let (_, users) = house.ask("GET", "/Users?count=200", None).await;
    let users = users["Resources"].as_array().unwrap().clone();
    let jane = users.iter().find(|user| user["userName"] == LOGIN).unwrap();
    jane["id"].as_str().unwrap().to_owned()
}

async fn carried_out(house: &House) -> String {
    let run = house.run(Stage::Plan).await.unwrap().run;
    house.review(&run, |_| Some(Decision::Approve));
    let applied = house.apply(Duration::ZERO).await.unwrap();
    assert_eq!(applied.errored, 0);
    run.0
}

/// A house that Jane joined and left a week ago: the run that created her account, the one that deleted it, and its id.
async fn left() -> (House, String, String, String) {
    let house = House::found(&staff(), "", lasting_address()).await;
    days_ago(&house, 9);
    house.settle().await;
    let joined = house.store().runs("corp", 0).unwrap().pop().unwrap().id.0;
    let id = id_of_jane(&house).await;
    days_ago(&house, 8);
    house.hr(&without_jane());
    let gone = carried_out(&house).await;
    days_ago(&house, 7);
    house.run(Stage::Apply).await.unwrap();
    days_ago(&house, 0);
    (house, joined, gone, id)
}

/// The files of the state folder in which one of these stands, in any case.
fn naming(state: &Path, names: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for file in files_below(state) {
        let bytes = fs::read(&file).unwrap().to_ascii_lowercase();
        for name in names {
            let name = name.to_ascii_lowercase();
            if bytes.windows(name.len()).any(|window| window == name.as_bytes()) {
                found.push((file.clone(), name));
            }
        }
    }
    found
}

/// The lines of all runs' files that are of orders and do not name Jane, file by file.
fn lines_of_others(house: &House, id: &str) -> BTreeMap<PathBuf, Vec<String>> {
    let runs = house.state().join("runs");
    let of = |file: &PathBuf| ["orders.ndjson", "review.csv"].iter().any(|name| file.ends_with(name));
    let mut lines = BTreeMap::new();
    for file in files_below(&runs).into_iter().filter(of) {
        let text = fs::read_to_string(&file).unwrap();
        let others = text
            .lines()
            .filter(|line| ![JANE, LOGIN, MAIL, FAMILY, id, "erased"].iter().any(|name| line.contains(name)));
        lines.insert(file.clone(), others.map(str::to_owned).collect());
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_identity_is_erased_and_all_else_stays() {
    let (house, joined, gone, id) = left().await;
    let names = [JANE, LOGIN, MAIL, FAMILY, &id];
    let others = lines_of_others(&house, &id);
    assert!(naming(&house.state(), &names).len() > 10);

    let listed = muster(&house, &["erase", "corp", MAIL, "--dry-run"]).ended(0);
    listed.says(&["would be erased", &format!("runs/corp/{joined}/orders.ndjson"), "removed", "out of reach: "]);
    assert!(naming(&house.state(), &names).len() > 10, "looking erases nothing");
    let comment = format!("request 4711 of {LOGIN}");
    let said = muster(&house, &["erase", "corp", JANE, "--comment", &comment]).ended(0);
    let made = said.out.split("goes by ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    said.says(&["erased: ", "out of reach: "]);

    assert_eq!(naming(&house.state(), &names), []);
    // What concerns others is as it was, byte for byte, and in the same place.
    for (file, lines) in &others {
        let now = fs::read_to_string(file).unwrap();
        let mut rest = now.lines();
        for line in lines {
            assert!(rest.any(|found| found == line), "{}: {line}", file.display());
        }
    }
    // What is left tells that there was somebody, and who approved it.
    muster(&house, &["log", "--verify"]).ended(0).says(&[
        "the log is whole",
        "was erased by 1 erasure",
        "request 4711 of erased-",
    ]);
    muster(&house, &["history", "corp", &made]).ended(0).says(&["create", "delete", "approved by jane"]);
    muster(&house, &["log", "corp", "--key", &made]).ended(0).says(&["order-applied", &made]);
    muster(&house, &["review", &joined, "--all"]).ended(0).says(&[&made, "E0003"]);
    muster(&house, &["report", &joined]).ended(0);
    muster(&house, &["report", &gone]).ended(0);
    muster(&house, &["status", "corp"]).ended(0);
    muster(&house, &["list", "corp", "--managed"]).ended(0).says(&["E0003"]);
    muster(&house, &["prune"]).ended(0);
    muster(&house, &["erase", "corp", JANE, "--comment", "again"]).ended(1).says(&["there is nothing to erase"]);
    muster(&house, &["run", "corp"]).ended(0);
    // Nothing of it is approved any more, and others are still undone.
    muster(&house, &["approve", &joined, "--all", "--comment", "x"]).never_says(&["sealed"]);
    let reverted = muster(&house, &["revert", &joined]).ended(3);
    reverted.says(&[&made, "its personal data was erased"]);
    muster(&house, &["review", "corp", "--all"]).says(&["E0003"]).never_says(&[&format!("delete {made}")]);
    muster(&house, &["log", "--verify"]).ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_identity_is_not_erased_before_all_about_it_is_over() {
    let house = House::found(&staff(), "", lasting_address()).await;
    house.settle().await;
    let refused = |says: &[&str]| {
        let (head, files) = (house.store().log_head().unwrap(), naming(&house.state(), &[MAIL]));
        let said = muster(&house, &["erase", "corp", LOGIN, "--comment", "x"]).ended(1);
        said.says(&["cannot be erased yet, nothing was written"]).says(says);
        assert_eq!((house.store().log_head().unwrap(), naming(&house.state(), &[MAIL])), (head, files));
    };
    refused(&[
        "newest snapshot of hr.users",
        "newest snapshot of vault.users",
        "muster run corp",
        "an approval of run",
    ]);
    house.hr(&without_jane());
    let run = house.run(Stage::Plan).await.unwrap().run.0;
    refused(&["(delete vault.users) is pending-review", &format!("muster reject {run} --order")]);
    house.review(&muster::model::run::RunId(run), |_| Some(Decision::Approve));
    house.apply(Duration::ZERO).await.unwrap();
    house.run(Stage::Apply).await.unwrap();
    // All is over but the time of the approvals.
    refused(&["holds until"]);
    muster(&house, &["erase", "corp", JANE, "--comment", " "]).ended(2).says(&["--comment is empty"]);
    muster(&house, &["erase", "corp", "nobody", "--comment", "x"]).ended(1).says(&["nothing to erase under this key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_identity_whose_erasure_was_cut_short_is_erased_by_whoever_comes_next() {
    for by_run in [false, true] {
        let (house, joined, _, id) = left().await;
        // A file lies where a folder is to be swept: it ends when the runs' files are done and the database is not.
        let in_the_way = house.state().join("export/corp").join(format!(".removed-{joined}"));
        fs::write(&in_the_way, "").unwrap();
        muster(&house, &["erase", "corp", JANE, "--comment", "request"]).ended(1).says(&[".removed-"]);
        let names = [JANE, LOGIN, MAIL, FAMILY, &id];
        assert!(!naming(&house.state(), &names).is_empty());
        // Halfway, nothing is taken for tampered with.
        muster(&house, &["review", &joined, "--all"]).ended(0);
        muster(&house, &["log", "--verify"]).ended(0);
        fs::remove_file(in_the_way).unwrap();
        match by_run {
            true => muster(&house, &["--verbose", "run", "corp"])
                .ended(0)
                .says(&["an erasure that was cut short is finished"]),
            false => muster(&house, &["erase", "corp", LOGIN, "--comment", "request"]).ended(0).says(&["is finished"]),
        };
        assert_eq!(naming(&house.state(), &names), [], "by_run: {by_run}");
        muster(&house, &["log", "--verify"]).ended(0).says(&["erased by 1 erasure"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_identity_that_was_erased_opens_no_door_for_whoever_tampers() {
    let (house, joined, _, _) = left().await;
    muster(&house, &["erase", "corp", JANE, "--comment", "request"]).ended(0);
    let db = || Connection::open(house.state().join("muster.db")).unwrap();
    let kept = house.path().join("kept.db");
    db().execute("VACUUM INTO ?", [kept.to_str().unwrap()]).unwrap();
    let number = |sql: &str| db().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let vouching: Value = serde_json::from_str(
        &db().query_row("SELECT detail FROM log WHERE kind = 'erased'", [], |row| row.get::<_, String>(0)).unwrap(),
    )
    .unwrap();
    let erased = vouching["entries"][0]["seq"].as_i64().unwrap();
    let spared = number("SELECT min(seq) FROM log WHERE kind = 'plan'");
    let last = number("SELECT max(seq) FROM log");
    for (sql, at) in [
        (format!("UPDATE log SET detail = replace(detail, 'erased-', 'E') WHERE seq = {erased}"), erased),
        (format!("UPDATE log SET at = replace(at, '20', '19') WHERE seq = {erased}"), erased),
        // "Erased", and no erasure says so.
        (format!("UPDATE log SET detail = '{{}}' WHERE seq = {spared}"), spared),
        // What vouches for it is changed, or names another.
        ("UPDATE log SET detail = replace(detail, 'request', 'other') WHERE kind = 'erased'".to_owned(), erased),
        (
            format!(
                "UPDATE log SET detail = replace(detail, '\"seq\":{erased},', '\"seq\":{spared},') WHERE kind = 'erased'"
            ),
            erased,
        ),
        ("DELETE FROM log WHERE kind = 'erased'".to_owned(), erased),
        (format!("UPDATE log SET hash = zeroblob(32) WHERE seq = {erased}"), erased),
        ("INSERT INTO erased_files SELECT run, 'x.json', sha256 FROM erased_files LIMIT 1".to_owned(), last),
    ] {
        db().execute_batch(&sql).unwrap();
        muster(&house, &["log", "--verify"]).ended(1).says(&[&format!("the log is broken at entry {at}")]);
        for file in ["muster.db", "muster.db-wal", "muster.db-shm"] {
            let _ = fs::remove_file(house.state().join(file));
        }
        fs::copy(&kept, house.state().join("muster.db")).unwrap();
        muster(&house, &["log", "--verify"]).ended(0);
    }
    // A plan that an erasure rewrote is held to what it left.
    let orders = house.state().join("runs/corp").join(&joined).join("orders.ndjson");
    let text = fs::read_to_string(&orders).unwrap();
    fs::write(&orders, text.replace("Family3", "Family9")).unwrap();
    muster(&house, &["review", &joined]).ended(1).says(&["orders.ndjson has SHA-256"]);
    muster(&house, &["revert", &joined]).ended(1).says(&["orders.ndjson has SHA-256"]);
}

/// The lines of a run's orders that are not of somebody.
fn orders_without(world: &World, run: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(world.run_file("corp", run, "orders.ndjson")).unwrap();
    text.lines().filter(|line| !line.contains(key) && !line.contains("erased")).map(str::to_owned).collect()
}

#[test]
fn a_removed_identity_with_a_number_for_a_key_goes_whole_and_takes_nothing_of_others_along() {
    let world = World::new();
    // A manager who was created in the same run, a title that is a word of every plan, a login of two letters.
    let staff =
        |more: &str| format!("id,login,title,manager,enabled\nE2,grace,Admiral,,true\nE3,ada,Countess,E2,true\n{more}");
    world.write("hr/users.csv", staff("4711,wu,create,E2,true\n"));
    world.write(
        "jobs/corp.toml",
        r#"name = "corp"
[systems.hr]
kind = "csv"
path = "../hr"
[systems.vault]
kind = "sandbox"
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{ source = "id", target = "externalId" }]
on = { orphan = "delete" }
[sync.references]
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value" = { source = "manager" }
[sync.attributes]
externalId = "id"
userName = "login"
title = "title"
active = "enabled"
"#,
    );
    let carried_out = || {
        world.muster(&["run", "corp"]).ended(3);
        world.muster(&["approve", "corp", "--all", "--comment", "as 4711 asked"]);
        world.muster(&["apply", "corp"]).ended(0);
        world.newest_run("corp")
    };
    let first = carried_out();
    world.muster(&["run", "corp"]).ended(0);
    world.write("hr/users.csv", staff(""));
    carried_out();
    world.muster(&["run", "corp"]).ended(0);
    let db = Connection::open(world.state().join("muster.db")).unwrap();
    db.execute("UPDATE approvals SET expires = '2020-01-01T00:00:00Z'", []).unwrap();
    let others = orders_without(&world, &first, "4711");
    assert_eq!(others.len(), 2);
    world.muster(&["erase", "corp", "", "--comment", "x"]).ended(2).says(&["KEY is empty"]);
    let said = world.muster(&["erase", "corp", "4711", "--comment", "4711 asked, ticket 12 of wu"]).ended(0);
    assert!(said.out.contains("erased-"), "{}", said.out);

    assert_eq!(orders_without(&world, &first, "4711"), others, "others keep their bytes");
    let is_part = |c: char| c.is_alphanumeric() || "-:.".contains(c);
    for file in files_below(&world.state()).into_iter().filter(|file| !file.starts_with(world.state().join("sandbox")))
    {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let mut words = text.split(|c: char| !is_part(c));
        let left = words.find(|word| ["4711", "wu"].contains(word));
        assert_eq!(left, None, "{}", file.display());
    }
    for command in ["review", "report", "revert"] {
        let said = world.muster(&[command, &first]);
        assert!([0, 3].contains(&said.status), "{command}: {}", said.err);
    }
    world.muster(&["history", "corp", "E2"]).ended(0).says(&["grace", "Admiral"]);
    world.muster(&["log", "corp", "--verify"]).ended(0).says(&["asked, ticket 12 of erased-"]);
}
