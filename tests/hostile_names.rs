//! Names and messages from outside that want to be more than text: they reach the target unharmed, and no terminal,
//! spreadsheet, page or path obeys them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::net::TcpListener;

use serde_json::json;
use support::company::{Company, people};
use support::files_below;

/// What nobody should be called.
const NAMES: [&str; 12] = [
    "<script>alert(1)</script>",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;owned\u{7}",
    "\u{202e}gpj.exe",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "-2+3",
    "../../etc/passwd",
    "two\nlines",
    "a, \"quoted\" one",
    "\u{9b}2J\u{2066}x",
    "100%s %n {} ${HOME} `id`",
];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Nothing in it steers a terminal or turns the direction of text.
#[track_caller]
fn harmless(what: &str, text: &str) {
    let found = text.chars().find(|c| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert!(found.is_none(), "{what} holds {found:?}:\n{text}");
}

fn hostile_company() -> Company {
    let company = Company::of(1);
    let mut users = String::from("id,login,email,family,enabled\n");
    let mut groups = String::from("id,name\n");
    let mut memberships = String::from("group,user\n");
    for (n, name) in NAMES.iter().enumerate() {
        let cell = quoted(name);
        users.push_str(&format!("{cell},{cell},u{n}@corp.example,{cell},true\n"));
        groups.push_str(&format!("{cell},{cell}\n"));
        memberships.push_str(&format!("{cell},{cell}\n"));
    }
    company.world.write("hr/users.csv", users);
    company.world.write("hr/groups.csv", groups);
    company.world.write("hr/memberships.csv", memberships);
    company
}

#[track_caller]
fn harmless_everywhere(company: &Company) {
    let world = &company.world;
    for args in [
        &["review", "corp"][..],
        &["review", "corp", "--format", "table"],
        &["review", "corp", "--format", "json"],
        &["status", "corp"],
        &["status", "corp", "--format", "json"],
        &["list", "corp"],
        &["list", "corp", "--format", "json"],
        &["report", "corp"],
        &["report", "corp", "--format", "json"],
        &["log"],
        &["log", "--format", "json"],
    ] {
        let said = world.muster(args);
        assert!([0, 3, 5].contains(&said.status), "{args:?}: {said:?}");
        harmless(&format!("stdout of {args:?}"), &said.out);
        harmless(&format!("stderr of {args:?}"), &said.err);
    }
    for path in files_below(world.path()) {
        let name = path.strip_prefix(world.path()).unwrap().to_str().unwrap().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        assert!(name.chars().all(plain) && !name.contains(".."), "a path of a name: {name}");
        if name.starts_with("state/runs") && !name.ends_with("orders.ndjson") {
            harmless(&name, &fs::read_to_string(&path).unwrap());
        }
        if name.ends_with("review.csv") || name.ends_with("errors.csv") {
            let mut reader = csv::Reader::from_path(&path).unwrap();
            for record in reader.records() {
                for cell in &record.unwrap() {
                    assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{name}: a formula: {cell}");
                }
            }
        }
    }
}

#[test]
fn case_x4_hostile_names_reach_the_target_unharmed_and_nothing_else() {
    let company = hostile_company();
    let world = &company.world;
    for args in [
        &["--verbose", "run", "corp"][..],
        &["--verbose", "approve", "corp", "--all", "--comment", "\u{1b}[2Jfine"],
        &["--verbose", "apply", "corp"],
        &["--verbose", "run", "corp"],
    ] {
        if args.contains(&"apply") {
            harmless_everywhere(&company);
        }
        let said = world.muster(args);
        assert!([0, 3].contains(&said.status), "{args:?}: {said:?}");
        harmless(&format!("{args:?}"), &format!("{}{}", said.out, said.err));
    }
    harmless_everywhere(&company);
    let (users, groups) = (company.vault.all("Users"), company.vault.all("Groups"));
    assert_eq!((users.len(), groups.len()), (NAMES.len(), NAMES.len()));
    for name in NAMES {
        let user = users.iter().find(|u| u["externalId"] == name).unwrap_or_else(|| panic!("{name:?} is not there"));
        assert_eq!((&user["userName"], &user["name"]["familyName"]), (&json!(name), &json!(name)));
        let group = groups.iter().find(|g| g["externalId"] == name).unwrap_or_else(|| panic!("no group {name:?}"));
        assert_eq!(group["displayName"], name);
        assert_eq!(group["members"][0]["value"], user["id"], "{name:?}");
    }
    world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_d1_hostile_messages_of_a_server_are_told_harmlessly() {
    let company = hostile_company();
    let world = &company.world;
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "400",
        "detail": "=cmd() \u{1b}[31m <b>no</b> \u{202e}evil\r\nINFO all is well"});
    company.vault.faults(json!({"rules": [{"method": "POST", "prefix": "/Users",
        "action": {"status": {"code": 400, "body": body.to_string()}}}]}));
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "go"]).ended(0);
    let said = world.muster(&["--verbose", "apply", "corp"]);
    assert!([1, 5].contains(&said.status), "{said:?}");
    harmless("apply", &format!("{}{}", said.out, said.err));
    assert!(!said.err.contains("\nINFO all is well"), "a forged line: {}", said.err);
    harmless_everywhere(&company);
}

