//! A case for a vendor's support: everything of a run that helps, and nobody's name.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;
use support::company::Company;

/// The files of a bundle, by name.
fn unzipped(company: &Company, name: &str) -> BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(company.world.path().join(name)).unwrap()).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    let text = |name: &String| {
        let mut text = String::new();
        zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        (name.clone(), text)
    };
    names.iter().map(text).collect()
}

/// A first load of which the vault refuses two people, naming one of them in its message.
fn refused() -> Company {
    let company = Company::with(4, "[apply]\nconcurrency = 1\n");
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    let detail = "user0003@corp.example may not be called Family3, ask jim.beam@vendor.example";
    let schemas = ["urn:ietf:params:scim:api:messages:2.0:Error"];
    let body = json!({"schemas": schemas, "status": "400", "scimType": "invalidValue", "detail": detail});
    let action = json!({"status": {"code": 400, "body": body.to_string()}});
    company
        .vault
        .faults(json!({"rules": [{"method": "POST", "prefix": "/Users", "when": {"nth": 3}, "action": action}]}));
    company.world.muster(&["apply", "corp"]);
    company.vault.faults(json!({"rules": []}));
    company
}

#[test]
fn case_k12_a_bundle_for_support_tells_the_case_and_names_nobody() {
    let company = refused();
    let said = company.world.muster(&["-v", "support-bundle", "corp", "--output", "case.zip"]).ended(0);
    said.says(&["case.zip", "made names", "read it before it leaves the house", "--who NAME"]);
    let files = unzipped(&company, "case.zip");
    let expected = [
        "README.txt",
        "checks.json",
        "errors.csv",
        "job.toml",
        "manifest.json",
        "report.json",
        "requests.ndjson",
        "run.log",
        "targets.json",
    ];
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let ids: Vec<String> =
        company.vault.all("Users").iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    let people = ["E0001", "E0003", "user0003", "user0001", "Family3", "Family1", "jim.beam", "vendor.example"];
    for (name, text) in &files {
        for person in people.iter().copied().chain(ids.iter().map(String::as_str)).chain([support::TOKEN]) {
            assert!(!text.contains(person), "{name} names {person}\n{text}");
        }
    }
    let readme = &files["README.txt"];
    for text in [
        "vault: scim, http://127.0.0.1",
        "class `data`",
        "what muster says to do",
        "errors.csv: each order that failed",
        "stayed with the operator",
    ] {
        assert!(readme.contains(text), "{text}\n{readme}");
    }
    // What support needs to understand it stays.
    assert!(files["job.toml"].contains("env:VAULT_TOKEN") && files["job.toml"].contains("userName = \"login\""));
    assert!(
        files["errors.csv"].contains("create") && files["errors.csv"].contains("invalidValue"),
        "{}",
        files["errors.csv"]
    );
    assert!(files["requests.ndjson"].contains("POST /Users") || files["requests.ndjson"].contains("POST"));
    // One person has one name throughout, which the operator can look up.
    let key =
        files["errors.csv"].lines().nth(1).unwrap().split(',').find(|cell| cell.starts_with("p-")).unwrap().to_owned();
    assert!(files["run.log"].contains(&key), "{key}\n{}", files["run.log"]);
    company.world.muster(&["support-bundle", "corp", "--who", &key]).ended(0).says(&["E0003"]);
    company.world.muster(&["support-bundle", "corp", "--who", "p-0000000000"]).ended(1).says(&["stands for nobody"]);
    let home = company.world.state().join("support/corp").join(format!("{}.json", company.world.newest_run("corp")));
    assert_eq!(std::fs::metadata(&home).unwrap().mode() & 0o777, 0o600);
    // A second one has the same names, and is not written over the first.
    company.world.muster(&["support-bundle", "corp", "--output", "case.zip"]).ended(2).says(&["is there already"]);
    company.world.muster(&["support-bundle", "corp", "--offline", "--output", "again.zip"]).ended(0);
    let again = unzipped(&company, "again.zip");
    assert!(again["errors.csv"] == files["errors.csv"] && !again.contains_key("checks.json"));
}

#[test]
fn case_k12_whoever_is_asked_for_goes_by_their_own_name() {
    let company = refused();
    company.world.muster(&["support-bundle", "corp", "--offline", "--with", "E0003", "--output", "case.zip"]).ended(0);
    let files = unzipped(&company, "case.zip");
    assert!(
        files["errors.csv"].contains("E0003") && files["errors.csv"].contains("Family3"),
        "{}",
        files["errors.csv"]
    );
    assert!(files["README.txt"].contains("because the operator said so: E0003"));
    for (name, text) in &files {
        assert!(!text.contains("E0001") && !text.contains("jim.beam"), "{name}\n{text}");
    }
    // A run that was held has a case, too; its examples are people, short keys too, and its job is tried by any of its names.
    company.world.write(
        "hr/users.csv",
        "id,login,email,family,enabled\nE7,x,x@corp.example,Kay,true\nE7,y,y@corp.example,Lee,true\n",
    );
    company.world.muster(&["run", "corp"]);
    let run = company.world.newest_run("corp");
    company.world.muster(&["support-bundle", &run, "--output", "twice.zip"]).ended(0);
    for (name, text) in unzipped(&company, "twice.zip") {
        assert!(!text.contains("E7"), "{name}\n{text}");
        assert!(name != "checks.json" || text.contains("\"stage\": \"schema\""), "{text}");
    }
    let company = Company::of(60);
    company.settle();
    company.hr(&support::company::people(1));
    company.world.muster(&["run", "corp"]);
    let run = company.world.newest_run("corp");
    company.world.muster(&["support-bundle", &run, "--output", "held.zip"]).ended(0);
    for (name, text) in unzipped(&company, "held.zip") {
        assert!(!text.contains("E0040") && !text.contains("user0040"), "{name}\n{text}");
    }
}