#[test]
fn case_x1_a_value_that_no_snapshot_can_hold_is_the_system_s_and_is_named() {
    let company = Company::of(3);
    let user = |name: &str| json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name});
    let (status, made) = company.vault.send("POST", "/Users", Some(user("nul\0name")));
    assert_eq!(status, 201, "{made}");
    let said = company.world.muster(&["run", "corp"]).ended(1);
    let id = made["id"].as_str().unwrap();
    said.says(&[
        "the export of vault failed",
        &format!("users id `{id}` has a NUL byte in column `userName`"),
        "[data]",
    ])
    .never_says(&["this machine"]);
    let (status, _) = company.vault.send("DELETE", &format!("/Users/{id}"), None);
    assert_eq!(status, 204);
    company.world.muster(&["run", "corp"]).ended(3);
    // The same in a file names its row.
    let users = company.world.read("hr/users.csv");
    company.world.write("hr/users.csv", users.replacen("E0002", "E0\x002", 1));
    company.world.muster(&["run", "corp"]).ended(1).says(&["users.csv", "row 3", "NUL byte", "[data]"]);
}

#[test]
fn case_x4_a_value_of_a_megabyte_is_shortened_for_people_and_whole_for_the_target() {
    let company = Company::of(2);
    let mut all = people(2);
    all[0].family = format!("=<b>{}\u{202e}", "x".repeat(1_000_000));
    company.hr(&all);
    let world = &company.world;
    for args in [&["--verbose", "run", "corp"][..], &["review", "corp"], &["review", "corp", "--format", "csv"]] {
        let said = world.muster(args);
        assert!([0, 3].contains(&said.status), "{:?}", said.status);
        let longest = said.err.lines().chain(said.out.lines()).map(str::len).max().unwrap_or(0);
        assert!(longest < 70_000, "{args:?} prints a line of {longest} bytes");
    }
    world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    world.muster(&["apply", "corp"]).ended(0);
    let user = company.vault.user(&all[0].login).unwrap();
    assert_eq!(user["name"]["familyName"].as_str().map(str::len), Some(all[0].family.len()));
    world.muster(&["run", "corp"]).ended(0);
    let run = world.newest_run("corp");
    let log = fs::read_to_string(world.run_file("corp", &run, "run.log")).unwrap();
    assert!(log.lines().all(|line| line.len() < 10_000), "a line of the log is as long as a value");
}

/// A port that somebody else listens on, and what would have been sent there.
fn elsewhere() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    (listener.local_addr().unwrap().to_string(), listener)
}

#[test]
fn case_d1_no_answer_leads_the_credential_to_another_origin() {
    let company = Company::of(3);
    let (address, listener) = elsewhere();
    let (_, port) = company.vault.address().split_once(':').unwrap();
    // Another port, another name of the same host, another scheme.
    let origins = [format!("http://{address}"), format!("http://localhost:{port}"), format!("https://{address}")];
    let redirect = |method: &str, code: u16, to: &str| {
        let headers = json!({"location": format!("{to}/scim/v2/Users/7?startIndex=1")});
        json!({"rules": [{"method": method, "prefix": "/Users",
            "action": {"status": {"code": code, "body": "", "headers": headers}}}]})
    };
    for (origin, code) in origins.iter().flat_map(|to| [301, 302, 307, 308].map(|code| (to, code))) {
        company.vault.faults(redirect("GET", code, origin));
        company.world.muster(&["run", "corp"]).ended(1).says(&[&code.to_string(), "vault"]);
    }
    // A next page that is an address is asked for as a cursor, here.
    let page = json!({"totalResults": 9, "Resources": [{"id": "7", "userName": "x"}],
        "nextCursor": format!("http://{address}/Users?cursor=2"), "nextPage": format!("http://{address}/Users")});
    company.vault.faults(json!({"rules": [{"method": "GET", "prefix": "/Users", "contains": "startIndex=1",
        "action": {"status": {"code": 200, "body": page.to_string()}}}]}));
    let said = company.world.muster(&["run", "corp"]);
    assert_ne!(said.status, 0, "{said:?}");
    // What was made is looked up here, wherever the answer says that it lies.
    company.vault.faults(json!({"rules": []}));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "go"]).ended(0);
    company.vault.faults(redirect("POST", 201, &origins[0]));
    company.world.muster(&["apply", "corp"]);
    company.vault.faults(redirect("POST", 307, &origins[0]));
    company.world.muster(&["retry", "corp"]);
    company.world.muster(&["apply", "corp"]);
    assert!(listener.accept().is_err(), "something was sent elsewhere");
}
